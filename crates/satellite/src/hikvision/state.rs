//! What is known of one Hikvision device while satellite runs: its serial chain and the state
//! of the connections to it.
//!
//! The chain's truth is the cursor in the device's event database, because only that moves in
//! the transaction of the rows it speaks of. The copy in here is taken out before it is
//! changed and put back after the COMMIT; whatever goes wrong in between leaves it empty, and
//! the next one who needs it reads the database again. No decision about completeness may be
//! made from anything else.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::Text;
use hikvision_isapi::{Chain, Completeness};
use tokio::sync::Notify;

use crate::dial::Link;

/// The cursor that holds a device's serial chain.
pub(crate) const CHAIN: &str = "hik:chain";
/// The cursor of a device whose records carry no serials: the time up to which it was searched.
pub(crate) const SEARCHED: &str = "hik:searched";
/// The cursor that keeps the hardware address a device gave at first contact.
pub(crate) const MAC: &str = "hik:mac";

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
