//! Promise: the acceptance of a terminal can be followed as it is written, and shows what it says.
//!
//! A simulated terminal on port 4370 goes through the steps of `docs/devices/acceptance.md`. Each
//! command is one that stands on that page. Whether a real model passes only a real one can show.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use promises::pull::House;
use promises::{Place, Setup};
use serde_json::Value;
use terminals::pull::PullOptions;

const PAGE: &str = include_str!("../../docs/devices/acceptance.md");
const SERIAL: &str = "PULACCEPT";
const MINUTE: Duration = Duration::from_secs(60);

/// The one who follows the page.
struct Installer {
    house: House,
}

impl Installer {
    /// Gives a command of the page, with its places filled, and these words more.
    async fn gives(&self, command: &str, more: &[&str]) -> Result<String> {
        ensure!(PAGE.contains(command), "{command:?} is not on the page");
        let words = command.split(' ').skip(1).map(|word| match word {
            "SN" => SERIAL,
            "T" => "acme",
            word => word,
        });
        let words: Vec<&str> = words.chain(more.iter().copied()).collect();
        self.house.satellite.command(words).await
    }

    /// The rows of the last minutes, once so many are there.
    async fn rows(&self, wanted: usize) -> Result<Vec<Value>> {
        let began = Instant::now();
        loop {
            let command = "satellite events --since 1h --serial SN --kind punch --format";
            let said = self.gives(command, &["json"]).await?;
            let rows: Vec<Value> = said
                .lines()
                .map(serde_json::from_str)
                .collect::<Result<_, _>>()?;
            if rows.len() == wanted {
                return Ok(rows);
            }
            let log = self.house.satellite.log_end();
            ensure!(
                rows.len() < wanted && began.elapsed() < MINUTE,
                "{} rows, not {wanted}\n{log}",
                rows.len()
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Until the period is complete: the terminal's state is written once a minute.
    async fn is_complete(&self, until: &str) -> Result<()> {
        let began = Instant::now();
        loop {
            let command = "satellite cutoff --tenant T --json --through";
            let said = self.gives(command, &[until]).await;
            match said {
                Ok(said) if said.contains("\"verdict\":\"complete\"") => return Ok(()),
                said => ensure!(began.elapsed() < 3 * MINUTE, "not complete: {said:?}"),
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_acceptance_of_a_terminal_is_followed_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(Place::sqlite(folder.path()));
    let terminal = PullOptions {
        serial: SERIAL.to_owned(),
        history: 0,
        ..PullOptions::default()
    };
    let house = House::open(&setup, vec![terminal]).await.unwrap();
    let installer = Installer { house };
    let terminal = &installer.house.terminals[0];
    let went = installer.gives("satellite devices record SN --minutes 20", &["--no-wait"]);
    went.await.unwrap();

    terminal.crowd(10).await.unwrap();
    let first = installer.rows(10).await.unwrap();
    assert!(
        first.iter().all(|row| row["timeliness"] == "live"),
        "{first:?}"
    );
    let trace = installer.gives("satellite trace SN", &[]).await;
    assert!(trace.is_ok(), "{trace:?}");

    terminal.set_down(true);
    terminal.crowd(10).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    installer.rows(10).await.unwrap();
    terminal.set_down(false);
    installer.rows(20).await.unwrap();

    terminal.cut();
    terminal.crowd(1).await.unwrap();
    installer.rows(21).await.unwrap();

    terminal.shift_clock(600);
    terminal.crowd(2).await.unwrap();
    let ahead = installer.rows(23).await.unwrap();
    let of = |row: &Value| row["occurred_at"].as_str().map(str::to_owned);
    let last = ahead.iter().filter_map(of).max().unwrap();
    let received = ahead.last().unwrap()["received_at"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        last > received,
        "the terminal's own time is not kept: {last} {received}"
    );
    terminal.shift_clock(-600);
    terminal.crowd(1).await.unwrap();
    installer.rows(24).await.unwrap();

    let until = jiff::Timestamp::now().to_string();
    let again = installer.gives("satellite backfill SN --from 1h", &["--json"]);
    let again: Value = serde_json::from_str(&again.await.unwrap()).unwrap();
    assert_eq!(again["new"], 0, "{again}");
    installer.is_complete(&until).await.unwrap();
    installer.rows(24).await.unwrap();
    let aside = installer.gives("satellite quarantine list --serial SN", &["--json"]);
    let aside: Value = serde_json::from_str(&aside.await.unwrap()).unwrap();
    assert_eq!(aside, Value::Array(vec![]));
}
