//! Reading: what a restart goes on from, and what commands, pages and reports show.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Database, Error, at};
use crate::decide::{Ask, Incident, IncidentId, Restored, Standing, TenantState, Window};
use crate::observation::Observation;

/// A row of the list of incidents; the columns of `sentinel incidents --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IncidentRow {
    /// `INC-2026-000123`.
    pub id: String,
    /// Contingency class.
    pub class: String,
    /// What is wrong.
    pub kind: String,
    /// How bad.
    pub severity: String,
    /// How far it is.
    pub state: String,
    /// The one tenant whom it concerns.
    pub tenant: Option<String>,
    /// Since when it was wrong.
    pub since: Timestamp,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When somebody was on it.
    pub acknowledged_at: Option<Timestamp>,
    /// Who.
    pub acknowledged_by: Option<String>,
    /// When a workaround held.
    pub mitigated_at: Option<Timestamp>,
    /// When it was over.
    pub closed_at: Option<Timestamp>,
    /// Why it happened.
    pub cause: Option<String>,
    /// In one line, in the language of the configuration.
    pub summary: String,
}

/// Which incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that are not closed.
    Open,
    /// All that were open at some time in `[from, until)`.
    Between(Timestamp, Timestamp),
}

/// A line of a timeline as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// What, in a word.
    pub what: String,
    /// Who; empty for sentinel itself.
    pub who: String,
    /// More about it.
    pub detail: String,
}

/// What a look saw last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// Which look.
    pub look: String,
    /// What.
    pub observation: Observation,
}

/// Counts of a day for the daily mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DayCounts {
    /// Incidents that were opened in it.
    pub opened: i64,
    /// Incidents that were closed in it.
    pub closed: i64,
    /// Incidents that are not closed.
    pub open: i64,
    /// Mails that were delivered in it.
    pub mails: i64,
}

impl Database {
    /// What the decisions go on from.
    ///
    /// # Errors
    /// [`Error`]. An incident that cannot be read is left out and logged: the others matter.
    pub async fn restore(&mut self) -> Result<Restored, Error> {
        let connection = &mut self.connection;
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT detail FROM incident WHERE state <> 'closed'")
                .fetch_all(&mut *connection)
                .await?;
        let open = rows
            .iter()
            .filter_map(|(text,)| readable::<Incident>(text))
            .collect();
        let last: Option<i64> = sqlx::query_scalar("SELECT MAX(number) FROM incident")
            .fetch_one(&mut *connection)
            .await?;
        let rows: Vec<(String,)> = sqlx::query_as("SELECT detail FROM maintenance WHERE ended = 0")
            .fetch_all(&mut *connection)
            .await?;
        let windows = rows
            .iter()
            .filter_map(|(text,)| readable::<Window>(text))
            .collect();
        let daily: Option<String> =
            sqlx::query_scalar("SELECT value FROM meta WHERE key = 'last_daily'")
                .fetch_optional(&mut *connection)
                .await?;
        Ok(Restored {
            open,
            last_number: u32::try_from(last.unwrap_or_default()).unwrap_or(u32::MAX),
            windows,
            tenants: self.tenants().await?,
            last_daily: daily.and_then(|day| day.parse().ok()),
        })
    }

