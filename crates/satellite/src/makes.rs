//! From the bytes of another make to settled records: read, share out, submit, count; the same for
//! a post to the door and for a message of a broker.
//!
//! Runs as a task of its own, so that a sender that hangs up changes nothing about what is stored
//! and counted. Records of one terminal are one submission, unless they are very many; what could
//! not be read goes with the sender's own. A sender hears success only when every share is safe; a
//! share that was safe before another failed is folded when the same comes again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use event::{Bytes, Event, Millis, Quarantined, Reason, Route, Serial, Text, Vendor};
use other_makes::{Context, Mapping, Reading, Record, labelled, normalize};
use store::{Receipt, Refused, Submission};

use crate::conditions::{self, Condition};
use crate::detail::Says;
use crate::devices::Known;
use crate::door::{No, Room, Transport, not_taken};
use crate::hub::Hub;
use crate::stores::Store;
use crate::tally::{Aside, Tally, wide};
use crate::trace::Step;

/// Bodies above this are read on a thread that may block.
const LONG_BODY: usize = 256 * 1024;
/// Most events in one transaction.
const EVENTS: usize = 10_000;

/// Where a body came from.
#[derive(Debug, Clone)]
pub(crate) enum Came {
    /// In a post to the door, from that address.
    Post(IpAddr, Transport),
    /// In a message of an input.
    Message(Message),
}

/// What is known of a message besides its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The input's name.
    pub(crate) input: Text,
    /// Its topic.
    pub(crate) topic: String,
    /// The terminal that its topic names.
    pub(crate) serial: Option<String>,
    /// Why it is not read at all.
    pub(crate) unread: Option<Unread>,
    /// The broker brings it again until it is acknowledged.
    pub(crate) comes_again: bool,
}

/// Why a message is set aside as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It was too long, and this is its beginning.
    TooLong,
    /// Its topic is none of the input's.
    Stray,
    /// We failed at it.
    Failed,
}

impl Came {
    fn route(&self) -> Route {
        match self {
            Self::Post(..) => Route::Listen,
            Self::Message(_) => Route::Mqtt,
        }
    }

    /// False for what is set aside as it is, which says nothing about a mapping.
    fn is_read(&self) -> bool {
        !matches!(self, Self::Message(message) if message.unread.is_some())
    }

    /// What keeps it while the database is away: the journal when nobody brings it again.
    fn is_journalled(&self) -> bool {
        match self {
            Self::Post(..) => true,
            Self::Message(message) => !message.comes_again,
        }
    }

    /// For whoever looks at a terminal that waits for approval.
    fn place(&self) -> Text {
        match self {
            Self::Post(address, _) => Text::from(address.to_string()),
            Self::Message(message) => Text::from(format!("mqtt {}", message.input)),
        }
    }

    fn read(&self, mapping: &Mapping, body: &Bytes) -> Reading {
        let Self::Message(message) = self else {
            return mapping.read(body);
        };
        let mut reading = match message.unread {
            None => mapping.read(body),
            Some(Unread::TooLong) => Reading::too_long(body),
            Some(Unread::Stray) => Reading::stray(body),
            Some(Unread::Failed) => Reading::failed(body),
        };
        if let Some(serial) = &message.serial {
            reading.of_terminal(serial);
        }
        reading
    }

    /// What is set aside, with the topic where that is needed to read it again.
    fn aside(&self, one: Quarantined) -> Quarantined {
        match self {
            Self::Message(message) if message.serial.is_some() || message.unread.is_some() => {
                labelled(one, &message.topic)
            }
            _ => one,
        }
    }
}

