//! Figures: how fast satellite reads, stores and takes in, each beside a ceiling measured in the
//! same run.
//!
//! One program with a subcommand for each question; every one prints a table for people and,
//! with `--json`, one object for machines. Databases and satellite are real processes on a real
//! disk: everything temporary stands under `target/bench-data`. Nothing here is a test; a run
//! fails only when what was measured did not happen (records missing, uploads refused). How to
//! read the figures is in `benches/README.md`.

mod allocations;
mod backup;
mod beside;
mod brokers;
mod ceiling;
mod connections;
mod export;
mod hikvision;
mod ingest;
mod load;
mod lock;
mod machine;
mod outputs;
mod parse;
mod process;
mod pull;
mod report;
mod restore;
mod routing;
mod samples;
mod sentinel;
mod sizing;
mod start;
mod tenants;
mod writer;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::report::Report;

/// Figures of satellite. Build first: cargo build --release -p satellite -p benches
#[derive(Parser)]
#[command(name = "benches")]
struct Arguments {
    /// Print one JSON object instead of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// ATTLOG lines to events with identity, on one core.
    Parse(parse::Options),
    /// Rows a second into SQLite and MariaDB, beside what the server's own client reaches.
    Store(writer::Options),
    /// Simulated terminals to a durable MariaDB and back: events a second, latency, CPU, memory.
    Ingest(ingest::Options),
    /// Satellite, a bare HTTP server and an ordinary Python receiver under the same load.
    SideBySide(beside::Options),
    /// The bare server of `side-by-side`.
    #[command(hide = true)]
    BareServer(beside::bare::Options),
    /// What satellite allocates for an event: how often, and how many bytes.
    Allocations(allocations::Options),
    /// Terminals that only poll: memory and CPU.
    Connections(connections::Options),
    /// From the start of the process to READY=1, with many terminals enrolled.
    StartTime(start::Options),
    /// Room of an event on the disk, and how long questions take as the table grows.
    Sizing(sizing::Options),
    /// Many tenants with a database each, and one of them hung.
    Tenants(tenants::Options),
    /// Hikvision: live punches while a terminal replays its history.
    HikvisionLive(hikvision::live::Options),
    /// Hikvision: gaps until they are stored, memory that ran over, counts that began again.
    HikvisionGaps(hikvision::gaps::Options),
    /// Hikvision: a thousand devices that are dialled: memory, CPU, logins.
    HikvisionDialled(hikvision::dialled::Options),
    /// Hikvision: a thousand devices that post pictures: memory, disk, nothing missing.
    HikvisionPosts(hikvision::posts::Options),
    /// Hikvision: a full terminal beside a live fleet, with a kill in the middle.
    HikvisionBackfill(hikvision::backfill::Options),
    /// Port 4370: a full log over lossy UDP and over TCP cut anywhere, read by the protocol alone.
    PullRead(pull::read::Options),
    /// Port 4370: a full log into SQLite and MariaDB, records a second.
    PullStore(pull::store::Options),
    /// Port 4370: a thousand terminals listened to: memory, delay, a cut of the network.
    PullLive(pull::live::Options),
    /// Terminals of all kinds after an old copy of the database was restored: until all is back.
    BackfillAfterRestore(restore::Options),
    /// An output whose receiver is away and comes back: drained events a second, the terminals' latency.
    Outputs(outputs::Options),
    /// Messages in and out of a broker that is killed again and again.
    Mqtt(brokers::Options),
    /// A tenant's events into a file: time and memory.
    Export(export::Options),
    /// Copies of many databases while terminals punch, and their proof by restoring.
    Backup(backup::Options),
    /// Sentinel: from each sort of fault to the mail about it. Needs OpenSMTPD and root.
    SentinelDetection(sentinel::detection::Options),
    /// Sentinel: an hour of short outages and restarts. Needs OpenSMTPD and root.
    SentinelNoise(sentinel::noise::Options),
    /// Sentinel: memory while it watches five thousand terminals.
    SentinelMemory(sentinel::memory::Options),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(replaced) = on_real_disk()? {
        return Err(replaced);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(measure(arguments.bench))?;
    if arguments.json {
        println!("{}", report.json());
    } else {
        println!("{report}");
    }
    Ok(())
}

async fn measure(bench: Bench) -> Result<Report> {
    match bench {
        Bench::Parse(options) => parse::run(&options),
        Bench::Store(options) => writer::run(&options).await,
        Bench::Ingest(options) => ingest::run(&options).await,
        Bench::SideBySide(options) => beside::run(&options).await,
        Bench::BareServer(options) => {
            beside::bare::serve(&options).await?;
            Ok(Report::new(Vec::new()))
        }
        Bench::Allocations(options) => allocations::run(&options).await,
        Bench::Connections(options) => connections::run(&options).await,
        Bench::StartTime(options) => start::run(&options).await,
        Bench::Sizing(options) => sizing::run(&options).await,
        Bench::Tenants(options) => tenants::run(&options).await,
        Bench::HikvisionLive(options) => hikvision::live::run(&options).await,
        Bench::HikvisionGaps(options) => hikvision::gaps::run(&options).await,
        Bench::HikvisionDialled(options) => hikvision::dialled::run(&options).await,
        Bench::HikvisionPosts(options) => hikvision::posts::run(&options).await,
        Bench::HikvisionBackfill(options) => hikvision::backfill::run(&options).await,
        Bench::PullRead(options) => pull::read::run(&options).await,
        Bench::PullStore(options) => pull::store::run(&options).await,
        Bench::PullLive(options) => pull::live::run(&options).await,
        Bench::BackfillAfterRestore(options) => restore::run(&options).await,
        Bench::Outputs(options) => outputs::run(&options).await,
        Bench::Mqtt(options) => brokers::run(&options).await,
        Bench::Export(options) => export::run(&options).await,
        Bench::Backup(options) => backup::run(&options).await,
        Bench::SentinelDetection(options) => sentinel::detection::run(&options).await,
        Bench::SentinelNoise(options) => sentinel::noise::run(&options).await,
        Bench::SentinelMemory(options) => sentinel::memory::run(&options).await,
    }
}

/// The folder of everything temporary, beside the program: `target/bench-data`.
fn data_folder() -> Result<PathBuf> {
    let program = std::env::current_exe().context("this program's own path is not known")?;
    let target = program.parent().and_then(std::path::Path::parent);
    Ok(target
        .context("this program stands in no target folder")?
        .join("bench-data"))
}

/// Starts this program over with `TMPDIR` in [`data_folder`], where private servers then put
/// their data: `/tmp` may be memory, and a commit into memory is no durable commit. The programs
/// that are measured are those beside this one, unless others are named. Returns an error only
/// when that failed, and nothing in the program that was started over.
fn on_real_disk() -> Result<Option<anyhow::Error>> {
    use std::os::unix::process::CommandExt as _;
    let folder = data_folder()?;
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    if std::env::var_os("TMPDIR").is_some_and(|now| now == folder.as_os_str()) {
        return Ok(None);
    }
    let this = std::env::current_exe()?;
    let mut again = Command::new(&this);
    for (variable, name) in [("SATELLITE_BIN", "satellite"), ("SENTINEL_BIN", "sentinel")] {
        if std::env::var_os(variable).is_none() {
            again.env(variable, this.with_file_name(name));
        }
    }
    let failed = again
        .args(std::env::args_os().skip(1))
        .env("TMPDIR", folder)
        .exec();
    Ok(Some(failed.into()))
}
