//! The monthly report: what was promised to a client, and what was kept, with the evidence.
//!
//! ```text
//! Material (days, incidents, punches, backups) ─▶ Report (numbers) ─▶ html | csv | json
//! ```
//!
//! Everything here is a function of its arguments, and a month that has ended gives the same
//! bytes every time: no clock, no random number, no order of a hash map. Text of strangers goes
//! through `notify::text` into HTML and through [`csv::cell`] into tables. Time of which
//! nothing is known is never counted as time in which things worked.

mod chart;
mod compute;
mod csv;
mod html;
mod json;
mod month;
mod style;

pub use compute::{
    Availability, ClassFigures, Held, IncidentLine, PRESETS, Preset, Report, TenantReport,
};
pub use csv::{cell, to_csv};
pub use html::to_html;
pub use json::to_json;
pub use month::{BadMonth, Month};
pub(crate) use style::CSS;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::decide::{Incident, Standing};

/// Seconds of one local day by standing. What is missing to the length of the day is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DaySeconds {
    /// All was well.
    pub ok: u32,
    /// A part did not work.
    pub partial: u32,
    /// Nothing worked.
    pub down: u32,
}

impl DaySeconds {
    /// Counts seconds of a standing; unknown is what is not counted.
    pub fn add(&mut self, standing: Standing, seconds: u32) {
        let sum = match standing {
            Standing::Ok => &mut self.ok,
            Standing::Partial => &mut self.partial,
            Standing::Down => &mut self.down,
            Standing::Unknown => return,
        };
        *sum = sum.saturating_add(seconds);
    }

    /// Seconds of which something is known.
    pub fn known(self) -> u32 {
        self.ok
            .saturating_add(self.partial)
            .saturating_add(self.down)
    }
}

/// What is known of a tenant's backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backups {
    /// The oldest that the newest backup ever was in this month, in seconds.
    pub worst_age: u64,
}

/// What a report about one tenant is made from.
#[derive(Debug, Clone, Default)]
pub struct Material {
    /// Its name in the configuration.
    pub tenant: String,
    /// Its name for people.
    pub name: String,
    /// Seconds by standing, of each day of the month on which anything was noted.
    pub days: BTreeMap<Date, DaySeconds>,
    /// Incidents that concern it and touch the month, in the order of their numbers.
    pub incidents: Vec<Incident>,
    /// Punches received, of each day on which there were any.
    pub punches: BTreeMap<Date, u64>,
    /// Its backups, if anything is known of them.
    pub backups: Option<Backups>,
}

/// The month with the instants that bound it.
#[derive(Debug, Clone, PartialEq)]
pub struct Period {
    /// Which month.
    pub month: Month,
    /// In which zone its days are counted.
    pub zone: jiff::tz::TimeZone,
    /// Its first instant.
    pub from: Timestamp,
    /// Its end, or the present in a month that has not ended; not included.
    pub until: Timestamp,
    /// Whether the month has not ended.
    pub running: bool,
}

#[cfg(test)]
mod tests;
