//! The option block that answers a handshake, read the way the old firmware reads it.
//!
//! The first line must be `GET OPTION FROM: ` with the terminal's own serial; a body that starts
//! with `UN` or `RETRY` is a failure. CR and LF both end a line, and a last line that is not
//! ended is dropped: a server that forgets the final LF loses its last option here, as it
//! would on a wall. Unknown keys are passed over.

use std::time::Duration;

/// What a terminal keeps of an option block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Options {
    /// Time between polls.
    pub(super) delay: Option<Duration>,
    /// Time before a failed exchange is tried again.
    pub(super) error_delay: Option<Duration>,
    /// Minutes east of UTC.
    pub(super) zone_minutes: Option<i32>,
    /// The attendance stamp; absent and `None` are read as 0.
    pub(super) attlog_stamp: u64,
    /// The server wants `table=options`.
    pub(super) options_wanted: bool,
}

impl Options {
    /// Reads a block; `None` when the terminal would not take it for one of its own.
    pub(super) fn read(body: &[u8], serial: &str) -> Option<Self> {
        let text = String::from_utf8_lossy(body);
        if text.starts_with("UN") || text.starts_with("RETRY") {
            return None;
        }
        let ended = text.rfind(['\r', '\n'])?;
        let mut lines = text.get(..ended)?.split(['\r', '\n']);
        if lines.next()?.strip_prefix("GET OPTION FROM: ")?.trim() != serial {
            return None;
        }
        let mut options = Self::default();
        for (key, value) in lines.filter_map(|line| line.split_once('=')) {
            options.take(key, value.trim());
        }
        Some(options)
    }

    fn take(&mut self, key: &str, value: &str) {
        let seconds = || {
            value
                .parse()
                .ok()
                .filter(|&s| s > 0)
                .map(Duration::from_secs)
        };
        match key {
            "Delay" => self.delay = seconds(),
            "ErrorDelay" => self.error_delay = seconds(),
            "TimeZone" => self.zone_minutes = zone_minutes(value),
            "ATTLOGStamp" | "Stamp" => self.attlog_stamp = leading_number(value),
            "PushOptionsFlag" => self.options_wanted = value == "1",
            _ => {}
        }
    }
}

/// Hours where the number is below 25, minutes otherwise.
fn zone_minutes(value: &str) -> Option<i32> {
    let number: i32 = value.parse().ok()?;
    if number.abs() < 25 {
        Some(number * 60)
    } else {
        Some(number)
    }
}

/// The digits that a stamp starts with; a date-and-time stamp counts by its year.
fn leading_number(value: &str) -> u64 {
    let digits = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    value
        .get(..digits)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_with_old_and_new_names_and_either_line_end() {
        let block = b"GET OPTION FROM: SIM1\r\nATTLOGStamp=864209730\nErrorDelay=30\nDelay=10\n\
                      TimeZone=-210\nPushOptionsFlag=1\nTransFlag=TransData AttLog\tOpLog\n";
        let options = Options::read(block, "SIM1").unwrap();
        assert_eq!(options.delay, Some(Duration::from_secs(10)));
        assert_eq!(options.error_delay, Some(Duration::from_secs(30)));
        assert_eq!(options.zone_minutes, Some(-210));
        assert_eq!(options.attlog_stamp, 864_209_730);
        assert!(options.options_wanted);
        let old =
            Options::read(b"GET OPTION FROM: SIM1\nStamp=None\nTimeZone=-6\n", "SIM1").unwrap();
        assert_eq!((old.attlog_stamp, old.zone_minutes), (0, Some(-360)));
    }

    #[test]
    fn a_last_line_without_its_end_is_lost() {
        let options = Options::read(b"GET OPTION FROM: S\nDelay=10\nErrorDelay=9", "S").unwrap();
        assert_eq!((options.delay.is_some(), options.error_delay), (true, None));
    }

    #[test]
    fn what_is_not_this_terminals_block_is_not_taken() {
        for body in [
            "",
            "OK",
            "UNKNOWN DEVICE\n",
            "RETRY\n",
            "GET OPTION FROM: OTHER\nDelay=1\n",
        ] {
            assert_eq!(Options::read(body.as_bytes(), "SIM1"), None, "{body}");
        }
    }
}
