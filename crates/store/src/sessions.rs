//! The idle sessions of one server, and which of them serves whom.
//!
//! A session that has worked in a database has its statements prepared, and serves that
//! database's store at less cost than another one; beyond that, the fewer sessions do all the
//! work, the sooner the others are old enough to be closed. Nothing here opens, closes or counts a connection: this is only
//! the shelf that they stand on, so that the choice can be tried without a server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::target::Account;

/// A session that was used within this time is likely to be wanted again by its own store.
const HOT: Duration = Duration::from_secs(1);
/// Sessions of one server below which a hot one is left alone and another one is opened.
const FEW: usize = 16;

/// Databases that a session is known to have worked in: about those whose statements it still
/// has prepared.
const REMEMBERED: usize = 32;

/// The databases that a session has worked in, the last one at the end.
#[derive(Default)]
pub(crate) struct Served(Vec<Arc<str>>);

impl Served {
    /// Notes that it works in that database now.
    pub(crate) fn note(&mut self, database: &Arc<str>) {
        self.0.retain(|known| known != database);
        if self.0.len() == REMEMBERED {
            self.0.remove(0);
        }
        self.0.push(Arc::clone(database));
    }

    /// 2 when it worked there last, 1 when it has worked there, else 0.
    fn rank(&self, database: &str) -> u8 {
        match self.0.iter().rev().position(|known| **known == *database) {
            Some(0) => 2,
            Some(_) => 1,
            None => 0,
        }
    }
}

/// What a session stands for while it is idle.
pub(crate) struct Idle<T> {
    /// Who is logged in.
    pub(crate) account: Account,
    /// Where it has worked.
    pub(crate) served: Served,
    /// When it was last given back.
    pub(crate) used: Instant,
    /// The session itself.
    pub(crate) thing: T,
}

/// Idle sessions, the one used last at the end.
pub(crate) struct Shelf<T>(Vec<Idle<T>>);

