//! Hikvision devices: those that are dialled, and what all of them share.
//!
//! ```text
//! dial ─── a lease ──▶ visit ──▶ search   the truth: every serial, asked for until it is here
//!                          └───▶ stream   a hint: what just happened, minutes before or never
//! door (posts) ─────────────────▶ intake ──▶ writer of the tenant's store, chain and rows at once
//! ```
//!
//! `state` is what is known of one device, `intake` the only way from its records to rows,
//! `client` one kept connection with its login, `footprints` measures what our own logins cost
//! the device's memory, `hosts` its setting for posts, `setup` what commands may use of it, `isup`
//! the port for devices that were set to another protocol. Nothing here decides that a record is
//! stored: that is the answer of the COMMIT.

pub(crate) mod client;
mod clock;
mod errand;
mod footprints;
mod hosts;
mod intake;
mod isup;
mod lockout;
mod search;
mod setup;
mod state;
mod stream;
#[cfg(test)]
mod time_tests;
mod visit;

pub(crate) use errand::configured;
pub use errand::{CONFIGURE, Otherwise, Told, Wish};
pub(crate) use intake::{Brought, Intake, Kept, NotKept};
pub(crate) use isup::{REASONS as ISUP_REASONS, run as run_isup};
pub use lockout::{LOCKOUT, Lockout};
pub use setup::{Account, CHAIN_CURSOR, NotSet, PostTo, configure, token};
pub(crate) use state::{CHAIN, Device, MAC};
pub(crate) use visit::run as visit;
