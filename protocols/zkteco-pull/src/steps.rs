//! One question on the wire: its request, its patience, and its words for errors.
//!
//! Nothing here knows what an answer leads to; that is `session.rs`.

use bytes::Bytes;
use event::WallTime;

use crate::commands;
use crate::options;
use crate::time;

/// A question, or the bulk read that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Connect,
    /// With the scrambled key.
    Auth([u8; 4]),
    Enable,
    /// The first option, by itself.
    Serial,
    /// The option at this place of [`options::USUAL`].
    Option(usize),
    Version,
    Clock,
    SetClock(WallTime),
    Refresh,
    Sizes,
    Bulk,
    Free,
    StartVerify,
    Register(u32),
    Exit,
}

impl Step {
    /// Command and data; the bulk read makes its own.
    pub(crate) fn request(self) -> (u16, Bytes) {
        let word = |word: u32| Bytes::copy_from_slice(&word.to_le_bytes());
        match self {
            Self::Connect => (commands::CONNECT, Bytes::new()),
            Self::Auth(bytes) => (commands::AUTH, Bytes::copy_from_slice(&bytes)),
            Self::Enable => (commands::ENABLE, Bytes::new()),
            Self::Serial => (commands::OPTION_READ, option(0)),
            Self::Option(at) => (commands::OPTION_READ, option(at)),
            Self::Version => (commands::VERSION, Bytes::new()),
            Self::Clock => (commands::GET_TIME, Bytes::new()),
            Self::SetClock(wall) => (
                commands::SET_TIME,
                word(time::pack(&wall).unwrap_or_default()),
            ),
            Self::Refresh => (commands::REFRESH, Bytes::new()),
            Self::Sizes => (commands::FREE_SIZES, Bytes::new()),
            Self::Bulk | Self::Free => (commands::FREE_DATA, Bytes::new()),
            Self::StartVerify => (commands::START_VERIFY, Bytes::new()),
            Self::Register(mask) => (commands::EVENT, word(mask)),
            Self::Exit => (commands::EXIT, Bytes::new()),
        }
    }

    /// How long to wait for its answer over TCP, in milliseconds.
    pub(crate) fn patience(self) -> i64 {
        match self {
            Self::Connect | Self::Auth(_) => 5_000,
            Self::Exit => 2_000,
            _ => 10_000,
        }
    }

    /// Whether an acknowledgement without data is not yet its answer.
    pub(crate) fn wants_data(self) -> bool {
        matches!(
            self,
            Self::Serial | Self::Option(_) | Self::Version | Self::Clock | Self::Sizes
        )
    }

    /// For error texts: "… when asked to".
    pub(crate) fn asked(self) -> &'static str {
        match self {
            Self::Connect => "open a session",
            Self::Auth(_) => "accept the communication key",
            Self::Enable => "let people use it",
            Self::Serial => "tell its serial number",
            Self::Option(_) => "tell an option",
            Self::Version => "tell its firmware",
            Self::Clock => "tell its clock",
            Self::SetClock(_) => "set its clock",
            Self::Refresh => "take over its clock",
            Self::Sizes => "tell its sizes",
            Self::Bulk => "read a table",
            Self::Free => "free its buffer",
            Self::StartVerify => "wait for people",
            Self::Register(_) => "send real-time events",
            Self::Exit => "end the session",
        }
    }
}

/// Everything that a terminal is asked to do, as error texts say it: "… when asked to".
pub const ASKED: [&str; 17] = [
    "open a session",
    "accept the communication key",
    "let people use it",
    "tell its serial number",
    "tell an option",
    "tell its firmware",
    "tell its clock",
    "set its clock",
    "take over its clock",
    "tell its sizes",
    "read a table",
    "read its attendance log",
    "read its user table",
    "free its buffer",
    "wait for people",
    "send real-time events",
    "end the session",
];

/// The question for the option at this place of [`options::USUAL`].
fn option(at: usize) -> Bytes {
    let mut name = options::USUAL
        .get(at)
        .copied()
        .unwrap_or_default()
        .to_owned();
    name.push('\0');
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::Table;

    #[test]
    fn everything_that_is_asked_is_in_the_list_of_words() {
        let wall = WallTime::parse(b"2026-11-21 10:00:00").unwrap();
        let steps = [
            Step::Connect,
            Step::Auth([0; 4]),
            Step::Enable,
            Step::Serial,
            Step::Option(0),
            Step::Version,
            Step::Clock,
            Step::SetClock(wall),
            Step::Refresh,
            Step::Sizes,
            Step::Bulk,
            Step::Free,
            Step::StartVerify,
            Step::Register(0),
            Step::Exit,
        ];
        let tables = [Table::Attendance, Table::Users].map(Table::asked);
        let mut asked: Vec<_> = steps.map(Step::asked).into_iter().chain(tables).collect();
        let mut known = ASKED.to_vec();
        asked.sort_unstable();
        known.sort_unstable();
        assert_eq!(asked, known);
    }
}
