//! From a letter to the bytes on the wire: one well-formed message, whatever strangers wrote.
//!
//! The mail library in use has an open advisory (RUSTSEC-2026-0561: bare line breaks inject
//! SMTP commands). So every body is quoted-printable, every address is checked by us, and the
//! finished bytes are inspected: pure ASCII, no bare CR or LF, no overlong line, each header
//! once. What does not pass is not sent.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::Address;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use crate::letter::{Letter, SUBJECT_CHARACTERS, mail_address};
use crate::{Error, text};

/// The longest line that mail servers must take, without its end.
const LINE_BYTES: usize = 998;

const SUBJECT: HeaderName = HeaderName::new_from_ascii_str("Subject");

/// Who writes the mails.
#[derive(Debug, Clone)]
pub struct Sender {
    mailbox: Mailbox,
}

impl Sender {
    /// A mail address as in [`crate::Recipient::mail`], and a name to be shown, for example
    /// `Sentinela`.
    ///
    /// # Errors
    /// [`Error::Address`] when the address is none.
    pub fn new(address: &str, name: &str) -> Result<Self, Error> {
        let name = Some(text::short(name, 60)).filter(|name| !name.is_empty());
        Ok(Self {
            mailbox: Mailbox::new(name, mail_address(address)?),
        })
    }

    /// The mail address.
    pub fn address(&self) -> &Address {
        &self.mailbox.email
    }
}

/// What a message is made of.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// The identity of the letter, 32 hexadecimal digits.
    pub(crate) id: String,
    /// The identity of the first letter of the thread, if this is not the first.
    pub(crate) thread: Option<String>,
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    /// When the letter was queued: the date that it bears, however late it arrives.
    pub(crate) written_at: Timestamp,
}

/// One message to one recipient, ready for a relay.
#[derive(Debug, Clone)]
pub struct Wire {
    /// The identity of the letter: the Message-ID without its domain.
    pub id: String,
    /// The sender of the envelope.
    pub from: Address,
    /// The only recipient of the envelope.
    pub to: Address,
    /// The message: ASCII, lines ending in CR LF.
    pub bytes: Vec<u8>,
}

impl Letter {
    /// The mail that this letter is, as the first of its thread.
    ///
    /// # Errors
    /// [`Error::Address`] when its reader is no mail address, [`Error::Letter`] when the message
    /// would not be well-formed.
    pub fn wire(&self, from: &Sender, written_at: Timestamp) -> Result<Wire, Error> {
        let content = Content {
            id: self.id(),
            thread: None,
            to: self.to.address().to_owned(),
            subject: self.shown_subject(),
            text: self.body.text(),
            html: self.body.html(),
            written_at,
        };
        compose(from, &content)
    }
}

/// Writes the message. The same content gives the same bytes.
pub(crate) fn compose(sender: &Sender, content: &Content) -> Result<Wire, Error> {
    let to = mail_address(&content.to)?;
    let from = sender.mailbox.email.clone();
    let name = |id: &str| format!("<{id}@{}>", from.domain());
    let seconds = u64::try_from(content.written_at.as_second()).unwrap_or_default();
    let mut builder = lettre::Message::builder()
        .from(sender.mailbox.clone())
        .to(Mailbox::new(None, to.clone()))
        .raw_header(subject(&text::short(&content.subject, SUBJECT_CHARACTERS)))
        .date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        .message_id(Some(name(&content.id)))
        // Asks out-of-office replies to stay away (RFC 3834).
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    if let Some(thread) = &content.thread {
        builder = builder.in_reply_to(name(thread)).references(name(thread));
    }
    let parts = MultiPart::alternative()
        .boundary(format!("=_{}", content.id))
        .singlepart(part(ContentType::TEXT_PLAIN, text::block(&content.text)))
        .singlepart(part(ContentType::TEXT_HTML, text::block(&content.html)));
    let unusable = |error: lettre::error::Error| Error::Letter(error.to_string());
    let bytes = builder.multipart(parts).map_err(unusable)?.formatted();
    inspect(&bytes).map_err(Error::Letter)?;
    Ok(Wire {
        id: content.id.clone(),
        from,
        to,
        bytes,
    })
}

