//! One comparison of a terminal that pushes: what it says it holds against what is stored.
//!
//! Windows that are known to be missing come first. Then an attendance terminal counts the time
//! since its record was last whole (or, after a start and now and then, all of it); where the
//! numbers differ, the span is halved until it is a day, and the day is asked for. An access
//! terminal sends the time since then again, which is little, and its own numbers say whether
//! that was all. What comes goes the way of every upload. Only what was counted or came whole is
//! called complete; what did not come is a window with its numbers, never a guess.

use std::sync::Arc;

use event::{Completeness, Millis, Text};
use store::Failure;
use store::assurance::{Assured, Missing, WindowState};
use zkteco_push::Dialect;

use super::audit::{self, may_come};
use super::push::{self, Got, NotGot};
use super::{Window, walls};
use crate::clock;
use crate::commands;
use crate::detail::{Detail, Says};
use crate::devices::Known;
use crate::hub::Hub;
use crate::stores::Store;

/// What is too new to be compared, in milliseconds: it may be on its way.
const MARGIN: i64 = 120_000;
/// How much of what was found whole is looked at again, in milliseconds.
const OVERLAP: i64 = 3_600_000;
/// How often all that a terminal holds is compared, in milliseconds: a week.
const WHOLE: i64 = 7 * 24 * 3_600_000;
/// What differs is narrowed down to this, in milliseconds: a day.
const DAY: i64 = 24 * 3_600_000;
/// Before this no terminal was made; its clock begins here when it has lost its time.
const BEGINNING: &str = "2000-01-01 00:00:00";
/// Counts in one comparison; what is left waits for the next.
const COUNTS: u32 = 200;
/// Tries to have a day sent whole.
const TRIES: u32 = 2;

/// What came of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing differed.
    Equal,
    /// Something was missing, and has come.
    Fetched,
    /// Something is missing and did not come.
    Missing,
    /// The terminal gives no means to tell.
    Unproven,
    /// It could not be asked, or the store did not answer.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub(crate) const ALL: [Self; 5] = [
        Self::Equal,
        Self::Fetched,
        Self::Missing,
        Self::Unproven,
        Self::Failed,
    ];

    /// The word in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Fetched => "fetched",
            Self::Missing => "missing",
            Self::Unproven => "unproven",
            Self::Failed => "failed",
        }
    }

    /// The worse, or more telling, of two.
    fn and(self, other: Self) -> Self {
        let weight = |it: Self| Self::ALL.iter().position(|one| *one == it);
        if weight(other) > weight(self) {
            other
        } else {
            self
        }
    }
}

impl From<Failure> for NotGot {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.to_string())
    }
}

/// One comparison.
pub(super) struct Compare {
    pub(super) hub: Arc<Hub>,
    pub(super) known: Arc<Known>,
    store: Store,
    /// What is newer is not looked at.
    to: Millis,
}

impl Compare {
    pub(super) fn new(hub: Arc<Hub>, known: Arc<Known>, store: Store) -> Self {
        let now = clock::now();
        let skew = known.facts().skew.seconds(now);
        // A clock that is behind still writes times that ours has passed.
        let behind = skew.map_or(0, |(ahead, _)| ahead.min(0).saturating_mul(1_000));
        let to = Millis(now.0.saturating_sub(MARGIN).saturating_add(behind));
        Self {
            hub,
            known,
            store,
            to,
        }
    }

    /// Compares.
    pub(super) async fn run(&self) -> Result<Outcome, NotGot> {
        let windows = self.windows().await?;
        let rest = match commands::dialect(&self.known) {
            Dialect::Attendance => self.attendance().await?,
            Dialect::Access => self.access().await?,
        };
        let outcome = windows.and(rest);
        let serial = &self.known.enrolment.serial;
        match outcome {
            Outcome::Fetched => {
                tracing::info!(%serial, "what a terminal held beyond what was stored has come");
            }
            Outcome::Missing => {
                tracing::warn!(%serial, "a terminal counts records that it does not send");
            }
            Outcome::Equal | Outcome::Unproven | Outcome::Failed => {}
        }
        Ok(outcome)
    }

