//! Which devices this process dials: one task for each, under a lease.
//!
//! Each store has a keeper of its own, so that a database that hangs stops the devices of its
//! tenants and no others: without a database that answers there is no lease, and what would be
//! fetched could not be stored. A device is dialled while its lease holds, its enrolment is
//! approved and has an address; when any of that ends, its task is dropped, which closes its
//! connections and gives back what it occupies in the device. What a visit does is its vendor's
//! room; nothing here knows a protocol.

mod link;
pub(crate) mod socket;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{DeviceId, Vendor};
use store::registry::Enrolment;
use store::{Fence, Target};
use tokio::task::{AbortHandle, JoinSet};
use tracing::Instrument;

use crate::devices::Known;
use crate::hub::Hub;
use crate::stores::Store;
use crate::{hikvision, inputs, pull};

pub(crate) use link::Link;

/// How often a keeper looks what changed.
const TURN: Duration = Duration::from_secs(1);
/// How often leases are renewed.
const RENEW: Duration = Duration::from_secs(8);
/// How long a lease lasts without being renewed.
const LEASE: Duration = Duration::from_secs(30);
/// Time before its end at which a lease counts as lost, so that no clock decides a race.
const MARGIN: Duration = Duration::from_secs(5);
/// Leases asked for at once, so that events do not wait behind them.
const AT_ONCE: usize = 100;

/// Dials devices until the end begins.
pub(crate) async fn run(hub: Arc<Hub>) {
    let end = hub.drain.token();
    let mut keepers: HashMap<String, (Target, AbortHandle)> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut turn = tokio::time::interval(TURN);
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            _ = turn.tick() => {}
        }
        let stores = hub.stores.load_full();
        keepers.retain(|label, (target, task)| {
            let same = stores
                .list()
                .iter()
                .any(|store| store.label == *label && store.target == *target);
            if !same {
                task.abort();
            }
            same
        });
        for store in stores.list() {
            if !keepers.contains_key(&store.label) {
                let keeper = Keeper::new(&hub, store);
                let task = tasks.spawn(keeper.run());
                keepers.insert(store.label.clone(), (store.target.clone(), task));
            }
        }
        while tasks.try_join_next().is_some() {}
    }
    // They hear the end as well, and give their leases back.
    while tasks.join_next().await.is_some() {}
}

/// A lease that is held.
#[derive(Clone, Copy)]
struct Held {
    fence: i64,
    until: Instant,
}

/// A device that is being dialled.
struct Visited {
    enrolment: Enrolment,
    fence: i64,
    task: AbortHandle,
}

/// Keeps the devices of one store.
struct Keeper {
    hub: Arc<Hub>,
    store: Store,
    held: HashMap<DeviceId, Held>,
    visited: HashMap<DeviceId, Visited>,
    tasks: JoinSet<()>,
    renewed: Option<Instant>,
}

impl Keeper {
    fn new(hub: &Arc<Hub>, store: &Store) -> Self {
        Self {
            hub: Arc::clone(hub),
            store: store.clone(),
            held: HashMap::new(),
            visited: HashMap::new(),
            tasks: JoinSet::new(),
            renewed: None,
        }
    }

    async fn run(mut self) {
        let end = self.hub.drain.token();
        let mut turn = tokio::time::interval(TURN);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Connections are closed first, so that the stores can end after them.
                () = end.cancelled() => break,
                _ = turn.tick() => self.turn().await,
            }
        }
        self.tasks.shutdown().await;
        let held: Vec<_> = self
            .held
            .iter()
            .map(|(id, held)| (*id, held.fence))
            .collect();
        if let Err(failure) = self.store.release_leases(&self.hub.instance, &held).await {
            tracing::debug!(%failure, store = %self.store.label, "leases end by themselves");
        }
    }

    async fn turn(&mut self) {
        let wanted = self.hub.dialled(&self.store.label);
        let is_due = self.renewed.is_none_or(|at| at.elapsed() >= RENEW);
        let is_new = wanted
            .iter()
            .any(|known| !self.held.contains_key(&known.enrolment.id));
        // A device that another satellite holds is asked for with the next renewal only.
        if is_due || (is_new && self.renewed.is_none_or(|at| at.elapsed() >= 2 * TURN)) {
            self.renew(&wanted).await;
        }
        let now = Instant::now();
        self.held.retain(|_, held| held.until > now);
        self.stop_what_ended(&wanted);
        for known in wanted {
            let id = known.enrolment.id;
            if let Some(held) = self.held.get(&id).copied()
                && !self.visited.contains_key(&id)
            {
                self.start(known, held.fence);
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Asks for all leases anew; those that are not answered for end at their time.
    async fn renew(&mut self, wanted: &[Arc<Known>]) {
        let asked = Instant::now();
        self.renewed = Some(asked);
        for some in wanted.chunks(AT_ONCE) {
            let ids: Vec<_> = some
                .iter()
                .map(|known| {
                    let id = known.enrolment.id;
                    (id, self.held.get(&id).map(|held| held.fence))
                })
                .collect();
            match self
                .store
                .keep_leases(&self.hub.instance, &ids, LEASE)
                .await
            {
                Ok(kept) => {
                    for (id, fence) in kept {
                        let until = asked + LEASE - MARGIN;
                        self.held.insert(id, Held { fence, until });
                    }
                }
                Err(failure) => {
                    tracing::debug!(%failure, store = %self.store.label, "no leases");
                    return;
                }
            }
        }
    }

    fn stop_what_ended(&mut self, wanted: &[Arc<Known>]) {
        let wanted: HashMap<DeviceId, &Enrolment> = wanted
            .iter()
            .map(|known| (known.enrolment.id, &known.enrolment))
            .collect();
        let held = &self.held;
        self.visited.retain(|id, visited| {
            let same = wanted
                .get(id)
                .is_some_and(|enrolment| **enrolment == visited.enrolment);
            let leased = held.get(id).is_some_and(|held| held.fence == visited.fence);
            if !(same && leased) {
                visited.task.abort();
            }
            same && leased
        });
    }

    fn start(&mut self, known: Arc<Known>, fence: i64) {
        let id = self.hub.next_id();
        let serial = &known.enrolment.serial;
        let span = tracing::info_span!("visit", id = %format_args!("{id:x}"), %serial);
        let visited = Visited {
            enrolment: known.enrolment.clone(),
            fence,
            task: self.tasks.spawn(
                visit(
                    Arc::clone(&self.hub),
                    Arc::clone(&known),
                    self.store.clone(),
                    Fence { number: fence },
                )
                .instrument(span),
            ),
        };
        self.visited.insert(known.enrolment.id, visited);
    }
}

/// Visits a device in its vendor's way, until it is dropped.
async fn visit(hub: Arc<Hub>, known: Arc<Known>, store: Store, fence: Fence) {
    match known.enrolment.vendor {
        Vendor::Hikvision => hikvision::visit(hub, known, store, fence).await,
        Vendor::Zkteco => pull::visit(hub, known, store, fence).await,
        Vendor::Other => inputs::visit(hub, known, store).await,
        // Such devices are never among those that are dialled.
        Vendor::Satellite => std::future::pending().await,
    }
}
