//! Promise: what a Hikvision device tells is stored, waits on disk or is refused in time, and what
//! is wrong with the device is said by name.
//!
//! Faults that were found in the field or by an audit, each against the real door and over real
//! sockets: bodies beyond all measure, a device that nobody can dial, a dead camera, a database
//! that hangs while everybody posts. The feed is read over a connection of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use mariadb::{Flavor, Server};
use promises::hikvision::{enrol_dialled, enrol_posting, post};
use promises::{Checker, Place, SatelliteProcess, Setup, blocking};
use terminals::hikvision::{Device, DeviceOptions};
use tokio::task::JoinSet;

fn event(serial: u64) -> String {
    format!(
        "{{\"eventType\":\"AccessControllerEvent\",\"dateTime\":\"2026-11-21T10:15:30-06:00\",\
         \"AccessControllerEvent\":{{\"majorEventType\":5,\"subEventType\":75,\"serialNo\":{serial},\
         \"employeeNoString\":\"{serial}\",\"attendanceStatus\":\"checkIn\"}}}}"
    )
}

fn part(document: &str) -> Vec<u8> {
    format!("--b\r\n\r\n{document}\r\n").into_bytes()
}

/// Waits until `devices show` has this text, or has it no more.
async fn shows(satellite: &SatelliteProcess, serial: &str, text: &str, wanted: bool) -> Result<()> {
    let mut shown = String::new();
    for _ in 0..300 {
        let words = ["devices", "show", serial, "--json"];
        shown = satellite.command(words).await?;
        if shown.contains(text) == wanted {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("{serial} shows {text}: not {wanted}: {shown}");
}

/// The persons in the feed, by number: rows of one transaction stand there by key.
async fn persons(place: &Place) -> Result<Vec<String>> {
    let feed = Checker::open(place).await?.feed().await?;
    let mut persons: Vec<String> = feed.into_iter().filter_map(|row| row.person).collect();
    persons.sort_by_key(|person| person.parse::<u64>().ok());
    Ok(persons)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_beyond_all_measure_is_acknowledged_its_events_stored_and_the_rest_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let satellite = SatelliteProcess::start(&Setup::new(place.clone()))
        .await
        .unwrap();
    let path = enrol_posting(&satellite, "HIKBIG0001", &[]).await.unwrap();
    let long = format!("{{\"eventType\":\"{}\"}}", "x".repeat(300 * 1024));
    let body = [
        part(&event(1)),
        part(&long),
        part(&event(2)),
        b"--b--\r\n".to_vec(),
    ]
    .concat();
    assert_eq!(post(&satellite, &path, &body).await.unwrap().status, 200);
    let picture = vec![0x55; 20 << 20];
    let body = [
        part(&event(3)),
        b"--b\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8".to_vec(),
        picture,
        b"\r\n--b--\r\n".to_vec(),
    ]
    .concat();
    assert_eq!(post(&satellite, &path, &body).await.unwrap().status, 200);
    assert_eq!(persons(&place).await.unwrap(), ["1", "2", "3"]);
    let list = satellite
        .command(["quarantine", "list", "--json"])
        .await
        .unwrap();
    assert!(list.contains("HIKBIG0001"), "{list}");
    shows(&satellite, "HIKBIG0001", "post_too_large", true)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_of_a_device_that_was_never_reached_at_its_address_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let satellite = SatelliteProcess::start(&Setup::new(place.clone()))
        .await
        .unwrap();
    let options = DeviceOptions {
        serial: "HIKFAR0001".to_owned(),
        ..DeviceOptions::default()
    };
    let device = Device::start(options, None).unwrap();
    device.reboot(Duration::from_secs(3_600));
    let path = enrol_dialled(&satellite, &device, &["--listen"]);
    let path = path.await.unwrap().unwrap();
    shows(&satellite, "HIKFAR0001", "unreachable", true)
        .await
        .unwrap();
    for serial in [7, 8] {
        let reply = post(&satellite, &path, &part(&event(serial)))
            .await
            .unwrap();
        assert_eq!(reply.status, 200);
    }
    assert_eq!(persons(&place).await.unwrap(), ["7", "8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_without_a_search_that_dies_is_called_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let satellite = SatelliteProcess::start(&Setup::new(place)).await.unwrap();
    let mut options = DeviceOptions {
        serial: "HIKCAM0001".to_owned(),
        ..DeviceOptions::default()
    };
    options.search.supported = false;
    let device = Device::start(options, None).unwrap();
    enrol_dialled(&satellite, &device, &[]).await.unwrap();
    shows(&satellite, "HIKCAM0001", "search_unsupported", true)
        .await
        .unwrap();
    device.reboot(Duration::from_secs(3_600));
    shows(&satellite, "HIKCAM0001", "unreachable", true)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_devices_post_is_red_in_the_trace() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let satellite = SatelliteProcess::start(&Setup::new(place)).await.unwrap();
    let path = enrol_posting(&satellite, "HIKTRUE0001", &[]).await.unwrap();
    let other = "{\"eventType\":\"heartBeat\",\"shortSerialNumber\":\"OTHER00009\",\
                 \"serialNumber\":\"OTHER00009\",\"dateTime\":\"2026-11-21T10:15:30-06:00\"}";
    let reply = post(&satellite, &path, &part(other)).await.unwrap();
    assert_eq!(reply.status, 404);
    let trace = satellite.admin("/trace/HIKTRUE0001").await.unwrap().body;
    let trace: serde_json::Value = serde_json::from_str(&trace).unwrap();
    assert_eq!(trace["steps"][1]["state"], "failed", "{trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_at_once_to_a_database_that_hangs_are_answered_in_time_and_leave_no_gap() {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let satellite = SatelliteProcess::start(&Setup::new(place.clone()))
        .await
        .unwrap();
    let satellite = Arc::new(satellite);
    let path = enrol_posting(&satellite, "HIKHUNG001", &[]).await.unwrap();
    assert_eq!(
        post(&satellite, &path, &part(&event(1)))
            .await
            .unwrap()
            .status,
        200
    );
    let hung = Arc::clone(&server);
    blocking(move || hung.pause()).await.unwrap();
    let began = Instant::now();
    let mut all = JoinSet::new();
    for serial in 2..=21 {
        let (satellite, path) = (Arc::clone(&satellite), path.clone());
        all.spawn(async move {
            post(&satellite, &path, &part(&event(serial)))
                .await
                .unwrap()
                .status
        });
    }
    let answers = all.join_all().await;
    let took = began.elapsed();
    let awake = Arc::clone(&server);
    blocking(move || awake.resume()).await.unwrap();
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert!(
        took < Duration::from_secs(16),
        "the last was answered after {took:?}"
    );
    for _ in 0..300 {
        if persons(&place).await.unwrap().len() == 21 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let owed: Vec<String> = (1..=21).map(|serial| serial.to_string()).collect();
    assert_eq!(persons(&place).await.unwrap(), owed);
    assert_eq!(
        post(&satellite, &path, &part(&event(22)))
            .await
            .unwrap()
            .status,
        200
    );
    shows(&satellite, "HIKHUNG001", "gap_in_posts", false)
        .await
        .unwrap();
}
