//! One copy of one database: dumped, encrypted, named, and carried to the second location.
//!
//! Each store has its copies for itself, so that one tenant's dead database costs nobody else's.
//! Whatever fails leaves the copies that were there as they were.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use store::Target;
use store::contents::{self, Contents};
use tokio::io::AsyncReadExt as _;

use crate::copies::{bounded, complete, moment};
use crate::manifest::{FORMAT, Manifest};
use crate::pace::Paced;
use crate::seal::{PIECE, Sealed};
use crate::{Copied, Folder, Location, Login, Pace, Problem, dump};

/// Where copies are made and what makes them.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The first location.
    pub folder: PathBuf,
    /// The second one, on another disk.
    pub second: Option<Location>,
    /// Public keys of `age`.
    pub recipients: Vec<String>,
    /// Longest time for one store.
    pub time_limit: Duration,
}

/// What is copied.
pub enum Source {
    /// A database on a server.
    Mysql(Box<Login>),
    /// A file.
    Sqlite(PathBuf),
}

/// One store and what goes with it.
pub struct Work {
    /// The store's label.
    pub store: String,
    /// Where it is, without a password.
    pub place: String,
    /// The tenants whose events it holds.
    pub tenants: Vec<String>,
    /// The database.
    pub source: Source,
    /// The version of the program.
    pub version: String,
    /// The configuration's file, for the registry's copy.
    pub configuration: Option<PathBuf>,
    /// The proofs of deletions, for the registry's copy; none where nothing was deleted yet.
    pub deletions: Option<PathBuf>,
    /// Whether the server's binary log is shipped, so that the copy has to say where it stands in it.
    pub binary_log: bool,
    /// Names of passwords, for the registry's copy.
    pub secrets: Vec<String>,
    /// How much of the machine the copy leaves to others.
    pub pace: Pace,
}

/// A copy that was made.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The copy in the first location.
    pub copy: Copied,
    /// When it was complete.
    pub finished_at: Timestamp,
    /// Rows in it.
    pub rows: u64,
    /// How many different disks have it.
    pub locations: u8,
    /// Why the second location does not have it.
    pub second_failed: Option<Problem>,
}

/// The folder for what is in the clear while a copy is made; gone with this value.
pub(crate) struct Private(PathBuf);

impl Private {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn new(state_dir: &Path) -> Result<Self, Problem> {
        Self::named(state_dir, "backup-work")
    }

