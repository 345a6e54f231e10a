//! Relays that fail, each in its own way, and what becomes of the letters.
//!
//! The clock is moved by hand; the servers are real ones over TCP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::config::Secret;
use notify::{Pump, StartTls, State};

use crate::fake::{Fake, Manner};
use crate::support::{Hand, certificate, letter, pump, smtp, ways};

async fn one(manner: Manner) -> (Fake, Hand, Pump, String) {
    let (fake, hand) = (Fake::start(manner).await, Hand::new());
    let pump = pump(&hand, ways(vec![Arc::new(smtp(&fake.url()))])).await;
    let letter = letter("INC-1", "open", "a@example.mx");
    pump.outbox()
        .queue_all(std::slice::from_ref(&letter), hand.now())
        .await
        .unwrap();
    (fake, hand, pump, letter.id())
}

async fn state(pump: &Pump, id: &str) -> (State, u32, String) {
    let standing = pump.outbox().standing(id).await.unwrap().unwrap();
    (
        standing.state,
        standing.attempts,
        standing.last_error.unwrap_or_default(),
    )
}

/// Lets the time go on until the letter has ended, and answers with the seconds that took.
async fn until_ended(pump: &Pump, hand: &Hand, id: &str) -> i64 {
    for second in 0..2000 {
        pump.tick().await.unwrap();
        if !matches!(state(pump, id).await.0, State::Queued | State::Sending) {
            return second;
        }
        hand.forward(1);
    }
    panic!("not ended: {:?}", state(pump, id).await);
}

#[tokio::test]
async fn a_good_relay_gets_the_letter_at_once() {
    let (fake, _, pump, id) = one(Manner::Good).await;
    assert_eq!(pump.tick().await.unwrap(), 1);
    assert_eq!(state(&pump, &id).await.0, State::Delivered);
    let taken = fake.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].to, "a@example.mx");
    assert_eq!(
        taken[0].header("Message-ID").unwrap(),
        format!("<{id}@example.mx>")
    );
    let figures = pump.figures().await.unwrap();
    assert_eq!((figures.sent, figures.failed, figures.waiting), (1, 0, 0));
}

#[tokio::test]
async fn a_letter_waits_while_its_relay_talks_nonsense_hangs_floods_or_closes_down() {
    for manner in [
        Manner::Nonsense,
        Manner::Silent,
        Manner::Endless,
        Manner::Closing,
    ] {
        let (fake, hand, pump, id) = one(manner).await;
        let began = Instant::now();
        pump.tick().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(5));
        let (now, attempts, words) = state(&pump, &id).await;
        assert_eq!((now, attempts), (State::Sending, 1), "{words}");
        assert!(!words.is_empty());
        let failing = pump.figures().await.unwrap().failing_relays;
        assert_eq!((failing.len(), failing[0].1), (1, 1));
        fake.behave(Manner::Good);
        assert_eq!(until_ended(&pump, &hand, &id).await, 5);
        assert_eq!(fake.taken().len(), 1);
        assert!(pump.figures().await.unwrap().failing_relays.is_empty());
    }
}

#[tokio::test]
async fn a_dead_relay_hands_over_to_the_next_in_the_same_try_and_then_rests() {
    let (dead, good, hand) = (
        Fake::start(Manner::Closing).await,
        Fake::start(Manner::Good).await,
        Hand::new(),
    );
    let relays = ways(vec![
        Arc::new(smtp(&dead.url())),
        Arc::new(smtp(&good.url())),
    ]);
    let pump = pump(&hand, relays).await;
    for number in 0..5 {
        let letter = letter("INC-1", &format!("step-{number}"), "a@example.mx");
        pump.outbox()
            .queue_all(&[letter], hand.now())
            .await
            .unwrap();
        pump.tick().await.unwrap();
    }
    assert_eq!(good.taken().len(), 5);
    let knocks = |fake: &Fake| {
        fake.commands()
            .iter()
            .filter(|line| line.starts_with("MAIL"))
            .count()
    };
    assert_eq!(knocks(&dead), 1, "a resting relay is left alone");
    hand.forward(31);
    dead.behave(Manner::Good);
    let letter = letter("INC-1", "later", "a@example.mx");
    pump.outbox()
        .queue_all(&[letter], hand.now())
        .await
        .unwrap();
    pump.tick().await.unwrap();
    assert_eq!(
        dead.taken().len(),
        1,
        "after its rest it is preferred again"
    );
}