    /// Asks for every window that may still come.
    async fn windows(&self) -> Result<Outcome, NotGot> {
        let mut outcome = Outcome::Equal;
        for missing in self
            .known
            .audit()
            .windows()
            .iter()
            .filter(|it| may_come(it))
        {
            outcome = outcome.and(self.missing(missing).await?);
        }
        Ok(outcome)
    }

    async fn missing(&self, missing: &Missing) -> Result<Outcome, NotGot> {
        let window = Window {
            from: missing.begins_at,
            to: missing.ends_at,
        };
        let got = self.in_chunks(&window).await?;
        let held = match self.held(&window).await {
            Ok(held) => Some(held),
            Err(NotGot::Unsupported) => None,
            Err(why) => return Err(why),
        };
        let numbered = self.known.index().claim();
        let is_whole = match held {
            Some(held) => got.records >= held,
            // Its numbers have no gap, or it gives no other means than to be asked.
            None => got.agreed || numbered.is_none_or(|it| it.0 == Completeness::Proven),
        };
        if is_whole {
            self.close(&window).await?;
            return Ok(Outcome::Fetched);
        }
        self.stuck(&window, held).await?;
        Ok(Outcome::Missing)
    }

    async fn in_chunks(&self, window: &Window) -> Result<Got, NotGot> {
        let longest = push::longest(&self.known);
        let mut sum = Got {
            records: 0,
            new: 0,
            agreed: true,
        };
        let mut left = *window;
        while let Some(chunk) = left.first(longest) {
            let got = push::fetch(&self.hub, &self.known, &chunk).await?;
            sum.records += got.records;
            sum.new += got.new;
            sum.agreed &= got.agreed;
            left.from = chunk.to;
        }
        Ok(sum)
    }

    /// What the terminal counts in a window. Only attendance terminals count a time.
    async fn held(&self, window: &Window) -> Result<u64, NotGot> {
        if commands::dialect(&self.known) == Dialect::Access {
            return Err(NotGot::Unsupported);
        }
        let span = walls(window, &self.known.device.zone).ok_or(NotGot::Unsupported)?;
        push::count(&self.hub, &self.known, Some(span)).await
    }

    async fn stored(&self, window: &Window) -> Result<u64, NotGot> {
        let span = walls(window, &self.known.device.zone).ok_or(NotGot::Unsupported)?;
        let device = self.known.enrolment.id;
        Ok(self.store.punches(device, span).await?)
    }
}

/// Terminals in attendance mode.
impl Compare {
    async fn attendance(&self) -> Result<Outcome, NotGot> {
        let (complete_to, whole_at, explained) = {
            let state = self.known.audit().state();
            (state.complete_to, state.whole_at, state.explained)
        };
        let rests = |at: Millis| self.to.0.saturating_sub(at.0) < WHOLE;
        let recent = complete_to.filter(|_| whole_at.is_some_and(rests));
        let is_whole = recent.is_none();
        let from = recent.map_or_else(|| self.beginning(), |at| Millis(at.0 - OVERLAP));
        let window = Window { from, to: self.to };
        if window.from >= window.to {
            return Ok(Outcome::Equal);
        }
        let held = match self.held(&window).await {
            Ok(held) => held,
            Err(NotGot::Unsupported) => return Ok(Outcome::Unproven),
            Err(why) => return Err(why),
        };
        let stored = self.stored(&window).await?;
        let differs = difference(held, stored);
        let same = differs == 0 || (is_whole && differs == explained);
        let outcome = if same {
            Outcome::Equal
        } else {
            self.narrow(window, (held, stored)).await?
        };
        let stored = self.stored(&window).await?;
        if is_whole {
            let mut state = self.known.audit().state();
            state.whole_at = Some(self.to);
            if outcome != Outcome::Missing {
                state.explained = difference(held, stored);
            }
        }
        self.assure(self.to, "counter", Some((held, stored)))
            .await?;
        Ok(outcome)
    }

