//! Promise: the accounts of `deploy/grants.sql` are enough for what each of them does, and for
//! nothing more.
//!
//! The shipped script runs on a real server; then each account does its work and tries what it may
//! not do.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use mariadb::{Flavor, Server};
use promises::{Place, SatelliteProcess, Setup, attlog, blocking};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};

/// The error numbers by which a server refuses a user: to a database, the server, a table, a column,
/// a right.
const DENIED: [u16; 5] = [1044, 1045, 1142, 1143, 1227];

/// The shipped script for this database, without passwords. The account of the service has another
/// name here, because the test's server has one of that name with every right.
fn script(database: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let shipped = std::fs::read_to_string(root.join("deploy/grants.sql")).unwrap();
    let passwords = " IDENTIFIED BY 'change-me'";
    assert_eq!(shipped.matches(passwords).count(), 6);
    shipped
        .replace(passwords, "")
        .replace(" satellite@", " ingest@")
        .replace(" satellite.", &format!(" {database}."))
        .replace("EXISTS satellite ", &format!("EXISTS {database} "))
}

/// The half of the script before the views, and the whole of it.
fn halves(script: &str) -> (&str, &str) {
    (script.split_once("-- Whoever reads").unwrap().0, script)
}

/// What an account is told that runs a statement.
async fn tries(url: &str, statement: &str) -> Result<Option<u16>> {
    let mut connection = MySqlConnection::connect(url).await?;
    let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(&mut connection)
        .await;
    let Err(error) = done else { return Ok(None) };
    let told = error
        .as_database_error()
        .context("no error of the server")?;
    let told = told.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>();
    Ok(Some(told.context("no error of MySQL")?.number()))
}

async fn may(url: &str, statements: &[&str]) {
    for statement in statements {
        let told = tries(url, statement).await.unwrap();
        assert_eq!(told, None, "{url}: {statement}");
    }
}

