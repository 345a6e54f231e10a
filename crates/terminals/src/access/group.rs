//! What a scenario says about access-control terminals: how many, and how unkind.

use serde::{Deserialize, Serialize};

use crate::scenario::ScenarioError;

/// Terminals of one kind. They share seed, zone, start, duration, rate, limit, backlog, delays and
/// faults of delivery with the push terminals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessGroup {
    /// Terminals, 1 to 1,000.
    pub count: u32,
    /// What serials start with: 1 to 20 of `A-Z a-z 0-9 - _`.
    pub serial_prefix: String,
    /// Share of events that stand in the log and are never sent by themselves.
    pub withheld: f64,
    /// Share of accepted uploads that come once more as rows of the transaction table.
    pub both_ways: f64,
    /// Events after which the log is cleared and the count begins again, as soon as nothing is
    /// left to send; absent: never.
    pub clear_after: Option<u64>,
    /// Whether a query for a span of time is understood; others answer "not supported".
    pub windows: bool,
    /// Rows in one part of an answer, 1 to 1,000.
    pub part: u32,
}

impl Default for AccessGroup {
    fn default() -> Self {
        Self {
            count: 1,
            serial_prefix: "ACC".to_owned(),
            withheld: 0.0,
            both_ways: 0.0,
            clear_after: None,
            windows: true,
            part: 40,
        }
    }
}

impl AccessGroup {
    /// The serial of the terminal in that place, from 0.
    pub fn serial(&self, place: u32) -> String {
        format!("{}{:07}", self.serial_prefix, place + 1)
    }

    /// All serials of the group.
    pub fn serials(&self) -> Vec<String> {
        (0..self.count).map(|place| self.serial(place)).collect()
    }

    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        let fail = |what: &str| Err(ScenarioError::new(what));
        if !(1..=1_000).contains(&self.count) {
            return fail("access.count: must be 1 to 1000");
        }
        if self.serial_prefix.len() > 20 || event::Serial::new(&self.serial(0)).is_err() {
            return fail("access.serial_prefix: must be 1 to 20 of A-Z a-z 0-9 - _");
        }
        for (key, share) in [("withheld", self.withheld), ("both_ways", self.both_ways)] {
            if !(0.0..=1.0).contains(&share) {
                return fail(&format!("access.{key}: must be 0.0 to 1.0"));
            }
        }
        if !(1..=1_000).contains(&self.part) {
            return fail("access.part: must be 1 to 1000");
        }
        if self.clear_after.is_some_and(|n| n < 2) {
            return fail("access.clear_after: must be at least 2");
        }
        Ok(())
    }
}
