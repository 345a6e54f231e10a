//! Packed seconds: how the terminals' binary tables write a date and time.
//!
//! Months count 31 days and years 372, so that every date of the calendar has a number and many
//! numbers have no date. Reading is therefore checked: 30 February is an error, never a nearby
//! day. Which clock a number is of (the terminal's, or UTC) is its sender's to say, not decided
//! here.

use event::WallTime;

/// The first year that can be written.
const FIRST_YEAR: u64 = 2000;

/// Reads a packed number as a date and time; `None` for a date that no calendar has, and beyond
/// the year 2199.
pub fn unpack(packed: u64) -> Option<WallTime> {
    let part = |n: u64| u8::try_from(n).ok();
    let (minutes, second) = (packed / 60, packed % 60);
    let (hours, minute) = (minutes / 60, minutes % 60);
    let (days, hour) = (hours / 24, hours % 24);
    let (months, day) = (days / 31, days % 31 + 1);
    let (years, month) = (months / 12, months % 12 + 1);
    let year = u16::try_from(years.checked_add(FIRST_YEAR)?).ok()?;
    WallTime::new(
        year,
        part(month)?,
        part(day)?,
        part(hour)?,
        part(minute)?,
        part(second)?,
    )
}

/// Writes a date and time as a packed number; `None` before the year 2000.
pub fn pack(at: &WallTime) -> Option<u64> {
    let text = at.text();
    let number = |from: usize, to: usize| -> Option<u64> {
        std::str::from_utf8(text.get(from..to)?).ok()?.parse().ok()
    };
    let year = number(0, 4)?.checked_sub(FIRST_YEAR)?;
    let (month, day) = (number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let days = year * 372 + (month.checked_sub(1)?) * 31 + day.checked_sub(1)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wall(text: &str) -> WallTime {
        WallTime::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_number_worked_out_by_hand_reads_as_its_date() {
        // (26 * 372 + 10 * 31 + 20) days of 86,400 s, and 10:15:30.
        assert_eq!(
            unpack(10_002 * 86_400 + 36_930),
            Some(wall("2026-11-21 10:15:30"))
        );
        assert_eq!(unpack(0), Some(wall("2000-01-01 00:00:00")));
        assert_eq!(pack(&wall("1999-12-31 23:59:59")), None);
    }

    #[test]
    fn a_date_that_no_calendar_has_is_no_date() {
        let february_30 = (26 * 372 + 31 + 29) * 86_400;
        assert_eq!(unpack(february_30), None);
        assert_eq!(unpack(u64::MAX), None);
        assert_eq!(unpack(200 * 372 * 86_400), None);
    }

    proptest! {
        #[test]
        fn every_date_since_2000_comes_back_from_its_number(y in 2000u16..2200, mo in 1u8..=12, d in 1u8..=31, h in 0u8..24, mi in 0u8..60, s in 0u8..60) {
            if let Some(at) = WallTime::new(y, mo, d, h, mi, s) {
                prop_assert_eq!(unpack(pack(&at).unwrap()), Some(at));
            }
        }

        #[test]
        fn whatever_number_reads_as_a_date_is_written_as_that_number(packed in 0u64..7_000_000_000) {
            if let Some(at) = unpack(packed) {
                prop_assert_eq!(pack(&at), Some(packed));
            }
        }
    }
}
