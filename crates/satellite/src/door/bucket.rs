//! How fast one party may ask: so many requests a second, and ten seconds' worth at once.
//!
//! One number tells it: when the bucket will be full again. Time is the house's clock; a jump of
//! it can shut out nobody, because a moment that lies too far ahead is not believed.

use event::Millis;

/// Microseconds' worth of requests that may come at once.
const BURST: i64 = 10_000_000;

/// The requests of one party.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// When nothing of what it took counts any more, in microseconds.
    full_at: i64,
}

impl Bucket {
    /// Takes a request; false when more came than `rate` a second allow.
    pub(crate) fn take(&mut self, rate: u32, now: Millis) -> bool {
        let now = now.0.saturating_mul(1_000);
        let each = 1_000_000 / i64::from(rate.clamp(1, 1_000_000));
        let full_at = self.full_at.max(now);
        // Never further ahead than a whole burst, unless the clock was set back.
        let full_at = if full_at - now > BURST { now } else { full_at };
        let fits = full_at - now <= BURST - each;
        self.full_at = if fits { full_at + each } else { full_at };
        fits
    }

    /// True when it says nothing: the party has been quiet for long enough.
    pub(crate) fn is_full(&self, now: Millis) -> bool {
        self.full_at <= now.0.saturating_mul(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_worth_comes_at_once_and_then_the_rate_holds() {
        let mut bucket = Bucket::default();
        let at = |ms: i64| Millis(1_795_273_200_000 + ms);
        let taken = (0..1_000).filter(|_| bucket.take(20, at(0))).count();
        assert_eq!(taken, 200);
        assert!(!bucket.take(20, at(49)) && bucket.take(20, at(50)) && !bucket.take(20, at(51)));
        let later = (0..1_000).filter(|_| bucket.take(20, at(1_050))).count();
        assert_eq!(later, 20);
        assert!(!bucket.is_full(at(1_050)) && bucket.is_full(at(60_000)));
    }

    #[test]
    fn a_clock_that_is_set_back_shuts_nobody_out() {
        let mut bucket = Bucket::default();
        for _ in 0..200 {
            bucket.take(20, Millis(1_795_273_200_000));
        }
        assert!(bucket.take(20, Millis(1_700_000_000_000)));
    }
}
