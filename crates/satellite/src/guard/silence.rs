//! When is sentinel silent, and when is that told (again)? Time comes in as an argument.
//!
//! Silence is measured by the monotonic clock and needs several questions without a good answer:
//! a machine that was asleep, or whose clock jumped, wakes up to one unanswered question and
//! not to an alarm. Reminders are moments of the wall clock, so that a restart keeps them.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Questions without a good answer before anything is told.
const QUESTIONS: u32 = 3;
/// Good answers in a row before sentinel counts as back.
const ANSWERS: u32 = 2;
/// When a silence is told again, in minutes after the last time; then always the last.
const REMINDERS: [i64; 3] = [30, 120, 360];

/// A silence that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// When it began.
    since: Timestamp,
    /// How often it was told.
    times: usize,
    /// When it is told again.
    next: Timestamp,
}

/// What has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tell {
    /// For the `step`th time (from 1) that sentinel is silent.
    Silent { since: Timestamp, step: usize },
    /// That it is back.
    Back { since: Timestamp, at: Timestamp },
}

/// What was heard so far.
#[derive(Debug)]
pub(super) struct Silence {
    after: Duration,
    /// The last good answer, or the start.
    last_good: Option<Instant>,
    last_good_at: Option<Timestamp>,
    bad: u32,
    good: u32,
    told: Option<Told>,
    saved: Option<Told>,
}

impl Silence {
    /// From what an earlier process wrote down; nothing was told when there is no such file.
    pub(super) fn load(file: &Path, after: Duration) -> Self {
        let text = fs::read(file).unwrap_or_default();
        let told: Option<Told> = serde_json::from_slice(&text).unwrap_or_default();
        Self {
            after,
            last_good: None,
            last_good_at: None,
            bad: 0,
            good: 0,
            saved: told.clone(),
            told,
        }
    }

    /// Takes one answer, and says what is to be told because of it.
    pub(super) fn heard(&mut self, good: bool, now: Instant, at: Timestamp) -> Option<Tell> {
        let begin = *self.last_good.get_or_insert(now);
        let begin_at = *self.last_good_at.get_or_insert(at);
        if good {
            (self.last_good, self.last_good_at) = (Some(now), Some(at));
            self.bad = 0;
            self.good = self.good.saturating_add(1);
            let told = self.told.as_ref().filter(|_| self.good >= ANSWERS)?;
            return Some(Tell::Back {
                since: told.since,
                at,
            });
        }
        self.good = 0;
        self.bad = self.bad.saturating_add(1);
        if let Some(told) = &self.told {
            let step = told.times + 1;
            let since = told.since;
            return (at >= told.next).then_some(Tell::Silent { since, step });
        }
        let long = now.saturating_duration_since(begin) >= self.after;
        let since = begin_at;
        (long && self.bad >= QUESTIONS).then_some(Tell::Silent { since, step: 1 })
    }

    /// It was told.
    pub(super) fn told(&mut self, tell: &Tell, now: Timestamp) {
        self.told = match tell {
            Tell::Back { .. } => None,
            Tell::Silent { since, step } => {
                let pause = REMINDERS.get(step - 1).or(REMINDERS.last());
                let pause = SignedDuration::from_mins(pause.copied().unwrap_or(360));
                Some(Told {
                    since: *since,
                    times: *step,
                    next: now.checked_add(pause).unwrap_or(Timestamp::MAX),
                })
            }
        };
    }

    /// Writes down what was told, when that has changed.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(super) fn save(&mut self, file: &Path) -> io::Result<()> {
        if self.saved == self.told {
            return Ok(());
        }
        let beside = file.with_extension("json.new");
        let mut out = fs::File::create(&beside)?;
        out.write_all(&serde_json::to_vec(&self.told)?)?;
        out.sync_all()?;
        fs::rename(&beside, file)?;
        self.saved.clone_from(&self.told);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(180);

    /// Plays answers, one each 30 s from second 0 on, and lists what was told at which second.
    struct Play {
        silence: Silence,
        start: Instant,
        second: u64,
        log: Vec<(u64, &'static str)>,
    }

    impl Play {
        fn new(silence: Silence) -> Self {
            Self {
                silence,
                start: Instant::now(),
                second: 0,
                log: Vec::new(),
            }
        }

        fn at(&self) -> Timestamp {
            let second = i64::try_from(self.second).unwrap();
            Timestamp::from_second(1_800_000_000 + second).unwrap()
        }

        fn hear(&mut self, good: bool, until: u64) {
            while self.second <= until {
                let now = self.start + Duration::from_secs(self.second);
                let at = self.at();
                if let Some(tell) = self.silence.heard(good, now, at) {
                    self.silence.told(&tell, at);
                    let word = match tell {
                        Tell::Silent { step: 1, .. } => "silent",
                        Tell::Silent { .. } => "again",
                        Tell::Back { .. } => "back",
                    };
                    self.log.push((self.second, word));
                }
                self.second += 30;
            }
        }
    }

    fn fresh() -> Silence {
        Silence::load(Path::new("/nonexistent/guard.json"), AFTER)
    }

    #[test]
    fn a_silence_is_told_once_and_again_later_and_its_end_too() {
        let mut play = Play::new(fresh());
        play.hear(true, 60);
        play.hear(false, 30_000);
        play.hear(true, 31_000);
        let wanted = [
            (240, "silent"),
            (2_040, "again"),
            (9_240, "again"),
            (30_060, "back"),
        ];
        assert_eq!(play.log, wanted);
    }

    #[test]
    fn a_sentinel_that_was_never_there_is_told_after_the_same_time() {
        let mut play = Play::new(fresh());
        play.hear(false, 300);
        assert_eq!(play.log, [(180, "silent")]);
    }

    #[test]
    fn a_short_silence_and_a_machine_that_slept_are_not_told() {
        let mut play = Play::new(fresh());
        play.hear(true, 60);
        play.hear(false, 210);
        play.hear(true, 240);
        play.second += 36_000;
        play.hear(false, play.second + 30);
        play.hear(true, play.second + 60);
        assert!(play.log.is_empty(), "{:?}", play.log);
    }

    #[test]
    fn a_restart_neither_forgets_a_silence_nor_tells_it_twice() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("guard.json");
        let mut play = Play::new(Silence::load(&file, AFTER));
        play.hear(false, 300);
        play.silence.save(&file).unwrap();
        let second = play.second;
        let mut next = Play::new(Silence::load(&file, AFTER));
        next.second = second;
        next.hear(false, 900);
        next.hear(true, 1_000);
        assert_eq!(next.log, [(960, "back")]);
        next.silence.save(&file).unwrap();
        assert_eq!(Silence::load(&file, AFTER).told, None);
    }

    #[test]
    fn a_damaged_file_is_the_same_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("guard.json");
        for text in ["", "{", "[1]", "{\"since\":1}"] {
            fs::write(&file, text).unwrap();
            assert_eq!(Silence::load(&file, AFTER).told, None);
        }
    }
}
