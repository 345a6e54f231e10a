//! What satellite answers at `/status` and `/devices`, as far as sentinel reads it.
//!
//! The pages' schemas are published (`docs/status.schema.json`, `docs/devices.schema.json`).
//! What a newer satellite adds is passed over. A field that is missing makes the page
//! unreadable, and what is unreadable is unknown: nothing here has a default that could look
//! like health.

use std::borrow::Cow;
use std::collections::BTreeMap;

use compact_str::CompactString;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use crate::looks::store::moment;

/// `/status`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Status {
    /// The running version.
    pub version: String,
    /// Since the start.
    pub uptime_seconds: u64,
    /// Another one means a restart.
    pub started_at: String,
    /// Each database once.
    pub stores: Vec<Store>,
    /// Terminals that wait for approval.
    pub pending: u64,
    /// Its door behind TLS, if it has one.
    pub tls: Option<Tls>,
    /// What lockdowns hold. One that is too old to have any says nothing of them.
    #[serde(default)]
    pub lockdown: Vec<Lockdown>,
    /// Attacks that go on, as above.
    #[serde(default)]
    pub attacks: Vec<Attack>,
    /// The copies of the databases, as above; none where none are configured.
    #[serde(default)]
    pub backup: Option<Copies>,
    /// Where events are carried on to; one that is too old to do that says nothing of it.
    #[serde(default)]
    pub outputs: Vec<Output>,
    /// From where records are taken in; as above.
    #[serde(default)]
    pub inputs: Vec<Input>,
    /// The stages of the work.
    pub stages: Vec<Stage>,
    /// What waits on disk.
    pub journal: Journal,
    /// Counted since the start.
    pub totals: Totals,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Store {
    /// `store`, or the tenant whose own it is.
    pub label: String,
    /// Its address.
    pub place: String,
    /// Whether it takes events.
    pub up: bool,
    /// What is wrong with it, in a word.
    pub trouble: Option<String>,
    /// The same in its own words.
    pub detail: Option<String>,
    /// Submissions that wait.
    pub waiting: u64,
    /// Age of the oldest of them.
    pub oldest_waiting_seconds: f64,
    /// Transactions since the start.
    pub commits: u64,
}

/// A lockdown that holds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Lockdown {
    /// The tenant, or `*`.
    pub scope: String,
    /// Since when, UTC.
    pub since: String,
    /// Who began it.
    pub actor: String,
}

/// An attack that goes on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Attack {
    /// `brute_force` or `serial_flood`.
    pub name: String,
    /// From where, if from one address.
    pub address: Option<String>,
    /// Since when, UTC.
    pub since: String,
    /// How many tries.
    pub tries: u64,
}

/// How the copies of the databases stand.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Copies {
    /// Each tenant that was copied.
    pub tenants: Vec<Copy>,
    /// The last drill; one that is too old to have any says nothing of it.
    #[serde(default)]
    pub drill: Option<Drill>,
    /// The binary log of each server that is shipped; an older satellite ships none.
    #[serde(default)]
    pub logs: Vec<Log>,
    /// Why nothing is known of them, if nothing is.
    pub unreadable: Option<String>,
}

/// How far the binary log of a server was shipped.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Log {
    /// Who has data on that server.
    pub tenants: Vec<String>,
    /// Everything that was committed before is shipped.
    pub shipped_until: Option<Timestamp>,
    /// Why the last round failed.
    pub error: Option<String>,
    /// The same in Spanish.
    pub error_es: Option<String>,
}

/// A drill: the newest copies restored elsewhere and compared.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Drill {
    /// When.
    pub at: Timestamp,
    /// Whether all was well.
    pub passed: bool,
    /// What would have been lost; -1 without a copy.
    pub rpo_seconds: i64,
    /// How long it took.
    pub rto_seconds: i64,
}

/// The newest copy of one tenant.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Copy {
    /// Whose.
    pub tenant: String,
    /// The moment of the newest good one; none yet without it.
    pub started_at: Option<Timestamp>,
    /// Its size.
    pub bytes: Option<u64>,
    /// The size of the one before.
    pub bytes_before: Option<u64>,
    /// How many disks have it.
    pub locations: u8,
    /// The moment of the newest one that was restored and found equal.
    pub verified_at: Option<Timestamp>,
    /// Why the last run or the last proof failed.
    pub error: Option<String>,
    /// The same in Spanish.
    pub error_es: Option<String>,
}

/// The door behind TLS.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Tls {
    /// When the certificate in force ends, UTC.
    pub certificate_ends_at: String,
    /// Why the certificate on disk does not serve, if it does not.
    pub trouble: Option<String>,
    /// The same in Spanish; an older satellite does not say it.
    pub trouble_es: Option<String>,
}

/// A program that events are carried on to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Output {
    /// Its name in satellite's configuration.
    pub name: String,
    /// Whose events it gets.
    pub tenant: String,
    /// How it stands, in a word.
    pub state: String,
    /// Age of the oldest event that it does not have.
    pub lag_seconds: f64,
    /// Since when nothing gets through, UTC.
    pub failing_since: Option<String>,
    /// Why.
    pub trouble: Option<String>,
    /// The same in Spanish, as above.
    pub trouble_es: Option<String>,
    /// Events that it did not take; the first satellite with outputs does not count them.
    #[serde(default)]
    pub dead_letters: u64,
}

