//! `satellite backfill`: has a terminal asked for a window of its record again.
//!
//! The command writes a job into the registry; a running satellite that talks to the terminal
//! carries it out, and this shows how far it is. Leaving does not stop it. Asking twice is
//! harmless: what is stored already is folded. Nothing here talks to a terminal.

use std::time::{Duration, Instant};

use daemon::exit::Exit;
use event::{Millis, Serial, Vendor};
use serde::Deserialize;
use serde_json::json;
use store::jobs::{self, Job, JobState, NewJob};
use store::registry::{self, Enrolment, EnrolmentState};
use store::{AnyEngine, Failure};

use super::databases::{self, Place};
use super::words::{Speaks as _, Word};
use super::{Context, actor, http, now, out, time};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite backfill ABC1 --from 2026-11-20 --to 2026-11-21
  satellite backfill ABC1 --from \"2026-11-20 08:00\" --to \"2026-11-20 12:00\" --json
  satellite backfill ABC1 --from 2h --no-wait
Ctrl-C leaves the job in place. What is stored already is not stored again.";

/// How often the job is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long a job may wait before a person is told why it may.
const PATIENCE: Duration = Duration::from_secs(15);
/// The kind of the job, as the daemon knows it.
const KIND: &str = "backfill";
/// A window that is longer is a mistake, in milliseconds: ten years.
const LONGEST: i64 = 10 * 366 * 86_400_000;

/// What `backfill` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The terminal's serial number
    serial: Serial,
    /// From when on: 2h, 2026-11-21, "2026-11-21 08:00"
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Up to when [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// How long the job may wait for the terminal
    #[arg(long, value_name = "TIME", default_value = "24h")]
    expires: daemon::config::Span,
    /// Do not wait until it is done
    #[arg(long)]
    no_wait: bool,
    /// As JSON, when it is done
    #[arg(long)]
    json: bool,
}

/// How far a job is, or how it ended.
#[derive(Debug, Default, Deserialize)]
struct Told {
    done_to: Option<String>,
    #[serde(default)]
    records: u64,
    #[serde(default)]
    new: u64,
    error: Option<String>,
}

impl Told {
    fn read(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }
}

/// Asks for a window and shows how it goes.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let place = databases::registry_place(context);
    let (mut engine, _) = databases::open_ready(context, &place).await?;
    let told = |failure: Failure| databases::told(context, &place, &failure);
    let found = registry::find(&mut engine, None, &args.serial).await;
    let Some(one) = found.map_err(told)? else {
        anyhow::bail!(context.say(Word::UnknownSerial, &[&args.serial, &super::program()]));
    };
    // Whoever only posts cannot be asked; a ZKTeco terminal that pushes takes commands.
    if one.access.address.is_none() && one.vendor != Vendor::Zkteco {
        let word = match one.vendor {
            Vendor::Other => Word::CannotAskOther,
            _ => Word::CannotAskAgain,
        };
        anyhow::bail!(context.say(word, &[&args.serial]));
    }
    if one.state == EnrolmentState::Blocked {
        anyhow::bail!(context.say(Word::AdviseBlocked, &[&super::program(), &args.serial]));
    }
    let (from, to) = window(args, &one, context)?;
    let id = enqueue(&mut engine, &one, (from, to), args)
        .await
        .map_err(told)?;
    if args.no_wait {
        let program = super::program();
        out::line(&context.say(Word::BackfillQueued, &[&id, &program]))?;
        return Ok(Exit::Fine);
    }
    let job = wait(&mut engine, &place, id, context).await?;
    report(&job, &one, (from, to), args, context)
}

fn window(args: &Args, one: &Enrolment, context: &Context) -> anyhow::Result<(Millis, Millis)> {
    let zone = context.zone(one.time_zone.as_deref(), Some(&one.tenant));
    let read = |text: &str| time::moment(text, &zone, now()).map_err(anyhow::Error::msg);
    let from = read(&args.from)?;
    let to = args.to.as_deref().map_or_else(|| Ok(now()), read)?;
    let shown = |at| time::show(at, &zone);
    if from >= to || to.0.saturating_sub(from.0) > LONGEST {
        anyhow::bail!(context.say(Word::WindowIsNone, &[&shown(from), &shown(to)]));
    }
    Ok((from, to))
}

