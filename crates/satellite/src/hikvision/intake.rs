//! From what a Hikvision device said to settled rows, whatever the path it came by.
//!
//! Stream, posts and search all end here. One submission of a device is on its way at a time:
//! the serial chain is taken, a changed copy of it goes into the transaction of the rows, and
//! it is kept only after the COMMIT. The transaction also checks that the chain in the database
//! is the one that the copy was made from, so that a restored database or a second satellite
//! can never be told that rows are there which are not.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use daemon::logging::Escaped;
use event::{Event, Ident, Millis, Quarantined, Route, Text};
use hikvision_isapi::{Chain, Completeness, Context, Hint, Newest, PostStep, Record, normalize};
use store::assurance::Assured;
use store::{Fence, JournalError, Receipt, Refused, Submission, Trouble};
use tokio::time::Instant;

use super::state::{Asked, CHAIN, Held, MAC, SEARCHED};
use crate::clock;
use crate::conditions::{self, Condition};
use crate::detail::{Detail, Says};
use crate::devices::Known;
use crate::hub::Hub;
use crate::stores::{Lost, Store};
use crate::tally::{Aside, Tally};

/// Serials that a terminal keeps before it overwrites the oldest (150,000 on the terminals
/// measured); a fall by more than half of it means that the serials began again.
pub(super) const RING: u64 = 150_000;
/// How long a record may take until the search finds it, in milliseconds.
const SEARCHABLE_AFTER: i64 = 60_000;
/// Tries to change a chain that somebody else moved in between.
const TRIES: u32 = 3;
/// How long the copy of a chain is believed while nothing is written: then it is compared with
/// the database, so that an older copy of that is noticed also while the device is quiet.
const BELIEVED: Duration = Duration::from_secs(30);

/// What a device said at once.
#[derive(Debug)]
pub(crate) struct Brought {
    /// The way it came.
    pub(crate) route: Route,
    /// What could be read.
    pub(crate) records: Vec<Record>,
    /// What could not.
    pub(crate) aside: Vec<Quarantined>,
}

impl Brought {
    /// Nothing yet, by that way.
    pub(crate) fn of(route: Route) -> Self {
        Self {
            route,
            records: Vec::new(),
            aside: Vec::new(),
        }
    }

    /// Takes over what another page brought.
    pub(super) fn append(&mut self, mut other: Self) {
        self.records.append(&mut other.records);
        self.aside.append(&mut other.aside);
    }

    /// How long it is, as the device wrote it.
    pub(super) fn bytes(&self) -> usize {
        let records = self.records.iter().map(|record| record.raw.len());
        let aside = self.aside.iter().map(|aside| aside.raw.len());
        records.chain(aside).sum()
    }
}

/// The way in for one device.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) hub: Arc<Hub>,
    pub(crate) known: Arc<Known>,
    pub(crate) store: Store,
    /// The lease under which the device is dialled; `None` for what it posts by itself.
    pub(crate) fence: Option<Fence>,
}

/// What became of records that a search will prove.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hinted {
    /// Those that were stored.
    pub(crate) receipt: Receipt,
    /// Those that were not, because only the search can tell what they are.
    pub(crate) doubtful: usize,
}

/// Where records went that nobody can ask for again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kept {
    /// They are committed.
    Stored(Receipt),
    /// So many events are on disk in the journal.
    Journaled(usize),
}

/// Why they went nowhere: whoever sent them has to keep them.
#[derive(Debug, Clone)]
pub(crate) enum NotKept {
    /// The store refused, and not because it is away.
    Store(Refused),
    /// The store is away, and the journal takes nothing.
    Journal(JournalError),
}

/// What one hears who waited through another's failure.
const AWAY: Refused = Refused::Unavailable(Trouble::NoAnswer);

/// What is going to be written.
#[derive(Default)]
struct Rows {
    events: Vec<Event>,
    aside: Vec<Quarantined>,
}

impl Rows {
    fn of(brought: &Brought) -> Self {
        Self {
            events: Vec::with_capacity(brought.records.len()),
            aside: brought.aside.clone(),
        }
    }
}

/// A change of the chain with what it writes.
struct Change {
    chain: Chain,
    rows: Rows,
    extra: Vec<(Text, Text)>,
}

