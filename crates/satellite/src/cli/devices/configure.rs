//! `satellite devices configure`: writes into a dialled Hikvision device where it shall post.
//!
//! Nobody dials a device beside the one that holds its lease: while a satellite does, it carries
//! this out as a job; otherwise the command takes the lease for as long as it needs. A login that
//! was refused is not tried again before its time. The device gets a new token, tells what it has
//! kept, and only then is the token's hash stored: devices say OK and keep less than they were
//! given. A device that is not the enrolled one is never written to. Every refusal names the next
//! step.

use std::path::Path;
use std::time::{Duration, Instant};

use daemon::config::{Secret, secret_file, secret_places};
use daemon::exit::Exit;
use daemon::logging::Escaped;
use event::{Millis, Serial, Text, Vendor};
use satellite::config::SECRETS_FOLDER;
use satellite::hikvision::{self, Account, CONFIGURE, LOCKOUT, Lockout, NotSet, Told, Wish};
use serde_json::json;
use store::AnyEngine;
use store::jobs::{self, JobState, NewJob};
use store::lease;
use store::registry::{self, Access, Enrolment, EnrolmentState, NewEnrolment};

use super::super::databases::{self, Place};
use super::super::words::{Speaks as _, Word};
use super::super::{Context, lockdown, now, out, time};
use super::Registry;
use super::listening::Listening;

/// How long the command may hold the lease: longer than it can take, should it be cut short.
const LEASE: Duration = Duration::from_secs(150);
/// How long a satellite that holds the lease may take.
const JOB: Duration = Duration::from_secs(120);
/// How often the job is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// What `devices configure` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its serial number
    serial: Serial,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Configures.
pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let mut registry = Registry::open(context).await?;
    let enrolment = target(&mut registry, &args.serial, context).await?;
    lockdown::refuse(context, Some(&enrolment.tenant)).await?;
    let account = account(&enrolment, context)?;
    let listening = Listening::fresh(context, Vendor::Hikvision)?;
    let Some(wish) = listening.wish() else {
        anyhow::bail!(context.say(Word::ConfigureNoHost, &[]));
    };
    let mut dial = Dial::open(&enrolment, context).await?;
    let told = match dial.lease().await? {
        Some(lease) => {
            let told = by_hand(&mut registry, &enrolment, &account, (&listening, &wish)).await;
            dial.release(lease).await;
            told?
        }
        None => by_job(&mut registry, &enrolment, &wish).await?,
    };
    let stored = told.is_kept();
    if args.json {
        out::json(&found_json(&enrolment, &told, stored))?;
    } else {
        out::print(&page(&told, stored, &enrolment, context))?;
    }
    Ok(if stored { Exit::Fine } else { Exit::Failed })
}

/// The right to dial one device.
struct Dial<'a> {
    context: &'a Context,
    place: Place,
    engine: AnyEngine,
    enrolment: &'a Enrolment,
    holder: String,
}

impl<'a> Dial<'a> {
    async fn open(enrolment: &'a Enrolment, context: &'a Context) -> anyhow::Result<Self> {
        let mut places = databases::places(context, Some(&enrolment.tenant));
        let place = places
            .pop()
            .unwrap_or_else(|| databases::registry_place(context));
        let (engine, _) = databases::open_ready(context, &place).await?;
        Ok(Self {
            context,
            place,
            engine,
            enrolment,
            holder: format!("configure {}", std::process::id()),
        })
    }

    /// Takes the lease; `None` while somebody dials the device.
    async fn lease(&mut self) -> anyhow::Result<Option<lease::Lease>> {
        let (id, holder) = (self.enrolment.id, &self.holder);
        let taken = lease::acquire(&mut self.engine, id, holder, now(), LEASE).await;
        taken.map_err(|failure| databases::told(self.context, &self.place, &failure))
    }

    async fn release(&mut self, lease: lease::Lease) {
        let (id, holder) = (self.enrolment.id, &self.holder);
        if let Err(failure) = lease::release(&mut self.engine, id, holder, lease).await {
            tracing::debug!(%failure, "the lease ends by itself");
        }
    }
}

/// Dials the device under the command's own lease.
async fn by_hand(
    registry: &mut Registry<'_>,
    enrolment: &Enrolment,
    (address, user, secret): &(Text, Text, Secret),
    (listening, wish): (&Listening, &Wish),
) -> anyhow::Result<Told> {
    let context = registry.context;
    let zone = context.zone(enrolment.time_zone.as_deref(), Some(&enrolment.tenant));
    if let Some(until) = locked_out(registry, enrolment).await {
        let file = enrolment.access.secret_file.as_deref().unwrap_or_default();
        let until = time::show(until, &zone);
        anyhow::bail!(context.say(Word::ConfigureLocked, &[&until, &Escaped(file)]));
    }
    let account = Account {
        address,
        user,
        secret,
        serial: &enrolment.serial,
        mac: enrolment.access.mac.as_deref(),
    };
    let to = wish.post_to(&listening.path);
    let told = match hikvision::configure(&account, &to).await {
        Ok(differences) => Told::of(differences),
        Err(error) => {
            if let NotSet::LoginRefused { until } = &error {
                keep_lockout(registry, enrolment, *until).await;
            }
            anyhow::bail!(told_why(&error, enrolment, context));
        }
    };
    if told.is_kept() {
        store(registry, enrolment, listening).await?;
    }
    Ok(told)
}

