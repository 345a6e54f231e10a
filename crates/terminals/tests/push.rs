//! Promises of the simulated push terminals, each kept against a server that plays a part.
//!
//! Real TCP, real time, short delays. What a terminal did is judged from the requests that the
//! playing server received and from the ledger file, not from the fleet's own counters alone.
//! The store and the daemon have no place here.

#[cfg(test)]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use server::{Play, Request, Server, block, ok};
use terminals::{Burst, Fleet, HabitShares, Ledger, LedgerRecord, Scenario, Summary, UploadResult};

const DEADLINE: Duration = Duration::from_secs(20);

/// One terminal with ten records and a short error delay.
#[cfg(test)]
fn scenario(server: &Server) -> Scenario {
    Scenario {
        target: server.url.parse().unwrap(),
        count: 1,
        backlog: 10,
        batch: Some(10),
        error_delay_ms: Some(80),
        start: Some("2026-11-21 08:59:00".to_owned()),
        ..Scenario::default()
    }
}

/// Runs until all is delivered; also gives what the ledger holds.
async fn deliver(scenario: Scenario) -> (Summary, Vec<LedgerRecord>) {
    deliver_within(scenario, DEADLINE).await
}

#[cfg(test)]
async fn deliver_within(scenario: Scenario, deadline: Duration) -> (Summary, Vec<LedgerRecord>) {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("ledger");
    let fleet = Fleet::start(scenario, Some(Ledger::create(&path).unwrap())).unwrap();
    let summary = fleet.run_to_end(deadline).await;
    (summary, Ledger::read(&path).unwrap())
}

/// Every line of whole uploads with the serial it came under, and how often it came.
fn lines_sent(uploads: &[Request]) -> BTreeMap<(String, String), usize> {
    let mut lines = BTreeMap::new();
    for upload in uploads.iter().filter(|upload| upload.is_whole()) {
        for line in upload.lines() {
            *lines.entry((upload.serial(), line)).or_insert(0) += 1;
        }
    }
    lines
}

#[tokio::test]
async fn a_record_is_kept_until_ok_and_sent_again_after_the_error_delay() {
    let server = Server::start(|uploads, _| match uploads {
        0..5 => Play::Reply("503 Service Unavailable", "try later".to_owned()),
        _ => ok(),
    })
    .await;
    let (summary, ledger) = deliver(scenario(&server)).await;
    let uploads = server.uploads();
    assert_eq!(uploads.len(), 6);
    for pair in uploads.windows(2) {
        assert_eq!(pair[0].body, pair[1].body);
        let wait = pair[1].at_ms - pair[0].at_ms;
        assert!((75..2_000).contains(&wait), "sent again after {wait} ms");
    }
    assert_eq!((summary.acked, summary.pending, ledger.len()), (10, 0, 10));
    assert_eq!(summary.refused_by_status, BTreeMap::from([(503, 5)]));
}

#[tokio::test]
async fn a_reply_without_ok_is_not_an_acknowledgement() {
    let no = |status, body: &str| Play::Reply(status, body.to_owned());
    let server = Server::start(move |uploads, _| match uploads {
        0 => no("200 OK", "NOT accepted"),
        1 => no("200 OK", ""),
        2 => no("200 OK", "ok: 10"),
        3 => no("202 Accepted", "OK: 10"),
        4 => no("302 Found", "OK"),
        5 => no("500 OK", "OK"),
        _ => no("200 whatever", "OK: 10"),
    })
    .await;
    let (summary, ledger) = deliver(scenario(&server)).await;
    assert_eq!(server.uploads().len(), 7);
    assert_eq!((summary.acked, ledger.len()), (10, 10));
    let by_status = BTreeMap::from([(200, 3), (202, 1), (302, 1), (500, 1)]);
    assert_eq!(summary.refused_by_status, by_status);
}

