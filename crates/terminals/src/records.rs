//! A terminal's attendance log, computed and never stored.
//!
//! Record n of a terminal is a pure function of the seed, the terminal and n. A re-send, a
//! replay and a query therefore give the same bytes as the first upload, and a backlog of
//! 100,000 records costs no memory. Two records of one terminal fall on the same person and
//! second only where the scenario asked for it (twins, same second): people take turns, and
//! within one second nobody's turn comes twice. A terminal that shares its serial with
//! another has other people, so that its punches stay told apart.

use std::sync::Arc;

use event::{Text, ToCompactString, WallTime};

use crate::clock;
use crate::random::{draw, hits, unit};
use crate::scenario::Scenario;
use crate::schedule::{Schedule, UNITS};

/// Records for which a fallen-back clock stays fallen back.
const RESET_RECORDS: u64 = 12;
/// Records from the beginning of one fall to the beginning of the next.
const RESET_EVERY: u64 = 36;

const DRAW_KIND: u64 = 10;
const DRAW_STATUS: u64 = 11;
const DRAW_VERIFY: u64 = 12;
const DRAW_TURN: u64 = 13;
const DRAW_RESET: u64 = 14;
const DRAW_PHASE: u64 = 15;

/// One attendance record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) pin: Text,
    pub(crate) time: WallTime,
    pub(crate) status: u8,
    pub(crate) verify: u8,
    pub(crate) work_code: u8,
    /// The place in the log, as some firmware appends it to a line. Twins have the same.
    pub(crate) number: u64,
}

/// What a record is in relation to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A punch of its own.
    Plain,
    /// The same line again.
    Twin,
    /// The same person and second with another status.
    SameSecond,
}

/// The log of one terminal.
#[derive(Debug, Clone)]
pub(crate) struct Logbook {
    schedule: Arc<Schedule>,
    seed: u64,
    start: WallTime,
    start_s: i64,
    phase: u64,
    people: u64,
    first_person: u64,
    stride: u64,
    turn: u64,
    twins: f64,
    special: f64,
    backlog_spacing_s: u64,
    reset_at: Option<u64>,
}

impl Logbook {
    /// The log of the terminal in that place of the fleet, whose clock shows `start` at the
    /// beginning of the run.
    pub(crate) fn new(
        scenario: &Scenario,
        schedule: Arc<Schedule>,
        place: u32,
        start: WallTime,
    ) -> Self {
        let seed = draw(scenario.seed, 0, u64::from(place));
        let people = u64::from(scenario.people);
        let faults = &scenario.faults;
        let shares = scenario.shares_serial(place);
        let reset = hits(faults.clock_reset, draw(seed, DRAW_RESET, 0));
        Self {
            schedule,
            seed,
            start,
            start_s: clock::wall_seconds(&start),
            phase: draw(seed, DRAW_PHASE, 0) % UNITS,
            people,
            first_person: if shares { people + 1 } else { 1 },
            stride: stride(people, draw(seed, DRAW_TURN, 0)),
            turn: draw(seed, DRAW_TURN, 1) % people,
            twins: faults.twins,
            special: faults.twins + faults.same_second,
            backlog_spacing_s: scenario.backlog_spacing_s,
            reset_at: reset.then(|| 4 + draw(seed, DRAW_RESET, 1) % 24),
        }
    }

    /// How many records exist `ms` after the beginning. A twin comes with its original, so
    /// that both can stand in one body.
    pub(crate) fn available(&self, ms: u64) -> u64 {
        self.with_twin(self.schedule.count(ms, self.phase))
    }

    /// When record `index` comes, in milliseconds after the beginning; `None`: never.
    pub(crate) fn due_ms(&self, index: u64) -> Option<u64> {
        self.schedule.due_ms(index, self.phase)
    }

    /// A number of records, one more where the cut would part a twin from its original.
    pub(crate) fn with_twin(&self, count: u64) -> u64 {
        if count > 0 && self.kind(count) == Kind::Twin {
            count + 1
        } else {
            count
        }
    }

