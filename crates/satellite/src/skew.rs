//! How far a terminal's clock is from ours, as far as that can be known.
//!
//! A clock that can be read is measured. A terminal that only pushes shows no clock; it shows
//! the wall time of records that it sends as they happen. Such a record came after it happened,
//! so that its time minus the moment of receipt is never more than the clock is ahead. The
//! highest of several is close to it, unless each of them was sent late: that is why a clock
//! that seems to be behind is called so only after several records, and why the detail of the
//! condition says what was seen. Nothing here corrects an event.

use std::collections::VecDeque;

use event::Millis;

/// Records that are looked at, and fewest for an estimate.
const RECORDS: (usize, usize) = (8, 3);
/// How long a record or a reading says something about the clock, in milliseconds: a day.
const LASTS: i64 = 24 * 3_600_000;
/// A clock that is off by more than this, in seconds, is a matter for an operator.
pub(crate) const TOO_MUCH: i64 = 60;

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    /// The clock was read.
    Read,
    /// Estimated from records that were sent as they happened.
    Records,
}

/// What is known of one terminal's clock.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Skew {
    read: Option<(Millis, i64)>,
    /// When a record came, and its time minus that, in seconds.
    records: VecDeque<(Millis, i64)>,
}

impl Skew {
    /// The clock was read: it is that many seconds ahead of ours.
    pub(crate) fn read(&mut self, ahead: i64, now: Millis) {
        self.read = Some((now, ahead));
    }

    /// A record came alone, as one does that has just happened.
    pub(crate) fn record(&mut self, occurred: Millis, received: Millis) {
        let ahead = occurred.0.saturating_sub(received.0).div_euclid(1000);
        self.records.push_back((received, ahead));
        while self.records.len() > RECORDS.0 {
            self.records.pop_front();
        }
    }

    /// Seconds ahead of ours, negative when behind; `None` when nothing recent tells.
    pub(crate) fn seconds(&self, now: Millis) -> Option<(i64, Means)> {
        let recent = |at: Millis| now.0.saturating_sub(at.0) <= LASTS;
        if let Some((_, ahead)) = self.read.filter(|(at, _)| recent(*at)) {
            return Some((ahead, Means::Read));
        }
        let seen = self.records.iter().filter(|(at, _)| recent(*at));
        let (count, highest) = seen.fold((0, None), |(n, highest), (_, ahead)| {
            (n + 1, highest.max(Some(*ahead)))
        });
        // Ahead is certain with one record, behind needs several.
        let highest = highest.filter(|ahead| *ahead > 0 || count >= RECORDS.1)?;
        Some((highest, Means::Records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_record_from_the_future_shows_a_clock_that_is_ahead_at_once() {
        let mut skew = Skew::default();
        skew.record(Millis(500_000), Millis(200_000));
        assert_eq!(skew.seconds(Millis(200_000)), Some((300, Means::Records)));
    }

    #[test]
    fn late_records_alone_do_not_make_a_clock_late() {
        let mut skew = Skew::default();
        skew.record(Millis(0), Millis(900_000));
        skew.record(Millis(0), Millis(960_000));
        assert_eq!(skew.seconds(Millis(960_000)), None);
        // The third came as it happened: the clock is right, the two before were late.
        skew.record(Millis(1_000_000), Millis(1_001_000));
        assert_eq!(skew.seconds(Millis(1_001_000)), Some((-1, Means::Records)));
    }

    #[test]
    fn several_records_that_all_come_late_show_a_clock_that_is_behind_until_one_does_not() {
        let mut skew = Skew::default();
        for n in 1..=4 {
            skew.record(Millis(n * HOUR - 600_000), Millis(n * HOUR + n));
        }
        let (seconds, _) = skew.seconds(Millis(5 * HOUR)).unwrap();
        assert_eq!(seconds, -601);
        skew.record(Millis(6 * HOUR), Millis(6 * HOUR));
        assert_eq!(skew.seconds(Millis(6 * HOUR)), Some((0, Means::Records)));
    }

    #[test]
    fn a_reading_is_worth_more_than_records_and_both_grow_old() {
        let mut skew = Skew::default();
        skew.record(Millis(700_000), Millis(0));
        skew.read(-5, Millis(1_000));
        assert_eq!(skew.seconds(Millis(2_000)), Some((-5, Means::Read)));
        assert_eq!(skew.seconds(Millis(25 * HOUR)), None);
    }
}
