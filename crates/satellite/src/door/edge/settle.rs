//! From a batch of an edge to its settled records: read, share out, submit, remember how far.
//!
//! Runs as a task of its own, so that an edge that hangs up changes nothing about what is stored and
//! counted. Records of one terminal are one submission. How far the edge's feed is held stands in a
//! cursor of the edge (`edge:feed`) in the database of the records, and moves after all of them are
//! committed: a kill in between has the edge send them once more, which changes nothing; a copy
//! that is put back takes both back together, and the edge is told to begin from there.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use event::{Bytes, Event, Millis, Quarantined, Route, Text, Vendor};
use serde_json::Value;
use store::{Receipt, Refused, Submission};
use tokio::task::JoinSet;

use super::super::crowd::Room;
use super::super::token_post::{No, not_taken};
use super::told;
use crate::detail::Says;
use crate::devices::Known;
use crate::edge::read::{self, Around};
use crate::edge::wire::{Answer, Aside, Batch, Carried, SCHEMA, Statement, Terminal};
use crate::hub::Hub;
use crate::stores::Store;
use crate::tally::{self, Tally, wide};
use crate::trace::Step;

/// Bodies above this are read on a thread that may block.
const LONG_BODY: usize = 64 * 1024;
/// Most events in one transaction.
const EVENTS: usize = 10_000;
/// The cursor of an edge: the name of its database, and up to where its feed is held.
const FEED: &str = "edge:feed";

/// A batch whose body has come in whole.
pub(super) struct Settle {
    pub(super) hub: Arc<Hub>,
    pub(super) edge: Arc<Known>,
    pub(super) store: Store,
    pub(super) body: Bytes,
    /// Given back when this is settled.
    pub(super) room: Option<Room>,
    pub(super) address: IpAddr,
    pub(super) at: Millis,
    pub(super) began: Instant,
}

/// What became of a batch.
pub(super) enum Done {
    /// All of it is held.
    Holds(Value),
    /// Nothing was taken, because what comes before it is not held.
    Lacks(Value),
}

/// What one terminal gets of a batch.
struct Share {
    known: Arc<Known>,
    events: Vec<Event>,
    aside: Vec<Quarantined>,
}

/// The records of a batch by their terminals.
#[derive(Default)]
struct Shares {
    all: Vec<Share>,
    places: HashMap<Terminal, Option<usize>>,
    statements: Vec<(Arc<Known>, Statement)>,
}

impl Settle {
    /// Stores everything.
    pub(super) async fn run(mut self) -> Result<Done, No> {
        let done = self.hub.settle(self.began, self.settle()).await;
        self.room = None;
        match &done {
            Ok(_) => {}
            Err(No::Broken) => self.step(Step::Parsed, false, No::Broken.says()),
            Err(no) => self.step(Step::Stored, false, no.says()),
        }
        done
    }

    fn step(&self, step: Step, ok: bool, detail: impl Into<crate::detail::Detail>) {
        let serial = &self.edge.enrolment.serial;
        self.hub.trace.step(serial, step, ok, self.at, detail);
    }

    async fn settle(&self) -> Result<Done, No> {
        let batch = self.read().await?;
        let place = self.store.cursor(self.edge.enrolment.id, FEED).await;
        let place = place.map_err(not_taken)?;
        let have = held_of(place.as_deref(), &batch.feed);
        if have < batch.from {
            tracing::warn!(
                edge = %self.edge.enrolment.serial,
                have,
                from = batch.from,
                "an edge is asked for everything since then: this database holds no more of it"
            );
            let answer = Answer { have, ..answer() };
            return Ok(Done::Lacks(written(&answer)?));
        }
        let shares = self.shared(&batch);
        let mut answer = Answer {
            have: have.max(batch.to),
            held_back: shares.held_back(),
            ..answer()
        };
        let statements = self.hand_over(shares, &mut answer).await?;
        self.moved(&batch.feed, place, answer.have).await?;
        self.note(&batch, &answer);
        for (known, statement) in statements {
            let teller = told::Teller {
                hub: &self.hub,
                edge: &self.edge.enrolment.serial,
                store: &self.store,
                address: self.address,
                at: self.at,
            };
            teller.says(&known, statement).await;
        }
        Ok(Done::Holds(written(&answer)?))
    }

