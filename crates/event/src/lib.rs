//! The vocabulary that every other room of the house speaks.
//!
//! One attendance or access record is an [`Event`]; what makes two records the same
//! punch is its [`Ident`]; who sent it is a [`Device`]. Protocol crates produce these
//! values, the store keeps them, nothing here knows how either works.
//!
//! This crate never does I/O, never reads a clock and never touches a database. The one
//! thing it takes from the machine is the time-zone database, through [`Zone::named`].

mod device;
mod faults;
mod ident;
mod record;
mod time;
mod token;

pub use bytes::Bytes;
/// Short text: up to 24 bytes live inside the value, so that a PIN or a code costs no allocation.
pub use compact_str::CompactString as Text;
pub use compact_str::ToCompactString;

pub use device::{Device, DeviceId, NameError, Serial, SharedDevice, TenantId, Vendor};
pub use ident::{EventUid, Ident, IdentForm};
pub use record::{
    ClockFlag, Completeness, Direction, Event, Kind, Quarantined, Reason, Route, Timeliness,
};
pub use time::{Millis, Resolved, UnknownZone, WallTime, Zone, ZoneMemo};
pub use token::token_of;
