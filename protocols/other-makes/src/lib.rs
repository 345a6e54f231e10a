//! Records of makes that have no room of their own here: JSON or delimited text, read by a
//! mapping file that says which field is what.
//!
//! ```text
//! sender                                                we
//! POST /ingest/TOKEN  one record, a list, or lines  →   200 after the commit
//! MQTT, QoS 1         the same in a message         →   PUBACK after the commit
//! ```
//!
//! The way of one event: [`Mapping::read`] cuts a body into [`Record`]s by what the mapping says,
//! and keeps what it cannot cut; [`normalize()`] makes a record an event with its identity, or
//! says why it belongs in quarantine. Values are taken as they were sent, numbers digit by digit:
//! nothing here guesses a field, a zone or a direction.
//!
//! `SPEC.md` beside this file says what a mapping may hold and what makes two records the same,
//! `vectors/` has mappings of real makes with bodies. This crate never does I/O, never reads a
//! clock and never panics on what a mapping or a sender holds; its memory is bounded by the body.

mod json;
mod lines;
mod mapping;
mod moment;
mod normalize;
mod own;
mod raw;
mod reading;
mod token;
mod topic;

pub use mapping::{MAPPING_LINES, Mapping, Wrong};
pub use normalize::{Context, normalize};
pub use raw::RawMapping;
pub use reading::{Reading, Record, SOURCE, Unread, faults};
pub use token::{TOKEN_PATH, token_of};
pub use topic::{MESSAGE_SOURCE, labelled, parted};
