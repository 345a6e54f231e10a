//! What the loop shows to the admin door: a copy, made anew each second, that nobody waits for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use notify::Figures;
use serde::Serialize;

use crate::decide::{Incident, TenantState};
use crate::observation::Finding;
use crate::words::Phrase;

/// The loop itself is dead when its snapshot is older.
const LOOP_DEAD: SignedDuration = SignedDuration::from_secs(20);
/// The file must have been written within this time.
const WRITTEN: SignedDuration = SignedDuration::from_secs(60);
/// A letter may wait this long before the mail path counts as broken.
const WAITING: Duration = Duration::from_secs(600);
/// After a leap of the clock it is not trusted for this time.
const LEAPT: SignedDuration = SignedDuration::from_secs(60);
/// 1 January 2025: no clock of ours shows an earlier time.
const EARLIEST: i64 = 1_735_689_600;

/// How one look fares.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CheckState {
    /// Everything it saw was fine.
    pub(crate) up: bool,
    /// It saw something.
    pub(crate) known: bool,
    /// When it last ended a round.
    pub(crate) at: Timestamp,
    /// How long that took.
    pub(crate) took_seconds: f64,
}

impl CheckState {
    pub(crate) fn of(findings: &[&Finding], at: Timestamp, took: Duration) -> Self {
        Self {
            up: findings.iter().all(|it| matches!(it, Finding::Fine)),
            known: !findings
                .iter()
                .any(|it| matches!(it, Finding::Unknown { .. })),
            at,
            took_seconds: took.as_secs_f64(),
        }
    }
}

/// See the head of this module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) at: Option<Timestamp>,
    pub(crate) incidents: Arc<Vec<Incident>>,
    pub(crate) tenants: Vec<TenantState>,
    pub(crate) checks: Arc<BTreeMap<String, CheckState>>,
    /// Measurements of looks by look, for metrics.
    pub(crate) canary_seconds: BTreeMap<String, f64>,
    pub(crate) canary_success: BTreeMap<String, Timestamp>,
    pub(crate) silent: BTreeMap<String, usize>,
    pub(crate) figures: Figures,
    pub(crate) relays: usize,
    pub(crate) written_at: Option<Timestamp>,
    pub(crate) leapt_at: Option<Timestamp>,
}

impl Snapshot {
    /// What keeps sentinel from its work; empty when the self-test passes.
    pub(crate) fn self_test(&self, now: Timestamp) -> Vec<Phrase> {
        let within =
            |at: Option<Timestamp>, limit| at.is_some_and(|at| now.duration_since(at) <= limit);
        let failing = self.figures.failing_relays.len();
        let tests = [
            (within(self.at, LOOP_DEAD), Phrase::LoopStands),
            (within(self.written_at, WRITTEN), Phrase::FileUnwritten),
            (
                self.relays == 0 || failing < self.relays,
                Phrase::NoRelayTakes,
            ),
            (
                self.figures.stuck.is_none_or(|stuck| stuck <= WAITING),
                Phrase::LetterWaits,
            ),
            (
                now.as_second() > EARLIEST && !within(self.leapt_at, LEAPT),
                Phrase::ClockNotSane,
            ),
        ];
        let failed = tests.into_iter().filter(|(fine, _)| !fine);
        failed.map(|(_, what)| what).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_test_names_everything_that_keeps_it_from_its_work() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let fine = Snapshot {
            at: Some(now),
            written_at: Some(now),
            relays: 1,
            ..Snapshot::default()
        };
        assert!(fine.self_test(now).is_empty());
        let later = Timestamp::from_second(now.as_second() + 61).unwrap();
        assert_eq!(fine.self_test(later).len(), 2);
        let mut broken = fine.clone();
        broken.figures.failing_relays = vec![("r".into(), 3, "no".into())];
        broken.figures.stuck = Some(Duration::from_secs(601));
        broken.leapt_at = Some(now);
        assert_eq!(broken.self_test(now).len(), 3);
        assert!(!fine.self_test(Timestamp::UNIX_EPOCH).is_empty());
    }
}
