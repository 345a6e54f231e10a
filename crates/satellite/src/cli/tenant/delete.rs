//! `satellite tenant delete`: every row of a tenant out of every database, and a proof of it.
//!
//! It works beside a running satellite, because one tenant that goes is no reason to stop the others.
//! First everything is only looked at and told. With a person's word what was found is noted in the
//! state folder; from then on the same command goes on wherever it was cut off. The enrolments end
//! first, and a running satellite has forgotten them before a row goes. The proof is written when
//! another connection has counted nothing.

mod look;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use backup::Kept as _;
use daemon::exit::Exit;
use daemon::logging::Escaped;
use event::TenantId;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::json;
use store::departure::{self, Counts, Departed};
use store::{Failure, Mirror, Target, Trouble, registry};

use super::super::backup::{alone, told};
use super::super::databases::{self, Place};
use super::super::words::Speaks as _;
use super::super::{Context, actor, http, now, out, program, restore};
use super::proof::{self, Begun, Chain, Deletion, StoreRows};
use super::purge::{self, DELETED, Guard};
use super::words::Says;
use super::{deleted, holders};
use look::Look;

pub(crate) const EXAMPLES: &str = "Examples:
  satellite tenant delete --tenant acme      # what would go and what would still hold it; changes nothing
  satellite tenant delete --tenant acme --yes acme
  satellite tenant deleted
Works beside a running satellite; a command that was cut off is given again.
On MySQL and MariaDB the account must be allowed to delete: satellite_admin of grants.sql.";

/// Longest wait for a running satellite to hear that the terminals have gone.
const HEARS_WITHIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);
/// How often what came in meanwhile is deleted, too.
const ROUNDS: u32 = 3;

/// What `tenant delete` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Who goes
    #[arg(long, value_name = "T")]
    tenant: String,
    /// Delete it: the tenant's name once more
    #[arg(long, value_name = "T")]
    yes: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Shows, or deletes.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let tenant = match TenantId::new(&args.tenant) {
        // One that the configuration names no more may still have rows.
        Ok(tenant) => tenant,
        Err(_) => context.tenant(&args.tenant)?,
    };
    let begun = Begun::read(&context.config.state_dir);
    if let Some(other) = begun.as_ref().filter(|it| it.deletion.tenant != tenant) {
        let (other, program) = (&other.deletion.tenant, program());
        let values: [&dyn std::fmt::Display; 4] = [other, &program, other, other];
        out::complain(&context.say(Says::OtherBegun, &values));
        return Ok(Exit::Failed);
    }
    let look = Look::at(&tenant, context).await?;
    if begun.is_none() && look.is_empty() {
        context.tenant(&args.tenant)?;
        out::line(&context.say(Says::NothingThere, &[&tenant]))?;
        return Ok(Exit::Fine);
    }
    let Some(yes) = &args.yes else {
        look.tell(args.json, context).await?;
        return Ok(Exit::Fine);
    };
    if yes != tenant.as_str() {
        out::complain(&context.say(Says::NotTyped, &[&tenant]));
        return Ok(Exit::Failed);
    }
    let _alone = alone(context)?;
    let Some(begun) = begin(begun, look, context).await? else {
        return Ok(Exit::Failed);
    };
    let places = places(&tenant, context);
    let named = |store: &&StoreRows| places.iter().any(|place| place.label == store.store);
    if let Some(gone) = begun.deletion.stores.iter().find(|store| !named(store)) {
        anyhow::bail!(context.say(Says::NotNamed, &[&gone.store]));
    }
    carry_out(&begun, &places, context).await?;
    finish(begun, &places, args.json, context).await
}

