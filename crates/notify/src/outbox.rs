//! The durable outbox: letters in tables of an SQLite file that the caller names.
//!
//! A letter is queued inside the caller's own transaction, so that it is on the disk before
//! the state that called for it changes, or neither is. Each row is one letter to one
//! recipient with its own tries. Times are absolute, so that a restart changes nothing.
//! Nothing is deleted here but what ended long ago.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Row as _};
use tokio::sync::{Mutex, Notify};

use crate::letter::{Channel, Letter};
use crate::{CapRule, Error, text};

/// Tables are only ever added, so that a file of an earlier version gets what is new.
const TABLES: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS outbox_letter (\
     id INTEGER PRIMARY KEY AUTOINCREMENT, letter TEXT NOT NULL UNIQUE, \
     incident TEXT NOT NULL, step TEXT NOT NULL, kind TEXT NOT NULL, critical INTEGER NOT NULL, \
     channel TEXT NOT NULL, recipient TEXT NOT NULL, language TEXT NOT NULL, \
     subject TEXT NOT NULL, text TEXT NOT NULL, html TEXT NOT NULL, \
     state TEXT NOT NULL, queued_at INTEGER NOT NULL, due_at INTEGER NOT NULL, \
     attempts INTEGER NOT NULL DEFAULT 0, first_try_at INTEGER NULL, \
     relay_fault INTEGER NOT NULL DEFAULT 0, relay TEXT NULL, last_error TEXT NULL, \
     ended_at INTEGER NULL, digest INTEGER NULL)",
    "CREATE INDEX IF NOT EXISTS outbox_due ON outbox_letter (state, due_at)",
    "CREATE INDEX IF NOT EXISTS outbox_recipient ON outbox_letter (recipient, state, ended_at)",
    "CREATE INDEX IF NOT EXISTS outbox_thread ON outbox_letter (incident, recipient)",
    "CREATE TABLE IF NOT EXISTS outbox_relay (name TEXT PRIMARY KEY, failures INTEGER NOT NULL, \
     rest_until INTEGER NOT NULL, last_error TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS outbox_total (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
];

/// The open outbox; clones share one connection. One pump works on a file at a time.
#[derive(Clone)]
pub struct Outbox {
    path: PathBuf,
    connection: Arc<Mutex<SqliteConnection>>,
    wake: Arc<Notify>,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outbox({})", self.path.display())
    }
}

/// Numbers for metrics and for the watch over the mail path itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// Letters that wait or are tried, digests counted once.
    pub waiting: u64,
    /// For how long the oldest of them has waited.
    pub oldest: Option<Duration>,
    /// The same without what [`CapRule`](crate::CapRule) holds back: for how long a letter does not
    /// leave although it may.
    pub stuck: Option<Duration>,
    /// Letters delivered since the file was made.
    pub sent: u64,
    /// Letters given up since the file was made.
    pub failed: u64,
    /// When something was last delivered.
    pub last_sent_at: Option<Timestamp>,
    /// Relays that failed last time, with how often in a row and in whose words.
    pub failing_relays: Vec<(String, u32, String)>,
}

/// Where one letter stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The letter's identity.
    pub id: String,
    /// Who was to get it.
    pub recipient: String,
    /// Its subject.
    pub subject: String,
    /// Where it stands.
    pub state: State,
    /// How often it was tried.
    pub attempts: u32,
    /// The relay or webhook that took it.
    pub relay: Option<String>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
}

/// The states of a letter. One that went in a digest has the digest's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for its turn: more mails to this recipient would be too many right now.
    Queued,
    /// Is being delivered, or waits for its next try.
    Sending,
    /// The relay has taken it.
    Delivered,
    /// Given up.
    Failed,
}

