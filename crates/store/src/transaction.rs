//! The few words that transactions and multi-row statements of every module share: how a
//! transaction ends, how a row is locked, how placeholders are written.
//! The work itself stands in a function of its own between `begin` and [`ended`], so that a
//! `?` in it can never skip the end. Nothing here tries anything again; that is for callers,
//! who know whether their work may be repeated.

use crate::engine::Dialect;
use crate::{AnyEngine, Failure};

/// Commits when `done` is good and rolls back when it is not; answers `done`.
pub(crate) async fn ended<T, E: From<Failure>>(
    engine: &mut AnyEngine,
    done: Result<T, E>,
) -> Result<T, E> {
    match done {
        Ok(value) => {
            engine.commit().await?;
            Ok(value)
        }
        Err(error) => {
            // The first error is the one that matters; a connection whose rollback fails too
            // is dropped by its owner, and the server rolls back by itself.
            engine.rollback().await.ok();
            Err(error)
        }
    }
}

/// The end of a SELECT that locks the rows it reads. SQLite has locked everything already,
/// because every transaction that writes begins IMMEDIATE.
pub(crate) fn for_update(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Mysql => " FOR UPDATE",
        Dialect::Sqlite => "",
    }
}

/// `(?,?),(?,?)` for that many rows of that many columns.
pub(crate) fn placeholders(rows: usize, columns: usize) -> String {
    let mut row = "?,".repeat(columns);
    row.pop();
    let mut list = format!("({row}),").repeat(rows);
    list.pop();
    list
}
