//! Hikvision devices that go on while something is killed beside them.
//!
//! Three are dialled and two post. People come at them one after another until the end, whatever
//! is alive at that moment. What they owe stands in a ledger of their own: every row of a dialled
//! device, every post that was answered 200.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use terminals::Ledger;
use terminals::hikvision::{Device, DeviceOptions, Post, PostHabits, PostOptions, PostShape};
use tokio::task::JoinHandle;

use crate::hikvision::{Difference, enrol, enrol_dialled, until_equal};
use crate::{Checker, SatelliteProcess};

/// Between one person and the next.
const PEOPLE: Duration = Duration::from_millis(150);

/// The devices.
pub struct Crew {
    dialled: Vec<Arc<Device>>,
    posting: Vec<Arc<Post>>,
    ledger: PathBuf,
    over: Arc<AtomicBool>,
    people: JoinHandle<std::io::Result<()>>,
}

impl Crew {
    /// Enrols and starts them; satellite need not run yet.
    ///
    /// # Errors
    /// A command fails, or a device cannot be started.
    pub async fn start(satellite: &SatelliteProcess) -> Result<Self> {
        let ledger = satellite.folder().join("hikvision.jsonl");
        let book = Ledger::create(&ledger)?;
        let (mut dialled, mut posting) = (Vec::new(), Vec::new());
        for at in 0..3 {
            let device = Device::start(asked(at), Some(book.clone()))?;
            device.own_up().await?;
            enrol_dialled(satellite, &device, &[]).await?;
            dialled.push(Arc::new(device));
        }
        for at in 0..2 {
            let serial = format!("HIKPOST{at:03}");
            let path = enrol(satellite, &serial, &["--listen"]).await?;
            let path = path.context("no URL was printed")?;
            let url = format!("http://{}{path}", satellite.devices());
            posting.push(Arc::new(Post::start(
                telling(&serial, url, at),
                Some(book.clone()),
            )?));
        }
        let over = Arc::new(AtomicBool::new(false));
        let people = come(dialled.clone(), posting.clone(), Arc::clone(&over));
        Ok(Self {
            dialled,
            posting,
            ledger,
            over,
            people: tokio::spawn(people),
        })
    }

    /// Nobody comes any more; waits until everything owed is in the feed, once.
    ///
    /// # Errors
    /// It is not within `limit`, or a way was not tried.
    pub async fn finish(
        self,
        satellite: &SatelliteProcess,
        checker: &mut Checker,
        limit: Duration,
    ) -> Result<Difference> {
        self.over.store(true, Ordering::Relaxed);
        self.people.await??;
        let waiting = async {
            while self.posting.iter().any(|post| post.pending() > 0) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(limit, waiting).await;
        waited.context("a post was never answered 200")?;
        let owed = (self.ledger.as_path(), &[][..]);
        let difference = until_equal(satellite, checker, owed, limit).await?;
        let lockouts: u64 = self.dialled.iter().map(|one| one.counters().lockouts).sum();
        ensure!(
            lockouts == 0,
            "{lockouts} lock-outs with the right password"
        );
        Ok(difference)
    }
}

/// A dialled device: one that is plain, one whose nonces serve once, one whose stream breaks.
fn asked(at: u32) -> DeviceOptions {
    let mut device = DeviceOptions {
        serial: format!("HIKDIAL{at:03}"),
        seed: u64::from(at) + 1,
        ..DeviceOptions::default()
    };
    device.log.history = 60;
    device.log.history_owed = true;
    device.stream.heartbeat_ms = 1_000;
    device.stream.replay_per_s = 20.0;
    match at {
        1 => device.login.nonce_once = true,
        2 => device.stream.close_after_s = Some(2),
        _ => {}
    }
    device
}

fn telling(serial: &str, url: String, at: u32) -> PostOptions {
    PostOptions {
        serial: serial.to_owned(),
        url,
        post: PostHabits {
            shape: match at {
                0 => PostShape::EventLog,
                _ => PostShape::AccessController,
            },
            picture_bytes: 20_000,
            retry_ms: 200,
            heartbeat_ms: 1_000,
            replay: 0.2,
            ..PostHabits::default()
        },
        ..PostOptions::default()
    }
}

async fn come(
    dialled: Vec<Arc<Device>>,
    posting: Vec<Arc<Post>>,
    over: Arc<AtomicBool>,
) -> std::io::Result<()> {
    while !over.load(Ordering::Relaxed) {
        for device in &dialled {
            device.crowd(1).await?;
        }
        for post in &posting {
            post.crowd(1).await?;
        }
        tokio::time::sleep(PEOPLE).await;
    }
    Ok(())
}
