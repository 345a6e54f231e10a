//! What a database says of itself, as far as a store depends on it: version, settings that keep
//! what was confirmed, rights of this user, its clock, room on the disk.
//!
//! For people who ask, never on the way of an event. Nothing here changes a row: the rights are
//! tried with statements that touch none.

use std::path::Path;

use event::Millis;

use crate::engine::Dialect;
use crate::{AnyEngine, Failure, Row, Trouble};

/// Oldest versions whose SQL is used: MariaDB 10.4 and MySQL 5.7.
const OLDEST_MARIADB: (u32, u32) = (10, 4);
const OLDEST_MYSQL: (u32, u32) = (5, 7);

/// Tables that satellite writes to while it runs. An UPDATE of no row needs the right all the same.
const WRITTEN: &[(&str, &str)] = &[
    ("event", "UPDATE event SET seq = seq WHERE 1 = 0"),
    ("feed_head", "UPDATE feed_head SET id = id WHERE 1 = 0"),
    ("device", "UPDATE device SET serial = serial WHERE 1 = 0"),
    ("quarantine", "UPDATE quarantine SET id = id WHERE 1 = 0"),
    ("lease", "UPDATE lease SET fence = fence WHERE 1 = 0"),
    ("job", "UPDATE job SET id = id WHERE 1 = 0"),
];

/// What a database says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Product and version in its own words.
    pub version: String,
    /// The account that this user was taken for, `user@host`; empty for a file.
    pub account: String,
    /// The oldest version whose SQL is used, major and minor; `None` where ours is built in.
    pub oldest: Option<(u32, u32)>,
    /// Whether it is older than that.
    pub too_old: bool,
    /// Whether it takes no changes from anybody.
    pub read_only: bool,
    /// Settings by which a power cut loses what was confirmed, or a commit is refused: name,
    /// value, what it should be.
    pub wrong: Vec<(String, String, &'static str)>,
    /// Tables that this user may not change.
    pub denied: Vec<&'static str>,
    /// Whether this user may do everything on the whole server, which nobody needs for this.
    pub almighty: bool,
    /// Its clock; `None` where it is this machine's.
    pub clock: Option<Millis>,
}

/// Asks a database about itself. Its tables must be there.
///
/// # Errors
/// It does not answer.
pub async fn examine(engine: &mut AnyEngine) -> Result<Examined, Failure> {
    match engine.dialect() {
        Dialect::Sqlite => sqlite(engine).await,
        Dialect::Mysql => server(engine).await,
    }
}

async fn sqlite(engine: &mut AnyEngine) -> Result<Examined, Failure> {
    let rows = engine
        .fetch(crate::fixed("SELECT sqlite_version()"), &[])
        .await?;
    let version = rows.first().map_or(Ok(String::new()), |row| row.text(0))?;
    Ok(Examined {
        version: format!("SQLite {version}"),
        account: String::new(),
        oldest: None,
        too_old: false,
        read_only: false,
        wrong: Vec::new(),
        denied: denied(engine).await?,
        almighty: false,
        clock: None,
    })
}

async fn server(engine: &mut AnyEngine) -> Result<Examined, Failure> {
    let names = crate::fixed("SELECT VERSION(), CURRENT_USER()");
    let names = engine.fetch(names, &[]).await?;
    let name = |at| names.first().map_or(Ok(String::new()), |row| row.text(at));
    let (version, account) = (name(0)?, name(1)?);
    let settings = settings(engine).await?;
    let clock = "SELECT CAST(FLOOR(UNIX_TIMESTAMP(NOW(3)) * 1000) AS SIGNED)";
    let rows = engine.fetch(crate::fixed(clock), &[]).await?;
    let clock = rows.first().map(|row| row.int(0)).transpose()?.map(Millis);
    let grants = engine.fetch(crate::fixed("SHOW GRANTS"), &[]).await?;
    let grants: Result<Vec<String>, Failure> = grants.iter().map(|row| row.text(0)).collect();
    Ok(Examined {
        account,
        oldest: Some(oldest(&version)),
        too_old: is_too_old(&version),
        read_only: settings
            .iter()
            .any(|(name, value)| name == "read_only" && is_on(value)),
        wrong: wrong_of(&settings),
        denied: denied(engine).await?,
        almighty: grants?.iter().any(|grant| is_almighty(grant)),
        clock,
        version: if version.contains("MariaDB") {
            version
        } else {
            format!("MySQL {version}")
        },
    })
}

