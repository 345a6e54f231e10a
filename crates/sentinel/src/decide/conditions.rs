//! Conditions: what is wrong about a subject, since when, and whether that is certain.
//!
//! A look claims and releases; a condition is wrong while anybody claims it. It is confirmed
//! when it was seen again after its time, and over when it was seen to be fine for its time.
//! What is unknown changes nothing here but the condition of not knowing itself.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::timing::{self, FLAP_WINDOW};
use super::{Core, IncidentId, Member};
use crate::kind::{Kind, Severity};
use crate::observation::{Fact, Facts, Finding, Observation, Subject, Trouble, Value};

/// Marks the claim that a look knows nothing.
const BLIND: &str = "?";

/// See the head of this module.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) severity: Severity,
    pub(super) facts: Facts,
    /// Who says so now.
    pub(super) claims: BTreeSet<String>,
    /// Who ever said so.
    pub(super) looks: BTreeSet<String>,
    pub(super) wrong_since: Timestamp,
    last_wrong: Timestamp,
    fine_since: Option<Timestamp>,
    last_fine: Option<Timestamp>,
    /// When it became certain.
    pub(super) confirmed_at: Option<Timestamp>,
    /// On which incident it hangs.
    pub(super) incident: Option<IncidentId>,
    relapses: Vec<Timestamp>,
    /// Its subject no longer exists.
    gone: bool,
    /// Its facts or its severity changed since they were copied into the incident.
    pub(super) changed: bool,
}

impl Condition {
    fn new(severity: Severity, at: Timestamp) -> Self {
        Self {
            severity,
            facts: Facts::new(),
            claims: BTreeSet::new(),
            looks: BTreeSet::new(),
            wrong_since: at,
            last_wrong: at,
            fine_since: None,
            last_fine: None,
            confirmed_at: None,
            incident: None,
            relapses: Vec::new(),
            gone: false,
            changed: false,
        }
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed_at.is_some()
    }

    fn claim(&mut self, look: &str, trouble: &Trouble, at: Timestamp) {
        if self.claims.is_empty() {
            if self.is_confirmed() {
                self.relapses.push(at);
                let recent = |then: &Timestamp| at.duration_since(*then) < FLAP_WINDOW;
                self.relapses.retain(recent);
            } else {
                self.wrong_since = trouble.began(at);
            }
        }
        if !self.claims.contains(look) {
            self.claims.insert(look.to_owned());
            self.looks.insert(look.to_owned());
        }
        (self.fine_since, self.last_fine, self.gone) = (None, None, false);
        self.last_wrong = self.last_wrong.max(at);
        if self.severity != trouble.severity || self.facts != trouble.facts {
            self.severity = trouble.severity;
            self.facts = trouble.facts.clone();
            self.changed = true;
        }
    }

    /// Answers whether nothing is left of it.
    fn release(&mut self, look: &str, at: Timestamp) -> bool {
        let had = self.claims.remove(look);
        if !self.claims.is_empty() || !(had || self.looks.contains(look)) {
            return false;
        }
        if !self.is_confirmed() {
            return true;
        }
        self.fine_since.get_or_insert(at);
        self.last_fine = Some(at);
        false
    }

    /// Does that to every moment in it.
    pub(super) fn step(&mut self, moved: impl Fn(&mut Timestamp)) {
        moved(&mut self.wrong_since);
        moved(&mut self.last_wrong);
        let others = [
            &mut self.fine_since,
            &mut self.last_fine,
            &mut self.confirmed_at,
        ];
        others.into_iter().flatten().for_each(&moved);
        self.relapses.iter_mut().for_each(&moved);
    }

    fn is_over(&self, kind: Kind, usual: SignedDuration) -> bool {
        let (Some(since), Some(last)) = (self.fine_since, self.last_fine) else {
            return self.gone;
        };
        let needed = timing::clear_after(kind, self.relapses.len(), usual);
        self.gone || last.duration_since(since) >= needed
    }
}

impl Core {
    /// Takes in one observation.
    pub(super) fn take(&mut self, look: &str, seen: &Observation) {
        if !seen.numbers.is_empty() {
            let numbers = self.numbers.entry(seen.subject.clone()).or_default();
            numbers.extend(
                seen.numbers
                    .iter()
                    .map(|(name, value)| (name.clone(), *value)),
            );
        }
        match &seen.finding {
            Finding::Unknown { why } => {
                let trouble = Trouble::new(Kind::Blind)
                    .fact(Fact::Place, Value::heard(look))
                    .fact(Fact::Detail, why.clone());
                self.claim(&format!("{BLIND}{look}"), &seen.subject, &trouble, seen.at);
            }
            Finding::Fine => {
                self.release_all(look, &seen.subject, &[], seen.at);
                self.know(look, seen);
            }
            Finding::Wrong { troubles } => {
                for trouble in troubles {
                    self.claim(look, &seen.subject, trouble, seen.at);
                }
                self.release_all(look, &seen.subject, troubles, seen.at);
                self.know(look, seen);
            }
        }
    }

    fn know(&mut self, look: &str, seen: &Observation) {
        if !self.seen.contains(&seen.subject) {
            self.seen.insert(seen.subject.clone());
            self.stirred = true;
        }
        if !self.conditions.is_empty() {
            let blind = format!("{BLIND}{look}");
            self.release(&blind, &seen.subject, Kind::Blind, seen.at);
        }
    }

