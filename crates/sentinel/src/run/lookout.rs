//! One task for each look: its schedule, its deadline, and what it means when it fails.
//!
//! A look that is late or panics makes its subjects unknown. It never stops another look, and
//! never the loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Word;
use crate::look::Look;
use crate::observation::{Observation, Round};
use crate::words::Phrase;

/// Starts all of them; they end with the token.
pub(super) fn start(looks: &[Arc<dyn Look>], words: &mpsc::Sender<Word>, end: &CancellationToken) {
    for look in looks {
        let (look, words, end) = (Arc::clone(look), words.clone(), end.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                () = look_again_and_again(look, words) => {}
            }
        });
    }
}

async fn look_again_and_again(look: Arc<dyn Look>, words: mpsc::Sender<Word>) {
    let name: Arc<str> = look.name().into();
    let mut every = tokio::time::interval(look.every().max(Duration::from_millis(100)));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let began = Instant::now();
        let round = once(&look).await;
        let word = Word::Round {
            look: Arc::clone(&name),
            round,
            took: began.elapsed(),
        };
        if words.send(word).await.is_err() {
            return;
        }
    }
}

/// One round within its deadline.
async fn once(look: &Arc<dyn Look>) -> Round {
    let now = Timestamp::now();
    let looking = Arc::clone(look);
    // A task of its own, so that a panic in it is an answer.
    let mut task = tokio::spawn(async move { looking.look(now).await });
    let why = match tokio::time::timeout(look.deadline(), &mut task).await {
        Ok(Ok(round)) => return round,
        Ok(Err(error)) => {
            tracing::error!(look = look.name(), %error, "a look broke off");
            Phrase::LookBroke
        }
        Err(_) => {
            task.abort();
            Phrase::LookLate
        }
    };
    let subjects = look.subjects().into_iter();
    Round::part(
        subjects
            .map(|subject| Observation::unknown(subject, now, why))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Finding, Subject};

    struct Bad(&'static str);

    #[async_trait::async_trait]
    impl Look for Bad {
        fn name(&self) -> &str {
            self.0
        }
        fn every(&self) -> Duration {
            Duration::from_secs(1)
        }
        fn deadline(&self) -> Duration {
            Duration::from_millis(50)
        }
        fn subjects(&self) -> Vec<Subject> {
            vec![Subject::Satellite]
        }
        async fn look(&self, _: Timestamp) -> Round {
            assert_ne!(self.0, "panics", "on purpose");
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_look_that_hangs_or_panics_makes_its_subjects_unknown() {
        for name in ["panics", "hangs"] {
            let look: Arc<dyn Look> = Arc::new(Bad(name));
            let round = once(&look).await;
            assert!(
                matches!(round.observations[0].finding, Finding::Unknown { .. }),
                "{name}"
            );
            assert!(!round.whole);
        }
    }
}
