//! The signals of several looks, brought before the rule table.
//!
//! A good sign counts against a failure only if it is younger than the failure: a punch that was
//! visible twenty seconds ago says nothing of a process that is stopped since ten. Rows of real
//! terminals are as old as the newest of them, not as the look that read it.
//! While its database is known to be away, a canary that is refused says nothing either.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::Core;
use super::rules::{self, Vantage, Verdict};
use crate::kind::Kind;
use crate::observation::{
    Admin, Canary, Door, Fact, Finding, NEWEST_ROW_AGE, Observation, Rows, Signal, Subject,
    Trouble, Unit, Value,
};

/// The name under which the rule table claims.
pub(super) const RULES: &str = "rules";

/// A signal older than this is none.
const STALE: SignedDuration = SignedDuration::from_secs(180);
/// How long after a database came back its canary's last failure still is its fault.
const AFTER_DATABASE: SignedDuration = SignedDuration::from_secs(60);

/// Conditions of a database that explain a canary's failure.
const AWAY: [Kind; 4] = [
    Kind::DatabaseDown,
    Kind::DatabaseHung,
    Kind::DatabaseReadOnly,
    Kind::DatabaseFull,
];

#[derive(Debug, Clone)]
struct Sign {
    signal: Signal,
    /// What the look said of it, where that names a door.
    why: Option<Value>,
    /// Since when it is this.
    since: Timestamp,
    at: Timestamp,
}

impl Sign {
    fn is_bad(&self) -> bool {
        matches!(
            self.signal,
            Signal::Unit(Unit::Inactive)
                | Signal::Admin(Admin::Stuck | Admin::Refused | Admin::Silent)
                | Signal::Door(Door::Refused | Door::Silent)
                | Signal::Canary(Canary::Failed)
        )
    }
}

/// Of which moment a signal speaks.
fn as_of(signal: Signal, seen: &Observation) -> Timestamp {
    let age = match signal {
        Signal::Rows(Rows::Fresh) => seen.numbers.get(NEWEST_ROW_AGE),
        _ => None,
    };
    let age = age.map_or(SignedDuration::ZERO, |age| {
        SignedDuration::try_from_secs_f64(*age).unwrap_or(SignedDuration::ZERO)
    });
    // The clock that stamped the row may be ahead of ours.
    seen.at
        .saturating_sub(age.max(SignedDuration::ZERO))
        .unwrap_or(seen.at)
}

/// The last signal of each look.
#[derive(Debug, Default)]
pub(super) struct Signals {
    signs: BTreeMap<(Subject, String), Sign>,
}

impl Signals {
    /// Answers whether the table has to be asked again.
    pub(super) fn take(&mut self, look: &str, seen: &Observation) -> bool {
        let key = (seen.subject.clone(), look.to_owned());
        match (seen.signal, &seen.finding) {
            (Some(signal), _) => {
                let before = self.signs.get(&key).filter(|sign| sign.signal == signal);
                let since = before.map_or(seen.at, |sign| sign.since);
                let at = as_of(signal, seen);
                let why = match (signal, &seen.finding) {
                    (Signal::Canary(_), Finding::Unknown { why }) => Some(why.clone()),
                    _ => None,
                };
                let sign = Sign {
                    signal,
                    why,
                    since,
                    at,
                };
                self.signs.insert(key, sign);
                true
            }
            (None, Finding::Unknown { .. }) => self.signs.remove(&key).is_some(),
            (None, _) => false,
        }
    }

    /// Does that to every moment in them.
    pub(super) fn step(&mut self, moved: impl Fn(&mut Timestamp)) {
        for sign in self.signs.values_mut() {
            moved(&mut sign.since);
            moved(&mut sign.at);
        }
    }

    pub(super) fn forget(&mut self) {
        self.signs.clear();
    }

    /// Tenants whose stores have signals.
    fn stores(&self) -> BTreeSet<String> {
        let stores = self.signs.keys().filter_map(|(subject, _)| match subject {
            Subject::Store { tenant } => Some(tenant.clone()),
            _ => None,
        });
        stores.collect()
    }

