//! One session with a terminal, from CONNECT to its end.
//!
//! ```text
//! serial → clock, sizes → (what it is) → (people) → the log's end → events → the log's end
//!        → every minute: sizes, and the log's end when they moved
//!        → every day: what it is, people, the whole log
//! ```
//!
//! What came is stored before anything more is sent, so that an event is acknowledged after its
//! COMMIT. Whatever the store refuses ends the session: the terminal keeps the record, and the
//! next session begins where the database says. An end without EXIT says it on the way out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use event::{Millis, Route, Text, WallTime};
use hikvision_isapi::Completeness;
use store::Refused;
use store::assurance::Assured;
use tokio::sync::SemaphorePermit;
use zkteco_pull::{
    Action, Ask, CommKey, Delivery, Error, Extent, Info, Known, Log, Realtime, Session,
    SessionOptions, Sizes, Transport, Unread, UserList,
};

use super::intake::{Intake, Rows};
use super::log::{Reading, cursor_of, known_by};
use super::state::{Again, Errand, NotRead};
use super::wire::Wire;
use crate::clock;
use crate::conditions::Condition;
use crate::detail::{Detail, Says};
use crate::dial::Link;
use crate::dial::socket::NotOpen;
use crate::record::Outlines;
use crate::trace::Step;

/// How often the terminal's counts are looked at.
const CHECK: Duration = Duration::from_secs(60);
/// How often its whole log is read again.
const WHOLE: Duration = Duration::from_secs(24 * 3_600);
/// Pause before room for a log is looked for again while events are listened for.
const ROOM: Duration = Duration::from_secs(1);
/// Shortest time between two readings of the user list for the sake of an unknown person.
const USERS: Duration = Duration::from_secs(10);
/// Longest until a session over UDP must be open: three questions in the field's way.
const UDP_OPEN: Duration = Duration::from_secs(5);
/// Reads in a row before what was heard is acted on.
const READS: usize = 32;
/// How long what happened once stands among the conditions, in milliseconds: a day.
const STANDS_FOR: i64 = 24 * 3_600_000;
/// Bytes of the largest record.
const LARGEST: u32 = 49;

/// How a session ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// As wanted: everything was asked, and the terminal sends no events.
    Left,
    /// No connection.
    NotOpen(NotOpen),
    /// The connection broke.
    Wire(std::io::Error),
    /// By the terminal, or by what it said.
    Terminal(Error),
    /// Another terminal answers.
    WrongDevice(Detail),
    /// By the store.
    Store(Refused),
}

impl From<Refused> for Ended {
    fn from(refused: Refused) -> Self {
        Self::Store(refused)
    }
}

/// How a session is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    /// Where, `host:port`.
    pub(super) address: &'a str,
    pub(super) transport: Transport,
    /// Whether it listens for events afterwards, or leaves when everything was asked.
    pub(super) stays: bool,
}

/// What outlives sessions: what was learned of the terminal and need not be asked each time.
#[derive(Debug, Default)]
pub(super) struct Learned {
    users: Option<UserList>,
    users_at: Option<Instant>,
    info_at: Option<Instant>,
    whole_at: Option<Instant>,
    /// The quarantine was looked through since this process dials the terminal.
    settled: bool,
}

/// A session.
pub(super) struct Talk<'a> {
    intake: &'a Intake,
    learned: &'a mut Learned,
    session: Session,
    wire: Wire,
    outlines: Outlines,
    transport: Transport,
    base: (Millis, Instant),
    plan: VecDeque<Ask>,
    outgoing: Vec<Bytes>,
    live: Vec<Realtime>,
    /// The cursor of the log, as the database had it last.
    stands: Option<Text>,
    prior: Option<Known>,
    sizes: Sizes,
    /// When it said them.
    sized_at: Option<Millis>,
    room: Option<SemaphorePermit<'a>>,
    errand: Option<Errand>,
    /// The sizes were asked for to see whether the log must be read.
    checking: bool,
    /// Somebody unknown punched: the user list is to be read again when it is time.
    wants_people: bool,
    /// The log was read whole because the counts disagreed.
    recounted: bool,
    next_check: Instant,
    hold: Option<Instant>,
    /// Over UDP, when the session must be open.
    open_by: Option<Instant>,
    /// The terminal told the serial that was expected.
    opened: bool,
    /// It got as far as a session shall.
    pub(super) arrived: bool,
}

