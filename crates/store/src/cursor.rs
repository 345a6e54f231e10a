//! Reading back where the reading of each terminal stands.
//!
//! Cursors (stamps that terminals echo, places in a serial chain, a terminal's language) are
//! written only by the writer, in the transaction of the records they stand for. So what is read
//! here never runs ahead of what was stored, and is what counts where a copy elsewhere differs.

use event::{DeviceId, Text};

use crate::{AnyEngine, Failure, Value};

/// Terminals asked for in one statement.
const DEVICES: usize = 500;

/// The cursors of those terminals in this database, or of all its terminals: whose, its name,
/// its value. Ordered by terminal and name.
pub async fn cursors(
    engine: &mut AnyEngine,
    devices: Option<&[DeviceId]>,
) -> Result<Vec<(DeviceId, Text, Text)>, Failure> {
    let mut found = Vec::new();
    let Some(devices) = devices else {
        read(engine, "", &[], &mut found).await?;
        return Ok(found);
    };
    let mut devices = devices.to_vec();
    devices.sort_unstable();
    devices.dedup();
    for some in devices.chunks(DEVICES) {
        let marks = vec!["?"; some.len()].join(",");
        let which = format!("WHERE device_id IN ({marks})");
        let values: Vec<_> = some.iter().map(|id| Value::Bytes(&id.0)).collect();
        read(engine, &which, &values, &mut found).await?;
    }
    Ok(found)
}

async fn read(
    engine: &mut AnyEngine,
    which: &str,
    values: &[Value<'_>],
    found: &mut Vec<(DeviceId, Text, Text)>,
) -> Result<(), Failure> {
    let sql = format!(
        "SELECT device_id, name, value FROM device_cursor {which} ORDER BY device_id, name"
    );
    for row in engine.fetch(crate::built(sql), values).await? {
        found.push((
            row.device_id(0)?,
            Text::from(row.text(1)?),
            Text::from(row.text(2)?),
        ));
    }
    Ok(())
}
