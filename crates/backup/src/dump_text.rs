//! Reads a dump while it passes: which tables it holds, and every row of them.
//!
//! The hashes of a copy are made from the dump itself and not from a second look at the database:
//! a transaction beside the dump sees another moment, and would call a good copy bad or a bad one
//! good. So what is hashed is what is in the copy, to the byte, and what a restore is held
//! against. Values are taken as the server would read them (escapes and hexadecimal undone), so
//! that a restored table gives the same hash by a plain SELECT.
//!
//! Lines that name the account which made a view are left out: they would need that account, and
//! a right that nobody should have, where the dump is restored. Nothing here trusts the dump to be
//! whole: [`DumpText::is_whole`] says whether its last line came.

use store::contents::{Contents, RowBytes, day_column};

/// A line that is no row and is longer than this is not kept, in bytes.
const LINE: usize = 1 << 20;
/// Who made a view.
const DEFINER: &[u8] = b"/*!50013 DEFINER=";
/// The last line of a dump that came to its end.
const END: &[u8] = b"-- Dump completed";

/// How the line begins that says where in the binary log the dump stands.
const LOG: &[u8] = b"-- CHANGE MASTER TO MASTER_LOG_FILE='";

/// Where in the text we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In a line outside rows, which is collected.
    Line,
    /// Between rows of a table.
    Rows,
    /// Before a value.
    Value,
    /// In a number, a hexadecimal number or NULL.
    Bare,
    /// In a text.
    Text,
    /// In a text, behind a backslash.
    Escape,
    /// Behind a quote in a text: doubled, it is one; else the text has ended.
    Quote,
}

/// Follows a dump.
#[derive(Debug)]
pub(crate) struct DumpText {
    at: At,
    line: Vec<u8>,
    table: String,
    columns: Vec<String>,
    in_table: bool,
    day: Option<usize>,
    value: Vec<u8>,
    when: Option<Vec<u8>>,
    place: usize,
    row: RowBytes,
    contents: Contents,
    log: Option<(String, u64)>,
    whole: bool,
}

impl DumpText {
    pub(crate) fn new() -> Self {
        Self {
            at: At::Line,
            line: Vec::new(),
            table: String::new(),
            columns: Vec::new(),
            in_table: false,
            day: None,
            value: Vec::new(),
            when: None,
            place: 0,
            row: RowBytes::default(),
            contents: Contents::default(),
            log: None,
            whole: false,
        }
    }

