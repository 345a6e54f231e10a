//! A whole request of a terminal that pushes: its first line, and the body behind an empty line as
//! what the line says it is.

#![no_main]

#[path = "../../../protocols/zkteco-push/tests/laws/mod.rs"]
mod laws;

use event::Zone;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Rules of zones are not what is looked at, and looking them up is slow.
    laws::check_vector(&Zone::utc(), bytes);
});
