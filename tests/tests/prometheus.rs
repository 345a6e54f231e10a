//! Promise: what is shipped for Prometheus, Alertmanager and Grafana fits what satellite and
//! sentinel say. Each alert fires when it should and stays silent otherwise, each panel shows
//! something, and each command that an alert names exists.
//!
//! The judges are the distribution's own prometheus, promtool and amtool, which `cargo xtask test`
//! unpacks and names in `SATELLITE_JUDGE_PROMETHEUS`. Without that name a test here says loudly
//! that it judged nothing.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mariadb::Flavor;
use promises::{
    SatelliteProcess, SentinelProcess, Setup, attlog, exchange, free_port, get, shared_mariadb,
};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// Longest that a judge may take, and that something may need to appear.
const WITHIN: Duration = Duration::from_secs(120);

/// The folder with the judges; `None` with a loud line where there is none.
fn judges() -> Option<PathBuf> {
    let found = std::env::var_os("SATELLITE_JUDGE_PROMETHEUS").map(PathBuf::from);
    if found.is_none() {
        eprintln!(
            "SKIPPED: SATELLITE_JUDGE_PROMETHEUS is not set; NOTHING was judged. Use: cargo xtask test"
        );
    }
    found
}

fn shipped(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.unwrap_or_else(|| Path::new("."));
    root.join("deploy").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(shipped(name)).unwrap()
}

/// Runs a judge with this on its standard input; what it printed.
async fn judged(judge: &Path, words: &[&str], input: &str) -> Result<String> {
    let mut command = Command::new(judge);
    command.args(words).current_dir(shipped("prometheus"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} did not start", judge.display()))?;
    let mut door = child.stdin.take().context("no standard input")?;
    door.write_all(input.as_bytes()).await?;
    drop(door);
    let output = tokio::time::timeout(WITHIN, child.wait_with_output())
        .await
        .context("the judge takes too long")??;
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(output.status.success(), "{words:?}: {said}");
    Ok(said)
}

/// The values of a key at the beginning of lines, as `- alert: X` or `expr: 'X'`.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let line = |line: &'a str| {
        let line = line.trim_start().trim_start_matches("- ");
        let value = line.strip_prefix(key)?.strip_prefix(": ")?;
        Some(value.trim_matches('\''))
    };
    text.lines().filter_map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_fires_when_it_should_and_stays_silent_otherwise() {
    let Some(judges) = judges() else { return };
    let (promtool, amtool) = (judges.join("promtool"), judges.join("amtool"));
    for words in [
        &["check", "rules", "alerts.yml"][..],
        &["check", "config", "prometheus.yml"],
        &["test", "rules", "alerts.test.yml"],
    ] {
        judged(&promtool, words, "").await.unwrap();
    }
    who_hears_what(&amtool).await.unwrap();
    let (alerts, tests) = (
        read("prometheus/alerts.yml"),
        read("prometheus/alerts.test.yml"),
    );
    let alerts = values(&alerts, "alert");
    assert!(alerts.len() > 20, "{alerts:?}");
    let expected = tests.split("alertname: ").skip(1);
    let fired: BTreeSet<&str> = expected
        .filter(|part| part.contains("exp_alerts"))
        .filter_map(|part| part.lines().next())
        .collect();
    for alert in alerts {
        assert!(fired.contains(alert), "no test in which {alert} fires");
    }
}

