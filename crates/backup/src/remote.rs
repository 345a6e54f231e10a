//! A location behind `rclone`: SFTP, S3 and whatever else that program speaks.
//!
//! `<remote>/<store>/<moment>/`, as in a folder. Not every remote can rename, so here a copy is one
//! when its list of hashes is there: that file goes up last, after everything else was read back, and
//! comes off first. Passwords stand in rclone's own configuration; nothing here reads them, and none
//! is on a command line. A remote that hangs is given up, and its program ended.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::copies::{SUMS, read_moment};
use crate::log::pieces_in;
use crate::{Copied, Problem, programs};

/// How a location is written that is none of this machine's folders.
const SCHEME: &str = "rclone:";
/// Bytes of a complaint that are kept.
const SAID: u64 = 4 << 10;
/// What rclone ends with when the folder that is listed is not there.
const NOT_THERE: i32 = 3;
/// What every order begins with: a link that says nothing is not waited for without an end.
const ALWAYS: [&str; 7] = [
    "--contimeout=15s",
    "--timeout=60s",
    "--retries=2",
    "--low-level-retries=3",
    "--stats=0",
    "--log-level=ERROR",
    "--ask-password=false",
];

/// A remote of rclone and a path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// `REMOTE:PATH`, as rclone writes it.
    at: String,
    /// Its configuration; rclone's own choice when there is none.
    config: Option<PathBuf>,
    /// Longest time for one order.
    limit: Duration,
    /// What was there when it was first asked for.
    listed: OnceLock<Vec<File>>,
}

/// One file of a remote.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct File {
    #[serde(rename = "Path")]
    path: String,
    #[serde(rename = "Size")]
    size: i64,
}

impl Remote {
    /// The remote that a location names as `rclone:REMOTE:PATH`; `None` when it is a folder.
    pub fn named(location: &str, config: Option<PathBuf>, limit: Duration) -> Option<Self> {
        let at = location.strip_prefix(SCHEME)?;
        Some(Self {
            at: at.trim_end_matches('/').to_owned(),
            config,
            limit,
            listed: OnceLock::new(),
        })
    }

