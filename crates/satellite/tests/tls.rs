//! The door behind TLS as a terminal meets it: the daemon in this process, rustls as the peer,
//! certificates made here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use satellite::config::{ClockTrust, TlsDoor, Unknown};
use satellite::tls::TlsFiles;
use satellite::{Config, Running, Satellite};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// A certificate for `localhost`, good from the first year to the second, written over the two
/// files; answers its PEM.
fn issue(files: &TlsFiles, years: (i32, i32)) -> String {
    let mut wanted = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    wanted.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    wanted.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    let pair = rcgen::KeyPair::generate().unwrap();
    let pem = wanted.self_signed(&pair).unwrap().pem();
    std::fs::write(&files.certificate, &pem).unwrap();
    std::fs::write(&files.key, pair.serialize_pem()).unwrap();
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&files.key, mode).unwrap();
    pem
}

struct Door {
    _folder: tempfile::TempDir,
    files: TlsFiles,
    config: Config,
    running: Running,
    at: SocketAddr,
    pem: String,
}

/// A satellite that enrols whoever comes.
async fn door(limits: impl FnOnce(&mut Config)) -> Door {
    let folder = tempfile::tempdir().unwrap();
    let name = |name: &str| folder.path().join(name).display().to_string();
    let files = TlsFiles {
        certificate: name("door.crt"),
        key: name("door.key"),
    };
    let pem = issue(&files, (2020, 2090));
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut config = Config::in_folder(folder.path());
    (config.listen.devices, config.listen.admin) = (any, any);
    config.listen.devices_tls = Some(TlsDoor {
        address: any,
        files: files.clone(),
    });
    config.clock = ClockTrust::Trusted;
    config.unknown = Unknown::Accept(config.tenants[0].id.clone());
    limits(&mut config);
    let running = Satellite::start(config.clone()).await.unwrap();
    let at = running.devices_tls.unwrap();
    Door {
        _folder: folder,
        files,
        config,
        running,
        at,
        pem,
    }
}

/// A peer that trusts that certificate alone.
async fn connect(
    at: SocketAddr,
    pem: &str,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(at).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
}

/// One request on a kept connection; answers status line and body.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, request: &str) -> (String, String) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&reply).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() >= length.unwrap().parse().unwrap() {
                return (head.lines().next().unwrap().to_owned(), body.to_owned());
            }
        }
        let mut part = [0; 1024];
        let n = stream.read(&mut part).await.unwrap();
        assert!(n > 0, "the connection ended: {text}");
        reply.extend_from_slice(part.get(..n).unwrap());
    }
}

fn punch(serial: &str, second: u32) -> String {
    let line = format!("7\t2026-11-21 09:00:{second:02}\t0\t1\n");
    format!(
        "POST /iclock/cdata?SN={serial}&table=ATTLOG&Stamp={second} HTTP/1.1\r\nHost: x\r\n\
         Content-Length: {}\r\n\r\n{line}",
        line.len()
    )
}

