//! Settings, both ways: the option block that answers a handshake, and the list a terminal
//! posts about itself.
//!
//! The block decides what a terminal uploads, from which position, and how it sets its clock,
//! so that everything in it is either a constant, a number, or a text that was checked when it
//! was made ([`Serial`], [`Stamp`]). `ICLOCKSVRURL` and other options that move or empty a
//! terminal are never written here.

use event::{Serial, Text};
use nom::bytes::complete::take_while1;
use nom::character::complete::char;
use nom::combinator::{opt, recognize};
use nom::{IResult, Parser};

use crate::redact::is_secret;
use crate::text::{clean, decode_any};
use crate::{Stamp, Table};

/// The protocol version that we claim; the lower of both sides' counts.
const PROTOCOL_VERSION: &str = "2.4.1";

/// The first version that knows `ATTLOGStamp` and its like, and the named form of `TransFlag`.
const NEW_NAMES_SINCE: [u32; 3] = [2, 2, 14];

/// The option block of one terminal: [`OptionBlock::new`] has the usual values.
#[derive(Debug, Clone)]
pub struct OptionBlock<'a> {
    /// Whose block it is; a terminal ignores one with another serial.
    pub serial: &'a Serial,
    /// `pushver` of the handshake; decides between old and new names.
    pub push_version: Option<&'a str>,
    /// The stamps kept for this terminal, by table. A table without one gets `0`, which asks
    /// for everything.
    pub stamps: &'a [(Table, Stamp)],
    /// Seconds until a failed upload is tried again, 30 to 300.
    pub error_delay: u16,
    /// Seconds between polls, 2 to 60.
    pub delay: u16,
    /// Minutes between checks for new records; 0 is off.
    pub trans_interval: u16,
    /// True: each record is uploaded at once.
    pub realtime: bool,
    /// Seconds east of UTC that the terminal adds to our `Date` to set its clock; `None` leaves
    /// the line out, so that it keeps the offset it has.
    pub time_zone: Option<i32>,
}

impl<'a> OptionBlock<'a> {
    /// A block with the usual delays, no stamps and no time zone.
    pub fn new(serial: &'a Serial, push_version: Option<&'a str>) -> Self {
        Self {
            serial,
            push_version,
            stamps: &[],
            error_delay: 30,
            delay: 10,
            trans_interval: 1,
            realtime: true,
            time_zone: None,
        }
    }

