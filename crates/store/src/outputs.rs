//! Where each output's reading of the feed stands, and what its receiver never took.
//!
//! An output keeps one number, the `seq` of the last row that its receiver has. It stands in the
//! database of the rows it speaks of, so that a copy that is put back takes both back together,
//! and moves only from where its mover found it: a reader that lost its hold, or whose cursor
//! somebody set back meanwhile, moves nothing. A dead letter is the number of a row with the
//! reason, never a copy of the row. Nothing here knows a receiver.

use event::{Kind, Millis};

use crate::feed::{self, FeedRow};
use crate::transaction::{ended, placeholders};
use crate::{AnyEngine, Failure, Row, Value};

/// Rows of the feed, of all tenants, that one look passes over.
const WINDOW: i64 = 5_000;
/// Letters of a trouble or a reason that are kept.
const WORDS: usize = 190;

/// An output: its tenant and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// Whose events it gets.
    pub tenant: &'a str,
    /// Its name in the configuration.
    pub name: &'a str,
}

impl Key<'_> {
    fn values(&self) -> [Value<'_>; 2] {
        [Value::Text(self.tenant), Value::Text(self.name)]
    }
}

/// How an output stands in its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The last row of the feed that its receiver has, or that was not for it.
    pub seq: i64,
    /// Somebody paused it.
    pub is_paused: bool,
    /// Its dead letters shall go once more.
    pub revives: bool,
    /// Who reads for it, and until when nobody else may.
    pub held: Option<(String, Millis)>,
    /// Since when nothing gets through.
    pub failing_since: Option<Millis>,
    /// Why.
    pub trouble: Option<String>,
    /// Events delivered since it began.
    pub delivered: i64,
    /// When the last ones were.
    pub delivered_at: Option<Millis>,
}

/// Which rows an output gets.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Of this tenant.
    pub tenant: &'a str,
    /// Of these kinds; empty for all.
    pub kinds: &'a [Kind],
    /// That happened (or, where that is unknown, came) from then on and before then.
    pub between: Option<(Millis, Millis)>,
    /// At most so many.
    pub limit: usize,
}

/// What a look at the feed found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The rows, in the order of `seq`.
    pub rows: Vec<FeedRow>,
    /// Up to this number there are no other rows that were asked for, now or later.
    pub up_to: i64,
    /// There may be more above it.
    pub has_more: bool,
}

/// Gives an output its cursor unless it has one: behind the newest row, or before the first.
pub async fn begin(
    engine: &mut AnyEngine,
    key: Key<'_>,
    from_start: bool,
    now: Millis,
) -> Result<(), Failure> {
    let seq = if from_start {
        0
    } else {
        feed::head(engine).await?.next_seq - 1
    };
    let sql = format!(
        "INSERT INTO output_cursor (tenant, name, seq, paused, revive, delivered, created_at) \
         VALUES (?, ?, ?, 0, 0, 0, ?) {}",
        engine.dialect().keep_existing("tenant, name")
    );
    let now = now.text();
    let [tenant, name] = key.values();
    let values = [tenant, name, Value::Int(seq), Value::Text(&now)];
    engine.execute(crate::built(sql), &values).await.map(drop)
}

/// How it stands; `None` before its first start.
pub async fn standing(engine: &mut AnyEngine, key: Key<'_>) -> Result<Option<Standing>, Failure> {
    let sql = "SELECT seq, paused, revive, holder, CAST(held_until AS CHAR), \
               CAST(failing_since AS CHAR), trouble, delivered, CAST(delivered_at AS CHAR) \
               FROM output_cursor WHERE tenant = ? AND name = ?";
    let rows = engine.fetch(crate::fixed(sql), &key.values()).await?;
    rows.first().map(row).transpose()
}

fn row(row: &Row) -> Result<Standing, Failure> {
    Ok(Standing {
        seq: row.int(0)?,
        is_paused: row.int(1)? != 0,
        revives: row.int(2)? != 0,
        held: row.opt_text(3)?.zip(row.opt_time(4)?),
        failing_since: row.opt_time(5)?,
        trouble: row.opt_text(6)?,
        delivered: row.int(7)?,
        delivered_at: row.opt_time(8)?,
    })
}

