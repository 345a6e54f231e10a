//! How old the newest copy of each tenant is, whether it was proven, where it is and how large.
//!
//! satellite's `/status` says what the commands that copy wrote down. Where it has no `[backup]`
//! there is nothing to judge: nothing is said, which check lists show as not applicable and never
//! as green; an installation that makes no copies is nobody's incident at night. Where it has one,
//! a tenant without a copy is overdue at once. The age is that of the rows: it counts from the
//! moment of the copy and not from its end. What does not answer is unknown.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::satellite::page::StatusPage;
use super::satellite::status::{Copies, Copy, Drill, Log};
use super::{said, wide};
use crate::config::looks::WatchedBackup;
use crate::{Fact, Kind, Look, Observation, Phrase, Round, Subject, Trouble, Value};

/// The measurement that says when the last drill was, in seconds since 1970.
pub const DRILL_AT: &str = "drill_unix_seconds";
/// Whether it passed: 1 or 0.
pub const DRILL_PASSED: &str = "drill_passed";
/// What would have been lost, in seconds.
pub const DRILL_RPO: &str = "drill_rpo_seconds";
/// How long it took, in seconds.
pub const DRILL_RTO: &str = "drill_rto_seconds";

/// From round to round.
const EVERY: Duration = Duration::from_secs(10);
/// How old the end of what was shipped may be: three rounds.
const SHIPPED_WITHIN: SignedDuration = SignedDuration::from_mins(3);
/// How many disks a copy has to be on.
const DISKS: u8 = 2;
/// A change that is no jump, in bytes: a young database doubles within a day.
const SMALL: u64 = 1 << 20;

/// The look at the copies of all tenants.
pub struct BackupLook {
    page: Arc<StatusPage>,
    tenants: Vec<String>,
    warn_after: SignedDuration,
    overdue_after: SignedDuration,
    verified_within: SignedDuration,
}

impl BackupLook {
    /// A look at what satellite says of these tenants.
    pub fn new(page: Arc<StatusPage>, watched: &WatchedBackup, tenants: Vec<String>) -> Self {
        let signed = |it: Duration| SignedDuration::try_from(it).unwrap_or(SignedDuration::MAX);
        Self {
            page,
            tenants,
            warn_after: signed(watched.warn_after),
            overdue_after: signed(watched.overdue_after),
            verified_within: signed(watched.verified_within),
        }
    }

    fn all(&self, copies: &Copies, now: Timestamp) -> Vec<Observation> {
        if let Some(why) = &copies.unreadable {
            return self.unknown(&Value::heard(why), now);
        }
        let each = self.subjects().into_iter().zip(&self.tenants);
        each.map(|(subject, tenant)| {
            let copy = copies.tenants.iter().find(|it| it.tenant == *tenant);
            let drill = copies.drill.as_ref();
            let log = copies.logs.iter();
            let mut log = log.filter(|it| it.tenants.contains(tenant));
            let log = log.find_map(|log| stands_still(log, now));
            let seen = self.judged(subject, copy, drill, log, now);
            match drill {
                Some(drill) => with_drill(seen, drill),
                None => seen,
            }
        })
        .collect()
    }

    fn unknown(&self, why: &Value, now: Timestamp) -> Vec<Observation> {
        let subjects = self.subjects().into_iter();
        subjects
            .map(|subject| Observation::unknown(subject, now, why.clone()))
            .collect()
    }

