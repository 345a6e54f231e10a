//! The round trip: a test letter goes out by the relays that alerts use, and must come back in a
//! mailbox of its own.
//!
//! A relay that takes every letter and delivers none is seen by nothing else. The letter is sent
//! from memory, beside the outbox, so that neither delays the other. A letter that no relay takes
//! and a mailbox that cannot be read make this look unknown: the first is told by the relays'
//! own look, and the second says nothing about alerts. Only "taken, and not there" is wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use notify::{
    Body, CapRule, ImapBox, Language, Letter, Outbox, Pump, Recipient, State, Ways, send_once,
};

use crate::config::{Config, RoundTrip};
use crate::run::ways;
use crate::words::pick;
use crate::{Fact, Kind, Look, Observation, Phrase, Round, Subject, Trouble, Value};

/// What every test letter has in its subject; letters with it are removed from the mailbox.
const MARK: &str = "sentinel-round-trip";
/// How long the relays may take.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// The pause between two visits to the mailbox grows from here, doubled each time, up to this.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// For one visit.
const VISIT_WITHIN: Duration = Duration::from_secs(10);

/// See the head of this module.
pub struct RoundTripLook {
    own: RoundTrip,
    mailbox: ImapBox,
    to: Recipient,
    ways: Ways,
    language: Language,
}

impl RoundTripLook {
    /// The look that the configuration asks for, if it does.
    ///
    /// # Errors
    /// The mailbox or a relay cannot be used, which the configuration's check rules out.
    pub fn of(config: &Config) -> Option<anyhow::Result<Self>> {
        let own = config.mail.as_ref()?.round_trip.clone()?;
        Some(Self::new(config, own))
    }

    fn new(config: &Config, own: RoundTrip) -> anyhow::Result<Self> {
        let (user, password) = &own.login;
        let mut mailbox = ImapBox::new(&own.url, user, password.clone())?.deadline(VISIT_WITHIN);
        if let Some(pem) = &own.authorities {
            mailbox = mailbox.trust(pem)?;
        }
        Ok(Self {
            to: Recipient::mail(&own.address)?,
            ways: ways(config)?,
            language: config.language,
            mailbox,
            own,
        })
    }

    fn subject(&self) -> Subject {
        let relay = Some(self.mailbox.name().to_owned());
        Subject::Mail { relay }
    }

    /// Sends one; answers with the words by which it is found, and who took it.
    async fn send(&self, now: Timestamp) -> Result<(String, String), String> {
        let token = format!("{MARK}-{:x}", now.as_nanosecond());
        let explained = pick(
            self.language,
            "Correo de prueba de Sentinela; se borra solo. Nadie tiene que hacer nada.",
            "A test letter of sentinel, which removes it by itself. Nobody has to do anything.",
        );
        let letter = Letter {
            incident: MARK.to_owned(),
            step: token.clone(),
            kind: MARK.to_owned(),
            critical: false,
            to: self.to.clone(),
            language: self.language,
            subject: token.clone(),
            body: Body::new().line(explained),
        };
        let sent = async {
            let outbox = Outbox::in_memory().await?;
            let clock = Arc::new(Timestamp::now);
            let pump = Pump::with(outbox, self.ways.clone(), CapRule::none(), clock, 1).await?;
            send_once(&pump, &[letter], SEND_WITHIN).await
        };
        let late = async {
            tokio::time::sleep(2 * SEND_WITHIN).await;
            Err(format!("no answer within {} s", SEND_WITHIN.as_secs()))
        };
        let standings = tokio::select! {
            sent = sent => sent.map_err(|error: notify::Error| error.to_string()),
            late = late => late,
        }?;
        match standings.into_iter().next() {
            Some(it) if it.state == State::Delivered => Ok((token, it.relay.unwrap_or_default())),
            Some(it) => Err(it.last_error.unwrap_or_default()),
            None => Err(String::new()),
        }
    }

    /// Visits the mailbox until the letter is there or its time is over; the last words of a
    /// mailbox that could not be read are an error.
    async fn await_it(&self, token: &str, sent: Instant) -> Result<bool, String> {
        let mut pause = PAUSES.0;
        loop {
            let found = self.mailbox.take(token, MARK).await;
            if found == Ok(true) || sent.elapsed() >= self.own.within {
                return found;
            }
            let left = self.own.within.saturating_sub(sent.elapsed());
            tokio::time::sleep(pause.min(left)).await;
            pause = (2 * pause).min(PAUSES.1);
        }
    }
}

#[async_trait]
impl Look for RoundTripLook {
    fn name(&self) -> &str {
        "round_trip"
    }

    fn every(&self) -> Duration {
        self.own.every
    }

    fn deadline(&self) -> Duration {
        self.own.within + 2 * SEND_WITHIN + VISIT_WITHIN + Duration::from_secs(5)
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![self.subject()]
    }

    async fn look(&self, now: Timestamp) -> Round {
        let subject = self.subject();
        let unknown = |phrase: Phrase, words: String| {
            let why = phrase.with([Value::heard(words)]);
            Round::one(Observation::unknown(self.subject(), now, why))
        };
        let (token, relay) = match self.send(now).await {
            Ok(sent) => sent,
            Err(words) => return unknown(Phrase::LetterNotTaken, words),
        };
        let sent = Instant::now();
        Round::one(match self.await_it(&token, sent).await {
            Ok(true) => Observation::fine(subject, now)
                .number("round_trip_seconds", sent.elapsed().as_secs_f64()),
            Ok(false) => {
                let within = Value::Seconds(self.own.within.as_secs_f64());
                let trouble = Trouble::new(Kind::MailRoundTrip)
                    .fact(Fact::Expected, within)
                    .fact(Fact::Place, Value::heard(self.mailbox.name()))
                    .fact(Fact::Detail, Value::heard(relay));
                Observation::wrong(subject, now, vec![trouble])
            }
            Err(words) => return unknown(Phrase::BoxNotRead, words),
        })
    }
}
