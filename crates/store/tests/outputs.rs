//! What outputs rest on: a page misses nothing and passes what is not its own, a cursor moves only
//! from where it was found and for whoever holds it, and a dead letter goes again under its number.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use std::sync::Arc;
use std::time::Duration;

use event::{
    Bytes, ClockFlag, Device, DeviceId, Event, Ident, Kind, Millis, Route, Serial, SharedDevice,
    TenantId, Timeliness, Vendor, WallTime, Zone,
};
use store::feed;
use store::outputs::{self, Key, Step, Wanted};
use store::{AnyEngine, Gate, Mirror, Observer, Submission, Trouble, Writer};

mod common;
use common::{empty_stores, stores};

const NOW: Millis = Millis(1_795_000_000_123);
const KEY: Key<'static> = Key {
    tenant: "acme",
    name: "payroll",
};

struct Silent;

impl Observer for Silent {
    fn committed(&self, _: Duration, _: usize) {}
    fn troubled(&self, _: Trouble, _: &str) {}
    fn recovered(&self) {}
    fn new_epoch(&self, _: i64) {}
}

fn device(tenant: &str, serial: &str) -> SharedDevice {
    let mut id = [0; 16];
    id[..serial.len()].copy_from_slice(serial.as_bytes());
    Arc::new(Device {
        id: DeviceId(id),
        tenant: Some(TenantId::new(tenant).unwrap()),
        vendor: Vendor::Zkteco,
        serial: Serial::new(serial).unwrap(),
        name: None,
        site: None,
        zone: Zone::utc(),
        canary: false,
    })
}

fn event(person: usize, kind: Kind) -> Event {
    let at = WallTime::parse(b"2026-11-21 10:15:30").unwrap();
    let person = person.to_string();
    Event {
        ident: Ident::attendance(person.as_bytes(), &at),
        kind,
        raw: Bytes::from(person.clone()),
        person: Some(person.into()),
        card: None,
        local_time: Some(at.to_string().into()),
        occurred_at: Some(NOW),
        received_at: NOW,
        status_code: None,
        verify_code: None,
        vendor_code: None,
        direction: None,
        door: None,
        route: Route::Push,
        timeliness: Timeliness::Live,
        clock: ClockFlag::Ok,
        attributes: None,
    }
}

async fn submit(writer: &Writer, device: &SharedDevice, events: Vec<Event>) {
    let submission = Submission {
        device: Arc::clone(device),
        events,
        quarantined: vec![],
        cursors: vec![],
        expects: None,
        fence: None,
    };
    writer.submit(submission).await.unwrap();
}

/// Ten punches and ten operations of acme between 6,000 of somebody else, then a new epoch with
/// five more punches.
async fn filled(store: &common::Store) -> AnyEngine {
    let mirror = Mirror::in_memory().await.unwrap();
    let writer = Writer::spawn(
        "acme",
        store.target.clone(),
        mirror,
        Gate::new(4),
        Arc::new(Silent),
    );
    let (ours, other) = (device("acme", "OURS"), device("beta", "OTHER"));
    for round in 0..2 {
        let (first, kind) = (round * 10, [Kind::Punch, Kind::Operation][round]);
        submit(
            &writer,
            &ours,
            (first..first + 10).map(|n| event(n, kind)).collect(),
        )
        .await;
        let first = round * 3_000;
        let many = (first..first + 3_000).map(|n| event(n, Kind::Punch));
        submit(&writer, &other, many.collect()).await;
    }
    writer.close().await;
    let mut engine = store.engine().await;
    feed::open_epoch(&mut engine, None, "a test", NOW)
        .await
        .unwrap();
    let mirror = Mirror::in_memory().await.unwrap();
    let gate = Gate::new(4);
    let writer = Writer::spawn("acme", store.target.clone(), mirror, gate, Arc::new(Silent));
    submit(
        &writer,
        &ours,
        (20..25).map(|n| event(n, Kind::Punch)).collect(),
    )
    .await;
    writer.close().await;
    engine
}

async fn persons(engine: &mut AnyEngine, kinds: &[Kind], limit: usize) -> Vec<String> {
    let wanted = Wanted {
        tenant: "acme",
        kinds,
        between: None,
        limit,
    };
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let page = outputs::page(engine, wanted, after).await.unwrap();
        assert!(page.rows.len() <= limit && page.rows.is_sorted_by(|a, b| a.seq < b.seq));
        found.extend(page.rows.into_iter().filter_map(|row| row.person));
        if !page.has_more {
            return found;
        }
        assert!(page.up_to > after, "a page that moves nowhere");
        after = page.up_to;
    }
}

