//! The ledger: what was acknowledged to the terminals, on disk, beyond doubt.
//!
//! Format: one JSON object on a line, ended by LF, only ever appended:
//! `{"vendor":"zkteco","serial":"SIM0000001","pin":"17","time":"2026-11-21 09:00:03",
//! "status":0,"verify":1,"line":"17\t2026-11-21 09:00:03\t0\t1\t\t0\t0"}`.
//!
//! A Hikvision record has the same fields (no `line`, and `pin` empty where the row names
//! nobody) and more: [`HikvisionRecord`]. For a device that posts it stands there once its post
//! was answered 200. A device that is dialled is never told what it may forget: everything it
//! makes is owed, and stands there from the moment it exists.
//!
//! A terminal on port 4370 is never told either: its record stands there before it can be read.
//!
//! Invariants, for terminals that push: a line stands in the file only if a server's reply made the terminal forget that
//! record; a terminal forgets it only after the line is durable (`fdatasync`); a record stands
//! there once, however often it is re-sent afterwards. Twins are two records and make two
//! equal lines. After a kill the last line may be half written: it was never durable, so
//! reading ignores it and opening for append cuts it off. Whatever a checker compares with an
//! event store comes from this file, never from a server's own counters.
//!
//! One thread writes; many terminals share each sync. After a failed write the ledger takes
//! nothing more, because a file in an unknown state proves nothing.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// Appends that may wait for the writing thread before a terminal has to wait itself.
const WAITING: usize = 1024;

/// Longest line looked for when a half-written end is cut off; real lines are under 1 KiB.
const LONGEST_LINE: u64 = 64 * 1024;

/// One acknowledged record, as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRecord {
    /// The terminal's family: `zkteco`, `zkteco-access`, `hikvision`.
    pub vendor: String,
    /// The serial that the terminal named itself by. Two terminals can share one.
    pub serial: String,
    /// The person, as sent: leading zeros and letter case count.
    pub pin: String,
    /// The terminal's wall time, `YYYY-MM-DD HH:MM:SS`.
    pub time: String,
    /// Punch state, 0 to 255; 255 is "not defined".
    pub status: u16,
    /// Verify mode, the terminal's own number.
    pub verify: u16,
    /// The record's line without its line end.
    pub line: String,
}

/// A row of a Hikvision device, as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HikvisionRecord {
    /// `hikvision`.
    pub vendor: String,
    /// The device's whole serial.
    pub serial: String,
    /// The employee number; empty where the row names nobody.
    pub pin: String,
    /// The device's wall time, `YYYY-MM-DD HH:MM:SS`.
    pub time: String,
    /// The attendance status, 0 (undefined) to 6.
    pub status: u16,
    /// How often the device had been reset when it made the row.
    pub epoch: u32,
    /// The row's serial in the log; 0 where the device told none.
    pub serial_no: u64,
    /// The major code; 0 for an event of a camera.
    pub major: u16,
    /// The minor code; 0 for an event of a camera.
    pub minor: u16,
    /// The time with its offset, as it stands in most answers: `2026-11-21T09:00:03-06:00`.
    pub stamp: String,
}

/// The same on its way into the ledger.
#[derive(Serialize)]
pub(crate) struct HikvisionEntry<'a> {
    pub(crate) vendor: &'static str,
    pub(crate) serial: &'a str,
    pub(crate) pin: &'a str,
    pub(crate) time: &'a str,
    pub(crate) status: u16,
    pub(crate) verify: u16,
    pub(crate) line: &'static str,
    pub(crate) epoch: u32,
    pub(crate) serial_no: u64,
    pub(crate) major: u16,
    pub(crate) minor: u16,
    pub(crate) stamp: &'a str,
}

impl HikvisionEntry<'_> {
    /// Adds this entry to lines that will be appended together.
    pub(crate) fn write(&self, lines: &mut Vec<u8>) -> io::Result<()> {
        serde_json::to_writer(&mut *lines, self)?;
        lines.push(b'\n');
        Ok(())
    }
}

/// What stands as the vendor of an event of a terminal in access-control mode.
const ACCESS: &str = "zkteco-access";

/// An event of a ZKTeco terminal in access-control mode, as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccessRecord {
    /// The serial that the terminal named itself by.
    pub serial: String,
    /// The person, as sent; empty where the event names nobody.
    pub pin: String,
    /// The terminal's wall time, `YYYY-MM-DD HH:MM:SS`.
    pub time: String,
    /// The event's number in the terminal's log.
    pub index: u64,
    /// The event code.
    pub event: u16,
}

