//! Alerts: `EventNotificationAlert` in XML or JSON, nested, flat or wrapped, to records and
//! heartbeats.
//!
//! Every shape is first made one flat set of fields: an inner object wins over what stands
//! around it, and what it hides is kept as `envelope.NAME`. Both heartbeats are told from
//! events here and nowhere else. A document of another kind is never taken for an event.

use bytes::Bytes;
use event::Text;
use serde_json::{Map, Value};

use crate::json;
use crate::multipart::{self, PartKind, Skip};
use crate::record::{Fault, Fields, Record, Unreadable, read_search_item};
use crate::xml::{self, Element, XmlError};

/// One thing that a document said.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A sign of life, no event.
    Heartbeat,
    /// An event. Boxed, because heartbeats outnumber it by far.
    Record(Box<Record>),
    /// A document that is no event and no heartbeat, by the name of its root: the answer to an
    /// arming (`SubscribeEventResponse`) or a `ResponseStatus`. It carries nothing to store.
    Notice(Text),
    /// Something that could not be read: it belongs in quarantine.
    Unreadable(Unreadable),
}

/// What devices called themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// MAC addresses, as written, each once.
    pub macs: Vec<Text>,
    /// Serial numbers (often the short one, the end of the full one), as written, each once.
    pub serials: Vec<Text>,
}

impl Identity {
    /// Most names of each kind that are kept.
    const LIMIT: usize = 4;

    /// True when the device named itself in no way.
    pub fn is_empty(&self) -> bool {
        self.macs.is_empty() && self.serials.is_empty()
    }

    /// True when one of the names fits `name`: a serial number of which one is the end of the
    /// other (at least 6 characters), or the same MAC address in any spelling.
    pub fn says(&self, name: &str) -> bool {
        let is_mac =
            |said: &Text| mac_digits(said).is_some_and(|mac| mac_digits(name) == Some(mac));
        let is_serial = |said: &Text| ends_alike(said, name);
        self.macs.iter().any(is_mac) || self.serials.iter().any(is_serial)
    }

    fn note(list: &mut Vec<Text>, name: Option<&Text>) {
        if let Some(name) = name
            && list.len() < Self::LIMIT
            && !list.contains(name)
        {
            list.push(name.clone());
        }
    }

    fn note_both(&mut self, record: &Record) {
        Self::note(&mut self.macs, record.mac.as_ref());
        Self::note(&mut self.serials, record.device_serial.as_ref());
    }
}

fn mac_digits(text: &str) -> Option<[u8; 12]> {
    let digits = text.bytes().filter(|b| !matches!(b, b':' | b'-' | b'.'));
    let digits: Vec<u8> = digits.map(|b| b.to_ascii_lowercase()).take(13).collect();
    let digits: [u8; 12] = digits.try_into().ok()?;
    digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)
}

fn ends_alike(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let end = long
        .as_bytes()
        .get(long.len() - short.len()..)
        .unwrap_or_default();
    short.len() >= 6 && end.eq_ignore_ascii_case(short.as_bytes())
}

/// Reads one document. Used for parts of streams and posts alike.
pub fn read_part(kind: PartKind, body: &Bytes) -> Vec<Heard> {
    read_part_of(kind, body, &mut Identity::default())
}

/// [`read_part`], noting what the device called itself, in heartbeats too.
pub fn read_part_of(kind: PartKind, body: &Bytes, names: &mut Identity) -> Vec<Heard> {
    let documents = match kind {
        PartKind::Json => json::objects(body),
        PartKind::Xml => match document(body) {
            Ok(Document::Notice(name)) => return vec![Heard::Notice(name)],
            Ok(Document::Alert(map)) => Ok(vec![(map, body.clone())]),
            Err(fault) => Err(fault),
        },
        PartKind::Unknown => Err(Fault::UNKNOWN),
    };
    match documents {
        Ok(documents) => documents
            .into_iter()
            .map(|(map, raw)| hear(map, raw, names))
            .collect(),
        Err(fault) => vec![Heard::Unreadable(Unreadable::new(fault, body.clone()))],
    }
}

