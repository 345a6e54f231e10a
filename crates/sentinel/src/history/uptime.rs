//! The look at ourselves: once a minute it notes how each client and each class of things
//! stands, so that reports know for how long.
//!
//! It reads what the decisions wrote. A minute in which they wrote nothing, because sentinel or
//! its file did not work, is not noted at all, and counts as unknown for ever. Once a day it
//! makes room.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::Error;
use super::silence::Shared;
use crate::database::{Database, IncidentRow, Seen, Which};
use crate::decide::{Standing, TenantState};
use crate::kind::{Class, Severity};
use crate::look::Look;
use crate::observation::{Observation, Round, Subject, Value};
use crate::report::DaySeconds;
use crate::words::Phrase;

const EVERY: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(30);
/// A longer step than this is a gap of which nothing is known.
const STEP: SignedDuration = SignedDuration::from_secs(150);
/// The decisions prove every few seconds that they can write; older than this they do not work.
const STALE: SignedDuration = SignedDuration::from_secs(120);

/// Why nothing was noted.
#[derive(Debug, thiserror::Error)]
enum Blind {
    #[error("{0}")]
    History(#[from] Error),
    #[error("{0}")]
    Database(#[from] crate::database::Error),
    #[error("the decisions have written nothing for two minutes")]
    Stale,
}

impl Blind {
    fn said(&self) -> Value {
        match self {
            Self::History(error) => error.said(),
            Self::Database(error) => Phrase::FileFailed.with([Value::heard(error.words())]),
            Self::Stale => Phrase::NothingDecided.into(),
        }
    }
}

/// Under which name a tenant's seconds are kept.
pub fn name_of_tenant(tenant: &str) -> String {
    format!("tenant:{tenant}")
}

/// Under which name the seconds of a class of things are kept.
pub fn name_of_class(class: Class) -> String {
    format!("class:{}", class.as_str())
}

/// Under which name the age of a tenant's newest backup is kept.
pub fn name_of_backup(tenant: &str) -> String {
    format!("backup:{tenant}")
}

/// Notes how everything stands.
pub struct UptimeLook {
    state_dir: PathBuf,
    zone: TimeZone,
    shared: Arc<Shared>,
    last: Mutex<Last>,
}

/// What the look remembers.
#[derive(Debug, Default)]
struct Last {
    noted: Option<Timestamp>,
    purged: Option<Date>,
}

impl UptimeLook {
    /// Of the sentinel in that folder; days are counted in that zone.
    pub fn new(state_dir: PathBuf, zone: TimeZone, shared: Arc<Shared>) -> Self {
        Self {
            state_dir,
            zone,
            shared,
            last: Mutex::default(),
        }
    }

    async fn note(&self, now: Timestamp) -> Result<(), Blind> {
        let mut database = Database::existing(&self.state_dir).await?;
        let alive = database.alive_at().await?;
        if alive.is_none_or(|alive| now.duration_since(alive) > STALE) {
            return Err(Blind::Stale);
        }
        let tenants = database.tenants().await?;
        let open = database.incidents(Which::Open).await?;
        let latest = database.latest().await?;
        let mut last = self.last.lock().await;
        let since = last.noted.replace(now);
        let since = since.filter(|since| *since < now && now.duration_since(*since) <= STEP);
        let today = self.zone.to_datetime(now).date();
        let mut history = self.shared.get().await?.lock().await;
        if let Some(since) = since {
            for (name, standing) in standings(&tenants, &open) {
                for (day, seconds) in self.seconds(since, now, standing) {
                    history.add_seconds(&name, day, seconds).await?;
                }
            }
        }
        for (name, age) in ages_of_backups(&latest) {
            history.note_worst(&name, today, age).await?;
        }
        if last.purged != Some(today) {
            history.purge(today).await?;
            last.purged = Some(today);
        }
        Ok(())
    }

    /// A step of time by local days.
    fn seconds(
        &self,
        from: Timestamp,
        to: Timestamp,
        standing: Standing,
    ) -> Vec<(Date, DaySeconds)> {
        let mut days = Vec::new();
        let mut at = from;
        while at < to {
            let day = self.zone.to_datetime(at).date();
            let next = day
                .tomorrow()
                .and_then(|next| next.to_zoned(self.zone.clone()));
            let end = next.map_or(to, |next| next.timestamp().min(to));
            let mut seconds = DaySeconds::default();
            let passed = end.as_second() - at.as_second();
            seconds.add(standing, u32::try_from(passed).unwrap_or_default());
            days.push((day, seconds));
            at = end;
        }
        days
    }
}

/// How each tenant and each class stands.
fn standings(tenants: &[TenantState], open: &[IncidentRow]) -> Vec<(String, Standing)> {
    let tenants = tenants
        .iter()
        .map(|it| (name_of_tenant(&it.tenant), it.standing));
    let class = |class: Class| {
        let own = open.iter().filter(|it| it.class == class.as_str());
        let worst = own.filter_map(|it| Severity::from_word(&it.severity)).max();
        let standing = match worst {
            Some(Severity::Critical) => Standing::Down,
            Some(Severity::Warning) => Standing::Partial,
            _ => Standing::Ok,
        };
        (name_of_class(class), standing)
    };
    tenants.chain(Class::ALL.map(class)).collect()
}

/// The age of each tenant's newest backup, where a look knows it.
fn ages_of_backups(latest: &[Seen]) -> Vec<(String, u64)> {
    let age = |seen: &Seen| {
        let Subject::Backup { tenant } = &seen.observation.subject else {
            return None;
        };
        let age = seen.observation.numbers.get("age_seconds")?;
        let age = Duration::try_from_secs_f64(*age).ok()?;
        Some((name_of_backup(tenant), age.as_secs()))
    };
    latest.iter().filter_map(age).collect()
}

#[async_trait]
impl Look for UptimeLook {
    fn name(&self) -> &str {
        "history"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::Sentinel]
    }

    async fn look(&self, now: Timestamp) -> Round {
        Round::one(match self.note(now).await {
            Ok(()) => Observation::fine(Subject::Sentinel, now),
            Err(blind) => Observation::unknown(Subject::Sentinel, now, blind.said()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::decide::Changes;
    use crate::history::History;
    use crate::words;
    use notify::Language;

    #[test]
    fn why_nothing_was_noted_is_said_in_the_readers_language() {
        let sqlite = || sqlx::Error::PoolClosed;
        let blind = [
            Blind::History(Error::Database(sqlite())),
            Blind::History(Error::Moved),
            Blind::History(Error::Row("day")),
            Blind::Database(crate::database::Error::Database(sqlite())),
            Blind::Stale,
        ];
        for why in blind {
            let spanish = words::of_value(Language::Spanish, &TimeZone::UTC, &why.said());
            for english in ["sentinel's", "another", "decisions"] {
                assert!(!spanish.contains(english), "{spanish}");
            }
        }
    }

    #[tokio::test]
    async fn only_minutes_in_which_sentinel_decided_are_noted() {
        let folder = tempfile::tempdir().unwrap();
        let mut database = Database::open(folder.path()).await.unwrap();
        let start: Timestamp = "2026-06-02T05:59:00Z".parse().unwrap();
        let state = TenantState {
            tenant: "acme".to_owned(),
            since: start,
            standing: Standing::Down,
            indicator: String::new(),
        };
        let changes = Changes {
            tenants: vec![state],
            ..Changes::default()
        };
        let config = Config::in_folder(folder.path());
        database.apply(&config, &changes, start).await.unwrap();
        let zone = TimeZone::get("America/Mexico_City").unwrap();
        let shared = Shared::new(folder.path());
        let look = UptimeLook::new(folder.path().to_path_buf(), zone, shared);
        // Two minutes over midnight, a gap of ten, one more minute; then sentinel stands still.
        for (second, alive) in [
            (0, true),
            (60, true),
            (120, true),
            (720, true),
            (780, true),
            (960, false),
        ] {
            let now = start + SignedDuration::from_secs(second);
            if alive {
                database.prove(now).await.unwrap();
            }
            let round = look.look(now).await;
            let fine = Observation::fine(Subject::Sentinel, now);
            assert_eq!(round.observations[0] == fine, alive, "{round:?}");
        }
        let mut history = History::open(folder.path()).await.unwrap();
        let (first, last) = ("2026-06-01".parse().unwrap(), "2026-06-02".parse().unwrap());
        let days = history
            .seconds(&name_of_tenant("acme"), first, last)
            .await
            .unwrap();
        let down: Vec<u32> = days.values().map(|day| day.down).collect();
        assert_eq!(down, [60, 120]);
        let class = name_of_class(Class::Database);
        let days = history.seconds(&class, first, last).await.unwrap();
        assert_eq!(days[&last].ok, 120);
    }
}
