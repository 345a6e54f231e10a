//! What a fleet did, in numbers: counters while it runs, a summary to read.
//!
//! The numbers are the fleet's own view of the other side's replies. They prove nothing about
//! what a server stored; that is what the ledger is for. Counting never waits and the counters
//! take the same memory however long a run is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

use crate::hikvision::Totals;
use crate::histogram::Histogram;
use crate::pull;
use crate::scenario::Scenario;

/// A counter that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counters of terminals in access-control mode.
#[derive(Debug, Default)]
pub(crate) struct AccessTally {
    pub(crate) registrations: Count,
    pub(crate) other_codes: Count,
    pub(crate) times: Count,
    pub(crate) withheld: Count,
    pub(crate) fetched: Count,
    pub(crate) cleared: Count,
    pub(crate) repeated_tables: Count,
    pub(crate) early_results: Count,
}

impl AccessTally {
    fn done(&self) -> AccessDone {
        AccessDone {
            registrations: self.registrations.get(),
            other_codes: self.other_codes.get(),
            times: self.times.get(),
            withheld: self.withheld.get(),
            fetched: self.fetched.get(),
            cleared: self.cleared.get(),
            repeated_tables: self.repeated_tables.get(),
            early_results: self.early_results.get(),
        }
    }
}

/// The running counters that all terminals of a fleet share.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) generated: Count,
    pub(crate) acked: Count,
    pub(crate) requests: Count,
    pub(crate) uploads: Count,
    pub(crate) handshakes: Count,
    pub(crate) handshakes_refused: Count,
    pub(crate) polls: Count,
    pub(crate) polls_refused: Count,
    pub(crate) commands: Count,
    pub(crate) connect_failures: Count,
    pub(crate) broken: Count,
    pub(crate) timeouts: Count,
    pub(crate) unreadable: Count,
    pub(crate) reconnects: Count,
    pub(crate) replayed: Count,
    pub(crate) queried: Count,
    pub(crate) without_date: Count,
    pub(crate) without_text_plain: Count,
    pub(crate) wrong_time_zones: Count,
    pub(crate) forgotten_stamps: Count,
    pub(crate) twins: Count,
    pub(crate) same_second: Count,
    pub(crate) replays: Count,
    pub(crate) acks_lost: Count,
    pub(crate) half_bodies: Count,
    pub(crate) slow_bodies: Count,
    pub(crate) clock_resets: Count,
    pub(crate) duplicate_serials: Count,
    pub(crate) ack_latency: Histogram,
    pub(crate) hikvision: Arc<Totals>,
    pub(crate) pull: Arc<pull::Totals>,
    pub(crate) access: AccessTally,
    refused: Mutex<BTreeMap<u16, u64>>,
    ledger_error: Mutex<Option<String>>,
}

