//! The events in a file of MariaDB's binary log, as far as cutting needs them.
//!
//! A file begins with four bytes; each event has a head of 19 bytes (second, kind, server, length,
//! where it ends in its log, flags; numbers from the low byte up) and a body that is carried as it
//! is. The first event describes the format, and its second is when the log was created. Layout:
//! MariaDB's documentation, "2-Binlog Event Header" and "QUERY_EVENT". Nothing here trusts a
//! length: a file that ends inside an event is an error and never a shorter tail.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use crate::take::wide;

/// What a log begins with.
const MAGIC: [u8; 4] = [0xfe, b'b', b'i', b'n'];
/// Bytes of an event's head.
const HEAD: u32 = 19;
/// A statement in words.
const QUERY: u8 = 2;
/// The description of the format.
const FORMAT: u8 = 15;
/// The begin of a transaction, or of a statement that is one.
const GTID: u8 = 162;
/// As much of a statement as is looked at, in bytes: its variables, its database and its begin.
const LOOK: u64 = 2 << 10;
/// Statements that take a table or a database away.
const AWAY: [&str; 4] = ["DROP DATABASE", "DROP SCHEMA", "DROP TABLE", "TRUNCATE"];

/// The head of an event.
#[derive(Debug, Clone, Copy)]
struct Head {
    bytes: [u8; HEAD as usize],
    second: u32,
    kind: u8,
    body: u64,
    /// Where it ends in its log; 0 for what the server made up for the reader.
    end: u64,
}

/// The next head; `None` at the end of the file.
fn head(from: &mut impl Read) -> io::Result<Option<Head>> {
    let mut bytes = [0; HEAD as usize];
    let Some((first, rest)) = bytes.split_first_mut() else {
        return Ok(None);
    };
    if from.read(std::slice::from_mut(first))? == 0 {
        return Ok(None);
    }
    from.read_exact(rest)?;
    let number = |at: usize| {
        let four = bytes.get(at..at + 4).and_then(|it| it.try_into().ok());
        u32::from_le_bytes(four.unwrap_or_default())
    };
    let Some(body) = number(9).checked_sub(HEAD) else {
        return Err(wrong("an event is shorter than its head"));
    };
    Ok(Some(Head {
        bytes,
        second: number(0),
        kind: bytes[4],
        body: body.into(),
        end: number(13).into(),
    }))
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads the four bytes and the description of the format.
fn begin(from: &mut impl Read) -> io::Result<(Head, Vec<u8>)> {
    let mut magic = [0; MAGIC.len()];
    from.read_exact(&mut magic)?;
    let Some(head) = head(from)?.filter(|head| magic == MAGIC && head.kind == FORMAT) else {
        return Err(wrong("it is no binary log"));
    };
    let mut body = Vec::new();
    from.by_ref().take(head.body).read_to_end(&mut body)?;
    if wide(body.len()) != head.body {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((head, body))
}

/// What a file of a log covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Covered {
    /// When the log was created, in seconds since 1970.
    pub(super) created: u32,
    /// Where its last event ends in the log; 0 without one.
    pub(super) end: u64,
}

/// Goes through a whole file.
pub(super) fn covered(path: &Path) -> io::Result<Covered> {
    let mut from = BufReader::new(File::open(path)?);
    let (first, _) = begin(&mut from)?;
    let mut end = first.end;
    while let Some(head) = head(&mut from)? {
        let skipped = io::copy(&mut from.by_ref().take(head.body), &mut io::sink())?;
        if skipped != head.body {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        end = end.max(head.end);
    }
    Ok(Covered {
        created: first.second,
        end,
    })
}

/// Where a tail is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut<'a> {
    /// Events that end here or before are left out.
    pub(super) after: u64,
    /// The first transaction of this second or a later one ends the tail.
    pub(super) until: Option<u32>,
    /// What takes a table of this database, or all of it, away ends the tail.
    pub(super) database: &'a str,
}

/// Why no more of a tail was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// The wanted moment.
    Until,
    /// A statement that takes a table or the database away, at that second.
    Away(u32, String),
}

