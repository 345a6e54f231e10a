//! What is known of the completeness of one terminal's record: up to when it is whole, which
//! windows are missing, and when it is held against the terminal's own word again.
//!
//! Windows stand in the terminal's event database; what is here is the copy that people and
//! decisions look at. A window in work is asked for by one party at a time: whoever asks a
//! terminal for records takes its turn first.

use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{Completeness, Millis};
use store::assurance::{Missing, WindowState};
use tokio::sync::MutexGuard as Turn;

use super::Window;
use crate::conditions::{self, Condition};
use crate::detail::{Detail, Says};
use crate::devices::Known;
use crate::hub::Hub;

/// One terminal.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    state: Mutex<State>,
    turn: tokio::sync::Mutex<()>,
}

/// What is known. All of it may be forgotten: it is found again.
#[derive(Debug, Default, Clone)]
pub(super) struct State {
    /// When it is compared next; absent: not decided.
    pub(super) due: Option<Millis>,
    /// All that it holds was compared since the start, and nothing since gave reason to do so again.
    pub(super) whole_at: Option<Millis>,
    /// Records that it counts beyond those stored, all of which were seen: lines that it holds
    /// twice. Negative where more is stored than it still holds.
    pub(super) explained: i64,
    /// Everything that happened up to here is stored, but for the windows.
    pub(super) complete_to: Option<Millis>,
    /// Windows that are not closed.
    pub(super) windows: Vec<Missing>,
    /// It does not take a span of time in a question for records.
    pub(super) takes_no_times: bool,
    /// The last answer with everything that it holds.
    pub(super) all: Option<All>,
    /// Comparisons since the start, or since another database stands in the place of its own.
    pub(super) turns: u32,
    /// The last comparison came to nothing.
    pub(super) unproven: bool,
}

/// An answer with everything, whose number was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct All {
    pub(super) asked_at: Millis,
    pub(super) records: u64,
    /// The highest number among its records when it was asked.
    pub(super) newest: u64,
}

impl Audit {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to ask for records, until it is dropped.
    pub(crate) async fn turn(&self) -> Turn<'_, ()> {
        self.turn.lock().await
    }

    /// It is compared at the next occasion.
    pub(crate) fn soon(&self, now: Millis) {
        self.state().due = Some(now);
    }

    /// All of it is compared at the next occasion: its clock was set, or its store came back.
    pub(crate) fn whole_soon(&self, now: Millis) {
        let mut state = self.state();
        (state.due, state.whole_at) = (Some(now), None);
    }

    /// Up to when its record is whole, as far as this process knows.
    pub(crate) fn complete_to(&self) -> Option<Millis> {
        self.state().complete_to
    }

    /// Its windows that are not closed, the earliest first.
    pub(crate) fn windows(&self) -> Vec<Missing> {
        self.state().windows.clone()
    }

    /// What can be said of a terminal that does not number its records, and how many are
    /// missing by its own count; `None` before it was compared.
    pub(crate) fn claim(&self) -> Option<(Completeness, u64)> {
        let state = self.state();
        state.complete_to?;
        let missing = state.windows.iter().filter(|it| may_come(it)).map(short);
        let missing: u64 = missing.sum();
        let word = match (state.windows.iter().any(may_come), state.unproven) {
            (true, _) => Completeness::Seen,
            (false, true) => Completeness::Unproven,
            (false, false) => Completeness::Proven,
        };
        Some((word, missing))
    }

    /// It has given everything that it holds, and its own number agreed.
    pub(crate) fn gave_all(&self, asked_at: Millis, records: u64, newest: u64) {
        self.state().all = Some(All {
            asked_at,
            records,
            newest,
        });
    }

    /// What the database says now: the rest is forgotten and found again.
    pub(super) fn begin_anew(&self, complete_to: Option<Millis>, windows: Vec<Missing>) {
        let mut state = self.state();
        *state = State {
            due: state.due,
            takes_no_times: state.takes_no_times,
            complete_to,
            windows,
            ..State::default()
        };
    }
}

