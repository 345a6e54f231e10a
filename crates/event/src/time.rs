//! Times: what the terminal's clock said, the zone it stands in, and the UTC that makes.
//!
//! The claim is kept: a [`WallTime`] is the terminal's own statement and is never corrected.
//! [`Zone::resolve`] maps it to UTC and says when that is uncertain (an hour that happens
//! twice or not at all). Nothing here reads a clock; "now" is always an argument.

use std::fmt;
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// A point in time: milliseconds since 1970-01-01 00:00:00 UTC, without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Millis(pub i64);

impl Millis {
    /// `YYYY-MM-DD HH:MM:SS.mmm` in UTC, as both databases take it. Times outside the years
    /// 1 to 9999 are clamped to that range.
    pub fn text(self) -> String {
        let at = self.timestamp().to_zoned(TimeZone::UTC).datetime();
        format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        )
    }

    /// Reads what [`Millis::text`] writes; the fraction may be missing or longer.
    pub fn parse(text: &str) -> Option<Self> {
        let at: DateTime = text.parse().ok()?;
        Some(Self(
            at.to_zoned(TimeZone::UTC)
                .ok()?
                .timestamp()
                .as_millisecond(),
        ))
    }

    /// The same instant for jiff, clamped to the years 1 to 9999.
    pub fn timestamp(self) -> jiff::Timestamp {
        const FIRST: i64 = -62_135_596_800_000;
        const LAST: i64 = 253_402_207_200_000;
        jiff::Timestamp::from_millisecond(self.0.clamp(FIRST, LAST)).unwrap_or_default()
    }
}

/// What a terminal's clock showed, to the second, without a zone: a valid date and time of
/// the years 1970 to 2199.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WallTime {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
}

impl WallTime {
    /// Checks the parts. `None` for dates that no calendar has (30 February), hours of 24 and
    /// more, seconds of 60 and more, or years outside 1970 to 2199.
    pub fn new(year: u16, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> Option<Self> {
        if !(1970..=2199).contains(&year) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        if day == 0 || day > days_in_month(year, month)? {
            return None;
        }
        Some(Self {
            year: i16::try_from(year).ok()?,
            month: i8::try_from(month).ok()?,
            day: i8::try_from(day).ok()?,
            hour: i8::try_from(hour).ok()?,
            minute: i8::try_from(minute).ok()?,
            second: i8::try_from(second).ok()?,
        })
    }

    /// Reads exactly `YYYY-MM-DD hh:mm:ss`, with a blank or a `T` between date and time.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; 19] = text.try_into().ok()?;
        let [
            y1,
            y2,
            y3,
            y4,
            b'-',
            m1,
            m2,
            b'-',
            d1,
            d2,
            b' ' | b'T',
            h1,
            h2,
            b':',
            n1,
            n2,
            b':',
            s1,
            s2,
        ] = *text
        else {
            return None;
        };
        let year = u16::from(two(y1, y2)?) * 100 + u16::from(two(y3, y4)?);
        Self::new(
            year,
            two(m1, m2)?,
            two(d1, d2)?,
            two(h1, h2)?,
            two(n1, n2)?,
            two(s1, s2)?,
        )
    }

    /// `YYYY-MM-DD hh:mm:ss`, always 19 ASCII bytes.
    pub fn text(&self) -> [u8; 19] {
        let year = self.year.unsigned_abs();
        let mut out = *b"0000-00-00 00:00:00";
        put(&mut out, 0, year / 100);
        put(&mut out, 2, year % 100);
        let rest = [
            (5, self.month),
            (8, self.day),
            (11, self.hour),
            (14, self.minute),
            (17, self.second),
        ];
        for (at, value) in rest {
            put(&mut out, at, u16::from(value.unsigned_abs()));
        }
        out
    }

    /// The hour that holds this time, as a number that grows with time: the key under which
    /// [`ZoneMemo`] remembers an offset.
    fn hour_number(&self) -> i64 {
        let days = (i64::from(self.year) * 12 + i64::from(self.month)) * 31 + i64::from(self.day);
        days * 24 + i64::from(self.hour)
    }

    fn civil(&self) -> DateTime {
        // The parts were checked at construction, so this constructor cannot refuse them.
        DateTime::new(
            self.year,
            self.month,
            self.day,
            self.hour,
            self.minute,
            self.second,
            0,
        )
        .unwrap_or_default()
    }

