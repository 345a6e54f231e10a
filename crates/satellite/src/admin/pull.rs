//! ZKTeco terminals that are dialled on port 4370 in `/status`: the connection, what they count,
//! and what of their log was read.
//!
//! The fields are a contract with commands and dashboards and are documented in OPERATIONS.
//! Everything is what was seen last and is read from memory; no key is here.

use event::{Millis, Vendor};
use serde::Serialize;
use zkteco_pull::Transport;

use super::conditions::{ConditionStatus, held};
use crate::devices::Known;
use crate::hub::Hub;

/// One terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PullStatus {
    /// As it is enrolled.
    pub serial: String,
    /// Whose it is.
    pub tenant: String,
    /// The connection: `idle`, `connecting`, `up` or `down`.
    pub connection: &'static str,
    /// `tcp` or `udp`, as it was reached last; `null` before that.
    pub transport: Option<&'static str>,
    /// Whether its punches come as they happen.
    pub listening: bool,
    /// Model and firmware, as it named them.
    pub model: Option<String>,
    /// See `model`.
    pub firmware: Option<String>,
    /// People, as it counts them.
    pub users: Option<u32>,
    /// Records, as it counts them; `null` where its firmware does not.
    pub records: Option<u32>,
    /// Records of its log that were read and are stored or in quarantine.
    pub read: Option<u32>,
    /// When its log was last read to its end, UTC.
    pub read_at: Option<String>,
    /// How far its clock is ahead of ours.
    pub clock_ahead_seconds: Option<i64>,
    /// Records that it counts and does not hand out.
    pub missing: u64,
    /// Records in quarantine for people whom its user list does not name.
    pub unresolved: u64,
    /// `proven`, `seen` or `unproven`; `null` before its log was read.
    pub completeness: Option<&'static str>,
    /// What holds now, by name.
    pub conditions: Vec<ConditionStatus>,
}

/// Every such terminal, by serial.
pub(super) fn list(hub: &Hub) -> Vec<PullStatus> {
    let known = hub
        .devices
        .all(|known| known.enrolment.vendor == Vendor::Zkteco && known.is_dialled());
    let mut list: Vec<_> = known.iter().map(|known| status(known)).collect();
    list.sort_by(|a, b| a.serial.cmp(&b.serial));
    list
}

fn status(known: &Known) -> PullStatus {
    let (model, firmware) = {
        let facts = known.facts();
        let text = |text: &Option<event::Text>| text.as_ref().map(ToString::to_string);
        (text(&facts.model), text(&facts.firmware))
    };
    let view = known.pull().view().clone();
    PullStatus {
        serial: known.enrolment.serial.to_string(),
        tenant: known.enrolment.tenant.to_string(),
        connection: view.link.as_str(),
        transport: view.transport.map(|transport| match transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        }),
        listening: view.listening,
        model,
        firmware,
        users: view.users,
        records: view.records,
        read: view.read,
        read_at: view.read_at.map(Millis::text),
        clock_ahead_seconds: view.ahead,
        missing: view.missing,
        unresolved: view.unresolved,
        completeness: view.completeness.map(hikvision_isapi::Completeness::as_str),
        conditions: held(known),
    }
}
