//! One line of the attendance log: `ATTLOG`, by position.
//!
//! ```text
//! PIN ⇥ time [⇥ status [⇥ verify [⇥ work code ⇥ reserved ⇥ reserved
//!     [⇥ mask ⇥ temperature ⇥ converted temperature ⇥ …          up to 11 columns
//!     |⇥ identity number ⇥ type                                   9 columns, ID-card terminals
//!     |⇥ job code ×6 ⇥ tip code ×3 ]]]]                           16 columns, HTTP 3.2.0
//! ```
//!
//! Only the first two columns must be there. What the later ones say is kept, never judged:
//! the meaning of status keys and verify modes is a matter of each terminal's settings. Nothing
//! here makes an event; that is `normalize`.

use nom::combinator::opt;
use nom::{IResult, Parser};

use crate::error::Fault;
use crate::fields::{column, columns, named, next_column, remaining};
use crate::text::Json;

/// The columns of a line as sent; empty and missing are the same.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AttLine<'a> {
    /// Who.
    pub(crate) pin: &'a str,
    /// When, as the terminal's wall clock said it.
    pub(crate) time: &'a str,
    /// Which key was pressed, or a default.
    pub(crate) status: &'a str,
    /// How the person was recognised.
    pub(crate) verify: &'a str,
    /// Column 5 and the following, separated by TAB.
    rest: &'a str,
}

/// First column, counted from 1, that is in `rest`.
const REST_FROM: usize = 5;

/// Reads a line without padding at its end.
///
/// Two forms that servers claim to have seen are taken as well: the word `ATTLOG` before the
/// columns, and `PIN=…⇥DateTime=…⇥Status=…`.
pub(crate) fn parse(line: &str) -> Result<AttLine<'_>, Fault> {
    if let Some(named) = by_name(line) {
        return Ok(named);
    }
    match by_position(line) {
        Ok((_, read)) if read.pin.eq_ignore_ascii_case("ATTLOG") && !looks_dated(read.time) => {
            let inner = remaining(line.get(read.pin.len()..).unwrap_or_default());
            inner.map_or(Err(Fault::ONE_COLUMN), |(_, inner)| parse_inner(inner))
        }
        Ok((_, read)) => Ok(read),
        Err(_) => Err(Fault::ONE_COLUMN),
    }
}

fn parse_inner(line: &str) -> Result<AttLine<'_>, Fault> {
    by_name(line)
        .or_else(|| by_position(line).ok().map(|(_, read)| read))
        .ok_or(Fault::ONE_COLUMN)
}

fn by_position(input: &str) -> IResult<&str, AttLine<'_>> {
    let (input, pin) = column(input)?;
    let (input, time) = next_column(input)?;
    let (input, status) = opt(next_column).parse(input)?;
    let (input, verify) = opt(next_column).parse(input)?;
    let (input, rest) = opt(remaining).parse(input)?;
    let read = AttLine {
        pin,
        time,
        status: status.unwrap_or_default(),
        verify: verify.unwrap_or_default(),
        rest: rest.unwrap_or_default(),
    };
    Ok((input, read))
}

fn by_name(line: &str) -> Option<AttLine<'_>> {
    let head = line.as_bytes().get(..4)?;
    if !head.eq_ignore_ascii_case(b"PIN=") {
        return None;
    }
    Some(AttLine {
        pin: named(line, &["PIN"])?,
        time: named(line, &["DateTime", "Time", "AttTime"])?,
        status: named(line, &["Status", "State"]).unwrap_or_default(),
        verify: named(line, &["Verify", "Verified", "VerifyType"]).unwrap_or_default(),
        rest: named(line, &["WorkCode"]).unwrap_or_default(),
    })
}

/// Tells a PIN `ATTLOG` with a time behind it from the word before the columns.
fn looks_dated(time: &str) -> bool {
    event::WallTime::parse(time.trim_ascii().as_bytes()).is_some()
}

