//! From the bytes of an upload to its settled records: read, sort out, submit, count.
//!
//! Runs as a task of its own, so that a terminal that hangs up in the middle changes nothing
//! about what is stored and counted. A positive result leaves here only when the last record
//! of the upload is committed; stamps move with the records and never before.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use event::{Event, Kind, Millis, Quarantined, Reason, Route, Text, WallTime};
use store::{Receipt, Refused, Submission};
use zkteco_push::{Context, Dialect, Place, Reading, Refusal, Stamp, Table, read_upload};

use super::crowd::Room;
use crate::clock;
use crate::commands::Whole;
use crate::detail::{Detail, Says};
use crate::devices::{DIALECT, Known, LANGUAGE, stamp_cursor};
use crate::hub::Hub;
use crate::index;
use crate::stores::Store;
use crate::tally::{Aside, Tally, wide};
use crate::trace::Step;

/// Bodies above this are read on a thread that may block.
const LONG_BODY: usize = 256 * 1024;
/// Most events in one transaction.
const EVENTS: usize = 10_000;

/// An upload whose body has come in whole.
pub(super) struct Settle {
    pub(super) hub: Arc<Hub>,
    pub(super) known: Arc<Known>,
    pub(super) store: Store,
    pub(super) table: Table,
    /// The position after this upload, when it may be kept.
    pub(super) stamp: Option<Stamp>,
    /// The command that it answers, which was handed out to this terminal.
    pub(super) answers: Option<Text>,
    /// Which part of the answer it is, and of how many.
    pub(super) part: Option<(u32, u32)>,
    pub(super) body: Bytes,
    /// Given back when this is settled.
    pub(super) room: Option<Room>,
    pub(super) at: Millis,
    pub(super) began: Instant,
}

impl Settle {
    /// Stores everything; answers the number of records for the acknowledgement.
    pub(super) async fn run(mut self) -> Result<u64, Refusal> {
        let done = self.hub.settle(self.began, self.settle()).await;
        self.room = None;
        done.inspect_err(|refusal| self.step(Step::Stored, false, not_stored(*refusal)))
    }

    async fn settle(&self) -> Result<u64, Refusal> {
        let mut reading = self.read().await.ok_or(Refusal::Internal)?;
        let records = reading.records;
        self.note_reading(&reading);
        let before = reading.events.len();
        let tally = Tally::of(&self.hub, &self.known, self.route());
        tally.received(before);
        let answer = self.answered(&reading);
        reading
            .events
            .retain(|event| !self.known.is_before_enrolment(event.occurred_at));
        let too_old = before - reading.events.len();
        let newest = reading
            .events
            .iter()
            .filter_map(|event| event.occurred_at)
            .max();
        // A punch that comes alone is one that has just happened, unless it is one left over, or
        // the only one of a day that was asked for.
        let alone = match reading.events.as_slice() {
            [only] if only.kind == Kind::Punch && answer.is_none() => only.occurred_at,
            _ => None,
        };
        let mut aside = Aside::of(&reading.quarantined);
        aside.add(Reason::Unreadable, reading.crowded);
        let set_aside = aside.total();
        let rows = (reading.events, reading.quarantined);
        let receipt = self.submit(rows, aside, &reading.places).await?;
        // Counted when acknowledged, so that a refused upload that comes again counts once.
        tally.too_old(too_old);
        self.hub.metrics.dropped.inc_by(reading.dropped);
        if let Some(answer) = answer {
            // Before the queue hears that this was all.
            self.known.facts().backfilled += receipt.new;
            self.tell_queue(&answer, &reading.options);
        }
        let mut facts = self.known.facts();
        facts.settings(&reading.options);
        facts.last_event = facts.last_event.max(newest);
        if let Some(occurred) = alone.filter(|_| receipt.new == 1) {
            facts.skew.record(occurred, self.at);
        }
        drop(facts);
        let detail = Says::Stored.with(&[
            &records,
            &receipt.new,
            &receipt.duplicate,
            &(set_aside + receipt.by_store.total()),
            &too_old,
            &reading.dropped,
        ]);
        self.step(Step::Stored, true, detail);
        Ok(records)
    }

    /// How the records came: asked for, or by themselves.
    fn route(&self) -> Route {
        match self.answers {
            Some(_) => Route::Backfill,
            None => Route::Push,
        }
    }

