//! MySQL and MariaDB: the connection, its session settings, and the dialect's own statements.
//!
//! A session states everything it depends on and checks that it got it: strict SQL mode (a
//! lenient one stores `1234` for PIN `12345678`), UTC, utf8mb4, READ COMMITTED, short lock
//! waits. It never needs SUPER.

use std::str::FromStr;

use async_trait::async_trait;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Row as _, SqlSafeStr, SqlStr, TypeInfo, ValueRef,
};

use crate::engine::{Dialect, Engine, STATEMENT_DEADLINE};
use crate::{Cell, Failure, Row, Trouble, Value, schema};

/// The mode every session sets; each word is checked after connecting.
const SQL_MODE: &str = "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,\
                        ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";

/// One connection to a MySQL or MariaDB server.
pub(crate) struct Mysql {
    connection: MySqlConnection,
}

impl Mysql {
    pub(crate) async fn connect(url: &str, password: Option<&str>) -> Result<Self, Failure> {
        let options = MySqlConnectOptions::from_str(url)
            .map_err(|e| Failure::wait(Trouble::Settings, e))?
            .charset("utf8mb4")
            .collation("utf8mb4_bin")
            .timezone(Some("+00:00".to_owned()))
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .disable_statement_logging();
        let options = match password {
            Some(password) => options.password(password),
            None => options,
        };
        let connection = deadline(options.connect()).await?;
        let mut engine = Self { connection };
        engine.set_session().await?;
        Ok(engine)
    }

    async fn set_session(&mut self) -> Result<(), Failure> {
        let settings = format!(
            "SET SESSION sql_mode='{SQL_MODE}', SESSION lock_wait_timeout=5, \
             SESSION innodb_lock_wait_timeout=5, SESSION autocommit=1"
        );
        self.raw(AssertSqlSafe(settings).into_sql_str()).await?;
        self.raw(SqlStr::from_static(
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        ))
        .await?;
        let row = self
            .fetch(
                SqlStr::from_static("SELECT CAST(@@SESSION.sql_mode AS CHAR)"),
                &[],
            )
            .await?;
        let got = row
            .first()
            .map_or_else(|| Ok(String::new()), |row| row.text(0))?;
        match SQL_MODE
            .split(',')
            .find(|word| !got.split(',').any(|have| have == *word))
        {
            Some(word) => Err(Failure::wait(
                Trouble::Settings,
                format!("the server did not accept sql_mode {word}; it answers '{got}'"),
            )),
            None => Ok(()),
        }
    }

    /// Runs a statement in the text protocol, which transaction control needs on old servers.
    async fn raw(&mut self, sql: SqlStr) -> Result<(), Failure> {
        deadline(sqlx::Executor::execute(
            &mut self.connection,
            sqlx::raw_sql(sql),
        ))
        .await
        .map(drop)
    }

    /// Runs a statement of a migration, which may wait for another process to end its own.
    async fn unhurried(&mut self, sql: &'static str) -> Result<(), Failure> {
        let done = sqlx::Executor::execute(&mut self.connection, SqlStr::from_static(sql)).await;
        done.map(drop).map_err(|error| Failure::from_mysql(&error))
    }
}

async fn deadline<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(STATEMENT_DEADLINE, work).await {
        Ok(done) => done.map_err(|error| Failure::from_mysql(&error)),
        Err(_) => Err(Failure::wait(
            Trouble::NoAnswer,
            format!("no answer within {} s", STATEMENT_DEADLINE.as_secs()),
        )),
    }
}

type Query = sqlx::query::Query<'static, sqlx::MySql, sqlx::mysql::MySqlArguments>;

