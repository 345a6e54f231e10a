//! Promise: whatever a Hikvision device that is dialled answers, satellite stays small, names the
//! device, does not hammer it, and every other device is served.
//!
//! One device for each kind of nonsense, spoken byte by byte over real sockets to the real
//! program, and an honest one among them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use promises::hikvision::{compare, enrol, enrol_dialled};
use promises::{Checker, Place, SatelliteProcess, Setup};
use terminals::Ledger;
use terminals::hikvision::{Device, DeviceOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const MINUTE: Duration = Duration::from_secs(60);
/// Most that satellite's memory may grow over all of this, in KiB.
const GROWTH: u64 = 64 * 1024;
/// Most questions that one of them may hear. A good device hears one every few seconds.
const QUESTIONS: u32 = 400;

/// What a device answers where nonsense is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Entities that grow, where it says who it is.
    Laughs,
    /// A head that never ends.
    EndlessHead,
    /// A body that never ends.
    EndlessBody,
    /// Chunks whose sizes are no numbers.
    BadChunks,
    /// It sends the caller away, to itself.
    Redirect,
    /// A challenge of 60,000 characters.
    LongChallenge,
    /// A new challenge for each answer to one.
    EveryPassword,
    /// A page of JSON of depth 10,000.
    DeepPage,
    /// By serial, one page without serials again and again, and always more.
    EndlessMore,
    /// Serials that no device can count to.
    HugeSerials,
    /// A live stream that is noise.
    NoiseStream,
    /// By time, one record again and again, and always more.
    EndlessTime,
}

/// All of them, with the condition that names each, where there is one to be named.
const KINDS: [(Kind, &str); 12] = [
    (Kind::Laughs, "answers_unusable"),
    (Kind::EndlessHead, "unreachable"),
    (Kind::EndlessBody, "unreachable"),
    (Kind::BadChunks, "unreachable"),
    (Kind::Redirect, "answers_unusable"),
    (Kind::LongChallenge, "switch Digest on"),
    (Kind::EveryPassword, "login_refused"),
    (Kind::DeepPage, "answers_unusable"),
    (Kind::EndlessMore, "answers_unusable"),
    (Kind::HugeSerials, ""),
    (Kind::NoiseStream, ""),
    (Kind::EndlessTime, ""),
];

/// A device that speaks nonsense.
struct Liar {
    serial: String,
    address: String,
    questions: Arc<AtomicU32>,
}

impl Liar {
    async fn start(at: usize, kind: Kind) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let serial = format!("HIKLIAR{at:03}");
        let questions = Arc::new(AtomicU32::new(0));
        let (named, heard) = (serial.clone(), Arc::clone(&questions));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (named, heard) = (named.clone(), Arc::clone(&heard));
                // A caller that hangs up is no matter.
                tokio::spawn(async move { serve(stream, kind, &named, &heard).await.ok() });
            }
        });
        Ok(Self {
            serial,
            address,
            questions,
        })
    }

    async fn enrol(&self, satellite: &SatelliteProcess) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let secret = satellite.folder().join(format!("{}.secret", self.serial));
        std::fs::write(&secret, "a-password-7")?;
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
        let secret = secret.to_str().context("the folder's name is no text")?;
        let login = ["--user", "events", "--secret-file", secret];
        let more = [&["--address", &self.address][..], &login].concat();
        enrol(satellite, &self.serial, &more).await.map(drop)
    }
}

/// Answers one connection to its end.
async fn serve(mut stream: TcpStream, kind: Kind, serial: &str, heard: &AtomicU32) -> Result<()> {
    while let Some(question) = question(&mut stream).await? {
        heard.fetch_add(1, Ordering::Relaxed);
        let info = question.contains("/System/deviceInfo");
        match kind {
            Kind::EndlessHead if info => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
                loop {
                    stream.write_all(b"X-More: aaaaaaaaaaaaaaaa\r\n").await?;
                }
            }
            Kind::EndlessBody if info => {
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
                stream.write_all(head).await?;
                loop {
                    stream.write_all(&[b' '; 8_192]).await?;
                }
            }
            Kind::NoiseStream if question.contains("alertStream") => {
                let head = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
                stream.write_all(head).await?;
                for turn in 0..1_000_u32 {
                    let noise: Vec<u8> = (0..8_192_u32).map(|at| noise(turn, at)).collect();
                    stream.write_all(&noise).await?;
                }
                return Ok(());
            }
            _ => stream.write_all(&answer(kind, &question, serial)).await?,
        }
    }
    Ok(())
}

