//! The two ways a line holds fields, both separated by TAB: by position, and by name
//! (`key=value`).
//!
//! These are nom parsers over one whole line, so that "incomplete" does not exist here. A value
//! may hold any character but TAB, also `=`; only the first `=` of a field separates. Nothing
//! here knows what a field means.

use nom::bytes::complete::take_till1;
use nom::character::complete::char;
use nom::combinator::rest;
use nom::error::{Error, ErrorKind};
use nom::sequence::{preceded, separated_pair};
use nom::{IResult, Parser};

/// A field up to the next TAB or the end; may be empty.
///
/// Fields are a few bytes long, so that a plain loop over bytes is the fastest search; TAB is
/// never a part of another character in UTF-8.
#[inline]
pub(crate) fn column(input: &str) -> IResult<&str, &str> {
    let end = input.bytes().position(|byte| byte == b'\t');
    let (field, rest) = input.split_at(end.unwrap_or(input.len()));
    Ok((rest, field))
}

/// All fields of a line, also the empty ones.
pub(crate) fn columns(line: &str) -> impl Iterator<Item = &str> {
    let mut left = Some(line);
    std::iter::from_fn(move || {
        let (rest, field) = column(left?).ok()?;
        left = rest.get(1..);
        Some(field)
    })
}

/// The TAB and the field behind it.
#[inline]
pub(crate) fn next_column(input: &str) -> IResult<&str, &str> {
    match input.strip_prefix('\t') {
        Some(behind) => column(behind),
        None => Err(nom::Err::Error(Error::new(input, ErrorKind::Tag))),
    }
}

/// The TAB and all fields behind it, not taken apart.
pub(crate) fn remaining(input: &str) -> IResult<&str, &str> {
    preceded(char('\t'), rest).parse(input)
}

/// One `key=value`.
fn pair(input: &str) -> IResult<&str, (&str, &str)> {
    separated_pair(take_till1(|c| c == '=' || c == '\t'), char('='), column).parse(input)
}

/// The named fields of a line, in order; fields without a name are passed over.
pub(crate) fn pairs(line: &str) -> impl Iterator<Item = (&str, &str)> {
    columns(line)
        .filter_map(|field| pair(field).ok())
        .map(|(_, (key, value))| (key.trim(), value))
}

/// The value of the first of these names that the line has, in any case.
pub(crate) fn named<'a>(line: &'a str, names: &[&str]) -> Option<&'a str> {
    pairs(line)
        .find(|(key, _)| names.iter().any(|name| key.eq_ignore_ascii_case(name)))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_columns_are_columns() {
        let all = |line| columns(line).collect::<Vec<_>>();
        assert_eq!(all("a\t\tñ\t"), ["a", "", "ñ", ""]);
        assert_eq!(all(""), [""]);
    }

    #[test]
    fn a_value_may_hold_anything_but_a_tab() {
        let line = "Pin=7\tName=a=b, c\tEmpty=\tbare\t=nokey\tlast=1";
        let read: Vec<_> = pairs(line).collect();
        assert_eq!(
            read,
            [
                ("Pin", "7"),
                ("Name", "a=b, c"),
                ("Empty", ""),
                ("last", "1")
            ]
        );
        assert_eq!(named(line, &["x", "PIN"]), Some("7"));
        assert_eq!(named(line, &["x"]), None);
    }
}
