//! The canary against a door and a database that are both played here: it knocks over real
//! sockets and reads real rows.

use std::sync::atomic::{AtomicU8, Ordering};

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Mutex as Lock;

use super::*;
use crate::{Canary, Finding, Observation, Signal};

/// What the played satellite does with a punch.
const STORES: u8 = 0;
const REFUSES: u8 = 1;
const LOSES: u8 = 2;
const HANGS: u8 = 3;
const GIVES_UP: u8 = 4;

struct Played {
    mode: Arc<AtomicU8>,
    folder: tempfile::TempDir,
    url: String,
}

impl Played {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("events.db"))
            .create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        let tables = "CREATE TABLE event_feed (seq INTEGER PRIMARY KEY, received_at TEXT);
             CREATE TABLE canary_feed (seq INTEGER PRIMARY KEY, person TEXT)";
        sqlx::raw_sql(tables)
            .execute(&mut connection)
            .await
            .unwrap();
        let connection = Arc::new(Lock::new(connection));
        let mode = Arc::new(AtomicU8::new(STORES));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let kept = Arc::clone(&mode);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mode, connection) = (kept.load(Ordering::SeqCst), Arc::clone(&connection));
                tokio::spawn(async move {
                    let mut request = vec![0; 8192];
                    let read = stream.read(&mut request).await.unwrap_or(0);
                    let request = String::from_utf8_lossy(&request[..read]).into_owned();
                    let answer = answer(mode, &request, &connection).await;
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                        answer.len()
                    );
                    stream.write_all((head + answer).as_bytes()).await.ok();
                });
            }
        });
        Self { mode, folder, url }
    }

    fn look(&self) -> CanaryLook {
        let store = WatchedStore {
            tenant: "acme".to_owned(),
            name: "Acme".to_owned(),
            url: format!("sqlite://{}/events.db", self.folder.path().display())
                .parse()
                .unwrap(),
            password: None,
            canaries: vec![CanaryDoor::Zkteco("CANARY1".to_owned())],
        };
        let watch = Watch {
            terminal_urls: vec![self.url.clone()],
            ..Watch::default()
        };
        CanaryLook::new(&watch, &store, &TimeZone::UTC, None).unwrap()
    }
}

/// Stores the person of an ATTLOG line as the played mode wants it.
async fn answer(mode: u8, request: &str, connection: &Lock<SqliteConnection>) -> &'static str {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /iclock/cdata?SN=CANARY1&table=ATTLOG"),
        "{head}"
    );
    let person = body.split('\t').next().unwrap();
    match mode {
        STORES => {
            let sql = "INSERT INTO canary_feed (person) VALUES (?)";
            let mut connection = connection.lock().await;
            let insert = sqlx::query(sql).bind(person).execute(&mut *connection);
            insert.await.unwrap();
            "OK: 1"
        }
        REFUSES => "ERROR",
        HANGS => std::future::pending().await,
        GIVES_UP => {
            tokio::time::sleep(GIVEN_UP_AFTER + Duration::from_secs(1)).await;
            "ERROR"
        }
        _ => "OK: 1",
    }
}

async fn seen(look: &CanaryLook) -> Observation {
    let round = look.look(Timestamp::now()).await;
    round.observations.into_iter().next().unwrap()
}

fn signal(observation: &Observation) -> Option<Canary> {
    match observation.signal {
        Some(Signal::Canary(canary)) => Some(canary),
        _ => None,
    }
}

#[tokio::test]
async fn a_punch_that_is_stored_is_visible_with_its_latency_and_a_refused_one_failed() {
    let played = Played::new().await;
    let look = played.look();
    let fine = seen(&look).await;
    assert_eq!(signal(&fine), Some(Canary::Visible), "{fine:?}");
    assert_eq!(fine.finding, Finding::Fine);
    assert!(fine.numbers["canary_seconds"] < 5.0);
    for mode in [REFUSES, HANGS] {
        played.mode.store(mode, Ordering::SeqCst);
        let failed = seen(&look).await;
        assert_eq!(signal(&failed), Some(Canary::Failed), "{failed:?}");
    }
}

#[tokio::test]
async fn a_punch_that_was_waited_with_and_given_up_is_sent_once_more_in_the_same_round() {
    let played = Played::new().await;
    played.mode.store(GIVES_UP, Ordering::SeqCst);
    let mode = Arc::clone(&played.mode);
    tokio::spawn(async move {
        tokio::time::sleep(GIVEN_UP_AFTER + Duration::from_secs(3)).await;
        mode.store(STORES, Ordering::SeqCst);
    });
    let began = Instant::now();
    let slow = seen(&played.look()).await;
    assert_eq!(signal(&slow), Some(Canary::Visible), "{slow:?}");
    assert!(slow.numbers["canary_seconds"] >= AGAIN_AFTER.as_secs_f64());
    assert!(began.elapsed() < DEADLINE);
}

