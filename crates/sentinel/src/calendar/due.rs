//! What a contract allows, and by when that is used up: `480m`, `40 working hours`,
//! `3 business days`.
//!
//! The clock that counts is part of the allowance, so that nobody compares wall minutes with
//! working hours. A deadline is computed once from its start and is an absolute instant.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use super::Calendar;

/// Time that somebody may take, with the clock that counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// By the clock on the wall, around the clock.
    Wall(Duration),
    /// Only while the calendar is open: attention hours, or working hours.
    Open(Duration),
    /// Until the end of the n-th business day after the day of the start, n at least 1.
    BusinessDays(u32),
}

/// A text that is no allowance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no time allowed; write for example `480m`, `3h`, `40 working hours` or `3 business days`"
)]
pub struct BadAllowance(pub String);

/// A start with the instants that follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// When the clock began.
    pub start: Timestamp,
    /// When three quarters of the time are used.
    pub warn: Timestamp,
    /// When all of it is used.
    pub due: Timestamp,
}

impl Calendar {
    /// By when `allowance` is used up, counted from `start`; `None` if the calendar stops
    /// opening before, or the time lies beyond the year 9999.
    pub fn deadline(&self, start: Timestamp, allowance: Allowance) -> Option<Deadline> {
        let due = match allowance {
            Allowance::Wall(time) => start.checked_add(time).ok()?,
            Allowance::Open(time) => self.after_open(start, time)?,
            Allowance::BusinessDays(n) => self.business_day_end(start, n)?,
        };
        let warn = match allowance {
            Allowance::Wall(time) => start.checked_add(time * 3 / 4).ok()?,
            _ => self.after_open(start, self.open_between(start, due) * 3 / 4)?,
        };
        Some(Deadline { start, warn, due })
    }

    /// The time used of an allowance between two instants, by the clock of that allowance.
    pub fn used(&self, allowance: Allowance, start: Timestamp, until: Timestamp) -> Duration {
        match allowance {
            Allowance::Wall(_) => {
                Duration::try_from(until.duration_since(start)).unwrap_or_default()
            }
            _ => self.open_between(start, until),
        }
    }
}

impl FromStr for Allowance {
    type Err = BadAllowance;

    fn from_str(text: &str) -> Result<Self, BadAllowance> {
        let bad = || BadAllowance(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit());
        let (number, words) = trimmed.split_at(digits.unwrap_or(trimmed.len()));
        let number: u32 = number.parse().map_err(|_| bad())?;
        let words: Vec<&str> = words.split_whitespace().collect();
        let (open, unit) = match words.as_slice() {
            [unit] => (false, *unit),
            ["working" | "attention" | "business", unit] => (true, *unit),
            [unit, "laborables" | "hábiles"] => (true, *unit),
            _ => return Err(bad()),
        };
        let seconds = match unit {
            "m" | "min" | "minutes" | "minutos" => 60,
            "h" | "hour" | "hours" | "hora" | "horas" => 3600,
            "d" | "day" | "days" | "día" | "días" => 86_400,
            _ => return Err(bad()),
        };
        if number == 0 {
            return Err(bad());
        }
        let time = Duration::from_secs(u64::from(number) * seconds);
        Ok(match (open, seconds) {
            (true, 86_400) => Self::BusinessDays(number),
            (true, _) => Self::Open(time),
            (false, _) => Self::Wall(time),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Holidays;
    use jiff::tz::TimeZone;

    fn office() -> Calendar {
        let hours = "Mon-Fri 09:00-18:00".parse().unwrap();
        let zone = TimeZone::get("America/Mexico_City").unwrap();
        Calendar::new(hours, Holidays::mexico(), zone)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn due(start: &str, allowance: &str) -> Timestamp {
        let allowance = allowance.parse().unwrap();
        office().deadline(at(start), allowance).unwrap().due
    }

    #[test]
    fn the_terms_of_the_contracts_fall_due_when_a_lawyer_would_say() {
        // A Thursday before the long weekend of Benito Juárez.
        let start = "2026-03-12 16:00-06";
        assert_eq!(due(start, "480m"), at("2026-03-13 00:00-06"));
        assert_eq!(due(start, "480 working minutes"), at("2026-03-13 15:00-06"));
        assert_eq!(due(start, "1 business day"), at("2026-03-13 18:00-06"));
        assert_eq!(due(start, "3 días hábiles"), at("2026-03-18 18:00-06"));
        assert_eq!(due(start, "30 business days"), at("2026-04-24 18:00-06"));
        assert_eq!(due(start, "40 working hours"), at("2026-03-20 11:00-06"));
    }

    #[test]
    fn three_quarters_of_the_time_are_a_warning() {
        let start = at("2026-06-01 09:00-06");
        let of = |allowance: &str| office().deadline(start, allowance.parse().unwrap());
        assert_eq!(of("4h").unwrap().warn, at("2026-06-01 12:00-06"));
        assert_eq!(
            of("8 working hours").unwrap().warn,
            at("2026-06-01 15:00-06")
        );
        // The day itself has 9 hours and the next one 9: three quarters are 13 h 30.
        assert_eq!(
            of("1 business day").unwrap().warn,
            at("2026-06-02 13:30-06")
        );
    }

    #[test]
    fn what_allows_no_time_is_quoted() {
        for text in [
            "",
            "h",
            "0h",
            "3",
            "3 weeks",
            "-3h",
            "3 working",
            "3.5h",
            "40 hours working",
        ] {
            assert_eq!(
                text.parse::<Allowance>(),
                Err(BadAllowance(text.to_owned()))
            );
        }
    }
}
