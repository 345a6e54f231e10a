//! What is written now and then: stamps to the mirror, what was last seen to `device_status`.
//!
//! Nothing a terminal waits for happens here. What cannot be written is kept and written
//! later; a database that is down costs a line in nobody's log, because its writer has already
//! said so.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use event::TenantId;
use store::status::DeviceState;

use crate::clock::now;
use crate::hub::Hub;

/// How often there is a look at what is due.
const EVERY: Duration = Duration::from_secs(3);
/// How often, in rounds, the system is asked whether its clock is synchronised.
const CLOCK_ROUNDS: u32 = 20;
/// Most rows handed to a writer at once.
const ROWS: usize = 500;

/// Runs until the end begins; the stamps are then saved once more by whoever ends everything.
pub(crate) async fn run(hub: Arc<Hub>) {
    let end = hub.drain.token();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut round = 0_u32;
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            _ = tick.tick() => {}
        }
        round = round.wrapping_add(1);
        if round.is_multiple_of(CLOCK_ROUNDS) {
            hub.clock.ask_system(hub.config.load().clock).await;
        }
        save_stamps(&hub).await;
        write_states(&hub).await;
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

async fn write_states(hub: &Hub) {
    let mut by_tenant: HashMap<TenantId, Vec<DeviceState>> = HashMap::new();
    for state in hub.devices.due_states(now()) {
        if let Some(tenant) = state.device.tenant.clone() {
            by_tenant.entry(tenant).or_default().push(state);
        }
    }
    let stores = hub.stores.load_full();
    for (tenant, states) in by_tenant {
        let Some(writer) = stores.writer(&tenant).cloned() else {
            continue;
        };
        // A store that hangs must not keep the others' rows waiting.
        tokio::spawn(async move {
            for rows in states.chunks(ROWS) {
                if let Err(refused) = writer.write_states(rows.to_vec()).await {
                    tracing::debug!(%tenant, %refused, "the status of terminals was not written");
                    return;
                }
            }
        });
    }
}
