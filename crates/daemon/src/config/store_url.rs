//! The address of a database, in the two forms that the configuration knows.
//!
//! It is read here without connecting anywhere, so that `check` can judge it offline. A URL
//! with a password is refused: configuration files are copied, mailed and printed. Because of
//! that an accepted URL is no secret; still no error here repeats the text that was refused.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::Said;
use super::values::ValueError;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StoreUrl {
    /// `mysql://user@host:port/database`, for MySQL and MariaDB.
    Mysql(MysqlUrl),
    /// `sqlite:///absolute/path` or `sqlite://relative/path`: one file.
    Sqlite(PathBuf),
}

/// A database on a MySQL or MariaDB server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MysqlUrl {
    /// The user; the password comes from `password_file`.
    pub user: String,
    /// Host name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port, 3306 when the URL names none.
    pub port: u16,
    /// The database on that server.
    pub database: String,
    /// What stands after `?`, in order: `ssl-mode`, `ssl-ca`, `ssl-cert`, `ssl-key`, `socket`.
    pub options: Vec<(String, String)>,
}

/// The options that may follow `?`. Whatever changes the session (character set, time zone)
/// is the store's own business.
const OPTIONS: [&str; 5] = ["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket"];

/// The words for `ssl-mode`, as MySQL's own client knows them.
const SSL_MODES: [&str; 5] = [
    "disabled",
    "preferred",
    "required",
    "verify_ca",
    "verify_identity",
];

const FORM: &str = "write mysql://user@host:3306/database or sqlite:///path/to/file.db";
const FORM_ES: &str = "escriba mysql://usuario@host:3306/base o sqlite:///ruta/archivo.db";

/// English and Spanish.
fn refuse<T>(en: impl Into<String>, es: impl Into<String>) -> Result<T, ValueError> {
    Err(ValueError(Said::new(en, es)))
}

impl StoreUrl {
    /// Where the store is, for logs: without options.
    pub fn redacted(&self) -> String {
        match self {
            Self::Mysql(url) => url.place(),
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
        }
    }
}

impl MysqlUrl {
    fn place(&self) -> String {
        let Self {
            user,
            host,
            port,
            database,
            ..
        } = self;
        if host.contains(':') {
            format!("mysql://{user}@[{host}]:{port}/{database}")
        } else {
            format!("mysql://{user}@{host}:{port}/{database}")
        }
    }

    /// Reads what stands after `mysql://`.
    fn parse(text: &str) -> Result<Self, ValueError> {
        let (place, options) = match text.split_once('?') {
            Some((place, options)) => (place, parse_options(options)?),
            None => (text, Vec::new()),
        };
        let (user, rest) = match place.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => {
                return refuse(
                    "the URL holds a password; take it out, put it into a file of its own and \
                     name that file with password_file beside the url",
                    "la URL trae una contraseña; quítela, póngala en un archivo propio y nombre \
                     ese archivo con password_file junto a la url",
                );
            }
            Some(parts) => parts,
            None => {
                return refuse(
                    "the URL names no user; write mysql://user@host:3306/database",
                    "la URL no dice el usuario; escriba mysql://usuario@host:3306/base",
                );
            }
        };
        let Some((server, database)) = rest.split_once('/') else {
            return refuse(
                "the URL names no database; write mysql://user@host:3306/database",
                "la URL no dice la base de datos; escriba mysql://usuario@host:3306/base",
            );
        };
        let (host, port) = parse_server(server)?;
        check_word(("user", "el usuario"), user, "-_.$@")?;
        check_word(("host", "el host"), &host, "-_.:")?;
        check_word(("database", "la base de datos"), database, "-_$")?;
        Ok(Self {
            user: user.to_owned(),
            host,
            port,
            database: database.to_owned(),
            options,
        })
    }
}

