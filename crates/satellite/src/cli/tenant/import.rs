//! `satellite tenant import`: takes in what another installation wrote.
//!
//! All of the file is verified before anything is written. Terminals come in under the number that
//! they had, so that every event has the name it had; where the terminal is enrolled here already,
//! its events go to that enrolment, and a record that it sent here is the same row. Events go the one
//! way into the store, where a record that is there is known again: so a command that was cut off
//! is simply given again. Cursors come last, when everything that they claim is in, and only where
//! there is none yet. The audit of the other installation stays in the file.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daemon::exit::Exit;
use daemon::logging::Escaped;
use event::{Device, DeviceId, Event, Quarantined, SharedDevice, TenantId, Text, Zone};
use satellite::bundle::line::{CursorLine, EventLine, QuarantineLine};
use satellite::bundle::read::{self, Bundle, Flaw, Piece, Verified};
use satellite::bundle::{Manifest, Part};
use satellite::evidence::hash_file;
use serde_json::{Value, json};
use store::moving::{self, Terminal};
use store::registry::{self, Enrolment, RegistryError};
use store::{AnyEngine, Receipt, Refused, Submission, Writer, quarantine};
use tokio::task::JoinSet;

use super::super::databases::{self, Place};
use super::super::progress::{Progress, share};
use super::super::words::{Speaks as _, Word};
use super::super::{Context, actor, lockdown, now, out, program};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite tenant import acme.tar.gz --dry-run
  satellite tenant import acme.tar.gz
  satellite tenant import acme.tar.gz --as acme-norte
The tenant has to be in the configuration. A command that was cut off is given again.";

/// How often a submission is tried that the store did not take for now.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// What `tenant import` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file that `tenant export` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// For the tenant of this name here [default: the name it had]
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Verify it, say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Verifies, tells, and takes in.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let flaw = |flaw: Flaw| told(args, context, &flaw);
    let mut progress = Progress::new();
    let verified = read::verify(&args.file, &mut |events| {
        progress.show(None, || context.say(Word::BundleProgress, &[&events]));
    })
    .map_err(flaw)?;
    drop(progress);
    let tenant = tenant(args, &verified, context)?;
    let place = databases::registry_place(context);
    let mut registry = match args.dry_run {
        true => databases::open(context, &place).await?,
        false => databases::open_ready(context, &place).await?.0,
    };
    let plan = Plan::of(&verified, &tenant, &mut registry, context).await?;
    if !args.json {
        plan.tell(&verified, context)?;
    } else if args.dry_run {
        out::json(&plan.as_json(&verified, &tenant, None))?;
        return Ok(Exit::Fine);
    }
    if args.dry_run {
        out::line(&context.say(Word::BundleNothingDone, &[]))?;
        return Ok(Exit::Fine);
    }
    plan.enrol(&mut registry, context).await?;
    let mut taking = Taking::start(context, &tenant, &plan).await?;
    let taken = taking.everything(args, &verified.manifest).await;
    taking.writer.close().await;
    taken?;
    let counts = taking.counts;
    note(args, &verified, &counts, (&tenant, &mut registry), context).await?;
    if args.json {
        out::json(&plan.as_json(&verified, &tenant, Some(&counts)))?;
        return Ok(Exit::Fine);
    }
    let counted: [&dyn std::fmt::Display; 4] =
        [&tenant, &counts.new, &counts.duplicate, &counts.quarantined];
    out::line(&context.say(Word::BundleImported, &counted))?;
    out::remark(&context.say(Word::BundleSecrets, &[]));
    Ok(Exit::Fine)
}

