//! Hikvision devices: what satellite fetches and hears from them, how soon, and at what price.
//!
//! One bench for each question; all of them play the devices in this process, run satellite and
//! a durable MariaDB as processes of their own, and hold the devices' ledger against
//! `event_feed`, read over a connection of its own. Satellite's counters are never taken for
//! what is stored; the one thing read from them is whether a condition was raised.
//!
//! ```text
//! stage              database, satellite, ledger, enrolment
//! feed ── verdict    when each row could be read, and what is missing, doubled or strange
//! live, gaps, dialled, posts, backfill      one question each
//! ```

pub(crate) mod backfill;
pub(crate) mod dialled;
mod feed;
pub(crate) mod gaps;
pub(crate) mod live;
pub(crate) mod posts;
mod stage;
mod verdict;
