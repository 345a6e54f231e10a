//! Promise: one tenant's dead database stops nobody else, and no record ever reaches another
//! tenant's database.
//!
//! Two tenants with a database each, on two servers; the registry is on the second one. The
//! first tenant's server is paused, which is worse than dead: connections stay open and hang.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mariadb::{Flavor, Server};
use promises::{
    Checker, Place, Running, SatelliteProcess, Setup, Tenant, blocking, seed, shared_mariadb,
};
use terminals::Scenario;

/// Each record is an upload of its own, so that each is routed by itself.
fn scenario(seed: u64, prefix: &str) -> Scenario {
    Scenario {
        seed,
        count: 40,
        serial_prefix: prefix.to_owned(),
        batch: Some(1),
        backlog: 130,
        rate: 120.0,
        poll_s: Some(5),
        error_delay_ms: Some(200),
        timeout_s: 30,
        ..Scenario::default()
    }
}

/// Every row of a tenant's database is the tenant's own, and its ledger's.
async fn nothing_strange_in(
    place: &Place,
    tenant: &str,
    ledger: &std::path::Path,
) -> Result<usize> {
    let mut checker = Checker::open(place).await?;
    let comparison = checker.compare(&[ledger]).await?;
    comparison.exact()?;
    for row in checker.feed().await? {
        let own = row.kind != "punch" || row.tenant.as_deref() == Some(tenant);
        ensure!(
            own,
            "a row of another tenant in {tenant}'s database: {row:?}"
        );
    }
    Ok(comparison.acked)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_with_a_dead_database_stops_nobody_else() {
    let seed = seed();
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let acme = Place::mariadb(server.address()).await.unwrap();
    let beta = shared_mariadb(Flavor::Durable).await.unwrap();
    let mut setup = Setup::new(shared_mariadb(Flavor::Durable).await.unwrap());
    let (one, other) = (scenario(seed, "ACM"), scenario(seed + 1, "BET"));
    let owners = [("acme", &acme, &one), ("beta", &beta, &other)];
    setup.tenants = owners
        .map(|(id, place, _)| Tenant {
            id: id.to_owned(),
            own: Some(place.clone()),
        })
        .to_vec();
    for (id, _, scenario) in owners {
        let serials = scenario.serials().into_iter();
        setup
            .terminals
            .extend(serials.map(|serial| (serial, id.to_owned())));
    }
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    let folder = satellite.folder().to_owned();
    let one = Running::start(one, satellite.devices(), &folder, "acme").unwrap();
    let other = Running::start(other, satellite.devices(), &folder, "beta").unwrap();
    one.acked_more(2_000, Duration::from_secs(60))
        .await
        .unwrap();
    other.acked_more(1, Duration::from_secs(60)).await.unwrap();

    let paused = Arc::clone(&server);
    blocking(move || paused.pause()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (held, refused) = (one.summary().acked, other.summary().refused);
    for _ in 0..10 {
        other.acked_more(40, Duration::from_secs(3)).await.unwrap();
    }
    assert_eq!(
        other.summary().refused,
        refused,
        "beta was refused for acme's sake"
    );

    // The same after a restart with the database still hung.
    let took = satellite.terminate().await.unwrap();
    assert!(took < Duration::from_secs(15), "ended only after {took:?}");
    let begin = Instant::now();
    satellite.run_until_heard().await.unwrap();
    other
        .acked_more(200, Duration::from_secs(15))
        .await
        .unwrap();
    println!(
        "ended within {took:?}, beta served {:?} after the restart",
        begin.elapsed()
    );
    assert_eq!(one.summary().acked, held, "acknowledged without a database");
    assert!(
        one.summary().refused > 0,
        "nobody was refused: was the server paused at all?"
    );

    let resumed = Arc::clone(&server);
    blocking(move || resumed.resume()).await.unwrap();
    let (one, acme_ledger) = one.finish(Duration::from_secs(90)).await.unwrap();
    let (other, beta_ledger) = other.finish(Duration::from_secs(90)).await.unwrap();
    let in_acme = nothing_strange_in(&acme, "acme", &acme_ledger)
        .await
        .unwrap();
    let in_beta = nothing_strange_in(&beta, "beta", &beta_ledger)
        .await
        .unwrap();
    println!("{in_acme} + {in_beta} records, each routed by itself");
    assert!(
        one.uploads + other.uploads >= 10_000,
        "{} + {}",
        one.uploads,
        other.uploads
    );
}
