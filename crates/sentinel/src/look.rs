//! The seam between the loop and everything that looks at the world.
//!
//! A look never decides whether somebody is told: it says what it saw. The loop gives each look
//! its own task and its deadline; a look that is late, fails or panics makes its subjects
//! unknown, never fine.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::observation::{Round, Subject};

/// Something that looks at one thing, or at many of one sort, again and again.
///
/// Hysteresis is not its business: it reports each round what it sees, at once, and [`decide`]
/// waits until it is sure. What a look needs to remember (a counter's last value) it keeps
/// inside itself; after a restart it says [`Unknown`](crate::Finding::Unknown) until it can tell.
///
/// [`decide`]: crate
#[async_trait]
pub trait Look: Send + Sync {
    /// Its name: a short word of letters, digits, `_`, with `:` before what tells several of
    /// one sort apart, for example `database:acme`. Unique in the process; the label of
    /// `sentinel_check_up{check}`.
    fn name(&self) -> &str;

    /// From the start of one round to the start of the next.
    fn every(&self) -> Duration;

    /// Longest that a round may take; the loop gives up then. Shorter than [`Look::every`].
    fn deadline(&self) -> Duration;

    /// What becomes unknown when the look itself fails. At least one.
    fn subjects(&self) -> Vec<Subject>;

    /// One round. `now` is the time at its start; what is measured in seconds uses a monotonic
    /// clock inside.
    async fn look(&self, now: Timestamp) -> Round;
}
