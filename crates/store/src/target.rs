//! Which database: an address, and how to open a connection to it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::mysql::Mysql;
use crate::sqlite::Sqlite;
use crate::{AnyEngine, Failure};

/// The address of one store. The password stays out of every text this makes.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A database on a MySQL or MariaDB server.
    Mysql {
        /// `mysql://user@host:port/database`, without a password.
        url: Arc<str>,
        /// The password, if the account has one.
        password: Option<Arc<str>>,
        /// `host:port`, which stores of one server share.
        server: Arc<str>,
    },
    /// A SQLite file.
    Sqlite(PathBuf),
}

impl Target {
    /// A MySQL store. `server` is the `host:port` under which connections are counted.
    pub fn mysql(url: &str, password: Option<&str>, server: &str) -> Self {
        Self::Mysql {
            url: url.into(),
            password: password.map(Into::into),
            server: server.into(),
        }
    }

    /// Opens a connection. It is for one user at a time and is dropped after any failure.
    pub async fn connect(&self) -> Result<AnyEngine, Failure> {
        match self {
            Self::Mysql { url, password, .. } => {
                Ok(Box::new(Mysql::connect(url, password.as_deref()).await?))
            }
            Self::Sqlite(path) => Ok(Box::new(Sqlite::connect(path).await?)),
        }
    }

    /// The server whose connections have to be counted; `None` for a file.
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::Mysql { server, .. } => Some(server),
            Self::Sqlite(_) => None,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mysql { url, .. } => f.write_str(url),
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
        }
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({self})")
    }
}