    /// What record `index` is. Only odd places hold twins, so that pairs never overlap.
    pub(crate) fn kind(&self, index: u64) -> Kind {
        if index.is_multiple_of(2) || self.special == 0.0 {
            return Kind::Plain;
        }
        let drawn = unit(draw(self.seed, DRAW_KIND, index));
        match drawn {
            share if share < self.twins => Kind::Twin,
            share if share < self.special => Kind::SameSecond,
            _ => Kind::Plain,
        }
    }

    /// Record `index`, whether or not its time has come.
    pub(crate) fn record(&self, index: u64) -> Record {
        let kind = self.kind(index);
        let own = if kind == Kind::Plain {
            index
        } else {
            index - 1
        };
        let status = STATUS[self.pick(DRAW_STATUS, own, STATUS.len())];
        let verify = VERIFY[self.pick(DRAW_VERIFY, own, VERIFY.len())];
        Record {
            pin: self.pin(own),
            time: self.time(own),
            status: if kind == Kind::SameSecond {
                status.wrapping_add(1) % 6
            } else {
                status
            },
            verify,
            work_code: if own % 8 == 3 { 7 } else { 0 },
            number: own,
        }
    }

    /// The wall time of record `index`.
    pub(crate) fn wall(&self, index: u64) -> WallTime {
        let own = if self.kind(index) == Kind::Plain {
            index
        } else {
            index - 1
        };
        self.time(own)
    }

    /// The old firmware's stamp of record `index`: its wall time as packed seconds.
    pub(crate) fn packed_stamp(&self, index: u64) -> i64 {
        clock::packed(clock::wall_seconds(&self.wall(index)))
    }

    /// True for the first record after the terminal's clock fell back.
    pub(crate) fn clock_falls_at(&self, index: u64) -> bool {
        self.fallen_since(index) == Some(index)
    }

    fn time(&self, own: u64) -> WallTime {
        let seconds = match self.fallen_since(own) {
            Some(first) => clock::RESET_S + self.true_seconds(own) - self.true_seconds(first),
            None => self.true_seconds(own),
        };
        // The scenario's checks keep all times within the years that a wall time can have.
        clock::wall_time(seconds).unwrap_or(self.start)
    }

    fn true_seconds(&self, own: u64) -> i64 {
        let backlog = self.schedule.backlog();
        let offset = if own < backlog {
            -signed((backlog - own) * self.backlog_spacing_s)
        } else {
            signed(self.due_ms(own).unwrap_or(0) / 1_000)
        };
        self.start_s + offset
    }

    fn fallen_since(&self, own: u64) -> Option<u64> {
        let first = self.reset_at?;
        [first, first + RESET_EVERY]
            .into_iter()
            .find(|&fall| (fall..fall + RESET_RECORDS).contains(&own))
    }

    /// Whose turn it is: a walk that visits everybody before it visits anybody twice.
    fn pin(&self, own: u64) -> Text {
        let turn = (own % self.people * self.stride + self.turn) % self.people;
        pin_text(self.first_person + turn)
    }

    fn pick(&self, purpose: u64, own: u64, choices: usize) -> usize {
        let choices = u64::try_from(choices).unwrap_or(1);
        usize::try_from(draw(self.seed, purpose, own) % choices).unwrap_or(0)
    }
}

/// Punch states as they turn up: mostly in and out, some never set (255).
const STATUS: [u8; 10] = [0, 1, 0, 1, 0, 1, 2, 3, 4, 255];
/// Verify modes: finger, password, card, face, palm.
const VERIFY: [u8; 8] = [1, 1, 15, 15, 4, 3, 25, 1];

/// Most people are plain numbers; some have leading zeros, and some pairs of PINs differ in
/// letter case only.
fn pin_text(person: u64) -> Text {
    match person % 50 {
        7 => Text::from(format!("{person:06}")),
        11 => Text::from(format!("K{person}")),
        12 => Text::from(format!("k{}", person - 1)),
        _ => person.to_compact_string(),
    }
}

