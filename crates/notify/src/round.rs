//! What the pump reads from and writes to the outbox: who may be written to now, what is due,
//! and how a try ended.
//!
//! A letter is marked as tried, with the time of its next try, before it is handed to a relay.
//! So neither a crash nor a letter that makes us crash can turn into a loop without pauses.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::Error;
use crate::cap::{self, CapRule, History, Waiting};
use crate::digest::{self, Folded};
use crate::letter::{Channel, identity};
use crate::outbox::{Outbox, before, begin, instant};
use crate::schedule::{self, Next, later};
use crate::text::Language;

/// One letter that is to be tried now.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) row: i64,
    pub(crate) letter: String,
    /// The identity under which this recipient's thread of the incident began.
    pub(crate) thread: Option<String>,
    pub(crate) incident: String,
    pub(crate) step: String,
    pub(crate) kind: String,
    pub(crate) critical: bool,
    pub(crate) channel: Channel,
    pub(crate) recipient: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) queued_at: Timestamp,
    /// With this try.
    pub(crate) attempts: u32,
    pub(crate) first_try_at: Timestamp,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Taken by that relay or webhook.
    Delivered { by: String },
    /// Try again; `relay_fault` when no recipient was to blame.
    Later { words: String, relay_fault: bool },
    /// Refused for good.
    Refused { words: String },
}

/// Applies the caps, and takes at most `room` due letters that are not in flight, the critical
/// ones first.
pub(crate) async fn begin_round(
    outbox: &Outbox,
    rule: &CapRule,
    in_flight: &HashSet<i64>,
    room: usize,
    now: Timestamp,
) -> Result<Vec<Job>, Error> {
    let mut connection = outbox.connection().await;
    if !is_work(&mut connection, now).await? {
        return Ok(Vec::new());
    }
    let mut transaction = begin(&mut connection).await?;
    let recipients: Vec<(String,)> =
        sqlx::query_as("SELECT DISTINCT recipient FROM outbox_letter WHERE state = 'queued'")
            .fetch_all(&mut *transaction)
            .await?;
    for (recipient,) in recipients {
        admit(&mut transaction, rule, &recipient, now).await?;
    }
    let jobs = take_due(&mut transaction, in_flight, room, now).await?;
    transaction.commit().await?;
    Ok(jobs)
}

/// A due time further away than any pause was written before the clock was set back.
fn horizon(now: Timestamp) -> i64 {
    later(now, schedule::LONGEST + 60).as_millisecond()
}

async fn is_work(connection: &mut SqliteConnection, now: Timestamp) -> Result<bool, Error> {
    let (found,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM outbox_letter WHERE state = 'queued') OR \
         EXISTS (SELECT 1 FROM outbox_letter WHERE state = 'sending' \
         AND (due_at <= ?1 OR due_at > ?2))",
    )
    .bind(now.as_millisecond())
    .bind(horizon(now))
    .fetch_one(connection)
    .await?;
    Ok(found)
}

async fn admit(
    connection: &mut SqliteConnection,
    rule: &CapRule,
    recipient: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let waiting: Vec<(i64, String, bool)> = sqlx::query_as(
        "SELECT id, kind, critical FROM outbox_letter \
         WHERE recipient = ? AND state = 'queued' ORDER BY id",
    )
    .bind(recipient)
    .fetch_all(&mut *connection)
    .await?;
    let waiting: Vec<Waiting> = waiting
        .into_iter()
        .map(|(id, kind, critical)| Waiting { id, kind, critical })
        .collect();
    let history = history(connection, rule, recipient, now).await?;
    let plan = cap::plan(rule, &history, &waiting, now);
    for id in plan.send {
        sqlx::query("UPDATE outbox_letter SET state = 'sending', due_at = ? WHERE id = ?")
            .bind(now.as_millisecond())
            .bind(id)
            .execute(&mut *connection)
            .await?;
    }
    if plan.fold.is_empty() {
        return Ok(());
    }
    fold(connection, recipient, &plan.fold, now).await
}

