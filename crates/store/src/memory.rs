//! What a writer remembers outside of its store: whose it is, how far its feed has come, and which
//! numbers may have been given out.
//!
//! Three things are kept, because a copy of the database takes everything in it back:
//! - the *mark* in the mirror, saved in passing, names store and server;
//! - the *floor* (`floor`) is as new as the last commit that anybody heard of, and survives the
//!   death of the process. A store found below it is an older copy: a new epoch;
//! - the *reserve* in the mirror is durable before a number below it is committed. So no reader has
//!   ever seen a number at or above it, whatever was lost with the power or between a COMMIT and
//!   its floor. After a start the numbers go on from there; the holes are allowed.
//!
//! What must never happen here: a number committed that was not reserved before, as long as the
//! local disk takes anything at all. When it does not, intake goes on and the log says so.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::feed::FeedHead;
use crate::floor::Floor;
use crate::mirror::FeedMark;
use crate::{Failure, Mirror};

/// Numbers reserved at once.
const RESERVE: i64 = 1 << 16;
/// How often the mark of the feed is saved, if that is quick.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// Saving it takes no more than this part of the time: the marks of hundreds of stores go
/// to one small file, and each waits for the disk that their databases may be on too.
const MARK_PART: u32 = 1_000;

/// What the task of one writer knows.
pub(crate) struct Memory {
    label: String,
    mirror: Mirror,
    mark: Option<FeedMark>,
    /// No number at or above this one was given out.
    reserved: i64,
    loaded: bool,
    /// The store was looked at since the start.
    looked: bool,
    saved: Instant,
    dirty: bool,
    pause: Duration,
    /// A mark on its way to disk; how long it took, if it came there.
    saving: Option<JoinHandle<Option<Duration>>>,
    /// The last note failed, and that was said.
    told: bool,
}

impl Memory {
    pub(crate) fn new(label: &str, mirror: Mirror) -> Self {
        Self {
            label: label.to_owned(),
            mirror,
            mark: None,
            reserved: 0,
            loaded: false,
            looked: false,
            saved: Instant::now(),
            dirty: false,
            pause: MARK_EVERY,
            saving: None,
            told: false,
        }
    }

    /// The server that the store was last found on.
    pub(crate) fn server(&self) -> Option<&str> {
        self.mark.as_ref().map(|mark| mark.server.as_str())
    }

    /// What an epoch has to be above of.
    pub(crate) fn highest(&self) -> Option<FeedMark> {
        let mark = self.mark.clone()?;
        let next_seq = mark.next_seq.max(self.reserved);
        Some(FeedMark { next_seq, ..mark })
    }

    /// The lowest number that the store may give out now.
    pub(crate) fn lowest(&self) -> i64 {
        self.mark.as_ref().map_or(0, |mark| mark.next_seq)
    }

    /// Numbers below this one may be committed.
    pub(crate) fn reserved(&self) -> i64 {
        self.reserved
    }

    /// Reads what an earlier process left, once.
    ///
    /// # Errors
    /// The mirror cannot be read.
    pub(crate) async fn load(&mut self) -> Result<(), Failure> {
        if self.loaded {
            return Ok(());
        }
        self.mark = self.mirror.feed_mark(&self.label).await?;
        if let Some(mark) = &self.mark {
            self.reserved = self.mirror.reserved(&self.label, mark.store_id).await?;
        }
        self.loaded = true;
        Ok(())
    }

    /// The number from which a store goes on after a start: readers may have seen those of a
    /// commit whose answer an earlier process never had.
    pub(crate) fn goes_on_from(&self) -> Option<i64> {
        (!self.looked).then_some(self.reserved)
    }

    /// Why a store found is not the one remembered, as far along as remembered.
    pub(crate) fn differs(&self, head: &FeedHead, server: &str) -> Option<&'static str> {
        let mark = self.mark.as_ref()?;
        if mark.store_id != head.store_id {
            Some("another store")
        } else if head.next_seq < mark.next_seq {
            Some("an older copy of the store")
        } else if mark.server != server {
            Some("another server")
        } else {
            None
        }
    }

    /// The store was looked at and is ours.
    pub(crate) fn found(&mut self, head: &FeedHead, server: String) {
        if self.mark.as_ref().map(|mark| mark.store_id) != Some(head.store_id) {
            self.reserved = 0;
        }
        self.mark = Some(FeedMark {
            store_id: head.store_id,
            server,
            next_seq: head.next_seq,
        });
        (self.dirty, self.looked) = (true, true);
    }

    /// Numbers up to `end` are wanted: reserves them and more. A mirror that cannot be written
    /// does not stop the intake.
    pub(crate) async fn reserve(&mut self, end: i64) {
        let Some(mark) = self.mark.clone() else {
            return;
        };
        self.reserved = end.max(mark.next_seq).saturating_add(RESERVE);
        let done = self.mirror.reserve(&self.label, &mark, self.reserved).await;
        if let Err(failure) = done {
            tracing::warn!(store = %self.label, %failure, "numbers of the feed were not reserved");
        }
    }

    /// A commit was answered; nobody else has heard of it yet.
    pub(crate) async fn committed(&mut self, next_seq: i64) {
        let Some(mark) = &mut self.mark else { return };
        mark.next_seq = mark.next_seq.max(next_seq);
        self.dirty = true;
        let floor = Floor {
            store_id: mark.store_id,
            next_seq: mark.next_seq,
        };
        match self.mirror.note_floor(&self.label, floor).await {
            Ok(()) => self.told = false,
            Err(error) if !self.told => {
                self.told = true;
                tracing::warn!(store = %self.label, %error, "how far the feed has come was not noted");
            }
            Err(_) => {}
        }
    }

    /// True while something is to be saved or on its way.
    pub(crate) fn is_behind(&self) -> bool {
        self.dirty || self.saving.is_some()
    }

    /// Has the mark saved beside the writer's work, one at a time.
    pub(crate) async fn save_if_due(&mut self) {
        if self.saving.as_ref().is_some_and(JoinHandle::is_finished) {
            self.wait().await;
        }
        if self.saving.is_none() && self.dirty && self.saved.elapsed() >= self.pause {
            self.save();
        }
    }

    /// Saves what is left, and gives the numbers back that were reserved and not given out.
    pub(crate) async fn close(&mut self) {
        self.wait().await;
        if self.dirty {
            self.save();
            self.wait().await;
        }
        let Some(mark) = self.mark.as_ref().filter(|_| !self.dirty) else {
            return;
        };
        let back = self
            .mirror
            .give_back(&self.label, mark, self.reserved)
            .await;
        if let Err(failure) = back {
            tracing::debug!(store = %self.label, %failure, "reserved numbers were not given back");
        }
    }

    fn save(&mut self) {
        let Some(mark) = self.mark.clone() else {
            return;
        };
        (self.dirty, self.saved) = (false, Instant::now());
        let (mirror, label, began) = (self.mirror.clone(), self.label.clone(), self.saved);
        self.saving = Some(tokio::spawn(async move {
            match mirror.set_feed_mark(&label, &mark).await {
                Ok(()) => Some(began.elapsed()),
                Err(failure) => {
                    tracing::warn!(store = %label, %failure, "the feed's mark was not saved");
                    None
                }
            }
        }));
    }

    /// Waits for the mark that is on its way.
    async fn wait(&mut self) {
        let Some(saving) = self.saving.take() else {
            return;
        };
        match saving.await {
            Ok(Some(took)) => self.pause = MARK_EVERY.max(took * MARK_PART),
            Ok(None) | Err(_) => self.dirty = true,
        }
    }
}
