//! One `mariadbd` process: start, the faults that tests inject, and its end.
//!
//! Readiness is the server's greeting on the socket in its own directory, never a TCP connect:
//! another server may hold the port that we picked. The port is kept over a restart, because
//! clients under test come back to the same address.

use std::collections::hash_map::RandomState;
use std::fs::{self, OpenOptions};
use std::hash::BuildHasher as _;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::guard::Guard;
use crate::{Address, Flavor, nap, programs, template};

/// How long a start may take. Recovery after a kill under load is part of it.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long an orderly stop may take before the process is killed.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Ports below the range that Linux gives to outgoing connections, so that no client under
/// test can sit on the port while the server is down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How often a start is tried again when its port turns out to be taken.
const ATTEMPTS: usize = 8;
/// The length that the kernel allows for the path of a Unix socket, with its closing NUL.
const SOCKET_PATH_MAX: usize = 108;

/// The users that tests log in as. It runs at every start, before the first connection.
///
/// `satellite` may do everything inside databases and nothing with the server, so that a
/// statement which needs SUPER fails in the tests and not at a customer's.
const USERS: &str = "\
CREATE USER IF NOT EXISTS root@'127.0.0.1';
GRANT ALL PRIVILEGES ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS satellite@'127.0.0.1';
GRANT ALL PRIVILEGES ON `%`.* TO satellite@'127.0.0.1';
";

/// A running (or killed, or stopped) private server. Dropping it ends the process at once and
/// removes its directory.
#[derive(Debug)]
pub struct Server {
    flavor: Flavor,
    address: Address,
    room: Mutex<Room>,
}

/// The directory, the guard over it, and the process while there is one.
#[derive(Debug)]
struct Room {
    guard: Guard,
    process: Option<Child>,
    as_root: bool,
}

impl Server {
    /// Starts a server on empty data and waits until it takes connections.
    ///
    /// The data stands below `TMPDIR` (or `/tmp`): point it at a real disk for figures.
    ///
    /// # Errors
    /// MariaDB is not installed (the text says what to run), or the server did not come up
    /// within 120 s (the text holds the end of its error log).
    pub fn start(flavor: Flavor) -> Result<Self> {
        programs::find("mariadbd")?;
        let guard = Guard::new()?;
        let directory = guard.directory();
        // The owner of what we just made is who we are.
        let as_root = fs::metadata(directory)
            .context("the directory is gone")?
            .uid()
            == 0;
        template::lay_out(&directory.join("data"), as_root)?;
        fs::write(directory.join("users.sql"), USERS).context("cannot write users.sql")?;
        let mut room = Room {
            guard,
            process: None,
            as_root,
        };
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let port = free_port()?;
            match room.launch(flavor, port) {
                Ok(()) => {
                    let address = Address::new(port);
                    return Ok(Self {
                        flavor,
                        address,
                        room: Mutex::new(room),
                    });
                }
                Err(error) if room.port_was_taken() => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.context("no port was tried")?).context("no free port was found")
    }

    /// Where it listens, for whoever needs no more than that.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How it is set up.
    #[must_use]
    pub fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// The TCP port on 127.0.0.1; the same over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// See [`Address::url`].
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.address.url(database)
    }

    /// See [`Address::root_url`].
    #[must_use]
    pub fn root_url(&self, database: &str) -> String {
        self.address.root_url(database)
    }

    /// See [`Address::sql`].
    ///
    /// # Errors
    /// As there.
    pub fn sql(&self, statements: &str) -> Result<String> {
        self.address.sql(statements)
    }

    /// See [`Address::create_database`].
    ///
    /// # Errors
    /// As there.
    pub fn create_database(&self, name: &str) -> Result<()> {
        self.address.create_database(name)
    }

    /// The process id while it runs: for reading its memory and processor time.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.room().process.as_ref().map(Child::id)
    }

    /// The folder of its data, for tests that put it on a disk of their own while it is stopped.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.room().file("data")
    }

    /// Ends the process where it is (SIGKILL); the data stays for [`restart`](Self::restart).
    ///
    /// # Errors
    /// It is not running.
    pub fn kill9(&self) -> Result<()> {
        let mut room = self.room();
        ensure!(room.process.is_some(), "the server is not running");
        room.kill()
    }

    /// Starts it again on the same data and the same port and waits until it takes
    /// connections; a running one is stopped in an orderly way first.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&self) -> Result<()> {
        let mut room = self.room();
        if room.process.is_some() {
            room.stop()?;
        }
        let mut attempt = 1;
        loop {
            match room.launch(self.flavor, self.address.port()) {
                Err(_) if room.port_was_taken() && attempt < ATTEMPTS => {
                    attempt += 1;
                    nap(Duration::from_millis(500));
                }
                done => return done,
            }
        }
    }

    /// Stops the process without ending it (SIGSTOP): connections stay open and hang.
    ///
    /// # Errors
    /// It is not running.
    pub fn pause(&self) -> Result<()> {
        self.room().signal("STOP")
    }

    /// Lets a paused process go on (SIGCONT).
    ///
    /// # Errors
    /// It is not running.
    pub fn resume(&self) -> Result<()> {
        self.room().signal("CONT")
    }

    /// Ends the process in an orderly way (SIGTERM), killing it after 60 s; the data stays.
    ///
    /// # Errors
    /// It is not running.
    pub fn stop(&self) -> Result<()> {
        self.room().stop()
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut room = self.room();
        if room.process.is_some() {
            // The guard, dropped next, ends whatever this could not.
            room.kill().ok();
        }
    }
}

