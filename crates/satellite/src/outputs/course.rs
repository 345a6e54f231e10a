//! What to do after a receiver's answer: go on, cut the delivery smaller, give a row up, wait.
//!
//! A receiver refuses an event for good when it names the content (400, 413, 415, 422); the
//! delivery is then halved until one event stands alone. Everything else passes: a receiver that
//! is down, overloaded, moved, or does not know us yet is waited for. A receiver that refuses one
//! event after another is not set up for them, and is waited for as well, so that a typing error
//! over there cannot send a tenant's whole feed to the dead letters.
//!
//! HTTP 500 can be either: a receiver that is broken, or an event at which it breaks. It is waited for
//! first; then the delivery is narrowed, and the event that stands alone is at fault when the
//! receiver takes the one behind it and still not this one. No clock and no socket here.

use std::time::Duration;

/// Events refused one after another that are believed to be at fault themselves.
const REFUSALS: u32 = 20;
/// The first pause; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause. A receiver that comes back waits no longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Failures in a row after which HTTP 500 may be an event's fault: about three minutes.
const PATIENCE: u32 = 10;
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
    /// It broke at it, and answered so.
    Broke(String),
    /// Not now.
    Later(String),
    /// It has all of it but these rows, which it does not take for now.
    Partly(Vec<i64>, String),
    /// It has lost what came after this number, and wants it again.
    GoBack(i64),
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
    /// Whether the one row of it is at fault has to be tried: see [`Course::tried`].
    Try(String),
    /// The same again after a pause.
    Wait(Duration, String),
    /// These rows go to the dead letters, and the cursor moves past the delivery.
    Part(Vec<i64>, String),
    /// The cursor goes back to there.
    GoBack(i64),
}

/// Judges the status of an HTTP answer.
pub(super) fn judge(status: u16) -> Verdict {
    let said = format!("HTTP {status}");
    match status {
        200..=299 => Verdict::Taken,
        300..=399 => Verdict::Later(format!("{said}: redirects are not followed")),
        400 | 413 | 415 | 422 => Verdict::Refused(said),
        500 => Verdict::Broke(said),
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
    /// An event at which the receiver breaks is being looked for.
    searches: bool,
}

impl Course {
    /// Deliveries of at most so many events.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            size: most,
            failures: 0,
            refusals: 0,
            searches: false,
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
                self.went_well();
                Next::Advance
            }
            Verdict::Partly(rows, why) => {
                self.went_well();
                Next::Part(rows, why)
            }
            Verdict::GoBack(to) => Next::GoBack(to),
            Verdict::Broke(_) if events > 1 && self.failures >= PATIENCE => {
                self.searches = true;
                self.size = events / 2;
                Next::Narrow
            }
            Verdict::Broke(why) if self.failures >= PATIENCE => Next::Try(why),
            Verdict::Refused(_) if events > 1 => {
                self.size = events / 2;
                Next::Narrow
            }
            Verdict::Refused(why) if self.refusals < REFUSALS => {
                self.refusals += 1;
                self.failures = 0;
                Next::Bury(why)
            }
            Verdict::Refused(why) | Verdict::Broke(why) | Verdict::Later(why) => {
                Next::Wait(self.pause(), why)
            }
        }
    }

    /// What follows when it was tried whether an event alone is at fault: the receiver took the one
    /// behind it, and then broke at this one again.
    pub(super) fn tried(&mut self, is_at_fault: bool, why: String) -> Next {
        if !is_at_fault {
            return Next::Wait(self.pause(), why);
        }
        self.after(Verdict::Refused(why), 1)
    }

    fn went_well(&mut self) {
        self.refusals = 0;
        self.size = (self.size * 2).min(self.most);
        self.searches &= self.size < self.most;
        // While it is looked for, the rest of what was narrowed is not waited for anew.
        self.failures = if self.searches { PATIENCE } else { 0 };
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
                Next::Try(_) => panic!("nothing breaks here"),
                Next::Wait(..) | Next::Part(..) | Next::GoBack(_) => break,
            }
        }
        (dead, asked)
    }

    /// Delivers events 0.. to a receiver that breaks at deliveries with one of `bad`, or, once it has
    /// taken `until` events, at all; the dead ones, how many got through, and the seconds waited.
    fn broken(bad: &[u32], until: usize) -> (Vec<u32>, usize, u64) {
        let events: Vec<u32> = (0..1_000).collect();
        let (mut course, mut at, mut dead, mut waited) = (Course::new(100), 0, Vec::new(), 0);
        let breaks = |delivery: &[u32], at: usize| {
            at >= until || delivery.iter().any(|event| bad.contains(event))
        };
        while at < events.len() && waited < 7_200 {
            let delivery = &events[at..events.len().min(at + course.size())];
            let verdict = if breaks(delivery, at) {
                judge(500)
            } else {
                judge(200)
            };
            let next = match course.after(verdict, delivery.len()) {
                Next::Try(why) => {
                    let behind = events.get(at + 1).is_some_and(|one| !breaks(&[*one], at));
                    course.tried(behind, why)
                }
                next => next,
            };
            match next {
                Next::Advance => at += delivery.len(),
                Next::Narrow | Next::Try(_) => {}
                Next::Bury(_) => {
                    dead.push(delivery[0]);
                    at += 1;
                }
                Next::Wait(pause, _) => waited += pause.as_secs(),
                Next::Part(..) | Next::GoBack(_) => panic!("nobody asks for that here"),
            }
        }
        (dead, at, waited)
    }

    #[test]
    fn an_event_at_which_a_receiver_breaks_is_given_up_after_minutes_and_holds_up_no_other() {
        let (dead, through, waited) = broken(&[437], usize::MAX);
        assert_eq!((dead, through), (vec![437], 1_000));
        assert!((120..300).contains(&waited), "{waited}");
        // The very first, and two of them.
        let (dead, through, _) = broken(&[0, 500], usize::MAX);
        assert_eq!((dead, through), (vec![0, 500], 1_000));
    }

    #[test]
    fn a_receiver_that_breaks_at_everything_is_waited_for_and_buries_nothing() {
        let (dead, through, _) = broken(&[], 300);
        assert_eq!((dead, through), (Vec::new(), 300));
        // Of the last event nobody can tell.
        assert_eq!(broken(&[999], usize::MAX).0, [0; 0]);
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
            301, 302, 307, 401, 403, 404, 408, 410, 425, 429, 501, 502, 503, 999,
        ] {
            assert!(matches!(judge(status), Verdict::Later(_)), "{status}");
        }
        for status in [400, 413, 415, 422] {
            assert!(matches!(judge(status), Verdict::Refused(_)), "{status}");
        }
        assert!(matches!(judge(500), Verdict::Broke(_)));
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
