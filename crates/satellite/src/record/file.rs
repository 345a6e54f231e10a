//! The file of a recording: one JSON object a line, ASCII, readable by people and by
//! `terminals replay`.
//!
//! The first line says what was recorded, the last how it ended; between them each request stands
//! with its answer. Nothing is written that did not pass the disguise. Files are bounded in size
//! and in number; the oldest goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use event::Millis;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;
use zkteco_pull::commands;
use zkteco_pull::outline::Outlined;
use zkteco_pull::packet::Sum;
use zkteco_push::Disguise;

use super::{About, Exchange, Heard, Note, Recorded};
use crate::clock;

/// The folder below the state folder.
pub const FOLDER: &str = "recordings";
/// Longest file, in bytes.
const LIMIT: u64 = 16 << 20;
/// Files kept.
const KEPT: usize = 20;
/// The version of the form.
const VERSION: u32 = 1;

/// Opens the file of that job, and forgets the oldest ones.
pub(super) fn open(folder: &Path, job: i64) -> io::Result<(PathBuf, File)> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("recording-{job:06}.jsonl"));
    let mut options = OpenOptions::new();
    // A job that begins again, because its satellite ended, begins its file again.
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .open(&path)?;
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|it| it.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let old = files.len().saturating_sub(KEPT);
    files
        .iter()
        .take(old)
        .filter(|file| **file != path)
        .try_for_each(fs::remove_file)?;
    Ok((path, file))
}

/// Writes what comes until nothing more can come or the file is full.
pub(super) fn write(
    (path, file): (PathBuf, File),
    mut disguise: Disguise,
    about: &About,
    mut from: Receiver<Note>,
) -> io::Result<Recorded> {
    let mut lines = Lines {
        file: BufWriter::new(file),
        bytes: 0,
    };
    let begun = clock::now();
    lines.put(&first(&disguise, about, begun))?;
    let (mut requests, mut cut) = (0, false);
    while let Some(note) = from.blocking_recv() {
        if lines.bytes >= LIMIT {
            cut = true;
            break;
        }
        lines.put(&noted(&mut disguise, &note, begun))?;
        requests += 1;
    }
    drop(from);
    lines.put(&json!({ "ended": clock::now().text(), "requests": requests, "cut": cut }))?;
    lines.file.flush()?;
    lines.file.get_ref().sync_all()?;
    Ok(Recorded {
        file: path,
        requests,
        missed: 0,
        bytes: lines.bytes,
        cut,
    })
}

struct Lines {
    file: BufWriter<File>,
    bytes: u64,
}

impl Lines {
    /// Each line is there at once, also for whoever watches.
    fn put(&mut self, value: &Value) -> io::Result<()> {
        let line = value.to_string();
        writeln!(self.file, "{line}")?;
        self.bytes += u64::try_from(line.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        self.file.flush()
    }
}

fn first(disguise: &Disguise, about: &About, begun: Millis) -> Value {
    json!({
        "recording": VERSION,
        "way": about.way,
        "serial": disguise.serial(),
        "model": about.model.as_deref().map(plain),
        "firmware": about.firmware.as_deref().map(plain),
        "dialect": about.dialect,
        "satellite": env!("CARGO_PKG_VERSION"),
        "begun": begun.text(),
    })
}

/// A text of a terminal's own, in plain letters.
fn plain(text: &str) -> String {
    let one = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    };
    text.chars().map(one).collect()
}

fn noted(disguise: &mut Disguise, note: &Note, begun: Millis) -> Value {
    match note {
        Note::Request(exchange) => line(disguise, exchange, begun),
        Note::Packet(at, sent, told) => packet(*sent, told, after(*at, begun)),
        Note::Session(at, words) => json!({ "after_ms": after(*at, begun), "session": words }),
    }
}

/// Milliseconds since the beginning.
fn after(at: Millis, begun: Millis) -> i64 {
    at.0.saturating_sub(begun.0).max(0)
}

fn packet(sent: bool, told: &Outlined, after: i64) -> Value {
    let way = if sent { "sent" } else { "heard" };
    match told {
        Outlined::Packet(told) => json!({
            "after_ms": after,
            "way": way,
            "code": told.code,
            "name": commands::name(told.code),
            "session": told.session,
            "reply": told.reply,
            "sum_is_right": told.sum == Sum::Right,
            "length": told.length,
            "numbers": told.numbers,
        }),
        Outlined::Unreadable(bytes) => {
            json!({ "after_ms": after, "way": way, "unreadable_bytes": bytes })
        }
    }
}

fn line(disguise: &mut Disguise, exchange: &Exchange, begun: Millis) -> Value {
    let (body, removed, length) = match &exchange.heard {
        Heard::Nothing => (None, None, 0),
        Heard::Whole(table, bytes) => (
            Some(disguise.body(table.as_ref(), bytes)),
            None,
            bytes.len(),
        ),
        Heard::Removed(records) => (None, Some(*records), 0),
        Heard::TooLong(length) => (None, None, *length),
    };
    json!({
        "after_ms": after(exchange.at, begun),
        "method": exchange.method,
        "target": disguise.target(&exchange.path, &exchange.query),
        "body": body,
        "length": length,
        "removed_records": removed,
        "status": exchange.status,
        "reply": disguise.reply(&exchange.reply),
        "took_ms": u64::try_from(exchange.took.as_millis()).unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_recordings_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for job in 0..30 {
            open(folder.path(), job).unwrap();
        }
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|it| it.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names.len(), KEPT);
        assert_eq!(names[0], "recording-000010.jsonl");
    }
}
