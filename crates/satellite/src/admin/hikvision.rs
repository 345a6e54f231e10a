//! Hikvision devices in `/status`: how each is connected, what of it is stored, and what an
//! operator should hear of.
//!
//! The fields are a contract with commands and dashboards and are documented in OPERATIONS.
//! Everything is what was seen last and is read from memory; no secret and no token is here.

use event::Vendor;
use serde::Serialize;

use super::conditions::{ConditionStatus, held};
use crate::devices::Known;
use crate::hub::Hub;

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HikvisionStatus {
    /// As it is enrolled.
    pub serial: String,
    /// Whose it is.
    pub tenant: String,
    /// The connection for searches: `idle`, `connecting`, `up` or `down`.
    pub search: &'static str,
    /// The live stream, in the same words.
    pub stream: &'static str,
    /// True while the stream brings old records before live ones.
    pub replaying: bool,
    /// The highest serial known of it; `null` before the first.
    pub newest_stored: Option<u64>,
    /// The highest serial that it said it has.
    pub newest_on_device: Option<u64>,
    /// Serials that are not stored and may still be on the device.
    pub missing: u64,
    /// Serials that are known to be gone.
    pub lost: u64,
    /// `proven`, `seen` or `unproven`; `null` before the first contact.
    pub completeness: Option<&'static str>,
    /// Seconds between two searches; 0 while it is not searched.
    pub poll_seconds: u64,
    /// Share of our own logins among its new serials.
    pub footprint_percent: u8,
    /// What holds now, by name.
    pub conditions: Vec<ConditionStatus>,
}

/// Every enrolled Hikvision device, by serial.
pub(super) fn list(hub: &Hub) -> Vec<HikvisionStatus> {
    let known = hub
        .devices
        .all(|known| known.enrolment.vendor == Vendor::Hikvision);
    let mut list: Vec<_> = known.iter().map(|known| status(known)).collect();
    list.sort_by(|a, b| a.serial.cmp(&b.serial));
    list
}

fn status(known: &Known) -> HikvisionStatus {
    // Before the lock: the claim looks at the view, too.
    let (claimed, _) = known.claim();
    let view = known.hikvision().view();
    HikvisionStatus {
        serial: known.enrolment.serial.to_string(),
        tenant: known.enrolment.tenant.to_string(),
        search: view.search.as_str(),
        stream: view.stream.as_str(),
        replaying: view.replaying,
        newest_stored: view.newest_stored,
        newest_on_device: view.newest_on_device,
        missing: view.missing,
        lost: view.lost,
        completeness: view.completeness.map(|_| claimed.as_str()),
        poll_seconds: view.poll_seconds,
        footprint_percent: view.footprint_percent,
        conditions: held(known),
    }
}
