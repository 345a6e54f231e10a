//! Killed at any moment, with a relay that is away for the first 72 hours: no letter is lost, and
//! at most one is repeated for each kill.
//!
//! The hours are the letters' clock, which each life of the child reads further ahead.
//! The child is this same program, told by its environment which outbox to work on. It queues
//! letters, says so on its output once they are durable, and delivers until it is killed.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use notify::{CapRule, Outbox, Pump, SmtpRelay};
use tokio_util::sync::CancellationToken;

use crate::fake::{Fake, Manner};
use crate::support::{letter, ways};

const FILE: &str = "NOTIFY_CHILD_FILE";
const RELAY: &str = "NOTIFY_CHILD_RELAY";
const NAME: &str = "NOTIFY_CHILD_NAME";
const MINUTES: &str = "NOTIFY_CHILD_MINUTES";
/// Longest that the relay is away, in hours of the letters' clock.
const AWAY: usize = 72;

async fn pump(path: &Path, relay: &str, ahead: SignedDuration) -> Pump {
    let outbox = Outbox::open(path).await.unwrap();
    let relay = SmtpRelay::new(relay).unwrap();
    let clock = Arc::new(move || Timestamp::now() + ahead);
    let ways = ways(vec![Arc::new(relay)]);
    Pump::with(outbox, ways, CapRule::none(), clock, 4)
        .await
        .unwrap()
}

#[ignore = "the child of the test below, which starts it"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let value = |name: &str| std::env::var(name).unwrap();
    // Each life lives later than the one before, so that what a killed one left is due.
    let life: i64 = value(NAME).parse().unwrap();
    let ahead = SignedDuration::from_mins(value(MINUTES).parse().unwrap());
    let pump = pump(Path::new(&value(FILE)), &value(RELAY), ahead).await;
    let running = tokio::spawn({
        let pump = pump.clone();
        async move { pump.run(CancellationToken::new()).await }
    });
    for number in 0.. {
        let next = letter(&format!("INC-{life}-{number}"), "open", "a@example.mx");
        let now = Timestamp::now() + ahead;
        pump.outbox()
            .queue_all(std::slice::from_ref(&next), now)
            .await
            .unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "QUEUED {}", next.id()).unwrap();
        out.flush().unwrap();
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
    running.await.unwrap();
}

/// One life of the child: what it queued for certain before it was killed.
fn live_and_die(path: &Path, relay: &str, life: usize, minutes: i64) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--ignored", "--nocapture"])
        .env(FILE, path)
        .env(RELAY, relay)
        .env(NAME, life.to_string())
        .env(MINUTES, minutes.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut lines = out.lines().map_while(Result::ok);
    let queued = |line: &String| line.strip_prefix("QUEUED ").map(str::to_owned);
    let mut all: Vec<String> = lines
        .by_ref()
        .find_map(|line| queued(&line))
        .into_iter()
        .collect();
    // From here on at any moment; each life a little longer than the one before, fifty times.
    let pause = Duration::from_micros(u64::try_from(1_000 + life % 50 * 2_300).unwrap());
    let killer = std::thread::spawn(move || {
        let end = std::time::Instant::now() + pause;
        while std::time::Instant::now() < end {
            std::thread::park_timeout(Duration::from_micros(200));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    });
    all.extend(lines.filter_map(|line| queued(&line)));
    killer.join().unwrap();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_72_hours_without_a_relay_lose_no_letter_and_repeat_at_most_one_a_kill() {
    let full = std::env::var_os("SATELLITE_TEST_FULL").is_some_and(|it| it == "1");
    // A third of the kills falls into the time without a relay.
    let kills: usize = if full { 1_000 } else { 60 };
    let step = i64::try_from(60 * AWAY * 3 / kills).unwrap();
    let at = |life: usize| step * i64::try_from(life).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox.db");
    let fake = Fake::start(Manner::Closing).await;
    let mut queued = Vec::new();
    for life in 0..kills {
        if life == kills / 3 {
            assert!(fake.taken().is_empty(), "the relay was away");
            fake.behave(Manner::Slow(Duration::from_millis(4)));
        }
        let (path, url, minutes) = (path.clone(), fake.url(), at(life));
        let lived = tokio::task::spawn_blocking(move || live_and_die(&path, &url, life, minutes));
        queued.extend(lived.await.unwrap());
    }
    fake.behave(Manner::Good);
    // Whatever still rests is due within a quarter of an hour.
    for quarter in 1..=4 {
        let ahead = SignedDuration::from_mins(at(kills) + 16 * quarter);
        let last = pump(&path, &fake.url(), ahead).await;
        last.tick().await.unwrap();
    }

    let mut copies: HashMap<String, usize> = HashMap::new();
    for mail in fake.taken() {
        let name = mail.header("Message-ID").unwrap();
        let name = name
            .trim_start_matches('<')
            .split('@')
            .next()
            .unwrap_or_default();
        *copies.entry(name.to_owned()).or_default() += 1;
    }
    assert!(
        queued.len() >= kills,
        "every life queued something: {}",
        queued.len()
    );
    let lost: Vec<_> = queued
        .iter()
        .filter(|id| !copies.contains_key(*id))
        .collect();
    assert!(lost.is_empty(), "{} of {} lost", lost.len(), queued.len());
    let repeated: usize = copies.values().map(|count| count - 1).sum();
    eprintln!(
        "{} letters, {kills} kills, {AWAY} h without a relay, {repeated} repeated",
        copies.len()
    );
    assert!(repeated <= kills, "{repeated} repeated");
}
