//! What is counted since the start, and what waits on disk, in the form of `/status`.
//!
//! The counters are the metrics themselves, never a second count that could differ. Reasons
//! are words of a fixed list; no peer can make one up.

use std::collections::BTreeMap;

use event::Millis;
use prometheus::core::Collector;
use serde::Serialize;

use crate::hub::Hub;
use crate::metrics::Metrics;

/// The journal of posts that wait for their store.
#[derive(Debug, Serialize)]
pub struct JournalStatus {
    /// `ready`, `full`, `disk_low` or `failed`.
    pub state: String,
    /// Events and records that wait.
    pub events: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// Age of the oldest.
    pub oldest_seconds: Option<u64>,
    /// Submissions that cannot be read and stay in the file.
    pub unreadable: u64,
}

/// Counters since the start.
#[derive(Debug, Serialize)]
pub struct Totals {
    /// Events read from terminals, repetitions included.
    pub received: u64,
    /// Events that became rows.
    pub committed: u64,
    /// Events whose row was there.
    pub duplicate: u64,
    /// Records set aside, by reason; what never happened is left out.
    pub quarantined: BTreeMap<String, u64>,
    /// Requests and connections refused, by reason; what never happened is left out.
    pub refused: BTreeMap<String, u64>,
    /// Epochs opened: a store was another one or an older copy.
    pub new_epochs: u64,
    /// Faults of this program itself.
    pub panics: u64,
}

pub(super) fn journal(hub: &Hub, now: Millis) -> JournalStatus {
    let fill = hub.journal.waiting();
    let age = |oldest: Millis| u64::try_from(now.0.saturating_sub(oldest.0) / 1000).unwrap_or(0);
    JournalStatus {
        state: hub.journal.state().as_str().to_owned(),
        events: fill.events,
        bytes: fill.bytes,
        oldest_seconds: fill.oldest.map(age),
        unreadable: fill.unreadable,
    }
}

pub(super) fn totals(metrics: &Metrics) -> Totals {
    Totals {
        received: sum(&metrics.received),
        committed: sum(&metrics.committed),
        duplicate: sum(&metrics.duplicate),
        quarantined: by_label(&metrics.quarantined),
        refused: by_label(&metrics.refused),
        new_epochs: sum(&metrics.epochs),
        panics: metrics.panics.get(),
    }
}

fn sum(counters: &impl Collector) -> u64 {
    by_label(counters).values().sum()
}

/// The counts of a family by the value of their first label, without those at zero.
fn by_label(counters: &impl Collector) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for family in counters.collect() {
        for metric in family.get_metric() {
            let label = metric.get_label().first();
            let label = label.map_or_else(String::new, |label| label.value().to_owned());
            // A counter is a whole number; far below 2⁵³ the conversion is exact.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a counter is a whole number and not negative"
            )]
            let count = metric.get_counter().get_value() as u64;
            if count > 0 {
                *counts.entry(label).or_default() += count;
            }
        }
    }
    counts
}
