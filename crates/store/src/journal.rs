//! The journal: what devices that do not send again have posted while their store was down.
//!
//! One SQLite file on local disk, `state_dir/journal.db`, with a write-ahead log and
//! `synchronous=FULL`. It keeps whole submissions in the order in which they came, by store and
//! terminal; a device that posts may be told "OK" when [`Journal::append`] has returned, because
//! then its records survive a crash and a power cut.
//!
//! What must never happen here: an Ok before the disk has it; a row removed before its events
//! were committed in their store; a file deleted because it cannot be read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event::{DeviceId, Millis, Text};
use tokio::sync::{mpsc, oneshot};

use crate::examine::Room;
use crate::journal_code::encode;
use crate::journal_task::{Item, Order, Task, open_file};
use crate::writer::lock;
use crate::{STATEMENT_DEADLINE, Submission};

/// Appends and other requests that may wait for the disk.
const QUEUE: usize = 1024;
/// Longest wait for work that no device waits for.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);
/// What a row costs beside its body, counted towards the limit.
pub(crate) const ROW_BYTES: u64 = 128;

/// How much a journal may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalLimits {
    /// Most bytes that may wait.
    pub bytes: u64,
    /// How much of the disk stays free for others, in percent of its room.
    pub free_percent: u8,
    /// Bytes that are enough for others, however large the disk is.
    pub free_bytes: u64,
}

impl JournalLimits {
    /// Whether a disk has less room left than has to stay: a tenth of a large disk would refuse
    /// posts with hundreds of gigabytes free.
    #[must_use]
    pub fn is_low(&self, room: Room) -> bool {
        room.percent() < u64::from(self.free_percent) && room.free < self.free_bytes
    }
}

impl Default for JournalLimits {
    fn default() -> Self {
        Self {
            bytes: 1024 * 1024 * 1024,
            free_percent: 10,
            free_bytes: 10 * 1024 * 1024 * 1024,
        }
    }
}

/// Why the journal did not do what it was asked. The device has to hear a refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// As much waits as may.
    #[error("the journal is full")]
    Full,
    /// The disk has too little room left.
    #[error("the disk of the journal is nearly full")]
    DiskLow,
    /// The disk failed or did not answer. What was appended may be in the journal all the same;
    /// appending it again is safe, because its events carry their identity.
    #[error("the journal failed: {0}")]
    Failed(String),
}

/// How the journal does, by its last attempt to keep something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum JournalState {
    /// It takes submissions.
    #[default]
    Ready,
    /// It refuses: as much waits as may.
    Full,
    /// It refuses: the disk has too little room left.
    DiskLow,
    /// It could not write; the text says why. Each new append tries again.
    Failed(String),
}

impl JournalState {
    /// The name, as in `/status` and conditions.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Full => "full",
            Self::DiskLow => "disk_low",
            Self::Failed(_) => "failed",
        }
    }
}

/// What waits in the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalFill {
    /// Events and quarantined records.
    pub events: u64,
    /// Bytes, as counted towards the limit.
    pub bytes: u64,
    /// When the oldest was appended, by our clock.
    pub oldest: Option<Millis>,
    /// Submissions that stay in the file because they cannot be read: damaged, or written by a
    /// later version. They count in `bytes` only.
    pub unreadable: u64,
}

/// What waits, by terminal and by store, and what the figures are.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) devices: HashMap<DeviceId, u64>,
    pub(crate) labels: HashMap<Text, u64>,
    pub(crate) fill: JournalFill,
}

/// Rows of one terminal for one store.
pub(crate) struct Rows<'a> {
    pub(crate) device: DeviceId,
    pub(crate) label: &'a str,
    pub(crate) rows: u64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl Memory {
    pub(crate) fn add(&mut self, some: &Rows<'_>) {
        *self.devices.entry(some.device).or_default() += some.rows;
        *self.labels.entry(Text::new(some.label)).or_default() += some.rows;
        self.fill.events += some.events;
        self.fill.bytes += some.bytes;
    }

    pub(crate) fn remove(&mut self, some: &Rows<'_>) {
        less(&mut self.devices, &some.device, some.rows);
        less(&mut self.labels, &Text::new(some.label), some.rows);
        self.fill.events = self.fill.events.saturating_sub(some.events);
        self.fill.bytes = self.fill.bytes.saturating_sub(some.bytes);
    }
}

fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u64>, key: &K, by: u64) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(by);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// What the task tells its handles.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) memory: Mutex<Memory>,
    pub(crate) state: Mutex<JournalState>,
    in_flight: Mutex<HashMap<DeviceId, u64>>,
}

/// Counts an append under way, so that a terminal's next post sees it; ends with the append,
/// also when nobody waits for it any more.
pub(crate) struct InFlight {
    device: DeviceId,
    shared: Arc<Shared>,
}

