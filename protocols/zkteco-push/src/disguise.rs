//! What a terminal said, with the people taken out of it: for a recording that may leave the
//! house.
//!
//! Nothing is kept because it looks harmless. A value stands in a recording only when its key, or
//! its place in a line, is on a list here and its form is the one that belongs there (numbers,
//! times, names of firmware). Passwords, templates, pictures and keys become `*`; everything else
//! becomes other letters and digits of the same form, the same ones each time, so that the same
//! person is the same person all through one recording and nobody in it. What comes out is ASCII.
//!
//! Not kept: names in other alphabets keep only their length, and a PIN loses its value. What
//! replaces a value follows from a random key that nobody keeps; two recordings have nothing in
//! common.

use std::collections::{HashMap, HashSet};

use event::Serial;

use crate::Table;
use crate::query::decode;
use crate::redact::{is_card, is_secret};

/// Longest value that is remembered with what replaced it, in bytes; longer ones are no names.
const REMEMBERED: usize = 64;
/// Longest text kept as it is, in bytes.
const KEPT: usize = 64;
/// Tries for a replacement that stands for nothing else.
const TRIES: u32 = 64;

/// Words that begin a line and say what it is.
const LINE_WORDS: [&str; 14] = [
    "OPLOG",
    "USER",
    "FP",
    "FACE",
    "FVEIN",
    "USERPIC",
    "BIOPHOTO",
    "BIODATA",
    "ERRORLOG",
    "IDCARD",
    "WORKCODE",
    "transaction",
    "rtlog",
    "rtstate",
];

/// Keys whose value is a time, or a number that counts on, in any case.
const COUNTERS: [&str; 10] = [
    "time",
    "time_second",
    "index",
    "tz",
    "stamp",
    "opstamp",
    "attlogstamp",
    "operlogstamp",
    "sitecode",
    "linkid",
];

/// Keys whose value is a small number, in any case.
const NUMBERS: [&str; 40] = [
    "eventaddr",
    "event",
    "eventtype",
    "inoutstatus",
    "inoutstate",
    "verifytype",
    "verified",
    "maskflag",
    "mask",
    "temperature",
    "convtemperature",
    "bitcount",
    "doorid",
    "sensor",
    "relay",
    "alarm",
    "door",
    "addrtype",
    "pri",
    "grp",
    "verify",
    "fid",
    "size",
    "valid",
    "duress",
    "majorver",
    "minorver",
    "format",
    "no",
    "return",
    "count",
    "packcnt",
    "packidx",
    "language",
    "pushver",
    "pushoptionsflag",
    "delay",
    "lockcount",
    "readercount",
    "status",
];

/// Keys whose value is one word of the protocol, in any case.
const TOKENS: [&str; 11] = [
    "table",
    "tablename",
    "type",
    "options",
    "contenttype",
    "authtype",
    "cmd",
    "cmdid",
    "errcode",
    "dataorigin",
    "dateformat",
];

/// Keys whose value says what a terminal is, in any case: in its list of settings, and in a query.
const FACTS: [&str; 11] = [
    "devicename",
    "firmver",
    "fwversion",
    "pushversion",
    "platform",
    "oemvendor",
    "devicetype",
    "regdevicetype",
    "machinetype",
    "commtype",
    "multibiodatasupport",
];

/// How the keys end that count or switch something in a terminal's list of settings.
const COUNTS: [&str; 9] = [
    "count", "fun", "funon", "version", "flag", "enable", "enabled", "max", "ver",
];

/// What may become of a value.
enum Rule {
    Keep,
    Replace,
    Blank,
}

/// Takes people out of what one terminal says. One value for one recording.
pub struct Disguise {
    key: [u8; 32],
    serial: Serial,
    instead: String,
    given: HashMap<Vec<u8>, String>,
    taken: HashSet<String>,
}

impl Disguise {
    /// `key` must be random and is best forgotten afterwards.
    pub fn new(key: [u8; 32], serial: &Serial) -> Self {
        let hash = blake3::keyed_hash(&key, serial.as_str().as_bytes());
        let [a, b, c, d, ..] = *hash.as_bytes();
        let number = u32::from_be_bytes([a, b, c, d]) % 1_000_000;
        Self {
            key,
            serial: serial.clone(),
            instead: format!("RECORDED{number:06}"),
            given: HashMap::new(),
            taken: HashSet::new(),
        }
    }

    /// What stands for the terminal's serial, which is all that a push terminal has to show.
    pub fn serial(&self) -> &str {
        &self.instead
    }

