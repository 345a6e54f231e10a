//! Promise: what is not stored and a terminal still holds comes back, of every kind of terminal:
//! after an older copy of the database was restored, when rows are missing that nobody knows of,
//! and by command. What cannot be had stays missing by name, with its window, and the cut-off
//! says so.
//!
//! Push terminals in both modes, terminals on port 4370 and Hikvision devices together; their
//! ledgers are held against `event_feed`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use promises::{
    ByHand, Checker, Mixed, Place, SatelliteProcess, Setup, attlog, handshake, seed, until,
};
use serde_json::Value;
use terminals::Scenario;

const LONG: Duration = Duration::from_secs(90);
/// A terminal that this test plays by hand.
const SILENT: &str = "SILENT001";

/// Push terminals that hold much at the beginning and make some more.
fn busy() -> Scenario {
    Scenario {
        seed: seed(),
        backlog: 60,
        backlog_spacing_s: 97,
        rate: 120.0,
        records: Some(90),
        poll_s: Some(1),
        error_delay_ms: Some(100),
        people: 40,
        ..Scenario::default()
    }
}

fn names(shown: &Value) -> Vec<&str> {
    let held = shown["conditions"].as_array().into_iter().flatten();
    held.filter_map(|it| it["name"].as_str()).collect()
}

/// What `/devices` says of a terminal.
async fn listed(satellite: &SatelliteProcess, serial: &str) -> Result<Value> {
    let reply = satellite.admin("/devices").await?;
    let told: Value = serde_json::from_str(&reply.body)?;
    let mut devices = told["devices"].as_array().into_iter().flatten();
    let own = devices.find(|it| it["serial"] == serial);
    own.cloned()
        .with_context(|| format!("{serial} is not listed"))
}

/// The conditions of a terminal.
async fn conditions(satellite: &SatelliteProcess, serial: &str) -> Result<Vec<String>> {
    let told = listed(satellite, serial).await?;
    Ok(names(&told).into_iter().map(str::to_owned).collect())
}

