//! The conditions of devices in `/status`, for devices of every vendor.
//!
//! The fields are a contract with commands, sentinel and dashboards and are documented in
//! OPERATIONS. They are what was seen last; a device without conditions is not in the list.

use serde::Serialize;

use crate::detail::spanish;
use crate::devices::Known;
use crate::hub::Hub;

/// A device of which an operator should hear something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceConditions {
    /// As it is enrolled.
    pub serial: String,
    /// Who made it.
    pub vendor: &'static str,
    /// Whose it is.
    pub tenant: String,
    /// What holds now, by name.
    pub conditions: Vec<ConditionStatus>,
}

/// A condition that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConditionStatus {
    /// Its name, as in metrics and manuals.
    pub name: &'static str,
    /// When it began, UTC.
    pub since: String,
    /// What was seen last, in the device's or our own words.
    pub detail: String,
    /// The same in Spanish, where it is known.
    pub detail_es: Option<String>,
}

/// Every enrolled device with conditions, by serial.
pub(super) fn list(hub: &Hub) -> Vec<DeviceConditions> {
    let known = hub
        .devices
        .all(|known| !known.conditions().now().is_empty());
    let mut list: Vec<_> = known.iter().map(|known| status(known)).collect();
    list.sort_by(|a, b| (&a.serial, a.vendor).cmp(&(&b.serial, b.vendor)));
    list
}

fn status(known: &Known) -> DeviceConditions {
    DeviceConditions {
        serial: known.enrolment.serial.to_string(),
        vendor: known.enrolment.vendor.as_str(),
        tenant: known.enrolment.tenant.to_string(),
        conditions: held(known),
    }
}

/// What holds for one device.
pub(super) fn held(known: &Known) -> Vec<ConditionStatus> {
    let held = known.conditions().now().into_iter();
    held.map(|(condition, noted)| ConditionStatus {
        name: condition.as_str(),
        since: noted.since.text(),
        detail: noted.detail.to_string(),
        detail_es: spanish(noted.detail.as_str()),
    })
    .collect()
}
