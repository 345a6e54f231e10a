//! Upkeep that forgets what is old: who it was and what came with it goes, that it was there stays.
//!
//! An event that is deleted whole would come back as new with the next terminal that sends its old
//! log again, and a count of what a terminal holds against what is stored would miss it for ever.
//! So a retired row keeps its number, its identity, its uid, its times and codes, and loses person,
//! card, attributes and raw bytes; `event_feed` shows it no more. The same key in the same table
//! goes on keeping it single, with no second place to look at. Nothing here retires a row that it
//! was not given by number, and nothing chooses rows of a canary.

use event::{Kind, Millis, TenantId};

use crate::quarantine::{self, QuarantineRow};
use crate::transaction::{ended, placeholders};
use crate::{AnyEngine, Failure, Value, feed};

/// What stands in `event.timeliness` of a retired row.
pub(crate) const RETIRED: &str = "retired";

/// What is retired together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Events of one kind.
    Events(Kind),
    /// Records in quarantine that somebody has settled. Others are never retired.
    Quarantine,
}

impl Class {
    /// The word in the configuration, in commands and in names of archives.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events(kind) => kind.as_str(),
            Self::Quarantine => "quarantine",
        }
    }
}

/// Rows of one class and tenant that are older than a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub tenant: TenantId,
    /// Of which class.
    pub class: Class,
    /// They happened before this; where the clock cannot be believed they came before it. Of
    /// quarantine: they last came before it.
    pub before: Millis,
}

/// Rows that are due, with everything that they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// Events as the feed shows them.
    Events(Vec<feed::FeedRow>),
    /// Records in quarantine.
    Quarantine(Vec<QuarantineRow>),
}

impl Rows {
    /// Their numbers, by which they are retired.
    #[must_use]
    pub fn numbers(&self) -> Vec<i64> {
        match self {
            Self::Events(rows) => rows.iter().map(|row| row.seq).collect(),
            Self::Quarantine(rows) => rows.iter().map(|row| row.id).collect(),
        }
    }
}

/// What a stretch of the table holds of one class and tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Rows that are due.
    pub due: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// Rows that stay: too young, or not settled.
    pub kept: u64,
}

/// The last number of the stretch of at most `rows` rows, of whatever tenant and class, that begins
/// after `after`; `None` behind the last row. One stretch is what a statement can look at in time.
pub async fn stretch(
    engine: &mut AnyEngine,
    class: Class,
    after: i64,
    rows: u32,
) -> Result<Option<i64>, Failure> {
    let sql = match class {
        Class::Events(_) => {
            "SELECT MAX(n) FROM (SELECT seq AS n FROM event WHERE seq > ? ORDER BY seq LIMIT ?) x"
        }
        Class::Quarantine => {
            "SELECT MAX(n) FROM (SELECT id AS n FROM quarantine WHERE id > ? ORDER BY id LIMIT ?) x"
        }
    };
    let values = [Value::Int(after), Value::Int(i64::from(rows))];
    let rows = engine.fetch(crate::fixed(sql), &values).await?;
    rows.first().map_or(Ok(None), |row| row.opt_int(0))
}

/// When an event counts as old from: when it happened, or where that cannot be believed, when it
/// came.
const AGE: &str = "CASE WHEN clock = 'suspect' OR occurred_at IS NULL THEN received_at \
                   ELSE occurred_at END";

