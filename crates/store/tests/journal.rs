//! What the journal promises: an Ok is on the disk, in order, once, and nothing is removed
//! before somebody says that it is stored.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may stop the test"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use event::{
    Bytes, Device, DeviceId, Millis, Quarantined, Reason, Route, Serial, SharedDevice, TenantId,
    Text, Vendor, Zone,
};
use sqlx::SqlStr;
use store::{Journal, JournalError, JournalLimits, JournalState, Submission, Target, Value};

/// Nobody's disk has to be 10 % empty for these.
const LIMITS: JournalLimits = JournalLimits {
    bytes: 64 * 1024 * 1024,
    free_percent: 0,
    free_bytes: 0,
};

fn device(n: u8) -> SharedDevice {
    Arc::new(Device {
        id: DeviceId([n; 16]),
        tenant: Some(TenantId::new("acme").unwrap()),
        vendor: Vendor::Hikvision,
        serial: Serial::new(&format!("DS{n}")).unwrap(),
        name: None,
        site: None,
        zone: Zone::utc(),
        canary: false,
    })
}

/// A post that says nothing but its own number.
fn post(device: &SharedDevice, number: u64) -> Submission {
    Submission {
        device: device.clone(),
        events: vec![],
        quarantined: vec![Quarantined {
            reason: Reason::Unreadable,
            detail: Text::const_new("a post"),
            source: Text::const_new("alert"),
            route: Route::Listen,
            received_at: Millis(1_795_000_000_000),
            raw: Bytes::from(number.to_string()),
        }],
        cursors: vec![],
        expects: None,
        fence: None,
    }
}

fn number(submission: &Submission) -> u64 {
    std::str::from_utf8(&submission.quarantined[0].raw)
        .unwrap()
        .parse()
        .unwrap()
}

async fn open(folder: &Path) -> Journal {
    Journal::open(folder, LIMITS).await.unwrap()
}

/// Everything that waits for that store, taken out in batches.
async fn drained(journal: &Journal, label: &str) -> Vec<(DeviceId, u64)> {
    let mut all = Vec::new();
    while let Some((ids, submissions)) = journal.next(label).await.unwrap() {
        assert_eq!(ids.len(), submissions.len());
        assert!(ids.is_sorted());
        all.extend(submissions.iter().map(|s| (s.device.id, number(s))));
        journal.done(&ids).await.unwrap();
    }
    all
}

#[tokio::test]
async fn what_was_kept_comes_back_after_a_restart_in_order_and_by_store() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two, other) = (device(1), device(2), device(3));
    let journal = open(folder.path()).await;
    assert_eq!(journal.waiting(), store::JournalFill::default());
    for n in 0..300 {
        let device = if n % 3 == 0 { &two } else { &one };
        journal.append("acme", &post(device, n)).await.unwrap();
    }
    journal.append("zeta", &post(&other, 7)).await.unwrap();
    drop(journal);

    let journal = open(folder.path()).await;
    assert!(journal.holds(one.id) && journal.holds(two.id) && journal.holds(other.id));
    assert!(!journal.holds(DeviceId([9; 16])));
    assert_eq!(journal.labels(), ["acme", "zeta"]);
    let fill = journal.waiting();
    assert_eq!((fill.events, fill.unreadable), (301, 0));
    assert!(fill.oldest.is_some() && fill.bytes > 301 * 100);

    // Reading takes nothing away.
    let (ids, first) = journal.next("acme").await.unwrap().unwrap();
    assert_eq!(first[0], post(&two, 0));
    let again = journal.next("acme").await.unwrap().unwrap();
    assert_eq!((&again.0, &again.1), (&ids, &first));
    assert_eq!(journal.waiting(), fill);

    let all = drained(&journal, "acme").await;
    assert!(all.iter().map(|(_, n)| *n).eq(0..300));
    assert!(!journal.holds(one.id) && journal.holds(other.id));
    assert_eq!(journal.waiting().events, 1);
    assert_eq!(drained(&journal, "zeta").await, [(other.id, 7)]);
    assert_eq!(journal.waiting(), store::JournalFill::default());
    assert!(journal.next("zeta").await.unwrap().is_none());
    // A second word about the same rows changes nothing.
    journal.done(&ids).await.unwrap();
    assert_eq!(journal.waiting(), store::JournalFill::default());
}

