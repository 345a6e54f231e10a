//! How the rows of a tenant go out of one database: for a deletion, and again after an older copy was
//! put back.

use std::collections::HashSet;
use std::time::Instant;

use event::TenantId;
use serde_json::Value;
use store::departure::{self, Departed, Removal};
use store::registry::{self, AuditRow};
use store::{AnyEngine, Failure};

use super::super::databases::{self, Place};
use super::super::{Context, hold};
use super::whose::Whose;

/// Lines of the audit read at once.
const LINES: u32 = 500;
/// What the audit calls a deletion that was proven, and one that was done again after a restore.
pub(super) const DELETED: &str = "tenant_deleted";
pub(super) const DELETED_AGAIN: &str = "tenant_deleted_again";
/// Actions whose lines stay as they are: who took data out, archived it or deleted it, and the hashes.
const KEPT: [&str; 5] = [
    "tenant_export",
    "tenant_delete",
    DELETED,
    DELETED_AGAIN,
    "retention",
];

/// Looks before each step whether it may be done.
pub(super) enum Guard<'a> {
    /// Not while the tenant is held, by this registry.
    Hold(&'a mut AnyEngine),
    /// It was done before.
    Done,
}

/// Deletes every row of it in one database, and answers how many there were.
pub(super) async fn rows(
    departed: &Departed,
    place: &Place,
    guard: &mut Guard<'_>,
    context: &Context,
) -> anyhow::Result<u64> {
    let failed = |failure: Failure| databases::told(context, place, &failure);
    let mut engine = databases::open(context, place).await?;
    let (mut removal, mut all) = (Removal::default(), 0);
    loop {
        if let Guard::Hold(registry) = guard {
            hold::refuse(registry, context, &departed.tenant).await?;
        }
        let begun = Instant::now();
        let gone = removal.step(&mut engine, departed).await;
        let Some(gone) = gone.map_err(failed)? else {
            break;
        };
        all += gone;
        // Half of the time is for others.
        tokio::time::sleep(begun.elapsed()).await;
    }
    engine.close().await;
    Ok(all)
}

/// Takes from the audit what it says of the tenant.
pub(super) async fn lines(
    departed: &Departed,
    serials: &[String],
    place: &Place,
    context: &Context,
) -> anyhow::Result<()> {
    let failed = |failure: Failure| databases::told(context, place, &failure);
    let of = Whose {
        tenant: &departed.tenant,
        ids: departed.devices.iter().map(ToString::to_string).collect(),
        serials: serials.iter().cloned().collect(),
    };
    let mut engine = databases::open(context, place).await?;
    let mut after = 0;
    loop {
        let page = registry::audit_after(&mut engine, after, LINES).await;
        let page = page.map_err(failed)?;
        let Some(last) = page.last() else {
            break;
        };
        after = last.id;
        let is_its = |row: &&AuditRow| {
            row.happened_at <= departed.before && !KEPT.contains(&row.action.as_str())
        };
        let emptied: Vec<(i64, String, String)> = page
            .iter()
            .filter(is_its)
            .filter_map(|row| {
                of.rest(row)
                    .map(|(subject, detail)| (row.id, subject, detail))
            })
            .collect();
        let done = departure::empty_lines(&mut engine, &emptied).await;
        done.map_err(failed)?;
    }
    engine.close().await;
    Ok(())
}

/// Writes the file of a database anew; false for one on a server.
pub(super) async fn bytes(place: &Place, context: &Context) -> anyhow::Result<bool> {
    let mut engine = databases::open(context, place).await?;
    let done = departure::rewrite(&mut engine).await;
    engine.close().await;
    done.map_err(|failure| databases::told(context, place, &failure))
}

/// What the audit's lines of one of these actions say.
async fn said(actions: &[&str], registry: &mut AnyEngine) -> Result<Vec<(String, Value)>, Failure> {
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let page = registry::audit_after(registry, after, LINES).await?;
        let Some(last) = page.last() else {
            return Ok(found);
        };
        after = last.id;
        let wanted = page
            .into_iter()
            .filter(|row| actions.contains(&row.action.as_str()));
        found.extend(wanted.map(|row| {
            let detail = serde_json::from_str(&row.detail).unwrap_or_default();
            (row.subject, detail)
        }));
    }
}

/// The files of the audit's lines of that action about the tenant, with the hash that each had.
pub(super) async fn files(
    tenant: &TenantId,
    action: &str,
    registry: &mut AnyEngine,
) -> Result<Vec<(String, String)>, Failure> {
    let said = said(&[action], registry).await?;
    let ours = said
        .into_iter()
        .filter(|(subject, _)| subject == tenant.as_str());
    let file = |(_, detail): (String, Value)| {
        let text = |key: &str| detail[key].as_str().map(str::to_owned);
        Some((text("file")?, text("sha256")?))
    };
    Ok(ours.filter_map(file).collect())
}

/// The hashes of proofs that stand in the audit.
pub(super) async fn proven(registry: &mut AnyEngine) -> Result<HashSet<String>, Failure> {
    let said = said(&[DELETED, DELETED_AGAIN], registry).await?;
    let hash = |(_, detail): (String, Value)| detail["sha256"].as_str().map(str::to_owned);
    Ok(said.into_iter().filter_map(hash).collect())
}
