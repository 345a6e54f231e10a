//! What can go wrong with a database, sorted by what has to be done about it.
//!
//! Three answers exist: this one row cannot be stored (quarantine it), the transaction was
//! rolled back and may be tried again, or the store cannot be used now (refuse, reconnect).
//! Which of them an error is, is decided here and nowhere else.

use std::fmt;

/// Why a store cannot be used now. Each has a name that operators see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// No connection, or it broke.
    Unreachable,
    /// No answer within the deadline.
    NoAnswer,
    /// The server refused the user, or the user may not do this.
    Denied,
    /// The server takes no writes.
    ReadOnly,
    /// No room: disk, table or memory.
    Full,
    /// A table or column is not as this version expects it.
    Schema,
    /// Locked by another session for longer than we wait.
    Locked,
    /// The server takes no more connections.
    TooManyConnections,
    /// A setting that the promise needs could not be had.
    Settings,
    /// Anything else; the text says what.
    Other,
}

impl Trouble {
    /// Every trouble.
    pub const ALL: [Self; 10] = [
        Self::Unreachable,
        Self::NoAnswer,
        Self::Denied,
        Self::ReadOnly,
        Self::Full,
        Self::Schema,
        Self::Locked,
        Self::TooManyConnections,
        Self::Settings,
        Self::Other,
    ];

    /// The name, as in logs, `/status` and conditions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::NoAnswer => "no_answer",
            Self::Denied => "denied",
            Self::ReadOnly => "read_only",
            Self::Full => "full",
            Self::Schema => "schema",
            Self::Locked => "locked",
            Self::TooManyConnections => "too_many_connections",
            Self::Settings => "settings",
            Self::Other => "other",
        }
    }
}

/// What has to be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The data of one row was refused; other rows may be fine.
    SetRowAside,
    /// The transaction was rolled back whole: run it again.
    TryAgain,
    /// Nothing can be stored now.
    Wait(Trouble),
}

/// An error from a database, already judged.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// What to do about it.
    pub remedy: Remedy,
    /// What the database or driver said.
    pub text: String,
    /// The number of the server's error, where MySQL or MariaDB gave one.
    pub number: Option<u16>,
}

impl Failure {
    /// A failure that means the store cannot be used now.
    pub fn wait(trouble: Trouble, text: impl fmt::Display) -> Self {
        Self {
            remedy: Remedy::Wait(trouble),
            text: text.to_string(),
            number: None,
        }
    }

    /// The schema is not as this version expects it.
    pub fn schema(text: impl fmt::Display) -> Self {
        Self::wait(Trouble::Schema, text)
    }

    /// The trouble, as far as it is one; a row or a retry that got this far is `Other`.
    pub fn trouble(&self) -> Trouble {
        match self.remedy {
            Remedy::Wait(trouble) => trouble,
            Remedy::TryAgain => Trouble::Locked,
            Remedy::SetRowAside => Trouble::Other,
        }
    }

    /// Judges an error of MySQL or MariaDB by its number (their reference manuals, "Server
    /// Error Message Reference").
    pub(crate) fn from_mysql(error: &sqlx::Error) -> Self {
        let sqlx::Error::Database(inner) = error else {
            return Self::from_driver(error);
        };
        let number = inner
            .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
            .map_or(0, sqlx::mysql::MySqlDatabaseError::number);
        let remedy = match number {
            // Deadlock and lock wait: the caller rolls back and runs the transaction again.
            1213 | 1205 | 1020 | 3572 => Remedy::TryAgain,
            // Out of range, too long, wrong value, null, no partition, check, charset.
            1048 | 1264 | 1265 | 1292 | 1366 | 1367 | 1406 | 1411 | 1526 | 1690 | 3140 | 3819
            | 4025 => Remedy::SetRowAside,
            1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1698 => Remedy::Wait(Trouble::Denied),
            1290 | 1792 | 1836 | 1223 => Remedy::Wait(Trouble::ReadOnly),
            1021 | 1114 | 1030 | 1041 | 1037 | 1038 => Remedy::Wait(Trouble::Full),
            1049 | 1054 | 1146 | 1109 | 1136 | 1364 => Remedy::Wait(Trouble::Schema),
            1040 | 1203 | 1226 => Remedy::Wait(Trouble::TooManyConnections),
            1053 | 1077 | 1079 | 2006 | 2013 | 1927 | 1047 => Remedy::Wait(Trouble::Unreachable),
            1969 | 3024 | 1317 => Remedy::Wait(Trouble::NoAnswer),
            _ => Remedy::Wait(Trouble::Other),
        };
        Self {
            remedy,
            text: format!("{number}: {}", inner.message()),
            number: Some(number),
        }
    }

    /// Judges an error of SQLite by its primary result code (sqlite.org/rescode.html).
    pub(crate) fn from_sqlite(error: &sqlx::Error) -> Self {
        let sqlx::Error::Database(inner) = error else {
            return Self::from_driver(error);
        };
        let code: i64 = inner
            .code()
            .and_then(|code| code.parse().ok())
            .unwrap_or_default();
        let remedy = match code & 0xff {
            5 | 6 => Remedy::TryAgain,
            18..=20 => Remedy::SetRowAside,
            3 | 23 => Remedy::Wait(Trouble::Denied),
            8 => Remedy::Wait(Trouble::ReadOnly),
            13 | 7 => Remedy::Wait(Trouble::Full),
            1 => Remedy::Wait(Trouble::Schema),
            10 | 14 => Remedy::Wait(Trouble::Unreachable),
            _ => Remedy::Wait(Trouble::Other),
        };
        Self {
            remedy,
            text: format!("{code}: {}", inner.message()),
            number: None,
        }
    }

    fn from_driver(error: &sqlx::Error) -> Self {
        let trouble = match error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => {
                Trouble::Unreachable
            }
            sqlx::Error::Configuration(_) => Trouble::Settings,
            _ => Trouble::Other,
        };
        Self::wait(trouble, error)
    }
}
