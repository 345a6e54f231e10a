//! Events into a table of a customer's program.
//!
//! One connection for each delivery: two hundred tenants whose tables stand on one server hold none
//! of its sessions while nothing happens. What a mapping cannot express of an event, and what the
//! table refuses, is a refusal of that event; everything else is waited for. What must never happen
//! here: a value in the text of a statement; a value in the words of a refusal.

use std::borrow::Cow;
use std::time::Duration;

use event::WallTime;
use serde_json::Value as Json;
use store::feed::FeedRow;
use store::table::{Form, Put, check, put};
use store::{AnyEngine, Failure, Value};

use super::course::Verdict;
use super::shape::event_json;
use crate::config::{Moment, Table, Takes, shown, wall};

/// Longest that a delivery may take, its connection included.
const WITHIN: Duration = Duration::from_secs(20);

/// The values of a row, `None` for NULL.
type Values<'a> = Vec<Option<Cow<'a, str>>>;

/// Writes them once. `is_known` is whether the table was found to be as it must be, and becomes so.
pub(super) async fn write(table: &Table, rows: &[FeedRow], is_known: &mut bool) -> Verdict {
    let read = rows.iter().map(|row| values(table, row));
    let rows: Vec<Values<'_>> = match read.collect() {
        Ok(rows) => rows,
        Err(why) => return Verdict::Refused(why),
    };
    let done = tokio::time::timeout(WITHIN, attempt(table, &rows, is_known)).await;
    match done {
        Ok(Ok(Put::Stored)) => Verdict::Taken,
        Ok(Ok(Put::Refused(why))) => Verdict::Refused(why),
        Ok(Err(failure)) => {
            *is_known = false;
            Verdict::Later(failure.text)
        }
        Err(_) => Verdict::Later(format!("no answer within {} s", WITHIN.as_secs())),
    }
}

/// Connects and looks whether the table is as the configuration says.
///
/// # Errors
/// It is not, or the server cannot be asked.
pub async fn look(table: &Table) -> Result<(), Failure> {
    let mut engine = table.target.connect().await?;
    let looked = check(&mut engine, form(table, &names(table))).await;
    engine.close().await;
    looked
}

async fn attempt(table: &Table, rows: &[Values<'_>], is_known: &mut bool) -> Result<Put, Failure> {
    let mut engine = table.target.connect().await?;
    let done = into(&mut engine, table, rows, is_known).await;
    engine.close().await;
    done
}

async fn into(
    engine: &mut AnyEngine,
    table: &Table,
    rows: &[Values<'_>],
    is_known: &mut bool,
) -> Result<Put, Failure> {
    let names = names(table);
    let form = form(table, &names);
    if !*is_known {
        check(engine, form).await?;
        *is_known = true;
    }
    let bound: Vec<Vec<Value<'_>>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|value| Value::opt(value.as_deref()))
                .collect()
        })
        .collect();
    put(engine, form, &bound).await
}

fn names(table: &Table) -> Vec<&str> {
    let names = table.columns.iter().map(|column| column.name.as_str());
    names.collect()
}

fn form<'a>(table: &'a Table, names: &'a [&'a str]) -> Form<'a> {
    Form {
        table: &table.name,
        columns: names,
        name: table.uid,
    }
}

/// What goes into each column; or which column has no word for what the event says.
fn values<'a>(table: &'a Table, row: &'a FeedRow) -> Result<Values<'a>, String> {
    let columns = table.columns.iter();
    let read = columns.map(|column| {
        let value = value(&column.takes, row);
        value.map_err(|why| format!("column {}: {why}", column.name))
    });
    read.collect()
}

