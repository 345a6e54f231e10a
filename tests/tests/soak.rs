//! Promise: at sixty times the punches of a day, with a fault each minute, one satellite goes on
//! for as long as one likes: nothing is lost or doubled, and memory and descriptors stay flat.
//!
//! Terminals of all four families at one satellite over a durable MariaDB. The faults are those
//! that a satellite has to live through without ending: what befalls its database, and what comes
//! to its door. The order is drawn; in each round of as many faults as there are kinds, every kind
//! comes once. How long is `SOAK_MINUTES`, a fault a minute; without it every kind comes once, one
//! after another.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use mariadb::{Flavor, Server};
use promises::{Mixed, Place, Random, blocking, get, seed};
use terminals::{Faults, HabitShares, Scenario};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Punches a minute of a terminal that has a thousand a day, sixty times over.
const A_MINUTE: f64 = 42.0;
/// Longest until punches are acknowledged again after a fault, and until all is equal at the end.
const LIMIT: Duration = Duration::from_secs(60);
/// Longest that satellite lets a head take (`header_seconds`), and then some.
const CUT_OFF: Duration = Duration::from_secs(20);
/// Peers that a fault at the door brings at once.
const PEERS: usize = 200;

/// What happens to a satellite that has to live through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The database is killed and comes back.
    Killed,
    /// The database answers nothing for a while.
    Hung,
    /// The database takes no writes for a while.
    ReadOnly,
    /// Every connection to the database is cut.
    Cut,
    /// The table of the events is locked by somebody for a while.
    Locked,
    /// Peers begin a request and never end it.
    SlowHeads,
    /// Serials that nobody knows, as fast as they can.
    Strangers,
    /// Bytes that are no request.
    Garbage,
    /// There are no descriptors left for new connections.
    NoDescriptors,
}

const FAULTS: [Fault; 9] = [
    Fault::Killed,
    Fault::Hung,
    Fault::ReadOnly,
    Fault::Cut,
    Fault::Locked,
    Fault::SlowHeads,
    Fault::Strangers,
    Fault::Garbage,
    Fault::NoDescriptors,
];

/// What the kernel says of the process.
#[derive(Debug, Clone, Copy)]
struct Size {
    minutes: f64,
    rss_kib: u64,
    descriptors: usize,
}

struct Soak {
    server: Arc<Server>,
    fleet: Mixed,
    random: Random,
    process: u32,
    /// Its name at the server.
    database: String,
    begin: Instant,
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_times_the_punches_and_a_fault_a_minute_lose_nothing_and_memory_stays_flat() {
    let minutes = std::env::var("SOAK_MINUTES").ok();
    let minutes: Option<u64> = minutes.map(|text| text.parse().expect("SOAK_MINUTES is a number"));
    let faults = minutes.map_or(FAULTS.len(), |minutes| usize::try_from(minutes).unwrap());
    let pace = minutes.map_or(Duration::from_secs(1), |_| Duration::from_secs(60));

    let mut soak = Soak::begin(seed()).await;
    let (mut sizes, mut left) = (vec![soak.size()], Vec::new());
    for number in 0..faults {
        let until = Instant::now() + pace;
        if left.is_empty() {
            left = FAULTS.to_vec();
        }
        let drawn = soak.random.next_number() % u64::try_from(left.len()).unwrap();
        let fault = left.swap_remove(usize::try_from(drawn).unwrap());
        let began = Instant::now();
        soak.fleet.people(1).await.unwrap();
        soak.inflict(fault).await;
        soak.fleet.pushing.acked_more(20, LIMIT).await.unwrap();
        println!(
            "{number} {fault:?}: {:?} until punches came again",
            began.elapsed()
        );
        // At the pace of the others: 42 people a minute at each device that is dialled.
        while Instant::now() < until {
            soak.fleet.people(1).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1_430)).await;
        }
        sizes.push(soak.size());
    }
    soak.end(&sizes, faults).await;
}

