//! Promise: what sentinel sees of a real satellite is true, with a database user that may read
//! three views and nothing else.
//!
//! `sentinel check --connect` looks at everything once. The canary goes through satellite's
//! real doors into a real database and is read back; then the database and satellite are taken
//! away, and each is named.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;
use mariadb::{Flavor, Server};
use promises::{Place, SatelliteProcess, SentinelProcess, Setup, blocking};
use serde_json::Value;

/// Sentinel's configuration for that satellite and store; `posting` are the keys of the canaries
/// that post.
fn tables(satellite: &SatelliteProcess, store: &str, posting: &str) -> String {
    let (door, admin) = (satellite.devices(), satellite.admin_address());
    format!(
        "[host]\nwatch = false\n[watch]\nsatellite_admin = \"http://{admin}\"\n\
         [[watch.terminal_url]]\nurl = \"http://{door}\"\n\
         [[watch.store]]\ntenant = \"acme\"\nurl = \"{store}\"\ncanary = \"CANARY-1\"\n{posting}"
    )
}

/// The state of each look at the store of `acme` and at satellite, by the look's name.
async fn states(sentinel: &SentinelProcess) -> Result<(Value, impl Fn(&str) -> String)> {
    let seen = sentinel.json(["check", "--connect", "--json"]).await?;
    let list = seen["seen"].as_array().cloned().unwrap_or_default();
    let of = move |look: &str| {
        let mut found = list.iter().filter(|it| it["look"] == look);
        let first = found.next().unwrap_or(&Value::Null);
        format!("{} {} {}", first["state"], first["kinds"], first["words"])
    };
    Ok((seen, of))
}

/// Enrols a canary for each door; answers the keys that name those that post.
async fn enrol(satellite: &SatelliteProcess) -> Result<String> {
    let add = ["devices", "add", "--tenant", "acme", "--canary", "--vendor"];
    let zkteco = ["zkteco", "--serial", "CANARY-1"];
    satellite.command(add.iter().chain(&zkteco)).await?;
    let mut keys = String::new();
    for (vendor, serial, key) in [
        ("hikvision", "CANARY-HIK-ACME", "hikvision_canary_file"),
        ("other", "CANARY-API-ACME", "ingest_canary_file"),
    ] {
        let one = [vendor, "--serial", serial, "--listen", "--json"];
        let said = satellite.command(add.iter().chain(&one)).await?;
        let said: Value = serde_json::from_str(&said)?;
        let address = said["listen"]["url"].as_str().unwrap_or_default();
        let file = secret(&satellite.folder().join(key), address)?;
        keys += &format!("{key} = \"{file}\"\n");
    }
    // A running satellite notices within ten seconds.
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    Ok(keys)
}

fn secret(file: &std::path::Path, text: &str) -> Result<String> {
    fs::write(file, text)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o640))?;
    Ok(file.display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_reads_its_punches_back_and_names_what_is_taken_away_on_mariadb() {
    let server = blocking(|| Server::start(Flavor::Durable)).await.unwrap();
    let place = Place::mariadb(server.address()).await.unwrap();
    let Place::Mariadb { database, .. } = &place else {
        panic!("{place:?}");
    };
    let mut satellite = SatelliteProcess::start(&Setup::new(place.clone()))
        .await
        .unwrap();
    let mut grants = String::from("CREATE USER sentinel@'127.0.0.1';");
    for view in ["event_feed", "canary_feed", "device_status"] {
        grants += &format!("GRANT SELECT ON {database}.{view} TO sentinel@'127.0.0.1';");
    }
    server.sql(&grants).unwrap();
    let store = format!("mysql://sentinel@127.0.0.1:{}/{database}", server.port());

    // A canary that nobody enrolled is refused, and the command that enrols it is said.
    let sentinel = SentinelProcess::prepare(&tables(&satellite, &store, "")).unwrap();
    let (seen, of) = states(&sentinel).await.unwrap();
    assert!(of("canary:acme").contains("HTTP 403"), "{seen:#}");
    let command = "satellite devices add --tenant acme --vendor zkteco --serial CANARY-1 --canary";
    assert_eq!(seen["to_type"][0], command, "{seen:#}");

    let posting = enrol(&satellite).await.unwrap();
    let sentinel = SentinelProcess::prepare(&tables(&satellite, &store, &posting)).unwrap();
    let (seen, of) = states(&sentinel).await.unwrap();
    for look in [
        "canary:acme",
        "database:acme",
        "door",
        "satellite",
        "terminals",
    ] {
        assert!(of(look).starts_with("\"fine\""), "{look}: {seen:#}");
    }
    let rows = server
        .sql(&format!("SELECT COUNT(*) FROM {database}.canary_feed"))
        .unwrap();
    assert_eq!(rows.trim(), "3", "one punch by each door");
    let rows = server
        .sql(&format!("SELECT COUNT(*) FROM {database}.event_feed"))
        .unwrap();
    assert_eq!(rows.trim(), "0", "and none among the real ones");

    server.pause().unwrap();
    let (seen, of) = states(&sentinel).await.unwrap();
    server.resume().unwrap();
    assert!(of("database:acme").contains("database_hung"), "{seen:#}");
    assert!(of("canary:acme").starts_with("\"unknown\""), "{seen:#}");

    satellite.kill9().await.unwrap();
    let (seen, of) = states(&sentinel).await.unwrap();
    for look in ["canary:acme", "door", "satellite", "terminals"] {
        assert!(of(look).starts_with("\"unknown\""), "{look}: {seen:#}");
    }
    assert!(of("database:acme").starts_with("\"fine\""), "{seen:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_reads_its_punches_back_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let satellite = SatelliteProcess::start(&Setup::new(place.clone()))
        .await
        .unwrap();
    let posting = enrol(&satellite).await.unwrap();
    let tables = tables(&satellite, &place.url(), &posting);
    let sentinel = SentinelProcess::prepare(&tables).unwrap();
    let (seen, of) = states(&sentinel).await.unwrap();
    for look in [
        "canary:acme",
        "database:acme",
        "door",
        "satellite",
        "terminals",
    ] {
        assert!(of(look).starts_with("\"fine\""), "{look}: {seen:#}");
    }
}
