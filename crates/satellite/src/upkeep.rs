//! What is written, and read, now and then: stamps to the mirror, what was last seen to `device_status`,
//! changes of firmware; and the conditions that follow from what was seen.
//!
//! Nothing a terminal waits for happens here. What cannot be written is kept and written
//! later; a database that is down costs a line in nobody's log, because its writer has already
//! said so.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use event::TenantId;
use store::Writer;

use crate::clock::now;
use crate::conditions::{self, Condition};
use crate::copies;
use crate::detail::{Detail, Says};
use crate::devices::Known;
use crate::firmware;
use crate::hub::Hub;
use crate::skew::{Means, TOO_MUCH};

/// How often there is a look at what is due.
const EVERY: Duration = Duration::from_secs(3);
/// How often, in rounds, the system is asked whether its clock is synchronised.
const CLOCK_ROUNDS: u32 = 20;
/// Most rows handed to a writer at once.
const ROWS: usize = 500;
/// How often, in rounds, terminals are looked at for what follows from their facts.
const LOOK_ROUNDS: u32 = 2;
/// How often, in rounds, the file about copies is read.
const COPIES_ROUNDS: u32 = 3;
/// A log that is filled beyond this share, in percent, is nearly full; below the second it is
/// no longer.
const FULL: (i64, i64) = (80, 75);

/// Runs until the end begins; the stamps are then saved once more by whoever ends everything.
pub(crate) async fn run(hub: Arc<Hub>) {
    let end = hub.drain.token();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut round = 0_u32;
    copies::look(&hub).await;
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            _ = tick.tick() => {}
        }
        round = round.wrapping_add(1);
        if round.is_multiple_of(CLOCK_ROUNDS) {
            hub.clock.ask_system(hub.config.load().clock).await;
        }
        if round.is_multiple_of(COPIES_ROUNDS) {
            copies::look(&hub).await;
        }
        save_stamps(&hub).await;
        write_states(&hub);
        write_silences(&hub);
        if round.is_multiple_of(LOOK_ROUNDS) {
            firmware::note_changes(&hub);
            for known in hub.devices.all(Known::may_post) {
                look(&hub, &known);
            }
        }
    }
}

/// Writes the stamps that moved since the last time to the mirror.
pub(crate) async fn save_stamps(hub: &Hub) {
    let unsaved = hub.devices.take_unsaved();
    if unsaved.is_empty() {
        return;
    }
    if let Err(failure) = hub.means.mirror.save_stamps(&unsaved).await {
        tracing::warn!(%failure, "the stamps on disk are out of date");
        hub.devices.not_saved(&unsaved);
    }
}

fn write_states(hub: &Hub) {
    let due = hub.devices.due_states(now()).into_iter();
    let due = due.filter_map(|state| Some((state.device.tenant.clone()?, state)));
    to_each_store(hub, due, |tenant, writer, states| async move {
        for rows in states.chunks(ROWS) {
            if let Err(refused) = writer.write_states(rows.to_vec()).await {
                tracing::debug!(%tenant, %refused, "the status of terminals was not written");
                return;
            }
        }
    });
}

fn write_silences(hub: &Hub) {
    let due = hub.devices.due_silences(hub.started_at, now()).into_iter();
    let due = due.map(|(known, silence)| (known.enrolment.tenant.clone(), (known, silence)));
    to_each_store(hub, due, |tenant, writer, silent| async move {
        for some in silent.chunks(ROWS) {
            let rows = some.iter().map(|(_, silence)| silence.clone()).collect();
            if let Err(refused) = writer.write_silences(rows).await {
                tracing::debug!(%tenant, %refused, "silent terminals were not written");
                some.iter()
                    .for_each(|(known, _)| known.silence_was_refused());
            }
        }
    });
}

/// Hands what is due to each tenant's writer, in a task of its own: a store that hangs must not
/// keep the others' rows waiting.
fn to_each_store<R, W>(
    hub: &Hub,
    due: impl Iterator<Item = (TenantId, R)>,
    write: impl Fn(TenantId, Writer, Vec<R>) -> W,
) where
    W: Future<Output = ()> + Send + 'static,
{
    let mut by_tenant: HashMap<TenantId, Vec<R>> = HashMap::new();
    for (tenant, row) in due {
        by_tenant.entry(tenant).or_default().push(row);
    }
    let stores = hub.stores.load_full();
    for (tenant, rows) in by_tenant {
        if let Some(writer) = stores.writer(&tenant).cloned() {
            tokio::spawn(write(tenant, writer, rows));
        }
    }
}

/// What an operator should hear of a terminal's log and clock.
fn look(hub: &Hub, known: &Known) {
    conditions::expire(known);
    let (fill, skew) = {
        let facts = known.facts();
        let fill = facts.log_used.zip(facts.log_capacity);
        (fill, facts.skew.seconds(now()))
    };
    match fill.filter(|(_, capacity)| *capacity > 0) {
        Some((used, capacity)) if used.saturating_mul(100) >= capacity.saturating_mul(FULL.0) => {
            let detail = Says::Fill.with(&[&used, &capacity]);
            conditions::raise(hub, known, Condition::LogNearlyFull, detail);
        }
        Some((used, capacity)) if used.saturating_mul(100) < capacity.saturating_mul(FULL.1) => {
            conditions::clear(known, Condition::LogNearlyFull);
        }
        _ => {}
    }
    match skew {
        Some((ahead, means)) if ahead.abs() > TOO_MUCH => {
            conditions::raise(hub, known, Condition::ClockSkew, clock_words(ahead, means));
        }
        Some(_) => {
            if known.conditions().since(Condition::ClockSkew).is_some() {
                // What it wrote by a wrong clock may stand where nobody looked.
                known.audit().whole_soon(now());
            }
            conditions::clear(known, Condition::ClockSkew);
        }
        // A clock of which nothing is known any more is not known to be right.
        None => {}
    }
}

fn clock_words(ahead: i64, means: Means) -> Detail {
    let says = match (ahead > 0, means) {
        (true, Means::Read) => Says::ClockAhead,
        (false, Means::Read) => Says::ClockBehind,
        (true, Means::Records) => Says::CameBefore,
        (false, Means::Records) => Says::CameLate,
    };
    says.with(&[&ahead.unsigned_abs()])
}
