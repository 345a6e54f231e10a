//! A tenant that has gone for good: which rows are its own, and how they go.
//!
//! Rows hang on the number of an enrolment, which is random and never used again, or carry the tenant's
//! name and a time. So what belongs to a departed tenant is its numbers, and what bears its name from
//! before a moment: whoever comes later under the same name loses nothing, and the same list takes the
//! same rows out of an older copy. Every step is one statement over few rows, so that writers beside it
//! wait for no longer than that; each may be done again, so nothing has to be remembered between them.
//! Numbers of the feed are never given back.

use std::collections::BTreeMap;
use std::time::Duration;

use event::{DeviceId, Millis, TenantId};

use crate::engine::Dialect;
use crate::registry::{audit_inside, queue_up};
use crate::transaction::{ended, placeholders};
use crate::{AnyEngine, Cell, Failure, Trouble, Value};

/// Rows that one statement deletes.
const ROWS: i64 = 1_000;
/// Enrolments that one statement names.
const DEVICES: usize = 20;
/// Tries to get the file for itself, and the pause between them.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// How rows of a table are found.
enum Way {
    /// By the enrolment, in pieces by this key: there may be many.
    Many(&'static str),
    /// By the enrolment: there are few of each.
    Few,
    /// By the tenant's name, when this column says a time before the departure.
    Named(&'static str),
}

/// Every table with rows of a tenant but the audit. `device` is the last one, because it says whose
/// the others are.
const TABLES: [(&str, Way); 16] = [
    ("enrolment", Way::Few),
    ("access", Way::Few),
    ("schedule", Way::Few),
    ("event", Way::Many("seq")),
    ("quarantine", Way::Many("id")),
    ("job", Way::Many("id")),
    ("command", Way::Many("id")),
    ("device_cursor", Way::Few),
    ("lease", Way::Few),
    ("device_state", Way::Few),
    ("inventory", Way::Few),
    ("assurance", Way::Few),
    ("missing_window", Way::Few),
    ("output_letter", Way::Named("dead_at")),
    ("output_cursor", Way::Named("created_at")),
    ("device", Way::Few),
];
/// Tables without a row of any tenant, and the audit, whose lines are emptied one by one.
pub const OTHERS: [&str; 3] = ["audit", "feed_head", "_sqlx_migrations"];

/// Rows of each table.
pub type Counts = BTreeMap<String, u64>;

/// What belongs to a tenant that has gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departed {
    /// Its name.
    pub tenant: TenantId,
    /// Every enrolment that it ever had.
    pub devices: Vec<DeviceId>,
    /// What bears its name and came later is somebody else's.
    pub before: Millis,
}

/// The names of the tables that are searched.
pub fn tables() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|(table, _)| *table)
}

/// The enrolments of a tenant that a database knows, with the serial of each.
pub async fn devices(
    engine: &mut AnyEngine,
    tenant: &TenantId,
) -> Result<BTreeMap<DeviceId, String>, Failure> {
    let mut found = BTreeMap::new();
    for sql in [
        "SELECT device_id, serial FROM enrolment WHERE tenant = ?",
        "SELECT device_id, serial FROM device WHERE tenant = ?",
    ] {
        let values = [Value::Text(tenant.as_str())];
        for row in engine.fetch(crate::fixed(sql), &values).await? {
            found.insert(row.device_id(0)?, row.text(1)?);
        }
    }
    Ok(found)
}

/// Serials that these enrolments have and no other one.
pub async fn own_serials(
    registry: &mut AnyEngine,
    devices: &[DeviceId],
) -> Result<Vec<String>, Failure> {
    let mut own = Vec::new();
    for some in devices.chunks(DEVICES) {
        let list = placeholders(1, some.len());
        let sql = format!("SELECT DISTINCT serial FROM enrolment WHERE device_id IN {list}");
        let rows = registry.fetch(crate::built(sql), &values(some)).await?;
        for row in rows {
            let serial = row.text(0)?;
            let sql = crate::fixed("SELECT device_id FROM enrolment WHERE serial = ?");
            let all = registry.fetch(sql, &[Value::Text(&serial)]).await?;
            let all: Result<Vec<DeviceId>, Failure> =
                all.iter().map(|row| row.device_id(0)).collect();
            if all?.iter().all(|one| devices.contains(one)) {
                own.push(serial);
            }
        }
    }
    Ok(own)
}

