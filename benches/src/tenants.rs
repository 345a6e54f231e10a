//! Many tenants with a database each on one server with stock `max_connections`, and what the
//! others feel when one tenant's database hangs.
//!
//! Before anything hangs, single records are posted to terminals drawn at random over a few
//! kept connections, so that each one is routed to another tenant than the one before it.
//!
//! Two ways of hanging: a session that locks the tables of one tenant on the common server, and
//! a tenant whose own server is stopped in its tracks (SIGSTOP). At the end every row of every
//! database is looked at; a run fails when one stands where it does not belong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mariadb::{Address, Flavor, Server};
use terminals::{Fleet, Scenario};

use crate::load::{self, Seen};
use crate::lock::Lock;
use crate::machine;
use crate::parse::number;
use crate::process::Satellite;
use crate::report::{Cell, Report, Table};
use crate::routing::{self, Routed};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Tenants, each with a database and a terminal.
    #[arg(long, default_value_t = 200)]
    tenants: u32,
    /// Records a minute of each terminal.
    #[arg(long, default_value_t = 300.0)]
    per_minute: f64,
    /// Seconds of each phase.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How often the phases take turns; the uploads of all turns are ranked together.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Records that are each posted to a terminal drawn at random.
    #[arg(long, default_value_t = 100_000)]
    routings: u32,
}

/// How long the tables of all tenants may take.
const MADE_WITHIN: Duration = Duration::from_secs(300);

const USE: &[&str] = &[
    "tenants",
    "connections at most",
    "a tenant",
    "RSS MiB",
    "peak RSS MiB",
    "CPU of one core",
    "routed at random",
    "posts/s",
    "rows in all",
    "in a wrong database",
];
const PHASES: &[&str] = &[
    "the other tenants while",
    "events/s",
    "ack p50 ms",
    "ack p99 ms",
    "p99 changes by",
    "not accepted",
];

/// A satellite with its tenants, under load.
struct Bench {
    common: Server,
    /// The last tenant's own server.
    apart: Server,
    satellite: Satellite,
    routed: Routed,
    fleet: Fleet,
    scenario: Scenario,
    tenants: u32,
    time: Duration,
}

pub(crate) async fn run(options: &Options) -> Result<Report> {
    ensure!(
        options.tenants >= 3,
        "three tenants are the fewest that show anything"
    );
    let bench = Bench::start(options).await?;
    let connections = Connections::watch(bench.common.address().clone());
    let process = bench.satellite.process_id();
    let mut phases = Phases::default();
    for round in 1..=options.rounds.max(1) {
        eprintln!("  round {round} of {}", options.rounds.max(1));
        bench.round(&mut phases).await?;
    }
    let hangs = phases.table();
    let most = connections.most().await;
    let memory = machine::memory(process)?;
    let (posts, rate) = (bench.routed.posts, bench.routed.rate);
    let (rows, wrong) = bench.finish().await?;
    let mut table = Table::new("Tenants with a database each on one server", USE);
    table.push(vec![
        Cell::text(options.tenants.to_string()),
        Cell::Count(most),
        Cell::Number(number(most) / f64::from(options.tenants), 2),
        Cell::Number(memory.resident, 1),
        Cell::Number(memory.peak, 1),
        Cell::Share(phases.cpu / phases.quiet.seconds),
        Cell::Count(posts),
        Cell::rate(rate),
        Cell::Count(rows),
        Cell::Count(wrong),
    ]);
    ensure!(
        wrong == 0,
        "{wrong} rows are in the database of another tenant, or missing in their own"
    );
    Ok(Report::new(vec![table, hangs]))
}

/// What the others saw in each phase, over all rounds.
#[derive(Default)]
struct Phases {
    quiet: Seen,
    locked: Seen,
    stopped: Seen,
    /// Satellite's processor time while nothing hung, in seconds.
    cpu: f64,
}

