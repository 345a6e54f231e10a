//! `sentinel checklist`: the customer's check lists, with evidence and a place to sign.

use daemon::exit::Exit;
use jiff::Timestamp;
use sentinel::checklist::{Checklist, Outcome, to_html, to_json, to_text};
use sentinel::gather;

use super::{Context, out};

pub(crate) const EXAMPLES: &str = "Examples:
  sentinel checklist --tenant acme
  sentinel checklist --tenant acme --after-restore --format html > checklist.html

Exit status: 0 when nothing fails, 1 when something fails or could not be seen.";

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a terminal
    Text,
    /// A page to print and sign
    Html,
    /// For programs
    Json,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Of which client
    #[arg(long, value_name = "ID")]
    tenant: String,
    /// The list to go through after a restore
    #[arg(long)]
    after_restore: bool,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let config = &context.config;
    context.knows(&args.tenant)?;
    // A sentinel that has not run yet is no reason to print nothing.
    let mut database = context.database().await.ok();
    let matter = gather::matter(config, database.as_mut(), &args.tenant, Timestamp::now()).await?;
    let language = context.language;
    let list = Checklist::of(&matter, args.after_restore, language);
    out::print(&match args.format {
        Format::Text => to_text(&list, language, &config.zone),
        Format::Html => to_html(&list, language, &config.zone),
        Format::Json => to_json(&list)?,
    })?;
    Ok(match list.result {
        Outcome::Fail => Exit::Failed,
        Outcome::Pass | Outcome::NotApplicable => Exit::Fine,
    })
}
