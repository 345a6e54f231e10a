//! What we answer: the words of every reply to a terminal.
//!
//! Old firmware looks for the letters `OK` anywhere in a body of status 200 and then forgets
//! its records; it takes a body that begins with `UN` or `RETRY` for a failed handshake, and
//! one that says that the device is not known for an order to start over. So: success is 200
//! and says `OK`; a refusal is never 200, never holds these letters in any case, never begins
//! with those words, and never repeats anything that a peer sent. A test sweeps them all.

use event::Millis;

use crate::{OptionBlock, Table};

/// A status and a body. The listener adds the headers (see `SPEC.md`, "Frame of a reply").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status; 200 for success only.
    pub status: u16,
    /// `text/plain;charset=UTF-8`, ends in LF.
    pub body: String,
}

impl Reply {
    /// The records of an upload are safe. Say it only when they are.
    pub fn stored(table: &Table, records: u64) -> Self {
        match table {
            Table::AttPhoto | Table::Options => Self::ok(),
            _ => Self::success(format!("OK: {records}\n")),
        }
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
    /// A request of the access-control dialect.
    AccessDialect,
    /// A request of the attendance dialect that is not served.
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
    /// Every value.
    pub const ALL: [Self; 16] = [
        Self::UnknownDevice,
        Self::Pending,
        Self::Blocked,
        Self::StoreUnavailable,
        Self::Overloaded,
        Self::TooLarge,
        Self::UnsupportedEncoding,
        Self::Method,
        Self::NotFound,
        Self::AccessDialect,
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
            Self::StoreUnavailable => "store_unavailable",
            Self::Overloaded => "overloaded",
            Self::TooLarge => "too_large",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::Method => "method",
            Self::NotFound => "not_found",
            Self::AccessDialect => "access_dialect",
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
            Self::StoreUnavailable => (503, "Database not available; send again later."),
            Self::Overloaded => (503, "Too busy; send again later."),
            Self::TooLarge => (413, "The body is too large."),
            Self::UnsupportedEncoding => (415, "Compressed bodies are not accepted."),
            Self::Method => (405, "Wrong HTTP method for this address."),
            Self::NotFound => (404, "No such address."),
            Self::AccessDialect => (
                404,
                "Access-control push is not served; set the terminal to T&A PUSH.",
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
    fn success_is_200_and_says_so_with_the_count_where_the_table_wants_it() {
        for (table, body) in [
            ("ATTLOG", "OK: 7\n"),
            ("OPERLOG", "OK: 7\n"),
            ("BIODATA", "OK: 7\n"),
            ("ERRORLOG", "OK: 7\n"),
            ("UPDATES", "OK: 7\n"),
            ("options", "OK\n"),
            ("ATTPHOTO", "OK\n"),
        ] {
            let reply = Reply::stored(&Table::from_name(table), 7);
            assert_eq!((reply.status, reply.body.as_str()), (200, body), "{table}");
        }
        assert_eq!(Reply::ok().body, "OK\n");
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
