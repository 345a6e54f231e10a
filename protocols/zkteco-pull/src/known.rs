//! What is known of a terminal's log, so that only its end needs to be read: how long it was,
//! and marks of its first and of its last records.
//!
//! A terminal gives its records no numbers. That a log went on where it was left shows only in
//! the records themselves, so that a few are read again and must be what they were. Their bytes
//! are not kept, only hashes, which fit the place where a reading's state is stored. A log whose
//! marks do not fit is read whole: nothing here may ever make a reader skip a record.

use std::fmt::Write as _;

use crate::attlog::Layout;

/// Records at the end of what is known that are read again.
pub(crate) const OVERLAP: u32 = 8;

/// The first 16 bytes of the BLAKE3 of some records.
type Mark = [u8; 16];

/// How far a log is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// How its records are laid out.
    pub layout: Layout,
    /// How many records are known, from its first on.
    pub records: u32,
    first: Mark,
    last: Mark,
}

impl Known {
    /// What is known after `records` records, of which `first` is the first and `last` the end:
    /// the last eight, or all where there are fewer. `None` when these do not fit together.
    pub fn of(layout: Layout, records: u32, first: &[u8], last: &[u8]) -> Option<Self> {
        let known = Self {
            layout,
            records,
            first: mark(first),
            last: mark(last),
        };
        let fits = records > 0 && first.len() == layout.size() && wide(last) == known.overlap();
        fits.then_some(known)
    }

    /// The same with records added: `tail` begins with the records that were read again.
    pub(crate) fn grown(&self, records: u32, tail: &[u8]) -> Self {
        let mut next = Self { records, ..*self };
        let from = tail.len().saturating_sub(usize_of(next.overlap()));
        next.last = mark(tail.get(from..).unwrap_or_default());
        next
    }

    /// Bytes of one record.
    pub(crate) fn record(&self) -> u32 {
        u32::try_from(self.layout.size()).unwrap_or(1)
    }

    /// Bytes at the end of what is known that are read again.
    pub(crate) fn overlap(&self) -> u32 {
        self.records.min(OVERLAP) * self.record()
    }

    /// Whether this is the first record of the log that is known.
    pub(crate) fn begins_with(&self, first: &[u8]) -> bool {
        mark(first) == self.first
    }

    /// Whether what is known ends with the records at the beginning of `tail`.
    pub(crate) fn ends_with(&self, tail: &[u8]) -> bool {
        let overlap = tail.get(..usize_of(self.overlap()));
        overlap.is_some_and(|overlap| mark(overlap) == self.last)
    }

    /// Looks for the end of what is known in a whole log, read anew: how many of its records
    /// come up to there. `None` when that end is not in it, so that nobody can say whether
    /// records came and went unread.
    pub fn end_in(&self, log: &[u8]) -> Option<u32> {
        let (step, overlap) = (self.layout.size(), usize_of(self.overlap()));
        let from = log.len().checked_sub(overlap)?;
        let mut places = (0..from + 1).step_by(step).rev();
        let place = places.find(|at| log.get(*at..).is_some_and(|rest| self.ends_with(rest)))?;
        u32::try_from((place + overlap) / step).ok()
    }

    /// One line that stands for it in a store.
    pub fn text(&self) -> String {
        let mut text = format!("1 {} {} ", self.layout.as_str(), self.records);
        for byte in self.first.iter().chain(&self.last) {
            // Writing into a string cannot fail.
            write!(text, "{byte:02x}").ok();
        }
        text
    }

    /// Reads such a line; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (version, layout) = (words.next()?, words.next()?);
        let (records, marks) = (words.next()?.parse().ok()?, words.next()?);
        let sound = version == "1" && words.next().is_none() && records > 0;
        if !sound || marks.len() != 64 || !marks.is_ascii() {
            return None;
        }
        let byte = |at: usize| u8::from_str_radix(marks.get(2 * at..2 * at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
        let bytes = bytes?;
        Some(Self {
            layout: Layout::from_word(layout)?,
            records,
            first: *bytes.first_chunk()?,
            last: *bytes.last_chunk()?,
        })
    }
}

fn mark(records: &[u8]) -> Mark {
    let hash = blake3::hash(records);
    let mut mark = [0; 16];
    for (to, from) in mark.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    mark
}

fn wide(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn usize_of(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(from: u32, count: u32) -> Vec<u8> {
        let row = |n: u32| [n.to_le_bytes(), [7; 4], [1; 4], [0; 4]].concat();
        (from..from + count).flat_map(row).collect()
    }

    fn known(count: u32) -> Known {
        let log = log(0, count);
        let from = log.len() - usize_of(count.min(OVERLAP)) * 16;
        Known::of(Layout::Sixteen, count, &log[..16], &log[from..]).unwrap()
    }

    #[test]
    fn the_line_reads_back_and_another_text_is_none() {
        for count in [1, 8, 1_000_000] {
            let known = Known {
                records: count,
                ..known(9)
            };
            assert_eq!(Known::parse(&known.text()), Some(known));
            assert!(known.text().len() <= 190, "longer than a cursor may be");
        }
        let good = known(3).text();
        for bad in [
            "",
            "1 attlog-16 3 00",
            &good.replace("1 ", "2 "),
            &format!("{good} x"),
        ] {
            assert_eq!(Known::parse(bad), None, "{bad}");
        }
        let accents = format!("1 attlog-16 3 {}", "é".repeat(32));
        assert_eq!(Known::parse(&accents), None);
    }

    #[test]
    fn a_log_that_rolled_shows_where_the_known_part_ends_and_a_cleared_one_does_not() {
        let known = known(100);
        assert_eq!(known.end_in(&log(0, 100)), Some(100));
        assert_eq!(known.end_in(&log(40, 90)), Some(60));
        assert_eq!(known.end_in(&log(100, 500)), None);
        assert_eq!(known.end_in(&[]), None);
    }

    #[test]
    fn what_does_not_fit_together_is_not_known() {
        let log = log(0, 3);
        assert_eq!(Known::of(Layout::Sixteen, 3, &log[..15], &log), None);
        assert_eq!(Known::of(Layout::Sixteen, 4, &log[..16], &log), None);
        assert_eq!(Known::of(Layout::Sixteen, 0, &log[..16], &[]), None);
    }
}
