//! Three days without a relay, simulated: a clock moved by hand and a relay that is played.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use notify::{Address, Brink, CapRule, Failed, Outbox, Relay, State, Whose, Wire};

use crate::support::{Hand, letter, ways, with_rule};

/// Fails until a time.
struct Played {
    hand: Hand,
    up_at: Timestamp,
    knocks: AtomicUsize,
    taken: Mutex<Vec<Wire>>,
}

#[async_trait]
impl Relay for Played {
    fn name(&self) -> &str {
        "played"
    }

    async fn deliver(&self, message: &Wire, brink: &Brink) -> Result<String, Failed> {
        self.knocks.fetch_add(1, Ordering::Relaxed);
        if self.hand.now() < self.up_at {
            return Err(Failed::new(Whose::Relay, "down"));
        }
        brink.reach().await?;
        self.taken.lock().unwrap().push(message.clone());
        Ok(String::new())
    }

    async fn would_take(&self, _: &Address) -> Result<(), Failed> {
        let up = self.hand.now() >= self.up_at;
        up.then_some(())
            .ok_or_else(|| Failed::new(Whose::Relay, "down"))
    }
}

fn played(hand: &Hand, hours: i64) -> Arc<Played> {
    Arc::new(Played {
        hand: hand.clone(),
        up_at: notify_later(hand, hours),
        knocks: AtomicUsize::new(0),
        taken: Mutex::default(),
    })
}

fn notify_later(hand: &Hand, hours: i64) -> Timestamp {
    hand.now()
        .checked_add(jiff::SignedDuration::from_hours(hours))
        .unwrap()
}

#[tokio::test]
async fn seventy_two_hours_without_a_relay_lose_no_letter() {
    let hand = Hand::new();
    let relay = played(&hand, 72);
    let outbox = Outbox::in_memory().await.unwrap();
    let pump = with_rule(
        &hand,
        outbox.clone(),
        ways(vec![relay.clone()]),
        CapRule::default(),
    )
    .await;
    let mut queued = Vec::new();
    for minute in 0..(72 * 60 + 60) {
        if minute % 30 == 0 && minute < 72 * 60 {
            let mut next = letter(&format!("INC-{minute}"), "open", "a@example.mx");
            next.critical = minute % 90 == 0;
            next.kind = format!("kind-{}", minute % 4);
            outbox
                .queue_all(std::slice::from_ref(&next), hand.now())
                .await
                .unwrap();
            queued.push(next.id());
        }
        pump.tick().await.unwrap();
        if minute == 71 * 60 {
            let stuck = outbox.figures(hand.now()).await.unwrap().stuck;
            assert!(stuck >= Some(Duration::from_secs(70 * 3600)), "{stuck:?}");
        }
        hand.forward(60);
    }
    for id in &queued {
        let standing = outbox.standing(id).await.unwrap().unwrap();
        assert_eq!(standing.state, State::Delivered, "{standing:?}");
    }
    let taken = relay.taken.lock().unwrap().clone();
    let names: HashSet<_> = taken.iter().map(|wire| wire.id.clone()).collect();
    assert_eq!(names.len(), taken.len(), "nothing went twice");
    assert!(
        taken.len() < 30,
        "{} mails after three days of silence",
        taken.len()
    );
    let figures = outbox.figures(hand.now()).await.unwrap();
    assert_eq!((figures.failed, figures.waiting), (0, 0));
}

#[tokio::test]
async fn when_a_relay_is_back_everything_that_waited_for_it_goes_at_once() {
    let hand = Hand::new();
    let relay = played(&hand, 5);
    let outbox = Outbox::in_memory().await.unwrap();
    let pump = with_rule(
        &hand,
        outbox.clone(),
        ways(vec![relay.clone()]),
        CapRule::none(),
    )
    .await;
    // Spread over an hour, so that their next tries are spread too.
    for number in 0..10 {
        let next = letter(&format!("INC-{number}"), "open", "a@example.mx");
        outbox.queue_all(&[next], hand.now()).await.unwrap();
        for _ in 0..6 {
            pump.tick().await.unwrap();
            hand.forward(60);
        }
    }
    while relay.taken.lock().unwrap().is_empty() {
        hand.forward(1);
        pump.tick().await.unwrap();
    }
    assert_eq!(relay.taken.lock().unwrap().len(), 10);
}