/// Brings a punch until it is taken: the first contact only enrols.
async fn settled<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, serial: &str, second: u32) {
    for _ in 0..100 {
        let (_, body) = ask(stream, &punch(serial, second)).await;
        if body.starts_with("OK: 1") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no punch of {serial} was taken");
}

async fn page(running: &Running, path: &str) -> String {
    let url = format!("http://{}{path}", running.admin).parse().unwrap();
    let answer = fetch::Fetch::get(url).send().await.unwrap();
    String::from_utf8(answer.body).unwrap()
}

async fn until(running: &Running, path: &str, text: &str) {
    let mut seen = String::new();
    for _ in 0..200 {
        seen = page(running, path).await;
        if seen.contains(text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no {text} in {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_behind_tls_is_served_as_on_the_plain_port_and_the_list_says_who_is_plain() {
    let door = door(|_| {}).await;
    let mut newest = connect(door.at, &door.pem, &TLS13).await.unwrap();
    settled(&mut newest, "SECURE1", 1).await;
    let mut older = connect(door.at, &door.pem, &TLS12).await.unwrap();
    let (status, body) = ask(&mut older, &punch("SECURE1", 1)).await;
    assert_eq!((status.as_str(), body.trim()), ("HTTP/1.1 200 OK", "OK: 1"));
    let mut plain = TcpStream::connect(door.running.devices).await.unwrap();
    settled(&mut plain, "PLAIN1", 2).await;
    let devices: serde_json::Value =
        serde_json::from_str(&page(&door.running, "/devices").await).unwrap();
    let spoken: Vec<(&str, &str)> = devices["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["serial"].as_str().unwrap(),
                one["transport"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(spoken, [("PLAIN1", "plain"), ("SECURE1", "tls")]);
    for line in [
        "satellite_tls_handshakes_total{version=\"1.2\"} 1",
        "satellite_tls_handshakes_total{version=\"1.3\"} 1",
        "satellite_devices_plain{tenant=\"main\"} 1",
        // The same punch over either version is one row.
        "satellite_events_committed_total{route=\"push\",tenant=\"main\"} 2",
    ] {
        until(&door.running, "/metrics", line).await;
    }
    door.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_serves_new_connections_and_drops_no_open_one() {
    let door = door(|_| {}).await;
    let mut kept = connect(door.at, &door.pem, &TLS13).await.unwrap();
    settled(&mut kept, "KEPT1", 1).await;
    let next = issue(&door.files, (2020, 2095));
    until(&door.running, "/status", "\"certificate_ends_at\":\"2095-").await;
    settled(&mut kept, "KEPT1", 2).await;
    let mut fresh = connect(door.at, &next, &TLS13).await.unwrap();
    settled(&mut fresh, "KEPT1", 3).await;
    assert!(
        connect(door.at, &door.pem, &TLS13).await.is_err(),
        "the old one is shown no more"
    );

    // A bad one: the new key is missing. The one in force stays, and what is wrong is told.
    let spoilt = TlsFiles {
        key: door.files.key.clone() + ".other",
        ..door.files.clone()
    };
    issue(&spoilt, (2020, 2096));
    until(&door.running, "/status", "another certificate").await;
    let mut still = connect(door.at, &next, &TLS13).await.unwrap();
    settled(&mut still, "KEPT1", 4).await;
    until(
        &door.running,
        "/metrics",
        "satellite_tls_certificates_total{result=\"failed\"} 1",
    )
    .await;

    // Read again by request: refused as a whole, and the old one serves on.
    let again = door
        .running
        .reload(Ok(door.config.clone()))
        .await
        .unwrap_err();
    assert!(again.to_string().contains("another certificate"), "{again}");
    let third = issue(&door.files, (2020, 2097));
    door.running.reload(Ok(door.config.clone())).await.unwrap();
    let mut last = connect(door.at, &third, &TLS13).await.unwrap();
    settled(&mut last, "KEPT1", 5).await;
    settled(&mut kept, "KEPT1", 6).await;
    door.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_cannot_shake_hands_is_named_by_reason_and_costs_a_bounded_time() {
    let door = door(|config| {
        config.limits.handshake_time = Duration::from_secs(1);
        config.limits.handshakes = 2;
    })
    .await;
    let mut plain = TcpStream::connect(door.at).await.unwrap();
    plain
        .write_all(b"GET /iclock/ping?SN=A1 HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let failed = |reason: &str, n: u32| {
        format!("satellite_tls_handshakes_failed_total{{reason=\"{reason}\"}} {n}")
    };
    until(&door.running, "/metrics", &failed("plain", 1)).await;
    until(&door.running, "/status", "switch HTTPS on").await;
    // A hello of TLS 1.0, as old firmware sends it.
    let mut old = TcpStream::connect(door.at).await.unwrap();
    let mut hello = vec![22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0, 0x2f, 0, 0x35, 1, 0]);
    old.write_all(&hello).await.unwrap();
    until(&door.running, "/metrics", &failed("incompatible", 1)).await;
    let other = issue(
        &TlsFiles {
            certificate: door.files.certificate.clone() + ".x",
            key: door.files.key.clone() + ".x",
        },
        (2020, 2090),
    );
    assert!(connect(door.at, &other, &TLS13).await.is_err());
    until(&door.running, "/metrics", &failed("certificate", 1)).await;
    let silent = [
        TcpStream::connect(door.at).await.unwrap(),
        TcpStream::connect(door.at).await.unwrap(),
    ];
    tokio::time::sleep(Duration::from_millis(300)).await;
    let third = connect(door.at, &door.pem, &TLS13).await;
    assert!(third.is_err(), "a third handshake while two run");
    until(&door.running, "/metrics", &failed("busy", 1)).await;
    until(&door.running, "/metrics", &failed("timeout", 2)).await;
    drop(silent);
    let mut honest = connect(door.at, &door.pem, &TLS13).await.unwrap();
    settled(&mut honest, "HONEST1", 1).await;
    door.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_certificate_ends_the_start_with_its_key_named_and_an_old_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let name = |name: &str| folder.path().join(name).display().to_string();
    let files = TlsFiles {
        certificate: name("door.crt"),
        key: name("door.key"),
    };
    issue(&files, (2020, 2021));
    let text = format!(
        "state_dir = {:?}\n[listen]\ndevices = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
         devices_tls = {{ address = \"127.0.0.1:0\", certificate = {:?}, key = {:?} }}\n\
         [[tenant]]\nid = \"acme\"\ntime_zone = \"UTC\"\n",
        folder.path(),
        files.certificate,
        files.key
    );
    let file = folder.path().join("satellite.toml");
    std::fs::write(&file, text).unwrap();
    let check = |lang: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_satellite"))
            .args(["check", "--lang", lang, "--config"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), said)
    };
    let (status, said) = check("es");
    assert_eq!(status, 78, "{said}");
    assert!(
        said.contains("satellite.toml:5") && said.contains("venció el 2021-01-01"),
        "{said}"
    );
    // It serves all the same: who looks at no date, and who comes by the plain port, must not
    // suffer from a restart.
    let config = Config::load(Some(Path::new(&file))).unwrap();
    let running = Satellite::start(config.clone()).await.unwrap();
    until(&running, "/status", "\"certificate_ends_at\":\"2021-").await;
    running.stop().await;

    let other = TlsFiles {
        certificate: name("other.crt"),
        key: files.key.clone(),
    };
    issue(&other, (2020, 2090));
    let (status, said) = check("en");
    assert_eq!(status, 78, "{said}");
    for part in [
        "satellite.toml:5",
        "[listen.devices_tls]",
        "another certificate",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let refused = Satellite::start(config).await.unwrap_err();
    let exit = satellite::lifecycle::exit_of(&refused);
    assert_eq!(exit.code(), 78, "{refused}");
}