impl Room {
    fn file(&self, name: &str) -> PathBuf {
        self.guard.directory().join(name)
    }

    /// Starts the process and waits until it greets. On failure no process is left.
    fn launch(&mut self, flavor: Flavor, port: u16) -> Result<()> {
        let process = self
            .command(flavor, port)?
            .spawn()
            .context("mariadbd did not start")?;
        self.guard.watch(Some(process.id()))?;
        self.process = Some(process);
        let Err(error) = self.wait_for_greeting() else {
            return Ok(());
        };
        self.kill()?;
        Err(error)
    }

    fn command(&self, flavor: Flavor, port: u16) -> Result<Command> {
        let socket = self.file("s");
        ensure!(
            socket.as_os_str().len() < SOCKET_PATH_MAX,
            "{} is too long for a socket: set TMPDIR to a shorter path",
            socket.display()
        );
        // Emptied at each start: what it holds afterwards is about this start.
        let log = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(self.file("error.log"))
            .context("cannot write the server's error log")?;
        let with_path = |option: &str, path: &Path| format!("--{option}={}", path.display());
        let mut command = Command::new(programs::find("mariadbd")?);
        command
            .arg("--no-defaults")
            .arg(with_path("datadir", &self.file("data")))
            .arg(with_path("socket", &socket))
            .arg(with_path("pid-file", &self.file("pid")))
            .arg(with_path("init-file", &self.file("users.sql")))
            .arg(with_path("tmpdir", self.guard.directory()))
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--port={port}"))
            .arg("--skip-name-resolve")
            .args(flavor.options())
            .current_dir(self.guard.directory())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Its own group: Ctrl-C at a terminal ends the owner, and the guard ends this.
            .process_group(0);
        if self.as_root {
            command.arg("--user=root");
        }
        Ok(command)
    }

    fn wait_for_greeting(&mut self) -> Result<()> {
        let socket = self.file("s");
        let start = Instant::now();
        loop {
            if greets(&socket) {
                return Ok(());
            }
            let process = self.process.as_mut().context("the server is not running")?;
            if let Some(status) = process.try_wait().context("the server was lost")? {
                bail!(
                    "mariadbd ended ({status}); its error log ends with:\n{}",
                    self.log_end()
                );
            }
            if start.elapsed() > START_LIMIT {
                let seconds = START_LIMIT.as_secs();
                bail!(
                    "mariadbd took no connection within {seconds} s; its error log ends with:\n{}",
                    self.log_end()
                );
            }
            nap(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        let bytes = fs::read(self.file("error.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines of the error log.
    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Whether the last start failed because somebody else holds the port.
    fn port_was_taken(&self) -> bool {
        self.log().contains("Address already in use")
    }

    /// Sends a signal by name. The shell's own `kill` is used: it is on every machine.
    fn signal(&self, name: &str) -> Result<()> {
        let process = self.process.as_ref().context("the server is not running")?;
        let status = Command::new("/bin/sh")
            .args([
                "-c",
                r#"kill -s "$1" "$2""#,
                "kill",
                name,
                &process.id().to_string(),
            ])
            .status()
            .context("/bin/sh did not start")?;
        ensure!(status.success(), "SIG{name} did not reach the server");
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        process.kill().context("the server could not be killed")?;
        process.wait().context("the server was lost")?;
        self.guard.watch(None)
    }

    fn stop(&mut self) -> Result<()> {
        self.signal("TERM")?;
        // A paused process hears SIGTERM only when it goes on.
        self.signal("CONT")?;
        let start = Instant::now();
        while start.elapsed() < STOP_LIMIT {
            let process = self.process.as_mut().context("the server is not running")?;
            if process.try_wait().context("the server was lost")?.is_some() {
                self.process = None;
                return self.guard.watch(None);
            }
            nap(Duration::from_millis(20));
        }
        self.kill()
    }
}

/// Whether a server answers on the socket: the first packet of the protocol is its greeting,
/// whose fifth byte is the protocol's version, 10 (an error packet has 255 there).
fn greets(socket: &Path) -> bool {
    let greeting = || -> std::io::Result<u8> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut start = [0; 5];
        stream.read_exact(&mut start)?;
        Ok(start[4])
    };
    greeting().is_ok_and(|version| version == 10)
}

/// A port that nobody listens on at this moment. Whoever binds it may find it taken all the
/// same and asks again.
fn free_port() -> Result<u16> {
    let width = u64::from(PORTS.end - PORTS.start);
    for _ in 0..200 {
        // A fresh hash key is the standard library's only source of randomness.
        let offset = RandomState::new().hash_one(()) % width;
        let port = PORTS.start + u16::try_from(offset).unwrap_or_default();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!(
        "no free port on 127.0.0.1 between {} and {}",
        PORTS.start,
        PORTS.end
    )
}
