//! A full log over loopback TCP into a database: records a second, from the first row that can
//! be read in `event_feed` to the last, and from the beginning of the read.
//!
//! The run fails when the feed holds another number of rows than the terminal has records.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use terminals::pull::{PullOptions, Terminal};

use super::stage::{Engine, Stage};
use crate::parse::number;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Records in the log.
    #[arg(long, default_value_t = 200_000)]
    records: u32,
    /// Runs for each engine.
    #[arg(long, default_value_t = 3)]
    runs: u32,
}

const COLUMNS: &[&str] = &[
    "engine",
    "records",
    "s from the read's begin",
    "records/s",
    "records/s from the first row",
    "rows",
];
const LIMIT: Duration = Duration::from_secs(600);

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let mut table = Table::new("A full log into a database", COLUMNS);
    for engine in [Engine::Sqlite, Engine::Mariadb] {
        for _ in 0..options.runs {
            table.push(one(options, engine).await?);
        }
    }
    Ok(Report::new(vec![table]))
}

async fn one(options: &Options, engine: Engine) -> Result<Vec<Cell>> {
    let mut stage = Stage::start(engine).await?;
    let before = stage.rows().await?;
    let terminal = Terminal::start(
        PullOptions {
            history: options.records,
            capacity: options.records.max(1),
            ..PullOptions::default()
        },
        None,
    )?;
    let terminals = [terminal];
    stage.enrol(&terminals).await?;
    // The read begins when the log is prepared.
    while terminals
        .iter()
        .all(|terminal| terminal.counters().logs == 0)
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begin = Instant::now();
    let first = stage.until(before + 1, LIMIT).await?;
    let all = before + u64::from(options.records);
    let last = stage.until(all, LIMIT).await?;
    // Nothing may come twice.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rows = stage.rows().await?;
    ensure!(rows == all, "{rows} rows where {all} are owed");
    let records = number(u64::from(options.records));
    let (whole, from_first) = (last - begin, last - first);
    stage.satellite.stop().await?;
    Ok(vec![
        Cell::text(format!("{engine:?}")),
        Cell::Count(options.records.into()),
        Cell::Number(whole.as_secs_f64(), 2),
        Cell::rate(records / whole.as_secs_f64()),
        Cell::rate(records / from_first.as_secs_f64().max(0.001)),
        Cell::Count(rows - before),
    ])
}
