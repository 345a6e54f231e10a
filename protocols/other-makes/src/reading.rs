//! From a body to records, and what could not be read of it.
//!
//! Nothing of a body is lost: what is no record of the mapping is set aside with its bytes, in
//! pieces of bounded number and size, so that a body of a million bad lines costs a few rows of
//! quarantine. A record comes out of here only when an event can be made of it in any zone.

use event::{Bytes, Event, Kind, Millis, Quarantined, Reason, Route, Text};
use serde_json::value::RawValue;

use crate::json::{self, Cut, NoText, RECORDS};
use crate::lines::{self, Columns};
use crate::mapping::{Field, Format, Mapping, Path};
use crate::moment::Moment;
use crate::own::SCHEMA;

/// The source of what is quarantined, by which it is read again.
pub const SOURCE: &str = "ingest";
/// Pieces of one body that are set aside each by itself; what follows shares pieces.
const PIECES: usize = 1_000;

/// Why something of a body is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    NotJson,
    NotText,
    NoColumn,
    Columns,
    NoTime,
    BadTime,
    NoPerson,
    NotOneValue,
    TooLong,
    BadSerial,
    Unknown,
    NoMapping,
    Crowd,
    NoEvent,
    OtherTopic,
    Topic,
    LongMessage,
    Ours,
}

impl Fault {
    /// Every one.
    pub(crate) const ALL: [Self; 18] = [
        Self::NotJson,
        Self::NotText,
        Self::NoColumn,
        Self::Columns,
        Self::NoTime,
        Self::BadTime,
        Self::NoPerson,
        Self::NotOneValue,
        Self::TooLong,
        Self::BadSerial,
        Self::Unknown,
        Self::NoMapping,
        Self::Crowd,
        Self::NoEvent,
        Self::OtherTopic,
        Self::Topic,
        Self::LongMessage,
        Self::Ours,
    ];

    /// The sentence in quarantine.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "no JSON that could be read",
            Self::NotText => "letters that are not UTF-8",
            Self::NoColumn => "the header lacks a column of the mapping",
            Self::Columns => "another number of columns than the header",
            Self::NoTime => "the record has no time where the mapping says",
            Self::BadTime => "a time that is not of the mapping's format, or of no calendar",
            Self::NoPerson => "a punch without person and card",
            Self::NotOneValue => "a mapped field holds an object or a list",
            Self::TooLong => "a mapped field is longer than any terminal's",
            Self::BadSerial => "a serial with other characters than letters, digits, '-' and '_'",
            Self::Unknown => "of a terminal that is not approved for this tenant",
            Self::NoMapping => {
                "no satellite.records/1, and no [[mapping]] of the configuration is for this sender"
            }
            Self::Crowd => "one of many that could not be read",
            Self::NoEvent => "the record does not say in `event` what happened",
            Self::OtherTopic => "the record names another terminal than its topic",
            Self::Topic => "a topic that the configuration does not name",
            Self::LongMessage => "the beginning of a message of more than 128 KiB",
            Self::Ours => "satellite failed at this message; see its log",
        }
    }

    fn reason(self) -> Reason {
        match self {
            Self::NotText => Reason::BadText,
            Self::NoTime | Self::BadTime => Reason::BadTime,
            Self::NoPerson
            | Self::NotOneValue
            | Self::TooLong
            | Self::BadSerial
            | Self::NoEvent
            | Self::OtherTopic => Reason::BadField,
            Self::Unknown => Reason::UnknownTerminal,
            Self::NotJson
            | Self::NoColumn
            | Self::Columns
            | Self::NoMapping
            | Self::Crowd
            | Self::Topic
            | Self::LongMessage
            | Self::Ours => Reason::Unreadable,
        }
    }
}

impl From<NoText> for Fault {
    fn from(NoText: NoText) -> Self {
        Self::NotOneValue
    }
}

