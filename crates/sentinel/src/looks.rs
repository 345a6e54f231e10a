//! Everything that looks: one file for each sort of thing, all behind [`Look`].
//!
//! A look says what it saw, as soon as it saw it, and never whether somebody is told. What it
//! could not see is unknown; what it may not see is left out and named by `sentinel check`.
//! Facts are read, judged by a pure function, and handed on, in this order, so that the
//! judgements are tested without a network and the reading against real servers.

pub mod canary;
pub mod database;
pub mod host;
pub mod satellite;
pub mod store;
pub mod terminals;

use std::sync::Arc;

use crate::{Config, Look};

/// Every look that the configuration asks for.
pub fn all(config: &Config) -> Vec<Arc<dyn Look>> {
    let mut looks = satellite::looks(&config.watch);
    for store in &config.watch.stores {
        looks.push(Arc::new(database::Database::new(store.clone())));
        let canary = canary::CanaryLook::new(&config.watch, store, &config.zone);
        looks.extend(canary.map(|canary| Arc::new(canary) as Arc<dyn Look>));
    }
    looks
}

/// A count as a measurement; far below 2⁵³ it is exact.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2⁵³")]
pub(crate) fn wide(count: u64) -> f64 {
    count as f64
}
