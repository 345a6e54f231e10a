//! How far the feed of each store was seen to have come, to the last commit: one small file a
//! store beside the mirror.
//!
//! It is written after every COMMIT and before anybody hears of it, without an fsync: what ends
//! the process (SIGKILL, a panic) does not take it along, and it costs a few microseconds. A power
//! cut may take the newest of it along; what was given out before that is covered by the numbers
//! that the mirror has reserved. A file that is not whole, or speaks of another store, counts as
//! absent: it can only ever say too little, never too much.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The name of the store, and the next free number.
const BYTES: usize = 24;
/// Longest that an answer waits for the note: a disk that hangs must not hold the intake.
const WITHIN: Duration = Duration::from_millis(500);

/// What was noted of one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) store_id: [u8; 16],
    pub(crate) next_seq: i64,
}

/// The notes of all stores; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Floors {
    /// Absent for a mirror that is in memory.
    folder: Option<Arc<Path>>,
    files: Arc<Mutex<HashMap<String, Arc<File>>>>,
    memory: Arc<Mutex<HashMap<String, Floor>>>,
}

impl Floors {
    /// Notes in this folder.
    pub(crate) fn beside(folder: &Path) -> Self {
        Self {
            folder: Some(folder.into()),
            ..Self::default()
        }
    }

    /// Notes how far the store of that label has come.
    ///
    /// # Errors
    /// The file cannot be written, or not in time.
    pub(crate) async fn note(&self, label: &str, floor: Floor) -> io::Result<()> {
        let Some(folder) = self.folder.clone() else {
            lock(&self.memory).insert(label.to_owned(), floor);
            return Ok(());
        };
        let (files, label) = (Arc::clone(&self.files), label.to_owned());
        let writing = tokio::task::spawn_blocking(move || {
            let file = file_of(&files, &folder, &label)?;
            let mut bytes = [0; BYTES];
            let (id, number) = bytes.split_at_mut(16);
            id.copy_from_slice(&floor.store_id);
            number.copy_from_slice(&floor.next_seq.to_le_bytes());
            file.write_all_at(&bytes, 0)
        });
        match tokio::time::timeout(WITHIN, writing).await {
            Ok(done) => done.map_err(io::Error::other)?,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// What was noted of the store of that label.
    pub(crate) fn noted(&self, label: &str) -> Option<Floor> {
        let Some(folder) = &self.folder else {
            return lock(&self.memory).get(label).copied();
        };
        let bytes = std::fs::read(path(folder, label)).ok()?;
        let (id, number) = bytes.split_at_checked(16)?;
        Some(Floor {
            store_id: id.try_into().ok()?,
            next_seq: i64::from_le_bytes(number.try_into().ok()?),
        })
    }
}

fn file_of(
    files: &Mutex<HashMap<String, Arc<File>>>,
    folder: &Path,
    label: &str,
) -> io::Result<Arc<File>> {
    if let Some(file) = lock(files).get(label) {
        return Ok(Arc::clone(file));
    }
    let mut how = OpenOptions::new();
    how.write(true).create(true).truncate(false).mode(0o660);
    let file = Arc::new(how.open(path(folder, label))?);
    lock(files).insert(label.to_owned(), Arc::clone(&file));
    Ok(file)
}

/// Labels are tenants' ids, of letters, digits, `-` and `_`; whatever else one held, it names no
/// other folder.
fn path(folder: &Path, label: &str) -> PathBuf {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let plain = |c: char| if allowed(c) { c } else { '-' };
    let name: String = label.chars().map(plain).collect();
    folder.join(format!("feed-{name}.mark"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[tokio::test]
    async fn what_was_noted_is_read_by_the_next_process_and_half_a_file_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let floor = |next_seq| Floor {
            store_id: [7; 16],
            next_seq,
        };
        let before = Floors::beside(folder.path());
        assert_eq!(before.noted("acme"), None);
        before.note("acme", floor(5)).await.unwrap();
        before.note("acme", floor(1 << 41)).await.unwrap();
        let after = Floors::beside(folder.path());
        assert_eq!(after.noted("acme"), Some(floor(1 << 41)));
        assert_eq!(after.noted("../acme"), None);
        before.note("acme-1", floor(6)).await.unwrap();
        assert_eq!(after.noted("acme_1"), None);
        std::fs::write(folder.path().join("feed-acme.mark"), [7; 23]).unwrap();
        assert_eq!(after.noted("acme"), None);
    }
}
