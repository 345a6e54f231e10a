//! Promise: killing the database at any moment loses nothing and doubles nothing.
//!
//! The server is killed while terminals push and Hikvision devices post and are dialled, comes
//! back on the same data, and is killed again once records flow. Satellite itself is never
//! restarted. Alone in this file, so that `cargo test` runs it alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mariadb::{Flavor, Server};
use promises::{
    Checker, Crew, Place, Random, Running, SatelliteProcess, Setup, all_faults_happened, blocking,
    full, seed, unkind,
};

/// Longest time from the server's return until records are acknowledged again.
const BACK_WITHIN: Duration = Duration::from_secs(20);

/// Longest time for one kill and one recovery, on average.
const PACE: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn killing_mariadb_fifty_times_loses_and_doubles_nothing() {
    let kills = if full() { 200 } else { 50 };
    let seed = seed();
    let mut random = Random::new(seed);
    let server = blocking(|| Server::start(Flavor::Durable)).await.unwrap();
    let server = Arc::new(server);
    let place = Place::mariadb(server.address()).await.unwrap();
    let scenario = unkind(seed, "KDB", 20);
    let setup = Setup::new(place.clone()).enrol(scenario.serials());
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let folder = satellite.folder().to_owned();
    let crew = Crew::start(&satellite).await.unwrap();
    let fleet = Running::start(scenario, satellite.devices(), &folder, "ledger").unwrap();

    let start = Instant::now();
    let (mut done, mut back, mut slowest) = (0, Duration::ZERO, Duration::ZERO);
    for _ in 0..kills {
        tokio::time::sleep(random.millis(0, 300)).await;
        let victim = Arc::clone(&server);
        blocking(move || {
            victim.kill9()?;
            victim.restart()
        })
        .await
        .unwrap();
        done += 1;
        let taken = start.elapsed();
        assert!(taken < PACE * kills, "only {done} kills in {taken:?}");
        let begin = Instant::now();
        fleet.acked_more(20, BACK_WITHIN).await.unwrap();
        back += begin.elapsed();
        slowest = slowest.max(begin.elapsed());
    }
    let (summary, ledger) = fleet.finish(Duration::from_secs(120)).await.unwrap();

    let ambiguous = satellite
        .metric("satellite_ambiguous_commits", &[])
        .await
        .unwrap();
    let mut checker = Checker::open(&place).await.unwrap();
    let limit = Duration::from_secs(60);
    let owed = crew.finish(&satellite, &mut checker, limit).await.unwrap();
    let comparison = checker.compare(&[&ledger]).await.unwrap();
    println!(
        "{done} kills; records again after {:?} on average, {slowest:?} at most; {} punches \
         acknowledged, {} rows; {ambiguous} commits with a lost answer; {} rows of Hikvision devices",
        back / kills,
        comparison.acked,
        comparison.rows,
        owed.owed
    );
    comparison.exact().unwrap();
    all_faults_happened(&summary).unwrap();
    assert_eq!(done, kills, "fewer kills than planned");
    assert!(
        !full() || ambiguous > 0.0,
        "no commit lost its answer in the long form"
    );
    assert!(
        !satellite.log().contains("panicked"),
        "a panic is in the log"
    );
}
