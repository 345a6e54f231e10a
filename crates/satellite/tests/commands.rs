//! The commands as a person runs them: the real program, a configuration file, SQLite.
//!
//! Exit statuses, what `--json` holds and where errors point are promises to scripts, so they
//! are asked of the program itself and not of its functions. Each test has a folder of its own.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use common::{Daemon, House, PROGRAM};

const ADD: [&str; 8] = [
    "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--serial", "ABC1",
];

fn field<'a>(list: &'a Value, serial: &str, name: &str) -> &'a Value {
    let rows = list.as_array().unwrap().iter();
    let row = rows.into_iter().find(|row| row["serial"] == serial);
    &row.unwrap_or_else(|| panic!("{serial} is not in {list}"))[name]
}

#[test]
fn a_terminal_is_added_listed_blocked_and_approved_again() {
    let house = House::new();
    let said = house.fine(&[&ADD[..], &["--name", "Main door"]].concat());
    assert!(said.contains("within 10 seconds"), "{said}");
    let list = house.json(&["devices", "list", "--json"]);
    assert_eq!(field(&list, "ABC1", "state"), "approved");
    assert_eq!(field(&list, "ABC1", "name"), "Main door");
    assert_eq!(field(&list, "ABC1", "time_zone"), "America/Mexico_City");
    assert_eq!(field(&list, "ABC1", "accept_from"), &Value::Null);

    house.fine(&["devices", "block", "ABC1"]);
    let list = house.json(&["devices", "list", "--state", "blocked", "--json"]);
    assert_eq!(field(&list, "ABC1", "state"), "blocked");
    house.fine(&["devices", "approve", "ABC1", "--tenant", "acme"]);
    let list = house.json(&["devices", "list", "--tenant", "acme", "--json"]);
    assert_eq!(field(&list, "ABC1", "state"), "approved");
    assert_eq!(
        house.json(&["devices", "list", "--tenant", "beta", "--json"]),
        Value::Array(vec![])
    );

    let shown = house.json(&["devices", "show", "ABC1", "--json"]);
    let actions: Vec<&str> = shown["audit"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["add", "block", "approve"]);
    assert_eq!(shown["audit"][0]["actor"], "ana");
    assert_eq!(shown["server"]["address"], "satelite.example.mx");
    assert_eq!(shown["server"]["port"], 8081);
    let spanish = house.fine(&["devices", "list", "--lang", "es"]);
    assert!(
        spanish.contains("cliente") && spanish.contains("aprobado"),
        "{spanish}"
    );
}

#[test]
fn a_terminal_of_another_tenant_is_moved_only_by_name_and_begins_a_new_history() {
    let house = House::new();
    house.fine(&ADD);
    let before = house.json(&["devices", "show", "ABC1", "--json"]);
    let error = house.failed(&["devices", "approve", "ABC1", "--tenant", "beta"]);
    assert!(
        error.contains("belongs to tenant acme") && error.contains("devices add --tenant beta"),
        "{error}"
    );
    house.fine(&[
        "devices", "add", "--tenant", "beta", "--vendor", "zkteco", "--serial", "ABC1",
    ]);
    let after = house.json(&["devices", "show", "ABC1", "--json"]);
    assert_eq!(after["tenant"], "beta");
    assert_ne!(after["device_id"], before["device_id"]);
    assert!(after["accept_from"].is_string(), "{after}");
}

#[test]
fn what_cannot_be_enrolled_is_refused_with_the_way_out() {
    let house = House::new();
    let add = |tenant: &str, vendor: &str, serial: &str| {
        house.run(&[
            "devices", "add", "--tenant", tenant, "--vendor", vendor, "--serial", serial,
        ])
    };
    for (left, part) in [
        (add("acne", "zkteco", "A1"), "there are: acme, beta"),
        (add("acme", "hikvision", "A1"), "say how its events come"),
        (add("acme", "suprema", "A1"), "zkteco, hikvision"),
        (add("acme", "zkteco", "A 1"), "letters, digits"),
    ] {
        assert_eq!(left.status, 1, "{}", left.err);
        assert!(left.err.contains(part), "{}", left.err);
    }
    assert!(
        house
            .failed(&["devices", "block", "NOBODY"])
            .contains("no terminal with the serial NOBODY")
    );
    let zone = house.failed(&[&ADD[..], &["--time-zone", "Mexico"]].concat());
    assert!(zone.contains("America/Mexico_City"), "{zone}");
}