impl AttLine<'_> {
    /// True for a row of an ID-card terminal that records a verification (type 1) instead of
    /// attendance (type 0): its status is a result, not a punch.
    pub(crate) fn is_verification(&self) -> bool {
        // A shorter rest has no room for an identity number.
        if self.rest.len() < IDENTITY_MIN {
            return false;
        }
        let mut columns = columns(self.rest).skip(8 - REST_FROM);
        let number = columns.next().unwrap_or_default();
        is_identity_number(number) && columns.next() == Some("1")
    }

    /// True when column 5 and later say nothing, so that there is no need to look closer: all
    /// defaults, or, in lines of at most 11 columns, nothing measured in 8 to 10.
    ///
    /// `width` is the number of columns of the line, also the empty ones at its end.
    pub(crate) fn is_plain(&self, width: impl FnOnce() -> usize) -> bool {
        let mut measuring = false;
        for (at, value) in columns(self.rest).enumerate() {
            if is_default(value) {
                continue;
            }
            if !matches!(at + REST_FROM, 8..=10) || !is_unmeasured(value) {
                return false;
            }
            measuring = true;
        }
        !measuring || width() <= 11
    }

    /// What stands in column 5 and later, as JSON; `None` when all of it says nothing.
    /// `width` as in [`AttLine::is_plain`].
    pub(crate) fn attributes(&self, width: usize, charset: Option<&str>) -> Option<String> {
        let (mut json, mut extra) = (Json::default(), Json::default());
        if let Some(charset) = charset {
            json.text("charset", charset);
        }
        let mut columns = columns(self.rest);
        let work_code = columns.next().unwrap_or_default();
        if !is_default(work_code) {
            json.text("work_code", work_code);
        }
        for number in [6, 7] {
            put_extra(&mut extra, number, columns.next().unwrap_or_default());
        }
        let mut first = [""; 9];
        let mut later = columns.enumerate();
        for (slot, (_, value)) in first.iter_mut().zip(&mut later) {
            *slot = value;
        }
        let used = if matches!(width, 16 | 17) {
            put_codes(&mut json, &first)
        } else if is_identity_number(first[0]) {
            put_identity(&mut json, first[0], first[1])
        } else {
            put_mask(&mut json, &first)
        };
        let kept = first.into_iter().enumerate().skip(used);
        for (at, value) in kept.chain(later) {
            put_extra(&mut extra, 8 + at, value);
        }
        json.object("extra", extra);
        json.finish()
    }
}

#[inline]
fn is_default(value: &str) -> bool {
    matches!(value.as_bytes(), [] | [b'0'])
}

/// True where nothing was measured: 255 is the terminals' word for it.
fn is_unmeasured(value: &str) -> bool {
    matches!(value, "" | "0" | "0.0" | "255" | "255.0")
}

/// Shortest text in column 8 that is an identity number. Mask flags have at most three
/// characters, identity numbers 15 or 18.
const IDENTITY_MIN: usize = 8;

