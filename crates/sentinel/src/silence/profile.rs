//! What is usual for a terminal, by weekday and quarter hour, in about a kilobyte.
//!
//! For each quarter hour of a weekday: the mean over the newest comparable days, a single
//! outrageous value cut down to what chance could do; and for the newest four of them, whether
//! anything came at all. Weekdays that differ by no more than chance share their means, which
//! makes five times as many days of most offices. Besides, how much more than by chance the
//! counts scatter from day to day (attendance, people who arrive together), measured over
//! stretches of about seven events, because that is the scale on which a silence is judged.

use jiff::civil::{Date, Weekday};

use super::quarters::{QUARTERS, Quarters};
use crate::calendar::Holidays;

/// From so many of the newest comparable days a weekday is learned.
const DAYS_MOST: usize = 8;
/// A quarter hour with fewer comparable days keeps what was known of it.
const DAYS_LEAST: usize = 3;
/// Of so many newest comparable days it is remembered whether anything came.
const REMEMBERED: usize = 4;
/// Expected events of a stretch over which scatter is measured.
const STRETCH: f64 = 7.0;
/// Longest stretch for which scatter is needed. Of a rush that brings more in one quarter hour
/// only that part of its scatter counts: what varies from day to day grows with the number.
const JUDGED: f64 = 14.0;
/// With so many comparisons, half of the scatter that is measured is believed.
const DOUBT: f64 = 20.0;
/// Weekdays whose counts differ more than so many times what chance, and the scatter that they
/// are known to have, make of equal ones are not alike.
const UNLIKE: f64 = 2.0;
/// Scatter beyond this is not believed; a terminal like that is judged very late as it is.
const DISPERSION_MOST: f64 = 10.0;
/// The version of what [`Profile::to_bytes`] writes.
const VERSION: u8 = 1;
/// Bytes of one weekday when written.
const WEEKDAY_BYTES: usize = 2 * QUARTERS + 13;

/// The days from which that weekday is learned, the newest first: of that weekday, no
/// holidays, before `today`, and not before the terminal's first day.
pub fn comparable(
    weekday: Weekday,
    first: Date,
    today: Date,
    holidays: &Holidays,
) -> impl Iterator<Item = Date> {
    let back = today.series(jiff::Span::new().days(-1)).skip(1);
    back.take_while(move |day| *day >= first)
        .filter(move |day| day.weekday() == weekday && !holidays.has(*day))
}

/// What is usual on each day of the week.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Monday first.
    week: [UsualDay; 7],
    /// For each weekday, as bits, Monday lowest: the weekdays that are like it, itself included.
    alike: [u8; 7],
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            week: Default::default(),
            alike: std::array::from_fn(|day| 1 << day),
        }
    }
}

/// One weekday.
#[derive(Debug, Clone, PartialEq)]
struct UsualDay {
    /// Expected events, as [`shrink`] writes them.
    expected: [u8; QUARTERS],
    /// One bit for each of the newest comparable days, the newest lowest: something came.
    came: [u8; QUARTERS],
    /// Sum of squared differences from the mean, over stretches.
    squares: f32,
    /// Sum of the means of the same stretches.
    means: f32,
    /// Comparisons that the two rest on.
    freedom: f32,
    /// Days of which `expected` is the mean, at most eight.
    days: u8,
}

impl Default for UsualDay {
    fn default() -> Self {
        Self {
            expected: [0; QUARTERS],
            came: [0; QUARTERS],
            squares: 0.0,
            means: 0.0,
            freedom: 0.0,
            days: 0,
        }
    }
}

impl Profile {
    /// Learns one weekday from its comparable days, the newest first. Quarter hours that have
    /// fewer than three keep what was known of them.
    pub fn learn(&mut self, weekday: Weekday, days: &[&Quarters]) {
        if let Some(usual) = self.week.get_mut(index(weekday)) {
            usual.learn(days);
            self.compare(index(weekday));
        }
    }

    /// Events expected in that quarter hour of that weekday: the mean over the weekdays that
    /// are like it.
    pub fn expected(&self, weekday: Weekday, quarter: usize) -> f64 {
        let alike = self.alike.get(index(weekday)).copied().unwrap_or_default();
        let days = self
            .week
            .iter()
            .enumerate()
            .filter(|(day, _)| alike & (1 << day) != 0);
        let (sum, count) = days.fold((0.0, 0.0), |(sum, count), (_, usual)| {
            let weight = f64::from(usual.days);
            (sum + weight * usual.expected(quarter), count + weight)
        });
        if count > 0.0 { sum / count } else { 0.0 }
    }