/// Carries the events of a file over, behind those of earlier files of the same log when
/// `is_first` is false. `None` at its end.
pub(super) fn carry(
    from: &mut impl Read,
    to: &mut impl Write,
    is_first: bool,
    cut: Cut<'_>,
) -> io::Result<Option<Stop>> {
    let (first, body) = begin(from)?;
    if is_first {
        to.write_all(&MAGIC)?;
        to.write_all(&first.bytes)?;
        to.write_all(&body)?;
    }
    while let Some(head) = head(from)? {
        let mut begun = Vec::new();
        from.take(head.body.min(LOOK)).read_to_end(&mut begun)?;
        let rest = head.body.saturating_sub(wide(begun.len()));
        let is_new = head.end > cut.after;
        if is_new && head.kind == GTID && cut.until.is_some_and(|until| head.second >= until) {
            return Ok(Some(Stop::Until));
        }
        if is_new && let Some(statement) = away(&head, &begun, cut.database) {
            return Ok(Some(Stop::Away(head.second, statement)));
        }
        let mut rest = from.take(rest);
        if is_new {
            to.write_all(&head.bytes)?;
            to.write_all(&begun)?;
        }
        let carried = match is_new {
            true => io::copy(&mut rest, to)?,
            false => io::copy(&mut rest, &mut io::sink())?,
        };
        if wide(begun.len()) + carried != head.body {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(None)
}

/// The first words of a statement that takes something of this database away.
fn away(head: &Head, body: &[u8], database: &str) -> Option<String> {
    if head.kind != QUERY {
        return None;
    }
    // Thread 4, seconds 4, length of the database's name 1, error 2, length of the variables 2.
    let name = usize::from(*body.get(8)?);
    let variables = u16::from_le_bytes([*body.get(11)?, *body.get(12)?]);
    let name_at = 13 + usize::from(variables);
    let of = body.get(name_at..name_at + name)?;
    let statement = body.get(name_at + name + 1..)?;
    let begin = String::from_utf8_lossy(statement.get(..LONGEST.min(statement.len()))?);
    let begin = begin.trim_start().to_ascii_uppercase();
    let word = AWAY.iter().find(|word| begin.starts_with(**word))?;
    (of == database.as_bytes()).then(|| (*word).to_owned())
}

/// As much of a statement as names what it does, in bytes.
const LONGEST: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(second: u32, kind: u8, end: u32, body: &[u8]) -> Vec<u8> {
        let length = HEAD + u32::try_from(body.len()).unwrap();
        let mut bytes = second.to_le_bytes().to_vec();
        bytes.push(kind);
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(end.to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(body);
        bytes
    }

    fn query(second: u32, end: u32, database: &str, statement: &str) -> Vec<u8> {
        let mut body = vec![0; 8];
        body.push(u8::try_from(database.len()).unwrap());
        body.extend([0, 0, 3, 0, 9, 9, 9]);
        body.extend(database.as_bytes());
        body.push(0);
        body.extend(statement.as_bytes());
        event(second, QUERY, end, &body)
    }

    fn log(events: &[Vec<u8>]) -> Vec<u8> {
        [MAGIC.to_vec(), event(7, FORMAT, 0, &[1; 30])]
            .into_iter()
            .chain(events.iter().cloned())
            .flatten()
            .collect()
    }

    fn carried(bytes: &[u8], cut: Cut<'_>) -> (Vec<u8>, io::Result<Option<Stop>>) {
        let mut out = Vec::new();
        let done = carry(&mut &*bytes, &mut out, true, cut);
        (out, done)
    }

    const ALL: Cut<'_> = Cut {
        after: 0,
        until: None,
        database: "acme",
    };

    #[test]
    fn events_up_to_a_copy_are_left_out_and_all_later_ones_are_carried() {
        let [one, two] = [(8, 100), (9, 160)].map(|(at, end)| event(at, 23, end, b"rows"));
        let whole = log(&[one, two.clone()]);
        let (out, done) = carried(&whole, Cut { after: 100, ..ALL });
        assert_eq!((out, done.unwrap()), (log(&[two]), None));
    }

    #[test]
    fn a_tail_ends_before_the_first_transaction_of_the_wanted_second() {
        let [early, late] = [(8, 100), (9, 160)].map(|(at, end)| event(at, GTID, end, b"begin"));
        let whole = log(&[early.clone(), late]);
        let until = |second| {
            let until = Some(second);
            carried(&whole, Cut { until, ..ALL })
        };
        let (out, done) = until(9);
        assert_eq!((out, done.unwrap()), (log(&[early]), Some(Stop::Until)));
        assert_eq!(until(10).1.unwrap(), None);
    }

    #[test]
    fn a_tail_ends_before_what_takes_a_table_of_this_database_away_and_of_no_other() {
        for (database, statement, stops) in [
            ("acme", "drop database acme", true),
            ("acme", "DROP TABLE `event` /* generated by server */", true),
            ("acme", "TRUNCATE event", true),
            ("other", "drop database other", false),
            (
                "acme",
                "INSERT INTO event VALUES ('drop table event')",
                false,
            ),
            ("acme", "DROP TEMPORARY TABLE x", false),
        ] {
            let whole = log(&[query(8, 100, database, statement)]);
            let (out, done) = carried(&whole, ALL);
            let stop = done.unwrap();
            assert_eq!(stop.is_some(), stops, "{statement}");
            assert_eq!(out == whole, !stops, "{statement}");
        }
    }

    #[test]
    fn a_file_that_ends_inside_an_event_is_an_error_wherever_the_cut_is() {
        let whole = log(&[query(8, 100, "acme", "x"), event(9, 23, 160, &[5; 4_000])]);
        let events = [MAGIC.len(), 0, 1];
        let ends: Vec<usize> = {
            let first = events[0] + 49;
            let second = first + query(8, 100, "acme", "x").len();
            vec![first, second, whole.len()]
        };
        for cut in 0..whole.len() {
            let done = carried(&whole[..cut], ALL).1;
            assert_eq!(done.is_ok(), ends.contains(&cut), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_fault(bytes: Vec<u8>) {
            let _read = carried(&[log(&[]), bytes].concat(), ALL).1;
        }
    }
}
