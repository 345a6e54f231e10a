//! satellite over a database with terminals that punch, and a sentinel that watches it.
//!
//! Each fault is told to a reader of its own, so that no cap on mails to one person holds back
//! what is measured: caps are for people, and have their own tests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use mariadb::{Flavor, Server};
use promises::{Place, Running, SatelliteProcess, SentinelProcess, Setup, blocking};
use terminals::Scenario;

use super::mail::Mail;

/// The serial of the terminal that is not real.
pub(super) const CANARY: &str = "CANARY-1";

/// What is watched, and who watches.
pub(super) struct Scene {
    pub(super) server: Arc<Server>,
    pub(super) database: String,
    pub(super) satellite: SatelliteProcess,
    pub(super) sentinel: SentinelProcess,
    pub(super) mail: Arc<Mail>,
    tables: String,
    name: String,
    readers: u32,
    _fleet: Running,
}

impl Scene {
    /// Starts all of it, with these further terminals enrolled, and waits until everything was
    /// seen. `clean` is how long something must be fine before sentinel calls it over.
    pub(super) async fn start(
        name: &str,
        mail: &Arc<Mail>,
        others: &[String],
        clean: &str,
    ) -> Result<Self> {
        let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await?);
        let place = Place::mariadb(server.address()).await?;
        let Place::Mariadb { database, .. } = place.clone() else {
            anyhow::bail!("no database on a server: {place:?}");
        };
        let scenario = Scenario {
            seed: 1,
            count: 5,
            serial_prefix: "SEN".to_owned(),
            rate: 30.0,
            poll_s: Some(5),
            error_delay_ms: Some(500),
            ..Scenario::default()
        };
        let serials = scenario.serials().into_iter().chain(others.iter().cloned());
        let setup = Setup::new(place.clone()).enrol(serials);
        let mut satellite = SatelliteProcess::prepare(&setup).await?;
        let canary = [
            "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--serial", CANARY,
            "--canary",
        ];
        satellite.command(canary).await?;
        satellite.run().await?;
        let folder = satellite.folder().to_owned();
        let fleet = Running::start(scenario, satellite.devices(), &folder, "ledger")?;
        let tables = format!(
            "language = \"en\"\nrecovered_after = \"{clean}\"\n\
             [listen]\nadmin = \"127.0.0.1:0\"\n[host]\nwatch = false\n\
             [watch]\nsatellite_admin = \"http://{}\"\n\
             [[watch.terminal_url]]\nurl = \"http://{}\"\n\
             [[watch.store]]\ntenant = \"acme\"\nname = \"Acme\"\nurl = \"{}\"\ncanary = \"{CANARY}\"\n\
             [mail]\nfrom = \"sentinela@example.mx\"\nrelays = [\"{}\"]\n",
            satellite.admin_door(),
            satellite.devices(),
            place.url(),
            mail.url(),
        );
        let mut sentinel = SentinelProcess::prepare(&told_to(&tables, &format!("{name}0")))?;
        sentinel.run().await?;
        tokio::time::sleep(Duration::from_secs(40)).await;
        Ok(Self {
            server,
            database,
            satellite,
            sentinel,
            mail: Arc::clone(mail),
            tables,
            name: name.to_owned(),
            readers: 0,
            _fleet: fleet,
        })
    }

    /// From now on somebody else is told, who has had no mail yet; answers with the address.
    pub(super) async fn next_reader(&mut self) -> Result<String> {
        self.readers += 1;
        let reader = format!("{}{}", self.name, self.readers);
        let folder = self.sentinel.folder();
        let text = format!(
            "state_dir = \"{}\"\n{}",
            folder.join("state").display(),
            told_to(&self.tables, &reader)
        );
        std::fs::write(folder.join("sentinel.toml"), text)?;
        let process = self.sentinel.process_id().context("sentinel has ended")?;
        let told = tokio::process::Command::new("kill")
            .args(["-HUP", &process.to_string()])
            .status()
            .await?;
        anyhow::ensure!(told.success(), "sentinel could not be told");
        Ok(address(&reader))
    }

    /// Statements at the database, as its root.
    pub(super) async fn sql(&self, statements: String) -> Result<String> {
        let server = Arc::clone(&self.server);
        blocking(move || server.sql(&statements)).await
    }

    /// The kind of that incident, and whether it is closed.
    pub(super) async fn incident(&self, id: &str) -> Result<(String, bool)> {
        let shown = self
            .sentinel
            .json(["incidents", "show", id, "--json"])
            .await?;
        let text = |key: &str| {
            shown["incident"][key]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        Ok((text("kind"), text("state") == "closed"))
    }
}

/// The address of a reader.
pub(super) fn address(reader: &str) -> String {
    format!("{reader}@example.mx")
}

fn told_to(tables: &str, reader: &str) -> String {
    format!(
        "{tables}[[level]]\nto = [{{ address = \"{}\" }}]\n",
        address(reader)
    )
}
