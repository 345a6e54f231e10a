//! The door as posting Hikvision devices see it: raw bytes over TCP against a whole daemon on
//! SQLite. The shapes are those of real devices, the values our own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use event::{Millis, Serial, TenantId, Vendor};
use satellite::Config;
use satellite::config::ClockTrust;
use satellite::lifecycle::{Running, Satellite};
use store::feed::{self, FeedFilter, FeedRow};
use store::quarantine::{self, QuarantineFilter};
use store::registry::{self, Access, EnrolmentState, NewEnrolment, TokenHash};
use store::schema;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SERIAL: &str = "DS-K1T000A20260101V0001E";
const TOKEN: &str = "k3v9q1w8e7r6t5y4u3i2o1p0a9";
/// Bytes of a picture, more than everything else that is written.
const PICTURE: usize = 3 << 20;
const MAC: &str = "00:00:5e:00:53:11";

/// A daemon with one device that posts.
struct House {
    running: Running,
    config: Config,
    folder: TempDir,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::in_folder(folder.path());
        config.listen.devices = "127.0.0.1:0".parse().unwrap();
        config.listen.admin = "127.0.0.1:0".parse().unwrap();
        config.clock = ClockTrust::Trusted;
        let mut engine = config.store.connect().await.unwrap();
        schema::migrate(&mut engine).await.unwrap();
        let tenant = TenantId::new("main").unwrap();
        let new = NewEnrolment {
            time_zone: Some("America/Mexico_City".into()),
            access: Access {
                token_hash: Some(TokenHash::of(TOKEN)),
                ..Access::default()
            },
            ..NewEnrolment::of(Vendor::Hikvision, Serial::new(SERIAL).unwrap(), tenant)
        };
        registry::enrol(&mut engine, new, Millis(0), "test")
            .await
            .unwrap();
        drop(engine);
        let running = Satellite::start(config.clone()).await.unwrap();
        Self {
            running,
            config,
            folder,
        }
    }

    /// Sends a request on a connection of its own; answers all that comes back.
    async fn ask(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.running.devices).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut all = String::new();
        let reading = stream.read_to_string(&mut all);
        let limit = std::time::Duration::from_secs(20);
        tokio::time::timeout(limit, reading).await.unwrap().unwrap();
        all
    }

    async fn post(&self, path: &str, content_type: &str, body: &[u8]) -> String {
        self.ask(&request("POST", path, content_type, body)).await
    }

    async fn rows(&self) -> Vec<FeedRow> {
        let mut engine = self.config.store.connect().await.unwrap();
        let filter = FeedFilter {
            limit: 1_000,
            ..FeedFilter::default()
        };
        feed::read(&mut engine, &filter).await.unwrap()
    }

    /// Bytes of everything that was written to disk.
    fn on_disk(&self) -> u64 {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum()
    }
}

