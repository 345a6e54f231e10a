//! Folders of copies: what is there, what is whole, how one gets its name and how one goes.
//!
//! `<location>/<store>/<moment>/`, the moment in UTC. What is being written or removed has a name
//! that begins with a dot, so that whatever ends us leaves no half copy under a whole one's name.
//! `SHA256SUMS` covers every byte, its own too: it is compared as text with what the files give.
//! A disk may hang for ever; so all that touches one happens on a thread that can be given up.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use crate::manifest::{FORMAT, Manifest, NAME};
use crate::{Problem, Remote, seal};

/// The file with the hashes of all others, as `sha256sum` writes it.
pub(crate) const SUMS: &str = "SHA256SUMS";
/// How a moment is written in a folder's name.
const MOMENT: &str = "%Y%m%dT%H%M%SZ";
/// Longest manifest that is read, in bytes: 5 years of days in a dozen tables are 2 MiB.
const MANIFEST: u64 = 64 << 20;

/// Does work that may hang with a disk, on a thread of its own that is given up after `limit`.
pub(crate) async fn bounded<T: Send + 'static>(
    limit: Duration,
    what: (&str, &str),
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let (done, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || done.send(work()).ok());
    match tokio::time::timeout(limit, wait).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) | Err(_) => Err(Problem::hung(what, limit.as_secs())),
    }
}

/// True when both folders are on one disk, as far as the system can tell. Folders that are not
/// there yet count as their parents.
fn same_disk(one: &Path, other: &Path) -> Result<bool, Problem> {
    let disk = |path: &Path| {
        let there = path.ancestors().find(|path| path.exists()).unwrap_or(path);
        let read = fs::metadata(there).map(|it| it.dev());
        read.map_err(|error| Problem::file(path, &error))
    };
    Ok(disk(one)? == disk(other)?)
}

/// One whole copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The store's label.
    pub store: String,
    /// When it was made.
    pub at: Timestamp,
    /// Its folder; of one that lies in a remote, as rclone names it.
    pub folder: PathBuf,
    /// Bytes on disk.
    pub bytes: u64,
    /// Where it has to be brought from before it can be read.
    pub(crate) remote: Option<Remote>,
}

impl Copied {
    /// The last part of its folder, by which it is named.
    pub fn name(&self) -> String {
        moment(self.at)
    }

    /// The copy where its files can be read: as it is, or brought into `scratch`, which is ours.
    ///
    /// # Errors
    /// It cannot be brought, or there is no room for it.
    pub fn at_hand(&self, scratch: &Path) -> Result<Self, Problem> {
        let Some(remote) = &self.remote else {
            return Ok(self.clone());
        };
        let folder = remote.bring(self, scratch)?;
        Ok(Self {
            folder,
            remote: None,
            ..self.clone()
        })
    }

    /// Reads its manifest.
    ///
    /// # Errors
    /// It cannot be read, or was written by a later version.
    pub fn manifest(&self) -> Result<Manifest, Problem> {
        let path = self.folder.join(NAME);
        let shown = self.folder.display().to_string();
        let file = File::open(&path).map_err(|error| Problem::file(&path, &error))?;
        let mut text = Vec::new();
        let read = file.take(MANIFEST).read_to_end(&mut text);
        read.map_err(|error| Problem::file(&path, &error))?;
        let format: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| Problem::damaged(&shown, error))?;
        let newer = |key: &str, known: i64| format[key].as_i64().is_some_and(|it| it > known);
        if newer("format", i64::from(FORMAT)) || newer("schema", store::schema::VERSION) {
            let version = format["version"].as_str().unwrap_or("?");
            return Err(Problem::new(
                format!(
                    "the copy {shown} was made by satellite {version}, which is newer; install that version to read it"
                ),
                format!(
                    "la copia {shown} la hizo satellite {version}, que es más nuevo; instale esa versión para leerla"
                ),
            ));
        }
        serde_json::from_value(format).map_err(|error| Problem::damaged(&shown, error))
    }

    /// Reads every byte of it and compares the hashes.
    ///
    /// # Errors
    /// A byte is not what was written, or a file is missing or too many.
    pub fn check(&self) -> Result<(), Problem> {
        let shown = self.folder.display().to_string();
        let path = self.folder.join(SUMS);
        let noted = fs::read(&path).map_err(|error| Problem::damaged(&shown, error))?;
        let found = sums(&self.folder)?;
        if noted == found.as_bytes() {
            return Ok(());
        }
        let noted = String::from_utf8_lossy(&noted).into_owned();
        let wrong = found
            .lines()
            .find(|line| !noted.lines().any(|it| it == *line));
        let wrong = wrong
            .and_then(|line| line.split("  ").nth(1))
            .unwrap_or(SUMS);
        Err(Problem::damaged(&shown, wrong))
    }
}

