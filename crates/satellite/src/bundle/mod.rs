//! The off-boarding bundle: everything of one tenant in one file that another installation takes in.
//!
//! A tar archive in gzip, because every machine opens it. Its members are pieces of JSON lines, each
//! as long as what fits into memory at once, so that neither writing nor reading grows with the
//! tenant; the first says that it is a bundle and of which form, the last, `manifest.json`, what is
//! in it and the SHA-256 of each member. A bundle is whole when its manifest is there and agrees.
//! [`write`] makes one, [`read`] believes none before all of it was looked at, [`line`] is what a
//! line says. Nothing here knows a database, and no secret can be in it: neither is in what it is
//! made from.

pub mod line;
pub mod read;
pub mod write;

use serde::{Deserialize, Serialize};

/// The form that this program writes, and the first member of a bundle.
pub const FORMAT: &str = "satellite.tenant/1";
/// What every form's name begins with.
const FAMILY: &str = "satellite.tenant/";
/// The first member, which holds the name of the form.
const FORMAT_MEMBER: &str = "FORMAT";
/// For people, in both languages.
const README: &str = "README.txt";
/// The last member.
const MANIFEST: &str = "manifest.json";
/// Bytes after which a piece ends.
const PIECE: usize = 4 << 20;
/// Longest member that is read: a piece, its last line, and room for what a later version adds.
const LONGEST: u64 = 64 << 20;

/// What a bundle has of each kind, in the order in which it has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Every enrolment that the tenant ever had.
    Devices,
    /// Every event, normalised and with the record's own bytes.
    Events,
    /// Records that could not be read.
    Quarantine,
    /// Up to where each terminal has been read.
    Cursors,
    /// Who did what about the tenant and its terminals.
    Audit,
}

impl Part {
    /// All of them, in their order.
    pub const ALL: [Self; 5] = [
        Self::Devices,
        Self::Events,
        Self::Quarantine,
        Self::Cursors,
        Self::Audit,
    ];

    /// The folder of its pieces.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Events => "events",
            Self::Quarantine => "quarantine",
            Self::Cursors => "cursors",
            Self::Audit => "audit",
        }
    }

    fn name(self, number: u32) -> String {
        format!("{}/{number:06}.jsonl", self.folder())
    }
}

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form.
    pub format: String,
    /// Whose data it is.
    pub tenant: String,
    /// The tenant's zone over there.
    pub time_zone: String,
    /// When it was made, UTC.
    pub made_at: String,
    /// By which version of the program.
    pub made_by: String,
    /// The name of the database that it was made from.
    pub feed: String,
    /// Up to which number of that database's feed.
    pub up_to: i64,
    /// Lines of each part.
    pub lines: Lines,
    /// Every member before this one.
    pub members: Vec<Member>,
}

/// Lines of each part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// Enrolments.
    pub devices: u64,
    /// Events.
    pub events: u64,
    /// Records in quarantine.
    pub quarantine: u64,
    /// Cursors.
    pub cursors: u64,
    /// Lines of the audit.
    pub audit: u64,
}

impl Lines {
    fn of(&mut self, part: Part) -> &mut u64 {
        match part {
            Part::Devices => &mut self.devices,
            Part::Events => &mut self.events,
            Part::Quarantine => &mut self.quarantine,
            Part::Cursors => &mut self.cursors,
            Part::Audit => &mut self.audit,
        }
    }
}

/// A member of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

#[cfg(test)]
mod tests;
