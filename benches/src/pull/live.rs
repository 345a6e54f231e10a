//! Terminals that are listened to: satellite's memory, how soon a punch can be read in the feed,
//! and how long after a cut of the network what was missed is there.
//!
//! A punch is timed from before the terminal makes it. The run fails when a punch never comes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use terminals::pull::{PullOptions, Terminal};

use super::stage::{Engine, Stage};
use crate::machine;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Terminals.
    #[arg(long, default_value_t = 1_000)]
    terminals: u32,
    /// Records in each log at the beginning.
    #[arg(long, default_value_t = 500)]
    history: u32,
    /// People enrolled at each.
    #[arg(long, default_value_t = 200)]
    people: u16,
    /// Seconds of live punches.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Punches a second over all terminals.
    #[arg(long, default_value_t = 20.0)]
    per_second: f64,
    /// Seconds for which the network is cut.
    #[arg(long, default_value_t = 20)]
    cut: u64,
}

const COLUMNS: &[&str] = &[
    "terminals",
    "s until all are listened to",
    "RSS MiB",
    "peak RSS MiB",
    "CPU of one core",
    "punches",
    "p50 s",
    "p99 s",
    "worst s",
    "missed in the cut",
    "all of them s after it",
];
/// Longest wait for what shall come.
const LIMIT: Duration = Duration::from_secs(300);
/// Rows of one page of the feed.
const PAGE: i64 = 5_000;

pub(crate) async fn run(options: &Options) -> Result<Report> {
    if let Some(advice) = terminals::descriptor_advice(options.terminals.saturating_mul(5)) {
        bail!("{advice}");
    }
    let mut stage = Stage::start(Engine::Mariadb).await?;
    let fleet = fleet(options)?;
    let begin = Instant::now();
    let before = stage.rows().await?;
    stage.enrol(&fleet).await?;
    let owed = before + u64::from(options.terminals) * u64::from(options.history);
    stage.until(owed, LIMIT).await?;
    listened_to(&fleet).await?;
    let ready = begin.elapsed();
    let cpu = machine::cpu_seconds(stage.satellite.process_id())?;
    let live = live(options, &mut stage, &fleet).await?;
    let used = machine::cpu_seconds(stage.satellite.process_id())? - cpu;
    let memory = machine::memory(stage.satellite.process_id())?;
    let (missed, back) = cut(options, &mut stage, &fleet).await?;
    let at = |per_mille: usize| {
        let place = (live.len() * per_mille).div_ceil(1_000).saturating_sub(1);
        live.get(place).map_or(0.0, Duration::as_secs_f64)
    };
    let seconds = Duration::from_secs(options.seconds.max(1)).as_secs_f64();
    let mut table = Table::new("Terminals that are listened to", COLUMNS);
    table.push(vec![
        Cell::text(options.terminals.to_string()),
        Cell::Number(ready.as_secs_f64(), 1),
        Cell::Number(memory.resident, 1),
        Cell::Number(memory.peak, 1),
        Cell::Share(used / seconds),
        Cell::Count(u64::try_from(live.len())?),
        Cell::Number(at(500), 3),
        Cell::Number(at(990), 3),
        Cell::Number(at(1_000), 3),
        Cell::Count(missed),
        Cell::Number(back.as_secs_f64(), 2),
    ]);
    drop(fleet);
    stage.satellite.stop().await?;
    Ok(Report::new(vec![table]))
}

fn fleet(options: &Options) -> Result<Vec<Terminal>> {
    let terminal = |place: u32| {
        let terminal = PullOptions {
            serial: format!("LIVE{place:07}"),
            seed: u64::from(place) + 1,
            history: options.history,
            people: options.people,
            ..PullOptions::default()
        };
        Terminal::start(terminal, None).with_context(|| format!("terminal {place}"))
    };
    (0..options.terminals).map(terminal).collect()
}

/// Waits until every terminal was asked for its log twice, the second time after registering.
async fn listened_to(fleet: &[Terminal]) -> Result<()> {
    let begin = Instant::now();
    while fleet.iter().any(|terminal| terminal.counters().logs < 2) {
        ensure!(begin.elapsed() < LIMIT, "not every terminal is listened to");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

/// A punch by what it is recognised by in the feed.
type Name = (String, String, String);

/// Makes one punch at a terminal and answers its name, and the moment before it.
async fn punch(terminal: &Terminal) -> Result<(Name, Instant)> {
    let at = Instant::now();
    terminal.crowd(1).await?;
    let line = terminal.pushed(1).pop().context("nothing was made")?;
    let mut fields = line.split('\t').map(str::to_owned);
    let (pin, time) = (fields.next(), fields.next());
    let (pin, time) = pin.zip(time).context("a line without a time")?;
    Ok(((terminal.serial().to_owned(), pin, time), at))
}

/// Live punches at an even pace; answers their delays, sorted.
async fn live(options: &Options, stage: &mut Stage, fleet: &[Terminal]) -> Result<Vec<Duration>> {
    let mut made: HashMap<Name, Instant> = HashMap::new();
    let mut delays = Vec::new();
    let mut at = stage.feed.feed().await?.last().map_or(0, |row| row.seq);
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / options.per_second));
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut terminals = fleet.iter().cycle();
    loop {
        let over = Instant::now() >= end;
        if over && made.is_empty() {
            delays.sort_unstable();
            return Ok(delays);
        }
        ensure!(
            Instant::now() < end + LIMIT,
            "{} punches never came",
            made.len()
        );
        ticks.tick().await;
        if let Some(terminal) = terminals.next().filter(|_| !over) {
            let (name, begin) = punch(terminal).await?;
            made.insert(name, begin);
        }
        for row in stage.feed.rows_after(at, PAGE).await? {
            at = row.seq;
            let (person, time) = (row.person.unwrap_or_default(), row.local_time);
            let name = (row.serial, person, time.unwrap_or_default());
            if let Some(begin) = made.remove(&name) {
                delays.push(begin.elapsed());
            }
        }
    }
}

/// Cuts every terminal off, lets people in meanwhile, and times until all of it is there.
async fn cut(options: &Options, stage: &mut Stage, fleet: &[Terminal]) -> Result<(u64, Duration)> {
    let before = stage.rows().await?;
    for terminal in fleet {
        terminal.set_down(true);
    }
    let mut missed = 0;
    for terminal in fleet {
        terminal.crowd(2).await?;
        missed += 2;
    }
    tokio::time::sleep(Duration::from_secs(options.cut)).await;
    ensure!(
        stage.rows().await? == before,
        "something came through a cut network"
    );
    for terminal in fleet {
        terminal.set_down(false);
    }
    let back = Instant::now();
    let all = stage.until(before + missed, LIMIT).await?;
    Ok((missed, all - back))
}