#[tokio::test]
async fn a_grey_list_is_waited_out_and_is_not_the_relays_fault() {
    let (fake, hand, pump, id) = one(Manner::Grey(3)).await;
    assert_eq!(until_ended(&pump, &hand, &id).await, 5 + 15 + 30);
    let (now, attempts, _) = state(&pump, &id).await;
    assert_eq!((now, attempts), (State::Delivered, 4));
    assert_eq!(fake.taken().len(), 1);
    assert!(pump.figures().await.unwrap().failing_relays.is_empty());
}

#[tokio::test]
async fn one_refused_recipient_stops_no_other_and_is_given_up_with_the_servers_words() {
    let (fake, hand) = (
        Fake::start(Manner::Refuses("gone@example.mx")).await,
        Hand::new(),
    );
    let pump = pump(&hand, ways(vec![Arc::new(smtp(&fake.url()))])).await;
    let letters =
        ["gone@example.mx", "b@example.mx", "c@example.mx"].map(|to| letter("INC-1", "open", to));
    pump.outbox().queue_all(&letters, hand.now()).await.unwrap();
    pump.tick().await.unwrap();
    let to: std::collections::BTreeSet<_> = fake.taken().into_iter().map(|mail| mail.to).collect();
    assert_eq!(
        to.into_iter().collect::<Vec<_>>(),
        ["b@example.mx", "c@example.mx"]
    );
    let given_up = pump.outbox().given_up(hand.now()).await.unwrap();
    assert_eq!(given_up.len(), 1);
    assert_eq!(given_up[0].recipient, "gone@example.mx");
    assert!(
        given_up[0]
            .last_error
            .as_deref()
            .unwrap()
            .contains("no such user")
    );
    assert_eq!(pump.figures().await.unwrap().failed, 1);
}

#[tokio::test]
async fn a_refusal_by_one_relay_is_not_final_while_another_would_take_it() {
    let strict = Fake::start(Manner::Refuses("a@example.mx")).await;
    let (good, hand) = (Fake::start(Manner::Good).await, Hand::new());
    let relays = ways(vec![
        Arc::new(smtp(&strict.url())),
        Arc::new(smtp(&good.url())),
    ]);
    let pump = pump(&hand, relays).await;
    pump.outbox()
        .queue_all(&[letter("INC-1", "open", "a@example.mx")], hand.now())
        .await
        .unwrap();
    pump.tick().await.unwrap();
    assert_eq!(good.taken().len(), 1);
}

#[tokio::test]
async fn a_message_that_may_have_been_taken_goes_again_with_the_same_name_and_not_elsewhere() {
    let (doubtful, hand) = (Fake::start(Manner::DropsAfterData(1)).await, Hand::new());
    let other = Fake::start(Manner::Good).await;
    let relays = ways(vec![
        Arc::new(smtp(&doubtful.url())),
        Arc::new(smtp(&other.url())),
    ]);
    let pump = pump(&hand, relays).await;
    let letter = letter("INC-1", "open", "a@example.mx");
    pump.outbox()
        .queue_all(std::slice::from_ref(&letter), hand.now())
        .await
        .unwrap();
    pump.tick().await.unwrap();
    assert_eq!((doubtful.taken().len(), other.taken().len()), (1, 0));
    assert_eq!(until_ended(&pump, &hand, &letter.id()).await, 5);
    let all = [doubtful.taken(), other.taken()].concat();
    assert_eq!(all.len(), 2);
    assert_eq!(
        all[0].data, all[1].data,
        "the same bytes, so the same Message-ID"
    );
}

#[tokio::test]
async fn a_relay_that_hangs_after_the_message_does_not_hold_up_the_others_one_by_one() {
    let (hangs, good, hand) = (
        Fake::start(Manner::HangsAfterData).await,
        Fake::start(Manner::Good).await,
        Hand::new(),
    );
    let relays = ways(vec![
        Arc::new(smtp(&hangs.url())),
        Arc::new(smtp(&good.url())),
    ]);
    let pump = pump(&hand, relays).await;
    let letters =
        ["a", "b", "c", "d"].map(|name| letter("INC-1", "open", &format!("{name}@example.mx")));
    pump.outbox().queue_all(&letters, hand.now()).await.unwrap();
    pump.tick().await.unwrap();
    assert_eq!(hangs.taken().len(), 1, "only one was beyond the brink");
    assert_eq!(good.taken().len(), 3);
}

#[tokio::test]
async fn a_message_that_is_refused_itself_is_given_up() {
    let (fake, _, pump, id) = one(Manner::RefusesContent).await;
    pump.tick().await.unwrap();
    let (now, _, words) = state(&pump, &id).await;
    assert_eq!(now, State::Failed);
    assert!(words.contains("not this"), "{words}");
    assert!(fake.taken().is_empty());
}

