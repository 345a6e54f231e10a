//! Promise: a machine that vanishes is told within two minutes.
//!
//! Two network namespaces stand for two machines: in one runs sentinel, in the other
//! `sentinel host`. Then the cable between them is pulled. Making namespaces needs root; where
//! that is missing this is skipped, and says so.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use promises::{Mailbox, SentinelProcess, exchange, get};

/// The two machines, wired to each other, and the first one also to the test. Gone when dropped.
struct Machines {
    names: [String; 2],
}

/// Runs `ip` with these words.
fn ip(words: &str) -> Result<()> {
    let output = std::process::Command::new("ip")
        .args(words.split(' '))
        .output()
        .context("ip")?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ip {words}: {error}");
    Ok(())
}

impl Machines {
    fn new() -> Result<Self> {
        let id = std::process::id();
        let machines = Self {
            names: [format!("sena{id}"), format!("senb{id}")],
        };
        let [a, b] = &machines.names;
        for step in [
            format!("netns add {a}"),
            format!("netns add {b}"),
            format!("link add t{id} type veth peer name u{id}"),
            format!("link set u{id} netns {a}"),
            format!("addr add 10.198.0.1/30 dev t{id}"),
            format!("link set t{id} up"),
            format!("-n {a} addr add 10.198.0.2/30 dev u{id}"),
            format!("-n {a} link set u{id} up"),
            format!("-n {a} link set lo up"),
            format!("-n {a} link add v type veth peer name w netns {b}"),
            format!("-n {a} addr add 10.199.0.1/30 dev v"),
            format!("-n {a} link set v up"),
            format!("-n {b} addr add 10.199.0.2/30 dev w"),
            format!("-n {b} link set w up"),
        ] {
            ip(&step)?;
        }
        Ok(machines)
    }

    fn pull_the_cable(&self) -> Result<()> {
        ip(&format!("-n {} link del v", self.names[0]))
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in &self.names {
            // With the namespace goes every wire that ends in it.
            ip(&format!("netns del {name}")).ok();
        }
    }
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
    let machines = match Machines::new() {
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
    let [a, b] = &machines.names;
    sentinel.launch(&["ip", "netns", "exec", a]).unwrap();
    let agent = tokio::process::Command::new("ip")
        .args(["netns", "exec", b])
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

    machines.pull_the_cable().unwrap();
    let (mail, took) = mailbox
        .wait_for("db1", Duration::from_secs(120))
        .await
        .unwrap();
    println!("told after {} s", took.as_secs());
    assert!(mail.contains("soporte@example.mx"), "{mail}");
    drop((agent, sentinel, machines));
}