impl Intake {
    /// Records that the device sent by itself and that a search will prove. What is new or was
    /// missing is stored at once; what is there already is not written again. Doubtful ones,
    /// which may belong to another count of serials, only wake the search.
    pub(crate) async fn hints(&self, brought: &Brought) -> Result<Hinted, Refused> {
        let asked = match self.known.is_brought(clock::now()) {
            // Its edge searches it by serial.
            true => Asked::BySerial,
            false => self.known.hikvision().view().asked,
        };
        let mut doubtful = 0;
        let receipt = self
            .change(brought.route, |chain| {
                doubtful = 0;
                let mut rows = Rows::of(brought);
                for record in &brought.records {
                    let serial = record.serial_no;
                    let hint = serial.and_then(|serial| match asked {
                        Asked::BySerial => Some(chain.hint(serial, record.time.wall)),
                        // Until it was asked, it may have begun to count again meanwhile.
                        Asked::NotYet => Some(Hint::Doubtful),
                        Asked::ByTime | Asked::Nothing => None,
                    });
                    match hint {
                        Some(Hint::Doubtful) => doubtful += 1,
                        Some(Hint::Known) => {}
                        Some(Hint::New | Hint::Filling) | None => {
                            self.take(record, chain.epoch(), brought.route, &mut rows);
                            chain.stored(serial.as_slice(), record.time.wall);
                        }
                    }
                }
                if chain.missing() > 0 || doubtful > 0 {
                    self.known.hikvision().wake();
                }
                rows
            })
            .await?;
        Ok(Hinted { receipt, doubtful })
    }

    /// Records that nobody can ask for again, at least not now: the chain shows gaps and cannot
    /// close them, and while the store is away they wait in the journal. Answers after the
    /// COMMIT, or once the journal is on disk.
    pub(crate) async fn kept(&self, brought: &Brought, mac: Option<Text>) -> Result<Kept, NotKept> {
        let device = self.known.hikvision();
        let (mut slot, given_up) = device.turn().await;
        let waits = self.hub.journal.holds(self.known.enrolment.id);
        if !given_up && !waits {
            let extra = mac.clone().map(|mac| (Text::const_new(MAC), mac));
            let extra: Vec<_> = extra.into_iter().collect();
            let done = self
                .change_slot(&mut slot, brought.route, extra, |chain| {
                    self.read_posts(brought, chain)
                })
                .await;
            match done {
                Ok(receipt) => {
                    self.settled(&slot, mac);
                    return Ok(Kept::Stored(receipt));
                }
                Err(refused @ Refused::Unavailable(_)) => {
                    tracing::debug!(%refused, "records go to the journal");
                }
                Err(refused) => return Err(NotKept::Store(refused)),
            }
        }
        self.journaled(&mut slot, brought, mac).await
    }

    /// Appends to the journal. The chain moves only when that is on disk, and stays held until
    /// then, so that the journal holds the chains in the order in which they grew.
    async fn journaled(
        &self,
        slot: &mut Option<Held>,
        brought: &Brought,
        mac: Option<Text>,
    ) -> Result<Kept, NotKept> {
        let held = slot.as_ref().map(|held| held.chain.clone());
        let mut chain = held.unwrap_or_else(|| self.known.remembered_chain());
        let rows = self.read_posts(brought, &mut chain);
        let text = Text::from(chain.text());
        let mut cursors = vec![(Text::const_new(CHAIN), text.clone())];
        cursors.extend(mac.clone().map(|mac| (Text::const_new(MAC), mac)));
        let submission = Submission {
            device: Arc::clone(&self.known.device),
            events: self.wanted(rows.events).0,
            quarantined: rows.aside,
            cursors,
            expects: None,
            fence: None,
        };
        let count = submission.events.len();
        let appended = self.hub.journal.append(&self.store.label, &submission);
        appended.await.map_err(NotKept::Journal)?;
        self.known.facts().keep_cursor(CHAIN, &text);
        self.known.hikvision().saw_chain(&chain);
        let (stored, agreed) = slot
            .take()
            .map_or((None, None), |held| (held.stored, held.agreed));
        *slot = Some(Held {
            chain,
            stored,
            agreed,
        });
        self.settled(slot, mac);
        Ok(Kept::Journaled(count))
    }

