//! A publisher with a ledger of its own: MQTT 3.1.1 by hand, so that it shares no code with satellite.
//!
//! It sends windows of messages with QoS 1 and keeps each until it is sure that the broker has it on
//! disk: until a later window was acknowledged in the same life of the broker, which writes between
//! the two. Then it stands in the ledger, fsynced. Whatever ends a connection, everything that is not
//! in the ledger is sent again.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Longest that the broker may take for one window.
const WITHIN: Duration = Duration::from_secs(10);
/// Before the broker is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// A message to be published.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its topic.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// How it stands in the ledger; a message without a name does not.
    pub name: Option<String>,
    /// The broker keeps it for whoever subscribes later.
    pub retained: bool,
}

impl Planned {
    /// An ordinary message.
    #[must_use]
    pub fn new(topic: &str, payload: impl Into<Vec<u8>>, name: Option<String>) -> Self {
        Self {
            topic: topic.to_owned(),
            payload: payload.into(),
            name,
            retained: false,
        }
    }
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    confirmed: AtomicUsize,
}

/// A publisher at work.
pub struct Publisher {
    shared: Arc<Shared>,
    ledger: PathBuf,
    task: JoinHandle<Result<()>>,
}

impl Publisher {
    /// Publishes message after message, `window` of them at once and then a pause, until it is told
    /// to end or `plan` has no more.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub fn start(
        broker: SocketAddr,
        ledger: &Path,
        (window, pause): (usize, Duration),
        plan: impl Fn(usize) -> Option<Planned> + Send + 'static,
    ) -> Result<Self> {
        let file = File::create(ledger).context("the ledger cannot be written")?;
        let shared = Arc::<Shared>::default();
        let work = Work {
            broker,
            file,
            window,
            pause,
            plan: Box::new(plan),
            shared: Arc::clone(&shared),
            sure: 0,
        };
        Ok(Self {
            shared,
            ledger: ledger.to_owned(),
            task: tokio::spawn(work.run()),
        })
    }

    /// Messages in the ledger, or past it for want of a name.
    #[must_use]
    pub fn confirmed(&self) -> usize {
        self.shared.confirmed.load(Ordering::Relaxed)
    }

    /// Waits for so many more.
    ///
    /// # Errors
    /// They do not come in time, or the publisher has ended.
    pub async fn confirmed_more(&self, more: usize, within: Duration) -> Result<()> {
        let (begun, wanted) = (Instant::now(), self.confirmed() + more);
        while self.confirmed() < wanted {
            ensure!(!self.task.is_finished(), "the publisher has ended");
            ensure!(begun.elapsed() < within, "{} of {wanted}", self.confirmed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Ends when everything that was begun is in the ledger; answers what stands there.
    ///
    /// # Errors
    /// The ledger cannot be written or read, or the broker does not come back in time.
    pub async fn finish(self, within: Duration) -> Result<Vec<String>> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        tokio::time::timeout(within, self.task).await???;
        let text = std::fs::read_to_string(&self.ledger)?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

struct Work {
    broker: SocketAddr,
    file: File,
    window: usize,
    pause: Duration,
    plan: Box<dyn Fn(usize) -> Option<Planned> + Send>,
    shared: Arc<Shared>,
    /// Messages that are in the ledger.
    sure: usize,
}

impl Work {
    async fn run(mut self) -> Result<()> {
        loop {
            match tokio::time::timeout(Duration::from_secs(3600), self.session()).await? {
                Ok(()) => return Ok(()),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// One connection: windows until the end, each confirmed by the next.
    async fn session(&mut self) -> Result<()> {
        let mut stream = opened(self.broker).await?;
        let mut next = self.sure;
        loop {
            let is_over = self.shared.is_over.load(Ordering::Relaxed);
            let planned = (next..next + self.window).map_while(|n| (self.plan)(n));
            let planned: Vec<Planned> = if is_over {
                Vec::new()
            } else {
                planned.collect()
            };
            // An end needs a window of its own to confirm the last one.
            let closing = [Planned::new("closing", "", None)];
            let window = if planned.is_empty() {
                &closing[..]
            } else {
                &planned
            };
            tokio::time::timeout(WITHIN, exchange(&mut stream, window)).await??;
            self.confirm(next)?;
            next += planned.len();
            if planned.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    /// Writes down everything before that number.
    fn confirm(&mut self, to: usize) -> Result<()> {
        for n in self.sure..to {
            let planned = (self.plan)(n).context("a plan that changes")?;
            if let Some(name) = planned.name {
                writeln!(self.file, "{name}")?;
            }
        }
        self.file.sync_data()?;
        self.sure = to;
        self.shared.confirmed.store(to, Ordering::Relaxed);
        Ok(())
    }
}

async fn opened(broker: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(broker).await?;
    stream.set_nodelay(true)?;
    // A clean session of the client `publisher`, a sign of life a minute.
    let connect = b"\x10\x15\x00\x04MQTT\x04\x02\x00\x3c\x00\x09publisher";
    stream.write_all(connect).await?;
    let mut answer = [0; 4];
    tokio::time::timeout(WITHIN, stream.read_exact(&mut answer)).await??;
    ensure!(answer == [0x20, 2, 0, 0], "the broker says {answer:?}");
    Ok(stream)
}

/// Publishes a window and waits until each of it is acknowledged.
async fn exchange(stream: &mut TcpStream, window: &[Planned]) -> Result<()> {
    let (mut reader, mut writer) = stream.split();
    let send = async {
        for (number, planned) in (1_u16..).zip(window) {
            writer.write_all(&publish(number, planned)?).await?;
        }
        anyhow::Ok(())
    };
    let hear = async {
        for _ in window {
            let mut answer = [0; 4];
            reader.read_exact(&mut answer).await?;
            if answer[..2] != [0x40, 2] {
                bail!("the broker says {answer:?}");
            }
        }
        Ok(())
    };
    tokio::try_join!(send, hear)?;
    Ok(())
}

/// A PUBLISH packet with QoS 1.
fn publish(number: u16, planned: &Planned) -> Result<Vec<u8>> {
    let topic = planned.topic.as_bytes();
    let mut length = 4 + topic.len() + planned.payload.len();
    let mut packet = vec![0x32 | u8::from(planned.retained)];
    loop {
        let low = u8::try_from(length % 128)?;
        length /= 128;
        packet.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    packet.extend(u16::try_from(topic.len())?.to_be_bytes());
    packet.extend(topic);
    packet.extend(number.to_be_bytes());
    packet.extend(&planned.payload);
    Ok(packet)
}
