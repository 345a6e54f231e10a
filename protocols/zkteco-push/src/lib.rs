//! ZKTeco's push protocol (iclock, ADMS), attendance dialect: what a terminal says over HTTP,
//! and what it wants to hear.
//!
//! ```text
//! terminal                                              we
//! GET  /iclock/cdata?SN=…&options=all&pushver=…   →     option block        Ask::Handshake
//! POST /iclock/cdata?SN=…&table=options           →     OK                  Ask::Upload
//! GET  /iclock/getrequest?SN=…&INFO=…             →     OK (no commands)    Ask::Poll
//! POST /iclock/cdata?SN=…&table=ATTLOG&Stamp=…    →     OK: n               Ask::Upload
//! POST /iclock/cdata?SN=…&table=OPERLOG&Stamp=…   →     OK: n               Ask::Upload
//! POST /iclock/fdata?SN=…&table=ATTPHOTO          →     OK                  Ask::Upload
//! POST /iclock/devicecmd?SN=…                     →     OK                  Ask::CommandResults
//! GET  /iclock/ping?SN=…                          →     OK                  Ask::Ping
//! ```
//!
//! The way of one request: [`route`] says what is asked and by whom; for an upload
//! [`read_upload`] turns the body into events and quarantine (or [`LineCounter`] counts a body
//! that is not kept); when the caller has committed them, [`Reply::stored`] is the answer. A
//! terminal takes any reply of status 200 that contains the letters `OK` as "safe with you,
//! forget it", so every other answer is a [`Refusal`], none of which contains them.
//!
//! `SPEC.md` beside this file holds the facts with their sources, `vectors/` the bytes that
//! show them. This crate never does I/O, never reads a clock and never panics on what a peer
//! sends. The access-control dialect is recognised by name ([`Ask::Access`]) and not read.

mod attlog;
pub mod codes;
mod command;
mod error;
mod fields;
mod normalize;
mod operlog;
mod options;
mod query;
mod redact;
mod reply;
mod request;
mod stamp;
mod table;
mod text;
mod upload;

pub use command::{CommandResult, parse_results};
pub use error::RouteError;
pub use options::OptionBlock;
pub use reply::{Refusal, Reply};
pub use request::{Ask, Head, Hello, Info, Request, Upload, route};
pub use stamp::{BadStamp, Stamp};
pub use table::Table;
pub use upload::{Context, LineCounter, Reading, read_upload};