impl Outbox {
    /// Opens that file, whose folder must exist, and makes the tables where they are missing.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn open(path: &Path) -> Result<Self, Error> {
        Self::at(path, Arc::default()).await
    }

    /// An outbox that is gone with its last clone: for simple programs, and for the caller
    /// whose disk is full and who must still say so.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn in_memory() -> Result<Self, Error> {
        Self::at(Path::new(":memory:"), Arc::default()).await
    }

    async fn at(path: &Path, wake: Arc<Notify>) -> Result<Self, Error> {
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            // In KiB: a handful of letters at a time is all that is ever read.
            .pragma("cache_size", "-512")
            .disable_statement_logging()
            .connect()
            .await?;
        Self::create_tables(&mut connection).await?;
        Ok(Self {
            path: path.to_owned(),
            connection: Arc::new(Mutex::new(connection)),
            wake,
        })
    }

    /// Makes the tables through the caller's own connection.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn create_tables(connection: &mut SqliteConnection) -> Result<(), Error> {
        for table in TABLES {
            sqlx::query(table).execute(&mut *connection).await?;
        }
        Ok(())
    }

    /// Queues a letter inside the caller's transaction; call [`Outbox::wake`] after the commit.
    /// The same letter (incident, step, recipient) is queued once, however often it is asked
    /// for: answers false when it was there already.
    ///
    /// # Errors
    /// [`Error::Letter`] for unusable keys, [`Error::Database`].
    pub async fn queue(
        connection: &mut SqliteConnection,
        letter: &Letter,
        now: Timestamp,
    ) -> Result<bool, Error> {
        letter.check()?;
        // A machine at the other end of a webhook is spared no letter: caps are for people.
        let state = match letter.to.channel() {
            Channel::Mail => "queued",
            Channel::Webhook => "sending",
        };
        let done = sqlx::query(
            "INSERT INTO outbox_letter (letter, incident, step, kind, critical, channel, \
             recipient, language, subject, text, html, state, queued_at, due_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13) \
             ON CONFLICT (letter) DO NOTHING",
        )
        .bind(letter.id())
        .bind(&letter.incident)
        .bind(&letter.step)
        .bind(&letter.kind)
        .bind(letter.critical)
        .bind(letter.to.channel().word())
        .bind(letter.to.address())
        .bind(letter.language.code())
        .bind(letter.shown_subject())
        .bind(letter.body.text())
        .bind(letter.body.html())
        .bind(state)
        .bind(now.as_millisecond())
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Queues letters in a transaction of their own, and wakes the pump.
    ///
    /// # Errors
    /// As [`Outbox::queue`]; then none is queued.
    pub async fn queue_all(&self, letters: &[Letter], now: Timestamp) -> Result<(), Error> {
        let mut connection = self.connection().await;
        let mut transaction = begin(&mut connection).await?;
        for letter in letters {
            Self::queue(&mut transaction, letter, now).await?;
        }
        transaction.commit().await?;
        self.wake();
        Ok(())
    }

    /// Tells a running pump that something was queued; without this it looks every second.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(crate) async fn connection(&self) -> tokio::sync::MutexGuard<'_, SqliteConnection> {
        self.connection.lock().await
    }

    /// The numbers at `now`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn figures(&self, now: Timestamp) -> Result<Figures, Error> {
        let mut connection = self.connection().await;
        // What is only queued is held back by the cap, for no longer than its window.
        let (waiting, oldest, stuck): (i64, Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT COUNT(*), MIN(queued_at), \
             MIN(CASE state WHEN 'sending' THEN queued_at ELSE queued_at + ? END) \
             FROM outbox_letter WHERE state IN ('queued', 'sending')",
        )
        .bind(i64::try_from(CapRule::default().window.as_millis()).unwrap_or(i64::MAX))
        .fetch_one(&mut *connection)
        .await?;
        let totals: Vec<(String, i64)> = sqlx::query_as("SELECT name, value FROM outbox_total")
            .fetch_all(&mut *connection)
            .await?;
        let total = |name: &str| {
            let found = totals.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| *value)
        };
        let count = |value: i64| u64::try_from(value).unwrap_or_default();
        let waited = |since: i64| {
            let waited = now.as_millisecond().saturating_sub(since);
            Duration::from_millis(u64::try_from(waited).unwrap_or_default())
        };
        let relays: Vec<(String, i64, String)> =
            sqlx::query_as("SELECT name, failures, last_error FROM outbox_relay ORDER BY name")
                .fetch_all(&mut *connection)
                .await?;
        let failing = relays
            .into_iter()
            .map(|(name, failures, words)| (name, u32::try_from(failures).unwrap_or(1), words));
        Ok(Figures {
            waiting: count(waiting),
            oldest: oldest.map(waited),
            stuck: stuck.map(waited),
            sent: count(total("sent").unwrap_or_default()),
            failed: count(total("failed").unwrap_or_default()),
            last_sent_at: total("last_sent_at").and_then(|at| instant(at).ok()),
            failing_relays: failing.collect(),
        })
    }

    /// Where a letter stands, by its identity; `None` when it is not known here (any more).
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn standing(&self, id: &str) -> Result<Option<Standing>, Error> {
        let mut connection = self.connection().await;
        let row = sqlx::query(
            "SELECT l.letter, l.recipient, l.subject, COALESCE(d.state, l.state) AS state, \
             COALESCE(d.attempts, l.attempts) AS attempts, COALESCE(d.relay, l.relay) AS relay, \
             COALESCE(d.last_error, l.last_error) AS last_error, \
             COALESCE(d.ended_at, l.ended_at) AS ended_at FROM outbox_letter l \
             LEFT JOIN outbox_letter d ON d.id = l.digest WHERE l.letter = ?",
        )
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
        row.as_ref().map(standing).transpose()
    }

    /// Letters given up at `since` or later, digests as one, the oldest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn given_up(&self, since: Timestamp) -> Result<Vec<Standing>, Error> {
        let mut connection = self.connection().await;
        let rows = sqlx::query(
            "SELECT letter, recipient, subject, state, attempts, relay, last_error, ended_at \
             FROM outbox_letter WHERE state = 'failed' AND ended_at >= ? ORDER BY ended_at, id",
        )
        .bind(since.as_millisecond())
        .fetch_all(&mut *connection)
        .await?;
        rows.iter().map(standing).collect()
    }

    /// Deletes what ended before `before`, and answers how many rows that were. Letters that
    /// wait are never deleted.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn prune(&self, before: Timestamp) -> Result<u64, Error> {
        let mut connection = self.connection().await;
        let done = sqlx::query(
            "DELETE FROM outbox_letter WHERE ended_at < ?1 AND (state IN ('delivered', 'failed') \
             OR (state = 'folded' AND digest NOT IN \
             (SELECT id FROM outbox_letter WHERE state = 'sending')))",
        )
        .bind(before.as_millisecond())
        .execute(&mut *connection)
        .await?;
        Ok(done.rows_affected())
    }
}

