//! Attendance lines: one record as the TAB-separated text of table ATTLOG.
//!
//! The shapes are the ones seen from real firmware: 4 fields (oldest), 5 (with work code),
//! 7 (usual), 8 (empty work code and a trailing TAB), 10 (an empty middle and a record number
//! last), 11 (255 as "mask not measured" and a trailing TAB). Writing only; what a server
//! makes of a line is not known here.

use std::io::Write;

use super::habits::Habits;
use crate::records::Record;

/// Appends one record's line with its line end.
pub(super) fn write_line(body: &mut Vec<u8>, record: &Record, habits: &Habits) {
    body.extend_from_slice(record.pin.as_bytes());
    body.push(b'\t');
    body.extend_from_slice(&record.time.text());
    let (status, verify, work) = (record.status, record.verify, record.work_code);
    let number = record.number % 100_000;
    let written = match habits.fields {
        4 => write!(body, "\t{status}\t{verify}"),
        5 => write!(body, "\t{status}\t{verify}\t{work}"),
        8 => write!(body, "\t{status}\t{verify}\t\t0\t0\t"),
        10 => write!(body, "\t{status}\t{verify}\t{work}\t0\t0\t\t\t{number}"),
        11 => write!(body, "\t{status}\t{verify}\t{work}\t0\t0\t255\t0\t0\t"),
        _ => write!(body, "\t{status}\t{verify}\t{work}\t0\t0"),
    };
    debug_assert!(written.is_ok(), "writing into memory cannot fail");
    body.extend_from_slice(if habits.crlf { b"\r\n" } else { b"\n" });
}

/// The lines of a body in order, without their line ends.
pub(super) fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use event::{Text, WallTime};

    use super::*;
    use crate::scenario::Scenario;

    fn record() -> Record {
        Record {
            pin: Text::from("0042"),
            time: WallTime::parse(b"2026-11-21 10:15:30").unwrap(),
            status: 255,
            verify: 15,
            work_code: 7,
            number: 43,
        }
    }

    #[test]
    fn each_shape_has_its_number_of_fields_and_begins_the_same() {
        let mut habits = Habits::of(&Scenario::default(), 0);
        for fields in [4, 5, 7, 8, 10, 11] {
            habits.fields = fields;
            let mut body = Vec::new();
            write_line(&mut body, &record(), &habits);
            let line = String::from_utf8(body).unwrap();
            let parts: Vec<&str> = line.trim_end_matches('\n').split('\t').collect();
            assert_eq!(parts.len(), usize::from(fields), "{line:?}");
            assert_eq!(parts[..4], ["0042", "2026-11-21 10:15:30", "255", "15"]);
        }
    }

    #[test]
    fn lines_come_back_without_their_ends() {
        let mut habits = Habits::of(&Scenario::default(), 0);
        habits.crlf = true;
        habits.fields = 5;
        let mut body = Vec::new();
        write_line(&mut body, &record(), &habits);
        write_line(&mut body, &record(), &habits);
        body.push(0);
        let found: Vec<&[u8]> = lines(&body).collect();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], b"0042\t2026-11-21 10:15:30\t255\t15\t7");
        assert_eq!(found[0], found[1]);
    }
}
