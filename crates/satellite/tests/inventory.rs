//! What is known of terminals, and whether their record is complete, as a person asks: the real
//! program on SQLite, a push terminal spoken over a socket, and a simulated Hikvision device.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::Value;
use terminals::hikvision::{Device, DeviceOptions};

use common::{Daemon, House, add_hikvision};

const FIRST: &str = "FirmVer=Ver 8.0.1,~DeviceName=K40/ID,TransactionCount=9000,~MaxAttLogCount=1,\
                     UserCount=12,~MaxUserCount=5";
const SECOND: &str = "FirmVer=Ver 8.0.2,~DeviceName=K40/ID,TransactionCount=9001";

/// One request of the push terminal; answers the body.
fn ask(daemon: &Daemon, line: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(&daemon.devices).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn eventually<T>(what: &str, within: u64, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(within);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        // Each look starts a program: without a pause two of them take all of a small machine.
        std::thread::park_timeout(Duration::from_millis(300));
    }
}

fn approved(house: &House) -> Daemon {
    house.fine(&[
        "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--serial", "ABC1",
    ]);
    let daemon = Daemon::start(house);
    let hello = "GET /iclock/cdata?SN=ABC1&options=all&pushver=2.4.1&language=69";
    assert!(ask(&daemon, hello, "").starts_with("GET OPTION FROM: ABC1"));
    let options = "POST /iclock/cdata?SN=ABC1&table=options";
    assert!(ask(&daemon, options, FIRST).starts_with("OK"));
    daemon
}

fn firmware_events(house: &House) -> Vec<Value> {
    let listed = house.fine(&[
        "events", "--since", "1h", "--kind", "device", "--format", "json",
    ]);
    let rows = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    rows.filter(|row: &Value| row["vendor_code"] == "firmware")
        .collect()
}

