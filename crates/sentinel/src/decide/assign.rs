//! From conditions to incidents: one cause, one incident, however many names hang on it.
//!
//! A confirmed condition waits a moment for others of its kind. What something larger explains
//! hangs on that and calls nobody. Terminals are put together by site, by tenant, or over all;
//! databases by their server; inputs, and the canary beside them, by their broker. The rest stands for
//! itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Core, Entry, Happened, Incident, IncidentId, LevelState, Member, Scope, State};
use super::{machine, timing};
use crate::config::Config;
use crate::kind::{Class, Kind, Severity};
use crate::observation::{Fact, Subject};

/// Sites, or terminals without a site, of one tenant from which on it is the tenant's incident;
/// tenants from which on it is everybody's.
const WIDE: usize = 3;
/// Names that one line of a timeline lists at most.
const NAMES: usize = 30;

type Key = (Subject, Kind);

/// What may explain something.
struct Parent {
    subject: Subject,
    kind: Kind,
    /// Its incident, if it has one.
    incident: Option<IncidentId>,
    /// When it was over, if it is.
    ended: Option<Timestamp>,
}

/// Whether what explains a condition is there.
enum Explained {
    By(IncidentId),
    /// It is not certain yet, or ended a moment ago.
    Wait,
    No,
}

impl Core {
    /// Gives every confirmed condition its incident.
    pub(super) fn assign(&mut self, config: &Config, now: Timestamp) {
        self.refresh_members();
        let mut due: BTreeSet<Kind> = BTreeSet::new();
        let mut free: BTreeMap<Kind, Vec<Subject>> = BTreeMap::new();
        for ((subject, kind), condition) in &self.conditions {
            let Some(since) = condition.confirmed_at else {
                continue;
            };
            if condition.incident.is_some() || condition.severity == Severity::Notice {
                continue;
            }
            free.entry(*kind).or_default().push(subject.clone());
            if now.duration_since(since) >= timing::gather(*kind, condition.severity) {
                due.insert(*kind);
            }
        }
        let parents = self.parents();
        for kind in due {
            let subjects = free.remove(&kind).unwrap_or_default();
            let mut roots = Vec::new();
            for subject in subjects {
                match self.explained(config, &parents, &subject, kind, now) {
                    Explained::By(incident) => {
                        self.join(incident, vec![(subject, kind)], true, now)
                    }
                    Explained::Wait => {}
                    // Until it is known whether the whole machine is gone.
                    Explained::No if self.may_be_the_machine(config, &subject, kind, now) => {}
                    Explained::No => roots.push(subject),
                }
            }
            for (scope, subjects) in self.scopes(config, kind, roots) {
                let keys = subjects.into_iter().map(|it| (it, kind)).collect();
                self.hang(config, scope, kind, keys, now);
            }
        }
    }

    /// Copies changed facts into the incidents.
    fn refresh_members(&mut self) {
        for ((subject, kind), condition) in &mut self.conditions {
            let Some(id) = condition.incident.filter(|_| condition.changed) else {
                continue;
            };
            condition.changed = false;
            let Some(incident) = self.open.get_mut(&id) else {
                continue;
            };
            if let Some(member) = incident.members.get_mut(&member_key(subject, *kind)) {
                let worse = condition.severity > member.severity;
                member.severity = condition.severity;
                member.facts.clone_from(&condition.facts);
                member.looks.clone_from(&condition.looks);
                // Facts that only moved on are written with the next change that matters.
                if worse {
                    self.changes.incidents.insert(id, incident.clone());
                }
            }
        }
    }

    /// What may explain something. A terminal that is offline explains only itself and is looked up
    /// where it is needed.
    fn parents(&self) -> Vec<Parent> {
        let may = |(_, kind): &&Key| is_parent(*kind) && *kind != Kind::TerminalOffline;
        let now = self.conditions.iter().filter(|(key, _)| may(key));
        let now = now.filter(|(_, it)| it.is_confirmed() || !it.claims.is_empty());
        let now = now.map(|((subject, kind), it)| Parent {
            subject: subject.clone(),
            kind: *kind,
            incident: it.incident,
            ended: None,
        });
        let lately = self.ended.iter().filter(|(_, kind, _)| is_parent(*kind));
        let lately = lately.map(|(subject, kind, at)| Parent {
            subject: subject.clone(),
            kind: *kind,
            incident: None,
            ended: Some(*at),
        });
        now.chain(lately).collect()
    }

