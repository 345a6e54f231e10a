//! Configuration: TOML in, a typed value or an error that says where to look.
//!
//! Whatever is wrong is told with file, line and key, and a misspelt key with the nearest
//! known one, because the reader of the message has a terminal and a customer waiting. The
//! caller's types decide what is known and carry `#[serde(deny_unknown_fields)]`. No message
//! made here ever repeats a password, even from a file that holds one in the wrong place.

mod explain;
mod kinds;
mod locate;
mod said;
mod secret;
mod store_url;
mod values;

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;

pub use said::Said;
pub use secret::{Secret, secret_file, secret_places, secret_written_at};
pub use store_url::{MysqlUrl, StoreUrl};
pub use values::{ByteSize, Span, ValueError};

/// What is wrong with a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as the user named it.
    pub file: String,
    /// Line in the file, from 1; `None` when the error is about the file as a whole.
    pub line: Option<usize>,
    /// Column in the line in characters, from 1.
    pub column: Option<usize>,
    /// The key with the tables around it, as in `listen.address` or `tenant[1].id` (the
    /// second `[[tenant]]`); `None` when no key can be named.
    pub key: Option<String>,
    /// What is wrong and what to do about it, in one line.
    pub message: Box<Said>,
}

impl ConfigError {
    /// An error about a file as a whole.
    pub fn about(file: impl Into<String>, message: impl Into<Said>) -> Self {
        Self {
            file: file.into(),
            line: None,
            column: None,
            key: None,
            message: Box::new(message.into()),
        }
    }
}

impl ConfigError {
    /// The whole error in Spanish; `Display` writes it in English.
    pub fn in_spanish(&self) -> String {
        format!("{}: {}", self.place(), self.message.es)
    }

    /// `satellite.toml:4`.
    fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.clone(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)
    }
}

/// An error inside another one, with its own file in front.
impl From<ConfigError> for Said {
    fn from(error: ConfigError) -> Self {
        Self::new(error.to_string(), error.in_spanish())
    }
}

impl std::error::Error for ConfigError {}

/// The text of a configuration file and the name it is known by. Kept by a caller that
/// checks more than types, so that its own errors name lines too.
pub struct Source {
    file: String,
    text: String,
}

impl Source {
    /// A text that did not come from a file; `file` is what errors call it.
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            text: text.into(),
        }
    }

    /// The file, as it is known.
    pub fn path(&self) -> &Path {
        Path::new(&self.file)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or is not UTF-8 (with the line where that begins).
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let bytes =
            std::fs::read(path).map_err(|error| ConfigError::about(&file, unread(&error)))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let start = error.as_bytes().get(..good).unwrap_or_default();
            let (line, column) = locate::position(&String::from_utf8_lossy(start), good);
            ConfigError {
                line: Some(line),
                column: Some(column),
                ..ConfigError::about(&file, NOT_UTF8)
            }
        })?;
        Ok(Self { file, text })
    }

    /// Reads the text as a `T`.
    ///
    /// # Errors
    /// Broken TOML, unknown, missing or repeated keys, values of a wrong kind.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        toml::from_str(&self.text).map_err(|error| explain::explain(&self.file, &self.text, &error))
    }

    /// An error of the caller's own about `key`, written as in [`ConfigError::key`]. The line
    /// is that of the key, or of the nearest table around it when the key is absent.
    pub fn error(&self, key: &str, message: impl Into<Said>) -> ConfigError {
        explain::about_key(&self.file, &self.text, key, message.into())
    }
}

const NOT_UTF8: (&str, &str) = (
    "the text is not UTF-8; save the file as UTF-8",
    "el texto no es UTF-8; guarde el archivo como UTF-8",
);

