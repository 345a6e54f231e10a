//! Promise: a line that dies without a word costs satellite nothing for long, and the terminals
//! behind it lose nothing.
//!
//! A network namespace is the client's site; its terminals push over a wire into it. Then the wire
//! is dead in the middle of their uploads: no packet says so to either end, so that satellite has
//! connections of which nobody is left. Making namespaces needs root; where that is missing this is
//! skipped, and says so.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use promises::{Checker, Machine, Place, SatelliteProcess, Setup, sum_of, until};
use terminals::Scenario;

const TERMINALS: u32 = 20;
const LIMITS: &str = "[limits]\nheader_seconds = 2\nbody_seconds = 2\nidle_seconds = 3\nconnections_per_address = 100\n";
const LONG: Duration = Duration::from_secs(60);

async fn connections(satellite: &SatelliteProcess) -> Result<f64> {
    let text = satellite.admin("/metrics").await?.body;
    Ok(sum_of(&text, "satellite_connections", &[]).unwrap_or(f64::MAX))
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_whose_line_dies_without_a_word_hold_no_connection_for_long_and_lose_nothing() {
    let site = Machine::new("site").and_then(|it| it.wired("10.197.0.1/30", "10.197.0.2/30"));
    let site = match site {
        Ok(site) => site,
        Err(error) => {
            println!("SKIPPED, NOT PROVEN HERE: network namespaces cannot be made ({error:#})");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let scenario = Scenario {
        count: TERMINALS,
        ..Scenario::default()
    };
    let mut setup = Setup::new(place.clone()).enrol(scenario.serials());
    setup.address = Ipv4Addr::new(10, 197, 0, 1);
    LIMITS.clone_into(&mut setup.more);
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let ledger = folder.path().join("ledger");
    let fleet = tokio::process::Command::new("ip")
        .args(["netns", "exec", site.name()])
        .arg(satellite.program().with_file_name("terminals"))
        .args(["run", "--rate", "300", "--duration", "25s", "--poll", "1s"])
        .args(["--error-delay", "1s", "--count", &TERMINALS.to_string()])
        .args(["--target", &format!("http://{}", satellite.devices())])
        .arg("--ledger")
        .arg(&ledger)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut checker = Checker::open(&place).await.unwrap();
    let rows = "SELECT COUNT(*) FROM event_feed";
    until(LONG, "punches come over the wire", async || {
        Ok(checker.number(rows).await? > 200)
    })
    .await
    .unwrap();
    assert!(connections(&satellite).await.unwrap() >= f64::from(TERMINALS) / 2.0);

    site.ip("link set wire down").unwrap();
    let dead = "no connection of the dead line is held";
    until(Duration::from_secs(15), dead, async || {
        Ok(connections(&satellite).await? < 0.5)
    })
    .await
    .unwrap();
    site.ip("link set wire up").unwrap();

    let ended = tokio::time::timeout(LONG * 2, fleet.wait_with_output()).await;
    let status = ended.unwrap().unwrap().status;
    assert!(status.success(), "{status}");
    let comparison = checker.compare(&[&ledger]).await.unwrap();
    comparison.exact().unwrap();
}
