//! Writing: what a decision changed, in one transaction with its letters.

use jiff::Timestamp;
use notify::Outbox;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::{Database, Error};
use crate::config::Config;
use crate::decide::{Changes, Incident, Window};
use crate::message;
use crate::observation::Observation;

impl Database {
    /// Writes all changes or none.
    ///
    /// # Errors
    /// [`Error`]; then nothing was written.
    pub async fn apply(
        &mut self,
        config: &Config,
        changes: &Changes,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        for incident in changes.incidents.values() {
            write_incident(&mut transaction, config, incident).await?;
        }
        for entry in &changes.timeline {
            sqlx::query(
                "INSERT INTO timeline (incident, at, what, who, detail) VALUES (?, ?, ?, ?, ?)",
            )
            .bind(entry.incident.to_string())
            .bind(entry.at.as_millisecond())
            .bind(entry.what.as_str())
            .bind(&entry.who)
            .bind(&entry.detail)
            .execute(&mut *transaction)
            .await?;
        }
        for state in &changes.tenants {
            sqlx::query(
                "INSERT INTO tenant_state (tenant, since, standing, indicator) VALUES (?, ?, ?, ?)",
            )
            .bind(&state.tenant)
            .bind(state.since.as_millisecond())
            .bind(state.standing.as_str())
            .bind(&state.indicator)
            .execute(&mut *transaction)
            .await?;
        }
        for window in changes.windows.values() {
            write_window(&mut transaction, window).await?;
        }
        for letter in &changes.letters {
            Outbox::queue(&mut transaction, letter, now).await?;
        }
        if let Some(day) = changes.daily {
            set_meta(&mut transaction, "last_daily", &day.to_string()).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Keeps what looks saw last, for commands and check lists.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn keep_latest<'a>(
        &mut self,
        seen: impl Iterator<Item = (&'a str, &'a Observation)>,
    ) -> Result<(), Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        for (look, observation) in seen {
            sqlx::query(
                "INSERT INTO latest (look, subject, at, observation) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (look, subject) DO UPDATE SET at = excluded.at, \
                 observation = excluded.observation",
            )
            .bind(look)
            .bind(observation.subject.to_string())
            .bind(observation.at.as_millisecond())
            .bind(serde_json::to_string(observation)?)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Proves that the file can be written: the self-test.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn prove(&mut self, now: Timestamp) -> Result<(), Error> {
        set_meta(
            &mut self.connection,
            "alive_at",
            &now.as_millisecond().to_string(),
        )
        .await
    }

    /// Deletes incidents that were closed before `before`, with their timelines, and states of
    /// tenants and windows of maintenance that ended before. The incident with the highest
    /// number stays, so that no number is used twice, and so does the newest state of each
    /// tenant.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn forget(&mut self, before: Timestamp) -> Result<(), Error> {
        for statement in [
            "DELETE FROM timeline WHERE incident IN (SELECT id FROM incident WHERE closed_at < ?1 \
             AND number < (SELECT MAX(number) FROM incident))",
            "DELETE FROM incident WHERE closed_at < ?1 \
             AND number < (SELECT MAX(number) FROM incident)",
            "DELETE FROM tenant_state WHERE since < ?1 \
             AND id NOT IN (SELECT MAX(id) FROM tenant_state GROUP BY tenant)",
            "DELETE FROM maintenance WHERE until_at < ?1",
        ] {
            sqlx::query(statement)
                .bind(before.as_millisecond())
                .execute(&mut self.connection)
                .await?;
        }
        Ok(())
    }

    /// Deletes what is no longer needed: observations of looks that are silent for 30 days,
    /// answered requests and letters that ended before `before`. Incidents stay, see
    /// [`Database::forget`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn prune(&mut self, before: Timestamp) -> Result<(), Error> {
        for statement in [
            "DELETE FROM latest WHERE at < ?",
            "DELETE FROM request WHERE done_at < ?",
        ] {
            sqlx::query(statement)
                .bind(before.as_millisecond())
                .execute(&mut self.connection)
                .await?;
        }
        Ok(())
    }

    /// Leaves a request for the process that decides; answers with its number.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn request(&mut self, ask: &str, who: &str, now: Timestamp) -> Result<i64, Error> {
        let done = sqlx::query("INSERT INTO request (at, who, ask) VALUES (?, ?, ?)")
            .bind(now.as_millisecond())
            .bind(who)
            .bind(ask)
            .execute(&mut self.connection)
            .await?;
        Ok(done.last_insert_rowid())
    }

    /// Notes that a request was dealt with, with the words for whoever asked; empty is "done".
    ///
    /// # Errors
    /// [`Error`].
    pub async fn answer(&mut self, id: i64, answer: &str, now: Timestamp) -> Result<(), Error> {
        sqlx::query("UPDATE request SET done_at = ?, answer = ? WHERE id = ?")
            .bind(now.as_millisecond())
            .bind(answer)
            .bind(id)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// Sets the cause of an incident, open or closed; answers whether it exists.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn set_cause(&mut self, id: &str, cause: &str) -> Result<bool, Error> {
        let done = sqlx::query("UPDATE incident SET cause = ? WHERE id = ? AND state = 'closed'")
            .bind(cause)
            .bind(id)
            .execute(&mut self.connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

async fn write_incident(
    connection: &mut SqliteConnection,
    config: &Config,
    it: &Incident,
) -> Result<(), Error> {
    let milliseconds =
        |at: &Option<(Timestamp, String)>| at.as_ref().map(|(at, _)| at.as_millisecond());
    sqlx::query(
        "INSERT INTO incident (number, id, class, kind, severity, state, tenant, since, opened_at, \
         acknowledged_at, acknowledged_by, mitigated_at, closed_at, cause, summary, detail) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET \
         severity = excluded.severity, state = excluded.state, tenant = excluded.tenant, \
         since = excluded.since, acknowledged_at = excluded.acknowledged_at, \
         acknowledged_by = excluded.acknowledged_by, mitigated_at = excluded.mitigated_at, \
         closed_at = excluded.closed_at, cause = excluded.cause, summary = excluded.summary, \
         detail = excluded.detail",
    )
    .bind(i64::from(it.id.number))
    .bind(it.id.to_string())
    .bind(it.class.as_str())
    .bind(it.kind.as_str())
    .bind(it.severity.as_str())
    .bind(it.state.as_str())
    .bind(it.tenant())
    .bind(it.since.as_millisecond())
    .bind(it.opened_at.as_millisecond())
    .bind(milliseconds(&it.acknowledged))
    .bind(it.acknowledged.as_ref().map(|(_, who)| who))
    .bind(milliseconds(&it.mitigated))
    .bind(it.closed_at.map(|at| at.as_millisecond()))
    .bind(&it.cause)
    .bind(message::summary(config, it, config.language))
    .bind(serde_json::to_string(it)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_window(connection: &mut SqliteConnection, window: &Window) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO maintenance (id, tenant, from_at, until_at, ended, detail) \
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET until_at = excluded.until_at, \
         ended = excluded.ended, detail = excluded.detail",
    )
    .bind(window.id)
    .bind(&window.tenant)
    .bind(window.from.as_millisecond())
    .bind(window.until.as_millisecond())
    .bind(window.end_told)
    .bind(serde_json::to_string(window)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn set_meta(connection: &mut SqliteConnection, key: &str, value: &str) -> Result<(), Error> {
    sqlx::query("INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
        .bind(key)
        .bind(value)
        .execute(connection)
        .await?;
    Ok(())
}
