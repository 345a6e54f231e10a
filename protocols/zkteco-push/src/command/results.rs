//! Results of commands: the body of a `devicecmd` post.
//!
//! Terminals write the head of a result in two ways, `ID=1&Return=0&CMD=INFO` on one line or
//! one pair a line, put several results into one body, and append lines of their own. Results
//! belong to commands by their id alone: the command's name comes back changed. Nothing here
//! believes that an id was ever given out; that is the caller's to check.

use event::Text;

use crate::options;
use crate::text::{clean, decode_any};

/// Most results read of one body; a terminal gets at most 200 commands at a time.
const RESULTS_LIMIT: usize = 1_000;
/// Most further values kept of one result.
const EXTRA_LIMIT: usize = 256;
/// Longest id and command name kept, in characters.
const NAME_LIMIT: usize = 64;

/// What became of one command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandResult {
    /// The id that the command was sent with.
    pub id: Text,
    /// `Return`: 0 or a count for success, negative for failure; `None` when it is missing or
    /// not a number.
    pub code: Option<i64>,
    /// `CMD`: the command's name, not always as it was sent.
    pub command: Text,
    /// What else the terminal says, for example the settings after `INFO` or the count after
    /// `VERIFY SUM`; at most 256 pairs, secrets and file contents left out.
    pub extra: Vec<(Text, Text)>,
}

/// Reads all results of a body, at most 1,000.
pub fn parse_results(body: &[u8]) -> Vec<CommandResult> {
    let text = decode_any(body);
    let mut results: Vec<CommandResult> = Vec::new();
    for line in text.split(['\n', '\r']) {
        let line = line.trim_matches(['\0', ' ', '\t']);
        // From here to the end of the body stands a file, whatever it looks like.
        if starts_with(line, "Content=") {
            break;
        }
        for pair in pairs(line) {
            let Some((key, value)) = pair.split_once('=') else {
                continue;
            };
            if key.eq_ignore_ascii_case("ID") {
                if results.len() == RESULTS_LIMIT {
                    return results;
                }
                results.push(CommandResult {
                    id: clean(value, NAME_LIMIT),
                    ..CommandResult::default()
                });
            } else if let Some(result) = results.last_mut() {
                put(result, key, value);
            }
        }
    }
    results
}

/// The pairs of a line: a head is separated by `&`, other lines are one pair each, because
/// their values may hold `&`.
fn pairs(line: &str) -> impl Iterator<Item = &str> {
    let is_head = starts_with(line, "ID=") || starts_with(line, "SN=");
    let whole = if is_head { None } else { Some(line) };
    let parts = if is_head { line } else { "" };
    parts.split('&').filter(|p| !p.is_empty()).chain(whole)
}

fn put(result: &mut CommandResult, key: &str, value: &str) {
    if key.eq_ignore_ascii_case("Return") {
        result.code = value.trim().parse().ok();
    } else if key.eq_ignore_ascii_case("CMD") {
        result.command = clean(value.trim(), NAME_LIMIT);
    } else if result.extra.len() < EXTRA_LIMIT && !key.eq_ignore_ascii_case("SN") {
        result.extra.extend(options::kept((key, value)));
    }
}

fn starts_with(line: &str, prefix: &str) -> bool {
    let head = line.as_bytes().get(..prefix.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// What result codes are called. Sources: Attendance PUSH manual 4.0, Security PUSH manual 3.1.2;
/// the texts of the latter's small negative numbers are not certain, so that they are left out.
const CODES: &[(i64, &str)] = &[
    (-1, "parameter error, or no data"),
    (-2, "picture error, or timed out"),
    (-3, "cannot read or write"),
    (-4, "no such data"),
    (-5, "no room"),
    (-6, "invalid"),
    (-9, "sizes differ"),
    (-10, "no such user"),
    (-12, "not permitted"),
    (-14, "no such table"),
    (-18, "no such index"),
    (-22, "unknown command"),
    (-30, "another algorithm version"),
    (-106, "more than 4 MB"),
    (-708, "not supported"),
    (-1001, "capacity reached"),
    (-1002, "not supported"),
    (-1003, "timed out"),
    (
        -1004,
        "table not supported, or data does not fit the settings",
    ),
    (-1005, "busy"),
    (-1006, "too long"),
    (-1007, "no memory"),
    (-1008, "file cannot be fetched"),
    (-5000, "queued for a controller below"),
];

/// The name of a result code, if it has one. Codes from 0 on mean success.
pub fn result_name(code: i64) -> Option<&'static str> {
    let found = CODES.iter().find(|row| row.0 == code);
    found.map(|row| row.1)
}

/// True for codes by which a terminal says that it does not have this command or table.
pub(super) fn is_unsupported(code: i64) -> bool {
    matches!(code, -14 | -22 | -708 | -1002 | -1004)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_one_result_a_line() {
        let read =
            parse_results(b"ID=1&Return=0&CMD=DATA\r\nID=fp2&Return=-1004&CMD=DATA QUERY\n\0");
        let shown: Vec<_> = read
            .iter()
            .map(|r| (r.id.as_str(), r.code, r.command.as_str()))
            .collect();
        assert_eq!(
            shown,
            [("1", Some(0), "DATA"), ("fp2", Some(-1004), "DATA QUERY")]
        );
    }

    #[test]
    fn lines_after_the_head_belong_to_it_and_may_hold_anything() {
        let read =
            parse_results(b"ID=7&Return=0&CMD=INFO\n~DeviceName=A&B=C\nauthKey=s3\nUserCount=2\n");
        assert_eq!(read.len(), 1);
        let extra: Vec<_> = read[0]
            .extra
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(extra, [("~DeviceName", "A&B=C"), ("UserCount", "2")]);
    }

    #[test]
    fn a_head_of_one_pair_a_line_is_read_and_the_content_of_a_file_is_not() {
        let read = parse_results(b"ID=5\nSN=ABC1234560001\nReturn=0\nCMD=Shell\nFILENAME=x.txt\nContent=ID=9\nID=8&Return=1&CMD=X\n");
        assert_eq!(read.len(), 1);
        assert_eq!(
            (read[0].id.as_str(), read[0].code, read[0].command.as_str()),
            ("5", Some(0), "Shell")
        );
        assert_eq!(read[0].extra, [(Text::new("FILENAME"), Text::new("x.txt"))]);
    }

    #[test]
    fn a_flood_is_cut_and_nonsense_gives_nothing() {
        assert_eq!(parse_results(&b"ID=1\n".repeat(5_000)).len(), RESULTS_LIMIT);
        let many = [b"ID=1\n".to_vec(), b"k=v\n".repeat(5_000)].concat();
        assert_eq!(parse_results(&many)[0].extra.len(), EXTRA_LIMIT);
        assert_eq!(parse_results(b"Return=0&CMD=X\n=\n&&&\n\xff\xfe"), []);
        assert_eq!(parse_results(b"ID=1&Return=abc")[0].code, None);
    }
}
