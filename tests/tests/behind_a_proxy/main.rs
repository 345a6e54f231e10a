//! Promise: a terminal behind the shipped recipe for nginx or Apache is served as if there were
//! none. Its own address counts and nobody can pretend another, whatever way it sends a body loses
//! nothing, and while satellite is away it hears no success.
//!
//! The proxies are the distribution's own, which `cargo xtask test` unpacks and names in
//! `SATELLITE_JUDGE_PROXIES`. Of the recipes in `deploy/proxy` only ports, and the place of the
//! certificate, are changed. Without that name a test here says loudly that it tried nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use promises::hikvision::{enrol_posting, fed_rows};
use promises::{
    Checker, Place, Reply, Running, SatelliteProcess, Setup, attlog, exchange, get, handshake,
    knock, read_reply, seed, unkind,
};
use terminals::{HabitShares, Scenario};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

mod proxy;

use proxy::{Make, Proxy};

/// Longest that a proxy may need to listen, and records to arrive.
const WITHIN: Duration = Duration::from_secs(60);
/// A terminal's own address: all of 127.0.0.0/8 is this machine.
const TERMINAL: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// What somebody pretends to be.
const FORGED: &str = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n";
/// Records of the long body.
const LONG: usize = 6_000;

/// What both tests need.
struct Scene {
    satellite: SatelliteProcess,
    proxy: Proxy,
    checker: Checker,
    _folder: tempfile::TempDir,
}

/// The terminals that these tests play by hand.
const BY_HAND: [&str; 8] = [
    "PXADDRESS",
    "PXDIRECT",
    "PXCHUNK",
    "PXLONG",
    "PXSLOW",
    "PXHALF",
    "PXTLS",
    "PXAWAY",
];

impl Scene {
    async fn open(make: Make, fleet: &Scenario) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let place = Place::sqlite(folder.path());
        let mut setup = Setup::new(place.clone()).enrol(fleet.serials());
        setup = setup.enrol(BY_HAND);
        "[limits]\ntrusted_proxies = [\"127.0.0.1\"]\n".clone_into(&mut setup.more);
        let satellite = SatelliteProcess::start(&setup).await?;
        let Some(proxy) = Proxy::start(make, satellite.devices()).await? else {
            return Ok(None);
        };
        let checker = Checker::open(&place).await?;
        Ok(Some(Self {
            satellite,
            proxy,
            checker,
            _folder: folder,
        }))
    }

    async fn rows_of(&mut self, serial: &str) -> Result<usize> {
        let rows = self.checker.feed().await?;
        Ok(rows.iter().filter(|row| row.serial == serial).count())
    }

    /// What `/devices` says of a terminal under this key.
    async fn shown(&self, serial: &str, key: &str) -> Result<String> {
        let page = self.satellite.admin("/devices").await?.body;
        let page: serde_json::Value = serde_json::from_str(&page)?;
        let devices = page["devices"].as_array().context("no devices")?;
        let device = devices.iter().find(|device| device["serial"] == serial);
        let shown = device.and_then(|device| device[key].as_str());
        Ok(shown.unwrap_or_default().to_owned())
    }
}

/// A punch of a person at noon.
fn punch(person: &str) -> String {
    format!("{person}\t2026-11-21 12:00:00\t0\t1\n")
}

/// One punch, with these header lines more.
fn upload(serial: &str, more: &str) -> Vec<u8> {
    let request = attlog(serial, "9999", punch("7").as_bytes());
    let request = String::from_utf8_lossy(&request).replace("Host:", &format!("{more}Host:"));
    request.into_bytes()
}

/// Sends from an address of this machine.
async fn from(address: Ipv4Addr, to: SocketAddr, request: &[u8]) -> Result<Reply> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(address), 0))?;
    let mut stream = socket.connect(to).await?;
    stream.write_all(request).await?;
    read_reply(&mut stream).await.context("no reply")
}

