//! The tail of a copy: the pieces behind it opened, cut where they have to end, and replayed.
//!
//! Everything is opened and read before anything is touched. A tail ends at the wanted moment,
//! before a statement that takes a table or the whole database away (so that the mistake which a
//! restore undoes is not made again), at a gap, and before a piece that cannot be opened in any
//! location; each is told. `mariadb-binlog` makes statements of it for one database; the numbers
//! of the transactions are left out, because the server that takes them gives its own.

use std::fs::{self, File};
use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use daemon::config::Secret;
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use super::events::{Cut, Stop, carry};
use super::pieces::{Link, following, pieces_in};
use crate::copies::bounded;
use crate::seal::Opened;
use crate::{Location, Manifest, Problem, programs};

/// For looking through the folders; a disk that takes longer hangs.
const LOOKING: std::time::Duration = std::time::Duration::from_secs(600);
/// How a line begins that gives a transaction its number.
const NUMBERS: [&[u8]; 2] = [
    b"/*M!100001 SET @@session.gtid_seq_no=",
    b"/*!100001 SET @@session.gtid_seq_no=",
];

/// What follows a copy, opened and ready.
#[derive(Debug)]
pub struct Tail {
    files: Vec<PathBuf>,
    database: String,
    /// Everything that was committed before is in the copy or in this.
    pub until: Timestamp,
    /// Why it ends there.
    pub ended: Ended,
}

/// Why a tail ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Nothing else was shipped.
    Shipped,
    /// At the wanted moment.
    Until,
    /// Before this statement.
    Away(String),
    /// Before a piece that cannot be opened.
    Damaged(Problem),
}

/// Opens the pieces that follow a copy into `folder`, which is ours and only we can read; `None`
/// when the copy stands in no log, or no piece follows it.
///
/// # Errors
/// A location cannot be read, or there is no room.
pub async fn unpack(
    manifest: &Manifest,
    locations: &[Location],
    key: &Secret,
    until: Option<Timestamp>,
    folder: &Path,
) -> Result<Option<Tail>, Problem> {
    let Some(mark) = manifest.log.clone() else {
        return Ok(None);
    };
    let (locations, copy) = (locations.to_vec(), manifest.started_at);
    let (database, position) = (mark.database.clone(), mark.position);
    let brought = folder.join("brought");
    let limit = locations.iter().fold(LOOKING, |limit, it| match it {
        Location::Folder(_) => limit,
        Location::Remote(remote) => limit.max(remote.limit()),
    });
    let links = bounded(limit, ("the copies", "las copias"), move || {
        let mut all = Vec::new();
        for location in &locations {
            let root = match location {
                Location::Folder(folder) => &folder.0,
                Location::Remote(remote) => {
                    remote.bring_log(&mark.server, &brought)?;
                    &brought
                }
            };
            all.extend(pieces_in(root, &mark.server)?);
        }
        Ok(following(&all, &mark, copy))
    })
    .await?;
    let mut unpacking = Unpacking {
        folder,
        files: Vec::new(),
        logs: Vec::new(),
        cut: Cut {
            after: position,
            until: until.and_then(|at| u32::try_from(at.as_second()).ok()),
            database: &database,
        },
    };
    let (mut reached, mut ended) = (copy, Ended::Shipped);
    for link in &links {
        match unpacking.add(link, key).await {
            Err(problem) => {
                ended = Ended::Damaged(problem);
                break;
            }
            Ok(None) => reached = link.at,
            Ok(Some(Stop::Until)) => {
                reached = until.unwrap_or(link.at);
                ended = Ended::Until;
                break;
            }
            Ok(Some(Stop::Away(second, statement))) => {
                reached = Timestamp::from_second(second.into()).unwrap_or(link.at);
                ended = Ended::Away(statement);
                break;
            }
        }
    }
    let files = unpacking.files;
    Ok((!links.is_empty()).then_some(Tail {
        files,
        database,
        until: reached,
        ended,
    }))
}

struct Unpacking<'a> {
    folder: &'a Path,
    files: Vec<PathBuf>,
    logs: Vec<super::pieces::Log>,
    cut: Cut<'a>,
}

impl Unpacking<'_> {
    /// Opens a piece from the first location whose file can be opened, and cuts it.
    async fn add(&mut self, link: &Link, key: &Secret) -> Result<Option<Stop>, Problem> {
        let clear = self.folder.join("piece");
        let mut opened = Err(Problem::damaged("", ""));
        for path in &link.paths {
            opened = open(path, key, &clear).await;
            if opened.is_ok() {
                break;
            }
        }
        opened?;
        let is_first = self.logs.last() != Some(&link.log);
        if is_first && !self.logs.is_empty() {
            self.cut.after = 0;
        }
        let path = self.folder.join(&link.log.name);
        let wrong = |error| Problem::file(&path, &error);
        let mut from = std::io::BufReader::new(File::open(&clear).map_err(wrong)?);
        let mut options = fs::OpenOptions::new();
        options.create(true).write(true).truncate(is_first);
        let mut to = options.open(&path).map_err(wrong)?;
        to.seek(std::io::SeekFrom::End(0)).map_err(wrong)?;
        let mut to = std::io::BufWriter::new(to);
        let stop = carry(&mut from, &mut to, is_first, self.cut).map_err(wrong)?;
        std::io::Write::flush(&mut to).map_err(wrong)?;
        if is_first {
            self.files.push(path);
            self.logs.push(link.log.clone());
        }
        fs::remove_file(&clear).ok();
        Ok(stop)
    }
}

async fn open(path: &Path, key: &Secret, to: &Path) -> Result<(), Problem> {
    let wrong = |error| Problem::file(to, &error);
    let mut file = tokio::fs::File::create(to).await.map_err(wrong)?;
    let mut opened = Opened::open(path, key).await?;
    while let Some(bytes) = opened.next().await? {
        file.write_all(&bytes).await.map_err(wrong)?;
    }
    file.flush().await.map_err(wrong)
}

/// Replays a tail: `client` reads statements for the restored database. `refused` words what it
/// said.
pub(crate) async fn replay(
    tail: &Tail,
    client: &mut Command,
    refused: impl Fn(String) -> Problem,
) -> Result<(), Problem> {
    if tail.files.is_empty() {
        return Ok(());
    }
    let tool = programs::find(&["mariadb-binlog"], "mariadb-client")?;
    let mut reader = programs::command(&tool);
    reader
        .args(["--no-defaults", "--skip-annotate-row-events"])
        // The tail begins in the middle of the server's transactions; older tools do not look.
        .arg("--loose-skip-gtid-strict-mode")
        .arg(format!("--database={}", tail.database))
        .args(&tail.files)
        .stdout(Stdio::piped());
    let mut reader = programs::start(&mut reader)?;
    let mut client = programs::start(client.stdin(Stdio::piped()))?;
    let (Some(from), Some(mut to)) = (reader.stdout.take(), client.stdin.take()) else {
        return Err(refused(String::new()));
    };
    let (mut from, mut line) = (BufReader::new(from), Vec::new());
    loop {
        line.clear();
        let read = from.read_until(b'\n', &mut line).await;
        if read.map_err(|error| refused(error.to_string()))? == 0 {
            break;
        }
        if NUMBERS.iter().any(|begin| line.starts_with(begin)) {
            continue;
        }
        if to.write_all(&line).await.is_err() {
            // The pipe breaks when the client ends; why it ended says more.
            break;
        }
    }
    drop(to);
    programs::ended(&mut client).await.map_err(&refused)?;
    programs::ended(&mut reader).await.map_err(refused)
}
