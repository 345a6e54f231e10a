//! `satellite devices schedule SERIAL`: how often a terminal that is dialled is visited.
//!
//! Without a schedule satellite stays with a ZKTeco terminal and searches a Hikvision device every
//! few seconds. A schedule is for one that others must be able to speak to as well, or that hangs
//! on a line which is paid by use. It is never rarer than once an hour, because what a terminal
//! says it holds is compared with what is stored every hour.

use daemon::config::Span;
use daemon::exit::Exit;
use daemon::logging::Escaped;
use event::{Serial, Vendor};
use serde_json::json;
use store::registry::{self, Enrolment};

use super::super::words::Word;
use super::super::{Context, lockdown, now, out};
use super::{Registry, noticed};

pub(super) const EXAMPLES: &str = "Examples:
  satellite devices schedule ABC1 --every 15m
  satellite devices schedule ABC1 --default
A ZKTeco terminal with a schedule is left after each visit, so that other programs can speak to
it in between; its punches come with the visits. A Hikvision device is searched at most so often;
its live stream stays. Never more often than 30s, nor more rarely than 1h.";

/// Shortest and longest time from one visit to the next, in seconds.
const LIMITS: (u64, u64) = (30, 3_600);

/// What `devices schedule` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its serial number
    serial: Serial,
    /// From one visit to the next, 30s to 1h
    #[arg(
        long,
        value_name = "TIME",
        required_unless_present = "default",
        conflicts_with = "default"
    )]
    every: Option<String>,
    /// As often as satellite does by itself
    #[arg(long)]
    default: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Changes it.
pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let every = args.every.as_deref().map(|text| seconds(text, context));
    let every = every.transpose()?;
    let mut registry = Registry::open(context).await?;
    let program = super::super::program();
    let Some(one) = registry.find(&args.serial).await? else {
        anyhow::bail!(context.say(Word::UnknownSerial, &[&args.serial, &program]));
    };
    if one.access.address.is_none() {
        anyhow::bail!(context.say(Word::ScheduleNotDialled, &[&args.serial]));
    }
    lockdown::refuse(context, Some(&one.tenant)).await?;
    let (serial, actor) = (&args.serial, registry.actor.clone());
    let done = registry::set_schedule(&mut registry.engine, serial, every, now(), &actor).await;
    let done = done.map_err(|error| registry.told(error))?;
    if args.json {
        out::json(&json!({
            "serial": serial.as_str(),
            "tenant": done.tenant.as_str(),
            "every_seconds": done.access.every,
        }))?;
        return Ok(Exit::Fine);
    }
    out::line(&format!("{serial}: {}", told(&done, context)))?;
    noticed(context, serial)
}

/// How often it is visited, as `devices show` says it.
pub(super) fn told(one: &Enrolment, context: &Context) -> String {
    match (one.access.every, one.vendor) {
        (Some(seconds), _) => context.say(Word::VisitedEvery, &[&length(seconds)]),
        (None, Vendor::Hikvision) => context.say(Word::SearchedOften, &[]),
        (None, _) => context.say(Word::StayedWith, &[]),
    }
}

fn seconds(text: &str, context: &Context) -> anyhow::Result<u32> {
    let span = text.parse::<Span>().ok().map(|span| span.0.as_secs());
    let usable = span.filter(|seconds| (LIMITS.0..=LIMITS.1).contains(seconds));
    let seconds = usable.and_then(|seconds| u32::try_from(seconds).ok());
    seconds.ok_or_else(|| anyhow::anyhow!(context.say(Word::ScheduleTime, &[&Escaped(text)])))
}

/// `90 s`, `15 min`.
fn length(seconds: u32) -> String {
    match seconds % 60 {
        0 => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_whole_minutes_or_seconds() {
        let all = [30, 60, 90, 900, 3_600].map(length);
        assert_eq!(all, ["30 s", "1 min", "90 s", "15 min", "60 min"]);
    }
}
