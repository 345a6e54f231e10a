//! Promise: hostile input is refused or set aside, and the daemon lives.
//!
//! Whatever an approved terminal sends as content is acknowledged: it becomes an event or goes
//! raw to quarantine. Whatever is no request of a terminal is refused in words that no firmware
//! takes for success. After each of them a plain request is still answered.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use promises::{Checker, Place, SatelliteProcess, Setup, attlog, get, knock};

/// What must come of a request.
enum Expect {
    /// `OK: n`, whatever n is.
    Acked,
    /// `OK: n` with just this n.
    Counted(usize),
    /// A refusal with this status.
    Refused(u16),
    /// A refusal with any status, or the end of the connection.
    Nothing,
}

use Expect::{Acked, Counted, Nothing, Refused};

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    /// Our half of the connection is closed after the last byte.
    done: bool,
    expect: Expect,
}

fn case(name: &'static str, bytes: impl Into<Vec<u8>>, expect: Expect) -> Case {
    Case {
        name,
        bytes: bytes.into(),
        done: false,
        expect,
    }
}

/// The same, with our half of the connection closed after the last byte.
fn cut(name: &'static str, bytes: impl Into<Vec<u8>>, expect: Expect) -> Case {
    Case {
        done: true,
        ..case(name, bytes, expect)
    }
}

fn content(name: &'static str, body: impl AsRef<[u8]>, expect: Expect) -> Case {
    case(name, attlog("HOSTILE1", "9999", body.as_ref()), expect)
}

/// A POST of attendance lines with a head of one's own.
fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /iclock/cdata?SN=HOSTILE1&table=ATTLOG&Stamp=9999 HTTP/1.1\r\nHost: s\r\n{headers}\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

const LINE: &[u8] = b"header\t2026-11-21 10:00:00\t0\t1\n";

/// What approved terminals may send: never refused. The people called `good…` must get a row.
fn contents() -> Vec<Case> {
    let long = vec![b'7'; 10 << 20];
    let mut long_line = long.clone();
    long_line.extend_from_slice(b"\t2026-11-21 09:00:00\t0\t1\n");
    let junk = b"x\n".repeat(20_000);
    vec![
        content(
            "NULs",
            b"good1\t2026-11-21 09:00:01\t0\t1\n\0\0\0\0\n\0",
            Acked,
        ),
        content(
            "bytes that are no UTF-8",
            b"\xff\xfe\x80\t2026-11-21 09:00:02\t0\t1\ngood2\t2026-11-21 09:00:02\t0\t1\n",
            Counted(2),
        ),
        content(
            "absurd dates",
            "a\t0000-00-00 00:00:00\t0\t1\nb\t2026-02-30 10:00:00\t0\t1\n\
             c\t9999-99-99 99:99:99\t0\t1\ngood3\t2026-11-21 09:00:03\t0\t1\n",
            Counted(4),
        ),
        content(
            "numbers out of range",
            "n\t2026-11-21 09:00:04\t99999999999999999999\t-1\t\t0\t0\n",
            Counted(1),
        ),
        content(
            "SQL as a PIN",
            "good'; DROP TABLE e; --\t2026-11-21 09:00:05\t0\t1\n",
            Counted(1),
        ),
        content(
            "four bytes a character",
            "good😀\t2026-11-21 09:00:06\t0\t1\n",
            Counted(1),
        ),
        content(
            "a PIN of 300 characters",
            [&long[..300], b"\t2026-11-21 09:00:07\t0\t1\n"].concat(),
            Counted(1),
        ),
        content("a line of 10 MB", long_line, Counted(1)),
        content("a hundred thousand fields", b"\t".repeat(100_000), Acked),
        content("twenty thousand lines of junk", junk, Counted(20_000)),
        content(
            "control characters",
            b"good\x1b[31m\t2026-11-21 09:00:08\t0\t1\n\x07\x08\x1b]0;x\x07\n",
            Acked,
        ),
        content("no record at all", b"", Acked),
    ]
}

