//! From a fault to the mail about it, many times over.
//!
//! One scene for each sort of fault, all beside each other: they wait far more than they
//! compute. Between two faults a scene recovers; how long it is well is drawn, so that faults
//! fall on any moment of sentinel's schedules.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use clap::Args;
use promises::Random;

use super::faults::{Fault, QUIET, Quiet, Undo};
use super::mail::{Letter, Mail};
use super::scene::Scene;
use crate::report::{Cell, Report, Table};

const COLUMNS: &[&str] = &[
    "fault",
    "promised s",
    "tried",
    "p50 s",
    "p99 s",
    "worst s",
    "named otherwise",
    "no mail",
];
/// How long a recovery may take.
const BACK_WITHIN: Duration = Duration::from_secs(300);

/// Options of `benches sentinel-detection`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Faults of each sort, at most.
    #[arg(long, default_value_t = 100)]
    runs: usize,
    /// No new fault begins after so many minutes.
    #[arg(long, default_value_t = 40)]
    minutes: u64,
    /// Only faults whose name holds this.
    #[arg(long)]
    only: Option<String>,
    /// Scenes in which a terminal goes offline: each takes more than five minutes.
    #[arg(long, default_value_t = 3)]
    offline_scenes: usize,
}

/// What became of the faults of one sort.
#[derive(Default)]
struct Tally {
    took: Vec<f64>,
    otherwise: Vec<String>,
    without: u64,
}

/// Measures.
///
/// # Errors
/// A program cannot be started, or a scene does not recover.
pub(crate) async fn run(options: &Options) -> Result<Report> {
    let mail = Arc::new(Mail::start().await?);
    let end = Instant::now() + Duration::from_secs(60 * options.minutes);
    let wanted = |fault: &Fault| {
        let only = options.only.as_deref();
        only.is_none_or(|only| fault.name().contains(only))
    };
    let mut scenes = tokio::task::JoinSet::new();
    for fault in Fault::ALL.into_iter().filter(wanted) {
        let copies = if fault == Fault::Offline {
            options.offline_scenes
        } else {
            1
        };
        for copy in 0..copies {
            let (mail, runs) = (Arc::clone(&mail), options.runs);
            scenes.spawn(async move {
                let told = scene_of(fault, copy, &mail, runs, end).await;
                (fault, told.with_context(|| fault.name()))
            });
        }
    }
    let mut tallies: Vec<(Fault, Tally)> = Vec::new();
    let mut failed = Vec::new();
    while let Some(done) = scenes.join_next().await {
        let (fault, (tally, error)) = done.map(|(fault, told)| match told {
            Ok(told) => (fault, told),
            Err(error) => (fault, (Tally::default(), Some(error))),
        })?;
        failed.extend(error.map(|error| format!("{}: {error:#}", fault.name())));
        match tallies.iter_mut().find(|(its, _)| *its == fault) {
            Some((_, all)) => {
                all.took.extend(tally.took);
                all.otherwise.extend(tally.otherwise);
                all.without += tally.without;
            }
            None => tallies.push((fault, tally)),
        }
    }
    Ok(report(tallies, &failed))
}

fn report(tallies: Vec<(Fault, Tally)>, failed: &[String]) -> Report {
    let mut table = Table::new("From the fault to the mail in its box", COLUMNS);
    let mut notes = Vec::new();
    for (fault, mut tally) in tallies {
        tally.took.sort_by(f64::total_cmp);
        let at = |share: f64| Cell::Number(rank(&tally.took, share), 1);
        table.push(vec![
            Cell::text(fault.name()),
            Cell::Count(fault.promised()),
            Cell::Count(tally.took.len() as u64 + tally.without),
            at(0.5),
            at(0.99),
            at(1.0),
            Cell::Count(tally.otherwise.len() as u64),
            Cell::Count(tally.without),
        ]);
        if !tally.otherwise.is_empty() {
            notes.push(format!("{}: {}", fault.name(), tally.otherwise.join(", ")));
        }
    }
    let notes = notes.into_iter().chain(failed.iter().cloned());
    notes.fold(Report::new(vec![table]), Report::note)
}

