//! What an edge carries is the row that the direct way makes, and nothing else is believed.

use event::{DeviceId, Serial, TenantId, Zone};
use proptest::prelude::*;

use super::*;
use crate::edge::wire::{Raw, Terminal};
use crate::hex::hex;

fn device(vendor: Vendor) -> Device {
    Device {
        id: DeviceId([7; 16]),
        tenant: Some(TenantId::new("acme").unwrap()),
        vendor,
        serial: Serial::new("ABC1234567").unwrap(),
        name: None,
        site: None,
        zone: Zone::named("America/Mexico_City").unwrap(),
        canary: false,
    }
}

/// Noon of 27 November 2026 in Mexico City, in UTC.
const NOON: Millis = Millis(1_795_802_400_000);

fn around(device: &Device) -> Around<'_> {
    Around {
        device,
        edge: "SITE1",
        at: NOON,
    }
}

/// The event as an edge in another zone would carry it.
fn carried(event: &Event, vendor: Vendor, route: &str) -> Carried {
    let text = |text: &Option<Text>| text.as_ref().map(ToString::to_string);
    Carried {
        terminal: Terminal {
            vendor,
            serial: Serial::new("ABC1234567").unwrap(),
        },
        ident: hex(&event.ident.0),
        kind: event.kind.to_string(),
        person: text(&event.person),
        card: text(&event.card),
        local_time: text(&event.local_time),
        occurred_at: event.occurred_at.map(|at| at.0),
        received_at: NOON.0 - 60_000,
        status_code: text(&event.status_code),
        verify_code: text(&event.verify_code),
        vendor_code: text(&event.vendor_code),
        direction: event.direction.map(|way| way.to_string()),
        door: text(&event.door),
        route: route.to_owned(),
        attributes: event.attributes.clone(),
        language: None,
        raw: Raw::of(&event.raw),
    }
}

fn lines(table: &Table, line: &'static str, zone: &Zone) -> Event {
    let context = zkteco_push::Context {
        zone,
        route: Route::Push,
        received_at: NOON,
        language: None,
    };
    let mut events = read_upload(table, &Bytes::from_static(line.as_bytes()), &context).events;
    assert_eq!(events.len(), 1, "{line}");
    events.remove(0)
}

/// The same event but for what says which way it came.
fn without_way(event: Event) -> Event {
    Event {
        route: Route::Edge,
        attributes: None,
        ..event
    }
}

#[test]
fn a_push_record_has_the_row_of_the_direct_way_whatever_zone_the_edge_is_set_to() {
    let device = device(Vendor::Zkteco);
    let tijuana = Zone::named("America/Tijuana").unwrap();
    let cases = [
        (Table::AttLog, "0042\t2026-11-27 11:59:30\t0\t1\t0\t0\n"),
        (
            Table::OperLog,
            "OPLOG 4\t14\t2026-11-27 11:58:00\t0\t0\t0\t0\n",
        ),
        (
            Table::RtLog,
            "time=2026-11-27 11:57:00\tpin=42\tcardno=0\teventaddr=1\tevent=0\tinoutstatus=0\tverifytype=1\tindex=77\n",
        ),
    ];
    for (table, line) in cases {
        let direct = lines(&table, line, &device.zone);
        let at_edge = lines(&table, line, &tijuana);
        let read = event(&carried(&at_edge, Vendor::Zkteco, "push"), &around(&device)).unwrap();
        let told: Value = serde_json::from_str(read.attributes.as_deref().unwrap()).unwrap();
        assert_eq!(told["edge"]["serial"], "SITE1");
        assert_eq!(told["edge"]["received_at"], "2026-11-27 17:59:00.000");
        assert_eq!(without_way(read), without_way(direct), "{line}");
    }
}

