//! A terminal whose firmware is another one than before: an event of kind `device`, once.
//!
//! The firmware last noted is a cursor of the terminal, moved in the transaction of the event
//! and only from where it stood. So two satellites, a restart or a restored copy of the database
//! make no second event of one change, and the first sight of a terminal makes none. The
//! identity of the event is `dev` with the change's own number
//! (`docs/adr/0007-identity-of-events-about-a-device.md`).

use std::collections::HashMap;
use std::sync::Arc;

use event::{
    Bytes, ClockFlag, Event, Ident, IdentForm, Kind, Millis, Route, TenantId, Text, Timeliness,
    Vendor,
};
use store::{Refused, Submission};

use crate::clock;
use crate::devices::Known;
use crate::hub::Hub;
use crate::stores::Store;
use crate::tally::{Aside, Tally};

/// The cursor: how many changes were noted, `|`, the firmware after the last.
pub(crate) const FIRMWARE: &str = "firmware";
/// Longest firmware text that is compared, in characters; with the number it fits a cursor.
const LIMIT: usize = 128;
/// Shortest time from a try that failed to the next, in milliseconds.
const AGAIN: i64 = 60_000;

/// Notes what changed since the last round, one terminal of a client after the other: after a
/// start with many terminals all of them are due.
pub(crate) fn note_changes(hub: &Arc<Hub>) {
    let now = clock::now();
    let mut by_tenant: HashMap<TenantId, Vec<Arc<Known>>> = HashMap::new();
    for known in hub.devices.all(|known| is_due(known, now)) {
        known.facts().firmware_tried = Some(now);
        let tenant = known.enrolment.tenant.clone();
        by_tenant.entry(tenant).or_default().push(known);
    }
    let stores = hub.stores.load();
    for (tenant, due) in by_tenant {
        let Some(store) = stores.of(&tenant).cloned() else {
            continue;
        };
        let hub = Arc::clone(hub);
        // A store that hangs must not keep the others' changes waiting.
        tokio::spawn(async move {
            for known in due {
                if let Err(refused) = note(&hub, &known, &store).await {
                    tracing::debug!(serial = %known.enrolment.serial, %refused, "a change of firmware is noted later");
                    continue;
                }
                known.facts().firmware_tried = None;
            }
        });
    }
}

fn is_due(known: &Known, now: Millis) -> bool {
    let facts = known.facts();
    let differs = facts.firmware.as_deref().is_some_and(|firmware| {
        facts
            .kept(FIRMWARE)
            .is_none_or(|kept| read(kept).1 != cut(firmware))
    });
    let tried = facts.firmware_tried;
    let rests = tried.is_some_and(|tried| now.0.saturating_sub(tried.0) < AGAIN);
    differs && !rests && known.may_post() && !known.enrolment.canary
}

async fn note(hub: &Hub, known: &Known, store: &Store) -> Result<(), Refused> {
    // The database's word, not the memory's: another satellite may have noted it.
    let before = store.cursor(known.enrolment.id, FIRMWARE).await?;
    let Some(firmware) = known.facts().firmware.as_deref().map(cut) else {
        return Ok(());
    };
    let (number, old) = before.as_deref().map(read).unwrap_or_default();
    let is_first = before.is_none();
    if !is_first && old == firmware {
        if let Some(before) = &before {
            known.facts().keep_cursor(FIRMWARE, before);
        }
        return Ok(());
    }
    let number = if is_first {
        0
    } else {
        number.saturating_add(1)
    };
    let moved = Text::from(format!("{number}|{firmware}"));
    let route = match known.enrolment.vendor {
        Vendor::Hikvision => Route::Poll,
        Vendor::Zkteco | Vendor::Other | Vendor::Satellite => Route::Push,
    };
    let change = Change {
        number,
        before: old,
        now: &firmware,
    };
    let events = if is_first {
        Vec::new()
    } else {
        vec![change.event(route, clock::now())]
    };
    let tally = Tally::of(hub, known, route);
    tally.received(events.len());
    let submission = Submission {
        device: Arc::clone(&known.device),
        events,
        quarantined: Vec::new(),
        cursors: vec![(Text::const_new(FIRMWARE), moved.clone())],
        expects: Some((Text::const_new(FIRMWARE), before.clone())),
        fence: None,
    };
    let receipt = store.writer.submit(submission).await?;
    tally.committed(&receipt, Aside::default());
    known.facts().keep_cursor(FIRMWARE, &moved);
    Ok(())
}

fn cut(firmware: &str) -> String {
    firmware.trim().chars().take(LIMIT).collect()
}

/// The number of changes noted, and the firmware after the last.
fn read(kept: &str) -> (u64, &str) {
    match kept.split_once('|') {
        Some((number, firmware)) => (number.parse().unwrap_or_default(), firmware),
        None => (0, kept),
    }
}

/// One change of firmware.
struct Change<'a> {
    number: u64,
    before: &'a str,
    now: &'a str,
}

impl Change<'_> {
    fn ident(&self) -> Ident {
        IdentForm::new("dev")
            .field(b"firmware")
            .field(&self.number.to_be_bytes())
            .field(self.before.as_bytes())
            .field(self.now.as_bytes())
            .finish()
    }

    fn event(&self, route: Route, now: Millis) -> Event {
        let told = serde_json::json!({ "before": self.before, "now": self.now }).to_string();
        Event {
            ident: self.ident(),
            kind: Kind::Device,
            person: None,
            card: None,
            local_time: None,
            // When it was changed nobody tells; this is when it was noticed.
            occurred_at: Some(now),
            received_at: now,
            status_code: None,
            verify_code: None,
            vendor_code: Some(Text::const_new("firmware")),
            direction: None,
            door: None,
            route,
            timeliness: Timeliness::Live,
            clock: ClockFlag::Ok,
            raw: Bytes::copy_from_slice(told.as_bytes()),
            attributes: Some(told),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_back_and_forth_makes_different_events_and_one_change_the_same_again() {
        let change = |number, before, now| {
            Change {
                number,
                before,
                now,
            }
            .ident()
        };
        let first = change(1, "Ver 1", "Ver 2");
        assert_eq!(first, change(1, "Ver 1", "Ver 2"));
        assert_ne!(first, change(2, "Ver 2", "Ver 1"));
        assert_ne!(first, change(3, "Ver 1", "Ver 2"));
    }

    #[test]
    fn what_was_noted_reads_back_whatever_the_firmware_calls_itself() {
        assert_eq!(read("7|Ver 8.0|x"), (7, "Ver 8.0|x"));
        assert_eq!(read("Ver 8.0"), (0, "Ver 8.0"));
        assert_eq!(cut(&"é".repeat(300)).chars().count(), LIMIT);
        let longest = format!("{}|{}", u64::MAX, cut(&"é".repeat(300)));
        assert!(longest.chars().count() <= 190);
    }

    #[test]
    fn the_form_is_frozen_byte_for_byte() {
        let change = Change {
            number: 1,
            before: "A",
            now: "B",
        };
        let mut form = vec![1];
        for field in [&b"dev"[..], b"firmware", &1_u64.to_be_bytes(), b"A", b"B"] {
            form.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
            form.extend(field);
        }
        let Some(want) = Ident::from_slice(&blake3::hash(&form).as_bytes()[..16]) else {
            panic!("16 bytes")
        };
        assert_eq!(change.ident(), want);
    }
}
