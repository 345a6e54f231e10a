//! Which copies may go: a law over moments, without a disk or a clock.
//!
//! Everything of the last 48 hours stays, then the newest of each day, week and month, as far as
//! the preset goes. Whatever the preset says, a copy goes only when a newer one has been proven by
//! restoring it; so nothing goes as long as nothing is proven, and the last proven copy never goes.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// For how long everything stays.
pub(crate) const ALL_FOR: SignedDuration = SignedDuration::from_hours(48);

/// How many of the newest of each day, week and month stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    days: usize,
    weeks: usize,
    months: usize,
    name: &'static str,
}

const fn preset(name: &'static str, days: usize, weeks: usize, months: usize) -> Retention {
    Retention {
        days,
        weeks,
        months,
        name,
    }
}

/// What a configuration has that names none.
const USUAL: Retention = preset("7d-4w-6m", 7, 4, 6);
/// The presets by the names in the configuration. Today and this month are no whole ones, so that
/// there is one more than the name says.
const PRESETS: [Retention; 4] = [
    USUAL,
    preset("30d", 31, 0, 0),
    preset("10d", 11, 0, 0),
    preset("5y", 31, 8, 61),
];

impl Retention {
    /// The names of all presets.
    pub fn names() -> Vec<&'static str> {
        PRESETS.iter().map(|preset| preset.name).collect()
    }

    /// The preset of that name.
    pub fn named(name: &str) -> Option<Self> {
        PRESETS.into_iter().find(|preset| preset.name == name)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How old a copy becomes, at most, while newer ones are made.
    pub fn reach(&self) -> SignedDuration {
        let days = self.days.max(self.weeks * 7).max(self.months * 31);
        let hours = i64::try_from(days * 24).unwrap_or(i64::MAX);
        SignedDuration::from_hours(hours).max(ALL_FOR)
    }

    /// Of copies made at these moments (any order), those that may go. `proven` says which were
    /// restored and found equal.
    pub fn may_go(
        &self,
        copies: &[Timestamp],
        proven: impl Fn(Timestamp) -> bool,
        now: Timestamp,
    ) -> Vec<Timestamp> {
        let mut newest_first = copies.to_vec();
        newest_first.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
        let Some(last_proven) = newest_first.iter().copied().find(|at| proven(*at)) else {
            return Vec::new();
        };
        let mut kept = newest_first
            .iter()
            .copied()
            .filter(|at| now.duration_since(*at) <= ALL_FOR)
            .collect::<BTreeSet<_>>();
        kept.extend(newest_of(&newest_first, self.days, |day| {
            (i32::from(day.year()), i32::from(day.day_of_year()))
        }));
        kept.extend(newest_of(&newest_first, self.weeks, |day| {
            let week = day.iso_week_date();
            (i32::from(week.year()), i32::from(week.week()))
        }));
        kept.extend(newest_of(&newest_first, self.months, |day| {
            (i32::from(day.year()), i32::from(day.month()))
        }));
        newest_first.retain(|at| *at < last_proven && !kept.contains(at));
        newest_first
    }
}

impl Default for Retention {
    fn default() -> Self {
        USUAL
    }
}

/// The newest of each of the newest `count` spans that have one.
fn newest_of(
    newest_first: &[Timestamp],
    count: usize,
    span: impl Fn(Date) -> (i32, i32),
) -> Vec<Timestamp> {
    let (mut kept, mut last) = (Vec::new(), None);
    for at in newest_first {
        let this = span(at.to_zoned(TimeZone::UTC).date());
        if last != Some(this) && kept.len() < count {
            kept.push(*at);
        }
        last = Some(this);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> Timestamp {
        "2026-11-26T12:00:00Z".parse().unwrap()
    }

    /// A copy every three hours for so many days, the newest first.
    fn copies(days: i64) -> Vec<Timestamp> {
        let ago = |hours: i64| now() - SignedDuration::from_hours(hours);
        (0..days * 8).map(|n| ago(n * 3)).collect()
    }

    fn kept(preset: &str, days: i64) -> Vec<Timestamp> {
        let (law, copies) = (Retention::named(preset).unwrap(), copies(days));
        let gone = law.may_go(&copies, |_| true, now());
        let gone: BTreeSet<Timestamp> = gone.into_iter().collect();
        copies.into_iter().filter(|at| !gone.contains(at)).collect()
    }

    #[test]
    fn no_copy_that_a_preset_keeps_is_older_than_its_reach() {
        for preset in PRESETS {
            let moments = copies(6 * 366);
            let gone: BTreeSet<Timestamp> = preset
                .may_go(&moments, |_| true, now())
                .into_iter()
                .collect();
            let kept = moments.iter().filter(|at| !gone.contains(at));
            let oldest = now().duration_since(*kept.min().unwrap());
            assert!(oldest <= preset.reach(), "{}: {oldest:?}", preset.name);
            assert!(oldest.as_hours() * 10 > preset.reach().as_hours() * 7);
        }
    }

    #[test]
    fn the_presets_keep_what_the_customers_documents_say() {
        // 48 h are 17 copies of three days; 7 days, 4 weeks and 6 months share the newest ones.
        let usual = kept("7d-4w-6m", 400);
        assert_eq!(usual.len(), 28, "{usual:#?}");
        let oldest = usual.last().unwrap();
        assert_eq!(oldest.to_string(), "2026-06-30T21:00:00Z");
        for (preset, days) in [("30d", 31), ("10d", 11)] {
            let kept = kept(preset, 100);
            assert_eq!(kept.len(), 17 + days - 3);
            let age = now().duration_since(*kept.last().unwrap());
            assert!(age.as_hours() / 24 >= i64::try_from(days).unwrap() - 2);
        }
        let years = kept("5y", 365 * 6);
        let age = now().duration_since(*years.last().unwrap());
        assert!((1_820..1_860).contains(&(age.as_hours() / 24)), "{age:?}");
    }

    #[test]
    fn nothing_goes_while_nothing_is_proven_and_the_last_proven_copy_never_goes() {
        let (law, copies) = (Retention::named("10d").unwrap(), copies(90));
        assert_eq!(law.may_go(&copies, |_| false, now()), []);
        let only = copies[700];
        let gone = law.may_go(&copies, |at| at == only, now());
        assert!(gone.iter().all(|at| *at < only) && !gone.is_empty());
    }

    proptest! {
        #[test]
        fn what_stays_still_stays_when_the_law_is_asked_again(
            hours in proptest::collection::vec(0_i64..20_000, 0..80), proven in 0_usize..80
        ) {
            let copies: Vec<Timestamp> = hours.iter().map(|h| now() - SignedDuration::from_hours(*h)).collect();
            let is_proven = |at: Timestamp| copies.get(proven) == Some(&at);
            for law in PRESETS {
                let gone = law.may_go(&copies, is_proven, now());
                let left: Vec<Timestamp> = copies.iter().copied().filter(|at| !gone.contains(at)).collect();
                prop_assert_eq!(law.may_go(&left, is_proven, now()), vec![]);
                prop_assert_eq!(copies.iter().max(), left.iter().max());
            }
        }
    }
}
