//! `[[mapping]]`: which mapping file reads the records of which other make's terminals.
//!
//! The files are read and checked while the configuration is loaded, so that a mistake in one ends
//! a start or a reload with its own file, line and key, and never a request.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use daemon::config::{ConfigError, Said, Source};
use event::Serial;
use other_makes::{MAPPING_LINES, Mapping};
use serde::Deserialize;

/// Of senders for which no file is.
pub(super) static OWN: LazyLock<Arc<Mapping>> = LazyLock::new(|| Arc::new(Mapping::own()));

/// `[[mapping]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    /// Where it was read from.
    pub file: PathBuf,
    /// The serials whose senders it reads; empty for all that no other mapping names.
    pub serials: Vec<Serial>,
    /// What it says.
    pub mapping: Arc<Mapping>,
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMapped {
    file: PathBuf,
    #[serde(default)]
    serials: Vec<Serial>,
}

/// Reads and checks the files.
pub(super) fn checked(source: &Source, raw: Vec<RawMapped>) -> Result<Vec<Mapped>, ConfigError> {
    let mut all: Vec<Mapped> = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let wrong =
            |key: &str, said: (&str, &str)| source.error(&format!("mapping[{index}].{key}"), said);
        if raw.serials.is_empty() && all.iter().any(|known| known.serials.is_empty()) {
            return Err(wrong(
                "file",
                (
                    "another mapping without serials is for all terminals already; give this one serials",
                    "otro mapping sin serials ya es para todos los equipos; dé a este sus serials",
                ),
            ));
        }
        let named = |serial: &Serial| all.iter().any(|known| known.serials.contains(serial));
        if raw.serials.iter().any(named) {
            return Err(wrong(
                "serials",
                (
                    "another mapping names one of these serials already",
                    "otro mapping ya nombra una de estas series",
                ),
            ));
        }
        let mapping = Arc::new(read(&raw.file)?);
        all.push(Mapped {
            file: raw.file,
            serials: raw.serials,
            mapping,
        });
    }
    Ok(all)
}

/// A mapping file.
///
/// # Errors
/// Whatever is wrong with it, with its own file, line and key.
fn read(file: &Path) -> Result<Mapping, ConfigError> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| {
        let said = Said::new(
            format!("the mapping cannot be read: {error}"),
            format!("el archivo de mapeo no se puede leer: {error}"),
        );
        ConfigError::about(file.display().to_string(), said)
    })?;
    let lines = text.lines().count();
    if lines > MAPPING_LINES {
        let said = Said::new(
            format!("a mapping has at most {MAPPING_LINES} lines, and this file {lines}"),
            format!("un mapeo tiene a lo más {MAPPING_LINES} renglones, y este archivo {lines}"),
        );
        return Err(ConfigError::about(file.display().to_string(), said));
    }
    let source = Source::new(file.display().to_string(), text);
    Mapping::checked(source.parse()?)
        .map_err(|wrong| source.error(&wrong.key, Said::new(wrong.en, wrong.es)))
}
