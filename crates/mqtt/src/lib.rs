//! Messages to and from an MQTT 3.1.1 broker, none forgotten before it is safe on the other side.
//!
//! The only room that knows the client library. It speaks over a stream that somebody else has
//! dialled, and so decides nothing about names, addresses and certificates; it knows no event, no
//! cursor and no database. A connection that failed is never used again: whoever holds messages
//! whose acknowledgements did not come publishes all of them once more over a new one, and a broker
//! brings again what was not acknowledged. That [`Publisher::publish`] says yes before the broker
//! has acknowledged each message, or that a message is acknowledged before
//! [`Subscriber::acknowledge`], must never happen.

mod filter;
mod line;
mod publisher;
mod sieve;
mod subscriber;
mod template;

pub use filter::{BadFilter, Filter};
pub use line::{Failed, Options, Stream};
pub use publisher::{Message, Publisher};
pub use subscriber::{Delivery, Subscriber};
pub use template::{BadTemplate, Names, Template};
