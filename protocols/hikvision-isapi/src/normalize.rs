//! Records to events: the one place that decides what a device's field becomes.
//!
//! | Record | kind | identity (form, then fields) |
//! |---|---|---|
//! | with `serialNo` | below | `hik`, epoch, serial, major, minor |
//! | without | below | `hik0`, class, wall second, place, major, minor, person, card |
//!
//! Major 5 is a punch when a person was authenticated with success and chose a status, else
//! access; 1 is an alarm, 2 the device, 3 an operation. Cameras give alarms, or the state of
//! the device. The class in `hik0` is the kind with "punch" read as "access", because only some
//! routes tell the status: stream, post and search of one record must meet in one row. For
//! cameras event type and state stand in place of the codes, and the plate or the event's own
//! id in place of the person. Numbers are written in decimal, absent is empty. These forms are
//! frozen by the rows they have made. Times are never corrected; nothing here reads a clock.

use event::{
    ClockFlag, Event, Ident, IdentForm, Kind, Millis, Quarantined, Resolved, Route, Text,
    Timeliness, Zone,
};
use serde_json::{Map, Value};

use crate::codes;
use crate::record::{Fault, Record, Source, Unreadable};

/// What an event needs to know besides its record.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The zone of the device, for times without an offset.
    pub zone: &'a Zone,
    /// How the record came.
    pub route: Route,
    /// When it came, by our clock.
    pub received_at: Millis,
    /// The epoch of the device's serials: rises when they begin anew.
    pub epoch: u32,
}

/// Makes the event of a record, or says why it belongs in quarantine.
pub fn normalize(record: &Record, context: &Context<'_>) -> Result<Event, Quarantined> {
    event(record, context).map_err(|fault| {
        let unreadable = Unreadable::new(fault, record.raw.clone());
        unreadable.quarantined(context.route, context.received_at)
    })
}

fn event(record: &Record, context: &Context<'_>) -> Result<Event, Fault> {
    let wall = record.time.wall.ok_or(Fault::NO_TIME)?;
    if record.raw.len() > Event::RAW_LIMIT {
        return Err(Fault::LONG_RECORD);
    }
    let person = checked(record.person.as_ref(), Event::PERSON_LIMIT)?;
    let card = checked(record.card.as_ref(), Event::PERSON_LIMIT)?;
    let resolved = match record.time.offset {
        Some(offset) => Resolved {
            at: Millis(Zone::utc().resolve(&wall).at.0 - i64::from(offset) * 1000),
            ambiguous: false,
        },
        None => context.zone.resolve(&wall),
    };
    let received = context.received_at;
    let replayed = record.current_event == Some(false) || record.is_retransmission == Some(true);
    let kind = kind(record);
    let status_code = checked(record.attendance_status.as_ref(), Event::CODE_LIMIT)?;
    Ok(Event {
        ident: ident(record, kind, context.epoch),
        kind,
        direction: match kind {
            Kind::Punch => status_code.as_deref().and_then(codes::status_direction),
            _ => None,
        },
        person,
        card,
        local_time: Some(record.time.raw.clone()),
        occurred_at: Some(resolved.at),
        received_at: received,
        status_code,
        verify_code: checked(record.verify_mode.as_ref(), Event::CODE_LIMIT)?,
        vendor_code: vendor_code(record)?,
        door: checked(record.door.as_ref(), Event::CODE_LIMIT)?,
        route: context.route,
        timeliness: match replayed {
            true => Timeliness::Historic,
            false => Timeliness::of(resolved.at, received),
        },
        clock: ClockFlag::of(resolved, received),
        attributes: attributes(record)?,
        raw: record.raw.clone(),
    })
}

fn kind(record: &Record) -> Kind {
    if record.source == Source::Camera {
        return camera_kind(record.event_type.as_deref().unwrap_or_default());
    }
    match record.major {
        Some(codes::ALARM) => Kind::Alarm,
        Some(codes::EXCEPTION) => Kind::Device,
        Some(codes::OPERATION) => Kind::Operation,
        Some(codes::EVENT) if is_punch(record) => Kind::Punch,
        Some(codes::EVENT) => Kind::Access,
        _ => Kind::Other,
    }
}

fn is_punch(record: &Record) -> bool {
    let chosen = |status: &Text| !codes::is_undefined_status(status);
    record.person.is_some()
        && record.minor.is_some_and(codes::is_granted)
        && record.attendance_status.as_ref().is_some_and(chosen)
}

/// Event types by which a camera or recorder speaks of itself, not of what it sees.
const DEVICE_STATES: [&str; 10] = [
    "badvideo",
    "diskerror",
    "diskfull",
    "diskunformat",
    "ipconflict",
    "nicbroken",
    "raidException",
    "recordingfailure",
    "videoloss",
    "videomismatch",
];

fn camera_kind(event_type: &str) -> Kind {
    let is = |word: &str| word.eq_ignore_ascii_case(event_type);
    if DEVICE_STATES.iter().any(|word| is(word)) {
        Kind::Device
    } else if is("PeopleCounting") {
        Kind::Other
    } else {
        Kind::Alarm
    }
}

