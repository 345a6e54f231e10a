//! Nothing a device sends can panic, fill the memory, or be read differently because the network
//! cut it otherwise.
//!
//! Vectors are changed, shortened and lengthened; random parts and random bytes follow; then come
//! the attacks: documents, heads, pictures and lines without end. What must hold each time is
//! that all that comes out is within the limits of the store and the buffers within theirs.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails its test")]

mod common;
mod laws;

use bytes::Bytes;
use common::{VECTORS, items, show, split_post};
use hikvision_isapi::{
    AlertStream, Heard, Item, PartKind, PostReader, Skip, TEXT_LIMIT, read_part, token_of,
};
use laws::{HEAD, check, check_heard};
use proptest::prelude::*;

/// Most bytes that any reader holds: a text part, the piece that is being read, and a head.
const HELD_LIMIT: usize = TEXT_LIMIT + 32 * 1024;

#[test]
fn changed_shortened_and_lengthened_vectors_are_read() {
    let telling = b"\0\r\n-{}[]<>/\"\\:,; 09aZ\x7f\x80\xff\xd9";
    let mut turn = 0usize;
    for (_, vector, _) in VECTORS {
        let vector = match vector.starts_with(b"POST ") {
            true => split_post(vector).2,
            false => vector,
        };
        let step = vector.len().div_ceil(25).max(1);
        for at in (turn % step..vector.len()).step_by(step) {
            turn += 1;
            let mut changed = vector.to_vec();
            changed[at] = telling[turn % telling.len()];
            check(&changed);
            changed.remove(at);
            check(&changed);
            changed.splice(at..at, vector[..at].iter().rev().take(40).copied());
            check(&changed);
            check(&vector[..at]);
        }
    }
    assert!(turn > 1200, "the sweep covers hardly anything: {turn}");
}

/// Pieces that streams and posts are made of, whole and broken.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let fixed: [&[u8]; 24] = [
        b"--MIME_boundary\r\n",
        b"--mime_boundary\n",
        b"--MIME_boundary--\r\n",
        b"--other\r\n",
        b"--",
        b"\r\n\r\n",
        b"\n",
        b"Content-Type: application/json\r\n",
        b"Content-Type: image/jpeg\r\n",
        b"Content-Length: 40\r\n",
        b"\xff\xd8\xff\xe0",
        b"\xff\xd9",
        b"{\"eventType\":\"heartBeat\"}",
        b"{\"majorEventType\":5,\"subEventType\":75,\"dateTime\":\"2026-11-21T10:15:30Z\",\"serialNo\":7}",
        b"{\"a\":\"",
        b"}",
        b"<EventNotificationAlert><eventType>VMD</eventType></EventNotificationAlert>",
        b"<a>",
        b"</a>",
        b"<!-- ",
        b"-->",
        b"<![CDATA[",
        b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed\r\n\r\n",
        b"HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\n",
    ];
    prop_oneof![
        8 => prop::sample::select(fixed.to_vec()).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (1usize..3000).prop_map(|length| vec![b'x'; length]),
    ]
}

