//! Hikvision ISAPI: what terminals, intercoms, cameras and recorders say about events, and how
//! to ask them.
//!
//! ```text
//! we                                                    device
//! GET  /ISAPI/Event/notification/alertStream    →       parts without end     AlertStream
//! POST /ISAPI/AccessControl/AcsEvent            →       one page              Walk
//!
//! device                                                we
//! POST /hikvision/TOKEN                         →       200 after the commit  PostReader
//! ```
//!
//! The way of one event: [`AlertStream`] or [`PostReader`] cuts the bytes into documents and
//! drops the pictures; [`read_part`] makes each a [`Heard`], for the most part a heartbeat or a
//! [`Record`]; [`normalize()`] makes the record an event with its identity, or says why it
//! belongs in quarantine. A search gives the same records, and the same identities.
//!
//! Streams and posts are hints: terminals replay months before they come to now, streams die
//! silently, posts get lost. The truth is the search by serial number, and the proof that
//! nothing is missing is the chain of serials.
//!
//! `SPEC.md` beside this file holds the facts with their sources, `vectors/` the bytes that
//! show them. This crate never does I/O, never reads a clock and never panics on what a device
//! sends; its memory is bounded whatever comes.

mod alert;
mod chunked;
pub mod codes;
mod delimiter;
mod document;
mod head;
mod json;
mod listen;
mod multipart;
mod normalize;
mod record;
mod stream;
mod time;
mod xml;

pub use alert::{Heard, Identity, read_part, read_part_of, read_skipped, reread};
pub use head::ResponseHead;
pub use listen::{Post, PostReader, token_of};
pub use multipart::{Part, PartKind, Skip, TEXT_LIMIT};
pub use normalize::{Context, normalize};
pub use record::{FAULTS, QUARANTINE_SOURCE, Record, Source, Unreadable, read_search_item};
pub use stream::{AlertStream, BODY_LIMIT, Item, StreamError};
pub use time::{DeviceTime, TIME_LIMIT};

// Asking a device: search, serial chain, authentication, listening hosts (Part 2).
mod chain;
mod device_clock;
mod device_info;
mod digest;
mod hosts;
mod isup;
mod login;
mod search;
mod status;
mod time_cursor;
mod walk;

pub use chain::{Chain, Hint, Newest, PostStep};
pub use device_clock::{CLOCK_PATH, read_clock};
pub use device_info::{DEVICE_INFO_PATH, DeviceInfo};
pub use digest::{BadUser, Challenge, Credentials, Session};
pub use event::Completeness;
pub use hosts::{
    BadHost, Difference, HOSTS_PATH, HostProtocol, HostSetting, HostSlot, choose_slot, compare,
    read_hosts, slot_path,
};
pub use isup::{HELLO_LIMIT, IsupHello};
pub use login::{Login, LoginStep, LoginTrouble, Ticket};
pub use search::{
    CAPABILITIES_PATH, Capabilities, PAGE_BYTES, Page, PageStatus, Question, SearchError,
    SearchRange, read_capabilities, read_page,
};
pub use status::{LockInfo, ResponseStatus};
pub use time_cursor::{TimeCursor, TimeWindow};
pub use walk::{Walk, WalkStep};