    /// The body of the reply; every line ends in LF.
    pub fn text(&self) -> String {
        let new = has_new_names(self.push_version);
        let mut lines = vec![format!("GET OPTION FROM: {}", self.serial)];
        self.put_stamps(&mut lines, new);
        lines.push(format!("ErrorDelay={}", self.error_delay));
        lines.push(format!("Delay={}", self.delay));
        lines.push("TransTimes=00:00;14:05".into());
        lines.push(format!("TransInterval={}", self.trans_interval));
        // Attendance and operations only: no people, templates or pictures. The digits of the
        // old form mean the same in both vendor tables as long as only these two are set.
        lines.push(if new {
            "TransFlag=TransData AttLog\tOpLog".into()
        } else {
            "TransFlag=1100000000".into()
        });
        if let Some(offset) = self.time_zone.and_then(zone_text) {
            lines.push(format!("TimeZone={offset}"));
        }
        lines.push(format!("Realtime={}", u8::from(self.realtime)));
        lines.push("Encrypt=0".into());
        if new {
            lines.push(format!("ServerVer={PROTOCOL_VERSION}"));
            lines.push(format!("PushProtVer={PROTOCOL_VERSION}"));
            lines.push("PushOptionsFlag=1".into());
            lines.push("SupportPing=1".into());
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn put_stamps(&self, lines: &mut Vec<String>, new: bool) {
        let always = [
            (Table::AttLog, "Stamp"),
            (Table::OperLog, "OpStamp"),
            (Table::AttPhoto, "PhotoStamp"),
        ];
        for (table, old_name) in always {
            let value = self.stamp(&table).map_or("0", Stamp::as_str);
            lines.push(if new {
                format!("{}Stamp={value}", table.name())
            } else {
                format!("{old_name}={value}")
            });
        }
        if new {
            for table in [Table::BioData, Table::IdCard, Table::ErrorLog] {
                if let Some(stamp) = self.stamp(&table) {
                    lines.push(format!("{}Stamp={}", table.name(), stamp.as_str()));
                }
            }
        }
    }

    fn stamp(&self, table: &Table) -> Option<&Stamp> {
        let known = self.stamps.iter().find(|(of, _)| of == table);
        known.map(|(_, stamp)| stamp)
    }
}

/// Whether a terminal of that `pushver` knows the new names: 2.2.14 and later do, older ones
/// and those that do not say do not. Letters behind the numbers (`3.1.2S`) do not matter.
fn has_new_names(push_version: Option<&str>) -> bool {
    let mut version = [0; 3];
    let parts = push_version.unwrap_or_default().split('.');
    for (slot, part) in version.iter_mut().zip(parts) {
        let digits = part.trim().split(|c: char| !c.is_ascii_digit()).next();
        *slot = digits.and_then(|d| d.parse().ok()).unwrap_or(0);
    }
    version >= NEW_NAMES_SINCE
}

/// Whole hours as hours, others as minutes; `None` for offsets that terminals would misread.
fn zone_text(seconds: i32) -> Option<i32> {
    let (hours, minutes) = (seconds / 3600, seconds / 60);
    if !(-12..=14).contains(&hours) {
        return None;
    }
    if seconds % 3600 == 0 {
        return Some(hours);
    }
    (minutes.abs() > 60).then_some(minutes)
}

/// Most settings kept of one list.
const LIST_LIMIT: usize = 512;
/// Longest key kept, in characters.
const KEY_LIMIT: usize = 64;
/// Longest value kept, in characters.
const VALUE_LIMIT: usize = 256;

/// The settings that a terminal tells when it registers.
pub fn read_settings(body: &[u8]) -> Vec<(Text, Text)> {
    read_list(&decode_any(body))
}

/// Reads `key=value,~key=value,…`. A value may hold commas: one separates only where a key
/// follows it. Secrets are left out.
pub(crate) fn read_list(text: &str) -> Vec<(Text, Text)> {
    text.split(['\n', '\r', '\t', '\0'])
        .flat_map(settings)
        .filter_map(|setting| kept(setting.split_once('=')?))
        .take(LIST_LIMIT)
        .collect()
}

/// A key and value as they are kept; `None` for secrets and for keys that are none.
pub(crate) fn kept((key, value): (&str, &str)) -> Option<(Text, Text)> {
    let key = key.trim();
    let secret = is_secret(key.trim_start_matches('~').as_bytes());
    (!key.is_empty() && !secret).then(|| (clean(key, KEY_LIMIT), clean(value.trim(), VALUE_LIMIT)))
}

/// Cuts a list at the commas that a key follows.
fn settings(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?;
        let cut = text
            .match_indices(',')
            .map(|(at, _)| at)
            .find(|at| text.get(at + 1..).is_some_and(|after| key(after).is_ok()));
        let end = cut.unwrap_or(text.len());
        rest = cut.and_then(|at| text.get(at + 1..));
        text.get(..end)
    })
}