    fn explained(
        &self,
        config: &Config,
        parents: &[Parent],
        subject: &Subject,
        kind: Kind,
        now: Timestamp,
    ) -> Explained {
        let mut wait = false;
        let began = self.conditions.get(&(subject.clone(), kind));
        let began = began.map_or(now, |it| it.wrong_since);
        for it in parents {
            let over = it.ended.is_some_and(|at| !lingers(kind, began, at, now));
            if !over && explains(config, &it.subject, it.kind, subject, kind) {
                match it.incident {
                    Some(id) => return Explained::By(id),
                    None => wait = true,
                }
            }
        }
        let offline = Kind::TerminalOffline;
        if explains(config, subject, offline, subject, kind)
            && let Some(it) = self.conditions.get(&(subject.clone(), offline))
        {
            match it.incident {
                Some(id) => return Explained::By(id),
                None => wait = true,
            }
        }
        if wait { Explained::Wait } else { Explained::No }
    }

    /// Puts roots of one kind together by what they have in common.
    fn scopes(
        &self,
        config: &Config,
        kind: Kind,
        roots: Vec<Subject>,
    ) -> BTreeMap<Scope, Vec<Subject>> {
        let mut scopes: BTreeMap<Scope, Vec<Subject>> = BTreeMap::new();
        let mut terminals: BTreeMap<String, Vec<Subject>> = BTreeMap::new();
        for subject in roots {
            match &subject {
                Subject::Terminal { tenant, .. } => {
                    let tenant = tenant.to_string();
                    terminals.entry(tenant).or_default().push(subject);
                }
                _ => scopes
                    .entry(self.scope_of(config, kind, &subject))
                    .or_default()
                    .push(subject),
            }
        }
        if terminals.len() >= WIDE {
            let all = terminals.into_values().flatten().collect();
            scopes.insert(Scope::Everything, all);
            return scopes;
        }
        for (tenant, subjects) in terminals {
            let places: BTreeSet<String> = subjects.iter().map(place_of).collect();
            if places.len() >= WIDE {
                scopes.insert(Scope::Tenant { tenant }, subjects);
                continue;
            }
            for subject in subjects {
                scopes
                    .entry(self.scope_of(config, kind, &subject))
                    .or_default()
                    .push(subject);
            }
        }
        scopes
    }

    /// The scope of a single condition.
    fn scope_of(&self, config: &Config, kind: Kind, subject: &Subject) -> Scope {
        let server = match subject {
            Subject::Terminal { tenant, site, .. } => {
                return Scope::Site {
                    tenant: tenant.to_string(),
                    site: site.as_ref().map(ToString::to_string),
                };
            }
            _ if kind == Kind::Blind => return Scope::Everything,
            Subject::Store { tenant } if kind.class() == Class::Database => {
                config.server_of(tenant)
            }
            Subject::Input { .. } => self.broker_of(subject, kind),
            _ => None,
        };
        match server {
            Some(at) => Scope::Server { at },
            None => Scope::One {
                subject: subject.clone(),
            },
        }
    }

    /// The broker that fails, where it is one that does.
    fn broker_of(&self, subject: &Subject, kind: Kind) -> Option<String> {
        let condition = self.conditions.get(&(subject.clone(), kind))?;
        let at = condition.facts.get(&Fact::Place)?;
        Some(at.to_string())
    }

    /// Hangs roots on an open incident of the same cause, or opens one.
    fn hang(&mut self, config: &Config, scope: Scope, kind: Kind, keys: Vec<Key>, now: Timestamp) {
        let same = |incident: &&Incident| {
            incident.is_open()
                && family(incident.kind) == family(kind)
                && covers(&incident.scope, &scope)
        };
        let id = self.open.values().find(same).map(|incident| incident.id);
        let id = match id {
            Some(id) => {
                self.join(id, keys, false, now);
                id
            }
            None => self.open_incident(config, scope, kind, keys, now),
        };
        self.weigh(id, now);
    }

    fn open_incident(
        &mut self,
        config: &Config,
        scope: Scope,
        kind: Kind,
        keys: Vec<Key>,
        now: Timestamp,
    ) -> IncidentId {
        self.last_number = self.last_number.saturating_add(1);
        let id = IncidentId {
            number: self.last_number,
            year: now.to_zoned(config.zone.clone()).year(),
        };
        let mut incident = Incident {
            id,
            kind,
            class: kind.class(),
            severity: Severity::Warning,
            state: State::Open,
            scope,
            since: now,
            opened_at: now,
            acknowledged: None,
            mitigated: None,
            closed_at: None,
            cause: None,
            members: BTreeMap::new(),
            levels: vec![LevelState::default(); config.levels.len()],
            counted_from: now,
            reminders: 0,
            clock_steps: 0,
            told_members: 0,
            told_severity: None,
            grown_at: None,
        };
        for key in &keys {
            self.add_member(&mut incident, key, false);
        }
        self.note(id, now, Happened::Opened, names(&keys));
        self.changes.incidents.insert(id, incident.clone());
        self.open.insert(id, incident);
        id
    }