    fn judged(
        &self,
        subject: Subject,
        copy: Option<&Copy>,
        drill: Option<&Drill>,
        log: Option<Trouble>,
        now: Timestamp,
    ) -> Observation {
        let Some((copy, made)) = copy.and_then(|copy| copy.started_at.map(|at| (copy, at))) else {
            let words = copy
                .and_then(told)
                .unwrap_or_else(|| Phrase::NoGoodBackup.into());
            let trouble = Trouble::new(Kind::BackupOverdue).fact(Fact::Detail, words);
            return Observation::wrong(subject, now, vec![trouble]);
        };
        let troubles = [
            self.age(copy, made, now),
            self.proof(copy, drill, now),
            log,
            one_disk(copy),
            jump(copy),
        ];
        let troubles = troubles.into_iter().flatten().collect();
        let seen = Observation::wrong(subject, now, troubles);
        let since = |at: Timestamp| now.duration_since(at).as_secs_f64();
        let numbers = [
            ("age_seconds", Some(since(made))),
            ("verified_age_seconds", copy.verified_at.map(since)),
            ("size_bytes", copy.bytes.map(wide)),
        ];
        numbers
            .into_iter()
            .fold(seen, |seen, (name, value)| match value {
                Some(value) => seen.number(name, value),
                None => seen,
            })
    }

    /// Too old, nearly too old, or young and yet the last run failed.
    fn age(&self, copy: &Copy, made: Timestamp, now: Timestamp) -> Option<Trouble> {
        let kind = match now.duration_since(made) {
            age if age >= self.overdue_after => Kind::BackupOverdue,
            age if age >= self.warn_after => Kind::BackupOld,
            _ if copy.error.is_some() => Kind::BackupFailed,
            _ => return None,
        };
        let promised = Value::Seconds(self.overdue_after.as_secs_f64());
        let trouble = Trouble::new(kind)
            .fact(Fact::Since, made)
            .fact(Fact::Expected, promised);
        Some(match told(copy) {
            Some(words) => trouble.fact(Fact::Detail, words),
            None => trouble,
        })
    }

    fn proof(&self, copy: &Copy, drill: Option<&Drill>, now: Timestamp) -> Option<Trouble> {
        let trouble = Trouble::new(Kind::BackupUnverified);
        let promised = Value::Seconds(self.verified_within.as_secs_f64());
        match copy.verified_at {
            None => Some(trouble.fact(Fact::Detail, Phrase::NeverVerified)),
            Some(at) if now.duration_since(at) >= self.verified_within => {
                Some(trouble.fact(Fact::Since, at).fact(Fact::Expected, promised))
            }
            Some(_) => {
                let failed = drill.filter(|drill| !drill.passed)?;
                let trouble = trouble.fact(Fact::Detail, Phrase::DrillFailed);
                Some(trouble.fact(Fact::Since, failed.at))
            }
        }
    }
}

/// A server's binary log of which nothing new has been shipped for a while.
fn stands_still(log: &Log, now: Timestamp) -> Option<Trouble> {
    let trouble = Trouble::new(Kind::BackupLog);
    let trouble = match log.shipped_until {
        Some(at) if now.duration_since(at) < SHIPPED_WITHIN => return None,
        Some(at) => trouble.fact(Fact::Since, at),
        None => trouble,
    };
    let promised = Value::Seconds(SHIPPED_WITHIN.as_secs_f64());
    let trouble = trouble.fact(Fact::Expected, promised);
    Some(match &log.error {
        Some(en) => trouble.fact(Fact::Detail, Value::in_both(log.error_es.as_deref(), en)),
        None => trouble.fact(Fact::Detail, Phrase::NothingShipped),
    })
}

/// What the daily mail says of the last drill.
fn with_drill(seen: Observation, drill: &Drill) -> Observation {
    #[expect(clippy::cast_precision_loss, reason = "seconds stay far below 2⁵³")]
    let [at, rpo, rto] =
        [drill.at.as_second(), drill.rpo_seconds, drill.rto_seconds].map(|it| it as f64);
    let seen = seen.number(DRILL_AT, at).number(DRILL_RTO, rto);
    let seen = match drill.rpo_seconds {
        ..0 => seen,
        _ => seen.number(DRILL_RPO, rpo),
    };
    seen.number(DRILL_PASSED, if drill.passed { 1.0 } else { 0.0 })
}

