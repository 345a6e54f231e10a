//! How many mails one person gets in a storm. Pure: history and what waits in, a plan out.
//!
//! At most three mails to one recipient in ten minutes; when not all that waits fits, all of it
//! goes together as one digest. The first critical letter of each kind is never held back and never folded into a
//! digest, nor is the first of a kind that the caller names: a storm must not hide that the way out
//! of all letters is failing. Nothing is ever thrown away here: a letter is sent, folded, or waits
//! for the next plan.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

/// The rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapRule {
    /// Mails to one recipient within [`CapRule::window`], digests included.
    pub mails: usize,
    /// The time over which they are counted.
    pub window: SignedDuration,
    /// After how long without a critical letter of its kind one counts as the first again.
    pub critical_again: SignedDuration,
    /// Kinds whose first letter passes as a critical one does, although it is none.
    pub pass: &'static [&'static str],
}

impl Default for CapRule {
    fn default() -> Self {
        Self::USUAL
    }
}

impl CapRule {
    /// 3 mails in 10 minutes; a kind is new again after an hour.
    pub const USUAL: Self = Self {
        mails: 3,
        window: SignedDuration::from_mins(10),
        critical_again: SignedDuration::from_hours(1),
        pass: &[],
    };

    /// No cap at all.
    pub fn none() -> Self {
        Self {
            mails: usize::MAX,
            ..Self::default()
        }
    }

    /// Whether the first letter of that kind is never held back.
    pub(crate) fn passes(&self, kind: &str, critical: bool) -> bool {
        critical || self.pass.contains(&kind)
    }
}

/// What one recipient has got lately, or is certain to get.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// When mails were delivered to this recipient, digests included, at least for the window.
    pub delivered: Vec<Timestamp>,
    /// Mails that have passed the cap and are not delivered yet.
    pub under_way: usize,
    /// Kinds of which a letter that passes is under way, or was delivered within
    /// [`CapRule::critical_again`].
    pub passed_kinds: HashSet<String>,
}

/// A letter that has not passed the cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The caller's number for it; smaller is older.
    pub id: i64,
    /// Its kind.
    pub kind: String,
    /// Whether it is critical.
    pub critical: bool,
}

/// What to do with the letters that wait; those in neither list go on waiting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Send each of these by itself.
    pub send: Vec<i64>,
    /// Send all of these together as one digest; empty, or two and more.
    pub fold: Vec<i64>,
}

