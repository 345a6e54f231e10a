//! The way back: a copy put in the place of a database.
//!
//! Before anything is touched all of the copy is read: hashes, key, every byte to its end. A file
//! is restored beside its place and renamed when it was found equal; a database on a server is
//! emptied and filled, and compared afterwards, so that whoever is interrupted there begins again;
//! until then a note in the state folder keeps satellite from starting on half of a copy.
//! The caller has seen to it that nobody writes, that a person said yes, and that what was there
//! was copied first.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use daemon::config::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::contents::{self, Contents};
use store::{AnyEngine, Target};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::copies::{bounded, replace};
use crate::dump::OptionFile;
use crate::log::{Tail, replay};
use crate::seal::Opened;
use crate::take::Private;
use crate::{Copied, Login, Manifest, Problem, programs};

/// For reading a copy's bytes; a disk that takes longer hangs.
const READING: Duration = Duration::from_secs(3600);
/// What a file is called until it is whole.
const UNFINISHED: &str = ".restoring";

/// Where a copy goes.
pub enum Destination<'a> {
    /// A database on a server, and who may make tables there.
    Mysql(&'a Target, &'a Login),
    /// A file.
    Sqlite(&'a Path),
}

impl Destination<'_> {
    fn engine(&self) -> &'static str {
        match self {
            Self::Mysql(..) => "mysql",
            Self::Sqlite(_) => "sqlite",
        }
    }
}

/// Reads all of a copy and changes nothing; what it is.
///
/// # Errors
/// It is damaged, foreign, made by a later version or of another kind of database.
pub async fn read_whole(
    copy: &Copied,
    key: &Secret,
    to: &Destination<'_>,
) -> Result<Manifest, Problem> {
    let read = copy.clone();
    let manifest = bounded(READING, ("the copy", "la copia"), move || {
        read.check()?;
        read.manifest()
    })
    .await?;
    if manifest.engine != to.engine() {
        let (is, wants) = (&manifest.engine, to.engine());
        return Err(Problem::new(
            format!(
                "the copy is of a database of {is}, and the configuration names one of {wants}; correct the url of the store"
            ),
            format!(
                "la copia es de una base de {is} y la configuración indica una de {wants}; corrija la url del almacén"
            ),
        ));
    }
    let mut opened = Opened::open(&copy.folder.join(&manifest.data), key).await?;
    while opened.next().await?.is_some() {}
    Ok(manifest)
}

/// The proofs of deletions that a copy brings; empty where it has none.
///
/// # Errors
/// They cannot be read.
pub async fn deletions(
    copy: &Copied,
    manifest: &Manifest,
    key: &Secret,
) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::new();
    if let Some(name) = &manifest.deletions {
        let mut opened = Opened::open(&copy.folder.join(name), key).await?;
        while let Some(piece) = opened.next().await? {
            text.extend(piece);
        }
    }
    Ok(text)
}

/// Puts a copy in its place, compares what is there then with what was dumped, and replays what
/// was committed after it.
///
/// # Errors
/// There is no room, the account may not make tables, or what is there afterwards is not what was
/// dumped. A file's place is untouched then; a database has to be restored again.
pub async fn restore(
    copy: &Copied,
    manifest: &Manifest,
    key: &Secret,
    to: &Destination<'_>,
    tail: Option<&Tail>,
    state_dir: &Path,
) -> Result<(), Problem> {
    let mut opened = Opened::open(&copy.folder.join(&manifest.data), key).await?;
    match to {
        Destination::Mysql(target, login) => {
            let private = Private::new(state_dir)?;
            make(login, private.path()).await?;
            Unfinished::begin(state_dir, &manifest.store)?;
            fill(&mut opened, target, login, private.path()).await?;
            let connected = target.connect().await;
            let mut engine = connected.map_err(|failure| Problem::database(&failure))?;
            let compared = equal(&mut engine, &manifest.contents).await;
            engine.close().await;
            compared?;
            match tail {
                Some(tail) => follow(tail, target, login, private.path()).await,
                None => Ok(()),
            }
        }
        Destination::Sqlite(path) => {
            let noted = || Unfinished::begin(state_dir, &manifest.store);
            into_file(&mut opened, path, &manifest.contents, noted).await
        }
    }
}

