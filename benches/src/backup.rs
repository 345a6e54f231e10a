//! Copies of many databases while terminals punch: how long a copy takes, what the terminals feel of
//! it, and how long it takes to prove it by restoring.
//!
//! One durable server, a database for each tenant, a copy by the program itself as the timer runs
//! it. The run fails when a command fails, or when an upload is not accepted meanwhile.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mariadb::{Flavor, Server};
use promises::Copies;
use terminals::Fleet;

use crate::load::{self, Seen};
use crate::process::Satellite;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Tenants, each with a database and a terminal that punches.
    #[arg(long, default_value_t = 40)]
    tenants: u32,
    /// Rows in all databases before the copy.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Records a minute of each terminal.
    #[arg(long, default_value_t = 600.0)]
    per_minute: f64,
    /// Seconds of quiet before the copy, and after it.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Copies, one after the other.
    #[arg(long, default_value_t = 3)]
    runs: u32,
}

const COPIES: &[&str] = &[
    "databases",
    "rows",
    "copy s, each run",
    "MiB",
    "proven by restoring s",
];
const FELT: &[&str] = &[
    "terminals while",
    "events/s",
    "ack p50 ms",
    "ack p99 ms",
    "p99 changes by",
    "not accepted",
];
/// How long filling the databases may take.
const FILLED_WITHIN: Duration = Duration::from_secs(600);
/// A stretch of watching; the end of a copy is noticed within it.
const STRETCH: Duration = Duration::from_secs(1);

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let server = tokio::task::spawn_blocking(|| Server::start(Flavor::Durable)).await??;
    let copies = Copies::new()?;
    let satellite = Satellite::start(&stores(options.tenants, &server, &copies)?).await?;
    fill(options, &satellite).await?;
    let paced = load::paced(&satellite.target()?, options.tenants, options.per_minute);
    let tenant_of = |place| (paced.serial(place), database(place));
    satellite.enrol((0..paced.count).map(tenant_of)).await?;
    let fleet = load::connected(paced).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;

    let time = Duration::from_secs(options.seconds.max(1));
    let (mut quiet, mut copying) = (Seen::default(), Seen::default());
    let mut seconds = Vec::new();
    for _ in 0..options.runs.max(1) {
        quiet.join(load::watch(&fleet, time, |_| true).await?);
        seconds.push(beside(&satellite, &fleet, &mut copying).await?);
    }
    fleet.stop().await;
    let begun = Instant::now();
    command(&satellite, "verify").await?;
    let proven = begun.elapsed();
    let mut table = Table::new("A copy of every database, as the timer makes it", COPIES);
    let each: Vec<String> = seconds.iter().map(|it| format!("{it:.1}")).collect();
    table.push(vec![
        Cell::Count(u64::from(options.tenants) + 1),
        Cell::Count(options.rows),
        Cell::text(each.join(" ")),
        Cell::Number(
            mebibytes(&copies.first())? / f64::from(options.runs.max(1)),
            1,
        ),
        Cell::Number(proven.as_secs_f64(), 1),
    ]);
    let mut felt = Table::new("What terminals feel of a copy", FELT);
    for (name, seen) in [("no copy is made", &quiet), ("a copy is made", &copying)] {
        ensure!(seen.missed == 0, "{} observations were missed", seen.missed);
        let p99 = seen.per_mille_ms(990);
        felt.push(vec![
            Cell::text(name),
            Cell::rate(seen.rate()),
            Cell::Number(seen.per_mille_ms(500), 1),
            Cell::Number(p99, 1),
            Cell::Share(p99 / quiet.per_mille_ms(990) - 1.0),
            Cell::Count(seen.failed),
        ]);
    }
    ensure!(
        copying.failed == 0,
        "{} uploads were not accepted",
        copying.failed
    );
    satellite.stop().await?;
    Ok(Report::new(vec![table, felt]))
}

fn database(tenant: u32) -> String {
    format!("tenant{tenant}")
}

fn stores(tenants: u32, server: &Server, copies: &Copies) -> Result<String> {
    server.create_database("registry")?;
    let mut text = format!(
        "{}[store]\nurl = \"{}\"\n",
        copies.table("")?,
        server.url("registry")
    );
    for tenant in 0..tenants {
        let name = database(tenant);
        server.create_database(&name)?;
        text += &format!(
            "[[tenant]]\nid = \"{name}\"\nname = \"{name}\"\ntime_zone = \"America/Mexico_City\"\n\
             url = \"{}\"\n",
            server.url(&name)
        );
    }
    Ok(text)
}

/// Lets terminals push until there are so many rows.
async fn fill(options: &Options, satellite: &Satellite) -> Result<()> {
    let pushing = load::pushing(&satellite.target()?, options.tenants, 100);
    let tenant_of = |place| (pushing.serial(place), database(place));
    satellite.enrol((0..pushing.count).map(tenant_of)).await?;
    let fleet = load::connected(pushing).await?;
    let begun = Instant::now();
    while fleet.summary().acked < options.rows {
        ensure!(
            begun.elapsed() < FILLED_WITHIN,
            "{} of {} rows after {FILLED_WITHIN:?}",
            fleet.summary().acked,
            options.rows
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("  {} rows in {:?}", fleet.summary().acked, begun.elapsed());
    fleet.stop().await;
    Ok(())
}

/// Makes a copy and watches the terminals until it has ended; how long it took, in seconds.
async fn beside(satellite: &Satellite, fleet: &Fleet, seen: &mut Seen) -> Result<f64> {
    let begun = Instant::now();
    let copying = command(satellite, "run");
    tokio::pin!(copying);
    loop {
        let watching = load::watch(fleet, STRETCH, |_| true);
        tokio::pin!(watching);
        tokio::select! {
            done = &mut copying => {
                done?;
                let took = begun.elapsed().as_secs_f64();
                seen.join(watching.await?);
                return Ok(took);
            }
            watched = &mut watching => seen.join(watched?),
        }
    }
}

/// Carries an order out as its unit does: `Nice=10` and `IOSchedulingClass=idle`.
async fn command(satellite: &Satellite, word: &str) -> Result<()> {
    let ours = satellite.command(&["backup", word])?;
    let mut command = tokio::process::Command::new("nice");
    command.args(["-n", "10", "ionice", "-c", "3"]);
    command.arg(ours.get_program()).args(ours.get_args());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "backup {word}: {said}");
    Ok(())
}

/// All files below a folder.
fn mebibytes(folder: &Path) -> Result<f64> {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).context("no copies")?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                bytes += entry.metadata()?.len();
            }
        }
    }
    Ok(crate::parse::number(bytes) / f64::from(1 << 20))
}
