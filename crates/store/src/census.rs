//! Counting stored punches by terminal, over a span of time and without an index on time.
//!
//! Rows stand in the order of `seq`, which is nearly the order of receipt, and nothing is
//! received long before it happened. So a count of a span begins at a place that is found by
//! halving, a day earlier than the span, and reads onwards in pages that stay far below a
//! statement's deadline. Nothing here is exact about clocks that are more than a day ahead:
//! those rows carry the flag `suspect` and are counted apart.

use std::collections::HashMap;

use event::{DeviceId, Millis};

use crate::{AnyEngine, Failure, Value};

/// How far a row may stand before its time in the order of `seq`: a clock that is ahead but
/// not yet suspect, and what waited in a journal.
const SLACK: i64 = 24 * 3_600_000;
/// Rows that one statement counts.
const PAGE: i64 = 50_000;

/// A span of time, the end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From here on.
    pub from: Millis,
    /// Up to here.
    pub to: Millis,
}

/// Stored punches of one terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Those that happened in the span.
    pub punches: u64,
    /// Those among them that came more than a minute after they happened.
    pub late: u64,
    /// Those that came in the span from a clock that nobody can believe: when they happened is
    /// not known, and so each is counted where it came.
    pub undated: u64,
}

/// Counts the punches of every terminal in this database over a span.
pub async fn punches(
    engine: &mut AnyEngine,
    span: Span,
) -> Result<HashMap<DeviceId, Count>, Failure> {
    let mut counts: HashMap<DeviceId, Count> = HashMap::new();
    let mut after = before(engine, Millis(span.from.0.saturating_sub(SLACK))).await?;
    loop {
        let last = page_end(engine, after).await?;
        count_page(engine, span, (after, last), &mut counts).await?;
        match last {
            Some(last) => after = last,
            None => return Ok(counts),
        }
    }
}

async fn count_page(
    engine: &mut AnyEngine,
    span: Span,
    (after, last): (i64, Option<i64>),
    counts: &mut HashMap<DeviceId, Count>,
) -> Result<(), Failure> {
    let sql = "SELECT device_id, \
               COUNT(CASE WHEN clock <> 'suspect' AND occurred_at >= ? AND occurred_at < ? \
                     THEN 1 END), \
               COUNT(CASE WHEN clock <> 'suspect' AND occurred_at >= ? AND occurred_at < ? \
                     AND timeliness NOT IN ('live', 'retired') THEN 1 END), \
               COUNT(CASE WHEN (clock = 'suspect' OR occurred_at IS NULL) AND received_at >= ? \
                     AND received_at < ? THEN 1 END) \
               FROM event WHERE seq > ? AND seq <= ? AND kind = 'punch' GROUP BY device_id";
    let (from, to) = (span.from.text(), span.to.text());
    let values = [
        Value::Text(&from),
        Value::Text(&to),
        Value::Text(&from),
        Value::Text(&to),
        Value::Text(&from),
        Value::Text(&to),
        Value::Int(after),
        Value::Int(last.unwrap_or(i64::MAX)),
    ];
    let number = |n: i64| u64::try_from(n).unwrap_or_default();
    for row in engine.fetch(crate::fixed(sql), &values).await? {
        let count = counts.entry(row.device_id(0)?).or_default();
        count.punches += number(row.int(1)?);
        count.late += number(row.int(2)?);
        count.undated += number(row.int(3)?);
    }
    Ok(())
}

/// The number at which a page that begins after `after` ends; `None` when it is the last.
async fn page_end(engine: &mut AnyEngine, after: i64) -> Result<Option<i64>, Failure> {
    let sql = "SELECT seq FROM event WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET ?";
    let values = [Value::Int(after), Value::Int(PAGE - 1)];
    let rows = engine.fetch(crate::fixed(sql), &values).await?;
    rows.first().map(|row| row.int(0)).transpose()
}

/// The highest number below which every row was received before `at`.
async fn before(engine: &mut AnyEngine, at: Millis) -> Result<i64, Failure> {
    let rows = engine
        .fetch(crate::fixed("SELECT MIN(seq), MAX(seq) FROM event"), &[])
        .await?;
    let ends = rows
        .first()
        .map(|row| Ok::<_, Failure>((row.opt_int(0)?, row.opt_int(1)?)))
        .transpose()?;
    let Some((Some(first), Some(last))) = ends else {
        return Ok(0);
    };
    let (mut low, mut high) = (first, last.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let sql = "SELECT seq, CAST(received_at AS CHAR) FROM event WHERE seq >= ? \
                   ORDER BY seq LIMIT 1";
        let rows = engine
            .fetch(crate::fixed(sql), &[Value::Int(middle)])
            .await?;
        match rows.first() {
            Some(row) if row.time(1)? < at => low = row.int(0)?.saturating_add(1),
            _ => high = middle,
        }
    }
    Ok(low.saturating_sub(1))
}