#[tokio::test]
async fn an_acknowledged_punch_without_a_row_is_first_awaited_and_then_not_found() {
    let played = Played::new().await;
    let look = played.look();
    assert_eq!(signal(&seen(&look).await), Some(Canary::Visible));
    played.mode.store(LOSES, Ordering::SeqCst);
    let waiting = seen(&look).await;
    assert!(signal(&waiting).is_none(), "{waiting:?}");
    assert!(matches!(waiting.finding, Finding::Unknown { .. }));
    // As if it had been a minute ago.
    for it in &mut look.memory().waiting {
        it.acked = it.acked.checked_sub(Duration::from_secs(60)).unwrap();
    }
    assert_eq!(signal(&seen(&look).await), Some(Canary::Absent));
}

#[tokio::test]
async fn a_database_that_does_not_answer_our_reader_makes_nothing_missing() {
    let played = Played::new().await;
    let look = played.look();
    assert_eq!(signal(&seen(&look).await), Some(Canary::Visible));
    played.mode.store(LOSES, Ordering::SeqCst);
    std::fs::remove_file(played.folder.path().join("events.db")).unwrap();
    seen(&look).await;
    for it in &mut look.memory().waiting {
        it.acked = it.acked.checked_sub(Duration::from_secs(60)).unwrap();
    }
    let unread = seen(&look).await;
    assert!(signal(&unread).is_none(), "{unread:?}");
}

#[test]
fn the_commands_that_enrol_canaries_can_be_typed_as_they_stand() {
    let store = WatchedStore {
        tenant: "acme".to_owned(),
        name: "Acme".to_owned(),
        url: "sqlite:///x.db".parse().unwrap(),
        password: None,
        canaries: vec![CanaryDoor::Zkteco("CANARY1".to_owned())],
    };
    assert_eq!(
        enrolment(&store),
        ["satellite devices add --tenant acme --vendor zkteco --serial CANARY1 --canary"]
    );
}

#[tokio::test]
async fn a_round_sees_a_punch_of_an_earlier_round_through_to_its_end() {
    let played = Played::new().await;
    let look = played.look();
    let patience = |age: u64, spent: u64| {
        let acked = Instant::now()
            .checked_sub(Duration::from_secs(age))
            .unwrap();
        look.memory().waiting = vec![Waiting {
            person: "1".to_owned(),
            way: 0,
            began: acked,
            acked,
            after: 0,
        }];
        look.patience(Duration::from_secs(spent)).as_secs_f64()
    };
    let through = patience(30, 1);
    assert!((14.0..16.0).contains(&through), "{through}");
    for (age, spent) in [(2, 1), (20, 1), (30, 12), (50, 1)] {
        assert_eq!(patience(age, spent), WATCH_FOR.as_secs_f64(), "{age}");
    }
    look.memory().waiting.clear();
    assert_eq!(look.patience(Duration::ZERO), WATCH_FOR);
}

#[tokio::test]
async fn what_a_broker_took_and_nobody_stored_is_a_way_that_fails_until_a_later_punch_has_come() {
    let played = Played::new().await;
    let mut look = played.look();
    let broker = crate::config::BrokerCanary {
        url: "http://broker:1883".parse().unwrap(),
        login: None,
        trust: fetch::Trust::default(),
        allow_internal: true,
        topic: "plant/CANARY/punch".to_owned(),
        serial: "CANARY".to_owned(),
    };
    look.store.canaries = vec![CanaryDoor::Mqtt(Arc::new(broker))];
    look.ways = punch::ways(&[], &look.store).into();
    let ago = |seconds: u64| {
        Instant::now()
            .checked_sub(Duration::from_secs(seconds))
            .unwrap()
    };
    look.memory().waiting = [("old", 30), ("new", 20)]
        .map(|(person, age)| Waiting {
            person: person.to_owned(),
            way: 0,
            began: ago(age),
            acked: ago(age),
            after: 0,
        })
        .into();
    let ends: Vec<End> = look
        .still_waiting(None, None)
        .into_iter()
        .map(|it| it.end)
        .collect();
    assert!(
        matches!(ends.as_slice(), [End::Failed(_), End::Waiting]),
        "{ends:?}"
    );
    let row = vec![Some("new".to_owned()), Some("7".to_owned())];
    let seen = look.take(&[row], Instant::now());
    assert!(matches!(
        seen.as_slice(),
        [Ended {
            way: 0,
            end: End::Visible { .. }
        }]
    ));
    assert!(
        look.memory().waiting.is_empty(),
        "the older one is looked for no more"
    );
}
