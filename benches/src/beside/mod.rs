//! Side by side: satellite, a bare HTTP server and an ordinary receiver under the same load.
//!
//! The bare server is the ceiling: it stores nothing. The ordinary receiver is written in Python
//! for this bench, with FastAPI and SQL, and stands in for what people write; both that and
//! satellite store into the same durable MariaDB, each into a database of its own, fresh for each
//! run. The order is turned from run to run, so that none has the machine at its best each time.
//! What counts is the middle of the runs, as a share of the bare server's.

pub(crate) mod bare;
mod server;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mariadb::{Address, Flavor, Server as Database};
use terminals::Scenario;

use self::server::{Kind, Running};
use crate::load;
use crate::machine;
use crate::parse::number;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seconds for each figure of a run, after 2 seconds of warming up.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Runs; the middle one counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only the cases whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

const COLUMNS: &[&str] = &[
    "case",
    "server",
    "uploads/s",
    "events/s",
    "of the bare server",
    "ack p99 ms",
    "its us/event",
    "its peak RSS MiB",
];

/// One kind of load.
#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    terminals: u32,
    batch: u32,
    keep_alive: bool,
}

const CASES: &[Case] = &[
    Case {
        name: "batches of 100",
        terminals: 50,
        batch: 100,
        keep_alive: true,
    },
    Case {
        name: "batches of 1",
        terminals: 200,
        batch: 1,
        keep_alive: true,
    },
    Case {
        name: "batches of 1, a connection each",
        terminals: 200,
        batch: 1,
        keep_alive: false,
    },
];

/// What one run of a case on one server gave.
#[derive(Debug, Clone, Copy)]
struct Seen {
    rate: f64,
    p99_ms: f64,
    us_per_event: f64,
    peak: f64,
}

pub(crate) async fn run(options: &Options) -> Result<Report> {
    ensure!(options.runs > 0, "--runs: at least one");
    let database = tokio::task::spawn_blocking(|| Database::start(Flavor::Durable)).await??;
    let time = Duration::from_secs(options.seconds.max(1));
    let mut table = Table::new("Side by side, MariaDB durable on the same machine", COLUMNS);
    let wanted = |case: &&Case| {
        let part = options.only.as_ref();
        part.is_none_or(|part| case.name.contains(part))
    };
    for case in CASES.iter().filter(wanted) {
        let mut seen: [Vec<Seen>; 3] = Default::default();
        for run in 0..options.runs {
            for step in 0..Kind::ALL.len() {
                let at = (run + step) % Kind::ALL.len();
                let (Some(kind), Some(list)) = (Kind::ALL.get(at), seen.get_mut(at)) else {
                    continue;
                };
                list.push(measure(*kind, *case, time, database.address()).await?);
            }
        }
        rows(*case, &seen, &mut table)?;
    }
    let note = format!(
        "the middle of {} runs of {} s each; the ordinary receiver is benches/src/beside/receiver.py",
        options.runs,
        time.as_secs()
    );
    Ok(Report::new(vec![table]).note(note))
}

/// One server under one load.
async fn measure(kind: Kind, case: Case, time: Duration, database: &Address) -> Result<Seen> {
    let name = database.fresh_database("beside")?;
    let server = Running::start(kind, database, &name).await?;
    let mut load = load::pushing(&server.target()?, case.terminals, case.batch);
    load.habits.keep_alive = if case.keep_alive { 1.0 } else { 0.0 };
    server.enrol(&load).await?;
    let fleet = load::connected(load).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = machine::cpu_seconds(server.process_id())?;
    let seen = load::watch(&fleet, time, |_| true).await?;
    let cpu = machine::cpu_seconds(server.process_id())? - before;
    let peak = machine::memory(server.process_id())?.peak;
    let acked = fleet.stop().await.acked;
    ensure!(seen.missed == 0, "{} uploads were not seen", seen.missed);
    ensure!(
        seen.records > 0,
        "{}: nothing was acknowledged",
        kind.name()
    );
    server.stop().await?;
    check(kind, database, &name, acked)?;
    database.sql(&format!("DROP DATABASE `{name}`;"))?;
    Ok(Seen {
        rate: seen.rate(),
        p99_ms: seen.per_mille_ms(990),
        us_per_event: cpu * 1e6 / number(seen.records),
        peak,
    })
}

/// Who acknowledges and stores holds at least what it acknowledged.
fn check(kind: Kind, database: &Address, name: &str, acked: u64) -> Result<()> {
    let Some(table) = kind.table() else {
        return Ok(());
    };
    let count = database.sql(&format!("SELECT COUNT(*) FROM `{name}`.{table};"))?;
    let rows: u64 = count.trim().parse().context("no count came back")?;
    ensure!(
        rows >= acked,
        "{}: {acked} records were acknowledged and {rows} are stored",
        kind.name()
    );
    Ok(())
}

fn rows(case: Case, seen: &[Vec<Seen>; 3], table: &mut Table) -> Result<()> {
    let [bare, ..] = seen;
    let ceiling = middle(bare, |seen| seen.rate)?;
    for (kind, seen) in Kind::ALL.iter().zip(seen) {
        let rate = middle(seen, |seen| seen.rate)?;
        table.push(vec![
            Cell::text(case.name),
            Cell::text(kind.name()),
            Cell::rate(rate / f64::from(case.batch)),
            Cell::rate(rate),
            Cell::Share(rate / ceiling),
            Cell::Number(middle(seen, |seen| seen.p99_ms)?, 1),
            Cell::Number(middle(seen, |seen| seen.us_per_event)?, 1),
            Cell::Number(middle(seen, |seen| seen.peak)?, 1),
        ]);
    }
    Ok(())
}

/// The middle value; of an even number of runs the lower of the two.
fn middle(seen: &[Seen], value: impl Fn(&Seen) -> f64) -> Result<f64> {
    let mut values: Vec<f64> = seen.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    let at = values.len().saturating_sub(1) / 2;
    values.get(at).copied().context("there was no run")
}

/// The serials of a load, for the server that knows enrolment.
fn serials(load: &Scenario) -> impl Iterator<Item = (String, String)> {
    let bench = |serial| (serial, "bench".to_owned());
    load.serials().into_iter().map(bench)
}
