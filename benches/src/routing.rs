//! Records routed at random: single punches, each posted to a terminal drawn by chance, and the
//! comparison of every row with the database that it belongs to.
//!
//! Hand-written requests over kept connections, so that one connection carries the records of
//! all tenants in turn, which no terminal does. A record is known again by its PIN, which no
//! two share and no simulated terminal uses.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mariadb::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Connections that post at the same time.
const LANES: usize = 64;
/// The first PIN, above those of the simulated people.
const FIRST_PIN: u32 = 900_000_000;
/// Tries of one record, refused ones included.
const TRIES: u32 = 50;

/// Which record went to which tenant.
pub(crate) struct Routed {
    /// PINs by tenant.
    expected: Vec<BTreeSet<String>>,
    /// Posts that were accepted, one for each record.
    pub(crate) posts: u64,
    /// Accepted posts a second.
    pub(crate) rate: f64,
}

/// Posts that many records to `address` (`host:port`), each to one of these terminals.
pub(crate) async fn route(address: &str, serials: &[String], records: u32) -> Result<Routed> {
    let mut expected = vec![BTreeSet::new(); serials.len()];
    let mut lanes = vec![Vec::new(); LANES];
    let mut random = 0x5eed_u64;
    for (record, lane) in (0..records).zip((0..LANES).cycle()) {
        // Knuth's generator; its high bits are good enough to draw a tenant.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let tenant = usize::try_from(random >> 33)? % serials.len();
        let serial = serials.get(tenant).context("no such tenant")?;
        let pin = (FIRST_PIN + record).to_string();
        let request = post(serial, &pin);
        if let (Some(set), Some(list)) = (expected.get_mut(tenant), lanes.get_mut(lane)) {
            set.insert(pin);
            list.push(request);
        }
    }
    let begin = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for requests in lanes {
        let address = address.to_owned();
        tasks.spawn(async move { lane(&address, &requests).await });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(Routed {
        expected,
        posts: u64::from(records),
        rate: f64::from(records) / begin.elapsed().as_secs_f64(),
    })
}

impl Routed {
    /// How many of the records of that tenant's database do not belong there, or are missing.
    pub(crate) fn wrong(&self, server: &Server, database: &str, tenant: u32) -> Result<u64> {
        let none = BTreeSet::new();
        let expected = self.expected.get(usize::try_from(tenant)?).unwrap_or(&none);
        let sql = format!(
            "SELECT person FROM `{database}`.event_feed WHERE person >= '{FIRST_PIN}' AND CHAR_LENGTH(person) = 9;"
        );
        let answer = server.sql(&sql)?;
        // Equal rows would be taken for one here, so they are counted too.
        let found: BTreeSet<String> = answer.lines().map(str::to_owned).collect();
        let repeated = answer.lines().count() - found.len();
        let differing = found.symmetric_difference(expected).count();
        Ok(u64::try_from(repeated + differing)?)
    }
}

fn post(serial: &str, pin: &str) -> String {
    let body = format!("{pin}\t2026-11-20 09:00:00\t0\t1\t0\t0\n");
    format!(
        "POST /iclock/cdata?SN={serial}&table=ATTLOG&Stamp=9999 HTTP/1.1\r\nHost: satellite\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn lane(address: &str, requests: &[String]) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    for request in requests {
        let mut tries = 0;
        while !accepted(&mut stream, request).await? {
            tries += 1;
            ensure!(tries < TRIES, "a record was refused {TRIES} times");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    Ok(())
}

/// Sends a request and reads its answer to the end; true when it is `OK: 1`.
async fn accepted(stream: &mut TcpStream, request: &str) -> Result<bool> {
    stream.write_all(request.as_bytes()).await?;
    let mut reply = Vec::with_capacity(512);
    loop {
        let text = std::str::from_utf8(&reply)?;
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "))
                .context("an answer without a length")?;
            if body.len() >= length.parse()? {
                return Ok(body.trim() == "OK: 1");
            }
        }
        if stream.read_buf(&mut reply).await? == 0 {
            bail!("satellite closed the connection");
        }
    }
}
