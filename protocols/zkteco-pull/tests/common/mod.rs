//! A terminal made of a few lines, a wire with faults, and a clock that only this file moves.
//!
//! The terminal is not the house's simulator: it knows just enough to answer a session, so that
//! what is promised of sessions is tried without a socket and in virtual time.

#![allow(dead_code, reason = "each test file uses its part of this one")]

use std::collections::BTreeMap;

use bytes::Bytes;
use event::{Millis, WallTime};
use zkteco_pull::framing::{TcpDecoder, tcp_frame};
use zkteco_pull::packet::Packet;
use zkteco_pull::{
    Action, Ask, Delivery, Error, Extent, Layout, Session, SessionOptions, Transport, time,
};

/// The whole log, and nothing else.
pub(crate) const WHOLE: &[Ask] = &[Ask::Log(Extent::Whole)];

/// 2026-11-21 16:15:45 UTC.
pub(crate) const START: Millis = Millis(1_795_277_745_000);

pub(crate) fn packed(text: &str) -> u32 {
    time::pack(&WallTime::parse(text.as_bytes()).unwrap()).unwrap()
}

/// A log of `count` records of 40 bytes, a few seconds apart.
pub(crate) fn log40(count: u32) -> Vec<u8> {
    log(Layout::Forty, count)
}

pub(crate) fn log(layout: Layout, count: u32) -> Vec<u8> {
    let start = packed("2026-11-01 07:00:00");
    let mut all = Vec::new();
    for n in 0..count {
        let mut row = vec![0; layout.size()];
        let person = n % 900 + 1;
        let at = start + n * 7 % 86_400 + n * 7 / 86_400 % 20 * 86_400;
        let time = at.to_le_bytes();
        match layout {
            Layout::Forty | Layout::FortyNine => {
                let id = person.to_string();
                row[2..2 + id.len()].copy_from_slice(id.as_bytes());
                row[26] = 1;
                row[27..31].copy_from_slice(&time);
                row[32..36].copy_from_slice(&n.to_le_bytes());
            }
            Layout::Sixteen => {
                row[..4].copy_from_slice(&person.to_le_bytes());
                row[4..8].copy_from_slice(&time);
            }
            Layout::Eight => {
                row[..2].copy_from_slice(&person.to_le_bytes()[..2]);
                row[3..7].copy_from_slice(&time);
            }
            Layout::EightFlags => {
                row[..2].copy_from_slice(&person.to_le_bytes()[..2]);
                row[2] = 0x28;
                row[4..8].copy_from_slice(&time);
            }
        }
        all.extend(row);
    }
    all
}

/// A user table of 72-byte records, uid n with the PIN `00n`.
pub(crate) fn users72(count: u16) -> Vec<u8> {
    let mut all = Vec::new();
    for n in 1..=count {
        let mut row = vec![0; 72];
        row[..2].copy_from_slice(&n.to_le_bytes());
        row[3..9].copy_from_slice(b"S3CR3T");
        let pin = format!("00{n}");
        row[48..48 + pin.len()].copy_from_slice(pin.as_bytes());
        all.extend(row);
    }
    all
}

/// What is odd about a terminal.
#[derive(Clone, Default)]
pub(crate) struct Quirks {
    /// The scrambled key that it wants.
    pub(crate) key: Option<[u8; 4]>,
    /// Datagrams carry the session id instead of numbers.
    pub(crate) unnumbered: bool,
    /// Has no 1503.
    pub(crate) direct_only: bool,
    /// Reply codes instead of the real answer, by command; each is used once.
    pub(crate) instead: Vec<(u16, u16, Vec<u8>)>,
    /// Added to what 1503 says of the size.
    pub(crate) size_lie: i64,
    /// Bytes of each window that are kept back.
    pub(crate) withheld: usize,
    /// Added to every reply id.
    pub(crate) reply_shift: u16,
    /// A punch in real time comes before each answer to 1504.
    pub(crate) chatty: bool,
    /// Announces windows without ever sending data.
    pub(crate) endless: bool,
    /// Sends everything inline that is no longer than this.
    pub(crate) inline: usize,
    /// Commands that are not answered at all.
    pub(crate) mute: Vec<u16>,
}

pub(crate) struct Terminal {
    pub(crate) udp: bool,
    pub(crate) session: u16,
    pub(crate) users: Vec<u8>,
    pub(crate) log: Vec<u8>,
    pub(crate) counts: (u32, u32),
    pub(crate) quirks: Quirks,
    pub(crate) heard: Vec<u16>,
    /// Bytes of windows that were asked for.
    pub(crate) asked: u64,
    prepared: Vec<u8>,
}

impl Terminal {
    pub(crate) fn new(udp: bool, log: Vec<u8>) -> Self {
        Self {
            udp,
            session: 0x6ba0,
            users: users72(5),
            counts: (5, 0),
            log,
            quirks: Quirks::default(),
            heard: Vec::new(),
            asked: 0,
            prepared: Vec::new(),
        }
    }

