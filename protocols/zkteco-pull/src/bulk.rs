//! Bulk reads: a whole table, or its end, in windows.
//!
//! ```text
//! 1503 prepare  →  2000, size            (or 1501 with everything, when it is little)
//! 1504 window   →  1500, length; 1501 …; 2000
//! 1504 window   →  …
//! ```
//!
//! Complete means: exactly the promised bytes arrived, and the table's own length says the same.
//! Everything else is asked for again or ends in a named error; there is no short success. One
//! window is open at a time. Datagrams are placed by the number in their session field; where
//! they carry none, windows shrink until an answer is one datagram, because two could change
//! places unseen. Firmware without 1503 is read directly, all at once.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bytes::Bytes;
use event::Millis;

use crate::commands;
use crate::error::Error;
use crate::known::Known;
use crate::packet::Packet;
use crate::talk::Transport;

/// Largest table accepted, in bytes: 1.3 million records of 49.
pub(crate) const SIZE_LIMIT: u32 = 64 * 1024 * 1024;

/// Window over TCP: just under the terminal's own packet size.
const TCP_WINDOW: u32 = 0xffc0;
/// Window over UDP, and over TCP after a window failed.
const SMALL_WINDOW: u32 = 16 * 1024;
/// Window over UDP where datagrams are not numbered: one datagram.
const DATAGRAM: u32 = 1024;
/// Attempts in a row that may bring nothing new.
const TRIES: u8 = 3;
/// The same over UDP, where a lost datagram is an attempt.
const UDP_TRIES: u8 = 12;
/// Packets of one answer that may carry nothing: empty data, repeated announcements.
const NOISE: u8 = 8;

/// Milliseconds for one answer as a whole.
const ANSWER_LIMIT: i64 = 300_000;

/// A table of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// The attendance log.
    Attendance,
    /// The user table.
    Users,
}

impl Table {
    fn command(self) -> u16 {
        match self {
            Self::Attendance => commands::ATTENDANCE,
            Self::Users => commands::USERS,
        }
    }

    /// For error texts.
    pub(crate) fn asked(self) -> &'static str {
        match self {
            Self::Attendance => "read its attendance log",
            Self::Users => "read its user table",
        }
    }

    /// The data of the request that prepares the table: 1, inner command, two words.
    fn preparation(self) -> Bytes {
        match self {
            Self::Attendance => Bytes::from_static(&[1, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Self::Users => Bytes::from_static(&[1, 9, 0, 5, 0, 0, 0, 0, 0, 0, 0]),
        }
    }
}

/// What a packet or a pause means for the read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Progress {
    /// Go on waiting.
    More,
    /// Everything that will come has come, but for stragglers: wait a moment only.
    Settle,
    /// Send the next request.
    Next,
    /// The terminal does not have this table, or it is empty and it says so by this code.
    Refused(u16),
    /// The read is complete: records without the length before them, and the byte among all
    /// records at which they begin.
    Done(Bytes, u32),
}

/// What kind of answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// To 1503.
    Prepare,
    /// To the direct command.
    Direct,
    /// Data that follow their announcement, without windows. Holds the announced size.
    Stream(u32),
    /// To 1504.
    Window,
}

/// What part of the table is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    /// The length and the first record, before the end.
    Head,
    /// From this byte of the table on.
    Tail(u32),
}

/// One bulk read.
#[derive(Debug)]
pub(crate) struct Bulk {
    pub(crate) table: Table,
    udp: bool,
    known: Option<Known>,
    stage: Stage,
    /// Whether the prepared read was refused.
    direct: bool,
    /// Bytes of the whole table, as promised.
    size: u32,
    part: Part,
    window: u32,
    /// Ranges still to be asked for; the first is the open one.
    todo: VecDeque<Range<u32>>,
    /// What arrived out of order, by its place in the table.
    parts: BTreeMap<u32, Bytes>,
    /// What arrived in order, from `base` on.
    whole: Vec<u8>,
    base: u32,
    answer: Answer,
    tries: u8,
    asked_at: Millis,
    /// Smoothed time from a window's request to its first answer, in milliseconds.
    delay: Option<i64>,
}

