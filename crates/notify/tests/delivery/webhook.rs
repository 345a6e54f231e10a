//! The second channel: a signed POST, on the same schedule as mail.

use std::sync::Arc;

use daemon::config::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use notify::{Recipient, State, Webhook};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Hand, letter, pump, ways};

/// Takes one request for each status, answers with it, and hands out what it read.
async fn receiver(statuses: &'static [u16]) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut requests = Vec::new();
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"}") {
                let mut some = [0; 4096];
                let read = stream.read(&mut some).await.unwrap();
                bytes.extend_from_slice(&some[..read]);
            }
            requests.push(String::from_utf8(bytes).unwrap());
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        requests
    });
    (url, task)
}

#[tokio::test]
async fn a_webhook_is_posted_signed_and_tried_again_with_the_same_identity() {
    let (url, task) = receiver(&[500, 200]).await;
    let hand = Hand::new();
    let mut ways = ways(vec![]);
    let hook = Webhook::new("chat", &url, Secret::new("Jefe".to_owned())).unwrap();
    ways.webhooks.push(Arc::new(hook));
    let pump = pump(&hand, ways).await;
    let mut letter = letter("INC-1", "open", "a@example.mx");
    letter.to = Recipient::webhook("chat").unwrap();
    letter.subject = "Reloj \"1\"\r\n\0".to_owned();
    pump.outbox()
        .queue_all(std::slice::from_ref(&letter), hand.now())
        .await
        .unwrap();
    pump.tick().await.unwrap();
    hand.forward(5);
    pump.tick().await.unwrap();
    let standing = pump.outbox().standing(&letter.id()).await.unwrap().unwrap();
    assert_eq!((standing.state, standing.attempts), (State::Delivered, 2));
    assert_eq!(standing.relay.as_deref(), Some("chat"));

    let requests = task.await.unwrap();
    for request in &requests {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("x-notify-id: {}\r\n", letter.id())));
        let signature = head
            .lines()
            .find_map(|line| line.strip_prefix("x-notify-signature: t="));
        let (time, tag) = signature.unwrap().split_once(",v1=").unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        mac.update(format!("{time}.{body}").as_bytes());
        let wanted: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(tag, wanted);
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(json["incident"], "INC-1");
        assert_eq!(json["subject"], "Reloj \"1\"␍␊␀");
    }
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn a_webhook_that_refuses_for_good_or_is_unknown_stops_no_mail() {
    let (url, task) = receiver(&[410]).await;
    let (fake, hand) = (
        crate::fake::Fake::start(crate::fake::Manner::Good).await,
        Hand::new(),
    );
    let mut ways = ways(vec![Arc::new(crate::support::smtp(&fake.url()))]);
    let hook = Webhook::new("gone", &url, Secret::new("k".to_owned())).unwrap();
    ways.webhooks.push(Arc::new(hook));
    let pump = pump(&hand, ways).await;
    let mut letters = ["gone", "unknown", "mail"].map(|step| letter("INC-1", step, "a@example.mx"));
    letters[0].to = Recipient::webhook("gone").unwrap();
    letters[1].to = Recipient::webhook("unknown").unwrap();
    pump.outbox().queue_all(&letters, hand.now()).await.unwrap();
    pump.tick().await.unwrap();
    let mut states = Vec::new();
    for letter in &letters {
        states.push(
            pump.outbox()
                .standing(&letter.id())
                .await
                .unwrap()
                .unwrap()
                .state,
        );
    }
    assert_eq!(states, [State::Failed, State::Sending, State::Delivered]);
    assert_eq!(task.await.unwrap().len(), 1);
}
