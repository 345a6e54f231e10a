//! What the log of the real program says of what came: enough to find a row's request, and never
//! more than one line of what a terminal sent wrongly.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod common;

use std::time::{Duration, Instant};

use common::{Daemon, House};

fn enrolled() -> House {
    let house = House::new();
    let add = [
        "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--serial", "ABC1",
    ];
    house.fine(&add);
    house
}

/// The lines with that text, once there are so many.
fn lines(daemon: &Daemon, text: &str, wanted: usize) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let lines = daemon.log(text);
        if lines.len() >= wanted {
            return lines;
        }
        assert!(Instant::now() < deadline, "{text:?} in {lines:?}");
        std::thread::yield_now();
    }
}

fn value<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, rest) = line
        .split_once(name)
        .unwrap_or_else(|| panic!("{name} in {line}"));
    rest.split([' ', '}', ':']).next().unwrap()
}

#[test]
fn one_id_leads_from_a_row_to_its_request_and_from_the_request_to_its_rows() {
    let house = enrolled();
    let daemon = Daemon::start_at(&house, "", "satellite=debug,info");
    let punches = |day: u32| -> String {
        let line = |n: u32| format!("{n}\t2026-11-{day} 08:59:58\t0\t1\t\t0\t0\n");
        (1001..1004).map(line).collect()
    };
    for day in [20, 21] {
        assert!(daemon.post("ABC1", &punches(day)).0);
    }
    let committed = lines(&daemon, "committed", 2);
    let id = |line: &str| value(line, "request{id=").to_owned();
    let [first, second] = &committed[..] else {
        panic!("{committed:?}");
    };
    assert_ne!(id(first), id(second));

    let feed = house.fine(&["events", "--since", "2026-11-01", "--format", "json"]);
    let mut seen = 0;
    for row in feed.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let seq = row["seq"].as_i64().unwrap();
        let day_of_first = row["local_time"]
            .as_str()
            .unwrap()
            .starts_with("2026-11-20");
        let holds = |line: &String| {
            let number = |name| value(line, name).parse::<i64>().unwrap();
            (number("seq_first=")..=number("seq_last=")).contains(&seq)
        };
        assert_eq!((holds(first), holds(second)), (day_of_first, !day_of_first));
        seen += 1;
    }
    assert_eq!(seen, 6);

    // The same id stands on what is said of a refused request.
    assert!(!daemon.post("STRANGER1", "1\t2026-11-20 08:59:58\n").0);
    assert!(!id(&lines(&daemon, "refused", 1)[0]).is_empty());
}

#[test]
fn an_upload_full_of_bad_lines_makes_one_bounded_escaped_line_and_counts_every_record() {
    let house = enrolled();
    let daemon = Daemon::start(&house);
    let bad = 30_000;
    let mut body = "1001\t2026-11-20 08:59:58\t0\t1\t\t0\t0\n".to_owned();
    body.push_str(&"\u{1b}[2J rubbish WARN forged\n".repeat(bad - 1));
    body.push_str("1002\t2026-13-45 08:00:00\t0\t1\n");
    let (taken, answer) = daemon.post("ABC1", &body);
    assert!(
        taken && answer.contains(&format!("OK: {}", bad + 1)),
        "{answer}"
    );

    let told = lines(&daemon, "set aside", 1);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(value(&told[0], "records="), bad.to_string());
    assert!(told[0].contains("unreadable=30000"), "{}", told[0]);
    assert!(
        told[0].len() < 1_000 && !told[0].contains("forged"),
        "{}",
        told[0]
    );
    let counted: u64 = ["unreadable", "bad_time", "bad_text"]
        .map(|reason| format!("satellite_quarantined_total{{reason=\"{reason}\"}}"))
        .iter()
        .map(|series| daemon.metric(series).parse::<u64>().unwrap())
        .sum();
    assert_eq!(counted, 30_000);

    assert!(daemon.post("ABC1", "rubbish\n").0);
    assert_eq!(lines(&daemon, "set aside", 2).len(), 2);
}
