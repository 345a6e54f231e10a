//! Numbers that look random and can be had again: moments of a kill, orders, mixtures.
//!
//! A test prints its seed; the same seed in `SATELLITE_TEST_SEED` draws the same numbers. What
//! the operating system does between two draws is not repeated by that.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The seed of this test run: from `SATELLITE_TEST_SEED`, else another one each time. It is
/// printed, so that a failed run tells with which numbers it failed.
#[must_use]
pub fn seed() -> u64 {
    let given = std::env::var("SATELLITE_TEST_SEED").ok();
    // A fresh hash key is the standard library's only source of randomness.
    let fresh = || RandomState::new().hash_one(()) % 1_000_000_000;
    let seed = given
        .and_then(|text| text.parse::<u32>().ok().map(u64::from))
        .unwrap_or_else(fresh);
    println!("seed: SATELLITE_TEST_SEED={seed}");
    seed
}

/// A small generator (SplitMix64): equal seeds draw equal numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator at its beginning.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A time from `low` to `high` milliseconds, `high` excluded. An empty range gives `low`.
    pub fn millis(&mut self, low: u64, high: u64) -> Duration {
        let width = high.saturating_sub(low).max(1);
        Duration::from_millis(low + self.next_number() % width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_equal_numbers_within_their_bounds() {
        let (mut one, mut other) = (Random::new(7), Random::new(7));
        let drawn: Vec<Duration> = (0..1_000).map(|_| one.millis(20, 300)).collect();
        assert!((0..1_000).all(|at| drawn[at] == other.millis(20, 300)));
        let bounds = Duration::from_millis(20)..Duration::from_millis(300);
        assert!(drawn.iter().all(|time| bounds.contains(time)));
        assert!(drawn.iter().any(|time| *time != drawn[0]));
    }
}
