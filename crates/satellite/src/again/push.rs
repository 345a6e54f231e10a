//! Records asked again of terminals that push: by a command that they fetch with their next
//! poll, upon which they send the records of the window like any others.
//!
//! A chunk counts as done when the terminal has answered and what it sent is stored; what it
//! says it cannot do is an error with that reason. Of access terminals only some take a window;
//! the others send all that they hold. A terminal is asked one such question at a time. Nothing
//! here waits for a database but for writing a command down.

use std::time::Duration;

use event::{Millis, WallTime, Zone};
use store::command::CommandState;
use zkteco_push::{Dialect, Order, Outcome, Window as Asked};

use super::Window;
use crate::commands::{self, Answer, AskError};
use crate::devices::Known;
use crate::hub::Hub;

/// Longest piece that is asked for at once.
pub(super) const CHUNK: Duration = Duration::from_secs(24 * 3_600);
/// How long a terminal may take for one piece, its poll included.
const LIFETIME: Duration = Duration::from_secs(900);
/// How long it may take for a count.
const COUNT_LIFETIME: Duration = Duration::from_secs(300);
/// Pause after a piece that failed.
const PAUSE: Duration = Duration::from_secs(5);
/// Pause while nothing is asked for.
const LOOK: Duration = Duration::from_millis(200);

/// Why a window cannot be asked for.
const NO_SUCH_TIMES: &str = "a terminal has no such times";

/// What a terminal sent when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Got {
    /// Records that came.
    pub(super) records: u64,
    /// Those among them that were not stored before.
    pub(super) new: u64,
    /// Its own number says that this is all.
    pub(super) agreed: bool,
}

/// Why it did not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotGot {
    /// It does not have such a question.
    #[error("the terminal does not know this question")]
    Unsupported,
    /// Anything else, in words.
    #[error("{0}")]
    Failed(String),
}

impl From<AskError> for NotGot {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Denied(_) => Self::Unsupported,
            AskError::Registry(_) => Self::Failed(error.to_string()),
        }
    }
}

