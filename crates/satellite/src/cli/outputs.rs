//! `satellite outputs list|pause|resume|replay`: where stored events are carried to, and how far.
//!
//! Works on the databases, with and without a running satellite; a running one looks at an
//! output's row before each delivery. Whatever is changed leaves a line in the registry's audit,
//! written first, so that nothing is changed that nobody can be asked about.

use clap::Subcommand;
use daemon::actor::actor;
use daemon::exit::Exit;
use daemon::logging::Escaped;
use event::Millis;
use satellite::config::Output;
use satellite::outputs::{stands_after, utc};
use serde_json::json;
use store::outputs::{self, Key, Standing, Wanted};
use store::{AnyEngine, Failure, registry};

use super::databases::{self, Place};
use super::words::{Speaks as _, Word};
use super::{Context, nearest, now, out, table, time};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite outputs list
  satellite outputs pause payroll
  satellite outputs resume payroll
  satellite outputs replay payroll --since 2026-11-20     # everything that came since then, again
  satellite outputs replay payroll --dead                 # what the receiver did not take";

/// What `outputs` is told.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Every output, how far it has come, and what stops it
    #[command(after_help = "Example:\n  satellite outputs list --json")]
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Deliver nothing until it is resumed; events wait in the feed
    #[command(after_help = "Example:\n  satellite outputs pause payroll")]
    Pause {
        /// The output's name in the configuration
        name: String,
    },
    /// Go on where it was paused
    #[command(after_help = "Example:\n  satellite outputs resume payroll")]
    Resume {
        /// The output's name in the configuration
        name: String,
    },
    /// Deliver again; receivers know repeated events by their event_uid
    #[command(after_help = EXAMPLES)]
    Replay(Replay),
}

/// What is delivered again.
#[derive(clap::Args)]
pub(crate) struct Replay {
    /// The output's name in the configuration
    name: String,
    /// Everything that came since then: 2h, 2026-11-21, "2026-11-21 08:00"
    #[arg(
        long,
        value_name = "TIME",
        required_unless_present = "dead",
        conflicts_with = "dead"
    )]
    since: Option<String>,
    /// The dead letters
    #[arg(long)]
    dead: bool,
}

/// Carries it out.
pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::List { json } => list(json, context).await,
        Command::Pause { name } => set_paused(&name, true, context).await,
        Command::Resume { name } => set_paused(&name, false, context).await,
        Command::Replay(args) => replay(&args, context).await,
    }
}

/// One output, as it is listed.
struct Line<'a> {
    output: &'a Output,
    standing: Option<Standing>,
    dead: i64,
    oldest: Option<Millis>,
}

async fn list(as_json: bool, context: &Context) -> anyhow::Result<Exit> {
    let (mut lines, mut exit) = (Vec::new(), Exit::Fine);
    for output in &context.config.outputs {
        match line(output, context).await {
            Ok(line) => lines.push(line),
            // One tenant's database must not hide the outputs of the others.
            Err(error) => {
                out::complain(&format!("{}: {error}", output.name));
                exit = Exit::Failed;
            }
        }
    }
    let now = now();
    if as_json {
        out::json(
            &lines
                .iter()
                .map(|line| as_value(line, now))
                .collect::<Vec<_>>(),
        )?;
    } else if context.config.outputs.is_empty() {
        out::line(&context.say(Word::NoOutputs, &[]))?;
    } else {
        let headings = context.lang.headings(&[
            Word::Output,
            Word::Tenant,
            Word::Kind,
            Word::State,
            Word::Lag,
            Word::Delivered,
            Word::DeadLetters,
            Word::Detail,
        ]);
        let rows: Vec<Vec<String>> = lines.iter().map(|line| cells(line, now, context)).collect();
        out::print(&table::table(&headings, &rows))?;
    }
    Ok(exit)
}

