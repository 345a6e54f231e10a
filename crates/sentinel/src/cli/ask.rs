//! What is asked of the running sentinel, and waiting for its answer.
//!
//! A request is a row of its file. When no sentinel runs the row stays, and is dealt with at
//! the next start; the command says so instead of pretending.

use std::time::Duration;

use daemon::actor::actor;
use daemon::exit::Exit;
use jiff::Timestamp;
use sentinel::decide::{Ask, IncidentId};
use sentinel::words;

use super::{Context, complain, out};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(crate) struct AckArgs {
    /// Which incident: INC-2026-000123
    incident: String,
}

/// Reads the name of an incident.
pub(crate) fn incident(text: &str, context: &Context) -> anyhow::Result<IncidentId> {
    IncidentId::parse(text).ok_or_else(|| {
        anyhow::anyhow!(context.say(
            format!("'{text}' no es un incidente; se escriben como INC-2026-000123"),
            format!("'{text}' is no incident; they look like INC-2026-000123"),
        ))
    })
}

/// `sentinel ack`.
pub(crate) async fn acknowledge(args: AckArgs, context: &Context) -> anyhow::Result<Exit> {
    let incident = incident(&args.incident, context)?;
    let done = context.say(
        "enterado, nadie más será llamado",
        "acknowledged, nobody else is called",
    );
    ask(
        context,
        &Ask::Acknowledge { incident },
        &format!("{incident}: {done}"),
    )
    .await
}

/// Asks, waits, and says how it went.
pub(crate) async fn ask(context: &Context, ask: &Ask, done: &str) -> anyhow::Result<Exit> {
    let mut database = context.database().await?;
    let text = serde_json::to_string(ask)?;
    let id = database.request(&text, &actor(), Timestamp::now()).await?;
    let end = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < end {
        match database.answer_to(id).await?.as_deref() {
            Some("") => {
                out::line(done)?;
                return Ok(Exit::Fine);
            }
            Some(why) => match serde_json::from_str(why) {
                Ok(denied) => anyhow::bail!(words::of_denied(context.language, &denied)),
                Err(_) => anyhow::bail!("{why}"),
            },
            None => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    complain(context.say(
        "Sentinela no contesta; lo pedido queda anotado y se hará cuando arranque",
        "sentinel does not answer; what was asked is kept and done when it starts",
    ));
    Ok(Exit::Failed)
}
