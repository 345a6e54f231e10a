//! Start, reload and end of the daemon.
//!
//! The order matters: state on disk, databases, what is known of terminals, and only then the
//! door. At the end it is the other way round: the door closes, what is in flight is answered,
//! and the stores close last. Tests, the demo and the program all come through here.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use daemon::exit::Exit;
use daemon::signals::{Signal, Signals};
use daemon::{logging, supervisor};
use store::{Gate, Journal, JournalLimits, Mirror};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

use crate::clock;
use crate::config::{Config, ConfigError, Given};
use crate::door::Transport;
use crate::enrolment::Keeper;
use crate::hub::{Addresses, Hub};
use crate::metrics::Metrics;
use crate::stores::{self, Means, MigrationDenied, Stores};
use crate::tls::{self, Tls};
use crate::{
    admin, again, commands, dial, door, drainer, evidence, guard, hikvision, index, outputs, upkeep,
};

/// Most sessions at one database server; one that grants few connections is asked for fewer.
/// More of them do not commit more: a server at which a hundred work at once is busy with its
/// own locks.
const PER_SERVER: usize = 32;
/// Connections that the kernel may hold for us before they are accepted.
const BACKLOG: u32 = 4096;
/// Longest that requests in flight are waited for.
const DRAIN_WITHIN: Duration = Duration::from_secs(8);
/// Longest that the stores are waited for afterwards.
const CLOSE_WITHIN: Duration = Duration::from_millis(1_500);

/// The daemon, not yet started.
#[derive(Debug)]
pub struct Satellite;

/// A daemon that runs in this process.
pub struct Running {
    /// Where terminals are served.
    pub devices: SocketAddr,
    /// Where terminals are served behind TLS, if that was asked for.
    pub devices_tls: Option<SocketAddr>,
    /// Where operators are served.
    pub admin: SocketAddr,
    /// Where devices that were set to ISUP are recognised, if that was asked for.
    pub isup: Option<SocketAddr>,
    hub: Arc<Hub>,
    admin_task: JoinHandle<()>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running(devices {}, admin {})", self.devices, self.admin)
    }
}

impl Satellite {
    /// Starts everything and answers when the door is open. Databases that cannot be reached
    /// do not keep it from starting. Must be called inside a tokio runtime of several threads.
    ///
    /// # Errors
    /// A [`MigrationDenied`] when a database needs tables that its user may not make; else
    /// when the state folder or an address cannot be used.
    pub async fn start(config: Config) -> anyhow::Result<Running> {
        std::fs::create_dir_all(&config.state_dir).with_context(|| {
            format!(
                "the state folder {} cannot be made",
                config.state_dir.display()
            )
        })?;
        let tls = Tls::open(&config)?;
        let doors = Doors::open(&config)?;

        let mirror = Mirror::open(&config.state_dir).await.with_context(|| {
            format!(
                "the mirror in {} cannot be opened",
                config.state_dir.display()
            )
        })?;
        let metrics = Arc::new(Metrics::new(&config));
        let means = Means {
            mirror,
            gate: Gate::new(PER_SERVER),
            metrics,
        };
        let journal = Journal::open(&config.state_dir, JournalLimits::default());
        let journal = journal.await.with_context(|| {
            format!(
                "the journal in {} cannot be opened",
                config.state_dir.display()
            )
        })?;
        if let Some(damaged) = journal.moved_aside() {
            tracing::error!(file = %damaged.display(), "the journal was damaged and was set aside; a new one was begun");
        }
        let instance = instance(&config.state_dir)?;
        let (hub, wishes) = Hub::new(config, means, journal, instance, tls);
        let config = hub.config.load_full();
        stores::prepare_all(hub.stores.load().list(), &config).await?;
        hub.clock.ask_system(config.clock).await;
        let mut keeper = Keeper::new(Arc::clone(&hub), wishes);
        keeper.load().await;
        hub.drain.spawn(keeper.run());
        in_the_background(&hub);

        let running = doors.serve(hub)?;
        let Running { devices, admin, .. } = &running;
        tracing::info!(%devices, %admin, tenants = config.tenants.len(), "satellite takes events");
        Ok(running)
    }
}

/// The sockets, opened early, so that an address that cannot be used ends the start before a
/// database is touched.
struct Doors {
    devices: TcpListener,
    devices_tls: Option<TcpListener>,
    admin: TcpListener,
    isup: Option<TcpListener>,
}

