//! `[[output]]`: where stored events are carried to.
//!
//! Everything that can be told about an output without speaking to its receiver is checked here:
//! that its tenant exists, that its name is its own, that what is signed is signed with a key worth
//! the name, and that personal data does not leave over plain HTTP. Nothing here connects.

use std::path::Path;
use std::time::Duration;

use daemon::config::{ConfigError, Said, Secret, Source, Span, secret_file, secret_places};
use event::{Kind, TenantId};
use fetch::Url;
use serde::Deserialize;

use super::{SECRETS_FOLDER, Tenant};

/// Events in one delivery unless told otherwise.
const BATCH: usize = 100;
/// Most events in one delivery.
const BATCH_MAX: usize = 1_000;
/// How long an event is tried unless told otherwise.
const GIVE_UP_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// An event is tried at least so long: a receiver that is being updated is no reason.
const GIVE_UP_LEAST: Duration = Duration::from_secs(3600);
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
}

impl Receiver {
    /// The word of the configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
        }
    }

    /// What it is, for people; without what an address may hold of secrets.
    pub fn place(&self) -> String {
        match self {
            Self::Webhook(hook) => format!("{}:{}", hook.url.host(), hook.url.port()),
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

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutput {
    name: TenantId,
    tenant: TenantId,
    kind: RawKind,
    url: Option<Url>,
    secret_file: Option<String>,
    #[serde(default)]
    allow_internal: bool,
    #[serde(default)]
    kinds: Vec<String>,
    batch: Option<usize>,
    give_up_after: Option<Span>,
    #[serde(default)]
    from: RawFrom,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Webhook,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum RawFrom {
    #[default]
    Now,
    Start,
}

/// Where a mistake stands.
struct Place<'a> {
    source: &'a Source,
    index: usize,
}

impl Place<'_> {
    fn wrong(&self, key: &str, said: impl Into<Said>) -> ConfigError {
        self.source
            .error(&format!("output[{}].{key}", self.index), said)
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
        let place = Place { source, index };
        if outputs.iter().any(|known| known.name == raw.name.as_str()) {
            let said = (
                "another output has this name already",
                "otra salida ya tiene este nombre",
            );
            return Err(place.wrong("name", said));
        }
        outputs.push(one(&place, raw, tenants)?);
    }
    Ok(outputs)
}

fn one(place: &Place<'_>, raw: RawOutput, tenants: &[Tenant]) -> Result<Output, ConfigError> {
    if !tenants.iter().any(|tenant| tenant.id == raw.tenant) {
        let said = (
            "no [[tenant]] has this id",
            "ningún [[tenant]] tiene este id",
        );
        return Err(place.wrong("tenant", said));
    }
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
    let to = match raw.kind {
        RawKind::Webhook => Receiver::Webhook(hook(
            place,
            raw.url,
            raw.secret_file.as_deref(),
            raw.allow_internal,
        )?),
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
