//! One round of shipping: what the server has that no location has yet.
//!
//! What is there is read from the folders and from nowhere else: a round goes on where the last
//! piece ends, or begins at the newest copies, and one that was killed is made good by the next.
//! A server that was made anew, or that has deleted a log before it was fetched, breaks the chain;
//! then a new one begins at the newest copy that the server's log still reaches back to.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::events::{self, Covered};
use super::pieces::{FIRST, Log, Piece, pieces_in};
use super::{LogMark, folder_of};
use crate::copies::{bounded, hash};
use crate::dump::{OptionFile, keeps_log};
use crate::pace::Paced;
use crate::seal::Sealed;
use crate::take::{Private, pack};
use crate::{Location, Login, Plan, Problem, programs};

/// What the first location is called in an error.
const FOLDER: (&str, &str) = ("the folder of copies", "la carpeta de copias");
/// What the second one is called.
const SECOND: (&str, &str) = ("the second location", "la segunda ubicación");

/// Where the newest copy of one of the server's databases stands in the log.
#[derive(Debug, Clone)]
pub struct Marked {
    /// Where.
    pub mark: LogMark,
    /// When it was made.
    pub at: Timestamp,
}

/// What is shipped from where.
pub struct Shipping<'a> {
    /// The server, and the account that may read its log.
    pub login: &'a Login,
    /// The newest copy of each of its databases.
    pub copies: &'a [Marked],
    /// Where pieces go and who can open them.
    pub plan: &'a Plan,
    /// For what is in the clear meanwhile.
    pub state_dir: &'a Path,
}

/// What a round did.
#[derive(Debug, Clone)]
pub struct Shipped {
    /// Everything that was committed before lies in the first location.
    pub until: Timestamp,
    /// New pieces.
    pub pieces: usize,
    /// Why the second location does not have them.
    pub second_failed: Option<Problem>,
}

/// Where to begin, and what is known of that log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Start {
    file: String,
    at: u64,
    created: Created,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Created {
    At(u32),
    Before(Timestamp),
}

impl Created {
    fn fits(self, created: u32) -> bool {
        match self {
            Self::At(known) => known == created,
            Self::Before(copy) => i64::from(created) <= copy.as_second() + CLOCKS,
        }
    }
}

/// How far the server's clock may be ahead of ours, in seconds.
const CLOCKS: i64 = 120;

/// Ships what is new. The caller sees to it that no other round is on its way.
///
/// # Errors
/// The log is off, may not be read, or no longer reaches back to what was shipped or copied; a
/// piece cannot be written. What was shipped before stays. A second location that failed is told
/// in [`Shipped::second_failed`].
pub async fn ship(shipping: &Shipping<'_>) -> Result<Shipped, Problem> {
    let round = tokio::time::timeout(shipping.plan.time_limit, round(shipping));
    round.await.unwrap_or_else(|_| {
        let seconds = shipping.plan.time_limit.as_secs();
        Err(Problem::hung(
            (
                "shipping the binary log",
                "el envío de la bitácora del servidor",
            ),
            seconds,
        ))
    })
}

async fn round(shipping: &Shipping<'_>) -> Result<Shipped, Problem> {
    let (plan, until) = (shipping.plan, Timestamp::now());
    let server = folder_of(&shipping.login.url);
    let (folder, label) = (plan.folder.clone(), server.clone());
    let there = bounded(plan.time_limit, FOLDER, move || pieces_in(&folder, &label)).await?;
    let private = Private::named(shipping.state_dir, "ship-work")?;
    let mut broken = None;
    for start in starts(&there, shipping.copies) {
        let fetched = fetch(shipping.login, private.path(), &start).await?;
        match fetched {
            Fetched::Broken(why) => broken = broken.or(Some(why)),
            Fetched::Files(files) => {
                let pieces = put(&files, start.at, until, &plan.folder.join(&server), plan).await?;
                let second_failed = match &plan.second {
                    None => None,
                    Some(second) => mirror(plan, second, &server).await.err(),
                };
                return Ok(Shipped {
                    until,
                    pieces,
                    second_failed,
                });
            }
        }
    }
    if broken.is_none() {
        let options = OptionFile::write(private.path(), &shipping.login.options())?;
        if !keeps_log(&options).await? {
            return Err(no_log());
        }
    }
    Err(no_begin(broken))
}

fn no_begin(broken: Option<String>) -> Problem {
    let problem = Problem::new(
        "the binary log cannot be shipped: no copy stands in it; make one (`satellite backup run`)",
        "la bitácora del servidor no se puede enviar: ninguna copia parte de ella; haga una (`satellite backup run`)",
    );
    match broken {
        Some(why) => problem.because(why),
        None => problem,
    }
}

