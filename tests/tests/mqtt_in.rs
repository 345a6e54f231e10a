//! Promises about messages of a broker: what a publisher knows to be on the broker's disk is in the
//! feed once, whatever becomes of the broker, of satellite and of its database; and nothing that a
//! message says holds up another one.
//!
//! The broker is the distribution's Mosquitto, the publisher is written by hand and keeps a ledger
//! of its own; the feed is read over another connection. About 20 s for each database, and 15 s for
//! the rest, mostly waiting.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mariadb::{Flavor, Server};
use promises::{Checker, Mosquitto, Place, Planned, Publisher, SatelliteProcess, Setup, blocking};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const TERMINALS: [&str; 3] = ["T-1", "T-2", "T-3"];

fn input(broker: &Mosquitto, topics: &str) -> String {
    format!(
        "[[input]]\nname = \"plant\"\ntenant = \"acme\"\nkind = \"mqtt\"\nsender = \"PLANT\"\n\
         topics = [{topics}]\nurl = \"mqtt://{}\"\nallow_internal = true\n\n",
        broker.address()
    )
}

async fn enrol(satellite: &SatelliteProcess, serials: &[&str]) -> Result<()> {
    for serial in serials {
        let add = "devices add --tenant acme --vendor other --serial";
        satellite.command(add.split(' ').chain([*serial])).await?;
    }
    Ok(())
}

/// What `/status` says of the only input.
async fn status(satellite: &SatelliteProcess) -> Result<Value> {
    let page = satellite.admin("/status").await?.body;
    let mut page: Value = serde_json::from_str(&page)?;
    Ok(page["inputs"][0].take())
}

