//! What to do after a receiver's answer: go on, cut the delivery smaller, give a row up, wait.
//!
//! A receiver refuses an event for good when it names the content (400, 413, 415, 422); the
//! delivery is then halved until one event stands alone. Everything else passes: a receiver that
//! is down, overloaded, moved, or does not know us yet is waited for. A receiver that refuses one
//! event after another is not set up for them, and is waited for as well, so that a typing error
//! over there cannot send a tenant's whole feed to the dead letters. No clock and no socket here.

use std::time::Duration;

/// Events refused one after another that are believed to be at fault themselves.
const REFUSALS: u32 = 20;
/// The first pause; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause. A receiver that comes back waits no longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Failing for so long, an output stands still and somebody has to look.
const STANDS_AFTER: Duration = Duration::from_secs(600);

/// Failing for so long, an output stands still.
pub fn stands_after() -> Duration {
    STANDS_AFTER
}

/// What a receiver said to a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has all of it.
    Taken,
    /// It will never take it, for what is in it.
    Refused(String),
    /// Not now.
    Later(String),
}

/// What is done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// The cursor moves past the delivery.
    Advance,
    /// The same rows at once, fewer of them.
    Narrow,
    /// The one row of it goes to the dead letters.
    Bury(String),
    /// The same again after a pause.
    Wait(Duration, String),
}

/// Judges the status of an HTTP answer.
pub(super) fn judge(status: u16) -> Verdict {
    let said = format!("HTTP {status}");
    match status {
        200..=299 => Verdict::Taken,
        300..=399 => Verdict::Later(format!("{said}: redirects are not followed")),
        400 | 413 | 415 | 422 => Verdict::Refused(said),
        _ => Verdict::Later(said),
    }
}

/// How deliveries have gone so far.
#[derive(Debug, Clone)]
pub(super) struct Course {
    most: usize,
    size: usize,
    failures: u32,
    refusals: u32,
}

impl Course {
    /// Deliveries of at most so many events.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            size: most,
            failures: 0,
            refusals: 0,
        }
    }

    /// Most events of the next delivery.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// What follows from the verdict on a delivery of so many events.
    pub(super) fn after(&mut self, verdict: Verdict, events: usize) -> Next {
        match verdict {
            Verdict::Taken => {
                self.failures = 0;
                self.refusals = 0;
                self.size = (self.size * 2).min(self.most);
                Next::Advance
            }
            Verdict::Refused(_) if events > 1 => {
                self.size = events / 2;
                Next::Narrow
            }
            Verdict::Refused(why) if self.refusals < REFUSALS => {
                self.refusals += 1;
                self.failures = 0;
                Next::Bury(why)
            }
            Verdict::Refused(why) | Verdict::Later(why) => Next::Wait(self.pause(), why),
        }
    }

    fn pause(&mut self) -> Duration {
        let pause = PAUSE.saturating_mul(1 << self.failures.min(10));
        self.failures += 1;
        pause.min(PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivers events 0.. to a receiver that says `status` of a delivery; the dead ones and how
    /// often it was asked.
    fn play(events: &[u32], most: usize, status: impl Fn(&[u32]) -> u16) -> (Vec<u32>, usize) {
        let (mut course, mut at, mut dead, mut asked) = (Course::new(most), 0, Vec::new(), 0);
        while at < events.len() && asked < 1_000 {
            let delivery = &events[at..events.len().min(at + course.size())];
            asked += 1;
            match course.after(judge(status(delivery)), delivery.len()) {
                Next::Advance => at += delivery.len(),
                Next::Narrow => {}
                Next::Bury(_) => {
                    dead.push(delivery[0]);
                    at += 1;
                }
                Next::Wait(..) => break,
            }
        }
        (dead, asked)
    }

    #[test]
    fn one_event_that_is_refused_for_good_costs_no_other_event_and_few_deliveries() {
        let events: Vec<u32> = (0..1_000).collect();
        let poisoned = |delivery: &[u32]| if delivery.contains(&437) { 422 } else { 200 };
        let (dead, asked) = play(&events, 100, poisoned);
        assert_eq!(dead, [437]);
        assert!(asked < 40, "{asked}");
    }

    #[test]
    fn a_receiver_that_refuses_everything_is_waited_for_and_does_not_bury_the_feed() {
        let events: Vec<u32> = (0..1_000).collect();
        let (dead, _) = play(&events, 100, |_| 400);
        assert_eq!(dead.len(), REFUSALS as usize);
    }

    #[test]
    fn only_what_names_the_content_is_final() {
        for status in [
            301, 302, 307, 401, 403, 404, 408, 410, 425, 429, 500, 502, 503, 999,
        ] {
            assert!(matches!(judge(status), Verdict::Later(_)), "{status}");
        }
        for status in [400, 413, 415, 422] {
            assert!(matches!(judge(status), Verdict::Refused(_)), "{status}");
        }
        assert_eq!([judge(200), judge(204)], [Verdict::Taken, Verdict::Taken]);
    }

    #[test]
    fn pauses_grow_to_half_a_minute_and_begin_anew_after_a_success() {
        let mut course = Course::new(10);
        let mut pause = || match course.after(Verdict::Later(String::new()), 10) {
            Next::Wait(pause, _) => pause.as_secs(),
            other => panic!("{other:?}"),
        };
        let pauses: Vec<_> = (0..8).map(|_| pause()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        course.after(Verdict::Taken, 10);
        let next = course.after(Verdict::Later(String::new()), 10);
        assert_eq!(next, Next::Wait(PAUSE, String::new()));
    }
}
