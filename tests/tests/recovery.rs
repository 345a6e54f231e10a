//! Promise: what was committed after a copy is back up to the last piece of the binary log that was
//! shipped, and nothing is doubled; a restore of one client touches no other; an older copy is
//! brought up to date; each account has the rights that it needs and no others.
//!
//! The real program on MariaDB servers of the test's own. What was sent is held against
//! `event_feed` over another connection.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mariadb::{Flavor, Server};
use promises::{
    Checker, Copies, Place, SatelliteProcess, Setup, Tenant, attlog, blocking, fails, outcome,
    shared_mariadb, until, works,
};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(60);
const SERIAL: &str = "REC0000001";

/// As [`outcome`], with another configuration.
async fn outcome_with(
    file: &Path,
    satellite: &SatelliteProcess,
    words: &[&str],
) -> Result<(bool, String)> {
    let mut command = tokio::process::Command::new(satellite.program());
    command.arg("--config").arg(file).args(words);
    let output = command.stdin(Stdio::null()).output().await?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    println!("$ satellite {}\n{text}", words.join(" "));
    Ok((output.status.success(), text))
}

/// A server of the test's own, whose account `satellite` may read its log and replay one.
async fn own_server() -> Result<(Arc<Server>, Place)> {
    let (server, place) = plain_server().await?;
    let rights = "GRANT REPLICATION SLAVE, BINLOG REPLAY ON *.* TO satellite@'127.0.0.1'";
    sql(&server, rights.to_owned()).await?;
    Ok((server, place))
}

async fn plain_server() -> Result<(Arc<Server>, Place)> {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await?);
    let place = Place::mariadb(server.address()).await?;
    Ok((server, place))
}

async fn sql(server: &Arc<Server>, script: String) -> Result<()> {
    let server = Arc::clone(server);
    blocking(move || server.sql(&script).map(drop)).await
}

fn database(place: &Place) -> &str {
    match place {
        Place::Mariadb { database, .. } => database,
        Place::Sqlite(_) => "",
    }
}

/// Punches of these minutes of the day, acknowledged.
async fn punch(
    satellite: &SatelliteProcess,
    serial: &str,
    minutes: std::ops::Range<u32>,
) -> Result<()> {
    let lines = minutes.clone().map(|minute| {
        let (hour, minute) = (minute / 60, minute % 60);
        format!("{minute}\t2026-11-26 {hour:02}:{minute:02}:07\t0\t1\n")
    });
    let lines: String = lines.collect();
    let reply = satellite
        .send(&attlog(serial, "1", lines.as_bytes()))
        .await?;
    ensure!(reply.accepts(minutes.len()), "not accepted: {reply:?}");
    Ok(())
}

