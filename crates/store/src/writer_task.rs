//! The task behind a [`Writer`](crate::Writer): one session, one transaction at a time.
//!
//! A session is taken for each transaction and given back after it. What is known of the store
//! is the task's own: it was found out at some moment, on some server, and holds for every
//! session to that server that is older than that moment.
//!
//! What must never happen here: other rows written while the outcome of a COMMIT is unknown;
//! a session given back after an error or a deadline; a wait without a bound.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use event::Millis;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::commit::{Attempts, Broken, KnownDevices, commit, went_back};
use crate::gate::{Session, Sessions, Want};
use crate::memory::Memory;
use crate::schema::SchemaState;
use crate::writer::{Observer, Refused, Shared, lock};
use crate::{
    AnyEngine, Failure, Mirror, Receipt, Remedy, Submission, Trouble, feed, schema, status,
};

/// Most rows of a transaction, unless one submission alone has more.
const BATCH_ROWS: usize = 1000;
/// Most bytes of a transaction, unless one submission alone has more.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Tries of a transaction that meets deadlocks or lost connections before it is given up.
const TRIES: u32 = 6;
/// Longest wait for a session while other stores of the same server use them all.
const PERMIT_WITHIN: Duration = Duration::from_secs(3);
/// How often an idle writer looks whether the mark of its feed has to be remembered.
const IDLE_LOOK: Duration = Duration::from_millis(250);
/// First and longest pause between tries to reach a store that is down.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// A submission on its way.
pub(crate) struct Item {
    pub(crate) submission: Submission,
    pub(crate) reply: oneshot::Sender<Result<Receipt, Refused>>,
    pub(crate) queued: Instant,
    pub(crate) weight: usize,
}

/// What else a writer can be asked to write down, and who waits for it.
pub(crate) struct Order {
    pub(crate) notes: Notes,
    pub(crate) reply: oneshot::Sender<Result<(), Refused>>,
}

/// What is written down of terminals beside their events.
pub(crate) enum Notes {
    States(Vec<status::DeviceState>),
    Silences(Vec<status::Silence>),
}

/// A batch with those who wait for it.
struct Batch {
    submissions: Vec<Submission>,
    replies: Vec<oneshot::Sender<Result<Receipt, Refused>>>,
    attempts: Attempts,
    since: Instant,
}

pub(crate) struct Task {
    label: String,
    sessions: Sessions,
    observer: Arc<dyn Observer>,
    shared: Arc<Shared>,
    closing: CancellationToken,
    /// When the store was last looked at; sessions opened later have to look again.
    checked: Option<Instant>,
    /// Devices whose rows are there, as far as was found since then.
    known: KnownDevices,
    /// A batch whose COMMIT was not answered. Nothing else is written before it is settled.
    held: Option<Batch>,
    /// What is known of the store outside of it.
    memory: Memory,
    pause: Duration,
}

impl Task {
    pub(crate) fn new(
        label: &str,
        sessions: Sessions,
        mirror: Mirror,
        observer: Arc<dyn Observer>,
        shared: Arc<Shared>,
        closing: CancellationToken,
    ) -> Self {
        Self {
            label: label.to_owned(),
            sessions,
            observer,
            shared,
            closing,
            checked: None,
            known: KnownDevices::default(),
            held: None,
            memory: Memory::new(label, mirror),
            pause: PAUSES.0,
        }
    }

    pub(crate) async fn run(
        mut self,
        mut live: mpsc::Receiver<Item>,
        mut bulk: mpsc::Receiver<Item>,
        mut orders: mpsc::Receiver<Order>,
    ) {
        loop {
            if self.shared.trouble().is_some() {
                self.refuse_all(&mut live, &mut bulk);
                tokio::select! {
                    () = self.closing.cancelled() => break,
                    () = tokio::time::sleep(self.pause) => self.try_again().await,
                }
                continue;
            }
            tokio::select! {
                biased;
                Some(item) = live.recv() => self.work(item, &mut live, &mut bulk).await,
                Some(item) = bulk.recv() => self.work(item, &mut live, &mut bulk).await,
                Some(order) = orders.recv() => self.obey(order).await,
                () = self.closing.cancelled() => break,
                () = tokio::time::sleep(IDLE_LOOK), if self.memory.is_behind() => {
                    self.memory.save_if_due().await;
                }
                else => break,
            }
        }
        self.refuse_all(&mut live, &mut bulk);
        self.sessions.close_idle().await;
        self.memory.close().await;
        // `orders` ends here, which is what `Writer::close` waits for.
    }

