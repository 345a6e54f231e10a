//! What can be said of each terminal's record over a period, and what that makes of the whole.
//!
//! Pure, so that the rule can be read and tested alone. A terminal is complete only where
//! something proves it; a terminal that gives no means of proof is called that, and whatever is
//! missing, in review, undated or lost makes the whole partial. Nothing here is a guess.

use event::{Millis, Vendor};
use serde::Serialize;
use store::assurance::{AssuredDevice, Missing, WindowState};
use store::census::Count;
use store::registry::Enrolment;

use super::time;

/// The period, its end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) from: Millis,
    pub(crate) to: Millis,
}

/// What a cut-off says. The order of the fields is the order in JSON, over which the hash goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Cutoff {
    pub(super) tenant: String,
    pub(super) tenant_name: String,
    pub(super) time_zone: String,
    /// UTC.
    pub(super) from: String,
    /// UTC, not included.
    pub(super) to: String,
    #[serde(rename = "complete")]
    pub(super) is_complete: bool,
    /// Punches that happened in the period.
    pub(super) punches: u64,
    /// Those among them that came more than a minute later.
    pub(super) late: u64,
    /// Punches that came in the period from a clock that nobody can believe.
    pub(super) undated: u64,
    /// Records that came since the period began and wait in review.
    pub(super) in_review: u64,
    /// Windows that are missing.
    pub(super) gaps: u64,
    pub(super) terminals_complete: u64,
    pub(super) terminals: Vec<Terminal>,
    #[serde(skip)]
    pub(super) period: Period,
}

/// One terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Terminal {
    pub(super) serial: String,
    pub(super) name: Option<String>,
    pub(super) site: Option<String>,
    pub(super) verdict: Verdict,
    pub(super) punches: u64,
    pub(super) late: u64,
    pub(super) undated: u64,
    pub(super) in_review: u64,
    pub(super) missing: Vec<Window>,
}

/// What can be said of a terminal's record over the period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Everything it held is stored, up to the end of the period.
    Complete,
    /// It spoke to us after the period, nothing is known to be missing, and it gives no means
    /// to prove that.
    Unproven,
    /// Something is missing and may still come.
    Missing,
    /// Something is gone for good.
    Lost,
    /// It is not enrolled any more, and what it held then cannot be asked for.
    Withdrawn,
}

/// A window that is missing, cut to the period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Window {
    /// UTC.
    pub(super) from: String,
    /// UTC, not included.
    pub(super) to: String,
    pub(super) why: Why,
    /// Records that it holds by the terminal's word, where it gave one.
    pub(super) device_count: Option<i64>,
    /// Records of it that are stored, where they were counted.
    pub(super) stored_count: Option<i64>,
    #[serde(skip)]
    pub(super) period: Period,
}

/// Why a window is missing, and so what is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Why {
    /// It has not spoken to us since; it delivers by itself when it comes back.
    NoContact,
    /// It cannot be reached since; it is asked as soon as it answers.
    Unreachable,
    /// It has never spoken to us.
    NeverHeard,
    /// It was heard, but not asked to the end yet.
    NotAsked,
    /// It is being asked for.
    Fetching,
    /// It was asked for and did not come whole.
    Stuck,
    /// The terminal no longer holds it.
    Lost,
    /// Its numbers show a gap, and it cannot be asked.
    CannotAsk,
}

impl Why {
    fn is_for_good(self) -> bool {
        matches!(self, Self::Lost | Self::CannotAsk)
    }
}

/// What is known of one terminal.
pub(super) struct Facts<'a> {
    pub(super) enrolment: Option<&'a Enrolment>,
    pub(super) seen: Option<&'a AssuredDevice>,
    pub(super) windows: Vec<&'a Missing>,
    pub(super) count: Count,
    pub(super) review: u64,
}

