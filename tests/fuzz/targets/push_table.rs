//! A body of a terminal that pushes, read as each table: the first byte chooses, and the language.

#![no_main]

#[path = "../../../protocols/zkteco-push/tests/laws/mod.rs"]
mod laws;

use event::Zone;
use libfuzzer_sys::fuzz_target;
use zkteco_push::{Table, parse_results, read_settings};

const TABLES: [&str; 10] = [
    "ATTLOG",
    "OPERLOG",
    "ERRORLOG",
    "options",
    "BIODATA",
    "UPDATES",
    "",
    "rtlog",
    "rtstate",
    "transaction",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, body)) = bytes.split_first() else {
        return;
    };
    let choice = usize::from(choice);
    let language = [None, Some(69), Some(83)][choice / TABLES.len() % 3];
    let table = Table::from_name(TABLES[choice % TABLES.len()]);
    laws::check(&Zone::utc(), &table, body, language);
    assert!(
        parse_results(body)
            .iter()
            .all(|result| result.extra.len() <= 256)
    );
    assert!(read_settings(body).len() <= 512);
});
