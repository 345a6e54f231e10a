//! How an event is told on a stream or in a post: JSON or XML, in the spelling of devices.
//!
//! JSON is TAB-indented with a TAB after each colon. A field that a device leaves out is left
//! out here. Pictures are noise with everything in them that confuses a careless reader:
//! braces, angle brackets, line ends, and the beginning of a delimiter.

use std::fmt::Write as _;
use std::io;
use std::sync::OnceLock;

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use super::machine::{Machine, Placed};
use super::options::Words;

/// Names of the attendance status, by its number.
const STATUS: [&str; 7] = [
    "undefined",
    "checkIn",
    "checkOut",
    "breakOut",
    "breakIn",
    "overtimeIn",
    "overTimeOut",
];

/// The name of an attendance status.
pub(super) fn status_name(status: u8) -> &'static str {
    STATUS
        .get(usize::from(status))
        .copied()
        .unwrap_or("undefined")
}

/// What surrounds an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling {
    pub(super) port: u16,
    /// `currentEvent`, where the device tells it.
    pub(super) current: Option<bool>,
    /// False: no serial at all.
    pub(super) serials: bool,
    pub(super) front: u64,
    pub(super) pictures: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    ip_address: &'static str,
    port_no: u16,
    protocol: &'static str,
    mac_address: &'a str,
    #[serde(rename = "channelID")]
    channel_id: u16,
    date_time: String,
    active_post_count: u8,
    event_type: &'static str,
    event_state: &'static str,
    event_description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_serial_number: Option<&'a str>,
    #[serde(
        rename = "AccessControllerEvent",
        skip_serializing_if = "Option::is_none"
    )]
    access: Option<Access<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Access<'a> {
    device_name: &'static str,
    major_event_type: u16,
    sub_event_type: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    net_user: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_host_addr: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    report_channel: u8,
    card_reader_no: u8,
    door_no: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    employee_no_string: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_no: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    front_serial_no: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_event: Option<bool>,
    user_type: &'static str,
    current_verify_mode: &'static str,
    attendance_status: &'static str,
    status_value: u8,
    mask: &'static str,
    pictures_number: u8,
}

#[derive(Serialize)]
struct Nested<'a> {
    #[serde(rename = "EventNotificationAlert")]
    alert: &'a Alert<'a>,
}

/// The last part of a serial, as some devices tell it.
pub(super) fn short_serial(serial: &str) -> &str {
    serial
        .get(serial.len().saturating_sub(9)..)
        .unwrap_or(serial)
}

fn access<'a>(placed: &'a Placed, told: &Telling) -> Access<'a> {
    let row = &placed.row;
    let somebody = !row.person.is_empty();
    let operation = row.major == 3;
    Access {
        device_name: "Access Controller",
        major_event_type: row.major,
        sub_event_type: row.minor,
        net_user: operation.then_some("satellite"),
        remote_host_addr: operation.then_some("127.0.0.1"),
        name: somebody.then(|| format!("Person {} \u{d1}u\u{f1}ez", row.person)),
        report_channel: 1,
        card_reader_no: u8::from(somebody),
        door_no: u8::from(row.major == 5),
        employee_no_string: somebody.then_some(row.person.as_str()),
        serial_no: told.serials.then_some(placed.serial),
        front_serial_no: told.serials.then_some(told.front),
        current_event: told.current,
        user_type: "normal",
        current_verify_mode: "faceOrFpOrCardOrPw",
        attendance_status: status_name(row.status),
        status_value: row.status,
        mask: "unknown",
        pictures_number: told.pictures,
    }
}

fn alert<'a>(machine: &'a Machine, at_s: i64, port: u16) -> Alert<'a> {
    Alert {
        ip_address: "127.0.0.1",
        port_no: port,
        protocol: "HTTP",
        mac_address: &machine.mac,
        channel_id: 1,
        date_time: machine.stamp(at_s),
        active_post_count: 1,
        event_type: "AccessControllerEvent",
        event_state: "active",
        event_description: "Access Controller Event",
        short_serial_number: Some(short_serial(&machine.serial)),
        access: None,
    }
}

/// An event of the log in these words.
pub(super) fn event(machine: &Machine, placed: &Placed, told: Telling, words: Words) -> Vec<u8> {
    let mut alert = alert(machine, placed.row.at_s, told.port);
    alert.access = Some(access(placed, &told));
    written(&alert, words)
}

/// A heartbeat: an inactive `videoloss`, or an active `heartBeat`.
pub(super) fn heartbeat(machine: &Machine, port: u16, videoloss: bool, words: Words) -> Vec<u8> {
    let mut alert = alert(machine, machine.now_s(), port);
    alert.channel_id = 0;
    if videoloss {
        alert.event_type = "videoloss";
        alert.event_state = "inactive";
        alert.event_description = "videoloss alarm";
    } else {
        alert.event_type = "heartBeat";
        alert.event_description = "Heartbeat";
    }
    written(&alert, words)
}

/// What a camera saw: a crossed line, with its place and no serial. The channel keeps events
/// of one second apart.
pub(super) fn camera(machine: &Machine, placed: &Placed, pictures: u8) -> Vec<u8> {
    let channel = 1 + placed.serial % 64;
    let mut xml = String::new();
    let lines = [
        "<EventNotificationAlert version=\"2.0\" xmlns=\"http://www.hikvision.com/ver20/XMLSchema\">"
            .to_owned(),
        "<ipAddress>127.0.0.1</ipAddress>".to_owned(),
        format!("<macAddress>{}</macAddress>", machine.mac),
        format!("<channelID>{channel}</channelID>"),
        format!("<dateTime>{}</dateTime>", machine.stamp(placed.row.at_s)),
        "<activePostCount/>".to_owned(),
        "<eventType>linedetection</eventType>".to_owned(),
        "<eventState>active</eventState>".to_owned(),
        "<eventDescription>linedetection alarm &amp; more</eventDescription>".to_owned(),
        "<DetectionRegionList><DetectionRegionEntry><regionID>1</regionID>".to_owned(),
        "<detectionTarget>human</detectionTarget></DetectionRegionEntry>".to_owned(),
        "</DetectionRegionList>".to_owned(),
        format!("<detectionPicturesNumber>{pictures}</detectionPicturesNumber>"),
        "</EventNotificationAlert>".to_owned(),
    ];
    for line in lines {
        xml.push_str(&line);
        xml.push('\n');
    }
    xml.into_bytes()
}

