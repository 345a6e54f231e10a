//! What sharing sessions among stores must never change, on real private servers: no row in
//! another store's database, every store looked at again after a restart, a session of doubtful
//! state used by nobody, and one store that hangs in nobody's way.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use event::{
    Bytes, ClockFlag, Device, DeviceId, Event, Ident, Kind, Millis, Route, Serial, SharedDevice,
    TenantId, Text, Timeliness, Vendor, WallTime, Zone,
};
use mariadb::{Flavor, Server};
use sqlx::SqlStr;
use store::{
    Gate, Mirror, Observer, Receipt, Refused, Submission, Target, Trouble, Want, Writer, schema,
};

mod proxy;

const SOON: Duration = Duration::from_secs(3);

/// A private server with migrated databases `t0`, `t1`, ….
struct House {
    server: Arc<Server>,
    targets: Vec<Target>,
    mirror: Mirror,
}

/// Counts epochs and remembers troubles.
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

impl House {
    async fn with(databases: usize) -> Self {
        let start = || Server::start(Flavor::Durable).unwrap();
        let server = Arc::new(tokio::task::spawn_blocking(start).await.unwrap());
        let gate = Gate::new(8);
        let mut targets = Vec::new();
        for at in 0..databases {
            server.create_database(&format!("t{at}")).unwrap();
            let near = format!("127.0.0.1:{}", server.port());
            targets.push(Target::mysql(&server.url(&format!("t{at}")), None, &near));
        }
        let mut making = tokio::task::JoinSet::new();
        for target in &targets {
            let sessions = gate.sessions(target);
            making.spawn(async move {
                let wait = Duration::from_secs(600);
                let mut session = sessions.take(Want::Any, wait).await.unwrap();
                schema::migrate(session.engine()).await.unwrap();
            });
        }
        making.join_all().await;
        Self {
            server,
            targets,
            mirror: Mirror::in_memory().await.unwrap(),
        }
    }

    fn writer(&self, gate: &Gate, at: usize) -> (Writer, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let (label, target) = (format!("t{at}"), self.targets[at].clone());
        let (mirror, watched) = (self.mirror.clone(), Arc::<Seen>::clone(&seen));
        (
            Writer::spawn(&label, target, mirror, gate.clone(), watched),
            seen,
        )
    }

    /// What the server's own client answers, over a connection that no test shares.
    fn sql(&self, statements: &str) -> String {
        self.server.sql(statements).unwrap()
    }

    /// Connections of everybody but the one that asks.
    fn connections(&self) -> usize {
        let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE user <> 'root' \
                   AND user NOT LIKE 'system%' AND user <> 'event_scheduler';";
        self.sql(sql).trim().parse().unwrap()
    }

