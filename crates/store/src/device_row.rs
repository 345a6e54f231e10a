//! Rows of the table `device`: what readers of the feed are told about a terminal.
//!
//! Every event database holds a copy of its own terminals, so that its views need nothing
//! from the registry. The copy is overwritten with what the caller knows now and never read
//! back as truth.

use event::Device;

use crate::transaction::placeholders;
use crate::{AnyEngine, Failure, Value};

const COLUMNS: &str = "device_id, tenant, vendor, serial, name, site, time_zone, canary";
const COLUMN_COUNT: usize = 8;

/// Rows a statement carries at most: far below every limit on packets and placeholders.
const ROWS: usize = 100;

/// Writes those terminals, overwriting what is there.
pub(crate) async fn upsert_devices(
    engine: &mut AnyEngine,
    devices: &[&Device],
) -> Result<(), Failure> {
    // One order for every session, so that two of them cannot wait for each other.
    let mut devices = devices.to_vec();
    devices.sort_unstable_by_key(|device| device.id);
    let end = engine.dialect().overwrite(
        "device_id",
        &[
            "tenant",
            "vendor",
            "serial",
            "name",
            "site",
            "time_zone",
            "canary",
        ],
    );
    for some in devices.chunks(ROWS) {
        let mut values = Vec::with_capacity(some.len() * COLUMN_COUNT);
        for device in some {
            values.extend([
                Value::Bytes(&device.id.0),
                Value::opt(device.tenant.as_ref().map(event::TenantId::as_str)),
                Value::Text(device.vendor.as_str()),
                Value::Text(device.serial.as_str()),
                Value::opt(device.name.as_deref()),
                Value::opt(device.site.as_deref()),
                Value::Text(device.zone.name()),
                Value::Int(i64::from(device.canary)),
            ]);
        }
        let list = placeholders(some.len(), COLUMN_COUNT);
        let sql = crate::built(format!(
            "INSERT INTO device ({COLUMNS}) VALUES {list} {end}"
        ));
        engine.execute(sql, &values).await?;
    }
    Ok(())
}
