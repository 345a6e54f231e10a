//! What the end-to-end promises in `tests/` are made with: the real program as a process, a
//! reader of `event_feed` over a connection of its own, and hand-written HTTP.
//!
//! ```text
//! terminals (their ledger) ──HTTP──▶ satellite (a process) ──SQL──▶ database
//!        │                                                            │
//!        └────────────────▶ Checker: ledger against event_feed ◀──────┘
//! ```
//!
//! Everything here stands outside of satellite: its configuration file, its doors, its
//! commands, the feed. No type of satellite or of its store is used, so that a fault in them
//! cannot hide itself. Satellite's own counters are judged here and never trusted.

mod away;
mod backup;
mod by_hand;
mod checker;
mod container;
mod copies;
mod crew;
mod disk;
mod fleet;
pub mod hikvision;
mod http;
mod link;
mod machine;
mod mailbox;
mod metrics;
mod mixed;
mod mosquitto;
mod old;
mod orders;
mod pages;
mod pictures;
mod place;
mod postbox;
mod publisher;
pub mod pull;
mod random;
mod receiver;
mod satellite;
mod sentinel;
mod smtpd;

pub use away::Away;
pub use backup::Backup;
pub use by_hand::{ByHand, until};
pub use checker::{Checker, Comparison, FeedRow, Follower, Punch};
pub use container::Container;
pub use copies::Copies;
pub use crew::Crew;
pub use disk::{Disk, SmallDisk};
pub use fleet::{Running, all_faults_happened, unkind};
pub use http::{Reply, attlog, exchange, get, handshake, knock, read_reply};
pub use link::{Line, Link};
pub use machine::Machine;
pub use mailbox::Mailbox;
pub use metrics::sum_of;
pub use mixed::{Counts, Mixed};
pub use mosquitto::{Heard, Mosquitto};
pub use old::{OldReceiver, Signs, Switchboard};
pub use orders::{fails, outcome, said, works};
pub use pages::{parts, shown, texts, workspace};
pub use pictures::picture;
pub use place::{Place, blocking, shared_mariadb};
pub use postbox::{Post, Postbox};
pub use publisher::{Planned, Publisher};
pub use random::{Random, seed};
pub use receiver::{Arrival, Mood, Receiver};
pub use satellite::{SatelliteProcess, Setup, Tenant, free_port};
pub use sentinel::SentinelProcess;
pub use smtpd::Smtpd;

/// True when the long form of the promises is asked for: `cargo xtask test --full` sets
/// `SATELLITE_TEST_FULL=1`.
#[must_use]
pub fn full() -> bool {
    std::env::var_os("SATELLITE_TEST_FULL").is_some_and(|value| value == "1")
}
