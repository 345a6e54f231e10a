//! The orderly end: ask every task to finish, wait for them, but not for ever.
//!
//! One token says "the end has begun", one tracker knows which tasks still run. Tasks are
//! never aborted from here: a task cut in the middle of a COMMIT leaves an outcome that nobody
//! knows. What outlives the deadline is reported and ends with the process.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks that must be waited for, and the word that ends them. Clones share both.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Drain {
    /// Nothing runs yet, and the end has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// The token that is cancelled when the end begins. A task takes one, and when it fires
    /// takes no new work, finishes and answers what it has, and returns.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts a task that [`Self::close`] waits for. Also possible while closing: a request
    /// in flight may still need a task of its own.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(task)
    }

    /// How many tasks have not returned yet.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Begins the end and waits until every task has returned, at most `deadline`. True when
    /// all have; false leaves [`Self::running`] tasks behind.
    pub async fn close(&self, deadline: Duration) -> bool {
        self.token.cancel();
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait())
            .await
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_in_flight_is_allowed_to_finish_before_the_end() {
        let drain = Drain::new();
        let token = drain.token();
        let task = drain.spawn(async move {
            token.cancelled().await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            "answered"
        });
        assert!(drain.close(Duration::from_secs(6)).await);
        assert_eq!(task.await.unwrap(), "answered");
        assert_eq!(drain.running(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_never_ends_is_reported_at_the_deadline_and_not_aborted() {
        let drain = Drain::new();
        let task = drain.spawn(std::future::pending::<()>());
        let begun = tokio::time::Instant::now();
        assert!(!drain.close(Duration::from_secs(3)).await);
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
        assert_eq!(drain.running(), 1);
        assert!(!task.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_started_by_a_request_in_flight_is_waited_for_too() {
        let drain = Drain::new();
        let (inner, token) = (drain.clone(), drain.token());
        drain.spawn(async move {
            token.cancelled().await;
            inner.spawn(tokio::time::sleep(Duration::from_secs(2)));
        });
        let begun = tokio::time::Instant::now();
        assert!(drain.close(Duration::from_secs(6)).await);
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
    }
}