/// What came for the open request.
#[derive(Debug, Default)]
struct Answer {
    chunks: Vec<(u16, Bytes)>,
    bytes: u32,
    noise: u8,
    empties: u8,
    closed: bool,
}

impl Bulk {
    pub(crate) fn new(table: Table, transport: Transport, known: Option<Known>) -> Self {
        let udp = transport == Transport::Udp;
        Self {
            table,
            udp,
            known: known.filter(|known| known.records > 0),
            stage: Stage::Prepare,
            direct: false,
            size: 0,
            part: Part::Whole,
            window: if udp { SMALL_WINDOW } else { TCP_WINDOW },
            todo: VecDeque::new(),
            parts: BTreeMap::new(),
            whole: Vec::new(),
            base: 0,
            answer: Answer::default(),
            tries: 0,
            asked_at: Millis(0),
            delay: None,
        }
    }

    /// The request to send now: command and data.
    pub(crate) fn request(&mut self, now: Millis) -> (u16, Bytes) {
        self.answer = Answer::default();
        self.asked_at = now;
        if let Stage::Stream(_) = self.stage {
            self.stage = if self.direct {
                Stage::Direct
            } else {
                Stage::Prepare
            };
        }
        match self.stage {
            Stage::Prepare => (commands::PREPARE_BUFFER, self.table.preparation()),
            // A stream that broke off has just become the question that it answered.
            Stage::Direct | Stage::Stream(_) => (self.table.command(), Bytes::new()),
            Stage::Window => {
                let range = self.open();
                let mut data = Vec::with_capacity(8);
                data.extend(range.start.to_le_bytes());
                data.extend((range.end - range.start).to_le_bytes());
                (commands::READ_BUFFER, data.into())
            }
        }
    }

    /// How long to wait for the next packet, in milliseconds.
    pub(crate) fn patience(&self) -> i64 {
        match (self.stage, self.udp) {
            (Stage::Prepare | Stage::Direct, false) => 60_000,
            // A lost request must not cost a minute; a slow terminal gets one in the end.
            (Stage::Prepare | Stage::Direct, true) => (5_000 << self.tries.min(4)).min(60_000),
            (_, false) => 15_000,
            (_, true) => {
                let usual = self
                    .delay
                    .map_or(2_000, |delay| (delay * 8).clamp(50, 2_000));
                (usual << self.tries.min(6)).min(5_000)
            }
        }
    }

    /// When the open request has had its time, however slowly bytes still come.
    pub(crate) fn limit(&self) -> Millis {
        Millis(self.asked_at.0.saturating_add(ANSWER_LIMIT))
    }

    /// How long to wait for stragglers, in milliseconds.
    pub(crate) fn settling(&self) -> i64 {
        self.delay.map_or(200, |delay| (delay * 2).clamp(5, 200))
    }

    /// Takes a packet that answers the open request.
    pub(crate) fn heard(&mut self, packet: &Packet, now: Millis) -> Result<Progress, Error> {
        match packet.command {
            commands::DATA => self.data(packet, now),
            commands::PREPARE_DATA => self.announced(packet, now),
            commands::ACK_OK => self.acknowledged(packet),
            code if commands::is_refusal(code) => self.refused(code),
            code => Err(self.bad_answer(code, packet.data.len())),
        }
    }

    /// Takes the end of a pause. Over TCP nothing is lost by itself, so that the session ends.
    pub(crate) fn overdue(&mut self, stale: u32) -> Result<Progress, Error> {
        if self.answer.empties > 0 && self.answer.bytes == 0 && self.stage == Stage::Prepare {
            return self.refused(commands::ACK_OK);
        }
        if !self.udp {
            return Err(if self.answer.bytes > 0 {
                self.short()
            } else {
                Error::Timeout {
                    asked: self.table.asked(),
                    stale,
                }
            });
        }
        match self.stage {
            Stage::Window => self.keep_what_came(),
            _ => self.again(Error::Timeout {
                asked: self.table.asked(),
                stale,
            }),
        }
    }

