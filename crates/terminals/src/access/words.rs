//! The bytes of access-control terminals: events in both of their forms, and what replies mean.
//!
//! The same event has other names, another time and another base of its card in each form, as on
//! a wall. A reply counts only in the words of the manual: `OK` in an answer to `rtlog`, the
//! table's name with the exact number in an answer to rows, a short code after registration.

use std::io::Write;

use crate::clock;
use crate::records::Record;

/// One event of a terminal's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Its number in the log.
    pub(super) index: u64,
    pub(super) record: Record,
    /// What happened: a person passed, or somebody unknown was refused.
    pub(super) code: u16,
}

impl Event {
    pub(super) fn new(index: u64, record: Record) -> Self {
        let code = match record.number % 9 {
            4 => 27,
            7 => 200,
            _ => 0,
        };
        Self {
            index,
            record,
            code,
        }
    }

    /// Who; nobody where a stranger or a door made the event.
    pub(super) fn pin(&self) -> &str {
        if self.code == 0 { &self.record.pin } else { "" }
    }

    fn sent_pin(&self) -> &str {
        if self.code == 0 {
            &self.record.pin
        } else {
            "0"
        }
    }

    fn card(&self) -> u64 {
        match self.code {
            200 => 0,
            _ => 1_000_000 + self.record.number,
        }
    }

    /// 0 in, 1 out, 2 neither.
    fn way(&self) -> u64 {
        if self.code == 200 {
            2
        } else {
            self.record.number % 2
        }
    }

    /// Appends the event as it is told at once. `odd` terminals write their keys in another order
    /// and in capitals.
    pub(super) fn write_live(&self, body: &mut Vec<u8>, odd: bool) {
        let time = self.record.time.to_string();
        let (pin, card, code, index) = (self.sent_pin(), self.card(), self.code, self.index);
        let (way, verify) = (self.way(), self.record.verify);
        let written = if odd {
            write!(
                body,
                "INDEX={index}\tEVENT={code}\tEVENTADDR=1\tINOUTSTATUS={way}\tCARDNO={card:X}\tPIN={pin}\tVERIFYTYPE={verify}\tTIME={time}\tMASKFLAG=255\r\n"
            )
        } else {
            write!(
                body,
                "time={time}\tpin={pin}\tcardno={card:X}\tsitecode=0\teventaddr=1\tevent={code}\tinoutstatus={way}\tverifytype={verify}\tindex={index}\tlinkid=0\tmaskflag=255\ttemperature=255\tconvtemperature=255\r\n"
            )
        };
        debug_assert!(written.is_ok(), "writing into memory cannot fail");
    }

    /// Appends the event as a row of the log.
    pub(super) fn write_row(&self, body: &mut Vec<u8>, serial: &str) {
        let packed = clock::packed(clock::wall_seconds(&self.record.time));
        let (pin, card, code, index) = (self.sent_pin(), self.card(), self.code, self.index);
        let (way, verify) = (self.way(), self.record.verify);
        let written = write!(
            body,
            "transaction cardno={card}\tpin={pin}\tverified={verify}\tdoorid=1\teventtype={code}\tinoutstate={way}\ttime_second={packed}\tindex={index}\tsitecode=0\tdevid=1\tsn={serial}\r\n"
        );
        debug_assert!(written.is_ok(), "writing into memory cannot fail");
    }
}

/// The registry code in a reply: 1 to 32 letters and digits and nothing else.
pub(super) fn registry_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let lines = text.split(['\r', '\n']);
    let code = lines
        .filter_map(|line| line.strip_prefix("RegistryCode="))
        .next()?;
    let plain = code.bytes().all(|b| b.is_ascii_alphanumeric());
    ((1..=32).contains(&code.len()) && plain).then(|| code.to_owned())
}

/// The value of a configuration line.
pub(super) fn setting(body: &[u8], key: &str) -> Option<u64> {
    let text = String::from_utf8_lossy(body);
    let value = text
        .split(['\r', '\n'])
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value?.trim().parse().ok()
}

/// Whether a reply to rows of a table makes the terminal forget them.
pub(super) fn takes_rows(body: &[u8], table: &str, count: u64) -> bool {
    let text = String::from_utf8_lossy(body);
    text.trim() == format!("{table}={count}")
}

/// Whether a reply to a request for the time can be read.
pub(super) fn is_time(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let Some((time, zone)) = text.trim().split_once(",ServerTZ=") else {
        return false;
    };
    let packed = time
        .strip_prefix("DateTime=")
        .and_then(|n| n.parse::<u64>().ok());
    packed.is_some_and(|n| n > 0) && zone.len() == 5 && zone.starts_with(['+', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{Text, WallTime};

    fn made(number: u64) -> Event {
        let record = Record {
            pin: Text::from("0042"),
            time: WallTime::parse(b"2026-11-21 10:15:30").unwrap(),
            status: 0,
            verify: 4,
            work_code: 0,
            number,
        };
        Event::new(21, record)
    }

    #[test]
    fn both_forms_of_an_event_are_spelt_like_the_manual() {
        let mut body = Vec::new();
        made(9).write_live(&mut body, false);
        let text = String::from_utf8(body).unwrap();
        assert!(
            text.starts_with("time=2026-11-21 10:15:30\tpin=0042\tcardno=F4249\t"),
            "{text}"
        );
        assert!(text.ends_with("\r\n") && text.contains("\tindex=21\t"));
        let mut body = Vec::new();
        made(9).write_row(&mut body, "S1");
        let text = String::from_utf8(body).unwrap();
        assert!(
            text.starts_with("transaction cardno=1000009\tpin=0042\t"),
            "{text}"
        );
        assert!(text.contains("\ttime_second=864209730\t"), "{text}");
    }

    #[test]
    fn a_stranger_has_no_pin_and_a_door_has_no_card() {
        let mut body = Vec::new();
        made(4).write_live(&mut body, true);
        made(7).write_live(&mut body, true);
        let text = String::from_utf8(body).unwrap();
        assert!(
            text.contains("EVENT=27\t") && text.contains("\tPIN=0\t"),
            "{text}"
        );
        assert!(
            text.contains("EVENT=200\t") && text.contains("\tCARDNO=0\t"),
            "{text}"
        );
        assert_eq!(made(4).pin(), "");
    }

    #[test]
    fn replies_count_only_in_the_words_of_the_manual() {
        assert_eq!(registry_code(b"RegistryCode=Uy47").as_deref(), Some("Uy47"));
        assert_eq!(
            registry_code(b"registry=ok\nRegistryCode=Uy47\nx=1\n").as_deref(),
            Some("Uy47")
        );
        for bad in [&b"OK"[..], b"RegistryCode=", b"<html>", b"RegistryCode=a b"] {
            assert_eq!(registry_code(bad), None);
        }
        assert!(takes_rows(b"user=2", "user", 2));
        for bad in [&b"OK"[..], b"OK: 2", b"user=1", b"USER=2", b""] {
            assert!(!takes_rows(bad, "user", 2));
        }
        assert!(is_time(b"DateTime=864209730,ServerTZ=-0600"));
        assert!(!is_time(b"OK") && !is_time(b"DateTime=0,ServerTZ=-0600"));
        assert_eq!(setting(b"a=1\r\nRequestDelay=7\n", "RequestDelay"), Some(7));
    }
}
