//! A broker, in `[[output]]` and `[[input]]`: where it is and how to introduce oneself; and the topics
//! of an output.

use std::path::Path;

use daemon::config::{ConfigError, Secret, secret_file, secret_places};
use fetch::{Trust, Url};
use mqtt::{BadTemplate, Template};

use super::SECRETS_FOLDER;
use super::output::Place;

/// Where messages go unless told otherwise.
const TOPIC: &str = "satellite/{tenant}/{vendor}/{serial}";

/// How a broker is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it is: `http` stands for `mqtt`, `https` for `mqtts`.
    pub url: Url,
    /// User and password.
    pub login: Option<(String, Secret)>,
    /// The client's name.
    pub client_id: String,
    /// Authorities besides the public ones, as PEM.
    pub authorities: Option<String>,
    /// It may be in an inner network, and is spoken to without encryption.
    pub allow_internal: bool,
}

impl Link {
    /// Where it is, for people; without what an address may hold of secrets.
    pub fn place(&self) -> String {
        format!("{}:{}", self.url.host(), self.url.port())
    }
}

/// A broker that gets events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// How it is reached.
    pub link: Link,
    /// Where events go.
    pub topic: Template,
    /// Where the state of each terminal is kept.
    pub state_topic: Option<Template>,
    /// Where it is kept whether this output is connected.
    pub status_topic: Option<String>,
}

/// The keys of a link as they are written.
pub(super) struct RawLink {
    pub(super) url: Option<Url>,
    pub(super) user: Option<String>,
    pub(super) password_file: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) ca_file: Option<String>,
    pub(super) allow_internal: bool,
    /// The client's name where none is written.
    pub(super) own_id: String,
}

/// The keys of an output as they are written.
pub(super) struct RawBroker {
    pub(super) link: RawLink,
    pub(super) topic: Option<String>,
    pub(super) state_topic: Option<String>,
    pub(super) status_topic: Option<String>,
}

/// Checks the keys of a link.
pub(super) fn link(place: &Place<'_>, raw: RawLink) -> Result<Link, ConfigError> {
    let url = raw.url.ok_or_else(|| {
        let said = (
            "is needed: mqtts://host:8883, or mqtt://host:1883 together with allow_internal = true",
            "hace falta: mqtts://host:8883, o mqtt://host:1883 junto con allow_internal = true",
        );
        place.wrong("url", said)
    })?;
    if !url.is_encrypted() && !raw.allow_internal {
        let said = (
            "must begin with mqtts://; mqtt:// is for inner networks, together with allow_internal = true",
            "debe empezar con mqtts://; mqtt:// es para redes internas, junto con allow_internal = true",
        );
        return Err(place.wrong("url", said));
    }
    if url.path() != "/" {
        let said = ("has no path", "no lleva ruta");
        return Err(place.wrong("url", said));
    }
    let client_id = raw.client_id.unwrap_or(raw.own_id);
    if client_id.is_empty() || client_id.len() > 256 || client_id.contains(char::is_control) {
        let said = (
            "must have 1 to 256 characters",
            "debe tener de 1 a 256 caracteres",
        );
        return Err(place.wrong("client_id", said));
    }
    Ok(Link {
        url,
        login: login(place, raw.user, raw.password_file)?,
        client_id,
        authorities: authorities(place, raw.ca_file.as_deref())?,
        allow_internal: raw.allow_internal,
    })
}

/// Checks the keys of an output.
pub(super) fn checked(place: &Place<'_>, raw: RawBroker) -> Result<Broker, ConfigError> {
    let link = link(place, raw.link)?;
    let topic = raw.topic.as_deref().unwrap_or(TOPIC);
    let topic = template(place, "topic", topic)?;
    let state_topic = raw.state_topic.as_deref();
    let state_topic = state_topic.map(|text| template(place, "state_topic", text));
    if let Some(text) = &raw.status_topic {
        template(place, "status_topic", text)?;
        if text.contains(['{', '}']) {
            let said = (
                "is one topic, without names in braces",
                "es un solo tema, sin nombres entre llaves",
            );
            return Err(place.wrong("status_topic", said));
        }
    }
    Ok(Broker {
        link,
        topic,
        state_topic: state_topic.transpose()?,
        status_topic: raw.status_topic,
    })
}

fn template(place: &Place<'_>, key: &str, text: &str) -> Result<Template, ConfigError> {
    Template::read(text).map_err(|bad| {
        let es = match bad {
            BadTemplate::Length => "debe tener de 1 a 256 caracteres",
            BadTemplate::Topic => {
                "no es un tema: sin niveles vacíos, sin + ni #, sin caracteres de control y sin $ al principio"
            }
            BadTemplate::Name => "solo puede nombrar entre llaves {tenant}, {vendor}, {serial} y {kind}",
        };
        place.wrong(key, (bad.to_string().as_str(), es))
    })
}

fn login(
    place: &Place<'_>,
    user: Option<String>,
    file: Option<String>,
) -> Result<Option<(String, Secret)>, ConfigError> {
    match (user, file) {
        (None, None) => Ok(None),
        (Some(user), Some(file)) => {
            let secret = secret_file(&file, &secret_places(Path::new(SECRETS_FOLDER)));
            let secret = secret.map_err(|why| place.wrong("password_file", why))?;
            Ok(Some((user, secret)))
        }
        _ => {
            let said = (
                "user and password_file stand together or not at all",
                "user y password_file van juntos o no van",
            );
            Err(place.wrong("user", said))
        }
    }
}

fn authorities(place: &Place<'_>, file: Option<&str>) -> Result<Option<String>, ConfigError> {
    let Some(file) = file else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let pem = text.and_then(|text| Trust::with(&text).map(|_| text));
    pem.map(Some).map_err(|why| {
        let en = format!("no certificates can be read there: {why}");
        let es = format!("ahí no se pueden leer certificados: {why}");
        place.wrong("ca_file", (en.as_str(), es.as_str()))
    })
}
