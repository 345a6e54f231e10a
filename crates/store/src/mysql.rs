//! MySQL and MariaDB: the connection, its session settings, and the dialect's own statements.
//!
//! A session states everything it depends on and checks that it got it: strict SQL mode (a
//! lenient one stores `1234` for PIN `12345678`), UTC, utf8mb4, READ COMMITTED, short lock
//! waits. It never needs SUPER.

use std::str::FromStr;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection as _, Row as _, SqlSafeStr, SqlStr, TypeInfo,
    ValueRef,
};

use crate::engine::{Dialect, Engine, STATEMENT_DEADLINE};
use crate::{Cell, Failure, Row, Trouble, Value, schema};

/// The mode every session sets; each word is checked after connecting.
const SQL_MODE: &str = "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,\
                        ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";

/// Prepared statements after which a connection is not given back: those of some forty
/// databases. A server keeps 16,382 for everybody together, unless it is told otherwise.
const STATEMENTS: usize = 250;

/// One connection to a MySQL or MariaDB server.
pub(crate) struct Mysql {
    connection: MySqlConnection,
    /// Where it has been. A prepared statement keeps the database that it was prepared in, and
    /// the driver finds it again by its text; so each text carries the number of its database.
    databases: Vec<String>,
    /// Where it is.
    database: usize,
    /// False while a question is open.
    sound: bool,
    in_transaction: bool,
}

/// The database that a URL names; empty when it names none.
pub(crate) fn database(url: &str) -> String {
    let options = MySqlConnectOptions::from_str(url).ok();
    let name = options.as_ref().and_then(MySqlConnectOptions::get_database);
    name.unwrap_or_default().to_owned()
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
            // The driver must never close a statement to make room: its packet for that has no
            // answer, and without TCP_NODELAY, which the driver does not set, the next packet
            // waits for the server's delayed acknowledgement, 40 ms.
            .statement_cache_capacity(usize::from(u16::MAX))
            .disable_statement_logging();
        let options = match password {
            Some(password) => options.password(password),
            None => options,
        };
        let mut sound = true;
        let connection = answered(&mut sound, options.connect()).await?;
        let mut engine = Self {
            connection,
            databases: vec![options.get_database().unwrap_or_default().to_owned()],
            database: 0,
            sound,
            in_transaction: false,
        };
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
        let asked = sqlx::Executor::execute(&mut self.connection, sqlx::raw_sql(sql));
        answered(&mut self.sound, asked).await.map(drop)
    }

    /// Runs a statement of a migration, which may wait for another process to end its own.
    async fn unhurried(&mut self, sql: &'static str) -> Result<(), Failure> {
        let done = sqlx::Executor::execute(&mut self.connection, SqlStr::from_static(sql)).await;
        done.map(drop).map_err(|error| Failure::from_mysql(&error))
    }

    /// The statement, as prepared in this database and in no other.
    fn own(&self, sql: &SqlStr) -> SqlStr {
        AssertSqlSafe(format!("/*{}*/ {}", self.database, sql.as_str())).into_sql_str()
    }

    /// Changes the database in one question, whose answer names the one that it is now.
    async fn change_database(&mut self, database: &str) -> Result<(), Failure> {
        let name = database.replace('`', "``");
        let sql = AssertSqlSafe(format!("USE `{name}`; SELECT DATABASE()")).into_sql_str();
        let asked = sqlx::Executor::fetch_all(&mut self.connection, sqlx::raw_sql(sql));
        let rows = answered(&mut self.sound, asked).await?;
        let now = match rows.first() {
            Some(row) => read(row)?.opt_text(0)?.unwrap_or_default(),
            None => String::new(),
        };
        // A server that folds names answers in small letters.
        if now != database && now.to_lowercase() != database.to_lowercase() {
            self.sound = false;
            let text = format!("asked for the database {database}, the server is in '{now}'");
            return Err(Failure::wait(Trouble::Other, text));
        }
        let known = self.databases.iter().position(|name| name == database);
        self.database = known.unwrap_or_else(|| {
            self.databases.push(database.to_owned());
            self.databases.len() - 1
        });
        Ok(())
    }
}