    /// Hangs conditions on an open incident.
    fn join(&mut self, id: IncidentId, keys: Vec<Key>, follows: bool, now: Timestamp) {
        let Some(mut incident) = self.open.remove(&id) else {
            return;
        };
        for key in &keys {
            self.add_member(&mut incident, key, follows);
        }
        self.note(id, now, Happened::Joined, names(&keys));
        self.changes.incidents.insert(id, incident.clone());
        self.open.insert(id, incident);
    }

    fn add_member(&mut self, incident: &mut Incident, key: &Key, follows: bool) {
        let Some(condition) = self.conditions.get_mut(key) else {
            return;
        };
        condition.incident = Some(incident.id);
        condition.changed = false;
        incident.since = incident.since.min(condition.wrong_since);
        if !follows {
            // What is critical now names it: its title and its advice are what people read.
            if condition.severity > incident.severity && !incident.members.is_empty() {
                incident.kind = key.1;
            }
            incident.severity = incident.severity.max(condition.severity);
        }
        let member = Member {
            subject: key.0.clone(),
            kind: key.1,
            severity: condition.severity,
            since: condition.wrong_since,
            over_at: None,
            follows,
            facts: condition.facts.clone(),
            looks: condition.looks.clone(),
        };
        incident.members.insert(member_key(&key.0, key.1), member);
    }

    /// Three terminals and more, when they are more than 30 % of their site or tenant, are no
    /// longer a warning.
    fn weigh(&mut self, id: IncidentId, now: Timestamp) {
        let Some(incident) = self.open.get(&id) else {
            return;
        };
        if incident.kind != Kind::TerminalOffline || incident.severity == Severity::Critical {
            return;
        }
        let off = incident
            .roots()
            .filter(|member| member.over_at.is_none())
            .count();
        let all = match &incident.scope {
            Scope::Site { tenant, site } => self.population(tenant, Some(site)),
            Scope::Tenant { tenant } => self.population(tenant, None),
            _ => off,
        };
        if off < WIDE || off * 10 <= all * 3 {
            return;
        }
        self.note(id, now, Happened::Worse, format!("{off}/{all}"));
        if let Some(incident) = self.open.get_mut(&id) {
            incident.severity = Severity::Critical;
            self.changes.incidents.insert(id, incident.clone());
        }
    }

    /// A condition ended that hung on an incident.
    pub(super) fn member_over(&mut self, id: Option<IncidentId>, key: &Key, now: Timestamp) {
        let Some(incident) = id.and_then(|id| self.open.get_mut(&id)) else {
            return;
        };
        if let Some(member) = incident.members.get_mut(&member_key(&key.0, key.1)) {
            member.over_at = Some(now);
        }
        let id = incident.id;
        self.changes.incidents.insert(id, incident.clone());
    }

    /// Writes a line into a timeline.
    pub(super) fn note(
        &mut self,
        incident: IncidentId,
        at: Timestamp,
        what: Happened,
        detail: String,
    ) {
        self.changes.timeline.push(Entry {
            incident,
            at,
            what,
            who: String::new(),
            detail,
        });
    }
}

/// The key of a member.
pub(super) fn member_key(subject: &Subject, kind: Kind) -> String {
    format!("{kind}@{subject}")
}

/// The subjects in one line, cut to a bounded number.
fn names(keys: &[Key]) -> String {
    let shown: Vec<String> = keys
        .iter()
        .take(NAMES)
        .map(|(subject, kind)| member_key(subject, *kind))
        .collect();
    match keys.len().saturating_sub(NAMES) {
        0 => shown.join(" "),
        more => format!("{} +{more}", shown.join(" ")),
    }
}

/// Where a terminal stands; one without a site stands alone.
fn place_of(subject: &Subject) -> String {
    match subject {
        Subject::Terminal {
            site: Some(site), ..
        } => format!("site {site}"),
        other => other.to_string(),
    }
}

/// Whether an incident as wide as the first is the place for the second.
fn covers(wide: &Scope, narrow: &Scope) -> bool {
    let tenant = match narrow {
        Scope::Site { tenant, .. } | Scope::Tenant { tenant } => Some(tenant),
        _ => None,
    };
    match wide {
        _ if wide == narrow => true,
        Scope::Everything => tenant.is_some(),
        Scope::Tenant { tenant: own } => tenant == Some(own),
        _ => false,
    }
}

