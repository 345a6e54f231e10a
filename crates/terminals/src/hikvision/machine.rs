//! What every device has, dialled or posting: its names, its clock, its log and its truth.
//!
//! A row enters the log under one lock, with the time of the device's clock, and its ledger
//! line goes out right after; a server may see a row some milliseconds before the line is
//! durable, never without one. Comparisons are therefore made when the devices have stopped.
//! Counters here say what exists and what was handed out; they prove nothing about a server.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::{Millis, Text, Zone};
use jiff::Timestamp;
use tokio::sync::watch;

use super::delivery::Delivery;
use super::options::LogOptions;
use super::ring::{Page, Query, Ring, Row, granted, person, status};
use crate::clock;
use crate::ledger::{HikvisionEntry, Ledger};
use crate::random::draw;

/// Ledger lines of a history that are written together.
const LINES_AT_ONCE: u64 = 2_000;
/// Minors of major 5 for "door opened" and "door locked".
const DOOR: [u16; 2] = [21, 22];

/// Rows that exist, were handed out and were forgotten, of many devices together.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) made: AtomicU64,
    pub(crate) served: AtomicU64,
    pub(crate) forgotten: AtomicU64,
}

/// A row of the log with the place it has there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) epoch: u32,
    pub(super) serial: u64,
    pub(super) row: Row,
}

/// A row that is about to be made.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) major: u16,
    pub(super) minor: u16,
    pub(super) person: Text,
    pub(super) status: u8,
}

impl Draft {
    /// A row in which nobody is named.
    pub(super) fn plain(major: u16, minor: u16) -> Self {
        Self {
            major,
            minor,
            person: Text::default(),
            status: 0,
        }
    }
}

/// The inside of a device.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) serial: String,
    pub(super) mac: String,
    pub(super) options: LogOptions,
    zone: Zone,
    seed: u64,
    shift_s: AtomicI64,
    log: Mutex<Log>,
    closed: AtomicBool,
    changes: watch::Sender<u64>,
    truth: Option<Ledger>,
    totals: Arc<Totals>,
}

#[derive(Debug)]
struct Log {
    ring: Ring,
    /// The serial up to which rows were uploaded, and the one uploaded last.
    uploaded: u64,
    front: u64,
    /// What has reached whoever asks.
    delivery: Delivery,
    turns: u64,
}