/// Where copies lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In a folder of this machine, which may be a mounted disk of another one.
    Folder(Folder),
    /// Behind rclone.
    Remote(Remote),
}

impl Location {
    /// A folder.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self::Folder(Folder(path.into()))
    }

    /// As it is written in the configuration.
    pub fn shown(&self) -> String {
        match self {
            Self::Folder(folder) => folder.0.display().to_string(),
            Self::Remote(remote) => remote.shown(),
        }
    }

    /// True when it is not on the disk of that folder.
    ///
    /// # Errors
    /// One of them cannot be looked at.
    pub fn is_apart_from(&self, folder: &Path) -> Result<bool, Problem> {
        match self {
            Self::Folder(it) => Ok(!same_disk(folder, &it.0)?),
            Self::Remote(_) => Ok(true),
        }
    }

    /// The stores that have a whole copy here, in the order of their names.
    ///
    /// # Errors
    /// The location cannot be read; one that is not there has none.
    pub fn stores(&self) -> Result<Vec<String>, Problem> {
        match self {
            Self::Folder(folder) => folder.stores(),
            Self::Remote(remote) => remote.stores(),
        }
    }

    /// Every whole copy of a store, the newest first.
    ///
    /// # Errors
    /// The location cannot be read; one that is not there has none.
    pub fn copies(&self, store: &str) -> Result<Vec<Copied>, Problem> {
        match self {
            Self::Folder(folder) => folder.copies(store),
            Self::Remote(remote) => remote.copies(store),
        }
    }

    /// Copies a copy into this location, and reads it back before it counts as one.
    pub(crate) fn receive(&self, copy: &Copied) -> Result<(), Problem> {
        match self {
            Self::Folder(folder) => {
                folder.is_mounted()?;
                folder.receive(copy).map(drop)
            }
            Self::Remote(remote) => remote.receive(copy),
        }
    }

    /// Removes a copy: first what makes it one, then what is in it.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, copy: &Copied) -> Result<(), Problem> {
        match self {
            Self::Folder(folder) => folder.remove(copy),
            Self::Remote(remote) => remote.remove(copy),
        }
    }
}

/// A folder that holds copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(pub(crate) PathBuf);

impl Folder {
    fn of(&self, store: &str) -> PathBuf {
        self.0.join(store)
    }

    /// A disk that is not mounted must not become a folder on this one.
    pub(crate) fn is_mounted(&self) -> Result<(), Problem> {
        let read = fs::read_dir(&self.0);
        read.map(drop)
            .map_err(|error| Problem::file(&self.0, &error))
    }