async fn may_not(url: &str, statements: &[&str]) {
    for statement in statements {
        let told = tries(url, statement).await.unwrap();
        assert!(
            told.is_some_and(|number| DENIED.contains(&number)),
            "{url}: {statement}: {told:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_account_can_do_its_work_and_nothing_more() {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let Place::Mariadb { database, .. } = &place else {
        unreachable!("it is MariaDB");
    };
    let script = script(database);
    let sql = async |text: &str| {
        let (server, text) = (Arc::clone(&server), text.to_owned());
        blocking(move || server.sql(&text)).await.unwrap();
    };
    sql(halves(&script).0).await;

    let mut satellite = SatelliteProcess::prepare(&Setup::new(place.clone()))
        .await
        .unwrap();
    let file = satellite.folder().join("satellite.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let of = |user: &str| text.replace("mysql://satellite@", &format!("mysql://{user}@"));
    let admin = satellite.folder().join("admin.toml");
    std::fs::write(&admin, of("satellite_admin")).unwrap();
    std::fs::write(&file, of("ingest")).unwrap();
    let migrated = satellite
        .said_with(&admin, &["db", "migrate"])
        .await
        .unwrap();
    assert!(migrated.contains(database.as_str()), "{migrated}");
    sql(halves(&script).1).await;

    let add = ["devices", "add", "--tenant", "acme", "--vendor", "zkteco"];
    let punching = add.into_iter().chain(["--serial", "GRA0000001"]);
    satellite.command(punching).await.unwrap();
    let canary = add.into_iter().chain(["--serial", "CANARY-1", "--canary"]);
    satellite.command(canary).await.unwrap();
    satellite.run().await.unwrap();
    for serial in ["GRA0000001", "CANARY-1"] {
        let punch = attlog(serial, "9999", b"7\t2026-11-21 09:00:03\t0\t1\n");
        assert!(satellite.send(&punch).await.unwrap().accepts(1));
    }

    let url = |user: &str| place.url().replace("satellite@", &format!("{user}@"));
    let forbidden = [
        "DELETE FROM event",
        "DELETE FROM audit",
        "DROP TABLE event",
        "TRUNCATE TABLE event",
        "ALTER TABLE event ADD COLUMN more INT",
        "CREATE TABLE more (id INT)",
        "CREATE DATABASE more",
        "SELECT * FROM mysql.user",
        "SET GLOBAL read_only = 1",
    ];
    may_not(&url("ingest"), &forbidden).await;
    // Who makes the tables is no master of the server.
    let elsewhere = [
        "CREATE DATABASE more",
        "CREATE USER more",
        "GRANT SELECT ON *.* TO payroll@'127.0.0.1'",
        "SELECT * FROM mysql.user",
        "SET GLOBAL read_only = 1",
    ];
    may_not(&url("satellite_admin"), &elsewhere).await;
    may(&url("payroll"), &["SELECT * FROM event_feed"]).await;
    let payroll = [
        "SELECT * FROM event",
        "SELECT * FROM canary_feed",
        "SELECT * FROM enrolment",
    ];
    may_not(&url("payroll"), &payroll).await;
    let views =
        ["event_feed", "canary_feed", "device_status"].map(|view| format!("SELECT * FROM {view}"));
    may(&url("sentinel"), &views.each_ref().map(String::as_str)).await;
    let sentinel = [
        "SELECT * FROM event",
        "SELECT * FROM access",
        "UPDATE event_feed SET seq = 1",
    ];
    may_not(&url("sentinel"), &sentinel).await;

    may(
        &url("satellite_backup"),
        &["SELECT * FROM audit", "SHOW CREATE VIEW event_feed"],
    )
    .await;
    may_not(&url("satellite_backup"), &forbidden).await;
    may_not(
        &url("satellite_backup"),
        &[
            "UPDATE event SET seq = 1",
            "INSERT INTO audit SELECT * FROM audit",
        ],
    )
    .await;

    sql(&format!(
        "UPDATE {database}.event SET received_at = '2026-01-01 00:00:00', \
         occurred_at = '2026-01-01 00:00:00'"
    ))
    .await;
    let maintain = ["db", "maintain"];
    let refused = satellite.command(maintain).await.unwrap_err().to_string();
    assert!(refused.contains("DELETE command denied"), "{refused}");
    let upkeep = satellite.folder().join("upkeep.toml");
    let keep = "[[tenant]]\nkeep = { punch = \"30d\" }";
    let kept = of("satellite_upkeep").replacen("[[tenant]]", keep, 1);
    std::fs::write(&upkeep, kept).unwrap();
    let done = satellite.said_with(&upkeep, &maintain).await.unwrap();
    assert!(done.contains("deleted: 1 "), "{done}");
    emptied(&satellite, &upkeep).await;
    let others = [
        "UPDATE event SET local_time = NULL",
        "INSERT INTO event SELECT * FROM event",
        "DELETE FROM quarantine",
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM enrolment",
    ];
    may_not(&url("satellite_upkeep"), &others).await;
    may_not(&url("satellite_upkeep"), &forbidden[1..]).await;
    deleted(&satellite, &admin).await;
}

/// A tenant that goes: what the service may not, the account that makes the tables may.
async fn deleted(satellite: &SatelliteProcess, admin: &Path) {
    for serial in ["GRA0000001", "CANARY-1"] {
        satellite
            .command(["devices", "block", serial])
            .await
            .unwrap();
    }
    let delete = ["tenant", "delete", "--tenant", "acme", "--yes", "acme"];
    let refused = satellite.command(delete).await.unwrap_err().to_string();
    assert!(refused.contains("satellite_admin of"), "{refused}");
    let done = satellite.said_with(admin, &delete).await.unwrap();
    assert!(done.contains("rows before, 0 after"), "{done}");
}

/// What the timer does, as the account of upkeep.
async fn emptied(satellite: &SatelliteProcess, upkeep: &Path) {
    let archive = satellite.folder().join("archive");
    std::fs::create_dir(&archive).unwrap();
    let folder = archive.to_string_lossy().into_owned();
    let apply = ["--archive", &folder, "--apply"];
    let retention = ["db", "retention", "--configured"];
    let done = satellite
        .said_with(upkeep, &[&retention[..], &apply].concat())
        .await
        .unwrap();
    assert!(done.contains(" 1 records emptied"), "{done}");
}