/// The subject as a header. Plain ASCII stands as it is. Everything else is encoded as a whole
/// (RFC 2047, Q), and so is what looks like an encoded word already: readers would decode that,
/// and show something else than what was checked here.
fn subject(text: &str) -> HeaderValue {
    const WORD_BYTES: usize = 60;
    let plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    let odd = text.contains("=?") || text.contains("  ") || text.trim() != text;
    if text.bytes().all(plain) && !odd {
        return HeaderValue::new(SUBJECT, text.to_owned());
    }
    let mut words = vec![String::new()];
    for c in text.chars() {
        let mut bytes = [0; 4];
        let encoded: String = match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' => c.to_string(),
            ' ' => "_".to_owned(),
            _ => c
                .encode_utf8(&mut bytes)
                .bytes()
                .map(|byte| format!("={byte:02X}"))
                .collect(),
        };
        // A character is never cut in two.
        match words.last_mut() {
            Some(word) if word.len() + encoded.len() <= WORD_BYTES => word.push_str(&encoded),
            _ => words.push(encoded),
        }
    }
    let words: Vec<String> = words
        .iter()
        .map(|word| format!("=?utf-8?Q?{word}?="))
        .collect();
    HeaderValue::dangerous_new_pre_encoded(SUBJECT, text.to_owned(), words.join("\r\n "))
}

fn part(kind: ContentType, content: String) -> SinglePart {
    SinglePart::builder()
        .header(kind)
        .header(ContentTransferEncoding::QuotedPrintable)
        .body(content)
}

/// The last look before the wire.
fn inspect(bytes: &[u8]) -> Result<(), String> {
    let mut length = 0;
    let mut before = 0;
    for &byte in bytes {
        match byte {
            b'\n' if before != b'\r' => return Err("a bare LF in the message".to_owned()),
            _ if before == b'\r' && byte != b'\n' => {
                return Err("a bare CR in the message".to_owned());
            }
            b'\n' => length = 0,
            b'\r' => {}
            b'\t' | 0x20..0x7f if length < LINE_BYTES => length += 1,
            b'\t' | 0x20..0x7f => return Err("a line of more than 998 bytes".to_owned()),
            _ => return Err(format!("the byte {byte:#04x} in the message")),
        }
        before = byte;
    }
    if before == b'\r' {
        return Err("a bare CR at the end of the message".to_owned());
    }
    inspect_headers(bytes)
}

