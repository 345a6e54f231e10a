//! Promise: SIGTERM answers what is in flight.
//!
//! Posts hang in a paused database and others are half sent when the signal comes. Each gets
//! its answer, each answered record is in the feed, and the process ends with status 0.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use mariadb::{Flavor, Server};
use promises::{Checker, Place, Reply, SatelliteProcess, Setup, attlog, blocking, read_reply};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Posts that were sent whole, and posts of which half was sent.
const WHOLE: usize = 10;
const HALF: usize = 5;

fn request(number: usize) -> Vec<u8> {
    let line = format!("{number}\t2026-11-21 09:00:03\t0\t1\t\t0\t0\n");
    attlog("TERM1", "9999", line.as_bytes())
}

async fn send(satellite: &SatelliteProcess, bytes: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(satellite.devices()).await?;
    stream.write_all(bytes).await?;
    Ok(stream)
}

async fn answer(stream: &mut TcpStream) -> Result<Reply> {
    let reply = tokio::time::timeout(Duration::from_secs(20), read_reply(stream)).await;
    reply
        .context("no answer within 20 s")?
        .context("the connection ended without an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_answers_what_is_in_flight() {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let setup = Setup::new(place.clone()).enrol(["TERM1"]);
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    let warm = satellite.send(&request(1_000)).await.unwrap();
    assert!(warm.accepts(1), "{warm:?}");

    let paused = Arc::clone(&server);
    blocking(move || paused.pause()).await.unwrap();
    let mut whole = Vec::new();
    for number in 0..WHOLE {
        whole.push(send(&satellite, &request(number)).await.unwrap());
    }
    let mut half = Vec::new();
    for number in WHOLE..WHOLE + HALF {
        let request = request(number);
        let (now, later) = request.split_at(request.len() - 12);
        half.push((send(&satellite, now).await.unwrap(), later.to_vec()));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    satellite.send_term().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(
        satellite.is_alive(),
        "it ended with posts in flight:\n{}",
        satellite.log()
    );

    for (stream, later) in &mut half {
        stream.write_all(later).await.unwrap();
    }
    let resumed = Arc::clone(&server);
    blocking(move || resumed.resume()).await.unwrap();
    for stream in whole
        .iter_mut()
        .chain(half.iter_mut().map(|(stream, _)| stream))
    {
        let reply = answer(stream).await.unwrap();
        assert!(reply.accepts(1), "{reply:?}");
    }
    let status = satellite.ended().await.unwrap();
    assert!(status.success(), "{status}");
    let refused = TcpStream::connect(satellite.devices()).await;
    assert!(refused.is_err(), "somebody still listens");
    let mut checker = Checker::open(&place).await.unwrap();
    let count = "SELECT COUNT(*) FROM event_feed WHERE serial = 'TERM1'";
    let rows = usize::try_from(checker.number(count).await.unwrap()).unwrap();
    assert_eq!(rows, 1 + WHOLE + HALF);
}