/// Today's cut-off line of a terminal: its verdict and what is missing.
async fn cutoff(satellite: &SatelliteProcess, serial: &str) -> Result<(String, Vec<Value>)> {
    let words = [
        "cutoff",
        "--tenant",
        "acme",
        "--from",
        "6h",
        "--through",
        "3m",
        "--json",
    ];
    let told: Value = serde_json::from_str(&satellite.said(&words).await?)?;
    let lines = told["facts"]["terminals"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let Some(line) = lines.iter().find(|line| line["serial"] == serial) else {
        bail!("{serial} is not in the cut-off: {told:#}");
    };
    let missing = line["missing"].as_array().cloned().unwrap_or_default();
    let verdict = line["verdict"].as_str().unwrap_or_default();
    Ok((verdict.to_owned(), missing))
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_all_that_terminals_of_every_kind_still_hold_is_back_once_and_what_is_not_is_named()
 {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut house = Mixed::open(&place, busy(), [4, 4, 2, 2], &[SILENT])
        .await
        .unwrap();
    house.people(10).await.unwrap();
    house.pushing.acked_more(300, LONG).await.unwrap();
    let copy = folder.path().join("copy.db");
    let mut checker = Checker::open(&place).await.unwrap();
    // At the hour of the others.
    let hour = "SELECT MIN(local_time) FROM event_feed WHERE serial LIKE 'MIXP%'";
    let hour = checker.texts(hour, hour).await.unwrap().remove(0);
    let row = format!("1\t{hour}\t0\t1\n");
    let request = attlog(SILENT, "9999", row.as_bytes());
    assert!(house.satellite.send(&request).await.unwrap().accepts(1));
    checker.copy_sqlite(&copy).await.unwrap();
    drop(checker);

    house.people(20).await.unwrap();
    until(LONG, "all records are made", async || {
        Ok(house.pushing.summary().acked >= 8 * 90)
    })
    .await
    .unwrap();
    let before = house.equal(LONG).await.unwrap();
    house.restore(&copy).await.unwrap();
    let begun = Instant::now();
    house.people(1).await.unwrap();
    let after = house.equal(LONG).await.unwrap();
    let took = begun.elapsed();
    println!("{before} rows before, {after} after a restore, {took:?}");
    assert!(after >= before);

    // Whoever has not spoken since is named, with the window.
    let held = conditions(&house.satellite, SILENT).await.unwrap();
    assert!(held.contains(&"records_missing".to_owned()), "{held:?}");
    let (verdict, missing) = cutoff(&house.satellite, SILENT).await.unwrap();
    assert_eq!(verdict, "missing", "{missing:?}");
    assert!(
        missing.iter().any(|it| it["why"] == "fetching"),
        "{missing:?}"
    );
    // Nothing is missing of the others any more, and that is said.
    let (attendance, access) = ("MIXP0000001", "MIXA0000001");
    let says = async |serial| listed(&house.satellite, serial).await;
    for serial in [attendance, access] {
        until(LONG, serial, async || {
            let told = says(serial).await?;
            Ok(told["completeness"] == "proven" && told["complete_to"].is_string())
        })
        .await
        .unwrap();
        assert!(names(&says(serial).await.unwrap()).is_empty());
    }
    let (verdict, missing) = cutoff(&house.satellite, attendance).await.unwrap();
    assert_eq!((verdict.as_str(), missing.len()), ("complete", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_asked_for_by_command_comes_back_from_every_kind_and_a_second_time_brings_nothing()
{
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut house = Mixed::open(&place, busy(), [1, 2, 1, 1], &[])
        .await
        .unwrap();
    house.people(5).await.unwrap();
    until(LONG, "all records are made", async || {
        Ok(house.pushing.summary().acked >= 3 * 90)
    })
    .await
    .unwrap();
    let before = house.equal(LONG).await.unwrap();
    house.satellite.kill9().await.unwrap();
    let mut checker = Checker::open(&place).await.unwrap();
    // Every third row is lost, and no cursor says so.
    let lost = "DELETE FROM event WHERE seq % 3 = 0 AND kind <> 'device'";
    let lost = checker.damage(lost).await.unwrap();
    assert!(lost > 100, "{lost}");
    house.satellite.run().await.unwrap();
    for serial in house.one_of_each() {
        let again = ["backfill", &serial, "--from", "1d"];
        let first = house.told(&again).await.unwrap();
        assert_eq!(first["state"], "done", "{first:#}");
        assert!(first["new"].as_u64() > Some(2), "{first:#}");
        let second = house.told(&again).await.unwrap();
        assert_eq!(
            (&second["state"], &second["new"]),
            (&"done".into(), &0.into())
        );
        assert_eq!(second["records"], first["records"]);
    }
    // The second access terminal was not asked by command: its numbers have no gap, so that a
    // row which only the database lost is found by the command alone.
    let other = ["backfill", "MIXAN0000001", "--from", "1d"];
    house.told(&other).await.unwrap();
    assert_eq!(house.equal(LONG).await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_counts_more_than_it_sends_is_named_with_day_and_numbers_until_it_sends_them()
 {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let setup = Setup::new(place.clone()).enrol([SILENT]);
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    satellite.send(&handshake(SILENT)).await.unwrap();
    let (first, second) = (
        "1\t2026-11-03 09:00:00\t0\t1",
        "7\t2026-11-03 09:00:05\t0\t1",
    );
    let mut terminal = ByHand::new(&satellite, SILENT);
    terminal.counts.extend([first, second].map(str::to_owned));
    terminal.sends.push(first.to_owned());
    terminal.upload(&[first]).await.unwrap();
    let is_named = async || {
        let held = conditions(&satellite, SILENT).await?;
        Ok(held.iter().any(|name| name == "records_missing"))
    };
    terminal.serve("it is named", is_named).await.unwrap();
    let mut checker = Checker::open(&place).await.unwrap();
    let window = "SELECT begins_at || ' ' || state || ' ' || device_count || ' ' || stored_count \
                  FROM missing_window";
    let window = checker.texts(window, window).await.unwrap().remove(0);
    assert!(window.ends_with("stuck 2 1"), "{window}");
    assert!(
        ["2026-11-02", "2026-11-03"]
            .iter()
            .any(|day| window.starts_with(day)),
        "{window}"
    );

    // It finds the record after all, and is asked by command.
    terminal.sends.push(second.to_owned());
    let words = [
        "backfill",
        SILENT,
        "--from",
        "2026-11-03",
        "--to",
        "2026-11-04",
        "--no-wait",
    ];
    satellite.command(words).await.unwrap();
    let is_over = async || is_named().await.map(|named| !named);
    terminal
        .serve("it is named no more", is_over)
        .await
        .unwrap();
    let punches = "SELECT COUNT(*) FROM event_feed WHERE kind = 'punch'";
    assert_eq!(checker.number(punches).await.unwrap(), 2);
    let open = "SELECT COUNT(*) FROM missing_window WHERE state <> 'closed'";
    assert_eq!(checker.number(open).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_terminal_is_asked_for_nothing_and_the_refusal_names_how_to_let_it_in() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let setup = Setup::new(place.clone()).enrol([SILENT]);
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    satellite
        .command(["devices", "block", SILENT])
        .await
        .unwrap();
    let asked = satellite
        .command(["backfill", SILENT, "--from", "1d"])
        .await;
    let refusal = asked.unwrap_err().to_string();
    assert!(
        refusal.contains(&format!("devices approve {SILENT}")),
        "{refusal}"
    );
    let mut checker = Checker::open(&place).await.unwrap();
    let jobs = checker.number("SELECT COUNT(*) FROM job").await.unwrap();
    assert_eq!(jobs, 0, "a job was noted that nobody can do");
}