/// Each header of the top level must be one that we set, and stand there once.
fn inspect_headers(bytes: &[u8]) -> Result<(), String> {
    const KNOWN: [&str; 10] = [
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "in-reply-to",
        "references",
        "auto-submitted",
        "mime-version",
        "content-type",
    ];
    let mut seen = [false; KNOWN.len()];
    for line in bytes.split(|byte| *byte == b'\n') {
        if line == b"\r" {
            return Ok(());
        }
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            continue;
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let place = KNOWN.iter().position(|known| *known == name);
        match place.and_then(|place| seen.get_mut(place)) {
            Some(seen) if !*seen => *seen = true,
            _ => return Err(format!("the header '{name}' stands in the message unasked")),
        }
    }
    Err("the message has no body".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::{MessageParser, MimeHeaders as _};
    use proptest::prelude::*;

    fn content(subject: &str, text: &str, html: &str) -> Content {
        Content {
            id: "00112233445566778899aabbccddeeff".to_owned(),
            thread: Some("ffeeddccbbaa99887766554433221100".to_owned()),
            to: "soporte@example.mx".to_owned(),
            subject: subject.to_owned(),
            text: text.to_owned(),
            html: html.to_owned(),
            written_at: Timestamp::from_second(1_800_000_000).unwrap(),
        }
    }

    fn sender() -> Sender {
        Sender::new("sentinela@example.mx", "Sentinela «Planta Ñ»").unwrap()
    }

    /// A second, independent reader judges: one message, two parts, nobody else addressed, and
    /// every text as it went in.
    fn judge(content: &Content) {
        let wire = compose(&sender(), content).unwrap();
        let parsed = MessageParser::default().parse(&wire.bytes).unwrap();
        assert_eq!(
            parsed.subject().unwrap_or_default().trim(),
            text::short(&content.subject, SUBJECT_CHARACTERS).trim()
        );
        let to: Vec<_> = parsed.to().unwrap().iter().collect();
        assert_eq!(to.len(), 1);
        assert_eq!(to[0].address(), Some("soporte@example.mx"));
        assert!(parsed.cc().is_none() && parsed.bcc().is_none());
        assert_eq!(
            parsed.message_id(),
            Some("00112233445566778899aabbccddeeff@example.mx")
        );
        let thread = "ffeeddccbbaa99887766554433221100@example.mx";
        assert_eq!(parsed.in_reply_to().as_text(), Some(thread));
        assert_eq!(parsed.references().as_text(), Some(thread));
        assert_eq!(parsed.parts.len(), 3, "the multipart and its two parts");
        assert_eq!(parsed.attachment_count(), 0);
        let kinds: Vec<_> = parsed.parts[1..]
            .iter()
            .map(|part| {
                part.content_type()
                    .and_then(|kind| kind.subtype())
                    .unwrap_or_default()
            })
            .collect();
        assert_eq!(kinds, ["plain", "html"]);
        let unified = |text: &str| text::block(text);
        for (part, wanted) in parsed.parts[1..].iter().zip([&content.text, &content.html]) {
            let got = part.text_contents().unwrap().replace("\r\n", "\n");
            assert_eq!(got, unified(wanted));
        }
    }

    #[test]
    fn a_message_in_spanish_arrives_as_it_was_written() {
        judge(&content(
            "INC-2026-000123 Sin avance en «Querétaro Nº 3» desde las 09:15",
            "Desde: 09:15\nEsperado: 40 checadas, visto: 0\n.\nFin\n",
            "<p>Año nuevo</p>\n",
        ));
    }

    #[test]
    fn attempts_at_injection_arrive_as_text() {
        for hostile in [
            "x\r\nBcc: todos@example.mx\r\n\r\nhola",
            "x\nSubject: otro",
            "\r\n.\r\nMAIL FROM:<a@x.mx>\r\n",
            "--=_00112233445566778899aabbccddeeff--\r\n\r\n",
            "=?utf-8?B?QmNjOiB4?=",
            "\0\u{1b}[2J\u{202e}abc",
        ] {
            judge(&content(hostile, hostile, &text::html(hostile)));
        }
        judge(&content(
            &"x".repeat(5000),
            &"y".repeat(50_000),
            &"ñ ".repeat(20_000),
        ));
    }

    #[test]
    fn the_same_letter_gives_the_same_bytes() {
        let bytes = || compose(&sender(), &content("a", "b", "c")).unwrap().bytes;
        assert_eq!(bytes(), bytes());
    }

    #[test]
    fn the_last_look_finds_what_must_not_leave() {
        for (bad, reason) in [
            (&b"Subject: a\nBcc: b\r\n\r\n"[..], "bare LF"),
            (b"Subject: a\rBcc: b\r\n\r\n", "bare CR"),
            (b"Subject: a\r\n\r\n\r", "bare CR"),
            (b"Subject: a\r\nBcc: b\r\n\r\n", "'bcc'"),
            (b"Subject: a\r\nSubject: b\r\n\r\n", "'subject'"),
            (b"Subject: a\r\n", "unasked"),
            (b"Subject: \xc3\xb1\r\n\r\n", "0xc3"),
            (b"Subject: \0\r\n\r\n", "0x00"),
        ] {
            let error = inspect(bad).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let long = format!("Subject: {}\r\n\r\n", "x".repeat(1000));
        assert!(inspect(long.as_bytes()).unwrap_err().contains("998"));
        assert_eq!(inspect(b"Subject: a\r\n b\r\n\r\nx\r\n"), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn whatever_strangers_write_exactly_one_well_formed_message_comes_out(
            subject in any_text(),
            body in any_text(),
        ) {
            let subject = text::short(&subject, SUBJECT_CHARACTERS);
            let made = crate::Body::new().heading(&body).pair(&subject, &body).link("x", &body);
            judge(&content(&subject, &made.text(), &made.html()));
        }
    }

    /// Any characters, and often those that matter.
    fn any_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            ".{0,20}",
            any::<char>().prop_map(String::from),
            Just("\r\n".to_owned()),
            Just("\r\n.\r\n".to_owned()),
            Just("\nBcc: x@y.mx".to_owned()),
            Just("=?utf-8?Q?=0A?=".to_owned()),
            Just(" ".to_owned()),
            Just("\0".to_owned()),
            Just("=_00112233445566778899aabbccddeeff".to_owned()),
            Just("x".repeat(300)),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }
}
