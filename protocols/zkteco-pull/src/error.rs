//! What ended a session: whose fault it is, what to do, when to come again.
//!
//! Every error here closes the connection. A stream whose answers no longer belong to its
//! questions is never used again; what was not read is still in the terminal and is read next
//! time. No message repeats the communication key or text that the peer sent.

use event::Reason;

use crate::attlog::LayoutError;
use crate::commands;
use crate::framing::FrameError;
use crate::recognise::Foreign;

/// Why a session ended before it was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are no frames of this protocol.
    #[error("the terminal's bytes cannot be read: {0}")]
    Frame(FrameError),
    /// Another protocol answers on this port.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// A packet's checksum is wrong.
    #[error("a packet has a wrong checksum")]
    Checksum,
    /// CONNECT was not answered at all.
    #[error("the terminal accepts the connection and does not answer")]
    Silent,
    /// The terminal wants a communication key and none is configured.
    #[error("the terminal wants a communication key, and none is configured")]
    KeyWanted,
    /// The communication key is wrong.
    #[error("the terminal refuses the configured communication key")]
    WrongKey,
    /// The terminal is locked after wrong keys.
    #[error("the terminal has locked itself after wrong communication keys")]
    AuthLocked,
    /// A question was answered with "not authorised" in the middle of a session.
    #[error("the terminal calls the session unauthorised when asked to {asked}")]
    Unauthorised {
        /// The question.
        asked: &'static str,
    },
    /// A question that cannot be done without was refused.
    #[error("the terminal refuses to {asked}: {code} ({})", code_name(*code))]
    Refused {
        /// The question.
        asked: &'static str,
        /// The reply code.
        code: u16,
    },
    /// A question was not answered in time.
    #[error("no answer in time when asked to {asked}; {stale} answers to other questions came")]
    Timeout {
        /// The question.
        asked: &'static str,
        /// Packets with another reply id that were heard instead.
        stale: u32,
    },
    /// An answer too short for what was asked, or of the wrong sort.
    #[error("the answer to {asked} makes no sense: code {code}, {length} bytes")]
    BadAnswer {
        /// The question.
        asked: &'static str,
        /// The reply code.
        code: u16,
        /// Bytes of its data.
        length: usize,
    },
    /// Too many packets in a row belong to no open question.
    #[error("{0} packets in a row answer questions that were not asked")]
    Babble(u32),
    /// Fewer bytes came than were promised.
    #[error("{got} of {promised} promised bytes came")]
    Short {
        /// Bytes promised.
        promised: u32,
        /// Bytes that came.
        got: u32,
    },
    /// Two statements about the same length differ.
    #[error("the terminal counts {stated} bytes where {found} are")]
    LyingCount {
        /// What was said.
        stated: u32,
        /// What is.
        found: u32,
    },
    /// Announcements without data, over and over.
    #[error("the terminal announces data again and again and sends none")]
    EndlessPrepare,
    /// More data than any terminal holds.
    #[error("{0} bytes are announced, more than any terminal holds")]
    TooLarge(u32),
    /// Datagrams came without numbers, so that their order cannot be known.
    #[error("the order of the datagrams cannot be known, because they are not numbered")]
    Unordered,
    /// More came at once than the owner of the session takes away.
    #[error("more than {0} things wait to be taken from the session")]
    Flood(usize),
}

fn code_name(code: u16) -> &'static str {
    commands::name(code).unwrap_or("a code that is not known")
}

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// What is configured here or at the terminal.
    Settings,
    /// The terminal or its firmware.
    Terminal,
    /// The way between, or somebody else who holds the terminal's only connection.
    Network,
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// After the usual pause.
    Soon,
    /// After a long pause: trying harder makes it worse.
    Later,
    /// Only when something was changed; the pause of an hour or more is for finding out.
    AfterChange,
}

impl Error {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Foreign(_) | Self::KeyWanted | Self::WrongKey | Self::AuthLocked => {
                Fault::Settings
            }
            Self::Silent | Self::Timeout { .. } | Self::Short { .. } | Self::Flood(_) => {
                Fault::Network
            }
            Self::Frame(_)
            | Self::Checksum
            | Self::Unauthorised { .. }
            | Self::Refused { .. }
            | Self::BadAnswer { .. }
            | Self::Babble(_)
            | Self::LyingCount { .. }
            | Self::EndlessPrepare
            | Self::TooLarge(_)
            | Self::Unordered => Fault::Terminal,
        }
    }

    /// When to try again, in a new connection.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Foreign(_) | Self::KeyWanted | Self::WrongKey => Retry::AfterChange,
            Self::AuthLocked
            | Self::Refused { .. }
            | Self::LyingCount { .. }
            | Self::EndlessPrepare
            | Self::TooLarge(_)
            | Self::Unordered
            | Self::Frame(_) => Retry::Later,
            _ => Retry::Soon,
        }
    }

    /// Whether the other transport (UDP after TCP) is worth a try.
    pub fn try_udp(&self) -> bool {
        matches!(self, Self::Silent)
    }

    /// What people can do about it; empty when nothing is to be done but to wait.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Foreign(foreign) => foreign.advice(),
            Self::Silent => {
                "is other software (ZKTime, BioTime, ZKAccess) connected? A terminal serves one \
                 connection; in cloud-server mode many serve none. Some answer over UDP only"
            }
            Self::KeyWanted | Self::WrongKey => {
                "enter the communication key that stands in the terminal's communication menu"
            }
            Self::AuthLocked => "correct the communication key, then restart the terminal",
            Self::Unordered => "use TCP for this terminal, or update its firmware",
            Self::Timeout { .. } | Self::Short { .. } => {
                "if this repeats, look at the network between; a power-saving or loaded terminal \
                 answers late"
            }
            Self::Checksum | Self::Frame(_) | Self::Babble(_) => {
                "does another program or a proxy share this terminal's connection?"
            }
            Self::Unauthorised { .. } => "was the terminal restarted or its key changed just now?",
            Self::Refused { .. }
            | Self::BadAnswer { .. }
            | Self::LyingCount { .. }
            | Self::EndlessPrepare
            | Self::TooLarge(_) => "record the terminal's traffic and report it with its firmware",
            Self::Flood(_) => "",
        }
    }
}

/// Why the log or the user table of a session that goes on was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// The records' layout is in doubt.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The user table makes no sense.
    #[error(transparent)]
    Users(#[from] crate::users::BadUsers),
    /// The terminal has no such table for us.
    #[error("the terminal refuses its user table: {0}")]
    Refused(u16),
}

/// Why one record could not become an event, with the class that stands in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordFault {
    /// The class.
    pub(crate) reason: Reason,
    /// For people; nothing of what the peer sent but numbers.
    pub(crate) detail: String,
}