#[test]
fn a_wrong_configuration_ends_with_78_and_points_at_file_line_and_nearest_key() {
    let house = House::new();
    house.configure("divices = \"127.0.0.1:0\"");
    for command in [&["check"][..], &["run"], &["devices", "list"], &["events"]] {
        let left = house.run(command);
        assert_eq!(left.status, 78, "{command:?}: {}", left.err);
        assert!(left.err.contains("satellite.toml:4"), "{}", left.err);
        assert!(
            left.err.contains("divices") && left.err.contains("'devices'"),
            "{}",
            left.err
        );
        assert_eq!(left.out, "");
    }
}

#[test]
fn a_right_configuration_is_explained_and_databases_are_asked_only_when_told() {
    let house = House::new();
    let said = house.fine(&["check"]);
    assert!(said.contains("configuration is right"), "{said}");
    assert!(
        said.contains("tenant beta (beta): America/Tijuana -0"),
        "{said}"
    );
    assert!(
        !house.file("events.db").exists(),
        "a check must not make a database"
    );
    let left = house.run(&["check", "--connect"]);
    assert_eq!(left.status, 1, "{}", left.out);
    house.fine(&["db", "migrate"]);
    assert!(house.fine(&["check", "--connect"]).contains("ready: store"));
}

#[test]
fn reading_commands_make_no_database_and_name_the_command_that_does() {
    let house = House::new();
    for command in [
        &["events"][..],
        &["devices", "list"],
        &["quarantine", "list"],
        &["db", "status"],
    ] {
        let error = house.failed(command);
        assert!(error.contains("db migrate"), "{command:?}: {error}");
    }
    assert!(!house.file("events.db").exists());
}

#[test]
fn migrating_twice_is_harmless_and_a_new_epoch_raises_every_later_number() {
    let house = House::new();
    assert!(house.fine(&["db", "migrate"]).contains("made or updated"));
    assert!(house.fine(&["db", "migrate"]).contains("was up to date"));
    let before = house.json(&["db", "status", "--json"]);
    let store = &before["stores"][0];
    assert_eq!(
        (&store["epoch"], &store["next_seq"]),
        (&Value::from(0), &Value::from(1))
    );
    house.fine(&["db", "epoch", "--new"]);
    let after = house.json(&["db", "status", "--json"]);
    assert_eq!(after["stores"][0]["epoch"], 1);
    assert_eq!(after["stores"][0]["store_id"], store["store_id"]);
    let events = house.fine(&["events", "--json"]);
    let event: Value = serde_json::from_str(&events).unwrap();
    assert_eq!(
        (&event["kind"], &event["vendor_code"]),
        (&Value::from("device"), &Value::from("epoch"))
    );
    assert_eq!(
        house.run(&["db", "epoch"]).status,
        1,
        "--new has to be said"
    );
}

#[test]
fn an_import_with_mistakes_names_every_line_and_enrols_nobody() {
    let house = House::new();
    let file = house.file("terminals.csv");
    let import = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        house.run(&[&["devices", "import", file.to_str().unwrap()], more].concat())
    };
    let left = import(
        "serial,tenant,name\nA 1,acme,x\nA2,acme,Canteen\nA3,nobody,\n",
        &[],
    );
    assert_eq!(left.status, 1);
    assert!(
        left.err.contains("terminals.csv:2: ") && left.err.contains("terminals.csv:4: "),
        "{}",
        left.err
    );
    assert!(!left.err.contains("terminals.csv:3: "), "{}", left.err);
    assert_eq!(
        house.json(&["devices", "list", "--json"]),
        Value::Array(vec![])
    );

    let good = "serial;tenant;name\nA2;acme;Canteen\nA3;beta;\n";
    assert_eq!(import(good, &["--dry-run"]).status, 0);
    assert_eq!(
        house.json(&["devices", "list", "--json"]),
        Value::Array(vec![])
    );
    let left = import(good, &[]);
    assert_eq!(left.status, 0, "{}", left.err);
    let list = house.json(&["devices", "list", "--json"]);
    assert_eq!(field(&list, "A2", "name"), "Canteen");
    assert_eq!(field(&list, "A3", "tenant"), "beta");
    let left = import("serial,tenant\nA2,beta\n", &[]);
    assert!(
        left.status == 1
            && left
                .err
                .contains("terminals.csv:2: A2 belongs to tenant acme"),
        "{}",
        left.err
    );
}

const GOOD: &str = "1001\t2026-11-20 08:59:58\t0\t1\t\t0\t0\n";

