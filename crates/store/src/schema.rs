//! The schema and its versions, embedded for both engines.
//!
//! Migrations only ever add: a store written by a newer satellite stays readable to an older
//! one, so that a version can be taken back. A migration that has been released is never
//! edited; the checksums in the database would not match.

use sqlx::SqlStr;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};

use crate::engine::Dialect;
use crate::{AnyEngine, Failure, Trouble, Value};

/// (version, description, MySQL, SQLite).
const MIGRATIONS: &[(i64, &str, &str, &str)] = &[
    (
        1,
        "events, registry, quarantine, jobs, feed views",
        include_str!("../migrations/mysql_0001.sql"),
        include_str!("../migrations/sqlite_0001.sql"),
    ),
    (
        2,
        "how terminals are reached",
        include_str!("../migrations/mysql_0002.sql"),
        include_str!("../migrations/sqlite_0002.sql"),
    ),
    (
        3,
        "commands to push terminals",
        include_str!("../migrations/mysql_0003.sql"),
        include_str!("../migrations/sqlite_0003.sql"),
    ),
    (
        4,
        "inventory, assurance, missing windows",
        include_str!("../migrations/mysql_0004.sql"),
        include_str!("../migrations/sqlite_0004.sql"),
    ),
    (
        5,
        "the feed without retired rows",
        include_str!("../migrations/mysql_0005.sql"),
        include_str!("../migrations/sqlite_0005.sql"),
    ),
    (
        6,
        "how often terminals are visited",
        include_str!("../migrations/mysql_0006.sql"),
        include_str!("../migrations/sqlite_0006.sql"),
    ),
    (
        7,
        "outputs: cursors, dead letters",
        include_str!("../migrations/mysql_0007.sql"),
        include_str!("../migrations/sqlite_0007.sql"),
    ),
];

/// The newest schema version that this program knows.
pub const VERSION: i64 = 7;

/// How a database's schema stands to this program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// The database is this program's version, or a newer one that added to it.
    Current,
    /// The database is empty or older; it holds this version.
    Behind(i64),
}

pub(crate) async fn run<C>(dialect: Dialect, connection: &mut C) -> Result<(), Failure>
where
    C: Migrate,
    for<'c> &'c mut C: Send,
{
    let list = MIGRATIONS
        .iter()
        .map(|&(version, description, mysql, sqlite)| {
            let sql = if dialect == Dialect::Mysql {
                mysql
            } else {
                sqlite
            };
            let sql = SqlStr::from_static(sql);
            Migration::new(
                version,
                description.into(),
                MigrationType::Simple,
                sql,
                false,
            )
        });
    let mut migrator = Migrator::with_migrations(list.collect());
    migrator.set_ignore_missing(true);
    migrator
        .run_direct(None, connection, false)
        .await
        .map_err(|error| judge(dialect, &error))
}

fn judge(dialect: Dialect, error: &MigrateError) -> Failure {
    let inner = match error {
        MigrateError::Execute(inner) | MigrateError::ExecuteMigration(inner, _) => inner,
        other => return Failure::schema(other),
    };
    match dialect {
        Dialect::Mysql => Failure::from_mysql(inner),
        Dialect::Sqlite => Failure::from_sqlite(inner),
    }
}

/// Looks which version a database holds, without changing it.
pub async fn state(engine: &mut AnyEngine) -> Result<SchemaState, Failure> {
    let sql = "SELECT MAX(version) FROM _sqlx_migrations WHERE success = 1";
    let version = match engine.fetch(SqlStr::from_static(sql), &[]).await {
        Ok(rows) => rows
            .first()
            .map_or(Ok(None), |row| row.opt_int(0))?
            .unwrap_or(0),
        // No such table yet.
        Err(failure) if failure.trouble() == Trouble::Schema => 0,
        Err(failure) => return Err(failure),
    };
    let headless = version > 0 && !has_head(engine).await?;
    let current = version >= VERSION && !headless;
    Ok(if current {
        SchemaState::Current
    } else {
        SchemaState::Behind(version)
    })
}

/// Brings a database to this program's schema and gives a new one its name and first number.
/// Safe to run again at any time, also by two processes at once.
pub async fn migrate(engine: &mut AnyEngine) -> Result<(), Failure> {
    engine.migrate().await?;
    let mut store_id = [0; 16];
    getrandom::fill(&mut store_id).map_err(|error| Failure::wait(Trouble::Other, error))?;
    let server = engine.server_identity().await?;
    let sql = format!(
        "INSERT INTO feed_head (id, store_id, next_seq, server) VALUES (1, ?, 1, ?) {}",
        engine.dialect().keep_existing("id")
    );
    let values = [Value::Bytes(&store_id), Value::Text(&server)];
    engine.execute(crate::built(sql), &values).await.map(drop)
}

async fn has_head(engine: &mut AnyEngine) -> Result<bool, Failure> {
    let rows = engine
        .fetch(SqlStr::from_static("SELECT id FROM feed_head"), &[])
        .await?;
    Ok(!rows.is_empty())
}
