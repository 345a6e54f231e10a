//! What sentinel remembers for longer than an incident: how long each client's service worked
//! day by day, how many punches came, and what is usual for each terminal.
//!
//! ```text
//! event_feed ─▶ feed (counts, nobody's name) ─▶ history.db ─▶ silence: learned, judged
//! sentinel.db ─▶ uptime: seconds by standing  ─▶ history.db ─▶ reports, check lists
//! ```
//!
//! It lives in a file of its own, so that a slow or broken history never holds up a decision or
//! a letter; what is lost with it is figures, never an alert. Its growth is bounded by
//! [`History::purge`]. Nothing here holds a person, a card or a code.

mod feed;
mod silence;
mod terminals;
mod uptime;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::ToSpan as _;
use jiff::civil::Date;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};

use crate::observation::Value;
use crate::report::DaySeconds;
use crate::words::Phrase;

pub use feed::{Batch, Fresh};
pub use silence::{PEOPLE, PUNCHES_YESTERDAY, Shared, SilenceLook, YESTERDAY, day_number};
pub use terminals::{Known, Terminal};
pub use uptime::{UptimeLook, name_of_backup, name_of_class, name_of_tenant};

/// The file's name in `state_dir`.
pub const FILE: &str = "history.db";

/// Days of quarter hours that are kept: twelve weeks, from which eight comparable days come.
const QUARTERS_KEPT: i32 = 84;
/// Days of seconds and of punches that are kept: two years and a month.
const DAYS_KEPT: i32 = 762;