/// The same on its way into the ledger.
#[derive(Serialize)]
pub(crate) struct AccessEntry<'a> {
    pub(crate) vendor: &'static str,
    pub(crate) serial: &'a str,
    pub(crate) pin: &'a str,
    pub(crate) time: &'a str,
    pub(crate) status: u16,
    pub(crate) verify: u16,
    pub(crate) line: &'static str,
    pub(crate) index: u64,
    pub(crate) event: u16,
}

impl AccessEntry<'_> {
    /// Adds this entry to lines that will be appended together.
    pub(crate) fn write(&self, lines: &mut Vec<u8>) -> io::Result<()> {
        serde_json::to_writer(&mut *lines, self)?;
        lines.push(b'\n');
        Ok(())
    }
}

/// A record on its way into the ledger, borrowed from the request that carried it.
#[derive(Serialize)]
pub(crate) struct Entry<'a> {
    pub(crate) vendor: &'static str,
    pub(crate) serial: &'a str,
    pub(crate) pin: &'a str,
    pub(crate) time: &'a str,
    pub(crate) status: u16,
    pub(crate) verify: u16,
    pub(crate) line: &'a str,
}

impl Entry<'_> {
    /// Adds this entry to lines that will be appended together.
    pub(crate) fn write(&self, lines: &mut Vec<u8>) -> io::Result<()> {
        serde_json::to_writer(&mut *lines, self)?;
        lines.push(b'\n');
        Ok(())
    }
}

/// The writing end of a ledger file. Clones write into the same file through the same thread.
#[derive(Debug, Clone)]
pub struct Ledger {
    queue: mpsc::Sender<Append>,
}

#[derive(Debug)]
struct Append {
    lines: Vec<u8>,
    durable: oneshot::Sender<io::Result<()>>,
}

impl Ledger {
    /// Opens the file for appending, creating it where needed, cuts off a half-written last
    /// line, and starts the writing thread.
    ///
    /// # Errors
    /// The file cannot be opened or cut, or no thread can be started.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        cut_half_line(&mut file)?;
        let (queue, appends) = mpsc::channel(WAITING);
        thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || write_all(&mut file, appends))?;
        Ok(Self { queue })
    }

    /// Appends whole lines and returns when they are durable.
    pub(crate) async fn append(&self, lines: Vec<u8>) -> io::Result<()> {
        let (durable, answer) = oneshot::channel();
        let gone = || io::Error::other("the ledger's thread has ended");
        self.queue
            .send(Append { lines, durable })
            .await
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Reads a ledger file whole. A last line without its LF is ignored: it was never durable.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not a ledger record (told with its number).
    pub fn read(path: &Path) -> io::Result<Vec<LedgerRecord>> {
        each_line(path, |line| serde_json::from_slice(line).map(Some))
    }

    /// Reads the Hikvision records of a ledger file; those of other families are passed over.
    ///
    /// # Errors
    /// As [`Ledger::read`].
    pub fn read_hikvision(path: &Path) -> io::Result<Vec<HikvisionRecord>> {
        Self::read_family(path, "hikvision")
    }

    /// Reads the events of terminals in access-control mode; others are passed over.
    ///
    /// # Errors
    /// As [`Ledger::read`].
    pub fn read_access(path: &Path) -> io::Result<Vec<AccessRecord>> {
        Self::read_family(path, ACCESS)
    }

    fn read_family<R: DeserializeOwned>(path: &Path, vendor: &str) -> io::Result<Vec<R>> {
        #[derive(Deserialize)]
        struct Family {
            vendor: String,
        }
        each_line(path, |line| {
            let family: Family = serde_json::from_slice(line)?;
            if family.vendor == vendor {
                serde_json::from_slice(line).map(Some)
            } else {
                Ok(None)
            }
        })
    }

    /// The punches in these records: distinct (serial, PIN, wall time). Twins and records of
    /// the same person in the same second are one punch; a record that names nobody is none, and
    /// neither is an event of access control.
    pub fn distinct(records: &[LedgerRecord]) -> BTreeSet<(&str, &str, &str)> {
        records
            .iter()
            .filter(|r| !r.pin.is_empty() && r.vendor != ACCESS)
            .map(|r| (r.serial.as_str(), r.pin.as_str(), r.time.as_str()))
            .collect()
    }
}

