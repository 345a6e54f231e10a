//! A bundle that is not exactly as it was made is named as what it is.

use std::fs;
use std::path::{Path, PathBuf};

use event::{Bytes, Device, DeviceId, Event, Millis, Route, Serial, TenantId, Vendor, Zone};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use store::moving::Terminal;
use store::registry::{Access, Enrolment, EnrolmentState};

use super::line::{AuditLine, DeviceLine, EventLine};
use super::read::{Flaw, Verified, verify};
use super::write::Writing;
use super::*;
use crate::hex;

const NOON: Millis = Millis(1_795_802_400_000);

fn device() -> Device {
    Device {
        id: DeviceId([7; 16]),
        tenant: TenantId::new("acme").ok(),
        vendor: Vendor::Zkteco,
        serial: Serial::new("ABC1").unwrap(),
        name: None,
        site: None,
        zone: Zone::named("America/Mexico_City").unwrap(),
        canary: false,
    }
}

fn terminal() -> Terminal {
    Terminal {
        enrolment: Enrolment {
            id: DeviceId([7; 16]),
            vendor: Vendor::Zkteco,
            serial: Serial::new("ABC1").unwrap(),
            tenant: TenantId::new("acme").unwrap(),
            state: EnrolmentState::Approved,
            name: None,
            site: None,
            time_zone: None,
            canary: false,
            accept_from: None,
            created_at: Millis(1),
            access: Access::default(),
        },
        is_active: true,
    }
}

fn manifest() -> Manifest {
    Manifest {
        format: FORMAT.to_owned(),
        tenant: "acme".to_owned(),
        time_zone: "America/Mexico_City".to_owned(),
        made_at: NOON.text(),
        made_by: "0".to_owned(),
        feed: "00".repeat(16),
        up_to: 3,
        lines: Lines::default(),
        members: Vec::new(),
    }
}

/// The events of an upload, and each as a line.
fn events() -> Vec<(Event, Value)> {
    let zone = device().zone;
    let context = zkteco_push::Context {
        zone: &zone,
        route: Route::Push,
        received_at: NOON,
        language: None,
    };
    let body = Bytes::from_static(
        b"1\t2026-11-27 08:00:00\t0\t1\t0\t0\n2\t2026-11-27 08:00:01\t0\t1\t0\t0\n",
    );
    let read = zkteco_push::read_upload(&zkteco_push::Table::AttLog, &body, &context);
    let line = |event: Event| {
        let line = json!({
            "device_id": device().id.to_string(), "event_uid": "x",
            "time_zone": zone.name(), "timeliness": event.timeliness.as_str(),
            "clock": event.clock.as_str(), "vendor": "zkteco", "serial": "ABC1",
            "ident": hex(&event.ident.0), "kind": event.kind.as_str(),
            "person": event.person, "local_time": event.local_time,
            "occurred_at": event.occurred_at.map(|at| at.0), "received_at": event.received_at.0,
            "status_code": event.status_code, "verify_code": event.verify_code,
            "route": event.route.as_str(), "attributes": event.attributes,
            "raw": std::str::from_utf8(&event.raw).unwrap(),
        });
        (event, line)
    };
    read.events.into_iter().map(line).collect()
}

fn written(folder: &Path) -> PathBuf {
    let path = folder.join("acme.tar.gz");
    let mut writing = Writing::create(&path, NOON, "readme").unwrap();
    let line = DeviceLine::of(&terminal());
    writing.line(Part::Devices, &line).unwrap();
    writing.end(Part::Devices).unwrap();
    for (_, line) in events() {
        writing.line(Part::Events, &line).unwrap();
    }
    writing.end(Part::Events).unwrap();
    writing.seal(manifest()).unwrap().publish().unwrap();
    path
}

fn looked(path: &Path) -> Result<Verified, Flaw> {
    verify(path, &mut |_| {})
}

/// An archive of these members, packed.
fn packed(path: &Path, members: &[(&str, tar::EntryType, &[u8])]) {
    let file = fs::File::create(path).unwrap();
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for (name, kind, bytes) in members {
        let mut head = tar::Header::new_ustar();
        head.set_size(bytes.len() as u64);
        head.set_entry_type(*kind);
        // As somebody would write it who means harm: without the builder's own care.
        let field = &mut head.as_mut_bytes()[..100];
        field[..name.len()].copy_from_slice(name.as_bytes());
        head.set_cksum();
        tar.append(&head, *bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
}

#[test]
fn an_event_comes_back_from_its_line_as_it_was_and_a_forged_identity_does_not() {
    for (event, line) in events() {
        let read: EventLine = serde_json::from_value(line.clone()).unwrap();
        assert_eq!(read.event(&device()).unwrap(), event);
        let mut forged = line;
        forged["ident"] = json!("00".repeat(16));
        let read: EventLine = serde_json::from_value(forged).unwrap();
        let aside = read.event(&device()).unwrap_err();
        assert_eq!((aside.source.as_str(), &aside.raw), ("bundle", &event.raw));
    }
}

#[test]
fn a_whole_bundle_is_verified_and_no_bundle_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let verified = looked(&path).unwrap();
    assert_eq!(verified.terminals, [terminal()]);
    let lines = verified.manifest.lines;
    assert_eq!((lines.devices, lines.events, lines.audit), (1, 2, 0));
    assert!(Writing::create(&path, NOON, "").is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_bundle_cut_or_changed_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(looked(&path).is_err(), "cut at {cut}");
    }
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        fs::write(&path, &flipped).unwrap();
        // What the packing says of itself (its time, the system) is not the content.
        let is_head = (4..10).contains(&at);
        assert!(is_head || looked(&path).is_err(), "flipped at {at}");
    }
    fs::write(&path, [&whole[..], b"more"].concat()).unwrap();
    assert!(matches!(looked(&path), Err(Flaw::Damaged(_))));
}

