//! What terminals cost that are merely connected: memory, and processor time for their polls.
//!
//! The store is SQLite, because a poll must not touch any store. A run fails when the terminals
//! polled less than their pace asks for, and one with silent terminals when one of their
//! connections is not open any more.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use terminals::Fleet;

use crate::load;
use crate::machine;
use crate::parse::number;
use crate::process::Satellite;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Connected terminals, each polling every 10 seconds.
    #[arg(long, default_value_t = 5_000)]
    terminals: u32,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Each terminal uploads one record instead and is silent from then on.
    #[arg(long)]
    idle: bool,
}

/// Longest time until each terminal has brought its record.
const ONE_EACH: Duration = Duration::from_secs(30);

const COLUMNS: &[&str] = &[
    "what",
    "terminals",
    "polls/s",
    "RSS MiB",
    "peak RSS MiB",
    "KiB a terminal",
    "CPU of one core",
];

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let stores = format!(
        "[store]\nurl = \"sqlite://{}\"\n\
         [[tenant]]\nid = \"bench\"\nname = \"Bench\"\ntime_zone = \"America/Mexico_City\"\n",
        folder.path().join("events.db").display()
    );
    let satellite = Satellite::start(&stores).await?;
    let process = satellite.process_id();
    let empty = machine::memory(process)?.resident;
    let target = satellite.target()?;
    let scenario = if options.idle {
        load::idle(&target, options.terminals)
    } else {
        load::polling(&target, options.terminals)
    };
    let bench = |serial| (serial, "bench".to_owned());
    satellite
        .enrol(scenario.serials().into_iter().map(bench))
        .await?;
    let before = machine::descriptors(process)?;
    let fleet = load::connected(scenario).await?;
    let cost = if options.idle {
        silent(&fleet, process, before, options).await?
    } else {
        polls(&fleet, process, options).await?
    };
    let memory = machine::memory(process)?;
    fleet.stop().await;
    satellite.stop().await?;
    let each = (memory.resident - empty) * 1024.0 / f64::from(options.terminals);
    let mut table = Table::new("Connected terminals", COLUMNS);
    table.push(vec![
        Cell::text(if options.idle { "silent" } else { "polling" }),
        Cell::Count(options.terminals.into()),
        Cell::rate(cost.polls),
        Cell::Number(memory.resident, 1),
        Cell::Number(memory.peak, 1),
        Cell::Number(each, 1),
        Cell::Share(cost.cpu),
    ]);
    Ok(Report::new(vec![table]))
}

/// What the connected terminals asked of satellite.
struct Cost {
    /// Polls a second.
    polls: f64,
    /// Share of one core.
    cpu: f64,
}

/// Terminals that poll, for as long as is measured.
async fn polls(fleet: &Fleet, process: u32, options: &Options) -> Result<Cost> {
    // One full round of polls, so that every connection has been used.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let (cpu, polls) = (machine::cpu_seconds(process)?, fleet.summary().polls);
    let seconds = options.seconds.max(1);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let cpu = machine::cpu_seconds(process)? - cpu;
    let summary = fleet.summary();
    let polls = number(summary.polls - polls) / number(seconds);
    let expected = f64::from(options.terminals) / 10.0;
    ensure!(
        polls > expected * 0.95,
        "{polls:.0} polls a second instead of {expected:.0}"
    );
    ensure!(
        summary.polls_refused == 0 && summary.failures.total() == 0,
        "polls failed: {summary:?}"
    );
    Ok(Cost {
        polls,
        cpu: cpu / number(seconds),
    })
}

/// Terminals of which each has brought one record and then keeps its connection.
async fn silent(fleet: &Fleet, process: u32, before: usize, options: &Options) -> Result<Cost> {
    let cpu = machine::cpu_seconds(process)?;
    let begun = Instant::now();
    while fleet.summary().acked < u64::from(options.terminals) {
        ensure!(begun.elapsed() < ONE_EACH, "not every record was taken");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let open = machine::descriptors(process)?.saturating_sub(before);
    ensure!(
        open >= usize::try_from(options.terminals)?,
        "{open} connections are open, not one for each of {} terminals",
        options.terminals
    );
    let cpu = machine::cpu_seconds(process)? - cpu;
    Ok(Cost {
        polls: 0.0,
        cpu: cpu / begun.elapsed().as_secs_f64(),
    })
}
