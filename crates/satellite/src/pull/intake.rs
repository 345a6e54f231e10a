//! From what a terminal on port 4370 said to settled rows.
//!
//! Every submission says where the cursor of its log stood when it was made. After a restore,
//! or beside another satellite, that is no longer so: nothing is written, the session ends, and
//! the next one begins at what the database says.

use std::sync::Arc;
use std::time::Duration;

use event::{Event, Millis, Quarantined, Reason, Route, Text};
use store::quarantine::{QuarantineFilter, QuarantineRow};
use store::{Failure, Fence, Receipt, Refused, Submission};
use zkteco_pull::{Context, Normalizer, Punch, Realtime, UserList};

use super::state::LOG;
use crate::again::{self, Window};
use crate::clock;
use crate::conditions::{self, Condition};
use crate::detail::Detail;
use crate::devices::Known;
use crate::hub::Hub;
use crate::stores::Store;
use crate::tally::{Aside, Tally};
use crate::trace::Step;

/// Tries to hand something over to a store that has too much waiting.
const TRIES: u32 = 20;
/// Pause between them.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// Rows of quarantine looked at in one statement.
const PAGE: u32 = 500;

/// What is going to be written.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) events: Vec<Event>,
    pub(super) aside: Vec<Quarantined>,
    /// Records set aside whose person a user list might still name.
    pub(super) uncertain: u64,
}

impl Rows {
    /// Takes what became of a record.
    pub(super) fn take(&mut self, row: Result<Event, Quarantined>) {
        match row {
            Ok(event) => self.events.push(event),
            Err(aside) => self.aside.push(aside),
        }
    }

    /// The same, with the record that it was made of.
    pub(super) fn take_of(&mut self, punch: &Punch, row: Result<Event, Quarantined>) {
        // It says whom it is about, and the user list does not: that may still change.
        let waits = |aside: &Quarantined| aside.reason == Reason::BadField && punch.who.is_ok();
        self.uncertain += u64::from(row.as_ref().is_err_and(waits));
        self.take(row);
    }
}

/// The way in for one terminal.
pub(super) struct Intake {
    pub(super) hub: Arc<Hub>,
    pub(super) known: Arc<Known>,
    pub(super) store: Store,
    pub(super) fence: Fence,
}

impl Intake {
    /// Where the cursor of its log stands in the database.
    pub(super) async fn cursor(&self) -> Result<Option<Text>, Refused> {
        self.store.cursor(self.known.enrolment.id, LOG).await
    }

