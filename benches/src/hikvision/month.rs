//! Terminals that write our logins into the memory that holds punches: does a month of it push
//! a punch out?
//!
//! A month cannot be waited for, and time cannot be made to run faster without making the
//! polling slower by as much. So the memory is made smaller: it holds the share of 150,000 rows
//! that the measured time is of a month, people come at their real rate, and satellite does
//! what it does every hour. If nothing is pushed out of the small memory, a month pushes
//! nothing out of the large one at these rates. Connecting for the first time costs some rows
//! that a month pays once; the small memory pays them too, against us.
//!
//! Measured: rows, footprints, what was pushed out, what is missing. Extrapolated: the numbers
//! under "a month", which are those of the measured time after the first minute, times its
//! share of 720 hours. The run fails when a row is missing.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use terminals::Ledger;
use terminals::hikvision::{Device, DeviceOptions, LogOptions, LoginOptions};

use super::stage::{Crowd, Stage, plain};
use super::verdict::Verdict;
use crate::parse::number;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seconds that are measured, after a first minute.
    #[arg(long, default_value_t = 1_800)]
    seconds: u64,
    /// Terminals of each kind.
    #[arg(long, default_value_t = 20)]
    devices: u32,
    /// People let in at each terminal in a month; each makes three rows.
    #[arg(long, default_value_t = 24_000)]
    people: u64,
}

/// Rows of a terminal's memory.
const RING: u64 = 150_000;
/// Seconds of a month of 30 days.
const MONTH: f64 = 2_592_000.0;
/// What is not measured, because connecting is in it.
const FIRST: Duration = Duration::from_secs(60);

const COLUMNS: &[&str] = &[
    "a login is good for",
    "terminals",
    "rows held at most",
    "rows of people",
    "of our logins",
    "our share",
    "fullest: rows made",
    "pushed out",
    "punches missing",
    "rows missing",
    "a month: of our logins, a terminal",
    "a month: all rows of 150,000",
];

/// A kind of terminal, by how long it lets a login count.
struct Kind {
    words: &'static str,
    prefix: &'static str,
    login: LoginOptions,
}

fn kinds() -> [Kind; 3] {
    let login = LoginOptions::default;
    let life = |seconds| LoginOptions {
        nonce_life_s: seconds,
        ..login()
    };
    [
        Kind {
            words: "300 s",
            prefix: "LONG",
            login: life(300),
        },
        Kind {
            words: "60 s",
            prefix: "SHORT",
            login: life(60),
        },
        Kind {
            words: "one request",
            prefix: "ONCE",
            login: LoginOptions {
                nonce_once: true,
                ..login()
            },
        },
    ]
}

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let stage = Stage::start().await?;
    let time = Duration::from_secs(options.seconds.max(1));
    let share = (FIRST + time).as_secs_f64() / MONTH;
    let ring = scaled(share).max(30);
    let mut devices = Vec::new();
    for (kind, place) in kinds()
        .iter()
        .flat_map(|kind| (0..options.devices).map(move |place| (kind, place)))
    {
        let log = LogOptions {
            ring,
            logins: true,
            arming: true,
            ..LogOptions::default()
        };
        let device = DeviceOptions {
            login: kind.login.clone(),
            ..plain(kind.prefix, place, log)
        };
        devices.push(stage.device(device).await?);
    }
    stage.enrol(devices.iter()).await?;
    stage.connected(&devices, Duration::from_secs(60)).await?;
    let all = u64::try_from(devices.len())?;
    let mut crowd = Crowd::new(number(options.people * all) / MONTH);
    crowd.walk_for(&devices, FIRST).await?;
    let before = made(&stage)?;
    crowd.walk_for(&devices, time).await?;
    let after = made(&stage)?;
    let bounds = bounds(&devices);
    let mut table = Table::new("A month's share, with login logging on", COLUMNS);
    let mut lost = 0;
    for kind in kinds() {
        let own = bounds
            .iter()
            .filter(|(serial, _, _)| serial.starts_with(kind.prefix));
        let verdict = stage.settled(kind.prefix, Duration::from_secs(90)).await?;
        let spent = after.of(kind.prefix).since(before.of(kind.prefix));
        let pushed: u64 = own.clone().map(|(_, oldest, _)| oldest - 1).sum();
        lost += verdict.missing.len();
        let fullest = own.map(|(_, _, newest)| *newest).max().unwrap_or(0);
        let mut row = vec![
            Cell::text(kind.words),
            Cell::Count(options.devices.into()),
            Cell::Count(ring),
        ];
        row.extend(spent.cells());
        row.extend([
            Cell::Count(fullest),
            Cell::Count(pushed),
            Cell::Count(missing_punches(&verdict)),
            Cell::Count(u64::try_from(verdict.missing.len())?),
        ]);
        row.extend(spent.month(time, options.devices));
        table.push(row);
    }
    drop(devices);
    stage.satellite.stop().await?;
    ensure!(lost == 0, "{lost} rows are missing");
    let note = "Measured: all but the two columns under 'a month', which are extrapolated from \
                the measured time after the first minute. The memory is as much smaller than \
                150,000 rows as the measured time is shorter than 30 days.";
    Ok(Report::new(vec![table]).note(note))
}

