//! Looks at the client's application: pages, queries, ports, processes, files, and any command.
//!
//! Each check is one indicator of one tenant and says which state of operation it stands for
//! when it fails: none at all (`down`) or in part (`partial`). Whatever the other side answers
//! is hostile: bounded, never run, never a name of anything.

mod command;
mod http;
mod local;
mod sql;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::config::looks::{Check, Probe, Sets};
use crate::{Fact, Kind, Look, Observation, Round, Severity, Subject, Trouble, Value};

/// How one indicator stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// As it should.
    Good,
    /// It works, and something about it is not as it should be.
    Poor(Value),
    /// It does not work.
    Bad(Value),
    /// It cannot be told.
    Unknown(Value),
}

/// A verdict, with measurements.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) numbers: Vec<(&'static str, f64)>,
}

impl Outcome {
    fn of(verdict: Verdict) -> Self {
        Self {
            verdict,
            numbers: Vec::new(),
        }
    }

    fn number(mut self, name: &'static str, value: f64) -> Self {
        self.numbers.push((name, value));
        self
    }
}

/// The look at one `[[check]]`.
pub struct CheckLook {
    name: String,
    check: Check,
}

impl CheckLook {
    /// A look at that indicator.
    pub fn new(check: Check) -> Self {
        Self {
            name: format!("check:{}:{}", check.tenant, check.name),
            check,
        }
    }

    fn subject(&self) -> Subject {
        Subject::check(&self.check.tenant, &self.check.name)
    }

    fn judged(&self, outcome: &Outcome, now: Timestamp) -> Observation {
        let wrong = |kind: Kind, severity: Severity, words: &Value| {
            let trouble = Trouble::new(kind)
                .severity(severity)
                .fact(Fact::Place, Value::heard(self.check.probe.place()))
                .fact(Fact::Detail, words.clone());
            Observation::wrong(self.subject(), now, vec![trouble])
        };
        let seen = match &outcome.verdict {
            Verdict::Good => Observation::fine(self.subject(), now),
            Verdict::Unknown(why) => Observation::unknown(self.subject(), now, why.clone()),
            Verdict::Poor(words) => wrong(Kind::ApplicationPartial, Severity::Warning, words),
            Verdict::Bad(words) => match self.check.sets {
                Sets::Down => wrong(Kind::ApplicationDown, Severity::Critical, words),
                Sets::Partial => wrong(Kind::ApplicationPartial, Severity::Warning, words),
            },
        };
        let numbers = outcome.numbers.iter();
        numbers.fold(seen, |seen, (name, value)| seen.number(name, *value))
    }
}

/// Looks once, within the check's own time.
pub(crate) async fn probe(check: &Check) -> Outcome {
    let within = check.within;
    match &check.probe {
        Probe::Http(it) => http::probe(it, within).await,
        Probe::Sql(it) => sql::probe(it, within).await,
        Probe::Tcp(it) => local::tcp(it, within).await,
        Probe::Process(it) => local::process(it),
        Probe::FileAge(it) => local::file_age(it, std::time::SystemTime::now()),
        Probe::Command(it) => command::probe(it, within).await,
    }
}

#[async_trait]
impl Look for CheckLook {
    fn name(&self) -> &str {
        &self.name
    }

    fn every(&self) -> Duration {
        self.check.every
    }

    fn deadline(&self) -> Duration {
        self.check.within + Duration::from_secs(3)
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![self.subject()]
    }

    async fn look(&self, now: Timestamp) -> Round {
        let outcome = probe(&self.check).await;
        Round::one(self.judged(&outcome, now))
    }
}

/// One look for each check.
pub fn looks(checks: &[Check]) -> Vec<Arc<dyn Look>> {
    let looks = checks.iter().cloned();
    looks
        .map(|check| Arc::new(CheckLook::new(check)) as Arc<dyn Look>)
        .collect()
}

#[cfg(test)]
mod tests;
