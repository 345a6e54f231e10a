//! What holds of every reading, whatever was sent: each record counted ends in exactly one place,
//! and everything that comes out is within the limits of the store. Tests and the fuzzers in
//! `tests/fuzz` hold readers to the same laws.

#![allow(clippy::unwrap_used, reason = "a law that is broken ends the test")]
#![allow(dead_code, reason = "each test and each fuzzer uses some of it")]

use bytes::Bytes;
use event::{Event, Millis, Quarantined, Route, Zone};
use zkteco_push::{
    Ask, Context, Head, IndexChain, LineCounter, Reading, Table, parse_results, read_settings,
    read_upload, route,
};

pub(crate) fn zone() -> Zone {
    Zone::named("America/Tijuana").unwrap()
}

pub(crate) fn read(zone: &Zone, table: &Table, body: &[u8], language: Option<u16>) -> Reading {
    let context = Context {
        zone,
        route: Route::Push,
        // 2026-11-21 16:15:31 UTC.
        received_at: Millis(1_795_277_731_000),
        language,
    };
    read_upload(table, &Bytes::copy_from_slice(body), &context)
}

/// Reads a body as a table and checks what must hold of every reading.
pub(crate) fn check(zone: &Zone, table: &Table, body: &[u8], language: Option<u16>) {
    let reading = read(zone, table, body, language);
    let placed = reading.events.len() + reading.quarantined.len();
    let placed = u64::try_from(placed).unwrap() + reading.dropped;
    if *table == Table::Options {
        assert!(reading.records <= 1 && placed <= 1);
    } else {
        assert_eq!(placed, reading.records, "{table:?} {}", body.escape_ascii());
    }
    if !table.holds_records() {
        let mut counter = LineCounter::new(table);
        counter.feed(body);
        assert_eq!(counter.records(), reading.records);
    }
    for event in &reading.events {
        check_event(event);
    }
    assert!(reading.places.len() <= reading.events.len());
    let mut chain = IndexChain::new();
    chain.stored(&reading.places);
    assert_eq!(IndexChain::parse(&chain.text()), Some(chain));
    for q in &reading.quarantined {
        assert!(q.raw.len() <= Quarantined::RAW_LIMIT && !q.raw.is_empty());
        assert!(q.detail.len() < 300 && !q.source.is_empty());
    }
}

fn check_event(event: &Event) {
    let longest = |text: &Option<event::Text>| text.as_ref().map_or(0, |t| t.len());
    let empty = |text: &Option<event::Text>| text.as_ref().is_some_and(|t| t.is_empty());
    let texts = [
        &event.person,
        &event.status_code,
        &event.verify_code,
        &event.vendor_code,
        &event.local_time,
        &event.door,
    ];
    assert!(longest(&event.person) <= Event::PERSON_LIMIT);
    assert!(longest(&event.card) <= Event::PERSON_LIMIT && !empty(&event.card));
    assert!(
        texts
            .iter()
            .skip(1)
            .all(|t| longest(t) <= Event::CODE_LIMIT)
    );
    assert!(!texts.into_iter().any(empty));
    assert!(event.raw.len() <= Event::RAW_LIMIT);
    if let Some(attributes) = &event.attributes {
        assert!(attributes.len() <= Event::ATTRIBUTES_LIMIT);
        let read: serde_json::Value = serde_json::from_str(attributes).unwrap();
        assert!(!read.as_object().unwrap().is_empty());
    }
}

/// A whole vector: its first line as a request, the rest as a body of its table and as results.
pub(crate) fn check_vector(zone: &Zone, bytes: &[u8]) {
    let line_end = bytes
        .iter()
        .position(|&b| b == b'\n')
        .unwrap_or(bytes.len());
    let line = String::from_utf8_lossy(&bytes[..line_end]);
    let (method, target) = line.split_once(' ').unwrap_or((&line, ""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = bytes.get(line_end + 2..).unwrap_or_default();
    let asked = route(&Head {
        method,
        path,
        query,
    });
    match asked.map(|request| request.ask) {
        Ok(Ask::Upload(upload)) => {
            // Only bytes outside ASCII are read differently in another language.
            check(zone, &upload.table, body, Some(69));
            if !body.is_ascii() {
                check(zone, &upload.table, body, Some(83));
            }
        }
        Ok(Ask::Registry) => assert!(read_settings(body).len() <= 512),
        Ok(Ask::CommandResults) => {
            let results = parse_results(body);
            assert!(results.iter().all(|result| result.extra.len() <= 256));
        }
        _ => {}
    }
}