    /// Follows the next bytes, and adds to `out` those that belong into the copy.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            if self.at == At::Line {
                self.in_line(byte, out);
            } else {
                out.push(byte);
                self.in_rows(byte);
            }
        }
    }

    /// What the dump held; call it at its end.
    pub(crate) fn contents(self) -> Contents {
        self.contents
    }

    /// The name of the binary log and the place in it at which the dump stands, if it says so.
    pub(crate) fn log(&self) -> Option<(String, u64)> {
        self.log.clone()
    }

    /// True when its last line came: a dump that was cut off lacks it.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole && self.at == At::Line
    }

    fn in_line(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.line.push(byte);
        if byte == b'\n' {
            let line = std::mem::take(&mut self.line);
            if !line.starts_with(DEFINER) {
                out.extend_from_slice(&line);
            }
            self.end_of_line(&line);
            self.line = line;
            self.line.clear();
            return;
        }
        if byte == b'S' && self.begins_rows() {
            out.append(&mut self.line);
            self.at = At::Rows;
        } else if self.line.len() >= LINE {
            out.append(&mut self.line);
        }
    }

    /// Whether the line so far is the head of rows; then it is known whose.
    fn begins_rows(&mut self) -> bool {
        let head = self.line.strip_prefix(b"INSERT INTO `");
        let Some(name) = head.and_then(|rest| rest.strip_suffix(b"` VALUES")) else {
            return false;
        };
        let name = String::from_utf8_lossy(name).into_owned();
        if name != self.table {
            self.table = name;
            self.columns.clear();
            self.day = None;
        }
        true
    }

    fn end_of_line(&mut self, line: &[u8]) {
        if line.starts_with(END) {
            self.whole = true;
        } else if let Some(rest) = line.strip_prefix(LOG) {
            self.log = read_log(rest);
        } else if let Some(name) = quoted(line, b"CREATE TABLE `") {
            self.contents.table(&name);
            self.table = name;
            self.columns.clear();
            self.in_table = true;
        } else if !self.in_table {
        } else if let Some(column) = quoted(line, b"  `") {
            self.columns.push(column);
        } else if line.starts_with(b")") {
            self.in_table = false;
            self.day = day_column(&self.columns);
        }
    }

    fn in_rows(&mut self, byte: u8) {
        match (self.at, byte) {
            (At::Rows, b'(') => {
                self.row.clear();
                self.place = 0;
                self.when = None;
                self.at = At::Value;
            }
            (At::Rows, b';') => self.at = At::Line,
            (At::Rows | At::Line, _) => {}
            (At::Value | At::Bare, b'\'') => {
                // What stands before the quote (`_binary `) is no part of the value.
                self.value.clear();
                self.at = At::Text;
            }
            (At::Value | At::Bare, b',') => self.bare_ends(false),
            (At::Value | At::Bare, b')') => self.bare_ends(true),
            (At::Value | At::Bare, byte) => {
                self.value.push(byte);
                self.at = At::Bare;
            }
            (At::Text, b'\\') => self.at = At::Escape,
            (At::Text, b'\'') => self.at = At::Quote,
            (At::Text, byte) => self.value.push(byte),
            (At::Escape, byte) => {
                self.value.push(unescaped(byte));
                self.at = At::Text;
            }
            (At::Quote, b'\'') => {
                self.value.push(b'\'');
                self.at = At::Text;
            }
            (At::Quote, b',') => self.value_ends(true, false),
            (At::Quote, b')') => self.value_ends(true, true),
            (At::Quote, _) => {}
        }
    }

    fn bare_ends(&mut self, last: bool) {
        if self.value == b"NULL" {
            self.value_ends(false, last);
            return;
        }
        if let Some(digits) = self.value.strip_prefix(b"0x") {
            self.value = from_hexadecimal(digits);
        }
        self.value_ends(true, last);
    }

    fn value_ends(&mut self, is_there: bool, last: bool) {
        let value = is_there.then_some(self.value.as_slice());
        self.row.push(value);
        if self.day == Some(self.place) {
            self.when = value.map(<[u8]>::to_vec);
        }
        self.value.clear();
        self.place += 1;
        self.at = At::Value;
        if last {
            self.contents
                .add(&self.table, self.when.as_deref(), &self.row);
            self.at = At::Rows;
        }
    }
}

/// The name and the place behind the begin of the line that has them.
fn read_log(rest: &[u8]) -> Option<(String, u64)> {
    let rest = std::str::from_utf8(rest).ok()?;
    let (file, rest) = rest.split_once("', MASTER_LOG_POS=")?;
    let place = rest.trim_end().strip_suffix(';')?;
    Some((file.to_owned(), place.parse().ok()?))
}

/// What stands between `start` at the begin of the line and the next backtick.
fn quoted(line: &[u8], start: &[u8]) -> Option<String> {
    let rest = line.strip_prefix(start)?;
    let end = rest.iter().position(|byte| *byte == b'`')?;
    Some(String::from_utf8_lossy(rest.get(..end)?).into_owned())
}

/// The byte that a backslash and this one stand for.
fn unescaped(byte: u8) -> u8 {
    match byte {
        b'0' => 0,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'Z' => 26,
        other => other,
    }
}

