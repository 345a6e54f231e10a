//! `[backup]`: where copies of the databases go, who can open them, how long they stay.
//!
//! The running daemon does not copy; a mistake here is told all the same when it starts, and not
//! at night by the first copy. Passwords are named here and read only by the command that needs
//! them, so that the daemon needs none of them.

use std::path::PathBuf;
use std::time::Duration;

use backup::{Location, Remote, Retention};
use daemon::config::{ConfigError, Said, Source, Span};
use serde::Deserialize;

/// `[backup]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The first location.
    pub folder: PathBuf,
    /// The second one, on another disk or behind rclone.
    pub second: Option<Location>,
    /// Public keys of `age`, at least two.
    pub recipients: Vec<String>,
    /// The file with a secret key, where copies are proven or restored: a path or a bare name.
    pub identity_file: Option<String>,
    /// Which copies stay.
    pub keep: Retention,
    /// How often a copy is promised.
    pub every: Duration,
    /// Longest time for the copy of one database.
    pub time_limit: Duration,
    /// Whether a restore needs a second person.
    pub two_people: bool,
    /// Whether the binary log of MariaDB is shipped behind the copies.
    pub binary_log: bool,
    /// The account that dumps MySQL and MariaDB; that of the store when there is none.
    pub user: Option<String>,
    /// The file with its password: a path or a bare name.
    pub password_file: Option<String>,
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBackup {
    folder: PathBuf,
    second: Option<String>,
    recipients: Vec<String>,
    identity_file: Option<String>,
    keep: Option<String>,
    every: Option<Span>,
    time_limit: Option<Span>,
    two_people: Option<bool>,
    binary_log: Option<bool>,
    user: Option<String>,
    password_file: Option<String>,
}

/// Checks the table.
pub(super) fn checked(source: &Source, raw: RawBackup) -> Result<Backup, ConfigError> {
    let wrong = |key: &str, en: String, es: String| {
        source.error(&format!("backup.{key}"), Said::new(en, es))
    };
    if raw.recipients.len() < 2 || !raw.recipients.iter().all(|key| is_public_key(key)) {
        return Err(wrong(
            "recipients",
            "must list at least two public keys (age1…), yours and that of a sealed spare; make them with: age-keygen".to_owned(),
            "debe llevar al menos dos llaves públicas (age1…), la suya y la de repuesto en sobre cerrado; se hacen con: age-keygen".to_owned(),
        ));
    }
    let keep = match &raw.keep {
        None => Some(Retention::default()),
        Some(name) => Retention::named(name),
    };
    let Some(keep) = keep else {
        let names = Retention::names().join(", ");
        return Err(wrong(
            "keep",
            format!("must be one of {names}"),
            format!("debe ser uno de {names}"),
        ));
    };
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let time_limit = raw.time_limit.map_or_else(|| hours(1), Duration::from);
    let place = |text: String| match Remote::named(&text, rclone_beside(source), time_limit) {
        Some(remote) => Location::Remote(remote),
        None => Location::folder(text),
    };
    let second = raw.second.map(place);
    if second == Some(Location::folder(raw.folder.as_path())) {
        return Err(wrong(
            "second",
            "is the same folder; name one on another disk".to_owned(),
            "es la misma carpeta; indique una en otro disco".to_owned(),
        ));
    }
    if matches!(&second, Some(Location::Remote(remote)) if !remote.is_whole()) {
        return Err(wrong(
            "second",
            "must be written as rclone:REMOTE:PATH, with the name that `rclone listremotes` tells"
                .to_owned(),
            "se escribe rclone:REMOTO:RUTA, con el nombre que dice `rclone listremotes`".to_owned(),
        ));
    }
    if raw.password_file.is_some() && raw.user.is_none() {
        return Err(wrong(
            "password_file",
            "stands without a user beside it".to_owned(),
            "está sin un user a su lado".to_owned(),
        ));
    }
    Ok(Backup {
        folder: raw.folder,
        second,
        recipients: raw.recipients,
        identity_file: raw.identity_file,
        keep,
        every: raw.every.map_or_else(|| hours(3), Duration::from),
        time_limit,
        two_people: raw.two_people.unwrap_or(false),
        binary_log: raw.binary_log.unwrap_or(false),
        user: raw.user,
        password_file: raw.password_file,
    })
}

/// The configuration of rclone that stands beside ours; without one rclone looks for its own.
fn rclone_beside(source: &Source) -> Option<PathBuf> {
    let beside = source.path().with_file_name("rclone.conf");
    beside.is_file().then_some(beside)
}

fn is_public_key(text: &str) -> bool {
    let rest = text.strip_prefix("age1");
    rest.is_some_and(|rest| {
        rest.len() > 40
            && rest
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}
