//! Reading the feed, and opening a new epoch of it.
//!
//! A reader keeps one number, the `seq` of the last row it has: every row that appears later
//! has a higher one. That holds because numbers are given out under the lock of the one row
//! `feed_head`, and because a database that lost its newest rows (a restored copy, another
//! server) goes on in a new epoch, above every number that was ever given out.

use event::{
    Bytes, ClockFlag, Device, DeviceId, Event, IdentForm, Kind, Millis, Route, Serial, Text,
    Timeliness, Vendor, Zone,
};

use crate::device_row::upsert_devices;
use crate::event_row::{EVENT_COLUMN_COUNT, EventRow, insert_sql};
use crate::mirror::FeedMark;
use crate::transaction::{ended, for_update};
use crate::{AnyEngine, Failure, Row, Value};

/// `seq` = epoch · 2^`EPOCH_BITS` + n.
pub const EPOCH_BITS: u32 = 40;

/// A row of `event_feed` or `canary_feed`. The fields are the view's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRow {
    /// The cursor.
    pub seq: i64,
    /// The event's name for the whole world, 64 hexadecimal digits.
    pub event_uid: String,
    /// Whose terminal it was; `None` for events about the feed itself.
    pub tenant: Option<String>,
    /// Protocol family.
    pub vendor: String,
    /// Serial number of the terminal.
    pub serial: String,
    /// The name people gave it.
    pub device_name: Option<String>,
    /// A word of [`Kind`].
    pub kind: String,
    /// Who, as sent.
    pub person: Option<String>,
    /// The card, as sent.
    pub card: Option<String>,
    /// The terminal's own wall-clock text.
    pub local_time: Option<String>,
    /// IANA name of the terminal's zone.
    pub time_zone: String,
    /// When it happened, if that can be known.
    pub occurred_at: Option<Millis>,
    /// When we received it.
    pub received_at: Millis,
    /// The device's own punch status.
    pub status_code: Option<String>,
    /// The device's own verify mode.
    pub verify_code: Option<String>,
    /// The device's own event code.
    pub vendor_code: Option<String>,
    /// `in` or `out`, only where certain.
    pub direction: Option<String>,
    /// Which door.
    pub door: Option<String>,
    /// A word of [`Route`].
    pub route: String,
    /// A word of [`Timeliness`].
    pub timeliness: String,
    /// A word of [`ClockFlag`].
    pub clock: String,
    /// Everything else, as a JSON text.
    pub attributes: Option<String>,
    /// The record's bytes.
    pub raw: Vec<u8>,
}

/// Which rows [`read`] answers; absent means all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedFilter {
    /// Only rows above this number.
    pub after_seq: i64,
    /// Only events that happened (or, where that is unknown, came) at this time or later.
    pub since: Option<Millis>,
    /// Only of this person.
    pub person: Option<String>,
    /// Only of this terminal.
    pub serial: Option<String>,
    /// Only of this tenant.
    pub tenant: Option<String>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// From `canary_feed` instead of `event_feed`.
    pub canary: bool,
    /// At most so many rows.
    pub limit: u32,
}

impl Default for FeedFilter {
    fn default() -> Self {
        Self {
            after_seq: 0,
            since: None,
            person: None,
            serial: None,
            tenant: None,
            kind: None,
            canary: false,
            limit: 1000,
        }
    }
}

/// Where the feed of a database stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedHead {
    /// Names this database for ever, copies of it included.
    pub store_id: [u8; 16],
    /// The next number to be given out.
    pub next_seq: i64,
    /// The server that last opened an epoch here.
    pub server: String,
}

impl FeedHead {
    /// The epoch that numbers are given out in.
    pub fn epoch(&self) -> i64 {
        self.next_seq >> EPOCH_BITS
    }
}

const COLUMNS: &str = "seq, event_uid, tenant, vendor, serial, device_name, kind, person, card, \
     local_time, time_zone, CAST(occurred_at AS CHAR), CAST(received_at AS CHAR), status_code, \
     verify_code, vendor_code, direction, door, route, timeliness, clock, attributes, raw";

/// Numbers that one statement looks through. Nothing but the number has an index, so that a table of
/// any size is read in pieces that a server answers well within [`STATEMENT_DEADLINE`](crate::STATEMENT_DEADLINE).
const PIECE: i64 = 250_000;

