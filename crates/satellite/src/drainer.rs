//! From the journal into the stores, oldest first, once a store answers again.
//!
//! A row leaves the journal only after its events were committed. What is cut short is simply
//! taken again: identity folds the repetition. Each store is drained by a task of its own, so
//! that one that hangs keeps nobody else's rows waiting. Only rows of one device have an order:
//! its rows go one after another, and devices go beside each other, because new posts queue
//! behind what waits and must not come faster than it leaves.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event::{DeviceId, Route, Vendor};
use store::{Refused, Submission};
use tokio::task::JoinSet;

use crate::hikvision::Intake;
use crate::hub::Hub;
use crate::stores::Store;
use crate::tally::{Aside, Tally};

/// How often there is a look whether something waits.
const EVERY: Duration = Duration::from_secs(2);

/// Runs until the end begins.
pub(crate) async fn run(hub: Arc<Hub>) {
    let end = hub.drain.token();
    let busy: Arc<Mutex<HashSet<String>>> = Arc::default();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = tick.tick() => {}
        }
        // Not by the number of events: a row may hold none, and others wait behind it.
        let waiting = hub.journal.labels();
        for store in hub.stores.load_full().list() {
            let label = store.label.clone();
            if !waiting.iter().any(|one| **one == *label) {
                continue;
            }
            let store = store.clone();
            if !lock(&busy).insert(label.clone()) {
                continue;
            }
            let (hub, busy) = (Arc::clone(&hub), Arc::clone(&busy));
            // Not waited for at the end: what it leaves is still in the journal.
            tokio::spawn(async move {
                drain(&hub, &store).await;
                lock(&busy).remove(&label);
            });
        }
    }
}

async fn drain(hub: &Arc<Hub>, store: &Store) {
    let label = &*store.label;
    let mut rows = 0;
    loop {
        let (ids, submissions) = match hub.journal.next(label).await {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, store = label, "the journal cannot be read");
                return;
            }
        };
        let mut settling = JoinSet::new();
        for waiting in by_device(ids, submissions) {
            settling.spawn(settle(Arc::clone(hub), store.clone(), waiting));
        }
        let mut refused = None;
        let mut done = Vec::new();
        while let Some(settled) = settling.join_next().await {
            match settled {
                Ok(settled) => {
                    done.extend(settled.ids);
                    rows += settled.events;
                    if let Some(error) = settled.refused {
                        refused = Some(error.to_string());
                    }
                }
                Err(error) => refused = Some(error.to_string()),
            }
        }
        if let Err(error) = hub.journal.done(&done).await {
            tracing::error!(%error, store = label, "settled rows stay in the journal; they will be folded");
            return;
        }
        if let Some(refused) = refused {
            tracing::debug!(refused, store = label, "the journal waits on");
            return;
        }
    }
    if rows > 0 {
        tracing::info!(
            store = label,
            events = rows,
            "the journal was emptied into the database"
        );
    }
}

/// Rows of each device in the order in which they came, with their numbers.
fn by_device(ids: Vec<i64>, submissions: Vec<Submission>) -> Vec<Vec<(i64, Submission)>> {
    let mut all: BTreeMap<DeviceId, Vec<(i64, Submission)>> = BTreeMap::new();
    for (id, submission) in ids.into_iter().zip(submissions) {
        let waiting = all.entry(submission.device.id).or_default();
        waiting.push((id, submission));
    }
    all.into_values().collect()
}

/// What became of the rows of one device.
#[derive(Default)]
struct Settled {
    /// Rows that may leave the journal.
    ids: Vec<i64>,
    /// Events in them.
    events: usize,
    /// Why the next one may not.
    refused: Option<Refused>,
}

async fn settle(hub: Arc<Hub>, store: Store, waiting: Vec<(i64, Submission)>) -> Settled {
    let mut settled = Settled::default();
    for (id, submission) in waiting {
        let events = submission.events.len();
        if let Err(refused) = hand_over(&hub, &store, submission).await {
            settled.refused = Some(refused);
            break;
        }
        settled.ids.push(id);
        settled.events += events;
    }
    settled
}

async fn hand_over(hub: &Arc<Hub>, store: &Store, submission: Submission) -> Result<(), Refused> {
    let device = Arc::clone(&submission.device);
    let received = submission.events.len();
    let aside = Aside::of(&submission.quarantined);
    let route = submission
        .events
        .first()
        .map_or(Route::Listen, |event| event.route);
    let known = hub.devices.find(device.vendor, &device.serial);
    let Some(known) = known.filter(|known| known.enrolment.id == device.id) else {
        // An enrolment that has ended meanwhile keeps its rows and is counted nowhere.
        return store.writer.submit(submission).await.map(drop);
    };
    let receipt = match device.vendor {
        Vendor::Hikvision => {
            let intake = Intake {
                hub: Arc::clone(hub),
                known: Arc::clone(&known),
                store: store.clone(),
                fence: None,
            };
            intake.drained(submission).await?
        }
        Vendor::Other | Vendor::Zkteco | Vendor::Satellite => {
            store.writer.submit(submission).await?
        }
    };
    let tally = Tally::of(hub, &known, route);
    tally.received(received);
    tally.committed(&receipt, aside);
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
