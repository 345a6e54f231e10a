//! Sentinel's configuration: TOML read once, checked whole, handed on as plain values.
//!
//! Whatever can be wrong is found here, before anything is looked at, and is told with file,
//! line and key. Secrets are read from their files while loading and are held in [`Secret`]s,
//! which never show themselves. Nothing here connects to anything. Sections of their own live
//! in files of their own beside `raw`.

mod agents;
mod canaries;
pub mod looks;
mod promises;
mod raw;
mod round_trip;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use daemon::config::ConfigError;
use daemon::config::{Secret, Source, StoreUrl};
use fetch::{Trust, Url};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use notify::Language;

use crate::calendar::{Calendar, Holidays};
use crate::kind::Severity;
use crate::observation::Subject;

pub use promises::{Promise, Promises};

/// Where the configuration is looked for when no file is named.
pub const DEFAULT_FILE: &str = "/etc/sentinel/sentinel.toml";
/// Where secrets with a bare name are looked up after systemd's credentials.
pub const SECRETS_FOLDER: &str = "/etc/sentinel/secrets";
/// State folder of the built-in defaults, below the working directory.
pub const LOCAL_STATE: &str = "./sentinel-data";

/// Everything that the daemon and its commands are told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file this came from; `None` for the built-in defaults.
    pub file: Option<PathBuf>,
    /// Local state: the database with incidents and letters, the key of acknowledge links.
    pub state_dir: PathBuf,
    /// What this installation is called in mails, for example the company's name.
    pub name: String,
    /// The language of people whose contact names none.
    pub language: Language,
    /// The zone in which times are shown, and of hours that name none.
    pub zone: TimeZone,
    /// Where acknowledge links lead; without it mails carry the command instead.
    pub public_url: Option<String>,
    /// Days on which nobody works and clocks may be silent.
    pub holidays: Holidays,
    /// The admin door.
    pub admin: SocketAddr,
    /// What is looked at.
    pub watch: Watch,
    /// How mail leaves; without it nobody can be told by mail.
    pub mail: Option<Mail>,
    /// Webhooks by name.
    pub webhooks: Vec<Webhook>,
    /// The levels of attention, the first first.
    pub levels: Vec<Level>,
    /// Promised recovery times by class.
    pub promises: Promises,
    /// The outside dead-man's switch, called each minute while the self-test passes.
    pub heartbeat_url: Option<String>,
    /// What is looked at besides satellite and its databases.
    pub looks: looks::Looks,
    /// For how long something must be fine before it is over.
    pub recovered_after: SignedDuration,
    /// When the daily mail leaves, in [`Config::zone`].
    pub daily_mail: Option<civil::Time>,
}

/// `[watch]`.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// satellite's admin door, without a slash at its end.
    pub satellite_admin: Option<String>,
    /// satellite's unit, looked at and restarted through systemd.
    pub satellite_unit: Option<String>,
    /// Whether a frozen satellite is restarted.
    pub restart: bool,
    /// Where the canary knocks; the public address first.
    pub terminal_urls: Vec<String>,
    /// Event databases, at most one for each tenant.
    pub stores: Vec<WatchedStore>,
}

/// `[[watch.store]]`: one event database, with a user that may only read.
#[derive(Debug, Clone)]
pub struct WatchedStore {
    /// Its tenant.
    pub tenant: String,
    /// The tenant's name for people.
    pub name: String,
    /// The database.
    pub url: StoreUrl,
    /// The user's password.
    pub password: Option<Secret>,
    /// Its canaries, at most one for each door; none turns them off.
    pub canaries: Vec<CanaryDoor>,
}

/// The door of satellite by which a canary's punches enter, and as whom.
#[derive(Debug, Clone)]
pub enum CanaryDoor {
    /// ZKTeco push, under that serial.
    Zkteco(String),
    /// Posts of Hikvision devices: the path with its token.
    Hikvision(Secret),
    /// Posts of other makes: the path with its token.
    Ingest(Secret),
    /// Messages of a broker to which satellite listens.
    Mqtt(Arc<BrokerCanary>),
}

/// `[watch.store.mqtt_canary]`: how its punches are published.
#[derive(Debug)]
pub struct BrokerCanary {
    /// The broker.
    pub url: Url,
    /// User and password.
    pub login: Option<(String, Secret)>,
    /// Whose certificates are good.
    pub trust: Trust,
    /// It may be in an inner network, and is spoken to without encryption.
    pub allow_internal: bool,
    /// Where they are published: a topic to which an input listens.
    pub topic: String,
    /// As whose, enrolled with `--canary`.
    pub serial: String,
}

/// `[mail]`.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Sender's address.
    pub from: String,
    /// Relays in the order in which they are preferred.
    pub relays: Vec<Relay>,
    /// A mailbox of its own to which test letters go.
    pub round_trip: Option<RoundTrip>,
}

