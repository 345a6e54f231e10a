//! The serial chain of one device: which of its records we have, which we miss, which are gone.
//!
//! A device numbers all its records in one sequence and keeps the newest of them in a ring.
//! Every serial up to the newest is therefore in exactly one of three places: stored, missing
//! (to be asked for) or gone (counted). [`Chain`] keeps the last two and the newest; that
//! nothing is missing is the proof that nothing was missed. It is the state of one device
//! without clock or I/O, small enough for one column, and changes only through its methods:
//! callers work on a clone and keep it after the commit, so that the chain never runs ahead of
//! the rows. A serial must never leave the missing ones except by being stored, or by the
//! device's own answer that it has it no more.

mod post;
mod ranges;
mod text;

pub use post::PostStep;

use event::{Completeness, WallTime};
use ranges::Ranges;
use text::MAX_COUNT;

/// Highest serial taken for one: devices count in 32 bits.
const MAX_SERIAL: u64 = u32::MAX as u64;
/// Highest serial that searches accept (`@max` of `endSerialNo` on devices).
const MAX_ASKED: u64 = 3_000_000_000;
/// Most missing ranges kept apart.
const MAX_RANGES: usize = 8;
/// The widest backlog question is `most` doubled this many times.
const MAX_SHIFT: u8 = 15;
/// A serial this far above the newest is not believed before the search shows it.
const BELIEVED_JUMP: u64 = 200_000;
/// Polls in a row that may lag behind what the stream said before a reset is suspected.
const LAGGING_POLLS: u8 = 3;

/// The chain of one device. See the module's words for what it promises.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    epoch: u32,
    /// Highest serial known in this epoch, stored or missing; zero before the first contact.
    newest: u64,
    /// Highest serial that the search itself has shown. Above it a record may exist and not
    /// be searchable yet, so nothing above it is asked for or given up.
    searched: u64,
    /// Lowest serial that the device is known to have held since we came. What it does not
    /// have below that was dropped before us.
    held_from: u64,
    lost: u64,
    before: u64,
    /// Wall time of the newest serial.
    wall: Option<WallTime>,
    /// How often the width of the next backlog question is doubled.
    shift: u8,
    /// Whose turn it is: the newest missing serials, or the oldest.
    bottom_next: bool,
    missing: Ranges,
    /// The newest at the first poll that lagged behind it, and how many have since. Not
    /// written down: a restart only counts from one again.
    behind: Option<(u64, u8)>,
}

/// What a serial that came by itself (stream or post) means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Above the newest: store it.
    New,
    /// Not above the newest and not missing: it is stored already, or gone.
    Known,
    /// One of the missing: store it, and it need not be asked for.
    Filling,
    /// Not to be believed by itself (no serial, too far above, or not above the newest and yet
    /// of a later time, as after a reset): let the search run now and store what that shows.
    Doubtful,
}

/// What the newest serial on the device means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newest {
    /// Nothing new.
    Same,
    /// That many serials are newly known and missing.
    Ahead(u64),
    /// It is below one that the device has shown before. A device whose clock was set back
    /// lists by time and says so without a reset: search this range (inclusive) and hand the
    /// answer to [`Chain::doubt_answered`]. Nothing has changed yet.
    Doubt {
        /// The range to search.
        ask: (u64, u64),
    },
    /// The device counts from the start again. The epoch has risen by one and everything it
    /// holds is missing.
    Reset,
}

impl PartialEq for Chain {
    /// Equal when they would be written down alike.
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Chain {}

impl Chain {
    /// The chain of a device never heard of.
    pub fn new() -> Self {
        Self::default()
    }

    /// How often the device has begun to count again since we know it.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The highest serial known; `None` before the first contact.
    pub fn newest(&self) -> Option<u64> {
        (self.newest > 0).then_some(self.newest)
    }

    /// Serials that are neither stored nor known to be gone. For a device that can be asked,
    /// each of them will be.
    pub fn missing(&self) -> u64 {
        self.missing.count()
    }

    /// Serials that the device held, or wrote, since we know it and that it no longer has:
    /// the ring ran over, or the log was cleared. Over all epochs.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Serials that the ring had dropped before the first contact. Nobody's loss.
    pub fn before(&self) -> u64 {
        self.before
    }

    /// What can be said now. `can_ask`: the device can be dialled and searches by serial.
    pub fn completeness(&self, can_ask: bool) -> Completeness {
        match (self.newest, can_ask && self.missing() == 0) {
            (0, _) => Completeness::Unproven,
            (_, true) => Completeness::Proven,
            (_, false) => Completeness::Seen,
        }
    }

