//! Work that dials a terminal or writes events outside the door: asked for by a command,
//! done by a running satellite.
//!
//! A job is claimed by one holder and finished by the same. What runs it must hold the
//! terminal's [`lease`](crate::lease) as well; a claim alone does not keep others from the
//! terminal. A job whose holder lost the terminal is given back and may be claimed again, so
//! that what a job does must be safe to begin twice. One that nobody finished in time is expired.

use event::{DeviceId, Millis};

use crate::engine::Dialect;
use crate::transaction::ended;
use crate::{AnyEngine, Failure, Row, Value};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Nobody has claimed it.
    Waiting,
    /// Its holder is at it.
    Running,
    /// Done; `result` says what came of it.
    Done,
    /// Failed; `result` says why.
    Failed,
    /// Its time ran out before it was finished.
    Expired,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Expired,
    ];

    /// The word in the database and in commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    /// The state of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A job to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob<'a> {
    /// Which terminal it is about.
    pub device: DeviceId,
    /// What to do; at most 32 bytes.
    pub kind: &'a str,
    /// With what, as a JSON text.
    pub request: &'a str,
    /// When it is given up.
    pub expires_at: Millis,
}

/// A job as the database holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: i64,
    /// Which terminal it is about.
    pub device: DeviceId,
    /// What to do.
    pub kind: String,
    /// With what, as a JSON text.
    pub request: String,
    /// Where it stands.
    pub state: JobState,
    /// What its holder last said.
    pub progress: Option<String>,
    /// What came of it, as a JSON text.
    pub result: Option<String>,
    /// Who claimed it.
    pub holder: Option<String>,
    /// How often it was claimed.
    pub attempts: i64,
    /// When it was asked for.
    pub created_at: Millis,
    /// When it is given up.
    pub expires_at: Millis,
    /// When it was finished, failed or given up.
    pub finished_at: Option<Millis>,
}

const SELECT: &str = "SELECT id, device_id, kind, request, state, progress, result, holder, \
     attempts, CAST(created_at AS CHAR), CAST(expires_at AS CHAR), CAST(finished_at AS CHAR) \
     FROM job";

/// How often [`claim`] looks again when others were quicker.
const CLAIM_ATTEMPTS: usize = 16;

/// Longest progress text kept, in characters.
const PROGRESS_LIMIT: usize = 190;

/// Adds a job and answers its number.
pub async fn enqueue(
    engine: &mut AnyEngine,
    job: &NewJob<'_>,
    now: Millis,
) -> Result<i64, Failure> {
    engine.begin().await?;
    let done = insert(engine, job, now).await;
    ended(engine, done).await
}

async fn insert(engine: &mut AnyEngine, job: &NewJob<'_>, now: Millis) -> Result<i64, Failure> {
    let sql = "INSERT INTO job (device_id, kind, request, state, attempts, created_at, expires_at) \
               VALUES (?, ?, ?, 'waiting', 0, ?, ?)";
    let (created, expires) = (now.text(), job.expires_at.text());
    let values = [
        Value::Bytes(&job.device.0),
        Value::Text(job.kind),
        Value::Text(job.request),
        Value::Text(&created),
        Value::Text(&expires),
    ];
    engine.execute(crate::fixed(sql), &values).await?;
    let sql = match engine.dialect() {
        Dialect::Mysql => "SELECT LAST_INSERT_ID()",
        Dialect::Sqlite => "SELECT last_insert_rowid()",
    };
    let rows = engine.fetch(crate::fixed(sql), &[]).await?;
    rows.first().map_or_else(
        || Err(Failure::schema("no number for the job")),
        |row| row.int(0),
    )
}

/// Claims the oldest waiting job; `None` when there is none.
pub async fn claim(
    engine: &mut AnyEngine,
    holder: &str,
    now: Millis,
) -> Result<Option<Job>, Failure> {
    let now = now.text();
    for _ in 0..CLAIM_ATTEMPTS {
        let sql = "SELECT id FROM job WHERE state = 'waiting' AND expires_at > ? \
                   ORDER BY id LIMIT 1";
        let rows = engine
            .fetch(crate::fixed(sql), &[Value::Text(&now)])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let id = row.int(0)?;
        let sql = "UPDATE job SET state = 'running', holder = ?, attempts = attempts + 1 \
                   WHERE id = ? AND state = 'waiting'";
        let values = [Value::Text(holder), Value::Int(id)];
        // The UPDATE decides; whoever comes second finds no waiting row and looks again.
        if engine.execute(crate::fixed(sql), &values).await? == 1 {
            return get(engine, id).await;
        }
    }
    Ok(None)
}

/// The jobs of that kind that wait, oldest first.
pub async fn waiting(
    engine: &mut AnyEngine,
    kind: &str,
    now: Millis,
    limit: u32,
) -> Result<Vec<Job>, Failure> {
    let sql = crate::built(format!(
        "{SELECT} WHERE state = 'waiting' AND kind = ? AND expires_at > ? ORDER BY id LIMIT ?"
    ));
    let now = now.text();
    let values = [
        Value::Text(kind),
        Value::Text(&now),
        Value::Int(i64::from(limit)),
    ];
    let rows = engine.fetch(sql, &values).await?;
    rows.iter().map(job_row).collect()
}