impl<'a> Talk<'a> {
    /// Opens a session.
    pub(super) async fn open(
        intake: &'a Intake,
        learned: &'a mut Learned,
        way: Way<'_>,
        key: Option<CommKey>,
    ) -> Result<Self, Ended> {
        let transport = way.transport;
        let stands = intake.cursor().await?;
        let prior = known_by(stands.as_ref());
        let wire = Wire::open(way.address, transport).await;
        let wire = wire.map_err(Ended::NotOpen)?;
        let options = SessionOptions {
            transport,
            key,
            asks: Vec::new(),
            layout: prior.map(|known| known.layout),
            known: prior,
            ..SessionOptions::default()
        };
        let now = Instant::now();
        let base = (clock::now(), now);
        Ok(Self {
            session: Session::new(options, base.0),
            plan: opening(learned, way.stays),
            intake,
            learned,
            wire,
            outlines: Outlines::new(transport, intake.known.tape()),
            transport,
            base,
            outgoing: Vec::new(),
            live: Vec::new(),
            stands,
            prior,
            sizes: Sizes::default(),
            room: None,
            sized_at: None,
            errand: None,
            checking: false,
            wants_people: false,
            recounted: false,
            next_check: now + CHECK,
            hold: None,
            open_by: (transport == Transport::Udp).then(|| now + UDP_OPEN),
            opened: false,
            arrived: false,
        })
    }

    /// Whether the expected terminal answered.
    pub(super) fn opened(&self) -> bool {
        self.opened
    }

    /// Holds the session to its end.
    pub(super) async fn run(&mut self) -> Ended {
        loop {
            match self.turn().await {
                Ok(()) => {}
                Err(ended) => return ended,
            }
        }
    }

    async fn turn(&mut self) -> Result<(), Ended> {
        self.hear()?;
        let wait = self.act().await;
        // Events come first: they are stored before anything of them is acknowledged.
        self.store_live().await?;
        self.send().await?;
        let wake = wait?;
        let rested = async {
            tokio::time::sleep_until(wake.into()).await;
        };
        let device = self.intake.known.pull();
        tokio::select! {
            read = self.wire.readable() => read.map_err(Ended::Wire)?,
            () = rested => {}
            () = device.woken() => {}
        }
        let late = self.open_by.is_some_and(|by| Instant::now() >= by);
        if late && !self.opened {
            return Err(Ended::Terminal(Error::Silent));
        }
        Ok(())
    }

    /// Takes what has come.
    fn hear(&mut self) -> Result<(), Ended> {
        for _ in 0..READS {
            let now = self.now();
            let (tape, outlines) = (self.intake.known.tape(), &mut self.outlines);
            let note = |bytes: &[u8]| outlines.heard(tape, bytes);
            let heard = self.wire.hear(&mut self.session, now, note);
            if !heard.map_err(|error| self.broke(error))? {
                break;
            }
        }
        Ok(())
    }

    /// The connection is gone. That is no fault of it when the session was over by then:
    /// terminals close it with their answer to EXIT.
    fn broke(&mut self, error: std::io::Error) -> Ended {
        if self.session.is_leaving() {
            return Ended::Left;
        }
        match self.session.next(self.now()) {
            Action::Done => Ended::Left,
            Action::Close(error) => Ended::Terminal(error),
            _ => Ended::Wire(error),
        }
    }

    /// Does what the session says until there is nothing to do before the time in the answer.
    async fn act(&mut self) -> Result<Instant, Ended> {
        loop {
            if self.session.is_free() {
                self.ask_next().await?;
            }
            match self.session.next(self.now()) {
                Action::Send(bytes) => self.outgoing.push(bytes),
                Action::Got(Delivery::Event(event)) => self.live.push(event),
                Action::Got(delivery) => self.got(delivery).await?,
                Action::Wait(until) => return Ok(self.wake(until)),
                Action::Done => return Err(Ended::Left),
                Action::Close(error) => return Err(Ended::Terminal(error)),
            }
        }
    }

