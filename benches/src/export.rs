//! A tenant's events into one file, as an operator does it: how long, and how much memory.
//!
//! The rows are made as for `sizing`. What is told is of the command alone, from its start to its
//! end; its memory is the kernel's own high-water mark, looked at until it ends. The run fails when
//! the file has another number of lines than the table has rows.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mariadb::{Flavor, Server};
use store::Target;

use crate::machine;
use crate::parse::number;
use crate::process;
use crate::report::{Cell, Report, Table};
use crate::sizing::{Grown, Of};
use crate::writer::mariadb_target;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Rows.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Only from this engine: sqlite or mariadb.
    #[arg(long)]
    only: Option<String>,
}

const COLUMNS: &[&str] = &[
    "from",
    "format",
    "rows",
    "seconds",
    "rows/s",
    "peak RSS MiB",
    "MiB of file",
];
/// Between two looks at the memory of the command.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let mut table = Table::new("satellite export, all rows of a tenant", COLUMNS);
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let folder = tempfile::tempdir().context("no temporary folder")?;
    if wanted("sqlite") {
        let file = folder.path().join("events.db");
        let url = format!("sqlite://{}", file.display());
        let from = ("SQLite", Target::Sqlite(file), url);
        one(options, folder.path(), from, &mut table).await?;
    }
    if wanted("mariadb") {
        let server = tokio::task::spawn_blocking(|| Server::start(Flavor::Durable)).await??;
        let database = server.address().fresh_database("export")?;
        let target = mariadb_target(server.address(), &database);
        let from = ("MariaDB, durable", target, server.address().url(&database));
        one(options, folder.path(), from, &mut table).await?;
    }
    Ok(Report::new(vec![table]).note("peak RSS is VmHWM of the command".to_owned()))
}

async fn one(
    options: &Options,
    folder: &Path,
    (name, target, url): (&'static str, Target, String),
    table: &mut Table,
) -> Result<()> {
    let mut grown = Grown::new(name, target, Of::Attendance).await?;
    grown.grow_to(options.rows).await?;
    let rows = grown.rows();
    drop(grown);
    let config = folder.join("export.toml");
    let text = format!(
        "state_dir = \"{}\"\n[store]\nurl = \"{url}\"\n\
         [[tenant]]\nid = \"bench\"\nname = \"Bench\"\ntime_zone = \"America/Mexico_City\"\n",
        folder.display()
    );
    std::fs::write(&config, text)?;
    for format in ["csv", "jsonl"] {
        let file = folder.join(format!("out.{format}"));
        let mut command = Command::new(process::program()?);
        command
            .args([
                "export",
                "--tenant",
                "bench",
                "--from",
                "2000-01-01",
                "--format",
                format,
            ])
            .arg("--file")
            .arg(&file)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let (took, peak) = watched(command).await?;
        let (lines, bytes) = counted(&file)?;
        let head = u64::from(format == "csv");
        ensure!(lines == rows + head, "{lines} lines for {rows} rows");
        let seconds = took.as_secs_f64();
        table.push(vec![
            Cell::text(name),
            Cell::text(format),
            Cell::Count(rows),
            Cell::Number(seconds, 1),
            Cell::rate(number(rows) / seconds),
            Cell::Number(peak, 1),
            Cell::Number(number(bytes) / f64::from(1 << 20), 0),
        ]);
        std::fs::remove_file(&file)?;
    }
    Ok(())
}

/// Runs a command to its end: how long it took, and its most memory in MiB.
async fn watched(mut command: Command) -> Result<(Duration, f64)> {
    let begin = Instant::now();
    let mut child = command.spawn()?;
    let mut peak = 0.0;
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "the command ended with {status}");
            return Ok((begin.elapsed(), peak));
        }
        // It may have ended since.
        if let Ok(memory) = machine::memory(child.id()) {
            peak = memory.peak.max(peak);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Lines and bytes of a file.
fn counted(file: &Path) -> Result<(u64, u64)> {
    let bytes = std::fs::read(file)?;
    let lines = memchr::memchr_iter(b'\n', &bytes).count();
    Ok((u64::try_from(lines)?, u64::try_from(bytes.len())?))
}