/// The settings that are looked at, as the server says them.
async fn settings(engine: &mut AnyEngine) -> Result<Vec<(String, String)>, Failure> {
    let sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
               ('innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'log_bin', \
               'sync_binlog', 'binlog_format', 'read_only')";
    let rows = engine.fetch(crate::fixed(sql), &[]).await?;
    let pair = |row: &Row| Ok((row.text(0)?, row.text(1)?));
    rows.iter().map(pair).collect()
}

fn is_on(value: &str) -> bool {
    value == "1" || value.eq_ignore_ascii_case("on")
}

fn wrong_of(settings: &[(String, String)]) -> Vec<(String, String, &'static str)> {
    let mut logs = settings.iter().filter(|(name, _)| name == "log_bin");
    let logged = logs.any(|(_, value)| is_on(value));
    let wanted = |name: &str, value: &str| match name {
        "innodb_flush_log_at_trx_commit" if value != "1" => Some("1"),
        // MySQL 8 also knows DETECT_AND_RECOVER, which is ON.
        "innodb_doublewrite" if value == "0" || value.to_uppercase().contains("OFF") => Some("ON"),
        "sync_binlog" if logged && value != "1" => Some("1"),
        // Writes under READ COMMITTED are refused with it.
        "binlog_format" if logged && value.eq_ignore_ascii_case("statement") => Some("ROW"),
        _ => None,
    };
    let judged = |(name, value): &(String, String)| {
        wanted(name, value).map(|wanted| (name.clone(), value.clone(), wanted))
    };
    settings.iter().filter_map(judged).collect()
}

async fn denied(engine: &mut AnyEngine) -> Result<Vec<&'static str>, Failure> {
    let mut denied = Vec::new();
    for (table, sql) in WRITTEN {
        match engine.execute(crate::fixed(sql), &[]).await {
            Ok(_) => {}
            // Nobody may change anything now; that is said of the server.
            Err(failure) if failure.trouble() == Trouble::ReadOnly => {}
            Err(failure) if failure.trouble() == Trouble::Denied => denied.push(*table),
            Err(failure) => return Err(failure),
        }
    }
    Ok(denied)
}

/// The oldest version of that product whose SQL is used.
fn oldest(version: &str) -> (u32, u32) {
    if version.contains("MariaDB") {
        OLDEST_MARIADB
    } else {
        OLDEST_MYSQL
    }
}

/// Whether a version in a server's words (`10.11.6-MariaDB-…`, `8.0.36`) is too old; one that
/// cannot be read is believed.
fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split(|letter: char| !letter.is_ascii_digit());
    let mut next = || numbers.next().and_then(|digits| digits.parse::<u32>().ok());
    let (major, minor) = (next(), next());
    major.zip(minor).is_some_and(|own| own < oldest(version))
}

fn is_almighty(grant: &str) -> bool {
    let grant = grant.to_uppercase();
    grant.starts_with("GRANT ALL PRIVILEGES ON *.*")
}

/// How much room a disk has, as `df` shows it: what only root may fill counts for neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that we may still write.
    pub free: u64,
    /// Bytes that are written or may be written.
    pub all: u64,
}

impl Room {
    /// The room of the disk under a folder.
    ///
    /// # Errors
    /// The folder is not there.
    pub fn under(folder: &Path) -> std::io::Result<Self> {
        let disk = rustix::fs::statvfs(folder)?;
        let used = disk.f_blocks.saturating_sub(disk.f_bfree);
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Ok(Self {
            free: bytes(disk.f_bavail),
            all: bytes(used.saturating_add(disk.f_bavail)),
        })
    }

    /// The free share, 0 to 100.
    #[must_use]
    pub fn percent(self) -> u64 {
        u64::try_from(u128::from(self.free) * 100 / u128::from(self.all.max(1))).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_too_old_below_the_oldest_whose_sql_is_used() {
        for old in [
            "10.3.39-MariaDB-0+deb10u2",
            "5.6.51",
            "5.5.5-10.3-x",
            "10.1.48-MariaDB",
        ] {
            assert!(is_too_old(old), "{old}");
        }
        for good in [
            "10.4.0-MariaDB",
            "11.8.2-MariaDB-log",
            "5.7.44-log",
            "8.0.36",
            "unknown",
        ] {
            assert!(!is_too_old(good), "{good}");
        }
    }

    #[test]
    fn each_setting_that_loses_or_refuses_is_named_with_what_it_should_be() {
        let with = |values: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let settings: Vec<_> = values.iter().map(owned).collect();
            let wrong = wrong_of(&settings);
            wrong
                .into_iter()
                .map(|(name, _, wanted)| format!("{name}={wanted}"))
                .collect::<Vec<_>>()
        };
        let flush = "innodb_flush_log_at_trx_commit";
        assert_eq!(with(&[(flush, "2")]), ["innodb_flush_log_at_trx_commit=1"]);
        assert_eq!(
            with(&[("innodb_doublewrite", "OFF")]),
            ["innodb_doublewrite=ON"]
        );
        assert_eq!(
            with(&[("sync_binlog", "0"), ("log_bin", "ON")]),
            ["sync_binlog=1"]
        );
        let refusing = [("log_bin", "ON"), ("binlog_format", "STATEMENT")];
        assert_eq!(with(&refusing), ["binlog_format=ROW"]);
        for good in [
            &[("sync_binlog", "0"), ("log_bin", "OFF")][..],
            &[(flush, "1"), ("innodb_doublewrite", "DETECT_AND_RECOVER")],
        ] {
            assert!(with(good).is_empty(), "{good:?}");
        }
    }

    #[test]
    fn a_user_who_may_do_everything_on_the_server_is_noticed() {
        assert!(is_almighty(
            "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"
        ));
        assert!(!is_almighty(
            "GRANT ALL PRIVILEGES ON `satellite`.* TO `satellite`@`%`"
        ));
        assert!(!is_almighty("GRANT USAGE ON *.* TO `satellite`@`%`"));
    }
}
