//! Upkeep that deletes: old events of canaries, and nothing else.
//!
//! A canary is one of the watchdog's own terminals; its events prove that the way is open and
//! are worth nothing a week later. No statement here can reach an event of a person: the rows
//! are chosen through the canary mark of their terminal.

use event::Millis;

use crate::transaction::{ended, placeholders};
use crate::{AnyEngine, Failure, Value};

/// Deletes at most `limit` events of canaries that were received before `before`, in one
/// transaction; answers how many went. Fewer than `limit` means that none are left.
pub async fn delete_canary_events(
    engine: &mut AnyEngine,
    before: Millis,
    limit: u32,
) -> Result<u64, Failure> {
    engine.begin().await?;
    let done = delete_inside(engine, before, limit).await;
    ended(engine, done).await
}

async fn delete_inside(engine: &mut AnyEngine, before: Millis, limit: u32) -> Result<u64, Failure> {
    // Neither engine deletes with both a join and a limit, so the rows are chosen first.
    let sql = "SELECT e.seq FROM device d JOIN event e ON e.device_id = d.device_id \
               WHERE d.canary = 1 AND e.received_at < ? LIMIT ?";
    let before = before.text();
    let values = [Value::Text(&before), Value::Int(i64::from(limit))];
    let rows = engine.fetch(crate::fixed(sql), &values).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let chosen: Result<Vec<Value<'_>>, Failure> =
        rows.iter().map(|row| row.int(0).map(Value::Int)).collect();
    let list = placeholders(1, rows.len());
    let sql = crate::built(format!("DELETE FROM event WHERE seq IN {list}"));
    engine.execute(sql, &chosen?).await
}
