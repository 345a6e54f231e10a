//! What of satellite's own words is wrong. Pure: the page and the monotonic clock come in.
//!
//! Counters are judged by how they rose, and a restart sets them back to zero, which is no
//! fall. What waits in the journal is waiting and never called missing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::status::{Status, Tls};
use crate::looks::certificate;
use crate::looks::store::moment;
use crate::looks::wide;
use crate::{Fact, Kind, Phrase, Severity, Trouble, Value};

/// The time over which rises are judged.
const WINDOW: Duration = Duration::from_secs(3600);
/// A short time, for what comes in waves.
const WAVE: Duration = Duration::from_secs(600);
/// Counts are remembered so often.
const SAMPLE_EVERY: Duration = Duration::from_secs(60);
/// Restarts within [`WINDOW`] that are too many.
const RESTARTS: usize = 3;
/// Records set aside within [`WINDOW`] from which on somebody should look soon.
const QUARANTINED: u64 = 100;
/// Refusals within [`WAVE`] below which none are called many.
const REFUSED: u64 = 100;
/// How many times more than usual refusals have to be.
const TIMES: u64 = 5;
/// Refusals within [`WAVE`] of those who were shut out or prove nothing.
const STRANGERS: u64 = 20;
/// The key of satellite's configuration that names the certificate, the same in every language.
const TLS_KEY: &str = "listen.devices_tls";
/// The journal's oldest may wait so long before that is told, in seconds.
const JOURNAL_WAITS: u64 = 300;

/// Refusals of terminals that are known and shut out, or that prove nothing.
const SHUT_OUT: [&str; 4] = ["blocked", "unknown_token", "wrong_device", "rejected"];
/// Refusals of terminals that nobody enrolled.
const UNKNOWN: [&str; 1] = ["pending"];
/// Refusals because a database takes no events: that has conditions of its own, and terminals
/// that come again every second make many of a moment.
const DATABASE: [&str; 1] = ["store_unavailable"];

/// Counters at one moment.
#[derive(Debug, Clone)]
struct Sample {
    at: Instant,
    quarantined: u64,
    refused: u64,
    shut_out: u64,
    unknown: u64,
    epochs: u64,
}

/// What the look remembers.
#[derive(Debug, Default)]
pub(super) struct History {
    started_at: Option<String>,
    restarts: VecDeque<Instant>,
    samples: VecDeque<Sample>,
}

impl History {
    /// What is wrong with satellite as a whole.
    pub(super) fn troubles(&mut self, status: &Status, now: Instant) -> Vec<Trouble> {
        self.note_start(status, now);
        self.note_counts(status, now);
        let newest = self.samples.back().cloned();
        let Some(newest) = newest else {
            return Vec::new();
        };
        let found = [
            self.restarts(),
            journal(status),
            self.quarantine(&newest),
            self.rejects(&newest),
            self.unknown(status, &newest),
            self.shut_out(&newest),
            self.replaced(&newest),
            attacked(status),
            locked(status),
        ];
        found.into_iter().flatten().collect()
    }

    fn note_start(&mut self, status: &Status, now: Instant) {
        let before = self.started_at.replace(status.started_at.clone());
        if before.is_some_and(|before| before != status.started_at) {
            self.restarts.push_back(now);
            // Counters began again.
            self.samples.clear();
        }
        while self
            .restarts
            .front()
            .is_some_and(|at| now.duration_since(*at) > WINDOW)
        {
            self.restarts.pop_front();
        }
    }