async fn history(
    connection: &mut SqliteConnection,
    rule: &CapRule,
    recipient: &str,
    now: Timestamp,
) -> Result<History, Error> {
    let delivered: Vec<(i64,)> = sqlx::query_as(
        "SELECT ended_at FROM outbox_letter WHERE recipient = ?1 AND state = 'delivered' \
         AND channel = 'mail' AND ended_at BETWEEN ?2 AND ?3",
    )
    .bind(recipient)
    .bind(before(now, rule.window))
    .bind(now.as_millisecond())
    .fetch_all(&mut *connection)
    .await?;
    let (under_way,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*) FROM outbox_letter WHERE recipient = ? AND state = 'sending' \
         AND channel = 'mail'",
    )
    .bind(recipient)
    .fetch_one(&mut *connection)
    .await?;
    let kinds: Vec<(String, bool)> = sqlx::query_as(
        "SELECT DISTINCT kind, critical FROM outbox_letter WHERE recipient = ?1 \
         AND channel = 'mail' AND (state = 'sending' OR \
         (state = 'delivered' AND ended_at BETWEEN ?2 AND ?3))",
    )
    .bind(recipient)
    .bind(before(now, rule.critical_again))
    .bind(now.as_millisecond())
    .fetch_all(&mut *connection)
    .await?;
    let times: Result<Vec<Timestamp>, Error> =
        delivered.into_iter().map(|(at,)| instant(at)).collect();
    Ok(History {
        delivered: times?,
        under_way: usize::try_from(under_way).unwrap_or_default(),
        passed_kinds: kinds
            .into_iter()
            .filter(|(kind, critical)| rule.passes(kind, *critical))
            .map(|(kind, _)| kind)
            .collect(),
    })
}

