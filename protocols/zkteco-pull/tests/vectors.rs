//! Every vector, from its bytes to what we make of it.
//!
//! A vector is two files in `vectors/`. `NAME.hex` holds comments that explain its bytes (`#`),
//! a line that says what it is, and bytes: `>` what a session must send, `<` what the terminal
//! answers, `|` data of a log, a user table or an event. `NAME.expect` says in words what must
//! come of it. All were computed for this crate, checksums and keys by formulas of their own:
//! real shapes, fictitious values. `S3CR3T` stands where a password would be and must not come
//! out anywhere.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails its test")]

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use common::START;
use event::{Event, Millis, Quarantined, Route, Text, Zone};
use zkteco_pull::{
    Action, Ask, CommKey, Context, Delivery, Extent, Log, Normalizer, Realtime, Session,
    SessionOptions, Transport, UserList, attlog, realtime,
};

macro_rules! vectors {
    ($($name:literal)+) => {
        /// Name, bytes, expectation.
        const VECTORS: &[(&str, &str, &str)] = &[$((
            $name,
            include_str!(concat!("../vectors/", $name, ".hex")),
            include_str!(concat!("../vectors/", $name, ".expect")),
        )),+];
    };
}

vectors! {
    "attlog-16" "attlog-40" "attlog-49" "attlog-8" "attlog-8-flags" "attlog-bad-records"
    "attlog-in-doubt" "connect-key" "connect-panel" "connect-secure" "connect-wrong-key" "events"
    "info" "listen" "log-direct" "log-inline" "log-short" "log-udp" "log-windows" "sizes-92"
    "users-28" "users-72"
}

const SPEC: &str = include_str!("../SPEC.md");

#[test]
fn every_vector_gives_what_its_expectation_says() {
    for (name, bytes, expected) in VECTORS {
        let shown = show(bytes);
        assert!(shown == **expected, "{name}: this came out:\n{shown}");
    }
}

