//! How long a restart takes with many terminals enrolled: from the start of the process until it
//! tells systemd that it is ready, when the door is open and every terminal is known.
//!
//! Each start follows an orderly end, as after an update. A run fails when the program that is ready
//! does not know all of its terminals. Then the pages that sentinel reads are asked for: the list of
//! all terminals, which grows with them, and the state, which must not.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mariadb::{Flavor, Server};

use crate::process::Satellite;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Enrolled terminals.
    #[arg(long, default_value_t = 10_000)]
    terminals: u32,
    /// Starts on each engine.
    #[arg(long, default_value_t = 20)]
    starts: u32,
}

const COLUMNS: &[&str] = &[
    "registry on",
    "terminals",
    "starts",
    "shortest ms",
    "median ms",
    "longest ms",
];

const PAGES: &[&str] = &["registry on", "page", "terminals", "KiB", "median ms"];

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let mut table = Table::new("From the start of the process to READY=1", COLUMNS);
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let file = format!("sqlite://{}", folder.path().join("events.db").display());
    let mut pages = Table::new("Pages of the admin door", PAGES);
    table.push(one("SQLite", &file, options, &mut pages).await?);
    let server = tokio::task::spawn_blocking(|| Server::start(Flavor::Durable)).await??;
    let database = server.address().fresh_database("start")?;
    let url = server.address().url(&database);
    table.push(one("MariaDB", &url, options, &mut pages).await?);
    Ok(Report::new(vec![table, pages]))
}

/// Asks for both pages as often as there were starts.
async fn ask_for_pages(
    (engine, satellite): (&str, &Satellite),
    options: &Options,
    table: &mut Table,
) -> Result<()> {
    for path in ["/devices", "/status"] {
        let (mut taken, mut size) = (Vec::new(), 0);
        for _ in 0..options.starts.max(1) {
            let (body, time) = satellite.page(path).await?;
            size = u64::try_from(body.len())?.div_ceil(1024);
            taken.push(time);
        }
        taken.sort_unstable();
        let middle = taken.get(taken.len() / 2).copied().unwrap_or_default();
        table.push(vec![
            Cell::text(engine),
            Cell::text(path),
            Cell::Count(options.terminals.into()),
            Cell::Count(size),
            Cell::Number(middle.as_secs_f64() * 1_000.0, 1),
        ]);
    }
    Ok(())
}

async fn one(engine: &str, url: &str, options: &Options, pages: &mut Table) -> Result<Vec<Cell>> {
    let stores = format!(
        "[store]\nurl = \"{url}\"\n\
         [[tenant]]\nid = \"bench\"\nname = \"Bench\"\ntime_zone = \"America/Mexico_City\"\n"
    );
    let mut satellite = Satellite::start(&stores).await?;
    let terminals = (1..=options.terminals).map(|n| (format!("START{n:06}"), "bench".to_owned()));
    satellite.enrol(terminals).await?;
    satellite.start_again().await?;
    let mut taken = Vec::new();
    for _ in 0..options.starts.max(1) {
        taken.push(satellite.start_again().await?);
        let known = format!(
            "{{state=\"approved\",tenant=\"bench\"}} {}",
            options.terminals
        );
        let metrics = satellite.metrics().await?;
        ensure!(metrics.contains(&known), "no {known} in:\n{metrics}");
    }
    ask_for_pages((engine, &satellite), options, pages).await?;
    satellite.stop().await?;
    taken.sort_unstable();
    let at = |place: usize| {
        let time = taken.get(place).copied().unwrap_or_default();
        Cell::Number(Duration::as_secs_f64(&time) * 1_000.0, 0)
    };
    Ok(vec![
        Cell::text(engine),
        Cell::Count(options.terminals.into()),
        Cell::Count(options.starts.max(1).into()),
        at(0),
        at(taken.len() / 2),
        at(taken.len() - 1),
    ])
}
