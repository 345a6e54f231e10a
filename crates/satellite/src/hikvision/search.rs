//! The search of one device: asked every few seconds, whether or not its stream is up, until
//! every serial it holds is stored or known to be gone.
//!
//! One round asks for the newest records, stores what is new, then fetches what is missing,
//! page by page, until the next round is due. So a live punch waits for one page of a backlog
//! at most. What the device answers is believed only as far as it goes: a short page is not
//! the last, a serial counts as gone only when the device answered the whole range without
//! it, and a device that does not keep to serials is searched by time instead and never called
//! proven.

mod again;

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use event::{Ident, Millis, Route, Text, WallTime};
use hikvision_isapi::{
    CAPABILITIES_PATH, Capabilities, Chain, DEVICE_INFO_PATH, DeviceInfo, Difference, Page,
    Question, Record, ResponseStatus, SearchError, SearchRange, TimeCursor, TimeWindow, Walk,
    WalkStep, codes, read_capabilities, read_page,
};
use hyper::{Method, StatusCode};
use store::Refused;
use store::registry::normal_mac;
use tokio::time::Instant;

use super::client::{Client, Said, SharedLogin, Trouble};
use super::errand::Errand;
use super::footprints::Footprints;
use super::hosts;
use super::intake::{Brought, Intake};
use super::lockout::{LOCKOUT, Lockout};
use super::setup::NotSet;
use super::state::{Asked, SEARCHED};
use crate::clock;
use crate::conditions::{self, Condition};
use crate::detail::{Detail, Says};
use crate::dial::Link;
use crate::trace::Step;

/// First and longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// Shortest time from the beginning of a round to the next.
const LEAST: Duration = Duration::from_millis(500);
/// Failures in a row before the device counts as unreachable: one lost answer is no news.
const FAILURES: u32 = 2;
/// Pause while the store takes nothing.
const STORE_PAUSE: Duration = Duration::from_secs(2);
/// How often the device's setting for posts is compared with ours.
const HOSTS_EVERY: Duration = Duration::from_secs(15 * 60);
/// How often the device's clock is read.
const CLOCK_EVERY: Duration = Duration::from_secs(15 * 60);
/// Tries of a search that ended before all that the device counted had come.
const SHORT_TRIES: u32 = 2;

/// Where a search by time begins that has never been made: no terminal in service has honest
/// records before 2015.
const NO_EARLIER: Millis = Millis(1_420_070_400_000);
/// Why a round was not finished.
#[derive(Debug)]
pub(super) enum Halt {
    /// The device, or the way to it.
    Device(Trouble),
    /// It answers something that cannot be understood.
    Answer(Detail),
    /// The store.
    Store(Refused),
    /// Another device answers.
    WrongDevice(Detail),
}

impl From<Trouble> for Halt {
    fn from(trouble: Trouble) -> Self {
        Self::Device(trouble)
    }
}

impl From<Refused> for Halt {
    fn from(refused: Refused) -> Self {
        Self::Store(refused)
    }
}

impl From<Halt> for NotSet {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Device(trouble) => trouble.into(),
            Halt::WrongDevice(named) => Self::WrongDevice(Text::new(named.as_str())),
            Halt::Answer(detail) => Self::Refused(detail.to_string()),
            Halt::Store(refused) => Self::Refused(refused.to_string()),
        }
    }
}

impl From<SearchError> for Halt {
    fn from(error: SearchError) -> Self {
        Self::Answer(Detail::from(&error))
    }
}

/// Most records and bytes of a window of time that are kept before they are stored.
const WINDOW: (u32, usize) = (5_000, 16 << 20);

/// How the device is searched, found at each first contact.
#[derive(Clone, Copy)]
enum Mode {
    Serials(Capabilities),
    Times(Capabilities),
    /// It has no event search: cameras and recorders. Asked again now and then: some say so
    /// while they start.
    None {
        since: Instant,
    },
}

