//! Terminals of all four kinds after a copy of the database was restored that lacks their last
//! three hours: how long until every record that they still hold is in the feed again.
//!
//! Terminals that push tell their backlog, which reaches back over hours, and the copy is made in
//! the middle of that; those that are dialled punch with clocks that go through three hours after
//! the copy. The run fails when a record is missing or doubled at the end, by the terminals' own
//! ledgers.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mariadb::{Flavor, Server};
use promises::{Backup, Checker, Mixed, Place, blocking};
use terminals::Scenario;

use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Terminals of each of the four kinds.
    #[arg(long, default_value_t = 25)]
    each: u32,
    /// Records of each terminal in the three hours.
    #[arg(long, default_value_t = 60)]
    records: u32,
    /// Longest wait for all of them, in seconds.
    #[arg(long, default_value_t = 1_200)]
    limit: u64,
}

const COLUMNS: &[&str] = &[
    "engine",
    "terminals",
    "rows before",
    "rows in the copy",
    "rows afterwards",
    "all back after s",
];
/// Seconds that the copy is older than what was lost with the restore.
const SPAN: u32 = 3 * 3_600;
/// Longest wait before the restore.
const READY: Duration = Duration::from_secs(300);

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let mut table = Table::new("After a copy that is three hours old was restored", COLUMNS);
    let folder = tempfile::tempdir()?;
    table.push(one(options, "sqlite", &Place::sqlite(folder.path())).await?);
    let server = blocking(|| Server::start(Flavor::Durable)).await?;
    let place = Place::mariadb(server.address()).await?;
    table.push(one(options, "mariadb", &place).await?);
    Ok(Report::new(vec![table]))
}

/// Terminals that push: twice as many records as are lost, the first half of them in the copy.
fn pushing(options: &Options) -> Scenario {
    let records = u64::from(options.records) * 2;
    Scenario {
        backlog: records,
        records: Some(records),
        backlog_spacing_s: u64::from(SPAN / options.records.max(1)),
        batch: Some(2),
        people: 1_000,
        poll_s: Some(10),
        ..Scenario::default()
    }
}

async fn one(options: &Options, engine: &str, place: &Place) -> Result<Vec<Cell>> {
    let folder = tempfile::tempdir()?;
    let mut fleet = Mixed::open(place, pushing(options), [options.each; 4], &[]).await?;
    let pushed = u64::from(options.each) * 2 * u64::from(options.records) * 2;
    while fleet.pushing.summary().acked < pushed / 2 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let copy = Backup::take(place, folder.path()).await?;
    three_hours(options, &fleet).await?;
    let before = fleet.equal(READY).await?;
    fleet.satellite.terminate().await?;
    copy.restore(place).await?;
    let mut feed = Checker::open(place).await?;
    let held = feed.number("SELECT COUNT(*) FROM event_feed").await?;
    drop(feed);
    let held = usize::try_from(held)?;
    ensure!(held < before, "the copy lacks nothing");
    let begin = Instant::now();
    fleet.satellite.run().await?;
    let after = fleet.equal(Duration::from_secs(options.limit)).await?;
    let took = begin.elapsed();
    ensure!(after == before, "{before} rows before, {after} afterwards");
    let count = |n: usize| Cell::Count(u64::try_from(n).unwrap_or(0));
    let row = vec![
        Cell::text(engine),
        Cell::Count(u64::from(options.each) * 4),
        count(before),
        count(held),
        count(after),
        Cell::Number(took.as_secs_f64(), 1),
    ];
    fleet.satellite.terminate().await?;
    Ok(row)
}

/// People come at every terminal that is dialled, on clocks that go through three hours.
async fn three_hours(options: &Options, fleet: &Mixed) -> Result<()> {
    let step = i64::from(SPAN / options.records.max(1));
    let back = -step * i64::from(options.records);
    shift(fleet, back);
    for _ in 0..options.records {
        shift(fleet, step);
        fleet.people(1).await?;
    }
    Ok(())
}

fn shift(fleet: &Mixed, seconds: i64) {
    for terminal in &fleet.pulled {
        terminal.shift_clock(seconds);
    }
    for device in &fleet.dialled {
        device.shift_clock(seconds);
    }
}
