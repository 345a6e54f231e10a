//! Maintenance windows: times in which nobody is told, because somebody is at work. Pure.
//!
//! A window always ends, at most twelve hours after its beginning. It hides letters, never
//! facts: incidents open and close as always, and what is still open when the window ends is
//! told then. It never hides a punch that was acknowledged and is not there.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::kind::Kind;

/// The longest window.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(12);

/// One window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its number.
    pub id: i64,
    /// Whose; `None` is everything.
    pub tenant: Option<String>,
    /// Its beginning.
    pub from: Timestamp,
    /// Its end, exclusive.
    pub until: Timestamp,
    /// Who made it.
    pub who: String,
    /// Why.
    pub why: String,
    /// Whether its beginning was told.
    pub begin_told: bool,
    /// Whether its end was told.
    pub end_told: bool,
}

/// Why a window is none.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize,
)]
pub enum BadWindow {
    /// It ends before it begins, or has ended.
    #[error("a maintenance window must end after it begins, and in the future")]
    Ended,
    /// It is longer than twelve hours.
    #[error("a maintenance window lasts at most 12 hours")]
    TooLong,
}

impl Window {
    /// Whether it may be.
    ///
    /// # Errors
    /// [`BadWindow`].
    pub fn check(&self, now: Timestamp) -> Result<(), BadWindow> {
        if self.until <= self.from || self.until <= now {
            return Err(BadWindow::Ended);
        }
        if self.until.duration_since(self.from) > LONGEST {
            return Err(BadWindow::TooLong);
        }
        Ok(())
    }

    /// Whether it hides letters about that kind of those tenants at that time. An incident of
    /// several tenants is hidden only by a window over everything.
    pub fn hides<'a>(
        &self,
        kind: Kind,
        mut tenants: impl Iterator<Item = &'a str>,
        now: Timestamp,
    ) -> bool {
        if kind == Kind::AcknowledgedNotFound || now < self.from || now >= self.until {
            return false;
        }
        match &self.tenant {
            None => true,
            Some(own) => {
                let first = tenants.next();
                first == Some(own) && tenants.all(|tenant| tenant == own)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap()
    }

    fn window(tenant: Option<&str>, until: i64) -> Window {
        Window {
            id: 1,
            tenant: tenant.map(str::to_owned),
            from: at(0),
            until: at(until),
            who: "ana".to_owned(),
            why: "upgrade".to_owned(),
            begin_told: false,
            end_told: false,
        }
    }

    #[test]
    fn a_window_must_end_and_within_twelve_hours() {
        assert_eq!(window(None, 720).check(at(0)), Ok(()));
        assert_eq!(window(None, 721).check(at(0)), Err(BadWindow::TooLong));
        assert_eq!(window(None, 0).check(at(0)), Err(BadWindow::Ended));
        assert_eq!(window(None, 10).check(at(10)), Err(BadWindow::Ended));
    }

    #[test]
    fn a_window_hides_its_tenant_in_its_time_and_never_an_acknowledged_punch_that_is_not_there() {
        let own = window(Some("acme"), 60);
        let hides =
            |kind, tenants: &[&str], minute| own.hides(kind, tenants.iter().copied(), at(minute));
        assert!(hides(Kind::DatabaseDown, &["acme"], 0));
        assert!(hides(Kind::DatabaseDown, &["acme"], 59));
        assert!(!hides(Kind::DatabaseDown, &["acme"], 60));
        assert!(!hides(Kind::DatabaseDown, &["other"], 1));
        assert!(!hides(Kind::DatabaseDown, &["acme", "other"], 1));
        assert!(!hides(Kind::SatelliteDown, &[], 1));
        assert!(window(None, 60).hides(Kind::SatelliteDown, std::iter::empty(), at(1)));
        for kind in Kind::ALL.iter().copied() {
            let hidden = window(None, 60).hides(kind, ["acme"].into_iter(), at(1));
            assert_eq!(hidden, kind != Kind::AcknowledgedNotFound);
        }
    }
}
