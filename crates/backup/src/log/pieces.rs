//! Pieces of a log: their names, which follow a copy without a gap, and which may go.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::LogMark;
use crate::copies::{moment, read_moment};
use crate::retention::ALL_FOR;
use crate::{Location, Problem};

/// Where the first event of a log begins, in bytes.
pub(super) const FIRST: u64 = 4;
/// What the name of a piece ends with.
const END: &str = ".gz.age";
/// How far the server's clock may be ahead of ours.
const CLOCKS: SignedDuration = SignedDuration::from_mins(2);

/// One log of a server, in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Log {
    /// When it was created, in seconds since 1970.
    pub(super) created: u32,
    /// The number at the end of its name.
    number: u64,
    /// Its name.
    pub(super) name: String,
}

impl Log {
    pub(super) fn new(name: &str, created: u32) -> Option<Self> {
        let (base, number) = name.rsplit_once('.')?;
        let number = number.parse().ok()?;
        let plain = !base.is_empty() && !base.starts_with('.') && !name.contains('/');
        plain.then(|| Self {
            created,
            number,
            name: name.to_owned(),
        })
    }

    fn folder(&self) -> String {
        format!("{}.{}", self.name, self.created)
    }

    fn read(folder: &str) -> Option<Self> {
        let (name, created) = folder.rsplit_once('.')?;
        Self::new(name, created.parse().ok()?)
    }

    fn is_next_of(&self, before: &Self) -> bool {
        let base = |log: &Self| log.name.rsplit_once('.').map(|it| it.0.to_owned());
        base(self) == base(before)
            && self.number == before.number + 1
            && self.created >= before.created
    }
}

/// One piece of a log in a location.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece {
    pub(super) log: Log,
    pub(super) from: u64,
    pub(super) to: u64,
    /// Everything that was committed before this moment is in it or in one before it.
    pub at: Timestamp,
    /// Bytes on disk.
    pub bytes: u64,
    /// The file; in a remote, below the folder of its server's log.
    pub path: PathBuf,
}

impl Piece {
    /// Its path in the folder of a server's log.
    pub(super) fn place(log: &Log, from: u64, to: u64, at: Timestamp) -> PathBuf {
        let name = format!("{from}-{to}-{}{END}", moment(at));
        PathBuf::from(log.folder()).join(name)
    }

    fn read(log: &Log, path: PathBuf, bytes: u64) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(END)?;
        let mut parts = name.splitn(3, '-');
        let (from, to) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let at = read_moment(parts.next()?.as_ref())?;
        Some(Self {
            log: log.clone(),
            from,
            to,
            at,
            bytes,
            path,
        })
    }
}

/// Every whole piece of a server's log in a folder, the oldest first.
pub(crate) fn pieces_in(location: &Path, server: &str) -> Result<Vec<Piece>, Problem> {
    let folder = location.join(server);
    let mut found = Vec::new();
    for log_folder in entries(&folder)? {
        let name = log_folder.file_name().and_then(|it| it.to_str());
        let Some(log) = name.and_then(Log::read) else {
            continue;
        };
        for file in entries(&log_folder)? {
            let bytes = fs::metadata(&file).map_err(|error| Problem::file(&file, &error))?;
            found.extend(Piece::read(&log, file, bytes.len()));
        }
    }
    found.sort();
    Ok(found)
}

/// Every whole piece of a server's log in a location, the oldest first.
///
/// # Errors
/// The location cannot be read; one that is not there has none.
pub fn pieces(location: &Location, server: &str) -> Result<Vec<Piece>, Problem> {
    let remote = match location {
        Location::Folder(folder) => return pieces_in(&folder.0, server),
        Location::Remote(remote) => remote,
    };
    let mut found = Vec::new();
    for (below, bytes) in remote.log_files(server)? {
        let log = below.split_once('/').and_then(|(log, _)| Log::read(log));
        let piece = |log: Log| Piece::read(&log, PathBuf::from(below), bytes);
        found.extend(log.and_then(piece));
    }
    found.sort();
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let wrong = |error| Problem::file(folder, &error);
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|it| it.path()).map_err(wrong))
            .collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => Ok(Vec::new()),
        Err(error) => Err(wrong(error)),
    }
}

/// One stretch of a log in every location that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) log: Log,
    pub(super) at: Timestamp,
    pub(super) paths: Vec<PathBuf>,
}

/// The pieces, of all locations together, that follow a copy of that moment without a gap.
pub(super) fn following(all: &[Piece], mark: &LogMark, copy: Timestamp) -> Vec<Link> {
    let mut stretches: BTreeMap<(&Log, u64, u64, Timestamp), Vec<PathBuf>> = BTreeMap::new();
    for piece in all {
        let key = (&piece.log, piece.from, piece.to, piece.at);
        stretches.entry(key).or_default().push(piece.path.clone());
    }
    let begun = |log: &Log| i64::from(log.created) <= (copy + CLOCKS).as_second();
    let named = stretches.keys().map(|(log, ..)| *log);
    let first = named
        .filter(|log| log.name == mark.file && begun(log))
        .max();
    let Some(mut log) = first else {
        return Vec::new();
    };
    let (mut reached, mut links) = (mark.position, Vec::new());
    for ((of, from, to, at), paths) in &stretches {
        let goes_on = *of == log && *from <= reached && *to > reached;
        let begins_next = *from == FIRST && of.is_next_of(log);
        if goes_on || begins_next {
            (log, reached) = (of, *to);
            links.push(Link {
                log: log.clone(),
                at: *at,
                paths: paths.clone(),
            });
        } else if *of > log {
            break;
        }
    }
    links
}

