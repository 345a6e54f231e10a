//! The shell of a process: what every daemon of this house needs before its own work begins.
//!
//! Configuration with errors that name file, line and key; logging that no terminal can
//! forge lines into; signals; the conversation with systemd; the judgement whether work
//! moves; and the orderly end. It is shared by all daemons, so it knows nothing of events,
//! terminals or databases, and none of ours is among its dependencies.

pub mod actor;
pub mod config;
pub mod drain;
pub mod exit;
pub mod logging;
pub mod owner;
pub mod progress;
pub mod signals;
pub mod supervisor;