/// Any value in the JSON of devices.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    let mut body = Vec::with_capacity(1024);
    let formatter = Tabs(PrettyFormatter::with_indent(b"\t"));
    let done = value.serialize(&mut Serializer::with_formatter(&mut body, formatter));
    debug_assert!(done.is_ok(), "writing into memory cannot fail");
    body
}

fn written(alert: &Alert<'_>, words: Words) -> Vec<u8> {
    match words {
        Words::Json => json(alert),
        Words::Nested => json(&Nested { alert }),
        Words::Xml => xml(alert),
    }
}

/// The XML of the same fields, lines ended by LF.
fn xml(alert: &Alert<'_>) -> Vec<u8> {
    let value = serde_json::to_value(alert).unwrap_or_default();
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<EventNotificationAlert version=\"2.0\" \
         xmlns=\"http://www.isapi.org/ver20/XMLSchema\">\n",
    );
    elements(&mut text, &value);
    text.push_str("</EventNotificationAlert>\n");
    text.into_bytes()
}

fn elements(text: &mut String, value: &serde_json::Value) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let plain = match value {
            serde_json::Value::Object(_) => {
                text.push_str(&format!("<{name}>\n"));
                elements(text, value);
                text.push_str(&format!("</{name}>\n"));
                continue;
            }
            serde_json::Value::String(inner) => inner.clone(),
            other => other.to_string(),
        };
        let done = writeln!(text, "<{name}>{}</{name}>", escaped(&plain));
        debug_assert!(done.is_ok(), "writing into memory cannot fail");
    }
}

/// Text as it may stand between XML tags.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// TAB-indented JSON with a TAB after the colon.
struct Tabs(PrettyFormatter<'static>);

impl Formatter for Tabs {
    fn begin_object<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b":\t")
    }

    fn end_object_value<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }

    fn begin_array<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }
}

/// The largest picture, made once for all devices.
const PICTURE: usize = 4 << 20;

/// A picture of so many bytes, at most 4 MiB: the marks of a JPEG around hostile noise.
pub(super) fn picture(bytes: usize) -> &'static [u8] {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    let noise = NOISE.get_or_init(|| {
        let nasty = b"{\"}}<x>\r\n--MIME_boundar\r\n\r\n\0\xff\xfe]]>{{[--boundar\n\n";
        let mut all = vec![0xff, 0xd8, 0xff, 0xe0];
        let mut n = 0_u64;
        while all.len() < PICTURE {
            all.extend_from_slice(nasty);
            all.extend_from_slice(&crate::random::draw(5, 0, n).to_le_bytes());
            n += 1;
        }
        all
    });
    noise.get(..bytes.min(PICTURE)).unwrap_or(noise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hikvision::options::LogOptions;

    fn machine() -> Machine {
        let options = LogOptions {
            history: 3,
            first_serial: 90_211,
            ..LogOptions::default()
        };
        Machine::new(
            "HIK0000001",
            "Asia/Tashkent",
            3,
            options,
            None,
            Default::default(),
        )
        .unwrap()
    }

    const TOLD: Telling = Telling {
        port: 80,
        current: Some(false),
        serials: true,
        front: 90_210,
        pictures: 1,
    };

    #[test]
    fn json_has_tabs_and_the_fields_of_a_device() {
        let machine = machine();
        let placed = machine.next_upload().unwrap();
        let body = event(&machine, &placed, TOLD, Words::Json);
        let text = String::from_utf8(body).unwrap();
        assert!(
            text.starts_with("{\n\t\"ipAddress\":\t\"127.0.0.1\",\n"),
            "{text}"
        );
        assert!(text.contains("\n\t\t\"serialNo\":\t90211,\n\t\t\"frontSerialNo\":\t90210,\n"));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["AccessControllerEvent"]["currentEvent"], false);
        assert!(value["dateTime"].as_str().unwrap().ends_with("+05:00"));

        let nested = event(&machine, &placed, TOLD, Words::Nested);
        let nested: serde_json::Value = serde_json::from_slice(&nested).unwrap();
        assert_eq!(nested["EventNotificationAlert"], value);
    }

    #[test]
    fn what_a_device_does_not_tell_is_not_there() {
        let machine = machine();
        let placed = machine.next_upload().unwrap();
        let told = Telling {
            current: None,
            serials: false,
            ..TOLD
        };
        let text = String::from_utf8(event(&machine, &placed, told, Words::Xml)).unwrap();
        assert!(
            !text.contains("serialNo") && !text.contains("currentEvent"),
            "{text}"
        );
        assert!(text.contains("<AccessControllerEvent>\n") && text.ends_with("Alert>\n"));
    }

    #[test]
    fn a_picture_has_its_length_and_looks_like_the_beginning_of_a_delimiter() {
        for bytes in [0, 1, 200 * 1024, PICTURE] {
            assert_eq!(picture(bytes).len(), bytes);
        }
        assert!(picture(100).windows(6).any(|w| w == b"\r\n--MI"));
    }
}
