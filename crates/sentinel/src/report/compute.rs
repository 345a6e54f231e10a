//! The numbers of a report, from days and incidents. Whole seconds and parts per million: no
//! rounding flatters, and the same material gives the same numbers on every machine.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::{Backups, DaySeconds, Material, Period};
use crate::config::Promises;
use crate::decide::Incident;
use crate::kind::{Class, Kind, Severity};

/// A promised availability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Preset {
    /// In parts per million: 998,000 is 99.8 %.
    pub millionths: u32,
}

/// The promises that contracts of this trade make.
pub const PRESETS: [Preset; 3] = [
    Preset {
        millionths: 990_000,
    },
    Preset {
        millionths: 998_000,
    },
    Preset {
        millionths: 999_000,
    },
];

/// Whether a promise was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Kept, even if nothing had worked while nothing was known.
    Kept,
    /// Not kept, even if all had been well while nothing was known.
    Broken,
    /// It depends on time of which nothing is known.
    Unknown,
}

impl Verdict {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Broken => "broken",
            Self::Unknown => "unknown",
        }
    }
}

/// A promise against what was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The promise.
    pub preset: Preset,
    /// Seconds of the period that may be lost.
    pub budget: u64,
    /// Seconds of the budget that are left; less than nothing when it is overdrawn.
    pub left: i64,
    /// Whether it was kept.
    pub verdict: Verdict,
}

/// How much of the period things worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Availability {
    /// Seconds in which all was well.
    pub ok: u64,
    /// Seconds in which a part did not work.
    pub partial: u64,
    /// Seconds in which nothing worked.
    pub down: u64,
    /// Seconds of which nothing is known.
    pub unknown: u64,
    /// Known seconds that were not down, in parts per million of the known, rounded down;
    /// `None` when nothing is known.
    pub millionths: Option<u32>,
    /// Against the usual promises.
    pub held: Vec<Held>,
}

/// Incidents of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassFigures {
    /// The class.
    pub class: Class,
    /// Incidents opened in the period.
    pub opened: u32,
    /// Those of them that were critical.
    pub critical: u32,
    /// Mean seconds from opening to acknowledgement, of those that were acknowledged.
    pub to_acknowledge: Option<u64>,
    /// Mean seconds from the beginning to repair or workaround, of those that are over.
    pub to_repair: Option<u64>,
    /// The longest of them.
    pub longest: Option<u64>,
    /// The promised recovery time at most, in seconds.
    pub promised: u64,
    /// Incidents that took longer than that.
    pub over_promise: u32,
}

/// One incident as a report shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IncidentLine {
    /// Its name.
    pub id: String,
    /// Its class.
    pub class: Class,
    /// What was wrong.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Seconds to acknowledgement.
    pub to_acknowledge: Option<u64>,
    /// Seconds from the beginning to repair or workaround; `None` while it lasts.
    pub to_repair: Option<u64>,
    /// The cause that was written down. Hostile text.
    pub cause: Option<String>,
}

/// One day as a report shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DayLine {
    /// Which.
    pub day: Date,
    /// Seconds in which all was well.
    pub ok: u32,
    /// Seconds in which a part did not work.
    pub partial: u32,
    /// Seconds in which nothing worked.
    pub down: u32,
    /// Seconds of which nothing is known.
    pub unknown: u32,
    /// Punches received.
    pub punches: u64,
}

/// What is reported of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantReport {
    /// Its name in the configuration.
    pub tenant: String,
    /// Its name for people.
    pub name: String,
    /// How much of the time things worked.
    pub availability: Availability,
    /// The days of the period.
    pub days: Vec<DayLine>,
    /// Punches received in the period.
    pub punches: u64,
    /// By class; classes without incidents too.
    pub classes: Vec<ClassFigures>,
    /// The incidents opened in the period, in the order of their numbers.
    pub incidents: Vec<IncidentLine>,
    /// The oldest that the newest backup ever was, in seconds, if anything is known.
    pub backup_worst_age: Option<u64>,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The month, `2026-03`.
    pub month: String,
    /// The name of this installation.
    pub installation: String,
    /// The zone of all days.
    pub time_zone: String,
    /// The first instant.
    pub from: Timestamp,
    /// The end, not included.
    pub until: Timestamp,
    /// Whether the month has not ended.
    pub running: bool,
    /// Each tenant, in the order of the configuration.
    pub tenants: Vec<TenantReport>,
}

impl Report {
    /// Works out the numbers.
    pub fn of(
        installation: &str,
        period: &Period,
        materials: &[Material],
        promises: &Promises,
    ) -> Self {
        let tenant = |material| tenant(period, material, promises);
        Self {
            month: period.month.to_string(),
            installation: installation.to_owned(),
            time_zone: period.zone.iana_name().unwrap_or("UTC").to_owned(),
            from: period.from,
            until: period.until,
            running: period.running,
            tenants: materials.iter().map(tenant).collect(),
        }
    }
}

