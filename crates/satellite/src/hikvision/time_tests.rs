//! Hours and months of one device, in time that runs fast: the real client, a simulated device
//! over HTTP, and SQLite.
//!
//! Only the clock of the runtime is virtual. It is moved by hand, a little at a time, and stands
//! still while a question, a commit or an event is on its way, so that no deadline of ours passes
//! because the machine needs real time to work. What is asked is read from the device, what it
//! still holds too.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use daemon::config::Secret;
use event::{Millis, Serial, TenantId, Text, Vendor};
use hikvision_isapi::{Chain, DEVICE_INFO_PATH, HostProtocol};
use hyper::Method;
use store::registry::{self, Access, NewEnrolment, TokenHash};
use store::{Gate, Journal, JournalLimits, Mirror, Submission};
use terminals::hikvision::{
    Counters, Device, DeviceOptions, LogOptions, LoginOptions, StreamOptions,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::{self, Client, SharedLogin};
use super::hosts;
use super::intake::{Intake, RING};
use super::search::Search;
use super::state::{CHAIN, MAC};
use super::stream;
use crate::conditions::Condition;
use crate::config::Config;
use crate::enrolment::Keeper;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::stores::{self, Means};

/// Virtual time that passes at once: less than any deadline of ours.
const STEP: Duration = Duration::from_secs(5);
/// Real time that everything is given after each step, and after each sign that something works.
const PAUSE: Duration = Duration::from_micros(50);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: u64 = 86_400;
/// People let in in a month; each makes three rows.
const PEOPLE: u64 = 24_000;
const TOKEN: &str = "token-of-a-test";

/// What a device was asked, its newest serial, and commits.
type Pulse = (Counters, u64, u64);

/// One device that is dialled, and the side of satellite that dials it.
struct Stage {
    device: Device,
    intake: Intake,
    login: SharedLogin,
    _folder: tempfile::TempDir,
    /// While this lives, the runtime does not move its clock by itself.
    _still: mpsc::Sender<()>,
}

impl Stage {
    async fn new(options: DeviceOptions) -> Self {
        // Durable commits are not the question here, and there are many.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.unwrap();
        let device = Device::start(options, None).unwrap();
        let hub = hub(&folder, &device).await;
        let serial = Serial::new(device.serial()).unwrap();
        let known = hub.devices.find(Vendor::Hikvision, &serial).unwrap();
        let store = hub
            .stores
            .load()
            .of(&known.enrolment.tenant)
            .unwrap()
            .clone();
        let (user, password) = device.login();
        let login = client::login(user, &Secret::new(password.to_owned()), None).unwrap();
        let (still, ends) = mpsc::channel();
        tokio::task::spawn_blocking(move || ends.recv());
        tokio::time::pause();
        let intake = Intake {
            hub,
            known,
            store,
            fence: None,
        };
        Self {
            device,
            intake,
            login,
            _folder: folder,
            _still: still,
        }
    }

    /// Dials the device as a visit does, while time passes as `passes` says.
    async fn dialled<T>(&self, passes: impl Future<Output = T>) -> T {
        let address = self.device.address().to_string();
        let search = Search::new(&self.intake, &address, Arc::clone(&self.login));
        tokio::select! {
            () = search.run() => panic!("the search ended"),
            () = stream::run(&self.intake, &address, &self.login) => panic!("the stream ended"),
            done = passes => done,
        }
    }

    /// Lets time pass.
    async fn pass(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(STEP);
            let before = self.pulse();
            tokio::time::advance(step).await;
            self.settle(before).await;
            left -= step;
        }
    }

    /// Returns when nothing moves any more; after a movement only when that is so for longer.
    #[expect(
        clippy::disallowed_methods,
        reason = "real time has to pass, on a thread for blocking work"
    )]
    async fn settle(&self, mut before: Pulse) {
        let mut quiet = 2;
        while quiet < 4 {
            let real = || std::thread::sleep(PAUSE);
            tokio::task::spawn_blocking(real).await.unwrap();
            let (now, writer) = (self.pulse(), self.intake.store.writer.report());
            let rests = now == before && writer.waiting == 0 && writer.oldest_waiting.is_none();
            quiet = if rests { quiet + 1 } else { 0 };
            before = now;
        }
    }

    /// What changes whenever something happens.
    fn pulse(&self) -> Pulse {
        let commits = self.intake.store.writer.report().commits;
        (self.device.counters(), self.device.newest(), commits)
    }

    /// Writes into the device that it posts to us.
    async fn configure(&self) {
        let mut client = Client::new(&self.device.address().to_string(), Arc::clone(&self.login));
        let path = format!("/hikvision/{TOKEN}");
        let wrote = hosts::configure(&mut client, "203.0.113.5", 8081, &path, HostProtocol::Http);
        assert_eq!(wrote.await.unwrap(), []);
    }

    /// The only stream that the device gives, in other hands.
    async fn somebody_elses_stream(&self) -> TcpStream {
        let address = self.device.address().to_string();
        let mut client = Client::new(&address, Arc::clone(&self.login));
        client.get(DEVICE_INFO_PATH).await.unwrap();
        let path = "/ISAPI/Event/notification/alertStream";
        let pass = client::pass(&self.login, &Method::GET, path).await.unwrap();
        let (header, _) = pass.unwrap();
        let mut socket = TcpStream::connect(&address).await.unwrap();
        let ask = format!("GET {path} HTTP/1.1\r\nAuthorization: {header}\r\n\r\n");
        socket.write_all(ask.as_bytes()).await.unwrap();
        assert_eq!(
            socket.read_u64().await.unwrap(),
            u64::from_be_bytes(*b"HTTP/1.1")
        );
        assert_eq!(self.device.counters().streams, 1);
        socket
    }

    /// The chain that stands in the database.
    async fn chain(&self) -> Option<Text> {
        self.cursor(CHAIN).await
    }

    async fn cursor(&self, name: &str) -> Option<Text> {
        let device = self.intake.known.enrolment.id;
        self.intake.store.cursor(device, name).await.unwrap()
    }

    /// Puts an older chain there, as a restored copy has it.
    async fn restore(&self, chain: Text) {
        let older = self.moving(vec![(Text::const_new(CHAIN), chain)]);
        self.intake.store.writer.submit(older).await.unwrap();
    }

    /// Cursors alone.
    fn moving(&self, cursors: Vec<(Text, Text)>) -> Submission {
        Submission {
            device: Arc::clone(&self.intake.known.device),
            events: Vec::new(),
            quarantined: Vec::new(),
            cursors,
            expects: None,
            fence: None,
        }
    }

    fn shows(&self, condition: Condition) -> bool {
        self.intake.known.conditions().since(condition).is_some()
    }

    fn pause_s(&self) -> u64 {
        self.intake.known.hikvision().view().poll_seconds
    }
}