async fn until_state(satellite: &SatelliteProcess, wanted: &str) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let status = status(satellite).await?;
        if status["state"] == wanted {
            return Ok(status);
        }
        ensure!(begun.elapsed() < LIMIT, "never {wanted}: {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A punch of a person of its own in our own form.
fn punch(n: usize) -> String {
    let (hour, minute, second) = (n / 3600 % 24, n / 60 % 60, n % 60);
    // Every seventh sender has no ids.
    let id = if n.is_multiple_of(7) {
        String::new()
    } else {
        format!("\"id\":\"p-{n}\",")
    };
    format!(
        "{{{id}\"event\":\"punch\",\"time\":\"2026-11-27T{hour:02}:{minute:02}:{second:02}-06:00\",\
         \"person\":\"{n:06}\"}}"
    )
}

fn plan(n: usize) -> Option<Planned> {
    let topic = format!("plant/{}/punch", TERMINALS[n % TERMINALS.len()]);
    Some(Planned::new(&topic, punch(n), Some(format!("{n:06}"))))
}

/// Serial and person of every row that came by a broker, each as often as it stands there.
async fn persons(checker: &mut Checker) -> Result<Vec<String>> {
    let query = "SELECT person FROM event_feed WHERE route = 'mqtt' ORDER BY person";
    checker.texts(query, query).await
}

async fn until(checker: &mut Checker, wanted: &[String]) -> Result<()> {
    let begun = Instant::now();
    loop {
        let there = persons(checker).await?;
        if there == wanted {
            return Ok(());
        }
        let missing = wanted.iter().filter(|one| !there.contains(one)).count();
        ensure!(
            begun.elapsed() < LIMIT,
            "{} rows for {} messages, {missing} missing",
            there.len(),
            wanted.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until whoever subscribes to everything has each of these events.
async fn are_out(broker: &Mosquitto, uids: &[String]) -> Result<()> {
    let begun = Instant::now();
    loop {
        let heard = broker.heard()?;
        let events = heard.iter().filter(|one| one.topic.starts_with("board/"));
        let out = events.filter_map(|one| {
            let event: Value = serde_json::from_str(&one.payload).ok()?;
            Some(event["event_uid"].as_str()?.to_owned())
        });
        let out: HashSet<String> = out.collect();
        let missing = uids.iter().filter(|uid| !out.contains(*uid)).count();
        if missing == 0 {
            return Ok(());
        }
        ensure!(begun.elapsed() < LIMIT, "{missing} are not out");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn in_and_out(place: Place, server: Option<Arc<Server>>) {
    assert!(Mosquitto::is_installed(), "mosquitto is not installed");
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Mosquitto::start(folder.path(), "allow_anonymous true")
        .await
        .unwrap();
    broker.subscribe(&[]).await.unwrap();
    let mut setup = Setup::new(place.clone());
    setup.more = input(&broker, "\"plant/{serial}/punch\"");
    setup.more += &format!(
        "[[output]]\nname = \"board\"\ntenant = \"acme\"\nkind = \"mqtt\"\nurl = \"mqtt://{}\"\n\
         allow_internal = true\nfrom = \"start\"\ntopic = \"board/{{serial}}\"\n\n",
        broker.address()
    );
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    enrol(&satellite, &["PLANT"]).await.unwrap();
    enrol(&satellite, &TERMINALS).await.unwrap();
    until_state(&satellite, "fine").await.unwrap();
    let ledger = folder.path().join("ledger");
    let pace = (20, Duration::from_millis(40));
    let publisher = Publisher::start(broker.address(), &ledger, pace, plan).unwrap();

    for round in 0..3 {
        publisher.confirmed_more(200, LIMIT).await.unwrap();
        let before = broker.subscribed();
        broker.kill9().await.unwrap();
        if round % 2 == 1 {
            satellite.kill9().await.unwrap();
            satellite.run().await.unwrap();
        }
        broker.up().await.unwrap();
        broker.until_subscribed(before + 1).await.unwrap();
    }
    publisher.confirmed_more(200, LIMIT).await.unwrap();
    satellite.kill9().await.unwrap();
    // Nobody listens: the session keeps what comes meanwhile.
    publisher.confirmed_more(200, LIMIT).await.unwrap();
    satellite.run().await.unwrap();
    if let Some(server) = &server {
        let (down, up) = (Arc::clone(server), Arc::clone(server));
        blocking(move || down.kill9()).await.unwrap();
        publisher.confirmed_more(200, LIMIT).await.unwrap();
        blocking(move || up.restart()).await.unwrap();
    }
    let sent = publisher.finish(LIMIT).await.unwrap();

    let mut checker = Checker::open(&place).await.unwrap();
    until(&mut checker, &sent).await.unwrap();
    let query = "SELECT event_uid FROM event_feed WHERE route = 'mqtt'";
    let uids = checker.texts(query, query).await.unwrap();
    are_out(&broker, &uids).await.unwrap();
    assert!(!satellite.log().contains("panicked"));
    println!("{} messages, each stored once and out again", sent.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_has_is_stored_once_and_out_again_through_kills_of_both_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    in_and_out(Place::sqlite(folder.path()), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_has_is_stored_once_and_out_again_through_kills_of_both_and_of_mariadb() {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    in_and_out(place, Some(server)).await;
}

/// Messages that are no record, or somebody else's, and how many pieces of each are set aside.
fn hostile() -> Vec<(&'static str, Vec<u8>, usize)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let good = punch(1);
    vec![
        ("plant/T-1/punch", text("\0\u{1b}[31m"), 1),
        ("plant/T-1/punch", vec![0xff; 300], 1),
        ("plant/T-1/punch", text("{"), 1),
        (
            "plant/T-1/punch",
            text("{\"time\":\"2026-11-27T09:00:00Z\",\"user\":1}"),
            1,
        ),
        (
            "plant/T-1/punch",
            text(&good.replace("2026-11-27T", "2026-19-97T")),
            1,
        ),
        (
            "plant/T-1/punch",
            text(&good.replace("\"event\"", "\"serial\":\"T-2\",\"event\"")),
            1,
        ),
        (
            "plant/T-1/punch",
            text("{\"schema\":\"satellite.records/1\",\"records\":[[[[1]]]]}"),
            1,
        ),
        (
            "plant/T-1/punch",
            [b"[".repeat(100_000), b"1".to_vec()].concat(),
            1,
        ),
        ("plant/T-1/punch", vec![b'x'; 3 << 20], 1),
        ("plant/NOBODY-1/punch", text(&punch(2)), 1),
        ("plant/NOBODY-2/punch", text(&punch(2)), 1),
        ("plant/%2e%2e;DROP TABLE event/punch", text(&punch(3)), 1),
        ("old/anything", text("whatever it was"), 1),
        ("plant/T-1/punch", Vec::new(), 0),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_message_says_holds_up_another_and_what_is_no_record_is_kept_by_its_topic() {
    assert!(Mosquitto::is_installed(), "mosquitto is not installed");
    let folder = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(folder.path(), "allow_anonymous true")
        .await
        .unwrap();
    let place = Place::sqlite(folder.path());
    let mut setup = Setup::new(place.clone());
    setup.more = input(&broker, "\"plant/{serial}/punch\", \"old/#\"");
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    assert_eq!(status(&satellite).await.unwrap()["state"], "unenrolled");
    enrol(&satellite, &["PLANT", "T-1"]).await.unwrap();
    until_state(&satellite, "fine").await.unwrap();
    // The session goes on listening to a topic that is taken out.
    narrowed(&mut satellite).await.unwrap();

    let bad = hostile();
    let forged = "9\\n2026 ERROR forged=1";
    let own = "plant/T-1/punch";
    let mut wanted: Vec<String> = Vec::new();
    let mut messages = Vec::new();
    for (n, (topic, payload, _)) in (100..).zip(&bad) {
        messages.push(Planned::new(topic, payload.clone(), None));
        wanted.push(format!("{n:06}"));
        messages.push(Planned::new(own, punch(n), Some(format!("{n:06}"))));
    }
    let mut kept = Planned::new(own, punch(7).replace("000007", forged), None);
    kept.retained = true;
    messages.push(kept);
    wanted.push("9\n2026 ERROR forged=1".to_owned());
    wanted.sort();
    let ledger = folder.path().join("ledger");
    let pace = (5, Duration::ZERO);
    let plan = move |n: usize| messages.get(n).cloned();
    let publisher = Publisher::start(broker.address(), &ledger, pace, plan).unwrap();
    publisher
        .confirmed_more(bad.len() * 2 + 1, LIMIT)
        .await
        .unwrap();
    publisher.finish(LIMIT).await.unwrap();

    let mut checker = Checker::open(&place).await.unwrap();
    until(&mut checker, &wanted).await.unwrap();
    let aside: usize = bad.iter().map(|(_, _, pieces)| pieces).sum();
    let waiting = "SELECT COUNT(*) FROM quarantine WHERE route = 'mqtt'";
    assert_eq!(
        checker.number(waiting).await.unwrap(),
        i64::try_from(aside).unwrap()
    );
    let result = |result| [("tenant", "acme"), ("input", "plant"), ("result", result)];
    let name = "satellite_input_messages_total";
    for (word, count) in [("too_long", 1.0), ("stray", 1.0)] {
        assert_eq!(
            satellite.metric(name, &result(word)).await.unwrap(),
            count,
            "{word}"
        );
    }
    until_state(&satellite, "fine").await.unwrap();
    assert!(!satellite.log().contains("\n2026 ERROR forged"));
    assert!(satellite.is_alive() && !satellite.log().contains("panicked"));

    // A restart hears what the broker keeps once more, and stores it once.
    satellite.kill9().await.unwrap();
    satellite.run().await.unwrap();
    until_state(&satellite, "fine").await.unwrap();
    // What came for terminals that nobody knew, the same bytes for two of them, is theirs now.
    for serial in ["NOBODY-1", "NOBODY-2"] {
        let approve = ["devices", "approve", serial, "--tenant", "acme"];
        satellite.command(approve).await.unwrap();
    }
    let replay = ["quarantine", "replay", "--serial", "PLANT"];
    satellite.command(replay).await.unwrap();
    let query = "SELECT serial FROM event_feed WHERE person = '000002' ORDER BY serial";
    let serials = checker.texts(query, query).await.unwrap();
    assert_eq!(serials, ["NOBODY-1", "NOBODY-2"]);
    let left = i64::try_from(aside - 2).unwrap();
    let waiting = "SELECT COUNT(*) FROM quarantine WHERE route = 'mqtt' AND settled_at IS NULL";
    assert_eq!(checker.number(waiting).await.unwrap(), left);
    let once = "SELECT COUNT(*) FROM event_feed WHERE person LIKE '9%'";
    assert_eq!(checker.number(once).await.unwrap(), 1);
}

/// Takes `old/#` out of the configuration and lets the daemon take that over.
async fn narrowed(satellite: &mut SatelliteProcess) -> Result<()> {
    let file = satellite.folder().join("satellite.toml");
    let text = std::fs::read_to_string(&file)?;
    let narrow = text.replace(", \"old/#\"", "");
    ensure!(narrow != text, "{text}");
    std::fs::write(&file, narrow)?;
    satellite.send_signal("HUP").await?;
    let begun = Instant::now();
    let again = "listens to a broker";
    while satellite.log().matches(again).count() < 2 {
        ensure!(begun.elapsed() < LIMIT, "{}", satellite.log_end());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_or_refuses_us_is_told_everywhere_and_listened_to_when_it_is_back() {
    assert!(Mosquitto::is_installed(), "mosquitto is not installed");
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords");
    let made = std::process::Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["plant", "a-long-password"])
        .status()
        .unwrap();
    assert!(made.success());
    let more = format!(
        "allow_anonymous false\npassword_file {}",
        passwords.display()
    );
    let mut broker = Mosquitto::start(folder.path(), &more).await.unwrap();
    let secret = secret(folder.path(), "wrong");
    let mut setup = Setup::new(Place::sqlite(folder.path()));
    setup.more = input(&broker, "\"plant/{serial}/punch\"");
    let login = format!("user = \"plant\"\npassword_file = \"{secret}\"\n\n");
    setup.more = format!("{}\n{login}", setup.more.trim_end());
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    enrol(&satellite, &["PLANT"]).await.unwrap();
    let told = until_state(&satellite, "failing").await.unwrap();
    assert!(
        told["trouble"]
            .to_string()
            .contains("refuses the connection"),
        "{told}"
    );
    let checked = satellite
        .order(&["check", "--connect"])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("plant") && said.contains("PLANT"), "{said}");
    let doctor = satellite.said(&["doctor"]).await.unwrap();
    assert!(doctor.contains("the broker will not do"), "{doctor}");
    assert!(
        doctor.contains("satellite.toml; systemctl reload"),
        "{doctor}"
    );

    std::fs::write(folder.path().join("secret"), "a-long-password").unwrap();
    satellite.kill9().await.unwrap();
    satellite.run().await.unwrap();
    until_state(&satellite, "fine").await.unwrap();
    satellite.command(["check", "--connect"]).await.unwrap();
    let doctor = satellite.said(&["doctor"]).await.unwrap();
    assert!(doctor.contains("the broker lets us in"), "{doctor}");
    // Neither disturbs nobody's session.
    assert_eq!(
        status(&satellite).await.unwrap()["failing_since"],
        Value::Null
    );

    broker.kill9().await.unwrap();
    until_state(&satellite, "failing").await.unwrap();
    let up = [("tenant", "acme"), ("input", "plant")];
    assert_eq!(
        satellite.metric("satellite_input_up", &up).await.unwrap(),
        0.0
    );
    let page = satellite.admin("/status").await.unwrap().body;
    let page: Value = serde_json::from_str(&page).unwrap();
    let condition = &page["conditions"][0];
    assert_eq!(condition["serial"], "PLANT", "{page}");
    assert_eq!(
        condition["conditions"][0]["name"], "unreachable",
        "{condition}"
    );
    let doctor = satellite.said(&["doctor"]).await.unwrap();
    let knock = format!("nc -vz 127.0.0.1 {}", broker.address().port());
    assert!(doctor.contains(&knock), "{doctor}");
    broker.up().await.unwrap();
    until_state(&satellite, "fine").await.unwrap();
    assert_eq!(
        satellite.metric("satellite_input_up", &up).await.unwrap(),
        1.0
    );
}

/// A file that only its owner reads.
fn secret(folder: &Path, text: &str) -> String {
    let file = folder.join("secret");
    std::fs::write(&file, text).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, private).unwrap();
    let shown = file.to_str().context("the folder's name is no text");
    shown.unwrap().to_owned()
}
