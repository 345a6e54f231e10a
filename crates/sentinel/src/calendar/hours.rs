//! Weekly opening hours, as people write them: `Mon-Sun 09:00-18:30`.
//!
//! The text is a list of ranges, separated by commas or semicolons; each range belongs to the
//! days named before it. English and Spanish names of days are understood, `always` means
//! around the clock. What cannot be read is an error that quotes the piece; nothing is guessed.

use std::str::FromStr;

use jiff::civil::Weekday;

/// Minutes of a day that has 24 hours.
pub(super) const DAY: u16 = 24 * 60;

/// Names of the days, Monday first: three letters are enough.
const NAMES: [[&str; 2]; 7] = [
    ["mon", "lun"],
    ["tue", "mar"],
    ["wed", "mie"],
    ["thu", "jue"],
    ["fri", "vie"],
    ["sat", "sab"],
    ["sun", "dom"],
];

/// Opening hours of a week, by the wall clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// For each day, Monday first: ranges `[from, until)` in minutes of the day, in order,
    /// neither touching nor overlapping.
    week: [Vec<(u16, u16)>; 7],
}

/// A text that is no opening hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{piece}`: {why}; write for example `Mon-Fri 09:00-14:00, 15:00-18:30; Sat 09:00-13:00`")]
pub struct BadHours {
    /// The piece that cannot be read.
    pub piece: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Hours {
    /// Around the clock, every day.
    pub fn always() -> Self {
        Self {
            week: std::array::from_fn(|_| vec![(0, DAY)]),
        }
    }

    /// The open ranges of that day of the week: minutes of the day, `[from, until)`, in order.
    pub fn on(&self, day: Weekday) -> &[(u16, u16)] {
        let index = usize::from(day.to_monday_zero_offset().unsigned_abs());
        self.week.get(index).map_or(&[], Vec::as_slice)
    }

    /// Whether that minute of that day of the week is open.
    pub(super) fn has(&self, day: Weekday, minute: u16) -> bool {
        let ranges = self.on(day);
        ranges
            .iter()
            .any(|&(from, until)| (from..until).contains(&minute))
    }

    /// Adds `from` to `until` on each of the days; a range that ends before it begins goes on
    /// over midnight.
    fn add(&mut self, days: &[usize], from: u16, until: u16) {
        for &day in days {
            if from < until {
                self.add_on(day, from, until);
            } else {
                self.add_on(day, from, DAY);
                self.add_on((day + 1) % 7, 0, until);
            }
        }
    }

    fn add_on(&mut self, day: usize, from: u16, until: u16) {
        if let Some(ranges) = self.week.get_mut(day)
            && from < until
        {
            ranges.push((from, until));
            *ranges = merged(std::mem::take(ranges));
        }
    }
}

impl FromStr for Hours {
    type Err = BadHours;

    fn from_str(text: &str) -> Result<Self, BadHours> {
        if ["always", "siempre"].contains(&text.trim()) {
            return Ok(Self::always());
        }
        let mut hours = Self {
            week: Default::default(),
        };
        let mut days: Vec<usize> = Vec::new();
        let mut days_wait = false;
        for piece in text.split([',', ';']).map(str::trim) {
            let bad = |why| BadHours {
                piece: piece.to_owned(),
                why,
            };
            let range_at = piece.find(|c: char| c.is_ascii_digit());
            let (named, range) = piece.split_at(range_at.unwrap_or(piece.len()));
            if !named.trim().is_empty() {
                if !days_wait {
                    days.clear();
                }
                days.extend(days_named(named).map_err(bad)?);
                days_wait = range.is_empty();
            }
            if range.is_empty() {
                if named.trim().is_empty() {
                    return Err(bad("a range is missing"));
                }
                continue;
            }
            if days.is_empty() {
                return Err(bad("a day is missing before the first range"));
            }
            let (from, until) = range_of(range).map_err(bad)?;
            hours.add(&days, from, until);
        }
        if days_wait {
            return Err(BadHours {
                piece: text.trim().to_owned(),
                why: "the last day has no range",
            });
        }
        Ok(hours)
    }
}

/// Ranges in order, those that touch or overlap made one.
fn merged(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
    for (from, until) in ranges {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ => merged.push((from, until)),
        }
    }
    merged
}