fn bound(sql: SqlStr, values: &[Value<'_>]) -> Result<Query, Failure> {
    use sqlx::Arguments as _;
    let mut arguments = sqlx::mysql::MySqlArguments::default();
    arguments.reserve(values.len(), values.len() * 16);
    for value in values {
        let added = match *value {
            Value::Null => arguments.add(None::<&str>),
            Value::Int(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text),
            Value::Bytes(bytes) => arguments.add(bytes),
        };
        added.map_err(|error| Failure::wait(Trouble::Other, error))?;
    }
    Ok(sqlx::query_with(sql, arguments))
}

fn read(row: &MySqlRow) -> Result<Row, Failure> {
    let cells = (0..row.columns().len()).map(|at| {
        let raw = row
            .try_get_raw(at)
            .map_err(|error| Failure::from_mysql(&error))?;
        if raw.is_null() {
            return Ok(Cell::Null);
        }
        let name = row.column(at).type_info().name();
        let cell = if name.contains("INT") || name == "BOOLEAN" {
            row.try_get_unchecked::<i64, _>(at).map(Cell::Int)
        } else {
            row.try_get_unchecked::<Vec<u8>, _>(at).map(Cell::Data)
        };
        cell.map_err(|error| Failure::from_mysql(&error))
    });
    cells.collect::<Result<_, _>>().map(Row)
}

#[async_trait]
impl Engine for Mysql {
    fn dialect(&self) -> Dialect {
        Dialect::Mysql
    }

    async fn execute(&mut self, sql: SqlStr, values: &[Value<'_>]) -> Result<u64, Failure> {
        let query = bound(sql, values)?;
        Ok(deadline(query.execute(&mut self.connection))
            .await?
            .rows_affected())
    }

    async fn fetch(&mut self, sql: SqlStr, values: &[Value<'_>]) -> Result<Vec<Row>, Failure> {
        let query = bound(sql, values)?;
        deadline(query.fetch_all(&mut self.connection))
            .await?
            .iter()
            .map(read)
            .collect()
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        self.raw(SqlStr::from_static("START TRANSACTION")).await
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        self.raw(SqlStr::from_static("COMMIT")).await
    }

    async fn rollback(&mut self) -> Result<(), Failure> {
        self.raw(SqlStr::from_static("ROLLBACK")).await
    }

    async fn take_numbers(&mut self, count: i64) -> Result<i64, Failure> {
        // LAST_INSERT_ID(x) hands the old value back with the answer to the UPDATE itself.
        let sql = "UPDATE feed_head SET next_seq = LAST_INSERT_ID(next_seq) + ? WHERE id = 1";
        let query = bound(SqlStr::from_static(sql), &[Value::Int(count)])?;
        let done = deadline(query.execute(&mut self.connection)).await?;
        if done.rows_affected() != 1 {
            return Err(Failure::schema(
                "feed_head has no row; run `satellite db migrate`",
            ));
        }
        i64::try_from(done.last_insert_id()).map_err(Failure::schema)
    }

    async fn server_identity(&mut self) -> Result<String, Failure> {
        // Every server since MySQL 5.7 and MariaDB 10.4 answers these to any user.
        let sql = "SELECT CAST(CONCAT_WS('|', @@hostname, @@port, @@datadir, @@server_id) AS CHAR)";
        let rows = self.fetch(SqlStr::from_static(sql), &[]).await?;
        rows.first()
            .map_or_else(|| Ok(String::new()), |row| row.text(0))
    }

    async fn migrate(&mut self) -> Result<(), Failure> {
        // One process at a time. The lock ends with the connection if we do.
        let lock = "SELECT GET_LOCK(CONCAT('satellite.', MD5(DATABASE())), 120)";
        self.unhurried(lock).await?;
        // A migration that was cut off (each of its statements was committed by itself) stands
        // here as begun. Its statements can run again, so it is begun once more.
        match self
            .unhurried("DELETE FROM _sqlx_migrations WHERE success = 0")
            .await
        {
            Err(failure) if failure.trouble() != Trouble::Schema => return Err(failure),
            // Done, or there is no such table yet.
            _ => {}
        }
        schema::run(Dialect::Mysql, &mut self.connection).await?;
        self.unhurried("SELECT RELEASE_LOCK(CONCAT('satellite.', MD5(DATABASE())))")
            .await
    }
}
