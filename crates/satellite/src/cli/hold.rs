//! `satellite db hold on|off|status`: nothing of a tenant is archived or emptied.
//!
//! For a lawsuit, an inspection or an audit. Written into the registry's audit, so that who did it
//! and why stands beside it; `db retention` asks before each transaction that empties records, so
//! that one under way stops, too.

use clap::Subcommand;
use daemon::exit::Exit;
use daemon::logging::Escaped;
use event::TenantId;
use serde_json::json;
use store::AnyEngine;
use store::hold::{self, Hold};

use super::words::{Speaks as _, Word};
use super::{Context, actor, databases, now, out, program, table, time};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite db hold on --tenant acme --reason \"lawsuit 123/2026\"
  satellite db hold status
  satellite db hold off --tenant acme
Intake goes on. Old canary events still go (db maintain).";

/// What `db hold` is told.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Begin: nothing of the tenant is archived or emptied
    #[command(after_help = EXAMPLES)]
    On(Args),
    /// End it
    #[command(after_help = "Example:\n  satellite db hold off --tenant acme")]
    Off(Args),
    /// What holds, since when, and who began it
    #[command(after_help = "Example:\n  satellite db hold status --json")]
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// For whom, and why.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Whose records
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
    let tenant = context.tenant_or_only(args.tenant.as_deref())?;
    let place = databases::registry_place(context);
    let (mut engine, _) = databases::open_ready(context, &place).await?;
    let (reason, who) = (args.reason.as_deref(), actor::actor());
    let done = hold::set(&mut engine, &tenant, on, reason, (now(), &who)).await;
    let changed = done.map_err(|failure| databases::told(context, &place, &failure))?;
    let word = match (on, changed) {
        (true, true) => Word::HoldBegins,
        (true, false) => Word::HoldHeld,
        (false, true) => Word::HoldEnds,
        (false, false) => Word::HoldNone,
    };
    out::line(&context.say(word, &[&tenant]))?;
    Ok(Exit::Fine)
}

async fn status(as_json: bool, context: &Context) -> anyhow::Result<Exit> {
    let place = databases::registry_place(context);
    let mut engine = databases::open(context, &place).await?;
    let held = hold::active(&mut engine).await;
    let held = held.map_err(|failure| databases::told(context, &place, &failure))?;
    if as_json {
        let all = held.iter().map(|one| {
            json!({
                "tenant": one.tenant.as_str(),
                "since": time::utc(one.since),
                "actor": one.actor,
            })
        });
        out::json(&all.collect::<Vec<_>>())?;
    } else if held.is_empty() {
        out::line(&context.say(Word::NoHold, &[]))?;
    } else {
        let words = [Word::Tenant, Word::Since, Word::Actor];
        let rows: Vec<Vec<String>> = held.iter().map(|one| row(one, context)).collect();
        out::print(&table::table(&context.lang.headings(&words), &rows))?;
    }
    Ok(Exit::Fine)
}

fn row(one: &Hold, context: &Context) -> Vec<String> {
    let zone = context.zone(None, Some(&one.tenant));
    vec![
        one.tenant.to_string(),
        time::show(one.since, &zone),
        one.actor.clone(),
    ]
}

/// Lets go on what takes records of this tenant away, unless it is held.
///
/// # Errors
/// It is held, or the registry does not answer.
pub(crate) async fn refuse(
    registry: &mut AnyEngine,
    context: &Context,
    tenant: &TenantId,
) -> anyhow::Result<()> {
    let held = hold::of(registry, tenant).await;
    let place = || databases::registry_place(context);
    let held = held.map_err(|failure| databases::told(context, &place(), &failure))?;
    match held {
        None => Ok(()),
        Some(one) => Err(anyhow::anyhow!(told(&one, context))),
    }
}

/// That it is held, since when, by whom, and how that ends.
pub(crate) fn told(one: &Hold, context: &Context) -> String {
    let since = time::show(one.since, &context.zone(None, Some(&one.tenant)));
    let actor = Escaped(&one.actor);
    let (tenant, program) = (&one.tenant, program());
    context.say(Word::HeldStill, &[tenant, &since, &actor, &program, tenant])
}
