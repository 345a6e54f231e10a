//! Promise: whatever nonsense a terminal on port 4370 answers, the fault has a name, its session is
//! closed, the next attempt comes later, nothing that it holds is lost, and no other terminal waits.
//!
//! One terminal for each kind of nonsense and an honest one among them, over real sockets, against
//! the real program. That another program holds the terminal's one connection is tried in `pull`.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use promises::pull::House;
use promises::{Checker, Place, Setup, sum_of};
use terminals::pull::{Lie, PullOptions};

const MINUTE: Duration = Duration::from_secs(60);
/// Records that each holds at the beginning.
const HELD: u32 = 30;

/// Each kind of nonsense, the words that name it, and whether the next attempt waits for minutes.
const KINDS: [(Lie, &str, bool); 7] = [
    (
        Lie::FrameBelowHeader,
        "a packet of 4 bytes is announced",
        true,
    ),
    (
        Lie::FrameAboveLimit,
        "a packet of 2147483647 bytes is announced",
        true,
    ),
    (Lie::LogAboveLimit, "more than any terminal holds", true),
    (Lie::LyingCount, "bytes where", true),
    (Lie::EndlessPrepare, "announces data again and again", true),
    (Lie::Babble, "answer questions that were not asked", false),
    (Lie::WrongSum, "a wrong checksum", false),
];

fn terminal(serial: &str, lie: Lie) -> PullOptions {
    PullOptions {
        serial: serial.to_owned(),
        history: HELD,
        udp: false,
        lie,
        ..PullOptions::default()
    }
}

/// Rows of a terminal.
async fn rows(place: &Place, serial: &str) -> Result<usize> {
    let rows = Checker::open(place).await?.feed().await?;
    Ok(rows.iter().filter(|row| row.serial == serial).count())
}

async fn until_rows(house: &House, place: &Place, serial: &str, wanted: u32) -> Result<()> {
    let (began, wanted) = (Instant::now(), usize::try_from(wanted)?);
    loop {
        let found = rows(place, serial).await?;
        if found == wanted {
            return Ok(());
        }
        let log = house.satellite.log_end();
        ensure!(
            began.elapsed() < MINUTE,
            "{serial}: {found} of {wanted}\n{log}"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Whether the conditions of a terminal hold these words.
fn says(shown: &serde_json::Value, words: &str) -> bool {
    let held = shown["pull"]["live"]["conditions"].as_array();
    let named = |condition: &serde_json::Value| {
        condition["name"] == "log_unreadable" && condition.to_string().contains(words)
    };
    held.is_some_and(|held| held.iter().any(named))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_nonsense_has_a_name_is_not_hammered_loses_nothing_and_delays_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let serial = |at: usize| format!("PULLIE{at}");
    let mut all: Vec<PullOptions> = (0..KINDS.len())
        .map(|at| terminal(&serial(at), KINDS[at].0))
        .collect();
    all.push(terminal("PULFEB30", Lie::February30));
    all.push(terminal("PULHONEST", Lie::None));
    let house = House::open(&Setup::new(place.clone()), all).await.unwrap();
    let honest = house.terminals.last().unwrap();

    for (at, (lie, words, _)) in KINDS.iter().enumerate() {
        let named = |shown: &serde_json::Value| says(shown, words);
        let done = house.until_shown(&serial(at), MINUTE, named).await;
        done.unwrap_or_else(|error| panic!("{lie:?}: {error:#}"));
        let traced = house
            .satellite
            .command(["trace", &serial(at), "--json"])
            .await;
        let traced = traced.unwrap_or_else(|error| format!("{error:#}"));
        assert!(traced.contains(words), "{lie:?}: {traced}");
        assert_eq!(rows(&place, &serial(at)).await.unwrap(), 0, "{lie:?}");
    }
    let metrics = house.satellite.admin("/metrics").await.unwrap().body;
    let condition = [("condition", "log_unreadable")];
    let counted = sum_of(&metrics, "satellite_device_conditions_total", &condition);
    assert!(counted.unwrap_or(0.0) > 6.5, "{counted:?}");

    // The others go on, whatever these say.
    until_rows(&house, &place, "PULHONEST", HELD).await.unwrap();
    honest.crowd(5).await.unwrap();
    until_rows(&house, &place, "PULHONEST", HELD + 5)
        .await
        .unwrap();
    // A date that no calendar has costs its one record, which stands in quarantine.
    until_rows(&house, &place, "PULFEB30", HELD - 1)
        .await
        .unwrap();
    let aside = sum_of(
        &metrics,
        "satellite_quarantined_total",
        &[("reason", "bad_time")],
    );
    assert!(aside.is_some(), "no such reason");
    let listed = house
        .satellite
        .command(["quarantine", "list", "--serial", "PULFEB30", "--json"])
        .await
        .unwrap();
    assert!(listed.contains("bad_time"), "{listed}");

    for (at, (lie, _, later)) in KINDS.iter().enumerate() {
        let did = house.terminals[at].counters();
        assert_eq!((did.disables, did.destroyed), (0, 0), "{lie:?}");
        if *later {
            assert_eq!(did.sessions, 1, "{lie:?} is hammered: {did:?}");
        } else {
            // What it holds is read as soon as it makes sense.
            house.terminals[at].stop_lying();
            until_rows(&house, &place, &serial(at), HELD).await.unwrap();
        }
    }
}
