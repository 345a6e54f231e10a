//! When a letter that could not be delivered is tried again. Pure: times in, times out.
//!
//! Fast at first, because one's own relay is usually back within a minute and grey lists open
//! after five; then calmer; and after five days the letter is given up, loudly.

use jiff::{SignedDuration, Timestamp};

/// Pauses after the first tries.
const FIRST: [i64; 4] = [5, 15, 30, 60];
/// The pause during the first hour after those, in seconds.
const WITHIN_THE_HOUR: i64 = 120;
/// How long that lasts, in seconds since the first try.
const HOUR: i64 = 3600 + 110;
/// The pause afterwards, in seconds; also the longest pause of all.
pub(crate) const LONGEST: i64 = 900;
/// How long a letter is tried, in seconds since its first try.
const GIVE_UP: i64 = 5 * 24 * 3600;

/// What follows a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again at that time.
    At(Timestamp),
    /// Five days have passed since the first try.
    GiveUp,
}

/// What follows try number `tries` (1 is the first), which failed at `now`; the first try was
/// at `first`. The pauses are 5, 15, 30 and 60 seconds, then 2 minutes for an hour, then 15
/// minutes, until 5 days have passed.
pub fn next(tries: u32, first: Timestamp, now: Timestamp) -> Next {
    let age = now.duration_since(first).as_secs();
    if age >= GIVE_UP {
        return Next::GiveUp;
    }
    let place = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause = match FIRST.get(place) {
        Some(pause) => *pause,
        None if age < HOUR => WITHIN_THE_HOUR,
        None => LONGEST,
    };
    Next::At(later(now, pause))
}

/// `seconds` after that time; at the end of time the time itself.
pub(crate) fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_are_those_that_are_promised_until_five_days_have_passed() {
        let first = Timestamp::UNIX_EPOCH;
        let (mut now, mut pauses) = (first, Vec::new());
        for tries in 1.. {
            let Next::At(at) = next(tries, first, now) else {
                break;
            };
            pauses.push(at.duration_since(now).as_secs());
            now = at;
        }
        assert_eq!(pauses[..4], [5, 15, 30, 60]);
        assert!(
            pauses[4..34].iter().all(|pause| *pause == 120),
            "{pauses:?}"
        );
        assert!(pauses[34..].iter().all(|pause| *pause == 900));
        let days = now.duration_since(first).as_secs() as f64 / 86_400.0;
        assert!((5.0..5.02).contains(&days), "{days}");
    }

    #[test]
    fn a_grey_list_of_five_minutes_is_passed_within_six() {
        let (first, mut now) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        for tries in 1.. {
            if now.duration_since(first).as_secs() >= 300 {
                break;
            }
            let Next::At(at) = next(tries, first, now) else {
                panic!("given up");
            };
            now = at;
        }
        assert!(now.duration_since(first).as_secs() <= 360);
    }

    #[test]
    fn a_letter_is_tried_at_least_once_after_a_long_sleep_of_the_machine() {
        let first = Timestamp::UNIX_EPOCH;
        let awake = later(first, 6 * 86_400);
        // The try itself happens before this is asked.
        assert_eq!(next(2, first, awake), Next::GiveUp);
        assert_eq!(next(1, awake, awake), Next::At(later(awake, 5)));
    }
}