/// Waits for an answer, not without end. `sound` is false until it has come whole, also when
/// this future is dropped before.
async fn answered<T>(
    sound: &mut bool,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Failure> {
    if !std::mem::replace(sound, false) {
        let text = "an earlier question was not answered; the connection is given up";
        return Err(Failure::wait(Trouble::Unreachable, text));
    }
    match tokio::time::timeout(STATEMENT_DEADLINE, work).await {
        Ok(done) => {
            *sound = matches!(done, Ok(_) | Err(sqlx::Error::Database(_)));
            done.map_err(|error| Failure::from_mysql(&error))
        }
        Err(_) => Err(no_answer()),
    }
}

fn no_answer() -> Failure {
    let seconds = STATEMENT_DEADLINE.as_secs();
    Failure::wait(Trouble::NoAnswer, format!("no answer within {seconds} s"))
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

/// A row of the text protocol: every value as it was written.
fn read_text(row: &MySqlRow) -> Result<Row, Failure> {
    let cells = (0..row.columns().len()).map(|at| {
        let value = row.try_get_unchecked::<Option<Vec<u8>>, _>(at);
        let value = value.map_err(|error| Failure::from_mysql(&error))?;
        Ok(value.map_or(Cell::Null, Cell::Data))
    });
    cells.collect::<Result<_, _>>().map(Row)
}

#[async_trait]
impl Engine for Mysql {
    fn dialect(&self) -> Dialect {
        Dialect::Mysql
    }

    async fn execute(&mut self, sql: SqlStr, values: &[Value<'_>]) -> Result<u64, Failure> {
        let query = bound(self.own(&sql), values)?;
        let asked = query.execute(&mut self.connection);
        Ok(answered(&mut self.sound, asked).await?.rows_affected())
    }

    async fn fetch(&mut self, sql: SqlStr, values: &[Value<'_>]) -> Result<Vec<Row>, Failure> {
        let query = bound(self.own(&sql), values)?;
        let asked = query.fetch_all(&mut self.connection);
        let rows = answered(&mut self.sound, asked).await?;
        rows.iter().map(read).collect()
    }

    async fn each_row(
        &mut self,
        sql: SqlStr,
        each: &mut (dyn FnMut(Row) + Send),
    ) -> Result<(), Failure> {
        // In the text protocol, where every value comes as the server writes it.
        self.sound = false;
        let mut rows = sqlx::raw_sql(sql).fetch(&mut self.connection);
        loop {
            let next = tokio::time::timeout(STATEMENT_DEADLINE, rows.try_next()).await;
            let next = next.map_err(|_| no_answer())?;
            match next.map_err(|error| Failure::from_mysql(&error))? {
                Some(row) => each(read_text(&row)?),
                None => break,
            }
        }
        drop(rows);
        self.sound = true;
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        // Noted first: whether a question that fails was carried out is not known.
        self.in_transaction = true;
        self.raw(SqlStr::from_static("START TRANSACTION")).await
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        self.raw(SqlStr::from_static("COMMIT")).await?;
        self.in_transaction = false;
        Ok(())
    }

    async fn rollback(&mut self) -> Result<(), Failure> {
        self.raw(SqlStr::from_static("ROLLBACK")).await?;
        self.in_transaction = false;
        Ok(())
    }

    async fn take_numbers(&mut self, count: i64) -> Result<i64, Failure> {
        // LAST_INSERT_ID(x) hands the old value back with the answer to the UPDATE itself.
        let sql = "UPDATE feed_head SET next_seq = LAST_INSERT_ID(next_seq) + ? WHERE id = 1";
        let query = bound(self.own(&SqlStr::from_static(sql)), &[Value::Int(count)])?;
        let asked = query.execute(&mut self.connection);
        let done = answered(&mut self.sound, asked).await?;
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
            .await?;
        // The migrator's own statements do not say which database they were prepared in.
        answered(&mut self.sound, self.connection.clear_cached_statements()).await
    }

    async fn enter(&mut self, database: &str) -> Result<(), Failure> {
        if self
            .databases
            .get(self.database)
            .is_some_and(|name| name == database)
        {
            return Ok(());
        }
        self.change_database(database).await
    }

    async fn most_connections(&mut self) -> Result<Option<usize>, Failure> {
        // The second one is the account's own limit; 0 means that it has none.
        let sql =
            "SELECT CAST(@@max_connections AS SIGNED), CAST(@@max_user_connections AS SIGNED)";
        let rows = self.fetch(SqlStr::from_static(sql), &[]).await?;
        let mut most = None;
        for at in 0..2 {
            let granted = rows.first().map_or(Ok(0), |row| row.int(at))?;
            if let Some(granted) = usize::try_from(granted).ok().filter(|&n| n > 0) {
                most = Some(most.map_or(granted, |most: usize| most.min(granted)));
            }
        }
        Ok(most)
    }

    fn is_sound(&self) -> bool {
        let full = self.connection.cached_statements_size() >= STATEMENTS;
        self.sound && !self.in_transaction && !full
    }

    async fn close(self: Box<Self>) {
        if let Err(error) = sqlx::Connection::close(self.connection).await {
            tracing::debug!(%error, "a server did not hear that a session ended");
        }
    }
}
