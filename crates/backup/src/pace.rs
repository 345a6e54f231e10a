//! How fast a copy goes beside terminals that punch.
//!
//! A dump at full speed takes the server, the disk and a processor for itself, and terminals wait
//! for their acknowledgements meanwhile. A copy has minutes: after each stretch of work it rests
//! [`REST`] times as long, so that most of the machine's time stays with the terminals, whatever
//! machine it is. Nothing here may keep a copy from being made: once half of its time limit is
//! used, it goes as fast as it can.

use std::time::{Duration, Instant};

/// How many times as long as it worked a copy rests.
const REST: u32 = 12;
/// Shorter stretches are put together: a timer is no more exact than this.
const STRETCH: Duration = Duration::from_millis(4);
/// The longest rest: a server that did not answer for a minute has rested already.
const LONGEST: Duration = Duration::from_secs(1);

/// Whether a copy leaves room for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It rests between pieces: terminals punch beside it.
    Gentle,
    /// It does not: somebody waits for it.
    Full,
}

/// The stretches of work of one file of a copy.
#[derive(Debug)]
pub(crate) struct Paced {
    worked_since: Instant,
    /// When it begins to hurry; `None` hurries from the beginning.
    gentle_until: Option<Instant>,
}

impl Paced {
    /// One that never rests.
    pub(crate) fn full() -> Self {
        Self {
            worked_since: Instant::now(),
            gentle_until: None,
        }
    }

    /// Its first stretch begins now.
    pub(crate) fn new(pace: Pace, time_limit: Duration) -> Self {
        let full = Self::full();
        let hurries_at = full.worked_since.checked_add(time_limit / 2);
        Self {
            gentle_until: hurries_at.filter(|_| pace == Pace::Gentle),
            ..full
        }
    }

    /// How long it rests after so much work.
    fn due(&self, worked: Duration, now: Instant) -> Duration {
        let left = self
            .gentle_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        (worked * REST).min(LONGEST).min(left)
    }

    /// Rests when a stretch of work has come together.
    pub(crate) async fn rest(&mut self) {
        let worked = self.worked_since.elapsed();
        if worked < STRETCH {
            return;
        }
        let due = self.due(worked, Instant::now());
        if !due.is_zero() {
            tokio::time::sleep(due).await;
        }
        self.worked_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_copy_rests_longer_than_it_works_and_hurries_in_the_second_half_of_its_time() {
        let gentle = Paced::new(Pace::Gentle, LIMIT);
        let begun = gentle.worked_since;
        let work = Duration::from_millis(10);
        assert_eq!(gentle.due(work, begun), work * REST);
        let almost = begun + LIMIT / 2 - Duration::from_millis(1);
        assert_eq!(gentle.due(work, almost), Duration::from_millis(1));
        assert_eq!(gentle.due(work, begun + LIMIT / 2), Duration::ZERO);
        assert_eq!(gentle.due(work, begun + LIMIT), Duration::ZERO);
    }

    #[test]
    fn a_server_that_hung_is_not_waited_for_again() {
        let gentle = Paced::new(Pace::Gentle, LIMIT);
        let due = gentle.due(Duration::from_secs(60), gentle.worked_since);
        assert_eq!(due, LONGEST);
    }

    #[test]
    fn a_copy_that_somebody_waits_for_never_rests() {
        let work = Duration::from_millis(10);
        for full in [Paced::full(), Paced::new(Pace::Full, LIMIT)] {
            assert_eq!(full.due(work, full.worked_since), Duration::ZERO);
        }
    }
}
