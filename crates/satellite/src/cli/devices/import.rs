//! `satellite devices import`: many terminals at once, from a CSV file.
//!
//! Every line is checked before the first is enrolled, and every mistake is told with its line,
//! so that a file is either taken whole or not at all as far as can be known beforehand. A
//! terminal that another tenant has is a mistake here: moving it is said one by one.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use daemon::exit::Exit;
use daemon::logging::Escaped;
use event::{Millis, Serial, Text, Vendor, Zone};
use store::registry::{Enrolment, NewEnrolment};

use super::super::words::{Speaks as _, Word};
use super::super::{Context, nearest, now, out};
use super::{Registry, accept_from, checked_zone, filled};

pub(crate) const EXAMPLES: &str = "The first line names the columns; only serial is needed:
  serial,vendor,tenant,name,site,time_zone,accept_from
  ABC1,zkteco,acme,Main door,Toluca,,
  ABC2,zkteco,acme,Canteen,Toluca,America/Tijuana,2026-11-21 00:00:00
Columns may be separated by semicolons, too.

Examples:
  satellite devices import terminals.csv --dry-run
  satellite devices import - < terminals.csv";

/// The columns there are.
const COLUMNS: [&str; 7] = [
    "serial",
    "vendor",
    "tenant",
    "name",
    "site",
    "time_zone",
    "accept_from",
];
/// Longest name and site, in characters.
const TEXT_LIMIT: usize = 128;
/// Longest file that is read, in bytes.
const FILE_LIMIT: u64 = 64 << 20;
/// Mistakes that are told at most.
const MISTAKES_SHOWN: usize = 50;

/// What `devices import` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file; `-` is standard input
    file: PathBuf,
    /// Check and say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// A line that passed every check.
#[derive(Debug)]
struct Line {
    number: u64,
    new: NewEnrolment,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    line: u64,
    text: String,
}

/// Imports.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let text = read(&args.file)?;
    let (lines, mut mistakes) = check(&text, context, now());
    // A dry run makes no tables, so it needs them to be there.
    let registry = match args.dry_run {
        true => None,
        false => Some(Registry::open(context).await?),
    };
    let known = super::databases::enrolments(context).await?;
    mistakes.extend(strangers(&lines, &known, context));
    mistakes.sort_by_key(|mistake| mistake.line);
    if !mistakes.is_empty() {
        let file = args.file.display();
        for mistake in mistakes.iter().take(MISTAKES_SHOWN) {
            out::complain(&format!("{file}:{}: {}", mistake.line, mistake.text));
        }
        anyhow::bail!(context.say(Word::ImportRefused, &[&mistakes.len()]));
    }
    match registry {
        None => out::line(&context.say(Word::ImportWould, &[&lines.len()]))?,
        Some(registry) => enrol(lines, registry, context).await?,
    }
    Ok(Exit::Fine)
}

/// Enrols line by line and reports each.
async fn enrol(
    lines: Vec<Line>,
    mut registry: Registry<'_>,
    context: &Context,
) -> anyhow::Result<()> {
    let count = lines.len();
    for (done, line) in lines.into_iter().enumerate() {
        let number = line.number;
        match registry.enrol(line.new).await {
            Ok(enrolled) => {
                out::line(&format!(
                    "{number}: {}",
                    super::sentence(context, &enrolled)
                ))?;
            }
            Err(error) => {
                out::complain(&context.say(Word::ImportStopped, &[&number, &done, &count]));
                return Err(error);
            }
        }
    }
    out::line(&context.say(Word::ImportDone, &[&count]))?;
    Ok(out::line(&context.say(Word::Noticed, &[]))?)
}

