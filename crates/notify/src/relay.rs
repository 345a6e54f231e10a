//! What a relay is to the pump: something that takes one message for one recipient, or says
//! whose fault it was that it did not.
//!
//! The [`Brink`] is the moment before a message may be taken over by the other side. Only one
//! mail of a process stands beyond it, until its delivery is recorded: so a killed process
//! repeats at most one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use lettre::Address;
use tokio::sync::OwnedMutexGuard;

use crate::mime::Wire;
use crate::schedule::later;

/// Takes messages. Played by [`crate::SmtpRelay`], and by tests.
#[async_trait]
pub trait Relay: Send + Sync {
    /// A name without secrets, for example `smtp://relay1.example.mx:587`; unique in a pump.
    fn name(&self) -> &str;

    /// Hands one message over. Must call [`Brink::reach`] before the other side could take it,
    /// and must end within a bounded time. Answers with the words of the other side.
    ///
    /// # Errors
    /// [`Failed`], which says whose fault it was.
    async fn deliver(&self, message: &Wire, brink: &Brink) -> Result<String, Failed>;

    /// Whether it would take a letter of that sender now, as far as that shows without one.
    /// Must end within a bounded time.
    ///
    /// # Errors
    /// [`Failed`], as [`Relay::deliver`] would have failed.
    async fn would_take(&self, from: &Address) -> Result<(), Failed>;
}

/// Why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Failed {
    /// Whose fault it was.
    pub whose: Whose,
    /// What happened, one line, fit to be shown.
    pub words: String,
}

/// Whose fault a failure was, and so what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The relay's: it cannot be reached, hangs, talks nonsense, refuses us. Another one may
    /// do; this one rests for a while.
    Relay,
    /// The recipient or the message is refused for now (4xx, a grey list). Later helps.
    Later,
    /// The recipient or the message is refused for good (5xx).
    Refused,
    /// Unknown: the message was handed over and no answer came. It must be sent again, and
    /// not by another relay at once, because it probably has arrived.
    Unknown,
}

impl Failed {
    /// A failure in words; they are made fit to be shown and cut to 300 characters.
    pub fn new(whose: Whose, words: &str) -> Self {
        Self {
            whose,
            words: crate::text::short(words, 300),
        }
    }
}

/// See the head of this module. One for each delivery.
#[derive(Debug)]
pub struct Brink {
    lock: Arc<tokio::sync::Mutex<()>>,
    held: Mutex<Option<OwnedMutexGuard<()>>>,
    /// The relay that delivers, how often it had been put to rest when that began, and the
    /// book where one sees how often it has been since.
    rest: Option<(String, u64, Arc<RestBook>)>,
}

impl Brink {
    pub(crate) fn new(lock: &Arc<tokio::sync::Mutex<()>>) -> Self {
        Self {
            lock: Arc::clone(lock),
            held: Mutex::new(None),
            rest: None,
        }
    }

    pub(crate) fn of_relay(mut self, name: &str, book: &Arc<RestBook>) -> Self {
        let rests = book.rests(name);
        self.rest = Some((name.to_owned(), rests, Arc::clone(book)));
        self
    }

    /// Waits until no other delivery is beyond the brink, and goes there. It stays there until
    /// the delivery is recorded.
    ///
    /// # Errors
    /// When this relay has been put to rest meanwhile: the one before us found it broken.
    pub async fn reach(&self) -> Result<(), Failed> {
        let guard = Arc::clone(&self.lock).lock_owned().await;
        if let Some((name, before, book)) = &self.rest
            && book.rests(name) != *before
        {
            return Err(Failed::new(Whose::Relay, "put to rest by another letter"));
        }
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
        Ok(())
    }
}

/// How a relay has done lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rest {
    /// Failures since the last success.
    pub(crate) failures: u32,
    /// Until when others go first.
    pub(crate) until: Option<Timestamp>,
    /// How often it was put to rest since the program started.
    rests: u64,
}

/// Which relays rest. In memory for the pump, in the outbox's file for the next start.
#[derive(Debug, Default)]
pub(crate) struct RestBook(Mutex<HashMap<String, Rest>>);

impl RestBook {
    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Rest) -> T) -> T {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(book.entry(name.to_owned()).or_default())
    }

    fn rests(&self, name: &str) -> u64 {
        self.with(name, |rest| rest.rests)
    }

    /// Takes over what an earlier process noted.
    pub(crate) fn remember(&self, name: &str, failures: u32, until: Timestamp) {
        self.with(name, |rest| {
            rest.failures = failures;
            rest.until = Some(until);
        });
    }

    /// Puts a relay to rest: 30 seconds, doubled with each failure in a row, at most 10
    /// minutes. Answers with the failures in a row and the end of the rest.
    pub(crate) fn failed(&self, name: &str, now: Timestamp) -> (u32, Timestamp) {
        self.with(name, |rest| {
            rest.failures = rest.failures.saturating_add(1);
            rest.rests += 1;
            let doubled = 30_i64 << (rest.failures - 1).min(5);
            let until = later(now, doubled.min(600));
            rest.until = Some(until);
            (rest.failures, until)
        })
    }

    /// A relay has delivered. Answers whether it had failed before.
    pub(crate) fn worked(&self, name: &str) -> bool {
        self.with(name, |rest| {
            let recovered = rest.failures > 0;
            (rest.failures, rest.until) = (0, None);
            recovered
        })
    }

    /// Whether its last try failed.
    pub(crate) fn fails(&self, name: &str) -> bool {
        self.with(name, |rest| rest.failures > 0)
    }

    /// Whether others should go first. A rest that would last longer than any rest does comes
    /// from a clock that was set back, and does not count.
    pub(crate) fn is_resting(&self, name: &str, now: Timestamp) -> bool {
        self.with(name, |rest| {
            rest.until
                .is_some_and(|until| until > now && until <= later(now, 600))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_relay_rests_longer_each_time_and_is_fresh_after_one_success() {
        let (book, start) = (RestBook::default(), Timestamp::UNIX_EPOCH);
        let rest = |book: &RestBook| book.failed("a", start).1.as_second();
        let rests: Vec<i64> = (0..7).map(|_| rest(&book)).collect();
        assert_eq!(rests, [30, 60, 120, 240, 480, 600, 600]);
        assert!(book.is_resting("a", later(start, 599)));
        assert!(!book.is_resting("a", later(start, 600)));
        assert!(!book.is_resting("b", start));
        assert!(book.worked("a") && !book.worked("a"));
        assert_eq!(rest(&book), 30);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_silence_a_relay() {
        let book = RestBook::default();
        book.failed("a", later(Timestamp::UNIX_EPOCH, 1_000_000));
        assert!(!book.is_resting("a", Timestamp::UNIX_EPOCH));
    }

    #[tokio::test]
    async fn only_one_letter_stands_beyond_the_brink_and_a_broken_relay_is_left_before_it() {
        let (lock, book) = (Arc::default(), Arc::new(RestBook::default()));
        let first = Brink::new(&lock).of_relay("a", &book);
        let second = Brink::new(&lock).of_relay("a", &book);
        first.reach().await.unwrap();
        let waits = tokio::time::timeout(std::time::Duration::from_millis(20), second.reach());
        assert!(waits.await.is_err());
        book.failed("a", Timestamp::UNIX_EPOCH);
        drop(first);
        assert_eq!(second.reach().await.unwrap_err().whose, Whose::Relay);
    }
}
