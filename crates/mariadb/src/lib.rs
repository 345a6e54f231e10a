//! A private MariaDB server for tests and figures.
//!
//! [`Server::start`] gives a real `mariadbd` of its own: data in a temporary directory, a
//! free port on loopback, no option file of the machine read. It can be killed, paused and
//! started again on the same data, and it is gone with its directory when the value is
//! dropped, also when the process that holds it dies. [`shared`] gives the server that all
//! tests of one run use together.
//!
//! Only tests, benches and `cargo xtask` use this crate. It blocks the calling thread, it
//! never touches a server that it did not start, and it must stay small (the standard library
//! and anyhow), because `cargo xtask` is what a newcomer waits for first.

mod address;
mod guard;
mod programs;
mod server;
mod template;

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

pub use address::Address;
pub use programs::installed;
pub use server::Server;

/// How a private server is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// What production asks for: every commit reaches the disk before it is answered
    /// (`innodb_flush_log_at_trx_commit=1`, `sync_binlog=1`, binary log on), strict SQL mode,
    /// utf8mb4, a buffer pool of 256 MiB.
    Durable,
    /// A small shared host: packets of 1 MiB, a buffer pool of 16 MiB, 151 connections,
    /// non-strict SQL mode and latin1 as the default character set. Commits are durable.
    Xampp,
}

impl Flavor {
    /// Both flavours, in the order in which a test-suite runs them.
    pub const ALL: [Self; 2] = [Self::Durable, Self::Xampp];

    /// The short name, as it stands in headings and error texts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Xampp => "xampp",
        }
    }

    /// The environment variable that names a server of this flavour which already runs, as
    /// `mysql://satellite@127.0.0.1:PORT`. `cargo xtask test` sets it; [`shared`] reads it.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Durable => "SATELLITE_TEST_MARIADB_DURABLE",
            Self::Xampp => "SATELLITE_TEST_MARIADB_XAMPP",
        }
    }

    /// The server options that make the flavour. No option here is newer than MariaDB 10.4.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Durable => &[
                "--innodb-flush-log-at-trx-commit=1",
                "--log-bin=binlog",
                "--server-id=1",
                "--sync-binlog=1",
                "--innodb-buffer-pool-size=256M",
                "--character-set-server=utf8mb4",
                "--collation-server=utf8mb4_general_ci",
            ],
            Self::Xampp => &[
                "--innodb-flush-log-at-trx-commit=1",
                "--max-allowed-packet=1M",
                "--innodb-buffer-pool-size=16M",
                "--innodb-log-file-size=5M",
                "--max-connections=151",
                "--sql-mode=",
                "--character-set-server=latin1",
                "--collation-server=latin1_swedish_ci",
            ],
        }
    }
}

/// The server of this flavour that all tests of a run share.
///
/// It is the one named by [`Flavor::variable`] when that is set, otherwise one that this
/// process starts at the first call and keeps to its end. Tests that kill or pause a server
/// start their own with [`Server::start`].
///
/// # Errors
/// The variable does not hold an address, or the server could not be started (the same error
/// at every later call, because the attempt is not repeated).
pub fn shared(flavor: Flavor) -> Result<Address> {
    if let Ok(base) = std::env::var(flavor.variable()) {
        return Address::from_base(&base)
            .with_context(|| format!("the variable {} is wrong", flavor.variable()));
    }
    static DURABLE: OnceLock<Result<Server>> = OnceLock::new();
    static XAMPP: OnceLock<Result<Server>> = OnceLock::new();
    let own = match flavor {
        Flavor::Durable => &DURABLE,
        Flavor::Xampp => &XAMPP,
    };
    // A static is never dropped: the server's guard ends it when this process ends.
    match own.get_or_init(|| Server::start(flavor)) {
        Ok(server) => Ok(server.address().clone()),
        Err(error) => Err(anyhow!("{error:#}")),
    }
}

/// Waits. The one place where this crate blocks on time.
#[expect(
    clippy::disallowed_methods,
    reason = "this crate is blocking by contract"
)]
fn nap(time: Duration) {
    std::thread::sleep(time);
}
