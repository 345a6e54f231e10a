//! Records of other makes, read again by the mapping that is in force now.
//!
//! A sender speaks for several terminals, so that one row may hold records of more than one: each
//! goes to its own terminal, as at the door. What belongs to a terminal that may not bring records
//! stays in quarantine. Nothing here stores anything.

use std::collections::HashMap;

use event::{Bytes, DeviceId, Event, Quarantined, Route, Serial, Vendor};
use other_makes::{Context as Around, MESSAGE_SOURCE, labelled, normalize, parted};
use store::quarantine::QuarantineRow;
use store::registry::{Enrolment, EnrolmentState};

use super::super::Context;

/// What one terminal gets of a row.
pub(super) struct Share<'a> {
    pub(super) of: &'a Enrolment,
    pub(super) events: Vec<Event>,
    pub(super) quarantined: Vec<Quarantined>,
}

/// What a mapping makes of a row now.
#[derive(Default)]
pub(super) struct Again<'a> {
    /// By terminal, the sender's own first, without those that get nothing.
    pub(super) shares: Vec<Share<'a>>,
    /// True when it was understood, if only as something to ignore.
    pub(super) understood: bool,
}

/// A row as it came: what its topic said, and the bytes below it.
struct Came {
    topic: Option<String>,
    serial: Option<String>,
    body: Bytes,
}

impl Came {
    /// `None` for one that came under a topic which the configuration does not name.
    fn of(row: &QuarantineRow, sender: &Enrolment, context: &Context) -> Option<Self> {
        let raw = Bytes::from(row.raw.clone());
        if row.source != MESSAGE_SOURCE {
            return Some(Self {
                topic: None,
                serial: None,
                body: raw,
            });
        }
        let (topic, body) = parted(&raw)?;
        let input = context.config.input(&sender.serial)?;
        let serial = input.names(topic)?;
        Some(Self {
            topic: Some(topic.to_owned()),
            serial: serial.map(str::to_owned),
            body,
        })
    }

    /// What stays aside keeps its topic.
    fn aside(&self, one: Quarantined) -> Quarantined {
        match &self.topic {
            Some(topic) => labelled(one, topic),
            None => one,
        }
    }
}

/// Reads a row again.
pub(super) fn read<'a>(
    row: &QuarantineRow,
    sender: &'a Enrolment,
    known: &HashMap<DeviceId, &'a Enrolment>,
    context: &Context,
) -> Again<'a> {
    let mapping = context.config.mapping(&sender.serial);
    let Some(came) = Came::of(row, sender, context) else {
        return Again::default();
    };
    let route = Route::from_word(&row.route).unwrap_or(Route::Listen);
    let mut reading = mapping.read(&came.body);
    if let Some(serial) = &came.serial {
        reading.of_terminal(serial);
    }
    let mut again = Again {
        understood: reading.ignored > 0,
        ..Again::default()
    };
    for record in std::mem::take(&mut reading.records) {
        let Some(of) = terminal(record.serial.as_deref(), sender, known) else {
            reading.not_approved(record);
            continue;
        };
        let zone = context.zone(of.time_zone.as_deref(), Some(&of.tenant));
        let around = Around {
            zone: &zone,
            route,
            received_at: row.first_at,
        };
        let event = normalize(mapping, &record, &around);
        match again.shares.iter_mut().find(|share| share.of.id == of.id) {
            Some(share) => share.events.push(event),
            None => again.shares.push(Share {
                of,
                events: vec![event],
                quarantined: Vec::new(),
            }),
        }
    }
    let aside = reading.unread.into_iter();
    let aside: Vec<_> = aside
        .map(|one| came.aside(one.quarantined(route, row.first_at)))
        .collect();
    if let Some(first) = again.shares.first_mut().filter(|_| !aside.is_empty()) {
        if first.of.id == sender.id {
            first.quarantined = aside;
        } else {
            again.shares.push(Share {
                of: sender,
                events: Vec::new(),
                quarantined: aside,
            });
        }
    }
    again
}

/// Whose record it is; `None` for one that may not bring any.
fn terminal<'a>(
    named: Option<&str>,
    sender: &'a Enrolment,
    known: &HashMap<DeviceId, &'a Enrolment>,
) -> Option<&'a Enrolment> {
    let Some(named) = named else {
        return Some(sender);
    };
    let serial = Serial::new(named).ok()?;
    if serial == sender.serial {
        return Some(sender);
    }
    known.values().copied().find(|one| {
        one.vendor == Vendor::Other
            && one.serial == serial
            && one.tenant == sender.tenant
            && one.state == EnrolmentState::Approved
    })
}
