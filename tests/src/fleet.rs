//! A fleet of simulated terminals with its ledger file, as these tests use it.
//!
//! The scenario here is as unkind as the simulator can be while every record still has to
//! arrive. What a fleet says of itself decides only whether the test tried what it claims to
//! try; whether satellite kept its word is decided by the ledger and the feed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use terminals::{Faults, Fleet, HabitShares, Ledger, Scenario, Summary};

/// Terminals with every habit and every fault, quick to try again, in tenant time zones as
/// [`Setup`](crate::Setup) gives them. Generation goes on until the fleet is told to end.
#[must_use]
pub fn unkind(seed: u64, prefix: &str, count: u32) -> Scenario {
    Scenario {
        seed,
        count,
        serial_prefix: prefix.to_owned(),
        rate: 1_200.0,
        backlog: 50,
        poll_s: Some(2),
        error_delay_ms: Some(100),
        timeout_s: 20,
        ramp_ms: 200,
        faults: Faults {
            clock_reset: 0.5,
            duplicate_serial: 0.2,
            ..Faults::mixed()
        },
        habits: HabitShares::mixed(),
        ..Scenario::default()
    }
}

/// Fails unless each planned fault happened: a run without them shows nothing.
///
/// # Errors
/// The first kind of fault that did not happen.
pub fn all_faults_happened(summary: &Summary) -> Result<()> {
    let done = &summary.faults;
    for (name, times) in [
        ("twins", done.twins),
        ("same second", done.same_second),
        ("replays", done.replays),
        ("acks lost", done.acks_lost),
        ("half bodies", done.half_bodies),
        ("slow bodies", done.slow_bodies),
        ("clock resets", done.clock_resets),
    ] {
        ensure!(times > 0, "the planned fault `{name}` did not happen");
    }
    Ok(())
}

/// A fleet that runs, and where its ledger is.
pub struct Running {
    fleet: Fleet,
    ledger: PathBuf,
}

impl Running {
    /// Starts the scenario's terminals against the address; the ledger is `name` in `folder`.
    ///
    /// # Errors
    /// The scenario is wrong, or the ledger cannot be written.
    pub fn start(
        scenario: Scenario,
        address: SocketAddr,
        folder: &Path,
        name: &str,
    ) -> Result<Self> {
        let target = format!("http://{address}").parse();
        let target = target.map_err(anyhow::Error::msg)?;
        let ledger = folder.join(name);
        let writer = Ledger::create(&ledger).context("the ledger cannot be written")?;
        let fleet = Fleet::start(Scenario { target, ..scenario }, Some(writer))?;
        Ok(Self { fleet, ledger })
    }

    /// Where the acknowledged records are.
    #[must_use]
    pub fn ledger(&self) -> &Path {
        &self.ledger
    }

    /// The numbers so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.fleet.summary()
    }

    /// Waits until `more` records were acknowledged from now on.
    ///
    /// # Errors
    /// They were not within `limit`; the summary is in the error.
    pub async fn acked_more(&self, more: u64, limit: Duration) -> Result<()> {
        let before = self.summary().acked;
        let enough = async {
            while self.summary().acked < before + more {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let within = tokio::time::timeout(limit, enough).await;
        within.with_context(|| {
            format!(
                "fewer than {more} records acknowledged within {} s: {:#?}",
                limit.as_secs(),
                self.summary()
            )
        })
    }

    /// Ends the making of records and waits until each was acknowledged; the terminals stay.
    ///
    /// # Errors
    /// Some were not within `limit`; the summary is in the error.
    pub async fn drained(&self, limit: Duration) -> Result<()> {
        self.fleet.end_generation();
        let drained = tokio::time::timeout(limit, self.fleet.drained()).await;
        drained.with_context(|| format!("not drained within {limit:?}: {:#?}", self.summary()))
    }

    /// Ends the making of records, waits until each was acknowledged, and stops.
    ///
    /// # Errors
    /// Some were not within `limit`, or the ledger failed.
    pub async fn finish(self, limit: Duration) -> Result<(Summary, PathBuf)> {
        let summary = self.fleet.finish(limit).await;
        ensure!(
            summary.ledger_error.is_none(),
            "the ledger failed: {:?}",
            summary.ledger_error
        );
        ensure!(
            summary.pending == 0,
            "{} records were not acknowledged within {} s: {summary:#?}",
            summary.pending,
            limit.as_secs()
        );
        Ok((summary, self.ledger))
    }
}
