//! Promises of the simulated Hikvision devices that post, and of a fleet of both kinds.
//!
//! The posts are judged from what an inbox received, byte for byte, and from the ledger file;
//! the dialled devices of the fleet through curl.

#[cfg(test)]
mod asking;
#[cfg(test)]
mod inbox;

use std::collections::BTreeSet;
use std::time::Duration;

use asking::{everything, no_curl, until};
use inbox::{Inbox, Posted};
use terminals::hikvision::{Heartbeat, HikvisionGroup, Post, PostOptions, PostShape};
use terminals::{Fleet, Ledger, Scenario};

/// A posting device at this inbox, impatient, without heartbeats.
#[cfg(test)]
fn post(inbox: &Inbox, ledger: Option<Ledger>, change: fn(&mut PostOptions)) -> Post {
    let mut options = PostOptions {
        url: inbox.url.clone(),
        ..PostOptions::default()
    };
    options.log.door_rows = false;
    options.post.retry_ms = 50;
    options.post.heartbeat_ms = 0;
    change(&mut options);
    Post::start(options, ledger).unwrap()
}

#[tokio::test]
async fn a_post_is_repeated_in_order_until_200_and_only_then_enters_the_ledger() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("ledger");
    let inbox = Inbox::start(|n| if (1..4).contains(&n) { 503 } else { 200 }).await;
    let ledger = Ledger::create(&path).unwrap();
    let post = post(&inbox, Some(ledger.clone()), |_| {});
    post.punch("1").await.unwrap();
    until("posted", || post.pending() == 0).await;
    post.crowd(3).await.unwrap();
    until("refused", || post.counters().refused == 2).await;
    assert_eq!(Ledger::read_hikvision(&path).unwrap().len(), 1);
    until("posted", || post.pending() == 0).await;
    let posts = inbox.posts();
    let serials: Vec<u64> = posts.iter().filter_map(Posted::serial_no).collect();
    assert_eq!(serials, [1, 2, 2, 2, 2, 3, 4]);
    let live = |n: usize| posts[n].text().contains("\"currentEvent\":\ttrue");
    assert!(live(0) && live(1) && !live(2) && !live(4) && !live(6));
    let owed = Ledger::read_hikvision(&path).unwrap();
    let owed: Vec<u64> = owed.iter().map(|r| r.serial_no).collect();
    assert_eq!(owed, [1, 2, 3, 4]);
    let counted = post.counters();
    assert_eq!((counted.posted, counted.refused, counted.failed), (4, 3, 0));
}

#[tokio::test]
async fn what_is_posted_again_was_posted_before_and_enters_the_ledger_once() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("ledger");
    let inbox = Inbox::start(|_| 200).await;
    let ledger = Ledger::create(&path).unwrap();
    let post = post(&inbox, Some(ledger), |options| {
        options.post.replay = 0.5;
        options.post.lose = 0.2;
    });
    post.crowd(60).await.unwrap();
    until("posted", || post.pending() == 0).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let posts = inbox.posts();
    let serials: Vec<u64> = posts.iter().filter_map(Posted::serial_no).collect();
    let lost: BTreeSet<u64> = post.lost().into_iter().collect();
    let distinct: BTreeSet<u64> = serials.iter().copied().collect();
    assert!(!lost.is_empty() && distinct.is_disjoint(&lost));
    assert_eq!(distinct.len() + lost.len(), 60);
    let counted = post.counters();
    assert!(counted.replayed > 10, "{counted:?}");
    let more = u64::try_from(serials.len() - distinct.len()).unwrap();
    assert_eq!(more, counted.replayed);
    let owed = Ledger::read_hikvision(&path).unwrap();
    assert_eq!(owed.len(), distinct.len());
}

#[tokio::test]
async fn a_lost_post_leaves_a_gap_that_the_next_one_does_not_admit() {
    let inbox = Inbox::start(|_| 200).await;
    let post = post(&inbox, None, |_| {});
    post.crowd(2).await.unwrap();
    until("posted", || post.pending() == 0).await;
    post.lose_next(3);
    post.crowd(5).await.unwrap();
    until("posted", || post.pending() == 0).await;
    let posts = inbox.posts();
    let serials: Vec<u64> = posts.iter().filter_map(Posted::serial_no).collect();
    assert_eq!((serials, post.lost()), (vec![1, 2, 6, 7], vec![3, 4, 5]));
    assert!(posts[2].text().contains("\"frontSerialNo\":\t5"));
}

