//! The file as it is written: the keys that exist, their defaults, and every check.
//!
//! The types here mirror the TOML one to one and are thrown away after the checks. A key that
//! is not named here is an error; a value that passes here is never doubted later.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::{
    ByteSize, ConfigError, Said, Source, Span, StoreUrl, secret_file, secret_places,
};
use event::{TenantId, Zone};
use notify::Language;
use serde::Deserialize;
use store::Target;

use crate::tls::TlsFiles;

use super::backup::{self, RawBackup};
use super::edge::{self, RawEdge};
use super::input::{self, RawInput};
use super::keep::RawKeep;
use super::mapping::{self, RawMapped};
use super::output::{self, RawOutput};
use super::{
    ClockTrust, Config, Limits, Listen, Network, NoNetwork, SECRETS_FOLDER, STORE_LABEL,
    SentinelGuard, Tenant, TlsDoor, Unknown, target,
};

/// State folder of an installed package.
const DEFAULT_STATE: &str = "/var/lib/satellite";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    state_dir: Option<PathBuf>,
    #[serde(default)]
    listen: RawListen,
    #[serde(default)]
    limits: RawLimits,
    store: Option<RawStore>,
    #[serde(default)]
    enrolment: RawEnrolment,
    #[serde(default)]
    tenant: Vec<RawTenant>,
    #[serde(default)]
    output: Vec<RawOutput>,
    #[serde(default)]
    input: Vec<RawInput>,
    #[serde(default)]
    mapping: Vec<RawMapped>,
    edge: Option<RawEdge>,
    backup: Option<RawBackup>,
    sentinel_guard: Option<RawGuard>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawListen {
    devices: Option<SocketAddr>,
    devices_tls: Option<RawTls>,
    admin: Option<SocketAddr>,
    public_url: Option<String>,
    isup: Option<SocketAddr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    address: SocketAddr,
    certificate: String,
    key: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    connections: Option<usize>,
    connections_per_address: Option<usize>,
    body: Option<ByteSize>,
    in_flight: Option<ByteSize>,
    handshake_seconds: Option<u64>,
    handshakes: Option<usize>,
    header_seconds: Option<u64>,
    body_seconds: Option<u64>,
    idle_seconds: Option<u64>,
    requests_per_address: Option<u32>,
    requests_per_serial: Option<u32>,
    #[serde(default)]
    trusted_proxies: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStore {
    url: StoreUrl,
    password_file: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawEnrolment {
    #[serde(default)]
    unknown: RawUnknown,
    accept_into: Option<TenantId>,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum RawUnknown {
    #[default]
    Hold,
    Accept,
    Reject,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTenant {
    id: TenantId,
    name: Option<String>,
    time_zone: String,
    #[serde(default = "yes")]
    set_clock: bool,
    #[serde(default)]
    networks: Vec<String>,
    #[serde(default)]
    keep: RawKeep,
    url: Option<StoreUrl>,
    password_file: Option<String>,
    forward_to: Option<fetch::Url>,
    #[serde(default)]
    forward_allow_internal: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGuard {
    health_url: String,
    silent_after: Span,
    from: String,
    to: Vec<String>,
    relays: Vec<String>,
    user: Option<String>,
    password_file: Option<String>,
    language: Option<String>,
}

fn yes() -> bool {
    true
}

/// Reads the text, fills in the defaults and checks everything.
pub(super) fn checked(source: &Source) -> Result<Config, ConfigError> {
    let file: File = source.parse()?;
    let state_dir = file.state_dir.unwrap_or_else(|| DEFAULT_STATE.into());
    let limits = limits(source, file.limits)?;
    let listen = listen(source, file.listen)?;
    let store = match &file.store {
        Some(raw) => target(source, "store", &raw.url, raw.password_file.as_deref())?,
        None => Target::Sqlite(state_dir.join("events.db")),
    };
    sqlite_folder(source, "store.url", &store, &state_dir)?;
    let tenants = tenants(source, file.tenant, &state_dir)?;
    let unknown = unknown(source, file.enrolment, &tenants)?;
    let mut outputs = output::checked(source, file.output, &tenants)?;
    let inputs = input::checked(source, file.input, &tenants)?;
    let edge = file
        .edge
        .map(|raw| edge::checked(source, raw))
        .transpose()?;
    if let Some(edge) = &edge {
        let output = edge::output(edge, &tenants, &outputs);
        outputs.push(output.map_err(|said| source.error("edge", said))?);
    }
    let mappings = mapping::checked(source, file.mapping)?;
    let backup = file.backup.map(|raw| backup::checked(source, raw));
    let sentinel_guard = file
        .sentinel_guard
        .map(|raw| guard(source, raw))
        .transpose()?;
    Ok(Config {
        file: None,
        state_dir,
        listen,
        limits,
        store,
        unknown,
        tenants,
        outputs,
        inputs,
        mappings,
        edge,
        backup: backup.transpose()?,
        sentinel_guard,
        clock: ClockTrust::AskSystem,
    })
}

fn listen(source: &Source, raw: RawListen) -> Result<Listen, ConfigError> {
    let defaults = Config::in_folder(Path::new("")).listen;
    let public_url = raw.public_url.map(|url| {
        let url = url.trim_end_matches('/').to_owned();
        check_http(source, "listen.public_url", &url).map(|()| url)
    });
    Ok(Listen {
        devices: raw.devices.unwrap_or(defaults.devices),
        devices_tls: raw.devices_tls.map(|raw| TlsDoor {
            address: raw.address,
            files: TlsFiles {
                certificate: raw.certificate,
                key: raw.key,
            },
        }),
        admin: raw.admin.unwrap_or(defaults.admin),
        public_url: public_url.transpose()?,
        isup: raw.isup,
    })
}

fn check_http(source: &Source, key: &str, url: &str) -> Result<(), ConfigError> {
    let host = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let fine = host.is_some_and(|host| {
        !host.is_empty() && !host.contains('@') && !host.contains(char::is_whitespace)
    });
    if fine {
        return Ok(());
    }
    Err(source.error(
        key,
        (
            "write http://host:port or https://host:port, without a password",
            "escriba http://host:puerto o https://host:puerto, sin contraseña",
        ),
    ))
}

fn limits(source: &Source, raw: RawLimits) -> Result<Limits, ConfigError> {
    let defaults = Limits::default();
    let positive = |key: &str, value: Option<usize>, default: usize| match value {
        Some(0) => {
            let message = ("must be at least 1", "debe ser al menos 1");
            Err(source.error(&format!("limits.{key}"), message))
        }
        value => Ok(value.unwrap_or(default)),
    };
    let seconds = |key: &str, value: Option<u64>, default: Duration| match value {
        None => Ok(default),
        Some(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        Some(_) => {
            let message = (
                "must be from 1 to 3600 seconds",
                "debe ser de 1 a 3600 segundos",
            );
            Err(source.error(&format!("limits.{key}"), message))
        }
    };
    let body = raw.body.map_or(defaults.body, ByteSize::as_usize);
    if !(4 << 10..=1 << 30).contains(&body) {
        let message = ("must be from 4KiB to 1GiB", "debe ser de 4KiB a 1GiB");
        return Err(source.error("limits.body", message));
    }
    let roomy = defaults.in_flight.max(body);
    let in_flight = raw.in_flight.map_or(roomy, ByteSize::as_usize);
    if in_flight < body {
        let message = (
            "must not be smaller than limits.body",
            "no debe ser menor que limits.body",
        );
        return Err(source.error("limits.in_flight", message));
    }
    let per_address = raw.connections_per_address;
    Ok(Limits {
        connections: positive("connections", raw.connections, defaults.connections)?,
        connections_per_address: positive(
            "connections_per_address",
            per_address,
            defaults.connections_per_address,
        )?,
        body,
        in_flight,
        handshakes: positive("handshakes", raw.handshakes, defaults.handshakes)?,
        handshake_time: seconds(
            "handshake_seconds",
            raw.handshake_seconds,
            defaults.handshake_time,
        )?,
        header_time: seconds("header_seconds", raw.header_seconds, defaults.header_time)?,
        body_time: seconds("body_seconds", raw.body_seconds, defaults.body_time)?,
        idle_time: seconds("idle_seconds", raw.idle_seconds, defaults.idle_time)?,
        requests_per_address: rate(
            source,
            "requests_per_address",
            raw.requests_per_address,
            defaults.requests_per_address,
        )?,
        requests_per_serial: rate(
            source,
            "requests_per_serial",
            raw.requests_per_serial,
            defaults.requests_per_serial,
        )?,
        trusted_proxies: networks(source, "limits.trusted_proxies", &raw.trusted_proxies)?,
    })
}

/// Requests a second, as they are written.
fn rate(source: &Source, key: &str, value: Option<u32>, usual: u32) -> Result<u32, ConfigError> {
    match value {
        None => Ok(usual),
        Some(rate @ 1..=1_000_000) => Ok(rate),
        Some(_) => {
            let message = (
                "must be from 1 to 1000000 requests a second",
                "debe ser de 1 a 1000000 peticiones por segundo",
            );
            Err(source.error(&format!("limits.{key}"), message))
        }
    }
}

/// Networks as they are written in a list.
fn networks(source: &Source, key: &str, texts: &[String]) -> Result<Vec<Network>, ConfigError> {
    let read = texts.iter().map(|text| {
        text.parse().map_err(|NoNetwork| {
            let shown = text.escape_debug();
            let message = Said::new(
                format!("'{shown}' is no network; write 203.0.113.7 or 203.0.113.0/24"),
                format!("'{shown}' no es una red; escriba 203.0.113.7 o 203.0.113.0/24"),
            );
            source.error(key, message)
        })
    });
    read.collect()
}

fn tenants(source: &Source, raw: Vec<RawTenant>, state: &Path) -> Result<Vec<Tenant>, ConfigError> {
    if raw.is_empty() {
        let message = (
            "there is no tenant; write [[tenant]] with id and time_zone",
            "no hay ningún cliente; escriba [[tenant]] con id y time_zone",
        );
        return Err(source.error("tenant", message));
    }
    let mut tenants: Vec<Tenant> = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let table = format!("tenant[{index}]");
        let wrong = |key: &str, message: Said| source.error(&format!("{table}.{key}"), message);
        if tenants.iter().any(|known| known.id == raw.id) {
            let message = Said::new(
                "another tenant has this id already",
                "otro cliente ya tiene este id",
            );
            return Err(wrong("id", message));
        }
        let zone = Zone::named(&raw.time_zone).map_err(|error| {
            let es = format!(
                "'{}' no es una zona horaria de la base IANA; por ejemplo America/Mexico_City",
                raw.time_zone
            );
            wrong("time_zone", Said::new(error.to_string(), es))
        })?;
        let own_store = match &raw.url {
            Some(_) if raw.id.as_str() == STORE_LABEL => {
                let message = Said::new(
                    "'store' is the name of the common database in metrics",
                    "'store' es el nombre de la base de datos común en las métricas",
                );
                return Err(wrong("id", message));
            }
            Some(url) => {
                let own = target(source, &table, url, raw.password_file.as_deref())?;
                sqlite_folder(source, &format!("{table}.url"), &own, state)?;
                Some(own)
            }
            None if raw.password_file.is_some() => {
                let message = Said::new(
                    "stands without a url beside it",
                    "está sin una url a su lado",
                );
                return Err(wrong("password_file", message));
            }
            None => None,
        };
        let name = raw.name.unwrap_or_else(|| raw.id.as_str().to_owned());
        let networks = networks(source, &format!("{table}.networks"), &raw.networks)?;
        let keep = raw.keep.checked(source, &format!("{table}.keep"))?;
        let old = (raw.forward_to, raw.forward_allow_internal);
        let forward = output::old(source, &table, old)?;
        let (id, set_clock) = (raw.id, raw.set_clock);
        tenants.push(Tenant {
            id,
            name,
            zone,
            set_clock,
            networks,
            keep,
            own_store,
            forward,
        });
    }
    Ok(tenants)
}

/// A typing error in a path must not make a new, empty store somewhere; so the folder has to
/// be there. The state folder is the exception, because it is made at the start.
fn sqlite_folder(
    source: &Source,
    key: &str,
    target: &Target,
    state: &Path,
) -> Result<(), ConfigError> {
    let Target::Sqlite(path) = target else {
        return Ok(());
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if folder != state && !folder.is_dir() => {
            let shown = folder.display();
            Err(source.error(
                key,
                Said::new(
                    format!("the folder {shown} does not exist; create it first"),
                    format!("la carpeta {shown} no existe; créela primero"),
                ),
            ))
        }
        _ => Ok(()),
    }
}

fn unknown(source: &Source, raw: RawEnrolment, tenants: &[Tenant]) -> Result<Unknown, ConfigError> {
    let key = "enrolment.accept_into";
    if let Some(id) = &raw.accept_into
        && !tenants.iter().any(|tenant| tenant.id == *id)
    {
        let message = (
            "no [[tenant]] has this id",
            "ningún [[tenant]] tiene este id",
        );
        return Err(source.error(key, message));
    }
    match (raw.unknown, raw.accept_into, tenants) {
        (RawUnknown::Hold, _, _) => Ok(Unknown::Hold),
        (RawUnknown::Reject, _, _) => Ok(Unknown::Reject),
        (RawUnknown::Accept, Some(id), _) => Ok(Unknown::Accept(id)),
        (RawUnknown::Accept, None, [only]) => Ok(Unknown::Accept(only.id.clone())),
        (RawUnknown::Accept, None, _) => Err(source.error(
            key,
            (
                "with several tenants, unknown = \"accept\" needs accept_into = \"<tenant id>\"",
                "con varios clientes, unknown = \"accept\" necesita accept_into = \"<id del cliente>\"",
            ),
        )),
    }
}

fn bad_health_url(why: &fetch::BadUrl) -> Said {
    let es = "no sirve; escriba http://host:puerto/ruta, sin usuario ni contraseña";
    Said::new(why.to_string(), es)
}

fn guard(source: &Source, raw: RawGuard) -> Result<SentinelGuard, ConfigError> {
    let wrong = |key: &str, why: Said| source.error(&format!("sentinel_guard.{key}"), why);
    let health_url = raw.health_url.parse();
    let health_url =
        health_url.map_err(|why: fetch::BadUrl| wrong("health_url", bad_health_url(&why)))?;
    let silent_after = Duration::from(raw.silent_after);
    if silent_after < Duration::from_secs(30) {
        let why = Said::new("must be at least 30s", "debe ser al menos 30s");
        return Err(wrong("silent_after", why));
    }
    if notify::Sender::new(&raw.from, "").is_err() {
        let why = Said::new("is not a mail address", "no es una dirección de correo");
        return Err(wrong("from", why));
    }
    if raw.to.is_empty() || raw.to.iter().any(|to| notify::Recipient::mail(to).is_err()) {
        let why = Said::new(
            "must list at least one mail address",
            "debe llevar al menos una dirección de correo",
        );
        return Err(wrong("to", why));
    }
    if raw.relays.is_empty()
        || raw
            .relays
            .iter()
            .any(|url| notify::SmtpRelay::new(url).is_err())
    {
        let why = Said::new(
            "must list at least one smtp://host:port or smtps://host:port, without a password",
            "debe llevar al menos un smtp://host:puerto o smtps://host:puerto, sin contraseña",
        );
        return Err(wrong("relays", why));
    }
    let language = raw.language.as_deref().unwrap_or("es");
    let language = Language::from_code(language).ok_or_else(|| {
        wrong(
            "language",
            Said::new("must be es or en", "debe ser es o en"),
        )
    })?;
    let login = match (raw.user, raw.password_file) {
        (None, None) => None,
        (Some(user), Some(name)) => {
            let places = secret_places(Path::new(SECRETS_FOLDER));
            let secret = secret_file(&name, &places);
            Some((
                user,
                secret.map_err(|why| wrong("password_file", why.into()))?,
            ))
        }
        _ => {
            let why = Said::new(
                "user and password_file stand together or not at all",
                "user y password_file van juntos o no van",
            );
            return Err(wrong("user", why));
        }
    };
    Ok(SentinelGuard {
        health_url,
        silent_after,
        from: raw.from,
        to: raw.to,
        relays: raw.relays,
        login,
        language,
    })
}
