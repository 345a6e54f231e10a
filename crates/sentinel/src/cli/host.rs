//! `sentinel host`: sends this machine's facts to a sentinel elsewhere. It needs no
//! configuration and keeps nothing, so that it can be put on any machine in a minute.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use daemon::config::{secret_file, secret_places};
use daemon::exit::Exit;
use daemon::signals::{Signal, Signals};
use daemon::{logging, supervisor};
use fetch::{Trust, Url};
use sentinel::config::SECRETS_FOLDER;
use sentinel::looks::host::agent;
use tokio_util::sync::CancellationToken;

pub(crate) const EXAMPLES: &str = "Examples:
  sentinel host --to https://sentinela.example.mx --token-file /etc/sentinel/secrets/host-db1
  sentinel host --to http://10.0.0.5:9811 --token-file host-db1 --disk / --disk /var/lib/mysql";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The admin door of the sentinel that is to hear it
    #[arg(long, value_name = "URL")]
    to: String,
    /// File with this machine's token, the same as in its [[agent]] there
    #[arg(long, value_name = "FILE")]
    token_file: String,
    /// A mount point to watch [default: every real file system]
    #[arg(long, value_name = "PATH")]
    disk: Vec<String>,
    /// File with authorities (PEM) to trust besides the public ones
    #[arg(long, value_name = "FILE")]
    authorities: Option<PathBuf>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    if let Err(error) = logging::init(logging::Format::Auto, tracing::Level::INFO) {
        tracing::debug!(%error, "logging goes on as it is");
    }
    let to: Url = args.to.parse().context("--to")?;
    let token = secret_file(&args.token_file, &secret_places(Path::new(SECRETS_FOLDER)))?;
    let trust = match &args.authorities {
        Some(file) => {
            let pem = std::fs::read_to_string(file).context("--authorities")?;
            Trust::with(&pem).map_err(|why| anyhow::anyhow!("--authorities: {why}"))?
        }
        None => Trust::default(),
    };
    let mut signals = Signals::new().context("signals cannot be handled")?;
    let end = CancellationToken::new();
    supervisor::ready();
    tracing::info!(%to, "the facts of this machine are sent every 30 s");
    let sending = agent::run(&to, &token, &args.disk, &trust, end.clone());
    let ending = async {
        while !matches!(signals.next().await, Signal::Terminate) {}
        end.cancel();
    };
    tokio::join!(sending, ending);
    Ok(Exit::Fine)
}
