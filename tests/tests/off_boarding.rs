//! Promises about a tenant that goes: everything of it is in one file, and another installation on
//! another engine has the same rows from it, once, whatever interrupts the import and whoever sends
//! the same records again; and no file that was not made so is believed.
//!
//! Judged by the rows of both databases, each over a connection of the test's own. About a minute for
//! each direction.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mariadb::Flavor;
use promises::{
    Checker, Mixed, Place, SatelliteProcess, Setup, Tenant, attlog, seed, shared_mariadb, unkind,
};

const LIMIT: Duration = Duration::from_secs(90);
/// A terminal with a long history.
const OLD: &str = "OLDHAND001";
const PUNCHES: usize = 30_000;

/// What a row of the feed says, all of it but its number here.
const MYSQL: &str = "SELECT CONCAT_WS('|', event_uid, tenant, vendor, serial, \
     COALESCE(device_name, '-'), kind, COALESCE(person, '-'), COALESCE(card, '-'), \
     COALESCE(local_time, '-'), time_zone, COALESCE(CAST(occurred_at AS CHAR), '-'), \
     CAST(received_at AS CHAR), COALESCE(status_code, '-'), COALESCE(verify_code, '-'), \
     COALESCE(vendor_code, '-'), COALESCE(direction, '-'), COALESCE(door, '-'), route, \
     timeliness, clock, COALESCE(attributes, '-'), HEX(raw)) \
     FROM event_feed WHERE tenant = 'acme' ORDER BY event_uid";
const SQLITE: &str = "SELECT event_uid || '|' || tenant || '|' || vendor || '|' || serial || '|' || \
     COALESCE(device_name, '-') || '|' || kind || '|' || COALESCE(person, '-') || '|' || \
     COALESCE(card, '-') || '|' || COALESCE(local_time, '-') || '|' || time_zone || '|' || \
     COALESCE(occurred_at, '-') || '|' || received_at || '|' || COALESCE(status_code, '-') || \
     '|' || COALESCE(verify_code, '-') || '|' || COALESCE(vendor_code, '-') || '|' || \
     COALESCE(direction, '-') || '|' || COALESCE(door, '-') || '|' || route || '|' || \
     timeliness || '|' || clock || '|' || COALESCE(attributes, '-') || '|' || HEX(raw) \
     FROM event_feed WHERE tenant = 'acme' ORDER BY event_uid";

async fn feed(place: &Place) -> Result<Vec<String>> {
    let mut rows = Checker::open(place).await?.texts(MYSQL, SQLITE).await?;
    rows.sort();
    Ok(rows)
}

/// Records in review and their reasons.
async fn aside(place: &Place) -> Result<Vec<String>> {
    let mysql = "SELECT CONCAT_WS('|', d.serial, q.reason, HEX(q.raw), CAST(q.first_at AS CHAR), \
                 q.settled_at IS NULL) FROM quarantine q JOIN device d ON d.device_id = q.device_id";
    let sqlite = "SELECT d.serial || '|' || q.reason || '|' || HEX(q.raw) || '|' || q.first_at || \
                  '|' || (q.settled_at IS NULL) FROM quarantine q \
                  JOIN device d ON d.device_id = q.device_id";
    let mut rows = Checker::open(place).await?.texts(mysql, sqlite).await?;
    rows.sort();
    Ok(rows)
}

/// Whose terminals, under which number, and whether they are let in.
async fn enrolled(place: &Place) -> Result<Vec<String>> {
    let mysql = "SELECT CONCAT_WS('|', HEX(device_id), vendor, serial, tenant, state, \
                 COALESCE(active, 0)) FROM enrolment WHERE tenant = 'acme'";
    let sqlite = "SELECT HEX(device_id) || '|' || vendor || '|' || serial || '|' || tenant || '|' \
                  || state || '|' || COALESCE(active, 0) FROM enrolment WHERE tenant = 'acme'";
    let mut rows = Checker::open(place).await?.texts(mysql, sqlite).await?;
    rows.sort();
    Ok(rows)
}

async fn count(place: &Place) -> Result<i64> {
    let mut checker = Checker::open(place).await?;
    checker.number("SELECT COUNT(*) FROM event").await
}

/// The lines of a log, each of another person in another second.
fn log(from: usize, to: usize) -> String {
    let line = |n: usize| {
        let (hour, minute, second) = (n / 3_600 % 24, n / 60 % 60, n % 60);
        format!("{n:05}\t2026-11-26 {hour:02}:{minute:02}:{second:02}\t0\t1\t0\t0\n")
    };
    (from..to).map(line).collect()
}

