//! Which of the many spellings of one protocol a terminal uses.
//!
//! Habits are drawn once from the scenario's shares and stay with the terminal for its life,
//! as firmware does. They change how things are said, never what is said; a server must treat
//! all of them alike. Faults are not habits and do not belong here.

use crate::random::{draw, hits};
use crate::scenario::Scenario;

/// How header names are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderCase {
    /// `Content-Length`.
    Title,
    /// `content-length`.
    Lower,
    /// `CONTENT-LENGTH`.
    Upper,
}

/// The habits of one terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Habits {
    pub(crate) keep_alive: bool,
    pub(crate) http10: bool,
    pub(crate) headers: HeaderCase,
    pub(crate) aspx: bool,
    pub(crate) doubled_path: bool,
    pub(crate) split_body: bool,
    pub(crate) raw_space_info: bool,
    pub(crate) crlf: bool,
    pub(crate) trailing_nul: bool,
    pub(crate) packed_stamp: bool,
    pub(crate) fields: u8,
}

impl Habits {
    /// The habits of the terminal in that place of the fleet.
    pub(crate) fn of(scenario: &Scenario, place: u32) -> Self {
        let shares = &scenario.habits;
        let drawn = |habit: u64| draw(scenario.seed, 100 + habit, u64::from(place));
        let has = |habit: u64, share: f64| hits(share, drawn(habit));
        let lower = has(2, shares.lower_case_headers);
        let upper = has(3, shares.upper_case_headers);
        let choices = u64::try_from(shares.fields.len()).unwrap_or(1).max(1);
        let choice = usize::try_from(drawn(10) % choices).unwrap_or(0);
        Self {
            keep_alive: has(0, shares.keep_alive),
            http10: has(1, shares.http10),
            headers: match (lower, upper) {
                (true, _) => HeaderCase::Lower,
                (_, true) => HeaderCase::Upper,
                _ => HeaderCase::Title,
            },
            aspx: has(4, shares.aspx),
            doubled_path: has(5, shares.doubled_path),
            split_body: has(6, shares.split_body),
            raw_space_info: has(7, shares.raw_space_info),
            crlf: has(8, shares.crlf),
            trailing_nul: has(9, shares.trailing_nul),
            packed_stamp: has(11, shares.packed_stamp),
            fields: shares.fields.get(choice).copied().unwrap_or(7),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::HabitShares;

    #[test]
    fn a_mixed_fleet_has_every_habit_somewhere_and_a_plain_one_has_none() {
        let mut scenario = Scenario {
            habits: HabitShares::mixed(),
            ..Scenario::default()
        };
        let fleet: Vec<Habits> = (0..200).map(|place| Habits::of(&scenario, place)).collect();
        let some = |habit: fn(&Habits) -> bool| fleet.iter().any(habit) && !fleet.iter().all(habit);
        assert!(some(|h| h.keep_alive) && some(|h| h.http10) && some(|h| h.aspx));
        assert!(some(|h| h.doubled_path) && some(|h| h.split_body) && some(|h| h.crlf));
        assert!(some(|h| h.raw_space_info) && some(|h| h.trailing_nul));
        assert!(some(|h| h.packed_stamp) && some(|h| h.headers == HeaderCase::Lower));
        assert!(some(|h| h.headers == HeaderCase::Upper));
        for fields in [4, 5, 7, 8, 10, 11] {
            assert!(fleet.iter().any(|h| h.fields == fields), "{fields} fields");
        }

        scenario.habits = HabitShares::default();
        let plain = Habits::of(&scenario, 0);
        assert!((0..200).all(|place| Habits::of(&scenario, place) == plain));
        assert!(plain.keep_alive && !plain.http10 && plain.fields == 7);
    }
}
