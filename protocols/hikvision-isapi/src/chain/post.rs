//! The chain of a device that only posts: it cannot be asked, so a gap is seen, not filled.
//!
//! The same state as for devices that are asked, with other moves. What is missing may still
//! come late by itself and closes its gap then; when more gaps are open than are kept, the
//! oldest is given up and counted. A post must never be refused because of its serial: every
//! answer here is about the count, the event itself is stored by its identity.

use event::WallTime;

use super::ranges::Ranges;
use super::{Chain, MAX_RANGES, MAX_SERIAL};

/// What a posted serial says about the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostStep {
    /// No serial: zero, or more than a device can count to. The chain is unchanged.
    NoSerial,
    /// The first serial heard of this device; what was before it is unknown.
    First,
    /// Newer than all before it.
    New {
        /// Serials between it and the newest before; zero when the chain is unbroken.
        gap: u64,
    },
    /// It came late and was counted as missing until now.
    Late,
    /// Not newer and not missing: replayed, or posted twice.
    Known,
    /// The device counts from the start again: a new epoch has begun with this serial.
    Reset,
}

impl Chain {
    /// Takes in the serial of a post. `ring` is how many records the device keeps (150,000
    /// where unknown). A serial that lies more than half of it below the newest, with a later
    /// wall time, means that the device has begun to count again; an earlier or missing time
    /// means replayed history.
    ///
    /// Call it on a clone and keep the clone only after the commit.
    pub fn post_only(&mut self, serial: u64, wall: Option<WallTime>, ring: u64) -> PostStep {
        let step = self.post(serial, wall, ring);
        self.give_up_oldest();
        step
    }

    /// The same for a device that will be asked one day: nothing that is missing is given up.
    pub fn post_before_asked(
        &mut self,
        serial: u64,
        wall: Option<WallTime>,
        ring: u64,
    ) -> PostStep {
        let step = self.post(serial, wall, ring);
        self.missing.squeeze(MAX_RANGES);
        step
    }

    /// This chain and another copy of it that has grown by itself, put together: a serial is
    /// missing only when neither has it, and the newest is the newer one's. A copy that has
    /// begun to count again wins, because what the other says is of an earlier count.
    /// `asked_later`: the device will be asked one day, so that no gap is given up when there
    /// are more than are kept apart.
    #[must_use]
    pub fn with(&self, other: &Self, asked_later: bool) -> Self {
        let (old, new) = if (self.epoch, self.newest) <= (other.epoch, other.newest) {
            (self, other)
        } else {
            (other, self)
        };
        let mut both = new.clone();
        both.lost = old.lost.max(new.lost);
        both.before = old.before.max(new.before);
        if old.newest == 0 || old.epoch != new.epoch {
            return both;
        }
        both.searched = old.searched.max(new.searched);
        // What the old one has is there: all it knows of, and does not miss.
        let mut had = Ranges::default();
        had.insert(old.held_from, old.newest);
        for &(begin, end) in old.missing.all() {
            had.take(begin, end);
        }
        for &(begin, end) in had.all() {
            both.missing.take(begin, end);
        }
        // What lies before the new one's first is known to the old one only.
        if let Some(before) = new.held_from.checked_sub(1) {
            for &(begin, end) in old.missing.all() {
                both.missing.insert(begin, end.min(before));
            }
            both.missing.insert(old.newest + 1, before);
            both.held_from = old.held_from.min(new.held_from);
        }
        if asked_later {
            both.missing.squeeze(MAX_RANGES);
        } else {
            both.give_up_oldest();
        }
        both
    }

    fn post(&mut self, serial: u64, wall: Option<WallTime>, ring: u64) -> PostStep {
        if serial == 0 || serial > MAX_SERIAL {
            return PostStep::NoSerial;
        }
        if self.newest == 0 {
            self.newest = serial;
            self.held_from = serial;
            self.wall = wall;
            return PostStep::First;
        }
        if serial > self.newest {
            let gap = serial - self.newest - 1;
            self.missing.insert(self.newest + 1, serial - 1);
            self.newest = serial;
            self.wall = wall.or(self.wall);
            return PostStep::New { gap };
        }
        if self.newest - serial > ring / 2 && self.is_later(wall) {
            self.begin_epoch(serial);
            self.missing.take(serial, serial);
            self.searched = 0;
            self.wall = wall;
            return PostStep::Reset;
        }
        if self.missing.take(serial, serial).is_empty() {
            return PostStep::Known;
        }
        PostStep::Late
    }

    /// Nothing can be fetched here, so joining gaps would only make the count wrong: the
    /// oldest gap becomes a loss instead.
    fn give_up_oldest(&mut self) {
        while self.missing.all().len() > MAX_RANGES {
            if let Some(range) = self.missing.pop_lowest() {
                self.count_gone(range);
            }
        }
    }
}