    /// What a serial means that came by itself, with the wall time of its record. Changes
    /// nothing: `New` and `Filling` are stored and then reported with [`Chain::stored`].
    pub fn hint(&self, serial: u64, wall: Option<WallTime>) -> Hint {
        if serial == 0 || serial > MAX_SERIAL {
            return Hint::Doubtful;
        }
        if serial > self.newest {
            let believed = self.newest == 0 || serial - self.newest <= BELIEVED_JUMP;
            return if believed { Hint::New } else { Hint::Doubtful };
        }
        if self.is_later(wall) {
            return Hint::Doubtful;
        }
        if self.missing.contains(serial) {
            Hint::Filling
        } else {
            Hint::Known
        }
    }

    /// True for a serial that is neither stored nor known to be gone, also for one that is no
    /// serial of this count.
    pub fn lacks(&self, serial: u64) -> bool {
        serial == 0 || serial > self.newest || self.missing.contains(serial)
    }

    /// These serials are stored, from whatever channel. What lies between the newest so far
    /// and one above it becomes missing. `newest_wall` is the wall time of the highest of
    /// them. Call it on a clone and keep the clone only after the commit.
    pub fn stored(&mut self, serials: &[u64], newest_wall: Option<WallTime>) {
        let (mut highest, before) = (0, self.newest);
        for &serial in serials {
            if serial == 0 || serial > MAX_SERIAL {
                continue;
            }
            highest = highest.max(serial);
            self.held_from = match self.held_from {
                0 => serial,
                held => held.min(serial),
            };
            if serial > self.newest {
                self.missing.insert(self.newest + 1, serial - 1);
                self.newest = serial;
            } else {
                self.missing.take(serial, serial);
            }
        }
        let raised = self.newest > before;
        if highest == self.newest && (raised || newest_wall.is_some()) {
            self.wall = newest_wall;
        }
        self.missing.squeeze(MAX_RANGES);
    }

    /// The search showed this as the newest serial on the device (take the highest serial of
    /// the newest page: devices order it by time). At the first contact all of 1 to `newest`
    /// becomes missing, because only asking tells how far back the ring reaches. A restart of
    /// the count is never concluded from this alone, see [`Newest::Doubt`].
    pub fn device_says_newest(&mut self, newest: u64) -> Newest {
        if newest == 0 || newest > MAX_SERIAL {
            return Newest::Same;
        }
        if newest > self.newest {
            let ahead = newest - self.newest;
            if self.newest == 0 {
                self.held_from = newest;
            }
            self.missing.insert(self.newest + 1, newest);
            self.missing.squeeze(MAX_RANGES);
            (self.newest, self.searched, self.behind) = (newest, newest, None);
            self.wall = None;
            return Newest::Ahead(ahead);
        }
        if newest < self.searched {
            return self.doubt(self.searched);
        }
        self.searched = newest;
        if newest == self.newest {
            self.behind = None;
            return Newest::Same;
        }
        self.lagging(newest)
    }

    /// The record by which one can tell that the device still counts as it did: the newest
    /// known serial, when its wall time is known. A device that began again and has passed
    /// that serial before it was asked shows another record under it.
    pub fn anchor(&self) -> Option<u64> {
        self.newest().filter(|_| self.wall.is_some())
    }

    /// Whether this wall time of the [anchor](Self::anchor) is the one that was stored. A
    /// difference of whole quarters of an hour within a day says nothing: a device whose zone
    /// was changed writes its old records anew.
    pub fn is_anchored(&self, wall: WallTime) -> bool {
        const QUARTER: i64 = 900;
        const DAY: i64 = 26 * 3_600;
        let apart = |known: WallTime| known.seconds_as_utc().abs_diff(wall.seconds_as_utc());
        let apart = self.wall.map_or(0, apart);
        let apart = i64::try_from(apart).unwrap_or(i64::MAX);
        apart % QUARTER == 0 && apart <= DAY
    }

    /// The device shows another record under the [anchor](Self::anchor)'s serial: it has begun
    /// to count again, and `newest` is its newest serial now.
    pub fn anchor_lost(&mut self, newest: u64) {
        if (1..=MAX_SERIAL).contains(&newest) {
            self.begin_epoch(newest);
        }
    }

    /// The answer to [`Newest::Doubt`]: `newest` and `ask` as they were, `got` the serials
    /// found in `ask`. With nothing found the device has begun to count again.
    pub fn doubt_answered(&mut self, newest: u64, ask: (u64, u64), got: &[u64]) -> Newest {
        if newest == 0 || newest > MAX_SERIAL {
            return Newest::Same;
        }
        let in_range = |serial: &&u64| ask.0 <= **serial && **serial <= ask.1;
        match got.iter().filter(in_range).max() {
            Some(&highest) => {
                self.behind = None;
                self.device_says_newest(highest)
            }
            None if got.is_empty() => {
                self.begin_epoch(newest);
                Newest::Reset
            }
            // Something came, and nothing of what was asked for: the device does not search
            // by serial, and nothing follows from its answer.
            None => Newest::Doubt { ask },
        }
    }

