//! What our own logins cost a device: their share of its new serials.
//!
//! A terminal writes a row for each remote login and each arming into the same memory that
//! holds punches. Whoever asks too often pushes punches out. Above five in a hundred the
//! pause between two searches doubles, up to a minute; back at half of that it halves again. Two
//! minutes are for a device whose memory would not hold a month of rows even then, because each
//! search of ours is a login. Every new serial counts, whichever way it came first.
//! Nothing here ever makes a search less complete, only later.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::intake::RING;

/// New serials that are looked at together.
const WINDOW: u64 = 400;
/// Fewer say nothing: a quiet night consists of our own traces only.
const ENOUGH: u64 = 40;
/// Share in percent above which the pause grows.
const MOST: u64 = 5;
/// The pause at the beginning.
pub(super) const SHORTEST: Duration = Duration::from_secs(5);
/// The longest pause while the live stream is alive.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest one while it is not: a punch then has no other way.
const UNSEEN: Duration = Duration::from_secs(20);
/// The pause for a device whose memory we would fill at [`LONGEST`].
const RAREST: Duration = Duration::from_secs(120);
/// Days of rows that a device's memory is to hold.
const DAYS: u64 = 31;
/// Share in percent of a day's rows below which it is not us who fill the memory.
const FILLING: u64 = 25;
/// Rows are counted by the hour, for a day.
const HOUR: Duration = Duration::from_secs(3_600);
const HOURS: u8 = 24;
/// A device whose memory we would fill on one day of a week is left alone on the others too.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3_600);

/// New serials: all of them, and those that are traces of our own.
#[derive(Debug, Clone, Copy, Default)]
struct Rows {
    all: u64,
    ours: u64,
}

impl Rows {
    fn add(&mut self, more: Self) {
        self.all += more.all;
        self.ours += more.ours;
    }

    fn percent(self) -> u64 {
        (self.ours * 100).checked_div(self.all).unwrap_or(0)
    }

    /// Whether the memory holds less than a month of such days, and a good part of it is ours.
    fn fill(self) -> bool {
        self.all * DAYS > RING && self.percent() > FILLING
    }

    /// The same with twice as many of ours.
    fn with_ours_twice(self) -> Self {
        Self {
            all: self.all + self.ours,
            ours: 2 * self.ours,
        }
    }
}

/// The measure of one device.
#[derive(Debug)]
pub(super) struct Footprints {
    /// The last rounds that brought something, as many as make a window.
    recent: VecDeque<Rows>,
    sum: Rows,
    /// The last day by the hour, and when the hour that is last began.
    day: VecDeque<Rows>,
    hour: Option<Instant>,
    /// When a day last held too much for [`LONGEST`].
    filled: Option<Instant>,
    since_change: u64,
    pause: Duration,
}

impl Footprints {
    pub(super) fn new() -> Self {
        Self {
            recent: VecDeque::new(),
            sum: Rows::default(),
            day: VecDeque::new(),
            hour: None,
            filled: None,
            since_change: 0,
            pause: SHORTEST,
        }
    }

    /// So many new serials were seen, so many of them traces of our own.
    pub(super) fn saw(&mut self, all: u64, ours: u64, now: Instant) {
        if all == 0 {
            return;
        }
        let rows = Rows { all, ours };
        self.begin_hour(now);
        if let Some(hour) = self.day.back_mut() {
            hour.add(rows);
        }
        if self.would_fill() {
            self.filled = Some(now);
        }
        self.recent.push_back(rows);
        self.sum.add(rows);
        while let Some(first) = self.recent.front().copied()
            && self.sum.all - first.all >= WINDOW
        {
            self.recent.pop_front();
            self.sum.all -= first.all;
            self.sum.ours -= first.ours;
        }
        self.since_change += all;
        if self.sum.all < ENOUGH || self.since_change < ENOUGH {
            return;
        }
        let pause = self.next_pause(now);
        if pause != self.pause {
            self.pause = pause;
            self.since_change = 0;
        }
    }

    /// Makes the last hour that is counted the present one.
    fn begin_hour(&mut self, now: Instant) {
        let began = *self.hour.get_or_insert(now);
        let hours = now.duration_since(began).as_secs() / HOUR.as_secs();
        let hours = u32::try_from(hours).unwrap_or(u32::MAX);
        let first = u32::from(self.day.is_empty());
        for _ in 0..hours.max(first).min(HOURS.into()) {
            self.day.push_back(Rows::default());
        }
        while self.day.len() > HOURS.into() {
            self.day.pop_front();
        }
        self.hour = Some(began + HOUR * hours);
    }

    /// Whether a month of days like the last one would be too much at [`LONGEST`].
    fn would_fill(&self) -> bool {
        let mut day = Rows::default();
        self.day.iter().for_each(|hour| day.add(*hour));
        match self.pause {
            LONGEST => day.fill(),
            RAREST => day.with_ours_twice().fill(),
            _ => false,
        }
    }

    fn next_pause(&self, now: Instant) -> Duration {
        let (pause, percent) = (self.pause, self.sum.percent());
        let fills = self.filled.is_some_and(|at| now.duration_since(at) < WEEK);
        match () {
            () if percent > MOST && pause < LONGEST => (pause * 2).min(LONGEST),
            () if pause >= LONGEST && fills => RAREST,
            () if pause > LONGEST => LONGEST,
            () if percent * 2 <= MOST => (pause / 2).max(SHORTEST),
            () => pause,
        }
    }

    /// Our share of the new serials, in percent; 0 before there are enough to say.
    pub(super) fn percent(&self) -> u8 {
        match self.sum.all {
            ENOUGH.. => u8::try_from(self.sum.percent()).unwrap_or(100),
            _ => 0,
        }
    }

    /// True while our share is above what is allowed.
    pub(super) fn is_heavy(&self) -> bool {
        u64::from(self.percent()) > MOST
    }

    /// The pause between two searches. Without a stream that brings live events a punch has no
    /// other way, so that the pause then stays short.
    pub(super) fn pause(&self, stream_is_live: bool) -> Duration {
        match stream_is_live {
            true => self.pause,
            false if self.pause > LONGEST => LONGEST,
            false => self.pause.min(UNSEEN),
        }
    }
}

#[cfg(test)]
#[path = "footprints_tests.rs"]
mod tests;