    /// The batch; what is none is refused, for its sender is no edge, or one of another time.
    async fn read(&self) -> Result<Batch, No> {
        let body = self.body.clone();
        let read = move || serde_json::from_slice::<Batch>(&body).ok();
        let read = match self.body.len() <= LONG_BODY {
            true => read(),
            false => {
                let read = tokio::task::spawn_blocking(read).await;
                read.map_err(|_| No::Internal)?
            }
        };
        let is_whole = |batch: &Batch| {
            let is_feed =
                batch.feed.len() == 32 && batch.feed.bytes().all(|b| b.is_ascii_hexdigit());
            batch.schema == SCHEMA && is_feed && 0 <= batch.from && batch.from <= batch.to
        };
        read.filter(is_whole).ok_or(No::Broken)
    }

    /// Each record with its terminal. What cannot be read at all goes into the edge's own quarantine.
    fn shared(&self, batch: &Batch) -> Shares {
        let mut shares = Shares::default();
        shares.all.push(Share::of(Arc::clone(&self.edge)));
        for value in &batch.events {
            match read_as::<Carried>(value) {
                None => self.unread(value, &mut shares),
                Some(carried) => {
                    if let Some(share) = self.share(&carried.terminal, &mut shares) {
                        let known = Arc::clone(&share.known);
                        match read::event(&carried, &self.around(&known)) {
                            Ok(event) => share.events.push(event),
                            Err(aside) => share.aside.push(aside),
                        }
                    }
                }
            }
        }
        for aside in batch.set_aside.iter().filter_map(read_as::<Aside>) {
            if let Some(share) = self.share(&aside.terminal, &mut shares) {
                let known = Arc::clone(&share.known);
                share
                    .aside
                    .extend(read::aside(&aside, &self.around(&known)));
            }
        }
        for statement in batch.terminals.iter().filter_map(read_as::<Statement>) {
            let known = self
                .share(&statement.terminal, &mut shares)
                .map(|it| Arc::clone(&it.known));
            shares
                .statements
                .extend(known.map(|known| (known, statement)));
        }
        shares
    }

    fn unread(&self, value: &Value, shares: &mut Shares) {
        let raw = Bytes::from(value.to_string());
        let aside = read::unfit(
            "no event in the form of an edge",
            raw,
            &self.around(&self.edge),
        );
        if let Some(own) = shares.all.first_mut() {
            own.aside.push(aside);
        }
    }

    fn around<'a>(&'a self, known: &'a Known) -> Around<'a> {
        Around {
            device: &known.device,
            edge: self.edge.enrolment.serial.as_str(),
            at: self.at,
        }
    }

