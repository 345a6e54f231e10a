//! The program `satellite` as a process: its configuration, its commands, its life and death.
//!
//! The program is the one named by `SATELLITE_BIN`, else the one that cargo built beside this
//! test. Its configuration, its state and everything it prints are in a temporary folder that
//! ends with the value; when a test fails, the end of what it printed is shown. Only processes
//! that were started here are ever signalled.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::http::{self, Reply};
use crate::metrics;
use crate::place::Place;

/// Ports for the doors. Below the range from which systems take ports for outgoing connections:
/// while satellite is dead, terminals try its port, and a port out of that range could be given
/// to such a try, which then connects to itself and keeps satellite from coming back.
const PORTS: Range<u16> = 10_000..20_000;
/// The locks by which the ports of this process are its own until it ends.
static CLAIMS: Mutex<Vec<File>> = Mutex::new(Vec::new());
/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long an orderly end may take before it counts as hung.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Lines of its output that a failure shows.
const LOG_SHOWN: usize = 60;

/// A tenant in the configuration. All are in the zone America/Mexico_City.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The id.
    pub id: String,
    /// Its own event database, if it has one.
    pub own: Option<Place>,
}

/// What a satellite is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The registry's database, and that of tenants without one of their own.
    pub store: Place,
    /// The tenants; at least one.
    pub tenants: Vec<Tenant>,
    /// Terminals that are enrolled before the first start: serial and tenant.
    pub terminals: Vec<(String, String)>,
    /// Further lines of the configuration, whole tables.
    pub more: String,
    /// Further keys of every tenant, whole lines.
    pub of_tenants: String,
    /// The address at which terminals are awaited.
    pub address: Ipv4Addr,
}

impl Setup {
    /// One tenant, `acme`, whose events are in `store`.
    #[must_use]
    pub fn new(store: Place) -> Self {
        Self {
            store,
            tenants: vec![Tenant {
                id: "acme".to_owned(),
                own: None,
            }],
            terminals: Vec::new(),
            more: String::new(),
            of_tenants: String::new(),
            address: Ipv4Addr::LOCALHOST,
        }
    }

    /// Takes these serials as the first tenant's.
    #[must_use]
    pub fn enrol<S: Into<String>>(mut self, serials: impl IntoIterator<Item = S>) -> Self {
        let tenant = self.tenants.first().map_or("acme", |tenant| &tenant.id);
        let tenant = tenant.to_owned();
        let pairs = serials
            .into_iter()
            .map(|serial| (serial.into(), tenant.clone()));
        self.terminals.extend(pairs);
        self
    }

    fn text(&self, state: &Path, devices: SocketAddr, admin: SocketAddr) -> String {
        let mut text = format!(
            "state_dir = \"{}\"\n\n[listen]\ndevices = \"{devices}\"\nadmin = \"{admin}\"\n\n\
             [store]\nurl = \"{}\"\n\n{}\n",
            state.display(),
            self.store.url(),
            self.more
        );
        for tenant in &self.tenants {
            text += &format!(
                "\n[[tenant]]\nid = \"{}\"\nname = \"Tenant {}\"\ntime_zone = \"America/Mexico_City\"\n",
                tenant.id, tenant.id
            );
            text += &self.of_tenants;
            if let Some(own) = &tenant.own {
                text += &format!("url = \"{}\"\n", own.url());
            }
        }
        text
    }
}

/// A satellite of our own, running or not. Dropping it kills the process.
pub struct SatelliteProcess {
    program: PathBuf,
    folder: TempDir,
    devices: SocketAddr,
    admin: SocketAddr,
    child: Option<Child>,
}

impl SatelliteProcess {
    /// Writes the configuration, makes the tables, enrols the terminals, starts the daemon and
    /// waits until it is ready.
    ///
    /// # Errors
    /// The program is not built, a command failed, or it is not ready within 30 s; the end of
    /// what it printed is in the error.
    pub async fn start(setup: &Setup) -> Result<Self> {
        let mut satellite = Self::prepare(setup).await?;
        satellite.run().await?;
        Ok(satellite)
    }