/// A step that has no factor in common with the number of people.
fn stride(people: u64, drawn: u64) -> u64 {
    let mut step = 1 + drawn % people;
    while gcd(step, people) != 1 {
        step += 1;
    }
    step
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::scenario::{Burst, Faults};

    fn logbook(scenario: &Scenario, place: u32) -> Logbook {
        let start = WallTime::parse(b"2026-11-21 08:59:00").unwrap();
        Logbook::new(scenario, Arc::new(Schedule::new(scenario)), place, start)
    }

    fn busy() -> Scenario {
        Scenario {
            backlog: 2_000,
            backlog_spacing_s: 1,
            rate: 600.0,
            duration_s: Some(60),
            people: 60,
            bursts: vec![Burst {
                at_s: 10,
                punches: 200,
                over_s: 5,
            }],
            ..Scenario::default()
        }
    }

    #[test]
    fn equal_seeds_make_equal_records() {
        let scenario = Scenario {
            faults: Faults::mixed(),
            ..busy()
        };
        let other = Scenario {
            seed: 2,
            ..scenario.clone()
        };
        let all = |s: &Scenario, place| -> Vec<Record> {
            let book = logbook(s, place);
            (0..book.available(60_000))
                .map(|index| book.record(index))
                .collect()
        };
        assert_eq!(all(&scenario, 0), all(&scenario, 0));
        assert!(all(&scenario, 0).len() >= 2_800);
        assert_ne!(all(&scenario, 0), all(&other, 0));
        assert_ne!(all(&scenario, 0), all(&scenario, 1));
    }

    #[test]
    fn without_faults_no_two_records_share_person_and_second() {
        let scenario = busy();
        scenario.check().unwrap();
        for place in 0..4 {
            let book = logbook(&scenario, place);
            let count = book.available(60_000);
            let punches: BTreeSet<(Text, WallTime)> = (0..count)
                .map(|n| book.record(n))
                .map(|r| (r.pin, r.time))
                .collect();
            assert_eq!(u64::try_from(punches.len()).unwrap(), count);
        }
    }

    #[test]
    fn a_clock_that_falls_back_twice_repeats_no_punch() {
        let mut scenario = busy();
        scenario.faults.clock_reset = 1.0;
        let book = logbook(&scenario, 0);
        let records: Vec<Record> = (0..200).map(|n| book.record(n)).collect();
        let fallen = records
            .iter()
            .filter(|r| r.time.to_string().starts_with("2000-"))
            .count();
        assert_eq!(fallen, 24);
        assert_eq!((0..200).filter(|&n| book.clock_falls_at(n)).count(), 2);
        let punches: BTreeSet<_> = records.iter().map(|r| (r.pin.clone(), r.time)).collect();
        assert_eq!(punches.len(), 200);
    }

    #[test]
    fn twins_are_equal_and_come_together_and_the_same_second_differs_in_status() {
        let mut scenario = busy();
        scenario.faults.twins = 0.4;
        scenario.faults.same_second = 0.4;
        let book = logbook(&scenario, 0);
        let mut seen = BTreeMap::new();
        for index in 1..1_000 {
            let (before, this) = (book.record(index - 1), book.record(index));
            let kind = book.kind(index);
            *seen.entry(format!("{kind:?}")).or_insert(0) += 1;
            match kind {
                Kind::Twin => assert_eq!(before, this),
                Kind::SameSecond => {
                    assert_eq!((&before.pin, before.time), (&this.pin, this.time));
                    assert_ne!(before.status, this.status);
                }
                Kind::Plain => {}
            }
        }
        assert!(seen["Twin"] > 100 && seen["SameSecond"] > 100, "{seen:?}");
        let parted = |ms| book.kind(book.available(ms)) == Kind::Twin;
        assert!(!(0..60_000).step_by(50).any(parted));
    }

    #[test]
    fn terminals_that_share_a_serial_have_different_people() {
        let mut scenario = busy();
        scenario.faults.duplicate_serial = 1.0;
        let pins = |place| -> BTreeSet<Text> {
            let book = logbook(&scenario, place);
            (0..500).map(|n| book.record(n).pin).collect()
        };
        assert!(pins(0).is_disjoint(&pins(1)));
    }

    #[test]
    fn pins_are_all_different_also_in_their_odd_spellings() {
        let pins: BTreeSet<Text> = (1..=5_000).map(pin_text).collect();
        assert_eq!(pins.len(), 5_000);
        assert!(pins.contains("000007") && pins.contains("K11") && pins.contains("k11"));
    }
}
