//! How long a restart takes with many terminals enrolled: from the start of the process until it
//! tells systemd that it is ready, when the door is open and every terminal is known.
//!
//! Each start follows an orderly end, as after an update. A run fails when the program that is ready
//! does not know all of its terminals.

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

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let mut table = Table::new("From the start of the process to READY=1", COLUMNS);
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let file = format!("sqlite://{}", folder.path().join("events.db").display());
    table.push(one("SQLite", &file, options).await?);
    let server = tokio::task::spawn_blocking(|| Server::start(Flavor::Durable)).await??;
    let database = server.address().fresh_database("start")?;
    let url = server.address().url(&database);
    table.push(one("MariaDB", &url, options).await?);
    Ok(Report::new(vec![table]))
}

async fn one(engine: &str, url: &str, options: &Options) -> Result<Vec<Cell>> {
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
