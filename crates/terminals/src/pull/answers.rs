//! What a terminal on port 4370 answers to each command, over either transport.
//!
//! Tables are prepared once and read from that copy, as real terminals do: a punch that comes
//! while the log is read is not in it. What a client asks for is judged here and counted, also
//! what no collector should ever ask.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::broadcast;

use super::machine::{Record, packed};
use super::options::{Events, SessionField};
use super::terminal::Inner;
use super::wire::{Reply, Request, accepts};

const OK: u16 = 2000;
const NO: u16 = 2001;
const KEY_WANTED: u16 = 2005;
const SECURE: u16 = 6001;
const UNKNOWN: u16 = 65_535;
const PREPARE: u16 = 1500;
const DATA: u16 = 1501;
/// Bytes of a datagram's data.
const DATAGRAM: usize = 1_024;
/// Bytes of a piece of a direct read over TCP.
const DIRECT: usize = 1_008;

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    /// Which of all clients so far; it is the key to the terminal's one place.
    pub(super) id: u64,
    pub(super) udp: bool,
    session: u16,
    welcome: bool,
    /// The table that was prepared last, and what reading all of it hands out.
    table: Vec<u8>,
    hands_out: u64,
    asked: u32,
    /// Real-time events, once they were asked for.
    pub(super) events: Option<broadcast::Receiver<Record>>,
}

/// What is to be done about a request.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) replies: Vec<Reply>,
    /// The session is over.
    pub(super) ends: bool,
    /// The connection is closed without a word.
    pub(super) shut: bool,
    /// The terminal is busy for so long before it answers.
    pub(super) after: Duration,
    /// Bytes that are no packet, over TCP.
    pub(super) raw: Vec<u8>,
}

impl Client {
    pub(super) fn new(id: u64, udp: bool) -> Self {
        Self {
            id,
            udp,
            session: 0,
            welcome: false,
            table: Vec::new(),
            hands_out: 0,
            asked: 0,
            events: None,
        }
    }

    /// The packet that tells of a punch.
    pub(super) fn event(inner: &Inner, record: &Record) -> Option<Reply> {
        inner.counts.events.fetch_add(1, Relaxed);
        Some(Reply {
            code: 500,
            session: 1,
            reply: 0,
            data: inner.machine.event(record)?,
        })
    }

    /// The answer to a request.
    pub(super) fn answer(&mut self, inner: &Inner, request: &Request) -> Answer {
        let options = &inner.machine.options;
        inner.counts.requests.fetch_add(1, Relaxed);
        if !request.good_sum {
            inner.counts.bad_sums.fetch_add(1, Relaxed);
            if options.strict_sums {
                return Answer::default();
            }
        }
        let mut answer = match request.command {
            // An acknowledgement of an event.
            OK => {
                inner.counts.acks.fetch_add(1, Relaxed);
                return Answer::default();
            }
            1000 => self.connect(inner),
            1102 => self.auth(inner, request),
            _ if !self.welcome || request.session != self.session => self.just(KEY_WANTED),
            _ => self.command(inner, request),
        };
        self.asked += 1;
        for reply in &mut answer.replies {
            reply.reply = request.reply;
        }
        let lie = inner.lie();
        if lie.is_in_the_answer()
            && wants_log(request)
            && let Some(honest) = answer.replies.first()
        {
            return lie.instead(honest);
        }
        let has_data = answer
            .replies
            .first()
            .is_some_and(|first| !first.data.is_empty());
        if options.empty_first && has_data {
            answer
                .replies
                .insert(0, self.reply(OK, Vec::new(), request.reply));
        }
        if options.stray_every > 0 && self.asked.is_multiple_of(options.stray_every) {
            let other = request.reply.wrapping_sub(77);
            answer.replies.insert(0, self.reply(OK, vec![7; 4], other));
        }
        answer
    }

    fn reply(&self, code: u16, data: Vec<u8>, reply: u16) -> Reply {
        Reply {
            code,
            session: self.session,
            reply,
            data,
        }
    }

    fn just(&self, code: u16) -> Answer {
        self.with(code, Vec::new())
    }

    fn with(&self, code: u16, data: Vec<u8>) -> Answer {
        Answer {
            replies: vec![self.reply(code, data, 0)],
            ..Answer::default()
        }
    }

