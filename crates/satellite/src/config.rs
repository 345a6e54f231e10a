//! The daemon's configuration: TOML read once, checked whole, handed on as plain values.
//!
//! Whatever can be wrong is found here, before a socket is opened, and is told with file, line
//! and key. Secrets are read from their files while loading and leave this module only inside
//! a [`Target`], whose texts never show them. Nothing here connects to anything.

mod backup;
mod broker;
mod columns;
mod edge;
mod input;
mod keep;
mod mapping;
mod network;
mod output;
mod raw;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use backup::Backup;
pub use broker::{Broker, Link};
pub use columns::{Column, FIELDS, Moment, Table, Takes, shown, wall};
pub use daemon::config::ConfigError;
use daemon::config::{Secret, Source, StoreUrl, secret_file, secret_places};
pub use edge::{AsEdge, Edge, Given};
use event::{Serial, TenantId, Zone};
use fetch::Url;
pub use input::Input;
pub use keep::SHORTEST;
pub use mapping::Mapped;
pub use network::{Network, NoNetwork};
use notify::Language;
use other_makes::Mapping;
pub use output::{Daily, Format, Hook, Old, Output, Receiver};
use store::Target;
use store::retention::Class;

use crate::tls::{Identity, TlsFiles, Wrong};

/// Where the configuration is looked for when no file is named.
pub const DEFAULT_FILE: &str = "/etc/satellite/satellite.toml";
/// Where secrets with a bare name are looked up after systemd's credentials.
pub const SECRETS_FOLDER: &str = "/etc/satellite/secrets";
/// State folder of the built-in defaults, below the working directory.
pub const LOCAL_STATE: &str = "./satellite-data";
/// The one tenant of the built-in defaults.
pub const LOCAL_TENANT: &str = "main";

/// Everything that the daemon and its commands are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file this came from; `None` for the built-in defaults.
    pub file: Option<PathBuf>,
    /// Local state: the mirror of the registry and, by default, the SQLite store.
    pub state_dir: PathBuf,
    /// Addresses.
    pub listen: Listen,
    /// What a peer may use up.
    pub limits: Limits,
    /// The database of the registry, and of every tenant without one of its own.
    pub store: Target,
    /// What happens to terminals that nobody enrolled.
    pub unknown: Unknown,
    /// The tenants, in the order of the file; never empty.
    pub tenants: Vec<Tenant>,
    /// Where stored events are carried to, in the order of the file.
    pub outputs: Vec<Output>,
    /// Brokers whose messages are taken in, in the order of the file.
    pub inputs: Vec<Input>,
    /// How the records of other makes are read, in the order of the file.
    pub mappings: Vec<Mapped>,
    /// The satellite that gets everything, where this one is an edge; its output stands among
    /// `outputs` too.
    pub edge: Option<Edge>,
    /// Copies of the databases.
    pub backup: Option<Backup>,
    /// Satellite's own mail when sentinel is silent.
    pub sentinel_guard: Option<SentinelGuard>,
    /// How far the machine's clock is trusted. Not a key of the file: programs that run
    /// satellite inside themselves set it.
    pub clock: ClockTrust,
}

/// `[listen]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The door for terminals.
    pub devices: SocketAddr,
    /// The same door behind TLS; none unless it is asked for.
    pub devices_tls: Option<TlsDoor>,
    /// The door for operators: metrics, health, status.
    pub admin: SocketAddr,
    /// What is printed into terminals' settings, without a slash at its end.
    pub public_url: Option<String>,
    /// Where devices are recognised that were set to ISUP; none unless it is asked for.
    pub isup: Option<SocketAddr>,
}

/// `listen.devices_tls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsDoor {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it shows.
    pub files: TlsFiles,
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at once, all addresses together.
    pub connections: usize,
    /// Most connections at once from one address (one /64 for IPv6).
    pub connections_per_address: usize,
    /// Longest body that is kept in memory, in bytes.
    pub body: usize,
    /// Most bytes of bodies in memory, all requests together.
    pub in_flight: usize,
    /// Most TLS handshakes at once, all addresses together.
    pub handshakes: usize,
    /// For a TLS handshake.
    pub handshake_time: Duration,
    /// From the first byte of a request until its head is complete.
    pub header_time: Duration,
    /// For a body to arrive; a body that arrives steadily gets more.
    pub body_time: Duration,
    /// Between two requests of one connection.
    pub idle_time: Duration,
    /// Requests a second of one address, ten seconds' worth at once.
    pub requests_per_address: u32,
    /// Requests a second of one enrolled serial, ten seconds' worth at once.
    pub requests_per_serial: u32,
    /// Proxies that are exempt from the limits per address and whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<Network>,
}

