//! Counting, inventory and assurance, on each kind of store, judged by what was put in by hand.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use std::sync::Arc;

use event::{Device, DeviceId, Millis, Serial, TenantId, Text, Vendor, Zone};
use sqlx::SqlStr;
use store::assurance::{self, Assured, Missing, WindowState};
use store::census::{self, Count, Span};
use store::inventory::{self, Inventory};
use store::status::{self, DeviceState};
use store::{AnyEngine, Value};

mod common;
use common::stores;

fn at(text: &str) -> Millis {
    Millis::parse(text).unwrap()
}

fn device(n: u8) -> DeviceId {
    DeviceId([n; 16])
}

/// A punch of that terminal; `late` as in `timeliness`.
async fn punch(
    engine: &mut AnyEngine,
    seq: i64,
    of: u8,
    occurred: Option<&str>,
    received: &str,
    words: (&str, &str),
) {
    let sql = "INSERT INTO event (seq, device_id, ident, event_uid, kind, time_zone, occurred_at, \
               received_at, route, timeliness, clock, raw) \
               VALUES (?, ?, ?, ?, 'punch', 'UTC', ?, ?, 'push', ?, ?, ?)";
    let mut ident = [of; 16];
    ident[..8].copy_from_slice(&seq.to_be_bytes());
    // As the writer spells them.
    let occurred = occurred.map(|text| at(text).text());
    let received = at(received).text();
    let values = [
        Value::Int(seq),
        Value::Bytes(&[of; 16]),
        Value::Bytes(&ident),
        Value::Bytes(&[0; 32]),
        Value::opt(occurred.as_deref()),
        Value::Text(&received),
        Value::Text(words.0),
        Value::Text(words.1),
        Value::Bytes(b"x"),
    ];
    engine
        .execute(SqlStr::from_static(sql), &values)
        .await
        .unwrap();
}

#[tokio::test]
async fn punches_are_counted_by_when_they_happened_whatever_the_order_in_which_they_came() {
    let span = Span {
        from: at("2026-11-16 06:00:00"),
        to: at("2026-12-01 06:00:00"),
    };
    let live = ("live", "ok");
    for store in stores().await {
        let mut engine = store.engine().await;
        assert!(census::punches(&mut engine, span).await.unwrap().is_empty());
        let e = &mut engine;
        // Long before the span, many rows, so that the place has to be looked for.
        for n in 0..40 {
            let then = at("2026-01-01 00:00:00").0 + n * 3_600_000;
            let then = Millis(then).text();
            punch(e, n + 1, 1, Some(&then), &then, live).await;
        }
        let later = 1 << 40;
        // The last of the period before, and the first and last of this one.
        punch(
            e,
            later,
            1,
            Some("2026-11-16 05:59:59"),
            "2026-11-16 06:00:01",
            live,
        )
        .await;
        punch(
            e,
            later + 1,
            1,
            Some("2026-11-16 06:00:00"),
            "2026-11-16 06:00:02",
            live,
        )
        .await;
        punch(
            e,
            later + 2,
            2,
            Some("2026-12-01 05:59:59"),
            "2026-12-01 06:00:01",
            live,
        )
        .await;
        punch(
            e,
            later + 3,
            2,
            Some("2026-12-01 06:00:00"),
            "2026-12-01 06:00:01",
            live,
        )
        .await;
        // Days late, and after the span.
        let late = ("historic", "ok");
        punch(
            e,
            later + 4,
            1,
            Some("2026-11-20 14:00:00"),
            "2026-12-05 09:00:00",
            late,
        )
        .await;
        // A clock that is ahead, but not yet suspect: the row came before the span began.
        punch(
            e,
            later - 1,
            1,
            Some("2026-11-16 08:00:00"),
            "2026-11-15 20:00:00",
            live,
        )
        .await;
        // Clocks that nobody believes count where they came.
        let suspect = ("historic", "suspect");
        punch(
            e,
            later + 5,
            2,
            Some("2000-01-01 00:00:09"),
            "2026-11-20 09:00:00",
            suspect,
        )
        .await;
        punch(e, later + 6, 2, None, "2026-12-20 09:00:00", suspect).await;
        let counts = census::punches(&mut engine, span).await.unwrap();
        let one = Count {
            punches: 3,
            late: 1,
            undated: 0,
        };
        let two = Count {
            punches: 1,
            late: 0,
            undated: 1,
        };
        assert_eq!(counts.get(&device(1)), Some(&one), "{}", store.name);
        assert_eq!(counts.get(&device(2)), Some(&two), "{}", store.name);
        assert_eq!(
            census::attendance(&mut engine, device(2)).await.unwrap(),
            4,
            "{}",
            store.name
        );
    }
}