impl Phases {
    fn table(&self) -> Table {
        let mut table = Table::new("One tenant's database hangs", PHASES);
        for (name, seen) in [
            ("nothing hangs", &self.quiet),
            ("one tenant's tables are locked", &self.locked),
            ("one tenant's server is stopped", &self.stopped),
        ] {
            table.push(phase_row(name, seen, &self.quiet));
        }
        table
    }
}

fn phase_row(name: &str, seen: &Seen, before: &Seen) -> Vec<Cell> {
    let p99 = seen.per_mille_ms(990);
    vec![
        Cell::text(name),
        Cell::rate(seen.rate()),
        Cell::Number(seen.per_mille_ms(500), 1),
        Cell::Number(p99, 1),
        Cell::Share(p99 / before.per_mille_ms(990) - 1.0),
        Cell::Count(seen.failed),
    ]
}

fn database(tenant: u32) -> String {
    format!("tenant{tenant}")
}

impl Bench {
    async fn start(options: &Options) -> Result<Self> {
        let servers = || {
            anyhow::Ok((
                Server::start(Flavor::Durable)?,
                Server::start(Flavor::Durable)?,
            ))
        };
        let (common, apart) = tokio::task::spawn_blocking(servers).await??;
        let stores = stores(options.tenants, &common, &apart)?;
        eprintln!(
            "  starting satellite, which makes the tables of {} tenants",
            options.tenants
        );
        let satellite = Satellite::start(&stores).await?;
        until_made(options.tenants, &common).await?;
        let scenario = load::paced(&satellite.target()?, options.tenants, options.per_minute);
        let tenant_of = |place| (scenario.serial(place), database(place));
        satellite.enrol((0..scenario.count).map(tenant_of)).await?;
        eprintln!(
            "  {} records, each to a tenant drawn at random",
            options.routings
        );
        let serials: Vec<String> = (0..scenario.count).map(|at| scenario.serial(at)).collect();
        let address = String::from(satellite.target()?);
        let address = address.trim_start_matches("http://").trim_end_matches('/');
        let routed = routing::route(address, &serials, options.routings)
            .await
            .with_context(|| satellite.log_end())?;
        let fleet = load::connected(scenario.clone()).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(Self {
            common,
            apart,
            satellite,
            routed,
            fleet,
            scenario,
            tenants: options.tenants,
            time: Duration::from_secs(options.seconds.max(1)),
        })
    }

    /// What all tenants but the two that hang at some time see.
    async fn phase(&self) -> Result<Seen> {
        let hung = [
            self.scenario.serial(0),
            self.scenario.serial(self.tenants - 1),
        ];
        let others = |serial: &str| !hung.iter().any(|name| name == serial);
        let seen = load::watch(&self.fleet, self.time, others).await?;
        ensure!(
            seen.missed == 0 && seen.records > 0,
            "{} observations were missed, {} records seen: {}",
            seen.missed,
            seen.records,
            self.satellite.log_end()
        );
        Ok(seen)
    }

    /// Each way of hanging once, each with a quiet phase before it, so that what drifts on the
    /// machine touches all of them alike.
    async fn round(&self, phases: &mut Phases) -> Result<()> {
        self.quiet(phases).await?;
        let lock = lock_tables(self.common.address(), &database(0))?;
        let locked = self.phase().await;
        drop(lock);
        phases.locked.join(locked?);
        self.rest().await;
        self.quiet(phases).await?;
        self.apart.pause()?;
        let stopped = self.phase().await;
        self.apart.resume()?;
        phases.stopped.join(stopped?);
        self.rest().await;
        Ok(())
    }

    async fn quiet(&self, phases: &mut Phases) -> Result<()> {
        let process = self.satellite.process_id();
        let before = machine::cpu_seconds(process)?;
        phases.quiet.join(self.phase().await?);
        phases.cpu += machine::cpu_seconds(process)? - before;
        Ok(())
    }

    /// Lets the tenant that hung deliver what its terminal kept.
    async fn rest(&self) {
        tokio::time::sleep(Duration::from_secs(15)).await;
    }

