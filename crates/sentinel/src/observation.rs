//! What a look says: about whom, when, and whether that is fine, wrong or unknown.
//!
//! Everything that a peer named (serials, sites, words of servers) is hostile text: it is cut
//! here to a bounded length and made harmless only where it is shown (`notify::text`). Nothing
//! here decides; nothing here knows a clock.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use compact_str::CompactString;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use notify::Language;
use serde::{Deserialize, Serialize};

use crate::kind::{Kind, Severity};
use crate::words::Phrase;

/// Longest name of a subject that is kept, in characters.
const NAME_CHARACTERS: usize = 100;
/// Longest text of a fact that is kept, in characters.
const TEXT_CHARACTERS: usize = 300;

/// What an observation is about. Conditions, incidents and history hang on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Subject {
    /// The ingestion daemon as a process.
    Satellite,
    /// One event database.
    Store {
        /// The tenant of its `[[watch.store]]`.
        tenant: String,
    },
    /// A machine.
    Host {
        /// Its name.
        name: String,
    },
    /// A terminal. There are thousands, and each is named in several places: short names stand
    /// in the value itself.
    Terminal {
        /// Whose it is.
        tenant: CompactString,
        /// Where it stands, if that is known.
        site: Option<CompactString>,
        /// Its serial number.
        serial: CompactString,
    },
    /// The mail path as a whole, or one relay of it.
    Mail {
        /// The relay; `None` for the whole.
        relay: Option<String>,
    },
    /// A certificate, by the address at which it is shown.
    Certificate {
        /// `host:port`.
        at: String,
    },
    /// The backups of one tenant.
    Backup {
        /// Whose.
        tenant: String,
    },
    /// A program that satellite carries events on to.
    Output {
        /// Whose events it gets.
        tenant: String,
        /// Its name in satellite's configuration.
        name: String,
    },
    /// A broker from which satellite takes records in.
    Input {
        /// Whose records come.
        tenant: String,
        /// Its name in satellite's configuration.
        name: String,
    },
    /// A check of a client's application.
    Check {
        /// Whose.
        tenant: String,
        /// Its name in the configuration.
        name: String,
    },
    /// Another sentinel.
    Peer {
        /// Its name.
        name: String,
    },
    /// This sentinel itself.
    Sentinel,
}

impl Subject {
    /// A terminal; names are cut to a bounded length.
    pub fn terminal(tenant: &str, site: Option<&str>, serial: &str) -> Self {
        Self::Terminal {
            tenant: first(tenant, NAME_CHARACTERS),
            site: site
                .filter(|site| !site.is_empty())
                .map(|site| first(site, NAME_CHARACTERS)),
            serial: first(serial, NAME_CHARACTERS),
        }
    }

    /// An event database.
    pub fn store(tenant: &str) -> Self {
        let tenant = cut(tenant, NAME_CHARACTERS);
        Self::Store { tenant }
    }

    /// A machine.
    pub fn host(name: &str) -> Self {
        let name = cut(name, NAME_CHARACTERS);
        Self::Host { name }
    }

    /// A mail relay.
    pub fn relay(name: &str) -> Self {
        let relay = Some(cut(name, NAME_CHARACTERS));
        Self::Mail { relay }
    }

    /// An output of satellite.
    pub fn output(tenant: &str, name: &str) -> Self {
        let (tenant, name) = (cut(tenant, NAME_CHARACTERS), cut(name, NAME_CHARACTERS));
        Self::Output { tenant, name }
    }

    /// An input of satellite.
    pub fn input(tenant: &str, name: &str) -> Self {
        let (tenant, name) = (cut(tenant, NAME_CHARACTERS), cut(name, NAME_CHARACTERS));
        Self::Input { tenant, name }
    }

    /// A check of an application.
    pub fn check(tenant: &str, name: &str) -> Self {
        let (tenant, name) = (cut(tenant, NAME_CHARACTERS), cut(name, NAME_CHARACTERS));
        Self::Check { tenant, name }
    }