async fn the_address_is_the_terminals_own_and_nobody_pretends_another(
    scene: &mut Scene,
) -> Result<()> {
    let through = upload("PXADDRESS", FORGED);
    ensure!(
        from(TERMINAL, scene.proxy.plain, &through)
            .await?
            .accepts(1)
    );
    let seen = scene.shown("PXADDRESS", "address").await?;
    ensure!(seen == TERMINAL.to_string(), "the address is {seen}");
    let spoken = scene.shown("PXADDRESS", "transport").await?;
    ensure!(spoken == "plain", "it spoke {spoken}");

    let past = upload("PXDIRECT", FORGED);
    ensure!(
        from(TERMINAL, scene.satellite.devices(), &past)
            .await?
            .accepts(1)
    );
    let seen = scene.shown("PXDIRECT", "address").await?;
    ensure!(seen == TERMINAL.to_string(), "believed {seen}");
    let spoken = scene.shown("PXDIRECT", "transport").await?;
    ensure!(spoken == "plain", "believed that it spoke {spoken}");

    let reply = scene.proxy.ask_over_tls(&upload("PXTLS", "")).await?;
    ensure!(reply.accepts(1), "{reply:?}");
    let spoken = scene.shown("PXTLS", "transport").await?;
    ensure!(spoken == "tls", "over TLS it spoke {spoken}");
    Ok(())
}

