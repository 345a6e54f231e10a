//! What can be wrong with what a caller hands in, or with the outbox's file.
//!
//! Failures of relays are not here: they are the daily bread of the pump and end in words
//! beside the letter, never in an error of a caller.

use crate::text;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a usable address of a person or name of a webhook.
    #[error("'{address}' cannot be written to: {why}")]
    Address {
        /// The address, made fit to be shown.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// Not a usable relay or webhook.
    #[error("'{relay}' cannot be used: {why}")]
    Relay {
        /// The relay, made fit to be shown; never with a password.
        relay: String,
        /// What is wrong.
        why: String,
    },
    /// A letter that cannot be queued or written.
    #[error("the letter cannot be written: {0}")]
    Letter(String),
    /// The outbox's file.
    #[error("the outbox: {0}")]
    Database(#[from] sqlx::Error),
}

impl Error {
    pub(crate) fn address(address: &str, why: &str) -> Self {
        Self::Address {
            address: text::short(address, 80),
            why: why.to_owned(),
        }
    }

    pub(crate) fn relay(relay: &str, why: &str) -> Self {
        Self::Relay {
            relay: text::short(relay, 120),
            why: why.to_owned(),
        }
    }
}
