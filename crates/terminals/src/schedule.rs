//! When a terminal's records come into being: the backlog at once, a steady rate, peaks.
//!
//! A schedule is a counting function: how many records exist after so many milliseconds. It
//! never shrinks, so its inverse (when does record n come?) is a search. That keeps a backlog
//! of any size and a run of any length free of stored records. Nothing here reads a clock.

use crate::scenario::{Burst, Scenario, per_thousand_minutes};

/// Milliseconds after which no schedule makes records: 400 days, far longer than any run.
const LAST_MS: u64 = 400 * 86_400 * 1_000;

/// The steady rate counts in units of 1/60,000,000 record: milliseconds times records per
/// 1,000 minutes.
pub(crate) const UNITS: u64 = 60_000_000;

/// The counting function that all terminals of a fleet share; each adds its own phase, 0 to
/// [`UNITS`], so that steady records do not come in step.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    backlog: u64,
    limit: u64,
    rate: u64,
    bursts: Vec<Burst>,
    end_ms: u64,
    endless: bool,
}

impl Schedule {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let rate = per_thousand_minutes(scenario.rate);
        let last_burst = scenario
            .bursts
            .iter()
            .map(|b| (b.at_s + b.over_s) * 1_000)
            .max();
        let by_duration = scenario.duration_s.map(|seconds| seconds * 1_000);
        let by_itself = (rate == 0).then(|| last_burst.unwrap_or(0));
        let mut schedule = Self {
            backlog: scenario.backlog,
            limit: scenario.records.unwrap_or(u64::MAX),
            rate,
            bursts: scenario.bursts.clone(),
            end_ms: LAST_MS,
            endless: false,
        };
        let by_limit = schedule
            .limit
            .checked_sub(1)
            .and_then(|last| schedule.due_ms(last, 0));
        let ends = [by_duration, by_itself, by_limit];
        schedule.end_ms = ends.into_iter().flatten().min().unwrap_or(LAST_MS);
        schedule.endless = ends.iter().all(Option::is_none);
        schedule
    }

    /// Milliseconds after which no terminal gets new records; `None` when it goes on until
    /// told to end.
    pub(crate) fn end_ms(&self) -> Option<u64> {
        (!self.endless).then_some(self.end_ms)
    }

    /// Records that the terminal held already at the beginning.
    pub(crate) fn backlog(&self) -> u64 {
        self.backlog
    }

    /// How many records exist `ms` after the beginning.
    pub(crate) fn count(&self, ms: u64, phase: u64) -> u64 {
        let ms = ms.min(self.end_ms);
        let steady = (ms * self.rate + phase) / UNITS;
        let peaks: u64 = self.bursts.iter().map(|burst| peak_count(burst, ms)).sum();
        (self.backlog + steady + peaks).min(self.limit)
    }

    /// When record `index` (from 0) comes; `None` when it never does.
    pub(crate) fn due_ms(&self, index: u64, phase: u64) -> Option<u64> {
        if self.count(0, phase) > index {
            return Some(0);
        }
        let (mut before, mut from) = (0, self.end_ms);
        if self.count(from, phase) <= index {
            return None;
        }
        while from - before > 1 {
            let middle = before.midpoint(from);
            if self.count(middle, phase) > index {
                from = middle;
            } else {
                before = middle;
            }
        }
        Some(from)
    }
}

fn peak_count(burst: &Burst, ms: u64) -> u64 {
    let Some(into) = ms.checked_sub(burst.at_s * 1_000) else {
        return 0;
    };
    // A window of nought takes the division by one millisecond and is over at once.
    let done = burst.punches * into.saturating_add(1) / (burst.over_s * 1_000).max(1);
    done.min(burst.punches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        Scenario {
            backlog: 10,
            rate: 60.0,
            duration_s: Some(100),
            bursts: vec![Burst {
                at_s: 20,
                punches: 30,
                over_s: 10,
            }],
            ..Scenario::default()
        }
    }

    #[test]
    fn backlog_rate_and_peak_add_up() {
        let schedule = Schedule::new(&scenario());
        assert_eq!(schedule.count(0, 0), 10);
        assert_eq!(schedule.count(10_000, 0), 20);
        assert_eq!(schedule.count(25_000, 0), 10 + 25 + 15);
        assert_eq!(schedule.count(100_000, 0), 10 + 100 + 30);
        assert_eq!(schedule.count(900_000, 0), 140);
        assert_eq!(schedule.end_ms(), Some(100_000));
    }

    #[test]
    fn every_record_is_due_at_the_first_moment_that_counts_it() {
        let schedule = Schedule::new(&scenario());
        for phase in [0, 1, UNITS / 2, UNITS - 1] {
            for index in 0..140 {
                let due = schedule.due_ms(index, phase).unwrap();
                assert!(schedule.count(due, phase) > index);
                assert!(due == 0 || schedule.count(due - 1, phase) <= index);
            }
        }
        assert_eq!(schedule.due_ms(140, 0), None);
    }

    #[test]
    fn a_limit_on_records_ends_the_generation_when_the_last_one_is_due() {
        let schedule = Schedule::new(&Scenario {
            records: Some(70),
            rate: 60.0,
            ..Scenario::default()
        });
        assert_eq!(schedule.end_ms(), Some(70_000));
        assert_eq!(schedule.count(1_000_000, 0), 70);
    }

    #[test]
    fn a_rate_without_limits_goes_on_and_a_backlog_alone_ends_at_once() {
        let rate = Scenario {
            rate: 1.0,
            ..Scenario::default()
        };
        assert_eq!(Schedule::new(&rate).end_ms(), None);
        let backlog = Scenario {
            backlog: 5,
            ..Scenario::default()
        };
        assert_eq!(Schedule::new(&backlog).end_ms(), Some(0));
    }

    #[test]
    fn a_peak_without_a_window_comes_all_at_once() {
        let burst = Burst {
            at_s: 1,
            punches: 9,
            over_s: 0,
        };
        assert_eq!(peak_count(&burst, 999), 0);
        assert_eq!(peak_count(&burst, 1_000), 9);
    }
}
