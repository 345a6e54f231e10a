//! What an edge reads of its own database besides the feed, to hand its records on.
//!
//! The feed shows the name of an event for the world, which is made of the enrolment here; another
//! installation needs the identity itself. Nothing here writes, and nothing here knows who is
//! handed anything.

use event::{Ident, Millis, Vendor};

use crate::feed::FeedRow;
use crate::outputs::Key;
use crate::quarantine::{self, QuarantineRow};
use crate::transaction::placeholders;
use crate::{AnyEngine, Failure, Value};

/// The identities of those events, in the order of their numbers.
pub async fn idents(
    engine: &mut AnyEngine,
    rows: &[FeedRow],
) -> Result<Vec<(i64, Ident)>, Failure> {
    let mut found = Vec::with_capacity(rows.len());
    for some in rows.chunks(500) {
        let list = placeholders(1, some.len());
        let sql = format!("SELECT seq, ident FROM event WHERE seq IN {list} ORDER BY seq");
        let values: Vec<_> = some.iter().map(|row| Value::Int(row.seq)).collect();
        for row in engine.fetch(crate::built(sql), &values).await? {
            let ident = Ident::from_slice(row.bytes(1)?);
            let ident = ident.ok_or_else(|| Failure::schema("event.ident is not 16 bytes"))?;
            found.push((row.int(0)?, ident));
        }
    }
    Ok(found)
}

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
