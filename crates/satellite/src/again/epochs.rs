//! After a store was found to be an older copy: the window that the copy lacks is written down
//! as missing for every terminal that pushes, so that it is asked for until it has come.
//!
//! Devices that are dialled need no asking: what was read of them is a cursor in the same copy.
//! A terminal that pushes has forgotten that it sent its records; only a command brings them
//! again. The window begins with what the copy has last, of the feed or of the terminal,
//! whichever is earlier, because a terminal may have delivered old records late. What the copy
//! says of completeness is as old as its rows, so that a process which ends before this was
//! written still finds the difference with its first comparison.

use std::collections::HashMap;
use std::sync::Arc;

use event::{Millis, Text};
use store::Failure;
use store::assurance::{Missing, WindowState};

use super::pushes;
use crate::clock;
use crate::detail::{Detail, Says};
use crate::devices::Known;
use crate::hub::Hub;
use crate::stores::Store;

/// What is asked for beyond the copy's last rows, in milliseconds: clocks differ, and a row may
/// have waited for its commit.
const MARGIN: i64 = 10 * 60_000;

/// Which new epochs were dealt with, by the store's label.
#[derive(Default)]
pub(super) struct Epochs(HashMap<String, u64>);

impl Epochs {
    /// Notes a window for each terminal of a store that has a new epoch since the last look;
    /// true when it has.
    pub(super) async fn look(
        &mut self,
        hub: &Hub,
        store: &Store,
        terminals: &[Arc<Known>],
    ) -> Result<bool, Failure> {
        let opened = hub.metrics.epochs.with_label_values(&[&store.label]).get();
        let handled = self.0.entry(store.label.clone()).or_default();
        if opened == *handled {
            return Ok(false);
        }
        note_all(store, terminals).await?;
        *handled = opened;
        Ok(true)
    }
}

async fn note_all(store: &Store, terminals: &[Arc<Known>]) -> Result<(), Failure> {
    let now = clock::now();
    let copy = store.before_epoch().await?;
    let asked: Vec<&Arc<Known>> = terminals
        .iter()
        .filter(|known| pushes(known) && !known.enrolment.canary)
        .collect();
    let window = |known: &&Arc<Known>| {
        let device = known.enrolment.id;
        let of_terminal = copy.last_events.get(&device).copied();
        let enrolled = known.enrolment.created_at;
        Missing {
            device,
            begins_at: begins(copy.last_row, of_terminal, enrolled),
            ends_at: now,
            state: WindowState::Open,
            device_count: None,
            stored_count: None,
            detail: Text::new(Detail::from(Says::CopyRestored).as_str()),
            found_at: now,
            changed_at: now,
        }
    };
    let windows: Vec<Missing> = asked.iter().map(window).collect();
    store.note_missing(&windows).await?;
    for known in &asked {
        // What was said of the database that is gone is not said of this one.
        known.facts().assured = None;
        known.audit().whole_soon(now);
    }
    tracing::info!(store = %store.label, terminals = asked.len(), "terminals are asked for what this copy of the store lacks");
    Ok(())
}

/// Where the window of one terminal begins.
fn begins(last_row: Option<Millis>, of_terminal: Option<Millis>, enrolled: Millis) -> Millis {
    let known = match (last_row, of_terminal) {
        (Some(row), Some(its)) => row.min(its),
        (Some(row), None) => row.min(enrolled),
        (None, _) => enrolled,
    };
    Millis(known.0.saturating_sub(MARGIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_with_what_the_copy_has_last_of_feed_and_terminal() {
        let at = |minutes: i64| Millis(minutes * 60_000);
        assert_eq!(begins(Some(at(90)), Some(at(80)), at(0)), at(70));
        assert_eq!(begins(Some(at(90)), Some(at(95)), at(0)), at(80));
        assert_eq!(begins(Some(at(90)), None, at(50)), at(40));
        assert_eq!(begins(None, None, at(50)), at(40));
    }
}
