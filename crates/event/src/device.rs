//! Who sends events: serials, tenants, device identities.
//!
//! A serial is printed on a case and can be copied; a [`DeviceId`] is one enrolment, random
//! and never reused. Names that reach file names, SQL or option blocks are checked here, at
//! construction, so that no later room has to doubt them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Text, Zone};

/// Why a serial or a tenant name was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text is longer than the limit.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// The text holds a character outside letters, digits, `-` and `_`.
    #[error("may hold only letters, digits, '-' and '_'")]
    Character,
}

fn check_name(text: &str, limit: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > limit {
        return Err(NameError::TooLong(limit));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if text.bytes().all(allowed) {
        Ok(())
    } else {
        Err(NameError::Character)
    }
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $limit:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "Text", into = "Text")]
        pub struct $name(Text);

        impl $name {
            /// Longest text accepted, in bytes.
            pub const LIMIT: usize = $limit;

            /// Checks the text. See [`NameError`] for what is refused.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check_name(text, Self::LIMIT).map(|()| Self(Text::new(text)))
            }

            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<Text> for $name {
            type Error = NameError;

            fn try_from(text: Text) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl From<$name> for Text {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
    };
}

checked_name!(
    /// A terminal's serial number, as it names itself: 1 to 32 of `A-Z a-z 0-9 - _`.
    ///
    /// Serials come from the network and travel into logs, option blocks and URLs, so
    /// anything else is refused before it gets that far.
    Serial, 32
);
checked_name!(
    /// A tenant (one client of the operator), as the configuration names it: 1 to 64 of
    /// `A-Z a-z 0-9 - _`.
    TenantId, 64
);

/// Who made the terminal, and so which protocol family it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// ZKTeco and its many clones: iclock push, port 4370.
    Zkteco,
    /// Hikvision: ISAPI.
    Hikvision,
    /// Any other make, whose records are read by a mapping file.
    Other,
    /// Satellite itself, for events about the feed.
    Satellite,
}

impl Vendor {
    /// The word that stands in databases, commands and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zkteco => "zkteco",
            Self::Hikvision => "hikvision",
            Self::Other => "other",
            Self::Satellite => "satellite",
        }
    }

    /// The vendor of that word, if there is one.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Zkteco, Self::Hikvision, Self::Other, Self::Satellite]
            .into_iter()
            .find(|v| v.as_str() == word)
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One enrolment of one terminal: 16 random bytes, never reused.
///
/// It travels with exports, so that an event keeps its identity across installations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(pub [u8; 16]);

impl DeviceId {
    /// Reads exactly 16 bytes, as the databases hold it.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Reads 32 hexadecimal digits, as [`fmt::Display`] writes them.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({self})")
    }
}

/// What readers of the feed are told about a terminal, and what its events are read with.
///
/// The store keeps a copy of this in each event database that holds the terminal's events.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// This enrolment.
    pub id: DeviceId,
    /// Whose terminal it is; `None` only for satellite's own pseudo device of a store.
    pub tenant: Option<TenantId>,
    /// Protocol family.
    pub vendor: Vendor,
    /// Serial number as the terminal names itself.
    pub serial: Serial,
    /// A name that people gave it, if they did.
    pub name: Option<Text>,
    /// A place that people gave it, if they did.
    pub site: Option<Text>,
    /// The zone of its wall clock.
    pub zone: Zone,
    /// True for the watchdog's own reserved terminals: stored the same way, shown in
    /// `canary_feed` only.
    pub canary: bool,
}

/// Devices are shared between the door, the writer and the status pages.
pub type SharedDevice = Arc<Device>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_with_anything_but_letters_digits_dash_and_underscore_is_refused() {
        assert!(Serial::new("ABC-123_x").is_ok());
        for bad in ["", "a b", "a\nb", "../x", "é", "a'b", "a;b"] {
            assert!(Serial::new(bad).is_err(), "{bad:?}");
        }
        assert!(Serial::new(&"x".repeat(32)).is_ok());
        assert_eq!(Serial::new(&"x".repeat(33)), Err(NameError::TooLong(32)));
    }

    #[test]
    fn the_words_of_vendors_are_those_of_databases_and_read_back() {
        for (vendor, word) in [
            (Vendor::Zkteco, "zkteco"),
            (Vendor::Hikvision, "hikvision"),
            (Vendor::Other, "other"),
            (Vendor::Satellite, "satellite"),
        ] {
            assert_eq!(vendor.to_string(), word);
            assert_eq!(Vendor::from_word(word), Some(vendor));
        }
        assert_eq!(Vendor::from_word("ZKTeco"), None);
    }

    #[test]
    fn a_device_id_reads_back_from_its_own_text() {
        let id = DeviceId([0xab; 16]);
        assert_eq!(DeviceId::from_hex(&id.to_string()), Some(id));
        assert_eq!(DeviceId::from_slice(&id.0), Some(id));
        assert_eq!(DeviceId::from_slice(&id.0[1..]), None);
        assert_eq!(format!("{id:?}"), format!("DeviceId({})", "ab".repeat(16)));
        assert_eq!(DeviceId::from_hex("zz"), None);
        assert_eq!(DeviceId::from_hex(&"é".repeat(16)), None);
    }
}
