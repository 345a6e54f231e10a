//! The task behind a [`Journal`](crate::Journal): one connection, one transaction at a time.
//!
//! Appends that wait while the disk works are written together and share one fsync. A
//! connection that has failed is dropped, and the next one counts anew what is in the file, so
//! that the figures in memory never drift from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use event::{DeviceId, Millis, Text};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{mpsc, oneshot};

use crate::examine::Room;
use crate::journal::{
    InFlight, JournalError, JournalLimits, JournalState, Memory, ROW_BYTES, Rows, Shared,
};
use crate::journal_code::decode;
use crate::transaction::ended;
use crate::writer::lock;
use crate::{AnyEngine, Failure, Row, Submission, Target, Trouble, Value, built, fixed};

/// Most appends in one transaction.
const GROUP: usize = 256;
/// Most bytes in one transaction, unless one append alone has more.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// Most rows, events and bytes handed out at once, unless one row alone has more.
const BATCH: (i64, u64, u64) = (200, 1000, 4 * 1024 * 1024);
/// Numbers in one statement.
const NUMBERS: usize = 500;
/// A file that is empty and still this large gives its room back.
const SHRINK_ABOVE: i64 = 16 * 1024 * 1024;

/// `body` stands last, so that counting does not read it. A number is never used twice: `done`
/// may come twice.
const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY AUTOINCREMENT, label TEXT NOT NULL, \
     device_id BLOB NOT NULL, events INTEGER NOT NULL, bytes INTEGER NOT NULL, kept_at INTEGER \
     NOT NULL, unreadable INTEGER NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS entry_label ON entry (label, id)",
];

type Reply<T> = oneshot::Sender<Result<T, JournalError>>;
/// Numbers and submissions in the order in which they came.
pub(crate) type Batch = (Vec<i64>, Vec<Submission>);

/// A submission on its way to the disk.
pub(crate) struct Item {
    pub(crate) label: Text,
    pub(crate) device: DeviceId,
    pub(crate) events: u64,
    pub(crate) body: Vec<u8>,
    pub(crate) reply: Reply<()>,
    /// Let go last, when the row counts by itself or does not exist.
    pub(crate) _flight: InFlight,
}

impl Item {
    fn rows(&self) -> Rows<'_> {
        Rows {
            device: self.device,
            label: &self.label,
            rows: 1,
            events: self.events,
            bytes: ROW_BYTES + u64::try_from(self.body.len()).unwrap_or(u64::MAX / 2),
        }
    }
}

/// What the task can be asked.
pub(crate) enum Order {
    Append(Item),
    Next(Text, Reply<Option<Batch>>),
    Done(Vec<i64>, Reply<()>),
}

pub(crate) struct Task {
    path: PathBuf,
    limits: JournalLimits,
    shared: Arc<Shared>,
    /// Taken out while in use: work that fails does not put it back.
    engine: Option<AnyEngine>,
}

impl Task {
    pub(crate) fn new(
        path: PathBuf,
        limits: JournalLimits,
        shared: Arc<Shared>,
        engine: AnyEngine,
    ) -> Self {
        Self {
            path,
            limits,
            shared,
            engine: Some(engine),
        }
    }

