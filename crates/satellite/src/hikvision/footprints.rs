//! What our own logins cost a device: their share of its new serials.
//!
//! A terminal writes a row for each remote login and each arming into the same memory that
//! holds punches. Whoever asks too often pushes punches out. Above five in a hundred the
//! pause between two searches doubles, up to a minute; back at half of that it halves again. Two
//! minutes are for a device whose log we would fill even then, because each request is a login.
//! Nothing here ever makes a search less complete, only later.

use std::collections::VecDeque;
use std::time::Duration;

/// New serials that are looked at together.
const WINDOW: usize = 400;
/// Fewer say nothing: a quiet night consists of our own traces only.
const ENOUGH: usize = 40;
/// Share in percent above which the pause grows.
const MOST: usize = 5;
/// The pause at the beginning.
pub(super) const SHORTEST: Duration = Duration::from_secs(5);
/// The longest pause while the live stream is alive.
const LONGEST: Duration = Duration::from_secs(60);
/// Share in percent at which even that fills the log with us: a device on which each request is
/// a login of two rows. In a month of 24,000 people it makes 158,000 rows at 60 s, and
/// 121,000 at twice that; the log holds 150,000.
const FILLING: usize = 25;
/// The pause of such a device.
const RAREST: Duration = Duration::from_secs(120);

/// The measure of one device.
#[derive(Debug)]
pub(super) struct Footprints {
    recent: VecDeque<bool>,
    since_change: usize,
    pause: Duration,
}

impl Footprints {
    pub(super) fn new() -> Self {
        Self {
            recent: VecDeque::with_capacity(WINDOW),
            since_change: 0,
            pause: SHORTEST,
        }
    }

    /// A new serial was seen; `ours` when it is a trace of our own.
    pub(super) fn saw(&mut self, ours: bool) {
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(ours);
        self.since_change += 1;
        if self.recent.len() < ENOUGH || self.since_change < ENOUGH {
            return;
        }
        let pause = self.next_pause(usize::from(self.percent()));
        if pause != self.pause {
            self.pause = pause;
            self.since_change = 0;
        }
    }

    fn next_pause(&self, percent: usize) -> Duration {
        let now = self.pause;
        match () {
            () if percent > FILLING && now >= LONGEST => RAREST,
            () if percent > MOST && now < LONGEST => (now * 2).min(LONGEST),
            () if percent * 2 <= FILLING && now > LONGEST => LONGEST,
            () if percent * 2 <= MOST => (now / 2).max(SHORTEST),
            () => now,
        }
    }

    /// Our share of the new serials, in percent; 0 before there are enough to say.
    pub(super) fn percent(&self) -> u8 {
        if self.recent.len() < ENOUGH {
            return 0;
        }
        let ours = self.recent.iter().filter(|ours| **ours).count();
        u8::try_from(ours * 100 / self.recent.len()).unwrap_or(100)
    }

    /// True while our share is above what is allowed.
    pub(super) fn is_heavy(&self) -> bool {
        usize::from(self.percent()) > MOST
    }

    /// The pause between two searches. Without a stream that brings live events a punch has no
    /// other way, so that the pause then stays short.
    pub(super) fn pause(&self, stream_is_live: bool) -> Duration {
        if stream_is_live {
            self.pause
        } else {
            self.pause.min(4 * SHORTEST)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_above_five_percent_doubles_the_pause_up_to_a_minute_and_a_low_one_takes_it_back() {
        let mut prints = Footprints::new();
        for n in 0..ENOUGH {
            prints.saw(n % 10 == 0);
        }
        assert!(prints.is_heavy());
        assert_eq!(prints.pause(true), 2 * SHORTEST);
        for n in 0..2_000 {
            prints.saw(n % 10 == 0);
        }
        assert_eq!(prints.pause(true), LONGEST);
        assert_eq!(prints.pause(false), 4 * SHORTEST);
        for _ in 0..4_000 {
            prints.saw(false);
        }
        assert!(!prints.is_heavy());
        assert_eq!(prints.pause(true), SHORTEST);
    }

    #[test]
    fn a_device_whose_log_we_would_fill_even_then_is_asked_every_two_minutes() {
        let mut prints = Footprints::new();
        for n in 0..2_000 {
            prints.saw(n % 2 == 0);
        }
        assert_eq!(prints.pause(true), RAREST);
        assert_eq!(prints.pause(false), 4 * SHORTEST);
        for n in 0..1_000 {
            prints.saw(n % 10 == 0);
        }
        assert_eq!(prints.pause(true), LONGEST);
    }

    #[test]
    fn a_handful_of_traces_in_a_quiet_night_says_nothing() {
        let mut prints = Footprints::new();
        for _ in 1..ENOUGH {
            prints.saw(true);
        }
        assert!(!prints.is_heavy());
        assert_eq!(prints.pause(true), SHORTEST);
    }
}
