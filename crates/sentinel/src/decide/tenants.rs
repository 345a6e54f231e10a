//! The state of each tenant: fine, partial, down or unknown, with the indicator that set it.
//!
//! The table stands in [`weight`]. A state is never fine while nothing is known.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Core;
use crate::config::Config;
use crate::kind::{Class, Kind, Severity};
use crate::observation::Subject;

/// How a tenant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// *Operación normal.*
    Ok,
    /// Nothing is known of it.
    Unknown,
    /// *Falta parcial.*
    Partial,
    /// *Falta completa.*
    Down,
}

impl Standing {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Partial => "partial",
            Self::Down => "down",
        }
    }

    /// The standing of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Ok, Self::Unknown, Self::Partial, Self::Down];
        all.into_iter().find(|it| it.as_str() == word)
    }
}

/// A tenant's state from a moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantState {
    /// Whose.
    pub tenant: String,
    /// Since when.
    pub since: Timestamp,
    /// How it stands.
    pub standing: Standing,
    /// What set it: kind and subject, for example `database_down@store:acme`; empty when fine.
    pub indicator: String,
}

/// What a confirmed condition makes of a tenant whom it concerns.
fn weight(kind: Kind, severity: Severity) -> Standing {
    use Kind::*;
    match kind {
        SatelliteDown | SatelliteHang | DoorUnreachable | IngestStalled | AcknowledgedNotFound => {
            Standing::Down
        }
        DatabaseDown | DatabaseHung | DatabaseReadOnly | DatabaseFull | ApplicationDown => {
            Standing::Down
        }
        Blind => Standing::Unknown,
        _ if severity == Severity::Notice => Standing::Ok,
        _ => Standing::Partial,
    }
}

/// Whether a condition concerns a tenant.
fn concerns(subject: &Subject, kind: Kind, tenant: &str) -> bool {
    match subject.tenant() {
        Some(own) => own == tenant,
        // What everybody shares concerns everybody only when punches no longer come in.
        None => kind.class() == Class::Component && weight(kind, kind.severity()) == Standing::Down,
    }
}

impl Core {
    /// Works the states out anew, and notes those that changed.
    pub(super) fn judge_tenants(&mut self, config: &Config, now: Timestamp) {
        for tenant in config.tenants() {
            let (standing, indicator) = self.standing_of(tenant);
            let before = self.tenants.get(tenant);
            let same =
                before.is_some_and(|it| it.standing == standing && it.indicator == indicator);
            if same {
                continue;
            }
            let state = TenantState {
                tenant: tenant.to_owned(),
                since: now,
                standing,
                indicator,
            };
            self.tenants.insert(tenant.to_owned(), state.clone());
            self.changes.tenants.push(state);
        }
    }

    fn standing_of(&self, tenant: &str) -> (Standing, String) {
        let mut worst = if self.seen.contains(&Subject::store(tenant)) {
            (Standing::Ok, String::new())
        } else {
            (Standing::Unknown, String::new())
        };
        for ((subject, kind), condition) in &self.conditions {
            if !condition.is_confirmed() || !concerns(subject, *kind, tenant) {
                continue;
            }
            let standing = weight(*kind, condition.severity);
            if standing > worst.0 {
                worst = (standing, super::assign::member_key(subject, *kind));
            }
        }
        worst
    }
}
