//! What of satellite's word on its stores is wrong: commits that stand still, and a database that
//! takes no events. Pure: the page and the monotonic clock come in.
//!
//! A database that is away is never called a standstill.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::status::{Status, Store};
use crate::{Fact, Kind, Severity, Trouble, Value};

/// Work that waits for so long, while its database is up and nothing is committed, is stuck. It
/// is told when the next round sees it too, five seconds later: a database that is held up for
/// 20 s is none. Where nobody but the canary punches, 30 s pass before anything waits, and the
/// mail has to leave within 60.
const STUCK_AFTER: Duration = Duration::from_secs(17);
/// Work that was given up comes again within this time: the canary, if nobody else.
const COMES_AGAIN: Duration = Duration::from_secs(60);
/// satellite's word for a database that answers while somebody holds what its commits wait for.
const HELD: &str = "locked";
/// From when to when work was seen to wait without a commit.
#[derive(Debug, Clone, Copy)]
struct Standing {
    since: Instant,
    last: Instant,
}

/// What the look remembers of stores.
#[derive(Debug, Default)]
pub(super) struct Stores {
    /// Commits of each store at the last round.
    commits: HashMap<String, u64>,
    /// Stores at which work waits and nothing is committed.
    standing: HashMap<String, Standing>,
}

impl Stores {
    /// For each store: false while nothing was committed although work has waited too long. The
    /// page's own age of the oldest begins anew whenever a transaction is tried again, so that
    /// what was seen before counts too. Work that was given up and comes again a little later
    /// stands all the while; a commit, and a database that is away, end that.
    pub(super) fn moving(&mut self, status: &Status, now: Instant) -> HashMap<String, bool> {
        let mut moving = HashMap::new();
        for store in &status.stores {
            let before = self.commits.insert(store.label.clone(), store.commits);
            let is_held = store.trouble.as_deref() == Some(HELD);
            if before != Some(store.commits) || !(store.up || is_held) {
                self.standing.remove(&store.label);
            } else if is_held || store.waiting > 0 || store.oldest_waiting_seconds > 0.0 {
                let age = Duration::try_from_secs_f64(store.oldest_waiting_seconds);
                let page = now.checked_sub(age.unwrap_or_default()).unwrap_or(now);
                let standing = self.standing.entry(store.label.clone());
                let standing = standing.or_insert(Standing {
                    since: page,
                    last: now,
                });
                (standing.since, standing.last) = (standing.since.min(page), now);
            }
            let its = self.standing.get(&store.label).copied();
            let its = its.filter(|it| now.duration_since(it.last) <= COMES_AGAIN);
            if its.is_none() {
                self.standing.remove(&store.label);
            }
            let stuck = its.is_some_and(|it| it.last.duration_since(it.since) >= STUCK_AFTER);
            moving.insert(store.label.clone(), !stuck);
        }
        moving
    }
}

/// What satellite says is wrong with a store, as a kind that operators know. One whose disk was
/// full is up as soon as satellite's own small trial fits, and in trouble until something is stored.
pub(super) fn of_store(store: &Store) -> Option<Trouble> {
    // A store that was not asked yet, just after a start, is not up and has no trouble.
    let word = store.trouble.as_ref()?;
    let kind = match word.as_str() {
        // Commits stand still, and that is told as what it is.
        HELD => return None,
        "no_answer" => Kind::DatabaseHung,
        "read_only" => Kind::DatabaseReadOnly,
        "full" => Kind::DatabaseFull,
        "too_many_connections" => Kind::DatabaseConnections,
        _ => Kind::DatabaseDown,
    };
    let detail = store.detail.as_deref().unwrap_or(word);
    let trouble = Trouble::new(kind)
        .severity(Severity::Critical)
        .fact(Fact::Place, Value::heard(&store.place))
        .fact(Fact::Detail, Value::heard(detail));
    Some(trouble)
}

#[cfg(test)]
mod tests {
    use super::super::judge::tests::status;
    use super::*;
    use crate::looks::wide;

