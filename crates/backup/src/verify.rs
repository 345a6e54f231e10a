//! The proof of a copy: restored, read, and compared with what was read while it was made.
//!
//! A copy that was never restored is a hope. Here every byte is held against its hash, the file is
//! opened with the secret key, restored into a private server or file, each table and day is
//! compared, and the views of the outside contract are read. The real databases are not touched.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use daemon::config::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::contents::{self, Contents};
use store::{AnyEngine, Target};
use tokio::io::AsyncWriteExt as _;

use crate::copies::{bounded, hash, moment, read_moment, replace};
use crate::log::{Ended, replay, unpack};
use crate::scratch::Scratch;
use crate::seal::Opened;
use crate::{Copied, Location, Manifest, Problem};

/// The folder of evidence in the state folder.
const EVIDENCE: &str = "backup-evidence";
/// For reading a copy's bytes; a disk that takes longer hangs.
const READING: Duration = Duration::from_secs(3600);

/// What a proof found, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The store's label.
    pub store: String,
    /// The moment of the copy.
    pub copy: Timestamp,
    /// Its folder.
    pub location: String,
    /// The SHA-256 of the copy's own list of hashes: names every byte of it.
    pub sums_sha256: String,
    /// When the proof began.
    pub checked_at: Timestamp,
    /// Seconds from the first byte to the last comparison.
    pub seconds: f64,
    /// Tables compared.
    pub tables: usize,
    /// Rows compared.
    pub rows: u64,
    /// Rows that each view of the contract gave.
    pub views: Vec<(String, u64)>,
    /// What was committed after the copy, where the binary log is shipped.
    #[serde(default)]
    pub replayed: Option<Replayed>,
    /// True when nothing differed.
    pub equal: bool,
    /// The tables and days that differed, copy first.
    pub differences: Vec<String>,
}

/// The binary log behind a copy, replayed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    /// Everything that was committed before is there.
    pub until: Timestamp,
    /// Rows of `event_feed` that it added.
    pub rows: u64,
    /// Why it ends there, if not because nothing else was shipped.
    pub ended: Option<String>,
}

impl Evidence {
    fn path(state_dir: &Path, store: &str, at: Timestamp) -> PathBuf {
        let name = format!("{store}-{}.json", moment(at));
        state_dir.join(EVIDENCE).join(name)
    }

    /// True when that copy was once restored and found equal.
    pub fn proves(state_dir: &Path, store: &str, at: Timestamp) -> bool {
        let text = fs::read_to_string(Self::path(state_dir, store, at)).unwrap_or_default();
        serde_json::from_str(&text).is_ok_and(|evidence: Self| evidence.equal)
    }

    /// True when any copy of that store was once restored here and found equal, though it may be gone.
    pub fn knows(state_dir: &Path, store: &str) -> bool {
        let evidence = fs::read_dir(state_dir.join(EVIDENCE));
        evidence.into_iter().flatten().flatten().any(|entry| {
            let name = PathBuf::from(entry.file_name());
            let at = name.file_stem().and_then(OsStr::to_str);
            let at = at.and_then(|it| it.strip_prefix(store)?.strip_prefix('-'));
            let at = at.and_then(|at| read_moment(OsStr::new(at)));
            at.is_some_and(|at| Self::proves(state_dir, store, at))
        })
    }

    /// Writes it, and its hash beside it.
    fn keep(&self, state_dir: &Path) -> Result<PathBuf, Problem> {
        let name = format!("{}-{}", self.store, moment(self.copy));
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        keep_evidence(state_dir, &name, &(text + "\n")).map(|(path, _)| path)
    }
}

/// Writes a file of evidence, and its hash beside it; the file and the hash.
pub(crate) fn keep_evidence(
    state_dir: &Path,
    name: &str,
    text: &str,
) -> Result<(PathBuf, String), Problem> {
    let folder = state_dir.join(EVIDENCE);
    fs::create_dir_all(&folder).map_err(|error| Problem::file(&folder, &error))?;
    let path = folder.join(format!("{name}.json"));
    replace(&path, text)?;
    let sum = hash(&path).map_err(|error| Problem::file(&path, &error))?;
    let beside = path.with_extension("json.sha256");
    replace(&beside, &format!("{sum}  {name}.json\n"))?;
    Ok((path, sum))
}

/// Proves copies, one after another; all that need a server share one.
pub struct Proof<'a> {
    key: &'a Secret,
    state_dir: &'a Path,
    folder: PathBuf,
    locations: Vec<Location>,
    scratch: Option<Scratch>,
}

impl<'a> Proof<'a> {
    /// Proofs with this secret key. What is restored is in `folder`, which is empty and ours.
    /// The binary log behind a copy is looked for in `locations`.
    pub fn new(
        key: &'a Secret,
        state_dir: &'a Path,
        folder: &Path,
        locations: Vec<Location>,
    ) -> Self {
        let folder = folder.to_owned();
        Self {
            key,
            state_dir,
            folder,
            locations,
            scratch: None,
        }
    }

