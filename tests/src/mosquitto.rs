//! A Mosquitto of our own, and a subscriber that writes down what it hears.
//!
//! Both are the distribution's programs, so that neither shares code with satellite. The broker
//! keeps its sessions on disk at each change and limits no queue, so that what it acknowledged it
//! hands on also after a kill; the subscriber's file is what a board would have shown.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::free_port;

/// Where the distribution puts the broker, which stands in no ordinary user's path.
const BROKER: &str = "/usr/sbin/mosquitto";
const LIMIT: Duration = Duration::from_secs(20);

/// A message as the subscriber heard it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its topic.
    pub topic: String,
    /// True for one that the broker had kept.
    pub retained: bool,
    /// What it says.
    pub payload: String,
}

/// A broker with a subscriber to everything.
pub struct Mosquitto {
    address: SocketAddr,
    folder: PathBuf,
    broker: Option<Child>,
    subscriber: Option<Child>,
}

impl Mosquitto {
    /// True where Mosquitto is installed.
    #[must_use]
    pub fn is_installed() -> bool {
        Path::new(BROKER).exists()
    }

    /// Starts both; their files are in `folder`. `more` are further lines of the broker's
    /// configuration.
    ///
    /// # Errors
    /// One of them is not installed or does not start.
    pub async fn start(folder: &Path, more: &str) -> Result<Self> {
        let folder = folder.join("mosquitto");
        std::fs::create_dir(&folder)?;
        let address = free_port()?;
        let shown = folder.display();
        // As root it would become another user, who cannot write here.
        let config = format!(
            "listener {} 127.0.0.1\nuser root\npersistence true\npersistence_location {shown}/\n\
             autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\n\
             max_inflight_messages 0\nlog_dest stderr\n{more}\n",
            address.port()
        );
        std::fs::write(folder.join("mosquitto.conf"), config)?;
        File::create(folder.join("heard"))?;
        let mut all = Self {
            address,
            folder,
            broker: None,
            subscriber: None,
        };
        all.up().await?;
        Ok(all)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the broker and waits until it takes connections.
    ///
    /// # Errors
    /// It does not.
    pub async fn up(&mut self) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))?;
        let broker = Command::new(BROKER)
            .arg("-c")
            .arg(self.folder.join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        self.broker = Some(broker.context("mosquitto does not start")?);
        let begun = Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            ensure!(
                begun.elapsed() < LIMIT,
                "mosquitto does not listen: {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Subscribes to everything with a session that outlives connections; `more` are further
    /// arguments.
    ///
    /// # Errors
    /// The subscriber does not start.
    pub async fn subscribe(&mut self, more: &[&str]) -> Result<()> {
        let file = File::options()
            .append(true)
            .open(self.folder.join("heard"))?;
        let port = self.address.port().to_string();
        let subscriber = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &port])
            .args([
                "-i", "judge", "-c", "-q", "1", "-k", "5", "-t", "#", "-F", "%t %r %p",
            ])
            .args(more)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.subscriber = Some(subscriber.context("mosquitto_sub does not start")?);
        self.until_subscribed(1).await
    }

    /// Waits until the subscriber has come so often.
    ///
    /// # Errors
    /// It has not within 20 s.
    pub async fn until_subscribed(&self, times: usize) -> Result<()> {
        let begun = Instant::now();
        while self.log().matches(" as judge ").count() < times {
            ensure!(begun.elapsed() < LIMIT, "no subscriber: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// How often the subscriber has come.
    #[must_use]
    pub fn subscribed(&self) -> usize {
        self.log().matches(" as judge ").count()
    }

    /// Kills the broker with SIGKILL.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill9(&mut self) -> Result<()> {
        if let Some(mut broker) = self.broker.take() {
            broker.kill().await?;
        }
        Ok(())
    }

    /// Ends the broker in an orderly way, so that it writes down what it has.
    ///
    /// # Errors
    /// It does not end.
    pub async fn down(&mut self) -> Result<()> {
        if let Some(mut broker) = self.broker.take() {
            let process = broker.id().context("the broker has ended already")?;
            let kill = Command::new("kill").arg(process.to_string()).status();
            ensure!(kill.await?.success(), "mosquitto cannot be asked to end");
            tokio::time::timeout(LIMIT, broker.wait()).await??;
        }
        Ok(())
    }

    /// What the subscriber heard, in its order.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn heard(&self) -> Result<Vec<Heard>> {
        let text = std::fs::read_to_string(self.folder.join("heard"))?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let read = whole.lines().map(|line| {
            let mut words = line.splitn(3, ' ');
            let mut next = || words.next().map(str::to_owned);
            let (topic, retained) = (next().context("a topic")?, next().context("a flag")?);
            Ok(Heard {
                topic,
                retained: retained == "1",
                payload: next().unwrap_or_default(),
            })
        });
        read.collect()
    }

    /// What the broker said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}
