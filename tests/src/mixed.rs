//! A fleet of every kind in promises: terminals that push in both modes, terminals on port 4370
//! and Hikvision devices that are dialled, one satellite, and what all of them hold held against
//! `event_feed`.
//!
//! Each kind is compared by its own ledger and its own rule; the feed is read over a connection
//! of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use terminals::hikvision::{Device, DeviceOptions};
use terminals::pull::{PullOptions, Terminal};
use terminals::{AccessGroup, Ledger, Scenario};

use crate::{Checker, Place, Running, SatelliteProcess, Setup, hikvision};

/// What serials begin with: attendance, access, port 4370, Hikvision.
const PREFIXES: [&str; 4] = ["MIXP", "MIXA", "MIXD", "MIXH"];

/// How many of each kind there are, in the order of the prefixes.
pub type Counts = [u32; 4];

/// Terminals of every kind, and the satellite that knows them.
pub struct Mixed {
    /// The program.
    pub satellite: SatelliteProcess,
    /// Those that push.
    pub pushing: Running,
    /// Those on port 4370.
    pub pulled: Vec<Terminal>,
    /// Hikvision devices.
    pub dialled: Vec<Device>,
    place: Place,
    folder: PathBuf,
}

impl Mixed {
    /// Starts everything. `scenario` says what terminals that push do; its numbers and serials
    /// are set here. Serials in `more` are enrolled beside them.
    ///
    /// # Errors
    /// Something of it does not start.
    pub async fn open(
        place: &Place,
        scenario: Scenario,
        counts: Counts,
        more: &[&str],
    ) -> Result<Self> {
        Self::open_with(place, scenario, counts, more, "").await
    }

    /// As [`open`](Self::open), with these tables in satellite's configuration.
    ///
    /// # Errors
    /// As there.
    pub async fn open_with(
        place: &Place,
        scenario: Scenario,
        [push, access, pull, hik]: Counts,
        more: &[&str],
        tables: &str,
    ) -> Result<Self> {
        let scenario = scenario_of(scenario, push, access);
        let groups = scenario.access.iter().flat_map(AccessGroup::serials);
        let serials: Vec<String> = scenario.serials().into_iter().chain(groups).collect();
        let setup = Setup::new(place.clone()).enrol(serials);
        let mut setup = setup.enrol(more.iter().copied());
        setup.more = tables.to_owned();
        let mut satellite = SatelliteProcess::prepare(&setup).await?;
        let folder = satellite.folder().to_owned();
        let pulled = start_pulled(&satellite, pull).await?;
        let dialled = start_dialled(&satellite, hik).await?;
        satellite.run().await?;
        let pushing = Running::start(scenario, satellite.devices(), &folder, "push.jsonl")?;
        Ok(Self {
            satellite,
            pushing,
            pulled,
            dialled,
            place: place.clone(),
            folder,
        })
    }

    /// One serial of each kind that there is.
    #[must_use]
    pub fn one_of_each(&self) -> Vec<String> {
        let mut serials = vec![format!("{}0000001", PREFIXES[0]), serial(1, 1)];
        serials.extend(self.pulled.first().map(|it| it.serial().to_owned()));
        serials.extend(self.dialled.first().map(|it| it.serial().to_owned()));
        serials
    }

    /// So many people come at every device that is dialled; the others make their own records.
    ///
    /// # Errors
    /// A ledger cannot be written.
    pub async fn people(&self, each: u32) -> Result<()> {
        for terminal in &self.pulled {
            terminal.crowd(usize::try_from(each)?).await?;
        }
        for device in &self.dialled {
            device.crowd(u64::from(each)).await?;
        }
        Ok(())
    }

