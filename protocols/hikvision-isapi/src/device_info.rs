//! `GET /ISAPI/System/deviceInfo`: who a device says it is.
//!
//! Its serial number or MAC is the identity that an enrolment is checked against; an address
//! is none, and the `serialNo` of an event is the number of a record. All values are the
//! device's words, cut to length and printable.

use event::Text;

use crate::status::short;
use crate::xml;

/// Where it is read.
pub const DEVICE_INFO_PATH: &str = "/ISAPI/System/deviceInfo";

/// What a device says about itself. Absent and empty are the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceInfo {
    /// `serialNumber`: on most devices model, date and number in one, often longer than 32
    /// characters.
    pub serial: Option<Text>,
    /// `subSerialNumber`: the number alone, as on the label.
    pub sub_serial: Option<Text>,
    /// `model`.
    pub model: Option<Text>,
    /// `deviceName`, given by the installer.
    pub name: Option<Text>,
    /// `deviceType`.
    pub device_type: Option<Text>,
    /// `firmwareVersion` and, where given, `firmwareReleasedDate` after a blank.
    pub firmware: Option<Text>,
    /// `macAddress` as twelve lower-case digits without separators; `None` when it is not one.
    pub mac: Option<Text>,
}

impl DeviceInfo {
    /// Reads the document; `None` when it is no XML or no `DeviceInfo`.
    pub fn read(body: &[u8]) -> Option<Self> {
        let root = xml::parse(body).ok()?;
        if !root.name.eq_ignore_ascii_case("DeviceInfo") {
            return None;
        }
        let text = |name: &str| root.text_of(name).map(short);
        let build = text("firmwareReleasedDate");
        let firmware = match (text("firmwareVersion"), build) {
            (Some(version), Some(build)) => Some(short(&format!("{version} {build}"))),
            (version, _) => version,
        };
        Some(Self {
            serial: text("serialNumber"),
            sub_serial: text("subSerialNumber"),
            model: text("model"),
            name: text("deviceName"),
            device_type: text("deviceType"),
            firmware,
            mac: root.text_of("macAddress").and_then(plain_mac),
        })
    }

    /// Whether `serial` (of an enrolment) names this device: its full serial, the number
    /// alone, or the full one with another prefix. Case is ignored. At least 6 characters,
    /// so that a fragment names nobody.
    pub fn is_named(&self, serial: &str) -> bool {
        if serial.len() < 6 {
            return false;
        }
        let full = self.serial.as_deref().unwrap_or_default();
        let tail = full.len().checked_sub(serial.len());
        let ends = tail.and_then(|at| full.get(at..));
        let sub = self.sub_serial.as_deref();
        [ends, sub]
            .iter()
            .flatten()
            .any(|known| known.eq_ignore_ascii_case(serial))
    }
}

/// A MAC address without its separators, in lower case.
fn plain_mac(text: &str) -> Option<Text> {
    let digits = text.chars().filter(|c| !matches!(c, ':' | '-' | '.'));
    let plain: Text = digits.map(|c| c.to_ascii_lowercase()).take(13).collect();
    let is_mac = plain.len() == 12 && plain.bytes().all(|b| b.is_ascii_hexdigit());
    (is_mac && plain != "000000000000").then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &str = "<?xml version=\"1.0\"?><DeviceInfo version=\"2.0\" xmlns=\"http://www.isapi.org/ver20/XMLSchema\">\
        <deviceName>Gate\u{7}</deviceName><deviceID>255</deviceID><model>DS-K1T342MX</model>\
        <serialNumber>DS-K1T342MX20240101V030305ENAB1234567</serialNumber><macAddress>00:00:5E:00:53:0a</macAddress>\
        <firmwareVersion>V3.3.5</firmwareVersion><firmwareReleasedDate>build 240101</firmwareReleasedDate>\
        <subSerialNumber>AB1234567</subSerialNumber><bootVersion/></DeviceInfo>";

    #[test]
    fn a_device_is_read_with_what_it_says() {
        let info = DeviceInfo::read(BODY.as_bytes()).unwrap();
        assert_eq!(
            info.serial.as_deref(),
            Some("DS-K1T342MX20240101V030305ENAB1234567")
        );
        assert_eq!(info.mac.as_deref(), Some("00005e00530a"));
        assert_eq!(info.firmware.as_deref(), Some("V3.3.5 build 240101"));
        assert_eq!(info.name.as_deref(), Some("Gate "));
        assert_eq!(info.device_type, None);
        assert_eq!(DeviceInfo::read(b"<ResponseStatus/>"), None);
    }

    #[test]
    fn an_enrolment_names_the_device_by_its_full_or_its_short_number_only() {
        let info = DeviceInfo::read(BODY.as_bytes()).unwrap();
        for right in [
            "ab1234567",
            "DS-K1T342MX20240101V030305ENAB1234567",
            "V030305ENAB1234567",
        ] {
            assert!(info.is_named(right), "{right}");
        }
        for wrong in [
            "",
            "34567",
            "AB1234568",
            "DS-K1T342MX",
            "XDS-K1T342MX20240101V030305ENAB1234567",
        ] {
            assert!(!info.is_named(wrong), "{wrong}");
        }
        assert!(!DeviceInfo::default().is_named("AB1234567"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(value in "[ -~é\u{0}]{0,200}", name in "[ -~é]{0,40}") {
            let body = format!("<DeviceInfo><serialNumber>{value}</serialNumber><macAddress>{value}</macAddress></DeviceInfo>");
            if let Some(info) = DeviceInfo::read(body.as_bytes()) {
                let _ = info.is_named(&name);
                prop_assert!(info.mac.is_none_or(|m| m.len() == 12));
            }
        }
    }
}
