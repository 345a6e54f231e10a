//! Start, reload and end of the daemon.
//!
//! The loop is small and dull: looks report, the core decides, one transaction keeps it, the
//! pump delivers. It goes on deciding when the database of satellite, satellite itself, the
//! names of hosts and even its own disk are gone. Tests and the program come through here.

mod keeper;
mod lookout;
mod post;
mod snapshot;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use daemon::config::ConfigError;
use daemon::drain::Drain;
use daemon::exit::Exit;
use daemon::progress::Progress;
use daemon::signals::{Signal, Signals};
use daemon::{logging, supervisor};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::decide::{Ask, Denied};
use crate::look::Look;
use crate::looks::host::board::Board;
use crate::observation::Round;
use crate::{admin, looks};

use keeper::Keeper;
pub use post::{CAPS, ways};
pub(crate) use snapshot::{CheckState, Snapshot};

/// Rounds that may wait for the core.
const INBOX: usize = 1024;
/// How long the loop may stand still before the watchdog is no longer pinged.
const STILL: Duration = Duration::from_secs(20);
/// Longest that the end may take.
const DRAIN_WITHIN: Duration = Duration::from_secs(8);
/// How often the outside dead-man's switch is called.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// What comes into the loop from elsewhere in the process.
pub(crate) enum Word {
    /// What a look saw.
    Round {
        look: Arc<str>,
        round: Round,
        took: Duration,
    },
    /// What a person asks for, with who they are.
    Ask {
        ask: Ask,
        who: String,
        answer: oneshot::Sender<Result<(), Denied>>,
    },
    /// Another configuration, with its looks.
    Reload {
        config: Arc<Config>,
        looks: Vec<Arc<dyn Look>>,
    },
}

/// What tasks of the process share.
#[derive(Clone)]
pub(crate) struct Hub {
    pub(crate) config: Arc<ArcSwap<Config>>,
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) words: mpsc::Sender<Word>,
    pub(crate) links: Option<Arc<notify::AckLink>>,
    /// Where other machines put their facts.
    pub(crate) board: Arc<Board>,
}

/// The daemon, not yet started.
#[derive(Debug)]
pub struct Sentinel;

/// A daemon that runs in this process.
pub struct Running {
    /// Where the admin door is.
    pub admin: SocketAddr,
    hub: Hub,
    drain: Drain,
    progress: Progress,
    admin_task: JoinHandle<()>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running(admin {})", self.admin)
    }
}

impl Sentinel {
    /// Starts with the looks that the configuration asks for.
    ///
    /// # Errors
    /// The state folder or the admin address cannot be used. A file that cannot be written does
    /// not keep it from starting: it decides from memory then.
    pub async fn start(config: Config) -> anyhow::Result<Running> {
        let board = Arc::default();
        let looks = looks::all(&config, &board);
        Self::begin(config, looks, board).await
    }

    /// Starts with these looks.
    ///
    /// # Errors
    /// As [`Sentinel::start`].
    pub async fn start_with(config: Config, looks: Vec<Arc<dyn Look>>) -> anyhow::Result<Running> {
        Self::begin(config, looks, Arc::default()).await
    }

    async fn begin(
        config: Config,
        looks: Vec<Arc<dyn Look>>,
        board: Arc<Board>,
    ) -> anyhow::Result<Running> {
        let folder = config.state_dir.display().to_string();
        std::fs::create_dir_all(&config.state_dir)
            .with_context(|| format!("the state folder {folder} cannot be made"))?;
        let listener = TcpListener::bind(config.admin).await.with_context(|| {
            format!("the address {} (listen.admin) cannot be used", config.admin)
        })?;
        let links = match notify::AckLink::open(&config.state_dir) {
            Ok(links) => Some(Arc::new(links)),
            Err(error) => {
                tracing::error!(%error, "mails will carry no acknowledge links");
                None
            }
        };
        let (words, inbox) = mpsc::channel(INBOX);
        let config = Arc::new(config);
        let hub = Hub {
            config: Arc::new(ArcSwap::new(Arc::clone(&config))),
            snapshot: Arc::default(),
            words,
            links,
            board,
        };
        let (drain, progress) = (Drain::new(), Progress::new());
        let names: BTreeSet<String> = looks.iter().map(|look| look.name().to_owned()).collect();
        let keeper = Keeper::new(hub.clone(), inbox, names, drain.token()).await?;
        let beat = progress.heartbeat("loop", STILL, Instant::now());
        drain.spawn(keeper.run(beat, looks));
        drain.spawn(heartbeat(hub.clone(), drain.token()));
        let admin = listener.local_addr()?;
        let admin_task = tokio::spawn(admin::run(hub.clone(), listener));
        tracing::info!(%admin, stores = config.watch.stores.len(), levels = config.levels.len(), "sentinel watches");
        Ok(Running {
            admin,
            hub,
            drain,
            progress,
            admin_task,
        })
    }
}

