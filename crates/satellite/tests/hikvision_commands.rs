//! The commands for Hikvision devices as a person runs them: the real program, SQLite, and
//! simulated devices that answer over HTTP.
//!
//! What is printed once (a URL with its token), what is refused and with which next step, and
//! what `--json` holds are promises to installers and to scripts.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::Value;
use terminals::hikvision::{Device, DeviceOptions, HostOptions};

use common::{Daemon, House, add_hikvision};

const SERIAL: &str = "HIK0000001";

/// `devices add` for the device, with more arguments.
fn add<'a>(more: &[&'a str]) -> Vec<&'a str> {
    add_hikvision(SERIAL, more)
}

/// Writes a password as it should lie there, and answers its path.
fn secret(house: &House, password: &str) -> String {
    let file = house.file("device-password");
    std::fs::write(&file, password).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file.to_str().unwrap().to_owned()
}

fn post(devices: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(devices).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

fn eventually(what: &str, within: u64, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(within);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn the_url_of_a_listening_device_is_printed_once_and_kept_as_a_hash_only() {
    let house = House::new();
    let said = house.fine(&add(&["--listen"]));
    let url = said
        .split_whitespace()
        .find(|word| word.starts_with("http://satelite.example.mx:8081/hikvision/"))
        .unwrap()
        .to_owned();
    let token = url.rsplit('/').next().unwrap();
    assert!(token.len() >= 26, "at least 128 bits: {token}");
    assert!(
        token
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
        "{token}"
    );
    for part in [
        "HTTP Listening",
        "satelite.example.mx",
        "8081",
        "HTTP",
        "shown this once",
    ] {
        assert!(said.contains(part), "{part:?} in\n{said}");
    }
    for entry in std::fs::read_dir(house.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        let found = bytes
            .windows(token.len())
            .any(|bytes| bytes == token.as_bytes());
        assert!(!found, "the token itself lies on the disk");
    }
    let again = house.json(&add(&["--listen", "--json"]));
    assert_eq!(
        (&again["result"], &again["listen"]["rotated"]),
        (&"already".into(), &true.into())
    );
    assert_ne!(again["listen"]["url"], url.as_str());
    assert_eq!(again["listen"]["protocol"], "HTTP");
    let spanish = house.fine(&[&add(&["--listen"])[..], &["--lang", "es"]].concat());
    assert!(
        spanish.contains("Escucha HTTP") && spanish.contains("ya no sirve"),
        "{spanish}"
    );
    let list = house.json(&["devices", "list", "--json"]);
    assert_eq!(
        (&list[0]["vendor"], &list[0]["reached"]),
        (&"hikvision".into(), &"listens".into())
    );
}

#[test]
fn what_a_device_cannot_be_enrolled_with_is_refused_with_the_way_out() {
    let house = House::new();
    let file = secret(&house, "pass-word-7\n");
    let open = house.file("open-password");
    std::fs::write(&open, "x").unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let address = ["--address", "10.8.0.20:80"];
    for (more, part) in [
        (vec![], "--listen"),
        (vec!["--user", "events"], "go with --address"),
        (address.to_vec(), "needs --user and --secret-file"),
        (
            [&address[..], &["--user", "events"]].concat(),
            "never the password itself",
        ),
        (
            vec![
                "--address",
                "http://10.8.0.20",
                "--user",
                "u",
                "--secret-file",
                &file,
            ],
            "HOST:PORT",
        ),
        (
            [
                &address[..],
                &["--user", "u", "--secret-file", "no-such-name"],
            ]
            .concat(),
            "no-such-name",
        ),
        (
            [
                &address[..],
                &["--user", "u", "--secret-file", open.to_str().unwrap()],
            ]
            .concat(),
            "chmod",
        ),
        (
            [&address[..], &["--user", "", "--secret-file", &file]].concat(),
            "user",
        ),
        (vec!["--listen", "--mac", "44:19"], "MAC address"),
    ] {
        let error = house.failed(&add(&more));
        assert!(error.contains(part), "{more:?}: {error}");
        assert!(!error.contains("pass-word-7"), "{error}");
    }
    let zkteco = [
        "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--serial", "ABC1", "--listen",
    ];
    assert!(house.failed(&zkteco).contains("not for ZKTeco"));
    let short = "devices add --tenant acme --vendor hikvision --serial K1";
    let dialled = [
        "--address",
        "10.8.0.20:80",
        "--user",
        "u",
        "--secret-file",
        &file,
    ];
    for way in [&["--listen"][..], &dialled] {
        let short: Vec<&str> = short.split(' ').chain(way.iter().copied()).collect();
        assert!(house.failed(&short).contains("too short"), "{way:?}");
    }
    assert_eq!(
        house.json(&["devices", "list", "--json"]),
        Value::Array(vec![])
    );
}

#[test]
fn only_a_dialled_hikvision_device_can_be_configured() {
    let house = House::new();
    house.fine(&add(&["--listen"]));
    let error = house.failed(&["devices", "configure", SERIAL]);
    assert!(
        error.contains("has no address") && error.contains("--listen"),
        "{error}"
    );
    house.fine(&[
        "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--serial", "ABC1",
    ]);
    let error = house.failed(&["devices", "configure", "ABC1"]);
    assert!(error.contains("is not a Hikvision device"), "{error}");
    assert!(
        house
            .failed(&["devices", "configure", "NOBODY"])
            .contains("no terminal")
    );
    let file = secret(&house, "x");
    let dead = [
        "--address",
        "127.0.0.1:1",
        "--user",
        "u",
        "--secret-file",
        &file,
    ];
    house.fine(&add(&dead));
    let error = house.failed(&["devices", "configure", SERIAL]);
    assert!(
        error.contains("could not be talked to") && error.contains("VPN"),
        "{error}"
    );
    house.fine(&["devices", "block", SERIAL]);
    assert!(
        house
            .failed(&["devices", "configure", SERIAL])
            .contains("devices approve")
    );
}

/// Enrols the device as one that is dialled with that account, or gives it another account.
fn enrol_as(house: &House, address: &str, user: &str, file: &str) {
    let account = ["--address", address, "--user", user, "--secret-file", file];
    house.fine(&add(&account));
}

/// The listening host as the device has it, when it is ours.
fn our_host(device: &Device) -> Option<terminals::hikvision::Host> {
    let mut hosts = device.hosts().into_iter();
    hosts.find(|host| host.host == "satelite.example.mx")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_configured_through_isapi_and_its_token_counts_only_after_reading_back() {
    let house = House::new();
    let device = Device::start(DeviceOptions::default(), None).unwrap();
    let (user, password) = device.login();
    let address = device.address().to_string();
    let file = secret(&house, password);
    enrol_as(&house, &address, user, &file);
    let said = house.fine(&["devices", "configure", SERIAL]);
    assert!(said.contains("confirmed it when read back"), "{said}");
    let first = our_host(&device).unwrap();
    assert!(
        first.url.starts_with("/hikvision/") && first.port == 8081,
        "{first:?}"
    );
    let shown = house.json(&["devices", "show", SERIAL, "--json"]);
    assert_eq!(shown["hikvision"]["listens"], true);
    let again = house.json(&["devices", "configure", SERIAL, "--json"]);
    assert_eq!(
        (&again["stored"], &again["keeps_path"]),
        (&true.into(), &true.into())
    );
    assert_ne!(
        our_host(&device).unwrap().url,
        first.url,
        "each time a new token"
    );

    let as_user = |user| enrol_as(&house, &address, user, &file);
    as_user("nobody");
    let error = house.failed(&["devices", "configure", SERIAL]);
    assert!(error.contains("refused user or password"), "{error}");
    let wrong = device.counters().logins_wrong;
    let error = house.failed(&["devices", "configure", SERIAL]);
    assert!(
        error.contains("not tried") && error.contains(&file),
        "{error}"
    );
    assert_eq!(
        device.counters().logins_wrong,
        wrong,
        "one more wrong login"
    );
    as_user(user);
    house.fine(&["devices", "configure", SERIAL]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_satellite_configures_over_its_own_login_and_never_while_that_is_refused() {
    let house = House::new();
    let device = Device::start(DeviceOptions::default(), None).unwrap();
    let (user, password) = device.login();
    let (address, file) = (device.address().to_string(), secret(&house, password));
    let as_user = |user| enrol_as(&house, &address, user, &file);
    as_user(user);
    let daemon = Daemon::start(&house);
    let until = async |text: &str| {
        let begin = Instant::now();
        loop {
            let shown = house.fine(&["devices", "show", SERIAL, "--json"]);
            if shown.contains(text) {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "{text}: {shown}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    until("\"search\": \"up\"").await;
    let open = device.counters().connections;
    let said = house.fine(&["devices", "configure", SERIAL]);
    assert!(said.contains("confirmed it when read back"), "{said}");
    assert!(our_host(&device).is_some());
    assert!(
        device.counters().connections <= open + 1,
        "the command dialled it beside satellite"
    );
    let shown = house.json(&["devices", "show", SERIAL, "--json"]);
    assert_eq!(shown["hikvision"]["listens"], true);

    as_user("nobody");
    until("login_refused").await;
    let wrong = device.counters().logins_wrong;
    for _ in 0..3 {
        let error = house.failed(&["devices", "configure", SERIAL]);
        assert!(error.contains("refused user or password"), "{error}");
    }
    assert_eq!(daemon.stop(), 0);
    let error = house.failed(&["devices", "configure", SERIAL]);
    assert!(error.contains("not tried"), "{error}");
    let daemon = Daemon::start(&house);
    until("login_refused").await;
    assert_eq!(
        device.counters().logins_wrong,
        wrong,
        "a restart tried again"
    );
    assert_eq!(daemon.stop(), 0);
}

/// Gives a job as the command does it, and what came of it.
async fn job_given(registry: &mut store::AnyEngine, device: event::DeviceId) -> store::jobs::Job {
    let wish = r#"{"host":"satelite.example.mx","port":8081,"folder":"","https":false}"#;
    let job = store::jobs::NewJob {
        device,
        kind: satellite::hikvision::CONFIGURE,
        request: wish,
        expires_at: event::Millis(4_102_444_800_000),
    };
    let id = store::jobs::enqueue(registry, &job, event::Millis(0)).await;
    let (id, begin) = (id.unwrap(), Instant::now());
    loop {
        let job = store::jobs::get(registry, id).await.unwrap().unwrap();
        if job.result.is_some() {
            return job;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "nobody took it");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lockdown_stops_the_writing_into_a_device_with_and_without_a_running_satellite() {
    let house = House::new();
    let device = Device::start(DeviceOptions::default(), None).unwrap();
    let (user, password) = device.login();
    let file = secret(&house, password);
    enrol_as(&house, &device.address().to_string(), user, &file);
    house.fine(&["lockdown", "on", "--tenant", "acme"]);
    let error = house.failed(&["devices", "configure", SERIAL]);
    assert!(error.contains("lockdown off --tenant acme"), "{error}");

    let daemon = Daemon::start(&house);
    let error = house.failed(&["devices", "configure", SERIAL]);
    assert!(error.contains("lockdown off --tenant acme"), "{error}");
    // A job that was given before the lockdown began.
    let config = satellite::Config::load(Some(&house.file("satellite.toml"))).unwrap();
    let mut registry = config.registry_target().connect().await.unwrap();
    let serial = event::Serial::new(SERIAL).unwrap();
    let found = store::registry::find(&mut registry, None, &serial).await;
    let id = found.unwrap().unwrap().id;
    let job = job_given(&mut registry, id).await;
    assert_eq!(job.state, store::jobs::JobState::Failed);
    let result = job.result.unwrap();
    assert!(result.contains("a lockdown is in force"), "{result}");
    assert!(our_host(&device).is_none(), "it was written to");

    house.fine(&["lockdown", "off", "--tenant", "acme"]);
    house.fine(&["devices", "configure", SERIAL]);
    assert!(our_host(&device).is_some());
    assert_eq!(daemon.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_forgets_the_path_is_told_loudly_and_one_that_refuses_names_gets_the_manual_way()
 {
    let house = House::new();
    let forgets = DeviceOptions {
        hosts: HostOptions {
            url_persisted: false,
            ..HostOptions::default()
        },
        ..DeviceOptions::default()
    };
    let device = Device::start(forgets, None).unwrap();
    let (user, password) = device.login();
    let file = secret(&house, password);
    let address = device.address().to_string();
    house.fine(&add(&[
        "--address",
        &address,
        "--user",
        user,
        "--secret-file",
        &file,
    ]));
    let said = house.fine(&["devices", "configure", SERIAL]);
    assert!(
        said.contains("url:") && said.contains("does not keep the path"),
        "{said}"
    );

    let by_ip_only = DeviceOptions {
        hosts: HostOptions {
            hostname_accepted: false,
            ..HostOptions::default()
        },
        ..DeviceOptions::default()
    };
    let device = Device::start(by_ip_only, None).unwrap();
    let address = device.address().to_string();
    house.fine(&add(&[
        "--address",
        &address,
        "--user",
        user,
        "--secret-file",
        &file,
    ]));
    let error = house.failed(&["devices", "configure", SERIAL]);
    assert!(
        error.contains("by hand") && error.contains("--listen"),
        "{error}"
    );
}

#[test]
fn what_is_stored_is_shown_without_a_running_satellite_and_said_to_be_only_that() {
    let house = House::new();
    house.fine(&add(&["--listen"]));
    let said = house.fine(&["devices", "show", SERIAL]);
    assert!(said.contains("what is stored is shown"), "{said}");
    assert!(
        !said.contains("ADMS"),
        "a ZKTeco menu is of no use here: {said}"
    );
    let shown = house.json(&["devices", "show", SERIAL, "--json"]);
    assert_eq!(shown["set_clock"], false, "its clock is never touched");
    let hikvision = &shown["hikvision"];
    assert_eq!(
        (&hikvision["running"], &hikvision["live"]),
        (&false.into(), &Value::Null)
    );
    let left = house.run(&["trace", SERIAL]);
    assert_eq!(left.status, 1);
    assert!(
        left.out.contains("HTTP Listening") && !left.out.contains("ADMS"),
        "{}",
        left.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listening_and_a_dialled_device_are_shown_with_what_can_be_claimed_of_each() {
    let house = House::new();
    let listens = house.json(&add(&["--listen", "--json"]));
    let path = listens["listen"]["path"].as_str().unwrap().to_owned();
    let options = DeviceOptions {
        serial: "HIK0000002".to_owned(),
        ..DeviceOptions::default()
    };
    let device = Device::start(options, None).unwrap();
    let (user, password) = device.login();
    let file = secret(&house, password);
    let address = device.address().to_string();
    let more = [
        "--address",
        &address,
        "--user",
        user,
        "--secret-file",
        &file,
    ];
    house.fine(&add_hikvision("HIK0000002", &more));
    let daemon = Daemon::start(&house);
    let event = r#"{"eventType":"AccessControllerEvent","eventState":"active","dateTime":"2026-11-20T08:59:31-06:00",
        "AccessControllerEvent":{"majorEventType":5,"subEventType":75,"employeeNoString":"0042","serialNo":7,"attendanceStatus":"checkIn"}}"#;
    eventually("the post is taken", 15, || {
        post(&daemon.devices, &path, event).starts_with("HTTP/1.1 200")
    });
    let shown = house.json(&["devices", "show", SERIAL, "--json"]);
    let live = &shown["hikvision"]["live"];
    assert_eq!(
        (&live["newest_stored"], &live["completeness"]),
        (&7.into(), &"seen".into())
    );
    assert_eq!(shown["hikvision"]["stored"]["newest"], 7);
    let text = house.fine(&["devices", "show", SERIAL, "--lang", "es"]);
    assert!(
        text.contains("los huecos se ven") && text.contains("escucha HTTP"),
        "{text}"
    );
    assert_eq!(
        house.json(&["trace", SERIAL, "--json"])["first_red"],
        Value::Null
    );

    eventually("the dialled device is reached", 30, || {
        let shown = house.json(&["devices", "show", "HIK0000002", "--json"]);
        let live = &shown["hikvision"]["live"];
        live["search"] == "up" && live["poll_seconds"].as_u64() > Some(0)
    });
    device.reboot(Duration::from_secs(600));
    eventually("a device that is gone is named with advice", 60, || {
        let text = house.fine(&["devices", "show", "HIK0000002"]);
        text.contains("! unreachable since") && text.contains("VPN")
    });
    let traced = house.run(&["trace", "HIK0000002"]);
    assert!(
        traced.status == 1 && traced.out.contains("port forwarding"),
        "{}",
        traced.out
    );
    assert_eq!(daemon.stop(), 0);
}

/// Where operators are served, as the commands read it.
fn admin(house: &House) -> String {
    let text = std::fs::read_to_string(house.file("satellite.toml")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("admin = "));
    line.unwrap().trim_matches('"').to_owned()
}

#[test]
fn a_device_set_to_isup_is_named_in_the_refusals_and_gets_no_answer() {
    let house = House::new();
    // The port is free at this moment; nothing else in this test takes it.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap();
    drop(free);
    let daemon = Daemon::start_with(&house, &format!("isup = \"{port}\"\n"));
    let mut body = vec![1, 1, 0];
    for text in ["AB1234567", "DS-K1T343EWX"] {
        body.push(u8::try_from(text.len()).unwrap());
        body.extend_from_slice(text.as_bytes());
    }
    body.extend_from_slice(&[0x29, 0x25, 5]);
    body.extend_from_slice(b"gate7");
    let mut stream = TcpStream::connect(port).unwrap();
    let head = [0x10, u8::try_from(body.len()).unwrap()];
    stream.write_all(&[&head[..], &body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"");
    let mut admin = TcpStream::connect(admin(&house)).unwrap();
    admin
        .write_all(b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut page = String::new();
    admin.read_to_string(&mut page).unwrap();
    let status: Value = serde_json::from_str(page.split_once("\r\n\r\n").unwrap().1).unwrap();
    let refused = &status["recent_refusals"][0];
    assert_eq!(refused["reason"], "isup");
    let detail = refused["detail"].as_str().unwrap();
    for part in ["AB1234567", "gate7", "HTTP listening"] {
        assert!(detail.contains(part), "{part} in {detail}");
    }
    assert_eq!(daemon.stop(), 0);
}
