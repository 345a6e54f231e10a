//! An incident: one cause, everything that hangs on it, and what was done about it. Pure data.
//!
//! It is opened by confirmed conditions and closed when the last of its roots is over, or by a
//! person with a cause. Its number is never used again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::kind::{Class, Kind, Severity};
use crate::observation::{Facts, Subject};

/// The number of an incident with the year in which it was opened: `INC-2026-000123`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IncidentId {
    /// Rises over all years and is never used twice.
    pub number: u32,
    /// The year in the zone of the configuration.
    pub year: i16,
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INC-{}-{:06}", self.year, self.number)
    }
}

impl From<IncidentId> for String {
    fn from(id: IncidentId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for IncidentId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("is no incident; they look like INC-2026-000123")
    }
}

impl IncidentId {
    /// Reads what [`IncidentId`] shows; letters may be small.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_uppercase();
        let (year, number) = text.strip_prefix("INC-")?.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if year.len() != 4 || number.len() < 6 || !digits(year) || !digits(number) {
            return None;
        }
        let (number, year) = (number.parse().ok()?, year.parse().ok()?);
        Some(Self { number, year })
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nobody has said that they are on it.
    Open,
    /// Somebody is on it; nobody else is called.
    Acknowledged,
    /// A workaround holds; the recovery clock stands.
    Mitigated,
    /// Over.
    Closed,
}

impl State {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [
        Self::Open,
        Self::Acknowledged,
        Self::Mitigated,
        Self::Closed,
    ];

    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Mitigated => "mitigated",
            Self::Closed => "closed",
        }
    }

    /// The state of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }
}

/// How wide the cause is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Scope {
    /// One subject.
    One {
        /// Which.
        subject: Subject,
    },
    /// Terminals of one site.
    Site {
        /// Whose.
        tenant: String,
        /// Where; `None` for terminals without a site.
        site: Option<String>,
    },
    /// Terminals at several sites of one tenant.
    Tenant {
        /// Whose.
        tenant: String,
    },
    /// A database server, with all its databases, or a broker, with all that come by it.
    Server {
        /// Its address.
        at: String,
    },
    /// Terminals of several tenants.
    Everything,
}

/// One condition that hangs on an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// About whom.
    pub subject: Subject,
    /// What is wrong.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// Since when.
    pub since: Timestamp,
    /// When it was over.
    pub over_at: Option<Timestamp>,
    /// Whether it follows from a root of this incident.
    pub follows: bool,
    /// What makes one say so, as last seen.
    pub facts: Facts,
    /// The looks that say so.
    pub looks: BTreeSet<String>,
}

/// Where one level of attention stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LevelState {
    /// When it was told.
    pub told_at: Option<Timestamp>,
    /// Whether it was due outside its hours and waits for the next opening.
    #[serde(default)]
    pub held: bool,
}

/// One incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name.
    pub id: IncidentId,
    /// What is wrong: the kind of its worst root.
    pub kind: Kind,
    /// Its contingency class.
    pub class: Class,
    /// The worst that any of its roots was.
    pub severity: Severity,
    /// How far it is.
    pub state: State,
    /// How wide it is.
    pub scope: Scope,
    /// Since when it is wrong, as far as is known.
    pub since: Timestamp,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When somebody said that they are on it, and who.
    pub acknowledged: Option<(Timestamp, String)>,
    /// When a workaround held, and who said so.
    pub mitigated: Option<(Timestamp, String)>,
    /// When it was over.
    pub closed_at: Option<Timestamp>,
    /// Why it happened, or that it went away by itself.
    pub cause: Option<String>,
    /// Everything that hangs on it, by key.
    pub members: BTreeMap<String, Member>,
    /// The levels of attention.
    pub levels: Vec<LevelState>,
    /// Since when levels count: its opening, or the end of maintenance.
    pub counted_from: Timestamp,
    /// Reminders that were sent.
    pub reminders: u32,
    /// Steps of the recovery clock that were told: 75 % of the shorter time, the shorter, the
    /// longer.
    pub clock_steps: u8,
    /// Members at the time of the last letter, and that time.
    pub told_members: usize,
    /// How bad it was when somebody was last told.
    #[serde(default)]
    pub told_severity: Option<Severity>,
    /// When the last letter about its growth, or the first letter, was written.
    pub grown_at: Option<Timestamp>,
}

impl Incident {
    /// Whether it is not closed.
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// Its roots: what does not follow from something else.
    pub fn roots(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| !member.follows)
    }

    /// The tenants whom it concerns, each once; none when it is about something common.
    pub fn tenants(&self) -> BTreeSet<&str> {
        let members = self.members.values();
        members
            .filter_map(|member| member.subject.tenant())
            .collect()
    }

    /// The one tenant whom it concerns; `None` for none or several.
    pub fn tenant(&self) -> Option<&str> {
        let tenants = self.tenants();
        match tenants.len() {
            1 => tenants.into_iter().next(),
            _ => None,
        }
    }

    /// Whether anybody was told.
    pub fn was_told(&self) -> bool {
        self.levels.iter().any(|level| level.told_at.is_some())
    }
}

/// A line of an incident's timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Of which incident.
    pub incident: IncidentId,
    /// When.
    pub at: Timestamp,
    /// What, in a word: see [`Happened`].
    pub what: Happened,
    /// Who did it; empty for sentinel itself.
    pub who: String,
    /// More about it.
    pub detail: String,
}

/// What can happen to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// It was opened.
    Opened,
    /// Something more hangs on it.
    Joined,
    /// It became worse.
    Worse,
    /// A part of it is over.
    PartOver,
    /// A level was told.
    Told,
    /// A level would have been told outside its hours, and waits.
    Held,
    /// Nobody is told because of maintenance.
    Hidden,
    /// A reminder was sent.
    Reminded,
    /// The recovery clock passed a step.
    Clock,
    /// Somebody is on it.
    Acknowledged,
    /// A workaround holds.
    Mitigated,
    /// It is over.
    Closed,
    /// The wall clock of sentinel's machine was set.
    ClockSet,
    /// satellite was restarted.
    Restarted,
    /// A person's remark.
    Note,
}

impl Happened {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Joined => "joined",
            Self::Worse => "worse",
            Self::PartOver => "part_over",
            Self::Told => "told",
            Self::Held => "held",
            Self::Hidden => "hidden",
            Self::Reminded => "reminded",
            Self::Clock => "clock",
            Self::Acknowledged => "acknowledged",
            Self::Mitigated => "mitigated",
            Self::Closed => "closed",
            Self::ClockSet => "clock_set",
            Self::Restarted => "restarted",
            Self::Note => "note",
        }
    }

    /// What that word means.
    pub fn from_word(word: &str) -> Option<Self> {
        let text = serde_json::Value::String(word.to_owned());
        serde_json::from_value(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_shown_and_read_back_and_grows_beyond_six_digits() {
        for (number, year, text) in [
            (123, 2026, "INC-2026-000123"),
            (1_234_567, 2031, "INC-2031-1234567"),
        ] {
            let id = IncidentId { number, year };
            assert_eq!(id.to_string(), text);
            assert_eq!(IncidentId::parse(&text.to_lowercase()), Some(id));
        }
        for bad in [
            "",
            "INC-2026-1",
            "INC-26-000001",
            "INC-2026-00000x",
            "2026-000001",
            "INC--2026-000001",
        ] {
            assert_eq!(IncidentId::parse(bad), None, "{bad}");
        }
    }
}