impl Soak {
    async fn begin(seed: u64) -> Self {
        let server = blocking(|| Server::start(Flavor::Durable)).await.unwrap();
        let place = Place::mariadb(server.address()).await.unwrap();
        let scenario = Scenario {
            seed,
            rate: A_MINUTE,
            backlog: 30,
            poll_s: Some(5),
            error_delay_ms: Some(500),
            timeout_s: 20,
            faults: Faults {
                ack_lost: 0.02,
                half_body: 0.01,
                twins: 0.02,
                replay: 0.01,
                ..Faults::default()
            },
            habits: HabitShares::mixed(),
            ..Scenario::default()
        };
        let fleet = Mixed::open(&place, scenario, [24, 6, 4, 4], &[])
            .await
            .unwrap();
        fleet.pushing.acked_more(30, LIMIT).await.unwrap();
        Self {
            process: fleet.satellite.process().unwrap(),
            server: Arc::new(server),
            database: place.url().rsplit('/').next().unwrap().to_owned(),
            random: Random::new(seed),
            begin: Instant::now(),
            fleet,
        }
    }

    async fn inflict(&mut self, fault: Fault) {
        let while_it_lasts = self.random.millis(1_000, 4_000);
        match fault {
            Fault::Killed => {
                self.with_server(|server| server.kill9().unwrap()).await;
                tokio::time::sleep(while_it_lasts).await;
                self.with_server(|server| server.restart().unwrap()).await;
            }
            Fault::Hung => {
                self.with_server(|server| server.pause().unwrap()).await;
                tokio::time::sleep(while_it_lasts * 3).await;
                self.with_server(|server| server.resume().unwrap()).await;
            }
            Fault::ReadOnly => {
                self.sql("SET GLOBAL read_only = 1;").await;
                tokio::time::sleep(while_it_lasts).await;
                self.sql("SET GLOBAL read_only = 0;").await;
            }
            Fault::Cut => {
                self.sql("KILL USER satellite;").await;
            }
            Fault::Locked => {
                let database = self.database.clone();
                let seconds = while_it_lasts.as_secs_f64();
                self.sql(&format!(
                    "LOCK TABLES `{database}`.event WRITE; SELECT SLEEP({seconds}); UNLOCK TABLES;"
                ))
                .await;
            }
            Fault::SlowHeads => self.slow_heads().await,
            Fault::Strangers => self.strangers().await,
            Fault::Garbage => self.garbage().await,
            Fault::NoDescriptors => self.no_descriptors().await,
        }
    }

