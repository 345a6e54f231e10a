//! Windows of time that a terminal is asked for again: by a command, or because something was
//! found missing.
//!
//! Whoever wants a window puts it into the terminal's [`Mailbox`]; whoever talks to the terminal
//! takes it out and works it off in chunks, so that live events never wait behind more than one
//! of them. What has come so far is told along the way. A window whose worker goes away (the
//! lease was lost, the process ends) is not lost: whoever put it in hears nothing any more and
//! puts it in again, there or elsewhere. What is found missing without a command is in
//! `reconcile`. Nothing here stores anything.

mod audit;
mod compare;
mod epochs;
mod jobs;
pub(crate) mod push;
mod reconcile;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::{Millis, Vendor};
use tokio::sync::watch;

pub(crate) use audit::Audit;
pub(crate) use compare::{Outcome, close, note};
pub(crate) use jobs::run;
pub(crate) use reconcile::run as run_comparisons;

use crate::devices::Known;
use push::walls;

/// Windows that may wait for one terminal.
const WAITING: usize = 4;
/// Failures in a row after which a window is given up.
const FAILURES: u32 = 3;

/// A span of time, its end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: Millis,
    pub(crate) to: Millis,
}

impl Window {
    /// Its beginning, at most that long; `None` when nothing is left.
    fn first(&self, longest: Duration) -> Option<Self> {
        let longest = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
        let to = Millis(self.from.0.saturating_add(longest).min(self.to.0));
        (self.from < to).then_some(Self {
            from: self.from,
            to,
        })
    }

    /// Cut in two at a whole second.
    fn halves(&self) -> (Self, Self) {
        let half = (self.to.0 - self.from.0) / 2;
        let middle = Millis(self.from.0 + half - half % 1_000);
        let (from, to) = (self.from, self.to);
        (Self { from, to: middle }, Self { from: middle, to })
    }
}

/// True for a terminal that sends by itself and takes commands.
fn pushes(known: &Known) -> bool {
    known.enrolment.vendor == Vendor::Zkteco && !known.is_dialled() && known.may_post()
}

/// How far a window has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Everything up to here was asked for and is stored.
    pub(crate) done_to: Option<Millis>,
    /// Records that came.
    pub(crate) records: u64,
    /// Those among them that were not stored before.
    pub(crate) new: u64,
    /// How it ended, once it has.
    pub(crate) end: Option<Result<(), String>>,
}

/// A window that is being worked off.
#[derive(Debug)]
pub(crate) struct Asked {
    window: Window,
    said: watch::Sender<Said>,
    failures: u32,
}

impl Asked {
    /// The next piece of the window, at most that long; `None` when nothing is left.
    pub(crate) fn next_chunk(&self, longest: Duration) -> Option<Window> {
        let from = self.said.borrow().done_to.unwrap_or(self.window.from);
        let to = self.window.to;
        Window { from, to }.first(longest)
    }

    /// Everything up to `to` was asked for and is stored; so many records came, so many of them new.
    pub(crate) fn stored(&mut self, to: Millis, records: u64, new: u64) {
        self.failures = 0;
        self.said.send_modify(|said| {
            said.done_to = Some(to);
            said.records += records;
            said.new += new;
        });
    }

    /// Nothing is left to do, or nothing can be done.
    pub(crate) fn ended(self, how: Result<(), String>) {
        self.said.send_modify(|said| said.end = Some(how));
    }
}

/// Where windows wait for whoever talks to one terminal.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<VecDeque<Asked>>,
    /// How many talk to it: a visit may begin before the one before it is quite gone.
    open: AtomicUsize,
}

