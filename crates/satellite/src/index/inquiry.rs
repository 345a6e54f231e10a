//! Asking an access-control terminal for all that it holds, when its count leaves a doubt.
//!
//! A doubt is a gap that does not close by itself, or a terminal that has never given everything.
//! It is asked with an ordinary command; what comes takes the way of every upload. A terminal
//! that answers is left alone for an hour, one that cannot answer, or whose count does not agree,
//! for a day, so that no terminal is kept busy with its own past. Never more than one question a terminal.

use std::sync::Arc;
use std::time::Duration;

use event::Millis;
use store::command::CommandState;
use zkteco_push::{Dialect, Order};

use crate::clock;
use crate::commands;
use crate::devices::Known;
use crate::hub::Hub;

/// How often there is a look for doubts.
const EVERY: Duration = Duration::from_secs(5);
/// Age from which a doubt does not go away by itself: records that were overtaken come in between.
const DOUBT: i64 = 30_000;
/// Rest after an answer.
const REST: i64 = 3_600_000;
/// Rest after "not supported", and after an answer that proves nothing.
const LONG_REST: i64 = 24 * 3_600_000;
/// How long a question may take.
const LIFETIME: Duration = Duration::from_secs(1_800);
/// Questions begun in one look.
const AT_ONCE: usize = 20;

/// What stands between a terminal and the next question.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    doubt_since: Option<Millis>,
    /// Nothing is asked before.
    rests_until: Option<Millis>,
}

impl Inquiry {
    /// Whether it is time to ask, given whether there is a doubt now. A time that is answered
    /// with yes is not offered again before the answer.
    fn is_due(&mut self, doubt: bool, now: Millis) -> bool {
        if !doubt {
            self.doubt_since = None;
            return false;
        }
        let since = *self.doubt_since.get_or_insert(now);
        let rested = self.rests_until.is_none_or(|until| until <= now);
        let due = rested && now.0 - since.0 >= DOUBT;
        if due {
            self.rest(now, REST);
        }
        due
    }

    fn rest(&mut self, now: Millis, time: i64) {
        self.rests_until = Some(Millis(now.0 + time));
    }
}

/// Looks for doubts until the end begins.
pub(crate) async fn run(hub: Arc<Hub>) {
    let end = hub.drain.token();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            _ = tick.tick() => {}
        }
        let now = clock::now();
        let speaking = hub.devices.all(|known| speaks(known, now));
        let due = speaking
            .into_iter()
            .filter(|known| is_due(known, now))
            .take(AT_ONCE);
        for known in due {
            hub.drain.spawn(inquire(Arc::clone(&hub), known));
        }
    }
}

fn speaks(known: &Known, now: Millis) -> bool {
    let is_access = known.facts().dialect == Some(Dialect::Access);
    is_access && known.is_online(now) && known.may_post()
}

fn is_due(known: &Known, now: Millis) -> bool {
    let doubt = known.index().is_in_doubt();
    known.index().inquiry().is_due(doubt, now)
}

async fn inquire(hub: Arc<Hub>, known: Arc<Known>) {
    let serial = &known.enrolment.serial;
    let order = Order::Records(None);
    let end = hub.drain.token();
    // A terminal is asked for records by one party at a time.
    let _turn = tokio::select! {
        () = end.cancelled() => return,
        turn = known.audit().turn() => turn,
    };
    let (asked_at, newest) = (clock::now(), known.index().newest());
    let asked = commands::ask(&hub, &known, &order, LIFETIME, commands::ACTOR).await;
    let ticket = match asked {
        Ok(ticket) => ticket,
        Err(error) => {
            tracing::debug!(%serial, %error, "a terminal could not be asked for its records");
            return;
        }
    };
    tracing::info!(%serial, id = %ticket.id, "a terminal is asked for all that it holds");
    let answer = tokio::select! {
        () = end.cancelled() => return,
        answer = ticket.settled() => answer,
    };
    // One whose count never agrees would send its whole log every hour for nothing.
    let rest = match (answer.state, answer.agreed) {
        (CommandState::Expired, _) | (CommandState::Done, true) => REST,
        _ => LONG_REST,
    };
    known.index().inquiry().rest(clock::now(), rest);
    if answer.state == CommandState::Done && answer.agreed {
        known.index().settled();
        let newest = newest.unwrap_or(0);
        known.audit().gave_all(asked_at, answer.records, newest);
        known.audit().soon(clock::now());
    }
    let (state, records, agreed) = (answer.state.as_str(), answer.records, answer.agreed);
    tracing::info!(%serial, state, records, agreed, "a terminal was asked for all that it holds");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_that_lasts_is_asked_about_once_and_again_after_a_rest() {
        let mut inquiry = Inquiry::default();
        assert!(!inquiry.is_due(true, Millis(0)));
        assert!(!inquiry.is_due(true, Millis(DOUBT - 1)));
        assert!(inquiry.is_due(true, Millis(DOUBT)));
        assert!(!inquiry.is_due(true, Millis(DOUBT + 1)));
        assert!(inquiry.is_due(true, Millis(DOUBT + REST)));
    }

    #[test]
    fn a_gap_that_closes_by_itself_is_no_reason_to_ask() {
        let mut inquiry = Inquiry::default();
        assert!(!inquiry.is_due(true, Millis(0)));
        assert!(!inquiry.is_due(false, Millis(20_000)));
        assert!(!inquiry.is_due(true, Millis(DOUBT)));
    }
}
