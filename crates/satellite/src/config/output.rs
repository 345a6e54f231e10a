//! `[[output]]`, and `forward_to` of a `[[tenant]]`: where stored events are carried to.
//!
//! Everything that can be told about an output without speaking to its receiver is checked here:
//! that its tenant exists, that its name is its own, that what is signed is signed with a key worth
//! the name, and that personal data does not leave over plain HTTP. Nothing here connects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::{
    ConfigError, Said, Secret, Source, Span, StoreUrl, secret_file, secret_places,
};
use event::{Kind, TenantId};
use fetch::Url;
use serde::de::{Error as _, IntoDeserializer as _};
use serde::{Deserialize, Deserializer};

use super::broker::{self, Broker, RawBroker, RawLink};
use super::columns::{self, RawTable, Table};
use super::edge::NEVER;
use super::{Edge, SECRETS_FOLDER, Tenant};

/// Events in one delivery unless told otherwise.
const BATCH: usize = 100;
/// Most events in one delivery.
const BATCH_MAX: usize = 1_000;
/// How long an event is tried unless told otherwise.
const GIVE_UP_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// An event is tried at least so long: a receiver that is being updated is no reason.
const GIVE_UP_LEAST: Duration = Duration::from_secs(3600);
/// A day's file is made anew at most so often unless told otherwise.
const ANEW: Duration = Duration::from_secs(3600);
const ANEW_LEAST: Duration = Duration::from_secs(1);
const ANEW_MOST: Duration = Duration::from_secs(86_400);
/// Shortest key of a signature, in bytes.
const KEY_LEAST: usize = 16;

/// `[[output]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name in commands, metrics and the database; unique.
    pub name: String,
    /// Whose events it gets.
    pub tenant: TenantId,
    /// Events of these kinds; empty for all.
    pub kinds: Vec<Kind>,
    /// Most events in one delivery.
    pub batch: usize,
    /// Longest that an event is tried before it goes to the dead letters.
    pub give_up_after: Duration,
    /// A new output begins with the first event that is stored, not with the next one.
    pub from_start: bool,
    /// Where they go.
    pub to: Receiver,
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    /// Signed posts.
    Webhook(Hook),
    /// Messages to a broker.
    Mqtt(Broker),
    /// A table of another program.
    Table(Table),
    /// The program that ran before, which gets records as terminals upload them.
    Forward(Old),
    /// The satellite that this one is an edge of.
    Edge(Edge),
    /// A file for each day.
    Folder(Daily),
}

impl Receiver {
    /// The word of the configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Mqtt(_) => "mqtt",
            Self::Table(_) => "table",
            Self::Forward(_) => "forward",
            Self::Edge(_) => "edge",
            Self::Folder(_) => "folder",
        }
    }

    /// What it is, for people; without what an address may hold of secrets.
    pub fn place(&self) -> String {
        match self {
            Self::Webhook(hook) => format!("{}:{}", hook.url.host(), hook.url.port()),
            Self::Mqtt(broker) => broker.link.place(),
            Self::Table(table) => format!("{} {}", table.target, table.name),
            Self::Forward(old) => format!("{}:{}", old.url.host(), old.url.port()),
            Self::Edge(edge) => format!("{}:{}", edge.to.host(), edge.to.port()),
            Self::Folder(daily) => daily.folder.display().to_string(),
        }
    }
}

/// Where signed posts go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The address.
    pub url: Url,
    /// The key of the signature.
    pub key: Secret,
    /// It may be in an inner network.
    pub allow_internal: bool,
}

/// The program that ran before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Old {
    /// Where it took what terminals send.
    pub url: Url,
    /// It may be in an inner network, and is spoken to in plain HTTP.
    pub allow_internal: bool,
}

/// A file for each day, in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daily {
    /// The folder.
    pub folder: PathBuf,
    /// How the files are written.
    pub format: Format,
    /// A file is made anew for late records at most so often.
    pub every: Duration,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For spreadsheets.
    #[default]
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    /// The word of the configuration, and the end of the files' names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// An address of either sort; which one is needed, the kind says.
pub(super) enum Address {
    Web(Url),
    Database(StoreUrl),
    Broker(Url),
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_database = ["mysql:", "sqlite:"].iter().any(|it| text.starts_with(it));
        if let Some(broker) = Url::of_broker(&text) {
            broker.map(Self::Broker).map_err(D::Error::custom)
        } else if is_database {
            StoreUrl::deserialize(text.into_deserializer()).map(Self::Database)
        } else {
            Url::deserialize(text.into_deserializer()).map(Self::Web)
        }
    }
}

