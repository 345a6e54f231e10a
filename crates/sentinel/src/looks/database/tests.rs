//! The look at a database against real servers that are paused, killed and misconfigured.

use mariadb::{Flavor, Server};

use super::*;
use crate::Finding;

fn store(url: &str) -> WatchedStore {
    WatchedStore {
        tenant: "acme".to_owned(),
        name: "Acme".to_owned(),
        url: url.parse().unwrap(),
        password: None,
        canaries: Vec::new(),
    }
}

async fn seen(look: &Database) -> Observation {
    let round = look.look(Timestamp::now()).await;
    round.observations.into_iter().next().unwrap()
}

fn kinds(observation: &Observation) -> Vec<Kind> {
    match &observation.finding {
        Finding::Wrong { troubles } => troubles.iter().map(|trouble| trouble.kind).collect(),
        Finding::Fine => Vec::new(),
        Finding::Unknown { why } => panic!("unknown: {why}"),
    }
}

/// A server with the one view that the look reads.
fn server() -> Server {
    let server = Server::start(Flavor::Durable).unwrap();
    server.create_database("d").unwrap();
    server
        .sql(
            "CREATE TABLE d.event_feed (seq BIGINT PRIMARY KEY, received_at DATETIME(3));\
             CREATE USER sentinel@'127.0.0.1'; GRANT SELECT ON d.event_feed TO sentinel@'127.0.0.1'",
        )
        .unwrap();
    server
}

fn url(server: &Server) -> String {
    format!("mysql://sentinel@127.0.0.1:{}/d", server.port())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_fine_then_read_only_weak_hung_down_and_fine_again() {
    let server = server();
    let look = Database::new(store(&url(&server)));
    let fine = seen(&look).await;
    assert_eq!(kinds(&fine), []);
    assert_eq!(fine.signal, Some(Signal::Rows(Rows::Old)));
    assert!(fine.numbers["connections_of"] > 100.0);

    server
        .sql("INSERT INTO d.event_feed VALUES (1, UTC_TIMESTAMP(3))")
        .unwrap();
    assert_eq!(seen(&look).await.signal, Some(Signal::Rows(Rows::Fresh)));

    server.sql("SET GLOBAL read_only = 1").unwrap();
    assert_eq!(kinds(&seen(&look).await), [Kind::DatabaseReadOnly]);
    server
        .sql("SET GLOBAL read_only = 0, GLOBAL innodb_flush_log_at_trx_commit = 2")
        .unwrap();
    assert_eq!(kinds(&seen(&look).await), [Kind::DurabilityWeak]);
    server
        .sql("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
        .unwrap();

    server.pause().unwrap();
    let began = Instant::now();
    assert_eq!(kinds(&seen(&look).await), [Kind::DatabaseHung]);
    assert!(began.elapsed() < DEADLINE);
    server.resume().unwrap();
    server.kill9().unwrap();
    assert_eq!(kinds(&seen(&look).await), [Kind::DatabaseDown]);
    server.restart().unwrap();
    assert_eq!(kinds(&seen(&look).await), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_used_up_are_told_and_a_user_that_may_not_read_is_unknown() {
    let server = server();
    server.sql("SET GLOBAL max_connections = 10").unwrap();
    let look = Database::new(store(&url(&server)));
    let mut held = Vec::new();
    // One more than the limit is root's alone.
    for _ in 0..10 {
        let taken = store(&server.url("d"));
        held.extend(Reader::open(&taken, ASK_WITHIN).await.ok());
    }
    assert_eq!(kinds(&seen(&look).await), [Kind::DatabaseConnections]);
    for reader in held {
        reader.close().await;
    }
    server
        .sql("REVOKE ALL PRIVILEGES, GRANT OPTION FROM sentinel@'127.0.0.1'")
        .unwrap();
    let unknown = seen(&look).await;
    assert!(
        matches!(unknown.finding, Finding::Unknown { .. }),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_sqlite_store_is_fine_then_locked_then_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    use sqlx::ConnectOptions as _;
    let mut writer = options.connect().await.unwrap();
    let table = "CREATE TABLE event_feed (seq INTEGER PRIMARY KEY, received_at TEXT)";
    sqlx::raw_sql(table).execute(&mut writer).await.unwrap();
    let look = Database::new(store(&format!("sqlite://{}", path.display())));
    let fine = seen(&look).await;
    assert_eq!(kinds(&fine), []);
    assert!(fine.numbers["size_bytes"] > 0.0);
    sqlx::raw_sql("BEGIN EXCLUSIVE")
        .execute(&mut writer)
        .await
        .unwrap();
    assert_eq!(kinds(&seen(&look).await), [Kind::DatabaseHung]);
    sqlx::raw_sql("COMMIT").execute(&mut writer).await.unwrap();
    drop(writer);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(kinds(&seen(&look).await), [Kind::DatabaseDown]);
}