    /// Where a poll may begin that has no other way to see the newest serial: the last one
    /// that the search has shown, to the end. The answer holds at least that one unless the
    /// device has begun to count again; hand it to [`Chain::answered`].
    pub fn poll_range(&self) -> (u64, u64) {
        open_range(self.searched.max(1))
    }

    /// The next question (inclusive), `None` when nothing is left that the device could
    /// answer. In turns: the newest missing serials, at most `most` of them, then the oldest,
    /// at most `most` doubled with every empty answer, so that a stretch that the ring has
    /// dropped is crossed in few questions.
    ///
    /// Ask for one page at position 0; then report it with [`Chain::answered`] when the
    /// device has said that this was all, else with [`Chain::more`].
    pub fn next_range(&self, most: u32) -> Option<(u64, u64)> {
        let most = u64::from(most.max(1));
        let all = self.missing.all();
        let askable = |range: &&(u64, u64)| range.0 <= self.searched;
        if self.bottom_next {
            let &(begin, end) = all.first().filter(askable)?;
            let width = most << self.shift;
            return Some((begin, end.min(self.searched).min(begin + width - 1)));
        }
        let &(begin, end) = all.iter().rev().find(askable)?;
        let end = end.min(self.searched);
        Some((begin.max((end + 1).saturating_sub(most)), end))
    }

    /// The device has answered the whole range, with these serials, and they are stored.
    /// What it did not give is gone: counted as lost, or as dropped before us. Serials above
    /// all that the search has shown stay missing, they may not be searchable yet.
    pub fn answered(&mut self, range: (u64, u64), got: &[u64]) {
        self.shown(got);
        let gone = self.missing.take(range.0, range.1.min(self.searched));
        gone.iter().for_each(|piece| self.count_gone(*piece));
        self.missing.squeeze(MAX_RANGES);
        if range.1 >= MAX_ASKED {
            // A poll of the open end is nobody's turn.
            return;
        }
        if self.bottom_next {
            let wider = (self.shift + 1).min(MAX_SHIFT);
            self.shift = if got.is_empty() { wider } else { 0 };
        }
        self.bottom_next = !self.bottom_next;
    }

    /// The device has given these serials of the range, they are stored, and it has more.
    /// False when none of them was missing: the device does not keep to the range, and only
    /// a walk over all its pages gets on.
    pub fn more(&mut self, range: (u64, u64), got: &[u64]) -> bool {
        let in_range = |serial: &&u64| range.0 <= **serial && **serial <= range.1;
        let mut wanted = got.iter().filter(in_range);
        let progress = wanted.any(|serial| *serial > self.newest || self.missing.contains(*serial));
        self.shown(got);
        if self.bottom_next {
            self.shift = self.shift.saturating_sub(1);
        }
        self.bottom_next = !self.bottom_next;
        progress
    }

    fn shown(&mut self, got: &[u64]) {
        self.stored(got, None);
        let counted = got.iter().filter(|serial| **serial <= MAX_SERIAL);
        self.searched = counted.fold(self.searched, |high, serial| high.max(*serial));
    }

    /// The search is behind what the stream has brought. For a moment that is normal; when it
    /// does not catch up with what was stored three polls ago, the stream's serials were of
    /// an earlier count.
    fn lagging(&mut self, newest: u64) -> Newest {
        match self.behind {
            Some((expected, polls)) if newest < expected => {
                if polls >= LAGGING_POLLS {
                    return self.doubt(expected);
                }
                self.behind = Some((expected, polls + 1));
            }
            _ => self.behind = Some((self.newest, 1)),
        }
        Newest::Same
    }

    fn doubt(&self, from: u64) -> Newest {
        Newest::Doubt {
            ask: open_range(from),
        }
    }

    fn is_later(&self, wall: Option<WallTime>) -> bool {
        matches!((wall, self.wall), (Some(wall), Some(known)) if wall > known)
    }

    fn begin_epoch(&mut self, newest: u64) {
        let gone = std::mem::take(&mut self.missing);
        gone.all().iter().for_each(|range| self.count_gone(*range));
        let mut missing = Ranges::default();
        missing.insert(1, newest);
        *self = Self {
            epoch: self.epoch.saturating_add(1),
            newest,
            searched: newest,
            // We knew the device before it began again, so nothing of the new count was
            // dropped before us.
            held_from: 1,
            lost: self.lost,
            before: self.before,
            missing,
            ..Self::default()
        };
    }

    fn count_gone(&mut self, (begin, end): (u64, u64)) {
        let before = self.held_from.min(end + 1).saturating_sub(begin);
        let lost = end + 1 - begin - before;
        self.before = (self.before + before).min(MAX_COUNT);
        self.lost = (self.lost + lost).min(MAX_COUNT);
    }
}

fn open_range(begin: u64) -> (u64, u64) {
    (begin, begin.max(MAX_ASKED))
}