#[test]
fn what_is_no_bundle_or_a_newer_one_is_named_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    let file = tar::EntryType::Regular;
    for foreign in [&b""[..], b"hello", b"PK\x03\x04"] {
        fs::write(&path, foreign).unwrap();
        assert!(matches!(looked(&path), Err(Flaw::Foreign)));
    }
    packed(&path, &[("etc/passwd", file, b"x")]);
    assert!(matches!(looked(&path), Err(Flaw::Foreign)));
    packed(&path, &[("FORMAT", file, b"satellite.tenant/2\n")]);
    let newer = looked(&path).unwrap_err();
    assert!(matches!(&newer, Flaw::Newer(form) if form == "satellite.tenant/2"));
    let missing = looked(&folder.path().join("none"));
    assert!(matches!(missing, Err(Flaw::Unreadable(_))));
}

#[test]
fn a_hostile_bundle_is_refused_before_anything_of_it_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.tar.gz");
    let (file, link) = (tar::EntryType::Regular, tar::EntryType::Symlink);
    let format = ("FORMAT", file, &b"satellite.tenant/1\n"[..]);
    let device = serde_json::to_vec(&DeviceLine::of(&terminal())).unwrap();
    let twice = [&device[..], b"\n", &device[..]].concat();
    let stranger = device_of("08", &json!({}));
    let control = device_of("07", &json!({ "name": "a\u{1b}[2J" }));
    let serial = device_of("07", &json!({ "serial": "../x" }));
    let (_, event) = events().remove(0);
    let event = event.to_string().into_bytes();
    let devices = "devices/000001.jsonl";
    let hostile: [Vec<(&str, tar::EntryType, &[u8])>; 9] = [
        vec![format, ("../../etc/cron.d/x", file, b"x")],
        vec![format, (devices, link, b"")],
        vec![format, (devices, tar::EntryType::GNULongName, b"x")],
        vec![format, (devices, file, &twice)],
        vec![format, (devices, file, &control)],
        vec![format, (devices, file, &serial)],
        vec![
            format,
            (devices, file, &stranger),
            ("events/000001.jsonl", file, &event),
        ],
        vec![
            format,
            ("events/000001.jsonl", file, &event),
            (devices, file, &device),
        ],
        vec![
            format,
            (devices, file, &device),
            ("manifest.json", file, b"{}"),
        ],
    ];
    for members in hostile {
        packed(&path, &members);
        let names: Vec<&str> = members.iter().map(|(name, ..)| *name).collect();
        let Err(Flaw::Damaged(why)) = looked(&path) else {
            panic!("{names:?}");
        };
        // What the packing or the JSON itself says stays in its words, inside of ours.
        assert!(crate::detail::spanish(&why).is_some(), "{why}");
    }
    let zeros = vec![0; 65 << 20];
    packed(&path, &[format, (devices, file, &zeros)]);
    let told = looked(&path).unwrap_err().to_string();
    assert!(told.contains("68157440 bytes"), "{told}");
}

/// The device's line with another number, and with what else is changed.
fn device_of(id: &str, change: &Value) -> Vec<u8> {
    let mut line = serde_json::to_value(DeviceLine::of(&terminal())).unwrap();
    line["device_id"] = json!(id.repeat(16));
    for (key, value) in change.as_object().unwrap() {
        line[key] = value.clone();
    }
    line.to_string().into_bytes()
}

#[test]
fn no_secret_of_a_terminal_stands_in_its_line() {
    let mut one = terminal();
    one.enrolment.access.secret_file = Some("/etc/satellite/secrets/door".into());
    one.enrolment.access.token_hash = Some(store::registry::TokenHash([9; 32]));
    let line = serde_json::to_string(&DeviceLine::of(&one)).unwrap();
    assert!(!line.contains("secret") && !line.contains("token") && !line.contains("0909"));
    let audit = AuditLine::of(
        &store::registry::AuditRow {
            id: 1,
            happened_at: NOON,
            actor: "a".to_owned(),
            action: "add".to_owned(),
            subject: "ABC1".to_owned(),
            detail: String::new(),
        },
        json!({ "tenant": "acme" }),
    );
    assert!(serde_json::to_string(&audit).unwrap().contains("acme"));
}
