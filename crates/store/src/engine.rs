//! The seam between what satellite keeps and how a database speaks: one open connection.
//!
//! Two small modules stand behind [`Engine`], `mysql` and `sqlite`; every algorithm above it
//! (commit, registry, leases, jobs, feed) is written once and tested on both. An engine that
//! has failed or run into its deadline must be dropped, never used again: a driver that was
//! interrupted in the middle of an answer may hand the rest of it to the next question.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqlStr;

use crate::{Failure, Row, Value};

/// Longest that any single statement may take. It stays below the time-out of a terminal's
/// HTTP client, so that a terminal is told to come again before it gives up by itself.
pub const STATEMENT_DEADLINE: Duration = Duration::from_secs(8);

/// The places where the two SQL dialects need different words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// MySQL 5.7 and later, MariaDB 10.4 and later.
    Mysql,
    /// SQLite, the version that is built in.
    Sqlite,
}

impl Dialect {
    /// The end of an INSERT that leaves an existing row of that key as it is.
    pub fn keep_existing(self, key: &str) -> String {
        match self {
            Self::Mysql => {
                let first = key.split(',').next().unwrap_or(key).trim();
                format!("ON DUPLICATE KEY UPDATE {first} = {first}")
            }
            Self::Sqlite => format!("ON CONFLICT ({key}) DO NOTHING"),
        }
    }

    /// The end of an INSERT that overwrites those columns of an existing row of that key.
    pub fn overwrite(self, key: &str, columns: &[&str]) -> String {
        let list = |f: &dyn Fn(&str) -> String| {
            columns.iter().map(|c| f(c)).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Mysql => {
                format!(
                    "ON DUPLICATE KEY UPDATE {}",
                    list(&|c| format!("{c} = VALUES({c})"))
                )
            }
            Self::Sqlite => {
                format!(
                    "ON CONFLICT ({key}) DO UPDATE SET {}",
                    list(&|c| format!("{c} = excluded.{c}"))
                )
            }
        }
    }
}

impl Dialect {
    /// The end of an INSERT that overwrites columns of an existing row of that key in `table`
    /// where the new value is not NULL, and fills others only where the old value is.
    pub fn fill(self, key: &str, table: &str, newer: &[&str], older: &[&str]) -> String {
        let (new, end) = match self {
            Self::Mysql => (("VALUES(", ")"), "ON DUPLICATE KEY UPDATE ".to_owned()),
            Self::Sqlite => (
                ("excluded.", ""),
                format!("ON CONFLICT ({key}) DO UPDATE SET "),
            ),
        };
        let incoming = |column: &str| format!("{}{column}{}", new.0, new.1);
        let newer = newer.iter().map(|column| {
            format!(
                "{column} = COALESCE({}, {table}.{column})",
                incoming(column)
            )
        });
        let older = older.iter().map(|column| {
            format!(
                "{column} = COALESCE({table}.{column}, {})",
                incoming(column)
            )
        });
        end + &newer.chain(older).collect::<Vec<_>>().join(", ")
    }
}

/// One open connection to one database.
#[async_trait]
pub trait Engine: Send {
    /// Which words it needs.
    fn dialect(&self) -> Dialect;

    /// Runs a statement; answers how many rows it touched (matched, on MySQL).
    async fn execute(&mut self, sql: SqlStr, values: &[Value<'_>]) -> Result<u64, Failure>;

    /// Runs a query and answers all of its rows.
    async fn fetch(&mut self, sql: SqlStr, values: &[Value<'_>]) -> Result<Vec<Row>, Failure>;

    /// Runs a query without values and hands over its rows one at a time, each value as its text
    /// or its bytes (no [`Cell::Int`](crate::Cell::Int)), so that a large table needs no memory.
    async fn each_row(
        &mut self,
        sql: SqlStr,
        each: &mut (dyn FnMut(Row) + Send),
    ) -> Result<(), Failure>;

    /// Starts a transaction that will write.
    async fn begin(&mut self) -> Result<(), Failure>;

    /// Commits. A failure here means *unknown*, not *failed*.
    async fn commit(&mut self) -> Result<(), Failure>;

    /// Rolls back.
    async fn rollback(&mut self) -> Result<(), Failure>;

    /// Takes `count` numbers of the feed and keeps every other writer out until the
    /// transaction ends; answers the first of them.
    async fn take_numbers(&mut self, count: i64) -> Result<i64, Failure>;

    /// What identifies the server this connection ended at: another text is another server.
    async fn server_identity(&mut self) -> Result<String, Failure>;

    /// Brings the schema to this version's.
    async fn migrate(&mut self) -> Result<(), Failure>;

    /// Goes on in another database of the same server, outside any transaction. Nothing that
    /// was prepared in one database is used in another.
    async fn enter(&mut self, database: &str) -> Result<(), Failure>;

    /// How many connections the server grants this user; `None` where nobody counts.
    async fn most_connections(&mut self) -> Result<Option<usize>, Failure>;

    /// True when the next user may have it: every question was answered to the end, also those
    /// whose asker went away, no transaction is open, and there is room for what it prepares.
    fn is_sound(&self) -> bool;

    /// Ends the connection with a good-bye; dropping it ends it without.
    async fn close(self: Box<Self>);
}

/// An engine of either kind.
pub type AnyEngine = Box<dyn Engine>;