/// Takes the reading of it, or keeps it, until `until`; false while somebody else has it.
pub async fn hold(
    engine: &mut AnyEngine,
    key: Key<'_>,
    holder: &str,
    (now, until): (Millis, Millis),
) -> Result<bool, Failure> {
    let sql = "UPDATE output_cursor SET holder = ?, held_until = ? WHERE tenant = ? AND name = ? \
               AND (holder IS NULL OR holder = ? OR held_until < ?)";
    let (now, until) = (now.text(), until.text());
    let [tenant, name] = key.values();
    let holder = Value::Text(holder);
    let values = [
        holder,
        Value::Text(&until),
        tenant,
        name,
        holder,
        Value::Text(&now),
    ];
    let matched = engine.execute(crate::fixed(sql), &values).await?;
    Ok(matched > 0)
}

/// Gives the reading of it back.
pub async fn release(engine: &mut AnyEngine, key: Key<'_>, holder: &str) -> Result<(), Failure> {
    let sql = "UPDATE output_cursor SET holder = NULL, held_until = NULL \
               WHERE tenant = ? AND name = ? AND holder = ?";
    let [tenant, name] = key.values();
    let values = [tenant, name, Value::Text(holder)];
    engine.execute(crate::fixed(sql), &values).await.map(drop)
}

/// A step of the cursor by its holder.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Who reads.
    pub holder: &'a str,
    /// Where the cursor was found.
    pub from: i64,
    /// Where it goes.
    pub to: i64,
}

/// Moves past rows that were not for this output. False: it was moved, or is held, by somebody
/// else, and nothing was changed.
pub async fn pass(engine: &mut AnyEngine, key: Key<'_>, step: Step<'_>) -> Result<bool, Failure> {
    let sql = "UPDATE output_cursor SET seq = ? WHERE tenant = ? AND name = ? AND seq = ? \
               AND holder = ?";
    let [tenant, name] = key.values();
    let (to, from) = (Value::Int(step.to), Value::Int(step.from));
    let values = [to, tenant, name, from, Value::Text(step.holder)];
    let matched = engine.execute(crate::fixed(sql), &values).await?;
    Ok(matched > 0)
}

/// Moves past rows that the receiver has. False as in [`pass`].
pub async fn delivered(
    engine: &mut AnyEngine,
    key: Key<'_>,
    step: Step<'_>,
    (count, now): (usize, Millis),
) -> Result<bool, Failure> {
    let sql = "UPDATE output_cursor SET seq = ?, delivered = delivered + ?, delivered_at = ?, \
               failing_since = NULL, trouble = NULL WHERE tenant = ? AND name = ? AND seq = ? \
               AND holder = ?";
    let (count, now) = (i64::try_from(count).unwrap_or(i64::MAX), now.text());
    let [tenant, name] = key.values();
    let values = [
        Value::Int(step.to),
        Value::Int(count),
        Value::Text(&now),
        tenant,
        name,
        Value::Int(step.from),
        Value::Text(step.holder),
    ];
    let matched = engine.execute(crate::fixed(sql), &values).await?;
    Ok(matched > 0)
}

/// Notes that nothing gets through, and since when at the latest.
pub async fn failing(
    engine: &mut AnyEngine,
    key: Key<'_>,
    trouble: &str,
    now: Millis,
) -> Result<(), Failure> {
    let sql = "UPDATE output_cursor SET failing_since = COALESCE(failing_since, ?), trouble = ? \
               WHERE tenant = ? AND name = ?";
    let (now, trouble) = (now.text(), cut(trouble));
    let [tenant, name] = key.values();
    let values = [Value::Text(&now), Value::Text(&trouble), tenant, name];
    engine.execute(crate::fixed(sql), &values).await.map(drop)
}

fn cut(words: &str) -> String {
    words.chars().take(WORDS).collect()
}

