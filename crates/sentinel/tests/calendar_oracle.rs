//! The calendar against a brute-force oracle that asks the time zone database for every single
//! minute: 10,000 random calendars, starts and lengths, most of them around days on which
//! clocks change.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]
#![allow(clippy::cast_sign_loss, reason = "the numbers of this test are small")]

use std::sync::LazyLock;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use sentinel::calendar::{Allowance, Calendar, Holidays};

/// Length of a window in days: enough for 30 business days of a calendar that opens each day.
const DAYS: usize = 50;
const MINUTES: usize = DAYS * 24 * 60;

/// Zones, and the local day on which a window begins.
const WINDOWS: [(&str, &str); 12] = [
    // Mexico City had summer time until 2022.
    ("America/Mexico_City", "2022-03-20"),
    ("America/Mexico_City", "2021-10-20"),
    ("America/Mexico_City", "2026-11-20"),
    // Tijuana changes with California.
    ("America/Tijuana", "2026-02-25"),
    ("America/Tijuana", "2026-10-10"),
    // Ojinaga was on mountain time until 2022, then on central time, first without a summer.
    ("America/Ojinaga", "2022-02-25"),
    ("America/Ojinaga", "2024-02-20"),
    ("America/Ojinaga", "2024-10-20"),
    ("Europe/Madrid", "2026-03-10"),
    ("Europe/Madrid", "2026-10-10"),
    // Change at midnight, and by half an hour.
    ("America/Sao_Paulo", "2018-10-20"),
    ("Australia/Lord_Howe", "2026-03-20"),
];

/// One minute as the time zone database tells it.
#[derive(Clone, Copy)]
struct Minute {
    /// Days since the window began.
    day: usize,
    /// The bit of its day of the week, Monday lowest.
    weekday: u8,
    of_day: u16,
}

struct Window {
    zone: TimeZone,
    first: Date,
    start: Timestamp,
    minutes: Vec<Minute>,
}

static TABLES: LazyLock<Vec<Window>> = LazyLock::new(|| WINDOWS.map(table).into());

fn table((zone, day): (&str, &str)) -> Window {
    let zone = TimeZone::get(zone).unwrap();
    let first: Date = day.parse().unwrap();
    let start = first.to_zoned(zone.clone()).unwrap().timestamp();
    let minute = |n: usize| {
        let wall = zone.to_datetime(start + i64::try_from(n).unwrap().minutes());
        Minute {
            day: (wall.date() - first).get_days() as usize,
            weekday: 1 << wall.weekday().to_monday_zero_offset(),
            of_day: wall.hour() as u16 * 60 + wall.minute() as u16,
        }
    };
    let minutes = (0..MINUTES).map(minute).collect();
    Window {
        zone,
        first,
        start,
        minutes,
    }
}

/// Opening hours as they are drawn: days as a mask, Monday lowest, and minutes of the day.
type Range = (u8, u16, u16);

const DAY_NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn text_of(ranges: &[Range]) -> String {
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let one = |&(days, from, until): &Range| {
        let named = (0..7).filter(|day| days & (1 << day) != 0);
        let named: Vec<&str> = named.map(|day| DAY_NAMES[day]).collect();
        format!("{} {}-{}", named.join(","), clock(from), clock(until))
    };
    ranges.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What was drawn for one case.
#[derive(Debug, Clone)]
struct Case {
    window: usize,
    ranges: Vec<Range>,
    holidays: Vec<usize>,
    from: usize,
    minutes: usize,
    days: u32,
}

fn cases() -> impl Strategy<Value = Case> {
    let range = (1u8..128, 0u16..1440, 1u16..=1440)
        .prop_map(|(days, a, b)| (days, a.min(b), if a == b { a + 1 } else { a.max(b) }));
    (
        0..WINDOWS.len(),
        prop::collection::vec(range, 1..4),
        prop::collection::vec(0..DAYS, 0..6),
        0..MINUTES / 2,
        prop_oneof![9 => 0usize..600, 1 => 0usize..12_000],
        prop_oneof![9 => 1u32..4, 1 => 1u32..=30],
    )
        .prop_map(|(window, ranges, holidays, from, minutes, days)| Case {
            window,
            ranges,
            holidays,
            from,
            minutes,
            days,
        })
}

/// The case with everything that the oracle needs.
struct Oracle<'a> {
    window: &'a Window,
    case: &'a Case,
    closed: [bool; DAYS + 1],
}

