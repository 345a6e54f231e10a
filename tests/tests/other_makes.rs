//! Promises about records of other makes: what a sender heard success for is in the feed once,
//! whatever becomes of satellite and its database; what cannot be read or attributed waits and is
//! read later; nothing that a sender posts is refused for what it says.
//!
//! Judged by the sender's own list against the feed over another connection. About 15 s for each
//! database, mostly waiting.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use mariadb::{Flavor, Server};
use promises::{Checker, Place, SatelliteProcess, Setup, blocking, exchange};
use serde_json::Value;

const MAPPING: &str = "make = 'suprema'\nformat = 'json'\nrecords = 'rows'\n\
                       [fields]\ntime = 'at'\nserial = 'device.id'\nperson = 'user'\nid = 'n'\n";

/// A configuration whose mapping is in that folder.
fn setup(place: &Place, folder: &Path) -> Setup {
    let file = folder.join("mapping.toml");
    std::fs::write(&file, MAPPING).unwrap();
    let mut setup = Setup::new(place.clone());
    setup.more = format!("[[mapping]]\nfile = \"{}\"\n\n", file.display());
    setup
}

/// Enrols a sender and answers the path that it posts to.
async fn enrol(satellite: &SatelliteProcess, serial: &str) -> Result<String> {
    let add = [
        "devices", "add", "--tenant", "acme", "--vendor", "other", "--listen", "--json",
    ];
    let said = satellite
        .command(add.into_iter().chain(["--serial", serial]))
        .await?;
    path_of(&said)
}

fn path_of(said: &str) -> Result<String> {
    let said: Value = serde_json::from_str(said)?;
    let path = said["listen"]["path"].as_str();
    Ok(path.context("no path")?.to_owned())
}

fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: s\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn record(device: &str, n: usize) -> String {
    let (minute, second) = (n / 60 % 60, n % 60);
    format!(
        "{{\"n\":{n},\"at\":\"2026-11-27T09:{minute:02}:{second:02}-06:00\",\"user\":\"{n:05}\",\"device\":{{\"id\":\"{device}\"}}}}"
    )
}

/// Persons of the feed, each as often as it stands there.
async fn persons(checker: &mut Checker) -> Result<Vec<String>> {
    let query = "SELECT person FROM event_feed WHERE vendor = 'other' ORDER BY person";
    checker.texts(query, query).await
}

