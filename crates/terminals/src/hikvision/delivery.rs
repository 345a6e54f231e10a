//! Which rows of a device have reached whoever asks it, as far as a device can know.
//!
//! A row that a search handed out has, whatever the order of the questions. Of a row on a live
//! stream nobody tells a device whether it arrived: it counts once the device was looked at
//! afterwards without a question for anything new, because a reader that lacked the row would
//! have asked for it. Nothing here does I/O or reads a clock.

use std::collections::BTreeSet;

/// Searches that bring nothing new before what was streamed counts as there.
const LOOKS: u32 = 2;

/// The rows of one epoch, by serial.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Everything up to here is there, or was lost.
    upto: u64,
    /// What is there beyond that.
    beyond: BTreeSet<u64>,
    /// What went out on a stream and was not asked for.
    streamed: BTreeSet<u64>,
    /// Searches in a row that brought nothing new.
    looks: u32,
}

impl Delivery {
    /// Everything up to that serial is nobody's business any more.
    pub(super) fn new(upto: u64) -> Self {
        Self {
            upto,
            beyond: BTreeSet::new(),
            streamed: BTreeSet::new(),
            looks: 0,
        }
    }

    /// A search handed these out, perhaps none; answers how many rows are there now that were not.
    pub(super) fn handed(&mut self, serials: impl Iterator<Item = u64>) -> u64 {
        let before = self.there();
        self.take(serials);
        self.looks = match self.there() > before {
            true => 0,
            false => self.looks.saturating_add(1),
        };
        if self.looks >= LOOKS {
            let streamed = std::mem::take(&mut self.streamed);
            self.take(streamed.into_iter());
        }
        self.there() - before
    }

    /// A row went out on a stream.
    pub(super) fn streamed(&mut self, serial: u64) {
        if serial > self.upto && !self.beyond.contains(&serial) && self.streamed.insert(serial) {
            self.looks = 0;
        }
    }

    /// A row and every one before it is there; answers how many were not.
    pub(super) fn up_to(&mut self, serial: u64) -> u64 {
        let before = self.there();
        self.raise(serial);
        self.there() - before
    }

    /// The row after the last one in order was lost on purpose; false when it is another one.
    pub(super) fn lost(&mut self, serial: u64) -> bool {
        let next = serial == self.upto + 1;
        if next {
            self.raise(serial);
        }
        next
    }

    /// The log dropped every row up to that serial; answers how many had not arrived.
    pub(super) fn dropped(&mut self, serial: u64) -> u64 {
        let missing = self.missing(serial.max(self.upto));
        self.raise(serial);
        missing
    }

    /// Rows up to `newest` that have not arrived.
    pub(super) fn missing(&self, newest: u64) -> u64 {
        let there = self.beyond.range(..=newest).count();
        newest
            .saturating_sub(self.upto)
            .saturating_sub(u64::try_from(there).unwrap_or(u64::MAX))
    }

    fn there(&self) -> u64 {
        self.upto + u64::try_from(self.beyond.len()).unwrap_or(u64::MAX)
    }

    fn take(&mut self, serials: impl Iterator<Item = u64>) {
        for serial in serials.filter(|serial| *serial > self.upto) {
            self.streamed.remove(&serial);
            self.beyond.insert(serial);
        }
        while self.beyond.remove(&(self.upto + 1)) {
            self.upto += 1;
        }
    }

    fn raise(&mut self, serial: u64) {
        if serial <= self.upto {
            return;
        }
        self.upto = serial;
        self.beyond = self.beyond.split_off(&(self.upto + 1));
        self.streamed = self.streamed.split_off(&(self.upto + 1));
        self.take(std::iter::empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_there_in_whatever_order_they_were_asked_for() {
        let mut delivery = Delivery::new(10);
        assert_eq!(delivery.handed([20, 18, 19].into_iter()), 3);
        assert_eq!(delivery.missing(20), 7);
        assert_eq!(delivery.handed((11..=18).rev()), 7);
        assert_eq!((delivery.missing(20), delivery.upto), (0, 20));
        assert_eq!(delivery.handed([15, 20].into_iter()), 0);
    }

    #[test]
    fn a_streamed_row_is_there_when_two_looks_asked_for_nothing_new() {
        let mut delivery = Delivery::new(0);
        delivery.handed([1].into_iter());
        delivery.streamed(2);
        delivery.streamed(3);
        assert_eq!(delivery.handed([3].into_iter()), 1);
        assert_eq!(delivery.handed(std::iter::empty()), 0);
        assert_eq!(delivery.missing(3), 1);
        assert_eq!(delivery.handed(std::iter::empty()), 1);
        assert_eq!(delivery.missing(3), 0);
    }

    #[test]
    fn what_the_log_dropped_is_lost_only_where_it_was_never_handed_out() {
        let mut delivery = Delivery::new(0);
        delivery.handed([2, 5].into_iter());
        assert_eq!(delivery.dropped(3), 2);
        assert_eq!((delivery.missing(5), delivery.upto), (1, 3));
        assert!(!delivery.lost(6) && delivery.lost(4));
        assert_eq!(delivery.missing(5), 0);
        assert_eq!(delivery.up_to(9), 4);
    }
}
