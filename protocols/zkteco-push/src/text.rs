//! Bytes to lines, lines to text, text to JSON.
//!
//! Both CR and LF end a line; terminals pad lines and bodies with TAB and NUL. Most text is
//! ASCII, names are UTF-8 or the code page of the terminal's language. Nothing here knows what
//! a line means, and nothing copies a line that is plain UTF-8.

use std::borrow::Cow;
use std::ops::Range;

use event::Text;

use crate::error::Fault;

/// The `language` value of Chinese firmware, the one language whose names come as GBK.
const CHINESE: u16 = 83;

/// The ranges of the lines of a body that hold anything, without their line ends.
pub(crate) fn lines(body: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    memchr::memchr2_iter(b'\n', b'\r', body)
        .chain(std::iter::once(body.len()))
        .filter_map(move |end| {
            let line = start..end;
            start = end + 1;
            let filled = body.get(line.clone()).is_some_and(|l| !is_blank(l));
            filled.then_some(line)
        })
}

/// True when there is nothing but padding.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|&byte| is_padding(byte))
}

fn is_padding(byte: u8) -> bool {
    matches!(byte, b'\0' | b'\t' | b' ')
}

/// The line without the padding at its end.
pub(crate) fn trim_end(line: &[u8]) -> &[u8] {
    let kept = line.iter().rposition(|&byte| !is_padding(byte));
    kept.and_then(|last| line.get(..=last)).unwrap_or_default()
}

/// True when a byte is a control character other than TAB.
#[inline]
pub(crate) fn is_control(byte: u8) -> bool {
    ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f)
}

/// A decoded line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded<'a> {
    /// The text, borrowed when the line was UTF-8.
    pub(crate) text: Cow<'a, str>,
    /// The character set that was assumed when it was not UTF-8.
    pub(crate) charset: Option<&'static str>,
}

/// Decodes a line without control characters: UTF-8, else GBK for Chinese firmware, else
/// Windows-1252.
pub(crate) fn decode(line: &[u8], language: Option<u16>) -> Result<Decoded<'_>, Fault> {
    // No early exit: the loop over the whole line is the faster one, because it has no branch.
    let control = line.iter().fold(false, |any, &b| any | is_control(b));
    if control {
        return Err(Fault::CONTROL);
    }
    if let Ok(text) = std::str::from_utf8(line) {
        return Ok(Decoded {
            text: Cow::Borrowed(text),
            charset: None,
        });
    }
    let (text, charset) = if language == Some(CHINESE) {
        let text = encoding_rs::GBK.decode_without_bom_handling_and_without_replacement(line);
        (text, "gbk")
    } else {
        // The five bytes that this code page leaves undefined come out as control characters.
        let text = encoding_rs::WINDOWS_1252
            .decode_without_bom_handling(line)
            .0;
        (Some(text), "windows-1252")
    };
    let bad = |c: char| c.is_control() && c != '\t';
    match text {
        Some(text) if !text.chars().any(bad) => Ok(Decoded {
            text,
            charset: Some(charset),
        }),
        _ => Err(Fault::NO_TEXT),
    }
}

/// Decodes whatever comes, for text that is shown and not identified by: UTF-8, else
/// Windows-1252.
pub(crate) fn decode_any(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            encoding_rs::WINDOWS_1252
                .decode_without_bom_handling(bytes)
                .0
        }
    }
}