    fn now(&self) -> Millis {
        let since = i64::try_from(self.base.1.elapsed().as_millis()).unwrap_or(i64::MAX);
        Millis(self.base.0.0.saturating_add(since))
    }

    /// When to act again although nothing is heard.
    fn wake(&self, until: Millis) -> Instant {
        let since = until.0.saturating_sub(self.base.0.0).max(0);
        let due = self.base.1 + Duration::from_millis(since.unsigned_abs());
        let people = self.learned.users_at.filter(|_| self.wants_people);
        let people = people.map(|at| at + USERS);
        let idle = [Some(self.next_check), self.hold, people];
        // While a question is open, nothing of this can be done.
        let idle = idle.into_iter().filter(|_| self.session.is_idle());
        let own = idle.chain([self.open_by]);
        own.flatten().fold(due, Instant::min).max(Instant::now())
    }

    async fn send(&mut self) -> Result<(), Ended> {
        for bytes in std::mem::take(&mut self.outgoing) {
            self.outlines.sent(self.intake.known.tape(), &bytes);
            self.wire.write(&bytes).await.map_err(Ended::Wire)?;
        }
        Ok(())
    }

    /// Asks the next thing, when there is one.
    async fn ask_next(&mut self) -> Result<(), Ended> {
        if self.plan.is_empty() {
            self.plan_more().await?;
        }
        let Some(ask) = self.plan.pop_front() else {
            return Ok(());
        };
        if let Ask::Log(extent) = ask
            && self.room.is_none()
        {
            let bytes = self.expected(extent);
            let reading = &self.intake.hub.reading;
            if !self.session.is_idle() {
                self.room = reading.take(bytes).await;
            } else if let Some(room) = reading.try_take(bytes) {
                self.room = Some(room);
            } else {
                self.plan.push_front(ask);
                self.hold = Some(Instant::now() + ROOM);
                return Ok(());
            }
        }
        self.hold = None;
        self.session.ask(ask);
        Ok(())
    }

    /// Everything that was planned is done: what is due or wished for now.
    async fn plan_more(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        self.arrived = true;
        if let Some(errand) = self.intake.known.pull().errand() {
            self.errand = Some(errand);
            self.plan
                .extend([Ask::Users, Ask::Sizes, Ask::Log(Extent::Whole)]);
        } else if !self.session.is_idle() {
            // It sends no events: the session ends, and the next one comes soon.
        } else if self.wants_people && is_due(self.learned.users_at, USERS) {
            self.wants_people = false;
            self.plan.push_back(Ask::Users);
        } else if is_due(self.learned.whole_at, WHOLE) {
            self.learned.whole_at = Some(now);
            self.plan
                .extend([Ask::Info, Ask::Users, Ask::Sizes, Ask::Log(Extent::Whole)]);
        } else if now >= self.next_check {
            self.next_check = now + CHECK;
            self.forget_what_happened();
            // A restored database has another cursor: the session must begin there.
            if self.intake.cursor().await? != self.stands {
                return Err(Refused::Moved.into());
            }
            self.checking = true;
            self.plan.extend([Ask::Clock, Ask::Sizes]);
        }
        Ok(())
    }

    /// What happened once has stood long enough for somebody to see it.
    fn forget_what_happened(&self) {
        let since = self.intake.known.conditions().since(Condition::LogCleared);
        if since.is_some_and(|since| clock::now().0 - since.0 > STANDS_FOR) {
            self.intake.clear(Condition::LogCleared);
        }
    }

    /// How much of the log will come, in bytes.
    fn expected(&self, extent: Extent) -> Option<u32> {
        let count = self.sizes.records?;
        let known = self.prior.filter(|_| extent == Extent::New);
        let known = known.map_or(0, |known| known.records);
        count
            .checked_sub(known)?
            .checked_add(8)?
            .checked_mul(LARGEST)
    }

