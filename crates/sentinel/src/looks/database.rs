//! Looks at one event database as a reader sees it: reachable, in time, writable, durable, with
//! connections left, its replicas and cluster whole; and how old the newest row of a real
//! terminal is.
//!
//! What only a writer can see (a full disk, a refused write) satellite says in `/status`, and
//! the look at satellite passes it on. What our user may not see is left out and named once by
//! `sentinel check`; it is never taken as fine.

mod facts;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use daemon::config::StoreUrl;
use jiff::Timestamp;

use super::store::{Failed, Reader, moment};
use crate::config::WatchedStore;
use crate::observation::NEWEST_ROW_AGE;
use crate::{
    Fact, Kind, Look, Observation, Round, Rows, Severity, Signal, Subject, Trouble, Value,
};
pub use facts::{Settings, troubles};

/// From round to round.
const EVERY: Duration = Duration::from_secs(15);
/// For each question.
const ASK_WITHIN: Duration = Duration::from_secs(4);
/// Longest round; a hung database is told within it.
const DEADLINE: Duration = Duration::from_secs(12);
/// A connection and its questions that take longer are slow.
const SLOW: Duration = Duration::from_secs(1);
/// Rows of real terminals are fresh for so long, in seconds.
const FRESH: f64 = 20.0;
/// How often the size is asked for.
const SIZE_EVERY: Duration = Duration::from_secs(3600);

/// The look at one `[[watch.store]]`.
#[derive(Debug)]
pub struct Database {
    name: String,
    store: WatchedStore,
    memory: Mutex<Memory>,
}

/// What the look remembers from round to round.
#[derive(Debug, Default)]
struct Memory {
    /// The last size and when it was asked for.
    size: Option<(Instant, f64)>,
    /// Bytes a day, between the last two sizes.
    growth: Option<f64>,
}

/// What was found in one round.
#[derive(Debug, Default)]
struct Seen {
    settings: Settings,
    newest: Option<Timestamp>,
    connected: Duration,
    took: Duration,
    size: Option<f64>,
}

impl Database {
    /// A look at that database.
    pub fn new(store: WatchedStore) -> Self {
        Self {
            name: format!("database:{}", store.tenant),
            store,
            memory: Mutex::default(),
        }
    }

    async fn see(&self) -> Result<Seen, Failed> {
        let began = Instant::now();
        let mut reader = Reader::open(&self.store, ASK_WITHIN).await?;
        let connected = began.elapsed();
        let newest = newest(&mut reader).await?;
        let settings = facts::read(&mut reader, ASK_WITHIN).await?;
        let took = began.elapsed();
        let size = if self.wants_size() {
            size(&mut reader, &self.store.url).await
        } else {
            None
        };
        reader.close().await;
        Ok(Seen {
            settings,
            newest,
            connected,
            took,
            size,
        })
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wants_size(&self) -> bool {
        let memory = self.memory();
        memory.size.is_none_or(|(at, _)| at.elapsed() >= SIZE_EVERY)
    }

    /// Takes a new size over; answers size and growth as they are known now.
    fn sized(&self, size: Option<f64>) -> (Option<f64>, Option<f64>) {
        let mut memory = self.memory();
        if let Some(size) = size {
            if let Some((at, before)) = memory.size {
                let days = at.elapsed().as_secs_f64() / 86_400.0;
                memory.growth = Some((size - before) / days);
            }
            memory.size = Some((Instant::now(), size));
        }
        (memory.size.map(|(_, size)| size), memory.growth)
    }

    fn judged(&self, seen: &Seen, now: Timestamp) -> Observation {
        let mut found = troubles(&seen.settings);
        if seen.took > SLOW {
            let took = Value::Seconds(seen.took.as_secs_f64());
            found.push(Trouble::new(Kind::DatabaseSlow).fact(Fact::Took, took));
        }
        let subject = Subject::store(&self.store.tenant);
        let mut observation = Observation::wrong(subject, now, found)
            .number("connect_seconds", seen.connected.as_secs_f64())
            .number("took_seconds", seen.took.as_secs_f64());
        let age = seen
            .newest
            .map(|newest| now.duration_since(newest).as_secs_f64());
        if let Some(age) = age {
            observation = observation.number(NEWEST_ROW_AGE, age);
        }
        let fresh = age.is_some_and(|age| age <= FRESH);
        observation = observation.signal(Signal::Rows(if fresh { Rows::Fresh } else { Rows::Old }));
        let (size, growth) = self.sized(seen.size);
        let settings = &seen.settings;
        let used = settings.connections.zip(settings.max_connections);
        for (name, value) in [
            ("size_bytes", size),
            ("growth_bytes_per_day", growth),
            ("connections", used.map(|(used, _)| used)),
            ("connections_of", used.map(|(_, most)| most)),
            ("replica_lag_seconds", settings.replica_lag),
        ] {
            if let Some(value) = value {
                observation = observation.number(name, value);
            }
        }
        observation
    }
}

#[async_trait]
impl Look for Database {
    fn name(&self) -> &str {
        &self.name
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::store(&self.store.tenant)]
    }

    async fn look(&self, now: Timestamp) -> Round {
        let subject = || Subject::store(&self.store.tenant);
        let place = self.store.url.redacted();
        let wrong = |kind: Kind, words: Value| {
            let trouble = Trouble::new(kind)
                .severity(Severity::Critical)
                .fact(Fact::Place, Value::heard(&place))
                .fact(Fact::Detail, words);
            Observation::wrong(subject(), now, vec![trouble])
        };
        Round::one(match self.see().await {
            Ok(seen) => self.judged(&seen, now),
            Err(Failed::Down(words)) => wrong(Kind::DatabaseDown, words),
            Err(Failed::Hung(words)) => wrong(Kind::DatabaseHung, words),
            Err(Failed::Full(words)) => wrong(Kind::DatabaseConnections, words),
            Err(Failed::Denied(words) | Failed::Other(words)) => {
                Observation::unknown(subject(), now, words)
            }
        })
    }
}

/// When the newest row of a real terminal was received.
async fn newest(reader: &mut Reader) -> Result<Option<Timestamp>, Failed> {
    let sql = "SELECT CAST(received_at AS CHAR) FROM event_feed ORDER BY seq DESC LIMIT 1";
    let rows = reader.ask(sql, ASK_WITHIN).await?;
    let text = rows
        .into_iter()
        .next()
        .and_then(|row| row.into_iter().next());
    Ok(text.flatten().and_then(|text| moment(&text)))
}

/// What the database takes on its disk, as far as our user may see that.
async fn size(reader: &mut Reader, url: &StoreUrl) -> Option<f64> {
    match url {
        StoreUrl::Sqlite(path) => {
            let length = |path: &std::path::Path| std::fs::metadata(path).map(|it| it.len()).ok();
            let log = path.with_extension("db-wal");
            let bytes = length(path)? + length(&log).unwrap_or_default();
            bytes.to_string().parse().ok()
        }
        StoreUrl::Mysql(_) => {
            let sql = "SELECT CAST(SUM(data_length + index_length) AS CHAR) \
                       FROM information_schema.tables WHERE table_schema = DATABASE()";
            let rows = reader.ask(sql, ASK_WITHIN).await.ok()?;
            rows.first()?.first()?.as_deref()?.parse().ok()
        }
    }
}

#[cfg(test)]
mod tests;