    /// What waited in the journal goes into the store, one post or several in their order. A chain
    /// of it is one that grew while the database could not be asked, perhaps from an old copy: it
    /// is put together with the database's, so that a serial counts as missing only when neither
    /// has it.
    pub(crate) async fn drained(&self, mut submission: Submission) -> Result<Receipt, Refused> {
        let grown = take_chains(&mut submission.cursors);
        let device = self.known.hikvision();
        let (mut slot, _) = device.turn().await;
        let seen = slot.take().map(|held| held.chain);
        let asked_later = self.known.is_dialled();
        for _ in 0..TRIES {
            let stored = self.load().await?;
            let with = |chain: Chain, grown| chain.with(grown, asked_later);
            let chain = grown.iter().fold(stored.chain, with);
            let text = Text::from(chain.text());
            let mut attempt = submission.clone();
            attempt.cursors.push((Text::const_new(CHAIN), text.clone()));
            attempt.expects = Some((Text::const_new(CHAIN), stored.stored));
            match self.store.writer.submit(attempt).await {
                Ok(receipt) => {
                    // What waits behind this one is known here already.
                    let chain = seen
                        .as_ref()
                        .map_or_else(|| chain.clone(), |seen| chain.with(seen, asked_later));
                    self.known.facts().keep_cursor(CHAIN, &chain.text());
                    device.saw_chain(&chain);
                    *slot = Some(Held::agreed(chain, Some(text)));
                    self.settled(&slot, None);
                    return Ok(receipt);
                }
                Err(Refused::Moved) => {}
                Err(refused) => {
                    self.gave_up(&refused);
                    return Err(refused);
                }
            }
        }
        Err(Refused::Moved)
    }

    /// The chain of an edge, whose rows up to it are all stored here: put together with ours, so that
    /// a serial is missing only where neither has it.
    pub(crate) async fn carried(&self, chain: &Chain) -> Result<(), Refused> {
        let (mut slot, given_up) = self.known.hikvision().turn().await;
        if given_up {
            return Err(AWAY);
        }
        let route = Route::Edge;
        let change = |own: &mut Chain| {
            *own = own.with(chain, true);
            Rows::default()
        };
        self.change_slot(&mut slot, route, Vec::new(), change)
            .await?;
        self.settled(&slot, None);
        Ok(())
    }

    /// Says what follows from records that are safe now.
    fn settled(&self, slot: &Option<Held>, mac: Option<Text>) {
        if let Some(mac) = mac {
            self.known.hikvision().view().mac = Some(mac);
        }
        let missing = slot.as_ref().map_or(0, |held| held.chain.missing());
        if missing == 0 || self.known.hikvision().view().asked == Asked::BySerial {
            conditions::clear(&self.known, Condition::GapInPosts);
        } else {
            self.raise(Condition::GapInPosts, Says::NotPosted.with(&[&missing]));
        }
    }

    fn gave_up(&self, refused: &Refused) {
        if matches!(refused, Refused::Unavailable(_)) {
            self.known.hikvision().store_gave_up();
        }
    }

    /// The device answered a whole range with these serials: what it did not give is gone.
    pub(super) async fn answered(
        &self,
        range: (u64, u64),
        serials: &[u64],
        brought: &Brought,
    ) -> Result<(), Refused> {
        let mut lost = 0;
        self.change(brought.route, |chain| {
            let rows = self.rows(brought, chain.epoch());
            let before = chain.lost();
            chain.answered(range, serials);
            lost = chain.lost() - before;
            rows
        })
        .await?;
        if lost > 0 {
            let (begin, end) = range;
            let detail = Says::SerialsGone.with(&[&lost, &begin, &end]);
            self.lost(Some(lost), detail.as_str()).await;
            self.raise(Condition::RingOverrun, detail);
        }
        Ok(())
    }

    /// The device gave these serials of a range and has more. False when none was missing.
    pub(super) async fn more(
        &self,
        range: (u64, u64),
        serials: &[u64],
        brought: &Brought,
    ) -> Result<bool, Refused> {
        let mut progress = false;
        self.change(brought.route, |chain| {
            let rows = self.rows(brought, chain.epoch());
            progress = chain.more(range, serials);
            rows
        })
        .await?;
        Ok(progress)
    }

    /// A page of a range that is walked through: what is new or was missing is stored.
    pub(super) async fn walked(&self, brought: &Brought) -> Result<(), Refused> {
        self.change(brought.route, |chain| {
            let rows = self.lacking(brought, chain);
            let serials: Vec<u64> = brought.records.iter().filter_map(|r| r.serial_no).collect();
            chain.stored(&serials, None);
            rows
        })
        .await
        .map(drop)
    }

    /// What of it is neither stored nor known to be gone.
    fn lacking(&self, brought: &Brought, chain: &Chain) -> Rows {
        let mut rows = Rows::of(brought);
        for record in &brought.records {
            if record.serial_no.is_none_or(|serial| chain.lacks(serial)) {
                self.take(record, chain.epoch(), brought.route, &mut rows);
            }
        }
        rows
    }