/// Replays what was committed after the copy, and sees that the views of the contract answer.
async fn follow(
    tail: &Tail,
    target: &Target,
    login: &Login,
    private: &Path,
) -> Result<(), Problem> {
    let options = OptionFile::write(private, &login.options())?;
    let mut command = client(&options)?;
    command.arg(&login.url.database);
    replay(tail, &mut command, refused).await?;
    let looked = async {
        let mut engine = target.connect().await?;
        let views = contents::views(&mut engine).await;
        engine.close().await;
        views
    };
    let views = looked.await;
    views
        .map(drop)
        .map_err(|failure| Problem::database(&failure))
}

async fn equal(engine: &mut AnyEngine, dumped: &Contents) -> Result<(), Problem> {
    let read = async {
        let found = contents::read(engine).await?;
        contents::views(engine).await?;
        Ok(dumped.differences(&found))
    };
    let differences = read
        .await
        .map_err(|failure: store::Failure| Problem::database(&failure))?;
    if differences.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        "what is there now is not what was dumped; is somebody writing? Stop satellite everywhere and restore again",
        "lo que hay ahora no es lo que se respaldó; ¿alguien está escribiendo? Detenga el Programa Satélite en todas partes y restaure otra vez",
    )
    .because(differences.join(", ")))
}

async fn into_file(
    opened: &mut Opened,
    path: &Path,
    dumped: &Contents,
    noted: impl FnOnce() -> Result<(), Problem>,
) -> Result<(), Problem> {
    let unfinished = beside(path, UNFINISHED);
    for end in ["", "-wal", "-shm"] {
        // What an earlier try has left.
        fs::remove_file(beside(&unfinished, end)).ok();
    }
    let made = write_file(opened, &unfinished, dumped).await;
    // Until its caller has said again what an older copy lacks, satellite must not serve from it.
    let put = made.and_then(|()| noted()).and_then(|()| {
        for end in ["-wal", "-shm"] {
            // They belong to the file that goes.
            fs::remove_file(beside(path, end)).ok();
        }
        let synced = File::open(&unfinished).and_then(|file| file.sync_all());
        let renamed = synced.and_then(|()| fs::rename(&unfinished, path));
        let folder = path.parent().unwrap_or_else(|| Path::new("/"));
        let kept = renamed.and_then(|()| File::open(folder)?.sync_all());
        kept.map_err(|error| Problem::file(path, &error))
    });
    if put.is_err() {
        fs::remove_file(&unfinished).ok();
    }
    put
}

