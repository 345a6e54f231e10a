//! Rows that satellite was kept from seeing: how soon after they were made is each of them
//! stored, and are a memory that ran over and a count that began again called by their names?
//!
//! A gap is timed from before its rows exist, so that a device that is down for some seconds
//! makes it longer. How long each gap was, and when, is drawn from a seed. Conditions are
//! looked up in `/metrics`, rows in the feed as everywhere.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use terminals::hikvision::{Device, DeviceOptions, LogOptions, SearchOptions, StreamOptions};

use super::feed::Delays;
use super::stage::{Stage, empty_log, plain};
use super::verdict::Verdict;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Gaps of all four kinds together; rounded up to the same number on each device.
    #[arg(long, default_value_t = 100)]
    gaps: u32,
    /// Devices on which they come up, one gap at a time on each.
    #[arg(long, default_value_t = 20)]
    devices: u32,
    /// What is drawn follows from this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Devices that run over, that begin again, and that begin again and pass their old count.
    #[arg(long, default_value_t = 3)]
    each: u32,
}

/// Within which a gap must be stored.
const LIMIT: Duration = Duration::from_secs(60);
/// When a gap counts as never stored.
const NEVER: Duration = Duration::from_secs(180);

const GAPS: &[&str] = &[
    "rows made while",
    "gaps",
    "rows",
    "p50 s",
    "p99 s",
    "worst s",
    "within 60 s",
    "never",
];
const CONDITIONS: &[&str] = &[
    "what happened to the log",
    "devices",
    "condition",
    "raised",
    "last raised after s",
    "rows gone before they could be asked for",
    "held, and missing",
    "doubled",
];

/// How satellite is kept from seeing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The stream is silent without an end; more rows at once than a page holds.
    Silent,
    /// The stream stops in the middle of a part; pages are slow.
    Stalled,
    /// The device is down while the rows are made.
    Down,
    /// The same, and its stream never tells what happened meanwhile.
    Untold,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Silent, Self::Stalled, Self::Down, Self::Untold];

    fn words(self) -> &'static str {
        match self {
            Self::Silent => "the stream is silent",
            Self::Stalled => "the stream stalls, 500 ms a page",
            Self::Down => "the device is down",
            Self::Untold => "it is down, nothing is replayed",
        }
    }

    fn options(self, place: u32) -> DeviceOptions {
        let plain = plain("GAPS", place, empty_log(true));
        DeviceOptions {
            search: SearchOptions {
                page_ms: if self == Self::Stalled { 500 } else { 20 },
                ..SearchOptions::default()
            },
            stream: StreamOptions {
                replay: self != Self::Untold,
                ..StreamOptions::default()
            },
            ..plain
        }
    }
}

/// Numbers that look random and are the same in each run (SplitMix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    fn pause(&mut self, most_ms: u64) -> Duration {
        Duration::from_millis(self.below(most_ms))
    }
}

/// What became of one gap: its rows, and how long it took; `None` for never.
type Gap = (Kind, u64, Option<Duration>);

pub(crate) async fn run(options: &Options) -> Result<Report> {
    ensure!(options.devices >= 4, "there are four kinds of gaps");
    let stage = Stage::start().await?;
    let mut tables = vec![gaps(options, &stage).await?];
    let verdict = stage.settled("GAPS", Duration::from_secs(30)).await?;
    verdict.clean()?;
    tables.push(conditions(options, &stage).await?);
    stage.satellite.stop().await?;
    Ok(Report::new(tables))
}

async fn gaps(options: &Options, stage: &Stage) -> Result<Table> {
    let mut devices = Vec::new();
    for (place, kind) in (0..options.devices).zip(Kind::ALL.into_iter().cycle()) {
        devices.push((kind, stage.device(kind.options(place)).await?));
    }
    stage
        .enrol(devices.iter().map(|(_, device)| device))
        .await?;
    for (_, device) in &devices {
        stage
            .connected(std::slice::from_ref(device), Duration::from_secs(60))
            .await?;
    }
    let rounds = options.gaps.div_ceil(options.devices);
    let mut all: Vec<Gap> = Vec::new();
    // Side by side, on this one task: nothing here needs more than one core.
    let mut running = Vec::new();
    for (seed, (kind, device)) in (options.seed..).zip(&devices) {
        running.push(Box::pin(one_device(stage, *kind, device, rounds, seed)));
    }
    for gaps in join(running).await {
        all.extend(gaps?);
    }
    let mut table = Table::new("Gaps", GAPS);
    for kind in Kind::ALL {
        table.push(row(kind.words(), all.iter().filter(|gap| gap.0 == kind)));
    }
    table.push(row("all", all.iter()));
    Ok(table)
}

