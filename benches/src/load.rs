//! Simulated terminals as load, and what they see during a stretch of time.
//!
//! Latency is the terminal's own: from the first byte of an upload to its accepted reply. Only
//! what ends inside the stretch counts, so that connecting and warming up are left out.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use terminals::{Fleet, Observation, Scenario, Target, UploadResult};
use tokio::sync::broadcast::error::RecvError;

use crate::machine;
use crate::parse::number;

/// How long all terminals may take to shake hands.
const CONNECT_LIMIT: Duration = Duration::from_secs(180);
/// Records in the log of a terminal that pushes without a pause: more than any run takes.
const ENDLESS: u64 = 1_000_000;
/// New terminals a second.
const CONNECTS_PER_SECOND: u64 = 250;
/// Seconds between two polls of terminals that are silent for as long as anybody looks.
const SILENT_S: u64 = 3_600;

/// Terminals that upload one batch after the other without a pause.
pub(crate) fn pushing(target: &Target, count: u32, batch: u32) -> Scenario {
    Scenario {
        serial_prefix: "PUSH".to_owned(),
        backlog: ENDLESS,
        batch: Some(batch),
        ..polling(target, count)
    }
}

/// Terminals that make so many records a minute each and upload each at once.
pub(crate) fn paced(target: &Target, count: u32, per_minute: f64) -> Scenario {
    Scenario {
        serial_prefix: "PACE".to_owned(),
        rate: per_minute,
        ..polling(target, count)
    }
}

/// Terminals that are connected and poll every 10 seconds.
pub(crate) fn polling(target: &Target, count: u32) -> Scenario {
    Scenario {
        target: target.clone(),
        count,
        serial_prefix: "POLL".to_owned(),
        poll_s: Some(10),
        error_delay_ms: Some(1_000),
        ramp_ms: u64::from(count) * 1_000 / CONNECTS_PER_SECOND,
        ..Scenario::default()
    }
}

/// Terminals that upload one record and are connected and silent from then on.
pub(crate) fn idle(target: &Target, count: u32) -> Scenario {
    Scenario {
        serial_prefix: "IDLE".to_owned(),
        backlog: 1,
        poll_s: Some(SILENT_S),
        ..polling(target, count)
    }
}

/// Starts a fleet and returns when each of its terminals has shaken hands.
pub(crate) async fn connected(scenario: Scenario) -> Result<Fleet> {
    let count = u64::from(scenario.count);
    if let Some(advice) = terminals::descriptor_advice(scenario.count) {
        bail!("{advice}");
    }
    let fleet = Fleet::start(scenario, None)?;
    let begin = Instant::now();
    while fleet.summary().handshakes < count {
        if begin.elapsed() > CONNECT_LIMIT {
            bail!(
                "{} of {count} terminals connected within {} s",
                fleet.summary().handshakes,
                CONNECT_LIMIT.as_secs()
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(fleet)
}

/// What terminals saw during a stretch of time.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Seconds of it.
    pub(crate) seconds: f64,
    /// Records acknowledged.
    pub(crate) records: u64,
    /// Uploads refused or broken off.
    pub(crate) failed: u64,
    /// Observations that came too fast to be seen; latencies lack those.
    pub(crate) missed: u64,
    /// Latency of each acknowledged upload, sorted.
    latencies: Vec<Duration>,
}

impl Seen {
    /// Records a second.
    pub(crate) fn rate(&self) -> f64 {
        number(self.records) / self.seconds
    }

    /// The latency in milliseconds that so many per mille of the uploads did not exceed.
    pub(crate) fn per_mille_ms(&self, per_mille: usize) -> f64 {
        let rank = (self.latencies.len() * per_mille)
            .div_ceil(1_000)
            .saturating_sub(1);
        self.latencies
            .get(rank)
            .map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
    }

    /// Adds what was seen in another stretch of time.
    pub(crate) fn join(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.records += other.records;
        self.failed += other.failed;
        self.missed += other.missed;
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
    }

    fn note(&mut self, observation: &Observation) {
        match observation.result {
            UploadResult::Acked { latency } => {
                self.records += observation.records;
                self.latencies.push(latency);
            }
            UploadResult::Refused { .. } | UploadResult::Failed => self.failed += 1,
        }
    }
}

/// Watches a fleet for that long. `counts` says by its serial whether a terminal counts.
pub(crate) async fn watch(
    fleet: &Fleet,
    time: Duration,
    counts: impl Fn(&str) -> bool,
) -> Result<Seen> {
    let mut observations = fleet.observe();
    let mut seen = Seen::default();
    let begin = Instant::now();
    let until = tokio::time::Instant::now() + time;
    loop {
        match tokio::time::timeout_at(until, observations.recv()).await {
            Err(_) => break,
            Ok(Ok(observation)) if counts(&observation.serial) => seen.note(&observation),
            Ok(Ok(_)) => {}
            Ok(Err(RecvError::Lagged(missed))) => seen.missed += missed,
            Ok(Err(RecvError::Closed)) => bail!("the fleet has ended"),
        }
    }
    seen.seconds = begin.elapsed().as_secs_f64();
    seen.latencies.sort_unstable();
    if let Some(why) = fleet.summary().ledger_error {
        bail!("the ledger failed: {why}");
    }
    Ok(seen)
}

/// Processor time of the three parties that share the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    /// Satellite's seconds.
    pub(crate) satellite: f64,
    /// The database server's seconds.
    pub(crate) database: f64,
    /// Our own seconds: the terminals.
    pub(crate) terminals: f64,
}

impl Cpu {
    /// What each has used so far.
    pub(crate) fn now(satellite: u32, database: Option<u32>) -> Result<Self> {
        Ok(Self {
            satellite: machine::cpu_seconds(satellite)?,
            database: machine::cpu_seconds(database.context("the database is not running")?)?,
            terminals: machine::cpu_seconds(std::process::id())?,
        })
    }

    /// What each has used since then.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            satellite: self.satellite - before.satellite,
            database: self.database - before.database,
            terminals: self.terminals - before.terminals,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks_among_all_latencies() {
        let seen = Seen {
            latencies: (1..=1_000).map(Duration::from_millis).collect(),
            ..Seen::default()
        };
        assert_eq!(
            [500, 990, 1_000].map(|rank| seen.per_mille_ms(rank)),
            [500.0, 990.0, 1_000.0]
        );
        assert_eq!(Seen::default().per_mille_ms(990), 0.0);
    }

    #[test]
    fn every_scenario_is_one_that_can_be_run() {
        let target = Target::default();
        for scenario in [
            pushing(&target, 200, 1),
            pushing(&target, 50, 100),
            paced(&target, 1_000, 120.0),
            polling(&target, 5_000),
            idle(&target, 10_000),
        ] {
            scenario.check().unwrap();
        }
    }
}
