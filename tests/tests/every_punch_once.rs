//! Promise: every acknowledged punch is in the feed, once, whatever the engine.
//!
//! The same unkind fleet on embedded SQLite, on a MariaDB with durable defaults and on a
//! MariaDB set up like a small shared host (small packets, lax SQL mode, latin1).

use std::time::Duration;

use anyhow::{Result, ensure};
use mariadb::Flavor;
use promises::{
    Checker, Place, Running, SatelliteProcess, Setup, all_faults_happened, seed, shared_mariadb,
    unkind,
};
use terminals::Burst;

async fn every_acknowledged_punch_is_in_the_feed_once(place: Place) -> Result<()> {
    let seconds = 12;
    let mut scenario = unkind(seed(), "EVE", 30);
    scenario.bursts = vec![Burst {
        at_s: 4,
        punches: 200,
        over_s: 2,
    }];
    let setup = Setup::new(place.clone()).enrol(scenario.serials());
    let mut satellite = SatelliteProcess::start(&setup).await?;
    let folder = satellite.folder().to_owned();
    let fleet = Running::start(scenario, satellite.devices(), &folder, "ledger")?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (summary, ledger) = fleet.finish(Duration::from_secs(60)).await?;

    let comparison = Checker::open(&place).await?.compare(&[&ledger]).await?;
    println!(
        "{} acknowledged, {} rows; {summary:#?}",
        comparison.acked, comparison.rows
    );
    comparison.exact()?;
    all_faults_happened(&summary)?;
    ensure!(
        comparison.acked > 6_000,
        "only {} punches were made",
        comparison.acked
    );
    ensure!(
        summary.wrong_time_zones == 0,
        "terminals were told a wrong time zone"
    );
    ensure!(
        summary.handshakes_refused == 0,
        "an enrolled terminal's handshake was refused"
    );
    ensure!(
        summary.replies_without_text_plain == 0,
        "replies without text/plain, which old firmware looks for"
    );
    satellite.terminate().await?;
    ensure!(
        !satellite.log().contains("panicked"),
        "a panic is in the log"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_punch_is_in_the_feed_once_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    every_acknowledged_punch_is_in_the_feed_once(place)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_punch_is_in_the_feed_once_on_mariadb() {
    let place = shared_mariadb(Flavor::Durable).await.unwrap();
    every_acknowledged_punch_is_in_the_feed_once(place)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_punch_is_in_the_feed_once_on_xampp() {
    let place = shared_mariadb(Flavor::Xampp).await.unwrap();
    every_acknowledged_punch_is_in_the_feed_once(place)
        .await
        .unwrap();
}