    /// Where the record begins: no earlier than this enrolment accepts.
    fn beginning(&self) -> Millis {
        let first = Millis::parse(BEGINNING).unwrap_or(Millis(0));
        let accepted = self.known.enrolment.accept_from;
        accepted.map_or(first, |from| from.max(first))
    }

    /// Finds the days that differ and has them sent.
    async fn narrow(&self, window: Window, counts: (u64, u64)) -> Result<Outcome, NotGot> {
        let mut outcome = Outcome::Equal;
        let mut left = vec![(window, counts)];
        let mut asked = 0;
        while let Some((window, (held, stored))) = left.pop() {
            // What it no longer holds is no concern; what is stored of that stays.
            if held == stored || held == 0 {
                continue;
            }
            if window.to.0 - window.from.0 <= DAY {
                outcome = outcome.and(self.day(&window, held).await?);
                continue;
            }
            asked += 2;
            if asked > COUNTS {
                let why = "too many days differ for one comparison";
                return Err(NotGot::Failed(why.to_owned()));
            }
            let (first, second) = window.halves();
            let (a, b) = tokio::try_join!(self.counted(first), self.counted(second))?;
            left.extend([b, a]);
        }
        Ok(outcome)
    }

    async fn counted(&self, window: Window) -> Result<(Window, (u64, u64)), NotGot> {
        let held = self.held(&window).await?;
        Ok((window, (held, self.stored(&window).await?)))
    }

    /// Has a day sent. Complete is one of which as many records came as the terminal counts.
    async fn day(&self, window: &Window, held: u64) -> Result<Outcome, NotGot> {
        let mut new = 0;
        for _ in 0..TRIES {
            let got = push::fetch(&self.hub, &self.known, window).await?;
            new += got.new;
            if got.records >= held {
                self.close(window).await?;
                let fetched = new > 0;
                return Ok(if fetched {
                    Outcome::Fetched
                } else {
                    Outcome::Equal
                });
            }
        }
        self.stuck(window, Some(held)).await?;
        Ok(Outcome::Missing)
    }
}

/// Terminals in access-control mode: their numbers show gaps, and a question for a time shows
/// whether something stands behind the last number.
impl Compare {
    async fn access(&self) -> Result<Outcome, NotGot> {
        let is_proven = || {
            let claim = self.known.index().claim();
            claim.is_some_and(|(word, _)| word == Completeness::Proven)
        };
        let (complete_to, all, takes_no_times) = {
            let state = self.known.audit().state();
            (state.complete_to, state.all, state.takes_no_times)
        };
        let all_to = all.map(|all| Millis(all.asked_at.0.saturating_sub(MARGIN)));
        if let Some(to) = all_to.filter(|to| is_proven() && complete_to < Some(*to)) {
            self.assure(to, "serials", None).await?;
            return Ok(Outcome::Equal);
        }
        let Some(complete_to) = complete_to else {
            // Until it has given everything once, only that is asked for (`index::inquiry`).
            return Ok(Outcome::Unproven);
        };
        if takes_no_times {
            return self.all_counted(is_proven()).await;
        }
        let window = Window {
            from: Millis(complete_to.0 - OVERLAP),
            to: self.to,
        };
        let got = match push::fetch_times(&self.hub, &self.known, &window).await {
            Err(NotGot::Unsupported) => return self.all_counted(is_proven()).await,
            got => got?,
        };
        if !(got.agreed && is_proven()) {
            return Ok(Outcome::Unproven);
        }
        self.assure(self.to, "read", None).await?;
        let fetched = got.new > 0;
        Ok(if fetched {
            Outcome::Fetched
        } else {
            Outcome::Equal
        })
    }