    /// Commits the first item together with whatever waits behind it.
    async fn work(
        &mut self,
        first: Item,
        live: &mut mpsc::Receiver<Item>,
        bulk: &mut mpsc::Receiver<Item>,
    ) {
        let mut batch = Batch {
            since: first.queued,
            submissions: Vec::new(),
            replies: Vec::new(),
            attempts: Attempts::default(),
        };
        let (mut rows, mut bytes) = (0, 0);
        let mut next = Some(first);
        // One of the backlog goes along with every batch, so that it is never starved.
        let mut turn_of_bulk = false;
        while let Some(item) = next {
            rows += item.submission.rows();
            bytes += item.weight;
            self.admit(item, &mut batch);
            if rows >= BATCH_ROWS || bytes >= BATCH_BYTES {
                break;
            }
            next = if turn_of_bulk {
                bulk.try_recv().ok()
            } else {
                None
            }
            .or_else(|| live.try_recv().ok())
            .or_else(|| bulk.try_recv().ok());
            turn_of_bulk = !turn_of_bulk;
        }
        if batch.submissions.is_empty() {
            return;
        }
        *lock(&self.shared.working_since) = Some(batch.since);
        self.commit(batch, None).await;
        if self.held.is_none() {
            *lock(&self.shared.working_since) = None;
        }
        self.memory.save_if_due().await;
    }

    /// Takes an item off the queue; one that nobody waits for any more is dropped: its
    /// terminal was told to come again.
    fn admit(&self, item: Item, batch: &mut Batch) {
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        self.shared
            .waiting_bytes
            .fetch_sub(item.weight, Ordering::Relaxed);
        if item.reply.is_closed() {
            return;
        }
        batch.since = batch.since.min(item.queued);
        batch.submissions.push(item.submission);
        batch.replies.push(item.reply);
    }

    /// Commits the batch, at first over `session` if there is one.
    async fn commit(&mut self, mut batch: Batch, mut session: Option<Session>) {
        let (mut want, mut careful) = (Want::Any, false);
        let mut failure = Failure::wait(Trouble::Locked, "given up after several tries");
        for attempt in 0..TRIES {
            let mut using = match session.take() {
                Some(session) => session,
                None => match self.session(want).await {
                    Ok(session) => session,
                    Err(error) => return self.give_up(batch, &error),
                },
            };
            let started = Instant::now();
            let allowed = self.memory.lowest()..self.memory.reserved();
            let (rows, tries, known) = (&batch.submissions, &mut batch.attempts, &mut self.known);
            let outcome = commit(using.engine(), rows, tries, known, allowed, careful).await;
            let broken = match outcome {
                Ok(done) => {
                    using.give_back();
                    self.memory.committed(done.next_seq).await;
                    return self.settle(batch, done.receipts, started.elapsed());
                }
                Err(broken) => broken,
            };
            // Device rows of a transaction that was rolled back are not there.
            self.known.clear();
            want = Want::New;
            match broken {
                Broken::NotCommitted(error) => match error.remedy {
                    Remedy::TryAgain => {
                        session = Some(using);
                        tokio::time::sleep(jitter(attempt)).await;
                        failure = error;
                    }
                    Remedy::SetRowAside if !careful => {
                        session = Some(using);
                        careful = true;
                    }
                    // A session that had been idle may have died unnoticed; a new one has not.
                    _ if !using.is_fresh() => using.give_up(&error),
                    _ => {
                        using.give_up(&error);
                        return self.give_up(batch, &error);
                    }
                },
                Broken::Unknown(error) => {
                    self.shared.ambiguous.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(store = %self.label, %error, "the answer to COMMIT was lost; the same rows go again");
                    using.give_up(&error);
                    failure = error;
                }
                Broken::NotReserved(end) => {
                    self.memory.reserve(end).await;
                    session = Some(using);
                }
                // Opening the next connection finds the store behind and opens a new epoch.
                Broken::WentBack => failure = went_back(),
            }
        }
        self.give_up(batch, &failure);
    }