fn is_identity_number(value: &str) -> bool {
    value.len() >= IDENTITY_MIN && value.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn put_extra(extra: &mut Json, number: usize, value: &str) {
    if !is_default(value) {
        extra.text(&number.to_string(), value);
    }
}

/// Job and tip codes of HTTP 3.2.0. Says how many columns it took.
fn put_codes(json: &mut Json, columns: &[&str; 9]) -> usize {
    let (jobs, tips) = columns.split_at(6);
    for (key, codes) in [("job_codes", jobs), ("tip_codes", tips)] {
        if !codes.iter().all(|code| is_default(code)) {
            json.texts(key, codes.iter().copied());
        }
    }
    columns.len()
}

/// Identity number and type of ID-card terminals. Says how many columns it took.
fn put_identity(json: &mut Json, number: &str, kind: &str) -> usize {
    json.text("id_number", number);
    if !is_default(kind) {
        json.text("record_type", kind);
    }
    2
}

/// Mask flag and temperatures. Says how many columns it took: without a temperature the
/// column of the converted one holds something else (a number was seen there), and without
/// either a mask flag of 0 or 255 says nothing.
fn put_mask(json: &mut Json, columns: &[&str; 9]) -> usize {
    let [mask, temperature, converted, ..] = *columns;
    let measured = !is_unmeasured(temperature);
    if !is_unmeasured(mask) || (measured && mask == "0") {
        json.text("mask", mask);
    }
    if !measured {
        return if is_unmeasured(converted) { 3 } else { 2 };
    }
    json.text("temperature", temperature);
    if !is_unmeasured(converted) {
        json.text("converted_temperature", converted);
    }
    3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(line: &str) -> Option<String> {
        let width = line.split('\t').count();
        let read = parse(line.trim_end_matches('\t')).unwrap();
        let attributes = read.attributes(width, None);
        assert!(!read.is_plain(|| width) || attributes.is_none(), "{line:?}");
        attributes
    }

    #[test]
    fn two_columns_are_enough_and_the_others_are_as_sent() {
        let two = parse("007\t2026-11-21 10:15:30").unwrap();
        assert_eq!(
            (two.pin, two.status, two.verify, two.rest),
            ("007", "", "", "")
        );
        let seven = parse("abc12\t2026-11-21 10:15:30\t255\t15\t7\t0\t0").unwrap();
        assert_eq!(
            (seven.pin, seven.status, seven.verify),
            ("abc12", "255", "15")
        );
        assert_eq!(seven.rest, "7\t0\t0");
        assert_eq!(parse("1001"), Err(Fault::ONE_COLUMN));
    }

    #[test]
    fn defaults_make_no_attributes() {
        for line in [
            "1\t2026-11-21 10:15:30",
            "1\t2026-11-21 10:15:30\t0\t1",
            "1\t2026-11-21 10:15:30\t0\t1\t\t0\t0",
            "1\t2026-11-21 10:15:30\t0\t1\t\t0\t0\t",
            "1\t2026-11-21 10:15:30\t0\t15\t0\t0\t0\t255\t0\t0\t",
            "1\t2026-11-21 10:15:30\t1\t15\t0\t0\t0\t0\t0\t0",
            "1\t2026-11-21 10:15:30\t0\t1\t0\t0\t0\t255\t255\t255",
        ] {
            assert_eq!(attributes(line), None, "{line:?}");
        }
    }

    #[test]
    fn what_is_not_a_default_is_kept_under_its_name_or_its_column_number() {
        for (rest, expected) in [
            ("5\t0\t0", r#"{"work_code":"5"}"#),
            ("0\t9\t0", r#"{"extra":{"6":"9"}}"#),
            ("0\t0\t0\t1\t0\t0\t", r#"{"mask":"1"}"#),
            (
                "0\t0\t0\t0\t36.5\t97.7\t12",
                r#"{"mask":"0","temperature":"36.5","converted_temperature":"97.7","extra":{"11":"12"}}"#,
            ),
            ("0\t0\t0\t\t\t43", r#"{"extra":{"10":"43"}}"#),
            (
                "\t0\t0\t11010519491231002X\t0",
                r#"{"id_number":"11010519491231002X"}"#,
            ),
            (
                "\t0\t0\t110105194912310021\t1\tz",
                r#"{"id_number":"110105194912310021","record_type":"1","extra":{"10":"z"}}"#,
            ),
            (
                "3\t\t\t11\t0\t0\t0\t0\t0\t5.25\t\t",
                r#"{"work_code":"3","job_codes":["11","0","0","0","0","0"],"tip_codes":["5.25","",""]}"#,
            ),
            (
                "0\t0\t0\t1\t\t\t\t\"\\",
                r#"{"mask":"1","extra":{"12":"\"\\"}}"#,
            ),
        ] {
            let line = format!("1\t2026-11-21 10:15:30\t0\t1\t{rest}");
            assert_eq!(attributes(&line).as_deref(), Some(expected), "{rest:?}");
        }
    }

    #[test]
    fn only_type_one_with_an_identity_number_is_a_verification() {
        let is = |rest: &str| {
            parse(&format!("1\t2026-11-21 10:15:30\t0\t1\t{rest}"))
                .unwrap()
                .is_verification()
        };
        assert!(is("\t0\t0\t110105194912310021\t1"));
        assert!(!is("\t0\t0\t110105194912310021\t0"));
        assert!(!is("\t0\t0\t0\t1"));
        assert!(!is("\t0\t0"));
    }

    #[test]
    fn the_two_claimed_forms_are_read_and_a_pin_of_that_name_stays_a_pin() {
        let plain = parse("7\t2026-11-21 10:15:30\t1\t4").unwrap();
        assert_eq!(
            parse("ATTLOG\t7\t2026-11-21 10:15:30\t1\t4").unwrap(),
            plain
        );
        assert_eq!(
            parse("PIN=7\tDateTime=2026-11-21 10:15:30\tStatus=1\tVerify=4").unwrap(),
            plain
        );
        assert_eq!(parse("ATTLOG\t2026-11-21 10:15:30").unwrap().pin, "ATTLOG");
        assert_eq!(parse("PIN=7\t2026-11-21 10:15:30").unwrap().pin, "PIN=7");
        assert_eq!(parse("ATTLOG\t7"), Err(Fault::ONE_COLUMN));
    }
}
