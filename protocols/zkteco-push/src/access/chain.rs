//! The index chain of one access-control terminal: which of its records came, and which did not.
//!
//! A terminal numbers its records with `index`, one after the other, until its log is cleared;
//! then it begins again. Between the lowest and the highest index that came, each is therefore
//! stored, missing, or known to be gone. [`IndexChain`] keeps the last two. It is a state without
//! clock or I/O, small enough for one column; callers change a clone and keep it after the
//! commit of the rows that it speaks of.
//!
//! It may think worse of the truth, never better. A record with a known index and a later time
//! than any before means that the count began again: that opens a new epoch in which everything
//! is missing that has not come. When this was a clock's doing, the terminal's next full answer
//! puts it right.

use event::{Completeness, WallTime};

use super::ranges::Ranges;
use crate::packed::{pack, unpack};

/// Highest index taken for one: terminals count in 32 bits.
pub const MAX_INDEX: u64 = u32::MAX as u64;
/// Most missing ranges kept apart.
const MAX_RANGES: usize = 6;
/// Highest count written down.
const MAX_COUNT: u64 = 999_999_999_999;
/// What a written chain begins with.
const VERSION: &str = "1";

/// A record's place in its terminal's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number, 1 to [`MAX_INDEX`].
    pub index: u64,
    /// Its wall time; `None` when the clock that wrote it is not to be believed.
    pub wall: Option<WallTime>,
}

/// How far the terminal had come when it was asked for everything it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    epoch: u32,
    newest: u64,
}

/// The chain of one terminal. See the module's words for what it promises.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexChain {
    epoch: u32,
    /// Lowest index known in this epoch; zero before the first record.
    first: u64,
    newest: u64,
    newest_wall: Option<WallTime>,
    /// Latest wall time of any record of this epoch.
    latest: Option<WallTime>,
    /// Up to here the terminal has given all that it holds, and its count agreed; zero: never.
    agreed: u64,
    gone: u64,
    missing: Ranges,
}

impl IndexChain {
    /// The chain of a terminal never heard of.
    pub fn new() -> Self {
        Self::default()
    }

    /// How often the terminal has begun to count again since we know it.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The highest index known; `None` before the first record.
    pub fn newest(&self) -> Option<u64> {
        (self.newest > 0).then_some(self.newest)
    }

    /// Records that should be there and have not come, and are not known to be gone.
    pub fn missing(&self) -> u64 {
        self.missing.count()
    }

    /// The missing ones as ranges (inclusive), lowest first.
    pub fn gaps(&self) -> &[(u64, u64)] {
        self.missing.all()
    }

    /// Records that the terminal wrote since we know it and no longer holds. Over all epochs.
    pub fn gone(&self) -> u64 {
        self.gone
    }

    /// What can be said now.
    pub fn completeness(&self) -> Completeness {
        match (self.newest, self.agreed > 0 && self.missing() == 0) {
            (0, _) => Completeness::Unproven,
            (_, true) => Completeness::Proven,
            (_, false) => Completeness::Seen,
        }
    }

    /// These records are stored, in whatever order they came. True when they show that the
    /// terminal began to count again.
    pub fn stored(&mut self, places: &[Place]) -> bool {
        let usable = |place: &&Place| (1..=MAX_INDEX).contains(&place.index);
        let mut places: Vec<Place> = places.iter().filter(usable).copied().collect();
        places.sort_unstable_by_key(|place| place.index);
        let restarted = places.iter().any(|place| self.is_of_another_count(*place));
        if restarted {
            let latest = self.latest;
            // What is older still belongs to the count that has ended.
            places.retain(|place| place.wall > latest);
            self.begin_epoch(places.last().map_or(0, |place| place.index));
        }
        for place in places {
            self.take(place);
        }
        self.missing.squeeze(MAX_RANGES);
        restarted
    }

