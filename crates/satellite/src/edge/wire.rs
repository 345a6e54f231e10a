//! The form in which an edge hands over: one JSON body, and its answer.
//!
//! Keys are only ever added, and what is not known is passed over, so that an edge of another version
//! is understood. Texts are the feed's own; times are milliseconds since 1970 UTC. A record stands as
//! it is where its bytes are text, else in hexadecimal. `feed`, `from` and `to` say which part of
//! which database's feed this is: everything above `from` and up to `to`. An answer is a success only
//! when it says that all of that is held.

use event::{Bytes, Serial, Vendor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::feed::FeedRow;
use store::quarantine::QuarantineRow;

use crate::hex::hex;

/// The version of the form.
pub(crate) const SCHEMA: &str = "satellite.edge/1";

/// A terminal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Terminal {
    pub(crate) vendor: Vendor,
    pub(crate) serial: Serial,
}

/// What is handed over at once.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Batch {
    pub(crate) schema: String,
    /// Names the edge's database for ever: 32 hexadecimal digits.
    pub(crate) feed: String,
    /// Everything up to there is held over there already, as the edge believes.
    pub(crate) from: i64,
    /// This is everything up to there.
    pub(crate) to: i64,
    /// Age of the oldest event that was not handed over before this.
    #[serde(default)]
    pub(crate) lag_seconds: u64,
    /// [`Carried`], each read by itself, so that one that is malformed holds up no other.
    #[serde(default)]
    pub(crate) events: Vec<Value>,
    /// [`Aside`], likewise.
    #[serde(default)]
    pub(crate) set_aside: Vec<Value>,
    /// [`Statement`], likewise.
    #[serde(default)]
    pub(crate) terminals: Vec<Value>,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Carried {
    #[serde(flatten)]
    pub(crate) terminal: Terminal,
    /// The identity, 32 hexadecimal digits. It is believed where it follows from the record.
    pub(crate) ident: String,
    pub(crate) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) person: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) card: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) local_time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) occurred_at: Option<i64>,
    /// When the edge received it.
    pub(crate) received_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) verify_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vendor_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) direction: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) door: Option<String>,
    /// How it came to the edge.
    pub(crate) route: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attributes: Option<String>,
    /// The language of a push terminal, where its records may depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) language: Option<u16>,
    #[serde(flatten)]
    pub(crate) raw: Raw,
}

/// The record's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Raw {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw_hex: Option<String>,
}

/// A record in the edge's quarantine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Aside {
    #[serde(flatten)]
    pub(crate) terminal: Terminal,
    pub(crate) reason: String,
    pub(crate) detail: String,
    pub(crate) source: String,
    #[serde(flatten)]
    pub(crate) raw: Raw,
}

/// What the edge knows of a terminal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Statement {
    #[serde(flatten)]
    pub(crate) terminal: Terminal,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_contact_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_event_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clock_skew_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log_used: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log_capacity: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) users_used: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) users_capacity: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) firmware: Option<String>,
    /// Its conditions, by name, each with its sentence.
    #[serde(default)]
    pub(crate) conditions: Vec<(String, String)>,
    /// What can be claimed of its record. Made before anything above `to` was stored, so that
    /// whoever holds everything up to there may claim it too. Absent while the edge itself may
    /// not: something of it waits in its journal, or was not taken over there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) claim: Option<Said>,
}

/// A claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// `proven`, `seen`, `unproven`.
    pub(crate) completeness: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gap_events: Option<u64>,
    /// Everything that happened up to then is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) complete_to: Option<i64>,
    /// By what: `serials`, `counter`, `read`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) means: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device_count: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stored_count: Option<i64>,
    /// Of a Hikvision device: the chain of its serials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chain: Option<String>,
}