async fn until(checker: &mut Checker, wanted: &[String]) -> Result<()> {
    for _ in 0..300 {
        if persons(checker).await? == wanted {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let there = persons(checker).await?;
    let missing = wanted.iter().filter(|one| !there.contains(one)).count();
    anyhow::bail!(
        "{} rows for {} records, {missing} missing",
        there.len(),
        wanted.len()
    );
}

/// Waits until a sender is served.
async fn served(satellite: &SatelliteProcess, path: &str) -> Result<()> {
    for _ in 0..150 {
        if let Ok(reply) = satellite.send(&post(path, b"[]")).await
            && reply.status == 200
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("never served")
}

/// Posts three records at a time, the same again until it hears 200, and never forgets before.
async fn sender(address: std::net::SocketAddr, path: String, over: Arc<AtomicBool>) -> Vec<String> {
    let mut sent = Vec::new();
    let mut n = 0;
    while !over.load(Ordering::Relaxed) {
        let rows: Vec<String> = (n..n + 3).map(|n| record("BIO-1", n)).collect();
        let body = format!("{{\"rows\":[{}]}}", rows.join(","));
        while !matches!(exchange(address, &post(&path, body.as_bytes())).await, Ok(reply) if reply.status == 200)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        sent.extend((n..n + 3).map(|n| format!("{n:05}")));
        n += 3;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sent
}

async fn survives(place: Place, server: Option<Arc<Server>>) {
    let folder = tempfile::tempdir().unwrap();
    let mut satellite = SatelliteProcess::start(&setup(&place, folder.path()))
        .await
        .unwrap();
    let path = enrol(&satellite, "BIO-1").await.unwrap();
    served(&satellite, &path).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let sending = tokio::spawn(sender(satellite.devices(), path, Arc::clone(&over)));
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        satellite.kill9().await.unwrap();
        satellite.run().await.unwrap();
    }
    if let Some(server) = &server {
        let (down, up) = (Arc::clone(server), Arc::clone(server));
        blocking(move || down.kill9()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        blocking(move || up.restart()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    over.store(true, Ordering::Relaxed);
    let sent = sending.await.unwrap();
    assert!(sent.len() > 100, "only {} were sent", sent.len());
    let mut checker = Checker::open(&place).await.unwrap();
    until(&mut checker, &sent).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_makes_sender_heard_success_for_is_stored_once_through_kills_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    survives(Place::sqlite(folder.path()), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_makes_sender_heard_success_for_is_stored_once_through_kills_and_an_outage_on_mariadb()
 {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    survives(place, Some(server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_terminals_that_nobody_approved_wait_and_hold_up_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let satellite = SatelliteProcess::start(&setup(&place, folder.path()))
        .await
        .unwrap();
    let path = enrol(&satellite, "BIO-1").await.unwrap();
    served(&satellite, &path).await.unwrap();
    let body = format!(
        "[{},{},{}]",
        record("BIO-1", 1),
        record("DOOR-7", 2),
        record("bad serial!", 3)
    );
    let reply = satellite.send(&post(&path, body.as_bytes())).await.unwrap();
    let said: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(
        (&said["stored"], &said["quarantined"]),
        (&1.into(), &2.into()),
        "{said}"
    );
    let mut checker = Checker::open(&place).await.unwrap();
    assert_eq!(persons(&mut checker).await.unwrap(), ["00001"]);

    let mut listed = String::new();
    for _ in 0..50 {
        listed = satellite.command(["devices", "list"]).await.unwrap();
        if listed.contains("DOOR-7") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(listed.contains("DOOR-7"), "{listed}");
    satellite
        .command(["devices", "approve", "DOOR-7", "--tenant", "acme"])
        .await
        .unwrap();
    satellite
        .command(["quarantine", "replay", "--serial", "BIO-1"])
        .await
        .unwrap();
    let query = "SELECT serial FROM event_feed WHERE person = '00002' AND vendor = 'other'";
    assert_eq!(checker.texts(query, query).await.unwrap(), ["DOOR-7"]);
    // What stands there now by the sender's word is what its replay made.
    let mut stored = false;
    for _ in 0..150 {
        let reply = satellite
            .send(&post(&path, record("DOOR-7", 2).as_bytes()))
            .await
            .unwrap();
        let said: Value = serde_json::from_str(&reply.body).unwrap();
        stored = said["known"] == 1;
        if stored {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(stored);
    assert_eq!(persons(&mut checker).await.unwrap(), ["00001", "00002"]);
}

/// Bodies that are nothing, or nearly something.
fn hostile() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        &b"\x00\xff\xfe"[..], b"{", b"[{},{}]", b"null", b"\"rows\"", b"{\"rows\":{\"rows\":[]}}",
        b"{\"rows\":[{\"at\":{},\"user\":[]}]}", b"{\"at\":\"2026-11-27T09:00:00Z\",\"user\":\"\\ud800\"}",
        b"{\"at\":\"9999-99-99\",\"user\":1}", b"<xml/>", b"a,b\n1,2\n", b"{\"at\":1e999,\"user\":1}",
        b"{\"at\":\"2026-11-27T09:00:00Z\",\"user\":\"x\\n2026 ERROR forged=1\",\"device\":{\"id\":\"\\u001b[31m\"}}",
    ].map(<[u8]>::to_vec).to_vec();
    all.push(format!("{{\"rows\":{}", "[".repeat(300_000)).into_bytes());
    all.push(format!("[{}]", vec!["1"; 200_000].join(",")).into_bytes());
    all.push(format!("{{\"user\":\"{}\"}}", "9".repeat(3 << 20)).into_bytes());
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_another_make_posts_is_refused_for_what_it_says_and_all_of_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut satellite = SatelliteProcess::start(&setup(&place, folder.path()))
        .await
        .unwrap();
    let path = enrol(&satellite, "BIO-1").await.unwrap();
    served(&satellite, &path).await.unwrap();
    for body in hostile() {
        let reply = satellite.send(&post(&path, &body)).await.unwrap();
        let shown = String::from_utf8_lossy(body.get(..body.len().min(60)).unwrap()).into_owned();
        assert_eq!(reply.status, 200, "{shown}: {reply:?}");
        let said: Value = serde_json::from_str(&reply.body).unwrap();
        let empty = shown.contains("\"rows\":[]");
        assert!(
            empty || said["quarantined"].as_u64() > Some(0),
            "{shown}: {said}"
        );
    }
    assert!(satellite.is_alive());
    assert!(!satellite.log().contains("\n2026 ERROR forged"));
    let trace = satellite.said(&["trace", "BIO-1"]).await.unwrap();
    assert!(
        trace.contains("mapping") || trace.contains("mapeo"),
        "{trace}"
    );
    let reply = satellite
        .send(&post(&path, record("BIO-1", 1).as_bytes()))
        .await
        .unwrap();
    assert!(reply.body.contains("\"stored\":1"), "{reply:?}");

    // Length in doubt, too long, not a post, another door's token: each is told in its own way.
    let unframed = format!("POST {path} HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n");
    assert_eq!(
        satellite.send(unframed.as_bytes()).await.unwrap().status,
        400
    );
    let long = vec![b' '; (16 << 20) + 1];
    assert_eq!(
        satellite.send(&post(&path, &long)).await.unwrap().status,
        413
    );
    let elsewhere = path.replace("/ingest/", "/hikvision/");
    assert_eq!(
        satellite
            .send(&post(&elsewhere, b"{}"))
            .await
            .unwrap()
            .status,
        404
    );
    assert_eq!(
        satellite
            .send(&post("/ingest/nobody", b"{}"))
            .await
            .unwrap()
            .status,
        404
    );
    // A rotated token is another one at once, and blocked is blocked.
    let rotated = satellite
        .command(["devices", "rotate-token", "BIO-1", "--json"])
        .await
        .unwrap();
    let rotated = path_of(&rotated).unwrap();
    served(&satellite, &rotated).await.unwrap();
    assert_eq!(
        satellite.send(&post(&path, b"[]")).await.unwrap().status,
        404
    );
    satellite
        .command(["devices", "block", "BIO-1"])
        .await
        .unwrap();
    let mut refused = false;
    for _ in 0..150 {
        refused = satellite.send(&post(&rotated, b"[]")).await.unwrap().status == 404;
        if refused {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(refused, "a blocked sender is served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_brings_rows_of_its_own_into_the_canaries_view_and_of_no_real_terminal_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let satellite = SatelliteProcess::start(&setup(&place, folder.path()))
        .await
        .unwrap();
    let add = "devices add --tenant acme --vendor other --listen --json --serial";
    let add = add.split(' ');
    satellite
        .command(add.clone().chain(["BIO-1"]))
        .await
        .unwrap();
    let canary = add.chain(["CANARY-API-ACME", "--canary"]);
    let path = path_of(&satellite.command(canary).await.unwrap()).unwrap();
    served(&satellite, &path).await.unwrap();
    for (device, became) in [
        ("CANARY-API-ACME", "\"stored\":1"),
        ("BIO-1", "\"quarantined\":1"),
    ] {
        let body = record(device, 1);
        let reply = satellite.send(&post(&path, body.as_bytes())).await.unwrap();
        assert!(reply.body.contains(became), "{device}: {reply:?}");
    }
    let mut checker = Checker::open(&place).await.unwrap();
    let of_canaries = "SELECT serial FROM canary_feed";
    assert_eq!(
        checker.texts(of_canaries, of_canaries).await.unwrap(),
        ["CANARY-API-ACME"]
    );
    let real = "SELECT COUNT(*) FROM event_feed";
    assert_eq!(checker.number(real).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_is_wrong_is_named_with_file_line_and_key_and_one_that_is_mended_reads_what_waits()
 {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let satellite = SatelliteProcess::start(&setup(&place, folder.path()))
        .await
        .unwrap();
    let path = enrol(&satellite, "BIO-1").await.unwrap();
    served(&satellite, &path).await.unwrap();
    let file = folder.path().join("mapping.toml");
    let broken = MAPPING.replace("'at'", "'at..'");
    for (text, line, key) in [
        (broken.as_str(), ":5", "'time' in [fields]"),
        (
            "format = 'json'\n[fields]\ntime = 'at'\npeson = 'x'\n",
            ":4",
            "peson",
        ),
        (&"# \n".repeat(41), "", "40"),
    ] {
        std::fs::write(&file, text).unwrap();
        let checked = satellite.order(&["check"]).output().await.unwrap();
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.code(), Some(78), "{said}");
        assert!(
            said.contains(&format!("mapping.toml{line}")) && said.contains(key),
            "{said}"
        );
    }
    // Times that the mapping does not know wait, and are read once it does.
    std::fs::write(&file, MAPPING).unwrap();
    let other = b"{\"n\":1,\"at\":\"27/11/2026 09:00:00\",\"user\":\"00001\"}";
    let reply = satellite.send(&post(&path, other)).await.unwrap();
    assert!(reply.body.contains("\"quarantined\":1"), "{reply:?}");
    std::fs::write(
        &file,
        format!("{MAPPING}[time]\nformat = '%d/%m/%Y %H:%M:%S'\n"),
    )
    .unwrap();
    satellite
        .command(["quarantine", "replay", "--all"])
        .await
        .unwrap();
    let mut checker = Checker::open(&place).await.unwrap();
    assert_eq!(persons(&mut checker).await.unwrap(), ["00001"]);
    let query = "SELECT local_time FROM event_feed WHERE vendor = 'other'";
    assert_eq!(
        checker.texts(query, query).await.unwrap(),
        ["2026-11-27 09:00:00"]
    );
}
