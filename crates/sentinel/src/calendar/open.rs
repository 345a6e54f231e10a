//! When a calendar is open, and how much open time lies between two instants.
//!
//! Time is walked in stretches: one local day, within which the offset to UTC does not change.
//! Inside a stretch the wall clock moves as UTC does, so that opening hours are plain numbers.
//! A walk ends after [`HORIZON_DAYS`] days without an open minute: a calendar that never opens
//! gives `None` and does not loop.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Holidays, Hours};

/// How far a walk goes without finding an open minute, and how far it looks for a closing.
const HORIZON_DAYS: u32 = 400;

const MINUTE: i64 = 60;

/// Weekly hours, holidays and the zone in which they are meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    hours: Hours,
    holidays: Holidays,
    zone: TimeZone,
}

/// A piece of open time within one local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// The local day.
    pub(super) day: Date,
    /// Seconds since 1970.
    pub(super) from: i64,
    /// Seconds since 1970, not included.
    pub(super) until: i64,
}

impl Calendar {
    /// A calendar of these hours, closed on these holidays, by the wall clock of that zone.
    pub fn new(hours: Hours, holidays: Holidays, zone: TimeZone) -> Self {
        Self {
            hours,
            holidays,
            zone,
        }
    }

    /// The zone of its wall clock.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Its holidays.
    pub fn holidays(&self) -> &Holidays {
        &self.holidays
    }

    /// Whether it is open at that instant.
    pub fn is_open(&self, at: Timestamp) -> bool {
        let wall = self.zone.to_datetime(at);
        let minute = u16::from(wall.hour().unsigned_abs()) * 60;
        let minute = minute + u16::from(wall.minute().unsigned_abs());
        self.hours.has(wall.weekday(), minute) && !self.holidays.has(wall.date())
    }

    /// The first open instant, `at` itself if it is open; `None` if it does not open within
    /// 400 days.
    pub fn opening(&self, at: Timestamp) -> Option<Timestamp> {
        if self.is_open(at) {
            return Some(at);
        }
        let piece = self.pieces(at.as_second()).next()?;
        instant(piece.from)
    }

    /// When it closes, if it is open now; `None` if it is closed, or stays open for 400 days.
    pub fn closing(&self, at: Timestamp) -> Option<Timestamp> {
        let mut pieces = self.pieces(at.as_second());
        let first = pieces.next()?;
        if !self.is_open(at) {
            return None;
        }
        let limit = at.as_second() + i64::from(HORIZON_DAYS) * 86_400;
        let mut until = first.until;
        for piece in pieces {
            if piece.from > until {
                break;
            }
            until = piece.until;
            if until > limit {
                return None;
            }
        }
        instant(until)
    }

    /// Open time from one instant to another, in whole seconds; nothing if they are in the
    /// wrong order.
    pub fn open_between(&self, from: Timestamp, to: Timestamp) -> Duration {
        let to = to.as_second();
        let seconds: i64 = self
            .pieces(from.as_second())
            .take_while(|piece| piece.from < to)
            .map(|piece| piece.until.min(to) - piece.from)
            .sum();
        Duration::from_secs(seconds.unsigned_abs())
    }

    /// The first instant by which that much open time has passed since `from`; `None` if the
    /// calendar stops opening before. No time at all has passed at `from` itself.
    pub fn after_open(&self, from: Timestamp, time: Duration) -> Option<Timestamp> {
        let mut rest = i64::try_from(time.as_secs()).ok()?;
        if rest == 0 {
            return Some(from);
        }
        for piece in self.pieces(from.as_second()) {
            let length = piece.until - piece.from;
            if rest <= length {
                return instant(piece.from + rest);
            }
            rest -= length;
        }
        None
    }

    /// The end of the n-th business day after the local day of `from`: the last closing of a
    /// day that has open time. The day of `from` itself is not counted, whatever its hour.
    /// `None` for n = 0, and if the calendar stops opening before.
    pub fn business_day_end(&self, from: Timestamp, n: u32) -> Option<Timestamp> {
        let mut day = self.zone.to_datetime(from).date();
        let mut counted = 0;
        let mut end = None;
        for piece in self.pieces(from.as_second()) {
            if piece.day > day {
                if counted == n {
                    break;
                }
                day = piece.day;
                counted += 1;
            }
            end = (counted == n && n > 0).then_some(piece.until);
        }
        instant(end?)
    }

    /// Pieces of open time from that second on, in order, each within one local day.
    pub(super) fn pieces(&self, from: i64) -> Pieces<'_> {
        Pieces {
            calendar: self,
            at: from,
            change: from,
            offset: 0,
            pending: Vec::new(),
            idle_days: 0,
        }
    }
}

