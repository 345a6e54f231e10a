//! Is it silent? The rule, with its numbers.
//!
//! If events came by pure chance, the odds that none comes while Λ were expected are e^−Λ, and
//! a terminal with N events a year gives about N·e^−Λ false alarms a year: ln N + 1.5 makes
//! that one in four to five years. Less than seven is never enough, more than fourteen never
//! needed. Counts that scatter more than by chance are allowed that margin; beyond it they need
//! more: what the negative binomial distribution of that scatter needs for one false alarm a
//! year. And what is missing must have been there on three of the last four comparable days.
//!
//! Where a rush ends, the next event may not be due for hours, and a clock that failed in it
//! would be found when the next rush begins. So there is a second way to be silent: nearly twice
//! the time has passed in which seven were expected, and a little more than seven were. While events are usual at an
//! even pace fourteen are expected by then, and the first way was quicker. Fewer are expected
//! only after a rush, and a day has few of those: the odds that none comes are taken a thousand
//! times a year and not with each event.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::profile::Profile;
use super::quarters::QUARTERS;
use crate::calendar::Holidays;

/// A terminal is judged by what was learned from this many days after its first event.
pub const LEARNING_DAYS: i32 = 21;
/// Until then: silent after so long without an event, holidays not counted.
pub const FIXED_LIMIT: Duration = Duration::from_secs(72 * 3600);

/// Shorter than this nothing is a silence: events need a moment to reach the database.
const SHORTEST: Duration = Duration::from_secs(120);
/// No more than so many days are added up; what is silent longer has long been noticed.
const LONGEST_DAYS: i64 = 21;
const EXPECTED_LEAST: f64 = 7.0;
const EXPECTED_MOST: f64 = 14.0;
/// The share of twice the time in which so many were expected that must have passed after a
/// rush: less than all of it, because both times are estimated.
const NEARLY_TWICE: f64 = 1.9;
/// So many must have been expected by then, if counts scatter by chance only.
const AFTER_A_RUSH: f64 = 7.5;
/// How much more scatter weighs there than its odds alone: what it is for one weekday and hour
/// is known less well than what it is for all of them.
const SCATTER: f64 = 1.75;
/// Above the logarithm of the events of a year: one false alarm in four to five years.
const MARGIN: f64 = 1.5;
const WEEKS_A_YEAR: f64 = 365.25 / 7.0;
const QUARTER: i64 = 15 * 60;

/// By what a terminal was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// By what is usual at this hour.
    Learned,
    /// By the plain rule for new terminals.
    Fixed,
}

/// A silence, with what makes one say so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Silence {
    /// The last event; none was seen after it.
    pub since: Timestamp,
    /// Events expected since then; of a new terminal nothing is expected yet.
    pub expected: f64,
    /// By which rule.
    pub rule: Rule,
}

/// Whether a terminal whose last event was at `last` is silent at `now`, up to which its feed
/// has been read. `first` is the local day of its first event.
pub fn judge(
    profile: &Profile,
    first: Date,
    zone: &TimeZone,
    holidays: &Holidays,
    last: Timestamp,
    now: Timestamp,
) -> Option<Silence> {
    let quiet = Duration::try_from(now.duration_since(last)).unwrap_or_default();
    if quiet < SHORTEST {
        return None;
    }
    let known_days = (zone.to_datetime(now).date() - first).get_days();
    if known_days < LEARNING_DAYS {
        return fixed(zone, holidays, last, now);
    }
    let usual = usual(profile, zone, holidays, last, now);
    // The rest is dear and seldom needed.
    let silent = usual.expected >= EXPECTED_LEAST
        && usual.came.count_ones() >= 3
        && (usual.expected >= threshold(profile) || is_late(profile, &usual, last, now));
    silent.then_some(Silence {
        since: last,
        expected: usual.expected,
        rule: Rule::Learned,
    })
}

