//! Does work move? The one judgement behind `/healthz` and the watchdog's pings.
//!
//! A timer that says "alive" proves only that timers run. Here each stage of the work says
//! when work waits in it and when some of it came out; a stage is stalled when work waits and
//! nothing has come out for its limit. An idle stage is never stalled, and a refusal is an
//! answer: a database that is down keeps the stages moving and must never get the process
//! restarted. The monotonic clock comes in as an argument; only [`Progress::watch`] reads it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// All stages of a process. Clones share them.
#[derive(Clone, Default)]
pub struct Progress {
    stages: Arc<Mutex<Vec<Stage>>>,
}

/// One stage: a place where work waits and comes out. Clones are the same stage.
#[derive(Clone)]
pub struct Stage {
    name: Arc<str>,
    limit: Duration,
    state: Arc<Mutex<State>>,
}

/// What a stage remembers.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Pieces of work that have begun and neither finished nor were given up.
    waiting: usize,
    /// The last movement: a piece finished, or the first piece came into the idle stage.
    moved: Option<Instant>,
}

/// One piece of work inside a stage. Dropped without [`Work::finish`], for example because
/// the peer went away, it no longer waits but does not count as movement either.
#[must_use = "dropping it says that the work was given up"]
pub struct Work {
    stage: Stage,
}

/// A loop that has to turn even when there is nothing to do. Unlike [`Work`] it goes on
/// waiting when it is dropped, because a loop that died in a panic must be seen.
pub struct Heartbeat {
    stage: Stage,
}

/// A stage as it looks at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageReport {
    /// The stage's name.
    pub name: Arc<str>,
    /// Pieces of work inside.
    pub waiting: usize,
    /// Time since the last movement; zero while idle.
    pub quiet: Duration,
    /// Longest quiet time allowed while work waits.
    pub limit: Duration,
    /// True when work waits and the quiet time is above the limit.
    pub stalled: bool,
}

impl Progress {
    /// No stages yet, so nothing is stalled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a stage that may stay quiet for `limit` while work waits in it. A stage of
    /// the same name is replaced, as after a reload of the configuration.
    pub fn stage(&self, name: &str, limit: Duration) -> Stage {
        let stage = Stage {
            name: name.into(),
            limit,
            state: Arc::default(),
        };
        let mut stages = lock(&self.stages);
        stages.retain(|known| known.name != stage.name);
        stages.push(stage.clone());
        stage
    }

    /// Registers a loop that has to call [`Heartbeat::beat`] at least every `limit`.
    pub fn heartbeat(&self, name: &str, limit: Duration, now: Instant) -> Heartbeat {
        let stage = self.stage(name, limit);
        stage.enter(now);
        Heartbeat { stage }
    }

    /// Every stage in the order of registration.
    pub fn report(&self, now: Instant) -> Vec<StageReport> {
        lock(&self.stages).iter().map(|s| s.report(now)).collect()
    }

    /// True when any stage is stalled.
    pub fn is_stalled(&self, now: Instant) -> bool {
        lock(&self.stages).iter().any(|s| s.report(now).stalled)
    }

    /// Calls `ping` at once and then after every `interval`, except while a stage is stalled.
    /// Never returns; the caller drops it at the end. It runs on the same executor as the
    /// work, so that an executor whose threads are all blocked pings no more.
    pub async fn watch(self, interval: Duration, mut ping: impl FnMut()) {
        let mut was_stalled = false;
        loop {
            let now = tokio::time::Instant::now().into_std();
            let stalled: Vec<_> = self.report(now).into_iter().filter(|s| s.stalled).collect();
            if stalled.is_empty() {
                if was_stalled {
                    tracing::info!("every stage moves again");
                }
                ping();
            }
            for stage in &stalled {
                tracing::error!(
                    stage = &*stage.name,
                    waiting = stage.waiting,
                    quiet_seconds = stage.quiet.as_secs(),
                    "work waits and nothing moves; the watchdog is not pinged"
                );
            }
            was_stalled = !stalled.is_empty();
            tokio::time::sleep(interval).await;
        }
    }
}

impl Stage {
    /// A piece of work has come in.
    pub fn begin(&self, now: Instant) -> Work {
        self.enter(now);
        Work {
            stage: self.clone(),
        }
    }

    /// Something moved although no piece is finished yet, for example one step of a long
    /// drain.
    pub fn advanced(&self, now: Instant) {
        lock(&self.state).move_to(now);
    }

    fn enter(&self, now: Instant) {
        let mut state = lock(&self.state);
        if state.waiting == 0 {
            state.moved = Some(now);
        }
        state.waiting += 1;
    }

    fn leave(&self) {
        let mut state = lock(&self.state);
        state.waiting = state.waiting.saturating_sub(1);
    }

