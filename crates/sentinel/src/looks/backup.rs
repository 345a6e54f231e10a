//! How old the newest backup of each tenant is, from the file that the backup itself writes.
//!
//! `state_dir/backup.json` of satellite: `{"tenants": [{"tenant", "started_at", "finished_at",
//! "bytes", "location", "verified_at", "error"}]}`, times in RFC 3339. As long as nothing writes
//! it there is nothing to judge: nothing is said, which check lists show as not applicable and
//! never as green. A file that was there and is gone, or cannot be read, is unknown.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::config::looks::WatchedBackup;
use crate::{Fact, Kind, Look, Observation, Phrase, Round, Subject, Trouble, Value};

/// From round to round.
const EVERY: Duration = Duration::from_secs(60);
/// Longest file that is read, in bytes.
const LIMIT: u64 = 4 << 20;

/// The file.
#[derive(Debug, Deserialize)]
struct Backups {
    tenants: Vec<Backup>,
}

/// The newest backup of one tenant.
#[derive(Debug, Clone, Deserialize)]
struct Backup {
    tenant: String,
    /// When the newest good one ended; none yet without it.
    finished_at: Option<Timestamp>,
    bytes: Option<u64>,
    verified_at: Option<Timestamp>,
    /// Why the last try failed, if it did.
    error: Option<String>,
}

/// The look at the backups of all tenants.
pub struct BackupLook {
    file: PathBuf,
    tenants: Vec<String>,
    warn_after: SignedDuration,
    overdue_after: SignedDuration,
    /// True once the file was there.
    was_there: AtomicBool,
}

impl BackupLook {
    /// A look at that file, for these tenants.
    pub fn new(watched: &WatchedBackup, tenants: Vec<String>) -> Self {
        let signed = |it: Duration| SignedDuration::try_from(it).unwrap_or(SignedDuration::MAX);
        Self {
            file: watched.file.clone(),
            tenants,
            warn_after: signed(watched.warn_after),
            overdue_after: signed(watched.overdue_after),
            was_there: AtomicBool::new(false),
        }
    }

    /// `None` while no backup was ever set up.
    fn see(&self) -> Option<Result<Backups, String>> {
        let file = match File::open(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let gone = self.was_there.load(Ordering::Relaxed);
                return gone.then(|| Err(error.to_string()));
            }
            Err(error) => return Some(Err(error.to_string())),
            Ok(file) => file,
        };
        self.was_there.store(true, Ordering::Relaxed);
        let mut bytes = Vec::new();
        let read = file.take(LIMIT).read_to_end(&mut bytes);
        let read = read.map_err(|error| error.to_string());
        Some(read.and_then(|_| serde_json::from_slice(&bytes).map_err(|error| error.to_string())))
    }

    fn judged(&self, tenant: &str, backup: Option<&Backup>, now: Timestamp) -> Observation {
        let tenant = tenant.to_owned();
        let subject = Subject::Backup { tenant };
        let Some(backup) = backup else {
            return Observation::unknown(subject, now, Phrase::NoBackup);
        };
        let Some(finished) = backup.finished_at else {
            let trouble = Trouble::new(Kind::BackupOverdue);
            let words = match &backup.error {
                Some(error) => Value::heard(error),
                None => Phrase::NoGoodBackup.into(),
            };
            return Observation::wrong(subject, now, vec![trouble.fact(Fact::Detail, words)]);
        };
        let age = now.duration_since(finished);
        let kind = match age {
            age if age >= self.overdue_after => Some(Kind::BackupOverdue),
            age if age >= self.warn_after => Some(Kind::BackupOld),
            _ => None,
        };
        let trouble = kind.map(|kind| {
            let trouble = Trouble::new(kind).fact(Fact::Since, finished).fact(
                Fact::Expected,
                Value::Seconds(self.overdue_after.as_secs_f64()),
            );
            match &backup.error {
                Some(error) => trouble.fact(Fact::Detail, Value::heard(error)),
                None => trouble,
            }
        });
        let seen = Observation::wrong(subject, now, trouble.into_iter().collect());
        let seen = seen.number("age_seconds", age.as_secs_f64());
        let verified = backup
            .verified_at
            .map(|at| now.duration_since(at).as_secs_f64());
        let numbers = [
            ("verified_age_seconds", verified),
            ("size_bytes", backup.bytes.map(super::wide)),
        ];
        numbers
            .into_iter()
            .fold(seen, |seen, (name, value)| match value {
                Some(value) => seen.number(name, value),
                None => seen,
            })
    }
}