/// Why a file could not be read, which the system says in its own words where they are rare.
fn unread(error: &std::io::Error) -> Said {
    let known = match error.kind() {
        std::io::ErrorKind::NotFound => Some("no existe"),
        std::io::ErrorKind::PermissionDenied => Some("falta el permiso de lectura"),
        std::io::ErrorKind::IsADirectory => Some("es una carpeta"),
        _ => None,
    };
    let es = known.map_or_else(|| error.to_string(), str::to_owned);
    Said::new(
        format!("cannot be read: {error}"),
        format!("no se puede leer: {es}"),
    )
}

/// Reads a configuration file as a `T`.
///
/// # Errors
/// As [`Source::read`] and [`Source::parse`].
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    Source::read(path)?.parse()
}

/// Reads a configuration text as a `T`; `file` is what errors call it.
///
/// # Errors
/// As [`Source::parse`].
pub fn parse<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, ConfigError> {
    Source::new(file, text).parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        state_dir: Option<String>,
        listen: Listen,
        #[serde(default)]
        tenant: Vec<Tenant>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Listen {
        address: String,
        port: Option<u16>,
        body: Option<ByteSize>,
        idle: Option<Span>,
        store: Option<StoreUrl>,
        unknown: Option<Unknown>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Unknown {
        Hold,
        Accept,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Tenant {
        id: String,
    }

    fn wrong(text: &str) -> ConfigError {
        parse::<Config>(text, "satellite.toml").unwrap_err()
    }

    #[test]
    fn a_good_file_gives_its_values() {
        let text = "state_dir='/x'\n[listen]\naddress='a'\nport=1\nbody='16MiB'\nidle='75s'\n\
                    store='sqlite://e.db'\nunknown='hold'\n[[tenant]]\nid='acme'\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("satellite.toml");
        std::fs::write(&path, text).unwrap();
        let config: Config = load(&path).unwrap();
        assert_eq!(config.state_dir.as_deref(), Some("/x"));
        assert_eq!(config.listen.address, "a");
        assert_eq!(config.listen.port, Some(1));
        assert_eq!(config.listen.body, Some(ByteSize(16 << 20)));
        assert_eq!(
            config.listen.idle,
            Some(Span(std::time::Duration::from_secs(75)))
        );
        assert_eq!(config.listen.store, Some(StoreUrl::Sqlite("e.db".into())));
        assert!(matches!(config.listen.unknown, Some(Unknown::Hold)));
        assert_eq!(config.tenant[0].id, "acme");
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_the_nearest_known_key() {
        let error = wrong("# first\n\n[listen]\nadress = \"0.0.0.0:8081\"\n");
        assert_eq!(
            error.to_string(),
            "satellite.toml:4: unknown key 'adress' in [listen]; did you mean 'address'? \
             Known keys: address, port, body, idle, store, unknown"
        );
        assert_eq!((error.line, error.column), (Some(4), Some(1)));
        assert_eq!(error.key.as_deref(), Some("listen.adress"));
    }

    #[test]
    fn an_unknown_table_is_told_and_so_is_a_key_that_resembles_nothing() {
        assert_eq!(
            wrong("[lisen]\na = 1\n").to_string(),
            "satellite.toml:1: unknown key 'lisen'; did you mean 'listen'? \
             Known keys: state_dir, listen, tenant"
        );
        assert_eq!(
            wrong("[listen]\naddress='a'\nqqq = 1\n").to_string(),
            "satellite.toml:3: unknown key 'qqq' in [listen]. \
             Known keys: address, port, body, idle, store, unknown"
        );
    }

    #[test]
    fn the_second_table_of_a_list_is_named_by_its_own_line() {
        let error = wrong("[listen]\naddress='a'\n[[tenant]]\nid='a'\n[[tenant]]\nidd='b'\n");
        assert_eq!(
            error.to_string(),
            "satellite.toml:6: unknown key 'idd' in [[tenant]]; did you mean 'id'? Known keys: id"
        );
        assert_eq!(error.key.as_deref(), Some("tenant[1].idd"));
        let error = wrong("[listen]\naddress='a'\n[[tenant]]\nid='a'\n[[tenant]]\n");
        assert_eq!(
            error.to_string(),
            "satellite.toml:5: missing key 'id' in [[tenant]]"
        );
        assert_eq!(error.key.as_deref(), Some("tenant[1].id"));
    }

    #[test]
    fn a_missing_key_is_told_with_the_line_of_its_table() {
        assert_eq!(
            wrong("\n[listen]\nport = 1\n").to_string(),
            "satellite.toml:2: missing key 'address' in [listen]"
        );
        let error = wrong("state_dir = '/x'\n");
        assert_eq!(error.to_string(), "satellite.toml:1: missing key 'listen'");
        assert_eq!(error.key.as_deref(), Some("listen"));
    }

    #[test]
    fn a_repeated_key_is_told_with_the_line_of_the_second() {
        let error = wrong("[listen]\naddress='a'\nport=1\naddress='b'\n");
        assert_eq!(
            error.to_string(),
            "satellite.toml:4: key 'address' in [listen] is given twice"
        );
        assert_eq!(error.key.as_deref(), Some("listen.address"));
        assert_eq!(
            wrong("[listen]\naddress='a'\n[listen]\nport=1\n").to_string(),
            "satellite.toml:3: key 'listen' is given twice"
        );
    }

    #[test]
    fn a_value_of_a_wrong_kind_is_told_with_its_line_and_key() {
        for (line, message) in [
            (
                "port='x'",
                "key 'port' in [listen]: invalid type: string \"x\", expected u16",
            ),
            (
                "port=70000",
                "key 'port' in [listen]: invalid value: integer `70000`, expected u16",
            ),
            (
                "body='16MB'",
                "key 'body' in [listen]: '16MB' is not a size: write a whole number and \
                 B, KiB, MiB, GiB or TiB, as in \"16MiB\"",
            ),
            (
                "idle=75",
                "key 'idle' in [listen]: invalid type: integer `75`, expected a length of time \
                 such as \"90s\" or \"3m\"",
            ),
            (
                "unknown='hald'",
                "key 'unknown' in [listen]: unknown word 'hald'; did you mean 'hold'? \
                 Known words: hold, accept",
            ),
        ] {
            let error = wrong(&format!("[listen]\naddress='a'\n{line}\n"));
            assert_eq!(error.to_string(), format!("satellite.toml:3: {message}"));
            let name = line.split('=').next().unwrap();
            assert_eq!(error.key, Some(format!("listen.{name}")));
        }
        assert_eq!(
            wrong("listen = 5\n").to_string(),
            "satellite.toml:1: key 'listen': invalid type: integer `5`, expected a table"
        );
    }

    #[test]
    fn broken_toml_is_told_with_line_and_column() {
        let error = wrong("[listen]\naddress = \"a\nport = 1\n");
        assert_eq!((error.line, error.column), (Some(2), Some(13)));
        assert!(
            error
                .to_string()
                .starts_with("satellite.toml:2: not valid TOML at column 13: "),
            "{error}"
        );
        // The column counts characters.
        assert_eq!(wrong("x = 'éé' y\n").column, Some(10));
    }

    #[test]
    fn a_password_in_the_wrong_place_is_never_repeated() {
        for text in [
            "listen = 'mysql://u:hunter2@h/db'\n",
            "[listen]\naddress = 'a'\nport = 'mysql://u:hun\"ter2@h/db'\n",
            "[listen]\naddress = 'a'\nstore = 'mysql://u:hunter2@h/db'\n",
            "[listen]\naddress = 'a'\nstore = 'mysql://u:hunter2/x@h/db'\n",
            "[listen]\naddress = 'a'\nunknown = 'mysql://u:hunter2@h/db'\n",
            "[listen]\naddress = 'a'\nidle = 'mysql://u:hunter2@h/db'\n",
        ] {
            let error = wrong(text);
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(!shown.contains("hun") && !shown.contains("ter2"), "{shown}");
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = load::<Config>(Path::new("/nonexistent/satellite.toml")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("/nonexistent/satellite.toml: cannot be read: ")
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin1.toml");
        std::fs::write(&path, b"a = 1\nname = 'Jos\xe9'\n").unwrap();
        let error = load::<Config>(&path).unwrap_err();
        assert_eq!((error.line, error.column), (Some(2), Some(12)));
    }

    #[test]
    fn an_error_of_the_callers_own_finds_the_line_of_its_key() {
        let source = Source::new("s.toml", "[listen]\naddress='a'\n\n[[tenant]]\nid='x'\n");
        let error = source.error("tenant[0].id", "is used twice");
        assert_eq!(
            error.to_string(),
            "s.toml:5: key 'id' in [[tenant]]: is used twice"
        );
        let absent = source.error("tenant[0].url", "is needed here");
        assert_eq!(absent.line, Some(4));
        assert_eq!(absent.key.as_deref(), Some("tenant[0].url"));
        assert_eq!(source.error("store.url", "is needed").line, None);
    }

    #[test]
    fn every_error_of_a_file_is_told_in_spanish_with_the_same_place_and_the_same_words() {
        for (text, told) in [
            (
                "[listen]\nadress='a'\n",
                "s.toml:2: la clave 'adress' en [listen] no existe; ¿quiso decir 'address'? \
                 Claves que existen: address, port, body, idle, store, unknown",
            ),
            (
                "[listen]\nport=1\n",
                "s.toml:1: falta la clave 'address' en [listen]",
            ),
            (
                "[listen]\naddress='a'\naddress='b'\n",
                "s.toml:3: la clave 'address' en [listen] aparece dos veces",
            ),
            (
                "[listen]\naddress='a'\nport='x'\n",
                "s.toml:3: clave 'port' en [listen]: dice el texto \"x\", se espera un número \
                 entero de 0 a 65535",
            ),
            (
                "[listen]\naddress='a'\nport=70000\n",
                "s.toml:3: clave 'port' en [listen]: dice el número 70000, se espera un número \
                 entero de 0 a 65535",
            ),
            (
                "[listen]\naddress='a'\nbody='16MB'\n",
                "s.toml:3: clave 'body' en [listen]: '16MB' no es un tamaño: escriba un número \
                 entero y B, KiB, MiB, GiB o TiB, por ejemplo \"16MiB\"",
            ),
            (
                "[listen]\naddress='a'\nidle=75\n",
                "s.toml:3: clave 'idle' en [listen]: dice el número 75, se espera un tiempo, por \
                 ejemplo \"90s\" o \"3m\"",
            ),
            (
                "[listen]\naddress='a'\nunknown='hald'\n",
                "s.toml:3: clave 'unknown' en [listen]: la palabra 'hald' no existe; ¿quiso decir \
                 'hold'? Palabras que existen: hold, accept",
            ),
            (
                "listen = 5\n",
                "s.toml:1: clave 'listen': dice el número 5, se espera una tabla",
            ),
        ] {
            let error = parse::<Config>(text, "s.toml").unwrap_err();
            assert_eq!(error.in_spanish(), told);
        }
        let broken = parse::<Config>("[listen]\naddress = \"a\n", "s.toml").unwrap_err();
        let told = broken.in_spanish();
        assert!(
            told.starts_with("s.toml:2: no es TOML válido en la columna 13: "),
            "{told}"
        );
        let absent = load::<Config>(Path::new("/nonexistent/s.toml")).unwrap_err();
        assert_eq!(
            absent.in_spanish(),
            "/nonexistent/s.toml: no se puede leer: no existe"
        );
        let url = "[listen]\naddress='a'\nstore='mysql://u:hunter2@h/db'\n";
        let told = parse::<Config>(url, "s.toml").unwrap_err().in_spanish();
        assert!(
            told.contains("contraseña") && !told.contains("hunter2"),
            "{told}"
        );
    }
}