    pub(crate) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut next = orders.recv().await;
        while let Some(order) = next.take() {
            match order {
                Order::Append(first) => {
                    let (items, behind) = gather(first, &mut orders);
                    self.append(items).await;
                    next = behind;
                }
                Order::Next(label, reply) => {
                    let read = self.read(&label).await;
                    answer(reply, read.map_err(|failure| failed(&failure)));
                }
                Order::Done(ids, reply) => {
                    let removed = self.remove(&ids).await;
                    answer(reply, removed.map_err(|failure| failed(&failure)));
                }
            }
            if next.is_none() {
                next = orders.recv().await;
            }
        }
    }

    fn set_state(&self, state: JournalState) {
        let mut now = lock(&self.shared.state);
        if *now != state {
            match &state {
                JournalState::Ready => tracing::info!("the journal takes posts again"),
                JournalState::Failed(text) => tracing::error!(text, "the journal failed"),
                full => tracing::error!(state = full.as_str(), "the journal refuses posts"),
            }
            *now = state;
        }
    }

    /// Writes those that fit together, and answers each when the commit is done.
    async fn append(&mut self, items: Vec<Item>) {
        let mut fitting = Vec::with_capacity(items.len());
        let mut used = lock(&self.shared.memory).fill.bytes;
        let low = self.is_disk_low();
        let mut state = JournalState::Ready;
        // Nobody waits for a closed one any more: its device was told to come again.
        for item in items.into_iter().filter(|item| !item.reply.is_closed()) {
            let bytes = item.rows().bytes;
            let refused = match &low {
                Err(error) => Some(error.clone()),
                Ok(true) => Some(JournalError::DiskLow),
                Ok(false) => {
                    let fits = used.saturating_add(bytes) <= self.limits.bytes;
                    (!fits).then_some(JournalError::Full)
                }
            };
            if let Some(error) = refused {
                state = state_of(&error);
                answer(item.reply, Err(error));
                continue;
            }
            used += bytes;
            fitting.push(item);
        }
        if !fitting.is_empty() {
            let written = self.write(&fitting).await;
            let outcome = written.map_err(|failure| failed(&failure));
            if let Err(error) = &outcome {
                state = state_of(error);
            }
            for item in fitting {
                answer(item.reply, outcome.clone());
            }
        }
        self.set_state(state);
    }

    /// Whether the disk has less room left than has to stay.
    fn is_disk_low(&self) -> Result<bool, JournalError> {
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        let room = Room::under(folder).map_err(|error| JournalError::Failed(error.to_string()))?;
        Ok(self.limits.is_low(room))
    }

    async fn write(&mut self, items: &[Item]) -> Result<(), Failure> {
        let mut engine = self.take().await?;
        engine.begin().await?;
        let now = now();
        let done = insert(&mut engine, items, now).await;
        ended(&mut engine, done).await?;
        self.engine = Some(engine);
        let mut memory = lock(&self.shared.memory);
        for item in items {
            memory.add(&item.rows());
        }
        memory.fill.oldest.get_or_insert(now);
        Ok(())
    }

    /// The oldest rows for that store. One that cannot be read is marked and left behind.
    async fn read(&mut self, label: &str) -> Result<Option<Batch>, Failure> {
        loop {
            let mut engine = self.take().await?;
            let Some(last) = last_of_batch(&mut engine, label).await? else {
                self.engine = Some(engine);
                return Ok(None);
            };
            let sql = "SELECT id, body FROM entry WHERE label = ? AND unreadable = 0 AND id <= ? \
                       ORDER BY id";
            let rows = engine
                .fetch(fixed(sql), &[Value::Text(label), Value::Int(last)])
                .await?;
            self.engine = Some(engine);
            let (mut ids, mut submissions) = (Vec::new(), Vec::new());
            for row in &rows {
                let id = row.int(0)?;
                match decode(row.bytes(1)?) {
                    Ok(submission) => {
                        ids.push(id);
                        submissions.push(submission);
                    }
                    Err(why) => {
                        tracing::error!(id, %why, "a submission in the journal stays there");
                        self.mark_unreadable(id).await?;
                    }
                }
            }
            if !ids.is_empty() {
                return Ok(Some((ids, submissions)));
            }
        }
    }

    async fn mark_unreadable(&mut self, id: i64) -> Result<(), Failure> {
        let mut engine = self.take().await?;
        engine.begin().await?;
        let sql = "UPDATE entry SET unreadable = 1 WHERE id = ?";
        let done = engine.execute(fixed(sql), &[Value::Int(id)]).await;
        ended(&mut engine, done).await?;
        count(&mut engine, &self.shared).await?;
        self.engine = Some(engine);
        Ok(())
    }

    async fn remove(&mut self, ids: &[i64]) -> Result<(), Failure> {
        let mut engine = self.take().await?;
        engine.begin().await?;
        let done = delete(&mut engine, ids).await;
        let (gone, oldest) = ended(&mut engine, done).await?;
        let is_empty = {
            let mut memory = lock(&self.shared.memory);
            for row in &gone {
                memory.remove(&rows_of(row, &row.text(1)?)?);
            }
            memory.fill.oldest = oldest;
            memory.fill.bytes == 0
        };
        if is_empty {
            shrink(&mut engine).await?;
        }
        self.engine = Some(engine);
        if *lock(&self.shared.state) == JournalState::Full {
            self.set_state(JournalState::Ready);
        }
        Ok(())
    }

    async fn take(&mut self) -> Result<AnyEngine, Failure> {
        match self.engine.take() {
            Some(engine) => Ok(engine),
            None => connect(&self.path, &self.shared).await,
        }
    }
}

