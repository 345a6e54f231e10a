//! What must not end because a copy is older: legal holds and lockdowns.
//!
//! Both are the last word in the audit of the registry, and a copy from before that word does not
//! have it. So what stands in the database that is about to go is said again in the one that comes,
//! with its own line in the audit, and told. A hold that the copy has and that was ended since stands
//! again: whoever ended it can see that and end it once more; the other way nobody would. Until all of
//! it is said again it is noted in the state folder, because a restore may be cut off in between.

use backup::Kept;
use daemon::logging::Escaped;
use event::{Millis, TenantId};
use serde::{Deserialize, Serialize};
use store::hold::{self, Hold};
use store::lockdown::{self, Lockdown};
use store::{AnyEngine, Failure};

use super::told;
use super::words::Says;
use crate::cli::databases::{self, Place};
use crate::cli::{Context, now, out, time};

/// One hold or lockdown.
#[derive(Serialize, Deserialize)]
struct Stood {
    /// Whose; a lockdown of everything has none.
    tenant: Option<TenantId>,
    /// Milliseconds since 1970 UTC.
    since: i64,
    actor: String,
}

/// What stands in a database that is about to go.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Standing {
    holds: Vec<Stood>,
    lockdowns: Vec<Stood>,
    /// It could not be read.
    #[serde(skip)]
    unknown: bool,
}

impl Kept for Standing {
    const NAME: &'static str = "restore-standing.json";
}

impl From<Hold> for Stood {
    fn from(held: Hold) -> Self {
        Self {
            tenant: Some(held.tenant),
            since: held.since.0,
            actor: held.actor,
        }
    }
}

impl From<Lockdown> for Stood {
    fn from(locked: Lockdown) -> Self {
        Self {
            tenant: locked.tenant,
            since: locked.since.0,
            actor: locked.actor,
        }
    }
}

impl Standing {
    /// Reads it, with what an earlier restore noted and did not say again; and notes it.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub(super) async fn of(place: &Place, context: &Context) -> anyhow::Result<Self> {
        let mut standing = Self::read_from(place).await;
        if !is_registry(place, context) {
            return Ok(standing);
        }
        let state_dir = &context.config.state_dir;
        let noted = Self::read(state_dir).unwrap_or_default();
        join(&mut standing.holds, noted.holds);
        join(&mut standing.lockdowns, noted.lockdowns);
        if standing.is_any() {
            standing.keep(state_dir).map_err(|it| told(context, &it))?;
        }
        Ok(standing)
    }

    async fn read_from(place: &Place) -> Self {
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
            holds: holds.into_iter().map(Stood::from).collect(),
            lockdowns: lockdowns.into_iter().map(Stood::from).collect(),
            unknown,
        }
    }

    fn is_any(&self) -> bool {
        !(self.holds.is_empty() && self.lockdowns.is_empty())
    }

    /// Lets it stand on in what was restored, and says so.
    pub(super) async fn go_on(
        &self,
        place: &Place,
        by: &str,
        context: &Context,
    ) -> anyhow::Result<()> {
        let is_registry = is_registry(place, context);
        if self.unknown && is_registry {
            out::remark(&context.say(Says::StandingUnknown, &[&super::program()]));
        }
        if self.is_any() {
            let (mut engine, _) = databases::open_ready(context, place).await?;
            let done = self.say_again(&mut engine, by, context).await;
            engine.close().await;
            done.map_err(|failure| databases::told(context, place, &failure))?;
        }
        if is_registry {
            Self::forget(&context.config.state_dir);
        }
        Ok(())
    }

    async fn say_again(
        &self,
        engine: &mut AnyEngine,
        by: &str,
        context: &Context,
    ) -> Result<(), Failure> {
        let said = (now(), by);
        for held in &self.holds {
            let Some(tenant) = &held.tenant else { continue };
            let why = held.reason();
            if hold::set(engine, tenant, true, Some(&why), said).await? {
                held.tell(Says::HeldOn, context);
            }
        }
        for locked in &self.lockdowns {
            let (why, tenant) = (locked.reason(), locked.tenant.as_ref());
            if lockdown::set(engine, tenant, true, Some(&why), said).await? {
                locked.tell(Says::LockedOn, context);
            }
        }
        Ok(())
    }
}

impl Stood {
    /// What the audit says.
    fn reason(&self) -> String {
        let (at, actor) = (time::utc(Millis(self.since)), Escaped(&self.actor));
        format!("stood since {at} by {actor}, and the restored copy did not have it")
    }

    fn tell(&self, word: Says, context: &Context) {
        let scope = self.tenant.as_ref().map_or("*", TenantId::as_str);
        let at = time::show(Millis(self.since), &context.zone(None, None));
        out::remark(&context.say(word, &[&scope, &at]));
    }
}

/// Adds what was noted of others.
fn join(found: &mut Vec<Stood>, noted: Vec<Stood>) {
    for one in noted {
        if found.iter().all(|it| it.tenant != one.tenant) {
            found.push(one);
        }
    }
}

fn is_registry(place: &Place, context: &Context) -> bool {
    databases::registry_place(context).label == place.label
}
