//! What is done to satellite, its database and its terminals, and how it is undone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use promises::{blocking, exchange, get, handshake};

use super::scene::Scene;
use crate::lock::Lock;

/// The terminal that goes offline.
pub(super) const QUIET: &str = "QUIET0001";

/// One sort of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Death,
    Hang,
    Stall,
    DatabaseDown,
    DatabaseHung,
    DatabaseReadOnly,
    Missing,
    Offline,
}

impl Fault {
    pub(super) const ALL: [Self; 8] = [
        Self::Death,
        Self::Hang,
        Self::Stall,
        Self::DatabaseDown,
        Self::DatabaseHung,
        Self::DatabaseReadOnly,
        Self::Missing,
        Self::Offline,
    ];

    /// In words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Death => "satellite killed",
            Self::Hang => "satellite stopped (SIGSTOP)",
            Self::Stall => "commits stand still (a lock on feed_head)",
            Self::DatabaseDown => "database killed",
            Self::DatabaseHung => "database stopped (SIGSTOP)",
            Self::DatabaseReadOnly => "database read-only",
            Self::Missing => "acknowledged and not there",
            Self::Offline => "terminal offline",
        }
    }

    /// Kinds of incident that name it.
    pub(super) fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Death => &["satellite_down"],
            Self::Hang => &["satellite_hang"],
            Self::Stall => &["ingest_stalled"],
            Self::DatabaseDown => &["database_down"],
            Self::DatabaseHung => &["database_hung"],
            Self::DatabaseReadOnly => &["database_read_only"],
            Self::Missing => &["acknowledged_not_found"],
            Self::Offline => &["terminal_offline"],
        }
    }

    /// Promised seconds until the mail, 99 times of 100.
    pub(super) fn promised(self) -> u64 {
        match self {
            Self::Death => 15,
            Self::Hang => 45,
            Self::Stall | Self::DatabaseDown | Self::DatabaseHung | Self::DatabaseReadOnly => 60,
            Self::Missing => 90,
            Self::Offline => 330,
        }
    }
}

/// What undoes a fault.
#[derive(Default)]
pub(super) struct Undo(Option<Lock>);

/// A terminal that shakes hands and polls by itself every ten seconds until it is told not to.
#[derive(Clone)]
pub(super) struct Quiet {
    speaks: Arc<AtomicBool>,
    last: Arc<std::sync::Mutex<SystemTime>>,
}

impl Quiet {
    pub(super) fn start(door: std::net::SocketAddr) -> Self {
        let quiet = Self {
            speaks: Arc::new(AtomicBool::new(true)),
            last: Arc::new(std::sync::Mutex::new(SystemTime::now())),
        };
        let its = quiet.clone();
        tokio::spawn(async move {
            exchange(door, &handshake(QUIET)).await.ok();
            loop {
                if its.speaks.load(Ordering::SeqCst) {
                    let poll = get(&format!("/iclock/getrequest?SN={QUIET}"));
                    let heard = exchange(door, &poll).await;
                    if heard.is_ok()
                        && let Ok(mut last) = its.last.lock()
                    {
                        *last = SystemTime::now();
                    }
                }
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        });
        quiet
    }
}

impl Fault {
    /// Does it; answers with when it began, and what undoes it.
    pub(super) async fn inject(
        self,
        scene: &mut Scene,
        quiet: &Quiet,
    ) -> Result<(SystemTime, Undo)> {
        let mut undo = Undo::default();
        let mut begin = SystemTime::now();
        match self {
            Self::Death => scene.satellite.kill9().await?,
            Self::Hang => scene.satellite.send_signal("STOP").await?,
            Self::Stall => undo.0 = Some(hold_the_head(scene.server.port(), &scene.database)?),
            Self::DatabaseDown => {
                let server = Arc::clone(&scene.server);
                blocking(move || server.kill9()).await?;
            }
            Self::DatabaseHung => scene.server.pause()?,
            Self::DatabaseReadOnly => {
                scene.sql("SET GLOBAL read_only = 1".to_owned()).await?;
            }
            Self::Missing => hide(scene).await?,
            Self::Offline => {
                quiet.speaks.store(false, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                // It is silent since it was last heard.
                begin = quiet.last.lock().map_or(begin, |last| *last);
            }
        }
        Ok((begin, undo))
    }

    /// Undoes it.
    pub(super) async fn undo(self, scene: &mut Scene, quiet: &Quiet, undo: Undo) -> Result<()> {
        match self {
            Self::Death => {
                scene.satellite.run().await?;
            }
            Self::Hang => scene.satellite.send_signal("CONT").await?,
            Self::Stall => drop(undo),
            Self::DatabaseDown => {
                let server = Arc::clone(&scene.server);
                blocking(move || server.restart()).await?;
            }
            Self::DatabaseHung => scene.server.resume()?,
            Self::DatabaseReadOnly => {
                scene.sql("SET GLOBAL read_only = 0".to_owned()).await?;
            }
            Self::Missing => show(scene).await?,
            Self::Offline => quiet.speaks.store(true, Ordering::SeqCst),
        }
        Ok(())
    }
}

/// From now on no new row of the canary can be read: what was acknowledged is not there.
async fn hide(scene: &Scene) -> Result<()> {
    let name = &scene.database;
    let last = scene
        .sql(format!(
            "SELECT COALESCE(MAX(seq), 0) FROM {name}.canary_feed"
        ))
        .await?;
    let last: u64 = last.trim().parse().context("no number came back")?;
    scene
        .sql(format!(
            "RENAME TABLE {name}.canary_feed TO {name}.canary_hidden; \
             CREATE VIEW {name}.canary_feed AS \
             SELECT * FROM {name}.canary_hidden WHERE seq <= {last}"
        ))
        .await?;
    Ok(())
}

async fn show(scene: &Scene) -> Result<()> {
    let name = &scene.database;
    scene
        .sql(format!(
            "DROP VIEW {name}.canary_feed; \
             RENAME TABLE {name}.canary_hidden TO {name}.canary_feed"
        ))
        .await?;
    Ok(())
}

/// Holds the row from which every transaction of events takes its numbers.
fn hold_the_head(port: u16, database: &str) -> Result<Lock> {
    let held = format!(
        "SET innodb_lock_wait_timeout = 50; BEGIN; \
         SELECT * FROM `{database}`.feed_head FOR UPDATE;"
    );
    Lock::take(port, &held)
}