    fn settle(&mut self, batch: Batch, receipts: Vec<Result<Receipt, Refused>>, took: Duration) {
        let rows = batch.submissions.iter().map(Submission::rows).sum();
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        *lock(&self.shared.full) = None;
        *lock(&self.shared.last_commit) = Some(Instant::now());
        self.observer.committed(took, rows);
        for (reply, receipt) in batch.replies.into_iter().zip(receipts) {
            answer(reply, receipt);
        }
    }

    /// The batch cannot be settled now. If its outcome is unknown it is held; else it is not in
    /// the store, and everyone is told.
    fn give_up(&mut self, mut batch: Batch, failure: &Failure) {
        let trouble = failure.trouble();
        self.go_down(trouble, &failure.text);
        for reply in batch.replies.drain(..) {
            answer(reply, Err(Refused::Unavailable(trouble)));
        }
        if batch.attempts.is_open() {
            self.held = Some(batch);
        } else {
            *lock(&self.shared.working_since) = None;
        }
    }

    fn go_down(&mut self, trouble: Trouble, text: &str) {
        self.checked = None;
        *lock(&self.shared.full) =
            (trouble == Trouble::Full).then(|| (Instant::now(), text.to_owned()));
        let before = lock(&self.shared.down).replace((trouble, text.to_owned()));
        if before.is_none() {
            self.pause = PAUSES.0;
            self.observer.troubled(trouble, text);
        } else {
            self.pause = (self.pause * 2).min(PAUSES.1);
        }
    }

    /// Tries to reach a store that is down, and to settle the batch that is held.
    async fn try_again(&mut self) {
        // An idle session will do where the server itself was in order.
        let broken = matches!(
            self.shared.trouble(),
            Some(Trouble::Unreachable | Trouble::NoAnswer)
        );
        let want = if broken || self.held.is_some() {
            Want::New
        } else {
            Want::Any
        };
        let mut session = match self.session(want).await {
            Ok(session) => session,
            Err(failure) => return self.go_down(failure.trouble(), &failure.text),
        };
        match self.held.take() {
            Some(batch) => {
                self.commit(batch, Some(session)).await;
                if self.held.is_some() {
                    return;
                }
                *lock(&self.shared.working_since) = None;
            }
            None => match takes_writes(&mut session).await {
                Ok(()) => session.give_back(),
                Err(failure) => {
                    session.give_up(&failure);
                    return self.go_down(failure.trouble(), &failure.text);
                }
            },
        }
        *lock(&self.shared.down) = None;
        self.observer.recovered();
    }

    async fn obey(&mut self, order: Order) {
        let Order { notes, reply } = order;
        let outcome = match self.session(Want::Any).await {
            Ok(mut session) => match write_down(session.engine(), &notes).await {
                Ok(()) => {
                    session.give_back();
                    Ok(())
                }
                Err(failure) => {
                    let down = session.is_fresh() && failure.remedy != Remedy::TryAgain;
                    session.give_up(&failure);
                    Err((down, failure))
                }
            },
            Err(failure) => Err((failure.remedy != Remedy::TryAgain, failure)),
        };
        let outcome = outcome.map_err(|(down, failure)| {
            if down {
                self.go_down(failure.trouble(), &failure.text);
            }
            Refused::Unavailable(failure.trouble())
        });
        if reply.send(outcome).is_err() {
            tracing::trace!("nobody waits for these states");
        }
    }