    fn connect(&mut self, inner: &Inner) -> Answer {
        if inner.machine.options.secure {
            return self.just(SECURE);
        }
        if !inner.take_place(self.id) {
            inner.counts.turned_away.fetch_add(1, Relaxed);
            let shut = inner.shuts_second();
            return Answer {
                shut,
                ..Answer::default()
            };
        }
        if self.session == 0 {
            self.session = inner.next_session();
            inner.counts.sessions.fetch_add(1, Relaxed);
        }
        if inner.key() != 0 && !self.welcome {
            return self.just(KEY_WANTED);
        }
        self.welcome = true;
        self.just(OK)
    }

    fn auth(&mut self, inner: &Inner, request: &Request) -> Answer {
        if accepts(inner.key(), self.session, &request.data) {
            self.welcome = true;
            return self.just(OK);
        }
        inner.counts.wrong_keys.fetch_add(1, Relaxed);
        self.just(KEY_WANTED)
    }

    fn command(&mut self, inner: &Inner, request: &Request) -> Answer {
        let machine = &inner.machine;
        match request.command {
            1001 => {
                inner.counts.exits.fetch_add(1, Relaxed);
                Answer {
                    ends: true,
                    ..self.just(OK)
                }
            }
            1003 => {
                inner.counts.disables.fetch_add(1, Relaxed);
                self.just(OK)
            }
            14 | 15 | 18 | 19 | 20 | 33 => {
                inner.counts.destroyed.fetch_add(1, Relaxed);
                machine.clear_log();
                self.just(OK)
            }
            11 => match option(inner, &request.data) {
                Some(text) => self.with(OK, text),
                None => self.just(NO),
            },
            50 => self.with(OK, sizes(inner)),
            60 | 62 | 1002 | 1013 => self.just(OK),
            201 => self.with(OK, packed(machine.wall_now()).to_le_bytes().to_vec()),
            202 => {
                inner.counts.clock_sets.fetch_add(1, Relaxed);
                self.just(OK)
            }
            500 => self.register(inner, &request.data),
            1100 => self.with(OK, b"Ver 6.60 Nov 13 2019\0".to_vec()),
            9 | 13 => self.direct(inner, request.command),
            1502 => {
                self.table = Vec::new();
                self.just(OK)
            }
            1503 => self.prepare(inner, &request.data),
            1504 => self.window(inner, &request.data),
            _ => self.just(UNKNOWN),
        }
    }

    fn register(&mut self, inner: &Inner, data: &[u8]) -> Answer {
        if inner.machine.options.events == Events::Refused {
            return self.just(UNKNOWN);
        }
        let wanted = data.first().is_some_and(|mask| mask & 1 == 1);
        self.events = wanted.then(|| inner.machine.events.subscribe());
        self.just(OK)
    }

    fn load(&mut self, inner: &Inner, command: u16) {
        if command == 13 {
            inner.counts.logs.fetch_add(1, Relaxed);
            (self.table, self.hands_out) = inner.machine.log_table();
            let record = inner.machine.options.record.bytes();
            inner.lie().spoil(&mut self.table, record);
        } else {
            (self.table, self.hands_out) = (inner.machine.user_table(), 0);
        }
    }

    /// The whole table in one stream, as old firmware sends it.
    fn direct(&mut self, inner: &Inner, command: u16) -> Answer {
        self.load(inner, command);
        let size = self.table.len();
        let piece = if self.udp { DATAGRAM } else { DIRECT };
        let answer = self.stream(inner, 0, size, piece);
        self.handed_out(inner, size);
        answer
    }

    fn prepare(&mut self, inner: &Inner, data: &[u8]) -> Answer {
        let options = &inner.machine.options;
        let inner_command = data.get(1..).and_then(|d| d.first_chunk::<2>());
        let command = inner_command.map_or(0, |two| u16::from_le_bytes(*two));
        if options.direct_only || !matches!(command, 9 | 13) {
            return self.just(UNKNOWN);
        }
        self.load(inner, command);
        let size = u32::try_from(self.table.len()).unwrap_or(u32::MAX);
        let mut answer = if size <= options.inline {
            let table = self.table.clone();
            self.handed_out(inner, table.len());
            let mut answer = self.with(DATA, table);
            self.field(inner, &mut answer.replies);
            answer
        } else {
            let mut told = vec![0];
            for word in [size, size, 0x00c0_ffee] {
                told.extend(word.to_le_bytes());
            }
            self.with(OK, told)
        };
        answer.after = Duration::from_millis(options.prepare_ms);
        answer
    }

