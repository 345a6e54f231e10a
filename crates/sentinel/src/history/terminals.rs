//! What is kept of each terminal for learned silence: where its feed was read to, its days by
//! quarter hour, its profile, and since when it is silent.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::{Batch, Error, Fresh, History, read_day};
use crate::silence::{Profile, Quarters};

/// A terminal as it is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Terminal {
    /// The IANA name of its zone.
    pub zone: String,
    /// The local day of its first event.
    pub first: Date,
    /// Its newest event.
    pub last: Timestamp,
    /// The last day that was learned from.
    pub learned: Option<Date>,
    /// What is usual.
    pub profile: Box<Profile>,
    /// The last event before the silence in which it is.
    pub silent_since: Option<Timestamp>,
}

/// All terminals of a tenant by serial.
pub type Known = BTreeMap<String, Terminal>;

impl History {
    /// Where the feed of a tenant was read to.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn mark(&mut self, tenant: &str) -> Result<Option<i64>, Error> {
        let mark = sqlx::query_scalar("SELECT seq FROM feed WHERE tenant = ?")
            .bind(tenant)
            .fetch_optional(&mut self.connection)
            .await?;
        Ok(mark)
    }

    /// Goes on reading from there.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn set_mark(&mut self, tenant: &str, seq: i64) -> Result<(), Error> {
        set_mark(&mut self.connection, tenant, seq).await
    }

    /// Takes in a batch that was read above the mark `after`: counts, newest events and the new
    /// mark, in one transaction.
    ///
    /// # Errors
    /// [`Error::Moved`] when the mark is another by now: somebody else took these rows in, and
    /// nothing is counted twice.
    pub async fn take(
        &mut self,
        tenant: &str,
        after: Option<i64>,
        batch: &Batch,
    ) -> Result<(), Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let mark: Option<i64> = sqlx::query_scalar("SELECT seq FROM feed WHERE tenant = ?")
            .bind(tenant)
            .fetch_optional(&mut *transaction)
            .await?;
        if mark != after {
            return Err(Error::Moved);
        }
        for (serial, fresh) in &batch.terminals {
            take_terminal(&mut transaction, tenant, serial, fresh).await?;
        }
        for (day, count) in &batch.punches {
            sqlx::query(
                "INSERT INTO punches (tenant, day, count) VALUES (?, ?, ?) \
                 ON CONFLICT (tenant, day) DO UPDATE SET count = count + excluded.count",
            )
            .bind(tenant)
            .bind(day.to_string())
            .bind(i64::try_from(*count).unwrap_or(i64::MAX))
            .execute(&mut *transaction)
            .await?;
        }
        set_mark(&mut transaction, tenant, batch.upto).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Every terminal of a tenant. One whose profile cannot be read learns anew.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn terminals(&mut self, tenant: &str) -> Result<Known, Error> {
        let mut rows = sqlx::query(
            "SELECT serial, zone, first_day, last_event, learned_day, profile, silent_since \
             FROM terminal WHERE tenant = ?",
        )
        .bind(tenant)
        .fetch(&mut self.connection);
        // One after the other: with their profiles, thousands are megabytes.
        let mut known = Known::new();
        while let Some(row) = rows.try_next().await? {
            let (serial, it) = terminal(&row)?;
            known.insert(serial, it);
        }
        Ok(known)
    }

    /// Writes down what was learned of a terminal and whether it is silent.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn keep(
        &mut self,
        tenant: &str,
        serial: &str,
        terminal: &Terminal,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE terminal SET learned_day = ?, profile = ?, silent_since = ? \
             WHERE tenant = ? AND serial = ?",
        )
        .bind(terminal.learned.map(|day| day.to_string()))
        .bind(terminal.profile.to_bytes())
        .bind(terminal.silent_since.map(Timestamp::as_second))
        .bind(tenant)
        .bind(serial)
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// The days of a terminal; one on which nothing came is not among them.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn days(
        &mut self,
        tenant: &str,
        serial: &str,
    ) -> Result<BTreeMap<Date, Quarters>, Error> {
        let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT day, quarters FROM terminal_day WHERE tenant = ? AND serial = ?",
        )
        .bind(tenant)
        .bind(serial)
        .fetch_all(&mut self.connection)
        .await?;
        let day = |(day, bytes): (String, Vec<u8>)| {
            let quarters = Quarters::from_bytes(&bytes).ok_or(Error::Row("no quarters"))?;
            Ok((read_day(&day)?, quarters))
        };
        rows.into_iter().map(day).collect()
    }

    /// Writes down a day of a terminal.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn keep_day(
        &mut self,
        tenant: &str,
        serial: &str,
        day: Date,
        quarters: &Quarters,
    ) -> Result<(), Error> {
        keep_day(&mut self.connection, tenant, serial, day, quarters).await
    }
}