/// What the edge hears.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) schema: String,
    /// Everything of this feed up to there is held, but for what `held_back` names.
    pub(crate) have: i64,
    /// Terminals that are not approved for this edge's tenant: nothing of them was taken.
    #[serde(default)]
    pub(crate) held_back: Vec<Terminal>,
    #[serde(default)]
    pub(crate) stored: u64,
    #[serde(default)]
    pub(crate) known: u64,
    #[serde(default)]
    pub(crate) quarantined: u64,
    #[serde(default)]
    pub(crate) before_enrolment: u64,
}

impl Raw {
    /// Those bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            _ if bytes.is_empty() => Self::default(),
            Ok(text) => Self {
                raw: Some(text.to_owned()),
                raw_hex: None,
            },
            Err(_) => Self {
                raw: None,
                raw_hex: Some(hex(bytes)),
            },
        }
    }

    /// The bytes; `None` when they are written in no way that is known.
    pub(crate) fn bytes(&self) -> Option<Bytes> {
        match (&self.raw, &self.raw_hex) {
            (Some(text), None) => Some(Bytes::copy_from_slice(text.as_bytes())),
            (None, Some(digits)) => unhex(digits).map(Bytes::from),
            (None, None) => Some(Bytes::new()),
            (Some(_), Some(_)) => None,
        }
    }
}

/// The bytes of hexadecimal digits.
pub(crate) fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let [high, low] = pair else { return None };
        let digit = |d: u8| char::from(d).to_digit(16);
        u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
    };
    pairs.map(byte).collect()
}

impl Terminal {
    /// By the feed's words; `None` for what names no terminal.
    pub(crate) fn of(vendor: &str, serial: &str) -> Option<Self> {
        Some(Self {
            vendor: Vendor::from_word(vendor)?,
            serial: Serial::new(serial).ok()?,
        })
    }
}

impl Carried {
    /// A row of the feed with its identity; `None` for one that is no terminal's.
    pub(crate) fn of(row: &FeedRow, ident: &[u8], language: Option<u16>) -> Option<Self> {
        Some(Self {
            terminal: Terminal::of(&row.vendor, &row.serial)?,
            ident: hex(ident),
            kind: row.kind.clone(),
            person: row.person.clone(),
            card: row.card.clone(),
            local_time: row.local_time.clone(),
            occurred_at: row.occurred_at.map(|at| at.0),
            received_at: row.received_at.0,
            status_code: row.status_code.clone(),
            verify_code: row.verify_code.clone(),
            vendor_code: row.vendor_code.clone(),
            direction: row.direction.clone(),
            door: row.door.clone(),
            route: row.route.clone(),
            attributes: row.attributes.clone(),
            language,
            raw: Raw::of(&row.raw),
        })
    }
}

impl Aside {
    /// A row of the quarantine; `None` for one that is no terminal's.
    pub(crate) fn of(row: &QuarantineRow, vendor: Vendor) -> Option<Self> {
        Some(Self {
            terminal: Terminal {
                vendor,
                serial: Serial::new(row.serial.as_deref()?).ok()?,
            },
            reason: row.reason.clone(),
            detail: row.detail.clone(),
            source: row.source.clone(),
            raw: Raw::of(&row.raw),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_were_whether_they_are_text_or_not() {
        for bytes in [
            &b""[..],
            b"7\t2026-11-27 09:00:00",
            b"\xff\0\x01",
            "ñ\n".as_bytes(),
        ] {
            let written = serde_json::to_string(&Raw::of(bytes)).unwrap();
            let read: Raw = serde_json::from_str(&written).unwrap();
            assert_eq!(read.bytes().unwrap(), bytes, "{written}");
        }
        for bad in [
            "{\"raw_hex\":\"0\"}",
            "{\"raw_hex\":\"zz\"}",
            "{\"raw\":\"a\",\"raw_hex\":\"61\"}",
            "{\"raw_hex\":\"é0\"}",
        ] {
            let read: Raw = serde_json::from_str(bad).unwrap();
            assert_eq!(read.bytes(), None, "{bad}");
        }
    }
}
