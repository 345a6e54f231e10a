//! When will it be full? A straight line through what was seen, and only where one fits.
//!
//! Pure: readings and their times come in. A forecast frightens people, so that it is made only
//! from an hour of readings at least, of which a line explains nearly all, and never far ahead.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Readings are kept so far apart.
const APART: Duration = Duration::from_secs(300);
/// Readings are kept so long.
const KEPT: Duration = Duration::from_secs(48 * 3600);
/// The shortest time from which a forecast is made.
const AT_LEAST: Duration = Duration::from_secs(3600);
/// The share of the readings' spread that the line must explain.
const FITS: f64 = 0.9;

/// Readings of one number that should not reach zero.
#[derive(Debug, Clone, Default)]
pub(super) struct Readings(VecDeque<(Timestamp, f64)>);

impl Readings {
    /// Takes what is free now.
    pub(super) fn take(&mut self, now: Timestamp, free: f64) {
        let apart = |at: Timestamp| now.duration_since(at).unsigned_abs() >= APART;
        // A clock that was set back would put readings out of order.
        if self.0.back().is_some_and(|(at, _)| *at > now) {
            self.0.clear();
        }
        if self.0.back().is_none_or(|(at, _)| apart(*at)) {
            self.0.push_back((now, free));
        }
        let old = |at: Timestamp| now.duration_since(at).unsigned_abs() > KEPT;
        while self.0.front().is_some_and(|(at, _)| old(*at)) {
            self.0.pop_front();
        }
    }

    /// When nothing will be left if it goes on like this, at most `ahead` from now.
    pub(super) fn empty_at(&self, now: Timestamp, ahead: Duration) -> Option<Timestamp> {
        let (first, _) = self.0.front()?;
        let (last, _) = self.0.back()?;
        if last.duration_since(*first).unsigned_abs() < AT_LEAST {
            return None;
        }
        let points = self.0.iter();
        let points = points.map(|(at, free)| (at.duration_since(*first).as_secs_f64(), *free));
        let points: Vec<(f64, f64)> = points.collect();
        let (slope, at_zero, fit) = line(&points)?;
        if slope >= 0.0 || fit < FITS {
            return None;
        }
        let left = at_zero - now.duration_since(*first).as_secs_f64();
        let left = SignedDuration::try_from_secs_f64(left.max(0.0)).ok()?;
        (left.unsigned_abs() <= ahead).then(|| now.checked_add(left).ok())?
    }
}

/// The least-squares line: its slope, where it crosses zero, and the share of the spread that it
/// explains.
fn line(points: &[(f64, f64)]) -> Option<(f64, f64, f64)> {
    let n = f64::from(u32::try_from(points.len()).ok()?);
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let sum = |value: &dyn Fn(f64, f64) -> f64| -> f64 {
        points.iter().map(|p| value(p.0 - x, p.1 - y)).sum()
    };
    let (xx, xy, yy) = (sum(&|a, _| a * a), sum(&|a, b| a * b), sum(&|_, b| b * b));
    if xx <= 0.0 || yy <= 0.0 {
        return None;
    }
    let slope = xy / xx;
    Some((slope, x - y / slope, xy * xy / (xx * yy)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minutes).unwrap()
    }

    /// Readings every minute of what is free after so many minutes.
    fn readings(minutes: i64, free: impl Fn(f64) -> f64) -> Readings {
        let mut readings = Readings::default();
        for minute in 0..=minutes {
            let x = f64::from(i32::try_from(minute).unwrap());
            readings.take(at(minute), free(x));
        }
        readings
    }

    #[test]
    fn a_disk_that_fills_steadily_is_full_when_the_line_says_so() {
        let filling = readings(120, |x| 1_000.0 - 5.0 * x);
        let full = filling.empty_at(at(120), DAY).unwrap();
        assert_eq!(full.duration_since(at(120)).as_mins(), 80);
    }

    #[test]
    fn no_forecast_is_made_from_little_from_noise_or_far_ahead() {
        assert!(
            readings(50, |x| 1_000.0 - 5.0 * x)
                .empty_at(at(50), DAY)
                .is_none()
        );
        assert!(readings(120, |_| 1_000.0).empty_at(at(120), DAY).is_none());
        assert!(
            readings(120, |x| 1_000.0 + x)
                .empty_at(at(120), DAY)
                .is_none()
        );
        let saw = |x: f64| 1_000.0 - 300.0 * (x / 20.0).fract();
        assert!(readings(240, saw).empty_at(at(240), DAY).is_none());
        let slow = readings(600, |x| 1_000.0 - 0.01 * x);
        assert!(slow.empty_at(at(600), DAY).is_none());
    }

    #[test]
    fn readings_are_bounded_and_a_clock_set_back_begins_them_again() {
        let mut many = readings(10_000, |x| x);
        assert!(many.0.len() <= 48 * 12 + 1);
        many.take(at(5), 1.0);
        assert_eq!(many.0.len(), 1);
    }
}
