//! Nothing a peer sends can panic, and nothing is lost on the way.
//!
//! Every vector is cut at every byte, and changed, shortened and lengthened at every byte;
//! random requests and bodies follow. What must hold each time stands in `laws`.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails its test")]

mod common;
mod laws;

use common::VECTORS;
use event::Zone;
use laws::{check, check_vector, read, zone};
use proptest::prelude::*;
use zkteco_push::{Head, Stamp, Table, parse_results, route};

const TABLES: [&str; 11] = [
    "ATTLOG",
    "OPERLOG",
    "ERRORLOG",
    "options",
    "BIODATA",
    "ATTPHOTO",
    "UPDATES",
    "",
    "rtlog",
    "rtstate",
    "transaction",
];

#[test]
fn every_truncation_of_every_vector_is_read_without_a_panic() {
    let zone = zone();
    for (_, vector, _) in VECTORS {
        for end in 0..=vector.len() {
            check_vector(&zone, &vector[..end]);
        }
    }
}

/// Vectors up to this length are swept with all 256 values of each byte, longer ones with
/// every flipped bit and every byte that means something to a reader, which keeps the sweep at
/// seconds.
const FULL_SWEEP: usize = 130;

#[test]
fn every_change_of_one_byte_of_every_vector_is_read_without_a_panic() {
    // Zone rules are not what is swept here, and looking them up is slow.
    let zone = Zone::utc();
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let telling = b"\0\x01\t\n\r =&%+,~/?.:;-_09AZaz\"\\\x7f\x80\x81\xc3\xe5\xf0\xff";
    let mut full = 0;
    for (_, vector, _) in VECTORS {
        let mut changed = vector.to_vec();
        for at in 0..changed.len() {
            let original = changed[at];
            let bits: Vec<u8> = (0..8).map(|bit| original ^ (1 << bit)).collect();
            let short = vector.len() <= FULL_SWEEP;
            full += u32::from(short);
            let values = if short {
                all.clone()
            } else {
                [&bits, &telling[..]].concat()
            };
            for value in values {
                changed[at] = value;
                check_vector(&zone, &changed);
            }
            changed[at] = original;
        }
    }
    assert!(full > 1_000, "the full sweep covers hardly anything");
}

#[test]
fn every_byte_left_out_or_doubled_is_read_without_a_panic() {
    let zone = zone();
    for (_, vector, _) in VECTORS {
        for at in 0..vector.len() {
            check_vector(&zone, &[&vector[..at], &vector[at + 1..]].concat());
            check_vector(&zone, &[&vector[..=at], &vector[at..]].concat());
        }
    }
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        Just(b"2026-11-21 10:15:30".to_vec()),
        Just(b"2026-11-01 01:30:00".to_vec()),
        Just(b"time=2026-11-01 01:30:00\tevent=0".to_vec()),
        "(index|time_second|event|pin)=[0-9]{0,12}".prop_map(String::into_bytes),
        "[0-9]{0,40}".prop_map(String::into_bytes),
        "(PIN|Pin|OPLOG |USER |ERRORLOG |ErrCode|Tmp|Passwd|time|time_second|event|index|cardno|sensor|transaction pin)=?".prop_map(String::into_bytes),
        "\\PC{0,30}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(field, 0..20).prop_map(|fields| fields.join(&b'\t'))
}

proptest! {
    #[test]
    fn every_record_of_any_body_ends_in_exactly_one_place(
        lines in prop::collection::vec(line(), 0..12),
        end in prop::sample::select(vec!["\n", "\r\n", "\r", "\0\n"]),
        table in prop::sample::select(TABLES.to_vec()),
        language in prop::sample::select(vec![None, Some(69), Some(83)]),
    ) {
        check(&zone(), &Table::from_name(table), &lines.join(end.as_bytes()), language);
    }

    #[test]
    fn any_bytes_at_all_are_read(
        body in prop::collection::vec(any::<u8>(), 0..400),
        table in prop::sample::select(TABLES.to_vec()),
    ) {
        let table = Table::from_name(table);
        let reading = read(&zone(), &table, &body, None);
        prop_assert!(reading.records <= 401);
        prop_assert!(parse_results(&body).len() <= 400);
    }

    #[test]
    fn any_request_line_is_routed_or_refused(
        method in "(GET|POST|PUT|\\PC{0,8})",
        path in "(/iclock/){0,3}(cdata|fdata|getrequest|devicecmd|ping|push|\\PC{0,20})(\\.aspx|\\.php)?",
        query in "(SN=[A-Za-z0-9]{0,40}|\\PC{0,40}|%[0-9a-f%]{0,3}|&|table=\\PC{0,20}|Stamp=[0-9T:-]{0,25}|INFO=[\\PC,]{0,60}){0,8}",
    ) {
        let head = Head { method: &method, path: &path, query: &query };
        if let Err(error) = route(&head) {
            prop_assert!(!error.to_string().chars().any(char::is_control));
            prop_assert!(error.to_string().len() < 600);
        }
    }

    #[test]
    fn a_stamp_that_is_accepted_is_one_plain_word(text in "([0-9]{0,22}|[0-9T: -]{19}|\\PC{0,30})") {
        if let Ok(stamp) = Stamp::new(&text) {
            prop_assert_eq!(stamp.as_str(), &text);
            let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'T' | b'-' | b':');
            prop_assert!(!text.is_empty() && text.bytes().all(plain));
            prop_assert!(stamp.gives_way_to(&stamp));
        }
    }

    #[test]
    fn a_good_line_is_read_the_same_whatever_its_neighbours_are(
        before in prop::collection::vec(line(), 0..5),
        after in prop::collection::vec(line(), 0..5),
    ) {
        const GOOD: &[u8] = b"QZ77\t2026-11-21 10:15:30\t3\t15\t8\t0\t0";
        let zone = zone();
        let alone = read(&zone, &Table::AttLog, GOOD, None).events.remove(0);
        let lines: Vec<&[u8]> = before
            .iter()
            .map(Vec::as_slice)
            .chain([GOOD])
            .chain(after.iter().map(Vec::as_slice))
            .collect();
        let events = read(&zone, &Table::AttLog, &lines.join(&b"\r\n"[..]), None).events;
        prop_assert_eq!(events.iter().filter(|e| **e == alone).count(), 1);
    }
}
