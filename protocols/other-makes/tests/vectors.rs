//! Mappings of real makes read the bodies that those makes document.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

use event::{Bytes, Direction, Event, Kind, Millis, Route, Zone};
use other_makes::{Context, MAPPING_LINES, Mapping, Reading, normalize};

fn mapping(text: &str) -> Mapping {
    assert!(text.lines().count() <= MAPPING_LINES);
    Mapping::checked(toml::from_str(text).unwrap()).unwrap()
}

fn events(mapping: &Mapping, reading: &Reading) -> Vec<Event> {
    let context = Context {
        zone: &Zone::named("America/Mexico_City").unwrap(),
        route: Route::Listen,
        received_at: Millis::parse("2026-11-27 15:00:10").unwrap(),
    };
    let records = reading.records.iter();
    records
        .map(|record| normalize(mapping, record, &context))
        .collect()
}

#[test]
fn rows_of_suprema_biostar_2_are_read_with_their_terminal_person_and_direction() {
    let mapping = mapping(include_str!("../vectors/suprema-biostar2.toml"));
    let body = Bytes::from_static(include_bytes!("../vectors/suprema-biostar2.json"));
    let reading = mapping.read(&body);
    assert!(reading.unread.is_empty(), "{:?}", reading.unread);
    assert_eq!(reading.records[0].serial.as_deref(), Some("541530001"));
    let events = events(&mapping, &reading);
    let (punch, door) = (&events[0], &events[1]);
    assert_eq!((punch.kind, door.kind), (Kind::Punch, Kind::Access));
    assert_eq!(punch.person.as_deref(), Some("0042"));
    assert_eq!(punch.local_time.as_deref(), Some("2026-11-27 09:00:01"));
    assert_eq!(punch.occurred_at, Millis::parse("2026-11-27 15:00:01"));
    assert_eq!(punch.direction, Some(Direction::In));
    assert_eq!(punch.door.as_deref(), Some("7"));
    assert_eq!(
        punch.attributes.as_deref(),
        Some(r#"{"event_id":"9001","make":"suprema"}"#)
    );
    assert_eq!(
        (door.person.as_deref(), door.vendor_code.as_deref()),
        (None, Some("20480"))
    );
}

#[test]
fn the_text_file_of_giga_tms_terminals_is_read_in_the_terminals_zone() {
    let mapping = mapping(include_str!("../vectors/giga-tms.toml"));
    let body = Bytes::from_static(include_bytes!("../vectors/giga-tms.txt"));
    let reading = mapping.read(&body);
    assert!(reading.unread.is_empty(), "{:?}", reading.unread);
    let events = events(&mapping, &reading);
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].person.as_deref(), Some("0042"));
    assert_eq!(events[0].local_time.as_deref(), Some("2026-11-27 09:00:01"));
    assert_eq!(events[0].occurred_at, Millis::parse("2026-11-27 15:00:01"));
    assert_eq!(events[1].status_code.as_deref(), Some("2"));
    assert_eq!(
        events[0].attributes.as_deref(),
        Some(r#"{"make":"giga-tms","shift":"01"}"#)
    );
}