fn tenant(period: &Period, material: &Material, promises: &Promises) -> TenantReport {
    let days = days(period, material);
    let opened: Vec<&Incident> = material
        .incidents
        .iter()
        .filter(|it| (period.from..period.until).contains(&it.opened_at))
        .filter(|it| it.severity > Severity::Notice)
        .collect();
    let backups = material.backups;
    TenantReport {
        tenant: material.tenant.clone(),
        name: material.name.clone(),
        availability: availability(&days),
        punches: days.iter().map(|day| day.punches).sum(),
        days,
        classes: Class::ALL
            .into_iter()
            .map(|class| class_figures(class, &opened, promises))
            .collect(),
        incidents: opened.iter().map(|incident| line(incident)).collect(),
        backup_worst_age: backups.map(|it: Backups| it.worst_age),
    }
}

/// Each day of the period; what was not noted is unknown.
fn days(period: &Period, material: &Material) -> Vec<DayLine> {
    let day = |day: Date| {
        let noted: DaySeconds = material.days.get(&day).copied().unwrap_or_default();
        let length = u32::try_from(seconds_of(period, day)).unwrap_or_default();
        DayLine {
            day,
            ok: noted.ok,
            partial: noted.partial,
            down: noted.down,
            unknown: length.saturating_sub(noted.known()),
            punches: material.punches.get(&day).copied().unwrap_or_default(),
        }
    };
    let days = period.month.days().map(day);
    days.take_while(|line| begins_before(period, line.day, period.until))
        .collect()
}

fn begins_before(period: &Period, day: Date, end: Timestamp) -> bool {
    let start = day.to_zoned(period.zone.clone());
    start.is_ok_and(|start| start.timestamp() < end)
}

/// Seconds of a local day that lie in the period.
fn seconds_of(period: &Period, day: Date) -> i64 {
    let start = |day: Date| day.to_zoned(period.zone.clone()).map(|at| at.timestamp());
    let (Ok(from), Ok(until)) = (start(day), day.tomorrow().and_then(start)) else {
        return 0;
    };
    let until = until.min(period.until);
    (until.as_second() - from.as_second()).max(0)
}

fn availability(days: &[DayLine]) -> Availability {
    let sum = |of: fn(&DayLine) -> u32| days.iter().map(|day| u64::from(of(day))).sum::<u64>();
    let (ok, partial) = (sum(|day| day.ok), sum(|day| day.partial));
    let (down, unknown) = (sum(|day| day.down), sum(|day| day.unknown));
    let known = ok + partial + down;
    let millionths = (ok + partial).saturating_mul(1_000_000).checked_div(known);
    let held = |preset| held(preset, known + unknown, down, unknown);
    Availability {
        ok,
        partial,
        down,
        unknown,
        millionths: millionths.and_then(|it| u32::try_from(it).ok()),
        held: PRESETS.map(held).to_vec(),
    }
}

fn held(preset: Preset, all: u64, down: u64, unknown: u64) -> Held {
    let budget = all * u64::from(1_000_000 - preset.millionths) / 1_000_000;
    let verdict = if down > budget {
        Verdict::Broken
    } else if down + unknown > budget {
        Verdict::Unknown
    } else {
        Verdict::Kept
    };
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    Held {
        preset,
        budget,
        left: signed(budget) - signed(down),
        verdict,
    }
}

fn class_figures(class: Class, opened: &[&Incident], promises: &Promises) -> ClassFigures {
    let own: Vec<&Incident> = opened
        .iter()
        .copied()
        .filter(|it| it.class == class)
        .collect();
    let count = |of: &dyn Fn(&Incident) -> bool| {
        let count = own.iter().filter(|it| of(it)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    let repairs: Vec<u64> = own.iter().filter_map(|it| to_repair(it)).collect();
    let acknowledged: Vec<u64> = own.iter().filter_map(|it| to_acknowledge(it)).collect();
    let promised = promises.of(class).rto_max.as_secs();
    ClassFigures {
        class,
        opened: count(&|_| true),
        critical: count(&|it| it.severity == Severity::Critical),
        to_acknowledge: mean(&acknowledged),
        to_repair: mean(&repairs),
        longest: repairs.iter().max().copied(),
        promised,
        over_promise: count(&|it| to_repair(it).is_some_and(|took| took > promised)),
    }
}

fn mean(values: &[u64]) -> Option<u64> {
    let count = u64::try_from(values.len()).ok()?;
    values.iter().sum::<u64>().checked_div(count)
}

fn line(incident: &Incident) -> IncidentLine {
    IncidentLine {
        id: incident.id.to_string(),
        class: incident.class,
        kind: incident.kind,
        severity: incident.severity,
        opened_at: incident.opened_at,
        to_acknowledge: to_acknowledge(incident),
        to_repair: to_repair(incident),
        cause: incident.cause.clone(),
    }
}

fn to_acknowledge(incident: &Incident) -> Option<u64> {
    let (at, _) = incident.acknowledged.as_ref()?;
    Some(between(incident.opened_at, *at))
}

/// From the beginning to repair; a workaround counts as repair.
fn to_repair(incident: &Incident) -> Option<u64> {
    let mitigated = incident.mitigated.as_ref().map(|(at, _)| *at);
    let end = mitigated.or(incident.closed_at)?;
    Some(between(incident.since, end))
}

fn between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_second() - from.as_second()).unwrap_or_default()
}
