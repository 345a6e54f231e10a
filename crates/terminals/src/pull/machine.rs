//! What a terminal on port 4370 has inside: people, a log that runs over, a clock, and what it
//! owes.
//!
//! A record's ledger line is durable before the record can be read or announced. So a server
//! can never have a record that the ledger lacks, and whatever the ledger has was there to read.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::{WallTime, Zone};
use tokio::sync::broadcast;

use super::options::{Events, PullOptions, RecordSize};
use crate::clock;
use crate::ledger::{Entry, Ledger};
use crate::random::{draw, hits};

/// Ledger lines that are written together.
const LINES: usize = 2_000;
/// Events that a client may lag behind.
const EVENTS: usize = 4_096;
/// Verify methods as they are coded on this protocol.
const VERIFY: [u8; 6] = [1, 1, 0, 2, 15, 4];
/// What a push of the same firmware calls them is this much higher.
const PUSHED_VERIFY: u16 = 20;
const DRAW_VERIFY: u64 = 441;
const DRAW_STATE: u64 = 442;
const DRAW_QUIET: u64 = 443;

/// One person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) uid: u16,
    pub(super) pin: String,
}

/// One record of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// The place of the person in the list.
    pub(super) person: usize,
    /// Wall seconds.
    pub(super) at: i64,
    pub(super) state: u8,
    pub(super) verify: u8,
    /// How many records were made before it.
    pub(super) number: u64,
}

/// How many records exist, were read and were lost, of many terminals together.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) made: AtomicU64,
    pub(crate) served: AtomicU64,
    pub(crate) forgotten: AtomicU64,
}

#[derive(Debug)]
struct Log {
    records: VecDeque<Record>,
    people: Vec<Person>,
    made: u64,
    /// The number of the last record that was handed out, plus one.
    served: u64,
    turn: u64,
}

/// The inside of a terminal.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) options: PullOptions,
    serial: Mutex<String>,
    zone: Zone,
    ahead_s: AtomicI64,
    log: Mutex<Log>,
    ledger: Option<Ledger>,
    totals: Arc<Totals>,
    /// Punches, for whoever asked for events.
    pub(super) events: broadcast::Sender<Record>,
}

impl Machine {
    pub(super) fn new(
        options: PullOptions,
        ledger: Option<Ledger>,
        (totals, shift_s): (Arc<Totals>, i64),
    ) -> io::Result<Self> {
        let zone = Zone::named(&options.zone).map_err(io::Error::other)?;
        let people = (1..=options.people).map(|n| person(n, &options)).collect();
        let (history, spacing) = (options.history, i64::from(options.history_spacing_s));
        let machine = Self {
            serial: Mutex::new(options.serial.clone()),
            ahead_s: AtomicI64::new(options.ahead_s + shift_s),
            log: Mutex::new(Log {
                records: VecDeque::new(),
                people,
                made: 0,
                served: 0,
                turn: 0,
            }),
            events: broadcast::channel(EVENTS).0,
            zone,
            ledger,
            totals,
            options,
        };
        let now = machine.wall_now();
        let mut log = machine.log();
        for back in (1..=i64::from(history)).rev() {
            machine.append(&mut log, now - back * spacing);
        }
        drop(log);
        Ok(machine)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    /// The serial that it names.
    pub(super) fn serial(&self) -> String {
        lock(&self.serial).clone()
    }

    pub(super) fn rename(&self, serial: &str) {
        serial.clone_into(&mut lock(&self.serial));
    }

    /// What its clock shows, in wall seconds.
    pub(super) fn wall_now(&self) -> i64 {
        clock::wall_now(&self.zone) + self.ahead_s.load(Relaxed)
    }

    pub(super) fn shift_clock(&self, seconds: i64) {
        self.ahead_s.fetch_add(seconds, Relaxed);
    }

    /// Writes what it holds already into the ledger.
    pub(super) async fn own_up(&self) -> io::Result<()> {
        let held: Vec<Record> = self.log().records.iter().copied().collect();
        for some in held.chunks(LINES) {
            self.owe(some).await?;
        }
        Ok(())
    }

    /// These people punch now: those of the places given, or whoever is next.
    pub(super) async fn punch(&self, places: &[Option<usize>]) -> io::Result<()> {
        let at = self.wall_now();
        let mut made: Vec<Record> = {
            let mut log = self.log();
            let people = log.people.len();
            places
                .iter()
                .map(|place| self.next(&mut log, *place, people, at))
                .collect()
        };
        self.owe(&made).await?;
        for record in made.drain(..) {
            self.keep(record);
            if !hits(
                self.options.event_loss,
                draw(self.options.seed, DRAW_QUIET, record.number),
            ) {
                // Nobody listens: then it stands in the log only.
                self.events.send(record).ok();
            }
        }
        Ok(())
    }

    fn next(&self, log: &mut Log, place: Option<usize>, people: usize, at: i64) -> Record {
        let turn = usize::try_from(log.turn).unwrap_or(0);
        log.turn += u64::from(place.is_none());
        let record = self.record(log.made, place.unwrap_or(turn % people), at);
        log.made += 1;
        record
    }

    fn record(&self, number: u64, person: usize, at: i64) -> Record {
        let pick = |purpose: u64, of: u64| draw(self.options.seed, purpose, number) % of;
        let verify = usize::try_from(pick(DRAW_VERIFY, 6)).unwrap_or(0);
        let verify = VERIFY.get(verify).copied().unwrap_or(1);
        Record {
            person,
            at,
            state: u8::try_from(pick(DRAW_STATE, 6)).unwrap_or(0),
            verify: match self.options.record {
                // Two bits are all it has.
                RecordSize::EightFlags => verify & 3,
                _ => verify,
            },
            number,
        }
    }

    fn append(&self, log: &mut Log, at: i64) {
        let people = log.people.len();
        let record = self.next(log, None, people, at);
        log.records.push_back(record);
        self.totals.made.fetch_add(1, Relaxed);
    }

    fn keep(&self, record: Record) {
        let mut log = self.log();
        log.records.push_back(record);
        self.totals.made.fetch_add(1, Relaxed);
        let capacity = usize::try_from(self.options.capacity).unwrap_or(usize::MAX);
        while log.records.len() > capacity {
            let gone = log.records.pop_front().map_or(0, |record| record.number);
            if gone >= log.served {
                self.totals.forgotten.fetch_add(1, Relaxed);
            }
        }
    }

    async fn owe(&self, records: &[Record]) -> io::Result<()> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let mut lines = Vec::new();
        for record in records {
            let (pin, time) = (self.pin(record), self.time(record));
            let entry = Entry {
                vendor: "zkteco",
                serial: &self.options.serial,
                pin: &pin,
                time: &time,
                status: u16::from(record.state),
                verify: u16::from(record.verify),
                line: "",
            };
            entry.write(&mut lines)?;
        }
        ledger.append(lines).await
    }

