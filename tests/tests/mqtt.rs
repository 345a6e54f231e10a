//! Promises about messages to a broker: every event arrives at least once under its own name, each
//! terminal's in their order, whatever becomes of the broker or of satellite; and whoever subscribes
//! later hears how each terminal is.
//!
//! The broker and the judge are the distribution's Mosquitto; the judge's file is held against the
//! feed, and the feed against the terminals' ledger. About 25 s for each database, mostly waiting.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mariadb::Flavor;
use promises::{
    Checker, Heard, Mosquitto, Place, Running, SatelliteProcess, Setup, attlog, hikvision, seed,
    shared_mariadb, unkind,
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

fn output(broker: &Mosquitto, more: &str) -> String {
    format!(
        "[[output]]\nname = \"board\"\ntenant = \"acme\"\nkind = \"mqtt\"\nurl = \"mqtt://{}\"\n\
         allow_internal = true\nfrom = \"start\"\ntopic = \"acme/{{vendor}}/{{serial}}/events\"\n\
         state_topic = \"acme/{{vendor}}/{{serial}}/state\"\nstatus_topic = \"acme/satellite\"\n{more}\n\n",
        broker.address()
    )
}

/// The events among what was heard: terminal, number and name.
fn events(heard: &[Heard]) -> Result<Vec<(String, i64, String)>> {
    let events = heard.iter().filter(|one| one.topic.ends_with("/events"));
    let read = events.map(|one| {
        let event: Value = serde_json::from_str(&one.payload)?;
        let serial = event["serial"].as_str().context("no serial")?;
        ensure!(
            one.topic == format!("acme/zkteco/{serial}/events") && !one.retained,
            "{one:?}"
        );
        let uid = event["event_uid"].as_str().context("no name")?;
        Ok((
            serial.to_owned(),
            event["seq"].as_i64().context("no number")?,
            uid.to_owned(),
        ))
    });
    read.collect()
}

/// Waits until the judge has every event of the feed and nothing else, each terminal's in order.
async fn has_all(broker: &Mosquitto, fed: &[String]) -> Result<usize> {
    let wanted: HashSet<&str> = fed.iter().map(String::as_str).collect();
    let begun = Instant::now();
    loop {
        let arrivals = events(&broker.heard()?)?;
        let here: HashSet<&str> = arrivals.iter().map(|(_, _, uid)| uid.as_str()).collect();
        let missing = wanted.difference(&here).count();
        if missing == 0 {
            ensure!(
                here.len() == wanted.len(),
                "events that are not in the feed"
            );
            let (mut last, mut seen) = (HashMap::new(), HashSet::new());
            for (serial, seq, uid) in &arrivals {
                if seen.insert(uid) {
                    let before = last.insert(serial, seq);
                    ensure!(
                        before.is_none_or(|before| before < seq),
                        "{serial}: {seq} came late"
                    );
                }
            }
            return Ok(arrivals.len());
        }
        ensure!(
            begun.elapsed() < LIMIT,
            "{missing} of {} are missing",
            wanted.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn killed(broker: &mut Mosquitto) {
    let before = broker.subscribed();
    broker.kill9().await.unwrap();
    broker.up().await.unwrap();
    broker.until_subscribed(before + 1).await.unwrap();
}

async fn everything_arrives(place: Place) {
    assert!(Mosquitto::is_installed(), "mosquitto is not installed");
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Mosquitto::start(folder.path(), "allow_anonymous true")
        .await
        .unwrap();
    broker.subscribe(&[]).await.unwrap();
    let scenario = terminals::Scenario {
        rate: 300.0,
        ..unkind(seed(), "MQT", 12)
    };
    let mut setup = Setup::new(place.clone()).enrol(scenario.serials());
    setup.more = output(&broker, "");
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    let fleet = Running::start(scenario, satellite.devices(), folder.path(), "ledger").unwrap();

    for _ in 0..3 {
        fleet.acked_more(200, LIMIT).await.unwrap();
        killed(&mut broker).await;
    }
    fleet.acked_more(200, LIMIT).await.unwrap();
    satellite.kill9().await.unwrap();
    satellite.run().await.unwrap();
    fleet.acked_more(200, LIMIT).await.unwrap();
    // Down for a while, and satellite is killed meanwhile.
    let before = broker.subscribed();
    broker.kill9().await.unwrap();
    fleet.acked_more(200, LIMIT).await.unwrap();
    satellite.kill9().await.unwrap();
    satellite.run().await.unwrap();
    fleet.acked_more(200, LIMIT).await.unwrap();
    broker.up().await.unwrap();
    broker.until_subscribed(before + 1).await.unwrap();
    let (_, ledger) = fleet.finish(Duration::from_secs(60)).await.unwrap();

    let mut checker = Checker::open(&place).await.unwrap();
    checker.compare(&[&ledger]).await.unwrap().exact().unwrap();
    let query = "SELECT event_uid FROM event_feed WHERE tenant = 'acme'";
    let all = checker.texts(query, query).await.unwrap();
    let arrivals = has_all(&broker, &all).await.unwrap();
    println!("{} events in the feed, {arrivals} arrivals", all.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_reaches_the_broker_through_kills_of_both_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    everything_arrives(Place::sqlite(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_reaches_the_broker_through_kills_of_both_on_mariadb() {
    everything_arrives(shared_mariadb(Flavor::Durable).await.unwrap()).await;
}

/// Waits until something like it was heard.
async fn heard(broker: &Mosquitto, topic: &str, text: &str) {
    let begun = Instant::now();
    loop {
        let all = broker.heard().unwrap();
        if all
            .iter()
            .any(|one| one.topic == topic && one.payload.contains(text))
        {
            return;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "{topic} never said {text}: {all:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_logs_in_sees_punches_and_how_each_terminal_is_and_that_satellite_is_gone() {
    assert!(Mosquitto::is_installed(), "mosquitto is not installed");
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords");
    let made = std::process::Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["board", "a-long-password"])
        .status()
        .unwrap();
    assert!(made.success());
    let more = format!(
        "allow_anonymous false\npassword_file {}",
        passwords.display()
    );
    let mut broker = Mosquitto::start(folder.path(), &more).await.unwrap();
    broker
        .subscribe(&["-u", "board", "-P", "a-long-password"])
        .await
        .unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "wrong").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, private).unwrap();
    let login = format!("user = \"board\"\npassword_file = \"{}\"", secret.display());
    let mut setup = Setup::new(Place::sqlite(folder.path())).enrol(["ABC1"]);
    setup.more = output(&broker, &login);
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    let lines = b"0042\t2026-11-27 09:00:03\t0\t1\n";
    let reply = satellite.send(&attlog("ABC1", "1", lines)).await.unwrap();
    assert!(reply.accepts(1), "{reply:?}");

    // A wrong password is told, and costs no event.
    let begun = Instant::now();
    loop {
        let status: Value =
            serde_json::from_str(&satellite.admin("/status").await.unwrap().body).unwrap();
        let trouble = status["outputs"][0]["trouble"].as_str().unwrap_or_default();
        if trouble.contains("refuses the connection") {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "{status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::write(&secret, "a-long-password").unwrap();
    satellite.kill9().await.unwrap();
    satellite.run().await.unwrap();
    heard(&broker, "acme/zkteco/ABC1/events", "\"person\":\"0042\"").await;
    heard(&broker, "acme/zkteco/ABC1/state", "\"state\":\"unheard\"").await;
    heard(&broker, "acme/satellite", "online").await;
    satellite.kill9().await.unwrap();
    heard(&broker, "acme/satellite", "offline").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_shows_the_punches_of_both_makes_as_they_come() {
    assert!(Mosquitto::is_installed(), "mosquitto is not installed");
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Mosquitto::start(folder.path(), "allow_anonymous true")
        .await
        .unwrap();
    broker.subscribe(&[]).await.unwrap();
    let mut setup = Setup::new(Place::sqlite(folder.path())).enrol(["ABC1"]);
    setup.more = output(&broker, "");
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let path = hikvision::enrol_posting(&satellite, "HIKV0001", &[])
        .await
        .unwrap();
    let mut shown = Vec::new();
    for n in 1..=3 {
        let line = format!("{n:04}\t2026-11-27 09:00:0{n}\t0\t1\n");
        let upload = attlog("ABC1", "1", line.as_bytes());
        assert!(satellite.send(&upload).await.unwrap().accepts(1));
        let begun = Instant::now();
        let record = format!(
            "{{\"eventType\":\"AccessControllerEvent\",\"dateTime\":\"2026-11-27T09:00:0{n}-06:00\",\
             \"AccessControllerEvent\":{{\"majorEventType\":5,\"subEventType\":75,\"serialNo\":{n},\
             \"employeeNoString\":\"{n:04}\",\"attendanceStatus\":\"checkIn\"}}}}"
        );
        let part = [b"--b\r\n\r\n", record.as_bytes(), b"\r\n"].concat();
        hikvision::posted(&satellite, &path, &part).await.unwrap();
        let person = format!("\"person\":\"{n:04}\"");
        heard(&broker, "acme/zkteco/ABC1/events", &person).await;
        heard(&broker, "acme/hikvision/HIKV0001/events", &person).await;
        shown.push(begun.elapsed());
    }
    // One of them may fall into a second in which the machine does something else.
    let quickest = shown.iter().min().unwrap();
    assert!(*quickest < Duration::from_secs(1), "{shown:?}");
    // The lines of one upload come as they stood in it.
    let persons: Vec<String> = (100..130).rev().map(|n| format!("{n:04}")).collect();
    let line = |person: &String| format!("{person}\t2026-11-27 10:00:00\t0\t1\n");
    let lines: String = persons.iter().map(line).collect();
    let upload = attlog("ABC1", "2", lines.as_bytes());
    assert!(satellite.send(&upload).await.unwrap().accepts(30));
    heard(&broker, "acme/zkteco/ABC1/events", "\"person\":\"0100\"").await;
    let said = broker.heard().unwrap();
    let said = said
        .iter()
        .filter(|one| one.topic == "acme/zkteco/ABC1/events");
    let said = said.map(|one| serde_json::from_str::<Value>(&one.payload).unwrap());
    let said: Vec<_> = said
        .map(|event| event["person"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(said[3..], persons);
}
