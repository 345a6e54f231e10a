//! The query of a request line: keys in any case, values percent-encoded or not.
//!
//! Terminals differ in the case of keys (`SN`, `sn`, `CmdId`, `cmdid`) and in what they
//! encode. The first of equal keys counts. Nothing here decides what a key means.

use std::borrow::Cow;

use event::Text;

use crate::text::{clean, decode_any};

/// A query without its `?`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a>(pub(crate) &'a str);

impl<'a> Query<'a> {
    /// The decoded value of a key, if the key is there.
    pub(crate) fn get(&self, key: &str) -> Option<Cow<'a, str>> {
        self.0.split('&').find_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            decode(name)
                .trim()
                .eq_ignore_ascii_case(key)
                .then(|| decode(value))
        })
    }

    /// True when the key is there with a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !value.is_empty())
    }

    /// The value, at most `limit` characters of it and without control characters; `None`
    /// where it is missing or empty.
    pub(crate) fn text(&self, key: &str, limit: usize) -> Option<Text> {
        let text = clean(self.get(key)?.trim(), limit);
        (!text.is_empty()).then_some(text)
    }
}

/// Undoes percent-encoding and `+`; a `%` without two hexadecimal digits stands for itself.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', &[high, low, ref left @ ..]) if hex(high).is_some() && hex(low).is_some() => {
                out.push(hex(high).unwrap_or(0) * 16 + hex(low).unwrap_or(0));
                rest = left;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
    }
    Cow::Owned(decode_any(&out).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_match_in_any_case_and_values_are_decoded() {
        let query = Query("sn=A%42C&DeviceType=middle%20east&x=a+b&sn=other&flag&bad=%zz%4");
        assert_eq!(query.get("SN").unwrap(), "ABC");
        assert_eq!(query.get("devicetype").unwrap(), "middle east");
        assert_eq!(query.get("X").unwrap(), "a b");
        assert_eq!(query.get("flag").unwrap(), "");
        assert_eq!(query.get("bad").unwrap(), "%zz%4");
        assert_eq!(query.get("none"), None);
        assert!(query.has("x") && !query.has("flag"));
    }

    #[test]
    fn kept_values_are_short_and_free_of_control_characters() {
        let query = Query("v=2.4.1%0AICLOCKSVRURL%3Dx&e=%20&l=%C3%B1");
        assert_eq!(query.text("v", 8).unwrap(), "2.4.1\u{fffd}IC");
        assert_eq!(query.text("e", 8), None);
        assert_eq!(query.text("l", 8).unwrap(), "ñ");
    }
}
