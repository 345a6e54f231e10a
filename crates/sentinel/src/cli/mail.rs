//! `sentinel mail test`: one letter to each contact, now, and how each fared.

use std::collections::BTreeSet;
use std::time::Duration;

use daemon::exit::Exit;
use jiff::Timestamp;
use notify::{Body, Letter, Outbox, Pump, State, send_once};

use super::{Context, out};

pub(crate) const EXAMPLES: &str = "Examples:
  sentinel mail test                       # to every contact of every level
  sentinel mail test --to soporte@example.mx";

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Send a test to each contact and say what became of it
    Test {
        /// Only to this contact of the levels
        #[arg(long)]
        to: Option<String>,
    },
}

/// How long the relays may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    let Command::Test { to } = command;
    let letters = letters(context, to.as_deref());
    if letters.is_empty() {
        anyhow::bail!(context.say("no hay a quién escribir", "there is nobody to write to"));
    }
    // Its own outbox in memory: the running sentinel's letters are left alone.
    let ways = sentinel::run::ways(&context.config)?;
    let pump = Pump::new(Outbox::in_memory().await?, ways).await?;
    let standings = send_once(&pump, &letters, PATIENCE).await?;
    for standing in &standings {
        out::line(&standing.words(context.language))?;
    }
    let all = standings.iter().all(|it| it.state == State::Delivered);
    Ok(if all { Exit::Fine } else { Exit::Failed })
}

fn letters(context: &Context, only: Option<&str>) -> Vec<Letter> {
    let now = Timestamp::now();
    let mut seen = BTreeSet::new();
    let contacts = context.config.levels.iter().flat_map(|level| &level.to);
    let contacts = contacts.filter(|it| only.is_none_or(|only| it.to.address() == only));
    let once = contacts.filter(|it| seen.insert(it.to.address().to_owned()));
    once.map(|contact| {
        let spanish = contact.language == notify::Language::Spanish;
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
        Letter {
            incident: format!("test-{}", now.as_millisecond()),
            step: "test".to_owned(),
            kind: "test".to_owned(),
            critical: false,
            to: contact.to.clone(),
            language: contact.language,
            subject: subject.to_owned(),
            body: Body::new().heading(subject).line(words),
        }
    })
    .collect()
}