    fn window(&mut self, inner: &Inner, data: &[u8]) -> Answer {
        let word = |at: usize| Some(u32::from_le_bytes(*data.get(at..)?.first_chunk::<4>()?));
        let (Some(from), Some(length)) = (word(0), word(4)) else {
            return self.just(NO);
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let to = from.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        if to > self.table.len() || length == 0 {
            return self.just(NO);
        }
        let whole = to - from;
        let piece = match (self.udp, inner.machine.options.tcp_piece) {
            (true, _) => DATAGRAM,
            (false, 0) => whole,
            (false, piece) => usize::try_from(piece).unwrap_or(whole),
        };
        let answer = self.stream(inner, from, to, piece);
        self.handed_out(inner, to);
        answer
    }

    /// An announcement, the data in pieces, and the end.
    fn stream(&self, inner: &Inner, from: usize, to: usize, piece: usize) -> Answer {
        let length = u32::try_from(to - from).unwrap_or(u32::MAX);
        let told = [length.to_le_bytes(), 0xfff8_u32.to_le_bytes()].concat();
        let bytes = self.table.get(from..to).unwrap_or_default();
        let pieces = bytes.chunks(piece.max(1));
        let mut replies: Vec<Reply> = pieces
            .map(|data| self.reply(DATA, data.to_vec(), 0))
            .collect();
        self.field(inner, &mut replies);
        replies.insert(0, self.reply(PREPARE, told, 0));
        replies.push(self.reply(OK, Vec::new(), 0));
        Answer {
            replies,
            ..Answer::default()
        }
    }

    /// The session field of data, which firmware uses for other things.
    fn field(&self, inner: &Inner, data: &mut [Reply]) {
        for (reply, number) in data.iter_mut().zip(0..) {
            reply.session = match inner.machine.options.session_field {
                SessionField::Pieces => number,
                SessionField::Session => self.session,
                SessionField::Nought => 0,
            };
        }
    }

    /// Whoever has read up to the end of the log has had all of it.
    fn handed_out(&self, inner: &Inner, to: usize) {
        inner
            .counts
            .bytes
            .fetch_add(u64::try_from(to).unwrap_or(0), Relaxed);
        if to == self.table.len() && self.hands_out > 0 {
            inner.machine.served(self.hands_out);
        }
    }
}

/// Whether a request is the one for the log, in whatever way.
fn wants_log(request: &Request) -> bool {
    let prepared = request.data.get(1..3) == Some(&[13, 0]);
    request.command == 13 || (request.command == 1503 && prepared)
}

fn option(inner: &Inner, data: &[u8]) -> Option<Vec<u8>> {
    let end = data
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(data.len());
    let name = std::str::from_utf8(data.get(..end)?).ok()?;
    let value = match name {
        "~SerialNumber" => inner.machine.serial(),
        "~DeviceName" => "SIM-K40".to_owned(),
        "~Platform" => "ZEM560_TFT".to_owned(),
        "~OEMVendor" => "Simulated=Vendor".to_owned(),
        "MAC" => "00:17:61:00:00:01".to_owned(),
        "~PIN2Width" => "9".to_owned(),
        "~ExtendFmt" | "~UserExtFmt" => "1".to_owned(),
        "~ZKFPVersion" => "10".to_owned(),
        _ => return None,
    };
    Some(format!("{name}={value}\0").into_bytes())
}

fn sizes(inner: &Inner) -> Vec<u8> {
    let machine = &inner.machine;
    let options = &machine.options;
    let mut words = vec![0_i32; usize::from(options.sizes_bytes) / 4];
    if !options.zero_counts {
        let (held, _) = machine.held();
        let held = i32::try_from(held).unwrap_or(i32::MAX);
        let capacity = i32::try_from(options.capacity).unwrap_or(i32::MAX);
        let people = i32::try_from(machine.people()).unwrap_or(i32::MAX);
        let told = [
            (4, people),
            (6, people),
            (8, held),
            (15, 3_000),
            (16, capacity),
            (18, 3_000 - people),
            (19, capacity - held),
        ];
        for (place, value) in told {
            if let Some(word) = words.get_mut(place) {
                *word = value;
            }
        }
    }
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
