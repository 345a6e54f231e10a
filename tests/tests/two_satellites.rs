//! Promise: of two satellites on one registry one alone hands a command out, also when its terminal
//! polls both in turn, as behind a load balancer.
//!
//! The terminal is played by hand: it polls both satellites at once and notes what each tells it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mariadb::Flavor;
use promises::{Place, SatelliteProcess, Setup, get, handshake, shared_mariadb};

const SERIAL: &str = "TWICE00001";
const COMMANDS: usize = 12;
const LIMIT: Duration = Duration::from_secs(60);

/// Ids that a poll at this satellite hears.
async fn poll(satellite: &SatelliteProcess) -> Result<Vec<String>> {
    let poll = get(&format!("/iclock/getrequest?SN={SERIAL}"));
    let told = satellite.send(&poll).await?.body;
    let lines = told.lines().filter_map(|line| line.strip_prefix("C:"));
    let ids = lines.filter_map(|line| line.split_once(':'));
    Ok(ids.map(|(id, _)| id.to_owned()).collect())
}

async fn each_is_handed_out_once(place: Place) -> Result<()> {
    let setup = Setup::new(place.clone()).enrol([SERIAL]);
    let one = SatelliteProcess::start(&setup).await?;
    let other = SatelliteProcess::start(&Setup::new(place)).await?;
    for satellite in [&one, &other] {
        satellite.send(&handshake(SERIAL)).await?;
    }
    for number in 0..COMMANDS {
        let what = if number + 1 == COMMANDS {
            "reboot"
        } else {
            "info"
        };
        let words = ["devices", "command", SERIAL, what, "--no-wait"];
        one.command(words).await?;
    }
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    let begin = Instant::now();
    let mut whole = None;
    // Both keepers have looked at the table several times by then.
    while whole.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(8)) {
        ensure!(begin.elapsed() < LIMIT, "{times:?}\n{}", one.log_end());
        let (here, there) = tokio::try_join!(poll(&one), poll(&other))?;
        for id in here.into_iter().chain(there) {
            *times.entry(id).or_default() += 1;
        }
        // Those that the hourly comparison asks stand in no table, and are each one's own.
        if whole.is_none() && times.len() >= COMMANDS {
            whole = Some(Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
    ensure!(twice.is_empty(), "handed out more than once: {twice:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_satellites_one_alone_hands_a_command_out_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    each_is_handed_out_once(place).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_satellites_one_alone_hands_a_command_out_on_mariadb() {
    let place = shared_mariadb(Flavor::Durable).await.unwrap();
    each_is_handed_out_once(place).await.unwrap();
}
