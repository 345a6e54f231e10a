//! The file as it is written: the keys that exist, their defaults, and every check.
//!
//! The types here mirror the TOML one to one and are thrown away after the checks. A key that
//! is not named here is an error; a value that passes here is never doubted later.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::{
    ConfigError, Said, Secret, Source, Span, StoreUrl, secret_file, secret_places,
};
use event::{Serial, TenantId};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, civil};
use notify::{Language, Recipient};
use serde::Deserialize;

use super::canaries::{RawBrokerCanary, RawCanaries};
use super::promises::{self, RawPromises};
use super::round_trip::{self, RawRoundTrip};
use super::{Config, Contact, Level, Mail, Relay, SECRETS_FOLDER, Watch, WatchedStore, Webhook};
use super::{agents, looks};
use crate::calendar::{BadHoliday, Calendar, Holidays, Hours};

/// State folder of an installed package.
const DEFAULT_STATE: &str = "/var/lib/sentinel";
/// When levels are told that name no time: the customer's plan.
const AFTER: [u64; 3] = [0, 15, 45];
/// Most levels.
const LEVELS: usize = 9;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    state_dir: Option<PathBuf>,
    name: Option<String>,
    language: Option<RawLanguage>,
    time_zone: Option<String>,
    public_url: Option<String>,
    heartbeat_url: Option<String>,
    daily_mail: Option<String>,
    recovered_after: Option<Span>,
    #[serde(default = "yes")]
    mexican_holidays: bool,
    #[serde(default)]
    holidays: Vec<String>,
    #[serde(default)]
    working_days: Vec<String>,
    #[serde(default)]
    listen: RawListen,
    #[serde(default)]
    watch: RawWatch,
    mail: Option<RawMail>,
    #[serde(default)]
    webhook: Vec<RawWebhook>,
    #[serde(default)]
    level: Vec<RawLevel>,
    #[serde(default)]
    promise: RawPromises,
    #[serde(default)]
    host: looks::RawHost,
    #[serde(default)]
    agent: Vec<agents::RawAgent>,
    #[serde(default)]
    peer: Vec<looks::RawPeer>,
    #[serde(default)]
    certificate: Vec<looks::RawCertificate>,
    backup: Option<looks::RawBackup>,
    #[serde(default)]
    application: Vec<looks::RawApplication>,
    #[serde(default)]
    check: Vec<looks::RawCheck>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RawLanguage {
    Es,
    En,
}

