//! A fleet that is dialled: memory, processor time and logins of one process that searches
//! every device each few seconds and keeps a stream from each.
//!
//! The devices are played in this process, on the same cores; satellite's own time is read
//! from the kernel and told apart. The run fails when a device was locked, a login was wrong,
//! or a row is missing or doubled at the end.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use terminals::hikvision::{Counters, Device, LogOptions};

use super::stage::{Crowd, Stage, empty_log, plain};
use crate::load::Cpu;
use crate::machine::{self, Memory};
use crate::parse::number;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Dialled devices.
    #[arg(long, default_value_t = 1_000)]
    devices: u32,
    /// Seconds that are measured; nonces live for 300.
    #[arg(long, default_value_t = 360)]
    seconds: u64,
    /// Punches a second over all devices; each makes three rows.
    #[arg(long, default_value_t = 10.0)]
    per_second: f64,
    /// Records on each device before.
    #[arg(long, default_value_t = 60)]
    history: u64,
}

const USE: &[&str] = &[
    "devices dialled",
    "searches/s",
    "RSS MiB",
    "peak RSS MiB",
    "CPU of one core",
    "database CPU",
    "devices' CPU",
    "punches",
    "p50 s",
    "p99 s",
    "worst s",
    "missing",
    "doubled",
];
const LOGINS: &[&str] = &[
    "what clients did to the devices",
    "connections",
    "open at most, one device",
    "requests",
    "challenges",
    "logins",
    "stale",
    "wrong",
    "locked",
    "streams",
    "arming refused",
];

pub(crate) async fn run(options: &Options) -> Result<Report> {
    if let Some(advice) = terminals::descriptor_advice(options.devices.saturating_mul(4)) {
        bail!("{advice}");
    }
    let stage = Stage::start().await?;
    let mut devices = Vec::new();
    for place in 0..options.devices {
        // A page that is searched is full, as it is on every device in service.
        let log = LogOptions {
            history: options.history,
            history_owed: true,
            ..empty_log(true)
        };
        let mut device = plain("DIAL", place, log);
        device.stream.replay = false;
        devices.push(stage.device(device).await?);
    }
    stage.enrol(devices.iter()).await?;
    stage.connected(&devices, Duration::from_secs(300)).await?;
    // Two rounds of searches, so that every connection has been used.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let at_first = total(&devices);
    let seconds = Duration::from_secs(options.seconds.max(1));
    let before = stage.cpu()?;
    let made = Crowd::new(options.per_second)
        .walk_for(&devices, seconds)
        .await?;
    let cpu = stage.cpu()?.since(before);
    let memory = machine::memory(stage.satellite.process_id())?;
    let in_between = total(&devices);
    let delays = stage
        .feed
        .delays_within(&made, Duration::from_secs(90))
        .await?;
    let verdict = stage.settled("", Duration::from_secs(90)).await?;
    let searches = number(in_between.questions - at_first.questions) / seconds.as_secs_f64();
    let mut table = Table::new("Dialled devices", USE);
    let mut row = used(options, searches, memory, cpu);
    row.extend([
        Cell::Count(delays.count()),
        Cell::Number(delays.per_mille(500), 3),
        Cell::Number(delays.per_mille(990), 3),
        Cell::Number(delays.per_mille(1_000), 3),
        Cell::Count(u64::try_from(verdict.missing.len())?),
        Cell::Count(u64::try_from(verdict.doubled)?),
    ]);
    table.push(row);
    let mut logins = Table::new("Logins", LOGINS);
    logins.push(counted("until all were connected", &at_first));
    logins.push(counted("until the end", &in_between));
    verdict.clean()?;
    ensure!(
        in_between.lockouts == 0 && in_between.logins_wrong == 0,
        "devices were logged in to wrongly: {in_between:?}"
    );
    drop(devices);
    stage.satellite.stop().await?;
    Ok(Report::new(vec![table, logins]))
}

fn used(options: &Options, searches: f64, memory: Memory, cpu: Cpu) -> Vec<Cell> {
    let seconds = number(options.seconds.max(1));
    vec![
        Cell::text(options.devices.to_string()),
        Cell::Number(searches, 1),
        Cell::Number(memory.resident, 1),
        Cell::Number(memory.peak, 1),
        Cell::Share(cpu.satellite / seconds),
        Cell::Share(cpu.database / seconds),
        Cell::Share(cpu.terminals / seconds),
    ]
}

/// The counters of all devices together; `peak` is the largest of one device.
pub(super) fn total(devices: &[Device]) -> Counters {
    let mut all = Counters::default();
    for one in devices.iter().map(Device::counters) {
        all.connections += one.connections;
        all.peak = all.peak.max(one.peak);
        all.requests += one.requests;
        all.challenges += one.challenges;
        all.logins += one.logins;
        all.logins_wrong += one.logins_wrong;
        all.lockouts += one.lockouts;
        all.stale += one.stale;
        all.spent += one.spent;
        all.streams += one.streams;
        all.arming_refused += one.arming_refused;
        all.questions += one.questions;
    }
    all
}

fn counted(when: &str, counters: &Counters) -> Vec<Cell> {
    let mut row = vec![Cell::text(when)];
    let counts = [
        counters.connections,
        counters.peak,
        counters.requests,
        counters.challenges,
        counters.logins,
        counters.stale,
        counters.logins_wrong,
        counters.lockouts,
        counters.streams,
        counters.arming_refused,
    ];
    row.extend(counts.map(Cell::Count));
    row
}