    /// The command that these records answer and how many of them do. Many terminals leave its id
    /// out: then records of the time that was asked for count.
    fn answered(&self, reading: &Reading) -> Option<(Text, u64)> {
        if let Some(id) = &self.answers {
            return Some((id.clone(), reading.records));
        }
        if self.table != Table::AttLog {
            return None;
        }
        let device = self.known.enrolment.id;
        let (id, window) = self.hub.commands.lock().open_window(device)?;
        let inside = reading.events.iter().filter(|event| {
            let local = event.local_time.as_deref().unwrap_or_default();
            WallTime::parse(local.as_bytes()).is_some_and(|at| window.contains(&at))
        });
        let inside = wide(inside.count());
        (inside > 0).then(|| (id.into(), inside))
    }

    /// Tells the queue what came as an answer, once it is committed.
    fn tell_queue(&self, (id, records): &(Text, u64), list: &[(Text, Text)]) {
        let device = self.known.enrolment.id;
        let mut queue = self.hub.commands.lock();
        let whole = queue.brought(device, id, self.part, *records, list, self.at);
        drop(queue);
        if let Some(Whole { question }) = whole {
            let (hub, known) = (Arc::clone(&self.hub), Arc::clone(&self.known));
            self.hub.drain.spawn(index::conclude(hub, known, question));
        }
    }

    fn step(&self, step: Step, ok: bool, detail: impl Into<Detail>) {
        self.hub
            .trace
            .step(&self.known.enrolment.serial, step, ok, self.at, detail);
    }

    fn note_reading(&self, reading: &Reading) {
        let (read, aside) = (reading.events.len(), reading.unreadable());
        let detail = Says::WasRead.with(&[&self.table.name(), &read, &aside]);
        // A few bad lines among good ones are no fault of the path.
        self.step(Step::Parsed, aside == 0 || read > 0, detail);
    }

    /// Reads the body; `None` when that ended in a panic.
    async fn read(&self) -> Option<Reading> {
        let (table, body, at) = (self.table.clone(), self.body.clone(), self.at);
        let device = Arc::clone(&self.known.device);
        let language = self.known.facts().language;
        let route = self.route();
        let read = move || {
            let zone = &device.zone;
            let context = Context {
                zone,
                route,
                received_at: at,
                language,
            };
            read_upload(&table, &body, &context)
        };
        if self.body.len() <= LONG_BODY {
            return Some(read());
        }
        tokio::task::spawn_blocking(read).await.ok()
    }

    /// Hands over everything, in as few transactions as its size allows; the cursors move with
    /// the last one.
    async fn submit(
        &self,
        (events, quarantined): (Vec<Event>, Vec<Quarantined>),
        aside: Aside,
        places: &[Place],
    ) -> Result<Receipt, Refusal> {
        let stamp = self
            .stamp
            .as_ref()
            .and_then(|next| self.known.facts().moved_stamp(&self.table, next));
        let language = {
            let facts = self.known.facts();
            facts
                .language
                .filter(|_| facts.language != facts.language_stored)
        };
        let dialect = {
            let facts = self.known.facts();
            facts
                .dialect
                .filter(|_| facts.dialect != facts.dialect_stored)
        };
        let mut cursors: Vec<(Text, Text)> = Vec::new();
        cursors.extend(
            stamp
                .as_ref()
                .map(|stamp| (stamp_cursor(&self.table), Text::new(stamp.as_str()))),
        );
        cursors.extend(language.map(|n| (Text::const_new(LANGUAGE), Text::from(n.to_string()))));
        let word = |dialect: Dialect| Text::const_new(dialect.as_str());
        cursors.extend(dialect.map(|dialect| (Text::const_new(DIALECT), word(dialect))));
        let parts = parts(events, quarantined, cursors);
        let (total, done) = self.write(parts, places).await;
        if let Some(total) = &total {
            Tally::of(&self.hub, &self.known, self.route()).committed(total, aside);
        }
        done?;
        let total = total.unwrap_or_default();
        let mut facts = self.known.facts();
        if let Some(stamp) = stamp {
            facts.keep_stamp(&self.table, stamp);
        }
        if language.is_some() {
            facts.language_stored = language;
        }
        if dialect.is_some() {
            facts.dialect_stored = dialect;
        }
        Ok(total)
    }
}

impl Settle {
    /// Commits the parts, one after the other, until one is refused; answers the sum of those
    /// that were committed, if any was, so that an upload is counted and written down once. The
    /// chain of a terminal that numbers its records moves with the last of them.
    async fn write(
        &self,
        parts: Vec<Part>,
        places: &[Place],
    ) -> (Option<Receipt>, Result<(), Refusal>) {
        let mut total: Option<Receipt> = None;
        let mut parts = parts.into_iter().peekable();
        while let Some((events, quarantined, cursors)) = parts.next() {
            let submission = Submission {
                device: Arc::clone(&self.known.device),
                events,
                quarantined,
                cursors,
                expects: None,
                fence: None,
            };
            let numbered = !places.is_empty() && parts.peek().is_none();
            let done = if numbered {
                // In a box, because it is large and few terminals number their records.
                let numbered =
                    index::submit(&self.hub, &self.known, &self.store, submission, places);
                Box::pin(numbered).await
            } else {
                self.store.writer.submit(submission).await
            };
            match done {
                Ok(receipt) => *total.get_or_insert_default() += receipt,
                Err(refused) => return (total, Err(refusal(refused))),
            }
        }
        (total, Ok(()))
    }
}

