//! `satellite lockdown on|off|status`: nothing goes on but taking in what approved terminals bring.
//!
//! For the hours after a break-in. Written into the registry's audit, so that who did it stands
//! beside it; a running satellite follows within seconds and a restarted one begins with it.
//! Nothing that a terminal brings is lost by it.

use clap::Subcommand;
use daemon::actor::actor;
use daemon::exit::Exit;
use daemon::logging::Escaped;
use event::TenantId;
use serde_json::json;
use store::lockdown::{self, Lockdown};

use super::words::{Speaks as _, Word};
use super::{Context, databases, now, out, table, time};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite lockdown on --reason \"break-in at the server\"
  satellite lockdown on --tenant acme
  satellite lockdown status
  satellite lockdown off
Approved terminals go on being stored. Commands to terminals, new enrolments and outputs stop;
tokens are read again from the registry.";

/// What `lockdown` is told.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Begin: commands, new enrolments and outputs stop
    #[command(after_help = EXAMPLES)]
    On(Args),
    /// End it
    #[command(after_help = "Example:\n  satellite lockdown off")]
    Off(Args),
    /// What holds, since when, and who began it
    #[command(after_help = "Example:\n  satellite lockdown status --json")]
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// For whom, and why.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this tenant's terminals [default: everything]
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Carries it out.
pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::On(args) => set(&args, true, context).await,
        Command::Off(args) => set(&args, false, context).await,
        Command::Status { json } => status(json, context).await,
    }
}

async fn set(args: &Args, on: bool, context: &Context) -> anyhow::Result<Exit> {
    let tenant = context.tenant_if_given(args.tenant.as_deref())?;
    let place = databases::registry_place(context);
    let (mut engine, _) = databases::open_ready(context, &place).await?;
    let (reason, who) = (args.reason.as_deref(), actor());
    let done = lockdown::set(&mut engine, tenant.as_ref(), on, reason, (now(), &who)).await;
    let changed = done.map_err(|failure| databases::told(context, &place, &failure))?;
    let scope = scope(tenant.as_ref(), context);
    let word = match (on, changed) {
        (true, true) => Word::LockdownBegins,
        (true, false) => Word::LockdownHeld,
        (false, true) => Word::LockdownEnds,
        (false, false) => Word::LockdownNone,
    };
    out::line(&context.say(word, &[&scope]))?;
    if changed {
        out::line(&context.say(Word::Noticed, &[]))?;
    }
    Ok(Exit::Fine)
}

async fn status(as_json: bool, context: &Context) -> anyhow::Result<Exit> {
    let held = held(context).await?;
    if as_json {
        let all = held.iter().map(|one| {
            json!({
                "scope": one.scope(),
                "tenant": one.tenant.as_ref().map(TenantId::as_str),
                "since": time::utc(one.since),
                "actor": one.actor,
            })
        });
        out::json(&all.collect::<Vec<_>>())?;
    } else if held.is_empty() {
        out::line(&context.say(Word::NoLockdown, &[]))?;
    } else {
        let headings = context
            .lang
            .headings(&[Word::Scope, Word::Since, Word::Actor]);
        let rows: Vec<Vec<String>> = held.iter().map(|one| row(one, context)).collect();
        out::print(&table::table(&headings, &rows))?;
    }
    Ok(Exit::Fine)
}

fn row(one: &Lockdown, context: &Context) -> Vec<String> {
    let zone = context.zone(None, one.tenant.as_ref());
    vec![
        scope(one.tenant.as_ref(), context),
        time::show(one.since, &zone),
        one.actor.clone(),
    ]
}

fn scope(tenant: Option<&TenantId>, context: &Context) -> String {
    tenant.map_or_else(|| context.say(Word::Everything, &[]), ToString::to_string)
}

/// What holds; none where there is no registry yet.
async fn held(context: &Context) -> anyhow::Result<Vec<Lockdown>> {
    let place = databases::registry_place(context);
    if databases::is_missing(&place.target) {
        return Ok(Vec::new());
    }
    let mut engine = databases::open(context, &place).await?;
    let held = lockdown::active(&mut engine).await;
    held.map_err(|failure| databases::told(context, &place, &failure))
}

/// Lets a command go on that a lockdown stops, unless there is one.
///
/// # Errors
/// There is one, or the registry does not answer.
pub(crate) async fn refuse(context: &Context, tenant: Option<&TenantId>) -> anyhow::Result<()> {
    let held = held(context).await?;
    match held.iter().find(|one| one.stops(tenant)) {
        None => Ok(()),
        Some(one) => Err(told(one, context)),
    }
}

/// Why a command does not go on.
pub(crate) fn told(held: &Lockdown, context: &Context) -> anyhow::Error {
    let since = time::show(held.since, &context.zone(None, held.tenant.as_ref()));
    let scope = match &held.tenant {
        Some(tenant) => format!(" --tenant {tenant}"),
        None => String::new(),
    };
    let actor = Escaped(&held.actor);
    anyhow::anyhow!(context.say(
        Word::LockedDown,
        &[&since, &actor, &super::program(), &scope]
    ))
}
