//! Messages in and out of one broker while it is killed again and again.
//!
//! A publisher of its own sends punches to the real Mosquitto, and keeps a ledger of what is on the
//! broker's disk; satellite takes them in, stores them in a durable MariaDB and publishes each event
//! to the same broker, where a subscriber writes down what it hears. The broker is killed (SIGKILL)
//! after every so many messages. The run fails when one is missing or stored twice, or did not come
//! out under its own name.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mariadb::{Flavor, Server};
use promises::{Checker, Mosquitto, Place, Planned, Publisher, blocking};
use serde_json::Value;

use crate::process::Satellite;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Messages.
    #[arg(long, default_value_t = 100_000)]
    messages: usize,
    /// Kills of the broker.
    #[arg(long, default_value_t = 100)]
    kills: usize,
}

const COLUMNS: &[&str] = &[
    "database",
    "messages in",
    "kills",
    "seconds",
    "stored",
    "missing",
    "stored twice",
    "out under their names",
    "came out twice",
    "in and out s after the last",
];
/// Messages that the publisher sends at once.
const WINDOW: usize = 50;
/// Rest between them: 200 a second, as many as satellite takes in and out meanwhile. A faster
/// publisher only piles messages up in the broker, which then writes all of them at each change.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest wait for so many messages, and for all of them at the end.
const LIMIT: Duration = Duration::from_secs(600);
/// Terminals that the topics name.
const TERMINALS: usize = 20;

pub(crate) async fn run(options: &Options) -> Result<Report> {
    ensure!(Mosquitto::is_installed(), "mosquitto is not installed");
    let server = blocking(|| Server::start(Flavor::Durable)).await?;
    let place = Place::mariadb(server.address()).await?;
    let folder = tempfile::tempdir()?;
    let mut broker = Mosquitto::start(folder.path(), "allow_anonymous true").await?;
    broker.subscribe(&[]).await?;
    let satellite = Satellite::start(&tables(&place, &broker)).await?;
    enrol(&satellite).await?;
    let mut table = Table::new("Messages in and out while their broker is killed", COLUMNS);
    let row = killed(options, &place, &mut broker, folder.path()).await;
    table.push(row.with_context(|| satellite.log_end())?);
    satellite.stop().await?;
    let note = "Mosquitto of the distribution, QoS 1, its sessions on disk at each change; the \
                publisher's ledger and event_feed are compared over another connection";
    Ok(Report::new(vec![table]).note(note.to_owned()))
}

fn tables(place: &Place, broker: &Mosquitto) -> String {
    let link = format!(
        "tenant = \"bench\"\nkind = \"mqtt\"\nurl = \"mqtt://{}\"\nallow_internal = true\n",
        broker.address()
    );
    format!(
        "[store]\nurl = \"{}\"\n\
         [[tenant]]\nid = \"bench\"\nname = \"Bench\"\ntime_zone = \"America/Mexico_City\"\n\
         [[input]]\nname = \"plant\"\nsender = \"PLANT\"\ntopics = [\"plant/{{serial}}/punch\"]\n{link}\
         [[output]]\nname = \"board\"\nfrom = \"start\"\ntopic = \"board/{{serial}}\"\n{link}",
        place.url()
    )
}

