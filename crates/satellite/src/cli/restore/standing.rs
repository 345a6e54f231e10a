//! What must not end because a copy is older: legal holds and lockdowns.
//!
//! Both are the last word in the audit of the registry, and a copy from before that word does not
//! have it. So what stands in the database that is about to go is said again in the one that comes,
//! with its own line in the audit, and told. A hold that the copy has and that was ended since stands
//! again: whoever ended it can see that and end it once more; the other way nobody would.

use daemon::logging::Escaped;
use event::Millis;
use store::hold::{self, Hold};
use store::lockdown::{self, Lockdown};
use store::{AnyEngine, Failure};

use super::words::Says;
use crate::cli::databases::{self, Place};
use crate::cli::{Context, now, out, time};

/// What stands in a database that is about to go.
pub(super) struct Standing {
    holds: Vec<Hold>,
    lockdowns: Vec<Lockdown>,
    /// It could not be read.
    unknown: bool,
}

impl Standing {
    /// Reads it. A database that is not there has nothing that stands.
    pub(super) async fn of(place: &Place) -> Self {
        let read = async {
            let mut engine = place.target.connect().await?;
            let holds = hold::active(&mut engine).await?;
            let lockdowns = lockdown::active(&mut engine).await?;
            engine.close().await;
            Ok::<_, Failure>((holds, lockdowns))
        };
        let found = match databases::is_missing(&place.target) {
            true => None,
            false => read.await.ok(),
        };
        let unknown = found.is_none();
        let (holds, lockdowns) = found.unwrap_or_default();
        Self {
            holds,
            lockdowns,
            unknown,
        }
    }

    /// Lets it stand on in what was restored, and says so.
    pub(super) async fn go_on(
        &self,
        place: &Place,
        by: &str,
        context: &Context,
    ) -> anyhow::Result<()> {
        let is_registry = databases::registry_place(context).label == place.label;
        if self.unknown && is_registry {
            out::remark(&context.say(Says::StandingUnknown, &[&super::program()]));
        }
        if self.holds.is_empty() && self.lockdowns.is_empty() {
            return Ok(());
        }
        let (mut engine, _) = databases::open_ready(context, place).await?;
        let done = self.say_again(&mut engine, by, context).await;
        engine.close().await;
        done.map_err(|failure| databases::told(context, place, &failure))
    }

    async fn say_again(
        &self,
        engine: &mut AnyEngine,
        by: &str,
        context: &Context,
    ) -> Result<(), Failure> {
        let said = (now(), by);
        for held in &self.holds {
            let why = since(held.since, &held.actor);
            if hold::set(engine, &held.tenant, true, Some(&why), said).await? {
                tell(Says::HeldOn, held.tenant.as_str(), held.since, context);
            }
        }
        for locked in &self.lockdowns {
            let (why, tenant) = (since(locked.since, &locked.actor), locked.tenant.as_ref());
            if lockdown::set(engine, tenant, true, Some(&why), said).await? {
                tell(Says::LockedOn, locked.scope(), locked.since, context);
            }
        }
        Ok(())
    }
}

/// The reason in the audit.
fn since(at: Millis, actor: &str) -> String {
    let (at, actor) = (time::utc(at), Escaped(actor));
    format!("stood since {at} by {actor}, and the restored copy did not have it")
}

fn tell(word: Says, scope: &str, at: Millis, context: &Context) {
    let at = time::show(at, &context.zone(None, None));
    out::remark(&context.say(word, &[&scope, &at]));
}
