//! Commands to push terminals: from whoever asks to the terminal's poll and back.
//!
//! ```text
//! satellite devices command ─▶ table `command` ─▶ keeper ─▶ Queue ─▶ a poll ─▶ terminal
//! ask (records again)       ─▶ table and Queue                                   │
//! count (reconciliation)    ─▶ Queue alone                                       │
//!                table `command` ◀─ keeper ◀─ Queue ◀─ results, records ◀────────┘
//! ```
//!
//! The keeper is the only one here that waits for a database, off the path of every request: it
//! writes what changed and takes over what is new every few seconds. With the registry down the
//! queue goes on; what came back is written when it answers again. After a restart the table is
//! read before any result is taken, so that none is lost.
//!
//! What stands in the table goes out only after it was taken there (`store::command::claim`), each
//! time that it goes out: of several satellites on one registry one alone hands it out, and a
//! restart that was taken is never told twice, whoever dies in between.

mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::Millis;
use store::command::{self, Command, NewCommand};
use store::{Failure, Session, Want};
use tokio::sync::watch;
use zkteco_push::{Denied, Dialect, Order};

use crate::clock;
use crate::devices::Known;
use crate::hub::Hub;

pub(crate) use queue::{Answer, Queue, Whole};

/// How often the keeper looks: with the time of its statements well within ten seconds.
const EVERY: Duration = Duration::from_secs(3);
/// Longest wait for a session while stores of the same server use them all.
const SESSION_WITHIN: Duration = Duration::from_secs(8);
/// Who asks when no person does.
pub(crate) const ACTOR: &str = "satellite";
/// Longest that the end waits for what is not written yet.
const LAST_WITHIN: Duration = Duration::from_millis(1_000);

/// The queue, shared.
#[derive(Default)]
pub(crate) struct Commands(Mutex<Queue>);

impl Commands {
    /// The queue, for a moment. Never hold this over an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a command could not be asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum AskError {
    /// It is not sent to terminals of this dialect.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The registry does not answer.
    #[error(transparent)]
    Registry(#[from] Failure),
}

/// A command that was asked for, and the way to hear what becomes of it.
pub(crate) struct Ticket {
    /// Its id, as in the table and in the audit.
    pub(crate) id: String,
    told: watch::Receiver<Answer>,
}

impl Ticket {
    /// Waits until the command has ended. Its expiry is the longest that this takes, and a few
    /// seconds.
    pub(crate) async fn settled(mut self) -> Answer {
        let ended = self.told.wait_for(|answer| !answer.state.is_open()).await;
        match ended.map(|answer| answer.clone()) {
            Ok(answer) => answer,
            // The queue has forgotten it, which it does only after its end.
            Err(_) => self.told.borrow().clone(),
        }
    }
}

/// Asks a terminal for something: written down with its audit first, and handed out with the next
/// poll. To get records of a time again: `Order::Records(Window::new(from, to))`; what comes
/// takes the way of every upload, and the answer says how many came and whether the terminal's own
/// count agrees.
///
/// # Errors
/// The order was not measured in the terminal's dialect, or the registry does not answer.
pub(crate) async fn ask(
    hub: &Hub,
    known: &Known,
    order: &Order,
    lifetime: Duration,
    actor: &str,
) -> Result<Ticket, AskError> {
    let (text, now) = (text_for(known, order)?, clock::now());
    let new = new_command(known, order, &text, (lifetime, actor), now);
    let mut session = session(hub).await?;
    let done = enqueue_and_take(&mut session, &new, now).await;
    let (command, is_ours) = finished(session, done)?;
    let id = command.id.clone();
    let mut queue = hub.commands.lock();
    let told = queue.add(command.clone());
    if is_ours {
        queue.taken(&command, now);
    }
    Ok(Ticket { id, told })
}

async fn enqueue_and_take(
    session: &mut Session,
    new: &NewCommand<'_>,
    now: Millis,
) -> Result<(Command, bool), Failure> {
    let command = command::enqueue(session.engine(), new, now).await?;
    let is_ours = command::claim(session.engine(), &command, now).await?;
    Ok((command, is_ours))
}

/// Asks a terminal for a number, every hour and of every terminal: not written down, because it
/// changes nothing anywhere, and is asked anew after a restart. A word to the log, none to the
/// audit.
///
/// # Errors
/// The order was not measured in the terminal's dialect, or brings records.
pub(crate) fn count(
    hub: &Hub,
    known: &Known,
    order: &Order,
    lifetime: Duration,
) -> Result<Ticket, AskError> {
    if !matches!(order, Order::Count(_)) {
        return Err(Denied::Unknown.into());
    }
    let (text, now) = (text_for(known, order)?, clock::now());
    let new = new_command(known, order, &text, (lifetime, ACTOR), now);
    let command = command::unwritten(&new, now)?;
    let id = command.id.clone();
    let told = hub.commands.lock().add_passing(command);
    Ok(Ticket { id, told })
}

fn text_for(known: &Known, order: &Order) -> Result<String, Denied> {
    let dialect = dialect(known);
    order.text(dialect).ok_or(Denied::NotMeasured(dialect))
}

fn new_command<'a>(
    known: &'a Known,
    order: &Order,
    text: &'a str,
    (lifetime, actor): (Duration, &'a str),
    now: Millis,
) -> NewCommand<'a> {
    let lifetime = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
    NewCommand {
        device: known.enrolment.id,
        serial: &known.enrolment.serial,
        form: order.word(),
        text,
        actor,
        expires_at: Millis(now.0.saturating_add(lifetime)),
    }
}