#[test]
fn a_terminal_comes_from_pending_to_stored_with_the_commands_alone() {
    let house = House::new();
    let daemon = Daemon::start(&house);
    assert!(!daemon.post("ABC1", GOOD).0, "nobody has approved it");
    let left = house.run(&["trace", "ABC1"]);
    assert_eq!(left.status, 1);
    assert!(left.out.contains("It stops at: approved"), "{}", left.out);
    assert!(
        left.out.contains("devices approve ABC1 --tenant"),
        "{}",
        left.out
    );
    let deadline = Instant::now() + Duration::from_secs(5);
    while !house
        .fine(&["devices", "list", "--state", "pending", "--json"])
        .contains("ABC1")
    {
        assert!(
            Instant::now() < deadline,
            "the pending terminal is not listed"
        );
    }

    house.fine(&["devices", "approve", "ABC1", "--tenant", "acme"]);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (taken, body) =
            daemon.post("ABC1", &format!("{GOOD}1002\t2026-13-45 08:00:00\t0\t1\n"));
        if taken {
            assert!(body.contains("OK: 2"), "a bad line is counted: {body}");
            break;
        }
        assert!(
            Instant::now() < deadline,
            "the approval was not noticed in 10 seconds"
        );
        std::thread::yield_now();
    }
    let traced = house.json(&["trace", "ABC1", "--json"]);
    assert_eq!(
        (&traced["running"], &traced["first_red"]),
        (&Value::from(true), &Value::Null)
    );

    let events = house.fine(&[
        "events",
        "--since",
        "2026-11-20",
        "--person",
        "1001",
        "--json",
    ]);
    let event: Value = serde_json::from_str(&events).unwrap();
    assert_eq!(
        (&event["serial"], &event["tenant"]),
        (&Value::from("ABC1"), &Value::from("acme"))
    );
    assert_eq!(event["occurred_at"], "2026-11-20T14:59:58.000Z");
    let csv = house.fine(&["events", "--since", "2026-11-20", "--format", "csv"]);
    assert_eq!(csv.lines().count(), 2, "{csv}");
    assert!(csv.starts_with("seq,event_uid,tenant,"), "{csv}");
    let table = house.fine(&["events", "--since", "2026-11-20", "--lang", "es"]);
    assert!(
        table.contains("2026-11-20 08:59:58 -06:00") && table.contains("persona"),
        "{table}"
    );

    let aside = house.json(&["quarantine", "list", "--json"]);
    assert_eq!(
        (&aside[0]["reason"], &aside[0]["serial"]),
        (&Value::from("bad_time"), &Value::from("ABC1"))
    );
    let id = aside[0]["id"].to_string();
    let shown = house.fine(&["quarantine", "show", &id]);
    assert!(shown.contains(r"1002\t2026-13-45"), "{shown}");
    assert!(
        house
            .fine(&["quarantine", "replay", "--all"])
            .contains("still cannot be read")
    );
    assert_eq!(
        house.json(&["quarantine", "list", "--json"])[0]["id"].to_string(),
        id
    );
    assert_eq!(daemon.stop(), 0);
    let left = house.run(&["trace", "ABC1"]);
    assert!(
        left.err.contains("does not answer") && left.out.contains("approved"),
        "{}{}",
        left.err,
        left.out
    );
}

