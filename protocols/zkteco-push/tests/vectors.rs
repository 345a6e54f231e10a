//! Every vector, from its bytes to what we make of it.
//!
//! A vector is two files in `vectors/`: `NAME.http` holds a request line, an optional
//! `Language:` line, an empty line and the body; `NAME.expect` says in words what must come of
//! it, including the reply. All were made for this crate: real shapes, fictitious values. The
//! word `S3CR3T` (in base64 `UzNDUjNU`) stands where a secret or a template would be and must
//! not come out anywhere.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use event::{Event, Millis, Route, Zone};
use zkteco_push::{
    AccessBlock, Ask, Context, Dialect, Head, Hello, LineCounter, OptionBlock, Reading, Refusal,
    Reply, Request, Upload, parse_results, read_settings, read_upload, route,
};

mod common;

use common::VECTORS;

const SPEC: &str = include_str!("../SPEC.md");

/// When each vector comes in; the terminals stand in Mexico City (UTC-6).
const RECEIVED: &str = "2026-11-21 16:15:45";

#[test]
fn every_vector_gives_what_its_expectation_says() {
    for (name, bytes, expected) in VECTORS {
        let shown = show(bytes);
        assert!(shown == **expected, "{name}: this came out:\n{shown}");
    }
}

#[test]
fn no_vector_lets_a_secret_out() {
    for (name, bytes, expected) in VECTORS {
        let shown = show(bytes);
        for secret in ["S3CR3T", "UzNDUjNU"] {
            assert!(!shown.contains(secret), "{name}");
            assert!(!expected.contains(secret), "{name}");
        }
    }
    let with_secrets = |v: &&(&str, &[u8], &str)| v.1.windows(6).any(|w| w == b"S3CR3T");
    assert!(VECTORS.iter().filter(with_secrets).count() > 5);
}

#[test]
fn every_file_of_the_folder_is_tested_and_named_in_the_specification() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let found: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let tested: BTreeSet<String> = VECTORS.iter().map(|v| v.0.to_owned()).collect();
    assert_eq!(found, tested);
    for (name, ..) in VECTORS {
        assert!(SPEC.contains(&format!("`{name}`")), "{name}");
    }
}

/// The request line, the language and the body of a vector.
fn split(bytes: &[u8]) -> (&str, Option<u16>, &[u8]) {
    let end = bytes.windows(2).position(|w| w == b"\n\n").unwrap();
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let (line, rest) = head.split_once('\n').unwrap_or((head, ""));
    let language = rest.strip_prefix("Language: ").map(|l| l.parse().unwrap());
    (line, language, &bytes[end + 2..])
}

fn show(bytes: &[u8]) -> String {
    let (line, language, body) = split(bytes);
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let head = Head {
        method,
        path,
        query,
    };
    let (mut out, reply) = match route(&head) {
        Ok(request) => {
            let (out, reply) = serve(&request, language, body);
            (format!("serial {}\n{out}", request.serial), reply)
        }
        Err(error) => (
            format!("refused: {error}\n"),
            Reply::refuse(error.refusal()),
        ),
    };
    write!(out, "reply {}\n{}", reply.status, reply.body).unwrap();
    out
}

fn serve(request: &Request, language: Option<u16>, body: &[u8]) -> (String, Reply) {
    match &request.ask {
        Ask::Handshake(hello) => greet(request, hello),
        Ask::Upload(upload) => serve_upload(upload, language, body),
        Ask::Poll(info) => (format!("poll {info:?}\n"), Reply::ok()),
        Ask::CommandResults => (show_results(body), Reply::ok()),
        Ask::Ping => ("ping\n".into(), Reply::ok()),
        Ask::Time => ("time\n".into(), Reply::time(received(), -6 * 3600)),
        Ask::Registry => {
            let settings = read_settings(body);
            let show = |(key, value): &(_, _)| format!("option {key}={value}\n");
            let out = settings.iter().map(show).collect();
            (out, Reply::registered(&request.serial))
        }
        Ask::Configuration => {
            let block = AccessBlock::new(&request.serial);
            ("configuration\n".into(), Reply::configuration(&block))
        }
        Ask::PackedTime => {
            let reply = Reply::packed_time(received(), -6 * 3600).unwrap();
            ("packed time\n".into(), reply)
        }
        Ask::Unserved(name) => (
            format!("unserved {name}\n"),
            Reply::refuse(Refusal::of_unserved(name)),
        ),
    }
}

