//! What the rooms of the daemon share: one value, made at the start, handed around.
//!
//! Whatever a reload may replace stands behind an [`ArcSwap`]; a request takes what it needs
//! once and keeps it to its end, so that it never sees half of a new configuration.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use daemon::drain::Drain;
use daemon::progress::{Progress, Stage};
use event::{Millis, Serial, TenantId, Vendor};
use store::lockdown::Lockdown;
use store::{Failure, Journal, Session, Want};
use tokio::sync::mpsc;

use crate::clock::HouseClock;
use crate::commands::Commands;
use crate::config::{Config, Unknown};
use crate::copies::CopiesStatus;
use crate::devices::{Devices, Known};
use crate::door::Crowd;
use crate::inputs;
use crate::metrics::Metrics;
use crate::outputs::Board;
use crate::outputs::signs::Signs;
use crate::pull;
use crate::refusals::Refusals;
use crate::stores::{Means, Stores};
use crate::tls::Tls;
use crate::trace::Trace;

/// Wishes that may wait for the registry.
const WISHES: usize = 64;
/// Longest that uploads may wait without any of them coming out. It lies well above the
/// writer's own deadline: a database that is down answers with a refusal long before.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// What the door wants from the keeper of the registry, off the path of requests.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Write down a serial that nobody enrolled.
    Pending {
        vendor: Vendor,
        serial: Serial,
        address: event::Text,
    },
    /// Enrol a serial, because unknown ones are accepted.
    Enrol {
        vendor: Vendor,
        serial: Serial,
        tenant: TenantId,
    },
}

/// Where terminals are awaited, once both doors are open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) devices: SocketAddr,
    pub(crate) devices_tls: Option<SocketAddr>,
}

/// Longest wait for a session of the registry.
const SESSION_WITHIN: Duration = Duration::from_secs(5);

/// Everything shared.
pub(crate) struct Hub {
    pub(crate) config: ArcSwap<Config>,
    pub(crate) stores: ArcSwap<Stores>,
    pub(crate) means: Means,
    /// Posts of devices that cannot be asked again, while their database is down.
    pub(crate) journal: Journal,
    /// The name under which leases are held: the same over restarts with one state folder.
    pub(crate) instance: String,
    /// The certificate of the door behind TLS, if there is one.
    pub(crate) tls: Option<Tls>,
    pub(crate) devices: Devices,
    /// What lockdowns hold, as it was last read.
    pub(crate) lockdowns: ArcSwap<Vec<Lockdown>>,
    /// How the copies stand, as it was last read; `None` where none are configured.
    pub(crate) copies: ArcSwap<Option<CopiesStatus>>,
    /// Commands to push terminals that have not ended.
    pub(crate) commands: Commands,
    /// How each output does.
    pub(crate) outputs: Board,
    /// How each input does.
    pub(crate) inputs: inputs::Board,
    /// Where signs of life wait for the program that ran before.
    pub(crate) signs: Signs,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) refusals: Refusals,
    pub(crate) trace: Trace,
    pub(crate) clock: HouseClock,
    pub(crate) crowd: Arc<Crowd>,
    pub(crate) progress: Progress,
    /// Uploads between their last byte and their answer.
    pub(crate) settling: Stage,
    pub(crate) drain: Drain,
    /// Room for the logs of terminals on port 4370 that are read at the same time.
    pub(crate) reading: pull::Room,
    pub(crate) wishes: mpsc::Sender<Wish>,
    /// Sockets of systemd may be elsewhere than the configuration says.
    pub(crate) addresses: OnceLock<Addresses>,
    pub(crate) started: Instant,
    pub(crate) started_at: Millis,
    requests: AtomicU64,
}

impl Hub {
    /// The shared value, and the end at which the keeper of the registry hears wishes.
    pub(crate) fn new(
        config: Config,
        means: Means,
        journal: Journal,
        instance: String,
        tls: Option<Tls>,
    ) -> (Arc<Self>, mpsc::Receiver<Wish>) {
        let (wishes, heard) = mpsc::channel(WISHES);
        let metrics = Arc::clone(&means.metrics);
        let progress = Progress::new();
        let hub = Self {
            stores: ArcSwap::from_pointee(Stores::open(&config, &means, None)),
            crowd: Arc::new(Crowd::new(&config.limits)),
            config: ArcSwap::from_pointee(config),
            means,
            journal,
            instance,
            tls,
            devices: Devices::new(),
            lockdowns: ArcSwap::default(),
            copies: ArcSwap::default(),
            commands: Commands::default(),
            outputs: Board::default(),
            inputs: inputs::Board::default(),
            signs: Signs::default(),
            refusals: Refusals::new(Arc::clone(&metrics)),
            metrics,
            trace: Trace::default(),
            clock: HouseClock::new(),
            settling: progress.stage("settle", SETTLE_LIMIT),
            progress,
            drain: Drain::new(),
            reading: pull::Room::default(),
            wishes,
            addresses: OnceLock::new(),
            started: Instant::now(),
            started_at: crate::clock::now(),
            requests: AtomicU64::new(first_id(crate::clock::now())),
        };
        (Arc::new(hub), heard)
    }