    fn data(&mut self, packet: &Packet, now: Millis) -> Result<Progress, Error> {
        if packet.data.is_empty() {
            return self.noise();
        }
        self.measure(now);
        if matches!(self.stage, Stage::Prepare | Stage::Direct) {
            return self.inline(packet);
        }
        let expected = match self.stage {
            Stage::Stream(size) => size,
            _ => length(&self.open()),
        };
        let seen = |chunk: &(u16, Bytes)| chunk.0 == packet.session;
        if self.udp && self.answer.chunks.iter().any(seen) {
            // The same datagram twice is the network's doing; another one means no numbers.
            let same = |chunk: &(u16, Bytes)| seen(chunk) && chunk.1 == packet.data;
            return if self.answer.chunks.iter().any(same) {
                self.noise()
            } else {
                self.unnumbered()
            };
        }
        let bytes = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
        let total = self.answer.bytes.saturating_add(bytes);
        if total > expected {
            return self.retry(Error::LyingCount {
                stated: expected,
                found: total,
            });
        }
        self.answer.bytes = total;
        self.answer
            .chunks
            .push((packet.session, packet.data.clone()));
        if total == expected {
            return self.answered();
        }
        Ok(if self.answer.closed {
            Progress::Settle
        } else {
            Progress::More
        })
    }

    /// Data in answer to the preparation or the direct command: the whole table at once.
    fn inline(&mut self, packet: &Packet) -> Result<Progress, Error> {
        let Some(stated) = word(&packet.data, 0) else {
            return Err(self.bad_answer(packet.command, packet.data.len()));
        };
        let size = stated.saturating_add(4);
        if size > SIZE_LIMIT {
            return Err(Error::TooLarge(size));
        }
        self.size = size;
        self.stage = Stage::Stream(size);
        let bytes = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
        if bytes > size {
            return Err(Error::LyingCount {
                stated: size,
                found: bytes,
            });
        }
        self.answer.bytes = bytes;
        self.answer
            .chunks
            .push((packet.session, packet.data.clone()));
        if bytes == size {
            return self.answered();
        }
        Ok(Progress::More)
    }

    fn announced(&mut self, packet: &Packet, now: Millis) -> Result<Progress, Error> {
        self.measure(now);
        self.answer.noise += 1;
        if self.answer.noise > NOISE {
            return Err(Error::EndlessPrepare);
        }
        let stated = word(&packet.data, 0);
        match self.stage {
            // Some firmware announces the prepared buffer by this code, in the longer form.
            Stage::Prepare if packet.data.len() >= 13 => self.prepared(&packet.data),
            Stage::Prepare | Stage::Direct => {
                let Some(size) = stated else {
                    return Err(self.bad_answer(packet.command, packet.data.len()));
                };
                if size > SIZE_LIMIT {
                    return Err(Error::TooLarge(size));
                }
                self.size = size;
                self.stage = Stage::Stream(size);
                Ok(Progress::More)
            }
            Stage::Stream(size) if stated == Some(size) => Ok(Progress::More),
            Stage::Window if stated == Some(length(&self.open())) => Ok(Progress::More),
            Stage::Stream(expected) => self.retry(Error::LyingCount {
                stated: stated.unwrap_or(0),
                found: expected,
            }),
            Stage::Window => {
                let found = length(&self.open());
                self.retry(Error::LyingCount {
                    stated: stated.unwrap_or(0),
                    found,
                })
            }
        }
    }

