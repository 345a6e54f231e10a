//! Commands to push terminals: what each was told, who wanted it, and what it answered.
//!
//! The rows are the memory; the queue that a poll asks stands in the process, because a poll must
//! never wait for a database. So what is written here is always a little behind: a command that
//! stands as waiting may have been handed out a moment ago. A command that has ended is never
//! changed again, and each has a line in the audit when it is asked for and when it ends. Whether
//! a text may be sent is not decided here.

use event::{DeviceId, Millis, Serial};
use serde_json::json;

use crate::registry::{audit_inside, queue_up};
use crate::transaction::ended;
use crate::{AnyEngine, Failure, Row, Trouble, Value};

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandState {
    /// It was not handed out yet.
    Waiting,
    /// It was handed out, or one satellite has taken it to hand it out; nothing has come back.
    Sent,
    /// Its result came, and records may still follow.
    Answered,
    /// Carried out.
    Done,
    /// The terminal could not, or would not.
    Failed,
    /// Nothing came back in time.
    Expired,
    /// It is not sent to this terminal.
    Refused,
}

impl CommandState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Sent,
        Self::Answered,
        Self::Done,
        Self::Failed,
        Self::Expired,
        Self::Refused,
    ];

    /// The word in the database and in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Answered => "answered",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Refused => "refused",
        }
    }

    /// The state of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// True while something may still happen.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Sent | Self::Answered)
    }
}

/// A command as the database holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// 13 letters and digits at random: no other installation's, and not to be guessed.
    pub id: String,
    /// To whom.
    pub device: DeviceId,
    /// Its serial, for people and the audit.
    pub serial: String,
    /// Our own word for what it is; at most 32 bytes.
    pub form: String,
    /// Its exact text; at most 1,500 bytes.
    pub text: String,
    /// Where it stands.
    pub state: CommandState,
    /// How often it was handed out.
    pub attempts: i64,
    /// Who wanted it.
    pub actor: String,
    /// When it was asked for.
    pub created_at: Millis,
    /// When it is given up.
    pub expires_at: Millis,
    /// When it was last handed out.
    pub sent_at: Option<Millis>,
    /// When its result came.
    pub answered_at: Option<Millis>,
    /// The result's code: 0 or a count, negative for failure.
    pub return_code: Option<i64>,
    /// Records that came as its answer.
    pub records: i64,
    /// What else came back, as a JSON text.
    pub result: Option<String>,
}

/// What [`enqueue`] is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommand<'a> {
    /// To whom.
    pub device: DeviceId,
    /// Its serial, for the audit.
    pub serial: &'a Serial,
    /// Our own word for what it is.
    pub form: &'a str,
    /// Its exact text.
    pub text: &'a str,
    /// Who wants it.
    pub actor: &'a str,
    /// When it is given up.
    pub expires_at: Millis,
}

/// Longest text of a command, in bytes.
pub const TEXT_LIMIT: usize = 1_500;
/// Longest answer kept, in bytes.
pub const RESULT_LIMIT: usize = 32 * 1024;

const SELECT: &str = "SELECT id, device_id, serial, form, command_text, state, attempts, actor, \
     CAST(created_at AS CHAR), CAST(expires_at AS CHAR), CAST(sent_at AS CHAR), \
     CAST(answered_at AS CHAR), return_code, records, result FROM command";

/// Adds a command and its line of audit.
pub async fn enqueue(
    engine: &mut AnyEngine,
    new: &NewCommand<'_>,
    now: Millis,
) -> Result<Command, Failure> {
    let command = unwritten(new, now)?;
    engine.begin().await?;
    let done = insert(engine, &command, now).await;
    ended(engine, done).await?;
    Ok(command)
}

/// A command that stands in no table.
///
/// # Errors
/// Its text is longer than any terminal takes, or the system gives no random numbers.
pub fn unwritten(new: &NewCommand<'_>, now: Millis) -> Result<Command, Failure> {
    let command = Command {
        id: random_id()?,
        device: new.device,
        serial: new.serial.to_string(),
        form: new.form.to_owned(),
        text: new.text.to_owned(),
        state: CommandState::Waiting,
        attempts: 0,
        actor: new.actor.chars().take(128).collect(),
        created_at: now,
        expires_at: new.expires_at,
        sent_at: None,
        answered_at: None,
        return_code: None,
        records: 0,
        result: None,
    };
    if command.text.len() > TEXT_LIMIT {
        return Err(Failure::schema("a command longer than any terminal takes"));
    }
    Ok(command)
}

async fn insert(engine: &mut AnyEngine, command: &Command, now: Millis) -> Result<(), Failure> {
    queue_up(engine).await?;
    let sql = "INSERT INTO command (id, device_id, serial, form, command_text, state, attempts, \
               actor, created_at, expires_at, records) \
               VALUES (?, ?, ?, ?, ?, 'waiting', 0, ?, ?, ?, 0)";
    let (created, expires) = (now.text(), command.expires_at.text());
    let values = [
        Value::Text(&command.id),
        Value::Bytes(&command.device.0),
        Value::Text(&command.serial),
        Value::Text(&command.form),
        Value::Text(&command.text),
        Value::Text(&command.actor),
        Value::Text(&created),
        Value::Text(&expires),
    ];
    engine.execute(crate::fixed(sql), &values).await?;
    let detail = json!({
        "id": command.id,
        "form": command.form,
        "text": command.text,
        "expires_at": expires,
    });
    let detail = detail.to_string();
    let (actor, serial) = (&command.actor, &command.serial);
    audit_inside(engine, now, actor, "command", serial, &detail).await
}

