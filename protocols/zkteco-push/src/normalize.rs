//! Records to events: the one place that decides what a vendor's field becomes.
//!
//! | Record | kind | person | identity (form, then fields) |
//! |---|---|---|---|
//! | `ATTLOG` | punch; access when it is a verification (type 1) | PIN | `att`, PIN, wall second |
//! | `OPLOG` | by code: operation, device, alarm, access | operator, unless `0` | `opl`, code, operator, wall second, each object |
//! | `ERRORLOG` | device | nobody | `err`, the whole line |
//! | `rtlog`, `transaction` | by code: access, alarm, device; never punch | PIN, unless `0` | `acc`, index, wall second, event, PIN, card, door |
//!
//! Direction is set for access events alone, and there only when a person passed: no status key
//! of the attendance dialect has a certain meaning. In the form `acc` numbers are without leading
//! zeros, "nobody" and "no index" are empty, and the card stands only where there is no index:
//! `rtlog` and `transaction` write the same card differently. Identities are over the
//! decoded text as UTF-8 bytes and frozen by the rows they have made. Times are never
//! corrected; a doubtful clock is flagged. Nothing here looks at the clock of the machine.

use event::{
    Bytes, ClockFlag, Direction, Event, Ident, IdentForm, Kind, Millis, Text, Timeliness, WallTime,
    ZoneMemo,
};