/// What is wrong with the file, and what to do.
fn told(args: &Args, context: &Context, flaw: &Flaw) -> anyhow::Error {
    let file = args.file.display();
    anyhow::anyhow!(match flaw {
        Flaw::Unreadable(error) => {
            let why = context.lang.detail(&error.to_string());
            context.say(Word::CannotReadFile, &[&file, &why])
        }
        Flaw::Foreign => context.say(Word::BundleForeign, &[&file]),
        Flaw::Newer(form) => context.say(Word::BundleNewer, &[&file, form]),
        Flaw::Damaged(why) => {
            let why = context.lang.detail(why);
            context.say(Word::BundleDamaged, &[&file, &why])
        }
    })
}

/// For whom it is here.
fn tenant(args: &Args, verified: &Verified, context: &Context) -> anyhow::Result<TenantId> {
    let name = args.name.as_deref().unwrap_or(verified.tenant.as_str());
    let tenants = &context.config.tenants;
    let known = tenants.iter().find(|known| known.id.as_str() == name);
    known.map(|known| known.id.clone()).ok_or_else(|| {
        let names: Vec<&str> = tenants.iter().map(|known| known.id.as_str()).collect();
        let (name, zone) = (Escaped(name), &verified.manifest.time_zone);
        let said: [&dyn std::fmt::Display; 4] = [&name, &name, zone, &names.join(", ")];
        anyhow::anyhow!(context.say(Word::BundleNoTenant, &said))
    })
}

/// What becomes of a terminal of the file.
enum Fate {
    /// It is enrolled under the number that it had.
    New,
    /// It is here under that number.
    Here,
    /// It is here under another number, which gets its events.
    Other,
}

/// What is done, before it is done.
struct Plan {
    /// By the number in the file: what becomes of it, and the enrolment that gets its events.
    terminals: Vec<(DeviceId, Fate, Terminal)>,
}

impl Plan {
    /// Looks what is here. Writes nothing.
    async fn of(
        verified: &Verified,
        tenant: &TenantId,
        registry: &mut AnyEngine,
        context: &Context,
    ) -> anyhow::Result<Self> {
        let place = databases::registry_place(context);
        let failed = |failure| databases::told(context, &place, &failure);
        let (here, there) = (
            context.zone(None, Some(tenant)),
            &verified.manifest.time_zone,
        );
        let mut terminals = Vec::with_capacity(verified.terminals.len());
        for terminal in &verified.terminals {
            let mut terminal = terminal.clone();
            let id = terminal.enrolment.id;
            let one = &mut terminal.enrolment;
            one.tenant = tenant.clone();
            if one.time_zone.is_none() && here.name() != there {
                // Its clock does not change with whose it is.
                one.time_zone = Some(Text::from(there.as_str()));
            }
            let of = moving::tenant_of(registry, id).await.map_err(failed)?;
            if let Some(of) = of.as_deref().filter(|of| *of != tenant.as_str()) {
                anyhow::bail!(context.say(Word::BundleElsewhere, &[&id, &of]));
            }
            let active = registry::find(registry, Some(one.vendor), &one.serial).await;
            let active = active.map_err(failed)?;
            let fate = match (of, active) {
                (Some(_), active) => {
                    if let Some(active) = active.filter(|active| active.id == id) {
                        terminal.enrolment = active;
                    }
                    Fate::Here
                }
                (None, Some(active)) if terminal.is_active => {
                    if active.tenant != *tenant {
                        return Err(taken(&active, tenant, context));
                    }
                    terminal.enrolment = active;
                    Fate::Other
                }
                (None, _) => Fate::New,
            };
            terminals.push((id, fate, terminal));
        }
        Ok(Self { terminals })
    }

