//! `satellite tenant`: what is done with a whole tenant at once.
//!
//! Who goes takes everything along in one file, in the form in which the terminals sent it and
//! normalised, and another installation takes it in ([`satellite::bundle`]). Who has gone is deleted,
//! and a proof of that stays.

mod again;
mod delete;
mod deleted;
mod export;
mod holders;
mod import;
mod proof;
mod purge;
mod whose;
mod words;

use clap::Subcommand;
use daemon::exit::Exit;

use super::Context;

pub(super) use again::delete_again;
pub(super) use proof::{file as proofs, take_over as take_over_proofs};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite tenant export --tenant acme --to /var/lib/satellite/acme.tar.gz
  satellite tenant import /var/lib/satellite/acme.tar.gz --dry-run
  satellite tenant import /var/lib/satellite/acme.tar.gz
  satellite tenant delete --tenant acme
Importing once more, or beside terminals that send the same records again, makes no duplicate.";

/// What `tenant` is told.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Everything of a tenant into one file, for another installation
    #[command(after_help = export::EXAMPLES)]
    Export(export::Args),
    /// Take in what another installation wrote
    #[command(after_help = import::EXAMPLES)]
    Import(import::Args),
    /// Delete everything of a tenant that has gone, with a proof; first only shown
    #[command(after_help = delete::EXAMPLES)]
    Delete(delete::Args),
    /// Who was deleted, whether the proofs are whole, and what still holds something
    #[command(after_help = deleted::EXAMPLES)]
    Deleted(deleted::Args),
}

/// Carries it out.
pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::Export(args) => export::run(&args, context).await,
        Command::Import(args) => import::run(&args, context).await,
        Command::Delete(args) => delete::run(&args, context).await,
        Command::Deleted(args) => deleted::run(&args, context).await,
    }
}