/// Serial, oldest and newest row of each, before anything else is waited for.
fn bounds(devices: &[Device]) -> Vec<(String, u64, u64)> {
    let bound = |device: &Device| {
        let serial = device.serial().to_owned();
        (serial, device.oldest().max(1), device.newest())
    };
    devices.iter().map(bound).collect()
}

/// So much of the memory.
fn scaled(share: f64) -> u64 {
    let rows = number(RING) * share;
    // Far below what a whole number can hold, and never negative.
    (1..=RING)
        .take_while(|n| number(*n) <= rows)
        .last()
        .unwrap_or(1)
}

/// Missing rows that name a person.
fn missing_punches(verdict: &Verdict) -> u64 {
    let punches = verdict.missing.iter().filter(|row| !row.person.is_empty());
    u64::try_from(punches.count()).unwrap_or(u64::MAX)
}

/// Rows that were made.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    people: u64,
    ours: u64,
}

impl Spent {
    fn since(self, before: Self) -> Self {
        Self {
            people: self.people - before.people,
            ours: self.ours - before.ours,
        }
    }

    fn cells(self) -> [Cell; 3] {
        let all = number((self.people + self.ours).max(1));
        [
            Cell::Count(self.people),
            Cell::Count(self.ours),
            Cell::Share(number(self.ours) / all),
        ]
    }

    /// What a month would come to, a terminal, if it went on like this.
    fn month(self, time: Duration, devices: u32) -> [Cell; 2] {
        let times = MONTH / time.as_secs_f64() / f64::from(devices.max(1));
        [
            Cell::rate(number(self.ours) * times),
            Cell::Share(number(self.ours + self.people) * times / number(RING)),
        ]
    }
}

/// Rows by device.
struct MadeRows(HashMap<String, Spent>);

impl MadeRows {
    fn of(&self, prefix: &str) -> Spent {
        let own = self
            .0
            .iter()
            .filter(|(serial, _)| serial.starts_with(prefix));
        own.fold(Spent::default(), |sum, (_, spent)| Spent {
            people: sum.people + spent.people,
            ours: sum.ours + spent.ours,
        })
    }
}

/// What the ledger holds by now.
fn made(stage: &Stage) -> Result<MadeRows> {
    let mut rows: HashMap<String, Spent> = HashMap::new();
    for record in Ledger::read_hikvision(&stage.ledger_file())? {
        let spent = rows.entry(record.serial).or_default();
        match (record.major, record.minor) {
            (3, 112 | 113 | 121 | 122) => spent.ours += 1,
            _ => spent.people += 1,
        }
    }
    Ok(MadeRows(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_shrinks_as_the_month_does() {
        assert_eq!(scaled(1.0), 150_000);
        assert_eq!(scaled(1_860.0 / MONTH), 107);
    }

    #[test]
    fn a_month_is_what_a_terminal_made_times_its_share() {
        let spent = Spent {
            people: 100,
            ours: 20,
        };
        let [ours, all] = spent.month(Duration::from_secs(25_920), 2);
        assert_eq!(ours.to_string(), "1,000");
        assert_eq!(all.to_string(), "4.0 %");
    }
}
