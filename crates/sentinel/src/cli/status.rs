//! `sentinel status`: how each client stands, by which indicator, and what was seen last.

use daemon::exit::Exit;
use jiff::{SignedDuration, Timestamp};
use sentinel::database::{Seen, Which};
use sentinel::{Fact, Finding, message, words};

use super::{Context, complain, out};

pub(crate) const EXAMPLES: &str = "Examples:
  sentinel status
  sentinel status --json";

/// A running sentinel proves itself more often than this.
const ALIVE: SignedDuration = SignedDuration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let mut database = context.database().await?;
    let now = Timestamp::now();
    let alive_at = database.alive_at().await?;
    let alive = alive_at.is_some_and(|at| now.duration_since(at) < ALIVE);
    let tenants = database.tenants().await?;
    let incidents = database.incidents(Which::Open).await?;
    let latest = database.latest().await?;
    let windows = database.windows(now).await?;
    if args.json {
        out::json(&serde_json::json!({
            "running": alive,
            "alive_at": alive_at,
            "tenants": tenants,
            "open_incidents": incidents,
            "maintenance": windows,
            "latest": latest,
        }))?;
        return Ok(exit(alive));
    }
    if !alive {
        complain(context.say(
            "Sentinela no está en marcha: lo que sigue es lo último que vio",
            "sentinel is not running: what follows is what it saw last",
        ));
    }
    let headings = context.say(
        ["Cliente", "Estado", "Desde", "Indicador"],
        ["Client", "State", "Since", "Indicator"],
    );
    let rows: Vec<Vec<String>> = tenants
        .into_iter()
        .map(|state| {
            let name = context.config.tenant_name(&state.tenant).to_owned();
            let standing = words::of_standing(context.language, state.standing).to_owned();
            let indicator = words::of_indicator(context.language, &state.indicator);
            vec![name, standing, context.moment(state.since), indicator]
        })
        .collect();
    out::print(&out::table(&headings, &rows))?;
    out::line("")?;
    let headings = context.say(
        ["Revisión", "Qué", "Resultado", "Visto"],
        ["Check", "What", "Result", "Seen"],
    );
    let rows: Vec<Vec<String>> = latest.iter().map(|seen| row(seen, context)).collect();
    out::print(&out::table(&headings, &rows))?;
    out::line("")?;
    let open = incidents.len();
    out::line(&context.say(
        format!("Incidentes sin cerrar: {open}"),
        format!("Incidents not closed: {open}"),
    ))?;
    Ok(exit(alive))
}

fn exit(alive: bool) -> Exit {
    if alive { Exit::Fine } else { Exit::Failed }
}

fn row(seen: &Seen, context: &Context) -> Vec<String> {
    let language = context.language;
    let told = |finding: &Finding| words::of_finding(language, &context.config.zone, finding);
    let result = match &seen.observation.finding {
        Finding::Fine => match &seen.observation.version {
            Some(version) => {
                let words = context.say("bien, versión", "fine, version");
                format!("{words} {version}")
            }
            None => context.say("bien", "fine").to_owned(),
        },
        finding @ Finding::Unknown { .. } => {
            format!("{}: {}", context.say("sin datos", "unknown"), told(finding))
        }
        Finding::Wrong { troubles } => {
            let why = troubles.iter().map(|trouble| {
                let title = words::of_kind(trouble.kind).title(language);
                match trouble.facts.get(&Fact::Detail) {
                    Some(detail) => {
                        let detail = words::of_value(language, &context.config.zone, detail);
                        format!("{title}: {detail}")
                    }
                    None => title.to_owned(),
                }
            });
            why.collect::<Vec<_>>().join("; ")
        }
    };
    vec![
        seen.look.clone(),
        message::name_of(&seen.observation.subject, language),
        result,
        context.moment(seen.observation.at),
    ]
}