/// Rows in the feed, and that none is there twice.
async fn rows(place: &Place) -> Result<usize> {
    let feed = Checker::open(place).await?.feed().await?;
    let punches: Vec<_> = feed.iter().filter(|row| row.kind == "punch").collect();
    let mut times: Vec<_> = punches
        .iter()
        .map(|row| (row.punch(), &row.serial))
        .collect();
    times.sort();
    times.dedup();
    ensure!(times.len() == punches.len(), "a punch is there twice");
    Ok(punches.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_after_a_copy_is_back_up_to_the_last_shipped_piece() -> Result<()> {
    let (server, place) = own_server().await?;
    let copies = Copies::new()?;
    let mut setup = Setup::new(place.clone());
    setup.more = copies.table("binary_log = true")?;
    let mut satellite = SatelliteProcess::start(&setup.enrol([SERIAL])).await?;
    let ship = ["backup", "ship", "--once"];
    fails(&satellite, &ship, "make one").await?;
    punch(&satellite, SERIAL, 0..20).await?;
    works(&satellite, &["backup", "run"]).await?;
    punch(&satellite, SERIAL, 20..50).await?;
    works(&satellite, &ship).await?;
    // The server begins another log, as after a restart.
    sql(&server, "FLUSH BINARY LOGS".to_owned()).await?;
    punch(&satellite, SERIAL, 50..60).await?;
    works(&satellite, &ship).await?;
    let said = works(&satellite, &["backup", "verify"]).await?;
    ensure!(said.contains("on top: 40 more records"), "{said}");
    punch(&satellite, SERIAL, 60..65).await?;

    // The server is gone, with its disk; another one takes its place.
    satellite.kill9().await?;
    let gone = Arc::clone(&server);
    blocking(move || gone.kill9()).await?;
    let (other, _) = own_server().await?;
    let new = Place::Mariadb {
        server: other.address().clone(),
        database: database(&place).to_owned(),
    };
    let file = satellite.folder().join("satellite.toml");
    let text = fs::read_to_string(&file)?.replace(&place.url(), &new.url());
    fs::write(&file, text)?;
    let said = works(&satellite, &["restore", "--yes", "all"]).await?;
    ensure!(
        said.contains("The server's binary log follows it"),
        "{said}"
    );
    ensure!(rows(&new).await? == 60, "{} of 60", rows(&new).await?);
    satellite.run().await?;
    let report: Value = serde_json::from_str(
        &outcome(&satellite, &["restore", "--report", "--json"])
            .await?
            .1,
    )?;
    let rpo = report["rpo_before_seconds"].as_i64().context("no figure")?;
    ensure!(rpo < 120, "{report:#}");

    // A hand that drops the database is undone, and what the log says of it is not done again.
    works(&satellite, &["backup", "run"]).await?;
    punch(&satellite, SERIAL, 70..80).await?;
    satellite.terminate().await?;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let between = jiff::Timestamp::now();
    satellite.run().await?;
    punch(&satellite, SERIAL, 80..90).await?;
    satellite.kill9().await?;
    sql(&other, format!("DROP DATABASE `{}`", database(&new))).await?;
    works(&satellite, &ship).await?;
    let early = between.to_string();
    let early = ["restore", "--until", &early, "--yes", "all"];
    works(&satellite, &early).await?;
    ensure!(rows(&new).await? == 70, "{} of 70", rows(&new).await?);
    let said = works(&satellite, &["restore", "--yes", "all"]).await?;
    ensure!(said.contains("It ends before DROP DATABASE"), "{said}");
    ensure!(rows(&new).await? == 80, "{} of 80", rows(&new).await?);
    let late = ["restore", "--until", "2099-01-01", "--yes", "all"];
    fails(&satellite, &late, "does not reach that moment").await?;
    works(&satellite, &["restore", "--without-log", "--yes", "all"]).await?;
    ensure!(rows(&new).await? == 60, "{} of 60", rows(&new).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn shipping_that_fails_says_so_shows_it_and_is_made_good_by_the_next_round() -> Result<()> {
    let (server, place) = own_server().await?;
    let copies = Copies::new()?;
    let mut setup = Setup::new(place.clone());
    setup.more = copies.table("binary_log = true\ntime_limit = \"10s\"")?;
    let satellite = SatelliteProcess::start(&setup.enrol([SERIAL])).await?;
    let ship = ["backup", "ship", "--once"];
    works(&satellite, &["backup", "run"]).await?;
    works(&satellite, &ship).await?;
    let state = async || -> Result<Value> {
        let board = fs::read_to_string(satellite.folder().join("state/backup.json"))?;
        let board: Value = serde_json::from_str(&board)?;
        Ok(board["logs"][0].clone())
    };
    let first = state().await?;
    ensure!(
        first["shipped_until"].is_string() && first["error"].is_null(),
        "{first:#}"
    );
    // Without the second location nothing counts as shipped.
    let away = copies.second().display().to_string();
    let file = satellite.folder().join("satellite.toml");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, text.replace(&away, "/nowhere/at/all"))?;
    punch(&satellite, SERIAL, 0..5).await?;
    fails(&satellite, &ship, "mount it").await?;
    let failed = state().await?;
    ensure!(
        failed["shipped_until"] == first["shipped_until"],
        "{failed:#}"
    );
    ensure!(failed["error_es"].is_string(), "{failed:#}");
    fs::write(&file, &text)?;
    let paused = Arc::clone(&server);
    blocking(move || paused.pause()).await?;
    fails(&satellite, &ship, "was given up").await?;
    let going = Arc::clone(&server);
    blocking(move || going.resume()).await?;
    works(&satellite, &ship).await?;
    ensure!(state().await?["error"].is_null(), "the error stays");
    for location in [copies.first(), copies.second().to_owned()] {
        ensure!(
            !pieces(&location)?.is_empty(),
            "nothing in {}",
            location.display()
        );
    }
    // A piece that one location has lost is taken from the other; one that both have lost ends
    // the tail, and that is said.
    let spoil = |location: &Path| -> Result<()> {
        for piece in pieces(location)? {
            let mut bytes = fs::read(&piece)?;
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            fs::write(&piece, bytes)?;
        }
        Ok(())
    };
    spoil(&copies.first())?;
    let said = works(&satellite, &["backup", "verify"]).await?;
    ensure!(said.contains("5 more records"), "{said}");
    spoil(copies.second())?;
    fails(&satellite, &["backup", "verify"], "is damaged").await?;
    // The server deletes its log before it was fetched: a new copy begins a new chain.
    sql(&server, "FLUSH BINARY LOGS".to_owned()).await?;
    punch(&satellite, SERIAL, 5..10).await?;
    sql(
        &server,
        "FLUSH BINARY LOGS; FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY"
            .to_owned(),
    )
    .await?;
    fails(&satellite, &ship, "make one").await?;
    works(&satellite, &["backup", "run"]).await?;
    punch(&satellite, SERIAL, 10..15).await?;
    works(&satellite, &ship).await?;
    let said = works(&satellite, &["backup", "verify"]).await?;
    ensure!(said.contains("5 more records"), "{said}");
    Ok(())
}

/// Every piece of a log in a location.
fn pieces(location: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for server in fs::read_dir(location)?.flatten() {
        if server.file_name().to_string_lossy().ends_with(".binlog") {
            for log in fs::read_dir(server.path())?.flatten() {
                found.extend(fs::read_dir(log.path())?.flatten().map(|it| it.path()));
            }
        }
    }
    Ok(found)
}

/// The statements of the shipped script that name that account, for this database; with what is
/// commented in it when `all`.
fn grants(account: &str, database: &str, all: bool) -> Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let shipped = fs::read_to_string(root.context("no root")?.join("deploy/grants.sql"))?;
    let shipped = match all {
        true => shipped.replace("-- GRANT", "GRANT"),
        false => shipped,
    };
    let lines = shipped.lines().filter(|line| !line.starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let ours = text
        .split(';')
        .filter(|it| it.contains(&format!("{account}@")));
    let ours = ours.map(|it| {
        let it = it.replace(" satellite.", &format!(" {database}."));
        it.replace(" IDENTIFIED BY 'change-me'", "") + ";"
    });
    Ok(ours.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_rights_are_enough_to_ship_and_to_restore_and_without_them_the_right_is_named()
-> Result<()> {
    let (server, place) = plain_server().await?;
    let copies = Copies::new()?;
    let mut setup = Setup::new(place.clone());
    setup.more = copies.table("binary_log = true\nuser = \"satellite_backup\"")?;
    let mut satellite = SatelliteProcess::start(&setup.enrol([SERIAL])).await?;
    let name = database(&place);
    for account in ["satellite_backup", "satellite_admin"] {
        sql(&server, grants(account, name, false)?).await?;
    }
    let ship = ["backup", "ship", "--once"];
    punch(&satellite, SERIAL, 0..7).await?;
    works(&satellite, &["backup", "run"]).await?;
    fails(&satellite, &ship, "give it REPLICATION SLAVE").await?;
    sql(&server, grants("satellite_backup", name, true)?).await?;
    punch(&satellite, SERIAL, 7..9).await?;
    works(&satellite, &ship).await?;
    satellite.terminate().await?;
    let text = fs::read_to_string(satellite.folder().join("satellite.toml"))?;
    let admin = satellite.folder().join("admin.toml");
    let named = text.replace("mysql://satellite@", "mysql://satellite_admin@");
    fs::write(&admin, named)?;
    let restore = ["restore", "--yes", "all"];
    let (fine, said) = outcome_with(&admin, &satellite, &restore).await?;
    ensure!(!fine && said.contains("BINLOG REPLAY"), "{said}");
    sql(&server, grants("satellite_admin", name, true)?).await?;
    let (fine, said) = outcome_with(&admin, &satellite, &restore).await?;
    ensure!(fine, "{said}");
    ensure!(rows(&place).await? == 9, "{} of 9", rows(&place).await?);
    // A server without a log: the copy is made all the same, and shipping says what is missing.
    let plain = shared_mariadb(Flavor::Xampp).await?;
    let mut setup = Setup::new(plain);
    setup.more = copies
        .table("binary_log = true")?
        .replace("copies\"", "plain\"");
    let satellite = SatelliteProcess::prepare(&setup).await?;
    works(&satellite, &["backup", "run"]).await?;
    fails(&satellite, &ship, "keeps no binary log").await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_clients_database_is_restored_and_the_others_are_not_touched() -> Result<()> {
    let (server, store) = own_server().await?;
    let [acme, beta] = [
        Place::mariadb(server.address()).await?,
        Place::mariadb(server.address()).await?,
    ];
    let copies = Copies::new()?;
    let mut setup = Setup::new(store.clone());
    setup.more = copies.table("binary_log = true")?;
    let tenants = [("acme", &acme, "REC0000001"), ("beta", &beta, "REC0000002")];
    setup.tenants = tenants
        .map(|(id, place, _)| Tenant {
            id: id.to_owned(),
            own: Some(place.clone()),
        })
        .to_vec();
    let pairs = tenants.map(|(id, _, serial)| (serial.to_owned(), id.to_owned()));
    setup.terminals.extend(pairs);
    let mut satellite = SatelliteProcess::start(&setup).await?;
    for (_, _, serial) in tenants {
        punch(&satellite, serial, 0..10).await?;
    }
    works(&satellite, &["backup", "run"]).await?;
    for (_, _, serial) in tenants {
        punch(&satellite, serial, 10..30).await?;
    }
    works(&satellite, &["backup", "ship", "--once"]).await?;
    satellite.terminate().await?;
    let mut checker = Checker::open(&beta).await?;
    let before = checker.feed().await?;
    sql(&server, format!("DELETE FROM `{}`.event", database(&acme))).await?;
    fails(
        &satellite,
        &["restore", "--tenant", "acme", "--yes", "beta"],
        "nothing was done",
    )
    .await?;
    works(
        &satellite,
        &["restore", "--tenant", "acme", "--yes", "acme"],
    )
    .await?;
    ensure!(rows(&acme).await? == 30, "{} of 30", rows(&acme).await?);
    let after = Checker::open(&beta).await?.feed().await?;
    ensure!(before == after, "another client's database has changed");
    let epoch = async |place: &Place| -> Result<i64> {
        let sql = "SELECT next_seq >> 40 FROM feed_head";
        Checker::open(place).await?.number(sql).await
    };
    let then = [epoch(&acme).await?, epoch(&beta).await?];
    satellite.run().await?;
    // A client's own database is opened when something comes for it.
    punch(&satellite, "REC0000001", 30..31).await?;
    until(LONG, "the restored database has a new epoch", async || {
        Ok(epoch(&acme).await? > then[0])
    })
    .await?;
    ensure!(
        epoch(&beta).await? == then[1],
        "the other's epoch has changed"
    );
    let report: Value = serde_json::from_str(
        &outcome(&satellite, &["restore", "--report", "--json"])
            .await?
            .1,
    )?;
    ensure!(report["stores"][0]["store"] == "acme", "{report:#}");
    ensure!(
        report["stores"].as_array().is_some_and(|it| it.len() == 1),
        "{report:#}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_an_older_schema_is_restored_and_brought_up_to_date() -> Result<()> {
    let place = shared_mariadb(Flavor::Durable).await?;
    let copies = Copies::new()?;
    let mut setup = Setup::new(place.clone());
    setup.more = copies.table("")?;
    let mut satellite = SatelliteProcess::start(&setup.enrol([SERIAL])).await?;
    punch(&satellite, SERIAL, 0..9).await?;
    satellite.terminate().await?;
    let Place::Mariadb { server, database } = place.clone() else {
        anyhow::bail!("it is MariaDB");
    };
    // What the newest migration made is taken back, as if it had never run.
    let older = format!(
        "USE `{database}`; DROP TABLE output_cursor, output_letter; \
         DELETE FROM _sqlx_migrations WHERE version = 7"
    );
    let run = server.clone();
    blocking(move || run.sql(&older).map(drop)).await?;
    works(&satellite, &["backup", "run"]).await?;
    let destroy = format!("DROP DATABASE `{database}`");
    blocking(move || server.sql(&destroy).map(drop)).await?;
    works(&satellite, &["restore", "--yes", "all"]).await?;
    let mut checker = Checker::open(&place).await?;
    let tables = checker.number("SELECT COUNT(*) FROM output_cursor").await?;
    ensure!(tables == 0 && rows(&place).await? == 9, "{tables}");
    satellite.run().await?;
    punch(&satellite, SERIAL, 9..12).await?;
    ensure!(rows(&place).await? == 12);
    Ok(())
}