impl<T> Shelf<T> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn put(&mut self, idle: Idle<T>) {
        self.0.push(idle);
    }

    /// The best session for that account and database. `None` when a new one is better, which
    /// it never is where `in_use` and the idle ones reach `limit` and one of the account is
    /// among them.
    pub(crate) fn pick(
        &mut self,
        account: &Account,
        database: &str,
        now: Instant,
        in_use: usize,
        limit: usize,
    ) -> Option<Idle<T>> {
        let crowded = in_use + self.0.len() > limit.min(FEW);
        let mut best: Option<(u8, usize)> = None;
        for (at, idle) in self.0.iter().enumerate().rev() {
            if idle.account != *account {
                continue;
            }
            let rank = idle.served.rank(database);
            let cold = now.saturating_duration_since(idle.used) >= HOT;
            let may = rank == 2 || cold || crowded;
            if may && best.is_none_or(|(other, _)| other < rank) {
                best = Some((rank, at));
            }
        }
        best.map(|(_, at)| self.0.remove(at))
    }

    /// Takes off, the oldest first, what is more than `keep`.
    pub(crate) fn shrink_to(&mut self, keep: usize) -> Vec<Idle<T>> {
        let surplus = self.0.len().saturating_sub(keep);
        self.0.drain(..surplus).collect()
    }

    /// Takes off what was not used since that moment.
    pub(crate) fn expire(&mut self, since: Instant) -> Vec<Idle<T>> {
        self.0.extract_if(.., |idle| idle.used < since).collect()
    }

    /// Takes off what stands in that database of that account.
    pub(crate) fn clear(&mut self, account: &Account, database: &str) -> Vec<Idle<T>> {
        let gone = |idle: &mut Idle<T>| idle.account == *account && idle.served.rank(database) == 2;
        self.0.extract_if(.., gone).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;

    fn account(user: &str) -> Account {
        Target::mysql(&format!("mysql://{user}@h/d"), None, "h:3306").account()
    }

    fn shelf(now: Instant, list: &[(&str, &str, u64)]) -> Shelf<usize> {
        let mut shelf = Shelf::new();
        for (at, (user, databases, age)) in list.iter().enumerate() {
            let mut served = Served::default();
            for database in databases.split(' ') {
                served.note(&database.into());
            }
            shelf.put(Idle {
                account: account(user),
                served,
                used: now.checked_sub(Duration::from_secs(*age)).unwrap(),
                thing: at,
            });
        }
        shelf
    }

    fn now() -> Instant {
        // Far enough from the machine's start that ages can be taken off.
        Instant::now() + Duration::from_secs(3_600)
    }

    #[test]
    fn a_store_gets_the_session_that_last_worked_in_its_database() {
        let now = now();
        let mut shelf = shelf(
            now,
            &[("u", "mine", 9), ("u", "other", 5), ("u", "third", 0)],
        );
        let got = shelf.pick(&account("u"), "mine", now, 1, 100);
        assert_eq!(got.unwrap().thing, 0);
    }

    #[test]
    fn of_sessions_that_may_be_shared_it_gets_one_that_has_worked_in_its_database() {
        let now = now();
        let mut shelf = shelf(now, &[("u", "mine a", 0), ("u", "b", 0), ("u", "c", 0)]);
        assert!(shelf.pick(&account("u"), "mine", now, 1, 100).is_none());
        let got = shelf.pick(&account("u"), "mine", now, 1, 2);
        assert_eq!(got.unwrap().thing, 0);
    }

    #[test]
    fn a_session_remembers_the_databases_that_it_worked_in_last() {
        let mut served = Served::default();
        for at in 0..=REMEMBERED {
            served.note(&format!("d{at}").into());
        }
        served.note(&"d1".into());
        assert_eq!(
            ["d0", "d1", "d2", "d32"].map(|name| served.rank(name)),
            [0, 2, 1, 1]
        );
        assert_eq!(served.0.len(), REMEMBERED);
    }

    #[test]
    fn a_session_at_rest_is_taken_before_one_that_its_own_store_needs_again() {
        let now = now();
        let mut shelf = shelf(now, &[("u", "a", 9), ("u", "b", 5), ("u", "c", 0)]);
        let mut next = || {
            shelf
                .pick(&account("u"), "mine", now, 1, 100)
                .map(|i| i.thing)
        };
        assert_eq!([next(), next(), next()], [Some(1), Some(0), None]);
    }

    #[test]
    fn where_no_more_may_be_opened_a_busy_session_is_shared() {
        let now = now();
        let mut shelf = shelf(now, &[("u", "a", 0), ("u", "b", 0)]);
        assert!(shelf.pick(&account("u"), "mine", now, 2, 4).is_none());
        assert!(shelf.pick(&account("u"), "mine", now, 2, 3).is_some());
    }

    #[test]
    fn nobody_gets_the_session_of_another_account() {
        let now = now();
        let mut shelf = shelf(now, &[("u", "mine", 9), ("u", "b", 9)]);
        assert!(shelf.pick(&account("v"), "mine", now, 9, 2).is_none());
        let secret = Target::mysql("mysql://u@h/d", Some("secret"), "h:3306").account();
        assert!(shelf.pick(&secret, "mine", now, 9, 2).is_none());
    }

    #[test]
    fn the_oldest_make_room_and_the_unused_expire() {
        let now = now();
        let mut shelf = shelf(now, &[("u", "a", 90), ("v", "b", 61), ("u", "c", 1)]);
        let things = |gone: Vec<Idle<usize>>| gone.iter().map(|i| i.thing).collect::<Vec<_>>();
        assert_eq!(things(shelf.shrink_to(2)), [0]);
        let since = now.checked_sub(Duration::from_secs(60)).unwrap();
        assert_eq!(things(shelf.expire(since)), [1]);
        assert!(shelf.clear(&account("v"), "c").is_empty());
        assert_eq!(things(shelf.clear(&account("u"), "c")), [2]);
        assert!(shelf.is_empty());
    }
}
