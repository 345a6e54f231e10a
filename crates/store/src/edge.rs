//! What an edge reads of its own database besides the feed, to hand its records on.
//!
//! The identities of its events are read by [`origins`](crate::moving::origins), as by everybody who
//! hands events to another installation. Nothing here writes, and nothing here knows who is handed
//! anything.

use event::{Millis, Vendor};

use crate::outputs::Key;
use crate::quarantine::{self, QuarantineRow};
use crate::{AnyEngine, Failure, Value};

/// The terminals of which this output has dead letters.
pub async fn dead_terminals(
    engine: &mut AnyEngine,
    key: Key<'_>,
) -> Result<Vec<(Vendor, String)>, Failure> {
    let sql = "SELECT DISTINCT d.vendor, d.serial FROM output_letter l \
               JOIN event e ON e.seq = l.seq JOIN device d ON d.device_id = e.device_id \
               WHERE l.tenant = ? AND l.name = ? AND l.settled_at IS NULL";
    let values = [Value::Text(key.tenant), Value::Text(key.name)];
    let rows = engine.fetch(crate::fixed(sql), &values).await?;
    let read = rows.iter().map(|row| {
        let vendor = Vendor::from_word(&row.text(0)?);
        Ok(vendor.zip(Some(row.text(1)?)))
    });
    read.filter_map(Result::transpose).collect()
}

/// The next records of a tenant's terminals in quarantine after that number that nobody has dealt
/// with, and that came before then, in order.
pub async fn set_aside(
    engine: &mut AnyEngine,
    tenant: &str,
    after: i64,
    (before, limit): (Millis, usize),
) -> Result<Vec<QuarantineRow>, Failure> {
    let before = before.text();
    let values = [
        Value::Int(after),
        Value::Text(tenant),
        Value::Text(&before),
        Value::Int(i64::try_from(limit).unwrap_or(i64::MAX)),
    ];
    let end = "WHERE q.id > ? AND d.tenant = ? AND q.settled_at IS NULL AND q.first_at < ? \
               ORDER BY q.id LIMIT ?";
    quarantine::select(engine, end, &values).await
}
