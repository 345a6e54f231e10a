//! Jobs of the registry about a terminal that speaks to this process, carried out here: it is asked
//! for a window again, told where to post, or recorded.
//!
//! A job is claimed only for a terminal that this process talks to now, so that of several
//! satellites the one that holds the lease does it. What was claimed is told how far it is, and
//! is given back when this process loses the terminal or ends: asking twice is harmless, because
//! identity folds what comes twice. The number of windows in work is limited over the whole
//! fleet, so that a command for a hundred terminals does not fill the writers' queues.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use event::{DeviceId, Millis};
use serde::Deserialize;
use store::jobs::{self, Job};
use store::{Failure, Session};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Said, Window, push, pushes};
use crate::clock;
use crate::devices::Known;
use crate::hikvision;
use crate::hub::Hub;
use crate::record::{self, RECORD};

/// The kinds of these jobs: a window again, where to post, and a recording.
const KINDS: [&str; 3] = ["backfill", hikvision::CONFIGURE, RECORD];
/// How often the registry is asked for jobs, and told of progress.
const EVERY: Duration = Duration::from_secs(1);
/// Jobs in work at once.
const AT_ONCE: usize = 16;
/// Jobs looked at in one turn.
const LOOK: u32 = 200;

/// What a job asks for.
#[derive(Deserialize)]
struct Request {
    from: String,
    to: String,
}

impl Request {
    fn window(text: &str) -> Option<Window> {
        let request: Self = serde_json::from_str(text).ok()?;
        let (from, to) = (Millis::parse(&request.from)?, Millis::parse(&request.to)?);
        (from < to).then_some(Window { from, to })
    }
}

/// Carries out jobs until the end begins.
pub(crate) async fn run(hub: Arc<Hub>) {
    let end = hub.drain.token();
    let mut runner = Runner {
        hub,
        left_behind: true,
        busy: HashSet::new(),
        working: JoinSet::new(),
    };
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            _ = tick.tick() => {}
        }
        let turn = tokio::select! {
            () = end.cancelled() => break,
            turn = runner.turn() => turn,
        };
        if let Err(failure) = turn {
            tracing::debug!(%failure, "the registry gives no jobs");
        }
    }
    // Each gives its job back.
    while runner.working.join_next().await.is_some() {}
}

/// A terminal, and whether its job is a recording.
type Busy = (DeviceId, bool);

struct Runner {
    hub: Arc<Hub>,
    /// Jobs of an earlier life of this instance were not given back yet.
    left_behind: bool,
    /// Terminals with a job in work. A recording stands for itself: it sees what else is done.
    busy: HashSet<Busy>,
    working: JoinSet<Busy>,
}

impl Runner {
    async fn turn(&mut self) -> Result<(), Failure> {
        while let Some(done) = self.working.try_join_next() {
            if let Ok(busy) = done {
                self.busy.remove(&busy);
            }
        }
        if self.working.is_empty() {
            // Also after a panic in one of them.
            self.busy.clear();
        }
        let mut session = self.hub.registry_session().await?;
        let done = self.look(&mut session).await;
        finished(session, &done);
        done
    }

    async fn look(&mut self, session: &mut Session) -> Result<(), Failure> {
        let (engine, now) = (session.engine(), clock::now());
        if self.left_behind {
            for kind in KINDS {
                jobs::give_back_all(engine, kind, &self.hub.instance).await?;
            }
            self.left_behind = false;
        }
        jobs::expire(engine, now).await?;
        let mut waiting = Vec::new();
        for kind in KINDS {
            waiting.extend(jobs::waiting(engine, kind, now, LOOK).await?);
        }
        for job in waiting {
            if self.working.len() >= AT_ONCE {
                return Ok(());
            }
            let busy = (job.device, job.kind == RECORD);
            if self.busy.contains(&busy) {
                continue;
            }
            let Some(known) = self.reachable(busy) else {
                continue;
            };
            if !jobs::claim_one(engine, job.id, &self.hub.instance).await? {
                continue;
            }
            self.busy.insert(busy);
            let hub = Arc::clone(&self.hub);
            self.working.spawn(async move {
                work(&hub, &known, job).await;
                busy
            });
        }
        Ok(())
    }

    /// The terminal, when this process talks to it.
    fn reachable(&self, (device, recorded): Busy) -> Option<Arc<Known>> {
        let now = clock::now();
        let here = |known: &Known| {
            known.enrolment.id == device
                && match recorded {
                    true => record::is_heard(known, now),
                    false => {
                        let heard = || pushes(known) && known.is_online(now);
                        known.again().is_open() || heard()
                    }
                }
        };
        self.hub.devices.all(here).pop()
    }
}

