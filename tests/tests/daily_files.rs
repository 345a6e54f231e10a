//! Promises about the file of each day in a folder: it holds the rows of the day, all of them, also those
//! that came late; neither a kill nor a folder that is away forgets one.
//!
//! Judged by the files against the feed over another connection. About 30 s, mostly waiting.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::civil::Date;
use promises::{Checker, Place, SatelliteProcess, Setup, attlog};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const SERIAL: &str = "DAILY00001";

/// Today at the tenant's.
fn today() -> Date {
    let zone = jiff::tz::TimeZone::get("America/Mexico_City").unwrap();
    jiff::Timestamp::now().to_zoned(zone).date()
}

/// Punches of these people on that day.
async fn post(to: &SatelliteProcess, day: Date, people: std::ops::Range<usize>) -> Result<()> {
    let line = |n: usize| format!("{n}\t{day} 00:{:02}:{:02}\t0\t1\n", n / 60 % 60, n % 60);
    let count = people.len();
    let lines: String = people.map(line).collect();
    let reply = to.send(&attlog(SERIAL, "1", lines.as_bytes())).await?;
    ensure!(reply.accepts(count), "{reply:?}");
    Ok(())
}

/// The names of that day's events, as the feed has them.
async fn fed(place: &Place, day: Date) -> Result<BTreeSet<String>> {
    let query = "SELECT event_uid || ' ' || local_time FROM event_feed WHERE tenant = 'acme'";
    let rows = Checker::open(place).await?.texts(query, query).await?;
    let day = day.to_string();
    let ours = rows.iter().filter_map(|row| row.split_once(' '));
    let ours = ours.filter(|(_, at)| at.starts_with(&day));
    Ok(ours.map(|(uid, _)| uid.to_owned()).collect())
}

/// The names of the events in a CSV file, each of which stands there once.
fn filed(file: &Path) -> Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(file)?;
    let mut lines = text.lines();
    ensure!(
        lines
            .next()
            .is_some_and(|it| it.starts_with("seq,event_uid,")),
        "{text}"
    );
    let uids: Vec<&str> = lines.filter_map(|it| it.split(',').nth(1)).collect();
    let once: BTreeSet<String> = uids.iter().map(|uid| (*uid).to_owned()).collect();
    ensure!(once.len() == uids.len(), "a row stands there twice");
    Ok(once)
}

async fn until(what: &str, is_so: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !is_so().await? {
        ensure!(begun.elapsed() < LIMIT, "{what}: not after {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn holds_its_day(file: &Path, place: &Place, day: Date, count: usize) -> Result<()> {
    let shown = file.display().to_string();
    until(&shown, async || {
        let there = filed(file).unwrap_or_default();
        let fed = fed(place, day).await?;
        Ok(there.len() == count && there == fed)
    })
    .await
}

/// How `/status` says that an output is.
async fn status(satellite: &SatelliteProcess, name: &str) -> Result<Value> {
    let status: Value = serde_json::from_str(&satellite.admin("/status").await?.body)?;
    let outputs = status["outputs"].as_array().context("no outputs")?;
    let one = outputs.iter().find(|it| it["name"] == name);
    one.cloned().context("no such output")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_days_file_holds_the_rows_of_its_day_through_late_records_kills_and_a_folder_that_is_away()
 {
    let home = tempfile::tempdir().unwrap();
    let (folder, away) = (home.path().join("daily"), home.path().join("away"));
    std::fs::create_dir(&folder).unwrap();
    let place = Place::sqlite(home.path());
    let mut setup = Setup::new(place.clone()).enrol([SERIAL]);
    for (name, folder, format) in [("daily", &folder, "csv"), ("away", &away, "jsonl")] {
        setup.more += &format!(
            "[[output]]\nname = \"{name}\"\ntenant = \"acme\"\nkind = \"folder\"\n\
             folder = \"{}\"\nformat = \"{format}\"\nevery = \"1s\"\n\n",
            folder.display()
        );
    }
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    let yesterday = today().yesterday().unwrap();
    let before = yesterday.yesterday().unwrap();
    let file = |day: Date| folder.join(format!("daily-{day}.csv"));

    post(&satellite, yesterday, 0..1_500).await.unwrap();
    post(&satellite, today(), 0..10).await.unwrap();
    holds_its_day(&file(yesterday), &place, yesterday, 1_500)
        .await
        .unwrap();
    assert!(
        !file(today()).exists(),
        "a day that has not ended has its file"
    );

    // The other folder is not there: told, and nobody waited for it.
    until("told", async || {
        let away = status(&satellite, "away").await?;
        Ok(away["state"] == "failing" && away["trouble"].to_string().contains("folder"))
    })
    .await
    .unwrap();
    assert_eq!(status(&satellite, "daily").await.unwrap()["state"], "fine");

    // Late records make a file anew; what comes again changes no byte.
    post(&satellite, yesterday, 1_500..1_600).await.unwrap();
    holds_its_day(&file(yesterday), &place, yesterday, 1_600)
        .await
        .unwrap();
    let bytes = std::fs::read(file(yesterday)).unwrap();
    std::fs::remove_file(file(yesterday)).unwrap();
    let replay = ["outputs", "replay", "daily", "--since", "2026-01-01"];
    satellite.command(replay).await.unwrap();
    until("made anew", async || Ok(file(yesterday).exists()))
        .await
        .unwrap();
    assert_eq!(std::fs::read(file(yesterday)).unwrap(), bytes);

    // Killed right after the acknowledgement.
    post(&satellite, before, 0..700).await.unwrap();
    satellite.kill9().await.unwrap();
    satellite.run().await.unwrap();
    holds_its_day(&file(before), &place, before, 700)
        .await
        .unwrap();

    // The folder that was away comes back, and has every day.
    std::fs::create_dir(&away).unwrap();
    for (day, count) in [(yesterday, 1_600), (before, 700)] {
        let file = away.join(format!("away-{day}.jsonl"));
        until("back", async || Ok(file.exists())).await.unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let uids = text.lines().map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            row["event_uid"].as_str().unwrap().to_owned()
        });
        let uids: BTreeSet<String> = uids.collect();
        assert_eq!(uids, fed(&place, day).await.unwrap());
        assert_eq!(text.lines().count(), count);
    }
    until("fine again", async || {
        Ok(status(&satellite, "away").await?["state"] == "fine")
    })
    .await
    .unwrap();
    let left = std::fs::read_dir(&folder).unwrap().flatten();
    let left: Vec<_> = left
        .map(|it| it.file_name().into_string().unwrap())
        .collect();
    assert!(left.iter().all(|it| !it.ends_with(".part")), "{left:?}");
}
