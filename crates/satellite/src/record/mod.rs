//! A recording of what one ZKTeco terminal says and hears, with the people taken out of it.
//!
//! `satellite devices record` writes a job; the satellite that the terminal speaks to lays a
//! [`Tape`] on it, and while one lies there the door notes each request beside its answer, and whoever
//! dials a terminal each packet (`dialled`). What a request said waits in memory, bounded, until `file`
//! has taken names, cards and secrets out of it; nothing reaches the disk before. A recording never holds up an answer: what finds no room is
//! counted as missed. It ends by its time, its size, or the end of the process.

mod dialled;
mod file;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use event::{Millis, Text, Vendor};
use serde::{Deserialize, Serialize};
use store::jobs::Job;
use tokio::sync::mpsc::{self, Sender};
use zkteco_pull::outline::Outlined;
use zkteco_push::{Disguise, Head, Table};

use crate::clock;
use crate::devices::Known;
use crate::hub::Hub;

pub(crate) use dialled::{Outlines, ended};
pub use file::FOLDER;

/// The kind of the jobs.
pub const RECORD: &str = "record";
/// Longest recording, in seconds.
pub const LONGEST: u64 = 3_600;
/// Time kept before the end of a job, in milliseconds.
const MARGIN: i64 = 5_000;
/// Notes that may wait to be written.
const WAITING: usize = 64;
/// Longest body that is recorded, in bytes; of a longer one only its length is noted.
const BODY: usize = 256 * 1024;

/// What a job asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// How long, 1 to [`LONGEST`].
    pub seconds: u64,
}

/// What a recording came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Where it is.
    pub file: PathBuf,
    /// Requests or packets in it.
    pub requests: u64,
    /// Those that found no room.
    pub missed: u64,
    /// Its length.
    pub bytes: u64,
    /// Whether it ended because it was full.
    pub cut: bool,
}

/// The body of a request, as far as the door kept it.
#[derive(Debug, Clone, Default)]
pub(crate) enum Heard {
    /// There was none, or it was not read.
    #[default]
    Nothing,
    /// It was read whole: the body of that table, or of a list.
    Whole(Option<Table>, Bytes),
    /// So many people, templates or pictures, which are counted and never kept.
    Removed(u64),
    /// So many bytes, which are not recorded.
    TooLong(usize),
}

/// One request and its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    at: Millis,
    began: Instant,
    method: String,
    path: String,
    query: String,
    heard: Heard,
    status: u16,
    reply: Bytes,
    took: Duration,
}

impl Exchange {
    /// A request that has just come in.
    pub(crate) fn begin(head: &Head<'_>) -> Self {
        Self {
            at: clock::now(),
            began: Instant::now(),
            method: head.method.to_owned(),
            path: head.path.to_owned(),
            query: head.query.to_owned(),
            heard: Heard::Nothing,
            status: 0,
            reply: Bytes::new(),
            took: Duration::ZERO,
        }
    }

    /// Its body.
    pub(crate) fn heard(&mut self, heard: Heard) {
        self.heard = match heard {
            Heard::Whole(_, bytes) if bytes.len() > BODY => Heard::TooLong(bytes.len()),
            other => other,
        };
    }

    /// What it is answered.
    pub(crate) fn answered(&mut self, status: u16, reply: &Bytes) {
        (self.status, self.reply) = (status, reply.clone());
        self.took = self.began.elapsed();
    }
}

/// What is written down.
#[derive(Debug)]
pub(crate) enum Note {
    /// A request at the door.
    Request(Exchange),
    /// A packet of a terminal that is dialled, and whether we sent it.
    Packet(Millis, bool, Outlined),
    /// What became of a session with it.
    Session(Millis, String),
}

/// What lies on a terminal while it is recorded.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    runs: AtomicBool,
    to: Mutex<Option<Sender<Note>>>,
    missed: AtomicU64,
}

impl Tape {
    /// True while requests are noted; asked at every request.
    pub(crate) fn runs(&self) -> bool {
        self.runs.load(Ordering::Relaxed)
    }

