//! Up to when each terminal's record is known to be whole, and which windows of it are not.
//!
//! A statement of assurance is made by whoever has asked the terminal, after the COMMIT of what
//! it answered, and stands in the same database as the rows it speaks of: a restored copy takes
//! it back together with them. Nothing here decides what is whole; nothing here is ever ahead
//! of the rows. A window that was found missing is closed, never deleted.

use event::{DeviceId, Millis, Text};

use crate::transaction::{ended, placeholders};
use crate::{AnyEngine, Failure, Row, Value};

/// What was found when a terminal was last asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assured {
    /// Everything that the terminal held when it was asked, and that happened up to here, is
    /// stored; `None` when that cannot be said. An earlier statement then stays.
    pub complete_to: Option<Millis>,
    /// When it was asked.
    pub checked_at: Millis,
    /// By what: `serials`, `counter`, `read`; at most 16 bytes.
    pub means: Text,
    /// Records that it says it holds.
    pub device_count: Option<i64>,
    /// Records of it that are stored.
    pub stored_count: Option<i64>,
}

/// Where a missing window stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowState {
    /// It is asked for, again and again, until it comes.
    Open,
    /// It was asked for and did not come whole: a person must look.
    Stuck,
    /// The terminal no longer holds it.
    Lost,
    /// It has come.
    Closed,
}

impl WindowState {
    const ALL: [Self; 4] = [Self::Open, Self::Stuck, Self::Lost, Self::Closed];

    /// The word in the database and in commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Stuck => "stuck",
            Self::Lost => "lost",
            Self::Closed => "closed",
        }
    }

    /// The state of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A window of one terminal's record that was found not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The terminal.
    pub device: DeviceId,
    /// From here on.
    pub begins_at: Millis,
    /// Up to here, not included.
    pub ends_at: Millis,
    /// Where it stands.
    pub state: WindowState,
    /// Records in it by the terminal's word.
    pub device_count: Option<i64>,
    /// Records in it that are stored.
    pub stored_count: Option<i64>,
    /// For people; at most 190 characters are kept.
    pub detail: Text,
    /// When it was found.
    pub found_at: Millis,
    /// When anything of this last changed.
    pub changed_at: Millis,
}

/// A terminal with all that a report on completeness needs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssuredDevice {
    /// Which.
    pub device: DeviceId,
    /// Its serial number.
    pub serial: String,
    /// The name people gave it.
    pub name: Option<String>,
    /// Where it stands.
    pub site: Option<String>,
    /// When it last spoke to us.
    pub last_contact_at: Option<Millis>,
    /// What can be proven of it: `proven`, `seen`, `unproven`.
    pub completeness: Option<String>,
    /// Events that it is known to have and we do not.
    pub gap_events: Option<i64>,
    /// The statement, when there is one.
    pub complete_to: Option<Millis>,
    /// By what.
    pub means: Option<String>,
}

const COLUMN_COUNT: usize = 6;
/// Rows a statement carries at most.
const ROWS: usize = 100;

pub(crate) async fn write_rows(
    engine: &mut AnyEngine,
    assured: &[(DeviceId, &Assured)],
) -> Result<(), Failure> {
    let end = engine.dialect().fill(
        "device_id",
        "assurance",
        &[
            "complete_to",
            "checked_at",
            "means",
            "device_count",
            "stored_count",
        ],
        &[],
    );
    for some in assured.chunks(ROWS) {
        let times: Vec<_> = some
            .iter()
            .map(|(_, it)| (it.complete_to.map(Millis::text), it.checked_at.text()))
            .collect();
        let number = |number: Option<i64>| number.map_or(Value::Null, Value::Int);
        let mut values = Vec::with_capacity(some.len() * COLUMN_COUNT);
        for ((id, it), (complete, checked)) in some.iter().zip(&times) {
            values.extend([
                Value::Bytes(&id.0),
                Value::opt(complete.as_deref()),
                Value::Text(checked),
                Value::Text(&it.means),
                number(it.device_count),
                number(it.stored_count),
            ]);
        }
        let list = placeholders(some.len(), COLUMN_COUNT);
        let sql = format!(
            "INSERT INTO assurance (device_id, complete_to, checked_at, means, device_count, \
             stored_count) VALUES {list} {end}"
        );
        engine.execute(crate::built(sql), &values).await?;
    }
    Ok(())
}

/// Writes one statement.
pub async fn write(
    engine: &mut AnyEngine,
    device: DeviceId,
    assured: &Assured,
) -> Result<(), Failure> {
    write_rows(engine, &[(device, assured)]).await
}

/// Up to when the terminal's record was last said to be whole.
pub async fn complete_to(
    engine: &mut AnyEngine,
    device: DeviceId,
) -> Result<Option<Millis>, Failure> {
    let sql = "SELECT CAST(complete_to AS CHAR) FROM assurance WHERE device_id = ?";
    let rows = engine
        .fetch(crate::fixed(sql), &[Value::Bytes(&device.0)])
        .await?;
    rows.first().map_or(Ok(None), |row| row.opt_time(0))
}

/// The same of every terminal that has a statement.
pub async fn all_complete_to(
    engine: &mut AnyEngine,
) -> Result<Vec<(DeviceId, Option<Millis>)>, Failure> {
    let sql = "SELECT device_id, CAST(complete_to AS CHAR) FROM assurance";
    let rows = engine.fetch(crate::fixed(sql), &[]).await?;
    rows.iter()
        .map(|row| Ok((row.device_id(0)?, row.opt_time(1)?)))
        .collect()
}

