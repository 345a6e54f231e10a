//! What is known of one terminal on port 4370 while satellite runs, and what others want of it.
//!
//! Where the reading of its log stands is a cursor in the terminal's event database, moved in
//! the transaction of the rows it speaks of; nothing here stands for it. What is here is for
//! people, and the errands: wishes to have the log read again, each answered when the visit has
//! done it or has failed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{Millis, WallTime};
use hikvision_isapi::Completeness;
use tokio::sync::{Notify, oneshot};
use zkteco_pull::Transport;

use crate::dial::Link;

/// The cursor that says how far a terminal's log is stored.
pub(crate) const LOG: &str = "pull:log";
/// Errands that may wait for one terminal.
const ERRANDS: usize = 16;

/// What was seen of a terminal last. All of it is for people; no decision hangs on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// The connection.
    pub(crate) link: Link,
    /// What the last session that was opened ran over.
    pub(crate) transport: Option<Transport>,
    /// Whether real-time events come.
    pub(crate) listening: bool,
    /// People, as it counts them.
    pub(crate) users: Option<u32>,
    /// Records, as it counts them.
    pub(crate) records: Option<u32>,
    /// Records of its log that were read and stored, or set aside.
    pub(crate) read: Option<u32>,
    /// When its log, or the end of it, was last read to the last byte.
    pub(crate) read_at: Option<Millis>,
    /// Seconds by which its clock is ahead of ours.
    pub(crate) ahead: Option<i64>,
    /// Records that it counts and does not hand out.
    pub(crate) missing: u64,
    /// Records in quarantine whose person its user list does not name.
    pub(crate) unresolved: u64,
    /// What may be claimed; `None` before its log was read.
    pub(crate) completeness: Option<Completeness>,
}

/// What is to be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// From this moment of the terminal's wall clock on; absent: from the beginning.
    pub(crate) from: Option<WallTime>,
    /// Up to and with this moment; absent: to the end.
    pub(crate) to: Option<WallTime>,
}

impl Wanted {
    /// Whether a record of that moment is meant.
    pub(super) fn holds(&self, at: &WallTime) -> bool {
        self.from.is_none_or(|from| *at >= from) && self.to.is_none_or(|to| *at <= to)
    }
}

/// What came of it. The log was read to its last byte, and everything wanted of it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Again {
    /// Records that the terminal holds, whatever their time.
    pub(crate) held: u32,
    /// Punches among the wanted, each once, by the day of the terminal's wall clock
    /// (`YYYY-MM-DD`). Those before the enrolment are not counted.
    pub(crate) days: BTreeMap<String, u32>,
    /// Rows that were not there before.
    pub(crate) new: u64,
    /// Wanted records that could not be read or whose person is not known: they are in
    /// quarantine.
    pub(crate) aside: u64,
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRead {
    /// Too much is wanted of this terminal already.
    #[error("too much is wanted of this terminal at once")]
    Busy,
    /// The session ended, or none could be opened.
    #[error("the terminal was not read: {0}")]
    Ended(String),
    /// The log came and makes no sense.
    #[error("its log cannot be read: {0}")]
    Unreadable(String),
    /// The visit was given up: the lease, the enrolment or satellite itself ended.
    #[error("the terminal is not dialled from here any more")]
    Dropped,
}

/// One wish with who waits for it.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) wanted: Wanted,
    answer: oneshot::Sender<Result<Again, NotRead>>,
}

impl Errand {
    /// Tells who waits; nobody waiting any more is no matter.
    pub(super) fn done(self, answer: Result<Again, NotRead>) {
        if self.answer.send(answer).is_err() {
            tracing::trace!("nobody waits any more for a log that was read again");
        }
    }
}

/// One terminal.
#[derive(Debug, Default)]
pub(crate) struct Device {
    view: Mutex<View>,
    errands: Mutex<VecDeque<Errand>>,
    /// Rung when an errand came.
    wake: Notify,
}

impl Device {
    /// What was seen last, for a moment. Never hold this over an await.
    pub(crate) fn view(&self) -> MutexGuard<'_, View> {
        lock(&self.view)
    }

    /// Has the terminal's log read again, and stores what is wanted of it by the route
    /// `backfill`. Waits until that is done or has failed: bound it with a time-out of its own,
    /// because a terminal that cannot be reached keeps the wish until it can. Whoever stops
    /// waiting takes the wish back.
    ///
    /// # Errors
    /// [`NotRead`]. What was stored before the failure stays; to ask again is safe.
    pub(crate) async fn read_again(&self, wanted: Wanted) -> Result<Again, NotRead> {
        let (answer, told) = oneshot::channel();
        {
            let mut errands = lock(&self.errands);
            errands.retain(|errand| !errand.answer.is_closed());
            if errands.len() >= ERRANDS {
                return Err(NotRead::Busy);
            }
            errands.push_back(Errand { wanted, answer });
        }
        self.wake.notify_one();
        told.await.unwrap_or(Err(NotRead::Dropped))
    }

    /// The next errand for which somebody still waits.
    pub(super) fn errand(&self) -> Option<Errand> {
        let mut errands = lock(&self.errands);
        errands.retain(|errand| !errand.answer.is_closed());
        errands.pop_front()
    }

    /// Tells everybody who waits why it was not done.
    pub(super) fn refuse_errands(&self, why: &NotRead) {
        for errand in std::mem::take(&mut *lock(&self.errands)) {
            errand.done(Err(why.clone()));
        }
    }

    /// Returns when an errand came.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wish_is_answered_and_one_that_nobody_waits_for_is_forgotten() {
        let device = std::sync::Arc::new(Device::default());
        let asking = |device: std::sync::Arc<Device>| {
            tokio::spawn(async move { device.read_again(Wanted::default()).await })
        };
        let (gone, waiting) = (asking(device.clone()), asking(device.clone()));
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.is_err());
        let errand = device.errand().unwrap();
        assert!(device.errand().is_none());
        errand.done(Err(NotRead::Dropped));
        assert_eq!(waiting.await.unwrap(), Err(NotRead::Dropped));
    }

    #[test]
    fn a_window_holds_both_its_ends() {
        let at = |text: &str| WallTime::parse(text.as_bytes()).unwrap();
        let wanted = Wanted {
            from: Some(at("2026-11-20 08:00:00")),
            to: Some(at("2026-11-20 09:00:00")),
        };
        assert!(wanted.holds(&at("2026-11-20 08:00:00")));
        assert!(wanted.holds(&at("2026-11-20 09:00:00")));
        assert!(!wanted.holds(&at("2026-11-20 09:00:01")));
        assert!(Wanted::default().holds(&at("2001-01-01 00:00:00")));
    }
}
