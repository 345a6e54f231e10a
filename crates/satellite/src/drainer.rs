//! From the journal into the stores, oldest first, once a store answers again.
//!
//! A row leaves the journal only after its events were committed. What is cut short is simply
//! taken again: identity folds the repetition. Each store is drained by a task of its own, so
//! that one that hangs keeps nobody else's rows waiting. Only rows of one device have an order:
//! those of a device go together, and devices go beside each other, because new posts queue
//! behind what waits and must not come faster than it leaves.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event::Route;
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
                Ok(Ok((ids, events))) => {
                    done.extend(ids);
                    rows += events;
                }
                Ok(Err(error)) => refused = Some(error.to_string()),
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

/// Rows of one device in the order in which they came, and their numbers.
struct Waiting {
    ids: Vec<i64>,
    submissions: Vec<Submission>,
}

fn by_device(ids: Vec<i64>, submissions: Vec<Submission>) -> Vec<Waiting> {
    let mut all: Vec<Waiting> = Vec::new();
    let mut places = HashMap::new();
    for (id, submission) in ids.into_iter().zip(submissions) {
        let place = *places.entry(submission.device.id).or_insert(all.len());
        if place == all.len() {
            all.push(Waiting {
                ids: Vec::new(),
                submissions: Vec::new(),
            });
        }
        if let Some(waiting) = all.get_mut(place) {
            waiting.ids.push(id);
            waiting.submissions.push(submission);
        }
    }
    all
}

/// Hands over what waits of one device; the numbers that may leave the journal, and how many
/// events they were.
async fn settle(
    hub: Arc<Hub>,
    store: Store,
    waiting: Waiting,
) -> Result<(Vec<i64>, usize), Refused> {
    let Waiting { ids, submissions } = waiting;
    let events = submissions.iter().map(|one| one.events.len()).sum();
    hand_over(&hub, &store, submissions).await?;
    Ok((ids, events))
}

async fn hand_over(
    hub: &Arc<Hub>,
    store: &Store,
    submissions: Vec<Submission>,
) -> Result<(), Refused> {
    let Some(first) = submissions.first() else {
        return Ok(());
    };
    let (id, device) = (first.device.id, Arc::clone(&first.device));
    let known = hub.devices.find(device.vendor, &device.serial);
    let Some(known) = known.filter(|known| known.enrolment.id == id) else {
        // An enrolment that has ended meanwhile keeps its rows and is counted nowhere.
        for submission in submissions {
            store.writer.submit(submission).await?;
        }
        return Ok(());
    };
    let events = submissions.iter().flat_map(|one| &one.events);
    let route = events.clone().next().map_or(Route::Listen, |one| one.route);
    let received = events.count();
    let aside: Vec<_> = submissions
        .iter()
        .flat_map(|one| &one.quarantined)
        .collect();
    let aside = Aside::of(aside);
    let intake = Intake {
        hub: Arc::clone(hub),
        known: Arc::clone(&known),
        store: store.clone(),
        fence: None,
    };
    let receipt = intake.drained(submissions).await?;
    let tally = Tally::of(hub, &known, route);
    tally.received(received);
    tally.committed(&receipt, aside);
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
