//! How far a device without serials has been read, by time.
//!
//! Without serials there is no proof: all that can be done is to ask again for a stretch that
//! overlaps the last, and to let the identity of the events sort out what came twice. Times
//! are those of the device's clock; a time from the future, which a clock set wrongly leaves
//! behind, must never carry the cursor past now, or all after the correction would be missed.

use event::Millis;

/// How much of what was read is asked for again, in seconds.
const OVERLAP: i64 = 120;
/// How far beyond now is asked, in seconds.
const AHEAD: i64 = 60;
/// The widest slice: a hundred years, in seconds.
const WIDEST: i64 = 3_155_760_000;
/// 1970 to 9999 in seconds.
const LATEST: i64 = 253_402_207_200;

/// The cursor of one device, kept as a short text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeCursor {
    /// Where the next window begins, seconds since 1970.
    next: i64,
    /// Latest time of a record seen, never later than [`AHEAD`] after the poll that saw it.
    last: i64,
    /// Width of a window.
    span: i64,
}

/// A stretch of time to search, whole seconds, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    /// First moment.
    pub from: Millis,
    /// Last moment.
    pub to: Millis,
    /// The window reaches the present.
    pub is_last: bool,
}

impl TimeWindow {
    /// Both ends as the search takes them, in an offset east of UTC in seconds: that of the
    /// device, since some devices find nothing by another.
    pub fn texts(&self, offset_seconds: i32) -> (String, String) {
        (
            text(self.from, offset_seconds),
            text(self.to, offset_seconds),
        )
    }
}

impl TimeCursor {
    /// A cursor that begins at this time.
    pub fn new(from: Millis) -> Self {
        let from = seconds(from);
        Self {
            next: from,
            last: from,
            span: WIDEST,
        }
    }

    /// The next window. `now` is best taken from the device's own clock.
    pub fn window(&self, now: Millis) -> TimeWindow {
        let end = seconds(now) + AHEAD;
        let from = self.next.min(end);
        let to = (from + self.span).min(end);
        TimeWindow {
            from: Millis(from * 1_000),
            to: Millis(to * 1_000),
            is_last: to == end,
        }
    }

    /// The window holds more records than the device has positions for: the next is half as
    /// wide. False when it is one second wide and cannot be halved: take what comes.
    pub fn too_many(&mut self, window: &TimeWindow) -> bool {
        let width = seconds(window.to) - seconds(window.from);
        self.span = (width / 2).max(1);
        width > 1
    }

    /// All of the window is stored; `latest` is the latest time among its records. Call it on
    /// a copy and keep that after the commit. At the present the cursor goes back by 120 s
    /// from the latest record, because clocks and flash are slow.
    pub fn finished(&mut self, window: &TimeWindow, latest: Option<Millis>) {
        let end = seconds(window.to);
        let latest = latest.map_or(self.last, |latest| seconds(latest).min(end));
        self.last = self.last.max(latest);
        if window.is_last {
            self.next = (self.last - OVERLAP).max(0);
            self.span = WIDEST;
        } else {
            self.next = self.next.max(end);
            self.span = self.span.saturating_mul(2).min(WIDEST);
        }
    }

    /// The state as text, at most 40 bytes.
    pub fn text(&self) -> String {
        format!("t1.{}.{}.{}", self.next, self.last, self.span)
    }

    /// Reads what [`TimeCursor::text`] writes and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.strip_prefix("t1.")?.split('.');
        let mut number = || fields.next()?.parse::<i64>().ok();
        let cursor = Self {
            next: number()?,
            last: number()?,
            span: number()?,
        };
        let times = [cursor.next, cursor.last];
        let sound = times.iter().all(|time| (0..=LATEST).contains(time));
        let sound = sound && (1..=WIDEST).contains(&cursor.span);
        (sound && cursor.text() == text).then_some(cursor)
    }
}

/// Whole seconds from 1970 to 9999.
fn seconds(at: Millis) -> i64 {
    at.0.div_euclid(1_000).clamp(0, LATEST - WIDEST)
}

fn text(at: Millis, offset_seconds: i32) -> String {
    let offset = offset_seconds.clamp(-64_800, 64_800);
    let local = Millis(at.0.saturating_add(i64::from(offset) * 1_000)).text();
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.unsigned_abs() / 60;
    let local = local.get(..19).unwrap_or_default().replace(' ', "T");
    format!("{local}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const NOW: i64 = 1_795_277_731;

    fn at(seconds: i64) -> Millis {
        Millis(seconds * 1_000)
    }

    #[test]
    fn a_window_runs_from_120_seconds_before_the_last_record_to_60_after_now() {
        let mut cursor = TimeCursor::new(at(0));
        let window = cursor.window(at(NOW));
        assert_eq!(
            (window.from, window.to, window.is_last),
            (at(0), at(NOW + 60), true)
        );
        cursor.finished(&window, Some(at(NOW - 1_000)));
        let window = cursor.window(at(NOW + 5));
        assert_eq!((window.from, window.to), (at(NOW - 1_120), at(NOW + 65)));
        assert_eq!(
            window.texts(-21_600),
            (
                "2026-11-21T09:56:51-06:00".to_owned(),
                "2026-11-21T10:16:36-06:00".to_owned()
            )
        );
    }

    #[test]
    fn a_clock_that_was_years_ahead_does_not_carry_the_cursor_with_it() {
        let mut cursor = TimeCursor::new(at(NOW - 500));
        let window = cursor.window(at(NOW));
        cursor.finished(&window, Some(at(NOW + 100_000_000)));
        assert_eq!(cursor.window(at(NOW + 5)).from, at(NOW + 60 - 120));
    }

    #[test]
    fn a_second_that_cannot_be_halved_is_said() {
        let mut cursor = TimeCursor::new(at(NOW - 3));
        let mut window = cursor.window(at(NOW));
        while cursor.too_many(&window) {
            window = cursor.window(at(NOW));
        }
        assert_eq!((window.from, window.to), (at(NOW - 3), at(NOW - 2)));
        cursor.finished(&window, None);
        assert_eq!(cursor.window(at(NOW)).from, at(NOW - 2));
    }

    proptest! {
        /// A device with more records than positions is read whole, whatever lies where.
        #[test]
        fn slices_leave_no_record_out(
            times in prop::collection::btree_set(0i64..200_000, 1..300),
            limit in 2usize..40,
        ) {
            let mut cursor = TimeCursor::new(at(NOW - 200_000));
            let device: BTreeSet<i64> = times.iter().map(|t| NOW - 200_000 + t).collect();
            let (mut seen, mut questions) = (BTreeSet::new(), 0);
            loop {
                questions += 1;
                prop_assert!(questions < 20_000);
                let window = cursor.window(at(NOW));
                let found: Vec<i64> = device.range(window.from.0 / 1_000..=window.to.0 / 1_000).copied().collect();
                if found.len() > limit && cursor.too_many(&window) {
                    continue;
                }
                seen.extend(&found);
                cursor.finished(&window, found.last().map(|t| at(*t)));
                cursor = TimeCursor::parse(&cursor.text()).unwrap();
                if window.is_last {
                    break;
                }
            }
            prop_assert_eq!(seen, device);
        }

        #[test]
        fn any_text_is_a_cursor_or_none(text in "(t1\\.)?[0-9.-]{0,30}", now in any::<i64>(), offset in any::<i32>()) {
            if let Some(cursor) = TimeCursor::parse(&text) {
                prop_assert_eq!(cursor.text(), text);
                let window = cursor.window(Millis(now));
                let _ = window.texts(offset);
                prop_assert!(window.from <= window.to);
            }
        }
    }
}
