//! Promise: simulated terminals on port 4370 are ones that programs of other people can read:
//! pyzk, zkteco-js and node-zklib see every record, over TCP and UDP, with a key and without.
//!
//! What satellite is tried against is thereby not of our own invention alone. The programs come
//! from their registries through `cargo xtask test`, which names their places in
//! `SATELLITE_JUDGE_PYTHON` and `SATELLITE_JUDGE_NODE` and reports a step as skipped where it
//! cannot have them. Without a name a test here says loudly that it judged nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use terminals::pull::{PullOptions, RecordSize, Terminal};
use terminals::{Ledger, LedgerRecord};

/// Longest that a judge may take.
const WITHIN: Duration = Duration::from_secs(90);

/// The program that this variable names; `None` with a loud line where it names none.
fn judge(variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok();
    if found.is_none() {
        eprintln!("SKIPPED: {variable} is not set; NOTHING was judged. Use: cargo xtask test");
    }
    found
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("judges")
        .join(name)
}

/// A terminal with a full log, and what it holds.
async fn terminal(folder: &Path, options: PullOptions) -> Result<(Terminal, Vec<LedgerRecord>)> {
    let path = folder.join(format!("{}.jsonl", options.serial));
    let terminal = Terminal::start(options, Some(Ledger::create(&path)?))?;
    terminal.own_up().await?;
    let held = Ledger::read(&path)?;
    ensure!(held.len() == terminal.held(), "the ledger lacks records");
    Ok((terminal, held))
}

/// Runs a judge and reads what it says.
async fn says(mut command: tokio::process::Command) -> Result<serde_json::Value> {
    let running = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(WITHIN, running)
        .await
        .context("the judge takes too long")??;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "the judge failed: {errors}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn options(serial: &str) -> PullOptions {
    PullOptions {
        serial: serial.to_owned(),
        history: 5_000,
        ..PullOptions::default()
    }
}

/// Terminals in the ways in which pyzk can read them, each with its transport.
fn for_pyzk() -> Vec<(PullOptions, &'static str)> {
    let locked = |serial: &str| PullOptions {
        comm_key: 123_456,
        ..options(serial)
    };
    let sixteen = |serial: &str| PullOptions {
        record: RecordSize::Sixteen,
        ..options(serial)
    };
    let eight = PullOptions {
        record: RecordSize::Eight,
        small_users: true,
        ..options("JUDGE8")
    };
    let direct = PullOptions {
        inline: 4_000,
        history: 50,
        ..options("JUDGEINLINE")
    };
    vec![
        (options("JUDGETCP"), "tcp"),
        (options("JUDGEUDP"), "udp"),
        (locked("JUDGEKEYTCP"), "tcp"),
        (locked("JUDGEKEYUDP"), "udp"),
        (sixteen("JUDGE16TCP"), "tcp"),
        (sixteen("JUDGE16UDP"), "udp"),
        (eight, "udp"),
        (direct, "tcp"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn pyzk_reads_every_record_of_our_terminals_over_tcp_and_udp_with_and_without_a_key() {
    let Some(python) = judge("SATELLITE_JUDGE_PYTHON") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (options, transport) in for_pyzk() {
        let (serial, key, people) = (options.serial.clone(), options.comm_key, options.people);
        let (terminal, held) = terminal(folder.path(), options).await.unwrap();
        let mut command = tokio::process::Command::new(&python);
        let (port, key) = (terminal.address().port().to_string(), key.to_string());
        command.arg(script("pyzk_read.py"));
        command.args(["127.0.0.1", &port, &key, transport]);
        let seen = says(command)
            .await
            .unwrap_or_else(|error| panic!("{serial}: {error:#}"));
        assert_eq!(seen["serial"], serial);
        assert_eq!(seen["users"], people, "{serial}");
        let punches = seen["punches"].as_array().unwrap();
        let owed: Vec<_> = held
            .iter()
            .map(|record| serde_json::json!([record.pin, record.time]))
            .collect();
        assert_eq!(punches.len(), owed.len(), "{serial}");
        // Where a record holds only a number, zeros before it cannot be told.
        let bare = |punch: &serde_json::Value| {
            let person = punch[0]
                .as_str()
                .unwrap_or_default()
                .trim_start_matches('0');
            (person.to_owned(), punch[1].clone())
        };
        let differ = punches.iter().zip(&owed).find(|(a, b)| bare(a) != bare(b));
        assert_eq!(differ, None, "{serial}");
        assert_eq!(terminal.counters().bad_sums, 0, "{serial}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zkteco_js_and_node_zklib_read_every_record_of_our_terminals() {
    let Some(modules) = judge("SATELLITE_JUDGE_NODE") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for package in ["zkteco-js", "node-zklib"] {
        let serial = format!("JUDGE-{package}");
        // These take one packet out of each read and lose what came with it.
        let slow = PullOptions {
            packet_ms: 20,
            ..options(&serial)
        };
        let (terminal, held) = terminal(folder.path(), slow).await.unwrap();
        let mut command = tokio::process::Command::new("node");
        command.env("NODE_PATH", &modules);
        command.arg(script("zkteco_read.js"));
        command.args([package, "127.0.0.1", &terminal.address().port().to_string()]);
        let seen = says(command)
            .await
            .unwrap_or_else(|error| panic!("{package}: {error:#}"));
        assert_eq!(seen["users"], 60, "{package}");
        let people = seen["people"].as_array().unwrap();
        let owed: Vec<&str> = held.iter().map(|record| record.pin.as_str()).collect();
        assert_eq!(people.len(), owed.len(), "{package}");
        let differ = people
            .iter()
            .zip(&owed)
            .find(|(a, b)| a.as_str() != Some(**b));
        assert_eq!(differ, None, "{package}");
    }
}