fn read(file: &std::path::Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .take(FILE_LIMIT)
            .read_to_end(&mut bytes)?;
    } else {
        let opened = std::fs::File::open(file);
        let opened = opened.with_context(|| format!("{} cannot be read", file.display()))?;
        opened.take(FILE_LIMIT).read_to_end(&mut bytes)?;
    }
    let text = String::from_utf8(bytes);
    let text =
        text.with_context(|| format!("{} is not UTF-8; save it as CSV UTF-8", file.display()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// Checks every line by itself and against the others.
fn check(text: &str, context: &Context, now: Millis) -> (Vec<Line>, Vec<Mistake>) {
    let first = text.lines().next().unwrap_or_default();
    let delimiter = if first.contains(';') && !first.contains(',') {
        b';'
    } else {
        b','
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut records = reader.records();
    let columns = match records.next() {
        Some(Ok(header)) => columns(&header, context),
        _ => Err(context.say(Word::ImportNoHeader, &[&COLUMNS.join(",")])),
    };
    let columns = match columns {
        Ok(columns) => columns,
        Err(text) => return (Vec::new(), vec![Mistake { line: 1, text }]),
    };
    let (mut lines, mut mistakes) = (Vec::new(), Vec::new());
    let mut seen: HashMap<Serial, u64> = HashMap::new();
    for record in records {
        let (number, checked) = match record {
            Ok(record) => {
                let number = record.position().map_or(0, |at| line_number(text, at));
                (number, line(&record, &columns, context, now))
            }
            Err(error) => {
                let number = error.position().map_or(0, |at| line_number(text, at));
                (number, Err(error.to_string()))
            }
        };
        let checked = checked.and_then(|new| match seen.insert(new.serial.clone(), number) {
            Some(before) => Err(context.say(Word::ImportTwice, &[&new.serial, &before])),
            None => Ok(new),
        });
        match checked {
            Ok(new) => lines.push(Line { number, new }),
            Err(text) => mistakes.push(Mistake { line: number, text }),
        }
    }
    (lines, mistakes)
}

/// The line of a record as an editor numbers it. The reader's position is that of the end of
/// the record before, with what is left of that line and with the blank lines after it.
fn line_number(text: &str, at: &csv::Position) -> u64 {
    let byte = usize::try_from(at.byte()).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(byte..).unwrap_or_default();
    let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    at.line() + blank.filter(|byte| **byte == b'\n').count() as u64
}

/// Which column stands where.
fn columns(header: &csv::StringRecord, context: &Context) -> Result<[Option<usize>; 7], String> {
    let mut columns = [None; COLUMNS.len()];
    for (at, name) in header.iter().enumerate() {
        let lower = name.to_ascii_lowercase();
        let Some(known) = COLUMNS.iter().position(|column| *column == lower) else {
            let near = nearest::nearest_first(name, COLUMNS.into_iter());
            let near = near.first().copied().unwrap_or_default();
            return Err(context.say(
                Word::ImportColumn,
                &[&Escaped(name), &near, &COLUMNS.join(",")],
            ));
        };
        if let Some(slot) = columns.get_mut(known) {
            *slot = Some(at);
        }
    }
    if columns[0].is_none() {
        return Err(context.say(Word::ImportNoHeader, &[&COLUMNS.join(",")]));
    }
    Ok(columns)
}

/// Checks one line.
fn line(
    record: &csv::StringRecord,
    columns: &[Option<usize>; 7],
    context: &Context,
    now: Millis,
) -> Result<NewEnrolment, String> {
    let cells = columns.map(|column| {
        record
            .get(column?)
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
    });
    let [serial, vendor, tenant, name, site, zone, from] = cells;
    let serial = serial.unwrap_or_default();
    let wrong = |error: event::NameError| {
        let error = context.lang.detail(&error.to_string());
        context.say(Word::ImportSerial, &[&Escaped(serial), &error])
    };
    let serial = Serial::new(serial).map_err(wrong)?;
    let tenant = context
        .tenant_or_only(tenant)
        .map_err(|error| error.to_string())?;
    let is_zkteco = |word: &&str| word.eq_ignore_ascii_case(Vendor::Zkteco.as_str());
    if let Some(other) = vendor.filter(|word| !is_zkteco(word)) {
        let program = super::super::program();
        let values: [&dyn std::fmt::Display; 4] = [&Escaped(other), &program, &tenant, &serial];
        return Err(context.say(Word::ImportVendor, &values));
    }
    for (column, text) in [("name", name), ("site", site)] {
        if text.is_some_and(|text| text.chars().count() > TEXT_LIMIT) {
            return Err(context.say(Word::ImportLong, &[&column, &TEXT_LIMIT]));
        }
    }
    let own: Option<Zone> = checked_zone(zone).map_err(|error| error.to_string())?;
    let read_in = own
        .clone()
        .unwrap_or_else(|| context.zone(None, Some(&tenant)));
    let from = from
        .map(|text| accept_from(text, &read_in, now))
        .transpose()?;
    Ok(NewEnrolment {
        name: filled(name),
        site: filled(site),
        time_zone: own.map(|zone| Text::new(zone.name())),
        accept_from: from,
        ..NewEnrolment::of(Vendor::Zkteco, serial, tenant)
    })
}

/// Lines whose terminal another tenant has.
fn strangers(lines: &[Line], known: &[Enrolment], context: &Context) -> Vec<Mistake> {
    let known: HashMap<&Serial, &Enrolment> = known.iter().map(|one| (&one.serial, one)).collect();
    let wrong = |line: &Line| {
        let other = known
            .get(&line.new.serial)
            .filter(|other| other.tenant != line.new.tenant)?;
        let (serial, program) = (&line.new.serial, super::super::program());
        let text = context.say(
            Word::BelongsTo,
            &[serial, &other.tenant, &program, &line.new.tenant, serial],
        );
        Some(Mistake {
            line: line.number,
            text,
        })
    };
    lines.iter().filter_map(wrong).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<(u64, String)> {
        let (_, mistakes) = check(text, &Context::for_tests(), Millis(0));
        mistakes
            .into_iter()
            .map(|mistake| (mistake.line, mistake.text))
            .collect()
    }

    #[test]
    fn a_good_file_gives_one_enrolment_a_line() {
        let text = "serial,name,time_zone,accept_from\nA1,Main door,America/Tijuana,2026-11-21\n\nA2,,,all\n";
        let (lines, mistakes) = check(text, &Context::for_tests(), Millis(0));
        assert_eq!(mistakes, []);
        let first = &lines[0].new;
        assert_eq!((lines[0].number, lines[1].number), (2, 4));
        assert_eq!(
            (first.serial.as_str(), first.tenant.as_str()),
            ("A1", "main")
        );
        assert_eq!(first.name.as_deref(), Some("Main door"));
        assert_eq!(
            first.accept_from,
            Some(Millis::parse("2026-11-21 08:00:00"))
        );
        assert_eq!(
            (lines[1].new.accept_from, &lines[1].new.name),
            (Some(None), &None)
        );
    }

    #[test]
    fn lines_are_numbered_as_an_editor_does_whatever_their_ends() {
        for end in ["\n", "\r\n"] {
            let text = ["serial", "A1", "", "", "A2", "\"A3\"", "A4"].join(end);
            let (lines, _) = check(&text, &Context::for_tests(), Millis(0));
            let numbers: Vec<u64> = lines.iter().map(|line| line.number).collect();
            assert_eq!(numbers, [2, 5, 6, 7], "{end:?}");
        }
    }

    #[test]
    fn semicolons_and_a_quoted_name_are_read() {
        let (lines, mistakes) = check(
            "serial;name\nA1;\"a; b\"\n",
            &Context::for_tests(),
            Millis(0),
        );
        assert_eq!(mistakes, []);
        assert_eq!(lines[0].new.name.as_deref(), Some("a; b"));
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = "serial,tenant,name,time_zone,accept_from\nA 1,,,,\nA2,nobody,,,\nA3,,,Mars/Base,\n\
                    A4,,,,later\nA5,,,,\nA5,,,,\nA6,,LONG,,\n";
        let text = text.replace("LONG", &"x".repeat(129));
        let wrong = wrong(&text);
        let lines: Vec<u64> = wrong.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 7, 8]);
        for ((_, text), part) in
            wrong
                .iter()
                .zip(["A 1", "main", "Mars/Base", "later", "line 6", "128"])
        {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_file_without_its_header_or_with_a_misspelt_column_is_refused_with_the_right_names() {
        for (text, part) in [
            ("", "serial,vendor,tenant"),
            ("name\nx\n", "serial,vendor,tenant"),
            ("serial,timezone\nA1,\n", "time_zone"),
        ] {
            let wrong = wrong(text);
            assert_eq!(wrong.len(), 1);
            assert!(wrong[0].0 == 1 && wrong[0].1.contains(part), "{wrong:?}");
        }
    }

    #[test]
    fn the_vendor_may_be_said_and_one_that_cannot_be_imported_is_told_the_command_that_can() {
        let text = "serial,vendor\nA1,ZKTeco\nA2,\nK12345678,hikvision\nA3,casio\n";
        let (lines, _) = check(text, &Context::for_tests(), Millis(0));
        assert_eq!(lines.len(), 2);
        let wrong = wrong(text);
        let at: Vec<u64> = wrong.iter().map(|(line, _)| *line).collect();
        assert_eq!(at, [4, 5]);
        let command = "devices add --tenant main --vendor hikvision --serial K12345678";
        assert!(wrong[0].1.contains(command), "{}", wrong[0].1);
        assert!(wrong[1].1.contains("casio"), "{}", wrong[1].1);
    }
}
