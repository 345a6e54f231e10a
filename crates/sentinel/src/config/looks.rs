//! What is looked at besides satellite and its databases: machines, other sentinels,
//! certificates, backups, and the client's application.
//!
//! The types of the file and the checked ones stand side by side, because most of them differ
//! only in that. An application of a known kind is written as one table and becomes its list of
//! indicators here, so that what the table in the manual says and what is looked at are one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::agents;
use daemon::config::{
    ConfigError, Said, Secret, Source, Span, StoreUrl, secret_file, secret_places,
};
use event::TenantId;
use fetch::{Trust, Url};
use serde::Deserialize;

use super::SECRETS_FOLDER;

/// From look to look at an indicator, unless it says otherwise.
const EVERY: Duration = Duration::from_secs(60);
/// For one look at an indicator, unless it says otherwise.
const WITHIN: Duration = Duration::from_secs(10);
/// A page that takes longer is slow, unless it says otherwise.
const SLOW: Duration = Duration::from_secs(3);
/// Most indicators in all.
const CHECKS: usize = 1_000;

/// Everything that these looks are told.
#[derive(Debug, Clone, Default)]
pub struct Looks {
    /// What this machine is called; its own name without it.
    pub host_name: Option<String>,
    /// Its file systems that are watched; every real one when empty.
    pub disks: Vec<String>,
    /// False when this machine itself is not watched.
    pub watch_host: bool,
    /// Machines that send their facts, each with its token.
    pub agents: Vec<(String, Secret)>,
    /// Under which hosts the rest of the file knows each of those machines.
    pub machines: Vec<(String, Vec<String>)>,
    /// Other sentinels by name, with their health pages.
    pub peers: Vec<(String, Url)>,
    /// Certificates.
    pub certificates: Vec<WatchedCertificate>,
    /// The backups' own report.
    pub backup: WatchedBackup,
    /// Indicators of the clients' applications.
    pub checks: Vec<Check>,
}

/// `[[certificate]]`.
#[derive(Debug, Clone)]
pub enum WatchedCertificate {
    /// The one that a server shows.
    Server(Url),
    /// The first one in a file.
    File(PathBuf),
}

/// `[backup]`.
#[derive(Debug, Clone)]
pub struct WatchedBackup {
    /// The age from which on it is told.
    pub warn_after: Duration,
    /// The age that was promised at most.
    pub overdue_after: Duration,
    /// The age from which on the newest one that was proven is too old.
    pub verified_within: Duration,
}

impl Default for WatchedBackup {
    /// The customer's plan: every three hours, told a quarter of an hour before; proven every
    /// night, with half a day of grace.
    fn default() -> Self {
        Self {
            warn_after: Duration::from_secs(165 * 60),
            overdue_after: Duration::from_secs(180 * 60),
            verified_within: Duration::from_secs(36 * 3600),
        }
    }
}

/// One indicator of a tenant's application.
#[derive(Debug, Clone)]
pub struct Check {
    /// Whose.
    pub tenant: String,
    /// Its name, unique within the tenant.
    pub name: String,
    /// What the tenant's operation is when it fails.
    pub sets: Sets,
    /// From look to look.
    pub every: Duration,
    /// For one look.
    pub within: Duration,
    /// What is looked at.
    pub probe: Probe,
}

/// What a failing indicator makes of the tenant's operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sets {
    /// *Falta completa*: nothing works without it.
    Down,
    /// *Falta parcial*: part of it does.
    Partial,
}

/// What an indicator looks at.
#[derive(Debug, Clone)]
pub enum Probe {
    /// A page.
    Http(HttpProbe),
    /// A query.
    Sql(SqlProbe),
    /// A port.
    Tcp(TcpProbe),
    /// A process of this machine.
    Process(ProcessProbe),
    /// A file of this machine.
    FileAge(FileAgeProbe),
    /// A program, by the convention of Nagios plug-ins.
    Command(CommandProbe),
}

impl Probe {
    /// Where it looks, for people.
    pub fn place(&self) -> String {
        match self {
            Self::Http(it) => it.url.to_string(),
            Self::Sql(it) => it.url.redacted(),
            Self::Tcp(it) => format!("{}:{}", it.host, it.port),
            Self::Process(it) => it.name.clone(),
            Self::FileAge(it) => it.path.display().to_string(),
            Self::Command(it) => it.command.first().cloned().unwrap_or_default(),
        }
    }
}