/// Until when the last refusal of this account stands, whoever of this machine heard it.
async fn locked_out(registry: &Registry<'_>, enrolment: &Enrolment) -> Option<Millis> {
    let stamps = registry.mirror.as_ref()?.stamps().await.ok()?;
    let mut own = stamps
        .iter()
        .filter(|(id, name, _)| *id == enrolment.id && name == LOCKOUT);
    let lockout = Lockout::parse(&own.next()?.2)?;
    lockout.stands(&enrolment.access, now())
}

async fn keep_lockout(registry: &Registry<'_>, enrolment: &Enrolment, until: Millis) {
    let text = Lockout::new(until, &enrolment.access).text();
    let stamp = (enrolment.id, Text::const_new(LOCKOUT), text);
    if let Some(mirror) = &registry.mirror
        && let Err(failure) = mirror.save_stamps(&[stamp]).await
    {
        tracing::debug!(%failure, "the next command does not know of this refusal");
    }
}

/// Has the satellite that dials the device do it.
async fn by_job(
    registry: &mut Registry<'_>,
    enrolment: &Enrolment,
    wish: &Wish,
) -> anyhow::Result<Told> {
    let context = registry.context;
    let id = registry.enqueue_configure(enrolment, wish).await?;
    let began = Instant::now();
    while began.elapsed() < JOB + LOOK * 4 {
        tokio::time::sleep(LOOK).await;
        let Some(job) = registry.job(id).await? else {
            break;
        };
        let result = job.result.as_deref().unwrap_or_default();
        match job.state {
            JobState::Waiting | JobState::Running => {}
            JobState::Done => return Ok(serde_json::from_str(result)?),
            JobState::Failed => {
                anyhow::bail!(told_why(&NotSet::from_words(result), enrolment, context))
            }
            JobState::Expired => break,
        }
    }
    let (program, serial) = (super::super::program(), &enrolment.serial);
    anyhow::bail!(context.say(Word::ConfigureNobody, &[serial, &program, serial]))
}

impl Registry<'_> {
    async fn enqueue_configure(&mut self, one: &Enrolment, wish: &Wish) -> anyhow::Result<i64> {
        let request = json!(wish).to_string();
        let wait = i64::try_from(JOB.as_millis()).unwrap_or(i64::MAX);
        let job = NewJob {
            device: one.id,
            kind: CONFIGURE,
            request: &request,
            expires_at: Millis(now().0.saturating_add(wait)),
        };
        let queued = async {
            let id = jobs::enqueue(&mut self.engine, &job, now()).await?;
            let (serial, detail) = (one.serial.as_str(), json!({ "job": id }).to_string());
            let (engine, actor) = (&mut self.engine, &self.actor);
            registry::audit(engine, now(), actor, CONFIGURE, serial, &detail).await?;
            Ok(id)
        };
        let queued = queued.await;
        queued.map_err(|failure| databases::told(self.context, &self.place, &failure))
    }

    async fn job(&mut self, id: i64) -> anyhow::Result<Option<jobs::Job>> {
        let found = jobs::get(&mut self.engine, id).await;
        found.map_err(|failure| databases::told(self.context, &self.place, &failure))
    }
}

/// The device, if it is one that can be configured.
async fn target(
    registry: &mut Registry<'_>,
    serial: &Serial,
    context: &Context,
) -> anyhow::Result<Enrolment> {
    let program = super::super::program();
    let Some(known) = registry.find_of(Some(Vendor::Hikvision), serial).await? else {
        let word = match registry.find(serial).await? {
            Some(_) => Word::ConfigureElsewhere,
            None => Word::UnknownSerial,
        };
        anyhow::bail!(context.say(word, &[serial, &program]));
    };
    if known.state == EnrolmentState::Blocked {
        anyhow::bail!(context.say(Word::AdviseBlocked, &[&program, serial]));
    }
    Ok(known)
}

/// Where it is dialled, and as whom.
fn account(enrolment: &Enrolment, context: &Context) -> anyhow::Result<(Text, Text, Secret)> {
    let access = &enrolment.access;
    let (Some(address), Some(user), Some(file)) =
        (&access.address, &access.user, &access.secret_file)
    else {
        let program = super::super::program();
        let serial = &enrolment.serial;
        anyhow::bail!(context.say(
            Word::ConfigureNoAddress,
            &[serial, &program, &enrolment.tenant, serial]
        ));
    };
    let secret = secret_file(file, &secret_places(Path::new(SECRETS_FOLDER))).map_err(|error| {
        anyhow::anyhow!(context.say(Word::SecretTrouble, &[&context.config_error(&error)]))
    })?;
    Ok((address.clone(), user.clone(), secret))
}