impl Oracle<'_> {
    fn open(&self, minute: &Minute) -> bool {
        let hit = |&(days, from, until): &Range| {
            days & minute.weekday != 0 && from <= minute.of_day && minute.of_day < until
        };
        !self.closed[minute.day] && self.case.ranges.iter().any(hit)
    }

    fn opens_from(&self, from: usize) -> impl Iterator<Item = usize> {
        (from..MINUTES).filter(|n| self.open(&self.window.minutes[*n]))
    }

    fn at(&self, minute: usize) -> Timestamp {
        self.window.start + i64::try_from(minute).unwrap().minutes()
    }

    fn business_day_end(&self) -> Option<usize> {
        let mut last_day = self.window.minutes[self.case.from].day;
        let mut counted = 0;
        let mut end = None;
        for n in self.opens_from(self.case.from) {
            let day = self.window.minutes[n].day;
            if day > last_day {
                last_day = day;
                counted += 1;
            }
            if counted > self.case.days {
                return end;
            }
            if counted == self.case.days {
                end = Some(n + 1);
            }
        }
        // The window may end before it is certain.
        None
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn calendar_arithmetic_equals_a_count_of_every_minute(case in cases()) {
        let window = &TABLES[case.window];
        let mut closed = [false; DAYS + 1];
        let mut holidays = Holidays::none();
        for day in &case.holidays {
            closed[*day] = true;
            let date = window.first + i64::try_from(*day).unwrap().days();
            holidays = holidays.with(&date.to_string()).unwrap();
        }
        let hours = text_of(&case.ranges).parse().unwrap();
        let calendar = Calendar::new(hours, holidays, window.zone.clone());
        let oracle = Oracle { window, case: &case, closed };
        let from = oracle.at(case.from);

        let open_now = oracle.open(&window.minutes[case.from]);
        prop_assert_eq!(calendar.is_open(from), open_now);
        if let Some(opening) = oracle.opens_from(case.from).next() {
            prop_assert_eq!(calendar.opening(from), Some(oracle.at(opening)));
        }
        let closes = (case.from..MINUTES).find(|n| !oracle.open(&window.minutes[*n]));
        if let (true, Some(closes)) = (open_now, closes) {
            prop_assert_eq!(calendar.closing(from), Some(oracle.at(closes)));
        }
        let to = case.from + case.minutes;
        let counted = oracle.opens_from(case.from).take_while(|n| *n < to).count();
        let counted = Duration::from_secs(60 * counted as u64);
        prop_assert_eq!(calendar.open_between(from, oracle.at(to)), counted);
        let allowance = Duration::from_secs(60 * case.minutes as u64);
        if let Some(n) = case.minutes.checked_sub(1)
            && let Some(last) = oracle.opens_from(case.from).nth(n)
        {
            let due = calendar.deadline(from, Allowance::Open(allowance)).unwrap().due;
            prop_assert_eq!(due, oracle.at(last + 1));
        }
        if let Some(end) = oracle.business_day_end() {
            let due = calendar.deadline(from, Allowance::BusinessDays(case.days)).unwrap().due;
            prop_assert_eq!(due, oracle.at(end));
        }
    }
}

#[test]
fn the_windows_hold_the_changes_of_clocks_that_they_are_meant_to_hold() {
    let offsets = |window: &Window| {
        let at = |n: usize| window.start + i64::try_from(n).unwrap().minutes();
        let mut offsets: Vec<_> = (0..MINUTES)
            .step_by(60)
            .map(|n| window.zone.to_offset(at(n)))
            .collect();
        offsets.dedup();
        offsets.len()
    };
    let changes: Vec<usize> = TABLES.iter().map(offsets).collect();
    assert_eq!(changes, [2, 2, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
}
