//! The program `sentinel` as a process: its configuration, its commands, its life.
//!
//! The program is the one named by `SENTINEL_BIN`, else the one that cargo built beside this
//! test. As with satellite, nothing of its library is used: what it says is read from its
//! output. Only processes that were started here are ever ended.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Longest that a command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(90);

/// How long its first answer may take.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A sentinel of our own, running or not. Dropping it kills the process.
pub struct SentinelProcess {
    program: PathBuf,
    folder: TempDir,
    child: Option<Child>,
}

impl SentinelProcess {
    /// Writes the configuration: `state_dir`, and then these tables.
    ///
    /// # Errors
    /// The program is not built, or the folder cannot be written.
    pub fn prepare(tables: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let state = folder.path().join("state");
        fs::create_dir(&state)?;
        let text = format!("state_dir = \"{}\"\n{tables}", state.display());
        fs::write(folder.path().join("sentinel.toml"), text)?;
        Ok(Self {
            program: program()?,
            folder,
            child: None,
        })
    }

    /// The folder of its configuration and state; gone with this value.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs a command and answers what it printed.
    ///
    /// # Errors
    /// Its exit status is not 0.
    pub async fn command<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let running = Command::new(&self.program)
            .args(arguments)
            .arg("--config")
            .arg(self.folder.path().join("sentinel.toml"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let limited = tokio::time::timeout(COMMAND_LIMIT, running).await;
        let output = limited.context("the command has not ended")??;
        let out = String::from_utf8_lossy(&output.stdout);
        let err = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {out}{err}", output.status);
        Ok(out.into_owned())
    }

    /// Runs a command that prints JSON.
    ///
    /// # Errors
    /// Its exit status is not 0, or what it printed is no JSON.
    pub async fn json<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Value> {
        let out = self.command(arguments).await?;
        serde_json::from_str(&out).with_context(|| format!("no JSON: {out}"))
    }

    /// Starts `sentinel run`, with these words before the program (`ip netns exec …`).
    ///
    /// # Errors
    /// It runs already, or cannot be started.
    pub fn launch(&mut self, before: &[&str]) -> Result<()> {
        ensure!(self.child.is_none(), "sentinel runs already");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))?;
        let mut words = before.iter().map(OsStr::new);
        let mut command = match words.next() {
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        let child = command
            .arg("run")
            .arg("--config")
            .arg(self.folder.path().join("sentinel.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("sentinel did not start")?;
        self.child = Some(child);
        Ok(())
    }

    /// Starts it, and waits until its file can be read.
    ///
    /// # Errors
    /// It runs already, ends at once, or has no file after 30 s.
    pub async fn run(&mut self) -> Result<()> {
        self.launch(&[])?;
        let begin = Instant::now();
        while self.json(["incidents", "--json"]).await.is_err() {
            ensure!(self.is_alive(), "sentinel ended:\n{}", self.log_end());
            ensure!(
                begin.elapsed() < START_LIMIT,
                "sentinel has no file:\n{}",
                self.log_end()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Ends the process as a crash does (SIGKILL).
    ///
    /// # Errors
    /// It was not running.
    pub async fn kill9(&mut self) -> Result<()> {
        let mut child = self.child.take().context("sentinel is not running")?;
        if let Some(status) = child.try_wait()? {
            bail!("sentinel ended by itself ({status}):\n{}", self.log_end());
        }
        child.kill().await.context("sentinel could not be killed")
    }

    /// True while the process lives.
    pub fn is_alive(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Acknowledges an incident as a person does.
    ///
    /// # Errors
    /// The command failed.
    pub async fn acknowledge(&self, incident: &str) -> Result<()> {
        let status = Command::new(&self.program)
            .args(["ack", incident, "--config"])
            .arg(self.folder.path().join("sentinel.toml"))
            .stdout(Stdio::null())
            .status()
            .await?;
        ensure!(status.success(), "`sentinel ack`: {status}");
        Ok(())
    }

    /// The process id while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// The end of what it wrote.
    #[must_use]
    pub fn log_end(&self) -> String {
        let bytes = fs::read(self.folder.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for SentinelProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("sentinel printed at last:\n{}", self.log_end());
        }
    }
}

/// The program: named by `SENTINEL_BIN`, else built by cargo into the folder above this test.
fn program() -> Result<PathBuf> {
    let named = std::env::var_os("SENTINEL_BIN").map(PathBuf::from);
    let test = std::env::current_exe().context("this test does not know its own path")?;
    let built = test
        .parent()
        .and_then(Path::parent)
        .map(|folder| folder.join("sentinel"));
    match named.or(built) {
        Some(program) if program.is_file() => Ok(program),
        _ => bail!("the program sentinel is not built: run `cargo xtask test`"),
    }
}
