//! Promise: a machine that vanishes is told within two minutes, and so is another sentinel.
//!
//! Two network namespaces stand for two machines: in one runs sentinel, in the other
//! `sentinel host`. Then the cable between them is pulled. Making namespaces needs root; where
//! that is missing this is skipped, and says so.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Result;
use promises::{Machine, Mailbox, Post, Postbox, SentinelProcess, exchange, free_port, get};

/// The two machines, wired to each other, and the first one also to the test.
fn machines() -> Result<(Machine, Machine)> {
    let a = Machine::new("sena")?.wired("10.198.0.1/30", "10.198.0.2/30")?;
    let b = Machine::new("senb")?;
    a.ip(&format!(
        "link add v type veth peer name w netns {}",
        b.name()
    ))?;
    a.ip("addr add 10.199.0.1/30 dev v")?;
    a.ip("link set v up")?;
    b.ip("addr add 10.199.0.2/30 dev w")?;
    b.ip("link set w up")?;
    Ok((a, b))
}

const TABLES: &str = r#"
language = "es"
[listen]
admin = "0.0.0.0:9811"
[host]
watch = false
[watch]
[[agent]]
name = "db1"
token_file = "TOKEN"
[mail]
from = "sentinela@example.mx"
relays = ["RELAY"]
[[level]]
to = [{ address = "soporte@example.mx" }]
"#;

async fn heard() -> bool {
    let door = std::net::SocketAddr::from(([10, 198, 0, 2], 9811));
    let Ok(reply) = exchange(door, &get("/api/status")).await else {
        return false;
    };
    let status: serde_json::Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let text = status["checks"]["host:db1"].to_string();
    text.contains("fine") || text.contains("true")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_vanishes_is_told_by_mail_within_two_minutes() {
    let (a, b) = match machines() {
        Ok(machines) => machines,
        Err(error) => {
            println!("SKIPPED, NOT PROVEN HERE: network namespaces cannot be made ({error:#})");
            return;
        }
    };
    let mailbox = Mailbox::open("10.198.0.1:0").await.unwrap();
    let secrets = tempfile::tempdir().unwrap();
    let token = secrets.path().join("token");
    std::fs::write(&token, "0123456789abcdef0123456789abcdef").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o640)).unwrap();
    let token = token.display().to_string();
    let tables = TABLES
        .replace("TOKEN", &token)
        .replace("RELAY", &mailbox.relay());
    let mut sentinel = SentinelProcess::prepare(&tables).unwrap();
    let netns = ["ip", "netns", "exec", a.name()];
    sentinel.launch(&netns).unwrap();
    let agent = tokio::process::Command::new("ip")
        .args(["netns", "exec", b.name()])
        .arg(sentinel.program())
        .args([
            "host",
            "--to",
            "http://10.199.0.1:9811",
            "--token-file",
            &token,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for _ in 0..600 {
        if heard().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(
        heard().await,
        "the agent was never heard: {}",
        sentinel.log_end()
    );

    // The cable is pulled.
    a.ip("link del v").unwrap();
    let (mail, took) = mailbox
        .wait_for("db1", Duration::from_secs(120))
        .await
        .unwrap();
    println!("told after {} s", took.as_secs());
    assert!(mail.contains("soporte@example.mx"), "{mail}");
    drop((agent, sentinel, a, b));
}

/// One of two sentinels that name each other.
async fn sentinel_beside(
    admin: std::net::SocketAddr,
    peer: std::net::SocketAddr,
    postbox: &Postbox,
) -> SentinelProcess {
    let tables = format!(
        "language = \"es\"\n[listen]\nadmin = \"{admin}\"\n[host]\nwatch = false\n[watch]\n\
         [[peer]]\nname = \"la-otra\"\nhealth_url = \"http://{peer}/healthz\"\n\
         [mail]\nfrom = \"sentinela@example.mx\"\nrelays = [\"{}\"]\n\
         [[level]]\nto = [{{ address = \"soporte@example.mx\" }}]\n",
        postbox.url(),
    );
    let mut sentinel = SentinelProcess::prepare(&tables).unwrap();
    sentinel.run().await.unwrap();
    sentinel
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_peer_is_told_within_two_minutes_and_its_return_within_three() {
    let (one, other) = (free_port().unwrap(), free_port().unwrap());
    let (postbox, elsewhere) = (
        Postbox::open().await.unwrap(),
        Postbox::open().await.unwrap(),
    );
    let _watching = sentinel_beside(one, other, &postbox).await;
    let mut peer = sentinel_beside(other, one, &elsewhere).await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    let began = Instant::now();
    peer.kill9().await.unwrap();
    let down = postbox
        .wait(Duration::from_secs(120), |_| true)
        .await
        .unwrap();
    println!(
        "a killed peer: told after {:?}",
        down.at.duration_since(began)
    );
    let began = Instant::now();
    peer.run().await.unwrap();
    let thread = down.header("message-id");
    let answers = |post: &Post| thread.is_some() && post.header("in-reply-to") == thread;
    let back = postbox
        .wait(Duration::from_secs(180), answers)
        .await
        .unwrap();
    println!("it is back: told after {:?}", back.at.duration_since(began));
    assert_eq!(postbox.posts().len(), 2);
    assert!(elsewhere.posts().is_empty(), "the peer has nothing to say");
}