    /// As [`start`](Self::start), without starting the daemon.
    ///
    /// # Errors
    /// As there.
    pub async fn prepare(setup: &Setup) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let state = folder.path().join("state");
        fs::create_dir(&state)?;
        let (devices, admin) = (free_port()?, free_port()?);
        let devices = SocketAddr::from((setup.address, devices.port()));
        let satellite = Self {
            program: program()?,
            folder,
            devices,
            admin,
            child: None,
        };
        fs::write(satellite.config(), setup.text(&state, devices, admin))?;
        satellite.command(["db", "migrate"]).await?;
        if !setup.terminals.is_empty() {
            let file = satellite.folder().join("terminals.csv");
            let mut table = String::from("serial,tenant\n");
            for (serial, tenant) in &setup.terminals {
                table += &format!("{serial},{tenant}\n");
            }
            fs::write(&file, table)?;
            let import = [
                OsStr::new("devices"),
                OsStr::new("import"),
                file.as_os_str(),
            ];
            satellite.command(import).await?;
        }
        Ok(satellite)
    }

    /// Starts the daemon and waits until `/readyz` says so; returns how long that took.
    ///
    /// # Errors
    /// It runs already, ends at once, or is not ready within 30 s.
    pub async fn run(&mut self) -> Result<Duration> {
        let begin = Instant::now();
        self.launch()?;
        self.wait_until("ready", async |satellite: &Self| {
            satellite
                .admin("/readyz")
                .await
                .is_ok_and(|reply| reply.status == 200)
        })
        .await?;
        Ok(begin.elapsed())
    }

    /// Starts the daemon and waits only until terminals are heard, whatever the databases do.
    ///
    /// # Errors
    /// It runs already, ends at once, or hears nobody within 30 s.
    pub async fn run_until_heard(&mut self) -> Result<Duration> {
        let begin = Instant::now();
        self.launch()?;
        self.wait_until("heard", async |satellite: &Self| {
            let ping = http::get("/iclock/ping?SN=HEARD1");
            http::exchange(satellite.devices, &ping).await.is_ok()
        })
        .await?;
        Ok(begin.elapsed())
    }

    /// Starts the daemon and waits for nothing.
    ///
    /// # Errors
    /// It runs already, or the program cannot be started.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "satellite runs already");
        let log = || {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(self.log_file())
        };
        let child = Command::new(&self.program)
            .arg("run")
            .arg("--config")
            .arg(self.config())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log()?)
            .stderr(log()?)
            .kill_on_drop(true)
            .spawn()
            .context("satellite did not start")?;
        self.child = Some(child);
        Ok(())
    }

    async fn wait_until(&mut self, what: &str, is_so: impl AsyncFn(&Self) -> bool) -> Result<()> {
        let begin = Instant::now();
        while !is_so(self).await {
            let child = self.child.as_mut().context("satellite is not running")?;
            if let Some(status) = child.try_wait()? {
                bail!(
                    "satellite ended ({status}) instead of getting {what}:\n{}",
                    self.log_end()
                );
            }
            if begin.elapsed() > START_LIMIT {
                let seconds = START_LIMIT.as_secs();
                bail!(
                    "satellite is not {what} after {seconds} s:\n{}",
                    self.log_end()
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Ends the process as a crash does (SIGKILL).
    ///
    /// # Errors
    /// It was not running: then nothing was killed, and the test tried less than it claims.
    pub async fn kill9(&mut self) -> Result<()> {
        let mut child = self.child.take().context("satellite is not running")?;
        if let Some(status) = child.try_wait()? {
            bail!("satellite ended by itself ({status}):\n{}", self.log_end());
        }
        child.kill().await.context("satellite could not be killed")
    }

    /// Sends SIGTERM and returns at once.
    ///
    /// # Errors
    /// It is not running.
    pub async fn send_term(&self) -> Result<()> {
        self.send_signal("TERM").await
    }

    /// Sends a signal by its name (`STOP`, `CONT`) and returns at once.
    ///
    /// # Errors
    /// It is not running.
    pub async fn send_signal(&self, name: &str) -> Result<()> {
        let child = self.child.as_ref().context("satellite is not running")?;
        let id = child.id().context("satellite has ended")?.to_string();
        // The shell's own `kill` is used: it is on every machine.
        let status = Command::new("/bin/sh")
            .args(["-c", r#"kill -s "$1" "$2""#, "kill", name, &id])
            .status()
            .await
            .context("/bin/sh did not start")?;
        ensure!(status.success(), "SIG{name} did not reach satellite");
        Ok(())
    }

    /// From its next start on the daemon ignores this signal, as whoever starts it may decide.
    ///
    /// # Errors
    /// The temporary folder takes no file.
    pub fn is_deaf_to(&mut self, signal: &str) -> Result<()> {
        let script = self.folder().join("deaf");
        let program = self.program.display();
        fs::write(
            &script,
            format!("#!/bin/sh\ntrap '' {signal}\nexec '{program}' \"$@\"\n"),
        )?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        self.program = script;
        Ok(())
    }

    /// The program that is run.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The process's number, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// The operators' door.
    #[must_use]
    pub fn admin_door(&self) -> SocketAddr {
        self.admin
    }

    /// Waits for the process to end.
    ///
    /// # Errors
    /// It is not running, or has not ended within 30 s.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("satellite is not running")?;
        let Ok(status) = tokio::time::timeout(STOP_LIMIT, child.wait()).await else {
            bail!(
                "satellite has not ended within {} s:\n{}",
                STOP_LIMIT.as_secs(),
                self.log_end()
            );
        };
        self.child = None;
        Ok(status?)
    }

    /// Ends it in an orderly way (SIGTERM) and waits.
    ///
    /// # Errors
    /// It is not running, hangs, or its exit status is not 0.
    pub async fn terminate(&mut self) -> Result<Duration> {
        let begin = Instant::now();
        self.send_term().await?;
        let status = self.ended().await?;
        ensure!(
            status.success(),
            "satellite ended with {status}:\n{}",
            self.log_end()
        );
        Ok(begin.elapsed())
    }

    /// True while the process that was started last lives.
    pub fn is_alive(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Runs a command of the program with this configuration and returns what it printed.
    ///
    /// # Errors
    /// It cannot be started or its exit status is not 0.
    pub async fn command<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let arguments: Vec<S> = arguments.into_iter().collect();
        let shown = arguments.iter().map(|word| word.as_ref().to_string_lossy());
        let shown = shown.collect::<Vec<_>>().join(" ");
        let output = self.output(&self.config(), &arguments).await?;
        ensure!(
            output.status.success(),
            "`satellite {shown}` ended with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command and returns what it printed, whatever its exit status.
    ///
    /// # Errors
    /// It cannot be started, or does not end.
    pub async fn said<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        self.said_with(&self.config(), arguments).await
    }

    /// The same with another configuration.
    ///
    /// # Errors
    /// As for [`Self::said`].
    pub async fn said_with<S: AsRef<OsStr>>(&self, file: &Path, arguments: &[S]) -> Result<String> {
        let output = self.output(file, arguments).await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A command below `backup` with this configuration, to be started; killed when it is dropped.
    #[must_use]
    pub fn backup(&self, words: &[&str]) -> Command {
        self.order(&[&["backup"], words].concat())
    }

    /// A command with this configuration, to be started; killed when it is dropped.
    #[must_use]
    pub fn order(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words);
        command.arg("--config").arg(self.config());
        command.current_dir(self.folder.path()).kill_on_drop(true);
        command
    }

    async fn output<S: AsRef<OsStr>>(&self, file: &Path, arguments: &[S]) -> Result<Output> {
        let running = Command::new(&self.program)
            .args(arguments)
            .arg("--config")
            .arg(file)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let limited = tokio::time::timeout(Duration::from_secs(60), running).await;
        limited
            .context("the command has not ended within 60 s")?
            .context("satellite did not start")
    }

    /// Sends a whole request to the terminals' door.
    ///
    /// # Errors
    /// See [`http::exchange`].
    pub async fn send(&self, request: &[u8]) -> Result<Reply> {
        http::exchange(self.devices, request).await
    }

    /// Asks the operators' door.
    ///
    /// # Errors
    /// See [`http::exchange`].
    pub async fn admin(&self, path: &str) -> Result<Reply> {
        http::exchange(self.admin, &http::get(path)).await
    }

    /// The sum of the samples of a metric with these labels.
    ///
    /// # Errors
    /// The metrics cannot be read or there is no such sample.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let text = self.admin("/metrics").await?.body;
        let sum = metrics::sum_of(&text, name, labels);
        sum.with_context(|| format!("/metrics has no {name} with {labels:?}:\n{text}"))
    }

    /// The terminals' door.
    #[must_use]
    pub fn devices(&self) -> SocketAddr {
        self.devices
    }

    /// Where operators are served.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The folder of its configuration and state; gone with this value.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything that it has printed so far, over all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The end of what it wrote.
    #[must_use]
    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_SHOWN)..].join("\n")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("satellite.toml")
    }
}

impl Drop for SatelliteProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("satellite printed at last:\n{}", self.log_end());
        }
    }
}

