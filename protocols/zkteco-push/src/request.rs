//! One request line: who asks, and for what.
//!
//! Firmware and installers vary the path (`/iclock/iclock/cdata`, `/iclock/cdata.aspx`, any
//! case) and the keys of the query, never the idea. Requests that we know and do not serve are
//! named, so that the refusal can say what to change on the terminal. Nothing here looks at a
//! body, and no serial leaves this module unchecked.

use event::{Serial, Text};

use crate::query::Query;
use crate::text::clean;
use crate::{RouteError, Stamp, Table};

/// The request line, taken apart: the query without its `?`, empty when there is none.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// For example `GET`; upper case, as HTTP writes it.
    pub method: &'a str,
    /// For example `/iclock/cdata`, not decoded.
    pub path: &'a str,
    /// For example `SN=ABC1234560001&options=all`.
    pub query: &'a str,
}

/// A request that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The terminal, as it names itself. Nothing proves it.
    pub serial: Serial,
    /// What it wants.
    pub ask: Ask,
}

/// What a terminal can want.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// First contact after a start: wants the option block.
    Handshake(Hello),
    /// Brings records.
    Upload(Upload),
    /// Asks for commands, sometimes telling about itself.
    Poll(Option<Info>),
    /// Brings results of commands: [`crate::parse_results`].
    CommandResults,
    /// Shows that it is alive while a big upload keeps it from polling.
    Ping,
    /// Asks the time (PUSH SDK HTTP 3.2.0): [`crate::Reply::time`].
    Time,
    /// Access control: wants to be registered, and tells its settings:
    /// [`crate::read_settings`], [`crate::Reply::registered`].
    Registry,
    /// Access control: wants its configuration: [`crate::Reply::configuration`].
    Configuration,
    /// Access control: asks the time in packed seconds: [`crate::Reply::packed_time`].
    PackedTime,
    /// A known request that we do not serve (files, lookups of people, remote verification,
    /// session encryption), by its name: [`crate::Refusal::of_unserved`].
    Unserved(&'static str),
}

/// What a handshake tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hello {
    /// `pushver`, for example `2.4.1`; it does not tell the dialect.
    pub push_version: Option<Text>,
    /// `language`: 83 is Chinese, 69 English. Decides the character set of names.
    pub language: Option<u16>,
    /// `DeviceType`: `att`, `acc`, or anything else, which means `att`.
    pub device_type: Option<Text>,
    /// Whether a `pushcommkey` came along. Its value is a secret and is not kept.
    pub comm_key: bool,
    /// `PushOptionsFlag=1`: will post its settings as `table=options`.
    pub options_flag: bool,
}

/// What the URL of an upload says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Which records the body holds.
    pub table: Table,
    /// The position after this upload, when it was in an accepted form.
    pub stamp: Option<Stamp>,
    /// The command this upload answers. Its stamp must not be kept: it may run backwards.
    pub answers_command: Option<Text>,
    /// Which part of the answer it is and how many there are, both from 1.
    pub part: Option<(u32, u32)>,
    /// In which words it wants to be acknowledged.
    pub acknowledge: Acknowledge,
}

/// The words that a terminal needs to hear before it forgets what it has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acknowledge {
    /// `OK: n`.
    Counted,
    /// `OK`.
    Plain,
    /// `<table>=<n>`, without which it sends the table for ever.
    Named {
        /// The table as the terminal spells it, reduced to plain characters.
        name: Text,
        /// How many records it says there are.
        announced: Option<u64>,
    },
}

/// What a poll tells in `INFO`; numbers are `None` where the terminal says -1 or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info {
    /// Firmware, for example `Ver 8.0.4.3-20211015`.
    pub firmware: Option<Text>,
    /// People enrolled.
    pub users: Option<u32>,
    /// Fingerprints enrolled.
    pub fingerprints: Option<u32>,
    /// Attendance records that the terminal holds.
    pub records: Option<u32>,
    /// Its own address.
    pub address: Option<Text>,
    /// Version of the fingerprint algorithm.
    pub finger_version: Option<u32>,
    /// Version of the face algorithm.
    pub face_version: Option<u32>,
    /// Face templates needed to enrol one person.
    pub faces_per_person: Option<u32>,
    /// Faces enrolled.
    pub faces: Option<u32>,
    /// A digit for each function: fingerprint, face, picture and so on.
    pub functions: Option<Text>,
    /// What newer firmware adds, at most 16 values.
    pub further: Vec<Text>,
}

