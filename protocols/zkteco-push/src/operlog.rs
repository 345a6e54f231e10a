//! The lines of the operation log and of the error log.
//!
//! `OPERLOG` is a mixed bag: the first word of each line says what it is. Only `OPLOG` and
//! `ERRORLOG` lines become events; people, templates and pictures are recognised so that they
//! can be dropped before anything looks at them, because they hold passwords and biometrics.

use nom::combinator::opt;
use nom::{IResult, Parser};

use crate::Table;
use crate::error::Fault;
use crate::fields::{column, named, next_column, remaining};

/// What sort of line it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// `OPLOG`; the columns begin at this byte.
    Operation(usize),
    /// `ERRORLOG`; the named fields begin at this byte.
    Error(usize),
    /// A person, a template or a picture: counted, never kept.
    Dropped,
    /// None of these.
    Other,
}

/// Says what a line is by its first word, at most 16 bytes of it.
///
/// Some firmware leaves the word `USER` out, so that a line that begins with `PIN=` is a
/// person.
pub(crate) fn sort(line: &[u8]) -> Sort {
    let head = line.get(..17.min(line.len())).unwrap_or_default();
    let Some(end) = head.iter().position(|b| matches!(b, b' ' | b'\t' | b'=')) else {
        return Sort::Other;
    };
    let word = head.get(..end).unwrap_or_default();
    let Ok(word) = std::str::from_utf8(word) else {
        return Sort::Other;
    };
    if head.get(end) == Some(&b'=') {
        return match word {
            _ if word.eq_ignore_ascii_case("PIN") => Sort::Dropped,
            _ if word.eq_ignore_ascii_case("ErrCode") => Sort::Error(0),
            _ => Sort::Other,
        };
    }
    match Table::from_name(word) {
        Table::OperLog => Sort::Operation(end + 1),
        Table::ErrorLog => Sort::Error(end + 1),
        table if !table.holds_records() => Sort::Dropped,
        _ => Sort::Other,
    }
}

/// The columns of an `OPLOG` line as sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Operation<'a> {
    /// What was done.
    pub(crate) code: &'a str,
    /// The operator's PIN; `0` means none.
    pub(crate) operator: &'a str,
    /// When, as the terminal's wall clock said it.
    pub(crate) time: &'a str,
    /// The objects of the operation, separated by TAB, without empty ones at the end.
    objects: &'a str,
}

impl<'a> Operation<'a> {
    /// Reads the part behind the word.
    pub(crate) fn parse(columns: &'a str) -> Result<Self, Fault> {
        operation(columns)
            .map(|(_, read)| read)
            .map_err(|_| Fault::TWO_COLUMNS)
    }

    /// The objects, one by one.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &'a str> {
        let none = self.objects.is_empty();
        self.objects.split('\t').filter(move |_| !none)
    }
}

fn operation(input: &str) -> IResult<&str, Operation<'_>> {
    let (input, code) = column(input)?;
    let (input, operator) = next_column(input)?;
    let (input, time) = next_column(input)?;
    let (input, objects) = opt(remaining).parse(input)?;
    let objects = objects.unwrap_or_default().trim_end_matches('\t');
    let (code, operator) = (code.trim(), operator.trim());
    Ok((
        input,
        Operation {
            code,
            operator,
            time,
            objects,
        },
    ))
}

/// The named fields of an `ERRORLOG` line that are kept. `Additional` is not among them: it may
/// hold a picture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure<'a> {
    /// For example `D01E0001`.
    pub(crate) code: &'a str,
    /// The terminal's words, often empty.
    pub(crate) message: &'a str,
    /// What it was doing: `cmd` for a command.
    pub(crate) origin: &'a str,
    /// Which command.
    pub(crate) command: &'a str,
}

impl<'a> Failure<'a> {
    /// Reads the part behind the word.
    pub(crate) fn parse(fields: &'a str) -> Result<Self, Fault> {
        let value = |name| named(fields, &[name]).unwrap_or_default().trim();
        let code = value("ErrCode");
        if code.is_empty() {
            return Err(Fault::NO_ERR_CODE);
        }
        Ok(Self {
            code,
            message: value("ErrMsg"),
            origin: value("DataOrigin"),
            command: value("CmdId"),
        })
    }
}

#[cfg(test)]
mod tests {
    use event::Reason;

    use super::*;

    #[test]
    fn the_first_word_says_what_a_line_is() {
        for (line, expected) in [
            ("OPLOG 4\t0\tx", Sort::Operation(6)),
            ("oplog\t4\t0\tx", Sort::Operation(6)),
            ("ERRORLOG ErrCode=D01E0001", Sort::Error(9)),
            ("ErrCode=D01E0001\tErrMsg=", Sort::Error(0)),
            ("USER PIN=1\tName=x", Sort::Dropped),
            ("PIN=2\tName=x", Sort::Dropped),
            ("Pin=2", Sort::Dropped),
            ("FP PIN=1", Sort::Dropped),
            ("FACE PIN=1", Sort::Dropped),
            ("FVEIN Pin=1", Sort::Dropped),
            ("USERPIC PIN=1", Sort::Dropped),
            ("BIOPHOTO PIN=1", Sort::Dropped),
            ("BIODATA Pin=1", Sort::Dropped),
            ("IDCARD PIN=1", Sort::Dropped),
            ("WORKCODE PIN=1", Sort::Dropped),
            ("OPLOG", Sort::Other),
            ("NEWTHING a=1", Sort::Other),
            ("1001\t2026-11-21 10:15:30", Sort::Other),
            ("ATTLOG 1", Sort::Other),
            ("", Sort::Other),
        ] {
            assert_eq!(sort(line.as_bytes()), expected, "{line:?}");
        }
        assert_eq!(sort(&[0xff; 40]), Sort::Other);
    }

    #[test]
    fn an_operation_has_three_columns_and_any_number_of_objects() {
        let full = Operation::parse("4\t14\t2026-11-21 10:20:00\t7\t\t0\t0\t").unwrap();
        assert_eq!((full.code, full.operator), ("4", "14"));
        assert_eq!(full.objects().collect::<Vec<_>>(), ["7", "", "0", "0"]);
        let bare = Operation::parse("0\t0\t2026-11-21 10:20:00").unwrap();
        assert_eq!(bare.objects().count(), 0);
        assert_eq!(
            Operation::parse("0\t0").unwrap_err().reason,
            Reason::Unreadable
        );
    }

    #[test]
    fn an_error_line_gives_its_code_and_no_additional_data() {
        let read =
            Failure::parse("ErrCode=D01E0001\tErrMsg=\tDataOrigin=cmd\tCmdId=101\tAdditional=QQ==");
        let read = read.unwrap();
        assert_eq!(
            (read.code, read.message, read.origin, read.command),
            ("D01E0001", "", "cmd", "101")
        );
        assert_eq!(
            Failure::parse("ErrMsg=x").unwrap_err().reason,
            Reason::BadField
        );
    }
}