fn state(n: u8, inventory: Option<Inventory>, assured: Option<Assured>) -> DeviceState {
    let device = Arc::new(Device {
        id: device(n),
        tenant: Some(TenantId::new("acme").unwrap()),
        vendor: Vendor::Zkteco,
        serial: Serial::new(&format!("S{n:03}")).unwrap(),
        name: None,
        site: None,
        zone: Zone::utc(),
        canary: n == 9,
    });
    DeviceState {
        device,
        state: Text::const_new("online"),
        last_contact_at: Some(Millis(5)),
        last_event_at: None,
        clock_skew_seconds: None,
        log_used: None,
        log_capacity: None,
        gap_events: None,
        completeness: Text::const_new("proven"),
        inventory,
        assured,
    }
}

#[tokio::test]
async fn what_a_terminal_told_once_stays_until_it_says_otherwise() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let first = Inventory {
            model: Some("K40/ID".into()),
            firmware: Some("Ver 8.0.1".into()),
            users_used: Some(12),
            first_contact_at: Some(Millis(1_000)),
            ..Inventory::default()
        };
        let mut seen = state(1, Some(first), None);
        seen.log_used = Some(500);
        seen.clock_skew_seconds = Some(-4);
        status::write(&mut engine, &[seen]).await.unwrap();
        let again = Inventory {
            firmware: Some("Ver 8.0.2".into()),
            address: Some("192.0.2.7".into()),
            first_contact_at: Some(Millis(9_000)),
            ..Inventory::default()
        };
        // After a restart it has told less.
        let states = [state(1, Some(again), None), state(2, None, None)];
        status::write(&mut engine, &states).await.unwrap();
        let rows = inventory::read(&mut engine).await.unwrap();
        let [(id, known)] = rows.as_slice() else {
            panic!("{}: {rows:?}", store.name)
        };
        assert_eq!(*id, device(1));
        let want = Inventory {
            model: Some("K40/ID".into()),
            firmware: Some("Ver 8.0.2".into()),
            dialect: None,
            address: Some("192.0.2.7".into()),
            users_used: Some(12),
            users_capacity: None,
            first_contact_at: Some(Millis(1_000)),
        };
        assert_eq!(*known, want, "{}", store.name);
        let rows = status::read(&mut engine).await.unwrap();
        let row = rows.iter().find(|row| row.serial == "S001").unwrap();
        assert_eq!(
            (row.log_used, row.clock_skew_seconds),
            (Some(500), Some(-4))
        );
    }
}

#[tokio::test]
async fn a_statement_of_assurance_stays_when_a_later_look_could_say_nothing() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let said = |complete_to, checked_at| Assured {
            complete_to,
            checked_at,
            means: Text::const_new("serials"),
            device_count: None,
            stored_count: None,
        };
        let whole = said(Some(Millis(7_000)), Millis(8_000));
        let states = [state(1, None, Some(whole)), state(9, None, None)];
        status::write(&mut engine, &states).await.unwrap();
        let unsure = said(None, Millis(9_000));
        assurance::write(&mut engine, device(1), &unsure)
            .await
            .unwrap();
        let rows = assurance::read(&mut engine, "acme").await.unwrap();
        let [row] = rows.as_slice() else {
            panic!("{}: {rows:?}", store.name)
        };
        assert_eq!(row.complete_to, Some(Millis(7_000)), "{}", store.name);
        assert_eq!(row.means.as_deref(), Some("serials"));
        assert_eq!(row.completeness.as_deref(), Some("proven"));
        assert!(
            assurance::read(&mut engine, "other")
                .await
                .unwrap()
                .is_empty()
        );
    }
}

#[tokio::test]
async fn a_window_keeps_the_moment_it_was_found_and_is_gone_from_the_list_once_closed() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let window = |state, now| Missing {
            device: device(1),
            begins_at: Millis(1_000),
            ends_at: Millis(5_000 + now),
            state,
            device_count: Some(10),
            stored_count: Some(9),
            detail: Text::const_new("the terminal counts 10"),
            found_at: Millis(now),
            changed_at: Millis(now),
        };
        let other = Missing {
            device: device(2),
            ..window(WindowState::Lost, 1)
        };
        let first = [window(WindowState::Open, 100), other.clone()];
        assurance::note(&mut engine, &first).await.unwrap();
        let stuck = window(WindowState::Stuck, 200);
        assurance::note(&mut engine, &[stuck]).await.unwrap();
        let rows = assurance::missing(&mut engine, Some(device(1)))
            .await
            .unwrap();
        let [row] = rows.as_slice() else {
            panic!("{}: {rows:?}", store.name)
        };
        assert_eq!(
            (row.state, row.ends_at),
            (WindowState::Stuck, Millis(5_200))
        );
        assert_eq!((row.found_at, row.changed_at), (Millis(100), Millis(200)));
        let closed = window(WindowState::Closed, 300);
        assurance::note(&mut engine, &[closed]).await.unwrap();
        let rows = assurance::missing(&mut engine, None).await.unwrap();
        assert_eq!(rows, [other], "{}", store.name);
    }
}