/// Where a round may begin, the best first: behind the last piece, at the oldest of the newest
/// copies, at the newest of them.
fn starts(there: &[Piece], copies: &[Marked]) -> Vec<Start> {
    let last = there.last().map(|piece| Start {
        file: piece.log.name.clone(),
        at: piece.to,
        created: Created::At(piece.log.created),
    });
    let mut marks: Vec<&Marked> = copies.iter().collect();
    marks.sort_by(|one, other| {
        let place = |it: &Marked| (it.mark.file.clone(), it.mark.position);
        place(one).cmp(&place(other))
    });
    let of_copy = |it: &&Marked| Start {
        file: it.mark.file.clone(),
        at: it.mark.position,
        created: Created::Before(it.at),
    };
    let newest = copies.iter().max_by_key(|it| it.at);
    let mut starts: Vec<Start> = last.into_iter().collect();
    starts.extend(marks.first().map(of_copy));
    starts.extend(newest.as_ref().map(of_copy));
    starts.dedup();
    starts
}

enum Fetched {
    /// Files of logs, in their order.
    Files(Vec<(Log, Covered, PathBuf)>),
    /// The server's log does not reach back to there.
    Broken(String),
}

/// Fetches everything from there to the end of the last log.
async fn fetch(login: &Login, private: &Path, start: &Start) -> Result<Fetched, Problem> {
    let folder = private.join("log");
    let wrong = |error| Problem::file(&folder, &error);
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(wrong)?;
    }
    fs::create_dir(&folder).map_err(wrong)?;
    let options = OptionFile::write(private, &login.options())?;
    let names = ["mariadb-binlog"];
    let mut command = programs::command(&programs::find(&names, "mariadb-client")?);
    // The option file has to stand first.
    command
        .arg(format!("--defaults-file={}", options.path().display()))
        .args(["--read-from-remote-server", "--raw", "--to-last-log"])
        .arg(format!("--result-file={}/", folder.display()))
        .arg(format!("--start-position={}", start.at))
        .arg(&start.file);
    let mut program = programs::start(&mut command)?;
    if let Err(said) = programs::ended(&mut program).await {
        return refused(&said);
    }
    let read = tokio::task::spawn_blocking(move || fetched(&folder));
    let files = read.await.map_err(|error| unreadable(&error))??;
    let first = files.first();
    let fits =
        first.is_some_and(|(log, ..)| log.name == start.file && start.created.fits(log.created));
    Ok(match fits {
        true => Fetched::Files(files),
        false => Fetched::Broken(format!("{} is another log of that name", start.file)),
    })
}

fn fetched(folder: &Path) -> Result<Vec<(Log, Covered, PathBuf)>, Problem> {
    let wrong = |error| Problem::file(folder, &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        let covered = events::covered(&path).map_err(|error| unreadable(&error))?;
        let name = path.file_name().and_then(|it| it.to_str());
        let log = name.and_then(|name| Log::new(name, covered.created));
        let log = log.ok_or_else(|| unreadable(&path.display()))?;
        files.push((log, covered, path));
    }
    files.sort_by(|one: &(Log, Covered, PathBuf), other| one.0.cmp(&other.0));
    Ok(files)
}

fn unreadable(why: &dyn std::fmt::Display) -> Problem {
    Problem::new(
        "what the server sent as its binary log cannot be read; the next round tries again",
        "lo que el servidor envió como su bitácora no se puede leer; la siguiente vuelta lo intenta otra vez",
    )
    .because(why)
}

fn refused(said: &str) -> Result<Fetched, Problem> {
    let gone = [
        "Could not find first log file",
        "impossible position",
        "truncated in the middle of event",
    ];
    if gone.iter().any(|words| said.contains(words)) {
        return Ok(Fetched::Broken(said.to_owned()));
    }
    if said.contains("Access denied") && said.contains("REPLICATION SLAVE") {
        return Err(Problem::new(
            "the account may not read the binary log; give it REPLICATION SLAVE (grants.sql, satellite_backup)",
            "la cuenta no puede leer la bitácora del servidor; dele REPLICATION SLAVE (grants.sql, satellite_backup)",
        )
        .because(said));
    }
    if said.contains("Binary log is not open") {
        return Err(no_log().because(said));
    }
    Err(Problem::new(
        "the binary log cannot be fetched; `satellite doctor` says whether the database answers; what was shipped stays",
        "la bitácora del servidor no se pudo traer; `satellite doctor` dice si la base contesta; lo enviado queda",
    )
    .because(said))
}

