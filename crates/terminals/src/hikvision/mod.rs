//! The family of Hikvision devices: access terminals that are dialled, devices that post.
//!
//! ```text
//! options            what a device is and does; the same tables as in a scenario file
//! machine ── ring    its clock, its log, its serials, its ledger lines
//!    │
//!    ├─ device ── wire, digest      a web server that wants a login
//!    │     └ documents, hosts, stream
//!    └─ post                        a client that keeps what was not answered 200
//! words              how an event is told
//! family             the devices of a fleet
//! ```
//!
//! A device that is dialled never learns what a server has stored. What it makes is owed from
//! the moment it exists, as long as its ring holds it; its ledger lines say what that was.
//! Nothing here uses code of any server: the check of logins, the parts of a stream and the
//! XML are all written here once more, so that a mistake cannot agree with itself.

mod delivery;
mod device;
mod digest;
mod documents;
mod family;
mod hosts;
mod machine;
mod options;
mod post;
mod ring;
mod stream;
mod wire;
mod words;

pub use device::{Counters, Device, Excuse};
pub(crate) use family::Devices;
pub use hosts::Host;
pub(crate) use machine::Totals;
pub use options::{
    Algorithm, Boundary, DeviceOptions, Heartbeat, HikvisionGroup, HostOptions, LogOptions,
    LoginOptions, PartLength, PostHabits, PostOptions, PostShape, SearchOptions, SerialRange,
    StreamHead, StreamOptions, Words,
};
pub use post::{Post, PostCounters};