/// Reads a quarantined document again. `searched`: it was an item of an event search, not a part
/// of a stream or a post.
pub fn reread(searched: bool, raw: &Bytes) -> Vec<Heard> {
    let item = std::str::from_utf8(raw).ok().filter(|_| searched);
    if let Some(item) = item {
        return vec![match read_search_item(item) {
            Ok(record) => Heard::Record(Box::new(record)),
            Err(unreadable) => Heard::Unreadable(unreadable),
        }];
    }
    // Text beyond the measure of a post stands together, one document after the other.
    let documents = multipart::documents(raw);
    if documents.len() > 1 {
        let documents = documents.iter();
        return documents
            .flat_map(|part| read_part(part.kind, &part.body))
            .collect();
    }
    let first = raw.trim_ascii_start().first();
    read_part(
        first.map_or(PartKind::Unknown, |first| PartKind::of(*first)),
        raw,
    )
}

/// What was passed over, as it belongs in quarantine: its beginning. `None` for what was no part
/// of a stream or post.
pub fn read_skipped(why: Skip, cut: Bytes) -> Option<Heard> {
    let unreadable = Unreadable::new(fault_of(why)?, cut);
    Some(Heard::Unreadable(unreadable))
}

/// What is wrong with a part that is passed over.
pub(crate) fn fault_of(why: Skip) -> Option<Fault> {
    match why {
        Skip::TextTooLong => Some(Fault::LONG_PART),
        Skip::HeadTooLong => Some(Fault::LONG_HEAD),
        Skip::BodyTooLong => None,
    }
}

fn hear(map: Map<String, Value>, raw: Bytes, names: &mut Identity) -> Heard {
    if let Some(name) = notice(&map) {
        return Heard::Notice(name);
    }
    match Fields::new(flat(map)).record(raw.clone()) {
        Ok(record) => {
            names.note_both(&record);
            if is_heartbeat(&record) {
                Heard::Heartbeat
            } else if record.event_type.is_none() && record.major.is_none() {
                Heard::Unreadable(Unreadable::new(Fault::NO_EVENT, raw))
            } else {
                Heard::Record(Box::new(record))
            }
        }
        Err(fault) => Heard::Unreadable(Unreadable::new(fault, raw)),
    }
}

/// The two heartbeats: `heartBeat`, and a `videoloss` that is inactive and names no region. An
/// active `videoloss` is an event.
fn is_heartbeat(record: &Record) -> bool {
    let word = |text: &Option<Text>, word: &str| {
        text.as_ref().is_some_and(|t| t.eq_ignore_ascii_case(word))
    };
    if word(&record.event_type, "heartBeat") {
        return true;
    }
    word(&record.event_type, "videoloss")
        && word(&record.event_state, "inactive")
        && !record.attributes.contains_key("DetectionRegionList")
}

const NOTICES: [&str; 2] = ["SubscribeEventResponse", "ResponseStatus"];

fn notice(map: &Map<String, Value>) -> Option<Text> {
    let is_one = |key: &&String| NOTICES.iter().any(|name| key.eq_ignore_ascii_case(name));
    map.keys()
        .next()
        .filter(|key| map.len() == 1 && is_one(key))
        .map(Text::from)
}

/// A document as one set of fields.
pub(crate) struct Flat {
    pub(crate) map: Map<String, Value>,
    /// True when an object of door events stood in it.
    pub(crate) access: bool,
}

const WRAPPERS: [(&str, bool); 3] = [
    ("EventNotificationAlert", false),
    ("AccessControllerEvent", true),
    ("AcsEvent", true),
];

/// Merges the objects that devices nest into each other; the innermost wins.
pub(crate) fn flat(mut map: Map<String, Value>) -> Flat {
    let mut access = false;
    while let Some((key, is_door)) = wrapper(&map) {
        access |= is_door;
        // `wrapper` has just found an object there.
        let Some(Value::Object(inner)) = map.remove(&key) else {
            break;
        };
        for (key, value) in inner {
            if let Some(hidden) = map.insert(key.clone(), value)
                && map.get(&key) != Some(&hidden)
            {
                map.insert(format!("envelope.{key}"), hidden);
            }
        }
    }
    Flat { map, access }
}