    /// A folder that may not be read, such as a disk's `lost+found`, is none of ours.
    fn stores(&self) -> Result<Vec<String>, Problem> {
        let wrong = |error| Problem::file(&self.0, &error);
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(wrong(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(wrong)?;
            let is_folder = entry.file_type().map_err(wrong)?.is_dir();
            let Ok(store) = entry.file_name().into_string() else {
                continue;
            };
            let has_copies = |copies: Vec<Copied>| !copies.is_empty();
            if is_folder && self.copies(&store).is_ok_and(has_copies) {
                found.push(store);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    pub(crate) fn copies(&self, store: &str) -> Result<Vec<Copied>, Problem> {
        let folder = self.of(store);
        let wrong = |error| Problem::file(&folder, &error);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(wrong(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(wrong)?;
            if let Some(at) = read_moment(&entry.file_name()) {
                let folder = entry.path();
                let bytes = size(&folder).map_err(wrong)?;
                let store = store.to_owned();
                found.push(Copied {
                    store,
                    at,
                    folder,
                    bytes,
                    remote: None,
                });
            }
        }
        found.sort_by_key(|copy| std::cmp::Reverse(copy.at));
        Ok(found)
    }

    /// Removes what a run or a removal that was killed has left; call it when no other runs.
    pub(crate) fn sweep(&self, store: &str) -> Result<(), Problem> {
        let folder = self.of(store);
        let Ok(entries) = fs::read_dir(&folder) else {
            return Ok(());
        };
        for entry in entries.flatten() {
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if hidden {
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(|error| Problem::file(&path, &error))?;
            }
        }
        Ok(())
    }

    /// Makes the folder for a new copy, under a name that is no copy's.
    pub(crate) fn begin(&self, store: &str, at: Timestamp) -> Result<PathBuf, Problem> {
        let folder = self.of(store).join(format!(".{}", moment(at)));
        fs::create_dir_all(&folder).map_err(|error| Problem::file(&folder, &error))?;
        Ok(folder)
    }

    /// Gives a copy its name, after all of it has reached the disk.
    pub(crate) fn name(&self, store: &str, at: Timestamp) -> Result<Copied, Problem> {
        let parent = self.of(store);
        let unnamed = parent.join(format!(".{}", moment(at)));
        let folder = parent.join(moment(at));
        let named = sync(&unnamed)
            .and_then(|()| fs::rename(&unnamed, &folder))
            .and_then(|()| File::open(&parent)?.sync_all());
        named.map_err(|error| Problem::file(&folder, &error))?;
        let bytes = size(&folder).map_err(|error| Problem::file(&folder, &error))?;
        let store = store.to_owned();
        Ok(Copied {
            store,
            at,
            folder,
            bytes,
            remote: None,
        })
    }

    /// Copies a copy into this location, and reads it back before it gets its name.
    pub(crate) fn receive(&self, copy: &Copied) -> Result<Copied, Problem> {
        self.sweep(&copy.store)?;
        let folder = self.begin(&copy.store, copy.at)?;
        let wrong = |error| Problem::file(&folder, &error);
        for name in names(&copy.folder).map_err(wrong)? {
            fs::copy(copy.folder.join(&name), folder.join(&name)).map_err(wrong)?;
        }
        let arrived = Copied {
            folder: folder.clone(),
            ..copy.clone()
        };
        arrived.check()?;
        self.name(&copy.store, copy.at)
    }

    /// First its name, then what is in it.
    fn remove(&self, copy: &Copied) -> Result<(), Problem> {
        let gone = self.of(&copy.store).join(format!(".{}", copy.name()));
        let removed = fs::rename(&copy.folder, &gone).and_then(|()| fs::remove_dir_all(&gone));
        removed.map_err(|error| Problem::file(&copy.folder, &error))
    }
}

/// Names of the files in a copy, in their order; nothing else may be in it.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn size(folder: &Path) -> io::Result<u64> {
    let names = names(folder)?;
    let sizes = names
        .iter()
        .map(|name| fs::metadata(folder.join(name)).map(|it| it.len()));
    sizes.sum()
}

/// The hashes of every file but that of the hashes, as `sha256sum` writes them.
fn sums(folder: &Path) -> Result<String, Problem> {
    let wrong = |error| Problem::file(folder, &error);
    let mut text = String::new();
    for name in names(folder).map_err(wrong)? {
        if name != SUMS {
            let hash = hash(&folder.join(&name)).map_err(wrong)?;
            text += &format!("{hash}  {name}\n");
        }
    }
    Ok(text)
}

/// The SHA-256 of a file, in lower-case hexadecimal.
pub(crate) fn hash(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut piece) = (File::open(path)?, Sha256::new(), vec![0; seal::PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => hash.update(piece.get(..read).unwrap_or_default()),
        }
    }
    Ok(hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Writes the manifest and the hashes: the last that a copy gets before its name.
pub(crate) fn complete(folder: &Path, manifest: &Manifest) -> Result<(), Problem> {
    let wrong = |error| Problem::file(folder, &error);
    let text = serde_json::to_string_pretty(manifest).unwrap_or_default();
    fs::write(folder.join(NAME), text + "\n").map_err(wrong)?;
    fs::write(folder.join(SUMS), sums(folder)?).map_err(wrong)
}

/// Brings every file and the folder itself to the disk.
fn sync(folder: &Path) -> io::Result<()> {
    for name in names(folder)? {
        File::open(folder.join(name))?.sync_all()?;
    }
    File::open(folder)?.sync_all()
}

/// Writes a file under another name first, so that a reader sees the old or the new one.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Problem> {
    let mut unnamed = path.as_os_str().to_owned();
    unnamed.push(".new");
    let unnamed = PathBuf::from(unnamed);
    let write = || {
        let mut file = File::create(&unnamed)?;
        file.set_permissions(fs::Permissions::from_mode(0o640))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unnamed, path)
    };
    write().map_err(|error| Problem::file(path, &error))
}

/// A moment as folders are named.
pub(crate) fn moment(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime(MOMENT).to_string()
}

pub(crate) fn read_moment(name: &OsStr) -> Option<Timestamp> {
    let name = name.to_str()?;
    let read = DateTime::strptime(MOMENT, name).ok()?;
    read.to_zoned(TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::contents::Contents;

    const AT: &str = "2026-11-26T06:00:00Z";

    fn made(location: &Folder, at: &str) -> Copied {
        let at: Timestamp = at.parse().unwrap();
        let folder = location.begin("store", at).unwrap();
        fs::write(folder.join("data.sql.gz.age"), [7; 500]).unwrap();
        let manifest = Manifest {
            format: FORMAT,
            version: "0".to_owned(),
            schema: 1,
            store: "store".to_owned(),
            tenants: vec!["acme".to_owned()],
            engine: "mysql".to_owned(),
            place: String::new(),
            started_at: at,
            finished_at: at,
            data: "data.sql.gz.age".to_owned(),
            plain_bytes: 0,
            recipients: Vec::new(),
            configuration: None,
            deletions: None,
            log: None,
            secrets: Vec::new(),
            contents: Contents::default(),
        };
        complete(&folder, &manifest).unwrap();
        location.name("store", at).unwrap()
    }

    #[test]
    fn a_flipped_byte_anywhere_in_a_copy_is_found_and_so_is_a_file_too_many_or_too_few() {
        let folder = tempfile::tempdir().unwrap();
        let copy = made(&Folder(folder.path().to_owned()), AT);
        copy.check().unwrap();
        let mut flipped = 0;
        for name in names(&copy.folder).unwrap() {
            let path = copy.folder.join(&name);
            let whole = fs::read(&path).unwrap();
            for at in 0..whole.len() {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << (at % 8);
                fs::write(&path, &bytes).unwrap();
                assert!(copy.check().is_err(), "{name} at {at}");
                flipped += 1;
            }
            fs::write(&path, &whole[..whole.len() - 1]).unwrap();
            assert!(copy.check().is_err(), "{name} cut");
            fs::remove_file(&path).unwrap();
            assert!(copy.check().is_err(), "{name} gone");
            fs::write(&path, &whole).unwrap();
        }
        assert!(flipped > 900, "{flipped}");
        fs::write(copy.folder.join("more"), "").unwrap();
        assert!(copy.check().is_err());
    }

    #[test]
    fn what_has_no_name_yet_is_no_copy_and_is_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let location = Folder(folder.path().to_owned());
        let copy = made(&location, AT);
        location
            .begin("store", "2026-11-26T09:00:00Z".parse().unwrap())
            .unwrap();
        fs::write(folder.path().join("store/readme"), "").unwrap();
        assert_eq!(
            location.copies("store").unwrap(),
            std::slice::from_ref(&copy)
        );
        // What cannot be read as ours is no store, and hides no other.
        fs::create_dir(folder.path().join("strange")).unwrap();
        fs::write(folder.path().join("strange/20261126T060000Z"), "").unwrap();
        assert!(location.copies("strange").is_err());
        assert_eq!(location.stores().unwrap(), ["store"]);
        location.sweep("store").unwrap();
        assert!(!folder.path().join("store/.20261126T090000Z").exists());
        location.remove(&copy).unwrap();
        assert_eq!(location.copies("store").unwrap(), []);
        assert_eq!(location.copies("other").unwrap(), []);
    }

    #[test]
    fn a_second_location_holds_the_same_bytes() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let copy = made(&Folder(one.path().to_owned()), AT);
        let there = Folder(two.path().to_owned()).receive(&copy).unwrap();
        assert_eq!(there.manifest().unwrap(), copy.manifest().unwrap());
        there.check().unwrap();
        assert!(same_disk(one.path(), &two.path().join("not/there/yet")).unwrap());
    }

    #[test]
    fn a_copy_of_a_later_version_is_not_read_and_names_that_version() {
        let folder = tempfile::tempdir().unwrap();
        let copy = made(&Folder(folder.path().to_owned()), AT);
        fs::write(copy.folder.join(NAME), r#"{"format": 9, "version": "7.1"}"#).unwrap();
        let told = copy.manifest().unwrap_err();
        assert!(told.said.en.contains("install that version") && told.said.en.contains("7.1"));
    }

    #[tokio::test]
    async fn a_location_that_hangs_is_given_up() {
        let (_keep, hang) = std::sync::mpsc::channel::<()>();
        let told = bounded(
            Duration::from_millis(50),
            ("the copy", "la copia"),
            move || {
                hang.recv().ok();
                Ok(())
            },
        );
        let told = told.await.unwrap_err();
        assert!(told.said.en.contains("given up"), "{told}");
    }
}
