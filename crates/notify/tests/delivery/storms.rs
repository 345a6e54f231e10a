//! Storms: five hundred letters at once, counted at the server.

use std::sync::Arc;
use std::time::Duration;

use notify::{CapRule, Outbox, State};

use crate::fake::{Fake, Manner};
use crate::support::{Hand, letter, smtp, ways, with_rule};

#[tokio::test]
async fn five_hundred_letters_make_two_mails_and_every_subject_arrives() {
    let (fake, hand) = (Fake::start(Manner::Good).await, Hand::new());
    let outbox = Outbox::in_memory().await.unwrap();
    let relays = ways(vec![Arc::new(smtp(&fake.url()))]);
    let pump = with_rule(&hand, outbox, relays, CapRule::default()).await;
    let storm: Vec<_> = (0..500)
        .map(|number| {
            let mut letter = letter(&format!("INC-2026-{number:06}"), "open", "a@example.mx");
            letter.critical = true;
            letter
        })
        .collect();
    pump.outbox().queue_all(&storm, hand.now()).await.unwrap();
    pump.tick().await.unwrap();
    assert_eq!(fake.taken().len(), 2);

    // The third place of the ten minutes, then a second kind of trouble and a straggler: the
    // first critical of its kind goes at once, the straggler waits for its place.
    hand.forward(60);
    let third = letter("INC-2026-000999", "open", "a@example.mx");
    pump.outbox().queue_all(&[third], hand.now()).await.unwrap();
    pump.tick().await.unwrap();
    assert_eq!(fake.taken().len(), 3);
    let mut other = letter("INC-2026-001000", "open", "a@example.mx");
    (other.kind, other.critical) = ("canary".to_owned(), true);
    let straggler = letter("INC-2026-001001", "open", "a@example.mx");
    pump.outbox()
        .queue_all(&[other, straggler.clone()], hand.now())
        .await
        .unwrap();
    pump.tick().await.unwrap();
    assert_eq!(fake.taken().len(), 4);
    let waiting = pump
        .outbox()
        .standing(&straggler.id())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(waiting.state, State::Queued);
    // It is held back, and that is not to be told as mail that does not leave.
    hand.forward(590);
    let figures = pump.outbox().figures(hand.now()).await.unwrap();
    assert_eq!(figures.oldest, Some(Duration::from_secs(590)));
    assert_eq!(figures.stuck, Some(Duration::ZERO));
    hand.forward(10);
    pump.tick().await.unwrap();

    let mut seen = String::new();
    for mail in fake.taken() {
        let parsed = mail_parser::MessageParser::default()
            .parse(mail.data.as_bytes())
            .unwrap();
        seen.push_str(parsed.subject().unwrap_or_default());
        seen.push_str(&parsed.body_text(0).unwrap_or_default());
    }
    for number in 0..500 {
        assert!(seen.contains(&format!("INC-2026-{number:06}")), "{number}");
    }
    assert!(seen.contains("INC-2026-001001"));
    assert_eq!(fake.taken().len(), 5);
    // A letter that went in a digest stands as delivered.
    let folded = pump
        .outbox()
        .standing(&storm[300].id())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(folded.state, State::Delivered);
}

#[tokio::test]
async fn a_recovery_mail_answers_the_digest_in_which_its_incident_was_told() {
    let (fake, hand) = (Fake::start(Manner::Good).await, Hand::new());
    let outbox = Outbox::in_memory().await.unwrap();
    let relays = ways(vec![Arc::new(smtp(&fake.url()))]);
    let pump = with_rule(&hand, outbox, relays, CapRule::default()).await;
    let storm: Vec<_> = (0..9)
        .map(|n| letter(&format!("INC-{n}"), "open", "a@example.mx"))
        .collect();
    pump.outbox().queue_all(&storm, hand.now()).await.unwrap();
    pump.tick().await.unwrap();
    hand.forward(700);
    let recovery = letter("INC-8", "closed", "a@example.mx");
    pump.outbox()
        .queue_all(&[recovery], hand.now())
        .await
        .unwrap();
    pump.tick().await.unwrap();
    let taken = fake.taken();
    assert_eq!(taken.len(), 2);
    let is_digest = |mail: &&crate::fake::Taken| {
        let parsed = mail_parser::MessageParser::default()
            .parse(mail.data.as_bytes())
            .unwrap();
        parsed
            .subject()
            .unwrap_or_default()
            .starts_with("Resumen: 9 avisos")
    };
    let digest = taken.iter().find(is_digest).unwrap();
    assert_eq!(taken[1].header("In-Reply-To"), digest.header("Message-ID"));
}
