//! Copies of the databases, encrypted, in two places, and proven by restoring them.
//!
//! A copy is a folder `<location>/<store>/<moment>/` of one database at one moment. It gets its
//! name by one rename after everything in it has reached the disk, so that a folder with a name is
//! whole; in a [`Remote`] it is one when its list of hashes is there. [`take`] makes one, [`verify`]
//! restores one into a private scratch server or file and compares what is in it, row by row, with what
//! was read while it was dumped; [`restore`] puts one in the place of a database; [`Retention`] says
//! which may go; [`log`] ships what happens after a copy; [`Board`] is what the watchdog reads.
//!
//! Dumping, encrypting and restoring are done by the distribution's own programs (`mariadb-dump`,
//! `age`, `mariadb`), so that a copy can be opened without satellite. No password and no key ever
//! stands on a command line, and nothing here deletes a copy that is not named for it.

mod board;
mod copies;
mod drill;
mod dump;
mod dump_text;
pub mod log;
mod look;
mod manifest;
mod pace;
mod problem;
mod programs;
mod remote;
mod restore;
mod retention;
mod scratch;
mod seal;
mod take;
mod verify;

pub use board::{Board, DrillState, StoreState, TenantState};
pub use copies::{Copied, Folder, Location};
pub use drill::{Drill, DrillStore};
pub use dump::Login;
pub use log::{LogMark, LogState};
pub use look::{Missing, missing_programs, stores_within};
pub use manifest::Manifest;
pub use pace::Pace;
pub use problem::Problem;
pub use remote::Remote;
pub use restore::{
    Destination, Kept, Request, Restored, RestoredStore, Unfinished, deletions, read_whole, restore,
};
pub use retention::Retention;
pub use take::{Plan, Source, Taken, Work, take};
pub use verify::{Evidence, Proof, Replayed, verify};
