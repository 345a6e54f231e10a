//! Promise: terminals of all four families at one satellite lose nothing and double nothing, while
//! satellite is killed again and again and their database is away.
//!
//! Attendance and access terminals push with lost replies and half bodies, terminals on port 4370
//! and Hikvision devices are dialled, all at once; each family's ledger is held against
//! `event_feed` at the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mariadb::{Flavor, Server};
use promises::{Mixed, Place, Random, blocking, full, seed};
use terminals::{Faults, HabitShares, Scenario};

const LIMIT: Duration = Duration::from_secs(120);
/// Longest time for one kill and one start, on average.
const PACE: Duration = Duration::from_secs(8);

/// Terminals that push: every fault after which each record still has to arrive once.
fn unkind(seed: u64, rounds: u32) -> Scenario {
    Scenario {
        seed,
        rate: 240.0,
        backlog: 40,
        records: Some(40 + u64::from(rounds) * 12),
        poll_s: Some(1),
        error_delay_ms: Some(100),
        timeout_s: 20,
        faults: Faults {
            ack_lost: 0.05,
            half_body: 0.03,
            ..Faults::default()
        },
        habits: HabitShares::mixed(),
        ..Scenario::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_satellite_and_its_database_under_all_four_families_loses_and_doubles_nothing() {
    let rounds = if full() { 150 } else { 9 };
    let seed = seed();
    let mut random = Random::new(seed);
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let mut fleet = Mixed::open(&place, unkind(seed, rounds), [4, 4, 3, 3], &[])
        .await
        .unwrap();
    let begin = Instant::now();
    let mut outages = 0;
    for round in 0..rounds {
        fleet.people(2).await.unwrap();
        tokio::time::sleep(random.millis(100, 900)).await;
        if round % 3 == 2 {
            let victim = Arc::clone(&server);
            let victim = blocking(move || victim.kill9()).await;
            victim.unwrap();
            fleet.people(1).await.unwrap();
            tokio::time::sleep(random.millis(200, 2_500)).await;
            let back = Arc::clone(&server);
            blocking(move || back.restart()).await.unwrap();
            outages += 1;
        } else {
            fleet.satellite.kill9().await.unwrap();
            fleet.people(1).await.unwrap();
            fleet.satellite.run().await.unwrap();
        }
        // A fast machine must not have killed an idle satellite.
        if round + 3 < rounds {
            fleet.pushing.acked_more(5, LIMIT).await.unwrap();
        }
        let taken = begin.elapsed();
        assert!(taken < PACE * rounds, "only {round} rounds in {taken:?}");
    }
    let kills = begin.elapsed();
    fleet.equal(LIMIT).await.unwrap();
    // Everybody listens again.
    fleet.people(2).await.unwrap();
    let rows = fleet.equal(LIMIT).await.unwrap();
    let people = usize::try_from(rounds).unwrap() * 3 + 30;
    println!(
        "{rounds} rounds in {kills:?}, {outages} outages, {rows} rows, equal after {:?}",
        begin.elapsed()
    );
    assert!(rows > people * 6 + 8 * 40, "{rows} rows are too few");
    for terminal in &fleet.pulled {
        let did = terminal.counters();
        assert_eq!((did.disables, did.destroyed), (0, 0), "{did:?}");
    }
    let events: u64 = fleet.pulled.iter().map(|it| it.counters().acks).sum();
    assert!(events > 0, "no event was sent: that way was not tried");
    assert!(
        !fleet.satellite.log().contains("panicked"),
        "a panic is in the log"
    );
}
