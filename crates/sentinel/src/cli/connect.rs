//! `sentinel check --connect`: every look once, and what it saw, before anybody depends on it.
//!
//! What only a person can put right is said with the command that does it.

use std::sync::Arc;

use jiff::Timestamp;
use sentinel::looks::canary;
use sentinel::words::{self, Phrase};
use sentinel::{Finding, Kind, Look, Observation, message};
use tokio::task::JoinSet;

use super::{Context, out};

/// What one look saw of one subject.
#[derive(serde::Serialize)]
pub(crate) struct Seen {
    look: String,
    subject: String,
    /// The subject for people.
    #[serde(skip)]
    name: String,
    state: &'static str,
    /// The kinds of what is wrong, for programs.
    kinds: Vec<Kind>,
    words: String,
}

/// Every look once, all at the same time; terminals that are fine are left out.
pub(crate) async fn look_once(context: &Context, looks: &[Arc<dyn Look>]) -> Vec<Seen> {
    let mut looking = JoinSet::new();
    for look in looks {
        let look = Arc::clone(look);
        looking.spawn(async move {
            let now = Timestamp::now();
            let round = tokio::time::timeout(look.deadline(), look.look(now)).await;
            let late = |subject| Observation::unknown(subject, now, Phrase::LookLate);
            let observations = match round {
                Ok(round) => round.observations,
                Err(_) => look.subjects().into_iter().map(late).collect(),
            };
            (look.name().to_owned(), observations)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = looking.join_next().await {
        let Ok((look, observations)) = done else {
            continue;
        };
        let shown = observations
            .iter()
            .filter(|it| it.subject.sort() != "terminal" || it.finding != Finding::Fine);
        all.extend(shown.map(|it| seen(context, &look, it)));
    }
    all.sort_by(|a, b| (&a.look, &a.subject).cmp(&(&b.look, &b.subject)));
    all
}

fn seen(context: &Context, look: &str, observation: &Observation) -> Seen {
    let (language, zone) = (context.language, &context.config.zone);
    Seen {
        look: look.to_owned(),
        subject: observation.subject.to_string(),
        name: message::name_of(&observation.subject, language),
        state: match &observation.finding {
            Finding::Fine => "fine",
            Finding::Unknown { .. } => "unknown",
            Finding::Wrong { .. } => "wrong",
        },
        kinds: match &observation.finding {
            Finding::Wrong { troubles } => troubles.iter().map(|it| it.kind).collect(),
            _ => Vec::new(),
        },
        words: words::of_finding(language, zone, &observation.finding),
    }
}

/// Prints it as a table.
pub(crate) fn print(context: &Context, seen: &[Seen]) -> anyhow::Result<()> {
    let state = |word: &str| match word {
        "fine" => context.say("bien", "fine"),
        "wrong" => context.say("MAL", "WRONG"),
        _ => context.say("no se sabe", "unknown"),
    };
    let rows: Vec<Vec<String>> = seen
        .iter()
        .map(|it| {
            let state = state(it.state).to_owned();
            vec![it.look.clone(), it.name.clone(), state, it.words.clone()]
        })
        .collect();
    let heads = context.say(
        ["Revisión", "De qué", "Estado", "Detalle"],
        ["Check", "Of what", "State", "Details"],
    );
    out::print(&out::table(&heads, &rows))?;
    Ok(())
}

/// The commands that enrol canaries which did not get through.
pub(crate) fn enrolments(context: &Context, seen: &[Seen]) -> Vec<String> {
    let watch = &context.config.watch;
    let failing = |tenant: &str| {
        let name = format!("canary:{tenant}");
        seen.iter().any(|it| it.look == name && it.state != "fine")
    };
    let stores = watch.stores.iter().filter(|store| failing(&store.tenant));
    stores.flat_map(canary::enrolment).collect()
}
