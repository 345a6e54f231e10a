//! `satellite compare`: a day's punches here against those in a file of another program.
//!
//! For a cut-over: the program that runs today exports a day, and this says which punches both
//! have, which only we have and which only they have. Nothing is changed, here or there. A punch is
//! a person and a wall-clock second, and the terminal where the file names it; leading zeros of a
//! person do not count, because other programs drop them.

mod sheet;

use std::collections::BTreeMap;
use std::path::PathBuf;

use daemon::exit::Exit;
use event::{Kind, TenantId};
use jiff::civil::Date;
use serde_json::json;
use store::feed::FeedRow;
use store::outputs::{self, Wanted};

use super::words::{Speaks as _, Word};
use super::{Context, databases, now, out, table, time};
use sheet::{Columns, Punch, Sheet};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite compare --tenant acme --day 2026-11-25 --against old.csv
  satellite compare --tenant acme --day 2026-11-25 --against old.csv --person CLAVE --time FECHA_HORA
The first line names the columns; separators , ; tab and | are told apart by themselves.
Exit status 0 when both have the same punches, else 1.";

/// Differences shown of each kind, unless as JSON.
const SHOWN: usize = 50;
/// Rows read at once.
const PAGE: usize = 1_000;
/// How far the UTC of a punch may lie from its wall clock's day: zones, and a clock that says its own.
const AROUND_MS: i64 = 26 * 3600 * 1000;

/// What `compare` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Whose punches
    #[arg(long, value_name = "T")]
    tenant: String,
    /// Which day, by the terminals' clocks: 2026-11-25
    #[arg(long, value_name = "DAY")]
    day: String,
    /// The other program's export, CSV with a line of headings
    #[arg(long, value_name = "FILE")]
    against: PathBuf,
    /// The column with the person [default: guessed]
    #[arg(long, value_name = "COLUMN")]
    person: Option<String>,
    /// The column with the time, or with date and time [default: guessed]
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// The column with the date, where it stands apart [default: guessed]
    #[arg(long, value_name = "COLUMN")]
    date: Option<String>,
    /// The column with the terminal's serial [default: guessed; without one, terminals do not count]
    #[arg(long, value_name = "COLUMN")]
    serial: Option<String>,
    /// 11/25/2026 instead of 25/11/2026
    #[arg(long)]
    month_first: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    equal: usize,
    only_here: Vec<Punch>,
    only_there: Vec<Punch>,
}

/// Compares.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let tenant = context.tenant(&args.tenant)?;
    let day = args.day.trim();
    let date: Date = day
        .parse()
        .map_err(|_| anyhow::anyhow!(context.say(Word::NoDay, &[&shown(day)])))?;
    let bytes = std::fs::read(&args.against).map_err(|error| {
        let (file, why) = (args.against.display(), error.to_string());
        let why = context.lang.detail(&why);
        anyhow::anyhow!(context.say(Word::CannotReadFile, &[&file, &why]))
    })?;
    let columns = Columns {
        person: args.person.as_deref(),
        time: args.time.as_deref(),
        date: args.date.as_deref(),
        serial: args.serial.as_deref(),
        month_first: args.month_first,
    };
    let sheet = Sheet::read(&bytes, columns).map_err(|wrong| told(&wrong, args, context))?;
    let here = stored(&tenant, date, context).await?;
    let there: Vec<Punch> = sheet.of_day(&date.to_string());
    let other_days = sheet.punches.len() - there.len();
    let found = difference(&here, &there, sheet.has_serials, sheet.to_the_minute);
    if args.json {
        out::json(&json!({
            "tenant": tenant.as_str(),
            "day": date.to_string(),
            "equal": found.equal,
            "only_here": found.only_here.iter().map(Punch::as_json).collect::<Vec<_>>(),
            "only_there": found.only_there.iter().map(Punch::as_json).collect::<Vec<_>>(),
            "other_days": other_days,
            "serials_compared": sheet.has_serials,
            "to_the_minute": sheet.to_the_minute,
        }))?;
    } else {
        print(&found, other_days, &sheet, context)?;
    }
    let same = found.only_here.is_empty() && found.only_there.is_empty();
    Ok(if same { Exit::Fine } else { Exit::Failed })
}

fn shown(text: &str) -> String {
    daemon::logging::Escaped(text).to_string()
}

fn told(wrong: &sheet::Wrong, args: &Args, context: &Context) -> anyhow::Error {
    let file = args.against.display();
    let said = match wrong {
        sheet::Wrong::NoColumn { wanted, there } => {
            context.say(Word::CompareNoColumn, &[&shown(wanted), &shown(there)])
        }
        sheet::Wrong::Time { line, text } => {
            context.say(Word::CompareNoTime, &[line, &shown(text)])
        }
        sheet::Wrong::Line { line, why } => context.say(Word::CompareBadLine, &[line, &shown(why)]),
    };
    anyhow::anyhow!("{file}: {said}")
}