/// The program: named by `SATELLITE_BIN`, else built by cargo into the folder above this test, or
/// beside this program where it is no test.
fn program() -> Result<PathBuf> {
    let named = std::env::var_os("SATELLITE_BIN").map(PathBuf::from);
    let own = std::env::current_exe().context("this program does not know its own path")?;
    let built = own.ancestors().skip(1).take(2);
    let mut built = built.map(|folder| folder.join("satellite"));
    match named.or_else(|| built.find(|program| program.is_file())) {
        Some(program) if program.is_file() => Ok(program),
        _ => bail!("the program satellite is not built: run `cargo xtask test`"),
    }
}

/// A port of 127.0.0.1 that nobody listens on, and that no other test gets while this process
/// lives: between the choice and the first listening, and while a program is down, a neighbour
/// that took it would hear what is meant for us.
///
/// # Errors
/// Every port tried is taken.
pub fn free_port() -> Result<SocketAddr> {
    let width = u64::from(PORTS.end - PORTS.start);
    let user = fs::metadata("/proc/self")?.uid();
    let folder = std::env::temp_dir().join(format!("satellite-test-ports-{user}"));
    fs::create_dir_all(&folder)?;
    for _ in 0..200 {
        let offset = RandomState::new().hash_one(()) % width;
        let port = PORTS.start + u16::try_from(offset).unwrap_or_default();
        let claim = File::create(folder.join(port.to_string()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if claim.try_lock().is_ok() && TcpListener::bind(address).is_ok() {
            let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
            claims.push(claim);
            return Ok(address);
        }
    }
    bail!(
        "no free port on 127.0.0.1 between {} and {}",
        PORTS.start,
        PORTS.end
    )
}