#[tokio::test]
async fn a_wrong_password_is_the_relays_fault_and_stands_in_no_message() {
    let (fake, hand) = (Fake::start(Manner::RefusesLogin).await, Hand::new());
    let relay = smtp(&fake.url()).login("u", Secret::new("hunter2".to_owned()));
    let pump = pump(&hand, ways(vec![Arc::new(relay)])).await;
    let letter = letter("INC-1", "open", "a@example.mx");
    pump.outbox()
        .queue_all(std::slice::from_ref(&letter), hand.now())
        .await
        .unwrap();
    pump.tick().await.unwrap();
    let (now, _, words) = state(&pump, &letter.id()).await;
    assert_eq!(now, State::Sending);
    assert!(
        words.contains("login") && !words.contains("hunter2"),
        "{words}"
    );
}

#[tokio::test]
async fn broken_tls_is_gone_around_only_where_encryption_is_not_required() {
    let (fake, _, pump_, id) = one(Manner::BrokenTls).await;
    pump_.tick().await.unwrap();
    assert_eq!(state(&pump_, &id).await.0, State::Delivered);
    assert!(!fake.taken()[0].encrypted);

    let (fake, hand) = (Fake::start(Manner::BrokenTls).await, Hand::new());
    let strict = smtp(&fake.url()).starttls(StartTls::Required);
    let pump = pump(&hand, ways(vec![Arc::new(strict)])).await;
    let letter = letter("INC-1", "open", "a@example.mx");
    pump.outbox()
        .queue_all(std::slice::from_ref(&letter), hand.now())
        .await
        .unwrap();
    pump.tick().await.unwrap();
    assert_eq!(state(&pump, &letter.id()).await.0, State::Sending);
    fake.behave(Manner::Good);
    hand.forward(60);
    pump.tick().await.unwrap();
    assert!(
        fake.taken().is_empty(),
        "without STARTTLS nothing leaves either"
    );
}

#[tokio::test]
async fn required_encryption_wants_a_certificate_that_it_trusts() {
    let (acceptor, pem) = certificate();
    let fake = Fake::start(Manner::Encrypts(acceptor.clone())).await;
    let url = fake.url().replace("127.0.0.1", "localhost");
    let implicit = Fake::start(Manner::Encrypted(acceptor)).await;
    let implicit_url = implicit
        .url()
        .replace("smtp://127.0.0.1", "smtps://localhost");
    let required = || smtp(&url).starttls(StartTls::Required);
    for (relay, arrives) in [
        (required(), false),
        (required().trust(&pem).unwrap(), true),
        (smtp(&url), true),
        (smtp(&implicit_url), false),
        (smtp(&implicit_url).trust(&pem).unwrap(), true),
    ] {
        let name = format!("{relay:?}");
        let before = fake.taken().len() + implicit.taken().len();
        let hand = Hand::new();
        let pump = pump(&hand, ways(vec![Arc::new(relay)])).await;
        pump.outbox()
            .queue_all(&[letter("INC-1", "open", "a@example.mx")], hand.now())
            .await
            .unwrap();
        pump.tick().await.unwrap();
        let after = fake.taken().len() + implicit.taken().len();
        assert_eq!(after - before == 1, arrives, "{name}");
    }
    assert!(
        fake.taken()
            .iter()
            .chain(&implicit.taken())
            .all(|mail| mail.encrypted)
    );
}

#[tokio::test]
async fn what_strangers_wrote_arrives_as_one_message() {
    let (fake, hand) = (Fake::start(Manner::Good).await, Hand::new());
    let pump = pump(&hand, ways(vec![Arc::new(smtp(&fake.url()))])).await;
    let hostile = "x\r\n.\r\nMAIL FROM:<evil@x.mx>\r\nRCPT TO:<all@x.mx>\r\nDATA\r\n";
    let mut letter = letter("INC-1", "open", "a@example.mx");
    letter.subject = hostile.to_owned();
    letter.body = notify::Body::new()
        .heading(hostile)
        .pair(hostile, hostile)
        .line(".");
    pump.outbox()
        .queue_all(&[letter], hand.now())
        .await
        .unwrap();
    pump.tick().await.unwrap();
    assert_eq!(fake.taken().len(), 1);
    let senders = fake
        .commands()
        .into_iter()
        .filter(|line| line.starts_with("MAIL"));
    assert_eq!(senders.count(), 1);
}