    /// The same for machines, with what came in once it has.
    fn as_json(&self, verified: &Verified, tenant: &TenantId, counts: Option<&Receipt>) -> Value {
        let of = |is: fn(&Fate) -> bool| -> Vec<&str> {
            let those = self.terminals.iter().filter(|one| is(&one.1));
            those
                .map(|(_, _, one)| one.enrolment.serial.as_str())
                .collect()
        };
        json!({
            "applied": counts.is_some(),
            "tenant": tenant.as_str(),
            "of_tenant": verified.tenant.as_str(),
            "made_at": verified.manifest.made_at,
            "lines": verified.manifest.lines,
            "terminals": {
                "new": of(|fate| matches!(fate, Fate::New)),
                "here": of(|fate| matches!(fate, Fate::Here)),
                "other": of(|fate| matches!(fate, Fate::Other)),
            },
            "new": counts.map(|it| it.new),
            "known": counts.map(|it| it.duplicate),
            "quarantined": counts.map(|it| it.quarantined),
        })
    }

    fn tell(&self, verified: &Verified, context: &Context) -> anyhow::Result<()> {
        let manifest = &verified.manifest;
        let by = Escaped(&manifest.made_by);
        let at = Escaped(&manifest.made_at);
        out::line(&context.say(Word::BundleSays, &[&at, &by, &verified.tenant]))?;
        let lines = manifest.lines;
        let counted: [&dyn std::fmt::Display; 5] = [
            &verified.tenant,
            &lines.devices,
            &lines.events,
            &lines.quarantine,
            &lines.audit,
        ];
        out::line(&context.say(Word::BundleLines, &counted))?;
        let count = |is: fn(&Fate) -> bool| self.terminals.iter().filter(|one| is(&one.1)).count();
        let (new, here, other) = (
            count(|fate| matches!(fate, Fate::New)),
            count(|fate| matches!(fate, Fate::Here)),
            count(|fate| matches!(fate, Fate::Other)),
        );
        if let Some((_, _, one)) = self.terminals.first() {
            let tenant = &one.enrolment.tenant;
            out::line(&context.say(Word::BundlePlan, &[tenant, &new, &here, &other]))?;
        }
        for (_, fate, terminal) in &self.terminals {
            if matches!(fate, Fate::Other) {
                let serial = &terminal.enrolment.serial;
                out::line(&context.say(Word::BundleMapped, &[serial]))?;
            }
        }
        Ok(())
    }

    async fn enrol(&self, registry: &mut AnyEngine, context: &Context) -> anyhow::Result<()> {
        let (place, actor) = (databases::registry_place(context), actor::actor());
        for (_, fate, terminal) in &self.terminals {
            if matches!(fate, Fate::New) {
                let done = moving::adopt(registry, terminal, now(), &actor).await;
                done.map_err(|error| match error {
                    RegistryError::Failure(failure) => databases::told(context, &place, &failure),
                    RegistryError::LockedDown(held) => lockdown::told(&held, context),
                    other => other.into(),
                })?;
            }
        }
        Ok(())
    }
}

/// Another tenant has that terminal here.
fn taken(active: &Enrolment, tenant: &TenantId, context: &Context) -> anyhow::Error {
    let (vendor, serial, program) = (active.vendor, &active.serial, program());
    let said: [&dyn std::fmt::Display; 8] = [
        &vendor,
        serial,
        &active.tenant,
        tenant,
        &program,
        tenant,
        &vendor,
        serial,
    ];
    anyhow::anyhow!(context.say(Word::BundleTaken, &said))
}

/// A terminal of the file, here.
struct Known {
    enrolment: Enrolment,
    /// It has, or may have, cursors of its own.
    is_other: bool,
}

/// The data on its way in.
struct Taking<'a> {
    context: &'a Context,
    place: Place,
    engine: AnyEngine,
    writer: Writer,
    known: HashMap<DeviceId, Known>,
    counts: Receipt,
}

impl<'a> Taking<'a> {
    async fn start(context: &'a Context, tenant: &TenantId, plan: &Plan) -> anyhow::Result<Self> {
        let place = databases::places(context, Some(tenant)).into_iter().next();
        let place = place.ok_or_else(|| anyhow::anyhow!("the tenant has no database"))?;
        let (engine, _) = databases::open_ready(context, &place).await?;
        let (writer, _) = databases::writer(context, &place).await?;
        let known = plan.terminals.iter().map(|(id, fate, terminal)| {
            let known = Known {
                enrolment: terminal.enrolment.clone(),
                is_other: matches!(fate, Fate::Other),
            };
            (*id, known)
        });
        Ok(Self {
            known: known.collect(),
            counts: Receipt::default(),
            context,
            place,
            engine,
            writer,
        })
    }

