//! What a Hikvision device answers to questions: pages of a search, documents, challenges.

#![no_main]

use hikvision_isapi::{
    Challenge, DeviceInfo, IsupHello, ResponseStatus, read_capabilities, read_clock, read_hosts,
    read_page,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(page) = read_page(bytes) {
        assert!(page.strays(1, 10) <= page.len() as usize);
    }
    let _ = read_capabilities(bytes);
    DeviceInfo::read(bytes);
    ResponseStatus::read(bytes);
    read_clock(bytes);
    IsupHello::recognise(bytes);
    if let Some(slots) = read_hosts(bytes) {
        for slot in &slots {
            slot.is_free();
            slot.token();
        }
    }
    let text = String::from_utf8_lossy(bytes);
    Challenge::choose(text.lines());
});