/// Chunks after "100 Continue", then another request on the same connection.
async fn chunks_after_a_leave_and_a_kept_connection(scene: &mut Scene) -> Result<()> {
    let mut stream = TcpStream::connect(scene.proxy.plain).await?;
    let head = "POST /iclock/cdata?SN=PXCHUNK&table=ATTLOG&Stamp=9999 HTTP/1.1\r\nHost: s\r\n\
                Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let mut leave = [0; 25];
    tokio::time::timeout(WITHIN, stream.read_exact(&mut leave)).await??;
    ensure!(&leave == b"HTTP/1.1 100 Continue\r\n\r\n", "{leave:?}");
    for piece in [punch("1"), punch("2")] {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        stream.write_all(chunk.as_bytes()).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stream.write_all(b"0\r\n\r\n").await?;
    let reply = read_reply(&mut stream).await.context("no reply")?;
    ensure!(reply.accepts(2), "{reply:?}");
    for _ in 0..3 {
        stream.write_all(&get("/iclock/ping?SN=PXCHUNK")).await?;
        let reply = read_reply(&mut stream).await.context("not kept")?;
        ensure!(reply.status == 200, "{reply:?}");
    }
    ensure!(scene.rows_of("PXCHUNK").await? == 2);
    Ok(())
}

async fn a_long_body_a_slow_one_and_half_of_one(scene: &mut Scene) -> Result<()> {
    let lines: String = (1..=LONG)
        .map(|person| punch(&person.to_string()))
        .collect();
    let long = attlog("PXLONG", "9999", lines.as_bytes());
    let begun = Instant::now();
    loop {
        let reply = exchange(scene.proxy.plain, &long).await?;
        if reply.accepts(LONG) {
            break;
        }
        // Of a slow machine satellite asks for patience, and a terminal has it.
        let patience = reply.status == 503 && reply.refuses() && begun.elapsed() < WITHIN;
        ensure!(patience, "{reply:?}");
    }
    ensure!(scene.rows_of("PXLONG").await? == LONG);

    let slow = upload("PXSLOW", "");
    let (head, tail) = slow.split_at(slow.len() - 20);
    let mut stream = TcpStream::connect(scene.proxy.plain).await?;
    stream.write_all(head).await?;
    for byte in tail {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(&[*byte]).await?;
        let other = exchange(scene.proxy.plain, &get("/iclock/ping?SN=PXLONG")).await?;
        ensure!(other.status == 200, "others wait: {other:?}");
    }
    let reply = read_reply(&mut stream).await.context("no reply")?;
    ensure!(reply.accepts(1), "{reply:?}");

    let half = upload("PXHALF", "");
    let reply = knock(scene.proxy.plain, &half[..half.len() - 5], true).await?;
    ensure!(
        reply.is_none_or(|reply| reply.status != 200),
        "half was taken"
    );
    ensure!(scene.rows_of("PXHALF").await? == 0, "half was stored");
    Ok(())
}

/// What a terminal is told that satellite itself says, byte for byte where it matters: no
/// compression, and its clock is set by satellite's.
async fn answers_come_as_they_are(scene: &Scene) -> Result<()> {
    let ask = String::from_utf8(handshake("PXLONG"))?;
    let ask = ask.replace("Host:", "Accept-Encoding: gzip\r\nHost:");
    let reply = exchange(scene.proxy.plain, ask.as_bytes()).await?;
    ensure!(
        reply.status == 200 && reply.option("ATTLOGStamp").is_some(),
        "{reply:?}"
    );
    ensure!(reply.head.contains("Date: "), "no Date: {}", reply.head);
    let head = reply.head.to_ascii_lowercase();
    ensure!(!head.contains("content-encoding"), "{head}");
    // The limit of both programs that the manual names.
    let blanks = get("/iclock/getrequest?SN=PXLONG&INFO=Ver 8.0, 1");
    let reply = exchange(scene.proxy.plain, &blanks).await?;
    ensure!(reply.status == 400 && reply.refuses(), "{reply:?}");
    let other = exchange(scene.proxy.plain, &get("/metrics")).await?;
    ensure!(other.status == 404, "more than the door is open: {other:?}");
    Ok(())
}

/// A camera that posts and a terminal that pushes, while satellite is away and afterwards.
async fn an_absence_looks_like_no_success(scene: &mut Scene) -> Result<()> {
    let path = enrol_posting(&scene.satellite, "PXCAMERA", &[]).await?;
    let body = "{\"eventType\":\"AccessControllerEvent\",\"dateTime\":\"2026-11-21T12:00:00-06:00\",\
                \"AccessControllerEvent\":{\"majorEventType\":5,\"subEventType\":75,\"serialNo\":41,\
                \"employeeNoString\":\"41\"}}";
    let post = format!(
        "POST {path} HTTP/1.1\r\nHost: s\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let away = upload("PXAWAY", "");
    scene.satellite.kill9().await?;
    for request in [post.as_bytes(), &away] {
        let reply = exchange(scene.proxy.plain, request).await?;
        let told = reply.refuses() && [502, 503, 504].contains(&reply.status);
        ensure!(told, "{reply:?}");
    }
    scene.satellite.run().await?;
    // At once: a proxy must not go on refusing because it was refused before.
    let reply = exchange(scene.proxy.plain, &away).await?;
    ensure!(reply.accepts(1), "{reply:?}");
    let reply = exchange(scene.proxy.plain, post.as_bytes()).await?;
    ensure!(reply.status == 200, "{reply:?}");
    ensure!(scene.rows_of("PXAWAY").await? == 1);
    let rows = fed_rows(&mut scene.checker).await?;
    ensure!(
        rows.len() == 1 && rows.iter().all(|row| row.row.serial_no == 41),
        "{rows:?}"
    );
    Ok(())
}

/// Terminals with every fault behind the proxy, over three kills of satellite.
async fn a_fleet_over_restarts(scene: &mut Scene, fleet: Scenario) -> Result<()> {
    let folder = scene.satellite.folder().to_owned();
    let fleet = Running::start(fleet, scene.proxy.plain, &folder, "ledger")?;
    for _ in 0..3 {
        fleet.acked_more(100, WITHIN).await?;
        scene.satellite.kill9().await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        scene.satellite.run().await?;
    }
    fleet.acked_more(100, WITHIN).await?;
    let (summary, ledger) = fleet.finish(WITHIN).await?;
    let compared = scene
        .checker
        .compare_of(&[&ledger], |serial| serial.starts_with("PXF"))
        .await?;
    compared.exact()?;
    let away = summary.refused > 0 || summary.failures.broken > 0;
    ensure!(away, "no exchange met an absence: {summary:#?}");
    Ok(())
}

async fn everything(make: Make) -> Result<()> {
    let fleet = Scenario {
        rate: 200.0,
        habits: HabitShares {
            // Both programs refuse such a line, as the manual says.
            raw_space_info: 0.0,
            ..HabitShares::mixed()
        },
        ..unkind(seed(), "PXF", 10)
    };
    let Some(mut scene) = Scene::open(make, &fleet).await? else {
        return Ok(());
    };
    let tried = async {
        the_address_is_the_terminals_own_and_nobody_pretends_another(&mut scene).await?;
        chunks_after_a_leave_and_a_kept_connection(&mut scene).await?;
        a_long_body_a_slow_one_and_half_of_one(&mut scene).await?;
        answers_come_as_they_are(&scene).await?;
        an_absence_looks_like_no_success(&mut scene).await?;
        a_fleet_over_restarts(&mut scene, fleet).await
    };
    if let Err(error) = tried.await {
        bail!("{make:?}: {error:#}\n{}", scene.proxy.said()?);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_behind_the_shipped_recipe_for_nginx_are_served_as_without_it() {
    everything(Make::Nginx).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_behind_the_shipped_recipe_for_apache_are_served_as_without_it() {
    everything(Make::Apache).await.unwrap();
}