    /// The tenant whom it concerns; `None` when it concerns all.
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Self::Terminal { tenant, .. } => Some(tenant),
            Self::Store { tenant }
            | Self::Backup { tenant }
            | Self::Output { tenant, .. }
            | Self::Input { tenant, .. }
            | Self::Check { tenant, .. } => Some(tenant),
            _ => None,
        }
    }

    /// The sort of subject, in one word.
    pub fn sort(&self) -> &'static str {
        match self {
            Self::Satellite => "satellite",
            Self::Store { .. } => "store",
            Self::Host { .. } => "host",
            Self::Terminal { .. } => "terminal",
            Self::Mail { .. } => "mail",
            Self::Certificate { .. } => "certificate",
            Self::Backup { .. } => "backup",
            Self::Output { .. } => "output",
            Self::Input { .. } => "input",
            Self::Check { .. } => "check",
            Self::Peer { .. } => "peer",
            Self::Sentinel => "sentinel",
        }
    }
}

impl fmt::Display for Subject {
    /// A key for tables and logs, for example `terminal:acme/Toluca/ABC1`; not harmless.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sort())?;
        match self {
            Self::Satellite | Self::Sentinel | Self::Mail { relay: None } => Ok(()),
            Self::Store { tenant: name }
            | Self::Host { name }
            | Self::Mail { relay: Some(name) }
            | Self::Certificate { at: name }
            | Self::Backup { tenant: name }
            | Self::Peer { name } => write!(f, ":{name}"),
            Self::Output { tenant, name }
            | Self::Input { tenant, name }
            | Self::Check { tenant, name } => {
                write!(f, ":{tenant}/{name}")
            }
            Self::Terminal {
                tenant,
                site,
                serial,
            } => write!(f, ":{tenant}/{}/{serial}", site.as_deref().unwrap_or("-")),
        }
    }
}

/// One look at one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// About whom.
    pub subject: Subject,
    /// When it was seen.
    pub at: Timestamp,
    /// What was seen.
    pub finding: Finding,
    /// One of the signals from which the rule table judges satellite, if this look is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// Measurements, for reports, check lists and messages.
    #[serde(default, skip_serializing_if = "Numbers::is_empty")]
    pub numbers: Numbers,
    /// The version of what was seen, in its own words and cut, where it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<CompactString>,
}

impl Observation {
    /// All is well.
    pub fn fine(subject: Subject, at: Timestamp) -> Self {
        Self::new(subject, at, Finding::Fine)
    }

    /// Something is wrong.
    pub fn wrong(subject: Subject, at: Timestamp, troubles: Vec<Trouble>) -> Self {
        Self::new(subject, at, Finding::of(troubles))
    }

    /// It cannot be told, for that reason.
    pub fn unknown(subject: Subject, at: Timestamp, why: impl Into<Value>) -> Self {
        Self::new(subject, at, Finding::Unknown { why: why.into() })
    }

    fn new(subject: Subject, at: Timestamp, finding: Finding) -> Self {
        Self {
            subject,
            at,
            finding,
            signal: None,
            numbers: Numbers::new(),
            version: None,
        }
    }

    /// With the version that it says it has.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(first(version, NAME_CHARACTERS)).filter(|it| !it.is_empty());
        self
    }

    /// With a signal for the rule table.
    #[must_use]
    pub fn signal(mut self, signal: Signal) -> Self {
        self.signal = Some(signal);
        self
    }

    /// With a measurement, named with its unit (`age_seconds`, `free_bytes`, `people`); what is
    /// not finite is left out.
    #[must_use]
    pub fn number(mut self, name: &str, value: f64) -> Self {
        if value.is_finite() {
            self.numbers.insert(name.to_owned(), value);
        }
        self
    }
}

/// The measurement beside [`Rows`]: how old the newest row was when it was read.
pub const NEWEST_ROW_AGE: &str = "newest_row_age_seconds";

/// The measurement of a machine that sends its facts: when it was last heard, in seconds since
/// 1970.
pub const HEARD_AT: &str = "heard_unix_seconds";

/// Measurements by name; the name ends in the unit.
pub type Numbers = BTreeMap<String, f64>;