/// Puts rows among the dead letters and moves past them, in one transaction. False as in [`pass`].
pub async fn bury(
    engine: &mut AnyEngine,
    key: Key<'_>,
    step: Step<'_>,
    rows: &[FeedRow],
    (reason, now): (&str, Millis),
) -> Result<bool, Failure> {
    engine.begin().await?;
    let done = async {
        if !pass(engine, key, step).await? {
            return Ok(false);
        }
        dead(engine, key, rows, (reason, now)).await.map(|()| true)
    };
    let done = done.await;
    ended(engine, done).await
}

async fn dead(
    engine: &mut AnyEngine,
    key: Key<'_>,
    rows: &[FeedRow],
    (reason, now): (&str, Millis),
) -> Result<(), Failure> {
    let (reason, now) = (cut(reason), now.text());
    for some in rows.chunks(100) {
        let sql = format!(
            "INSERT INTO output_letter (tenant, name, seq, event_uid, reason, dead_at, settled_at) \
             VALUES {} {}",
            placeholders(some.len(), 7),
            engine
                .dialect()
                .overwrite("tenant, name, seq", &["reason", "dead_at", "settled_at"])
        );
        let [tenant, name] = key.values();
        let values: Vec<_> = some
            .iter()
            .flat_map(|row| {
                [
                    tenant,
                    name,
                    Value::Int(row.seq),
                    Value::Text(&row.event_uid),
                    Value::Text(&reason),
                    Value::Text(&now),
                    Value::Null,
                ]
            })
            .collect();
        engine.execute(crate::built(sql), &values).await?;
    }
    Ok(())
}