/// Everything shared, with this one device enrolled.
async fn hub(folder: &tempfile::TempDir, device: &Device) -> Arc<Hub> {
    let file = folder.path().join("satellite.toml");
    let text = format!(
        "state_dir = {:?}\n[[tenant]]\nid = \"acme\"\nname = \"Acme\"\ntime_zone = \"America/Mexico_City\"\n",
        folder.path()
    );
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file)).unwrap();
    let means = Means {
        mirror: Mirror::open(folder.path()).await.unwrap(),
        gate: Gate::new(4),
        metrics: Arc::new(Metrics::new(&config)),
    };
    let journal = Journal::open(folder.path(), JournalLimits::default());
    let (hub, wishes) = Hub::new(
        config,
        means,
        journal.await.unwrap(),
        "test".to_owned(),
        None,
    );
    let config = hub.config.load_full();
    stores::prepare_all(hub.stores.load().list(), &config)
        .await
        .unwrap();
    let new = NewEnrolment {
        access: Access {
            address: Some(Text::from(device.address().to_string())),
            user: Some(Text::from(device.login().0)),
            secret_file: Some(Text::const_new("unread")),
            token_hash: Some(TokenHash::of(TOKEN)),
            ..Access::default()
        },
        ..NewEnrolment::of(
            Vendor::Hikvision,
            Serial::new(device.serial()).unwrap(),
            TenantId::new("acme").unwrap(),
        )
    };
    let mut session = hub.registry_session().await.unwrap();
    registry::enrol(session.engine(), new, Millis(0), "test")
        .await
        .unwrap();
    session.give_back();
    Keeper::new(Arc::clone(&hub), wishes).load().await;
    hub
}

