//! Promises about what is carried on to others: every event of the feed arrives at least once, with
//! its identity, each terminal's in their order, whatever becomes of the receiver or of satellite;
//! and no receiver slows anything but itself.
//!
//! Judged by the receivers' own files against the feed over another connection. About 25 s for each
//! database, mostly waiting.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mariadb::Flavor;
use promises::{
    Arrival, Checker, Mood, Place, Receiver, Running, SatelliteProcess, Setup, Tenant, attlog,
    full, seed, shared_mariadb, unkind,
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// The key's file, as a secret has to be.
fn key(folder: &Path) -> String {
    let file = folder.join("key");
    let mut options = std::fs::OpenOptions::new();
    let made = options.create(true).write(true).truncate(true).mode(0o640);
    let mut out = made.open(&file).unwrap();
    std::io::Write::write_all(&mut out, b"0123456789abcdef0123456789abcdef\n").unwrap();
    file.display().to_string()
}

fn output(name: &str, receiver: &Receiver, key: &str) -> String {
    format!(
        "[[output]]\nname = \"{name}\"\ntenant = \"acme\"\nkind = \"webhook\"\nurl = \"{}\"\n\
         secret_file = \"{key}\"\nallow_internal = true\nfrom = \"start\"\n\n",
        receiver.url()
    )
}

/// The tenant's events in the feed: number and name.
async fn fed(checker: &mut Checker) -> Result<Vec<(i64, String)>> {
    let mysql =
        "SELECT CONCAT(seq, ' ', event_uid) FROM event_feed WHERE tenant = 'acme' ORDER BY seq";
    let sqlite =
        "SELECT seq || ' ' || event_uid FROM event_feed WHERE tenant = 'acme' ORDER BY seq";
    let rows = checker.texts(mysql, sqlite).await?;
    let read = rows.iter().map(|row| {
        let (seq, uid) = row.split_once(' ').context("a row")?;
        Ok((seq.parse()?, uid.to_owned()))
    });
    read.collect()
}

/// Each terminal's events came in the order of the feed: whatever came for the first time has a
/// higher number than all of its terminal before.
fn in_order(arrivals: &[Arrival]) -> Result<()> {
    let (mut last, mut seen) = (HashMap::new(), HashSet::new());
    for arrival in arrivals.iter().filter(|it| seen.insert(it.uid.as_str())) {
        let before = last.insert(arrival.serial.as_str(), arrival.seq);
        ensure!(
            before.is_none_or(|before| before < arrival.seq),
            "{arrival:?} came after {before:?}"
        );
    }
    Ok(())
}

/// Waits until the receiver has every event of the feed, and nothing else.
async fn has_all(receiver: &Receiver, fed: &[(i64, String)], within: Duration) -> Result<usize> {
    let wanted: HashSet<&str> = fed.iter().map(|(_, uid)| uid.as_str()).collect();
    let begun = Instant::now();
    loop {
        let arrivals = receiver.arrivals()?;
        let here: HashSet<&str> = arrivals.iter().map(|it| it.uid.as_str()).collect();
        let missing = wanted.difference(&here).count();
        if missing == 0 {
            ensure!(
                here.len() == wanted.len(),
                "events that are not in the feed"
            );
            in_order(&arrivals)?;
            return Ok(arrivals.len());
        }
        ensure!(
            begun.elapsed() < within,
            "{missing} of {} are missing",
            fed.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Posts records, which are stored when this is over.
async fn post(
    satellite: &SatelliteProcess,
    serial: &str,
    lines: &[u8],
    count: usize,
) -> Result<()> {
    let reply = satellite.send(&attlog(serial, "1", lines)).await?;
    ensure!(reply.accepts(count), "{reply:?}");
    Ok(())
}

/// What `/status` says of an output.
async fn status(satellite: &SatelliteProcess, name: &str) -> Result<Value> {
    let status: Value = serde_json::from_str(&satellite.admin("/status").await?.body)?;
    let outputs = status["outputs"].as_array().context("no outputs")?;
    let one = outputs.iter().find(|it| it["name"] == name);
    one.cloned().with_context(|| format!("{outputs:?}"))
}

async fn until_state(satellite: &SatelliteProcess, name: &str, state: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let now = status(satellite, name).await?;
        if now["state"] == state {
            return Ok(());
        }
        ensure!(begun.elapsed() < LIMIT, "not {state}: {now}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn everything_arrives(place: Place) {
    let folder = tempfile::tempdir().unwrap();
    let key = key(folder.path());
    let mut shaken = Receiver::start(folder.path(), "shaken").await.unwrap();
    let calm = Receiver::start(folder.path(), "calm").await.unwrap();
    let seed = seed();
    let scenario = terminals::Scenario {
        rate: 300.0,
        ..unkind(seed, "OUT", 12)
    };
    let mut setup = Setup::new(place.clone()).enrol(scenario.serials());
    setup.more = output("shaken", &shaken, &key) + &output("calm", &calm, &key);
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    let fleet = Running::start(scenario, satellite.devices(), folder.path(), "ledger").unwrap();
    let mut checker = Checker::open(&place).await.unwrap();

    fleet.acked_more(300, LIMIT).await.unwrap();
    shaken.is(Mood::Says(500));
    until_state(&satellite, "shaken", "failing").await.unwrap();
    let failing = status(&satellite, "shaken").await.unwrap();
    assert_eq!(failing["trouble"], "HTTP 500", "{failing}");
    // The other receiver has what is stored meanwhile, within seconds.
    fleet.acked_more(200, LIMIT).await.unwrap();
    let so_far = fed(&mut checker).await.unwrap();
    has_all_of(&calm, &so_far).await.unwrap();

    shaken.is(Mood::TakesAndDies);
    fleet.acked_more(300, LIMIT).await.unwrap();
    shaken.is(Mood::Hangs);
    fleet.acked_more(300, LIMIT).await.unwrap();
    satellite.kill9().await.unwrap();
    shaken.is(Mood::Takes);
    satellite.run().await.unwrap();
    fleet.acked_more(300, LIMIT).await.unwrap();
    satellite.kill9().await.unwrap();
    shaken.down();
    satellite.run().await.unwrap();
    fleet.acked_more(300, LIMIT).await.unwrap();
    shaken.up().unwrap();
    let (_, ledger) = fleet.finish(Duration::from_secs(60)).await.unwrap();

    checker.compare(&[&ledger]).await.unwrap().exact().unwrap();
    let all = fed(&mut checker).await.unwrap();
    let once = has_all(&calm, &all, LIMIT).await.unwrap();
    let twice = has_all(&shaken, &all, LIMIT).await.unwrap();
    until_state(&satellite, "shaken", "fine").await.unwrap();
    println!(
        "{} events in the feed; {once} and {twice} arrivals, {} deliveries",
        all.len(),
        shaken.asked()
    );
    let begun = Instant::now();
    while satellite
        .metric("satellite_output_lag_seconds", &[])
        .await
        .unwrap()
        > 0.5
    {
        assert!(begun.elapsed() < LIMIT, "delivered, and still behind");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the receiver has these, whatever it has besides.
async fn has_all_of(receiver: &Receiver, fed: &[(i64, String)]) -> Result<()> {
    let begun = Instant::now();
    loop {
        let arrivals = receiver.arrivals()?;
        let here: HashSet<&str> = arrivals.iter().map(|it| it.uid.as_str()).collect();
        if fed.iter().all(|(_, uid)| here.contains(uid.as_str())) {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(20),
            "the calm receiver waits for the other"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_reaches_its_receiver_through_kills_and_faults_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    everything_arrives(Place::sqlite(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_reaches_its_receiver_through_kills_and_faults_on_mariadb() {
    everything_arrives(shared_mariadb(Flavor::Durable).await.unwrap()).await;
}

async fn listed(satellite: &SatelliteProcess) -> Result<Value> {
    let text = satellite.command(["outputs", "list", "--json"]).await?;
    let all: Value = serde_json::from_str(&text)?;
    Ok(all[0].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_database_hides_no_other_tenants_output_from_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    let receiver = Receiver::start(folder.path(), "arrivals").await.unwrap();
    let mut setup = Setup::new(Place::sqlite(folder.path()));
    setup.tenants.insert(
        0,
        Tenant {
            id: "beta".to_owned(),
            own: Some(Place::sqlite(&broken)),
        },
    );
    let key = key(folder.path());
    let lost = output("lost", &receiver, &key).replace("acme", "beta");
    setup.more = lost + &output("payroll", &receiver, &key);
    let satellite = SatelliteProcess::prepare(&setup).await.unwrap();
    std::fs::remove_dir_all(&broken).unwrap();
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("events.db"), "this is no database").unwrap();
    let listed = satellite
        .order(&["outputs", "list"])
        .output()
        .await
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&listed.stdout),
        String::from_utf8_lossy(&listed.stderr),
    );
    assert!(out.contains("payroll") && !out.contains("lost"), "{out}");
    assert!(err.contains("lost: "), "{err}");
    assert_eq!(listed.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_refused_for_good_is_a_dead_letter_and_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let key = key(folder.path());
    let receiver = Receiver::start(folder.path(), "arrivals").await.unwrap();
    let elsewhere = Receiver::start(folder.path(), "elsewhere").await.unwrap();
    let place = Place::sqlite(folder.path());
    let mut setup = Setup::new(place.clone()).enrol(["DEAD1"]);
    setup.more = output("payroll", &receiver, &key);
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let mut checker = Checker::open(&place).await.unwrap();

    receiver.is(Mood::Rejects(422, "13"));
    let lines: String = (1..=40)
        .map(|person| format!("{person}\t2026-11-21 09:00:{person:02}\t0\t1\n"))
        .collect();
    post(&satellite, "DEAD1", lines.as_bytes(), 40)
        .await
        .unwrap();
    let all = fed(&mut checker).await.unwrap();
    let query = "SELECT event_uid FROM event_feed WHERE person = '13'";
    let thirteenth = checker.texts(query, query).await.unwrap().remove(0);
    let (dead, all): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, uid)| *uid == thirteenth);
    has_all_of(&receiver, &all).await.unwrap();
    until_state(&satellite, "payroll", "fine").await.unwrap();
    let line = listed(&satellite).await.unwrap();
    assert_eq!(
        (&line["dead_letters"], &line["delivered"]),
        (&1.into(), &39.into()),
        "{line}"
    );

    // The receiver was mended.
    receiver.is(Mood::Takes);
    satellite
        .command(["outputs", "replay", "payroll", "--dead"])
        .await
        .unwrap();
    has_all_of(&receiver, &dead).await.unwrap();
    let begun = Instant::now();
    while listed(&satellite).await.unwrap()["dead_letters"] != 0 {
        assert!(begun.elapsed() < LIMIT, "still a dead letter");
    }

    // A redirect is not followed, and what is paused waits.
    receiver.is(Mood::Redirects(elsewhere.address()));
    post(&satellite, "DEAD1", b"41\t2026-11-21 10:00:00\t0\t1\n", 1)
        .await
        .unwrap();
    until_state(&satellite, "payroll", "failing").await.unwrap();
    assert_eq!(elsewhere.asked(), 0);
    satellite
        .command(["outputs", "pause", "payroll"])
        .await
        .unwrap();
    receiver.is(Mood::Takes);
    until_state(&satellite, "payroll", "paused").await.unwrap();
    let before = receiver.arrivals().unwrap().len();
    satellite
        .command(["outputs", "resume", "payroll"])
        .await
        .unwrap();
    let all = fed(&mut checker).await.unwrap();
    has_all_of(&receiver, &all).await.unwrap();
    assert_eq!(receiver.arrivals().unwrap().len(), before + 1);

    // Everything once more, by the same names.
    let again = ["outputs", "replay", "payroll", "--since", "2h"];
    satellite.command(again).await.unwrap();
    let begun = Instant::now();
    while receiver.arrivals().unwrap().len() < before + 1 + all.len() {
        assert!(begun.elapsed() < LIMIT, "it was not delivered again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let audit =
        "SELECT COUNT(*) FROM audit WHERE subject = 'acme/payroll' AND action LIKE 'output_%'";
    assert_eq!(checker.number(audit).await.unwrap(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_answered_500_for_ever_is_a_dead_letter_after_minutes_and_holds_up_no_other()
 {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(folder.path(), "arrivals").await.unwrap();
    let place = Place::sqlite(folder.path());
    let mut setup = Setup::new(place.clone()).enrol(["BREAKS1"]);
    setup.more = output("payroll", &receiver, &key(folder.path()));
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let mut checker = Checker::open(&place).await.unwrap();

    receiver.is(Mood::Rejects(500, "13"));
    let lines: String = (1..=40)
        .map(|person| format!("{person}\t2026-11-21 09:00:{person:02}\t0\t1\n"))
        .collect();
    let begun = Instant::now();
    post(&satellite, "BREAKS1", lines.as_bytes(), 40)
        .await
        .unwrap();
    // A receiver that is broken says the same, so nothing is given up for two minutes.
    tokio::time::sleep(Duration::from_secs(120)).await;
    let waiting = status(&satellite, "payroll").await.unwrap();
    assert_eq!(
        (&waiting["state"], &waiting["dead_letters"]),
        (&"failing".into(), &0.into()),
        "{waiting}"
    );
    let late = b"41\t2026-11-21 10:00:00\t0\t1\n";
    post(&satellite, "BREAKS1", late, 1).await.unwrap();
    let all = fed(&mut checker).await.unwrap();
    let query = "SELECT event_uid FROM event_feed WHERE person = '13'";
    let thirteenth = checker.texts(query, query).await.unwrap().remove(0);
    let (dead, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, uid)| *uid == thirteenth);
    has_all(&receiver, &others, Duration::from_secs(120))
        .await
        .unwrap();
    let took = begun.elapsed();
    let line = listed(&satellite).await.unwrap();
    assert_eq!(
        (&line["dead_letters"], &line["delivered"]),
        (&1.into(), &40.into()),
        "{line}"
    );
    assert!(took < Duration::from_secs(240), "{took:?}");

    // The receiver was mended.
    receiver.is(Mood::Takes);
    satellite
        .command(["outputs", "replay", "payroll", "--dead"])
        .await
        .unwrap();
    has_all_of(&receiver, &dead).await.unwrap();
    let begun = Instant::now();
    while listed(&satellite).await.unwrap()["dead_letters"] != 0 {
        assert!(begun.elapsed() < LIMIT, "still a dead letter");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("given up after {} s", took.as_secs());
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_lockdown_nothing_leaves_and_what_was_stored_meanwhile_follows_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(folder.path(), "arrivals").await.unwrap();
    let place = Place::sqlite(folder.path());
    let mut setup = Setup::new(place.clone()).enrol(["LOCK1"]);
    setup.more = output("payroll", &receiver, &key(folder.path()));
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let lockdown = async |on: &str| satellite.command(["lockdown", on]).await.unwrap();
    lockdown("on").await;
    until_state(&satellite, "payroll", "locked").await.unwrap();
    post(&satellite, "LOCK1", b"1\t2026-11-21 09:00:00\t0\t1\n", 1)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(receiver.asked(), 0, "something left");
    lockdown("off").await;
    let mut checker = Checker::open(&place).await.unwrap();
    let all = fed(&mut checker).await.unwrap();
    assert_eq!(all.len(), 1);
    has_all_of(&receiver, &all).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inner_address_is_refused_unless_the_configuration_allows_it() {
    let folder = tempfile::tempdir().unwrap();
    let key = key(folder.path());
    let receiver = Receiver::start(folder.path(), "arrivals").await.unwrap();
    let mut setup = Setup::new(Place::sqlite(folder.path())).enrol(["INNER1"]);
    let allowed = output("payroll", &receiver, &key);
    // Behind TLS, so that only the address can be what is wrong with it.
    setup.more = allowed
        .replace("allow_internal = true\n", "")
        .replace("http://", "https://");
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    post(&satellite, "INNER1", b"1\t2026-11-21 09:00:03\t0\t1\n", 1)
        .await
        .unwrap();
    until_state(&satellite, "payroll", "failing").await.unwrap();
    let why = status(&satellite, "payroll").await.unwrap()["trouble"].clone();
    assert!(
        why.as_str()
            .is_some_and(|why| why.contains("inner address")),
        "{why}"
    );

    let file = folder.path().join("wrong.toml");
    let text = format!(
        "state_dir = \"{}\"\n[[tenant]]\nid = \"acme\"\ntime_zone = \"UTC\"\n{}",
        folder.path().display(),
        allowed.replace("allow_internal = true\n", "")
    );
    std::fs::write(&file, text).unwrap();
    let said = satellite.said_with(&file, &["check"]).await.unwrap();
    assert!(
        !said.contains("payroll"),
        "plain HTTP to the world was taken: {said}"
    );
}

/// The program in the manual, as it stands there.
fn receiver_of_the_manual(folder: &Path) -> std::path::PathBuf {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/OUTPUTS.md");
    let text = std::fs::read_to_string(manual).unwrap();
    let (_, code) = text.split_once("```python\n").unwrap();
    let (code, _) = code.split_once("```\n").unwrap();
    let file = folder.join("receiver.py");
    std::fs::write(&file, code).unwrap();
    file
}

/// Starts it and waits until it listens.
async fn python(words: &[String], address: std::net::SocketAddr) -> tokio::process::Child {
    let mut python = tokio::process::Command::new("python3");
    let child = python.args(words).kill_on_drop(true).spawn().unwrap();
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(
            begun.elapsed() < LIMIT,
            "the manual's receiver does not listen"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child
}

/// The names of the events that the manual's receiver has, read by another program.
fn kept_by(file: &str) -> Vec<String> {
    let list = "import sqlite3, sys\nfor row in sqlite3.connect(sys.argv[1]).execute('SELECT event_uid FROM punch ORDER BY 1'): print(row[0])";
    let mut python = std::process::Command::new("python3");
    let said = python.args(["-c", list, file]).output().unwrap();
    let lines = String::from_utf8_lossy(&said.stdout);
    lines.lines().map(str::to_owned).collect()
}

async fn until_kept_more_than(file: &str, count: usize) {
    let begun = Instant::now();
    loop {
        let has = kept_by(file).len();
        if has > count {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{has} kept, {count} before");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_of_the_manual_keeps_every_event_once_through_kills() {
    const EACH: usize = 400;
    let kills = if full() { 100 } else { 8 };
    if std::process::Command::new("python3")
        .arg("-V")
        .output()
        .is_err()
    {
        println!("SKIPPED: python3 is not on this machine; the manual's receiver was not tried");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (key, script) = (key(folder.path()), receiver_of_the_manual(folder.path()));
    let address = promises::free_port().unwrap();
    let kept = folder.path().join("kept.db").display().to_string();
    let words = [
        script.display().to_string(),
        address.port().to_string(),
        key.clone(),
        kept.clone(),
    ];
    let place = Place::sqlite(folder.path());
    let mut setup = Setup::new(place.clone()).enrol(["MANUAL1"]);
    setup.more = format!(
        "[[output]]\nname = \"manual\"\ntenant = \"acme\"\nkind = \"webhook\"\nbatch = 7\n\
         url = \"http://{address}/in\"\nsecret_file = \"{key}\"\nallow_internal = true\n"
    );
    let mut child = python(&words, address).await;
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    for round in 0..kills {
        let minute = format!("2026-11-21 {:02}:{:02}", round / 60, round % 60);
        let lines: String = (1..=EACH)
            .map(|person| format!("{person}\t{minute}:00\t0\t1\n"))
            .collect();
        post(&satellite, "MANUAL1", lines.as_bytes(), EACH)
            .await
            .unwrap();
        // Some deliveries of these are over then, and one is under way.
        until_kept_more_than(&kept, EACH * round).await;
        child.kill().await.unwrap();
        child = python(&words, address).await;
    }
    let failures = satellite.metric("satellite_output_failures_total", &[]);
    let failures = failures.await.unwrap();
    assert!(
        failures * 2.0 >= f64::from(u32::try_from(kills).unwrap()),
        "{failures} deliveries failed"
    );
    let forged = b"POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\nx-satellite-signature: t=1,v1=00\r\n\r\n{\"events\":[]}";
    let said = promises::exchange(address, forged).await.unwrap();
    assert_eq!(said.status, 401, "{said:?}");

    let mut fed: Vec<String> = fed(&mut Checker::open(&place).await.unwrap())
        .await
        .unwrap()
        .into_iter()
        .map(|(_, uid)| uid)
        .collect();
    fed.sort();
    assert_eq!(fed.len(), EACH * kills);
    let begun = Instant::now();
    loop {
        let has = kept_by(&kept);
        if has == fed {
            break;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "{} of {} kept",
            has.len(),
            fed.len()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(child);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_the_feed_and_a_comparison_finds_exactly_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let setup = Setup::new(place.clone()).enrol(["EXPORT1"]);
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let lines: String = (0..2_500)
        .map(|n| {
            format!(
                "00{n}\t2026-11-2{} 09:{:02}:{:02}\t0\t1\n",
                n % 3,
                n / 60 % 60,
                n % 60
            )
        })
        .collect();
    post(&satellite, "EXPORT1", lines.as_bytes(), 2_500)
        .await
        .unwrap();

    let (csv, jsonl) = (folder.path().join("a.csv"), folder.path().join("a.jsonl"));
    for (file, format) in [(&csv, "csv"), (&jsonl, "jsonl")] {
        let file = file.display().to_string();
        let export = [
            "export",
            "--tenant",
            "acme",
            "--from",
            "2026-11-20",
            "--to",
            "2026-11-21",
        ];
        let words = export
            .into_iter()
            .chain(["--format", format, "--file", &file]);
        satellite.command(words).await.unwrap();
    }
    let query = "SELECT event_uid FROM event_feed WHERE tenant = 'acme' AND local_time < '2026-11-22' ORDER BY seq";
    let wanted = Checker::open(&place)
        .await
        .unwrap()
        .texts(query, query)
        .await
        .unwrap();
    assert_eq!(wanted.len(), 1_667);
    let text = std::fs::read_to_string(&jsonl).unwrap();
    let uids: Vec<String> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["event_uid"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(uids, wanted);
    let text = std::fs::read_to_string(&csv).unwrap();
    assert_eq!(text.lines().count(), wanted.len() + 1);
    let left = std::fs::read_dir(folder.path()).unwrap().flatten();
    let parts = left.filter(|it| it.file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(parts.count(), 0);

    // Our own export is equal to ourselves; without one line and with a strange one it is not.
    let against = |file: &Path| {
        let file = file.display().to_string();
        [
            "compare",
            "--tenant",
            "acme",
            "--day",
            "2026-11-20",
            "--json",
            "--against",
            &file,
        ]
        .map(str::to_owned)
    };
    let same: Value =
        serde_json::from_str(&satellite.command(against(&csv)).await.unwrap()).unwrap();
    assert_eq!(
        (&same["equal"], &same["other_days"]),
        (&834.into(), &833.into()),
        "{same}"
    );
    let other = folder.path().join("other.csv");
    let mut rows: Vec<String> = (0..2_500)
        .step_by(3)
        .map(|n| format!("{n};20/11/2026 09:{:02}:{:02}", n / 60 % 60, n % 60))
        .collect();
    rows.remove(100);
    rows.push("99999;20/11/2026 23:59:59".to_owned());
    std::fs::write(
        &other,
        format!("Clave;Fecha y hora\r\n{}\r\n", rows.join("\r\n")),
    )
    .unwrap();
    assert!(
        satellite.command(against(&other)).await.is_err(),
        "differences, and exit status 0"
    );
    let found: Value =
        serde_json::from_str(&satellite.said(&against(&other)).await.unwrap()).unwrap();
    assert_eq!(found["equal"], 833, "{found}");
    assert_eq!(found["only_here"][0]["person"], "00300", "{found}");
    assert_eq!(found["only_there"][0]["person"], "99999", "{found}");
}
