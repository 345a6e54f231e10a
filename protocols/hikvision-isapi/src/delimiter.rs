//! What a delimiter of a multipart body looks like on these devices.
//!
//! The one that was seen counts, without case; the declared one helps to recognise it. A line
//! is also compared with the start of a response, because some firmware begins a new response
//! in the middle of a stream. Nothing is remembered here but the two spellings.

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A delimiter before a part, in lower case.
    Opens(Vec<u8>),
    /// The delimiter that closes a body. Streams go on after it all the same.
    Closes,
    /// The status line of a response.
    Response,
    /// Anything else.
    Other,
}

/// Whether a delimiter stands at a place of a picture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Yes,
    No,
    /// The bytes end before that can be known.
    Partial,
}

/// Longest boundary, by the standard of multipart bodies.
const TOKEN_LIMIT: usize = 70;
/// Longest line that can be a delimiter: two more dashes declared than needed, brackets, and the
/// dashes that close.
const LINE_LIMIT: usize = TOKEN_LIMIT + 8;
/// Most bytes looked at to tell whether a delimiter is one: it, its line end, the next word.
const WINDOW: usize = LINE_LIMIT + 32;
const RESPONSE: &[u8] = b"HTTP/1.";

/// The delimiter of one body.
#[derive(Debug)]
pub(crate) struct Delimiter {
    /// As declared, in lower case, without dashes, quotes and brackets around it.
    declared: Vec<u8>,
    /// As seen, in lower case, with its dashes; empty before the first.
    seen: Vec<u8>,
    /// A response head may stand in place of a delimiter.
    heads: bool,
}

impl Delimiter {
    pub(crate) fn new(declared: Option<&str>, heads: bool) -> Self {
        let bare = declared.map(|token| {
            token
                .trim_matches(['<', '>', '"', ' '])
                .trim_start_matches('-')
        });
        Self {
            declared: bare.unwrap_or_default().to_ascii_lowercase().into_bytes(),
            seen: Vec::new(),
            heads,
        }
    }

    /// For a body that has no delimiters.
    pub(crate) fn none() -> Self {
        Self::new(None, false)
    }

    /// From now on this is the delimiter.
    pub(crate) fn adopt(&mut self, line: Vec<u8>) {
        self.seen = line;
    }

    /// What a line is, given without its line end. When `strict`, only the delimiter seen or
    /// declared counts, else any line of its shape, unless the body has no delimiters at all.
    pub(crate) fn line(&self, line: &[u8], strict: bool) -> Line {
        let line = line.trim_ascii_end();
        if self.heads && line.starts_with(RESPONSE) {
            return Line::Response;
        }
        if line.is_empty() || line.len() > LINE_LIMIT {
            return Line::Other;
        }
        let line = line.to_ascii_lowercase();
        let known = !self.seen.is_empty();
        if known && line == self.seen {
            return Line::Opens(line);
        }
        if known && line.strip_prefix(&self.seen[..]) == Some(b"--") {
            return Line::Closes;
        }
        if let Some(rest) = self.after_declared(&line) {
            match rest {
                b"" => return Line::Opens(line),
                b"--" => return Line::Closes,
                _ => {}
            }
        }
        if strict || !has_shape(&line) {
            Line::Other
        } else if line.ends_with(b"--") {
            Line::Closes
        } else {
            Line::Opens(line)
        }
    }

    /// What follows the declared boundary, where a line starts with it in any of its spellings.
    fn after_declared<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        let dashes = line.iter().take_while(|&&b| b == b'-').count();
        let token = line.get(dashes..)?;
        let open = token.strip_prefix(b"<").unwrap_or(token);
        let rest = open.strip_prefix(&self.declared[..])?;
        let rest = if open.len() < token.len() {
            rest.strip_prefix(b">")?
        } else {
            rest
        };
        (!self.declared.is_empty()).then_some(rest)
    }

    /// True when a line that begins with this byte may be more than text.
    pub(crate) fn may_start_with(&self, byte: u8) -> bool {
        let byte = byte.to_ascii_lowercase();
        byte == b'-'
            || (self.heads && byte == b'h')
            || self.seen.first() == Some(&byte)
            || self.declared.first() == Some(&byte)
    }

    /// Looks for the delimiter at the start of `rest`, which stands within a picture. Within its
    /// declared length only a delimiter that a header or a document follows is believed, and no
    /// response head.
    pub(crate) fn find(&self, rest: &[u8], within: bool, ended: bool) -> Match {
        let starts = |pattern: &[u8]| {
            let length = pattern.len().min(rest.len());
            let same = rest
                .iter()
                .zip(pattern)
                .all(|(a, b)| a.eq_ignore_ascii_case(b));
            (same && length > 0).then_some(length == pattern.len())
        };
        if self.heads && !within && starts(RESPONSE) == Some(true) {
            return Match::Yes;
        }
        let partial = if ended { Match::No } else { Match::Partial };
        let begins_head = self.heads && !within && starts(RESPONSE).is_some();
        match (self.seen.is_empty(), starts(&self.seen)) {
            (false, Some(true)) => {}
            (false, Some(false)) => return partial,
            _ if begins_head => return partial,
            _ => return Match::No,
        }
        let after = rest
            .get(self.seen.len()..WINDOW.min(rest.len()))
            .unwrap_or_default();
        let whole = rest.len() >= WINDOW || ended;
        let Some(end) = memchr::memchr(b'\n', after) else {
            return match after.trim_ascii() {
                b"" | b"--" if ended => Match::Yes,
                b"" | b"-" | b"--" if !whole => Match::Partial,
                _ => Match::No,
            };
        };
        match after.get(..end).unwrap_or_default().trim_ascii_end() {
            b"--" => Match::Yes,
            b"" if !within => Match::Yes,
            b"" => follows(after.get(end + 1..).unwrap_or_default(), whole),
            _ => Match::No,
        }
    }
}

