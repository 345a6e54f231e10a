//! Promise: a machine that vanishes is told within two minutes.
//!
//! Two network namespaces stand for two machines: in one runs sentinel, in the other
//! `sentinel host`. Then the cable between them is pulled. Making namespaces needs root; where
//! that is missing this is skipped, and says so.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use promises::{Machine, Mailbox, SentinelProcess, exchange, get};

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
