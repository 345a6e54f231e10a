//! The access-control dialect ("A&C PUSH", Security PUSH 3.x): what only its terminals say.
//!
//! A terminal registers, asks its configuration, and sends each event at once as `rtlog`; what
//! it could not send, and what it is asked for, comes as rows of its `transaction` table. Both
//! are the same event under other names (`line`), numbered by `index` (`chain`). Its door state
//! (`state`) is no event. Requests and replies share the rooms of the attendance dialect.

pub(crate) mod block;
pub(crate) mod chain;
pub mod codes;
pub(crate) mod line;
mod ranges;
pub(crate) mod state;
