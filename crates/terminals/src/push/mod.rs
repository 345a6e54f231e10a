//! The family of ZKTeco push terminals, attendance dialect: HTTP client, text tables, one
//! server to talk to.
//!
//! A terminal's behaviour is in `terminal` (what next?) and `upload` (what an answer means for
//! its records); the bytes are made in `request` and `attlog`, read in `options` and
//! `commands`, and travel through the shared `http`. The rules are those of the old firmware's client,
//! because a server that satisfies it satisfies the newer ones. Nothing here may look at
//! anything of the server but its replies.

mod attlog;
mod commands;
mod habits;
mod options;
mod request;
mod terminal;
mod upload;

use std::sync::Arc;

use crate::fleet::Shared;
use terminal::Terminal;

// Terminals in access-control mode spell their requests alike.
pub(crate) use habits::Habits;
pub(crate) use request::Spelling;

/// Runs the terminal in that place of the fleet until the fleet ends.
pub(crate) async fn run(shared: Arc<Shared>, place: u32) {
    Terminal::new(shared, place).run().await;
}
