//! What holds of every reading, whatever was sent: everything that comes out is within the limits of
//! the store, and what stood in quarantine is read again. Tests and the fuzzers in `tests/fuzz` hold
//! readers to the same laws.

use event::{Bytes, Event, Millis, Quarantined, Route, Zone};
use other_makes::{Context, Mapping, normalize};

/// Reads a body by a mapping and checks what must hold of every reading.
pub(crate) fn check(mapping: &Mapping, body: &[u8]) {
    let reading = mapping.read(&Bytes::copy_from_slice(body));
    let placed = reading.records.len() + reading.unread.len();
    assert!(reading.total() >= u64::try_from(placed).unwrap());
    let context = Context {
        zone: &Zone::utc(),
        route: Route::Listen,
        received_at: Millis(0),
    };
    for record in &reading.records {
        check_event(&normalize(mapping, record, &context));
    }
    for piece in reading.unread {
        let piece = piece.quarantined(Route::Listen, Millis(0));
        assert!(piece.raw.len() <= Quarantined::RAW_LIMIT && !piece.raw.is_empty());
        assert!(piece.detail.len() < 300 && !piece.source.is_empty());
        mapping.read(&piece.raw);
    }
}

fn check_event(event: &Event) {
    let long = |text: &Option<event::Text>| text.as_ref().map_or(0, |text| text.len());
    assert!(long(&event.person) <= Event::PERSON_LIMIT && long(&event.card) <= Event::PERSON_LIMIT);
    let codes = [
        &event.status_code,
        &event.verify_code,
        &event.vendor_code,
        &event.local_time,
        &event.door,
    ];
    assert!(
        codes
            .into_iter()
            .all(|code| long(code) <= Event::CODE_LIMIT)
    );
    assert!(event.raw.len() <= Event::RAW_LIMIT && !event.raw.is_empty());
    if let Some(attributes) = &event.attributes {
        assert!(attributes.len() <= Event::ATTRIBUTES_LIMIT);
        let read: serde_json::Value = serde_json::from_str(attributes).unwrap();
        assert!(read.is_object());
    }
}
