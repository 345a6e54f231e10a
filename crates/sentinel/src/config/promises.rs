//! `[promise.<class>]`: what the contingency plan promises, by class of incident.
//!
//! The shipped figures are the customer's own table. Where it promises no recovery point, there
//! is none here: a number that nobody promised is never shown.

use std::time::Duration;

use daemon::config::{ConfigError, Source, Span};
use serde::Deserialize;

use crate::kind::Class;

/// What is promised for one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// The most data that may be lost, as time (RPO); `None` where nothing was promised.
    pub rpo: Option<Duration>,
    /// The time within which service is back when all goes well (RTO from).
    pub rto_min: Duration,
    /// The time within which it is back at the latest (RTO to).
    pub rto_max: Duration,
}

/// What is promised for each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promises([Promise; Class::ALL.len()]);

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

const fn promise(rpo: Option<Duration>, from: u64, to: u64) -> Promise {
    Promise {
        rpo,
        rto_min: hours(from),
        rto_max: hours(to),
    }
}

impl Default for Promises {
    /// The customer's contingency plan, in the order of [`Class::ALL`].
    fn default() -> Self {
        let three = Some(hours(3));
        Self([
            promise(three, 2, 3),
            promise(three, 2, 3),
            promise(three, 2, 3),
            promise(None, 4, 5),
            promise(None, 3, 4),
            promise(None, 2, 3),
        ])
    }
}

impl Promises {
    /// What is promised for that class.
    pub fn of(&self, class: Class) -> Promise {
        let Self(all) = self;
        let at = Class::ALL.iter().position(|known| *known == class);
        at.and_then(|at| all.get(at))
            .copied()
            .unwrap_or(promise(None, 4, 5))
    }
}

/// `[promise]` as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPromises {
    app: Option<RawPromise>,
    component: Option<RawPromise>,
    database: Option<RawPromise>,
    host: Option<RawPromise>,
    security: Option<RawPromise>,
    mail: Option<RawPromise>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPromise {
    rpo: Option<Span>,
    rto_min: Span,
    rto_max: Span,
}

/// Fills in the defaults and checks.
pub(super) fn checked(source: &Source, raw: RawPromises) -> Result<Promises, ConfigError> {
    let mut promises = Promises::default();
    let raws = [
        raw.app,
        raw.component,
        raw.database,
        raw.host,
        raw.security,
        raw.mail,
    ];
    for ((raw, class), place) in raws.into_iter().zip(Class::ALL).zip(&mut promises.0) {
        let Some(raw) = raw else { continue };
        if raw.rto_min.0 > raw.rto_max.0 {
            let key = format!("promise.{}.rto_max", class.as_str());
            return Err(source.error(
                &key,
                (
                    "must not be shorter than rto_min",
                    "no debe ser menor que rto_min",
                ),
            ));
        }
        *place = Promise {
            rpo: raw.rpo.map(Into::into),
            rto_min: raw.rto_min.into(),
            rto_max: raw.rto_max.into(),
        };
    }
    Ok(promises)
}
