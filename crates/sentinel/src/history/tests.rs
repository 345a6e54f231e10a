//! History over a real file and a real feed of events: it learns, finds a silence, ends it with
//! an event, survives a restart, and does not grow without end.

use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sqlx::Connection as _;
use tempfile::TempDir;

use super::feed::{Zones, last, rows_after, start};
use super::silence::Shared;
use super::*;
use crate::calendar::Holidays;
use crate::config::WatchedStore;
use crate::look::Look as _;
use crate::looks::store::Reader;
use crate::observation::{Fact, Finding, Observation, Round, Value};
use crate::{Kind, Subject};

const FEED: &str = "CREATE TABLE event_feed (seq BIGINT PRIMARY KEY, tenant VARCHAR(64) NULL, \
     serial VARCHAR(64) NOT NULL, kind VARCHAR(16) NOT NULL, occurred_at DATETIME(3) NULL, \
     received_at DATETIME(3) NOT NULL, timeliness VARCHAR(16) NOT NULL, \
     clock VARCHAR(16) NOT NULL, time_zone VARCHAR(64) NOT NULL, person VARCHAR(64) NULL)";
const STATUS: &str = "CREATE TABLE device_status (tenant VARCHAR(64), serial VARCHAR(64), \
     site VARCHAR(64), state VARCHAR(16))";
const INSERT: &str = "INSERT INTO event_feed VALUES (?1, 'acme', ?2, 'punch', ?3, ?4, 'live', 'ok', \
     'America/Mexico_City', CAST(?1 % 40 AS TEXT))";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn sql_time(at: Timestamp) -> String {
    let utc = at.to_zoned(TimeZone::UTC);
    utc.strftime("%Y-%m-%d %H:%M:%S.000").to_string()
}

/// An event database in a file, as a reader sees it.
struct Events {
    folder: TempDir,
    connection: SqliteConnection,
    seq: i64,
}

impl Events {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut connection = SqliteConnectOptions::new()
            .filename(folder.path().join("events.db"))
            .create_if_missing(true)
            .connect()
            .await
            .unwrap();
        for table in [FEED, STATUS] {
            sqlx::query(table).execute(&mut connection).await.unwrap();
        }
        Self {
            folder,
            connection,
            seq: 0,
        }
    }

    async fn enrol(&mut self, serial: &str, state: &str) {
        sqlx::query("INSERT INTO device_status VALUES ('acme', ?, 'Toluca', ?)")
            .bind(serial)
            .bind(state)
            .execute(&mut self.connection)
            .await
            .unwrap();
    }

    /// Punches of a terminal, one each 20 seconds from a moment on.
    async fn punches(&mut self, serial: &str, from: Timestamp, count: i64) {
        let mut transaction = self.connection.begin().await.unwrap();
        for n in 0..count {
            self.seq += 1;
            let happened = from + SignedDuration::from_secs(20 * n);
            sqlx::query(INSERT)
                .bind(self.seq)
                .bind(serial)
                .bind(sql_time(happened))
                .bind(sql_time(happened + SignedDuration::from_secs(1)))
                .execute(&mut *transaction)
                .await
                .unwrap();
        }
        transaction.commit().await.unwrap();
    }

    /// Forty punches from 09:00 on each working day up to and with `last`.
    async fn office(&mut self, serial: &str, first: &str, last: &str) {
        let (first, last): (Date, Date) = (first.parse().unwrap(), last.parse().unwrap());
        let days = first.series(jiff::Span::new().days(1));
        for day in days.take_while(|day| *day <= last) {
            if day.weekday().to_monday_zero_offset() < 5 {
                let nine = at(&format!("{day}T09:00:00-06"));
                self.punches(serial, nine, 40).await;
            }
        }
    }

    fn store(&self) -> WatchedStore {
        let path = self.folder.path().join("events.db");
        WatchedStore {
            tenant: "acme".to_owned(),
            name: "Acme".to_owned(),
            url: format!("sqlite://{}", path.display()).parse().unwrap(),
            password: None,
            canaries: Vec::new(),
        }
    }

    /// As after a start: everything is read back from the file.
    fn look(&self) -> SilenceLook {
        let shared: Arc<Shared> = Shared::new(self.folder.path());
        let zone = TimeZone::get("America/Mexico_City").unwrap();
        SilenceLook::new(self.store(), Holidays::mexico(), zone, shared)
    }
}

