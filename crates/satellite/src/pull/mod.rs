//! ZKTeco terminals on port 4370: dialled, read, and listened to.
//!
//! ```text
//! dial ── a lease ──▶ visit      one terminal: when to connect, what an end of a session means
//!                       └▶ talk   one session: what to ask next, until it ends
//!                           ├▶ wire    one socket, TCP or UDP
//!                           └▶ log, intake ──▶ writer of the tenant's store, cursor and rows at once
//! ```
//!
//! The log in the terminal is the truth; real-time events are hints that come early. After every
//! connect the log's end is read, then events are asked for, then the end once more, so that
//! nothing falls between. What is stored has the identity that the same punch has when it is
//! pushed. A terminal is never disabled, nothing in it is ever cleared or changed, and a socket
//! whose answer did not come is never used again.
//!
//! [`Device::read_again`] is how the rest of satellite has a log, or a window of it, read again.

mod again;
mod intake;
mod log;
mod room;
pub(crate) mod state;
mod talk;
mod visit;
mod wire;

pub(crate) use room::Room;
pub(crate) use state::Device;
pub(crate) use visit::run as visit;
