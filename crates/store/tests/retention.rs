//! Retention on both engines: what is old is given out and emptied, what stays is whole, and what a
//! terminal sends again is still known.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use std::sync::Arc;
use std::time::Duration;

use event::{
    Bytes, ClockFlag, Device, DeviceId, Event, IdentForm, Kind, Millis, Quarantined, Reason, Route,
    Serial, SharedDevice, TenantId, Text, Timeliness, Vendor, Zone,
};
use store::feed::{self, FeedFilter};
use store::hold;
use store::quarantine::{self, QuarantineFilter};
use store::retention::{self, Class, Due, Tally};
use store::{AnyEngine, Gate, Mirror, Observer, Submission, Trouble, Writer};

mod common;
use common::stores;

struct Silent;

impl Observer for Silent {
    fn committed(&self, _: Duration, _: usize) {}
    fn troubled(&self, _: Trouble, _: &str) {}
    fn recovered(&self) {}
    fn new_epoch(&self, _: i64) {}
}

fn device(n: u8, tenant: &str, canary: bool) -> SharedDevice {
    Arc::new(Device {
        id: DeviceId([n; 16]),
        tenant: Some(TenantId::new(tenant).unwrap()),
        vendor: Vendor::Zkteco,
        serial: Serial::new(&format!("ABC{n}")).unwrap(),
        name: None,
        site: None,
        zone: Zone::utc(),
        canary,
    })
}

const OLD: &str = "2019-05-01 08:00:00.000";
const YOUNG: &str = "2026-05-01 08:00:00.000";

/// A punch of that person at that time, as a line of a terminal.
fn punch(person: &str, at: &str, status: &'static str) -> Event {
    let form = IdentForm::new("att").field(person.as_bytes());
    Event {
        ident: form.field(at.as_bytes()).finish(),
        kind: Kind::Punch,
        person: Some(Text::new(person)),
        card: Some(Text::const_new("77")),
        local_time: Some(Text::from(at.get(..19).unwrap().to_owned())),
        occurred_at: Millis::parse(at),
        received_at: Millis::parse(YOUNG).unwrap(),
        status_code: Some(Text::const_new(status)),
        verify_code: Some(Text::const_new("1")),
        vendor_code: None,
        direction: None,
        door: None,
        route: Route::Push,
        timeliness: Timeliness::Historic,
        clock: ClockFlag::Ok,
        attributes: Some("{\"mask\":\"1\"}".to_owned()),
        raw: Bytes::from_static(b"a line"),
    }
}

/// A record that could not be read.
fn unread(raw: &'static [u8]) -> Quarantined {
    Quarantined {
        reason: Reason::ALL[0],
        detail: Text::const_new("what the reader said of a person"),
        source: Text::const_new("ATTLOG"),
        route: Route::Push,
        received_at: Millis::parse(OLD).unwrap(),
        raw: Bytes::from_static(raw),
    }
}

fn brought(device: &SharedDevice, events: &[Event], quarantined: &[Quarantined]) -> Submission {
    Submission {
        device: Arc::clone(device),
        events: events.to_vec(),
        quarantined: quarantined.to_vec(),
        cursors: vec![],
        expects: None,
        fence: None,
    }
}

fn due(class: Class) -> Due {
    Due {
        tenant: TenantId::new("acme").unwrap(),
        class,
        before: Millis::parse("2021-01-01 00:00:00.000").unwrap(),
    }
}

/// Everything that is due, by stretches of three rows.
async fn all_due(engine: &mut AnyEngine, due: &Due) -> (Vec<i64>, Tally) {
    let (mut after, mut numbers, mut sum) = (i64::MIN, Vec::new(), Tally::default());
    while let Some(last) = retention::stretch(engine, due.class, after, 3)
        .await
        .unwrap()
    {
        let tally = retention::tally(engine, due, (after, last)).await.unwrap();
        sum.due += tally.due;
        sum.bytes += tally.bytes;
        sum.kept += tally.kept;
        let rows = retention::due_rows(engine, due, (after, last))
            .await
            .unwrap();
        numbers.extend(rows.numbers());
        after = last;
    }
    (numbers, sum)
}

