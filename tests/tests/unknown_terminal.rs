//! Promise: an unknown terminal is held, listed, and costs no database writes.
//!
//! It gets its handshake, so that its screen shows a connection; its records stay in it until
//! somebody approves it. The server is a private one, because its counters of writes are what
//! is judged.

use std::time::{Duration, Instant};

use anyhow::Result;
use mariadb::{Flavor, Server};
use promises::{Checker, Place, SatelliteProcess, Setup, attlog, blocking, get, handshake};

const LINE: &[u8] = b"0042\t2026-11-21 09:00:03\t0\t1\t\t0\t0\n";

/// Rows that were written, counted by the server since its start. Statements are not counted:
/// satellite looks every few seconds whether a job has expired, which changes no row.
async fn writes(server: &Server) -> Result<u64> {
    let address = server.address().clone();
    let text = blocking(move || {
        address.sql(
            "SHOW GLOBAL STATUS WHERE Variable_name IN \
             ('Handler_write', 'Handler_update', 'Handler_delete');",
        )
    })
    .await?;
    let counts = text
        .split_whitespace()
        .filter_map(|word| word.parse::<u64>().ok());
    Ok(counts.sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_terminal_is_held_listed_and_costs_no_writes() {
    let server = blocking(|| Server::start(Flavor::Durable)).await.unwrap();
    let place = Place::mariadb(server.address()).await.unwrap();
    let mut setup = Setup::new(place.clone());
    setup.more = "[enrolment]\nunknown = \"hold\"\n".to_owned();
    let satellite = SatelliteProcess::start(&setup).await.unwrap();

    let before = writes(&server).await.unwrap();
    for round in 0..100 {
        for serial in ["NEW1", "NEW2", "NEW3"] {
            let block = satellite.send(&handshake(serial)).await.unwrap();
            assert_eq!(block.status, 200, "round {round}: {block:?}");
            assert!(
                block
                    .body
                    .starts_with(&format!("GET OPTION FROM: {serial}\n")),
                "{block:?}"
            );
            let post = satellite.send(&attlog(serial, "9999", LINE)).await.unwrap();
            assert!(
                post.refuses() && post.status == 403,
                "round {round}: {post:?}"
            );
        }
        let poll = satellite
            .send(&get("/iclock/getrequest?SN=NEW1"))
            .await
            .unwrap();
        assert!(poll.refuses() || poll.body == "OK\n", "{poll:?}");
    }
    let blocks_stamp = satellite.send(&handshake("NEW1")).await.unwrap();
    assert_eq!(
        blocks_stamp.option("ATTLOGStamp"),
        Some("0"),
        "{blocks_stamp:?}"
    );
    assert_eq!(
        writes(&server).await.unwrap(),
        before,
        "requests of strangers wrote something"
    );
    assert!(before > 0, "the counters count nothing");

    let list = satellite
        .command(["devices", "list", "--json"])
        .await
        .unwrap();
    for serial in ["NEW1", "NEW2", "NEW3"] {
        assert!(list.contains(serial), "{list}");
    }
    assert!(list.contains("pending"), "{list}");
    let pending = satellite
        .metric("satellite_devices_pending", &[])
        .await
        .unwrap();
    assert!((pending - 3.0).abs() < 0.5, "{pending}");

    satellite
        .command(["devices", "approve", "NEW2", "--tenant", "acme"])
        .await
        .unwrap();
    let begin = Instant::now();
    while !satellite
        .send(&attlog("NEW2", "9999", LINE))
        .await
        .unwrap()
        .accepts(1)
    {
        assert!(
            begin.elapsed() < Duration::from_secs(12),
            "an approval was not noticed"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let held = satellite.send(&attlog("NEW1", "9999", LINE)).await.unwrap();
    assert!(held.refuses(), "{held:?}");
    let mut checker = Checker::open(&place).await.unwrap();
    let feed = checker.feed().await.unwrap();
    let punches: Vec<_> = feed.iter().filter(|row| row.kind == "punch").collect();
    assert_eq!(punches.len(), 1, "{punches:?}");
    assert_eq!(
        (punches[0].serial.as_str(), punches[0].tenant.as_deref()),
        ("NEW2", Some("acme"))
    );
}
