//! Where a private server listens, and what one does with it without an async driver.
//!
//! An [`Address`] is all that a test needs of a server that somebody else started: URLs, and
//! statements sent through the `mariadb` client program. It never stops or changes the server
//! process; that is [`Server`](crate::Server)'s.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};

use crate::programs;

/// A MariaDB server on loopback whose users `satellite` and `root` need no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    port: u16,
}

impl Address {
    pub(crate) fn new(port: u16) -> Self {
        Self { port }
    }

    /// Reads what [`base`](Self::base) writes. Only the port counts.
    pub(crate) fn from_base(base: &str) -> Result<Self> {
        let port = base
            .trim_end_matches('/')
            .rsplit(':')
            .next()
            .unwrap_or_default();
        let port = port
            .parse()
            .with_context(|| format!("`{base}` is not like mysql://satellite@127.0.0.1:3306"))?;
        Ok(Self { port })
    }

    /// The TCP port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL without a database, as [`Flavor::variable`](crate::Flavor::variable) holds it.
    #[must_use]
    pub fn base(&self) -> String {
        format!("mysql://satellite@127.0.0.1:{}", self.port)
    }

    /// The URL of a database for the user `satellite`, who has every right inside databases
    /// and none over the server: what needs SUPER fails with this URL.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.base())
    }

    /// The URL of a database for `root`: for what an administrator does, such as ending
    /// another connection or reading the server's status.
    #[must_use]
    pub fn root_url(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs statements as `root` through the `mariadb` client and returns what it prints:
    /// one line a row, columns separated by tabs, no header.
    ///
    /// # Errors
    /// The client is not installed, the server cannot be reached within 10 s, or a statement
    /// failed (the text is the client's own).
    pub fn sql(&self, statements: &str) -> Result<String> {
        let mut client = Command::new(programs::find("mariadb")?)
            .args(["--no-defaults", "--protocol=TCP", "--host=127.0.0.1"])
            .arg(format!("--port={}", self.port))
            .args(["--user=root", "--connect-timeout=10", "--local-infile=1"])
            .args([
                "--default-character-set=utf8mb4",
                "--batch",
                "--skip-column-names",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("the program mariadb did not start")?;
        let written = match client.stdin.take() {
            Some(mut stdin) => stdin.write_all(statements.as_bytes()),
            None => Ok(()),
        };
        let output = client
            .wait_with_output()
            .context("the program mariadb was lost")?;
        // The client's own error says more than the broken pipe that it leaves behind.
        if !output.status.success() {
            bail!(
                "mariadb: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        written.context("the statements did not reach the program mariadb")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Creates a database with the server's default character set.
    ///
    /// # Errors
    /// It exists already, the name holds a backtick, or as [`sql`](Self::sql).
    pub fn create_database(&self, name: &str) -> Result<()> {
        ensure!(
            !name.contains('`'),
            "a database name cannot hold a backtick: {name}"
        );
        self.sql(&format!("CREATE DATABASE `{name}`;"))?;
        Ok(())
    }

    /// Creates an empty database of a name that no other test of this run has, and returns
    /// the name: `prefix`, the process and a running number.
    ///
    /// # Errors
    /// As [`create_database`](Self::create_database).
    pub fn fresh_database(&self, prefix: &str) -> Result<String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}_{}_{number}", std::process::id());
        self.create_database(&name)?;
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_environment() {
        let address = Address::new(23456);
        assert_eq!(address.base(), "mysql://satellite@127.0.0.1:23456");
        assert_eq!(Address::from_base(&address.base()).unwrap(), address);
        assert_eq!(
            Address::from_base("mysql://satellite@127.0.0.1:23456/").unwrap(),
            address
        );
        assert_eq!(
            address.url("acme"),
            "mysql://satellite@127.0.0.1:23456/acme"
        );
        assert_eq!(
            address.root_url("acme"),
            "mysql://root@127.0.0.1:23456/acme"
        );
    }

    #[test]
    fn an_address_without_a_port_is_refused_with_an_example() {
        let error = Address::from_base("mysql://satellite@localhost")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("mysql://satellite@127.0.0.1:3306"),
            "{error}"
        );
    }
}
