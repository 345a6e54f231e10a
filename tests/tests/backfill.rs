//! Promise: what is not stored and a terminal still holds comes back, of every kind of terminal:
//! after an older copy of the database was restored, when rows are missing that nobody knows of,
//! and by command. What cannot be had stays missing by name, with its window, and the cut-off
//! says so.
//!
//! Push terminals in both modes, terminals on port 4370 and Hikvision devices together; their
//! ledgers are held against `event_feed`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use promises::{Checker, Mixed, Place, SatelliteProcess, Setup, attlog, get, handshake, seed};
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

async fn until(
    limit: Duration,
    what: &str,
    mut holds: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let begin = Instant::now();
    while !holds().await? {
        if begin.elapsed() > limit {
            bail!("not within {limit:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Ok(())
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

/// A terminal in attendance mode, played by hand: what it counts, and what it sends of that.
struct ByHand<'a> {
    satellite: &'a SatelliteProcess,
    counts: Vec<&'static str>,
    sends: Vec<&'static str>,
}

impl ByHand<'_> {
    /// Does what it is told with each poll until that holds.
    async fn serve(&self, what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        until(LONG, what, async || {
            let poll = get(&format!("/iclock/getrequest?SN={SILENT}"));
            let told = self.satellite.send(&poll).await?.body;
            for line in told.lines().filter_map(|line| line.strip_prefix("C:")) {
                let (id, words) = line.split_once(':').context("a command without an id")?;
                self.obey(id, words).await?;
            }
            holds().await
        })
        .await
    }

    async fn obey(&self, id: &str, words: &str) -> Result<()> {
        let (from, to) = span(words);
        let inside = |row: &&&str| {
            row.split('\t')
                .nth(1)
                .is_some_and(|at| from <= at && at <= to)
        };
        if words.starts_with("VERIFY SUM") {
            let count = self.counts.iter().filter(inside).count();
            let result = format!("ID={id}&Return=0&CMD=VERIFY SUM&AttlogSum={count}\n");
            return self.result(&result).await;
        }
        let rows: Vec<&str> = self.sends.iter().filter(inside).copied().collect();
        self.upload(&rows).await?;
        self.result(&format!("ID={id}&Return={}&CMD=DATA\n", rows.len()))
            .await
    }

    async fn result(&self, text: &str) -> Result<()> {
        let length = text.len();
        let request = format!(
            "POST /iclock/devicecmd?SN={SILENT} HTTP/1.1\r\nHost: x\r\n\
             Content-Length: {length}\r\n\r\n{text}"
        );
        let reply = self.satellite.send(request.as_bytes()).await?;
        ensure!(reply.status == 200, "{reply:?}");
        Ok(())
    }

    async fn upload(&self, rows: &[&str]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let body = rows.join("\n") + "\n";
        let request = attlog(SILENT, "9999", body.as_bytes());
        let reply = self.satellite.send(&request).await?;
        ensure!(reply.accepts(rows.len()), "{reply:?}");
        Ok(())
    }
}

/// The times that a command is about.
fn span(words: &str) -> (&str, &str) {
    let value = |key: &str| {
        let at = words.find(key).map_or(words.len(), |at| at + key.len());
        words.get(at..at + 19).unwrap_or_default()
    };
    (value("StartTime="), value("EndTime="))
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
    let mut terminal = ByHand {
        satellite: &satellite,
        counts: vec![first, second],
        sends: vec![first],
    };
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
    terminal.sends.push(second);
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
