//! What is known of one Hikvision device while satellite runs: its serial chain, the state of
//! the connections to it, and the conditions that an operator should hear of.
//!
//! The chain's truth is the cursor in the device's event database, because only that moves in
//! the transaction of the rows it speaks of. The copy in here is taken out before it is
//! changed and put back after the COMMIT; whatever goes wrong in between leaves it empty, and
//! the next one who needs it reads the database again. No decision about completeness may be
//! made from anything else.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{Millis, Text};
use hikvision_isapi::{Chain, Completeness};
use tokio::sync::Notify;

/// The cursor that holds a device's serial chain.
pub(crate) const CHAIN: &str = "hik:chain";
/// The cursor of a device whose records carry no serials: the time up to which it was searched.
pub(crate) const SEARCHED: &str = "hik:searched";
/// The cursor that keeps the hardware address a device gave at first contact.
pub(crate) const MAC: &str = "hik:mac";

/// Something an operator should know about a device, with a name that dashboards and manuals
/// rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// No connection to it can be made.
    Unreachable,
    /// It refused our user or password; nothing is tried before its lock time is over.
    LoginRefused,
    /// The file with its password is not there or cannot be read.
    SecretMissing,
    /// Another device answers at its address, or posts with its token.
    WrongDevice,
    /// Somebody else holds its only arming slot, so that no live stream can be had.
    ArmingSlotTaken,
    /// It cannot be searched by serial, so that completeness cannot be proven.
    SearchUnsupported,
    /// Its memory ran over before records were fetched: they are gone.
    RingOverrun,
    /// Its serials began again: it was reset, or its log was cleared.
    SerialsRestarted,
    /// Serials are missing from what it posted, and it cannot be asked for them.
    GapInPosts,
    /// More than 5 % of its new serials are traces of our own logins.
    OwnFootprints,
    /// Its listening host is not set as it was configured.
    ListeningHostChanged,
}

impl Condition {
    /// Every condition.
    pub(crate) const ALL: [Self; 11] = [
        Self::Unreachable,
        Self::LoginRefused,
        Self::SecretMissing,
        Self::WrongDevice,
        Self::ArmingSlotTaken,
        Self::SearchUnsupported,
        Self::RingOverrun,
        Self::SerialsRestarted,
        Self::GapInPosts,
        Self::OwnFootprints,
        Self::ListeningHostChanged,
    ];

    /// The name in metrics, in `/status` and in manuals.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::LoginRefused => "login_refused",
            Self::SecretMissing => "secret_missing",
            Self::WrongDevice => "wrong_device",
            Self::ArmingSlotTaken => "arming_slot_taken",
            Self::SearchUnsupported => "search_unsupported",
            Self::RingOverrun => "ring_overrun",
            Self::SerialsRestarted => "serials_restarted",
            Self::GapInPosts => "gap_in_posts",
            Self::OwnFootprints => "own_footprints",
            Self::ListeningHostChanged => "listening_host_changed",
        }
    }
}

impl Condition {
    /// True for what happens, and can happen again while it still stands in the list; false
    /// for what lasts until it is over.
    fn happens(self) -> bool {
        matches!(self, Self::RingOverrun | Self::SerialsRestarted)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A condition that holds, since when, and what was seen last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) since: Millis,
    pub(crate) detail: Text,
}

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

/// What was seen of a device last. All of it is for people; no decision hangs on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// The search.
    pub(crate) search: Link,
    /// The live stream.
    pub(crate) stream: Link,
    /// True while the stream brings old records before live ones.
    pub(crate) replaying: bool,
    /// Whether it can be searched by serial, so that gaps can be closed; `None` until it was
    /// asked what it can.
    pub(crate) can_ask: Option<bool>,
    /// The highest serial known.
    pub(crate) newest_stored: Option<u64>,
    /// The highest serial that the device has, as it said itself.
    pub(crate) newest_on_device: Option<u64>,
    /// Serials that are missing here and may still be on the device.
    pub(crate) missing: u64,
    /// Serials that are known to be gone.
    pub(crate) lost: u64,
    /// What may be claimed; `None` before the first contact.
    pub(crate) completeness: Option<Completeness>,
    /// Seconds between two searches.
    pub(crate) poll_seconds: u64,
    /// Share of our own traces among its new serials, in percent.
    pub(crate) footprint_percent: u8,
    /// The hardware address it gave at first contact.
    pub(crate) mac: Option<Text>,
    conditions: BTreeMap<Condition, Noted>,
}

impl View {
    /// The conditions that hold, by name.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = (Condition, &Noted)> {
        self.conditions.iter().map(|(c, noted)| (*c, noted))
    }
}

/// A chain with the text that stands for it in the database; `None` while nothing stands there.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) chain: Chain,
    pub(super) stored: Option<Text>,
}

/// One device.
pub(crate) struct Device {
    /// Held from reading the chain to the answer of the COMMIT that moves it.
    pub(super) chain: tokio::sync::Mutex<Option<Kept>>,
    view: Mutex<View>,
    /// Rung when there is a reason to search at once.
    pub(super) wake: Notify,
}

impl Device {
    /// A device of which nothing is known yet, except the hardware address kept of it.
    pub(crate) fn new(mac: Option<Text>) -> Self {
        let view = View {
            mac,
            ..View::default()
        };
        Self {
            chain: tokio::sync::Mutex::new(None),
            view: Mutex::new(view),
            wake: Notify::new(),
        }
    }

    /// What was seen last, for a moment. Never hold this over an await.
    pub(crate) fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A condition holds. True when it did not hold before, or is one that happens again.
    pub(crate) fn raise(&self, condition: Condition, detail: impl Into<Text>, now: Millis) -> bool {
        let detail = detail.into();
        let mut view = self.view();
        match view.conditions.get_mut(&condition) {
            Some(noted) => {
                noted.detail = detail;
                condition.happens()
            }
            None => {
                view.conditions
                    .insert(condition, Noted { since: now, detail });
                true
            }
        }
    }

    /// Since when a condition holds, if it does.
    pub(crate) fn since(&self, condition: Condition) -> Option<Millis> {
        self.view()
            .conditions
            .get(&condition)
            .map(|noted| noted.since)
    }

    /// A condition holds no more. True when it did.
    pub(crate) fn clear(&self, condition: Condition) -> bool {
        self.view().conditions.remove(&condition).is_some()
    }

    /// Searches at once.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Takes over what the chain says now.
    pub(super) fn saw_chain(&self, chain: &Chain) {
        let mut view = self.view();
        view.newest_stored = chain.newest();
        view.missing = chain.missing();
        view.lost = chain.lost();
        view.completeness = Some(chain.completeness(view.can_ask == Some(true)));
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({:?})", self.view())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_the_moment_at_which_it_began() {
        let device = Device::new(None);
        assert!(device.raise(Condition::Unreachable, "no route", Millis(5)));
        assert!(!device.raise(Condition::Unreachable, "timed out", Millis(9)));
        let view = device.view();
        let (condition, noted) = view.conditions().next().unwrap();
        assert_eq!(condition.as_str(), "unreachable");
        assert_eq!(
            (noted.since, noted.detail.as_str()),
            (Millis(5), "timed out")
        );
        drop(view);
        assert!(device.clear(Condition::Unreachable));
        assert!(!device.clear(Condition::Unreachable));
    }

    #[test]
    fn every_condition_has_its_own_name() {
        let mut names: Vec<_> = Condition::ALL.iter().map(|c| c.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Condition::ALL.len());
    }
}
