//! From what an edge carried to an event of a terminal of ours.
//!
//! What the record's bytes tell is read from them here, by the same protocol crates and in this
//! installation's time zone, so that a record has one row and one text whichever way it comes. The
//! identity that was sent is never simply believed: it must be one that the record makes, or the
//! record goes into quarantine, where it can be read again. Only where nothing but the edge can know
//! it (records of other makes, whose mapping is there, and its own events about a terminal) it is
//! taken as it was sent: it still names an event of that one terminal only. Nothing here stores.

use event::{
    Bytes, ClockFlag, Device, Direction, Event, Ident, IdentForm, Kind, Millis, Quarantined,
    Reason, Route, Text, Timeliness, Vendor, WallTime,
};
use hikvision_isapi::Heard;
use serde_json::{Map, Value, json};
use zkteco_push::{Table, read_upload};

use super::wire::{Aside, Carried, unhex};

/// How often a Hikvision device may have begun to count again.
const EPOCHS: u32 = 16;
/// Longest detail of a record in quarantine, in characters.
const DETAIL: usize = 190;
/// Longest source of a record in quarantine, in bytes.
const SOURCE: usize = 32;

/// What has to be known besides the record.
pub(crate) struct Around<'a> {
    /// Whose it is, here.
    pub(crate) device: &'a Device,
    /// The serial of the edge.
    pub(crate) edge: &'a str,
    /// Now, by our clock.
    pub(crate) at: Millis,
}

/// The event, or the record as it belongs in quarantine.
pub(crate) fn event(carried: &Carried, around: &Around<'_>) -> Result<Event, Quarantined> {
    let Some(raw) = carried.raw.bytes() else {
        return Err(unfit(
            "its bytes are written in no known way",
            Bytes::new(),
            around,
        ));
    };
    let made = ident(carried).and_then(|ident| match around.device.vendor {
        Vendor::Hikvision => document(carried, &raw, ident, around),
        Vendor::Zkteco => record(carried, &raw, ident, around),
        Vendor::Other => as_sent(carried, &raw, ident, around),
        Vendor::Satellite => Err("it is no terminal's"),
    });
    match made {
        Ok(event) => Ok(Event {
            route: Route::Edge,
            received_at: around.at,
            attributes: told(event.attributes, carried, around),
            ..event
        }),
        Err(why) => Err(unfit(why, raw, around)),
    }
}

/// A record of the edge's quarantine, as it belongs in ours.
pub(crate) fn aside(aside: &Aside, around: &Around<'_>) -> Option<Quarantined> {
    let raw = aside.raw.bytes()?;
    let cut = raw.slice(..raw.len().min(Quarantined::RAW_LIMIT));
    let source = aside.source.get(..SOURCE).unwrap_or(&aside.source);
    Some(Quarantined {
        reason: Reason::from_word(&aside.reason).unwrap_or(Reason::Unreadable),
        detail: aside
            .detail
            .chars()
            .filter(|c| !c.is_control())
            .take(DETAIL)
            .collect(),
        source: Text::new(source),
        route: Route::Edge,
        received_at: around.at,
        raw: cut,
    })
    .filter(|one| one.source.len() <= SOURCE)
}

/// Something that could not be read as an event of a terminal.
pub(crate) fn unfit(why: &str, raw: Bytes, around: &Around<'_>) -> Quarantined {
    Quarantined {
        reason: Reason::Unreadable,
        detail: Text::new(why),
        source: Text::const_new("edge"),
        route: Route::Edge,
        received_at: around.at,
        raw: raw.slice(..raw.len().min(Quarantined::RAW_LIMIT)),
    }
}

pub(crate) type Fit<T> = Result<T, &'static str>;

const OTHER_IDENTITY: &str = "its identity does not follow from the record";

fn ident(carried: &Carried) -> Fit<Ident> {
    let bytes = unhex(&carried.ident);
    let ident = bytes.and_then(|bytes| Ident::from_slice(&bytes));
    ident.ok_or("its identity is not 32 hexadecimal digits")
}

/// A Hikvision record is read from its own bytes; the count of serials it belongs to is the one under
/// which it has the identity that was sent.
fn document(carried: &Carried, raw: &Bytes, ident: Ident, around: &Around<'_>) -> Fit<Event> {
    let searched = matches!(carried.route.as_str(), "poll" | "backfill");
    let heard = hikvision_isapi::reread(searched, raw);
    let records = heard.iter().filter_map(|heard| match heard {
        Heard::Record(record) => Some(record),
        Heard::Unreadable(_) | Heard::Heartbeat | Heard::Notice(_) => None,
    });
    for record in records {
        for epoch in 0..EPOCHS {
            let context = hikvision_isapi::Context {
                zone: &around.device.zone,
                route: Route::Edge,
                received_at: around.at,
                epoch,
            };
            match hikvision_isapi::normalize(record, &context) {
                Ok(event) if event.ident == ident => return Ok(event),
                Ok(_) if record.serial_no.is_some() => {}
                // The count is not in it, so that another one makes no difference.
                Ok(_) | Err(_) => break,
            }
        }
    }
    // What the device said of itself is no record of its own.
    own_event(carried, raw, ident, around)
}