fn of<'a>(round: &'a Round, serial: &str) -> &'a Observation {
    let subject = Subject::terminal("acme", Some("Toluca"), serial);
    let mut seen = round.observations.iter();
    seen.find(|seen| seen.subject == subject).unwrap()
}

fn expected(observation: &Observation) -> Option<i64> {
    let Finding::Wrong { troubles } = &observation.finding else {
        return None;
    };
    assert_eq!(troubles[0].kind, Kind::TerminalSilent);
    match troubles[0].facts.get(&Fact::Expected) {
        Some(Value::Count(count)) => Some(*count),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_silent_terminal_is_found_from_the_feed_with_its_numbers_and_an_event_ends_it() {
    let mut events = Events::new().await;
    for (serial, last) in [
        ("GOOD1", "2026-06-02"),
        ("SILENT1", "2026-06-01"),
        ("GONE1", "2026-06-01"),
    ] {
        events.office(serial, "2026-04-06", last).await;
    }
    events.enrol("GOOD1", "online").await;
    events.enrol("SILENT1", "online").await;
    events.enrol("GONE1", "offline").await;
    let look = events.look();
    let early = look.look(at("2026-06-02T08:59:00-06")).await;
    assert!(early.whole && early.observations.len() == 4, "{early:?}");
    assert!(
        early
            .observations
            .iter()
            .all(|seen| seen.finding == Finding::Fine)
    );

    // Another process goes on: what was learned is in the file.
    let late = events.look().look(at("2026-06-02T09:15:00-06")).await;
    assert_eq!(of(&late, "GOOD1").finding, Finding::Fine);
    // Forty, and the end of the quarter hour in which the last event came.
    let seen = expected(of(&late, "SILENT1")).unwrap();
    assert!((38..=46).contains(&seen), "{seen}");
    assert!(matches!(
        of(&late, "GONE1").finding,
        Finding::Unknown { .. }
    ));

    // A silence goes on at night, and after a restart; an event ends it.
    let look = events.look();
    let night = look.look(at("2026-06-03T03:00:00-06")).await;
    assert!(expected(of(&night, "SILENT1")).is_some());
    events
        .punches("SILENT1", at("2026-06-03T08:50:00-06"), 1)
        .await;
    let over = look.look(at("2026-06-03T08:51:00-06")).await;
    assert_eq!(of(&over, "SILENT1").finding, Finding::Fine);

    // Nothing was learned from the silent day.
    let mut history = History::open(events.folder.path()).await.unwrap();
    let days = history.days("acme", "SILENT1").await.unwrap();
    let day: Date = "2026-06-02".parse().unwrap();
    assert!(days[&day].is_spoiled(36) && days[&day].total() == 0);
    let punches = history.punches("acme", day, day).await.unwrap();
    assert_eq!(punches[&day], 40);

    // The store itself carries the numbers of the daily mail, with the day they are about.
    let store = over
        .observations
        .iter()
        .find(|it| it.subject == Subject::store("acme"));
    let numbers = &store.unwrap().numbers;
    assert_eq!(numbers[PUNCHES_YESTERDAY], 40.0);
    assert_eq!(numbers[YESTERDAY], day_number(day));
    assert_eq!(numbers[PEOPLE], 40.0);
}

#[tokio::test]
async fn a_database_that_cannot_be_read_makes_nobody_silent() {
    let mut events = Events::new().await;
    events.office("A1", "2026-04-06", "2026-06-01").await;
    events.enrol("A1", "online").await;
    let look = events.look();
    look.look(at("2026-06-01T18:00:00-06")).await;
    std::fs::rename(
        events.folder.path().join("events.db"),
        events.folder.path().join("away.db"),
    )
    .unwrap();
    let round = look.look(at("2026-06-02T10:00:00-06")).await;
    assert!(!round.whole && round.observations.len() == 1);
    assert!(matches!(
        round.observations[0].finding,
        Finding::Unknown { .. }
    ));
}

#[tokio::test]
async fn an_older_copy_of_the_database_is_noticed_and_read_on_from_its_end() {
    let mut events = Events::new().await;
    events.office("A1", "2026-05-25", "2026-06-01").await;
    events.enrol("A1", "online").await;
    let look = events.look();
    look.look(at("2026-06-01T18:00:00-06")).await;
    sqlx::query("DELETE FROM event_feed WHERE seq > 100")
        .execute(&mut events.connection)
        .await
        .unwrap();
    let round = look.look(at("2026-06-01T18:01:00-06")).await;
    assert!(matches!(
        round.observations[0].finding,
        Finding::Unknown { .. }
    ));
    let mut history = History::open(events.folder.path()).await.unwrap();
    assert_eq!(history.mark("acme").await.unwrap(), Some(100));
}

#[tokio::test]
async fn a_first_reading_begins_twelve_weeks_back_and_not_at_the_beginning_of_time() {
    let mut events = Events::new().await;
    events
        .punches("A1", at("2024-01-01T09:00:00-06"), 300)
        .await;
    // A new epoch: numbers jump.
    events.seq = 1 << 40;
    events
        .punches("A1", at("2026-05-01T09:00:00-06"), 300)
        .await;
    let within = Duration::from_secs(5);
    let mut reader = Reader::open(&events.store(), within).await.unwrap();
    let begin = start(&mut reader, at("2026-03-01T00:00:00Z"))
        .await
        .unwrap();
    assert!((300..=1 << 40).contains(&begin), "{begin}");
    let rows = rows_after(&mut reader, begin).await.unwrap();
    assert_eq!(Batch::of("acme", &rows, &mut Zones::default()).rows, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_of_a_real_server_is_read_the_same_way() {
    let server = mariadb::Server::start(mariadb::Flavor::Durable).unwrap();
    server.create_database("d").unwrap();
    let rows = "(1, 'acme', 'A1', 'punch', '2024-01-02 15:00:00', '2024-01-02 15:00:01', 'live', 'ok', 'UTC', '7'),\
        (1099511627777, 'acme', 'A1', 'punch', '2026-06-02 15:01:00.5', '2026-06-02 15:01:01', 'live', 'ok', 'UTC', '7'),\
        (1099511627778, NULL, 'A1', 'device', NULL, '2026-06-02 15:01:02', 'live', 'ok', 'UTC', '7')";
    let setup = format!(
        "USE d; {FEED}; INSERT INTO event_feed VALUES {rows}; CREATE USER sentinel@'127.0.0.1'; \
         GRANT SELECT ON d.event_feed TO sentinel@'127.0.0.1'"
    );
    server.sql(&setup).unwrap();
    let url = format!("mysql://sentinel@127.0.0.1:{}/d", server.port());
    let within = Duration::from_secs(5);
    let mut reader = Reader::connect(&url.parse().unwrap(), None, within)
        .await
        .unwrap();
    assert_eq!(last(&mut reader).await.unwrap(), 1_099_511_627_778);
    let begin = start(&mut reader, at("2026-01-01T00:00:00Z"))
        .await
        .unwrap();
    let rows = rows_after(&mut reader, begin).await.unwrap();
    let batch = Batch::of("acme", &rows, &mut Zones::default());
    assert_eq!((batch.rows, batch.terminals.len()), (2, 1));
    assert_eq!(batch.terminals["A1"].last, at("2026-06-02T15:01:01Z"));
}

async fn count(folder: &Path, table: &str) -> i64 {
    let mut history = History::open(folder).await.unwrap();
    let sql = format!("SELECT COUNT(*) FROM {table}");
    let count = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
    count.fetch_one(&mut history.connection).await.unwrap()
}

#[tokio::test]
async fn history_is_bounded_and_what_reports_need_stays() {
    let folder = TempDir::new().unwrap();
    let mut history = History::open(folder.path()).await.unwrap();
    let today: Date = "2026-06-02".parse().unwrap();
    let second = DaySeconds {
        ok: 86_400,
        ..DaySeconds::default()
    };
    for days in 0..800 {
        let day = today.saturating_sub(days.days());
        history
            .add_seconds("tenant:acme", day, second)
            .await
            .unwrap();
        let quarters = crate::silence::Quarters::default();
        history
            .keep_day("acme", "A1", day, &quarters)
            .await
            .unwrap();
    }
    history.purge(today).await.unwrap();
    assert_eq!(count(folder.path(), "uptime").await, 763);
    assert_eq!(count(folder.path(), "terminal_day").await, 85);
    let last_year: Date = "2025-06-02".parse().unwrap();
    let kept = history
        .seconds("tenant:acme", last_year, last_year)
        .await
        .unwrap();
    assert_eq!(kept[&last_year].ok, 86_400);
}