    /// A request's path and query. The path must be one that [`crate::route`] understood.
    pub fn target(&mut self, path: &str, query: &str) -> String {
        let pairs: Vec<String> = query.split('&').map(|pair| self.pair(pair)).collect();
        let query = pairs.join("&");
        if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        }
    }

    fn pair(&mut self, pair: &str) -> String {
        let Some((name, value)) = pair.split_once('=') else {
            return encode(&self.replaced(decode(pair).as_bytes()));
        };
        let (name, value) = (decode(name), decode(value));
        let key = name.trim().to_ascii_lowercase();
        let value = match key.as_str() {
            "sn" if value.eq_ignore_ascii_case(self.serial.as_str()) => self.instead.clone(),
            "info" => self.info(&value),
            _ => self.valued(key.as_bytes(), value.as_bytes(), true),
        };
        let name = match is_word(name.as_bytes()) {
            true => name.into_owned(),
            false => self.replaced(name.as_bytes()),
        };
        format!("{}={}", encode(&name), encode(&value))
    }

    /// The value of `INFO`: the firmware, then numbers, among them its address.
    fn info(&mut self, value: &str) -> String {
        let pieces = value.split(',').enumerate().map(|(at, piece)| {
            let piece = piece.as_bytes();
            if (at == 0 && is_fact(piece)) || is_short(piece) {
                text(piece)
            } else {
                self.replaced(piece)
            }
        });
        pieces.collect::<Vec<_>>().join(",")
    }

    /// A body: of an upload of that table, or without one a list of settings or of results.
    pub fn body(&mut self, table: Option<&Table>, body: &[u8]) -> String {
        let is_list = matches!(table, None | Some(Table::Options));
        let mut out = String::with_capacity(body.len());
        for (at, line) in body.split(|byte| *byte == b'\n').enumerate() {
            if at > 0 {
                out.push('\n');
            }
            let (line, end) = match line.strip_suffix(b"\r") {
                Some(line) => (line, "\r"),
                None => (line, ""),
            };
            if table == Some(&Table::AttLog) {
                self.attendance(line, &mut out);
            } else if !self.line(line, is_list, &mut out) {
                // From here to the end stands a file.
                return out;
            }
            out.push_str(end);
        }
        out
    }

    /// A line of `ATTLOG`: the person, the time, then small numbers.
    fn attendance(&mut self, line: &[u8], out: &mut String) {
        for (at, field) in line.split(|byte| *byte == b'\t').enumerate() {
            if at > 0 {
                out.push('\t');
            }
            let is_kept = match at {
                0 => false,
                1 => is_number(field),
                _ => is_short(field),
            };
            out.push_str(&self.kept_or_replaced(is_kept, field));
        }
    }

    /// Any other line; false when a file begins in it.
    fn line(&mut self, line: &[u8], is_list: bool, out: &mut String) -> bool {
        let ends = |byte: &u8| *byte == b'\t' || (is_list && matches!(byte, b',' | b'&'));
        let mut rest = line;
        loop {
            let end = rest.iter().position(ends);
            let (field, behind) = rest.split_at(end.unwrap_or(rest.len()));
            if !self.field(field, is_list, out) {
                return false;
            }
            let Some((separator, next)) = behind.split_first() else {
                return true;
            };
            out.push(char::from(*separator));
            rest = next;
        }
    }

    fn field(&mut self, field: &[u8], is_list: bool, out: &mut String) -> bool {
        let Some(equals) = field.iter().position(|byte| *byte == b'=') else {
            let is_kept = field.contains(&b':') && is_number(field) || is_operation(field);
            if is_kept {
                out.push_str(&text(field));
            } else {
                self.words(field, out);
            }
            return true;
        };
        let (before, value) = field.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        let start = before.iter().rposition(|byte| !is_of_key(*byte));
        let (lead, key) = before.split_at(start.map_or(0, |at| at + 1));
        self.words(lead, out);
        match is_word(key) {
            true => out.push_str(&text(key)),
            false => out.push_str(&self.replaced(key)),
        }
        out.push('=');
        out.push_str(&self.valued(key, value, is_list));
        !key.eq_ignore_ascii_case(b"content")
    }

    /// What stands in no field: words that say what a line is stay.
    fn words(&mut self, bytes: &[u8], out: &mut String) {
        for (at, word) in bytes.split(|byte| *byte == b' ').enumerate() {
            if at > 0 {
                out.push(' ');
            }
            let is_known = LINE_WORDS
                .iter()
                .any(|known| word.eq_ignore_ascii_case(known.as_bytes()));
            out.push_str(&self.kept_or_replaced(is_known, word));
        }
    }

    fn valued(&mut self, key: &[u8], value: &[u8], is_list: bool) -> String {
        match rule(key, value, is_list) {
            Rule::Blank if value.is_empty() => String::new(),
            Rule::Blank => "*".to_owned(),
            Rule::Keep => text(value),
            Rule::Replace => self.replaced(value),
        }
    }

    fn kept_or_replaced(&mut self, is_kept: bool, value: &[u8]) -> String {
        if is_kept {
            text(value)
        } else {
            self.replaced(value)
        }
    }

    /// An answer of ours, which names the terminal and what is derived from its serial.
    pub fn reply(&self, body: &[u8]) -> String {
        let said = text(body).replace(self.serial.as_str(), &self.instead);
        let lines = said.split('\n').map(|line| {
            let key = line.split_once('=').map(|(key, _)| key);
            let derived = key.filter(|key| ["RegistryCode", "SessionID"].contains(key));
            derived.map_or_else(|| line.to_owned(), |key| format!("{key}=*"))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Other letters and digits for a value, the same ones each time.
    fn replaced(&mut self, value: &[u8]) -> String {
        if !value.iter().any(|byte| is_telling(*byte)) {
            return text(value);
        }
        if let Some(known) = self.given.get(value) {
            return known.clone();
        }
        let own = text(value);
        let mut found = self.drawn(value, 0);
        // Where the short ones are all taken, a longer one.
        let longer = [value, b"1"].concat();
        for attempt in 1..TRIES {
            if found != own && !self.taken.contains(&found) {
                break;
            }
            let form = if attempt < TRIES / 2 { value } else { &longer };
            found = self.drawn(form, attempt);
        }
        if value.len() <= REMEMBERED {
            self.taken.insert(found.clone());
            self.given.insert(value.to_vec(), found.clone());
        }
        found
    }

    fn drawn(&self, value: &[u8], attempt: u32) -> String {
        let mut hash = blake3::Hasher::new_keyed(&self.key);
        hash.update(&attempt.to_be_bytes()).update(value);
        let mut stream = vec![0; value.len()];
        hash.finalize_xof().fill(&mut stream);
        let mut leading = true;
        let drawn = value.iter().zip(stream).map(|(byte, random)| {
            let letter = |first: u8| char::from(first + random % 26);
            let is_zero = leading && *byte == b'0';
            leading &= is_zero || !byte.is_ascii_alphanumeric();
            match byte {
                b'0' if is_zero => '0',
                b'0'..=b'9' => char::from(b'1' + random % 9),
                b'A'..=b'Z' => letter(b'A'),
                b'a'..=b'z' | 0x80.. => letter(b'a'),
                0x7f => '?',
                other => char::from(*other),
            }
        });
        drawn.collect()
    }
}

/// Without what shows how it is put together: the key and what was replaced.
impl std::fmt::Debug for Disguise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disguise").finish_non_exhaustive()
    }
}

