//! Where events are kept in a test: a SQLite file, or a database on a private MariaDB server.
//!
//! Only addresses are made here. The same value goes into satellite's configuration and to the
//! checker, so that both surely look at one database.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mariadb::{Address, Flavor};

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

    /// The URL as it stands in satellite's configuration.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(file) => format!("sqlite://{}", file.display()),
            Self::Mariadb { server, database } => server.url(database),
        }
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
