//! Legal hold: while a tenant is held, nothing of what is stored for it is archived or emptied.
//!
//! For the time of a lawsuit, an inspection or an audit. Its state is the last word in the audit of
//! the registry, as a lockdown's is: it cannot be changed without a line of who did it and why.
//! Whoever takes records away asks here before each transaction that does. Canary events are nobody's
//! records and are not held.

use event::{Millis, TenantId};
use serde_json::json;

use crate::lockdown::standing;
use crate::registry::{audit_inside, queue_up};
use crate::transaction::ended;
use crate::{AnyEngine, Failure};

/// The actions in the audit.
const ON: &str = "hold_on";
const OFF: &str = "hold_off";

/// A tenant that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Whose records.
    pub tenant: TenantId,
    /// Since when.
    pub since: Millis,
    /// Who began it.
    pub actor: String,
}

/// Every tenant that is held, by name.
pub async fn active(engine: &mut AnyEngine) -> Result<Vec<Hold>, Failure> {
    let rows = standing(engine, (ON, OFF)).await?;
    let hold = |row: &crate::Row| {
        Ok(Hold {
            tenant: TenantId::new(&row.text(0)?).map_err(Failure::schema)?,
            since: row.time(1)?,
            actor: row.text(2)?,
        })
    };
    rows.iter().map(hold).collect()
}

/// The hold of this tenant, if it is held.
pub async fn of(engine: &mut AnyEngine, tenant: &TenantId) -> Result<Option<Hold>, Failure> {
    let held = active(engine).await?;
    Ok(held.into_iter().find(|hold| hold.tenant == *tenant))
}

/// Begins or ends the hold of a tenant; false when it was so already, and then nothing is written.
pub async fn set(
    engine: &mut AnyEngine,
    tenant: &TenantId,
    on: bool,
    reason: Option<&str>,
    (now, actor): (Millis, &str),
) -> Result<bool, Failure> {
    engine.begin().await?;
    let done = set_inside(engine, tenant, on, reason, (now, actor)).await;
    ended(engine, done).await
}

async fn set_inside(
    engine: &mut AnyEngine,
    tenant: &TenantId,
    on: bool,
    reason: Option<&str>,
    (now, actor): (Millis, &str),
) -> Result<bool, Failure> {
    queue_up(engine).await?;
    if of(engine, tenant).await?.is_some() == on {
        return Ok(false);
    }
    let detail = json!({ "reason": reason }).to_string();
    let action = if on { ON } else { OFF };
    audit_inside(engine, now, actor, action, tenant.as_str(), &detail).await?;
    Ok(true)
}
