//! A letter: what one recipient is told at one step of one incident.
//!
//! Its identity is the hash of incident, step and recipient, so that queueing the same step
//! twice after a crash makes one letter, and a letter that had to be sent twice carries the
//! same Message-ID both times.

use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::body::Body;
use crate::text::{self, Language};

/// The longest subject in characters.
pub(crate) const SUBJECT_CHARACTERS: usize = 120;

/// The longest key (incident, step, kind, name of a webhook) in bytes.
const KEY_BYTES: usize = 200;

/// By which way a letter goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Mail through one of the relays.
    Mail,
    /// An HTTP POST to a configured address.
    Webhook,
}

impl Channel {
    /// The word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        match word {
            "mail" => Some(Self::Mail),
            "webhook" => Some(Self::Webhook),
            _ => None,
        }
    }
}

/// Who gets a letter, checked when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipient {
    channel: Channel,
    address: String,
}

impl Recipient {
    /// A mail address: ASCII, at most 254 characters, no quoting, no space, no control.
    ///
    /// # Errors
    /// [`Error::Address`] when it is not one.
    pub fn mail(address: &str) -> Result<Self, Error> {
        Ok(Self {
            channel: Channel::Mail,
            address: mail_address(address)?.to_string(),
        })
    }

    /// A webhook by the name that it has in the configuration; its address and its key never
    /// reach the outbox.
    ///
    /// # Errors
    /// [`Error::Address`] when the name is empty, too long or not printable ASCII.
    pub fn webhook(name: &str) -> Result<Self, Error> {
        if name.is_empty() || name.len() > KEY_BYTES || !is_plain(name) {
            return Err(Error::address(name, "a webhook's name is printable ASCII"));
        }
        Ok(Self {
            channel: Channel::Webhook,
            address: name.to_owned(),
        })
    }

    /// By which way.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// The mail address, or the name of the webhook.
    pub fn address(&self) -> &str {
        &self.address
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Stricter than the mail library: no quoted local parts, where line breaks could hide.
pub(crate) fn mail_address(address: &str) -> Result<lettre::Address, Error> {
    let wrong = |why: &str| Error::address(address, why);
    if address.len() > 254 {
        return Err(wrong("longer than 254 characters"));
    }
    if !address.is_ascii() {
        return Err(wrong(
            "only ASCII; write a domain with accents in its xn-- form",
        ));
    }
    if !is_plain(address) || address.contains(['"', '\\', '<', '>', '(', ')', ',', ';', ':', '[']) {
        return Err(wrong("it holds a character that no plain address has"));
    }
    address.parse().map_err(|error| wrong(&format!("{error}")))
}

/// One message to one recipient. Subject and body may hold text of strangers.
#[derive(Debug, Clone)]
pub struct Letter {
    /// What it belongs to, for example `INC-2026-000123`. Letters of one incident to one
    /// recipient make one thread.
    pub incident: String,
    /// Which step of the incident this is, for example `level-2`: unique within incident and
    /// recipient.
    pub step: String,
    /// The kind of trouble, from a fixed vocabulary of the caller's: caps let the first
    /// critical letter of each kind pass.
    pub kind: String,
    /// Whether it is critical.
    pub critical: bool,
    /// Who gets it.
    pub to: Recipient,
    /// The language of what this crate adds, and of the digest into which it may go.
    pub language: Language,
    /// The subject, cut to 120 characters when it is sent.
    pub subject: String,
    /// What it says.
    pub body: Body,
}

impl Letter {
    /// The identity: 32 hexadecimal digits, the hash of incident, step and recipient.
    pub fn id(&self) -> String {
        identity(&[
            &self.incident,
            &self.step,
            self.to.channel.word(),
            &self.to.address,
        ])
    }

    pub(crate) fn shown_subject(&self) -> String {
        text::short(&self.subject, SUBJECT_CHARACTERS)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        for (name, key) in [
            ("incident", &self.incident),
            ("step", &self.step),
            ("kind", &self.kind),
        ] {
            if key.is_empty() || key.len() > KEY_BYTES || !is_plain(key) {
                let key = text::short(key, 60);
                return Err(Error::Letter(format!(
                    "'{key}' as {name}: 1 to {KEY_BYTES} printable ASCII characters"
                )));
            }
        }
        Ok(())
    }
}

/// A hash over parts, each with its length before it, so that no two lists of parts meet.
pub(crate) fn identity(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize()[..16])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_depends_on_incident_step_and_recipient_and_on_nothing_else() {
        let letter = |incident: &str, step: &str, to: &str, subject: &str| Letter {
            incident: incident.to_owned(),
            step: step.to_owned(),
            kind: "stall".to_owned(),
            critical: true,
            to: Recipient::mail(to).unwrap(),
            language: Language::Spanish,
            subject: subject.to_owned(),
            body: Body::new(),
        };
        let first = letter("INC-1", "open", "a@x.mx", "one").id();
        assert_eq!(first, letter("INC-1", "open", "a@x.mx", "two").id());
        assert_ne!(first, letter("INC-1", "open", "b@x.mx", "one").id());
        assert_ne!(first, letter("INC-1o", "pen", "a@x.mx", "one").id());
        // The identity is stored in outboxes and in people's mailboxes: it must not change.
        assert_eq!(first, identity(&["INC-1", "open", "mail", "a@x.mx"]));
        assert_eq!(first.len(), 32);
    }

    #[test]
    fn addresses_that_could_smuggle_are_refused() {
        for bad in [
            "",
            "a",
            "a@",
            "a@x.mx\r\nRCPT TO:<b@x.mx>",
            "\"a\\\nb\"@x.mx",
            "a b@x.mx",
            "<a@x.mx>",
            "a@x.mx,b@x.mx",
            "ñ@x.mx",
            "a\0@x.mx",
        ] {
            assert!(Recipient::mail(bad).is_err(), "{bad:?}");
        }
        assert!(Recipient::mail("soporte+n1@sub.example.mx").is_ok());
        assert!(Recipient::webhook("a\nb").is_err());
    }
}
