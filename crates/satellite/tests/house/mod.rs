//! A whole daemon on SQLite with one enrolled terminal, for tests that speak to its door.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::net::SocketAddr;
use std::time::Duration;

use event::{Millis, Serial, TenantId, Vendor};
use satellite::Config;
use satellite::config::ClockTrust;
use satellite::lifecycle::{Running, Satellite};
use store::feed::{self, FeedFilter, FeedRow};
use store::registry::{self, NewEnrolment};
use store::schema;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const KNOWN: &str = "ABC1234560001";
pub(crate) const PUNCH: &str = "1001\t2026-11-21 10:15:30\t0\t1\t\t0\t0\n";

/// A daemon with one enrolled terminal, in a folder of its own.
pub(crate) struct House {
    pub(crate) running: Running,
    pub(crate) config: Config,
    pub(crate) _folder: TempDir,
}

impl House {
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::in_folder(folder.path());
        config.listen.devices = "127.0.0.1:0".parse().unwrap();
        config.listen.admin = "127.0.0.1:0".parse().unwrap();
        config.clock = ClockTrust::Trusted;
        change(&mut config);
        let mut engine = config.store.connect().await.unwrap();
        schema::migrate(&mut engine).await.unwrap();
        registry::enrol(&mut engine, enrolment(KNOWN), Millis(0), "test")
            .await
            .unwrap();
        drop(engine);
        let running = Satellite::start(config.clone()).await.unwrap();
        Self {
            running,
            config,
            _folder: folder,
        }
    }

    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.running.devices).await.unwrap()
    }

    /// Sends a request on a connection of its own; answers head and body.
    pub(crate) async fn ask(&self, request: &[u8]) -> (String, String) {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        read_reply(&mut stream).await
    }

    pub(crate) async fn post(&self, serial: &str, table: &str, body: &str) -> (String, String) {
        self.ask(post(serial, table, "", body).as_bytes()).await
    }

    pub(crate) async fn rows(&self) -> Vec<FeedRow> {
        let mut engine = self.config.store.connect().await.unwrap();
        let filter = FeedFilter {
            limit: 1_000,
            ..FeedFilter::default()
        };
        feed::read(&mut engine, &filter).await.unwrap()
    }

    pub(crate) async fn admin(&self, path: &str) -> String {
        get(self.running.admin, path).await
    }

    /// The value of a metric's series.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let text = self.admin("/metrics").await;
        let line = text.lines().find(|line| line.starts_with(series));
        let line = line.unwrap_or_else(|| panic!("no {series} in\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub(crate) async fn refused(&self, reason: &str) -> f64 {
        self.metric(&format!("satellite_refused_total{{reason=\"{reason}\"}}"))
            .await
    }
}

pub(crate) fn enrolment(serial: &str) -> NewEnrolment {
    let (serial, tenant) = (Serial::new(serial).unwrap(), TenantId::new("main").unwrap());
    NewEnrolment {
        time_zone: Some("America/Mexico_City".into()),
        ..NewEnrolment::of(Vendor::Zkteco, serial, tenant)
    }
}

pub(crate) fn post(serial: &str, table: &str, extra: &str, body: &str) -> String {
    format!(
        "POST /iclock/cdata?SN={serial}&table={table}&Stamp=9999 HTTP/1.1\r\nHost: x\r\n{extra}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    all
}

/// One reply, which must announce its length.
pub(crate) async fn read_reply(stream: &mut TcpStream) -> (String, String) {
    let reading = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(
                stream
                    .read_u8()
                    .await
                    .expect("the connection ended before a reply"),
            );
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.expect("no Content-Length").parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        (head, String::from_utf8(body).unwrap())
    };
    tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .expect("no reply")
}
