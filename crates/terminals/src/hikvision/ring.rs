//! The event log of a device: a ring in which all majors share one chain of serials.
//!
//! Serials rise by one with every row, survive a reboot, and begin at 1 again after a factory
//! reset, which is a new epoch. A full ring throws away a block at once, as real ones do. The
//! history with which a device starts is computed from the serial and never stored, so that a
//! full ring of 150,000 rows costs no memory. Nothing here reads a clock or does I/O.

use std::collections::VecDeque;

use event::Text;

use super::options::LogOptions;
use crate::random::draw;

/// The highest serial, as devices tell it in their capabilities.
pub(super) const LAST_SERIAL: u64 = 3_000_000_000;

const DRAW_MINOR: u64 = 400;
const DRAW_STATUS: u64 = 401;
const DRAW_ODD: u64 = 402;

/// Minors of major 5 under which somebody was let in: face, finger, card.
pub(super) const GRANTED: [u16; 3] = [75, 38, 1];

/// One row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The device's clock, UTC seconds.
    pub(super) at_s: i64,
    pub(super) major: u16,
    pub(super) minor: u16,
    /// The employee number; empty where nobody is in it.
    pub(super) person: Text,
    /// The attendance status, 0 (undefined) to 6.
    pub(super) status: u8,
}

/// What a search asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Query {
    /// First and last serial.
    pub(super) serials: Option<(u64, u64)>,
    /// First and last UTC second.
    pub(super) from_s: Option<i64>,
    pub(super) to_s: Option<i64>,
    /// 0: all.
    pub(super) major: u16,
    /// 0: all.
    pub(super) minor: u16,
    pub(super) person: Option<String>,
    pub(super) newest_first: bool,
    pub(super) position: u64,
    pub(super) count: u64,
}

/// One page of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) total: u64,
    pub(super) rows: Vec<(u64, Row)>,
}

/// The log.
#[derive(Debug)]
pub(super) struct Ring {
    limit: u64,
    block: u64,
    oldest: u64,
    next: u64,
    /// Rows with a serial below this one are computed.
    computed_end: u64,
    history: History,
    rows: VecDeque<Row>,
    epoch: u32,
    /// Times have never fallen, so that they can be searched by halving.
    orderly: bool,
}

/// What computed rows follow from.
#[derive(Debug)]
struct History {
    seed: u64,
    first: u64,
    count: u64,
    end_s: i64,
    spacing_s: u64,
    people: u64,
    rows_each: u64,
}

impl History {
    /// Time, major, minor of the row, without a look at who it was.
    fn facts(&self, serial: u64) -> (i64, u16, u16) {
        let index = serial.saturating_sub(self.first);
        let group = index / self.rows_each;
        let groups = self.count.div_ceil(self.rows_each);
        let back = groups.saturating_sub(group) * self.spacing_s;
        let at_s = self.end_s - i64::try_from(back).unwrap_or(0);
        let (major, minor) = match index % self.rows_each {
            0 => match draw(self.seed, DRAW_ODD, group) % 64 {
                0 => (3, 1_029),
                1 => (2, 1_031),
                _ => (5, granted(self.seed, group)),
            },
            1 => (5, 21),
            _ => (5, 22),
        };
        (at_s, major, minor)
    }

    fn row(&self, serial: u64) -> Row {
        let (at_s, major, minor) = self.facts(serial);
        let group = serial.saturating_sub(self.first) / self.rows_each;
        let somebody = major == 5 && GRANTED.contains(&minor);
        Row {
            at_s,
            major,
            minor,
            person: if somebody {
                person(1 + group % self.people)
            } else {
                Text::default()
            },
            status: if somebody {
                status(self.seed, group)
            } else {
                0
            },
        }
    }
}

/// The minor under which a drawn person is let in.
pub(super) fn granted(seed: u64, turn: u64) -> u16 {
    let at = usize::try_from(draw(seed, DRAW_MINOR, turn) % 3).unwrap_or(0);
    GRANTED.get(at).copied().unwrap_or(75)
}

/// The attendance status with which a drawn person comes: half of them have none.
pub(super) fn status(seed: u64, turn: u64) -> u8 {
    let drawn = draw(seed, DRAW_STATUS, turn) % 12;
    u8::try_from(drawn).ok().filter(|&n| n <= 6).unwrap_or(0)
}

/// An employee number; some begin with noughts, some are letters.
pub(super) fn person(number: u64) -> Text {
    match number % 20 {
        3 => Text::from(format!("{number:06}")),
        9 => Text::from(format!("E-{number}")),
        _ => Text::from(number.to_string()),
    }
}

