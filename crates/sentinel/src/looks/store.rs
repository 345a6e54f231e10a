//! Our own connection to an event database: opened for one look, read-only by the user's
//! rights, closed afterwards.
//!
//! Nothing of satellite's store is used, so that a fault in it cannot hide itself. A connection
//! that is not opened anew says nothing about whether anybody can still connect, so each round
//! opens one. What went wrong is sorted here by what an operator would call it; the words of
//! the server are kept as the detail.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use daemon::config::StoreUrl;
use futures_util::{Stream, TryStreamExt as _};
use jiff::Timestamp;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use tokio::net::TcpStream;

use crate::config::WatchedStore;
use crate::observation::Value;
use crate::words::Phrase;

/// Longest wait for a bare TCP connection, when it has to be told whether anybody is there.
const KNOCK_WITHIN: Duration = Duration::from_secs(2);

/// What is wrong with a database, as far as a reader can tell.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failed {
    /// Nobody takes connections there.
    #[error("{0}")]
    Down(Value),
    /// It takes connections and does not answer.
    #[error("{0}")]
    Hung(Value),
    /// Its connections are used up.
    #[error("{0}")]
    Full(Value),
    /// It works, and does not let us in or not see what we came for: our own trouble.
    #[error("{0}")]
    Denied(Value),
    /// Anything else, in its own words.
    #[error("{0}")]
    Other(Value),
}

impl Failed {
    /// What is said of it, in the server's words or ours.
    pub fn said(&self) -> Value {
        match self {
            Self::Down(words)
            | Self::Hung(words)
            | Self::Full(words)
            | Self::Denied(words)
            | Self::Other(words) => words.clone(),
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub enum Reader {
    /// To MySQL or MariaDB.
    Mysql(MySqlConnection),
    /// To a file.
    Sqlite(SqliteConnection),
}

/// A row of texts; `None` is NULL.
pub type Texts = Vec<Option<String>>;

impl Reader {
    /// Connects.
    ///
    /// # Errors
    /// [`Failed`], within a little more than `within`.
    pub async fn open(store: &WatchedStore, within: Duration) -> Result<Self, Failed> {
        let password = store.password.as_ref().map(daemon::config::Secret::expose);
        Self::connect(&store.url, password, within).await
    }

    /// The same by address and password.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub async fn connect(
        url: &StoreUrl,
        password: Option<&str>,
        within: Duration,
    ) -> Result<Self, Failed> {
        match url {
            StoreUrl::Sqlite(path) => sqlite(path, within).await,
            StoreUrl::Mysql(parts) => {
                let options = MySqlConnectOptions::from_str(&url.to_string());
                let options =
                    options.map_err(|error| Failed::Other(Value::heard(error.to_string())))?;
                let options = options
                    .charset("utf8mb4")
                    .timezone(Some("+00:00".to_owned()))
                    .pipes_as_concat(false)
                    .no_engine_substitution(false)
                    .disable_statement_logging();
                let options = match password {
                    Some(password) => options.password(password),
                    None => options,
                };
                match tokio::time::timeout(within, options.connect()).await {
                    Ok(Ok(connection)) => Ok(Self::Mysql(connection)),
                    Ok(Err(error)) => Err(judge(&error)),
                    Err(_) => Err(silent(&parts.host, parts.port, within).await),
                }
            }
        }
    }

    /// Asks one question without values; every column must be text in the answer (CAST it).
    ///
    /// # Errors
    /// [`Failed`], within `within`; the connection must not be used again then.
    pub async fn ask(&mut self, sql: &'static str, within: Duration) -> Result<Vec<Texts>, Failed> {
        let asked = async {
            match self {
                Self::Mysql(connection) => read(sqlx::query(sql).fetch(connection)).await,
                Self::Sqlite(connection) => read(sqlx::query(sql).fetch(connection)).await,
            }
        };
        timed(asked, within).await
    }

    /// The same with one number in the place of `?`.
    ///
    /// # Errors
    /// As [`Reader::ask`].
    pub async fn ask_after(
        &mut self,
        sql: &'static str,
        number: i64,
        within: Duration,
    ) -> Result<Vec<Texts>, Failed> {
        let asked = async {
            match self {
                Self::Mysql(connection) => {
                    read(sqlx::query(sql).bind(number).fetch(connection)).await
                }
                Self::Sqlite(connection) => {
                    read(sqlx::query(sql).bind(number).fetch(connection)).await
                }
            }
        };
        timed(asked, within).await
    }

    /// The first value of the first row that an operator's own query answers, as a text; of a SHOW
    /// the last one, because its first is a name. It is sent inside a transaction that takes no
    /// writes.
    ///
    /// # Errors
    /// As [`Reader::ask`].
    pub async fn first_value(
        &mut self,
        query: &str,
        within: Duration,
    ) -> Result<Option<String>, Failed> {
        let word = query.split_whitespace().next().unwrap_or_default();
        let is_show = word.eq_ignore_ascii_case("SHOW");
        let query = || sqlx::raw_sql(AssertSqlSafe(query.to_owned()));
        let asked = async {
            match self {
                Self::Mysql(connection) => {
                    let begin = sqlx::raw_sql("START TRANSACTION READ ONLY");
                    begin.execute(&mut *connection).await?;
                    let row = query().fetch_optional(connection).await?;
                    let at = |length: usize| if is_show { length.saturating_sub(1) } else { 0 };
                    row.map_or(Ok(None), |row| row.try_get_unchecked(at(row.len())))
                }
                Self::Sqlite(connection) => {
                    let row = query().fetch_optional(connection).await?;
                    row.map_or(Ok(None), |row| row.try_get_unchecked(0))
                }
            }
        };
        timed(asked, within).await
    }

    /// Says goodbye, so that the server does not count an aborted connection.
    pub async fn close(self) {
        let closing = async {
            match self {
                Self::Mysql(connection) => connection.close().await,
                Self::Sqlite(connection) => connection.close().await,
            }
        };
        drop(tokio::time::timeout(Duration::from_secs(1), closing).await);
    }
}

/// Every column of a row as a text.
/// Rows as texts, one after the other: as the driver holds them, thousands are megabytes.
async fn read<R>(
    mut rows: impl Stream<Item = Result<R, sqlx::Error>> + Unpin,
) -> Result<Vec<Texts>, sqlx::Error>
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    for<'r> Option<String>: sqlx::Decode<'r, R::Database>,
{
    let mut texts = Vec::new();
    while let Some(row) = rows.try_next().await? {
        texts.push(texts_of(&row)?);
    }
    Ok(texts)
}

fn texts_of<'r, R>(row: &'r R) -> Result<Texts, sqlx::Error>
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    Option<String>: sqlx::Decode<'r, R::Database>,
{
    (0..row.len()).map(|at| row.try_get_unchecked(at)).collect()
}

async fn timed<T>(
    asked: impl Future<Output = Result<T, sqlx::Error>>,
    within: Duration,
) -> Result<T, Failed> {
    match tokio::time::timeout(within, asked).await {
        Ok(done) => done.map_err(|error| judge(&error)),
        Err(_) => Err(Failed::Hung(Phrase::LateAnswer.with([within.into()]))),
    }
}

async fn sqlite(path: &Path, within: Duration) -> Result<Reader, Failed> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(within / 2)
        .disable_statement_logging();
    match tokio::time::timeout(within, options.connect()).await {
        Ok(Ok(connection)) => Ok(Reader::Sqlite(connection)),
        Ok(Err(error)) => Err(judge(&error)),
        Err(_) => Err(Failed::Hung(Phrase::FileNotOpened.into())),
    }
}

