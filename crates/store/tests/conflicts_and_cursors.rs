//! What a receipt says about events that the store itself set aside, and that cursors can be
//! read back: what devices need whose events carry a serial number.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use std::sync::Arc;
use std::time::Duration;

use event::{
    Bytes, ClockFlag, Device, DeviceId, Event, IdentForm, Kind, Millis, Quarantined, Reason, Route,
    Serial, SharedDevice, TenantId, Text, Timeliness, Vendor, Zone,
};
use sqlx::SqlStr;
use store::quarantine::{self, QuarantineFilter};
use store::{
    Fence, Gate, Mirror, Observer, Receipt, Refused, SetAside, Submission, Trouble, Writer,
    cursors, lease,
};

mod common;
use common::{Store, stores};

struct Silent;

impl Observer for Silent {
    fn committed(&self, _: Duration, _: usize) {}
    fn troubled(&self, _: Trouble, _: &str) {}
    fn recovered(&self) {}
    fn new_epoch(&self, _: i64) {}
}

async fn writer(store: &Store) -> Writer {
    let mirror = Mirror::in_memory().await.unwrap();
    let gate = Gate::new(10);
    Writer::spawn(
        "store",
        store.target.clone(),
        mirror,
        gate,
        Arc::new(Silent),
    )
}

fn device(n: u8) -> SharedDevice {
    Arc::new(Device {
        id: DeviceId([n; 16]),
        tenant: Some(TenantId::new("acme").unwrap()),
        vendor: Vendor::Hikvision,
        serial: Serial::new(&format!("DS{n}")).unwrap(),
        name: None,
        site: None,
        zone: Zone::utc(),
        canary: false,
    })
}

/// The event of that serial number, as a search or a stream brings it.
fn event(number: u32, kind: Kind, person: Option<&str>, second: u32, route: Route) -> Event {
    let form = IdentForm::new("hik")
        .field(&[0; 4])
        .field(&number.to_be_bytes());
    let time = format!("2026-11-21T10:15:{second:02}-06:00");
    Event {
        ident: form.field(b"5").field(b"75").finish(),
        kind,
        person: person.map(Text::new),
        card: None,
        raw: Bytes::from(format!("{number} {person:?} {time} {route}")),
        local_time: Some(Text::from(time)),
        occurred_at: None,
        received_at: Millis(1_795_000_000_123),
        status_code: None,
        verify_code: None,
        vendor_code: Some(Text::const_new("5/75")),
        direction: None,
        door: None,
        route,
        timeliness: Timeliness::Live,
        clock: ClockFlag::Ok,
        attributes: None,
    }
}