    async fn got(&mut self, delivery: Delivery) -> Result<(), Ended> {
        match delivery {
            Delivery::Serial(serial) => self.identified(serial)?,
            Delivery::Info(info) => self.told(&info),
            Delivery::Clock { device, at } => self.clock(device.ok(), at),
            Delivery::Sizes(sizes) => self.counted(sizes),
            Delivery::Users(users) => self.people(users).await?,
            Delivery::UsersUnread(unread) => self.no_people(&unread),
            Delivery::Log(log) => self.log(&log).await?,
            Delivery::LogUnread(unread, data) => self.unread(&unread, &data).await?,
            Delivery::Listening(done) => {
                let mut view = self.intake.known.pull().view();
                view.listening = done.is_ok();
                if let Err(code) = done {
                    tracing::debug!(serial = %self.intake.known.enrolment.serial, code, "the terminal sends no events");
                }
            }
            Delivery::ClockSet(_) => {}
            Delivery::Event(event) => self.live.push(event),
        }
        Ok(())
    }

    /// Nothing is read of a terminal that is not the enrolled one.
    fn identified(&mut self, serial: Option<Text>) -> Result<(), Ended> {
        let enrolled = &self.intake.known.enrolment.serial;
        self.intake.step(Step::Approved, true, Says::TakesSession);
        let same = |told: &Text| told.trim().eq_ignore_ascii_case(enrolled.as_str());
        if !serial.as_ref().is_some_and(same) {
            let named = serial.unwrap_or_else(|| Detail::from(Says::NoSerial).to_string().into());
            return Err(Ended::WrongDevice(Says::OtherThere.with(&[&named])));
        }
        self.opened = true;
        self.open_by = None;
        self.intake.known.facts().last_contact = Some(clock::now());
        self.intake
            .step(Step::Identified, true, Says::IsEnrolledOne);
        let mut view = self.intake.known.pull().view();
        (view.link, view.transport) = (Link::Up, Some(self.transport));
        drop(view);
        for condition in [
            Condition::Unreachable,
            Condition::NoSession,
            Condition::CommKeyRefused,
            Condition::SecurePull,
            Condition::AccessPanel,
            Condition::WrongDevice,
        ] {
            self.intake.clear(condition);
        }
        Ok(())
    }

    fn told(&mut self, info: &Info) {
        self.learned.info_at = Some(Instant::now());
        let mut facts = self.intake.known.facts();
        facts.firmware = info.firmware.clone().or_else(|| facts.firmware.take());
        let model = info.get("~DeviceName").or_else(|| info.get("~Platform"));
        facts.model = model.map(Text::new).or_else(|| facts.model.take());
    }

    fn clock(&self, device: Option<WallTime>, at: Millis) {
        let now = clock::now();
        self.intake.known.facts().last_contact = Some(now);
        let Some(wall) = device else { return };
        let zone = &self.intake.known.device.zone;
        let ours = at.0.div_euclid(1_000) + i64::from(zone.offset_seconds_at(at));
        let ahead = wall.seconds_as_utc() - ours;
        self.intake.known.facts().skew.read(ahead, now);
        self.intake.known.pull().view().ahead = Some(ahead);
    }

    fn counted(&mut self, sizes: Sizes) {
        self.sizes = sizes;
        self.sized_at = Some(clock::now());
        let mut facts = self.intake.known.facts();
        let number = |n: Option<u32>| n.map(i64::from);
        facts.log_used = number(sizes.records).or(facts.log_used);
        facts.log_capacity = number(sizes.record_capacity).or(facts.log_capacity);
        facts.users_used = number(sizes.users).or(facts.users_used);
        facts.users_capacity = number(sizes.user_capacity).or(facts.users_capacity);
        drop(facts);
        let mut view = self.intake.known.pull().view();
        (view.users, view.records) = (sizes.users, sizes.records);
        let completeness = view.completeness;
        drop(view);
        let read = self.prior.map_or(0, |known| known.records);
        if std::mem::take(&mut self.checking) {
            if sizes.records != Some(read) {
                self.plan.push_back(Ask::Log(Extent::New));
            } else if completeness == Some(Completeness::Proven) {
                self.assure(read);
            }
        }
    }

    async fn people(&mut self, users: UserList) -> Result<(), Ended> {
        self.learned.users_at = Some(Instant::now());
        let waiting = self.intake.known.pull().view().unresolved > 0;
        if !self.learned.settled || waiting {
            let left = self.intake.settle(&users, self.stands.as_ref()).await?;
            self.learned.settled = true;
            self.unresolved(left, true);
        }
        self.learned.users = Some(users);
        Ok(())
    }

