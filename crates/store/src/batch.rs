//! What is handed to a store at once, and what comes back.
//!
//! A [`Submission`] is everything that one request brought: it is committed whole, in one
//! transaction, or not at all. Its [`Receipt`] is counted inside that transaction.

use event::{Event, Quarantined, SharedDevice, Text};

/// Proof that the sender may dial the terminal whose records it brings: the number of the
/// lease it held when it fetched them. An older number than the stored one refuses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The lease's fencing number.
    pub number: i64,
}

/// Records of one terminal that are committed together.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Whose records they are.
    pub device: SharedDevice,
    /// What could be read.
    pub events: Vec<Event>,
    /// What could not.
    pub quarantined: Vec<Quarantined>,
    /// Cursors that move with these records: name and new value.
    pub cursors: Vec<(Text, Text)>,
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

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Receipt {
    /// Events that were not in the store before.
    pub new: u64,
    /// Events that were.
    pub duplicate: u64,
    /// Records that went to quarantine, those of the same second included.
    pub quarantined: u64,
}