#[tokio::test]
async fn a_reply_that_old_firmware_cannot_read_is_not_an_acknowledgement() {
    let raw = |text: &str| Play::Raw(text.to_owned());
    let server = Server::start(move |uploads, _| match uploads {
        0 => raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n"),
        1 => raw("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nOK"),
        2 => raw("HTTP/1.1 200 OK\r\n"),
        3 => raw("OK\r\n\r\n"),
        4 => Play::Drop,
        _ => ok(),
    })
    .await;
    let (summary, ledger) = deliver(scenario(&server)).await;
    assert_eq!(server.uploads().len(), 6);
    assert_eq!(
        (summary.failures.unreadable, summary.failures.broken),
        (2, 3)
    );
    assert_eq!((summary.acked, ledger.len()), (10, 10));
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_opened_anew_without_a_failure() {
    let reply = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK";
    let server = Server::start(move |_, _| Play::Raw(reply.to_owned())).await;
    let (summary, ledger) = deliver(Scenario {
        batch: Some(2),
        ..scenario(&server)
    })
    .await;
    assert_eq!((server.uploads().len(), ledger.len()), (5, 10));
    assert_eq!((summary.failures.total(), summary.reconnects), (0, 4));
    assert_eq!(summary.replies_without_date, 5);
}

#[tokio::test]
async fn a_lost_acknowledgement_is_sent_again() {
    let server = Server::start(|_, _| ok()).await;
    let mut lossy = Scenario {
        batch: Some(1),
        backlog: 60,
        ..scenario(&server)
    };
    lossy.error_delay_ms = Some(5);
    lossy.faults.ack_lost = 0.5;
    let (summary, ledger) = deliver(lossy).await;
    assert!(summary.faults.acks_lost >= 10, "{:?}", summary.faults);
    assert_eq!((summary.acked, summary.pending, ledger.len()), (60, 0, 60));
    let sent = lines_sent(&server.uploads());
    let ledger_lines: BTreeSet<&str> = ledger.iter().map(|r| r.line.as_str()).collect();
    assert_eq!(ledger_lines.len(), 60);
    assert!(
        sent.keys()
            .all(|(_, line)| ledger_lines.contains(line.as_str()))
    );
    let extra: usize = sent.values().map(|times| times - 1).sum();
    let lost = usize::try_from(summary.faults.acks_lost).unwrap();
    assert!(
        extra >= lost / 2 && extra <= lost,
        "{extra} lines came again after {lost} losses"
    );
}

#[tokio::test]
async fn what_the_ledger_holds_was_acknowledged_and_nothing_else() {
    // Every third upload is accepted, one is refused, one loses its reply; the terminals never
    // get the time to deliver everything.
    let server = Server::start(|uploads, _| match uploads % 3 {
        0 => ok(),
        1 => Play::Reply("503 Service Unavailable", "no".to_owned()),
        _ => Play::Drop,
    })
    .await;
    let busy = Scenario {
        count: 4,
        backlog: 100_000,
        batch: Some(3),
        error_delay_ms: Some(1),
        ..scenario(&server)
    };
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("ledger");
    let fleet = Fleet::start(busy, Some(Ledger::create(&path).unwrap())).unwrap();
    let summary = fleet.finish(Duration::from_millis(600)).await;
    let ledger = Ledger::read(&path).unwrap();

    assert!(summary.pending > 0 && summary.refused > 0 && summary.failures.broken > 0);
    assert_eq!(u64::try_from(ledger.len()).unwrap(), summary.acked);
    let sent = lines_sent(&server.uploads());
    let mut held = BTreeSet::new();
    for record in &ledger {
        let key = (record.serial.clone(), record.line.clone());
        assert!(sent.contains_key(&key), "never sent: {record:?}");
        assert!(held.insert(key), "twice in the ledger: {record:?}");
        let fields: Vec<&str> = record.line.split('\t').collect();
        assert_eq!(
            (fields[0], fields[1]),
            (record.pin.as_str(), record.time.as_str())
        );
        assert_eq!(
            fields[2..4],
            [record.status.to_string(), record.verify.to_string()]
        );
    }
    // The server accepted every third whole upload, of three records. One more than the ledger
    // holds may have been on its way to each of the four terminals when the fleet stopped.
    let accepted = server
        .uploads()
        .iter()
        .filter(|u| u.is_whole())
        .count()
        .div_ceil(3)
        * 3;
    assert!(
        (ledger.len()..=ledger.len() + 4 * 3).contains(&accepted),
        "{accepted} accepted"
    );
}

#[tokio::test]
async fn half_bodies_and_slow_bodies_lose_nothing() {
    let server = Server::start(|_, _| ok()).await;
    let mut poor = Scenario {
        backlog: 120,
        batch: Some(4),
        ..scenario(&server)
    };
    poor.error_delay_ms = Some(5);
    poor.faults.half_body = 0.3;
    poor.faults.slow_body = 0.1;
    poor.faults.slow_byte_ms = 1;
    let (summary, ledger) = deliver(poor.clone()).await;
    assert_eq!(summary.faults_not_seen(&poor), Vec::<&str>::new());
    assert_eq!((summary.acked, ledger.len()), (120, 120));
    let uploads = server.uploads();
    let half = uploads
        .iter()
        .filter(|u| !u.is_whole() && u.body.len() == u.announced / 2)
        .count();
    assert_eq!(u64::try_from(half).unwrap(), summary.faults.half_bodies);
    assert_eq!(lines_sent(&uploads).len(), 120);
}

#[tokio::test]
async fn replays_bring_old_records_in_another_grouping_and_enter_the_ledger_once() {
    let server = Server::start(|_, _| ok()).await;
    let mut again = Scenario {
        backlog: 200,
        batch: Some(7),
        ..scenario(&server)
    };
    again.faults.replay = 0.5;
    let (summary, ledger) = deliver(again).await;
    assert!(summary.faults.replays >= 5);
    assert_eq!(ledger.len(), 200);
    let sent = lines_sent(&server.uploads());
    assert_eq!(sent.len(), 200);
    let more: usize = sent.values().map(|times| times - 1).sum();
    assert_eq!(u64::try_from(more).unwrap(), summary.replayed_records);
    assert!(server.uploads().iter().any(|u| u.lines().len() > 7));
}

#[tokio::test]
async fn twins_stand_in_one_body_and_twice_in_the_ledger() {
    let server = Server::start(|_, _| ok()).await;
    let mut doubled = Scenario {
        backlog: 90,
        batch: Some(1),
        ..scenario(&server)
    };
    doubled.faults.twins = 0.5;
    let (summary, ledger) = deliver(doubled).await;
    assert!(summary.faults.twins >= 10);
    let twins = usize::try_from(summary.faults.twins).unwrap();
    let pairs = server
        .uploads()
        .iter()
        .filter(|u| u.lines().len() == 2)
        .count();
    assert_eq!(
        (pairs, ledger.len()),
        (twins, usize::try_from(summary.acked).unwrap())
    );
    assert_eq!(Ledger::distinct(&ledger).len(), ledger.len() - twins);
}

#[tokio::test]
async fn terminals_can_share_a_serial_and_clocks_can_fall_back() {
    let server = Server::start(|_, _| ok()).await;
    let mut odd = Scenario {
        count: 6,
        backlog: 100,
        ..scenario(&server)
    };
    odd.faults.duplicate_serial = 1.0;
    odd.faults.clock_reset = 1.0;
    let (summary, ledger) = deliver(odd.clone()).await;
    assert_eq!(summary.faults.duplicate_serials, 3);
    assert_eq!(summary.faults.clock_resets, 12);
    let serials: BTreeSet<&str> = ledger.iter().map(|r| r.serial.as_str()).collect();
    assert_eq!(serials.into_iter().collect::<Vec<_>>(), odd.serials());
    assert_eq!(Ledger::distinct(&ledger).len(), 600);
    assert_eq!(
        ledger
            .iter()
            .filter(|r| r.time.starts_with("2000-01-0"))
            .count(),
        6 * 24
    );
}

#[tokio::test]
async fn every_habit_delivers_everything_and_equal_seeds_send_equal_lines() {
    let run = async || {
        let server = Server::start(|_, _| ok()).await;
        let mixed = Scenario {
            count: 40,
            backlog: 30,
            habits: HabitShares::mixed(),
            ..scenario(&server)
        };
        let (summary, _) = deliver(mixed).await;
        assert_eq!((summary.acked, summary.failures.total()), (1_200, 0));
        server.requests()
    };
    let (first, second) = (run().await, run().await);
    let uploads = |all: &[Request]| -> Vec<Request> {
        all.iter()
            .filter(|request| request.is_upload())
            .cloned()
            .collect()
    };
    assert_eq!(lines_sent(&uploads(&first)), lines_sent(&uploads(&second)));
    let any = |what: &str| first.iter().any(|request| request.head.contains(what));
    for habit in [
        " HTTP/1.0\r\n",
        "/iclock/iclock/",
        "/cdata.aspx?",
        "\r\nconnection: close",
        "\r\nCONTENT-LENGTH: ",
        "&INFO=Ver 8.0.4.3-20211015, 1000,",
        "&Stamp=9999 ",
        "&Stamp=8",
    ] {
        assert!(any(habit), "{habit:?} was never seen");
    }
    assert!(first.iter().any(|request| request.body.ends_with("\r\n\0")));
}

#[tokio::test]
async fn a_terminal_shakes_hands_tells_its_options_and_polls_at_the_servers_pace() {
    let server = Server::with(|_, request| {
        if request.line.contains("options=all") {
            let block = block(&request.serial());
            return Play::Reply("200 OK", block.replace("Delay=10", "Delay=1"));
        }
        ok()
    })
    .await;
    let idle = Scenario {
        backlog: 0,
        error_delay_ms: None,
        ..scenario(&server)
    };
    let fleet = Fleet::start(idle, None).unwrap();
    tokio::time::sleep(Duration::from_millis(2_600)).await;
    let summary = fleet.stop().await;
    let requests = server.requests();
    let first = "GET /iclock/cdata?SN=SIM0000001&options=all&pushver=2.4.1&language=69\
                 &PushOptionsFlag=1 HTTP/1.1";
    assert_eq!(requests[0].line, first);
    assert!(
        requests[1].line.contains("table=options"),
        "{:?}",
        requests[1]
    );
    assert!(requests[1].body.contains("FirmVer=Ver 8.0.4.3"));
    assert!(requests[2].is_poll() && requests[2].line.contains("&INFO=Ver%208.0.4.3"));
    let later: Vec<&Request> = requests[3..].iter().collect();
    assert!((2..=4).contains(&later.len()), "{later:?}");
    assert!(
        later
            .iter()
            .all(|r| r.is_poll() && !r.line.contains("INFO"))
    );
    assert_eq!((summary.handshakes, summary.wrong_time_zones), (1, 0));
}

#[tokio::test]
async fn a_refused_handshake_is_repeated_and_no_data_goes_before_it() {
    let server = Server::with(|_, request| {
        let early = request.at_ms < 250;
        match (request.line.contains("options=all"), early) {
            (true, true) => Play::Reply("403 Forbidden", "unknown serial".to_owned()),
            (true, false) => Play::Reply("200 OK", block(&request.serial())),
            (false, _) => ok(),
        }
    })
    .await;
    let (summary, _) = deliver(scenario(&server)).await;
    assert!(summary.handshakes_refused >= 2);
    let first = server.uploads()[0].at_ms;
    assert!(first >= 250, "data after {first} ms");
    assert_eq!(summary.pending, 0);
}

#[tokio::test]
async fn commands_are_answered_and_a_query_brings_the_rows_of_its_time_again() {
    let query = "C:7:DATA QUERY ATTLOG StartTime=2026-11-21 08:58:30\tEndTime=2026-11-21 08:58:42\n\
                 C:8:REBOOT\nC:9:INFO\n";
    let server = Server::with(move |uploads, request| {
        if request.line.contains("options=all") {
            return Play::Reply("200 OK", block(&request.serial()));
        }
        // The poll after the first upload brings the commands.
        if request.is_poll() && uploads == 1 {
            return Play::Reply("200 OK", query.to_owned());
        }
        ok()
    })
    .await;
    let asked = Scenario {
        poll_s: Some(1),
        duration_s: Some(4),
        ..scenario(&server)
    };
    let (summary, ledger) = deliver(Scenario {
        rate: 0.001,
        ..asked
    })
    .await;
    // The backlog lies three seconds apart, up to three seconds before 08:59:00.
    let again = server.uploads()[1].lines();
    assert_eq!((again.len(), ledger.len()), (5, 10));
    assert!(
        again[0].contains("08:58:30") && again[4].contains("08:58:42"),
        "{again:?}"
    );
    assert_eq!((summary.commands, summary.queried_records), (3, 5));
    let results: Vec<Request> = server
        .requests()
        .into_iter()
        .filter(|r| r.line.contains("/devicecmd"))
        .collect();
    assert_eq!(results.len(), 1);
    let lines = results[0].lines();
    assert_eq!(
        lines[..2],
        ["ID=7&Return=5&CMD=DATA", "ID=8&Return=-1002&CMD=REBOOT"]
    );
    assert_eq!(
        lines[2..4],
        ["ID=9&Return=0&CMD=INFO", "~SerialNumber=SIM0000001"]
    );
}

#[tokio::test]
async fn steady_records_and_a_burst_come_at_their_time_and_observers_see_them() {
    let server = Server::start(|_, _| ok()).await;
    let morning = Scenario {
        count: 3,
        backlog: 0,
        rate: 120.0,
        duration_s: Some(2),
        bursts: vec![Burst {
            at_s: 1,
            punches: 20,
            over_s: 0,
        }],
        ..scenario(&server)
    };
    let fleet = Fleet::start(morning, None).unwrap();
    let mut seen = fleet.observe();
    let summary = fleet.run_to_end(DEADLINE).await;
    assert_eq!((summary.pending, summary.acked), (0, summary.generated));
    assert!(
        (3 * 23..=3 * 24).contains(&summary.acked),
        "{}",
        summary.acked
    );
    let mut observed = 0;
    while let Ok(observation) = seen.try_recv() {
        assert!(matches!(observation.result, UploadResult::Acked { .. }));
        assert!(observation.serial.starts_with("SIM000000"));
        observed += observation.records;
    }
    assert_eq!(observed, summary.acked);
    let early = server
        .uploads()
        .iter()
        .filter(|u| u.at_ms < 900 && u.lines().len() >= 10)
        .count();
    assert_eq!(early, 0, "the burst came before its time");
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_again_and_nothing_is_forgotten() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let server = Server::start(|_, _| ok()).await;
    let mut away = scenario(&server);
    away.target = nowhere.parse().unwrap();
    let (summary, ledger) = deliver_within(away, Duration::from_millis(500)).await;
    assert_eq!((summary.acked, summary.pending, ledger.len()), (0, 10, 0));
    assert!(summary.failures.connect >= 3, "{:?}", summary.failures);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_stops_the_fleet_and_counts_nothing_as_acknowledged() {
    let server = Server::start(|_, _| ok()).await;
    let full = Ledger::create(std::path::Path::new("/dev/full")).unwrap();
    let fleet = Fleet::start(scenario(&server), Some(full)).unwrap();
    let summary = fleet.finish(DEADLINE).await;
    assert_eq!((summary.acked, summary.pending), (0, 10));
    assert!(summary.ledger_error.is_some());
}
