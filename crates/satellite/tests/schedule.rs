//! Promise: how often a dialled terminal is visited can be set for it alone, and costs nothing
//! but time.
//!
//! The command is the real program on SQLite; visits are those of a daemon in this process to a
//! simulated terminal on port 4370, with shorter times than the command allows.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::time::{Duration, Instant};

use event::{Millis, Serial};
use store::jobs::{self, NewJob};
use store::registry;
use terminals::pull::{PullOptions, Terminal};

mod common;
mod house;

use house::{House, enrolment};

const SERIAL: &str = "PULSEL1";
/// A time that no test lives to see.
const NEVER: Millis = Millis(4_000_000_000_000);

/// A terminal on port 4370, enrolled with that daemon and visited every so many seconds.
async fn visited(house: &House, every: u32) -> Terminal {
    let options = PullOptions {
        serial: SERIAL.to_owned(),
        history: 20,
        ..PullOptions::default()
    };
    let terminal = Terminal::start(options, None).unwrap();
    let mut new = enrolment(SERIAL);
    new.access.address = Some(terminal.address().to_string().into());
    new.access.every = Some(every);
    let mut engine = house.config.store.connect().await.unwrap();
    let done = registry::enrol(&mut engine, new, Millis(0), "test").await;
    assert_eq!(done.unwrap().enrolment().access.every, Some(every));
    terminal
}

async fn schedule(house: &House, every: Option<u32>) {
    let mut engine = house.config.store.connect().await.unwrap();
    let serial = Serial::new(SERIAL).unwrap();
    let done = registry::set_schedule(&mut engine, &serial, every, Millis(0), "test").await;
    assert_eq!(done.unwrap().access.every, every);
}

async fn until(what: &str, within: u64, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(within), "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_with_a_schedule_is_left_between_its_visits_and_loses_nothing() {
    let house = House::new().await;
    let terminal = visited(&house, 2).await;
    let rows = async || house.rows().await.len();
    let left = || terminal.counters().exits;
    until("the log is not stored", 30, async || rows().await == 20).await;
    until("it is not left after visits", 20, async || left() >= 3).await;
    terminal.crowd(3).await.unwrap();
    until("a visit missed punches", 10, async || rows().await == 23).await;
    let counters = terminal.counters();
    assert_eq!((counters.events, counters.turned_away), (0, 0));

    // An hour is long; a wish does not wait for its end.
    schedule(&house, Some(3_600)).await;
    let (mut seen, mut since) = (left(), Instant::now());
    until("the new schedule does not count", 40, async || {
        if left() != seen {
            (seen, since) = (left(), Instant::now());
        }
        since.elapsed() > Duration::from_secs(5)
    })
    .await;
    let quiet = left();
    terminal.crowd(2).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!((left(), rows().await), (quiet, 23), "nobody was to come");
    again(&house).await;
    until("a wish waits for the schedule", 20, async || {
        rows().await == 25
    })
    .await;

    // Left to satellite again: it stays, and punches come as they happen.
    schedule(&house, None).await;
    until("it does not listen", 30, async || {
        terminal.crowd(1).await.unwrap();
        terminal.counters().events > 0
    })
    .await;
    house.running.stop().await;
}

/// Asks for everything again.
async fn again(house: &House) {
    let mut engine = house.config.store.connect().await.unwrap();
    let serial = Serial::new(SERIAL).unwrap();
    let found = registry::find(&mut engine, None, &serial).await.unwrap();
    let request = r#"{"from":"2020-01-01 00:00:00","to":"2040-01-01 00:00:00"}"#;
    let job = NewJob {
        device: found.unwrap().id,
        kind: "backfill",
        request,
        expires_at: NEVER,
    };
    jobs::enqueue(&mut engine, &job, Millis(0)).await.unwrap();
}

#[test]
fn a_schedule_is_set_shown_audited_and_taken_back() {
    let house = common::House::new();
    let add = "devices add --tenant acme --vendor zkteco --serial ABC1 --address 192.0.2.9";
    house.fine(&add.split(' ').collect::<Vec<_>>());
    let said = |words: &str| house.fine(&words.split(' ').collect::<Vec<_>>());
    assert!(said("devices show ABC1").contains("always connected"));
    assert!(said("devices schedule ABC1 --every 15m").contains("once every 15 min"));
    let es = said("devices show ABC1 --lang es");
    assert!(es.contains("una vez cada 15 min"), "{es}");
    assert!(es.contains("ana  horario de consulta"), "{es}");
    // What is given with another change stays.
    house.fine(&add.split(' ').chain(["--name", "Door"]).collect::<Vec<_>>());
    let shown = house.json(&["devices", "show", "ABC1", "--json"]);
    assert_eq!(shown["every_seconds"], 900);
    let done = house.json(&["devices", "schedule", "ABC1", "--default", "--json"]);
    assert!(done["every_seconds"].is_null(), "{done}");
    assert!(said("devices show ABC1").contains("always connected"));
}

#[test]
fn a_schedule_that_cannot_be_is_refused_with_the_way_out() {
    let house = common::House::new();
    let failed = |words: &str| house.failed(&words.split(' ').collect::<Vec<_>>());
    let add = "devices add --tenant acme --vendor zkteco --serial";
    house.fine(&format!("{add} PUSH1").split(' ').collect::<Vec<_>>());
    let dialled = format!("{add} DIAL1 --address 192.0.2.9");
    house.fine(&dialled.split(' ').collect::<Vec<_>>());
    for time in ["29s", "2h", "0s", "often", "-5m"] {
        let error = failed(&format!("devices schedule DIAL1 --every={time}"));
        assert!(error.contains("write 30s to 1h"), "{time}: {error}");
    }
    assert!(failed("devices schedule PUSH1 --every 5m").contains("--address"));
    assert!(failed("devices schedule NOBODY --every 5m").contains("NOBODY"));
    house.fine(&["lockdown", "on", "--reason", "test"]);
    assert!(failed("devices schedule DIAL1 --every 5m").contains("lockdown"));
}
