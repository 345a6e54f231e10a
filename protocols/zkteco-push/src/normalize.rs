//! Records to events: the one place that decides what a vendor's field becomes.
//!
//! | Record | kind | person | identity (form, then fields) |
//! |---|---|---|---|
//! | `ATTLOG` | punch; access when it is a verification (type 1) | PIN | `att`, PIN, wall second |
//! | `OPLOG` | by code: operation, device, alarm, access | operator, unless `0` | `opl`, code, operator, wall second, each object |
//! | `ERRORLOG` | device | nobody | `err`, the whole line |
//!
//! Direction is never set: no status key has a certain meaning. Identities are over the
//! decoded text as UTF-8 bytes and frozen by the rows they have made. Times are never
//! corrected; a doubtful clock is flagged. Nothing here looks at the clock of the machine.

use event::{
    Bytes, ClockFlag, Event, Ident, IdentForm, Kind, Millis, Reason, Text, Timeliness, WallTime,
    ZoneMemo,
};

use crate::attlog::AttLine;
use crate::codes;
use crate::error::Fault;
use crate::operlog::{Failure, Operation};
use crate::text::Json;
use crate::upload::Context;

/// Longest PIN of any terminal, in characters.
const PIN_LIMIT: usize = 24;

/// Makes events of one upload.
pub(crate) struct Normalizer<'a> {
    context: &'a Context<'a>,
    memo: ZoneMemo<'a>,
}

impl<'a> Normalizer<'a> {
    /// For one upload.
    pub(crate) fn new(context: &'a Context<'a>) -> Self {
        Self {
            context,
            memo: ZoneMemo::new(context.zone),
        }
    }

    /// An attendance record; `attributes` is asked only when nothing is wrong with the rest.
    pub(crate) fn attendance(
        &mut self,
        line: &AttLine<'_>,
        raw: Bytes,
        attributes: impl FnOnce() -> Option<String>,
    ) -> Result<Event, Fault> {
        let person = person(line.pin)?;
        let wall = wall_time(line.time)?;
        let kind = if line.is_verification() {
            Kind::Access
        } else {
            Kind::Punch
        };
        let ident = Ident::attendance(person.as_bytes(), &wall);
        let status_code = code(line.status)?;
        let verify_code = code(line.verify)?;
        Ok(Event {
            person: Some(person),
            status_code,
            verify_code,
            attributes: limited(attributes())?,
            ..self.dated(ident, kind, &wall, raw)
        })
    }

