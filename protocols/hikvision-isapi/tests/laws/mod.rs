//! What holds of every reading, whatever was sent and however it was cut: the same comes out, within
//! the limits of the store. Tests and the fuzzers in `tests/fuzz` hold readers to the same laws.

#![allow(clippy::unwrap_used, reason = "a law that is broken ends the test")]
#![allow(dead_code, reason = "each test and each fuzzer uses some of it")]

use event::{Event, Quarantined, Route, Zone};
use hikvision_isapi::{Heard, Item, PostReader, normalize, read_part, read_search_item};

use crate::common::{context, items};

/// The head of a stream.
pub(crate) const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";

pub(crate) fn check_heard(heard: &[Heard]) {
    let zone = Zone::utc();
    for heard in heard {
        let quarantined = match heard {
            Heard::Record(record) => match normalize(record, &context(&zone, Route::Listen)) {
                Ok(event) => {
                    check_event(&event);
                    continue;
                }
                Err(quarantined) => quarantined,
            },
            Heard::Unreadable(unreadable) => unreadable
                .clone()
                .quarantined(Route::Listen, event::Millis(0)),
            Heard::Heartbeat | Heard::Notice(_) => continue,
        };
        assert!(quarantined.raw.len() <= Quarantined::RAW_LIMIT);
        assert!(quarantined.detail.len() < 200 && !quarantined.source.is_empty());
    }
}

fn check_event(event: &Event) {
    let codes = [
        &event.status_code,
        &event.verify_code,
        &event.vendor_code,
        &event.local_time,
        &event.door,
    ];
    let people = [&event.person, &event.card];
    for (texts, limit) in [
        (&codes[..], Event::CODE_LIMIT),
        (&people[..], Event::PERSON_LIMIT),
    ] {
        for text in texts.iter().filter_map(|text| text.as_deref()) {
            assert!((1..=limit).contains(&text.len()), "{text:?}");
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
    assert!(event.raw.len() <= Event::RAW_LIMIT);
    if let Some(attributes) = &event.attributes {
        assert!(attributes.len() <= Event::ATTRIBUTES_LIMIT);
        assert!(!attributes.contains('\0'));
        let read: serde_json::Value = serde_json::from_str(attributes).unwrap();
        assert!(!read.as_object().unwrap().is_empty());
    }
}

/// Reads bytes in every way there is, and checks what must hold of each.
pub(crate) fn check(bytes: &[u8]) {
    let response = match bytes.starts_with(b"HTTP") {
        true => bytes.to_vec(),
        false => [HEAD, bytes].concat(),
    };
    let whole = items([&response[..]]);
    assert_eq!(
        items(response.chunks(13)),
        whole,
        "{}",
        response.escape_ascii()
    );
    for item in whole.into_iter().flatten() {
        if let Item::Part(part) = item {
            check_heard(&read_part(part.kind, &part.body));
        }
    }
    let post = |size: usize| {
        let mut reader = PostReader::new(Some("multipart/form-data; boundary=MIME_boundary"));
        for piece in bytes.chunks(size) {
            reader.push(piece);
        }
        reader.finish()
    };
    let one = post(bytes.len().max(1));
    assert_eq!(post(11), one, "{}", bytes.escape_ascii());
    check_heard(&one.heard);
    if let Ok(record) = read_search_item(&String::from_utf8_lossy(bytes)) {
        check_heard(&[Heard::Record(Box::new(record))]);
    }
}
