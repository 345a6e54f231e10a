//! What is kept of strangers for later: who was refused, from where, how often; and which
//! configuration was in force.
//!
//! One file a day in `state_dir/evidence`, a JSON object a line, written once a minute off the path
//! of every request. What one minute brings is counted in bounded memory, what one day brings in a
//! bounded file, and old days go. A disk that is full costs evidence and never an event. `satellite
//! evidence` puts these lines and the audit into one file.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event::{Millis, Serial, Text};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::clock;
use crate::config::Config;
use crate::hex;
use crate::hub::Hub;

/// The folder below the state folder.
pub const FOLDER: &str = "evidence";
/// How often what was counted is written.
const EVERY: Duration = Duration::from_secs(60);
/// Refusals told apart within [`EVERY`]; others are counted together.
const MOST: usize = 1_000;
/// Longest file of one day, in bytes.
const DAY_LIMIT: u64 = 16 << 20;
/// Files kept.
const DAYS: usize = 180;
/// A configuration that never changes is written again after this time, long before its day goes.
const AGAIN_AFTER: Duration = Duration::from_secs(60 * 24 * 3_600);
/// Longest configuration that is kept, in bytes.
const TEXT_LIMIT: usize = 256 << 10;

/// Who was refused: the reason, the address, and the serial that was named.
type Key = (&'static str, Option<IpAddr>, Option<Text>);

/// How often, and when first and last.
#[derive(Debug, Clone, Copy)]
struct Count {
    times: u64,
    first: Millis,
    last: Millis,
}

/// What was refused since the last writing.
#[derive(Default)]
pub(crate) struct Kept(Mutex<HashMap<Key, Count>>);

impl Kept {
    /// Counts a refusal.
    pub(crate) fn note(
        &self,
        reason: &'static str,
        serial: Option<&Serial>,
        address: IpAddr,
        now: Millis,
    ) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (
            reason,
            Some(address),
            serial.map(|it| Text::new(it.as_str())),
        );
        if kept.len() >= MOST && !kept.contains_key(&key) {
            key = (reason, None, None);
        }
        let count = kept.entry(key).or_insert(Count {
            times: 0,
            first: now,
            last: now,
        });
        count.times += 1;
        count.last = now;
    }

    /// Takes what was counted, as lines.
    fn take(&self) -> Vec<String> {
        let kept = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let line = |((reason, address, serial), count): (Key, Count)| {
            json!({
                "what": "refused",
                "at": count.last.text(),
                "first_at": count.first.text(),
                "reason": reason,
                "address": address.map(|address| address.to_string()),
                "serial": serial.as_deref(),
                "times": count.times,
            })
            .to_string()
        };
        kept.into_iter().map(line).collect()
    }
}

/// Writes until the end begins, and once more then.
pub(crate) async fn run(hub: Arc<Hub>) {
    let end = hub.drain.token();
    let mut turn = tokio::time::interval(EVERY);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failed = false;
    loop {
        let ends = tokio::select! {
            () = end.cancelled() => true,
            _ = turn.tick() => false,
        };
        let lines = hub.refusals.kept().take();
        let config = hub.config.load_full();
        let written = tokio::task::spawn_blocking(move || write(&config, lines, clock::now()));
        match written.await {
            Ok(Ok(())) => failed = false,
            Ok(Err(error)) if !std::mem::replace(&mut failed, true) => {
                tracing::error!(%error, "evidence of refusals cannot be written; events are stored as before");
            }
            Ok(Err(_)) | Err(_) => {}
        }
        if ends {
            break;
        }
    }
}

/// Writes what was counted, and the configuration when it is another one than that which was
/// written last.
fn write(config: &Config, mut lines: Vec<String>, now: Millis) -> io::Result<()> {
    let folder = config.state_dir.join(FOLDER);
    let last = folder.join("configuration.sha256");
    let known = known(&last);
    let changed = configuration(config, now).filter(|(hash, _)| *hash != known);
    let hash = changed.map(|(hash, line)| {
        lines.push(line);
        hash
    });
    append(&folder, &lines, now)?;
    hash.map_or(Ok(()), |hash| fs::write(last, hash))
}

/// The hash of the configuration that was written last; empty when that is so long ago that it will
/// be forgotten.
fn known(file: &Path) -> String {
    let age = file.metadata().and_then(|meta| meta.modified());
    let age = age.ok().and_then(|at| at.elapsed().ok());
    if age.is_some_and(|age| age > AGAIN_AFTER) {
        return String::new();
    }
    fs::read_to_string(file).unwrap_or_default()
}

