//! For simple programs: queue these letters, deliver them now, and say in words how it went.
//!
//! What is not delivered in time stays in the outbox, so with a file a later run or a running
//! pump goes on; with an outbox in memory that was all.

use std::time::Duration;

use crate::Error;
use crate::letter::Letter;
use crate::outbox::{Standing, State};
use crate::pump::Pump;
use crate::text::Language;

/// Queues the letters and works until each is delivered or given up, or `patience` is over.
/// Answers where each stands, in their order. Patience below five seconds means one try. A
/// letter that the outbox knows already is not sent again: give each run a step of its own.
///
/// # Errors
/// [`Error::Letter`] for unusable keys, [`Error::Database`].
pub async fn send_once(
    pump: &Pump,
    letters: &[Letter],
    patience: Duration,
) -> Result<Vec<Standing>, Error> {
    pump.outbox().queue_all(letters, pump.now()).await?;
    let end = tokio::time::Instant::now() + patience;
    loop {
        pump.tick().await?;
        let mut standings = Vec::with_capacity(letters.len());
        for letter in letters {
            standings.extend(pump.outbox().standing(&letter.id()).await?);
        }
        let open = |it: &Standing| matches!(it.state, State::Queued | State::Sending);
        let late = tokio::time::Instant::now() >= end;
        if late || !standings.iter().any(open) {
            return Ok(standings);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

impl Standing {
    /// Where it stands, as one line for a person.
    pub fn words(&self, language: Language) -> String {
        let to = &self.recipient;
        let error = self.last_error.as_deref().unwrap_or("-");
        let relay = self.relay.as_deref().unwrap_or("-");
        let tries = self.attempts;
        match self.state {
            State::Delivered => language.pick(
                format!("{to}: entregado a {relay}"),
                format!("{to}: accepted by {relay}"),
            ),
            State::Failed => language.pick(
                format!("{to}: NO ENTREGADO: {error}"),
                format!("{to}: NOT DELIVERED: {error}"),
            ),
            State::Sending => language.pick(
                format!("{to}: aún no entregado tras {tries} intentos: {error}"),
                format!("{to}: not delivered yet after {tries} tries: {error}"),
            ),
            State::Queued => language.pick(
                format!("{to}: en espera, para no enviar demasiados correos a la vez"),
                format!("{to}: held back, so as not to send too many mails at once"),
            ),
        }
    }
}