fn value<'a>(takes: &'a Takes, row: &'a FeedRow) -> Result<Option<Cow<'a, str>>, &'static str> {
    Ok(match takes {
        Takes::Field(name) => field(row, name),
        Takes::Fixed(text) => Some(Cow::Borrowed(text)),
        Takes::Time { of, form, zone } => {
            let time = match of {
                Moment::Received => shown(form, row.received_at, zone),
                Moment::Occurred => row.occurred_at.and_then(|at| shown(form, at, zone)),
                Moment::Local => said(row).and_then(|at| wall(form, at.seconds_as_utc())),
            };
            time.map(Cow::Owned)
        }
        Takes::Code {
            of,
            codes,
            otherwise,
        } => {
            let word = field(row, of);
            let known = word.as_deref().and_then(|word| codes.get(word));
            match (known.or(otherwise.as_ref()), word) {
                (Some(code), _) => Some(Cow::Borrowed(code)),
                (None, None) => None,
                (None, Some(_)) => return Err("its codes have none for this event"),
            }
        }
    })
}

/// What the terminal's clock said, without the offset that some write behind it.
fn said(row: &FeedRow) -> Option<WallTime> {
    let text = row.local_time.as_deref()?.as_bytes();
    WallTime::parse(text.get(..19)?)
}

/// A column of the feed as text: times as `YYYY-MM-DD HH:MM:SS.mmm`, UTC.
fn field<'a>(row: &'a FeedRow, name: &str) -> Option<Cow<'a, str>> {
    let plain = match name {
        "event_uid" => Some(&row.event_uid),
        "serial" => Some(&row.serial),
        "person" => return row.person.as_deref().map(Cow::Borrowed),
        "received_at" => return Some(row.received_at.text().into()),
        "occurred_at" => return row.occurred_at.map(|at| at.text().into()),
        "attributes" => return row.attributes.as_deref().map(Cow::Borrowed),
        _ => None,
    };
    if let Some(text) = plain {
        return Some(Cow::Borrowed(text));
    }
    match event_json(row).remove(name)? {
        Json::Null => None,
        Json::String(text) => Some(text.into()),
        other => Some(other.to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::sample;
    use super::*;
    use crate::config::FIELDS;
    use event::Zone;

    fn of(takes: Takes, row: &FeedRow) -> Result<Option<String>, &'static str> {
        value(&takes, row).map(|value| value.map(Cow::into_owned))
    }

    #[test]
    fn every_column_that_a_mapping_may_name_is_one_of_an_event() {
        let mut ours: Vec<String> = FIELDS.map(str::to_owned).into();
        let mut theirs: Vec<String> = event_json(&sample(1)).keys().cloned().collect();
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs);
        let row = sample(7);
        assert_eq!(field(&row, "seq").as_deref(), Some("7"));
        assert_eq!(field(&row, "person").as_deref(), Some("0042"));
        assert_eq!(field(&row, "status_code").as_deref(), Some("0"));
        assert_eq!(field(&row, "door"), None);
        assert_eq!(
            field(&row, "received_at").as_deref(),
            Some("2026-11-21 15:00:04.500")
        );
    }

    #[test]
    fn a_code_that_is_not_known_is_refused_unless_there_is_a_word_for_the_rest() {
        let codes = [("in".to_owned(), "1".to_owned())];
        let code = |otherwise: Option<&str>| Takes::Code {
            of: "direction",
            codes: codes.clone().into(),
            otherwise: otherwise.map(str::to_owned),
        };
        let mut row = sample(1);
        assert_eq!(of(code(None), &row), Ok(Some("1".to_owned())));
        row.direction = Some("out".to_owned());
        assert!(of(code(None), &row).is_err());
        assert_eq!(of(code(Some("0")), &row), Ok(Some("0".to_owned())));
        row.direction = None;
        assert_eq!(of(code(None), &row), Ok(None));
    }

    #[test]
    fn the_terminals_own_time_is_read_in_both_vendors_forms() {
        let takes = || Takes::Time {
            of: Moment::Local,
            form: "%d/%m/%Y %H:%M".to_owned(),
            zone: Zone::utc(),
        };
        let mut row = sample(1);
        assert_eq!(of(takes(), &row), Ok(Some("21/11/2026 09:00".to_owned())));
        row.local_time = Some("2026-11-21T09:00:03-06:00".to_owned());
        assert_eq!(of(takes(), &row), Ok(Some("21/11/2026 09:00".to_owned())));
        row.local_time = Some("¿mañana?".to_owned());
        assert_eq!(of(takes(), &row), Ok(None));
    }
}