    /// A session in our database, of which we know that it is our store.
    async fn session(&mut self, want: Want) -> Result<Session, Failure> {
        let session = self.sessions.take(want, PERMIT_WITHIN).await?;
        let fresh = session.is_fresh();
        match self.looked_at(session).await {
            // It may have died while it was idle.
            Err(_) if !fresh => {
                let session = self.sessions.take(Want::New, PERMIT_WITHIN).await?;
                self.looked_at(session).await
            }
            looked_at => looked_at,
        }
    }

    /// Looks at the store over this session, unless an earlier look holds for it too.
    async fn looked_at(&mut self, mut session: Session) -> Result<Session, Failure> {
        let holds = self.checked.is_some_and(|at| session.opened() <= at);
        let same = self.memory.server() == Some(session.server());
        if !(holds && same) {
            let now = Instant::now();
            if let Err(failure) = self.check(&mut session).await {
                session.give_up(&failure);
                return Err(failure);
            }
            self.checked = Some(now);
        }
        Ok(session)
    }

    /// Looks whether this is the store we know, as far along as we know it.
    async fn check(&mut self, session: &mut Session) -> Result<(), Failure> {
        self.known.clear();
        let server = session.server().to_owned();
        let engine = session.engine();
        if let SchemaState::Behind(version) = schema::state(engine).await? {
            let text = format!(
                "schema version {version} is older than this program's; run `satellite db migrate`"
            );
            return Err(Failure::schema(text));
        }
        self.memory.load().await?;
        let mut head = feed::head(engine).await?;
        if let Some(reason) = self.memory.differs(&head, &server) {
            let known = self.memory.highest();
            let epoch = feed::next_epoch(&head, known.as_ref());
            self.memory.reserve((epoch << feed::EPOCH_BITS) + 2).await;
            let epoch = feed::open_epoch(engine, known.as_ref(), reason, now()).await?;
            self.observer.new_epoch(epoch);
            head = feed::head(engine).await?;
        } else if let Some(next_seq) = self.memory.goes_on_from()
            && head.next_seq < next_seq
        {
            feed::skip_to(engine, next_seq).await?;
            head = feed::head(engine).await?;
        }
        self.memory.found(&head, server);
        Ok(())
    }

    fn refuse_all(&self, live: &mut mpsc::Receiver<Item>, bulk: &mut mpsc::Receiver<Item>) {
        let refused = self
            .shared
            .trouble()
            .map_or(Refused::Closing, Refused::Unavailable);
        while let Some(item) = live.try_recv().ok().or_else(|| bulk.try_recv().ok()) {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            self.shared
                .waiting_bytes
                .fetch_sub(item.weight, Ordering::Relaxed);
            answer(item.reply, Err(refused));
        }
    }
}

async fn write_down(engine: &mut AnyEngine, notes: &Notes) -> Result<(), Failure> {
    match notes {
        Notes::States(states) => status::write(engine, states).await,
        Notes::Silences(silent) => status::write_silences(engine, silent).await,
    }
}

/// Whether a transaction can write: a server that only reads answers every question well.
async fn takes_writes(session: &mut Session) -> Result<(), Failure> {
    let engine = session.engine();
    engine.begin().await?;
    let wrote = engine.take_numbers(1).await.map(drop);
    // The number is given back, so that trying leaves no hole.
    let ended = engine.rollback().await;
    wrote.and(ended)
}

fn answer(reply: oneshot::Sender<Result<Receipt, Refused>>, outcome: Result<Receipt, Refused>) {
    if reply.send(outcome).is_err() {
        // The request ran into its deadline and its terminal was told to come again.
        tracing::trace!("nobody waits for this answer");
    }
}

/// 5 to 10 ms after the first try, doubling, so that two writers do not meet again.
fn jitter(attempt: u32) -> Duration {
    let mut byte = [0];
    let random = if getrandom::fill(&mut byte).is_ok() {
        u64::from(byte[0])
    } else {
        128
    };
    Duration::from_micros((5_000 + random * 20) << attempt.min(6))
}

fn now() -> Millis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
