//! A fleet: many simulated terminals on the current tokio runtime, steered as one.
//!
//! The fleet owns what all families of terminals share: the beginning of time, the schedule,
//! the ledger, the counters, and the two words "no more new records" and "stop". A family of
//! clients (`push`) is a module with one `run` function that takes a terminal's place in the
//! fleet; it must acknowledge records through [`Shared::durable`] and nowhere else, so that
//! no record is forgotten before its ledger line is on disk. Hikvision devices also run
//! without a fleet and keep that rule themselves. Queues are bounded: an observer
//! that is too slow misses observations, it never holds terminals back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use event::{Text, WallTime};
use tokio::sync::broadcast;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access;
use crate::clock;
use crate::hikvision::{Device, Devices, Post};
use crate::ledger::Ledger;
use crate::pull::{Terminal, Terminals};
use crate::push;
use crate::scenario::{Scenario, ScenarioError};
use crate::schedule::Schedule;
use crate::summary::{Summary, Tally};

/// Observations that a slow observer may lag behind before it misses some.
const OBSERVATIONS: usize = 4096;

/// How long a stopped fleet may take to let go of its sockets and its ledger.
const STOPPING: Duration = Duration::from_secs(5);

/// One upload of new records, as the terminal saw it end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The terminal's serial.
    pub serial: Arc<str>,
    /// The person of the upload's last record.
    pub pin: Text,
    /// The wall time of the upload's last record.
    pub time: WallTime,
    /// How it ended.
    pub result: UploadResult,
    /// Records in the upload.
    pub records: u64,
}

/// How an upload ended for the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadResult {
    /// Accepted: the terminal has forgotten the records.
    Acked {
        /// From the first byte sent to the whole reply.
        latency: Duration,
    },
    /// Answered, not accepted: the terminal keeps the records.
    Refused {
        /// The HTTP status; 200 when the body lacked `OK`.
        status: u16,
    },
    /// No reply, or one that could not be read: the terminal keeps the records.
    Failed,
}

/// What the terminals of a fleet share.
pub(crate) struct Shared {
    pub(crate) scenario: Scenario,
    pub(crate) schedule: Arc<Schedule>,
    pub(crate) tally: Tally,
    pub(crate) start_wall: WallTime,
    /// Whole minutes east of UTC of the terminals' zone at the start.
    pub(crate) zone_minutes: i32,
    /// No more new records; terminals end when they hold none.
    pub(crate) drain: CancellationToken,
    /// Everything ends now.
    pub(crate) stop: CancellationToken,
    ledger: Option<Ledger>,
    observers: broadcast::Sender<Observation>,
    began: Instant,
    generation_end_ms: AtomicU64,
}

impl Shared {
    /// Milliseconds of the run so far, as the making of records counts them: they stand
    /// still once generation has ended.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        self.true_elapsed_ms()
            .min(self.generation_end_ms.load(Relaxed))
    }

    /// The instant of so many milliseconds after the beginning.
    pub(crate) fn instant(&self, ms: u64) -> Instant {
        self.began + Duration::from_millis(ms)
    }

    /// True when acknowledged records go into a ledger.
    pub(crate) fn has_ledger(&self) -> bool {
        self.ledger.is_some()
    }

    /// The ledger, for a family that writes its own lines.
    pub(crate) fn ledger(&self) -> Option<Ledger> {
        self.ledger.clone()
    }

    /// Returns when the ledger's lines for acknowledged records are durable; at once without a
    /// ledger. After an error the whole fleet stops: records could no longer be accounted for.
    pub(crate) async fn durable(&self, lines: Vec<u8>) -> io::Result<()> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        ledger.append(lines).await.inspect_err(|why| {
            self.tally.ledger_failed(why);
            self.stop.cancel();
        })
    }

    /// True when somebody watches, so that observations are worth making.
    pub(crate) fn watched(&self) -> bool {
        self.observers.receiver_count() > 0
    }

    /// Tells whoever watches.
    pub(crate) fn tell(&self, observation: Observation) {
        // Nobody watching is no error.
        self.observers.send(observation).ok();
    }

    fn true_elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A running fleet. Dropping it stops it.
pub struct Fleet {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    hikvision: Devices,
    pull: Terminals,
}

