//! Whether a terminal is there: one rule for `/devices`, `/status`, the row of status and boards.
//!
//! A terminal polls, is dialled, or is spoken for by an edge that does, so that its silence is a
//! fault. A sender of another make speaks when there is something to say and at no other time: of
//! its silence nothing follows, and it is never called offline.

use event::{Millis, Vendor};

use super::Known;

/// A terminal is online when it was heard within this time: five minutes, which is more than
/// three polls at the delay that satellite asks for.
const ONLINE: i64 = 300_000;
/// The same in pauses between two visits, for a terminal that is visited more rarely.
const PAUSES: i64 = 3;

/// How a terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Heard lately.
    Online,
    /// Not heard lately, and nobody said that it would be.
    Quiet,
    /// Not heard for too long.
    Offline,
    /// Not heard since satellite was started.
    Unheard,
    /// Shut out.
    Blocked,
}

impl Presence {
    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Quiet => "quiet",
            Self::Offline => "offline",
            Self::Unheard => "unheard",
            Self::Blocked => "blocked",
        }
    }
}

impl Known {
    /// How it is now.
    pub(crate) fn presence(&self, now: Millis) -> Presence {
        let was_heard = self.facts().last_contact.is_some();
        match self.enrolment.vendor {
            _ if !self.is_approved() => Presence::Blocked,
            _ if self.is_online(now) => Presence::Online,
            Vendor::Other => Presence::Quiet,
            _ if was_heard => Presence::Offline,
            _ => Presence::Unheard,
        }
    }

    /// How long it may be silent before it is no longer online, in milliseconds: longer for one
    /// that is visited or searched rarely.
    pub(crate) fn offline_after(&self) -> i64 {
        let every = self.enrolment.access.every.filter(|_| self.is_dialled());
        let searched = self.hikvision().view().poll_seconds;
        let pause = searched.max(every.unwrap_or(0).into());
        let pause = i64::try_from(pause).unwrap_or(i64::MAX);
        ONLINE.max(pause.saturating_mul(PAUSES * 1_000))
    }

    /// Whether it was heard lately.
    pub(crate) fn is_online(&self, now: Millis) -> bool {
        let last = self.facts().last_contact;
        last.is_some_and(|last| now.0.saturating_sub(last.0) <= self.offline_after())
    }
}