fn brought(device: &SharedDevice, events: Vec<Event>) -> Submission {
    Submission {
        device: device.clone(),
        events,
        quarantined: vec![],
        cursors: vec![],
        expects: None,
        fence: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_serial_number_with_another_person_or_time_is_a_conflict_for_every_kind() {
    for store in stores().await {
        let writer = writer(&store).await;
        for (n, &kind) in Kind::ALL.iter().enumerate() {
            let device = device(u8::try_from(n).unwrap() + 1);
            let told = format!("{}: {kind}", store.name);
            let first = event(7, kind, Some("0042"), 30, Route::Stream);
            // The same event by another way is no conflict.
            let polled = Event {
                route: Route::Poll,
                ..first.clone()
            };
            let other_person = event(7, kind, Some("0043"), 30, Route::Poll);
            let nobody = event(7, kind, None, 30, Route::Poll);
            let other_time = event(7, kind, Some("0042"), 31, Route::Stream);
            let got = writer
                .submit(brought(&device, vec![first.clone(), polled, other_person]))
                .await
                .unwrap();
            let conflicts = |conflict| SetAside {
                conflict,
                ..SetAside::default()
            };
            let expected = Receipt {
                new: 1,
                duplicate: 1,
                quarantined: 1,
                by_store: conflicts(1),
                numbers: got.numbers,
            };
            assert_eq!(got, expected, "{told}: within one transaction");
            let got = writer
                .submit(brought(&device, vec![nobody, first, other_time]))
                .await
                .unwrap();
            let expected = Receipt {
                new: 0,
                duplicate: 1,
                quarantined: 2,
                by_store: conflicts(2),
                numbers: got.numbers,
            };
            assert_eq!(got, expected, "{told}: against the stored row");
        }
        let sql = "SELECT COUNT(*) FROM quarantine WHERE reason = 'conflict'";
        let mut engine = store.engine().await;
        let rows = engine.fetch(SqlStr::from_static(sql), &[]).await.unwrap();
        let kinds = i64::try_from(Kind::ALL.len()).unwrap();
        assert_eq!(rows[0].int(0).unwrap(), 3 * kinds);
        let sql = "SELECT COUNT(*) FROM event WHERE person = '0042'";
        let rows = engine.fetch(SqlStr::from_static(sql), &[]).await.unwrap();
        assert_eq!(rows[0].int(0).unwrap(), kinds);
    }
}

#[test]
fn a_sum_of_receipts_keeps_every_reason_apart() {
    let one = |same_second, conflict, store_refused| Receipt {
        new: 1,
        duplicate: 2,
        quarantined: 3,
        by_store: SetAside {
            same_second,
            conflict,
            store_refused,
        },
        numbers: i64::try_from(store_refused).ok().map(|n| (10 - n, 10 + n)),
    };
    let mut sum = one(1, 0, 0);
    sum += one(0, 2, 0);
    sum += one(0, 0, 4);
    assert_eq!((sum.new, sum.duplicate, sum.quarantined), (3, 6, 9));
    assert_eq!((sum.by_store.total(), sum.numbers), (7, Some((6, 14))));
    assert_eq!(
        sum.by_store.each(),
        [
            (Reason::SameSecond, 1),
            (Reason::Conflict, 2),
            (Reason::StoreRefused, 4)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_are_read_back_as_they_were_last_committed_of_all_terminals_or_some() {
    for store in stores().await {
        let writer = writer(&store).await;
        let cursor = |name: &'static str, value: &str| (Text::const_new(name), Text::new(value));
        for (n, moved) in [
            (1, vec![cursor("serial", "10"), cursor("epoch", "0")]),
            (2, vec![cursor("stamp:ATTLOG", "9999")]),
            (1, vec![cursor("serial", "11")]),
        ] {
            let submission = Submission {
                cursors: moved,
                ..brought(&device(n), vec![])
            };
            writer.submit(submission).await.unwrap();
        }
        let mut engine = store.engine().await;
        let (one, two) = (DeviceId([1; 16]), DeviceId([2; 16]));
        let expected: Vec<_> = [
            (one, "epoch", "0"),
            (one, "serial", "11"),
            (two, "stamp:ATTLOG", "9999"),
        ]
        .map(|(id, name, value)| (id, Text::new(name), Text::new(value)))
        .into();
        assert_eq!(
            cursors(&mut engine, None).await.unwrap(),
            expected,
            "{}",
            store.name
        );
        // More terminals than one statement asks for.
        let mut many: Vec<_> = (0..1200_u16)
            .map(|n| {
                let mut id = [9; 16];
                id[..2].copy_from_slice(&n.to_be_bytes());
                DeviceId(id)
            })
            .collect();
        many.extend([two, one, two]);
        let some = cursors(&mut engine, Some(&many)).await.unwrap();
        assert_eq!(some, expected, "{}", store.name);
        let none = cursors(&mut engine, Some(&[])).await.unwrap();
        assert_eq!(none, [], "{}", store.name);
        assert_eq!(
            cursors(&mut engine, Some(&[two])).await.unwrap(),
            expected[2..]
        );
    }
}

/// A submission that moves the chain from one place to another, with one event of that number.
fn moving(device: &SharedDevice, number: u32, from: Option<&str>, to: &str) -> Submission {
    let name = Text::const_new("hik:chain");
    Submission {
        cursors: vec![(name.clone(), Text::new(to))],
        expects: Some((name, from.map(Text::new))),
        ..brought(
            device,
            vec![event(number, Kind::Punch, Some("1"), 30, Route::Poll)],
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_from_another_cursor_is_refused_whole() {
    for store in stores().await {
        let told = &store.name;
        let (writer, device) = (writer(&store).await, device(1));
        // Nothing stands there yet: who expects something is wrong.
        let refused = writer.submit(moving(&device, 1, Some("0"), "1")).await;
        assert_eq!(refused, Err(Refused::Moved), "{told}");
        writer.submit(moving(&device, 1, None, "1")).await.unwrap();
        // A second process that read the chain before this one moved it.
        let refused = writer.submit(moving(&device, 2, None, "2")).await;
        assert_eq!(refused, Err(Refused::Moved), "{told}");
        let mut engine = store.engine().await;
        let sql = "SELECT COUNT(*) FROM event";
        let rows = engine.fetch(SqlStr::from_static(sql), &[]).await.unwrap();
        assert_eq!(rows[0].int(0).unwrap(), 1, "{told}");
        // The same once more, as after a COMMIT whose answer was lost: it stands where it
        // wanted to be.
        let again = writer.submit(moving(&device, 1, None, "1")).await.unwrap();
        assert_eq!((again.new, again.duplicate), (0, 1), "{told}");
        writer
            .submit(moving(&device, 2, Some("1"), "2"))
            .await
            .unwrap();
        let found = cursors(&mut engine, Some(&[device.id])).await.unwrap();
        assert_eq!(found[0].2, "2", "{told}");
    }
}

/// One event of that number, fetched under the lease of that fencing number.
fn fetched(device: &SharedDevice, number: u32, fence: i64) -> Submission {
    Submission {
        fence: Some(Fence { number: fence }),
        ..moving(device, number, None, "9")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_under_a_lease_that_others_hold_by_now_is_refused_whole() {
    let minute = Duration::from_secs(60);
    for store in stores().await {
        let told = &store.name;
        let (writer, device) = (writer(&store).await, device(1));
        let mut engine = store.engine().await;
        // Nobody holds one yet.
        let refused = writer.submit(fetched(&device, 1, 1)).await;
        assert_eq!(refused, Err(Refused::Fenced), "{told}");
        let first = lease::acquire(&mut engine, device.id, "a", Millis(0), minute).await;
        let first = first.unwrap().unwrap();
        let later = Millis(60_000);
        let second = lease::acquire(&mut engine, device.id, "b", later, minute).await;
        let second = second.unwrap().unwrap();
        // The first holder slept past its lease; what needs none goes in beside it all the same.
        let (late, pushed) = tokio::join!(
            writer.submit(fetched(&device, 1, first.fence)),
            writer.submit(brought(
                &device,
                vec![event(2, Kind::Punch, None, 30, Route::Stream)]
            )),
        );
        assert_eq!(late, Err(Refused::Fenced), "{told}");
        assert_eq!(pushed.unwrap().new, 1, "{told}");
        let found = cursors(&mut engine, Some(&[device.id])).await.unwrap();
        assert_eq!(found.len(), 0, "{told}");
        let taken = writer.submit(fetched(&device, 3, second.fence)).await;
        assert_eq!(taken.unwrap().new, 1, "{told}");
        let sql = "SELECT COUNT(*) FROM event";
        let rows = engine.fetch(SqlStr::from_static(sql), &[]).await.unwrap();
        assert_eq!(rows[0].int(0).unwrap(), 2, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_moment_written_with_and_without_an_offset_is_no_conflict() {
    for store in stores().await {
        let (writer, device) = (writer(&store).await, device(1));
        let streamed = event(7, Kind::Punch, Some("1"), 30, Route::Stream);
        let searched = Event {
            local_time: Some(Text::const_new("2026-11-21 10:15:30")),
            route: Route::Poll,
            ..streamed.clone()
        };
        let both = brought(&device, vec![streamed, searched]);
        let got = writer.submit(both).await.unwrap();
        let expected = Receipt {
            new: 1,
            duplicate: 1,
            numbers: got.numbers,
            ..Receipt::default()
        };
        assert_eq!(got, expected, "{}", store.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_quarantine_is_counted_however_much_it_is() {
    for store in stores().await {
        let writer = writer(&store).await;
        let set_aside = |device: &SharedDevice, n: u32| Quarantined {
            reason: Reason::Unreadable,
            detail: Text::const_new("a test"),
            source: Text::const_new("ATTLOG"),
            route: Route::Push,
            received_at: Millis(1_795_000_000_123),
            raw: Bytes::from(format!("{} {n}", device.serial)),
        };
        for (n, many) in [(1, 1_100), (2, 3)] {
            let device = device(n);
            let mut submission = brought(&device, vec![]);
            submission.quarantined = (0..many).map(|n| set_aside(&device, n)).collect();
            writer.submit(submission).await.unwrap();
        }
        let mut engine = store.engine().await;
        let told = store.name;
        let one = Some(DeviceId([1; 16]));
        assert_eq!(
            quarantine::count(&mut engine, one).await.unwrap(),
            1_100,
            "{told}"
        );
        assert_eq!(
            quarantine::count(&mut engine, None).await.unwrap(),
            1_103,
            "{told}"
        );
        let newest_only = QuarantineFilter {
            limit: 1,
            ..QuarantineFilter::default()
        };
        let rows = quarantine::list(&mut engine, &newest_only).await.unwrap();
        let newest = rows[0].id;
        quarantine::settle(&mut engine, newest, Millis(0))
            .await
            .unwrap();
        assert_eq!(
            quarantine::count(&mut engine, None).await.unwrap(),
            1_102,
            "{told}"
        );
    }
}