/// Bytes without an order.
fn noise(turn: u32, at: u32) -> u8 {
    let mixed = turn.wrapping_mul(0x9e37_79b9) ^ at.wrapping_mul(0x85eb_ca6b);
    (mixed >> 13).to_le_bytes()[0]
}

/// The head of the next question and what follows it; `None` when nothing more comes.
async fn question(stream: &mut TcpStream) -> Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return Ok(None),
        }
        ensure!(head.len() < 100_000, "an endless question");
    }
    let head = String::from_utf8(head)?;
    let lower = head.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(Ok(0), |text| text.trim().parse())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(head + &String::from_utf8(body)?))
}

fn whole(status: &str, more: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn answer(kind: Kind, question: &str, serial: &str) -> Vec<u8> {
    let good = |body: &str| whole("200 OK", "", body);
    if question.contains("/System/deviceInfo") {
        let info = format!(
            "<DeviceInfo><serialNumber>{serial}</serialNumber><model>DS-X</model></DeviceInfo>"
        );
        return match kind {
            Kind::Laughs => good(
                "<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \
                 \"&a;&a;&a;&a;&a;&a;&a;&a;\">]><DeviceInfo><serialNumber>&b;</serialNumber>\
                 </DeviceInfo>",
            ),
            Kind::BadChunks => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nx"
                    .to_vec()
            }
            Kind::Redirect => whole("302 Found", "Location: /ISAPI/System/deviceInfo\r\n", ""),
            Kind::LongChallenge => {
                let long = format!("WWW-Authenticate: Digest {}\r\n", "a=,".repeat(20_000));
                whole("401 Unauthorized", &long, "")
            }
            Kind::EveryPassword => {
                let fresh = question.len();
                let challenge = format!(
                    "WWW-Authenticate: Digest realm=\"d\", nonce=\"n{fresh}\", qop=\"auth\"\r\n"
                );
                whole("401 Unauthorized", &challenge, "")
            }
            _ => good(&info),
        };
    }
    if question.contains("AcsEvent/capabilities") {
        let serials = match kind {
            Kind::EndlessTime => "",
            _ => "\"beginSerialNo\":{\"@max\":3000000000},\"endSerialNo\":{\"@max\":3000000000},",
        };
        return good(&format!(
            "{{\"AcsEvent\":{{\"AcsEventCond\":{{{serials}\"timeReverseOrder\":true,\
             \"searchResultPosition\":{{\"@max\":4294967295}},\"maxResults\":{{\"@max\":30}}}}}}}}"
        ));
    }
    if question.contains("/AcsEvent") {
        return good(&page(kind, question));
    }
    whole("404 Not Found", "", "")
}

/// A record of that serial.
fn record(serial: &str) -> String {
    format!(
        "{{\"major\":5,\"minor\":75,\"time\":\"2026-11-21T10:15:30-06:00\",\
         \"employeeNoString\":\"7\",\"serialNo\":{serial}}}"
    )
}