/// The day's punches in the tenant's database.
async fn stored(tenant: &TenantId, day: Date, context: &Context) -> anyhow::Result<Vec<Punch>> {
    let zone = context.zone(None, Some(tenant));
    let begins = time::moment(&day.to_string(), &zone, now()).map_err(anyhow::Error::msg)?;
    let place = databases::places(context, Some(tenant)).into_iter().next();
    let place = place.ok_or_else(|| anyhow::anyhow!("the tenant has no database"))?;
    let mut engine = databases::open(context, &place).await?;
    let around = |ms: i64| event::Millis(begins.0 + ms);
    let wanted = Wanted {
        tenant: tenant.as_str(),
        kinds: &[Kind::Punch],
        between: Some((around(-AROUND_MS), around(2 * AROUND_MS))),
        limit: PAGE,
    };
    let (mut punches, mut after, day) = (Vec::new(), 0, day.to_string());
    loop {
        let page = outputs::page(&mut engine, wanted, after).await;
        let page = page.map_err(|failure| databases::told(context, &place, &failure))?;
        punches.extend(page.rows.iter().filter_map(|row| punch(row, &day)));
        if !page.has_more {
            return Ok(punches);
        }
        after = page.up_to;
    }
}

/// A row as a punch of that day by the terminal's own clock.
fn punch(row: &FeedRow, day: &str) -> Option<Punch> {
    let local = row.local_time.as_deref()?.get(..19)?.replacen('T', " ", 1);
    local.starts_with(day).then(|| Punch {
        person: row.person.clone().unwrap_or_default(),
        time: local,
        serial: Some(row.serial.clone()),
        line: None,
    })
}

/// What makes two punches the same.
fn key(punch: &Punch, serials: bool, to_the_minute: bool) -> (String, String, String) {
    let person = punch.person.trim_start_matches('0').to_owned();
    let cut = if to_the_minute { 16 } else { 19 };
    let time = punch.time.get(..cut).unwrap_or(&punch.time).to_owned();
    let serial = punch.serial.clone().filter(|_| serials);
    (time, person, serial.unwrap_or_default())
}

/// Pairs punches off; what is left on a side is only there.
fn difference(here: &[Punch], there: &[Punch], serials: bool, to_the_minute: bool) -> Difference {
    let mut sides: BTreeMap<_, (Vec<&Punch>, Vec<&Punch>)> = BTreeMap::new();
    for punch in here {
        let side = sides.entry(key(punch, serials, to_the_minute));
        side.or_default().0.push(punch);
    }
    for punch in there {
        let side = sides.entry(key(punch, serials, to_the_minute));
        side.or_default().1.push(punch);
    }
    let mut found = Difference::default();
    for (ours, theirs) in sides.into_values() {
        let both = ours.len().min(theirs.len());
        found.equal += both;
        let rest = |all: Vec<&Punch>| all.into_iter().skip(both).cloned().collect::<Vec<_>>();
        found.only_here.extend(rest(ours));
        found.only_there.extend(rest(theirs));
    }
    found
}

fn print(
    found: &Difference,
    other_days: usize,
    sheet: &Sheet,
    context: &Context,
) -> anyhow::Result<()> {
    for (word, punches) in [
        (Word::OnlyHere, &found.only_here),
        (Word::OnlyThere, &found.only_there),
    ] {
        if punches.is_empty() {
            continue;
        }
        out::line(&context.say(word, &[&punches.len()]))?;
        let headings = context.lang.headings(&[
            Word::LocalTime,
            Word::Person,
            Word::Device,
            Word::LineOfFile,
        ]);
        let rows: Vec<Vec<String>> = punches.iter().take(SHOWN).map(Punch::cells).collect();
        out::print(&table::table(&headings, &rows))?;
        if punches.len() > SHOWN {
            out::line(&context.say(Word::AndMore, &[&(punches.len() - SHOWN)]))?;
        }
    }
    let (here, there) = (found.only_here.len(), found.only_there.len());
    out::line(&context.say(Word::Compared, &[&found.equal, &here, &there]))?;
    if other_days > 0 {
        out::line(&context.say(Word::OtherDays, &[&other_days]))?;
    }
    if !sheet.has_serials {
        out::line(&context.say(Word::NoSerials, &[]))?;
    }
    if sheet.to_the_minute {
        out::line(&context.say(Word::ToTheMinute, &[]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(person: &str, time: &str, serial: Option<&str>) -> Punch {
        Punch {
            person: person.to_owned(),
            time: format!("2026-11-25 {time}"),
            serial: serial.map(str::to_owned),
            line: None,
        }
    }

    #[test]
    fn punches_pair_off_one_by_one_and_leading_zeros_do_not_count() {
        let here = [
            made("0042", "09:00:03", Some("A1")),
            made("7", "09:00:03", Some("A1")),
            made("7", "09:00:03", Some("A2")),
        ];
        let there = [
            made("42", "09:00:03", None),
            made("7", "09:00:03", None),
            made("9", "10:00:00", None),
        ];
        let found = difference(&here, &there, false, false);
        assert_eq!(found.equal, 2);
        assert_eq!(found.only_here, [here[2].clone()]);
        assert_eq!(found.only_there, [there[2].clone()]);
        assert_eq!(difference(&here, &there, true, false).equal, 0);
    }

    #[test]
    fn a_file_without_seconds_is_compared_to_the_minute() {
        let found = difference(
            &[made("1", "09:00:03", None)],
            &[made("1", "09:00:00", None)],
            false,
            true,
        );
        assert_eq!(found.equal, 1);
    }
}