/// A handshake, answered to a terminal that has registered before.
fn greet(request: &Request, hello: &Hello) -> (String, Reply) {
    let dialect = Dialect::shown_by(&request.ask);
    let out = format!("{hello:?}\ndialect {dialect:?}\n");
    if dialect == Some(Dialect::Access) {
        let block = AccessBlock::new(&request.serial);
        return (out, Reply::greeting(&block, true));
    }
    let version = hello.push_version.as_deref();
    let mut block = OptionBlock::new(&request.serial, version);
    block.time_zone = Some(-6 * 3600);
    (out, Reply::options(&block))
}

fn serve_upload(upload: &Upload, language: Option<u16>, body: &[u8]) -> (String, Reply) {
    let zone = Zone::named("America/Mexico_City").unwrap();
    let context = Context {
        zone: &zone,
        route: match upload.answers_command {
            Some(_) => Route::Backfill,
            None => Route::Push,
        },
        received_at: received(),
        language,
    };
    let reading = read_upload(&upload.table, &Bytes::copy_from_slice(body), &context);
    if !upload.table.holds_records() {
        let mut counter = LineCounter::new(&upload.table);
        counter.feed(body);
        assert_eq!(counter.records(), reading.records);
    }
    let stamp = upload.stamp.as_ref().map(|s| s.as_str());
    let mut out = format!("table {} stamp {stamp:?}", upload.table.name());
    if let Some(command) = &upload.answers_command {
        write!(out, " answers {command}").unwrap();
    }
    if let Some((part, of)) = upload.part.filter(|(_, of)| *of > 1) {
        write!(out, " part {part} of {of}").unwrap();
    }
    writeln!(out).unwrap();
    show_reading(&mut out, &reading);
    (out, Reply::stored(&upload.acknowledge, reading.records))
}

fn show_reading(out: &mut String, reading: &Reading) {
    writeln!(
        out,
        "records {} dropped {}",
        reading.records, reading.dropped
    )
    .unwrap();
    for event in &reading.events {
        show_event(out, event);
    }
    for q in &reading.quarantined {
        let raw = q.raw.escape_ascii();
        writeln!(
            out,
            "quarantine {} {} ({}): {raw}",
            q.source, q.reason, q.detail
        )
        .unwrap();
    }
    for (key, value) in &reading.options {
        writeln!(out, "option {key}={value}").unwrap();
    }
    for place in &reading.places {
        let wall = place.wall.map(|wall| wall.to_string());
        let wall = wall.as_deref().unwrap_or("an unbelievable time");
        writeln!(out, "index {} at {wall}", place.index).unwrap();
    }
    if let Some(state) = &reading.state {
        writeln!(out, "state {}", state.summary()).unwrap();
    }
}

fn show_event(out: &mut String, event: &Event) {
    let at = event.occurred_at.map(Millis::text);
    write!(
        out,
        "{} {} {} {}",
        event.kind, event.route, event.timeliness, event.clock
    )
    .unwrap();
    for (name, value) in [
        ("person", event.person.as_deref()),
        ("local", event.local_time.as_deref()),
        ("utc", at.as_deref()),
        ("status", event.status_code.as_deref()),
        ("verify", event.verify_code.as_deref()),
        ("code", event.vendor_code.as_deref()),
        ("direction", event.direction.map(event::Direction::as_str)),
        ("card", event.card.as_deref()),
        ("door", event.door.as_deref()),
        ("attributes", event.attributes.as_deref()),
    ] {
        if let Some(value) = value {
            write!(out, " {name}={value}").unwrap();
        }
    }
    writeln!(out, "\n  raw {}", event.raw.escape_ascii()).unwrap();
}

fn show_results(body: &[u8]) -> String {
    let show = |result| format!("{result:?}\n");
    parse_results(body).iter().map(show).collect()
}

fn received() -> Millis {
    Millis::parse(RECEIVED).unwrap()
}