    /// Records of a window that was asked for again. `by_serial`: their serials count as stored.
    pub(super) async fn again(
        &self,
        brought: &Brought,
        by_serial: bool,
    ) -> Result<Receipt, Refused> {
        self.change(brought.route, |chain| {
            let rows = self.rows(brought, chain.epoch());
            if by_serial {
                let serials: Vec<u64> =
                    brought.records.iter().filter_map(|r| r.serial_no).collect();
                let last = brought.records.iter().max_by_key(|record| record.serial_no);
                chain.stored(&serials, last.and_then(|record| record.time.wall));
            }
            rows
        })
        .await
    }

    /// Records found by time. The cursor of that search moves with them, from where it was.
    pub(super) async fn timed(
        &self,
        brought: &Brought,
        from: Option<Text>,
        to: Text,
    ) -> Result<(), Refused> {
        let rows = self.rows(brought, self.chain().await?.epoch());
        let name = || Text::const_new(SEARCHED);
        let moved = vec![(name(), to)];
        let submitted = self.submit(rows, moved, (name(), from), brought.route);
        submitted.await.map(drop)
    }

    /// What makes these records the same as others, and the latest time among them.
    pub(super) async fn outline(
        &self,
        brought: &Brought,
    ) -> Result<(HashSet<Ident>, Option<Millis>), Refused> {
        let rows = self.rows(brought, self.chain().await?.epoch());
        let latest = rows.events.iter().filter_map(|event| event.occurred_at);
        let idents = rows.events.iter().map(|event| event.ident).collect();
        Ok((idents, latest.max()))
    }

    /// The device's newest page, and the highest serial on it. Of a device that is known by the
    /// time of its newest record only what is new or was missing is stored: what is there already
    /// would be a page of duplicates every few seconds. Answers the range that must be searched
    /// before a restart of its count is believed.
    pub(super) async fn newest(
        &self,
        highest: u64,
        brought: &Brought,
    ) -> Result<Option<(u64, u64)>, Refused> {
        let mut told = Newest::Same;
        self.change(brought.route, |chain| {
            let mut next = chain.clone();
            told = next.device_says_newest(highest);
            if matches!(told, Newest::Doubt { .. }) {
                // These may be records of another count: nothing is stored under this epoch.
                return Rows::default();
            }
            let is_known = chain.anchor().is_some();
            *chain = next;
            let serials: Vec<u64> = brought.records.iter().filter_map(|r| r.serial_no).collect();
            let last = brought.records.iter().max_by_key(|record| record.serial_no);
            let rows = match is_known {
                true => self.lacking(brought, chain),
                false => self.rows(brought, chain.epoch()),
            };
            chain.stored(&serials, last.and_then(|record| record.time.wall));
            rows
        })
        .await?;
        self.known.hikvision().view().newest_on_device = Some(highest);
        Ok(match told {
            Newest::Doubt { ask } => Some(ask),
            Newest::Same | Newest::Ahead(_) | Newest::Reset => None,
        })
    }

    /// The device counts from the start again; `newest` is its newest serial now.
    pub(super) async fn began_again(&self, newest: u64) -> Result<(), Refused> {
        self.change(Route::Poll, |chain| {
            chain.anchor_lost(newest);
            Rows::default()
        })
        .await?;
        let detail = Says::OtherRecord.with(&[&newest]);
        self.lost(None, detail.as_str()).await;
        self.raise(Condition::SerialsRestarted, detail);
        Ok(())
    }

    /// The answer to the doubt: the serials found where the newest one should have been.
    pub(super) async fn doubt(
        &self,
        newest: u64,
        ask: (u64, u64),
        found: &[u64],
    ) -> Result<(), Refused> {
        let mut told = Newest::Same;
        self.change(Route::Poll, |chain| {
            told = chain.doubt_answered(newest, ask, found);
            Rows::default()
        })
        .await?;
        if told == Newest::Reset {
            let detail = Says::NewestFell.with(&[&newest]);
            self.lost(None, detail.as_str()).await;
            self.raise(Condition::SerialsRestarted, detail);
        }
        Ok(())
    }