/// Whether nearly twice the time has passed in which seven were expected.
#[allow(clippy::cast_precision_loss, reason = "seconds of some weeks")]
fn is_late(profile: &Profile, usual: &Usual, last: Timestamp, now: Timestamp) -> bool {
    let Some(seven) = usual.seven else {
        return false;
    };
    let since = |at: i64| (at - last.as_second()) as f64;
    let scatter = 1.0 + SCATTER * (widening(profile.dispersion()) - 1.0);
    since(now.as_second()) >= NEARLY_TWICE * since(seven)
        && usual.expected >= AFTER_A_RUSH * scatter
}

/// Events expected from one instant to another; nothing on holidays.
pub fn expected(
    profile: &Profile,
    zone: &TimeZone,
    holidays: &Holidays,
    from: Timestamp,
    to: Timestamp,
) -> f64 {
    usual(profile, zone, holidays, from, to).expected
}

/// How many events must have been expected for none to be a silence.
pub fn threshold(profile: &Profile) -> f64 {
    let odds = (profile.events_a_week() * WEEKS_A_YEAR).max(1.0).ln();
    let by_chance = (odds + MARGIN).clamp(EXPECTED_LEAST, EXPECTED_MOST);
    by_chance.max(odds * widening(profile.dispersion()))
}

/// By how much scatter raises what must be expected. Under a negative binomial distribution
/// with that ratio of variance to mean, none at all has the odds dispersion^(−Λ/(dispersion−1)).
fn widening(dispersion: f64) -> f64 {
    if dispersion < 1.001 {
        return 1.0;
    }
    (dispersion - 1.0) / dispersion.ln()
}

/// The plain rule: no event for [`FIXED_LIMIT`], holidays not counted.
fn fixed(zone: &TimeZone, holidays: &Holidays, last: Timestamp, now: Timestamp) -> Option<Silence> {
    let mut quiet = 0;
    for (date, seconds) in local_days(zone, last, now) {
        if !holidays.has(date) {
            quiet += seconds;
        }
    }
    let limit = i64::try_from(FIXED_LIMIT.as_secs()).ok()?;
    (quiet >= limit).then_some(Silence {
        since: last,
        expected: 0.0,
        rule: Rule::Fixed,
    })
}

/// Each local day between two instants, with its seconds.
fn local_days(zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<(Date, i64)> {
    let mut days = Vec::new();
    let mut at = from;
    while at < to {
        let date = zone.to_datetime(at).date();
        let next = date.tomorrow().and_then(|next| next.to_zoned(zone.clone()));
        let end = next.map_or(to, |next| next.timestamp().min(to));
        days.push((date, end.as_second() - at.as_second()));
        at = end;
    }
    days
}

/// What is usual between two instants.
#[derive(Debug, Default)]
struct Usual {
    expected: f64,
    /// On which of the newest comparable days anything came in the same quarter hours, as bits.
    came: u8,
    /// The second by which seven were expected.
    seven: Option<i64>,
}

impl Usual {
    /// Adds what is expected from one second to another.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "seconds of a quarter hour"
    )]
    fn add(&mut self, from: i64, to: i64, events: f64) {
        let lacking = EXPECTED_LEAST - self.expected;
        self.expected += events;
        if self.seven.is_none() && events > 0.0 && lacking <= events {
            let part = lacking / events * (to - from) as f64;
            self.seven = Some(from + part.ceil() as i64);
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "seconds of a quarter hour")]
fn usual(
    profile: &Profile,
    zone: &TimeZone,
    holidays: &Holidays,
    from: Timestamp,
    to: Timestamp,
) -> Usual {
    let longest = to - (LONGEST_DAYS * 24).hours();
    let mut walk = Walk {
        zone,
        holidays,
        day: None,
    };
    let mut usual = Usual::default();
    let mut at = from.max(longest).as_second();
    let to = to.as_second();
    while at < to {
        // Offsets of today's zones are whole quarters, so a quarter hour of UTC is one there.
        let end = (at - at.rem_euclid(QUARTER) + QUARTER).min(to);
        if let Some((date, quarter)) = walk.quarter(at) {
            let part = (end - at) as f64 / QUARTER as f64;
            let events = part * profile.expected(date.weekday(), quarter);
            usual.add(at, end, events);
            usual.came |= profile.came(date.weekday(), quarter);
        }
        at = end;
    }
    usual
}

