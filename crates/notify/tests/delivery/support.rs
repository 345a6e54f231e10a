//! What the tests share: letters, pumps, a clock that is moved by hand, certificates.
//!
//! Nothing here knows how a pump works inside; all of it uses the crate's public face.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use notify::{Body, CapRule, Clock, Language, Letter, Outbox, Pump, Recipient, Relay, Sender};
use notify::{SmtpRelay, Ways};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A clock that stands until it is moved.
#[derive(Clone)]
pub(crate) struct Hand(Arc<AtomicI64>);

impl Hand {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_800_000_000_000)))
    }

    pub(crate) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
    }

    pub(crate) fn clock(&self) -> Clock {
        let hand = self.clone();
        Arc::new(move || hand.now())
    }
}

pub(crate) fn letter(incident: &str, step: &str, to: &str) -> Letter {
    Letter {
        incident: incident.to_owned(),
        step: step.to_owned(),
        kind: "stall".to_owned(),
        critical: false,
        to: Recipient::mail(to).unwrap(),
        language: Language::Spanish,
        subject: format!("{incident} Sin avance en «Querétaro»"),
        body: Body::new().pair("Desde", "09:15").line(step),
    }
}

pub(crate) fn ways(relays: Vec<Arc<dyn Relay>>) -> Ways {
    Ways {
        from: Sender::new("sentinela@example.mx", "Sentinela").unwrap(),
        relays,
        webhooks: Vec::new(),
    }
}

/// A relay of that address that does not wait long.
pub(crate) fn smtp(url: &str) -> SmtpRelay {
    let deadline = Duration::from_millis(600);
    SmtpRelay::new(url).unwrap().deadline(deadline)
}

/// A pump without caps over an outbox in memory.
pub(crate) async fn pump(hand: &Hand, ways: Ways) -> Pump {
    let outbox = Outbox::in_memory().await.unwrap();
    with_rule(hand, outbox, ways, CapRule::none()).await
}

pub(crate) async fn with_rule(hand: &Hand, outbox: Outbox, ways: Ways, rule: CapRule) -> Pump {
    Pump::with(outbox, ways, rule, hand.clock(), 4)
        .await
        .unwrap()
}

/// A certificate for `127.0.0.1` and `localhost`: a server with it, and the PEM to trust.
pub(crate) fn certificate() -> (TlsAcceptor, String) {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

/// Says loudly that a test could not do its work: past the test runner, which keeps what
/// passing tests print to itself.
pub(crate) fn skipped(test: &str, reason: &str) {
    use std::io::Write as _;
    let line = format!("\n!!!! SKIPPED !!!! {test} did NOT run: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