    fn acknowledged(&mut self, packet: &Packet) -> Result<Progress, Error> {
        match self.stage {
            Stage::Prepare if packet.data.len() >= 4 => self.prepared(&packet.data),
            _ if self.answer.bytes == 0 => {
                // An empty acknowledgement may come before the real answer.
                self.answer.empties += 1;
                if self.answer.empties > 3 {
                    return self.retry(self.short());
                }
                Ok(if self.stage == Stage::Window && self.udp {
                    Progress::Settle
                } else {
                    Progress::More
                })
            }
            _ if self.udp => {
                self.answer.closed = true;
                Ok(Progress::Settle)
            }
            _ => self.retry(self.short()),
        }
    }

    /// The prepared buffer's size is known: plan the windows.
    fn prepared(&mut self, data: &[u8]) -> Result<Progress, Error> {
        let size = if data.len() >= 5 {
            word(data, 1)
        } else {
            word(data, 0)
        };
        let size = size.unwrap_or(0);
        if size > SIZE_LIMIT {
            return Err(Error::TooLarge(size));
        }
        if size == 0 {
            return Ok(Progress::Done(Bytes::new(), 0));
        }
        if size < 4 {
            return Err(Error::LyingCount {
                stated: size,
                found: 4,
            });
        }
        self.size = size;
        self.stage = Stage::Window;
        self.tries = 0;
        let part = if self.tail_start().is_some() {
            Part::Head
        } else {
            Part::Whole
        };
        self.plan(part);
        Ok(Progress::Next)
    }

    /// Where the end begins that must be read, when what is known still fits the size.
    fn tail_start(&self) -> Option<u32> {
        let known = self.known.as_ref()?;
        let bytes = known.records.checked_mul(known.record())?.checked_add(4)?;
        let whole = (self.size - 4).is_multiple_of(known.record());
        let start = bytes
            .checked_sub(known.overlap())
            .filter(|&start| start >= 4)?;
        (whole && bytes <= self.size).then_some(start)
    }

    fn plan(&mut self, part: Part) {
        self.part = part;
        let (start, end) = match part {
            Part::Whole => (0, self.size),
            Part::Head => (0, 4 + self.known.as_ref().map_or(0, Known::record)),
            Part::Tail(start) => (start, self.size),
        };
        self.base = start;
        self.parts.clear();
        self.whole = Vec::new();
        self.todo = windows(start..end, self.window).collect();
    }

    fn refused(&mut self, code: u16) -> Result<Progress, Error> {
        match self.stage {
            Stage::Prepare => {
                self.stage = Stage::Direct;
                self.direct = true;
                Ok(Progress::Next)
            }
            Stage::Direct => Ok(Progress::Refused(code)),
            Stage::Stream(_) | Stage::Window => self.retry(Error::Refused {
                asked: self.table.asked(),
                code,
            }),
        }
    }

    /// All bytes of the open request are there.
    fn answered(&mut self) -> Result<Progress, Error> {
        let answer = std::mem::take(&mut self.answer);
        let mut chunks = answer.chunks;
        if self.udp && chunks.len() > 1 {
            chunks.sort_by_key(|chunk| chunk.0);
            let numbered = chunks.iter().zip(0u16..).all(|(chunk, at)| chunk.0 == at);
            if !numbered {
                return self.unnumbered();
            }
        }
        self.tries = 0;
        if let Stage::Stream(_) = self.stage {
            self.whole = chunks.iter().flat_map(|c| c.1.iter().copied()).collect();
            return self.complete();
        }
        let mut place = self.todo.pop_front().unwrap_or(0..0).start;
        for (_, chunk) in chunks {
            let bytes = u32::try_from(chunk.len()).unwrap_or(0);
            self.parts.insert(place, chunk);
            place = place.saturating_add(bytes);
        }
        self.advance()
    }

    /// Moves what is in order to the end of `whole`, and looks whether the part is complete.
    fn advance(&mut self) -> Result<Progress, Error> {
        while let Some(entry) = self.parts.first_entry() {
            let next = u32::try_from(self.whole.len()).unwrap_or(u32::MAX) + self.base;
            if *entry.key() != next {
                break;
            }
            self.whole.extend_from_slice(&entry.remove());
        }
        if self.todo.is_empty() {
            return self.complete();
        }
        Ok(Progress::Next)
    }