    fn no_people(&mut self, unread: &Unread) {
        self.learned.users_at = Some(Instant::now());
        tracing::warn!(
            serial = %self.intake.known.enrolment.serial, %unread,
            "the terminal's user list cannot be read; records without a PIN text wait in quarantine"
        );
    }

    /// Counts records whose person nobody knows: those that still wait, or more of them.
    fn unresolved(&self, count: u64, all: bool) {
        let mut view = self.intake.known.pull().view();
        view.unresolved = if all { count } else { view.unresolved + count };
        let waiting = view.unresolved;
        drop(view);
        if waiting == 0 {
            self.intake.clear(Condition::PeopleUnresolved);
        } else if all || count > 0 {
            let detail = Says::WaitForPerson.with(&[&waiting]);
            self.intake.raise(Condition::PeopleUnresolved, detail);
        }
    }

    /// Unknown people may have been enrolled since the list was read.
    fn ask_for_people(&mut self, uncertain: u64) {
        if uncertain > 0 {
            self.unresolved(uncertain, false);
            self.wants_people = true;
        }
    }

    async fn log(&mut self, log: &Log) -> Result<(), Ended> {
        let known = self.session.known().copied();
        let next = cursor_of(known.as_ref());
        let fresh = self.continues(log);
        let errand = self.errand.take();
        let reading = Reading {
            log,
            users: self.learned.users.as_ref(),
            stands: self.stands.as_ref(),
            next: &next,
            wanted: errand.as_ref().map(|errand| errand.wanted),
            fresh,
        };
        let taken = match self.intake.log(&reading).await {
            Ok(taken) => taken,
            Err(refused) => {
                self.errand = errand;
                return Err(refused.into());
            }
        };
        let total = known.map_or(0, |known| known.records);
        (self.stands, self.prior, self.room) = (Some(next), known, None);
        self.intake.clear(Condition::LogUnreadable);
        self.intake.step(Step::Parsed, true, Says::LogRead);
        let stored = Says::NewStored.with(&[&taken.receipt.new]);
        self.intake.step(Step::Stored, true, stored);
        self.ask_for_people(taken.uncertain);
        self.judge(total);
        if let Some(errand) = errand {
            errand.done(Ok(Again {
                held: total,
                days: taken.days,
                new: taken.receipt.new,
                aside: taken.aside,
            }));
        }
        Ok(())
    }

    /// Where in these records begins what was not known. Names a log that lost its past.
    fn continues(&self, log: &Log) -> usize {
        let same = |known: &Known| log.first == 0 && log.layout.is_none_or(|l| l == known.layout);
        let Some(prior) = self.prior.filter(same) else {
            return 0;
        };
        if let Some(end) = prior.end_in(&log.data) {
            return usize::try_from(end).unwrap_or(0);
        }
        let (before, now) = (prior.records, log.len());
        let detail = Says::LogCleared.with(&[&before, &now]);
        self.intake.raise(Condition::LogCleared, detail);
        0
    }

    /// What may be claimed after `total` records were read: proven only when the terminal counts
    /// no more than it handed out.
    fn judge(&mut self, total: u32) {
        let counted = self.sizes.records;
        let missing = counted.map_or(0, |counted| counted.saturating_sub(total));
        if missing > 0 && !self.recounted {
            self.recounted = true;
            self.plan.extend([Ask::Sizes, Ask::Log(Extent::Whole)]);
            return;
        }
        let completeness = match (counted, missing) {
            (None, _) => Completeness::Unproven,
            (Some(_), 0) => Completeness::Proven,
            (Some(_), _) => Completeness::Seen,
        };
        let mut view = self.intake.known.pull().view();
        view.completeness = Some(completeness);
        (view.missing, view.read) = (u64::from(missing), Some(total));
        view.read_at = Some(clock::now());
        drop(view);
        self.learned.whole_at.get_or_insert_with(Instant::now);
        if missing > 0 {
            let counted = counted.unwrap_or(0);
            let detail = Says::CountsDiffer.with(&[&counted, &total]);
            self.intake.raise(Condition::CountsDisagree, detail);
            self.intake.note_missing((counted, total));
        } else {
            self.recounted = false;
            self.intake.clear(Condition::CountsDisagree);
            self.intake.nothing_missing();
        }
        if completeness == Completeness::Proven {
            self.assure(total);
        }
    }