    /// What is seen of satellite from everywhere, or for one store.
    fn vantage(&self, store: Option<&str>, away: &BTreeSet<String>, now: Timestamp) -> Vantage {
        let of = |subject: &Subject| match subject {
            Subject::Satellite => true,
            Subject::Store { tenant } => store.is_none_or(|store| store == tenant),
            _ => false,
        };
        let fresh = |sign: &Sign| now.duration_since(sign.at) < STALE;
        let excused = |subject: &Subject, sign: &Sign| {
            let away = matches!(subject, Subject::Store { tenant } if away.contains(tenant));
            away && matches!(
                sign.signal,
                Signal::Canary(Canary::Failed) | Signal::Admin(_)
            )
        };
        let signs = self
            .signs
            .iter()
            .filter(|((subject, _), sign)| of(subject) && fresh(sign) && !excused(subject, sign));
        let signs: Vec<&Sign> = signs.map(|(_, sign)| sign).collect();
        let failing = signs.iter().filter(|sign| sign.is_bad());
        let failing = failing.map(|sign| sign.since).max();
        let counts = |sign: &&Sign| sign.is_bad() || failing.is_none_or(|since| sign.at >= since);
        signs
            .into_iter()
            .filter(counts)
            .fold(Vantage::default(), see)
    }
}

/// Adds a sign: a bad unit, admin door or port stands over a good one, because that one speaks
/// of another store or another address; a good canary at one address proves that something
/// answers when the other fails.
fn see(mut seen: Vantage, sign: &Sign) -> Vantage {
    match sign.signal {
        Signal::Unit(unit) => seen.unit = Some(unit),
        Signal::Admin(Admin::Moving) => {
            seen.admin.get_or_insert(Admin::Moving);
        }
        Signal::Admin(Admin::Stuck) if matches!(seen.admin, None | Some(Admin::Moving)) => {
            seen.admin = Some(Admin::Stuck);
        }
        Signal::Admin(Admin::Stuck) => {}
        Signal::Admin(bad) => seen.admin = Some(bad),
        Signal::Door(Door::Answers) => {
            seen.door.get_or_insert(Door::Answers);
        }
        Signal::Door(bad) => seen.door = Some(bad),
        Signal::Canary(canary) => match (seen.canary, canary) {
            (Some(Canary::Absent), _) | (_, Canary::Absent) => seen.canary = Some(Canary::Absent),
            (Some(Canary::Visible), Canary::Failed) | (Some(Canary::Failed), Canary::Visible) => {
                seen.canary = Some(Canary::Failed);
                seen.door = Some(Door::Answers);
            }
            (_, canary) => seen.canary = Some(canary),
        },
        Signal::Rows(Rows::Fresh) => seen.rows = Some(Rows::Fresh),
        Signal::Rows(Rows::Old) => {
            seen.rows.get_or_insert(Rows::Old);
        }
    }
    seen
}

impl Core {
    /// Asks the table, first about the process, then about each store.
    pub(super) fn judge(&mut self, now: Timestamp) {
        let stores = self.signals.stores();
        let away: BTreeSet<String> = stores
            .iter()
            .filter(|tenant| self.is_away(tenant, now))
            .cloned()
            .collect();
        let mut whole = self.signals.vantage(None, &away, now);
        if whole.canary == Some(Canary::Absent) {
            // It was acknowledged: for the process that is a sign of life.
            whole.canary = Some(Canary::Visible);
        }
        let process = rules::verdict(&whole);
        let dead = [Kind::SatelliteDown, Kind::SatelliteHang];
        let is_dead = matches!(process, Verdict::Wrong(kind) if dead.contains(&kind));
        self.say(&Subject::Satellite, process, &dead, now);
        let mut verdicts = BTreeMap::new();
        for tenant in &stores {
            let verdict = rules::verdict(&self.signals.vantage(Some(tenant), &away, now));
            verdicts.insert(tenant, verdict);
        }
        for (tenant, verdict) in &verdicts {
            let subject = Subject::store(tenant);
            if *verdict == Verdict::Wrong(Kind::AcknowledgedNotFound) || !is_dead {
                let own = [Kind::IngestStalled, Kind::AcknowledgedNotFound];
                self.say(&subject, *verdict, &own, now);
            }
        }
        if !is_dead {
            self.judge_the_way(process, &verdicts, now);
        }
    }

