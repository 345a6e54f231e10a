//! Terminals on port 4370 in promises: simulated ones that are dialled, and what they hold held
//! against `event_feed`.
//!
//! Such a terminal owes every record that it holds; its ledger has each before anybody can read
//! it. The feed is read over a connection of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use terminals::Ledger;
use terminals::pull::{PullOptions, Terminal};

use crate::{Checker, Comparison, Place, SatelliteProcess, Setup};

/// Terminals, and the satellite that dials them.
pub struct House {
    /// The program.
    pub satellite: SatelliteProcess,
    /// The terminals, in the order in which they were given.
    pub terminals: Vec<Terminal>,
    /// What they hold, and held.
    pub ledger: PathBuf,
}

impl House {
    /// Starts terminals and satellite; every terminal is enrolled by command before.
    ///
    /// # Errors
    /// Something of it does not start.
    pub async fn open(setup: &Setup, terminals: Vec<PullOptions>) -> Result<Self> {
        let satellite = SatelliteProcess::prepare(setup).await?;
        let ledger = satellite.folder().join("pull.jsonl");
        let book = Ledger::create(&ledger)?;
        let mut house = Self {
            satellite,
            terminals: Vec::new(),
            ledger,
        };
        for options in terminals {
            let key = options.comm_key;
            let terminal = Terminal::start(options, Some(book.clone()))?;
            terminal.own_up().await?;
            house.enrol(&terminal, key).await?;
            house.terminals.push(terminal);
        }
        house.satellite.run().await?;
        Ok(house)
    }

    /// Enrols a terminal to be dialled, with this key.
    ///
    /// # Errors
    /// The command refuses it.
    pub async fn enrol(&self, terminal: &Terminal, key: u32) -> Result<()> {
        let address = terminal.address().to_string();
        let serial = terminal.serial();
        let mut words = vec!["devices", "add", "--tenant", "acme", "--vendor", "zkteco"];
        words.extend(["--serial", serial, "--address", &address]);
        let secret = self.key_file(serial);
        let secret = secret.to_str().context("the folder's name is no text")?;
        if key != 0 {
            self.write_key(serial, key)?;
            words.extend(["--secret-file", secret]);
        }
        self.satellite.command(words).await.map(drop)
    }

    fn key_file(&self, serial: &str) -> PathBuf {
        self.satellite.folder().join(format!("{serial}.key"))
    }

    /// Writes the file with a terminal's communication key.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_key(&self, serial: &str, key: u32) -> Result<()> {
        let file = self.key_file(serial);
        std::fs::write(&file, format!("{key}\n"))?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
        Ok(())
    }

    /// So many people punch at every terminal.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn people(&self, each: usize) -> Result<()> {
        for terminal in &self.terminals {
            terminal.crowd(each).await?;
        }
        Ok(())
    }

    /// Waits until ledger and feed are equal.
    ///
    /// # Errors
    /// They still differ after `limit`; with the end of satellite's log.
    pub async fn equal(&self, place: &Place, limit: Duration) -> Result<Comparison> {
        let begin = Instant::now();
        loop {
            let compared = compare(place, &self.ledger).await;
            let error = match compared {
                Ok(comparison) => match comparison.exact() {
                    Ok(()) => return Ok(comparison),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if begin.elapsed() > limit {
                bail!("after {limit:?}: {error:#}\n{}", self.satellite.log_end());
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// What `devices show --json` says of a terminal.
    ///
    /// # Errors
    /// The command fails.
    pub async fn shown(&self, serial: &str) -> Result<serde_json::Value> {
        let words = ["devices", "show", serial, "--json"];
        Ok(serde_json::from_str(&self.satellite.command(words).await?)?)
    }

    /// Waits until `devices show` names a condition of a terminal.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub async fn until_named(&self, serial: &str, name: &str, limit: Duration) -> Result<()> {
        self.until_shown(serial, limit, |shown| holds(shown, name))
            .await
            .with_context(|| format!("{name} is not named"))
    }

    /// Waits until what `devices show` says of a terminal is as wanted.
    ///
    /// # Errors
    /// It is not within `limit`.
    pub async fn until_shown(
        &self,
        serial: &str,
        limit: Duration,
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> Result<()> {
        let begin = Instant::now();
        loop {
            let shown = self.shown(serial).await?;
            if wanted(&shown) {
                return Ok(());
            }
            if begin.elapsed() > limit {
                bail!("after {limit:?}: {shown:#}\n{}", self.satellite.log_end());
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

/// Whether a condition stands among those of a terminal.
#[must_use]
pub fn holds(shown: &serde_json::Value, name: &str) -> bool {
    let held = shown["pull"]["live"]["conditions"].as_array();
    held.is_some_and(|held| held.iter().any(|condition| condition["name"] == name))
}

async fn compare(place: &Place, ledger: &Path) -> Result<Comparison> {
    Checker::open(place).await?.compare(&[ledger]).await
}
