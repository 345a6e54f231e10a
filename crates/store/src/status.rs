//! What was last seen of each terminal, for `device_status` and its readers.
//!
//! Written at most once a minute a terminal by whoever keeps those facts; never part of a
//! transaction that stores events, and never needed to store one.

use event::{Device, DeviceId, Millis, SharedDevice, Text};

use crate::assurance::{self, Assured};
use crate::device_row::upsert_devices;
use crate::inventory::{self, Inventory};
use crate::transaction::{ended, placeholders};
use crate::{AnyEngine, Failure, Row, Value};

/// What is known of one terminal now.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceState {
    /// The terminal; its row of `device` is written too.
    pub device: SharedDevice,
    /// The word operators see, at most 16 bytes.
    pub state: Text,
    /// When it last spoke to us.
    pub last_contact_at: Option<Millis>,
    /// When its newest event happened.
    pub last_event_at: Option<Millis>,
    /// How far its clock is ahead of ours, in seconds.
    pub clock_skew_seconds: Option<i64>,
    /// Records in its log.
    pub log_used: Option<i64>,
    /// Records that its log can hold.
    pub log_capacity: Option<i64>,
    /// Events that it is known to have and we do not.
    pub gap_events: Option<i64>,
    /// What can be proven: `proven`, `seen` or `unproven`.
    pub completeness: Text,
    /// What it says of itself, when that is news.
    pub inventory: Option<Inventory>,
    /// Up to when its record is known to be whole, when that is news.
    pub assured: Option<Assured>,
}

/// A terminal that somebody has not heard for a long time, and that its row may still call online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Whose row it is.
    pub device: DeviceId,
    /// The word for it; see [`DeviceState::state`].
    pub state: Text,
    /// The row is left as it is when it was heard at this moment or later: by another satellite.
    pub heard_before: Millis,
}

/// A row of the view `device_status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRow {
    /// Serial number.
    pub serial: String,
    /// Whose it is.
    pub tenant: Option<String>,
    /// Where it stands.
    pub site: Option<String>,
    /// As in [`DeviceState`], like everything below.
    pub state: String,
    /// When it last spoke to us.
    pub last_contact_at: Option<Millis>,
    /// When its newest event happened.
    pub last_event_at: Option<Millis>,
    /// How far its clock is ahead of ours, in seconds.
    pub clock_skew_seconds: Option<i64>,
    /// Records in its log.
    pub log_used: Option<i64>,
    /// Records that its log can hold.
    pub log_capacity: Option<i64>,
    /// Events that it is known to have and we do not.
    pub gap_events: Option<i64>,
    /// What can be proven.
    pub completeness: String,
}

const COLUMNS: [&str; 9] = [
    "device_id",
    "state",
    "last_contact_at",
    "last_event_at",
    "clock_skew_seconds",
    "log_used",
    "log_capacity",
    "gap_events",
    "completeness",
];

/// Rows a statement carries at most.
const ROWS: usize = 100;

/// Writes the states of those terminals in one transaction.
pub async fn write(engine: &mut AnyEngine, states: &[DeviceState]) -> Result<(), Failure> {
    if states.is_empty() {
        return Ok(());
    }
    engine.begin().await?;
    let done = write_rows(engine, states).await;
    ended(engine, done).await
}

/// Says of those terminals that they are silent, in one transaction, where a row calls one online
/// that was heard by nobody lately. A row that says anything else stays.
pub async fn write_silences(engine: &mut AnyEngine, silent: &[Silence]) -> Result<(), Failure> {
    engine.begin().await?;
    let done = silence_rows(engine, silent).await;
    ended(engine, done).await
}

async fn silence_rows(engine: &mut AnyEngine, silent: &[Silence]) -> Result<(), Failure> {
    let sql = "UPDATE device_state SET state = ? \
               WHERE device_id = ? AND state = 'online' AND last_contact_at < ?";
    for one in silent {
        let before = one.heard_before.text();
        let values = [
            Value::Text(&one.state),
            Value::Bytes(&one.device.0),
            Value::Text(&before),
        ];
        engine.execute(crate::fixed(sql), &values).await?;
    }
    Ok(())
}