    /// The public address is one for all stores, and so is what is wrong with it, unless it
    /// fails for some and works for others.
    fn judge_the_way(
        &mut self,
        process: Verdict,
        stores: &BTreeMap<&String, Verdict>,
        now: Timestamp,
    ) {
        let way = [Kind::DoorUnreachable, Kind::ProbePath];
        let wrong = |verdict: &Verdict| match verdict {
            Verdict::Wrong(kind) if way.contains(kind) => Some(*kind),
            _ => None,
        };
        let some_work = stores.values().any(|verdict| *verdict == Verdict::Fine);
        for (tenant, verdict) in stores {
            let own = if some_work { *verdict } else { Verdict::Fine };
            self.say(&Subject::store(tenant), own, &way, now);
        }
        let common = match stores.is_empty() {
            true => wrong(&process),
            false if some_work => None,
            false => stores.values().filter_map(wrong).min(),
        };
        let common = common.map_or(Verdict::Fine, Verdict::Wrong);
        if common != Verdict::Fine || process != Verdict::Unknown {
            self.say(&Subject::Satellite, common, &way, now);
        }
    }

    /// Claims what a verdict says, if it is one of these, and releases the others of these.
    fn say(&mut self, subject: &Subject, verdict: Verdict, of: &[Kind], now: Timestamp) {
        if verdict == Verdict::Unknown {
            return;
        }
        for kind in of {
            if verdict == Verdict::Wrong(*kind) {
                let (trouble, at) = self.signals.explain(Trouble::new(*kind), subject, now);
                self.claim(RULES, subject, &trouble, at);
            } else {
                self.release(RULES, subject, *kind, now);
            }
        }
    }

    /// Whether a store's database is known to be away, or was a moment ago.
    fn is_away(&self, tenant: &str, now: Timestamp) -> bool {
        let subject = Subject::store(tenant);
        let claimed = AWAY
            .iter()
            .any(|kind| self.conditions.contains_key(&(subject.clone(), *kind)));
        let lately = self.ended.iter().any(|(its, kind, at)| {
            *its == subject && AWAY.contains(kind) && now.duration_since(*at) < AFTER_DATABASE
        });
        claimed || lately
    }
}

impl Signals {
    /// The facts behind a verdict, each bad sign once, and when the newest of them was
    /// seen: a verdict is as old as its evidence, however often it is spoken.
    fn explain(&self, trouble: Trouble, subject: &Subject, now: Timestamp) -> (Trouble, Timestamp) {
        let near = |its: &Subject| {
            *its == Subject::Satellite || its == subject || *subject == Subject::Satellite
        };
        let speaks = |sign: &Sign| sign.is_bad() || sign.signal == Signal::Canary(Canary::Absent);
        let signs = self.signs.iter().filter(|((its, _), sign)| {
            near(its) && speaks(sign) && now.duration_since(sign.at) < STALE
        });
        let signs: Vec<&Sign> = signs.map(|(_, sign)| sign).collect();
        let at = signs.iter().map(|sign| sign.at).max().unwrap_or(now);
        let mut seen: Vec<Signal> = Vec::new();
        for sign in &signs {
            if !seen.contains(&sign.signal) {
                seen.push(sign.signal);
            }
        }
        let trouble = trouble.fact(Fact::Seen, Value::Signals(seen));
        match signs.iter().find_map(|sign| sign.why.clone()) {
            Some(why) => (trouble.fact(Fact::Detail, why), at),
            None => (trouble, at),
        }
    }
}