/// A broker from which records are taken in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Input {
    /// Its name in satellite's configuration.
    pub name: String,
    /// Whose records come.
    pub tenant: String,
    /// The broker's host and port.
    pub place: String,
    /// The enrolled sender.
    pub sender: String,
    /// How it stands, in a word.
    pub state: String,
    /// Since when the broker is not reached, UTC.
    pub failing_since: Option<String>,
    /// Why.
    pub trouble: Option<String>,
    /// The same in Spanish, as above.
    pub trouble_es: Option<String>,
}

/// A stage of the work.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// True when work waits and nothing moves.
    pub stalled: bool,
}

/// The journal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Journal {
    /// `ready`, `full`, `disk_low` or `failed`.
    pub state: String,
    /// Events that wait.
    pub events: u64,
    /// Age of the oldest.
    pub oldest_seconds: Option<u64>,
    /// Submissions that cannot be read.
    pub unreadable: u64,
}

/// Counters.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Totals {
    /// Events read.
    pub received: u64,
    /// Events that became rows.
    pub committed: u64,
    /// Records set aside, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Requests refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Epochs opened.
    pub new_epochs: u64,
}

impl Status {
    /// The database of a tenant: its own, else the common one.
    pub fn store_of(&self, tenant: &str) -> Option<&Store> {
        let own = self.stores.iter().find(|store| store.label == tenant);
        own.or_else(|| self.stores.iter().find(|store| store.label == "store"))
    }
}

/// `/devices`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Devices {
    /// False until the enrolments are known.
    pub loaded: bool,
    /// Every enrolled terminal.
    pub devices: Vec<Device>,
}

/// A terminal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Device {
    /// As it is enrolled.
    pub serial: CompactString,
    /// `zkteco`, `hikvision`, `other`, …
    pub vendor: CompactString,
    /// Whose it is.
    pub tenant: CompactString,
    /// Where it stands.
    pub site: Option<CompactString>,
    /// Whether it was heard lately.
    pub state: DeviceState,
    /// True for one that is not real.
    pub canary: bool,
    /// When it last spoke.
    #[serde(deserialize_with = "utc")]
    pub last_contact_at: Option<Timestamp>,
    /// When its newest event happened.
    #[serde(deserialize_with = "utc")]
    pub last_event_at: Option<Timestamp>,
    /// Silence from which on it is no longer online.
    pub offline_after_seconds: u64,
    /// How far its clock is ahead.
    pub clock_skew_seconds: Option<i64>,
    /// Records in its log.
    pub log_used: Option<i64>,
    /// Records that fit.
    pub log_capacity: Option<i64>,
    /// Events that it has and satellite has not.
    pub gap_events: Option<u64>,
    /// What holds, by name.
    pub conditions: Vec<Condition>,
}

/// Whether a terminal was heard lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceState {
    /// It was.
    Online,
    /// It was not, and nobody said that it would be: it speaks when it has something to say.
    Quiet,
    /// It was not.
    Offline,
    /// Not since satellite was started.
    Unheard,
    /// It is shut out.
    Blocked,
    /// A word of a newer satellite.
    #[serde(other)]
    Other,
}

/// A time of satellite's pages; one that cannot be read is none.
fn utc<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    Ok(text.and_then(|text| moment(&text)))
}

/// A condition of a terminal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Condition {
    /// Its name.
    pub name: String,
    /// When it began, UTC.
    pub since: String,
    /// What was seen.
    pub detail: String,
    /// The same in Spanish, where it is known; an older satellite does not say it.
    pub detail_es: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Map, Value};

    use super::*;

    fn schema(name: &str) -> Value {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let text = std::fs::read_to_string(docs.join(name)).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// An answer that a schema allows: every field there, nullable ones null or not.
    fn made(schema: &Value, null: bool) -> Value {
        let mut kinds: Vec<&str> = match &schema["type"] {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        if null && kinds.contains(&"null") {
            return Value::Null;
        }
        kinds.retain(|kind| *kind != "null");
        match kinds[0] {
            "object" => {
                let fields = schema["properties"].as_object().into_iter().flatten();
                let fields = fields.map(|(name, inner)| (name.clone(), made(inner, null)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            "array" => Value::Array(vec![made(&schema["items"], null)]),
            "boolean" => true.into(),
            "integer" => 3.into(),
            "number" => 2.5.into(),
            _ if schema["format"] == "date-time" => "2026-11-21T09:15:30Z".into(),
            _ => schema["enum"][0]
                .as_str()
                .unwrap_or("2026-11-21 09:15:30.000")
                .into(),
        }
    }

    #[test]
    fn every_answer_that_the_published_schemas_allow_can_be_read() {
        for null in [false, true] {
            let status = made(&schema("status.schema.json"), null);
            let status: Status = serde_json::from_value(status).unwrap();
            assert_eq!(status.stores.len(), 1);
            let devices = made(&schema("devices.schema.json"), null);
            let devices: Devices = serde_json::from_value(devices).unwrap();
            assert_eq!(devices.devices[0].state, DeviceState::Online);
            assert_eq!(devices.devices[0].last_contact_at.is_none(), null);
        }
    }

    #[test]
    fn an_answer_without_a_promised_field_is_unreadable_and_never_health() {
        for name in ["stores", "stages", "journal", "totals", "started_at"] {
            let mut status = made(&schema("status.schema.json"), false);
            status.as_object_mut().unwrap().remove(name);
            assert!(serde_json::from_value::<Status>(status).is_err(), "{name}");
        }
    }
}
