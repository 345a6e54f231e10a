//! What we answer: the words of every reply to a terminal.
//!
//! Old firmware looks for the letters `OK` anywhere in a body of status 200 and then forgets
//! its records; it takes a body that begins with `UN` or `RETRY` for a failed handshake, and
//! one that says that the device is not known for an order to start over. So: success is 200
//! and says `OK`; a refusal is never 200, never holds these letters in any case, never begins
//! with those words, and never repeats anything that a peer sent. A test sweeps them all.

use event::{Millis, Serial, WallTime};

use crate::access::block::{AccessBlock, registry_code};
use crate::packed::pack;
use crate::{Acknowledge, OptionBlock};

/// A status and a body. The listener adds the headers (see `SPEC.md`, "Frame of a reply").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status; 200 for success only.
    pub status: u16,
    /// `text/plain;charset=UTF-8`. Ends in LF, except where the access dialect's manual shows one
    /// value alone.
    pub body: String,
}

impl Reply {
    /// The records of an upload are safe, so many of them. Say it only when they are.
    pub fn stored(acknowledge: &Acknowledge, records: u64) -> Self {
        match acknowledge {
            Acknowledge::Counted => Self::success(format!("OK: {records}\n")),
            Acknowledge::Plain => Self::ok(),
            // Never more than was announced: a value with a line end in it looks like two.
            Acknowledge::Named { name, announced } => {
                let records = announced.map_or(records, |announced| records.min(announced));
                Self::success(format!("{name}={records}"))
            }
        }
    }

    /// The answer to the first request of an access-control terminal: its configuration when it
    /// has registered before, else the word upon which it registers.
    pub fn greeting(block: &AccessBlock<'_>, registered: bool) -> Self {
        if registered {
            Self::success(block.greeting())
        } else {
            Self::ok()
        }
    }

    /// The answer to [`crate::Ask::Registry`].
    pub fn registered(serial: &Serial) -> Self {
        Self::success(format!("RegistryCode={}", registry_code(serial)))
    }

    /// The answer to [`crate::Ask::Configuration`].
    pub fn configuration(block: &AccessBlock<'_>) -> Self {
        Self::success(block.lines())
    }

    /// The answer to [`crate::Ask::PackedTime`]: our time in UTC, and how far east of it the
    /// terminal stands. `None` for a time that cannot be packed.
    pub fn packed_time(now: Millis, offset_seconds: i32) -> Option<Self> {
        let text = now.text();
        let utc = WallTime::parse(text.get(..19)?.as_bytes())?;
        let sign = if offset_seconds < 0 { '-' } else { '+' };
        let minutes = offset_seconds.unsigned_abs() / 60;
        let (hours, minutes) = (minutes / 60, minutes % 60);
        let packed = pack(&utc)?;
        Some(Self::success(format!(
            "DateTime={packed},ServerTZ={sign}{hours:02}{minutes:02}"
        )))
    }

    /// The answer to a poll: commands by id and text, one a line, or `OK` when there are none.
    pub fn commands(commands: &[(String, String)]) -> Self {
        if commands.is_empty() {
            return Self::ok();
        }
        let line = |(id, text): &(String, String)| format!("C:{id}:{text}\n");
        Self::success(commands.iter().map(line).collect())
    }

    /// Heard: a ping, results of commands, or a poll for which there are no commands. A poll
    /// must never get an empty body.
    pub fn ok() -> Self {
        Self::success("OK\n".into())
    }

    /// The answer to a handshake.
    pub fn options(block: &OptionBlock<'_>) -> Self {
        Self::success(block.text())
    }

    /// The answer to [`crate::Ask::Time`]: our time in the terminal's zone,
    /// `offset_seconds` east of UTC.
    pub fn time(now: Millis, offset_seconds: i32) -> Self {
        let local = Millis(now.0.saturating_add(i64::from(offset_seconds) * 1000)).text();
        let seconds = local.get(..19).unwrap_or_default().replace(' ', "T");
        let sign = if offset_seconds < 0 { '-' } else { '+' };
        let minutes = offset_seconds.unsigned_abs() / 60;
        let (hours, minutes) = (minutes / 60, minutes % 60);
        Self::success(format!("Time={seconds}{sign}{hours:02}:{minutes:02}\n"))
    }

    /// A refusal in words for whoever reads the terminal's log or the wire.
    pub fn refuse(refusal: Refusal) -> Self {
        let (status, words) = refusal.status_and_words();
        Self {
            status,
            body: format!("{words}\n"),
        }
    }

