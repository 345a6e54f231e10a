//! Promise: a hostile Hikvision post is answered, counted and set aside, and harms nobody else.
//!
//! What an enrolled device posts is acknowledged, whatever it is: each document becomes a row or
//! goes raw to quarantine, and both are counted here over a connection of their own. What is no
//! whole request ends its connection. After each of them another device's post is stored, a
//! terminal of another make is served, and satellite is not larger than before.

use anyhow::{Context, Result, ensure};
use promises::hikvision::{enrol_posting, posted};
use promises::{Checker, Place, SatelliteProcess, Setup, get, knock};

/// Most that satellite's memory may ever grow over all of this, in KiB. The largest post has
/// 100 MB.
const GROWTH: u64 = 48 * 1024;

/// What must come of a post.
struct Expect {
    /// The status; `None`: the connection may end without an answer, or with a refusal.
    status: Option<u16>,
    /// Rows that are new.
    rows: i64,
    /// Records that are newly set aside.
    aside: i64,
}

struct Case {
    name: &'static str,
    /// Everything after the request line.
    request: Vec<u8>,
    /// Our half of the connection is closed after the last byte.
    done: bool,
    expect: Expect,
}

/// A body that is as long as its head says.
fn case(name: &'static str, body: impl AsRef<[u8]>, rows: i64, aside: i64) -> Case {
    let body = body.as_ref();
    let head = format!(
        "Host: s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Case {
        name,
        request: [head.as_bytes(), body].concat(),
        done: false,
        expect: Expect {
            status: Some(200),
            rows,
            aside,
        },
    }
}

/// Bytes that are no whole request; nothing comes of them.
fn broken(name: &'static str, request: impl Into<Vec<u8>>) -> Case {
    Case {
        name,
        request: request.into(),
        done: false,
        expect: Expect {
            status: None,
            rows: 0,
            aside: 0,
        },
    }
}

/// A good event of that serial, at this time as the device writes it.
fn event(serial: u64, time: &str) -> String {
    format!(
        "{{\"eventType\":\"AccessControllerEvent\",\"dateTime\":\"{time}\",\
         \"AccessControllerEvent\":{{\"majorEventType\":5,\"subEventType\":75,\"serialNo\":{serial},\
         \"employeeNoString\":\"{serial}\",\"attendanceStatus\":\"checkIn\"}}}}"
    )
}

const NOON: &str = "2026-11-21T12:00:00-06:00";

fn part(document: impl AsRef<[u8]>) -> Vec<u8> {
    [b"--b\r\n\r\n", document.as_ref(), b"\r\n"].concat()
}

/// Documents that cannot be read, and some that only look so.
fn documents() -> Vec<Case> {
    let laughs = "<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY a \"ha\">\
                  <!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;\">]>\
                  <EventNotificationAlert><eventType>&c;</eventType></EventNotificationAlert>";
    let outside = "<!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]>\
                   <EventNotificationAlert><eventType>&f;</eventType></EventNotificationAlert>";
    let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let deep_xml = format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
    let huge = event(1, NOON).replace("\"serialNo\":1", "\"serialNo\":99999999999999999999");
    let negative = event(1, NOON).replace("\"serialNo\":1", "\"serialNo\":-7");
    let word = event(1, NOON).replace("\"majorEventType\":5", "\"majorEventType\":\"five\"");
    let name = "\"employeeNoString\":\"1\"";
    let null = event(1, NOON).replace(name, "\"employeeNoString\":\"1\\u00001\"");
    let padded = event(1, NOON).replace(name, "\"employeeNoString\":\"1\\u0000\"");
    let nulls = [b"{\"eventType\":\"a\0b\"", &[0; 4_000][..], b"}"].concat();
    vec![
        case("billion laughs", part(laughs), 0, 1),
        case("a file of ours", part(outside), 0, 1),
        case("JSON of depth 10,000", part(&deep), 0, 1),
        case("the same alone", &deep, 0, 1),
        case("XML of depth 10,000", part(deep_xml), 0, 1),
        case("a serial of twenty digits", part(huge), 0, 1),
        case("a serial below zero", part(negative), 0, 1),
        case("a code in letters", part(word), 0, 1),
        case("a NUL in a name", part(null), 0, 1),
        case("a name padded with NULs", part(padded), 1, 0),
        case("NULs between", part(nulls), 0, 1),
        case(
            "bytes that are no UTF-8",
            part(b"{\"eventType\":\"\xff\xfe\"}"),
            0,
            1,
        ),
        case("half a document", part("{\"eventType\":\"Acc"), 0, 1),
        case("nothing", b"", 0, 0),
        case("a picture alone", part(b"\xff\xd8\xff\xe0"), 0, 0),
    ]
}

