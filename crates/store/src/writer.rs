//! The one way into a store: requests hand over their records and wait for the commit.
//!
//! Behind each [`Writer`] one task works over one session at a time. It takes whatever has queued while the
//! last transaction ran, commits it together, and answers all of it: group commit without a
//! timer, so that a lone punch never waits and a flood shares its fsyncs. Small submissions
//! (live punches) go before large ones (backlogs), so that a terminal emptying a month of log
//! does not delay the person at the door.
//!
//! Nothing waits without a bound: the queues are limited, every submission is answered or
//! given up within 8 seconds, and a store that is known to be down refuses at once.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::writer_task::{Item, Notes, Order, Task};
use crate::{Gate, Mirror, Receipt, STATEMENT_DEADLINE, Submission, Target, Trouble, status};

/// Longest that [`Writer::submit`] waits, below the time-out of a terminal's HTTP client.
pub(crate) const ANSWER_WITHIN: Duration = STATEMENT_DEADLINE;

/// A disk that was full is taken for emptied when no work was refused for so long.
const FULL_FOR: Duration = Duration::from_secs(600);
/// Submissions of at most so many rows count as live.
const LIVE_ROWS: usize = 8;
/// Submissions that may wait, of each kind.
const QUEUE: usize = 8192;
/// Bytes that may wait for one store.
const QUEUE_BYTES: usize = 48 * 1024 * 1024;

/// Why a submission was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The store cannot be used now, or did not answer in time. What was submitted may or may
    /// not come to be stored; submitting it again is safe.
    #[error("the store is not available: {}", .0.as_str())]
    Unavailable(Trouble),
    /// Too much is waiting already.
    #[error("too much is waiting for this store")]
    Overloaded,
    /// The lease under which the records were fetched is no longer the newest.
    #[error("the lease is out of date")]
    Fenced,
    /// A cursor is not where the submission expected it.
    #[error("the cursor was moved by somebody else")]
    Moved,
    /// The writer is closing.
    #[error("the store is closing")]
    Closing,
}

/// Who is told what happens to a store, for metrics and logs.
pub trait Observer: Send + Sync {
    /// A transaction was committed.
    fn committed(&self, took: Duration, rows: usize);
    /// The store went from usable to not usable.
    fn troubled(&self, trouble: Trouble, text: &str);
    /// The store can be used again.
    fn recovered(&self);
    /// A new epoch of the feed was opened: the store is another one, or an older copy.
    fn new_epoch(&self, epoch: i64);
}

/// What a writer says about its store.
#[derive(Debug, Clone)]
pub struct WriterReport {
    /// False from a failure until the next success.
    pub up: bool,
    /// What is wrong, when it is not up. A store whose disk was full is up again when the little
    /// that the writer tries by itself fits; it stays [`Trouble::Full`] here until something was
    /// stored, or nothing was refused for ten minutes.
    pub trouble: Option<(Trouble, String)>,
    /// Submissions that wait.
    pub waiting: usize,
    /// Age of the oldest submission that is being worked on.
    pub oldest_waiting: Option<Duration>,
    /// When a transaction was last committed.
    pub last_commit: Option<Instant>,
    /// Transactions committed since the start.
    pub commits: u64,
    /// Commits whose answer was lost since the start.
    pub ambiguous_commits: u64,
}

/// What the writer's task tells its handles.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) down: Mutex<Option<(Trouble, String)>>,
    /// When the disk was last full, with nothing stored since.
    pub(crate) full: Mutex<Option<(Instant, String)>>,
    pub(crate) working_since: Mutex<Option<Instant>>,
    pub(crate) last_commit: Mutex<Option<Instant>>,
    pub(crate) commits: AtomicU64,
    pub(crate) ambiguous: AtomicU64,
    pub(crate) waiting: AtomicUsize,
    pub(crate) waiting_bytes: AtomicUsize,
}