/// Claims that job, if it still waits. False when somebody else was quicker.
pub async fn claim_one(engine: &mut AnyEngine, id: i64, holder: &str) -> Result<bool, Failure> {
    let sql = "UPDATE job SET state = 'running', holder = ?, attempts = attempts + 1 \
               WHERE id = ? AND state = 'waiting'";
    let values = [Value::Text(holder), Value::Int(id)];
    Ok(engine.execute(crate::fixed(sql), &values).await? == 1)
}

/// Gives a job back that its holder cannot go on with; it waits again. False when it was not
/// running under that holder.
pub async fn give_back(engine: &mut AnyEngine, id: i64, holder: &str) -> Result<bool, Failure> {
    let sql = "UPDATE job SET state = 'waiting', holder = NULL \
               WHERE id = ? AND holder = ? AND state = 'running'";
    let values = [Value::Int(id), Value::Text(holder)];
    Ok(engine.execute(crate::fixed(sql), &values).await? == 1)
}

/// Gives back everything of that kind that an earlier life of this holder left behind.
pub async fn give_back_all(
    engine: &mut AnyEngine,
    kind: &str,
    holder: &str,
) -> Result<u64, Failure> {
    let sql = "UPDATE job SET state = 'waiting', holder = NULL \
               WHERE kind = ? AND holder = ? AND state = 'running'";
    let values = [Value::Text(kind), Value::Text(holder)];
    engine.execute(crate::fixed(sql), &values).await
}

/// Notes how far the holder is; a longer text is cut. Answers false when the job is not
/// running under that holder any more, which means: stop.
pub async fn progress(
    engine: &mut AnyEngine,
    id: i64,
    holder: &str,
    text: &str,
) -> Result<bool, Failure> {
    let sql = "UPDATE job SET progress = ? WHERE id = ? AND holder = ? AND state = 'running'";
    let text: String = text.chars().take(PROGRESS_LIMIT).collect();
    let values = [Value::Text(&text), Value::Int(id), Value::Text(holder)];
    Ok(engine.execute(crate::fixed(sql), &values).await? == 1)
}

/// Ends a job: `Ok` with what came of it or `Err` with why it failed, both JSON texts. Answers
/// false when the job is not running under that holder any more.
pub async fn finish(
    engine: &mut AnyEngine,
    id: i64,
    holder: &str,
    outcome: Result<&str, &str>,
    now: Millis,
) -> Result<bool, Failure> {
    let (state, result) = match outcome {
        Ok(result) => (JobState::Done, result),
        Err(why) => (JobState::Failed, why),
    };
    let sql = "UPDATE job SET state = ?, result = ?, finished_at = ? \
               WHERE id = ? AND holder = ? AND state = 'running'";
    let values = [
        Value::Text(state.as_str()),
        Value::Text(result),
        Value::Text(&now.text()),
        Value::Int(id),
        Value::Text(holder),
    ];
    Ok(engine.execute(crate::fixed(sql), &values).await? == 1)
}

/// The job of that number.
pub async fn get(engine: &mut AnyEngine, id: i64) -> Result<Option<Job>, Failure> {
    let sql = crate::built(format!("{SELECT} WHERE id = ?"));
    let rows = engine.fetch(sql, &[Value::Int(id)]).await?;
    rows.first().map(job_row).transpose()
}

/// The newest jobs, newest first; only those in that state if one is given.
pub async fn list(
    engine: &mut AnyEngine,
    state: Option<JobState>,
    limit: u32,
) -> Result<Vec<Job>, Failure> {
    let limit = Value::Int(i64::from(limit));
    let rows = match state {
        Some(state) => {
            let sql = crate::built(format!("{SELECT} WHERE state = ? ORDER BY id DESC LIMIT ?"));
            engine
                .fetch(sql, &[Value::Text(state.as_str()), limit])
                .await?
        }
        None => {
            let sql = crate::built(format!("{SELECT} ORDER BY id DESC LIMIT ?"));
            engine.fetch(sql, &[limit]).await?
        }
    };
    rows.iter().map(job_row).collect()
}

/// Gives up every job whose time ran out, and answers how many those were.
pub async fn expire(engine: &mut AnyEngine, now: Millis) -> Result<u64, Failure> {
    let sql = "UPDATE job SET state = 'expired', finished_at = ? \
               WHERE state IN ('waiting', 'running') AND expires_at <= ?";
    let now = now.text();
    engine
        .execute(crate::fixed(sql), &[Value::Text(&now), Value::Text(&now)])
        .await
}

fn job_row(row: &Row) -> Result<Job, Failure> {
    let word = row.text(4)?;
    let unknown = || Failure::schema(format!("'{word}' is not a state of a job"));
    Ok(Job {
        id: row.int(0)?,
        device: row.device_id(1)?,
        kind: row.text(2)?,
        request: row.text(3)?,
        state: JobState::from_word(&word).ok_or_else(unknown)?,
        progress: row.opt_text(5)?,
        result: row.opt_text(6)?,
        holder: row.opt_text(7)?,
        attempts: row.int(8)?,
        created_at: row.time(9)?,
        expires_at: row.time(10)?,
        finished_at: row.opt_time(11)?,
    })
}
