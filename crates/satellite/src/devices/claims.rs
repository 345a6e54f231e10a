//! What may be claimed of a terminal's record: by its own way here, or by that of an edge.
//!
//! Every page, figure and row of status asks here, so that none says more than another. Computed each
//! time from what the rooms of the ways know; nothing here remembers anything.

use event::{Completeness, Millis, Vendor};

use super::Known;
use crate::clock;
use crate::edge::claim::better;

impl Known {
    /// Whether an edge brings what it has, with the chain of its serials: then what it posts by
    /// itself comes again.
    pub(crate) fn is_brought(&self, now: Millis) -> bool {
        let carried = self.edge().carried();
        carried.is_some_and(|carried| carried.has_chain && carried.is_fresh(now))
    }

    /// What may be claimed of its record, and how many events are known to be missing where
    /// that can be known: by its own way here, or by that of an edge.
    pub(crate) fn claim(&self) -> (Completeness, Option<u64>) {
        let carried = self.edge().carried();
        let carried = carried.and_then(|carried| carried.claims(clock::now()));
        better(self.own_claim(), carried)
    }

    fn own_claim(&self) -> (Completeness, Option<u64>) {
        let claim = match self.enrolment.vendor {
            Vendor::Hikvision => {
                let view = self.hikvision().view();
                view.completeness.map(|word| (word, view.missing))
            }
            // Whoever posts by a mapping gives nothing to count by.
            Vendor::Other => None,
            Vendor::Zkteco | Vendor::Satellite => {
                let view = self.pull().view();
                let pulled = view.completeness.map(|word| (word, view.missing));
                let numbered = || self.index().claim();
                pulled.or_else(numbered).or_else(|| self.audit().claim())
            }
        };
        let (word, missing) = claim.unzip();
        (word.unwrap_or(Completeness::Unproven), missing)
    }
}