fn rule(key: &[u8], value: &[u8], is_list: bool) -> Rule {
    let is = |list: &[&str]| {
        let same = |name: &&str| key.eq_ignore_ascii_case(name.as_bytes());
        list.iter().any(same)
    };
    if is_card(key) {
        return Rule::Replace;
    }
    if is_secret(key) {
        return Rule::Blank;
    }
    let counts = || {
        let lower = key.to_ascii_lowercase();
        COUNTS.iter().any(|end| lower.ends_with(end.as_bytes())) || lower.starts_with(b"max")
    };
    let is_kept = is(&COUNTERS) && is_number(value)
        || is(&NUMBERS) && is_short(value)
        || is(&TOKENS) && is_id(value)
        || is_list && is(&FACTS) && is_fact(value)
        || is_list && is(&["id"]) && is_id(value)
        || is_list && counts() && is_short(value);
    if is_kept { Rule::Keep } else { Rule::Replace }
}

/// A byte that may tell something of a person.
fn is_telling(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() && byte != b'0' || byte >= 0x80
}

fn is_of_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A key as firmware spells them.
fn is_word(key: &[u8]) -> bool {
    (1..=24).contains(&key.len()) && key.iter().all(|byte| is_of_key(*byte) || *byte == b'~')
}

/// A number, a time, or several of them.
fn is_number(value: &[u8]) -> bool {
    value.len() <= 24
        && value
            .iter()
            .all(|byte| b"0123456789-+/:;. T".contains(byte))
}

/// A small number: no card, no identity number and hardly a person.
fn is_short(value: &[u8]) -> bool {
    value.len() <= 5 && is_number(value)
}

/// The id of a command.
fn is_id(value: &[u8]) -> bool {
    value.len() <= 16 && value.iter().all(|byte| is_of_key(*byte))
}

/// What a terminal is, in plain letters.
fn is_fact(value: &[u8]) -> bool {
    value.len() <= KEPT && value.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// `OPLOG` and its code.
fn is_operation(field: &[u8]) -> bool {
    let code = field.strip_prefix(b"OPLOG ").unwrap_or_default();
    (1..=3).contains(&code.len()) && code.iter().all(u8::is_ascii_digit)
}

/// The same as text; what is not ASCII does not come here.
fn text(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        0..0x7f => char::from(*byte),
        _ => '?',
    };
    bytes.iter().map(one).collect()
}

/// As it may stand in a query.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~*,:;/".contains(&byte);
    let one = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
#[path = "disguise_tests.rs"]
mod tests;
