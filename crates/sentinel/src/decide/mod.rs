//! The decisions: facts and time in; incidents, states of tenants and letters out. Pure.
//!
//! ```text
//! Round ─▶ claims ─▶ condition (confirmed after a while, over after a while)
//!             ▲          │ gathered, explained by something larger, or a root
//!   signals ─▶ rules     ▼
//!                     incident ─▶ levels, hours, maintenance ─▶ letters
//! ```
//!
//! [`Core`] holds the whole state in memory and hands out what changed; whoever runs it writes
//! that down in one transaction, letters included. No clock, no file, no socket here: the time
//! is an argument, so that a year is simulated in seconds. What is restored after a crash is
//! what was written; what was not yet confirmed is seen again.

mod assign;
mod conditions;
mod escalate;
mod incident;
mod machine;
mod maintenance;
pub mod rules;
mod signals;
mod step;
mod tenants;
mod timing;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp, civil};
use notify::{AckLink, Letter};

use crate::config::Config;
use crate::kind::Kind;
use crate::observation::{Numbers, Round, Subject};

use conditions::Condition;
pub use escalate::{Ask, Denied};
pub use incident::{Entry, Happened, Incident, IncidentId, LevelState, Member, Scope, State};
pub use maintenance::{BadWindow, LONGEST as LONGEST_MAINTENANCE, Window};
use signals::Signals;
pub use tenants::{Standing, TenantState};

/// A step of the clock larger than this, or backwards, is no time that passed for our eyes: the
/// machine slept, or its clock was set.
const LEAP: SignedDuration = SignedDuration::from_secs(30);

/// What the decisions are made with, besides facts and time.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// Levels, hours, promises, names.
    pub config: &'a Config,
    /// Makes acknowledge links; without it, or without a public address, mails carry none.
    pub links: Option<&'a AckLink>,
}

/// What changed, to be written down in one transaction.
#[derive(Debug, Default)]
pub struct Changes {
    /// Incidents as they are now.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// New lines of timelines.
    pub timeline: Vec<Entry>,
    /// Tenants whose state changed.
    pub tenants: Vec<TenantState>,
    /// Windows of maintenance as they are now.
    pub windows: BTreeMap<i64, Window>,
    /// Letters to queue.
    pub letters: Vec<Letter>,
    /// The day whose daily mail is due.
    pub daily: Option<civil::Date>,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.incidents.is_empty()
            && self.timeline.is_empty()
            && self.tenants.is_empty()
            && self.windows.is_empty()
            && self.letters.is_empty()
            && self.daily.is_none()
    }

    /// Puts later changes on top of these.
    pub fn absorb(&mut self, later: Self) {
        self.incidents.extend(later.incidents);
        self.timeline.extend(later.timeline);
        self.tenants.extend(later.tenants);
        self.windows.extend(later.windows);
        self.letters.extend(later.letters);
        self.daily = later.daily.or(self.daily);
    }
}

/// What was written down before, from which the decisions go on.
#[derive(Debug, Default)]
pub struct Restored {
    /// Incidents that are not closed.
    pub open: Vec<Incident>,
    /// The highest number ever used.
    pub last_number: u32,
    /// Windows that have not ended, or whose end was not told.
    pub windows: Vec<Window>,
    /// The last state of each tenant.
    pub tenants: Vec<TenantState>,
    /// The day of the last daily mail.
    pub last_daily: Option<civil::Date>,
}

/// The state of everything; see the head of this module.
#[derive(Debug, Default)]
pub struct Core {
    conditions: BTreeMap<(Subject, Kind), Condition>,
    signals: Signals,
    /// What each look that sees everything of its sort named last.
    named: HashMap<String, BTreeSet<Subject>>,
    numbers: HashMap<Subject, Numbers>,
    open: BTreeMap<IncidentId, Incident>,
    windows: BTreeMap<i64, Window>,
    tenants: BTreeMap<String, TenantState>,
    /// Conditions that ended lately, for what they may still explain.
    ended: Vec<(Subject, Kind, Timestamp)>,
    /// Subjects of which at least one look has known something.
    seen: BTreeSet<Subject>,
    last_number: u32,
    last_tick: Option<Timestamp>,
    last_daily: Option<civil::Date>,
    /// Conditions or windows changed since the states of tenants were last looked at.
    stirred: bool,
    /// Signals came in since the rule table was last asked.
    unjudged: bool,
    changes: Changes,
}

