//! SQLite: the embedded engine, built in, one file.
//!
//! Write-ahead log with `synchronous=FULL`, so that a commit survives a power cut. The driver
//! runs each connection on a thread of its own, so that no executor thread waits for a disk.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _, Row as _, SqlStr, TypeInfo, ValueRef};

use crate::engine::{Dialect, Engine};
use crate::{Cell, Failure, Row, Trouble, Value, schema};

/// Tries to open a file that others open at the same moment, and the pause between them.
const OPEN_TRIES: u32 = 50;
const OPEN_PAUSE: Duration = Duration::from_millis(100);

/// The place of a database that is no file and ends with its connection.
pub(crate) const IN_MEMORY: &str = ":memory:";

/// One connection to one SQLite file.
pub(crate) struct Sqlite {
    connection: SqliteConnection,
    in_transaction: bool,
}

impl Sqlite {
    pub(crate) async fn connect(path: &Path) -> Result<Self, Failure> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            let text = format!(
                "the folder {} does not exist; create it first",
                folder.display()
            );
            return Err(Failure::wait(Trouble::Unreachable, text));
        }
        make_for_the_group(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(false)
            .disable_statement_logging();
        let connection = opened(&options).await?;
        Ok(Self {
            connection,
            in_transaction: false,
        })
    }

    async fn raw(&mut self, sql: &'static str) -> Result<(), Failure> {
        judged(
            sqlx::Executor::execute(
                &mut self.connection,
                sqlx::raw_sql(SqlStr::from_static(sql)),
            )
            .await,
        )
        .map(drop)
    }
}

/// Makes a new file that the group may write too, as far as the umask lets it, and that nobody
/// else may read: operators run commands beside the daemon. SQLite gives the files beside it the
/// same rights. A database in memory is no file, whatever its place looks like.
fn make_for_the_group(path: &Path) {
    if path == Path::new(IN_MEMORY) {
        return;
    }
    let mut how = std::fs::OpenOptions::new();
    how.write(true).create_new(true).mode(0o660);
    // One that is there already stays as it is; what else is wrong is said when it is opened.
    how.open(path).ok();
}

/// Opens the file. Whoever makes a new file a WAL file locks out others that open it at the same
/// moment, and SQLite does not wait there as it does elsewhere.
async fn opened(options: &SqliteConnectOptions) -> Result<SqliteConnection, Failure> {
    let mut tries = 0;
    loop {
        let failure = match options.connect().await {
            Ok(connection) => return Ok(connection),
            Err(error) => Failure::from_sqlite(&error),
        };
        tries += 1;
        if failure.trouble() != Trouble::Locked || tries == OPEN_TRIES {
            return Err(failure);
        }
        tokio::time::sleep(OPEN_PAUSE).await;
    }
}

fn judged<T>(done: Result<T, sqlx::Error>) -> Result<T, Failure> {
    done.map_err(|error| Failure::from_sqlite(&error))
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, SqliteArguments>;

fn bound(sql: SqlStr, values: &[Value<'_>]) -> Result<Query, Failure> {
    use sqlx::Arguments as _;
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match *value {
            Value::Null => arguments.add(None::<String>),
            Value::Int(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text.to_owned()),
            Value::Bytes(bytes) => arguments.add(bytes.to_vec()),
        };
        added.map_err(|error| Failure::wait(Trouble::Other, error))?;
    }
    Ok(sqlx::query_with(sql, arguments))
}

fn read(row: &SqliteRow) -> Result<Row, Failure> {
    let cells = (0..row.columns().len()).map(|at| {
        let raw = judged(row.try_get_raw(at))?;
        if raw.is_null() {
            return Ok(Cell::Null);
        }
        let cell = if raw.type_info().name() == "INTEGER" {
            row.try_get_unchecked::<i64, _>(at).map(Cell::Int)
        } else {
            row.try_get_unchecked::<Vec<u8>, _>(at).map(Cell::Data)
        };
        judged(cell)
    });
    cells.collect::<Result<_, _>>().map(Row)
}

#[async_trait]
impl Engine for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn execute(&mut self, sql: SqlStr, values: &[Value<'_>]) -> Result<u64, Failure> {
        let query = bound(sql, values)?;
        Ok(judged(query.execute(&mut self.connection).await)?.rows_affected())
    }

    async fn fetch(&mut self, sql: SqlStr, values: &[Value<'_>]) -> Result<Vec<Row>, Failure> {
        let query = bound(sql, values)?;
        judged(query.fetch_all(&mut self.connection).await)?
            .iter()
            .map(read)
            .collect()
    }

    async fn each_row(
        &mut self,
        sql: SqlStr,
        each: &mut (dyn FnMut(Row) + Send),
    ) -> Result<(), Failure> {
        let mut rows = sqlx::raw_sql(sql).fetch(&mut self.connection);
        while let Some(row) = judged(rows.try_next().await)? {
            let Row(cells) = read(&row)?;
            let told = cells.into_iter().map(|cell| match cell {
                Cell::Int(number) => Cell::Data(number.to_string().into_bytes()),
                other => other,
            });
            each(Row(told.collect()));
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        // IMMEDIATE takes the write lock at once, where waiting for it is still possible.
        self.raw("BEGIN IMMEDIATE").await?;
        self.in_transaction = true;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        self.raw("COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }

    async fn rollback(&mut self) -> Result<(), Failure> {
        self.raw("ROLLBACK").await?;
        self.in_transaction = false;
        Ok(())
    }

    async fn take_numbers(&mut self, count: i64) -> Result<i64, Failure> {
        let sql = "UPDATE feed_head SET next_seq = next_seq + ? WHERE id = 1";
        if self
            .execute(SqlStr::from_static(sql), &[Value::Int(count)])
            .await?
            != 1
        {
            return Err(Failure::schema(
                "feed_head has no row; run `satellite db migrate`",
            ));
        }
        let rows = self
            .fetch(
                SqlStr::from_static("SELECT next_seq FROM feed_head WHERE id = 1"),
                &[],
            )
            .await?;
        let next = rows.first().map_or(Ok(0), |row| row.int(0))?;
        Ok(next - count)
    }

    async fn server_identity(&mut self) -> Result<String, Failure> {
        // A file has no server; store_id in feed_head tells one file from another.
        Ok("sqlite".to_owned())
    }

    async fn migrate(&mut self) -> Result<(), Failure> {
        // The whole of it under the write lock: the migrator's own lock does nothing here, and
        // a second process would stumble over tables that the first has just made.
        let locked = self.connection.begin_with("BEGIN IMMEDIATE").await;
        let mut transaction = judged(locked)?;
        schema::run(Dialect::Sqlite, &mut *transaction).await?;
        judged(transaction.commit().await)
    }

    async fn enter(&mut self, _: &str) -> Result<(), Failure> {
        // A file is one database.
        Ok(())
    }

    async fn most_connections(&mut self) -> Result<Option<usize>, Failure> {
        Ok(None)
    }

    fn is_sound(&self) -> bool {
        // The driver's thread works through its questions in order, whoever waits for answers.
        !self.in_transaction
    }

    async fn close(self: Box<Self>) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "a file was not closed in an orderly way");
        }
    }
}
