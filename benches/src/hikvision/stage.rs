//! What every bench of Hikvision devices stands on: a durable database, satellite, a ledger,
//! the feed, and devices that are enrolled and let people in.
//!
//! Devices are enrolled through the registry itself, as a thousand commands would only measure
//! the start of a program. What a device made is timed from before it made it, so that no delay
//! is told smaller than it was.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use event::{Millis, Serial, TenantId, Text, Vendor};
use mariadb::{Flavor, Server};
use store::Target;
use store::registry::{self, Access, NewEnrolment, TokenHash};
use tempfile::TempDir;
use terminals::Ledger;
use terminals::hikvision::{Device, DeviceOptions, LogOptions, Post};

use super::feed::{Feed, Made};
use super::verdict::{self, Verdict};
use crate::load::Cpu;
use crate::process::{NOTICED_WITHIN, Satellite};

const DATABASE: &str = "hikvision";
const TENANT: &str = "bench";

/// The parties of a run.
pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) satellite: Satellite,
    pub(super) feed: Feed,
    ledger: Ledger,
    folder: TempDir,
    url: String,
}

impl Stage {
    /// Starts the database and satellite; no device is enrolled yet.
    pub(super) async fn start() -> Result<Self> {
        let server = tokio::task::spawn_blocking(|| Server::start(Flavor::Durable)).await??;
        server.create_database(DATABASE)?;
        let url = server.url(DATABASE);
        let stores = format!(
            "[store]\nurl = \"{url}\"\n\
             [[tenant]]\nid = \"{TENANT}\"\nname = \"Bench\"\ntime_zone = \"America/Mexico_City\"\n"
        );
        let satellite = Satellite::start(&stores).await?;
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let ledger = Ledger::create(&folder.path().join("ledger"))?;
        let feed = Feed::open(&url).await?;
        Ok(Self {
            server,
            satellite,
            feed,
            ledger,
            folder,
            url,
        })
    }

    /// A dialled device whose rows go into the ledger, its history too where it is owed.
    pub(super) async fn device(&self, options: DeviceOptions) -> Result<Device> {
        let device = Device::start(options, Some(self.ledger.clone()))?;
        device.own_up().await?;
        Ok(device)
    }