    /// Ends everything; answers the rows stored and those in a wrong database.
    async fn finish(self) -> Result<(u64, u64)> {
        let acked = self.fleet.finish(Duration::from_secs(60)).await.acked;
        self.satellite.stop().await?;
        let (mut rows, mut wrong) = (0, 0);
        for tenant in 0..self.tenants {
            let server = if tenant + 1 == self.tenants {
                &self.apart
            } else {
                &self.common
            };
            let sql = format!(
                "SELECT COUNT(*), COALESCE(SUM(serial <> '{}' OR tenant <> '{}'), 0) \
                 FROM `{}`.event_feed WHERE kind = 'punch';",
                self.scenario.serial(tenant),
                database(tenant),
                database(tenant)
            );
            let answer = server.sql(&sql)?;
            let mut counts = answer.split_whitespace().map(str::parse::<u64>);
            rows += counts.next().context("no count came back")??;
            wrong += counts.next().context("no count came back")??;
            wrong += self.routed.wrong(server, &database(tenant), tenant)?;
        }
        let acked = acked + self.routed.posts;
        ensure!(
            rows >= acked,
            "{acked} records were acknowledged and {rows} are stored"
        );
        Ok((rows, wrong))
    }
}

/// Makes the databases and the configuration that names them.
fn stores(tenants: u32, common: &Server, apart: &Server) -> Result<String> {
    common.create_database("registry")?;
    let mut text = format!("[store]\nurl = \"{}\"\n", common.url("registry"));
    for tenant in 0..tenants {
        let name = database(tenant);
        let server = if tenant + 1 == tenants { apart } else { common };
        server.create_database(&name)?;
        text += &format!(
            "[[tenant]]\nid = \"{name}\"\nname = \"{name}\"\ntime_zone = \"America/Mexico_City\"\n\
             url = \"{}\"\n",
            server.url(&name)
        );
    }
    Ok(text)
}

/// Waits until every database of the common server has its tables.
async fn until_made(tenants: u32, common: &Server) -> Result<()> {
    let heads =
        (0..tenants - 1).map(|tenant| format!("SELECT id FROM `{}`.feed_head", database(tenant)));
    let sql = heads.collect::<Vec<_>>().join(" UNION ALL ") + ";";
    let begin = Instant::now();
    loop {
        let (address, asked) = (common.address().clone(), sql.clone());
        let answer = tokio::task::spawn_blocking(move || address.sql(&asked)).await?;
        // Its row is the last thing that the making of tables does.
        if answer
            .is_ok_and(|rows| rows.lines().count() + 1 >= usize::try_from(tenants).unwrap_or(0))
        {
            return Ok(());
        }
        ensure!(
            begin.elapsed() < MADE_WITHIN,
            "the tables were not made in time"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Holds the tables of one database locked.
fn lock_tables(address: &Address, database: &str) -> Result<Lock> {
    let held = format!("LOCK TABLES `{database}`.feed_head WRITE, `{database}`.event WRITE;");
    Lock::take(address.port(), &held)
}

/// Asks the server every two seconds how many connections it has.
struct Connections {
    most: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<Result<()>>,
}

impl Connections {
    fn watch(address: Address) -> Self {
        let most = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&most);
        let task = tokio::spawn(async move {
            loop {
                let address = address.clone();
                let asked = move || address.sql("SHOW GLOBAL STATUS LIKE 'Threads_connected';");
                let answer = tokio::task::spawn_blocking(asked).await??;
                let count = answer
                    .split_whitespace()
                    .nth(1)
                    .context("no count came back")?;
                // The client that asks is one of them.
                counted.fetch_max(count.parse::<u64>()?.saturating_sub(1), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        });
        Self { most, task }
    }

    /// The largest number that was seen. The session that locked tables is among them.
    async fn most(self) -> u64 {
        self.task.abort();
        self.task.await.ok();
        self.most.load(Ordering::Relaxed)
    }
}