#[test]
fn a_follower_shows_what_arrives_and_ends_with_0_at_ctrl_c() {
    let house = House::new();
    house.fine(&ADD);
    let daemon = Daemon::start(&house);
    let mut follower = house
        .command(&["events", "--follow", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    // It begins at the end of the feed, so punches go on until it has begun.
    let posted = std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel::<()>();
        let daemon = &daemon;
        scope.spawn(move || {
            for second in 0..50 {
                daemon.post("ABC1", &format!("7\t2026-11-20 09:00:{second:02}\t0\t1\n"));
                if told.recv_timeout(Duration::from_millis(200)).is_ok() {
                    return;
                }
            }
        });
        let line = lines.next().unwrap().unwrap();
        tell.send(()).ok();
        line
    });
    let event: Value = serde_json::from_str(&posted).unwrap();
    assert_eq!(
        (&event["person"], &event["serial"]),
        (&Value::from("7"), &Value::from("ABC1"))
    );
    let command = format!("kill -s INT {}", follower.id());
    assert!(
        Command::new("sh")
            .args(["-c", &command])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(follower.wait().unwrap().code(), Some(0));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_record_that_can_be_read_now_becomes_an_event_and_is_settled() {
    let house = House::new();
    house.fine(&ADD);
    let shown = house.json(&["devices", "show", "ABC1", "--json"]);
    let id = shown["device_id"].as_str().unwrap();
    set_aside(&house, "ABC1", id, GOOD);
    let said = house.fine(&["quarantine", "replay", "--serial", "ABC1"]);
    assert!(
        said.contains("settled: 1; still in quarantine: 0"),
        "{said}"
    );
    let events = house.fine(&["events", "--since", "2026-11-20", "--json"]);
    let event: Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    assert_eq!(event["person"], "1001");
    assert_eq!(
        house.json(&["quarantine", "list", "--json"]),
        Value::Array(vec![])
    );
    let all = house.json(&["quarantine", "list", "--settled", "--json"]);
    assert!(all[0]["settled_at"].is_string(), "{all}");
}

#[test]
fn maintenance_deletes_old_canary_events_and_no_others() {
    let house = House::new();
    house.fine(&ADD);
    house.fine(&[
        "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--serial", "CAN1", "--canary",
    ]);
    for serial in ["ABC1", "CAN1"] {
        let shown = house.json(&["devices", "show", serial, "--json"]);
        set_aside(&house, serial, shown["device_id"].as_str().unwrap(), GOOD);
    }
    let said = house.fine(&["quarantine", "replay", "--all"]);
    assert!(said.contains("settled: 2;"), "{said}");
    let count = |more: &[&str]| {
        let args = [
            &[
                "events",
                "--since",
                "2026-11-20",
                "--kind",
                "punch",
                "--json",
            ],
            more,
        ]
        .concat();
        house.fine(&args).lines().count()
    };
    assert_eq!((count(&[]), count(&["--canary"])), (1, 1));
    house.fine(&["db", "maintain"]);
    assert_eq!((count(&[]), count(&["--canary"])), (1, 1));
    assert!(
        house
            .fine(&["db", "maintain", "--canary-days", "1"])
            .contains("deleted: 1")
    );
    assert_eq!((count(&[]), count(&["--canary"])), (1, 0));
}

/// Nobody watches this writer.
struct Silent;

impl store::Observer for Silent {
    fn committed(&self, _: Duration, _: usize) {}
    fn troubled(&self, _: store::Trouble, _: &str) {}
    fn recovered(&self) {}
    fn new_epoch(&self, _: i64) {}
}

fn three_days_ago() -> event::Millis {
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_millis();
    event::Millis(i64::try_from(now).unwrap() - 3 * 86_400_000)
}

/// Puts a good record into quarantine, as an older version might have done.
fn set_aside(house: &House, serial: &str, device_id: &str, raw: &'static str) {
    let device = event::Device {
        id: event::DeviceId::from_hex(device_id).unwrap(),
        tenant: Some("acme".parse().unwrap()),
        vendor: event::Vendor::Zkteco,
        serial: serial.parse().unwrap(),
        name: None,
        site: None,
        zone: event::Zone::named("America/Mexico_City").unwrap(),
        canary: serial.starts_with("CAN"),
    };
    let quarantined = event::Quarantined {
        reason: event::Reason::Unreadable,
        detail: "not understood".into(),
        source: "ATTLOG".into(),
        route: event::Route::Push,
        received_at: three_days_ago(),
        raw: event::Bytes::from_static(raw.as_bytes()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mirror = store::Mirror::open(house.folder.path()).await.unwrap();
        let target = store::Target::Sqlite(house.file("events.db"));
        let gate = store::Gate::new(1);
        let writer =
            store::Writer::spawn("store", target, mirror, gate, std::sync::Arc::new(Silent));
        let submission = store::Submission {
            device: device.into(),
            events: vec![],
            quarantined: vec![quarantined],
            cursors: vec![],
            expects: None,
            fence: None,
        };
        assert_eq!(writer.submit(submission).await.unwrap().quarantined, 1);
        writer.close().await;
    });
}

#[test]
fn the_demo_ends_by_itself_with_every_acknowledged_punch_in_the_feed_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM)
        .args(["demo", "--seconds", "4", "--terminals", "3", "--lang", "en"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert!(out.contains("exactly once (0 missing, 0 doubled)"), "{out}");
    assert!(
        out.contains("/metrics") && out.contains("FROM event_feed"),
        "{out}"
    );
}

#[test]
fn help_is_no_failure_and_a_wrong_word_is_one() {
    let help = |args: &[&str]| Command::new(PROGRAM).args(args).output().unwrap();
    let shown = help(&["devices", "add", "--help"]);
    assert_eq!(shown.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("Examples:"));
    assert_eq!(help(&["--version"]).status.code(), Some(0));
    assert_eq!(help(&["devises"]).status.code(), Some(1));
}