/// The search of one device.
pub(super) struct Search<'a> {
    intake: &'a Intake,
    client: Client,
    mode: Option<Mode>,
    footprints: Footprints,
    /// The newest serial up to which footprints were counted.
    counted: Option<u64>,
    hosts_checked: Option<Instant>,
    clock_read: Option<Instant>,
    /// When the device was asked for its newest records.
    asked_at: Millis,
    /// What the last search by time found.
    seen: HashSet<Ident>,
    /// What of the newest records was set aside the last time: it stands in quarantine.
    aside: HashSet<Bytes>,
    failures: u32,
}

impl<'a> Search<'a> {
    pub(super) fn new(intake: &'a Intake, address: &str, login: SharedLogin) -> Self {
        Self {
            intake,
            client: Client::new(address, login),
            mode: None,
            footprints: Footprints::new(),
            counted: None,
            hosts_checked: None,
            clock_read: None,
            asked_at: Millis(0),
            seen: HashSet::new(),
            aside: HashSet::new(),
            failures: 0,
        }
    }

    /// Searches for as long as the device is dialled.
    pub(super) async fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            let device = self.intake.known.hikvision();
            if let Some(errand) = device.errands.take() {
                let done = self.carry_out(&errand).await;
                // Whoever asked may have gone.
                errand.answer.send(done).ok();
            }
            let began = Instant::now();
            let wait = match self.round().await {
                Ok(()) => {
                    pause = PAUSES.0;
                    self.went_well();
                    self.pause().saturating_sub(began.elapsed())
                }
                Err(halt) => {
                    let wait = self.went_wrong(halt, pause);
                    pause = (pause * 2).min(PAUSES.1);
                    wait
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = device.errands.called() => {}
                // A ring ends a pause between rounds, never one after a failure.
                () = device.wake.notified(), if self.failures == 0 => {
                    // A stream that rings at every event must not make us hammer the device.
                    tokio::time::sleep(LEAST.saturating_sub(began.elapsed())).await;
                }
            }
        }
    }

    /// Tells the device where to post, if it is the right one.
    async fn carry_out(&mut self, errand: &Errand) -> Result<Vec<Difference>, NotSet> {
        self.meet().await?;
        let to = errand.wish.post_to(&errand.path);
        let client = &mut self.client;
        Ok(hosts::configure(client, to.host, to.port, to.path, to.protocol).await?)
    }

    /// Keeps a refused login beyond this process, or the end of one.
    fn keep_lockout(&self, until: Option<Millis>) {
        let known = &self.intake.known;
        let access = &known.enrolment.access;
        let lockout = until.map(|until| Lockout::new(until, access).text());
        let text = lockout.unwrap_or_default();
        let mut facts = known.facts();
        if facts.kept(LOCKOUT).map_or("", Text::as_str) != text {
            facts.keep_cursor(LOCKOUT, &text);
        }
    }

    /// How long old records may be fetched before the newest are looked at again.
    fn interval(&self) -> Duration {
        let view = self.intake.known.hikvision().view();
        // While it brings old records, live ones come by the search only.
        let is_live = view.stream == Link::Up && !view.replaying;
        self.footprints.pause(is_live)
    }

    /// The pause between two rounds: longer where the device has a schedule.
    fn pause(&self) -> Duration {
        let every = self.intake.known.enrolment.access.every.unwrap_or(0);
        self.interval().max(Duration::from_secs(every.into()))
    }

    fn went_well(&mut self) {
        self.failures = 0;
        self.keep_lockout(None);
        let known = &self.intake.known;
        known.facts().last_contact = Some(clock::now());
        let pause = self.pause().as_secs();
        {
            let mut view = known.hikvision().view();
            view.search = Link::Up;
            view.poll_seconds = pause;
            view.footprint_percent = self.footprints.percent();
        }
        for condition in [
            Condition::Unreachable,
            Condition::LoginRefused,
            Condition::WrongDevice,
            Condition::AnswersUnusable,
        ] {
            conditions::clear(known, condition);
        }
        // What it did not post before it could be asked is being asked for.
        if known.hikvision().view().asked == Asked::BySerial {
            conditions::clear(known, Condition::GapInPosts);
        }
        conditions::expire(known);
        if self.footprints.is_heavy() {
            let percent = self.footprints.percent();
            let detail = Says::Footprints.with(&[&percent, &pause]);
            self.intake.raise(Condition::OwnFootprints, detail);
        } else {
            conditions::clear(known, Condition::OwnFootprints);
        }
    }

    /// Names what went wrong and answers how long to wait.
    fn went_wrong(&mut self, halt: Halt, pause: Duration) -> Duration {
        let known = &self.intake.known;
        let serial = &known.enrolment.serial;
        known.hikvision().view().search = Link::Down;
        match halt {
            Halt::Store(refused) => {
                tracing::debug!(%serial, %refused, "the search waits for the store");
                self.step(Step::Stored, false, Says::StoreAway);
                return STORE_PAUSE;
            }
            Halt::Device(Trouble::LoginRefused(until)) => {
                let detail = Says::LoginRefused.with(&[&until.text()]);
                self.keep_lockout(Some(until));
                self.step(Step::Approved, false, detail.clone());
                self.intake.raise(Condition::LoginRefused, detail);
                let wait = until.0.saturating_sub(clock::now().0).max(1_000);
                return Duration::from_millis(wait.unsigned_abs());
            }
            Halt::Device(trouble) => {
                self.failures += 1;
                // Another device may stand there when it comes back.
                self.mode = None;
                if self.failures >= FAILURES {
                    self.step(Step::Reached, false, &trouble);
                    self.intake.raise(Condition::Unreachable, &trouble);
                }
            }
            Halt::Answer(detail) => {
                self.failures += 1;
                tracing::warn!(%serial, detail = %daemon::logging::Escaped(detail.as_str()), "an answer of the device is of no use");
                self.step(Step::Parsed, false, Says::SearchUnread);
                if self.failures >= FAILURES {
                    self.intake.raise(Condition::AnswersUnusable, detail);
                }
            }
            Halt::WrongDevice(detail) => {
                self.failures += 1;
                self.mode = None;
                self.step(Step::Identified, false, Says::OtherAnswers);
                self.intake.raise(Condition::WrongDevice, detail);
                return PAUSES.1;
            }
        }
        pause
    }

    fn step(&self, step: Step, ok: bool, detail: impl Into<Detail>) {
        let serial = &self.intake.known.enrolment.serial;
        self.intake
            .hub
            .trace
            .step(serial, step, ok, clock::now(), detail);
    }

    /// One round: the newest, then what is missing until the next round is due.
    async fn round(&mut self) -> Result<(), Halt> {
        let began = Instant::now();
        let mode = match self.mode {
            Some(mode) => mode,
            None => {
                let mode = self.introduce().await?;
                self.mode = Some(mode);
                mode
            }
        };
        match mode {
            Mode::Serials(can) => {
                self.newest(&can).await?;
                self.missing(&can, began).await?;
                self.intake.is_whole(self.asked_at, began).await;
            }
            Mode::Times(can) => self.by_time(&can).await?,
            // Nothing to ask for; but is it still there, and still the same?
            Mode::None { since } => {
                self.meet().await?;
                if since.elapsed() >= HOSTS_EVERY {
                    self.mode = None;
                }
            }
        }
        self.again(mode, began).await?;
        self.check_clock().await?;
        self.check_hosts().await
    }

    /// Reads the device's clock now and then.
    async fn check_clock(&mut self) -> Result<(), Halt> {
        let rests = |at: Instant| at.elapsed() < CLOCK_EVERY;
        if !self.clock_read.is_some_and(rests) {
            self.clock_read = Some(Instant::now());
            let known = &self.intake.known;
            if let Some(ahead) = super::clock::ahead(&mut self.client, &known.device.zone).await? {
                known.facts().skew.read(ahead, clock::now());
            }
        }
        Ok(())
    }

    /// Who is it, and what can its search do?
    async fn introduce(&mut self) -> Result<Mode, Halt> {
        {
            let mut view = self.intake.known.hikvision().view();
            // A try after a failure is still a failure until it went well.
            if view.search == Link::Idle {
                view.search = Link::Connecting;
            }
        }
        self.clock_read = None;
        self.meet().await?;
        let said = self.client.get(CAPABILITIES_PATH).await?;
        let mode = match capabilities(&said)? {
            Some(can) if can.by_serial => Mode::Serials(can),
            Some(can) => Mode::Times(can),
            None => Mode::None {
                since: Instant::now(),
            },
        };
        let asked = match mode {
            Mode::Serials(_) => Asked::BySerial,
            Mode::Times(_) => Asked::ByTime,
            Mode::None { .. } => Asked::Nothing,
        };
        self.intake.known.hikvision().view().asked = asked;
        if asked == Asked::BySerial {
            conditions::clear(&self.intake.known, Condition::SearchUnsupported);
        } else {
            self.unsupported(match mode {
                Mode::Times(_) => Says::SearchByTime,
                _ => Says::NoSearch,
            });
        }
        Ok(mode)
    }

    /// Asks the device who it is.
    async fn meet(&mut self) -> Result<(), Halt> {
        let said = self.client.get(DEVICE_INFO_PATH).await?;
        self.step(Step::Reached, true, Says::Answers);
        let info = DeviceInfo::read(&said.body)
            .ok_or_else(|| Halt::Answer(refusal("deviceInfo", &said)))?;
        self.identify(&info)
    }

    fn unsupported(&self, detail: Says) {
        self.intake.raise(Condition::SearchUnsupported, detail);
    }

    /// The device must be the enrolled one.
    fn identify(&self, info: &DeviceInfo) -> Result<(), Halt> {
        let enrolment = &self.intake.known.enrolment;
        let same_mac = enrolment.access.mac.as_deref().zip(info.mac.as_deref());
        let is_it = info.is_named(enrolment.serial.as_str())
            || same_mac.is_some_and(|(ours, its)| normal_mac(ours) == normal_mac(its));
        if !is_it {
            let none = Detail::from(Says::NoSerial);
            let named = info.serial.as_deref().unwrap_or(none.as_str());
            let detail = Says::OtherThere.with(&[&named.escape_debug()]);
            return Err(Halt::WrongDevice(detail));
        }
        let mut facts = self.intake.known.facts();
        facts.model.clone_from(&info.model);
        facts.firmware.clone_from(&info.firmware);
        drop(facts);
        self.intake
            .known
            .hikvision()
            .view()
            .mac
            .clone_from(&info.mac);
        self.step(Step::Identified, true, Says::IsEnrolledOne);
        self.step(Step::Approved, true, Says::TakesLogin);
        Ok(())
    }

    /// Asks for the newest records and stores those that are new.
    async fn newest(&mut self, can: &Capabilities) -> Result<(), Halt> {
        self.asked_at = clock::now();
        let page = self.newest_page(can).await?;
        if can.newest_first {
            self.intake.known.facts().log_used = i64::try_from(page.total).ok();
        }
        let Some(&highest) = page.serials.iter().max() else {
            return Ok(());
        };
        let chain = self.intake.chain().await?;
        if self.began_again(&chain, highest, &page, can).await? {
            self.intake.began_again(highest).await?;
            return Ok(());
        }
        self.count_footprints(highest, &page);
        let mut brought = sorted(page, Route::Poll);
        let aside = self.new_aside(&mut brought);
        let doubt = self.intake.newest(highest, &brought).await?;
        if doubt.is_none() {
            self.aside = aside;
        }
        self.stored();
        if let Some(ask) = doubt {
            let page = self.page(serials(ask), 0, can.page).await?;
            self.intake.doubt(highest, ask, &page.serials).await?;
        }
        Ok(())
    }

    /// Leaves of what cannot be read only what was not set aside the last time, and answers all
    /// of it: the same record comes with every poll until newer ones push it off the page.
    fn new_aside(&self, brought: &mut Brought) -> HashSet<Bytes> {
        let all = brought.aside.iter().map(|one| one.raw.clone()).collect();
        brought.aside.retain(|one| !self.aside.contains(&one.raw));
        all
    }

    /// Counts what is new since the last round, whether the stream brought it before or not.
    fn count_footprints(&mut self, highest: u64, page: &Page) {
        let Some(counted) = self.counted.replace(highest) else {
            return;
        };
        let is_ours = |record: &&Record| {
            let codes = record.major.zip(record.minor);
            record.serial_no.is_some_and(|serial| serial > counted)
                && codes.is_some_and(|(major, minor)| codes::is_own_footprint(major, minor))
        };
        let ours = page.records.iter().flatten().filter(is_ours).count();
        let ours = u64::try_from(ours).unwrap_or(u64::MAX);
        let all = highest.saturating_sub(counted);
        self.footprints.saw(all, ours.min(all), Instant::now());
    }

    /// Whether another record stands under the newest serial that we know: then the device
    /// counts from the start again, and has passed that serial before it was asked.
    async fn began_again(
        &mut self,
        chain: &Chain,
        highest: u64,
        page: &Page,
        can: &Capabilities,
    ) -> Result<bool, Halt> {
        let Some(anchor) = chain.anchor().filter(|anchor| *anchor <= highest) else {
            return Ok(false);
        };
        let wall = match wall_of(page, anchor) {
            Some(wall) => Some(wall),
            None => {
                let asked = self.page(serials((anchor, anchor)), 0, can.page).await?;
                wall_of(&asked, anchor)
            }
        };
        Ok(wall.is_some_and(|wall| !chain.is_anchored(wall)))
    }

    /// The page with the newest records. Without the order by time its place is computed from
    /// the number of matches.
    async fn newest_page(&mut self, can: &Capabilities) -> Result<Page, Halt> {
        if can.newest_first {
            return self.page(SearchRange::Newest, 0, can.page).await;
        }
        let range = self.intake.chain().await?.poll_range();
        let first = self.page(serials(range), 0, can.page).await?;
        let last = first.total.saturating_sub(u64::from(first.len()));
        match u32::try_from(last) {
            Ok(position) if !first.is_whole() && position > 0 && position <= can.position_limit => {
                self.page(serials(range), position, can.page).await
            }
            _ => Ok(first),
        }
    }

    /// Fetches what is missing until the next round is due.
    async fn missing(&mut self, can: &Capabilities, began: Instant) -> Result<(), Halt> {
        while let Some(range) = self.intake.chain().await?.next_range(can.page) {
            let page = self.page(serials(range), 0, can.page).await?;
            if page.strays(range.0, range.1) > 0 {
                self.mode = Some(Mode::Times(*can));
                self.intake.known.hikvision().view().asked = Asked::ByTime;
                self.unsupported(Says::SearchStrays);
                return Ok(());
            }
            let (whole, serials) = (page.is_whole(), page.serials.clone());
            let brought = sorted(page, Route::Backfill);
            if whole {
                self.intake.answered(range, &serials, &brought).await?;
            } else if !self.intake.more(range, &serials, &brought).await? {
                self.walk(range, can).await?;
            }
            self.stored();
            if began.elapsed() >= self.interval() {
                // At once again: the next round begins with the newest.
                self.intake.known.hikvision().wake();
                break;
            }
        }
        Ok(())
    }

    /// Reads all pages of a range whose first page brought nothing new. Each is stored as it
    /// comes: nobody knows how many there are.
    async fn walk(&mut self, range: (u64, u64), can: &Capabilities) -> Result<(), Halt> {
        let width = (range.1 - range.0).saturating_add(1);
        for attempt in 1.. {
            let mut walk = Walk::new(serials(range), can.page, can.position_limit, search_id());
            let mut came = Vec::new();
            let end = loop {
                let question = walk.question().clone();
                let page = self.ask(&question).await?;
                let step = walk.take(&page);
                came.extend(&page.serials);
                self.intake.walked(&sorted(page, Route::Backfill)).await?;
                match step {
                    WalkStep::Next if u64::from(walk.received()) > width => break WalkStep::Stuck,
                    WalkStep::Next => {}
                    end => break end,
                }
            };
            match end {
                WalkStep::Short if attempt < SHORT_TRIES => {}
                WalkStep::Whole | WalkStep::Short => {
                    let nothing = Brought::of(Route::Backfill);
                    self.intake.answered(range, &came, &nothing).await?;
                    return Ok(());
                }
                _ => {
                    return Err(Halt::Answer(Says::PagesLie.into()));
                }
            }
        }
        Ok(())
    }

    /// Searches the time since the last search, with an overlap; identity folds what comes
    /// twice.
    async fn by_time(&mut self, can: &Capabilities) -> Result<(), Halt> {
        let enrolment = &self.intake.known.enrolment;
        let mut stored = self.intake.store.cursor(enrolment.id, SEARCHED).await?;
        let from = enrolment.accept_from.unwrap_or(NO_EARLIER);
        let read = stored.as_deref().and_then(TimeCursor::parse);
        let mut cursor = read.unwrap_or_else(|| TimeCursor::new(from));
        let now = clock::now();
        loop {
            let window = cursor.window(now);
            let (end, mut brought) = self.window(&window, can).await?;
            if end == WalkStep::TooMany && cursor.too_many(&window) {
                continue;
            }
            let aside = self.new_aside(&mut brought);
            let (idents, latest) = self.intake.outline(&brought).await?;
            cursor.finished(&window, latest);
            let text = Text::from(cursor.text());
            // A quiet device is not written again and again.
            let is_new = stored.as_ref() != Some(&text) || !idents.is_subset(&self.seen);
            if is_new || !brought.aside.is_empty() {
                self.intake.timed(&brought, stored, text.clone()).await?;
                self.stored();
            }
            stored = Some(text);
            if window.is_last {
                (self.seen, self.aside) = (idents, aside);
                return Ok(());
            }
        }
    }

    /// Every page of a window of time, and how that ended. A window that holds more than is
    /// kept at once is one that holds too many.
    async fn window(
        &mut self,
        window: &TimeWindow,
        can: &Capabilities,
    ) -> Result<(WalkStep, Brought), Halt> {
        let zone = &self.intake.known.device.zone;
        let (from, to) = window.texts(zone.offset_seconds_at(window.to));
        let range = SearchRange::Times { from, to };
        let positions = can.position_limit.min(WINDOW.0);
        let mut walk = Walk::new(range, can.page, positions, search_id());
        let mut brought = Brought::of(Route::Poll);
        loop {
            let question = walk.question().clone();
            let page = self.ask(&question).await?;
            let step = walk.take(&page);
            brought.append(sorted(page, Route::Poll));
            match step {
                WalkStep::Next if brought.bytes() > WINDOW.1 => {
                    return Ok((WalkStep::TooMany, brought));
                }
                WalkStep::Next => {}
                WalkStep::Stuck => return Err(Halt::Answer(Says::PagesLie.into())),
                end => return Ok((end, brought)),
            }
        }
    }

    async fn page(&mut self, range: SearchRange, position: u32, page: u32) -> Result<Page, Halt> {
        let question = Question {
            range,
            position,
            page,
            search_id: search_id(),
        };
        self.ask(&question).await
    }

    async fn ask(&mut self, question: &Question) -> Result<Page, Halt> {
        let body = Bytes::from(question.body());
        let asked = self.client.ask(
            &Method::POST,
            Question::PATH,
            Some(("application/json", body)),
        );
        let said = asked.await?;
        let page = read_page(&said.body)?;
        self.step(Step::Parsed, true, Says::SearchesRead);
        Ok(page)
    }

    fn stored(&self) {
        self.step(Step::Stored, true, Says::BeingStored);
    }

    /// Looks now and then whether the device would still post to us, when it should.
    async fn check_hosts(&mut self) -> Result<(), Halt> {
        let due = self
            .hosts_checked
            .is_none_or(|at| at.elapsed() >= HOSTS_EVERY);
        let Some(token) = self
            .intake
            .known
            .enrolment
            .access
            .token_hash
            .filter(|_| due)
        else {
            return Ok(());
        };
        self.hosts_checked = Some(Instant::now());
        match hosts::points_here(&mut self.client, &token).await? {
            Some(false) => {
                self.intake
                    .raise(Condition::ListeningHostChanged, Says::NoHost);
            }
            Some(true) => conditions::clear(&self.intake.known, Condition::ListeningHostChanged),
            // It does not say.
            None => {}
        }
        Ok(())
    }
}