/// The rows that the filter lets through, in the order of `seq`.
pub async fn read(engine: &mut AnyEngine, filter: &FeedFilter) -> Result<Vec<FeedRow>, Failure> {
    let view = if filter.canary {
        "canary_feed"
    } else {
        "event_feed"
    };
    let since = filter.since.map(Millis::text);
    let wanted = [
        ("COALESCE(occurred_at, received_at) >= ?", since.as_deref()),
        ("person = ?", filter.person.as_deref()),
        ("serial = ?", filter.serial.as_deref()),
        ("tenant = ?", filter.tenant.as_deref()),
        ("kind = ?", filter.kind.map(Kind::as_str)),
    ];
    let wanted: Vec<(&str, &str)> = wanted
        .into_iter()
        .filter_map(|(condition, value)| Some((condition, value?)))
        .collect();
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    if wanted.is_empty() {
        return piece(engine, view, (filter.after_seq, i64::MAX), &wanted, limit).await;
    }
    let (mut rows, mut after) = (Vec::new(), filter.after_seq);
    while rows.len() < limit {
        // Over what no number was given to: between two epochs there are many.
        let Some(first) = next_number(engine, after).await? else {
            break;
        };
        let last = first.saturating_add(PIECE);
        let room = limit - rows.len();
        rows.extend(piece(engine, view, (first.saturating_sub(1), last), &wanted, room).await?);
        after = last;
    }
    Ok(rows)
}

/// The first number behind that one; of the table, whose views may be sparse.
async fn next_number(engine: &mut AnyEngine, after: i64) -> Result<Option<i64>, Failure> {
    let sql = crate::fixed("SELECT seq FROM event WHERE seq > ? ORDER BY seq LIMIT 1");
    let rows = engine.fetch(sql, &[Value::Int(after)]).await?;
    rows.first().map(|row| row.int(0)).transpose()
}