fn terminal(row: &sqlx::sqlite::SqliteRow) -> Result<(String, Terminal), Error> {
    let second = |at: i64| Timestamp::from_second(at).map_err(|_| Error::Row("no time"));
    let first: String = row.try_get("first_day")?;
    let learned: Option<String> = row.try_get("learned_day")?;
    let profile: Option<Vec<u8>> = row.try_get("profile")?;
    let silent: Option<i64> = row.try_get("silent_since")?;
    let read = profile.as_deref().and_then(Profile::from_bytes);
    let terminal = Terminal {
        zone: row.try_get("zone")?,
        first: read_day(&first)?,
        last: second(row.try_get("last_event")?)?,
        learned: learned
            .and_then(|day| day.parse().ok())
            .filter(|_| read.is_some()),
        profile: Box::new(read.unwrap_or_default()),
        silent_since: silent.map(second).transpose()?,
    };
    Ok((row.try_get("serial")?, terminal))
}

async fn set_mark(connection: &mut SqliteConnection, tenant: &str, seq: i64) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO feed (tenant, seq) VALUES (?, ?) \
         ON CONFLICT (tenant) DO UPDATE SET seq = excluded.seq",
    )
    .bind(tenant)
    .bind(seq)
    .execute(connection)
    .await?;
    Ok(())
}

async fn take_terminal(
    connection: &mut SqliteConnection,
    tenant: &str,
    serial: &str,
    fresh: &Fresh,
) -> Result<(), Error> {
    let last = fresh.last.to_zoned(jiff::tz::TimeZone::UTC).date();
    let first = fresh.quarters.keys().next().copied().unwrap_or(last);
    sqlx::query(
        "INSERT INTO terminal (tenant, serial, zone, first_day, last_event) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (tenant, serial) DO UPDATE SET zone = excluded.zone, \
         first_day = min(first_day, excluded.first_day), \
         last_event = max(last_event, excluded.last_event)",
    )
    .bind(tenant)
    .bind(serial)
    .bind(&fresh.zone)
    .bind(first.to_string())
    .bind(fresh.last.as_second())
    .execute(&mut *connection)
    .await?;
    for (day, counts) in &fresh.quarters {
        let bytes: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT quarters FROM terminal_day WHERE tenant = ? AND serial = ? AND day = ?",
        )
        .bind(tenant)
        .bind(serial)
        .bind(day.to_string())
        .fetch_optional(&mut *connection)
        .await?;
        let known = bytes.as_deref().and_then(Quarters::from_bytes);
        let mut quarters = known.unwrap_or_default();
        for (quarter, count) in counts {
            quarters.add(*quarter, *count);
        }
        keep_day(connection, tenant, serial, *day, &quarters).await?;
    }
    Ok(())
}

async fn keep_day(
    connection: &mut SqliteConnection,
    tenant: &str,
    serial: &str,
    day: Date,
    quarters: &Quarters,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO terminal_day (tenant, serial, day, quarters) VALUES (?, ?, ?, ?) \
         ON CONFLICT (tenant, serial, day) DO UPDATE SET quarters = excluded.quarters",
    )
    .bind(tenant)
    .bind(serial)
    .bind(day.to_string())
    .bind(quarters.to_bytes())
    .execute(connection)
    .await?;
    Ok(())
}
