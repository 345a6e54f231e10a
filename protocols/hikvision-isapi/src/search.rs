//! The event search of a device (`AcsEvent`): capabilities, questions, and pages of answers.
//!
//! The search is the truth about what a device holds. Devices answer it with habits of their
//! own: fewer records a page than asked for, numbers as texts, no list where it is empty,
//! records in any order, pictures around the JSON. A page is read as far as it can be; one bad
//! record never hides its neighbours, and its serial is reported even so. Whether more pages
//! follow is only ever what the status says, never the number of records.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::record::{Record, Unreadable, read_search_item};
use crate::status::ResponseStatus;

/// Where capabilities of the search are read.
pub const CAPABILITIES_PATH: &str = "/ISAPI/AccessControl/AcsEvent/capabilities?format=json";
/// Longest answer read, in bytes; pages of 30 records have about 20 KiB.
pub const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Most records read of one page.
const PAGE_RECORDS: usize = 1000;
/// Records a page that every device takes.
const USUAL_PAGE: u32 = 30;
/// The smallest limit of positions seen (DS-KV6124).
const USUAL_POSITIONS: u32 = 1000;

/// What the search of a device can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// `beginSerialNo` and `endSerialNo` are understood. Without them only the mode by time
    /// is left, which proves nothing.
    pub by_serial: bool,
    /// Highest serial that may be asked for.
    pub serial_limit: u64,
    /// Most records a page, 1 to 1000.
    pub page: u32,
    /// Highest position of a page; what lies beyond cannot be reached in one search.
    pub position_limit: u32,
    /// `timeReverseOrder`: the newest records can be asked for.
    pub newest_first: bool,
}

/// Why an answer of the search was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// More than 4 MiB or 1000 records.
    #[error("the answer is longer than a page can be")]
    TooLong,
    /// No JSON, or not that of a search.
    #[error("the answer is no page of a search")]
    NotAPage,
    /// The device refused the question, in its own words.
    #[error("the device refused the search: {} {}", .0.text, .0.sub)]
    Refused(Box<ResponseStatus>),
}

/// Reads the answer to `GET` at [`CAPABILITIES_PATH`].
pub fn read_capabilities(body: &[u8]) -> Result<Capabilities, SearchError> {
    if body.len() > PAGE_BYTES {
        return Err(SearchError::TooLong);
    }
    let text = plain(&String::from_utf8_lossy(body));
    let root: Value = serde_json::from_str(&text).map_err(|_| SearchError::NotAPage)?;
    let field = |value: &Value, name: &str| value.get(name).cloned();
    let event = field(&root, "AcsEvent").unwrap_or(root);
    let Some(cond) = field(&event, "AcsEventCond") else {
        return Err(refusal(body));
    };
    let most = |name: &str| cond.get(name)?.get("@max").and_then(number);
    let small = |name: &str| {
        most(name)
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n > 0)
    };
    let listed = event
        .get("InfoList")
        .and_then(|list| number(list.get("maxSize")?));
    let listed = listed
        .and_then(|n| u32::try_from(n).ok())
        .filter(|n| *n > 0);
    let given = |name: &str| {
        cond.get(name)
            .is_some_and(|value| *value != Value::Bool(false))
    };
    Ok(Capabilities {
        by_serial: given("beginSerialNo") && given("endSerialNo"),
        serial_limit: most("endSerialNo").unwrap_or(3_000_000_000),
        page: small("maxResults")
            .or(listed)
            .unwrap_or(USUAL_PAGE)
            .min(1000),
        position_limit: small("searchResultPosition").unwrap_or(USUAL_POSITIONS),
        newest_first: given("timeReverseOrder"),
    })
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchRange {
    /// Serials from `begin` to `end`, both included.
    Serials {
        /// Lowest serial.
        begin: u64,
        /// Highest serial.
        end: u64,
    },
    /// Records of a time, both ends included: `YYYY-MM-DDThh:mm:ss+hh:mm` with the offset of
    /// the device itself; some devices find nothing by another.
    Times {
        /// First moment.
        from: String,
        /// Last moment.
        to: String,
    },
    /// The newest records, newest first by time.
    Newest,
}

