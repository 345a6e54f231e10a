//! A server of SFTP for copies, as a second machine has one: `rclone serve sftp` on loopback, and the
//! `rclone.conf` with which somebody reaches it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::{free_port, until};

const USER: &str = "copies";
const PASSWORD: &str = "of the other machine";

/// The server, and the folder that it serves.
pub struct Away {
    address: SocketAddr,
    folder: TempDir,
    server: Child,
}

impl Away {
    /// Starts one on an empty folder.
    ///
    /// # Errors
    /// `rclone` is not installed, or the server does not listen.
    pub async fn start() -> Result<Self> {
        let (address, folder) = (free_port()?, tempfile::tempdir()?);
        fs::create_dir(folder.path().join("served"))?;
        let server = Command::new("rclone")
            .args(["serve", "sftp", "--user", USER, "--pass", PASSWORD])
            .args(["--addr", &address.to_string()])
            // What a test lays into the folder is there at once.
            .args(["--dir-cache-time", "0s"])
            .arg(folder.path().join("served"))
            .env("HOME", folder.path())
            .env("XDG_CACHE_HOME", folder.path().join("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("rclone is not installed: run `cargo xtask test`")?;
        let away = Self {
            address,
            folder,
            server,
        };
        until(Duration::from_secs(20), "SFTP is served", async || {
            Ok(TcpStream::connect(address).is_ok())
        })
        .await?;
        Ok(away)
    }

    /// Where the copies lie on that machine.
    #[must_use]
    pub fn copies(&self) -> PathBuf {
        self.folder.path().join("served/copies")
    }

    /// The location, as satellite's configuration names it.
    #[must_use]
    pub fn location(&self) -> &'static str {
        "rclone:away:copies"
    }

    /// Writes the `rclone.conf` that reaches it into a folder.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn known_in(&self, folder: &Path, is_password_right: bool) -> Result<()> {
        let password = if is_password_right { PASSWORD } else { "guess" };
        let obscured = Command::new("rclone")
            .args(["obscure", password])
            .output()?;
        ensure!(obscured.status.success(), "rclone obscures no password");
        let password = String::from_utf8(obscured.stdout)?;
        let text = format!(
            "[away]\ntype = sftp\nhost = {}\nport = {}\nuser = {USER}\npass = {}\n",
            self.address.ip(),
            self.address.port(),
            password.trim(),
        );
        Ok(fs::write(folder.join("rclone.conf"), text)?)
    }

    /// Stops the server without ending it, or lets it go on.
    ///
    /// # Errors
    /// There is no `kill`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let id = self.server.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status()?;
        ensure!(sent.success(), "no signal was sent");
        Ok(())
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}