/// Reads `host`, `host:port`, `[address]` or `[address]:port`.
fn parse_server(server: &str) -> Result<(String, u16), ValueError> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let Some((host, port)) = rest.split_once(']') else {
                return refuse(
                    "the URL opens an IPv6 address with '[' and does not close it",
                    "la URL abre una dirección IPv6 con '[' y no la cierra",
                );
            };
            if port.is_empty() {
                (host, None)
            } else {
                (host, Some(port.strip_prefix(':').unwrap_or(port)))
            }
        }
        None => match server.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return refuse(
                    "an IPv6 address in the URL needs brackets, as in [::1]:3306",
                    "una dirección IPv6 va entre corchetes en la URL, por ejemplo [::1]:3306",
                );
            }
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    let port = match port.map(str::parse::<u16>) {
        None => 3306,
        Some(Ok(port)) if port > 0 => port,
        Some(_) => {
            return refuse(
                "the URL's port is not a number from 1 to 65535",
                "el puerto de la URL no es un número de 1 a 65535",
            );
        }
    };
    Ok((host.to_owned(), port))
}

fn parse_options(text: &str) -> Result<Vec<(String, String)>, ValueError> {
    let mut options = Vec::new();
    for option in text.split('&') {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if !OPTIONS.contains(&name) {
            let known = OPTIONS.join(", ");
            return refuse(
                format!("the URL has an option that is not known; known options: {known}"),
                format!("la URL trae una opción que no existe; existen: {known}"),
            );
        }
        if value.is_empty() {
            return refuse(
                format!("the URL's option {name} has no value"),
                format!("la opción {name} de la URL no tiene valor"),
            );
        }
        if name == "ssl-mode" && !SSL_MODES.contains(&value.to_lowercase().as_str()) {
            let known = SSL_MODES.join(", ");
            return refuse(
                format!("the URL's ssl-mode is none of {known}"),
                format!("el ssl-mode de la URL no es ninguno de {known}"),
            );
        }
        options.push((name.to_owned(), value.to_owned()));
    }
    Ok(options)
}

/// Accepts ASCII letters, digits and a few signs: what needs escaping in a URL is read
/// differently by different readers.
fn check_word((en, es): (&str, &str), word: &str, signs: &str) -> Result<(), ValueError> {
    if word.is_empty() {
        return refuse(
            format!("the URL names no {en}; {FORM}"),
            format!("la URL no dice {es}; {FORM_ES}"),
        );
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
    if word.chars().all(allowed) {
        Ok(())
    } else {
        refuse(
            format!("the URL's {en} may hold only letters, digits and {signs}"),
            format!("en la URL, {es} solo puede llevar letras, dígitos y {signs}"),
        )
    }
}

fn parse_sqlite(path: &str) -> Result<PathBuf, ValueError> {
    if path.is_empty() || path.ends_with('/') {
        return refuse(
            "the URL names no file; write sqlite:///path/to/file.db",
            "la URL no dice el archivo; escriba sqlite:///ruta/archivo.db",
        );
    }
    if path.contains(":memory:") {
        return refuse(
            "a store in memory would lose events at the end of the process",
            "una base en memoria perdería los eventos al terminar el programa",
        );
    }
    if path.contains(['?', '#', '%']) || path.chars().any(char::is_control) {
        return refuse(
            "the path of a SQLite file may not hold ?, #, % or control characters",
            "la ruta de un archivo SQLite no puede llevar ?, #, % ni caracteres de control",
        );
    }
    Ok(PathBuf::from(path))
}

impl FromStr for StoreUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.split_once("://") {
            Some(("mysql", rest)) => MysqlUrl::parse(rest).map(Self::Mysql),
            Some(("sqlite", path)) => parse_sqlite(path).map(Self::Sqlite),
            Some(("mariadb", _)) => refuse(
                "the URL of a MariaDB server starts with mysql:// too",
                "la URL de un servidor MariaDB también empieza con mysql://",
            ),
            _ => refuse(
                format!("this is not the URL of a store; {FORM}"),
                format!("no es la URL de una base de datos; {FORM_ES}"),
            ),
        }
    }
}

impl fmt::Display for StoreUrl {
    /// Writes the whole URL with its options; it holds no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())?;
        if let Self::Mysql(url) = self {
            for (index, (name, value)) in url.options.iter().enumerate() {
                let mark = if index == 0 { '?' } else { '&' };
                write!(f, "{mark}{name}={value}")?;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for StoreUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(ValueError::carried)
    }
}

impl Serialize for StoreUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> StoreUrl {
        text.parse().unwrap()
    }