/// `[mail.round_trip]`.
#[derive(Debug, Clone)]
pub struct RoundTrip {
    /// The mailbox's address.
    pub address: String,
    /// Where it is read: `imaps://host:port`.
    pub url: String,
    /// Who logs in there, with the password.
    pub login: (String, Secret),
    /// Authorities (PEM) that are trusted besides the public ones.
    pub authorities: Option<String>,
    /// From one test letter to the next.
    pub every: Duration,
    /// Within this time it must be back.
    pub within: Duration,
}

/// A mail relay.
#[derive(Debug, Clone)]
pub struct Relay {
    /// `smtp://host:port` or `smtps://host:port`.
    pub url: String,
    /// Who logs in, with the password.
    pub login: Option<(String, Secret)>,
    /// A file with authorities (PEM) that are trusted besides the public ones.
    pub authorities: Option<String>,
}

/// `[[webhook]]`.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its name in `to = [{ webhook = "…" }]`.
    pub name: String,
    /// Its address, which often holds a token.
    pub url: Secret,
    /// The key of its signature.
    pub key: Secret,
}

/// `[[level]]`: a level of attention.
#[derive(Debug, Clone)]
pub struct Level {
    /// Its name for people.
    pub name: String,
    /// After how long without acknowledgement it is told.
    pub after: Duration,
    /// Who is told.
    pub to: Vec<Contact>,
    /// Its hours, in its zone and with its holidays.
    pub calendar: Calendar,
    /// Whether critical incidents are told outside its hours too.
    pub critical_any_time: bool,
    /// Whether it is told of critical incidents only.
    pub only_critical: bool,
}

impl Level {
    /// Whether it may be told of something that bad at that time.
    pub fn tells(&self, severity: Severity, now: Timestamp) -> bool {
        let critical = severity == Severity::Critical;
        if !critical && (self.only_critical || severity == Severity::Notice) {
            return false;
        }
        critical && self.critical_any_time || self.calendar.is_open(now)
    }
}

/// One entry of `to`.
#[derive(Debug, Clone)]
pub struct Contact {
    /// Who, for people.
    pub name: Option<String>,
    /// By which way.
    pub to: notify::Recipient,
    /// In which language.
    pub language: Language,
    /// The number that mails show.
    pub phone: Option<String>,
}

/// The host in `http://host:port`.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = rest.split('/').next().unwrap_or_default();
    match place.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => place,
    }
}

impl Config {
    /// Reads and checks a configuration: the file that is named, else [`DEFAULT_FILE`] when it
    /// exists, else the built-in defaults (state under [`LOCAL_STATE`], nobody to tell).
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

    /// The built-in defaults with another folder: satellite on this machine, nobody to tell.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            file: None,
            state_dir: folder.to_path_buf(),
            name: "Sentinela".to_owned(),
            language: Language::Spanish,
            zone: TimeZone::get("America/Mexico_City").unwrap_or(TimeZone::UTC),
            public_url: None,
            holidays: Holidays::mexico(),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9811)),
            watch: Watch {
                satellite_admin: Some("http://127.0.0.1:9810".to_owned()),
                ..Watch::default()
            },
            mail: None,
            webhooks: Vec::new(),
            levels: Vec::new(),
            promises: Promises::default(),
            heartbeat_url: None,
            looks: looks::Looks {
                watch_host: true,
                ..looks::Looks::default()
            },
            recovered_after: SignedDuration::from_mins(2),
            daily_mail: None,
        }
    }

    /// The name of a tenant for people; unknown ones stay as they are.
    pub fn tenant_name<'a>(&'a self, id: &'a str) -> &'a str {
        let known = self.watch.stores.iter().find(|store| store.tenant == id);
        known.map_or(id, |store| &store.name)
    }

    /// The database server of a tenant, `host:port`; `None` for a file or an unknown tenant.
    pub fn server_of(&self, tenant: &str) -> Option<String> {
        let store = self.watch.stores.iter().find(|it| it.tenant == tenant)?;
        match &store.url {
            StoreUrl::Mysql(url) => Some(format!("{}:{}", url.host, url.port)),
            StoreUrl::Sqlite(_) => None,
        }
    }

    /// The machine on which that stands, of those that send their facts: satellite for
    /// [`Subject::Satellite`], the server of a store. `None` where none is known.
    pub fn machine_of(&self, subject: &Subject) -> Option<&str> {
        let host = match subject {
            Subject::Satellite => self.watch.satellite_admin.as_deref().map(host_of)?,
            Subject::Store { tenant } => {
                let store = self.watch.stores.iter().find(|it| it.tenant == *tenant)?;
                match &store.url {
                    StoreUrl::Mysql(url) => url.host.as_str(),
                    StoreUrl::Sqlite(_) => return None,
                }
            }
            _ => return None,
        };
        let known = |(_, hosts): &&(String, Vec<String>)| hosts.iter().any(|it| it == host);
        let machine = self.looks.machines.iter().find(known);
        machine.map(|(name, _)| name.as_str())
    }

    /// The tenants that are watched, in the order of the file.
    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.watch.stores.iter().map(|store| store.tenant.as_str())
    }
}

#[cfg(test)]
mod tests;