/// Heads that no terminal sends, or that say what cannot be served.
fn heads() -> Vec<Case> {
    let bomb = "X-Bomb: 0123456789\r\n".repeat(20_000);
    let long = format!("X-Long: {}\r\n", "y".repeat(1 << 20));
    let length = format!("Content-Length: {}\r\n", LINE.len());
    let gzip = format!("{length}Content-Encoding: gzip\r\n");
    let put = "PUT /iclock/cdata?SN=HOSTILE1&table=ATTLOG HTTP/1.1\r\nHost: s\r\n\
               Content-Length: 0\r\n\r\n";
    let grab = "GRAB /iclock/cdata?SN=HOSTILE1 HTTP/1.1\r\nHost: s\r\n\r\n";
    let paint = "/iclock/cdata?SN=%1b[31m%0a%0d%00&options=all";
    let endless_line = format!("/iclock/{}", "z".repeat(1 << 20));
    let noise: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n";
    vec![
        case("wrong method", put, Refused(405)),
        case("made-up method", grab, Nothing),
        case("no serial", get("/iclock/cdata?options=all"), Refused(400)),
        case(
            "a path as a serial",
            attlog("../../etc/passwd", "1", LINE),
            Refused(400),
        ),
        case(
            "a huge serial",
            attlog(&"S".repeat(10_000), "1", LINE),
            Nothing,
        ),
        case("a serial that paints", get(paint), Refused(400)),
        case("compressed", post(&gzip, LINE), Refused(415)),
        case(
            "too many headers",
            post(&format!("{length}{bomb}"), LINE),
            Nothing,
        ),
        case(
            "a header of 1 MiB",
            post(&format!("{length}{long}"), LINE),
            Nothing,
        ),
        case("a request line of 1 MiB", get(&endless_line), Nothing),
        case("bare noise", noise, Nothing),
        case("TLS", hello, Nothing),
        case("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Nothing),
    ]
}

/// Bodies that are not as long as their head says.
fn lengths() -> Vec<Case> {
    let length = format!("Content-Length: {}\r\n", LINE.len());
    let chunks = "Transfer-Encoding: chunked\r\n";
    let chunked = [
        format!("{:x}\r\n", LINE.len()).as_bytes(),
        LINE,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    let two = "Content-Length: 3\r\nContent-Length: 33\r\n";
    let endless = "Content-Length: 18446744073709551615\r\n";
    let long = "Content-Length: 5000\r\n";
    let large = b"1\n".repeat((17 << 20) / 2);
    let half = "POST /iclock/cdata?SN=HOSTILE1&tab";
    let open = "POST /iclock/cdata?SN=HOSTILE1 HTTP/1.1\r\nHost: ";
    vec![
        case(
            "a length in letters",
            post("Content-Length: many\r\n", LINE),
            Nothing,
        ),
        case(
            "a negative length",
            post("Content-Length: -1\r\n", LINE),
            Nothing,
        ),
        case("two lengths", post(two, LINE), Nothing),
        case("an endless length", post(endless, LINE), Nothing),
        case(
            "length and chunks",
            post(&format!("{length}{chunks}"), &chunked),
            Refused(400),
        ),
        case(
            "chunks and length",
            post(&format!("{chunks}{length}"), &chunked),
            Refused(400),
        ),
        case("chunks", post(chunks, &chunked), Counted(1)),
        case("no length", post("", LINE), Refused(400)),
        case(
            "a length too short",
            post("Content-Length: 20\r\n", LINE),
            Refused(400),
        ),
        cut("a body that ends early", post(long, LINE), Nothing),
        cut("nothing at all", "", Nothing),
        cut("half a head", half, Nothing),
        case("a head that never ends", open, Nothing),
        case("a body that never ends", post(long, LINE), Nothing),
        case(
            "a body of 17 MiB",
            attlog("HOSTILE1", "1", &large),
            Refused(413),
        ),
    ]
}

/// Paths that lead nowhere, whatever they try.
fn paths() -> Vec<Case> {
    let names: [(&str, &str); 9] = [
        ("up and away", "/iclock/../../etc/passwd?SN=HOSTILE1"),
        (
            "up and away, encoded",
            "/iclock/%2e%2e/%2e%2e/etc/passwd?SN=HOSTILE1",
        ),
        ("backslashes", "/iclock\\..\\cdata?SN=HOSTILE1"),
        ("the operators' metrics", "/metrics"),
        ("the operators' status", "/status?SN=HOSTILE1"),
        ("the root", "/"),
        ("a null", "/iclock/cdata%00.aspx?SN=HOSTILE1&options=all"),
        ("another page", "/iclock/upload.php?SN=HOSTILE1"),
        ("a foreign host", "http://example.org/metrics"),
    ];
    names
        .into_iter()
        .map(|(name, path)| case(name, get(path), Nothing))
        .collect()
}

async fn try_it(satellite: &mut SatelliteProcess, case: &Case) -> Result<()> {
    let begin = Instant::now();
    let reply = knock(satellite.devices(), &case.bytes, case.done).await?;
    let met = match (&case.expect, &reply) {
        (Acked, Some(reply)) => reply.status == 200 && reply.body.starts_with("OK"),
        (Counted(records), Some(reply)) => reply.accepts(*records),
        (Refused(status), Some(reply)) => reply.refuses() && reply.status == *status,
        (Nothing, Some(reply)) => reply.refuses(),
        (Nothing, None) => true,
        (_, None) => false,
    };
    ensure!(met, "answered with {reply:?}");
    let told = reply
        .map(|reply| reply.head + &reply.body)
        .unwrap_or_default();
    ensure!(
        !told.contains("passwd") && !told.contains("satellite_"),
        "told too much: {told}"
    );
    let took = begin.elapsed();
    ensure!(took < Duration::from_secs(20), "took {took:?}");
    ensure!(satellite.is_alive(), "the daemon is gone");
    let ping = satellite.send(&get("/iclock/ping?SN=HOSTILE1")).await?;
    ensure!(
        ping.status == 200 && ping.body == "OK\n",
        "no longer served: {ping:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_input_is_refused_or_set_aside_and_the_daemon_lives() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut setup = Setup::new(place.clone()).enrol(["HOSTILE1"]);
    setup.more = "[limits]\nheader_seconds = 2\nbody_seconds = 2\n".to_owned();
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();

    let cases = [contents(), heads(), lengths(), paths()];
    let mut failed = Vec::new();
    for case in cases.into_iter().flatten() {
        if let Err(why) = try_it(&mut satellite, &case).await {
            failed.push(format!("{}: {why:#}", case.name));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");

    let good = attlog("HOSTILE1", "9999", b"good9\t2026-11-21 12:00:00\t0\t1\n");
    let reply = satellite.send(&good).await.unwrap();
    assert!(reply.accepts(1), "{reply:?}");
    let mut checker = Checker::open(&place).await.unwrap();
    let feed = checker.feed().await.unwrap();
    for person in [
        "good1",
        "good2",
        "good3",
        "good'; DROP TABLE e; --",
        "good😀",
        "good9",
    ] {
        let rows = feed
            .iter()
            .filter(|row| row.person.as_deref() == Some(person))
            .count();
        assert_eq!(rows, 1, "{person}");
    }
    let list = satellite
        .command(["quarantine", "list", "--json"])
        .await
        .unwrap();
    let kept: serde_json::Value = serde_json::from_str(&list).context(list).unwrap();
    assert!(
        kept.as_array().is_some_and(|rows| rows.len() >= 5),
        "{kept}"
    );
    let panics = satellite
        .metric("satellite_panics_total", &[])
        .await
        .unwrap();
    assert!(
        panics < 0.5,
        "{panics} requests ended in a fault of the program"
    );
    let log = satellite.log();
    assert!(!log.contains("panicked"), "a panic is in the log");
    let control = |c: &char| c.is_control() && !matches!(c, '\n' | '\t');
    let wrong = log.lines().find(|line| line.chars().any(|c| control(&c)));
    assert_eq!(wrong, None, "a peer's control characters are in the log");
}