    fn wrong(text: &str) -> String {
        text.parse::<StoreUrl>().unwrap_err().to_string()
    }

    #[test]
    fn a_mysql_url_gives_its_parts() {
        let url = read("mysql://satellite@db.example.mx:3307/acme_1?ssl-mode=REQUIRED&ssl-ca=/c");
        let StoreUrl::Mysql(parts) = &url else {
            panic!("{url:?}");
        };
        assert_eq!(parts.user, "satellite");
        assert_eq!(parts.host, "db.example.mx");
        assert_eq!(parts.port, 3307);
        assert_eq!(parts.database, "acme_1");
        assert_eq!(parts.options[0], ("ssl-mode".into(), "REQUIRED".into()));
        assert_eq!(
            url.redacted(),
            "mysql://satellite@db.example.mx:3307/acme_1"
        );
        assert_eq!(read(&url.to_string()), url);
    }

    #[test]
    fn the_port_is_3306_unless_named_and_ipv6_stands_in_brackets() {
        for (text, host, port) in [
            ("mysql://u@h/d", "h", 3306),
            ("mysql://u@[::1]/d", "::1", 3306),
            ("mysql://u@[fe80::2]:99/d", "fe80::2", 99),
            ("mysql://name@server@h:1/d", "h", 1),
        ] {
            let url = read(text);
            let StoreUrl::Mysql(parts) = &url else {
                panic!("{url:?}");
            };
            assert_eq!((parts.host.as_str(), parts.port), (host, port));
            assert_eq!(read(&url.to_string()), url);
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_with_the_way_out_and_not_repeated() {
        for text in [
            "mysql://u:hunter2@h:3306/d",
            "mysql://u:hunter2@h/d?ssl-mode=required",
            "mysql://u:hun@ter2@h/d",
            "mysql://u:hunter2/x@h/d",
            "mysql://u:@h/d",
        ] {
            let message = wrong(text);
            assert!(message.contains("password_file"), "{message}");
            assert!(!message.contains("hunter2") && !message.contains("ter2"));
        }
        // A password that hides the rest of the URL is refused for another reason.
        assert!(!wrong("mysql://u:hunter2?x@h/d").contains("hunter2"));
        assert!(!wrong("mysql://u@h/d?password=hunter2").contains("hunter2"));
    }

    #[test]
    fn a_sqlite_url_names_a_file() {
        assert_eq!(
            read("sqlite:///var/lib/satellite/events.db"),
            StoreUrl::Sqlite("/var/lib/satellite/events.db".into())
        );
        let url = read("sqlite://satellite-data/events.db");
        assert_eq!(url, StoreUrl::Sqlite("satellite-data/events.db".into()));
        assert_eq!(url.to_string(), "sqlite://satellite-data/events.db");
    }

    #[test]
    fn a_url_that_cannot_work_is_refused_with_what_is_missing() {
        for (text, reason) in [
            ("mysql://h/d", "no user"),
            ("mysql://@h/d", "no user"),
            ("mysql://u@h", "no database"),
            ("mysql://u@h/", "no database"),
            ("mysql://u@/d", "no host"),
            ("mysql://u@h:0/d", "port"),
            ("mysql://u@h:x/d", "port"),
            ("mysql://u@[::1/d", "close"),
            ("mysql://u@::1/d", "brackets"),
            ("mysql://u@h/d/e", "database may hold only"),
            ("mysql://u%41@h/d", "user may hold only"),
            ("mysql://u@h/d?sslmode=x", "known options"),
            ("mysql://u@h/d?ssl-ca", "no value"),
            ("mysql://u@h/d?ssl-mode=on", "ssl-mode"),
            ("mariadb://u@h/d", "mysql://"),
            ("postgres://u@h/d", "not the URL of a store"),
            ("events.db", "not the URL of a store"),
            ("sqlite://", "no file"),
            ("sqlite:///tmp/", "no file"),
            ("sqlite://:memory:", "in memory"),
            ("sqlite://a?mode=rwc", "may not hold"),
        ] {
            let message = wrong(text);
            assert!(message.contains(reason), "{text}: {message}");
        }
    }
}
