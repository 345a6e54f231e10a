//! The tables of a terminal on port 4370: its log in every layout, its users, its events, its sizes.

#![no_main]

use bytes::Bytes;
use event::{Millis, Quarantined, Route, Zone};
use libfuzzer_sys::fuzz_target;
use zkteco_pull::attlog::{self, Hints};
use zkteco_pull::{Context, Layout, Normalizer, Sizes, UserList, realtime};

/// 2026-11-21 16:15:45 UTC.
const NOW: Millis = Millis(1_795_277_745_000);

fuzz_target!(|bytes: &[u8]| {
    let users = UserList::read(bytes, None).ok();
    Sizes::read(bytes);
    let zone = Zone::utc();
    let context = Context {
        zone: &zone,
        route: Route::Pull,
        received_at: NOW,
        users: users.as_ref(),
    };
    let mut normalizer = Normalizer::new(context);
    let check = |result: Result<event::Event, Quarantined>| match result {
        Ok(event) => {
            let person = event.person.as_deref().unwrap_or_default();
            assert!(person.len() <= event::Event::PERSON_LIMIT);
            assert!(!person.chars().any(char::is_control));
            assert!(event.raw.len() <= event::Event::RAW_LIMIT);
        }
        Err(set_aside) => assert!(set_aside.raw.len() <= Quarantined::RAW_LIMIT),
    };
    let _ = attlog::choose(bytes, Hints::default(), NOW);
    for layout in [
        Layout::Eight,
        Layout::EightFlags,
        Layout::Sixteen,
        Layout::Forty,
        Layout::FortyNine,
    ] {
        for record in bytes.chunks(layout.size()) {
            if let Some(punch) = layout.read(&Bytes::copy_from_slice(record)) {
                check(normalizer.punch(&punch));
            }
        }
    }
    let flag = u16::try_from(bytes.len() % 1024).unwrap_or_default();
    let event = realtime::read(flag, &Bytes::copy_from_slice(bytes));
    for result in normalizer.realtime(&event) {
        check(result);
    }
});