/// Serials of the tenant whose records would still be taken in.
pub async fn senders(registry: &mut AnyEngine, tenant: &TenantId) -> Result<Vec<String>, Failure> {
    let sql = "SELECT serial FROM enrolment WHERE tenant = ? AND active = 1 \
               AND state <> 'blocked' ORDER BY serial";
    let values = [Value::Text(tenant.as_str())];
    let rows = registry.fetch(crate::fixed(sql), &values).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// What recordings of the tenant's terminals came to, as their jobs say it.
pub async fn recordings(
    engine: &mut AnyEngine,
    departed: &Departed,
) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for some in departed.devices.chunks(DEVICES) {
        let list = placeholders(1, some.len());
        let sql = format!(
            "SELECT result FROM job WHERE kind = 'record' AND result IS NOT NULL AND device_id IN {list}"
        );
        let rows = engine.fetch(crate::built(sql), &values(some)).await?;
        let results: Result<Vec<String>, Failure> = rows.iter().map(|row| row.text(0)).collect();
        found.extend(results?);
    }
    Ok(found)
}

/// How many rows each table has of it; tables without any are named too.
pub async fn count(engine: &mut AnyEngine, departed: &Departed) -> Result<Counts, Failure> {
    let mut counts = Counts::new();
    for (table, way) in &TABLES {
        let mut rows = 0;
        if let Way::Named(when) = way {
            let sql = format!("SELECT COUNT(*) FROM {table} WHERE tenant = ? AND {when} <= ?");
            let before = departed.before.text();
            let values = [Value::Text(departed.tenant.as_str()), Value::Text(&before)];
            rows += number(engine, sql, &values).await?;
        } else {
            // Of events a terminal may have so many that a statement counts those of one.
            let at_once = if *table == "event" { 1 } else { DEVICES };
            for some in departed.devices.chunks(at_once) {
                let list = placeholders(1, some.len());
                let sql = format!("SELECT COUNT(*) FROM {table} WHERE device_id IN {list}");
                rows += number(engine, sql, &values(some)).await?;
            }
        }
        counts.insert((*table).to_owned(), rows);
    }
    Ok(counts)
}

/// Entries of these enrolments in the journal's file.
pub async fn in_journal(engine: &mut AnyEngine, devices: &[DeviceId]) -> Result<u64, Failure> {
    let mut rows = 0;
    for some in devices.chunks(DEVICES) {
        let list = placeholders(1, some.len());
        let sql = format!("SELECT COUNT(*) FROM entry WHERE device_id IN {list}");
        rows += number(engine, sql, &values(some)).await?;
    }
    Ok(rows)
}

