//! Promise: what a Hikvision device made is in the feed once, whichever way it came first, and
//! nothing that it still holds is missing: through streams that die, reboots, a killed
//! satellite, a database that is away, and a database that came back older than it was.
//!
//! Ten simulated devices, each unkind in another way, are dialled over real sockets; three more
//! post. The devices' own ledger is held against `event_feed`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mariadb::{Flavor, Server};
use promises::hikvision::{
    Difference, compare, enrol_dialled, enrol_posting, fed_rows, until_equal,
};
use promises::{Checker, Place, SatelliteProcess, Setup, blocking, sum_of};
use terminals::hikvision::{
    Algorithm, Boundary, Device, DeviceOptions, Excuse, Heartbeat, HikvisionGroup, PartLength,
    Post, PostHabits, PostOptions, PostShape, StreamHead, Words,
};
use terminals::{Fleet, Ledger, Scenario};

/// The one of the ten that tells no serials.
const UNNUMBERED: &str = "HIKT0000007";

/// Ten devices: what each does beyond the plain one.
fn unkind(at: usize) -> DeviceOptions {
    let mut device = DeviceOptions {
        serial: format!("HIKT{at:07}"),
        seed: at as u64 + 1,
        ..DeviceOptions::default()
    };
    device.log.history = 90;
    device.log.history_owed = true;
    device.stream.heartbeat_ms = 1_000;
    device.stream.replay_per_s = 20.0;
    match at {
        0 => device.login.algorithm = Algorithm::Sha256,
        1 => {
            device.login.nonce_once = true;
            device.login.algorithm = Algorithm::Unnamed;
        }
        2 => {
            device.stream.boundary = Boundary::OtherCase;
            device.stream.line_feeds = true;
        }
        3 => device.stream.head = StreamHead::LyingLength,
        4 => {
            device.stream.glued = true;
            device.stream.part_length = PartLength::Absent;
            device.stream.words = Words::Xml;
        }
        5 => {
            device.search.shuffle = true;
            device.search.text_numbers = true;
            device.search.page_cap = 10;
        }
        6 => {
            device.log.logins = true;
            device.log.arming = true;
            device.stream.redeliver = 5;
        }
        7 => {
            device.search.serials = false;
            device.stream.serials = false;
            device.search.position_cap = Some(40);
        }
        8 => {
            device.stream.close_after_s = Some(3);
            device.stream.heartbeat = Heartbeat::None;
            device.stream.picture_bytes = 50_000;
        }
        _ => {
            device.log.first_serial = 30_001;
            device.stream.replay = false;
            device.login.offer_basic = true;
        }
    }
    device
}

/// The devices, and the satellite that knows them.
struct House {
    satellite: SatelliteProcess,
    devices: Vec<Device>,
    ledger: PathBuf,
}

impl House {
    /// Starts everything; every device is enrolled by command before the daemon runs.
    async fn open(setup: &Setup, count: usize) -> Result<Self> {
        let satellite = SatelliteProcess::prepare(setup).await?;
        let ledger = satellite.folder().join("hikvision.jsonl");
        let book = Ledger::create(&ledger)?;
        let mut devices = Vec::new();
        for at in 0..count {
            let device = Device::start(unkind(at), Some(book.clone()))?;
            device.own_up().await?;
            enrol_dialled(&satellite, &device, &[]).await?;
            devices.push(device);
        }
        let mut house = Self {
            satellite,
            devices,
            ledger,
        };
        house.satellite.run().await?;
        Ok(house)
    }

    /// People come at every device.
    async fn people(&self, each: u64) -> Result<()> {
        for device in &self.devices {
            device.crowd(each).await?;
        }
        Ok(())
    }

    async fn equal(&self, place: &Place, limit: Duration) -> Result<Difference> {
        let mut checker = Checker::open(place).await?;
        let owed = (self.ledger.as_path(), &[UNNUMBERED][..]);
        until_equal(&self.satellite, &mut checker, owed, limit).await
    }
}

/// Enrols a device that posts and answers its URL, as it would be typed into the device.
async fn listen(satellite: &SatelliteProcess, serial: &str) -> Result<String> {
    let path = enrol_posting(satellite, serial, &[]).await?;
    let token = path.trim_start_matches("/hikvision/");
    ensure!(token.len() >= 22, "the token is short: {token}");
    Ok(format!("http://{}{path}", satellite.devices()))
}