/// One record of a sender.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The terminal that it names; `None` when it names none, and so is the sender's own.
    pub serial: Option<Text>,
    pub(crate) id: Option<Text>,
    /// The time as it was sent.
    pub(crate) time: Text,
    pub(crate) moment: Moment,
    pub(crate) kind: Kind,
    pub(crate) fields: Vec<(Field, Text)>,
    pub(crate) attributes: Vec<(Text, Text)>,
    pub(crate) raw: Bytes,
}

impl Record {
    pub(crate) fn field(&self, wanted: Field) -> Option<&Text> {
        let found = self.fields.iter().find(|(field, _)| *field == wanted);
        found.map(|(_, text)| text)
    }
}

/// A piece of a body that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    fault: Fault,
    raw: Bytes,
}

impl Unread {
    /// As it goes into quarantine.
    pub fn quarantined(self, route: Route, received_at: Millis) -> Quarantined {
        Quarantined {
            reason: self.fault.reason(),
            detail: Text::const_new(self.fault.as_str()),
            source: Text::const_new(SOURCE),
            route,
            received_at,
            raw: self.raw,
        }
    }
}

/// What a body held.
#[derive(Debug, Default, PartialEq)]
pub struct Reading {
    /// The records, in the order of the body.
    pub records: Vec<Record>,
    /// What is no record.
    pub unread: Vec<Unread>,
    /// Records that share a piece of `unread` with others.
    pub crowded: u64,
    /// Records that the mapping tells to ignore.
    pub ignored: u64,
}

impl Reading {
    /// A body for which there is no mapping: all of it is set aside.
    fn without_mapping(body: &Bytes) -> Self {
        let mut reading = Self::default();
        reading.whole(Fault::NoMapping, body);
        reading
    }

    /// Sets records aside whose terminal may not bring any.
    pub fn not_approved(&mut self, record: Record) {
        let fault = match record.serial.as_deref().map(event::Serial::new) {
            Some(Err(_)) => Fault::BadSerial,
            _ => Fault::Unknown,
        };
        self.set_aside(fault, &[], record.raw);
    }

    /// Sets a record aside. `head` is what its pieces begin with, and is written once in each.
    pub(crate) fn set_aside(&mut self, fault: Fault, head: &[u8], raw: Bytes) {
        let line = raw.strip_prefix(head).unwrap_or(&raw);
        if self.unread.len() < PIECES {
            return self.cut_up(fault, &raw);
        }
        if let Some(last) = self
            .unread
            .last_mut()
            .filter(|last| last.fault == Fault::Crowd)
            && last.raw.len() + line.len() < Quarantined::RAW_LIMIT
        {
            let mut longer =
                std::mem::take(&mut last.raw)
                    .try_into_mut()
                    .unwrap_or_else(|shared| {
                        let mut copy = roomy(Quarantined::RAW_LIMIT);
                        copy.extend_from_slice(&shared);
                        copy
                    });
            longer.extend_from_slice(b"\n");
            longer.extend_from_slice(line);
            last.raw = longer.freeze();
            self.crowded += 1;
            return;
        }
        self.cut_up(Fault::Crowd, &raw);
    }

    /// In pieces that fit: nothing is lost of what is longer than one may be.
    fn cut_up(&mut self, fault: Fault, raw: &Bytes) {
        let mut rest = raw.clone();
        while rest.len() > Quarantined::RAW_LIMIT {
            let piece = rest.split_to(Quarantined::RAW_LIMIT);
            self.unread.push(Unread { fault, raw: piece });
        }
        self.unread.push(Unread { fault, raw: rest });
    }

    /// A whole body.
    pub(crate) fn whole(&mut self, fault: Fault, body: &Bytes) {
        let raw = match std::str::from_utf8(body) {
            Ok(text) => json::without_pictures(text),
            Err(_) => body.clone(),
        };
        if !raw.is_empty() {
            self.cut_up(fault, &raw);
        }
    }

