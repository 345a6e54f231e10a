//! How a sender writes a time, and what it says.
//!
//! A text with an offset, or a count since 1970, is an instant; one without is a wall time that
//! means something only in a zone. Which zone is the caller's to say; no clock is read here.

use event::{Millis, WallTime};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};

/// Longest text of a time, in bytes.
const TIME_LIMIT: usize = 64;
/// Longest pattern, in bytes.
const PATTERN_LIMIT: usize = 64;

/// How times are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// `2026-11-27T09:00:00Z`, with or without offset, blank or `T`, with or without a fraction.
    Iso,
    /// Seconds since 1970, in UTC, with or without a fraction.
    Seconds,
    /// Milliseconds since 1970, in UTC.
    Millis,
    /// The pattern of `strftime`.
    Pattern(String),
}

/// A form that cannot be read back.
#[derive(Debug)]
pub(crate) struct BadForm;

/// What a time says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A point in time.
    Instant(Millis),
    /// What a clock showed.
    Wall(WallTime),
}

impl Form {
    /// Reads a form, and tries a pattern by writing a time with it and reading that back.
    pub(crate) fn read(text: &str) -> Result<Self, BadForm> {
        match text {
            "iso8601" => return Ok(Self::Iso),
            "epoch_seconds" => return Ok(Self::Seconds),
            "epoch_millis" => return Ok(Self::Millis),
            _ => {}
        }
        if text.len() > PATTERN_LIMIT || !text.contains('%') {
            return Err(BadForm);
        }
        // An afternoon, so that a pattern without AM or PM is found out.
        let sample = jiff::civil::date(2026, 11, 27).at(19, 5, 0, 0);
        let zoned = sample
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map_err(|_| BadForm)?;
        let written = strtime::format(text, &zoned).map_err(|_| BadForm)?;
        let form = Self::Pattern(text.to_owned());
        match form.moment(&written) {
            Some(Moment::Wall(wall)) if wall.to_string() == "2026-11-27 19:05:00" => Ok(form),
            Some(Moment::Instant(at)) if at.0 == zoned.timestamp().as_millisecond() => Ok(form),
            _ => Err(BadForm),
        }
    }

    /// What a text says; `None` when it is no time of this form, or one of no calendar.
    pub(crate) fn moment(&self, text: &str) -> Option<Moment> {
        if text.len() > TIME_LIMIT {
            return None;
        }
        match self {
            Self::Iso => iso(text),
            Self::Seconds => seconds(text),
            Self::Millis => instant(text.parse().ok()?),
            Self::Pattern(pattern) => {
                let parts = strtime::parse(pattern, text).ok()?;
                of_parts(&parts)
            }
        }
    }
}

fn iso(text: &str) -> Option<Moment> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return instant(at.as_millisecond());
    }
    wall(text.parse().ok()?)
}

fn seconds(text: &str) -> Option<Moment> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut millis = 0;
    for place in 0..3 {
        let digit = fraction
            .as_bytes()
            .get(place)
            .map_or(0, |b| i64::from(b - b'0'));
        millis = millis * 10 + digit;
    }
    let whole: i64 = whole.parse().ok().filter(|whole| *whole >= 0)?;
    instant(whole.checked_mul(1_000)?.checked_add(millis)?)
}

fn of_parts(parts: &BrokenDownTime) -> Option<Moment> {
    if parts.offset().is_some() || parts.timestamp().is_some() {
        return instant(parts.to_timestamp().ok()?.as_millisecond());
    }
    wall(parts.to_datetime().ok()?)
}

/// An instant of the years that any terminal shows.
fn instant(millis: i64) -> Option<Moment> {
    let at = Millis(millis);
    WallTime::parse(at.text().get(..19)?.as_bytes())?;
    Some(Moment::Instant(at))
}

fn wall(at: DateTime) -> Option<Moment> {
    let part = |n: i8| u8::try_from(n).ok();
    let wall = WallTime::new(
        u16::try_from(at.year()).ok()?,
        part(at.month())?,
        part(at.day())?,
        part(at.hour())?,
        part(at.minute())?,
        part(at.second())?,
    );
    wall.map(Moment::Wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(form: &str, text: &str) -> Option<String> {
        Some(match Form::read(form).unwrap().moment(text)? {
            Moment::Instant(at) => format!("{}Z", at.text()),
            Moment::Wall(wall) => wall.to_string(),
        })
    }

    #[test]
    fn instants_and_wall_times_are_told_apart() {
        for (form, text, says) in [
            (
                "iso8601",
                "2026-11-27T15:00:00.250Z",
                "2026-11-27 15:00:00.250Z",
            ),
            (
                "iso8601",
                "2026-11-27T09:00:00-06:00",
                "2026-11-27 15:00:00.000Z",
            ),
            ("iso8601", "2026-11-27 09:00:00", "2026-11-27 09:00:00"),
            ("epoch_seconds", "1607397229", "2020-12-08 03:13:49.000Z"),
            ("epoch_seconds", "1607397229.5", "2020-12-08 03:13:49.500Z"),
            ("epoch_millis", "1607397229007", "2020-12-08 03:13:49.007Z"),
            (
                "%d-%m-%Y %H:%M:%S",
                "27-11-2026 09:00:01",
                "2026-11-27 09:00:01",
            ),
            (
                "%d/%m/%y %I:%M %p",
                "27/11/26 07:05 PM",
                "2026-11-27 19:05:00",
            ),
            (
                "%Y%m%d%H%M%S %z",
                "20261127090001 -0600",
                "2026-11-27 15:00:01.000Z",
            ),
        ] {
            assert_eq!(said(form, text).as_deref(), Some(says), "{form} {text}");
        }
    }

    #[test]
    fn what_is_no_time_or_of_no_calendar_says_nothing() {
        for (form, text) in [
            ("iso8601", "2026-02-30 09:00:00"),
            ("iso8601", "yesterday"),
            ("iso8601", "0001-01-01T00:00:00Z"),
            ("epoch_seconds", "-1"),
            ("epoch_seconds", "99999999999999999999"),
            ("epoch_seconds", "12.x"),
            ("epoch_millis", "9223372036854775807"),
            ("%d/%m/%Y %H:%M", "31/02/2026 10:00"),
        ] {
            assert_eq!(said(form, text), None, "{form} {text}");
        }
    }

    #[test]
    fn a_pattern_that_loses_the_day_or_the_afternoon_is_refused() {
        for form in [
            "",
            "iso",
            "%H:%M",
            "%Y-%m-%d",
            "%d/%m/%Y %I:%M:%S",
            "%",
            "%Q",
            "x",
        ] {
            assert!(Form::read(form).is_err(), "{form}");
        }
    }
}
