//! The head of a request, looked at before HTTP reads it: its first line is mended where old
//! firmware writes it wrongly, and how it announces its body is noted.
//!
//! Some terminals put raw blanks into the query (`INFO=Ver 8.0.4.7-2021,1, 2`), which no HTTP
//! library accepts. The blanks and other bytes that may not stand there are percent-encoded;
//! nothing else of a request is ever changed, and what does not begin with a request line is
//! left for the library to refuse.

/// What is to be done with the bytes at the start of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The head is not complete yet.
    More,
    /// It is complete and may go on.
    Whole(Head),
    /// Not the beginning of a request.
    Other,
    /// A peer that begins to speak TLS.
    Tls,
}

/// The first byte of a TLS record that begins a connection; no request begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// A complete head.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// All bytes with the first line mended, when it had to be.
    pub(super) instead: Option<Vec<u8>>,
    /// Where the body begins in the bytes as they came.
    pub(super) length: usize,
    pub(super) body: Announced,
}

/// How a head announces its body.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    /// So many bytes.
    Bytes(u64),
    /// Chunks, or a length that HTTP will refuse.
    Unsaid,
    /// Nothing: there is none.
    #[default]
    Nothing,
    /// A length and chunks: two parties may disagree on where this request ends.
    Twice,
}

/// Looks at the bytes from the start of a request on.
pub(super) fn examine(bytes: &[u8]) -> Verdict {
    // Told at once: the rest of a hello may hold no line for a long time.
    if bytes.first() == Some(&TLS_HANDSHAKE) {
        return Verdict::Tls;
    }
    let start = bytes
        .iter()
        .take_while(|b| matches!(b, b'\r' | b'\n'))
        .count();
    let mut at = start;
    let mut head = Head::default();
    let (mut length, mut chunks) = (None, false);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = rest.iter().position(|b| *b == b'\n') else {
            return Verdict::More;
        };
        let line = rest.get(..end).unwrap_or_default();
        if at == start {
            match mend(line) {
                Line::Plain => {}
                Line::Mended(mut all) => {
                    all.extend_from_slice(rest.get(end..).unwrap_or_default());
                    head.instead = Some(all);
                }
                Line::Other => return Verdict::Other,
            }
        } else if matches!(line, b"" | b"\r") {
            head.length = at + end + 1;
            head.body = announced(length, chunks);
            return Verdict::Whole(head);
        } else if let Some(colon) = line.iter().position(|b| *b == b':') {
            let (name, value) = line.split_at(colon);
            if name.eq_ignore_ascii_case(b"content-length") {
                length = Some(number(value.get(1..).unwrap_or_default()));
            } else {
                chunks |= name.eq_ignore_ascii_case(b"transfer-encoding");
            }
        }
        at += end + 1;
    }
}

fn announced(length: Option<Option<u64>>, chunks: bool) -> Announced {
    match (length, chunks) {
        (Some(_), true) => Announced::Twice,
        (Some(Some(bytes)), false) => Announced::Bytes(bytes),
        (Some(None), false) | (None, true) => Announced::Unsaid,
        (None, false) => Announced::Nothing,
    }
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}

/// A first line.
enum Line {
    /// A request line that may pass as it is.
    Plain,
    /// A request line, mended.
    Mended(Vec<u8>),
    /// No request line.
    Other,
}

/// The line with its target encoded, when that is needed and possible.
fn mend(line: &[u8]) -> Line {
    let text = line.strip_suffix(b"\r").unwrap_or(line);
    let blank = |b: &u8| *b == b' ';
    let (Some(method), Some(version)) = (text.iter().position(blank), text.iter().rposition(blank))
    else {
        return Line::Other;
    };
    let Some(target) = text.get(method + 1..version) else {
        return Line::Other;
    };
    if !text
        .get(version + 1..)
        .unwrap_or_default()
        .starts_with(b"HTTP/")
    {
        return Line::Other;
    }
    if target.iter().all(|b| is_plain(*b)) {
        return Line::Plain;
    }
    let mut mended = Vec::with_capacity(line.len() + 64);
    mended.extend_from_slice(text.get(..=method).unwrap_or_default());
    for byte in target.trim_ascii() {
        if is_plain(*byte) {
            mended.push(*byte);
        } else {
            mended.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    mended.extend_from_slice(line.get(version..).unwrap_or_default());
    Line::Mended(mended)
}

/// The bytes that may stand in a target (RFC 3986), without `#`, which would cut it off.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &str) -> Head {
        match examine(bytes.as_bytes()) {
            Verdict::Whole(head) => head,
            other => panic!("{bytes:?}: {other:?}"),
        }
    }

    fn instead(bytes: &str) -> String {
        String::from_utf8(whole(bytes).instead.unwrap()).unwrap()
    }

    #[test]
    fn raw_blanks_in_the_query_are_encoded_and_the_rest_stays_byte_for_byte() {
        let head = "GET /iclock/getrequest?SN=A1&INFO=Ver 8.0.4.7-2021,1, 2 HTTP/1.1\r\nHost: a b\r\n\r\nc d";
        assert_eq!(
            instead(head),
            "GET /iclock/getrequest?SN=A1&INFO=Ver%208.0.4.7-2021,1,%202 HTTP/1.1\r\nHost: a b\r\n\r\nc d"
        );
    }

    #[test]
    fn other_bytes_that_may_not_stand_in_a_target_are_encoded_too() {
        assert_eq!(
            instead("GET /a?x=\"#<\u{e9}> HTTP/1.0\n\n"),
            "GET /a?x=%22%23%3C%C3%A9%3E HTTP/1.0\n\n"
        );
        assert_eq!(
            instead("GET  /two-blanks HTTP/1.1\r\n\r\n"),
            "GET /two-blanks HTTP/1.1\r\n\r\n"
        );
    }

    #[test]
    fn a_proper_head_passes_untouched_and_a_partial_one_is_waited_for() {
        let proper = "\r\nGET /iclock/ping?SN=A%201 HTTP/1.1\r\nHost: s\r\n\r\n";
        assert_eq!(whole(proper).instead, None);
        assert_eq!(whole(proper).length, proper.len());
        for cut in 0..proper.len() {
            assert_eq!(examine(&proper.as_bytes()[..cut]), Verdict::More, "{cut}");
        }
    }

    #[test]
    fn what_begins_with_no_request_line_is_left_alone() {
        for bytes in ["GET /a b\r\n", "\n\n\nGET\n"] {
            assert_eq!(examine(bytes.as_bytes()), Verdict::Other, "{bytes:?}");
        }
        assert_eq!(examine(b"\x16\x03\x01\x02\x00\x01"), Verdict::Tls);
    }

    #[test]
    fn how_the_body_is_announced_is_read_in_any_case_and_order() {
        let body = |lines: &str| whole(&format!("POST /a HTTP/1.1\r\n{lines}\r\n")).body;
        assert_eq!(body("Host: s\r\n"), Announced::Nothing);
        assert_eq!(body("content-length:  26 \r\n"), Announced::Bytes(26));
        assert_eq!(body("Content-Length: -1\r\n"), Announced::Unsaid);
        assert_eq!(body("Transfer-Encoding: chunked\n"), Announced::Unsaid);
        let both = ["Content-Length: 26\r\n", "TRANSFER-ENCODING: chunked\r\n"];
        assert_eq!(body(&both.concat()), Announced::Twice);
        assert_eq!(body(&format!("{}{}", both[1], both[0])), Announced::Twice);
        assert_eq!(body("X: Content-Length: 3\r\n"), Announced::Nothing);
    }
}
