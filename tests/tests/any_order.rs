//! Promise: the same punches by push, by port 4370 and by a window that is asked for again, in any
//! order, are one row each.
//!
//! One simulated terminal is reached by all of these ways and says other things by each: other
//! verify codes and a work code when it pushes, PINs without their zeros on port 4370. Ten rounds,
//! each in an order of which all but the first is drawn from a printed seed; before a window is
//! asked for again, rows are taken out of the database, so that this way too brings something
//! first. The ledger is held against `event_feed` after each round.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use mariadb::Flavor;
use promises::pull::House;
use promises::{Checker, Place, Random, Setup, attlog, seed, shared_mariadb, sum_of};
use terminals::pull::PullOptions;

const ROUNDS: usize = 10;
const PUNCHES: usize = 12;
const LIMIT: Duration = Duration::from_secs(60);
const SERIAL: &str = "PULANY0001";

/// A way on which punches come.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// The terminal posts its newest punches.
    Push,
    /// It can be reached, and its log is read.
    Pull,
    /// A command asks for the day again, after every third row was lost.
    Again,
}

/// The ways, each twice, in an order of their own. They take turns at being the first of a round,
/// so that each of them brings something first whatever is drawn.
fn drawn(random: &mut Random, round: usize) -> Vec<Way> {
    let mut left = [Way::Push, Way::Pull, Way::Again].repeat(2);
    let mut order = vec![left.remove(round % 3)];
    while !left.is_empty() {
        let count = u64::try_from(left.len()).unwrap_or(1);
        let at = usize::try_from(random.next_number() % count).unwrap_or(0);
        order.push(left.swap_remove(at));
    }
    order
}

struct Scene {
    house: House,
    place: Place,
    random: Random,
    lost: u64,
}

impl Scene {
    async fn go(&mut self, way: Way) -> Result<()> {
        match way {
            Way::Push => self.push().await,
            Way::Pull => self.pull().await,
            Way::Again => self.again().await,
        }
    }

    /// Some of the newest punches, the earlier ones among them once more.
    async fn push(&mut self) -> Result<()> {
        let terminal = &self.house.terminals[0];
        let some = usize::try_from(self.random.next_number() % 20)? + 1;
        let lines = terminal.pushed(some);
        let request = attlog(SERIAL, "9999", (lines.join("\n") + "\n").as_bytes());
        let reply = self.house.satellite.send(&request).await?;
        ensure!(reply.accepts(lines.len()), "{reply:?}");
        Ok(())
    }

    async fn pull(&self) -> Result<()> {
        let terminal = &self.house.terminals[0];
        terminal.cut();
        terminal.set_down(false);
        let begin = Instant::now();
        while terminal.unserved() > 0 {
            if begin.elapsed() > LIMIT {
                bail!("not read:\n{}", self.house.satellite.log_end());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn again(&mut self) -> Result<()> {
        let lost = "DELETE FROM event WHERE seq % 3 = 0 AND person IS NOT NULL";
        self.lost += Checker::open(&self.place).await?.damage(lost).await?;
        self.house.terminals[0].set_down(false);
        let words = ["backfill", SERIAL, "--from", "2d", "--json"];
        let told = self.house.satellite.command(words).await?;
        let told: serde_json::Value = serde_json::from_str(&told)?;
        ensure!(told["state"] == "done", "{told:#}");
        Ok(())
    }
}

async fn in_any_order(place: Place) -> Result<()> {
    let terminal = PullOptions {
        serial: SERIAL.to_owned(),
        history: 30,
        strip_zeros: true,
        ..PullOptions::default()
    };
    let mut scene = Scene {
        house: House::open(&Setup::new(place.clone()), vec![terminal]).await?,
        random: Random::new(seed()),
        place,
        lost: 0,
    };
    for round in 1..=ROUNDS {
        let order = drawn(&mut scene.random, round);
        println!("round {round}: {order:?}");
        scene.house.terminals[0].set_down(true);
        scene.house.people(PUNCHES).await?;
        for way in order {
            scene.go(way).await?;
        }
        let compared = scene.house.equal(&scene.place, LIMIT).await?;
        ensure!(
            compared.rows == 30 + round * PUNCHES,
            "{} rows after {round} rounds",
            compared.rows
        );
    }
    ensure!(scene.lost > 20, "only {} rows were lost", scene.lost);
    let metrics = scene.house.satellite.admin("/metrics").await?.body;
    for route in ["push", "pull", "backfill"] {
        let labels = [("tenant", "acme"), ("route", route)];
        let came = sum_of(&metrics, "satellite_events_committed_total", &labels);
        ensure!(came > Some(0.5), "nothing came first by {route}: {came:?}");
    }
    let aside = sum_of(&metrics, "satellite_quarantined_total", &[]);
    ensure!(aside < Some(0.5), "{aside:?} records in quarantine");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_punches_by_push_pull_and_backfill_in_any_order_are_one_row_each_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    in_any_order(Place::sqlite(folder.path())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_punches_by_push_pull_and_backfill_in_any_order_are_one_row_each_on_mariadb() {
    let place = shared_mariadb(Flavor::Durable).await.unwrap();
    in_any_order(place).await.unwrap();
}
