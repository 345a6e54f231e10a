//! Walking over all pages of one search.
//!
//! A page with fewer records than asked for is not the last one: devices cut the page down
//! silently. Only the status ends a walk, or a limit: positions that a device does not serve,
//! or a device that says MORE and gives nothing, or the same page again. A walk must never end as whole when records
//! that the device itself has counted did not come.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::search::{Page, PageStatus, Question, SearchRange};

/// How often a page may be empty although more is promised.
const EMPTY_TRIES: u8 = 3;

/// What a page means for the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkStep {
    /// Ask [`Walk::question`] next.
    Next,
    /// All that matches has come.
    Whole,
    /// The device ended the search before all that it had counted came: ask once more before
    /// anything is taken for gone.
    Short,
    /// More matches than there are positions: cut the range and begin again. By serial, go on
    /// from the serials that have come; by time, halve the window.
    TooMany,
    /// More was promised, and three times nothing was given, or the same page again.
    Stuck,
}

/// One search over all its pages.
#[derive(Debug, Clone)]
pub struct Walk {
    question: Question,
    position_limit: u32,
    empty: u8,
    /// What the last page was, as a hash of its records.
    last: Option<u64>,
}

impl Walk {
    /// Begins at position 0. `page` and `position_limit` come from the capabilities;
    /// `search_id` must be new.
    pub fn new(range: SearchRange, page: u32, position_limit: u32, search_id: String) -> Self {
        Self {
            question: Question {
                range,
                position: 0,
                page: page.max(1),
                search_id,
            },
            position_limit,
            empty: 0,
            last: None,
        }
    }

    /// The page to ask for now.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// How many records have come.
    pub fn received(&self) -> u32 {
        self.question.position
    }

    /// The answer to [`Walk::question`].
    pub fn take(&mut self, page: &Page) -> WalkStep {
        let came = page.len();
        let position = self.question.position.saturating_add(came);
        self.question.position = position;
        if page.status != PageStatus::More {
            let whole = page.total <= u64::from(position);
            return if whole {
                WalkStep::Whole
            } else {
                WalkStep::Short
            };
        }
        if came == 0 {
            self.empty += 1;
            return if self.empty < EMPTY_TRIES {
                WalkStep::Next
            } else {
                WalkStep::Stuck
            };
        }
        self.empty = 0;
        let this = Some(hash(page));
        if self.last == this {
            return WalkStep::Stuck;
        }
        self.last = this;
        if position > self.position_limit {
            return WalkStep::TooMany;
        }
        WalkStep::Next
    }
}

/// Two pages of records that are told alike have the same.
fn hash(page: &Page) -> u64 {
    let mut hasher = DefaultHasher::new();
    for record in &page.records {
        let raw = match record {
            Ok(record) => &record.raw,
            Err(unreadable) => &unreadable.raw,
        };
        raw.hash(&mut hasher);
    }
    hasher.finish()
}
