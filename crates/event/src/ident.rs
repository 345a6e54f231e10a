//! What makes two records the same event.
//!
//! An [`Ident`] is the first 16 bytes of BLAKE3 over a canonical form: one version byte, then
//! each field with its length before it (4 bytes, big end first), the first field naming the
//! form. Content only: never the time of receipt, the route, the grouping into requests, nor
//! anything that a database's collation could fold. Push, pull and backfill of one punch thus
//! meet in one row.
//!
//! The forms below are frozen by the rows they have made. A change needs a new version and a
//! migration that rewrites a device's keys before its intake goes on.

use std::fmt;

use crate::{DeviceId, WallTime};

/// The version byte that starts every canonical form.
const VERSION: u8 = 1;

/// Identity of an event within its device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ident(pub [u8; 16]);

impl Ident {
    /// An attendance punch, whatever its route: a person at a terminal at a second.
    ///
    /// Status, verify mode, work code and reserved fields stay out, because routes and
    /// re-uploads of one punch differ in them.
    pub fn attendance(pin: &[u8], at: &WallTime) -> Self {
        // The same bytes as the form below writes, put together without moving a buffer about.
        const HEAD: [u8; 8] = *b"\x01\0\0\0\x03att";
        let mut form = [0; 128];
        let end = 35 + pin.len();
        let (Some(room), Ok(length)) = (form.get_mut(..end), u32::try_from(pin.len())) else {
            return IdentForm::new("att").field(pin).field(&at.text()).finish();
        };
        let (head, rest) = room.split_at_mut(8);
        let (pin_length, rest) = rest.split_at_mut(4);
        let (pin_room, rest) = rest.split_at_mut(pin.len());
        let (time_length, time) = rest.split_at_mut(4);
        head.copy_from_slice(&HEAD);
        pin_length.copy_from_slice(&length.to_be_bytes());
        pin_room.copy_from_slice(pin);
        time_length.copy_from_slice(&19u32.to_be_bytes());
        time.copy_from_slice(&at.text());
        Self(first16(&blake3::hash(room)))
    }

    /// Reads exactly 16 bytes, as the databases hold it.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ident(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// A canonical form being written.
///
/// Fields are kept in a small buffer on the stack and hashed in one go, which is several
/// times faster than feeding the hash piecewise; a form that outgrows the buffer goes on
/// through the incremental hash with the same result.
pub struct IdentForm {
    buffer: [u8; 256],
    used: usize,
    overflow: Option<Box<blake3::Hasher>>,
}

impl IdentForm {
    /// Starts a form with its name, for example `att`.
    pub fn new(name: &str) -> Self {
        let mut form = Self {
            buffer: [0; 256],
            used: 0,
            overflow: None,
        };
        form.push(&[VERSION]);
        form.field(name.as_bytes())
    }

    /// Adds one field with its length before it.
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Self {
        // A field longer than 4 GiB cannot reach us (bodies are limited to far less); the
        // saturated length would still be followed by all of its bytes.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.push(&length.to_be_bytes());
        self.push(bytes);
        self
    }

    /// The identity of what was written.
    pub fn finish(self) -> Ident {
        let hash = match &self.overflow {
            Some(hasher) => hasher.finalize(),
            None => blake3::hash(self.buffer.get(..self.used).unwrap_or_default()),
        };
        Ident(first16(&hash))
    }

    fn push(&mut self, bytes: &[u8]) {
        if let Some(hasher) = &mut self.overflow {
            hasher.update(bytes);
            return;
        }
        let end = self.used + bytes.len();
        if let Some(room) = self.buffer.get_mut(self.used..end) {
            room.copy_from_slice(bytes);
            self.used = end;
        } else {
            let mut hasher = Box::new(blake3::Hasher::new());
            hasher.update(self.buffer.get(..self.used).unwrap_or_default());
            hasher.update(bytes);
            self.overflow = Some(hasher);
        }
    }
}

fn first16(hash: &blake3::Hash) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(hash.as_bytes().split_at(16).0);
    out
}

/// The name of an event for the whole world: BLAKE3 of device and identity, stable across
/// restores and installations.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventUid(pub [u8; 32]);

impl EventUid {
    /// The name of the event `ident` of `device`.
    pub fn of(device: DeviceId, ident: Ident) -> Self {
        let mut both = [0; 32];
        let (left, right) = both.split_at_mut(16);
        left.copy_from_slice(&device.0);
        right.copy_from_slice(&ident.0);
        Self(*blake3::hash(&both).as_bytes())
    }
}

impl fmt::Display for EventUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EventUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventUid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn second(text: &str) -> WallTime {
        WallTime::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_attendance_form_is_frozen_byte_for_byte() {
        let mut form = vec![1u8];
        for field in [&b"att"[..], b"1001", b"2026-11-21 10:15:30"] {
            form.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
            form.extend(field);
        }
        let expected: [u8; 16] = blake3::hash(&form).as_bytes()[..16].try_into().unwrap();
        let got = Ident::attendance(b"1001", &second("2026-11-21 10:15:30"));
        assert_eq!(got, Ident(expected));
        assert_eq!(
            format!("{got:?}"),
            "Ident(ab515376fe80d5631251800c7cb86f57)"
        );
    }

    #[test]
    fn leading_zeros_and_case_of_a_pin_make_another_person() {
        let at = second("2026-11-21 10:15:30");
        let all = ["7", "07", "a", "A", "José", "Jose", "a "]
            .map(|p| Ident::attendance(p.as_bytes(), &at));
        for (i, one) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|other| other != one));
        }
    }

    #[test]
    fn what_a_database_holds_reads_back_and_a_uid_is_of_both_halves() {
        let (device, ident) = (DeviceId([1; 16]), Ident([2; 16]));
        assert_eq!(Ident::from_slice(&ident.0), Some(ident));
        assert_eq!(Ident::from_slice(&[2; 15]), None);
        let both = [device.0, ident.0].concat();
        let uid = EventUid::of(device, ident);
        assert_eq!(uid.to_string(), blake3::hash(&both).to_hex().as_str());
        assert_eq!(format!("{uid:?}"), format!("EventUid({uid})"));
    }

    proptest! {
        #[test]
        fn moving_bytes_between_fields_changes_the_identity(a in "[a-z]{1,40}", b in "[a-z]{1,400}") {
            let joined = format!("{a}{b}");
            let apart = IdentForm::new("x").field(a.as_bytes()).field(b.as_bytes()).finish();
            prop_assert_ne!(apart, IdentForm::new("x").field(joined.as_bytes()).field(b"").finish());
            prop_assert_ne!(apart, IdentForm::new("x").field(joined.as_bytes()).finish());
        }

        #[test]
        fn the_small_buffer_and_the_long_way_agree(fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6)) {
            let mut whole = vec![VERSION];
            whole.extend(1u32.to_be_bytes());
            whole.push(b'x');
            let mut form = IdentForm::new("x");
            for field in &fields {
                whole.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
                whole.extend(field);
                form = form.field(field);
            }
            let whole = first16(&blake3::hash(&whole));
            prop_assert_eq!(form.finish().0, whole);
        }
    }
}