/// Reads a ledger file line by line.
fn each_line<R>(
    path: &Path,
    read: impl Fn(&[u8]) -> serde_json::Result<Option<R>>,
) -> io::Result<Vec<R>> {
    let mut file = BufReader::new(File::open(path)?);
    let (mut records, mut line, mut number) = (Vec::new(), Vec::new(), 0_u64);
    loop {
        line.clear();
        file.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok(records);
        }
        number += 1;
        let record = read(&line).map_err(|why| {
            let text = format!("{}:{number}: {why}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        records.extend(record);
    }
}

/// The writing thread: everything that waits goes out with one sync.
fn write_all(file: &mut File, mut appends: mpsc::Receiver<Append>) {
    let mut bytes = Vec::new();
    let mut waiting = Vec::new();
    let mut broken: Option<io::ErrorKind> = None;
    while let Some(first) = appends.blocking_recv() {
        let mut next = Some(first);
        while let Some(append) = next {
            bytes.extend_from_slice(&append.lines);
            waiting.push(append.durable);
            next = if waiting.len() < WAITING {
                appends.try_recv().ok()
            } else {
                None
            };
        }
        if broken.is_none() {
            let written = file.write_all(&bytes).and_then(|()| file.sync_data());
            broken = written.err().map(|why| why.kind());
        }
        bytes.clear();
        for durable in waiting.drain(..) {
            // A terminal that was stopped meanwhile no longer listens; its line stays true.
            durable
                .send(broken.map_or(Ok(()), |kind| Err(kind.into())))
                .ok();
        }
    }
}

/// Leaves the file ending in LF and positioned at its end.
fn cut_half_line(file: &mut File) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(LONGEST_LINE);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(length - from).read_to_end(&mut tail)?;
    let whole = tail
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    let half = u64::try_from(tail.len() - whole).unwrap_or(LONGEST_LINE);
    if half > 0 {
        file.set_len(length - half)?;
    }
    file.seek(SeekFrom::End(0)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(numbers: std::ops::Range<u32>) -> Vec<u8> {
        let mut out = Vec::new();
        for n in numbers {
            let entry = Entry {
                vendor: "zkteco",
                serial: "SIM0000001",
                pin: &n.to_string(),
                time: "2026-11-21 09:00:00",
                status: 0,
                verify: 1,
                line: "a\tb",
            };
            entry.write(&mut out).unwrap();
        }
        out
    }

    #[tokio::test]
    async fn what_was_appended_is_read_back_in_order_and_distinct_folds_equal_punches() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("ledger");
        let ledger = Ledger::create(&path).unwrap();
        ledger.append(lines(0..3)).await.unwrap();
        ledger.append(lines(2..4)).await.unwrap();
        let records = Ledger::read(&path).unwrap();
        let pins: Vec<&str> = records.iter().map(|r| r.pin.as_str()).collect();
        assert_eq!(pins, ["0", "1", "2", "2", "3"]);
        assert_eq!(records[0].line, "a\tb");
        assert_eq!(Ledger::distinct(&records).len(), 4);
    }

    #[tokio::test]
    async fn a_half_written_last_line_is_ignored_and_then_cut_off() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("ledger");
        let mut torn = lines(0..2);
        torn.truncate(torn.len() - 5);
        std::fs::write(&path, &torn).unwrap();
        assert_eq!(Ledger::read(&path).unwrap().len(), 1);

        let ledger = Ledger::create(&path).unwrap();
        ledger.append(lines(7..8)).await.unwrap();
        let pins: Vec<String> = Ledger::read(&path)
            .unwrap()
            .into_iter()
            .map(|r| r.pin)
            .collect();
        assert_eq!(pins, ["0", "7"]);
    }

    #[tokio::test]
    async fn records_of_both_families_live_in_one_ledger_and_a_door_is_no_punch() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("ledger");
        let mut bytes = lines(0..1);
        for (serial_no, pin) in [(7, "0042"), (8, "")] {
            let entry = HikvisionEntry {
                vendor: "hikvision",
                serial: "HIK0000001",
                pin,
                time: "2026-11-21 09:00:03",
                status: 1,
                verify: 0,
                line: "",
                epoch: 0,
                serial_no,
                major: 5,
                minor: 75,
                stamp: "2026-11-21T09:00:03-06:00",
            };
            entry.write(&mut bytes).unwrap();
        }
        let ledger = Ledger::create(&path).unwrap();
        ledger.append(bytes).await.unwrap();
        let all = Ledger::read(&path).unwrap();
        assert_eq!((all.len(), Ledger::distinct(&all).len()), (3, 2));
        let rows = Ledger::read_hikvision(&path).unwrap();
        assert_eq!(rows.iter().map(|r| r.serial_no).collect::<Vec<_>>(), [7, 8]);
        assert_eq!((rows[0].pin.as_str(), rows[0].minor), ("0042", 75));
    }

    #[test]
    fn a_damaged_line_is_told_with_its_number() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("ledger");
        let mut text = lines(0..1);
        text.extend_from_slice(b"not a record\n");
        std::fs::write(&path, text).unwrap();
        let why = Ledger::read(&path).unwrap_err().to_string();
        assert!(why.contains("ledger:2:"), "{why}");
    }
}