impl Tally {
    /// Counts an upload that was answered, but not accepted.
    pub(crate) fn upload_refused(&self, status: u16) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(status).or_insert(0) += 1;
    }

    /// Remembers the first reason why the ledger could not be written.
    pub(crate) fn ledger_failed(&self, why: &std::io::Error) {
        let mut slot = self
            .ledger_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert_with(|| why.to_string());
    }

    /// All numbers as they stand.
    pub(crate) fn summary(&self, elapsed: Duration) -> Summary {
        let refused = self
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let hikvision = &self.hikvision;
        let pull = &self.pull;
        let generated =
            self.generated.get() + hikvision.made.load(Relaxed) + pull.made.load(Relaxed);
        let acked = self.acked.get() + hikvision.served.load(Relaxed) + pull.served.load(Relaxed);
        let forgotten = hikvision.forgotten.load(Relaxed) + pull.forgotten.load(Relaxed);
        Summary {
            seconds: elapsed.as_secs_f64(),
            access: self.access.done(),
            generated,
            acked,
            pending: generated.saturating_sub(acked + forgotten),
            forgotten,
            requests: self.requests.get(),
            uploads: self.uploads.get(),
            refused: refused.values().sum(),
            refused_by_status: refused,
            failures: Failures {
                connect: self.connect_failures.get(),
                broken: self.broken.get(),
                timeout: self.timeouts.get(),
                unreadable: self.unreadable.get(),
            },
            reconnects: self.reconnects.get(),
            handshakes: self.handshakes.get(),
            handshakes_refused: self.handshakes_refused.get(),
            polls: self.polls.get(),
            polls_refused: self.polls_refused.get(),
            commands: self.commands.get(),
            replayed_records: self.replayed.get(),
            queried_records: self.queried.get(),
            ack_p50_ms: self.ack_latency.per_mille_ms(500),
            ack_p99_ms: self.ack_latency.per_mille_ms(990),
            ack_max_ms: self.ack_latency.max_ms(),
            replies_without_date: self.without_date.get(),
            replies_without_text_plain: self.without_text_plain.get(),
            wrong_time_zones: self.wrong_time_zones.get(),
            forgotten_stamps: self.forgotten_stamps.get(),
            faults: self.faults(),
            ledger_error: {
                let slot = self.ledger_error.lock();
                slot.unwrap_or_else(PoisonError::into_inner).clone()
            },
        }
    }

    fn faults(&self) -> FaultsDone {
        FaultsDone {
            twins: self.twins.get(),
            same_second: self.same_second.get(),
            replays: self.replays.get(),
            acks_lost: self.acks_lost.get(),
            half_bodies: self.half_bodies.get(),
            slow_bodies: self.slow_bodies.get(),
            clock_resets: self.clock_resets.get(),
            duplicate_serials: self.duplicate_serials.get(),
        }
    }
}

/// What a fleet has done since it started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Seconds since the start.
    pub seconds: f64,
    /// Records whose time has come, backlog included.
    pub generated: u64,
    /// Records that a reply acknowledged for the first time (and whose ledger lines are
    /// durable, where there is a ledger). Rows of a Hikvision device that is dialled count when
    /// a search has handed them out: such a device never hears more.
    pub acked: u64,
    /// Records made, not yet acknowledged, and still held.
    pub pending: u64,
    /// Rows that Hikvision devices threw away unread (a full ring, a reset) or lost on purpose.
    pub forgotten: u64,
    /// Requests sent, of every kind.
    pub requests: u64,
    /// Attendance uploads among them, first ones, re-sends, replays and answers to queries.
    pub uploads: u64,
    /// Uploads that were answered but not accepted.
    pub refused: u64,
    /// The same by HTTP status; 200 stands for a reply without `OK` in its body.
    pub refused_by_status: BTreeMap<u16, u64>,
    /// Exchanges of any kind that ended without a reply that could be read.
    pub failures: Failures,
    /// Times that a kept connection had been closed meanwhile and was opened anew at once.
    pub reconnects: u64,
    /// Handshakes that brought an option block.
    pub handshakes: u64,
    /// Handshakes that were answered with anything else.
    pub handshakes_refused: u64,
    /// Polls that were answered with status 200 and a body.
    pub polls: u64,
    /// Polls that were answered otherwise.
    pub polls_refused: u64,
    /// Commands taken from polls.
    pub commands: u64,
    /// Acknowledged records that were accepted once more as a replay.
    pub replayed_records: u64,
    /// Records sent and accepted in answer to a query.
    pub queried_records: u64,
    /// Milliseconds from the first byte of an upload to its accepted reply: half take no more.
    pub ack_p50_ms: f64,
    /// The same: 99 % take no more.
    pub ack_p99_ms: f64,
    /// The same: the longest.
    pub ack_max_ms: f64,
    /// Replies without the letters `Date:` in their head, which old firmware looks for.
    pub replies_without_date: u64,
    /// Replies without `text/plain` in their head, which old firmware looks for.
    pub replies_without_text_plain: u64,
    /// Option blocks whose `TimeZone` is not the one the terminal stands in.
    pub wrong_time_zones: u64,
    /// Option blocks that gave a terminal with acknowledged records the stamp 0.
    pub forgotten_stamps: u64,
    /// Faults that were carried out.
    pub faults: FaultsDone,
    /// What terminals in access-control mode did.
    pub access: AccessDone,
    /// Why the ledger could not be written; the fleet acknowledges nothing from then on.
    pub ledger_error: Option<String>,
}

