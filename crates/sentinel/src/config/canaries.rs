//! The canaries of a `[[watch.store]]`, at most one for each door of satellite.
//!
//! An address with a token is a secret and stands in a file; whatever is wrong with it is told
//! without repeating it.

use daemon::config::{ConfigError, Secret, Source};
use event::Serial;

use super::CanaryDoor;
use super::raw::secret;

/// The keys as they are written.
pub(super) struct RawCanaries {
    pub(super) zkteco: Option<Serial>,
    pub(super) hikvision_file: Option<String>,
    pub(super) ingest_file: Option<String>,
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
        let doors = [
            self.zkteco
                .map(|serial| CanaryDoor::Zkteco(serial.as_str().to_owned())),
            hikvision.map(CanaryDoor::Hikvision),
            ingest.map(CanaryDoor::Ingest),
        ];
        Ok(doors.into_iter().flatten().collect())
    }
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