    /// Waits until every ledger is equal to the feed; rows of other serials are not looked at.
    ///
    /// # Errors
    /// One still differs after `limit`; with the end of satellite's log.
    pub async fn equal(&self, limit: Duration) -> Result<usize> {
        let begin = Instant::now();
        loop {
            let error = match self.compared().await {
                Ok(rows) => return Ok(rows),
                Err(error) => error,
            };
            if begin.elapsed() > limit {
                bail!("after {limit:?}: {error:#}\n{}", self.satellite.log_end());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn compared(&self) -> Result<usize> {
        let mut checker = Checker::open(&self.place).await?;
        let pulled = self.folder.join("pull.jsonl");
        let ledgers = [self.pushing.ledger(), pulled.as_path()];
        let ours = |serial: &str| [0, 2].iter().any(|at| serial.starts_with(PREFIXES[*at]));
        let punches = checker.compare_of(&ledgers, ours).await?;
        punches.exact()?;
        let access = checker.access_is_exact(self.pushing.ledger(), PREFIXES[1]);
        let access = access.await.context("access terminals")?;
        let ledger = self.folder.join("hikvision.jsonl");
        let devices = hikvision::compare(&mut checker, &ledger, &[]).await?;
        devices.none().context("Hikvision devices")?;
        Ok(punches.rows + access + devices.fed)
    }

    /// What a command with `--json` says.
    ///
    /// # Errors
    /// It fails, or says no JSON.
    pub async fn told(&self, words: &[&str]) -> Result<serde_json::Value> {
        let words = [words, &["--json"][..]].concat();
        let told = self.satellite.command(words).await?;
        Ok(serde_json::from_str(&told)?)
    }

    /// Puts an older copy of a SQLite database in place of it, with satellite stopped meanwhile,
    /// as an operator does.
    ///
    /// # Errors
    /// The copy cannot be put there, or satellite does not start again.
    pub async fn restore(&mut self, copy: &Path) -> Result<()> {
        self.satellite.terminate().await?;
        self.place.put_back(copy).await?;
        self.satellite.run().await.map(drop)
    }
}

fn serial(kind: usize, number: u32) -> String {
    format!("{}{number:07}", PREFIXES[kind])
}

/// Access terminals of both sorts: every second one takes no time in a question for records.
fn scenario_of(scenario: Scenario, push: u32, access: u32) -> Scenario {
    let group = |prefix: &str, count, windows| AccessGroup {
        count,
        serial_prefix: format!("{}{prefix}", PREFIXES[1]),
        windows,
        ..AccessGroup::default()
    };
    let half = access / 2;
    let mut groups = vec![group("", access - half, true)];
    if half > 0 {
        groups.push(group("N", half, false));
    }
    Scenario {
        count: push,
        serial_prefix: PREFIXES[0].to_owned(),
        access: groups,
        ..scenario
    }
}

async fn start_pulled(satellite: &SatelliteProcess, count: u32) -> Result<Vec<Terminal>> {
    let book = Ledger::create(&satellite.folder().join("pull.jsonl"))?;
    let mut terminals = Vec::new();
    for number in 1..=count {
        let options = PullOptions {
            serial: serial(2, number),
            seed: u64::from(number),
            history: 30,
            strip_zeros: number % 2 == 0,
            tcp: number % 3 != 0,
            ..PullOptions::default()
        };
        let terminal = Terminal::start(options, Some(book.clone()))?;
        terminal.own_up().await?;
        let address = terminal.address().to_string();
        let words = ["--serial", terminal.serial(), "--address", &address];
        add(satellite, "zkteco", &words).await?;
        terminals.push(terminal);
    }
    Ok(terminals)
}

async fn start_dialled(satellite: &SatelliteProcess, count: u32) -> Result<Vec<Device>> {
    let book = Ledger::create(&satellite.folder().join("hikvision.jsonl"))?;
    let mut devices = Vec::new();
    for number in 1..=count {
        let mut options = DeviceOptions {
            serial: serial(3, number),
            seed: u64::from(number),
            ..DeviceOptions::default()
        };
        (options.log.history, options.log.history_owed) = (30, true);
        let device = Device::start(options, Some(book.clone()))?;
        device.own_up().await?;
        let (user, password) = device.login();
        let secret = satellite
            .folder()
            .join(format!("{}.secret", device.serial()));
        std::fs::write(&secret, password)?;
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
        let secret = secret.to_str().context("the folder's name is no text")?;
        let address = device.address().to_string();
        let mut words = vec!["--serial", device.serial(), "--address", &address];
        words.extend(["--user", user, "--secret-file", secret]);
        add(satellite, "hikvision", &words).await?;
        devices.push(device);
    }
    Ok(devices)
}

async fn add(satellite: &SatelliteProcess, vendor: &str, more: &[&str]) -> Result<()> {
    let words = ["devices", "add", "--tenant", "acme", "--vendor", vendor];
    let words = [&words[..], more].concat();
    satellite.command(words).await.map(drop)
}