#[tokio::test]
async fn many_appends_at_once_are_all_kept_and_counted_as_under_way_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let device = device(1);
    let tasks: Vec<_> = (0..400)
        .map(|n| {
            let (journal, device) = (journal.clone(), device.clone());
            tokio::spawn(async move { journal.append("acme", &post(&device, n)).await })
        })
        .collect();
    // One turn of the only thread: the appends wait for the disk, and are seen already.
    tokio::task::yield_now().await;
    assert!(journal.holds(device.id));
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let mut all: Vec<_> = drained(&journal, "acme").await;
    all.sort_unstable();
    assert!(all.iter().map(|(_, n)| *n).eq(0..400));
    assert!(!journal.holds(device.id));
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_leaves_no_trace_of_being_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let device = device(1);
    for n in 0..50 {
        let post = post(&device, n);
        let mut work = Box::pin(journal.append("acme", &post));
        let mut waker = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(work.as_mut().poll(&mut waker).is_pending());
        tokio::task::yield_now().await;
        drop(work);
    }
    // Whatever of it was written comes out; then nothing is held any more.
    journal.append("acme", &post(&device, 50)).await.unwrap();
    let kept = drained(&journal, "acme").await;
    assert_eq!(kept.last(), Some(&(device.id, 50)));
    assert!(!journal.holds(device.id), "{kept:?}");
}

#[tokio::test]
async fn a_full_journal_refuses_and_takes_posts_again_when_it_was_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let limits = JournalLimits {
        bytes: 2000,
        ..LIMITS
    };
    let journal = Journal::open(folder.path(), limits).await.unwrap();
    let device = device(1);
    let mut kept = 0;
    let refused = loop {
        match journal.append("acme", &post(&device, kept)).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, JournalError::Full);
    assert_eq!(journal.state(), JournalState::Full);
    assert!((3..20).contains(&kept), "{kept}");
    assert!(journal.waiting().bytes <= 2000);
    assert_eq!(drained(&journal, "acme").await.len() as u64, kept);
    assert_eq!(journal.state(), JournalState::Ready);
    journal.append("acme", &post(&device, 99)).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let limits = JournalLimits {
        free_percent: 100,
        free_bytes: u64::MAX,
        ..LIMITS
    };
    let journal = Journal::open(folder.path(), limits).await.unwrap();
    let refused = journal.append("acme", &post(&device(1), 1)).await;
    assert_eq!(refused, Err(JournalError::DiskLow));
    assert_eq!(journal.state(), JournalState::DiskLow);
    assert!(!journal.holds(device(1).id));
    assert_eq!(journal.waiting(), store::JournalFill::default());
}

#[tokio::test]
async fn a_write_that_fails_is_told_and_what_was_kept_before_stays() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let device = device(1);
    journal.append("acme", &post(&device, 1)).await.unwrap();
    let file = Target::Sqlite(folder.path().join("journal.db"));
    let mut engine = file.connect().await.unwrap();
    let refuse = "CREATE TABLE other (id INTEGER)";
    engine
        .execute(SqlStr::from_static(refuse), &[])
        .await
        .unwrap();
    let rename = "ALTER TABLE entry RENAME TO elsewhere";
    engine
        .execute(SqlStr::from_static(rename), &[])
        .await
        .unwrap();
    let refused = journal.append("acme", &post(&device, 2)).await;
    assert!(
        matches!(refused, Err(JournalError::Failed(_))),
        "{refused:?}"
    );
    assert_eq!(journal.state().as_str(), "failed");

    let back = [
        "DROP TABLE IF EXISTS entry",
        "ALTER TABLE elsewhere RENAME TO entry",
    ];
    for sql in back {
        engine.execute(SqlStr::from_static(sql), &[]).await.unwrap();
    }
    journal.append("acme", &post(&device, 3)).await.unwrap();
    assert_eq!(journal.state(), JournalState::Ready);
    let numbers: Vec<_> = drained(&journal, "acme").await;
    assert_eq!(numbers, [(device.id, 1), (device.id, 3)]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_moved_aside_with_every_byte_and_never_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let rubbish = b"this was a journal once ".repeat(1000);
    std::fs::write(&path, &rubbish).unwrap();
    let journal = open(folder.path()).await;
    let aside = journal.moved_aside().unwrap().to_owned();
    assert!(aside.to_string_lossy().contains("journal.db.damaged-"));
    assert_eq!(std::fs::read(&aside).unwrap(), rubbish);
    journal.append("acme", &post(&device(1), 1)).await.unwrap();
    assert_eq!(drained(&journal, "acme").await.len(), 1);
    drop(journal);
    assert_eq!(open(folder.path()).await.moved_aside(), None);
}

