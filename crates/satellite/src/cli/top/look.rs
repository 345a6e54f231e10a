//! One look at the admin door: what `top` knows at one moment.
//!
//! Fields that a newer or older satellite does not have read as nothing, so that the program on disk
//! may be another version than the one that runs.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use serde::Deserialize;

use super::super::http;

/// What the three pages said.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Look {
    pub(super) status: Status,
    /// Those for which something holds.
    pub(super) devices: Vec<Device>,
    pub(super) figures: Figures,
}

/// `/status`, as far as it is shown.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) uptime_seconds: u64,
    pub(super) pending: u64,
    pub(super) stores: Vec<Store>,
    pub(super) tenants: Vec<Tenant>,
    pub(super) door: Door,
    pub(super) lockdown: Vec<serde_json::Value>,
    pub(super) attacks: Vec<serde_json::Value>,
    pub(super) outputs: Vec<Way>,
    pub(super) inputs: Vec<Way>,
}

/// An output or an input.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Way {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) trouble: Option<String>,
}

/// A database.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Store {
    pub(super) label: String,
    pub(super) up: bool,
    pub(super) trouble: Option<String>,
    pub(super) oldest_waiting_seconds: f64,
}

/// A tenant.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Tenant {
    pub(super) id: String,
    pub(super) devices: Counts,
}

/// Its terminals.
#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    pub(super) approved: u64,
    pub(super) online: u64,
    pub(super) quiet: u64,
    pub(super) blocked: u64,
}

/// The door for terminals.
#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Door {
    pub(super) connections: u64,
}

/// A terminal of `/devices`, as far as it is shown.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Device {
    pub(super) serial: String,
    pub(super) tenant: String,
    pub(super) state: String,
    pub(super) last_contact_at: Option<String>,
    /// IANA name of the zone its clock is read in.
    pub(super) time_zone: String,
    pub(super) conditions: Vec<Condition>,
}

/// What holds for it.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    pub(super) name: String,
}

/// Counters of `/metrics`, by tenant where they have one.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Figures {
    pub(super) committed: BTreeMap<String, f64>,
    pub(super) duplicate: BTreeMap<String, f64>,
    pub(super) refused: f64,
    pub(super) quarantined: f64,
    /// Requests answered in at most so many seconds, as a histogram says it: bound and count.
    pub(super) acks: Vec<(f64, f64)>,
    pub(super) commits: Vec<(f64, f64)>,
}

impl Look {
    /// Asks the door.
    ///
    /// # Errors
    /// It does not answer, or not in its own words.
    pub(super) async fn take(door: SocketAddr) -> io::Result<Self> {
        let page = async |path: &str| {
            let (status, body) = http::get(door, path).await?;
            let told = || io::Error::other(format!("{path}: {status}"));
            (status == 200).then_some(body).ok_or_else(told)
        };
        let mut devices: Vec<Device> = http::devices(door, "&with_conditions=true").await?;
        // An older version lists all of them.
        devices.retain(|device| !device.conditions.is_empty());
        Ok(Self {
            status: serde_json::from_str(&page("/status").await?)?,
            devices,
            figures: Figures::read(&page("/metrics").await?),
        })
    }
}

impl Figures {
    fn read(text: &str) -> Self {
        let mut figures = Self::default();
        for line in text.lines() {
            let Some((name, labels, value)) = sample(line) else {
                continue;
            };
            let tenant = || label(labels, "tenant").unwrap_or_default().to_owned();
            let bound = || label(labels, "le").and_then(|bound| bound.parse().ok());
            match name {
                "satellite_events_committed_total" => {
                    *figures.committed.entry(tenant()).or_default() += value;
                }
                "satellite_events_duplicate_total" => {
                    *figures.duplicate.entry(tenant()).or_default() += value;
                }
                "satellite_refused_total" => figures.refused += value,
                "satellite_quarantined_total" => figures.quarantined += value,
                "satellite_ack_seconds_bucket" => {
                    figures
                        .acks
                        .extend(bound().map(|bound: f64| (bound, value)));
                }
                "satellite_commit_seconds_bucket" => {
                    figures
                        .commits
                        .extend(bound().map(|bound: f64| (bound, value)));
                }
                _ => {}
            }
        }
        figures
    }
}

/// Name, labels and value of a line of metrics.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    Some(match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?, value),
        None => (series, "", value),
    })
}

/// The value of that label; none of those that are read here holds a quote.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(own, _)| *own == name)?;
    Some(value.trim_matches('"'))
}

/// The bound below which that share of what was counted between two looks lies; `None` when nothing
/// was.
pub(super) fn quantile(now: &[(f64, f64)], before: &[(f64, f64)], share: f64) -> Option<f64> {
    let old = |bound: f64| {
        let found = before
            .iter()
            .find(|(other, _)| other.total_cmp(&bound).is_eq());
        found.map_or(0.0, |(_, count)| *count)
    };
    let rose: Vec<(f64, f64)> = now.iter().map(|(b, count)| (*b, count - old(*b))).collect();
    let all = rose.last().map_or(0.0, |(_, count)| *count);
    if all <= 0.0 {
        return None;
    }
    let reached = rose.iter().find(|(_, count)| *count >= share * all);
    reached.map(|(bound, _)| *bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP x y\n\
        satellite_events_committed_total{route=\"push\",tenant=\"acme\"} 7\n\
        satellite_events_committed_total{route=\"listen\",tenant=\"acme\"} 3\n\
        satellite_refused_total{reason=\"busy\"} 2\n\
        satellite_ack_seconds_bucket{le=\"0.005\"} 90\n\
        satellite_ack_seconds_bucket{le=\"0.01\"} 99\n\
        satellite_ack_seconds_bucket{le=\"+Inf\"} 100\n\
        satellite_ack_seconds_sum 1\nno sample\n";

    #[test]
    fn counters_are_added_by_tenant_and_a_line_that_is_none_is_passed_over() {
        let figures = Figures::read(PAGE);
        assert_eq!(
            figures.committed,
            BTreeMap::from([("acme".to_owned(), 10.0)])
        );
        assert_eq!((figures.refused, figures.quarantined), (2.0, 0.0));
    }

    #[test]
    fn a_quantile_is_of_what_was_counted_between_two_looks() {
        let now = Figures::read(PAGE).acks;
        assert_eq!(quantile(&now, &[], 0.5), Some(0.005));
        assert_eq!(quantile(&now, &[], 0.99), Some(0.01));
        assert_eq!(quantile(&now, &now, 0.5), None);
        assert_eq!(quantile(&[], &[], 0.5), None);
        let before = [(0.005, 90.0), (0.01, 90.0), (f64::INFINITY, 90.0)];
        assert_eq!(quantile(&now, &before, 0.5), Some(0.01));
    }

    #[test]
    fn what_another_version_does_not_say_reads_as_nothing() {
        let status: Status = serde_json::from_str("{\"version\":\"9\",\"new\":1}").unwrap();
        assert_eq!((status.version.as_str(), status.stores.len()), ("9", 0));
    }
}