fn wrapper(map: &Map<String, Value>) -> Option<(String, bool)> {
    let find = |(name, is_door): &(&str, bool)| {
        let found = map
            .iter()
            .find(|(key, value)| value.is_object() && key.eq_ignore_ascii_case(name));
        found.map(|(key, _)| (key.clone(), *is_door))
    };
    WRAPPERS.iter().find_map(find)
}

enum Document {
    Alert(Map<String, Value>),
    Notice(Text),
}

fn document(body: &[u8]) -> Result<Document, Fault> {
    let root = xml::parse(body).map_err(XmlError::fault)?;
    if NOTICES
        .iter()
        .any(|name| root.name.eq_ignore_ascii_case(name))
    {
        return Ok(Document::Notice(Text::from(root.name)));
    }
    let is_alert = WRAPPERS
        .iter()
        .any(|(name, _)| root.name.eq_ignore_ascii_case(name));
    if !is_alert && root.child("eventType").is_none() {
        return Err(Fault::NO_EVENT);
    }
    let mut map = Map::new();
    map.insert(root.name.clone(), value(root));
    if !is_alert {
        let inner = map.into_iter().next().map(|(_, value)| value);
        return match inner {
            Some(Value::Object(map)) => Ok(Document::Alert(map)),
            _ => Err(Fault::NO_EVENT),
        };
    }
    Ok(Document::Alert(map))
}

/// An element as JSON: its text, or an object of its children, where equal names make a list.
/// The depth is limited by the reader of XML.
fn value(element: Element) -> Value {
    if element.children.is_empty() {
        return Value::String(element.text);
    }
    let mut map = Map::new();
    if !element.text.is_empty() {
        map.insert("#text".into(), Value::String(element.text));
    }
    for child in element.children {
        let name = child.name.clone();
        let value = value(child);
        match map.get_mut(&name) {
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None => {
                map.insert(name, value);
            }
        }
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_known_by_either_end_of_its_serial_and_any_spelling_of_its_mac() {
        let names = Identity {
            macs: vec![Text::new("00:00:5e:00:53:11")],
            serials: vec![Text::new("FX0000001")],
        };
        for name in [
            "FX0000001",
            "ds-test20260101enfx0000001",
            "00-00-5E-00-53-11",
            "00005e005311",
        ] {
            assert!(names.says(name), "{name}");
        }
        for name in ["FX0000002", "0001", "", "00:00:5e:00:53:12", "00005e0053"] {
            assert!(!names.says(name), "{name}");
        }
        assert!(!Identity::default().says("FX0000001") && Identity::default().is_empty());
    }

    #[test]
    fn only_a_few_names_of_a_post_are_kept() {
        let mut names = Identity::default();
        for number in 0..100 {
            let text = format!("{{\"eventType\":\"heartBeat\",\"macAddress\":\"{number}\"}}");
            read_part_of(PartKind::Json, &Bytes::from(text), &mut names);
        }
        assert_eq!(names.macs, ["0", "1", "2", "3"]);
    }

    #[test]
    fn another_document_is_a_notice_or_unreadable_and_never_an_event() {
        let heard = |kind, text: &'static str| {
            read_part(kind, &Bytes::from_static(text.as_bytes())).remove(0)
        };
        let notice = Heard::Notice(Text::new("ResponseStatus"));
        assert_eq!(heard(PartKind::Xml, "<ResponseStatus/>"), notice);
        assert_eq!(heard(PartKind::Json, "{\"ResponseStatus\":{}}"), notice);
        for (kind, text) in [
            (
                PartKind::Xml,
                "<DeviceInfo><serialNumber>1</serialNumber></DeviceInfo>",
            ),
            (PartKind::Xml, "<EventNotificationAlert/>"),
            (PartKind::Json, "{\"dateTime\":\"2026-11-21T10:15:30Z\"}"),
            (PartKind::Json, "{\"ResponseStatus\":{},\"x\":1}"),
            (PartKind::Unknown, "hello"),
        ] {
            assert!(matches!(heard(kind, text), Heard::Unreadable(_)), "{text}");
        }
    }
}