/// The hash of the configuration's file, and the line about it.
fn configuration(config: &Config, now: Millis) -> Option<(String, String)> {
    let file = config.file.as_ref()?;
    let text = fs::read_to_string(file).ok()?;
    let hash = hex(&Sha256::digest(&text));
    let kept: String = text.chars().take(TEXT_LIMIT).collect();
    let line = json!({
        "what": "configuration",
        "at": now.text(),
        "file": file.display().to_string(),
        "sha256": hash,
        "version": env!("CARGO_PKG_VERSION"),
        "text": kept,
    });
    Some((hash, line.to_string()))
}

/// Appends lines to the file of the day, as long as there is room in it.
fn append(folder: &Path, lines: &[String], now: Millis) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let day: String = now.text().chars().take(10).collect();
    let path = folder.join(format!("{day}.jsonl"));
    let is_new = !path.exists();
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let mut room = DAY_LIMIT.saturating_sub(file.metadata()?.len());
    for line in lines {
        let length = u64::try_from(line.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        if length > room {
            break;
        }
        room -= length;
        writeln!(file, "{line}")?;
    }
    file.sync_data()?;
    if is_new {
        forget_old(folder)?;
    }
    Ok(())
}

/// The files of the days in that folder, the oldest first.
///
/// # Errors
/// It cannot be read; a folder that is not there has none.
pub fn days(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut days = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "jsonl") {
            days.push(path);
        }
    }
    days.sort();
    Ok(days)
}

fn forget_old(folder: &Path) -> io::Result<()> {
    let days = days(folder)?;
    let old = days.len().saturating_sub(DAYS);
    days.iter().take(old).try_for_each(fs::remove_file)
}

/// The SHA-256 of a file in lower-case hexadecimal, as `sha256sum` writes it; read piece by piece.
///
/// # Errors
/// It cannot be read.
pub fn hash_file(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let (mut file, mut hash, mut piece) = (File::open(path)?, Sha256::new(), [0; 64 * 1024]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(piece.get(..n).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_of_refusals_is_counted_in_bounded_memory_and_nothing_is_lost_of_the_count() {
        let kept = Kept::default();
        for n in 0..5_000_u32 {
            let [_, _, a, b] = n.to_be_bytes();
            let from = IpAddr::from([198, 51, a, b]);
            kept.note("unknown_token", None, from, Millis(i64::from(n)));
        }
        kept.note(
            "blocked",
            Serial::new("A1").ok().as_ref(),
            IpAddr::from([1, 2, 3, 4]),
            Millis(9),
        );
        let lines = kept.take();
        assert!(lines.len() <= MOST + 2, "{}", lines.len());
        let times = |line: &String| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["times"].as_u64().unwrap()
        };
        assert_eq!(lines.iter().map(times).sum::<u64>(), 5_001);
        assert!(kept.take().is_empty());
    }

    #[test]
    fn a_configuration_is_written_when_it_changed_and_again_before_it_would_be_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::in_folder(folder.path());
        let file = folder.path().join("satellite.toml");
        fs::write(&file, "one").unwrap();
        config.file = Some(file.clone());
        let now = Millis::parse("2026-11-26 12:00:00.000").unwrap();
        let kept = || {
            write(&config, Vec::new(), now).unwrap();
            let day = days(&folder.path().join(FOLDER)).unwrap().pop().unwrap();
            fs::read_to_string(day).unwrap().lines().count()
        };
        assert_eq!((kept(), kept()), (1, 1));
        fs::write(&file, "another").unwrap();
        assert_eq!((kept(), kept()), (2, 2));
        let last = folder.path().join(FOLDER).join("configuration.sha256");
        let long_ago = std::time::SystemTime::now() - AGAIN_AFTER * 2;
        let last = File::options().append(true).open(last).unwrap();
        last.set_modified(long_ago).unwrap();
        assert_eq!((kept(), kept()), (3, 3));
    }

    #[test]
    fn a_day_has_a_bounded_file_and_old_days_go() {
        let folder = tempfile::tempdir().unwrap();
        let now = Millis::parse("2026-11-26 12:00:00.000").unwrap();
        for n in 0..DAYS + 5 {
            let day = folder
                .path()
                .join(format!("2025-{:02}-{:02}.jsonl", n / 28 + 1, n % 28 + 1));
            fs::write(day, "").unwrap();
        }
        let line = "x".repeat(1 << 20);
        append(folder.path(), &vec![line; 40], now).unwrap();
        let days = days(folder.path()).unwrap();
        assert_eq!(days.len(), DAYS);
        let today = days.last().unwrap();
        assert!(today.ends_with("2026-11-26.jsonl"));
        let length = fs::metadata(today).unwrap().len();
        assert!(length <= DAY_LIMIT && length > DAY_LIMIT / 2, "{length}");
        assert_eq!(
            hash_file(&folder.path().join("none")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
