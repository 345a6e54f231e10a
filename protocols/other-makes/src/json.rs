//! JSON bodies: where the records begin and end, and the values in one.
//!
//! Values are looked up in the text itself, so that a number keeps its digits and a record its
//! bytes. The parser that skips what is not wanted does not recurse, however deep a sender nests.

use std::borrow::Cow;
use std::fmt;

use event::{Bytes, Text};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::mapping::Path;

/// Most records of one body that are read one by one.
pub(crate) const RECORDS: usize = 100_000;
/// A text value that is longer is a picture or a template, and is left out of what is kept.
const LONG: usize = 4 * 1024;

/// What a body holds.
pub(crate) enum Cut<'a> {
    /// These records.
    Records(Vec<&'a RawValue>),
    /// It is no JSON of this shape, taken as a whole.
    Nothing,
}

/// The records of a body: the value at `path` when the body is an object that has it, each
/// element when that is a list.
pub(crate) fn cut<'a>(body: &'a str, path: &Path) -> Cut<'a> {
    let Ok(whole) = serde_json::from_str::<&RawValue>(body) else {
        return Cut::Nothing;
    };
    let found = match find(whole, path) {
        Some(found) => found,
        // A record alone, as it is read again from quarantine.
        None => whole,
    };
    if !found.get().starts_with('[') {
        return Cut::Records(vec![found]);
    }
    match serde_json::from_str(found.get()) {
        Ok(records) => Cut::Records(records),
        Err(_) => Cut::Nothing,
    }
}

/// The value at a path.
pub(crate) fn find<'a>(record: &'a RawValue, path: &[Text]) -> Option<&'a RawValue> {
    let mut found = record;
    for step in path {
        let mut reader = serde_json::Deserializer::from_str(found.get());
        found = Step(step).deserialize(&mut reader).ok()??;
    }
    Some(found)
}

/// A value as text: texts without their quotes, numbers and truth values as they are written.
/// `Ok(None)` for nothing: null, or an empty text.
pub(crate) fn text(value: &RawValue) -> Result<Option<Text>, NoText> {
    let written = value.get();
    let text = match written.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(written).map_err(|_| NoText)?,
        Some(b'{' | b'[') | None => return Err(NoText),
        _ if written == "null" => return Ok(None),
        _ => written.to_owned(),
    };
    Ok(Some(Text::from(text)))
}

/// A value that is an object, a list, or a text of no letters that exist.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoText;

/// One step into a value.
struct Step<'s>(&'s str);

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == self.0 {
                // As with every other reader: of a name that comes twice the last one counts.
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let wanted = self.0.parse::<usize>().ok();
        let (mut at, mut found) = (0, None);
        while let Some(value) = list.next_element::<&'de RawValue>()? {
            if wanted == Some(at) {
                found = Some(value);
            }
            at += 1;
        }
        Ok(found)
    }
}

/// The bytes of a record without the content of very long texts in it, which are pictures.
pub(crate) fn without_pictures(text: &str) -> Bytes {
    if text.len() <= LONG {
        return Bytes::copy_from_slice(text.as_bytes());
    }
    let bytes = text.as_bytes();
    let mut kept: Vec<u8> = Vec::with_capacity(LONG);
    let mut from = 0;
    while let Some(begin) = memchr::memchr(b'"', bytes.get(from..).unwrap_or_default()) {
        let begin = from + begin;
        let end = end_of_text(bytes, begin + 1);
        kept.extend_from_slice(bytes.get(from..=begin).unwrap_or_default());
        let inside = bytes.get(begin + 1..end).unwrap_or_default();
        if inside.len() > LONG {
            kept.extend_from_slice(format!("({} bytes left out)", inside.len()).as_bytes());
        } else {
            kept.extend_from_slice(inside);
        }
        from = end;
        if bytes.get(end) == Some(&b'"') {
            kept.push(b'"');
            from = end + 1;
        }
    }
    kept.extend_from_slice(bytes.get(from..).unwrap_or_default());
    Bytes::from(kept)
}

/// Where a text ends that begins here: at its closing quote, or at the end of everything.
fn end_of_text(bytes: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(body: &str, path: &str) -> Option<String> {
        let whole: &RawValue = serde_json::from_str(body).unwrap();
        let path: Path = path.split('.').map(Text::new).collect();
        find(whole, &path).map(|value| value.get().to_owned())
    }

    #[test]
    fn a_value_is_found_by_its_path_and_keeps_its_digits() {
        let body = r#"{"a":{"b":[1,{"c":18446744073709551617.50}]},"é":2}"#;
        assert_eq!(
            at(body, "a.b.1.c").as_deref(),
            Some("18446744073709551617.50")
        );
        assert_eq!(at(body, "é").as_deref(), Some("2"));
        for none in ["a.c", "a.b.2", "a.b.x", "a.b.0.c", "é.é"] {
            assert_eq!(at(body, none), None, "{none}");
        }
        assert_eq!(at(r#"{"a":1,"a":2}"#, "a").as_deref(), Some("2"));
    }

    #[test]
    fn however_deep_a_body_nests_it_is_read_or_refused_and_nothing_overflows() {
        let deep = format!(
            "{{\"x\":{}{},\"t\":1}}",
            "[".repeat(200_000),
            "]".repeat(200_000)
        );
        assert!(matches!(cut(&deep, &vec![Text::new("x")]), Cut::Records(_)));
        assert_eq!(at(&deep, "t").as_deref(), Some("1"));
    }

    #[test]
    fn pictures_are_left_out_and_everything_else_stays_as_it_was() {
        let picture = "A\\\"".repeat(5_000);
        let record = format!("{{\"photo\":\"{picture}\",\"t\":\"a\\\"b\"}}");
        let kept = without_pictures(&record);
        assert_eq!(kept, r#"{"photo":"(15000 bytes left out)","t":"a\"b"}"#);
        let plain = format!("[{}]", vec!["\"abc\""; 2_000].join(","));
        assert_eq!(without_pictures(&plain), plain);
        // Not even JSON: the rest stays.
        let open = format!("{{\"a\":\"{}", "x".repeat(5_000));
        assert_eq!(without_pictures(&open), r#"{"a":"(5000 bytes left out)"#);
    }
}
