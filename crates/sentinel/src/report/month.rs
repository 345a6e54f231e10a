//! A month of the calendar: `2026-03`, its days and the instants that bound it.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::Period;

/// A month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(Date);

/// A text that is no month.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no month; write for example `2026-03`")]
pub struct BadMonth(pub String);

impl FromStr for Month {
    type Err = BadMonth;

    fn from_str(text: &str) -> Result<Self, BadMonth> {
        let bad = || BadMonth(text.to_owned());
        if text.len() != 7 {
            return Err(bad());
        }
        let first: Date = format!("{text}-01").parse().map_err(|_| bad())?;
        Ok(Self(first))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl Month {
    /// The month in which that day lies.
    pub fn of(day: Date) -> Self {
        Self(day.first_of_month())
    }

    /// The month before.
    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.yesterday().map_or(self.0, Date::first_of_month))
    }

    /// Its first day.
    pub fn first(self) -> Date {
        self.0
    }

    /// Its last day.
    pub fn last(self) -> Date {
        self.0.last_of_month()
    }

    /// Its days in order.
    pub fn days(self) -> impl Iterator<Item = Date> {
        let last = self.last();
        let days = self.0.series(Span::new().days(1));
        days.take_while(move |day| *day <= last)
    }

    /// The month as it is bounded in a zone, cut at the present minute; `None` for one that has not
    /// begun.
    pub fn period(self, zone: TimeZone, now: Timestamp) -> Option<Period> {
        let start = |day: Date| day.to_zoned(zone.clone()).map(|day| day.timestamp());
        let from = start(self.0).ok()?;
        let end = start(self.last().tomorrow().ok()?).ok()?;
        let minute = now.as_second() - now.as_second().rem_euclid(60);
        let until = end.min(Timestamp::from_second(minute).ok()?);
        (from < until).then_some(Period {
            month: self,
            from,
            until,
            running: now < end,
            zone,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_read_and_bounded_in_its_zone() {
        let month: Month = "2026-02".parse().unwrap();
        assert_eq!(month.to_string(), "2026-02");
        assert_eq!(month.before().to_string(), "2026-01");
        assert_eq!(
            "2026-01".parse::<Month>().unwrap().before().to_string(),
            "2025-12"
        );
        assert_eq!(month.days().count(), 28);
        let zone = TimeZone::get("America/Mexico_City").unwrap();
        let now: Timestamp = "2026-02-10T12:00:00Z".parse().unwrap();
        let period = month.period(zone.clone(), now).unwrap();
        assert_eq!(period.from.to_string(), "2026-02-01T06:00:00Z");
        assert_eq!((period.until, period.running), (now, true));
        let later: Timestamp = "2026-03-10T12:00:00Z".parse().unwrap();
        let period = month.period(zone.clone(), later).unwrap();
        assert_eq!(period.until.to_string(), "2026-03-01T06:00:00Z");
        assert!(!period.running);
        assert_eq!("2026-03".parse::<Month>().unwrap().period(zone, now), None);
        for bad in ["", "2026", "2026-13", "2026-3", "2026-03-01", "marzo"] {
            assert!(bad.parse::<Month>().is_err(), "{bad}");
        }
    }
}