    fn take(
        &mut self,
        read: Result<Option<Record>, Fault>,
        head: &[u8],
        raw: impl FnOnce() -> Bytes,
    ) {
        match read {
            Ok(Some(record)) => self.records.push(record),
            Ok(None) => self.ignored += 1,
            Err(fault) => self.set_aside(fault, head, raw()),
        }
    }

    /// Why each piece that is no record is none.
    #[cfg(test)]
    pub(crate) fn faults(&self) -> Vec<&'static str> {
        let faults = self.unread.iter().map(|one| one.fault.as_str());
        faults.collect()
    }

    /// How many records the body held.
    pub fn total(&self) -> u64 {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        wide(self.records.len()) + wide(self.unread.len()) + self.crowded + self.ignored
    }
}

fn roomy(room: usize) -> bytes::BytesMut {
    bytes::BytesMut::with_capacity(room)
}

impl Mapping {
    /// Reads a body. It cannot fail: what is no record is set aside. A record that stood in
    /// quarantine is read in the same way.
    pub fn read(&self, body: &Bytes) -> Reading {
        let mut reading = Reading::default();
        let bare = match body.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) => body.slice_ref(rest),
            None => body.clone(),
        };
        match &self.format {
            Format::Json { records } => self.read_json(&bare, records, &mut reading),
            Format::Lines { separator, header } => {
                self.read_lines(&bare, (*separator, *header), &mut reading);
            }
        }
        if self.is_own && reading.records.is_empty() && !calls_itself_ours(&bare) {
            return Reading::without_mapping(body);
        }
        reading
    }

    fn read_json(&self, body: &Bytes, records: &Path, reading: &mut Reading) {
        let Ok(text) = std::str::from_utf8(body) else {
            return reading.whole(Fault::NotText, body);
        };
        if text.trim().is_empty() {
            return;
        }
        if let Cut::Records(found) = json::cut(text, records) {
            return self.take_json(found, reading);
        }
        if lines::lines(body).nth(1).is_none() {
            return reading.whole(Fault::NotJson, body);
        }
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match json::cut(line, records) {
                Cut::Records(found) => self.take_json(found, reading),
                Cut::Nothing => {
                    reading.set_aside(Fault::NotJson, &[], json::without_pictures(line))
                }
            }
        }
    }

    fn take_json(&self, found: Vec<&RawValue>, reading: &mut Reading) {
        for record in found {
            let raw = || json::without_pictures(record.get());
            if reading.records.len() >= RECORDS {
                reading.set_aside(Fault::Crowd, &[], raw());
                continue;
            }
            let read = self.record(raw, |path| match json::find(record, path) {
                Some(value) => Ok(json::text(value)?),
                None => Ok(None),
            });
            reading.take(read, &[], raw);
        }
    }

    fn read_lines(&self, body: &Bytes, (separator, header): (u8, bool), reading: &mut Reading) {
        let mut all = lines::lines(body);
        let mut head = Vec::new();
        let columns = if header {
            let Some(line) = all.next() else {
                return;
            };
            head.extend_from_slice(line);
            head.push(b'\n');
            Columns::of_header(self, &lines::cells(line, separator))
        } else {
            Some(Columns::by_number(self))
        };
        let Some(columns) = columns else {
            return reading.whole(Fault::NoColumn, body);
        };
        for line in all {
            let raw = || Bytes::from([head.as_slice(), line].concat());
            if reading.records.len() >= RECORDS {
                reading.set_aside(Fault::Crowd, &head, raw());
                continue;
            }
            let cells = lines::cells(line, separator);
            let read = if columns.fits(&cells) {
                self.record(raw, |path| match columns.cell(&cells, path) {
                    Some(cell) => {
                        let text = std::str::from_utf8(cell).map_err(|_| Fault::NotText)?;
                        Ok(Some(Text::new(text)))
                    }
                    None => Ok(None),
                })
            } else {
                Err(Fault::Columns)
            };
            reading.take(read, &head, raw);
        }
    }

    /// A record from its values; `None` for one that is to be ignored.
    fn record(
        &self,
        raw: impl FnOnce() -> Bytes,
        value: impl Fn(&Path) -> Result<Option<Text>, Fault>,
    ) -> Result<Option<Record>, Fault> {
        let value = |path: &Path| Ok::<_, Fault>(value(path)?.and_then(|text| self.bare(&text)));
        let opt = |path: &Option<Path>| match path {
            Some(path) => value(path),
            None => Ok(None),
        };
        let mut fields = Vec::with_capacity(self.fields.len());
        for (field, path) in &self.fields {
            if let Some(text) = value(path)? {
                fields.push((*field, text));
            }
        }
        let says_what = || fields.iter().any(|(field, _)| *field == Field::Code);
        if self.is_own && !says_what() {
            return Err(Fault::NoEvent);
        }
        let Some(kind) = self.kind(&fields) else {
            return Ok(None);
        };
        let mut time = Text::default();
        for path in &self.time {
            if let Some(text) = value(path)? {
                time.push_str(if time.is_empty() { "" } else { " " });
                time.push_str(&text);
            }
        }
        if time.is_empty() {
            return Err(Fault::NoTime);
        }
        let record = Record {
            serial: opt(&self.serial)?,
            id: opt(&self.id)?,
            moment: self.form.moment(&time).ok_or(Fault::BadTime)?,
            time,
            kind,
            attributes: self.attributes(value)?,
            fields,
            raw: raw(),
        };
        sound(&record)?;
        Ok(Some(record))
    }

    /// A value without blanks and the mapping's own ornaments around it; `None` when nothing is left.
    fn bare(&self, text: &str) -> Option<Text> {
        let mut bare = text.trim();
        if let Some(ornament) = self.trim {
            bare = bare.trim_matches(ornament).trim();
        }
        (!bare.is_empty()).then(|| Text::new(bare))
    }

    fn kind(&self, fields: &[(Field, Text)]) -> Option<Kind> {
        let code = fields.iter().find(|(field, _)| *field == Field::Code);
        match code.and_then(|(_, code)| self.kinds.get(code)) {
            Some(sort) => *sort,
            None => self.default_kind,
        }
    }

    fn attributes(
        &self,
        value: impl Fn(&Path) -> Result<Option<Text>, Fault>,
    ) -> Result<Vec<(Text, Text)>, Fault> {
        let mut all = Vec::with_capacity(self.attributes.len());
        for (name, path) in &self.attributes {
            if let Some(text) = value(path)? {
                all.push((name.clone(), text));
            }
        }
        Ok(all)
    }
}