    /// One that this process has for itself by its name.
    pub(crate) fn named(state_dir: &Path, name: &str) -> Result<Self, Problem> {
        let folder = state_dir.join(name);
        let wrong = |error| Problem::file(&folder, &error);
        if folder.exists() {
            // What a run that was killed has left.
            fs::remove_dir_all(&folder).map_err(wrong)?;
        }
        let made = fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(wrong)?;
        Ok(Self(folder))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Makes a copy of a store. The caller sees to it that no other run is on its way.
///
/// # Errors
/// Whatever kept it from being made in the first location; nothing with a copy's name is left
/// then. A second location that failed is told in [`Taken::second_failed`].
pub async fn take(
    work: &Work,
    plan: &Plan,
    state_dir: &Path,
    now: Timestamp,
) -> Result<Taken, Problem> {
    let first = Folder(plan.folder.clone());
    let done =
        tokio::time::timeout(plan.time_limit, make(work, plan, state_dir, &first, now)).await;
    let hung = || {
        let seconds = plan.time_limit.as_secs();
        Problem::hung(("the copy", "la copia"), seconds)
    };
    let made = match done.unwrap_or_else(|_| Err(hung())) {
        Ok(made) => made,
        Err(problem) => {
            let store = work.store.clone();
            let swept = bounded(CLEANING, ("clearing up", "la limpieza"), move || {
                first.sweep(&store)
            });
            // What stays behind has no copy's name, and the next run clears it.
            swept.await.ok();
            return Err(problem);
        }
    };
    let (copy, rows) = made;
    let (locations, second_failed) = match &plan.second {
        None => (1, None),
        Some(second) => match carry(&copy, plan, second).await {
            Ok(apart) => (1 + u8::from(apart), None),
            Err(problem) => (1, Some(problem)),
        },
    };
    Ok(Taken {
        copy,
        finished_at: Timestamp::now(),
        rows,
        locations,
        second_failed,
    })
}

/// For clearing up after a failure.
const CLEANING: Duration = Duration::from_secs(30);

async fn make(
    work: &Work,
    plan: &Plan,
    state_dir: &Path,
    first: &Folder,
    now: Timestamp,
) -> Result<(Copied, u64), Problem> {
    let (store, location) = (work.store.clone(), first.clone());
    let (folder, at) = bounded(plan.time_limit, FIRST, move || {
        location.sweep(&store)?;
        let at = free_moment(&location, &store, now)?;
        Ok((location.begin(&store, at)?, at))
    })
    .await?;
    let paced = Paced::new(work.pace, plan.time_limit);
    let private = Private::new(state_dir)?;
    let (data, engine) = match &work.source {
        Source::Mysql(_) => ("data.sql.gz.age", "mysql"),
        Source::Sqlite(_) => ("data.db.gz.age", "sqlite"),
    };
    let mut sealed = Sealed::create(&folder.join(data), &plan.recipients, paced)?;
    let (contents, log) = match &work.source {
        Source::Mysql(login) => dump::dump(login, work.binary_log, &private.0, &mut sealed).await?,
        Source::Sqlite(file) => (copy_file(file, &private.0, &mut sealed).await?, None),
    };
    let plain_bytes = sealed.finish().await?;
    // Each sync makes commits beside it wait, so that this is work too.
    let mut naming = Paced::new(work.pace, plan.time_limit);
    let beside = async |file: &Option<PathBuf>, name| match file {
        Some(file) => seal_file(file, &folder, name, &plan.recipients).await,
        None => Ok(None),
    };
    let configuration = beside(&work.configuration, "configuration.toml.gz.age").await?;
    let deletions = beside(&work.deletions, "deletions.jsonl.gz.age").await?;
    let rows = contents.rows();
    let manifest = Manifest {
        format: FORMAT,
        version: work.version.clone(),
        schema: store::schema::VERSION,
        store: work.store.clone(),
        tenants: work.tenants.clone(),
        engine: engine.to_owned(),
        place: work.place.clone(),
        started_at: at,
        finished_at: Timestamp::now(),
        data: data.to_owned(),
        plain_bytes,
        recipients: plan.recipients.clone(),
        configuration,
        deletions,
        log,
        secrets: work.secrets.clone(),
        contents,
    };
    let (store, location) = (work.store.clone(), first.clone());
    let named = bounded(plan.time_limit, FIRST, move || {
        complete(&folder, &manifest)?;
        location.name(&store, at)
    });
    let copy = named.await?;
    naming.rest().await;
    Ok((copy, rows))
}

/// How the first location is named in an error.
const FIRST: (&str, &str) = ("the folder of copies", "la carpeta de copias");
/// How the second one is.
const SECOND: (&str, &str) = ("the second location", "la segunda ubicación");

/// A moment that no copy has yet: now, or a second later.
fn free_moment(location: &Folder, store: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let taken: Vec<String> = location.copies(store)?.iter().map(Copied::name).collect();
    let mut at = Timestamp::from_second(now.as_second()).unwrap_or(now);
    while taken.contains(&moment(at)) {
        at += SignedDuration::from_secs(1);
    }
    Ok(at)
}

/// A copy of a SQLite file, taken while others write, and read before it is packed.
async fn copy_file(file: &Path, private: &Path, to: &mut Sealed) -> Result<Contents, Problem> {
    if !file.is_file() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Problem::file(file, &missing));
    }
    let copy = private.join("copy.db");
    let read = async {
        let mut engine = Target::Sqlite(file.to_owned()).connect().await?;
        let copied = contents::copy_sqlite(&mut engine, &copy).await;
        engine.close().await;
        copied?;
        let mut engine = Target::Sqlite(copy.clone()).connect().await?;
        let contents = contents::read(&mut engine).await;
        engine.close().await;
        contents
    };
    let contents = read.await.map_err(|failure| Problem::database(&failure))?;
    pack(&copy, to).await?;
    Ok(contents)
}

pub(crate) async fn pack(file: &Path, to: &mut Sealed) -> Result<(), Problem> {
    let wrong = |error| Problem::file(file, &error);
    let mut read = tokio::fs::File::open(file).await.map_err(wrong)?;
    let mut piece = vec![0; PIECE];
    loop {
        match read.read(&mut piece).await.map_err(wrong)? {
            0 => return Ok(()),
            n => to.write(piece.get(..n).unwrap_or_default()).await?,
        }
    }
}

/// A small file beside the data; its name in the copy.
async fn seal_file(
    file: &Path,
    folder: &Path,
    name: &str,
    keys: &[String],
) -> Result<Option<String>, Problem> {
    let mut sealed = Sealed::create(&folder.join(name), keys, Paced::full())?;
    pack(file, &mut sealed).await?;
    sealed.finish().await?;
    Ok(Some(name.to_owned()))
}

/// Carries a copy to the second location; true when that is another disk.
async fn carry(copy: &Copied, plan: &Plan, second: &Location) -> Result<bool, Problem> {
    let (copy, first, second) = (copy.clone(), plan.folder.clone(), second.clone());
    bounded(plan.time_limit, SECOND, move || {
        second.receive(&copy)?;
        second.is_apart_from(&first)
    })
    .await
}

/// A length as a count of bytes.
pub(crate) fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