impl Limits {
    /// Whether that address is a proxy which speaks for others.
    pub fn is_trusted(&self, address: IpAddr) -> bool {
        let mut proxies = self.trusted_proxies.iter();
        proxies.any(|network| network.contains(address))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_address: 1_024,
            body: 16 << 20,
            in_flight: 128 << 20,
            handshakes: 1_024,
            handshake_time: Duration::from_secs(10),
            header_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(75),
            requests_per_address: 5_000,
            requests_per_serial: 1_000,
            trusted_proxies: Vec::new(),
        }
    }
}

/// `[enrolment] unknown`: what happens to a serial that is not enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// It is listed as pending and its records stay in the terminal.
    Hold,
    /// It is enrolled for this tenant.
    Accept(TenantId),
    /// It is refused.
    Reject,
}

/// `[[tenant]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// The name in commands, metrics and the feed.
    pub id: TenantId,
    /// The name for people.
    pub name: String,
    /// The zone of its terminals, unless a terminal has its own.
    pub zone: Zone,
    /// Whether its terminals set their clock from ours.
    pub set_clock: bool,
    /// From where its terminals may speak; empty for everywhere.
    pub networks: Vec<Network>,
    /// How long its records are kept, class by class; what is not named here is kept for ever.
    pub keep: Vec<(Class, Duration)>,
    /// Its own event database, if it has one.
    pub own_store: Option<Target>,
    /// The program that ran before, which still gets what its push terminals send.
    pub forward: Option<Old>,
}

/// `[sentinel_guard]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentinelGuard {
    /// Sentinel's health page.
    pub health_url: Url,
    /// Silence after which satellite writes by itself.
    pub silent_after: Duration,
    /// Sender.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
    /// Mail relays, tried in order.
    pub relays: Vec<String>,
    /// The account at the relays, if they want one: user and password.
    pub login: Option<(String, Secret)>,
    /// The language of its mails.
    pub language: Language,
}

/// Whether the machine's clock is asked for its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClockTrust {
    /// The system says whether its clock is synchronised.
    #[default]
    AskSystem,
    /// The clock is taken as right.
    Trusted,
}

impl Config {
    /// Reads and checks a configuration: the file that is named, else [`DEFAULT_FILE`] when it
    /// exists, else the built-in defaults (SQLite under [`LOCAL_STATE`], one tenant
    /// [`LOCAL_TENANT`]).
    ///
    /// # Errors
    /// Whatever is wrong with it or with a secret it names, with file, line and key.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let default = Path::new(DEFAULT_FILE);
        let path = path.or_else(|| default.exists().then_some(default));
        let Some(path) = path else {
            return Ok(Self::in_folder(Path::new(LOCAL_STATE)));
        };
        let source = Source::read(path)?;
        let mut config = Self::read(&source)?;
        config.file = Some(path.to_path_buf());
        Ok(config)
    }

    /// Reads and checks a configuration text.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read(source: &Source) -> Result<Self, ConfigError> {
        raw::checked(source)
    }

    /// The built-in defaults with another folder: SQLite in it, one tenant [`LOCAL_TENANT`] in
    /// the machine's own time zone, unknown terminals held.
    pub fn in_folder(folder: &Path) -> Self {
        let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Self {
            file: None,
            state_dir: folder.to_path_buf(),
            listen: Listen {
                devices: any(8081),
                devices_tls: None,
                admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9810)),
                public_url: None,
                isup: None,
            },
            limits: Limits::default(),
            store: Target::Sqlite(folder.join("events.db")),
            unknown: Unknown::Hold,
            tenants: vec![Tenant {
                id: local_tenant(),
                name: LOCAL_TENANT.to_owned(),
                zone: machine_zone(),
                set_clock: true,
                networks: Vec::new(),
                keep: Vec::new(),
                own_store: None,
                forward: None,
            }],
            outputs: Vec::new(),
            inputs: Vec::new(),
            mappings: Vec::new(),
            edge: None,
            backup: None,
            sentinel_guard: None,
            clock: ClockTrust::AskSystem,
        }
    }

    /// The tenant of that name.
    pub fn tenant(&self, id: &TenantId) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.id == *id)
    }

    /// The input whose sender is that one.
    pub fn input(&self, sender: &Serial) -> Option<&Input> {
        self.inputs.iter().find(|input| input.sender == *sender)
    }

    /// The mapping that reads what the sender of that serial posts: the one that names it, else the
    /// one that names nobody, else that of our own form.
    pub fn mapping(&self, serial: &Serial) -> &Arc<Mapping> {
        let mut all = self.mappings.iter();
        let named = all.clone().find(|one| one.serials.contains(serial));
        let found = named.or_else(|| all.find(|one| one.serials.is_empty()));
        found.map_or(&*mapping::OWN, |one| &one.mapping)
    }

    /// The database that holds the tenant's events; `None` when there is no such tenant.
    pub fn target(&self, id: &TenantId) -> Option<&Target> {
        let tenant = self.tenant(id)?;
        Some(tenant.own_store.as_ref().unwrap_or(&self.store))
    }

    /// The database that holds the registry.
    pub fn registry_target(&self) -> &Target {
        &self.store
    }

    /// Every database once, with the label it has in metrics and in the mirror: `store` for the
    /// registry's own, else the first tenant's that uses it.
    pub fn stores(&self) -> Vec<(String, Target)> {
        let mut stores = vec![(STORE_LABEL.to_owned(), self.store.clone())];
        for tenant in &self.tenants {
            let own = tenant.own_store.iter();
            for target in own
                .filter(|own| stores.iter().all(|(_, known)| known != *own))
                .collect::<Vec<_>>()
            {
                stores.push((tenant.id.as_str().to_owned(), target.clone()));
            }
        }
        stores
    }

    /// Reads the certificate and the key of the door behind TLS; `None` without such a door. Not
    /// part of [`Config::load`], so that commands that serve nobody need neither.
    ///
    /// # Errors
    /// Whatever is wrong with one of them, at its key. That the certificate has ended or not yet
    /// begun is none: [`Identity::check_time`](crate::tls::Identity::check_time) tells.
    pub fn identity(&self) -> Result<Option<Identity>, ConfigError> {
        let Some(door) = &self.listen.devices_tls else {
            return Ok(None);
        };
        let places = secret_places(Path::new(SECRETS_FOLDER));
        let identity = Identity::load(&door.files, &places);
        identity.map(Some).map_err(|wrong| self.tls_error(wrong))
    }

    /// What is wrong with a file of the door behind TLS, as an error of its key.
    pub fn tls_error(&self, wrong: Wrong) -> ConfigError {
        let source = match &self.file {
            Some(file) => Source::read(file),
            None => Ok(Source::new(DEFAULT_FILE, "")),
        };
        match source {
            Ok(source) => source.error(wrong.part.key(), wrong.said),
            // The file was readable a moment ago; what is wrong is still told.
            Err(_) => ConfigError::about(wrong.part.key(), wrong.said),
        }
    }

    /// Whether a running process can take over from `self` to `next` without a restart; the
    /// keys that it cannot take over are named.
    pub fn needs_restart(&self, next: &Self) -> Vec<&'static str> {
        let changed = [
            ("listen.devices", self.listen.devices != next.listen.devices),
            (
                "listen.devices_tls",
                tls_address(&self.listen) != tls_address(&next.listen),
            ),
            ("listen.admin", self.listen.admin != next.listen.admin),
            ("listen.isup", self.listen.isup != next.listen.isup),
            ("store", self.store != next.store),
            ("state_dir", self.state_dir != next.state_dir),
        ];
        let changed = changed.into_iter().filter(|(_, changed)| *changed);
        changed.map(|(key, _)| key).collect()
    }
}