    /// Finds out which weekdays are like that one.
    fn compare(&mut self, day: usize) {
        let scatter = self.dispersion();
        let Some(usual) = self.week.get(day) else {
            return;
        };
        let mut row = 0;
        for (other, (it, alike)) in self.week.iter().zip(&mut self.alike).enumerate() {
            let like = u8::from(other == day || usual.is_like(it, scatter));
            *alike = *alike & !(1 << day) | like << day;
            row |= like << other;
        }
        if let Some(alike) = self.alike.get_mut(day) {
            *alike = row;
        }
    }

    /// On which of the newest four comparable days something came in that quarter hour, as
    /// bits, the newest lowest.
    pub fn came(&self, weekday: Weekday, quarter: usize) -> u8 {
        let usual = self.week.get(index(weekday));
        let came = usual.and_then(|usual| usual.came.get(quarter));
        came.copied().unwrap_or_default()
    }

    /// Events expected in a week without holidays.
    pub fn events_a_week(&self) -> f64 {
        let day = |usual: &UsualDay| usual.expected.iter().map(|small| grow(*small)).sum::<f64>();
        self.week.iter().map(day).sum()
    }

    /// Variance of the counts over their mean, 1 (pure chance) to 10.
    pub fn dispersion(&self) -> f64 {
        let sum = |of: fn(&UsualDay) -> f32| f64::from(self.week.iter().map(of).sum::<f32>());
        let (squares, means) = (sum(|usual| usual.squares), sum(|usual| usual.means));
        if means <= 0.0 {
            return 1.0;
        }
        let freedom = sum(|usual| usual.freedom);
        let believed = freedom / (freedom + DOUBT);
        let dispersion = 1.0 + (squares / means - 1.0) * believed;
        dispersion.clamp(1.0, DISPERSION_MOST)
    }

    /// The profile as bytes, about 1,400 of them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for usual in &self.week {
            bytes.extend(usual.expected);
            bytes.extend(usual.came);
            bytes.extend(usual.squares.to_le_bytes());
            bytes.extend(usual.means.to_le_bytes());
            bytes.extend(usual.freedom.to_le_bytes());
            bytes.push(usual.days);
        }
        bytes
    }

    /// Reads what [`Profile::to_bytes`] wrote; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, days) = bytes.split_first()? else {
            return None;
        };
        if days.len() != 7 * WEEKDAY_BYTES {
            return None;
        }
        let mut profile = Self::default();
        for (usual, bytes) in profile.week.iter_mut().zip(days.chunks(WEEKDAY_BYTES)) {
            *usual = UsualDay::from_bytes(bytes)?;
        }
        (0..7).for_each(|day| profile.compare(day));
        Some(profile)
    }
}