#[async_trait]
impl Look for BackupLook {
    fn name(&self) -> &str {
        "backup"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn subjects(&self) -> Vec<Subject> {
        let tenants = self.tenants.iter().cloned();
        tenants.map(|tenant| Subject::Backup { tenant }).collect()
    }

    async fn look(&self, now: Timestamp) -> Round {
        let Some(seen) = self.see() else {
            return Round::part(Vec::new());
        };
        let each = self.subjects().into_iter().zip(&self.tenants);
        let observations = each.map(|(subject, tenant)| match &seen {
            Err(why) => Observation::unknown(subject, now, Value::heard(why)),
            Ok(backups) => {
                let backup = backups.tenants.iter().find(|it| it.tenant == *tenant);
                self.judged(tenant, backup, now)
            }
        });
        Round::part(observations.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Finding;

    fn look(file: &std::path::Path) -> BackupLook {
        let hours = |minutes: u64| Duration::from_secs(60 * minutes);
        let watched = WatchedBackup {
            file: file.to_owned(),
            warn_after: hours(165),
            overdue_after: hours(180),
        };
        BackupLook::new(&watched, vec!["acme".to_owned()])
    }

    async fn kind(file: &std::path::Path, now: &str) -> Option<Option<Kind>> {
        let round = look(file).look(now.parse().unwrap()).await;
        match &round.observations.first()?.finding {
            Finding::Fine => Some(None),
            Finding::Wrong { troubles } => Some(Some(troubles[0].kind)),
            Finding::Unknown { .. } => None,
        }
    }

    #[tokio::test]
    async fn a_backup_is_told_before_it_is_overdue_and_when_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = r#"{"tenants": [{"tenant": "acme", "started_at": "2026-11-21T05:59:00Z",
            "finished_at": "2026-11-21T06:00:00Z", "bytes": 5, "location": "/b",
            "verified_at": null, "error": null}]}"#;
        std::fs::write(file.path(), text).unwrap();
        let at = |now| kind(file.path(), now);
        assert_eq!(at("2026-11-21T08:40:00Z").await, Some(None));
        assert_eq!(
            at("2026-11-21T08:46:00Z").await,
            Some(Some(Kind::BackupOld))
        );
        assert_eq!(
            at("2026-11-21T09:01:00Z").await,
            Some(Some(Kind::BackupOverdue))
        );
    }

    #[tokio::test]
    async fn without_a_backup_nothing_is_green() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let now = "2026-11-21T08:40:00Z";
        for text in ["", "{}", "{\"tenants\": []}"] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(kind(file.path(), now).await, None, "{text}");
        }
        let failed = r#"{"tenants": [{"tenant": "acme", "error": "no space"}]}"#;
        std::fs::write(file.path(), failed).unwrap();
        assert_eq!(
            kind(file.path(), now).await,
            Some(Some(Kind::BackupOverdue))
        );
        let (path, look) = (file.path().to_owned(), look(file.path()));
        look.look(Timestamp::now()).await;
        drop(file);
        let gone = look.look(Timestamp::now()).await;
        assert!(matches!(
            gone.observations[0].finding,
            Finding::Unknown { .. }
        ));
        let never = self::look(&path).look(Timestamp::now()).await;
        assert!(never.observations.is_empty());
    }
}