async fn enqueue(
    engine: &mut AnyEngine,
    one: &Enrolment,
    (from, to): (Millis, Millis),
    args: &Args,
) -> Result<i64, Failure> {
    let request = json!({ "from": from.text(), "to": to.text() }).to_string();
    let wait = i64::try_from(args.expires.0.as_millis()).unwrap_or(i64::MAX);
    let job = NewJob {
        device: one.id,
        kind: KIND,
        request: &request,
        expires_at: Millis(now().0.saturating_add(wait)),
    };
    let id = jobs::enqueue(engine, &job, now()).await?;
    let detail = json!({ "job": id, "from": from.text(), "to": to.text() }).to_string();
    let (actor, serial) = (actor::actor(), one.serial.as_str());
    registry::audit(engine, now(), &actor, "backfill", serial, &detail).await?;
    Ok(id)
}

/// Shows how far the job is until it has ended.
async fn wait(
    engine: &mut AnyEngine,
    place: &Place,
    id: i64,
    context: &Context,
) -> anyhow::Result<Job> {
    let (began, mut warned, mut shown) = (Instant::now(), false, None);
    loop {
        let job = match jobs::get(engine, id).await {
            Ok(Some(job)) => job,
            Ok(None) => anyhow::bail!("job {id} is gone"),
            Err(failure) => {
                out::complain(&databases::told(context, place, &failure).to_string());
                tokio::time::sleep(LOOK * 4).await;
                if let Ok(again) = databases::open(context, place).await {
                    *engine = again;
                }
                continue;
            }
        };
        if !matches!(job.state, JobState::Waiting | JobState::Running) {
            return Ok(job);
        }
        if job.state == JobState::Running && job.progress != shown {
            let told = Told::read(job.progress.as_deref());
            let done = told.done_to.unwrap_or_default();
            let done = daemon::logging::Escaped(&done);
            out::remark(&context.say(Word::BackfillProgress, &[&done, &told.records, &told.new]));
            shown.clone_from(&job.progress);
        }
        if job.state == JobState::Waiting && !warned && began.elapsed() >= PATIENCE {
            warned = true;
            out::remark(&waits(&job, context).await);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Why nobody may have taken the job.
async fn waits(job: &Job, context: &Context) -> String {
    let until = time::utc(job.expires_at);
    let admin = context.config.listen.admin;
    match http::get(admin, "/healthz").await {
        Ok(_) => context.say(Word::BackfillWaits, &[&until]),
        Err(error) => {
            let error = context.lang.detail(&error.to_string());
            context.say(Word::BackfillNobody, &[&admin, &error, &until])
        }
    }
}

fn report(
    job: &Job,
    one: &Enrolment,
    (from, to): (Millis, Millis),
    args: &Args,
    context: &Context,
) -> anyhow::Result<Exit> {
    let told = Told::read(job.result.as_deref());
    let error = match job.state {
        JobState::Done => None,
        JobState::Failed => Some(told.error.clone().unwrap_or_default()),
        _ => Some(context.say(Word::BackfillExpired, &[])),
    };
    if args.json {
        out::json(&json!({
            "job": job.id,
            "serial": one.serial.as_str(),
            "from": time::utc(from),
            "to": time::utc(to),
            "state": job.state.as_str(),
            "records": told.records,
            "new": told.new,
            "error": error,
        }))?;
    } else if let Some(error) = &error {
        let error = context.lang.detail(error);
        out::complain(&context.say(Word::BackfillFailed, &[&one.serial, &error]));
    } else {
        out::line(&context.say(Word::BackfillDone, &[&one.serial, &told.records, &told.new]))?;
    }
    Ok(if error.is_none() {
        Exit::Fine
    } else {
        Exit::Failed
    })
}