    fn report(&self, now: Instant) -> StageReport {
        let state = *lock(&self.state);
        let quiet = match state.moved {
            Some(moved) if state.waiting > 0 => now.saturating_duration_since(moved),
            _ => Duration::ZERO,
        };
        StageReport {
            name: Arc::clone(&self.name),
            waiting: state.waiting,
            quiet,
            limit: self.limit,
            stalled: quiet > self.limit,
        }
    }
}

impl State {
    /// Threads read the clock before they take the lock, so an older reading may come second;
    /// it must not turn the clock back.
    fn move_to(&mut self, now: Instant) {
        self.moved = self.moved.max(Some(now));
    }
}

impl Work {
    /// The piece came out: done, refused or failed, but answered.
    pub fn finish(self, now: Instant) {
        self.stage.advanced(now);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.stage.leave();
    }
}

impl Heartbeat {
    /// The loop has turned.
    pub fn beat(&self, now: Instant) {
        self.stage.advanced(now);
    }

    /// The loop ends on purpose and is no longer waited for.
    pub fn stop(self) {
        self.stage.leave();
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(lock(&self.stages).iter()).finish()
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stage({}, {:?})", self.name, *lock(&self.state))
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Work({})", self.stage.name)
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Heartbeat({})", self.stage.name)
    }
}

/// A panic elsewhere leaves plain numbers behind that are still true, so a poisoned lock is
/// used as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LIMIT: Duration = Duration::from_secs(10);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn an_idle_stage_is_never_stalled() {
        let (progress, t) = (Progress::new(), Instant::now());
        let stage = progress.stage("writer", LIMIT);
        assert!(!progress.is_stalled(t + seconds(1000)));
        stage.begin(t).finish(t + seconds(1));
        assert!(!progress.is_stalled(t + seconds(1000)));
    }

    #[test]
    fn a_stage_is_stalled_only_when_work_waits_and_nothing_moved_for_longer_than_its_limit() {
        let (progress, t) = (Progress::new(), Instant::now());
        let stage = progress.stage("writer", LIMIT);
        let _stuck = stage.begin(t);
        assert!(!progress.is_stalled(t + LIMIT));
        assert!(progress.is_stalled(t + seconds(11)));
        stage.begin(t + seconds(11)).finish(t + seconds(12));
        assert!(!progress.is_stalled(t + seconds(22)));
        let report = progress.report(t + seconds(23));
        assert_eq!(
            report,
            [StageReport {
                name: "writer".into(),
                waiting: 1,
                quiet: seconds(11),
                limit: LIMIT,
                stalled: true,
            }]
        );
    }

    #[test]
    fn quiet_time_before_the_work_came_does_not_count() {
        let (progress, t) = (Progress::new(), Instant::now());
        let stage = progress.stage("writer", LIMIT);
        stage.begin(t).finish(t);
        let _work = stage.begin(t + seconds(3600));
        assert!(!progress.is_stalled(t + seconds(3605)));
    }

    #[test]
    fn work_given_up_waits_no_more_but_is_no_movement() {
        let (progress, t) = (Progress::new(), Instant::now());
        let stage = progress.stage("writer", LIMIT);
        let first = stage.begin(t);
        drop(stage.begin(t + seconds(9)));
        assert!(progress.is_stalled(t + seconds(11)));
        drop(first);
        assert!(!progress.is_stalled(t + seconds(11)));
    }

    #[test]
    fn a_loop_that_died_is_stalled_and_one_that_ended_on_purpose_is_not() {
        let (progress, t) = (Progress::new(), Instant::now());
        let died = progress.heartbeat("accept", LIMIT, t);
        died.beat(t + seconds(5));
        assert!(!progress.is_stalled(t + seconds(15)));
        drop(died);
        assert!(progress.is_stalled(t + seconds(16)));
        // Registering the same name again replaces the dead loop.
        progress.heartbeat("accept", LIMIT, t).stop();
        assert!(!progress.is_stalled(t + seconds(1000)));
        assert_eq!(progress.report(t).len(), 1);
    }

    #[test]
    fn an_older_reading_of_the_clock_does_not_turn_it_back() {
        let (progress, t) = (Progress::new(), Instant::now());
        let stage = progress.stage("writer", LIMIT);
        let _work = stage.begin(t);
        stage.advanced(t + seconds(8));
        stage.advanced(t + seconds(2));
        assert!(!progress.is_stalled(t + seconds(18)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_pinged_only_while_nothing_is_stalled() {
        let progress = Progress::new();
        let stage = progress.stage("writer", LIMIT);
        let pings = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&pings);
        let watcher = tokio::spawn(progress.watch(seconds(2), move || {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        let work = stage.begin(tokio::time::Instant::now().into_std());
        tokio::time::sleep(seconds(60)).await;
        // At 0, 2, 4, 6, 8 and 10 seconds; from then on the stage was stalled.
        assert_eq!(pings.load(Ordering::Relaxed), 6);
        work.finish(tokio::time::Instant::now().into_std());
        tokio::time::sleep(seconds(5)).await;
        assert!(pings.load(Ordering::Relaxed) >= 8);
        watcher.abort();
    }
}
