//! Letters of one incident make one thread, and a letter queued twice goes once.

use std::sync::Arc;

use notify::{Outbox, send_once};
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::fake::{Fake, Manner};
use crate::support::{Hand, letter, pump, smtp, ways, with_rule};

#[tokio::test]
async fn later_letters_of_an_incident_answer_the_recipients_first_one() {
    let (fake, hand) = (Fake::start(Manner::Good).await, Hand::new());
    let pump = pump(&hand, ways(vec![Arc::new(smtp(&fake.url()))])).await;
    let first = letter("INC-1", "open", "a@example.mx");
    for next in [
        &first,
        &letter("INC-1", "closed", "a@example.mx"),
        &letter("INC-2", "open", "a@example.mx"),
    ] {
        pump.outbox()
            .queue_all(std::slice::from_ref(next), hand.now())
            .await
            .unwrap();
        pump.tick().await.unwrap();
    }
    let taken = fake.taken();
    let root = Some(format!("<{}@example.mx>", first.id()));
    assert_eq!(taken[0].header("In-Reply-To"), None);
    assert_eq!(taken[1].header("In-Reply-To"), root);
    assert_eq!(taken[1].header("References"), root);
    assert_eq!(taken[2].header("In-Reply-To"), None);
}

#[tokio::test]
async fn a_letter_is_queued_with_the_callers_state_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sentinel.db");
    let hand = Hand::new();
    let outbox = Outbox::open(&path).await.unwrap();
    let options = SqliteConnectOptions::new().filename(&path);
    let mut own = sqlx::SqliteConnection::connect_with(&options)
        .await
        .unwrap();
    sqlx::query("CREATE TABLE incident (id TEXT)")
        .execute(&mut own)
        .await
        .unwrap();
    let letter = letter("INC-1", "open", "a@example.mx");

    let mut transaction = own.begin().await.unwrap();
    sqlx::query("INSERT INTO incident VALUES ('INC-1')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    assert!(
        Outbox::queue(&mut transaction, &letter, hand.now())
            .await
            .unwrap()
    );
    transaction.rollback().await.unwrap();
    assert_eq!(outbox.figures(hand.now()).await.unwrap().waiting, 0);

    for new in [true, false] {
        let mut transaction = own.begin().await.unwrap();
        assert_eq!(
            Outbox::queue(&mut transaction, &letter, hand.now())
                .await
                .unwrap(),
            new
        );
        transaction.commit().await.unwrap();
    }
    hand.forward(90);
    let figures = outbox.figures(hand.now()).await.unwrap();
    assert_eq!(
        (figures.waiting, figures.oldest.unwrap().as_secs()),
        (1, 90)
    );
}

#[tokio::test]
async fn a_simple_program_hears_in_words_how_it_went() {
    let fake = Fake::start(Manner::Refuses("gone@example.mx")).await;
    let hand = Hand::new();
    let pump = pump(&hand, ways(vec![Arc::new(smtp(&fake.url()))])).await;
    let letters = ["a@example.mx", "gone@example.mx"].map(|to| letter("test", "1", to));
    let went = send_once(&pump, &letters, std::time::Duration::ZERO)
        .await
        .unwrap();
    let words: Vec<String> = went
        .iter()
        .map(|it| it.words(notify::Language::Spanish))
        .collect();
    assert_eq!(
        words[0],
        format!("a@example.mx: entregado a {}", fake.url())
    );
    assert!(
        words[1].starts_with("gone@example.mx: NO ENTREGADO: "),
        "{}",
        words[1]
    );
    assert!(words[1].contains("no such user"));
}

#[tokio::test]
async fn only_what_ended_long_ago_is_deleted() {
    let (fake, hand) = (Fake::start(Manner::Good).await, Hand::new());
    let outbox = Outbox::in_memory().await.unwrap();
    let relays = ways(vec![Arc::new(smtp(&fake.url()))]);
    let pump = with_rule(&hand, outbox.clone(), relays, notify::CapRule::none()).await;
    let old = letter("INC-1", "open", "a@example.mx");
    outbox
        .queue_all(std::slice::from_ref(&old), hand.now())
        .await
        .unwrap();
    pump.tick().await.unwrap();
    let waits = letter("INC-2", "open", "a@example.mx");
    outbox
        .queue_all(std::slice::from_ref(&waits), hand.now())
        .await
        .unwrap();
    hand.forward(100);
    assert_eq!(outbox.prune(hand.now()).await.unwrap(), 1);
    assert!(outbox.standing(&old.id()).await.unwrap().is_none());
    assert!(outbox.standing(&waits.id()).await.unwrap().is_some());
    assert_eq!(outbox.figures(hand.now()).await.unwrap().sent, 1);
}