/// The first append with those that wait behind it, and the first order that is none.
fn gather(first: Item, orders: &mut mpsc::Receiver<Order>) -> (Vec<Item>, Option<Order>) {
    let mut bytes = first.body.len();
    let mut items = vec![first];
    while items.len() < GROUP && bytes < GROUP_BYTES {
        match orders.try_recv() {
            Ok(Order::Append(item)) => {
                bytes += item.body.len();
                items.push(item);
            }
            Ok(other) => return (items, Some(other)),
            Err(_) => break,
        }
    }
    (items, None)
}

fn answer<T>(reply: Reply<T>, outcome: Result<T, JournalError>) {
    if reply.send(outcome).is_err() {
        // The post ran into its deadline and its device was told to come again.
        tracing::trace!("nobody waits for this answer of the journal");
    }
}

fn failed(failure: &Failure) -> JournalError {
    if failure.trouble() == Trouble::Full {
        JournalError::DiskLow
    } else {
        JournalError::Failed(failure.text.clone())
    }
}

fn state_of(error: &JournalError) -> JournalState {
    match error {
        JournalError::Full => JournalState::Full,
        JournalError::DiskLow => JournalState::DiskLow,
        JournalError::Failed(text) => JournalState::Failed(text.clone()),
    }
}

async fn insert(engine: &mut AnyEngine, items: &[Item], now: Millis) -> Result<(), Failure> {
    let sql = "INSERT INTO entry (label, device_id, events, bytes, kept_at, unreadable, body) \
               VALUES (?, ?, ?, ?, ?, 0, ?)";
    for item in items {
        let rows = item.rows();
        let values = [
            Value::Text(&item.label),
            Value::Bytes(&item.device.0),
            Value::Int(signed(rows.events)),
            Value::Int(signed(rows.bytes)),
            Value::Int(now.0),
            Value::Bytes(&item.body),
        ];
        engine.execute(fixed(sql), &values).await?;
    }
    Ok(())
}

/// The number at which the next batch for that store ends.
async fn last_of_batch(engine: &mut AnyEngine, label: &str) -> Result<Option<i64>, Failure> {
    let sql = "SELECT id, events, bytes FROM entry WHERE label = ? AND unreadable = 0 \
               ORDER BY id LIMIT ?";
    let values = [Value::Text(label), Value::Int(BATCH.0)];
    let (mut last, mut events, mut bytes) = (None, 0, 0);
    for row in engine.fetch(fixed(sql), &values).await? {
        events += unsigned(row.int(1)?);
        bytes += unsigned(row.int(2)?);
        if last.is_some() && (events > BATCH.1 || bytes > BATCH.2) {
            break;
        }
        last = Some(row.int(0)?);
    }
    Ok(last)
}

/// Removes rows; answers what they were, by terminal and store, and when the oldest left came.
async fn delete(
    engine: &mut AnyEngine,
    ids: &[i64],
) -> Result<(Vec<Row>, Option<Millis>), Failure> {
    let mut gone = Vec::new();
    for some in ids.chunks(NUMBERS) {
        let values: Vec<_> = some.iter().map(|id| Value::Int(*id)).collect();
        let marks = vec!["?"; some.len()].join(",");
        let sql = format!(
            "SELECT device_id, label, COUNT(*), SUM(events), SUM(bytes) FROM entry \
             WHERE unreadable = 0 AND id IN ({marks}) GROUP BY device_id, label"
        );
        gone.extend(engine.fetch(built(sql), &values).await?);
        let sql = format!("DELETE FROM entry WHERE unreadable = 0 AND id IN ({marks})");
        engine.execute(built(sql), &values).await?;
    }
    let sql = "SELECT kept_at FROM entry WHERE unreadable = 0 ORDER BY id LIMIT 1";
    let left = engine.fetch(fixed(sql), &[]).await?;
    let oldest = left.first().map(|row| row.int(0)).transpose()?.map(Millis);
    Ok((gone, oldest))
}

