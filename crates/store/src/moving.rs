//! What a tenant takes along to another installation, and how its terminals arrive there.
//!
//! An event's name for the world is made of its enrolment's number, so an enrolment arrives with the
//! number it had, and a terminal that has ended arrives as one that has ended. Reading shows every
//! enrolment there ever was, and also terminals that only an event database still knows, because
//! no event may lose its terminal. No secret is read here: neither the name of a password's file
//! nor the hash of a token.

use event::{DeviceId, Ident, Millis, Serial, TenantId, Text, Vendor};

use crate::feed::FeedRow;
use crate::quarantine::{self, QuarantineRow};
use crate::registry::{
    self, Access, Enrolment, EnrolmentState, RegistryError, audit_inside, queue_up,
};
use crate::transaction::{ended, placeholders};
use crate::{AnyEngine, Failure, Value};

/// An enrolment, and whether its terminal's records come in through it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// The enrolment.
    pub enrolment: Enrolment,
    /// False for one that has ended.
    pub is_active: bool,
}

/// Where an event of the feed comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Its number.
    pub seq: i64,
    /// Its enrolment.
    pub device: DeviceId,
    /// Its identity.
    pub ident: Ident,
}

/// Every enrolment that the tenant ever had, without those of the watchdog, by number.
pub async fn terminals(
    registry: &mut AnyEngine,
    tenant: &TenantId,
) -> Result<Vec<Terminal>, Failure> {
    let mut found = Vec::new();
    for (is_active, end) in [(true, "e.active = 1"), (false, "e.active IS NULL")] {
        let sql = format!(
            "{} WHERE e.tenant = ? AND e.canary = 0 AND {end} ORDER BY e.device_id",
            registry::SELECT
        );
        let values = [Value::Text(tenant.as_str())];
        for row in registry.fetch(crate::built(sql), &values).await? {
            let mut enrolment = registry::enrolment_row(&row)?;
            enrolment.access.secret_file = None;
            enrolment.access.token_hash = None;
            found.push(Terminal {
                enrolment,
                is_active,
            });
        }
    }
    Ok(found)
}

/// Terminals of the tenant as its event database knows them, as enrolments that have ended: for
/// those that the registry has lost.
pub async fn copies(
    engine: &mut AnyEngine,
    tenant: &TenantId,
    now: Millis,
) -> Result<Vec<Terminal>, Failure> {
    let sql = "SELECT device_id, vendor, serial, name, site, time_zone FROM device \
               WHERE tenant = ? AND canary = 0 ORDER BY device_id";
    let rows = engine
        .fetch(crate::fixed(sql), &[Value::Text(tenant.as_str())])
        .await?;
    let read = rows.iter().map(|row| {
        let vendor = row.text(1)?;
        let strange = || Failure::schema(format!("'{vendor}' in device is not known"));
        Ok(Terminal {
            enrolment: Enrolment {
                id: row.device_id(0)?,
                vendor: Vendor::from_word(&vendor).ok_or_else(strange)?,
                serial: Serial::new(&row.text(2)?).map_err(Failure::schema)?,
                tenant: tenant.clone(),
                state: EnrolmentState::Approved,
                name: row.opt_text(3)?.map(Text::from),
                site: row.opt_text(4)?.map(Text::from),
                time_zone: row.opt_text(5)?.map(Text::from),
                canary: false,
                accept_from: None,
                created_at: now,
                access: Access::default(),
            },
            is_active: false,
        })
    });
    read.collect()
}

/// Where those events come from, in the order of their numbers.
pub async fn origins(engine: &mut AnyEngine, rows: &[FeedRow]) -> Result<Vec<Origin>, Failure> {
    let mut found = Vec::with_capacity(rows.len());
    for some in rows.chunks(500) {
        let list = placeholders(1, some.len());
        let sql =
            format!("SELECT seq, device_id, ident FROM event WHERE seq IN {list} ORDER BY seq");
        let values: Vec<_> = some.iter().map(|row| Value::Int(row.seq)).collect();
        for row in engine.fetch(crate::built(sql), &values).await? {
            let ident = Ident::from_slice(row.bytes(2)?);
            found.push(Origin {
                seq: row.int(0)?,
                device: row.device_id(1)?,
                ident: ident.ok_or_else(|| Failure::schema("event.ident is not 16 bytes"))?,
            });
        }
    }
    Ok(found)
}

