//! The family of terminals that are dialled on port 4370, over TCP and over UDP.
//!
//! ```text
//! options          what a terminal is and does; the same tables as in a scenario file
//! machine          its people, its log, its clock, its ledger lines
//!    └ terminal    its port, its one connection, handles to break it
//!        └ answers what it says to each command, or with `lies` in place of the truth
//!            └ wire  packets, checksums, the scrambled key
//! family           the terminals of a fleet
//! ```
//!
//! Such a terminal is never told what a server has stored, and nothing in its protocol could
//! tell it. So its ledger says what it *holds*: a record is owed from the moment it is in the
//! log, whether or not an event was sent or acknowledged, until somebody clears the log or the
//! log runs over. A checker compares everything that was ever held with what the server has.
//!
//! The same punch looks different here than where it is pushed: other verify codes, no work
//! code, numbers without their leading zeros. [`Terminal::pushed`] gives the line that the same
//! firmware would push. Nothing here uses code of any server.

mod answers;
mod family;
mod lies;
mod machine;
mod options;
mod terminal;
mod wire;

pub(crate) use family::Terminals;
pub use lies::Lie;
pub(crate) use machine::Totals;
pub use options::{Events, PullGroup, PullOptions, RecordSize, SecondClient, SessionField};
pub use terminal::{PullCounters, Terminal};