    async fn everything(&mut self, args: &Args, manifest: &Manifest) -> anyhow::Result<()> {
        let flaw = |flaw: Flaw| told(args, self.context, &flaw);
        let context = self.context;
        let mut progress = Progress::new();
        let whole = i64::try_from(manifest.lines.events).unwrap_or(i64::MAX);
        let mut bundle = Bundle::open(&args.file).map_err(flaw)?;
        let mut pieces = bundle.pieces().map_err(flaw)?;
        while let Some(piece) = pieces
            .next_piece()
            .map_err(|flaw| told(args, context, &flaw))?
        {
            let as_verified = piece.is_as_in(manifest);
            as_verified.map_err(|flaw| told(args, context, &flaw))?;
            let done = match piece.part() {
                Some(Part::Events) => self.events(&piece).await?,
                Some(Part::Quarantine) => self.quarantine(&piece).await?,
                Some(Part::Cursors) => self.cursors(&piece).await?,
                Some(Part::Devices | Part::Audit) | None => Ok(()),
            };
            done.map_err(|flaw| told(args, context, &flaw))?;
            let events = self.counts.new + self.counts.duplicate;
            let done = share(i64::try_from(events).unwrap_or(i64::MAX), whole);
            progress.show(Some(done), || context.say(Word::BundleProgress, &[&events]));
        }
        Ok(())
    }

    fn device(&self, id: DeviceId, zone: Option<Zone>) -> Option<SharedDevice> {
        let one = self.known.get(&id)?.enrolment.clone();
        let own = self
            .context
            .zone(one.time_zone.as_deref(), Some(&one.tenant));
        Some(Arc::new(Device {
            id: one.id,
            tenant: Some(one.tenant),
            vendor: one.vendor,
            serial: one.serial,
            name: one.name,
            site: one.site,
            zone: zone.unwrap_or(own),
            canary: false,
        }))
    }

    /// The events of a piece, those of each terminal together.
    async fn events(&mut self, piece: &Piece) -> anyhow::Result<Result<(), Flaw>> {
        let lines = match piece.lines::<EventLine>() {
            Ok(lines) => lines,
            Err(flaw) => return Ok(Err(flaw)),
        };
        let mut shares: HashMap<(DeviceId, String), Submission> = HashMap::new();
        for line in &lines {
            let (Some(id), Some(zone)) = (line.device(), line.zone()) else {
                continue;
            };
            let key = (id, zone.name().to_owned());
            if !shares.contains_key(&key)
                && let Some(device) = self.device(id, Some(zone))
            {
                shares.insert(key.clone(), submission(device));
            }
            if let Some(share) = shares.get_mut(&key) {
                match line.event(&share.device) {
                    Ok(event) => share.events.push(event),
                    Err(aside) => share.quarantined.push(aside),
                }
            }
        }
        let mut under_way = JoinSet::new();
        for share in shares.into_values() {
            under_way.spawn(submitted(self.writer.clone(), share));
        }
        while let Some(done) = under_way.join_next().await {
            self.counts += done?.map_err(|refused| self.refused(refused))?;
        }
        Ok(Ok(()))
    }

