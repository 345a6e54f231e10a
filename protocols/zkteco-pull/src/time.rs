//! Times as terminals pack them.
//!
//! Logs and the clock count seconds in years of 12 months of 31 days, from 2000 on; real-time
//! events have six plain bytes. Both can hold days that no calendar has, so that decoding is a
//! check. The values are the terminal's wall clock, without a zone.

use event::WallTime;

const DAY: u32 = 86_400;

/// A time that no calendar has, with what stood in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTime {
    /// A packed number.
    #[error("the packed time {0} is no date of any calendar")]
    Packed(u32),
    /// Year since 2000, month, day, hour, minute, second.
    #[error("the bytes {0:?} are no date and time")]
    Parts([u8; 6]),
}

/// Reads a packed time, 2000-01-01 00:00:00 (0) to 2133-08-18 06:28:15.
///
/// # Errors
/// For days that a month does not have.
pub fn unpack(packed: u32) -> Result<WallTime, BadTime> {
    let days = packed / DAY;
    let part = |value: u32| u8::try_from(value).ok();
    let wall = || {
        WallTime::new(
            u16::try_from(days / 372 + 2000).ok()?,
            part(days / 31 % 12 + 1)?,
            part(days % 31 + 1)?,
            part(packed / 3600 % 24)?,
            part(packed / 60 % 60)?,
            part(packed % 60)?,
        )
    };
    wall().ok_or(BadTime::Packed(packed))
}

/// Packs a time; `None` before 2000 and after 2133-08-18 06:28:15.
pub fn pack(wall: &WallTime) -> Option<u32> {
    let text = wall.text();
    let number = |from: usize, to: usize| -> Option<u32> {
        std::str::from_utf8(text.get(from..to)?).ok()?.parse().ok()
    };
    let years = number(0, 4)?.checked_sub(2000)?;
    let days = years * 372 + (number(5, 7)? - 1) * 31 + number(8, 10)? - 1;
    let seconds = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    days.checked_mul(DAY)?.checked_add(seconds)
}

/// Reads the six bytes of a real-time event.
///
/// # Errors
/// When they are no date and time.
pub fn from_parts(parts: [u8; 6]) -> Result<WallTime, BadTime> {
    let [year, month, day, hour, minute, second] = parts;
    WallTime::new(2000 + u16::from(year), month, day, hour, minute, second)
        .ok_or(BadTime::Parts(parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(packed: u32) -> String {
        unpack(packed).unwrap().to_string()
    }

    #[test]
    fn packed_times_have_years_of_372_days() {
        assert_eq!(text(594_063_665), "2018-06-25 17:41:05");
        assert_eq!(text(0x3383_82d2), "2026-11-21 23:18:42");
        assert_eq!(text(0x2368_b36b), "2018-06-25 17:50:35");
        assert_eq!(text(0), "2000-01-01 00:00:00");
        assert_eq!(text(u32::MAX), "2133-08-18 06:28:15");
    }

    #[test]
    fn days_that_a_month_does_not_have_are_an_error_and_never_another_day() {
        // February's days 30 and 31, and 29 outside leap years: index 29, 30, 28 of month 1.
        for (year, day) in [(26, 30), (26, 31), (26, 29), (24, 30)] {
            let packed = (year * 372 + 31 + day - 1) * DAY;
            assert_eq!(unpack(packed), Err(BadTime::Packed(packed)), "{year} {day}");
        }
        assert_eq!(text((24 * 372 + 31 + 28) * DAY), "2024-02-29 00:00:00");
        let parts = [26, 2, 30, 10, 0, 0];
        assert_eq!(from_parts(parts), Err(BadTime::Parts(parts)));
    }

    #[test]
    fn six_bytes_are_plain_numbers() {
        let at = from_parts([0x12, 0x06, 0x19, 0x11, 0x29, 0x05]).unwrap();
        assert_eq!(at.to_string(), "2018-06-25 17:41:05");
        assert!(from_parts([26, 13, 1, 0, 0, 0]).is_err());
        assert!(from_parts([200, 1, 1, 0, 0, 0]).is_err());
    }

    proptest! {
        #[test]
        fn what_unpacks_packs_to_the_same_number(packed: u32) {
            match unpack(packed) {
                Ok(wall) => prop_assert_eq!(pack(&wall), Some(packed)),
                Err(error) => prop_assert_eq!(error, BadTime::Packed(packed)),
            }
        }

        #[test]
        fn what_packs_unpacks_to_the_same_second(
            year in 1990u16..2199, month in 1u8..=12, day in 1u8..=31, hour in 0u8..24, minute in 0u8..60,
        ) {
            if let Some(wall) = WallTime::new(year, month, day, hour, minute, 7) {
                match pack(&wall) {
                    Some(packed) => prop_assert_eq!(unpack(packed), Ok(wall)),
                    None => prop_assert!(!(2000..2133).contains(&year)),
                }
            }
        }
    }
}