#[test]
fn an_identity_that_the_record_does_not_make_is_set_aside_with_the_record() {
    let device = device(Vendor::Zkteco);
    let direct = lines(
        &Table::AttLog,
        "0042\t2026-11-27 11:59:30\t0\t1\n",
        &device.zone,
    );
    let good = carried(&direct, Vendor::Zkteco, "pull");
    let mut another = good.clone();
    another.person = Some("0043".to_owned());
    let mut later = good.clone();
    later.local_time = Some("2026-11-27 11:59:31".to_owned());
    let mut invented = good.clone();
    invented.ident = "00".repeat(16);
    for bad in [another, later, invented] {
        let aside = event(&bad, &around(&device)).unwrap_err();
        assert_eq!(
            (aside.reason, aside.detail.as_str()),
            (Reason::Unreadable, OTHER_IDENTITY)
        );
        assert_eq!(aside.raw, direct.raw);
    }
    let mut short = good.clone();
    short.ident = "00".to_owned();
    assert!(event(&short, &around(&device)).is_err());
}

#[test]
fn a_hikvision_record_is_read_from_its_own_bytes_under_the_count_that_it_was_made_in() {
    let device = device(Vendor::Hikvision);
    let item = "{\"major\":5,\"minor\":75,\"time\":\"2026-11-27T11:59:30-06:00\",\"employeeNoString\":\"42\",\"serialNo\":77,\"attendanceStatus\":\"checkIn\"}";
    let record = hikvision_isapi::read_search_item(item).unwrap();
    for epoch in [0, 3] {
        let context = hikvision_isapi::Context {
            zone: &device.zone,
            route: Route::Poll,
            received_at: NOON,
            epoch,
        };
        let made = hikvision_isapi::normalize(&record, &context).unwrap();
        let mut sent = carried(&made, Vendor::Hikvision, "poll");
        // What stands in the columns is not looked at: the bytes say it.
        sent.person = Some("43".to_owned());
        let read = event(&sent, &around(&device)).unwrap();
        assert_eq!(without_way(read), without_way(made.clone()));
        sent.raw = Raw::of(item.replace("77", "78").as_bytes());
        assert_eq!(
            event(&sent, &around(&device)).unwrap_err().detail,
            OTHER_IDENTITY
        );
    }
}

#[test]
fn texts_that_no_column_holds_are_set_aside() {
    let device = device(Vendor::Other);
    let plain = lines(
        &Table::AttLog,
        "7\t2026-11-27 11:59:30\t0\t1\n",
        &device.zone,
    );
    let good = carried(&plain, Vendor::Other, "listen");
    assert!(event(&good, &around(&device)).is_ok());
    let long = "x".repeat(65);
    for person in [long.as_str(), "", "a\nb"] {
        let mut bad = good.clone();
        bad.person = Some(person.to_owned());
        assert!(event(&bad, &around(&device)).is_err(), "{person:?}");
    }
    let mut no_kind = good.clone();
    no_kind.kind = "nothing".to_owned();
    assert!(event(&no_kind, &around(&device)).is_err());
}

proptest! {
    #[test]
    fn whatever_an_edge_sends_it_is_an_event_within_limits_or_set_aside(
        texts in prop::collection::vec(prop::option::of(".{0,80}"), 8),
        words in prop::collection::vec(".{0,40}", 3),
        times in prop::collection::vec(any::<i64>(), 2),
        raw in prop::collection::vec(any::<u8>(), 0..200),
        vendor in prop::sample::select(vec![Vendor::Zkteco, Vendor::Hikvision, Vendor::Other]),
    ) {
        let device = device(vendor);
        let sent = Carried {
            terminal: Terminal { vendor, serial: device.serial.clone() },
            ident: words[0].clone(),
            kind: words[1].clone(),
            person: texts[0].clone(), card: texts[1].clone(), local_time: texts[2].clone(),
            occurred_at: Some(times[0]), received_at: times[1],
            status_code: texts[3].clone(), verify_code: texts[4].clone(),
            vendor_code: texts[5].clone(), direction: texts[6].clone(), door: None,
            route: words[2].clone(), attributes: texts[7].clone(), language: None,
            raw: Raw::of(&raw),
        };
        let told = event(&sent, &around(&device));
        prop_assert!(told.is_err() || vendor == Vendor::Other);
    }
}