async fn push(to: &SatelliteProcess, count: usize) -> Result<()> {
    for from in (0..count).step_by(5_000) {
        let lines = log(from, (from + 5_000).min(count));
        let reply = to.send(&attlog(OLD, "1", lines.as_bytes())).await?;
        ensure!(reply.accepts(lines.lines().count()), "{reply:?}");
    }
    Ok(())
}

/// Terminals of both makes have sent everything to one installation, one of them twice enrolled, and
/// something cannot be read.
async fn full(place: &Place) -> Result<Mixed> {
    let scenario = terminals::Scenario {
        rate: 50.0,
        ..unkind(seed(), "GONE", 3)
    };
    let mut mixed = Mixed::open(place, scenario, [3, 2, 2, 2], &[OLD, "BLOCKED001"]).await?;
    mixed.people(30).await?;
    push(&mixed.satellite, PUNCHES).await?;
    let rubbish = attlog(OLD, "1", b"rubbish\nmore rubbish\n");
    mixed.satellite.send(&rubbish).await?;
    mixed.pushing.acked_more(200, LIMIT).await?;
    mixed.pushing.drained(LIMIT).await?;
    mixed.equal(LIMIT).await?;
    let block = ["devices", "block", "BLOCKED001"];
    mixed.satellite.command(block).await?;
    // Nothing comes any more while the file is written, so that both sides can be compared.
    mixed.satellite.terminate().await?;
    Ok(mixed)
}

async fn export(satellite: &SatelliteProcess, to: &Path) -> Result<()> {
    let to = to.display().to_string();
    let words = ["tenant", "export", "--tenant", "acme", "--to", &to];
    let told = satellite.command(words).await?;
    ensure!(told.contains("SHA-256"), "{told}");
    let again = satellite.command(words).await;
    ensure!(again.is_err_and(|error| error.to_string().contains("not written over")));
    Ok(())
}

/// No password, no token, and no name of a file that holds one stands in the file.
fn holds_no_secret(file: &Path, folder: &Path) -> Result<()> {
    let inside = folder.join("inside");
    std::fs::create_dir(&inside)?;
    let unpacked = std::process::Command::new("tar")
        .arg("xzf")
        .arg(file)
        .current_dir(&inside)
        .status()?;
    ensure!(unpacked.success(), "tar does not read it");
    for part in ["devices", "cursors", "audit", "events", "quarantine"] {
        ensure!(inside.join(part).is_dir(), "no {part} in it");
    }
    let devices = std::fs::read_to_string(inside.join("devices/000001.jsonl"))?;
    let audit = std::fs::read_to_string(inside.join("audit/000001.jsonl"))?;
    for word in ["secret_file\":\"", "token_hash", "password"] {
        ensure!(!devices.contains(word) && !audit.contains(word), "{word}");
    }
    Ok(())
}

