//! `sentinel incidents`: the list, one with its timeline, and what a person adds to it.

use daemon::exit::Exit;
use jiff::{SignedDuration, Timestamp};
use sentinel::database::Which;
use sentinel::decide::Ask;
use sentinel::words;

use super::ask::{ask, incident};
use super::{Context, out};

pub(crate) const EXAMPLES: &str = "Examples:
  sentinel incidents                                   # those that are not closed
  sentinel incidents --days 30 --json
  sentinel incidents show INC-2026-000123
  sentinel incidents mitigate INC-2026-000123 \"moved to the second server\"
  sentinel incidents cause INC-2026-000123 \"disk full\"";

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Also those that were closed in the last so many days
    #[arg(long, value_name = "N")]
    days: Option<u16>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// One incident with its timeline
    Show {
        /// Which incident: INC-2026-000123
        incident: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// A workaround holds: the recovery clock stands
    Mitigate {
        /// Which incident: INC-2026-000123
        incident: String,
        /// Which workaround
        how: String,
    },
    /// Add a remark to its timeline
    Note {
        /// Which incident: INC-2026-000123
        incident: String,
        /// The remark
        text: String,
    },
    /// Close it by your word; what is still wrong opens a new one
    Close {
        /// Which incident: INC-2026-000123
        incident: String,
        /// Why it happened
        #[arg(long)]
        cause: String,
    },
    /// Note why a closed incident happened
    Cause {
        /// Which incident: INC-2026-000123
        incident: String,
        /// Why it happened
        cause: String,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.command {
        None => list(args.days, args.json, context).await,
        Some(Command::Show { incident, json }) => show(&incident, json, context).await,
        Some(Command::Mitigate { incident: id, how }) => {
            let incident = incident(&id, context)?;
            let done = context.say("solución alternativa anotada", "workaround noted");
            ask(context, &Ask::Mitigate { incident, how }, done).await
        }
        Some(Command::Note { incident: id, text }) => {
            let incident = incident(&id, context)?;
            let done = context.say("anotado", "noted");
            ask(context, &Ask::Note { incident, text }, done).await
        }
        Some(Command::Close {
            incident: id,
            cause,
        }) => {
            let incident = incident(&id, context)?;
            ask(
                context,
                &Ask::Close { incident, cause },
                context.say("cerrado", "closed"),
            )
            .await
        }
        Some(Command::Cause {
            incident: id,
            cause,
        }) => {
            let id = incident(&id, context)?;
            if context
                .database()
                .await?
                .set_cause(&id.to_string(), &cause)
                .await?
            {
                out::line(context.say("causa anotada", "cause noted"))?;
                return Ok(Exit::Fine);
            }
            anyhow::bail!(context.say(
                format!("{id} no está cerrado, o no existe"),
                format!("{id} is not closed, or does not exist"),
            ));
        }
    }
}

async fn list(days: Option<u16>, json: bool, context: &Context) -> anyhow::Result<Exit> {
    let now = Timestamp::now();
    let which = days.map_or(Which::Open, |days| {
        let back = SignedDuration::from_hours(24 * i64::from(days));
        let soon = now
            .saturating_add(SignedDuration::from_secs(60))
            .unwrap_or(now);
        Which::Between(now.saturating_sub(back).unwrap_or(Timestamp::MIN), soon)
    });
    let rows = context.database().await?.incidents(which).await?;
    if json {
        out::json(&rows)?;
        return Ok(Exit::Fine);
    }
    if rows.is_empty() {
        out::line(context.say("No hay incidentes.", "There are no incidents."))?;
        return Ok(Exit::Fine);
    }
    let headings = context.say(
        [
            "Incidente",
            "Gravedad",
            "Estado",
            "Cliente",
            "Abierto",
            "Qué",
        ],
        ["Incident", "Severity", "State", "Client", "Opened", "What"],
    );
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let severity = sentinel::Severity::from_word(&row.severity);
            let severity = severity.map_or(row.severity, |it| {
                words::of_severity(context.language, it).to_owned()
            });
            let state = sentinel::decide::State::from_word(&row.state);
            let state = state.map_or(row.state, |it| {
                words::of_state(context.language, it).to_owned()
            });
            let tenant = row.tenant.unwrap_or_default();
            vec![
                row.id,
                severity,
                state,
                tenant,
                context.moment(row.opened_at),
                row.summary,
            ]
        })
        .collect();
    out::print(&out::table(&headings, &rows))?;
    Ok(Exit::Fine)
}

async fn show(id: &str, json: bool, context: &Context) -> anyhow::Result<Exit> {
    let id = incident(id, context)?;
    let mut database = context.database().await?;
    let Some(found) = database.incident(id).await? else {
        anyhow::bail!(context.say(format!("no hay {id}"), format!("there is no {id}")));
    };
    let timeline = database.timeline(id).await?;
    if json {
        out::json(&serde_json::json!({ "incident": found, "timeline": timeline }))?;
        return Ok(Exit::Fine);
    }
    let language = context.language;
    let summary = sentinel::message::summary(&context.config, &found, language);
    let lasted = found
        .closed_at
        .unwrap_or_else(Timestamp::now)
        .duration_since(found.since);
    let facts = [
        vec![id.to_string(), summary],
        vec![
            context.say("Gravedad", "Severity").into(),
            words::of_severity(language, found.severity).into(),
        ],
        vec![
            context.say("Clase", "Class").into(),
            words::of_class(language, found.class).into(),
        ],
        vec![
            context.say("Estado", "State").into(),
            words::of_state(language, found.state).into(),
        ],
        vec![
            context.say("Desde", "Since").into(),
            context.moment(found.since),
        ],
        vec![
            context.say("Duración", "Duration").into(),
            words::seconds_text(lasted.as_secs_f64()),
        ],
        vec![
            context.say("Causa", "Cause").into(),
            found.cause.clone().unwrap_or_default(),
        ],
    ];
    let [head, rest @ ..] = &facts;
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    out::print(&out::table(&head, rest))?;
    out::line("")?;
    let lines: Vec<Vec<String>> = timeline
        .into_iter()
        .map(|line| {
            let what = sentinel::decide::Happened::from_word(&line.what);
            let what = what.map_or(line.what, |it| words::of_happened(language, it).to_owned());
            let who = [line.who, line.detail].join(" ");
            vec![context.moment(line.at), what, who.trim().to_owned()]
        })
        .collect();
    let headings = context.say(["Cuándo", "Qué", "Detalle"], ["When", "What", "Detail"]);
    out::print(&out::table(&headings, &lines))?;
    Ok(Exit::Fine)
}