async fn line<'a>(output: &'a Output, context: &Context) -> anyhow::Result<Line<'a>> {
    let place = place(output, context)?;
    let mut engine = databases::open(context, &place).await?;
    let read = read(&mut engine, output).await;
    read.map_err(|failure| databases::told(context, &place, &failure))
}

async fn read<'a>(engine: &mut AnyEngine, output: &'a Output) -> Result<Line<'a>, Failure> {
    let standing = outputs::standing(engine, key(output)).await?;
    let dead = outputs::dead_letters(engine, key(output)).await?;
    let oldest = match &standing {
        Some(standing) => oldest(engine, output, standing.seq).await?,
        None => None,
    };
    Ok(Line {
        output,
        standing,
        dead,
        oldest,
    })
}

/// When the first event came that its receiver does not have.
async fn oldest(
    engine: &mut AnyEngine,
    output: &Output,
    after: i64,
) -> Result<Option<Millis>, Failure> {
    let wanted = Wanted {
        tenant: output.tenant.as_str(),
        kinds: &output.kinds,
        between: None,
        limit: 1,
    };
    let mut after = after;
    loop {
        let page = outputs::page(engine, wanted, after).await?;
        match page.rows.first() {
            Some(row) => return Ok(Some(row.received_at)),
            None if page.has_more => after = page.up_to,
            None => return Ok(None),
        }
    }
}

fn state(line: &Line<'_>, now: Millis) -> &'static str {
    let Some(standing) = &line.standing else {
        return "starting";
    };
    let long = i64::try_from(stands_after().as_millis()).unwrap_or(i64::MAX);
    let is_read = |(_, until): &(String, Millis)| *until > now;
    match standing.failing_since {
        _ if standing.is_paused => "paused",
        _ if !standing.held.as_ref().is_some_and(is_read) => "unread",
        Some(since) if now.0.saturating_sub(since.0) >= long => "standing",
        Some(_) => "failing",
        None => "fine",
    }
}

fn lag(line: &Line<'_>, now: Millis) -> i64 {
    line.oldest
        .map_or(0, |oldest| (now.0 - oldest.0).max(0) / 1000)
}

fn as_value(line: &Line<'_>, now: Millis) -> serde_json::Value {
    let standing = line.standing.as_ref();
    json!({
        "name": line.output.name,
        "tenant": line.output.tenant.as_str(),
        "kind": line.output.to.kind(),
        "place": line.output.to.place(),
        "state": state(line, now),
        "seq": standing.map(|it| it.seq),
        "lag_seconds": lag(line, now),
        "delivered": standing.map(|it| it.delivered),
        "delivered_at": standing.and_then(|it| it.delivered_at).map(utc),
        "dead_letters": line.dead,
        "failing_since": standing.and_then(|it| it.failing_since).map(utc),
        "trouble": standing.and_then(|it| it.trouble.clone()),
    })
}

fn cells(line: &Line<'_>, now: Millis, context: &Context) -> Vec<String> {
    let (output, standing) = (line.output, line.standing.as_ref());
    let zone = context.zone(None, Some(&output.tenant));
    let since = standing.and_then(|it| it.failing_since);
    let detail = match (since, standing.and_then(|it| it.trouble.as_deref())) {
        (Some(since), Some(why)) => {
            let why = context.lang.detail(why);
            format!("{}: {why}", time::show(since, &zone))
        }
        _ => output.to.place(),
    };
    vec![
        output.name.clone(),
        output.tenant.to_string(),
        context.lang.term(output.to.kind()),
        context.lang.term(state(line, now)),
        format!("{} s", lag(line, now)),
        standing.map_or_else(String::new, |it| it.delivered.to_string()),
        line.dead.to_string(),
        detail,
    ]
}

async fn set_paused(name: &str, paused: bool, context: &Context) -> anyhow::Result<Exit> {
    let output = find(name, context)?;
    let action = if paused {
        "output_pause"
    } else {
        "output_resume"
    };
    note(output, action, &json!({}), context).await?;
    let (place, mut engine) = begun(output, context).await?;
    let done = outputs::set_paused(&mut engine, key(output), paused).await;
    done.map_err(|failure| databases::told(context, &place, &failure))?;
    let word = if paused {
        Word::OutputPaused
    } else {
        Word::OutputResumed
    };
    out::line(&context.say(word, &[&output.name]))?;
    Ok(Exit::Fine)
}

async fn replay(args: &Replay, context: &Context) -> anyhow::Result<Exit> {
    let output = find(&args.name, context)?;
    let zone = context.zone(None, Some(&output.tenant));
    let since = args.since.as_deref();
    let since = since.map(|text| time::moment(text, &zone, now()).map_err(anyhow::Error::msg));
    let since = since.transpose()?;
    super::lockdown::refuse(context, Some(&output.tenant)).await?;
    let detail = json!({ "since": since.map(utc), "dead": args.dead });
    note(output, "output_replay", &detail, context).await?;
    let (place, mut engine) = begun(output, context).await?;
    let done = again(&mut engine, output, since).await;
    let count = done.map_err(|failure| databases::told(context, &place, &failure))?;
    out::line(&match since {
        Some(since) => context.say(
            Word::OutputRewound,
            &[&output.name, &time::show(since, &zone)],
        ),
        None => context.say(Word::OutputRevives, &[&output.name, &count]),
    })?;
    Ok(Exit::Fine)
}

/// Sets the cursor back, never forward, or lets the dead letters go again; answers how many of
/// those there are.
async fn again(
    engine: &mut AnyEngine,
    output: &Output,
    since: Option<Millis>,
) -> Result<i64, Failure> {
    let key = key(output);
    let Some(since) = since else {
        outputs::set_revives(engine, key, true).await?;
        return outputs::dead_letters(engine, key).await;
    };
    let to = outputs::before(engine, since).await?;
    let stands = outputs::standing(engine, key).await?;
    if stands.is_some_and(|standing| standing.seq > to) {
        outputs::rewind(engine, key, to).await?;
    }
    Ok(0)
}

fn key(output: &Output) -> Key<'_> {
    Key {
        tenant: output.tenant.as_str(),
        name: &output.name,
    }
}