    async fn connections_reach(&self, expected: usize) {
        let until = Instant::now() + Duration::from_secs(5);
        while self.connections() != expected {
            assert!(Instant::now() < until, "{} are open", self.connections());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A session that keeps everybody else out of the tables of that database.
    fn lock_tables(&self, database: &str) -> Lock {
        use std::io::{BufRead as _, BufReader, Write as _};
        let mut client = Command::new("mariadb")
            .args(["--no-defaults", "--protocol=TCP", "--host=127.0.0.1"])
            .args(["--user=root", "--unbuffered", "--skip-column-names"])
            .arg(format!("--port={}", self.server.port()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let sql = format!("LOCK TABLES `{database}`.feed_head WRITE; SELECT 'locked';");
        writeln!(client.stdin.as_mut().unwrap(), "{sql}").unwrap();
        let mut told = String::new();
        let mut output = BufReader::new(client.stdout.take().unwrap());
        output.read_line(&mut told).unwrap();
        assert_eq!(told.trim(), "locked");
        Lock(client)
    }
}

/// Ends with its session.
struct Lock(Child);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The one terminal of the store number `at`.
fn device(at: usize) -> SharedDevice {
    let mut id = [9; 16];
    id[..8].copy_from_slice(&at.to_be_bytes());
    Arc::new(Device {
        id: DeviceId(id),
        tenant: Some(TenantId::new(&format!("t{at}")).unwrap()),
        vendor: Vendor::Zkteco,
        serial: Serial::new(&format!("S{at}")).unwrap(),
        name: None,
        site: None,
        zone: Zone::utc(),
        canary: false,
    })
}

fn punch(pin: usize) -> Event {
    let at = WallTime::new(2026, 11, 21, 9, 0, 0).unwrap();
    let person = format!("{pin}");
    Event {
        ident: Ident::attendance(person.as_bytes(), &at),
        kind: Kind::Punch,
        raw: Bytes::from(format!("{person}\t{at}\t0\t1")),
        person: Some(Text::from(person)),
        card: None,
        local_time: Some(Text::from(at.to_string())),
        occurred_at: Some(Zone::utc().resolve(&at).at),
        received_at: Millis(1_795_000_000_123),
        status_code: Some(Text::const_new("0")),
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

fn brought(at: usize, pin: usize) -> Submission {
    Submission {
        device: device(at),
        events: vec![punch(pin)],
        quarantined: vec![],
        cursors: vec![(Text::const_new("push.attlog"), Text::from(pin.to_string()))],
        expects: None,
        fence: None,
    }
}

async fn stored(writer: &Writer, at: usize, pin: usize) -> Result<Receipt, Refused> {
    writer.submit(brought(at, pin)).await
}

/// 100,000 routings over 200 databases with `SATELLITE_TEST_FULL=1`, fewer without.
#[tokio::test(flavor = "multi_thread")]
async fn records_routed_at_random_over_shared_sessions_reach_their_own_database_only() {
    let full = std::env::var_os("SATELLITE_TEST_FULL").is_some_and(|value| value == "1");
    let (databases, routings) = if full { (200, 100_000) } else { (24, 6_000) };
    let house = House::with(databases).await;
    let gate = Gate::new(6);
    let writers: Vec<Writer> = (0..databases).map(|at| house.writer(&gate, at).0).collect();
    let mut random = 0x5eed_u64;
    let mut expected = vec![BTreeSet::new(); databases];
    let mut lanes: Vec<Vec<(usize, usize)>> = vec![Vec::new(); 48];
    for pin in 0..routings {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let at = usize::try_from(random >> 33).unwrap() % databases;
        expected[at].insert(pin.to_string());
        lanes[pin % 48].push((at, pin));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for lane in lanes {
        let writers = writers.clone();
        tasks.spawn(async move {
            for (at, pin) in lane {
                // Refused on a busy machine, it comes again, as from a terminal.
                while let Err(refused) = stored(&writers[at], at, pin).await {
                    println!("{pin} for t{at}: {refused}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        });
    }
    tasks.join_all().await;
    assert!(house.connections() <= 6, "{} are open", house.connections());
    for (at, expected) in expected.iter().enumerate() {
        let sql = format!("SELECT person FROM t{at}.event_feed WHERE tenant = 't{at}';");
        let found: BTreeSet<String> = house.sql(&sql).lines().map(str::to_owned).collect();
        assert!(found == *expected, "t{at} does not hold what is its own");
        let strange = format!(
            "SELECT (SELECT COUNT(*) FROM t{at}.event), (SELECT COUNT(*) FROM t{at}.device), \
             (SELECT COUNT(*) FROM t{at}.device_cursor), (SELECT COUNT(*) FROM t{at}.quarantine);"
        );
        let counts = format!("{}\t1\t1\t0", expected.len());
        assert_eq!(house.sql(&strange).trim(), counts, "t{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_prepared_in_one_database_is_not_used_in_the_next() {
    let house = House::with(2).await;
    let gate = Gate::new(1);
    let sql =
        "INSERT INTO device_cursor (device_id, name, value) VALUES ('1234567890123456', ?, '')";
    for round in ["one", "two", "three"] {
        for target in &house.targets {
            let mut session = gate.sessions(target).take(Want::Any, SOON).await.unwrap();
            let name = [store::Value::Text(round)];
            let sql = SqlStr::from_static(sql);
            session.engine().execute(sql, &name).await.unwrap();
            session.give_back();
        }
    }
    assert_eq!(house.connections(), 1, "it was one session all the time");
    for at in 0..2 {
        let sql = format!("SELECT COUNT(*) FROM t{at}.device_cursor;");
        assert_eq!(house.sql(&sql).trim(), "3", "t{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_looked_at_once_for_all_sessions_and_again_for_those_that_come_later() {
    let house = House::with(2).await;
    let gate = Gate::new(1);
    let writers = [house.writer(&gate, 0), house.writer(&gate, 1)];
    for (at, (writer, _)) in writers.iter().enumerate() {
        stored(writer, at, 1).await.unwrap();
    }
    // Whoever looks now finds no version there.
    for at in 0..2 {
        house.sql(&format!(
            "RENAME TABLE t{at}._sqlx_migrations TO t{at}.kept;"
        ));
    }
    for pin in 2..10 {
        for (at, (writer, _)) in writers.iter().enumerate() {
            assert_eq!(stored(writer, at, pin).await.unwrap().new, 1);
        }
    }
    let again = Arc::clone(&house.server);
    let restarted = tokio::task::spawn_blocking(move || again.restart());
    restarted.await.unwrap().unwrap();
    for (at, (writer, seen)) in writers.iter().enumerate() {
        stored(writer, at, 99).await.unwrap_err();
        assert_eq!(*seen.troubles.lock().unwrap(), [Trouble::Schema], "t{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_store_of_a_restored_server_opens_a_new_epoch_over_the_one_shared_session() {
    let house = House::with(3).await;
    let gate = Gate::new(1);
    let writers: Vec<_> = (0..3).map(|at| house.writer(&gate, at)).collect();
    for pin in 0..4 {
        for (at, (writer, _)) in writers.iter().enumerate() {
            stored(writer, at, pin).await.unwrap();
        }
    }
    let victim = Arc::clone(&house.server);
    let killed = tokio::task::spawn_blocking(move || {
        victim.kill9()?;
        victim.restart()
    });
    killed.await.unwrap().unwrap();
    for at in 0..3 {
        let older = format!(
            "DELETE FROM t{at}.event WHERE seq > 2; UPDATE t{at}.feed_head SET next_seq = 3;"
        );
        house.sql(&older);
    }
    for (at, (writer, seen)) in writers.iter().enumerate() {
        assert_eq!(stored(writer, at, 3).await.unwrap().new, 1, "t{at}");
        assert_eq!(seen.epochs.load(Ordering::Relaxed), 1, "t{at}");
    }
    assert_eq!(house.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_connections_at_any_time_loses_and_refuses_nothing() {
    let house = House::with(6).await;
    let gate = Gate::new(4);
    let writers: Vec<Writer> = (0..6).map(|at| house.writer(&gate, at).0).collect();
    for round in 0..25 {
        let mut tasks = tokio::task::JoinSet::new();
        for (at, writer) in writers.iter().cloned().enumerate() {
            tasks.spawn(async move { stored(&writer, at, round).await });
        }
        for got in tasks.join_all().await {
            assert_eq!(got.unwrap().new, 1, "round {round}");
        }
        // All of them idle: not one was told.
        house.sql("KILL USER satellite;");
    }
    for at in 0..6 {
        let sql = format!("SELECT COUNT(*), COUNT(DISTINCT person) FROM t{at}.event_feed;");
        assert_eq!(house.sql(&sql).trim(), "25\t25", "t{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_left_in_the_middle_of_an_answer_is_used_by_nobody() {
    let house = House::with(1).await;
    let sessions = Gate::new(1).sessions(&house.targets[0]);
    let take = || sessions.take(Want::Any, SOON);
    take().await.unwrap().give_back();
    let mut session = take().await.unwrap();
    assert!(!session.is_fresh());
    let slow = SqlStr::from_static("SELECT 'late', SLEEP(1)");
    let asked = session.engine().fetch(slow, &[]);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), asked)
            .await
            .is_err()
    );
    let next = session
        .engine()
        .fetch(SqlStr::from_static("SELECT 'next'"), &[])
        .await;
    assert_eq!(next.unwrap_err().trouble(), Trouble::Unreachable);
    session.give_back();
    let mut session = take().await.unwrap();
    assert!(session.is_fresh());
    // Nor one whose transaction is open.
    session.engine().begin().await.unwrap();
    session.give_back();
    assert!(take().await.unwrap().is_fresh());
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_share_the_limit_of_their_server_and_not_their_sessions() {
    let house = House::with(2).await;
    house.sql("CREATE USER other@'127.0.0.1'; GRANT ALL ON t1.* TO other@'127.0.0.1';");
    let near = format!("127.0.0.1:{}", house.server.port());
    let own = house.server.url("t1").replace("satellite@", "other@");
    let gate = Gate::new(2);
    let sessions = gate.sessions(&house.targets[0]);
    let first = sessions.take(Want::New, SOON).await.unwrap();
    let second = sessions.take(Want::New, SOON).await.unwrap();
    let others = gate.sessions(&Target::mysql(&own, None, &near));
    let refused = others.take(Want::Any, Duration::from_millis(200)).await;
    assert_eq!(
        refused.err().unwrap().trouble(),
        Trouble::TooManyConnections
    );
    first.give_back();
    second.give_back();
    house.connections_reach(2).await;
    let mut session = others.take(Want::Any, SOON).await.unwrap();
    let who = SqlStr::from_static("SELECT CURRENT_USER()");
    let rows = session.engine().fetch(who, &[]).await.unwrap();
    assert_eq!(rows[0].text(0).unwrap(), "other@127.0.0.1");
    house.connections_reach(2).await;
    session.give_back();
    let mut session = sessions.take(Want::Any, SOON).await.unwrap();
    let rows = session
        .engine()
        .fetch(SqlStr::from_static("SELECT CURRENT_USER()"), &[])
        .await;
    assert_eq!(rows.unwrap()[0].text(0).unwrap(), "satellite@127.0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_over_few_sessions_however_many_ask_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.db");
    let sessions = Gate::new(1).sessions(&Target::Sqlite(file.clone()));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let sessions = sessions.clone();
        asking.spawn(async move {
            let mut session = sessions
                .take(Want::Any, Duration::from_secs(30))
                .await
                .unwrap();
            let asked = session.engine().fetch(SqlStr::from_static("SELECT 1"), &[]);
            assert_eq!(asked.await.unwrap().len(), 1);
            tokio::time::sleep(Duration::from_millis(2)).await;
            session.give_back();
        });
    }
    let mut answered = 0;
    while let Some(done) = asking.join_next().await {
        done.unwrap();
        answered += 1;
        let open = open_files(&file);
        assert!(open <= 16, "{open} connections to one file");
    }
    assert_eq!(answered, 300);
}

/// How many descriptors of this process are that file.
fn open_files(file: &Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|path| path == file)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_grants_few_connections_keeps_half_of_them() {
    let house = House::with(1).await;
    house.sql("SET GLOBAL max_connections = 10;");
    let sessions = Gate::new(100).sessions(&house.targets[0]);
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(sessions.take(Want::Any, SOON).await.unwrap());
    }
    let refused = sessions.take(Want::Any, Duration::from_millis(200)).await;
    assert_eq!(
        refused.err().unwrap().trouble(),
        Trouble::TooManyConnections
    );
    assert_eq!(house.connections(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_tables_are_locked_takes_one_session_and_delays_nobody() {
    let house = House::with(3).await;
    let gate = Gate::new(2);
    let writers: Vec<Writer> = (0..3).map(|at| house.writer(&gate, at).0).collect();
    for (at, writer) in writers.iter().enumerate() {
        stored(writer, at, 1).await.unwrap();
    }
    let lock = house.lock_tables("t0");
    let hung: Vec<_> = (0..20)
        .map(|pin| {
            let writer = writers[0].clone();
            tokio::spawn(async move { stored(&writer, 0, 100 + pin).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (mut slowest, began) = (Duration::ZERO, Instant::now());
    let mut pin = 2;
    while began.elapsed() < Duration::from_secs(3) {
        for (at, writer) in writers.iter().enumerate().skip(1) {
            let begin = Instant::now();
            assert_eq!(stored(writer, at, pin).await.unwrap().new, 1);
            slowest = slowest.max(begin.elapsed());
        }
        pin += 1;
    }
    assert!(slowest < Duration::from_secs(1), "waited {slowest:?}");
    assert!(house.connections() <= 2);
    drop(lock);
    for answer in hung {
        assert_eq!(answer.await.unwrap().unwrap().new, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_delays_no_store_on_another_server() {
    let (house, still) = (House::with(2).await, House::with(8).await);
    let gate = Gate::new(2);
    let (writer, _) = house.writer(&gate, 0);
    let hung: Vec<Writer> = (0..8).map(|at| still.writer(&gate, at).0).collect();
    for (at, writer) in hung.iter().enumerate() {
        stored(writer, at, 1).await.unwrap();
    }
    still.server.pause().unwrap();
    let waiting: Vec<_> = hung
        .into_iter()
        .enumerate()
        .map(|(at, writer)| tokio::spawn(async move { stored(&writer, at, 2).await }))
        .collect();
    let mut slowest = Duration::ZERO;
    for pin in 0..200 {
        let begin = Instant::now();
        assert_eq!(stored(&writer, 0, pin).await.unwrap().new, 1);
        slowest = slowest.max(begin.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "waited {slowest:?}");
    for answer in waiting {
        answer.await.unwrap().unwrap_err();
    }
    still.server.resume().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_closes_leaves_no_session_behind() {
    let house = House::with(1).await;
    let gate = Gate::new(4);
    let (writer, _) = house.writer(&gate, 0);
    stored(&writer, 0, 1).await.unwrap();
    assert_eq!(house.connections(), 1);
    writer.close().await;
    house.connections_reach(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_goes_again_over_a_new_connection_not_an_idle_one() {
    let mut house = House::with(2).await;
    let proxy = proxy::Proxy::start(&format!("127.0.0.1:{}", house.server.port())).await;
    let near = format!("127.0.0.1:{}", proxy.port);
    for (at, target) in house.targets.iter_mut().enumerate() {
        *target = Target::mysql(&format!("mysql://satellite@{near}/t{at}"), None, &near);
    }
    let gate = Gate::new(8);
    let (writer, _) = house.writer(&gate, 0);
    stored(&writer, 0, 0).await.unwrap();
    let made = |house: &House| -> u64 {
        let told = house.sql("SHOW GLOBAL STATUS LIKE 'Connections';");
        told.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    for (round, cut) in (1..7).zip(
        [proxy::Cut::BeforeServer, proxy::Cut::AfterServer]
            .iter()
            .cycle(),
    ) {
        // Idle sessions that would be at hand, in its own database too.
        let (own, other) = (
            gate.sessions(&house.targets[0]),
            gate.sessions(&house.targets[1]),
        );
        let idle = [
            own.take(Want::New, SOON).await.unwrap(),
            own.take(Want::New, SOON).await.unwrap(),
            other.take(Want::New, SOON).await.unwrap(),
        ];
        idle.into_iter().for_each(store::Session::give_back);
        let before = made(&house);
        proxy.cut_next_commit(*cut);
        assert_eq!(
            stored(&writer, 0, round).await.unwrap().new,
            1,
            "round {round}"
        );
        // The one that asks is the other new one.
        assert_eq!(made(&house) - before, 2, "round {round}");
    }
    assert_eq!(proxy.cuts(), 6);
    assert_eq!(writer.report().ambiguous_commits, 6);
    assert_eq!(house.sql("SELECT COUNT(*) FROM t0.event_feed;").trim(), "7");
}