/// Times as devices write them that have no zone, an odd one, or no clock.
fn times() -> Vec<Case> {
    vec![
        case(
            "a time without a zone",
            part(event(11, "2026-11-21T12:00:00")),
            1,
            0,
        ),
        case(
            "a zone of one digit",
            part(event(12, "2026-11-21T12:00:00-6:00")),
            1,
            0,
        ),
        case("1970", part(event(13, "1970-01-01T00:00:13+08:00")), 1, 0),
        case(
            "a day that never was",
            part(event(14, "2026-02-30T12:00:00-06:00")),
            0,
            1,
        ),
        case("no time at all", part(event(15, "")), 0, 1),
    ]
}

/// Posts that are long where they should be short, each with good events around it.
fn lengths() -> Vec<Case> {
    let long = [b"{\"eventType\":\"", &vec![b'x'; 100_000_000][..], b"\"}"].concat();
    let head = [
        b"--b\r\nX-Long: ",
        &vec![b'y'; 1 << 20][..],
        b"\r\n\r\n{}\r\n",
    ]
    .concat();
    let heads = [
        b"--b\r\n".to_vec(),
        b"X: y\r\n".repeat(50_000),
        b"\r\n{}\r\n".to_vec(),
    ]
    .concat();
    let open = part(event(24, NOON));
    let lines = b"\r\n".repeat(500_000);
    let with = |body: Vec<u8>, serial: u64| [body, part(event(serial, NOON))].concat();
    let many: String = (0..5_000)
        .map(|_| "{\"eventType\":\"heartBeat\"}")
        .collect();
    vec![
        // 3 MiB of it, in pieces of 256 KiB.
        case("a part of 100 MB", with(part(long), 21), 1, 12),
        case("a part's header of 1 MiB", with(head, 22), 1, 1),
        case("fifty thousand headers of a part", with(heads, 23), 1, 1),
        case("a boundary that is never closed", open, 1, 0),
        case("a million line ends", with(lines, 25), 1, 0),
        case(
            "five thousand documents",
            [part(event(26, NOON)), part(many)].concat(),
            1,
            1,
        ),
    ]
}

/// What is no whole request.
fn requests() -> Vec<Case> {
    let endless = format!("Host: s\r\nX-Long: {}", "z".repeat(1 << 20));
    let length = "Host: s\r\nContent-Length: 5000\r\n\r\n--b\r\n\r\n{\"eventType\":\"Acc";
    let two = "Host: s\r\nContent-Length: 3\r\nContent-Length: 33\r\n\r\n{}";
    let cut = Case {
        done: true,
        ..broken("a body that ends early", length)
    };
    vec![
        broken("an endless header", endless),
        broken("a body that never ends", length),
        broken("two lengths", two),
        cut,
    ]
}

/// The house under attack.
struct House {
    satellite: SatelliteProcess,
    checker: Checker,
    /// The path of the device that misbehaves, and of its neighbour.
    hostile: String,
    neighbour: String,
    /// Posts of the neighbour so far.
    posts: u64,
}

impl House {
    async fn try_it(&mut self, case: &Case) -> Result<()> {
        let before = self.kept().await?;
        let line = format!("POST {} HTTP/1.1\r\n", self.hostile);
        let bytes = [line.as_bytes(), &case.request].concat();
        let reply = knock(self.satellite.devices(), &bytes, case.done).await?;
        let status = reply.map(|reply| reply.status);
        let met = match case.expect.status {
            Some(wanted) => status == Some(wanted),
            None => status != Some(200),
        };
        ensure!(met, "answered with {status:?}");
        let after = self.kept().await?;
        let new = (after.0 - before.0, after.1 - before.1);
        let wanted = (case.expect.rows, case.expect.aside);
        ensure!(new == wanted, "{new:?} rows and set aside, not {wanted:?}");
        self.others_are_served().await
    }