fn page(kind: Kind, question: &str) -> String {
    let page = |list: &str, status: &str, total: &str| {
        format!(
            "{{\"AcsEvent\":{{\"responseStatusStrg\":\"{status}\",\"totalMatches\":{total},\
             \"InfoList\":[{list}]}}}}"
        )
    };
    match kind {
        Kind::DeepPage => format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)),
        Kind::EndlessMore => {
            let (serial, status) = match question.contains("timeReverseOrder") {
                true => ("5000", "OK"),
                false => ("0", "MORE"),
            };
            let list = vec![record(serial); 30].join(",");
            page(&list, status, "4294967295")
        }
        Kind::EndlessTime => page(&vec![record("0"); 30].join(","), "MORE", "4294967295"),
        Kind::HugeSerials => {
            let all = ["18446744073709551615", "-1", "4294967295", "1e300", "\"x\""];
            page(&all.map(record).join(","), "OK", "5")
        }
        _ => page("", "NO MATCH", "0"),
    }
}

/// The most memory that satellite ever held, in KiB.
fn peak(satellite: &SatelliteProcess) -> Result<u64> {
    let process = satellite.process().context("satellite is not running")?;
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let size = line.and_then(|line| line.split_whitespace().next());
    Ok(size.context("the system tells no size")?.parse()?)
}

async fn shows(satellite: &SatelliteProcess, serial: &str, text: &str) -> Result<()> {
    let (began, mut shown) = (Instant::now(), String::new());
    while began.elapsed() < MINUTE {
        shown = satellite
            .command(["devices", "show", serial, "--json"])
            .await?;
        if shown.contains(text) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    anyhow::bail!("{serial} does not show {text}: {shown}");
}

/// Waits until every row of the honest device is in the feed, once; answers how many they are. Of
/// the others what looks like an event may stand there.
async fn until_whole(checker: &mut Checker, ledger: &Path) -> Result<usize> {
    let began = Instant::now();
    loop {
        let mut difference = compare(checker, ledger, &[]).await?;
        difference
            .strange
            .retain(|row| !row.serial.starts_with("HIKLIAR"));
        match difference.none() {
            Ok(()) => return Ok(difference.owed),
            Err(error) => ensure!(began.elapsed() < MINUTE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_dialled_device_answers_it_is_named_not_hammered_and_harms_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let satellite = SatelliteProcess::start(&Setup::new(place.clone()))
        .await
        .unwrap();
    let ledger = satellite.folder().join("honest.jsonl");
    let mut options = DeviceOptions {
        serial: "HIKHONEST1".to_owned(),
        ..DeviceOptions::default()
    };
    options.log.history = 60;
    options.log.history_owed = true;
    let honest = Device::start(options, Some(Ledger::create(&ledger).unwrap())).unwrap();
    honest.own_up().await.unwrap();
    let before = peak(&satellite).unwrap();
    let mut liars = Vec::new();
    for (at, (kind, _)) in KINDS.into_iter().enumerate() {
        let liar = Liar::start(at, kind).await.unwrap();
        liar.enrol(&satellite).await.unwrap();
        liars.push(liar);
    }
    enrol_dialled(&satellite, &honest, &[]).await.unwrap();

    let mut checker = Checker::open(&place).await.unwrap();
    let mut failed = Vec::new();
    for (liar, (kind, condition)) in liars.iter().zip(KINDS) {
        honest.crowd(1).await.unwrap();
        if let Err(why) = shows(&satellite, &liar.serial, condition).await {
            failed.push(format!("{kind:?}: {why:#}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    let owed = until_whole(&mut checker, &ledger).await.unwrap();
    let grown = peak(&satellite).unwrap() - before;
    let heard = liars.iter().zip(KINDS).map(|(liar, (kind, _))| {
        let questions = liar.questions.load(Ordering::Relaxed);
        (kind, questions)
    });
    let heard: Vec<_> = heard.collect();
    println!("{owed} rows; memory grew by {grown} KiB; questions: {heard:?}");
    assert!(grown < GROWTH, "satellite's memory grew by {grown} KiB");
    for (kind, questions) in heard {
        assert!(questions > 0, "{kind:?} was never asked");
        assert!(
            questions < QUESTIONS,
            "{kind:?} was asked {questions} times"
        );
    }
    let log = satellite.log();
    assert!(!log.contains("panicked"), "a panic is in the log");
    assert!(log.len() < 1 << 20, "a log of {} bytes", log.len());
}