/// Of pieces of these moments those that may go: older than 48 hours, and not of the stretch of
/// time for which one of the copies that stay is the newest one promised. Nothing goes that is
/// newer than the last proven copy, and nothing as long as none is proven.
pub fn may_go(
    pieces: &[Timestamp],
    copies: &[Timestamp],
    last_proven: Option<Timestamp>,
    every: Duration,
    now: Timestamp,
) -> Vec<Timestamp> {
    let Some(last_proven) = last_proven else {
        return Vec::new();
    };
    let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
    let follows = |at: Timestamp| {
        let since = |copy: &Timestamp| at.duration_since(*copy);
        copies
            .iter()
            .any(|copy| !since(copy).is_negative() && since(copy) <= every)
    };
    let old = |at: &&Timestamp| now.duration_since(**at) > ALL_FOR && **at < last_proven;
    let going = pieces.iter().filter(old).filter(|at| !follows(**at));
    going.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{text}Z").parse().unwrap()
    }

    fn piece(name: &str, created: &str, from: u64, to: u64) -> Piece {
        let created = u32::try_from(at(created).as_second()).unwrap();
        let log = Log::new(name, created).unwrap();
        let path = Piece::place(&log, from, to, at("26T12:00:00"));
        Piece::read(&log, path, 1).unwrap()
    }

    /// From where to where the tail of a copy of 12:00 at 500 of the first log goes.
    fn tail(pieces: &[Piece]) -> Vec<String> {
        let mut pieces = pieces.to_vec();
        pieces.sort();
        let mark = LogMark {
            server: String::new(),
            database: "acme".to_owned(),
            file: "log.000001".to_owned(),
            position: 500,
        };
        let links = following(&pieces, &mark, at("26T12:00:00"));
        let name = |link: &Link| link.paths[0].display().to_string();
        let names = links.iter().map(name);
        names
            .map(|it| it.split("-2026").next().unwrap_or_default().to_owned())
            .collect()
    }

    const EARLY: &str = "26T09:00:00";
    const LATER: &str = "26T13:00:00";

    #[test]
    fn the_pieces_behind_a_copy_are_taken_in_their_order_over_the_end_of_a_log() {
        let all = [
            piece("log.000002", LATER, 4, 80),
            piece("log.000001", EARLY, 4, 450),
            piece("log.000001", EARLY, 450, 700),
            piece("log.000001", EARLY, 700, 900),
        ];
        let tail = tail(&all);
        assert_eq!(tail.len(), 3, "{tail:?}");
        assert!(tail[0].ends_with("/450-700") && tail[2].ends_with("/4-80"));
    }

    #[test]
    fn a_gap_ends_the_tail_and_so_does_a_log_that_is_missing() {
        let gap = [
            piece("log.000001", EARLY, 450, 700),
            piece("log.000001", EARLY, 710, 900),
            piece("log.000003", LATER, 4, 80),
        ];
        assert_eq!(tail(&gap).len(), 1);
        assert_eq!(tail(&gap[1..]), Vec::<String>::new());
        let cut = [
            piece("log.000001", EARLY, 450, 700),
            piece("log.000002", LATER, 90, 120),
        ];
        assert_eq!(tail(&cut).len(), 1);
    }

    #[test]
    fn the_log_of_a_server_that_was_made_anew_is_never_taken_for_that_of_the_old_one() {
        let anew = [piece("log.000001", LATER, 450, 700)];
        assert_eq!(tail(&anew), Vec::<String>::new());
        let both = [
            piece("log.000001", "20T09:00:00", 4, 900),
            piece("log.000001", EARLY, 450, 700),
        ];
        let tail = tail(&both);
        assert!(tail.len() == 1 && tail[0].ends_with("/450-700"), "{tail:?}");
    }

    #[test]
    fn pieces_stay_for_48_hours_and_behind_each_copy_that_stays() {
        let pieces = ["20T10:00:00", "20T14:00:00", "25T10:00:00", "26T11:00:00"].map(at);
        let copies = ["20T09:00:00", "26T09:00:00"].map(at);
        let (now, every) = (at("28T09:00:00"), Duration::from_secs(3 * 3_600));
        let go = |proven: Option<&str>| may_go(&pieces, &copies, proven.map(at), every, now);
        assert_eq!(go(Some("26T09:00:00")), pieces[1..3]);
        assert_eq!(go(Some("25T09:00:00")), pieces[1..2]);
        assert_eq!(go(None), []);
    }

    #[test]
    fn names_that_are_none_of_ours_are_no_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("s.binlog/log.000001.77");
        fs::create_dir_all(&log).unwrap();
        for name in [
            ".4-9-20261126T120000Z.gz.age",
            "readme",
            "4-x-20261126T120000Z.gz.age",
            "4-9-20261126T120000Z.gz.age",
        ] {
            fs::write(log.join(name), "").unwrap();
        }
        fs::create_dir_all(folder.path().join("s.binlog/.x.1.2")).unwrap();
        let found = pieces_in(folder.path(), "s.binlog").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].from, found[0].to), (4, 9));
        assert_eq!(pieces_in(folder.path(), "other").unwrap(), []);
    }
}