impl UsualDay {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (expected, bytes) = bytes.split_first_chunk()?;
        let (came, bytes) = bytes.split_first_chunk()?;
        let (squares, bytes) = bytes.split_first_chunk()?;
        let (means, bytes) = bytes.split_first_chunk()?;
        let (freedom, bytes) = bytes.split_first_chunk()?;
        let number = |bytes: [u8; 4]| Some(f32::from_le_bytes(bytes)).filter(|n| n.is_finite());
        Some(Self {
            expected: *expected,
            came: *came,
            squares: number(*squares)?,
            means: number(*means)?,
            freedom: number(*freedom)?,
            days: *bytes.first()?,
        })
    }

    fn expected(&self, quarter: usize) -> f64 {
        self.expected.get(quarter).map_or(0.0, |small| grow(*small))
    }

    /// Whether two weekdays differ by no more than chance and their scatter: their expected
    /// events are compared over stretches of about seven.
    fn is_like(&self, other: &Self, scatter: f64) -> bool {
        let (days, others) = (f64::from(self.days), f64::from(other.days));
        if days == 0.0 || others == 0.0 {
            return false;
        }
        let (mut one, mut two, mut differs, mut stretches) = (0.0, 0.0, 0.0, 0.0);
        for quarter in 0..QUARTERS {
            one += self.expected(quarter);
            two += other.expected(quarter);
            if one + two >= 2.0 * STRETCH || (quarter + 1 == QUARTERS && one + two > 0.0) {
                let by_chance = (one + two) / 2.0 * (1.0 / days + 1.0 / others);
                differs += f64::powi(one - two, 2) / by_chance;
                stretches += 1.0;
                (one, two) = (0.0, 0.0);
            }
        }
        differs <= UNLIKE * scatter * stretches
    }

    fn learn(&mut self, days: &[&Quarters]) {
        for (quarter, (expected, came)) in self.expected.iter_mut().zip(&mut self.came).enumerate()
        {
            let clean = days.iter().filter(|day| !day.is_spoiled(quarter));
            let counts: Vec<u16> = clean
                .map(|day| day.count(quarter))
                .take(DAYS_MOST)
                .collect();
            if counts.len() < DAYS_LEAST {
                continue;
            }
            *expected = shrink(robust_mean(&counts));
            let newest = counts.iter().take(REMEMBERED).enumerate();
            *came = newest.fold(0, |bits, (n, count)| bits | (u8::from(*count > 0) << n));
        }
        self.days = u8::try_from(days.len().min(DAYS_MOST)).unwrap_or_default();
        self.measure_scatter(days);
    }

    /// Cuts the day into stretches of about seven expected events and compares each day's
    /// counts with their mean.
    fn measure_scatter(&mut self, days: &[&Quarters]) {
        (self.squares, self.means, self.freedom) = (0.0, 0.0, 0.0);
        let (mut from, mut inside) = (0, 0.0);
        for quarter in 0..QUARTERS {
            inside += self.expected(quarter);
            let last = quarter + 1 == QUARTERS && inside >= 1.0;
            if inside >= STRETCH || last {
                self.measure_stretch(days, from, quarter + 1);
                (from, inside) = (quarter + 1, 0.0);
            }
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "sums of counts keep their meaning"
    )]
    fn measure_stretch(&mut self, days: &[&Quarters], from: usize, until: usize) {
        let clean = |day: &&&Quarters| !(from..until).any(|quarter| day.is_spoiled(quarter));
        let sum = |day: &&Quarters| {
            let counts = (from..until).map(|quarter| f64::from(day.count(quarter)));
            counts.sum::<f64>()
        };
        let sums: Vec<f64> = days.iter().filter(clean).take(DAYS_MOST).map(sum).collect();
        if sums.len() < DAYS_LEAST {
            return;
        }
        let n = sums.len() as f64;
        let mean = sums.iter().sum::<f64>() / n;
        let squares: f64 = sums.iter().map(|sum| (sum - mean).powi(2)).sum();
        // Less one, because the mean is taken from the same days.
        let beyond_chance = squares / (n - 1.0) - mean;
        self.squares += (mean + beyond_chance * (JUDGED / mean.max(1.0)).min(1.0)) as f32;
        self.means += mean as f32;
        self.freedom += (n - 1.0) as f32;
    }
}

fn index(weekday: Weekday) -> usize {
    usize::from(weekday.to_monday_zero_offset().unsigned_abs())
}

/// The mean of counts, each cut down to what chance could make of their median.
fn robust_mean(counts: &[u16]) -> f64 {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let median = f64::from(sorted.get(sorted.len() / 2).copied().unwrap_or_default());
    let most = median + 3.0 * (median + 1.0).sqrt();
    let sum: f64 = counts.iter().map(|count| f64::from(*count).min(most)).sum();
    sum / f64::from(u32::try_from(counts.len().max(1)).unwrap_or(u32::MAX))
}

/// A number of expected events in one byte: fine for small ones, up to 254.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a byte"
)]
fn shrink(expected: f64) -> u8 {
    (expected.sqrt() * 16.0).round().clamp(0.0, 255.0) as u8
}

