//! Options: `name=value` texts that say what a terminal is.
//!
//! Only options that describe the terminal are asked for; none of the list is a secret. A name
//! that the firmware does not have is answered with an error code, which is no failure.

use event::Text;

/// What a first contact asks for. The serial comes first: a terminal that was swapped is noticed
/// before anything is read from it.
pub(crate) const USUAL: &[&str] = &[
    "~SerialNumber",
    "~DeviceName",
    "~Platform",
    "~OEMVendor",
    "MAC",
    "~ZKFPVersion",
    "ZKFaceVersion",
    "~PIN2Width",
    "~ExtendFmt",
    "TZAdj",
];

/// Longest value kept, in characters.
const VALUE_LIMIT: usize = 256;

/// What a terminal said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    /// Firmware version, for example `Ver 6.60 Nov 13 2019`.
    pub firmware: Option<Text>,
    /// Options in the order asked, without those that the terminal does not have.
    pub options: Vec<(Text, Text)>,
}

impl Info {
    /// The value of an option.
    pub fn get(&self, name: &str) -> Option<&str> {
        let row = self.options.iter().find(|row| row.0 == name)?;
        Some(&row.1)
    }

    /// The terminal's serial number.
    pub fn serial(&self) -> Option<&str> {
        self.get("~SerialNumber")
    }
}

/// The value in an answer to the question for `name`; `None` when the answer is about another
/// option or has no value. Some values hold a `=` of their own.
pub(crate) fn value(name: &str, data: &[u8]) -> Option<Text> {
    let text = plain(data);
    let (key, value) = text.split_once('=')?;
    let bare = |key: &str| key.trim_start_matches('~').to_ascii_lowercase();
    (bare(key) == bare(name) && !value.is_empty()).then(|| Text::new(value))
}

/// Text up to the first NUL, without control characters and at most [`VALUE_LIMIT`] characters.
pub(crate) fn plain(data: &[u8]) -> Text {
    let end = data.iter().position(|&b| b == 0).unwrap_or(data.len());
    let data = data.get(..end).unwrap_or_default();
    String::from_utf8_lossy(data)
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(VALUE_LIMIT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_an_equals_sign_and_ends_at_the_first_nul() {
        let read = |name, data: &[u8]| value(name, data).map(String::from);
        assert_eq!(
            read("~OEMVendor", b"~OEMVendor=A=B\0junk"),
            Some("A=B".into())
        );
        assert_eq!(read("~SSR", b"~SSR=1\0"), Some("1".into()));
        assert_eq!(read("~SSR", b"~ssr=1"), Some("1".into()));
        assert_eq!(read("~SSR", b"~SSR=\0"), None);
        assert_eq!(read("~SSR", b"MAC=1"), None);
        assert_eq!(read("~SSR", b"\0"), None);
    }

    #[test]
    fn control_characters_and_endless_values_are_cut() {
        assert_eq!(plain(b"a\x1b[2Jb"), "a[2Jb");
        assert_eq!(plain(&[b'x'; 5000]).len(), VALUE_LIMIT);
    }
}
