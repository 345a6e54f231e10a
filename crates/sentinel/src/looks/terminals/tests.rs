//! The list of terminals over a real socket.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::Finding;

fn row(serial: &str, state: &str) -> serde_json::Value {
    serde_json::json!({
        "serial": serial, "vendor": "zkteco", "tenant": "acme", "site": "Toluca", "name": null,
        "store": "store", "state": state, "canary": serial == "CANARY", "last_event_at": null,
        "last_contact_at": "2026-11-21 09:00:00.000", "offline_after_seconds": 300,
        "clock_skew_seconds": null, "log_used": null, "log_capacity": null, "gap_events": null,
        "completeness": "unproven", "conditions": [],
    })
}

async fn look(body: String) -> Terminals {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 2048];
            if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.ok();
            }
        }
    });
    Terminals::new(&url, &[])
}

async fn seen(body: serde_json::Value) -> Round {
    look(body.to_string()).await.look(Timestamp::now()).await
}

#[tokio::test]
async fn five_thousand_terminals_are_seen_in_one_round_and_those_that_are_not_real_are_left_out() {
    let mut rows: Vec<_> = (0..5000).map(|n| row(&format!("T{n}"), "online")).collect();
    rows[7] = row("T7", "offline");
    rows.push(row("CANARY", "offline"));
    rows.push(row("OUT", "blocked"));
    let round = seen(serde_json::json!({"at": "x", "loaded": true, "devices": rows})).await;
    assert!(round.whole);
    let wrong: Vec<_> = round
        .observations
        .iter()
        .filter(|it| it.finding != Finding::Fine)
        .map(|it| it.subject.clone())
        .collect();
    assert_eq!(wrong, [Subject::terminal("acme", Some("Toluca"), "T7")]);
    assert_eq!(round.observations.len(), 5001);
    assert_eq!(round.observations[5000].numbers["terminals_online"], 4999.0);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_or_is_not_complete_makes_no_terminal_vanish() {
    for body in [
        serde_json::json!({"at": "x", "loaded": false, "devices": []}),
        serde_json::json!({"error": 1}),
    ] {
        let round = seen(body).await;
        assert!(!round.whole && round.observations.len() == 1);
        assert!(matches!(
            round.observations[0].finding,
            Finding::Unknown { .. }
        ));
    }
}

#[tokio::test]
async fn a_terminal_unheard_since_a_restart_is_looked_up_in_its_database() {
    use sqlx::ConnectOptions as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let table = "CREATE TABLE device_status (tenant TEXT, serial TEXT, last_contact_at TEXT);
         INSERT INTO device_status VALUES ('acme', 'OLD', '2020-01-01 00:00:00.000')";
    sqlx::raw_sql(table).execute(&mut connection).await.unwrap();
    let mut rows = [row("OLD", "unheard"), row("NEW", "unheard")];
    for row in &mut rows {
        row["last_contact_at"] = serde_json::Value::Null;
    }
    let body = serde_json::json!({"at": "x", "loaded": true, "devices": rows});
    let mut look = look(body.to_string()).await;
    look.stores = vec![WatchedStore {
        tenant: "acme".to_owned(),
        name: "Acme".to_owned(),
        url: format!("sqlite://{}", path.display()).parse().unwrap(),
        password: None,
        canaries: Vec::new(),
    }];
    let round = look.look(Timestamp::now()).await;
    assert!(matches!(
        round.observations[0].finding,
        Finding::Wrong { .. }
    ));
    // The other was never heard by anybody: only the observation of all follows.
    assert_eq!(round.observations.len(), 2);
    assert_eq!(round.observations[1].subject, Subject::Satellite);
}
