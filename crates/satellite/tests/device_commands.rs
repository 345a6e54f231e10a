//! `satellite devices command` as a person runs it: the real program on SQLite.
//!
//! What is refused, what would be sent and what stands in the audit are promises; that a command
//! reaches its terminal is tried at the door.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Daemon, House};

fn house() -> House {
    let house = House::new();
    house.fine(&[
        "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--serial", "ABC1",
    ]);
    house
}

fn actions(house: &House) -> Vec<String> {
    let shown = house.json(&["devices", "show", "ABC1", "--json"]);
    let lines = shown["audit"].as_array().unwrap().iter();
    lines
        .map(|line| line["action"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_dry_run_says_what_would_be_sent_and_writes_nothing() {
    let house = house();
    let window = [
        "--from",
        "2026-11-20 00:00:00",
        "--to",
        "2026-11-20 23:59:59",
    ];
    let said = house.json(
        &[
            &["devices", "command", "ABC1", "records"][..],
            &window,
            &["--dry-run", "--json"],
        ]
        .concat(),
    );
    assert_eq!(
        said["text"],
        "DATA QUERY ATTLOG StartTime=2026-11-20 00:00:00\tEndTime=2026-11-20 23:59:59"
    );
    assert_eq!(
        (&said["class"], &said["sent"]),
        (&"reads".into(), &false.into())
    );
    assert_eq!(actions(&house), ["add"]);
}

#[test]
fn a_command_is_written_down_with_its_audit() {
    let house = house();
    let said = house.json(&["devices", "command", "ABC1", "info", "--no-wait", "--json"]);
    assert_eq!(
        (&said["state"], &said["text"]),
        (&"waiting".into(), &"INFO".into())
    );
    assert_eq!(said["id"].as_str().unwrap().len(), 13);
    assert_eq!(actions(&house), ["add", "command"]);
}

#[test]
fn what_wipes_opens_or_moves_a_terminal_is_refused_by_name_and_stands_in_the_audit() {
    let house = house();
    for (text, part) in [
        ("CLEAR DATA", "clears"),
        ("DATA DELETE user uid=1", "clears"),
        ("AC_UNLOCK", "opens doors"),
        (
            "SET OPTION ICLOCKSVRURL=http://192.0.2.1",
            "changes settings",
        ),
        ("SHELL reboot", "runs programs"),
        ("DATA UPDATE USERINFO PIN=1", "touches people"),
        ("nonsense", "not one of the commands"),
        ("time", "not measured"),
    ] {
        let error = house.failed(&["devices", "command", "ABC1", text]);
        assert!(error.contains(part), "{text}: {error}");
    }
    // The newest lines of the audit.
    let last = actions(&house);
    let refused = |action: &String| action == "command_refused";
    assert!(last.len() > 1 && last.iter().all(refused), "{last:?}");
    let spanish = house.failed(&["devices", "command", "ABC1", "CLEAR DATA", "--lang", "es"]);
    assert!(spanish.contains("no se manda"), "{spanish}");
}

#[test]
fn a_command_without_its_time_its_terminal_or_a_sensible_expiry_is_explained() {
    let house = house();
    let failed = |words: &[&str]| house.failed(&[&["devices", "command"], words].concat());
    assert!(failed(&["ABC1", "records"]).contains("--from"));
    assert!(failed(&["ABC1", "records", "--from", "2026-11-20"]).contains("--to"));
    assert!(failed(&["ABC1", "options", "--names", "ComKey"]).contains("passwords"));
    assert!(failed(&["ABC1", "info", "--expires", "30d"]).contains("24h"));
    assert!(failed(&["NOBODY", "info"]).contains("NOBODY"));
    house.fine(&["devices", "block", "ABC1"]);
    assert!(failed(&["ABC1", "info"]).contains("blocked"));
}

#[test]
fn a_recording_is_a_job_with_its_audit_and_refused_where_nothing_can_be_recorded() {
    let house = house();
    let record = |words: &[&str]| house.run(&[&["devices", "record"], words].concat());
    let queued = record(&["ABC1", "--minutes", "5", "--no-wait", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&queued.out).unwrap();
    assert_eq!(
        (queued.status, &said["serial"], said["job"].is_number()),
        (0, &"ABC1".into(), true)
    );
    assert_eq!(actions(&house), ["add", "record"]);
    let es = house.fine(&["devices", "show", "ABC1", "--lang", "es"]);
    assert!(es.contains("grabación"), "{es}");

    house.fine(&common::add_hikvision("K12345678", &["--listen"]));
    for (words, part) in [
        (&["NOBODY"][..], "NOBODY"),
        (&["K12345678"], "ZKTeco"),
        (&["ABC1", "--minutes", "0"], "1..=60"),
        (&["ABC1", "--minutes", "61"], "1..=60"),
    ] {
        let left = record(words);
        assert!(left.status != 0 && left.err.contains(part), "{}", left.err);
    }
    house.fine(&["devices", "block", "ABC1"]);
    assert!(record(&["ABC1"]).err.contains("blocked"));
    house.fine(&["devices", "approve", "ABC1"]);
    house.fine(&["lockdown", "on", "--reason", "a drill"]);
    let left = record(&["ABC1"]);
    assert!(
        left.status == 1 && left.err.contains("lockdown"),
        "{}",
        left.err
    );
    let jobs = actions(&house).iter().filter(|it| *it == "record").count();
    assert_eq!(jobs, 1, "what was refused stands nowhere");
}

/// One request of the terminal, and the body of its reply.
fn says(devices: &str, method: &str, word: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(devices).unwrap();
    let length = body.len();
    let head = format!(
        "{method} /iclock/{word}?SN=ABC1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "no executor runs in this test")]
fn a_command_is_watched_to_its_end_and_its_answer_is_shown() {
    let house = house();
    let daemon = Daemon::start(&house);
    let devices = daemon.devices.clone();
    let terminal = std::thread::spawn(move || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            let heard = says(&devices, "GET", "getrequest", "");
            if let Some(id) = heard
                .strip_prefix("C:")
                .and_then(|rest| rest.split(':').next())
            {
                let result = format!("ID={id}&Return=0&CMD=INFO\nUserCount=7\nCommPwd=S3CR3T\n");
                return says(&devices, "POST", "devicecmd", &result);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no command was handed out");
    });
    let said = house.json(&["devices", "command", "ABC1", "info", "--json"]);
    assert_eq!(terminal.join().unwrap(), "OK\n");
    assert_eq!(
        (&said["state"], &said["return_code"]),
        (&"done".into(), &0.into())
    );
    assert_eq!(said["result"]["UserCount"], "7");
    assert!(!said.to_string().contains("S3CR3T"), "{said}");
    assert_eq!(actions(&house), ["add", "command", "command_end"]);
    assert_eq!(daemon.stop(), 0);
}
