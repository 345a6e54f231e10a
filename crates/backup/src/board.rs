//! `state_dir/backup.json`: how the copies of each store and tenant stand, for the watchdog.
//!
//! The commands write it and the daemon shows it in `/status`, where the watchdog reads it.
//! A failed run leaves the last good one's times and sizes as they were and adds its error, so
//! that the age that is watched is always that of a copy that exists. A tenant stands no better
//! than the worst of the stores that hold its data: the registry's and its own.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::copies::replace;
use crate::{LogState, Problem, Taken};

/// The file's name in the state folder.
const NAME: &str = "backup.json";

/// The newest copy of one store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreState {
    /// The store's label.
    pub store: String,
    /// The tenants whose data it holds.
    pub tenants: Vec<String>,
    /// When the last run began, good or not.
    pub tried_at: Option<Timestamp>,
    /// The moment of the newest good copy.
    pub started_at: Option<Timestamp>,
    /// When that copy was complete.
    pub finished_at: Option<Timestamp>,
    /// Its bytes on disk.
    pub bytes: Option<u64>,
    /// Those of the good copy before it.
    pub bytes_before: Option<u64>,
    /// Rows in it.
    pub rows: Option<u64>,
    /// Where it is.
    pub location: Option<String>,
    /// How many locations on different disks have it: 0, 1 or 2.
    pub locations: u8,
    /// The moment of the newest copy that was restored and found equal.
    pub verified_at: Option<Timestamp>,
    /// Why the last run or the last proof failed.
    pub error: Option<String>,
    /// The same in Spanish.
    pub error_es: Option<String>,
}

/// The newest copy of a tenant's data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantState {
    /// Whose.
    pub tenant: String,
    /// The moment of the newest good copy of everything that belongs to it.
    pub started_at: Option<Timestamp>,
    /// When that was complete.
    pub finished_at: Option<Timestamp>,
    /// Bytes of the copy of its events.
    pub bytes: Option<u64>,
    /// Those of the one before.
    pub bytes_before: Option<u64>,
    /// Where it is.
    pub location: Option<String>,
    /// How many locations on different disks have everything: 0, 1 or 2.
    pub locations: u8,
    /// The moment of the newest copy that was restored and found equal.
    pub verified_at: Option<Timestamp>,
    /// Why the last run or the last proof failed.
    pub error: Option<String>,
    /// The same in Spanish.
    pub error_es: Option<String>,
}

/// The last drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillState {
    /// When.
    pub at: Timestamp,
    /// Whether everything was restored, equal, and within what was promised.
    pub passed: bool,
    /// What would have been lost, in seconds; -1 without a copy.
    pub rpo_seconds: i64,
    /// How long it took, in seconds.
    pub rto_seconds: i64,
    /// The file with all of it.
    pub evidence: String,
    /// The SHA-256 of that file.
    pub sha256: String,
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    stores: Vec<StoreState>,
    #[serde(default)]
    tenants: Vec<TenantState>,
    #[serde(default)]
    drill: Option<DrillState>,
    #[serde(default)]
    logs: Vec<LogState>,
}

/// The file and what is in it.
#[derive(Debug)]
pub struct Board {
    path: PathBuf,
    stores: Vec<StoreState>,
    tenants: Vec<TenantState>,
    drill: Option<DrillState>,
    logs: Vec<LogState>,
}

