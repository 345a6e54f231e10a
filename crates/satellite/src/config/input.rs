//! `[[input]]`: a broker whose messages are taken in, and whose records they are.
//!
//! A topic leads to a tenant and to an enrolled sender, and may name the terminal. Everything that
//! can be told without speaking to the broker is checked here; nothing here connects.

use daemon::config::{ConfigError, Source};
use event::{Serial, TenantId};
use mqtt::{BadFilter, Filter};
use serde::Deserialize;

use super::Tenant;
use super::broker::{self, Link, RawLink};
use super::output::{Address, Place};

/// Most topics of one input.
const TOPICS: usize = 32;

/// `[[input]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name in `/status`, metrics and the log; unique.
    pub name: String,
    /// Whose records come.
    pub tenant: TenantId,
    /// The enrolled sender: its mapping reads the messages, its quarantine keeps what is no record,
    /// and records that name no terminal are its own.
    pub sender: Serial,
    /// What is listened to.
    pub topics: Vec<Filter>,
    /// The broker.
    pub link: Link,
}

impl Input {
    /// Whether a topic is one of this input's, and the terminal that it names.
    pub fn names<'t>(&self, topic: &'t str) -> Option<Option<&'t str>> {
        self.topics.iter().find_map(|filter| filter.matches(topic))
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInput {
    name: TenantId,
    tenant: TenantId,
    kind: RawKind,
    sender: Serial,
    topics: Vec<String>,
    url: Option<Address>,
    user: Option<String>,
    password_file: Option<String>,
    client_id: Option<String>,
    ca_file: Option<String>,
    #[serde(default)]
    allow_internal: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Mqtt,
}

/// Checks the tables.
pub(super) fn checked(
    source: &Source,
    raw: Vec<RawInput>,
    tenants: &[Tenant],
) -> Result<Vec<Input>, ConfigError> {
    let mut inputs: Vec<Input> = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let place = Place::in_table(source, "input", index);
        if inputs.iter().any(|known| known.name == raw.name.as_str()) {
            let said = (
                "another input has this name already",
                "otra entrada ya tiene este nombre",
            );
            return Err(place.wrong("name", said));
        }
        // A sender is read by one satellite at a time, under one lease.
        if inputs.iter().any(|known| known.sender == raw.sender) {
            let said = (
                "another input has this sender already; an input may have several topics",
                "otra entrada ya tiene este emisor; una entrada puede llevar varios temas",
            );
            return Err(place.wrong("sender", said));
        }
        inputs.push(one(&place, raw, tenants)?);
    }
    Ok(inputs)
}

fn one(place: &Place<'_>, raw: RawInput, tenants: &[Tenant]) -> Result<Input, ConfigError> {
    let RawKind::Mqtt = raw.kind;
    if tenants.iter().all(|tenant| tenant.id != raw.tenant) {
        let said = (
            "no [[tenant]] has this id",
            "ningún [[tenant]] tiene este id",
        );
        return Err(place.wrong("tenant", said));
    }
    if raw.topics.is_empty() || raw.topics.len() > TOPICS {
        let said = (
            "must list 1 to 32 topics, like \"plant/{serial}/punch\"",
            "debe llevar de 1 a 32 temas, como \"planta/{serial}/checada\"",
        );
        return Err(place.wrong("topics", said));
    }
    let topics = raw.topics.iter().map(|text| filter(place, text));
    let topics = topics.collect::<Result<Vec<_>, _>>()?;
    let link = RawLink {
        url: raw.url.and_then(Address::broker),
        user: raw.user,
        password_file: raw.password_file,
        client_id: raw.client_id,
        ca_file: raw.ca_file,
        allow_internal: raw.allow_internal,
        own_id: format!("satellite-in-{}-{}", raw.tenant, raw.name),
    };
    Ok(Input {
        name: raw.name.to_string(),
        tenant: raw.tenant,
        sender: raw.sender,
        topics,
        link: broker::link(place, link)?,
    })
}

fn filter(place: &Place<'_>, text: &str) -> Result<Filter, ConfigError> {
    Filter::read(text).map_err(|bad| {
        let es = match bad {
            BadFilter::Length => "debe tener de 1 a 256 caracteres",
            BadFilter::Filter => {
                "no es un filtro de temas: sin niveles vacíos, + solo en su nivel, # solo en el último, sin caracteres de control y sin $ al principio"
            }
            BadFilter::Name => "puede llevar un nivel que sea {serial}, y ninguna otra llave",
        };
        place.wrong("topics", (bad.to_string().as_str(), es))
    })
}
