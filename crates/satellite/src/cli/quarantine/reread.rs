//! Which reader a record in quarantine goes back to: the one of the way it came by.
//!
//! The terminal's vendor, the record's source and its route say which: documents of a Hikvision
//! device, binary records of port 4370, lines of either push dialect. A reader's identity of a
//! record never depends on when it is read, so that what is read again here is the row that its
//! own way makes. Nothing here stores anything.

use event::{Bytes, Device, Event, Quarantined, Reason, Route, Vendor};
use hikvision_isapi::Heard;
use store::quarantine::QuarantineRow;
use zkteco_pull::{Layout, Normalizer};
use zkteco_push::{Table, read_upload};

/// What has to be known besides the record.
pub(super) struct Around<'a> {
    pub(super) device: &'a Device,
    /// The language of a push terminal's handshake.
    pub(super) language: Option<u16>,
    /// The present count of a Hikvision device's serials.
    pub(super) epoch: u32,
}

/// What a reader makes of a record now.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Again {
    pub(super) events: Vec<Event>,
    /// What of it cannot be read even now.
    pub(super) quarantined: Vec<Quarantined>,
    /// The Hikvision serials among the events.
    pub(super) serials: Vec<u64>,
    /// True when there was something in it that was understood, if only as nothing to keep:
    /// people, settings, a heartbeat.
    pub(super) understood: bool,
}

/// Reads a record again.
pub(super) fn read(row: &QuarantineRow, around: &Around<'_>) -> Again {
    let raw = Bytes::from(row.raw.clone());
    match around.device.vendor {
        Vendor::Hikvision => document(row, &raw, around),
        // Read by their mapping, and never here.
        Vendor::Other => Again::default(),
        Vendor::Zkteco | Vendor::Satellite => {
            binary(row, &raw, around).unwrap_or_else(|| lines(row, &raw, around))
        }
    }
}

/// The way it came; what says nothing came by itself.
fn route(row: &QuarantineRow) -> Route {
    Route::from_word(&row.route).unwrap_or(Route::Push)
}

/// True when it was read well and the store set it aside: then its source does not say which
/// reader read it.
fn is_set_aside(row: &QuarantineRow) -> bool {
    let by_store = [Reason::SameSecond, Reason::Conflict, Reason::StoreRefused];
    by_store.iter().any(|reason| reason.as_str() == row.reason)
}

fn document(row: &QuarantineRow, raw: &Bytes, around: &Around<'_>) -> Again {
    let context = hikvision_isapi::Context {
        zone: &around.device.zone,
        route: route(row),
        received_at: row.first_at,
        epoch: around.epoch,
    };
    let searched = matches!(context.route, Route::Poll | Route::Backfill);
    let mut again = Again::default();
    for heard in hikvision_isapi::reread(searched, raw) {
        let read = match heard {
            Heard::Record(record) => {
                hikvision_isapi::normalize(&record, &context).map(|event| (event, record.serial_no))
            }
            Heard::Unreadable(bad) => Err(bad.quarantined(context.route, context.received_at)),
            Heard::Heartbeat | Heard::Notice(_) => {
                again.understood = true;
                continue;
            }
        };
        match read {
            Ok((event, serial)) => {
                again.understood = true;
                again.events.push(event);
                again.serials.extend(serial);
            }
            Err(aside) => again.quarantined.push(aside),
        }
    }
    again
}

/// A record of port 4370; `None` when it is none. Without the user list, which only the terminal
/// has: a record that needs it waits for the terminal's next visit.
fn binary(row: &QuarantineRow, raw: &Bytes, around: &Around<'_>) -> Option<Again> {
    let mut sizes = Layout::ALL
        .into_iter()
        .filter(|layout| layout.size() == raw.len());
    let source = match (route(row), is_set_aside(row), sizes.next(), sizes.next()) {
        (Route::Pull, true, Some(only), None) => only.as_str(),
        (Route::Pull, true, None, _) => "realtime",
        _ => &row.source,
    };
    let read = zkteco_pull::reread(source, raw)?;
    let mut normalizer = Normalizer::new(zkteco_pull::Context {
        zone: &around.device.zone,
        users: None,
        route: route(row),
        received_at: row.first_at,
    });
    let mut again = Again::default();
    for punch in normalizer.realtime(&read) {
        match punch {
            Ok(event) => again.events.push(event),
            Err(aside) => again.quarantined.push(aside),
        }
    }
    again.understood = !again.events.is_empty();
    Some(again)
}

fn lines(row: &QuarantineRow, raw: &Bytes, around: &Around<'_>) -> Again {
    let context = zkteco_push::Context {
        zone: &around.device.zone,
        route: route(row),
        received_at: row.first_at,
        language: around.language,
    };
    let named = Table::from_name(&row.source);
    let others = [Table::AttLog, Table::Transaction, Table::OperLog];
    let others = others.into_iter().filter(|_| is_set_aside(row));
    let mut readings = std::iter::once(named)
        .chain(others)
        .map(|table| read_upload(&table, raw, &context));
    let first = readings.next().unwrap_or_default();
    let reading = match first.events.is_empty() {
        true => readings
            .find(|next| !next.events.is_empty())
            .unwrap_or(first),
        false => first,
    };
    Again {
        understood: reading.records > reading.unreadable(),
        events: reading.events,
        quarantined: reading.quarantined,
        serials: Vec::new(),
    }
}