/// Of the example for Alertmanager: it is one, every alert that it names exists, and each severity
/// goes where its comments say.
async fn who_hears_what(amtool: &Path) -> Result<()> {
    let words = ["check-config", "alertmanager.yml"];
    judged(amtool, &words, "").await?;
    let (example, alerts) = (
        read("prometheus/alertmanager.yml"),
        read("prometheus/alerts.yml"),
    );
    let known = values(&alerts, "alert");
    let words = example.split(|letter: char| !letter.is_ascii_alphanumeric());
    for named in words.filter(|word| word.starts_with("Satellite") || *word == "AlertsArrive") {
        ensure!(known.contains(&named), "there is no alert {named}");
    }
    for (receiver, labels) in [
        (
            "dead-mans-switch",
            ["alertname=AlertsArrive", "severity=none"],
        ),
        ("on-call", ["alertname=SatelliteDown", "severity=critical"]),
        (
            "systems",
            ["alertname=SatelliteRestarts", "severity=warning"],
        ),
        ("systems", ["alertname=Any", "severity=info"]),
    ] {
        let test = ["config", "routes", "test", "--config.file=alertmanager.yml"];
        let wanted = format!("--verify.receivers={receiver}");
        judged(amtool, &[&test[..], &[&wanted], &labels].concat(), "").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_an_alert_names_exists() {
    let sentinel = SentinelProcess::prepare("").unwrap();
    let beside = |name| sentinel.program().with_file_name(name);
    let alerts = read("prometheus/alerts.yml");
    let mut tried = 0;
    for command in values(&alerts, "command")
        .iter()
        .flat_map(|all| all.split("; "))
    {
        let mut words = command.split(' ');
        let program = words.next().unwrap_or_default();
        if !["satellite", "sentinel"].contains(&program) {
            continue;
        }
        let sub = words.filter(|word| word.chars().all(|letter| letter.is_ascii_lowercase()));
        let words: Vec<&str> = sub.chain(["--help"]).collect();
        judged(&beside(program), &words, "").await.unwrap();
        tried += 1;
    }
    assert!(tried > 15, "only {tried} commands were tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_and_every_alert_reads_metrics_that_a_real_prometheus_scraped() {
    let Some(judges) = judges() else { return };
    let place = shared_mariadb(Flavor::Durable).await.unwrap();
    let setup = Setup::new(place.clone()).enrol(["PRO0000001"]);
    let mut satellite = SatelliteProcess::prepare(&setup).await.unwrap();
    let add = ["devices", "add", "--tenant", "acme", "--vendor", "zkteco"];
    let canary = add.into_iter().chain(["--serial", "CANARY-1", "--canary"]);
    satellite.command(canary).await.unwrap();
    satellite.run().await.unwrap();
    let admin = free_port().unwrap();
    let tables = format!(
        "[listen]\nadmin = \"{admin}\"\n[host]\nwatch = false\n\
         [watch]\nsatellite_admin = \"http://{}\"\n\
         [[watch.terminal_url]]\nurl = \"http://{}\"\n\
         [[watch.store]]\ntenant = \"acme\"\nurl = \"{}\"\ncanary = \"CANARY-1\"\n",
        satellite.admin_door(),
        satellite.devices(),
        place.url(),
    );
    let mut sentinel = SentinelProcess::prepare(&tables).unwrap();
    sentinel.run().await.unwrap();
    for (address, needed) in [
        (satellite.admin_door(), "satellite_build_info"),
        (admin, "sentinel_canary_last_success_timestamp_seconds{"),
    ] {
        let page = page_with(address, needed).await.unwrap();
        let words = ["check", "metrics"];
        judged(&judges.join("promtool"), &words, &page)
            .await
            .unwrap();
    }

    let punch = attlog("PRO0000001", "9999", b"7\t2026-11-21 09:00:03\t0\t1\n");
    assert!(satellite.send(&punch).await.unwrap().accepts(1));
    let prometheus = Prometheus::start(&judges, satellite.admin_door(), admin)
        .await
        .unwrap();
    let mut empty = Vec::new();
    for question in panels().into_iter().chain(metrics_of_alerts()) {
        if !prometheus.knows(&question).await.unwrap() {
            empty.push(question);
        }
    }
    assert!(empty.is_empty(), "nothing answers {empty:#?}");
}

/// A page of metrics, as soon as it holds this.
async fn page_with(address: SocketAddr, needed: &str) -> Result<String> {
    let begun = Instant::now();
    loop {
        let page = exchange(address, &get("/metrics")).await?.body;
        if page.contains(needed) {
            return Ok(page);
        }
        ensure!(begun.elapsed() < WITHIN, "no {needed} in:\n{page}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The questions of the dashboard, with its variables filled in as "all".
fn panels() -> Vec<String> {
    let text = read("grafana/satellite.json");
    let board: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let questions: Vec<String> = targets
        .filter_map(|target| target["expr"].as_str())
        .map(|question| {
            let question = question.replace("$instance", ".*").replace("$tenant", ".*");
            question.replace("$__rate_interval", "10s")
        })
        .collect();
    assert!(questions.len() > 30, "{questions:?}");
    questions
}

/// The metrics that the alerts read, each as a question.
fn metrics_of_alerts() -> BTreeSet<String> {
    let alerts = read("prometheus/alerts.yml");
    let ours = ["satellite_", "sentinel_", "process_"];
    let found: BTreeSet<String> = values(&alerts, "expr")
        .iter()
        .flat_map(|question| question.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .filter(|word| ours.iter().any(|prefix| word.starts_with(prefix)))
        .map(str::to_owned)
        .collect();
    assert!(found.len() > 15, "{found:?}");
    found
}

/// The distribution's Prometheus with the shipped configuration, reading our two programs.
struct Prometheus {
    promtool: PathBuf,
    address: SocketAddr,
    folder: tempfile::TempDir,
    _child: Child,
}

impl Prometheus {
    /// Starts it, and waits until both programs were read often enough for a rate.
    async fn start(judges: &Path, satellite: SocketAddr, sentinel: SocketAddr) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let text = read("prometheus/prometheus.yml");
        let text = [
            ("scrape_interval: 15s", "scrape_interval: 1s".to_owned()),
            (
                "evaluation_interval: 15s",
                "evaluation_interval: 1s".to_owned(),
            ),
            ("127.0.0.1:9810", satellite.to_string()),
            ("127.0.0.1:9811", sentinel.to_string()),
            ("127.0.0.1:9093", free_port()?.to_string()),
        ]
        .iter()
        .fold(text, |text, (shipped, here)| text.replace(shipped, here));
        std::fs::write(folder.path().join("prometheus.yml"), text)?;
        std::fs::copy(
            shipped("prometheus/alerts.yml"),
            folder.path().join("alerts.yml"),
        )?;
        let address = free_port()?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let child = Command::new(judges.join("prometheus"))
            .arg(format!("--web.listen-address={address}"))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!(
                "--config.file={}",
                folder.path().join("prometheus.yml").display()
            ))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("prometheus did not start")?;
        let started = Self {
            promtool: judges.join("promtool"),
            address,
            folder,
            _child: child,
        };
        started.has_read_both().await?;
        Ok(started)
    }

    async fn has_read_both(&self) -> Result<()> {
        let begun = Instant::now();
        let enough =
            "count(count_over_time(up{job=~\"satellite|sentinel\"}[60s]) >= 4 and up == 1) == 2";
        loop {
            if self.knows(enough).await.is_ok_and(|known| known) {
                return Ok(());
            }
            if begun.elapsed() > WITHIN {
                let log = std::fs::read_to_string(self.folder.path().join("log"))?;
                bail!("prometheus has not read both:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Whether a question has an answer of at least one series.
    async fn knows(&self, question: &str) -> Result<bool> {
        let url = format!("http://{}", self.address);
        let words = ["query", "instant", "--format=json", &url, question];
        let said = judged(&self.promtool, &words, "").await?;
        let series: serde_json::Value = serde_json::from_str(said.trim())?;
        Ok(series.as_array().is_some_and(|series| !series.is_empty()))
    }
}
