//! One record type for everything devices say about an event: XML and JSON, nested and flat,
//! live, replayed and searched.
//!
//! Values are kept as sent: leading zeros of a person, the case of a status, the sentinel
//! numbers of a card. A field that we do not know stays in `attributes`. What cannot be read
//! without guessing makes the whole record [`Unreadable`], with its bytes. Nothing here decides
//! what an event is worth; that is `normalize`.

use bytes::Bytes;
use event::{Millis, Quarantined, Reason, Route, Text};
use serde_json::{Map, Value};

use crate::alert;
use crate::json;
use crate::time::DeviceTime;

/// Which family of events a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Terminals, door controllers and intercoms: major and minor codes.
    Access,
    /// Cameras and recorders: an event type by name.
    Camera,
}

/// What a device said about one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Which family of events.
    pub source: Source,
    /// `majorEventType` or `major`: 1 alarm, 2 exception, 3 operation, 5 event.
    pub major: Option<u32>,
    /// `subEventType` or `minor`; see [`crate::codes`].
    pub minor: Option<u32>,
    /// `eventType` as written.
    pub event_type: Option<Text>,
    /// `eventState`: `active` or `inactive`.
    pub event_state: Option<Text>,
    /// The device's own counter; `None` when absent or 0.
    pub serial_no: Option<u64>,
    /// Counter of the event delivered before this one under the same filter; `None` when
    /// absent or 0.
    pub front_serial_no: Option<u64>,
    /// When, by the device's clock.
    pub time: DeviceTime,
    /// `employeeNoString`, else a legacy `employeeNo` that is not 0. Absent when empty or the
    /// word `null`.
    pub person: Option<Text>,
    /// `cardNo` as sent, the sentinels 18446744073709551613 to …615 included.
    pub card: Option<Text>,
    /// The person's name.
    pub name: Option<Text>,
    /// `attendanceStatus` as sent.
    pub attendance_status: Option<Text>,
    /// `currentVerifyMode` as sent: the mode the reader is set to, not the credential used.
    pub verify_mode: Option<Text>,
    /// `doorNo`; `None` when absent or 0, which devices write for "none".
    pub door: Option<Text>,
    /// `cardReaderNo`; `None` when absent or 0.
    pub reader: Option<Text>,
    /// `channelID`, else `dynChannelID`.
    pub channel: Option<Text>,
    /// `currentEvent`: false means replayed. Missing on some firmware.
    pub current_event: Option<bool>,
    /// `isDataRetransmission`: sent again after an interruption.
    pub is_retransmission: Option<bool>,
    /// True when the device waits for a verdict about this person. It never gets one from us.
    pub remote_check: bool,
    /// Everything else, by the device's own names; empty texts left out.
    pub attributes: Map<String, Value>,
    /// The device's MAC address as it wrote it.
    pub mac: Option<Text>,
    /// The device's own serial number, often the short one.
    pub device_serial: Option<Text>,
    /// The record's own bytes, without pictures.
    pub raw: Bytes,
}

/// A record that could not be read, with what quarantine needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The class.
    pub reason: Reason,
    /// For people; fixed words, nothing of what the peer sent.
    pub detail: Text,
    /// The bytes, at most [`Quarantined::RAW_LIMIT`] of them.
    pub raw: Bytes,
}

impl Unreadable {
    pub(crate) fn new(fault: Fault, raw: Bytes) -> Self {
        Self {
            reason: fault.reason,
            detail: Text::const_new(fault.detail),
            raw: raw.slice(..raw.len().min(Quarantined::RAW_LIMIT)),
        }
    }

    /// As it stands in quarantine.
    pub fn quarantined(self, route: Route, received_at: Millis) -> Quarantined {
        Quarantined {
            reason: self.reason,
            detail: self.detail,
            source: Text::const_new(QUARANTINE_SOURCE),
            route,
            received_at,
            raw: self.raw,
        }
    }
}

