//! Devices that post, each person with a picture: memory over time, what reaches the disk, and
//! whether anything is missing.
//!
//! Memory is looked at each second; its first value is taken when every device has posted once.
//! The disk is satellite's own folder and what the kernel counted as written by satellite; the
//! rows are in the database's folder. The run fails when a row that was answered 200 is missing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use terminals::hikvision::{Post, PostHabits, PostOptions, PostShape};

use super::stage::{Crowd, Stage, empty_log};
use crate::machine;
use crate::parse::number;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Devices that post.
    #[arg(long, default_value_t = 1_000)]
    devices: u32,
    /// Posts a second over all devices, each with a picture.
    #[arg(long, default_value_t = 50.0)]
    per_second: f64,
    /// KiB of each picture.
    #[arg(long, default_value_t = 200)]
    picture_kib: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 150)]
    seconds: u64,
}

const USE: &[&str] = &[
    "devices posting",
    "posts",
    "posts/s",
    "RSS MiB at the start",
    "after a third",
    "after two thirds",
    "at the end",
    "peak",
    "CPU of one core",
    "p50 s",
    "p99 s",
    "missing",
    "doubled",
];
const DISK: &[&str] = &[
    "what went where, MiB",
    "pictures posted",
    "written by satellite",
    "its folder grew by",
    "the database's folder grew by",
    "rows",
    "refused or failed posts",
];

pub(crate) async fn run(options: &Options) -> Result<Report> {
    if let Some(advice) = terminals::descriptor_advice(options.devices.saturating_mul(2)) {
        bail!("{advice}");
    }
    let stage = Stage::start().await?;
    let serials: Vec<String> = (0..options.devices)
        .map(|place| format!("POST{place:07}"))
        .collect();
    let urls = stage.enrol_posting(&serials).await?;
    stage.noticed().await;
    let posts = start(options, &stage, serials, urls)?;
    let mut crowd = Crowd::new(options.per_second);
    let once = Duration::from_secs_f64(f64::from(options.devices) / options.per_second);
    crowd.walk_for(&posts, once).await?;
    let before = Disk::now(&stage)?;
    let rows = stage.feed.count();
    let cpu = stage.cpu()?;
    let process = stage.satellite.process_id();
    let mut memory = vec![machine::memory(process)?.resident];
    let third = Duration::from_secs_f64(number(options.seconds.max(3)) / 3.0);
    let mut made = Vec::new();
    for _ in 0..3 {
        made.extend(crowd.walk_for(&posts, third).await?);
        memory.push(machine::memory(process)?.resident);
    }
    let cpu = stage.cpu()?.since(cpu);
    let delays = stage
        .feed
        .delays_within(&made, Duration::from_secs(60))
        .await?;
    let verdict = stage.settled("", Duration::from_secs(60)).await?;
    let grown = Disk::now(&stage)?.since(before);
    let peak = machine::memory(process)?.peak;
    let seconds = third.as_secs_f64() * 3.0;
    let mut table = Table::new("Posts with pictures", USE);
    let mut row = vec![
        Cell::text(options.devices.to_string()),
        Cell::Count(u64::try_from(made.len())?),
        Cell::Number(number(u64::try_from(made.len())?) / seconds, 1),
    ];
    row.extend(memory.into_iter().map(|mib| Cell::Number(mib, 1)));
    row.extend([
        Cell::Number(peak, 1),
        Cell::Share(cpu.satellite / seconds),
        Cell::Number(delays.per_mille(500), 3),
        Cell::Number(delays.per_mille(990), 3),
        Cell::Count(u64::try_from(verdict.missing.len())?),
        Cell::Count(u64::try_from(verdict.doubled)?),
    ]);
    table.push(row);
    let pictures = u64::try_from(made.len() * options.picture_kib * 1_024)?;
    let mut disk = Table::new("Disk, over the same time", DISK);
    disk.push(vec![
        Cell::text("measured time"),
        mib(pictures),
        mib(grown.written),
        mib(grown.folder),
        mib(grown.database),
        Cell::Count(u64::try_from(stage.feed.count() - rows)?),
        Cell::Count(troubled(&posts)),
    ]);
    verdict.clean()?;
    ensure!(delays.unseen == 0, "{} posts never came", delays.unseen);
    drop(posts);
    stage.satellite.stop().await?;
    Ok(Report::new(vec![table, disk]))
}

/// Posts that were refused or failed, and were sent again.
fn troubled(posts: &[Post]) -> u64 {
    let counters = posts.iter().map(Post::counters);
    counters.map(|one| one.refused + one.failed).sum()
}

fn mib(bytes: u64) -> Cell {
    Cell::Number(number(bytes) / 1_048_576.0, 2)
}

fn start(
    options: &Options,
    stage: &Stage,
    serials: Vec<String>,
    urls: Vec<String>,
) -> Result<Vec<Post>> {
    let mut posts = Vec::new();
    for (seed, (serial, url)) in (1..).zip(serials.into_iter().zip(urls)) {
        let options = PostOptions {
            serial,
            url,
            seed,
            log: empty_log(false),
            post: PostHabits {
                shape: PostShape::AccessController,
                picture_bytes: options.picture_kib * 1_024,
                ..PostHabits::default()
            },
            ..PostOptions::default()
        };
        posts.push(Post::start(options, Some(stage.ledger()))?);
    }
    Ok(posts)
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy)]
struct Disk {
    /// Sent to the disk by satellite, as the kernel counts it.
    written: u64,
    /// In satellite's folder.
    folder: u64,
    /// In the database's folder, its logs among them.
    database: u64,
}

impl Disk {
    fn now(stage: &Stage) -> Result<Self> {
        let data = stage.server.sql("SELECT @@datadir;")?;
        Ok(Self {
            written: machine::written(stage.satellite.process_id())?,
            folder: size(stage.satellite.folder())?,
            database: size(&PathBuf::from(data.trim()))?,
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            written: self.written.saturating_sub(before.written),
            folder: self.folder.saturating_sub(before.folder),
            database: self.database.saturating_sub(before.database),
        }
    }
}

/// Bytes of all files in a folder. Files that vanish meanwhile count nothing.
fn size(folder: &Path) -> Result<u64> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut all = 0;
    for entry in entries.flatten() {
        let Ok(facts) = entry.metadata() else {
            continue;
        };
        all += if facts.is_dir() {
            size(&entry.path())?
        } else {
            facts.len()
        };
    }
    Ok(all)
}