async fn number(engine: &mut AnyEngine, sql: String, values: &[Value<'_>]) -> Result<u64, Failure> {
    let rows = engine.fetch(crate::built(sql), values).await?;
    let count = rows.first().map_or(Ok(0), |row| row.int(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

fn values(devices: &[DeviceId]) -> Vec<Value<'_>> {
    devices.iter().map(|id| Value::Bytes(&id.0)).collect()
}

/// Asks whether this account may do all that a deletion does, and does none of it.
pub async fn may_delete(engine: &mut AnyEngine) -> Result<(), Failure> {
    for table in tables() {
        let sql = crate::built(format!("DELETE FROM {table} WHERE 1 = 0"));
        engine.execute(sql, &[]).await?;
    }
    let sql = "UPDATE audit SET subject = subject, detail = detail WHERE 1 = 0";
    engine.execute(crate::fixed(sql), &[]).await.map(drop)
}

/// Ends every enrolment, with a line in the audit by which running programs hear of it. Changes
/// nothing when terminals could still send, and answers their serials.
pub async fn close(
    registry: &mut AnyEngine,
    departed: &Departed,
    (now, actor): (Millis, &str),
) -> Result<Vec<String>, Failure> {
    registry.begin().await?;
    let done = close_inside(registry, departed, (now, actor)).await;
    ended(registry, done).await
}

async fn close_inside(
    registry: &mut AnyEngine,
    departed: &Departed,
    (now, actor): (Millis, &str),
) -> Result<Vec<String>, Failure> {
    queue_up(registry).await?;
    let senders = senders(registry, &departed.tenant).await?;
    if !senders.is_empty() {
        return Ok(senders);
    }
    for some in departed.devices.chunks(DEVICES) {
        let list = placeholders(1, some.len());
        for table in ["enrolment", "access", "schedule"] {
            let sql = format!("DELETE FROM {table} WHERE device_id IN {list}");
            registry.execute(crate::built(sql), &values(some)).await?;
        }
    }
    let (tenant, detail) = (departed.tenant.as_str(), "{}");
    audit_inside(registry, now, actor, "tenant_delete", tenant, detail).await?;
    Ok(senders)
}

/// The way through all tables, a step at a time.
#[derive(Debug, Default)]
pub struct Removal {
    table: usize,
    device: usize,
}

impl Removal {
    /// Deletes the next rows and answers how many; `None` when there are no more.
    pub async fn step(
        &mut self,
        engine: &mut AnyEngine,
        departed: &Departed,
    ) -> Result<Option<u64>, Failure> {
        while let Some((table, way)) = TABLES.get(self.table) {
            let some = departed.devices.get(self.device..).unwrap_or_default();
            let some = some.get(..DEVICES).unwrap_or(some);
            let gone = match way {
                Way::Named(when) => named(engine, departed, table, when).await?,
                Way::Many(_) | Way::Few if some.is_empty() => 0,
                Way::Many(key) => many(engine, some, table, key).await?,
                Way::Few => few(engine, some, table).await?,
            };
            if gone > 0 {
                return Ok(Some(gone));
            }
            // Nothing was left of these.
            self.device += some.len();
            if matches!(way, Way::Named(_)) || self.device >= departed.devices.len() {
                (self.table, self.device) = (self.table + 1, 0);
            }
        }
        Ok(None)
    }
}

async fn few(engine: &mut AnyEngine, some: &[DeviceId], table: &str) -> Result<u64, Failure> {
    let list = placeholders(1, some.len());
    let sql = format!("DELETE FROM {table} WHERE device_id IN {list}");
    engine.execute(crate::built(sql), &values(some)).await
}

async fn many(
    engine: &mut AnyEngine,
    some: &[DeviceId],
    table: &str,
    key: &str,
) -> Result<u64, Failure> {
    // Neither engine deletes with a limit everywhere, so the rows are chosen first.
    let list = placeholders(1, some.len());
    let sql = format!("SELECT {key} FROM {table} WHERE device_id IN {list} LIMIT {ROWS}");
    let rows = engine.fetch(crate::built(sql), &values(some)).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let chosen: Vec<Value<'_>> = rows
        .iter()
        .filter_map(|row| match row.0.first()? {
            Cell::Int(number) => Some(Value::Int(*number)),
            Cell::Data(text) => Some(Value::Text(str::from_utf8(text).ok()?)),
            Cell::Null => None,
        })
        .collect();
    let list = placeholders(1, chosen.len());
    let sql = format!("DELETE FROM {table} WHERE {key} IN {list}");
    engine.execute(crate::built(sql), &chosen).await
}

async fn named(
    engine: &mut AnyEngine,
    departed: &Departed,
    table: &str,
    when: &str,
) -> Result<u64, Failure> {
    let before = departed.before.text();
    let values = [Value::Text(departed.tenant.as_str()), Value::Text(&before)];
    if table != "output_letter" {
        let sql = format!("DELETE FROM {table} WHERE tenant = ? AND {when} <= ?");
        return engine.execute(crate::built(sql), &values).await;
    }
    // The only one of them that may be long: by number.
    let sql = format!(
        "SELECT MAX(n) FROM (SELECT seq AS n FROM {table} WHERE tenant = ? AND {when} <= ? \
         ORDER BY seq LIMIT {ROWS}) x"
    );
    let rows = engine.fetch(crate::built(sql), &values).await?;
    let Some(last) = rows.first().map_or(Ok(None), |row| row.opt_int(0))? else {
        return Ok(0);
    };
    let sql = format!("DELETE FROM {table} WHERE tenant = ? AND {when} <= ? AND seq <= ?");
    let [tenant, before] = values;
    let values = [tenant, before, Value::Int(last)];
    engine.execute(crate::built(sql), &values).await
}

/// Takes from lines of the audit what they say; that they were there, when and who stays. Each is a
/// number, its new subject and its new detail.
pub async fn empty_lines(
    registry: &mut AnyEngine,
    lines: &[(i64, String, String)],
) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    registry.begin().await?;
    let mut done = Ok(());
    for (id, subject, detail) in lines {
        let sql = crate::fixed("UPDATE audit SET subject = ?, detail = ? WHERE id = ?");
        let values = [Value::Text(subject), Value::Text(detail), Value::Int(*id)];
        done = registry.execute(sql, &values).await.map(drop);
        if done.is_err() {
            break;
        }
    }
    ended(registry, done).await
}

/// Takes the tenant's terminals out of the mirror's file.
pub async fn from_mirror(
    mirror: &mut AnyEngine,
    departed: &Departed,
    serials: &[String],
) -> Result<(), Failure> {
    for some in departed.devices.chunks(DEVICES) {
        for table in ["enrolment", "access", "schedule", "stamp"] {
            few(mirror, some, table).await?;
        }
    }
    for serial in serials {
        let sql = crate::fixed("DELETE FROM pending WHERE serial = ?");
        mirror.execute(sql, &[Value::Text(serial)]).await?;
    }
    Ok(())
}

/// Writes a SQLite file anew, so that what was deleted is in none of its bytes, nor in those of its
/// log. Writers wait as long as it takes. On a server nothing is done, and the answer is false: its
/// files are its own.
///
/// # Errors
/// There is no room, or somebody reads it without an end.
pub async fn rewrite(engine: &mut AnyEngine) -> Result<bool, Failure> {
    if engine.dialect() == Dialect::Mysql {
        return Ok(false);
    }
    for _ in 0..TRIES {
        match engine.execute(crate::fixed("VACUUM"), &[]).await {
            Ok(_) => return emptied_log(engine).await.map(|()| true),
            Err(failure) if failure.trouble() == Trouble::Locked => {}
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(busy())
}

async fn emptied_log(engine: &mut AnyEngine) -> Result<(), Failure> {
    for _ in 0..TRIES {
        let sql = crate::fixed("PRAGMA wal_checkpoint(TRUNCATE)");
        let rows = engine.fetch(sql, &[]).await?;
        if rows.first().map_or(Ok(0), |row| row.int(0))? == 0 {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(busy())
}

fn busy() -> Failure {
    let text = "others use the file all the time, and what was deleted is still in its bytes";
    Failure::wait(Trouble::Locked, text)
}

/// For how many seconds a server keeps its binary log: `None` when it has none, 0 when it is never
/// removed by itself.
pub async fn binary_log(engine: &mut AnyEngine) -> Result<Option<u64>, Failure> {
    if engine.dialect() == Dialect::Sqlite {
        return Ok(None);
    }
    let sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
               ('log_bin', 'binlog_expire_logs_seconds', 'expire_logs_days')";
    let mut set = BTreeMap::new();
    for row in engine.fetch(crate::fixed(sql), &[]).await? {
        set.insert(row.text(0)?, row.text(1)?);
    }
    let whole = |name: &str| {
        let text = set.get(name).and_then(|text| text.split('.').next());
        text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
    };
    if set.get("log_bin").map(String::as_str) != Some("ON") {
        return Ok(None);
    }
    let seconds = whole("binlog_expire_logs_seconds");
    Ok(Some(seconds.max(whole("expire_logs_days") * 86_400)))
}
