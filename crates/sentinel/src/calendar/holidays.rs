//! Days on which nobody is expected: the official holidays of Mexico, and the customer's own.
//!
//! The Mexican ones are those of article 74 of the Ley Federal del Trabajo, which are days of
//! rest for everybody; days on which only banks or offices close are the customer's to add.
//! A day can also be declared a working day. Nothing here knows weekends: those are the
//! business of opening hours.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Weekday};

/// Which days are holidays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holidays {
    mexican: bool,
    /// One day of one year.
    once: BTreeMap<Date, String>,
    /// Month and day, each year.
    yearly: BTreeMap<(i8, i8), String>,
    working: BTreeSet<Date>,
}

/// A text that names no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no day; write `2026-12-12` for one day or `12-12` for each year, and a name behind it if you like"
)]
pub struct BadHoliday(pub String);

impl Holidays {
    /// No holidays at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// The official holidays of Mexico.
    pub fn mexico() -> Self {
        Self {
            mexican: true,
            ..Self::default()
        }
    }

    /// With one more holiday: `2026-12-12`, or `12-12` for each year, then a name if wanted.
    pub fn with(mut self, text: &str) -> Result<Self, BadHoliday> {
        let bad = || BadHoliday(text.to_owned());
        let text_of_day = text.trim();
        let (day, name) = text_of_day.split_once(' ').unwrap_or((text_of_day, ""));
        let name = name.trim().to_owned();
        if let Ok(date) = day.parse::<Date>() {
            self.once.insert(date, name);
            return Ok(self);
        }
        // A leap year, so that 29 February is a day.
        let date: Date = format!("2000-{day}").parse().map_err(|_| bad())?;
        self.yearly.insert((date.month(), date.day()), name);
        Ok(self)
    }

    /// With a day on which people work whatever the rest says: `2026-05-01`.
    pub fn without(mut self, text: &str) -> Result<Self, BadHoliday> {
        let day = text.trim();
        let date: Date = day.parse().map_err(|_| BadHoliday(text.to_owned()))?;
        self.working.insert(date);
        Ok(self)
    }

    /// Whether people are off on that day.
    pub fn has(&self, date: Date) -> bool {
        self.name(date).is_some()
    }

    /// The holiday's name; empty for one that was added without a name.
    pub fn name(&self, date: Date) -> Option<&str> {
        if self.working.contains(&date) {
            return None;
        }
        let own = self.once.get(&date);
        let own = own.or_else(|| self.yearly.get(&(date.month(), date.day())));
        let mexican = || self.mexican.then(|| mexican(date)).flatten();
        own.map(String::as_str).or_else(mexican)
    }
}

/// The official holiday of Mexico on that day, by the law as it stands since 2006.
fn mexican(date: Date) -> Option<&'static str> {
    match (date.month(), date.day()) {
        (1, 1) => Some("Año Nuevo"),
        (2, _) if is_monday(date, 1) => Some("Día de la Constitución"),
        (3, _) if is_monday(date, 3) => Some("Natalicio de Benito Juárez"),
        (5, 1) => Some("Día del Trabajo"),
        (9, 16) => Some("Día de la Independencia"),
        (10, 1) | (12, 1) if hands_over(date) => Some("Transmisión del Poder Ejecutivo Federal"),
        (11, _) if is_monday(date, 3) => Some("Aniversario de la Revolución"),
        (12, 25) => Some("Navidad"),
        _ => None,
    }
}

/// Whether the date is the n-th Monday of its month.
fn is_monday(date: Date, n: i8) -> bool {
    date.weekday() == Weekday::Monday && (date.day() - 1) / 7 == n - 1
}

/// Whether the presidency changes on that day: every six years, on 1 December up to 2018 and
/// on 1 October from 2024.
fn hands_over(date: Date) -> bool {
    let month = if date.year() < 2024 { 12 } else { 10 };
    date.month() == month && (date.year() - 2018) % 6 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn the_official_holidays_of_mexico_are_those_of_the_law() {
        let mexico = Holidays::mexico();
        let of_year = |year: i16| -> Vec<String> {
            let first = Date::constant(year, 1, 1);
            let days = first.series(jiff::Span::new().days(1));
            let days = days.take_while(|date| date.year() == year);
            days.filter(|date| mexico.has(*date))
                .map(|date| date.to_string())
                .collect()
        };
        assert_eq!(
            of_year(2026),
            [
                "2026-01-01",
                "2026-02-02",
                "2026-03-16",
                "2026-05-01",
                "2026-09-16",
                "2026-11-16",
                "2026-12-25"
            ]
        );
        assert_eq!(
            of_year(2024),
            [
                "2024-01-01",
                "2024-02-05",
                "2024-03-18",
                "2024-05-01",
                "2024-09-16",
                "2024-10-01",
                "2024-11-18",
                "2024-12-25"
            ]
        );
        assert!(of_year(2018).contains(&"2018-12-01".to_owned()));
        assert!(!of_year(2024).contains(&"2024-12-01".to_owned()));
        assert!(of_year(2030).contains(&"2030-10-01".to_owned()));
    }

    #[test]
    fn a_customer_adds_days_and_takes_days_away() {
        let own = Holidays::mexico()
            .with("12-12 Día de la Virgen de Guadalupe")
            .and_then(|own| own.with("2026-04-03"))
            .and_then(|own| own.without("2026-05-01"))
            .unwrap();
        assert_eq!(
            own.name(day("2031-12-12")),
            Some("Día de la Virgen de Guadalupe")
        );
        assert_eq!(own.name(day("2026-04-03")), Some(""));
        assert!(!own.has(day("2027-04-03")));
        assert!(!own.has(day("2026-05-01")));
        assert!(own.has(day("2027-05-01")));
        assert!(!Holidays::none().has(day("2026-12-25")));
    }

    #[test]
    fn what_names_no_day_is_quoted() {
        for text in ["", "Navidad", "13-01", "02-30", "2026-02-29", "2026"] {
            assert_eq!(
                Holidays::none().with(text),
                Err(BadHoliday(text.to_owned()))
            );
        }
        assert!(Holidays::none().with("02-29").is_ok());
        assert!(Holidays::none().without("12-12").is_err());
    }
}
