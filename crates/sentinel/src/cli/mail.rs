//! `sentinel mail test`: one letter to each contact, now, and how each fared. And the letter
//! about a sentinel that has failed, which must need nothing of what may have failed with it.

use std::collections::BTreeSet;
use std::time::Duration;

use daemon::exit::Exit;
use jiff::Timestamp;
use notify::{Body, CapRule, Language, Letter, Outbox, Pump, State, send_once};
use sentinel::config::Contact;

use super::{Context, out};

pub(crate) const EXAMPLES: &str = "Examples:
  sentinel mail test                       # to every contact of every level
  sentinel mail test --to soporte@example.mx
  sentinel mail failed                     # what the unit sentinel-failed does";

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Send a test to each contact and say what became of it
    Test {
        /// Only to this contact of the levels
        #[arg(long)]
        to: Option<String>,
    },
    /// Tell the first level that sentinel itself has failed; its unit calls this
    Failed,
}

/// What to type where sentinel has failed.
const FAILED_COMMANDS: [&str; 3] = [
    "systemctl status sentinel",
    "journalctl -u sentinel -n 50",
    "sentinel check && systemctl reset-failed sentinel && systemctl start sentinel",
];

/// How long the relays may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    let letters = match command {
        Command::Test { to } => test_letters(context, to.as_deref()),
        Command::Failed => failed_letters(context),
    };
    if letters.is_empty() {
        anyhow::bail!(context.say("no hay a quién escribir", "there is nobody to write to"));
    }
    // Its own outbox in memory: the running sentinel's letters are left alone.
    let ways = sentinel::run::ways(&context.config)?;
    let pump = Pump::new(Outbox::in_memory().await?, ways, CapRule::default()).await?;
    let standings = send_once(&pump, &letters, PATIENCE).await?;
    for standing in &standings {
        out::line(&standing.words(context.language))?;
    }
    let all = standings.iter().all(|it| it.state == State::Delivered);
    Ok(if all { Exit::Fine } else { Exit::Failed })
}

/// One letter to each contact of all levels, or to one of them.
fn test_letters(context: &Context, only: Option<&str>) -> Vec<Letter> {
    let mut seen = BTreeSet::new();
    let contacts = context.config.levels.iter().flat_map(|level| &level.to);
    let contacts = contacts.filter(|it| only.is_none_or(|only| it.to.address() == only));
    let once = contacts.filter(|it| seen.insert(it.to.address().to_owned()));
    once.map(|contact| {
        let spanish = contact.language == Language::Spanish;
        let subject = if spanish {
            "Prueba de correo de Sentinela"
        } else {
            "Test mail of sentinel"
        };
        let words = if spanish {
            "Si lee esto, los avisos de Sentinela le llegan."
        } else {
            "If you read this, sentinel's alerts reach you."
        };
        letter(
            contact,
            "test",
            subject,
            Body::new().heading(subject).line(words),
        )
    })
    .collect()
}

/// One letter to each contact of the first level, whatever its hours: nobody else will be told.
fn failed_letters(context: &Context) -> Vec<Letter> {
    let contacts = context
        .config
        .levels
        .first()
        .map(|level| level.to.as_slice());
    let write = |contact: &Contact| {
        let spanish = contact.language == Language::Spanish;
        let name = &context.config.name;
        let (subject, words) = if spanish {
            (
                format!("{name}: Sentinela se detuvo y no vuelve a arrancar"),
                [
                    "Nadie vigila el Programa Satélite ni avisará de sus fallas hasta que Sentinela arranque.",
                    "Las checadas siguen guardándose mientras el Programa Satélite esté activo.",
                    "En ese servidor, vea por qué y vuelva a arrancarla:",
                ],
            )
        } else {
            (
                format!("{name}: sentinel has failed and does not start again"),
                [
                    "Nobody watches satellite or tells of its failures until sentinel starts.",
                    "Punches are still stored as long as satellite is active.",
                    "On that machine, see why and start it again:",
                ],
            )
        };
        let body = Body::new().heading(&subject);
        let body = words.iter().fold(body, |body, line| body.line(line));
        let body = FAILED_COMMANDS
            .iter()
            .fold(body, |body, command| body.command(command));
        letter(contact, "failed", &subject, body)
    };
    contacts.unwrap_or_default().iter().map(write).collect()
}

fn letter(contact: &Contact, kind: &str, subject: &str, body: Body) -> Letter {
    Letter {
        incident: format!("{kind}-{}", Timestamp::now().as_millisecond()),
        step: kind.to_owned(),
        kind: kind.to_owned(),
        critical: kind == "failed",
        to: contact.to.clone(),
        language: contact.language,
        subject: subject.to_owned(),
        body,
    }
}
