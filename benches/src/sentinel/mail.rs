//! OpenSMTPD of the distribution, which keeps each letter in a file named by when it came.
//!
//! It needs root, because it delivers as another user. It runs in a mount namespace of its own,
//! because there can be only one on a machine otherwise: it has one queue and one socket. Its
//! files are under `/tmp`, where that user may write; they end with the value.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// Hides the machine's own socket and queue, and becomes the server.
const APART: &str = "mount -t tmpfs tmpfs /run && mount -t tmpfs -o mode=711 tmpfs \
                     /var/spool/smtpd && exec /usr/sbin/smtpd -d -f \"$1\"";

/// The running server.
pub(super) struct Mail {
    child: Child,
    port: u16,
    boxes: PathBuf,
    /// What was read already, by file; a letter does not change.
    read: Mutex<HashMap<PathBuf, Letter>>,
    _folder: TempDir,
}

/// A letter that arrived.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    /// When it lay in its file.
    pub(super) at: SystemTime,
    /// Header and body.
    pub(super) wire: String,
}

impl Letter {
    /// The subject, which is ASCII in the English letters that are measured here.
    pub(super) fn subject(&self) -> String {
        let head = self.wire.split("\n\n").next().unwrap_or_default();
        let head = head.replace("\r\n", "\n").replace("\n ", " ");
        let found = head.lines().find_map(|line| line.strip_prefix("Subject: "));
        found.unwrap_or_default().to_owned()
    }

    /// The first number of an incident in it.
    pub(super) fn incident(&self) -> Option<String> {
        let at = self.wire.find("INC-")?;
        Some(self.wire.get(at..at + "INC-2026-000001".len())?.to_owned())
    }
}

impl Mail {
    /// Starts it.
    ///
    /// # Errors
    /// It is not installed, or does not listen within ten seconds.
    pub(super) async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().tempdir_in("/tmp")?;
        let boxes = folder.path().join("boxes");
        fs::create_dir(&boxes)?;
        for (path, mode) in [(folder.path(), 0o755), (boxes.as_path(), 0o777)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        let script = folder.path().join("keep.sh");
        let place = boxes.display();
        fs::write(
            &script,
            format!(
                "f={place}/.$$-$(date +%N)\ncat > \"$f\"\nmv \"$f\" {place}/$(date +%s%N)-$$\n"
            ),
        )?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let config = folder.path().join("smtpd.conf");
        fs::write(
            &config,
            format!(
                "listen on 127.0.0.1 port {port} hostname localhost\n\
                 action \"keep\" mda \"/bin/sh {}\" virtual {{ \"@\" = \"mail\" }}\n\
                 match from any for any action \"keep\"\n",
                script.display()
            ),
        )?;
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", APART, "smtpd"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("OpenSMTPD did not start (apt-get install opensmtpd)")?;
        let mail = Self {
            child,
            port,
            boxes,
            read: Mutex::default(),
            _folder: folder,
        };
        let end = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > end {
                bail!("OpenSMTPD does not listen; it needs root");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(mail)
    }

    /// As it stands in sentinel's configuration.
    pub(super) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// What arrived for that address, the oldest first.
    pub(super) fn letters(&self, to: &str) -> Result<Vec<Letter>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in fs::read_dir(&self.boxes)? {
            let path = entry?.path();
            let Some(at) = arrival(&path).filter(|_| !read.contains_key(&path)) else {
                continue;
            };
            let wire = String::from_utf8_lossy(&fs::read(&path)?).replace("\r\n", "\n");
            read.insert(path, Letter { at, wire });
        }
        let mut found = Vec::new();
        for letter in read.values() {
            let wire = &letter.wire;
            let head = wire.split("\n\n").next().unwrap_or_default();
            if head
                .lines()
                .any(|line| line.starts_with("To:") && line.contains(to))
            {
                found.push(letter.clone());
            }
        }
        found.sort_by_key(|letter| letter.at);
        Ok(found)
    }
}

/// When the letter of that file came; `None` while it is being written.
fn arrival(path: &Path) -> Option<SystemTime> {
    let name = path.file_name()?.to_str()?;
    let nanoseconds = name.split('-').next()?.parse().ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds))
}

impl Drop for Mail {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