#[tokio::test]
async fn of_posts_that_leave_the_journal_together_every_chain_counts() {
    let stage = Stage::new(DeviceOptions::default()).await;
    let post = |serials: &[u64], mac| {
        let mut chain = Chain::new();
        for serial in serials {
            chain.post_before_asked(*serial, None, RING);
        }
        let chain = (Text::const_new(CHAIN), Text::from(chain.text()));
        [chain, (Text::const_new(MAC), Text::const_new(mac))]
    };
    // The second grew from an old copy, which has not heard of what the first brought.
    let posts = [
        post(&[1, 2, 3], "00:00:5e:00:53:01"),
        post(&[6, 7], "00:00:5e:00:53:02"),
    ];
    let waiting = stage.moving(posts.concat());
    stage.intake.drained(waiting).await.unwrap();
    let chain = Chain::parse(&stage.chain().await.unwrap()).unwrap();
    let lacking: Vec<u64> = (1..=8).filter(|serial| chain.lacks(*serial)).collect();
    assert_eq!(lacking, [4, 5, 8]);
    let mac = stage.cursor(MAC).await;
    assert_eq!(mac.as_deref(), Some("00:00:5e:00:53:02"));
}

#[tokio::test]
async fn the_listening_host_of_a_dialled_device_is_looked_at_every_15_minutes() {
    let stage = Stage::new(DeviceOptions::default()).await;
    stage.configure().await;
    let changed = Condition::ListeningHostChanged;
    let passes = async {
        stage.pass(MINUTE).await;
        assert!(stage.device.counters().questions > 2);
        assert!(!stage.shows(changed));
        stage.device.forget_hosts();
        stage.pass(13 * MINUTE).await;
        assert!(!stage.shows(changed), "looked at before its time");
        stage.pass(3 * MINUTE).await;
        assert!(stage.shows(changed));
        stage.configure().await;
        stage.pass(12 * MINUTE).await;
        assert!(stage.shows(changed), "looked at before its time");
        stage.pass(4 * MINUTE).await;
        assert!(!stage.shows(changed));
    };
    stage.dialled(passes).await;
}

#[tokio::test]
async fn a_taken_arming_slot_is_asked_for_less_and_less_often_and_the_search_goes_on() {
    let stage = Stage::new(DeviceOptions::default()).await;
    let somebody = stage.somebody_elses_stream().await;
    let (device, taken) = (&stage.device, Condition::ArmingSlotTaken);
    let passes = async {
        stage.pass(30 * MINUTE).await;
        assert!(stage.shows(taken));
        let asked = device.counters();
        assert!((4..=12).contains(&asked.arming_refused), "{asked:?}");
        assert!(asked.questions > 120, "{asked:?}");
        assert!(asked.open <= 2, "{asked:?}");
        let serial = device.punch("1").await.unwrap();
        stage.pass(MINUTE).await;
        let stored = stage.intake.known.hikvision().view().newest_stored;
        assert!(stored >= Some(serial), "{stored:?}");
        drop(somebody);
        stage.pass(6 * MINUTE).await;
        assert!(!stage.shows(taken));
        assert_eq!((device.counters().streams, device.counters().open), (2, 2));
    };
    stage.dialled(passes).await;
}