    /// An empty folder for a copy that lies in a remote.
    fn brought(&self) -> Result<PathBuf, Problem> {
        let folder = self.folder.join("brought");
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Problem::file(&folder, &error))
            }
            _ => Ok(folder),
        }
    }

    async fn restore(&mut self, copy: &Copied, manifest: &Manifest) -> Result<AnyEngine, Problem> {
        let data = copy.folder.join(&manifest.data);
        let mut opened = Opened::open(&data, self.key).await?;
        if manifest.engine == "sqlite" {
            return restore_file(&mut opened, &self.folder.join("restored.db")).await;
        }
        let scratch = match &mut self.scratch {
            Some(scratch) => scratch,
            none => none.insert(Scratch::start(&self.folder).await?),
        };
        let name = manifest.log.as_ref().map(|mark| mark.database.as_str());
        let (database, mut filling) = scratch.fill(name).await?;
        while let Some(bytes) = opened.next().await? {
            filling.write(&bytes).await?;
        }
        filling.finish().await?;
        scratch.connect(&database).await
    }

    /// Replays what was committed after the copy; `None` where no log follows it.
    async fn follow(
        &self,
        manifest: &Manifest,
        engine: &mut AnyEngine,
        before: &[(String, u64)],
    ) -> Result<Option<Replayed>, Problem> {
        let folder = self.folder.join("log");
        let wrong = |error| Problem::file(&folder, &error);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(wrong)?;
        }
        fs::create_dir(&folder).map_err(wrong)?;
        let tail = unpack(manifest, &self.locations, self.key, None, &folder).await?;
        let (Some(tail), Some(scratch)) = (tail, &self.scratch) else {
            return Ok(None);
        };
        if let Ended::Damaged(problem) = tail.ended {
            return Err(problem);
        }
        replay(&tail, &mut scratch.client(), crate::scratch::refused).await?;
        let after = contents::views(engine).await;
        let after = after.map_err(|failure| Problem::database(&failure))?;
        let rows = |view: &str, rows: &u64| (view == FEED).then_some(*rows);
        let now = after.iter().find_map(|(view, count)| rows(view, count));
        let then = before.iter().find_map(|(view, count)| rows(view, count));
        Ok(Some(Replayed {
            until: tail.until,
            rows: now.unwrap_or(0).saturating_sub(then.unwrap_or(0)),
            ended: match tail.ended {
                Ended::Away(statement) => Some(statement),
                _ => None,
            },
        }))
    }
}

/// The view that other programs read.
const FEED: &str = "event_feed";

async fn restore_file(opened: &mut Opened, path: &Path) -> Result<AnyEngine, Problem> {
    for end in ["", "-wal", "-shm"] {
        let mut old = path.as_os_str().to_owned();
        old.push(end);
        fs::remove_file(&old).ok();
    }
    let wrong = |error| Problem::file(path, &error);
    let mut file = tokio::fs::File::create(path).await.map_err(wrong)?;
    while let Some(bytes) = opened.next().await? {
        file.write_all(&bytes).await.map_err(wrong)?;
    }
    file.flush().await.map_err(wrong)?;
    let connected = Target::Sqlite(path.to_owned()).connect().await;
    connected.map_err(|failure| Problem::damaged(&path.display().to_string(), failure.text))
}

/// Restores a copy and compares it; what was found, and the file that keeps it.
///
/// # Errors
/// The copy is damaged, was made for other keys or by a later version, cannot be restored, or
/// differs from what was dumped; evidence of a difference is kept before that is told.
pub async fn verify(copy: &Copied, proof: &mut Proof<'_>) -> Result<(Evidence, PathBuf), Problem> {
    let (begun, checked_at) = (Instant::now(), Timestamp::now());
    let (away, shown) = (copy.clone(), copy.folder.display().to_string());
    let scratch = proof.brought()?;
    let (read, manifest, sums_sha256) = bounded(READING, ("the copy", "la copia"), move || {
        let read = away.at_hand(&scratch)?;
        read.check()?;
        let manifest = read.manifest()?;
        let sums = read.folder.join(crate::copies::SUMS);
        let hash = hash(&sums).map_err(|error| Problem::file(&sums, &error))?;
        Ok((read, manifest, hash))
    })
    .await?;
    let mut engine = proof.restore(&read, &manifest).await?;
    let found = compare(&mut engine, &manifest.contents).await;
    let followed = match &found {
        Ok((differences, views)) if differences.is_empty() => {
            proof.follow(&manifest, &mut engine, views).await
        }
        _ => Ok(None),
    };
    engine.close().await;
    let (differences, views) = found.map_err(|failure| Problem::damaged(&shown, failure.text))?;
    let evidence = Evidence {
        store: copy.store.clone(),
        copy: copy.at,
        location: shown.clone(),
        sums_sha256,
        checked_at,
        seconds: begun.elapsed().as_secs_f64(),
        tables: manifest.contents.tables(),
        rows: manifest.contents.rows(),
        views,
        replayed: followed?,
        equal: differences.is_empty(),
        differences,
    };
    let path = evidence.keep(proof.state_dir)?;
    if evidence.equal {
        return Ok((evidence, path));
    }
    let what = evidence.differences.join(", ");
    Err(Problem::new(
        format!("what was restored from {shown} is not what was dumped; keep the copy, make another one (`satellite backup run`) and verify that"),
        format!("lo restaurado de {shown} no es lo que se respaldó; conserve la copia, haga otra (`satellite backup run`) y compruébela"),
    )
    .because(what))
}

/// The tables and days that differ, and how many rows each view gave.
async fn compare(
    engine: &mut AnyEngine,
    dumped: &Contents,
) -> Result<(Vec<String>, Vec<(String, u64)>), store::Failure> {
    let restored = contents::read(engine).await?;
    let views = contents::views(engine).await?;
    let views = views
        .into_iter()
        .map(|(view, rows)| (view.to_owned(), rows));
    Ok((dumped.differences(&restored), views.collect()))
}
