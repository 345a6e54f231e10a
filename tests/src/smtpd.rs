//! OpenSMTPD of the distribution with a configuration of its own, which gives each letter to a
//! script.
//!
//! It needs root, because it delivers as the user `mail`. It runs in a mount namespace of its own,
//! because there can be only one on a machine otherwise: it has one queue and one socket. Its files
//! are under `/tmp`, where that user may go; they end with the value.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::free_port;

/// The program.
const PROGRAM: &str = "/usr/sbin/smtpd";
/// Hides the machine's own socket and queue, and becomes the server.
const APART: &str = "mount -t tmpfs tmpfs /run && mount -t tmpfs -o mode=711 tmpfs \
                     /var/spool/smtpd && exec /usr/sbin/smtpd -d -f \"$1\"";
/// Longest that it may take to listen, on a machine that boots systems beside it.
const WITHIN: Duration = Duration::from_secs(60);

/// The running server.
pub struct Smtpd {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Smtpd {
    /// Whether it can run here: it is installed, and we are root.
    #[must_use]
    pub fn is_possible() -> bool {
        let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        root && Path::new(PROGRAM).exists()
    }

    /// Starts it. `script` is what `sh` runs as the user `mail` for each letter, with the letter as
    /// its input; it is given the folder into which that user may write.
    ///
    /// # Errors
    /// It is not installed, we are not root, or it does not listen in time.
    pub async fn start(script: impl FnOnce(&Path) -> String) -> Result<Self> {
        ensure!(Self::is_possible(), "OpenSMTPD and root are needed");
        let folder = tempfile::Builder::new().tempdir_in("/tmp")?;
        let boxes = folder.path().join("boxes");
        fs::create_dir(&boxes)?;
        let keep = folder.path().join("keep.sh");
        fs::write(&keep, script(&boxes))?;
        let places = [(folder.path(), 0o755), (&boxes, 0o777), (&keep, 0o755)];
        for (path, mode) in places {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        let address = free_port()?;
        let config = folder.path().join("smtpd.conf");
        let text = format!(
            "listen on {} port {} hostname localhost\n\
             action \"keep\" mda \"/bin/sh {}\" virtual {{ \"@\" = \"mail\" }}\n\
             match from any for any action \"keep\"\n",
            address.ip(),
            address.port(),
            keep.display()
        );
        fs::write(&config, text)?;
        let said = folder.path().join("said");
        let log = fs::File::create(&said)?;
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", APART, "smtpd"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("OpenSMTPD did not start")?;
        let mut server = Self {
            child,
            address,
            folder,
        };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = server.child.try_wait()?;
            ensure!(
                ended.is_none() && begun.elapsed() < WITHIN,
                "OpenSMTPD does not listen at {address} ({ended:?}): {}",
                fs::read_to_string(&said)?
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }

    /// As it stands in sentinel's configuration.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The folder into which its script may write.
    #[must_use]
    pub fn boxes(&self) -> PathBuf {
        self.folder.path().join("boxes")
    }
}

impl Drop for Smtpd {
    fn drop(&mut self) {
        // The master ends its workers when it is told to end.
        let own = self.child.id().to_string();
        Command::new("kill").arg(own).status().ok();
        self.child.wait().ok();
    }
}
