//! The binary log of a server, shipped minute by minute: what happened after a copy.
//!
//! A copy is of one moment; the log of MariaDB has everything that was committed since. [`ship`]
//! fetches what is new with the distribution's `mariadb-binlog` and puts it, encrypted, beside the
//! copies: `<location>/<server>.binlog/<log>.<created>/<from>-<to>-<moment>.gz.age`. [`unpack`]
//! finds the pieces that follow a copy without a gap, [`Tail`] is what they hold, and a restore
//! replays it. A log is told from another of the same name by when it was created, so that the
//! pieces of a server that was made anew are never replayed behind a copy of the old one.
//!
//! A piece gets its name when all of it is on disk. What is not contiguous is not replayed: a gap
//! ends the tail and is told, and never bridged.

mod events;
mod pieces;
mod replay;
mod ship;

use daemon::config::MysqlUrl;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use pieces::pieces_in;
pub use pieces::{Piece, may_go, pieces};
pub(crate) use replay::replay;
pub use replay::{Ended, Tail, unpack};
pub use ship::{Marked, Shipped, Shipping, ship};

use crate::{Location, Problem};

/// Where in a server's binary log a copy stands: everything before is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogMark {
    /// The folder of the server's log in a location.
    pub server: String,
    /// The name of the database.
    pub database: String,
    /// The name of the log.
    pub file: String,
    /// Bytes from its begin.
    pub position: u64,
}

/// The folder of a server's log in a location; no store has such a label.
pub fn folder_of(url: &MysqlUrl) -> String {
    let socket = url.options.iter().find(|(name, _)| name == "socket");
    let place = match socket {
        Some((_, path)) => format!("socket{path}"),
        None => format!("{}-{}", url.host, url.port),
    };
    let plain = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => letter,
        _ => '_',
    };
    format!("{}.binlog", place.chars().map(plain).collect::<String>())
}

/// Removes a piece of a server's log, and the folder of that log when it was the last.
///
/// # Errors
/// It cannot be removed.
pub fn remove(location: &Location, server: &str, piece: &Piece) -> Result<(), Problem> {
    if let Location::Remote(remote) = location {
        return remote.remove_log(server, &piece.path.to_string_lossy());
    }
    std::fs::remove_file(&piece.path).map_err(|error| Problem::file(&piece.path, &error))?;
    if let Some(folder) = piece.path.parent() {
        // A folder that has others in it stays.
        std::fs::remove_dir(folder).ok();
    }
    Ok(())
}

/// How far a server's log has been shipped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogState {
    /// The folder of the server's log in a location.
    pub server: String,
    /// Everything that was committed before this moment lies in every location.
    pub shipped_until: Option<Timestamp>,
    /// When it was last tried.
    pub tried_at: Option<Timestamp>,
    /// Why the last try failed.
    pub error: Option<String>,
    /// The same in Spanish.
    pub error_es: Option<String>,
}
