//! Promise: copies behind SFTP are whole, proven, restored and pruned as those in a folder, and a
//! server that refuses or hangs costs the first location nothing.
//!
//! The real program against a real server of SFTP; what lies there is judged by `sha256sum`.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mariadb::{Flavor, Server};
use promises::{
    Away, Checker, Copies, Place, Random, SatelliteProcess, Setup, attlog, blocking, fails, seed,
    works,
};
use serde_json::Value;

const STORE: &str = "store";
const SERIAL: &str = "AWY0000001";

/// A satellite whose second location is that server.
async fn satellite(
    away: &Away,
    copies: &Copies,
    place: &Place,
    more: &str,
) -> Result<SatelliteProcess> {
    let mut setup = Setup::new(place.clone());
    let second = copies.second().display().to_string();
    setup.more = copies.table(more)?.replace(&second, away.location());
    let satellite = SatelliteProcess::prepare(&setup.enrol([SERIAL])).await?;
    away.known_in(satellite.folder(), true)?;
    Ok(satellite)
}

async fn punch(satellite: &SatelliteProcess, minute: u8) -> Result<()> {
    let line = format!("{minute}\t2026-11-26 09:{minute:02}:00\t0\t1\n");
    let request = attlog(SERIAL, &minute.to_string(), line.as_bytes());
    ensure!(satellite.send(&request).await?.accepts(1), "not accepted");
    Ok(())
}

async fn rows(place: &Place) -> Result<usize> {
    let feed = Checker::open(place).await?.feed().await?;
    Ok(feed.iter().filter(|row| row.kind == "punch").count())
}

fn board(satellite: &SatelliteProcess) -> Result<Value> {
    let text = fs::read_to_string(satellite.folder().join("state/backup.json"))?;
    Ok(serde_json::from_str(&text)?)
}

