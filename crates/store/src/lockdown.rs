//! Lockdown: from when on nothing but taking in what approved terminals bring goes on.
//!
//! Its state is the last word in the audit, so that it cannot be changed without a line of who
//! did it, needs no table of its own, and comes back with the registry after a restart. `None`
//! in place of a tenant means every tenant, and all terminals that nobody enrolled.

use event::{Millis, TenantId};
use serde_json::json;

use crate::registry::{audit_inside, queue_up};
use crate::transaction::ended;
use crate::{AnyEngine, Failure, Row, Value};

/// The actions in the audit.
const ON: &str = "lockdown_on";
const OFF: &str = "lockdown_off";
/// The subject of a lockdown of everything; no tenant can have this name.
const EVERYTHING: &str = "*";

/// One lockdown that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lockdown {
    /// Whose terminals; `None` for everything.
    pub tenant: Option<TenantId>,
    /// Since when.
    pub since: Millis,
    /// Who began it.
    pub actor: String,
}

impl Lockdown {
    /// The word in lists and metrics: the tenant, or `*`.
    pub fn scope(&self) -> &str {
        self.tenant.as_ref().map_or(EVERYTHING, TenantId::as_str)
    }

    /// Whether it stops what concerns this tenant; without one, what concerns terminals that
    /// nobody enrolled.
    pub fn stops(&self, tenant: Option<&TenantId>) -> bool {
        self.tenant.is_none() || tenant.is_some() && self.tenant.as_ref() == tenant
    }
}

/// Every lockdown that holds, everything first.
pub async fn active(engine: &mut AnyEngine) -> Result<Vec<Lockdown>, Failure> {
    let rows = standing(engine, (ON, OFF)).await?;
    rows.iter().map(row).collect()
}

/// Of each subject whose last word in the audit, of these two, is the first one: it, since when and
/// who said so.
pub(crate) async fn standing(
    engine: &mut AnyEngine,
    (on, off): (&'static str, &'static str),
) -> Result<Vec<Row>, Failure> {
    let sql = "SELECT a.subject, CAST(a.happened_at AS CHAR), a.actor FROM audit a JOIN \
               (SELECT MAX(id) AS id FROM audit WHERE action IN (?, ?) GROUP BY subject) last \
               ON last.id = a.id WHERE a.action = ? ORDER BY a.subject";
    let values = [Value::Text(on), Value::Text(off), Value::Text(on)];
    engine.fetch(crate::fixed(sql), &values).await
}

/// Scope, since when, and who; the mirror has the same.
pub(crate) fn row(row: &Row) -> Result<Lockdown, Failure> {
    let scope = row.text(0)?;
    let tenant = match scope.as_str() {
        EVERYTHING => None,
        name => Some(TenantId::new(name).map_err(Failure::schema)?),
    };
    Ok(Lockdown {
        tenant,
        since: row.time(1)?,
        actor: row.text(2)?,
    })
}

/// Replaces the mirror's copy.
pub(crate) async fn replace(engine: &mut AnyEngine, held: &[Lockdown]) -> Result<(), Failure> {
    let emptied = crate::fixed("DELETE FROM lockdown");
    engine.execute(emptied, &[]).await?;
    for one in held {
        let sql = "INSERT INTO lockdown (scope, since, actor) VALUES (?, ?, ?)";
        let since = one.since.text();
        let values = [one.scope(), since.as_str(), one.actor.as_str()].map(Value::Text);
        engine.execute(crate::fixed(sql), &values).await?;
    }
    Ok(())
}

/// Begins or ends a lockdown; false when it was so already, and then nothing is written.
pub async fn set(
    engine: &mut AnyEngine,
    tenant: Option<&TenantId>,
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
    tenant: Option<&TenantId>,
    on: bool,
    reason: Option<&str>,
    (now, actor): (Millis, &str),
) -> Result<bool, Failure> {
    queue_up(engine).await?;
    let held = active(engine).await?;
    if held.iter().any(|one| one.tenant.as_ref() == tenant) == on {
        return Ok(false);
    }
    let subject = tenant.map_or(EVERYTHING, TenantId::as_str);
    let detail = json!({ "reason": reason }).to_string();
    let action = if on { ON } else { OFF };
    audit_inside(engine, now, actor, action, subject, &detail).await?;
    Ok(true)
}