/// Plans for one recipient at `now`.
pub fn plan(rule: &CapRule, history: &History, waiting: &[Waiting], now: Timestamp) -> Plan {
    // What lies in the future was delivered before the clock was set back: not counted, or a
    // wrong clock would keep somebody without mail.
    let recent = |at: &&Timestamp| **at <= now && now.duration_since(**at) < rule.window;
    let used = history.delivered.iter().filter(recent).count() + history.under_way;
    let mut places = rule.mails.saturating_sub(used);

    // Critical before others, older before newer.
    let mut order: Vec<&Waiting> = waiting.iter().collect();
    order.sort_by_key(|letter| (!letter.critical, letter.id));

    let mut known = history.passed_kinds.clone();
    let mut plan = Plan::default();
    let mut rest = Vec::new();
    for letter in order {
        if rule.passes(&letter.kind, letter.critical) && known.insert(letter.kind.clone()) {
            plan.send.push(letter.id);
            places = places.saturating_sub(1);
        } else {
            rest.push(letter.id);
        }
    }
    if rest.len() <= places {
        plan.send.extend(rest);
    } else if places > 0 {
        rest.sort_unstable();
        plan.fold = rest;
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn waiting(id: i64, kind: &str, critical: bool) -> Waiting {
        let kind = kind.to_owned();
        Waiting { id, kind, critical }
    }

    #[test]
    fn of_five_hundred_at_once_the_first_goes_by_itself_and_the_others_as_one_digest() {
        let storm: Vec<Waiting> = (0..500).map(|id| waiting(id, "offline", true)).collect();
        let plan = plan(&CapRule::default(), &History::default(), &storm, at(0));
        assert_eq!(plan.send, [0]);
        assert_eq!(plan.fold.len(), 499);
    }

    #[test]
    fn a_full_window_holds_everything_but_the_first_critical_of_a_kind() {
        let history = History {
            delivered: vec![at(0), at(1), at(2)],
            under_way: 0,
            passed_kinds: HashSet::from(["offline".to_owned()]),
        };
        let storm = [
            waiting(1, "offline", true),
            waiting(2, "slow", false),
            waiting(3, "stall", true),
            waiting(4, "stall", true),
        ];
        let rule = CapRule::default();
        let full = plan(&rule, &history, &storm, at(599));
        assert_eq!((full.send, full.fold.len()), (vec![3], 0));
        // One second later the first of the three no longer counts; the critical one takes
        // that place.
        let later = plan(&rule, &history, &storm, at(600));
        assert_eq!((later.send, later.fold.len()), (vec![3], 0));
        let all = plan(&rule, &history, &storm, at(602));
        assert_eq!((all.send, all.fold), (vec![3], vec![1, 2, 4]));
    }

    #[test]
    fn the_first_of_a_named_kind_passes_a_full_window_and_its_second_waits() {
        let rule = CapRule {
            pass: &["relay"],
            ..CapRule::default()
        };
        let mut history = History {
            delivered: vec![at(0), at(1), at(2)],
            ..History::default()
        };
        let storm = [
            waiting(1, "slow", false),
            waiting(2, "relay", false),
            waiting(3, "relay", false),
        ];
        let first = plan(&rule, &history, &storm, at(10));
        assert_eq!((first.send, first.fold), (vec![2], vec![]));
        history.passed_kinds.insert("relay".to_owned());
        let second = plan(&rule, &history, &storm[2..], at(11));
        assert_eq!(second, Plan::default());
    }

    #[test]
    fn what_is_under_way_takes_its_place() {
        let history = History {
            under_way: 2,
            ..History::default()
        };
        let two = [waiting(1, "a", false), waiting(2, "a", false)];
        let plan = plan(&CapRule::default(), &history, &two, at(0));
        assert_eq!((plan.send, plan.fold), (vec![], vec![1, 2]));
    }

    proptest! {
        /// A simulated day with one recipient and perfect relays.
        #[test]
        fn no_ten_minutes_hold_more_than_three_mails_besides_first_criticals_and_none_is_lost(
            arrivals in prop::collection::vec((0_i64..1500, 0_u8..3, any::<bool>()), 1..120),
        ) {
            let rule = CapRule::default();
            let mut history = History::default();
            let mut critical_at: Vec<(String, Timestamp)> = Vec::new();
            let mut ordinary: Vec<Timestamp> = Vec::new();
            let (mut box_, mut done) = (Vec::new(), HashSet::new());
            for second in (0..4000).step_by(7) {
                let now = at(second);
                for (id, (when, kind, critical)) in (0_i64..).zip(&arrivals) {
                    if (second - 6..=second).contains(when) {
                        box_.push(waiting(id, &kind.to_string(), *critical));
                    }
                }
                let young = |since: &Timestamp| now.duration_since(*since) < rule.critical_again;
                history.passed_kinds = critical_at
                    .iter().filter(|(_, since)| young(since)).map(|(kind, _)| kind.clone()).collect();
                let made = plan(&rule, &history, &box_, now);
                for id in &made.send {
                    let letter = box_.iter().find(|letter| letter.id == *id).unwrap();
                    let first = letter.critical && !history.passed_kinds.contains(&letter.kind)
                        && !critical_at.iter().any(|(kind, when)| *kind == letter.kind && *when == now);
                    if letter.critical { critical_at.push((letter.kind.clone(), now)); }
                    if !first { ordinary.push(now); }
                    history.delivered.push(now);
                }
                prop_assert_ne!(made.fold.len(), 1);
                if !made.fold.is_empty() {
                    history.delivered.push(now);
                    ordinary.push(now);
                }
                for id in made.send.into_iter().chain(made.fold) {
                    prop_assert!(done.insert(id), "{} went twice", id);
                    box_.retain(|letter| letter.id != id);
                }
            }
            prop_assert_eq!(done.len(), arrivals.len());
            for start in &ordinary {
                let within = ordinary.iter()
                    .filter(|when| **when >= *start && when.duration_since(*start) < rule.window);
                prop_assert!(within.count() <= rule.mails);
            }
        }
    }
}