impl Doors {
    fn open(config: &Config) -> anyhow::Result<Self> {
        let mut sockets = Sockets::passed();
        let listen = &config.listen;
        let devices = sockets.take("devices", listen.devices)?;
        let secured = listen.devices_tls.as_ref();
        let secured = secured.map(|door| sockets.take("devices_tls", door.address));
        let admin = sockets.take("admin", listen.admin)?;
        let isup = listen.isup.map(|address| sockets.take("isup", address));
        let doors = Self {
            devices,
            devices_tls: secured.transpose()?,
            admin,
            isup: isup.transpose()?,
        };
        sockets.warn_about_the_rest();
        Ok(doors)
    }

    /// Opens them all.
    fn serve(self, hub: Arc<Hub>) -> anyhow::Result<Running> {
        let at = |listener: &Option<TcpListener>| {
            listener.as_ref().map(TcpListener::local_addr).transpose()
        };
        let (devices, admin) = (self.devices.local_addr()?, self.admin.local_addr()?);
        let (devices_tls, isup) = (at(&self.devices_tls)?, at(&self.isup)?);
        hub.addresses.get_or_init(|| Addresses {
            devices,
            devices_tls,
        });
        if let Some(isup) = self.isup {
            hub.drain.spawn(hikvision::run_isup(Arc::clone(&hub), isup));
        }
        if let Some(secured) = self.devices_tls {
            hub.drain.spawn(tls::run(Arc::clone(&hub)));
            hub.drain
                .spawn(door::run(Arc::clone(&hub), secured, Transport::Tls));
        }
        hub.drain
            .spawn(door::run(Arc::clone(&hub), self.devices, Transport::Plain));
        let admin_task = tokio::spawn(admin::run(Arc::clone(&hub), self.admin));
        Ok(Running {
            devices,
            devices_tls,
            admin,
            isup,
            hub,
            admin_task,
        })
    }
}

impl Running {
    /// Ends: no new connections, what is in flight is finished and answered, the stores are
    /// closed. Takes at most ten seconds.
    pub async fn stop(self) {
        let hub = &self.hub;
        if !hub.drain.close(DRAIN_WITHIN).await {
            tracing::warn!(
                left = hub.drain.running(),
                "not everything in flight could be finished"
            );
        }
        let closing = async {
            commands::save_last(hub).await;
            upkeep::save_stamps(hub).await;
            hub.stores.load_full().close().await;
        };
        if tokio::time::timeout(CLOSE_WITHIN, closing).await.is_err() {
            tracing::warn!(
                "a store did not close in time; what it had not committed was not acknowledged"
            );
        }
        self.admin_task.abort();
        tracing::info!("satellite has ended");
    }

    /// Takes over a configuration that was read again. A wrong one changes nothing and is
    /// logged; of a right one the keys that need a restart stay as they were and are named.
    ///
    /// # Errors
    /// The error that came in, after it was logged and counted.
    pub async fn reload(&self, next: Result<Config, ConfigError>) -> Result<(), ConfigError> {
        let hub = &self.hub;
        let count = |result: &str| hub.metrics.reloads.with_label_values(&[result]).inc();
        let next = next.and_then(|next| Ok((next.identity()?, next)));
        let (identity, mut next) = match next {
            Ok(next) => next,
            Err(error) => {
                count("failed");
                tracing::error!(%error, "the configuration is wrong; the old one stays in force");
                return Err(error);
            }
        };
        let old = hub.config.load_full();
        for key in old.needs_restart(&next) {
            tracing::warn!(key, "this change takes effect after a restart");
        }
        let door = next.listen.devices_tls.take();
        next.listen = old.listen.clone();
        if let (Some(tls), Some(door), Some(identity)) = (&hub.tls, door, identity)
            && tls.take(&door.files, identity, clock::now())
            && let Some(kept) = &mut next.listen.devices_tls
        {
            kept.files = door.files;
        }
        next.store = old.store.clone();
        next.state_dir.clone_from(&old.state_dir);
        next.clock = old.clock;
        self.take_over(next).await;
        count("ok");
        tracing::info!("the configuration was read again");
        Ok(())
    }

    async fn take_over(&self, next: Config) {
        let hub = &self.hub;
        let before = hub.stores.load_full();
        let after = Stores::open(&next, &hub.means, Some(&before));
        let (fresh, gone) = (after.fresh(&before), before.gone(&after));
        hub.metrics.prepare(&next);
        hub.crowd.resize(&next.limits);
        // Stores first: a terminal must never be approved for a tenant without a writer.
        hub.stores.store(Arc::new(after));
        hub.devices.reconfigure(&next);
        let next = Arc::new(next);
        hub.config.store(Arc::clone(&next));
        if let Err(denied) = stores::prepare_all(&fresh, &next).await {
            tracing::error!("{denied}");
        }
        for store in gone {
            // What it has taken is still committed and answered.
            hub.drain.spawn(async move { store.writer.close().await });
        }
    }