/// Enrolls a terminal under the number that it had elsewhere; false when that number is there
/// already, and then nothing changes. The caller has looked that no other enrolment of the serial
/// is active.
pub async fn adopt(
    registry: &mut AnyEngine,
    terminal: &Terminal,
    now: Millis,
    actor: &str,
) -> Result<bool, RegistryError> {
    registry.begin().await?;
    let done = adopt_inside(registry, terminal, now, actor).await;
    ended(registry, done).await
}

async fn adopt_inside(
    registry: &mut AnyEngine,
    terminal: &Terminal,
    now: Millis,
    actor: &str,
) -> Result<bool, RegistryError> {
    queue_up(registry).await?;
    let enrolment = &terminal.enrolment;
    if tenant_of(registry, enrolment.id).await?.is_some() {
        return Ok(false);
    }
    if terminal.is_active {
        registry::not_locked(registry, &enrolment.tenant).await?;
    }
    let enrolment = &Enrolment {
        access: enrolment.access.clone().checked()?,
        ..enrolment.clone()
    };
    registry::insert(registry, enrolment, terminal.is_active).await?;
    let mut detail = registry::describe(enrolment);
    detail["active"] = terminal.is_active.into();
    let (subject, detail) = (enrolment.serial.as_str(), detail.to_string());
    audit_inside(registry, now, actor, "import", subject, &detail).await?;
    Ok(true)
}

/// Whose the enrolment of that number is; `None` when there is none.
pub async fn tenant_of(registry: &mut AnyEngine, id: DeviceId) -> Result<Option<String>, Failure> {
    let sql = "SELECT tenant FROM enrolment WHERE device_id = ?";
    let rows = registry
        .fetch(crate::fixed(sql), &[Value::Bytes(&id.0)])
        .await?;
    rows.first().map(|row| row.text(0)).transpose()
}

/// Serials of this tenant's terminals that another tenant has, or once had, too.
pub async fn shared_serials(
    registry: &mut AnyEngine,
    tenant: &TenantId,
) -> Result<Vec<String>, Failure> {
    let sql = "SELECT DISTINCT o.serial FROM enrolment o JOIN enrolment e ON e.serial = o.serial \
               WHERE e.tenant = ? AND o.tenant <> ?";
    let values = [Value::Text(tenant.as_str()), Value::Text(tenant.as_str())];
    let rows = registry.fetch(crate::fixed(sql), &values).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// The next records of the tenant's quarantine after that number, settled ones too, without those
/// that retention has emptied.
pub async fn set_aside(
    engine: &mut AnyEngine,
    tenant: &TenantId,
    after: i64,
    limit: usize,
) -> Result<Vec<QuarantineRow>, Failure> {
    let values = [
        Value::Int(after),
        Value::Text(tenant.as_str()),
        Value::Int(i64::try_from(limit).unwrap_or(i64::MAX)),
    ];
    let end = "WHERE q.id > ? AND d.tenant = ? AND d.canary = 0 AND LENGTH(q.raw) > 0 \
               ORDER BY q.id LIMIT ?";
    quarantine::select(engine, end, &values).await
}

/// The record of a terminal's quarantine with these bytes.
pub async fn same_record(
    engine: &mut AnyEngine,
    device: DeviceId,
    raw: &[u8],
) -> Result<Option<QuarantineRow>, Failure> {
    let hash = blake3::hash(raw);
    let values = [
        Value::Bytes(&device.0),
        Value::Bytes(hash.as_bytes().split_at(16).0),
    ];
    let end = "WHERE q.device_id = ? AND q.raw_hash = ?";
    let found = quarantine::select(engine, end, &values).await?;
    Ok(found.into_iter().next())
}
