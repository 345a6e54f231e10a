//! Promises around a database that is down: a post is refused in words that no terminal takes
//! for success and comes once afterwards; a restart meanwhile still knows every terminal.
//!
//! Requests are written by hand, as somebody with `curl` would send them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use mariadb::{Flavor, Server};
use promises::{Checker, Place, SatelliteProcess, Setup, attlog, blocking, get, handshake};

const LINE: &[u8] = b"0042\t2026-11-21 09:00:03\t0\t1\t\t0\t0\n";

/// Sends until it is accepted, as a terminal does.
async fn until_accepted(
    satellite: &SatelliteProcess,
    request: &[u8],
    records: usize,
) -> Result<()> {
    let begin = Instant::now();
    loop {
        let reply = satellite.send(request).await?;
        if reply.accepts(records) {
            return Ok(());
        }
        ensure!(reply.refuses(), "neither accepted nor refused: {reply:?}");
        if begin.elapsed() > Duration::from_secs(30) {
            bail!("still refused after 30 s: {reply:?}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A post by hand is acknowledged, its row is in the feed, and sending it again changes
/// nothing.
async fn one_post_gives_one_row(satellite: &SatelliteProcess, place: &Place) -> Result<()> {
    let reply = satellite.send(&attlog("CURL1", "9999", LINE)).await?;
    ensure!(reply.accepts(1), "{reply:?}");
    ensure!(reply.body == "OK: 1\n", "{reply:?}");
    let again = satellite.send(&attlog("CURL1", "9999", LINE)).await?;
    ensure!(again.accepts(1), "{again:?}");
    let feed = Checker::open(place).await?.feed().await?;
    let punches: Vec<_> = feed.iter().filter_map(promises::FeedRow::punch).collect();
    ensure!(punches.len() == 1, "{punches:?}");
    let punch = (
        punches[0].serial.as_str(),
        punches[0].person.as_str(),
        punches[0].time.as_str(),
    );
    ensure!(
        punch == ("CURL1", "0042", "2026-11-21 09:00:03"),
        "{punch:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_by_hand_gives_one_row_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let setup = Setup::new(place.clone()).enrol(["CURL1"]);
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    one_post_gives_one_row(&satellite, &place).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_while_the_database_is_down_is_refused_and_comes_once_afterwards() {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let setup = Setup::new(place.clone()).enrol(["CURL1"]);
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    one_post_gives_one_row(&satellite, &place).await.unwrap();

    let stopped = Arc::clone(&server);
    blocking(move || stopped.stop()).await.unwrap();
    let later = attlog("CURL1", "9999", b"7\t2026-11-21 09:05:00\t1\t15\t\t0\t0\n");
    for _ in 0..5 {
        let begin = Instant::now();
        let reply = satellite.send(&later).await.unwrap();
        assert!(reply.refuses() && reply.status == 503, "{reply:?}");
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "{:?}",
            begin.elapsed()
        );
    }
    // What does not need the database goes on.
    let poll = satellite
        .send(&get("/iclock/getrequest?SN=CURL1"))
        .await
        .unwrap();
    assert_eq!((poll.status, poll.body.as_str()), (200, "OK\n"));
    let up = satellite.metric("satellite_store_up", &[]).await.unwrap();
    assert!(up < 0.5, "the store counts as up");

    let started = Arc::clone(&server);
    blocking(move || started.restart()).await.unwrap();
    until_accepted(&satellite, &later, 1).await.unwrap();
    until_accepted(&satellite, &later, 1).await.unwrap();
    let mut checker = Checker::open(&place).await.unwrap();
    let count = "SELECT COUNT(*) FROM event_feed WHERE person = '7'";
    assert_eq!(checker.number(count).await.unwrap(), 1);
    assert_eq!(
        checker
            .number("SELECT COUNT(*) FROM event_feed WHERE kind = 'punch'")
            .await
            .unwrap(),
        2
    );
}

/// What a terminal and an unknown one hear while the database is down.
async fn everybody_is_known_without_the_database(
    satellite: &SatelliteProcess,
    stamps: &[&str],
) -> Result<()> {
    let block = satellite.send(&handshake("STAMP1")).await?;
    ensure!(block.status == 200, "{block:?}");
    ensure!(
        block.body.starts_with("GET OPTION FROM: STAMP1\n"),
        "{block:?}"
    );
    let stamp = block.option("ATTLOGStamp");
    ensure!(
        stamp.is_some_and(|stamp| stamps.contains(&stamp)),
        "{block:?}"
    );
    let other = satellite.send(&handshake("STAMP2")).await?;
    ensure!(
        other.option("ATTLOGStamp") == Some("0"),
        "never sent anything: {other:?}"
    );
    let poll = satellite.send(&get("/iclock/getrequest?SN=STAMP1")).await?;
    ensure!(poll.status == 200 && poll.body == "OK\n", "{poll:?}");
    let post = satellite.send(&attlog("STAMP1", "864300000", LINE)).await?;
    ensure!(post.refuses() && post.status == 503, "{post:?}");
    let stranger = satellite.send(&attlog("STRANGER", "1", LINE)).await?;
    ensure!(stranger.refuses() && stranger.status == 403, "{stranger:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_the_database_down_still_knows_every_terminal() {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let setup = Setup::new(place.clone()).enrol(["STAMP1", "STAMP2"]);
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    let first = satellite.send(&handshake("STAMP1")).await.unwrap();
    assert_eq!(first.option("ATTLOGStamp"), Some("0"), "{first:?}");
    let reply = satellite
        .send(&attlog("STAMP1", "864209730", LINE))
        .await
        .unwrap();
    assert!(reply.accepts(1), "{reply:?}");

    // An orderly restart keeps the very stamp.
    satellite.terminate().await.unwrap();
    let stopped = Arc::clone(&server);
    blocking(move || stopped.stop()).await.unwrap();
    let took = satellite.run_until_heard().await.unwrap();
    assert!(took < Duration::from_secs(10), "{took:?}");
    everybody_is_known_without_the_database(&satellite, &["864209730"])
        .await
        .unwrap();

    // After a crash the stamp may be an older one, which costs a repetition, but never 0.
    let started = Arc::clone(&server);
    blocking(move || started.restart()).await.unwrap();
    let line = b"0042\t2026-11-21 18:00:00\t1\t1\t\t0\t0\n";
    until_accepted(&satellite, &attlog("STAMP1", "864242000", line), 1)
        .await
        .unwrap();
    satellite.kill9().await.unwrap();
    let killed = Arc::clone(&server);
    blocking(move || killed.kill9()).await.unwrap();
    satellite.run_until_heard().await.unwrap();
    everybody_is_known_without_the_database(&satellite, &["864209730", "864242000"])
        .await
        .unwrap();

    let started = Arc::clone(&server);
    blocking(move || started.restart()).await.unwrap();
    until_accepted(&satellite, &attlog("STAMP1", "864300000", LINE), 1)
        .await
        .unwrap();
    let mut checker = Checker::open(&place).await.unwrap();
    assert_eq!(
        checker
            .number("SELECT COUNT(*) FROM event_feed WHERE kind = 'punch'")
            .await
            .unwrap(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_only_reads_is_down_until_it_takes_a_write_and_told_once() {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let setup = Setup::new(place).enrol(["RDO0000001"]);
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let punch = attlog("RDO0000001", "9999", b"7\t2026-11-21 09:00:03\t0\t1\n");
    let set = async |text: &'static str| {
        let server = Arc::clone(&server);
        blocking(move || server.sql(text)).await.unwrap();
    };

    set("SET GLOBAL read_only = 1").await;
    for _ in 0..20 {
        assert!(satellite.send(&punch).await.unwrap().refuses());
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let up = satellite.metric("satellite_store_up", &[]).await.unwrap();
    assert!(up < 0.5, "{up}");
    set("SET GLOBAL read_only = 0").await;
    until_accepted(&satellite, &punch, 1).await.unwrap();
    let log = satellite.log();
    for told in ["the store takes no events", "the store takes events again"] {
        assert_eq!(log.matches(told).count(), 1, "{told} in\n{log}");
    }
}
