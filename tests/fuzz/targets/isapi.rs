//! What a Hikvision device sends on its stream or in a post: multipart, XML, JSON, pictures.

#![no_main]

#[path = "../../../protocols/hikvision-isapi/tests/common/mod.rs"]
mod common;
#[path = "../../../protocols/hikvision-isapi/tests/laws/mod.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| laws::check(bytes));