fn find<'a>(name: &str, context: &'a Context) -> anyhow::Result<&'a Output> {
    let all = &context.config.outputs;
    if let Some(known) = all.iter().find(|known| known.name == name) {
        return Ok(known);
    }
    if all.is_empty() {
        anyhow::bail!(context.say(Word::NoOutputs, &[]));
    }
    let names = all.iter().map(|known| known.name.as_str());
    let names = nearest::nearest_first(name, names).join(", ");
    anyhow::bail!(context.say(Word::UnknownOutput, &[&Escaped(name), &names]))
}

fn place(output: &Output, context: &Context) -> anyhow::Result<Place> {
    let place = databases::places(context, Some(&output.tenant))
        .into_iter()
        .next();
    place.ok_or_else(|| anyhow::anyhow!("the tenant has no database"))
}

/// The database of an output that has its row.
async fn begun(output: &Output, context: &Context) -> anyhow::Result<(Place, AnyEngine)> {
    let place = place(output, context)?;
    let (mut engine, _) = databases::open_ready(context, &place).await?;
    let done = outputs::begin(&mut engine, key(output), output.from_start, now()).await;
    done.map_err(|failure| databases::told(context, &place, &failure))?;
    Ok((place, engine))
}

/// Leaves a line in the audit.
async fn note(
    output: &Output,
    action: &str,
    detail: &serde_json::Value,
    context: &Context,
) -> anyhow::Result<()> {
    let place = databases::registry_place(context);
    let (mut engine, _) = databases::open_ready(context, &place).await?;
    let (who, detail) = (actor(), detail.to_string());
    let subject = format!("{}/{}", output.tenant, output.name);
    let done = registry::audit(&mut engine, now(), &who, action, &subject, &detail).await;
    done.map_err(|failure| databases::told(context, &place, &failure))
}