/// Whether what stands behind a delimiter is the head of a part, or its document.
fn follows(after: &[u8], whole: bool) -> Match {
    const HEADER: &[u8] = b"content-";
    let start = after.trim_ascii_start();
    if matches!(start.first(), Some(b'{' | b'<')) {
        return Match::Yes;
    }
    let same = start
        .iter()
        .zip(HEADER)
        .all(|(a, b)| a.eq_ignore_ascii_case(b));
    match start.len() >= HEADER.len() {
        true if same => Match::Yes,
        false if same && !whole => Match::Partial,
        _ => Match::No,
    }
}

/// `--` and 1 to 70 printable characters, one of them a letter or a digit.
fn has_shape(line: &[u8]) -> bool {
    let Some(token) = line.strip_prefix(b"--") else {
        return false;
    };
    let printable = token.iter().all(u8::is_ascii_graphic);
    printable && token.len() <= TOKEN_LIMIT + 2 && token.iter().any(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(delimiter: &Delimiter, line: &str) -> bool {
        matches!(delimiter.line(line.as_bytes(), true), Line::Opens(_))
    }

    #[test]
    fn the_declared_boundary_is_known_in_every_spelling_met() {
        for declared in [
            "mime_boundary",
            "--MIME_boundary",
            "<MIME_boundary>",
            "MIME_Boundary",
        ] {
            let delimiter = Delimiter::new(Some(declared), false);
            for line in [
                "--MIME_boundary",
                "----mime_boundary",
                "MIME_boundary",
                "--<MIME_boundary>",
                "--MIME_boundary  ",
            ] {
                assert!(opens(&delimiter, line), "{declared} {line}");
            }
            assert_eq!(delimiter.line(b"--MIME_boundary--", true), Line::Closes);
            for line in [
                "--MIME_boundaryX",
                "--other",
                "",
                "--",
                "-->",
                "--<MIME_boundary",
            ] {
                assert_eq!(delimiter.line(line.as_bytes(), true), Line::Other, "{line}");
            }
        }
    }

    #[test]
    fn without_a_declared_one_a_line_of_the_shape_is_taken_but_not_when_strict() {
        let mut delimiter = Delimiter::new(None, true);
        assert_eq!(delimiter.line(b"--Any.thing-1", true), Line::Other);
        assert_eq!(
            delimiter.line(b"--Any.thing-1", false),
            Line::Opens(b"--any.thing-1".to_vec())
        );
        for other in [
            "-->",
            "--",
            "---",
            "--a b",
            "-a",
            &format!("--{}", "x".repeat(73)),
        ] {
            assert_eq!(
                delimiter.line(other.as_bytes(), false),
                Line::Other,
                "{other}"
            );
        }
        assert_eq!(delimiter.line(b"HTTP/1.0 200 OK", true), Line::Response);
        delimiter.adopt(b"--any.thing-1".to_vec());
        assert_eq!(delimiter.line(b"--ANY.thing-1--", true), Line::Closes);
    }

    #[test]
    fn within_a_declared_length_a_delimiter_must_prove_itself() {
        let mut delimiter = Delimiter::new(None, false);
        delimiter.adopt(b"--b".to_vec());
        let find = |rest: &str, within| delimiter.find(rest.as_bytes(), within, false);
        assert_eq!(find("--B\r\nx", false), Match::Yes);
        assert_eq!(find("--b\nxxxxxxxxx", true), Match::No);
        assert_eq!(find("--b\r\nContent-Type", true), Match::Yes);
        assert_eq!(find("--b\r\n\r\n{", true), Match::Yes);
        assert_eq!(find("--b\r\nCont", true), Match::Partial);
        assert_eq!(find("--b--\r\n", true), Match::Yes);
        assert_eq!(find("--", true), Match::Partial);
        assert_eq!(find("--bx\n", false), Match::No);
        assert_eq!(delimiter.find(b"--b--", false, true), Match::Yes);
    }
}
