//! `satellite cutoff`: whether the record of each terminal of a tenant is complete up to a
//! date, for whoever closes a payroll.
//!
//! Everything comes from the tenant's event database and the registry: the punches counted over
//! the period, what each terminal is known to have delivered, the windows that are missing, and
//! what waits in quarantine. What is not proven is not called complete. The same facts give the
//! same bytes: no line says when it was printed, and a hash over the facts stands in each form.

mod page;
mod verdict;

use std::collections::HashMap;

use clap::ValueEnum;
use daemon::exit::Exit;
use event::{DeviceId, Millis, TenantId, Zone};
use jiff::civil::Date;
use store::assurance::{self, AssuredDevice, Missing};
use store::census::{self, Count, Span};
use store::registry::Enrolment;
use store::{AnyEngine, Failure};

use super::databases;
use super::words::Word;
use super::{Context, now, out, time};
use verdict::{Cutoff, Period, Terminal};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite cutoff --tenant acme --through 2026-11-15              # the first half of November
  satellite cutoff --tenant acme --from 2026-11-01 --through 2026-11-30
  satellite cutoff --tenant acme --through 2026-11-15 --format html > cutoff.html
Exit status 0 when everything is complete, else 1.";

/// What `cutoff` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Whose terminals
    #[arg(long, value_name = "T")]
    tenant: String,
    /// The last day of the period, or a moment in it
    #[arg(long, value_name = "DATE")]
    through: String,
    /// Where the period begins [default: the 1st or the 16th before it]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// How a cut-off is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// To print and sign.
    Html,
    /// For spreadsheets.
    Csv,
    /// For programs.
    Json,
}

/// Says whether a period is complete.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let tenant = context.tenant(&args.tenant)?;
    let zone = context.zone(None, Some(&tenant));
    let period = period(args, &zone, context)?;
    let facts = gather(context, &tenant, period, &zone).await?;
    let text = match if args.json { Format::Json } else { args.format } {
        Format::Text => page::text(&facts, context)?,
        Format::Html => page::html(&facts, context)?,
        Format::Csv => page::csv(&facts, context)?,
        Format::Json => page::json(&facts)?,
    };
    out::print(&text)?;
    Ok(if facts.is_complete {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

fn period(args: &Args, zone: &Zone, context: &Context) -> anyhow::Result<Period> {
    let through = args.through.trim();
    let to = match through.parse::<Date>() {
        Ok(day) if through.len() == 10 => day_begins(day.tomorrow()?, zone)?,
        _ => time::moment(through, zone, now()).map_err(anyhow::Error::msg)?,
    };
    if to > now() {
        anyhow::bail!(context.say(Word::CutoffInFuture, &[&time::show(to, zone)]));
    }
    let from = match &args.from {
        Some(text) => time::moment(text, zone, now()).map_err(anyhow::Error::msg)?,
        None => half_month(to, zone)?,
    };
    if from >= to {
        anyhow::bail!(context.say(
            Word::CutoffBackwards,
            &[&time::show(from, zone), &time::show(to, zone)]
        ));
    }
    Ok(Period { from, to })
}

fn day_begins(day: Date, zone: &Zone) -> anyhow::Result<Millis> {
    time::moment(&day.to_string(), zone, now()).map_err(anyhow::Error::msg)
}

/// The 1st or the 16th on or before the last moment of the period: payroll here is paid twice
/// a month.
fn half_month(to: Millis, zone: &Zone) -> anyhow::Result<Millis> {
    let last = time::show(Millis(to.0 - 1), zone);
    let last: Date = last.get(..10).unwrap_or_default().parse()?;
    let first = if last.day() >= 16 { 16 } else { 1 };
    day_begins(Date::new(last.year(), last.month(), first)?, zone)
}

/// What the tenant's database holds of the period.
struct Stored {
    devices: Vec<AssuredDevice>,
    counts: HashMap<DeviceId, Count>,
    review: HashMap<DeviceId, u64>,
    missing: Vec<Missing>,
}

async fn read(
    engine: &mut AnyEngine,
    tenant: &TenantId,
    period: Period,
) -> Result<Stored, Failure> {
    let span = Span {
        from: period.from,
        to: period.to,
    };
    // Assurance first: what comes while the rest is read can only make it better.
    Ok(Stored {
        devices: assurance::read(engine, tenant.as_str()).await?,
        missing: assurance::missing(engine, None).await?,
        review: census::in_review(engine, period.from).await?,
        counts: census::punches(engine, span).await?,
    })
}

async fn gather(
    context: &Context,
    tenant: &TenantId,
    period: Period,
    zone: &Zone,
) -> anyhow::Result<Cutoff> {
    let enrolments = databases::enrolments(context).await?;
    let place = databases::places(context, Some(tenant)).into_iter().next();
    let place = place.ok_or_else(|| anyhow::anyhow!("the tenant has no database"))?;
    let mut engine = databases::open(context, &place).await?;
    let stored = read(&mut engine, tenant, period)
        .await
        .map_err(|failure| databases::told(context, &place, &failure))?;
    let name = context
        .config
        .tenant(tenant)
        .map_or_else(String::new, |tenant| tenant.name.clone());
    let terminals = terminals(&enrolments, &stored, tenant, period);
    Ok(Cutoff::of(
        tenant.as_str(),
        &name,
        zone.name(),
        period,
        terminals,
    ))
}

/// Every terminal that the period concerns, by serial.
fn terminals(
    enrolments: &[Enrolment],
    stored: &Stored,
    tenant: &TenantId,
    period: Period,
) -> Vec<Terminal> {
    let own: HashMap<DeviceId, &Enrolment> = enrolments
        .iter()
        .filter(|one| one.tenant == *tenant && !one.canary)
        .map(|one| (one.id, one))
        .collect();
    let seen = |id: DeviceId| stored.devices.iter().find(|device| device.device == id);
    let known = stored.devices.iter().map(|device| device.device);
    let never = own.keys().copied().filter(|id| seen(*id).is_none());
    let ids = known.chain(never.collect::<Vec<_>>());
    let mut lines: Vec<Terminal> = ids
        .filter_map(|id| {
            let facts = verdict::Facts {
                enrolment: own.get(&id).copied(),
                seen: seen(id),
                windows: stored.missing.iter().filter(|it| it.device == id).collect(),
                count: stored.counts.get(&id).copied().unwrap_or_default(),
                review: stored.review.get(&id).copied().unwrap_or_default(),
            };
            facts.judged(period)
        })
        .collect();
    lines.sort_by(|a, b| a.serial.cmp(&b.serial));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_without_a_beginning_is_half_a_month_of_the_tenants_zone() {
        let zone = Zone::named("America/Mexico_City").unwrap();
        let begins = |day: &str| {
            let to = day_begins(day.parse::<Date>().unwrap().tomorrow().unwrap(), &zone).unwrap();
            time::show(half_month(to, &zone).unwrap(), &zone)
        };
        assert_eq!(begins("2026-11-15"), "2026-11-01 00:00:00 -06:00");
        assert_eq!(begins("2026-11-16"), "2026-11-16 00:00:00 -06:00");
        assert_eq!(begins("2026-11-30"), "2026-11-16 00:00:00 -06:00");
        assert_eq!(begins("2027-01-01"), "2027-01-01 00:00:00 -06:00");
    }
}