/// Notes what is about to go, when nothing stands against it.
async fn begin(
    begun: Option<Begun>,
    look: Look,
    context: &Context,
) -> anyhow::Result<Option<Begun>> {
    if !look.against.is_empty() {
        look.against.iter().for_each(|text| out::complain(text));
        return Ok(None);
    }
    if let Some(begun) = begun {
        let at = begun.deletion.begun_at.strftime("%F").to_string();
        let by = Escaped(&begun.deletion.by);
        out::remark(&context.say(Says::GoesOn, &[&begun.deletion.tenant, &by, &at]));
        return Ok(Some(begun));
    }
    if let Some(line) = chain(context)?.broken {
        let folder = context.config.state_dir.display();
        anyhow::bail!(context.say(Says::ChainBroken, &[&folder, &line]));
    }
    may_delete(&look.tenant, context).await?;
    let two_people = context
        .config
        .backup
        .as_ref()
        .is_some_and(|it| it.two_people);
    let approved_by = match two_people {
        false => None,
        true => {
            let what = format!("tenant delete {}", look.tenant);
            let Some(person) = restore::second_person(what, context)? else {
                return Ok(None);
            };
            Some(person)
        }
    };
    let begun = Begun {
        deletion: Deletion {
            tenant: look.tenant,
            by: actor::actor(),
            approved_by,
            begun_at: Timestamp::now(),
            devices: look.devices.keys().map(ToString::to_string).collect(),
            stores: look.stores,
            files: look.files,
        },
        serials: look.own_serials,
        left: look.left,
    };
    keep(&begun, context)?;
    Ok(Some(begun))
}

fn keep(begun: &Begun, context: &Context) -> anyhow::Result<()> {
    let state_dir = &context.config.state_dir;
    begun.keep(state_dir).map_err(|it| told(context, &it))?;
    // The name of the file, too: without it what is half done would look like nothing.
    let synced = fs::File::open(state_dir).and_then(|folder| folder.sync_all());
    synced.map_err(|error| cannot_write(state_dir, &error, context))
}

fn cannot_write(path: &Path, error: &std::io::Error, context: &Context) -> anyhow::Error {
    let why = context.lang.detail(&error.to_string());
    anyhow::anyhow!(context.say(Says::CannotWrite, &[&path.display(), &why]))
}

fn chain(context: &Context) -> anyhow::Result<Chain> {
    let state_dir = &context.config.state_dir;
    Chain::read(state_dir).map_err(|error| cannot_write(state_dir, &error, context))
}

/// The databases that may hold something of it: the registry's and its own, so that one of another
/// tenant that is down is no hindrance; all of them when the configuration does not know it.
fn places(tenant: &TenantId, context: &Context) -> Vec<Place> {
    let Some(own) = context.config.target(tenant) else {
        return databases::places(context, None);
    };
    let registry = context.config.registry_target();
    let all = databases::places(context, None).into_iter();
    all.filter(|place| [registry, own].contains(&&place.target))
        .collect()
}

/// Asks every database before anything is changed in one.
async fn may_delete(tenant: &TenantId, context: &Context) -> anyhow::Result<()> {
    for place in places(tenant, context) {
        let mut engine = databases::open(context, &place).await?;
        let asked = departure::may_delete(&mut engine).await;
        engine.close().await;
        match asked {
            Ok(()) => {}
            Err(failure) if failure.trouble() == Trouble::Denied => {
                anyhow::bail!(context.say(Says::Denied, &[&place.label, &failure.text]))
            }
            Err(failure) => return Err(databases::told(context, &place, &failure)),
        }
    }
    Ok(())
}

/// All of it, from the beginning: what is done already takes no time.
async fn carry_out(begun: &Begun, places: &[Place], context: &Context) -> anyhow::Result<()> {
    let departed = begun.deletion.departed();
    let registry_place = databases::registry_place(context);
    let failed = |failure: Failure| databases::told(context, &registry_place, &failure);
    let (mut registry, _) = databases::open_ready(context, &registry_place).await?;
    let said = (now(), begun.deletion.by.as_str());
    let senders = departure::close(&mut registry, &departed, said).await;
    let senders = senders.map_err(failed)?;
    if !senders.is_empty() {
        anyhow::bail!(look::sends(&departed.tenant, &senders, context));
    }
    forgotten(&departed.tenant, context).await?;
    for file in &begun.deletion.files {
        remove(file).map_err(|error| cannot_write(file, &error, context))?;
    }
    purge::lines(&departed, &begun.serials, &registry_place, context).await?;
    for place in places {
        for _ in 0..ROUNDS {
            let mut guard = Guard::Hold(&mut registry);
            purge::rows(&departed, place, &mut guard, context).await?;
            if left(&departed, place, context)
                .await?
                .values()
                .all(|rows| *rows == 0)
            {
                break;
            }
        }
        purge::bytes(place, context).await?;
    }
    of_state(&departed, &begun.serials, context).await
}