    fn note_counts(&mut self, status: &Status, now: Instant) {
        let refused = &status.totals.refused;
        let of =
            |names: &[&str]| -> u64 { names.iter().filter_map(|name| refused.get(*name)).sum() };
        let sample = Sample {
            at: now,
            quarantined: status.totals.quarantined.values().sum(),
            refused: refused.values().sum::<u64>() - of(&DATABASE),
            shut_out: of(&SHUT_OUT),
            unknown: of(&UNKNOWN),
            epochs: status.totals.new_epochs,
        };
        // The last one is always of now; those before it are a minute apart.
        let count = self.samples.len();
        let close = count >= 2 && {
            let before = self.samples.get(count - 2);
            before.is_some_and(|before| now.duration_since(before.at) < SAMPLE_EVERY)
        };
        if close {
            self.samples.pop_back();
        }
        self.samples.push_back(sample);
        while self
            .samples
            .front()
            .is_some_and(|it| now.duration_since(it.at) > 2 * WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// By how much a count rose within `window` before the newest sample.
    fn rise(&self, newest: &Sample, window: Duration, count: impl Fn(&Sample) -> u64) -> u64 {
        let mut samples = self.samples.iter();
        let first = samples.find(|it| newest.at.duration_since(it.at) <= window);
        first.map_or(0, |first| count(newest).saturating_sub(count(first)))
    }

    fn restarts(&self) -> Option<Trouble> {
        let count = self.restarts.len();
        (count >= RESTARTS).then(|| counted(Kind::SatelliteRestarts, count as u64))
    }

    fn quarantine(&self, newest: &Sample) -> Option<Trouble> {
        let count = self.rise(newest, WINDOW, |it| it.quarantined);
        let severity = match count {
            0 => return None,
            1..QUARANTINED => Severity::Notice,
            _ => Severity::Warning,
        };
        Some(counted(Kind::QuarantineGrowing, count).severity(severity))
    }

    /// Refusals of the last ten minutes against those of the time before.
    fn rejects(&self, newest: &Sample) -> Option<Trouble> {
        let wave = self.rise(newest, WAVE, |it| it.refused - it.shut_out - it.unknown);
        let all = self.rise(newest, 2 * WINDOW, |it| {
            it.refused - it.shut_out - it.unknown
        });
        let first = self.samples.front()?;
        let before = newest.at.duration_since(first.at).saturating_sub(WAVE);
        let waves = (before.as_secs() / WAVE.as_secs()).max(1);
        let usual = all.saturating_sub(wave) / waves;
        (wave >= REFUSED && wave >= TIMES * usual)
            .then(|| counted(Kind::RejectsRising, wave).fact(Fact::Expected, count(usual)))
    }

    fn unknown(&self, status: &Status, newest: &Sample) -> Option<Trouble> {
        let tries = self.rise(newest, WINDOW, |it| it.unknown);
        if status.pending == 0 && tries == 0 {
            return None;
        }
        Some(
            counted(Kind::UnknownTerminals, status.pending).severity(if tries > 0 {
                Severity::Warning
            } else {
                Severity::Notice
            }),
        )
    }

    fn shut_out(&self, newest: &Sample) -> Option<Trouble> {
        let tries = self.rise(newest, WAVE, |it| it.shut_out);
        (tries >= STRANGERS).then(|| counted(Kind::RefusedTerminals, tries))
    }

    fn replaced(&self, newest: &Sample) -> Option<Trouble> {
        let epochs = self.rise(newest, WINDOW, |it| it.epochs);
        (epochs > 0).then(|| counted(Kind::DatabaseReplaced, epochs))
    }
}

fn count(count: u64) -> Value {
    Value::Count(i64::try_from(count).unwrap_or(i64::MAX))
}

fn counted(kind: Kind, n: u64) -> Trouble {
    Trouble::new(kind).fact(Fact::Count, count(n))
}

/// What waits on disk, and whether the disk still takes it.
fn journal(status: &Status) -> Option<Trouble> {
    let journal = &status.journal;
    let refuses = journal.state != "ready";
    let old = journal
        .oldest_seconds
        .is_some_and(|age| age >= JOURNAL_WAITS);
    if !refuses && !old && journal.unreadable == 0 {
        return None;
    }
    let severity = if refuses {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let trouble = Trouble::new(Kind::JournalGrowing)
        .severity(severity)
        .fact(Fact::Waiting, count(journal.events))
        .fact(Fact::Condition, journal_state(&journal.state));
    let oldest = journal.oldest_seconds.map(|age| Value::Seconds(wide(age)));
    Some(match oldest {
        Some(oldest) => trouble.fact(Fact::Oldest, oldest),
        None => trouble,
    })
}

/// satellite's word for how its journal does; one that a newer one says stays as it is.
fn journal_state(word: &str) -> Value {
    match word {
        "ready" => Phrase::JournalReady.into(),
        "full" => Phrase::JournalFull.into(),
        "disk_low" => Phrase::JournalDiskLow.into(),
        "failed" => Phrase::JournalFailed.into(),
        other => Value::heard(other),
    }
}

/// The attack that has gone on for longest, and how many there are.
fn attacked(status: &Status) -> Option<Trouble> {
    let oldest = status.attacks.iter().min_by(|a, b| a.since.cmp(&b.since))?;
    let what = match oldest.name.as_str() {
        "brute_force" => Phrase::BruteForce.into(),
        "serial_flood" => Phrase::SerialFlood.into(),
        other => Value::heard(other),
    };
    let trouble = Trouble::new(Kind::UnderAttack)
        .fact(Fact::Condition, what)
        .fact(Fact::Count, count(status.attacks.len() as u64))
        .fact(Fact::Seen, count(oldest.tries));
    let trouble = match &oldest.address {
        Some(address) => trouble.fact(Fact::Place, Value::heard(address)),
        None => trouble,
    };
    Some(match moment(&oldest.since) {
        Some(since) => trouble.fact(Fact::Since, since),
        None => trouble,
    })
}

/// That somebody has put satellite into lockdown, so that nobody forgets to end it.
fn locked(status: &Status) -> Option<Trouble> {
    let oldest = status
        .lockdown
        .iter()
        .min_by(|a, b| a.since.cmp(&b.since))?;
    let scopes: Vec<&str> = status
        .lockdown
        .iter()
        .map(|one| one.scope.as_str())
        .collect();
    let trouble = Trouble::new(Kind::Lockdown)
        .fact(Fact::Place, Value::heard(scopes.join(", ")))
        .fact(Fact::Detail, Value::heard(&oldest.actor));
    Some(match moment(&oldest.since) {
        Some(since) => trouble.fact(Fact::Since, since),
        None => trouble,
    })
}

/// What is wrong with the certificate of satellite's own door: that it ends, or that the one which
/// should follow it does not serve.
pub(super) fn tls(tls: &Tls, now: Timestamp) -> Option<Trouble> {
    let place = |trouble: Trouble| trouble.fact(Fact::Place, Value::heard(TLS_KEY));
    let ends = moment(&tls.certificate_ends_at)?;
    let why = tls.trouble.as_deref();
    let why = why.map(|en| Value::in_both(tls.trouble_es.as_deref(), en));
    if let Some(trouble) = certificate::end(ends, now) {
        let with_why = match why {
            Some(why) => trouble.fact(Fact::Detail, why),
            None => trouble,
        };
        return Some(place(with_why));
    }
    let renewal = Trouble::new(Kind::CertificateExpiring).fact(Fact::Until, ends);
    why.map(|why| place(renewal.fact(Fact::Detail, why)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::status::{Journal, Stage, Store, Totals};
    use super::*;

    pub(in super::super) fn status() -> Status {
        Status {
            version: "0".to_owned(),
            uptime_seconds: 100,
            started_at: "a".to_owned(),
            stores: vec![Store {
                label: "store".to_owned(),
                place: "mysql://x".to_owned(),
                up: true,
                trouble: None,
                detail: None,
                waiting: 0,
                oldest_waiting_seconds: 0.0,
                commits: 7,
            }],
            pending: 0,
            tls: None,
            lockdown: Vec::new(),
            attacks: Vec::new(),
            backup: None,
            outputs: Vec::new(),
            inputs: Vec::new(),
            stages: vec![Stage {
                name: "settle".to_owned(),
                stalled: false,
            }],
            journal: Journal {
                state: "ready".to_owned(),
                events: 0,
                oldest_seconds: None,
                unreadable: 0,
            },
            totals: Totals {
                received: 0,
                committed: 0,
                quarantined: std::collections::BTreeMap::new(),
                refused: std::collections::BTreeMap::new(),
                new_epochs: 0,
            },
        }
    }

    /// Shows a page that changes with the minute for so many minutes; answers the last troubles.
    fn play(minutes: u64, page: impl Fn(u64, &mut Status)) -> Vec<(Kind, Severity)> {
        let (mut history, start) = (History::default(), Instant::now());
        let mut last = Vec::new();
        for minute in 0..=minutes {
            let mut status = status();
            page(minute, &mut status);
            for second in [0, 20, 40] {
                let now = start + Duration::from_secs(60 * minute + second);
                last = history.troubles(&status, now);
            }
        }
        last.iter()
            .map(|trouble| (trouble.kind, trouble.severity))
            .collect()
    }

    #[test]
    fn a_quiet_day_has_no_trouble_and_a_steady_count_of_refusals_neither() {
        let quiet = |minute: u64, status: &mut Status| {
            status
                .totals
                .refused
                .insert("body_timeout".to_owned(), 30 * minute);
        };
        assert!(play(300, quiet).is_empty());
    }

    #[test]
    fn refusals_that_rise_many_times_over_their_usual_count_are_told() {
        let rising = |minute: u64, status: &mut Status| {
            let n = 5 * minute
                + if minute > 170 {
                    300 * (minute - 170)
                } else {
                    0
                };
            status.totals.refused.insert("body_timeout".to_owned(), n);
        };
        assert_eq!(
            play(175, rising),
            [(Kind::RejectsRising, Severity::Warning)]
        );
    }

    #[test]
    fn what_a_database_that_is_away_makes_satellite_refuse_is_no_rise_of_refusals() {
        let away = |minute: u64, status: &mut Status| {
            let reason = "store_unavailable".to_owned();
            status.totals.refused.insert(reason, 500 * (minute / 170));
        };
        assert!(play(175, away).is_empty());
    }

    #[test]
    fn each_thing_that_satellite_says_of_itself_becomes_its_kind() {
        let restarts =
            |minute: u64, status: &mut Status| status.started_at = (minute / 10).to_string();
        assert_eq!(
            play(40, restarts),
            [(Kind::SatelliteRestarts, Severity::Warning)]
        );
        let journal = |_: u64, status: &mut Status| {
            status.journal.events = 9;
            status.journal.oldest_seconds = Some(900);
        };
        assert_eq!(
            play(1, journal),
            [(Kind::JournalGrowing, Severity::Warning)]
        );
        let full = |_: u64, status: &mut Status| status.journal.state = "disk_low".to_owned();
        assert_eq!(play(1, full), [(Kind::JournalGrowing, Severity::Critical)]);
        let few = |minute: u64, status: &mut Status| {
            status
                .totals
                .quarantined
                .insert("bad_time".to_owned(), minute);
        };
        assert_eq!(play(20, few), [(Kind::QuarantineGrowing, Severity::Notice)]);
        let strangers = |minute: u64, status: &mut Status| {
            status
                .totals
                .refused
                .insert("unknown_token".to_owned(), 10 * minute);
        };
        assert_eq!(
            play(20, strangers),
            [(Kind::RefusedTerminals, Severity::Warning)]
        );
        let pending = |_: u64, status: &mut Status| status.pending = 2;
        assert_eq!(
            play(1, pending),
            [(Kind::UnknownTerminals, Severity::Notice)]
        );
        let guessed = |_: u64, status: &mut Status| {
            status.attacks = vec![super::super::status::Attack {
                name: "brute_force".to_owned(),
                address: Some("203.0.113.7".to_owned()),
                since: "2026-11-26 12:00:00.000".to_owned(),
                tries: 40,
            }];
        };
        assert_eq!(play(1, guessed), [(Kind::UnderAttack, Severity::Warning)]);
        let locked = |_: u64, status: &mut Status| {
            status.lockdown = vec![super::super::status::Lockdown {
                scope: "*".to_owned(),
                since: "2026-11-26 12:00:00.000".to_owned(),
                actor: "ana".to_owned(),
            }];
        };
        assert_eq!(play(1, locked), [(Kind::Lockdown, Severity::Warning)]);
        let epoch = |minute: u64, status: &mut Status| status.totals.new_epochs = minute / 5;
        assert_eq!(
            play(6, epoch),
            [(Kind::DatabaseReplaced, Severity::Warning)]
        );
    }

    #[test]
    fn the_certificate_of_the_terminals_door_is_told_before_it_ends_and_when_its_successor_is_bad()
    {
        let now = moment("2026-11-26 12:00:00.000").unwrap();
        let seen = |ends: &str, trouble: Option<&str>| {
            let page = Tls {
                certificate_ends_at: ends.to_owned(),
                trouble: trouble.map(str::to_owned),
                trouble_es: None,
            };
            tls(&page, now).map(|trouble| (trouble.kind, trouble.severity))
        };
        assert_eq!(seen("2027-11-26 12:00:00.000", None), None);
        let expiring = |severity| Some((Kind::CertificateExpiring, severity));
        assert_eq!(
            seen("2026-12-10 12:00:00.000", None),
            expiring(Severity::Warning)
        );
        assert_eq!(
            seen("2026-11-28 12:00:00.000", None),
            expiring(Severity::Critical)
        );
        let bad = Some((Kind::CertificateBad, Severity::Critical));
        assert_eq!(seen("2026-11-25 12:00:00.000", None), bad);
        let successor = Some("listen.devices_tls.key: the key belongs to another certificate");
        assert_eq!(
            seen("2027-11-26 12:00:00.000", successor),
            expiring(Severity::Warning)
        );
    }

    #[test]
    fn a_restart_that_sets_the_counters_back_is_no_rise() {
        let restarted = |minute: u64, status: &mut Status| {
            status.started_at = (minute / 20).to_string();
            status
                .totals
                .refused
                .insert("blocked".to_owned(), 500 * (1 - minute / 20));
        };
        assert!(play(25, restarted).is_empty());
    }
}
