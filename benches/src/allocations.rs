//! What the daemon allocates for an event: how often, and how many bytes.
//!
//! The whole daemon runs as a process of its own with an allocator that counts (`counted`), under
//! terminals that push without a pause into a durable MariaDB. What is counted while they push is
//! divided by the events that were acknowledged meanwhile.

use std::time::Duration;

use anyhow::{Result, ensure};
use mariadb::{Flavor, Server};

use crate::load;
use crate::parse::number;
use crate::process::Satellite;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seconds for each figure, after 2 seconds of warming up.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

const COLUMNS: &[&str] = &[
    "case",
    "terminals",
    "events/s",
    "allocations an event",
    "bytes an event",
];

/// Terminals, and records in each of their uploads.
const CASES: &[(u32, u32)] = &[(50, 100), (200, 1)];

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let server = tokio::task::spawn_blocking(|| Server::start(Flavor::Durable)).await??;
    let time = Duration::from_secs(options.seconds.max(1));
    let mut table = Table::new("Allocations of the whole daemon, MariaDB durable", COLUMNS);
    for case in CASES {
        table.push(measure(&server, *case, time).await?);
    }
    let note = "counting costs time: events/s are not satellite's".to_owned();
    Ok(Report::new(vec![table]).note(note))
}

async fn measure(
    server: &Server,
    (terminals, batch): (u32, u32),
    time: Duration,
) -> Result<Vec<Cell>> {
    let database = server.address().fresh_database("allocations")?;
    let stores = format!(
        "[store]\nurl = \"{}\"\n\
         [[tenant]]\nid = \"bench\"\nname = \"Bench\"\ntime_zone = \"America/Mexico_City\"\n",
        server.address().url(&database)
    );
    let mut satellite = Satellite::start_counted(&stores).await?;
    let load = load::pushing(&satellite.target()?, terminals, batch);
    let serials = load.serials().into_iter();
    let bench = |serial| (serial, "bench".to_owned());
    satellite.enrol(serials.map(bench)).await?;
    let fleet = load::connected(load).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = satellite.counts()?;
    let seen = load::watch(&fleet, time, |_| true).await?;
    let after = satellite.counts()?;
    fleet.stop().await;
    satellite.stop().await?;
    ensure!(seen.missed == 0, "{} uploads were not seen", seen.missed);
    ensure!(seen.records > 0, "nothing was acknowledged");
    let each = |more: u64| number(more) / number(seen.records);
    Ok(vec![
        Cell::text(format!("batches of {batch}")),
        Cell::Count(terminals.into()),
        Cell::rate(seen.rate()),
        Cell::Number(each(after.allocations - before.allocations), 1),
        Cell::Number(each(after.bytes - before.bytes), 0),
    ])
}
