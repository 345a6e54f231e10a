//! Promise: at a first contact, when a store is back and when a clock was set right, exactly what is
//! missing is asked for again: the days that hold it, and no other time.
//!
//! A terminal in attendance mode is played by hand. Between the triggers it gets records of earlier
//! days that it keeps to itself; every window that it is then asked for is written down.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use mariadb::{Flavor, Server};
use promises::{ByHand, Checker, Place, SatelliteProcess, Setup, blocking, handshake, until};

const SERIAL: &str = "TRIGGER001";
const LIMIT: Duration = Duration::from_secs(60);
const PUNCHES: &str = "SELECT COUNT(*) FROM event_feed WHERE kind = 'punch'";

fn row(pin: &str, time: &str) -> String {
    format!("{pin}\t{time}\t0\t1")
}

/// The terminal's wall clock, so many seconds from now.
fn wall(ahead: i64) -> Result<String> {
    let at = Timestamp::now() + SignedDuration::from_secs(ahead);
    let there = at.in_tz("America/Mexico_City")?;
    Ok(there.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// Serves the terminal until so many punches are stored. Every time that it was asked for
/// meanwhile is a day at most and holds one of these moments, and each of them was asked for once.
async fn exactly(
    terminal: &mut ByHand<'_>,
    feed: &mut Checker,
    rows: i64,
    moments: &[&str],
) -> Result<()> {
    terminal.asked.clear();
    let stored = async || Ok(feed.number(PUNCHES).await? == rows);
    terminal.serve("what it kept is stored", stored).await?;
    let asked = &terminal.asked;
    for (from, to) in asked {
        let [begins, ends] = [from, to].map(|text| text.parse::<jiff::civil::DateTime>());
        let length = ends?.duration_since(begins?);
        ensure!(length < SignedDuration::from_hours(24), "{from} to {to}");
        let held = moments
            .iter()
            .filter(|at| (from.as_str()..=to).contains(*at));
        ensure!(held.count() > 0, "nothing was missing from {from} to {to}");
    }
    for at in moments {
        let asks = asked
            .iter()
            .filter(|(from, to)| (from.as_str()..=to).contains(at));
        ensure!(asks.count() == 1, "{at} was not asked for once: {asked:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn first_contact_a_stores_return_and_a_clock_set_right_ask_for_exactly_what_is_missing() {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let setup = Setup::new(place.clone()).enrol([SERIAL]);
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let mut feed = Checker::open(&place).await.unwrap();
    let mut terminal = ByHand::new(&satellite, SERIAL);

    // First contact: records of two days, none of them sent by itself.
    let kept = [
        "2026-11-03 09:00:00",
        "2026-11-03 18:00:00",
        "2026-11-10 09:00:01",
    ];
    for at in kept {
        terminal.keeps(&row("17", at));
    }
    satellite.send(&handshake(SERIAL)).await.unwrap();
    terminal.asked.clear();
    let stored = async || Ok(feed.number(PUNCHES).await? == 3);
    terminal
        .serve("what it holds is stored", stored)
        .await
        .unwrap();
    let days = terminal.asked.len();
    assert!((2..=3).contains(&days), "{:?}", terminal.asked);

    // The store goes and comes back.
    let down = Arc::clone(&server);
    blocking(move || down.stop()).await.unwrap();
    let lost = row("18", &wall(0).unwrap());
    assert!(terminal.upload(&[&lost]).await.is_err());
    terminal.keeps(&row("18", "2026-11-12 07:30:00"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let up = Arc::clone(&server);
    blocking(move || up.restart()).await.unwrap();
    until(LIMIT, "the store is back", async || {
        Ok(satellite.metric("satellite_store_up", &[]).await? > 0.5)
    })
    .await
    .unwrap();
    let mut feed = Checker::open(&place).await.unwrap();
    exactly(&mut terminal, &mut feed, 4, &["2026-11-12 07:30:00"])
        .await
        .unwrap();

    // The clock runs ahead, which a record shows, and is set right, which several show.
    let ahead = row("19", &wall(600).unwrap());
    terminal.keeps(&ahead);
    terminal.upload(&[&ahead]).await.unwrap();
    let has = async |name: &str| {
        let reply = satellite.admin("/devices").await?;
        Ok::<bool, anyhow::Error>(reply.body.contains(name))
    };
    let named = async || has("\"clock_skew\"").await;
    terminal.serve("the clock is named", named).await.unwrap();
    let words = ["devices", "show", SERIAL, "--json"];
    let shown = satellite.command(words).await.unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["conditions"][0]["name"], "clock_skew", "{shown:#}");
    terminal.keeps(&row("20", "2026-11-17 12:00:00"));
    for person in 0..8 {
        let now = row(&format!("3{person}"), &wall(0).unwrap());
        terminal.keeps(&now);
        terminal.upload(&[&now]).await.unwrap();
    }
    exactly(&mut terminal, &mut feed, 14, &["2026-11-17 12:00:00"])
        .await
        .unwrap();
    assert!(!has("\"clock_skew\"").await.unwrap(), "still named");
}
