//! How each input does, in memory, for `/status` and the metrics.
//!
//! Written by the task that listens, read by the operators' door, which waits for no database. An
//! input that no task of this process listens to has no entry; why not is told from what is known of
//! its sender.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use event::{Millis, Vendor};
use serde::Serialize;

use crate::config::Input;
use crate::detail::spanish;
use crate::hub::Hub;
use crate::outputs::stands_after;

/// One input, as `/status` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct InputStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Whose records come.
    pub tenant: String,
    /// `mqtt`.
    pub kind: &'static str,
    /// The broker's host and port.
    pub place: String,
    /// The enrolled sender.
    pub sender: String,
    /// `fine`, `failing` (the broker is not reached or does not let us listen), `standing` (failing
    /// for ten minutes and more: somebody has to look), `store` (the database takes nothing),
    /// `unenrolled` (the sender is not enrolled for this tenant, or blocked), `starting` (nobody
    /// listens yet, or another satellite does).
    pub state: &'static str,
    /// Since when the broker is not reached, UTC.
    pub failing_since: Option<String>,
    /// Why.
    pub trouble: Option<String>,
    /// The same in Spanish, where it is known.
    pub trouble_es: Option<String>,
    /// When the last message was settled, UTC.
    pub last_message_at: Option<String>,
}

/// What is known of one input while a task listens.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// The broker has agreed to the subscriptions, and the connection stands.
    pub(super) is_up: bool,
    pub(super) failing_since: Option<Millis>,
    pub(super) trouble: Option<String>,
    pub(super) last_message: Option<Millis>,
}

/// All of them, by name.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<BTreeMap<String, Seen>>);

impl Board {
    /// Changes what is known of one.
    pub(super) fn note(&self, name: &str, change: impl FnOnce(&mut Seen)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(name.to_owned()).or_default());
    }

    /// Nobody listens any more.
    pub(super) fn forget(&self, name: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(name);
    }

    fn seen(&self, name: &str) -> Option<Seen> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).cloned()
    }
}

/// How an input does.
pub(crate) fn status(hub: &Hub, input: &Input, now: Millis) -> InputStatus {
    let seen = hub.inputs.seen(&input.name);
    let state = state(hub, input, seen.as_ref(), now);
    let seen = seen.unwrap_or_default();
    InputStatus {
        name: input.name.clone(),
        tenant: input.tenant.to_string(),
        kind: "mqtt",
        place: input.link.place(),
        sender: input.sender.to_string(),
        state,
        failing_since: seen.failing_since.map(Millis::text),
        trouble_es: seen.trouble.as_deref().and_then(spanish),
        trouble: seen.trouble,
        last_message_at: seen.last_message.map(Millis::text),
    }
}

fn state(hub: &Hub, input: &Input, seen: Option<&Seen>, now: Millis) -> &'static str {
    let known = hub.devices.find(Vendor::Other, &input.sender);
    let is_its =
        known.is_some_and(|known| known.enrolment.tenant == input.tenant && known.may_post());
    if !is_its {
        return "unenrolled";
    }
    let stores = hub.stores.load();
    let is_store_up = |store: &crate::stores::Store| store.writer.report().up;
    if !stores.of(&input.tenant).is_some_and(is_store_up) {
        return "store";
    }
    seen.map_or("starting", |seen| word(seen, now))
}

fn word(seen: &Seen, now: Millis) -> &'static str {
    let long = i64::try_from(stands_after().as_millis()).unwrap_or(i64::MAX);
    match seen.failing_since {
        Some(since) if now.0.saturating_sub(since.0) >= long => "standing",
        Some(_) => "failing",
        None if seen.is_up => "fine",
        None => "starting",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_whose_broker_is_away_for_ten_minutes_stands_still() {
        let mut seen = Seen::default();
        assert_eq!(word(&seen, Millis(0)), "starting");
        seen.is_up = true;
        assert_eq!(word(&seen, Millis(0)), "fine");
        seen.failing_since = Some(Millis(0));
        assert_eq!(word(&seen, Millis(599_999)), "failing");
        assert_eq!(word(&seen, Millis(600_000)), "standing");
    }
}