    async fn with_server(&self, work: impl FnOnce(&Server) + Send + 'static) {
        let server = Arc::clone(&self.server);
        blocking(move || {
            work(&server);
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }

    async fn sql(&self, statements: &str) -> String {
        let (server, statements) = (Arc::clone(&self.server), statements.to_owned());
        blocking(move || server.sql(&statements)).await.unwrap()
    }

    async fn peers(&self, said: &[u8]) -> Vec<TcpStream> {
        let mut peers = Vec::new();
        for _ in 0..PEERS {
            let mut peer = TcpStream::connect(self.fleet.satellite.devices())
                .await
                .unwrap();
            // One that was cut off at once has failed as it should.
            peer.write_all(said).await.ok();
            peers.push(peer);
        }
        peers
    }

    /// They are cut off by the limit of a head, which is how one sees that its clock runs.
    async fn slow_heads(&self) {
        let refused = self.refused("header_timeout").await;
        let peers = self.peers(b"POST /iclock/cdata?SN=SLOW").await;
        all_cut_off(peers).await;
        let now = self.refused("header_timeout").await;
        let expected = f64::from(u32::try_from(PEERS).unwrap());
        assert!(
            now >= refused + expected,
            "{now} of {expected} slow heads are counted"
        );
    }

    async fn garbage(&self) {
        let peers = self.peers(b"\x16\x03\x01\x00\xff\xfe\0\r\n\r\n").await;
        all_cut_off(peers).await;
    }

    /// A hundred serials that nobody enrolled, in requests without a pause.
    async fn strangers(&self) {
        let until = Instant::now() + Duration::from_secs(3);
        let door = self.fleet.satellite.devices();
        let mut floods = Vec::new();
        for flood in 0..20 {
            floods.push(tokio::spawn(async move {
                let mut asked = 0_u32;
                while Instant::now() < until {
                    let serial = format!("NOBODY{flood:02}{:02}", asked % 5);
                    let path = format!("/iclock/getrequest?SN={serial}");
                    // Whatever it is told, or whether it is told anything, is another test's.
                    promises::knock(door, &get(&path), false).await.ok();
                    asked += 1;
                }
                asked
            }));
        }
        let mut asked = 0;
        for flood in floods {
            asked += flood.await.unwrap();
        }
        assert!(asked > 1_000, "{asked} requests are no flood");
    }

    async fn refused(&self, reason: &str) -> f64 {
        let labels = [("reason", reason)];
        let refused = self
            .fleet
            .satellite
            .metric("satellite_refused_total", &labels);
        // A reason that never came has no series.
        refused.await.unwrap_or(0.0)
    }

    /// New connections find no descriptor; those that are there are served on, and satellite does
    /// not burn the processor by asking again and again.
    async fn no_descriptors(&self) {
        let open = descriptors(self.process);
        self.limit_descriptors(&format!("{open}:")).await;
        let before = cpu_ticks(self.process);
        let peers = self.peers(b"").await;
        let watched = Duration::from_secs(3);
        tokio::time::sleep(watched).await;
        let used = cpu_ticks(self.process) - before;
        drop(peers);
        self.limit_descriptors("20000:").await;
        let share = f64::from(u32::try_from(used).unwrap()) / 100.0 / watched.as_secs_f64();
        assert!(
            share < 0.5,
            "{share} of a core without descriptors: a busy loop"
        );
        let log = self.fleet.satellite.log();
        assert!(
            log.contains("no connection can be accepted"),
            "descriptors did not run out"
        );
    }

    async fn limit_descriptors(&self, soft: &str) {
        let process = self.process.to_string();
        let limit = format!("--nofile={soft}");
        let done = tokio::process::Command::new("prlimit")
            .args(["--pid", &process, &limit])
            .status()
            .await;
        assert!(done.unwrap().success(), "prlimit did not set {soft}");
    }

    fn size(&self) -> Size {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.unwrap().trim().trim_end_matches(" kB");
        Size {
            minutes: self.begin.elapsed().as_secs_f64() / 60.0,
            rss_kib: rss.parse().unwrap(),
            descriptors: descriptors(self.process),
        }
    }

    /// Everybody's ledger is equal to the feed, in one process from beginning to end.
    async fn end(self, sizes: &[Size], faults: usize) {
        let fleet = self.fleet;
        fleet.pushing.drained(LIMIT).await.unwrap();
        let rows = fleet.equal(LIMIT).await.unwrap();
        println!("{faults} faults in {:?}, {rows} rows", self.begin.elapsed());
        for size in sizes {
            println!(
                "{:.1} min: {} KiB, {} descriptors",
                size.minutes, size.rss_kib, size.descriptors
            );
        }
        assert_eq!(fleet.satellite.process(), Some(self.process));
        assert!(
            !fleet.satellite.log().contains("panicked"),
            "a panic is in the log"
        );
        let summary = fleet.pushing.summary();
        let done = &summary.faults;
        assert!(
            done.acks_lost > 0 && done.half_bodies > 0 && done.twins > 0,
            "planned faults of terminals did not happen: {done:?}"
        );
        is_flat(sizes);
    }
}

/// Each peer is cut off by satellite, not by us.
async fn all_cut_off(peers: Vec<TcpStream>) {
    let begin = Instant::now();
    for mut peer in peers {
        let left = CUT_OFF.saturating_sub(begin.elapsed());
        let mut said = Vec::new();
        let end = tokio::time::timeout(left, peer.read_to_end(&mut said)).await;
        assert!(end.is_ok(), "a peer was still let wait after {CUT_OFF:?}");
    }
}

fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .count()
}

/// Processor time in hundredths of a second.
fn cpu_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1;
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.map(|field| field.parse::<u64>().unwrap()).sum()
}

/// The last third of a run holds no more than the first third did, but for what comes and goes.
fn is_flat(sizes: &[Size]) {
    let third = sizes.len().div_ceil(3);
    let middle = |part: &[Size], of: fn(&Size) -> u64| {
        let mut values: Vec<u64> = part.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    let (first, last) = (&sizes[..third], &sizes[sizes.len() - third..]);
    let rss = |part| middle(part, |size| size.rss_kib);
    let open = |part| middle(part, |size| size.descriptors as u64);
    assert!(rss(last) < rss(first) + 16 * 1024, "memory grew");
    assert!(
        open(last) < open(first) + 20,
        "descriptors are not given back"
    );
}
