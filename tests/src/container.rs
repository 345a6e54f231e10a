//! A minimal system with systemd, booted for one test, in which the packages are installed.
//!
//! `cargo xtask test` makes the system and the packages and names both
//! (`SATELLITE_TEST_SYSTEM`, `SATELLITE_TEST_PACKAGES`); each test boots a copy of its own by
//! systemd-nspawn, with a network that holds nothing but its own loopback. What is enforced there:
//! notify, watchdog, restarts, users, file system, address families and system calls. What is
//! not: limits of memory and filters of addresses, so nothing is claimed of those.

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;

/// How long the system may take to boot.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// How long one command in it may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// Copies each named program to where it is found, and each library that is not there yet.
const LEND: &str = r#"
for name; do
    program=$(command -v "$name")
    install -D "$program" ".$program"
    ldd "$program" 2>/dev/null | sed -n 's|.*=> \(/[^ ]*\) .*|\1|p' | while read -r library; do
        [ -e ".$library" ] || install -D "$library" ".$library"
    done
done
"#;

/// A MariaDB that keeps what it confirmed, with a binary log as the manuals have it.
const MARIADB: &str = "[Service]\nType=notify\nUser=mysql\nRuntimeDirectory=mysqld\n\
    ExecStart=/usr/sbin/mariadbd --bind-address=127.0.0.1 --innodb-buffer-pool-size=32M \
    --log-bin --expire-logs-days=3 --sync-binlog=1\n";

/// A booted system that ends with this value.
pub struct Container {
    root: TempDir,
    nspawn: Child,
    leader: u32,
}

impl Container {
    /// Boots a copy with the packages in its `/srv`; `None`, with a loud line, where
    /// `cargo xtask test` could make no system.
    ///
    /// # Errors
    /// It does not boot.
    pub async fn boot() -> Result<Option<Self>> {
        let variables = ["SATELLITE_TEST_SYSTEM", "SATELLITE_TEST_PACKAGES"];
        let [Ok(system), Ok(packages)] = variables.map(std::env::var) else {
            eprintln!(
                "SKIPPED: no system to boot; NOTHING was installed. As root: cargo xtask test"
            );
            return Ok(None);
        };
        let root = TempDir::with_prefix("satellite-system-")?;
        let place = root.path();
        run(
            Command::new("cp").args(["-a", "--reflink=auto", &format!("{system}/."), "."]),
            place,
        )
        .await?;
        let copy = format!("cp {packages}/*.deb srv/");
        run(Command::new("sh").args(["-c", &copy]), place).await?;
        let mut nspawn = std::process::Command::new("systemd-nspawn");
        nspawn
            .args(["--quiet", "--register=no", "--keep-unit", "--boot"])
            .args(["--private-network", "--console=pipe", "--directory"])
            .arg(place)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let nspawn = nspawn.spawn().context("systemd-nspawn did not start")?;
        let mut container = Self {
            root,
            nspawn,
            leader: 0,
        };
        container.wait_until_up().await?;
        Ok(Some(container))
    }

    async fn wait_until_up(&mut self) -> Result<()> {
        let began = Instant::now();
        let parent = self.nspawn.id();
        while began.elapsed() < BOOT_LIMIT {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let children = format!("/proc/{parent}/task/{parent}/children");
            let children = std::fs::read_to_string(children).unwrap_or_default();
            let Some(leader) = children.split(' ').next().and_then(|id| id.parse().ok()) else {
                continue;
            };
            self.leader = leader;
            let state = self.output("systemctl is-system-running").await?;
            let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
            if state == "running" || state == "degraded" {
                return Ok(());
            }
        }
        anyhow::bail!("the system was not up within {BOOT_LIMIT:?}")
    }

    /// The root of its file system, as seen from outside.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// What a shell in it answered, whatever its exit status.
    ///
    /// # Errors
    /// It did not end in time.
    pub async fn output(&self, script: &str) -> Result<Output> {
        let mut command = Command::new("nsenter");
        command
            .args(["--all", "--target", &self.leader.to_string()])
            .args([
                "env",
                "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME=/srv",
            ])
            .args(["LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"])
            .args(["sh", "-c", script])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(COMMAND_LIMIT, command.output()).await;
        output
            .with_context(|| format!("`{script}` takes too long"))?
            .context("nsenter did not start")
    }

    /// What a shell in it printed.
    ///
    /// # Errors
    /// Its exit status was not 0; the error has what it printed.
    pub async fn sh(&self, script: &str) -> Result<String> {
        let output = self.output(script).await?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "`{script}`: {}\n{printed}{errors}",
            output.status
        );
        Ok(printed)
    }

    /// Waits until a shell in it prints what is wanted; answers how long that took.
    ///
    /// # Errors
    /// It did not within the limit.
    pub async fn until(
        &self,
        script: &str,
        limit: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Duration> {
        let began = Instant::now();
        loop {
            let output = self.output(script).await?;
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            if wanted(printed.trim()) {
                return Ok(began.elapsed());
            }
            ensure!(
                began.elapsed() < limit,
                "`{script}` still says '{}'",
                printed.trim()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Installs that set of packages: revision 1, or 2 for an upgrade.
    ///
    /// # Errors
    /// It cannot be installed.
    pub async fn install(&self, program: &str, revision: u8) -> Result<()> {
        let install =
            format!("apt-get install -y --allow-downgrades /srv/{program}_*-{revision}_*.deb");
        self.sh(&install).await.map(drop)
    }

    /// Starts a MariaDB in it as its service `mariadb`, with programs of this machine: without a
    /// network nothing could be installed, and both are of one distribution. Root comes in over the
    /// socket, as the distribution has it. The client's programs are there too.
    ///
    /// # Errors
    /// This machine has no MariaDB, or it does not start there.
    pub async fn start_mariadb(&self) -> Result<()> {
        let server = [
            "mariadbd",
            "mariadb-install-db",
            "my_print_defaults",
            "resolveip",
        ];
        self.lend(&server).await?;
        self.lend(&["mariadb", "mariadb-dump", "mariadb-binlog"])
            .await?;
        let root = self.root();
        run(
            Command::new("cp").args(["-a", "/usr/share/mysql", "usr/share/"]),
            root,
        )
        .await?;
        std::fs::write(self.file("/etc/systemd/system/mariadb.service"), MARIADB)?;
        self.sh(
            "echo 127.0.0.1 localhost >> /etc/hosts && useradd --system mysql && install -d -o mysql /var/lib/mysql && \
             mariadb-install-db --user=mysql --skip-test-db --skip-name-resolve >/dev/null && \
             systemctl daemon-reload && systemctl start mariadb",
        )
        .await
        .map(drop)
    }

    /// Copies programs of this machine into it, with the libraries that they load.
    ///
    /// # Errors
    /// One is not here.
    pub async fn lend(&self, programs: &[&str]) -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-ec", LEND, "lend"]).args(programs);
        run(&mut command, self.root()).await
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // With its first process everything in it ends, and systemd-nspawn by itself; killing
        // that one first would leave the system running.
        if self.leader == 0 {
            self.nspawn.kill().ok();
        } else {
            let leader = self.leader.to_string();
            let mut kill = std::process::Command::new("kill");
            kill.args(["-KILL", &leader]).status().ok();
        }
        // Its folder goes only after that.
        self.nspawn.wait().ok();
    }
}

async fn run(command: &mut Command, folder: &Path) -> Result<()> {
    let status = command.current_dir(folder).status().await?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
