//! A full terminal is enrolled beside a live fleet: how long until all of it is stored, what do
//! the others feel, and what does a crash in the middle cost?
//!
//! Satellite is killed (SIGKILL) when half of the rows are there and started again at once,
//! while people go on entering at the other devices. The run fails when a row is missing or
//! doubled at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use terminals::hikvision::{Device, DeviceOptions, LogOptions, SearchOptions};

use super::feed::{Delays, Made};
use super::stage::{Crowd, Stage, empty_log, plain};
use crate::parse::number;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Records on the terminal.
    #[arg(long, default_value_t = 150_000)]
    history: u64,
    /// Milliseconds that it takes for each page of 30; a run for each.
    #[arg(long, default_values_t = [20, 0])]
    page_ms: Vec<u64>,
    /// The other devices.
    #[arg(long, default_value_t = 50)]
    others: u32,
    /// Punches a second over the others.
    #[arg(long, default_value_t = 10.0)]
    per_second: f64,
    /// Seconds before the terminal is enrolled.
    #[arg(long, default_value_t = 30)]
    quiet: u64,
    /// Without the kill, for the plain duration.
    #[arg(long)]
    no_kill: bool,
}

const WHOLE: &[&str] = &[
    "ms a page",
    "records",
    "all stored after s",
    "records/s before the kill",
    "ready again after s",
    "first record again after s",
    "records/s after that",
    "missing",
    "doubled",
];
const OTHERS: &[&str] = &[
    "live punches of the others",
    "ms a page",
    "punches",
    "p50 s",
    "p99 s",
    "worst s",
    "never seen",
];
const BIG: &str = "FULL0000001";

/// What one run found.
struct Run {
    whole: Vec<Cell>,
    phases: Vec<(&'static str, Delays)>,
}

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let mut whole = Table::new("A full terminal beside a live fleet", WHOLE);
    let mut others = Table::new("What the others feel", OTHERS);
    for page_ms in &options.page_ms {
        let run = one(options, *page_ms).await?;
        whole.push(run.whole);
        for (name, delays) in run.phases {
            others.push(vec![
                Cell::text(name),
                Cell::Count(*page_ms),
                Cell::Count(delays.count()),
                Cell::Number(delays.per_mille(500), 3),
                Cell::Number(delays.per_mille(990), 3),
                Cell::Number(delays.per_mille(1_000), 3),
                Cell::Count(delays.unseen),
            ]);
        }
    }
    let note = "Punches made from the kill until the next record of the full terminal is stored are \
                in the line 'killed'; they count for missing and doubled like all others.";
    Ok(Report::new(vec![whole, others]).note(note))
}

async fn one(options: &Options, page_ms: u64) -> Result<Run> {
    let mut stage = Stage::start().await?;
    let mut others = Vec::new();
    for place in 0..options.others {
        others.push(stage.device(plain("LIVE", place, empty_log(true))).await?);
    }
    let full = full(options, page_ms, &stage).await?;
    stage.enrol(others.iter()).await?;
    stage.connected(&others, Duration::from_secs(120)).await?;
    let mut crowd = Crowd::new(options.per_second);
    let quiet = crowd
        .walk_for(&others, Duration::from_secs(options.quiet))
        .await?;
    stage.enrol(std::iter::once(&full)).await?;
    let all = usize::try_from(full.newest())?;
    // The clock begins with the first record, because noticing an enrolment is another figure.
    let noticing = crowd.walk(&others, stored(&stage, 1)).await?;
    let begin = Instant::now();
    let half = if options.no_kill { all } else { all / 2 };
    let before = crowd.walk(&others, stored(&stage, half)).await?;
    let rate_before = number(u64::try_from(half)?) / begin.elapsed().as_secs_f64();
    let mut killed = Crash::default();
    let mut after = Vec::new();
    if !options.no_kill {
        killed = crash(&mut stage, &mut crowd, &others).await?;
        let left = stage.feed.count_of(BIG);
        let again = Instant::now();
        after = crowd.walk(&others, stored(&stage, all)).await?;
        killed.rate = number(u64::try_from(all - left)?) / again.elapsed().as_secs_f64();
    }
    let time = begin.elapsed().as_secs_f64();
    let verdict = stage.settled("", Duration::from_secs(120)).await?;
    let feed = &stage.feed;
    let during: Vec<Made> = noticing.into_iter().chain(before).collect();
    let phases = vec![
        ("nothing to fetch", feed.delays(&quiet)),
        ("fetching", feed.delays(&during)),
        ("killed", feed.delays(&killed.made)),
        ("fetching again", feed.delays(&after)),
    ];
    let whole = vec![
        Cell::text(page_ms.to_string()),
        Cell::Count(options.history),
        Cell::Number(time, 1),
        Cell::rate(rate_before),
        Cell::Number(killed.ready, 1),
        Cell::Number(killed.first, 1),
        Cell::rate(killed.rate),
        Cell::Count(u64::try_from(verdict.missing.len())?),
        Cell::Count(u64::try_from(verdict.doubled)?),
    ];
    verdict.clean()?;
    drop((others, full));
    stage.satellite.stop().await?;
    Ok(Run { whole, phases })
}

async fn full(options: &Options, page_ms: u64, stage: &Stage) -> Result<Device> {
    let log = LogOptions {
        ring: options.history.max(5),
        history: options.history,
        history_owed: true,
        ..LogOptions::default()
    };
    let device = stage
        .device(DeviceOptions {
            serial: BIG.to_owned(),
            search: SearchOptions {
                page_ms,
                ..SearchOptions::default()
            },
            ..plain("", 0, log)
        })
        .await?;
    ensure!(
        device.newest() == options.history,
        "the terminal is not full"
    );
    Ok(device)
}

/// Returns when so many records of the full terminal are stored.
async fn stored(stage: &Stage, rows: usize) {
    while stage.feed.count_of(BIG) < rows {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a kill cost.
#[derive(Default)]
struct Crash {
    /// Seconds until it was ready again.
    ready: f64,
    /// Seconds until the next record of the full terminal was stored.
    first: f64,
    /// Records a second from then on.
    rate: f64,
    made: Vec<Made>,
}

async fn crash(stage: &mut Stage, crowd: &mut Crowd, others: &[Device]) -> Result<Crash> {
    let begin = Instant::now();
    let mut started = Ok(());
    let satellite = &mut stage.satellite;
    let killed = async { started = satellite.kill_and_start().await };
    let mut made = crowd.walk(others, killed).await?;
    started?;
    let ready = begin.elapsed().as_secs_f64();
    let have = stage.feed.count_of(BIG);
    made.extend(crowd.walk(others, stored(stage, have + 1)).await?);
    Ok(Crash {
        ready,
        first: begin.elapsed().as_secs_f64(),
        rate: 0.0,
        made,
    })
}
