//! What stands beside the data of a copy, readable without any key.
//!
//! Numbers, names and hashes, no row: so that a machine which holds only public keys can list
//! copies and see that not a byte of them has changed. What the rows must hash to is here too; it
//! proves a restore, not an author.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::contents::Contents;

use crate::LogMark;

/// The form of copies that this version writes.
pub(crate) const FORMAT: u32 = 1;
/// Its name in a copy.
pub(crate) const NAME: &str = "manifest.json";

/// One copy of one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the copy.
    pub format: u32,
    /// The version of satellite that made it.
    pub version: String,
    /// The newest schema that the program which made it knew.
    #[serde(default)]
    pub schema: i64,
    /// The store's label: `store` for the registry's, else the tenant's.
    pub store: String,
    /// The tenants whose events it holds.
    pub tenants: Vec<String>,
    /// `mysql` or `sqlite`.
    pub engine: String,
    /// Where it came from, without a password.
    pub place: String,
    /// The moment of the copy: everything committed before is in it.
    pub started_at: Timestamp,
    /// When it was complete.
    pub finished_at: Timestamp,
    /// The file with the data.
    pub data: String,
    /// Bytes before compression.
    pub plain_bytes: u64,
    /// Public keys that open it.
    pub recipients: Vec<String>,
    /// The configuration's file in this copy, if it has one.
    pub configuration: Option<String>,
    /// The file with the proofs of deletions in this copy, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletions: Option<String>,
    /// Where it stands in its server's binary log, where that is shipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogMark>,
    /// Names of the passwords that a restore will ask for. Never what is in them.
    pub secrets: Vec<String>,
    /// Rows and hashes of each table and day.
    pub contents: Contents,
}
