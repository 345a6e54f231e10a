//! How a connection to a dialled device does, in the words of `/status`.
//!
//! Only for people; nothing is decided by it.

/// How a connection to the device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Link {
    /// Nothing is connected, and nothing needs to be.
    #[default]
    Idle,
    /// Connecting, or waiting before the next try.
    Connecting,
    /// Connected, and heard within its time.
    Up,
    /// It was lost or refused.
    Down,
}

impl Link {
    /// The word in `/status`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}
