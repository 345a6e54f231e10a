//! Promise: a reader of the feed misses nothing: with two writers, after a restored copy, and
//! in the new epoch that follows it.
//!
//! Two satellites write into one database while a reader follows by `seq`. Then the database
//! is put back to an older copy and the terminals send again what they still have. The reader
//! goes on from where it was and must have met every row.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mariadb::Flavor;
use promises::{
    Backup, Checker, FeedRow, Follower, Place, Punch, Running, SatelliteProcess, Setup, seed,
    shared_mariadb, unkind,
};
use terminals::Scenario;

/// What `seq` carries above its running number.
const EPOCH_BITS: u32 = 40;
/// When the terminals' clocks stand at the beginning, so that a second run of the same seed
/// makes the same records.
const START: &str = "2026-11-21 08:59:00";

/// A reader that follows while others write, until it is told to stop.
struct Following {
    enough: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<Follower>>,
}

impl Following {
    async fn begin(mut follower: Follower, place: &Place) -> Result<Self> {
        let mut checker = Checker::open(place).await?;
        let enough = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&enough);
        let task = tokio::spawn(async move {
            while !told.load(Ordering::Relaxed) {
                follower.catch_up(&mut checker).await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            follower.catch_up(&mut checker).await?;
            Ok(follower)
        });
        Ok(Self { enough, task })
    }

    async fn end(self) -> Result<Follower> {
        self.enough.store(true, Ordering::Relaxed);
        self.task.await?
    }
}

/// Two fleets with fixed records, one for each satellite.
fn scenarios(seed: u64) -> [Scenario; 2] {
    ["ONE", "TWO"].map(|prefix| Scenario {
        start: Some(START.to_owned()),
        backlog: 300,
        rate: 0.0,
        batch: Some(5),
        people: 2_000,
        ..unkind(seed, prefix, 10)
    })
}

fn punches(rows: &[FeedRow]) -> BTreeSet<Punch> {
    rows.iter().filter_map(FeedRow::punch).collect()
}

/// Pushes both fleets through both satellites; returns the ledgers.
async fn push(
    satellites: &[SatelliteProcess; 2],
    seed: u64,
    run: &str,
    meanwhile: impl AsyncFnOnce() -> Result<()>,
) -> Result<[PathBuf; 2]> {
    let [one, other] = scenarios(seed);
    let [first, second] = satellites;
    let one = Running::start(one, first.devices(), first.folder(), run)?;
    let other = Running::start(other, second.devices(), second.folder(), run)?;
    one.acked_more(500, Duration::from_secs(60)).await?;
    meanwhile().await?;
    let (_, one) = one.finish(Duration::from_secs(120)).await?;
    let (_, other) = other.finish(Duration::from_secs(120)).await?;
    Ok([one, other])
}

/// Both fleets for the first time, through both satellites, and a copy taken on the way. The
/// reader has met every row.
async fn two_writers(
    satellites: &[SatelliteProcess; 2],
    place: &Place,
    seed: u64,
    folder: &Path,
) -> Result<(Follower, Backup)> {
    let following = Following::begin(Follower::default(), place).await?;
    let mut copy = None;
    let [one, other] = push(satellites, seed, "before", async || {
        copy = Some(Backup::take(place, folder).await?);
        Ok(())
    })
    .await?;
    let follower = following.end().await?;
    let mut checker = Checker::open(place).await?;
    checker.compare(&[&one, &other]).await?.exact()?;
    let (met, all) = (follower.seen(), checker.feed().await?);
    ensure!(met == all, "{} of {} rows were met", met.len(), all.len());
    Ok((follower, copy.context("no copy was taken")?))
}

/// The reader missed nothing although the database fell back to `restored`, and the feed says
/// that this happened.
fn nothing_was_missed(
    follower: &Follower,
    reached: i64,
    restored: &BTreeSet<Punch>,
    feed: &[FeedRow],
) -> Result<()> {
    let (met, all) = (punches(follower.seen()), punches(feed));
    let missed: Vec<_> = all.difference(&met).take(10).collect();
    ensure!(missed.is_empty(), "the reader missed {missed:#?}");
    let after = feed.iter().filter(|row| row.seq > reached);
    let (back, told): (Vec<_>, Vec<_>) = after.partition(|row| row.kind == "punch");
    println!(
        "{} punches, {} in the copy, {} came back, {} rows of another kind",
        all.len(),
        restored.len(),
        back.len(),
        told.len()
    );
    ensure!(
        back.len() == all.len() - restored.len(),
        "not all came back"
    );
    let epochs: BTreeSet<i64> = feed.iter().map(|row| row.seq >> EPOCH_BITS).collect();
    ensure!(epochs.len() >= 2, "no new epoch: {epochs:?}");
    let opened = told.iter().any(|row| row.kind == "device");
    ensure!(opened, "the new epoch is not told in the feed");
    Ok(())
}

async fn the_feed_follows(place: Place) -> Result<()> {
    let seed = seed();
    let [one, other] = scenarios(seed);
    let setup = Setup::new(place.clone())
        .enrol(one.serials())
        .enrol(other.serials());
    let mut satellites = [
        SatelliteProcess::start(&setup).await?,
        SatelliteProcess::start(&Setup::new(place.clone())).await?,
    ];
    let folder = tempfile::tempdir()?;
    let (follower, copy) = two_writers(&satellites, &place, seed, folder.path()).await?;
    let reached = follower.at();

    // Not in an orderly way, as when the machine is taken away together with the database.
    for satellite in &mut satellites {
        satellite.kill9().await?;
    }
    copy.restore(&place).await?;
    let restored = punches(&Checker::open(&place).await?.feed().await?);
    ensure!(!restored.is_empty(), "the copy was empty");
    let before = punches(follower.seen()).len();
    ensure!(restored.len() < before, "the copy was not older");

    for satellite in &mut satellites {
        satellite.run().await?;
    }
    let following = Following::begin(follower, &place).await?;
    let [one, other] = push(&satellites, seed, "after", async || Ok(())).await?;
    let follower = following.end().await?;
    let mut checker = Checker::open(&place).await?;
    checker.compare(&[&one, &other]).await?.exact()?;
    nothing_was_missed(&follower, reached, &restored, &checker.feed().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_follows_through_two_writers_a_restore_and_a_new_epoch() {
    let place = shared_mariadb(Flavor::Durable).await.unwrap();
    the_feed_follows(place).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_follows_through_two_writers_a_restore_and_a_new_epoch_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    the_feed_follows(Place::sqlite(folder.path()))
        .await
        .unwrap();
}