/// Where quarantined records of this protocol stood: the word a replay starts from.
pub const QUARANTINE_SOURCE: &str = "isapi";

event::faults! {
    // The document.
    UNKNOWN: Unreadable, "neither XML nor JSON";
    NOT_JSON: Unreadable, "not a JSON object";
    LONG_LIST: Unreadable, "a list of more than 1024 records";
    LONG_POST: Unreadable, "text of a post beyond the 1 MiB or 1024 documents that are read of one";
    LONG_PART: Unreadable, "a part of more than 256 KiB, or a piece of one";
    LONG_HEAD: Unreadable, "a part whose head is longer than 8 KiB; the part was passed over";
    NO_EVENT: Unreadable, "a document that is no event";
    XML_SIZE: Unreadable, "an XML document of more than 256 KiB";
    XML_DEPTH: Unreadable, "XML elements nested deeper than 32";
    XML_ELEMENTS: Unreadable, "more than 8192 XML elements";
    XML_DOCTYPE: Unreadable, "an XML document type declaration";
    XML_ENTITY: Unreadable, "an XML entity that is not one of the five";
    XML_SYNTAX: Unreadable, "not well-formed XML";
    // Its fields.
    NO_TIME: BadTime, "no date and time of the years 1970 to 2199";
    NOT_EXACT: BadField, "a number that cannot be kept exactly";
    NOT_A_NUMBER: BadField, "not a number where one belongs";
    NOT_TEXT: BadField, "a list or an object where a text belongs";
    LONG_TEXT: BadField, "a person, card or code longer than any device's";
    BAD_TEXT: BadText, "a person, card or code with bytes that are no text";
    LONG_RECORD: BadField, "a record of more than 256 KiB";
    LONG_ATTRIBUTES: BadField, "more attributes than fit beside an event";
}

/// Reads one item of the `InfoList` of an event search: one JSON object, flat, with `major`,
/// `minor` and `time` for the names.
pub fn read_search_item(item: &str) -> Result<Record, Unreadable> {
    let raw = Bytes::copy_from_slice(item.as_bytes());
    let read = json::object(item).and_then(|map| {
        let mut fields = Fields::new(alert::flat(map));
        fields.access = true;
        fields.record(raw.clone())
    });
    read.map_err(|fault| Unreadable::new(fault, raw))
}

/// The fields of a flattened document, taken out one by one; what stays is `attributes`.
pub(crate) struct Fields {
    map: Map<String, Value>,
    /// True when the document has the shape of a door event.
    pub(crate) access: bool,
    stripped: Vec<Value>,
}

impl Fields {
    pub(crate) fn new(flat: alert::Flat) -> Self {
        Self {
            map: flat.map,
            access: flat.access,
            stripped: Vec::new(),
        }
    }

    pub(crate) fn record(mut self, raw: Bytes) -> Result<Record, Fault> {
        let event_type = self.text(&["eventType"])?;
        let major = self.code(&["majorEventType", "major"])?;
        let minor = self.code(&["subEventType", "minorEventType", "minor"])?;
        let is_door_event = |kind: &Text| kind.eq_ignore_ascii_case("AccessControllerEvent");
        let access =
            self.access || major.is_some() || event_type.as_ref().is_some_and(is_door_event);
        Ok(Record {
            source: if access {
                Source::Access
            } else {
                Source::Camera
            },
            major,
            minor,
            event_type,
            event_state: self.text(&["eventState"])?,
            serial_no: self.number(&["serialNo"])?.filter(|&serial| serial > 0),
            front_serial_no: self
                .number(&["frontSerialNo"])?
                .filter(|&serial| serial > 0),
            time: DeviceTime::read(&self.text(&["dateTime", "time"])?.unwrap_or_default()),
            person: self.person()?,
            card: self.text(&["cardNo"])?,
            name: self.text(&["name"])?,
            attendance_status: self.text(&["attendanceStatus"])?,
            verify_mode: self.text(&["currentVerifyMode"])?,
            door: self.place("doorNo")?,
            reader: self.place("cardReaderNo")?,
            channel: self.text(&["channelID", "dynChannelID"])?,
            current_event: self.flag("currentEvent"),
            is_retransmission: self.flag("isDataRetransmission"),
            remote_check: self.flag("remoteCheck").unwrap_or(false),
            mac: self.text(&["macAddress"])?,
            device_serial: self.device_serial()?,
            attributes: self.rest(),
            raw,
        })
    }