/// A body that has come in whole.
pub(crate) struct Settle {
    pub(crate) hub: Arc<Hub>,
    /// Whose it is.
    pub(crate) known: Arc<Known>,
    pub(crate) store: Store,
    pub(crate) body: Bytes,
    pub(crate) came: Came,
    /// Given back when this is settled.
    pub(crate) room: Option<Room>,
    pub(crate) at: Millis,
    pub(crate) began: Instant,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Done {
    receipt: Receipt,
    set_aside: u64,
    too_old: u64,
    ignored: u64,
    waiting: u64,
}

impl Done {
    /// What its sender hears.
    pub(crate) fn told(&self) -> serde_json::Value {
        serde_json::json!({
            "stored": self.receipt.new,
            "known": self.receipt.duplicate,
            "quarantined": self.set_aside + self.receipt.by_store.total(),
            "before_enrolment": self.too_old,
            "ignored": self.ignored,
            "waiting": self.waiting,
        })
    }
}

/// What one terminal gets of it.
struct Share {
    known: Arc<Known>,
    events: Vec<Event>,
    quarantined: Vec<Quarantined>,
    crowded: u64,
}

impl Share {
    fn of(known: Arc<Known>) -> Self {
        Self {
            known,
            events: Vec::new(),
            quarantined: Vec::new(),
            crowded: 0,
        }
    }
}

impl Settle {
    /// Stores everything.
    pub(crate) async fn run(mut self) -> Result<Done, No> {
        let done = self.hub.settle(self.began, self.settle()).await;
        self.room = None;
        match &done {
            Ok(done) => {
                let aside = done.set_aside + done.receipt.by_store.total();
                let (new, known) = (done.receipt.new, done.receipt.duplicate);
                let detail = match done.waiting {
                    0 => Says::PostStored.with(&[&new, &known, &aside]),
                    waiting => Says::PostWaits.with(&[&waiting]),
                };
                self.step(Step::Stored, true, detail);
            }
            Err(no) => self.step(Step::Stored, false, no.says()),
        }
        done
    }

    fn step(&self, step: Step, ok: bool, detail: impl Into<crate::detail::Detail>) {
        let serial = &self.known.enrolment.serial;
        self.hub.trace.step(serial, step, ok, self.at, detail);
    }

    async fn settle(&self) -> Result<Done, No> {
        let config = self.hub.config.load_full();
        let mapping = config.mapping(&self.known.enrolment.serial);
        let reading = self.read(Arc::clone(mapping)).await;
        let mut reading = reading.ok_or(No::Internal)?;
        self.note(&reading);
        let mut done = Done {
            ignored: reading.ignored,
            ..Done::default()
        };
        let shares = self.shared(mapping, &mut reading);
        let unread = std::mem::take(&mut reading.unread).into_iter();
        let unread = unread.map(|one| {
            let one = one.quarantined(self.came.route(), self.at);
            self.came.aside(one)
        });
        let mut aside = Some((unread.collect::<Vec<_>>(), reading.crowded));
        for mut share in shares {
            // The first is the sender's own.
            (share.quarantined, share.crowded) = aside.take().unwrap_or_default();
            self.hand_over(share, &mut done).await?;
        }
        Ok(done)
    }

    /// Reads the body; `None` when that ended in a panic.
    async fn read(&self, mapping: Arc<Mapping>) -> Option<Reading> {
        let (came, body) = (self.came.clone(), self.body.clone());
        let read = move || came.read(&mapping, &body);
        if self.body.len() <= LONG_BODY {
            return Some(read());
        }
        tokio::task::spawn_blocking(read).await.ok()
    }

    /// Says what was read, and that nothing could be where that is so.
    fn note(&self, reading: &Reading) {
        let (read, total) = (wide(reading.records.len()), reading.total());
        let unread = total - read - reading.ignored;
        let is_fit = unread == 0 || read + reading.ignored > 0;
        let detail = Says::WasRead.with(&[&other_makes::SOURCE, &read, &unread]);
        self.step(Step::Parsed, is_fit, detail);
        if !self.came.is_read() {
            return;
        }
        if !is_fit {
            let detail = Says::NothingRead.with(&[&unread]);
            conditions::raise(&self.hub, &self.known, Condition::MappingUnfit, detail);
        } else if read > 0 {
            conditions::clear(&self.known, Condition::MappingUnfit);
        }
    }

    /// The records by their terminals, the sender's own first. Those of terminals that may not
    /// bring any are set aside.
    fn shared(&self, mapping: &Mapping, reading: &mut Reading) -> Vec<Share> {
        let mut shares = vec![Share::of(Arc::clone(&self.known))];
        let mut places: HashMap<Text, Option<usize>> = HashMap::new();
        for record in std::mem::take(&mut reading.records) {
            let place = match &record.serial {
                None => Some(0),
                Some(serial) => *places
                    .entry(serial.clone())
                    .or_insert_with(|| self.place(serial, &mut shares)),
            };
            let Some(share) = place.and_then(|place| shares.get_mut(place)) else {
                reading.not_approved(record);
                continue;
            };
            share
                .events
                .push(self.event(mapping, &record, &share.known));
        }
        shares
    }

