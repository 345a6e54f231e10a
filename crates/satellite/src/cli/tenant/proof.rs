//! What is kept of a deletion: one line for each in `state_dir/deletions.jsonl`, only ever added to.
//!
//! Each line carries the SHA-256 of the one before it, so that none can be changed or taken out of the
//! middle without all after it; that of the last stands in the registry's audit. A line has numbers of
//! enrolments and no serial, name or person: from them a restore knows what to delete again.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use backup::Kept;
use event::{DeviceId, Millis, TenantId};
use jiff::Timestamp;
use satellite::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::departure::{Counts, Departed};

/// Its name in the state folder.
pub(super) const NAME: &str = "deletions.jsonl";

/// A deletion from the moment somebody said yes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::cli) struct Deletion {
    pub(super) tenant: TenantId,
    pub(super) by: String,
    /// Who else, where two people are needed.
    pub(super) approved_by: Option<String>,
    pub(super) begun_at: Timestamp,
    /// Numbers of the enrolments.
    pub(super) devices: BTreeSet<String>,
    pub(super) stores: Vec<StoreRows>,
    /// Archives of retention and recordings that go too.
    pub(super) files: Vec<PathBuf>,
}

/// Rows of one database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoreRows {
    pub(super) store: String,
    pub(super) engine: String,
    pub(super) before: Counts,
    /// Read over another connection when it was done.
    #[serde(default)]
    pub(super) after: Counts,
    /// What is known of the bytes.
    #[serde(default)]
    pub(super) bytes: String,
}

impl Deletion {
    /// What belongs to it.
    pub(in crate::cli) fn departed(&self) -> Departed {
        let devices = self.devices.iter();
        Departed {
            tenant: self.tenant.clone(),
            devices: devices.filter_map(|id| DeviceId::from_hex(id)).collect(),
            before: Millis(self.begun_at.as_millisecond()),
        }
    }

    /// Rows of all databases before.
    pub(super) fn rows(&self) -> u64 {
        let stores = self.stores.iter();
        stores.flat_map(|store| store.before.values()).sum()
    }
}

/// One that was begun and has no proof yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Begun {
    #[serde(flatten)]
    pub(super) deletion: Deletion,
    /// Serials that were this tenant's alone: lines of the audit name them.
    pub(super) serials: Vec<String>,
    /// Files that hold its data and are not ours to remove.
    pub(super) left: Vec<PathBuf>,
}

impl Kept for Begun {
    const NAME: &'static str = "deletion-begun.json";
}

/// Something that still holds the tenant's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    /// `copy`, `safety_copy`, `shipped_log`, `server_log`, `file`.
    pub(super) kind: String,
    /// Its folder or file, or the server.
    pub(super) place: String,
    /// The day on which it goes at the latest; when somebody removes it where there is none.
    pub(super) until: Option<String>,
}

/// That a tenant was deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Proof {
    /// Counted from 1.
    pub(super) number: u64,
    /// SHA-256 of the line before, in the first line 64 zeros.
    pub(super) previous: String,
    #[serde(flatten)]
    pub(super) deletion: Deletion,
    pub(super) finished_at: Timestamp,
    pub(super) version: String,
    pub(super) holders: Vec<Holder>,
}

/// All that was proven here.
#[derive(Debug, Default)]
pub(in crate::cli) struct Chain {
    /// Each with the SHA-256 of its line.
    pub(super) proofs: Vec<(Proof, String)>,
    /// The first line that is not what was written.
    pub(super) broken: Option<u64>,
}

impl Chain {
    /// Reads and verifies it.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub(in crate::cli) fn read(state_dir: &Path) -> io::Result<Self> {
        let mut text = Vec::new();
        match File::open(state_dir.join(NAME)) {
            Ok(mut file) => file.read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let mut chain = Self::default();
        let mut previous = none();
        // What has no end of line was cut off while it was written, and nothing was said of it.
        let whole = text.split_inclusive(|byte| *byte == b'\n');
        let lines = whole.filter_map(|line| line.strip_suffix(b"\n"));
        for (at, line) in (1..).zip(lines) {
            let read = serde_json::from_slice::<Proof>(line).ok();
            let follows = |it: &Proof| it.number == at && it.previous == previous;
            if !read.as_ref().is_some_and(follows) {
                chain.broken = chain.broken.or(Some(at));
            }
            previous = hex(&Sha256::digest(line));
            chain
                .proofs
                .extend(read.map(|proof| (proof, previous.clone())));
        }
        Ok(chain)
    }
}

/// The file with the proofs, when there is one.
pub(in crate::cli) fn file(state_dir: &Path) -> Option<PathBuf> {
    Some(state_dir.join(NAME)).filter(|path| path.is_file())
}

