//! From the journal into the stores, oldest first, once a store answers again.
//!
//! A row leaves the journal only after its events were committed. What is cut short is simply
//! taken again: identity folds the repetition. Each store is drained by a task of its own, so
//! that one that hangs keeps nobody else's rows waiting. Devices go beside each other, because
//! new posts queue behind what waits and must not come faster than it leaves; only rows of one
//! device have an order.
//!
//! Where a commit is slow, rows of one device that went one by one would leave more slowly than
//! they came. So they go in runs: rows that follow each other become one submission. That is safe:
//! - a run is in the store whole or not at all, and its rows leave the journal once it is there;
//! - its events stand, and get their numbers, in the order of the rows; of one cursor the last
//!   value counts, and runs of a device go one after another;
//! - no row brings a claim of its own into a run: they share device, lease and route, and what a
//!   submission expects of a cursor is not kept in the journal;
//! - a record that the database refuses is set aside alone, by the writer; what refuses a whole
//!   submission holds its run and all behind it, which are tried again.

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
/// Most records of a run, unless one row alone has more: so few that a distant database takes
/// them within the writer's deadline also one by one, as it has to beside a record that it refuses.
const RUN: usize = 100;

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
        for runs in by_device(ids, submissions) {
            settling.spawn(settle(Arc::clone(hub), store.clone(), runs));
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

/// Rows of the journal that are handed over together.
struct Run {
    ids: Vec<i64>,
    submission: Submission,
}

impl Run {
    fn takes(&self, next: &Submission) -> bool {
        let claims = |one: &Submission| (Arc::clone(&one.device), one.fence, route(one));
        let records = |one: &Submission| one.events.len() + one.quarantined.len();
        claims(&self.submission) == claims(next) && records(&self.submission) + records(next) <= RUN
    }

    fn take(&mut self, id: i64, next: Submission) {
        self.ids.push(id);
        self.submission.events.extend(next.events);
        self.submission.quarantined.extend(next.quarantined);
        self.submission.cursors.extend(next.cursors);
    }
}

/// The runs of each device in the order in which their rows came.
fn by_device(ids: Vec<i64>, submissions: Vec<Submission>) -> Vec<Vec<Run>> {
    let mut all: BTreeMap<DeviceId, Vec<Run>> = BTreeMap::new();
    for (id, submission) in ids.into_iter().zip(submissions) {
        let runs = all.entry(submission.device.id).or_default();
        match runs.last_mut().filter(|last| last.takes(&submission)) {
            Some(last) => last.take(id, submission),
            None => runs.push(Run {
                ids: vec![id],
                submission,
            }),
        }
    }
    all.into_values().collect()
}

fn route(submission: &Submission) -> Route {
    let first = submission.events.first();
    first.map_or(Route::Listen, |event| event.route)
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

async fn settle(hub: Arc<Hub>, store: Store, runs: Vec<Run>) -> Settled {
    let mut settled = Settled::default();
    for run in runs {
        let events = run.submission.events.len();
        if let Err(refused) = hand_over(&hub, &store, run.submission).await {
            settled.refused = Some(refused);
            break;
        }
        settled.ids.extend(run.ids);
        settled.events += events;
    }
    settled
}

async fn hand_over(hub: &Arc<Hub>, store: &Store, submission: Submission) -> Result<(), Refused> {
    let device = Arc::clone(&submission.device);
    let received = submission.events.len();
    let aside = Aside::of(&submission.quarantined);
    let route = route(&submission);
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

#[cfg(test)]
mod tests {
    use event::{Device, Serial, Text, Zone};
    use store::Fence;

    use super::*;

    fn waiting(serial: u8, cursor: &'static str) -> Submission {
        Submission {
            device: Arc::new(Device {
                id: DeviceId([serial; 16]),
                tenant: None,
                vendor: Vendor::Other,
                serial: Serial::new(&format!("SENDER{serial}")).unwrap(),
                name: None,
                site: None,
                zone: Zone::utc(),
                canary: false,
            }),
            events: Vec::new(),
            quarantined: Vec::new(),
            cursors: vec![(Text::const_new("at"), Text::const_new(cursor))],
            expects: None,
            fence: None,
        }
    }

    #[test]
    fn only_rows_that_make_the_same_claims_are_handed_over_together() {
        let fenced = Submission {
            fence: Some(Fence { number: 3 }),
            ..waiting(1, "d")
        };
        let mut renamed = waiting(1, "f");
        Arc::make_mut(&mut renamed.device).name = Some(Text::const_new("Gate"));
        let rows = vec![
            waiting(1, "a"),
            waiting(2, "b"),
            waiting(1, "c"),
            fenced,
            waiting(1, "e"),
            renamed,
        ];
        let runs = by_device((1..=6).collect(), rows);
        let ids: Vec<Vec<&[i64]>> = runs
            .iter()
            .map(|runs| runs.iter().map(|run| &*run.ids).collect())
            .collect();
        assert_eq!(ids, [vec![&[1, 3][..], &[4], &[5], &[6]], vec![&[2]]]);
        let values = runs[0][0].submission.cursors.iter();
        let values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["a", "c"]);
    }
}