    fn event(&self, mapping: &Mapping, record: &Record, known: &Known) -> Event {
        let context = Context {
            zone: &known.device.zone,
            route: self.came.route(),
            received_at: self.at,
        };
        normalize(mapping, record, &context)
    }

    /// Where the records of a terminal belong that the sender names; `None` when it may not bring
    /// any.
    fn place(&self, serial: &str, shares: &mut Vec<Share>) -> Option<usize> {
        let serial = Serial::new(serial).ok()?;
        let own = &self.known.enrolment;
        if serial == own.serial {
            return Some(0);
        }
        let Some(known) = self.hub.devices.find(Vendor::Other, &serial) else {
            let (tenant, from) = (&own.tenant, self.came.place());
            let unknown = (Vendor::Other, &serial);
            self.hub.unknown_is_named(unknown, tenant, from, self.at);
            return None;
        };
        // A canary's token is the watchdog's: it never speaks for a real terminal.
        let is_watchdog = own.canary && !known.enrolment.canary;
        if known.enrolment.tenant != own.tenant || !known.may_post() || is_watchdog {
            return None;
        }
        shares.push(Share::of(known));
        Some(shares.len() - 1)
    }

    /// Stores what one terminal got, in as few transactions as its size allows.
    async fn hand_over(&self, share: Share, done: &mut Done) -> Result<(), No> {
        let known = &share.known;
        match &self.came {
            Came::Post(from, over) => known.facts().heard(*from, *over, self.at),
            Came::Message(_) => known.facts().contacted(self.at),
        }
        let before = share.events.len();
        let mut events = share.events;
        events.retain(|event| !known.is_before_enrolment(event.occurred_at));
        let too_old = before - events.len();
        let newest = events.iter().filter_map(|event| event.occurred_at).max();
        let mut aside = Aside::of(&share.quarantined);
        aside.add(Reason::Unreadable, share.crowded);
        let set_aside = aside.total();
        let tally = Tally::of(&self.hub, known, self.came.route());
        let mut quarantined = share.quarantined;
        while !events.is_empty() || !quarantined.is_empty() {
            let rest = events.split_off(events.len().min(EVENTS));
            let count = wide(events.len());
            let submission = Submission {
                device: Arc::clone(&known.device),
                events: std::mem::replace(&mut events, rest),
                quarantined: std::mem::take(&mut quarantined),
                cursors: Vec::new(),
                expects: None,
                fence: None,
            };
            match self.kept(known, submission).await? {
                // The drainer counts what waits, once it is committed.
                None => done.waiting += count,
                Some(receipt) => {
                    tally.received(usize::try_from(count).unwrap_or(usize::MAX));
                    tally.committed(&receipt, std::mem::take(&mut aside));
                    done.receipt += receipt;
                }
            }
        }
        tally.too_old(too_old);
        done.too_old += wide(too_old);
        done.set_aside += set_aside;
        let mut facts = known.facts();
        facts.last_event = facts.last_event.max(newest);
        Ok(())
    }

    /// Commits, or, while the store is away, appends to the journal what nobody brings again; behind
    /// what waits there already nothing of that is committed. `None` when it waits.
    async fn kept(&self, known: &Known, submission: Submission) -> Result<Option<Receipt>, No> {
        let is_journalled = self.came.is_journalled();
        if !(is_journalled && self.hub.journal.holds(known.enrolment.id)) {
            match self.store.writer.submit(submission.clone()).await {
                Ok(receipt) => return Ok(Some(receipt)),
                Err(refused @ Refused::Unavailable(_)) if is_journalled => {
                    tracing::debug!(%refused, "records go to the journal");
                }
                Err(refused) => return Err(not_taken(refused)),
            }
        }
        let appended = self.hub.journal.append(&self.store.label, &submission);
        appended.await.map(|()| None).map_err(|error| {
            let serial = &known.enrolment.serial;
            tracing::debug!(%error, %serial, "the journal takes nothing; the post is refused");
            No::StoreUnavailable
        })
    }
}
