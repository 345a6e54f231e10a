//! What is handed to a store at once, and what comes back.
//!
//! A [`Submission`] is everything that one request brought: it is committed whole, in one
//! transaction, or not at all. Its [`Receipt`] is counted inside that transaction.

use std::ops::AddAssign;

use event::{Event, Quarantined, Reason, SharedDevice, Text};

/// Proof that the sender may dial the terminal whose records it brings: the number of the
/// lease it held when it fetched them. An older number than the stored one refuses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The lease's fencing number.
    pub number: i64,
}

/// Records of one terminal that are committed together.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// Whose records they are.
    pub device: SharedDevice,
    /// What could be read.
    pub events: Vec<Event>,
    /// What could not.
    pub quarantined: Vec<Quarantined>,
    /// Cursors that move with these records: name and new value.
    pub cursors: Vec<(Text, Text)>,
    /// A cursor that must still have this value (`None`: not be there), or all is refused:
    /// its new value was made from it, and a restored database or another process may have
    /// another one by now.
    pub expects: Option<(Text, Option<Text>)>,
    /// The lease under which they were fetched, for routes that dial.
    pub fence: Option<Fence>,
}

impl Submission {
    /// Memory that waits with it, roughly, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let events: usize = self.events.iter().map(|e| 320 + e.raw.len()).sum();
        let aside: usize = self.quarantined.iter().map(|q| 200 + q.raw.len()).sum();
        256 + events + aside
    }

    /// Rows it will make at most.
    pub(crate) fn rows(&self) -> usize {
        self.events.len() + self.quarantined.len()
    }
}

/// Events that could be read and that the store itself set aside, by its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetAside {
    /// Same person and second as a stored punch, another status or verify mode.
    pub same_second: u64,
    /// Same identity as a stored event, another person or time.
    pub conflict: u64,
    /// Refused by the database for what it holds.
    pub store_refused: u64,
}

impl SetAside {
    /// Each reason with its number.
    pub fn each(self) -> [(Reason, u64); 3] {
        [
            (Reason::SameSecond, self.same_second),
            (Reason::Conflict, self.conflict),
            (Reason::StoreRefused, self.store_refused),
        ]
    }

    /// All of them.
    pub fn total(self) -> u64 {
        self.same_second + self.conflict + self.store_refused
    }

    /// Counts one; a reader's reasons are none of the store's.
    pub(crate) fn count(&mut self, reason: Reason) {
        match reason {
            Reason::SameSecond => self.same_second += 1,
            Reason::Conflict => self.conflict += 1,
            Reason::StoreRefused => self.store_refused += 1,
            Reason::Unreadable
            | Reason::BadTime
            | Reason::BadField
            | Reason::BadText
            | Reason::UnknownTable
            | Reason::UnknownTerminal => {}
        }
    }
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Receipt {
    /// Events that were not in the store before.
    pub new: u64,
    /// Events that were.
    pub duplicate: u64,
    /// Records that went to quarantine: those that came as such, and those in `by_store`.
    pub quarantined: u64,
    /// Those among them that came as events.
    pub by_store: SetAside,
    /// The lowest and the highest number in the feed of the new ones; `None` without any. New
    /// rows of other submissions of the same transaction may have numbers in between.
    pub numbers: Option<(i64, i64)>,
}

impl Receipt {
    /// An event became the row of that number.
    pub(crate) fn count_new(&mut self, seq: i64) {
        self.new += 1;
        self.reach(seq, seq);
    }

    fn reach(&mut self, low: i64, high: i64) {
        let (first, last) = self.numbers.unwrap_or((low, high));
        self.numbers = Some((first.min(low), last.max(high)));
    }
}

impl AddAssign for Receipt {
    fn add_assign(&mut self, more: Self) {
        self.new += more.new;
        self.duplicate += more.duplicate;
        self.quarantined += more.quarantined;
        self.by_store.same_second += more.by_store.same_second;
        self.by_store.conflict += more.by_store.conflict;
        self.by_store.store_refused += more.by_store.store_refused;
        if let Some((low, high)) = more.numbers {
            self.reach(low, high);
        }
    }
}