/// One page asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Which records.
    pub range: SearchRange,
    /// Position of the first record of the page, from 0.
    pub position: u32,
    /// Most records wanted; devices cut it down without a word.
    pub page: u32,
    /// 1 to 64 characters, the same for all pages of one search and new for each search.
    pub search_id: String,
}

impl Question {
    /// Where it is posted.
    pub const PATH: &str = "/ISAPI/AccessControl/AcsEvent?format=json";

    /// The JSON to post. All majors and minors are asked for: only over all of them are the
    /// serials without gaps. Pictures are not asked for.
    pub fn body(&self) -> String {
        let mut cond = json!({
            "searchID": self.search_id,
            "searchResultPosition": self.position,
            "maxResults": self.page,
            "major": 0,
            "minor": 0,
            "picEnable": false,
        });
        let fields = match &self.range {
            SearchRange::Serials { begin, end } => {
                vec![("beginSerialNo", json!(begin)), ("endSerialNo", json!(end))]
            }
            SearchRange::Times { from, to } => {
                vec![("startTime", json!(from)), ("endTime", json!(to))]
            }
            SearchRange::Newest => vec![("timeReverseOrder", json!(true))],
        };
        if let Some(cond) = cond.as_object_mut() {
            cond.extend(
                fields
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value)),
            );
        }
        json!({ "AcsEventCond": cond }).to_string()
    }
}

/// What a page says about the pages after it (`responseStatusStrg`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStatus {
    /// More pages follow.
    More,
    /// This was the last page.
    Ok,
    /// Nothing matches.
    NoMatch,
}

/// One page of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Whether more follow.
    pub status: PageStatus,
    /// `totalMatches`: matches of the whole search; the number of records here when absent.
    pub total: u64,
    /// The records, in the device's order, which need not be that of their serials.
    pub records: Vec<Result<Record, Unreadable>>,
    /// Every serial on the page, those of unreadable records too; zeros and absent ones not.
    pub serials: Vec<u64>,
}

impl Page {
    /// Number of records on the page, readable or not.
    pub fn len(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX)
    }

    /// No record is on the page.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The device has answered the whole question, with this page alone.
    pub fn is_whole(&self) -> bool {
        self.status != PageStatus::More && self.total <= u64::from(self.len())
    }

    /// How many serials lie outside what was asked for. Any means that the device does not
    /// search by serial, whatever it says of itself.
    pub fn strays(&self, begin: u64, end: u64) -> usize {
        let outside = |serial: &&u64| **serial < begin || **serial > end;
        self.serials.iter().filter(outside).count()
    }
}

/// Reads the answer to a [`Question`], bare JSON or the first JSON part of a multipart body.
pub fn read_page(body: &[u8]) -> Result<Page, SearchError> {
    if body.len() > PAGE_BYTES {
        return Err(SearchError::TooLong);
    }
    let text = json_text(body).ok_or_else(|| refusal(body))?;
    let root: Fields<'_> = fields(&text).ok_or_else(|| refusal(body))?;
    let inner = get(&root, "AcsEvent").and_then(|event| fields(event.get()));
    let Some(event) = inner else {
        return Err(refusal(text.as_bytes()));
    };
    let items = items(get(&event, "InfoList"))?;
    let here = u64::try_from(items.len()).unwrap_or(u64::MAX);
    let value = |name: &str| get(&event, name).and_then(value_of);
    let total = value("totalMatches").as_ref().and_then(number);
    let total = total.unwrap_or(here);
    let word = value("responseStatusStrg");
    let status = match word
        .as_ref()
        .and_then(Value::as_str)
        .map(squeezed)
        .as_deref()
    {
        Some("more") => PageStatus::More,
        Some("nomatch" | "nomatches") => PageStatus::NoMatch,
        Some("ok") => PageStatus::Ok,
        // Without a word that we know, more is assumed where the numbers do not rule it out.
        _ if here > 0 && total != here => PageStatus::More,
        _ if value("numOfMatches").is_none() && here == 0 => return Err(SearchError::NotAPage),
        _ => PageStatus::Ok,
    };
    Ok(Page {
        status,
        total,
        serials: items.iter().filter_map(|item| serial_of(item)).collect(),
        records: items.iter().map(|item| read_search_item(item)).collect(),
    })
}