impl Board {
    /// Reads it; one that is not there, or is no such file, is empty.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn open(state_dir: &Path) -> Result<Self, Problem> {
        let path = state_dir.join(NAME);
        let written = read(&path)?;
        Ok(Self {
            path,
            stores: written.stores,
            tenants: written.tenants,
            drill: written.drill,
            logs: written.logs,
        })
    }

    /// How that store stands, if it was ever copied.
    pub fn store(&self, label: &str) -> Option<&StoreState> {
        self.stores.iter().find(|state| state.store == label)
    }

    /// How each tenant stood when it was last written.
    pub fn tenants(&self) -> &[TenantState] {
        &self.tenants
    }

    /// How far the binary log of each server was shipped.
    pub fn logs(&self) -> &[LogState] {
        &self.logs
    }

    /// Writes how far the binary log of each server was shipped, and nothing else: copies are made
    /// meanwhile.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn shipped(state_dir: &Path, logs: &[LogState]) -> Result<(), Problem> {
        let path = state_dir.join(NAME);
        let _alone = alone(&path)?;
        let mut written = read(&path)?;
        written.logs = logs.to_vec();
        write(&path, &written)
    }

    /// The last drill.
    pub fn drill(&self) -> Option<&DrillState> {
        self.drill.as_ref()
    }

    /// Notes how a drill ended.
    pub fn drilled(&mut self, drill: DrillState) {
        self.drill = Some(drill);
    }

    /// Notes how a run for a store ended; `on_disks` is how many different disks have the copy.
    pub fn ran(
        &mut self,
        store: &str,
        tenants: &[String],
        begun: Timestamp,
        how: &Result<Taken, Problem>,
    ) {
        self.change(store, |state| {
            state.tenants = tenants.to_vec();
            state.tried_at = Some(begun);
            match how {
                Ok(taken) => {
                    state.started_at = Some(taken.copy.at);
                    state.finished_at = Some(taken.finished_at);
                    state.bytes_before = state.bytes.replace(taken.copy.bytes);
                    state.rows = Some(taken.rows);
                    state.location = Some(taken.copy.folder.display().to_string());
                    state.locations = taken.locations;
                    state.says(taken.second_failed.as_ref(), ["", ""]);
                }
                Err(problem) => state.says(Some(problem), ["", ""]),
            }
        });
    }

    /// Notes how the proof of the copy of that moment ended.
    pub fn proved(&mut self, store: &str, at: Timestamp, how: Result<(), &Problem>) {
        self.change(store, |state| match how {
            Ok(()) => {
                state.verified_at = Some(at);
                let of_proof = |error: &String| error.starts_with(PROOF[0]);
                if state.error.as_ref().is_some_and(of_proof) {
                    state.says(None, PROOF);
                }
            }
            Err(problem) => state.says(Some(problem), PROOF),
        });
    }

    /// Changes what is noted of a store; one that is new begins empty.
    fn change(&mut self, label: &str, change: impl FnOnce(&mut StoreState)) {
        if let Some(state) = self.stores.iter_mut().find(|it| it.store == label) {
            change(state);
            return;
        }
        let mut state = StoreState {
            store: label.to_owned(),
            ..StoreState::default()
        };
        change(&mut state);
        self.stores.push(state);
    }

    /// Writes it; `registry` is the label of the store that every tenant needs.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, registry: &str, stores: &[String]) -> Result<(), Problem> {
        let kept = self
            .stores
            .iter()
            .filter(|state| stores.contains(&state.store));
        let kept: Vec<StoreState> = kept.cloned().collect();
        let _alone = alone(&self.path)?;
        let written = Written {
            tenants: tenants(registry, &kept),
            stores: kept,
            drill: self.drill.clone(),
            // Another process writes them, minute by minute.
            logs: read(&self.path)?.logs,
        };
        write(&self.path, &written)
    }
}

fn read(path: &Path) -> Result<Written, Problem> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        other => other.map_err(|error| Problem::file(path, &error))?,
    };
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

fn write(path: &Path, written: &Written) -> Result<(), Problem> {
    let text = serde_json::to_string_pretty(written).unwrap_or_default();
    replace(path, &(text + "\n"))
}

/// Keeps other writers out until it is dropped: shipping and copying both write, and each of them
/// only for a moment.
fn alone(path: &Path) -> Result<File, Problem> {
    let lock = path.with_extension("json.lock");
    let taken = File::create(&lock).and_then(|file| file.lock().map(|()| file));
    taken.map_err(|error| Problem::file(&lock, &error))
}

