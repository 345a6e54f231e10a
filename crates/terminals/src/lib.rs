//! Simulated attendance terminals over real TCP, as unkind as real firmware, and the ledger of
//! what was acknowledged to them.
//!
//! A [`Fleet`] runs the terminals of a [`Scenario`]: it makes records from a seed, delivers
//! them by the rules of the firmware, and keeps each until a server's reply says that it may
//! be forgotten. The [`Ledger`] holds, durably, exactly the records so acknowledged; comparing
//! it with an event store shows what was lost or doubled without asking the server.
//!
//! ```text
//! scenario ── schedule ── records      what exists, and when (pure; computed from a seed)
//!                │
//!              fleet ── push           a family of terminals: how it is delivered
//!                │   ├─ access         another one: access control, registered and numbered
//!                │   ├─ hikvision      another one, which is dialled or posts
//!                │   ├─ pull           another one, which is dialled on port 4370
//!                │        └ http       one connection, written by hand
//!           ledger, summary            what came of it
//! ```
//!
//! Another family (another vendor, another dialect) is another module beside these; it shares
//! everything else. Hikvision devices also run one by one, without a fleet, with handles to
//! break them: [`hikvision::Device`], [`hikvision::Post`]; so do terminals on port 4370:
//! [`pull::Terminal`]. The HTTP client is written by hand because the habits of old firmware are
//! the point: no client library sends half a body or looks for ` 200 ` at a fixed place.
//! What a real terminal did, recorded elsewhere, is played by [`replay`].
//! Nothing here knows how any server works, and no server code is used here.

mod access;
mod clock;
mod descriptors;
mod fleet;
pub mod hikvision;
mod histogram;
mod http;
mod ledger;
pub mod pull;
mod push;
mod random;
mod records;
pub mod replay;
mod scenario;
mod schedule;
mod summary;
mod target;

pub use access::AccessGroup;
pub use descriptors::advice as descriptor_advice;
pub use fleet::{Fleet, Observation, UploadResult};
pub use ledger::{AccessRecord, HikvisionRecord, Ledger, LedgerRecord};
pub use scenario::{Burst, EXAMPLE, Faults, HabitShares, Scenario, ScenarioError};
pub use summary::{AccessDone, Failures, FaultsDone, Summary};
pub use target::Target;