impl From<RawLanguage> for Language {
    fn from(raw: RawLanguage) -> Self {
        match raw {
            RawLanguage::Es => Self::Spanish,
            RawLanguage::En => Self::English,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawListen {
    admin: Option<SocketAddr>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawWatch {
    satellite_admin: Option<String>,
    satellite_unit: Option<String>,
    #[serde(default)]
    restart: bool,
    #[serde(default)]
    terminal_url: Vec<RawTerminalUrl>,
    #[serde(default)]
    store: Vec<RawStore>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTerminalUrl {
    url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStore {
    tenant: TenantId,
    name: Option<String>,
    url: StoreUrl,
    password_file: Option<String>,
    canary: Option<Serial>,
    hikvision_canary_file: Option<String>,
    ingest_canary_file: Option<String>,
    mqtt_canary: Option<RawBrokerCanary>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMail {
    from: String,
    #[serde(default)]
    relays: Vec<String>,
    user: Option<String>,
    password_file: Option<String>,
    #[serde(default)]
    relay: Vec<RawRelay>,
    round_trip: Option<RawRoundTrip>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRelay {
    url: String,
    user: Option<String>,
    password_file: Option<String>,
    authorities: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    name: String,
    url: Option<String>,
    url_file: Option<String>,
    key_file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLevel {
    name: Option<String>,
    after: Option<Span>,
    to: Vec<RawContact>,
    hours: Option<String>,
    time_zone: Option<String>,
    #[serde(default)]
    closed_on_holidays: bool,
    #[serde(default = "yes")]
    critical_any_time: bool,
    #[serde(default)]
    only_critical: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawContact {
    address: Option<String>,
    webhook: Option<String>,
    name: Option<String>,
    language: Option<RawLanguage>,
    phone: Option<String>,
}

fn yes() -> bool {
    true
}

/// Reads the text, fills in the defaults and checks everything.
pub(super) fn checked(source: &Source) -> Result<Config, ConfigError> {
    let file: File = source.parse()?;
    let defaults = Config::in_folder(Path::new(DEFAULT_STATE));
    let zone = file
        .time_zone
        .map(|name| zone(source, "time_zone", &name))
        .transpose()?
        .unwrap_or(defaults.zone);
    let language = file.language.map_or(defaults.language, Into::into);
    let public_url = file
        .public_url
        .map(|url| http(source, "public_url", &url))
        .transpose()?;
    let heartbeat_url = file
        .heartbeat_url
        .map(|url| http(source, "heartbeat_url", &url))
        .transpose()?;
    let daily_mail = file
        .daily_mail
        .map(|text| time_of_day(source, "daily_mail", &text))
        .transpose()?;
    let raw = looks::Raw {
        host: file.host,
        agent: file.agent,
        peer: file.peer,
        certificate: file.certificate,
        backup: file.backup,
        application: file.application,
        check: file.check,
    };
    let looks = looks::checked(source, raw)?;
    let webhooks = webhooks(source, file.webhook)?;
    let (days, working) = (&file.holidays, &file.working_days);
    let holidays = holidays(source, file.mexican_holidays, days, working)?;
    let common = Common {
        zone: &zone,
        language,
        holidays: &holidays,
        webhooks: &webhooks,
    };
    let levels = levels(source, file.level, &common)?;
    let mail = file.mail.map(|raw| mail(source, raw)).transpose()?;
    by_mail_needs_mail(source, &levels, mail.is_some())?;
    Ok(Config {
        file: None,
        state_dir: file.state_dir.unwrap_or(defaults.state_dir),
        name: file.name.unwrap_or(defaults.name),
        language,
        zone,
        public_url,
        holidays,
        admin: file.listen.admin.unwrap_or(defaults.admin),
        watch: watch(source, file.watch)?,
        mail,
        webhooks,
        levels,
        promises: promises::checked(source, file.promise)?,
        heartbeat_url,
        looks,
        recovered_after: recovered_after(source, file.recovered_after)?
            .unwrap_or(defaults.recovered_after),
        daily_mail,
    })
}

fn zone(source: &Source, key: &str, name: &str) -> Result<TimeZone, ConfigError> {
    TimeZone::get(name).map_err(|_| {
        let message = (
            "is no IANA time zone; write for example \"America/Mexico_City\"",
            "no es una zona horaria IANA; escriba por ejemplo \"America/Mexico_City\"",
        );
        source.error(key, message)
    })
}

/// An address without a slash at its end.
fn http(source: &Source, key: &str, url: &str) -> Result<String, ConfigError> {
    let host = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let fine = host.is_some_and(|host| {
        let graphic = host.bytes().all(|byte| byte.is_ascii_graphic());
        !host.is_empty() && !host.contains('@') && graphic
    });
    if fine {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let message = (
        "write http://host:port or https://host:port, without a password",
        "escriba http://servidor:puerto o https://servidor:puerto, sin contraseña",
    );
    Err(source.error(key, message))
}

/// Shorter, and whatever flickers is told again and again; longer, and nobody hears in time that
/// it is over.
fn recovered_after(
    source: &Source,
    span: Option<Span>,
) -> Result<Option<SignedDuration>, ConfigError> {
    let Some(span) = span else { return Ok(None) };
    let wrong = || {
        let message = ("must be from 10s to 30m", "debe ser de 10s a 30m");
        source.error("recovered_after", message)
    };
    let span = SignedDuration::try_from(Duration::from(span)).map_err(|_| wrong())?;
    let fine = SignedDuration::from_secs(10)..=SignedDuration::from_mins(30);
    fine.contains(&span).then_some(Some(span)).ok_or_else(wrong)
}

fn time_of_day(source: &Source, key: &str, text: &str) -> Result<civil::Time, ConfigError> {
    let wrong = || {
        let message = (
            "is no time of day; write for example \"08:30\"",
            "no es una hora del día; escriba por ejemplo \"08:30\"",
        );
        source.error(key, message)
    };
    civil::Time::strptime("%H:%M", text).map_err(|_| wrong())
}

fn holidays(
    source: &Source,
    mexican: bool,
    days: &[String],
    working: &[String],
) -> Result<Holidays, ConfigError> {
    let start = if mexican {
        Holidays::mexico()
    } else {
        Holidays::none()
    };
    let add = |all: Holidays, day: &String| {
        let wrong = |error: BadHoliday| source.error("holidays", no_holiday(&error));
        all.with(day).map_err(wrong)
    };
    let all = days.iter().try_fold(start, add)?;
    let take = |all: Holidays, day: &String| {
        let wrong = |error: BadHoliday| source.error("working_days", no_holiday(&error));
        all.without(day).map_err(wrong)
    };
    working.iter().try_fold(all, take)
}

fn no_holiday(error: &BadHoliday) -> Said {
    let es = format!(
        "`{}` no es un día; escriba AAAA-MM-DD, o MM-DD para cada año",
        error.0
    );
    Said::new(error.to_string(), es)
}

/// A secret from its file; errors name the key.
pub(super) fn secret(source: &Source, key: &str, name: &str) -> Result<Secret, ConfigError> {
    let places = secret_places(Path::new(SECRETS_FOLDER));
    secret_file(name, &places).map_err(|wrong| source.error(key, wrong))
}

fn watch(source: &Source, raw: RawWatch) -> Result<Watch, ConfigError> {
    let satellite_admin = raw
        .satellite_admin
        .map(|url| http(source, "watch.satellite_admin", &url))
        .transpose()?;
    if let Some(unit) = &raw.satellite_unit {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"@._-:\\".contains(&b);
        if unit.is_empty() || unit.starts_with('-') || !unit.bytes().all(plain) {
            return Err(source.error(
                "watch.satellite_unit",
                (
                    "is no name of a systemd unit",
                    "no es el nombre de una unidad de systemd",
                ),
            ));
        }
    }
    let address = |(index, raw): (usize, RawTerminalUrl)| {
        http(
            source,
            &format!("watch.terminal_url[{index}].url"),
            &raw.url,
        )
    };
    let terminal_urls = raw.terminal_url.into_iter().enumerate().map(address);
    Ok(Watch {
        satellite_admin,
        satellite_unit: raw.satellite_unit,
        restart: raw.restart,
        terminal_urls: terminal_urls.collect::<Result<_, _>>()?,
        stores: stores(source, raw.store)?,
    })
}

fn stores(source: &Source, raws: Vec<RawStore>) -> Result<Vec<WatchedStore>, ConfigError> {
    let mut stores: Vec<WatchedStore> = Vec::with_capacity(raws.len());
    for (index, raw) in raws.into_iter().enumerate() {
        let key = |key: &str| format!("watch.store[{index}].{key}");
        let tenant = raw.tenant.as_str().to_owned();
        if stores.iter().any(|known| known.tenant == tenant) {
            return Err(source.error(
                &key("tenant"),
                (
                    "another [[watch.store]] has this tenant",
                    "otro [[watch.store]] tiene este cliente",
                ),
            ));
        }
        if matches!(raw.url, StoreUrl::Sqlite(_)) && raw.password_file.is_some() {
            let message = (
                "a SQLite file has no password; take the key out",
                "un archivo SQLite no lleva contraseña; quite la clave",
            );
            return Err(source.error(&key("password_file"), message));
        }
        let password = raw.password_file.as_deref();
        let password = password.map(|file| secret(source, &key("password_file"), file));
        let canaries = RawCanaries {
            zkteco: raw.canary,
            hikvision_file: raw.hikvision_canary_file,
            ingest_file: raw.ingest_canary_file,
            broker: raw.mqtt_canary,
        };
        stores.push(WatchedStore {
            name: raw.name.unwrap_or_else(|| tenant.clone()),
            password: password.transpose()?,
            canaries: canaries.checked(source, &key)?,
            url: raw.url,
            tenant,
        });
    }
    Ok(stores)
}

fn mail(source: &Source, raw: RawMail) -> Result<Mail, ConfigError> {
    notify::Sender::new(&raw.from, "")
        .map_err(|error| source.error("mail.from", no_address(&error)))?;
    let common = login(source, "mail", raw.user, raw.password_file)?;
    let mut relays = Vec::new();
    for url in raw.relays {
        check_relay(source, "mail.relays", &url)?;
        relays.push(Relay {
            url,
            login: common.clone(),
            authorities: None,
        });
    }
    for (index, raw) in raw.relay.into_iter().enumerate() {
        let table = format!("mail.relay[{index}]");
        check_relay(source, &format!("{table}.url"), &raw.url)?;
        let authorities = raw.authorities.map(|path| {
            let key = format!("{table}.authorities");
            std::fs::read_to_string(&path).map_err(|error| source.error(&key, &error.to_string()))
        });
        relays.push(Relay {
            login: login(source, &table, raw.user, raw.password_file)?,
            authorities: authorities.transpose()?,
            url: raw.url,
        });
    }
    if relays.is_empty() {
        return Err(source.error(
            "mail.relays",
            (
                "must list at least one relay",
                "debe nombrar al menos un servidor de correo",
            ),
        ));
    }
    let round_trip = raw.round_trip.map(|raw| round_trip::checked(source, raw));
    Ok(Mail {
        from: raw.from,
        relays,
        round_trip: round_trip.transpose()?,
    })
}

pub(super) fn login(
    source: &Source,
    table: &str,
    user: Option<String>,
    file: Option<String>,
) -> Result<Option<(String, Secret)>, ConfigError> {
    match (user, file) {
        (None, None) => Ok(None),
        (Some(user), Some(file)) => {
            let secret = secret(source, &format!("{table}.password_file"), &file)?;
            Ok(Some((user, secret)))
        }
        (Some(_), None) => Err(source.error(
            &format!("{table}.user"),
            ("needs a password_file", "necesita password_file"),
        )),
        (None, Some(_)) => Err(source.error(
            &format!("{table}.password_file"),
            ("needs a user", "necesita user"),
        )),
    }
}

fn check_relay(source: &Source, key: &str, url: &str) -> Result<(), ConfigError> {
    let relay = notify::SmtpRelay::new(url);
    relay
        .map(|_| ())
        .map_err(|error| {
            let es = "no se puede usar; escriba smtp://servidor:puerto o smtps://servidor:puerto, sin contraseña";
            source.error(key, Said::new(error.to_string(), es))
        })
}

pub(super) fn no_address(error: &notify::Error) -> Said {
    let es = "no es una dirección a la que se pueda escribir; por ejemplo soporte@example.mx";
    Said::new(error.to_string(), es)
}

fn webhooks(source: &Source, raws: Vec<RawWebhook>) -> Result<Vec<Webhook>, ConfigError> {
    let mut hooks: Vec<Webhook> = Vec::with_capacity(raws.len());
    for (index, raw) in raws.into_iter().enumerate() {
        let key = |key: &str| format!("webhook[{index}].{key}");
        if hooks.iter().any(|known| known.name == raw.name) {
            return Err(source.error(
                &key("name"),
                (
                    "another [[webhook]] has this name",
                    "otro [[webhook]] tiene este nombre",
                ),
            ));
        }
        let url = match (raw.url, raw.url_file) {
            (Some(url), None) => Secret::new(url),
            (None, Some(file)) => secret(source, &key("url_file"), &file)?,
            _ => {
                return Err(source.error(
                    &key("url"),
                    (
                        "write either url or url_file",
                        "escriba url o url_file, uno de los dos",
                    ),
                ));
            }
        };
        let secret = secret(source, &key("key_file"), &raw.key_file)?;
        let hook = notify::Webhook::new(&raw.name, url.expose(), secret.clone());
        hook.map_err(|error| {
            let es =
                "no se puede usar; escriba una dirección https:// completa y un nombre sencillo";
            source.error(&key("url"), Said::new(error.to_string(), es))
        })?;
        hooks.push(Webhook {
            name: raw.name,
            url,
            key: secret,
        });
    }
    Ok(hooks)
}

/// What levels take from the rest of the file.
struct Common<'a> {
    zone: &'a TimeZone,
    language: Language,
    holidays: &'a Holidays,
    webhooks: &'a [Webhook],
}

fn levels(
    source: &Source,
    raws: Vec<RawLevel>,
    common: &Common<'_>,
) -> Result<Vec<Level>, ConfigError> {
    if raws.len() > LEVELS {
        return Err(source.error(
            "level",
            (
                "there are at most nine levels",
                "hay lugar para nueve niveles",
            ),
        ));
    }
    let mut levels: Vec<Level> = Vec::with_capacity(raws.len());
    for (index, raw) in raws.into_iter().enumerate() {
        let key = |key: &str| format!("level[{index}].{key}");
        let usual = AFTER.get(index).copied().or_else(|| AFTER.last().copied());
        let usual = Duration::from_secs(60 * usual.unwrap_or_default());
        let after = raw.after.map_or(usual, Into::into);
        if levels.last().is_some_and(|before| before.after > after) {
            return Err(source.error(
                &key("after"),
                (
                    "must not be earlier than the level before",
                    "no debe ser menor que el del nivel anterior",
                ),
            ));
        }
        if raw.to.is_empty() {
            return Err(source.error(
                &key("to"),
                (
                    "must name at least one contact",
                    "debe nombrar al menos un contacto",
                ),
            ));
        }
        let own_zone = raw
            .time_zone
            .map(|name| zone(source, &key("time_zone"), &name));
        let own_zone = own_zone.transpose()?.unwrap_or_else(|| common.zone.clone());
        let hours = raw.hours.map(|text| hours_of(source, &key("hours"), &text));
        let hours = hours.transpose()?.unwrap_or_else(Hours::always);
        let holidays = match raw.closed_on_holidays {
            true => common.holidays.clone(),
            false => Holidays::none(),
        };
        let contact = |raw| contact(source, &key("to"), raw, common.language, common.webhooks);
        levels.push(Level {
            name: raw
                .name
                .unwrap_or_else(|| usual_name(common.language, index + 1)),
            after,
            to: raw.to.into_iter().map(contact).collect::<Result<_, _>>()?,
            calendar: Calendar::new(hours, holidays, own_zone),
            critical_any_time: raw.critical_any_time,
            only_critical: raw.only_critical,
        });
    }
    Ok(levels)
}

fn hours_of(source: &Source, key: &str, text: &str) -> Result<Hours, ConfigError> {
    text.parse::<Hours>().map_err(|error| {
        let es = format!(
            "`{}` no es un horario; escriba por ejemplo `Mon-Fri 09:00-14:00, 15:00-18:30; Sat 09:00-13:00`",
            error.piece
        );
        source.error(key, Said::new(error.to_string(), es))
    })
}

fn usual_name(language: Language, number: usize) -> String {
    match language {
        Language::Spanish => format!("Nivel de atención {number}"),
        Language::English => format!("Attention level {number}"),
    }
}

fn contact(
    source: &Source,
    key: &str,
    raw: RawContact,
    language: Language,
    webhooks: &[Webhook],
) -> Result<Contact, ConfigError> {
    let to = match (&raw.address, &raw.webhook) {
        (Some(address), None) => Recipient::mail(address),
        (None, Some(name)) if webhooks.iter().all(|hook| hook.name != *name) => {
            let shown = notify::text::short(name, 40);
            let message = Said::new(
                format!("there is no [[webhook]] with the name '{shown}'"),
                format!("no hay ningún [[webhook]] con el nombre '{shown}'"),
            );
            return Err(source.error(key, message));
        }
        (None, Some(name)) => Recipient::webhook(name),
        _ => {
            return Err(source.error(
                key,
                (
                    "each contact has either an address or a webhook",
                    "cada contacto lleva address o webhook, uno de los dos",
                ),
            ));
        }
    };
    Ok(Contact {
        name: raw.name,
        to: to.map_err(|error| source.error(key, no_address(&error)))?,
        language: raw.language.map_or(language, Into::into),
        phone: raw.phone,
    })
}

/// Contacts by mail without a way for mail would be promises that nobody keeps.
fn by_mail_needs_mail(source: &Source, levels: &[Level], has: bool) -> Result<(), ConfigError> {
    let mut contacts = levels.iter().flat_map(|level| &level.to);
    if !has && contacts.any(|contact| contact.to.channel() == notify::Channel::Mail) {
        return Err(source.error(
            "mail",
            (
                "levels name mail addresses, so [mail] with from and relays is needed",
                "los niveles nombran direcciones de correo: hace falta [mail] con from y relays",
            ),
        ));
    }
    Ok(())
}
