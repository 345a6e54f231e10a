//! What terminals cost that are merely connected: memory, and processor time for their polls.
//!
//! The store is SQLite, because a poll must not touch any store. A run fails when the terminals
//! polled less than their pace asks for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

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
}

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
    let polling = load::polling(&satellite.target()?, options.terminals);
    let bench = |serial| (serial, "bench".to_owned());
    satellite
        .enrol(polling.serials().into_iter().map(bench))
        .await?;
    let fleet = load::connected(polling).await?;
    // One full round of polls, so that every connection has been used.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let (cpu, polls) = (machine::cpu_seconds(process)?, fleet.summary().polls);
    let seconds = options.seconds.max(1);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let cpu = machine::cpu_seconds(process)? - cpu;
    let summary = fleet.summary();
    let polls = number(summary.polls - polls) / number(seconds);
    let memory = machine::memory(process)?;
    let expected = f64::from(options.terminals) / 10.0;
    ensure!(
        polls > expected * 0.95,
        "{polls:.0} polls a second instead of {expected:.0}"
    );
    ensure!(
        summary.polls_refused == 0 && summary.failures.total() == 0,
        "polls failed: {summary:?}"
    );
    fleet.stop().await;
    satellite.stop().await?;
    let each = (memory.resident - empty) * 1024.0 / f64::from(options.terminals);
    let mut table = Table::new("Connected terminals that poll every 10 s", COLUMNS);
    table.push(vec![
        Cell::text("polling"),
        Cell::Count(options.terminals.into()),
        Cell::rate(polls),
        Cell::Number(memory.resident, 1),
        Cell::Number(memory.peak, 1),
        Cell::Number(each, 1),
        Cell::Share(cpu / number(seconds)),
    ]);
    Ok(Report::new(vec![table]))
}
