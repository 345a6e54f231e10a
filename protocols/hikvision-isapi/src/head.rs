//! Heads: of responses on a connection that we opened, and of the parts of a multipart body.
//!
//! Lines end in CRLF or LF, names are compared without case, what we do not know is passed over.
//! Heads have a limit of 8 KiB, kept by those who gather the bytes. Nothing here decides how long
//! a body is; a stated length is only a claim.

use event::Text;

/// Longest head, in bytes.
pub(crate) const HEAD_LIMIT: usize = 8 * 1024;

/// Head of a response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseHead {
    /// Status code.
    pub status: u16,
    /// Each `WWW-Authenticate` line, in order.
    pub www_authenticate: Vec<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// True when the device says it closes the connection after this response, or speaks
    /// HTTP/1.0 and does not say that it stays.
    pub close: bool,
    /// `Content-Length`, where it is a number.
    pub(crate) content_length: Option<u64>,
    /// `Transfer-Encoding: chunked`.
    pub(crate) chunked: bool,
}

impl ResponseHead {
    /// Reads status line and header lines, without the empty line that ends them. `None` when
    /// the first line is not a status line of HTTP/1.
    pub(crate) fn read(head: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.lines();
        let (version, rest) = lines.next()?.split_once(' ')?;
        let minor = version.strip_prefix("HTTP/1.")?;
        let digits = rest.trim_ascii_start().get(..3)?;
        let status = digits
            .parse()
            .ok()
            .filter(|status| (100..=999).contains(status))?;
        let mut read = Self {
            status,
            close: minor == "0",
            ..Self::default()
        };
        lines
            .filter_map(header)
            .for_each(|(name, value)| read.header(name, value));
        Some(read)
    }

    fn header(&mut self, name: &str, value: &str) {
        let has = |word: &str| {
            value
                .split(',')
                .any(|v| v.trim_ascii().eq_ignore_ascii_case(word))
        };
        match name.to_ascii_lowercase().as_str() {
            "www-authenticate" => self.www_authenticate.push(value.to_owned()),
            "content-type" => self.content_type = Some(value.to_owned()),
            "content-length" => self.content_length = length(value),
            "transfer-encoding" => self.chunked |= has("chunked"),
            "connection" if has("close") => self.close = true,
            "connection" if has("keep-alive") => self.close = false,
            _ => {}
        }
    }
}

/// Header of one part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PartHead {
    pub(crate) content_type: Option<Text>,
    pub(crate) content_length: Option<u64>,
    pub(crate) name: Option<Text>,
    pub(crate) filename: Option<Text>,
}

impl PartHead {
    /// Takes one line; what is no header is passed over.
    pub(crate) fn line(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let Some((name, value)) = header(&line) else {
            return;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-type" => self.content_type = Some(Text::from(value.to_ascii_lowercase())),
            "content-length" => self.content_length = length(value),
            "content-disposition" => {
                self.name = parameter(value, "name").map(Text::new);
                self.filename = parameter(value, "filename").map(Text::new);
            }
            _ => {}
        }
    }

    fn type_has(&self, words: &[&str]) -> bool {
        let has = |text: &Text| words.iter().any(|word| text.contains(word));
        self.content_type.as_ref().is_some_and(has)
    }

    /// True when the header calls the part text.
    pub(crate) fn says_text(&self) -> bool {
        self.type_has(&["json", "xml", "text/"])
    }

    /// True when the header calls the part a picture or other binary data.
    pub(crate) fn says_binary(&self) -> bool {
        let picture = |name: &Text| {
            let name = name.to_ascii_lowercase();
            [".jpg", ".jpeg", ".png", ".bmp"]
                .iter()
                .any(|end| name.ends_with(end))
        };
        self.type_has(&["image/", "octet-stream"]) || self.filename.as_ref().is_some_and(picture)
    }
}

fn header(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim_ascii(), value.trim_ascii()))
}

fn length(value: &str) -> Option<u64> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().ok()).flatten()
}

/// A parameter of a header value, with or without quotes.
fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        let found = key.trim_ascii().eq_ignore_ascii_case(name);
        found.then(|| value.trim_ascii().trim_matches('"'))
    })
}

/// The boundary that a content type declares.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    parameter(content_type, "boundary").filter(|token| !token.is_empty())
}

/// True for `multipart/…`.
pub(crate) fn is_multipart(content_type: &str) -> bool {
    let start = content_type.trim_ascii_start().as_bytes().get(..10);
    start.is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_whatever_its_line_ends_and_case() {
        let head = b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Digest realm=\"a, b\"\nWWW-Authenticate:Basic realm=\"x\"\r\nCONNECTION: Close\r\nContent-length: 12";
        let head = ResponseHead::read(head).unwrap();
        assert_eq!(head.status, 401);
        assert_eq!(
            head.www_authenticate,
            ["Digest realm=\"a, b\"", "Basic realm=\"x\""]
        );
        assert!(head.close && !head.chunked);
        assert_eq!(head.content_length, Some(12));
        for bad in [
            "",
            "HTTP/2 200 OK",
            "ICY 200 OK",
            "HTTP/1.1 20",
            "HTTP/1.1 abc",
            "HTTP/1.1 099 x",
        ] {
            assert_eq!(ResponseHead::read(bad.as_bytes()), None, "{bad}");
        }
        assert!(ResponseHead::read(b"HTTP/1.0 200 OK").unwrap().close);
    }

    #[test]
    fn a_length_that_is_no_number_is_no_length() {
        for bad in ["-1", "+5", "1e3", "0x10", "99999999999999999999999"] {
            assert_eq!(length(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_boundary_is_found_quoted_bare_and_in_brackets() {
        for (header, token) in [
            (
                "multipart/mixed; boundary=MIME_boundary",
                Some("MIME_boundary"),
            ),
            ("multipart/mixed;boundary=\"boundary\"", Some("boundary")),
            (
                "Multipart/Form-Data; charset=x; BOUNDARY=--myboundary",
                Some("--myboundary"),
            ),
            ("multipart/mixed; boundary=<b>", Some("<b>")),
            ("multipart/mixed", None),
            ("multipart/mixed; boundary=", None),
        ] {
            assert_eq!(boundary(header), token, "{header}");
            assert!(is_multipart(header));
        }
        assert!(!is_multipart("application/json"));
    }
}