async fn store(
    registry: &mut Registry<'_>,
    enrolment: &Enrolment,
    listening: &Listening,
) -> anyhow::Result<()> {
    let new = NewEnrolment {
        access: Access {
            token_hash: Some(listening.hash()),
            ..Access::default()
        },
        ..NewEnrolment::of(
            enrolment.vendor,
            enrolment.serial.clone(),
            enrolment.tenant.clone(),
        )
    };
    registry.enrol(new).await.map(drop)
}

/// Why it was not written to, with the next step.
fn told_why(error: &NotSet, enrolment: &Enrolment, context: &Context) -> String {
    let serial = &enrolment.serial;
    let program = super::super::program();
    let zone = context.zone(enrolment.time_zone.as_deref(), Some(&enrolment.tenant));
    let address = enrolment.access.address.as_deref().unwrap_or_default();
    match error {
        NotSet::User(error) => {
            context.say(Word::BadUser, &[&context.lang.detail(&error.to_string())])
        }
        NotSet::Unreachable(detail) => context.say(
            Word::ConfigureUnreachable,
            &[&Escaped(address), &Escaped(&context.lang.detail(detail))],
        ),
        NotSet::LoginRefused { until } => {
            context.say(Word::ConfigureLogin, &[&time::show(*until, &zone)])
        }
        NotSet::WrongDevice(named) => context.say(
            Word::ConfigureWrong,
            &[&Escaped(address), &Escaped(named), serial],
        ),
        NotSet::Setting(error) => {
            let error = context.lang.detail(&error.to_string());
            context.say(Word::ConfigureBadHost, &[&error])
        }
        NotSet::Refused(detail) => context.say(
            Word::ConfigureRefused,
            &[
                &Escaped(&context.lang.detail(detail)),
                &program,
                &enrolment.tenant,
                serial,
            ],
        ),
    }
}

fn page(told: &Told, stored: bool, enrolment: &Enrolment, context: &Context) -> String {
    let serial = &enrolment.serial;
    let mut lines = Vec::new();
    for difference in &told.differences {
        let wanted = context.lang.term(&difference.wanted);
        let found = context.lang.term(&difference.found);
        lines.push(context.say(
            Word::HasOtherwise,
            &[&difference.key, &Escaped(&wanted), &Escaped(&found)],
        ));
    }
    if stored {
        lines.push(context.say(Word::ConfigureDone, &[serial]));
    } else {
        let program = super::super::program();
        lines.push(context.say(Word::ConfigureNot, &[&program, &enrolment.tenant, serial]));
    }
    if stored
        && told
            .differences
            .iter()
            .any(|difference| difference.key == "url")
    {
        lines.push(context.say(Word::ConfigureNoPath, &[]));
    }
    if stored {
        lines.push(context.say(Word::Noticed, &[]));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn found_json(enrolment: &Enrolment, told: &Told, stored: bool) -> serde_json::Value {
    let listed = told.differences.iter().map(|difference| {
        json!({ "key": difference.key, "wanted": difference.wanted, "found": difference.found })
    });
    let keeps_path = told
        .differences
        .iter()
        .all(|difference| difference.key != "url");
    json!({
        "serial": enrolment.serial.as_str(),
        "stored": stored,
        "keeps_path": keeps_path,
        "differences": listed.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{DeviceId, TenantId};
    use satellite::hikvision::Otherwise;

    #[test]
    fn every_refusal_names_the_next_step_and_a_lost_path_is_said_loudly() {
        let context = Context::for_tests();
        let enrolment = Enrolment {
            id: DeviceId([1; 16]),
            vendor: Vendor::Hikvision,
            serial: Serial::new("HIK0000001").unwrap(),
            tenant: TenantId::new("main").unwrap(),
            state: EnrolmentState::Approved,
            name: None,
            site: None,
            time_zone: None,
            canary: false,
            accept_from: None,
            created_at: Millis(0),
            access: Access::default(),
        };
        let refused = NotSet::Refused("403 Forbidden".to_owned());
        assert!(told_why(&refused, &enrolment, &context).contains("--listen"));
        let locked = NotSet::LoginRefused { until: Millis(0) };
        assert!(told_why(&locked, &enrolment, &context).contains("until"));
        let url = Otherwise {
            key: "url".to_owned(),
            wanted: "the path with the token".to_owned(),
            found: "nothing: the device does not keep it".to_owned(),
        };
        let told = Told {
            differences: vec![url],
        };
        let text = page(&told, true, &enrolment, &context);
        assert!(text.contains("does not keep the path"), "{text}");
        let text = page(&told, false, &enrolment, &context);
        assert!(text.contains("Nothing was changed here"), "{text}");
        assert!(
            account(&enrolment, &context)
                .unwrap_err()
                .to_string()
                .contains("--address")
        );
    }
}
