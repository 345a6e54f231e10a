//! What is written down of a terminal now and then: its inventory, its state, its assurance.
//!
//! A row is due at most once a minute a terminal, and only when there is news. What is handed
//! out here counts as written; a store that refuses it hears it again with the next news.

use std::sync::Arc;

use event::{Millis, Text, Vendor};
use store::inventory::Inventory;
use store::status::DeviceState;
use zkteco_push::Dialect;

use super::{Facts, Known, STATE_EVERY};

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
