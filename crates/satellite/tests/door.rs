//! The door as terminals see it: raw bytes over TCP against a whole daemon on SQLite.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::time::Duration;

use event::{Millis, Serial, TenantId};
use satellite::Config;
use satellite::config::Unknown;
use satellite::lifecycle::Satellite;
use store::feed::{self, FeedFilter};
use store::registry::{self, EnrolmentState, NewEnrolment};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

mod house;
use house::{House, KNOWN, PUNCH, enrolment, post, read_reply};

/// True when the other side closes the connection within the time.
async fn closes_within(stream: &mut TcpStream, seconds: u64) -> bool {
    let mut rest = Vec::new();
    let reading = stream.read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_secs(seconds), reading)
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_punch_of_an_approved_terminal_is_acknowledged_and_stands_in_the_feed_once() {
    let house = House::new().await;
    for _ in 0..2 {
        let (head, body) = house.post(KNOWN, "ATTLOG", PUNCH).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(body, "OK: 1\n");
    }
    let rows = house.rows().await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].person.as_deref(), Some("1001"));
    assert_eq!(
        house
            .metric("satellite_events_committed_total{route=\"push\"")
            .await,
        1.0
    );
    assert_eq!(
        house
            .metric("satellite_events_duplicate_total{route=\"push\"")
            .await,
        1.0
    );
    assert_eq!(
        house
            .metric("satellite_events_received_total{route=\"push\"")
            .await,
        2.0
    );
    let trace = house.admin(&format!("/trace/{KNOWN}")).await;
    assert_eq!(trace.matches("\"state\":\"ok\"").count(), 5, "{trace}");
    assert!(house.admin("/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(house.admin("/readyz").await.starts_with("HTTP/1.1 200"));
    house.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_names_are_in_title_case_and_the_time_comes_only_where_it_may() {
    let house = House::new().await;
    let handshake = |serial: &str| {
        format!(
            "GET /iclock/cdata?SN={serial}&options=all&pushver=2.4.1 HTTP/1.1\r\nHost: x\r\n\r\n"
        )
    };
    let (head, body) = house.ask(handshake(KNOWN).as_bytes()).await;
    assert!(head.contains("\r\nDate: "), "{head}");
    assert!(
        head.contains("\r\nContent-Type: text/plain;charset=UTF-8\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nContent-Length: "), "{head}");
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert!(body.contains("TimeZone=-6\n"), "{body}");
    let (head, body) = house.ask(handshake("STRANGER1").as_bytes()).await;
    assert!(!head.contains("Date:"), "{head}");
    assert!(body.starts_with("GET OPTION FROM: STRANGER1\n") && !body.contains("TimeZone"));

    let hands_off = House::with(|config| config.tenants[0].set_clock = false).await;
    let (head, body) = hands_off.ask(handshake(KNOWN).as_bytes()).await;
    assert!(
        !head.contains("Date:") && !body.contains("TimeZone"),
        "{head}{body}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_terminal_keeps_its_records_until_it_is_approved() {
    let house = House::new().await;
    let (head, body) = house.post("STRANGER1", "ATTLOG", PUNCH).await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    assert!(!body.to_uppercase().contains("OK"), "{body}");
    assert_eq!(house.refused("pending").await, 1.0);
    assert_eq!(house.metric("satellite_devices_pending").await, 1.0);

    let mut engine = house.config.store.connect().await.unwrap();
    registry::enrol(&mut engine, enrolment("STRANGER1"), Millis(1), "test")
        .await
        .unwrap();
    let began = std::time::Instant::now();
    while house.post("STRANGER1", "ATTLOG", PUNCH).await.1 != "OK: 1\n" {
        assert!(began.elapsed() < Duration::from_secs(10), "not noticed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(house.rows().await.len(), 1);
    assert_eq!(house.metric("satellite_devices_pending").await, 0.0);

    let serial = Serial::new("STRANGER1").unwrap();
    let blocked = EnrolmentState::Blocked;
    registry::set_state(&mut engine, &serial, blocked, Millis(2), "test")
        .await
        .unwrap();
    while !house
        .post("STRANGER1", "ATTLOG", PUNCH)
        .await
        .0
        .starts_with("HTTP/1.1 403")
    {
        assert!(began.elapsed() < Duration::from_secs(20), "not noticed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_terminals_are_enrolled_or_rejected_where_that_is_configured() {
    let tenant = TenantId::new("main").unwrap();
    let house = House::with(|config| config.unknown = Unknown::Accept(tenant)).await;
    let began = std::time::Instant::now();
    while house.post("NEW1", "ATTLOG", PUNCH).await.1 != "OK: 1\n" {
        assert!(began.elapsed() < Duration::from_secs(10), "not accepted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let house = House::with(|config| config.unknown = Unknown::Reject).await;
    let (head, _) = house
        .ask(b"GET /iclock/cdata?SN=NEW1&options=all HTTP/1.1\r\n\r\n")
        .await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    assert_eq!(house.refused("unknown_device").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keep_alive_close_and_http_1_0_are_honoured() {
    let house = House::new().await;
    let ping = |rest: &str| format!("GET /iclock/ping?SN={KNOWN} {rest}\r\n\r\n");
    let mut stream = house.connect().await;
    for _ in 0..3 {
        stream
            .write_all(ping("HTTP/1.1\r\nHost: x").as_bytes())
            .await
            .unwrap();
        assert_eq!(read_reply(&mut stream).await.1, "OK\n");
    }
    stream
        .write_all(ping("HTTP/1.1\r\nConnection: close").as_bytes())
        .await
        .unwrap();
    assert_eq!(read_reply(&mut stream).await.1, "OK\n");
    assert!(closes_within(&mut stream, 5).await);

    let mut stream = house.connect().await;
    stream.write_all(ping("HTTP/1.0").as_bytes()).await.unwrap();
    assert_eq!(read_reply(&mut stream).await.1, "OK\n");
    assert!(closes_within(&mut stream, 5).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_sent_before_the_answer_to_the_last_are_answered_in_their_order() {
    let house = House::new().await;
    let upload = post(KNOWN, "ATTLOG", "", PUNCH);
    let ping = format!("GET /iclock/ping?SN={KNOWN} HTTP/1.1\r\nHost: x\r\n\r\n");
    let (first, second) = ping.split_at(30);
    let mut stream = house.connect().await;
    for _ in 0..3 {
        let both = format!("{upload}{first}");
        stream.write_all(both.as_bytes()).await.unwrap();
        assert_eq!(read_reply(&mut stream).await.1, "OK: 1\n");
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(second.as_bytes()).await.unwrap();
        assert_eq!(read_reply(&mut stream).await.1, "OK\n");
    }
    assert_eq!(house.rows().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_hangs_up_frees_its_place() {
    let house = House::new().await;
    let mut stream = house.connect().await;
    let ping = format!("GET /iclock/ping?SN={KNOWN} HTTP/1.1\r\n\r\n");
    stream.write_all(ping.as_bytes()).await.unwrap();
    read_reply(&mut stream).await;
    assert_eq!(house.metric("satellite_connections").await, 1.0);
    drop(stream);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(house.metric("satellite_connections").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_closes_its_writing_half_still_hears_its_answer() {
    let house = House::new().await;
    let mut stream = house.connect().await;
    stream
        .write_all(post(KNOWN, "ATTLOG", "", PUNCH).as_bytes())
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read_reply(&mut stream).await.1, "OK: 1\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_blanks_in_the_query_are_served() {
    let house = House::new().await;
    let request = format!(
        "GET /iclock/getrequest?SN={KNOWN}&INFO=Ver 8.0.4.7-20230615,1, 2, 3 HTTP/1.1\r\nHost: x\r\n\r\n"
    );
    let (head, body) = house.ask(request.as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body, "OK\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_refusal_says_the_word_that_makes_a_terminal_forget() {
    let house = House::new().await;
    let requests = [
        post(KNOWN, "ATTLOG", "Content-Encoding: gzip\r\n", "\x1f\x08"),
        "GET / HTTP/1.1\r\n\r\n".into(),
        "GET /iclock/nonsense?SN=OK HTTP/1.1\r\n\r\n".into(),
        "GET /iclock/cdata?options=all HTTP/1.1\r\n\r\n".into(),
        "GET /iclock/cdata?SN=..%2F..%2FOK&options=all HTTP/1.1\r\n\r\n".into(),
        format!("PUT /iclock/cdata?SN={KNOWN} HTTP/1.1\r\n\r\n"),
        format!(
            "POST /iclock/exchange?SN={KNOWN}&type=publickey HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
        ),
        "BROKEN\r\n\r\n".into(),
    ];
    let statuses = ["415", "404", "404", "400", "400", "405", "404", "400"];
    for (request, status) in requests.iter().zip(statuses) {
        let mut stream = house.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let (head, body) = read_reply(&mut stream).await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}\n{head}"
        );
        let spoken = head.to_uppercase().replace("BROKEN", "") + &body.to_uppercase();
        assert!(!spoken.contains("OK"), "{request}\n{head}{body}");
    }
    assert!(house.rows().await.is_empty());
    assert_eq!(house.refused("unsupported_encoding").await, 1.0);
    assert_eq!(house.refused("head_unreadable").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_body_stores_nothing_and_ends_the_connection() {
    let house = House::new().await;
    let mut stream = house.connect().await;
    let whole = post(KNOWN, "ATTLOG", "", &PUNCH.repeat(3));
    stream
        .write_all(&whole.as_bytes()[..whole.len() - 10])
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let mut all = String::new();
    let reading = stream.read_to_string(&mut all);
    tokio::time::timeout(Duration::from_secs(5), reading)
        .await
        .unwrap()
        .unwrap();
    assert!(!all.contains("OK"), "{all}");
    assert!(house.rows().await.is_empty());
    assert_eq!(house.refused("bad_request").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_length_is_in_doubt_is_refused_and_the_connection_ends() {
    let house = House::new().await;
    let length = format!("Content-Length: {}\r\n", PUNCH.len());
    let chunks = "Transfer-Encoding: chunked\r\n";
    let chunked = format!("{:x}\r\n{PUNCH}\r\n0\r\n\r\n", PUNCH.len());
    let doubtful = [
        (format!("{length}{chunks}"), chunked.as_str()),
        (format!("{chunks}{length}"), chunked.as_str()),
        (String::new(), PUNCH),
        ("Content-Length: 10\r\n".to_owned(), PUNCH),
    ];
    let head = format!("POST /iclock/cdata?SN={KNOWN}&table=ATTLOG HTTP/1.1\r\nHost: x\r\n");
    for (lengths, body) in &doubtful {
        let mut stream = house.connect().await;
        let request = format!("{head}{lengths}\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (reply, _) = read_reply(&mut stream).await;
        assert!(reply.starts_with("HTTP/1.1 400 "), "{lengths}: {reply}");
        assert!(reply.contains("Connection: close"), "{lengths}: {reply}");
        assert!(closes_within(&mut stream, 5).await, "{lengths}");
    }
    assert_eq!(house.rows().await.len(), 0);
    assert_eq!(house.refused("bad_request").await, 4.0);
    // Chunks alone say where they end.
    let (reply, body) = house
        .ask(format!("{head}{chunks}\r\n{chunked}").as_bytes())
        .await;
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    assert_eq!(body, "OK: 1\n");
    assert_eq!(house.rows().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversize_body_is_read_to_its_end_and_acknowledged_only_where_nothing_is_kept() {
    let house = House::with(|config| config.limits.body = 64 * 1024).await;
    let line = format!("BIODATA Pin=1\tNo=0\tTmp={}\n", "A".repeat(1_000));
    let (head, body) = house.post(KNOWN, "BIODATA", &line.repeat(300)).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body, "OK: 300\n");
    assert_eq!(house.metric("satellite_records_dropped_total").await, 300.0);

    let (head, _) = house.post(KNOWN, "ATTLOG", &PUNCH.repeat(5_000)).await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    assert_eq!(house.refused("too_large").await, 1.0);
    assert!(house.rows().await.is_empty());
    let trace = house.admin(&format!("/trace/{KNOWN}")).await;
    assert!(trace.contains("limits.body"), "{trace}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_line_is_quarantined_and_still_counted() {
    let house = House::new().await;
    let (_, body) = house
        .post(KNOWN, "ATTLOG", &format!("{PUNCH}nonsense\n"))
        .await;
    assert_eq!(body, "OK: 2\n");
    assert_eq!(house.rows().await.len(), 1);
    let text = house.admin("/metrics").await;
    let aside: f64 = text
        .lines()
        .filter(|line| line.starts_with("satellite_quarantined_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!(aside, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_limit_of_connections_fires() {
    let house = House::with(|config| config.limits.connections_per_address = 2).await;
    let _held = [house.connect().await, house.connect().await];
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(closes_within(&mut house.connect().await, 5).await);
    assert_eq!(house.refused("connections_per_address").await, 1.0);

    let house = House::with(|config| config.limits.connections = 1).await;
    let _held = house.connect().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(closes_within(&mut house.connect().await, 5).await);
    assert_eq!(house.refused("connections").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_silent_peers_are_cut_off_by_the_limit_of_their_phase() {
    let second = Duration::from_secs(1);
    let house = House::with(|config| {
        config.limits.header_time = second;
        config.limits.body_time = second;
        config.limits.idle_time = second * 2;
    })
    .await;
    let mut slow_head = house.connect().await;
    slow_head.write_all(b"GET /iclock/ping?SN=").await.unwrap();
    let mut slow_body = house.connect().await;
    let upload = post(KNOWN, "ATTLOG", "", PUNCH);
    slow_body
        .write_all(&upload.as_bytes()[..upload.len() - 5])
        .await
        .unwrap();
    let mut silent = house.connect().await;
    assert!(closes_within(&mut slow_head, 5).await);
    assert!(closes_within(&mut slow_body, 5).await);
    assert!(closes_within(&mut silent, 5).await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(house.refused("header_timeout").await, 1.0);
    assert_eq!(house.refused("body_timeout").await, 1.0);
    assert_eq!(house.metric("satellite_idle_closed_total").await, 1.0);
    assert!(house.rows().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_too_long_is_refused() {
    let house = House::new().await;
    let bomb = format!(
        "GET /iclock/ping?SN={KNOWN} HTTP/1.1\r\nA: {}\r\n\r\n",
        "b".repeat(9_000)
    );
    let (head, _) = house.ask(bomb.as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 431"), "{head}");
    let many = "A: b\r\n".repeat(100);
    let bomb = format!("GET /iclock/ping?SN={KNOWN} HTTP/1.1\r\n{many}\r\n");
    let (head, _) = house.ask(bomb.as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 431"), "{head}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(house.refused("head_too_large").await, 2.0);
}

const LONG_UPLOAD: &str =
    "POST /iclock/cdata?SN=ABC1234560001&table=ATTLOG HTTP/1.1\r\nContent-Length: 65536\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_beyond_the_memory_for_all_requests_are_put_off() {
    let house = House::with(|config| {
        config.limits.body = 64 * 1024;
        config.limits.in_flight = 64 * 1024;
    })
    .await;
    // All but the last byte: the room is taken as long as that may come.
    let mut holder = house.connect().await;
    holder.write_all(LONG_UPLOAD.as_bytes()).await.unwrap();
    holder.write_all(&[b'0'; 65_535]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (head, body) = house.post(KNOWN, "ATTLOG", PUNCH).await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(!body.to_uppercase().contains("OK"));
    assert_eq!(house.refused("overloaded").await, 1.0);
    drop(holder);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(house.post(KNOWN, "ATTLOG", PUNCH).await.1, "OK: 1\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_announced_takes_room_from_nobody() {
    let house = House::with(|config| {
        config.limits.body = 64 * 1024;
        config.limits.in_flight = 512 * 1024;
    })
    .await;
    let mut holders = Vec::new();
    for _ in 0..30 {
        let mut holder = house.connect().await;
        holder.write_all(LONG_UPLOAD.as_bytes()).await.unwrap();
        holder.write_all(b"0").await.unwrap();
        holders.push(holder);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(house.post(KNOWN, "ATTLOG", PUNCH).await.1, "OK: 1\n");
    // Nor do those that bring as much as there is, but for the last byte.
    for holder in &mut holders {
        // The later ones are refused half-way.
        holder.write_all(&[b'0'; 65_000]).await.ok();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(house.refused("overloaded").await > 0.0);
    let other = "1002\t2026-11-21 10:16:30\t0\t1\t\t0\t0\n";
    assert_eq!(house.post(KNOWN, "ATTLOG", other).await.1, "OK: 1\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_trusted_proxy_the_forwarded_address_counts() {
    let house = House::with(|config| {
        config.limits.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.limits.connections_per_address = 1;
    })
    .await;
    let upload = post(KNOWN, "ATTLOG", "X-Forwarded-For: 203.0.113.5\r\n", PUNCH);
    let mut slow = house.connect().await;
    slow.write_all(&upload.as_bytes()[..upload.len() - 5])
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (head, _) = house.ask(upload.as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    let other = upload.replace("203.0.113.5", "198.51.100.1, 203.0.113.6");
    assert_eq!(house.ask(other.as_bytes()).await.1, "OK: 1\n");
    let trace = house.admin(&format!("/trace/{KNOWN}")).await;
    assert!(trace.contains("203.0.113.6"), "{trace}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_configuration_is_not_taken_over_and_a_right_one_is() {
    let house = House::new().await;
    let file = house.config.state_dir.join("satellite.toml");
    std::fs::write(&file, "[[tenant]]\nid = \"main\"\n").unwrap();
    assert!(house.running.reload_file(Some(&file)).await.is_err());
    assert_eq!(house.post(KNOWN, "ATTLOG", PUNCH).await.1, "OK: 1\n");
    assert_eq!(
        house
            .metric("satellite_config_reloads_total{result=\"failed\"}")
            .await,
        1.0
    );

    let right = "[enrolment]\nunknown = \"reject\"\n[[tenant]]\nid = \"main\"\ntime_zone = \"America/Mexico_City\"\nset_clock = false\n";
    std::fs::write(&file, right).unwrap();
    house.running.reload_file(Some(&file)).await.unwrap();
    let (head, body) = house.post(KNOWN, "ATTLOG", PUNCH).await;
    assert_eq!(body, "OK: 1\n");
    assert!(!head.contains("Date:"), "{head}");
    let (head, _) = house.post("STRANGER1", "ATTLOG", PUNCH).await;
    assert!(head.starts_with("HTTP/1.1 403"));
    assert_eq!(house.refused("unknown_device").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stamps_outlive_a_restart_and_are_echoed() {
    let house = House::new().await;
    assert_eq!(house.post(KNOWN, "ATTLOG", PUNCH).await.1, "OK: 1\n");
    let House {
        running,
        config,
        _folder,
    } = house;
    running.stop().await;
    let running = Satellite::start(config.clone()).await.unwrap();
    let house = House {
        running,
        config,
        _folder,
    };
    let request =
        format!("GET /iclock/cdata?SN={KNOWN}&options=all&pushver=2.4.1 HTTP/1.1\r\n\r\n");
    let (_, body) = house.ask(request.as_bytes()).await;
    assert!(body.contains("ATTLOGStamp=9999\n"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_its_database_away_a_terminal_is_known_and_told_to_come_again() {
    let house = House::new().await;
    let House {
        running,
        mut config,
        _folder,
    } = house;
    running.stop().await;
    config.store = store::Target::Sqlite(_folder.path().join("away/events.db"));
    let running = Satellite::start(config.clone()).await.unwrap();
    let house = House {
        running,
        config,
        _folder,
    };
    assert!(house.admin("/readyz").await.starts_with("HTTP/1.1 200"));
    let (head, body) = house.post(KNOWN, "ATTLOG", PUNCH).await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(!body.to_uppercase().contains("OK"), "{body}");
    let ping = format!("GET /iclock/ping?SN={KNOWN} HTTP/1.1\r\n\r\n");
    assert_eq!(house.ask(ping.as_bytes()).await.1, "OK\n");
    assert!(house.admin("/healthz").await.starts_with("HTTP/1.1 200"));
    let status = house.admin("/status").await;
    assert!(status.contains("\"up\":false"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_a_request_in_flight_is_answered_and_idle_peers_are_let_go() {
    let house = House::new().await;
    let mut idle = house.connect().await;
    let ping = format!("GET /iclock/ping?SN={KNOWN} HTTP/1.1\r\n\r\n");
    idle.write_all(ping.as_bytes()).await.unwrap();
    assert_eq!(read_reply(&mut idle).await.1, "OK\n");
    let mut busy = house.connect().await;
    let upload = post(KNOWN, "ATTLOG", "", PUNCH);
    let (start, rest) = upload.as_bytes().split_at(upload.len() - 5);
    busy.write_all(start).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let House {
        running,
        config,
        _folder,
    } = house;
    let began = std::time::Instant::now();
    let stopping = tokio::spawn(running.stop());
    assert!(closes_within(&mut idle, 5).await);
    busy.write_all(rest).await.unwrap();
    let (head, body) = read_reply(&mut busy).await;
    assert_eq!(body, "OK: 1\n");
    assert!(head.contains("Connection: close"), "{head}");
    stopping.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
    let mut engine = config.store.connect().await.unwrap();
    let filter = FeedFilter {
        limit: 10,
        ..FeedFilter::default()
    };
    assert_eq!(feed::read(&mut engine, &filter).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_from_before_the_enrolment_are_acknowledged_counted_and_not_stored() {
    let house = House::new().await;
    let mut engine = house.config.store.connect().await.unwrap();
    // 2026-11-21 16:00:00 UTC is 10:00:00 in Mexico City.
    let from = Millis::parse("2026-11-21 16:00:00").unwrap();
    let resold = NewEnrolment {
        accept_from: Some(Some(from)),
        ..enrolment("RESOLD1")
    };
    registry::enrol(&mut engine, resold, Millis(1), "test")
        .await
        .unwrap();
    let body = PUNCH.replace("10:15:30", "09:59:59") + PUNCH;
    let began = std::time::Instant::now();
    while house.post("RESOLD1", "ATTLOG", &body).await.1 != "OK: 2\n" {
        assert!(began.elapsed() < Duration::from_secs(10), "not noticed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let rows = house.rows().await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].local_time.as_deref(), Some("2026-11-21 10:15:30"));
    assert_eq!(house.metric("satellite_before_enrolment_total{").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_larger_than_one_transaction_is_stored_whole_and_acknowledged_once() {
    let house = House::new().await;
    let body: String = (0..25_000)
        .map(|n| format!("{n}\t2026-11-21 10:15:30\t0\t1\n"))
        .collect();
    assert_eq!(house.post(KNOWN, "ATTLOG", &body).await.1, "OK: 25000\n");
    assert_eq!(
        house
            .metric("satellite_events_committed_total{route=\"push\"")
            .await,
        25_000.0
    );
    assert_eq!(house.metric("satellite_ack_seconds_count").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_registry_and_without_its_copy_nobody_is_taken_for_a_stranger() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::in_folder(folder.path());
    config.listen.devices = "127.0.0.1:0".parse().unwrap();
    config.listen.admin = "127.0.0.1:0".parse().unwrap();
    config.store = store::Target::Sqlite(folder.path().join("away/events.db"));
    let running = Satellite::start(config.clone()).await.unwrap();
    let house = House {
        running,
        config,
        _folder: folder,
    };
    assert!(house.admin("/readyz").await.starts_with("HTTP/1.1 503"));
    let (head, _) = house.post(KNOWN, "ATTLOG", PUNCH).await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert_eq!(house.metric("satellite_devices_pending").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_on_the_plain_door_is_named_with_what_to_switch_off_in_the_terminal() {
    let house = House::new().await;
    // The beginning of a hello, without any line end, from a peer that then waits.
    let hello = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        &[0x41; 120],
    ]
    .concat();
    let mut stream = house.connect().await;
    stream.write_all(&hello).await.unwrap();
    assert!(closes_within(&mut stream, 5).await);
    let began = std::time::Instant::now();
    while house.refused("tls").await < 1.0 {
        assert!(began.elapsed() < Duration::from_secs(5), "not counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let status = house.admin("/status").await;
    assert!(status.contains("switch HTTPS off"), "{status}");
    assert!(
        status.contains("the terminal's server settings"),
        "{status}"
    );
    assert_eq!(house.refused("head_unreadable").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_in_the_journal_without_a_row_left_is_drained_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::in_folder(folder.path());
    config.listen.devices = "127.0.0.1:0".parse().unwrap();
    config.listen.admin = "127.0.0.1:0".parse().unwrap();
    let mut engine = config.store.connect().await.unwrap();
    store::schema::migrate(&mut engine).await.unwrap();
    let device = event::DeviceId([7; 16]);
    // All of its events were older than the enrolment accepts: only its cursor is left.
    let left = store::Submission {
        device: std::sync::Arc::new(event::Device {
            id: device,
            tenant: Some(TenantId::new("main").unwrap()),
            vendor: event::Vendor::Hikvision,
            serial: Serial::new("HIK0000001").unwrap(),
            name: None,
            site: None,
            zone: event::Zone::utc(),
            canary: false,
        }),
        events: vec![],
        quarantined: vec![],
        cursors: vec![("hik:chain".into(), "x".into())],
        expects: None,
        fence: None,
    };
    let limits = store::JournalLimits {
        free_percent: 0,
        ..store::JournalLimits::default()
    };
    let journal = store::Journal::open(folder.path(), limits).await.unwrap();
    journal.append("store", &left).await.unwrap();
    assert!(journal.holds(device));
    drop(journal);

    let running = Satellite::start(config.clone()).await.unwrap();
    let began = std::time::Instant::now();
    loop {
        let cursors = store::cursors(&mut engine, Some(&[device])).await.unwrap();
        if cursors.iter().any(|(_, name, _)| name == "hik:chain") {
            break;
        }
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "it waits for ever"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    running.stop().await;
}