fn request(method: &str, path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

fn path() -> String {
    format!("/hikvision/{TOKEN}")
}

/// A punch as a device tells it.
fn punch(serial: u64, second: u32, more: &str) -> String {
    format!(
        "{{\"ipAddress\":\"192.0.2.10\",\"macAddress\":\"{MAC}\",\"dateTime\":\"2026-11-21T09:00:{second:02}-06:00\",\
         \"eventType\":\"AccessControllerEvent\",\"eventState\":\"active\",\"AccessControllerEvent\":{{\
         \"majorEventType\":5,\"subEventType\":75,\"employeeNoString\":\"0042\",\"serialNo\":{serial},\
         \"attendanceStatus\":\"checkIn\",\"currentEvent\":true{more}}}}}"
    )
}

fn multipart(boundary: &str, json: &str, picture: usize) -> Vec<u8> {
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"event_log\"\r\n\r\n{json}\r\n"
    )
    .into_bytes();
    if picture > 0 {
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"Picture\"\r\nContent-Type:image/jpeg\r\nContent-Length:{picture}\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(b"\xff\xd8\xff\xe0");
        body.extend((4..picture).map(|n| b"{\"<-}"[n % 5]));
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shape_of_a_post_is_stored_and_answered_200_and_pictures_are_not_kept() {
    let house = House::new().await;
    let form = "multipart/form-data; boundary=mime_boundary";
    let bodies = [
        (form, multipart("MIME_boundary", &punch(1, 1, ""), 0)),
        (form, multipart("MIME_boundary", &punch(2, 2, ""), PICTURE)),
        ("application/json", punch(3, 3, "").into_bytes()),
        ("text/plain", punch(4, 4, "").into_bytes()),
        (
            "application/octet-stream",
            multipart("b", &punch(5, 5, ""), 10),
        ),
    ];
    for (content_type, body) in &bodies {
        let reply = house.post(&path(), content_type, body).await;
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    }
    let put = request("PUT", &format!("//hikvision/{TOKEN}/"), form, &bodies[0].1);
    assert!(house.ask(&put).await.starts_with("HTTP/1.1 200 OK\r\n"));
    let rows = house.rows().await;
    assert_eq!(rows.len(), bodies.len());
    for row in &rows {
        assert_eq!(row.person.as_deref(), Some("0042"));
        assert_eq!((row.kind.as_str(), row.route.as_str()), ("punch", "listen"));
    }
    assert!(
        house.on_disk() < PICTURE as u64,
        "{} bytes",
        house.on_disk()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_an_unknown_path_and_a_blocked_device_hear_the_same() {
    let house = House::new().await;
    let body = punch(1, 1, "");
    let wrong = house
        .post(
            "/hikvision/k3v9q1w8e7r6t5y4u3i2o1p0aX",
            "application/json",
            body.as_bytes(),
        )
        .await;
    assert!(wrong.starts_with("HTTP/1.1 404 "), "{wrong}");
    let short = house
        .post("/hikvision/x", "application/json", body.as_bytes())
        .await;
    assert_eq!(short, wrong);
    let get = house.ask(&request("GET", &path(), "text/plain", b"")).await;
    assert_eq!(get, wrong);
    let mut engine = house.config.store.connect().await.unwrap();
    let serial = Serial::new(SERIAL).unwrap();
    registry::set_state(
        &mut engine,
        &serial,
        EnrolmentState::Blocked,
        Millis(1),
        "test",
    )
    .await
    .unwrap();
    for _ in 0..100 {
        let blocked = house
            .post(&path(), "application/json", body.as_bytes())
            .await;
        if !blocked.starts_with("HTTP/1.1 200 ") {
            assert_eq!(blocked, wrong);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the device is still heard");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_device_with_the_right_token_is_not_taken_for_the_enrolled_one() {
    let house = House::new().await;
    let first = house
        .post(&path(), "application/json", punch(1, 1, "").as_bytes())
        .await;
    assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
    let other = punch(2, 2, "").replace(MAC, "00:00:5e:00:53:99");
    let reply = house
        .post(&path(), "application/json", other.as_bytes())
        .await;
    assert!(reply.starts_with("HTTP/1.1 404 "), "{reply}");
    assert_eq!(house.rows().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_waits_for_a_verdict_hears_none() {
    let house = House::new().await;
    let body = punch(1, 1, ",\"remoteCheck\":true");
    let reply = house
        .post(&path(), "application/json", body.as_bytes())
        .await;
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    assert!(reply.ends_with("\r\n\r\n"), "a body was sent: {reply}");
    assert!(!reply.to_ascii_lowercase().contains("success"), "{reply}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_kept_raw_once_and_answered_200() {
    let house = House::new().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let laughs = "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b \"ha\">]><EventNotificationAlert>&b;</EventNotificationAlert>";
    let late = punch(7, 7, "").replace("2026-11-21T09:00:07", "2026-13-41T99:00:07");
    let bodies = [deep.as_str(), laughs, "not an event at all", &late];
    for body in bodies {
        for _ in 0..2 {
            let reply = house
                .post(&path(), "application/xml", body.as_bytes())
                .await;
            assert!(reply.starts_with("HTTP/1.1 200 "), "{body:.60}: {reply}");
        }
    }
    let mut engine = house.config.store.connect().await.unwrap();
    let filter = QuarantineFilter {
        limit: 100,
        ..QuarantineFilter::default()
    };
    let kept = quarantine::list(&mut engine, &filter).await.unwrap();
    assert_eq!(kept.len(), 4);
    let reply = house
        .post(&path(), "application/json", punch(8, 8, "").as_bytes())
        .await;
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    assert_eq!(house.rows().await.len(), 1);
}