/// The walk over open time.
pub(super) struct Pieces<'a> {
    calendar: &'a Calendar,
    /// Where the walk stands.
    at: i64,
    /// When the offset changes next; not after `at` means that it must be looked up.
    change: i64,
    /// Local time less UTC, in seconds, until `change`.
    offset: i64,
    /// What the last stretch holds, the latest first.
    pending: Vec<Piece>,
    idle_days: u32,
}

impl Pieces<'_> {
    /// Walks one stretch: to the end of the local day or to the next change of offset.
    fn stretch(&mut self) -> Option<()> {
        let now = instant(self.at)?;
        let zone = &self.calendar.zone;
        if self.change <= self.at {
            self.offset = i64::from(zone.to_offset(now).seconds());
            let next = zone.following(now).next();
            self.change = next.map_or(i64::MAX, |next| next.timestamp().as_second());
        }
        let local = self.at + self.offset;
        let midnight = local - local.rem_euclid(86_400);
        let end = (midnight + 86_400 - self.offset).min(self.change);
        let day = instant(midnight)?.to_zoned(TimeZone::UTC).date();
        if !self.calendar.holidays.has(day) {
            for &(from, until) in self.calendar.hours.on(day.weekday()).iter().rev() {
                let utc = |minute: u16| midnight + i64::from(minute) * MINUTE - self.offset;
                let (from, until) = (utc(from).max(self.at), utc(until).min(end));
                if from < until {
                    self.pending.push(Piece { day, from, until });
                }
            }
        }
        self.at = end;
        Some(())
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        loop {
            if let Some(piece) = self.pending.pop() {
                self.idle_days = 0;
                return Some(piece);
            }
            if self.idle_days > HORIZON_DAYS {
                return None;
            }
            self.idle_days += 1;
            self.stretch()?;
        }
    }
}

/// The instant of a second; `None` outside jiff's range.
fn instant(second: i64) -> Option<Timestamp> {
    Timestamp::from_second(second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer() -> Calendar {
        let hours = "Mon-Sun 09:00-18:30".parse().unwrap();
        let zone = TimeZone::get("America/Mexico_City").unwrap();
        Calendar::new(hours, Holidays::mexico(), zone)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_mail_at_night_waits_for_nine_in_the_morning() {
        let calendar = customer();
        let night = at("2026-06-02 03:00-06");
        assert!(!calendar.is_open(night));
        assert_eq!(calendar.opening(night), Some(at("2026-06-02 09:00-06")));
        assert_eq!(calendar.closing(night), None);
        let noon = at("2026-06-02 12:00-06");
        assert_eq!(calendar.opening(noon), Some(noon));
        assert_eq!(calendar.closing(noon), Some(at("2026-06-02 18:30-06")));
    }

    #[test]
    fn a_holiday_is_closed_all_day() {
        let eve = at("2026-12-24 18:30-06");
        assert_eq!(customer().opening(eve), Some(at("2026-12-26 09:00-06")));
    }

    #[test]
    fn a_calendar_that_never_opens_or_never_closes_says_so() {
        let zone = TimeZone::UTC;
        let hours: Hours = "Mon-Sun 00:00-24:00".parse().unwrap();
        let always = Calendar::new(hours, Holidays::none(), zone.clone());
        let start = at("2026-06-02 03:00Z");
        assert_eq!(always.closing(start), None);
        assert!(always.is_open(start));
        let hours = Hours::always();
        let never = (1..=31).fold(Holidays::none(), |holidays, day| {
            (1..=12).fold(holidays, |holidays, month| {
                let text = format!("{month:02}-{day:02}");
                holidays.clone().with(&text).unwrap_or(holidays)
            })
        });
        let never = Calendar::new(hours, never, zone);
        assert_eq!(never.opening(start), None);
        assert_eq!(never.after_open(start, Duration::from_secs(1)), None);
        assert_eq!(never.business_day_end(start, 1), None);
        assert_eq!(
            never.open_between(start, at("2036-06-02 03:00Z")),
            Duration::ZERO
        );
    }

    #[test]
    fn an_hour_that_happens_twice_counts_twice() {
        let hours: Hours = "Mon-Sun 01:00-02:00".parse().unwrap();
        let zone = TimeZone::get("America/Tijuana").unwrap();
        let calendar = Calendar::new(hours, Holidays::none(), zone);
        let (from, to) = (at("2026-11-01 00:00-07"), at("2026-11-02 00:00-08"));
        assert_eq!(calendar.open_between(from, to), Duration::from_secs(7200));
    }
}
