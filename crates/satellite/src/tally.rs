//! What is counted of records, the same for every way they come.
//!
//! Committed, folded and set-aside records are counted where the answer to the COMMIT is
//! known, so that what was refused and comes again counts once. Canaries stay out of tenants'
//! figures.

use event::{Reason, Route, TenantId};
use prometheus::IntCounterVec;
use store::Receipt;

use crate::devices::Known;
use crate::hub::Hub;

/// Counts for one device and one way.
pub(crate) struct Tally<'a> {
    hub: &'a Hub,
    tenant: Option<&'a TenantId>,
    route: Route,
}

impl<'a> Tally<'a> {
    pub(crate) fn of(hub: &'a Hub, known: &'a Known, route: Route) -> Self {
        let enrolment = &known.enrolment;
        Self {
            hub,
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

    /// A submission was committed; `reasons` are those of records that were set aside before
    /// they reached the store.
    pub(crate) fn committed(&self, receipt: &Receipt, reasons: &[Reason]) {
        let metrics = &self.hub.metrics;
        self.add(&metrics.committed, receipt.new);
        self.add(&metrics.duplicate, receipt.duplicate);
        if self.route == Route::Backfill && self.tenant.is_some() {
            metrics.backfilled.inc_by(receipt.new);
        }
        let brought = reasons.iter().map(|reason| (*reason, 1));
        for (reason, n) in brought.chain(receipt.by_store.each()) {
            metrics
                .quarantined
                .with_label_values(&[reason.as_str()])
                .inc_by(n);
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