/// Local quarter hours, with the local day remembered from one to the next.
struct Walk<'a> {
    zone: &'a TimeZone,
    holidays: &'a Holidays,
    /// The day, where it begins and ends if the offset does not change in it, and whether it
    /// is a holiday.
    day: Option<(Date, i64, i64, bool)>,
}

impl Walk<'_> {
    /// The local day and quarter hour at that second; `None` on a holiday.
    fn quarter(&mut self, at: i64) -> Option<(Date, usize)> {
        let known = self
            .day
            .filter(|(_, from, until, _)| (*from..*until).contains(&at));
        let (date, from, _, off) = match known {
            Some(day) => day,
            None => self.enter(at)?,
        };
        let quarter = usize::try_from((at - from) / QUARTER).ok()?;
        (!off && quarter < QUARTERS).then_some((date, quarter))
    }

    fn enter(&mut self, at: i64) -> Option<(Date, i64, i64, bool)> {
        let now = Timestamp::from_second(at).ok()?;
        let offset = self.zone.to_offset(now);
        let date = offset.to_datetime(now).date();
        let from = offset.to_timestamp(date.at(0, 0, 0, 0)).ok()?.as_second();
        let change = self.zone.following(now).next();
        let change = change.map_or(i64::MAX, |change| change.timestamp().as_second());
        let until = (from + 86_400).min(change);
        let day = (date, from, until, self.holidays.has(date));
        self.day = Some(day);
        Some(day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::silence::Quarters;
    use jiff::civil::Weekday;

    /// Forty punches between 09:00 and 09:15 from Monday to Friday, three in each quarter hour
    /// until 18:00.
    fn office() -> Profile {
        let mut day = Quarters::default();
        day.add(36, 40);
        (37..72).for_each(|quarter| day.add(quarter, 3));
        let mut profile = Profile::default();
        for weekday in Weekday::Monday.cycle_forward().take(5) {
            profile.learn(weekday, &[&day; 4]);
        }
        profile
    }

    fn mexico() -> TimeZone {
        TimeZone::get("America/Mexico_City").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn judged(first: &str, last: &str, now: &str) -> Option<Silence> {
        let (first, holidays) = (first.parse().unwrap(), Holidays::mexico());
        judge(&office(), first, &mexico(), &holidays, at(last), at(now))
    }

    #[test]
    fn a_clock_that_usually_has_forty_punches_by_nine_fifteen_and_has_none_is_silent() {
        let (first, last) = ("2026-01-05", "2026-06-01 18:02-06");
        assert_eq!(judged(first, last, "2026-06-02 09:00-06"), None);
        assert_eq!(judged(first, last, "2026-06-02 09:03-06"), None);
        let silence = judged(first, last, "2026-06-02 09:15-06").unwrap();
        assert_eq!(silence.rule, Rule::Learned);
        assert_eq!(silence.since, at(last));
        assert!((39.0..41.5).contains(&silence.expected), "{silence:?}");
    }

    #[test]
    fn after_a_rush_fewer_are_enough_when_the_time_for_seven_has_passed_twice() {
        let mut day = Quarters::default();
        day.add(36, 80);
        day.add(37, 10);
        let mut profile = Profile::default();
        for weekday in Weekday::Monday.cycle_forward().take(5) {
            profile.learn(weekday, &[&day; 4]);
        }
        let silent = |last: &str, now: &str| {
            let (first, holidays) = ("2026-01-05".parse().unwrap(), Holidays::mexico());
            judge(&profile, first, &mexico(), &holidays, at(last), at(now)).is_some()
        };
        // Ten a quarter hour: seven by 09:25:30. More than ten never come before the next day.
        let last = "2026-06-02 09:15-06";
        assert!(threshold(&profile) > 11.0);
        assert!(!silent(last, "2026-06-02 09:34-06"));
        assert!(silent(last, "2026-06-02 09:36-06"));
        // Of the last seven too few are left, however late it is.
        let last = "2026-06-02 09:19-06";
        assert!(!silent(last, "2026-06-02 23:00-06"));
        // While events are usual at an even pace, the odds alone decide, and are quicker.
        assert!(!silent("2026-06-02 09:00-06", "2026-06-02 09:02:05-06"));
        assert!(silent("2026-06-02 09:00-06", "2026-06-02 09:02:30-06"));
    }

    #[test]
    fn nights_weekends_and_holidays_are_silent_by_right() {
        let first = "2026-01-05";
        assert_eq!(
            judged(first, "2026-05-29 17:59-06", "2026-06-01 09:02-06"),
            None
        );
        // From the Wednesday before to the end of the holiday of 16 September, a Wednesday.
        assert_eq!(
            judged(first, "2026-09-15 17:59-06", "2026-09-17 00:00-06"),
            None
        );
        assert!(judged(first, "2026-09-15 17:59-06", "2026-09-17 09:15-06").is_some());
    }

    #[test]
    fn a_new_terminal_has_a_plain_rule_for_three_weeks() {
        let (first, last) = ("2026-06-01", "2026-06-05 18:00-06");
        assert_eq!(judged(first, last, "2026-06-08 17:59-06"), None);
        let silence = judged(first, last, "2026-06-08 18:00-06").unwrap();
        assert_eq!((silence.rule, silence.expected), (Rule::Fixed, 0.0));
        // A long weekend is one day longer.
        let (first, last) = ("2026-03-10", "2026-03-13 18:00-06");
        assert_eq!(judged(first, last, "2026-03-17 17:59-06"), None);
        assert!(judged(first, last, "2026-03-17 18:00-06").is_some());
    }

    #[test]
    fn a_moment_is_never_a_silence() {
        let last = "2026-06-02 09:05:00-06";
        assert_eq!(judged("2026-01-05", last, "2026-06-02 09:06:59-06"), None);
    }

    #[test]
    fn what_came_on_two_of_four_days_only_is_not_missed() {
        let (mut came, none) = (Quarters::default(), Quarters::default());
        came.add(36, 200);
        let mut profile = Profile::default();
        profile.learn(
            Weekday::Tuesday,
            &[&none, &came, &none, &came, &came, &came],
        );
        let first = "2026-01-05".parse().unwrap();
        let (last, now) = (at("2026-06-01 18:00-06"), at("2026-06-02 10:00-06"));
        assert!(expected(&profile, &mexico(), &Holidays::none(), last, now) > 70.0);
        assert_eq!(
            judge(&profile, first, &mexico(), &Holidays::none(), last, now),
            None
        );
    }

    #[test]
    fn more_events_a_year_and_more_scatter_need_more() {
        let of = |daily: [u32; 8]| {
            let days = daily.map(|events| {
                let mut day = Quarters::default();
                (30..46).for_each(|quarter| day.add(quarter, events / 16));
                day
            });
            let mut profile = Profile::default();
            profile.learn(Weekday::Monday, &days.iter().collect::<Vec<_>>());
            threshold(&profile)
        };
        assert!((of([0; 8]) - EXPECTED_LEAST).abs() < 1e-9);
        let steady = of([48; 8]);
        assert!((9.0..9.8).contains(&steady), "{steady}");
        let wild = of([16, 80, 32, 160, 16, 64, 48, 48]);
        assert!(wild > 1.3 * steady, "{wild}");
        assert!((widening(1.0) - 1.0).abs() < 1e-9 && (widening(1.01) - 1.005).abs() < 1e-3);
    }

    #[test]
    fn an_hour_that_clocks_skip_or_repeat_is_expected_as_often_as_it_happens() {
        let tijuana = TimeZone::get("America/Tijuana").unwrap();
        let mut day = Quarters::default();
        (0..QUARTERS).for_each(|quarter| day.add(quarter, 4));
        let mut profile = Profile::default();
        profile.learn(Weekday::Sunday, &[&day; 4]);
        let of_day = |from: &str, to: &str| {
            expected(&profile, &tijuana, &Holidays::none(), at(from), at(to)).round()
        };
        assert_eq!(of_day("2026-11-01 00:00-07", "2026-11-02 00:00-08"), 400.0);
        assert_eq!(of_day("2026-03-08 00:00-08", "2026-03-09 00:00-07"), 368.0);
    }
}