impl Core {
    /// Goes on from what was written down. `looks` are the names of all looks there are now:
    /// what only a look that is gone could clear is over.
    pub fn restore(restored: Restored, looks: &BTreeSet<String>, now: Timestamp) -> Self {
        let mut core = Self {
            last_number: restored.last_number,
            last_daily: restored.last_daily,
            windows: restored.windows.into_iter().map(|it| (it.id, it)).collect(),
            stirred: true,
            ..Self::default()
        };
        for state in restored.tenants {
            core.tenants.insert(state.tenant.clone(), state);
        }
        for incident in restored.open {
            core.last_number = core.last_number.max(incident.id.number);
            for member in incident.members.values() {
                core.restore_member(member, incident.id, looks, now);
            }
            core.open.insert(incident.id, incident);
        }
        core
    }

    /// Takes in what a look saw.
    pub fn observe(&mut self, look: &str, round: &Round, now: Timestamp) {
        for seen in &round.observations {
            self.take(look, seen);
            self.unjudged |= self.signals.take(look, seen);
        }
        if round.whole {
            let named: BTreeSet<Subject> = round
                .observations
                .iter()
                .map(|seen| seen.subject.clone())
                .collect();
            self.forget_missing(look, named, now);
        }
    }

    /// Lets time pass. To be called at least once a second.
    pub fn tick(&mut self, setting: Setting<'_>, now: Timestamp) {
        if self.last_tick.is_some_and(|last| leapt(last, now)) {
            self.start_over(now);
        }
        self.last_tick = Some(now);
        if std::mem::take(&mut self.unjudged) {
            self.judge(now);
        }
        self.confirm(now);
        self.settle(setting.config.recovered_after, now);
        self.assign(setting.config, now);
        self.close(setting, now);
        self.escalate(setting, now);
        self.tell_of_windows(setting, now);
        if self.stirred || self.tenants.len() < setting.config.watch.stores.len() {
            self.stirred = false;
            self.judge_tenants(setting.config, now);
        }
        self.daily(setting.config, now);
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Incidents that are not closed.
    pub fn open_incidents(&self) -> impl Iterator<Item = &Incident> {
        self.open.values()
    }

    /// The state of each tenant.
    pub fn tenant_states(&self) -> impl Iterator<Item = &TenantState> {
        self.tenants.values()
    }

    /// The last measurements about a subject.
    pub fn numbers(&self, subject: &Subject) -> Option<&Numbers> {
        self.numbers.get(subject)
    }

    /// How many confirmed conditions of that kind there are about subjects of that tenant.
    pub fn count(&self, kind: Kind, tenant: &str) -> usize {
        let of = |((subject, its), condition): &(&(Subject, Kind), &Condition)| {
            *its == kind && condition.is_confirmed() && subject.tenant() == Some(tenant)
        };
        self.conditions.iter().filter(of).count()
    }

    /// What is certain and only a notice: for the daily mail.
    pub fn notices(&self) -> impl Iterator<Item = (&Subject, Kind)> {
        let is_one =
            |it: &Condition| it.is_confirmed() && it.severity == crate::kind::Severity::Notice;
        let notices = self.conditions.iter().filter(move |(_, it)| is_one(it));
        notices.map(|((subject, kind), _)| (subject, *kind))
    }

    /// Once a day, after its time, the daily mail is due.
    fn daily(&mut self, config: &Config, now: Timestamp) {
        let Some(time) = config.daily_mail else {
            return;
        };
        let local = now.to_zoned(config.zone.clone());
        let today = local.date();
        match self.last_daily {
            Some(last) if last >= today => {}
            Some(_) if local.time() < time => {}
            // The first mail comes at the first time that is not past already.
            None if local.time() >= time => self.last_daily = Some(today),
            None => self.last_daily = today.yesterday().ok(),
            Some(_) => {
                self.last_daily = Some(today);
                self.changes.daily = Some(today);
            }
        }
    }
}

fn leapt(last: Timestamp, now: Timestamp) -> bool {
    let passed = now.duration_since(last);
    passed > LEAP || passed < SignedDuration::ZERO
}

#[cfg(test)]
mod tests;
