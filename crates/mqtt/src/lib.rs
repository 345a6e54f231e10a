//! Messages to an MQTT 3.1.1 broker, each known to have arrived before its sender forgets it.
//!
//! The only room that knows the client library. It speaks over a stream that somebody else has
//! dialled, and so decides nothing about names, addresses and certificates; it knows no event, no
//! cursor and no database. A connection that failed is never used again: whoever holds messages
//! whose acknowledgements did not come publishes all of them once more over a new one. That
//! [`Publisher::publish`] says yes before the broker has acknowledged each message must never happen.

mod publisher;
mod template;

pub use publisher::{Failed, Message, Options, Publisher, Stream};
pub use template::{BadTemplate, Names, Template};