/// A key with its `=`, for example `~DeviceName=`.
fn key(input: &str) -> IResult<&str, &str> {
    let name = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '_');
    recognize((opt(char('~')), name, char('='))).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(push_version: Option<&str>, time_zone: Option<i32>) -> String {
        let serial = Serial::new("ABC1234560001").unwrap();
        let mut block = OptionBlock::new(&serial, push_version);
        block.time_zone = time_zone;
        block.text()
    }

    #[test]
    fn old_names_go_to_terminals_that_do_not_say_or_are_older_than_2_2_14() {
        for old in [None, Some(""), Some("1.0"), Some("2.2.13"), Some("x")] {
            let text = block(old, None);
            assert!(
                text.contains("\nStamp=0\nOpStamp=0\nPhotoStamp=0\n"),
                "{old:?}"
            );
            assert!(text.contains("\nTransFlag=1100000000\n"));
            assert!(!text.contains("ATTLOGStamp") && !text.contains("ServerVer"));
        }
        for new in ["2.2.14", "2.4.1", "3.1.2S", "2.10.0", "3"] {
            let text = block(Some(new), None);
            assert!(
                text.contains("\nATTLOGStamp=0\nOPERLOGStamp=0\nATTPHOTOStamp=0\n"),
                "{new}"
            );
            assert!(text.contains("\nTransFlag=TransData AttLog\tOpLog\n"));
            assert!(!text.contains("\nStamp="));
        }
    }

    #[test]
    fn the_zone_is_in_hours_or_in_minutes_or_left_out() {
        for (seconds, line) in [
            (0, "TimeZone=0"),
            (-6 * 3600, "TimeZone=-6"),
            (14 * 3600, "TimeZone=14"),
            (19_800, "TimeZone=330"),
            (20_700, "TimeZone=345"),
            (-12_600, "TimeZone=-210"),
            (45_900, "TimeZone=765"),
        ] {
            let text = block(Some("2.4.1"), Some(seconds));
            assert!(text.lines().any(|l| l == line), "{seconds}: {text}");
        }
        for absurd in [i32::MIN, i32::MAX, 1800, -1800, 15 * 3600] {
            assert!(!block(Some("2.4.1"), Some(absurd)).contains("TimeZone"));
        }
        assert!(!block(Some("2.4.1"), None).contains("TimeZone"));
    }

    #[test]
    fn stamps_are_echoed_in_the_form_in_which_they_came() {
        let serial = Serial::new("ABC1234560001").unwrap();
        let stamps = [
            (Table::AttLog, Stamp::new("0009999").unwrap()),
            (Table::OperLog, Stamp::new("2026-11-21T10:15:30").unwrap()),
            (Table::ErrorLog, Stamp::new("5").unwrap()),
        ];
        let mut block = OptionBlock::new(&serial, Some("2.4.1"));
        block.stamps = &stamps;
        let text = block.text();
        assert!(text.contains("\nATTLOGStamp=0009999\nOPERLOGStamp=2026-11-21T10:15:30\nATTPHOTOStamp=0\nERRORLOGStamp=5\n"));
        block.push_version = None;
        assert!(
            block
                .text()
                .contains("\nStamp=0009999\nOpStamp=2026-11-21T10:15:30\nPhotoStamp=0\nErrorDelay")
        );
    }

    #[test]
    fn every_line_of_the_block_ends_in_lf_and_none_is_empty() {
        for version in [None, Some("2.4.1")] {
            let text = block(version, Some(0));
            assert!(text.starts_with("GET OPTION FROM: ABC1234560001\n"));
            assert!(text.ends_with('\n') && !text.contains("\n\n") && !text.contains('\r'));
        }
    }

    #[test]
    fn a_comma_inside_a_value_does_not_end_it_and_secrets_are_left_out() {
        let list = read_list(
            "~DeviceName=X,~OEMVendor=ZKTECO CO., LTD.,MAC=00:17,authKey=s3,Empty=,a=1,b\nc=2",
        );
        let list: Vec<(&str, &str)> = list.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            list,
            [
                ("~DeviceName", "X"),
                ("~OEMVendor", "ZKTECO CO., LTD."),
                ("MAC", "00:17"),
                ("Empty", ""),
                ("a", "1,b"),
                ("c", "2"),
            ]
        );
        assert_eq!(read_list(&"k=v,".repeat(10_000)).len(), LIST_LIMIT);
        assert_eq!(read_list("nothing"), []);
    }
}
