//! The times that devices write, in every form met.
//!
//! The text is kept as it came; beside it stand the wall time and the offset where they can be
//! read. A text that is none of the known forms is still kept: the record then ends in
//! quarantine, where people can read it. Nothing here corrects a clock or knows a zone.

use event::{Text, WallTime};

/// Longest time text of any device, in bytes.
pub const TIME_LIMIT: usize = 32;

/// A time as a device wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceTime {
    /// The text as sent; empty when the record has none. Longer ones than
    /// [`TIME_LIMIT`] are never read and stand here whole.
    pub raw: Text,
    /// The wall clock it shows, to the second; `None` when the text is not a time of the
    /// years 1970 to 2199.
    pub wall: Option<WallTime>,
    /// Seconds east of UTC, when the text says so.
    pub offset: Option<i32>,
}

impl DeviceTime {
    /// Reads `YYYY-MM-DD`, `T` or a blank, `hh:mm`, optional seconds, optional fraction (let
    /// go), optional zone: `Z`, `+08:00`, `-6:00`, `+0800`, `+08`.
    pub fn read(text: &str) -> Self {
        let read = (text.len() <= TIME_LIMIT).then(|| parts(text)).flatten();
        let (wall, offset) = read.unzip();
        Self {
            raw: Text::new(text),
            wall,
            offset: offset.flatten(),
        }
    }
}

fn parts(text: &str) -> Option<(WallTime, Option<i32>)> {
    let text = text.trim_ascii();
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at_checked(zone_at)?;
    let (minutes, seconds) = clock.trim_ascii_end().split_at_checked(5)?;
    let seconds = match seconds {
        "" => "00",
        text => whole_seconds(text.strip_prefix(':')?)?,
    };
    let wall = WallTime::parse(format!("{date}T{minutes}:{seconds}").as_bytes())?;
    let offset = match zone {
        "" => None,
        zone => Some(offset(zone)?),
    };
    Some((wall, offset))
}

/// `07`, or `07.250` without its fraction.
fn whole_seconds(text: &str) -> Option<&str> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(fraction).then_some(seconds)
}

/// Seconds east of UTC. No zone on Earth is farther than 14 hours away.
fn offset(zone: &str) -> Option<i32> {
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => return Some(0),
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(pair) => pair,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "00"),
    };
    let number = |text: &str, longest: usize| -> Option<i32> {
        let right = (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        right.then(|| text.parse().ok()).flatten()
    };
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    let seconds = hours * 3600 + minutes * 60;
    (minutes < 60 && seconds <= 14 * 3600).then_some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, Option<i32>)> {
        let time = DeviceTime::read(text);
        assert_eq!(time.raw, text);
        time.wall.map(|wall| (wall.to_string(), time.offset))
    }

    #[test]
    fn every_form_met_on_a_device_is_read() {
        let at = |wall: &str, offset| Some((wall.to_owned(), offset));
        for (text, wall, offset) in [
            (
                "2026-11-02T09:00:00+05:00",
                "2026-11-02 09:00:00",
                Some(18_000),
            ),
            ("2026-11-02T09:00:04", "2026-11-02 09:00:04", None),
            (
                "2026-07-22T08:11:44-6:00",
                "2026-07-22 08:11:44",
                Some(-21_600),
            ),
            ("2026-11-14T15:27Z", "2026-11-14 15:27:00", Some(0)),
            ("2026-09-09 11:34:59", "2026-09-09 11:34:59", None),
            (
                "1970-01-01T00:00:09+08:00",
                "1970-01-01 00:00:09",
                Some(28_800),
            ),
            (
                "2026-11-02T09:00:00.250+08:30",
                "2026-11-02 09:00:00",
                Some(30_600),
            ),
            (
                "2026-11-02T09:00:00+0800",
                "2026-11-02 09:00:00",
                Some(28_800),
            ),
            (
                "2026-11-02T09:00:00-08",
                "2026-11-02 09:00:00",
                Some(-28_800),
            ),
            (" 2026-11-02t09:00:00z ", "2026-11-02 09:00:00", Some(0)),
        ] {
            assert_eq!(read(text), at(wall, offset), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_keeps_its_text_and_gives_none() {
        for text in [
            "",
            "now",
            "2026-02-30T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-11-02",
            "2026-11-02T9:00",
            "2026-11-02T09:00:00+99:00",
            "2026-11-02T09:00:00+",
            "2026-11-02T09:00:00+08:60",
            "2026-11-02T09:00:00+08:00:00",
            "2026-11-02T09:00:0.",
            "2026-11-02T24:00:00Z",
            "2026-11-02T09:00:00 GMT",
            "２０２６-11-02T09:00:00",
            "2026-11-02T09:00:00.000000000000000Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
