//! The words between a session and its owner: what is asked, what to do, what was learned.

use bytes::Bytes;
use event::{Millis, Text, WallTime};

use crate::attlog::{Layout, Log};
use crate::comm_key::CommKey;
use crate::error::{Error, Unread};
use crate::known::Known;
use crate::options::Info;
use crate::realtime::{self, Realtime};
use crate::sizes::Sizes;
use crate::time::BadTime;
use crate::users::UserList;

/// How the bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A stream: reads are fed as they come.
    Tcp,
    /// Datagrams: each is fed alone.
    Udp,
}

/// How much of the log to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// What is new since [`Session::known`](crate::Session::known); all of it when the older part is not as known.
    New,
}

/// What a session is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Its serial number alone, which tells a terminal that was swapped: [`Delivery::Serial`].
    Serial,
    /// Options and firmware: [`Delivery::Info`].
    Info,
    /// The clock: [`Delivery::Clock`].
    Clock,
    /// Sets the clock, to a year from 2000 to 2132: [`Delivery::ClockSet`].
    SetClock(WallTime),
    /// Counts and capacities: [`Delivery::Sizes`].
    Sizes,
    /// The user list: [`Delivery::Users`].
    Users,
    /// The attendance log: [`Delivery::Log`].
    Log(Extent),
    /// Real-time events from now on: [`Delivery::Listening`], then [`Delivery::Event`].
    Listen,
}

/// What a full visit asks: everything once, then events, then what came between the log's
/// snapshot and the first event.
pub const VISIT: &[Ask] = &[
    Ask::Info,
    Ask::Clock,
    Ask::Sizes,
    Ask::Users,
    Ask::Log(Extent::New),
    Ask::Listen,
    Ask::Log(Extent::New),
];

/// How a session is to be held.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// How the bytes travel.
    pub transport: Transport,
    /// The communication key, where the terminal has one.
    pub key: Option<CommKey>,
    /// What to do after connecting; without [`Ask::Listen`] the session ends afterwards.
    pub asks: Vec<Ask>,
    /// Which events to ask for, by their flags; 1 is attendance.
    pub event_mask: u32,
    /// Milliseconds without a word from the terminal after which it is asked for its clock.
    pub heartbeat: i64,
    /// The layout in which this terminal's log was read before.
    pub layout: Option<Layout>,
    /// What is known of its log: see [`Session::known`](crate::Session::known).
    pub known: Option<Known>,
    /// Accept wrong checksums over TCP, for firmware that computes them in a way of its own.
    pub lenient_checksums: bool,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            transport: Transport::Tcp,
            key: None,
            asks: VISIT.to_vec(),
            event_mask: u32::from(realtime::ATTENDANCE),
            heartbeat: 45_000,
            layout: None,
            known: None,
            lenient_checksums: false,
        }
    }
}

/// Something that was learned.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// Its serial number; `None` when it does not tell one.
    Serial(Option<Text>),
    /// Options and firmware.
    Info(Info),
    /// What the terminal's clock showed at `at`; also the heartbeat's answer.
    Clock {
        /// The terminal's wall clock.
        device: Result<WallTime, BadTime>,
        /// When its answer came.
        at: Millis,
    },
    /// Whether the clock was set.
    ClockSet(bool),
    /// Counts and capacities; nothing is known where it does not answer that question.
    Sizes(Sizes),
    /// The user list.
    Users(UserList),
    /// The user table could not be read; the session goes on.
    UsersUnread(Unread),
    /// Records of the attendance log.
    Log(Log),
    /// The log came whole and its layout is in doubt: its records as they are. The session
    /// goes on.
    LogUnread(Unread, Bytes),
    /// Whether real-time events come from now on; else the refusing code.
    Listening(Result<(), u16>),
    /// A real-time event. Its acknowledgement is the next thing to send: who takes actions
    /// only after storing what came acknowledges stored events only.
    Event(Realtime),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write these bytes: over UDP, one datagram.
    Send(Bytes),
    /// Nothing to do before this time, unless something is heard or asked.
    Wait(Millis),
    /// Something was learned.
    Got(Delivery),
    /// The session is over, as wanted: close the connection.
    Done,
    /// The session is over by an error: close the connection, come again in a new one.
    Close(Error),
}

/// What a session has seen, for metrics and traces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets heard.
    pub packets: u64,
    /// Events among them.
    pub events: u64,
    /// Packets whose reply id belonged to no open question.
    pub unasked: u64,
    /// Checksums one below the right one.
    pub sums_one_below: u64,
    /// Checksums that are wrong, or right in another way than the peer's first.
    pub sums_wrong: u64,
    /// Requests sent again.
    pub repeated: u64,
}
