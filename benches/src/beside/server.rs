//! The servers of the comparison, each a process of its own on 127.0.0.1.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mariadb::Address;
use terminals::{Scenario, Target};
use tokio::net::TcpStream;

use crate::process::{Satellite, free_port};

/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// hyper that stores nothing.
    Bare,
    /// The program of this workspace.
    Satellite,
    /// FastAPI and SQL, written for this bench.
    Ordinary,
}

impl Kind {
    /// In the order of the tables; the ceiling first.
    pub(super) const ALL: [Self; 3] = [Self::Bare, Self::Satellite, Self::Ordinary];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare HTTP server",
            Self::Satellite => "satellite",
            Self::Ordinary => "ordinary receiver",
        }
    }

    /// Where it keeps punches.
    pub(super) fn table(self) -> Option<&'static str> {
        match self {
            Self::Bare => None,
            Self::Satellite => Some("event_feed WHERE kind = 'punch'"),
            Self::Ordinary => Some("attlog"),
        }
    }
}

/// One of them, running. Dropping it kills the process.
pub(super) enum Running {
    Satellite(Satellite),
    Other(Other),
}

/// A server that is not ours to end in an orderly way: it has nothing to finish.
pub(super) struct Other {
    child: Child,
    port: u16,
}

impl Other {
    async fn wait_until_it_listens(&mut self, kind: Kind) -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < START_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                bail!("the {} ended with {status}{}", kind.name(), advice(kind));
            }
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the {} does not listen{}", kind.name(), advice(kind))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Running {
    /// Starts it over a database that is empty, and waits until it listens.
    pub(super) async fn start(kind: Kind, database: &Address, name: &str) -> Result<Self> {
        let port = free_port()?;
        let child = match kind {
            Kind::Satellite => {
                let stores = format!(
                    "[store]\nurl = \"{}\"\n[[tenant]]\nid = \"bench\"\nname = \"Bench\"\n\
                     time_zone = \"America/Mexico_City\"\n",
                    database.url(name)
                );
                return Ok(Self::Satellite(Satellite::start(&stores).await?));
            }
            Kind::Bare => Command::new(std::env::current_exe()?)
                .args(["bare-server", &port.to_string()])
                .stdin(Stdio::null())
                .spawn()?,
            Kind::Ordinary => ordinary(port, database, name)?,
        };
        let mut other = Other { child, port };
        other.wait_until_it_listens(kind).await?;
        Ok(Self::Other(other))
    }

    /// Where terminals go.
    pub(super) fn target(&self) -> Result<Target> {
        match self {
            Self::Satellite(satellite) => satellite.target(),
            Self::Other(Other { port, .. }) => {
                let address = format!("http://127.0.0.1:{port}");
                let target = address.parse();
                target.map_err(|why| anyhow::anyhow!("{address}: {why}"))
            }
        }
    }

    /// Makes the terminals known to whom it matters.
    pub(super) async fn enrol(&self, load: &Scenario) -> Result<()> {
        match self {
            Self::Satellite(satellite) => satellite.enrol(super::serials(load)).await,
            Self::Other(_) => Ok(()),
        }
    }

    /// The process, for `/proc`.
    pub(super) fn process_id(&self) -> u32 {
        match self {
            Self::Satellite(satellite) => satellite.process_id(),
            Self::Other(other) => other.child.id(),
        }
    }

    /// Ends it.
    pub(super) async fn stop(self) -> Result<()> {
        match self {
            Self::Satellite(satellite) => satellite.stop().await,
            Self::Other(_) => Ok(()),
        }
    }
}

fn ordinary(port: u16, database: &Address, name: &str) -> Result<Child> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/beside/receiver.py");
    // The distribution's own, for which its packages are; another may stand before it in PATH.
    Command::new("/usr/bin/python3")
        .arg(script)
        .arg(port.to_string())
        .env("DB_HOST", "127.0.0.1")
        .env("DB_PORT", database.port().to_string())
        .env("DB_USER", "satellite")
        .env("DB_NAME", name)
        .stdin(Stdio::null())
        .spawn()
        .context("/usr/bin/python3 did not start")
}

fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::Ordinary => {
            ": it needs `apt install python3-fastapi python3-uvicorn python3-pymysql`"
        }
        _ => "",
    }
}
