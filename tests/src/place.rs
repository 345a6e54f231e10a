//! Where events are kept in a test: a SQLite file, or a database on a private MariaDB server.
//!
//! Only addresses are made here. The same value goes into satellite's configuration and to the
//! checker, so that both surely look at one database.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mariadb::{Address, Flavor};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions as _, Connection as _};

/// How long the last reader of a file may take to close it.
const CLOSING: Duration = Duration::from_secs(30);

/// The address of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A database on a server.
    Mariadb {
        /// The server.
        server: Address,
        /// The database on it.
        database: String,
    },
}

impl Place {
    /// A SQLite file `events.db` in a folder that exists.
    #[must_use]
    pub fn sqlite(folder: &Path) -> Self {
        Self::Sqlite(folder.join("events.db"))
    }

    /// A fresh, empty database on a server.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn mariadb(server: &Address) -> Result<Self> {
        let address = server.clone();
        let database = blocking(move || address.fresh_database("promise")).await?;
        Ok(Self::Mariadb {
            server: server.clone(),
            database,
        })
    }

    /// Puts an older copy of a SQLite database in its place, with satellite not running.
    ///
    /// # Errors
    /// It is no SQLite database, somebody still has it open, or the copy cannot be written.
    pub async fn put_back(&self, copy: &Path) -> Result<()> {
        let Self::Sqlite(file) = self else {
            bail!("only a SQLite database is put back this way");
        };
        alone(file).await?;
        std::fs::copy(copy, file)?;
        Ok(())
    }

    /// The URL as it stands in satellite's configuration.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(file) => format!("sqlite://{}", file.display()),
            Self::Mariadb { server, database } => server.url(database),
        }
    }
}

/// Waits until nobody has the database open, and leaves it as one file.
///
/// A reader of this process that went out of scope closes its file a moment later, on a thread of
/// the driver, and writes the log into the file as it closes. The journal's mode can only change
/// when that is over.
async fn alone(file: &Path) -> Result<()> {
    let begun = Instant::now();
    let options = SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Delete);
    loop {
        match options.connect().await {
            Ok(connection) => return Ok(connection.close().await?),
            Err(error) => ensure!(begun.elapsed() < CLOSING, "still open: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A fresh, empty database on the server of this flavour that all tests share.
///
/// # Errors
/// The server cannot be started or reached.
pub async fn shared_mariadb(flavor: Flavor) -> Result<Place> {
    let server = blocking(move || mariadb::shared(flavor)).await?;
    Place::mariadb(&server).await
}

/// Runs what blocks (starting, killing, asking a private server) beside the async world.
///
/// # Errors
/// Those of the work, or that it panicked.
pub async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.context("work on a private server panicked")?
}
