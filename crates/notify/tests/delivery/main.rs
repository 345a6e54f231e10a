//! Letters from the outbox to servers that behave well, badly, or not at all.
//!
//! One test program, so that its parts share the fake server; each file holds one family of
//! promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod fake;
mod faults;
mod kill;
mod outage;
mod real_server;
mod storms;
mod support;
mod threads;
mod webhook;
