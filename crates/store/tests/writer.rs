//! What the writer promises, on SQLite, on MariaDB with durable defaults, and on a MariaDB
//! started like a small XAMPP host. Each promise is judged by what is in the database, read
//! over another connection.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use event::{
    Bytes, ClockFlag, Device, DeviceId, Event, Ident, Kind, Millis, Route, Serial, SharedDevice,
    TenantId, Text, Timeliness, Vendor, WallTime, Zone,
};
use mariadb::{Flavor, Server};
use store::{
    AnyEngine, Gate, Mirror, Observer, Receipt, Refused, Submission, Target, Trouble, Value, Writer,
};
use tempfile::TempDir;

mod proxy;

/// A migrated, empty store of one kind, with its mirror.
struct Store {
    name: &'static str,
    target: Target,
    mirror: Mirror,
    folder: TempDir,
}

async fn mariadb_store(name: &'static str, flavor: Flavor) -> Store {
    let folder = tempfile::tempdir().unwrap();
    let address = tokio::task::spawn_blocking(move || mariadb::shared(flavor).unwrap())
        .await
        .unwrap();
    let database = address.fresh_database("writer").unwrap();
    let server = format!("127.0.0.1:{}", address.port());
    let target = Target::mysql(&address.url(&database), None, &server);
    ready(name, target, folder).await
}

async fn ready(name: &'static str, target: Target, folder: TempDir) -> Store {
    let mut engine = target.connect().await.unwrap();
    store::schema::migrate(&mut engine).await.unwrap();
    let mirror = Mirror::open(folder.path()).await.unwrap();
    Store {
        name,
        target,
        mirror,
        folder,
    }
}

async fn sqlite_store() -> Store {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::Sqlite(folder.path().join("events.db"));
    ready("sqlite", target, folder).await
}

async fn every_store() -> Vec<Store> {
    vec![
        sqlite_store().await,
        mariadb_store("mariadb", Flavor::Durable).await,
        mariadb_store("xampp", Flavor::Xampp).await,
    ]
}

#[derive(Default)]
struct Seen {
    epochs: AtomicU64,
    troubles: Mutex<Vec<Trouble>>,
}

impl Observer for Seen {
    fn committed(&self, _: Duration, _: usize) {}
    fn troubled(&self, trouble: Trouble, _: &str) {
        self.troubles.lock().unwrap().push(trouble);
    }
    fn recovered(&self) {}
    fn new_epoch(&self, _: i64) {
        self.epochs.fetch_add(1, Ordering::Relaxed);
    }
}

impl Store {
    fn writer(&self) -> Writer {
        self.writer_to(self.target.clone())
    }

    fn writer_to(&self, target: Target) -> Writer {
        self.watched(target, Arc::new(Seen::default()))
    }

    fn watched(&self, target: Target, seen: Arc<Seen>) -> Writer {
        Writer::spawn("store", target, self.mirror.clone(), Gate::new(100), seen)
    }

    async fn engine(&self) -> AnyEngine {
        self.target.connect().await.unwrap()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let rows = self
            .engine()
            .await
            .fetch(sqlx::SqlStr::from_static(sql), &[])
            .await
            .unwrap();
        rows[0].int(0).unwrap()
    }

    async fn run(&self, sql: &'static str) {
        self.engine()
            .await
            .execute(sqlx::SqlStr::from_static(sql), &[])
            .await
            .unwrap();
    }
}

fn device(serial: &str) -> SharedDevice {
    let mut id = [7; 16];
    id[..serial.len().min(16)].copy_from_slice(&serial.as_bytes()[..serial.len().min(16)]);
    Arc::new(Device {
        id: DeviceId(id),
        tenant: Some(TenantId::new("acme").unwrap()),
        vendor: Vendor::Zkteco,
        serial: Serial::new(serial).unwrap(),
        name: None,
        site: None,
        zone: Zone::named("America/Mexico_City").unwrap(),
        canary: false,
    })
}