/// Exchanges without a readable reply, by what ended them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// No connection came about.
    pub connect: u64,
    /// The connection ended or broke before the reply was whole.
    pub broken: u64,
    /// The terminal's patience ended first.
    pub timeout: u64,
    /// The reply was no HTTP, too long, chunked, or without a length on a kept connection.
    pub unreadable: u64,
}

impl Failures {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.connect + self.broken + self.timeout + self.unreadable
    }
}

/// Faults carried out, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FaultsDone {
    /// Acknowledged records that repeated the line before them.
    pub twins: u64,
    /// Acknowledged records with person and second of the one before them.
    pub same_second: u64,
    /// Accepted uploads of records that had been acknowledged before.
    pub replays: u64,
    /// Uploads sent whole whose reply was not read.
    pub acks_lost: u64,
    /// Uploads cut off half-way.
    pub half_bodies: u64,
    /// Uploads sent byte by byte.
    pub slow_bodies: u64,
    /// Falls of a clock to 2000-01-01 whose first record was acknowledged.
    pub clock_resets: u64,
    /// Terminals that used the serial of another one.
    pub duplicate_serials: u64,
}

/// What terminals in access-control mode did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AccessDone {
    /// Registrations that were answered.
    pub registrations: u64,
    /// Registry codes that differed from the one before.
    pub other_codes: u64,
    /// Answers to a request for the time that could be read.
    pub times: u64,
    /// Events that were not sent by themselves.
    pub withheld: u64,
    /// Those among them that were fetched by a command and acknowledged.
    pub fetched: u64,
    /// Logs that were cleared, after which the count began again.
    pub cleared: u64,
    /// Tables whose reply did not count them, so that they are sent again.
    pub repeated_tables: u64,
    /// Results that were posted before the last part of their answer.
    pub early_results: u64,
}

impl Summary {
    /// Acknowledged records per second over the whole time.
    pub fn records_per_second(&self) -> f64 {
        let acked = f64::from(u32::try_from(self.acked).unwrap_or(u32::MAX));
        if self.seconds > 0.0 {
            acked / self.seconds
        } else {
            0.0
        }
    }

    /// The faults that the scenario planned and that never happened. A run that has any of
    /// them has shown less than it seems to.
    pub fn faults_not_seen(&self, scenario: &Scenario) -> Vec<&'static str> {
        let (planned, done) = (&scenario.faults, &self.faults);
        let kinds = [
            ("twins", planned.twins, done.twins),
            ("same_second", planned.same_second, done.same_second),
            ("replay", planned.replay, done.replays),
            ("ack_lost", planned.ack_lost, done.acks_lost),
            ("half_body", planned.half_body, done.half_bodies),
            ("slow_body", planned.slow_body, done.slow_bodies),
            ("clock_reset", planned.clock_reset, done.clock_resets),
            (
                "duplicate_serial",
                planned.duplicate_serial,
                done.duplicate_serials,
            ),
        ];
        let missing = |&(_, share, times): &(_, f64, u64)| share > 0.0 && times == 0;
        kinds
            .into_iter()
            .filter(missing)
            .map(|(kind, ..)| kind)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planned_fault_that_never_happened_is_named() {
        let mut scenario = Scenario::default();
        scenario.faults.twins = 0.1;
        scenario.faults.ack_lost = 0.1;
        let tally = Tally::default();
        tally.twins.add(3);
        let summary = tally.summary(Duration::from_secs(1));
        assert_eq!(summary.faults_not_seen(&scenario), ["ack_lost"]);
    }

    #[test]
    fn refusals_are_told_by_status_and_the_first_ledger_error_stays() {
        let tally = Tally::default();
        for status in [503, 200, 503] {
            tally.upload_refused(status);
        }
        tally.ledger_failed(&std::io::Error::other("disk full"));
        tally.ledger_failed(&std::io::Error::other("later"));
        let summary = tally.summary(Duration::from_secs(2));
        assert_eq!(summary.refused, 3);
        assert_eq!(
            summary.refused_by_status,
            BTreeMap::from([(200, 1), (503, 2)])
        );
        assert_eq!(summary.ledger_error.as_deref(), Some("disk full"));
    }
}