/// What was seen. What a look does not list as wrong about a subject is fine in its eyes;
/// unknown neither opens a condition nor clears one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Finding {
    /// Nothing is wrong.
    Fine,
    /// These are; at least one, at most one of each kind.
    Wrong {
        /// What.
        troubles: Vec<Trouble>,
    },
    /// It could not be seen.
    Unknown {
        /// Why not.
        why: Value,
    },
}

impl Finding {
    /// Fine without troubles, else wrong.
    pub fn of(troubles: Vec<Trouble>) -> Self {
        if troubles.is_empty() {
            Self::Fine
        } else {
            Self::Wrong { troubles }
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// What.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// What makes one say so.
    #[serde(default)]
    pub facts: Facts,
}

impl Trouble {
    /// Of that kind, as bad as usual, without facts yet.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            severity: kind.severity(),
            facts: Facts::new(),
        }
    }

    /// With another severity.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// With a fact.
    #[must_use]
    pub fn fact(mut self, fact: Fact, value: impl Into<Value>) -> Self {
        self.facts.insert(fact, value.into());
        self
    }

    /// When it began. What stands has failed for minutes when a look may say so, and those count.
    pub(crate) fn began(&self, seen: Timestamp) -> Timestamp {
        match (self.kind, self.facts.get(&Fact::Since)) {
            (Kind::InputStanding | Kind::OutputStanding, Some(Value::At(since))) => {
                seen.min(*since)
            }
            _ => seen,
        }
    }
}

/// Facts, each at most once, in the order in which people want to read them.
pub type Facts = BTreeMap<Fact, Value>;

/// What a fact is about. Each has its words in Spanish and in English; a new one needs both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// What should have been.
    Expected,
    /// What was.
    Seen,
    /// Since when, where the world knows better than we do.
    Since,
    /// When it was last heard.
    LastContact,
    /// Its newest event.
    LastEvent,
    /// Where: an address, a path, a mount point.
    Place,
    /// How full, 0 to 1.
    Used,
    /// What is left.
    Free,
    /// When it will be full, or end.
    Until,
    /// How many wait.
    Waiting,
    /// The age of the oldest that waits.
    Oldest,
    /// How many.
    Count,
    /// How long it took.
    Took,
    /// By how much it is off.
    Off,
    /// Version or setting that was found.
    Setting,
    /// What satellite says holds of a terminal, or of its journal.
    Condition,
    /// In the words of a server or program, cut short, or in ours.
    Detail,
}

/// The value of a fact; it is written in the reader's language, zone and units
/// ([`of_value`](crate::words::of_value)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Hostile text, cut.
    Text(String),
    /// How many.
    Count(i64),
    /// 0 to 1.
    Ratio(f64),
    /// A length of time.
    Seconds(f64),
    /// A size.
    Bytes(u64),
    /// A moment.
    At(Timestamp),
    /// What a program of ours said, in Spanish and in English; hostile all the same, cut.
    InBoth(String, String),
    /// A sentence of ours, and what stands in its places.
    Said(Phrase, Vec<Self>),
    /// What was seen from several points.
    Signals(Vec<Signal>),
}

impl Value {
    /// Words and names of somebody else, or of the configuration: hostile, cut, in whatever
    /// language they are. Our own sentences are a [`Phrase`].
    pub fn heard(text: impl AsRef<str>) -> Self {
        Self::Text(cut(text.as_ref(), TEXT_CHARACTERS))
    }

    /// What a program of ours says, in English and, where it knows it, in Spanish.
    pub fn in_both(es: Option<&str>, en: &str) -> Self {
        match es {
            Some(es) => Self::InBoth(cut(es, TEXT_CHARACTERS), cut(en, TEXT_CHARACTERS)),
            None => Self::heard(en),
        }
    }
}

impl Phrase {
    /// The sentence with its places filled in order.
    pub fn with<const N: usize>(self, places: [Value; N]) -> Value {
        Value::Said(self, places.into())
    }
}

impl From<Phrase> for Value {
    fn from(phrase: Phrase) -> Self {
        Self::Said(phrase, Vec::new())
    }
}

