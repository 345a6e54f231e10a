//! Where events are kept: each one exactly once, on SQLite or on MySQL and MariaDB.
//!
//! [`Writer`] is the one way in: it groups what many requests bring into transactions and
//! answers each when its rows are durable. Readers use the views `event_feed`, `canary_feed` and
//! `device_status`, or [`feed`]. The registry of terminals is [`registry`]; its copy on local
//! disk, which lets a restart know every terminal with all databases down, is [`mirror`]. What
//! devices that do not send again have posted while their store was down waits in the
//! [`Journal`].
//!
//! No other crate holds SQL for events. Nothing here knows a protocol, a socket of a terminal,
//! or a clock other than the one that deadlines need.

mod access;
pub mod assurance;
mod batch;
pub mod census;
pub mod command;
mod commit;
pub mod contents;
mod cursor;
pub mod departure;
mod device_row;
pub mod edge;
mod engine;
mod event_row;
pub mod examine;
mod failure;
pub mod feed;
mod floor;
mod gate;
pub mod hold;
pub mod inventory;
pub mod jobs;
mod journal;
mod journal_code;
mod journal_task;
pub mod lease;
pub mod lockdown;
pub mod maintain;
mod memory;
pub mod mirror;
pub mod moving;
mod mysql;
pub mod outputs;
pub mod quarantine;
pub mod registry;
pub mod retention;
pub mod schema;
mod sessions;
mod sqlite;
pub mod status;
pub mod table;
mod target;
mod transaction;
mod value;
mod writer;
mod writer_task;

pub use batch::{Fence, Receipt, SetAside, Submission};
pub use commit::SET_ASIDE;
pub use cursor::cursors;
pub use engine::{AnyEngine, Dialect, Engine, STATEMENT_DEADLINE};
pub use failure::{Failure, Remedy, Trouble};
pub use gate::{Gate, Session, Sessions, Want};
pub use journal::{Journal, JournalError, JournalFill, JournalLimits, JournalState};
pub use mirror::Mirror;
pub use target::Target;
pub use value::{Cell, Row, Value};
pub use writer::{Observer, Refused, Writer, WriterReport};

/// A statement that was put together from fixed words of this crate and numbers of
/// placeholders. Values never go in here; they are bound.
pub(crate) fn built(sql: impl Into<std::sync::Arc<str>>) -> sqlx::SqlStr {
    use sqlx::SqlSafeStr as _;
    sqlx::AssertSqlSafe(sql.into()).into_sql_str()
}

/// A statement written out in full.
pub(crate) fn fixed(sql: &'static str) -> sqlx::SqlStr {
    sqlx::SqlStr::from_static(sql)
}
