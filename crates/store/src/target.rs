//! Which database: an address, and how to open a connection to it.
//!
//! An address falls into the account, whose sessions its stores share, and the database, which
//! a session can leave for another one. Two accounts are never taken for one: a session knows
//! what its own user may do.

use std::path::PathBuf;
use std::sync::Arc;

use crate::mysql::{self, Mysql};
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

/// Who logs in where: stores of one account can share sessions. It holds a password and is
/// never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Account {
    address: Arc<str>,
    password: Option<Arc<str>>,
}

impl Account {
    /// The address without database and password; a file's path.
    pub(crate) fn address(&self) -> Arc<str> {
        Arc::clone(&self.address)
    }
}

impl Target {
    /// Whose sessions serve this store.
    pub(crate) fn account(&self) -> Account {
        match self {
            Self::Mysql { url, password, .. } => Account {
                address: without_path(url).into(),
                password: password.clone(),
            },
            Self::Sqlite(_) => Account {
                address: self.to_string().into(),
                password: None,
            },
        }
    }

    /// The name of the database on its server; empty for a file, which has only one.
    pub(crate) fn database(&self) -> String {
        match self {
            Self::Mysql { url, .. } => mysql::database(url),
            Self::Sqlite(_) => String::new(),
        }
    }
}

/// The URL without its path: what stands after `?` belongs to the connection.
fn without_path(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let Some(path) = url.get(start..).and_then(|rest| rest.find('/')) else {
        return url.to_owned();
    };
    let (front, rest) = url.split_at(start + path);
    let query = rest.find('?').and_then(|at| rest.get(at..));
    format!("{front}{}", query.unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_account_and_a_database() {
        let of = |url: &str| Target::mysql(url, None, "h:3306");
        let one = of("mysql://u@h:3306/acme?ssl-mode=required");
        let other = of("mysql://u@h:3306/be%20ta?ssl-mode=required");
        assert!(one.account() == other.account());
        assert_eq!([one.database(), other.database()], ["acme", "be ta"]);
        for different in [
            "mysql://v@h:3306/acme?ssl-mode=required",
            "mysql://u@h:3306/acme",
        ] {
            assert!(of(different).account() != one.account(), "{different}");
        }
    }
}