/// Nothing came in time: is nobody there, or does somebody not answer?
async fn silent(host: &str, port: u16, within: Duration) -> Failed {
    let knock = tokio::time::timeout(KNOCK_WITHIN, TcpStream::connect((host, port))).await;
    match knock {
        Ok(Ok(_)) => Failed::Hung(Phrase::TakesAndSilent.with([within.into()])),
        Ok(Err(error)) => Failed::Down(Value::heard(error.to_string())),
        Err(_) => Failed::Down(Phrase::LateConnect.with([within.into()])),
    }
}

/// Sorts an error of the driver.
fn judge(error: &sqlx::Error) -> Failed {
    let words = Value::heard(error.to_string());
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => Failed::Down(words),
        sqlx::Error::Database(told) => match told.try_downcast_ref::<MySqlDatabaseError>() {
            Some(told) => of_number(told.number(), words),
            None => of_sqlite(told.code().as_deref(), words),
        },
        _ => Failed::Other(words),
    }
}

/// By the server's number: <https://mariadb.com/kb/en/mariadb-error-code-reference/>.
fn of_number(number: u16, words: Value) -> Failed {
    match number {
        // Too many connections, of all or of this user.
        1040 | 1203 | 1226 => Failed::Full(words),
        // Shutdown in progress; the server has gone away.
        1053 | 1077 | 2006 | 2013 => Failed::Down(words),
        // Access denied; unknown database; a table or right is missing; host blocked.
        1044 | 1045 | 1049 | 1129 | 1130 | 1142 | 1143 | 1146 | 1227 | 1356 | 1370 | 1698 => {
            Failed::Denied(words)
        }
        _ => Failed::Other(words),
    }
}

/// By SQLite's primary result code: <https://sqlite.org/rescode.html>.
fn of_sqlite(code: Option<&str>, words: Value) -> Failed {
    let number: u32 = code.and_then(|code| code.parse().ok()).unwrap_or_default();
    match number & 0xff {
        5 | 6 => Failed::Hung(words),
        3 | 23 => Failed::Denied(words),
        10 | 11 | 14 | 26 => Failed::Down(words),
        _ => Failed::Other(words),
    }
}

/// A time of the views: `YYYY-MM-DD HH:MM:SS[.mmm]`, UTC.
pub fn moment(text: &str) -> Option<Timestamp> {
    let read = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", text).ok()?;
    let zoned = read.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_views_is_read_with_and_without_its_fraction() {
        let with = moment("2026-11-21 09:15:30.250").unwrap();
        assert_eq!(with.as_millisecond(), 1_795_252_530_250);
        assert_eq!(
            moment("2026-11-21 09:15:30").unwrap().as_millisecond(),
            1_795_252_530_000
        );
        for wrong in ["", "2026-11-21", "x", "2026-13-01 00:00:00"] {
            assert_eq!(moment(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_down_and_one_that_says_nothing_is_hung() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let url: StoreUrl = format!("mysql://u@127.0.0.1:{port}/d").parse().unwrap();
        let within = Duration::from_millis(300);
        let hung = Reader::connect(&url, None, within).await.unwrap_err();
        assert!(matches!(hung, Failed::Hung(_)), "{hung:?}");
        drop(silent);
        let down = Reader::connect(&url, None, within).await.unwrap_err();
        assert!(matches!(down, Failed::Down(_)), "{down:?}");
        let nothing = StoreUrl::Sqlite("/nonexistent/x.db".into());
        let nothing = Reader::connect(&nothing, None, within).await.unwrap_err();
        assert!(matches!(nothing, Failed::Down(_)), "{nothing:?}");
    }
}
