//! Reading and settling what stands in quarantine.
//!
//! Rows come in through the writer, in the transaction that acknowledges them. Nothing here
//! deletes one: a record that was replayed or judged is marked settled and stays, until retention
//! empties it.

use event::{DeviceId, Millis};

use crate::{AnyEngine, Failure, Row, Value};

/// One record in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineRow {
    /// Its number, by which commands name it.
    pub id: i64,
    /// The enrolment it came through.
    pub device_id: DeviceId,
    /// The terminal's serial; `None` when the database knows no such terminal.
    pub serial: Option<String>,
    /// Whose terminal it is.
    pub tenant: Option<String>,
    /// Why it is here: a word of [`event::Reason`], or of a newer version's.
    pub reason: String,
    /// What the reader said.
    pub detail: String,
    /// Where it stood in the protocol, for example the table's name.
    pub source: String,
    /// How it came: a word of [`event::Route`].
    pub route: String,
    /// When it first came.
    pub first_at: Millis,
    /// When it last came.
    pub last_at: Millis,
    /// How often it came.
    pub seen: i64,
    /// When somebody dealt with it.
    pub settled_at: Option<Millis>,
    /// The record's bytes.
    pub raw: Vec<u8>,
}

/// Which rows [`list`] answers; absent means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuarantineFilter {
    /// Of this terminal only.
    pub serial: Option<String>,
    /// With this reason only.
    pub reason: Option<String>,
    /// Also the settled ones.
    pub include_settled: bool,
    /// Only rows with a lower number, for the next page.
    pub before: Option<i64>,
    /// At most so many, the newest first.
    pub limit: u32,
}

const SELECT: &str = "SELECT q.id, q.device_id, d.serial, d.tenant, q.reason, q.detail, q.source, \
     q.route, CAST(q.first_at AS CHAR), CAST(q.last_at AS CHAR), q.seen, \
     CAST(q.settled_at AS CHAR), q.raw \
     FROM quarantine q LEFT JOIN device d ON d.device_id = q.device_id";

/// The rows that the filter lets through, newest first.
pub async fn list(
    engine: &mut AnyEngine,
    filter: &QuarantineFilter,
) -> Result<Vec<QuarantineRow>, Failure> {
    let mut sql = "WHERE 1 = 1".to_owned();
    let mut values = Vec::new();
    if let Some(serial) = &filter.serial {
        sql.push_str(" AND d.serial = ?");
        values.push(Value::Text(serial));
    }
    if let Some(reason) = &filter.reason {
        sql.push_str(" AND q.reason = ?");
        values.push(Value::Text(reason));
    }
    if !filter.include_settled {
        sql.push_str(" AND q.settled_at IS NULL");
    }
    if let Some(before) = filter.before {
        sql.push_str(" AND q.id < ?");
        values.push(Value::Int(before));
    }
    sql.push_str(" ORDER BY q.id DESC LIMIT ?");
    values.push(Value::Int(i64::from(filter.limit)));
    select(engine, &sql, &values).await
}

/// The rows that this end of a SELECT lets through.
pub(crate) async fn select(
    engine: &mut AnyEngine,
    end: &str,
    values: &[Value<'_>],
) -> Result<Vec<QuarantineRow>, Failure> {
    let sql = crate::built(format!("{SELECT} {end}"));
    let rows = engine.fetch(sql, values).await?;
    rows.iter().map(quarantine_row).collect()
}

/// How many rows are not settled: all of the database's, or those of one enrolment.
pub async fn count(engine: &mut AnyEngine, device: Option<DeviceId>) -> Result<u64, Failure> {
    const ALL: &str = "SELECT COUNT(*) FROM quarantine WHERE settled_at IS NULL";
    const OF_ONE: &str =
        "SELECT COUNT(*) FROM quarantine WHERE settled_at IS NULL AND device_id = ?";
    let rows = match &device {
        None => engine.fetch(crate::fixed(ALL), &[]).await?,
        Some(id) => {
            let values = [Value::Bytes(&id.0)];
            engine.fetch(crate::fixed(OF_ONE), &values).await?
        }
    };
    let count = rows.first().map_or(Ok(0), |row| row.int(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// The row of that number.
pub async fn get(engine: &mut AnyEngine, id: i64) -> Result<Option<QuarantineRow>, Failure> {
    let sql = crate::built(format!("{SELECT} WHERE q.id = ?"));
    let rows = engine.fetch(sql, &[Value::Int(id)]).await?;
    rows.first().map(quarantine_row).transpose()
}

/// Marks the row as dealt with. Answers false when there is none of that number, or when it
/// was settled before.
pub async fn settle(engine: &mut AnyEngine, id: i64, now: Millis) -> Result<bool, Failure> {
    let sql = "UPDATE quarantine SET settled_at = ? WHERE id = ? AND settled_at IS NULL";
    let values = [Value::Text(&now.text()), Value::Int(id)];
    Ok(engine.execute(crate::fixed(sql), &values).await? == 1)
}

fn quarantine_row(row: &Row) -> Result<QuarantineRow, Failure> {
    Ok(QuarantineRow {
        id: row.int(0)?,
        device_id: row.device_id(1)?,
        serial: row.opt_text(2)?,
        tenant: row.opt_text(3)?,
        reason: row.text(4)?,
        detail: row.text(5)?,
        source: row.text(6)?,
        route: row.text(7)?,
        first_at: row.time(8)?,
        last_at: row.time(9)?,
        seen: row.int(10)?,
        settled_at: row.opt_time(11)?,
        raw: row.bytes(12)?.to_vec(),
    })
}
