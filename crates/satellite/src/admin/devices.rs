//! `/devices`: every enrolled terminal as it was seen last, for whoever watches all of them.
//!
//! One page for thousands of terminals, read once a minute: it carries what decides whether
//! somebody must act, and no more. The names are a contract with sentinel and stand in
//! `docs/devices.schema.json`. It is answered from memory, so that it tells the truth about
//! terminals while every database is down.

use event::Millis;
use serde::Serialize;

use crate::devices::{Known, inventory};
use crate::door::Transport;
use crate::hub::Hub;

use super::conditions::{ConditionStatus, held};

/// What `/devices` answers.
#[derive(Debug, Serialize)]
pub struct Devices {
    /// When this was written, UTC, by satellite's clock; the times below are by the same.
    pub at: String,
    /// False until the enrolments are known: then the list says nothing.
    pub loaded: bool,
    /// Every enrolled terminal, canaries and blocked ones included.
    pub devices: Vec<DeviceStatus>,
}

/// One terminal.
#[derive(Debug, Serialize)]
pub struct DeviceStatus {
    /// Serial number, as it is enrolled.
    pub serial: String,
    /// `zkteco`, `hikvision`, …
    pub vendor: &'static str,
    /// Whose it is.
    pub tenant: String,
    /// Where it stands, if that was said.
    pub site: Option<String>,
    /// The name people gave it.
    pub name: Option<String>,
    /// The label of the store that takes its events; `null` when its tenant is no longer in
    /// the configuration.
    pub store: Option<String>,
    /// `online`, `offline`, `unheard` (not since satellite was started), or `blocked`.
    pub state: &'static str,
    /// True for a terminal that is not real.
    pub canary: bool,
    /// When it last spoke to us, UTC.
    pub last_contact_at: Option<String>,
    /// When its newest event happened, UTC.
    pub last_event_at: Option<String>,
    /// Silence from which on it is offline: five minutes, or three polls where those take longer.
    pub offline_after_seconds: u64,
    /// How far its clock is ahead of ours; `null` where it says nothing of its clock.
    pub clock_skew_seconds: Option<i64>,
    /// Records in its log.
    pub log_used: Option<i64>,
    /// Records that its log can hold.
    pub log_capacity: Option<i64>,
    /// Events that it is known to have and we do not.
    pub gap_events: Option<u64>,
    /// `proven`, `seen` or `unproven`.
    pub completeness: &'static str,
    /// Its model, in its own words.
    pub model: Option<String>,
    /// Its firmware, in its own words.
    pub firmware: Option<String>,
    /// The protocol it speaks.
    pub dialect: Option<String>,
    /// Where it was last heard from, or is dialled.
    pub address: Option<String>,
    /// How its last request came, `plain` or `tls`; `null` before the first, and for one that only
    /// we dial.
    pub transport: Option<&'static str>,
    /// IANA name of the zone its clock is read in.
    pub time_zone: String,
    /// People enrolled in it.
    pub users_used: Option<i64>,
    /// People that it can hold.
    pub users_capacity: Option<i64>,
    /// Its record is known to be whole up to here, UTC.
    pub complete_to: Option<String>,
    /// What holds now, by name.
    pub conditions: Vec<ConditionStatus>,
}

/// Every enrolled terminal, by tenant and serial.
pub(super) fn list(hub: &Hub, now: Millis) -> Devices {
    let mut known = hub.devices.all(|_| true);
    known.sort_by(|a, b| {
        let key = |known: &Known| {
            (
                known.enrolment.tenant.clone(),
                known.enrolment.serial.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    let stores = hub.stores.load();
    let label = |known: &Known| {
        let store = stores.of(&known.enrolment.tenant);
        store.map(|store| store.label.clone())
    };
    Devices {
        at: now.text(),
        loaded: hub.devices.is_loaded(),
        devices: known
            .iter()
            .map(|known| status(known, label(known), now))
            .collect(),
    }
}

fn status(known: &Known, store: Option<String>, now: Millis) -> DeviceStatus {
    let facts = known.facts().clone();
    let offline_after = known.offline_after();
    let state = match facts.last_contact {
        _ if !known.is_approved() => "blocked",
        None => "unheard",
        Some(_) if facts.is_heard_within(offline_after, now) => "online",
        Some(_) => "offline",
    };
    let enrolment = &known.enrolment;
    let (completeness, missing) = known.claim();
    let told = inventory(known, &facts);
    let text = |text: &Option<event::Text>| text.as_ref().map(ToString::to_string);
    DeviceStatus {
        serial: enrolment.serial.to_string(),
        vendor: enrolment.vendor.as_str(),
        tenant: enrolment.tenant.to_string(),
        site: text(&enrolment.site),
        name: text(&enrolment.name),
        store,
        state,
        canary: enrolment.canary,
        last_contact_at: facts.last_contact.map(Millis::text),
        last_event_at: facts.last_event.map(Millis::text),
        offline_after_seconds: offline_after.unsigned_abs() / 1_000,
        clock_skew_seconds: facts.skew.seconds(now).map(|(ahead, _)| ahead),
        log_used: facts.log_used,
        log_capacity: facts.log_capacity,
        gap_events: missing,
        completeness: completeness.as_str(),
        model: text(&told.model),
        firmware: text(&told.firmware),
        dialect: text(&told.dialect),
        address: text(&told.address),
        transport: facts.heard_over.map(Transport::as_str),
        time_zone: known.device.zone.name().to_owned(),
        users_used: told.users_used,
        users_capacity: told.users_capacity,
        complete_to: facts
            .assured
            .as_ref()
            .and_then(|assured| assured.complete_to)
            .or_else(|| known.audit().complete_to())
            .map(Millis::text),
        conditions: held(known),
    }
}