    /// The share of a terminal; `None` for one that this edge may not speak for.
    fn share<'a>(&self, terminal: &Terminal, shares: &'a mut Shares) -> Option<&'a mut Share> {
        let place = match shares.places.get(terminal) {
            Some(place) => *place,
            None => {
                let known = self.allowed(terminal);
                let place = known.map(|known| {
                    shares.all.push(Share::of(known));
                    shares.all.len() - 1
                });
                shares.places.insert(terminal.clone(), place);
                place
            }
        };
        shares.all.get_mut(place?)
    }

    fn allowed(&self, terminal: &Terminal) -> Option<Arc<Known>> {
        if terminal.vendor == Vendor::Satellite {
            return None;
        }
        let Some(known) = self.hub.devices.find(terminal.vendor, &terminal.serial) else {
            let unknown = (terminal.vendor, &terminal.serial);
            let (tenant, from) = (&self.edge.enrolment.tenant, self.address.to_string());
            self.hub
                .unknown_is_named(unknown, tenant, Text::from(from), self.at);
            return None;
        };
        let is_ours = known.enrolment.tenant == self.edge.enrolment.tenant && known.may_post();
        is_ours.then_some(known)
    }

    /// Stores all shares, side by side, so that they are committed together.
    async fn hand_over(
        &self,
        shares: Shares,
        answer: &mut Answer,
    ) -> Result<Vec<(Arc<Known>, Statement)>, No> {
        let mut under_way = JoinSet::new();
        for share in shares.all {
            let Share {
                known,
                mut events,
                mut aside,
            } = share;
            let before = events.len();
            events.retain(|event| !known.is_before_enrolment(event.occurred_at));
            let too_old = before - events.len();
            Tally::of(&self.hub, &known, Route::Edge).too_old(too_old);
            answer.before_enrolment += wide(too_old);
            while !events.is_empty() || !aside.is_empty() {
                let rest = events.split_off(events.len().min(EVENTS));
                let submission = Submission {
                    device: Arc::clone(&known.device),
                    events: std::mem::replace(&mut events, rest),
                    quarantined: std::mem::take(&mut aside),
                    cursors: Vec::new(),
                    expects: None,
                    fence: None,
                };
                under_way.spawn(stored(
                    Arc::clone(&self.hub),
                    self.store.clone(),
                    Arc::clone(&known),
                    submission,
                ));
            }
        }
        while let Some(done) = under_way.join_next().await {
            let receipt = done.map_err(|_| No::Internal)?.map_err(not_taken)?;
            answer.stored += receipt.new;
            answer.known += receipt.duplicate;
            answer.quarantined += receipt.quarantined;
        }
        Ok(shares.statements)
    }

    /// Everything up to `have` is held.
    async fn moved(&self, feed: &str, before: Option<Text>, have: i64) -> Result<(), No> {
        let next = Text::from(format!("{feed} {have}"));
        if before.as_ref() == Some(&next) {
            return Ok(());
        }
        let name = || Text::const_new(FEED);
        let submission = Submission {
            device: Arc::clone(&self.edge.device),
            events: Vec::new(),
            quarantined: Vec::new(),
            cursors: vec![(name(), next)],
            expects: Some((name(), before)),
            fence: None,
        };
        let moved = self.store.writer.submit(submission).await;
        moved.map(drop).map_err(not_taken)
    }

    fn note(&self, batch: &Batch, answer: &Answer) {
        let aside = answer.quarantined;
        let detail = Says::PostStored.with(&[&answer.stored, &answer.known, &aside]);
        self.step(Step::Parsed, true, Says::PostRead);
        self.step(Step::Stored, true, detail);
        self.edge.edge().brought(crate::edge::claim::Bringer {
            at: self.at,
            lag_seconds: batch.lag_seconds,
            held_back: answer.held_back.len(),
        });
    }
}

impl Share {
    fn of(known: Arc<Known>) -> Self {
        Self {
            known,
            events: Vec::new(),
            aside: Vec::new(),
        }
    }
}

impl Shares {
    /// Terminals of which nothing was taken.
    fn held_back(&self) -> Vec<Terminal> {
        let held = self.places.iter().filter(|(_, place)| place.is_none());
        let held: BTreeSet<&Terminal> = held.map(|(terminal, _)| terminal).collect();
        held.into_iter().cloned().collect()
    }
}

/// Commits one share and counts it.
async fn stored(
    hub: Arc<Hub>,
    store: Store,
    known: Arc<Known>,
    submission: Submission,
) -> Result<Receipt, Refused> {
    let received = submission.events.len();
    let newest = submission
        .events
        .iter()
        .filter_map(|event| event.occurred_at)
        .max();
    let aside = tally::Aside::of(&submission.quarantined);
    let receipt = store.writer.submit(submission).await?;
    let tally = Tally::of(&hub, &known, Route::Edge);
    tally.received(received);
    tally.committed(&receipt, aside);
    let mut facts = known.facts();
    facts.last_event = facts.last_event.max(newest);
    Ok(receipt)
}

fn read_as<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

fn answer() -> Answer {
    Answer {
        schema: SCHEMA.to_owned(),
        ..Answer::default()
    }
}

fn written(answer: &Answer) -> Result<Value, No> {
    serde_json::to_value(answer).map_err(|_| No::Internal)
}

/// Up to where a feed is held, by the cursor; nothing of another database's.
fn held_of(cursor: Option<&str>, feed: &str) -> i64 {
    let held = cursor.and_then(|cursor| cursor.split_once(' '));
    let held = held.filter(|(of, _)| *of == feed);
    held.and_then(|(_, have)| have.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_held_of_a_feed_that_was_never_heard_of() {
        let (one, other) = ("aa".repeat(16), "bb".repeat(16));
        let cursor = format!("{one} 77");
        assert_eq!(held_of(Some(&cursor), &one), 77);
        assert_eq!(held_of(Some(&cursor), &other), 0);
        assert_eq!(held_of(None, &one), 0);
        assert_eq!(held_of(Some("rubbish"), &one), 0);
    }
}