    fn complete(&mut self) -> Result<Progress, Error> {
        let whole = std::mem::take(&mut self.whole);
        let got = u32::try_from(whole.len()).unwrap_or(u32::MAX);
        let promised = match self.part {
            Part::Whole => self.size,
            Part::Head => got,
            Part::Tail(start) => self.size - start,
        };
        if got != promised || !self.parts.is_empty() {
            return Err(Error::Short { promised, got });
        }
        let whole = Bytes::from(whole);
        match self.part {
            Part::Tail(start) => {
                let same = |known: &Known| known.ends_with(&whole);
                if self.known.as_ref().is_some_and(same) {
                    return Ok(Progress::Done(whole, start - 4));
                }
                self.plan(Part::Whole);
                Ok(Progress::Next)
            }
            Part::Head => {
                self.check_length(&whole)?;
                let same = |known: &Known| known.begins_with(whole.get(4..).unwrap_or_default());
                let tail = self
                    .tail_start()
                    .filter(|_| self.known.as_ref().is_some_and(same));
                match tail {
                    // Nothing new, and no records to compare.
                    Some(start) if start == self.size => {
                        Ok(Progress::Done(Bytes::new(), start - 4))
                    }
                    Some(start) => {
                        self.plan(Part::Tail(start));
                        Ok(Progress::Next)
                    }
                    None => {
                        self.plan(Part::Whole);
                        Ok(Progress::Next)
                    }
                }
            }
            Part::Whole => {
                self.check_length(&whole)?;
                Ok(Progress::Done(whole.slice(whole.len().min(4)..), 0))
            }
        }
    }

    /// The table's own length must agree with the promise.
    fn check_length(&self, whole: &[u8]) -> Result<(), Error> {
        let stated = word(whole, 0).unwrap_or(0);
        if self.size.checked_sub(4) == Some(stated) {
            return Ok(());
        }
        Err(Error::LyingCount {
            stated,
            found: self.size.saturating_sub(4),
        })
    }

    /// Datagrams without numbers: windows of one datagram, or, in a stream, an error.
    fn unnumbered(&mut self) -> Result<Progress, Error> {
        if self.stage != Stage::Window {
            return Err(Error::Unordered);
        }
        let smallest = self.answer.chunks.iter().map(|chunk| chunk.1.len()).max();
        let smallest = u32::try_from(smallest.unwrap_or(0)).unwrap_or(DATAGRAM);
        let one = smallest.clamp(64, DATAGRAM);
        if self.window <= one {
            return Err(Error::Unordered);
        }
        self.window = one;
        self.split_todo();
        Ok(Progress::Next)
    }

    fn split_todo(&mut self) {
        let window = self.window;
        let todo = std::mem::take(&mut self.todo);
        self.todo = todo
            .into_iter()
            .flat_map(|range| windows(range, window))
            .collect();
    }

    /// Places the numbered datagrams of a window that stayed incomplete, and asks for the rest.
    fn keep_what_came(&mut self) -> Result<Progress, Error> {
        let answer = std::mem::take(&mut self.answer);
        let range = self.open();
        let Some(unit) = unit(&answer.chunks, length(&range)) else {
            return self.again(Error::Short {
                promised: length(&range),
                got: answer.bytes,
            });
        };
        let missing = windows(range.clone(), unit).enumerate().filter(|(at, _)| {
            let number = |chunk: &(u16, Bytes)| usize::from(chunk.0) == *at;
            !answer.chunks.iter().any(number)
        });
        let missing: Vec<Range<u32>> = missing.map(|(_, hole)| hole).collect();
        for (number, chunk) in answer.chunks {
            self.parts
                .insert(range.start + u32::from(number) * unit, chunk);
        }
        self.todo.pop_front();
        missing
            .into_iter()
            .rev()
            .for_each(|hole| self.todo.push_front(hole));
        self.tries = 0;
        self.advance()
    }