/// Waits until a running satellite has no terminal of the tenant in its memory any more.
async fn forgotten(tenant: &TenantId, context: &Context) -> anyhow::Result<()> {
    let door = context.config.listen.admin;
    if http::get(door, "/healthz").await.is_err() {
        return Ok(());
    }
    let begun = Instant::now();
    while begun.elapsed() < HEARS_WITHIN {
        let asked = http::devices::<IgnoredAny>(door, &format!("&tenant={tenant}")).await;
        if asked.is_ok_and(|known| known.is_empty()) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    anyhow::bail!(context.say(Says::StillServed, &[&program()]))
}

/// Removes an archive with the hash beside it, or a recording.
fn remove(file: &Path) -> std::io::Result<()> {
    let mut sum = file.as_os_str().to_owned();
    sum.push(".sha256");
    for path in [file, Path::new(&sum)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// What a database still has of it, over a connection of its own.
async fn left(departed: &Departed, place: &Place, context: &Context) -> anyhow::Result<Counts> {
    let mut engine = databases::open(context, place).await?;
    let counts = departure::count(&mut engine, departed).await;
    engine.close().await;
    counts.map_err(|failure| databases::told(context, place, &failure))
}

/// The mirror and the bytes of the journal.
async fn of_state(
    departed: &Departed,
    serials: &[String],
    context: &Context,
) -> anyhow::Result<()> {
    let state_dir = &context.config.state_dir;
    let done = async {
        // It makes the tables that an older version has not made.
        drop(Mirror::open(state_dir).await?);
        let mut mirror = Target::Sqlite(state_dir.join("registry.db"))
            .connect()
            .await?;
        departure::from_mirror(&mut mirror, departed, serials).await?;
        departure::rewrite(&mut mirror).await?;
        mirror.close().await;
        if state_dir.join(look::JOURNAL).exists() {
            let mut journal = Target::Sqlite(state_dir.join(look::JOURNAL))
                .connect()
                .await?;
            departure::rewrite(&mut journal).await?;
            journal.close().await;
        }
        Ok::<_, Failure>(())
    };
    done.await.map_err(|failure| {
        let why = context.lang.detail(&failure.text);
        anyhow::anyhow!(context.say(Says::CannotWrite, &[&state_dir.display(), &why]))
    })
}

/// Counts once more, writes the proof, and says so.
async fn finish(
    begun: Begun,
    places: &[Place],
    as_json: bool,
    context: &Context,
) -> anyhow::Result<Exit> {
    let mut deletion = begun.deletion.clone();
    let departed = deletion.departed();
    let mut concerned = Vec::new();
    for store in &mut deletion.stores {
        // Said before anything was changed: all of them are here.
        let Some(place) = places.iter().find(|place| place.label == store.store) else {
            continue;
        };
        store.after = left(&departed, place, context).await?;
        store.bytes = match &place.target {
            Target::Sqlite(_) => "rewritten",
            Target::Mysql { .. } => "server",
        }
        .to_owned();
        let rows: u64 = store.after.values().sum();
        if rows > 0 {
            anyhow::bail!(context.say(Says::ComesBack, &[&store.store, &rows]));
        }
        concerned.push(place.clone());
    }
    let held = holders::all(&concerned, &begun.left, context).await?;
    let state_dir = &context.config.state_dir;
    let proof = proof::add(state_dir, deletion, held);
    let (proof, hash) = proof.map_err(|error| cannot_write(state_dir, &error, context))?;
    let place = databases::registry_place(context);
    let (mut registry, _) = databases::open_ready(context, &place).await?;
    let detail = json!({ "proof": proof.number, "sha256": hash, "rows": proof.deletion.rows() });
    let (by, tenant, detail) = (
        &proof.deletion.by,
        departed.tenant.as_str(),
        detail.to_string(),
    );
    let said = registry::audit(&mut registry, now(), by, DELETED, tenant, &detail).await;
    said.map_err(|failure| databases::told(context, &place, &failure))?;
    Begun::forget(state_dir);
    deleted::tell_new(&proof, &hash, as_json, context)?;
    Ok(Exit::Fine)
}
