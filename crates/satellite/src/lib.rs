//! The ingestion daemon: takes in every record of attendance terminals and stores each once.
//!
//! ```text
//! bytes → door (limits, deadlines) → a vendor's glue (who, what) → protocol crate (records)
//!       → writer of the tenant's store (COMMIT) → the reply leaves
//! devices that are dialled: search and stream → the same protocol crate → the same writer
//! ```
//!
//! [`lifecycle`] owns start, reload and end, so that tests and the demo run the whole daemon
//! in their own process. [`door`] is the only way in for terminals, [`admin`] for operators.
//! A positive answer leaves only after the COMMIT of what it answers; no module here may
//! weaken that.

pub mod admin;
mod again;
pub mod broker;
pub mod bundle;
pub mod clock;
mod commands;
pub mod conditions;
pub mod config;
mod copies;
pub mod detail;
mod devices;
mod dial;
pub mod door;
mod drainer;
mod edge;
mod enrolment;
pub mod evidence;
mod firmware;
pub mod guard;
mod hex;
pub mod hikvision;
mod hub;
mod index;
pub mod inputs;
pub mod lifecycle;
mod makes;
pub mod metrics;
mod origins;
pub mod outputs;
mod pull;
pub mod record;
pub mod refusals;
mod skew;
pub mod stores;
mod tally;
pub mod tls;
pub mod trace;
pub mod tries;
mod upkeep;

pub use config::Config;
pub use hex::hex;
pub use lifecycle::{Running, Satellite};