    /// To be remembered when the terminal is asked for everything.
    pub fn ask(&self) -> Question {
        Question {
            epoch: self.epoch,
            newest: self.newest,
        }
    }

    /// The terminal has given all that it holds, all of it is stored, and its own count of it
    /// agreed. What was missing then and did not come is gone. Answers how many that are.
    pub fn answered_in_full(&mut self, question: Question) -> u64 {
        if question.epoch != self.epoch || question.newest == 0 {
            return 0;
        }
        let gone = self.missing.take(1, question.newest);
        self.gone = (self.gone + gone).min(MAX_COUNT);
        self.agreed = self.agreed.max(question.newest);
        gone
    }

    fn is_of_another_count(&self, place: Place) -> bool {
        if place.index > self.newest || place.wall.is_none() {
            return false;
        }
        let later = self.latest.is_some() && place.wall > self.latest;
        let known = place.index == self.newest && self.newest_wall.is_some();
        later || (known && place.wall != self.newest_wall)
    }

    fn begin_epoch(&mut self, newest: u64) {
        let gone = self.gone + self.missing.count();
        *self = Self {
            epoch: self.epoch.saturating_add(1),
            // We knew the terminal before, so that nothing of the new count was before us.
            first: 1,
            newest,
            gone: gone.min(MAX_COUNT),
            ..Self::default()
        };
        self.missing.insert(1, newest);
    }

    fn take(&mut self, Place { index, wall }: Place) {
        if self.newest == 0 {
            (self.first, self.newest) = (index, index);
        } else if index > self.newest {
            self.missing.insert(self.newest + 1, index - 1);
            self.newest = index;
            self.newest_wall = None;
        } else if index < self.first {
            self.missing.insert(index + 1, self.first - 1);
            self.first = index;
        } else {
            self.missing.take(index, index);
        }
        if index == self.newest {
            self.newest_wall = wall.or(self.newest_wall);
        }
        self.latest = self.latest.max(wall);
    }

    /// The chain as text of at most 180 bytes, for one column.
    pub fn text(&self) -> String {
        let packed = |wall: Option<WallTime>| base36(wall.and_then(|at| pack(&at)).unwrap_or(0));
        let head = [
            VERSION.to_owned(),
            base36(u64::from(self.epoch)),
            base36(self.first),
            base36(self.newest),
            packed(self.newest_wall),
            packed(self.latest),
            base36(self.agreed),
            base36(self.gone),
        ];
        let ranges = self.missing.all().iter();
        let ranges =
            ranges.map(|(begin, end)| format!("{}+{}", base36(*begin), base36(end - begin)));
        head.into_iter().chain(ranges).collect::<Vec<_>>().join(" ")
    }

    /// Reads what [`IndexChain::text`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next()? != VERSION {
            return None;
        }
        let mut number = || u64::from_str_radix(words.next()?, 36).ok();
        let epoch = u32::try_from(number()?).ok()?;
        let (first, newest) = (number()?, number()?);
        let (newest_wall, latest) = (wall(number()?)?, wall(number()?)?);
        let (agreed, gone) = (number()?, number()?);
        let mut missing = Ranges::default();
        for word in words {
            let (begin, more) = word.split_once('+')?;
            let begin = u64::from_str_radix(begin, 36).ok()?;
            let end = begin.checked_add(u64::from_str_radix(more, 36).ok()?)?;
            missing.insert(begin, end);
        }
        let end = missing.all().last().map_or(0, |range| range.1);
        let sound = first <= newest && newest <= MAX_INDEX && end <= newest && gone <= MAX_COUNT;
        sound.then_some(Self {
            epoch,
            first,
            newest,
            newest_wall,
            latest,
            agreed,
            gone,
            missing,
        })
    }
}

/// A packed time where zero says that there is none; `None` when it is no time.
fn wall(packed: u64) -> Option<Option<WallTime>> {
    if packed == 0 {
        return Some(None);
    }
    unpack(packed).map(Some)
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).unwrap_or(0);
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