/// When the last row below that number was received.
pub async fn last_received(engine: &mut AnyEngine, below: i64) -> Result<Option<Millis>, Failure> {
    let sql = "SELECT CAST(received_at AS CHAR) FROM event WHERE seq < ? ORDER BY seq DESC LIMIT 1";
    let rows = engine
        .fetch(crate::fixed(sql), &[Value::Int(below)])
        .await?;
    rows.first().map(|row| row.time(0)).transpose()
}

/// What came in since an epoch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinceEpoch {
    /// When its first row came: that which says that it began.
    pub first: Option<Millis>,
    /// Records of terminals in it that happened before the given moment.
    pub older: u64,
}

/// What came in above that number; `before` is a moment.
pub async fn since_epoch(
    engine: &mut AnyEngine,
    above: i64,
    before: Millis,
) -> Result<SinceEpoch, Failure> {
    let sql = "SELECT CAST(MIN(received_at) AS CHAR) FROM event WHERE seq > ?";
    let rows = engine
        .fetch(crate::fixed(sql), &[Value::Int(above)])
        .await?;
    let first = rows.first().map(|row| row.opt_time(0)).transpose()?;
    let sql = "SELECT COUNT(*) FROM event WHERE seq > ? AND kind <> 'device' AND occurred_at < ?";
    let moment = before.text();
    let values = [Value::Int(above), Value::Text(&moment)];
    let rows = engine.fetch(crate::fixed(sql), &values).await?;
    let older = rows.first().map_or(Ok(0), |row| row.int(0))?;
    Ok(SinceEpoch {
        first: first.flatten(),
        older: u64::try_from(older).unwrap_or_default(),
    })
}

/// Stored punches of one terminal by its own wall clock (`YYYY-MM-DD HH:MM:SS`, both ends
/// included), whatever is thought of that clock.
pub async fn of_terminal(
    engine: &mut AnyEngine,
    device: DeviceId,
    (from, to): (&str, &str),
) -> Result<u64, Failure> {
    let sql = "SELECT COUNT(*) FROM event WHERE device_id = ? AND kind = 'punch' \
               AND local_time >= ? AND local_time <= ?";
    let values = [Value::Bytes(&device.0), Value::Text(from), Value::Text(to)];
    let rows = engine.fetch(crate::fixed(sql), &values).await?;
    let count = rows.first().map_or(Ok(0), |row| row.int(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Records of every terminal that came since `from` and wait in quarantine.
pub async fn in_review(
    engine: &mut AnyEngine,
    from: Millis,
) -> Result<HashMap<DeviceId, u64>, Failure> {
    let sql = "SELECT device_id, COUNT(*) FROM quarantine \
               WHERE settled_at IS NULL AND last_at >= ? GROUP BY device_id";
    let from = from.text();
    let rows = engine
        .fetch(crate::fixed(sql), &[Value::Text(&from)])
        .await?;
    let counts = rows.iter().map(|row| {
        let count = u64::try_from(row.int(1)?).unwrap_or_default();
        Ok((row.device_id(0)?, count))
    });
    counts.collect()
}

/// How many attendance records of a terminal are stored: its punches, and what stands in
/// quarantine from the same table. This is what its own counter is held against.
pub async fn attendance(engine: &mut AnyEngine, device: DeviceId) -> Result<u64, Failure> {
    let id = Value::Bytes(&device.0);
    let sql = "SELECT COUNT(*) FROM event WHERE device_id = ? AND kind = 'punch'";
    let rows = engine.fetch(crate::fixed(sql), &[id]).await?;
    let punches = rows.first().map_or(Ok(0), |row| row.int(0))?;
    let sql = "SELECT COUNT(*) FROM quarantine WHERE device_id = ? AND source = 'ATTLOG'";
    let rows = engine.fetch(crate::fixed(sql), &[id]).await?;
    let aside = rows.first().map_or(Ok(0), |row| row.int(0))?;
    Ok(u64::try_from(punches.saturating_add(aside)).unwrap_or_default())
}
