//! Rows a second through [`store::Writer`], on SQLite and on a durable MariaDB, by the size of a
//! submission and by how many are under way at once.
//!
//! One at a time shows what a commit costs; many at once show what group commit makes of it.
//! The ceilings are those of the same server in the same run. Only rows whose receipt says
//! "new" count.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use event::{Event, SharedDevice};
use mariadb::{Address, Flavor, Server};
use store::{Gate, Mirror, Observer, Submission, Target, Trouble, Writer};

use crate::ceiling;
use crate::parse::number;
use crate::report::{Cell, Report, Table};
use crate::samples;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seconds for each figure.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rows for the ceilings.
    #[arg(long, default_value_t = 100_000)]
    ceiling_rows: u64,
}

const CEILINGS: &[&str] = &["the server's own client", "rows/s", "of multi-row"];
/// What the ceilings are.
pub(crate) const CEILINGS_NOTE: &str = "ceilings, by the mariadb client on the same server in the same run: each INSERT \
    is a transaction; `of multi-row` is of 100 rows a statement over one connection, the middle of three";
const COLUMNS: &[&str] = &[
    "store::Writer on",
    "rows a submission",
    "at once",
    "rows/s",
    "of multi-row",
];

/// Rows in one submission.
const SIZES: [usize; 4] = [1, 10, 100, 1_000];
/// Submissions under way at once.
const AT_ONCE: [u64; 2] = [1, 32];
/// Events that a submitter makes ahead; the first so many before the time counts.
const AHEAD: u64 = 1_000;

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let server = tokio::task::spawn_blocking(|| Server::start(Flavor::Durable)).await??;
    let address = server.address().clone();
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let (ceilings, multi_row) = ceilings(&address, options.ceiling_rows).await?;
    let mut table = Table::new("Store", COLUMNS);
    for size in SIZES {
        for at_once in AT_ONCE {
            let target = fresh_mariadb(&address)?;
            migrate(&target).await?;
            let mirror = Mirror::open(folder.path()).await?;
            let (_, rate) = rate(target, mirror, size, 0..at_once, options.seconds).await?;
            table.push(row(
                "MariaDB, durable",
                size,
                at_once,
                rate,
                Some(multi_row),
            ));
        }
    }
    for size in SIZES {
        for at_once in AT_ONCE {
            let name = format!("events-{size}-{at_once}.db");
            let target = Target::Sqlite(folder.path().join(name));
            migrate(&target).await?;
            let mirror = Mirror::open(folder.path()).await?;
            let (_, rate) = rate(target, mirror, size, 0..at_once, options.seconds).await?;
            table.push(row("SQLite", size, at_once, rate, None));
        }
    }
    Ok(Report::new(vec![ceilings, table]).note(CEILINGS_NOTE))
}

fn row(on: &str, size: usize, at_once: u64, rate: f64, ceiling: Option<f64>) -> Vec<Cell> {
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    let share = ceiling.map_or_else(|| Cell::text("-"), |ceiling| Cell::Share(rate / ceiling));
    vec![
        Cell::text(on),
        Cell::Count(size),
        Cell::Count(at_once),
        Cell::rate(rate),
        share,
    ]
}

/// What the server's own client reaches, and the multi-row figure among it.
pub(crate) async fn ceilings(address: &Address, rows: u64) -> Result<(Table, f64)> {
    let database = migrated(address).await?;
    let address = address.clone();
    let measured = tokio::task::spawn_blocking(move || {
        anyhow::Ok([
            ceiling::multi_row(&address, &database, rows)?,
            ceiling::multi_row_connections(&address, &database, rows / ceiling::CLIENTS)?,
            ceiling::load_data(&address, &database, rows)?,
            ceiling::single_row(&address, &database, rows / 50)?,
        ])
    });
    let rates = measured.await??;
    let [multi_row, ..] = rates;
    let clients = ceiling::CLIENTS;
    let names = [
        "INSERT, 100 rows a statement".to_owned(),
        format!("the same over {clients} connections"),
        "LOAD DATA".to_owned(),
        format!("INSERT, single rows, {clients} connections"),
    ];
    let mut table = Table::new("Ceilings, MariaDB durable", CEILINGS);
    for (name, rate) in names.into_iter().zip(rates) {
        table.push(vec![
            Cell::text(name),
            Cell::rate(rate),
            Cell::Share(rate / multi_row),
        ]);
    }
    Ok((table, multi_row))
}