/// Runs these side by side.
async fn join<F: Future>(mut running: Vec<std::pin::Pin<Box<F>>>) -> Vec<F::Output> {
    let mut done: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut open = false;
        for (future, done) in running.iter_mut().zip(&mut done) {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(output) => *done = Some(output),
                    std::task::Poll::Pending => open = true,
                }
            }
        }
        if open {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

fn row<'a>(name: &str, gaps: impl Iterator<Item = &'a Gap>) -> Vec<Cell> {
    let (mut times, mut rows, mut never) = (Vec::new(), 0, 0);
    for (_, count, time) in gaps {
        rows += count;
        match time {
            Some(time) => times.push(*time),
            None => never += 1,
        }
    }
    let delays = Delays::of(times, never);
    vec![
        Cell::text(name),
        Cell::Count(delays.count() + never),
        Cell::Count(rows),
        Cell::Number(delays.per_mille(500), 1),
        Cell::Number(delays.per_mille(990), 1),
        Cell::Number(delays.per_mille(1_000), 1),
        Cell::Count(delays.within(LIMIT)),
        Cell::Count(never),
    ]
}

async fn one_device(
    stage: &Stage,
    kind: Kind,
    device: &Device,
    rounds: u32,
    seed: u64,
) -> Result<Vec<Gap>> {
    let mut draws = Draws(seed);
    let mut gaps = Vec::new();
    for _ in 0..rounds {
        tokio::time::sleep(draws.pause(7_000)).await;
        // More than a page, so that the newest page alone never closes it.
        let rows = 31 + draws.below(570);
        let at = Instant::now();
        let first = make(kind, device, rows, &mut draws).await?;
        let last = first + rows - 1;
        let stored = loop {
            if let Some(seen) = stage.feed.all_seen(device.serial(), first, last) {
                break Some(seen.saturating_duration_since(at));
            }
            if at.elapsed() > NEVER {
                break None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        gaps.push((kind, rows, stored));
    }
    Ok(gaps)
}

/// Makes the rows of one gap; answers the number of the first.
async fn make(kind: Kind, device: &Device, rows: u64, draws: &mut Draws) -> Result<u64> {
    let count = usize::try_from(rows)?;
    match kind {
        Kind::Silent => {
            device.kill_stream();
            Ok(device.rows(5, 21, count).await?)
        }
        Kind::Stalled => {
            device.stall(Duration::from_secs(20));
            Ok(device.rows(5, 21, count).await?)
        }
        Kind::Down | Kind::Untold => {
            let down = Duration::from_secs(1) + draws.pause(7_000);
            device.reboot(down);
            // The row of the shutdown comes first.
            tokio::time::sleep(Duration::from_millis(200)).await;
            let first = device.rows(5, 21, count).await?;
            tokio::time::sleep(down).await;
            device.punch("1").await?;
            Ok(first)
        }
    }
}

/// What happens to a device's log.
#[derive(Clone, Copy)]
enum Fate {
    RunsOver,
    BeginsAgain,
    /// It begins again and has more rows than before when satellite looks next.
    Passes,
}

async fn conditions(options: &Options, stage: &Stage) -> Result<Table> {
    let mut table = Table::new("Conditions", CONDITIONS);
    for (fate, prefix, words, name) in [
        (
            Fate::RunsOver,
            "OVER",
            "its memory ran over while it was down",
            "ring_overrun",
        ),
        (
            Fate::BeginsAgain,
            "AGAIN",
            "its count began again at 1",
            "serials_restarted",
        ),
        (
            Fate::Passes,
            "PASS",
            "it began again and passed the old count at once",
            "serials_restarted",
        ),
    ] {
        let before = raised(stage, name).await?;
        let devices = befall(options.each, stage, fate, prefix).await?;
        let begin = Instant::now();
        let mut count = 0.0;
        let mut last = 0.0;
        while begin.elapsed() < Duration::from_secs(90) {
            let now = raised(stage, name).await? - before;
            if now > count {
                (count, last) = (now, begin.elapsed().as_secs_f64());
            }
            if count >= f64::from(options.each) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let verdict = held(stage, &devices, prefix).await?;
        let gone = gone(&verdict, &devices);
        table.push(vec![
            Cell::text(words),
            Cell::Count(options.each.into()),
            Cell::text(name),
            Cell::rate(count),
            Cell::Number(last, 1),
            Cell::Count(gone),
            Cell::Count(u64::try_from(verdict.missing.len())?.saturating_sub(gone)),
            Cell::Count(u64::try_from(verdict.doubled)?),
        ]);
    }
    Ok(table)
}

/// Waits until everything that the devices hold is stored, or a while.
async fn held(stage: &Stage, devices: &[Device], prefix: &str) -> Result<Verdict> {
    let begin = Instant::now();
    loop {
        let verdict = stage.verdict(prefix).await?;
        let gone = gone(&verdict, devices);
        let missing = u64::try_from(verdict.missing.len())?;
        if missing == gone || begin.elapsed() > LIMIT {
            return Ok(verdict);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Missing rows that no device holds any more: thrown away by the ring, or by a reset, after
/// which another row may stand under the same serial.
fn gone(verdict: &Verdict, devices: &[Device]) -> u64 {
    let is_gone = |row: &&super::feed::Name| {
        let device = devices.iter().find(|device| device.serial() == row.serial);
        device.is_some_and(|device| {
            let shown = device.shows(row.serial_no);
            shown.is_none_or(|(major, minor, time)| {
                format!("{major}/{minor}") != row.code || time != row.time
            })
        })
    };
    u64::try_from(verdict.missing.iter().filter(is_gone).count()).unwrap_or(u64::MAX)
}

async fn befall(count: u32, stage: &Stage, fate: Fate, prefix: &str) -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    for place in 0..count {
        let log = LogOptions {
            ring: 600,
            evict: Some(120),
            ..LogOptions::default()
        };
        let device = stage.device(plain(prefix, place, log)).await?;
        device.rows(5, 21, 90).await?;
        devices.push(device);
    }
    stage.enrol(devices.iter()).await?;
    stage.connected(&devices, Duration::from_secs(60)).await?;
    stage
        .settled(prefix, Duration::from_secs(60))
        .await?
        .clean()
        .context("before anything befell the devices")?;
    for device in &devices {
        match fate {
            Fate::RunsOver => {
                device.reboot(Duration::from_secs(8));
                device.rows(5, 21, 1_500).await?;
            }
            Fate::BeginsAgain => {
                device.reset_ring();
                device.rows(5, 21, 10).await?;
            }
            Fate::Passes => {
                device.reboot(Duration::from_secs(4));
                tokio::time::sleep(Duration::from_millis(200)).await;
                device.reset_ring();
                device.rows(5, 21, 200).await?;
            }
        }
    }
    Ok(devices)
}

/// How often a condition was raised so far.
async fn raised(stage: &Stage, name: &str) -> Result<f64> {
    let text = stage.satellite.metrics().await?;
    let sample = format!("satellite_device_conditions_total{{condition=\"{name}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&sample));
    value
        .with_context(|| format!("/metrics has no {sample}"))?
        .trim()
        .parse()
        .context("a counter is no number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_by_what_became_of_them() {
        let gaps = [
            (Kind::Down, 40, Some(Duration::from_secs(5))),
            (Kind::Down, 60, Some(Duration::from_secs(61))),
            (Kind::Down, 100, None),
        ];
        let shown: Vec<String> = row("x", gaps.iter()).iter().map(Cell::to_string).collect();
        assert_eq!(shown, ["x", "3", "200", "5.0", "61.0", "61.0", "1", "1"]);
    }

    #[test]
    fn draws_are_the_same_in_each_run_and_not_all_alike() {
        let draw = || {
            let mut draws = Draws(7);
            [(); 5].map(|()| draws.below(1_000))
        };
        assert_eq!(draw(), draw());
        assert!(draw().iter().any(|n| *n != draw()[0]));
    }
}