proptest! {
    #[test]
    fn any_mixture_is_read_the_same_however_it_is_cut(
        pieces in prop::collection::vec(piece(), 0..25),
        cuts in prop::collection::vec(1usize..200, 1..20),
        chunked in any::<bool>(),
    ) {
        let body = pieces.concat();
        check(&body);
        let coding = if chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
        let head = format!("HTTP/1.1 200 OK\r\n{coding}Content-Type: multipart/mixed; boundary=MIME_boundary\r\n\r\n");
        let mut response = head.into_bytes();
        if chunked {
            for (part, size) in body.chunks(97).zip(1..) {
                response.extend(format!("{:x};n={size}\r\n", part.len()).into_bytes());
                response.extend(part);
                response.extend(b"\r\n");
            }
        } else {
            response.extend(&body);
        }
        let mut rest = &response[..];
        let mut cut = Vec::new();
        for size in cuts.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*size));
            cut.push(now);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(items(cut), items([&response[..]]));
    }

    #[test]
    fn a_good_event_between_delimiters_is_found_whatever_came_before(before in prop::collection::vec(piece(), 0..12)) {
        let good = b"\r\n--MIME_boundary\r\nContent-Type: application/json\r\n\r\n{\"eventType\":\"GOOD\"}\r\n--MIME_boundary\r\n";
        // An unfinished document may swallow one delimiter's worth of text, not two.
        let mut body = b"--MIME_boundary\r\n\r\n".to_vec();
        body.extend(before.concat());
        prop_assume!(!body.windows(7).any(|w| w == b"HTTP/1.") && !body.windows(7).any(|w| w == b"--other"));
        body.extend(good);
        body.extend(good);
        let mut reader = PostReader::new(Some("multipart/mixed; boundary=MIME_boundary"));
        reader.push(&body);
        let is_good = |heard: &Heard| matches!(heard, Heard::Record(r) if r.event_type.as_deref() == Some("GOOD"));
        prop_assert!(reader.finish().heard.iter().any(is_good));
    }

    #[test]
    fn any_bytes_at_all_are_read(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&bytes);
        for kind in [PartKind::Json, PartKind::Xml, PartKind::Unknown] {
            let heard = read_part(kind, &Bytes::copy_from_slice(&bytes));
            prop_assert!(!heard.is_empty() || kind == PartKind::Json);
            check_heard(&heard);
        }
    }

    #[test]
    fn any_field_values_are_read_or_quarantined(
        fields in prop::collection::vec((
            prop::sample::select(vec!["majorEventType", "subEventType", "serialNo", "employeeNoString", "employeeNo", "cardNo", "dateTime", "eventType", "attendanceStatus", "doorNo", "name", "currentEvent", "AccessControllerEvent", "x"]),
            prop_oneof![Just("null".to_owned()), "-?[0-9]{1,25}(\\.[0-9]{1,3})?(e[0-9]{1,3})?", "\"\\PC{0,80}\"", Just("{\"serialNo\":3}".to_owned()), Just("[1]".to_owned()), Just("true".to_owned()), Just("\"2026-11-21T10:15:30-06:00\"".to_owned()), Just("\"5\"".to_owned())],
        ), 0..12),
    ) {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let text = format!("{{{}}}", fields.join(","));
        check_heard(&read_part(PartKind::Json, &Bytes::from(text)));
    }

    #[test]
    fn a_token_is_plain_and_part_of_its_path(path in "(/|//|http://|/http://)?([a-z.:0-9]{0,9}/)?(hikvision|HIKVISION)?/{0,2}\\PC{0,30}(/|\\?\\PC{0,9})?") {
        if let Some(token) = token_of(&path) {
            prop_assert!(path.contains(token) && !token.is_empty() && token.len() <= 128);
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        }
    }
}

/// Feeds a start, megabytes of a filling, and an end; memory stays flat and the rest is read.
fn flood(start: &[u8], filling: &[u8], megabytes: usize, end: &[u8]) -> Vec<Item> {
    let mut stream = AlertStream::new();
    let mut out = Vec::new();
    let megabyte: Vec<u8> = filling.iter().copied().cycle().take(1 << 20).collect();
    let pieces = [HEAD, start].into_iter();
    let pieces = pieces
        .chain(std::iter::repeat_n(&megabyte[..], megabytes))
        .chain([end]);
    for piece in pieces {
        stream.push(piece);
        assert!(stream.held() <= HELD_LIMIT, "{} bytes held", stream.held());
        while let Some(item) = stream.next().unwrap() {
            out.push(item);
        }
    }
    out.remove(0);
    out
}

const GOOD: &[u8] = b"\r\n--b\r\n\r\n{\"eventType\":\"GOOD\"}\r\n";

fn is_good(item: &Item) -> bool {
    matches!(item, Item::Part(part) if &part.body[..] == b"{\"eventType\":\"GOOD\"}")
}

/// Why something was passed over; what is kept of it is bounded and not empty for a part.
fn skipped(item: &Item) -> Option<Skip> {
    match item {
        Item::Skipped { why, cut } => {
            assert!(cut.len() <= TEXT_LIMIT);
            assert_eq!(cut.is_empty(), *why == Skip::BodyTooLong);
            Some(*why)
        }
        _ => None,
    }
}

#[test]
fn a_part_of_100_megabytes_is_passed_over_and_the_next_event_is_read() {
    let text = flood(b"--b\r\n\r\n{\"a\":\"", b"x", 100, GOOD);
    assert_eq!(text.first().and_then(skipped), Some(Skip::TextTooLong));
    assert!(text.iter().any(is_good));
    let picture = flood(b"--b\r\n\r\n\xff\xd8", b"\x55", 100, GOOD);
    assert_eq!(
        picture.first(),
        Some(&Item::Picture {
            bytes: (100 << 20) + 2
        })
    );
    assert!(picture.iter().any(is_good));
}