/// Whether a body says that it is in our own form.
fn calls_itself_ours(body: &Bytes) -> bool {
    memchr::memmem::find(body, SCHEMA.as_bytes()).is_some()
}

/// Longest attribute, and longest id of a sender, in bytes.
const LONGEST: usize = 1_024;

/// Whether everything in a record fits where it belongs.
fn sound(record: &Record) -> Result<(), Fault> {
    let limit = |field: Field| match field {
        Field::Person | Field::Card => Event::PERSON_LIMIT,
        _ => Event::CODE_LIMIT,
    };
    let long = record
        .fields
        .iter()
        .any(|(field, text)| text.len() > limit(*field))
        || record
            .attributes
            .iter()
            .any(|(_, text)| text.len() > LONGEST)
        || record.id.as_ref().is_some_and(|id| id.len() > LONGEST)
        || record.raw.len() > Event::RAW_LIMIT;
    if long {
        return Err(Fault::TooLong);
    }
    let named = record.field(Field::Person).is_some() || record.field(Field::Card).is_some();
    if record.kind == Kind::Punch && !named {
        return Err(Fault::NoPerson);
    }
    Ok(())
}

/// What is said of records that cannot be read, for whoever says it in another language.
pub fn faults() -> impl Iterator<Item = &'static str> {
    Fault::ALL.into_iter().map(Fault::as_str)
}
