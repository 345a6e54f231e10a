//! The real `satellite` program as a process of its own: configuration, start, commands, end.
//!
//! It is the program that stands beside this one (`target/release/satellite`), so that both are
//! of one build. Its state and its log are in a temporary folder that ends with the value.
//! Nothing here looks inside; what is measured comes from `/proc` and from the terminals.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use terminals::Target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixDatagram;

/// How long a start may take; two hundred migrations are part of it.
const START_LIMIT: Duration = Duration::from_secs(300);
/// A running satellite notices a change of enrolment within this time.
pub(crate) const NOTICED_WITHIN: Duration = Duration::from_secs(10);
/// How long an orderly end may take.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running satellite. Dropping it kills the process.
pub(crate) struct Satellite {
    child: Child,
    folder: TempDir,
    devices: u16,
    admin: u16,
}

/// What a process has allocated since its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
}

impl Satellite {
    /// Starts it and waits until it is ready. `stores` is the rest of the configuration:
    /// `[store]` and `[[tenant]]`.
    pub(crate) async fn start(stores: &str) -> Result<Self> {
        Self::start_as(stores, |folder| spawn(folder, None)).await
    }

    /// The same daemon with an allocator that counts.
    pub(crate) async fn start_counted(stores: &str) -> Result<Self> {
        Self::start_as(stores, |folder| {
            let mut command = Command::new(beside("counted")?);
            command.arg(folder.join("satellite.toml"));
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            start(command, folder)
        })
        .await
    }

    async fn start_as(stores: &str, spawn: impl Fn(&Path) -> Result<Child>) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let (devices, admin) = (free_port()?, free_port()?);
        let state = folder.path().join("state");
        std::fs::create_dir(&state)?;
        let config = format!(
            "state_dir = \"{}\"\n\
             [listen]\ndevices = \"127.0.0.1:{devices}\"\nadmin = \"127.0.0.1:{admin}\"\n\
             [limits]\nconnections = 20000\nconnections_per_address = 20000\nrequests_per_address = 1000000\nrequests_per_serial = 1000000\n{stores}",
            state.display()
        );
        std::fs::write(folder.path().join("satellite.toml"), config)?;
        let child = spawn(folder.path())?;
        let mut satellite = Self {
            child,
            folder,
            devices,
            admin,
        };
        satellite.wait_until_ready().await?;
        Ok(satellite)
    }

    /// Ends it as a crash does (SIGKILL), starts it again at once with what is on disk, and
    /// waits until it is ready.
    pub(crate) async fn kill_and_start(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("satellite ended with {status}: {}", self.log_end());
        }
        self.child.kill()?;
        self.child.wait()?;
        self.child = spawn(self.folder.path(), None)?;
        self.wait_until_ready().await
    }

    /// Ends it in an orderly way and starts it again; how long it takes from the start of the
    /// process until it tells systemd `READY=1`.
    pub(crate) async fn start_again(&mut self) -> Result<Duration> {
        self.end().await?;
        let path = self.folder.path().join("notify");
        std::fs::remove_file(&path).ok();
        let socket = UnixDatagram::bind(&path)?;
        let begin = Instant::now();
        self.child = spawn(self.folder.path(), Some(&path))?;
        let told = async {
            let mut buffer = [0; 1024];
            loop {
                let n = socket.recv(&mut buffer).await?;
                let said = String::from_utf8_lossy(buffer.get(..n).unwrap_or_default());
                if said.lines().any(|line| line == "READY=1") {
                    return anyhow::Ok(begin.elapsed());
                }
            }
        };
        tokio::time::timeout(START_LIMIT, told)
            .await
            .with_context(|| format!("READY=1 was not told: {}", self.log_end()))?
    }

    /// What `/metrics` says.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let (status, body) = ask(self.admin, "/metrics").await?;
        ensure!(status == 200, "/metrics answers {status}");
        Ok(body)
    }

    /// What a page of its admin door answers, and how long that took.
    pub(crate) async fn page(&self, path: &str) -> Result<(String, Duration)> {
        let begin = Instant::now();
        let (status, body) = ask(self.admin, path).await?;
        ensure!(status == 200, "{path} answers {status}");
        Ok((body, begin.elapsed()))
    }

    /// What it has allocated so far. Only one that was started to count answers.
    pub(crate) fn counts(&mut self) -> Result<Counts> {
        let (Some(input), Some(output)) = (&mut self.child.stdin, &mut self.child.stdout) else {
            bail!("this satellite does not count");
        };
        writeln!(input)?;
        let mut line = String::new();
        // It answers one line for one question, so that nothing is lost in the buffer.
        BufReader::new(output).read_line(&mut line)?;
        let (allocations, bytes) = line.trim().split_once(' ').context("no counts came back")?;
        Ok(Counts {
            allocations: allocations.parse()?,
            bytes: bytes.parse()?,
        })
    }

    /// The folder of its configuration, state and log.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process, for `/proc`.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Where terminals go.
    pub(crate) fn target(&self) -> Result<Target> {
        let address = format!("http://127.0.0.1:{}", self.devices);
        address
            .parse()
            .map_err(|why| anyhow::anyhow!("{address}: {why}"))
    }

    /// A command of the same program with the same configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program()?);
        command
            .args(arguments)
            .arg("--config")
            .arg(self.folder.path().join("satellite.toml"))
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Enrols terminals (serial and tenant), as an operator does with a list, and gives the
    /// running program the time it takes to notice.
    pub(crate) async fn enrol(
        &self,
        terminals: impl Iterator<Item = (String, String)>,
    ) -> Result<()> {
        let lines: String = terminals
            .map(|(serial, tenant)| format!("{serial},{tenant}\n"))
            .collect();
        let file = self.folder.path().join("terminals.csv");
        std::fs::write(&file, format!("serial,tenant\n{lines}"))?;
        let file = file
            .to_str()
            .context("the temporary folder has no plain name")?;
        let output = self.command(&["devices", "import", file])?.output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "`satellite devices import`: {told}"
        );
        tokio::time::sleep(NOTICED_WITHIN).await;
        Ok(())
    }

    /// Ends it in an orderly way.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.end().await
    }

    async fn end(&mut self) -> Result<()> {
        let process = self.process_id().to_string();
        Command::new("kill").args(["-TERM", &process]).status()?;
        let begin = Instant::now();
        while begin.elapsed() < STOP_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                ensure!(
                    status.success(),
                    "satellite ended with {status}: {}",
                    self.log_end()
                );
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("satellite did not end within {} s", STOP_LIMIT.as_secs())
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < START_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                bail!("satellite ended with {status}: {}", self.log_end());
            }
            if is_ready(self.admin).await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "satellite was not ready within {} s: {}",
            START_LIMIT.as_secs(),
            self.log_end()
        )
    }

    /// The last lines of its log.
    pub(crate) fn log_end(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines
            .get(lines.len().saturating_sub(15)..)
            .unwrap_or_default()
            .join("\n")
    }
}

