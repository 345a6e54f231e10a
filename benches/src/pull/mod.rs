//! ZKTeco terminals on port 4370: whether a log comes whole over a bad network, how fast it is
//! stored, and what a thousand terminals that are listened to cost.
//!
//! Terminals are simulated in this process. `read` tries the protocol alone, without satellite
//! and database; the others run satellite as a process and read `event_feed` over a connection
//! of their own.

pub(crate) mod live;
pub(crate) mod read;
mod stage;
pub(crate) mod store;