    /// Asks for the open request once more; `error` when that was done often enough.
    fn again(&mut self, error: Error) -> Result<Progress, Error> {
        self.tries += 1;
        let windows = self.udp && self.stage == Stage::Window;
        if self.tries
            > if windows {
                UDP_TRIES
            } else {
                TRIES + u8::from(self.udp)
            }
        {
            return Err(error);
        }
        Ok(Progress::Next)
    }

    /// A window went wrong: smaller ones from here on, then once more.
    fn retry(&mut self, error: Error) -> Result<Progress, Error> {
        if self.stage == Stage::Window {
            self.window = self.window.min(SMALL_WINDOW);
            self.split_todo();
        }
        self.again(error)
    }

    fn noise(&mut self) -> Result<Progress, Error> {
        self.answer.noise += 1;
        if self.answer.noise > NOISE && !self.udp {
            return Err(Error::EndlessPrepare);
        }
        if self.answer.noise > 8 * NOISE {
            return Err(Error::EndlessPrepare);
        }
        Ok(Progress::More)
    }

    fn measure(&mut self, now: Millis) {
        if self.stage == Stage::Window && self.answer.bytes == 0 {
            let took = now.0.saturating_sub(self.asked_at.0).max(0);
            let smooth = |delay: i64| (delay * 3 + took) / 4;
            self.delay = Some(self.delay.map_or(took, smooth));
        }
    }

    fn open(&self) -> Range<u32> {
        self.todo.front().cloned().unwrap_or(0..0)
    }

    fn short(&self) -> Error {
        let promised = match self.stage {
            Stage::Stream(size) => size,
            _ => length(&self.open()),
        };
        Error::Short {
            promised,
            got: self.answer.bytes,
        }
    }

    fn bad_answer(&self, code: u16, length: usize) -> Error {
        Error::BadAnswer {
            asked: self.table.asked(),
            code,
            length,
        }
    }
}

fn length(range: &Range<u32>) -> u32 {
    range.end.saturating_sub(range.start)
}

/// A range cut into pieces of at most `window` bytes.
fn windows(range: Range<u32>, window: u32) -> impl Iterator<Item = Range<u32>> {
    let step = usize::try_from(window.max(1)).unwrap_or(usize::MAX);
    let end = range.end;
    range
        .step_by(step)
        .map(move |start| start..start.saturating_add(window).min(end))
}

/// The common length of numbered datagrams of a window of `total` bytes; `None` when it is not
/// certain or a datagram contradicts it.
fn unit(chunks: &[(u16, Bytes)], total: u32) -> Option<u32> {
    let mut lengths: Vec<u32> = chunks
        .iter()
        .map(|chunk| u32::try_from(chunk.1.len()).unwrap_or(u32::MAX))
        .collect();
    lengths.sort_unstable();
    let zero = chunks.iter().find(|chunk| chunk.0 == 0);
    let zero = zero.and_then(|chunk| u32::try_from(chunk.1.len()).ok());
    let pair = lengths.windows(2).find(|pair| pair.first() == pair.last());
    // A lone datagram without the number 0 may be the last one, which is shorter. One with the
    // number 0 could be a session id of 0, so that it takes two to believe in numbers.
    let unit = pair.and_then(|pair| pair.first().copied()).or(zero)?;
    if chunks.len() < 2 {
        return None;
    }
    let fits = |(number, chunk): &(u16, Bytes)| {
        let start = u32::from(*number).checked_mul(unit);
        let rest = start.and_then(|start| total.checked_sub(start));
        rest.is_some_and(|rest| usize::try_from(rest.min(unit)) == Ok(chunk.len()))
    };
    chunks.iter().all(fits).then_some(unit)
}

/// The four bytes at `at` as a number, low byte first.
fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}