/// The dialect that a terminal last showed; attendance until it showed one.
pub(crate) fn dialect(known: &Known) -> Dialect {
    known.facts().dialect.unwrap_or(Dialect::Attendance)
}

/// Keeps queue and table alike until the end begins.
pub(crate) async fn run(hub: Arc<Hub>) {
    let end = hub.drain.token();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut down = false;
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            _ = tick.tick() => {}
        }
        // What was being taken when the end began is known here too afterwards, and given back:
        // cut in between, the table would say of it that a terminal has it.
        let cut = async {
            end.cancelled().await;
            tokio::time::sleep(LAST_WITHIN).await;
        };
        let turned = tokio::select! {
            turned = turn(&hub) => turned,
            () = cut => break,
        };
        match turned {
            Ok(()) => down = false,
            Err(failure) if !std::mem::replace(&mut down, true) => {
                tracing::warn!(%failure, "commands to terminals wait for the registry");
            }
            Err(_) => {}
        }
    }
}

/// Writes what changed since the last time, once nothing more comes in.
pub(crate) async fn save_last(hub: &Hub) {
    let last = async {
        write(hub).await?;
        give_back(hub, true).await
    };
    let done = tokio::time::timeout(LAST_WITHIN, last).await;
    if !matches!(done, Ok(Ok(()))) {
        tracing::warn!("results of commands were not written; those commands are sent again");
    }
}

async fn turn(hub: &Hub) -> Result<(), Failure> {
    write(hub).await?;
    let mut session = session(hub).await?;
    let done = command::open(session.engine()).await;
    let open = finished(session, done)?;
    let wanted = {
        let mut queue = hub.commands.lock();
        queue.merge(open, clock::now());
        queue.forget_ended();
        hub.metrics.commands_open(queue.open());
        queue.to_take(clock::now())
    };
    take(hub, &wanted).await?;
    give_back(hub, false).await
}

/// Takes those of the commands whose terminals speak to us.
async fn take(hub: &Hub, wanted: &[Command]) -> Result<(), Failure> {
    let now = clock::now();
    let speaks = |command: &Command| {
        let own = |known: &Known| known.enrolment.id == command.device;
        let found = hub.devices.all(|known| own(known) && known.is_online(now));
        !found.is_empty()
    };
    let ours: Vec<&Command> = wanted.iter().filter(|command| speaks(command)).collect();
    if ours.is_empty() {
        return Ok(());
    }
    let mut session = session(hub).await?;
    let mut done = Ok(());
    for command in ours {
        match command::claim(session.engine(), command, now).await {
            Ok(true) => hub.commands.lock().taken(command, now),
            Ok(false) => {}
            Err(failure) => {
                done = Err(failure);
                break;
            }
        }
    }
    finished(session, done)
}

/// Gives back what was taken and has not gone out; all of it at the end.
async fn give_back(hub: &Hub, all: bool) -> Result<(), Failure> {
    let back = hub.commands.lock().take_back(all, clock::now());
    if back.is_empty() {
        return Ok(());
    }
    let mut session = session(hub).await?;
    let mut done = Ok(());
    for command in &back {
        if let Err(failure) = command::give_back(session.engine(), command).await {
            done = Err(failure);
            break;
        }
    }
    finished(session, done)
}

/// What is being written. When that fails, or is cut short by the end, it counts as not written.
struct Taken<'a> {
    hub: &'a Hub,
    commands: Vec<Command>,
}

impl<'a> Taken<'a> {
    fn of(hub: &'a Hub) -> Self {
        let commands = hub.commands.lock().take_unsaved(clock::now());
        Self { hub, commands }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.hub.commands.lock().not_saved(&self.commands);
    }
}

async fn write(hub: &Hub) -> Result<(), Failure> {
    let mut taken = Taken::of(hub);
    if taken.commands.is_empty() {
        return Ok(());
    }
    let mut session = session(hub).await?;
    let done = write_each(&mut session, &taken.commands).await;
    finished(session, done)?;
    for command in std::mem::take(&mut taken.commands) {
        if !command.state.is_open() {
            hub.metrics.command_ended(command.state);
        }
    }
    Ok(())
}

async fn write_each(session: &mut Session, unsaved: &[Command]) -> Result<(), Failure> {
    for command in unsaved {
        let saved = command::save(session.engine(), command, clock::now()).await?;
        if !saved {
            tracing::debug!(id = %command.id, "a command had ended before");
        }
    }
    Ok(())
}

async fn session(hub: &Hub) -> Result<Session, Failure> {
    let config = hub.config.load_full();
    let sessions = hub.means.gate.sessions(config.registry_target());
    sessions.take(Want::Any, SESSION_WITHIN).await
}

fn finished<T>(session: Session, done: Result<T, Failure>) -> Result<T, Failure> {
    match &done {
        Ok(_) => session.give_back(),
        Err(failure) => session.give_up(failure),
    }
    done
}
