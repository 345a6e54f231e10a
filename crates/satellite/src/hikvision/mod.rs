//! Hikvision devices: those that are dialled, and what all of them share.
//!
//! ```text
//! fleet ── a lease ──▶ visit ──▶ search   the truth: every serial, asked for until it is here
//!                          └───▶ stream   a hint: what just happened, minutes before or never
//! door (posts) ─────────────────▶ intake ──▶ writer of the tenant's store, chain and rows at once
//! ```
//!
//! `state` is what is known of one device, `intake` the only way from its records to rows,
//! `client` one kept connection with its login, `footprints` measures what our own logins cost
//! the device's memory, `hosts` its setting for posts, `setup` what commands may use of it, `isup`
//! the port for devices that were set to another protocol. Nothing here decides that a record is
//! stored: that is the answer of the COMMIT.

mod client;
mod fleet;
mod footprints;
mod hosts;
mod intake;
mod isup;
mod search;
mod setup;
mod state;
mod stream;
mod visit;

use std::sync::Arc;

use daemon::logging::Escaped;
use event::Text;

pub(crate) use fleet::run;
pub(crate) use intake::{Brought, Intake};
pub(crate) use isup::{REASONS as ISUP_REASONS, run as run_isup};
pub use setup::{Account, CHAIN_CURSOR, NotSet, PostTo, condition_names, configure};
pub(crate) use state::{CHAIN, Condition, Device, MAC};

use crate::clock;
use crate::devices::Known;
use crate::hub::Hub;

/// Raises a condition of a device: counted and logged once, when it begins.
pub(crate) fn raise(hub: &Hub, known: &Known, condition: Condition, detail: impl Into<Text>) {
    let detail = detail.into();
    if known
        .hikvision()
        .raise(condition, detail.clone(), clock::now())
    {
        hub.metrics.condition(condition);
        tracing::warn!(
            serial = %known.enrolment.serial,
            tenant = %known.enrolment.tenant,
            condition = condition.as_str(),
            detail = %Escaped(&detail),
            "a condition of a device began"
        );
    }
}

/// A condition holds no more: logged once.
pub(crate) fn clear(known: &Arc<Known>, condition: Condition) {
    if known.hikvision().clear(condition) {
        tracing::info!(
            serial = %known.enrolment.serial,
            condition = condition.as_str(),
            "a condition of a device ended"
        );
    }
}
