//! Rows of the feed in files: JSON lines and CSV, with all their columns and the record's bytes.
//!
//! Columns have the names of `event_feed`, times are UTC. A spreadsheet runs cells that begin with
//! certain characters as formulas, and these cells come from terminals: such a cell gets an
//! apostrophe in front. The same row makes the same bytes.

use std::borrow::Cow;
use std::io;

use serde_json::json;
use store::feed::FeedRow;

use super::{event_json, utc};
use crate::config::FIELDS;
use crate::hex;

/// Everything in a row, as JSON.
#[must_use]
pub fn json_row(row: &FeedRow) -> serde_json::Value {
    let mut event = event_json(row);
    let raw = std::str::from_utf8(&row.raw).ok();
    event.insert("raw".to_owned(), json!(raw));
    let hex = raw.is_none().then(|| hex(&row.raw));
    event.insert("raw_hex".to_owned(), json!(hex));
    serde_json::Value::Object(event)
}

/// The headings of CSV: the columns of the feed, and the record's bytes.
///
/// # Errors
/// None that memory does not make.
pub fn csv_head() -> io::Result<String> {
    let columns = FIELDS.into_iter().chain(["raw"]);
    csv_text([columns.map(str::to_owned).collect()])
}

/// Rows as CSV.
///
/// # Errors
/// None that memory does not make.
pub fn csv_rows(rows: &[FeedRow]) -> io::Result<String> {
    csv_text(rows.iter().map(csv_cells))
}

fn csv_cells(row: &FeedRow) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let raw = std::str::from_utf8(&row.raw).map_or_else(|_| hex(&row.raw), str::to_owned);
    vec![
        row.seq.to_string(),
        row.event_uid.clone(),
        text(&row.tenant),
        row.vendor.clone(),
        row.serial.clone(),
        text(&row.device_name),
        row.kind.clone(),
        text(&row.person),
        text(&row.card),
        text(&row.local_time),
        row.time_zone.clone(),
        row.occurred_at.map(utc).unwrap_or_default(),
        utc(row.received_at),
        text(&row.status_code),
        text(&row.verify_code),
        text(&row.vendor_code),
        text(&row.direction),
        text(&row.door),
        row.route.clone(),
        row.timeliness.clone(),
        row.clock.clone(),
        text(&row.attributes),
        raw,
    ]
}

fn csv_text(rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.iter().map(|cell| guarded(cell).into_owned()))?;
    }
    let bytes = writer
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// A cell that no spreadsheet takes for a formula.
#[must_use]
pub fn guarded(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
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
    fn a_cell_never_becomes_a_formula() {
        for bad in ["=1+1", "+1", "-1", "@x", "\tx", "\rx"] {
            assert_eq!(guarded(bad), format!("'{bad}"));
        }
        for good in ["", "1001", "a=b", "Ana"] {
            assert_eq!(guarded(good), good);
        }
        let text = csv_rows(&[row()]).unwrap();
        assert!(text.contains(",'=1+1,"), "{text}");
    }

    #[test]
    fn csv_has_as_many_cells_as_columns_and_quotes_what_needs_it() {
        let mut row = row();
        row.device_name = Some("a, \"b\"\nc".to_owned());
        let text = csv_head().unwrap() + &csv_rows(std::slice::from_ref(&row)).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!(record.len(), FIELDS.len() + 1);
        assert_eq!(&record[5], "a, \"b\"\nc");
        assert_eq!(&record[11], "2026-11-21T14:59:58.000Z");
    }

    #[test]
    fn json_keeps_absent_values_as_null_and_bytes_that_are_no_text_as_digits() {
        let json = json_row(&row());
        assert_eq!(json["card"], serde_json::Value::Null);
        assert_eq!(json["raw"], serde_json::Value::Null);
        assert_eq!(json["raw_hex"], "3d312b3109ff");
        assert_eq!(json["attributes"]["mask"], "1");
        assert_eq!(json["received_at"], "2026-11-21T15:00:00.250Z");
        assert_eq!(json.as_object().unwrap().len(), FIELDS.len() + 2);
    }
}
