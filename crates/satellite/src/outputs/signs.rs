//! Signs of life of terminals, repeated to the program that ran before.
//!
//! While both run, the old program shows as switched off whatever it does not hear of. So the greetings
//! and polls that a terminal was answered go to it as well, as they came and without a body, from a
//! queue in memory: a sign that finds no room, or whose receiver did not answer a moment ago, is left
//! out and counted. Records do not go this way; they go out of the feed ([`super::forward`]). What must
//! never happen here: a request that waits for this; an answer of the old receiver that is looked at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use event::TenantId;
use fetch::Fetch;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::Old;
use crate::hub::Hub;

/// Signs that may wait; each is one line of a request, at most 8 KiB.
const WAITING: usize = 256;
/// Signs under way at the same time.
const AT_ONCE: usize = 16;
/// Longest that one may take.
const WITHIN: Duration = Duration::from_secs(5);
/// A receiver that did not answer hears nothing for so long.
const PAUSE: Duration = Duration::from_secs(15);

/// One sign of life.
#[derive(Debug)]
struct Sign {
    tenant: TenantId,
    old: Old,
    path: String,
}

/// Where the door leaves them, and where they come out once.
pub(crate) struct Signs {
    left: mpsc::Sender<Sign>,
    waiting: Mutex<Option<mpsc::Receiver<Sign>>>,
}

impl Default for Signs {
    fn default() -> Self {
        let (left, waiting) = mpsc::channel(WAITING);
        Self {
            left,
            waiting: Mutex::new(Some(waiting)),
        }
    }
}

/// Leaves a sign, without waiting, when the tenant has a program that ran before.
pub(crate) fn leave(hub: &Hub, tenant: &TenantId, path: &str) {
    let config = hub.config.load();
    let Some(old) = config
        .tenant(tenant)
        .and_then(|tenant| tenant.forward.as_ref())
    else {
        return;
    };
    let sign = Sign {
        tenant: tenant.clone(),
        old: old.clone(),
        path: path.to_owned(),
    };
    if hub.signs.left.try_send(sign).is_err() {
        left_out(hub, tenant);
    }
}

fn left_out(hub: &Hub, tenant: &TenantId) {
    let counter = &hub.metrics.signs_left_out;
    counter.with_label_values(&[tenant.as_str()]).inc();
}

/// Repeats what is left, until the end begins.
pub(crate) async fn run(hub: Arc<Hub>) {
    let waiting = &hub.signs.waiting;
    let waiting = waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let Some(mut waiting) = waiting else { return };
    let end = hub.drain.token();
    let mut under_way: JoinSet<(TenantId, bool)> = JoinSet::new();
    let mut silent: HashMap<TenantId, Instant> = HashMap::new();
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            Some(Ok((tenant, answered))) = under_way.join_next() => {
                if answered {
                    silent.remove(&tenant);
                } else {
                    left_out(&hub, &tenant);
                    silent.insert(tenant, Instant::now());
                }
            }
            Some(sign) = waiting.recv(), if under_way.len() < AT_ONCE => {
                let since = silent.get(&sign.tenant);
                if since.is_some_and(|since| since.elapsed() < PAUSE) {
                    left_out(&hub, &sign.tenant);
                } else {
                    under_way.spawn(repeat(sign));
                }
            }
        }
    }
}

/// Repeats one; whether anybody answered.
async fn repeat(sign: Sign) -> (TenantId, bool) {
    let sent = Fetch::get(sign.old.url.join(&sign.path))
        .only_public(!sign.old.allow_internal)
        .within(WITHIN)
        .limit(0)
        .send()
        .await;
    (sign.tenant, sent.is_ok())
}