type Fields<'a> = BTreeMap<String, &'a RawValue>;

fn fields(text: &str) -> Option<Fields<'_>> {
    serde_json::from_str(text).ok()
}

fn get<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a RawValue> {
    let mut all = fields.iter();
    let found = all.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, raw)| *raw)
}

fn value_of(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

/// The objects of the list, each as its own text: a list, one object alone, null, or nothing.
fn items(list: Option<&RawValue>) -> Result<Vec<&str>, SearchError> {
    let Some(list) = list.map(RawValue::get).filter(|text| *text != "null") else {
        return Ok(Vec::new());
    };
    if list.starts_with('{') {
        return Ok(vec![list]);
    }
    let all: Vec<&RawValue> = serde_json::from_str(list).map_err(|_| SearchError::NotAPage)?;
    if all.len() > PAGE_RECORDS {
        return Err(SearchError::TooLong);
    }
    Ok(all.into_iter().map(RawValue::get).collect())
}

fn serial_of(item: &str) -> Option<u64> {
    let value = get(&fields(item)?, "serialNo").and_then(value_of)?;
    number(&value).filter(|serial| *serial > 0)
}

/// A number, or a text that holds one.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn squeezed(word: &str) -> String {
    let letters = word.chars().filter(char::is_ascii_alphabetic);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

fn refusal(body: &[u8]) -> SearchError {
    match ResponseStatus::read(body) {
        Some(status) => SearchError::Refused(Box::new(status)),
        None => SearchError::NotAPage,
    }
}

/// The JSON text of a body: all of it, or of the first part that begins as an object.
fn json_text(body: &[u8]) -> Option<String> {
    let start = body.iter().position(|b| b.is_ascii_graphic())?;
    let body = body.get(start..)?;
    let cut = match body.first()? {
        b'-' => first_json_part(body)?,
        _ => body,
    };
    let text = String::from_utf8_lossy(cut);
    // Only the first value counts; boundaries and padding behind it do not matter.
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>();
    if let Some(Ok(first)) = values.next() {
        return Some(first.get().to_owned());
    }
    let text = plain(&text);
    let mut reader = serde_json::Deserializer::from_str(&text);
    let first = <&RawValue>::deserialize(&mut reader).ok()?;
    Some(first.get().to_owned())
}

/// A part whose body begins with `{`, up to the next boundary; the boundary is the first line.
fn first_json_part(body: &[u8]) -> Option<&[u8]> {
    let line = memchr::memchr(b'\n', body)?;
    let boundary = body.get(..line)?.trim_ascii_end();
    if boundary.len() < 3 || boundary.len() > 128 {
        return None;
    }
    let finder = memchr::memmem::Finder::new(boundary);
    let starts: Vec<usize> = finder.find_iter(body).take(32).collect();
    let parts = starts.iter().enumerate().filter_map(|(n, from)| {
        let end = starts.get(n + 1).copied().unwrap_or(body.len());
        let part = body.get(from + boundary.len()..end)?;
        let blank = |mark: &[u8]| memchr::memmem::find(part, mark).map(|at| at + mark.len());
        let head = [blank(b"\r\n\r\n"), blank(b"\n\n")]
            .into_iter()
            .flatten()
            .min()?;
        Some(part.get(head..)?.trim_ascii_start())
    });
    parts.into_iter().find(|part| part.starts_with(b"{"))
}

/// Control characters as blanks: between values they are blanks anyway, and inside a text
/// JSON does not allow them, which some devices do not know.
fn plain(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}');
    text.chars()
        .map(|c| if c < ' ' { ' ' } else { c })
        .collect()
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
