//! Machines that speak over a real socket, fall silent, and pretend to be others.

use super::*;
use crate::Finding;
use daemon::config::Secret;
use fetch::Trust;

async fn door() -> (Arc<Board>, Url) {
    let secret = |text: &str| Secret::new(text.to_owned());
    let machines = [
        ("db1".to_owned(), secret("t0ken\n")),
        ("web1".to_owned(), secret("other")),
    ];
    let board = Board::new(&machines);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let router = board.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (board, format!("http://{at}/host").parse().unwrap())
}

fn facts() -> Facts {
    Facts {
        uptime_seconds: Some(5_000.0),
        ..Facts::default()
    }
}

async fn seen(look: &impl Look) -> Finding {
    let round = look.look(Timestamp::now()).await;
    round.observations.into_iter().next().unwrap().finding
}

#[tokio::test]
async fn a_machine_that_sends_its_facts_is_seen_and_only_under_its_own_name() {
    let (board, url) = door().await;
    let (db1, web1) = (
        OtherHost::new("db1", &board),
        OtherHost::new("web1", &board),
    );
    assert!(matches!(seen(&db1).await, Finding::Unknown { .. }));
    let token = Secret::new("t0ken".to_owned());
    agent::send(&url, &token, &facts(), &Trust::default())
        .await
        .unwrap();
    assert_eq!(seen(&db1).await, Finding::Fine);
    assert!(matches!(seen(&web1).await, Finding::Unknown { .. }));
    let stranger = Secret::new("guess".to_owned());
    let refused = agent::send(&url, &stranger, &facts(), &Trust::default()).await;
    assert!(refused.unwrap_err().contains("[[agent]]"));
}

#[tokio::test]
async fn a_body_that_is_no_facts_or_too_long_changes_nothing() {
    let (board, url) = door().await;
    let long = "[".repeat(100_000);
    for (body, status) in [("[]", 400), ("{", 400), (long.as_str(), 413)] {
        let post = Fetch::post(url.clone(), "application/json", body.to_owned());
        let answer = post
            .header("authorization", "Bearer t0ken")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status, status);
    }
    assert!(matches!(board.heard("db1"), board::Heard::Nothing { .. }));
}

#[tokio::test]
async fn a_peer_is_fine_while_its_health_page_says_so_and_silent_only_after_a_while() {
    let app = axum::Router::new().route("/healthz", axum::routing::get(|| async { "well" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let peer = |path: &str| Peer::new("s2", &format!("http://{at}{path}").parse().unwrap());
    assert_eq!(seen(&peer("/healthz")).await, Finding::Fine);
    serving.abort();
    drop(serving.await);
    let gone = peer("/healthz");
    assert!(matches!(seen(&gone).await, Finding::Unknown { .. }));
    // As if that had been long ago.
    let long_ago = Instant::now().checked_sub(PEER_SILENT_AFTER);
    *gone.failing.lock().unwrap() = long_ago;
    assert!(matches!(seen(&gone).await, Finding::Wrong { .. }));
}
