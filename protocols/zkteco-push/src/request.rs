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
    /// A request of the access-control dialect, by its name: not served.
    Access(&'static str),
    /// A known request of the attendance dialect that we do not serve (files, lookups of
    /// people), by its name.
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

impl Hello {
    /// True when the terminal says that it is in access-control mode.
    pub fn is_access(&self) -> bool {
        let acc = |text: &Text| text.eq_ignore_ascii_case("acc");
        self.device_type.as_ref().is_some_and(acc)
    }
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
        "file" if get || post => Ok(Ask::Unserved("file")),
        "edata" if get || post => Ok(Ask::Unserved("edata")),
        "service/control" if get || post => Ok(Ask::Unserved("service/control")),
        _ => match known_name(name) {
            Some((access, true)) if get || post => Ok(Ask::Access(access)),
            Some((name, _)) => Err(RouteError::Method(name)),
            None => Err(RouteError::UnknownPath(clean(name, 64))),
        },
    }
}

/// The name as our own text, and whether it belongs to the access-control dialect.
fn known_name(name: &str) -> Option<(&'static str, bool)> {
    const KNOWN: [(&str, bool); 15] = [
        ("cdata", false),
        ("fdata", false),
        ("getrequest", false),
        ("getreq", false),
        ("devicecmd", false),
        ("ping", false),
        ("file", false),
        ("edata", false),
        ("service/control", false),
        ("registry", true),
        ("push", true),
        ("querydata", true),
        ("rtdata", true),
        ("exchange", true),
        ("event", true),
    ];
    KNOWN.into_iter().find(|(known, _)| *known == name)
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
        return Ask::Access("AuthType");
    }
    let kind = query.get("type").unwrap_or_default();
    if kind.eq_ignore_ascii_case("PostVerifyData") {
        return Ask::Access("PostVerifyData");
    }
    let table = query.get("table").unwrap_or_default();
    for access in ["rtlog", "rtstate", "tabledata"] {
        if table.eq_ignore_ascii_case(access) {
            return Ask::Access(access);
        }
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

fn upload(query: &Query<'_>, unnamed: Table) -> Upload {
    let name = query.get("table").filter(|name| !name.trim().is_empty());
    let table = name.map_or(unnamed, |name| Table::from_name(name.trim()));
    let content = query.get("ContentType").unwrap_or_default();
    let table = if content.eq_ignore_ascii_case("tgz") && table.holds_records() {
        table.packed()
    } else {
        table
    };
    let stamp = ["Stamp", "OpStamp", "PhotoStamp"]
        .into_iter()
        .find_map(|key| query.get(key));
    Upload {
        table,
        stamp: stamp.and_then(|text| Stamp::new(&text).ok()),
        answers_command: query.text("CmdId", 32),
    }
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
mod tests {
    use super::*;
    use event::NameError;

    fn ask_of(method: &str, path: &str, query: &str) -> Result<Ask, RouteError> {
        let request = route(&Head {
            method,
            path,
            query,
        })?;
        assert_eq!(request.serial.as_str(), "ABC1234560001");
        Ok(request.ask)
    }

    #[test]
    fn every_spelling_of_a_path_leads_to_the_same_room() {
        for path in [
            "/iclock/ping",
            "/iclock/iclock/ping",
            "/ICLOCK/iclock/iclock/Ping",
            "//iclock//ping/",
            "/iclock/ping.aspx",
            "/iclock/Ping.ASP",
            "/iclock/ping.php",
        ] {
            assert_eq!(
                ask_of("GET", path, "sn=ABC1234560001"),
                Ok(Ask::Ping),
                "{path}"
            );
        }
    }

    #[test]
    fn paths_of_other_people_and_path_tricks_are_not_found() {
        for path in [
            "/",
            "",
            "/cdata",
            "/favicon.ico",
            "/iclockx/cdata",
            "/iclock%2Fcdata",
            "*",
        ] {
            assert_eq!(
                ask_of("GET", path, "SN=ABC1234560001"),
                Err(RouteError::NotOurs),
                "{path}"
            );
        }
        for path in [
            "/iclock/../etc/passwd",
            "/iclock/",
            "/iclock",
            "/iclock/cdata/x",
            "/iclock/a\nb",
        ] {
            let error = ask_of("GET", path, "SN=ABC1234560001").unwrap_err();
            assert!(matches!(error, RouteError::UnknownPath(_)), "{path}");
            assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn a_request_without_a_usable_serial_is_refused() {
        let refused = |query| ask_of("GET", "/iclock/ping", query).unwrap_err();
        assert_eq!(refused(""), RouteError::MissingSerial);
        assert_eq!(refused("SN="), RouteError::MissingSerial);
        assert_eq!(
            refused("SN=a/b"),
            RouteError::BadSerial(NameError::Character)
        );
        assert_eq!(
            refused("SN=a%0Ab"),
            RouteError::BadSerial(NameError::Character)
        );
        let long = format!("SN={}", "x".repeat(33));
        assert_eq!(
            refused(&long),
            RouteError::BadSerial(NameError::TooLong(32))
        );
    }

    #[test]
    fn a_wrong_method_is_named() {
        let error = |method, path: &str| ask_of(method, path, "SN=ABC1234560001").unwrap_err();
        for name in [
            "cdata",
            "fdata",
            "getrequest",
            "devicecmd",
            "ping",
            "registry",
            "file",
        ] {
            assert_eq!(
                error("DELETE", &format!("/iclock/{name}")),
                RouteError::Method(name)
            );
        }
        assert_eq!(
            error("GET", "/iclock/devicecmd"),
            RouteError::Method("devicecmd")
        );
        assert_eq!(
            error("POST", "/iclock/getrequest"),
            RouteError::Method("getrequest")
        );
        assert_eq!(error("get", "/iclock/cdata"), RouteError::Method("cdata"));
    }

    #[test]
    fn an_upload_names_its_table_its_stamp_and_the_command_it_answers() {
        let upload = |query: &str| match ask_of("POST", "/iclock/cdata", query) {
            Ok(Ask::Upload(upload)) => upload,
            other => panic!("{other:?}"),
        };
        let live = upload("SN=ABC1234560001&table=ATTLOG&Stamp=9999");
        assert_eq!(live.table, Table::AttLog);
        assert_eq!(live.stamp.unwrap().as_str(), "9999");
        assert_eq!(live.answers_command, None);
        let query = upload(
            "SN=ABC1234560001&table=ATTLOG&Stamp=9999&Count=1&PackCnt=1&PackIdx=1&CmdId=239",
        );
        assert_eq!(query.answers_command.unwrap(), "239");
        let old = upload("SN=ABC1234560001&OpStamp=77");
        assert_eq!(
            (old.table, old.stamp.unwrap().as_str()),
            (Table::OperLog, "77")
        );
        let us = upload("SN=ABC1234560001&table=attlog&Stamp=2026-11-21T10:15:30");
        assert_eq!(us.stamp.unwrap().as_str(), "2026-11-21T10:15:30");
        assert_eq!(
            upload("SN=ABC1234560001&table=ATTLOG&Stamp=%0d%0aX").stamp,
            None
        );
        assert_eq!(upload("SN=ABC1234560001").table.name(), "none");
        let packed = upload("SN=ABC1234560001&table=OPERLOG&contenttype=tgz");
        assert_eq!(packed.table.name(), "OPERLOG.tgz");
    }

    #[test]
    fn a_photo_comes_through_either_door() {
        for (path, query) in [
            (
                "/iclock/fdata",
                "SN=ABC1234560001&table=ATTPHOTO&PhotoStamp=5",
            ),
            ("/iclock/fdata.aspx", "SN=ABC1234560001&PhotoStamp=5"),
            ("/iclock/cdata", "SN=ABC1234560001&table=ATTPHOTO&Stamp=5"),
        ] {
            let Ok(Ask::Upload(upload)) = ask_of("POST", path, query) else {
                panic!("{path}");
            };
            assert_eq!(upload.table, Table::AttPhoto);
            assert_eq!(upload.stamp.unwrap().as_str(), "5");
        }
    }

    #[test]
    fn what_is_not_served_is_known_by_name() {
        let get =
            |path: &str, query: &str| ask_of("GET", path, &format!("SN=ABC1234560001{query}"));
        let post =
            |path: &str, query: &str| ask_of("POST", path, &format!("SN=ABC1234560001{query}"));
        for name in [
            "registry",
            "push",
            "querydata",
            "rtdata",
            "exchange",
            "event",
        ] {
            assert_eq!(post(&format!("/iclock/{name}"), ""), Ok(Ask::Access(name)));
        }
        for name in ["rtlog", "rtstate", "tabledata"] {
            assert_eq!(
                post("/iclock/cdata", &format!("&table={name}")),
                Ok(Ask::Access(name))
            );
        }
        assert_eq!(
            post("/iclock/cdata", "&AuthType=device"),
            Ok(Ask::Access("AuthType"))
        );
        assert_eq!(
            post("/iclock/cdata", "&type=PostVerifyData"),
            Ok(Ask::Access("PostVerifyData"))
        );
        assert_eq!(get("/iclock/cdata", "&type=time"), Ok(Ask::Time));
        assert_eq!(
            get("/iclock/cdata", "&type=LastPunch&PIN=1"),
            Ok(Ask::Unserved("LastPunch"))
        );
        assert_eq!(
            get("/iclock/cdata", "&table=RemoteAtt&PIN=1"),
            Ok(Ask::Unserved("RemoteAtt"))
        );
        assert_eq!(
            get("/iclock/cdata", "&PIN=1"),
            Ok(Ask::Unserved("RemoteAtt"))
        );
        assert_eq!(get("/iclock/file", "&url=x"), Ok(Ask::Unserved("file")));
    }
}