/// A record of a ZKTeco terminal: a punch by its person and second, whatever its bytes are, and
/// every other one by the line it came as.
fn record(carried: &Carried, raw: &Bytes, sent: Ident, around: &Around<'_>) -> Fit<Event> {
    let wall = carried.local_time.as_deref();
    let wall = wall.and_then(|text| WallTime::parse(text.as_bytes()));
    if let Some((person, wall)) = carried.person.as_deref().zip(wall)
        && Ident::attendance(person.as_bytes(), &wall) == sent
    {
        return as_sent(carried, raw, sent, around);
    }
    let context = zkteco_push::Context {
        zone: &around.device.zone,
        route: Route::Edge,
        received_at: around.at,
        language: carried.language,
    };
    let tables = [
        Table::Transaction,
        Table::RtLog,
        Table::OperLog,
        Table::ErrorLog,
    ];
    let read = tables
        .iter()
        .flat_map(|table| read_upload(table, raw, &context).events);
    let found = read.into_iter().find(|event| event.ident == sent);
    found.map_or_else(|| own_event(carried, raw, sent, around), Ok)
}

/// An event that a satellite itself wrote down about a terminal: its firmware changed. Its bytes say
/// all but the number of the change.
fn own_event(carried: &Carried, raw: &Bytes, sent: Ident, around: &Around<'_>) -> Fit<Event> {
    if carried.vendor_code.as_deref() != Some("firmware") {
        return Err(OTHER_IDENTITY);
    }
    let told: Value = serde_json::from_slice(raw).map_err(|_| OTHER_IDENTITY)?;
    let text = |key: &str| {
        told.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (before, now) = (text("before"), text("now"));
    let of = |number: u64| {
        let form = IdentForm::new("dev")
            .field(b"firmware")
            .field(&number.to_be_bytes());
        form.field(before.as_bytes()).field(now.as_bytes()).finish()
    };
    match (0..1_000).any(|number| of(number) == sent) {
        true => as_sent(carried, raw, sent, around),
        false => Err(OTHER_IDENTITY),
    }
}

/// The event as its columns say; times are placed in this installation's zone.
pub(crate) fn as_sent(
    carried: &Carried,
    raw: &Bytes,
    ident: Ident,
    around: &Around<'_>,
) -> Fit<Event> {
    if raw.len() > Event::RAW_LIMIT {
        return Err("its bytes are too many");
    }
    let kind = Kind::from_word(&carried.kind).ok_or("a kind that is not known")?;
    let local = short(carried.local_time.as_deref(), Event::CODE_LIMIT)?;
    let wall = local
        .as_deref()
        .and_then(|text| WallTime::parse(text.as_bytes()));
    let resolved = wall.map(|wall| around.device.zone.resolve(&wall));
    let sent = carried.occurred_at.map(Millis).filter(|at| is_a_time(*at));
    let occurred_at = resolved.map(|it| it.at).or(sent);
    let clock = resolved.map_or(ClockFlag::Ok, |it| ClockFlag::of(it, around.at));
    let timeliness = occurred_at.map_or(Timeliness::Live, |at| Timeliness::of(at, around.at));
    Ok(Event {
        ident,
        kind,
        person: short(carried.person.as_deref(), Event::PERSON_LIMIT)?,
        card: short(carried.card.as_deref(), Event::PERSON_LIMIT)?,
        local_time: local,
        occurred_at,
        received_at: around.at,
        status_code: short(carried.status_code.as_deref(), Event::CODE_LIMIT)?,
        verify_code: short(carried.verify_code.as_deref(), Event::CODE_LIMIT)?,
        vendor_code: short(carried.vendor_code.as_deref(), Event::CODE_LIMIT)?,
        direction: carried.direction.as_deref().and_then(Direction::from_word),
        door: short(carried.door.as_deref(), Event::CODE_LIMIT)?,
        route: Route::Edge,
        timeliness,
        clock,
        attributes: carried.attributes.clone(),
        raw: raw.clone(),
    })
}

/// The years that every database can write.
pub(crate) fn is_a_time(at: Millis) -> bool {
    (0..253_402_207_200_000).contains(&at.0)
}

/// A text for a column; absent stays absent.
fn short(text: Option<&str>, limit: usize) -> Fit<Option<Text>> {
    match text {
        None => Ok(None),
        Some("") => Err("a text that is empty"),
        Some(text) if text.len() > limit => Err("a text that is too long"),
        Some(text) if text.chars().any(char::is_control) => Err("control characters in a text"),
        Some(text) => Ok(Some(Text::new(text))),
    }
}

/// The attributes with which edge it came by, how it came there, and when. What is no JSON object,
/// or would be too long, stays as it is or out.
fn told(attributes: Option<String>, carried: &Carried, around: &Around<'_>) -> Option<String> {
    let before = attributes.filter(|text| text.len() <= Event::ATTRIBUTES_LIMIT);
    let read = before
        .as_deref()
        .map_or_else(|| Ok(Map::new()), serde_json::from_str);
    let Ok(mut all) = read else {
        return before;
    };
    let received = Millis(carried.received_at);
    let received = is_a_time(received).then(|| received.text());
    let route = Route::from_word(&carried.route).map(Route::as_str);
    let edge = json!({"serial": around.edge, "route": route, "received_at": received});
    all.insert("edge".to_owned(), edge);
    let text = Value::Object(all).to_string();
    if text.len() <= Event::ATTRIBUTES_LIMIT {
        Some(text)
    } else {
        before
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
