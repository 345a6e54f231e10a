//! Learned silence: noticing that the punches usual at this hour do not come.
//!
//! A clock that usually has forty punches by 09:15 and today has none is broken, or cut off,
//! or unplugged, and no time-out that suits the night finds it in the morning. So each terminal
//! is measured against itself:
//!
//! - [`Quarters`]: what came on one local day, by quarter hour, and which quarters do not count
//!   because of an incident.
//! - [`Profile`]: what is usual, by weekday and quarter hour, learned from comparable days: the
//!   newest eight of that weekday that were no holidays.
//! - [`judge`]: fires when so many events were expected since the last one that none at all is
//!   a matter of less than one false alarm in years, or when the time for seven has passed twice
//!   after a rush, and says the numbers: 41 expected, 0 seen.
//!
//! Events are counted and forgotten: no person, card or code is ever kept here. Learning never
//! hides a silence: what was spoiled by an incident is not learned from, and a quarter hour that
//! has too few comparable days keeps what was known of it. A new terminal has a plain rule for
//! three weeks. Nothing here reads a clock or a database.

mod judge;
mod profile;
mod quarters;

pub use judge::{FIXED_LIMIT, LEARNING_DAYS, Rule, Silence, expected, judge, threshold};
pub use profile::{Profile, comparable};
pub use quarters::{QUARTERS, Quarters};