fn no_log() -> Problem {
    Problem::new(
        "the server keeps no binary log; put `log_bin` under [mariadbd] of its configuration, restart it and make a copy, or take backup.binary_log out",
        "el servidor no lleva bitácora binaria; ponga `log_bin` en [mariadbd] de su configuración, reinícielo y haga una copia, o quite backup.binary_log",
    )
}

/// Encrypts what is new of each file and gives it its name, in the order of the log.
async fn put(
    files: &[(Log, Covered, PathBuf)],
    start: u64,
    at: Timestamp,
    folder: &Path,
    plan: &Plan,
) -> Result<usize, Problem> {
    let (mut from, mut pieces) = (start, 0);
    for (log, covered, file) in files {
        if covered.end > from {
            let path = folder.join(Piece::place(log, from, covered.end, at));
            let unnamed = begin(&path)?;
            let mut sealed = Sealed::create(&unnamed, &plan.recipients, Paced::full())?;
            pack(file, &mut sealed).await?;
            sealed.finish().await?;
            name(&unnamed, &path).map_err(|error| Problem::file(&path, &error))?;
            pieces += 1;
        }
        from = FIRST;
    }
    Ok(pieces)
}

/// The path of a piece until it is whole; its folder is there then, and nothing of a killed round.
fn begin(path: &Path) -> Result<PathBuf, Problem> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    let wrong = |error| Problem::file(folder, &error);
    fs::create_dir_all(folder).map_err(wrong)?;
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            fs::remove_file(entry.path()).map_err(wrong)?;
        }
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(path.with_file_name(format!(".{name}")))
}

fn name(unnamed: &Path, path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    File::open(unnamed)?.sync_all()?;
    fs::rename(unnamed, path)?;
    File::open(folder)?.sync_all()?;
    // The folder of the log may be new too.
    let above = folder.parent().unwrap_or_else(|| Path::new("/"));
    File::open(above)?.sync_all()
}

/// Carries to the second location what it lacks.
async fn mirror(plan: &Plan, second: &Location, server: &str) -> Result<(), Problem> {
    let (first, second, server) = (plan.folder.clone(), second.clone(), server.to_owned());
    bounded(plan.time_limit, SECOND, move || match &second {
        Location::Folder(folder) => {
            folder.is_mounted()?;
            mirror_folder(&first, &folder.0, &server)
        }
        Location::Remote(remote) => remote.receive_log(&first, &server),
    })
    .await
}

fn mirror_folder(first: &Path, second: &Path, server: &str) -> Result<(), Problem> {
    let root = first.join(server);
    for piece in pieces_in(first, server)? {
        let place = piece.path.strip_prefix(&root).unwrap_or(&piece.path);
        let path = second.join(server).join(place);
        if path.exists() {
            continue;
        }
        let unnamed = begin(&path)?;
        let copied = fs::copy(&piece.path, &unnamed)
            .and_then(|_| File::open(&unnamed)?.sync_all())
            .and_then(|()| Ok(hash(&piece.path)? == hash(&unnamed)?));
        if !copied.map_err(|error| Problem::file(&unnamed, &error))? {
            return Err(Problem::damaged(&unnamed.display().to_string(), "SHA-256"));
        }
        name(&unnamed, &path).map_err(|error| Problem::file(&path, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_goes_on_where_the_last_one_ended_and_else_begins_at_a_copy() {
        let marked = |position, at: &str| Marked {
            mark: LogMark {
                server: String::new(),
                database: String::new(),
                file: "log.000003".to_owned(),
                position,
            },
            at: at.parse().unwrap(),
        };
        let copies = [
            marked(900, "2026-11-26T12:00:05Z"),
            marked(800, "2026-11-26T12:00:01Z"),
        ];
        let begins = |starts: &[Start]| starts.iter().map(|it| it.at).collect::<Vec<_>>();
        assert_eq!(begins(&starts(&[], &copies)), [800, 900]);
        assert_eq!(begins(&starts(&[], &copies[..1])), [900]);
        assert_eq!(starts(&[], &[]), []);
        let log = Log::new("log.000003", 7).unwrap();
        let at = copies[0].at;
        let path = Piece::place(&log, 4, 950, at);
        let bytes = 1;
        let (from, to) = (4, 950);
        let piece = Piece {
            log,
            from,
            to,
            at,
            bytes,
            path,
        };
        let starts = starts(&[piece], &copies);
        assert_eq!(begins(&starts), [950, 800, 900]);
        assert!(starts[0].created.fits(7) && !starts[0].created.fits(8));
    }
}
