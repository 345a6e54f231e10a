//! `GET /ISAPI/System/time`: what a device's own clock shows.
//!
//! Read to know how far it is from ours, never to correct an event by it. Source: the public
//! ISAPI document, `Time` with `timeMode`, `localTime` and `timeZone`; `localTime` carries the
//! offset on the devices met, and the zone text is POSIX with its sign turned round, so that it
//! is left alone.

use crate::DeviceTime;
use crate::xml;

/// Where it is read.
pub const CLOCK_PATH: &str = "/ISAPI/System/time";

/// The time in the document; `None` when it is no XML, no `Time`, or shows no readable time.
pub fn read_clock(body: &[u8]) -> Option<DeviceTime> {
    let root = xml::parse(body).ok()?;
    if !root.name.eq_ignore_ascii_case("Time") {
        return None;
    }
    let time = DeviceTime::read(root.text_of("localTime")?);
    time.wall.is_some().then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_read_with_its_offset_and_nothing_else_is_taken_for_one() {
        let body = |time: &str| {
            format!(
                "<?xml version=\"1.0\"?><Time version=\"2.0\" xmlns=\"http://www.isapi.org/ver20/XMLSchema\">\
                 <timeMode>NTP</timeMode><localTime>{time}</localTime>\
                 <timeZone>CST+6:00:00</timeZone></Time>"
            )
        };
        let time = read_clock(body("2026-11-21T09:15:30-06:00").as_bytes()).unwrap();
        assert_eq!(time.wall.unwrap().to_string(), "2026-11-21 09:15:30");
        assert_eq!(time.offset, Some(-21_600));
        let plain = read_clock(body("2026-11-21T09:15:30").as_bytes()).unwrap();
        assert_eq!(plain.offset, None);
        for wrong in [
            body("soon").as_str(),
            "<Time/>",
            "<DeviceInfo/>",
            "",
            "\u{0}<",
        ] {
            assert_eq!(read_clock(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
