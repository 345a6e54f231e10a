//! Who may dial a terminal: a lease in the database, with a fencing number.
//!
//! A terminal accepts one conversation at a time, and two satellites may share a database. The
//! number grows with every new holder, and a transaction that stores what was read checks it,
//! so that a holder that slept past its lease stores nothing. A lease is taken only when it is
//! free or expired, never from a living holder.

use std::time::Duration;

use event::{DeviceId, Millis};

use crate::transaction::ended;
use crate::{AnyEngine, Failure, Value};

/// A lease that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Grows with every new holder of the same terminal; goes into
    /// [`Fence`](crate::Fence) of what is stored under the lease.
    pub fence: i64,
    /// When it ends unless it is renewed.
    pub expires_at: Millis,
}

fn after(now: Millis, ttl: Duration) -> Millis {
    Millis(
        now.0
            .saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)),
    )
}

/// Takes the lease for `ttl`; `None` when somebody holds it, be it the same holder.
pub async fn acquire(
    engine: &mut AnyEngine,
    device: DeviceId,
    holder: &str,
    now: Millis,
    ttl: Duration,
) -> Result<Option<Lease>, Failure> {
    engine.begin().await?;
    let done = take(engine, device, holder, now, after(now, ttl)).await;
    ended(engine, done).await
}

async fn take(
    engine: &mut AnyEngine,
    device: DeviceId,
    holder: &str,
    now: Millis,
    expires_at: Millis,
) -> Result<Option<Lease>, Failure> {
    // A row that nobody holds, if there is none yet; in either case the row is locked now.
    let sql = format!(
        "INSERT INTO lease (device_id, holder, fence, expires_at) VALUES (?, '', 0, ?) {}",
        engine.dialect().keep_existing("device_id")
    );
    let never = Millis(0).text();
    engine
        .execute(
            crate::built(sql),
            &[Value::Bytes(&device.0), Value::Text(&never)],
        )
        .await?;

    let sql = "UPDATE lease SET holder = ?, fence = fence + 1, expires_at = ? \
               WHERE device_id = ? AND expires_at <= ?";
    let (expires, now) = (expires_at.text(), now.text());
    let values = [
        Value::Text(holder),
        Value::Text(&expires),
        Value::Bytes(&device.0),
        Value::Text(&now),
    ];
    if engine.execute(crate::fixed(sql), &values).await? == 0 {
        return Ok(None);
    }
    let sql = crate::fixed("SELECT fence FROM lease WHERE device_id = ?");
    let rows = engine.fetch(sql, &[Value::Bytes(&device.0)]).await?;
    let fence = rows.first().map(|row| row.int(0)).transpose()?;
    Ok(fence.map(|fence| Lease { fence, expires_at }))
}

/// Prolongs a lease to `ttl` from now. `None` when it is not ours any more: it was released,
/// or it expired and somebody else took it.
pub async fn renew(
    engine: &mut AnyEngine,
    device: DeviceId,
    holder: &str,
    lease: Lease,
    now: Millis,
    ttl: Duration,
) -> Result<Option<Lease>, Failure> {
    let lease = Lease {
        expires_at: after(now, ttl),
        ..lease
    };
    let ours = prolong(engine, device, holder, lease).await?;
    Ok(ours.then_some(lease))
}

/// Writes the end of a lease. False when it is not ours.
async fn prolong(
    engine: &mut AnyEngine,
    device: DeviceId,
    holder: &str,
    lease: Lease,
) -> Result<bool, Failure> {
    let sql = "UPDATE lease SET expires_at = ? WHERE device_id = ? AND fence = ? AND holder = ?";
    let expires = lease.expires_at.text();
    let values = [
        Value::Text(&expires),
        Value::Bytes(&device.0),
        Value::Int(lease.fence),
        Value::Text(holder),
    ];
    Ok(engine.execute(crate::fixed(sql), &values).await? == 1)
}

/// Gives the lease back. Answers false when it was not ours any more.
pub async fn release(
    engine: &mut AnyEngine,
    device: DeviceId,
    holder: &str,
    lease: Lease,
) -> Result<bool, Failure> {
    let sql = "UPDATE lease SET holder = '', expires_at = ? \
               WHERE device_id = ? AND fence = ? AND holder = ?";
    let never = Millis(0).text();
    let values = [
        Value::Text(&never),
        Value::Bytes(&device.0),
        Value::Int(lease.fence),
        Value::Text(holder),
    ];
    Ok(engine.execute(crate::fixed(sql), &values).await? == 1)
}

/// Renews or takes the leases of many terminals at once, for one holder that means the same
/// process each time. A terminal that is `held` under its fence is renewed; any other is taken
/// with a new fence when it is free, expired, or left over from an earlier life of this holder.
/// Answers those that are held now.
pub async fn keep(
    engine: &mut AnyEngine,
    holder: &str,
    wanted: &[(DeviceId, Option<i64>)],
    now: Millis,
    ttl: Duration,
) -> Result<Vec<(DeviceId, i64)>, Failure> {
    engine.begin().await?;
    let done = keep_inside(engine, holder, wanted, now, after(now, ttl)).await;
    ended(engine, done).await
}

async fn keep_inside(
    engine: &mut AnyEngine,
    holder: &str,
    wanted: &[(DeviceId, Option<i64>)],
    now: Millis,
    expires_at: Millis,
) -> Result<Vec<(DeviceId, i64)>, Failure> {
    let mut kept = Vec::with_capacity(wanted.len());
    for &(device, fence) in wanted {
        if let Some(fence) = fence {
            let lease = Lease { fence, expires_at };
            // One that is lost is not fought for: another life of this holder may have it.
            if prolong(engine, device, holder, lease).await? {
                kept.push((device, fence));
            }
            continue;
        }
        // What an earlier life of this holder left behind is nobody's any more.
        let left = "UPDATE lease SET expires_at = ? WHERE device_id = ? AND holder = ?";
        let never = Millis(0).text();
        let values = [
            Value::Text(&never),
            Value::Bytes(&device.0),
            Value::Text(holder),
        ];
        engine.execute(crate::fixed(left), &values).await?;
        let taken = take(engine, device, holder, now, expires_at).await?;
        kept.extend(taken.map(|lease| (device, lease.fence)));
    }
    Ok(kept)
}

/// Gives many leases back; those that were not ours any more are left alone.
pub async fn release_all(
    engine: &mut AnyEngine,
    holder: &str,
    held: &[(DeviceId, i64)],
) -> Result<(), Failure> {
    for &(device, fence) in held {
        let lease = Lease {
            fence,
            expires_at: Millis(0),
        };
        release(engine, device, holder, lease).await?;
    }
    Ok(())
}