    /// One that takes no times in a question: its count must have grown as its numbers did since
    /// it gave everything. Otherwise it is asked for everything again.
    async fn all_counted(&self, is_proven: bool) -> Result<Outcome, NotGot> {
        let all = self.known.audit().state().all;
        let asked_at = clock::now();
        let held = match push::count(&self.hub, &self.known, None).await {
            Ok(held) => held,
            Err(NotGot::Unsupported) => return Ok(Outcome::Unproven),
            Err(why) => return Err(why),
        };
        let newest = self.known.index().newest().unwrap_or(0);
        let grown = all.map(|all| (all.records + newest.saturating_sub(all.newest), all));
        match grown {
            Some((expected, all)) if expected == held && newest >= all.newest && is_proven => {
                self.assure(Millis(asked_at.0 - MARGIN), "serials", None)
                    .await?;
                Ok(Outcome::Equal)
            }
            _ => {
                self.known.index().doubt();
                Ok(Outcome::Unproven)
            }
        }
    }
}

/// What is written down.
impl Compare {
    async fn assure(
        &self,
        to: Millis,
        means: &'static str,
        counts: Option<(u64, u64)>,
    ) -> Result<(), NotGot> {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let to = self.known.audit().complete_to().max(Some(to));
        let assured = Assured {
            complete_to: to,
            checked_at: clock::now(),
            means: Text::const_new(means),
            device_count: counts.map(|it| number(it.0)),
            stored_count: counts.map(|it| number(it.1)),
        };
        self.store.assure(self.known.enrolment.id, &assured).await?;
        self.known.audit().state().complete_to = to;
        self.known.facts().assured = Some(assured);
        Ok(())
    }

    async fn close(&self, window: &Window) -> Result<(), NotGot> {
        close(&self.hub, &self.known, &self.store, window).await?;
        Ok(())
    }

    async fn stuck(&self, window: &Window, held: Option<u64>) -> Result<(), NotGot> {
        let stored = self.stored(window).await?;
        let counts = held.map(|held| (held, stored));
        note(&self.hub, &self.known, &self.store, window, counts).await?;
        Ok(())
    }
}

/// How many records a terminal holds beyond those stored; negative when it holds fewer.
fn difference(held: u64, stored: u64) -> i64 {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    number(held).saturating_sub(number(stored))
}

/// A span of a terminal's record has come: windows in it are closed.
pub(crate) async fn close(
    hub: &Hub,
    known: &Known,
    store: &Store,
    window: &Window,
) -> Result<(), Failure> {
    let audit = known.audit();
    if audit.windows().iter().any(may_come) {
        let device = known.enrolment.id;
        store
            .close_missing(device, (window.from, window.to))
            .await?;
        audit::forget(known, window);
        audit::tell(hub, known);
    }
    Ok(())
}

/// A window was asked for and did not come whole: written down with what was counted, as
/// terminal and store have it.
pub(crate) async fn note(
    hub: &Hub,
    known: &Known,
    store: &Store,
    window: &Window,
    counts: Option<(u64, u64)>,
) -> Result<(), Failure> {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let now = clock::now();
    let missing = Missing {
        device: known.enrolment.id,
        begins_at: window.from,
        ends_at: window.to,
        state: WindowState::Stuck,
        device_count: counts.map(|it| number(it.0)),
        stored_count: counts.map(|it| number(it.1)),
        detail: Text::new(Detail::from(Says::CameNotWhole).as_str()),
        found_at: now,
        changed_at: now,
    };
    store.note_missing(std::slice::from_ref(&missing)).await?;
    {
        let mut state = known.audit().state();
        state.windows.retain(|it| it.begins_at != missing.begins_at);
        state.windows.push(missing);
        state.windows.sort_by_key(|it| it.begins_at);
    }
    audit::tell(hub, known);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_outcomes_the_worst_is_told() {
        use Outcome::{Equal, Fetched, Missing};
        assert_eq!(Equal.and(Fetched), Fetched);
        assert_eq!(Missing.and(Fetched), Missing);
        assert_eq!(Equal.and(Equal), Equal);
    }

    #[test]
    fn a_terminal_that_holds_fewer_than_are_stored_differs_the_other_way() {
        assert_eq!(difference(5, 7), -2);
        assert_eq!(difference(7, 7), 0);
        assert_eq!(difference(u64::MAX, 0), i64::MAX);
    }
}