type Part = (Vec<Event>, Vec<Quarantined>, Vec<(Text, Text)>);

/// Cuts an upload into transactions: one, unless it is very large; none, when there is nothing
/// to write.
fn parts(
    events: Vec<Event>,
    quarantined: Vec<Quarantined>,
    cursors: Vec<(Text, Text)>,
) -> Vec<Part> {
    if events.is_empty() && quarantined.is_empty() && cursors.is_empty() {
        return Vec::new();
    }
    let mut parts: Vec<Part> = Vec::with_capacity(events.len() / EVENTS + 1);
    let mut events = events.into_iter();
    loop {
        let part: Vec<Event> = events.by_ref().take(EVENTS).collect();
        if part.is_empty() && !parts.is_empty() {
            break;
        }
        let is_short = part.len() < EVENTS;
        parts.push((part, Vec::new(), Vec::new()));
        if is_short {
            break;
        }
    }
    if let Some(first) = parts.first_mut() {
        first.1 = quarantined;
    }
    if let Some(last) = parts.last_mut() {
        last.2 = cursors;
    }
    parts
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Unavailable(_) | Refused::Closing => Refusal::StoreUnavailable,
        Refused::Overloaded => Refusal::Overloaded,
        // Somebody else moves the terminal's chain at the same time.
        Refused::Moved => Refusal::Overloaded,
        // Pushed records come under no lease.
        Refused::Fenced => Refusal::Internal,
    }
}

/// Why an upload that was read is refused all the same.
fn not_stored(refusal: Refusal) -> Says {
    match refusal {
        Refusal::StoreUnavailable => Says::StoreAway,
        Refusal::Overloaded => Says::TooBusy,
        _ => Says::OurFault,
    }
}

/// Acknowledges an upload of a table that is not kept: nothing is stored, so that only the
/// memory of its stamp moves.
pub(super) fn dropped(hub: &Hub, known: &Known, table: &Table, stamp: Option<Stamp>, records: u64) {
    hub.metrics.dropped.inc_by(records);
    if let Some(stamp) = stamp {
        known.facts().keep_stamp(table, stamp);
    }
    let detail = Says::NotKept.with(&[&table.name(), &records]);
    hub.trace.step(
        &known.enrolment.serial,
        Step::Parsed,
        true,
        clock::now(),
        detail,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::Zone;

    fn events(n: usize) -> Vec<Event> {
        let body: String = (0..n)
            .map(|i| format!("{i}\t2026-11-21 10:15:30\t0\t1\n"))
            .collect();
        let zone = Zone::utc();
        let context = Context {
            zone: &zone,
            route: Route::Push,
            received_at: Millis(0),
            language: None,
        };
        read_upload(&Table::AttLog, &Bytes::from(body), &context).events
    }

    #[test]
    fn an_upload_of_usual_size_is_one_transaction_and_an_empty_one_is_none() {
        assert!(parts(Vec::new(), Vec::new(), Vec::new()).is_empty());
        let cursor = || vec![("stamp:ATTLOG".into(), "1".into())];
        assert_eq!(parts(Vec::new(), Vec::new(), cursor()).len(), 1);
        assert_eq!(parts(events(EVENTS), Vec::new(), cursor()).len(), 1);
    }

    #[test]
    fn the_stamp_of_a_very_large_upload_moves_with_its_last_transaction_only() {
        let parts = parts(
            events(EVENTS * 2 + 1),
            Vec::new(),
            vec![("stamp:ATTLOG".into(), "1".into())],
        );
        let sizes: Vec<_> = parts
            .iter()
            .map(|(events, _, cursors)| (events.len(), cursors.len()))
            .collect();
        assert_eq!(sizes, [(EVENTS, 0), (EVENTS, 0), (1, 1)]);
    }

    #[test]
    fn a_store_that_is_down_and_one_that_is_busy_are_told_apart() {
        let down = Refused::Unavailable(store::Trouble::Unreachable);
        assert_eq!(refusal(down), Refusal::StoreUnavailable);
        assert_eq!(refusal(Refused::Overloaded), Refusal::Overloaded);
        assert_eq!(refusal(Refused::Closing), Refusal::StoreUnavailable);
    }
}
