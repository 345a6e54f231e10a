//! The state of doors and relays that an access-control terminal reports again and again.
//!
//! `rtstate` is a state and not an event: it comes at intervals and makes no row. `sensor` holds
//! two bits for each door and `relay` one, `alarm` a byte for each door, all as hexadecimal text.
//! Which byte belongs to which door of a panel with several is not certain, so that alarms are
//! named for the terminal as a whole.

use event::{Text, WallTime};

use crate::fields::pairs;

/// Doors that a report can hold.
const DOORS: u32 = 16;

/// What alarm bits mean, from the lowest.
const ALARMS: [&str; 8] = [
    "door forced open",
    "tamper",
    "duress password",
    "duress fingerprint",
    "door open too long",
    "mains lost",
    "battery low",
    "reader tamper",
];

/// Whether a door's sensor says that it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    /// It has no sensor.
    Unwatched,
    /// Closed.
    Closed,
    /// Open.
    Open,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DoorState {
    /// When, by the terminal's clock.
    pub at: Option<WallTime>,
    /// The doors that have a sensor, with their number from 1.
    pub doors: Vec<(u32, Leaf)>,
    /// Relays that are on, by their number from 1.
    pub relays_on: Vec<u32>,
    /// Alarms that hold somewhere, each once.
    pub alarms: Vec<&'static str>,
}

impl DoorState {
    /// Reads a line; `None` when it has none of the keys.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut state = Self::default();
        let mut any = false;
        for (key, value) in pairs(line) {
            let value = value.trim();
            let known = ["time", "sensor", "relay", "alarm"];
            let Some(known) = known.into_iter().find(|k| key.eq_ignore_ascii_case(k)) else {
                continue;
            };
            any = true;
            let bits = || u64::from_str_radix(value, 16).unwrap_or(0);
            match known {
                "time" => state.at = WallTime::parse(value.as_bytes()),
                "sensor" => state.doors = doors(bits()),
                "relay" => state.relays_on = set_bits(bits()),
                _ => state.alarms = alarms(bits()),
            }
        }
        any.then_some(state)
    }

    /// In few words, for people.
    pub fn summary(&self) -> Text {
        let mut words: Vec<String> = Vec::new();
        for (door, leaf) in &self.doors {
            let leaf = if *leaf == Leaf::Open {
                "open"
            } else {
                "closed"
            };
            words.push(format!("door {door} {leaf}"));
        }
        words.extend(
            self.relays_on
                .iter()
                .map(|relay| format!("relay {relay} on")),
        );
        words.extend(self.alarms.iter().map(|alarm| (*alarm).to_owned()));
        if words.is_empty() {
            return Text::const_new("nothing open, no alarm");
        }
        Text::from(words.join(", "))
    }
}

fn doors(bits: u64) -> Vec<(u32, Leaf)> {
    let leaf = |door: u32| match bits >> (2 * door) & 3 {
        1 => Leaf::Closed,
        2 => Leaf::Open,
        _ => Leaf::Unwatched,
    };
    let doors = (0..DOORS).map(|door| (door + 1, leaf(door)));
    doors.filter(|(_, leaf)| *leaf != Leaf::Unwatched).collect()
}

fn set_bits(bits: u64) -> Vec<u32> {
    (0..DOORS)
        .filter(|n| bits >> n & 1 == 1)
        .map(|n| n + 1)
        .collect()
}

fn alarms(bits: u64) -> Vec<&'static str> {
    let any = bits
        .to_be_bytes()
        .into_iter()
        .fold(0, |any, byte| any | byte);
    let named = ALARMS.into_iter().enumerate();
    named
        .filter(|(bit, _)| any >> bit & 1 == 1)
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_by_name_in_any_order_and_case() {
        let state = DoorState::parse(
            "Alarm=0000000000000041\tRELAY=01\tsensor=09\ttime=2026-11-21 10:15:31\tdoor=01",
        )
        .unwrap();
        assert_eq!(state.doors, [(1, Leaf::Closed), (2, Leaf::Open)]);
        assert_eq!(state.relays_on, [1]);
        assert_eq!(state.alarms, ["door forced open", "battery low"]);
        assert_eq!(
            state.summary(),
            "door 1 closed, door 2 open, relay 1 on, door forced open, battery low"
        );
        assert!(state.at.is_some());
    }

    #[test]
    fn a_quiet_door_says_so_and_nonsense_is_nothing() {
        let quiet = DoorState::parse("sensor=00\trelay=00\talarm=0000000000000000").unwrap();
        assert_eq!(quiet.summary(), "nothing open, no alarm");
        assert_eq!(DoorState::parse("x=1\ty"), None);
        let odd = DoorState::parse("sensor=zz\talarm=ffffffffffffffffff").unwrap();
        assert_eq!((odd.doors.len(), odd.alarms.len()), (0, 0));
    }
}
