//! Promise: access-control terminals lose nothing and double nothing, through kills and while
//! their database is away; what they withheld is noticed by its number, asked for and stored.
//!
//! The terminals number their events, withhold some, tell others in both of their forms, clear
//! their logs and lose replies. At the end every event that was acknowledged must be in the feed
//! once, compared by serial, person, second, code and number.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mariadb::{Flavor, Server};
use promises::{Checker, Place, Random, Running, SatelliteProcess, Setup, blocking, seed};
use terminals::{AccessGroup, Faults, HabitShares, Scenario, Summary};

const LONG: Duration = Duration::from_secs(120);

/// Six terminals as unkind as they can be while every event still has to arrive.
fn unkind(seed: u64, prefix: &str) -> Scenario {
    Scenario {
        seed,
        count: 0,
        rate: 600.0,
        backlog: 30,
        poll_s: Some(1),
        error_delay_ms: Some(100),
        timeout_s: 20,
        faults: Faults {
            ack_lost: 0.1,
            half_body: 0.05,
            ..Faults::default()
        },
        habits: HabitShares::mixed(),
        access: vec![
            AccessGroup {
                count: 4,
                serial_prefix: format!("{prefix}A"),
                withheld: 0.05,
                both_ways: 0.5,
                part: 15,
                ..AccessGroup::default()
            },
            AccessGroup {
                count: 2,
                serial_prefix: format!("{prefix}C"),
                both_ways: 0.3,
                clear_after: Some(60),
                windows: false,
                ..AccessGroup::default()
            },
        ],
        ..Scenario::default()
    }
}

fn serials(scenario: &Scenario) -> Vec<String> {
    let groups = scenario.access.iter();
    groups.flat_map(AccessGroup::serials).collect()
}

