//! When a frozen satellite is restarted: after a while, rarely, and not for ever.
//!
//! Frozen means that its admin door takes connections and says nothing; a database that is down
//! never looks like that, because satellite answers then and says so. systemd's own watchdog
//! does the same within 30 s where it is set up: this is the second net.

use std::time::{Duration, Instant};

/// How long it must have been frozen without a pause.
const FROZEN_FOR: Duration = Duration::from_secs(60);
/// Shortest time between two restarts.
const APART: Duration = Duration::from_secs(300);
/// Most restarts within [`WINDOW`].
const MOST: usize = 3;
/// The time over which restarts are counted.
const WINDOW: Duration = Duration::from_secs(6 * 3600);

/// What was seen and done.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    frozen_since: Option<Instant>,
    done: Vec<Instant>,
}

impl Restarts {
    /// Takes what was seen; true when a restart is due now, which then counts as done.
    pub(super) fn is_due(&mut self, frozen: bool, now: Instant) -> bool {
        if !frozen {
            self.frozen_since = None;
            return false;
        }
        let since = *self.frozen_since.get_or_insert(now);
        self.done
            .retain(|at| now.saturating_duration_since(*at) < WINDOW);
        let apart = self
            .done
            .last()
            .is_none_or(|at| now.saturating_duration_since(*at) >= APART);
        let long = now.saturating_duration_since(since) >= FROZEN_FOR;
        let due = long && apart && self.done.len() < MOST;
        if due {
            self.done.push(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every 10 s for an hour; answers at which seconds a restart was due.
    fn play(frozen: impl Fn(u64) -> bool) -> Vec<u64> {
        let (mut restarts, start) = (Restarts::default(), Instant::now());
        let seconds = (0..3600).step_by(10);
        seconds
            .filter(|second| restarts.is_due(frozen(*second), start + Duration::from_secs(*second)))
            .collect()
    }

    #[test]
    fn a_frozen_process_is_restarted_three_times_at_most_and_not_at_once() {
        assert_eq!(play(|_| true), [60, 360, 660]);
    }

    #[test]
    fn a_process_that_answers_now_and_then_is_never_restarted() {
        assert!(play(|second| second % 60 != 0).is_empty());
        assert!(play(|_| false).is_empty());
    }
}
