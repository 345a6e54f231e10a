//! The first line of a request, mended where old firmware writes it wrongly.
//!
//! Some terminals put raw blanks into the query (`INFO=Ver 8.0.4.7-2021,1, 2`), which no HTTP
//! library accepts. The blanks and other bytes that may not stand there are percent-encoded;
//! nothing else of a request is ever changed, and a line that is no request line is left for
//! the library to refuse.

/// What is to be done with the bytes at the start of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The line is complete and may pass as it is.
    Pass,
    /// The line is not complete yet.
    More,
    /// These bytes take the place of those given.
    Instead(Vec<u8>),
}

/// Looks at the bytes from the start of a request on.
pub(super) fn examine(bytes: &[u8]) -> Verdict {
    let start = bytes
        .iter()
        .take_while(|b| matches!(b, b'\r' | b'\n'))
        .count();
    let line = bytes.get(start..).unwrap_or_default();
    let Some(length) = line.iter().position(|b| *b == b'\n') else {
        return Verdict::More;
    };
    let (line, rest) = line.split_at(length);
    match mend(line) {
        Some(mut mended) => {
            mended.extend_from_slice(rest);
            Verdict::Instead(mended)
        }
        None => Verdict::Pass,
    }
}

/// The line with its target encoded, when that is needed and possible.
fn mend(line: &[u8]) -> Option<Vec<u8>> {
    let text = line.strip_suffix(b"\r").unwrap_or(line);
    let method = text.iter().position(|b| *b == b' ')?;
    let version = text.iter().rposition(|b| *b == b' ')?;
    let target = text.get(method + 1..version)?;
    if !text.get(version + 1..)?.starts_with(b"HTTP/") || target.iter().all(|b| is_plain(*b)) {
        return None;
    }
    let mut mended = Vec::with_capacity(line.len() + 64);
    mended.extend_from_slice(text.get(..=method)?);
    for byte in target.trim_ascii() {
        if is_plain(*byte) {
            mended.push(*byte);
        } else {
            mended.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    mended.extend_from_slice(line.get(version..)?);
    Some(mended)
}

/// The bytes that may stand in a target (RFC 3986), without `#`, which would cut it off.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instead(bytes: &str) -> String {
        match examine(bytes.as_bytes()) {
            Verdict::Instead(mended) => String::from_utf8(mended).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn raw_blanks_in_the_query_are_encoded_and_the_rest_stays_byte_for_byte() {
        let head =
            "GET /iclock/getrequest?SN=A1&INFO=Ver 8.0.4.7-2021,1, 2 HTTP/1.1\r\nHost: a b\r\n\r\n";
        assert_eq!(
            instead(head),
            "GET /iclock/getrequest?SN=A1&INFO=Ver%208.0.4.7-2021,1,%202 HTTP/1.1\r\nHost: a b\r\n\r\n"
        );
    }

    #[test]
    fn other_bytes_that_may_not_stand_in_a_target_are_encoded_too() {
        assert_eq!(
            instead("GET /a?x=\"#<\u{e9}> HTTP/1.0\n"),
            "GET /a?x=%22%23%3C%C3%A9%3E HTTP/1.0\n"
        );
        assert_eq!(
            instead("GET  /two-blanks HTTP/1.1\r\n"),
            "GET /two-blanks HTTP/1.1\r\n"
        );
    }

    #[test]
    fn a_proper_line_passes_untouched_and_a_partial_one_is_waited_for() {
        assert_eq!(
            examine(b"GET /iclock/ping?SN=A%201 HTTP/1.1\r\nHost"),
            Verdict::Pass
        );
        assert_eq!(examine(b"\r\nGET /iclock/ping HTTP/1.1\r\n"), Verdict::Pass);
        assert_eq!(examine(b"GET /iclock/ping HT"), Verdict::More);
        assert_eq!(examine(b"\r\n"), Verdict::More);
    }

    #[test]
    fn what_is_no_request_line_is_left_alone() {
        assert_eq!(examine(b"\x16\x03\x01 tls hello\n"), Verdict::Pass);
        assert_eq!(examine(b"GET /a b\r\n"), Verdict::Pass);
        assert_eq!(examine(b"\n\n\nGET\n"), Verdict::Pass);
    }
}