    /// Notes something, if there is room.
    pub(crate) fn note(&self, note: Note) {
        if let Some(to) = &*self.to.lock().unwrap_or_else(PoisonError::into_inner)
            && to.try_send(note).is_err()
        {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn lay(&self, to: Option<Sender<Note>>) {
        self.runs.store(to.is_some(), Ordering::Relaxed);
        if to.is_some() {
            self.missed.store(0, Ordering::Relaxed);
        }
        *self.to.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }
}

/// Takes the tape away, however the recording ends.
struct Laid<'a>(&'a Tape);

impl Drop for Laid<'_> {
    fn drop(&mut self) {
        self.0.lay(None);
    }
}

/// Whether this process hears the terminal: at its door, or because it dials it.
pub(crate) fn is_heard(known: &Known, now: Millis) -> bool {
    if known.is_dialled() {
        return known.enrolment.vendor == Vendor::Zkteco && known.again().is_open();
    }
    let at_the_door = known.facts().heard_from.is_some();
    known.enrolment.vendor == Vendor::Zkteco && at_the_door && known.is_online(now)
}

/// Carries out a job: its result, or its error, as the command reads it.
pub(crate) async fn recorded(hub: &Hub, known: &Known, job: &Job) -> Result<String, String> {
    let request: Request =
        serde_json::from_str(&job.request).map_err(|_| "the request cannot be read".to_owned())?;
    let wanted = Duration::from_secs(request.seconds.clamp(1, LONGEST));
    // A job that outlives its time counts as never done.
    let left = job.expires_at.0.saturating_sub(clock::now().0) - MARGIN;
    let left = Duration::from_millis(u64::try_from(left).unwrap_or_default());
    let done = record(hub, known, job.id, wanted.min(left)).await;
    let done = done.map_err(|error| format!("the recording cannot be written: {error}"))?;
    Ok(serde_json::json!(done).to_string())
}

async fn record(hub: &Hub, known: &Known, job: i64, time: Duration) -> io::Result<Recorded> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let folder = hub.config.load().state_dir.join(FOLDER);
    let about = About::of(known);
    let (to, from) = mpsc::channel(WAITING);
    let serial = known.enrolment.serial.clone();
    let writing = tokio::task::spawn_blocking(move || {
        let disguise = Disguise::new(key, &serial);
        file::write(file::open(&folder, job)?, disguise, &about, from)
    });
    let tape = known.tape();
    let laid = Laid(tape);
    let full = to.clone();
    tape.lay(Some(to));
    let end = hub.drain.token();
    tokio::select! {
        () = end.cancelled() => {}
        () = tokio::time::sleep(time) => {}
        // Nobody reads any more: it is full, or cannot be written.
        () = full.closed() => {}
    }
    drop((laid, full));
    let mut done = writing.await.map_err(io::Error::other)??;
    done.missed = tape.missed.load(Ordering::Relaxed);
    Ok(done)
}

/// What a recording says of its terminal.
#[derive(Debug)]
struct About {
    way: &'static str,
    model: Option<Text>,
    firmware: Option<Text>,
    dialect: Option<&'static str>,
}

impl About {
    fn of(known: &Known) -> Self {
        let facts = known.facts();
        Self {
            way: match known.is_dialled() {
                true => "zkteco-pull",
                false => "zkteco-push",
            },
            model: facts.model.clone(),
            firmware: facts.firmware.clone(),
            dialect: facts.dialect.map(zkteco_push::Dialect::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange() -> Exchange {
        Exchange::begin(&Head {
            method: "GET",
            path: "/iclock/ping",
            query: "SN=A",
        })
    }

    fn note() -> Note {
        Note::Request(exchange())
    }

    #[tokio::test]
    async fn what_finds_no_room_is_counted_and_nothing_waits_for_it() {
        let tape = Tape::default();
        tape.note(note());
        assert!(!tape.runs());
        let (to, mut from) = mpsc::channel(2);
        let laid = Laid(&tape);
        tape.lay(Some(to));
        assert!(tape.runs());
        for _ in 0..5 {
            tape.note(note());
        }
        assert_eq!(tape.missed.load(Ordering::Relaxed), 3);
        drop(laid);
        assert!(!tape.runs());
        let mut taken = 0;
        while from.recv().await.is_some() {
            taken += 1;
        }
        assert_eq!(taken, 2);
    }

    #[test]
    fn of_a_body_that_is_too_long_nothing_is_kept() {
        let mut one = exchange();
        let long = Bytes::from(vec![b'1'; BODY + 1]);
        one.heard(Heard::Whole(Some(Table::AttLog), long));
        assert!(matches!(one.heard, Heard::TooLong(_)));
    }
}