/// Works off what is in the terminal's mailbox, until it is dropped.
pub(super) async fn run(hub: &Hub, known: &Known) {
    let mailbox = known.again();
    loop {
        let Some(mut asked) = mailbox.take() else {
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let Some(chunk) = asked.next_chunk(longest(known)) else {
            asked.ended(Ok(()));
            continue;
        };
        match fetch(hub, known, &chunk).await {
            Ok(got) => {
                asked.stored(chunk.to, got.records, got.new);
                mailbox.put_back(asked);
            }
            Err(why) => {
                mailbox.failed(asked, &why.to_string());
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The longest piece that is asked of this terminal at once.
pub(super) fn longest(known: &Known) -> Duration {
    let is_access = commands::dialect(known) == Dialect::Access;
    // Each piece may bring everything.
    if is_access { Duration::MAX } else { CHUNK }
}

/// Has the records of a window sent again, or all of them where a window is not understood.
pub(super) async fn fetch(hub: &Hub, known: &Known, chunk: &Window) -> Result<Got, NotGot> {
    let is_access = commands::dialect(known) == Dialect::Access;
    if !known.audit().state().takes_no_times {
        match fetch_times(hub, known, chunk).await {
            Err(NotGot::Unsupported) if is_access => {}
            done => return done,
        }
    }
    records(hub, known, &Order::Records(None)).await
}

/// Has the records of a window sent again; never more than those.
pub(super) async fn fetch_times(hub: &Hub, known: &Known, chunk: &Window) -> Result<Got, NotGot> {
    let window = asked(chunk, &known.device.zone);
    let none = || NotGot::Failed(NO_SUCH_TIMES.to_owned());
    let order = Order::Records(Some(window.ok_or_else(none)?));
    let got = records(hub, known, &order).await;
    if got == Err(NotGot::Unsupported) {
        known.audit().state().takes_no_times = true;
    }
    got
}

async fn records(hub: &Hub, known: &Known, order: &Order) -> Result<Got, NotGot> {
    let _turn = known.audit().turn().await;
    let before = known.facts().backfilled;
    let ticket = commands::ask(hub, known, order, LIFETIME, commands::ACTOR).await?;
    let answer = ticket.settled().await;
    judged(order, &answer)?;
    Ok(Got {
        records: answer.records,
        new: known.facts().backfilled.saturating_sub(before),
        // Nothing, and said to be nothing.
        agreed: answer.agreed || (answer.code == Some(0) && answer.records == 0),
    })
}

/// Records that the terminal counts in a window of its wall clock; all, without one.
pub(super) async fn count(
    hub: &Hub,
    known: &Known,
    window: Option<(WallTime, WallTime)>,
) -> Result<u64, NotGot> {
    let window = window.map(|(from, to)| Asked::new(from, to).ok_or(NotGot::Unsupported));
    let order = Order::Count(window.transpose()?);
    let answer = commands::count(hub, known, &order, COUNT_LIFETIME)?
        .settled()
        .await;
    judged(&order, &answer)?;
    answer.count.ok_or(NotGot::Unsupported)
}

fn judged(order: &Order, answer: &Answer) -> Result<(), NotGot> {
    let code = answer
        .code
        .map_or_else(String::new, |code| format!(" ({code})"));
    let failed = |why: &str| Err(NotGot::Failed(why.to_owned()));
    match answer.state {
        CommandState::Done => Ok(()),
        CommandState::Expired => failed("the terminal did not answer in time"),
        CommandState::Refused => failed("the terminal is not sent this command"),
        CommandState::Failed if order.outcome(answer.code) == Outcome::Unsupported => {
            Err(NotGot::Unsupported)
        }
        CommandState::Failed
        | CommandState::Waiting
        | CommandState::Sent
        | CommandState::Answered => failed(&format!("the terminal could not send it{code}")),
    }
}

/// The window on the terminal's wall clock; its end is not in it.
pub(super) fn walls(chunk: &Window, zone: &Zone) -> Option<(WallTime, WallTime)> {
    let last = Millis(chunk.to.0 - 1);
    Some((wall(chunk.from, zone)?, wall(last, zone)?))
}

fn asked(chunk: &Window, zone: &Zone) -> Option<Asked> {
    let (from, to) = walls(chunk, zone)?;
    Asked::new(from, to)
}

/// The wall time of a moment; `None` outside the years that terminals know.
pub(crate) fn wall(at: Millis, zone: &Zone) -> Option<WallTime> {
    let offset = i64::from(zone.offset_seconds_at(at)) * 1_000;
    let text = Millis(at.0.checked_add(offset)?).text();
    WallTime::parse(text.get(..19)?.as_bytes())
}

/// Every reason that a window may end with, for the test of their Spanish.
#[cfg(test)]
pub(crate) fn reasons() -> Vec<String> {
    let judge = |state, code| {
        let answer = Answer {
            state,
            code,
            records: 0,
            agreed: false,
            count: None,
        };
        judged(&Order::Records(None), &answer).err()
    };
    let states = CommandState::ALL.into_iter();
    let judged = states.flat_map(|state| [None, Some(-3), Some(-708)].map(|it| judge(state, it)));
    let before = NotGot::Failed(NO_SUCH_TIMES.to_owned());
    let all = judged.flatten().chain([before]);
    all.map(|why| why.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_asked_for_by_the_terminals_wall_clock_without_its_end() {
        let zone = Zone::named("America/Mexico_City").unwrap();
        let chunk = Window {
            from: Millis::parse("2026-11-20 06:00:00").unwrap(),
            to: Millis::parse("2026-11-21 06:00:00").unwrap(),
        };
        let window = asked(&chunk, &zone).unwrap();
        assert_eq!(window.from().to_string(), "2026-11-20 00:00:00");
        assert_eq!(window.to().to_string(), "2026-11-20 23:59:59");
    }

    #[test]
    fn only_what_was_carried_out_counts_and_what_is_not_known_is_told_from_what_failed() {
        let order = Order::Records(None);
        let answer = |state, code| Answer {
            state,
            code: Some(code),
            records: 7,
            agreed: false,
            count: None,
        };
        assert_eq!(judged(&order, &answer(CommandState::Done, 7)), Ok(()));
        let failed = judged(&order, &answer(CommandState::Failed, -3));
        assert!(matches!(failed, Err(NotGot::Failed(why)) if why.contains("-3")));
        let unknown = judged(&order, &answer(CommandState::Failed, -708));
        assert_eq!(unknown, Err(NotGot::Unsupported));
        assert!(judged(&order, &answer(CommandState::Expired, 0)).is_err());
    }
}
