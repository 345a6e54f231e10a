//! Promise: killing satellite at any moment loses nothing and doubles nothing.
//!
//! Twenty terminals with every habit and fault push into a durable MariaDB while satellite is
//! killed again and again. At the end every record that a terminal was told to forget must be
//! in the feed, once. Alone in this file, so that `cargo test` runs it alone.

use std::time::{Duration, Instant};

use mariadb::{Flavor, Server};
use promises::{
    Checker, Place, Random, Running, SatelliteProcess, Setup, all_faults_happened, blocking, full,
    seed, unkind,
};

/// Longest time for one kill and one start, on average.
const PACE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn killing_satellite_two_hundred_times_loses_and_doubles_nothing() {
    let kills = if full() { 1_000 } else { 200 };
    let seed = seed();
    let mut random = Random::new(seed);
    let server = blocking(|| Server::start(Flavor::Durable)).await.unwrap();
    let place = Place::mariadb(server.address()).await.unwrap();
    let scenario = unkind(seed, "KIL", 20);
    let setup = Setup::new(place.clone()).enrol(scenario.serials());
    let mut satellite = SatelliteProcess::prepare(&setup).await.unwrap();
    let folder = satellite.folder().to_owned();
    let fleet = Running::start(scenario, satellite.devices(), &folder, "ledger").unwrap();

    let begin = Instant::now();
    let (mut done, mut under_load, mut starting) = (0, 0, Duration::ZERO);
    for round in 0..kills {
        let acked = fleet.summary().acked;
        if round % 10 == 9 {
            // Some die before they are ready.
            satellite.launch().unwrap();
            tokio::time::sleep(random.millis(0, 100)).await;
        } else {
            starting += satellite.run().await.unwrap();
            tokio::time::sleep(random.millis(20, 300)).await;
        }
        satellite.kill9().await.unwrap();
        done += 1;
        let taken = begin.elapsed();
        assert!(taken < PACE * kills, "only {done} kills in {taken:?}");
        under_load += u32::from(fleet.summary().acked > acked);
    }
    satellite.run().await.unwrap();
    let (summary, ledger) = fleet.finish(Duration::from_secs(120)).await.unwrap();

    let comparison = Checker::open(&place)
        .await
        .unwrap()
        .compare(&[&ledger])
        .await
        .unwrap();
    println!(
        "{done} kills, {under_load} of them under load; ready after {:?} on average; {} punches \
         acknowledged, {} rows; {} exchanges broken off, {} re-sent records",
        starting / (kills * 9 / 10),
        comparison.acked,
        comparison.rows,
        summary.failures.broken,
        summary.replayed_records
    );
    comparison.exact().unwrap();
    all_faults_happened(&summary).unwrap();
    assert_eq!(done, kills, "fewer kills than planned");
    assert!(
        under_load > kills / 2,
        "only {under_load} of {kills} kills came under load"
    );
    assert!(
        !satellite.log().contains("panicked"),
        "a panic is in the log"
    );
}