    /// True when it has a name and a path: what lies at the root of a remote is not ours alone.
    pub fn is_whole(&self) -> bool {
        let parts = self.at.split_once(':');
        parts.is_some_and(|(name, path)| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-. ".contains(c);
            !name.is_empty()
                && !name.starts_with('-')
                && name.chars().all(plain)
                && !path.is_empty()
        })
    }

    /// As it is written in the configuration.
    pub(crate) fn shown(&self) -> String {
        format!("{SCHEME}{}", self.at)
    }

    /// A path in it, as rclone takes it.
    fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.at)
    }

    /// Stores that have a copy here, in the order of their names.
    pub(crate) fn stores(&self) -> Result<Vec<String>, Problem> {
        let whole = self.whole()?.into_iter();
        let stores: BTreeSet<String> = whole.map(|(store, _)| store.to_owned()).collect();
        Ok(stores.into_iter().collect())
    }

    /// Every whole copy of a store, the newest first.
    pub(crate) fn copies(&self, store: &str) -> Result<Vec<Copied>, Problem> {
        let mut found = Vec::new();
        for (_, name) in self.whole()?.into_iter().filter(|(of, _)| *of == store) {
            let Some(at) = read_moment(name.as_ref()) else {
                continue;
            };
            let below = format!("{store}/{name}/");
            let files = self
                .files()?
                .iter()
                .filter(|it| it.path.starts_with(&below));
            let bytes = files.map(|it| u64::try_from(it.size).unwrap_or(0)).sum();
            found.push(Copied {
                store: store.to_owned(),
                at,
                folder: PathBuf::from(self.path(below.trim_end_matches('/'))),
                bytes,
                remote: Some(self.clone()),
            });
        }
        found.sort_by_key(|copy| std::cmp::Reverse(copy.at));
        Ok(found)
    }

    /// Store and name of each whole copy.
    fn whole(&self) -> Result<Vec<(&str, &str)>, Problem> {
        let names = self.files()?.iter().filter_map(|file| {
            let mut parts = file.path.split('/');
            let found = (parts.next()?, parts.next()?);
            (parts.next() == Some(SUMS) && parts.next().is_none()).then_some(found)
        });
        Ok(names.collect())
    }

    /// What there is, asked for once.
    fn files(&self) -> Result<&[File], Problem> {
        if let Some(files) = self.listed.get() {
            return Ok(files);
        }
        let files = self.list("")?;
        Ok(self.listed.get_or_init(|| files))
    }

    fn list(&self, below: &str) -> Result<Vec<File>, Problem> {
        let at = self.path(below);
        let at = at.trim_end_matches('/');
        let order = [
            "lsjson",
            "-R",
            "--files-only",
            "--no-modtime",
            "--no-mimetype",
            at,
        ];
        match self.order(&order, "")? {
            (Some(0), said) => serde_json::from_slice(&said).map_err(|it| self.wrong(it)),
            (Some(NOT_THERE), _) => Ok(Vec::new()),
            (_, said) => Err(self.wrong(String::from_utf8_lossy(&said))),
        }
    }

    /// Takes a copy in: the list of hashes last, when all the rest was read back.
    pub(crate) fn receive(&self, copy: &Copied) -> Result<(), Problem> {
        self.sweep(&copy.store)?;
        let there = self.path(&format!("{}/{}", copy.store, copy.name()));
        let here = copy.folder.display().to_string();
        let but_sums = format!("--exclude=/{SUMS}");
        self.done(&["copy", &but_sums, &here, &there])?;
        self.done(&["check", "--download", &but_sums, &here, &there])?;
        let (sums, named) = (copy.folder.join(SUMS), format!("{there}/{SUMS}"));
        self.done(&["copyto", &sums.display().to_string(), &named])?;
        let kept = fs::read(&sums).map_err(|error| Problem::file(&sums, &error))?;
        match self.done(&["cat", &named])? == kept {
            true => Ok(()),
            false => Err(Problem::damaged(&there, SUMS)),
        }
    }

    /// Removes what a run that was cut off has left of a store: files of no whole copy.
    fn sweep(&self, store: &str) -> Result<(), Problem> {
        let files = self.list(store)?;
        let folders = |wanted: fn(&str) -> bool| -> BTreeSet<&str> {
            let parts = files.iter().filter_map(|it| it.path.split_once('/'));
            parts
                .filter(|(_, name)| wanted(name))
                .map(|it| it.0)
                .collect()
        };
        let whole = folders(|name| name == SUMS);
        for half in folders(|_| true).difference(&whole) {
            if read_moment(half.as_ref()).is_some() {
                self.done(&["purge", &self.path(&format!("{store}/{half}"))])?;
            }
        }
        Ok(())
    }

    /// Removes a copy: first what makes it one, then the rest.
    pub(crate) fn remove(&self, copy: &Copied) -> Result<(), Problem> {
        let there = self.path(&format!("{}/{}", copy.store, copy.name()));
        self.done(&["deletefile", &format!("{there}/{SUMS}")])?;
        self.done(&["purge", &there]).map(drop)
    }

    /// Brings a copy into a folder of ours.
    pub(crate) fn bring(&self, copy: &Copied, into: &Path) -> Result<PathBuf, Problem> {
        let below = format!("{}/{}", copy.store, copy.name());
        let folder = into.join(&below);
        self.fetch(&below, &folder)?;
        Ok(folder)
    }

    fn fetch(&self, below: &str, folder: &Path) -> Result<(), Problem> {
        let here = folder.display().to_string();
        let fetched = self.done(&["copy", &self.path(below), &here]);
        fetched.map(drop).map_err(|problem| match &problem.cause {
            Some(cause) if cause.contains("no space left") => Problem::no_space(&here),
            _ => problem,
        })
    }

    /// Longest time for one order.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Carries those pieces of a server's log here that are not there. Like in a folder a piece gets
    /// its name when all of it is there: it goes up beside, is read back, and is moved.
    pub(crate) fn receive_log(&self, first: &Path, server: &str) -> Result<(), Problem> {
        let there: BTreeSet<String> = self.list(server)?.into_iter().map(|it| it.path).collect();
        let root = first.join(server);
        let names = pieces_in(first, server)?.into_iter().filter_map(|piece| {
            let below = piece.path.strip_prefix(&root).ok()?;
            Some(below.to_string_lossy().into_owned())
        });
        let missing: Vec<String> = names.filter(|name| !there.contains(name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let list = missing.join("\n");
        let (here, part) = (
            root.display().to_string(),
            self.path(&format!("{server}.part")),
        );
        for order in [
            ["copy", "--size-only", &here, &part],
            ["check", "--download", &here, &part],
            ["move", "--size-only", &part, &self.path(server)],
        ] {
            let order = [&order[..], &["--files-from-raw=-"]].concat();
            self.succeeds(self.order(&order, &list)?)?;
        }
        Ok(())
    }

    /// Brings the log of a server into a folder of ours.
    pub(crate) fn bring_log(&self, server: &str, into: &Path) -> Result<(), Problem> {
        if self.log_files(server)?.is_empty() {
            return Ok(());
        }
        self.fetch(server, &into.join(server))
    }

    /// Path below the folder of a server's log, and size, of each of its files.
    pub(crate) fn log_files(&self, server: &str) -> Result<Vec<(&str, u64)>, Problem> {
        let files = self.files()?.iter().filter_map(|file| {
            let below = file.path.strip_prefix(server)?.strip_prefix('/')?;
            Some((below, u64::try_from(file.size).ok()?))
        });
        Ok(files.collect())
    }

    /// Removes one file of a server's log.
    pub(crate) fn remove_log(&self, server: &str, below: &str) -> Result<(), Problem> {
        let at = self.path(&format!("{server}/{below}"));
        self.done(&["deletefile", &at]).map(drop)
    }

    /// An order that has to succeed; what it wrote.
    fn done(&self, words: &[&str]) -> Result<Vec<u8>, Problem> {
        self.succeeds(self.order(words, "")?)
    }

    fn succeeds(&self, ended: (Option<i32>, Vec<u8>)) -> Result<Vec<u8>, Problem> {
        match ended {
            (Some(0), said) => Ok(said),
            (_, said) => Err(self.wrong(String::from_utf8_lossy(&said))),
        }
    }

    /// Carries an order out; its exit status, and what it wrote: to standard output where it
    /// succeeded, else its complaint.
    fn order(&self, words: &[&str], input: &str) -> Result<(Option<i32>, Vec<u8>), Problem> {
        let program = programs::find(&["rclone"], "rclone")?;
        let mut command = Command::new(program);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.args(ALWAYS).args(words);
        command.env("LC_ALL", "C").stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| self.wrong(error))?;
        let (stdin, input) = (child.stdin.take(), input.to_owned());
        // Whoever does not read it to its end says why in another way.
        thread::spawn(move || stdin.map(|mut it| it.write_all(input.as_bytes()).ok()));
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (done, ended) = mpsc::channel();
        let err = thread::spawn(move || read(err, SAID));
        // A program closes what it writes to when it ends.
        thread::spawn(move || done.send(read(out, u64::MAX)).ok());
        let Ok(out) = ended.recv_timeout(self.limit) else {
            child.kill().ok();
            child.wait().ok();
            return Err(Problem::hung(("rclone", "rclone"), self.limit.as_secs()));
        };
        let status = child.wait().map_err(|error| self.wrong(error))?.code();
        let err = err.join().unwrap_or_default();
        Ok((status, if status == Some(0) { out } else { err }))
    }

    fn wrong(&self, cause: impl std::fmt::Display) -> Problem {
        let shown = self.shown();
        let name = self.at.split(':').next().unwrap_or_default();
        let with = self.config.as_ref();
        let with = with.map_or_else(String::new, |it| format!(" --config {}", it.display()));
        Problem::new(
            format!(
                "{shown} cannot be used; see what `rclone lsd {name}:{with}` says, then run it again"
            ),
            format!(
                "{shown} no se puede usar; vea qué dice `rclone lsd {name}:{with}` y ejecútelo otra vez"
            ),
        )
        .because(cause)
    }
}

/// All that a program writes; what is more than `limit` is thrown away, so that it never waits for us.
fn read(from: Option<impl std::io::Read>, limit: u64) -> Vec<u8> {
    let mut said = Vec::new();
    if let Some(mut from) = from {
        // What was read until then is all that there is to tell.
        from.by_ref().take(limit).read_to_end(&mut said).ok();
        std::io::copy(&mut from, &mut std::io::sink()).ok();
    }
    said
}