    /// Nothing is missing of what the device held when it was asked at that moment, in a round
    /// that began then. Says nothing when the database was not heard in that round.
    pub(super) async fn is_whole(&self, asked_at: Millis, began: Instant) {
        let (slot, _) = self.known.hikvision().turn().await;
        let agreed = slot.as_ref().and_then(|held| held.agreed);
        drop(slot);
        if agreed.is_none_or(|at| at < began) {
            return;
        }
        let view = self.known.hikvision().view();
        let proven = view.completeness == Some(Completeness::Proven) && view.missing == 0;
        // One that never made a record: nothing is there, and nothing was.
        let unused = view.asked == Asked::BySerial && view.newest_stored.is_none();
        drop(view);
        let mut facts = self.known.facts();
        if proven || (unused && facts.log_used == Some(0)) {
            facts.assured = Some(Assured {
                complete_to: Some(Millis(asked_at.0.saturating_sub(SEARCHABLE_AFTER))),
                checked_at: asked_at,
                means: Text::const_new("serials"),
                device_count: None,
                stored_count: None,
            });
        }
    }

    /// Records are gone that the device made since its record was last known to be whole. How
    /// many is not known when it began to count again.
    async fn lost(&self, count: Option<u64>, detail: &str) {
        let lost = Lost {
            device: self.known.enrolment.id,
            not_before: self.known.enrolment.created_at,
            count,
            detail,
        };
        if let Err(failure) = self.store.note_lost(&lost).await {
            tracing::warn!(serial = %self.known.enrolment.serial, %failure, detail = %Escaped(detail), "a loss could not be written down");
        }
    }

    /// The chain as it is now, for deciding what to ask next.
    pub(super) async fn chain(&self) -> Result<Chain, Refused> {
        let device = self.known.hikvision();
        let (mut slot, given_up) = device.turn().await;
        let held = match slot.take() {
            Some(held) if held.is_believed(BELIEVED) => held,
            _ if given_up => return Err(AWAY),
            Some(held) => held.compared(self.load().await?),
            None => self.load().await?,
        };
        let chain = held.chain.clone();
        device.saw_chain(&chain);
        *slot = Some(held);
        Ok(chain)
    }

    fn read_posts(&self, brought: &Brought, chain: &mut Chain) -> Rows {
        let mut rows = Rows::of(brought);
        let asked_later = self.known.is_dialled();
        for record in &brought.records {
            let wall = record.time.wall;
            let step = record.serial_no.map(|serial| match asked_later {
                true => chain.post_before_asked(serial, wall, RING),
                false => chain.post_only(serial, wall, RING),
            });
            if step == Some(PostStep::Reset) {
                let serial = record.serial_no.unwrap_or_default();
                let detail = Says::SerialFell.with(&[&serial]);
                self.raise(Condition::SerialsRestarted, detail);
            }
            self.take(record, chain.epoch(), brought.route, &mut rows);
        }
        rows
    }

    fn rows(&self, brought: &Brought, epoch: u32) -> Rows {
        let mut rows = Rows::of(brought);
        for record in &brought.records {
            self.take(record, epoch, brought.route, &mut rows);
        }
        rows
    }

    /// Turns a record into an event, or sets it aside. Either way it will be stored.
    fn take(&self, record: &Record, epoch: u32, route: Route, rows: &mut Rows) {
        let context = Context {
            zone: &self.known.device.zone,
            route,
            received_at: clock::now(),
            epoch,
        };
        match normalize(record, &context) {
            Ok(event) => rows.events.push(event),
            Err(quarantined) => rows.aside.push(quarantined),
        }
    }

    async fn change<F>(&self, route: Route, change: F) -> Result<Receipt, Refused>
    where
        F: FnMut(&mut Chain) -> Rows,
    {
        let (mut slot, given_up) = self.known.hikvision().turn().await;
        if given_up {
            return Err(AWAY);
        }
        self.change_slot(&mut slot, route, Vec::new(), change).await
    }

    /// Applies `change` to a copy of the chain and commits what it gives, together with the
    /// copy. Begins again with the database's chain when somebody else moved it.
    async fn change_slot<F>(
        &self,
        slot: &mut Option<Held>,
        route: Route,
        extra: Vec<(Text, Text)>,
        mut change: F,
    ) -> Result<Receipt, Refused>
    where
        F: FnMut(&mut Chain) -> Rows,
    {
        for _ in 0..TRIES {
            // Taken, not borrowed: if this is cut short, the next one reads the database.
            let old = match slot.take() {
                Some(held) => held,
                None => self.load().await?,
            };
            let mut chain = old.chain.clone();
            let rows = change(&mut chain);
            let next = Change {
                chain,
                rows,
                extra: extra.clone(),
            };
            match self.commit(old, next, route).await {
                Ok((receipt, held)) => {
                    self.known.hikvision().saw_chain(&held.chain);
                    *slot = Some(held);
                    return Ok(receipt);
                }
                Err(Refused::Moved) => {}
                Err(refused) => {
                    self.gave_up(&refused);
                    return Err(refused);
                }
            }
        }
        Err(Refused::Moved)
    }

