//! `satellite run`: the daemon itself.
//!
//! Its whole life stands in the library, so that tests and the demo run the same; here it only
//! becomes the owner of its state folder first. It must not start with a configuration that a
//! later reload would refuse.

use std::path::PathBuf;

use daemon::exit::Exit;
use satellite::config::{AsEdge, Given};
use satellite::lifecycle;

use super::words::Lang;
use super::{out, owner, restore};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite run                                  # no configuration: SQLite under ./satellite-data
  satellite run --config /etc/satellite/satellite.toml
  satellite run --edge --to https://satelite.example.mx:8443 --token-file ./token
SIGTERM finishes what is in flight, SIGHUP reads the configuration again.";

/// What `run` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// An edge at a client's site: hand everything on to another satellite
    #[arg(long)]
    edge: bool,
    /// The other satellite's address, in place of `to` under [edge]
    #[arg(long, value_name = "URL", requires = "edge")]
    to: Option<fetch::Url>,
    /// The file with the token that the other satellite gave, in place of `token_file` under [edge]
    #[arg(long, value_name = "F", requires = "edge")]
    token_file: Option<PathBuf>,
}

/// Runs until it is told to end.
pub(crate) async fn run(args: Args, file: Option<PathBuf>, lang: Lang) -> anyhow::Result<Exit> {
    let edge = args.edge.then_some(AsEdge {
        to: args.to,
        token_file: args.token_file,
    });
    let given = Given { file, edge };
    let config = given.load()?;
    owner::become_owner(&config.state_dir)?;
    if let Some(complaint) = restore::half_done(&config, lang) {
        out::complain(&complaint);
        return Ok(Exit::Failed);
    }
    drop(config);
    lifecycle::run(given).await
}