fn finished<T>(session: Session, done: &Result<T, Failure>) {
    match done {
        Ok(_) => session.give_back(),
        Err(failure) => session.give_up(failure),
    }
}

/// What is written of a job.
enum Note {
    Progress(String),
    End(Result<String, String>),
    Back,
}

/// Carries a job out, and tells the registry how far it is.
async fn work(hub: &Hub, known: &Known, job: Job) {
    if job.kind == hikvision::CONFIGURE {
        let done = hikvision::configured(hub, known, &job).await;
        return tell(hub, &job, done.map_or(Note::Back, Note::End)).await;
    }
    if job.kind == RECORD {
        let done = record::recorded(hub, known, &job).await;
        return tell(hub, &job, Note::End(done.map_err(|words| why(&words)))).await;
    }
    let note = match Request::window(&job.request) {
        None => Note::End(Err(why("the request cannot be read"))),
        Some(window) => match asked(hub, known, &job, window).await {
            Some(note) => note,
            None => return,
        },
    };
    // What came may close what was missing, which only the numbers can say.
    known.audit().soon(clock::now());
    tell(hub, &job, note).await;
}

/// The reason of a failure, as the command reads it.
fn why(words: &str) -> String {
    serde_json::json!({ "error": words }).to_string()
}

async fn tell(hub: &Hub, job: &Job, note: Note) {
    // Said until it is heard: a job that stays running under a living holder is done by nobody.
    while let Err(failure) = write(hub, job, &note).await {
        tracing::debug!(job = job.id, %failure, "the registry does not hear of a job");
        if hub.drain.token().is_cancelled() {
            return;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Has the window asked for by whoever talks to the terminal; `None` when nobody wants it any
/// more.
async fn asked(hub: &Hub, known: &Known, job: &Job, window: Window) -> Option<Note> {
    if !pushes(known) {
        return match known.again().put(window) {
            Some(heard) => follow(hub, job, heard).await,
            None => Some(Note::Back),
        };
    }
    // Nobody talks to such a terminal all the time: its mailbox is open for this window only.
    let _open = known.again().open();
    let heard = known.again().put(window)?;
    tokio::select! {
        note = follow(hub, job, heard) => note,
        () = push::run(hub, known) => None,
    }
}

/// Follows a window to its end; `None` when nobody wants it any more.
async fn follow(hub: &Hub, job: &Job, mut heard: watch::Receiver<Said>) -> Option<Note> {
    let end = hub.drain.token();
    let mut told = Said::default();
    loop {
        let is_gone = tokio::select! {
            () = end.cancelled() => return Some(Note::Back),
            changed = heard.changed() => changed.is_err(),
        };
        let said = heard.borrow_and_update().clone();
        match &said.end {
            Some(Ok(())) => return Some(Note::End(Ok(told_text(&said)))),
            Some(Err(words)) => return Some(Note::End(Err(why(words)))),
            None if is_gone => return Some(Note::Back),
            None => {}
        }
        if said != told {
            // A registry that does not answer now hears it with the next chunk.
            if let Ok(false) = write(hub, job, &Note::Progress(told_text(&said))).await {
                return None;
            }
            told = said;
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn told_text(said: &Said) -> String {
    let done_to = said.done_to.map(Millis::text);
    serde_json::json!({ "done_to": done_to, "records": said.records, "new": said.new }).to_string()
}

/// False when the job is not ours any more.
async fn write(hub: &Hub, job: &Job, note: &Note) -> Result<bool, Failure> {
    let mut session = hub.registry_session().await?;
    let (engine, holder) = (session.engine(), hub.instance.as_str());
    let done = match note {
        Note::Progress(text) => jobs::progress(engine, job.id, holder, text).await,
        Note::Back => jobs::give_back(engine, job.id, holder).await,
        Note::End(how) => {
            let outcome = how.as_ref().map(String::as_str).map_err(String::as_str);
            jobs::finish(engine, job.id, holder, outcome, clock::now()).await
        }
    };
    finished(session, &done);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_window_with_a_beginning_before_its_end() {
        let text = r#"{"from":"2026-11-20 06:00:00.000","to":"2026-11-21 06:00:00.000"}"#;
        let window = Request::window(text).unwrap();
        assert_eq!(window.to.0 - window.from.0, 86_400_000);
        for wrong in [
            "",
            "{}",
            r#"{"from":"2026-11-21 06:00:00","to":"2026-11-20 06:00:00"}"#,
            r#"{"from":"yesterday","to":"today"}"#,
        ] {
            assert_eq!(Request::window(wrong), None, "{wrong}");
        }
    }
}
