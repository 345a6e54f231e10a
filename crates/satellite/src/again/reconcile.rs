//! Reconciliation: every hour each terminal that pushes is asked how much it holds, and what it
//! holds and we do not is asked for again.
//!
//! Dialled devices need none of this: their log, or their serials, are read to the end all the
//! time. Here stands when a terminal's turn comes, how many turns there are at once, and what
//! brings one forward: a first contact, a store that was away, a clock that was set, an older
//! copy of a database. What a turn does is in `compare`. Nothing here decides about a record.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use event::{DeviceId, Millis};
use store::Failure;
use tokio::task::JoinSet;

use super::compare::{Compare, Outcome};
use super::epochs::Epochs;
use super::{audit, pushes};
use crate::clock;
use crate::hub::Hub;
use crate::stores::Store;

/// How often there is a look at whose turn it is.
const EVERY: Duration = Duration::from_secs(1);
/// From one comparison of a terminal to the next, in milliseconds.
const INTERVAL: i64 = 3_600_000;
/// After one that failed.
const RETRY: i64 = 600_000;
/// After the first one: what was too new for it may have been lost before the start.
const SECOND: i64 = 300_000;
/// From the first contact to the first comparison: what it has not sent yet comes first.
const SETTLES: i64 = 20_000;
/// By how much first comparisons are spread for each terminal, so that a start with thousands
/// does not ask all of them at once.
const SPREAD: i64 = 250;
/// Terminals compared at once.
const AT_ONCE: usize = 48;

/// Compares until the end begins.
pub(crate) async fn run(hub: Arc<Hub>) {
    let end = hub.drain.token();
    let mut rounds = Rounds {
        hub,
        up: HashMap::new(),
        read: HashSet::new(),
        epochs: Epochs::default(),
        busy: HashSet::new(),
        working: JoinSet::new(),
    };
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = tick.tick() => {}
        }
        tokio::select! {
            () = end.cancelled() => return,
            () = rounds.turn() => {}
        }
    }
}

struct Rounds {
    hub: Arc<Hub>,
    /// Whether each store took events when it was last looked at.
    up: HashMap<String, bool>,
    /// Stores whose windows are known here.
    read: HashSet<String>,
    epochs: Epochs,
    /// Terminals that are being compared.
    busy: HashSet<DeviceId>,
    /// Ends with this: a comparison may wait long for its terminal.
    working: JoinSet<DeviceId>,
}

impl Rounds {
    async fn turn(&mut self) {
        while let Some(done) = self.working.try_join_next() {
            if let Ok(device) = done {
                self.busy.remove(&device);
            }
        }
        if self.working.is_empty() {
            // Also after a panic in one of them.
            self.busy.clear();
        }
        let stores = self.hub.stores.load_full();
        for store in stores.list() {
            if let Err(failure) = self.look_at(store).await {
                tracing::debug!(store = %store.label, %failure, "a store does not say what is missing");
            }
        }
        self.start();
    }

    /// What a store's return, or an older copy of it, means for its terminals.
    async fn look_at(&mut self, store: &Store) -> Result<(), Failure> {
        let up = store.writer.report().up;
        let before = self.up.insert(store.label.clone(), up);
        if !up {
            return Ok(());
        }
        let of_store = self.hub.in_store(&store.label);
        if before == Some(false) {
            let now = clock::now();
            for (place, known) in (0_i64..).zip(&of_store) {
                known.audit().whole_soon(Millis(now.0 + SPREAD * place));
            }
        }
        if self.epochs.look(&self.hub, store, &of_store).await? {
            self.read.remove(&store.label);
        }
        if !self.read.contains(&store.label) {
            let found = store.all_assured().await?;
            for known in &of_store {
                let of = found.get(&known.enrolment.id).cloned().unwrap_or_default();
                known.audit().begin_anew(of.0, of.1);
                audit::tell(&self.hub, known);
            }
            self.read.insert(store.label.clone());
        }
        Ok(())
    }

    /// Begins the comparisons whose time has come.
    fn start(&mut self) {
        let now = clock::now();
        let terminals = self
            .hub
            .devices
            .all(|known| pushes(known) && !known.enrolment.canary && known.is_online(now));
        let stores = self.hub.stores.load_full();
        let all = i64::try_from(terminals.len()).unwrap_or(i64::MAX);
        for known in terminals {
            if self.working.len() >= AT_ONCE {
                return;
            }
            let device = known.enrolment.id;
            let first = || first_turn(device, all, now);
            let due = *known.audit().state().due.get_or_insert_with(first);
            if due > now || self.busy.contains(&device) {
                continue;
            }
            let Some(store) = stores.of(&known.enrolment.tenant).cloned() else {
                continue;
            };
            // Before its windows are known, nothing can be said of what is missing.
            if !self.read.contains(&store.label) || !store.writer.report().up {
                continue;
            }
            self.busy.insert(device);
            let compare = Compare::new(Arc::clone(&self.hub), known, store);
            self.working.spawn(async move {
                one(&compare).await;
                device
            });
        }
    }
}

/// When a terminal's first turn is: soon, each at another moment of a time that grows with the
/// fleet.
fn first_turn(device: DeviceId, terminals: i64, now: Millis) -> Millis {
    let [high, low, ..] = device.0;
    let place = i64::from(u16::from_be_bytes([high, low]));
    let spread = terminals.saturating_mul(SPREAD).min(INTERVAL);
    Millis(now.0 + SETTLES + place * spread / i64::from(u16::MAX))
}

/// One turn of one terminal.
async fn one(compare: &Compare) {
    let known = &compare.known;
    let usual = {
        let mut state = known.audit().state();
        // What asks for a turn while this one lasts is not overwritten by its end.
        state.due = Some(Millis(i64::MAX));
        let is_first = state.turns == 0;
        state.turns = state.turns.saturating_add(1);
        if is_first { SECOND } else { INTERVAL }
    };
    let (outcome, pause) = match compare.run().await {
        Ok(outcome) => (outcome, usual),
        Err(why) => {
            tracing::debug!(serial = %known.enrolment.serial, %why, "a terminal was not compared");
            (Outcome::Failed, RETRY)
        }
    };
    compare.hub.metrics.reconciled(outcome);
    let now = clock::now();
    let mut state = known.audit().state();
    state.unproven = outcome == Outcome::Unproven;
    let next = Millis(now.0 + pause);
    state.due = Some(state.due.map_or(next, |due| due.min(next)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_turns_of_a_large_fleet_are_spread_and_none_waits_longer_than_an_hour() {
        let at = |id: u8, fleet| first_turn(DeviceId([id; 16]), fleet, Millis(0)).0;
        assert_eq!(at(0, 5_000), SETTLES);
        assert!(at(255, 5_000) <= SETTLES + 5_000 * SPREAD);
        assert!(at(128, 5_000) > SETTLES + 5_000 * SPREAD / 3);
        assert!(at(255, 10_000_000) <= SETTLES + INTERVAL);
        assert!(at(255, 1) <= SETTLES + SPREAD);
    }
}