    /// An operation.
    pub(crate) fn operation(
        &mut self,
        line: &Operation<'_>,
        charset: Option<&str>,
        raw: Bytes,
    ) -> Result<Event, Fault> {
        let vendor_code = code(line.code)?.ok_or(NO_CODE)?;
        if !vendor_code.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Fault::new(
                Reason::BadField,
                "an operation code is a number",
            ));
        }
        let operator = match line.operator {
            "" | "0" => None,
            pin => Some(person(pin)?),
        };
        let wall = wall_time(line.time)?;
        let form = IdentForm::new("opl")
            .field(line.code.as_bytes())
            .field(line.operator.as_bytes())
            .field(&wall.text());
        let ident = line
            .objects()
            .fold(form, |form, object| form.field(object.as_bytes()))
            .finish();
        let (name, kind) = codes::operation(line.code).unzip();
        let mut json = Json::default();
        if let Some(charset) = charset {
            json.text("charset", charset);
        }
        if let Some(name) = name {
            json.text("operation", name);
        }
        if line.code == "3"
            && let Some(alarm) = line.objects().next().and_then(codes::alarm)
        {
            json.text("alarm", alarm);
        }
        if line.objects().any(|object| !matches!(object, "" | "0")) {
            json.texts("objects", line.objects());
        }
        Ok(Event {
            person: operator,
            vendor_code: Some(vendor_code),
            attributes: limited(json.finish())?,
            ..self.dated(ident, kind.unwrap_or(Kind::Operation), &wall, raw)
        })
    }

    /// An error of the terminal; `line` is the whole line, for its identity.
    pub(crate) fn failure(
        &self,
        failure: &Failure<'_>,
        charset: Option<&str>,
        line: &str,
        raw: Bytes,
    ) -> Result<Event, Fault> {
        let vendor_code = code(failure.code)?.ok_or(NO_CODE)?;
        let ident = IdentForm::new("err").field(line.as_bytes()).finish();
        let mut json = Json::default();
        for (key, value) in [
            ("charset", charset.unwrap_or_default()),
            ("error", codes::error(failure.code).unwrap_or_default()),
            ("message", failure.message),
            ("origin", failure.origin),
            ("command", failure.command),
        ] {
            if !value.is_empty() {
                json.text(key, value);
            }
        }
        Ok(Event {
            vendor_code: Some(vendor_code),
            attributes: limited(json.finish())?,
            ..self.blank(ident, Kind::Device, raw)
        })
    }

    /// An event that has a wall time.
    #[inline]
    fn dated(&mut self, ident: Ident, kind: Kind, wall: &WallTime, raw: Bytes) -> Event {
        let resolved = self.memo.resolve(wall);
        let received = self.context.received_at;
        Event {
            local_time: Some(local_time(wall)),
            occurred_at: Some(resolved.at),
            timeliness: Timeliness::of(resolved.at, received),
            clock: ClockFlag::of(resolved, received),
            ..self.blank(ident, kind, raw)
        }
    }

    /// An event with nothing but what every event has.
    #[inline]
    fn blank(&self, ident: Ident, kind: Kind, raw: Bytes) -> Event {
        let received_at: Millis = self.context.received_at;
        Event {
            ident,
            kind,
            person: None,
            card: None,
            local_time: None,
            occurred_at: None,
            received_at,
            status_code: None,
            verify_code: None,
            vendor_code: None,
            direction: None,
            door: None,
            route: self.context.route,
            timeliness: Timeliness::Live,
            clock: ClockFlag::Ok,
            attributes: None,
            raw,
        }
    }
}

const NO_CODE: Fault = Fault::new(Reason::BadField, "no code");

/// A PIN as sent. Blanks and leading zeros make another person, so that they stay.
fn person(pin: &str) -> Result<Text, Fault> {
    if pin.trim_ascii().is_empty() {
        return Err(Fault::new(Reason::BadField, "no PIN"));
    }
    // Bytes are counted first: they are at hand, and no text of 24 bytes has more characters.
    if pin.len() > PIN_LIMIT && (pin.len() > Event::PERSON_LIMIT || pin.chars().count() > PIN_LIMIT)
    {
        return Err(Fault::new(
            Reason::BadField,
            "a PIN of more than 24 characters",
        ));
    }
    Ok(Text::new(pin))
}

/// A wall time as the terminal's clock showed it; blanks around it do not matter.
#[inline]
fn wall_time(text: &str) -> Result<WallTime, Fault> {
    WallTime::parse(text.trim_ascii().as_bytes()).ok_or(Fault::new(
        Reason::BadTime,
        "not a date and time of the years 1970 to 2199",
    ))
}

/// The same text, always with a blank between date and time.
fn local_time(wall: &WallTime) -> Text {
    Text::from_utf8(wall.text()).unwrap_or_default()
}

/// A code as sent; `None` when it is empty.
#[inline]
fn code(text: &str) -> Result<Option<Text>, Fault> {
    let text = text.trim_ascii();
    if text.len() > Event::CODE_LIMIT {
        return Err(Fault::new(
            Reason::BadField,
            "a code longer than any terminal's",
        ));
    }
    Ok((!text.is_empty()).then(|| Text::new(text)))
}

fn limited(attributes: Option<String>) -> Result<Option<String>, Fault> {
    let too_long = |text: &String| text.len() > Event::ATTRIBUTES_LIMIT;
    if attributes.as_ref().is_some_and(too_long) {
        return Err(Fault::new(
            Reason::BadField,
            "columns longer than any terminal's",
        ));
    }
    Ok(attributes)
}