    /// How its records are read now.
    pub(super) fn normalizer<'a>(
        &'a self,
        users: Option<&'a UserList>,
        route: Route,
    ) -> Normalizer<'a> {
        Normalizer::new(Context {
            zone: &self.known.device.zone,
            users,
            route,
            received_at: clock::now(),
        })
    }

    /// Commits rows, and the cursor with them, if it still stands at `stands`.
    pub(super) async fn submit(
        &self,
        rows: Rows,
        moved: Option<&Text>,
        stands: Option<&Text>,
        route: Route,
    ) -> Result<Receipt, Refused> {
        let received = rows.events.len();
        let (events, too_old) = self.wanted(rows.events);
        let newest = events.iter().filter_map(|event| event.occurred_at).max();
        let aside = Aside::of(&rows.aside);
        let name = || Text::const_new(LOG);
        let submission = Submission {
            device: Arc::clone(&self.known.device),
            events,
            quarantined: rows.aside,
            cursors: moved.map(|to| (name(), to.clone())).into_iter().collect(),
            expects: Some((name(), stands.cloned())),
            fence: Some(self.fence),
        };
        let receipt = self.hand_over(submission).await?;
        let mut facts = self.known.facts();
        facts.last_event = facts.last_event.max(newest);
        drop(facts);
        let tally = Tally::of(&self.hub, &self.known, route);
        tally.received(received);
        tally.too_old(too_old);
        tally.committed(&receipt, aside);
        Ok(receipt)
    }

    async fn hand_over(&self, submission: Submission) -> Result<Receipt, Refused> {
        for _ in 0..TRIES {
            match self.store.writer.submit(submission.clone()).await {
                // Other terminals are first; ours keeps what it has.
                Err(Refused::Overloaded) => tokio::time::sleep(TRY_AGAIN).await,
                done => return done,
            }
        }
        Err(Refused::Overloaded)
    }

    /// What the enrolment wants of these events, and how many it does not.
    fn wanted(&self, mut events: Vec<Event>) -> (Vec<Event>, usize) {
        let before = events.len();
        events.retain(|event| !self.known.is_before_enrolment(event.occurred_at));
        let left = before - events.len();
        (events, left)
    }

    /// Reads the records in quarantine again that wait for a person's name, stores what the
    /// list names now, and answers how many still wait.
    pub(super) async fn settle(
        &self,
        users: &UserList,
        stands: Option<&Text>,
    ) -> Result<u64, Refused> {
        let (mut left, mut before) = (0, None);
        loop {
            let filter = QuarantineFilter {
                serial: Some(self.known.enrolment.serial.to_string()),
                reason: Some(Reason::BadField.as_str().to_owned()),
                before,
                limit: PAGE,
                ..QuarantineFilter::default()
            };
            let page = self.store.quarantine(&filter).await?;
            let Some(last) = page.last() else {
                return Ok(left);
            };
            before = Some(last.id);
            left += self.settle_page(&page, users, stands).await?;
        }
    }

    async fn settle_page(
        &self,
        page: &[QuarantineRow],
        users: &UserList,
        stands: Option<&Text>,
    ) -> Result<u64, Refused> {
        let (mut rows, mut named, mut left) = (Rows::default(), Vec::new(), 0);
        let own = |row: &&QuarantineRow| row.device_id == self.known.enrolment.id;
        for row in page.iter().filter(own) {
            let raw = event::Bytes::from(row.raw.clone());
            let Some(Realtime::Punches(punches)) = zkteco_pull::reread(&row.source, &raw) else {
                continue;
            };
            let route = Route::from_word(&row.route).unwrap_or(Route::Pull);
            let mut normalizer = Normalizer::new(Context {
                zone: &self.known.device.zone,
                users: Some(users),
                route,
                received_at: row.first_at,
            });
            let events: Result<Vec<_>, _> = punches
                .iter()
                .map(|punch| normalizer.punch(punch))
                .collect();
            match events {
                Ok(events) => {
                    rows.events.extend(events);
                    named.push(row.id);
                }
                Err(_) => left += u64::from(punches.iter().all(|punch| punch.who.is_ok())),
            }
        }
        if !named.is_empty() {
            // Settled only afterwards: a stop in between reads them once more, as duplicates.
            self.submit(rows, None, stands, Route::Pull).await?;
            self.store.settle(&named, clock::now()).await?;
        }
        Ok(left)
    }

    /// It counts more than it hands out: somewhere since its record was last whole.
    pub(super) fn note_missing(&self, (counted, given): (u32, u32)) {
        let whole_to = {
            let facts = self.known.facts();
            facts
                .assured
                .as_ref()
                .and_then(|assured| assured.complete_to)
        };
        let known_before = || self.known.audit().complete_to();
        let from = whole_to.or_else(known_before);
        let window = Window {
            from: from.unwrap_or(self.known.enrolment.created_at),
            to: clock::now(),
        };
        let (hub, known, store) = (self.hub.clone(), self.known.clone(), self.store.clone());
        self.hub.drain.spawn(async move {
            let counts = Some((u64::from(counted), u64::from(given)));
            let noted = again::note(&hub, &known, &store, &window, counts).await;
            told(&known, noted);
        });
    }

    /// Everything that it counts is stored: what was missing has come.
    pub(super) fn nothing_missing(&self) {
        if self.known.audit().windows().is_empty() {
            return;
        }
        let window = Window {
            from: Millis(0),
            to: clock::now(),
        };
        let (hub, known, store) = (self.hub.clone(), self.known.clone(), self.store.clone());
        self.hub.drain.spawn(async move {
            let closed = again::close(&hub, &known, &store, &window).await;
            told(&known, closed);
        });
    }

    /// Says how far its records came.
    pub(super) fn step(&self, step: Step, ok: bool, detail: impl Into<Detail>) {
        let serial = &self.known.enrolment.serial;
        self.hub.trace.step(serial, step, ok, clock::now(), detail);
    }

    /// Raises a condition of this terminal, with one log line when it is new.
    pub(super) fn raise(&self, condition: Condition, detail: impl Into<Detail>) {
        conditions::raise(&self.hub, &self.known, condition, detail);
    }

    /// A condition of this terminal holds no more.
    pub(super) fn clear(&self, condition: Condition) {
        conditions::clear(&self.known, condition);
    }
}
/// The next reading of its log says it again.
fn told(known: &Known, noted: Result<(), Failure>) {
    if let Err(failure) = noted {
        let serial = &known.enrolment.serial;
        tracing::warn!(%serial, %failure, "what is missing of a terminal was not written down");
    }
}
