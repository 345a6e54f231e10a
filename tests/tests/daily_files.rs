//! Promises about the file of each day in a folder: it holds the rows of the day, all of them, also those
//! that came late; neither a kill nor a folder that is away or full forgets one.
//!
//! Judged by the files against the feed over another connection. About 30 s for each, mostly waiting.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::civil::Date;
use mariadb::Flavor;
use promises::{Checker, Place, SatelliteProcess, Setup, SmallDisk, attlog, shared_mariadb};
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
    let mysql = "SELECT CONCAT(event_uid, ' ', local_time) FROM event_feed WHERE tenant = 'acme'";
    let sqlite = "SELECT event_uid || ' ' || local_time FROM event_feed WHERE tenant = 'acme'";
    let rows = Checker::open(place).await?.texts(mysql, sqlite).await?;
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

/// An output that makes files there.
fn output(name: &str, folder: &Path, format: &str) -> String {
    format!(
        "[[output]]\nname = \"{name}\"\ntenant = \"acme\"\nkind = \"folder\"\n\
         folder = \"{}\"\nformat = \"{format}\"\nevery = \"1s\"\n\n",
        folder.display()
    )
}

/// How many lines of JSON there are, and the names of their events.
fn json_lines(file: &Path) -> (usize, BTreeSet<String>) {
    let text = std::fs::read_to_string(file).unwrap();
    let uids = text.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        row["event_uid"].as_str().unwrap().to_owned()
    });
    (text.lines().count(), uids.collect())
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().flatten();
    names
        .map(|it| it.file_name().into_string().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_days_file_holds_its_rows_through_late_records_kills_and_an_absent_folder_on_sqlite() {
    let home = tempfile::tempdir().unwrap();
    each_day_has_its_file(home.path(), Place::sqlite(home.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_days_file_holds_its_rows_through_late_records_kills_and_an_absent_folder_on_mariadb()
{
    let home = tempfile::tempdir().unwrap();
    each_day_has_its_file(home.path(), shared_mariadb(Flavor::Durable).await.unwrap()).await;
}

async fn each_day_has_its_file(home: &Path, place: Place) {
    let (folder, away) = (home.join("daily"), home.join("away"));
    std::fs::create_dir(&folder).unwrap();
    let mut setup = Setup::new(place.clone()).enrol([SERIAL]);
    setup.more = output("daily", &folder, "csv") + &output("away", &away, "jsonl");
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
        let (lines, uids) = json_lines(&file);
        assert_eq!(uids, fed(&place, day).await.unwrap());
        assert_eq!(lines, count);
    }
    until("fine again", async || {
        Ok(status(&satellite, "away").await?["state"] == "fine")
    })
    .await
    .unwrap();
    let left = names(&folder);
    assert!(left.iter().all(|it| !it.ends_with(".part")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_has_no_part_of_a_days_file_and_gets_all_of_it_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        println!("SKIPPED, NOT PROVEN HERE: a file system cannot be mounted (root is needed)");
        return;
    };
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![0_u8; 4_000_000]).unwrap();
    let home = tempfile::tempdir().unwrap();
    let place = shared_mariadb(Flavor::Durable).await.unwrap();
    let mut setup = Setup::new(place.clone()).enrol([SERIAL]);
    setup.more = output("full", disk.path(), "csv") + &output("roomy", home.path(), "csv");
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let yesterday = today().yesterday().unwrap();
    let file = |folder: &Path, name: &str| folder.join(format!("{name}-{yesterday}.csv"));
    let (full, roomy) = (file(disk.path(), "full"), file(home.path(), "roomy"));

    post(&satellite, yesterday, 0..1_500).await.unwrap();
    holds_its_day(&roomy, &place, yesterday, 1_500)
        .await
        .unwrap();
    until("told", async || {
        let full = status(&satellite, "full").await?;
        Ok(full["state"] == "failing" && full["trouble"].to_string().contains("No space"))
    })
    .await
    .unwrap();
    let left = names(disk.path());
    let visible: Vec<_> = left.iter().filter(|it| !it.starts_with('.')).collect();
    assert_eq!(visible, ["filler"]);
    // Nobody waits for it.
    post(&satellite, yesterday, 1_500..1_600).await.unwrap();
    holds_its_day(&roomy, &place, yesterday, 1_600)
        .await
        .unwrap();
    assert_eq!(status(&satellite, "roomy").await.unwrap()["state"], "fine");

    std::fs::remove_file(&filler).unwrap();
    holds_its_day(&full, &place, yesterday, 1_600)
        .await
        .unwrap();
    until("fine again", async || {
        Ok(status(&satellite, "full").await?["state"] == "fine")
    })
    .await
    .unwrap();
}
