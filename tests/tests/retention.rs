//! Promise: what retention takes out of the database stands whole in an archive that standard tools
//! verify, and does not come back as new when a terminal sends its old log again.
//!
//! The archive is judged by `zcat` and `sha256sum`, the rows over a connection of the test's own.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use mariadb::Flavor;
use promises::{Checker, Place, SatelliteProcess, Setup, attlog, shared_mariadb};

const SERIAL: &str = "RET0000001";
/// Punches that are old, and that are not.
const OLD: usize = 40;
const YOUNG: usize = 5;

/// A log with both.
fn log() -> String {
    let line = |person: usize, day: &str| format!("{person}\t{day} 08:00:0{}\t0\t1\n", person % 10);
    let old = (1..=OLD).map(|person| line(person, "2019-05-02"));
    let young = (1..=YOUNG).map(|person| line(person, "2026-09-02"));
    old.chain(young).collect()
}

/// What a program of the system says about a file in a folder.
fn said(program: &str, words: &[&str], folder: &std::path::Path) -> Result<String> {
    let output = Command::new(program)
        .args(words)
        .current_dir(folder)
        .output()?;
    ensure!(
        output.status.success(),
        "{program} {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

async fn rows(checker: &mut Checker) -> Result<Vec<(String, String)>> {
    let rows = checker.feed().await?.into_iter();
    let own = rows.filter(|row| row.serial == SERIAL);
    let pair = |row: promises::FeedRow| Some((row.person?, row.local_time?));
    own.map(|row| pair(row).context("a row without its person"))
        .collect()
}

async fn archived_and_known(place: Place) -> Result<()> {
    let setup = Setup::new(place.clone()).enrol([SERIAL]);
    let satellite = SatelliteProcess::start(&setup).await?;
    let mut checker = Checker::open(&place).await?;
    let upload = attlog(SERIAL, "9999", log().as_bytes());
    ensure!(satellite.send(&upload).await?.accepts(OLD + YOUNG));
    let before = rows(&mut checker).await?;

    let asked = "db retention --tenant acme --class punch,alarm --before 2021-01-01";
    let asked: Vec<&str> = asked.split(' ').collect();
    let told = satellite.command(&asked).await?;
    ensure!(told.contains(&format!("{OLD} records would go")), "{told}");
    ensure!(told.contains(&format!("{YOUNG} stay")), "{told}");
    ensure!(rows(&mut checker).await? == before, "counting changed rows");

    let archive = satellite.folder().join("archive");
    let folder = archive.to_string_lossy().into_owned();
    let apply = [&asked[..], &["--archive", &folder, "--apply"]].concat();
    let refused = satellite.command(&apply).await;
    ensure!(refused.is_err_and(|error| error.to_string().contains("no folder")));
    std::fs::create_dir(&archive)?;
    let young = ["--before", "2d", "--archive", &folder, "--apply"];
    let young = [&asked[..asked.len() - 2], &young].concat();
    ensure!(
        satellite.command(&young).await.is_err(),
        "too young was taken"
    );
    let told = satellite.command(&apply).await?;
    ensure!(told.contains(&format!("{OLD} records emptied")), "{told}");

    let sum = std::fs::read_dir(&archive)?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .find(|name| name.ends_with(".sha256"))
        .context("no hash")?;
    said("sha256sum", &["-c", &sum], &archive)?;
    let file = sum.trim_end_matches(".sha256");
    let lines = said("zcat", &[file], &archive)?;
    let mut kept = Vec::new();
    for line in lines.lines() {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        ensure!(text("raw").starts_with(&text("person")), "{line}");
        kept.push((text("person"), text("local_time")));
    }
    // Rows of one upload stand in the order of their keys.
    let is_old = |row: &(String, String)| row.1.starts_with("2019");
    let (old, left): (Vec<_>, Vec<_>) = before.into_iter().partition(is_old);
    ensure!(kept == old, "the archive holds {kept:?}");
    ensure!(rows(&mut checker).await? == left, "not exactly these went");
    let audit = "SELECT detail FROM audit WHERE action = 'retention'";
    let audit = checker.texts(audit, audit).await?.join("");
    let hash = std::fs::read_to_string(archive.join(&sum))?;
    let hash = hash.split(' ').next().unwrap_or_default();
    ensure!(audit.contains(hash) && audit.contains(file), "{audit}");

    // The terminal forgets how far it was and sends all that it holds.
    ensure!(satellite.send(&upload).await?.accepts(OLD + YOUNG));
    ensure!(rows(&mut checker).await? == left, "the old log came back");
    let aside = checker.number("SELECT COUNT(*) FROM quarantine").await?;
    ensure!(aside == 0, "{aside} records were set aside");
    let told = satellite.command(&apply).await?;
    ensure!(told.contains(" 0 records emptied"), "{told}");
    ensure!(
        std::fs::read_dir(&archive)?.count() == 2,
        "an empty archive"
    );
    Ok(())
}

async fn held_and_let_go(place: Place) -> Result<()> {
    let setup = Setup::new(place.clone()).enrol([SERIAL]);
    let satellite = SatelliteProcess::start(&setup).await?;
    let mut checker = Checker::open(&place).await?;
    let upload = attlog(SERIAL, "9999", log().as_bytes());
    ensure!(satellite.send(&upload).await?.accepts(OLD + YOUNG));
    let before = rows(&mut checker).await?;
    let config = satellite.folder().join("satellite.toml");
    let text = std::fs::read_to_string(&config)?;
    let keep = "[[tenant]]\nkeep = { punch = \"1825d\" }";
    std::fs::write(&config, text.replacen("[[tenant]]", keep, 1))?;
    let archive = satellite.folder().join("archive");
    std::fs::create_dir(&archive)?;
    let folder = archive.to_string_lossy().into_owned();
    let apply = ["--archive", &folder, "--apply"];
    let by_hand = "db retention --tenant acme --class punch --before 2021-01-01";
    let by_hand: Vec<&str> = by_hand.split(' ').chain(apply).collect();
    let nightly = [&["db", "retention", "--configured"][..], &apply].concat();

    satellite
        .command(&["db", "hold", "on", "--reason", "a lawsuit"])
        .await?;
    for asked in [&by_hand, &nightly] {
        let refused = satellite.command(asked).await;
        ensure!(refused.is_err_and(|error| error.to_string().contains("under legal hold")));
    }
    ensure!(std::fs::read_dir(&archive)?.count() == 0, "archived");
    ensure!(
        rows(&mut checker).await? == before,
        "a held tenant's rows went"
    );
    satellite.command(&["db", "hold", "off"]).await?;
    let told = satellite.command(&nightly).await?;
    ensure!(told.contains(&format!("{OLD} records emptied")), "{told}");
    ensure!(rows(&mut checker).await?.len() == YOUNG);
    let audit = "SELECT action FROM audit WHERE subject = 'acme' ORDER BY id";
    let audit = checker.texts(audit, audit).await?.join(" ");
    ensure!(audit.ends_with("hold_on hold_off retention"), "{audit}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_under_legal_hold_is_neither_archived_nor_emptied() {
    let folder = tempfile::tempdir().unwrap();
    held_and_let_go(Place::sqlite(folder.path())).await.unwrap();
    let place = shared_mariadb(Flavor::Durable).await.unwrap();
    held_and_let_go(place).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_took_is_in_a_verified_archive_and_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    archived_and_known(Place::sqlite(folder.path()))
        .await
        .unwrap();
    let place = shared_mariadb(Flavor::Durable).await.unwrap();
    archived_and_known(place).await.unwrap();
}