async fn write_file(opened: &mut Opened, path: &Path, dumped: &Contents) -> Result<(), Problem> {
    let wrong = |error| Problem::file(path, &error);
    let mut file = tokio::fs::File::create(path).await.map_err(wrong)?;
    while let Some(bytes) = opened.next().await? {
        file.write_all(&bytes).await.map_err(wrong)?;
    }
    file.flush().await.map_err(wrong)?;
    file.sync_all().await.map_err(wrong)?;
    let connected = Target::Sqlite(path.to_owned()).connect().await;
    let mut engine =
        connected.map_err(|failure| Problem::damaged(&path.display().to_string(), failure.text))?;
    let compared = equal(&mut engine, dumped).await;
    engine.close().await;
    compared
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Makes the database where it is not there.
async fn make(login: &Login, private: &Path) -> Result<(), Problem> {
    let options = OptionFile::write(private, &login.options())?;
    let mut make = client(&options)?;
    let name = login.url.database.replace('`', "``");
    make.arg(format!(
        "--execute=CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    ));
    let mut made = programs::start(&mut make)?;
    programs::ended(&mut made).await.map_err(refused)
}

/// Empties the database and fills it.
async fn fill(
    opened: &mut Opened,
    target: &Target,
    login: &Login,
    private: &Path,
) -> Result<(), Problem> {
    let options = OptionFile::write(private, &login.options())?;
    let database = &login.url.database;
    let emptied = async {
        let mut engine = target.connect().await?;
        let done = contents::clear(&mut engine).await;
        engine.close().await;
        done
    };
    emptied
        .await
        .map_err(|failure: store::Failure| refused(failure.text))?;
    let mut command = client(&options)?;
    command.arg(database).stdin(Stdio::piped());
    let mut program = programs::start(&mut command)?;
    let mut pipe = program.stdin.take();
    while let Some(bytes) = opened.next().await? {
        let Some(to) = &mut pipe else { break };
        if to.write_all(&bytes).await.is_err() {
            // The pipe breaks when the client ends; why it ended says more.
            break;
        }
    }
    drop(pipe);
    programs::ended(&mut program).await.map_err(refused)
}

fn client(options: &OptionFile) -> Result<Command, Problem> {
    let program = programs::find(&["mariadb", "mysql"], "mariadb-client")?;
    let mut command = programs::command(&program);
    // The option file has to stand first.
    command
        .arg(format!("--defaults-file={}", options.path().display()))
        .args(["--default-character-set=utf8mb4", "--max-allowed-packet=1G"])
        .arg("--binary-mode");
    Ok(command)
}

fn refused(said: impl std::fmt::Display) -> Problem {
    let said = said.to_string();
    if said.contains("BINLOG REPLAY") {
        return Problem::new(
            "the account may not replay the binary log; give satellite_admin the right BINLOG REPLAY (grants.sql) and restore again, or restore the copy alone: --without-log",
            "la cuenta no puede reproducir la bitácora del servidor; dé a satellite_admin el permiso BINLOG REPLAY (grants.sql) y restaure otra vez, o restaure solo la copia: --without-log",
        )
        .because(said);
    }
    let denied = [
        "Access denied",
        "command denied",
        "insufficient privileges",
        "1044",
        "1142",
        "1227",
    ];
    if denied.iter().any(|words| said.contains(words)) {
        return Problem::new(
            "the account may not make tables; restore with a configuration that names satellite_admin (grants.sql): satellite restore --config FILE",
            "la cuenta no puede crear tablas; restaure con una configuración que indique satellite_admin (grants.sql): satellite restore --config ARCHIVO",
        )
        .because(said);
    }
    Problem::new(
        "the database did not take the copy; see that the server runs and its disk has room, then restore again: what was there is in the safety copy",
        "la base de datos no aceptó la copia; vea que el servidor esté en marcha y su disco tenga espacio, y restaure otra vez: lo que había está en la copia de resguardo",
    )
    .because(said)
}

/// What a restore did, kept for the report that follows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    /// When a person said yes.
    pub begun_at: Timestamp,
    /// When everything was in its place.
    pub finished_at: Timestamp,
    /// Who.
    pub by: String,
    /// Who else, where two are needed.
    pub approved_by: Option<String>,
    /// The databases.
    pub stores: Vec<RestoredStore>,
}

/// One database of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestoredStore {
    /// The store's label.
    pub store: String,
    /// The moment of the copy.
    pub copy: Timestamp,
    /// Its folder.
    pub folder: String,
    /// Rows in it.
    pub rows: u64,
    /// Up to when the binary log was replayed behind it.
    #[serde(default)]
    pub log_until: Option<Timestamp>,
    /// The copy of what was there before.
    pub safety_copy: Option<String>,
}

/// A restore that a second person has to approve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What is to be restored: stores and copies.
    pub what: String,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: Timestamp,
    /// Who approved.
    pub approved_by: Option<String>,
}

/// Databases whose restore has begun and not ended: half of a copy may stand there, or what the copy
/// lacks was not said again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Unfinished {
    /// Labels of the stores.
    pub stores: BTreeSet<String>,
}

impl Unfinished {
    /// Notes that what is there is about to go.
    fn begin(state_dir: &Path, store: &str) -> Result<(), Problem> {
        let mut known = Self::read(state_dir).unwrap_or_default();
        known.stores.insert(store.to_owned());
        known.keep(state_dir)
    }

    /// Notes that all of a copy is there.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn end(state_dir: &Path, store: &str) -> Result<(), Problem> {
        let Some(mut known) = Self::read(state_dir) else {
            return Ok(());
        };
        known.stores.remove(store);
        if known.stores.is_empty() {
            Self::forget(state_dir);
            return Ok(());
        }
        known.keep(state_dir)
    }
}

/// A small file of the state folder.
pub trait Kept: Serialize + for<'de> Deserialize<'de> {
    /// Its name in the state folder.
    const NAME: &'static str;

    /// Writes it.
    ///
    /// # Errors
    /// It cannot be written.
    fn keep(&self, state_dir: &Path) -> Result<(), Problem> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        replace(&state_dir.join(Self::NAME), &(text + "\n"))
    }

    /// What was last written; `None` without a file that can be read.
    fn read(state_dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(state_dir.join(Self::NAME)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Removes it.
    fn forget(state_dir: &Path) {
        // Where there is none, none is what was wanted.
        fs::remove_file(state_dir.join(Self::NAME)).ok();
    }
}

impl Kept for Restored {
    const NAME: &'static str = "restore.json";
}

impl Kept for Unfinished {
    const NAME: &'static str = "restore-unfinished.json";
}

impl Kept for Request {
    const NAME: &'static str = "restore-request.json";
}
