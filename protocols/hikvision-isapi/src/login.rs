//! When to log in to one device, and when not to: the rule that keeps us from locking it.
//!
//! Devices lock an address for about 30 minutes after a handful of wrong logins, and most
//! start that time again with each further try. So a password that was refused is not tried
//! again before the lock time is over, whatever the reason of the refusal was. A password
//! that was right a moment ago gets one more chance with a fresh nonce: devices drop nonces
//! without saying so. Pure: time is an argument, and the caller sends the requests.

use event::Millis;

use crate::digest::{Challenge, Credentials, Session};
use crate::status::LockInfo;

/// Pause after a wrong password, in minutes: beyond the usual lock of 30.
const LOCK_MINUTES: i64 = 35;
/// Added to the lock time that a device names itself, in seconds.
const MARGIN_SECONDS: u64 = 300;
/// Longest pause that a device can talk us into, in seconds.
const LONGEST_SECONDS: u64 = 24 * 3_600;
/// Pause after a 401 that offers nothing we can answer, in seconds.
const UNCLEAR_SECONDS: i64 = 60;
/// How long the first answer to a challenge may be without a verdict, in seconds.
const VERDICT_SECONDS: i64 = 30;
/// A nonce refused this often on its second use, and never accepted there, is not used twice.
const GIVE_UP_REUSE: u8 = 2;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginStep {
    /// Send the request without `Authorization`, to be given a challenge. Send no body that
    /// would be a pity: the answer will be 401.
    Probe,
    /// Send the request with [`Login::authorization`].
    Authorized,
    /// Send nothing to this device before that time.
    Wait(Millis),
}

/// Why the device is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginTrouble {
    /// The password or the user is wrong, or the user may not do this.
    WrongPassword,
    /// The device says that it has locked us out.
    Locked,
    /// It asks for a login in a way that we do not speak.
    NoChallenge,
}

/// Which challenge a request answered. Requests overlap (a stream and a search), and a verdict
/// on a nonce that is dropped already must not be taken for one on its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u32);

#[derive(Debug, Clone)]
enum State {
    /// Nothing to answer yet.
    Unchallenged,
    /// A challenge whose answer has no verdict yet, and when that answer went out.
    Challenged(Session, Option<Millis>),
    /// The device has accepted this session.
    Trusted(Session),
    /// Left alone until then.
    Waiting(Millis, LoginTrouble),
}

/// The login to one device, shared by all requests to it.
#[derive(Debug, Clone)]
pub struct Login {
    credentials: Credentials,
    state: State,
    /// A refusal may be put to a lost nonce once: the password has been accepted since the
    /// last refusal, or a device said `stale` for the first time since.
    chance: bool,
    stale_used: bool,
    reuse_refused: u8,
    ticket: u32,
}