/// Whether a window may still come.
pub(super) fn may_come(window: &Missing) -> bool {
    matches!(window.state, WindowState::Open | WindowState::Stuck)
}

/// Records of a window that are known to be missing; one, where nobody counted.
fn short(window: &Missing) -> u64 {
    let counted = window.device_count.zip(window.stored_count);
    let short = counted.map_or(1, |(held, stored)| held.saturating_sub(stored).max(1));
    u64::try_from(short).unwrap_or(1)
}

/// Tells people of the windows that may still come, or that none is left.
pub(super) fn tell(hub: &Hub, known: &Known) {
    let windows = known.audit().windows();
    let mut missing = windows.iter().filter(|it| may_come(it));
    let Some(first) = missing.next() else {
        conditions::clear(known, Condition::RecordsMissing);
        return;
    };
    let detail = words(first, missing.count());
    conditions::raise(hub, known, Condition::RecordsMissing, detail);
}

fn words(first: &Missing, more: usize) -> Detail {
    let short = |at: Millis| at.text().get(..19).unwrap_or_default().to_owned();
    let (from, to) = (short(first.begins_at), short(first.ends_at));
    match first.device_count.zip(first.stored_count) {
        Some((held, stored)) => Says::WindowCounted.with(&[&from, &to, &held, &stored, &more]),
        None => Says::WindowAsked.with(&[&from, &to, &more]),
    }
}

/// The part of the windows that lies in a span was asked for and has come.
pub(super) fn forget(known: &Known, span: &Window) {
    let inside = |it: &Missing| it.begins_at >= span.from && it.ends_at <= span.to;
    known
        .audit()
        .state()
        .windows
        .retain(|it| !(may_come(it) && inside(it)));
}

#[cfg(test)]
mod tests {
    use event::{DeviceId, Text};

    use super::*;

    fn window(state: WindowState, counts: Option<(i64, i64)>) -> Missing {
        Missing {
            device: DeviceId([1; 16]),
            begins_at: Millis::parse("2026-11-20 08:00:00").unwrap(),
            ends_at: Millis::parse("2026-11-20 11:00:00").unwrap(),
            state,
            device_count: counts.map(|it| it.0),
            stored_count: counts.map(|it| it.1),
            detail: Text::new("the copy lacks it"),
            found_at: Millis(0),
            changed_at: Millis(0),
        }
    }

    #[test]
    fn a_record_is_proven_only_when_it_was_compared_and_no_window_may_still_come() {
        let audit = Audit::default();
        assert_eq!(audit.claim(), None);
        audit.begin_anew(Some(Millis(5)), Vec::new());
        assert_eq!(audit.claim(), Some((Completeness::Proven, 0)));
        audit.begin_anew(
            Some(Millis(5)),
            vec![window(WindowState::Stuck, Some((40, 12)))],
        );
        assert_eq!(audit.claim(), Some((Completeness::Seen, 28)));
        audit.begin_anew(Some(Millis(5)), vec![window(WindowState::Open, None)]);
        assert_eq!(audit.claim(), Some((Completeness::Seen, 1)));
        // What is lost is said by the cut-off; it can come no more.
        audit.begin_anew(Some(Millis(5)), vec![window(WindowState::Lost, None)]);
        assert_eq!(audit.claim(), Some((Completeness::Proven, 0)));
    }

    #[test]
    fn the_condition_names_the_window_and_the_numbers_where_there_are_any() {
        let counted = words(&window(WindowState::Stuck, Some((40, 12))), 0);
        let want = "2026-11-20 08:00:00 to 2026-11-20 11:00:00 UTC: it counts 40 records, 12 are stored; other windows missing: 0";
        assert_eq!(counted.as_str(), want);
        let uncounted = words(&window(WindowState::Open, None), 2);
        assert!(uncounted.as_str().ends_with("missing: 2"));
    }
}