#[test]
fn every_kind_of_flood_ends_with_the_next_delimiter() {
    for (start, filling, expected) in [
        (
            &b"--b\r\n\r\n{\"a\":\""[..],
            &b"x\n--\n"[..],
            Err(Skip::TextTooLong),
        ),
        (b"--b\r\n\r\n<a>", b"<b>", Err(Skip::TextTooLong)),
        (b"--b\r\n\r\n", b"[", Err(Skip::TextTooLong)),
        (b"--b\r\nX: ", b"x", Err(Skip::HeadTooLong)),
        (b"--b\r\n", b"X: y\r\n", Err(Skip::HeadTooLong)),
        (b"--b\r\n\r\n\xff\xd8", b"\xff\xd9\n--", Ok((2 << 20) + 2)),
        (
            b"--b\r\nContent-Length: 5\r\n\r\n\xff\xd8",
            b"\n\n\n.",
            Ok((2 << 20) + 2),
        ),
    ] {
        let items = flood(start, filling, 2, GOOD);
        let first = items.first();
        let passed = match expected {
            Ok(bytes) => first == Some(&Item::Picture { bytes }),
            Err(why) => first.and_then(skipped) == Some(why),
        };
        assert!(passed, "{}", start.escape_ascii());
        assert!(items.iter().any(is_good), "{}", start.escape_ascii());
    }
}

#[test]
fn a_flood_between_parts_leaves_nothing_behind() {
    for filling in [
        &b" \r\n"[..],
        b"x",
        b"noise\n",
        b"--b\r\n",
        b"--b--\n",
        b"--b\r\n\r\n",
    ] {
        let items = flood(b"--b\r\n\r\n", filling, 2, GOOD);
        let parts = items.iter().filter(|item| is_good(item)).count();
        assert_eq!(parts, 1, "{}", filling.escape_ascii());
    }
}

#[test]
fn a_response_head_or_body_without_end_does_not_stay_in_memory() {
    let mut stream = AlertStream::new();
    stream.push(b"HTTP/1.1 200 OK\r\nX: ");
    stream.push(&vec![b'x'; 1 << 20]);
    assert!(stream.next().is_err() && stream.held() == 0);
    for head in [
        "HTTP/1.1 404 No\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n<",
        "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n",
    ] {
        let mut stream = AlertStream::new();
        stream.push(head.as_bytes());
        for _ in 0..3 {
            stream.push(&vec![b' '; 1 << 20]);
            assert!(stream.held() <= HELD_LIMIT);
        }
        stream.finish();
        let mut skips = 0;
        while let Some(item) = stream.next().unwrap() {
            skips += u32::from(skipped(&item) == Some(Skip::BodyTooLong));
        }
        assert_eq!(skips, 1, "{head}");
    }
}

#[test]
fn a_post_holds_no_picture_however_long_and_the_event_before_it_is_heard() {
    let mut reader = PostReader::new(None);
    reader.push(GOOD);
    reader.push(b"--b\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8");
    let megabyte = vec![0x55; 1 << 20];
    for _ in 0..40 {
        reader.push(&megabyte);
        assert!(reader.held() <= HELD_LIMIT);
    }
    let post = reader.finish();
    assert!(
        matches!(&post.heard[..], [Heard::Record(_)]),
        "{:?}",
        post.heard
    );
    assert_eq!((post.pictures, post.left_out, post.skipped), (1, 0, 0));
    assert_eq!(post.dropped, 0);
    assert!(post.bytes > 40 << 20);
}

#[test]
fn depth_numbers_and_entities_end_in_quarantine() {
    let deep = "[".repeat(10_000);
    let objects = "{\"a\":".repeat(10_000);
    let laughs = "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><EventNotificationAlert>&b;</EventNotificationAlert>";
    let elements = "<a>".repeat(10_000);
    for text in [
        format!("{{\"a\":{deep}{}}}", "]".repeat(10_000)),
        format!("{objects}1{}", "}".repeat(10_000)),
        format!("{deep}{}", "]".repeat(10_000)),
        laughs.to_owned(),
        format!("{elements}{}", "</a>".repeat(10_000)),
        "{\"serialNo\":1e400,\"majorEventType\":5}".to_owned(),
        "{\"serialNo\":007,\"majorEventType\":5}".to_owned(),
        "{\"serialNo\":99999999999999999999999,\"majorEventType\":5}".to_owned(),
    ] {
        let mut reader = PostReader::new(None);
        reader.push(text.as_bytes());
        let heard = reader.finish().heard;
        let start = &text[..text.len().min(40)];
        assert!(
            matches!(heard[..], [Heard::Unreadable(_)]),
            "{start}: {heard:?}"
        );
        check_heard(&heard);
    }
    assert!(show(b"POST /hikvision/t\n\n", |all| vec![all]).starts_with("token Some"));
}
