//! A tenant that was deleted does not come back with an older copy.

use std::io;
use std::path::Path;

use backup::Kept as _;
use jiff::Timestamp;
use serde_json::json;
use store::{Failure, departure, registry};

use super::super::databases::{self, Place};
use super::super::{Context, now, out};
use super::proof::{Begun, Chain, Deletion};
use super::purge::{self, DELETED_AGAIN, Guard};
use super::words::Says;

/// Every deletion that a database as it was at this moment does not know of, with the hash of its proof
/// where there is one. What came in afterwards under the same numbers was imported again and stays.
fn since(state_dir: &Path, moment: Timestamp) -> io::Result<Vec<(Deletion, Option<String>)>> {
    let proofs = Chain::read(state_dir)?.proofs.into_iter();
    let mut all: Vec<(Deletion, Option<String>)> = proofs
        .filter(|(proof, _)| proof.finished_at > moment)
        .map(|(proof, hash)| (proof.deletion, Some(hash)))
        .collect();
    all.extend(Begun::read(state_dir).map(|begun| (begun.deletion, None)));
    Ok(all)
}

/// Deletes again, in a database that was just put back as it was at this moment, whoever was deleted
/// since; says so, and puts it into the audit, which also gets the hashes that it is too old to have.
///
/// # Errors
/// It could not be done, and then satellite must not serve from this database.
pub(in crate::cli) async fn delete_again(
    place: &Place,
    moment: Timestamp,
    by: &str,
    context: &Context,
) -> anyhow::Result<()> {
    let registry_place = databases::registry_place(context);
    let is_registry = registry_place.label == place.label;
    let failed = |failure: Failure| databases::told(context, place, &failure);
    let mut any = false;
    for (deletion, hash) in since(&context.config.state_dir, moment)? {
        let departed = deletion.departed();
        let mut engine = databases::open(context, place).await?;
        let serials = departure::own_serials(&mut engine, &departed.devices).await;
        let serials = serials.map_err(failed)?;
        let gone = purge::rows(&departed, place, &mut Guard::Done, context).await?;
        let mut is_new = gone > 0;
        if is_registry {
            purge::lines(&departed, &serials, place, context).await?;
            let known = purge::proven(&mut engine).await.map_err(failed)?;
            is_new = is_new || hash.as_ref().is_some_and(|hash| !known.contains(hash));
        }
        engine.close().await;
        let tenant = &deletion.tenant;
        if gone > 0 {
            any = true;
            let day = deletion.begun_at.strftime("%F").to_string();
            out::remark(&context.say(Says::GoneAgain, &[&place.label, tenant, &day, &gone]));
        }
        if is_new {
            let detail = json!({ "store": place.label, "rows": gone, "sha256": hash }).to_string();
            let (mut engine, _) = databases::open_ready(context, &registry_place).await?;
            let (action, subject) = (DELETED_AGAIN, tenant.as_str());
            registry::audit(&mut engine, now(), by, action, subject, &detail)
                .await
                .map_err(|failure| databases::told(context, &registry_place, &failure))?;
        }
    }
    if any {
        purge::bytes(place, context).await?;
    }
    Ok(())
}