fn faults_happened(summary: &Summary) {
    let (done, access) = (&summary.faults, &summary.access);
    for (name, times) in [
        ("acks lost", done.acks_lost),
        ("half bodies", done.half_bodies),
        ("sent in both forms", done.replays),
        ("withheld", access.withheld),
        ("logs cleared", access.cleared),
        ("registrations", access.registrations),
    ] {
        assert!(times > 0, "the planned fault `{name}` did not happen");
    }
    assert_eq!(access.other_codes, 0, "a registry code changed");
    assert_eq!(
        access.repeated_tables, 0,
        "a table was not acknowledged in its words"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn access_terminals_lose_and_double_nothing_through_kills_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    through_kills(Place::sqlite(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_terminals_lose_and_double_nothing_through_kills_on_mariadb() {
    let server = blocking(|| Server::start(Flavor::Durable)).await.unwrap();
    through_kills(Place::mariadb(server.address()).await.unwrap()).await;
}

async fn through_kills(place: Place) {
    let seed = seed();
    let mut random = Random::new(seed);
    let scenario = unkind(seed, "K");
    let setup = Setup::new(place.clone()).enrol(serials(&scenario));
    let mut satellite = SatelliteProcess::prepare(&setup).await.unwrap();
    let folder = satellite.folder().to_owned();
    let fleet = Running::start(scenario, satellite.devices(), &folder, "ledger").unwrap();
    for _ in 0..25 {
        satellite.run().await.unwrap();
        tokio::time::sleep(random.millis(50, 600)).await;
        satellite.kill9().await.unwrap();
    }
    satellite.run().await.unwrap();
    fleet.acked_more(100, LONG).await.unwrap();
    // A log is cleared when nothing is left to send: on a busy machine after the kills only.
    let begun = Instant::now();
    while fleet.summary().access.cleared == 0 && begun.elapsed() < LONG {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (summary, ledger) = fleet.finish(LONG).await.unwrap();
    exact(&place, ledger).await;
    faults_happened(&summary);
    assert!(
        !satellite.log().contains("panicked"),
        "a panic is in the log"
    );
}

async fn exact(place: &Place, ledger: PathBuf) {
    let mut checker = Checker::open(place).await.unwrap();
    let rows = checker.access_is_exact(&ledger, "").await.unwrap();
    println!("{rows} access events, each acknowledged once and stored once");
}

#[tokio::test(flavor = "multi_thread")]
async fn access_terminals_keep_their_events_while_their_database_is_away() {
    let server = blocking(|| Server::start(Flavor::Durable)).await.unwrap();
    let place = Place::mariadb(server.address()).await.unwrap();
    let scenario = unkind(seed(), "D");
    let setup = Setup::new(place.clone()).enrol(serials(&scenario));
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let folder = satellite.folder().to_owned();
    let fleet = Running::start(scenario, satellite.devices(), &folder, "ledger").unwrap();
    fleet.acked_more(200, LONG).await.unwrap();
    let server = blocking(move || {
        server.kill9()?;
        Ok(server)
    })
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let acked = fleet.summary().acked;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        fleet.summary().acked,
        acked,
        "acknowledged without a database"
    );
    let server = blocking(move || {
        server.restart()?;
        Ok(server)
    })
    .await
    .unwrap();
    fleet.acked_more(200, LONG).await.unwrap();
    let (summary, ledger) = fleet.finish(LONG).await.unwrap();
    exact(&place, ledger).await;
    assert!(
        summary.refused + summary.failures.broken > 0,
        "the outage was not felt"
    );
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_terminal_withheld_is_noticed_asked_for_and_then_proven() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut scenario = unkind(seed(), "W");
    scenario.access.truncate(1);
    scenario.rate = 120.0;
    scenario.records = Some(120);
    let setup = Setup::new(place.clone()).enrol(serials(&scenario));
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    let ledger_folder = satellite.folder().to_owned();
    let fleet = Running::start(scenario, satellite.devices(), &ledger_folder, "ledger").unwrap();
    fleet.acked_more(150, LONG).await.unwrap();
    // Commands that were asked for before a restart are answered after it.
    satellite.kill9().await.unwrap();
    satellite.run().await.unwrap();
    let begun = Instant::now();
    while fleet.summary().access.fetched == 0 {
        assert!(
            begun.elapsed() < LONG,
            "nobody asked: {:#?}",
            fleet.summary()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut checker = Checker::open(&place).await.unwrap();
    let proven = "SELECT COUNT(*) FROM device_cursor WHERE name = 'acc:chain'";
    while checker.number(proven).await.unwrap() < 4 {
        assert!(begun.elapsed() < LONG, "a chain is not kept");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let done = "SELECT COUNT(*) FROM command WHERE state = 'done'";
    while checker.number(done).await.unwrap() == 0 {
        assert!(begun.elapsed() < LONG, "no command has ended");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (summary, ledger) = fleet.finish(LONG).await.unwrap();
    exact(&place, ledger).await;
    assert!(summary.access.withheld > 0 && summary.access.fetched > 0);
    let refused = "SELECT COUNT(*) FROM command WHERE state = 'refused'";
    assert_eq!(checker.number(refused).await.unwrap(), 0);
}

/// All records, as a command asks for them.
const RECORDS: [&str; 5] = ["records", "--from", "2000-01-01", "--to", "2100-01-01"];

async fn wait_for_none(checker: &mut Checker, question: &'static str) {
    let begun = Instant::now();
    while checker.number(question).await.unwrap() > 0 {
        assert!(begun.elapsed() < LONG, "some remain of: {question}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_outlive_a_restart_and_forbidden_ones_never_reach_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let scenario = Scenario {
        seed: seed(),
        count: 4,
        serial_prefix: "CMD".to_owned(),
        backlog: 120,
        rate: 60.0,
        poll_s: Some(1),
        error_delay_ms: Some(100),
        ..Scenario::default()
    };
    let serials = scenario.serials();
    let setup = Setup::new(place.clone()).enrol(serials.clone());
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    let ledger_folder = satellite.folder().to_owned();
    let fleet = Running::start(scenario, satellite.devices(), &ledger_folder, "ledger").unwrap();
    fleet.acked_more(480, LONG).await.unwrap();
    // Commands are written down with and without a running satellite.
    satellite.terminate().await.unwrap();
    for serial in &serials {
        for what in [&["info"][..], &RECORDS] {
            let words = [&["devices", "command", serial, "--no-wait"][..], what].concat();
            satellite.command(words).await.unwrap();
        }
        for forbidden in [
            "CLEAR DATA",
            "AC_UNLOCK",
            "SET OPTION ICLOCKSVRURL=x",
            "SHELL ls",
        ] {
            let words = ["devices", "command", serial, forbidden];
            assert!(satellite.command(words).await.is_err(), "{forbidden}");
        }
    }
    satellite.run().await.unwrap();
    let mut checker = Checker::open(&place).await.unwrap();
    let begun = Instant::now();
    let sent = "SELECT COUNT(*) FROM command WHERE state <> 'waiting'";
    while checker.number(sent).await.unwrap() == 0 {
        assert!(begun.elapsed() < LONG, "no command was handed out");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    satellite.terminate().await.unwrap();
    satellite.run().await.unwrap();
    let open = "SELECT COUNT(*) FROM command WHERE state NOT IN ('done', 'failed')";
    wait_for_none(&mut checker, open).await;
    // The end may have fallen into the answer of a terminal, which then says that it could not send
    // it: that is told, and nothing is handed out again by itself.
    let failed = "SELECT COUNT(*) FROM command WHERE state = 'failed'";
    let again = checker.number(failed).await.unwrap();
    let cut = "SELECT COUNT(*) FROM command WHERE form = 'records' AND return_code = -3";
    assert_eq!(again, checker.number(cut).await.unwrap());
    for serial in &serials {
        let cut = format!("{failed} AND serial = '{serial}'").leak();
        if checker.number(cut).await.unwrap() > 0 {
            let words = [&["devices", "command", serial, "--no-wait"][..], &RECORDS].concat();
            satellite.command(words).await.unwrap();
        }
    }
    wait_for_none(&mut checker, open).await;
    assert_eq!(checker.number(failed).await.unwrap(), again);
    let done = "SELECT COUNT(*) FROM command WHERE state = 'done'";
    assert_eq!(checker.number(done).await.unwrap(), 8);
    let least = "SELECT MIN(records) FROM command WHERE form = 'records' AND state = 'done'";
    assert!(
        checker.number(least).await.unwrap() >= 100,
        "an answer lacks records"
    );
    let (summary, ledger) = fleet.finish(LONG).await.unwrap();
    // Counts for the hourly comparison are no commands of anybody.
    let log = satellite.log();
    let handed = log.lines().filter(|line| line.contains("was handed out"));
    let asked = handed.filter(|line| !line.contains("VERIFY SUM")).count();
    assert_eq!(
        asked,
        8 + usize::try_from(again).unwrap(),
        "something else reached a terminal, or something twice"
    );
    assert!(summary.commands >= 8);
    assert!(summary.queried_records > 0);
    let comparison = checker.compare(&[&ledger]).await.unwrap();
    comparison.exact().unwrap();
}