    pub(crate) fn event(&self, second: u8) -> Bytes {
        let mut data = vec![0; 32];
        data[..3].copy_from_slice(b"005");
        data[26..].copy_from_slice(&[26, 11, 21, 10, 15, second]);
        self.packet(500, 1, 0, data)
    }

    fn packet(&self, command: u16, session: u16, reply: u16, data: Vec<u8>) -> Bytes {
        let packet = Packet {
            command,
            session,
            reply,
            data: data.into(),
        };
        packet.encode()
    }

    /// The answers to one packet, each a packet.
    pub(crate) fn answer(&mut self, request: &Packet) -> Vec<Bytes> {
        self.heard.push(request.command);
        let reply = request.reply.wrapping_add(self.quirks.reply_shift);
        if self.quirks.mute.contains(&request.command) {
            return Vec::new();
        }
        let odd = self
            .quirks
            .instead
            .iter()
            .position(|row| row.0 == request.command);
        if let Some(at) = odd {
            let (_, code, data) = self.quirks.instead.remove(at);
            return vec![self.packet(code, self.session, reply, data)];
        }
        let word =
            |data: &Bytes, at: usize| u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
        let ok = |data: Vec<u8>| vec![self.packet(2000, self.session, reply, data)];
        match request.command {
            1000 if self.quirks.key.is_some() => {
                vec![self.packet(2005, self.session, reply, vec![])]
            }
            1102 if Some(&request.data[..]) != self.quirks.key.as_ref().map(|k| &k[..]) => {
                vec![self.packet(2005, self.session, reply, vec![])]
            }
            11 => {
                let name = String::from_utf8(request.data.to_vec()).unwrap();
                let name = name.trim_end_matches('\0');
                if name == "~SerialNumber" {
                    return ok(b"~SerialNumber=ABC1234560001\0".to_vec());
                }
                vec![self.packet(65535, self.session, reply, vec![])]
            }
            1100 => ok(b"Ver 6.60 Nov 13 2019\0".to_vec()),
            201 => ok(packed("2026-11-21 10:15:45").to_le_bytes().to_vec()),
            50 => {
                let mut data = vec![0; 80];
                data[16..20].copy_from_slice(&self.counts.0.to_le_bytes());
                data[32..36].copy_from_slice(&self.counts.1.to_le_bytes());
                data[64..68].copy_from_slice(&100_000u32.to_le_bytes());
                ok(data)
            }
            1503 if self.quirks.direct_only => {
                vec![self.packet(65535, self.session, reply, vec![])]
            }
            1503 => self.prepare(request.data[1], reply),
            13 | 9 => {
                let table = self.table(u8::try_from(request.command).unwrap());
                let mut out = vec![self.announce(table.len(), reply)];
                out.extend(self.chunks(&table, reply));
                out.push(self.packet(2000, self.session, reply, vec![]));
                out
            }
            1504 => {
                let (from, length) = (word(&request.data, 0), word(&request.data, 4));
                self.asked += u64::from(length);
                let from = usize::try_from(from).unwrap();
                let length = usize::try_from(length).unwrap();
                let window = self.prepared[from..from + length].to_vec();
                self.window(&window, reply)
            }
            _ => ok(vec![]),
        }
    }

    fn table(&self, inner: u8) -> Vec<u8> {
        let rows = if inner == 13 { &self.log } else { &self.users };
        let length = u32::try_from(rows.len()).unwrap();
        [&length.to_le_bytes()[..], rows].concat()
    }

    fn prepare(&mut self, inner: u8, reply: u16) -> Vec<Bytes> {
        self.prepared = self.table(inner);
        if self.prepared.len() <= self.quirks.inline {
            return vec![self.packet(1501, 0, reply, self.prepared.clone())];
        }
        let size = i64::try_from(self.prepared.len()).unwrap() + self.quirks.size_lie;
        let size = u32::try_from(size).unwrap();
        let lie = usize::try_from(self.quirks.size_lie.max(0)).unwrap();
        self.prepared.extend(vec![0; lie]);
        let mut data = vec![0];
        data.extend(size.to_le_bytes());
        data.extend(size.to_le_bytes());
        data.extend([0xa5; 4]);
        vec![self.packet(2000, self.session, reply, data)]
    }

    fn announce(&self, length: usize, reply: u16) -> Bytes {
        let length = u32::try_from(length).unwrap().to_le_bytes();
        let data = [&length[..], &[0xf8, 0xff, 0, 0]].concat();
        self.packet(1500, self.session, reply, data)
    }

    fn window(&self, window: &[u8], reply: u16) -> Vec<Bytes> {
        let mut out = Vec::new();
        if self.quirks.chatty {
            out.push(self.event(u8::try_from(reply % 60).unwrap()));
        }
        if self.quirks.endless {
            out.extend(vec![self.announce(window.len(), reply); 20]);
            return out;
        }
        out.push(self.announce(window.len(), reply));
        let kept = window.len().saturating_sub(self.quirks.withheld);
        out.extend(self.chunks(&window[..kept], reply));
        out.push(self.packet(2000, self.session, reply, vec![]));
        out
    }