impl Facts<'_> {
    /// What is to be said; `None` when the period does not concern it.
    pub(super) fn judged(&self, period: Period) -> Option<Terminal> {
        let has_rows = self.count != Count::default() || self.review > 0;
        let begins = self
            .enrolment
            .map(|one| one.accept_from.unwrap_or(one.created_at));
        let later = self
            .enrolment
            .is_some_and(|one| one.created_at >= period.to);
        if !has_rows && (self.enrolment.is_none() || later) {
            return None;
        }
        let from = begins.map_or(period.from, |begins| begins.max(period.from));
        let span = Period {
            from: if later {
                period.from
            } else {
                from.min(period.to)
            },
            to: period.to,
        };
        let missing = self.missing(span, later);
        let verdict = match (self.enrolment, missing.as_slice()) {
            (None, _) => Verdict::Withdrawn,
            (Some(_), []) if self.is_assured(period) => Verdict::Complete,
            (Some(_), []) => Verdict::Unproven,
            (Some(_), some) if some.iter().any(|it| it.why.is_for_good()) => Verdict::Lost,
            (Some(_), _) => Verdict::Missing,
        };
        let named = self
            .enrolment
            .map(|one| (one.name.clone(), one.site.clone()));
        let (name, site) = named.map_or_else(
            || {
                self.seen
                    .map_or((None, None), |seen| (seen.name.clone(), seen.site.clone()))
            },
            |(name, site)| (name.map(|it| it.to_string()), site.map(|it| it.to_string())),
        );
        Some(Terminal {
            serial: self.serial(),
            name,
            site,
            verdict,
            punches: self.count.punches,
            late: self.count.late,
            undated: self.count.undated,
            in_review: self.review,
            missing,
        })
    }

    fn serial(&self) -> String {
        let enrolled = self.enrolment.map(|one| one.serial.to_string());
        let stored = || self.seen.map(|seen| seen.serial.clone());
        enrolled.or_else(stored).unwrap_or_default()
    }

    fn is_assured(&self, period: Period) -> bool {
        let complete = self.seen.and_then(|seen| seen.complete_to);
        complete.is_some_and(|complete| complete >= period.to)
    }

    /// The windows that were found, and the one that follows from silence.
    fn missing(&self, span: Period, later: bool) -> Vec<Window> {
        let mut windows: Vec<Window> = self
            .windows
            .iter()
            .filter(|it| it.begins_at < span.to && it.ends_at > span.from)
            .map(|it| {
                let why = match it.state {
                    WindowState::Open | WindowState::Closed => Why::Fetching,
                    WindowState::Stuck => Why::Stuck,
                    WindowState::Lost => Why::Lost,
                };
                let cut = Period {
                    from: it.begins_at.max(span.from),
                    to: it.ends_at.min(span.to),
                };
                window(cut, why, (it.device_count, it.stored_count))
            })
            .collect();
        if !later
            && !self.is_assured(span)
            && let Some(silent) = self.silence(span)
        {
            windows.push(silent);
        }
        windows
    }

    /// The end of the period that nothing speaks for.
    fn silence(&self, span: Period) -> Option<Window> {
        let enrolment = self.enrolment?;
        let Some(seen) = self.seen else {
            return Some(window(span, Why::NeverHeard, (None, None)));
        };
        let is_dialled = enrolment.access.address.is_some();
        // A ZKTeco terminal that pushes takes commands.
        let can_ask = is_dialled || enrolment.vendor == Vendor::Zkteco;
        let proves = seen.complete_to.is_some() || seen.completeness.as_deref() == Some("proven");
        let gap = seen.gap_events.filter(|gap| *gap > 0);
        let heard = seen.last_contact_at.is_some_and(|heard| heard >= span.to);
        let why = match (heard, gap) {
            (true, Some(_)) if can_ask => Why::Fetching,
            (true, Some(_)) => Why::CannotAsk,
            (true, None) if proves => Why::NotAsked,
            // Nobody can say more than that it was heard.
            (true, None) => return None,
            (false, _) if is_dialled => Why::Unreachable,
            (false, _) if seen.last_contact_at.is_none() => Why::NeverHeard,
            (false, _) => Why::NoContact,
        };
        // Up to there it is proven, or else nothing is known against it.
        let heard = seen.last_contact_at.filter(|_| gap.is_none() && !heard);
        let since = seen.complete_to.or(heard).unwrap_or(span.from);
        let cut = Period {
            from: since.clamp(span.from, span.to),
            to: span.to,
        };
        Some(window(cut, why, (gap, None)))
    }
}

fn window(period: Period, why: Why, counts: (Option<i64>, Option<i64>)) -> Window {
    Window {
        from: time::utc(period.from),
        to: time::utc(period.to),
        why,
        device_count: counts.0,
        stored_count: counts.1,
        period,
    }
}

impl Cutoff {
    pub(super) fn of(
        tenant: &str,
        name: &str,
        zone: &str,
        period: Period,
        terminals: Vec<Terminal>,
    ) -> Self {
        let sum = |of: fn(&Terminal) -> u64| terminals.iter().map(of).sum();
        let complete = |it: &&Terminal| it.verdict == Verdict::Complete;
        let (undated, in_review) = (sum(|it| it.undated), sum(|it| it.in_review));
        let all = terminals.iter().all(|it| complete(&it));
        Self {
            tenant: tenant.to_owned(),
            tenant_name: name.to_owned(),
            time_zone: zone.to_owned(),
            from: time::utc(period.from),
            to: time::utc(period.to),
            // Without a terminal there is nothing that could be complete.
            is_complete: all && !terminals.is_empty() && undated == 0 && in_review == 0,
            punches: sum(|it| it.punches),
            late: sum(|it| it.late),
            undated,
            in_review,
            gaps: sum(|it| u64::try_from(it.missing.len()).unwrap_or(u64::MAX)),
            terminals_complete: u64::try_from(terminals.iter().filter(complete).count())
                .unwrap_or(u64::MAX),
            terminals,
            period,
        }
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
