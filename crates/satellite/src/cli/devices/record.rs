//! `satellite devices record`: a recording of what a ZKTeco terminal says and hears, without the
//! people in it.
//!
//! The command writes a job; the running satellite that the terminal speaks to records, and this
//! shows how it ended. Leaving does not stop it. Nothing here sees a terminal or what it says.

use std::time::{Duration, Instant};

use daemon::exit::Exit;
use event::{Millis, Serial};
use satellite::record::{RECORD, Recorded, Request};
use serde_json::{Value, json};
use store::jobs::{self, Job, JobState, NewJob};
use store::registry::{self, Enrolment};

use super::super::words::{Speaks as _, Word};
use super::super::{Context, databases, lockdown, now, out, time};
use super::Registry;
use super::command::target;

pub(super) const EXAMPLES: &str = "Examples:
  satellite devices record ABC1 --minutes 15
  terminals replay recording-000001.jsonl --target http://127.0.0.1:8081
Names, cards, passwords, pictures, keys and the serial are replaced before anything is written.";

/// How often the job is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long a job may wait before a person is told why it may.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long it may wait for the terminal to speak, in milliseconds.
const WAITS: i64 = 600_000;

/// What `devices record` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its serial number
    serial: Serial,
    /// How many minutes, 1 to 60
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=60))]
    minutes: u64,
    /// Do not wait until it is done
    #[arg(long)]
    no_wait: bool,
    /// As JSON, when it is done
    #[arg(long)]
    json: bool,
}

/// Records.
pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let mut registry = Registry::open(context).await?;
    let other = Word::RecordNotPush;
    let one = target(&mut registry, &args.serial, other, context).await?;
    lockdown::refuse(context, Some(&one.tenant)).await?;
    let expires_at = Millis(now().0 + i64::try_from(args.minutes * 60_000)? + WAITS);
    let job = enqueue(&mut registry, &one, args.minutes, expires_at).await?;
    if args.no_wait {
        if args.json {
            out::json(&json!({ "job": job, "serial": one.serial.as_str() }))?;
        } else {
            out::line(&context.say(Word::RecordQueued, &[&job, &args.minutes]))?;
        }
        return Ok(Exit::Fine);
    }
    out::remark(&context.say(Word::RecordQueued, &[&job, &args.minutes]));
    let job = wait(&mut registry, job, &one, context).await?;
    report(&job, &one, args, context)
}

async fn enqueue(
    registry: &mut Registry<'_>,
    one: &Enrolment,
    minutes: u64,
    expires_at: Millis,
) -> anyhow::Result<i64> {
    let request = json!(Request {
        seconds: minutes * 60
    })
    .to_string();
    let new = NewJob {
        device: one.id,
        kind: RECORD,
        request: &request,
        expires_at,
    };
    let (actor, engine) = (registry.actor.clone(), &mut registry.engine);
    let done = async {
        let job = jobs::enqueue(engine, &new, now()).await?;
        let detail = json!({ "job": job, "minutes": minutes }).to_string();
        let serial = one.serial.as_str();
        registry::audit(engine, now(), &actor, RECORD, serial, &detail).await?;
        Ok(job)
    };
    done.await
        .map_err(|failure| databases::told(registry.context, &registry.place, &failure))
}

/// Waits until the job has ended.
async fn wait(
    registry: &mut Registry<'_>,
    id: i64,
    one: &Enrolment,
    context: &Context,
) -> anyhow::Result<Job> {
    let program = super::super::program();
    let (began, mut warned) = (Instant::now(), false);
    loop {
        let read = jobs::get(&mut registry.engine, id).await;
        let read = read.map_err(|failure| databases::told(context, &registry.place, &failure))?;
        let Some(job) = read else {
            anyhow::bail!("job {id} is gone");
        };
        if !matches!(job.state, JobState::Waiting | JobState::Running) {
            return Ok(job);
        }
        if job.state == JobState::Waiting && !warned && began.elapsed() >= PATIENCE {
            warned = true;
            let until = time::utc(job.expires_at);
            out::remark(&context.say(Word::RecordWaits, &[&until, &program, &one.serial]));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn report(job: &Job, one: &Enrolment, args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let said = job.result.as_deref().unwrap_or_default();
    let done: Option<Recorded> = serde_json::from_str(said).ok();
    let error = match (job.state, &done) {
        (JobState::Done, Some(_)) => None,
        (JobState::Expired, _) => {
            let program = super::super::program();
            Some(context.say(Word::RecordExpired, &[&program, &one.serial]))
        }
        _ => {
            let said: Value = serde_json::from_str(said).unwrap_or_default();
            Some(said["error"].as_str().unwrap_or_default().to_owned())
        }
    };
    if args.json {
        out::json(&json!({
            "job": job.id,
            "serial": one.serial.as_str(),
            "state": job.state.as_str(),
            "recorded": done,
            "error": error,
        }))?;
    } else if let Some(error) = &error {
        let error = context.lang.detail(error);
        out::complain(&context.say(Word::RecordFailed, &[&one.serial, &error]));
    } else if let Some(done) = &done {
        let file = done.file.display();
        out::line(&context.say(Word::RecordDone, &[&done.requests, &done.missed, &file]))?;
        if done.cut {
            out::remark(&context.say(Word::RecordCut, &[]));
        }
    }
    Ok(if error.is_none() {
        Exit::Fine
    } else {
        Exit::Failed
    })
}
