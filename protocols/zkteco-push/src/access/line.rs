//! One access event, under either of its two sets of names.
//!
//! | | `rtlog` | `transaction` |
//! |---|---|---|
//! | when | `time`, text | `time_second`, packed |
//! | who | `pin`, `cardno` | `pin`, `cardno` |
//! | where | `eventaddr` | `doorid` |
//! | what | `event` | `eventtype` |
//! | which way | `inoutstatus` | `inoutstate` |
//! | how | `verifytype` | `verified` |
//! | its number | `index` | `index` |
//!
//! Keys stand in any order and case; what is not known is kept aside. A row of a table begins
//! with the table's name and a blank, which is no part of the first key. Nothing here judges
//! what a value means.

use event::WallTime;

use crate::error::Fault;
use crate::fields::pairs;
use crate::packed::unpack;

/// Unknown keys kept of one line.
const EXTRA: usize = 16;

/// The values of a line as sent; empty where there is none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessLine<'a> {
    time: &'a str,
    packed: &'a str,
    /// Who; `0` means the door or the terminal itself.
    pub(crate) pin: &'a str,
    /// The card, as the route writes it.
    pub(crate) card: &'a str,
    /// Door, or number of an input.
    pub(crate) door: &'a str,
    /// What happened.
    pub(crate) event: &'a str,
    /// 0 in, 1 out, 2 neither.
    pub(crate) state: &'a str,
    /// How the person was recognised.
    pub(crate) verify: &'a str,
    /// The record's number.
    pub(crate) index: &'a str,
    /// Values with a name of ours, by that name.
    pub(crate) further: Vec<(&'static str, &'a str)>,
    /// Keys that nobody has named.
    pub(crate) extra: Vec<(&'a str, &'a str)>,
}

/// Keys that are kept under a name of ours.
const FURTHER: [(&str, &str); 9] = [
    ("sitecode", "site_code"),
    ("linkid", "link"),
    ("maskflag", "mask"),
    ("temperature", "temperature"),
    ("convtemperature", "converted_temperature"),
    ("devid", "device"),
    ("sn", "sub_serial"),
    ("alarmtype", "alarm_type"),
    ("bitcount", "bit_count"),
];

impl<'a> AccessLine<'a> {
    /// Reads a line without padding at its end.
    pub(crate) fn parse(line: &'a str) -> Self {
        let mut read = Self::default();
        for (at, (key, value)) in pairs(line).enumerate() {
            let key = if at == 0 { bare(key) } else { key };
            read.put(key, value.trim_ascii());
        }
        read
    }

    fn put(&mut self, key: &'a str, value: &'a str) {
        let is = |names: &[&str]| names.iter().any(|name| key.eq_ignore_ascii_case(name));
        let slot = if is(&["time"]) {
            &mut self.time
        } else if is(&["time_second", "timesecond"]) {
            &mut self.packed
        } else if is(&["pin"]) {
            &mut self.pin
        } else if is(&["cardno", "card"]) {
            &mut self.card
        } else if is(&["eventaddr", "doorid", "door"]) {
            &mut self.door
        } else if is(&["event", "eventtype"]) {
            &mut self.event
        } else if is(&["inoutstatus", "inoutstate"]) {
            &mut self.state
        } else if is(&["verifytype", "verified"]) {
            &mut self.verify
        } else if is(&["index"]) {
            &mut self.index
        } else {
            return self.put_aside(key, value);
        };
        // As in queries, the first of equal keys counts.
        if slot.is_empty() {
            *slot = value;
        }
    }

    fn put_aside(&mut self, key: &'a str, value: &'a str) {
        let named = FURTHER
            .iter()
            .find(|(sent, _)| key.eq_ignore_ascii_case(sent));
        match named {
            Some((_, name)) if !self.further.iter().any(|(known, _)| known == name) => {
                self.further.push((name, value));
            }
            Some(_) => {}
            None if self.extra.len() < EXTRA => self.extra.push((key, value)),
            None => {}
        }
    }

    /// The wall time, whichever way it is written.
    pub(crate) fn wall(&self) -> Result<WallTime, Fault> {
        let text = WallTime::parse(self.time.as_bytes());
        // Some firmware writes the packed number under the other name.
        let packed = [self.packed, self.time]
            .into_iter()
            .find_map(|n| unpack(n.parse().ok()?));
        text.or(packed).ok_or(Fault::NO_MOMENT)
    }

    /// The index as a number; `None` where there is none, which old firmware and some events
    /// write as 0.
    pub(crate) fn number(&self) -> Option<u64> {
        self.index.parse().ok().filter(|n| *n > 0)
    }
}

/// A key without the table's name before it.
fn bare(key: &str) -> &str {
    key.rsplit_once(' ').map_or(key, |(_, key)| key)
}

/// A number without leading zeros, or the text as it is: routes write the same number in
/// several ways.
pub(crate) fn plain_number(text: &str) -> &str {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number {
        return text;
    }
    match text.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    }
}

/// The text, unless it says "none": empty, or only zeros.
pub(crate) fn some(text: &str) -> Option<&str> {
    (!text.bytes().all(|b| b == b'0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sets_of_names_in_any_order_and_case_give_the_same_values() {
        let live = AccessLine::parse(
            "INDEX=021\tTime=2026-11-21 10:15:30\tpin=1001\tcardno=0A1B\teventaddr=1\tevent=0\tinoutstatus=0\tverifytype=4",
        );
        let row = AccessLine::parse(
            "transaction cardno=0A1B\tpin=1001\tverified=4\tdoorid=1\teventtype=0\tinoutstate=0\ttime_second=864209730\tindex=21",
        );
        assert_eq!(live.wall(), row.wall());
        assert_eq!((live.number(), row.number()), (Some(21), Some(21)));
        let values = |l: &AccessLine<'_>| {
            [l.pin, l.card, l.door, l.event, l.state, l.verify].map(str::to_owned)
        };
        assert_eq!(values(&live), values(&row));
    }

    #[test]
    fn what_nobody_has_named_is_kept_and_the_first_of_equal_keys_counts() {
        let line = AccessLine::parse("event=1\tevent=2\tMaskFlag=1\tnew=x=y\tlinkid=7");
        assert_eq!(line.event, "1");
        assert_eq!(line.further, [("mask", "1"), ("link", "7")]);
        assert_eq!(line.extra, [("new", "x=y")]);
        let many: String = (0..99).map(|n| format!("k{n}=1\t")).collect();
        assert_eq!(AccessLine::parse(&many).extra.len(), EXTRA);
    }

    #[test]
    fn a_time_that_is_none_is_a_fault() {
        for line in [
            "event=0",
            "time=\tevent=0",
            "time_second=33000000000",
            "time=2026-02-30 10:00:00",
        ] {
            assert_eq!(
                AccessLine::parse(line).wall(),
                Err(Fault::NO_MOMENT),
                "{line}"
            );
        }
        assert!(AccessLine::parse("time=864209730").wall().is_ok());
    }

    #[test]
    fn zeros_mean_none_where_that_is_what_they_mean() {
        assert_eq!(
            (some("0"), some(""), some("00"), some("010")),
            (None, None, None, Some("010"))
        );
        assert_eq!(
            (plain_number("007"), plain_number("00"), plain_number("0A")),
            ("7", "0", "0A")
        );
        assert_eq!(AccessLine::parse("index=0").number(), None);
    }
}
