//! From the journal into the stores, oldest first, once a store answers again.
//!
//! A row leaves the journal only after its events were committed. What is cut short is simply
//! taken again: identity folds the repetition. Each store is drained by a task of its own, so
//! that one that hangs keeps nobody else's rows waiting.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event::Route;
use store::{Refused, Submission, Writer};

use crate::hub::Hub;
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
        // A submission without a row left may wait too, and holds back its device's next ones.
        if hub.journal.labels().is_empty() {
            continue;
        }
        for store in hub.stores.load_full().list() {
            let (label, writer) = (store.label.clone(), store.writer.clone());
            if !lock(&busy).insert(label.clone()) {
                continue;
            }
            let (hub, busy) = (Arc::clone(&hub), Arc::clone(&busy));
            // Not waited for at the end: what it leaves is still in the journal.
            tokio::spawn(async move {
                drain(&hub, &label, &writer).await;
                lock(&busy).remove(&label);
            });
        }
    }
}

async fn drain(hub: &Hub, label: &str, writer: &Writer) {
    let mut rows = 0;
    loop {
        let batch = match hub.journal.next(label).await {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, store = label, "the journal cannot be read");
                return;
            }
        };
        let (ids, submissions) = batch;
        for (id, submission) in ids.into_iter().zip(submissions) {
            let events = submission.events.len();
            if let Err(refused) = hand_over(hub, writer, submission).await {
                tracing::debug!(%refused, store = label, "the journal waits on");
                return;
            }
            if let Err(error) = hub.journal.done(&[id]).await {
                tracing::error!(%error, store = label, "a settled row stays in the journal; it will be folded");
                return;
            }
            rows += events;
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

async fn hand_over(hub: &Hub, writer: &Writer, submission: Submission) -> Result<(), Refused> {
    let device = Arc::clone(&submission.device);
    let received = submission.events.len();
    let aside = Aside::of(&submission.quarantined);
    let receipt = writer.submit(submission).await?;
    // An enrolment that has ended meanwhile keeps its rows and is counted nowhere.
    if let Some(known) = hub.devices.find(device.vendor, &device.serial)
        && known.enrolment.id == device.id
    {
        let tally = Tally::of(hub, &known, Route::Listen);
        tally.received(received);
        tally.committed(&receipt, aside);
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
