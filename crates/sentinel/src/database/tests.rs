//! The file keeps what it was given, and all of it or nothing.

use std::collections::BTreeSet;

use super::*;
use crate::Config;
use crate::decide::{Changes, Core, Setting};
use crate::kind::Kind;
use crate::observation::{Observation, Round, Subject, Trouble};
use daemon::config::Source;

const FILE_TEXT: &str =
    "[mail]\nfrom='s@x.mx'\nrelays=['smtp://r']\n[[level]]\nto=[{address='a@x.mx'}]\n";

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn config() -> Config {
    Config::read(&Source::new("t.toml", FILE_TEXT)).unwrap()
}

/// An incident of a full disk, with its letter.
fn changes(core: &mut Core, config: &Config) -> Changes {
    let trouble = Trouble::new(Kind::DurabilityWeak);
    let seen = Observation::wrong(Subject::store("acme"), now(), vec![trouble]);
    core.observe("database:acme", &Round::one(seen), now());
    for second in 0..10 {
        let at = Timestamp::from_second(now().as_second() + second).unwrap();
        core.tick(
            Setting {
                config,
                links: None,
            },
            at,
        );
    }
    core.take_changes()
}

#[tokio::test]
async fn incidents_timelines_letters_and_states_are_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let config = config();
    let mut core = Core::default();
    let changes = changes(&mut core, &config);
    let mut database = Database::open(folder.path()).await.unwrap();
    database.apply(&config, &changes, now()).await.unwrap();
    let rows = database.incidents(Which::Open).await.unwrap();
    assert_eq!(
        (rows[0].id.as_str(), rows[0].tenant.as_deref()),
        ("INC-2027-000001", Some("acme"))
    );
    let restored = database.restore().await.unwrap();
    let before = changes.incidents.values().next().unwrap();
    assert_eq!(&restored.open[0], before);
    assert_eq!(restored.last_number, 1);
    let timeline = database.timeline(before.id).await.unwrap();
    let words: Vec<&str> = timeline.iter().map(|line| line.what.as_str()).collect();
    assert_eq!(words, ["opened", "told"]);
    let outbox = notify::Outbox::open(database.path()).await.unwrap();
    assert_eq!(outbox.figures(now()).await.unwrap().waiting, 1);
    // What is restored goes on without a second letter.
    let looks = BTreeSet::from(["database:acme".to_owned()]);
    let mut again = Core::restore(restored, &looks, now());
    let setting = Setting {
        config: &config,
        links: None,
    };
    again.tick(
        setting,
        Timestamp::from_second(now().as_second() + 20).unwrap(),
    );
    assert!(again.take_changes().letters.is_empty());
}

#[tokio::test]
async fn of_a_transaction_that_fails_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let config = config();
    let mut changes = changes(&mut Core::default(), &config);
    changes.letters[0].kind = String::new();
    let mut database = Database::open(folder.path()).await.unwrap();
    assert!(database.apply(&config, &changes, now()).await.is_err());
    assert!(database.incidents(Which::Open).await.unwrap().is_empty());
    let id = *changes.incidents.keys().next().unwrap();
    assert!(database.timeline(id).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_request_waits_until_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut database = Database::open(folder.path()).await.unwrap();
    let mut other = Database::existing(folder.path()).await.unwrap();
    let ask = crate::decide::Ask::EndMaintenance { id: 7 };
    let text = serde_json::to_string(&ask).unwrap();
    let id = other.request(&text, "ana", now()).await.unwrap();
    assert_eq!(other.answer_to(id).await.unwrap(), None);
    assert_eq!(
        database.waiting_requests().await.unwrap(),
        [(id, "ana".to_owned(), Some(ask))]
    );
    database.answer(id, "", now()).await.unwrap();
    assert_eq!(other.answer_to(id).await.unwrap(), Some(String::new()));
    assert!(database.waiting_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn without_a_sentinel_that_ever_ran_there_is_nothing_to_read() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Database::existing(folder.path()).await.is_err());
    assert!(!folder.path().join(FILE).exists());
}

#[tokio::test]
async fn old_incidents_are_forgotten_and_their_numbers_are_not_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = config();
    let changes = changes(&mut Core::default(), &config);
    let mut database = Database::open(folder.path()).await.unwrap();
    let mut closed = changes.incidents.values().next().unwrap().clone();
    closed.state = crate::decide::State::Closed;
    for number in 1..=3 {
        closed.id.number = number;
        closed.closed_at = Some(now() + jiff::SignedDuration::from_secs(number.into()));
        let mut one = Changes::default();
        one.incidents.insert(closed.id, closed.clone());
        database.apply(&config, &one, now()).await.unwrap();
    }
    let later = now() + jiff::SignedDuration::from_hours(1);
    database.forget(later).await.unwrap();
    let all = Which::Between(now(), later);
    let left = database.incidents(all).await.unwrap();
    let left: Vec<&str> = left.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(left, ["INC-2027-000003"]);
    assert_eq!(database.restore().await.unwrap().last_number, 3);
}