    /// Rows of the hostile device, and what stands in quarantine.
    async fn kept(&mut self) -> Result<(i64, i64)> {
        let rows = "SELECT COUNT(*) FROM event_feed WHERE serial = 'HIKHOSTILE1'";
        let aside = "SELECT COALESCE(SUM(seen), 0) FROM quarantine";
        Ok((
            self.checker.number(rows).await?,
            self.checker.number(aside).await?,
        ))
    }

    async fn others_are_served(&mut self) -> Result<()> {
        self.posts += 1;
        let event = event(self.posts, NOON);
        posted(&self.satellite, &self.neighbour, &part(event)).await?;
        let rows = "SELECT COUNT(*) FROM event_feed WHERE serial = 'HIKGOOD0001'";
        let stored = self.checker.number(rows).await?;
        ensure!(
            u64::try_from(stored)? == self.posts,
            "{stored} of {} posts of another device are stored",
            self.posts
        );
        let ping = self.satellite.send(&get("/iclock/ping?SN=CALM1")).await?;
        ensure!(
            ping.body == "OK\n",
            "a terminal is no longer served: {ping:?}"
        );
        Ok(())
    }

    /// The most memory that satellite ever held, in KiB.
    fn peak(&self) -> Result<u64> {
        let process = self
            .satellite
            .process()
            .context("satellite is not running")?;
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let size = line.and_then(|line| line.split_whitespace().next());
        Ok(size.context("the system tells no size")?.parse()?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_post_is_answered_counted_and_set_aside_and_harms_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut setup = Setup::new(place.clone()).enrol(["CALM1"]);
    setup.more = "[limits]\nheader_seconds = 2\nbody_seconds = 2\n".to_owned();
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let hostile = enrol_posting(&satellite, "HIKHOSTILE1", &[]).await.unwrap();
    let neighbour = enrol_posting(&satellite, "HIKGOOD0001", &[]).await.unwrap();
    let mut house = House {
        checker: Checker::open(&place).await.unwrap(),
        satellite,
        hostile,
        neighbour,
        posts: 0,
    };
    house.others_are_served().await.unwrap();
    let peak = house.peak().unwrap();
    let mut failed = Vec::new();
    let cases = [documents(), times(), lengths(), requests()];
    for case in cases.into_iter().flatten() {
        if let Err(why) = house.try_it(&case).await {
            failed.push(format!("{}: {why:#}", case.name));
        }
    }
    let grown = house.peak().unwrap() - peak;
    println!("satellite's memory grew by {grown} KiB at most");
    if grown > GROWTH {
        failed.push(format!("satellite's memory grew by {grown} KiB"));
    }
    assert!(failed.is_empty(), "{failed:#?}");

    let set_aside = [("reason", "unreadable")];
    let metric = "satellite_quarantined_total";
    let counted = house.satellite.metric(metric, &set_aside).await.unwrap();
    assert!(counted >= 10.0, "only {counted} were counted");
    let clocks = house.checker.texts(SUSPECT, SUSPECT).await.unwrap();
    assert_eq!(clocks, ["13"]);
    let same = house.checker.texts(SAME_MOMENT, SAME_MOMENT).await.unwrap();
    assert_eq!(same, ["11", "12"]);
    let log = house.satellite.log();
    assert!(!log.contains("panicked"), "a panic is in the log");
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    assert!(!log.contains(control), "control characters are in the log");
}

/// Who has a clock that is not to be believed.
const SUSPECT: &str = "SELECT person FROM event_feed WHERE serial = 'HIKHOSTILE1' \
                       AND clock = 'suspect' ORDER BY person";
/// Whose times, written in two ways, are one moment.
const SAME_MOMENT: &str = "SELECT person FROM event_feed WHERE serial = 'HIKHOSTILE1' \
                           AND occurred_at = '2026-11-21 18:00:00.000' \
                           AND person IN ('11', '12') ORDER BY person";
