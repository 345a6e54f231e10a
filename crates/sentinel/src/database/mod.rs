//! Sentinel's own SQLite file: incidents, timelines, states, what was seen last, and letters.
//!
//! One process decides and writes; commands only read, and ask by leaving a row in `request`.
//! What a decision changed is written in one transaction together with its letters, so that
//! after a crash either both are there or neither is. Tables are only ever added.

mod read;
mod write;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};

pub use read::{DayCounts, IncidentRow, Line, Seen, Which};

/// The file's name in `state_dir`.
pub const FILE: &str = "sentinel.db";

const TABLES: [&str; 10] = [
    "CREATE TABLE IF NOT EXISTS incident (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, \
     class TEXT NOT NULL, kind TEXT NOT NULL, severity TEXT NOT NULL, state TEXT NOT NULL, \
     tenant TEXT NULL, since INTEGER NOT NULL, opened_at INTEGER NOT NULL, \
     acknowledged_at INTEGER NULL, acknowledged_by TEXT NULL, mitigated_at INTEGER NULL, \
     closed_at INTEGER NULL, cause TEXT NULL, summary TEXT NOT NULL, detail TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS incident_state ON incident (state, opened_at)",
    "CREATE TABLE IF NOT EXISTS timeline (id INTEGER PRIMARY KEY, incident TEXT NOT NULL, \
     at INTEGER NOT NULL, what TEXT NOT NULL, who TEXT NOT NULL, detail TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS timeline_incident ON timeline (incident, id)",
    "CREATE TABLE IF NOT EXISTS tenant_state (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, \
     since INTEGER NOT NULL, standing TEXT NOT NULL, indicator TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS tenant_state_tenant ON tenant_state (tenant, since)",
    "CREATE TABLE IF NOT EXISTS maintenance (id INTEGER PRIMARY KEY, tenant TEXT NULL, \
     from_at INTEGER NOT NULL, until_at INTEGER NOT NULL, ended INTEGER NOT NULL, \
     detail TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS latest (look TEXT NOT NULL, subject TEXT NOT NULL, \
     at INTEGER NOT NULL, observation TEXT NOT NULL, PRIMARY KEY (look, subject))",
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS request (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, \
     who TEXT NOT NULL, ask TEXT NOT NULL, done_at INTEGER NULL, answer TEXT NULL)",
];

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite's words.
    #[error("sentinel's database: {0}")]
    Database(#[from] sqlx::Error),
    /// A letter that cannot be queued.
    #[error(transparent)]
    Letter(#[from] notify::Error),
    /// A row that cannot be read, or a value that cannot be written.
    #[error("a row of sentinel's database: {0}")]
    Row(String),
}

impl Error {
    /// What SQLite or the library said, without a sentence of ours before it.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Database(error) => error.to_string(),
            Self::Letter(error) => error.to_string(),
            Self::Row(words) => words.clone(),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Row(error.to_string())
    }
}

/// The open file.
#[derive(Debug)]
pub struct Database {
    connection: SqliteConnection,
    path: PathBuf,
}

impl Database {
    /// Opens the file in `state_dir`, and makes it and its tables where they are missing.
    ///
    /// # Errors
    /// [`Error::Database`], for example on a full disk.
    pub async fn open(state_dir: &Path) -> Result<Self, Error> {
        let path = state_dir.join(FILE);
        let mut connection = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            // In KiB: what is written goes to the file at once, and little is read back.
            .pragma("cache_size", "-512")
            .disable_statement_logging()
            .connect()
            .await?;
        notify::Outbox::create_tables(&mut connection).await?;
        for table in TABLES {
            sqlx::query(table).execute(&mut connection).await?;
        }
        Ok(Self { connection, path })
    }

    /// Opens the file of a sentinel that has run before, for reading.
    ///
    /// # Errors
    /// [`Error::Database`]; also when there is none.
    pub async fn existing(state_dir: &Path) -> Result<Self, Error> {
        let path = state_dir.join(FILE);
        let connection = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging()
            .connect()
            .await?;
        Ok(Self { connection, path })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// For the rooms that keep tables of their own in this file.
    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

fn at(milliseconds: i64) -> Result<Timestamp, Error> {
    Timestamp::from_millisecond(milliseconds).map_err(|error| Error::Row(error.to_string()))
}

#[cfg(test)]
mod tests;