    /// Reads the configuration again from where it came from and takes it over.
    ///
    /// # Errors
    /// As [`Self::reload`].
    pub async fn reload_file(&self, path: Option<&Path>) -> Result<(), ConfigError> {
        self.reload(Config::load(path)).await
    }
}

/// Everything that works by itself until the end begins.
fn in_the_background(hub: &Arc<Hub>) {
    hub.drain.spawn(commands::run(Arc::clone(hub)));
    hub.drain.spawn(index::run(Arc::clone(hub)));
    hub.drain.spawn(upkeep::run(Arc::clone(hub)));
    hub.drain.spawn(drainer::run(Arc::clone(hub)));
    hub.drain.spawn(again::run(Arc::clone(hub)));
    hub.drain.spawn(again::run_comparisons(Arc::clone(hub)));
    hub.drain.spawn(dial::run(Arc::clone(hub)));
    hub.drain.spawn(guard::run(Arc::clone(hub)));
    hub.drain.spawn(evidence::run(Arc::clone(hub)));
    hub.drain.spawn(outputs::run(Arc::clone(hub)));
    hub.drain.spawn(outputs::signs::run(Arc::clone(hub)));
}

/// The name of this installation, made at its first start.
fn instance(state_dir: &Path) -> anyhow::Result<String> {
    let file = state_dir.join("instance");
    if let Ok(name) = std::fs::read_to_string(&file)
        && name.len() == 32
        && name.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Ok(name);
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).context("the system gives no random numbers")?;
    let name = format!("{:032x}", u128::from_be_bytes(random));
    let written = keep(&file, &name);
    written.with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(name)
}

/// Writes a file that a power cut must not take: leases are held under the name in it.
fn keep(file: &Path, text: &str) -> std::io::Result<()> {
    let mut out = std::fs::File::create(file)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

/// Sockets that the service manager opened for us, by name.
struct Sockets(Vec<(String, std::net::TcpListener)>);

impl Sockets {
    fn passed() -> Self {
        Self(supervisor::listeners())
    }

    /// The socket of that name, else one bound to `address`.
    fn take(&mut self, name: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
        if let Some(at) = self.0.iter().position(|(known, _)| known == name) {
            let (_, socket) = self.0.swap_remove(at);
            return TcpListener::from_std(socket)
                .with_context(|| format!("the passed socket {name}"));
        }
        bind(address)
            .with_context(|| format!("the address {address} (listen.{name}) cannot be used"))
    }

    fn warn_about_the_rest(self) {
        for (name, _) in self.0 {
            tracing::warn!(
                name,
                "a passed socket of this name is not used; known: devices, devices_tls, admin, isup"
            );
        }
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The whole life of the program `satellite run`: logging, start, signals, end.
///
/// # Errors
/// What kept it from starting; [`exit_of`] says which status that deserves.
pub async fn run(given: Given) -> anyhow::Result<Exit> {
    if let Err(error) = logging::init(logging::Format::Auto, tracing::Level::INFO) {
        tracing::debug!(%error, "logging goes on as it is");
    }
    let config = given.load()?;
    let mut signals = Signals::new().context("signals cannot be handled")?;
    let running = Satellite::start(config).await?;
    let hub = Arc::clone(&running.hub);
    let watchdog = supervisor::watchdog_interval()
        .map(|interval| tokio::spawn(hub.progress.clone().watch(interval, supervisor::ping)));
    supervisor::ready();
    supervisor::status(&format!(
        "terminals at {}, operators at {}",
        running.devices, running.admin
    ));
    loop {
        match signals.next().await {
            Signal::Terminate => break,
            Signal::Reload => {
                supervisor::reloading();
                // A wrong file was logged and counted; the old configuration goes on.
                drop(running.reload(given.load()).await);
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

/// The exit status for an error of [`run`] or [`Satellite::start`]: 78 for what only a person
/// can put right, else 1.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    let config = error.downcast_ref::<ConfigError>().is_some();
    if config || error.downcast_ref::<MigrationDenied>().is_some() {
        Exit::Config
    } else {
        Exit::Failed
    }
}
