//! A session with one terminal: what to send next, and what came of what was heard.
//!
//! ```text
//! CONNECT → (AUTH) → ENABLE → what the owner asks, one after another → heartbeat or EXIT
//! ```
//!
//! One question is open at a time. Events are taken out first, whatever is open; an answer
//! belongs to the open question only by its reply id, never by its session field, which
//! terminals use for other things. The session enables the terminal on entry and never disables
//! it, so that no fault of ours leaves people locked out. After an error it sends EXIT and ends:
//! its connection must be closed and never used again.
//!
//! Time is an argument. `now` must not run backwards: derive it from a monotonic clock that was
//! read together with the wall clock once.

use std::collections::VecDeque;

use bytes::Bytes;
use event::Millis;

use crate::attlog::{self, Hints, Layout, Log};
use crate::bulk::{Bulk, Progress, Table};
use crate::comm_key::USUAL_TICK;
use crate::commands;
use crate::error::{Error, Unread};
use crate::framing::{FrameError, TcpDecoder, tcp_frame};
use crate::known::{Known, OVERLAP};
use crate::options::{self, Info};
use crate::packet::{Packet, Sum};
use crate::realtime;
use crate::recognise::{self, Foreign};
use crate::sizes::Sizes;
use crate::steps::Step;
use crate::talk::{Action, Ask, Counters, Delivery, Extent, SessionOptions, Transport};
use crate::time;
use crate::users::UserList;

/// Things that may wait in the session; a read of 64 KiB holds fewer smallest packets.
const OUT_LIMIT: usize = 16_384;
/// Packets in a row that may belong to no open question.
const UNASKED_LIMIT: u32 = 100;
/// Repetitions of a request over UDP, and of one to which a terminal answers "ask again".
const REPEATS: u8 = 5;
/// Milliseconds for an answer's data after an acknowledgement without any.
const EMPTY_GRACE: i64 = 2_000;
/// Milliseconds before a terminal that said "ask again" is asked again.
const RETRY_PAUSE: i64 = 1_000;

/// The open question.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    step: Step,
    reply: u16,
    deadline: Millis,
    empties: u8,
}

/// A session with one terminal.
#[derive(Debug)]
pub struct Session {
    options: SessionOptions,
    now: Millis,
    decoder: TcpDecoder,
    /// How this peer counts its checksums.
    usual_sum: Option<Sum>,
    id: u16,
    next_reply: u16,
    /// The terminal has given a session id, so that EXIT makes sense.
    opened: bool,
    ready: bool,
    listening: bool,
    leaving: bool,
    ended: bool,
    asks: VecDeque<Ask>,
    steps: VecDeque<Step>,
    waiting: Option<Waiting>,
    /// Not before this time.
    hold: Millis,
    repeats: u8,
    bulk: Option<Bulk>,
    /// The reply id of the last bulk answer, whose closing acknowledgement may still come.
    closing: Option<u16>,
    unasked_in_a_row: u32,
    heard_at: Millis,
    info: Info,
    sizes: Sizes,
    out: VecDeque<Action>,
    counters: Counters,
}