fn tls_address(listen: &Listen) -> Option<SocketAddr> {
    listen.devices_tls.as_ref().map(|door| door.address)
}

/// The label of the registry's database.
pub const STORE_LABEL: &str = "store";

fn local_tenant() -> TenantId {
    // The constant is a valid name; the fallback keeps this free of panics.
    TenantId::new(LOCAL_TENANT).unwrap_or_else(|_| unreachable!("a fixed name"))
}

/// The zone that the machine is set to, else Mexico City's.
fn machine_zone() -> Zone {
    let system = jiff::tz::TimeZone::system();
    let named = |name: &str| Zone::named(name).ok();
    let own = system
        .iana_name()
        .filter(|name| *name != "UTC" && *name != "Etc/UTC");
    own.and_then(named)
        .or_else(|| named("America/Mexico_City"))
        .unwrap_or_else(Zone::utc)
}

/// Makes the address of a store from its URL and the name of its password's file.
fn target(
    source: &Source,
    table: &str,
    url: &StoreUrl,
    password_file: Option<&str>,
) -> Result<Target, ConfigError> {
    let key = format!("{table}.password_file");
    match url {
        StoreUrl::Sqlite(path) => {
            if password_file.is_some() {
                let message = (
                    "a SQLite file has no password; take the key out",
                    "un archivo SQLite no lleva contraseña; quite la clave",
                );
                return Err(source.error(&key, message));
            }
            Ok(Target::Sqlite(path.clone()))
        }
        StoreUrl::Mysql(mysql) => {
            let places = secret_places(Path::new(SECRETS_FOLDER));
            let secret = password_file
                .map(|name| secret_file(name, &places).map_err(|wrong| source.error(&key, wrong)));
            let secret = secret.transpose()?;
            let server = format!("{}:{}", mysql.host, mysql.port);
            let password = secret.as_ref().map(Secret::expose);
            Ok(Target::mysql(&url.to_string(), password, &server))
        }
    }
}

#[cfg(test)]
mod tests;
