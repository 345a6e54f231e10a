//! The watchdog: proves around the clock that events arrive, and reaches the right person in
//! time when they do not.
//!
//! ```text
//! looks (each with its own schedule and deadline; unknown is never green)
//!   │ Round of Observations: what, about which Subject, when, Finding, Numbers
//!   ▼
//! `decide` (pure: facts + time ─▶ conditions ─▶ incidents ─▶ letters)
//!   │ Changes
//!   ▼
//! SQLite: state, timeline and letters in one transaction ─▶ notify ─▶ mail, webhook
//!   │
//!   └▶ commands, check lists, reports, the admin door (they only read)
//! ```
//!
//! The clock is an argument everywhere but in the loop, so that a year is simulated in seconds.
//! Times are absolute ([`jiff::Timestamp`]), so that a restart changes nothing. This crate
//! shares nothing that can fail with satellite: it looks at it through its public door, its
//! admin door and a read-only database user, and it goes on deciding when all of them are dead.
//!
//! | Room | What it holds |
//! |---|---|
//! | [`observation`] | what a look says: the words that all rooms share |
//! | [`kind`] | what can be wrong: a fixed vocabulary with class and severity |
//! | [`look`] | the seam between the loop and everything that looks |
//! | [`decide`] | the decisions (pure) |
//! | [`database`] | sentinel's own file |
//! | [`run`] | start, loop, end; the admin door |
//! | [`message`], [`words`] | what people are told, in Spanish and in English (pure) |
//! | [`config`] | the file |
//! | [`calendar`] | attention hours, holidays, due times (pure) |
//! | [`silence`] | learned silence: what is usual for a terminal, and when it is missing (pure) |
//! | [`history`] | what is remembered for weeks: uptime, punches, what is usual of terminals |
//! | [`gather`] | collects what check lists and reports are made from |
//! | [`checklist`] | the customer's check lists (pure) |
//! | [`report`] | the monthly report, from numbers to pages (pure) |

mod admin;
pub mod calendar;
pub mod checklist;
pub mod config;
pub mod database;
pub mod decide;
pub mod gather;
pub mod history;
#[cfg(test)]
mod hostile;
pub mod kind;
pub mod look;
pub mod looks;
pub mod message;
pub mod observation;
pub mod report;
pub mod run;
pub mod silence;
pub mod words;

pub use config::Config;
pub use kind::{Class, Kind, Severity};
pub use look::Look;
pub use observation::{
    Admin, Canary, Door, Fact, Facts, Finding, Numbers, Observation, Round, Rows, Signal, Subject,
    Trouble, Unit, Value,
};
pub use run::{Running, Sentinel};
pub use words::Phrase;
