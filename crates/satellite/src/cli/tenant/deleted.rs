//! `satellite tenant deleted`: who was deleted here, whether the proofs are as they were written, and
//! what still holds something today.

use backup::Kept as _;
use daemon::exit::Exit;
use daemon::logging::Escaped;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::words::Speaks as _;
use super::super::{Context, databases, out, program};
use super::proof::{Begun, Chain, Holder, Proof};
use super::words::Says;
use super::{holders, purge};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite tenant deleted
  satellite tenant deleted --json      # the proofs themselves
Exit status 1 when a proof is not as it was written, or a deletion did not end.";

/// What `tenant deleted` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Lists and verifies. A line that was changed at the end of the chain is one that the audit does not
/// know.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let state_dir = &context.config.state_dir;
    let chain = Chain::read(state_dir).map_err(|error| {
        let why = context.lang.detail(&error.to_string());
        anyhow::anyhow!(context.say(Says::CannotWrite, &[&state_dir.display(), &why]))
    })?;
    let begun = Begun::read(state_dir);
    let place = databases::registry_place(context);
    let mut registry = databases::open(context, &place).await?;
    let known = purge::proven(&mut registry).await;
    let known = known.map_err(|failure| databases::told(context, &place, &failure))?;
    let mut proofs = chain.proofs.iter();
    let unknown = proofs.find(|(_, hash)| !known.contains(hash));
    let unknown = unknown.map(|(proof, _)| proof.number);
    let broken = chain.broken.or(unknown);
    let is_whole = broken.is_none() && begun.is_none();
    let exit = if is_whole { Exit::Fine } else { Exit::Failed };
    if args.json {
        let proofs = chain.proofs.iter().map(|(proof, hash)| whole(proof, hash));
        out::json(&json!({
            "whole": broken.is_none(),
            "broken_line": broken,
            "begun": begun.map(|it| it.deletion),
            "proofs": proofs.collect::<Vec<_>>(),
        }))?;
        return Ok(exit);
    }
    for (proof, hash) in &chain.proofs {
        tell(proof, hash, context)?;
    }
    if let Some(begun) = &begun {
        let (tenant, program) = (&begun.deletion.tenant, program());
        let at = begun.deletion.begun_at.strftime("%F").to_string();
        let values: [&dyn std::fmt::Display; 5] = [tenant, &at, &program, tenant, tenant];
        out::complain(&context.say(Says::Begun, &values));
    }
    match (broken, chain.proofs.len()) {
        (Some(line), _) => {
            let folder = state_dir.display();
            out::complain(&context.say(Says::ChainBroken, &[&folder, &line]));
        }
        (None, 0) => out::line(&context.say(Says::NoneDeleted, &[]))?,
        (None, proofs) => out::line(&context.say(Says::ChainWhole, &[&proofs]))?,
    }
    Ok(exit)
}

fn today() -> String {
    Timestamp::now().strftime("%F").to_string()
}

/// What still holds it today.
fn still(proof: &Proof) -> Vec<Holder> {
    let today = today();
    let holders = proof.holders.iter().filter(|it| it.is_there(&today));
    holders.cloned().collect()
}

/// The proof as it stands in its line, with its hash and what holds the tenant today.
fn whole(proof: &Proof, hash: &str) -> Value {
    let mut told = json!(proof);
    told["sha256"] = hash.into();
    told["held_today"] = json!(still(proof));
    told
}

fn tell(proof: &Proof, hash: &str, context: &Context) -> anyhow::Result<()> {
    let deletion = &proof.deletion;
    let after = deletion
        .stores
        .iter()
        .flat_map(|store| store.after.values());
    let after: u64 = after.sum();
    let (day, rows) = (
        proof.finished_at.strftime("%F").to_string(),
        deletion.rows(),
    );
    let by = Escaped(&deletion.by);
    let values: [&dyn std::fmt::Display; 7] = [
        &proof.number,
        &deletion.tenant,
        &day,
        &by,
        &rows,
        &after,
        &hash,
    ];
    out::line(&context.say(Says::WasDeleted, &values))?;
    let held = still(proof);
    if held.is_empty() {
        out::line(&context.say(Says::HeldNowhere, &[]))?;
    }
    holders::tell(&held, context)
}

/// Says what was just proven.
pub(super) fn tell_new(
    proof: &Proof,
    hash: &str,
    as_json: bool,
    context: &Context,
) -> anyhow::Result<()> {
    if as_json {
        return Ok(out::json(&whole(proof, hash))?);
    }
    let (tenant, rows) = (&proof.deletion.tenant, proof.deletion.rows());
    out::line(&context.say(Says::Gone, &[tenant, &rows]))?;
    for store in &proof.deletion.stores {
        let known = match store.bytes.as_str() {
            "rewritten" => Says::Rewritten,
            _ => Says::OnServer,
        };
        out::line(&format!("    {}: {}", store.store, context.say(known, &[])))?;
    }
    holders::tell(&still(proof), context)?;
    if context.config.backup.is_none() {
        out::line(&context.say(Says::NoCopies, &[]))?;
    }
    let file = context.config.state_dir.join(super::proof::NAME);
    let values: [&dyn std::fmt::Display; 3] = [&proof.number, &file.display(), &hash];
    out::line(&context.say(Says::Proven, &values))?;
    Ok(out::line(&context.say(Says::Next, &[tenant, &program()]))?)
}