/// Of four old punches and one that only its clock calls old, of a young one, of another tenant's
/// and of a canary's: what each brings.
fn histories() -> [(SharedDevice, Vec<Event>); 3] {
    let suspect = Event {
        clock: ClockFlag::Suspect,
        ..punch("5", "2000-01-01 00:00:00.000", "0")
    };
    let own = ["1", "2", "3", "4"].map(|person| punch(person, OLD, "0"));
    let own = own.into_iter().chain([suspect, punch("1", YOUNG, "0")]);
    [
        (device(1, "acme", false), own.collect()),
        (device(2, "other", false), vec![punch("1", OLD, "0")]),
        (device(3, "acme", true), vec![punch("1", OLD, "0")]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_emptied_is_known_when_it_is_sent_again_and_nothing_else_is_touched() {
    for store in stores().await {
        let told = store.name;
        let (mirror, gate) = (Mirror::in_memory().await.unwrap(), Gate::new(10));
        let writer = Writer::spawn("s", store.target.clone(), mirror, gate, Arc::new(Silent));
        let mut new = 0;
        for (device, events) in histories() {
            let got = writer.submit(brought(&device, &events, &[])).await.unwrap();
            new += got.new;
        }
        assert_eq!(new, 8, "{told}");
        let mut engine = store.engine().await;
        let due = due(Class::Events(Kind::Punch));
        let (numbers, tally) = all_due(&mut engine, &due).await;
        let expected = Tally {
            due: 4,
            bytes: 24,
            kept: 2,
        };
        assert_eq!((numbers.len(), tally), (4, expected), "{told}");
        let retired = retention::retire(&mut engine, due.class, &numbers)
            .await
            .unwrap();
        assert_eq!(retired, 4, "{told}");
        let twice = all_due(&mut engine, &due).await.0;
        assert!(twice.is_empty(), "{told}: {twice:?} would go twice");

        let rows = feed::read(&mut engine, &FeedFilter::default())
            .await
            .unwrap();
        let mut shown: Vec<_> = rows.iter().map(|row| row.person.clone().unwrap()).collect();
        shown.sort_unstable();
        assert_eq!(shown, ["1", "1", "5"], "{told}");
        let left = "SELECT COUNT(*) FROM event WHERE person IS NOT NULL OR card IS NOT NULL \
                    OR attributes IS NOT NULL OR LENGTH(raw) > 0";
        let left = engine
            .fetch(sqlx::SqlStr::from_static(left), &[])
            .await
            .unwrap();
        assert_eq!(
            left[0].int(0).unwrap(),
            4,
            "{told}: something of them is left"
        );

        let (device, mut events) = histories().into_iter().next().unwrap();
        events.push(punch("2", OLD, "1"));
        let again = writer.submit(brought(&device, &events, &[])).await.unwrap();
        let counted = (again.new, again.duplicate, again.by_store.same_second);
        assert_eq!(counted, (0, 6, 1), "{told}: sent again");
        let rows = feed::read(&mut engine, &FeedFilter::default())
            .await
            .unwrap();
        assert_eq!(rows.len(), 3, "{told}: it came back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_what_the_audit_says_last_and_is_each_tenants_own() {
    for store in stores().await {
        let told = store.name;
        let mut engine = store.engine().await;
        let [acme, other] = ["acme", "other"].map(|name| TenantId::new(name).unwrap());
        let at = Millis::parse(OLD).unwrap();
        for (tenant, on, changes) in [
            (&acme, false, false),
            (&acme, true, true),
            (&acme, true, false),
            (&other, true, true),
            (&acme, false, true),
        ] {
            let set = hold::set(&mut engine, tenant, on, Some("why"), (at, "ana")).await;
            assert_eq!(set.unwrap(), changes, "{told}: {tenant} {on}");
        }
        assert_eq!(hold::of(&mut engine, &acme).await.unwrap(), None, "{told}");
        let held = hold::active(&mut engine).await.unwrap();
        let expected = hold::Hold {
            tenant: other,
            since: at,
            actor: "ana".to_owned(),
        };
        assert_eq!(held, [expected], "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_quarantine_only_what_is_settled_is_emptied_and_stays_known() {
    for store in stores().await {
        let told = store.name;
        let (mirror, gate) = (Mirror::in_memory().await.unwrap(), Gate::new(10));
        let writer = Writer::spawn("s", store.target.clone(), mirror, gate, Arc::new(Silent));
        let device = device(1, "acme", false);
        let records = [unread(b"settled"), unread(b"open")];
        writer
            .submit(brought(&device, &[], &records))
            .await
            .unwrap();
        let mut engine = store.engine().await;
        let all = QuarantineFilter {
            include_settled: true,
            limit: 10,
            ..QuarantineFilter::default()
        };
        let rows = quarantine::list(&mut engine, &all).await.unwrap();
        let settled = rows.iter().find(|row| row.raw == b"settled").unwrap().id;
        let at = Millis::parse(OLD).unwrap();
        assert!(quarantine::settle(&mut engine, settled, at).await.unwrap());

        let due = due(Class::Quarantine);
        let (numbers, tally) = all_due(&mut engine, &due).await;
        let expected = Tally {
            due: 1,
            bytes: 7,
            kept: 1,
        };
        assert_eq!(
            (numbers.as_slice(), tally),
            (&[settled][..], expected),
            "{told}"
        );
        let open = rows.iter().find(|row| row.raw == b"open").unwrap().id;
        let both = [settled, open];
        let retired = retention::retire(&mut engine, due.class, &both)
            .await
            .unwrap();
        assert_eq!(retired, 1, "{told}: what is not settled was emptied");
        writer
            .submit(brought(&device, &[], &records))
            .await
            .unwrap();
        let rows = quarantine::list(&mut engine, &all).await.unwrap();
        let mut seen: Vec<_> = rows.iter().map(|row| (row.raw.len(), row.seen)).collect();
        seen.sort_unstable();
        assert_eq!(seen, [(0, 2), (4, 2)], "{told}: sent again");
    }
}
