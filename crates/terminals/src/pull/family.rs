//! The terminals on port 4370 of a fleet: made from the scenario's groups, fed by its schedule.
//!
//! Such a terminal cannot deliver: it has delivered when a client has read its log to the end,
//! and it goes on listening until the fleet stops.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::terminal::Terminal;
use crate::fleet::Shared;
use crate::random::draw;
use crate::scenario::{Scenario, ScenarioError};
use crate::schedule::{Schedule, UNITS};

/// How often a terminal that should be read is looked at.
const LOOK: Duration = Duration::from_millis(100);

const DRAW_SEED: u64 = 460;
const DRAW_PHASE: u64 = 461;

/// The terminals.
#[derive(Debug, Default)]
pub(crate) struct Terminals(pub(crate) Vec<Arc<Terminal>>);

impl Terminals {
    /// Starts all of them; their tasks end when they were read after the generation.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        shift_s: i64,
        tasks: &TaskTracker,
    ) -> Result<Self, ScenarioError> {
        let without_backlog = Scenario {
            backlog: 0,
            ..shared.scenario.clone()
        };
        let schedule = Arc::new(Schedule::new(&without_backlog));
        let (zone, seed) = (&shared.scenario.zone, shared.scenario.seed);
        let mut all = Vec::new();
        for group in &shared.scenario.pull {
            for n in 0..group.count {
                let place = u64::try_from(all.len()).unwrap_or(0);
                let options = group.terminal(n, zone, draw(seed, DRAW_SEED, place));
                let told = format!("{} on port {}", options.serial, options.port);
                let totals = (Arc::clone(&shared.tally.pull), shift_s);
                let terminal = Terminal::with(options, shared.ledger(), totals);
                let wrong = |why| ScenarioError::new(format!("pull: {told}: {why}"));
                let terminal = Arc::new(terminal.map_err(wrong)?);
                let phase = draw(seed, DRAW_PHASE, place) % UNITS;
                let (shared, schedule) = (Arc::clone(shared), Arc::clone(&schedule));
                tasks.spawn(feed(shared, schedule, Arc::clone(&terminal), phase));
                all.push(terminal);
            }
        }
        Ok(Self(all))
    }
}

/// Lets people in by the schedule, then waits until all of it was read.
async fn feed(shared: Arc<Shared>, schedule: Arc<Schedule>, terminal: Arc<Terminal>, phase: u64) {
    let whole = async {
        generate(&shared, &schedule, &terminal, phase).await?;
        shared.drain.cancelled().await;
        while terminal.unserved() > 0 {
            tokio::time::sleep(LOOK).await;
        }
        Ok::<(), io::Error>(())
    };
    tokio::select! {
        () = shared.stop.cancelled() => {}
        done = whole => {
            if let Err(why) = done {
                shared.tally.ledger_failed(&why);
                shared.stop.cancel();
            }
        }
    }
}

async fn generate(
    shared: &Shared,
    schedule: &Schedule,
    terminal: &Terminal,
    phase: u64,
) -> io::Result<()> {
    terminal.own_up().await?;
    let mut done = 0;
    loop {
        while done < schedule.count(shared.elapsed_ms(), phase) {
            terminal.next_punch().await?;
            done += 1;
        }
        let Some(due) = schedule.due_ms(done, phase) else {
            return Ok(());
        };
        if shared.drain.is_cancelled() {
            return Ok(());
        }
        tokio::select! {
            () = shared.drain.cancelled() => {}
            () = tokio::time::sleep_until(shared.instant(due)) => {}
        }
    }
}
