//! How events are written: as a table, as lines, as JSON, as CSV.
//!
//! JSON and CSV for programs are written as [`satellite::outputs`] writes them.

use std::borrow::Cow;
use std::io;

use daemon::logging::Escaped;
use event::Zone;
pub(crate) use satellite::outputs::{csv_head, csv_rows, guarded, json_row};
use store::feed::FeedRow;

use super::super::words::{Lang, Speaks as _, Word};
use super::super::{Context, out, table, time};
use super::Format;

const HEADINGS: [Word; 8] = [
    Word::Time,
    Word::Tenant,
    Word::Device,
    Word::Person,
    Word::Kind,
    Word::Status,
    Word::Verify,
    Word::Route,
];

/// Widths of the columns that lines have while following.
const WIDTHS: [usize; 8] = [26, 12, 20, 12, 11, 7, 12, 15];

/// What stands before the first row.
pub(super) fn start(format: Format, _: &Context) -> anyhow::Result<()> {
    if format == Format::Csv {
        out::print(&csv_head()?)?;
    }
    Ok(())
}

/// The headings over lines.
pub(super) fn line_headings(format: Format, context: &Context) -> io::Result<()> {
    if format != Format::Table {
        return Ok(());
    }
    let headings = context.lang.headings(&HEADINGS);
    out::print(&aligned(headings.into_iter().map(Cow::Borrowed)))
}

/// A whole table.
pub(super) fn table(rows: &[FeedRow], context: &Context) -> String {
    if rows.is_empty() {
        return format!("{}\n", context.say(Word::NoEvents, &[]));
    }
    let cells = |row| cells(row, context.lang).into();
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    table::table(&context.lang.headings(&HEADINGS), &rows)
}

/// Lines with columns of fixed width.
pub(super) fn lines(rows: &[FeedRow], lang: Lang) -> String {
    let line = |row: &FeedRow| {
        let safe = cells(row, lang).map(|cell| Escaped(cell).to_string());
        aligned(safe.into_iter().map(Cow::Owned))
    };
    rows.iter().map(line).collect()
}

fn aligned<'a>(cells: impl Iterator<Item = Cow<'a, str>>) -> String {
    let mut line = String::new();
    for (cell, width) in cells.zip(WIDTHS) {
        let cell = if cell.is_empty() {
            Cow::Borrowed("-")
        } else {
            cell
        };
        line.push_str(&format!("{cell:<width$} "));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

/// One row for people.
fn cells(row: &FeedRow, lang: Lang) -> [String; 8] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        when(row),
        text(&row.tenant),
        row.device_name
            .clone()
            .unwrap_or_else(|| row.serial.clone()),
        text(&row.person),
        lang.term(&row.kind),
        text(&row.status_code),
        text(&row.verify_code),
        lang.term(&row.route),
    ]
}

/// The terminal's own time with its offset, its own where it said one; where it gave no time,
/// when the event came.
fn when(row: &FeedRow) -> String {
    let zone = Zone::named(&row.time_zone).unwrap_or_else(|_| Zone::utc());
    match (&row.local_time, row.occurred_at) {
        (Some(local), _) if own_offset(local).is_some() => {
            let offset = own_offset(local).unwrap_or_default();
            let wall = local.get(..19).unwrap_or(local).replace('T', " ");
            format!("{wall} {}", offset.replace('Z', "+00:00"))
        }
        (Some(local), Some(at)) => {
            format!("{local} {}", time::offset_text(zone.offset_seconds_at(at)))
        }
        (Some(local), None) => local.clone(),
        (None, at) => time::show(at.unwrap_or(row.received_at), &zone),
    }
}

/// What follows the seconds in a time that says its own offset: `-06:00` or `Z`.
fn own_offset(local: &str) -> Option<&str> {
    let offset = local.get(19..)?;
    (offset == "Z" || offset.starts_with(['+', '-'])).then_some(offset)
}

/// Rows for programs.
pub(super) fn rows(format: Format, rows: &[FeedRow]) -> anyhow::Result<()> {
    let text = match format {
        Format::Csv => csv_rows(rows)?,
        Format::Json | Format::Table => rows
            .iter()
            .map(|row| format!("{}\n", json_row(row)))
            .collect(),
    };
    Ok(out::print(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::Millis;

    fn row() -> FeedRow {
        FeedRow {
            seq: 7,
            event_uid: "ab".to_owned(),
            tenant: Some("acme".to_owned()),
            vendor: "zkteco".to_owned(),
            serial: "ABC1".to_owned(),
            device_name: None,
            kind: "punch".to_owned(),
            person: Some("=1+1".to_owned()),
            card: None,
            local_time: Some("2026-11-21 08:59:58".to_owned()),
            time_zone: "America/Mexico_City".to_owned(),
            occurred_at: Millis::parse("2026-11-21 14:59:58"),
            received_at: Millis::parse("2026-11-21 15:00:00.250").unwrap(),
            status_code: Some("0".to_owned()),
            verify_code: None,
            vendor_code: None,
            direction: None,
            door: None,
            route: "push".to_owned(),
            timeliness: "live".to_owned(),
            clock: "ok".to_owned(),
            attributes: Some(r#"{"mask":"1"}"#.to_owned()),
            raw: b"=1+1\t\xff".to_vec(),
        }
    }

    #[test]
    fn a_line_shows_the_terminals_time_with_its_offset_and_no_control_characters() {
        let mut row = row();
        row.person = Some("1\n\u{1b}[2J".to_owned());
        let text = lines(&[row], Lang::En);
        assert!(
            text.starts_with("2026-11-21 08:59:58 -06:00 acme"),
            "{text}"
        );
        assert!(!text.trim_end().contains(char::is_control), "{text:?}");
    }

    #[test]
    fn a_time_that_says_its_own_offset_is_shown_with_that_one_and_no_second() {
        let mut row = row();
        for (said, shown) in [
            ("2026-09-19T18:02:38+03:00", "2026-09-19 18:02:38 +03:00"),
            ("2026-09-19T18:02:38Z", "2026-09-19 18:02:38 +00:00"),
            ("2026-09-19 18:02:38", "2026-09-19 18:02:38 -06:00"),
        ] {
            row.local_time = Some(said.to_owned());
            assert_eq!(when(&row), shown);
            assert_eq!(
                json_row(&row)["local_time"],
                said,
                "programs read it verbatim"
            );
        }
    }
}
