//! What a sender of another make posts: JSON or lines, read by a mapping that the first byte chooses.

#![no_main]

#[path = "../../../protocols/other-makes/tests/laws/mod.rs"]
mod laws;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use other_makes::Mapping;

static MAPPINGS: LazyLock<Vec<Mapping>> = LazyLock::new(|| {
    let files = [
        include_str!("../../../protocols/other-makes/vectors/giga-tms.toml"),
        include_str!("../../../protocols/other-makes/vectors/suprema-biostar2.toml"),
        "format = 'csv'\n[fields]\ntime = 'when'\nperson = 'who'",
    ];
    let read = |file| Mapping::checked(toml::from_str(file).unwrap()).unwrap();
    let own = std::iter::once_with(Mapping::own);
    files.into_iter().map(read).chain(own).collect()
});

fuzz_target!(|bytes: &[u8]| {
    if let Some((&choice, body)) = bytes.split_first() {
        laws::check(&MAPPINGS[usize::from(choice) % MAPPINGS.len()], body);
    }
});