/// Every terminal of that tenant that has a row here, canaries left out, by serial.
pub async fn read(engine: &mut AnyEngine, tenant: &str) -> Result<Vec<AssuredDevice>, Failure> {
    let sql = "SELECT d.device_id, d.serial, d.name, d.site, CAST(s.last_contact_at AS CHAR), \
               s.completeness, s.gap_events, CAST(a.complete_to AS CHAR), a.means \
               FROM device d LEFT JOIN device_state s ON s.device_id = d.device_id \
               LEFT JOIN assurance a ON a.device_id = d.device_id \
               WHERE d.tenant = ? AND d.canary = 0 ORDER BY d.serial, d.device_id";
    let rows = engine
        .fetch(crate::fixed(sql), &[Value::Text(tenant)])
        .await?;
    rows.iter().map(device_row).collect()
}

fn device_row(row: &Row) -> Result<AssuredDevice, Failure> {
    Ok(AssuredDevice {
        device: row.device_id(0)?,
        serial: row.text(1)?,
        name: row.opt_text(2)?,
        site: row.opt_text(3)?,
        last_contact_at: row.opt_time(4)?,
        completeness: row.opt_text(5)?,
        gap_events: row.opt_int(6)?,
        complete_to: row.opt_time(7)?,
        means: row.opt_text(8)?,
    })
}

/// Writes windows; one of the same terminal and beginning is overwritten, except for when it
/// was found.
pub async fn note(engine: &mut AnyEngine, windows: &[Missing]) -> Result<(), Failure> {
    if windows.is_empty() {
        return Ok(());
    }
    engine.begin().await?;
    let done = note_inside(engine, windows).await;
    ended(engine, done).await
}

async fn note_inside(engine: &mut AnyEngine, windows: &[Missing]) -> Result<(), Failure> {
    let end = engine.dialect().overwrite(
        "device_id, begins_at",
        &[
            "ends_at",
            "state",
            "device_count",
            "stored_count",
            "detail",
            "changed_at",
        ],
    );
    let sql = format!(
        "INSERT INTO missing_window (device_id, begins_at, ends_at, state, device_count, \
         stored_count, detail, found_at, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) {end}"
    );
    let number = |number: Option<i64>| number.map_or(Value::Null, Value::Int);
    for it in windows {
        let times = [it.begins_at, it.ends_at, it.found_at, it.changed_at].map(Millis::text);
        let [begins, ends, found, changed] = &times;
        let detail: String = it.detail.chars().take(190).collect();
        let values = [
            Value::Bytes(&it.device.0),
            Value::Text(begins),
            Value::Text(ends),
            Value::Text(it.state.as_str()),
            number(it.device_count),
            number(it.stored_count),
            Value::Text(&detail),
            Value::Text(found),
            Value::Text(changed),
        ];
        engine.execute(crate::built(sql.as_str()), &values).await?;
    }
    Ok(())
}

/// Closes the windows of a terminal that lie in that span and may still have come. What is lost
/// stays so.
pub async fn close(
    engine: &mut AnyEngine,
    device: DeviceId,
    (from, to): (Millis, Millis),
    now: Millis,
) -> Result<(), Failure> {
    let sql = "UPDATE missing_window SET state = 'closed', changed_at = ? WHERE device_id = ? \
               AND state IN ('open', 'stuck') AND begins_at >= ? AND ends_at <= ?";
    let (from, to, now) = (from.text(), to.text(), now.text());
    let values = [
        Value::Text(&now),
        Value::Bytes(&device.0),
        Value::Text(&from),
        Value::Text(&to),
    ];
    engine.execute(crate::fixed(sql), &values).await?;
    Ok(())
}

/// The serial number of every terminal that this database knows.
pub async fn serials(engine: &mut AnyEngine) -> Result<Vec<(DeviceId, String)>, Failure> {
    let sql = crate::fixed("SELECT device_id, serial FROM device");
    let rows = engine.fetch(sql, &[]).await?;
    rows.iter()
        .map(|row| Ok((row.device_id(0)?, row.text(1)?)))
        .collect()
}

/// The windows that are not closed, by terminal and beginning; of one terminal if it is named.
pub async fn missing(
    engine: &mut AnyEngine,
    device: Option<DeviceId>,
) -> Result<Vec<Missing>, Failure> {
    const SELECT: &str = "SELECT device_id, CAST(begins_at AS CHAR), CAST(ends_at AS CHAR), \
         state, device_count, stored_count, detail, CAST(found_at AS CHAR), \
         CAST(changed_at AS CHAR) FROM missing_window WHERE state <> 'closed'";
    let rows = match &device {
        Some(id) => {
            let sql = crate::built(format!("{SELECT} AND device_id = ? ORDER BY begins_at"));
            engine.fetch(sql, &[Value::Bytes(&id.0)]).await?
        }
        None => {
            let sql = crate::built(format!("{SELECT} ORDER BY device_id, begins_at"));
            engine.fetch(sql, &[]).await?
        }
    };
    rows.iter().map(missing_row).collect()
}

fn missing_row(row: &Row) -> Result<Missing, Failure> {
    let word = row.text(3)?;
    let unknown = || Failure::schema(format!("'{word}' is not a state of a window"));
    Ok(Missing {
        device: row.device_id(0)?,
        begins_at: row.time(1)?,
        ends_at: row.time(2)?,
        state: WindowState::from_word(&word).ok_or_else(unknown)?,
        device_count: row.opt_int(4)?,
        stored_count: row.opt_int(5)?,
        detail: Text::from(row.text(6)?),
        found_at: row.time(7)?,
        changed_at: row.time(8)?,
    })
}
