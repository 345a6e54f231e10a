//! What this satellite knows of a terminal, or of an edge, through the edge.
//!
//! A claim about a terminal's record is the edge's, and holds here because everything that the edge had
//! stored when it made it is stored here. It is as old as the edge's last word: when that is long
//! ago, nothing may be called proven any more. All of it is in memory and comes again within
//! seconds of a restart.

use std::sync::{Mutex, PoisonError};

use event::{Completeness, Millis, Serial};

use super::wire::Said;
use crate::conditions::Condition;

/// After so much silence of its edge a record is not called proven any more, in milliseconds: as long
/// as until a terminal counts as offline.
const HOLDS_FOR: i64 = 300_000;

/// An edge that is well speaks at least so often, in seconds, with some delay.
const SPEAKS_EVERY: u64 = 30;

/// What an edge said of one terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Carried {
    /// The edge.
    pub(crate) by: Serial,
    /// When it last said so.
    pub(crate) at: Millis,
    /// The claim, and how many events are known to be missing; `None` while it makes none.
    pub(crate) claim: Option<(Completeness, Option<u64>)>,
    /// It came with the chain of a Hikvision device's serials, which stands here now.
    pub(crate) has_chain: bool,
    /// Its conditions that were raised here on the edge's word.
    pub(crate) conditions: Vec<Condition>,
}

/// What an edge said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bringer {
    /// When it last handed over.
    pub(crate) at: Millis,
    /// Age of the oldest event that it had not handed over then.
    pub(crate) lag_seconds: u64,
    /// Terminals that it speaks for and that are not approved for its tenant.
    pub(crate) held_back: usize,
}

/// Of one enrolment: as a terminal that an edge brings, and as an edge.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    carried: Mutex<Option<Carried>>,
    bringer: Mutex<Option<Bringer>>,
}

impl Slot {
    /// What an edge last said of it as a terminal.
    pub(crate) fn carried(&self) -> Option<Carried> {
        self.carried
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// An edge said this of it; answers what was said before.
    pub(crate) fn says(&self, now: Carried) -> Option<Carried> {
        self.carried
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(now)
    }

    /// What it last said of itself as an edge.
    pub(crate) fn bringer(&self) -> Option<Bringer> {
        self.bringer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// It handed over.
    pub(crate) fn brought(&self, now: Bringer) {
        *self.bringer.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }
}

impl Bringer {
    /// How far it is behind, in seconds. While it is silent nobody knows what it has taken in, so that
    /// its silence counts.
    pub(crate) fn lag(&self, now: Millis) -> u64 {
        let silent = u64::try_from(now.0.saturating_sub(self.at.0) / 1_000).unwrap_or_default();
        match silent > SPEAKS_EVERY {
            true => self.lag_seconds.saturating_add(silent),
            false => self.lag_seconds,
        }
    }
}

impl Carried {
    /// What may be claimed of the terminal now.
    pub(crate) fn claims(&self, now: Millis) -> Option<(Completeness, Option<u64>)> {
        let is_fresh = self.is_fresh(now);
        self.claim.map(|(word, missing)| match word {
            Completeness::Proven if !is_fresh => (Completeness::Seen, missing),
            word => (word, missing),
        })
    }

    /// Whether its edge was heard lately.
    pub(crate) fn is_fresh(&self, now: Millis) -> bool {
        now.0.saturating_sub(self.at.0) <= HOLDS_FOR
    }
}

/// The claim in the words of an edge; `None` for a word that is not known.
pub(crate) fn claim(said: &Said) -> Option<(Completeness, Option<u64>)> {
    let word = Completeness::from_word(&said.completeness)?;
    Some((word, said.gap_events))
}

/// The better of two claims about one terminal. What one way proves is proven.
pub(crate) fn better(
    own: (Completeness, Option<u64>),
    carried: Option<(Completeness, Option<u64>)>,
) -> (Completeness, Option<u64>) {
    match carried {
        // In the order of the words, the strongest comes first.
        Some(carried) if carried.0 <= own.0 => carried,
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Completeness::{Proven, Seen, Unproven};

    #[test]
    fn a_claim_is_proven_while_its_edge_is_heard_and_seen_afterwards() {
        let carried = Carried {
            by: Serial::new("SITE1").unwrap(),
            at: Millis(1_000),
            claim: Some((Proven, Some(0))),
            has_chain: false,
            conditions: Vec::new(),
        };
        assert_eq!(carried.claims(Millis(301_000)), Some((Proven, Some(0))));
        assert_eq!(carried.claims(Millis(301_001)), Some((Seen, Some(0))));
        let none = Carried {
            claim: None,
            ..carried
        };
        assert_eq!(none.claims(Millis(1_000)), None);
    }

    #[test]
    fn an_edge_that_is_silent_falls_behind_with_every_second() {
        let edge = Bringer {
            at: Millis(100_000),
            lag_seconds: 7,
            held_back: 0,
        };
        assert_eq!(edge.lag(Millis(130_000)), 7);
        assert_eq!(edge.lag(Millis(131_000)), 38);
    }

    #[test]
    fn the_stronger_of_two_ways_counts_and_a_weaker_word_takes_nothing_back() {
        let own = (Seen, Some(3));
        assert_eq!(better(own, Some((Proven, Some(0)))), (Proven, Some(0)));
        assert_eq!(better(own, Some((Unproven, None))), own);
        assert_eq!(
            better((Unproven, None), Some((Seen, Some(4)))),
            (Seen, Some(4))
        );
        assert_eq!(better(own, None), own);
    }
}
