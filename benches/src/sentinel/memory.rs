//! Sentinel's memory while it watches many terminals that punch.
//!
//! It runs with the variables of its unit, because they are how it is installed.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use promises::{Place, Running, SatelliteProcess, SentinelProcess, Setup};
use terminals::Scenario;

use crate::machine;
use crate::report::{Cell, Report, Table};

const COLUMNS: &[&str] = &[
    "after",
    "RSS MiB",
    "its own MiB",
    "program's pages MiB",
    "peak MiB",
];
/// As in `deploy/sentinel.service`.
const UNIT: [&str; 3] = ["env", "MALLOC_ARENA_MAX=1", "MALLOC_TRIM_THRESHOLD_=131072"];

/// Options of `benches sentinel-memory`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Terminals that punch once a minute and poll every 20 s.
    #[arg(long, default_value_t = 5_000)]
    terminals: u32,
    /// Minutes, each of which is a row.
    #[arg(long, default_value_t = 4)]
    minutes: u32,
}

/// Measures.
///
/// # Errors
/// A program cannot be started.
pub(crate) async fn run(options: &Options) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let place = Place::sqlite(folder.path());
    let scenario = Scenario {
        count: options.terminals,
        serial_prefix: "SIM".to_owned(),
        rate: 1.0,
        poll_s: Some(20),
        error_delay_ms: Some(1_000),
        ramp_ms: 20_000,
        ..Scenario::default()
    };
    let mut setup = Setup::new(place.clone()).enrol(scenario.serials());
    setup.more = "[limits]\nconnections_per_address = 20000\n".to_owned();
    let satellite = SatelliteProcess::start(&setup).await?;
    let fleet = Running::start(scenario, satellite.devices(), folder.path(), "ledger")?;
    tokio::time::sleep(Duration::from_secs(45)).await;
    let mut sentinel = SentinelProcess::prepare(&format!(
        "[listen]\nadmin = \"127.0.0.1:0\"\n\
         [watch]\nsatellite_admin = \"http://{}\"\n\
         [[watch.terminal_url]]\nurl = \"http://{}\"\n\
         [[watch.store]]\ntenant = \"acme\"\nurl = \"{}\"\n",
        satellite.admin_door(),
        satellite.devices(),
        place.url(),
    ))?;
    sentinel.launch(&UNIT)?;
    let mut table = Table::new("Sentinel over terminals that punch once a minute", COLUMNS);
    for minute in 1..=options.minutes {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let process = sentinel.process_id().context("sentinel has ended")?;
        let (memory, own) = (machine::memory(process)?, machine::own(process)?);
        table.push(vec![
            Cell::text(format!("{minute} min")),
            Cell::Number(memory.resident, 1),
            Cell::Number(own, 1),
            Cell::Number(memory.resident - own, 1),
            Cell::Number(memory.peak, 1),
        ]);
    }
    let seen = sentinel.json(["status", "--json"]).await?;
    let punches = fleet.summary().acked;
    Ok(Report::new(vec![table]).note(format!(
        "{} terminals, {punches} punches acknowledged; sentinel saw {} things",
        options.terminals,
        seen["seen"].as_array().map_or(0, Vec::len),
    )))
}