    /// Seconds since 1970-01-01 00:00:00 if this wall time were UTC: the distance between two
    /// wall times, whatever zone they were shown in.
    pub fn seconds_as_utc(&self) -> i64 {
        // Days from the civil calendar, March-based (Howard Hinnant's public algorithm).
        let (y, m) = (i64::from(self.year), i64::from(self.month));
        let y = if m <= 2 { y - 1 } else { y };
        let era = y.div_euclid(400);
        let year_of_era = y - era * 400;
        let day_of_year =
            (153 * (m + if m > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        days * 86_400
            + i64::from(self.hour) * 3_600
            + i64::from(self.minute) * 60
            + i64::from(self.second)
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

fn days_in_month(year: u16, month: u8) -> Option<u8> {
    Some(match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => return None,
    })
}

fn two(tens: u8, ones: u8) -> Option<u8> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| tens * 10 + ones)
}

/// Writes `value` (0 to 99) as two digits.
fn put(out: &mut [u8; 19], at: usize, value: u16) {
    let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or_default();
    if let Some([tens, ones]) = out.get_mut(at..at + 2) {
        (*tens, *ones) = (digit(value / 10), digit(value));
    }
}

/// A zone name that the time-zone database does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a time zone of the IANA database; an example is America/Mexico_City")]
pub struct UnknownZone(pub String);

/// An IANA time zone with its name.
#[derive(Clone)]
pub struct Zone {
    name: Arc<str>,
    rules: TimeZone,
}

/// A wall time placed on the time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// The instant; where the wall time happens twice, the earlier; where it does not happen
    /// at all, the instant as far after the jump as the clock claims.
    pub at: Millis,
    /// True when the wall time happens twice or not at all.
    pub ambiguous: bool,
}

impl Zone {
    /// Looks the name up in the machine's time-zone database, or in the one that is built in
    /// where the machine has none.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        let rules = TimeZone::get(name).map_err(|_| UnknownZone(name.to_owned()))?;
        Ok(Self {
            name: rules.iana_name().unwrap_or(name).into(),
            rules,
        })
    }

    /// Universal time.
    pub fn utc() -> Self {
        Self {
            name: "UTC".into(),
            rules: TimeZone::UTC,
        }
    }

    /// The IANA name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Places a wall time of this zone on the time line.
    pub fn resolve(&self, wall: &WallTime) -> Resolved {
        let (offset, ambiguous) = self.offset(wall);
        Resolved {
            at: Millis((wall.seconds_as_utc() - i64::from(offset)) * 1000),
            ambiguous,
        }
    }

    /// Seconds east of UTC at that instant.
    pub fn offset_seconds_at(&self, at: Millis) -> i32 {
        self.rules.to_offset(at.timestamp()).seconds()
    }

    fn offset(&self, wall: &WallTime) -> (i32, bool) {
        match self.rules.to_ambiguous_timestamp(wall.civil()).offset() {
            AmbiguousOffset::Unambiguous { offset } => (offset.seconds(), false),
            AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => {
                (before.seconds(), true)
            }
        }
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name)
    }
}

/// [`Zone::resolve`] with a memory of the last hour asked for.
///
/// Records of one upload lie close together, and zones change their offset only at a few
/// hours of a year, so that most look-ups become one comparison.
#[derive(Debug)]
pub struct ZoneMemo<'a> {
    zone: &'a Zone,
    hour: i64,
    offset: i32,
}

impl<'a> ZoneMemo<'a> {
    /// A memory for one zone, empty at first.
    pub fn new(zone: &'a Zone) -> Self {
        Self {
            zone,
            hour: i64::MIN,
            offset: 0,
        }
    }

    /// The same answer as [`Zone::resolve`].
    pub fn resolve(&mut self, wall: &WallTime) -> Resolved {
        let hour = wall.hour_number();
        if hour != self.hour {
            let quiet = self.quiet_hour(wall);
            let Some(offset) = quiet else {
                return self.zone.resolve(wall);
            };
            (self.hour, self.offset) = (hour, offset);
        }
        Resolved {
            at: Millis((wall.seconds_as_utc() - i64::from(self.offset)) * 1000),
            ambiguous: false,
        }
    }

