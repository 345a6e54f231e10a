//! The form in which a submission stands in the journal: compact, versioned, checked.
//!
//! One version byte, eight bytes of BLAKE3 over everything after them, then the fields in the
//! order of the structures, lengths as variable-length numbers, words as the databases spell
//! them. What a disk has changed must never come back as an event, and what an earlier version
//! wrote must stay readable: a new form gets a new version byte beside the old one.

use std::sync::Arc;

use event::{
    Bytes, ClockFlag, Device, DeviceId, Direction, Event, Ident, Kind, Millis, Quarantined, Reason,
    Route, Serial, TenantId, Text, Timeliness, Vendor, Zone,
};

use crate::{Fence, Submission};

/// The form that is written.
const VERSION: u8 = 1;
/// Bytes of the hash that are kept.
const CHECK: usize = 8;

/// Why a body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it is of a version that this program does not know")]
    Version,
    #[error("its bytes are not the ones that were written")]
    Damaged,
    #[error("its {0} cannot be read")]
    Field(&'static str),
}

/// The body of a row. What a submission expects of a cursor is not kept: a row of the journal
/// is written whatever the cursor is by then.
pub(crate) fn encode(submission: &Submission) -> Vec<u8> {
    let mut fields = Out(Vec::with_capacity(512));
    fields.device(&submission.device);
    fields.number(submission.events.len());
    for event in &submission.events {
        fields.event(event);
    }
    fields.number(submission.quarantined.len());
    for record in &submission.quarantined {
        fields.quarantined(record);
    }
    fields.number(submission.cursors.len());
    for (name, value) in &submission.cursors {
        fields.text(name);
        fields.text(value);
    }
    let fence = submission.fence.map(|fence| fence.number);
    fields.opt(fence, |out, number| out.int(number));
    let hash = blake3::hash(&fields.0);
    let mut body = Vec::with_capacity(1 + CHECK + fields.0.len());
    body.push(VERSION);
    body.extend_from_slice(hash.as_bytes().split_at(CHECK).0);
    body.extend_from_slice(&fields.0);
    body
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode(body: &[u8]) -> Result<Submission, Unreadable> {
    let Some((&VERSION, rest)) = body.split_first() else {
        return Err(Unreadable::Version);
    };
    let (check, fields) = rest.split_at_checked(CHECK).ok_or(Unreadable::Damaged)?;
    if blake3::hash(fields).as_bytes().split_at(CHECK).0 != check {
        return Err(Unreadable::Damaged);
    }
    let mut fields = In(fields);
    let submission = Submission {
        device: Arc::new(fields.device()?),
        events: fields.list(In::event)?,
        quarantined: fields.list(In::quarantined)?,
        cursors: fields.list(|fields| Ok((fields.text("cursor")?, fields.text("cursor")?)))?,
        expects: None,
        fence: fields
            .opt(|fields| fields.int("fence"))?
            .map(|number| Fence { number }),
    };
    if fields.0.is_empty() {
        Ok(submission)
    } else {
        Err(Unreadable::Field("end"))
    }
}

/// Fields being written.
struct Out(Vec<u8>);

impl Out {
    fn number(&mut self, mut n: usize) {
        while n >= 0x80 {
            self.0
                .push(u8::try_from(n & 0x7f).unwrap_or_default() | 0x80);
            n >>= 7;
        }
        self.0.push(u8::try_from(n).unwrap_or_default());
    }

    fn int(&mut self, n: i64) {
        self.0.extend_from_slice(&n.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn opt<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn opt_text(&mut self, text: Option<&str>) {
        self.opt(text, Self::text);
    }

    fn device(&mut self, device: &Device) {
        self.0.extend_from_slice(&device.id.0);
        self.opt_text(device.tenant.as_ref().map(TenantId::as_str));
        self.text(device.vendor.as_str());
        self.text(device.serial.as_str());
        self.opt_text(device.name.as_deref());
        self.opt_text(device.site.as_deref());
        self.text(device.zone.name());
        self.0.push(u8::from(device.canary));
    }

    fn event(&mut self, event: &Event) {
        self.0.extend_from_slice(&event.ident.0);
        self.text(event.kind.as_str());
        self.opt_text(event.person.as_deref());
        self.opt_text(event.card.as_deref());
        self.opt_text(event.local_time.as_deref());
        self.opt(event.occurred_at, |out, at| out.int(at.0));
        self.int(event.received_at.0);
        self.opt_text(event.status_code.as_deref());
        self.opt_text(event.verify_code.as_deref());
        self.opt_text(event.vendor_code.as_deref());
        self.opt_text(event.direction.map(Direction::as_str));
        self.opt_text(event.door.as_deref());
        self.text(event.route.as_str());
        self.text(event.timeliness.as_str());
        self.text(event.clock.as_str());
        self.opt_text(event.attributes.as_deref());
        self.bytes(&event.raw);
    }

    fn quarantined(&mut self, record: &Quarantined) {
        self.text(record.reason.as_str());
        self.text(&record.detail);
        self.text(&record.source);
        self.text(record.route.as_str());
        self.int(record.received_at.0);
        self.bytes(&record.raw);
    }
}

/// What is left to be read. Each method is told the field's name, for the error.
struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(Unreadable::Field(field))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Unreadable> {
        let taken = self.take(N, field)?;
        taken.try_into().map_err(|_| Unreadable::Field(field))
    }

    fn byte(&mut self, field: &'static str) -> Result<u8, Unreadable> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    fn number(&mut self, field: &'static str) -> Result<usize, Unreadable> {
        let mut n = 0_u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte(field)?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(n).map_err(|_| Unreadable::Field(field));
            }
        }
        Err(Unreadable::Field(field))
    }

    fn int(&mut self, field: &'static str) -> Result<i64, Unreadable> {
        self.array(field).map(i64::from_be_bytes)
    }

    fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], Unreadable> {
        let count = self.number(field)?;
        self.take(count, field)
    }

    fn str(&mut self, field: &'static str) -> Result<&'a str, Unreadable> {
        std::str::from_utf8(self.bytes(field)?).map_err(|_| Unreadable::Field(field))
    }

    fn text(&mut self, field: &'static str) -> Result<Text, Unreadable> {
        self.str(field).map(Text::new)
    }

    fn word<T>(
        &mut self,
        read: impl FnOnce(&str) -> Option<T>,
        field: &'static str,
    ) -> Result<T, Unreadable> {
        read(self.str(field)?).ok_or(Unreadable::Field(field))
    }

    fn opt<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, Unreadable> {
        match self.byte("mark of presence")? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Unreadable::Field("mark of presence")),
        }
    }

    fn opt_text(&mut self, field: &'static str) -> Result<Option<Text>, Unreadable> {
        self.opt(|fields| fields.text(field))
    }

    fn list<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, Unreadable> {
        let count = self.number("count")?;
        (0..count).map(|_| read(self)).collect()
    }

    fn device(&mut self) -> Result<Device, Unreadable> {
        let wrong = |field| move |_| Unreadable::Field(field);
        Ok(Device {
            id: DeviceId(self.array("device")?),
            tenant: self
                .opt(|fields| TenantId::new(fields.str("tenant")?).map_err(wrong("tenant")))?,
            vendor: self.word(Vendor::from_word, "vendor")?,
            serial: Serial::new(self.str("serial")?).map_err(wrong("serial"))?,
            name: self.opt_text("name")?,
            site: self.opt_text("site")?,
            zone: self.word(|name| Zone::named(name).ok(), "time zone")?,
            canary: self.byte("canary")? != 0,
        })
    }

    fn event(&mut self) -> Result<Event, Unreadable> {
        Ok(Event {
            ident: Ident(self.array("identity")?),
            kind: self.word(Kind::from_word, "kind")?,
            person: self.opt_text("person")?,
            card: self.opt_text("card")?,
            local_time: self.opt_text("local time")?,
            occurred_at: self.opt(|fields| fields.int("time").map(Millis))?,
            received_at: Millis(self.int("time of receipt")?),
            status_code: self.opt_text("status")?,
            verify_code: self.opt_text("verify mode")?,
            vendor_code: self.opt_text("code")?,
            direction: self.opt(|fields| fields.word(Direction::from_word, "direction"))?,
            door: self.opt_text("door")?,
            route: self.word(Route::from_word, "route")?,
            timeliness: self.word(Timeliness::from_word, "timeliness")?,
            clock: self.word(ClockFlag::from_word, "clock")?,
            attributes: self.opt(|fields| fields.str("attributes").map(str::to_owned))?,
            raw: Bytes::copy_from_slice(self.bytes("raw")?),
        })
    }

    fn quarantined(&mut self) -> Result<Quarantined, Unreadable> {
        Ok(Quarantined {
            reason: self.word(Reason::from_word, "reason")?,
            detail: self.text("detail")?,
            source: self.text("source")?,
            route: self.word(Route::from_word, "route")?,
            received_at: Millis(self.int("time of receipt")?),
            raw: Bytes::copy_from_slice(self.bytes("raw")?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::option::of;
    use proptest::prelude::*;
    use proptest::sample::select;

    fn text() -> impl Strategy<Value = Text> {
        ".{0,40}".prop_map(Text::from)
    }

    fn raw() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..400).prop_map(Bytes::from)
    }

    prop_compose! {
        fn device()(
            id in any::<[u8; 16]>(), tenant in of("[a-z]{1,64}"), serial in "[A-Z0-9]{1,32}",
            vendor in select(vec![Vendor::Zkteco, Vendor::Hikvision, Vendor::Other, Vendor::Satellite]),
            (name, site, canary) in (of(text()), of(text()), any::<bool>()),
            zone in select(vec!["UTC", "America/Mexico_City", "Asia/Kolkata"]),
        ) -> Device {
            Device {
                id: DeviceId(id), vendor, name, site, canary,
                tenant: tenant.map(|name| TenantId::new(&name).unwrap()),
                serial: Serial::new(&serial).unwrap(),
                zone: Zone::named(zone).unwrap(),
            }
        }
    }

    prop_compose! {
        fn event()(
            ident in any::<[u8; 16]>(), kind in select(Kind::ALL),
            (person, card, local_time) in (of(text()), of(text()), of(text())),
            (occurred_at, received_at) in (of(any::<i64>()), any::<i64>()),
            (status_code, verify_code, vendor_code) in (of(text()), of(text()), of(text())),
            (direction, door, route) in (of(select(Direction::ALL)), of(text()), select(Route::ALL)),
            (timeliness, clock) in (select(Timeliness::ALL), select(ClockFlag::ALL)),
            attributes in of(".{0,300}"), raw in raw(),
        ) -> Event {
            Event {
                ident: Ident(ident), kind, person, card, local_time,
                occurred_at: occurred_at.map(Millis), received_at: Millis(received_at),
                status_code, verify_code, vendor_code, direction, door, route, timeliness, clock,
                attributes, raw,
            }
        }
    }

    prop_compose! {
        fn quarantined()(
            reason in select(Reason::ALL), detail in text(), source in text(),
            route in select(Route::ALL), at in any::<i64>(), raw in raw(),
        ) -> Quarantined {
            Quarantined { reason, detail, source, route, received_at: Millis(at), raw }
        }
    }

    prop_compose! {
        fn submission()(
            device in device(),
            events in prop::collection::vec(event(), 0..5),
            quarantined in prop::collection::vec(quarantined(), 0..4),
            cursors in prop::collection::vec((text(), text()), 0..4),
            fence in of(any::<i64>()),
        ) -> Submission {
            Submission {
                device: device.into(), events, quarantined, cursors,
                expects: None,
                fence: fence.map(|number| Fence { number }),
            }
        }
    }

    proptest! {
        #[test]
        fn any_submission_comes_back_equal(submission in submission()) {
            prop_assert_eq!(decode(&encode(&submission)), Ok(submission));
        }

        #[test]
        fn a_changed_or_missing_byte_is_noticed(submission in submission(), at in any::<prop::sample::Index>(), by in 1u8..) {
            let whole = encode(&submission);
            let at = at.index(whole.len());
            let mut changed = whole.clone();
            changed[at] ^= by;
            prop_assert!(decode(&changed).is_err());
            prop_assert!(decode(&whole[..at]).is_err());
        }

        #[test]
        fn whatever_the_bytes_are_reading_them_ends(fields in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut body = vec![VERSION];
            body.extend_from_slice(&blake3::hash(&fields).as_bytes()[..CHECK]);
            body.extend_from_slice(&fields);
            prop_assert_ne!(decode(&body), Err(Unreadable::Damaged));
        }
    }

    /// A journal that was written must be readable by every later version.
    #[test]
    fn the_first_form_is_frozen() {
        let submission = Submission {
            device: Arc::new(Device {
                id: DeviceId([7; 16]),
                tenant: Some(TenantId::new("acme").unwrap()),
                vendor: Vendor::Hikvision,
                serial: Serial::new("DS1").unwrap(),
                name: None,
                site: None,
                zone: Zone::utc(),
                canary: false,
            }),
            events: vec![],
            quarantined: vec![Quarantined {
                reason: Reason::Unreadable,
                detail: Text::const_new("x"),
                source: Text::const_new("alert"),
                route: Route::Listen,
                received_at: Millis(1),
                raw: Bytes::from(vec![9; 200]),
            }],
            cursors: vec![],
            expects: None,
            fence: Some(Fence { number: 3 }),
        };
        let mut fields = vec![7; 16];
        fields.extend_from_slice(b"\x01\x04acme\x09hikvision\x03DS1\0\0\x03UTC\0");
        fields.extend_from_slice(b"\0\x01\x0aunreadable\x01x\x05alert\x06listen\0\0\0\0\0\0\0\x01");
        fields.extend_from_slice(b"\xc8\x01");
        fields.extend_from_slice(&[9; 200]);
        fields.extend_from_slice(b"\0\x01\0\0\0\0\0\0\0\x03");
        let body = encode(&submission);
        assert_eq!(body[0], 1);
        assert_eq!(&body[1 + CHECK..], fields);
        assert_eq!(decode(&[2, 0, 0]), Err(Unreadable::Version));
    }
}
