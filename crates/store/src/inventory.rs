//! What each terminal says of itself: model, firmware, dialect, address, people.
//!
//! Told in pieces and by different ways, so that a value that was not told again stays as it
//! was. Written beside the terminal's state, never in a transaction that stores events, and
//! never needed to store one.

use event::{DeviceId, Millis, Text};

use crate::transaction::placeholders;
use crate::{AnyEngine, Failure, Row, Value};

/// What is known of one terminal; absent is what nobody said yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Its model, in its own words; at most 128 characters are kept.
    pub model: Option<Text>,
    /// Its firmware, in its own words; at most 128 characters are kept.
    pub firmware: Option<Text>,
    /// The protocol it speaks, for example `zkteco-attendance`; at most 32 bytes.
    pub dialect: Option<Text>,
    /// Where it was last heard from, or is dialled; at most 64 characters are kept.
    pub address: Option<Text>,
    /// People enrolled in it.
    pub users_used: Option<i64>,
    /// People that it can hold.
    pub users_capacity: Option<i64>,
    /// When it was first heard under this enrolment; an earlier moment stays.
    pub first_contact_at: Option<Millis>,
}

const COLUMNS: &str = "device_id, model, firmware, dialect, address, users_used, users_capacity, \
     first_contact_at";
const COLUMN_COUNT: usize = 8;

/// Rows a statement carries at most.
const ROWS: usize = 100;

fn cut(text: Option<&Text>, limit: usize) -> Option<String> {
    text.map(|text| text.chars().take(limit).collect())
}

/// Writes what is known; what is absent here leaves what stands there.
pub(crate) async fn write_rows(
    engine: &mut AnyEngine,
    known: &[(DeviceId, &Inventory)],
) -> Result<(), Failure> {
    let end = engine.dialect().fill(
        "device_id",
        "inventory",
        &[
            "model",
            "firmware",
            "dialect",
            "address",
            "users_used",
            "users_capacity",
        ],
        &["first_contact_at"],
    );
    for some in known.chunks(ROWS) {
        let texts: Vec<_> = some
            .iter()
            .map(|(_, it)| {
                [
                    cut(it.model.as_ref(), 128),
                    cut(it.firmware.as_ref(), 128),
                    cut(it.dialect.as_ref(), 32),
                    cut(it.address.as_ref(), 64),
                    it.first_contact_at.map(Millis::text),
                ]
            })
            .collect();
        let number = |number: Option<i64>| number.map_or(Value::Null, Value::Int);
        let mut values = Vec::with_capacity(some.len() * COLUMN_COUNT);
        for ((id, it), [model, firmware, dialect, address, first]) in some.iter().zip(&texts) {
            values.extend([
                Value::Bytes(&id.0),
                Value::opt(model.as_deref()),
                Value::opt(firmware.as_deref()),
                Value::opt(dialect.as_deref()),
                Value::opt(address.as_deref()),
                number(it.users_used),
                number(it.users_capacity),
                Value::opt(first.as_deref()),
            ]);
        }
        let list = placeholders(some.len(), COLUMN_COUNT);
        let sql = format!("INSERT INTO inventory ({COLUMNS}) VALUES {list} {end}");
        engine.execute(crate::built(sql), &values).await?;
    }
    Ok(())
}

/// Everything that is known, by terminal.
pub async fn read(engine: &mut AnyEngine) -> Result<Vec<(DeviceId, Inventory)>, Failure> {
    let sql = "SELECT device_id, model, firmware, dialect, address, users_used, users_capacity, \
               CAST(first_contact_at AS CHAR) FROM inventory ORDER BY device_id";
    let rows = engine.fetch(crate::fixed(sql), &[]).await?;
    rows.iter().map(row).collect()
}

fn row(row: &Row) -> Result<(DeviceId, Inventory), Failure> {
    let text = |at| Ok::<_, Failure>(row.opt_text(at)?.map(Text::from));
    Ok((
        row.device_id(0)?,
        Inventory {
            model: text(1)?,
            firmware: text(2)?,
            dialect: text(3)?,
            address: text(4)?,
            users_used: row.opt_int(5)?,
            users_capacity: row.opt_int(6)?,
            first_contact_at: row.opt_time(7)?,
        },
    ))
}