impl InFlight {
    fn begin(device: DeviceId, shared: &Arc<Shared>) -> Self {
        *lock(&shared.in_flight).entry(device).or_default() += 1;
        Self {
            device,
            shared: Arc::clone(shared),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        less(&mut lock(&self.shared.in_flight), &self.device, 1);
    }
}

/// A handle to the one task that owns the file. Clones share the task; it ends with the last.
#[derive(Clone)]
pub struct Journal {
    orders: mpsc::Sender<Order>,
    shared: Arc<Shared>,
    moved_aside: Option<Arc<Path>>,
}

impl Journal {
    /// Opens `journal.db` in that folder, which must exist, and makes it if needed. What waited
    /// there before is known when this returns.
    ///
    /// A file that cannot be read as a database is moved aside, never deleted, and an empty one
    /// takes its place: see [`Journal::moved_aside`].
    ///
    /// # Errors
    /// When the file can neither be opened nor moved aside.
    pub async fn open(state_dir: &Path, limits: JournalLimits) -> Result<Self, JournalError> {
        let path = state_dir.join("journal.db");
        let shared = Arc::new(Shared::default());
        let (engine, moved_aside) = open_file(&path, &shared).await?;
        if let Some(aside) = &moved_aside {
            tracing::error!(
                file = %aside.display(),
                "the journal could not be read and was moved aside; posts that waited in it are not stored"
            );
        }
        let (orders, queue) = mpsc::channel(QUEUE);
        let task = Task::new(path, limits, Arc::clone(&shared), engine);
        tokio::spawn(task.run(queue));
        Ok(Self {
            orders,
            shared,
            moved_aside: moved_aside.map(|path: PathBuf| path.into()),
        })
    }

    /// Keeps a submission for the store of that label and returns when it is on the disk.
    ///
    /// # Errors
    /// When it is not: the device must be told to come again.
    pub async fn append(&self, label: &str, submission: &Submission) -> Result<(), JournalError> {
        let device = submission.device.id;
        let (reply, answer) = oneshot::channel();
        let item = Item {
            label: Text::new(label),
            device,
            events: u64::try_from(submission.rows()).unwrap_or(u64::MAX),
            body: encode(submission),
            reply,
            _flight: InFlight::begin(device, &self.shared),
        };
        self.ask(Order::Append(item), answer, STATEMENT_DEADLINE)
            .await
    }

    /// True while something of that terminal waits or is about to: its new posts have to queue
    /// behind it. Costs no I/O; right from the first moment after a start.
    pub fn holds(&self, device: DeviceId) -> bool {
        // In this order: an append moves from the second to the first.
        lock(&self.shared.in_flight).contains_key(&device)
            || lock(&self.shared.memory).devices.contains_key(&device)
    }

    /// How much waits.
    pub fn waiting(&self) -> JournalFill {
        lock(&self.shared.memory).fill
    }

    /// The labels of the stores for which something waits.
    pub fn labels(&self) -> Vec<Text> {
        let mut labels: Vec<_> = lock(&self.shared.memory).labels.keys().cloned().collect();
        labels.sort_unstable();
        labels
    }

    /// Whether the journal takes submissions, and why not.
    pub fn state(&self) -> JournalState {
        lock(&self.shared.state).clone()
    }

    /// Where the file went that could not be read when the journal was opened.
    pub fn moved_aside(&self) -> Option<&Path> {
        self.moved_aside.as_deref()
    }

    /// The oldest submissions for the store of that label in the order in which they came, with
    /// their numbers for [`Journal::done`]; `None` when nothing waits. They stay, and come again
    /// with the next call, until they are done: one caller for each store.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn next(
        &self,
        label: &str,
    ) -> Result<Option<(Vec<i64>, Vec<Submission>)>, JournalError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Next(Text::new(label), reply);
        self.ask(order, answer, DRAIN_WITHIN).await
    }

    /// Removes what was committed in its store. Numbers that are not there any more do no harm.
    ///
    /// # Errors
    /// When they could not be removed: they stay, and storing them again changes nothing.
    pub async fn done(&self, ids: &[i64]) -> Result<(), JournalError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Done(ids.to_vec(), reply);
        self.ask(order, answer, DRAIN_WITHIN).await
    }

    async fn ask<T>(
        &self,
        order: Order,
        answer: oneshot::Receiver<Result<T, JournalError>>,
        within: Duration,
    ) -> Result<T, JournalError> {
        let asked = async {
            if self.orders.send(order).await.is_err() {
                return Err(JournalError::Failed("its task has ended".to_owned()));
            }
            let ended = |_| Err(JournalError::Failed("its task has ended".to_owned()));
            answer.await.unwrap_or_else(ended)
        };
        match tokio::time::timeout(within, asked).await {
            Ok(done) => done,
            Err(_) => {
                let text = format!("no answer within {} s", within.as_secs());
                *lock(&self.shared.state) = JournalState::Failed(text.clone());
                Err(JournalError::Failed(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_low_below_a_tenth_and_below_ten_gibibytes() {
        const GIB: u64 = 1 << 30;
        let low = |free, all| JournalLimits::default().is_low(Room { free, all });
        assert!(low(9, 100) && low(4 * GIB, 50 * GIB));
        assert!(!low(10, 100) && !low(5 * GIB, 50 * GIB));
        assert!(!low(11 * GIB, 1000 * GIB) && low(9 * GIB, 1000 * GIB));
        assert!(low(0, 0));
    }
}
