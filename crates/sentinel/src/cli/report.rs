//! `sentinel report`: a month of each client as a page, a table or JSON.

use daemon::exit::Exit;
use jiff::Timestamp;
use sentinel::gather;
use sentinel::report::{Month, to_csv, to_html, to_json};

use super::{Context, out};

pub(crate) const EXAMPLES: &str = "Examples:
  sentinel report --month 2026-03 > report.html
  sentinel report --month 2026-03 --tenant acme --format csv";

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A page with charts
    Html,
    /// A table, one measure on each line
    Csv,
    /// For programs
    Json,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which month: YYYY-MM [default: the last one that has ended]
    #[arg(long, value_name = "YYYY-MM")]
    month: Option<Month>,
    /// Only this client
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value = "html")]
    format: Format,
}

pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let (config, now) = (&context.config, Timestamp::now());
    let today = config.zone.to_datetime(now).date();
    let month = args.month.unwrap_or_else(|| Month::of(today).before());
    let Some(period) = month.period(config.zone.clone(), now) else {
        anyhow::bail!(context.say(
            format!("{month} no ha comenzado"),
            format!("{month} has not begun"),
        ));
    };
    if let Some(tenant) = &args.tenant {
        context.knows(tenant)?;
    }
    let mut database = context.database().await?;
    let report = gather::report(config, &mut database, &period, args.tenant.as_deref()).await?;
    out::print(&match args.format {
        Format::Html => to_html(&report, context.language),
        Format::Csv => to_csv(&report),
        Format::Json => to_json(&report)?,
    })?;
    Ok(Exit::Fine)
}