/// 64 random bits as 13 letters and digits: terminals take at most 16.
fn random_id() -> Result<String, Failure> {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| Failure::wait(Trouble::Other, error))?;
    let mut number = u64::from_be_bytes(random);
    let mut id = String::with_capacity(13);
    for _ in 0..13 {
        let digit = usize::try_from(number % 36).unwrap_or(0);
        id.push(char::from(DIGITS.get(digit).copied().unwrap_or(b'0')));
        number /= 36;
    }
    Ok(id)
}

/// Every command that has not ended, oldest first.
pub async fn open(engine: &mut AnyEngine) -> Result<Vec<Command>, Failure> {
    let sql =
        format!("{SELECT} WHERE state IN ('waiting', 'sent', 'answered') ORDER BY created_at, id");
    let rows = engine.fetch(crate::built(sql), &[]).await?;
    rows.iter().map(command).collect()
}

/// The command of that id.
pub async fn get(engine: &mut AnyEngine, id: &str) -> Result<Option<Command>, Failure> {
    let sql = crate::built(format!("{SELECT} WHERE id = ?"));
    let rows = engine.fetch(sql, &[Value::Text(id)]).await?;
    rows.first().map(command).transpose()
}

/// The last `limit` commands of a terminal, oldest first.
pub async fn of_device(
    engine: &mut AnyEngine,
    device: DeviceId,
    limit: u32,
) -> Result<Vec<Command>, Failure> {
    let sql = format!("{SELECT} WHERE device_id = ? ORDER BY created_at DESC, id DESC LIMIT ?");
    let values = [Value::Bytes(&device.0), Value::Int(i64::from(limit))];
    let rows = engine.fetch(crate::built(sql), &values).await?;
    rows.iter().rev().map(command).collect()
}

/// Writes how far a command has come. One that has ended in the database stays as it is: then
/// the answer is false. An end is written together with its line of audit.
pub async fn save(engine: &mut AnyEngine, command: &Command, now: Millis) -> Result<bool, Failure> {
    engine.begin().await?;
    let done = save_inside(engine, command, now).await;
    ended(engine, done).await
}

/// Takes a command to hand it out: of several satellites on one registry one alone gets true, for
/// each time that it goes out. `command` is as it was read.
///
/// # Errors
/// The registry does not answer; then nobody may hand it out.
pub async fn claim(
    engine: &mut AnyEngine,
    command: &Command,
    now: Millis,
) -> Result<bool, Failure> {
    let sql = "UPDATE command SET state = 'sent', attempts = attempts + 1, sent_at = ? \
               WHERE id = ? AND state = ? AND attempts = ?";
    let at = now.text();
    let values = [
        Value::Text(&at),
        Value::Text(&command.id),
        Value::Text(command.state.as_str()),
        Value::Int(command.attempts),
    ];
    Ok(engine.execute(crate::fixed(sql), &values).await? == 1)
}

/// Gives back what was taken by [`claim`] and not handed out; `command` is as it was then.
///
/// # Errors
/// The registry does not answer; the command counts as handed out.
pub async fn give_back(engine: &mut AnyEngine, command: &Command) -> Result<(), Failure> {
    let sql = "UPDATE command SET state = ?, attempts = attempts - 1 \
               WHERE id = ? AND state = 'sent' AND attempts = ?";
    let values = [
        Value::Text(command.state.as_str()),
        Value::Text(&command.id),
        Value::Int(command.attempts + 1),
    ];
    engine.execute(crate::fixed(sql), &values).await.map(drop)
}

async fn save_inside(
    engine: &mut AnyEngine,
    command: &Command,
    now: Millis,
) -> Result<bool, Failure> {
    if !command.state.is_open() {
        queue_up(engine).await?;
    }
    let sql = "UPDATE command SET state = ?, attempts = ?, sent_at = ?, answered_at = ?, \
               return_code = ?, records = ?, result = ? \
               WHERE id = ? AND state IN ('waiting', 'sent', 'answered')";
    let sent = command.sent_at.map(Millis::text);
    let answered = command.answered_at.map(Millis::text);
    let values = [
        Value::Text(command.state.as_str()),
        Value::Int(command.attempts),
        Value::opt(sent.as_deref()),
        Value::opt(answered.as_deref()),
        command.return_code.map_or(Value::Null, Value::Int),
        Value::Int(command.records),
        Value::opt(command.result.as_deref()),
        Value::Text(&command.id),
    ];
    let changed = engine.execute(crate::fixed(sql), &values).await? == 1;
    if changed && !command.state.is_open() {
        let detail = json!({
            "id": command.id,
            "form": command.form,
            "state": command.state.as_str(),
            "return_code": command.return_code,
            "records": command.records,
        });
        let (actor, serial, detail) = (&command.actor, &command.serial, detail.to_string());
        audit_inside(engine, now, actor, "command_end", serial, &detail).await?;
    }
    Ok(changed)
}

fn command(row: &Row) -> Result<Command, Failure> {
    let state = row.text(5)?;
    let known = CommandState::from_word(&state);
    Ok(Command {
        id: row.text(0)?,
        device: row.device_id(1)?,
        serial: row.text(2)?,
        form: row.text(3)?,
        text: row.text(4)?,
        state: known
            .ok_or_else(|| Failure::schema(format!("'{state}' is no state of a command")))?,
        attempts: row.int(6)?,
        actor: row.text(7)?,
        created_at: row.time(8)?,
        expires_at: row.time(9)?,
        sent_at: row.opt_time(10)?,
        answered_at: row.opt_time(11)?,
        return_code: row.opt_int(12)?,
        records: row.int(13)?,
        result: row.opt_text(14)?,
    })
}