/// Gives the room of an emptied journal back to the disk.
async fn shrink(engine: &mut AnyEngine) -> Result<(), Failure> {
    let pages = engine.fetch(fixed("PRAGMA page_count"), &[]).await?;
    let size = engine.fetch(fixed("PRAGMA page_size"), &[]).await?;
    let first = |rows: &[Row]| rows.first().map_or(Ok(0), |row| row.int(0));
    if first(&pages)?.saturating_mul(first(&size)?) > SHRINK_ABOVE {
        engine.execute(fixed("VACUUM"), &[]).await?;
        let truncate = fixed("PRAGMA wal_checkpoint(TRUNCATE)");
        engine.fetch(truncate, &[]).await?;
    }
    Ok(())
}

/// Reads device, label, rows, events and bytes.
fn rows_of<'a>(row: &Row, label: &'a str) -> Result<Rows<'a>, Failure> {
    Ok(Rows {
        device: row.device_id(0)?,
        label,
        rows: unsigned(row.int(2)?),
        events: unsigned(row.int(3)?),
        bytes: unsigned(row.int(4)?),
    })
}

/// Counts what is in the file.
async fn count(engine: &mut AnyEngine, shared: &Shared) -> Result<(), Failure> {
    let sql = "SELECT device_id, label, COUNT(*), SUM(events), SUM(bytes), MIN(kept_at), \
               unreadable FROM entry GROUP BY device_id, label, unreadable";
    let mut memory = Memory::default();
    for row in engine.fetch(fixed(sql), &[]).await? {
        let label = row.text(1)?;
        let rows = rows_of(&row, &label)?;
        if row.int(6)? == 0 {
            memory.add(&rows);
            let oldest = Millis(row.int(5)?);
            memory.fill.oldest = Some(memory.fill.oldest.map_or(oldest, |it| it.min(oldest)));
        } else {
            memory.fill.unreadable += rows.rows;
            memory.fill.bytes += rows.bytes;
        }
    }
    *lock(&shared.memory) = memory;
    Ok(())
}

async fn connect(path: &Path, shared: &Shared) -> Result<AnyEngine, Failure> {
    let mut engine = Target::Sqlite(path.to_owned()).connect().await?;
    for table in TABLES {
        engine.execute(fixed(table), &[]).await?;
    }
    count(&mut engine, shared).await?;
    Ok(engine)
}

/// Opens the file, counted; where it cannot be read, moves it aside, says where to, and opens
/// an empty one.
pub(crate) async fn open_file(
    path: &Path,
    shared: &Shared,
) -> Result<(AnyEngine, Option<PathBuf>), JournalError> {
    let aside = if is_damaged(path).await? {
        Some(move_aside(path).map_err(|error| {
            JournalError::Failed(format!("it cannot be read nor moved aside: {error}"))
        })?)
    } else {
        None
    };
    let engine = connect(path, shared)
        .await
        .map_err(|failure| JournalError::Failed(failure.text))?;
    Ok((engine, aside))
}

/// Looks through the whole file, over a connection that is closed before anybody moves it.
async fn is_damaged(path: &Path) -> Result<bool, JournalError> {
    if !path.exists() {
        return Ok(false);
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .disable_statement_logging();
    let text = |error: sqlx::Error| JournalError::Failed(error.to_string());
    let mut connection = match options.connect().await {
        Err(error) if says_damaged(&error) => return Ok(true),
        opened => opened.map_err(text)?,
    };
    let checked: Result<String, _> = sqlx::query_scalar(fixed("PRAGMA quick_check(1)"))
        .fetch_one(&mut connection)
        .await;
    // What closing says adds nothing to what the check has said.
    connection.close().await.ok();
    match checked {
        Ok(word) => Ok(word != "ok"),
        Err(error) if says_damaged(&error) => Ok(true),
        Err(error) => Err(text(error)),
    }
}

/// SQLITE_CORRUPT and SQLITE_NOTADB (sqlite.org/rescode.html).
fn says_damaged(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|inner| inner.code());
    code.and_then(|code| code.parse::<i64>().ok())
        .is_some_and(|code| [11, 26].contains(&(code & 0xff)))
}

/// Moves the file, and the log that belongs to it, to a name that no other has.
fn move_aside(path: &Path) -> std::io::Result<PathBuf> {
    let with = |path: &Path, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let aside = with(path, &format!(".damaged-{}", now().0));
    // The log first: should this be cut off, the next try still finds the damaged file.
    for end in ["-wal", "-shm", ""] {
        match std::fs::rename(with(path, end), with(&aside, end)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !end.is_empty() => {}
            moved => moved?,
        }
    }
    Ok(aside)
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}

fn now() -> Millis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
