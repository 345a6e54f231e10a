//! Times as people write and read them.
//!
//! Read: a length of time back from now (`2h`), a day, a day and an hour, or an instant with
//! its offset. Shown: wall time with its offset from UTC, so that no line leaves the reader to
//! guess a zone. Programs get UTC (`…Z`).

use daemon::config::Span;
use event::{Millis, WallTime, Zone};
pub(crate) use satellite::outputs::utc;

/// Reads a time; what has no zone of its own is wall time in `zone`.
///
/// # Errors
/// The forms that can be read.
pub(crate) fn moment(text: &str, zone: &Zone, now: Millis) -> Result<Millis, String> {
    let text = text.trim();
    let wrong = || {
        format!(
            "'{}' is not a time; write 2h, 2026-11-21, \"2026-11-21 08:00\" or 2026-11-21T08:00:00-06:00",
            daemon::logging::Escaped(text)
        )
    };
    if let Ok(back) = text.parse::<Span>() {
        let back = i64::try_from(back.0.as_millis()).map_err(|_| wrong())?;
        return Ok(Millis(now.0.saturating_sub(back)));
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(Millis(instant.as_millisecond()));
    }
    let whole = match text.len() {
        10 => format!("{text} 00:00:00"),
        16 => format!("{text}:00"),
        _ => text.to_owned(),
    };
    let wall = WallTime::parse(whole.as_bytes()).ok_or_else(wrong)?;
    Ok(zone.resolve(&wall).at)
}

/// Reads the end of a window: as [`moment`], but a day is meant with its end.
///
/// # Errors
/// As [`moment`].
pub(crate) fn end(text: &str, zone: &Zone, now: Millis) -> Result<Millis, String> {
    let text = text.trim();
    match text.parse::<jiff::civil::Date>().map(|day| day.tomorrow()) {
        Ok(Ok(next)) if text.len() == 10 => moment(&next.to_string(), zone, now),
        _ => moment(text, zone, now),
    }
}

/// `2026-11-21 08:59:58 -06:00`.
pub(crate) fn show(at: Millis, zone: &Zone) -> String {
    let offset = zone.offset_seconds_at(at);
    let wall = Millis(at.0.saturating_add(i64::from(offset) * 1000)).text();
    let wall = wall.get(..19).unwrap_or(&wall);
    format!("{wall} {}", offset_text(offset))
}

/// The same for a time that may be absent.
pub(crate) fn show_if(at: Option<Millis>, zone: &Zone) -> String {
    at.map(|at| show(at, zone)).unwrap_or_default()
}

/// `-06:00`.
pub(crate) fn offset_text(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_273_200_000); // 2026-11-21 15:00:00 UTC

    fn read(text: &str) -> String {
        let zone = Zone::named("America/Mexico_City").unwrap();
        moment(text, &zone, NOW).map_or_else(|error| error, Millis::text)
    }

    #[test]
    fn times_are_read_as_lengths_days_wall_times_and_instants() {
        assert_eq!(read("2h"), "2026-11-21 13:00:00.000");
        assert_eq!(read("7d"), "2026-11-14 15:00:00.000");
        assert_eq!(read("2026-11-21"), "2026-11-21 06:00:00.000");
        assert_eq!(read("2026-11-21 08:00"), "2026-11-21 14:00:00.000");
        assert_eq!(read("2026-11-21T08:00:30"), "2026-11-21 14:00:30.000");
        assert_eq!(read("2026-11-21T08:00:00-08:00"), "2026-11-21 16:00:00.000");
        assert_eq!(read("2026-11-21T08:00:00Z"), "2026-11-21 08:00:00.000");
    }

    #[test]
    fn what_is_no_time_is_answered_with_the_forms() {
        for text in [
            "",
            "yesterday",
            "2026-02-30",
            "2h30",
            "21/11/2026",
            "\u{1b}[2J",
        ] {
            let answer = read(text);
            assert!(
                answer.contains("is not a time; write 2h"),
                "{text}: {answer}"
            );
            assert!(!answer.contains('\u{1b}'));
        }
    }

    #[test]
    fn a_time_is_shown_with_its_offset() {
        let zone = |name: &str| Zone::named(name).unwrap();
        assert_eq!(
            show(NOW, &zone("America/Mexico_City")),
            "2026-11-21 09:00:00 -06:00"
        );
        assert_eq!(
            show(NOW, &zone("Asia/Kolkata")),
            "2026-11-21 20:30:00 +05:30"
        );
        assert_eq!(show(NOW, &Zone::utc()), "2026-11-21 15:00:00 +00:00");
        assert_eq!(show_if(None, &Zone::utc()), "");
        assert_eq!(utc(NOW), "2026-11-21T15:00:00.000Z");
    }
}