    /// Who: `employeeNoString` alone where it is present, even empty; the number beside it is
    /// another numbering.
    fn person(&mut self) -> Result<Option<Text>, Fault> {
        if self.key("employeeNoString").is_some() {
            return self.text(&["employeeNoString"]);
        }
        let number = self.text(&["employeeNo"])?;
        Ok(number.filter(|number| number != "0"))
    }

    fn device_serial(&mut self) -> Result<Option<Text>, Fault> {
        if let Some(short) = self.text(&["shortSerialNumber"])? {
            return Ok(Some(short));
        }
        let extensions = self.key("Extensions").and_then(|key| self.map.get(&key));
        let serial = extensions
            .and_then(|e| e.get("serialNumber"))
            .and_then(Value::as_str);
        Ok(serial.filter(|s| !s.trim_ascii().is_empty()).map(Text::new))
    }

    /// The key of that name as the device wrote it: case differs between firmwares.
    fn key(&self, name: &str) -> Option<String> {
        if self.map.contains_key(name) {
            return Some(name.to_owned());
        }
        self.map
            .keys()
            .find(|key| key.eq_ignore_ascii_case(name))
            .cloned()
    }

    /// The first of these names that says anything, as text; numbers keep every digit.
    fn text(&mut self, names: &[&str]) -> Result<Option<Text>, Fault> {
        for name in names {
            let Some(key) = self.key(name) else { continue };
            let text = match self.map.remove(&key) {
                Some(Value::String(text)) => self.unpadded(&key, &text),
                Some(Value::Number(number)) if number.is_f64() => return Err(Fault::NOT_EXACT),
                Some(Value::Number(number)) => Text::from(number.to_string()),
                Some(Value::Bool(flag)) => Text::const_new(if flag { "true" } else { "false" }),
                Some(Value::Array(_) | Value::Object(_)) => return Err(NOT_TEXT),
                Some(Value::Null) | None => continue,
            };
            if !is_nothing(&text) {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// Fixed buffers of firmware leave NULs behind a text. They are taken off, and the event
    /// says so; a NUL inside a text stays and is judged where the field is used.
    fn unpadded(&mut self, key: &str, text: &str) -> Text {
        let kept = text.trim_end_matches('\0');
        if kept.len() != text.len() {
            self.stripped.push(key.into());
        }
        Text::new(kept)
    }

    fn number(&mut self, names: &[&str]) -> Result<Option<u64>, Fault> {
        let text = self.text(names)?;
        let read = |text: Text| text.trim_ascii().parse().map_err(|_| Fault::NOT_A_NUMBER);
        text.map(read).transpose()
    }

    fn code(&mut self, names: &[&str]) -> Result<Option<u32>, Fault> {
        let number = self.number(names)?;
        number
            .map(|number| u32::try_from(number).map_err(|_| Fault::NOT_A_NUMBER))
            .transpose()
    }

    fn place(&mut self, name: &str) -> Result<Option<Text>, Fault> {
        Ok(self.text(&[name])?.filter(|place| place != "0"))
    }

    /// Yes or no; any other value stays where it is, among the attributes.
    fn flag(&mut self, name: &str) -> Option<bool> {
        let key = self.key(name)?;
        let flag = match self.map.get(&key)? {
            Value::Bool(flag) => *flag,
            Value::Number(number) => match number.as_u64()? {
                0 => false,
                1 => true,
                _ => return None,
            },
            Value::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => true,
            Value::String(text) if text.eq_ignore_ascii_case("false") || text == "0" => false,
            _ => return None,
        };
        self.map.remove(&key);
        Some(flag)
    }

    fn rest(self) -> Map<String, Value> {
        let mut map = self.map;
        map.retain(|_, value| !matches!(value, Value::Null) && value.as_str() != Some(""));
        if !self.stripped.is_empty() {
            map.insert("nulStripped".into(), Value::Array(self.stripped));
        }
        map
    }
}

/// Empty, blank, or the word that some firmware writes for nothing.
fn is_nothing(text: &str) -> bool {
    let text = text.trim_ascii();
    text.is_empty() || text == "null"
}

const NOT_TEXT: Fault = Fault::NOT_TEXT;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(item: &str) -> Record {
        read_search_item(item).unwrap()
    }

    #[test]
    fn numbers_written_as_texts_and_texts_written_as_numbers_mean_the_same() {
        let one = read(
            r#"{"major":5,"minor":75,"serialNo":7,"cardNo":"18446744073709551613","doorNo":"1","currentEvent":"false"}"#,
        );
        let two = read(
            r#"{"major":"5","minor":"75","serialNo":"7","cardNo":18446744073709551613,"doorNo":1,"currentEvent":0}"#,
        );
        assert_eq!(
            Record {
                raw: Bytes::new(),
                ..one.clone()
            },
            Record {
                raw: Bytes::new(),
                ..two
            }
        );
        assert_eq!(one.card.as_deref(), Some("18446744073709551613"));
        assert_eq!(one.current_event, Some(false));
    }

    #[test]
    fn the_legacy_number_counts_only_where_no_text_stands() {
        assert_eq!(read(r#"{"employeeNo":42}"#).person.as_deref(), Some("42"));
        assert_eq!(read(r#"{"employeeNo":0}"#).person, None);
        let both = read(r#"{"employeeNo":42,"employeeNoString":"0042"}"#);
        assert_eq!(both.person.as_deref(), Some("0042"));
        assert_eq!(both.attributes.get("employeeNo"), Some(&42.into()));
        for nobody in [r#""""#, r#""null""#, r#""  ""#, "null"] {
            let record = read(&format!(
                r#"{{"employeeNo":42,"employeeNoString":{nobody}}}"#
            ));
            assert_eq!(record.person, None, "{nobody}");
        }
    }

    #[test]
    fn what_cannot_be_read_without_guessing_is_unreadable_with_its_bytes() {
        for item in [
            r#"{"serialNo":-1}"#,
            r#"{"serialNo":"x"}"#,
            r#"{"serialNo":1.5}"#,
            r#"{"major":4294967296}"#,
            r#"{"employeeNoString":{"a":1}}"#,
            r#"{"cardNo":184467440737095516150}"#,
        ] {
            let unreadable = read_search_item(item).unwrap_err();
            assert_eq!(
                (unreadable.reason, &unreadable.raw[..]),
                (Reason::BadField, item.as_bytes())
            );
        }
        for item in ["", "[]", "{", "7", r#"{"a":1e999}"#] {
            assert_eq!(
                read_search_item(item).unwrap_err().reason,
                Reason::Unreadable,
                "{item}"
            );
        }
    }

    #[test]
    fn unknown_fields_stay_and_empty_ones_go() {
        let record = read(
            r#"{"major":5,"minor":75,"mask":"no","newThing":{"deep":[1]},"label":"","x":null,"remoteCheck":"maybe"}"#,
        );
        let attributes = Value::Object(record.attributes).to_string();
        assert_eq!(
            attributes,
            r#"{"mask":"no","newThing":{"deep":[1]},"remoteCheck":"maybe"}"#
        );
    }
}