#[tokio::test]
async fn a_file_with_a_damaged_page_is_noticed_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    {
        let journal = open(folder.path()).await;
        for n in 0..500 {
            journal.append("acme", &post(&device(1), n)).await.unwrap();
        }
    }
    let mut engine = Target::Sqlite(path.clone()).connect().await.unwrap();
    let fold = "PRAGMA wal_checkpoint(TRUNCATE)";
    engine.fetch(SqlStr::from_static(fold), &[]).await.unwrap();
    drop(engine);
    let mut bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 5 * 4096);
    bytes[3 * 4096..4 * 4096].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();

    let journal = open(folder.path()).await;
    let aside = journal.moved_aside().unwrap();
    assert_eq!(std::fs::read(aside).unwrap(), bytes);
    assert_eq!(journal.waiting(), store::JournalFill::default());
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_passed_by_counted_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let device = device(1);
    let journal = open(folder.path()).await;
    for n in 1..=3 {
        journal.append("acme", &post(&device, n)).await.unwrap();
    }
    let file = Target::Sqlite(folder.path().join("journal.db"));
    let mut engine = file.connect().await.unwrap();
    let change = "UPDATE entry SET body = ? WHERE id = 2";
    engine
        .execute(
            SqlStr::from_static(change),
            &[Value::Bytes(b"\x01damaged!!")],
        )
        .await
        .unwrap();
    let expected = [(device.id, 1), (device.id, 3)];
    assert_eq!(drained(&journal, "acme").await, expected);
    let fill = journal.waiting();
    assert_eq!((fill.events, fill.unreadable, fill.oldest), (0, 1, None));
    // It must not keep its terminal's posts in the queue for ever.
    assert!(!journal.holds(device.id));
    let rows = engine
        .fetch(SqlStr::from_static("SELECT body FROM entry"), &[])
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].bytes(0).unwrap(), b"\x01damaged!!");
    drop(journal);
    assert_eq!(open(folder.path()).await.waiting().unreadable, 1);
}

#[tokio::test]
async fn an_emptied_journal_gives_its_room_back() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let device = device(1);
    let mut large = post(&device, 0);
    large.quarantined[0].raw = Bytes::from(vec![b'1'; 200 * 1024]);
    for _ in 0..120 {
        journal.append("acme", &large).await.unwrap();
    }
    let size = || {
        std::fs::metadata(folder.path().join("journal.db"))
            .unwrap()
            .len()
    };
    while let Some((ids, _)) = journal.next("acme").await.unwrap() {
        assert!(ids.len() < 30, "a batch has a limit in bytes");
        journal.done(&ids).await.unwrap();
    }
    assert!(size() < 1024 * 1024, "{}", size());
}

/// The folder in which the other process of the next test works.
const CHILD: &str = "JOURNAL_TEST_CHILD";
const CHILD_START: &str = "JOURNAL_TEST_START";
const ROUNDS: u64 = 20;
const DEVICES: u8 = 4;

/// Appends without end, saying each number when it was answered with Ok.
async fn append_for_ever(folder: &Path) {
    let start: u64 = std::env::var(CHILD_START).unwrap().parse().unwrap();
    let journal = open(folder).await;
    let tasks: Vec<_> = (1..=DEVICES)
        .map(|n| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let device = device(n);
                for number in start.. {
                    journal
                        .append("acme", &post(&device, number))
                        .await
                        .unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "kept {n} {number}").unwrap();
                    out.flush().unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Runs the other process until it has said a few lines more, kills it, and answers what it
/// said.
fn killed_in_the_middle(folder: &Path, round: u64) -> Vec<(u8, u64)> {
    let name = "every_ok_survives_a_kill_in_order_and_once";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, folder)
        .env(CHILD_START, (round * 1_000_000).to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    let note = |line: String, said: &mut Vec<(u8, u64)>| {
        if let Some((n, number)) = line.strip_prefix("kept ").and_then(|l| l.split_once(' ')) {
            said.push((n.parse().unwrap(), number.parse().unwrap()));
        }
    };
    // A different place each time: from the first answer to some way into the work.
    let until = usize::try_from(1 + round * 7).unwrap();
    while said.len() < until {
        note(
            lines.next().expect("it ended by itself").unwrap(),
            &mut said,
        );
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said before it died counts; a line that was cut off does not end in a newline,
    // and its number could be a shorter one.
    let mut rest: Vec<String> = lines.map_while(Result::ok).collect();
    rest.pop();
    for line in rest {
        note(line, &mut said);
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_ok_survives_a_kill_in_order_and_once() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return append_for_ever(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    for round in 0..ROUNDS {
        let path = folder.path().to_owned();
        let some = tokio::task::spawn_blocking(move || killed_in_the_middle(&path, round));
        said.extend(some.await.unwrap());
    }
    let journal = open(folder.path()).await;
    assert_eq!(journal.moved_aside(), None);
    let mut found: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    for (device, number) in drained(&journal, "acme").await {
        found.entry(device.0[0]).or_default().push(number);
    }
    for (device, numbers) in &found {
        let ordered = numbers.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(ordered, "{device}: out of order or twice");
    }
    assert!(
        said.len() as u64 > ROUNDS * 10,
        "only {} were kept",
        said.len()
    );
    for (device, number) in said {
        let there = found
            .get(&device)
            .is_some_and(|all| all.binary_search(&number).is_ok());
        assert!(
            there,
            "{number} of {device} was answered with Ok and is not there"
        );
    }
    tokio::time::timeout(
        Duration::from_secs(5),
        journal.append("acme", &post(&device(1), 1)),
    )
    .await
    .unwrap()
    .unwrap();
}