fn from_hexadecimal(digits: &[u8]) -> Vec<u8> {
    let value = |digit: &u8| {
        (*digit as char)
            .to_digit(16)
            .and_then(|it| u8::try_from(it).ok())
    };
    let pair = |pair: &[u8]| {
        let mut digits = pair.iter().map(|digit| value(digit).unwrap_or_default());
        digits.next().unwrap_or_default() << 4 | digits.next().unwrap_or_default()
    };
    digits.chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "CREATE TABLE `event` (\n  `seq` bigint(20) NOT NULL,\n  `received_at` datetime(3) NOT NULL,\n  \
                        `raw` mediumblob NOT NULL,\n  PRIMARY KEY (`seq`)\n) ENGINE=InnoDB;\n";

    fn read(text: &[u8]) -> (DumpText, Vec<u8>) {
        let (mut dump, mut out) = (DumpText::new(), Vec::new());
        // Byte by byte: pieces of a pipe end anywhere.
        text.iter().for_each(|byte| dump.feed(&[*byte], &mut out));
        (dump, out)
    }

    fn made(rows: &[[Option<&[u8]>; 3]]) -> Contents {
        let mut contents = Contents::default();
        contents.table("event");
        for row in rows {
            let mut bytes = RowBytes::default();
            row.iter().for_each(|value| bytes.push(*value));
            contents.add("event", row[1], &bytes);
        }
        contents
    }

    #[test]
    fn every_way_to_write_a_value_is_read_as_the_server_reads_it() {
        let rows = "INSERT INTO `event` VALUES\n(1,'2026-11-26 09:00:00.000',0x00FF27),\n\
                    (-2,NULL,'o\\'k\\\\ \\n\\0;)(,'),(3,'2026-11-27 00:00:00.000',_binary ''''),(4,'','');\n";
        let text = format!("{HEAD}{rows}-- Dump completed on 2026-11-26\n");
        let (dump, out) = read(text.as_bytes());
        assert!(dump.is_whole());
        assert_eq!(out, text.as_bytes());
        let want = made(&[
            [
                Some(b"1"),
                Some(b"2026-11-26 09:00:00.000"),
                Some(b"\x00\xff'"),
            ],
            [Some(b"-2"), None, Some(b"o'k\\ \n\0;)(,")],
            [Some(b"3"), Some(b"2026-11-27 00:00:00.000"), Some(b"'")],
            [Some(b"4"), Some(b""), Some(b"")],
        ]);
        assert_eq!(dump.contents().differences(&want), Vec::<String>::new());
    }

    #[test]
    fn a_dump_that_was_cut_off_is_not_whole_wherever_the_cut_is() {
        let text = format!(
            "{HEAD}INSERT INTO `event` VALUES (1,'-- Dump completed\n','');\n-- Dump completed\n"
        );
        for end in 0..text.len() - "-- Dump completed\n".len() {
            assert!(!read(&text.as_bytes()[..end]).0.is_whole(), "{end}");
        }
        assert!(read(text.as_bytes()).0.is_whole());
    }

    #[test]
    fn where_the_dump_stands_in_the_log_is_read_and_no_row_can_say_it() {
        let line = "-- CHANGE MASTER TO MASTER_LOG_FILE='log.000007', MASTER_LOG_POS=4711;\n";
        let (dump, _) = read(line.as_bytes());
        assert_eq!(dump.log(), Some(("log.000007".to_owned(), 4_711)));
        let row = format!("{HEAD}INSERT INTO `event` VALUES (1,'x','\n{line}');\n");
        assert_eq!(read(row.as_bytes()).0.log(), None);
    }

    #[test]
    fn who_made_a_view_is_left_out_and_nothing_else() {
        let before = "/*!50001 CREATE ALGORITHM=UNDEFINED */\n";
        let definer = "/*!50013 DEFINER=`a`@`b` SQL SECURITY DEFINER */\n";
        let (_, out) =
            read(format!("{before}{definer}/*!50001 VIEW `v` AS select 1 */;\n").as_bytes());
        assert_eq!(
            out,
            format!("{before}/*!50001 VIEW `v` AS select 1 */;\n").as_bytes()
        );
        let row = format!("INSERT INTO `t` VALUES ('\n{definer}');\n");
        assert_eq!(read(row.as_bytes()).1, row.as_bytes());
    }

    proptest! {
        #[test]
        fn any_bytes_are_followed_without_a_fault(bytes: Vec<u8>) {
            let text = [HEAD.as_bytes(), b"INSERT INTO `event` VALUES (", &bytes].concat();
            read(&text);
        }

        #[test]
        fn any_value_survives_being_written_as_a_dump_writes_it(value: Vec<u8>) {
            let mut text = format!("{HEAD}INSERT INTO `event` VALUES (1,'x','").into_bytes();
            for byte in &value {
                match byte {
                    0 => text.extend(b"\\0"),
                    b'\n' => text.extend(b"\\n"),
                    b'\r' => text.extend(b"\\r"),
                    26 => text.extend(b"\\Z"),
                    b'\\' | b'\'' | b'"' => text.extend([b'\\', *byte]),
                    other => text.push(*other),
                }
            }
            text.extend(b"');\n");
            let want = made(&[[Some(b"1"), Some(b"x"), Some(&value)]]);
            prop_assert_eq!(read(&text).0.contents(), want);
        }
    }
}