/// A transaction that takes the write lock at once, where waiting for it is still possible.
pub(crate) async fn begin(
    connection: &mut SqliteConnection,
) -> Result<sqlx::Transaction<'_, sqlx::Sqlite>, sqlx::Error> {
    sqlx::Connection::begin_with(connection, "BEGIN IMMEDIATE").await
}

/// A time of the table.
pub(crate) fn instant(milliseconds: i64) -> Result<Timestamp, Error> {
    Timestamp::from_millisecond(milliseconds)
        .map_err(|error| Error::Letter(format!("a time in the outbox: {error}")))
}

/// `duration` before that time, in milliseconds.
pub(crate) fn before(now: Timestamp, duration: SignedDuration) -> i64 {
    let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    now.as_millisecond().saturating_sub(milliseconds)
}

fn standing(row: &SqliteRow) -> Result<Standing, Error> {
    let state: String = row.try_get("state")?;
    let state = match state.as_str() {
        "queued" => State::Queued,
        "sending" => State::Sending,
        "delivered" => State::Delivered,
        "failed" => State::Failed,
        other => {
            let words = format!("the state '{}' in the outbox", text::short(other, 40));
            return Err(Error::Letter(words));
        }
    };
    let ended_at: Option<i64> = row.try_get("ended_at")?;
    Ok(Standing {
        id: row.try_get("letter")?,
        recipient: row.try_get("recipient")?,
        subject: row.try_get("subject")?,
        state,
        attempts: row.try_get("attempts")?,
        relay: row.try_get("relay")?,
        last_error: row.try_get("last_error")?,
        ended_at: ended_at.map(instant).transpose()?,
    })
}