    /// Somebody says that this is wrong.
    pub(super) fn claim(
        &mut self,
        look: &str,
        subject: &Subject,
        trouble: &Trouble,
        at: Timestamp,
    ) {
        let key = (subject.clone(), trouble.kind);
        self.conditions
            .entry(key)
            .or_insert_with(|| Condition::new(trouble.severity, at))
            .claim(look, trouble, at);
    }

    /// Somebody says that this is fine.
    pub(super) fn release(&mut self, look: &str, subject: &Subject, kind: Kind, at: Timestamp) {
        let key = (subject.clone(), kind);
        let ended = match self.conditions.get_mut(&key) {
            Some(condition) => condition.release(look, at),
            None => false,
        };
        if ended {
            self.conditions.remove(&key);
        }
    }

    /// A look says that all is fine about a subject, but for these troubles.
    fn release_all(&mut self, look: &str, subject: &Subject, but: &[Trouble], at: Timestamp) {
        for kind in self.kinds_of(subject) {
            if kind != Kind::Blind && but.iter().all(|trouble| trouble.kind != kind) {
                self.release(look, subject, kind, at);
            }
        }
    }

    /// The kinds of which there are conditions about a subject.
    fn kinds_of(&self, subject: &Subject) -> Vec<Kind> {
        if self.conditions.is_empty() {
            return Vec::new();
        }
        let first = Kind::ALL.first().copied().unwrap_or(Kind::Blind);
        let range = self.conditions.range((subject.clone(), first)..);
        let own = range.take_while(|((its, _), _)| its == subject);
        own.map(|((_, kind), _)| *kind).collect()
    }

    /// Subjects that a look named before and does not name now are no more.
    pub(super) fn forget_missing(&mut self, look: &str, named: BTreeSet<Subject>, now: Timestamp) {
        let before = self.named.remove(look).unwrap_or_default();
        let restored = self
            .conditions
            .iter()
            .filter(|(_, it)| it.looks.contains(look));
        let restored: BTreeSet<Subject> = restored.map(|((its, _), _)| its.clone()).collect();
        for subject in before.union(&restored).filter(|it| !named.contains(it)) {
            for kind in self.kinds_of(subject) {
                self.release(look, subject, kind, now);
                let condition = self.conditions.get_mut(&(subject.clone(), kind));
                if let Some(condition) = condition.filter(|it| it.claims.is_empty()) {
                    condition.gone = true;
                }
            }
            self.numbers.remove(subject);
            self.seen.remove(subject);
        }
        self.named.insert(look.to_owned(), named);
    }

    /// Terminals that some look names, of that tenant, at that site if one is given.
    pub(super) fn population(&self, tenant: &str, site: Option<&Option<String>>) -> usize {
        let of = |subject: &&Subject| match subject {
            Subject::Terminal {
                tenant: its,
                site: its_site,
                ..
            } => its == tenant && site.is_none_or(|site| site.as_deref() == its_site.as_deref()),
            _ => false,
        };
        // Two looks name the same terminals.
        let named: BTreeSet<&Subject> = self.named.values().flatten().filter(of).collect();
        named.len()
    }

    /// What was seen again after its time becomes certain.
    pub(super) fn confirm(&mut self, now: Timestamp) {
        for ((_, kind), condition) in &mut self.conditions {
            let lasted = condition.last_wrong.duration_since(condition.wrong_since);
            let certain = !condition.claims.is_empty() && lasted >= timing::confirm(*kind);
            if condition.confirmed_at.is_none() && certain {
                condition.confirmed_at = Some(now);
                self.stirred = true;
            }
        }
    }

    /// What was fine for its time is over; `usual` is that time.
    pub(super) fn settle(&mut self, usual: SignedDuration, now: Timestamp) {
        let over: Vec<(Subject, Kind)> = self
            .conditions
            .iter()
            .filter(|((_, kind), condition)| condition.is_over(*kind, usual))
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            self.stirred = true;
            if let Some(condition) = self.conditions.remove(&key) {
                self.member_over(condition.incident, &key, now);
            }
            self.ended.push((key.0, key.1, now));
        }
        self.ended
            .retain(|(_, _, at)| now.duration_since(*at) < timing::GRACE);
    }

    /// The clock leapt: what was not certain begins anew, and what was fine must be so anew.
    pub(super) fn start_over(&mut self, now: Timestamp) {
        self.conditions
            .retain(|_, condition| condition.is_confirmed());
        for condition in self.conditions.values_mut() {
            (condition.fine_since, condition.last_fine) = (None, None);
            condition.last_wrong = now;
        }
        self.signals.forget();
    }

    /// A condition that hung on an incident when that was written down.
    pub(super) fn restore_member(
        &mut self,
        member: &Member,
        incident: IncidentId,
        looks: &BTreeSet<String>,
        now: Timestamp,
    ) {
        if member.over_at.is_some() {
            return;
        }
        let mut condition = Condition::new(member.severity, member.since);
        condition.facts = member.facts.clone();
        condition.looks = member.looks.clone();
        // A mark before the name says what sort of claim it is; the rules always exist.
        let known = |look: &&String| {
            let name = look.trim_start_matches(BLIND);
            name == super::signals::RULES || looks.contains(name)
        };
        condition.claims = member.looks.iter().filter(known).cloned().collect();
        condition.gone = condition.claims.is_empty();
        condition.last_wrong = now.max(member.since);
        condition.confirmed_at = Some(member.since);
        condition.incident = Some(incident);
        self.conditions
            .insert((member.subject.clone(), member.kind), condition);
    }
}