impl Running {
    /// Ends: what was decided is written, letters in flight have a few seconds.
    pub async fn stop(self) {
        if !self.drain.close(DRAIN_WITHIN).await {
            tracing::warn!(
                left = self.drain.running(),
                "not everything could be finished"
            );
        }
        self.admin_task.abort();
        tracing::info!("sentinel has ended");
    }

    /// Takes over a configuration that was read again. A wrong one changes nothing.
    ///
    /// # Errors
    /// The error that came in, after it was logged.
    pub async fn reload(&self, next: Result<Config, ConfigError>) -> Result<(), ConfigError> {
        let mut next = match next {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "the configuration is wrong; the old one stays in force");
                return Err(error);
            }
        };
        let old = self.hub.config.load_full();
        for (key, changed) in [
            ("listen.admin", old.admin != next.admin),
            ("state_dir", old.state_dir != next.state_dir),
        ] {
            if changed {
                tracing::warn!(key, "this change takes effect after a restart");
            }
        }
        next.admin = old.admin;
        next.state_dir.clone_from(&old.state_dir);
        let looks = looks::all(&next, &self.hub.board);
        let config = Arc::new(next);
        self.hub.config.store(Arc::clone(&config));
        // The loop takes words as long as it runs; when it ends there is nothing to reload.
        self.hub
            .words
            .send(Word::Reload { config, looks })
            .await
            .ok();
        tracing::info!("the configuration was read again");
        Ok(())
    }
}

/// Calls the outside switch while the self-test passes, and at no other time.
async fn heartbeat(hub: Hub, end: tokio_util::sync::CancellationToken) {
    let mut every = tokio::time::interval(HEARTBEAT);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = every.tick() => {}
        }
        let Some(url) = hub.config.load().heartbeat_url.clone() else {
            continue;
        };
        let failing = hub.snapshot.load().self_test(Timestamp::now());
        if !failing.is_empty() {
            tracing::warn!(
                failing = ?failing,
                "the outside switch is not called"
            );
            continue;
        }
        let Ok(url) = url.parse::<fetch::Url>() else {
            continue;
        };
        let called = fetch::Fetch::get(url)
            .within(Duration::from_secs(10))
            .send()
            .await;
        if let Err(error) = called {
            tracing::warn!(%error, "the outside switch was not reached");
        }
    }
}

/// The whole life of the program `sentinel run`: logging, start, signals, end.
///
/// # Errors
/// What kept it from starting; [`exit_of`] says which status that deserves.
pub async fn run(config_path: Option<PathBuf>) -> anyhow::Result<Exit> {
    if let Err(error) = logging::init(logging::Format::Auto, tracing::Level::INFO) {
        tracing::debug!(%error, "logging goes on as it is");
    }
    let config = Config::load(config_path.as_deref())?;
    let mut signals = Signals::new().context("signals cannot be handled")?;
    let running = Sentinel::start(config).await?;
    let progress = running.progress.clone();
    let watchdog = supervisor::watchdog_interval()
        .map(|interval| tokio::spawn(progress.watch(interval, supervisor::ping)));
    supervisor::ready();
    supervisor::status(&format!("watching; admin door at {}", running.admin));
    loop {
        match signals.next().await {
            Signal::Terminate => break,
            Signal::Reload => {
                supervisor::reloading();
                // A wrong file was logged; the old configuration goes on.
                drop(running.reload(Config::load(config_path.as_deref())).await);
                supervisor::ready();
            }
        }
    }
    supervisor::stopping();
    running.stop().await;
    if let Some(watchdog) = watchdog {
        watchdog.abort();
    }
    Ok(Exit::Fine)
}

/// The exit status for an error: 78 for what only a person can put right, else 1.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    if error.downcast_ref::<ConfigError>().is_some() {
        Exit::Config
    } else {
        Exit::Failed
    }
}