/// What its search can; `None` only when the device says that it has none. Every other answer
/// may be another one the next time.
fn capabilities(said: &Said) -> Result<Option<Capabilities>, Halt> {
    let status = ResponseStatus::read(&said.body);
    let has_none = said.status == StatusCode::NOT_FOUND
        || status.is_some_and(|status| status.is_not_supported());
    match (said.status, has_none) {
        (_, true) => Ok(None),
        (StatusCode::OK, _) => Ok(Some(read_capabilities(&said.body)?)),
        _ => Err(Halt::Answer(refusal("AcsEvent/capabilities", said))),
    }
}

/// A refusal in the device's words.
fn refusal(what: &str, said: &Said) -> Detail {
    let words = ResponseStatus::read(&said.body).map(|status| status.sub);
    Says::Refuses.with(&[&what, &said.status, &words.unwrap_or_default()])
}

/// The wall time of the record of that serial, when it is on the page.
fn wall_of(page: &Page, serial: u64) -> Option<WallTime> {
    let mut records = page.records.iter().flatten();
    let found = records.find(|record| record.serial_no == Some(serial))?;
    found.time.wall
}

fn serials((begin, end): (u64, u64)) -> SearchRange {
    SearchRange::Serials { begin, end }
}

/// A name for a search that no other search has.
fn search_id() -> String {
    super::client::nonce()
}