impl Info {
    /// Longest value kept, in characters.
    const VALUE_LIMIT: usize = 64;
    /// Most values kept after the ten known ones.
    const FURTHER_LIMIT: usize = 16;

    /// Reads the value of `INFO`: a comma list by position, blanks after commas.
    pub fn parse(value: &str) -> Self {
        let mut values = value.split(',').map(str::trim);
        let mut next = || values.next().unwrap_or_default();
        let text = |v: &str| (!v.is_empty()).then(|| clean(v, Self::VALUE_LIMIT));
        let number = |v: &str| v.parse().ok();
        Self {
            firmware: text(next()),
            users: number(next()),
            fingerprints: number(next()),
            records: number(next()),
            address: text(next()),
            finger_version: number(next()),
            face_version: number(next()),
            faces_per_person: number(next()),
            faces: number(next()),
            functions: text(next()),
            further: values
                .take(Self::FURTHER_LIMIT)
                .map(|v| clean(v, Self::VALUE_LIMIT))
                .collect(),
        }
    }
}

/// Says who asks for what.
pub fn route(head: &Head<'_>) -> Result<Request, RouteError> {
    let name = name_of(head.path).ok_or(RouteError::NotOurs)?;
    let query = Query(head.query);
    let ask = ask(&name, head.method, &query)?;
    let sn = query.get("SN").filter(|sn| !sn.is_empty());
    let sn = sn.ok_or(RouteError::MissingSerial)?;
    let serial = Serial::new(&sn).map_err(RouteError::BadSerial)?;
    Ok(Request { serial, ask })
}

/// The part of the path after `/iclock/`, in lower case and without `.aspx`, `.asp` or `.php`.
fn name_of(path: &str) -> Option<String> {
    let mut path = path.trim_matches('/').to_ascii_lowercase();
    let mut ours = false;
    while let Some(rest) = path.strip_prefix("iclock/") {
        path = rest.trim_start_matches('/').to_owned();
        ours = true;
    }
    for suffix in [".aspx", ".asp", ".php"] {
        if let Some(stem) = path.strip_suffix(suffix) {
            path.truncate(stem.len());
            break;
        }
    }
    (ours || path == "iclock").then_some(path)
}

fn ask(name: &str, method: &str, query: &Query<'_>) -> Result<Ask, RouteError> {
    let (get, post) = (method == "GET", method == "POST");
    match name {
        "cdata" if get => Ok(cdata_get(query)),
        "cdata" if post => Ok(cdata_post(query)),
        "fdata" if post => Ok(Ask::Upload(upload(query, Table::AttPhoto))),
        "getrequest" | "getreq" if get => Ok(Ask::Poll(info(query))),
        "devicecmd" if post => Ok(Ask::CommandResults),
        "ping" if get || post => Ok(Ask::Ping),
        "registry" if post => Ok(Ask::Registry),
        "push" if get || post => Ok(Ask::Configuration),
        "querydata" if post => Ok(Ask::Upload(answer(query))),
        "rtdata" if get || post => Ok(rtdata(query)),
        _ => unserved(name, get || post),
    }
}

/// Names that we know: those that are served under another method, and those that are not.
const KNOWN: [(&str, bool); 15] = [
    ("cdata", true),
    ("fdata", true),
    ("getrequest", true),
    ("getreq", true),
    ("devicecmd", true),
    ("ping", true),
    ("registry", true),
    ("push", true),
    ("querydata", true),
    ("rtdata", true),
    ("file", false),
    ("edata", false),
    ("service/control", false),
    ("exchange", false),
    ("event", false),
];

fn unserved(name: &str, usual: bool) -> Result<Ask, RouteError> {
    match KNOWN.into_iter().find(|(known, _)| *known == name) {
        Some((name, false)) if usual => Ok(Ask::Unserved(name)),
        Some((name, _)) => Err(RouteError::Method(name)),
        None => Err(RouteError::UnknownPath(clean(name, 64))),
    }
}