async fn enrol(satellite: &Satellite) -> Result<()> {
    let serials = (0..TERMINALS).map(|n| format!("T{n}"));
    for serial in serials.chain(["PLANT".to_owned()]) {
        let add = "devices add --tenant bench --vendor other --serial";
        let words: Vec<&str> = add.split(' ').chain([serial.as_str()]).collect();
        let output = satellite.command(&words)?.output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "`satellite {add} {serial}`: {told}"
        );
    }
    let begin = Instant::now();
    loop {
        let (page, _) = satellite.page("/status").await?;
        let page: Value = serde_json::from_str(&page)?;
        if page["inputs"][0]["state"] == "fine" {
            return Ok(());
        }
        ensure!(
            begin.elapsed() < Duration::from_secs(60),
            "{}",
            page["inputs"]
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn planned(n: usize) -> Planned {
    let (hour, minute, second) = (n / 3600 % 24, n / 60 % 60, n % 60);
    let record = format!(
        "{{\"id\":\"{n}\",\"event\":\"punch\",\"person\":\"{n:07}\",\
         \"time\":\"2026-11-27T{hour:02}:{minute:02}:{second:02}-06:00\"}}"
    );
    let topic = format!("plant/T{}/punch", n % TERMINALS);
    Planned::new(&topic, record, Some(format!("{n:07}")))
}

async fn killed(
    options: &Options,
    place: &Place,
    broker: &mut Mosquitto,
    folder: &Path,
) -> Result<Vec<Cell>> {
    let messages = options.messages;
    let plan = move |n| (n < messages).then(|| planned(n));
    let begin = Instant::now();
    let ledger = folder.join("ledger");
    let pace = (WINDOW, PAUSE);
    let publisher = Publisher::start(broker.address(), &ledger, pace, plan)?;
    kills(options, broker, &publisher).await?;
    let sent = publisher.finish(LIMIT).await?;
    let last = Instant::now();
    let rows = stored(place, sent.len()).await?;
    let (out, arrivals) = out(broker, &rows).await?;
    let after = last.elapsed();
    let persons: HashSet<&str> = rows.iter().map(|(person, _)| person.as_str()).collect();
    let missing = sent
        .iter()
        .filter(|one| !persons.contains(one.as_str()))
        .count();
    let count = |n: usize| Cell::Count(u64::try_from(n).unwrap_or(u64::MAX));
    let twice = rows.len() - persons.len();
    ensure!(
        missing == 0 && twice == 0,
        "{missing} missing, {twice} stored twice"
    );
    ensure!(persons.len() == sent.len(), "rows that nobody sent");
    Ok(vec![
        Cell::text("MariaDB, durable"),
        count(sent.len()),
        count(options.kills),
        Cell::Number(begin.elapsed().as_secs_f64(), 1),
        count(rows.len()),
        count(missing),
        count(twice),
        count(out),
        count(arrivals - out),
        Cell::Number(after.as_secs_f64(), 1),
    ])
}

/// Kills the broker as often, and waits until everything is on its disk.
async fn kills(options: &Options, broker: &mut Mosquitto, publisher: &Publisher) -> Result<()> {
    let between = options.messages / (options.kills + 1);
    for kill in 1..=options.kills {
        let begun = Instant::now();
        while publisher.confirmed() < between * kill {
            ensure!(
                begun.elapsed() < LIMIT,
                "{} messages",
                publisher.confirmed()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let before = broker.subscribed();
        broker.kill9().await?;
        broker.up().await?;
        broker.until_subscribed(before + 1).await?;
        if kill % 10 == 0 {
            eprintln!(
                "  {kill} kills, {} messages on the disk",
                publisher.confirmed()
            );
        }
    }
    let begun = Instant::now();
    while publisher.confirmed() < options.messages {
        ensure!(
            begun.elapsed() < LIMIT,
            "{} messages",
            publisher.confirmed()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Person and name of every row, once there are so many.
async fn stored(place: &Place, wanted: usize) -> Result<Vec<(String, String)>> {
    let mut checker = Checker::open(place).await?;
    let begun = Instant::now();
    let count = "SELECT COUNT(*) FROM event_feed WHERE route = 'mqtt'";
    while usize::try_from(checker.number(count).await?)? < wanted {
        ensure!(
            begun.elapsed() < LIMIT,
            "{} rows",
            checker.number(count).await?
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let query = "SELECT CONCAT(person, ' ', event_uid) FROM event_feed WHERE route = 'mqtt'";
    let rows = checker.texts(query, query).await?;
    let read = rows.iter().map(|row| {
        let (person, uid) = row.split_once(' ').context("a row")?;
        Ok((person.to_owned(), uid.to_owned()))
    });
    read.collect()
}

/// Waits until the subscriber has heard each; how many different ones, and how many in all.
async fn out(broker: &Mosquitto, rows: &[(String, String)]) -> Result<(usize, usize)> {
    let begun = Instant::now();
    loop {
        let heard = broker.heard()?;
        let events = heard.iter().filter(|one| one.topic.starts_with("board/"));
        let uids = events.filter_map(|one| {
            let event: Value = serde_json::from_str(&one.payload).ok()?;
            Some(event["event_uid"].as_str()?.to_owned())
        });
        let uids: Vec<String> = uids.collect();
        let different: HashSet<&str> = uids.iter().map(String::as_str).collect();
        let missing = rows
            .iter()
            .filter(|(_, uid)| !different.contains(uid.as_str()));
        let missing = missing.count();
        if missing == 0 {
            return Ok((different.len(), uids.len()));
        }
        ensure!(begun.elapsed() < LIMIT, "{missing} did not come out");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
