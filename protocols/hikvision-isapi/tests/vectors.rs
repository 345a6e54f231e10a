//! Every vector, from its bytes to the events and the quarantine that come of it.
//!
//! All were made for this crate: real shapes, values of our own (addresses of RFC 5737 and
//! RFC 7042, no real person or device). The same must come out however the bytes are cut into
//! packets, because a network cuts them as it likes.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::collections::BTreeSet;
use std::path::Path;

mod common;

use common::{VECTORS, as_response, items, show};

const SPEC: &str = include_str!("../SPEC.md");

#[test]
fn every_vector_gives_what_its_expectation_says() {
    for (name, bytes, expected) in VECTORS {
        let shown = show(bytes, |all| vec![all]);
        assert!(shown == **expected, "{name}: this came out:\n{shown}");
    }
}

#[test]
fn every_vector_gives_the_same_in_pieces_of_every_small_size() {
    for (name, bytes, expected) in VECTORS {
        for size in [1, 2, 3, 5, 7, 16, 61, 256, 1021] {
            let shown = show(bytes, |all| all.chunks(size).collect());
            assert!(
                shown == **expected,
                "{name} in pieces of {size}: this came out:\n{shown}"
            );
        }
    }
}

#[test]
fn every_vector_gives_the_same_parts_when_it_is_cut_at_any_one_place() {
    for (name, bytes, _) in VECTORS {
        let response = as_response(bytes);
        let whole = items([&response[..]]);
        // Every place of the shorter ones; of the longer ones every fifth.
        let step = if response.len() <= 1500 { 1 } else { 5 };
        for at in (0..response.len()).step_by(step) {
            let (one, other) = response.split_at(at);
            assert_eq!(items([one, other]), whole, "{name} cut at {at}");
        }
    }
}

#[test]
fn every_file_of_the_folder_is_tested_and_named_in_the_specification() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let found: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let tested: BTreeSet<String> = VECTORS.iter().map(|v| v.0.to_owned()).collect();
    assert_eq!(found, tested);
    for (name, ..) in VECTORS {
        assert!(SPEC.contains(&format!("`{name}`")), "{name}");
    }
}
