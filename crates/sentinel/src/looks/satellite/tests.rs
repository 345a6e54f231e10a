//! The looks at satellite against sockets that answer, refuse and say nothing.

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::Finding;

/// A page made from satellite's published schema, by hand, with one store in trouble.
fn page() -> String {
    serde_json::json!({
        "version": "0.1.0", "uptime_seconds": 50, "started_at": "2026-11-21 09:00:00.000",
        "clock_synchronised": true, "pending": 0, "tenants": [], "hikvision": [],
        "stores": [
            {"label": "store", "place": "p", "up": true, "trouble": null, "detail": null,
             "waiting": 0, "oldest_waiting_seconds": 0.0, "commits": 5, "ambiguous_commits": 0},
            {"label": "acme", "place": "q", "up": false, "trouble": "read_only",
             "detail": "1290", "waiting": 2, "oldest_waiting_seconds": 99.0, "commits": 5},
        ],
        "stages": [{"name": "settle", "waiting": 0, "stalled": false}],
        "journal": {"state": "ready", "events": 0, "bytes": 0, "oldest_seconds": null, "unreadable": 0},
        "totals": {"received": 9, "committed": 9, "duplicate": 0, "quarantined": {}, "refused": {},
                   "new_epochs": 0, "panics": 0},
    })
    .to_string()
}

async fn server(body: String) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 2048];
            if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.ok();
            }
        }
    });
    format!("http://{at}").parse().unwrap()
}

fn work(admin: &Url) -> Work {
    let tenants = vec!["acme".to_owned(), "beta".to_owned()];
    Work::new(StatusPage::new(admin), None, false, tenants)
}

async fn seen(look: &impl Look) -> Vec<Observation> {
    look.look(Timestamp::now()).await.observations
}

#[tokio::test]
async fn a_store_that_is_down_is_told_of_the_store_and_satellite_itself_is_fine() {
    let seen = seen(&work(&server(page()).await)).await;
    let of = |subject: Subject| seen.iter().find(|it| it.subject == subject).unwrap();
    let satellite = of(Subject::Satellite);
    assert_eq!(satellite.finding, Finding::Fine);
    assert_eq!(satellite.version.as_deref(), Some("0.1.0"));
    assert_eq!(satellite.signal, Some(Signal::Admin(Admin::Moving)));
    let Finding::Wrong { troubles } = &of(Subject::store("acme")).finding else {
        panic!("{seen:?}");
    };
    assert_eq!(troubles[0].kind, crate::Kind::DatabaseReadOnly);
    // beta has no database of its own: the common one is its.
    assert_eq!(of(Subject::store("beta")).finding, Finding::Fine);
}

#[tokio::test]
async fn nobody_there_is_refused_silence_is_silent_and_nonsense_is_never_fine() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let signal = |seen: &[Observation]| seen[0].signal;
    let unknown = |seen: &[Observation]| {
        seen.iter()
            .all(|it| matches!(it.finding, Finding::Unknown { .. }))
    };
    let silent = seen(&work(&url)).await;
    assert_eq!(signal(&silent), Some(Signal::Admin(Admin::Silent)));
    let silent = seen(&DoorLook::new(&url, "C1")).await;
    assert_eq!(signal(&silent), Some(Signal::Door(Door::Silent)));
    drop(listener);
    let refused = seen(&work(&url)).await;
    assert_eq!(signal(&refused), Some(Signal::Admin(Admin::Refused)));
    assert!(unknown(&refused) && refused.len() == 3);
    let refused = seen(&DoorLook::new(&url, "C1")).await;
    assert_eq!(signal(&refused), Some(Signal::Door(Door::Refused)));
    for nonsense in ["", "{}", "[1,2]", "<html>"] {
        let url = server(nonsense.to_owned()).await;
        let seen = seen(&work(&url)).await;
        assert!(unknown(&seen), "{seen:?}");
        assert_eq!(signal(&seen), Some(Signal::Admin(Admin::Silent)));
    }
}

#[tokio::test]
async fn a_door_that_answers_anything_in_http_is_there() {
    let url = server("nobody knows you".to_owned()).await;
    let seen = seen(&DoorLook::new(&url, "C1")).await;
    assert_eq!(seen[0].signal, Some(Signal::Door(Door::Answers)));
}

#[tokio::test]
async fn a_unit_without_systemd_is_unknown() {
    if Path::new("/run/systemd/system").exists() {
        println!("SKIPPED: this machine has systemd; the unknown state cannot be seen here");
        return;
    }
    let seen = seen(&UnitLook::new("satellite.service")).await;
    assert!(matches!(seen[0].finding, Finding::Unknown { .. }) && seen[0].signal.is_none());
}
