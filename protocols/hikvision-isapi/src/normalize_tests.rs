//! What each record becomes, and the forms of identities byte for byte.

use event::{Bytes, ClockFlag, Direction, Reason};

use super::*;
use crate::{Heard, PartKind, read_part, read_search_item};

fn context(zone: &Zone) -> Context<'_> {
    Context {
        zone,
        route: Route::Stream,
        received_at: Millis::parse("2026-11-21 16:15:45").unwrap(),
        epoch: 3,
    }
}

fn search(item: &str) -> Result<Event, Quarantined> {
    let zone = Zone::named("America/Mexico_City").unwrap();
    normalize(&read_search_item(item).unwrap(), &context(&zone))
}

fn part(text: &str) -> Event {
    let zone = Zone::named("America/Mexico_City").unwrap();
    let kind = if text.starts_with('<') {
        PartKind::Xml
    } else {
        PartKind::Json
    };
    match read_part(kind, &Bytes::copy_from_slice(text.as_bytes())).remove(0) {
        Heard::Record(record) => normalize(&record, &context(&zone)).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A form of its name and fields.
fn form(fields: &[&str]) -> Ident {
    let (name, rest) = fields.split_first().unwrap();
    rest.iter()
        .fold(IdentForm::new(name), |form, field| {
            form.field(field.as_bytes())
        })
        .finish()
}

const FACE: &str = r#"{"major":5,"minor":75,"time":"2026-11-21T10:15:30-06:00","serialNo":90212,"doorNo":1,"cardReaderNo":1,"employeeNoString":"0042","attendanceStatus":"checkIn","currentVerifyMode":"face"}"#;

#[test]
fn the_identity_with_a_serial_is_frozen_byte_for_byte() {
    let event = search(FACE).unwrap();
    assert_eq!(event.ident, form(&["hik", "3", "90212", "5", "75"]));
    assert_eq!(
        format!("{:?}", event.ident),
        "Ident(531b928ca45620df39a5c5965c92bfbe)"
    );
    let bare = search(r#"{"time":"2026-11-21T10:15:30-06:00","serialNo":1}"#).unwrap();
    assert_eq!(bare.ident, form(&["hik", "3", "1", "", ""]));
}

#[test]
fn the_identity_without_a_serial_is_frozen_byte_for_byte() {
    let event = search(&FACE.replace("90212", "0")).unwrap();
    let expected = [
        "hik0",
        "access",
        "2026-11-21 10:15:30",
        "/1/1",
        "5",
        "75",
        "0042",
        "",
    ];
    assert_eq!(event.ident, form(&expected));
    assert_eq!(
        format!("{:?}", event.ident),
        "Ident(cb0df8f739d49924fe718ee61560a97c)"
    );
    let camera = "<EventNotificationAlert><dateTime>2026-11-21T10:15:30-06:00</dateTime><channelID>2</channelID>\
        <eventType>linedetection</eventType><eventState>active</eventState><DetectionRegionList><DetectionRegionEntry>\
        <regionID>4</regionID></DetectionRegionEntry></DetectionRegionList></EventNotificationAlert>";
    let expected = [
        "hik0",
        "alarm",
        "2026-11-21 10:15:30",
        "2//4",
        "linedetection",
        "active",
        "",
        "",
    ];
    assert_eq!(part(camera).ident, form(&expected));
}

#[test]
fn stream_and_search_of_one_record_meet_in_one_identity() {
    let stream = r#"{"macAddress":"00:00:5e:00:53:11","channelID":1,"dateTime":"2026-11-21T10:15:30-06:00","eventType":"AccessControllerEvent","eventState":"active",
        "AccessControllerEvent":{"majorEventType":5,"subEventType":75,"employeeNoString":"0042","serialNo":SERIAL,"frontSerialNo":9,"doorNo":1,"cardReaderNo":1,"currentEvent":false}}"#;
    for serial in ["90212", "0"] {
        let one = part(&stream.replace("SERIAL", serial));
        let other = search(&FACE.replace("90212", serial)).unwrap();
        assert_eq!(one.ident, other.ident);
        assert_eq!((one.kind, other.kind), (Kind::Access, Kind::Punch));
        assert_eq!(
            (one.timeliness, other.timeliness),
            (Timeliness::Historic, Timeliness::Live)
        );
    }
}

#[test]
fn offset_clock_route_and_status_stay_out_of_the_identity() {
    let one = search(&FACE.replace("90212", "0")).unwrap();
    let other = FACE
        .replace("90212", "0")
        .replace("-06:00", "+08:00")
        .replace("checkIn", "undefined");
    let other = search(&other).unwrap();
    assert_eq!(one.ident, other.ident);
    assert_ne!(one.occurred_at, other.occurred_at);
}

#[test]
fn a_punch_needs_a_person_a_success_and_a_chosen_status() {
    let event = search(FACE).unwrap();
    assert_eq!(event.kind, Kind::Punch);
    assert_eq!(event.direction, Some(Direction::In));
    assert_eq!(event.person.as_deref(), Some("0042"));
    assert_eq!(event.vendor_code.as_deref(), Some("5/75"));
    assert_eq!(event.verify_code.as_deref(), Some("face"));
    assert_eq!(event.door.as_deref(), Some("1"));
    for (from, to) in [
        ("\"0042\"", "\"\""),
        (":75", ":76"),
        ("checkIn", "undefined"),
        ("checkIn", ""),
    ] {
        let event = search(&FACE.replace(from, to)).unwrap();
        assert_eq!((event.kind, event.direction), (Kind::Access, None), "{to}");
    }
    let undefined = search(&FACE.replace("checkIn", "Undefined")).unwrap();
    assert_eq!(undefined.status_code.as_deref(), Some("Undefined"));
}

#[test]
fn majors_and_camera_types_make_the_kind() {
    for (major, kind) in [
        (1, Kind::Alarm),
        (2, Kind::Device),
        (3, Kind::Operation),
        (4, Kind::Other),
        (5, Kind::Access),
    ] {
        let item = format!(r#"{{"major":{major},"minor":1024,"time":"2026-11-21T10:15:30"}}"#);
        assert_eq!(search(&item).unwrap().kind, kind);
    }
    for (word, kind) in [
        ("VMD", Kind::Alarm),
        ("diskFull", Kind::Device),
        ("videoloss", Kind::Device),
        ("PeopleCounting", Kind::Other),
    ] {
        let event = part(&format!(
            r#"{{"eventType":"{word}","eventState":"active","dateTime":"2026-11-21T10:15:30"}}"#
        ));
        assert_eq!(
            (event.kind, event.vendor_code.as_deref()),
            (kind, Some(word))
        );
    }
}

#[test]
fn the_time_stands_as_sent_and_its_instant_by_offset_or_zone() {
    for (time, utc, clock) in [
        (
            "2026-11-21T10:15:30-6:00",
            "2026-11-21 16:15:30.000",
            ClockFlag::Ok,
        ),
        (
            "2026-11-21 10:15:30",
            "2026-11-21 16:15:30.000",
            ClockFlag::Ok,
        ),
        (
            "2026-11-21T10:15Z",
            "2026-11-21 10:15:00.000",
            ClockFlag::Ok,
        ),
        (
            "1970-01-01T00:00:00+08:00",
            "1969-12-31 16:00:00.000",
            ClockFlag::Suspect,
        ),
        (
            "2027-01-01T00:00:00",
            "2027-01-01 06:00:00.000",
            ClockFlag::Suspect,
        ),
    ] {
        let event = search(&FACE.replace("2026-11-21T10:15:30-06:00", time)).unwrap();
        assert_eq!(event.local_time.as_deref(), Some(time));
        assert_eq!(event.occurred_at.unwrap().text(), utc, "{time}");
        assert_eq!(event.clock, clock, "{time}");
    }
    let refused = search(&FACE.replace("2026-11-21T10", "2026-11-31T10")).unwrap_err();
    assert_eq!(refused.reason, Reason::BadTime);
    assert!(refused.raw.starts_with(b"{\"major\":5"));
}

#[test]
fn what_does_not_fit_is_quarantined_and_never_cut() {
    let long = "9".repeat(65);
    for (from, to, reason) in [
        ("0042", long.as_str(), Reason::BadField),
        ("0042", "00\\u000042", Reason::BadText),
        ("0042", "00\u{fffd}42", Reason::BadText),
        (
            "\"face\"",
            &format!("\"{}\"", "f".repeat(33)),
            Reason::BadField,
        ),
        ("checkIn", &"c".repeat(33), Reason::BadField),
        (
            "\"doorNo\":1",
            &format!("\"doorNo\":\"{}\"", "d".repeat(33)),
            Reason::BadField,
        ),
        (
            "\"major\"",
            &format!(
                "\"x\":\"{}\",\"major\"",
                "x".repeat(Event::ATTRIBUTES_LIMIT)
            ),
            Reason::BadField,
        ),
        (
            "\"major\"",
            &format!(
                "\"time\":\"\",\"name\":\"{}\",\"major\"",
                "x".repeat(Event::RAW_LIMIT)
            ),
            Reason::BadField,
        ),
    ] {
        let item = FACE.replacen(from, to, 1);
        assert_eq!(search(&item).unwrap_err().reason, reason, "{}", to.len());
    }
}

#[test]
fn a_nul_behind_a_person_is_taken_off_and_said() {
    let event = search(&FACE.replace("0042", "0042\\u0000\\u0000")).unwrap();
    assert_eq!(event.person.as_deref(), Some("0042"));
    let attributes = event.attributes.unwrap();
    assert!(
        attributes.contains(r#""nulStripped":["employeeNoString"]"#),
        "{attributes}"
    );
}

#[test]
fn a_question_for_a_verdict_is_stored_and_nothing_more() {
    let event = search(&FACE.replace("\"doorNo\":1", "\"remoteCheck\":true")).unwrap();
    assert!(event.attributes.unwrap().contains(r#""remoteCheck":true"#));
}