impl StoreState {
    /// Notes what went wrong, in both languages, with how that begins.
    fn says(&mut self, problem: Option<&Problem>, [en, es]: [&str; 2]) {
        self.error = problem.map(|problem| format!("{en}{problem}"));
        self.error_es = problem.map(|problem| format!("{es}{}", problem.in_spanish()));
    }
}

/// How the error of a proof begins, in English and in Spanish.
const PROOF: [&str; 2] = ["verify: ", "comprobación: "];

/// Each tenant as the worst of its stores.
fn tenants(registry: &str, stores: &[StoreState]) -> Vec<TenantState> {
    let base = stores.iter().find(|state| state.store == registry);
    let own = stores
        .iter()
        .flat_map(|state| state.tenants.iter().map(move |tenant| (tenant, state)));
    own.map(|(tenant, own)| {
        let both: Vec<&StoreState> = match base {
            Some(base) if base.store != own.store => vec![base, own],
            _ => vec![own],
        };
        let oldest = |of: fn(&StoreState) -> Option<Timestamp>| {
            let all: Option<Vec<Timestamp>> = both.iter().map(|state| of(state)).collect();
            all.and_then(|all| all.into_iter().min())
        };
        TenantState {
            tenant: tenant.clone(),
            started_at: oldest(|state| state.started_at),
            finished_at: oldest(|state| state.finished_at),
            bytes: own.bytes,
            bytes_before: own.bytes_before,
            location: own.location.clone(),
            locations: both
                .iter()
                .map(|state| state.locations)
                .min()
                .unwrap_or_default(),
            verified_at: oldest(|state| state.verified_at),
            error: both.iter().find_map(|state| state.error.clone()),
            error_es: both.iter().find_map(|state| state.error_es.clone()),
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Copied;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn taken(store: &str, when: &str) -> Taken {
        Taken {
            copy: Copied {
                store: store.to_owned(),
                at: at(when),
                folder: PathBuf::from("/b").join(store),
                bytes: 9,
                remote: None,
            },
            finished_at: at(when),
            rows: 3,
            locations: 2,
            second_failed: None,
        }
    }

    #[test]
    fn a_failed_run_keeps_the_last_good_copy_and_a_tenant_is_as_old_as_its_oldest_store() {
        let folder = tempfile::tempdir().unwrap();
        let labels = ["store".to_owned(), "acme".to_owned()];
        let mut board = Board::open(folder.path()).unwrap();
        let acme = ["acme".to_owned()];
        board.ran(
            "store",
            &[],
            at("2026-11-26T06:00:00Z"),
            &Ok(taken("store", "2026-11-26T06:00:00Z")),
        );
        board.ran(
            "acme",
            &acme,
            at("2026-11-26T06:00:01Z"),
            &Ok(taken("acme", "2026-11-26T06:00:01Z")),
        );
        board.proved("acme", at("2026-11-26T06:00:01Z"), Ok(()));
        let gone = Problem::new("it is gone", "ya no está");
        board.ran("acme", &acme, at("2026-11-26T09:00:00Z"), &Err(gone));
        board.save("store", &labels).unwrap();

        let board = Board::open(folder.path()).unwrap();
        let state = board.store("acme").unwrap();
        assert_eq!(board.tenants()[0].error_es.as_deref(), Some("ya no está"));
        assert_eq!(state.started_at, Some(at("2026-11-26T06:00:01Z")));
        assert_eq!(state.verified_at, state.started_at);
        assert_eq!(state.error.as_deref(), Some("it is gone"));
        let text = std::fs::read_to_string(folder.path().join("backup.json")).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        let tenant = &read["tenants"][0];
        assert_eq!(tenant["tenant"], "acme");
        assert_eq!(tenant["finished_at"], "2026-11-26T06:00:00Z");
        // The registry's copy was never proven.
        assert_eq!(tenant["verified_at"], serde_json::Value::Null);
        assert_eq!(tenant["error"], "it is gone");
    }
}