/// A page.
#[derive(Debug, Clone)]
pub struct HttpProbe {
    /// Its address.
    pub url: Url,
    /// The status it must have.
    pub status: u16,
    /// Texts it must hold.
    pub contains: Vec<String>,
    /// Texts it must not hold.
    pub lacks: Vec<String>,
    /// Whether it must have a form with a password field.
    pub login_form: bool,
    /// From which time on it is slow.
    pub slow: Duration,
    /// Whose certificates are good.
    pub trust: Trust,
}

/// A query.
#[derive(Debug, Clone)]
pub struct SqlProbe {
    /// The database.
    pub url: StoreUrl,
    /// Its password.
    pub password: Option<Secret>,
    /// One SELECT or SHOW; the first value of its answer counts, of a SHOW the last.
    pub query: String,
    /// The least that the value may be.
    pub at_least: Option<f64>,
    /// The most that it may be.
    pub at_most: Option<f64>,
}

/// A port.
#[derive(Debug, Clone)]
pub struct TcpProbe {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Processes by the file name of their program.
#[derive(Debug, Clone)]
pub struct ProcessProbe {
    /// The name, without folders.
    pub name: String,
    /// How many there must be.
    pub at_least: u32,
}

/// A file that must be changed again and again.
#[derive(Debug, Clone)]
pub struct FileAgeProbe {
    /// The file.
    pub path: PathBuf,
    /// How old its last change may be.
    pub at_most: Duration,
}

/// A program with its arguments; no shell reads them.
#[derive(Debug, Clone)]
pub struct CommandProbe {
    /// Program and arguments.
    pub command: Vec<String>,
}

/// The tables of the file.
#[derive(Default)]
pub(super) struct Raw {
    pub(super) host: RawHost,
    pub(super) agent: Vec<agents::RawAgent>,
    pub(super) peer: Vec<RawPeer>,
    pub(super) certificate: Vec<RawCertificate>,
    pub(super) backup: Option<RawBackup>,
    pub(super) application: Vec<RawApplication>,
    pub(super) check: Vec<RawCheck>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHost {
    name: Option<String>,
    #[serde(default)]
    disks: Vec<String>,
    watch: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPeer {
    name: String,
    health_url: Url,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCertificate {
    url: Option<Url>,
    file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBackup {
    warn_after: Option<Span>,
    overdue_after: Option<Span>,
    verified_within: Option<Span>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Preset {
    Xampp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApplication {
    tenant: TenantId,
    preset: Preset,
    url: Url,
    login_url: Option<Url>,
    contains: Option<String>,
    database: Option<StoreUrl>,
    password_file: Option<String>,
    database_host: Option<String>,
    database_port: Option<u16>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Type {
    Http,
    Sql,
    Tcp,
    Process,
    FileAge,
    Command,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCheck {
    tenant: TenantId,
    name: String,
    #[serde(rename = "type")]
    kind: Type,
    sets: Option<Sets>,
    every: Option<Span>,
    within: Option<Span>,
    url: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    contains: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
    #[serde(default)]
    login_form: bool,
    slow: Option<Span>,
    authorities: Option<PathBuf>,
    query: Option<String>,
    password_file: Option<String>,
    at_least: Option<f64>,
    at_most: Option<f64>,
    host: Option<String>,
    port: Option<u16>,
    process: Option<String>,
    path: Option<PathBuf>,
    older_than: Option<Span>,
    #[serde(default)]
    command: Vec<String>,
}

/// Fills in the defaults and checks everything.
pub(super) fn checked(source: &Source, raw: Raw) -> Result<Looks, ConfigError> {
    let mut checks = Vec::new();
    for (index, raw) in raw.application.into_iter().enumerate() {
        let table = format!("application[{index}]");
        checks.extend(application(source, &table, raw)?);
    }
    for (index, raw) in raw.check.into_iter().enumerate() {
        let table = format!("check[{index}]");
        let check = check(source, &table, raw)?;
        let same = |it: &Check| it.tenant == check.tenant && it.name == check.name;
        if checks.iter().any(same) {
            let message = (
                "another check of this tenant has this name",
                "otra revisión de este cliente tiene este nombre",
            );
            return Err(source.error(&format!("{table}.name"), message));
        }
        checks.push(check);
    }
    if checks.len() > CHECKS {
        return Err(source.error(
            "check",
            (
                "there are at most 1000 checks",
                "hay lugar para 1000 revisiones",
            ),
        ));
    }
    Ok(Looks {
        host_name: raw
            .host
            .name
            .map(|name| plain(source, "host.name", &name))
            .transpose()?,
        disks: raw.host.disks,
        watch_host: raw.host.watch.unwrap_or(true),
        machines: agents::machines(&raw.agent),
        agents: agents::checked(source, raw.agent)?,
        peers: raw
            .peer
            .into_iter()
            .map(|raw| (raw.name, raw.health_url))
            .collect(),
        certificates: certificates(source, raw.certificate)?,
        backup: backup(source, raw.backup)?,
        checks,
    })
}

/// A name that goes into names of looks and metrics.
pub(super) fn plain(source: &Source, key: &str, name: &str) -> Result<String, ConfigError> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if !name.is_empty() && name.len() <= 64 && name.bytes().all(fine) {
        return Ok(name.to_owned());
    }
    Err(source.error(
        key,
        (
            "may hold only 1 to 64 letters, digits and . _ -",
            "solo admite de 1 a 64 letras, dígitos y . _ -",
        ),
    ))
}

pub(super) fn secret(source: &Source, key: &str, name: &str) -> Result<Secret, ConfigError> {
    let places = secret_places(Path::new(SECRETS_FOLDER));
    secret_file(name, &places).map_err(|wrong| source.error(key, wrong))
}

fn certificates(
    source: &Source,
    raws: Vec<RawCertificate>,
) -> Result<Vec<WatchedCertificate>, ConfigError> {
    let one = |(index, raw): (usize, RawCertificate)| match (raw.url, raw.file) {
        (Some(url), None) if url.is_encrypted() => Ok(WatchedCertificate::Server(url)),
        (None, Some(file)) => Ok(WatchedCertificate::File(file)),
        _ => {
            let key = format!("certificate[{index}].url");
            Err(source.error(
                &key,
                (
                    "write either url = \"https://…\" or file = \"…\"",
                    "escriba url = \"https://…\" o file = \"…\", uno de los dos",
                ),
            ))
        }
    };
    raws.into_iter().enumerate().map(one).collect()
}

fn backup(source: &Source, raw: Option<RawBackup>) -> Result<WatchedBackup, ConfigError> {
    let usual = WatchedBackup::default();
    let Some(raw) = raw else {
        return Ok(usual);
    };
    let backup = WatchedBackup {
        verified_within: raw
            .verified_within
            .map_or(usual.verified_within, Into::into),
        warn_after: raw.warn_after.map_or(usual.warn_after, Into::into),
        overdue_after: raw.overdue_after.map_or(usual.overdue_after, Into::into),
    };
    if backup.warn_after > backup.overdue_after {
        let message = (
            "must not be shorter than warn_after",
            "no debe ser menor que warn_after",
        );
        return Err(source.error("backup.overdue_after", message));
    }
    Ok(backup)
}

/// The indicators of a web application on Apache, PHP and MariaDB, as XAMPP installs them. The
/// same table stands in the manual.
fn application(
    source: &Source,
    table: &str,
    raw: RawApplication,
) -> Result<Vec<Check>, ConfigError> {
    let Preset::Xampp = raw.preset;
    let tenant = raw.tenant.as_str();
    let make = |name: &str, sets, probe| Check {
        tenant: tenant.to_owned(),
        name: name.to_owned(),
        sets,
        every: EVERY,
        within: WITHIN,
        probe,
    };
    let page = |url: &Url, contains: Vec<String>, login_form| {
        Probe::Http(HttpProbe {
            url: url.clone(),
            status: 200,
            contains,
            lacks: Vec::new(),
            login_form,
            slow: SLOW,
            trust: Trust::default(),
        })
    };
    let web = TcpProbe {
        host: raw.url.host().to_owned(),
        port: raw.url.port(),
    };
    let contains = raw.contains.into_iter().collect();
    let mut checks = vec![
        make("apache", Sets::Down, Probe::Tcp(web)),
        make("php", Sets::Down, page(&raw.url, contains, false)),
    ];
    if let Some(url) = &raw.login_url {
        checks.push(make("login", Sets::Partial, page(url, Vec::new(), true)));
    }
    let named = raw.database.as_ref().and_then(|url| match url {
        StoreUrl::Mysql(url) => Some((url.host.clone(), url.port)),
        StoreUrl::Sqlite(_) => None,
    });
    let (host, port) = named.unwrap_or_else(|| (raw.url.host().to_owned(), 3306));
    let database = TcpProbe {
        host: raw.database_host.unwrap_or(host),
        port: raw.database_port.unwrap_or(port),
    };
    checks.push(make("mariadb", Sets::Down, Probe::Tcp(database)));
    if let Some(url) = raw.database {
        let key = format!("{table}.password_file");
        let password = raw.password_file.map(|name| secret(source, &key, &name));
        let query = SqlProbe {
            url,
            password: password.transpose()?,
            query: "SELECT 1".to_owned(),
            at_least: None,
            at_most: None,
        };
        checks.push(make("consulta", Sets::Down, Probe::Sql(query)));
    }
    Ok(checks)
}

fn check(source: &Source, table: &str, raw: RawCheck) -> Result<Check, ConfigError> {
    let key = |name: &str| format!("{table}.{name}");
    let every = raw.every.map_or(EVERY, Into::into);
    let within = raw.within.map_or(WITHIN, Into::into);
    if every < Duration::from_secs(5) {
        return Err(source.error(
            &key("every"),
            ("must be at least 5s", "debe ser de 5s o más"),
        ));
    }
    if within + Duration::from_secs(4) > every {
        let message = (
            "must be at least four seconds shorter than every",
            "debe ser al menos cuatro segundos menor que every",
        );
        return Err(source.error(&key("within"), message));
    }
    Ok(Check {
        tenant: raw.tenant.as_str().to_owned(),
        name: plain(source, &key("name"), &raw.name)?,
        sets: raw.sets.unwrap_or(Sets::Down),
        every,
        within,
        probe: probe(source, &key, raw)?,
    })
}

/// What is there, or an error that names the key that is not.
fn needed<T>(
    source: &Source,
    key: &dyn Fn(&str) -> String,
    name: &str,
    value: Option<T>,
) -> Result<T, ConfigError> {
    value.ok_or_else(|| {
        source.error(
            &key(name),
            (
                "is needed for this type of check",
                "hace falta para este tipo de revisión",
            ),
        )
    })
}

fn probe(
    source: &Source,
    key: &dyn Fn(&str) -> String,
    raw: RawCheck,
) -> Result<Probe, ConfigError> {
    Ok(match raw.kind {
        Type::Http => Probe::Http(http(source, key, raw)?),
        Type::Sql => Probe::Sql(sql(source, key, raw)?),
        Type::Tcp => Probe::Tcp(TcpProbe {
            host: needed(source, key, "host", raw.host)?,
            port: needed(source, key, "port", raw.port)?,
        }),
        Type::Process => Probe::Process(ProcessProbe {
            name: needed(source, key, "process", raw.process)?,
            at_least: 1,
        }),
        Type::FileAge => Probe::FileAge(FileAgeProbe {
            path: needed(source, key, "path", raw.path)?,
            at_most: needed(source, key, "older_than", raw.older_than)?.into(),
        }),
        Type::Command => {
            let program = raw.command.first().is_some_and(|it| it.starts_with('/'));
            if !program {
                let message = (
                    "must be a list that begins with the whole path of a program",
                    "debe ser una lista que empieza con la ruta completa de un programa",
                );
                return Err(source.error(&key("command"), message));
            }
            Probe::Command(CommandProbe {
                command: raw.command,
            })
        }
    })
}

fn http(
    source: &Source,
    key: &dyn Fn(&str) -> String,
    raw: RawCheck,
) -> Result<HttpProbe, ConfigError> {
    let url = needed(source, key, "url", raw.url)?.parse();
    let trust = raw.authorities.map(|path| {
        let pem = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        pem.and_then(|pem| Trust::with(&pem))
            .map_err(|why| source.error(&key("authorities"), &why))
    });
    Ok(HttpProbe {
        url: url.map_err(|why: fetch::BadUrl| {
            let es = "escriba http://servidor:puerto o https://servidor:puerto, con ruta si hace falta y sin contraseña";
            source.error(&key("url"), Said::new(why.to_string(), es))
        })?,
        status: raw.status.unwrap_or(200),
        contains: raw.contains,
        lacks: raw.lacks,
        login_form: raw.login_form,
        slow: raw.slow.map_or(SLOW, Into::into),
        trust: trust.transpose()?.unwrap_or_default(),
    })
}

fn sql(
    source: &Source,
    key: &dyn Fn(&str) -> String,
    raw: RawCheck,
) -> Result<SqlProbe, ConfigError> {
    let url = needed(source, key, "url", raw.url)?;
    let url = url.parse::<StoreUrl>();
    let query = needed(source, key, "query", raw.query)?;
    let word = query
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase();
    if !matches!(word.as_str(), "SELECT" | "SHOW" | "WITH") || query.contains(';') {
        let message = (
            "must be one SELECT or SHOW, without a semicolon",
            "debe ser un solo SELECT o SHOW, sin punto y coma",
        );
        return Err(source.error(&key("query"), message));
    }
    let password = raw
        .password_file
        .map(|name| secret(source, &key("password_file"), &name));
    Ok(SqlProbe {
        url: url.map_err(|why| source.error(&key("url"), &why.to_string()))?,
        password: password.transpose()?,
        query,
        at_least: raw.at_least,
        at_most: raw.at_most,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn read(text: &str) -> Result<Looks, ConfigError> {
        Config::read(&Source::new("sentinel.toml", text)).map(|config| config.looks)
    }

    #[test]
    fn every_table_of_the_looks_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "0123456789abcdef\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        std::fs::set_permissions(&token, mode).unwrap();
        let text = format!(
            r#"
[host]
name = "vm1"
disks = ["/"]
[[agent]]
name = "db1"
token_file = "{}"
[[peer]]
name = "s2"
health_url = "https://s2.example.mx/healthz"
[[certificate]]
url = "https://a.example.mx"
[[certificate]]
file = "/etc/ssl/a.pem"
[backup]
warn_after = "100m"
[[application]]
tenant = "acme"
preset = "xampp"
url = "https://acme.example.mx"
login_url = "https://acme.example.mx/login.php"
[[check]]
tenant = "acme"
name = "sesiones"
type = "sql"
url = "mysql://ro@127.0.0.1/app"
query = "SELECT COUNT(*) FROM sesion"
at_most = 500
sets = "partial"
[[check]]
tenant = "acme"
name = "plugin"
type = "command"
command = ["/usr/lib/nagios/plugins/check_load", "-w", "5"]
"#,
            token.display()
        );
        let looks = read(&text).unwrap();
        assert_eq!(
            (
                looks.agents.len(),
                looks.peers.len(),
                looks.certificates.len()
            ),
            (1, 1, 2)
        );
        let names: Vec<_> = looks
            .checks
            .iter()
            .map(|it| (it.name.as_str(), it.sets))
            .collect();
        let wanted = [
            ("apache", Sets::Down),
            ("php", Sets::Down),
            ("login", Sets::Partial),
            ("mariadb", Sets::Down),
            ("sesiones", Sets::Partial),
            ("plugin", Sets::Down),
        ];
        assert_eq!(names, wanted);
        assert_eq!(looks.backup.overdue_after, Duration::from_secs(10_800));
    }

    #[test]
    fn whatever_is_wrong_in_them_is_told_with_line_and_key() {
        let check = |rest: &str| format!("[[check]]\ntenant='a'\nname='n'\n{rest}");
        for (text, expected) in [
            (check("type='http'\n"), "key 'url' in [[check]]: is needed"),
            (
                check("type='tcp'\nhost='a'\n"),
                "key 'port' in [[check]]: is needed",
            ),
            (
                check("type='sql'\nurl='mysql://u@h/d'\nquery='DELETE FROM x'\n"),
                "must be one SELECT",
            ),
            (
                check("type='sql'\nurl='mysql://u@h/d'\nquery='SELECT 1; DROP TABLE x'\n"),
                "semicolon",
            ),
            (
                check("type='sql'\nurl='mysql://u:hunter2@h/d'\nquery='SELECT 1'\n"),
                "password_file",
            ),
            (check("type='command'\ncommand=['ls']\n"), "whole path"),
            (
                check("type='process'\nprocess='x'\nevery='1s'\n"),
                "at least 5s",
            ),
            (
                check("type='process'\nprocess='x'\nwithin='60s'\n"),
                "shorter than every",
            ),
            (check("type='ping'\n"), "unknown word 'ping'"),
            (
                format!("{0}{0}", check("type='process'\nprocess='x'\n")),
                "has this name",
            ),
            ("[[certificate]]\nurl='http://a'\n".to_owned(), "either url"),
            ("[backup]\nwarn_after='5h'\n".to_owned(), "overdue_after"),
            ("[host]\nname='a b'\n".to_owned(), "letters, digits"),
        ] {
            let told = read(&text).unwrap_err().to_string();
            assert!(told.contains(expected), "{told}\nshould hold {expected}");
            assert!(
                told.starts_with("sentinel.toml:") && !told.contains("hunter2"),
                "{told}"
            );
        }
    }
}