impl Mailbox {
    /// Somebody talks to the terminal, until the guard goes.
    pub(crate) fn open(&self) -> Open<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }

    /// True while somebody talks to the terminal.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    /// Puts a window in; `None` when nobody talks to the terminal or enough is waiting.
    pub(crate) fn put(&self, window: Window) -> Option<watch::Receiver<Said>> {
        let mut waiting = self.lock();
        if !self.is_open() || waiting.len() >= WAITING {
            return None;
        }
        let (said, heard) = watch::channel(Said::default());
        waiting.push_back(Asked {
            window,
            said,
            failures: 0,
        });
        Some(heard)
    }

    /// The window to work on next. One that nobody listens to any more is dropped.
    pub(crate) fn take(&self) -> Option<Asked> {
        let mut waiting = self.lock();
        waiting.retain(|asked| asked.said.receiver_count() > 0);
        waiting.pop_front()
    }

    /// Gives a window back that goes on later; it is the next again.
    pub(crate) fn put_back(&self, asked: Asked) {
        if self.is_open() {
            self.lock().push_front(asked);
        }
    }

    /// Gives a window back whose last chunk failed; after a few failures in a row it ends.
    pub(crate) fn failed(&self, mut asked: Asked, why: &str) {
        asked.failures += 1;
        if asked.failures >= FAILURES {
            asked.ended(Err(why.to_owned()));
        } else {
            self.put_back(asked);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Asked>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by whoever talks to the terminal.
pub(crate) struct Open<'a>(&'a Mailbox);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        // Whoever put them in hears that nobody has them any more.
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window {
        from: Millis(0),
        to: Millis(2_500),
    };
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_window_is_worked_off_in_chunks_and_whoever_wants_it_hears_how_far_it_is() {
        let mailbox = Mailbox::default();
        assert!(mailbox.put(WINDOW).is_none(), "nobody is there");
        let _open = mailbox.open();
        let heard = mailbox.put(WINDOW).unwrap();
        let mut asked = mailbox.take().unwrap();
        let mut chunks = Vec::new();
        while let Some(chunk) = asked.next_chunk(SECOND) {
            chunks.push((chunk.from.0, chunk.to.0));
            asked.stored(chunk.to, 10, 1);
        }
        assert_eq!(chunks, [(0, 1_000), (1_000, 2_000), (2_000, 2_500)]);
        assert_eq!(heard.borrow().done_to, Some(Millis(2_500)));
        assert_eq!((heard.borrow().records, heard.borrow().new), (30, 3));
        asked.ended(Ok(()));
        assert_eq!(heard.borrow().end, Some(Ok(())));
    }

    #[test]
    fn a_window_that_was_given_back_goes_on_where_it_stood() {
        let mailbox = Mailbox::default();
        let _open = mailbox.open();
        let _heard = mailbox.put(WINDOW).unwrap();
        let mut asked = mailbox.take().unwrap();
        asked.stored(Millis(1_000), 1, 1);
        mailbox.put_back(asked);
        let next = mailbox.take().unwrap().next_chunk(SECOND).unwrap();
        assert_eq!(next.from, Millis(1_000));
    }

    #[test]
    fn when_the_worker_goes_whoever_waits_hears_it() {
        let mailbox = Mailbox::default();
        let open = mailbox.open();
        let heard = mailbox.put(WINDOW).unwrap();
        drop(open);
        assert!(
            heard.has_changed().is_err(),
            "it still seems to be worked on"
        );
        assert!(!mailbox.is_open());
    }

    #[test]
    fn a_visit_that_ends_after_the_next_one_began_does_not_close_its_mailbox() {
        let mailbox = Mailbox::default();
        let old = mailbox.open();
        let new = mailbox.open();
        drop(old);
        assert!(mailbox.put(WINDOW).is_some());
        drop(new);
        assert!(!mailbox.is_open());
    }

    #[test]
    fn a_window_that_fails_again_and_again_ends_with_the_reason() {
        let mailbox = Mailbox::default();
        let _open = mailbox.open();
        let heard = mailbox.put(WINDOW).unwrap();
        for _ in 0..FAILURES {
            mailbox.failed(mailbox.take().unwrap(), "it says no");
        }
        assert_eq!(heard.borrow().end, Some(Err("it says no".to_owned())));
        assert!(mailbox.take().is_none());
    }

    #[test]
    fn what_nobody_wants_any_more_is_dropped_and_no_more_than_a_few_wait() {
        let mailbox = Mailbox::default();
        let _open = mailbox.open();
        drop(mailbox.put(WINDOW).unwrap());
        assert!(mailbox.take().is_none());
        let kept: Vec<_> = (0..9).filter_map(|_| mailbox.put(WINDOW)).collect();
        assert_eq!(kept.len(), WAITING);
    }
}
