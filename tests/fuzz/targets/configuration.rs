//! A configuration: of satellite, of sentinel, and a mapping of another make's records. It is taken, or
//! an error says in harmless words, in both languages, where it is wrong.

#![no_main]

#[path = "../../../crates/notify/tests/laws/mod.rs"]
mod laws;

use daemon::config::{ConfigError, Source};
use libfuzzer_sys::fuzz_target;
use other_makes::{Mapping, RawMapping};

const NAME: &str = "fuzz.toml";

fn is_told(error: &ConfigError) {
    for said in [error.to_string(), error.in_spanish()] {
        assert!(said.contains(NAME), "{said:?}");
        assert!(laws::is_harmless(&said), "{said:?}");
    }
}

fuzz_target!(|text: &str| {
    // No path may lead to this machine's devices: what a file holds is no part of the text.
    if text.contains("\"/") || text.contains("'/") || text.contains("..") {
        return;
    }
    let source = Source::new(NAME, text);
    if let Err(error) = satellite::Config::read(&source) {
        is_told(&error);
    }
    if let Err(error) = sentinel::Config::read(&source) {
        is_told(&error);
    }
    if let Ok(raw) = source.parse::<RawMapping>() {
        drop(Mapping::checked(raw));
    }
});