const TABLES: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS uptime (name TEXT NOT NULL, day TEXT NOT NULL, \
     ok INTEGER NOT NULL, partial INTEGER NOT NULL, down INTEGER NOT NULL, \
     PRIMARY KEY (name, day)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS worst (name TEXT NOT NULL, day TEXT NOT NULL, \
     value INTEGER NOT NULL, PRIMARY KEY (name, day)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS punches (tenant TEXT NOT NULL, day TEXT NOT NULL, \
     count INTEGER NOT NULL, PRIMARY KEY (tenant, day)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS feed (tenant TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS terminal (tenant TEXT NOT NULL, serial TEXT NOT NULL, \
     zone TEXT NOT NULL, first_day TEXT NOT NULL, last_event INTEGER NOT NULL, \
     learned_day TEXT NULL, profile BLOB NULL, silent_since INTEGER NULL, \
     PRIMARY KEY (tenant, serial)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS terminal_day (tenant TEXT NOT NULL, serial TEXT NOT NULL, \
     day TEXT NOT NULL, quarters BLOB NOT NULL, PRIMARY KEY (tenant, serial, day)) WITHOUT ROWID",
];

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite's words.
    #[error("sentinel's history: {0}")]
    Database(#[from] sqlx::Error),
    /// Another process reads the same feed.
    #[error("another sentinel reads the feed into the same history")]
    Moved,
    /// A row that cannot be read.
    #[error("a row of sentinel's history: {0}")]
    Row(&'static str),
}

impl Error {
    /// The same for people; the words of SQLite stay as they are.
    pub(crate) fn said(&self) -> Value {
        let heard = |words: &dyn std::fmt::Display| [Value::heard(words.to_string())];
        match self {
            Self::Database(error) => Phrase::HistoryFailed.with(heard(error)),
            Self::Moved => Phrase::HistoryMoved.into(),
            Self::Row(words) => Phrase::HistoryFailed.with(heard(words)),
        }
    }
}

/// The open file.
#[derive(Debug)]
pub struct History {
    connection: SqliteConnection,
}

impl History {
    /// Opens the file in `state_dir`, and makes it and its tables where they are missing.
    ///
    /// # Errors
    /// [`Error::Database`], for example on a full disk.
    pub async fn open(state_dir: &Path) -> Result<Self, Error> {
        let connection = SqliteConnectOptions::new()
            .filename(state_dir.join(FILE))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A power cut may cost the last seconds of figures; the feed is read again.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5))
            .pragma("cache_size", "-1024")
            .disable_statement_logging()
            .connect()
            .await?;
        let mut history = Self { connection };
        for table in TABLES {
            sqlx::query(table).execute(&mut history.connection).await?;
        }
        Ok(history)
    }

    /// Opens the file of a sentinel that has run before, for reading; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn existing(state_dir: &Path) -> Result<Option<Self>, Error> {
        let path = state_dir.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let connection = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging()
            .connect()
            .await?;
        Ok(Some(Self { connection }))
    }

    /// Counts seconds of a day; `name` is [`name_of_tenant`] or [`name_of_class`].
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn add_seconds(
        &mut self,
        name: &str,
        day: Date,
        seconds: DaySeconds,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO uptime (name, day, ok, partial, down) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (name, day) DO UPDATE SET ok = ok + excluded.ok, \
             partial = partial + excluded.partial, down = down + excluded.down",
        )
        .bind(name)
        .bind(day.to_string())
        .bind(i64::from(seconds.ok))
        .bind(i64::from(seconds.partial))
        .bind(i64::from(seconds.down))
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// Seconds by standing of each day from `first` to `last` on which anything was noted.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn seconds(
        &mut self,
        name: &str,
        first: Date,
        last: Date,
    ) -> Result<BTreeMap<Date, DaySeconds>, Error> {
        let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
            "SELECT day, ok, partial, down FROM uptime WHERE name = ? AND day BETWEEN ? AND ?",
        )
        .bind(name)
        .bind(first.to_string())
        .bind(last.to_string())
        .fetch_all(&mut self.connection)
        .await?;
        let whole = |value: i64| u32::try_from(value).unwrap_or_default();
        let day = |(day, ok, partial, down): (String, i64, i64, i64)| {
            let seconds = DaySeconds {
                ok: whole(ok),
                partial: whole(partial),
                down: whole(down),
            };
            Ok((read_day(&day)?, seconds))
        };
        rows.into_iter().map(day).collect()
    }

    /// Notes the largest value of a day.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn note_worst(&mut self, name: &str, day: Date, value: u64) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO worst (name, day, value) VALUES (?, ?, ?) \
             ON CONFLICT (name, day) DO UPDATE SET value = max(value, excluded.value)",
        )
        .bind(name)
        .bind(day.to_string())
        .bind(i64::try_from(value).unwrap_or(i64::MAX))
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// The largest value noted from `first` to `last`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn worst(
        &mut self,
        name: &str,
        first: Date,
        last: Date,
    ) -> Result<Option<u64>, Error> {
        let worst: Option<i64> = sqlx::query_scalar(
            "SELECT MAX(value) FROM worst WHERE name = ? AND day BETWEEN ? AND ?",
        )
        .bind(name)
        .bind(first.to_string())
        .bind(last.to_string())
        .fetch_one(&mut self.connection)
        .await?;
        Ok(worst.and_then(|worst| u64::try_from(worst).ok()))
    }

    /// Punches of each day from `first` to `last` on which there were any.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn punches(
        &mut self,
        tenant: &str,
        first: Date,
        last: Date,
    ) -> Result<BTreeMap<Date, u64>, Error> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT day, count FROM punches WHERE tenant = ? AND day BETWEEN ? AND ?",
        )
        .bind(tenant)
        .bind(first.to_string())
        .bind(last.to_string())
        .fetch_all(&mut self.connection)
        .await?;
        let day = |(day, count): (String, i64)| {
            Ok((read_day(&day)?, u64::try_from(count).unwrap_or_default()))
        };
        rows.into_iter().map(day).collect()
    }

    /// Forgets what is older than anybody asks for. Terminals that were silent so long that
    /// nothing of them is left are forgotten too.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn purge(&mut self, today: Date) -> Result<(), Error> {
        let ago = |days: i32| today.saturating_sub(days.days()).to_string();
        let (quarters, days) = (ago(QUARTERS_KEPT), ago(DAYS_KEPT));
        for (statement, before) in [
            ("DELETE FROM terminal_day WHERE day < ?", &quarters),
            ("DELETE FROM uptime WHERE day < ?", &days),
            ("DELETE FROM worst WHERE day < ?", &days),
            ("DELETE FROM punches WHERE day < ?", &days),
        ] {
            sqlx::query(statement)
                .bind(before)
                .execute(&mut self.connection)
                .await?;
        }
        let long_ago = today.saturating_sub(DAYS_KEPT.days());
        let long_ago = long_ago.to_zoned(jiff::tz::TimeZone::UTC);
        let long_ago = long_ago.map_or(0, |at| at.timestamp().as_second());
        sqlx::query("DELETE FROM terminal WHERE last_event < ?")
            .bind(long_ago)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}

fn read_day(text: &str) -> Result<Date, Error> {
    text.parse().map_err(|_| Error::Row("no day"))
}

#[cfg(test)]
mod tests;