    fn chunks(&self, data: &[u8], reply: u16) -> Vec<Bytes> {
        let size = if self.udp { 1024 } else { 65_472 };
        let number = |at: usize| u16::try_from(at).unwrap();
        data.chunks(size)
            .enumerate()
            .map(|(at, chunk)| {
                let field = if self.quirks.unnumbered {
                    self.session
                } else {
                    number(at)
                };
                self.packet(1501, field, reply, chunk.to_vec())
            })
            .collect()
    }
}

/// A small random number generator, so that every run can be repeated.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2) | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

/// What the wire does to packets, in percent; over TCP only the splitting counts.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wire {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) shuffled: bool,
    /// Over TCP: the longest read; 0 is whole answers.
    pub(crate) read: u64,
}

/// What came of a session.
pub(crate) struct Outcome {
    pub(crate) got: Vec<Delivery>,
    pub(crate) end: Result<(), Error>,
    pub(crate) sent: Vec<Packet>,
    pub(crate) took: i64,
}

impl Outcome {
    /// Every record of every log, one after another.
    pub(crate) fn records(&self) -> Vec<u8> {
        let logs = self.got.iter().filter_map(|delivery| match delivery {
            Delivery::Log(log) => Some(log.data.to_vec()),
            _ => None,
        });
        logs.flatten().collect()
    }
}

pub(crate) fn options(udp: bool, asks: &[Ask]) -> SessionOptions {
    SessionOptions {
        transport: if udp { Transport::Udp } else { Transport::Tcp },
        asks: asks.to_vec(),
        ..SessionOptions::default()
    }
}

/// Runs a session against a terminal until it ends, or until it is idle.
pub(crate) fn run(
    session: &mut Session,
    terminal: &mut Terminal,
    wire: Wire,
    dice: &mut Dice,
) -> Outcome {
    let (mut got, mut sent) = (Vec::new(), Vec::new());
    let mut now = START;
    let mut line: BTreeMap<(i64, u64), Bytes> = BTreeMap::new();
    let mut order = 0;
    let end = loop {
        assert!(sent.len() < 100_000, "the session never ends");
        match session.next(now) {
            Action::Send(bytes) => {
                let request = decode(&bytes, terminal.udp);
                sent.push(request.clone());
                if terminal.udp && dice.below(100) < wire.lost {
                    continue;
                }
                let answers = terminal.answer(&request);
                for (at, bytes) in schedule(answers, terminal.udp, wire, dice, now) {
                    order += 1;
                    line.insert((at, order), bytes);
                }
            }
            Action::Got(delivery) => got.push(delivery),
            Action::Done => break Ok(()),
            Action::Close(error) => break Err(error),
            Action::Wait(_) if session.is_idle() && line.is_empty() => break Ok(()),
            Action::Wait(until) => match line.first_entry().filter(|e| e.key().0 < until.0) {
                Some(entry) => {
                    now = Millis(now.0.max(entry.key().0));
                    session.heard(&entry.remove(), now);
                }
                None => now = until,
            },
        }
    };
    Outcome {
        got,
        end,
        sent,
        took: now.0 - START.0,
    }
}

fn schedule(
    answers: Vec<Bytes>,
    udp: bool,
    wire: Wire,
    dice: &mut Dice,
    now: Millis,
) -> Vec<(i64, Bytes)> {
    if !udp {
        let stream: Vec<u8> = answers
            .iter()
            .flat_map(|packet| tcp_frame(packet))
            .collect();
        let mut rest = &stream[..];
        let mut out = Vec::new();
        while !rest.is_empty() {
            let longest = u64::try_from(rest.len()).unwrap();
            let length = if wire.read == 0 {
                longest
            } else {
                1 + dice.below(wire.read)
            };
            let (piece, tail) = rest.split_at(usize::try_from(length.min(longest)).unwrap());
            rest = tail;
            out.push((now.0 + 1, Bytes::copy_from_slice(piece)));
        }
        return out;
    }
    let mut out = Vec::new();
    for (packet, delay) in answers.into_iter().zip(1..) {
        let copies = 1 + u64::from(dice.below(100) < wire.doubled);
        for _ in 0..copies {
            if dice.below(100) >= wire.lost {
                let shuffle = if wire.shuffled { dice.below(30) } else { 0 };
                let delay = delay / 8 + 1 + i64::try_from(shuffle).unwrap();
                out.push((now.0 + delay, packet.clone()));
            }
        }
    }
    out
}

fn decode(bytes: &Bytes, udp: bool) -> Packet {
    if udp {
        return Packet::decode(bytes).unwrap().0;
    }
    let mut decoder = TcpDecoder::default();
    decoder.feed(bytes);
    let packet = decoder.packet().unwrap().unwrap();
    assert_eq!(decoder.pending(), 0);
    Packet::decode(&packet).unwrap().0
}