/// Takes over the proofs that a copy brings, on a machine that has none or only the first of them;
/// whether it did. Proofs of this machine's own are never replaced.
///
/// # Errors
/// The file cannot be read or written.
pub(in crate::cli) fn take_over(state_dir: &Path, brought: &[u8]) -> io::Result<bool> {
    let own = file(state_dir).map_or(Ok(Vec::new()), std::fs::read)?;
    let more = brought.strip_prefix(own.as_slice()).unwrap_or_default();
    if more.is_empty() {
        return Ok(false);
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640);
    let mut file = options.open(state_dir.join(NAME))?;
    file.write_all(more)?;
    file.sync_all()?;
    File::open(state_dir)?.sync_all()?;
    Ok(true)
}

fn none() -> String {
    "0".repeat(64)
}

/// Adds a line and brings it to the disk; answers it with its hash. One that is there already, from
/// before a command was cut off, is not added again.
///
/// # Errors
/// The file cannot be written.
pub(super) fn add(
    state_dir: &Path,
    deletion: Deletion,
    holders: Vec<Holder>,
) -> io::Result<(Proof, String)> {
    let chain = Chain::read(state_dir)?;
    let same = |it: &&(Proof, String)| {
        let known = &it.0.deletion;
        known.tenant == deletion.tenant && known.begun_at == deletion.begun_at
    };
    if let Some(known) = chain.proofs.iter().find(same) {
        return Ok(known.clone());
    }
    let path = state_dir.join(NAME);
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .append(true)
        .create(true)
        .mode(0o640)
        .open(&path)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let end = text.iter().rposition(|byte| *byte == b'\n');
    let end = end.map_or(0, |at| at + 1);
    file.set_len(u64::try_from(end).unwrap_or(u64::MAX))?;
    let lines = text.get(..end).unwrap_or_default();
    let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').collect();
    // Behind the last end of line stands nothing.
    let last = lines.len().checked_sub(2).and_then(|at| lines.get(at));
    let proof = Proof {
        number: u64::try_from(lines.len()).unwrap_or(u64::MAX),
        previous: last.map_or_else(none, |line| hex(&Sha256::digest(line))),
        deletion,
        finished_at: Timestamp::now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        holders,
    };
    let mut line = serde_json::to_string(&proof)?;
    let hash = hex(&Sha256::digest(&line));
    line.push('\n');
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    File::open(state_dir)?.sync_all()?;
    Ok((proof, hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn proofs_of_a_copy_are_taken_over_where_they_are_missing_and_never_replace_others() {
        let folder = tempfile::tempdir().unwrap();
        let (here, path) = (folder.path(), folder.path().join(NAME));
        assert!(!take_over(here, b"").unwrap() && !path.exists());
        assert!(take_over(here, b"one\ntwo\n").unwrap());
        assert!(!take_over(here, b"one\n").unwrap(), "an older copy");
        assert!(
            !take_over(here, b"one\n2\nthree\n").unwrap(),
            "another chain"
        );
        assert!(take_over(here, b"one\ntwo\nthree\n").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\nthree\n");
    }

    fn deletion(tenant: &str, second: i64) -> Deletion {
        Deletion {
            tenant: TenantId::new(tenant).unwrap(),
            by: "ana".to_owned(),
            approved_by: None,
            begun_at: Timestamp::from_second(second).unwrap(),
            devices: [DeviceId([7; 16]).to_string()].into(),
            stores: Vec::new(),
            files: Vec::new(),
        }
    }

    #[test]
    fn a_proof_that_is_changed_or_taken_out_is_found_and_one_cut_off_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let add = |tenant: &str, at| add(folder.path(), deletion(tenant, at), Vec::new()).unwrap();
        let (first, hash) = add("acme", 1);
        let (second, _) = add("beta", 2);
        assert_eq!((first.number, first.previous.len()), (1, 64));
        assert_eq!((second.number, &second.previous), (2, &hash));
        // The same deletion, told again after a kill.
        assert_eq!(add("acme", 1).1, hash);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], b"{\"number\":3,"].concat()).unwrap();
        assert_eq!(Chain::read(folder.path()).unwrap().broken, None);
        let (third, _) = add("gamma", 3);
        assert_eq!(third.number, 3);
        let chain = Chain::read(folder.path()).unwrap();
        assert_eq!((chain.proofs.len(), chain.broken), (3, None));
        let all = fs::read_to_string(&path).unwrap();
        fs::write(&path, all.replacen("\"by\":\"ana\"", "\"by\":\"eva\"", 1)).unwrap();
        assert_eq!(Chain::read(folder.path()).unwrap().broken, Some(2));
        let lines: Vec<&str> = all.lines().collect();
        fs::write(&path, format!("{}\n{}\n", lines[0], lines[2])).unwrap();
        assert_eq!(Chain::read(folder.path()).unwrap().broken, Some(2));
    }
}