impl Session {
    /// A session over a connection that was just made.
    pub fn new(options: SessionOptions, now: Millis) -> Self {
        Self {
            asks: options.asks.iter().copied().collect(),
            options,
            now,
            decoder: TcpDecoder::default(),
            usual_sum: None,
            id: 0,
            next_reply: 0,
            opened: false,
            ready: false,
            listening: false,
            leaving: false,
            ended: false,
            steps: VecDeque::from([Step::Connect]),
            waiting: None,
            hold: now,
            repeats: 0,
            bulk: None,
            closing: None,
            unasked_in_a_row: 0,
            heard_at: now,
            info: Info::default(),
            sizes: Sizes::default(),
            out: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Asks for something more; it is done after what was asked before.
    pub fn ask(&mut self, ask: Ask) {
        self.asks.push_back(ask);
    }

    /// Ends the session after the open question: EXIT, then [`Action::Done`].
    pub fn leave(&mut self) {
        self.leaving = true;
        self.asks.clear();
        let needed = |step: &Step| matches!(step, Step::Connect | Step::Auth(_) | Step::Free);
        self.steps.retain(needed);
    }

    /// True when EXIT was said and not answered yet: whoever closes the connection now only
    /// finishes what is at its end.
    pub fn is_leaving(&self) -> bool {
        self.waiting
            .is_some_and(|waiting| waiting.step == Step::Exit)
    }

    /// True when nothing is asked or awaited and events are listened for.
    pub fn is_idle(&self) -> bool {
        self.listening && self.is_free()
    }

    /// True when the session is open and everything that was asked was answered and taken: the
    /// moment to ask for more. Without more, a session that does not listen ends.
    pub fn is_free(&self) -> bool {
        self.ready
            && !(self.ended || self.leaving)
            && self.waiting.is_none()
            && self.steps.is_empty()
            && self.asks.is_empty()
            && self.out.is_empty()
    }

    /// EXIT for a session that is given up where it stands, whatever is open: some terminals
    /// keep the place of a client that left without it. `None` when no session was opened.
    pub fn farewell(&mut self) -> Option<Bytes> {
        if self.ended || !self.opened {
            return None;
        }
        self.ended = true;
        self.out.clear();
        Some(self.frame(commands::EXIT, self.next_reply, Bytes::new()))
    }

    /// What the last read of the log makes known. Keep it only when the records of that read are
    /// stored, and give it to the next session; a session whose records were not stored must
    /// not be asked for [`Extent::New`] again.
    pub fn known(&self) -> Option<&Known> {
        self.options.known.as_ref()
    }

    /// The layout of this terminal's log, once it was read.
    pub fn layout(&self) -> Option<Layout> {
        self.options.layout
    }

    /// What was seen so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What to do now. Call it until it says [`Action::Wait`], after every [`Session::heard`]
    /// and when the time of the wait has come.
    pub fn next(&mut self, now: Millis) -> Action {
        self.now = self.now.max(now);
        loop {
            if let Some(action) = self.out.pop_front() {
                return action;
            }
            if self.ended {
                return Action::Done;
            }
            if let Some(waiting) = self.waiting {
                if self.now < waiting.deadline {
                    return Action::Wait(waiting.deadline);
                }
                self.waiting = None;
                self.overdue(waiting);
            } else if self.now < self.hold {
                return Action::Wait(self.hold);
            } else if let Some(step) = self.steps.pop_front() {
                self.send(step);
            } else if let Some(until) = self.idle() {
                return Action::Wait(until);
            }
        }
    }

    /// Takes what was read: over TCP any piece of the stream, over UDP one datagram.
    pub fn heard(&mut self, bytes: &[u8], now: Millis) {
        self.now = self.now.max(now);
        if self.ended {
            return;
        }
        if self.options.transport == Transport::Udp {
            if let Some(foreign) = recognise::stream(bytes) {
                self.fail(foreign.into());
            } else {
                self.packet(&Bytes::copy_from_slice(bytes));
            }
            return;
        }
        self.decoder.feed(bytes);
        while !self.ended {
            match self.decoder.packet() {
                Ok(Some(packet)) => self.packet(&packet),
                Ok(None) => return,
                Err(FrameError::Foreign(foreign)) => self.fail(foreign.into()),
                Err(error) => self.fail(Error::Frame(error)),
            }
        }
        self.decoder = TcpDecoder::default();
    }

    /// Nothing is open: the next ask, the heartbeat, or the end. Some(time) means to wait.
    fn idle(&mut self) -> Option<Millis> {
        if self.leaving || !self.ready {
            self.steps.push_back(Step::Exit);
        } else if let Some(ask) = self.asks.pop_front() {
            self.begin(ask);
        } else if !self.listening {
            self.steps.push_back(Step::Exit);
        } else {
            let beat = Millis(self.heard_at.0.saturating_add(self.options.heartbeat));
            if self.now < beat {
                return Some(beat);
            }
            self.steps.push_back(Step::Clock);
        }
        None
    }

    fn begin(&mut self, ask: Ask) {
        let transport = self.options.transport;
        match ask {
            Ask::Serial => self.steps.push_back(Step::Serial),
            Ask::Info => {
                self.info = Info::default();
                self.steps
                    .extend((0..options::USUAL.len()).map(Step::Option));
                self.steps.push_back(Step::Version);
            }
            Ask::Clock => self.steps.push_back(Step::Clock),
            Ask::SetClock(wall) if time::pack(&wall).is_none() => {
                self.got(Delivery::ClockSet(false));
            }
            Ask::SetClock(wall) => self.steps.extend([Step::SetClock(wall), Step::Refresh]),
            Ask::Sizes => self.steps.push_back(Step::Sizes),
            Ask::Users => {
                self.bulk = Some(Bulk::new(Table::Users, transport, None));
                self.steps.push_back(Step::Bulk);
            }
            Ask::Log(extent) => {
                let known = self.options.known.filter(|_| extent == Extent::New);
                self.bulk = Some(Bulk::new(Table::Attendance, transport, known));
                self.steps.push_back(Step::Bulk);
            }
            Ask::Listen => {
                let mask = self.options.event_mask;
                self.steps.extend([Step::StartVerify, Step::Register(mask)]);
            }
        }
    }

    fn send(&mut self, step: Step) {
        let now = self.now;
        let (bulk, udp) = (
            self.bulk.as_mut().filter(|_| step == Step::Bulk),
            self.options.transport == Transport::Udp,
        );
        let (request, patience) = match bulk {
            Some(bulk) => (bulk.request(now), bulk.patience()),
            None if udp && step != Step::Exit => {
                (step.request(), (1_000 << self.repeats.min(2)).min(4_000))
            }
            None => (step.request(), step.patience()),
        };
        let reply = self.next_reply;
        // 65535 is never used: other software wraps before it.
        self.next_reply = if reply >= u16::MAX - 1 { 0 } else { reply + 1 };
        self.waiting = Some(Waiting {
            step,
            reply,
            deadline: Millis(now.0.saturating_add(patience)),
            empties: 0,
        });
        self.unasked_in_a_row = 0;
        self.write(request.0, reply, request.1);
    }

    fn write(&mut self, command: u16, reply: u16, data: Bytes) {
        let bytes = self.frame(command, reply, data);
        self.push(Action::Send(bytes));
    }

    fn frame(&self, command: u16, reply: u16, data: Bytes) -> Bytes {
        let packet = Packet {
            command,
            session: self.id,
            reply,
            data,
        };
        let bytes = packet.encode();
        match self.options.transport {
            Transport::Tcp => tcp_frame(&bytes),
            Transport::Udp => bytes,
        }
    }

    fn got(&mut self, delivery: Delivery) {
        self.push(Action::Got(delivery));
    }

    fn push(&mut self, action: Action) {
        if self.out.len() >= OUT_LIMIT && !self.ended {
            self.fail(Error::Flood(OUT_LIMIT));
        } else if !self.ended {
            self.out.push_back(action);
        }
    }

    /// Ends the session: EXIT where a session is open, then the error.
    fn fail(&mut self, error: Error) {
        if self.ended {
            return;
        }
        if self.opened && !matches!(error, Error::Frame(_) | Error::Foreign(_) | Error::Flood(_)) {
            let reply = self.next_reply;
            self.write(commands::EXIT, reply, Bytes::new());
        }
        self.ended = true;
        self.waiting = None;
        self.bulk = None;
        self.out.push_back(Action::Close(error));
    }

    fn packet(&mut self, bytes: &Bytes) {
        let Some((packet, sum)) = Packet::decode(bytes) else {
            return;
        };
        self.counters.packets += 1;
        if !self.sum_is_usual(sum) {
            self.counters.sums_wrong += 1;
            if self.options.transport == Transport::Udp {
                return;
            }
            if !self.options.lenient_checksums {
                return self.fail(Error::Checksum);
            }
        }
        if packet.command == commands::EVENT && self.ready {
            return self.event(&packet);
        }
        match self.waiting {
            Some(waiting) if waiting.reply == packet.reply => {
                self.unasked_in_a_row = 0;
                self.heard_at = self.now;
                self.waiting = None;
                self.answer(waiting, &packet);
            }
            _ => self.unasked(&packet),
        }
    }

    /// Whether a packet's sum is right, or one below as every sum of this peer: the first packet
    /// tells. Otherwise one bit of damage could pass for the peer's way of counting.
    fn sum_is_usual(&mut self, sum: Sum) -> bool {
        if sum == Sum::Wrong {
            return false;
        }
        self.counters.sums_one_below += u64::from(sum == Sum::OneBelow);
        *self.usual_sum.get_or_insert(sum) == sum
    }

    fn event(&mut self, packet: &Packet) {
        self.counters.events += 1;
        self.heard_at = self.now;
        self.got(Delivery::Event(realtime::read(
            packet.session,
            &packet.data,
        )));
        self.write(commands::ACK_OK, 0, Bytes::new());
    }

    fn unasked(&mut self, packet: &Packet) {
        if packet.command == commands::ACK_OK && self.closing.take() == Some(packet.reply) {
            return;
        }
        self.counters.unasked += 1;
        self.unasked_in_a_row += 1;
        if self.unasked_in_a_row > UNASKED_LIMIT {
            self.fail(Error::Babble(self.unasked_in_a_row));
        }
    }

    fn answer(&mut self, waiting: Waiting, packet: &Packet) {
        let step = waiting.step;
        match packet.command {
            commands::ACK_SECURE => self.fail(Foreign::SecurePull.into()),
            commands::ACK_AUTH_LOCKED => self.fail(Error::AuthLocked),
            code if commands::is_retry(code) => self.ask_again(step, code),
            _ if matches!(step, Step::Connect | Step::Auth(_)) => self.opening(step, packet),
            commands::ACK_UNAUTH => self.fail(Error::Unauthorised {
                asked: step.asked(),
            }),
            _ if step == Step::Bulk => self.bulk_answer(waiting, packet),
            commands::ACK_OK if packet.data.is_empty() && step.wants_data() => {
                self.empty(waiting);
            }
            commands::ACK_OK => self.answered(step, Ok(&packet.data)),
            code if commands::is_refusal(code) => self.answered(step, Err(code)),
            code => self.fail(Error::BadAnswer {
                asked: step.asked(),
                code,
                length: packet.data.len(),
            }),
        }
    }

    /// An acknowledgement without data may come before the real answer, up to three times.
    fn empty(&mut self, mut waiting: Waiting) {
        waiting.empties += 1;
        if waiting.empties > 3 {
            return self.answered(waiting.step, Err(commands::ACK_OK));
        }
        waiting.deadline = Millis(self.now.0.saturating_add(EMPTY_GRACE));
        self.waiting = Some(waiting);
    }

    fn ask_again(&mut self, step: Step, code: u16) {
        self.repeats += 1;
        if self.repeats > REPEATS {
            return self.fail(Error::Refused {
                asked: step.asked(),
                code,
            });
        }
        self.counters.repeated += 1;
        self.hold = Millis(self.now.0.saturating_add(RETRY_PAUSE));
        self.steps.push_front(step);
    }

    fn opening(&mut self, step: Step, packet: &Packet) {
        let key = self.options.key;
        match (packet.command, step) {
            (commands::ACK_OK, _) => {
                if step == Step::Connect {
                    self.id = packet.session;
                }
                self.opened = true;
                self.ready = true;
                self.repeats = 0;
                self.steps.push_back(Step::Enable);
            }
            (commands::ACK_UNAUTH, Step::Connect) => {
                self.id = packet.session;
                self.opened = true;
                self.repeats = 0;
                match key {
                    Some(key) => {
                        let bytes = key.scramble(self.id, USUAL_TICK);
                        self.steps.push_back(Step::Auth(bytes));
                    }
                    None => self.fail(Error::KeyWanted),
                }
            }
            (commands::ACK_UNAUTH, _) => self.fail(Error::WrongKey),
            (code, _) => self.fail(Error::Refused {
                asked: step.asked(),
                code,
            }),
        }
    }

    /// A question has its answer: data, or the code of a refusal.
    fn answered(&mut self, step: Step, answer: Result<&Bytes, u16>) {
        self.repeats = 0;
        let data = answer.ok().filter(|data| !data.is_empty());
        match step {
            Step::Serial => {
                let name = options::USUAL.first().copied().unwrap_or_default();
                let serial = data.and_then(|data| options::value(name, data));
                self.got(Delivery::Serial(serial));
            }
            Step::Option(at) => {
                let name = options::USUAL.get(at).copied().unwrap_or_default();
                if let Some(value) = data.and_then(|data| options::value(name, data)) {
                    self.info.options.push((name.into(), value));
                }
            }
            Step::Version => {
                let firmware = data.map(|data| options::plain(data));
                self.info.firmware = firmware.filter(|text| !text.is_empty());
                let info = std::mem::take(&mut self.info);
                self.got(Delivery::Info(info));
            }
            Step::Clock => {
                if let Some(word) = data.and_then(|data| data.first_chunk::<4>()) {
                    let device = time::unpack(u32::from_le_bytes(*word));
                    let at = self.now;
                    self.got(Delivery::Clock { device, at });
                }
            }
            Step::SetClock(_) => self.got(Delivery::ClockSet(answer.is_ok())),
            Step::Sizes => {
                let sizes = data.and_then(|data| Sizes::read(data));
                self.sizes = sizes.unwrap_or_default();
                self.got(Delivery::Sizes(self.sizes));
            }
            Step::Register(_) => {
                self.listening = answer.is_ok();
                self.got(Delivery::Listening(answer.map(|_| ())));
            }
            Step::Exit => self.finish(),
            // Firmware without these lives without them.
            Step::Enable | Step::Refresh | Step::Free | Step::StartVerify => {}
            Step::Connect | Step::Auth(_) | Step::Bulk => {}
        }
    }

    fn finish(&mut self) {
        self.ended = true;
        self.out.push_back(Action::Done);
    }

    fn overdue(&mut self, waiting: Waiting) {
        let step = waiting.step;
        if step == Step::Bulk {
            let stale = self.unasked_in_a_row;
            if let Some(result) = self.bulk.as_mut().map(|bulk| bulk.overdue(stale)) {
                self.bulk_progress(waiting, result);
            }
        } else if waiting.empties > 0 {
            self.answered(step, Err(commands::ACK_OK));
        } else if step == Step::Exit {
            self.finish();
        } else if self.options.transport == Transport::Udp && self.repeats < REPEATS {
            self.repeats += 1;
            self.counters.repeated += 1;
            self.steps.push_front(step);
        } else {
            let stale = self.unasked_in_a_row;
            let silent = step == Step::Connect && stale == 0;
            self.fail(if silent {
                Error::Silent
            } else {
                Error::Timeout {
                    asked: step.asked(),
                    stale,
                }
            });
        }
    }

    fn bulk_answer(&mut self, waiting: Waiting, packet: &Packet) {
        let now = self.now;
        if let Some(result) = self.bulk.as_mut().map(|bulk| bulk.heard(packet, now)) {
            self.bulk_progress(waiting, result);
        }
    }

    fn bulk_progress(&mut self, mut waiting: Waiting, result: Result<Progress, Error>) {
        let Some(bulk) = &self.bulk else { return };
        let (table, limit) = (bulk.table, bulk.limit());
        let wait = match result {
            Err(error) => return self.fail(error),
            Ok(Progress::More) => bulk.patience(),
            Ok(Progress::Settle) => bulk.settling(),
            Ok(Progress::Next) => {
                self.closing = Some(waiting.reply);
                self.repeats = 0;
                if self.leaving {
                    self.bulk = None;
                    self.steps.push_front(Step::Free);
                } else {
                    self.steps.push_front(Step::Bulk);
                }
                return;
            }
            Ok(Progress::Refused(code)) => {
                self.bulk = None;
                return self.table_refused(table, code);
            }
            Ok(Progress::Done(records, start)) => {
                self.closing = Some(waiting.reply);
                self.bulk = None;
                self.repeats = 0;
                self.steps.push_front(Step::Free);
                return match table {
                    Table::Users => self.users(&records),
                    Table::Attendance => self.log(records, start),
                };
            }
        };
        waiting.deadline = Millis(self.now.0.saturating_add(wait)).min(limit);
        self.waiting = Some(waiting);
    }

    /// A table that is refused by every way is empty only when the terminal also counts nothing.
    fn table_refused(&mut self, table: Table, code: u16) {
        match table {
            Table::Users if self.sizes.users == Some(0) => self.users(&Bytes::new()),
            Table::Users => self.got(Delivery::UsersUnread(Unread::Refused(code))),
            Table::Attendance if self.sizes.records == Some(0) => self.log(Bytes::new(), 0),
            Table::Attendance => self.fail(Error::Refused {
                asked: table.asked(),
                code,
            }),
        }
    }

    fn users(&mut self, records: &Bytes) {
        match UserList::read(records, self.sizes.users) {
            Ok(list) => self.got(Delivery::Users(list)),
            Err(bad) => self.got(Delivery::UsersUnread(bad.into())),
        }
    }

    /// Records came, from this byte of all records on.
    fn log(&mut self, records: Bytes, start: u32) {
        if records.is_empty() {
            if start == 0 {
                self.options.known = None;
            }
            let layout = self.options.layout;
            let first = start / layout.map_or(1, record_size);
            return self.got(Delivery::Log(Log {
                layout: layout.filter(|_| start > 0),
                first,
                data: records,
            }));
        }
        let hints = Hints {
            count: self.sizes.records.filter(|_| start == 0),
            remembered: self.options.layout,
        };
        match attlog::choose(&records, hints, self.now) {
            Ok(layout) => self.log_with(layout, records, start),
            Err(doubt) => {
                self.options.known = None;
                self.got(Delivery::LogUnread(doubt.into(), records));
            }
        }
    }

    fn log_with(&mut self, layout: Layout, records: Bytes, start: u32) {
        let size = record_size(layout);
        let before = self.options.known.take().filter(|_| start > 0);
        if before.is_some_and(|known| known.layout != layout) {
            // The end was cut by records of another size: all of it again.
            return self.asks.push_front(Ask::Log(Extent::Whole));
        }
        self.options.layout = Some(layout);
        let all = u32::try_from(records.len()).unwrap_or(u32::MAX);
        let total = start.saturating_add(all) / size;
        let skipped = before.map_or(0, |known| known.overlap()).min(all);
        self.options.known = match before {
            Some(known) => Some(known.grown(total, &records)),
            None => whole_known(layout, total, &records),
        };
        let from = usize::try_from(skipped).unwrap_or(0);
        self.got(Delivery::Log(Log {
            layout: Some(layout),
            first: start.saturating_add(skipped) / size,
            data: records.slice(from..),
        }));
    }
}

fn record_size(layout: Layout) -> u32 {
    u32::try_from(layout.size()).unwrap_or(1)
}

/// What a whole log makes known.
fn whole_known(layout: Layout, total: u32, records: &[u8]) -> Option<Known> {
    let end = usize::try_from(total.min(OVERLAP)).unwrap_or(0) * layout.size();
    let first = records.get(..layout.size())?;
    let last = records.get(records.len().checked_sub(end)?..)?;
    Known::of(layout, total, first, last)
}