/// Writes a digest of these rows and ends them in it.
async fn fold(
    connection: &mut SqliteConnection,
    recipient: &str,
    rows: &[i64],
    now: Timestamp,
) -> Result<(), Error> {
    let mut letters = Vec::with_capacity(rows.len());
    let mut parts = vec!["digest".to_owned(), recipient.to_owned()];
    let mut language = Language::default();
    for id in rows {
        let (letter, critical, subject, text, code): (String, bool, String, String, String) =
            sqlx::query_as(
                "SELECT letter, critical, subject, text, language FROM outbox_letter WHERE id = ?",
            )
            .bind(id)
            .fetch_one(&mut *connection)
            .await?;
        language = Language::from_code(&code).unwrap_or(language);
        parts.push(letter);
        letters.push(Folded {
            critical,
            subject,
            text,
        });
    }
    let written = digest::write(language, &letters);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let name = identity(&parts);
    // The kind is empty: no letter of a caller's has that, so no digest passes for the first
    // critical letter of a kind.
    let done = sqlx::query(
        "INSERT INTO outbox_letter (letter, incident, step, kind, critical, channel, recipient, \
         language, subject, text, html, state, queued_at, due_at) \
         VALUES (?1, 'digest', ?1, '', ?2, 'mail', ?3, ?4, ?5, ?6, ?7, 'sending', ?8, ?8)",
    )
    .bind(&name)
    .bind(letters.iter().any(|letter| letter.critical))
    .bind(recipient)
    .bind(language.code())
    .bind(&written.subject)
    .bind(&written.text)
    .bind(&written.html)
    .bind(now.as_millisecond())
    .execute(&mut *connection)
    .await?;
    let digest = done.last_insert_rowid();
    for id in rows {
        sqlx::query(
            "UPDATE outbox_letter SET state = 'folded', digest = ?, ended_at = ? WHERE id = ?",
        )
        .bind(digest)
        .bind(now.as_millisecond())
        .bind(id)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn take_due(
    connection: &mut SqliteConnection,
    in_flight: &HashSet<i64>,
    room: usize,
    now: Timestamp,
) -> Result<Vec<Job>, Error> {
    let limit = i64::try_from(room.saturating_add(in_flight.len())).unwrap_or(i64::MAX);
    let rows = sqlx::query(
        "SELECT id, letter, incident, step, kind, critical, channel, recipient, subject, text, \
         html, queued_at, attempts, first_try_at, \
         (SELECT COALESCE((SELECT d.letter FROM outbox_letter d WHERE d.id = f.digest), f.letter) \
          FROM outbox_letter f WHERE f.incident = l.incident AND f.recipient = l.recipient \
          AND f.channel = l.channel AND l.kind <> '' AND f.id < l.id ORDER BY f.id LIMIT 1) \
         AS thread FROM outbox_letter l \
         WHERE state = 'sending' AND (due_at <= ?1 OR due_at > ?2) \
         ORDER BY critical DESC, due_at, id LIMIT ?3",
    )
    .bind(now.as_millisecond())
    .bind(horizon(now))
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let mut jobs = Vec::new();
    for row in &rows {
        let job = job(row, now)?;
        if in_flight.contains(&job.row) || jobs.len() == room {
            continue;
        }
        let next = match schedule::next(job.attempts, job.first_try_at, now) {
            Next::At(at) => at,
            // This is the last try; should it be cut short, there is one more.
            Next::GiveUp => later(now, schedule::LONGEST),
        };
        sqlx::query(
            "UPDATE outbox_letter SET attempts = ?, first_try_at = ?, due_at = ? WHERE id = ?",
        )
        .bind(job.attempts)
        .bind(job.first_try_at.as_millisecond())
        .bind(next.as_millisecond())
        .bind(job.row)
        .execute(&mut *connection)
        .await?;
        jobs.push(job);
    }
    Ok(jobs)
}

fn job(row: &SqliteRow, now: Timestamp) -> Result<Job, Error> {
    let channel: String = row.try_get("channel")?;
    let attempts: u32 = row.try_get("attempts")?;
    let first: Option<i64> = row.try_get("first_try_at")?;
    Ok(Job {
        row: row.try_get("id")?,
        letter: row.try_get("letter")?,
        thread: row.try_get("thread")?,
        incident: row.try_get("incident")?,
        step: row.try_get("step")?,
        kind: row.try_get("kind")?,
        critical: row.try_get("critical")?,
        channel: Channel::from_word(&channel).unwrap_or(Channel::Mail),
        recipient: row.try_get("recipient")?,
        subject: row.try_get("subject")?,
        text: row.try_get("text")?,
        html: row.try_get("html")?,
        queued_at: instant(row.try_get("queued_at")?)?,
        attempts: attempts.saturating_add(1),
        first_try_at: first.map(instant).transpose()?.unwrap_or(now),
    })
}

/// Writes down how a try ended. Answers true when the letter was given up with it.
pub(crate) async fn record(
    outbox: &Outbox,
    job: &Job,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<bool, Error> {
    let mut connection = outbox.connection().await;
    let mut transaction = begin(&mut connection).await?;
    let given_up = match outcome {
        Outcome::Delivered { by } => {
            ended(&mut transaction, job, "delivered", Some(by), None, now).await?;
            total(&mut transaction, "sent", 1).await?;
            sqlx::query(
                "INSERT INTO outbox_total (name, value) VALUES ('last_sent_at', ?1) \
                 ON CONFLICT (name) DO UPDATE SET value = ?1",
            )
            .bind(now.as_millisecond())
            .execute(&mut *transaction)
            .await?;
            false
        }
        Outcome::Later { words, relay_fault } => {
            match schedule::next(job.attempts, job.first_try_at, now) {
                Next::At(at) => {
                    sqlx::query(
                        "UPDATE outbox_letter SET due_at = ?, last_error = ?, relay_fault = ? \
                         WHERE id = ?",
                    )
                    .bind(at.as_millisecond())
                    .bind(words)
                    .bind(relay_fault)
                    .bind(job.row)
                    .execute(&mut *transaction)
                    .await?;
                    false
                }
                Next::GiveUp => {
                    ended(&mut transaction, job, "failed", None, Some(words), now).await?;
                    true
                }
            }
        }
        Outcome::Refused { words } => {
            ended(&mut transaction, job, "failed", None, Some(words), now).await?;
            true
        }
    };
    if given_up {
        total(&mut transaction, "failed", 1).await?;
    }
    transaction.commit().await?;
    Ok(given_up)
}

async fn ended(
    connection: &mut SqliteConnection,
    job: &Job,
    state: &str,
    by: Option<&str>,
    words: Option<&str>,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE outbox_letter SET state = ?, relay = ?, last_error = ?, ended_at = ? WHERE id = ?",
    )
    .bind(state)
    .bind(by)
    .bind(words)
    .bind(now.as_millisecond())
    .bind(job.row)
    .execute(connection)
    .await?;
    Ok(())
}

async fn total(connection: &mut SqliteConnection, name: &str, more: i64) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO outbox_total (name, value) VALUES (?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET value = value + ?2",
    )
    .bind(name)
    .bind(more)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that a relay failed and rests.
pub(crate) async fn relay_failed(
    outbox: &Outbox,
    name: &str,
    (failures, until): (u32, Timestamp),
    words: &str,
) -> Result<(), Error> {
    let mut connection = outbox.connection().await;
    sqlx::query(
        "INSERT INTO outbox_relay (name, failures, rest_until, last_error) \
         VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE \
         SET failures = ?2, rest_until = ?3, last_error = ?4",
    )
    .bind(name)
    .bind(failures)
    .bind(until.as_millisecond())
    .bind(words)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// A relay that had failed works again: what waits because of relays is due at once.
pub(crate) async fn relay_recovered(
    outbox: &Outbox,
    name: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let mut connection = outbox.connection().await;
    sqlx::query("DELETE FROM outbox_relay WHERE name = ?")
        .bind(name)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE outbox_letter SET due_at = ?1 \
         WHERE state = 'sending' AND relay_fault AND due_at > ?1",
    )
    .bind(now.as_millisecond())
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// What an earlier process noted about relays.
pub(crate) async fn relays(outbox: &Outbox) -> Result<HashMap<String, (u32, Timestamp)>, Error> {
    let mut connection = outbox.connection().await;
    let rows: Vec<(String, u32, i64)> =
        sqlx::query_as("SELECT name, failures, rest_until FROM outbox_relay")
            .fetch_all(&mut *connection)
            .await?;
    rows.into_iter()
        .map(|(name, failures, until)| Ok((name, (failures, instant(until)?))))
        .collect()
}