/// Why the last run or the last proof failed.
fn told(copy: &Copy) -> Option<Value> {
    let en = copy.error.as_ref()?;
    Some(Value::in_both(copy.error_es.as_deref(), en))
}

fn one_disk(copy: &Copy) -> Option<Trouble> {
    let has = Value::Count(copy.locations.into());
    let seen = Phrase::OneDisk.with([has]);
    (copy.locations < DISKS).then(|| Trouble::new(Kind::BackupOneDisk).fact(Fact::Seen, seen))
}

/// A size that is less than half, or more than twice, that of the copy before.
fn jump(copy: &Copy) -> Option<Trouble> {
    let (now, before) = copy.bytes.zip(copy.bytes_before)?;
    let (less, more) = (now.min(before), now.max(before));
    let jumped = more > less.saturating_mul(2) && more - less > SMALL;
    jumped.then(|| {
        Trouble::new(Kind::BackupSize)
            .fact(Fact::Expected, Value::Bytes(before))
            .fact(Fact::Seen, Value::Bytes(now))
    })
}

#[async_trait]
impl Look for BackupLook {
    fn name(&self) -> &str {
        "backup"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn deadline(&self) -> Duration {
        EVERY - Duration::from_secs(1)
    }

    fn subjects(&self) -> Vec<Subject> {
        let tenants = self.tenants.iter().cloned();
        tenants.map(|tenant| Subject::Backup { tenant }).collect()
    }

    async fn look(&self, now: Timestamp) -> Round {
        Round::part(match self.page.recent().await {
            Ok(status) => status
                .backup
                .as_ref()
                .map(|copies| self.all(copies, now))
                .unwrap_or_default(),
            Err(failed) => self.unknown(&said(&failed), now),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Finding;

    fn look() -> BackupLook {
        let page = StatusPage::new(&"http://127.0.0.1:1".parse().unwrap());
        BackupLook::new(page, &WatchedBackup::default(), vec!["acme".to_owned()])
    }

    /// A copy of 06:00, on two disks, proven, without anything wrong.
    fn good() -> Copy {
        let at: Timestamp = "2026-11-21T06:00:00Z".parse().unwrap();
        Copy {
            tenant: "acme".to_owned(),
            started_at: Some(at),
            bytes: Some(5 << 20),
            bytes_before: Some(5 << 20),
            locations: 2,
            verified_at: Some(at),
            error: None,
            error_es: None,
        }
    }

    /// What is wrong at that moment.
    fn kinds(tenants: Vec<Copy>, now: &str) -> Vec<Kind> {
        let copies = Copies {
            tenants,
            drill: None,
            logs: Vec::new(),
            unreadable: None,
        };
        let seen = look().all(&copies, now.parse().unwrap());
        match &seen[0].finding {
            Finding::Wrong { troubles } => troubles.iter().map(|it| it.kind).collect(),
            Finding::Fine => Vec::new(),
            Finding::Unknown { .. } => panic!("it is known"),
        }
    }

    const SOON: &str = "2026-11-21T08:40:00Z";

    #[test]
    fn a_backup_is_told_before_it_is_overdue_and_when_it_is() {
        assert_eq!(kinds(vec![good()], SOON), []);
        let late = |now| kinds(vec![good()], now);
        assert_eq!(late("2026-11-21T08:46:00Z"), [Kind::BackupOld]);
        assert_eq!(late("2026-11-21T09:01:00Z"), [Kind::BackupOverdue]);
        let day_later = "2026-11-22T19:00:00Z";
        assert_eq!(
            late(day_later),
            [Kind::BackupOverdue, Kind::BackupUnverified]
        );
    }

    #[test]
    fn what_else_is_wrong_with_a_young_backup_is_told_by_its_kind() {
        let with = |change: fn(&mut Copy)| {
            let mut copy = good();
            change(&mut copy);
            kinds(vec![copy], SOON)
        };
        assert_eq!(
            with(|it| it.error = Some("no space".to_owned())),
            [Kind::BackupFailed]
        );
        assert_eq!(with(|it| it.verified_at = None), [Kind::BackupUnverified]);
        assert_eq!(with(|it| it.locations = 1), [Kind::BackupOneDisk]);
        assert_eq!(with(|it| it.bytes = Some(2 << 20)), [Kind::BackupSize]);
        assert_eq!(with(|it| it.bytes = Some(11 << 20)), [Kind::BackupSize]);
        assert_eq!(with(|it| it.bytes_before = None), []);
        let small = |it: &mut Copy| (it.bytes, it.bytes_before) = (Some(9_000), Some(80_000));
        assert_eq!(with(small), []);
    }

    #[test]
    fn a_drill_that_failed_is_told_until_one_passes_and_its_figures_are_kept() {
        let at: Timestamp = "2026-11-21T07:00:00Z".parse().unwrap();
        let seen = |passed| {
            let drill = Drill {
                at,
                passed,
                rpo_seconds: 3_600,
                rto_seconds: 40,
            };
            let copies = Copies {
                tenants: vec![good()],
                drill: Some(drill),
                logs: Vec::new(),
                unreadable: None,
            };
            look().all(&copies, SOON.parse().unwrap()).remove(0)
        };
        let failed = seen(false);
        let Finding::Wrong { troubles } = &failed.finding else {
            panic!("{failed:?}");
        };
        assert_eq!(troubles[0].kind, Kind::BackupUnverified);
        assert_eq!(failed.numbers[DRILL_PASSED], 0.0);
        let passed = seen(true);
        assert_eq!(passed.finding, Finding::Fine);
        assert_eq!(
            [passed.numbers[DRILL_RPO], passed.numbers[DRILL_RTO]],
            [3_600.0, 40.0]
        );
    }

    #[test]
    fn a_binary_log_that_stands_still_is_told_to_those_who_have_data_on_its_server() {
        let with = |tenant: &str, until: Option<&str>| {
            let log = Log {
                tenants: vec![tenant.to_owned()],
                shipped_until: until.map(|at| at.parse().unwrap()),
                error: None,
                error_es: None,
            };
            let copies = Copies {
                tenants: vec![good()],
                drill: None,
                logs: vec![log],
                unreadable: None,
            };
            let seen = look().all(&copies, SOON.parse().unwrap()).remove(0);
            match seen.finding {
                Finding::Wrong { troubles } => troubles.iter().map(|it| it.kind).collect(),
                _ => Vec::new(),
            }
        };
        assert_eq!(with("acme", Some("2026-11-21T08:38:00Z")), []);
        let late = Some("2026-11-21T08:36:59Z");
        assert_eq!(with("acme", late), [Kind::BackupLog]);
        assert_eq!(with("acme", None), [Kind::BackupLog]);
        assert_eq!(with("other", late), []);
    }

    #[tokio::test]
    async fn without_a_backup_nothing_is_green() {
        assert_eq!(kinds(vec![], SOON), [Kind::BackupOverdue]);
        let failed = Copy {
            started_at: None,
            error: Some("no space".to_owned()),
            ..good()
        };
        assert_eq!(kinds(vec![failed], SOON), [Kind::BackupOverdue]);
        let unreadable = Copies {
            tenants: vec![good()],
            drill: None,
            logs: Vec::new(),
            unreadable: Some("denied".to_owned()),
        };
        let now = SOON.parse().unwrap();
        let mut seen = look().all(&unreadable, now);
        // Nobody listens at that address.
        let look = look();
        look.page.ask().await.unwrap_err();
        seen.extend(look.look(now).await.observations);
        assert_eq!(seen.len(), 2);
        for seen in seen {
            assert!(matches!(seen.finding, Finding::Unknown { .. }), "{seen:?}");
        }
    }
}