    fn success(body: String) -> Self {
        Self { status: 200, body }
    }
}

/// Why a request is refused. The terminal keeps its records and comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// The serial is not enrolled, and is not held for approval either.
    UnknownDevice,
    /// The serial waits for somebody to approve it.
    Pending,
    /// The serial was blocked.
    Blocked,
    /// The serial came from where its tenant expects none of its terminals.
    WrongNetwork,
    /// The store that holds this terminal's events is down.
    StoreUnavailable,
    /// Too much work at the moment.
    Overloaded,
    /// The body is larger than the limit.
    TooLarge,
    /// The body has a `Content-Encoding`.
    UnsupportedEncoding,
    /// The path is known, the method is not.
    Method,
    /// No such path.
    NotFound,
    /// A door that asks us whether to open.
    RemoteVerification,
    /// A terminal that wants to encrypt its session.
    Encryption,
    /// Another request that is not served.
    NotServed,
    /// Not a request that can be read, for example a body shorter than announced.
    BadRequest,
    /// No `SN` in the query.
    MissingSerial,
    /// The `SN` is not a serial.
    BadSerial,
    /// The request came too slowly.
    Timeout,
    /// Our own fault.
    Internal,
}

impl Refusal {
    /// The refusal of an [`crate::Ask::Unserved`] request.
    pub fn of_unserved(name: &str) -> Self {
        match name {
            "AuthType" | "PostVerifyData" => Self::RemoteVerification,
            "exchange" => Self::Encryption,
            _ => Self::NotServed,
        }
    }

    /// Every value.
    pub const ALL: [Self; 18] = [
        Self::UnknownDevice,
        Self::Pending,
        Self::Blocked,
        Self::WrongNetwork,
        Self::StoreUnavailable,
        Self::Overloaded,
        Self::TooLarge,
        Self::UnsupportedEncoding,
        Self::Method,
        Self::NotFound,
        Self::RemoteVerification,
        Self::Encryption,
        Self::NotServed,
        Self::BadRequest,
        Self::MissingSerial,
        Self::BadSerial,
        Self::Timeout,
        Self::Internal,
    ];