/// What `sha256sum` says of a copy.
fn is_whole(copy: &Path) -> Result<bool> {
    let mut sums = std::process::Command::new("sha256sum");
    let sums = sums.args(["--quiet", "--strict", "-c", "SHA256SUMS"]);
    Ok(sums.current_dir(copy).output()?.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_behind_sftp_is_listed_proven_restored_and_pruned_as_one_in_a_folder() -> Result<()>
{
    let (folder, away, copies) = (tempfile::tempdir()?, Away::start().await?, Copies::new()?);
    let place = Place::sqlite(folder.path());
    let mut satellite = satellite(&away, &copies, &place, "keep = \"10d\"").await?;
    satellite.run().await?;
    punch(&satellite, 1).await?;
    works(&satellite, &["backup", "run"]).await?;
    let there = Copies::named(&away.copies(), STORE)?;
    ensure!(there.len() == 1 && is_whole(&there[0])?, "{there:?}");
    let told = board(&satellite)?;
    ensure!(told["tenants"][0]["locations"] == 2, "{told:#}");
    // What was cut off on its way is no copy, and goes with the next run.
    let store = away.copies().join(STORE);
    let half = store.join("20260101T000000Z");
    fs::create_dir(&half)?;
    fs::write(half.join("data.db.gz.age"), "half")?;
    // Of two that were made on one day long ago, the later one stays.
    let [old, later] = ["20260102T000000Z", "20260102T030000Z"].map(|name| store.join(name));
    for copy in [&old, &later] {
        let mut copied = std::process::Command::new("cp");
        let copied = copied.arg("-r").args([&there[0], copy]).status()?;
        ensure!(copied.success(), "cp");
    }
    let list = works(&satellite, &["backup", "list"]).await?;
    let shown = |name: &str| list.contains(&format!("away:copies/store/{name}"));
    ensure!(
        shown("20260102T000000Z") && !shown("20260101T000000Z"),
        "{list}"
    );
    let said = works(&satellite, &["backup", "verify"]).await?;
    ensure!(
        said.contains("away:copies/store/"),
        "not from there: {said}"
    );
    works(&satellite, &["backup", "prune"]).await?;
    ensure!(!old.exists() && later.exists(), "what is old stays");
    punch(&satellite, 2).await?;
    works(&satellite, &["backup", "run"]).await?;
    ensure!(!half.exists(), "debris stays");

    // The machine with the first location is gone; then a byte of what is there is another one.
    satellite.terminate().await?;
    fs::remove_dir_all(copies.first())?;
    destroy(&place)?;
    works(&satellite, &["restore", "--yes", "all"]).await?;
    ensure!(rows(&place).await? == 2, "{} of 2", rows(&place).await?);
    let newest = Copies::named(&away.copies(), STORE)?;
    let data = newest.first().context("no copy")?.join("data.db.gz.age");
    let mut bytes = fs::read(&data)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&data, bytes)?;
    fails(&satellite, &["backup", "verify"], "is damaged").await
}

fn destroy(place: &Place) -> std::io::Result<()> {
    match place {
        Place::Sqlite(file) => fs::remove_file(file),
        Place::Mariadb { .. } => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_a_copy_on_its_way_to_sftp_leaves_none_there_that_is_not_whole() -> Result<()> {
    let (folder, away, copies) = (tempfile::tempdir()?, Away::start().await?, Copies::new()?);
    let satellite = satellite(&away, &copies, &Place::sqlite(folder.path()), "").await?;
    let begun = Instant::now();
    works(&satellite, &["backup", "run"]).await?;
    let whole = u64::try_from(begun.elapsed().as_millis())?;
    let (mut random, mut killed) = (Random::new(seed()), 0);
    for _ in 0..12 {
        let mut run = satellite.backup(&["run"]);
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        tokio::time::sleep(random.millis(0, whole)).await;
        if run.try_wait()?.is_none() {
            run.kill().await?;
            killed += 1;
        }
    }
    ensure!(killed > 3, "only {killed} of 12 were killed");
    // What a killed run has started may still be writing.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let list = works(&satellite, &["backup", "list", "--json"]).await?;
    let list: Value = serde_json::from_str(&list)?;
    let mut counted = 0;
    for copy in list.as_array().context("no list")? {
        let place = copy["folder"].as_str().context("no folder")?;
        if let Some(below) = place.strip_prefix("away:copies/") {
            ensure!(is_whole(&away.copies().join(below))?, "{place}");
            counted += 1;
        }
    }
    println!("{killed} killed, {counted} copies there");
    ensure!(counted > 0, "none is there");
    works(&satellite, &["backup", "run"]).await?;
    works(&satellite, &["backup", "verify"]).await?;
    let listed = Copies::named(&away.copies(), STORE)?;
    ensure!(listed.len() == counted + 1, "debris: {listed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_sftp_that_refuses_or_hangs_is_told_in_time_and_the_first_location_has_its_copy()
-> Result<()> {
    let (folder, away, copies) = (tempfile::tempdir()?, Away::start().await?, Copies::new()?);
    let place = Place::sqlite(folder.path());
    let satellite = satellite(&away, &copies, &place, "time_limit = \"10s\"").await?;
    away.known_in(satellite.folder(), false)?;
    fails(&satellite, &["backup", "run"], "rclone lsd away:").await?;
    let here = Copies::named(&copies.first(), STORE)?;
    let told = board(&satellite)?;
    ensure!(
        here.len() == 1 && told["tenants"][0]["locations"] == 1,
        "{told:#}"
    );
    // What lies here is listed all the same.
    fails(&satellite, &["backup", "list"], "copies/store/").await?;
    fails(&satellite, &["backup", "prune"], "rclone lsd away:").await?;
    away.known_in(satellite.folder(), true)?;
    away.signal("-STOP")?;
    let begun = Instant::now();
    let hung = fails(&satellite, &["backup", "run"], "was given up").await;
    away.signal("-CONT")?;
    hung?;
    println!("given up after {:?}", begun.elapsed());
    ensure!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
    ensure!(
        Copies::named(&copies.first(), STORE)?.len() == 2,
        "no copy here"
    );
    works(&satellite, &["backup", "run"]).await?;
    works(&satellite, &["backup", "verify"]).await.map(drop)
}

/// How many pieces of a log are there, each of them equal to the one here.
fn same_pieces(here: &Path, there: &Path) -> Result<usize> {
    let mut count = 0;
    for server in fs::read_dir(there)?.flatten() {
        if server.path().extension() != Some(OsStr::new("binlog")) {
            continue;
        }
        for log in fs::read_dir(server.path())?.flatten() {
            for piece in fs::read_dir(log.path())?.flatten() {
                let path = piece.path();
                let own = here.join(path.strip_prefix(there)?);
                ensure!(fs::read(&path)? == fs::read(own)?, "{}", path.display());
                count += 1;
            }
        }
    }
    Ok(count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_log_behind_sftp_follows_its_copy_when_the_first_location_is_gone() -> Result<()> {
    let (away, copies) = (Away::start().await?, Copies::new()?);
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await?);
    let place = Place::mariadb(server.address()).await?;
    let rights = "GRANT REPLICATION SLAVE, BINLOG REPLAY ON *.* TO satellite@'127.0.0.1'";
    let grants = Arc::clone(&server);
    blocking(move || grants.sql(rights).map(drop)).await?;
    let mut satellite = satellite(&away, &copies, &place, "binary_log = true").await?;
    satellite.run().await?;
    punch(&satellite, 1).await?;
    works(&satellite, &["backup", "run"]).await?;
    punch(&satellite, 2).await?;
    works(&satellite, &["backup", "ship", "--once"]).await?;
    let said = works(&satellite, &["backup", "verify"]).await?;
    ensure!(said.contains("on top: 1 more record"), "{said}");
    // Whenever shipping is killed, what has a piece's name there is that piece.
    let mut random = Random::new(seed());
    for minute in 3..9 {
        punch(&satellite, minute).await?;
        let mut ship = satellite.backup(&["ship", "--once"]);
        let mut ship = ship.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        tokio::time::sleep(random.millis(0, 700)).await;
        ship.kill().await?;
        // What it has started may still be writing.
        tokio::time::sleep(Duration::from_millis(500)).await;
        same_pieces(&copies.first(), &away.copies())?;
    }
    works(&satellite, &["backup", "ship", "--once"]).await?;
    let pieces = same_pieces(&copies.first(), &away.copies())?;
    ensure!(pieces > 2, "only {pieces} pieces");
    satellite.terminate().await?;
    fs::remove_dir_all(copies.first())?;
    works(&satellite, &["restore", "--yes", "all"]).await?;
    ensure!(rows(&place).await? == 8, "{} of 8", rows(&place).await?);
    // Pieces go with the copies that they follow.
    works(&satellite, &["backup", "prune"]).await.map(drop)
}
