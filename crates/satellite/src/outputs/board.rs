//! How each output does, in memory, for `/status` and the metrics.
//!
//! Written by readers, read by the operators' door, which waits for no database. What an operator
//! may have to act on is one word, [`State`]; a receiver's own words never come here.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use event::Millis;
use serde::Serialize;

use super::course::stands_after;
use crate::config::Output;
use crate::detail::spanish;

/// What an output does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It delivers, or there is nothing to deliver.
    Fine,
    /// Somebody paused it.
    Paused,
    /// A lockdown stops it.
    Locked,
    /// Its receiver does not take what it is given.
    Failing,
    /// The database of its events cannot be read.
    Store,
    /// Another satellite reads for it.
    Elsewhere,
}

/// One output, as `/status` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct OutputStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Whose events it gets.
    pub tenant: String,
    /// `webhook`, `mqtt`, `table`, `folder`, `forward`, `edge`.
    pub kind: &'static str,
    /// `fine`, `paused`, `locked` (by a lockdown), `failing`, `standing` (failing for ten minutes
    /// and more: somebody has to look), `store` (the database cannot be read), `elsewhere` (another
    /// satellite reads for it), `starting`.
    pub state: &'static str,
    /// Age of the oldest event that its receiver does not have; 0 when it has all.
    pub lag_seconds: f64,
    /// Since when nothing gets through, UTC.
    pub failing_since: Option<String>,
    /// Why.
    pub trouble: Option<String>,
    /// The same in Spanish, where it is known.
    pub trouble_es: Option<String>,
    /// Events that its receiver did not take and that nobody sent once more.
    pub dead_letters: u64,
}

/// What is known of one output.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) state: Option<State>,
    /// When the oldest event came that is not delivered.
    pub(crate) oldest: Option<Millis>,
    pub(crate) failing_since: Option<Millis>,
    pub(crate) trouble: Option<String>,
    pub(crate) dead_letters: u64,
}

impl Seen {
    fn word(&self, now: Millis) -> &'static str {
        let long = i64::try_from(stands_after().as_millis()).unwrap_or(i64::MAX);
        match self.state {
            None => "starting",
            Some(State::Fine) => "fine",
            Some(State::Paused) => "paused",
            Some(State::Locked) => "locked",
            Some(State::Store) => "store",
            Some(State::Elsewhere) => "elsewhere",
            Some(State::Failing) => match self.failing_since {
                Some(since) if now.0.saturating_sub(since.0) >= long => "standing",
                _ => "failing",
            },
        }
    }
}

/// All of them, by name.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<BTreeMap<String, Seen>>);

impl Board {
    /// Changes what is known of one.
    pub(crate) fn note(&self, name: &str, change: impl FnOnce(&mut Seen)) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(seen.entry(name.to_owned()).or_default());
    }

    /// Forgets one that there is no more.
    pub(crate) fn forget(&self, name: &str) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(name);
    }

    /// How this output does.
    pub(crate) fn status(&self, output: &Output, now: Millis) -> OutputStatus {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = all.get(&output.name).cloned().unwrap_or_default();
        drop(all);
        let lag = seen
            .oldest
            .map_or(0, |oldest| now.0.saturating_sub(oldest.0));
        OutputStatus {
            name: output.name.clone(),
            tenant: output.tenant.to_string(),
            kind: output.to.kind(),
            state: seen.word(now),
            lag_seconds: std::time::Duration::from_millis(u64::try_from(lag).unwrap_or(0))
                .as_secs_f64(),
            failing_since: seen.failing_since.map(Millis::text),
            trouble_es: seen.trouble.as_deref().and_then(spanish),
            trouble: seen.trouble,
            dead_letters: seen.dead_letters,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_fails_for_ten_minutes_stands_still() {
        let mut seen = Seen {
            state: Some(State::Failing),
            failing_since: Some(Millis(0)),
            ..Seen::default()
        };
        assert_eq!(seen.word(Millis(599_000)), "failing");
        assert_eq!(seen.word(Millis(600_000)), "standing");
        seen.state = Some(State::Paused);
        assert_eq!(seen.word(Millis(600_000)), "paused");
    }
}