impl Shared {
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        lock(&self.down).as_ref().map(|(trouble, _)| *trouble)
    }

    /// What is wrong with a store that is up: its disk was full a moment ago.
    fn doubt(&self) -> Option<(Trouble, String)> {
        let full = lock(&self.full).clone();
        let full = full.filter(|(last, _)| last.elapsed() < FULL_FOR);
        full.map(|(_, text)| (Trouble::Full, text))
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A handle to the one task that writes to a store. Clones share the task.
#[derive(Clone)]
pub struct Writer {
    live: mpsc::Sender<Item>,
    bulk: mpsc::Sender<Item>,
    orders: mpsc::Sender<Order>,
    closing: CancellationToken,
    shared: Arc<Shared>,
}

impl Writer {
    /// Starts the task. `label` names the store in `mirror`, which remembers how far its feed
    /// has come. Sessions come from `gate`, none before there is something to write.
    pub fn spawn(
        label: &str,
        target: Target,
        mirror: Mirror,
        gate: Gate,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let (live, live_queue) = mpsc::channel(QUEUE);
        let (bulk, bulk_queue) = mpsc::channel(QUEUE);
        let (orders, order_queue) = mpsc::channel(16);
        let shared = Arc::new(Shared::default());
        let closing = CancellationToken::new();
        let task = Task::new(
            label,
            gate.sessions(&target),
            mirror,
            observer,
            Arc::clone(&shared),
            closing.clone(),
        );
        tokio::spawn(task.run(live_queue, bulk_queue, order_queue));
        Self {
            live,
            bulk,
            orders,
            closing,
            shared,
        }
    }

    /// Stores everything in `submission` in one transaction and answers after its COMMIT.
    ///
    /// The future may be dropped at any time; the work goes on.
    pub async fn submit(&self, submission: Submission) -> Result<Receipt, Refused> {
        if let Some(trouble) = self.shared.trouble() {
            return Err(Refused::Unavailable(trouble));
        }
        if self.closing.is_cancelled() {
            return Err(Refused::Closing);
        }
        let weight = submission.weight();
        let shared = &self.shared;
        let before = shared.waiting_bytes.fetch_add(weight, Ordering::Relaxed);
        // One submission always fits, however large: its size is limited at the door.
        if before > 0 && before + weight > QUEUE_BYTES {
            shared.waiting_bytes.fetch_sub(weight, Ordering::Relaxed);
            return Err(Refused::Overloaded);
        }
        let queue = if submission.rows() <= LIVE_ROWS {
            &self.live
        } else {
            &self.bulk
        };
        let (reply, answer) = oneshot::channel();
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        let item = Item {
            submission,
            reply,
            queued: Instant::now(),
            weight,
        };
        if let Err(error) = queue.try_send(item) {
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
            shared.waiting_bytes.fetch_sub(weight, Ordering::Relaxed);
            return Err(match error {
                mpsc::error::TrySendError::Full(_) => Refused::Overloaded,
                mpsc::error::TrySendError::Closed(_) => Refused::Closing,
            });
        }
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Refused::Closing),
            Err(_) => Err(Refused::Unavailable(
                shared.trouble().unwrap_or(Trouble::NoAnswer),
            )),
        }
    }

    /// Writes what was last seen of terminals.
    pub async fn write_states(&self, states: Vec<status::DeviceState>) -> Result<(), Refused> {
        self.write_down(Notes::States(states)).await
    }

    /// Says of terminals that nobody hears that they are silent.
    pub async fn write_silences(&self, silent: Vec<status::Silence>) -> Result<(), Refused> {
        self.write_down(Notes::Silences(silent)).await
    }

    async fn write_down(&self, notes: Notes) -> Result<(), Refused> {
        if let Some(trouble) = self.shared.trouble() {
            return Err(Refused::Unavailable(trouble));
        }
        let (reply, answer) = oneshot::channel();
        let order = Order { notes, reply };
        self.orders
            .try_send(order)
            .map_err(|_| Refused::Overloaded)?;
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Refused::Closing),
            Err(_) => Err(Refused::Unavailable(Trouble::NoAnswer)),
        }
    }

    /// How the store does.
    pub fn report(&self) -> WriterReport {
        let shared = &self.shared;
        let trouble = lock(&shared.down).clone();
        let since = *lock(&shared.working_since);
        WriterReport {
            up: trouble.is_none(),
            trouble: trouble.or_else(|| shared.doubt()),
            waiting: shared.waiting.load(Ordering::Relaxed),
            oldest_waiting: since.map(|since| since.elapsed()),
            last_commit: *lock(&shared.last_commit),
            commits: shared.commits.load(Ordering::Relaxed),
            ambiguous_commits: shared.ambiguous.load(Ordering::Relaxed),
        }
    }

    /// Commits what waits, then closes the sessions in this database. Later submissions are refused. A store
    /// that is down cannot be waited for: what waits for it is refused.
    pub async fn close(&self) {
        self.closing.cancel();
        self.orders.closed().await;
    }
}