#[tokio::test]
async fn a_poll_that_finds_nothing_new_writes_nothing_and_an_older_copy_is_noticed_all_the_same() {
    let stage = Stage::new(DeviceOptions::default()).await;
    let passes = async {
        stage.device.punch("1").await.unwrap();
        stage.pass(MINUTE).await;
        let older = stage.chain().await.unwrap();
        stage.device.punch("2").await.unwrap();
        stage.pass(MINUTE).await;
        let (newer, commits) = (stage.chain().await, stage.pulse().2);
        assert_ne!(Some(&older), newer.as_ref());
        let asked = stage.device.counters().questions;
        stage.pass(5 * MINUTE).await;
        assert!(stage.device.counters().questions > asked + 15);
        assert_eq!(stage.pulse().2, commits, "nothing was new");
        stage.restore(older).await;
        stage.pass(MINUTE).await;
        assert_eq!(stage.chain().await, newer);
    };
    stage.dialled(passes).await;
}

/// People until that second: 24,000 in a month, who come on 22 days, in ten hours of each.
fn people(second: u64) -> u64 {
    let (day, second) = (second / DAY, second % DAY);
    let days = u64::try_from((0..day).filter(|day| day % 7 < 5).count()).unwrap();
    let today = if day % 7 < 5 { second.min(36_000) } else { 0 };
    PEOPLE * (days * 36_000 + today) / (22 * 36_000)
}

/// Hours of a month that are played: 720 for the figure of `benches/README.md`.
fn played() -> u64 {
    let hours = std::env::var("HOURS_OF_A_MONTH");
    hours.map_or(2, |hours| hours.parse().unwrap())
}

/// A month, or its first hours, of a device whose login is good for so many seconds.
async fn month(login_s: u64) {
    let options = DeviceOptions {
        log: LogOptions {
            ring: RING,
            logins: true,
            arming: true,
            ..LogOptions::default()
        },
        login: LoginOptions {
            nonce_once: login_s == 0,
            nonce_life_s: login_s.max(1),
            ..LoginOptions::default()
        },
        stream: StreamOptions {
            heartbeat_ms: 30_000,
            ..StreamOptions::default()
        },
        ..DeviceOptions::default()
    };
    let stage = Stage::new(options).await;
    stage.configure().await;
    let (device, hours) = (&stage.device, played());
    let passes = async {
        let mut came = 0;
        for minute in 1..=hours * 60 {
            stage.pass(MINUTE).await;
            while came < people(minute * 60) {
                came += 1;
                device.punch(&(came % 1_000).to_string()).await.unwrap();
            }
            if minute.is_multiple_of(24 * 60) || minute == hours * 60 {
                let (asked, rows) = (device.counters(), device.newest());
                eprintln!(
                    "login good for {login_s} s, hour {}: {rows} rows, {} ours, {} logins, \
                     {} searches, {} s apart now, the oldest row held is {}",
                    minute / 60,
                    rows - 3 * came,
                    asked.logins,
                    asked.questions,
                    stage.pause_s(),
                    device.oldest()
                );
            }
        }
        stage.pass(5 * MINUTE).await;
        came
    };
    let came = stage.dialled(passes).await;
    assert!(stage.shows(Condition::OwnFootprints));
    let view = stage.intake.known.hikvision().view();
    assert_eq!((view.missing, view.lost), (0, 0));
    assert_eq!(device.oldest(), 1, "rows were pushed out");
    // A month is the whole memory; its first hours may have their share of it, and a start.
    let ours = device.newest() - 3 * came;
    let share = (RING - 3 * PEOPLE) * hours / 720;
    assert!(ours <= share + 500, "{ours} rows are ours, {share} may be");
    assert!(
        device.counters().questions >= 25 * hours,
        "searched too rarely"
    );
}

#[tokio::test]
async fn a_month_pushes_no_row_out_of_a_terminal_whose_login_is_good_for_one_request() {
    month(0).await;
}

#[tokio::test]
async fn a_month_pushes_no_row_out_of_a_terminal_whose_login_is_good_for_a_minute() {
    month(60).await;
}

#[tokio::test]
async fn a_month_pushes_no_row_out_of_a_terminal_whose_login_is_good_for_five_minutes() {
    month(300).await;
}