impl Ring {
    /// A log whose history ended just before `now_s`.
    pub(super) fn new(options: &LogOptions, seed: u64, now_s: i64) -> Self {
        let next = options.first_serial + options.history;
        Self {
            limit: options.ring,
            block: options.evict.unwrap_or_else(|| (options.ring / 5).max(1)),
            oldest: options.first_serial,
            next,
            computed_end: next,
            history: History {
                seed,
                first: options.first_serial,
                count: options.history,
                end_s: now_s,
                spacing_s: options.history_spacing_s,
                people: options.people,
                rows_each: if options.door_rows { 3 } else { 1 },
            },
            rows: VecDeque::new(),
            epoch: 0,
            orderly: true,
        }
    }

    /// The newest serial; 0 in an empty log that begins at 1.
    pub(super) fn newest(&self) -> u64 {
        self.next - 1
    }

    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    pub(super) fn held(&self) -> u64 {
        self.next - self.oldest
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Adds a row and tells its serial.
    pub(super) fn push(&mut self, row: Row) -> u64 {
        if self.held() > 0 && self.time(self.newest()) > row.at_s {
            self.orderly = false;
        }
        self.rows.push_back(row);
        self.next += 1;
        if self.held() > self.limit {
            self.oldest += self.block.min(self.held());
            let stored = self.next - self.computed_end.max(self.oldest).min(self.next);
            let surplus = self
                .rows
                .len()
                .saturating_sub(usize::try_from(stored).unwrap_or(usize::MAX));
            self.rows.drain(..surplus);
        }
        self.next - 1
    }

    /// Empties the log; serials begin at 1 again.
    pub(super) fn reset(&mut self) {
        (self.oldest, self.next, self.computed_end) = (1, 1, 1);
        self.rows = VecDeque::new();
        self.epoch += 1;
        self.orderly = true;
    }

    /// The row with this serial, where the log still holds it.
    pub(super) fn get(&self, serial: u64) -> Option<Row> {
        if !(self.oldest..self.next).contains(&serial) {
            return None;
        }
        match self.stored(serial) {
            Some(row) => Some(row.clone()),
            None => Some(self.history.row(serial)),
        }
    }

    fn stored(&self, serial: u64) -> Option<&Row> {
        let first = self.computed_end.max(self.oldest);
        let at = serial.checked_sub(first)?;
        self.rows.get(usize::try_from(at).ok()?)
    }

    fn facts(&self, serial: u64) -> (i64, u16, u16) {
        self.stored(serial)
            .map(|row| (row.at_s, row.major, row.minor))
            .unwrap_or_else(|| self.history.facts(serial))
    }

    fn time(&self, serial: u64) -> i64 {
        self.facts(serial).0
    }

    /// One page of what the query finds.
    pub(super) fn page(&self, query: &Query) -> Page {
        let (mut low, mut high) = (self.oldest, self.next);
        if let Some((first, last)) = query.serials {
            low = low.max(first);
            high = high.min(last.saturating_add(1));
        }
        if self.orderly {
            if let Some(from) = query.from_s {
                low = self.first_where(low, high, |at| at >= from);
            }
            if let Some(to) = query.to_s {
                high = self.first_where(low, high, |at| at > to);
            }
        }
        let high = high.max(low);
        let timed = !self.orderly && (query.from_s.is_some() || query.to_s.is_some());
        if query.major == 0 && query.minor == 0 && query.person.is_none() && !timed {
            return self.plain_page(low, high, query);
        }
        let (mut total, mut rows) = (0, Vec::new());
        let last_wanted = query.position.saturating_add(query.count);
        for step in 0..high - low {
            let serial = if query.newest_first {
                high - 1 - step
            } else {
                low + step
            };
            if self.matches(serial, query) {
                if (query.position..last_wanted).contains(&total) {
                    rows.extend(self.get(serial).map(|row| (serial, row)));
                }
                total += 1;
            }
        }
        Page { total, rows }
    }

    fn plain_page(&self, low: u64, high: u64, query: &Query) -> Page {
        let total = high - low;
        let first = query.position.min(total);
        let count = query.count.min(total - first);
        let serial = |step: u64| {
            if query.newest_first {
                high - 1 - first - step
            } else {
                low + first + step
            }
        };
        let row = |step| Some((serial(step), self.get(serial(step))?));
        Page {
            total,
            rows: (0..count).filter_map(row).collect(),
        }
    }

    fn matches(&self, serial: u64, query: &Query) -> bool {
        let (at, major, minor) = self.facts(serial);
        let person = || {
            query.person.as_ref().is_none_or(|wanted| {
                self.get(serial)
                    .is_some_and(|row| row.person == wanted.as_str())
            })
        };
        (query.major == 0 || query.major == major)
            && (query.minor == 0 || query.minor == minor)
            && query.from_s.is_none_or(|from| at >= from)
            && query.to_s.is_none_or(|to| at <= to)
            && person()
    }

    /// The first serial of an orderly range whose time is such; `high` when none is.
    fn first_where(&self, mut low: u64, mut high: u64, such: impl Fn(i64) -> bool) -> u64 {
        while low < high {
            let middle = low.midpoint(high);
            if such(self.time(middle)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn ring(limit: u64, history: u64) -> Ring {
        let options = LogOptions {
            ring: limit,
            history,
            first_serial: 30_001,
            ..LogOptions::default()
        };
        Ring::new(&options, 7, NOW)
    }

    fn row(at_s: i64, minor: u16) -> Row {
        Row {
            at_s,
            major: 5,
            minor,
            person: Text::from("7"),
            status: 0,
        }
    }

    fn all(count: u64) -> Query {
        Query {
            count,
            ..Query::default()
        }
    }

    #[test]
    fn a_full_ring_throws_away_a_fifth_at_once_and_serials_go_on() {
        let mut ring = ring(150_000, 150_000);
        assert_eq!((ring.oldest(), ring.newest()), (30_001, 180_000));
        assert_eq!(ring.push(row(NOW, 75)), 180_001);
        assert_eq!((ring.oldest(), ring.held()), (60_001, 120_001));
        assert_eq!(ring.get(60_000), None);
        assert_eq!(ring.get(180_001), Some(row(NOW, 75)));
        assert!(ring.get(60_001).is_some_and(|old| old.at_s < NOW));
    }

    #[test]
    fn rows_that_were_stored_are_thrown_away_as_well() {
        let mut ring = ring(10, 4);
        for n in 0..40 {
            let serial = ring.push(row(NOW + n, 1));
            assert_eq!(ring.get(serial), Some(row(NOW + n, 1)));
        }
        assert!(ring.held() <= 10 && ring.rows.len() <= 10);
        let page = ring.page(&all(100));
        assert_eq!(page.total, ring.held());
        assert_eq!(page.rows.len(), usize::try_from(ring.held()).unwrap());
    }

    #[test]
    fn a_reset_begins_a_new_epoch_at_one() {
        let mut ring = ring(100, 50);
        ring.reset();
        assert_eq!((ring.held(), ring.newest(), ring.epoch()), (0, 0, 1));
        assert_eq!(ring.push(row(NOW, 75)), 1);
        assert_eq!(ring.page(&all(5)).rows, [(1, row(NOW, 75))]);
    }

    #[test]
    fn every_way_of_searching_finds_what_a_look_at_each_row_finds() {
        let mut ring = ring(1_000, 600);
        for n in 0..90 {
            ring.push(row(NOW + n, if n % 3 == 0 { 75 } else { 21 }));
        }
        for clock_fell in [false, true] {
            if clock_fell {
                ring.push(row(NOW - 4_000, 75));
            }
            for query in [
                Query::default(),
                Query {
                    serials: Some((30_100, 30_650)),
                    from_s: Some(NOW - 3_000),
                    to_s: Some(NOW + 20),
                    ..Query::default()
                },
                Query {
                    major: 5,
                    minor: 75,
                    ..Query::default()
                },
                Query {
                    from_s: Some(NOW - 4_100),
                    newest_first: true,
                    ..Query::default()
                },
            ] {
                let mut want: Vec<u64> = (ring.oldest()..=ring.newest())
                    .filter(|&serial| {
                        let range = query.serials.unwrap_or((0, u64::MAX));
                        (range.0..=range.1).contains(&serial) && ring.matches(serial, &query)
                    })
                    .collect();
                if query.newest_first {
                    want.reverse();
                }
                let mut found = Vec::new();
                for position in (0..).step_by(30) {
                    let page = ring.page(&Query {
                        position,
                        count: 30,
                        ..query.clone()
                    });
                    assert_eq!(page.total, u64::try_from(want.len()).unwrap());
                    if page.rows.is_empty() {
                        break;
                    }
                    found.extend(page.rows.into_iter().map(|(serial, _)| serial));
                }
                assert!(!want.is_empty());
                assert_eq!(found, want, "{query:?}");
            }
        }
    }

    #[test]
    fn history_is_people_with_their_door_and_an_odd_row_here_and_there() {
        let ring = ring(3_000, 3_000);
        let rows: Vec<Row> = (ring.oldest()..=ring.newest())
            .filter_map(|serial| ring.get(serial))
            .collect();
        let people = rows.iter().filter(|r| !r.person.is_empty()).count();
        assert!((900..1_000).contains(&people), "{people}");
        assert_eq!(rows.iter().filter(|r| r.minor == 21).count(), 1_000);
        assert!(rows.iter().any(|r| r.major == 3) && rows.iter().any(|r| r.major == 2));
        assert!(rows.is_sorted_by_key(|r| r.at_s));
    }
}