    /// The ledger, for devices that are started elsewhere.
    pub(super) fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    /// Enrols dialled devices. Satellite notices within [`noticed`](Self::noticed).
    pub(super) async fn enrol<'a>(&self, devices: impl Iterator<Item = &'a Device>) -> Result<()> {
        let mut access = Vec::new();
        for device in devices {
            let (user, password) = device.login();
            access.push((
                device.serial().to_owned(),
                Access {
                    address: Some(Text::from(device.address().to_string())),
                    user: Some(Text::from(user)),
                    secret_file: Some(Text::from(self.secret(password)?)),
                    ..Access::default()
                },
            ));
        }
        self.enrol_all(access).await
    }

    /// Enrols posting devices by serial; answers the URL of each, in order.
    pub(super) async fn enrol_posting(&self, serials: &[String]) -> Result<Vec<String>> {
        let address = String::from(self.satellite.target()?);
        let address = address.trim_end_matches('/');
        let token = |serial: &String| format!("bench-token-of-{serial}");
        let access = serials.iter().map(|serial| {
            let token_hash = Some(TokenHash::of(&token(serial)));
            let access = Access {
                token_hash,
                ..Access::default()
            };
            (serial.clone(), access)
        });
        self.enrol_all(access.collect()).await?;
        let url = |serial| format!("{address}/hikvision/{}", token(serial));
        Ok(serials.iter().map(url).collect())
    }

    async fn enrol_all(&self, all: Vec<(String, Access)>) -> Result<()> {
        let target = Target::mysql(&self.url, None, "bench");
        let mut engine = target.connect().await.map_err(|why| anyhow!("{why}"))?;
        let tenant = TenantId::new(TENANT)?;
        let now = i64::try_from(
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)?
                .as_millis(),
        )?;
        for (serial, access) in all {
            let new = NewEnrolment {
                access,
                ..NewEnrolment::of(Vendor::Hikvision, Serial::new(&serial)?, tenant.clone())
            };
            registry::enrol(&mut engine, new, Millis(now), "bench")
                .await
                .with_context(|| format!("{serial} was not enrolled"))?;
        }
        Ok(())
    }

    /// Waits as long as satellite may take to notice enrolments.
    pub(super) async fn noticed(&self) {
        tokio::time::sleep(NOTICED_WITHIN).await;
    }

    /// The file with the password, which all devices share.
    fn secret(&self, password: &str) -> Result<String> {
        let file = self.folder.path().join("password");
        std::fs::write(&file, password)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
        let name = file.to_str();
        Ok(name
            .context("the temporary folder has no plain name")?
            .to_owned())
    }

    /// Where the ledger stands.
    pub(super) fn ledger_file(&self) -> PathBuf {
        self.folder.path().join("ledger")
    }

    /// Processor time that each party has used so far.
    pub(super) fn cpu(&self) -> Result<Cpu> {
        Cpu::now(self.satellite.process_id(), self.server.process_id())
    }

    /// Ledger against feed, as they are now.
    pub(super) async fn verdict(&self, prefix: &str) -> Result<Verdict> {
        let rows = self.feed.rows().await?;
        let (ledger, prefix) = (self.ledger_file(), prefix.to_owned());
        tokio::task::spawn_blocking(move || verdict::judge(&ledger, &rows, &prefix)).await?
    }

    /// Waits until ledger and feed are equal; the last comparison when they never are.
    pub(super) async fn settled(&self, prefix: &str, limit: Duration) -> Result<Verdict> {
        let begin = Instant::now();
        loop {
            let verdict = self.verdict(prefix).await?;
            if verdict.is_clean() || begin.elapsed() > limit {
                return Ok(verdict);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Waits until each of these devices has been searched and its stream is open.
    pub(super) async fn connected(&self, devices: &[Device], limit: Duration) -> Result<()> {
        let begin = Instant::now();
        let is_up = |device: &&Device| {
            let counters = device.counters();
            counters.streams > 0 && counters.questions > 0
        };
        loop {
            let up = devices.iter().filter(is_up).count();
            if up == devices.len() {
                return Ok(());
            }
            ensure!(
                begin.elapsed() < limit,
                "{up} of {} devices are searched and streamed after {} s: {}",
                devices.len(),
                limit.as_secs(),
                self.satellite.log_end()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// A plain device of that serial with that log, and a stream that is as default.
pub(super) fn plain(prefix: &str, place: u32, log: LogOptions) -> DeviceOptions {
    DeviceOptions {
        serial: format!("{prefix}{place:07}"),
        seed: u64::from(place) + 1,
        log,
        ..DeviceOptions::default()
    }
}

/// A log that is empty at the beginning. `door_rows`: each person makes three rows, not one.
pub(super) fn empty_log(door_rows: bool) -> LogOptions {
    LogOptions {
        door_rows,
        ..LogOptions::default()
    }
}

/// Whatever lets people in.
pub(super) trait Entrance {
    /// Its serial.
    fn name(&self) -> &str;
    /// Lets somebody in; answers the number of the row.
    async fn enter(&self, person: &str) -> io::Result<u64>;
}

impl Entrance for Device {
    fn name(&self) -> &str {
        self.serial()
    }

    async fn enter(&self, person: &str) -> io::Result<u64> {
        self.punch(person).await
    }
}

impl Entrance for Post {
    fn name(&self) -> &str {
        self.serial()
    }

    async fn enter(&self, person: &str) -> io::Result<u64> {
        self.punch(person).await
    }
}

/// People at one door after the other, at an even pace.
pub(super) struct Crowd {
    pause: Duration,
    come: u64,
}

impl Crowd {
    /// So many people a second.
    pub(super) fn new(per_second: f64) -> Self {
        Self {
            pause: Duration::from_secs_f64(1.0 / per_second),
            come: 0,
        }
    }

    /// Lets people in until `ends` is done; every one with the time before it was made.
    pub(super) async fn walk<E: Entrance>(
        &mut self,
        doors: &[E],
        ends: impl Future<Output = ()>,
    ) -> Result<Vec<Made>> {
        ensure!(!doors.is_empty(), "nobody can enter anywhere");
        let mut made = Vec::new();
        let mut ticks = tokio::time::interval(self.pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        tokio::pin!(ends);
        loop {
            tokio::select! {
                () = &mut ends => return Ok(made),
                _ = ticks.tick() => {}
            }
            let place = usize::try_from(self.come)? % doors.len();
            self.come += 1;
            let Some(door) = doors.get(place) else {
                continue;
            };
            let at = Instant::now();
            let serial_no = door.enter(&self.come.to_string()).await?;
            made.push(Made {
                serial: door.name().to_owned(),
                serial_no,
                at,
            });
        }
    }

    /// The same for a fixed time.
    pub(super) async fn walk_for<E: Entrance>(
        &mut self,
        doors: &[E],
        time: Duration,
    ) -> Result<Vec<Made>> {
        self.walk(doors, tokio::time::sleep(time)).await
    }
}
