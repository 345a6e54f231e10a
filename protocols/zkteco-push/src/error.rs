//! What can be wrong, and whose fault it is.
//!
//! Two levels: a request that cannot be attributed to a terminal and a purpose
//! ([`RouteError`], refused), and a record that cannot be read ([`Fault`], quarantined and
//! still acknowledged). A fault never carries the peer's own text: its words go to databases
//! and logs.

use event::{NameError, Text};

use crate::Refusal;

/// Why a request was not understood. Each has its [`Refusal`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The path does not begin with `/iclock/`.
    #[error("the path is not under /iclock/")]
    NotOurs,
    /// A path under `/iclock/` that no terminal is known to use; at most 64 characters of it,
    /// control characters replaced.
    #[error("there is no /iclock/ request of that name: {0:?}")]
    UnknownPath(Text),
    /// The path is known, the method is not one of its own. Holds the request's name.
    #[error("wrong HTTP method for /iclock/{0}")]
    Method(&'static str),
    /// No `SN` in the query.
    #[error("the query has no SN")]
    MissingSerial,
    /// The `SN` is not a serial.
    #[error("the SN {0}")]
    BadSerial(NameError),
}

impl RouteError {
    /// What to answer.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::NotOurs | Self::UnknownPath(_) => Refusal::NotFound,
            Self::Method(_) => Refusal::Method,
            Self::MissingSerial => Refusal::MissingSerial,
            Self::BadSerial(_) => Refusal::BadSerial,
        }
    }
}

event::faults! {
    // The upload.
    UNKNOWN_TABLE: UnknownTable, "a table that we do not know";
    BINARY: UnknownTable, "binary data of a table that we do not know";
    SCRAMBLED: Unreadable, "scrambled (LZO1); the terminal must be set to no encryption";
    TOO_MANY: Unreadable, "several lines together: too many bad lines in one upload";
    NO_OPTIONS: Unreadable, "no key=value in the settings";
    NO_STATE: Unreadable, "none of the keys of a door state";
    // The line.
    LONG_LINE: Unreadable, "a line longer than any record";
    CONTROL: Unreadable, "a control character inside the line";
    NO_TEXT: BadText, "not text in UTF-8 nor in the terminal's own character set";
    ONE_COLUMN: Unreadable, "fewer than two columns";
    TWO_COLUMNS: Unreadable, "fewer than three columns";
    NO_SORT: Unreadable, "no known sort of line";
    // Its columns.
    NO_TIME: BadTime, "not a date and time of the years 1970 to 2199";
    NO_MOMENT: BadTime, "neither a date and time nor packed seconds of a day that exists";
    NO_PIN: BadField, "no PIN";
    LONG_PIN: BadField, "a PIN of more than 24 characters";
    LONG_CARD: BadField, "a card longer than any terminal's";
    NO_CODE: BadField, "no code";
    CODE_NUMBER: BadField, "an operation code is a number";
    LONG_CODE: BadField, "a code longer than any terminal's";
    LONG_COLUMNS: BadField, "columns longer than any terminal's";
    NO_ERR_CODE: BadField, "no ErrCode";
}
