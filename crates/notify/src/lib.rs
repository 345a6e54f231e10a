//! Mail and webhooks that reach a person, with a durable outbox.
//!
//! ```text
//! caller's transaction ──▶ Outbox::queue ──▶ [ SQLite ] ──▶ Pump ──▶ Relay (SMTP), Webhook
//!   state + letters                          caps, digests    tries, failover, rests
//! ```
//!
//! - [`Letter`]: what one recipient is told at one step of an incident, from a [`Body`] that
//!   makes plain text and HTML. Text of strangers is safe in every field.
//! - [`Outbox`]: letters in tables of the caller's own SQLite file, queued inside the caller's
//!   transaction. At least once; the Message-ID stays the same, and letters of one incident
//!   make a thread.
//! - [`Pump`]: delivers with [`Pump::run`], or [`Pump::tick`] under a simulated clock. Tried
//!   after 5, 15, 30, 60 seconds, every 2 minutes for an hour, every 15 minutes, for 5 days;
//!   then given up with an error in the log, in [`Figures`] and in [`Outbox::given_up`].
//! - [`CapRule`]: at most 3 mails to one recipient in 10 minutes, the rest as one digest; the
//!   first critical letter of each kind always passes.
//! - [`SmtpRelay`], [`Webhook`]: the ways out. Several relays in order; one that fails rests.
//! - [`AckLink`]: links that say "I am on it", signed for one incident and one contact.
//! - [`send_once`]: for programs that have one thing to say.
//!
//! This crate knows nothing of what is watched. It never drops a letter in silence, never
//! writes a password into a log, and never lets a text become a header, a command or markup.

mod ack;
mod body;
mod cap;
mod digest;
mod error;
mod imap;
mod letter;
mod mime;
mod once;
mod outbox;
mod pump;
mod relay;
mod round;
mod schedule;
mod smtp;
pub mod text;
mod tls;
mod webhook;

pub use ack::{AckLink, BadLink};
pub use body::Body;
pub use cap::{CapRule, History, Plan, Waiting, plan};
pub use error::Error;
pub use imap::ImapBox;
pub use letter::{Channel, Letter, Recipient};
/// A mail address that has been checked.
pub use lettre::Address;
pub use mime::{Sender, Wire};
pub use once::send_once;
pub use outbox::{Figures, Outbox, Standing, State};
pub use pump::{Clock, Pump, Ways};
pub use relay::{Brink, Failed, Relay, Whose};
pub use schedule::{Next, next};
pub use smtp::{SmtpRelay, StartTls};
pub use text::Language;
pub use webhook::{Webhook, signature};
