//! The family of ZKTeco terminals in access-control mode: they register, send each event at once,
//! keep it in a log that can be queried, and number it.
//!
//! `terminal` decides what to do next, `answers` carries out commands, `words` writes and reads
//! bytes, `group` is what a scenario says. An event is forgotten only when its upload was
//! answered in the exact words that the manual asks for, and only after its ledger line is
//! durable. Some events are withheld on purpose: they stand in the log with their number and are
//! never sent by themselves, so that a server has to notice and to ask. Nothing here looks at
//! anything of the server but its replies.

mod answers;
mod group;
mod terminal;
mod words;

use std::sync::Arc;

use crate::fleet::Shared;
use terminal::Terminal;

pub use group::AccessGroup;

/// Runs the terminal in that place of that group until the fleet ends.
pub(crate) async fn run(shared: Arc<Shared>, group: AccessGroup, place: u32) {
    Terminal::new(shared, group, place).run().await;
}
