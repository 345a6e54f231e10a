//! A log that came, or the end of one, turned into rows: in portions, the cursor with the last.
//!
//! A portion is one transaction. If one is refused, those before it are stored and the cursor
//! has not moved, so that the whole is read again and meets them as duplicates.

use std::collections::{BTreeMap, HashSet};

use event::{Event, Ident, Route, Text};
use store::{Receipt, Refused};
use zkteco_pull::{Known, Log, Punch, UserList};

use super::intake::{Intake, Rows};
use super::state::Wanted;

/// Records of one portion.
const PORTION: usize = 2_500;
/// What the cursor holds after an empty log was read; it is no known log.
const EMPTY: &str = "1 empty";

/// What the cursor shall hold when this much of the log is stored.
pub(super) fn cursor_of(known: Option<&Known>) -> Text {
    known.map_or_else(|| Text::const_new(EMPTY), |known| Text::from(known.text()))
}

/// What is known of a log by what its cursor holds. What cannot be read means: nothing, so that
/// all of it is read again.
pub(super) fn known_by(cursor: Option<&Text>) -> Option<Known> {
    let known = cursor.and_then(|text| Known::parse(text));
    if let Some(text) = cursor.filter(|text| known.is_none() && *text != EMPTY) {
        tracing::error!(cursor = %text, "a cursor of a log cannot be read; the whole log is read again");
    }
    known
}

/// One reading of a log.
pub(super) struct Reading<'a> {
    pub(super) log: &'a Log,
    pub(super) users: Option<&'a UserList>,
    /// Where the cursor stood when it began.
    pub(super) stands: Option<&'a Text>,
    /// Where it shall stand when everything is stored.
    pub(super) next: &'a Text,
    /// Only records that are meant, and those from index `fresh` on; absent: all.
    pub(super) wanted: Option<Wanted>,
    /// The first record here that was not stored before.
    pub(super) fresh: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) receipt: Receipt,
    /// Records set aside, and those among them whose person a user list might still name.
    pub(super) aside: u64,
    pub(super) uncertain: u64,
    /// For a reading that was wished for: punches by day, each once.
    pub(super) days: BTreeMap<String, u32>,
}

impl Intake {
    /// Stores what a reading brought, and moves the cursor.
    pub(super) async fn log(&self, reading: &Reading<'_>) -> Result<Taken, Refused> {
        let route = match reading.wanted {
            Some(_) => Route::Backfill,
            None => Route::Pull,
        };
        let meant = |(at, punch): &(usize, Punch)| {
            let holds = |wanted: Wanted| punch.time.is_ok_and(|time| wanted.holds(&time));
            *at >= reading.fresh || reading.wanted.is_none_or(holds)
        };
        let mut records = reading.log.records().enumerate().filter(meant).peekable();
        let mut days = Days::of(reading.wanted.is_some());
        let mut taken = Taken::default();
        loop {
            let mut normalizer = self.normalizer(reading.users, route);
            let mut rows = Rows::default();
            for (_, punch) in records.by_ref().take(PORTION) {
                rows.take_of(&punch, normalizer.punch(&punch));
            }
            days.count(self, &rows.events);
            taken.aside += crate::tally::wide(rows.aside.len());
            taken.uncertain += rows.uncertain;
            let is_last = records.peek().is_none();
            let moved = (is_last && reading.stands != Some(reading.next)).then_some(reading.next);
            if rows.events.is_empty() && rows.aside.is_empty() && moved.is_none() {
                break;
            }
            taken.receipt += self.submit(rows, moved, reading.stands, route).await?;
            if is_last {
                break;
            }
        }
        taken.days = days.days;
        Ok(taken)
    }
}

/// Punches by day, each counted once.
struct Days {
    seen: Option<HashSet<Ident>>,
    days: BTreeMap<String, u32>,
}

impl Days {
    fn of(wanted: bool) -> Self {
        Self {
            seen: wanted.then(HashSet::new),
            days: BTreeMap::new(),
        }
    }

    fn count(&mut self, intake: &Intake, events: &[Event]) {
        let Some(seen) = &mut self.seen else { return };
        for event in events {
            let day = event.local_time.as_deref().and_then(|time| time.get(..10));
            if let Some(day) = day
                && !intake.known.is_before_enrolment(event.occurred_at)
                && seen.insert(event.ident)
            {
                *self.days.entry(day.to_owned()).or_default() += 1;
            }
        }
    }
}