async fn write_rows(engine: &mut AnyEngine, states: &[DeviceState]) -> Result<(), Failure> {
    let devices: Vec<&Device> = states.iter().map(|state| &*state.device).collect();
    upsert_devices(engine, &devices).await?;
    // What was not seen again since a restart stays as it was.
    let (_, overwritten) = COLUMNS.split_at(1);
    let end = engine
        .dialect()
        .fill("device_id", "device_state", overwritten, &[]);
    for some in states.chunks(ROWS) {
        let times: Vec<_> = some
            .iter()
            .map(|s| {
                (
                    s.last_contact_at.map(Millis::text),
                    s.last_event_at.map(Millis::text),
                )
            })
            .collect();
        let number = |number: Option<i64>| number.map_or(Value::Null, Value::Int);
        let mut values = Vec::with_capacity(some.len() * COLUMNS.len());
        for (state, (contact, newest)) in some.iter().zip(&times) {
            values.extend([
                Value::Bytes(&state.device.id.0),
                Value::Text(&state.state),
                Value::opt(contact.as_deref()),
                Value::opt(newest.as_deref()),
                number(state.clock_skew_seconds),
                number(state.log_used),
                number(state.log_capacity),
                number(state.gap_events),
                Value::Text(&state.completeness),
            ]);
        }
        let columns = COLUMNS.join(", ");
        let list = placeholders(some.len(), COLUMNS.len());
        let sql = format!("INSERT INTO device_state ({columns}) VALUES {list} {end}");
        engine.execute(crate::built(sql), &values).await?;
    }
    let known = states
        .iter()
        .filter_map(|s| Some((s.device.id, s.inventory.as_ref()?)));
    inventory::write_rows(engine, &known.collect::<Vec<_>>()).await?;
    let assured = states
        .iter()
        .filter_map(|s| Some((s.device.id, s.assured.as_ref()?)));
    assurance::write_rows(engine, &assured.collect::<Vec<_>>()).await
}

/// When the newest event of each terminal happened, as it was last noted.
pub async fn last_events(engine: &mut AnyEngine) -> Result<Vec<(DeviceId, Millis)>, Failure> {
    let sql = "SELECT device_id, CAST(last_event_at AS CHAR) FROM device_state \
               WHERE last_event_at IS NOT NULL";
    let rows = engine.fetch(crate::fixed(sql), &[]).await?;
    rows.iter()
        .map(|row| Ok((row.device_id(0)?, row.time(1)?)))
        .collect()
}

/// Reads the view `device_status`, ordered by tenant and serial.
pub async fn read(engine: &mut AnyEngine) -> Result<Vec<StatusRow>, Failure> {
    let sql = "SELECT serial, tenant, site, state, CAST(last_contact_at AS CHAR), \
               CAST(last_event_at AS CHAR), clock_skew_seconds, log_used, log_capacity, \
               gap_events, completeness FROM device_status ORDER BY tenant, serial";
    let rows = engine.fetch(crate::fixed(sql), &[]).await?;
    rows.iter().map(status_row).collect()
}

fn status_row(row: &Row) -> Result<StatusRow, Failure> {
    Ok(StatusRow {
        serial: row.text(0)?,
        tenant: row.opt_text(1)?,
        site: row.opt_text(2)?,
        state: row.text(3)?,
        last_contact_at: row.opt_time(4)?,
        last_event_at: row.opt_time(5)?,
        clock_skew_seconds: row.opt_int(6)?,
        log_used: row.opt_int(7)?,
        log_capacity: row.opt_int(8)?,
        gap_events: row.opt_int(9)?,
        completeness: row.text(10)?,
    })
}