/// `Mon`, or `Mon-Fri`, which may go over the end of the week.
fn days_named(text: &str) -> Result<Vec<usize>, &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (day_named(first)?, day_named(last)?);
    let count = (last + 7 - first) % 7;
    Ok((0..=count).map(|step| (first + step) % 7).collect())
}

fn day_named(name: &str) -> Result<usize, &'static str> {
    let name = name
        .trim()
        .to_lowercase()
        .replace('á', "a")
        .replace('é', "e");
    let known = |names: &[&str; 2]| names.iter().any(|known| name.starts_with(known));
    NAMES.iter().position(known).ok_or("no day of the week")
}

/// `09:00-18:30` in minutes of the day.
fn range_of(text: &str) -> Result<(u16, u16), &'static str> {
    let (from, until) = text.split_once('-').ok_or("no range of hours")?;
    let (from, until) = (minute_of(from)?, minute_of(until)?);
    if from == until || from == DAY {
        return Err("a range that holds nothing; around the clock is 00:00-24:00");
    }
    Ok((from, until))
}

/// `09:00`, `9:00` or `24:00` in minutes of the day.
fn minute_of(text: &str) -> Result<u16, &'static str> {
    const WHY: &str = "no time of day";
    let (hour, minute) = text.trim().split_once(':').ok_or(WHY)?;
    if hour.is_empty() || hour.len() > 2 || minute.len() != 2 {
        return Err(WHY);
    }
    let hour: u16 = hour.parse().map_err(|_| WHY)?;
    let minute: u16 = minute.parse().map_err(|_| WHY)?;
    let at = hour * 60 + minute;
    if minute > 59 || at > DAY {
        Err(WHY)
    } else {
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Hours {
        text.parse().unwrap()
    }

    #[test]
    fn the_customers_own_hours_are_read() {
        let hours = read("Mon-Sun 09:00-18:30");
        assert_eq!(hours.on(Weekday::Monday), [(540, 1110)]);
        assert_eq!(hours.on(Weekday::Sunday), [(540, 1110)]);
        assert_eq!(read("lun-dom 9:00-18:30"), hours);
        assert_eq!(read("lunes-domingo 09:00-18:30"), hours);
    }

    #[test]
    fn several_ranges_and_several_days_are_read() {
        let hours = read("Mon-Wed, Fri 09:00-14:00, 15:00-18:30; Sáb 09:00-13:00");
        assert_eq!(hours.on(Weekday::Tuesday), [(540, 840), (900, 1110)]);
        assert_eq!(hours.on(Weekday::Friday), [(540, 840), (900, 1110)]);
        assert_eq!(hours.on(Weekday::Saturday), [(540, 780)]);
        assert!(hours.on(Weekday::Thursday).is_empty());
        assert!(hours.on(Weekday::Sunday).is_empty());
    }

    #[test]
    fn a_night_shift_goes_on_over_midnight_and_over_the_week() {
        let hours = read("Sun 22:00-06:00");
        assert_eq!(hours.on(Weekday::Sunday), [(1320, 1440)]);
        assert_eq!(hours.on(Weekday::Monday), [(0, 360)]);
        assert_eq!(read("Sat-Mon 00:00-24:00").on(Weekday::Sunday), [(0, 1440)]);
    }

    #[test]
    fn ranges_that_touch_or_overlap_are_one() {
        let hours = read("Mon 12:00-14:00, 09:00-12:00, 11:00-13:00");
        assert_eq!(hours.on(Weekday::Monday), [(540, 840)]);
    }

    #[test]
    fn what_cannot_be_read_is_quoted() {
        for (text, piece) in [
            ("", ""),
            ("09:00-18:00", "09:00-18:00"),
            ("Mon 09:00", "Mon 09:00"),
            ("Mon 09:00-25:00", "Mon 09:00-25:00"),
            ("Mon 09:60-10:00", "Mon 09:60-10:00"),
            ("Mon 09:00-09:00", "Mon 09:00-09:00"),
            ("Mon 24:00-02:00", "Mon 24:00-02:00"),
            ("Foo 09:00-18:00", "Foo 09:00-18:00"),
            ("Mon 09:00-18:00, ", ""),
            ("Mon 09:00-18:00; Tue", "Mon 09:00-18:00; Tue"),
            ("Mon 0a9:00-18:00", "Mon 0a9:00-18:00"),
        ] {
            let error = text.parse::<Hours>().expect_err(text);
            assert_eq!(error.piece, piece, "{text}");
        }
    }
}