/// How many dead letters it has.
pub async fn dead_letters(engine: &mut AnyEngine, key: Key<'_>) -> Result<i64, Failure> {
    let sql = "SELECT COUNT(*) FROM output_letter WHERE tenant = ? AND name = ? \
               AND settled_at IS NULL";
    let rows = engine.fetch(crate::fixed(sql), &key.values()).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// The first dead letters above `after`, as rows of the feed. Of those whose row is gone nothing
/// comes.
pub async fn dead_rows(
    engine: &mut AnyEngine,
    key: Key<'_>,
    after: i64,
    limit: usize,
) -> Result<Vec<FeedRow>, Failure> {
    let which = "WHERE seq IN (SELECT seq FROM (SELECT seq FROM output_letter WHERE tenant = ? \
                 AND name = ? AND settled_at IS NULL AND seq > ? ORDER BY seq LIMIT ?) some) \
                 AND tenant = ? ORDER BY seq";
    let [tenant, name] = key.values();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = [tenant, name, Value::Int(after), Value::Int(limit), tenant];
    feed::select(engine, "event_feed", which, &values).await
}

/// Marks dead letters as delivered after all.
pub async fn settle(
    engine: &mut AnyEngine,
    key: Key<'_>,
    rows: &[FeedRow],
    now: Millis,
) -> Result<(), Failure> {
    let now = now.text();
    for some in rows.chunks(500) {
        let sql = format!(
            "UPDATE output_letter SET settled_at = ? WHERE tenant = ? AND name = ? AND seq IN {}",
            placeholders(1, some.len())
        );
        let [tenant, name] = key.values();
        let mut values = vec![Value::Text(&now), tenant, name];
        values.extend(some.iter().map(|row| Value::Int(row.seq)));
        engine.execute(crate::built(sql), &values).await?;
    }
    Ok(())
}

/// Pauses it, or lets it go on; false when there is no such output.
pub async fn set_paused(
    engine: &mut AnyEngine,
    key: Key<'_>,
    paused: bool,
) -> Result<bool, Failure> {
    let sql = "UPDATE output_cursor SET paused = ? WHERE tenant = ? AND name = ?";
    set(engine, key, sql, i64::from(paused)).await
}

/// Lets its dead letters go once more, or ends that; false when there is no such output.
pub async fn set_revives(
    engine: &mut AnyEngine,
    key: Key<'_>,
    revives: bool,
) -> Result<bool, Failure> {
    let sql = "UPDATE output_cursor SET revive = ? WHERE tenant = ? AND name = ?";
    set(engine, key, sql, i64::from(revives)).await
}

/// Lets it read on from after that number; false when there is no such output.
pub async fn rewind(engine: &mut AnyEngine, key: Key<'_>, seq: i64) -> Result<bool, Failure> {
    let sql = "UPDATE output_cursor SET seq = ? WHERE tenant = ? AND name = ?";
    set(engine, key, sql, seq).await
}

async fn set(
    engine: &mut AnyEngine,
    key: Key<'_>,
    sql: &'static str,
    value: i64,
) -> Result<bool, Failure> {
    let [tenant, name] = key.values();
    let values = [Value::Int(value), tenant, name];
    let matched = engine.execute(crate::fixed(sql), &values).await?;
    Ok(matched > 0)
}

/// The next rows after that number. Safe with any number of writers: the end of the feed is read
/// before its rows, and numbers are given out in the order of commits, so that nothing can appear
/// later at or below [`Page::up_to`].
pub async fn page(engine: &mut AnyEngine, wanted: Wanted<'_>, after: i64) -> Result<Page, Failure> {
    let last = feed::head(engine).await?.next_seq - 1;
    if last <= after {
        return Ok(Page {
            rows: Vec::new(),
            up_to: after,
            has_more: false,
        });
    }
    let end = window_end(engine, after).await?.unwrap_or(last);
    let kinds: Vec<_> = wanted.kinds.iter().map(|kind| kind.as_str()).collect();
    let of_kinds = match kinds.len() {
        0 => String::new(),
        count => format!(" AND kind IN {}", placeholders(1, count)),
    };
    let between = wanted.between.map(|(from, to)| (from.text(), to.text()));
    let in_time = match between {
        None => "",
        Some(_) => {
            " AND COALESCE(occurred_at, received_at) >= ? \
             AND COALESCE(occurred_at, received_at) < ?"
        }
    };
    let which = format!(
        "WHERE seq > ? AND seq <= ? AND tenant = ?{of_kinds}{in_time} ORDER BY seq LIMIT ?"
    );
    let mut values = vec![
        Value::Int(after),
        Value::Int(end),
        Value::Text(wanted.tenant),
    ];
    values.extend(kinds.into_iter().map(Value::Text));
    if let Some((from, to)) = &between {
        values.extend([Value::Text(from), Value::Text(to)]);
    }
    values.push(Value::Int(i64::try_from(wanted.limit).unwrap_or(i64::MAX)));
    let rows = feed::select(engine, "event_feed", &which, &values).await?;
    let up_to = match rows.last() {
        Some(row) if rows.len() >= wanted.limit => row.seq,
        _ => end,
    };
    Ok(Page {
        rows,
        up_to,
        has_more: up_to < last,
    })
}

/// The number of the row so many rows on; `None` when there are fewer.
async fn window_end(engine: &mut AnyEngine, after: i64) -> Result<Option<i64>, Failure> {
    let sql = "SELECT seq FROM event WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET ?";
    let values = [Value::Int(after), Value::Int(WINDOW - 1)];
    let rows = engine.fetch(crate::fixed(sql), &values).await?;
    rows.first().map(|row| row.int(0)).transpose()
}

/// The number just before the first row that came at that time or later; the end of the feed when
/// none did. It reads the whole feed up to there, a window at a time.
pub async fn before(engine: &mut AnyEngine, since: Millis) -> Result<i64, Failure> {
    let last = feed::head(engine).await?.next_seq - 1;
    let since = since.text();
    let mut after = 0;
    while after < last {
        let end = window_end(engine, after).await?.unwrap_or(last);
        let sql = "SELECT MIN(seq) FROM event WHERE seq > ? AND seq <= ? AND received_at >= ?";
        let values = [Value::Int(after), Value::Int(end), Value::Text(&since)];
        let rows = engine.fetch(crate::fixed(sql), &values).await?;
        if let Some(first) = rows.first().map_or(Ok(None), |row| row.opt_int(0))? {
            return Ok(first - 1);
        }
        after = end;
    }
    Ok(last)
}