    #[test]
    fn work_that_waits_while_its_database_is_up_and_commits_nothing_is_stuck() {
        let (mut stores, start) = (Stores::default(), Instant::now());
        let mut stuck = |up: bool, oldest: f64, commits: u64| {
            let mut status = status();
            status.stores[0].up = up;
            status.stores[0].waiting = 3;
            status.stores[0].oldest_waiting_seconds = oldest;
            status.stores[0].commits = commits;
            !stores.moving(&status, start)["store"]
        };
        assert!(!stuck(true, 40.0, 7), "the first look cannot tell");
        assert!(stuck(true, 40.0, 7));
        assert!(!stuck(true, 40.0, 8), "something was committed");
        assert!(!stuck(true, 5.0, 8));
        assert!(
            !stuck(false, 40.0, 8),
            "a dependency that is down is not a freeze"
        );
    }

    #[test]
    fn a_transaction_that_is_tried_again_and_again_is_stuck_though_the_page_counts_anew() {
        let (mut stores, start) = (Stores::default(), Instant::now());
        let mut stuck = |second: u64, commits: u64, waiting: u64| {
            let mut status = status();
            status.stores[0].waiting = waiting;
            let age = if waiting > 0 { second % 25 } else { 0 };
            status.stores[0].oldest_waiting_seconds = wide(age);
            status.stores[0].commits = commits;
            !stores.moving(&status, start + Duration::from_secs(second))["store"]
        };
        let seen: Vec<bool> = (0..60).step_by(5).map(|at| stuck(at, 7, 3)).collect();
        assert_eq!(seen.iter().position(|it| *it), Some(4), "{seen:?}");
        assert!(seen[4..].iter().all(|it| *it), "{seen:?}");
        assert!(!stuck(60, 8, 3), "something was committed");
        assert!(!stuck(90, 8, 0), "nothing waits");
        assert!(!stuck(101, 8, 3));
    }

    #[test]
    fn commits_that_somebody_holds_up_are_stuck_though_each_try_is_given_up_and_nothing_waits() {
        let (mut stores, start) = (Stores::default(), Instant::now());
        let mut stuck = |second: u64, (waiting, trouble): (u64, Option<&str>), commits: u64| {
            let mut status = status();
            let store = &mut status.stores[0];
            (store.waiting, store.commits) = (waiting, commits);
            (store.up, store.trouble) = (trouble.is_none(), trouble.map(str::to_owned));
            !stores.moving(&status, start + Duration::from_secs(second))["store"]
        };
        // One punch in half a minute: it is tried, given up, and the next one is as well.
        let (tried, given_up, quiet) = ((1, None), (0, Some("locked")), (0, None));
        for (second, page, wanted) in [
            (0, quiet, false),
            (5, tried, false),
            (20, tried, false),
            (30, given_up, true),
            (35, quiet, true),
            (55, tried, true),
        ] {
            assert_eq!(stuck(second, page, 7), wanted, "{second}");
        }
        assert!(!stuck(60, quiet, 8), "something was committed");
        assert!(!stuck(65, tried, 8));
        assert!(!stuck(100, (0, Some("unreachable")), 8), "it is away");
        assert!(!stuck(105, tried, 8), "it begins anew");
        // Nobody comes again: what stood is forgotten, and is not held against the next one.
        assert!(!stuck(115, tried, 8) && !stuck(180, quiet, 8));
        assert!(!stuck(200, tried, 8));
    }

    #[test]
    fn a_store_in_trouble_is_told_by_its_kind_and_one_not_asked_yet_is_not() {
        let mut it = status().stores.remove(0);
        it.up = false;
        assert!(of_store(&it).is_none(), "not asked yet");
        it.trouble = Some(HELD.to_owned());
        assert!(of_store(&it).is_none(), "it stands still, and is there");
        for (word, kind) in [
            ("unreachable", Kind::DatabaseDown),
            ("no_answer", Kind::DatabaseHung),
            ("read_only", Kind::DatabaseReadOnly),
            ("full", Kind::DatabaseFull),
            ("too_many_connections", Kind::DatabaseConnections),
            ("denied", Kind::DatabaseDown),
        ] {
            it.trouble = Some(word.to_owned());
            assert_eq!(of_store(&it).unwrap().kind, kind, "{word}");
        }
        (it.up, it.trouble) = (true, Some("full".to_owned()));
        let kind = of_store(&it).unwrap().kind;
        assert_eq!(kind, Kind::DatabaseFull, "its trial fits, a punch does not");
    }
}