impl Drop for Satellite {
    fn drop(&mut self) {
        // It may have ended by itself already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The released program.
pub(crate) fn program() -> Result<PathBuf> {
    beside("satellite")
}

/// The program of that name that stands beside this one.
fn beside(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    ensure!(
        program.exists(),
        "{} is missing: run `cargo build --release -p satellite -p benches`",
        program.display()
    );
    Ok(program)
}

/// Starts the program on the configuration in that folder, as systemd does where it may tell how it
/// is; its log goes on where it was.
fn spawn(folder: &Path, notify: Option<&Path>) -> Result<Child> {
    let mut command = Command::new(program()?);
    if let Some(notify) = notify {
        command.env("NOTIFY_SOCKET", notify);
    }
    command
        .args(["run", "--config"])
        .arg(folder.join("satellite.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    start(command, folder)
}

fn start(mut command: Command, folder: &Path) -> Result<Child> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))?;
    command
        .env("RUST_LOG", "warn")
        .stderr(log)
        .spawn()
        .context("satellite did not start")
}

/// A port below the range from which systems take ports for outgoing connections: while
/// satellite is down, nobody who dials it can be given its own port.
pub(crate) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Benches that run side by side begin at different places.
    let first = u16::try_from(std::process::id() % 1_000)? * 10;
    for _ in 0..10_000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % 10_000;
        let port = 10_000 + (first + step) % 10_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 10000 and 20000")
}

/// Whether the admin door answers `/readyz` with 200.
async fn is_ready(admin: u16) -> bool {
    matches!(ask(admin, "/readyz").await, Ok((200, _)))
}

/// Asks the admin door; answers status and body.
async fn ask(admin: u16, path: &str) -> Result<(u16, String)> {
    let asked = async {
        let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, admin)).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        anyhow::Ok(String::from_utf8_lossy(&reply).into_owned())
    };
    let reply = tokio::time::timeout(Duration::from_secs(5), asked).await??;
    let status = reply.split(' ').nth(1).context("no status came back")?;
    let body = reply.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status.parse()?, body.to_owned()))
}