/// At most so many rows behind the first number and up to the last that meet the conditions.
async fn piece(
    engine: &mut AnyEngine,
    view: &str,
    (after, last): (i64, i64),
    wanted: &[(&str, &str)],
    limit: usize,
) -> Result<Vec<FeedRow>, Failure> {
    let mut sql = "WHERE seq > ? AND seq <= ?".to_owned();
    let mut values = vec![Value::Int(after), Value::Int(last)];
    for (condition, value) in wanted {
        sql.push_str(" AND ");
        sql.push_str(condition);
        values.push(Value::Text(value));
    }
    sql.push_str(" ORDER BY seq LIMIT ?");
    values.push(Value::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
    select(engine, view, &sql, &values).await
}

/// The rows of a view that this end of a SELECT lets through.
pub(crate) async fn select(
    engine: &mut AnyEngine,
    view: &str,
    end: &str,
    values: &[Value<'_>],
) -> Result<Vec<FeedRow>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM {view} {end}");
    let rows = engine.fetch(crate::built(sql), values).await?;
    rows.iter().map(feed_row).collect()
}

fn feed_row(row: &Row) -> Result<FeedRow, Failure> {
    Ok(FeedRow {
        seq: row.int(0)?,
        event_uid: row.text(1)?,
        tenant: row.opt_text(2)?,
        vendor: row.text(3)?,
        serial: row.text(4)?,
        device_name: row.opt_text(5)?,
        kind: row.text(6)?,
        person: row.opt_text(7)?,
        card: row.opt_text(8)?,
        local_time: row.opt_text(9)?,
        time_zone: row.text(10)?,
        occurred_at: row.opt_time(11)?,
        received_at: row.time(12)?,
        status_code: row.opt_text(13)?,
        verify_code: row.opt_text(14)?,
        vendor_code: row.opt_text(15)?,
        direction: row.opt_text(16)?,
        door: row.opt_text(17)?,
        route: row.text(18)?,
        timeliness: row.text(19)?,
        clock: row.text(20)?,
        attributes: row.opt_text(21)?,
        raw: row.bytes(22)?.to_vec(),
    })
}

/// Where the feed stands now.
pub async fn head(engine: &mut AnyEngine) -> Result<FeedHead, Failure> {
    read_head(engine, "").await
}

async fn read_head(engine: &mut AnyEngine, end: &str) -> Result<FeedHead, Failure> {
    let sql = format!("SELECT store_id, next_seq, server FROM feed_head WHERE id = 1{end}");
    let rows = engine.fetch(crate::built(sql), &[]).await?;
    let row = rows
        .first()
        .ok_or_else(|| Failure::schema("feed_head has no row; run `satellite db migrate`"))?;
    let wrong = |_| Failure::schema("feed_head.store_id does not have 16 bytes");
    Ok(FeedHead {
        store_id: row.bytes(0)?.try_into().map_err(wrong)?,
        next_seq: row.int(1)?,
        server: row.text(2)?,
    })
}

/// Lets the numbers go on from `next_seq` where they have not come that far.
pub(crate) async fn skip_to(engine: &mut AnyEngine, next_seq: i64) -> Result<(), Failure> {
    let sql = "UPDATE feed_head SET next_seq = ? WHERE id = 1 AND next_seq < ?";
    let values = [Value::Int(next_seq), Value::Int(next_seq)];
    engine.execute(crate::fixed(sql), &values).await.map(drop)
}

/// The epoch after every one that the database or `mark` knows.
pub(crate) fn next_epoch(head: &FeedHead, mark: Option<&FeedMark>) -> i64 {
    let known = mark.map_or(0, |mark| mark.next_seq >> EPOCH_BITS);
    head.epoch().max(known) + 1
}

/// Opens a new epoch, one higher than any that the database or `mark` knows, and puts an
/// event of kind `device` that says so as its first row. All in one transaction; answers the
/// epoch. `reason` is for people and stands in the event's attributes.
pub async fn open_epoch(
    engine: &mut AnyEngine,
    mark: Option<&FeedMark>,
    reason: &str,
    now: Millis,
) -> Result<i64, Failure> {
    let server = engine.server_identity().await?;
    engine.begin().await?;
    let done = start_epoch(engine, mark, &server, reason, now).await;
    ended(engine, done).await
}

async fn start_epoch(
    engine: &mut AnyEngine,
    mark: Option<&FeedMark>,
    server: &str,
    reason: &str,
    now: Millis,
) -> Result<i64, Failure> {
    let head = read_head(engine, for_update(engine.dialect())).await?;
    let epoch = next_epoch(&head, mark);
    let first = (epoch << EPOCH_BITS) + 1;
    let sql = "UPDATE feed_head SET next_seq = ?, server = ? WHERE id = 1";
    let values = [Value::Int(first + 1), Value::Text(server)];
    engine.execute(crate::fixed(sql), &values).await?;

    let device = feed_device(head.store_id)?;
    let event = epoch_event(epoch, reason, now);
    upsert_devices(engine, &[&device]).await?;
    let row = EventRow::new(first, &device, &event);
    let mut values = Vec::with_capacity(EVENT_COLUMN_COUNT);
    row.push(&mut values);
    engine
        .execute(insert_sql(1, engine.dialect()), &values)
        .await?;
    Ok(epoch)
}

/// The pseudo terminal that events about the feed itself belong to.
fn feed_device(store_id: [u8; 16]) -> Result<Device, Failure> {
    Ok(Device {
        id: DeviceId(store_id),
        tenant: None,
        vendor: Vendor::Satellite,
        serial: Serial::new("feed").map_err(Failure::schema)?,
        name: None,
        site: None,
        zone: Zone::utc(),
        canary: false,
    })
}

fn epoch_event(epoch: i64, reason: &str, now: Millis) -> Event {
    let attributes = serde_json::json!({ "epoch": epoch, "reason": reason }).to_string();
    Event {
        ident: IdentForm::new("feed").field(&epoch.to_be_bytes()).finish(),
        kind: Kind::Device,
        person: None,
        card: None,
        local_time: None,
        occurred_at: Some(now),
        received_at: now,
        status_code: None,
        verify_code: None,
        vendor_code: Some(Text::const_new("epoch")),
        direction: None,
        door: None,
        route: Route::Edge,
        timeliness: Timeliness::Live,
        clock: ClockFlag::Ok,
        raw: Bytes::copy_from_slice(attributes.as_bytes()),
        attributes: Some(attributes),
    }
}