#[tokio::test]
async fn pages_hold_each_row_of_the_tenant_once_over_others_rows_and_a_new_epoch() {
    for store in stores().await {
        let mut engine = filled(&store).await;
        let filter = feed::FeedFilter {
            tenant: Some("acme".to_owned()),
            ..feed::FeedFilter::default()
        };
        let all = feed::read(&mut engine, &filter).await.unwrap();
        let all: Vec<String> = all.into_iter().filter_map(|row| row.person).collect();
        assert_eq!(all.len(), 25, "{}", store.name);
        for limit in [1, 7, 10, 100] {
            let found = persons(&mut engine, &[], limit).await;
            assert_eq!(found, all, "{} by {limit}", store.name);
        }
        let punches = persons(&mut engine, &[Kind::Punch], 4).await;
        assert_eq!(punches.len(), 15, "{}", store.name);
        assert_eq!(outputs::before(&mut engine, NOW).await.unwrap(), 0);
        let end = outputs::before(&mut engine, Millis(NOW.0 + 1))
            .await
            .unwrap();
        assert_eq!(end, feed::head(&mut engine).await.unwrap().next_seq - 1);
    }
}

#[tokio::test]
async fn a_cursor_moves_only_from_where_it_was_found_and_for_its_holder() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let engine = &mut engine;
        outputs::begin(engine, KEY, true, NOW).await.unwrap();
        outputs::begin(engine, KEY, false, NOW).await.unwrap();
        let until = Millis(NOW.0 + 60_000);
        let hold = async |engine: &mut AnyEngine, who: &str, now: i64| {
            outputs::hold(engine, KEY, who, (Millis(now), until))
                .await
                .unwrap()
        };
        assert!(hold(engine, "one", NOW.0).await && hold(engine, "one", NOW.0).await);
        assert!(!hold(engine, "two", NOW.0 + 59_000).await, "{}", store.name);
        let step = |holder, from, to| Step { holder, from, to };
        let count = (3, NOW);
        let moved = outputs::delivered(engine, KEY, step("two", 0, 3), count).await;
        assert!(!moved.unwrap(), "{}: by somebody else", store.name);
        outputs::failing(engine, KEY, "HTTP 500", NOW)
            .await
            .unwrap();
        outputs::failing(engine, KEY, "HTTP 503", until)
            .await
            .unwrap();
        let standing = outputs::standing(engine, KEY).await.unwrap().unwrap();
        assert_eq!(standing.failing_since, Some(NOW));
        assert_eq!(standing.trouble.as_deref(), Some("HTTP 503"));
        assert!(
            outputs::delivered(engine, KEY, step("one", 0, 3), count)
                .await
                .unwrap()
        );
        let standing = outputs::standing(engine, KEY).await.unwrap().unwrap();
        assert_eq!((standing.seq, standing.delivered), (3, 3), "{}", store.name);
        assert_eq!((standing.failing_since, standing.trouble), (None, None));

        // Set back while a delivery is under way: the delivery moves nothing.
        assert!(outputs::rewind(engine, KEY, 1).await.unwrap());
        assert!(!outputs::pass(engine, KEY, step("one", 3, 9)).await.unwrap());
        assert!(hold(engine, "two", NOW.0 + 61_000).await, "after its time");
        assert!(!outputs::pass(engine, KEY, step("one", 1, 9)).await.unwrap());
        assert!(outputs::pass(engine, KEY, step("two", 1, 9)).await.unwrap());
        outputs::release(engine, KEY, "two").await.unwrap();
        assert!(
            hold(engine, "one", NOW.0).await,
            "{}: given back",
            store.name
        );
        assert!(
            !outputs::set_paused(
                engine,
                Key {
                    name: "none",
                    ..KEY
                },
                true
            )
            .await
            .unwrap()
        );
    }
}

#[tokio::test]
async fn a_dead_letter_goes_again_and_is_settled_once() {
    for store in stores().await {
        let mut engine = filled(&store).await;
        let engine = &mut engine;
        outputs::begin(engine, KEY, true, NOW).await.unwrap();
        outputs::hold(engine, KEY, "one", (NOW, Millis(NOW.0 + 1)))
            .await
            .unwrap();
        let wanted = Wanted {
            tenant: "acme",
            kinds: &[],
            between: None,
            limit: 3,
        };
        let page = outputs::page(engine, wanted, 0).await.unwrap();
        let step = Step {
            holder: "one",
            from: 0,
            to: page.up_to,
        };
        let why = ("HTTP 422", NOW);
        assert!(
            outputs::bury(engine, KEY, step, &page.rows, why)
                .await
                .unwrap()
        );
        assert!(
            !outputs::bury(engine, KEY, step, &page.rows, why)
                .await
                .unwrap()
        );
        assert_eq!(outputs::dead_letters(engine, KEY).await.unwrap(), 3);
        let first = outputs::dead_rows(engine, KEY, 0, 2).await.unwrap();
        assert_eq!(first, page.rows[..2], "{}", store.name);
        outputs::settle(engine, KEY, &first, NOW).await.unwrap();
        let rest = outputs::dead_rows(engine, KEY, 0, 9).await.unwrap();
        assert_eq!(rest, page.rows[2..], "{}", store.name);
        assert_eq!(outputs::dead_letters(engine, KEY).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_database_without_the_tables_says_so_and_nothing_else() {
    for store in empty_stores().await {
        let mut engine = store.engine().await;
        let failure = outputs::standing(&mut engine, KEY).await.unwrap_err();
        assert_eq!(failure.trouble(), Trouble::Schema, "{}", store.name);
    }
}