/// The value that so large a share of all does not exceed; the largest of fewer than a hundred.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place among a few hundred"
)]
fn rank(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    let found = sorted.get(place.saturating_sub(1));
    found.copied().unwrap_or_default()
}

/// One scene until the end; what was measured before a failure counts.
async fn scene_of(
    fault: Fault,
    copy: usize,
    mail: &Arc<Mail>,
    runs: usize,
    end: Instant,
) -> Result<(Tally, Option<anyhow::Error>)> {
    let name = format!("{fault:?}{copy}-").to_lowercase();
    let mut scene = Scene::start(&name, mail, &[QUIET.to_owned()], "10s").await?;
    let quiet = Quiet::start(scene.satellite.devices());
    let mut random = Random::new(promises::seed() + copy as u64);
    let mut tally = Tally::default();
    for _ in 0..runs {
        if Instant::now() > end {
            break;
        }
        if let Err(error) = once(fault, &mut scene, &quiet, &mut random, &mut tally).await {
            return Ok((tally, Some(error)));
        }
    }
    Ok((tally, None))
}

async fn once(
    fault: Fault,
    scene: &mut Scene,
    quiet: &Quiet,
    random: &mut Random,
    tally: &mut Tally,
) -> Result<()> {
    let reader = scene.next_reader().await?;
    tokio::time::sleep(random.millis(8_000, 38_000)).await;
    let (begin, undo) = fault.inject(scene, quiet).await?;
    let patience = Duration::from_secs(3 * fault.promised());
    let told = wait(scene, &reader, patience, |letter| letter.at > begin).await?;
    let Some(letter) = told else {
        tally.without += 1;
        eprintln!("  {}: NO MAIL", fault.name());
        fault.undo(scene, quiet, undo).await?;
        tokio::time::sleep(BACK_WITHIN).await;
        return Ok(());
    };
    named(fault, scene, &letter, begin, tally).await?;
    back(fault, scene, quiet, undo, &reader).await
}

/// Counts the letter, and what it calls the fault.
async fn named(
    fault: Fault,
    scene: &Scene,
    letter: &Letter,
    begin: SystemTime,
    tally: &mut Tally,
) -> Result<()> {
    let took = letter.at.duration_since(begin)?.as_secs_f64();
    let id = letter.incident().context("a letter without an incident")?;
    let (kind, _) = scene.incident(&id).await?;
    eprintln!("  {}: {took:.1} s ({kind})", fault.name());
    tally.took.push(took);
    if !fault.kinds().contains(&kind.as_str()) {
        tally.otherwise.push(kind);
    }
    Ok(())
}

/// Undoes the fault and waits until everything that the reader was told of is over.
async fn back(
    fault: Fault,
    scene: &mut Scene,
    quiet: &Quiet,
    undo: Undo,
    reader: &str,
) -> Result<()> {
    fault.undo(scene, quiet, undo).await?;
    let over = |letter: &Letter| letter.subject().contains("Recovered");
    let back = wait(scene, reader, BACK_WITHIN, over).await?;
    back.context("it was never told to be over")?;
    let end = Instant::now() + BACK_WITHIN;
    while scene.sentinel.json(["incidents", "--json"]).await? != serde_json::json!([]) {
        anyhow::ensure!(Instant::now() < end, "incidents stay open");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    Ok(())
}

async fn wait(
    scene: &Scene,
    reader: &str,
    within: Duration,
    fits: impl Fn(&Letter) -> bool,
) -> Result<Option<Letter>> {
    let end = Instant::now() + within;
    while Instant::now() < end {
        let letters = scene.mail.letters(reader)?;
        if let Some(letter) = letters.into_iter().find(|letter| fits(letter)) {
            return Ok(Some(letter));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_of_few_is_the_largest_of_them() {
        let few = [1.0, 2.0, 3.0];
        assert_eq!((rank(&few, 0.5), rank(&few, 0.99)), (2.0, 3.0));
        assert_eq!(rank(&[], 0.99), 0.0);
    }
}
