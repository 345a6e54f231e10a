//! Attendance lines and events to measure with: plausible, all different, the same in each run.
//!
//! People take turns and the clock goes on by a second with each line, so that no two lines of
//! one terminal are the same punch. Nothing here is random.

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use event::{Device, DeviceId, Event, Millis, Route, Serial, SharedDevice, TenantId, Vendor, Zone};
use zkteco_push::{Context as Reading, Table, read_upload};

/// People at one terminal.
const PEOPLE: u64 = 4_999;
/// 2026-01-05 00:00:00 UTC.
const FIRST_SECOND: i64 = 1_767_571_200;

/// The zone that all samples are read in.
pub(crate) fn zone() -> Result<Zone> {
    Zone::named("America/Mexico_City").context("the time-zone database is missing")
}

/// A body of `count` ATTLOG lines with so many columns (4, 7 or 11), beginning with line
/// `first` of the terminal.
pub(crate) fn body(first: u64, count: u64, columns: usize) -> Bytes {
    let mut text = String::new();
    for number in first..first + count {
        line(&mut text, number, columns);
        text.push('\n');
    }
    text.into()
}

/// One line without its end.
fn line(text: &mut String, number: u64, columns: usize) {
    let second = FIRST_SECOND.saturating_add_unsigned(number);
    let at = Millis(second.saturating_mul(1_000)).text();
    let at = at.get(..19).unwrap_or_default();
    let person = 1_000 + number % PEOPLE;
    let verify = if number.is_multiple_of(3) { 15 } else { 1 };
    let status = number / PEOPLE % 2;
    let fields = [
        person.to_string(),
        at.to_owned(),
        status.to_string(),
        verify.to_string(),
        "0".to_owned(),
        "0".to_owned(),
        "0".to_owned(),
        "255".to_owned(),
        "0".to_owned(),
        "0".to_owned(),
        String::new(),
    ];
    text.push_str(&fields.get(..columns).unwrap_or(&fields).join("\t"));
}

/// A terminal that stands nowhere.
pub(crate) fn device(number: u64) -> Result<SharedDevice> {
    let mut id = [0xb0; 16];
    id.get_mut(8..)
        .context("an id has 16 bytes")?
        .copy_from_slice(&number.to_be_bytes());
    Ok(Arc::new(Device {
        id: DeviceId(id),
        tenant: Some(TenantId::new("bench")?),
        vendor: Vendor::Zkteco,
        serial: Serial::new(&format!("BENCH{number}"))?,
        name: None,
        site: None,
        zone: zone()?,
        canary: false,
    }))
}

/// The events of `count` lines of a terminal, beginning with line `first`.
pub(crate) fn events(first: u64, count: u64) -> Result<Vec<Event>> {
    let zone = zone()?;
    let context = Reading {
        zone: &zone,
        route: Route::Push,
        received_at: Millis(FIRST_SECOND.saturating_mul(1_000)),
        language: None,
    };
    let reading = read_upload(&Table::AttLog, &body(first, count, 7), &context);
    anyhow::ensure!(
        reading.quarantined.is_empty(),
        "a sample line could not be read"
    );
    Ok(reading.events)
}

/// The events of `count` rows of a Hikvision terminal's log, as its search tells them, beginning
/// with that serial number: a person with a face, a status, and what else a row carries.
pub(crate) fn hikvision_events(first: u64, count: u64) -> Result<Vec<Event>> {
    let zone = zone()?;
    let context = hikvision_isapi::Context {
        zone: &zone,
        route: Route::Poll,
        received_at: Millis(FIRST_SECOND.saturating_mul(1_000)),
        epoch: 1,
    };
    let mut events = Vec::new();
    for number in first..first + count {
        let second = FIRST_SECOND.saturating_add_unsigned(number);
        let at = Millis(second.saturating_mul(1_000)).text();
        let (date, time) = (at.get(..10), at.get(11..19));
        let item = format!(
            r#"{{"major":5,"minor":75,"time":"{}T{}-06:00","netUser":"","remoteHostAddr":"","cardNo":"","cardType":1,"name":"Persona {person}","cardReaderNo":1,"doorNo":1,"employeeNoString":"{person}","serialNo":{number},"userType":"normal","currentVerifyMode":"cardOrFaceOrFp","attendanceStatus":"checkIn","label":"Entrada","mask":"no","pictureURL":"http://192.168.1.64/LOCALS/pic/acsLinkCap/202601_00/05_{number:08}_00075_0.jpeg"}}"#,
            date.unwrap_or_default(),
            time.unwrap_or_default(),
            person = 1_000 + number % PEOPLE,
        );
        let record = hikvision_isapi::read_search_item(&item);
        let record = record.map_err(|_| anyhow::anyhow!("a sample row could not be read"))?;
        let event = hikvision_isapi::normalize(&record, &context);
        events.push(event.map_err(|_| anyhow::anyhow!("a sample row is no event"))?);
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_sample_line_is_an_event_of_its_own() {
        let events = events(0, 20_000).unwrap();
        let idents: BTreeSet<_> = events.iter().map(|event| event.ident).collect();
        assert_eq!((events.len(), idents.len()), (20_000, 20_000));
    }

    #[test]
    fn every_sample_row_of_a_hikvision_terminal_is_an_event_of_its_own() {
        let events = hikvision_events(1, 2_000).unwrap();
        let idents: BTreeSet<_> = events.iter().map(|event| event.ident).collect();
        assert_eq!((events.len(), idents.len()), (2_000, 2_000));
    }

    #[test]
    fn a_line_has_the_columns_that_were_asked_for() {
        for columns in [4, 7, 11] {
            let body = body(5, 1, columns);
            let tabs = body.iter().filter(|&&byte| byte == b'\t').count();
            assert_eq!(tabs + 1, columns);
        }
    }
}
