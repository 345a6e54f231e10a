//! Stored events on their way to others: one reader for each `[[output]]` of the configuration.
//!
//! A reader follows the feed of its tenant's store as any other program could, behind the commit
//! and never on the way to an acknowledgement. Its cursor in that database is the queue: what a
//! receiver did not take is not kept anywhere else, it is read again. So a receiver that is down
//! costs a number, not memory or disk, and a kill at any moment repeats at most what was under way.
//!
//! Each reader is a task of its own with one delivery under way; it holds no database session while
//! it waits for a receiver, and of one server's sessions all readers together use a few. What must
//! never happen here: a row passed over, a write to an event, one receiver's delay felt by another.

mod board;
mod carrier;
mod course;
mod edge;
mod folder;
mod forward;
mod mqtt;
mod reader;
mod shape;
mod sheet;
pub(crate) mod signs;
mod table;
mod webhook;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use board::OutputStatus;
pub(crate) use board::{Board, State};
pub use course::stands_after;
pub use edge::{Looked, Unfit, look as look_at_edge};
pub use folder::look as look_at_folder;
pub use shape::{event_json, utc};
pub use sheet::{csv_head, csv_rows, guarded, json_row};
pub use table::look as look_at_table;

use crate::config::Output;
use crate::hub::Hub;
use reader::Reader;

/// How often the configuration is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Readers of one server that ask it something at the same time.
const AT_ONCE: usize = 4;

/// Turns at each database server.
#[derive(Default)]
struct Lanes(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Lanes {
    fn of(&self, server: &str) -> Arc<Semaphore> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry(server.to_owned());
        Arc::clone(lane.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
    }
}

/// A reader that was started.
struct Started {
    output: Output,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Keeps a reader for each output of the configuration in force, until the end begins.
pub(crate) async fn run(hub: Arc<Hub>) {
    let end = hub.drain.token();
    let lanes = Arc::new(Lanes::default());
    let mut started: Vec<Started> = Vec::new();
    loop {
        let config = hub.config.load_full();
        started.retain(|one| {
            let goes_on = config.outputs.contains(&one.output) && !one.task.is_finished();
            if !goes_on {
                one.stop.cancel();
                hub.outputs.forget(&one.output.name);
            }
            goes_on
        });
        for output in &config.outputs {
            if started.iter().all(|one| one.output != *output) {
                started.push(start(&hub, output, &lanes, end.child_token()));
            }
        }
        tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn start(hub: &Arc<Hub>, output: &Output, lanes: &Arc<Lanes>, stop: CancellationToken) -> Started {
    let reader = Reader::new(hub, output.clone(), lanes, stop.clone());
    Started {
        output: output.clone(),
        stop,
        task: hub.drain.spawn(reader.run()),
    }
}
