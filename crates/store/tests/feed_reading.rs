//! What readers of the feed are promised: who has read up to N never later finds a new row at
//! or below N, also with two writers, and also after an older copy of the database came back.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event::{
    Bytes, ClockFlag, Device, DeviceId, Event, EventUid, Ident, Kind, Millis, Route, Serial,
    SharedDevice, TenantId, Text, Timeliness, Vendor, WallTime, Zone,
};
use sqlx::SqlStr;
use store::feed::{self, EPOCH_BITS, FeedFilter, FeedRow};
use store::mirror::FeedMark;
use store::{AnyEngine, Gate, Mirror, Observer, Submission, Target, Trouble, Writer};

mod common;
use common::stores;

const NOW: Millis = Millis(1_795_000_000_123);

struct Silent;

impl Observer for Silent {
    fn committed(&self, _: Duration, _: usize) {}
    fn troubled(&self, _: Trouble, _: &str) {}
    fn recovered(&self) {}
    fn new_epoch(&self, _: i64) {}
}

fn writer(target: &Target, mirror: &Mirror) -> Writer {
    Writer::spawn(
        "acme",
        target.clone(),
        mirror.clone(),
        Gate::new(10),
        Arc::new(Silent),
    )
}

fn device(serial: &str, canary: bool) -> SharedDevice {
    let mut id = [0; 16];
    id[..serial.len()].copy_from_slice(serial.as_bytes());
    Arc::new(Device {
        id: DeviceId(id),
        tenant: Some(TenantId::new("acme").unwrap()),
        vendor: Vendor::Zkteco,
        serial: Serial::new(serial).unwrap(),
        name: Some(Text::const_new("Entrada")),
        site: None,
        zone: Zone::named("America/Mexico_City").unwrap(),
        canary,
    })
}