#[tokio::test]
async fn every_shape_of_a_post_is_the_one_of_the_field() {
    let shapes: [(PostShape, &str, &str); 6] = [
        (
            PostShape::EventLog,
            "multipart/form-data; boundary=mime_boundary",
            "name=\"event_log\"\r\n\r\n{",
        ),
        (
            PostShape::AccessController,
            "multipart/form-data; boundary=mime_boundary",
            "name=\"AccessControllerEvent\"\r\nContent-Type: application/json\r\n",
        ),
        (
            PostShape::CameraXml,
            "multipart/form-data; boundary=Boundary",
            "<eventType>linedetection</eventType>",
        ),
        (
            PostShape::BareXml,
            "application/xml; charset=\"UTF-8\"",
            "<AccessControllerEvent>",
        ),
        (
            PostShape::BareJson,
            "application/json",
            "\"AccessControllerEvent\":\t{",
        ),
        (
            PostShape::WrongType,
            "text/plain",
            "{\n\t\"EventNotificationAlert\":\t{",
        ),
    ];
    for (shape, kind, inside) in shapes {
        let inbox = Inbox::start(|_| 200).await;
        let mut options = PostOptions {
            url: inbox.url.clone(),
            ..PostOptions::default()
        };
        options.post.shape = shape;
        options.post.boundary_other_case = true;
        options.post.picture_bytes = 200 * 1024;
        let post = Post::start(options, None).unwrap();
        until("a heartbeat", || post.counters().heartbeats == 1).await;
        post.punch("7").await.unwrap();
        until("posted", || post.pending() == 0).await;
        let posts = inbox.posts();
        let event = posts.iter().find(|p| p.text().contains(inside));
        let event = event.unwrap_or_else(|| panic!("{shape:?}: {}", posts[1].text()));
        assert!(event.head.starts_with("POST /hikvision/t0ken HTTP/1.1\r\n"));
        let typed = format!("\r\nContent-Type: {kind}\r\n");
        assert!(posts.iter().all(|p| p.head.contains(&typed)), "{shape:?}");
        let pictured = matches!(
            shape,
            PostShape::EventLog | PostShape::AccessController | PostShape::CameraXml
        );
        let big = posts.iter().any(|p| p.body.len() > 200 * 1024);
        assert_eq!(big, pictured, "{shape:?}");
    }
}

#[tokio::test]
async fn a_fleet_runs_both_kinds_and_its_ledger_is_what_was_handed_out() {
    if no_curl() {
        return;
    }
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("ledger");
    let inbox = Inbox::start(|_| 200).await;
    let mut group = HikvisionGroup {
        dialled: 2,
        posting: 1,
        urls: vec![inbox.url.clone()],
        ..HikvisionGroup::default()
    };
    group.log.history = 30;
    group.log.history_owed = true;
    group.stream.heartbeat = Heartbeat::None;
    let scenario = Scenario {
        count: 0,
        rate: 600.0,
        records: Some(8),
        hikvision: vec![group],
        start: Some("2026-11-21 08:59:00".to_owned()),
        ..Scenario::default()
    };
    let fleet = Fleet::start(scenario, Some(Ledger::create(&path).unwrap())).unwrap();
    until("made", || fleet.dialled().all(|d| d.newest() == 54)).await;
    until("made", || fleet.posting().all(|p| p.newest() == 54)).await;
    fleet.end_generation();
    assert!(fleet.summary().pending >= 108, "{:?}", fleet.summary());
    let mut rows = 0;
    for device in fleet.dialled() {
        let found = everything(device, 0).await;
        assert!(
            found[53]["time"]
                .as_str()
                .unwrap()
                .starts_with("2026-11-21T08:59:0")
        );
        rows += found.len();
    }
    fleet.drained().await;
    let summary = fleet.stop().await;
    assert_eq!(
        (summary.generated, summary.acked, summary.pending),
        (162, 162, 0)
    );
    let owed = Ledger::read_hikvision(&path).unwrap();
    let distinct: BTreeSet<(&str, u64)> = owed
        .iter()
        .map(|r| (r.serial.as_str(), r.serial_no))
        .collect();
    assert_eq!((rows, owed.len(), distinct.len()), (108, 162, 162));
    assert!(fleet_of(&distinct) == ["HIK0000001", "HIK0000002", "HIK0000003"]);
}

fn fleet_of<'a>(rows: &BTreeSet<(&'a str, u64)>) -> Vec<&'a str> {
    let serials: BTreeSet<&str> = rows.iter().map(|(serial, _)| *serial).collect();
    serials.into_iter().collect()
}