fn ident(record: &Record, kind: Kind, epoch: u32) -> Ident {
    let number = |number: Option<u32>| number.map(|n| n.to_string()).unwrap_or_default();
    let (major, minor) = (number(record.major), number(record.minor));
    if let Some(serial) = record.serial_no {
        return IdentForm::new("hik")
            .field(epoch.to_string().as_bytes())
            .field(serial.to_string().as_bytes())
            .field(major.as_bytes())
            .field(minor.as_bytes())
            .finish();
    }
    let class = match kind {
        Kind::Punch => Kind::Access,
        kind => kind,
    };
    let wall = record.time.wall.map(|wall| wall.text());
    let text = |text: &Option<Text>| text.as_deref().unwrap_or_default().to_owned();
    let fields = match record.source {
        Source::Access => [
            format!("/{}/{}", text(&record.door), text(&record.reader)),
            major,
            minor,
            text(&record.person),
            text(&record.card),
        ],
        Source::Camera => [
            camera_place(record),
            text(&record.event_type),
            text(&record.event_state),
            camera_subject(&record.attributes),
            text(&record.card),
        ],
    };
    let form = IdentForm::new("hik0")
        .field(class.as_str().as_bytes())
        .field(wall.as_ref().map_or(&b""[..], |wall| wall));
    let add = |form: IdentForm, field: &String| form.field(field.as_bytes());
    fields.iter().fold(form, add).finish()
}

/// Where a camera saw it: channel, alarm input, first region.
fn camera_place(record: &Record) -> String {
    let attributes = &record.attributes;
    let input = attributes
        .get("inputIOPortID")
        .or_else(|| attributes.get("dynInputIOPortID"));
    let region = attributes.get("DetectionRegionList").and_then(|list| {
        let entry = list.get("DetectionRegionEntry")?;
        entry.get(0).unwrap_or(entry).get("regionID")
    });
    let channel = record.channel.as_deref().unwrap_or_default();
    format!("{channel}/{}/{}", scalar(input), scalar(region))
}

/// What a camera saw, where it says so: the plate, else the event's own id.
fn camera_subject(attributes: &Map<String, Value>) -> String {
    let plate = attributes
        .get("ANPR")
        .and_then(|anpr| anpr.get("licensePlate"));
    let id = ["UUID", "uuid", "pId"]
        .into_iter()
        .find_map(|name| attributes.get(name));
    match scalar(plate) {
        plate if plate.is_empty() => scalar(id),
        plate => plate,
    }
}

fn scalar(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn vendor_code(record: &Record) -> Result<Option<Text>, Fault> {
    let code = match (record.major, record.minor) {
        (Some(major), Some(minor)) => Some(Text::from(format!("{major}/{minor}"))),
        (Some(major), None) => Some(Text::from(major.to_string())),
        _ => record.event_type.clone(),
    };
    checked(code.as_ref(), Event::CODE_LIMIT)
}

/// What the device said besides the columns, by its own names, with the codes' own words.
fn attributes(record: &Record) -> Result<Option<String>, Fault> {
    let mut all = record.attributes.clone();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            all.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<Text>| text.as_deref().map(Value::from);
    let word = record
        .major
        .zip(record.minor)
        .and_then(|(major, minor)| codes::minor_name(major, minor));
    put("event", word.map(Value::from));
    if record.major.is_some() {
        put("eventType", text(&record.event_type));
    }
    put("eventState", text(&record.event_state));
    put("serialNo", record.serial_no.map(Value::from));
    put("frontSerialNo", record.front_serial_no.map(Value::from));
    put("name", text(&record.name));
    put("cardReaderNo", text(&record.reader));
    put("channelID", text(&record.channel));
    put("currentEvent", record.current_event.map(Value::from));
    put(
        "isDataRetransmission",
        record.is_retransmission.map(Value::from),
    );
    put("remoteCheck", record.remote_check.then(|| true.into()));
    put("macAddress", text(&record.mac));
    put("shortSerialNumber", text(&record.device_serial));
    let card = record.card.as_deref().and_then(codes::card_sentinel);
    put("cardMeaning", card.map(Value::from));
    if all.is_empty() {
        return Ok(None);
    }
    let text = Value::Object(all).to_string();
    if text.len() > Event::ATTRIBUTES_LIMIT {
        return Err(Fault::LONG_ATTRIBUTES);
    }
    Ok(Some(text))
}

/// A text for a column: within its length, without control characters and without bytes that
/// were no text. The second would tell two people apart by what we made of their bytes.
fn checked(text: Option<&Text>, limit: usize) -> Result<Option<Text>, Fault> {
    let Some(text) = text else { return Ok(None) };
    if text.len() > limit {
        return Err(Fault::LONG_TEXT);
    }
    if text
        .chars()
        .any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER)
    {
        return Err(Fault::BAD_TEXT);
    }
    Ok(Some(text.clone()))
}

#[cfg(test)]
#[path = "normalize_tests.rs"]
mod tests;