/// Kinds that are one cause seen in different moments.
fn family(kind: Kind) -> Kind {
    match kind {
        Kind::DatabaseHung | Kind::DatabaseReadOnly | Kind::DatabaseFull => Kind::DatabaseDown,
        Kind::SatelliteHang => Kind::SatelliteDown,
        Kind::InputStanding => Kind::BrokerFailing,
        Kind::BackupOverdue | Kind::BackupFailed => Kind::BackupOld,
        Kind::CertificateBad => Kind::CertificateExpiring,
        Kind::DiskFull => Kind::DiskFilling,
        other => other,
    }
}

/// Kinds that may explain others.
fn is_parent(kind: Kind) -> bool {
    use Kind::*;
    matches!(
        kind,
        SatelliteDown
            | SatelliteHang
            | DoorUnreachable
            | DatabaseDown
            | DatabaseHung
            | DatabaseReadOnly
            | DatabaseFull
            | IngestStalled
            | TerminalOffline
            | MailDown
            | ApplicationDown
            | HostSilent
    )
}

/// Whether what was over at `ended` can still be the reason for something that began at `began`.
/// Terminals, and what is counted of them, come back in their own time. What a look sees within
/// seconds does not: if it begins afterwards, or goes on, it is something of its own.
fn lingers(kind: Kind, began: Timestamp, ended: Timestamp, now: Timestamp) -> bool {
    use Kind::*;
    let soon = now.duration_since(ended) < timing::SOON_AFTER;
    match kind {
        IngestStalled | SatelliteDown | SatelliteHang | DatabaseDown | DatabaseHung
        | DatabaseReadOnly | DatabaseFull | ApplicationDown => soon && began < ended,
        // A round of the canary that began before ends half a minute later.
        DoorUnreachable | DoorFailing | BrokerFailing => soon,
        _ => true,
    }
}

/// Whether the first condition explains the second.
fn explains(
    config: &Config,
    parent: &Subject,
    parent_kind: Kind,
    child: &Subject,
    kind: Kind,
) -> bool {
    use Kind::*;
    if kind == AcknowledgedNotFound || parent_kind == kind {
        return false;
    }
    let same_tenant = parent.tenant().is_some() && parent.tenant() == child.tenant();
    match parent_kind {
        SatelliteDown | SatelliteHang => match kind {
            IngestStalled | DoorUnreachable | ProbePath | CanarySlow => true,
            DoorFailing | BrokerFailing => true,
            JournalGrowing => true,
            TerminalOffline | TerminalSilent | SatelliteRestarts | RejectsRising => true,
            Blind => matches!(
                child.sort(),
                "satellite" | "store" | "terminal" | "backup" | "output" | "input"
            ),
            _ => false,
        },
        DoorUnreachable => matches!(
            kind,
            TerminalOffline | TerminalSilent | CanarySlow | DoorFailing | ProbePath
        ),
        DatabaseDown | DatabaseHung | DatabaseReadOnly | DatabaseFull => {
            let near = same_tenant || same_server(config, parent, child);
            match kind {
                DatabaseSlow | DatabaseConnections | Replication | IngestStalled | Blind => near,
                CanarySlow | DoorFailing | BrokerFailing => near,
                TerminalSilent | TerminalOffline => near,
                ApplicationDown | ApplicationPartial => near,
                // satellite has one journal for all its tenants.
                JournalGrowing => true,
                _ => false,
            }
        }
        IngestStalled => match kind {
            TerminalSilent | CanarySlow | ProbePath => same_tenant,
            DoorFailing | BrokerFailing => same_tenant,
            JournalGrowing => true,
            _ => false,
        },
        TerminalOffline => {
            parent == child && matches!(kind, TerminalSilent | ClockSkew | LogFilling | GapOpen)
        }
        MailDown => matches!(kind, RelayFailing | MailQueue | MailRoundTrip),
        ApplicationDown => kind == ApplicationPartial && same_tenant,
        HostSilent => {
            (parent == child && kind.class() == Class::Host)
                || machine::explains(config, parent, child, kind)
        }
        _ => false,
    }
}

fn same_server(config: &Config, a: &Subject, b: &Subject) -> bool {
    let server = |subject: &Subject| subject.tenant().and_then(|tenant| config.server_of(tenant));
    server(a).is_some_and(|at| server(b) == Some(at))
}