fn poster(serial: &str, url: &str, shape: PostShape) -> PostOptions {
    PostOptions {
        serial: serial.to_owned(),
        url: url.to_owned(),
        post: PostHabits {
            shape,
            picture_bytes: 20_000,
            retry_ms: 300,
            heartbeat_ms: 1_000,
            replay: 0.2,
            ..PostHabits::default()
        },
        ..PostOptions::default()
    }
}

/// Waits until every post was answered.
async fn delivered(posts: &[Post], what: &str) {
    for _ in 0..600 {
        if posts.iter().all(|post| post.pending() == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("posts were not answered {what}");
}

/// Streams die, devices reboot, satellite is killed; afterwards everything is there once.
async fn through_everything(house: &mut House, place: &Place) -> Result<()> {
    house.people(5).await?;
    house.equal(place, Duration::from_secs(60)).await?;
    for device in &house.devices {
        device.kill_stream();
    }
    house.people(3).await?;
    for device in house.devices.iter().take(3) {
        device.reboot(Duration::from_secs(2));
    }
    house.people(3).await?;
    house.satellite.kill9().await?;
    house.people(4).await?;
    house.satellite.run().await?;
    house.people(3).await?;
    let difference = house.equal(place, Duration::from_secs(90)).await?;
    let rows = fed_rows(&mut Checker::open(place).await?).await?;
    for route in ["stream", "poll", "backfill"] {
        let came = rows.iter().filter(|row| row.route == route).count();
        ensure!(came > 0, "nothing came by {route}: that way was not tried");
    }
    println!(
        "{} rows of {} devices",
        difference.owed,
        house.devices.len()
    );
    let wrong: u64 = house
        .devices
        .iter()
        .map(|device| device.counters().lockouts)
        .sum();
    ensure!(wrong == 0, "{wrong} lock-outs with the right password");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_devices_end_with_ledger_equal_to_feed_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut house = House::open(&Setup::new(place.clone()), 10).await.unwrap();
    through_everything(&mut house, &place).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_devices_end_with_ledger_equal_to_feed_on_mariadb_through_an_outage() {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let mut house = House::open(&Setup::new(place.clone()), 10).await.unwrap();
    through_everything(&mut house, &place).await.unwrap();

    let stopped = Arc::clone(&server);
    blocking(move || stopped.stop()).await.unwrap();
    house.people(6).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let started = Arc::clone(&server);
    blocking(move || started.restart()).await.unwrap();
    house.people(2).await.unwrap();
    house.equal(&place, Duration::from_secs(90)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_copy_of_the_database_lacks_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut house = House::open(&Setup::new(place.clone()), 3).await.unwrap();
    house.people(10).await.unwrap();
    house.equal(&place, Duration::from_secs(60)).await.unwrap();
    let copy = folder.path().join("copy.db");
    let mut checker = Checker::open(&place).await.unwrap();
    checker.copy_sqlite(&copy).await.unwrap();
    drop(checker);

    house.people(20).await.unwrap();
    house.equal(&place, Duration::from_secs(60)).await.unwrap();
    house.satellite.kill9().await.unwrap();
    place.put_back(&copy).await.unwrap();
    house.satellite.run().await.unwrap();
    house.people(1).await.unwrap();
    house.equal(&place, Duration::from_secs(60)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_device_begins_a_new_epoch_without_a_duplicate_and_its_condition_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let house = House::open(&Setup::new(place.clone()), 1).await.unwrap();
    house.people(10).await.unwrap();
    house.equal(&place, Duration::from_secs(60)).await.unwrap();
    house.devices[0].reset_ring();
    house.people(4).await.unwrap();
    house.equal(&place, Duration::from_secs(60)).await.unwrap();
    let metrics = house.satellite.admin("/metrics").await.unwrap().body;
    let restarted = [("condition", "serials_restarted")];
    let began = sum_of(&metrics, "satellite_device_conditions_total", &restarted);
    assert_eq!(began, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_that_has_passed_the_old_count_before_it_is_asked_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut house = House::open(&Setup::new(place.clone()), 1).await.unwrap();
    house.people(10).await.unwrap();
    house.equal(&place, Duration::from_secs(60)).await.unwrap();
    house.satellite.kill9().await.unwrap();
    let before = house.devices[0].newest();
    // No device is reset within the second of its last record.
    tokio::time::sleep(Duration::from_secs(2)).await;
    house.devices[0].reset_ring();
    house.people(60).await.unwrap();
    let after = house.devices[0].newest();
    assert!(after > before, "{after} serials do not pass {before}");
    house.satellite.run().await.unwrap();
    house.equal(&place, Duration::from_secs(60)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_while_the_database_is_down_wait_in_the_journal_and_arrive_once_in_order() {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let mut satellite = SatelliteProcess::start(&Setup::new(place.clone()))
        .await
        .unwrap();
    let ledger = satellite.folder().join("posts.jsonl");
    let book = Ledger::create(&ledger).unwrap();
    let shapes = [
        PostShape::EventLog,
        PostShape::AccessController,
        PostShape::WrongType,
    ];
    let mut posts = Vec::new();
    for (at, shape) in shapes.into_iter().enumerate() {
        let serial = format!("HIKP{at:07}");
        let url = listen(&satellite, &serial).await.unwrap();
        posts.push(Post::start(poster(&serial, &url, shape), Some(book.clone())).unwrap());
    }
    let people = async |each: u64| {
        for post in &posts {
            post.crowd(each).await.unwrap();
        }
    };
    people(10).await;
    delivered(&posts, "with the database up").await;
    let mut checker = Checker::open(&place).await.unwrap();
    let owed = (ledger.as_path(), &[][..]);
    until_equal(&satellite, &mut checker, owed, Duration::from_secs(30))
        .await
        .unwrap();
    drop(checker);

    let stopped = Arc::clone(&server);
    blocking(move || stopped.stop()).await.unwrap();
    people(10).await;
    delivered(&posts, "with the database down").await;
    satellite.kill9().await.unwrap();
    satellite.run_until_heard().await.unwrap();
    people(5).await;
    delivered(&posts, "after a kill with the database down").await;
    let metrics = satellite.admin("/metrics").await.unwrap().body;
    let waiting = sum_of(&metrics, "satellite_journal_events", &[]).unwrap();
    assert!(waiting >= 100.0, "only {waiting} events in the journal");

    let started = Arc::clone(&server);
    blocking(move || started.restart()).await.unwrap();
    people(5).await;
    let mut checker = Checker::open(&place).await.unwrap();
    let limit = Duration::from_secs(60);
    let difference = until_equal(&satellite, &mut checker, owed, limit)
        .await
        .unwrap();
    println!("{} rows, {waiting} of them by the journal", difference.owed);
    let rows = fed_rows(&mut checker).await.unwrap();
    for post in &posts {
        let own = rows.iter().filter(|row| row.row.serial == post.serial());
        let numbers: Vec<u64> = own.map(|row| row.row.serial_no).collect();
        assert!(numbers.is_sorted(), "{}: {numbers:?}", post.serial());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_posts_of_a_device_share_commits_in_order_and_a_refused_one_holds_up_none() {
    const REFUSED: &str = "77777777";
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let satellite = SatelliteProcess::start(&Setup::new(place.clone()))
        .await
        .unwrap();
    let ledger = satellite.folder().join("posts.jsonl");
    let book = Ledger::create(&ledger).unwrap();
    let url = listen(&satellite, "HIKWAIT1").await.unwrap();
    let options = poster("HIKWAIT1", &url, PostShape::EventLog);
    let posts = [Post::start(options, Some(book)).unwrap()];
    let ask = async |sql: String| {
        let server = Arc::clone(&server);
        blocking(move || server.sql(&sql)).await.unwrap()
    };
    let url = place.url();
    let database = url.rsplit('/').next().unwrap();
    ask(format!(
        "ALTER TABLE {database}.event ADD CONSTRAINT nobody CHECK (person <> '{REFUSED}')"
    ))
    .await;

    let stopped = Arc::clone(&server);
    blocking(move || stopped.stop()).await.unwrap();
    posts[0].crowd(85).await.unwrap();
    posts[0].punch(REFUSED).await.unwrap();
    posts[0].crowd(85).await.unwrap();
    delivered(&posts, "with the database down").await;
    let metrics = satellite.admin("/metrics").await.unwrap().body;
    let waiting = sum_of(&metrics, "satellite_journal_events", &[]).unwrap();
    assert!(waiting >= 500.0, "only {waiting} events in the journal");

    let started = Arc::clone(&server);
    blocking(move || started.restart()).await.unwrap();
    // Each commit waits a tenth of a second for another one.
    let slow = "SET GLOBAL binlog_commit_wait_count = 2, GLOBAL binlog_commit_wait_usec = 100000";
    ask(slow.to_owned()).await;
    posts[0].crowd(1).await.unwrap();
    let mut checker = Checker::open(&place).await.unwrap();
    let began = Instant::now();
    let difference = loop {
        let difference = compare(&mut checker, &ledger, &[]).await.unwrap();
        if posts[0].pending() == 0 && difference.missing.iter().all(|row| row.person == REFUSED) {
            break difference;
        }
        let waits = began.elapsed() < Duration::from_secs(120);
        assert!(waits, "{difference:?}\n{}", satellite.log_end());
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    // The server counts from its start.
    let commits = ask("SHOW GLOBAL STATUS LIKE 'Com_commit'".to_owned()).await;
    let commits: usize = commits.trim().rsplit('\t').next().unwrap().parse().unwrap();
    println!(
        "{waiting} events waited; all there after {:?} and {commits} commits",
        began.elapsed()
    );
    assert!(commits < 60, "{commits} commits for {waiting} events");
    assert_eq!(difference.missing.len(), 1, "{difference:?}");
    assert!(difference.doubled.is_empty() && difference.strange.is_empty());
    let numbers = fed_rows(&mut checker).await.unwrap();
    assert!(numbers.is_sorted_by_key(|row| row.row.serial_no));
    let aside = format!("SELECT reason FROM {database}.quarantine");
    assert_eq!(ask(aside).await, "store_refused\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_only_posts_shows_its_gap_and_is_never_called_proven() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let satellite = SatelliteProcess::start(&Setup::new(place.clone()))
        .await
        .unwrap();
    let url = listen(&satellite, "HIKGAP1").await.unwrap();
    let ledger = satellite.folder().join("gap.jsonl");
    let book = Ledger::create(&ledger).unwrap();
    let mut options = poster("HIKGAP1", &url, PostShape::EventLog);
    options.post.replay = 0.0;
    let post = Post::start(options, Some(book)).unwrap();
    post.crowd(3).await.unwrap();
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if post.pending() == 0 {
            break;
        }
    }
    assert_eq!(post.pending(), 0, "the first posts were not answered");
    post.lose_next(6);
    post.crowd(5).await.unwrap();
    let mut checker = Checker::open(&place).await.unwrap();
    let owed = (ledger.as_path(), &[][..]);
    until_equal(&satellite, &mut checker, owed, Duration::from_secs(30))
        .await
        .unwrap();
    let shown = satellite
        .command(["devices", "show", "HIKGAP1", "--json"])
        .await
        .unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let text = shown.to_string();
    assert!(
        text.contains("\"seen\"") && !text.contains("\"proven\""),
        "{text}"
    );
    assert!(text.contains("gap_in_posts"), "{text}");
    let metrics = satellite.admin("/metrics").await.unwrap().body;
    let gap = sum_of(
        &metrics,
        "satellite_device_gap_events",
        &[("tenant", "acme")],
    );
    assert_eq!(gap, Some(6.0), "{:?}", post.lost());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_of_dialled_devices_ends_by_itself_when_everything_owed_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut satellite = SatelliteProcess::prepare(&Setup::new(place.clone()))
        .await
        .unwrap();
    let ledger = satellite.folder().join("fleet.jsonl");
    let mut group = HikvisionGroup {
        dialled: 2,
        serial_prefix: "HIKEND".to_owned(),
        ..HikvisionGroup::default()
    };
    group.log.history = 70;
    group.log.history_owed = true;
    (group.log.logins, group.log.arming) = (true, true);
    (group.login.nonce_once, group.search.shuffle) = (true, true);
    group.stream.replay_per_s = 20.0;
    let scenario = Scenario {
        count: 0,
        rate: 60.0,
        hikvision: vec![group],
        ..Scenario::default()
    };
    let fleet = Fleet::start(scenario, Some(Ledger::create(&ledger).unwrap())).unwrap();
    for device in fleet.dialled() {
        enrol_dialled(&satellite, device, &[]).await.unwrap();
    }
    satellite.run().await.unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    fleet.end_generation();
    let ended = tokio::time::timeout(Duration::from_secs(45), fleet.drained()).await;
    let held: Vec<u64> = fleet.dialled().map(Device::unserved).collect();
    assert!(ended.is_ok(), "it did not end; its devices hold {held:?}");
    let summary = fleet.stop().await;
    assert_eq!(summary.pending, 0, "{summary:#?}");
    let mut checker = Checker::open(&place).await.unwrap();
    let owed = (ledger.as_path(), &[][..]);
    until_equal(&satellite, &mut checker, owed, Duration::from_secs(10))
        .await
        .unwrap();

    let lonely = Device::start(DeviceOptions::default(), None).unwrap();
    lonely.punch("7").await.unwrap();
    assert!(lonely.unserved() > 0);
    assert_eq!(lonely.excuse(), Excuse::NotAsked);
}
