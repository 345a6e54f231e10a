//! `satellite run`: the daemon itself.
//!
//! Its whole life stands in the library, so that tests and the demo run the same; here it only
//! becomes the owner of its state folder first. It must not start with a configuration that a
//! later reload would refuse.

use std::path::PathBuf;

use daemon::exit::Exit;
use satellite::{Config, lifecycle};

use super::words::Lang;
use super::{out, owner, restore};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite run                                  # no configuration: SQLite under ./satellite-data
  satellite run --config /etc/satellite/satellite.toml
SIGTERM finishes what is in flight, SIGHUP reads the configuration again.";

/// Runs until it is told to end.
pub(crate) async fn run(file: Option<PathBuf>, lang: Lang) -> anyhow::Result<Exit> {
    let config = Config::load(file.as_deref())?;
    owner::become_owner(&config.state_dir)?;
    if let Some(complaint) = restore::half_done(&config, lang) {
        out::complain(&complaint);
        return Ok(Exit::Failed);
    }
    drop(config);
    lifecycle::run(file).await
}
