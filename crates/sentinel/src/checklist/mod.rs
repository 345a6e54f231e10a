//! The customer's check lists: *Check list de pruebas y verificación* and *Check list de
//! indicadores de operación*, with a result and its evidence on each line.
//!
//! ```text
//! Matter (what looks saw, incidents, state, levels) ─▶ Checklist (lines) ─▶ text | html | json
//! ```
//!
//! Everything here is a function of its arguments. A line passes only when something was seen
//! that shows it: what could not be seen fails and says so, what is not configured does not
//! apply, and neither is ever a pass.

mod lines;
mod rows;
mod show;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use notify::Language;
use serde::Serialize;

use crate::decide::TenantState;
use crate::kind::{Class, Kind, Severity};
use crate::observation::Observation;

pub use show::{to_html, to_json, to_text};

/// The result of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Outcome {
    /// It concerns nothing that is configured.
    #[serde(rename = "NOT APPLICABLE")]
    NotApplicable,
    /// It was seen to be well.
    #[serde(rename = "PASS")]
    Pass,
    /// It was seen not to be well, or could not be seen.
    #[serde(rename = "FAIL")]
    Fail,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its name, the same for ever.
    pub key: &'static str,
    /// What is checked, in the reader's language.
    pub title: String,
    /// The result.
    pub result: Outcome,
    /// False when it could not be seen.
    pub known: bool,
    /// What makes one say so. Hostile text made harmless.
    pub evidence: String,
    /// When it was seen.
    pub seen_at: Option<Timestamp>,
}

/// One of the two lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct List {
    /// Its title, in the reader's language.
    pub title: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// Both lists of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checklist {
    /// The tenant in the configuration.
    pub tenant: String,
    /// Its name for people.
    pub name: String,
    /// The name of this installation.
    pub installation: String,
    /// Whether it is the one after a restore.
    pub after_restore: bool,
    /// When it was made.
    pub made_at: Timestamp,
    /// The worst result of any line.
    pub result: Outcome,
    /// Tests and verification, then indicators of operation.
    pub lists: Vec<List>,
    /// What only a person can see, in the reader's language.
    pub by_hand: Vec<String>,
}

/// Something that a look saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked {
    /// Which look.
    pub look: String,
    /// What it saw.
    pub observation: Observation,
}

/// An incident that is not closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIncident {
    /// Its name.
    pub id: String,
    /// What is wrong.
    pub kind: Kind,
    /// Its class.
    pub class: Class,
    /// How bad.
    pub severity: Severity,
    /// Since when.
    pub since: Timestamp,
    /// When a workaround held.
    pub mitigated_at: Option<Timestamp>,
}

/// What is configured, so that what is missing can be told from what does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Configured {
    /// satellite's unit.
    pub unit: bool,
    /// satellite's admin door.
    pub admin: bool,
    /// An address for terminals.
    pub door: bool,
    /// A canary of this tenant.
    pub canary: bool,
    /// Mail.
    pub mail: bool,
    /// Levels of attention.
    pub levels: usize,
    /// Levels with a telephone number.
    pub telephones: usize,
}

/// What the lists are made from.
#[derive(Debug, Clone)]
pub struct Matter {
    /// The tenant in the configuration.
    pub tenant: String,
    /// Its name for people.
    pub name: String,
    /// The name of this installation.
    pub installation: String,
    /// The zone in which times are shown.
    pub zone: TimeZone,
    /// The present.
    pub now: Timestamp,
    /// What is configured.
    pub configured: Configured,
    /// What was seen, of this tenant and of what all share; at most one of each look and subject.
    pub looked: Vec<Looked>,
    /// Open incidents that concern the tenant or all.
    pub open: Vec<OpenIncident>,
    /// The tenant's state.
    pub state: Option<TenantState>,
    /// Promised recovery times.
    pub promises: crate::config::Promises,
}

impl Checklist {
    /// Goes through both lists.
    pub fn of(matter: &Matter, after_restore: bool, language: Language) -> Self {
        let lists = lines::lists(matter, after_restore, language);
        let results = lists.iter().flat_map(|list| &list.lines);
        let result = results.map(|line| line.result).max();
        Self {
            tenant: matter.tenant.clone(),
            name: matter.name.clone(),
            installation: matter.installation.clone(),
            after_restore,
            made_at: matter.now,
            result: result.unwrap_or(Outcome::NotApplicable),
            lists,
            by_hand: rows::by_hand(after_restore, language),
        }
    }
}

#[cfg(test)]
mod tests;
