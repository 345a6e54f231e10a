//! What is written down of a terminal now and then: its inventory, its state, its assurance.
//!
//! A row is due at most once a minute a terminal, and only when there is news. What is handed
//! out here counts as written; a store that refuses it hears it again with the next news.

use std::sync::Arc;

use event::{Millis, Text, Vendor};
use store::inventory::Inventory;
use store::status::{DeviceState, Silence};
use zkteco_push::Dialect;

use super::presence::Presence;
use super::{Devices, Facts, Known, STATE_EVERY};

/// What is known of a terminal itself.
pub(crate) fn inventory(known: &Known, facts: &Facts) -> Inventory {
    let dialled = known.enrolment.access.address.clone();
    let heard = || facts.heard_from.map(|ip| Text::from(ip.to_string()));
    let dialect = match (known.enrolment.vendor, facts.dialect) {
        (Vendor::Hikvision, _) => "hikvision-isapi",
        (Vendor::Other, _) => "other-make",
        (Vendor::Zkteco, _) if known.is_dialled() => "zkteco-pull",
        (Vendor::Zkteco, Some(Dialect::Access)) => "zkteco-access",
        (Vendor::Zkteco, _) => "zkteco-attendance",
        (Vendor::Satellite, _) => "satellite",
    };
    Inventory {
        model: facts.model.clone(),
        firmware: facts.firmware.clone(),
        dialect: Some(Text::const_new(dialect)),
        address: dialled.or_else(heard),
        users_used: facts.users_used,
        users_capacity: facts.users_capacity,
        first_contact_at: facts.first_contact,
    }
}

impl Devices {
    /// Terminals that were not heard since we were `started`, each once, when that is long enough to
    /// call them silent: their rows may still say what was so before. Another satellite may hear them.
    pub(crate) fn due_silences(&self, started: Millis, now: Millis) -> Vec<(Arc<Known>, Silence)> {
        let known = self.known.load();
        let served = known.values().filter(|known| known.has_tenant);
        served
            .filter_map(|known| Some((Arc::clone(known), due_silence(known, started, now)?)))
            .collect()
    }
}

impl Known {
    /// Its silence is due again: a store refused it.
    pub(crate) fn silence_was_refused(&self) {
        self.facts().state_written = None;
    }
}

fn due_silence(known: &Known, started: Millis, now: Millis) -> Option<Silence> {
    let silent_after = known.offline_after();
    let state = match known.presence(now) {
        Presence::Unheard => Presence::Offline.as_str(),
        state => state.as_str(),
    };
    let mut facts = known.facts();
    let is_early = now.0.saturating_sub(started.0) <= silent_after;
    if facts.last_contact.is_some() || facts.state_written.is_some() || is_early {
        return None;
    }
    facts.state_written = Some((now, state));
    Some(Silence {
        device: known.enrolment.id,
        state: Text::const_new(state),
        heard_before: Millis(now.0.saturating_sub(silent_after)),
    })
}

pub(super) fn due_state(known: &Known, now: Millis) -> Option<DeviceState> {
    let state = known.presence(now).as_str();
    let mut facts = known.facts();
    let contact = facts.last_contact?;
    facts.first_contact.get_or_insert(contact);
    let told = inventory(known, &facts);
    let is_news = facts.written.0.as_ref() != Some(&told) || facts.written.1 != facts.assured;
    if let Some((written, said)) = facts.state_written {
        let heard = contact > written && known.is_approved();
        if now.0.saturating_sub(written.0) < STATE_EVERY || !(heard || is_news || said != state) {
            return None;
        }
    }
    facts.state_written = Some((now, state));
    let told = (facts.written.0.as_ref() != Some(&told)).then_some(told);
    if let Some(told) = &told {
        facts.written.0 = Some(told.clone());
    }
    let assured = facts.assured.clone();
    let assured = assured.filter(|_| facts.written.1 != facts.assured);
    facts.written.1 = facts.assured.clone();
    let (completeness, missing) = known.claim();
    let gap_events = missing.and_then(|n| i64::try_from(n).ok());
    Some(DeviceState {
        device: Arc::clone(&known.device),
        state: Text::const_new(state),
        last_contact_at: Some(contact),
        last_event_at: facts.last_event,
        clock_skew_seconds: facts.skew.seconds(now).map(|(ahead, _)| ahead),
        log_used: facts.log_used,
        log_capacity: facts.log_capacity,
        gap_events,
        completeness: Text::const_new(completeness.as_str()),
        inventory: told,
        assured,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use event::DeviceId;
    use store::registry::EnrolmentState;

    use super::super::tests::enrolment;
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_terminal_that_is_not_heard_again_after_a_start_is_told_silent_once() {
        let devices = Devices::new();
        let mut all = [("A1", 1), ("A2", 2), ("A3", 3), ("A4", 4)].map(|(s, n)| enrolment(s, n));
        all[1].vendor = Vendor::Other;
        all[2].state = EnrolmentState::Blocked;
        devices.replace(all.to_vec(), Vec::new(), &Config::in_folder(Path::new("x")));
        let heard = devices.all(|known| known.enrolment.id == DeviceId([4; 16]));
        heard[0].facts().last_contact = Some(Millis(2_000_000));

        let started = Millis(1_000_000);
        assert!(devices.due_silences(started, Millis(1_300_000)).is_empty());
        let mut due = devices.due_silences(started, Millis(1_300_001));
        due.sort_by_key(|(_, silence)| silence.device);
        let words: Vec<_> = due.iter().map(|(_, one)| one.state.as_str()).collect();
        assert_eq!(words, ["offline", "quiet", "blocked"]);
        // Who was heard by another satellite after this moment keeps its row.
        let before = due.iter().map(|(_, one)| one.heard_before);
        assert!(before.into_iter().all(|before| before == Millis(1_000_001)));
        assert!(devices.due_silences(started, Millis(9_000_000)).is_empty());

        // A store that refused it hears it again.
        due[1].0.silence_was_refused();
        let again = devices.due_silences(started, Millis(9_000_000));
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].1.device, DeviceId([2; 16]));
    }
}
