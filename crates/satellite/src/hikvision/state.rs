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
use std::time::{Duration, Instant};

use event::Text;
use hikvision_isapi::{Chain, Completeness};
use tokio::sync::Notify;

use super::errand::Errands;
use crate::dial::Link;

/// The cursor that holds a device's serial chain.
pub(crate) const CHAIN: &str = "hik:chain";
/// The cursor of a device whose records carry no serials: the time up to which it was searched.
pub(crate) const SEARCHED: &str = "hik:searched";
/// The cursor that keeps the hardware address a device gave at first contact.
pub(crate) const MAC: &str = "hik:mac";

/// What the device can be asked for again, found at each first contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Asked {
    /// It was not asked yet: no contact since the start.
    #[default]
    NotYet,
    /// Its records by serial, so that gaps can be closed.
    BySerial,
    /// Its records by time.
    ByTime,
    /// Nothing: it has no event search. What it tells comes once.
    Nothing,
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
    /// What it can be asked for again.
    pub(crate) asked: Asked,
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
pub(super) struct Held {
    pub(super) chain: Chain,
    pub(super) stored: Option<Text>,
    /// When the database last said that this text stands there; `None`: not known.
    pub(super) agreed: Option<tokio::time::Instant>,
}

impl Held {
    /// As the database has it at this moment.
    pub(super) fn agreed(chain: Chain, stored: Option<Text>) -> Self {
        let agreed = Some(tokio::time::Instant::now());
        Self {
            chain,
            stored,
            agreed,
        }
    }

    /// True for so long after the database was last heard.
    pub(super) fn is_believed(&self, time: Duration) -> bool {
        self.agreed.is_some_and(|at| at.elapsed() < time)
    }

    /// This copy, when it was made from what stands in the database now; else that.
    pub(super) fn compared(self, now: Self) -> Self {
        if self.stored == now.stored {
            let agreed = now.agreed;
            Self { agreed, ..self }
        } else {
            now
        }
    }
}

/// One device.
pub(crate) struct Device {
    /// Held from reading the chain to the answer of the COMMIT, or of the journal, that moves it.
    chain: tokio::sync::Mutex<Option<Held>>,
    /// When the store last did not answer one who held the chain.
    gave_up: Mutex<Option<Instant>>,
    view: Mutex<View>,
    /// Rung when there is a reason to search at once.
    pub(super) wake: Notify,
    /// What commands want of it.
    pub(super) errands: Errands,
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
            gave_up: Mutex::new(None),
            view: Mutex::new(view),
            wake: Notify::new(),
            errands: Errands::default(),
        }
    }

    /// The chain, once it is this caller's turn. Whoever has waited through somebody else's
    /// failure shares it (`true`) instead of waiting as long once more, so that one device's
    /// posts are all answered within the time of one.
    pub(super) async fn turn(&self) -> (tokio::sync::MutexGuard<'_, Option<Held>>, bool) {
        let came = Instant::now();
        let slot = self.chain.lock().await;
        let gave_up = *self.gave_up.lock().unwrap_or_else(PoisonError::into_inner);
        (slot, gave_up.is_some_and(|at| at >= came))
    }

    /// The store did not answer the one whose turn it is.
    pub(super) fn store_gave_up(&self) {
        *self.gave_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// True while what it tells by itself is found again by a search: then a store that is away
    /// loses nothing. A dialled device that could not be asked since the start, for want of a way
    /// to it or of its password, is like one that only posts.
    pub(crate) fn brings_again(&self) -> bool {
        let view = self.view();
        match view.asked {
            Asked::BySerial | Asked::ByTime => true,
            Asked::NotYet => view.search == Link::Connecting,
            Asked::Nothing => false,
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
        view.completeness = Some(chain.completeness(view.asked == Asked::BySerial));
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({:?})", self.view())
    }
}