fn punch(pin: u32, second: u32, status: &str) -> Event {
    let at = WallTime::new(
        2026,
        11,
        21,
        u8::try_from(second / 3600 % 24).unwrap(),
        u8::try_from(second / 60 % 60).unwrap(),
        u8::try_from(second % 60).unwrap(),
    );
    let at = at.unwrap();
    let pin = format!("{pin:04}");
    Event {
        ident: Ident::attendance(pin.as_bytes(), &at),
        kind: Kind::Punch,
        raw: Bytes::from(format!("{pin}\t{at}\t{status}\t1")),
        person: Some(Text::from(pin)),
        card: None,
        local_time: Some(Text::from(at.to_string())),
        occurred_at: Some(Zone::utc().resolve(&at).at),
        received_at: Millis(1_795_000_000_123),
        status_code: Some(Text::from(status)),
        verify_code: Some(Text::const_new("1")),
        vendor_code: None,
        direction: None,
        door: None,
        route: Route::Push,
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

fn receipt(new: u64, duplicate: u64, quarantined: u64) -> Receipt {
    Receipt {
        new,
        duplicate,
        quarantined,
        ..Receipt::default()
    }
}

/// What was counted, without the numbers of the feed.
fn counts(receipt: Receipt) -> Receipt {
    Receipt {
        numbers: None,
        ..receipt
    }
}

/// One event was set aside because a punch of its second has another status.
fn receipt_with_twin(new: u64, duplicate: u64) -> Receipt {
    let mut receipt = receipt(new, duplicate, 1);
    receipt.by_store.same_second = 1;
    receipt
}

const FEED: &str = "SELECT COUNT(*) FROM event_feed";

#[tokio::test(flavor = "multi_thread")]
async fn equal_lines_are_one_punch_and_a_replay_changes_nothing() {
    for store in every_store().await {
        let writer = store.writer();
        let device = device("TWIN1");
        let twins = vec![punch(1, 10, "0"), punch(2, 10, "0"), punch(1, 10, "0")];
        let first = writer
            .submit(brought(&device, twins.clone()))
            .await
            .unwrap();
        assert_eq!(counts(first), receipt(2, 1, 0), "{}", store.name);
        let again = writer.submit(brought(&device, twins)).await.unwrap();
        assert_eq!(again, receipt(0, 3, 0), "{}", store.name);
        assert_eq!(store.count(FEED).await, 2, "{}", store.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_names_the_first_and_the_last_number_of_its_new_rows_and_no_others() {
    for store in every_store().await {
        let writer = store.writer();
        let device = device("NUM1");
        let old = brought(&device, vec![punch(1, 10, "0")]);
        let first = writer.submit(old.clone()).await.unwrap().numbers.unwrap();
        assert_eq!(writer.submit(old).await.unwrap().numbers, None);
        let more = vec![punch(1, 10, "0"), punch(2, 10, "0"), punch(3, 10, "0")];
        let (low, high) = writer
            .submit(brought(&device, more))
            .await
            .unwrap()
            .numbers
            .unwrap();
        assert_eq!(first, (1, 1), "{}", store.name);
        let lowest = "SELECT MIN(seq) FROM event_feed WHERE seq > 1";
        assert_eq!(store.count(lowest).await, low, "{}", store.name);
        let highest = "SELECT MAX(seq) FROM event_feed";
        assert_eq!(store.count(highest).await, high, "{}", store.name);
        assert!(low < high, "{}", store.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_have_their_numbers_in_the_order_in_which_they_came() {
    const IN_ORDER: &str = "SELECT COUNT(*) FROM event_feed a JOIN event_feed b \
                            ON b.person + 0 = a.person + 1 AND b.seq > a.seq";
    for store in every_store().await {
        let writer = store.writer();
        let device = device("ORDER1");
        // Each comes again behind its successor, and one was there before.
        let come = |pin| [punch(pin, 10, "0"), punch(pin.max(2) - 1, 10, "0")];
        let events = (1..=300).flat_map(come).collect();
        let old = brought(&device, vec![punch(1, 10, "0")]);
        writer.submit(old).await.unwrap();
        let got = writer.submit(brought(&device, events)).await;
        assert_eq!(counts(got.unwrap()), receipt(299, 301, 0), "{}", store.name);
        assert_eq!(store.count(FEED).await, 300, "{}", store.name);
        assert_eq!(store.count(IN_ORDER).await, 299, "{}", store.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_status_at_the_same_second_is_kept_raw_and_once() {
    for store in every_store().await {
        let writer = store.writer();
        let device = device("SECOND1");
        let both = vec![punch(1, 10, "0"), punch(1, 10, "1")];
        assert_eq!(
            counts(writer.submit(brought(&device, both.clone())).await.unwrap()),
            receipt_with_twin(1, 0)
        );
        assert_eq!(
            counts(writer.submit(brought(&device, both)).await.unwrap()),
            receipt_with_twin(0, 1)
        );
        let late = vec![punch(1, 10, "1")];
        assert_eq!(
            counts(writer.submit(brought(&device, late)).await.unwrap()),
            receipt_with_twin(0, 0)
        );
        let sql = "SELECT COUNT(*) FROM quarantine WHERE reason = 'same_second' AND seen = 3 \
                   AND source = 'ATTLOG' \
                   AND detail LIKE 'same person and second as a stored punch, other status%'";
        assert_eq!(store.count(sql).await, 1, "{}", store.name);
        let first = "SELECT COUNT(*) FROM event_feed WHERE status_code = '0'";
        assert_eq!(store.count(first).await, 1, "{}", store.name);
    }
}

/// How many rows each transaction had.
#[derive(Default)]
struct Sizes(Mutex<Vec<usize>>);

impl Observer for Sizes {
    fn committed(&self, _: Duration, rows: usize) {
        self.0.lock().unwrap().push(rows);
    }
    fn troubled(&self, _: Trouble, _: &str) {}
    fn recovered(&self) {}
    fn new_epoch(&self, _: i64) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_shares_a_transaction_up_to_about_a_thousand_rows() {
    let store = sqlite_store().await;
    let sizes = Arc::new(Sizes::default());
    let (target, mirror) = (store.target.clone(), store.mirror.clone());
    let writer = Writer::spawn("store", target, mirror, Gate::new(100), sizes.clone());
    let all = (0..60).map(|pin| {
        let rows = (0..100).map(|second| punch(pin, second, "0")).collect();
        let (writer, device) = (writer.clone(), device("SHARED1"));
        tokio::spawn(async move { writer.submit(brought(&device, rows)).await })
    });
    for submitted in all.collect::<Vec<_>>() {
        assert_eq!(submitted.await.unwrap().unwrap().new, 100);
    }
    let sizes = sizes.0.lock().unwrap().clone();
    assert_eq!(sizes.iter().sum::<usize>(), 6_000);
    // The last one that fits in is taken whole.
    assert!(sizes.iter().all(|rows| *rows < 1_100), "{sizes:?}");
    assert!(sizes.iter().any(|rows| *rows > 100), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_died_while_nobody_wrote_costs_no_submission() {
    let store = mariadb_store("mariadb", Flavor::Durable).await;
    let (writer, device) = (store.writer(), device("IDLE1"));
    let one = |second| brought(&device, vec![punch(1, second, "0")]);
    writer.submit(one(1)).await.unwrap();
    let mut engine = store.engine().await;
    let sql = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist \
               WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    let rows = engine.fetch(sqlx::SqlStr::from_static(sql), &[]).await;
    let idle: Vec<i64> = rows
        .unwrap()
        .iter()
        .map(|row| row.int(0).unwrap())
        .collect();
    assert!(!idle.is_empty(), "the writer holds no connection");
    for id in idle {
        let sql = sqlx::AssertSqlSafe(format!("KILL {id}"));
        let sql = sqlx::SqlSafeStr::into_sql_str(sql);
        engine.each_row(sql, &mut |_| {}).await.unwrap();
    }
    assert_eq!(writer.submit(one(2)).await.unwrap().new, 1);
    assert!(writer.report().up);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_route_with_another_verify_mode_is_the_same_punch() {
    for store in every_store().await {
        let writer = store.writer();
        let device = device("ROUTE1");
        writer
            .submit(brought(&device, vec![punch(1, 10, "0")]))
            .await
            .unwrap();
        let pulled = Event {
            route: Route::Pull,
            verify_code: Some(Text::const_new("15")),
            ..punch(1, 10, "255")
        };
        assert_eq!(
            writer.submit(brought(&device, vec![pulled])).await.unwrap(),
            receipt(0, 1, 0)
        );
        assert_eq!(store.count(FEED).await, 1, "{}", store.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_read_up_to_a_number_never_finds_a_new_row_below_it_with_two_writers() {
    for store in every_store().await {
        // A second satellite remembers the feed in a folder of its own.
        let elsewhere = tempfile::tempdir().unwrap();
        let mirror = Mirror::open(elsewhere.path()).await.unwrap();
        let (gate, seen) = (Gate::new(100), Arc::new(Seen::default()));
        let second = Writer::spawn("store", store.target.clone(), mirror, gate, seen);
        let writers = [store.writer(), second];
        let mut tasks = tokio::task::JoinSet::new();
        for (lane, writer) in writers.into_iter().enumerate() {
            for source in 0..4u32 {
                let writer = writer.clone();
                let device = device(&format!("LANE{lane}S{source}"));
                tasks.spawn(async move {
                    for round in 0..20u32 {
                        let events = (0..5).map(|n| punch(n, round, "0")).collect();
                        writer.submit(brought(&device, events)).await.unwrap();
                    }
                });
            }
        }
        let mut engine = store.engine().await;
        let (mut last, mut followed) = (0, 0);
        loop {
            let done = tasks.is_empty();
            let sql = "SELECT seq FROM event_feed WHERE seq > ? ORDER BY seq LIMIT 50";
            let rows = engine
                .fetch(sqlx::SqlStr::from_static(sql), &[Value::Int(last)])
                .await
                .unwrap();
            followed += rows.len();
            last = rows.last().map_or(last, |row| row.int(0).unwrap());
            if done && rows.is_empty() {
                break;
            }
            while let Some(ended) = tasks.try_join_next() {
                ended.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(followed, 800, "{}", store.name);
        assert_eq!(store.count(FEED).await, 800, "{}", store.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_grouping_order_and_repetition_of_a_history_gives_the_same_rows() {
    for store in every_store().await {
        let writer = store.writer();
        let mut random = 0x5eed_u64;
        let mut next = |below: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 33).unwrap() % below
        };
        let device = device("MODEL1");
        let history: Vec<Event> = (0..400).map(|n| punch(n % 7, n / 3, "0")).collect();
        let distinct: std::collections::HashSet<Ident> = history.iter().map(|e| e.ident).collect();
        let mut counted = Receipt::default();
        for _ in 0..12 {
            let mut copy = history.clone();
            for at in (1..copy.len()).rev() {
                copy.swap(at, next(at + 1));
            }
            let mut rest = copy.as_slice();
            while !rest.is_empty() {
                let (chunk, tail) = rest.split_at((1 + next(90)).min(rest.len()));
                let got = writer
                    .submit(brought(&device, chunk.to_vec()))
                    .await
                    .unwrap();
                counted.new += got.new;
                counted.duplicate += got.duplicate;
                rest = tail;
            }
        }
        assert_eq!(counted.new, distinct.len() as u64, "{}", store.name);
        assert_eq!(counted.new + counted.duplicate, 400 * 12, "{}", store.name);
        assert_eq!(
            store.count(FEED).await,
            i64::try_from(distinct.len()).unwrap(),
            "{}",
            store.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_settled_by_the_same_rows_and_counted_as_new() {
    let store = mariadb_store("mariadb", Flavor::Durable).await;
    let Target::Mysql { url, server, .. } = &store.target else {
        unreachable!()
    };
    let proxy = proxy::Proxy::start(server).await;
    let near = format!("127.0.0.1:{}", proxy.port);
    let writer = store.writer_to(Target::mysql(&url.replace(&**server, &near), None, &near));
    let device = device("CUT1");
    let (mut new, mut last) = (0, 0);
    let full = std::env::var_os("SATELLITE_TEST_FULL").is_some_and(|it| it == "1");
    let rounds: u32 = if full { 10_000 } else { 60 };
    for round in 0..rounds {
        proxy.cut_next_commit(if round % 2 == 0 {
            proxy::Cut::BeforeServer
        } else {
            proxy::Cut::AfterServer
        });
        let events = vec![punch(1, round, "0"), punch(2, round, "0")];
        let got = writer.submit(brought(&device, events)).await.unwrap();
        assert_eq!(counts(got), receipt(2, 0, 0), "round {round}");
        let (low, high) = got.numbers.unwrap();
        assert!(low < high && last < low, "round {round}");
        last = high;
        new += got.new;
    }
    let all = u64::from(rounds);
    assert_eq!(proxy.cuts(), all);
    assert_eq!(writer.report().ambiguous_commits, all);
    assert_eq!(new, 2 * all);
    assert_eq!(store.count(FEED).await, 2 * i64::from(rounds));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_a_store_opens_a_new_epoch_and_readers_find_what_comes_back() {
    for store in every_store().await {
        let seen = Arc::new(Seen::default());
        let writer = store.watched(store.target.clone(), Arc::clone(&seen));
        let device = device("RESTORE1");
        writer
            .submit(brought(&device, vec![punch(1, 1, "0")]))
            .await
            .unwrap();
        writer
            .submit(brought(&device, vec![punch(2, 2, "0")]))
            .await
            .unwrap();
        writer
            .submit(brought(&device, vec![punch(3, 3, "0")]))
            .await
            .unwrap();
        let read = store.count("SELECT MAX(seq) FROM event_feed").await;
        // The state before the second punch, put back under a running satellite.
        store.run("DELETE FROM event WHERE seq > 1").await;
        store.run("UPDATE feed_head SET next_seq = 2").await;
        let again = writer
            .submit(brought(&device, vec![punch(2, 2, "0")]))
            .await
            .unwrap();
        assert_eq!(counts(again), receipt(1, 0, 0), "{}", store.name);
        assert_eq!(seen.epochs.load(Ordering::Relaxed), 1, "{}", store.name);
        let mut engine = store.engine().await;
        let sql = "SELECT kind, seq FROM event_feed WHERE seq > ? ORDER BY seq";
        let rows = engine
            .fetch(sqlx::SqlStr::from_static(sql), &[Value::Int(read)])
            .await
            .unwrap();
        let kinds: Vec<_> = rows.iter().map(|row| row.text(0).unwrap()).collect();
        assert_eq!(kinds, ["device", "punch"], "{}", store.name);
        assert_eq!(rows[1].int(1).unwrap() >> 40, 1, "{}", store.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_remembers_how_far_the_feed_had_come() {
    let store = sqlite_store().await;
    let writer = store.writer();
    let device = device("RESTART1");
    writer
        .submit(brought(&device, vec![punch(1, 1, "0"), punch(2, 2, "0")]))
        .await
        .unwrap();
    writer.close().await;
    assert_eq!(
        writer.submit(brought(&device, vec![])).await,
        Err(Refused::Closing)
    );
    store.run("DELETE FROM event WHERE seq > 1").await;
    store.run("UPDATE feed_head SET next_seq = 2").await;
    let seen = Arc::new(Seen::default());
    let writer = store.watched(store.target.clone(), Arc::clone(&seen));
    writer
        .submit(brought(&device, vec![punch(2, 2, "0")]))
        .await
        .unwrap();
    assert_eq!(seen.epochs.load(Ordering::Relaxed), 1);
    assert!(store.folder.path().join("registry.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_database_refuses_is_set_aside_and_the_others_are_stored() {
    for (name, flavor) in [("mariadb", Flavor::Durable), ("xampp", Flavor::Xampp)] {
        let store = mariadb_store(name, flavor).await;
        store
            .run("ALTER TABLE event MODIFY person VARCHAR(4) NULL")
            .await;
        let writer = store.writer();
        let device = device("NARROW1");
        let long = Event {
            person: Some(Text::const_new("12345678")),
            ..punch(9, 9, "0")
        };
        let got = writer
            .submit(brought(
                &device,
                vec![punch(1, 1, "0"), long, punch(2, 2, "0")],
            ))
            .await;
        let mut expected = receipt(2, 0, 1);
        expected.by_store.store_refused = 1;
        assert_eq!(counts(got.unwrap()), expected, "{name}");
        assert_eq!(
            store
                .count("SELECT COUNT(*) FROM quarantine WHERE reason = 'store_refused'")
                .await,
            1
        );
        assert_eq!(
            store
                .count("SELECT COUNT(*) FROM event_feed WHERE person = '1234'")
                .await,
            0
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_refused_at_once_and_used_again_soon_after_it_returns() {
    let server = tokio::task::spawn_blocking(|| Arc::new(Server::start(Flavor::Durable).unwrap()))
        .await
        .unwrap();
    server.create_database("dead").unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    let target = Target::mysql(&server.url("dead"), None, &address);
    let store = ready("own", target, tempfile::tempdir().unwrap()).await;
    let seen = Arc::new(Seen::default());
    let writer = store.watched(store.target.clone(), Arc::clone(&seen));
    let device = device("DEAD1");
    writer
        .submit(brought(&device, vec![punch(1, 1, "0")]))
        .await
        .unwrap();
    server.kill9().unwrap();
    let refused = writer
        .submit(brought(&device, vec![punch(2, 2, "0")]))
        .await;
    assert!(
        matches!(refused, Err(Refused::Unavailable(Trouble::Unreachable))),
        "{refused:?}"
    );
    let started = Instant::now();
    assert!(
        writer
            .submit(brought(&device, vec![punch(2, 2, "0")]))
            .await
            .is_err()
    );
    assert!(
        started.elapsed() < Duration::from_millis(500),
        "a store known to be down refuses at once"
    );
    assert!(!writer.report().up);
    let restarted = Arc::clone(&server);
    tokio::task::spawn_blocking(move || restarted.restart().unwrap())
        .await
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while writer
        .submit(brought(&device, vec![punch(2, 2, "0")]))
        .await
        .is_err()
    {
        assert!(
            Instant::now() < deadline,
            "not used again: {:?}",
            writer.report()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.count(FEED).await, 2);
    assert_eq!(*seen.troubles.lock().unwrap(), [Trouble::Unreachable]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_full_says_so_until_something_is_stored_though_a_trial_fits() {
    let store = mariadb_store("xampp", Flavor::Xampp).await;
    let (writer, device) = (store.writer(), device("FULL1"));
    let post = |n| brought(&device, vec![punch(n, n, "0")]);
    writer.submit(post(1)).await.unwrap();
    // A full disk as the server tells it, for rows of events only: satellite's trial fits.
    let full = "CREATE TRIGGER full BEFORE INSERT ON event FOR EACH ROW SIGNAL SQLSTATE 'HY000' \
                SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'";
    let run = async |sql| {
        let sql = sqlx::SqlStr::from_static(sql);
        store.engine().await.execute(sql, &[]).await.unwrap();
    };
    run(full).await;
    let trouble = |writer: &Writer| writer.report().trouble.map(|(trouble, _)| trouble);
    for _ in 0..3 {
        let refused = writer.submit(post(2)).await;
        assert!(
            matches!(refused, Err(Refused::Unavailable(Trouble::Full))),
            "{refused:?}"
        );
        let deadline = Instant::now() + Duration::from_secs(20);
        while !writer.report().up {
            assert_eq!(trouble(&writer), Some(Trouble::Full));
            assert!(Instant::now() < deadline, "its trial fits");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(trouble(&writer), Some(Trouble::Full), "nothing was stored");
    }
    run("DROP TRIGGER full").await;
    writer.submit(post(2)).await.unwrap();
    assert_eq!(trouble(&writer), None);
    assert_eq!(store.count(FEED).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_over_the_same_rows_neither_deadlock_nor_double() {
    for store in every_store().await {
        let writers = [store.writer(), store.writer(), store.writer()];
        let device = device("SAME1");
        let events: Vec<Event> = (0..300).map(|n| punch(n, n, "0")).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for (turn, writer) in writers.into_iter().enumerate() {
            let (device, mut events) = (device.clone(), events.clone());
            events.rotate_left(turn * 100);
            tasks.spawn(async move {
                let mut new = 0;
                for _ in 0..5 {
                    for chunk in events.chunks(20) {
                        new += writer
                            .submit(brought(&device, chunk.to_vec()))
                            .await
                            .unwrap()
                            .new;
                    }
                }
                new
            });
        }
        let new: u64 = tasks.join_all().await.into_iter().sum();
        assert_eq!(new, 300, "{}", store.name);
        assert_eq!(store.count(FEED).await, 300, "{}", store.name);
    }
}
