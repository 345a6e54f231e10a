//! What benches of terminals on port 4370 stand on: a database, satellite as a process,
//! terminals that are enrolled through the registry itself, and the feed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use event::{Millis, Serial, TenantId, Text, Vendor};
use mariadb::{Flavor, Server};
use promises::{Checker, Place};
use store::Target;
use store::registry::{self, Access, NewEnrolment};
use tempfile::TempDir;
use terminals::pull::Terminal;

use crate::process::Satellite;

const TENANT: &str = "bench";
const COUNT: &str = "SELECT COUNT(*) FROM event_feed";

/// Where events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Mariadb,
}

/// The parties of a run.
pub(super) struct Stage {
    pub(super) satellite: Satellite,
    pub(super) feed: Checker,
    place: Place,
    _server: Option<Server>,
    _folder: TempDir,
}

impl Stage {
    /// Starts the database and satellite; no terminal is enrolled yet.
    pub(super) async fn start(engine: Engine) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let (server, place) = match engine {
            Engine::Sqlite => (None, Place::sqlite(folder.path())),
            Engine::Mariadb => {
                let server = promises::blocking(|| Server::start(Flavor::Durable)).await?;
                let place = Place::mariadb(server.address()).await?;
                (Some(server), place)
            }
        };
        let stores = format!(
            "[store]\nurl = \"{}\"\n\
             [[tenant]]\nid = \"{TENANT}\"\nname = \"Bench\"\ntime_zone = \"America/Mexico_City\"\n",
            place.url()
        );
        let satellite = Satellite::start(&stores).await?;
        let feed = Checker::open(&place).await?;
        Ok(Self {
            satellite,
            feed,
            place,
            _server: server,
            _folder: folder,
        })
    }

    /// Enrols terminals; satellite notices by itself.
    pub(super) async fn enrol(&self, terminals: &[Terminal]) -> Result<()> {
        let target = match &self.place {
            Place::Sqlite(file) => Target::Sqlite(file.clone()),
            Place::Mariadb { .. } => Target::mysql(&self.place.url(), None, "bench"),
        };
        let mut engine = target.connect().await.map_err(|why| anyhow!("{why}"))?;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let now = Millis(i64::try_from(since.as_millis())?);
        let tenant = TenantId::new(TENANT)?;
        for terminal in terminals {
            let serial = Serial::new(terminal.serial())?;
            let new = NewEnrolment {
                access: Access {
                    address: Some(Text::from(terminal.address().to_string())),
                    ..Access::default()
                },
                ..NewEnrolment::of(Vendor::Zkteco, serial, tenant.clone())
            };
            registry::enrol(&mut engine, new, now, "bench")
                .await
                .with_context(|| format!("{} was not enrolled", terminal.serial()))?;
        }
        Ok(())
    }

    /// Rows in the feed.
    pub(super) async fn rows(&mut self) -> Result<u64> {
        Ok(u64::try_from(self.feed.number(COUNT).await?)?)
    }

    /// Waits until there are so many rows; answers when that was.
    pub(super) async fn until(&mut self, rows: u64, limit: Duration) -> Result<Instant> {
        let begin = Instant::now();
        loop {
            let now = self.rows().await?;
            if now >= rows {
                return Ok(Instant::now());
            }
            ensure!(
                begin.elapsed() < limit,
                "{now} of {rows} rows are in event_feed after {} s: {}",
                limit.as_secs(),
                self.satellite.log_end()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
