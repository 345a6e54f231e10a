//! Promise: the metrics say what the feed holds.
//!
//! Two tenants, repeated records, lines that cannot be read, and a canary, whose rows are in
//! `canary_feed` and in no tenant's figures.

use std::time::Duration;

use promises::{Checker, Place, Running, SatelliteProcess, Setup, Tenant, attlog, seed, unkind};

#[tokio::test(flavor = "multi_thread")]
async fn metrics_agree_with_the_feed() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let seed = seed();
    let (one, other) = (unkind(seed, "ACM", 10), unkind(seed + 1, "BET", 5));
    let mut setup = Setup::new(place.clone()).enrol(one.serials());
    setup.tenants.push(Tenant {
        id: "beta".to_owned(),
        own: None,
    });
    let beta = other.serials().into_iter();
    setup
        .terminals
        .extend(beta.map(|serial| (serial, "beta".to_owned())));
    let satellite = SatelliteProcess::prepare(&setup).await.unwrap();
    let canary = [
        "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--serial", "CANARY1",
    ];
    satellite
        .command(canary.into_iter().chain(["--canary"]))
        .await
        .unwrap();
    let mut satellite = satellite;
    satellite.run().await.unwrap();

    let one = Running::start(one, satellite.devices(), folder.path(), "acme").unwrap();
    let other = Running::start(other, satellite.devices(), folder.path(), "beta").unwrap();
    let lines =
        b"1\t2026-11-21 09:00:03\t0\t1\n1\tyesterday\t0\t1\n\t\t\t\n2\t2026-11-21 09:00:03\t0\t1\n";
    let reply = satellite
        .send(&attlog(
            "CANARY1",
            "9999",
            b"1\t2026-11-21 09:00:03\t0\t1\n",
        ))
        .await
        .unwrap();
    assert!(reply.accepts(1), "{reply:?}");
    let bad = satellite
        .send(&attlog("ACM0000001", "9999", lines))
        .await
        .unwrap();
    assert!(bad.status == 200 && bad.body.starts_with("OK: "), "{bad:?}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (one, _) = one.finish(Duration::from_secs(60)).await.unwrap();
    let (other, _) = other.finish(Duration::from_secs(60)).await.unwrap();

    let feed = Checker::open(&place).await.unwrap().feed().await.unwrap();
    for (tenant, summary) in [("acme", one), ("beta", other)] {
        let own = feed
            .iter()
            .filter(|row| row.tenant.as_deref() == Some(tenant));
        let rows = u32::try_from(own.filter(|row| row.kind == "punch").count()).unwrap();
        assert!(rows > 0, "{tenant} has no rows");
        let labels = [("tenant", tenant), ("route", "push")];
        let named = async |name: &str| satellite.metric(name, &labels).await.unwrap();
        let committed = named("satellite_events_committed_total").await;
        let duplicate = named("satellite_events_duplicate_total").await;
        let received = named("satellite_events_received_total").await;
        println!(
            "{tenant}: {rows} rows, {committed} committed, {duplicate} duplicate, {received} received"
        );
        assert!(
            (committed - f64::from(rows)).abs() < 0.5,
            "{tenant}: {rows} rows, {committed} committed"
        );
        assert!(
            duplicate > 0.0 && summary.replayed_records > 0,
            "nothing was repeated"
        );
        assert!(received >= committed + duplicate, "{received} received");
    }
    let mut checker = Checker::open(&place).await.unwrap();
    assert_eq!(
        checker
            .number("SELECT COUNT(*) FROM canary_feed")
            .await
            .unwrap(),
        1
    );
    let in_feed = "SELECT COUNT(*) FROM event_feed WHERE serial = 'CANARY1'";
    assert_eq!(checker.number(in_feed).await.unwrap(), 0);
    let aside = satellite
        .metric("satellite_quarantined_total", &[("reason", "bad_time")])
        .await
        .unwrap();
    assert!(aside >= 1.0, "{aside}");
    let acks = satellite
        .metric("satellite_ack_seconds_count", &[])
        .await
        .unwrap();
    assert!(acks > 0.0);
    let up = satellite.metric("satellite_store_up", &[]).await.unwrap();
    assert!(up > 0.0);
}
