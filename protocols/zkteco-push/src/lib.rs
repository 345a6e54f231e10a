//! ZKTeco's push protocol (iclock, ADMS), attendance and access dialect: what a terminal says
//! over HTTP, and what it wants to hear.
//!
//! ```text
//! terminal, T&A PUSH                                    we
//! GET  /iclock/cdata?SN=…&options=all&pushver=…   →     option block        Ask::Handshake
//! POST /iclock/cdata?SN=…&table=options           →     OK                  Ask::Upload
//! GET  /iclock/getrequest?SN=…&INFO=…             →     OK, or commands     Ask::Poll
//! POST /iclock/cdata?SN=…&table=ATTLOG&Stamp=…    →     OK: n               Ask::Upload
//! POST /iclock/cdata?SN=…&table=OPERLOG&Stamp=…   →     OK: n               Ask::Upload
//! POST /iclock/fdata?SN=…&table=ATTPHOTO          →     OK                  Ask::Upload
//! POST /iclock/devicecmd?SN=…                     →     OK                  Ask::CommandResults
//! GET  /iclock/ping?SN=…                          →     OK                  Ask::Ping
//!
//! terminal, A&C PUSH                                    we
//! GET  /iclock/cdata?SN=…&DeviceType=acc          →     OK, or registry=ok  Ask::Handshake
//! POST /iclock/registry?SN=…                      →     RegistryCode=…      Ask::Registry
//! POST /iclock/push?SN=…                          →     configuration       Ask::Configuration
//! GET  /iclock/rtdata?SN=…&type=time              →     DateTime=…          Ask::PackedTime
//! POST /iclock/cdata?SN=…&table=rtlog             →     OK                  Ask::Upload
//! POST /iclock/cdata?SN=…&table=rtstate           →     OK                  Ask::Upload
//! POST /iclock/cdata?SN=…&table=tabledata&tablename=…  →  <table>=n         Ask::Upload
//! POST /iclock/querydata?SN=…&cmdid=…             →     <table>=n, or OK    Ask::Upload
//! ```
//!
//! The way of one request: [`route`] says what is asked and by whom; for an upload
//! [`read_upload`] turns the body into events and quarantine (or [`LineCounter`] counts a body
//! that is not kept); when the caller has committed them, [`Reply::stored`] is the answer. A
//! terminal takes any reply of status 200 that contains the letters `OK` as "safe with you,
//! forget it", so every other answer is a [`Refusal`], none of which contains them.
//!
//! Which dialect a terminal speaks is told by what it does ([`Dialect::shown_by`]). What it may
//! be told to do is an [`Order`]; text that is none never reaches a terminal.
//!
//! `SPEC.md` beside this file holds the facts with their sources, `vectors/` the bytes that
//! show them. This crate never does I/O, never reads a clock and never panics on what a peer
//! sends.

mod access;
mod attlog;
pub mod codes;
mod command;
mod dialect;
mod disguise;
mod error;
mod fields;
mod normalize;
mod operlog;
mod options;
mod packed;
mod query;
mod redact;
mod reply;
mod request;
mod stamp;
mod table;
mod text;
mod upload;

pub use access::block::{AccessBlock, registry_code};
pub use access::chain::{IndexChain, MAX_INDEX, Place, Question};
pub use access::codes as access_codes;
pub use access::state::{DoorState, Leaf};
pub use command::{
    Class, CommandResult, Denied, FORMS, Form, Order, Outcome, Policy, Window, parse_results,
    result_name,
};
pub use dialect::Dialect;
pub use disguise::Disguise;
pub use error::{FAULTS, RouteError};
pub use options::{OptionBlock, read_settings};
pub use packed::{pack, unpack};
pub use reply::{Refusal, Reply};
pub use request::{Acknowledge, Ask, Head, Hello, Info, Request, Upload, route};
pub use stamp::{BadStamp, Stamp};
pub use table::Table;
pub use upload::{Context, LineCounter, Reading, read_upload};