impl Fleet {
    /// Starts all terminals on the current tokio runtime. Acknowledged records go into the
    /// ledger, where there is one.
    ///
    /// # Errors
    /// The scenario does not pass [`Scenario::check`], or the port of a device that is dialled
    /// is taken.
    pub fn start(scenario: Scenario, ledger: Option<Ledger>) -> Result<Self, ScenarioError> {
        scenario.check()?;
        let zone = scenario.zone()?;
        let now = jiff::Timestamp::now().as_millisecond();
        let fallback = clock::wall_time(clock::wall_now(&zone));
        let asked = scenario.start_wall()?;
        let shift_s = asked.map_or(0, |start| {
            clock::wall_seconds(&start) - clock::wall_now(&zone)
        });
        let start = asked.or(fallback);
        let shared = Arc::new(Shared {
            schedule: Arc::new(Schedule::new(&scenario)),
            tally: Tally::default(),
            start_wall: start.ok_or_else(|| ScenarioError::new("start: the clock is absurd"))?,
            zone_minutes: zone.offset_seconds_at(event::Millis(now)) / 60,
            drain: CancellationToken::new(),
            stop: CancellationToken::new(),
            ledger,
            observers: broadcast::channel(OBSERVATIONS).0,
            began: Instant::now(),
            generation_end_ms: AtomicU64::new(u64::MAX),
            scenario,
        });
        let tasks = TaskTracker::new();
        for place in 0..shared.scenario.count {
            tasks.spawn(push::run(Arc::clone(&shared), place));
        }
        for group in &shared.scenario.access {
            for place in 0..group.count {
                tasks.spawn(access::run(Arc::clone(&shared), group.clone(), place));
            }
        }
        let hikvision = Devices::start(&shared, shift_s, &tasks)?;
        let pull = Terminals::start(&shared, shift_s, &tasks)?;
        tasks.close();
        Ok(Self {
            shared,
            tasks,
            hikvision,
            pull,
        })
    }

    /// The Hikvision devices that are dialled, in the order of the scenario.
    pub fn dialled(&self) -> impl Iterator<Item = &Device> {
        self.hikvision.dialled.iter().map(Arc::as_ref)
    }

    /// The Hikvision devices that post, in the order of the scenario.
    pub fn posting(&self) -> impl Iterator<Item = &Post> {
        self.hikvision.posting.iter().map(Arc::as_ref)
    }

    /// The terminals on port 4370, in the order of the scenario.
    pub fn pulled(&self) -> impl Iterator<Item = &Terminal> {
        self.pull.0.iter().map(Arc::as_ref)
    }

    /// Every upload of new records from now on. An observer that lags more than 4,096
    /// behind is told how many it missed.
    pub fn observe(&self) -> broadcast::Receiver<Observation> {
        self.shared.observers.subscribe()
    }

    /// The numbers so far.
    pub fn summary(&self) -> Summary {
        self.shared.tally.summary(self.shared.began.elapsed())
    }

    /// When the last record will have been made; `None` when the scenario has no end.
    pub fn generation_ends(&self) -> Option<Instant> {
        self.shared
            .schedule
            .end_ms()
            .map(|ms| self.shared.instant(ms))
    }

    /// Makes no more records. Terminals deliver what they hold and then end.
    pub fn end_generation(&self) {
        let now = self.shared.true_elapsed_ms();
        self.shared.generation_end_ms.fetch_min(now, Relaxed);
        self.shared.drain.cancel();
    }

    /// Returns when every terminal has ended: after [`Fleet::end_generation`], when nothing
    /// is pending any more.
    pub async fn drained(&self) {
        self.tasks.wait().await;
    }

    /// Ends the generation now, waits at most `deadline` for everything pending to be
    /// acknowledged, and stops.
    pub async fn finish(self, deadline: Duration) -> Summary {
        self.end_generation();
        // Whether the deadline passed shows in the summary as pending records.
        tokio::time::timeout(deadline, self.drained()).await.ok();
        self.stop().await
    }

    /// Lets the scenario come to its own end (duration, limit or last burst), then finishes
    /// with the deadline. A scenario without an end is finished at once.
    pub async fn run_to_end(self, deadline: Duration) -> Summary {
        if let Some(end) = self.generation_ends() {
            tokio::select! {
                () = tokio::time::sleep_until(end) => {}
                () = self.shared.stop.cancelled() => {}
            }
        }
        self.finish(deadline).await
    }

    /// Stops every terminal where it stands. Records in flight stay pending.
    pub async fn stop(self) -> Summary {
        self.shared.stop.cancel();
        tokio::time::timeout(STOPPING, self.tasks.wait()).await.ok();
        self.summary()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
