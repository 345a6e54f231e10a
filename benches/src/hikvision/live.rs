//! A punch while the terminal tells its history first: when can it be read in the feed?
//!
//! The terminal replays its old records on the stream, at its own four a second, before
//! anything new; satellite fetches the same records through the search meanwhile. A live punch
//! must overtake both. The run fails when the terminal was not replaying to the end of the
//! measured time, or when a row is missing or doubled at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use terminals::hikvision::{DeviceOptions, LogOptions, SearchOptions};

use super::stage::{Crowd, Stage, plain};
use crate::parse::number;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Old records on the terminal.
    #[arg(long, default_value_t = 150_000)]
    history: u64,
    /// Live punches.
    #[arg(long, default_value_t = 120)]
    punches: u64,
    /// Live punches a second.
    #[arg(long, default_value_t = 0.5)]
    per_second: f64,
    /// Milliseconds that the terminal takes for each page of a search.
    #[arg(long, default_value_t = 40)]
    page_ms: u64,
}

const COLUMNS: &[&str] = &[
    "live punches while 4 old records/s are replayed",
    "old records",
    "replayed by then",
    "old ones stored at the first punch",
    "at the last",
    "p50 s",
    "p99 s",
    "worst s",
    "never seen",
    "all stored after s",
    "missing",
    "doubled",
];

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let stage = Stage::start().await?;
    let log = LogOptions {
        // Room for what comes, so that no old record is pushed out before it is fetched.
        ring: options.history + 50_000,
        history: options.history,
        history_owed: true,
        ..LogOptions::default()
    };
    let device = stage
        .device(DeviceOptions {
            search: SearchOptions {
                page_ms: options.page_ms,
                ..SearchOptions::default()
            },
            ..plain("LIVE", 1, log)
        })
        .await?;
    let devices = [device];
    stage.enrol(devices.iter()).await?;
    stage.connected(&devices, Duration::from_secs(60)).await?;
    let begin = Instant::now();
    let stored_first = stage.feed.count();
    let time = Duration::from_secs_f64(number(options.punches) / options.per_second);
    let mut crowd = Crowd::new(options.per_second);
    let made = crowd.walk_for(&devices, time).await?;
    let stored_last = stage.feed.count();
    let [device] = devices;
    let replayed = device.uploaded();
    ensure!(
        replayed < options.history,
        "the terminal had replayed its history before the last punch"
    );
    let delays = stage
        .feed
        .delays_within(&made, Duration::from_secs(120))
        .await?;
    let all = usize::try_from(device.newest())?;
    stage.feed.until(all, Duration::from_secs(1_800)).await?;
    let whole = begin.elapsed().as_secs_f64();
    let verdict = stage.settled("", Duration::from_secs(30)).await?;
    let mut table = Table::new("Live punches during a replay", COLUMNS);
    table.push(vec![
        Cell::text(delays.count().to_string()),
        Cell::Count(options.history),
        Cell::Count(replayed),
        Cell::Count(u64::try_from(stored_first)?),
        Cell::Count(u64::try_from(stored_last)?),
        Cell::Number(delays.per_mille(500), 3),
        Cell::Number(delays.per_mille(990), 3),
        Cell::Number(delays.per_mille(1_000), 3),
        Cell::Count(delays.unseen),
        Cell::Number(whole, 1),
        Cell::Count(u64::try_from(verdict.missing.len())?),
        Cell::Count(u64::try_from(verdict.doubled)?),
    ]);
    verdict.clean()?;
    ensure!(delays.unseen == 0, "{} punches never came", delays.unseen);
    drop(device);
    stage.satellite.stop().await?;
    Ok(Report::new(vec![table]))
}
