//! From simulated terminals through the real program into a durable MariaDB and back.
//!
//! Some terminals push without a pause, the others are connected and poll every 10 seconds, as
//! most of a real fleet does. The terminals, satellite and the database share the machine, so
//! the processor time of each is told. A run fails when the database holds fewer rows than
//! were acknowledged.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mariadb::{Address, Flavor, Server};

use crate::load::{self, Cpu, Seen};
use crate::machine;
use crate::parse::number;
use crate::process::Satellite;
use crate::report::{Cell, Report, Table};
use crate::writer;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seconds for each figure, after 5 seconds of warming up.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Only the cases whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Rows for the ceilings.
    #[arg(long, default_value_t = 100_000)]
    ceiling_rows: u64,
}

const COLUMNS: &[&str] = &[
    "case",
    "terminals",
    "pushing",
    "events/s",
    "of multi-row INSERT",
    "ack p50 ms",
    "ack p99 ms",
    "satellite us/event",
    "peak RSS MiB",
    "satellite CPU",
    "database CPU",
    "terminals CPU",
    "not accepted",
];

/// How the pushing terminals push.
#[derive(Debug, Clone, Copy)]
enum Push {
    /// Without a pause, so many records an upload.
    Flood(u32),
    /// So many records a minute and terminal, each at once.
    Paced(f64),
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    terminals: u32,
    pushing: u32,
    push: Push,
}

const fn case(name: &'static str, terminals: u32, pushing: u32, push: Push) -> Case {
    Case {
        name,
        terminals,
        pushing,
        push,
    }
}

const CASES: &[Case] = &[
    case("batches of 100", 10, 10, Push::Flood(100)),
    case("batches of 100", 1_000, 50, Push::Flood(100)),
    case("batches of 100", 5_000, 50, Push::Flood(100)),
    case("batches of 1", 10, 10, Push::Flood(1)),
    case("batches of 1", 200, 200, Push::Flood(1)),
    case("batches of 1", 1_000, 200, Push::Flood(1)),
    case("batches of 1", 5_000, 200, Push::Flood(1)),
    case("paced, 2,000 events/s", 10, 10, Push::Paced(12_000.0)),
    case("paced, 2,000 events/s", 100, 100, Push::Paced(1_200.0)),
    case("paced, 2,000 events/s", 1_000, 1_000, Push::Paced(120.0)),
    case("paced, 2,000 events/s", 10_000, 10_000, Push::Paced(12.0)),
];

/// Everything that is common to the cases.
struct Bench {
    server: Server,
    address: Address,
    time: Duration,
    ceiling: f64,
}

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let server = tokio::task::spawn_blocking(|| Server::start(Flavor::Durable)).await??;
    let address = server.address().clone();
    eprintln!("  measuring the ceilings");
    let (ceilings, ceiling) = writer::ceilings(&address, options.ceiling_rows).await?;
    let time = Duration::from_secs(options.seconds.max(1));
    let bench = Bench {
        server,
        address,
        time,
        ceiling,
    };
    let mut table = Table::new("Ingest, MariaDB durable on the same machine", COLUMNS);
    let wanted = |case: &&Case| {
        options
            .only
            .as_ref()
            .is_none_or(|part| case.name.contains(part))
    };
    for case in CASES.iter().filter(wanted) {
        table.push(bench.case(*case).await?);
    }
    Ok(Report::new(vec![ceilings, table]).note(writer::CEILINGS_NOTE))
}

impl Bench {
    async fn case(&self, case: Case) -> Result<Vec<Cell>> {
        let database = self.address.fresh_database("ingest")?;
        let satellite = Satellite::start(&self.stores(&database)).await?;
        let target = satellite.target()?;
        let polling = load::polling(&target, case.terminals - case.pushing);
        let pushing = match case.push {
            Push::Flood(batch) => load::pushing(&target, case.pushing, batch),
            Push::Paced(rate) => load::paced(&target, case.pushing, rate),
        };
        let serials = polling.serials().into_iter().chain(pushing.serials());
        let bench = |serial| (serial, "bench".to_owned());
        satellite.enrol(serials.map(bench)).await?;
        let idle = match polling.count {
            0 => None,
            _ => Some(load::connected(polling).await?),
        };
        let busy = load::connected(pushing).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let process = satellite.process_id();
        let before = Cpu::now(process, self.server.process_id())?;
        let seen = load::watch(&busy, self.time, |_| true).await?;
        let cpu = Cpu::now(process, self.server.process_id())?.since(before);
        let memory = machine::memory(process)?;
        let summary = busy.stop().await;
        if let Some(idle) = idle {
            idle.stop().await;
        }
        ensure!(
            seen.missed == 0,
            "{} observations were missed: this machine is too slow to watch",
            seen.missed
        );
        ensure!(
            seen.records > 0,
            "nothing was acknowledged: {}",
            satellite.log_end()
        );
        satellite.stop().await?;
        self.check_rows(&database, summary.acked)?;
        Ok(self.row(case, &seen, cpu, memory.peak))
    }

    fn stores(&self, database: &str) -> String {
        format!(
            "[store]\nurl = \"{}\"\n\
             [[tenant]]\nid = \"bench\"\nname = \"Bench\"\ntime_zone = \"America/Mexico_City\"\n",
            self.address.url(database)
        )
    }

    /// What was acknowledged must be there. There may be more: records whose answer was under
    /// way when the terminals were stopped.
    fn check_rows(&self, database: &str, acked: u64) -> Result<()> {
        let sql = format!("SELECT COUNT(*) FROM `{database}`.event_feed WHERE kind = 'punch';");
        let rows: u64 = self
            .address
            .sql(&sql)?
            .trim()
            .parse()
            .context("no count came back")?;
        ensure!(
            rows >= acked,
            "{acked} records were acknowledged and {rows} are stored"
        );
        Ok(())
    }

    fn row(&self, case: Case, seen: &Seen, cpu: Cpu, peak: f64) -> Vec<Cell> {
        let share = |seconds: f64| Cell::Share(seconds / seen.seconds);
        vec![
            Cell::text(case.name),
            Cell::Count(case.terminals.into()),
            Cell::Count(case.pushing.into()),
            Cell::rate(seen.rate()),
            Cell::Share(seen.rate() / self.ceiling),
            Cell::Number(seen.per_mille_ms(500), 1),
            Cell::Number(seen.per_mille_ms(990), 1),
            Cell::Number(cpu.satellite * 1e6 / number(seen.records), 1),
            Cell::Number(peak, 1),
            share(cpu.satellite),
            share(cpu.database),
            share(cpu.terminals),
            Cell::Count(seen.failed),
        ]
    }
}
