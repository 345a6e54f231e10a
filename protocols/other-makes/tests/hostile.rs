//! Whatever a sender or a mapping file holds, nothing panics, nothing is lost, memory stays bounded.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod laws;

use event::{Bytes, Millis, Quarantined, Route, Zone};
use other_makes::{Context, Mapping, RawMapping, Reading, normalize};
use proptest::prelude::*;

const JSON: &str = "format = 'json'\nrecords = 'rows'\n[fields]\ntime = 't'\nperson = 'p'\nserial = 's'\nid = 'i'\n[attributes]\nx = 'x'";
const CSV: &str = "format = 'csv'\n[fields]\ntime = 'when'\nperson = 'who'";

fn mapping(text: &str) -> Mapping {
    Mapping::checked(toml::from_str(text).unwrap()).unwrap()
}

fn read(text: &str, body: &[u8]) -> (Mapping, Reading) {
    let mapping = mapping(text);
    let reading = mapping.read(&Bytes::copy_from_slice(body));
    (mapping, reading)
}

fn idents(text: &str, body: &str) -> Vec<event::Ident> {
    let (mapping, reading) = read(text, body.as_bytes());
    assert!(reading.unread.is_empty(), "{:?}", reading.unread);
    let context = Context {
        zone: &Zone::utc(),
        route: Route::Listen,
        received_at: Millis(0),
    };
    reading
        .records
        .iter()
        .map(|record| normalize(&mapping, record, &context).ident)
        .collect()
}

fn aside(reading: Reading) -> Vec<Quarantined> {
    reading
        .unread
        .into_iter()
        .map(|one| one.quarantined(Route::Listen, Millis(0)))
        .collect()
}

#[test]
fn a_bad_record_costs_itself_and_never_the_ones_beside_it() {
    let (_, reading) = read(JSON, br#"{"rows":[{"t":"2026-11-27 09:00:00","p":7},{"t":"x","p":1},{"p":1},
        {"t":"2026-11-27 09:00:00"},{"t":"2026-11-27 09:00:00","p":{}},5,null,{"t":"2026-11-27 09:00:01","p":"8"}]}"#);
    assert_eq!((reading.records.len(), reading.unread.len()), (2, 6));
    let reasons: Vec<_> = aside(reading)
        .iter()
        .map(|one| one.reason.as_str())
        .collect();
    assert_eq!(
        reasons,
        [
            "bad_time",
            "bad_time",
            "bad_field",
            "bad_field",
            "bad_time",
            "bad_time"
        ]
    );
    // An open quote swallows its own line only, and a line may lack nothing.
    let (_, reading) = read(CSV, b"\xef\xbb\xbfwhen,who,name\r\n2026-11-27 09:00:00,1,\"open\n2026-11-27 09:00:01,2,Jos\xe9\n2026-11-27 09:00:02,3\n\n2026-11-27 09:00:03,4,x");
    assert_eq!((reading.records.len(), reading.unread.len()), (3, 1));
}

#[test]
fn one_record_in_whatever_grouping_has_one_identity_and_its_twin_another() {
    let one = r#"{"t":"2026-11-27 09:00:00","p":"7","x":"a"}"#;
    let alone = idents(JSON, one);
    assert_eq!(idents(JSON, &format!("[{one}]")), alone);
    assert_eq!(
        idents(JSON, &format!("{{\"n\":1,\"rows\":[{one}]}}")),
        alone
    );
    assert_eq!(
        idents(JSON, &format!("{one}\n{one}\n")),
        [alone[0], alone[0]]
    );
    // Attributes may change between two sendings; a person or a time may not.
    assert_eq!(idents(JSON, &one.replace("\"a\"", "\"b\"")), alone);
    assert_ne!(idents(JSON, &one.replace("\"7\"", "\"07\"")), alone);
    assert_ne!(idents(JSON, &one.replace("09:00:00", "09:00:01")), alone);
    // The sender's own id is the identity where it gives one.
    let with_id = one.replace("\"x\"", "\"i\":5,\"x\"");
    assert_ne!(idents(JSON, &with_id), alone);
    assert_eq!(
        idents(JSON, &with_id.replace("\"7\"", "\"8\"")),
        idents(JSON, &with_id)
    );
}