/// Imports, and kills it when some of the rows are in; true when it was killed in the middle.
async fn killed(to: &SatelliteProcess, file: &str, place: &Place, whole: i64) -> Result<bool> {
    let mut import = to.order(&["tenant", "import", file]).spawn()?;
    let begun = Instant::now();
    loop {
        let here = count(place).await?;
        if here > 0 {
            import.kill().await?;
            return Ok(count(place).await? < whole);
        }
        ensure!(begun.elapsed() < LIMIT, "nothing came in");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn moves(from: Place, to: Place) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acme.tar.gz");
    let mixed = full(&from).await.unwrap();
    export(&mixed.satellite, &file).await.unwrap();
    holds_no_secret(&file, folder.path()).unwrap();
    let (rows, review) = (feed(&from).await.unwrap(), aside(&from).await.unwrap());
    assert!(rows.len() > PUNCHES && !review.is_empty());

    let mut other = SatelliteProcess::prepare(&Setup::new(to.clone()))
        .await
        .unwrap();
    let file = file.display().to_string();
    let told = other
        .command(["tenant", "import", &file, "--dry-run"])
        .await
        .unwrap();
    assert!(told.contains("Nothing was changed"), "{told}");
    assert_eq!(count(&to).await.unwrap(), 0);
    assert!(enrolled(&to).await.unwrap().is_empty());

    let whole = i64::try_from(rows.len()).unwrap();
    assert!(
        killed(&other, &file, &to, whole).await.unwrap(),
        "it was done before it was killed"
    );
    let told = other.command(["tenant", "import", &file]).await.unwrap();
    assert!(!told.contains("that were there 0"), "{told}");
    same(&to, (&rows, &review, &enrolled(&from).await.unwrap()))
        .await
        .unwrap();

    let told = other.command(["tenant", "import", &file]).await.unwrap();
    assert!(
        told.contains(&format!("new events 0, that were there {whole}")),
        "{told}"
    );
    same(&to, (&rows, &review, &enrolled(&from).await.unwrap()))
        .await
        .unwrap();

    // The terminal is repointed, forgets how far it was, and sends its whole log again.
    other.run().await.unwrap();
    push(&other, PUNCHES).await.unwrap();
    same(&to, (&rows, &review, &enrolled(&from).await.unwrap()))
        .await
        .unwrap();
    let noted = "SELECT COUNT(*) FROM audit WHERE action = 'tenant_import'";
    let noted = Checker::open(&to)
        .await
        .unwrap()
        .number(noted)
        .await
        .unwrap();
    assert_eq!(noted, 2);
}

async fn same(
    to: &Place,
    (rows, review, terminals): (&[String], &[String], &[String]),
) -> Result<()> {
    let here = feed(to).await?;
    let differs = rows.iter().zip(&here).find(|(there, here)| there != here);
    ensure!(differs.is_none(), "not the same row: {differs:?}");
    ensure!(
        rows.len() == here.len(),
        "{} rows, not {}",
        here.len(),
        rows.len()
    );
    let here = aside(to).await?;
    ensure!(review == here, "in review: {here:?}, not {review:?}");
    let here = enrolled(to).await?;
    ensure!(terminals == here, "enrolled: {here:?}, not {terminals:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_moves_whole_from_sqlite_to_mariadb_through_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let to = shared_mariadb(Flavor::Durable).await.unwrap();
    moves(Place::sqlite(folder.path()), to).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_moves_whole_from_mariadb_to_sqlite_through_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let from = shared_mariadb(Flavor::Durable).await.unwrap();
    moves(from, Place::sqlite(folder.path())).await;
}

/// What a refused import says.
async fn refused(satellite: &SatelliteProcess, words: &[&str]) -> Result<String> {
    let words = [&["tenant", "import"][..], words].concat();
    let error = satellite.command(words).await.err();
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    ensure!(
        error.contains("exit status: 1"),
        "it was taken, or: {error}"
    );
    Ok(error)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_beside_an_own_enrolment_makes_no_duplicate_and_a_bad_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let from = Place::sqlite(folder.path());
    let setup = Setup::new(from.clone()).enrol([OLD]);
    let old = SatelliteProcess::start(&setup).await.unwrap();
    push(&old, 3_000).await.unwrap();
    let file = folder.path().join("acme.tar.gz");
    export(&old, &file).await.unwrap();
    let file = file.display().to_string();

    // The terminal was repointed before the data came: it has an enrolment, and half of its log.
    let there = tempfile::tempdir().unwrap();
    let to = Place::sqlite(there.path());
    let mut setup = Setup::new(to.clone()).enrol([OLD]);
    let beta = Tenant {
        id: "beta".to_owned(),
        own: None,
    };
    setup.tenants.push(beta);
    let new = SatelliteProcess::start(&setup).await.unwrap();
    push(&new, 1_500).await.unwrap();

    let whole = std::fs::read(&file).unwrap();
    let bad = folder.path().join("bad.tar.gz");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let cut = &whole[..whole.len() - 100];
    for (bytes, word) in [
        (&flipped[..], "damaged"),
        (cut, "damaged"),
        (b"no bundle", "no file of"),
    ] {
        std::fs::write(&bad, bytes).unwrap();
        let told = refused(&new, &[&bad.display().to_string()]).await.unwrap();
        assert!(told.contains(word) && told.contains("SHA-256"), "{told}");
    }
    let told = refused(&new, &[&file, "--as", "gamma"]).await.unwrap();
    assert!(
        told.contains("[[tenant]]") && told.contains("acme, beta"),
        "{told}"
    );
    let told = refused(&new, &[&file, "--as", "beta"]).await.unwrap();
    assert!(told.contains("belongs to the tenant acme"), "{told}");
    assert_eq!(count(&to).await.unwrap(), 1_500);

    let told = new.command(["tenant", "import", &file]).await.unwrap();
    assert!(
        told.contains("new events 1500, that were there 1500"),
        "{told}"
    );
    assert!(
        told.contains(&format!("{OLD}: it has another enrolment here")),
        "{told}"
    );
    push(&new, 3_000).await.unwrap();
    assert_eq!(count(&to).await.unwrap(), 3_000);
    let persons = "SELECT COUNT(DISTINCT person) FROM event_feed WHERE tenant = 'acme'";
    let persons = Checker::open(&to)
        .await
        .unwrap()
        .number(persons)
        .await
        .unwrap();
    assert_eq!(persons, 3_000);
}