#[test]
fn a_push_terminal_is_in_the_inventory_and_a_change_of_its_firmware_is_one_event() {
    let house = House::new();
    let daemon = approved(&house);
    let shown = eventually("the inventory is not filled", 90, || {
        let shown = house.json(&["devices", "show", "ABC1", "--json"]);
        // What it is and how it does are written by two rounds of upkeep.
        let whole = shown["inventory"]["model"] == "K40/ID" && shown["log_used"].is_number();
        whole.then_some(shown)
    });
    assert_eq!(shown["inventory"]["firmware"], "Ver 8.0.1");
    assert_eq!(shown["inventory"]["dialect"], "zkteco-attendance");
    assert_eq!(shown["inventory"]["address"], "127.0.0.1");
    assert_eq!(shown["inventory"]["users_used"], 12);
    assert_eq!(shown["inventory"]["users_capacity"], 500);
    assert!(shown["inventory"]["first_contact_at"].is_string());
    assert_eq!(
        (&shown["log_used"], &shown["log_capacity"]),
        (&9_000.into(), &10_000.into())
    );
    let table = house.fine(&["devices", "list", "--inventory", "--lang", "es"]);
    assert!(table.contains("9000 / 10000 (90 %)"), "{table}");

    // The first sight of a terminal is no change.
    assert_eq!(firmware_events(&house), Vec::<Value>::new());
    let options = "POST /iclock/cdata?SN=ABC1&table=options";
    let events = eventually("the change is not in the feed", 60, || {
        ask(&daemon, options, SECOND);
        let events = firmware_events(&house);
        (!events.is_empty()).then_some(events)
    });
    assert_eq!(events[0]["attributes"]["before"], "Ver 8.0.1");
    assert_eq!(events[0]["attributes"]["now"], "Ver 8.0.2");
    assert_eq!(events[0]["kind"], "device");
    assert_eq!(daemon.stop(), 0);
    let daemon = Daemon::start(&house);
    ask(&daemon, options, SECOND);
    std::thread::park_timeout(Duration::from_secs(8));
    assert_eq!(firmware_events(&house).len(), 1, "a restart made it again");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_push_terminal_that_was_heard_is_never_called_complete_and_a_silent_one_is_named() {
    let house = House::new();
    let daemon = approved(&house);
    house.fine(&[
        "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--serial", "NEVER1",
    ]);
    let cutoff = ["cutoff", "--tenant", "acme", "--through", "1s"];
    let said = eventually("the terminal is not unproven", 90, || {
        let left = house.run(&[&cutoff[..], &["--json"]].concat());
        assert_eq!(left.status, 1, "{}{}", left.out, left.err);
        ask(&daemon, "GET /iclock/ping?SN=ABC1", "");
        let said: Value = serde_json::from_str(&left.out).unwrap();
        let terminals = said["facts"]["terminals"].as_array().unwrap().clone();
        (terminals.len() == 2 && terminals[0]["verdict"] == "unproven").then_some(said)
    });
    let never = &said["facts"]["terminals"][1];
    assert_eq!(never["verdict"], "missing");
    assert_eq!(never["missing"][0]["why"], "never_heard");
    assert_eq!(said["facts"]["complete"], false);
    let left = house.run(&[&cutoff[..], &["--lang", "es"]].concat());
    assert!(
        left.out.contains("PARCIAL") && left.out.contains("! NEVER1: falta"),
        "{}",
        left.out
    );
    let error = house.failed(&["cutoff", "--tenant", "acme", "--through", "2199-01-01"]);
    assert!(error.contains("has not ended yet"), "{error}");
    assert_eq!(daemon.stop(), 0);
}

/// Starts and enrols the device; a cut-off of its tenant up to now is whole in the end.
fn complete(house: &House, device: &Device) -> (Daemon, String, String) {
    let (user, password) = device.login();
    let secret = house.file("device-password");
    std::fs::write(&secret, password).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let address = device.address().to_string();
    let login = ["--address", &address, "--user", user, "--secret-file"];
    let more = [&login[..], &[secret.to_str().unwrap()]].concat();
    house.fine(&add_hikvision(device.serial(), &more));
    // One moment for all looks, so that the same facts can give the same bytes.
    let moment = jiff::Timestamp::now().to_string();
    let daemon = Daemon::start(house);
    let said = eventually("the device is not complete", 240, || {
        let left = house.run(&["cutoff", "--tenant", "acme", "--through", &moment, "--json"]);
        if left.status != 0 {
            // Shown when the test fails.
            eprintln!("{}{}", left.out, left.err);
        }
        (left.status == 0).then_some(left.out)
    });
    (daemon, moment, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_never_made_a_record_is_complete_when_it_was_asked() {
    let device = Device::start(DeviceOptions::default(), None).unwrap();
    let house = House::new();
    let (daemon, _, said) = tokio::task::block_in_place(|| complete(&house, &device));
    assert!(said.contains("\"punches\":0"), "{said}");
    assert_eq!(daemon.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialled_device_is_complete_up_to_a_moment_and_its_clock_is_measured() {
    let mut options = DeviceOptions {
        serial: "HIK0000001".to_owned(),
        ..DeviceOptions::default()
    };
    options.log.history = 40;
    let device = Device::start(options, None).unwrap();
    device.shift_clock(-400);
    let house = House::new();
    let (daemon, moment, complete) = tokio::task::block_in_place(|| complete(&house, &device));
    let cutoff = ["cutoff", "--tenant", "acme", "--through", &moment, "--json"];
    let said: Value = serde_json::from_str(&complete).unwrap();
    assert_eq!(said["facts"]["terminals_complete"], 1);
    assert_eq!(said["facts"]["gaps"], 0);
    assert_eq!(house.fine(&cutoff), complete);
    let shown = house.json(&["devices", "show", "HIK0000001", "--json"]);
    let skew = shown["clock_skew_seconds"].as_i64().unwrap();
    assert!((-402..=-398).contains(&skew), "{skew}");
    assert!(shown["inventory"]["model"].is_string(), "{shown}");
    assert_eq!(shown["inventory"]["dialect"], "hikvision-isapi");
    assert!(
        shown["log_used"].as_i64().is_some_and(|used| used > 0),
        "{shown}"
    );
    let told = house.fine(&["devices", "show", "HIK0000001"]);
    assert!(
        told.contains("clock_skew") && told.contains("behind ours"),
        "{told}"
    );
    assert_eq!(daemon.stop(), 0);
}
