//! Promise: killing satellite at any moment loses nothing and doubles nothing.
//!
//! Twenty terminals with every habit and fault push into a durable MariaDB, and Hikvision devices
//! post and are dialled, while satellite is killed again and again. At the end every record that a
//! terminal was told to forget must be in the feed, once, and so must every row of the devices.
//! Alone in this file, so that `cargo test` runs it alone.

use std::time::{Duration, Instant};

use mariadb::{Flavor, Server};
use promises::hikvision::fed_rows;
use promises::{
    Checker, Crew, Place, Random, Running, SatelliteProcess, Setup, all_faults_happened, blocking,
    full, seed, unkind,
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
    let crew = Crew::start(&satellite).await.unwrap();
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
    let mut checker = Checker::open(&place).await.unwrap();
    let devices = fed_rows(&mut checker).await.unwrap();
    satellite.run().await.unwrap();
    let (summary, ledger) = fleet.finish(Duration::from_secs(120)).await.unwrap();

    let limit = Duration::from_secs(60);
    let owed = crew.finish(&satellite, &mut checker, limit).await.unwrap();
    let comparison = checker.compare(&[&ledger]).await.unwrap();
    println!(
        "{done} kills, {under_load} of them under load; ready after {:?} on average; {} punches \
         acknowledged, {} rows; {} exchanges broken off, {} re-sent records; {} rows of Hikvision \
         devices, {} of them under the kills",
        starting / (kills * 9 / 10),
        comparison.acked,
        comparison.rows,
        summary.failures.broken,
        summary.replayed_records,
        owed.owed,
        devices.len(),
    );
    comparison.exact().unwrap();
    all_faults_happened(&summary).unwrap();
    assert_eq!(done, kills, "fewer kills than planned");
    for (ways, what) in [
        (&["listen"][..], "posted"),
        (&["stream", "poll", "backfill"], "asked for"),
    ] {
        let came = devices.iter().any(|row| ways.contains(&row.route.as_str()));
        assert!(came, "under the kills nothing was {what}");
    }
    assert!(
        under_load > kills / 2,
        "only {under_load} of {kills} kills came under load"
    );
    assert!(
        !satellite.log().contains("panicked"),
        "a panic is in the log"
    );
}