    /// The word that stands in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownDevice => "unknown_device",
            Self::Pending => "pending",
            Self::Blocked => "blocked",
            Self::WrongNetwork => "wrong_network",
            Self::StoreUnavailable => "store_unavailable",
            Self::Overloaded => "overloaded",
            Self::TooLarge => "too_large",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::Method => "method",
            Self::NotFound => "not_found",
            Self::RemoteVerification => "remote_verification",
            Self::Encryption => "encryption",
            Self::NotServed => "not_served",
            Self::BadRequest => "bad_request",
            Self::MissingSerial => "missing_serial",
            Self::BadSerial => "bad_serial",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
        }
    }

    /// Status and words. The words must pass the sweep in the tests below.
    fn status_and_words(self) -> (u16, &'static str) {
        match self {
            Self::UnknownDevice => (403, "This serial number is not enrolled here."),
            Self::Pending => (403, "This terminal waits for approval."),
            Self::Blocked => (403, "This terminal is barred."),
            Self::WrongNetwork => (403, "This terminal is not expected at this address."),
            Self::StoreUnavailable => (503, "Database not available; send again later."),
            Self::Overloaded => (503, "Too busy; send again later."),
            Self::TooLarge => (413, "The body is too large."),
            Self::UnsupportedEncoding => (415, "Compressed bodies are not accepted."),
            Self::Method => (405, "Wrong HTTP method for this address."),
            Self::NotFound => (404, "No such address."),
            Self::RemoteVerification => (
                404,
                "Remote verification is not served; let the terminal decide by itself.",
            ),
            Self::Encryption => (
                404,
                "Session encryption is not served; switch it off on the terminal.",
            ),
            Self::NotServed => (404, "This request is not served."),
            Self::BadRequest => (400, "The request cannot be read."),
            Self::MissingSerial => (400, "The query has no SN."),
            Self::BadSerial => (400, "The SN is not a serial number."),
            Self::Timeout => (408, "The request came too slowly."),
            Self::Internal => (500, "Internal error; send again later."),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RouteError;
    use event::{NameError, Serial, Text};

    #[test]
    fn no_refusal_can_be_taken_for_success_or_for_an_order() {
        for refusal in Refusal::ALL {
            let reply = Reply::refuse(refusal);
            let body = reply.body.to_uppercase();
            assert!((400..600).contains(&reply.status), "{refusal}");
            assert!(!body.contains("OK"), "{refusal}");
            assert!(
                !body.starts_with("UN") && !body.starts_with("RETRY"),
                "{refusal}"
            );
            assert!(!body.contains("UNKNOWN DEVICE"), "{refusal}");
            assert!(body.trim().len() > 10 && body.ends_with('\n'), "{refusal}");
        }
    }

    #[test]
    fn every_error_of_a_request_line_has_a_refusal_of_its_class() {
        for (error, status) in [
            (RouteError::NotOurs, 404),
            (RouteError::UnknownPath(Text::new("x")), 404),
            (RouteError::Method("cdata"), 405),
            (RouteError::MissingSerial, 400),
            (RouteError::BadSerial(NameError::Empty), 400),
        ] {
            assert_eq!(Reply::refuse(error.refusal()).status, status);
        }
    }

    #[test]
    fn refusal_words_differ_from_each_other() {
        let words: std::collections::BTreeSet<_> =
            Refusal::ALL.iter().map(|r| r.as_str()).collect();
        let texts: std::collections::BTreeSet<_> = Refusal::ALL
            .iter()
            .map(|r| Reply::refuse(*r).body)
            .collect();
        assert_eq!(
            (words.len(), texts.len()),
            (Refusal::ALL.len(), Refusal::ALL.len())
        );
    }

    #[test]
    fn success_is_200_and_says_so_in_the_words_that_the_table_wants() {
        let named = |announced| Acknowledge::Named {
            name: Text::new("user"),
            announced,
        };
        for (acknowledge, body) in [
            (Acknowledge::Counted, "OK: 7\n"),
            (Acknowledge::Plain, "OK\n"),
            (named(None), "user=7"),
            (named(Some(7)), "user=7"),
            (named(Some(3)), "user=3"),
            (named(Some(9)), "user=7"),
        ] {
            let reply = Reply::stored(&acknowledge, 7);
            assert_eq!((reply.status, reply.body.as_str()), (200, body));
        }
        assert_eq!(Reply::ok().body, "OK\n");
    }

    #[test]
    fn an_access_terminal_hears_its_code_its_configuration_and_the_packed_time() {
        let serial = Serial::new("ABC1234560001").unwrap();
        let block = AccessBlock::new(&serial);
        let code = Reply::registered(&serial).body;
        assert!(code.starts_with("RegistryCode=") && code.len() <= 13 + 32);
        assert!(Reply::greeting(&block, true).body.contains(&code));
        assert_eq!(Reply::greeting(&block, false), Reply::ok());
        assert!(!Reply::configuration(&block).body.contains("Registry"));
        let now = Millis::parse("2026-11-21 16:15:30.500").unwrap();
        let time = |offset| Reply::packed_time(now, offset).unwrap().body;
        // 10:15:30 is 864,209,730 (see `packed`); this is six hours later.
        assert_eq!(time(-6 * 3600), "DateTime=864231330,ServerTZ=-0600");
        assert_eq!(time(19_800), "DateTime=864231330,ServerTZ=+0530");
        assert_eq!(Reply::packed_time(Millis(0), 0), None);
    }

    #[test]
    fn commands_stand_one_a_line_and_a_poll_never_hears_nothing() {
        let command = |id: &str, text: &str| (id.to_owned(), text.to_owned());
        let reply = Reply::commands(&[command("1a", "INFO"), command("2b", "CHECK")]);
        assert_eq!(reply.body, "C:1a:INFO\nC:2b:CHECK\n");
        assert_eq!(Reply::commands(&[]), Reply::ok());
    }

    #[test]
    fn the_time_is_told_in_the_terminals_zone() {
        let now = Millis::parse("2026-11-21 09:15:30").unwrap();
        assert_eq!(
            Reply::time(now, 3600).body,
            "Time=2026-11-21T10:15:30+01:00\n"
        );
        assert_eq!(
            Reply::time(now, -12_600).body,
            "Time=2026-11-21T05:45:30-03:30\n"
        );
        assert_eq!(Reply::time(now, 0).body, "Time=2026-11-21T09:15:30+00:00\n");
    }

    #[test]
    fn a_handshake_is_answered_by_the_block() {
        let serial = Serial::new("ABC1234560001").unwrap();
        let reply = Reply::options(&OptionBlock::new(&serial, None));
        assert!(reply.status == 200 && reply.body.starts_with("GET OPTION FROM: ABC1234560001\n"));
    }
}
