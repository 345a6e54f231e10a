//! The wall clock of a simulated terminal, as plain arithmetic.
//!
//! A terminal's clock is a count of seconds since 1970-01-01 00:00:00 on its own wall: no zone,
//! no summer time, so no hour ever happens twice by accident. The real clock is read in one
//! place, [`wall_now`], once per fleet; everything after that is offsets from the start.

use event::{Millis, WallTime, Zone};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// 2000-01-01 00:00:00: where a clock stands after its battery died.
pub(crate) const RESET_S: i64 = 946_684_800;

/// The wall clock of a zone at this moment, in wall seconds.
pub(crate) fn wall_now(zone: &Zone) -> i64 {
    let now = Timestamp::now();
    now.as_second() + i64::from(zone.offset_seconds_at(Millis(now.as_millisecond())))
}

/// The wall seconds of a wall time.
pub(crate) fn wall_seconds(time: &WallTime) -> i64 {
    Zone::utc().resolve(time).at.0 / 1000
}

/// The wall time of wall seconds; `None` outside the years 1970 to 2199.
pub(crate) fn wall_time(seconds: i64) -> Option<WallTime> {
    let at = civil(seconds);
    let small = |part: i8| part.unsigned_abs();
    WallTime::new(
        at.year().unsigned_abs(),
        small(at.month()),
        small(at.day()),
        small(at.hour()),
        small(at.minute()),
        small(at.second()),
    )
}

/// The same wall seconds in the packed count of the old firmware: years from 2000, every month
/// counted as 31 days, every year as 12 such months. Times before 2000 give 0.
pub(crate) fn packed(seconds: i64) -> i64 {
    let at = civil(seconds);
    let months = (i64::from(at.year()) - 2000) * 12 + i64::from(at.month()) - 1;
    let days = months * 31 + i64::from(at.day()) - 1;
    let in_day = seconds.rem_euclid(86_400);
    (days * 86_400 + in_day).max(0)
}

fn civil(seconds: i64) -> DateTime {
    Offset::UTC.to_datetime(Timestamp::from_second(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_seconds_and_wall_times_are_the_same_statement() {
        for text in [
            "1970-01-01 00:00:00",
            "2000-01-01 00:00:00",
            "2024-02-29 23:59:59",
        ] {
            let time = WallTime::parse(text.as_bytes()).unwrap();
            assert_eq!(wall_time(wall_seconds(&time)).unwrap().to_string(), text);
        }
        assert_eq!(
            wall_time(RESET_S).unwrap().to_string(),
            "2000-01-01 00:00:00"
        );
    }

    #[test]
    fn the_packed_count_is_the_one_of_the_old_firmware() {
        let time = WallTime::parse(b"2026-11-21 10:15:30").unwrap();
        assert_eq!(packed(wall_seconds(&time)), 864_209_730);
        assert_eq!(packed(0), 0);
    }
}
