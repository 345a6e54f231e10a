//! Latencies in a fixed set of buckets, so that a run of any length takes the same memory.
//!
//! Buckets grow with the value: sixteen to each doubling, so a quantile is at most 7 % too
//! high. Recording is one atomic addition and never waits. The largest value is kept exactly.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets for each doubling of the value.
const STEPS: usize = 16;
/// Doublings covered above the first sixteen microseconds: up to about 19 hours.
const DOUBLINGS: usize = 32;

#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Vec<AtomicU64>,
    max_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..STEPS * (DOUBLINGS + 1))
            .map(|_| AtomicU64::new(0))
            .collect();
        Self {
            buckets,
            max_us: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    pub(crate) fn record(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(place(us)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.max_us.fetch_max(us, Relaxed);
    }

    /// The largest value, in milliseconds.
    pub(crate) fn max_ms(&self) -> f64 {
        milliseconds(self.max_us.load(Relaxed))
    }

    /// The value, in milliseconds, that so many per mille of all values do not exceed; 0 when
    /// nothing was recorded.
    pub(crate) fn per_mille_ms(&self, per_mille: u64) -> f64 {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let wanted = (total * per_mille).div_ceil(1_000).max(1);
        let mut seen = 0;
        for (place, count) in counts.into_iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return milliseconds(upper_edge(place).min(self.max_us.load(Relaxed)));
            }
        }
        0.0
    }
}

/// The bucket of a value: the first sixteen hold one value each, after that the four bits below
/// the leading one choose within its doubling.
fn place(us: u64) -> usize {
    let last = STEPS * (DOUBLINGS + 1) - 1;
    let Some(doubling) = us.checked_ilog2().and_then(|log| log.checked_sub(4)) else {
        return usize::try_from(us).unwrap_or(last);
    };
    let within = usize::try_from(us >> doubling).unwrap_or(0) - STEPS;
    let doubling = usize::try_from(doubling).unwrap_or(DOUBLINGS);
    (STEPS * (doubling + 1) + within).min(last)
}

/// The largest value that falls into a bucket.
fn upper_edge(place: usize) -> u64 {
    let (doubling, within) = (place / STEPS, place % STEPS);
    let whole = |n: usize| u64::try_from(n).unwrap_or(0);
    match doubling.checked_sub(1) {
        None => whole(within),
        Some(shift) => (whole(STEPS + within + 1) << shift) - 1,
    }
}

/// Microseconds as milliseconds with their fraction.
fn milliseconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_at_most_seven_per_cent_below_its_edge() {
        for us in (0..100_000).chain([1 << 30, (1 << 36) - 1]) {
            let at = place(us);
            let edge = upper_edge(at);
            assert!(
                us <= edge && edge <= us + us / 14,
                "{us} in a bucket up to {edge}"
            );
            assert!(at == 0 || upper_edge(at - 1) < us);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values_and_the_maximum_is_exact() {
        let histogram = Histogram::default();
        assert!(histogram.per_mille_ms(500).abs() < f64::EPSILON);
        for ms in 1..=1_000 {
            histogram.record(Duration::from_millis(ms));
        }
        let close = |got: f64, want: f64| got >= want && got <= want * 1.08;
        assert!(close(histogram.per_mille_ms(500), 500.0));
        assert!(close(histogram.per_mille_ms(990), 990.0));
        assert!((histogram.max_ms() - 1_000.0).abs() < 1e-9);
    }

    #[test]
    fn a_value_beyond_all_buckets_is_counted_in_the_last() {
        let histogram = Histogram::default();
        histogram.record(Duration::MAX);
        assert!(histogram.per_mille_ms(500) > 1e6);
    }
}