    async fn commit(
        &self,
        old: Held,
        next: Change,
        route: Route,
    ) -> Result<(Receipt, Held), Refused> {
        let Change { chain, rows, extra } = next;
        let stored = old.stored;
        let text = Text::from(chain.text());
        let moved = match &stored {
            Some(stored) => *stored != text,
            None => chain != Chain::new(),
        };
        let mut cursors = extra;
        if moved {
            cursors.push((Text::const_new(CHAIN), text.clone()));
        }
        let is_idle = rows.events.is_empty() && rows.aside.is_empty() && cursors.is_empty();
        if is_idle {
            let agreed = old.agreed;
            let held = Held {
                chain,
                stored,
                agreed,
            };
            return Ok((Receipt::default(), held));
        }
        let expects = (Text::const_new(CHAIN), stored.clone());
        let receipt = self.submit(rows, cursors, expects, route).await?;
        let stored = if moved { Some(text) } else { stored };
        if let Some(text) = &stored {
            self.known.facts().keep_cursor(CHAIN, text);
        }
        Ok((receipt, Held::agreed(chain, stored)))
    }

    /// Commits rows and cursors together and counts them.
    async fn submit(
        &self,
        rows: Rows,
        cursors: Vec<(Text, Text)>,
        expects: (Text, Option<Text>),
        route: Route,
    ) -> Result<Receipt, Refused> {
        let received = rows.events.len();
        let (events, too_old) = self.wanted(rows.events);
        let newest = events.iter().filter_map(|event| event.occurred_at).max();
        let aside = Aside::of(&rows.aside);
        let submission = Submission {
            device: Arc::clone(&self.known.device),
            events,
            quarantined: rows.aside,
            cursors,
            expects: Some(expects),
            fence: self.fence,
        };
        let receipt = self.store.writer.submit(submission).await?;
        let mut facts = self.known.facts();
        facts.last_event = facts.last_event.max(newest);
        drop(facts);
        let tally = Tally::of(&self.hub, &self.known, route);
        tally.received(received);
        tally.too_old(too_old);
        tally.committed(&receipt, aside);
        Ok(receipt)
    }

    /// What the enrolment wants of these events, and how many it does not.
    fn wanted(&self, mut events: Vec<Event>) -> (Vec<Event>, usize) {
        let before = events.len();
        events.retain(|event| !self.known.is_before_enrolment(event.occurred_at));
        let left = before - events.len();
        (events, left)
    }

    /// The chain as the database has it.
    async fn load(&self) -> Result<Held, Refused> {
        let report = self.store.writer.report();
        if let Some((trouble, _)) = report.trouble.filter(|_| !report.up) {
            // Known to be away: not worth the wait for a session.
            return Err(Refused::Unavailable(trouble));
        }
        let stored = self.store.cursor(self.known.enrolment.id, CHAIN).await;
        let stored = stored.inspect_err(|refused| self.gave_up(refused))?;
        let read = stored.as_deref().map(Chain::parse);
        if read == Some(None) {
            tracing::error!(
                serial = %self.known.enrolment.serial,
                "the serial chain in the database cannot be read; everything on the device is asked for again"
            );
        }
        let chain = read.flatten().unwrap_or_else(Chain::new);
        Ok(Held::agreed(chain, stored))
    }

    /// Raises a condition of this device, with one log line when it is new.
    pub(crate) fn raise(&self, condition: Condition, detail: impl Into<Detail>) {
        conditions::raise(&self.hub, &self.known, condition, detail);
    }
}

/// Takes the chains out, in their order; of each other cursor the last value stays.
fn take_chains(cursors: &mut Vec<(Text, Text)>) -> Vec<Chain> {
    let mut chains = Vec::new();
    let mut others = BTreeMap::new();
    for (name, value) in cursors.drain(..) {
        if name == CHAIN {
            chains.extend(Chain::parse(&value));
        } else {
            others.insert(name, value);
        }
    }
    cursors.extend(others);
    chains
}