impl Address {
    fn web(self) -> Option<Url> {
        match self {
            Self::Web(url) => Some(url),
            Self::Database(_) | Self::Broker(_) => None,
        }
    }

    fn database(self) -> Option<StoreUrl> {
        match self {
            Self::Web(_) | Self::Broker(_) => None,
            Self::Database(url) => Some(url),
        }
    }

    pub(super) fn broker(self) -> Option<Url> {
        match self {
            Self::Web(_) | Self::Database(_) => None,
            Self::Broker(url) => Some(url),
        }
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutput {
    name: TenantId,
    tenant: TenantId,
    kind: RawKind,
    url: Option<Address>,
    secret_file: Option<String>,
    #[serde(default)]
    allow_internal: bool,
    password_file: Option<String>,
    user: Option<String>,
    topic: Option<String>,
    state_topic: Option<String>,
    status_topic: Option<String>,
    client_id: Option<String>,
    ca_file: Option<String>,
    table: Option<String>,
    #[serde(default)]
    columns: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    kinds: Vec<String>,
    folder: Option<PathBuf>,
    format: Option<Format>,
    every: Option<Span>,
    batch: Option<usize>,
    give_up_after: Option<Span>,
    #[serde(default)]
    from: RawFrom,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Webhook,
    Mqtt,
    Table,
    Folder,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum RawFrom {
    #[default]
    Now,
    Start,
}

/// Where a mistake stands.
pub(super) struct Place<'a> {
    source: &'a Source,
    table: &'static str,
    index: usize,
}

impl<'a> Place<'a> {
    /// The output of that number.
    pub(super) fn of(source: &'a Source, index: usize) -> Self {
        Self::in_table(source, "output", index)
    }

    /// The table of that name and number.
    pub(super) fn in_table(source: &'a Source, table: &'static str, index: usize) -> Self {
        Self {
            source,
            table,
            index,
        }
    }

    /// A mistake at one of its keys.
    pub(super) fn wrong(&self, key: &str, said: impl Into<Said>) -> ConfigError {
        self.source
            .error(&format!("{}[{}].{key}", self.table, self.index), said)
    }
}

/// Checks the tables.
pub(super) fn checked(
    source: &Source,
    raw: Vec<RawOutput>,
    tenants: &[Tenant],
) -> Result<Vec<Output>, ConfigError> {
    let mut outputs: Vec<Output> = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let place = Place::of(source, index);
        if outputs.iter().any(|known| known.name == raw.name.as_str()) {
            let said = (
                "another output has this name already",
                "otra salida ya tiene este nombre",
            );
            return Err(place.wrong("name", said));
        }
        outputs.push(one(&place, raw, tenants)?);
    }
    for tenant in tenants {
        if let Some(old) = &tenant.forward {
            let forward = forward(source, &tenant.id, old, &outputs)?;
            outputs.push(forward);
        }
    }
    Ok(outputs)
}

/// The output of a tenant's `forward_to`. It begins with the next event: what came before, the old
/// program has.
fn forward(
    source: &Source,
    tenant: &TenantId,
    old: &Old,
    outputs: &[Output],
) -> Result<Output, ConfigError> {
    let name = format!("forward-{tenant}");
    if TenantId::new(&name).is_err() {
        let said = (
            "forward_to wants an id of at most 56 characters",
            "forward_to pide un id de 56 caracteres a lo más",
        );
        return Err(source.error("tenant", said));
    }
    if let Some(index) = outputs.iter().position(|known| known.name == name) {
        let said = (
            "this is the name of what forward_to of a tenant makes",
            "así se llama la salida que hace forward_to de un cliente",
        );
        return Err(Place::of(source, index).wrong("name", said));
    }
    Ok(Output {
        name,
        tenant: tenant.clone(),
        kinds: Vec::new(),
        batch: BATCH,
        give_up_after: GIVE_UP_AFTER,
        from_start: false,
        to: Receiver::Forward(old.clone()),
    })
}

/// Checks `forward_to` of a tenant.
pub(super) fn old(
    source: &Source,
    table: &str,
    (url, allow_internal): (Option<Url>, bool),
) -> Result<Option<Old>, ConfigError> {
    let wrong = |key: &str, said: (&str, &str)| source.error(&format!("{table}.{key}"), said);
    let Some(url) = url else {
        let said = (
            "stands without forward_to beside it",
            "está sin un forward_to a su lado",
        );
        let alone = allow_internal.then(|| wrong("forward_allow_internal", said));
        return alone.map_or(Ok(None), Err);
    };
    if !url.is_encrypted() && !allow_internal {
        let said = (
            "must begin with https://; http:// and inner networks need forward_allow_internal = true",
            "debe empezar con https://; http:// y las redes internas necesitan forward_allow_internal = true",
        );
        return Err(wrong("forward_to", said));
    }
    if url.path() != "/" {
        let said = (
            "terminals add their own path; write http://host:port",
            "los dispositivos ponen su propia ruta; escriba http://host:puerto",
        );
        return Err(wrong("forward_to", said));
    }
    Ok(Some(Old {
        url,
        allow_internal,
    }))
}

fn one(place: &Place<'_>, raw: RawOutput, tenants: &[Tenant]) -> Result<Output, ConfigError> {
    let tenant = tenants.iter().find(|tenant| tenant.id == raw.tenant);
    let tenant = tenant.ok_or_else(|| {
        let said = (
            "no [[tenant]] has this id",
            "ningún [[tenant]] tiene este id",
        );
        place.wrong("tenant", said)
    })?;
    unasked(place, &raw)?;
    let kinds = kinds(place, &raw.kinds)?;
    let batch @ 1..=BATCH_MAX = raw.batch.unwrap_or(BATCH) else {
        let said = ("must be from 1 to 1000", "debe ser de 1 a 1000");
        return Err(place.wrong("batch", said));
    };
    let give_up_after = raw.give_up_after.map_or(GIVE_UP_AFTER, Duration::from);
    if give_up_after < GIVE_UP_LEAST {
        let said = ("must be at least 1h", "debe ser al menos 1h");
        return Err(place.wrong("give_up_after", said));
    }
    let give_up_after = match raw.kind {
        RawKind::Folder => NEVER,
        RawKind::Webhook | RawKind::Mqtt | RawKind::Table => give_up_after,
    };
    let to = match raw.kind {
        RawKind::Folder => Receiver::Folder(daily(place, raw.folder, raw.format, raw.every)?),
        RawKind::Webhook => Receiver::Webhook(hook(
            place,
            raw.url.and_then(Address::web),
            raw.secret_file.as_deref(),
            raw.allow_internal,
        )?),
        RawKind::Mqtt => {
            let link = RawLink {
                url: raw.url.and_then(Address::broker),
                user: raw.user,
                password_file: raw.password_file,
                client_id: raw.client_id,
                ca_file: raw.ca_file,
                allow_internal: raw.allow_internal,
                own_id: format!("satellite-{}-{}", raw.tenant, raw.name),
            };
            let raw = RawBroker {
                link,
                topic: raw.topic,
                state_topic: raw.state_topic,
                status_topic: raw.status_topic,
            };
            Receiver::Mqtt(broker::checked(place, raw)?)
        }
        RawKind::Table => {
            let raw = RawTable {
                url: raw.url.and_then(Address::database),
                password_file: raw.password_file,
                table: raw.table,
                columns: raw.columns,
            };
            Receiver::Table(columns::checked(place, raw, &tenant.zone)?)
        }
    };
    Ok(Output {
        name: raw.name.to_string(),
        tenant: raw.tenant,
        kinds,
        batch,
        give_up_after,
        from_start: raw.from == RawFrom::Start,
        to,
    })
}

/// Whether the folder is there is no matter of the configuration: it may be mounted later.
fn daily(
    place: &Place<'_>,
    folder: Option<PathBuf>,
    format: Option<Format>,
    every: Option<Span>,
) -> Result<Daily, ConfigError> {
    let folder = folder
        .filter(|folder| folder.is_absolute())
        .ok_or_else(|| {
            let said = (
                "wants a whole path, for example /var/lib/satellite/daily",
                "pide una ruta completa, por ejemplo /var/lib/satellite/diario",
            );
            place.wrong("folder", said)
        })?;
    let every = every.map_or(ANEW, Duration::from);
    if !(ANEW_LEAST..=ANEW_MOST).contains(&every) {
        let said = ("must be from 1s to 1d", "debe ser de 1s a 1d");
        return Err(place.wrong("every", said));
    }
    Ok(Daily {
        folder,
        format: format.unwrap_or_default(),
        every,
    })
}

/// Refuses keys that mean nothing to an output of this kind.
fn unasked(place: &Place<'_>, raw: &RawOutput) -> Result<(), ConfigError> {
    use RawKind::{Folder, Mqtt, Table, Webhook};
    // Each key that not every kind has: whether it is given, and to which kinds it means something.
    let keys: [(&str, bool, &[RawKind]); 16] = [
        ("url", raw.url.is_some(), &[Webhook, Mqtt, Table]),
        ("secret_file", raw.secret_file.is_some(), &[Webhook]),
        ("password_file", raw.password_file.is_some(), &[Mqtt, Table]),
        ("allow_internal", raw.allow_internal, &[Webhook, Mqtt]),
        (
            "give_up_after",
            raw.give_up_after.is_some(),
            &[Webhook, Mqtt, Table],
        ),
        ("table", raw.table.is_some(), &[Table]),
        ("columns", !raw.columns.is_empty(), &[Table]),
        ("user", raw.user.is_some(), &[Mqtt]),
        ("topic", raw.topic.is_some(), &[Mqtt]),
        ("state_topic", raw.state_topic.is_some(), &[Mqtt]),
        ("status_topic", raw.status_topic.is_some(), &[Mqtt]),
        ("client_id", raw.client_id.is_some(), &[Mqtt]),
        ("ca_file", raw.ca_file.is_some(), &[Mqtt]),
        ("folder", raw.folder.is_some(), &[Folder]),
        ("format", raw.format.is_some(), &[Folder]),
        ("every", raw.every.is_some(), &[Folder]),
    ];
    let is_strange = |(_, given, of): &&(&str, bool, &[RawKind])| *given && !of.contains(&raw.kind);
    let Some((key, ..)) = keys.iter().find(is_strange) else {
        return Ok(());
    };
    let said = (
        "means nothing to an output of this kind",
        "no sirve para una salida de este tipo",
    );
    Err(place.wrong(key, said))
}

fn kinds(place: &Place<'_>, words: &[String]) -> Result<Vec<Kind>, ConfigError> {
    let read = words.iter().map(|word| {
        Kind::from_word(word).ok_or_else(|| {
            let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
            let (shown, all) = (word.escape_debug(), all.join(", "));
            let said = Said::new(
                format!("'{shown}' is no kind of event; there are: {all}"),
                format!("'{shown}' no es un tipo de evento; existen: {all}"),
            );
            place.wrong("kinds", said)
        })
    });
    read.collect()
}

fn hook(
    place: &Place<'_>,
    url: Option<Url>,
    secret_name: Option<&str>,
    allow_internal: bool,
) -> Result<Hook, ConfigError> {
    let needed = ("is needed for a webhook", "hace falta para un webhook");
    let url = url.ok_or_else(|| place.wrong("url", needed))?;
    if !url.is_encrypted() && !allow_internal {
        let said = (
            "must begin with https://; http:// is for inner networks, together with allow_internal = true",
            "debe empezar con https://; http:// es para redes internas, junto con allow_internal = true",
        );
        return Err(place.wrong("url", said));
    }
    let name = secret_name.ok_or_else(|| place.wrong("secret_file", needed))?;
    let key = secret_file(name, &secret_places(Path::new(SECRETS_FOLDER)))
        .map_err(|why| place.wrong("secret_file", why))?;
    if key.expose().len() < KEY_LEAST {
        let said = (
            "the key has fewer than 16 characters; make one with: openssl rand -hex 32",
            "la clave tiene menos de 16 caracteres; haga una con: openssl rand -hex 32",
        );
        return Err(place.wrong("secret_file", said));
    }
    Ok(Hook {
        url,
        key,
        allow_internal,
    })
}
