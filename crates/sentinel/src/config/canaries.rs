//! The canaries of a `[[watch.store]]`, at most one for each door of satellite.
//!
//! An address with a token is a secret and stands in a file; whatever is wrong with it is told
//! without repeating it.

use std::path::PathBuf;
use std::sync::Arc;

use daemon::config::{ConfigError, Said, Secret, Source};
use event::Serial;
use fetch::{Trust, Url};
use mqtt::Template;
use serde::Deserialize;

use super::raw::{login, secret};
use super::{BrokerCanary, CanaryDoor};

/// The keys as they are written.
pub(super) struct RawCanaries {
    pub(super) zkteco: Option<Serial>,
    pub(super) hikvision_file: Option<String>,
    pub(super) ingest_file: Option<String>,
    pub(super) broker: Option<RawBrokerCanary>,
}

/// `[watch.store.mqtt_canary]`, with the names that an `[[input]]` of satellite has for the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBrokerCanary {
    url: String,
    user: Option<String>,
    password_file: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    allow_internal: bool,
    topic: String,
    serial: Serial,
}

impl RawCanaries {
    /// Reads the files; `key` makes the whole name of a key.
    pub(super) fn checked(
        self,
        source: &Source,
        key: &dyn Fn(&str) -> String,
    ) -> Result<Vec<CanaryDoor>, ConfigError> {
        let posts = |name: &str, door: &str, file: Option<String>| {
            file.map(|file| posting_path(source, &key(name), door, &file))
                .transpose()
        };
        let hikvision = posts("hikvision_canary_file", "hikvision", self.hikvision_file)?;
        let ingest = posts("ingest_canary_file", "ingest", self.ingest_file)?;
        let broker = self.broker.map(|raw| {
            let table = key("mqtt_canary");
            raw.checked(source, &table)
        });
        let doors = [
            self.zkteco
                .map(|serial| CanaryDoor::Zkteco(serial.as_str().to_owned())),
            hikvision.map(CanaryDoor::Hikvision),
            ingest.map(CanaryDoor::Ingest),
            broker
                .transpose()?
                .map(|canary| CanaryDoor::Mqtt(Arc::new(canary))),
        ];
        Ok(doors.into_iter().flatten().collect())
    }
}

impl RawBrokerCanary {
    fn checked(self, source: &Source, table: &str) -> Result<BrokerCanary, ConfigError> {
        let key = |name: &str| format!("{table}.{name}");
        let url = Url::of_broker(&self.url).and_then(Result::ok);
        let url = url.filter(|url| url.path() == "/").ok_or_else(|| {
            let said = (
                "write mqtts://host:8883, or mqtt://host:1883 together with allow_internal = true; no user or password and no path",
                "escriba mqtts://servidor:8883, o mqtt://servidor:1883 junto con allow_internal = true; sin usuario, contraseña ni ruta",
            );
            source.error(&key("url"), said)
        })?;
        if !url.is_encrypted() && !self.allow_internal {
            let said = (
                "must begin with mqtts://; mqtt:// is for inner networks, together with allow_internal = true",
                "debe empezar con mqtts://; mqtt:// es para redes internas, junto con allow_internal = true",
            );
            return Err(source.error(&key("url"), said));
        }
        let is_one = Template::read(&self.topic).is_ok() && !self.topic.contains(['{', '}']);
        if !is_one {
            let said = (
                "must be one topic, like \"plant/CANARY-MQTT-ACME/punch\": without + and #, and without names in braces",
                "debe ser un solo tema, como \"planta/CANARY-MQTT-ACME/checada\": sin + ni #, y sin nombres entre llaves",
            );
            return Err(source.error(&key("topic"), said));
        }
        Ok(BrokerCanary {
            login: login(source, table, self.user, self.password_file)?,
            trust: trust(source, &key("ca_file"), self.ca_file)?,
            url,
            allow_internal: self.allow_internal,
            topic: self.topic,
            serial: self.serial.as_str().to_owned(),
        })
    }
}

/// The public authorities, and those of the file.
fn trust(source: &Source, key: &str, file: Option<PathBuf>) -> Result<Trust, ConfigError> {
    let Some(file) = file else {
        return Ok(Trust::default());
    };
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
    text.and_then(|pem| Trust::with(&pem)).map_err(|why| {
        let es = format!("ahí no se pueden leer certificados: {why}");
        let en = format!("no certificates can be read there: {why}");
        source.error(key, Said::new(en, es))
    })
}

/// The path of the posting address in that file, which may be given whole, as a path or as the
/// bare token.
fn posting_path(source: &Source, key: &str, door: &str, file: &str) -> Result<Secret, ConfigError> {
    let address = secret(source, key, file)?;
    let address = address.expose().trim();
    let folder = format!("/{door}/");
    let token = address
        .rsplit_once(&folder)
        .map_or(address, |(_, token)| token);
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_alphanumeric()) {
        let en = format!(
            "the file holds no address of the door {folder}; write into it the one that \
             `satellite devices add ... --listen --canary` printed"
        );
        let es = format!(
            "el archivo no contiene una dirección de la puerta {folder}; escriba en él la que imprimió \
             `satellite devices add ... --listen --canary`"
        );
        return Err(source.error(key, (en.as_str(), es.as_str())));
    }
    Ok(Secret::new(format!("{folder}{token}")))
}
