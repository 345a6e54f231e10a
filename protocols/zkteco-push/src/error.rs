//! What can be wrong, and whose fault it is.
//!
//! Two levels: a request that cannot be attributed to a terminal and a purpose
//! ([`RouteError`], refused), and a record that cannot be read ([`Fault`], quarantined and
//! still acknowledged). A fault never carries the peer's own text: its words go to databases
//! and logs.

use event::{NameError, Reason, Text};

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

/// Why one record could not become an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The class, as it stands in quarantine.
    pub(crate) reason: Reason,
    /// For people; fixed words, nothing of what the peer sent.
    pub(crate) detail: &'static str,
}

impl Fault {
    /// A fault with its words.
    pub(crate) const fn new(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail }
    }
}
