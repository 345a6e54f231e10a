//! JSON of devices: read strictly first, and a second time with the known sins forgiven.
//!
//! Forgiven are a byte order mark, NULs behind the text, bytes that are not UTF-8 (they become
//! U+FFFD) and control characters inside strings (they become escapes). Depth is limited by the
//! reader at 128, size by whoever cut the part. Nothing here knows a field.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::record::Fault;

/// Most documents in one list.
const LIST_LIMIT: usize = 1024;

const LONG_LIST: Fault = Fault::LONG_LIST;

/// An object, and its bytes.
pub(crate) type Document = (Map<String, Value>, Bytes);

/// One object.
pub(crate) fn object(text: &str) -> Result<Map<String, Value>, Fault> {
    let text = bare(text);
    if let Ok(map) = serde_json::from_str(text) {
        return Ok(map);
    }
    serde_json::from_str(&escaped(text)).map_err(|_| Fault::NOT_JSON)
}

/// The objects of a document with the bytes of each: one object, or a list of them.
pub(crate) fn objects(body: &Bytes) -> Result<Vec<Document>, Fault> {
    let text = String::from_utf8_lossy(body);
    if !bare(&text).starts_with('[') {
        return Ok(vec![(object(&text)?, body.clone())]);
    }
    let text = escaped(bare(&text));
    let list: Vec<&RawValue> = serde_json::from_str(&text).map_err(|_| Fault::NOT_JSON)?;
    if list.len() > LIST_LIMIT {
        return Err(LONG_LIST);
    }
    let item = |raw: &RawValue| {
        let map = object(raw.get())?;
        Ok((map, Bytes::copy_from_slice(raw.get().as_bytes())))
    };
    list.into_iter().map(item).collect()
}

fn bare(text: &str) -> &str {
    let padding = |c: char| c.is_ascii_whitespace() || c == '\0';
    text.trim_start_matches('\u{feff}').trim_matches(padding)
}

/// The text with control characters inside strings written as escapes.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| b < 0x20) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    let (mut in_string, mut after_backslash) = (false, false);
    for c in text.chars() {
        if in_string && c < ' ' {
            // Writing to a String cannot fail.
            write!(out, "\\u{:04x}", u32::from(c)).unwrap_or_default();
            after_backslash = false;
            continue;
        }
        if c == '"' && !after_backslash {
            in_string = !in_string;
        }
        after_backslash = in_string && c == '\\' && !after_backslash;
        out.push(c);
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_sins_are_forgiven() {
        let map = object("\u{feff}{\"a\":\"x\0y\nz\\\"\t\",\r\n\t\"b\":1}\0\0\r\n").unwrap();
        assert_eq!(map.get("a"), Some(&"x\0y\nz\"\t".into()));
        assert_eq!(map.get("b"), Some(&1.into()));
    }

    #[test]
    fn a_list_gives_each_object_with_its_own_bytes() {
        let body = Bytes::from_static(b" [ {\"a\":1}, {\"b\":2} ]");
        let objects = objects(&body).unwrap();
        let raws: Vec<&[u8]> = objects.iter().map(|(_, raw)| &raw[..]).collect();
        assert_eq!(raws, [b"{\"a\":1}", b"{\"b\":2}"]);
    }

    #[test]
    fn depth_and_length_have_their_limits() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(object(&deep), Err(Fault::NOT_JSON));
        let list = format!("[{}{{}}]", "{},".repeat(LIST_LIMIT));
        assert_eq!(objects(&Bytes::from(list)), Err(LONG_LIST));
        assert_eq!(objects(&Bytes::from_static(b"[1]")), Err(Fault::NOT_JSON));
    }
}