fn grow(small: u8) -> f64 {
    (f64::from(small) / 16.0).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(counts: &[(usize, u32)]) -> Quarters {
        let mut day = Quarters::default();
        for (quarter, events) in counts {
            day.add(*quarter, *events);
        }
        day
    }

    fn learned(days: &[Quarters]) -> Profile {
        let mut profile = Profile::default();
        profile.learn(Weekday::Tuesday, &days.iter().collect::<Vec<_>>());
        profile
    }

    #[test]
    fn what_is_usual_is_the_mean_of_comparable_days() {
        let days = [38, 42, 40, 44].map(|events| day(&[(36, events)]));
        let profile = learned(&days);
        let expected = profile.expected(Weekday::Tuesday, 36);
        assert!((expected - 41.0).abs() < 0.5, "{expected}");
        assert_eq!(profile.came(Weekday::Tuesday, 36), 0b1111);
        assert_eq!(profile.expected(Weekday::Monday, 36), 0.0);
        assert_eq!(profile.expected(Weekday::Tuesday, 37), 0.0);
        assert!((profile.events_a_week() - expected).abs() < 1e-9);
    }

    #[test]
    fn one_outrageous_day_does_not_raise_what_is_usual() {
        let days = [2, 3, 400, 3, 2].map(|events| day(&[(36, events)]));
        let expected = learned(&days).expected(Weekday::Tuesday, 36);
        assert!((2.0..4.5).contains(&expected), "{expected}");
    }

    #[test]
    fn spoiled_quarters_are_not_learned_from_and_keep_what_was_known() {
        let good = [40, 40, 40, 40].map(|events| day(&[(36, events)]));
        let mut profile = learned(&good);
        let known = profile.expected(Weekday::Tuesday, 36);
        let mut silent = Quarters::default();
        silent.spoil(30, 50);
        let mut newer = vec![silent; 6];
        profile.learn(Weekday::Tuesday, &newer.iter().collect::<Vec<_>>());
        assert_eq!(profile.expected(Weekday::Tuesday, 36), known);
        newer.extend(good);
        profile.learn(Weekday::Tuesday, &newer.iter().collect::<Vec<_>>());
        assert_eq!(profile.expected(Weekday::Tuesday, 36), known);
        assert_eq!(profile.came(Weekday::Tuesday, 36), 0b1111);
    }

    #[test]
    fn weekdays_that_differ_by_chance_only_are_one() {
        let of = |events: [u32; 4]| events.map(|events| day(&[(36, events), (60, 2 * events)]));
        let mut profile = Profile::default();
        for (weekday, days) in [
            (Weekday::Monday, of([38, 42, 40, 44])),
            (Weekday::Tuesday, of([41, 37, 45, 43])),
            (Weekday::Saturday, of([9, 12, 10, 11])),
        ] {
            profile.learn(weekday, &days.iter().collect::<Vec<_>>());
        }
        let monday = profile.expected(Weekday::Monday, 36);
        assert_eq!(monday, profile.expected(Weekday::Tuesday, 36));
        assert!((monday - 41.25).abs() < 0.5, "{monday}");
        let saturday = profile.expected(Weekday::Saturday, 36);
        assert!((saturday - 10.5).abs() < 0.3, "{saturday}");
        assert_eq!(profile.expected(Weekday::Sunday, 36), 0.0);
    }

    #[test]
    fn attendance_that_varies_from_day_to_day_is_measured() {
        let all_day = |events: u32| {
            let quarters: Vec<_> = (32..64).map(|quarter| (quarter, events)).collect();
            day(&quarters)
        };
        let steady = [10, 9, 11, 10, 10, 9, 11, 10].map(all_day);
        assert_eq!(learned(&steady).dispersion(), 1.0);
        let wild = [2, 20, 6, 14, 1, 25, 9, 3].map(all_day);
        let dispersion = learned(&wild).dispersion();
        assert!((5.0..=10.0).contains(&dispersion), "{dispersion}");
        // Of one stretch only half is believed.
        let little = learned(&[2, 20, 6, 14, 1, 25, 9, 3].map(|events| day(&[(36, events)])));
        assert!(little.dispersion() < dispersion / 2.0);
    }

    #[test]
    fn holidays_and_days_before_the_first_are_not_comparable() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        // The Monday of 16 March 2026 is a holiday.
        let (first, today, mexico) = (day("2026-03-01"), day("2026-03-30"), Holidays::mexico());
        let days = comparable(Weekday::Monday, first, today, &mexico);
        let days: Vec<String> = days.map(|day| day.to_string()).collect();
        assert_eq!(days, ["2026-03-23", "2026-03-09", "2026-03-02"]);
    }

    #[test]
    fn a_profile_is_written_and_read_back_and_nothing_else_is() {
        let days = [2, 20, 6, 14].map(|events| day(&[(36, events), (80, 3)]));
        let profile = learned(&days);
        let bytes = profile.to_bytes();
        assert_eq!(bytes.len(), 1 + 7 * WEEKDAY_BYTES);
        assert!(Profile::from_bytes(&bytes) == Some(profile));
        assert_eq!(Profile::from_bytes(&bytes[1..]), None);
        assert_eq!(Profile::from_bytes(&bytes[..900]), None);
        assert_eq!(Profile::from_bytes(&[]), None);
    }
}