use crate::access::codes::{self as access_codes, Class};
use crate::access::line::{AccessLine, plain_number, some};
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
        let vendor_code = code(line.code)?.ok_or(Fault::NO_CODE)?;
        if !vendor_code.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Fault::CODE_NUMBER);
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

    /// An access event, from either of its two tables.
    pub(crate) fn access(
        &mut self,
        line: &AccessLine<'_>,
        charset: Option<&str>,
        raw: Bytes,
    ) -> Result<Event, Fault> {
        let wall = line.wall()?;
        let vendor_code = code(plain_number(line.event))?.ok_or(Fault::NO_CODE)?;
        let who = some(line.pin).map(person).transpose()?;
        let (name, class) = access_codes::event(&vendor_code);
        let event = Event {
            card: some(line.card).map(card).transpose()?,
            direction: direction(line.state, class, who.is_some()),
            status_code: code(line.state)?,
            verify_code: code(line.verify)?,
            door: some(line.door).map_or(Ok(None), code)?,
            attributes: limited(access_attributes(line, name, charset))?,
            ..self.dated(access_ident(line, &wall), class.kind(), &wall, raw)
        };
        Ok(Event {
            person: who,
            vendor_code: Some(vendor_code),
            ..event
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
        let vendor_code = code(failure.code)?.ok_or(Fault::NO_CODE)?;
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

/// What makes an access event the same whether it came as `rtlog` or as a transaction.
fn access_ident(line: &AccessLine<'_>, wall: &WallTime) -> Ident {
    let index = some(line.index).map_or("", plain_number);
    let card = if index.is_empty() {
        some(line.card)
    } else {
        None
    };
    IdentForm::new("acc")
        .field(index.as_bytes())
        .field(&wall.text())
        .field(plain_number(line.event).as_bytes())
        .field(some(line.pin).unwrap_or_default().as_bytes())
        .field(card.unwrap_or_default().as_bytes())
        .field(plain_number(line.door).as_bytes())
        .finish()
}

/// Which way a person went who passed. Whoever was refused went no way.
fn direction(state: &str, class: Class, person: bool) -> Option<Direction> {
    match state {
        _ if class != Class::Passed || !person => None,
        "0" => Some(Direction::In),
        "1" => Some(Direction::Out),
        _ => None,
    }
}

fn access_attributes(
    line: &AccessLine<'_>,
    name: Option<&str>,
    charset: Option<&str>,
) -> Option<String> {
    let mut json = Json::default();
    if let Some(charset) = charset {
        json.text("charset", charset);
    }
    if let Some(name) = name {
        json.text("event", name);
    }
    if let Some(verify) = some(line.verify).and_then(access_codes::verify) {
        json.text("verify", &verify);
    }
    if let Some(index) = some(line.index) {
        json.text("index", plain_number(index));
    }
    // 255 is the terminals' word for "not measured".
    let told = line
        .further
        .iter()
        .filter(|(_, value)| some(value).is_some() && *value != "255");
    told.for_each(|(name, value)| json.text(name, value));
    if !line.extra.is_empty() {
        let pairs = line
            .extra
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        let pairs: Vec<String> = pairs.collect();
        json.texts("extra", pairs.iter().map(String::as_str));
    }
    json.finish()
}

fn card(card: &str) -> Result<Text, Fault> {
    if card.len() > Event::PERSON_LIMIT {
        return Err(Fault::LONG_CARD);
    }
    Ok(Text::new(card))
}

/// A PIN as sent. Blanks and leading zeros make another person, so that they stay.
fn person(pin: &str) -> Result<Text, Fault> {
    if pin.trim_ascii().is_empty() {
        return Err(Fault::NO_PIN);
    }
    // Bytes are counted first: they are at hand, and no text of 24 bytes has more characters.
    if pin.len() > PIN_LIMIT && (pin.len() > Event::PERSON_LIMIT || pin.chars().count() > PIN_LIMIT)
    {
        return Err(Fault::LONG_PIN);
    }
    Ok(Text::new(pin))
}

/// A wall time as the terminal's clock showed it; blanks around it do not matter.
#[inline]
fn wall_time(text: &str) -> Result<WallTime, Fault> {
    WallTime::parse(text.trim_ascii().as_bytes()).ok_or(Fault::NO_TIME)
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
        return Err(Fault::LONG_CODE);
    }
    Ok((!text.is_empty()).then(|| Text::new(text)))
}

fn limited(attributes: Option<String>) -> Result<Option<String>, Fault> {
    let too_long = |text: &String| text.len() > Event::ATTRIBUTES_LIMIT;
    if attributes.as_ref().is_some_and(too_long) {
        return Err(Fault::LONG_COLUMNS);
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ident(line: &str) -> Ident {
        let line = AccessLine::parse(line);
        let wall = line.wall().unwrap();
        access_ident(&line, &wall)
    }

    #[test]
    fn the_access_form_is_frozen_byte_for_byte() {
        let form = |fields: [&[u8]; 7]| {
            let mut form = vec![1u8];
            for field in fields {
                form.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
                form.extend(field);
            }
            form
        };
        let time = b"2026-11-21 10:15:30";
        let with_index = form([b"acc", b"21", time, b"0", b"1001", b"", b"1"]);
        assert_eq!(
            ident(
                "time=2026-11-21 10:15:30\tpin=1001\tcardno=0A1B\teventaddr=1\tevent=0\tindex=21"
            ),
            hashed(&with_index)
        );
        let without = form([b"acc", b"", time, b"27", b"", b"505931040", b"2"]);
        assert_eq!(
            ident("time=2026-11-21 10:15:30\tpin=0\tcardno=505931040\teventaddr=2\tevent=27"),
            hashed(&without)
        );
    }

    fn hashed(form: &[u8]) -> Ident {
        let bytes: [u8; 16] = blake3::hash(form).as_bytes()[..16].try_into().unwrap();
        Ident(bytes)
    }

    #[test]
    fn the_same_event_as_rtlog_and_as_transaction_is_one_event() {
        let live = "time=2026-11-21 10:15:30\tpin=1001\tcardno=1E27EAE0\teventaddr=1\tevent=0\tinoutstatus=0\tverifytype=0000100000000000\tindex=21";
        let row = "transaction cardno=505932512\tpin=1001\tverified=4\tdoorid=01\teventtype=00\tinoutstate=0\ttime_second=864209730\tindex=0021";
        assert_eq!(ident(live), ident(row));
        for other in [
            "time=2026-11-21 10:15:31\tpin=1001\teventaddr=1\tevent=0\tindex=21",
            "time=2026-11-21 10:15:30\tpin=01001\teventaddr=1\tevent=0\tindex=21",
            "time=2026-11-21 10:15:30\tpin=1001\teventaddr=2\tevent=0\tindex=21",
            "time=2026-11-21 10:15:30\tpin=1001\teventaddr=1\tevent=1\tindex=21",
            "time=2026-11-21 10:15:30\tpin=1001\teventaddr=1\tevent=0\tindex=22",
        ] {
            assert_ne!(ident(live), ident(other), "{other}");
        }
    }

    #[test]
    fn only_a_person_who_passed_has_a_direction() {
        assert_eq!(direction("0", Class::Passed, true), Some(Direction::In));
        assert_eq!(direction("1", Class::Passed, true), Some(Direction::Out));
        assert_eq!(direction("2", Class::Passed, true), None);
        assert_eq!(direction("0", Class::Passed, false), None);
        assert_eq!(direction("0", Class::Refused, true), None);
        assert_eq!(direction("1", Class::Door, true), None);
    }
}