    /// Records in quarantine, unless they are there; those that were settled are settled here.
    async fn quarantine(&mut self, piece: &Piece) -> anyhow::Result<Result<(), Flaw>> {
        let lines = match piece.lines::<QuarantineLine>() {
            Ok(lines) => lines,
            Err(flaw) => return Ok(Err(flaw)),
        };
        for line in &lines {
            let device = line.device().and_then(|id| self.device(id, None));
            let Some((device, record)) = device.zip(line.record()) else {
                continue;
            };
            let (id, raw) = (device.id, record.raw.clone());
            if self.same_record(id, &raw).await?.is_some() {
                continue;
            }
            let share = Submission {
                quarantined: vec![record],
                ..submission(device)
            };
            let done = submitted(self.writer.clone(), share).await;
            self.counts += done.map_err(|refused| self.refused(refused))?;
            let here = self.same_record(id, &raw).await?;
            if let Some((number, at)) = here.zip(line.settled_at()) {
                let settled = quarantine::settle(&mut self.engine, number, at).await;
                settled.map_err(|failure| databases::told(self.context, &self.place, &failure))?;
            }
        }
        Ok(Ok(()))
    }

    async fn same_record(&mut self, id: DeviceId, raw: &[u8]) -> anyhow::Result<Option<i64>> {
        let here = moving::same_record(&mut self.engine, id, raw).await;
        let here = here.map_err(|failure| databases::told(self.context, &self.place, &failure))?;
        Ok(here.map(|row| row.id))
    }

    /// Up to where terminals have been read. One that sends here already knows better.
    async fn cursors(&mut self, piece: &Piece) -> anyhow::Result<Result<(), Flaw>> {
        let lines = match piece.lines::<CursorLine>() {
            Ok(lines) => lines,
            Err(flaw) => return Ok(Err(flaw)),
        };
        for line in lines {
            let id = line.device();
            let id = id.filter(|id| self.known.get(id).is_some_and(|one| !one.is_other));
            let Some(device) = id.and_then(|id| self.device(id, None)) else {
                continue;
            };
            let share = Submission {
                expects: Some((line.name.clone(), None)),
                cursors: vec![(line.name, line.value)],
                ..submission(device)
            };
            match submitted(self.writer.clone(), share).await {
                Ok(_) | Err(Refused::Moved) => {}
                Err(refused) => return Err(self.refused(refused)),
            }
        }
        Ok(Ok(()))
    }

    fn refused(&self, refused: Refused) -> anyhow::Error {
        let why = self.context.lang.detail(&refused.to_string());
        anyhow::anyhow!(self.context.say(Word::BundleRefused, &[&why]))
    }
}

fn submission(device: SharedDevice) -> Submission {
    Submission {
        device,
        events: Vec::<Event>::new(),
        quarantined: Vec::<Quarantined>::new(),
        cursors: Vec::new(),
        expects: None,
        fence: None,
    }
}

/// Submits, some times where the store is busy: what came in meanwhile is known again.
async fn submitted(writer: Writer, share: Submission) -> Result<Receipt, Refused> {
    for _ in 1..TRIES {
        match writer.submit(share.clone()).await {
            Err(Refused::Unavailable(_) | Refused::Overloaded) => tokio::time::sleep(PAUSE).await,
            other => return other,
        }
    }
    writer.submit(share).await
}

/// Puts into the audit what came in, and from which file.
async fn note(
    args: &Args,
    verified: &Verified,
    counts: &Receipt,
    (tenant, registry): (&TenantId, &mut AnyEngine),
    context: &Context,
) -> anyhow::Result<()> {
    let detail = json!({
        "file": args.file,
        "sha256": hash_file(&args.file)?,
        "of_tenant": verified.tenant.as_str(),
        "made_at": verified.manifest.made_at,
        "feed": verified.manifest.feed,
        "lines": verified.manifest.lines,
        "new": counts.new,
        "known": counts.duplicate,
        "quarantined": counts.quarantined,
    });
    let (actor, detail) = (actor::actor(), detail.to_string());
    let action = "tenant_import";
    let noted = registry::audit(registry, now(), &actor, action, tenant.as_str(), &detail).await;
    let place = databases::registry_place(context);
    noted.map_err(|failure| databases::told(context, &place, &failure))
}
