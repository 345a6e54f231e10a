//! How long a peer may take: one clock for each connection.
//!
//! A connection is always in one phase, and each phase has its own patience. The wire says when
//! the first byte of a request came and when a reply is out, the service says when a head was
//! complete; the connection's loop asks for the earliest moment at which patience ends.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Longest that a peer may leave a reply unread.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// Longest that a request in the middle of its head is waited for once the end has begun.
const HURRY: Duration = Duration::from_secs(2);
/// Longest that any body may take, however steadily it comes.
const BODY_MOST: Duration = Duration::from_secs(600);
/// A body that brings this many bytes earns one more second.
const BYTES_A_SECOND: u64 = 8 * 1024;
/// No patience ends while satellite itself works; each step of that has its own deadline.
const OURS: Duration = Duration::from_secs(86_400);

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for a request.
    Idle,
    /// A request's head is coming in.
    Head,
    /// A request's body is coming in.
    Body,
    /// We are working.
    Answer,
    /// The reply is going out.
    Flush,
}

/// The patience of each phase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) head: Duration,
    pub(super) body: Duration,
    pub(super) idle: Duration,
}

/// The clock of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    patience: Patience,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    phase: Phase,
    since: Instant,
    until: Instant,
    body_bytes: u64,
    /// Since when the peer has taken nothing of what we write.
    stalled: Option<Instant>,
    hurried: bool,
    answers: u64,
}

impl Pace {
    pub(super) fn new(patience: Patience, now: Instant) -> Self {
        let state = State {
            phase: Phase::Idle,
            since: now,
            until: now + patience.idle,
            body_bytes: 0,
            stalled: None,
            hurried: false,
            answers: 0,
        };
        Self {
            patience,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Goes over to another phase.
    pub(super) fn enter(&self, phase: Phase, now: Instant) {
        let patience = match phase {
            Phase::Idle => self.patience.idle,
            Phase::Head => self.patience.head,
            Phase::Body => self.patience.body,
            Phase::Answer => OURS,
            Phase::Flush => WRITE_TIME,
        };
        let mut state = self.state();
        (state.phase, state.since, state.body_bytes) = (phase, now, 0);
        let waits = matches!(phase, Phase::Idle | Phase::Head);
        state.until = now
            + if state.hurried && waits {
                patience.min(HURRY)
            } else {
                patience
            };
    }

    /// An answer is out: the next request is waited for.
    pub(super) fn answered(&self, now: Instant) {
        self.enter(Phase::Idle, now);
        let mut state = self.state();
        state.answers = state.answers.wrapping_add(1);
    }

    /// How many answers are out.
    pub(super) fn answers(&self) -> u64 {
        self.state().answers
    }

    /// Bytes of a body came in: a steady sender of a large body earns time.
    pub(super) fn body_bytes(&self, n: usize) {
        let mut state = self.state();
        if state.phase == Phase::Body {
            state.body_bytes = state
                .body_bytes
                .saturating_add(u64::try_from(n).unwrap_or(u64::MAX));
            let earned = Duration::from_secs(state.body_bytes / BYTES_A_SECOND);
            let patience = (self.patience.body + earned).min(BODY_MOST.max(self.patience.body));
            state.until = state.since + patience;
        }
    }

    /// The peer does not take what we write, or takes it again.
    pub(super) fn stalled(&self, stalled: bool, now: Instant) {
        let mut state = self.state();
        state.stalled = if stalled {
            state.stalled.or(Some(now))
        } else {
            None
        };
    }

    /// The end of the process has begun: what has not become a request is not waited for long.
    pub(super) fn hurry(&self, now: Instant) {
        let mut state = self.state();
        state.hurried = true;
        if matches!(state.phase, Phase::Idle | Phase::Head) {
            state.until = state.until.min(now + HURRY);
        }
    }

    /// When patience ends, unless something happens before.
    pub(super) fn deadline(&self) -> Instant {
        let state = *self.state();
        match state.stalled {
            Some(since) => state.until.min(since + WRITE_TIME),
            None => state.until,
        }
    }

    /// Why patience ended: the reason's word, or `None` for a connection that was merely idle.
    pub(super) fn reason(&self) -> Option<&'static str> {
        let state = *self.state();
        match state.phase {
            Phase::Idle => None,
            Phase::Head => Some("header_timeout"),
            Phase::Body => Some("body_timeout"),
            Phase::Answer | Phase::Flush => Some("write_timeout"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn pace(now: Instant) -> Pace {
        Pace::new(
            Patience {
                head: seconds(10),
                body: seconds(30),
                idle: seconds(75),
            },
            now,
        )
    }

    #[test]
    fn each_phase_has_its_own_patience_and_reason() {
        let now = Instant::now();
        let pace = pace(now);
        assert_eq!((pace.deadline(), pace.reason()), (now + seconds(75), None));
        pace.enter(Phase::Head, now + seconds(70));
        assert_eq!(pace.deadline(), now + seconds(80));
        assert_eq!(pace.reason(), Some("header_timeout"));
        pace.enter(Phase::Body, now + seconds(71));
        assert_eq!(
            (pace.deadline(), pace.reason()),
            (now + seconds(101), Some("body_timeout"))
        );
        pace.enter(Phase::Answer, now + seconds(72));
        assert!(pace.deadline() > now + seconds(3600));
    }

    #[test]
    fn a_trickle_earns_no_time_and_a_steady_sender_does_up_to_a_limit() {
        let now = Instant::now();
        let pace = pace(now);
        pace.enter(Phase::Body, now);
        pace.body_bytes(100);
        assert_eq!(pace.deadline(), now + seconds(30));
        pace.body_bytes(80 * 1024);
        assert_eq!(pace.deadline(), now + seconds(40));
        pace.body_bytes(1 << 30);
        assert_eq!(pace.deadline(), now + BODY_MOST);
    }

    #[test]
    fn a_peer_that_reads_nothing_is_waited_for_only_so_long() {
        let now = Instant::now();
        let pace = pace(now);
        pace.enter(Phase::Answer, now);
        pace.stalled(true, now + seconds(1));
        pace.stalled(true, now + seconds(9));
        assert_eq!(pace.deadline(), now + seconds(1) + WRITE_TIME);
        assert_eq!(pace.reason(), Some("write_timeout"));
        pace.stalled(false, now + seconds(10));
        assert!(pace.deadline() > now + seconds(3600));
    }

    #[test]
    fn once_the_end_has_begun_idle_peers_and_half_heads_are_not_waited_for() {
        let now = Instant::now();
        let pace = pace(now);
        pace.hurry(now);
        assert_eq!(pace.deadline(), now + HURRY);
        pace.enter(Phase::Head, now + seconds(1));
        assert_eq!(pace.deadline(), now + seconds(1) + HURRY);
    }
}