    /// The present state of each tenant.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn tenants(&mut self) -> Result<Vec<TenantState>, Error> {
        let rows = sqlx::query(
            "SELECT tenant, since, standing, indicator FROM tenant_state WHERE id IN \
             (SELECT MAX(id) FROM tenant_state GROUP BY tenant) ORDER BY tenant",
        )
        .fetch_all(&mut self.connection)
        .await?;
        rows.iter().map(tenant_state).collect()
    }

    /// Every state of a tenant that held at some time at or after `from`, the oldest first.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn tenant_history(
        &mut self,
        tenant: &str,
        from: Timestamp,
    ) -> Result<Vec<TenantState>, Error> {
        let rows = sqlx::query(
            "SELECT tenant, since, standing, indicator FROM tenant_state WHERE tenant = ?1 AND id >= \
             COALESCE((SELECT MAX(id) FROM tenant_state WHERE tenant = ?1 AND since <= ?2), 0) \
             ORDER BY id",
        )
        .bind(tenant)
        .bind(from.as_millisecond())
        .fetch_all(&mut self.connection)
        .await?;
        rows.iter().map(tenant_state).collect()
    }

    /// Incidents, the newest first.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn incidents(&mut self, which: Which) -> Result<Vec<IncidentRow>, Error> {
        let columns = "SELECT id, class, kind, severity, state, tenant, since, opened_at, \
                       acknowledged_at, acknowledged_by, mitigated_at, closed_at, cause, summary \
                       FROM incident WHERE";
        let rows = match which {
            Which::Open => {
                let query = format!("{columns} state <> 'closed' ORDER BY number DESC");
                sqlx::query(sqlx::AssertSqlSafe(query))
                    .fetch_all(&mut self.connection)
                    .await?
            }
            Which::Between(from, until) => {
                let query = format!(
                    "{columns} opened_at < ?2 AND (closed_at IS NULL OR closed_at >= ?1) \
                     ORDER BY number DESC"
                );
                sqlx::query(sqlx::AssertSqlSafe(query))
                    .bind(from.as_millisecond())
                    .bind(until.as_millisecond())
                    .fetch_all(&mut self.connection)
                    .await?
            }
        };
        rows.iter().map(incident_row).collect()
    }

    /// One incident with everything, as it was last written.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn incident(&mut self, id: IncidentId) -> Result<Option<Incident>, Error> {
        let text: Option<String> = sqlx::query_scalar("SELECT detail FROM incident WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&mut self.connection)
            .await?;
        Ok(text.as_deref().and_then(readable))
    }

    /// The timeline of an incident, the oldest line first.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn timeline(&mut self, id: IncidentId) -> Result<Vec<Line>, Error> {
        let rows = sqlx::query(
            "SELECT at, what, who, detail FROM timeline WHERE incident = ? ORDER BY id",
        )
        .bind(id.to_string())
        .fetch_all(&mut self.connection)
        .await?;
        let line = |row: &SqliteRow| {
            Ok(Line {
                at: at(row.try_get("at")?)?,
                what: row.try_get("what")?,
                who: row.try_get("who")?,
                detail: row.try_get("detail")?,
            })
        };
        rows.iter().map(line).collect()
    }

    /// Windows of maintenance that have not ended at `now`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn windows(&mut self, now: Timestamp) -> Result<Vec<Window>, Error> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT detail FROM maintenance WHERE until_at > ? ORDER BY id")
                .bind(now.as_millisecond())
                .fetch_all(&mut self.connection)
                .await?;
        Ok(rows.iter().filter_map(|(text,)| readable(text)).collect())
    }

    /// What looks saw last.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn latest(&mut self) -> Result<Vec<Seen>, Error> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT look, observation FROM latest ORDER BY look, subject")
                .fetch_all(&mut self.connection)
                .await?;
        let seen = rows.into_iter().filter_map(|(look, text)| {
            let observation = readable(&text)?;
            Some(Seen { look, observation })
        });
        Ok(seen.collect())
    }

    /// When the process that decides last proved that it can write.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn alive_at(&mut self) -> Result<Option<Timestamp>, Error> {
        let text: Option<String> =
            sqlx::query_scalar("SELECT value FROM meta WHERE key = 'alive_at'")
                .fetch_optional(&mut self.connection)
                .await?;
        text.and_then(|text| text.parse().ok()).map(at).transpose()
    }

    /// Requests that wait: number, who, and what.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn waiting_requests(&mut self) -> Result<Vec<(i64, String, Option<Ask>)>, Error> {
        let rows: Vec<(i64, String, String)> = sqlx::query_as(
            "SELECT id, who, ask FROM request WHERE done_at IS NULL ORDER BY id LIMIT 100",
        )
        .fetch_all(&mut self.connection)
        .await?;
        let asked = rows
            .into_iter()
            .map(|(id, who, text)| (id, who, readable(&text)));
        Ok(asked.collect())
    }

    /// The answer to a request, once there is one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn answer_to(&mut self, id: i64) -> Result<Option<String>, Error> {
        let answer: Option<Option<String>> =
            sqlx::query_scalar("SELECT answer FROM request WHERE id = ? AND done_at IS NOT NULL")
                .bind(id)
                .fetch_optional(&mut self.connection)
                .await?;
        Ok(answer.flatten())
    }

    /// Counts between two times, for the daily mail.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn day_counts(
        &mut self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<DayCounts, Error> {
        let (from, until) = (from.as_millisecond(), until.as_millisecond());
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM incident WHERE opened_at >= ?1 AND opened_at < ?2) AS opened, \
             (SELECT COUNT(*) FROM incident WHERE closed_at >= ?1 AND closed_at < ?2) AS closed, \
             (SELECT COUNT(*) FROM incident WHERE state <> 'closed') AS open, \
             (SELECT COUNT(*) FROM outbox_letter WHERE state = 'delivered' AND ended_at >= ?1 \
              AND ended_at < ?2) AS mails",
        )
        .bind(from)
        .bind(until)
        .fetch_one(&mut self.connection)
        .await?;
        Ok(DayCounts {
            opened: row.try_get("opened")?,
            closed: row.try_get("closed")?,
            open: row.try_get("open")?,
            mails: row.try_get("mails")?,
        })
    }
}

/// JSON of an older version that cannot be read is logged and left out.
fn readable<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    match serde_json::from_str(text) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(%error, "a row of sentinel's database cannot be read and is left out");
            None
        }
    }
}

fn tenant_state(row: &SqliteRow) -> Result<TenantState, Error> {
    let standing: String = row.try_get("standing")?;
    Ok(TenantState {
        tenant: row.try_get("tenant")?,
        since: at(row.try_get("since")?)?,
        standing: Standing::from_word(&standing).unwrap_or(Standing::Unknown),
        indicator: row.try_get("indicator")?,
    })
}

fn incident_row(row: &SqliteRow) -> Result<IncidentRow, Error> {
    let moment = |column: &str| -> Result<Option<Timestamp>, Error> {
        let value: Option<i64> = row.try_get(column)?;
        value.map(at).transpose()
    };
    Ok(IncidentRow {
        id: row.try_get("id")?,
        class: row.try_get("class")?,
        kind: row.try_get("kind")?,
        severity: row.try_get("severity")?,
        state: row.try_get("state")?,
        tenant: row.try_get("tenant")?,
        since: at(row.try_get("since")?)?,
        opened_at: at(row.try_get("opened_at")?)?,
        acknowledged_at: moment("acknowledged_at")?,
        acknowledged_by: row.try_get("acknowledged_by")?,
        mitigated_at: moment("mitigated_at")?,
        closed_at: moment("closed_at")?,
        cause: row.try_get("cause")?,
        summary: row.try_get("summary")?,
    })
}