impl Machine {
    /// A device whose clock shows the real time plus `shift_s`. With a `truth`, every row
    /// that is made goes into that ledger.
    pub(super) fn new(
        serial: &str,
        zone: &str,
        seed: u64,
        options: LogOptions,
        truth: Option<Ledger>,
        shared: (Arc<Totals>, i64),
    ) -> io::Result<Self> {
        let (totals, shift_s) = shared;
        let zone = Zone::named(zone).map_err(io::Error::other)?;
        let ring = Ring::new(&options, seed, Timestamp::now().as_second() + shift_s);
        // What stood there before is not new: it counts only when the server owes it.
        let served = if options.history_owed {
            ring.oldest() - 1
        } else {
            ring.newest()
        };
        totals.made.fetch_add(ring.newest() - served, Relaxed);
        let mac = draw(seed, 403, 0).to_be_bytes();
        Ok(Self {
            serial: serial.to_owned(),
            mac: format!("00:00:5e:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2]),
            zone,
            seed,
            shift_s: AtomicI64::new(shift_s),
            log: Mutex::new(Log {
                uploaded: ring.oldest() - 1,
                front: 0,
                delivery: Delivery::new(served),
                turns: 0,
                ring,
            }),
            closed: AtomicBool::new(false),
            changes: watch::Sender::new(0),
            truth,
            totals,
            options,
        })
    }

    /// Rises with every change of the log.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The device's clock, UTC seconds.
    pub(super) fn now_s(&self) -> i64 {
        Timestamp::now().as_second() + self.shift_s.load(Relaxed)
    }

    /// Moves the device's clock.
    pub(super) fn shift_clock(&self, seconds: i64) {
        self.shift_s.fetch_add(seconds, Relaxed);
    }

    /// The offset of the device's zone at that second, in seconds.
    pub(super) fn offset_s(&self, at_s: i64) -> i32 {
        self.zone
            .offset_seconds_at(Millis(at_s.saturating_mul(1_000)))
    }

    /// The wall time `YYYY-MM-DD HH:MM:SS`.
    pub(super) fn wall(&self, at_s: i64) -> String {
        let wall = at_s.saturating_add(i64::from(self.offset_s(at_s)));
        clock::wall_time(wall)
            .map_or_else(|| "1970-01-01 00:00:00".to_owned(), |time| time.to_string())
    }

    /// The same with a `T` and the offset, as most devices write it.
    pub(super) fn stamp(&self, at_s: i64) -> String {
        let minutes = self.offset_s(at_s) / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        let minutes = minutes.unsigned_abs();
        let wall = self.wall(at_s).replacen(' ', "T", 1);
        format!("{wall}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }

    /// Writes the ledger lines of the history, where the server owes it.
    pub(super) async fn own_up(&self) -> io::Result<()> {
        if !self.options.history_owed {
            return Ok(());
        }
        let (oldest, newest) = self.bounds();
        let mut serial = oldest;
        while serial <= newest {
            let last = newest.min(serial + LINES_AT_ONCE - 1);
            let rows: Vec<Placed> = (serial..=last).filter_map(|n| self.placed(n)).collect();
            self.truthful(&rows).await?;
            serial = last + 1;
        }
        Ok(())
    }

    /// Makes rows; returns when their ledger lines are durable, with the serial of the first.
    pub(super) async fn make(&self, drafts: Vec<Draft>) -> io::Result<u64> {
        let rows = self.enter(drafts);
        self.truthful(&rows).await?;
        Ok(rows.first().map_or(0, |placed| placed.serial))
    }

    /// Somebody is let in: the row of the person, and those of the door.
    pub(super) async fn punch(&self, who: &str, minor: u16, status: u8) -> io::Result<u64> {
        let mut drafts = vec![Draft {
            major: 5,
            minor,
            person: Text::from(who),
            status,
        }];
        if self.options.door_rows {
            drafts.extend(DOOR.map(|minor| Draft::plain(5, minor)));
        }
        self.make(drafts).await
    }

    /// The next person in turn is let in. Everybody comes once before anybody comes twice.
    pub(super) async fn next_punch(&self) -> io::Result<u64> {
        let turn = {
            let mut log = self.log();
            log.turns += 1;
            log.turns
        };
        let who = person(1 + turn % self.options.people);
        self.punch(&who, granted(self.seed, turn), status(self.seed, turn))
            .await
    }

    fn enter(&self, drafts: Vec<Draft>) -> Vec<Placed> {
        let at_s = self.now_s();
        let mut log = self.log();
        let place = |draft: Draft| {
            let row = Row {
                at_s,
                major: draft.major,
                minor: draft.minor,
                person: draft.person,
                status: draft.status,
            };
            let serial = log.ring.push(row.clone());
            Placed {
                epoch: log.ring.epoch(),
                serial,
                row,
            }
        };
        let rows: Vec<Placed> = drafts.into_iter().map(place).collect();
        let gone = log.ring.oldest() - 1;
        let lost = log.delivery.dropped(gone);
        log.uploaded = log.uploaded.max(log.ring.oldest() - 1);
        drop(log);
        let made = u64::try_from(rows.len()).unwrap_or(0);
        self.totals.made.fetch_add(made, Relaxed);
        self.totals.forgotten.fetch_add(lost, Relaxed);
        self.changes.send_modify(|count| *count += 1);
        rows
    }

    async fn truthful(&self, rows: &[Placed]) -> io::Result<()> {
        match &self.truth {
            Some(ledger) => ledger.append(self.lines(rows)?).await,
            None => Ok(()),
        }
    }

    /// The ledger lines of these rows.
    pub(super) fn lines(&self, rows: &[Placed]) -> io::Result<Vec<u8>> {
        let mut lines = Vec::with_capacity(rows.len() * 200);
        for placed in rows {
            let row = &placed.row;
            HikvisionEntry {
                vendor: "hikvision",
                serial: &self.serial,
                pin: &row.person,
                time: &self.wall(row.at_s),
                status: u16::from(row.status),
                verify: 0,
                line: "",
                epoch: placed.epoch,
                serial_no: placed.serial,
                major: row.major,
                minor: row.minor,
                stamp: &self.stamp(row.at_s),
            }
            .write(&mut lines)?;
        }
        Ok(lines)
    }

    /// Oldest and newest serial.
    pub(super) fn bounds(&self) -> (u64, u64) {
        let log = self.log();
        (log.ring.oldest(), log.ring.newest())
    }

    /// Rows held, and the epoch.
    pub(super) fn held(&self) -> (u64, u32) {
        let log = self.log();
        (log.ring.held(), log.ring.epoch())
    }

    /// The row with this serial, where the log still holds it.
    pub(super) fn placed(&self, serial: u64) -> Option<Placed> {
        let log = self.log();
        log.ring.get(serial).map(|row| Placed {
            epoch: log.ring.epoch(),
            serial,
            row,
        })
    }

    /// The row that would be uploaded next.
    pub(super) fn next_upload(&self) -> Option<Placed> {
        let uploaded = self.log().uploaded;
        self.placed(uploaded + 1)
    }

    /// The serial up to which rows were uploaded.
    pub(super) fn uploaded(&self) -> u64 {
        self.log().uploaded
    }

    /// The serial that a row uploaded now names as the one before it.
    pub(super) fn front(&self) -> u64 {
        self.log().front
    }

    /// Moves the upload on beyond this row. One of an earlier epoch moves nothing.
    pub(super) fn mark_uploaded(&self, placed: &Placed, told: bool) {
        let mut log = self.log();
        if log.ring.epoch() == placed.epoch {
            log.uploaded = log.uploaded.max(placed.serial);
            if told {
                log.front = placed.serial;
            }
        }
    }

    /// Counts a row as lost on purpose.
    pub(super) fn count_lost(&self, placed: &Placed) {
        let mut log = self.log();
        if log.ring.epoch() == placed.epoch && log.delivery.lost(placed.serial) {
            drop(log);
            self.totals.forgotten.fetch_add(1, Relaxed);
        }
    }

    /// Counts a row as handed out, and every one before it.
    pub(super) fn count_served(&self, placed: &Placed) {
        let mut log = self.log();
        if log.ring.epoch() == placed.epoch {
            let more = log.delivery.up_to(placed.serial);
            drop(log);
            self.totals.served.fetch_add(more, Relaxed);
        }
    }

    /// Puts the upload back by so many rows, as far as they are held.
    pub(super) fn rewind(&self, rows: u64) {
        let mut log = self.log();
        let oldest = log.ring.oldest() - 1;
        log.uploaded = log.uploaded.saturating_sub(rows).max(oldest);
    }

    /// Counts everything up to now as uploaded.
    pub(super) fn skip_to_newest(&self) {
        let mut log = self.log();
        log.uploaded = log.ring.newest();
    }

    /// Answers a search, and counts what it hands out.
    pub(super) fn search(&self, query: &Query) -> Page {
        let mut log = self.log();
        let page = log.ring.page(query);
        let serials = page.rows.iter().map(|(serial, _)| *serial);
        let more = log.delivery.handed(serials);
        drop(log);
        self.totals.served.fetch_add(more, Relaxed);
        page
    }

    /// A row went out on a stream, of which nobody says whether it arrived.
    pub(super) fn mark_streamed(&self, placed: &Placed) {
        let mut log = self.log();
        if log.ring.epoch() == placed.epoch {
            log.delivery.streamed(placed.serial);
        }
    }

    /// Rows that were made and have not reached anybody yet.
    pub(super) fn unserved(&self) -> u64 {
        let log = self.log();
        log.delivery.missing(log.ring.newest())
    }

    /// From now on logins and armings leave no rows, so that what is owed comes to an end.
    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    /// Whether logins and armings leave no rows any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Empties the log: serials begin at 1, in a new epoch.
    pub(super) fn reset(&self) {
        let mut log = self.log();
        let lost = log.delivery.missing(log.ring.newest());
        log.ring.reset();
        (log.uploaded, log.front, log.delivery) = (0, 0, Delivery::new(0));
        drop(log);
        self.totals.forgotten.fetch_add(lost, Relaxed);
        self.changes.send_modify(|count| *count += 1);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