/// Counts in the stretch after `after` up to `last`.
pub async fn tally(
    engine: &mut AnyEngine,
    due: &Due,
    (after, last): (i64, i64),
) -> Result<Tally, Failure> {
    let before = due.before.text();
    let (sql, kind) = match due.class {
        Class::Events(kind) => (
            format!(
                "SELECT COUNT(CASE WHEN {AGE} < ? THEN 1 END), \
                 CAST(COALESCE(SUM(CASE WHEN {AGE} < ? THEN LENGTH(raw) END), 0) AS SIGNED), \
                 COUNT(*) FROM event_feed WHERE seq > ? AND seq <= ? AND tenant = ? AND kind = ?"
            ),
            Some(kind.as_str()),
        ),
        Class::Quarantine => (
            "SELECT COUNT(CASE WHEN q.settled_at IS NOT NULL AND q.last_at < ? THEN 1 END), \
             CAST(COALESCE(SUM(CASE WHEN q.settled_at IS NOT NULL AND q.last_at < ? \
             THEN LENGTH(q.raw) END), 0) AS SIGNED), COUNT(*) \
             FROM quarantine q JOIN device d ON d.device_id = q.device_id \
             WHERE q.id > ? AND q.id <= ? AND d.tenant = ? AND d.canary = 0 AND LENGTH(q.raw) > 0"
                .to_owned(),
            None,
        ),
    };
    let mut values = vec![
        Value::Text(&before),
        Value::Text(&before),
        Value::Int(after),
        Value::Int(last),
        Value::Text(due.tenant.as_str()),
    ];
    values.extend(kind.map(Value::Text));
    let rows = engine.fetch(crate::built(sql), &values).await?;
    let Some(row) = rows.first() else {
        return Ok(Tally::default());
    };
    let number = |n: i64| u64::try_from(n).unwrap_or_default();
    let found = number(row.int(0)?);
    Ok(Tally {
        due: found,
        bytes: number(row.int(1)?),
        kept: number(row.int(2)?) - found,
    })
}

/// The rows of the stretch that are due.
pub async fn due_rows(
    engine: &mut AnyEngine,
    due: &Due,
    (after, last): (i64, i64),
) -> Result<Rows, Failure> {
    match due.class {
        Class::Events(kind) => {
            let before = due.before.text();
            let end = format!(
                "WHERE seq > ? AND seq <= ? AND tenant = ? AND kind = ? AND {AGE} < ? ORDER BY seq"
            );
            let values = [
                Value::Int(after),
                Value::Int(last),
                Value::Text(due.tenant.as_str()),
                Value::Text(kind.as_str()),
                Value::Text(&before),
            ];
            let rows = feed::select(engine, "event_feed", &end, &values).await?;
            Ok(Rows::Events(rows))
        }
        Class::Quarantine => {
            let before = due.before.text();
            let end = "WHERE q.id > ? AND q.id <= ? AND d.tenant = ? AND d.canary = 0 \
                       AND q.settled_at IS NOT NULL AND q.last_at < ? AND LENGTH(q.raw) > 0 \
                       ORDER BY q.id";
            let values = [
                Value::Int(after),
                Value::Int(last),
                Value::Text(due.tenant.as_str()),
                Value::Text(&before),
            ];
            let rows = quarantine::select(engine, end, &values).await?;
            Ok(Rows::Quarantine(rows))
        }
    }
}

/// Retires the rows of these numbers in one transaction; answers how many it was. Rows that were
/// retired before do not count.
pub async fn retire(engine: &mut AnyEngine, class: Class, numbers: &[i64]) -> Result<u64, Failure> {
    if numbers.is_empty() {
        return Ok(0);
    }
    engine.begin().await?;
    let done = retire_inside(engine, class, numbers).await;
    ended(engine, done).await
}

async fn retire_inside(
    engine: &mut AnyEngine,
    class: Class,
    numbers: &[i64],
) -> Result<u64, Failure> {
    let list = placeholders(1, numbers.len());
    let sql = match class {
        Class::Events(_) => format!(
            "UPDATE event SET person = NULL, card = NULL, attributes = NULL, raw = ?, \
             timeliness = '{RETIRED}' WHERE timeliness <> '{RETIRED}' AND seq IN {list}"
        ),
        Class::Quarantine => format!(
            "UPDATE quarantine SET detail = '', raw = ? \
             WHERE settled_at IS NOT NULL AND LENGTH(raw) > 0 AND id IN {list}"
        ),
    };
    let nothing = [Value::Bytes(&[])];
    let numbers = numbers.iter().copied().map(Value::Int);
    let values: Vec<Value<'_>> = nothing.into_iter().chain(numbers).collect();
    engine.execute(crate::built(sql), &values).await
}