impl Login {
    /// A login that has not been tried.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            state: State::Unchallenged,
            chance: false,
            stale_used: false,
            reuse_refused: 0,
            ticket: 0,
        }
    }

    /// The same after a restart, when [`Login::waiting`] was kept: without that, every restart
    /// would be one more wrong try.
    pub fn waiting_until(credentials: Credentials, until: Millis, why: LoginTrouble) -> Self {
        Self {
            state: State::Waiting(until, why),
            ..Self::new(credentials)
        }
    }

    /// Until when the device is left alone, and why.
    pub fn waiting(&self, now: Millis) -> Option<(Millis, LoginTrouble)> {
        match self.state {
            State::Waiting(until, why) if now < until => Some((until, why)),
            _ => None,
        }
    }

    /// What the next request should be.
    pub fn next(&self, now: Millis) -> LoginStep {
        match &self.state {
            State::Waiting(until, _) if now < *until => LoginStep::Wait(*until),
            State::Waiting(..) | State::Unchallenged => LoginStep::Probe,
            // One answer to a new challenge is out and not judged: a second one beside it
            // would double a wrong try. If its connection died, begin anew after a while.
            State::Challenged(_, Some(sent)) => match later(*sent, VERDICT_SECONDS) {
                end if now < end => LoginStep::Wait(end),
                _ => LoginStep::Probe,
            },
            State::Trusted(session) if session.uses() > 0 && self.is_reuse_hopeless() => {
                LoginStep::Probe
            }
            State::Challenged(..) | State::Trusted(_) => LoginStep::Authorized,
        }
    }

    /// The `Authorization` of one request when [`Login::next`] says
    /// [`LoginStep::Authorized`]; `None` otherwise. `uri` is the request target as sent,
    /// `cnonce` random. The ticket goes back with the verdict.
    pub fn authorization(
        &mut self,
        now: Millis,
        method: &str,
        uri: &str,
        cnonce: &str,
    ) -> Option<(String, Ticket)> {
        if self.next(now) != LoginStep::Authorized {
            return None;
        }
        let session = match &mut self.state {
            State::Challenged(session, sent) => {
                *sent = Some(now);
                session
            }
            State::Trusted(session) => session,
            State::Unchallenged | State::Waiting(..) => return None,
        };
        Some((
            session.authorization(method, uri, cnonce),
            Ticket(self.ticket),
        ))
    }

    fn is_reuse_hopeless(&self) -> bool {
        self.reuse_refused >= GIVE_UP_REUSE
    }

    /// A request without `Authorization` got 401 with this challenge, and this lock-out.
    pub fn challenged(
        &mut self,
        challenge: Option<Challenge>,
        lock: Option<LockInfo>,
        now: Millis,
    ) -> LoginStep {
        let pending = matches!(self.next(now), LoginStep::Wait(_));
        if !pending {
            self.ticket = self.ticket.wrapping_add(1);
            self.state = match (challenge, lock) {
                (_, Some(lock)) if lock.locked => {
                    State::Waiting(lock_end(Some(lock), now), LoginTrouble::Locked)
                }
                (Some(challenge), _) => {
                    State::Challenged(Session::new(challenge, self.credentials.clone()), None)
                }
                (None, _) => State::Waiting(later(now, UNCLEAR_SECONDS), LoginTrouble::NoChallenge),
            };
        }
        self.next(now)
    }

    /// The request of this ticket was answered by anything but 401: the password is right.
    pub fn accepted(&mut self, ticket: Ticket) {
        if ticket != Ticket(self.ticket) {
            return;
        }
        match &self.state {
            State::Challenged(session, Some(_)) => self.state = State::Trusted(session.clone()),
            State::Trusted(session) if session.uses() > 1 => self.reuse_refused = 0,
            State::Trusted(_) => {}
            State::Challenged(..) | State::Unchallenged | State::Waiting(..) => return,
        }
        self.chance = true;
        self.stale_used = false;
    }

    /// The request of this ticket got 401. `challenge` is what that answer offers, `lock` what
    /// its body says.
    pub fn refused(
        &mut self,
        ticket: Ticket,
        challenge: Option<&Challenge>,
        lock: Option<LockInfo>,
        now: Millis,
    ) -> LoginStep {
        let judged = matches!(self.state, State::Unchallenged | State::Waiting(..));
        if judged || ticket != Ticket(self.ticket) {
            return self.next(now);
        }
        if let State::Trusted(session) = &self.state {
            let reused = u8::from(session.uses() > 1);
            self.reuse_refused = self.reuse_refused.saturating_add(reused);
        }
        let locked = lock.is_some_and(|lock| lock.locked);
        let stale = challenge.is_some_and(Challenge::is_stale) && !self.stale_used;
        if !locked && (self.chance || stale) {
            self.stale_used = true;
            self.chance = false;
            self.state = State::Unchallenged;
            return LoginStep::Probe;
        }
        let why = if locked {
            LoginTrouble::Locked
        } else {
            LoginTrouble::WrongPassword
        };
        self.chance = false;
        self.stale_used = false;
        self.state = State::Waiting(lock_end(lock, now), why);
        self.next(now)
    }
}

/// The end of the pause: 35 minutes, or longer when the device names a longer lock.
fn lock_end(lock: Option<LockInfo>, now: Millis) -> Millis {
    let named = lock.and_then(|lock| lock.unlock_seconds).unwrap_or(0);
    let named = named.saturating_add(MARGIN_SECONDS).min(LONGEST_SECONDS);
    let named = i64::try_from(named).unwrap_or(i64::MAX);
    later(now, named.max(LOCK_MINUTES * 60))
}

fn later(now: Millis, seconds: i64) -> Millis {
    Millis(now.0.saturating_add(seconds.saturating_mul(1_000)))
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
