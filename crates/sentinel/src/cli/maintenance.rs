//! `sentinel maintenance`: windows in which nobody is told. Each has an end.

use daemon::config::Span;
use daemon::exit::Exit;
use jiff::{SignedDuration, Timestamp};
use sentinel::decide::Ask;

use super::ask::ask;
use super::{Context, out};

pub(crate) const EXAMPLES: &str = "Examples:
  sentinel maintenance begin --for 2h --why \"database upgrade\"
  sentinel maintenance begin --for 30m --tenant acme --why \"new router\"
  sentinel maintenance list
  sentinel maintenance end 3

A window lasts at most 12 hours. It never hides an acknowledged punch that is not found.";

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Nobody is told from now on
    Begin {
        /// For how long: 30m, 2h; at most 12h
        #[arg(long = "for", value_name = "TIME")]
        length: Span,
        /// Only about this client [default: about everything]
        #[arg(long)]
        tenant: Option<String>,
        /// Why
        #[arg(long)]
        why: String,
    },
    /// List windows that have not ended
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End a window now
    End {
        /// Its number
        id: i64,
    },
}

pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::Begin {
            length,
            tenant,
            why,
        } => {
            if let Some(id) = &tenant {
                context.knows(id)?;
            }
            let from = Timestamp::now();
            let until = from.checked_add(SignedDuration::try_from(length.0)?)?;
            let done = context.say("mantenimiento hasta", "maintenance until");
            let done = format!("{done} {}", context.moment(until));
            let window = Ask::Maintain {
                tenant,
                from,
                until,
                why,
            };
            ask(context, &window, &done).await
        }
        Command::End { id } => {
            let done = context.say("terminó", "ended");
            ask(context, &Ask::EndMaintenance { id }, done).await
        }
        Command::List { json } => list(json, context).await,
    }
}

async fn list(json: bool, context: &Context) -> anyhow::Result<Exit> {
    let windows = context.database().await?.windows(Timestamp::now()).await?;
    if json {
        out::json(&windows)?;
        return Ok(Exit::Fine);
    }
    let headings = context.say(
        ["Número", "Cliente", "Desde", "Hasta", "Quién", "Por qué"],
        ["Number", "Client", "From", "Until", "Who", "Why"],
    );
    let rows: Vec<Vec<String>> = windows
        .into_iter()
        .map(|it| {
            let tenant = it
                .tenant
                .unwrap_or_else(|| context.say("todo", "everything").to_owned());
            let (from, until) = (context.moment(it.from), context.moment(it.until));
            vec![it.id.to_string(), tenant, from, until, it.who, it.why]
        })
        .collect();
    out::print(&out::table(&headings, &rows))?;
    Ok(Exit::Fine)
}