impl From<Duration> for Value {
    fn from(length: Duration) -> Self {
        Self::Seconds(length.as_secs_f64())
    }
}

impl fmt::Display for Value {
    /// English, for logs and for whoever reads an error; not harmless.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::words::of_value(
            Language::English,
            &TimeZone::UTC,
            self,
        ))
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::At(at)
    }
}

impl From<i64> for Value {
    fn from(count: i64) -> Self {
        Self::Count(count)
    }
}

/// A signal for the rule table (`reliability`: several vantage points, one verdict). `Unit`,
/// `Admin` and `Door` belong to [`Subject::Satellite`]; `Canary`, `Rows` and a stage that is
/// `Stuck` belong to a [`Subject::Store`]. No signal is the same as unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// What systemd says.
    Unit(Unit),
    /// What satellite's admin door says.
    Admin(Admin),
    /// What the port for terminals says, near satellite.
    Door(Door),
    /// What became of the last canary punch through the public address.
    Canary(Canary),
    /// Rows of real terminals, read by our own database user.
    Rows(Rows),
}

/// systemd's word on satellite's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// It runs.
    Active,
    /// It does not.
    Inactive,
}

/// The admin door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admin {
    /// It answers, and work moves or there is none.
    Moving,
    /// It answers: work waits, the database is up, and nothing was committed for 30 seconds.
    Stuck,
    /// Nobody listens (the connection was refused).
    Refused,
    /// No answer in time, or none that can be read.
    Silent,
}

/// The port for terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// It answers.
    Answers,
    /// Nobody listens.
    Refused,
    /// No answer in time.
    Silent,
}

/// The canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Canary {
    /// Acknowledged, and its row was read back.
    Visible,
    /// Acknowledged, the database answered our reader, and the row is not there.
    Absent,
    /// Not acknowledged.
    Failed,
}

/// Rows of real terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rows {
    /// One was received within the last 20 seconds; [`NEWEST_ROW_AGE`] says when.
    Fresh,
    /// None was. A quiet night looks the same: this alone means nothing.
    Old,
}

/// What one look saw in one round.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// Its observations, at most one for each subject.
    pub observations: Vec<Observation>,
    /// True when it saw every subject there is of its sort: one that it named before and does
    /// not name now no longer exists, and its conditions end.
    pub whole: bool,
}

impl Round {
    /// Of one observation about the only subject.
    pub fn one(observation: Observation) -> Self {
        Self {
            observations: vec![observation],
            whole: false,
        }
    }

    /// Of every subject there is.
    pub fn whole(observations: Vec<Observation>) -> Self {
        Self {
            observations,
            whole: true,
        }
    }

    /// Of those that could be seen.
    pub fn part(observations: Vec<Observation>) -> Self {
        Self {
            observations,
            whole: false,
        }
    }
}

/// At most so many characters.
fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// The same as a name that needs no memory of its own while it is short.
fn first(text: &str, characters: usize) -> CompactString {
    text.chars().take(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_bounded_and_an_empty_site_is_none() {
        let long = "x".repeat(10_000);
        let subject = Subject::terminal("acme", Some(""), &long);
        assert_eq!(
            subject.to_string().len(),
            "terminal:acme/-/".len() + NAME_CHARACTERS
        );
        assert_eq!(Value::heard(&long), Value::Text("x".repeat(300)));
    }

    #[test]
    fn observations_are_written_and_read_back() {
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let trouble = Trouble::new(Kind::DiskFull)
            .fact(Fact::Used, Value::Ratio(0.97))
            .fact(Fact::Place, Value::heard("/var"))
            .fact(
                Fact::Detail,
                Phrase::LateAnswer.with([Duration::from_secs(3).into()]),
            );
        let seen = Observation::wrong(Subject::host("vm1"), at, vec![trouble])
            .signal(Signal::Unit(Unit::Active))
            .number("free_bytes", 12.0)
            .number("nothing", f64::NAN);
        let text = serde_json::to_string(&seen).unwrap();
        let back: Observation = serde_json::from_str(&text).unwrap();
        assert_eq!(back, seen);
        assert_eq!(back.numbers.len(), 1);
    }
}