fn punch(person: usize) -> Event {
    let at = WallTime::parse(b"2026-11-21 10:15:30").unwrap();
    let person = format!("{person:06}");
    Event {
        ident: Ident::attendance(person.as_bytes(), &at),
        kind: Kind::Punch,
        raw: Bytes::from(person.clone()),
        person: Some(person.into()),
        card: None,
        local_time: Some(at.to_string().into()),
        occurred_at: Some(NOW),
        received_at: Millis(NOW.0 + 5000),
        status_code: Some(Text::const_new("0")),
        verify_code: Some(Text::const_new("15")),
        vendor_code: None,
        direction: None,
        door: None,
        route: Route::Push,
        timeliness: Timeliness::Live,
        clock: ClockFlag::Ok,
        attributes: Some(r#"{"work_code":"0"}"#.to_owned()),
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

/// A reader as another program would be: it keeps the last `seq` and what it has got.
#[derive(Default)]
struct Reader {
    last: i64,
    got: BTreeMap<String, i64>,
}

impl Reader {
    /// Reads until nothing is left.
    async fn catch_up(&mut self, engine: &mut AnyEngine) {
        loop {
            let filter = FeedFilter {
                after_seq: self.last,
                limit: 7,
                ..FeedFilter::default()
            };
            let rows = feed::read(engine, &filter).await.unwrap();
            let Some(newest) = rows.last() else { return };
            assert!(rows.is_sorted_by(|a, b| a.seq < b.seq));
            self.last = newest.seq;
            self.got
                .extend(rows.into_iter().map(|row| (row.event_uid, row.seq)));
        }
    }
}

async fn everything(engine: &mut AnyEngine) -> Vec<FeedRow> {
    let filter = FeedFilter {
        limit: 1_000_000,
        ..FeedFilter::default()
    };
    feed::read(engine, &filter).await.unwrap()
}

/// Two writers, each with its own terminals, and a reader that follows all the while.
async fn two_writers_and_a_reader(target: &Target, mirrors: [&Mirror; 2], reader: &mut Reader) {
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for (number, mirror) in mirrors.into_iter().enumerate() {
        let writer = writer(target, mirror);
        let device = device(&format!("W{number}"), false);
        tasks.push(tokio::spawn(async move {
            for start in (0..200).step_by(5) {
                submit(&writer, &device, (start..start + 5).map(punch).collect()).await;
            }
            writer.close().await;
        }));
    }
    let (done, goal) = (Arc::clone(&over), target.clone());
    let mut following = std::mem::take(reader);
    let follower = tokio::spawn(async move {
        let mut engine = goal.connect().await.unwrap();
        let mut rounds = 0;
        while !done.load(Ordering::Acquire) {
            following.catch_up(&mut engine).await;
            rounds += 1;
            tokio::task::yield_now().await;
        }
        following.catch_up(&mut engine).await;
        (following, rounds)
    });
    for task in tasks {
        task.await.unwrap();
    }
    over.store(true, Ordering::Release);
    let rounds;
    (*reader, rounds) = follower.await.unwrap();
    assert!(rounds > 3, "the reader looked only {rounds} times");
}

async fn run(engine: &mut AnyEngine, statements: &[&'static str]) {
    for sql in statements {
        engine.execute(SqlStr::from_static(sql), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_misses_nothing_of_two_writers_a_restored_copy_and_a_new_epoch() {
    for store in stores().await {
        let (one, two) = (
            Mirror::in_memory().await.unwrap(),
            Mirror::in_memory().await.unwrap(),
        );
        let mut reader = Reader::default();
        let mut engine = store.engine().await;
        let before = writer(&store.target, &one);
        submit(&before, &device("W0", false), (0..20).map(punch).collect()).await;
        before.close().await;
        reader.catch_up(&mut engine).await;
        // The copy: what a backup of this moment holds.
        run(
            &mut engine,
            &[
                "CREATE TABLE copied_event AS SELECT * FROM event",
                "CREATE TABLE copied_head AS SELECT * FROM feed_head",
            ],
        )
        .await;
        two_writers_and_a_reader(&store.target, [&one, &two], &mut reader).await;
        let rows = everything(&mut engine).await;
        assert_eq!(rows.len(), 400, "{}", store.name);
        let all: BTreeMap<_, _> = rows
            .into_iter()
            .map(|row| (row.event_uid, row.seq))
            .collect();
        assert_eq!(reader.got, all, "{}", store.name);

        // The copy comes back; the terminals send part of what was lost, and new events.
        run(
            &mut engine,
            &[
                "DELETE FROM event",
                "INSERT INTO event SELECT * FROM copied_event",
                "DELETE FROM feed_head",
                "INSERT INTO feed_head SELECT * FROM copied_head",
            ],
        )
        .await;
        let (lost_at, epoch) = (reader.last, reader.last >> EPOCH_BITS);
        let again = writer(&store.target, &one);
        submit(&again, &device("W0", false), (0..250).map(punch).collect()).await;
        again.close().await;
        reader.catch_up(&mut engine).await;

        let rows = everything(&mut engine).await;
        assert_eq!(
            rows.len(),
            251,
            "{}: 250 punches and the epoch's own event",
            store.name
        );
        for row in rows {
            let known = reader.got.get(&row.event_uid);
            assert_eq!(known, Some(&row.seq), "{}: missed {row:?}", store.name);
        }
        let head = feed::head(&mut engine).await.unwrap();
        assert_eq!(head.epoch(), epoch + 1, "{}", store.name);
        assert!(reader.last > lost_at, "{}", store.name);
    }
}

/// What the disk has of `state_dir` when the process dies at this moment.
fn state_left_by(folder: &Path) -> tempfile::TempDir {
    let left = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), left.path().join(file.file_name())).unwrap();
    }
    left
}

/// Commits, takes a copy of the store, commits more, and dies; the copy comes back. Answers the
/// reader, who has everything, and what the disk has of `state_dir`.
async fn killed_and_restored(store: &common::Store) -> (Reader, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(folder.path()).await.unwrap();
    let killed = writer(&store.target, &mirror);
    let mut engine = store.engine().await;
    submit(&killed, &device("W0", false), (0..20).map(punch).collect()).await;
    let copy = [
        "CREATE TABLE copied_event AS SELECT * FROM event",
        "CREATE TABLE copied_head AS SELECT * FROM feed_head",
    ];
    run(&mut engine, &copy).await;
    submit(&killed, &device("W0", false), (20..25).map(punch).collect()).await;
    let left = state_left_by(folder.path());
    let mut reader = Reader::default();
    reader.catch_up(&mut engine).await;
    assert_eq!(reader.got.len(), 25, "{}", store.name);
    killed.close().await;
    let back = [
        "DELETE FROM event",
        "INSERT INTO event SELECT * FROM copied_event",
        "DELETE FROM feed_head",
        "INSERT INTO feed_head SELECT * FROM copied_head",
    ];
    run(&mut engine, &back).await;
    (reader, left)
}

/// The terminals send what was lost once more, and something new; the reader misses none of it.
async fn goes_on(store: &common::Store, state: &Path, mut reader: Reader) -> Vec<FeedRow> {
    let mirror = Mirror::open(state).await.unwrap();
    let again = writer(&store.target, &mirror);
    let seen = reader.last;
    // The new ones first, each with a number of its own: nothing that is there already takes up
    // those which the reader has seen.
    submit(&again, &device("W0", false), (25..30).map(punch).collect()).await;
    submit(&again, &device("W0", false), (10..25).map(punch).collect()).await;
    again.close().await;
    let mut engine = store.engine().await;
    reader.catch_up(&mut engine).await;
    let rows = everything(&mut engine).await;
    for row in &rows {
        let known = reader.got.get(&row.event_uid);
        assert_eq!(known, Some(&row.seq), "{}: missed {row:?}", store.name);
    }
    assert!(reader.last > seen, "{}", store.name);
    rows
}

#[tokio::test]
async fn after_kill_9_a_copy_that_is_moments_old_opens_a_new_epoch() {
    for store in stores().await {
        let (reader, left) = killed_and_restored(&store).await;
        let rows = goes_on(&store, left.path(), reader).await;
        assert_eq!(rows.len(), 31, "{}: 30 punches and the epoch", store.name);
        let head = feed::head(&mut store.engine().await).await.unwrap();
        assert_eq!(head.epoch(), 1, "{}", store.name);
    }
}

#[tokio::test]
async fn after_a_power_cut_that_took_the_last_note_along_no_reader_misses_a_row() {
    for store in stores().await {
        let (reader, left) = killed_and_restored(&store).await;
        std::fs::remove_file(left.path().join("feed-acme.mark")).unwrap();
        let rows = goes_on(&store, left.path(), reader).await;
        let punches = rows.iter().filter(|row| row.kind == "punch").count();
        assert_eq!(punches, 30, "{}", store.name);
    }
}

#[tokio::test]
async fn a_restart_in_order_leaves_no_hole_in_the_numbers_and_a_kill_opens_no_epoch() {
    for store in stores().await {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::open(folder.path()).await.unwrap();
        for start in [0, 5] {
            let writer = writer(&store.target, &mirror);
            let some = (start..start + 5).map(punch).collect();
            submit(&writer, &device("W0", false), some).await;
            writer.close().await;
        }
        let mut engine = store.engine().await;
        let head = feed::head(&mut engine).await.unwrap();
        let rows = everything(&mut engine).await;
        let in_order = rows.windows(2).all(|two| two[1].seq == two[0].seq + 1);
        assert!(in_order && rows.len() == 10, "{}: {rows:?}", store.name);

        let killed = writer(&store.target, &mirror);
        submit(&killed, &device("W0", false), vec![punch(10)]).await;
        let left = state_left_by(folder.path());
        let mirror = Mirror::open(left.path()).await.unwrap();
        let next = writer(&store.target, &mirror);
        submit(&next, &device("W0", false), vec![punch(11)]).await;
        next.close().await;
        killed.close().await;
        let after = feed::head(&mut engine).await.unwrap();
        assert_eq!(after.epoch(), head.epoch(), "{}", store.name);
        assert_eq!(everything(&mut engine).await.len(), 12, "{}", store.name);
    }
}

#[tokio::test]
async fn an_epoch_is_higher_than_any_known_and_says_so_in_the_feed() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let reason = "restored, \"by hand\" ñ";
        assert_eq!(
            feed::open_epoch(&mut engine, None, reason, NOW)
                .await
                .unwrap(),
            1
        );
        assert_eq!(
            feed::open_epoch(&mut engine, None, reason, NOW)
                .await
                .unwrap(),
            2
        );
        let head = feed::head(&mut engine).await.unwrap();
        let mark = FeedMark {
            store_id: head.store_id,
            server: String::new(),
            next_seq: (41 << EPOCH_BITS) + 9,
        };
        let epoch = feed::open_epoch(&mut engine, Some(&mark), reason, NOW)
            .await
            .unwrap();
        assert_eq!(epoch, 42, "{}", store.name);
        let low = FeedMark {
            next_seq: 9,
            ..mark
        };
        assert_eq!(
            feed::open_epoch(&mut engine, Some(&low), reason, NOW)
                .await
                .unwrap(),
            43
        );

        let rows = everything(&mut engine).await;
        let seqs: Vec<_> = rows.iter().map(|row| row.seq).collect();
        let expected = [1, 2, 42, 43].map(|epoch: i64| (epoch << EPOCH_BITS) + 1);
        assert_eq!(seqs, expected, "{}", store.name);
        // What meets a condition is looked for over the numbers between two epochs too.
        let sieve = FeedFilter {
            kind: Some(Kind::Device),
            limit: 3,
            ..FeedFilter::default()
        };
        let sieved = feed::read(&mut engine, &sieve).await.unwrap();
        let found: Vec<_> = sieved.iter().map(|row| row.seq).collect();
        assert_eq!(found, expected[..3], "{}", store.name);
        let row = &rows[2];
        assert_eq!(
            (row.kind.as_str(), row.vendor.as_str()),
            ("device", "satellite")
        );
        assert_eq!((row.serial.as_str(), row.tenant.as_deref()), ("feed", None));
        assert_eq!((row.occurred_at, row.received_at), (Some(NOW), NOW));
        let said: serde_json::Value =
            serde_json::from_str(row.attributes.as_deref().unwrap()).unwrap();
        assert_eq!(said, serde_json::json!({ "epoch": 42, "reason": reason }));
        let uids: BTreeSet<_> = rows.iter().map(|row| &row.event_uid).collect();
        assert_eq!(uids.len(), 4, "{}", store.name);

        let after = feed::head(&mut engine).await.unwrap();
        assert_eq!(
            (after.epoch(), after.next_seq),
            (43, seqs[3] + 1),
            "{}",
            store.name
        );
        assert_eq!(after.store_id, head.store_id);
        assert_eq!(after.server, engine.server_identity().await.unwrap());
    }
}

#[tokio::test]
async fn every_column_of_the_feed_says_what_the_event_said() {
    for store in stores().await {
        let mirror = Mirror::in_memory().await.unwrap();
        let writer = writer(&store.target, &mirror);
        let device = device("W0", false);
        let event = Event {
            kind: Kind::Access,
            card: Some(Text::const_new("0012345678")),
            vendor_code: Some(Text::const_new("5/75")),
            direction: Some(event::Direction::Out),
            door: Some(Text::const_new("2")),
            timeliness: Timeliness::Historic,
            clock: ClockFlag::Suspect,
            route: Route::Backfill,
            ..punch(7)
        };
        let uid = EventUid::of(device.id, event.ident).to_string();
        submit(&writer, &device, vec![event]).await;
        writer.close().await;
        let rows = everything(&mut store.engine().await).await;
        let text = |text: &str| Some(text.to_owned());
        let expected = FeedRow {
            seq: rows[0].seq,
            event_uid: uid,
            tenant: text("acme"),
            vendor: "zkteco".to_owned(),
            serial: "W0".to_owned(),
            device_name: text("Entrada"),
            kind: "access".to_owned(),
            person: text("000007"),
            card: text("0012345678"),
            local_time: text("2026-11-21 10:15:30"),
            time_zone: "America/Mexico_City".to_owned(),
            occurred_at: Some(NOW),
            received_at: Millis(NOW.0 + 5000),
            status_code: text("0"),
            verify_code: text("15"),
            vendor_code: text("5/75"),
            direction: text("out"),
            door: text("2"),
            route: "backfill".to_owned(),
            timeliness: "historic".to_owned(),
            clock: "suspect".to_owned(),
            attributes: text(r#"{"work_code":"0"}"#),
            raw: b"000007".to_vec(),
        };
        assert_eq!(rows, [expected], "{}", store.name);
    }
}

/// The rows as `person@serial`, by serial and person: within one submission the order of the
/// feed is the writer's own.
fn told(rows: &[FeedRow]) -> String {
    let mut told: Vec<_> = rows
        .iter()
        .map(|row| {
            let person = row.person.as_deref().unwrap_or_default();
            (row.serial.as_str(), person.trim_start_matches('0'))
        })
        .collect();
    told.sort_unstable();
    let told: Vec<_> = told
        .iter()
        .map(|(serial, person)| format!("{person}@{serial}"))
        .collect();
    told.join(" ")
}

type Narrow = fn(&mut FeedFilter);

#[tokio::test]
async fn a_reader_can_ask_for_a_part_of_the_feed() {
    let wishes: [(Narrow, &str); 8] = [
        (|_| {}, "1@W0 2@W0 3@W0 1@W1"),
        (|f| f.person = Some("000001".to_owned()), "1@W0 1@W1"),
        (|f| f.serial = Some("W1".to_owned()), "1@W1"),
        (|f| f.tenant = Some("zeta".to_owned()), ""),
        (|f| f.kind = Some(Kind::Operation), "3@W0"),
        (|f| f.since = Some(Millis(NOW.0 + 1)), "3@W0"),
        (|f| (f.since, f.limit) = (Some(NOW), 3), "1@W0 2@W0 3@W0"),
        (|f| f.canary = true, "9@CANARY"),
    ];
    for store in stores().await {
        let mirror = Mirror::in_memory().await.unwrap();
        let writer = writer(&store.target, &mirror);
        let unknown = Event {
            occurred_at: None,
            kind: Kind::Operation,
            ..punch(3)
        };
        submit(
            &writer,
            &device("W0", false),
            vec![punch(1), punch(2), unknown],
        )
        .await;
        submit(&writer, &device("W1", false), vec![punch(1)]).await;
        submit(&writer, &device("CANARY", true), vec![punch(9)]).await;
        writer.close().await;
        let mut engine = store.engine().await;
        for (narrow, expected) in wishes {
            let mut filter = FeedFilter::default();
            narrow(&mut filter);
            let rows = feed::read(&mut engine, &filter).await.unwrap();
            assert_eq!(told(&rows), expected, "{}: {filter:?}", store.name);
        }
    }
}
