//! ZKTeco's standalone protocol on port 4370: what a terminal says that must be dialled.
//!
//! ```text
//! we                                        terminal
//! 1000 connect                           →  2000, session id      (2005: a key is wanted)
//! 1102 authenticate                      →  2000                  (2005: a wrong one)
//! 1002 enable                            →  2000
//! 11 option, 1100 version, 201 clock, 50 sizes
//! 1503 prepare, 1504 windows, 1502 free  →  the user table, the attendance log
//! 500 register                           →  2000, then 500 for each punch, each acknowledged
//! 201 clock, when it is quiet            →  2000
//! 1001 exit                              →  2000
//! ```
//!
//! The way of a visit: [`Session::new`] over a connection that was just made; then
//! [`Session::next`] says what to do (send, wait, take a [`Delivery`], close) and
//! [`Session::heard`] takes what was read. [`Log::records`](attlog::Log::records) and
//! [`Realtime`] become events in [`Normalizer`], with the identity that a pushed record of the
//! same punch has.
//!
//! ```
//! use event::Millis;
//! use zkteco_pull::{Action, Session, SessionOptions};
//!
//! let mut session = Session::new(SessionOptions::default(), Millis(0));
//! let Action::Send(hello) = session.next(Millis(0)) else { panic!() };
//! assert_eq!(&hello[..], b"PP\x82\x7d\x08\0\0\0\xe8\x03\x17\xfc\0\0\0\0");
//! assert_eq!(session.next(Millis(0)), Action::Wait(Millis(5_000)));
//! ```
//!
//! `SPEC.md` beside this file holds the facts with their sources, `vectors/` the bytes that show
//! them. This crate never does I/O, never reads a clock and never panics on what a peer sends.
//! It has no command that writes people, clears a log, opens a door or locks a terminal.

pub mod attlog;
mod bulk;
mod comm_key;
pub mod commands;
pub mod error;
pub mod framing;
mod known;
mod normalize;
mod options;
pub mod outline;
pub mod packet;
pub mod realtime;
mod recognise;
mod session;
mod sizes;
mod steps;
mod talk;
pub mod time;
pub mod users;

pub use attlog::{Layout, Log, Punch, Who};
pub use comm_key::CommKey;
pub use error::{Error, Fault, Retry, Unread};
pub use known::Known;
pub use normalize::{Context, Normalizer, UNKNOWN_LENGTH, reread};
pub use options::Info;
pub use realtime::Realtime;
pub use recognise::Foreign;
pub use session::Session;
pub use sizes::Sizes;
pub use steps::ASKED;
pub use talk::{Action, Ask, Counters, Delivery, Extent, SessionOptions, Transport, VISIT};
pub use users::UserList;
