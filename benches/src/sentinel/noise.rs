//! An hour of what must wake nobody: databases that are away for twenty seconds, and restarts.
//!
//! Every letter counts that says critical, whatever it is about. Warnings are counted too: a
//! restart may be told as one when it comes again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use promises::{Random, blocking};

use super::mail::Mail;
use super::scene::{Scene, address};
use crate::report::{Cell, Report, Table};

const COLUMNS: &[&str] = &["noise", "times"];
/// How long a database is away.
const BLIP: Duration = Duration::from_secs(20);

/// Options of `benches sentinel-noise`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Minutes of noise.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Shortest and longest quiet between two disturbances, in seconds.
    #[arg(long, default_value_t = 45)]
    shortest: u64,
    /// See `--shortest`.
    #[arg(long, default_value_t = 150)]
    longest: u64,
}

/// What happens, by turns.
const NOISE: [&str; 5] = [
    "database stopped for 20 s",
    "satellite restarted in order",
    "database killed and away for 20 s",
    "database read-only for 20 s",
    "satellite killed and started at once",
];

/// Measures.
///
/// # Errors
/// A program cannot be started.
pub(crate) async fn run(options: &Options) -> Result<Report> {
    let mail = Arc::new(Mail::start().await?);
    let mut scene = Scene::start("noise", &mail, &[], "2m").await?;
    let mut random = Random::new(promises::seed());
    let (begin, mut times) = (Instant::now(), [0_u64; NOISE.len()]);
    while begin.elapsed() < Duration::from_secs(60 * options.minutes) {
        let quiet = random.millis(1_000 * options.shortest, 1_000 * options.longest);
        tokio::time::sleep(quiet).await;
        let turn = usize::try_from(times.iter().sum::<u64>())? % NOISE.len();
        disturb(turn, &mut scene).await?;
        if let Some(count) = times.get_mut(turn) {
            *count += 1;
        }
        let told = mail.letters(&address("noise0"))?.len();
        eprintln!(
            "  {:.0?}: {:?}, {told} mails so far",
            begin.elapsed(),
            NOISE.get(turn)
        );
    }
    tokio::time::sleep(Duration::from_secs(180)).await;
    let letters = mail.letters(&address("noise0"))?;
    let critical = letters
        .iter()
        .filter(|it| it.subject().contains("CRITICAL"));
    let mut table = Table::new("Noise, and what was told of it", COLUMNS);
    for (name, count) in NOISE.iter().zip(times) {
        table.push(vec![Cell::text(*name), Cell::Count(count)]);
    }
    table.push(vec![
        Cell::text("CRITICAL MAILS"),
        Cell::Count(critical.count() as u64),
    ]);
    table.push(vec![
        Cell::text("all mails"),
        Cell::Count(letters.len() as u64),
    ]);
    let subjects = letters.iter().map(super::mail::Letter::subject);
    Ok(subjects.fold(Report::new(vec![table]), Report::note))
}

async fn disturb(turn: usize, scene: &mut Scene) -> Result<()> {
    match turn {
        0 => {
            scene.server.pause()?;
            tokio::time::sleep(BLIP).await;
            scene.server.resume()
        }
        1 => {
            scene.satellite.terminate().await?;
            scene.satellite.run().await.map(drop)
        }
        2 => {
            let server = Arc::clone(&scene.server);
            blocking(move || server.kill9()).await?;
            // What it needs to come back is part of it.
            tokio::time::sleep(BLIP.saturating_sub(Duration::from_secs(3))).await;
            let server = Arc::clone(&scene.server);
            blocking(move || server.restart()).await
        }
        3 => {
            scene.sql("SET GLOBAL read_only = 1".to_owned()).await?;
            tokio::time::sleep(BLIP).await;
            scene
                .sql("SET GLOBAL read_only = 0".to_owned())
                .await
                .map(drop)
        }
        _ => {
            scene.satellite.kill9().await?;
            scene.satellite.run().await.map(drop)
        }
    }
}