#[tokio::test]
async fn a_relay_that_works_again_is_known_without_a_letter_that_tries_it() {
    let hand = Hand::new();
    let relay = played(&hand, 1);
    let outbox = Outbox::in_memory().await.unwrap();
    let pump = with_rule(&hand, outbox.clone(), ways(vec![relay]), CapRule::none()).await;
    let next = letter("INC-1", "open", "a@example.mx");
    outbox.queue_all(&[next], hand.now()).await.unwrap();
    hand.forward(3_000);
    pump.tick().await.unwrap();
    hand.forward(590);
    pump.probe().await;
    let failing = async || {
        outbox
            .figures(hand.now())
            .await
            .unwrap()
            .failing_relays
            .len()
    };
    assert_eq!(failing().await, 1);
    hand.forward(10);
    pump.probe().await;
    assert_eq!(failing().await, 0);
    assert_eq!(pump.tick().await.unwrap(), 1, "what waited is due at once");
    assert_eq!(outbox.figures(hand.now()).await.unwrap().sent, 1);
}

#[tokio::test]
async fn after_five_days_a_letter_is_given_up_and_that_is_counted() {
    let hand = Hand::new();
    let relay = played(&hand, 1000);
    let outbox = Outbox::in_memory().await.unwrap();
    let pump = with_rule(&hand, outbox.clone(), ways(vec![relay]), CapRule::none()).await;
    let start = hand.now();
    let next = letter("INC-1", "open", "a@example.mx");
    outbox
        .queue_all(std::slice::from_ref(&next), start)
        .await
        .unwrap();
    for hour in 0..125 {
        for _ in 0..12 {
            pump.tick().await.unwrap();
            hand.forward(300);
        }
        let state = outbox.standing(&next.id()).await.unwrap().unwrap().state;
        assert!(
            hour >= 119 || state == State::Sending,
            "given up after {hour} h"
        );
    }
    let given_up = outbox.given_up(start).await.unwrap();
    assert_eq!(given_up.len(), 1);
    assert_eq!(given_up[0].last_error.as_deref(), Some("played: down"));
    assert_eq!(outbox.figures(hand.now()).await.unwrap().failed, 1);
}

#[tokio::test]
async fn a_clock_that_was_set_back_by_a_year_does_not_stop_the_letters() {
    let hand = Hand::new();
    let relay = played(&hand, 1000);
    let outbox = Outbox::in_memory().await.unwrap();
    let pump = with_rule(
        &hand,
        outbox.clone(),
        ways(vec![relay.clone()]),
        CapRule::default(),
    )
    .await;
    outbox
        .queue_all(&[letter("INC-1", "open", "a@example.mx")], hand.now())
        .await
        .unwrap();
    pump.tick().await.unwrap();
    hand.forward(-365 * 86_400);
    let before = relay.knocks.load(Ordering::Relaxed);
    pump.tick().await.unwrap();
    assert_eq!(relay.knocks.load(Ordering::Relaxed), before + 1);
}

#[tokio::test]
async fn a_restart_keeps_the_times_of_the_next_tries() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox.db");
    let hand = Hand::new();
    let relay = played(&hand, 1000);
    for (seconds, knocks) in [(0, 1), (4, 1), (1, 2), (14, 2), (1, 3)] {
        hand.forward(seconds);
        let outbox = Outbox::open(&path).await.unwrap();
        let pump = with_rule(
            &hand,
            outbox.clone(),
            ways(vec![relay.clone()]),
            CapRule::none(),
        )
        .await;
        outbox
            .queue_all(&[letter("INC-1", "open", "a@example.mx")], hand.now())
            .await
            .unwrap();
        pump.tick().await.unwrap();
        assert_eq!(relay.knocks.load(Ordering::Relaxed), knocks);
    }
}