/// A fresh database with our tables in it.
async fn migrated(address: &Address) -> Result<String> {
    let database = address.fresh_database("ceiling")?;
    let target = mariadb_target(address, &database);
    migrate(&target).await?;
    Ok(database)
}

fn fresh_mariadb(address: &Address) -> Result<Target> {
    let database = address.fresh_database("writer")?;
    Ok(mariadb_target(address, &database))
}

pub(crate) fn mariadb_target(address: &Address, database: &str) -> Target {
    let server = format!("127.0.0.1:{}", address.port());
    Target::mysql(&address.url(database), None, &server)
}

pub(crate) async fn migrate(target: &Target) -> Result<()> {
    let mut engine = target.connect().await?;
    store::schema::migrate(&mut engine).await?;
    Ok(())
}

/// Says what goes wrong and is silent otherwise.
pub(crate) struct Loud;

impl Observer for Loud {
    fn committed(&self, _took: Duration, _rows: usize) {}

    fn troubled(&self, trouble: Trouble, text: &str) {
        eprintln!("the store is in trouble: {}: {text}", trouble.as_str());
    }

    fn recovered(&self) {}

    fn new_epoch(&self, _epoch: i64) {}
}

/// Rows that these terminals brought, each with one submission of that size after the other, and
/// how many that is a second.
pub(crate) async fn rate(
    target: Target,
    mirror: Mirror,
    size: usize,
    terminals: Range<u64>,
    seconds: u64,
) -> Result<(u64, f64)> {
    // Each store has a name of its own in the mirror that they share.
    let label = format!("{target}");
    let writer = Writer::spawn(&label, target, mirror, Gate::new(4), Arc::new(Loud));
    let mut feeders = Vec::new();
    for number in terminals {
        feeders.push(Feeder::new(number, size)?);
    }
    let begin = Instant::now();
    let until = begin + Duration::from_secs(seconds.max(1));
    let mut submitters = tokio::task::JoinSet::new();
    for feeder in feeders {
        submitters.spawn(submit(writer.clone(), feeder, until));
    }
    let mut rows = 0;
    while let Some(done) = submitters.join_next().await {
        rows += done??;
    }
    let rate = number(rows) / begin.elapsed().as_secs_f64();
    writer.close().await;
    Ok((rows, rate))
}

/// One submission after the other until the time is over; answers the rows that were new.
async fn submit(writer: Writer, mut feeder: Feeder, until: Instant) -> Result<u64> {
    let mut rows = 0;
    while Instant::now() < until {
        let submission = feeder.next()?;
        let brought = u64::try_from(submission.events.len())?;
        let receipt = writer.submit(submission).await;
        let receipt = receipt.map_err(|refused| anyhow!("refused: {refused}"))?;
        ensure!(
            receipt.new == brought,
            "{} of {brought} rows were new",
            receipt.new
        );
        rows += receipt.new;
    }
    Ok(rows)
}

/// A terminal that never runs out of new records.
struct Feeder {
    device: SharedDevice,
    size: usize,
    line: u64,
    ahead: Vec<Event>,
}

impl Feeder {
    fn new(number: u64, size: usize) -> Result<Self> {
        Ok(Self {
            device: samples::device(number)?,
            size,
            line: AHEAD,
            ahead: samples::events(0, AHEAD)?,
        })
    }

    fn next(&mut self) -> Result<Submission> {
        if self.ahead.len() < self.size {
            self.ahead.extend(samples::events(self.line, AHEAD)?);
            self.line += AHEAD;
        }
        let events = self.ahead.split_off(self.ahead.len() - self.size);
        Ok(Submission {
            device: Arc::clone(&self.device),
            events,
            quarantined: Vec::new(),
            cursors: Vec::new(),
            expects: None,
            fence: None,
        })
    }
}