#[test]
fn no_vector_lets_a_password_out() {
    let secret = "53 33 43 52 33";
    let joined = |hex: &str| hex.replace("\n ", "");
    let with_secrets = |v: &&(&str, &str, &str)| joined(v.1).contains(secret);
    assert!(VECTORS.iter().filter(with_secrets).count() >= 2);
    for (name, bytes, _) in VECTORS {
        assert!(!show(bytes).contains("S3CR3"), "{name}");
    }
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

/// The line that says what it is, and the marked bytes.
fn split(text: &str) -> (&str, Vec<(char, Vec<u8>)>) {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let head = lines.next().unwrap();
    let mut blocks: Vec<(char, Vec<u8>)> = Vec::new();
    for line in lines {
        let (mark, hex) = line.split_at(2);
        if mark != "  " {
            blocks.push((mark.chars().next().unwrap(), Vec::new()));
        }
        let bytes = hex
            .split_whitespace()
            .map(|byte| u8::from_str_radix(byte, 16).unwrap());
        blocks.last_mut().unwrap().1.extend(bytes);
    }
    (head, blocks)
}

fn show(text: &str) -> String {
    let (head, blocks) = split(text);
    let words: Vec<&str> = head.split(' ').collect();
    match words[..] {
        ["session", transport, ask, key] => show_session(transport, ask, key, &blocks),
        ["log"] => show_log(&blocks[0].1),
        ["users"] => format!("{:?}\n", UserList::read(&blocks[0].1, None)),
        ["event", flag] => {
            let flag = flag.parse().unwrap();
            let events = blocks.iter();
            events
                .map(|(_, data)| show_event(&realtime::read(flag, &Bytes::copy_from_slice(data))))
                .collect()
        }
        _ => panic!("{head}"),
    }
}

/// Plays the terminal's part and compares ours byte by byte.
fn show_session(transport: &str, ask: &str, key: &str, blocks: &[(char, Vec<u8>)]) -> String {
    let ask = match ask {
        "clock" => Ask::Clock,
        "info" => Ask::Info,
        "sizes" => Ask::Sizes,
        "users" => Ask::Users,
        "log" => Ask::Log(Extent::Whole),
        "listen" => Ask::Listen,
        other => panic!("{other}"),
    };
    let options = SessionOptions {
        transport: if transport == "udp" {
            Transport::Udp
        } else {
            Transport::Tcp
        },
        key: CommKey::parse(key),
        asks: vec![ask],
        ..SessionOptions::default()
    };
    let mut session = Session::new(options, START);
    let mut out = String::new();
    for (mark, bytes) in blocks {
        if *mark == '<' {
            session.heard(bytes, START);
            continue;
        }
        match until_send(&mut session, &mut out) {
            Action::Send(sent) => assert_eq!(sent[..], bytes[..]),
            other => panic!("{other:?} instead of a request; so far:\n{out}"),
        }
    }
    let end = until_send(&mut session, &mut out);
    match &end {
        Action::Close(error) => writeln!(out, "close {error}").unwrap(),
        Action::Wait(until) => writeln!(out, "wait {} ms", until.0 - START.0).unwrap(),
        other => writeln!(out, "{other:?}").unwrap(),
    }
    out
}

/// Shows what is learned until something else is to do.
fn until_send(session: &mut Session, out: &mut String) -> Action {
    loop {
        match session.next(START) {
            Action::Got(Delivery::Log(log)) => show_records(out, &log),
            Action::Got(Delivery::Event(event)) => out.push_str(&show_event(&event)),
            Action::Got(delivery) => writeln!(out, "{delivery:?}").unwrap(),
            other => return other,
        }
    }
}

fn show_log(records: &[u8]) -> String {
    let mut out = String::new();
    match attlog::choose(records, attlog::Hints::default(), START) {
        Ok(layout) => {
            let log = Log {
                layout: Some(layout),
                first: 0,
                data: Bytes::copy_from_slice(records),
            };
            show_records(&mut out, &log);
        }
        Err(doubt) => writeln!(out, "refused: {doubt}").unwrap(),
    }
    out
}

fn show_records(out: &mut String, log: &Log) {
    writeln!(
        out,
        "log {:?}, {} records from {}",
        log.layout,
        log.len(),
        log.first
    )
    .unwrap();
    let punches = Realtime::Punches(log.records().collect());
    out.push_str(&show_event(&punches));
}

fn show_event(event: &Realtime) -> String {
    if let Realtime::Other { flag, raw } = event {
        return format!("other {flag}: {}\n", raw.escape_ascii());
    }
    let zone = Zone::named("America/Mexico_City").unwrap();
    let people = [(1, "007"), (2, "A-9"), (3, "42"), (5, "042")];
    let users = UserList::of(people.map(|(uid, pin)| (uid, Text::new(pin))));
    let mut normalizer = Normalizer::new(Context {
        zone: &zone,
        users: Some(&users),
        route: Route::Pull,
        received_at: START,
    });
    let rows = normalizer.realtime(event);
    rows.iter()
        .map(|row| row.as_ref().map_or_else(kept, punched))
        .collect()
}

fn kept(q: &Quarantined) -> String {
    format!("quarantine {} {} ({})\n", q.source, q.reason, q.detail)
}

fn punched(event: &Event) -> String {
    let mut out = format!(
        "{} {} {} {}",
        event.kind, event.route, event.timeliness, event.clock
    );
    let at = event.occurred_at.map(Millis::text);
    for (name, value) in [
        ("person", event.person.as_deref()),
        ("local", event.local_time.as_deref()),
        ("utc", at.as_deref()),
        ("status", event.status_code.as_deref()),
        ("verify", event.verify_code.as_deref()),
        ("attributes", event.attributes.as_deref()),
    ] {
        if let Some(value) = value {
            write!(out, " {name}={value}").unwrap();
        }
    }
    out.push('\n');
    assert_eq!(
        (event.direction, &event.card, &event.door),
        (None, &None, &None)
    );
    out
}