    /// The PIN as its owner knows it.
    pub(super) fn pin(&self, record: &Record) -> String {
        let log = self.log();
        let person = log.people.get(record.person);
        person.map(|person| person.pin.clone()).unwrap_or_default()
    }

    fn time(&self, record: &Record) -> String {
        wall(record.at)
            .map(|time| time.to_string())
            .unwrap_or_default()
    }

    /// The lines that the same firmware would push, the newest `count` of them.
    pub(super) fn pushed(&self, count: usize) -> Vec<String> {
        let records: Vec<Record> = {
            let log = self.log();
            let from = log.records.len().saturating_sub(count);
            log.records.iter().skip(from).copied().collect()
        };
        let line = |record: &Record| {
            let verify = u16::from(record.verify) + PUSHED_VERIFY;
            let (pin, time) = (self.pin(record), self.time(record));
            format!("{pin}\t{time}\t{}\t{verify}\t7\t0\t0", record.state)
        };
        records.iter().map(line).collect()
    }

    /// Records held, and the number of the newest plus one.
    pub(super) fn held(&self) -> (usize, u64) {
        let log = self.log();
        (log.records.len(), log.made)
    }

    pub(super) fn people(&self) -> usize {
        self.log().people.len()
    }

    /// The place of a new person with that PIN.
    pub(super) fn enrol(&self, pin: &str) -> usize {
        let mut log = self.log();
        let place = log.people.len();
        let uid = u16::try_from(place + 1).unwrap_or(u16::MAX);
        log.people.push(Person {
            uid,
            pin: pin.to_owned(),
        });
        place
    }

    /// Empties the log.
    pub(super) fn clear_log(&self) {
        let mut log = self.log();
        let unread = log
            .records
            .iter()
            .filter(|r| r.number >= log.served)
            .count();
        self.totals
            .forgotten
            .fetch_add(u64::try_from(unread).unwrap_or(0), Relaxed);
        log.records.clear();
    }

    /// Records that nobody has read yet.
    pub(super) fn unserved(&self) -> u64 {
        let log = self.log();
        let unread = log
            .records
            .iter()
            .filter(|record| record.number >= log.served);
        u64::try_from(unread.count()).unwrap_or(u64::MAX)
    }

    /// Everything up to this number was handed out.
    pub(super) fn served(&self, up_to: u64) {
        let mut log = self.log();
        let fresh = up_to.saturating_sub(log.served);
        log.served = log.served.max(up_to);
        self.totals.served.fetch_add(fresh, Relaxed);
    }

    /// The log as a table: its length, then its records; and the number after its last.
    pub(super) fn log_table(&self) -> (Vec<u8>, u64) {
        let log = self.log();
        let mut table = Vec::with_capacity(4 + log.records.len() * self.options.record.bytes());
        let bytes = log.records.len() * self.options.record.bytes();
        table.extend(u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes());
        for record in &log.records {
            if let Some(person) = log.people.get(record.person) {
                self.lay_out(record, person, &mut table);
            }
        }
        (table, log.made)
    }