/// At most `limit` characters of a text, control characters replaced.
pub(crate) fn clean(text: &str, limit: usize) -> Text {
    text.chars()
        .take(limit)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A JSON object being written; `None` at the end when nothing was put in.
#[derive(Debug, Default)]
pub(crate) struct Json(String);

impl Json {
    /// Adds a text.
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        quote(&mut self.0, value);
    }

    /// Adds an array of texts.
    pub(crate) fn texts<'a>(&mut self, key: &str, values: impl Iterator<Item = &'a str>) {
        self.key(key);
        self.0.push('[');
        for (i, value) in values.enumerate() {
            if i > 0 {
                self.0.push(',');
            }
            quote(&mut self.0, value);
        }
        self.0.push(']');
    }

    /// Adds another object, unless it is empty.
    pub(crate) fn object(&mut self, key: &str, value: Self) {
        if let Some(text) = value.finish() {
            self.key(key);
            self.0.push_str(&text);
        }
    }

    /// The object's text.
    pub(crate) fn finish(mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push('}');
        Some(self.0)
    }

    /// Keys are our own plain words and numbers, so that they need no escaping.
    fn key(&mut self, key: &str) {
        if self.0.is_empty() {
            self.0.reserve(64);
        }
        self.0
            .push_str(if self.0.is_empty() { "{\"" } else { ",\"" });
        self.0.push_str(key);
        self.0.push_str("\":");
    }
}

fn quote(out: &mut String, value: &str) {
    out.push('"');
    let special = |b: u8| (b < b' ') | (b == b'"') | (b == b'\\');
    if value.bytes().any(special) {
        value.chars().for_each(|c| escape(out, c));
    } else {
        out.push_str(value);
    }
    out.push('"');
}

fn escape(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        c if c < ' ' => {
            let digit = |n: u32| char::from_digit(n, 16).unwrap_or('0');
            out.push_str("\\u00");
            out.push(digit(u32::from(c) / 16));
            out.push(digit(u32::from(c) % 16));
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use event::Reason;

    use super::*;
    use proptest::prelude::*;

    fn split(body: &str) -> Vec<&str> {
        lines(body.as_bytes()).map(|line| &body[line]).collect()
    }

    #[test]
    fn cr_lf_and_both_end_a_line_and_padding_alone_is_no_line() {
        assert_eq!(split("a\nb\r\nc\rd"), ["a", "b", "c", "d"]);
        assert_eq!(split("a\r\n\r\n\0"), ["a"]);
        assert_eq!(split("\n\n \t\0\n"), [""; 0]);
        assert_eq!(split(""), [""; 0]);
        assert_eq!(trim_end(b"a\tb\t\0 \t"), b"a\tb");
        assert_eq!(trim_end(b"\0\0"), b"");
    }

    #[test]
    fn a_name_is_read_in_the_character_set_of_its_terminal() {
        let text = |line: &[u8], language| {
            decode(line, language).map(|d| (d.text.into_owned(), d.charset))
        };
        assert_eq!(text("Niño".as_bytes(), None), Ok(("Niño".into(), None)));
        assert_eq!(
            text(b"Ni\xf1o\tx", Some(69)),
            Ok(("Niño\tx".into(), Some("windows-1252")))
        );
        assert_eq!(
            text(b"\xd5\xc5\xc8\xfd", Some(83)),
            Ok(("张三".into(), Some("gbk")))
        );
        assert_eq!(text("张".as_bytes(), Some(83)), Ok(("张".into(), None)));
        assert_eq!(
            text(b"\xff\xff", Some(83)).unwrap_err().reason,
            Reason::BadText
        );
        assert_eq!(text(b"a\x81", None).unwrap_err().reason, Reason::BadText);
        assert_eq!(text(b"a\0b", None).unwrap_err().reason, Reason::Unreadable);
        assert_eq!(
            text(b"a\x7fb", None).unwrap_err().reason,
            Reason::Unreadable
        );
    }

    proptest! {
        #[test]
        fn whatever_is_put_in_comes_out_of_the_json(value in ".*", list in prop::collection::vec("(?s).*", 0..4)) {
            let mut inner = Json::default();
            inner.text("k", &value);
            let mut json = Json::default();
            json.texts("list", list.iter().map(String::as_str));
            json.object("inner", inner);
            json.object("empty", Json::default());
            let read: serde_json::Value = serde_json::from_str(&json.finish().unwrap()).unwrap();
            prop_assert_eq!(read, serde_json::json!({"list": list, "inner": {"k": value}}));
        }
    }
}