/// `GET cdata` is the handshake, unless a key says that it asks for something else.
fn cdata_get(query: &Query<'_>) -> Ask {
    if query.has("options") {
        return Ask::Handshake(hello(query));
    }
    match query.get("type").as_deref() {
        Some(kind) if kind.eq_ignore_ascii_case("time") => return Ask::Time,
        Some(kind) if kind.eq_ignore_ascii_case("LastPunch") => return Ask::Unserved("LastPunch"),
        _ => {}
    }
    match query.get("table").as_deref() {
        Some(table) if table.eq_ignore_ascii_case("SELFSERVICEDATA") => {
            Ask::Unserved("SELFSERVICEDATA")
        }
        Some(table) if !table.is_empty() => Ask::Unserved("RemoteAtt"),
        _ if query.has("PIN") => Ask::Unserved("RemoteAtt"),
        _ => Ask::Handshake(hello(query)),
    }
}

fn cdata_post(query: &Query<'_>) -> Ask {
    if query.has("AuthType") {
        return Ask::Unserved("AuthType");
    }
    let kind = query.get("type").unwrap_or_default();
    if kind.eq_ignore_ascii_case("PostVerifyData") {
        return Ask::Unserved("PostVerifyData");
    }
    let table = query.get("table").unwrap_or_default();
    if table.eq_ignore_ascii_case("tabledata") {
        return Ask::Upload(table_data(query));
    }
    let unnamed = if query.has("OpStamp") {
        Table::OperLog
    } else if query.has("PhotoStamp") {
        Table::AttPhoto
    } else {
        Table::from_name("")
    };
    Ask::Upload(upload(query, unnamed))
}

fn rtdata(query: &Query<'_>) -> Ask {
    match query.get("type") {
        Some(kind) if kind.eq_ignore_ascii_case("time") => Ask::PackedTime,
        _ => Ask::Unserved("rtdata"),
    }
}

fn upload(query: &Query<'_>, unnamed: Table) -> Upload {
    let name = query.get("table").filter(|name| !name.trim().is_empty());
    let table = name.map_or(unnamed, |name| Table::from_name(name.trim()));
    let table = unpacked(query, table);
    let acknowledge = match table {
        Table::AttPhoto | Table::Options | Table::RtLog | Table::RtState => Acknowledge::Plain,
        _ => Acknowledge::Counted,
    };
    let stamp = ["Stamp", "OpStamp", "PhotoStamp"]
        .into_iter()
        .find_map(|key| query.get(key));
    Upload {
        table,
        stamp: stamp.and_then(|text| Stamp::new(&text).ok()),
        answers_command: query.text("CmdId", 32),
        part: part(query),
        acknowledge,
    }
}

/// The table, or its packed form when the URL says so.
fn unpacked(query: &Query<'_>, table: Table) -> Table {
    let content = query.get("ContentType").unwrap_or_default();
    if content.eq_ignore_ascii_case("tgz") && table.holds_records() {
        table.packed()
    } else {
        table
    }
}

/// An upload of `cdata` or `querydata` that names its table as `tablename`.
fn table_data(query: &Query<'_>) -> Upload {
    let name = query.get("tablename").unwrap_or_default();
    let name = name.trim();
    Upload {
        table: unpacked(query, Table::from_name(name)),
        stamp: None,
        answers_command: query.text("CmdId", 32),
        part: part(query),
        acknowledge: Acknowledge::Named {
            name: crate::table::plain(name),
            announced: query.get("count").and_then(|n| n.trim().parse().ok()),
        },
    }
}

/// The answer to a question: rows, or settings and counts, which are both `key=value` lists.
fn answer(query: &Query<'_>) -> Upload {
    let kind = query.get("type").unwrap_or_default();
    if !["options", "count"]
        .iter()
        .any(|k| kind.eq_ignore_ascii_case(k))
    {
        return table_data(query);
    }
    Upload {
        table: Table::Options,
        acknowledge: Acknowledge::Plain,
        ..table_data(query)
    }
}

fn part(query: &Query<'_>) -> Option<(u32, u32)> {
    let number = |key| query.get(key)?.trim().parse().ok();
    let (at, of) = (number("PackIdx")?, number("PackCnt")?);
    (1 <= at && at <= of).then_some((at, of))
}

fn hello(query: &Query<'_>) -> Hello {
    Hello {
        push_version: query.text("pushver", 32),
        language: query.get("language").and_then(|v| v.trim().parse().ok()),
        device_type: query.text("DeviceType", 32),
        comm_key: query.has("pushcommkey"),
        options_flag: query.get("PushOptionsFlag").is_some_and(|v| v == "1"),
    }
}

fn info(query: &Query<'_>) -> Option<Info> {
    let value = query.get("INFO").filter(|value| !value.trim().is_empty())?;
    Some(Info::parse(&value))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