    /// The user list as a table.
    pub(super) fn user_table(&self) -> Vec<u8> {
        let log = self.log();
        let size = if self.options.small_users { 28 } else { 72 };
        let mut rows = Vec::new();
        for person in &log.people {
            let mut row = vec![0; size];
            put(&mut row, 0, &person.uid.to_le_bytes());
            put(&mut row, 3, b"SECRT");
            if self.options.small_users {
                put(&mut row, 8, b"Name");
                put(&mut row, 24, &number(&person.pin).to_le_bytes());
            } else {
                put(&mut row, 11, b"Somebody's name");
                // What stood there before somebody with a shorter name.
                put(&mut row, 27, &[0xc6, 0x9a, 0x80]);
                put(&mut row, 48, person.pin.as_bytes());
            }
            rows.extend(row);
        }
        let bytes = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        [&bytes.to_le_bytes()[..], &rows].concat()
    }

    fn told_pin(&self, person: &Person) -> String {
        let stripped = person.pin.trim_start_matches('0');
        if self.options.strip_zeros && !stripped.is_empty() {
            stripped.to_owned()
        } else {
            person.pin.clone()
        }
    }

    fn lay_out(&self, record: &Record, person: &Person, table: &mut Vec<u8>) {
        let time = packed(record.at).to_le_bytes();
        let mut row = vec![0; self.options.record.bytes()];
        let uid = person.uid.to_le_bytes();
        match self.options.record {
            RecordSize::Eight => {
                put(&mut row, 0, &uid);
                put(&mut row, 2, &[record.verify]);
                put(&mut row, 3, &time);
                put(&mut row, 7, &[record.state]);
            }
            RecordSize::EightFlags => {
                put(&mut row, 0, &uid);
                put(&mut row, 2, &[0x20 | record.verify << 3 | record.state & 7]);
                put(&mut row, 4, &time);
            }
            RecordSize::Sixteen => {
                put(&mut row, 0, &number(&person.pin).to_le_bytes());
                put(&mut row, 4, &time);
                put(&mut row, 8, &[record.state, record.verify]);
            }
            RecordSize::Forty | RecordSize::FortyNine => {
                put(&mut row, 0, &uid);
                put(&mut row, 2, self.told_pin(person).as_bytes());
                put(&mut row, 26, &[record.verify]);
                put(&mut row, 27, &time);
                put(&mut row, 31, &[record.state]);
                put(&mut row, 36, &[0xff]);
                put(&mut row, 40, b"\xff255");
            }
        }
        table.extend(row);
    }

    /// A punch as an event; `None` when events are not sent.
    pub(super) fn event(&self, record: &Record) -> Option<Vec<u8>> {
        let Events::Bytes(length) = self.options.events else {
            return None;
        };
        let log = self.log();
        let person = log.people.get(record.person)?;
        let codes = [record.verify, record.state];
        let mut data = match length {
            10 | 14 => [&person.uid.to_le_bytes()[..], &codes].concat(),
            12 => [&number(&person.pin).to_le_bytes()[..], &codes].concat(),
            _ => {
                let mut text = vec![0; 24];
                put(&mut text, 0, self.told_pin(person).as_bytes());
                [&text[..], &codes].concat()
            }
        };
        data.extend(parts(record.at));
        // What follows is not known to anybody: poison, so that nobody reads a meaning into it.
        data.resize(usize::from(length), 0xa5);
        Some(data)
    }
}

/// Person number `n`: plain numbers, numbers with leading zeros, and letters, as far as the
/// records of the terminal can say them.
fn person(n: u16, options: &PullOptions) -> Person {
    let text = matches!(options.record, RecordSize::Forty | RecordSize::FortyNine);
    let numbers = options.small_users || options.events == Events::Bytes(12);
    let pin = match n % 10 {
        7 if !options.small_users => format!("{n:06}"),
        4 if text && !numbers => format!("E{n}"),
        _ => n.to_string(),
    };
    Person { uid: n, pin }
}

fn number(pin: &str) -> u32 {
    pin.parse().unwrap_or(0)
}

fn put(row: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in row.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

fn wall(seconds: i64) -> Option<WallTime> {
    clock::wall_time(seconds)
}

/// Wall seconds as the log and the clock count them.
pub(super) fn packed(seconds: i64) -> u32 {
    u32::try_from(clock::packed(seconds)).unwrap_or(0)
}

/// Wall seconds as events have them: six bytes, years from 2000.
fn parts(seconds: i64) -> Vec<u8> {
    let text = wall(seconds)
        .map(|time| time.to_string())
        .unwrap_or_default();
    let digits = |range: std::ops::Range<usize>| text.get(range).and_then(|s| s.parse().ok());
    [2..4, 5..7, 8..10, 11..13, 14..16, 17..19]
        .into_iter()
        .map(|range| digits(range).unwrap_or(0))
        .collect()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