#[test]
fn a_text_above_its_limit_is_set_aside_whole_and_one_at_it_is_taken() {
    for (length, taken) in [(1_024, 1), (1_025, 0)] {
        let long = "x".repeat(length);
        let body = format!(r#"{{"t":"2026-11-27 09:00:00","p":"7","x":"{long}"}}"#);
        let (_, reading) = read(JSON, body.as_bytes());
        assert_eq!(reading.records.len(), taken, "{length}");
        assert_eq!(reading.unread.len(), 1 - taken, "{length}");
    }
}

#[test]
fn a_million_bad_elements_make_a_bounded_number_of_pieces_and_all_are_counted() {
    let body = format!("[{}]", vec!["1"; 1_000_000].join(","));
    let (_, reading) = read(JSON, body.as_bytes());
    assert_eq!(reading.total(), 1_000_000);
    assert!(reading.unread.len() < 1_100, "{}", reading.unread.len());
    let lines = format!("when,who\n{}", "2026-11-27,x\n".repeat(200_000));
    let (mapping, reading) = read(CSV, lines.as_bytes());
    assert_eq!(reading.total(), 200_000);
    let pieces = aside(reading);
    assert!(
        pieces.len() < 1_100
            && pieces
                .iter()
                .all(|one| one.raw.len() <= Quarantined::RAW_LIMIT)
    );
    // A piece that many share is read again line by line.
    let again = mapping.read(&pieces.last().unwrap().raw);
    assert!(again.total() > 1_000);
}

#[test]
fn a_record_in_quarantine_is_read_again_by_a_mapping_that_was_mended() {
    let body = b"when,who\n27/11/2026 09:00:00,7\n";
    let (_, reading) = read(CSV, body);
    let mended = format!("{CSV}\n[time]\nformat = '%d/%m/%Y %H:%M:%S'");
    let again = mapping(&mended).read(&aside(reading)[0].raw);
    assert_eq!((again.records.len(), again.unread.len()), (1, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_and_no_cut_of_a_body_panic_or_vanish(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0usize..200) {
        for text in [JSON, CSV] {
            laws::check(&mapping(text), &bytes);
            let (_, reading) = read(text, &bytes);
            let whole = bytes.iter().any(|b| !b.is_ascii_whitespace());
            prop_assert!(text == CSV || !whole || reading.total() > 0 || bytes.starts_with(b"\xef\xbb\xbf") || bytes.trim_ascii() == b"[]" || String::from_utf8_lossy(&bytes).trim().is_empty());
        }
        let good = br#"{"rows":[{"t":"2026-11-27 09:00:00","p":7,"x":"\u00e9"},{"t":"2026-11-27 09:00:00","p":"\ud800"}]}"#;
        let (_, reading) = read(JSON, good.get(..cut).unwrap_or(good));
        prop_assert!(cut == 0 || reading.total() > 0);
    }

    #[test]
    fn no_mapping_file_panics_and_one_that_is_accepted_reads_anything(
        format in prop::sample::select(vec!["json", "csv"]), time in "\\PC{0,12}", person in "[a-z0-9.]{0,8}", form in "(%[a-zA-Z%]|[ -~]){0,8}",
        zone in prop::sample::select(vec!["UTC", "America/Tijuana", "x"]), body in "\\PC{0,200}",
    ) {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let text = format!("format = '{format}'\n[fields]\ntime = {}\nperson = {}\n[time]\nformat = {}\nzone = '{zone}'", quoted(&time), quoted(&person), quoted(&form));
        let raw: RawMapping = toml::from_str(&text).unwrap();
        if let Ok(mapping) = Mapping::checked(raw) {
            laws::check(&mapping, body.as_bytes());
        }
    }
}