    /// Whether a lockdown stops what concerns this tenant; without one, what concerns terminals
    /// that nobody enrolled.
    pub(crate) fn is_locked(&self, tenant: Option<&TenantId>) -> bool {
        self.lockdowns.load().iter().any(|one| one.stops(tenant))
    }

    /// Does the work of a post: among what is under way until it is done, and when it was taken,
    /// counted by how long its sender waited.
    pub(crate) async fn settle<T, E>(
        &self,
        began: Instant,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let under_way = self.settling.begin(Instant::now());
        let done = work.await;
        under_way.finish(Instant::now());
        if done.is_ok() {
            self.metrics.acked(began.elapsed());
        }
        done
    }

    /// A terminal that nobody enrolled was seen. The first time it is enrolled for this tenant, where
    /// there is one, or else listed; when there is no room for that now, the next time is the first.
    pub(crate) fn unknown_is_seen(
        &self,
        (vendor, serial): (Vendor, &Serial),
        tenant: Option<&TenantId>,
        address: event::Text,
        at: Millis,
    ) {
        if !self.devices.first_sight(vendor, serial, at) {
            return;
        }
        let own = serial.clone();
        let wish = match tenant.cloned() {
            Some(tenant) => Wish::Enrol {
                vendor,
                serial: own,
                tenant,
            },
            None => Wish::Pending {
                vendor,
                serial: own,
                address,
            },
        };
        if self.wishes.try_send(wish).is_err() {
            self.devices.forget_pending(vendor, serial);
        }
    }

    /// A terminal that nobody enrolled, and that a sender of this tenant speaks for: it is enrolled for
    /// that tenant or listed, as `[enrolment]` says of unknown ones.
    pub(crate) fn unknown_is_named(
        &self,
        terminal: (Vendor, &Serial),
        tenant: &TenantId,
        address: event::Text,
        at: Millis,
    ) {
        let into = match &self.config.load().unknown {
            Unknown::Reject => return,
            Unknown::Accept(_) => Some(tenant),
            Unknown::Hold => None,
        };
        if self.is_locked(Some(tenant)) {
            return;
        }
        self.unknown_is_seen(terminal, into, address, at);
    }

    /// The approved devices that are dialled, the senders among them whose broker is, and whose
    /// events go into the store of that label.
    pub(crate) fn dialled(&self, label: &str) -> Vec<Arc<Known>> {
        let config = self.config.load();
        let mut known = self.in_store(label);
        known.retain(|known| known.is_dialled() || inputs::of(&config, known).is_some());
        known
    }

    /// The approved terminals whose events go into the store of that label.
    pub(crate) fn in_store(&self, label: &str) -> Vec<Arc<Known>> {
        let stores = self.stores.load();
        self.devices.all(|known| {
            let store = stores.of(&known.enrolment.tenant);
            known.may_post() && store.is_some_and(|store| store.label == label)
        })
    }

    /// A session of the registry's database, for a job or a change of enrolment.
    pub(crate) async fn registry_session(&self) -> Result<Session, Failure> {
        let config = self.config.load_full();
        let sessions = self.means.gate.sessions(config.registry_target());
        sessions.take(Want::Any, SESSION_WITHIN).await
    }

    /// The id of the next request or visit, for the log lines that belong to it. No other of
    /// this installation has it, also not before a restart.
    pub(crate) fn next_id(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }
}

/// Where ids begin: above all that an earlier start can have given out, unless it served more
/// than sixteen million requests a second.
fn first_id(started: Millis) -> u64 {
    u64::try_from(started.0 / 1000).unwrap_or_default() << 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_later_start_are_above_all_of_an_earlier_one() {
        let (first, later) = (Millis(1_795_273_200_000), Millis(1_795_273_201_000));
        assert!(first_id(later) - first_id(first) > 10_000_000);
        assert_eq!(first_id(Millis(-1_000)), 0);
    }
}
