//! What our own logins cost a device: their share of its new serials.
//!
//! A terminal writes a row for each remote login and each arming into the same memory that
//! holds punches. Whoever asks too often pushes punches out. Above five in a hundred the
//! pause between two searches doubles, up to a minute; back at half of that it halves again.
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
        let percent = usize::from(self.percent());
        if percent > MOST && self.pause < LONGEST {
            self.pause = (self.pause * 2).min(LONGEST);
            self.since_change = 0;
        } else if percent * 2 <= MOST && self.pause > SHORTEST {
            self.pause = (self.pause / 2).max(SHORTEST);
            self.since_change = 0;
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

    /// The pause between two searches. Without a live stream a punch has no other way, so that
    /// the pause then stays short.
    pub(super) fn pause(&self, stream_is_alive: bool) -> Duration {
        if stream_is_alive {
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
    fn a_handful_of_traces_in_a_quiet_night_says_nothing() {
        let mut prints = Footprints::new();
        for _ in 1..ENOUGH {
            prints.saw(true);
        }
        assert!(!prints.is_heavy());
        assert_eq!(prints.pause(true), SHORTEST);
    }
}