    /// The offset of the whole hour, when it does not change within it.
    fn quiet_hour(&self, wall: &WallTime) -> Option<i32> {
        let (first, unsure) = self.zone.offset(&WallTime {
            minute: 0,
            second: 0,
            ..*wall
        });
        let (last, unsure_later) = self.zone.offset(&WallTime {
            minute: 59,
            second: 59,
            ..*wall
        });
        (first == last && !unsure && !unsure_later).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wall(text: &str) -> WallTime {
        WallTime::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn dates_that_no_calendar_has_are_refused() {
        for bad in [
            "2026-02-30 00:00:00",
            "2025-02-29 00:00:00",
            "2026-13-01 00:00:00",
            "2026-00-01 00:00:00",
            "2026-01-00 00:00:00",
            "2026-01-01 24:00:00",
            "2026-01-01 00:60:00",
            "2026-01-01 00:00:60",
            "1969-12-31 23:59:59",
            "2026-1-1 00:00:00",
            "2026-01-01 00:00:0x",
            // The character behind `9` is no ten.
            "2026-01-01 00:00:0:",
            "20:6-01-01 00:00:00",
            "2026-01-01",
            "",
        ] {
            assert_eq!(WallTime::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(
            wall("2024-02-29T23:59:59").to_string(),
            "2024-02-29 23:59:59"
        );
    }

    #[test]
    fn mexico_city_has_no_summer_time_since_2022_and_had_it_before() {
        let zone = Zone::named("America/Mexico_City").unwrap();
        assert_eq!(
            zone.resolve(&wall("2026-07-01 12:00:00")).at.text(),
            "2026-07-01 18:00:00.000"
        );
        assert_eq!(
            zone.resolve(&wall("2022-07-01 12:00:00")).at.text(),
            "2022-07-01 17:00:00.000"
        );
    }

    #[test]
    fn an_hour_that_happens_twice_or_never_is_flagged() {
        let tijuana = Zone::named("America/Tijuana").unwrap();
        let twice = tijuana.resolve(&wall("2026-11-01 01:30:00"));
        assert!(twice.ambiguous);
        assert_eq!(twice.at.text(), "2026-11-01 08:30:00.000");
        let never = tijuana.resolve(&wall("2026-03-08 02:30:00"));
        assert!(never.ambiguous);
        assert_eq!(never.at.text(), "2026-03-08 10:30:00.000");
    }

    #[test]
    fn a_zone_is_its_iana_name_however_it_was_written() {
        let mexico = Zone::named("America/Mexico_City").unwrap();
        assert_eq!(mexico.name(), "America/Mexico_City");
        assert_eq!(Zone::named("america/mexico_city").unwrap(), mexico);
        assert_ne!(mexico, Zone::utc());
        assert_eq!(format!("{mexico:?}"), "Zone(America/Mexico_City)");
        let noon = Millis::parse("2026-07-01 12:00:00").unwrap();
        assert_eq!(mexico.offset_seconds_at(noon), -6 * 3_600);
    }

    /// On Lord Howe Island clocks go by half an hour: at 02:00 forward, at 02:00 back to 01:30.
    #[test]
    fn an_hour_whose_offset_changes_within_it_is_never_remembered() {
        let zone = Zone::named("Australia/Lord_Howe").unwrap();
        for (one, other) in [
            ("2026-10-04 02:45:00", "2026-10-04 02:15:00"),
            ("2026-04-05 01:15:00", "2026-04-05 01:45:00"),
        ] {
            for pair in [[one, other], [other, one]] {
                let mut memo = ZoneMemo::new(&zone);
                for at in pair {
                    assert_eq!(memo.resolve(&wall(at)), zone.resolve(&wall(at)), "{pair:?}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_zone_is_an_error_that_shows_an_example() {
        let error = Zone::named("America/Queretaro").unwrap_err().to_string();
        assert!(error.contains("America/Mexico_City"), "{error}");
    }

    proptest! {
        #[test]
        fn the_memo_answers_as_the_zone_does(
            name in prop::sample::select(vec!["America/Mexico_City", "America/Tijuana", "America/Ojinaga", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]),
            starts in prop::collection::vec((1990u16..2030, 1u8..=12, 1u8..=28, 0u8..24, 0u8..60), 1..40),
        ) {
            let zone = Zone::named(name).unwrap();
            let mut memo = ZoneMemo::new(&zone);
            for (y, mo, d, h, mi) in starts {
                let at = WallTime::new(y, mo, d, h, mi, 0).unwrap();
                prop_assert_eq!(memo.resolve(&at), zone.resolve(&at));
            }
        }

        #[test]
        fn two_times_share_an_hours_number_only_where_they_share_the_hour(
            mut hours in prop::collection::vec((1970u16..2200, 1u8..=12, 1u8..=28, 0u8..24), 2..40),
        ) {
            hours.sort_unstable();
            hours.dedup();
            let number = |&(y, mo, d, h): &(u16, u8, u8, u8)| WallTime::new(y, mo, d, h, 59, 59).unwrap().hour_number();
            let numbers: Vec<i64> = hours.iter().map(number).collect();
            prop_assert!(numbers.is_sorted_by(|one, next| one < next), "{hours:?}");
        }

        #[test]
        fn our_own_calendar_agrees_with_jiff(y in 1970u16..2200, mo in 1u8..=12, d in 1u8..=31, s in 0u32..86_400) {
            let part = |n: u32| u8::try_from(n).unwrap();
            let made = WallTime::new(y, mo, d, part(s / 3600), part(s / 60 % 60), part(s % 60));
            let theirs = DateTime::new(i16::try_from(y).unwrap(), i8::try_from(mo).unwrap(), i8::try_from(d).unwrap(), 0, 0, 0, 0);
            prop_assert_eq!(made.is_some(), theirs.is_ok());
            if let Some(made) = made {
                prop_assert_eq!(WallTime::parse(&made.text()), Some(made));
                let utc = made.civil().to_zoned(TimeZone::UTC).unwrap().timestamp();
                prop_assert_eq!(made.seconds_as_utc(), utc.as_second());
                let millis = Millis(made.seconds_as_utc() * 1000);
                prop_assert_eq!(Millis::parse(&millis.text()), Some(millis));
            }
        }
    }
}