fn sorted(page: Page, route: Route) -> Brought {
    let now = clock::now();
    let mut brought = Brought::of(route);
    for record in page.records {
        match record {
            Ok(record) => brought.records.push(record),
            Err(unreadable) => brought.aside.push(unreadable.quarantined(route, now)),
        }
    }
    brought
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &'static str) -> Said {
        Said {
            status: StatusCode::from_u16(status).unwrap(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn only_a_device_that_says_so_has_no_search_and_a_passing_refusal_is_asked_again() {
        let none = |status, body| matches!(capabilities(&said(status, body)), Ok(None));
        let again =
            |status, body| matches!(capabilities(&said(status, body)), Err(Halt::Answer(_)));
        assert!(none(404, ""));
        assert!(none(
            403,
            r#"{"statusCode":4,"subStatusCode":"notSupport"}"#
        ));
        assert!(again(503, ""));
        assert!(again(
            403,
            r#"{"statusCode":2,"subStatusCode":"deviceBusy"}"#
        ));
        assert!(again(500, "<html>"));
        assert!(again(200, "<html>"));
        let can = r#"{"AcsEvent":{"AcsEventCond":{"beginSerialNo":{},"endSerialNo":{}}}}"#;
        assert!(matches!(capabilities(&said(200, can)), Ok(Some(can)) if can.by_serial));
    }
}