    /// Everything that the terminal held when it counted is stored, or set aside.
    fn assure(&self, total: u32) {
        let Some(at) = self.sized_at else { return };
        self.intake.known.facts().assured = Some(Assured {
            complete_to: Some(at),
            checked_at: at,
            means: Text::const_new("counter"),
            device_count: self.sizes.records.map(i64::from),
            stored_count: Some(i64::from(total)),
        });
    }

    /// The log came and its layout is in doubt: the terminal keeps it, its beginning is kept for
    /// whoever shall find out.
    async fn unread(&mut self, unread: &Unread, data: &Bytes) -> Result<(), Ended> {
        self.room = None;
        let detail = unread.to_string();
        let normalizer = self.intake.normalizer(None, Route::Pull);
        let mut pieces = normalizer.refused_log(&detail, data);
        pieces.truncate(1);
        let rows = Rows {
            aside: pieces,
            ..Rows::default()
        };
        self.intake
            .submit(rows, None, self.stands.as_ref(), Route::Pull)
            .await?;
        self.intake.step(Step::Parsed, false, Says::LogUnread);
        self.intake.raise(Condition::LogUnreadable, unread);
        self.intake.known.pull().view().completeness = Some(Completeness::Unproven);
        if let Some(errand) = self.errand.take() {
            errand.done(Err(NotRead::Unreadable(detail)));
        }
        Ok(())
    }

    async fn store_live(&mut self) -> Result<(), Ended> {
        if self.live.is_empty() {
            return Ok(());
        }
        let mut rows = Rows::default();
        {
            let users = self.learned.users.as_ref();
            let mut normalizer = self.intake.normalizer(users, Route::Pull);
            for event in std::mem::take(&mut self.live) {
                match event {
                    Realtime::Punches(punches) => {
                        for punch in &punches {
                            rows.take_of(punch, normalizer.punch(punch));
                        }
                    }
                    other @ Realtime::Other { .. } => {
                        let all = normalizer.realtime(&other);
                        all.into_iter().for_each(|row| rows.take(row));
                    }
                }
            }
        }
        self.intake.known.facts().last_contact = Some(clock::now());
        if rows.events.is_empty() && rows.aside.is_empty() {
            return Ok(());
        }
        let uncertain = rows.uncertain;
        let stands = self.stands.as_ref();
        let receipt = self.intake.submit(rows, None, stands, Route::Pull).await?;
        self.intake
            .step(Step::Stored, true, Says::NewStored.with(&[&receipt.new]));
        self.ask_for_people(uncertain);
        Ok(())
    }
}

impl Drop for Talk<'_> {
    /// However it ends: the last word, the view, and who waits for a log.
    fn drop(&mut self) {
        if let Some(exit) = self.session.farewell() {
            self.wire.write_now(&exit);
        }
        for bytes in std::mem::take(&mut self.outgoing) {
            self.wire.write_now(&bytes);
        }
        if let Some(errand) = self.errand.take() {
            errand.done(Err(NotRead::Ended("the session ended".to_owned())));
        }
        let mut view = self.intake.known.pull().view();
        (view.link, view.listening) = (Link::Down, false);
    }
}

/// What a session asks first.
fn opening(learned: &mut Learned, stays: bool) -> VecDeque<Ask> {
    let mut plan = VecDeque::from([Ask::Serial, Ask::Clock, Ask::Sizes]);
    if is_due(learned.info_at, WHOLE) {
        plan.push_back(Ask::Info);
    }
    // People are enrolled at any time, also while nobody was connected.
    plan.push_back(Ask::Users);
    if stays {
        plan.extend([Ask::Log(Extent::New), Ask::Listen, Ask::Log(Extent::New)]);
        return plan;
    }
    // Nobody is there when the day is over: the whole log belongs to a visit.
    let whole = learned.whole_at.is_some() && is_due(learned.whole_at, WHOLE);
    if whole {
        learned.whole_at = Some(Instant::now());
    }
    let extent = if whole { Extent::Whole } else { Extent::New };
    plan.push_back(Ask::Log(extent));
    plan
}

fn is_due(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}
