//! What is counted of records and written about them, the same for every way they come.
//!
//! Committed, folded and set-aside records are counted where the answer to the COMMIT is
//! known, so that what was refused and comes again counts once. Canaries stay out of tenants'
//! figures. Here also stands the one line by which rows of the feed and the request that
//! brought them find each other. No record's bytes may come into the log here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use daemon::logging::Escaped;
use event::{Quarantined, Reason, Route, TenantId, Text};
use prometheus::IntCounterVec;
use store::Receipt;

use crate::devices::Known;
use crate::hub::Hub;

/// Records that were set aside before they reached the store: how many for each reason, and
/// what the reader said of the first.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    records: BTreeMap<&'static str, u64>,
    first: Option<Text>,
}

impl Aside {
    /// Of what is going to be submitted.
    pub(crate) fn of(quarantined: &[Quarantined]) -> Self {
        let first = quarantined.first();
        let first = first.map(|first| Text::from(format!("{}: {}", first.source, first.detail)));
        let mut aside = Self {
            first,
            ..Self::default()
        };
        for one in quarantined {
            aside.add(one.reason, 1);
        }
        aside
    }

    /// So many more that share a quarantined piece with others.
    pub(crate) fn add(&mut self, reason: Reason, records: u64) {
        if records > 0 {
            *self.records.entry(reason.as_str()).or_default() += records;
        }
    }

    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.records.values().sum()
    }

    /// `bad_time=3 unreadable=17`.
    fn reasons(&self) -> String {
        let mut text = String::new();
        for (reason, records) in &self.records {
            let gap = if text.is_empty() { "" } else { " " };
            // Writing into memory cannot fail.
            write!(text, "{gap}{reason}={records}").ok();
        }
        text
    }
}

/// Counts for one device and one way.
pub(crate) struct Tally<'a> {
    hub: &'a Hub,
    known: &'a Known,
    tenant: Option<&'a TenantId>,
    route: Route,
}

impl<'a> Tally<'a> {
    pub(crate) fn of(hub: &'a Hub, known: &'a Known, route: Route) -> Self {
        let enrolment = &known.enrolment;
        Self {
            hub,
            known,
            tenant: (!enrolment.canary).then_some(&enrolment.tenant),
            route,
        }
    }

    /// So many events came, whatever becomes of them.
    pub(crate) fn received(&self, events: usize) {
        self.add(&self.hub.metrics.received, wide(events));
    }

    /// So many events are older than the enrolment accepts, and were acknowledged.
    pub(crate) fn too_old(&self, events: usize) {
        if let Some(tenant) = self.tenant.filter(|_| events > 0) {
            let family = &self.hub.metrics.before_enrolment;
            family
                .with_label_values(&[tenant.as_str()])
                .inc_by(wide(events));
        }
    }

    /// What came at once was committed; `aside` is what never reached the store as an event.
    pub(crate) fn committed(&self, receipt: &Receipt, mut aside: Aside) {
        let metrics = &self.hub.metrics;
        self.add(&metrics.committed, receipt.new);
        self.add(&metrics.duplicate, receipt.duplicate);
        if self.route == Route::Backfill && self.tenant.is_some() {
            metrics.backfilled.inc_by(receipt.new);
        }
        for (reason, records) in receipt.by_store.each() {
            aside.add(reason, records);
        }
        for (reason, records) in &aside.records {
            let family = &metrics.quarantined;
            family.with_label_values(&[*reason]).inc_by(*records);
        }
        self.write_down(receipt, &aside);
    }

    /// The line that joins a request or visit (the span around it) with numbers of the feed,
    /// and, where records were set aside, one warning, however many they are.
    fn write_down(&self, receipt: &Receipt, aside: &Aside) {
        let (serial, tenant) = (&self.known.enrolment.serial, &self.known.enrolment.tenant);
        let (route, set_aside) = (self.route.as_str(), aside.total());
        let (first, last) = receipt.numbers.unzip();
        tracing::debug!(
            %serial,
            %tenant,
            route,
            new = receipt.new,
            duplicate = receipt.duplicate,
            quarantined = set_aside,
            seq_first = first,
            seq_last = last,
            "committed"
        );
        if set_aside > 0 {
            tracing::warn!(
                %serial,
                %tenant,
                route,
                records = set_aside,
                reasons = %aside.reasons(),
                first = %Escaped(aside.first.as_deref().unwrap_or_default()),
                "records were set aside: satellite quarantine list"
            );
        }
    }

    fn add(&self, family: &IntCounterVec, n: u64) {
        if let Some(tenant) = self.tenant {
            family
                .with_label_values(&[tenant.as_str(), self.route.as_str()])
                .inc_by(n);
        }
    }
}

/// A length as a count.
pub(crate) fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{Bytes, Millis};

    fn set_aside(reason: Reason, detail: &'static str) -> Quarantined {
        Quarantined {
            reason,
            detail: Text::const_new(detail),
            source: Text::const_new("ATTLOG"),
            route: Route::Push,
            received_at: Millis(0),
            raw: Bytes::new(),
        }
    }

    #[test]
    fn what_was_set_aside_is_summed_by_reason_and_told_by_its_first() {
        let mut aside = Aside::of(&[
            set_aside(Reason::Unreadable, "no known sort of line"),
            set_aside(Reason::BadTime, "no such day"),
            set_aside(Reason::Unreadable, "another"),
        ]);
        aside.add(Reason::Unreadable, 500_000);
        aside.add(Reason::Conflict, 0);
        assert_eq!(aside.total(), 500_003);
        assert_eq!(aside.reasons(), "bad_time=1 unreadable=500002");
        assert_eq!(
            aside.first.as_deref(),
            Some("ATTLOG: no known sort of line")
        );
    }
}
