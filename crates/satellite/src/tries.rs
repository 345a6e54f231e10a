//! Who tries what he may not: different tokens and different serials, counted by address.
//!
//! A device with an old token, or a new terminal that waits for approval, insists with one and
//! the same; who guesses brings many. Counted is what is different, within ten minutes, for each
//! address (one /64 for IPv6) and for all together, so that a guess from a thousand addresses shows too.
//! Nothing is refused or stored here; memory has a stated cap.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use event::Millis;
use serde::Serialize;

use crate::door::group;

/// What is different within this time counts; milliseconds.
const WINDOW: i64 = 600_000;
/// Addresses that are told apart, with at most 50 marks of 8 bytes each: below 2 MiB in all.
const ADDRESSES: usize = 2_048;
/// Of all addresses together, so many times as much is a flood.
const ALL_TOGETHER: usize = 5;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Try {
    /// A token that nobody has.
    Token,
    /// A serial that nobody enrolled.
    Serial,
}

impl Try {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Token, Self::Serial];

    /// The word in `/status`, metrics and manuals.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Token => "brute_force",
            Self::Serial => "serial_flood",
        }
    }

    /// Different ones from one address that nobody brings by accident. A site may mount dozens
    /// of new terminals in a day; nobody types ten wrong tokens.
    fn limit(self) -> usize {
        match self {
            Self::Token => 10,
            Self::Serial => 50,
        }
    }
}

/// One attack that goes on, as `/status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attack {
    /// `brute_force`: different wrong tokens; `serial_flood`: different unknown serials.
    pub name: &'static str,
    /// From where; `null` when only all addresses together bring so many.
    pub address: Option<String>,
    /// When it became one, UTC.
    pub since: String,
    /// When something different was last tried, UTC.
    pub last_at: String,
    /// Tries since they are counted, the same ones included.
    pub tries: u64,
}

/// What one address tried.
#[derive(Debug, Clone)]
struct Entry {
    marks: Vec<u64>,
    first: Millis,
    last: Millis,
    tries: u64,
    since: Option<Millis>,
}

/// The book of tries.
pub(crate) struct Tries {
    hasher: RandomState,
    book: Mutex<HashMap<(Try, Option<IpAddr>), Entry>>,
}

impl Tries {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            book: Mutex::default(),
        }
    }

    /// Somebody tried this; true when that makes it an attack.
    pub(crate) fn note(&self, what: Try, mark: impl Hash, address: IpAddr, now: Millis) -> bool {
        let mark = self.hasher.hash_one(mark);
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let mut begins = false;
        for (from, limit) in [
            (Some(group(address)), what.limit()),
            (None, what.limit() * ALL_TOGETHER),
        ] {
            let key = (what, from);
            if !book.contains_key(&key) && book.len() >= ADDRESSES {
                book.retain(|_, entry| is_fresh(entry, now));
                if book.len() >= ADDRESSES {
                    continue;
                }
            }
            let entry = book.entry(key).or_insert_with(|| Entry::new(now));
            begins |= entry.take(mark, limit, now);
        }
        begins
    }

    /// Attacks that go on. Those that are over are forgotten.
    pub(crate) fn attacks(&self, now: Millis) -> Vec<Attack> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.retain(|_, entry| is_fresh(entry, now));
        let mut held: Vec<_> = book.iter().filter_map(told).collect();
        drop(book);
        // All addresses together only tell what no single one does.
        if held.iter().any(|one| one.address.is_some()) {
            held.retain(|one| one.address.is_some());
        }
        held.sort_by(|a, b| (a.name, &a.address).cmp(&(b.name, &b.address)));
        held
    }
}

fn told(((what, address), entry): (&(Try, Option<IpAddr>), &Entry)) -> Option<Attack> {
    Some(Attack {
        name: what.as_str(),
        address: address.map(|address| address.to_string()),
        since: entry.since?.text(),
        last_at: entry.last.text(),
        tries: entry.tries,
    })
}

/// Whether something different was tried lately; a clock that was set back makes it so, too.
fn is_fresh(entry: &Entry, now: Millis) -> bool {
    now.0.saturating_sub(entry.last.0) <= WINDOW
}

impl Entry {
    fn new(now: Millis) -> Self {
        Self {
            marks: Vec::new(),
            first: now,
            last: now,
            tries: 0,
            since: None,
        }
    }

    /// Takes one try; true when it makes an attack of them.
    fn take(&mut self, mark: u64, limit: usize, now: Millis) -> bool {
        let is_old = now.0.saturating_sub(self.first.0) > WINDOW && self.since.is_none();
        if is_old || !is_fresh(self, now) {
            *self = Self::new(now);
        }
        self.tries = self.tries.saturating_add(1);
        if self.marks.contains(&mark) {
            return false;
        }
        self.last = now;
        if self.marks.len() < limit {
            self.marks.push(mark);
        }
        if self.marks.len() < limit || self.since.is_some() {
            return false;
        }
        self.since = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, n])
    }

    #[test]
    fn many_different_tokens_from_one_address_are_an_attack_and_one_insisting_device_is_none() {
        let tries = Tries::new();
        for n in 0..1_000 {
            assert!(!tries.note(Try::Token, 7, ip(1), Millis(n)));
        }
        assert!(tries.attacks(Millis(1_000)).is_empty());
        let begins = (0..30).filter(|n| tries.note(Try::Token, n + 100, ip(2), Millis(2_000)));
        assert_eq!(begins.count(), 1);
        let attacks = tries.attacks(Millis(3_000));
        assert_eq!(attacks.len(), 1);
        assert_eq!((attacks[0].name, attacks[0].tries), ("brute_force", 30));
        assert_eq!(attacks[0].address.as_deref(), Some("203.0.113.2"));
        assert!(
            tries.attacks(Millis(2_001 + WINDOW)).is_empty(),
            "it is over"
        );
    }

    #[test]
    fn forged_serials_from_a_thousand_addresses_show_as_one_flood_in_bounded_memory() {
        let tries = Tries::new();
        for n in 0..100_000_u32 {
            let [_, a, b, c] = n.to_be_bytes();
            tries.note(
                Try::Serial,
                n,
                IpAddr::from([198, a, b, c]),
                Millis(n.into()),
            );
        }
        assert!(tries.book.lock().unwrap().len() <= ADDRESSES);
        let attacks = tries.attacks(Millis(100_000));
        assert_eq!(attacks.len(), 1);
        assert_eq!(
            (attacks[0].name, &attacks[0].address),
            ("serial_flood", &None)
        );
    }

    #[test]
    fn a_site_that_mounts_forty_new_terminals_is_no_attack() {
        let tries = Tries::new();
        for n in 0..40 {
            assert!(!tries.note(Try::Serial, n, ip(1), Millis(n)));
        }
        assert!(tries.attacks(Millis(50)).is_empty());
    }
}
