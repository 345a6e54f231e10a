//! Promises of the simulated Hikvision devices, judged by something independent: curl.
//!
//! Real TCP, real time, short delays. What curl makes of a device's logins, lengths and
//! chunks is the judge; only where curl cannot look (bytes behind a lying length) a bare
//! socket does. Without curl the tests say so on standard error and prove nothing.

#[cfg(test)]
mod asking;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use asking::Heard;
use asking::{ask, curl, everything, login, no_curl, serials_in, until, url};
use terminals::hikvision::{
    Algorithm, Boundary, Device, DeviceOptions, LogOptions, PartLength, StreamHead,
};
use terminals::{HikvisionRecord, Ledger};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

const STREAM: &str = "/ISAPI/Event/notification/alertStream";
const INFO: &str = "/ISAPI/System/deviceInfo";

#[cfg(test)]
async fn get(device: &Device, path: &str) -> Heard {
    curl(&login(device), &["-i", &url(device, path)]).await
}

#[cfg(test)]
fn device(change: fn(&mut DeviceOptions)) -> Device {
    let mut options = DeviceOptions::default();
    options.log.door_rows = false;
    change(&mut options);
    Device::start(options, None).unwrap()
}

#[tokio::test]
async fn every_digest_lets_the_right_password_in_and_no_other() {
    if no_curl() {
        return;
    }
    for algorithm in [
        Algorithm::Md5,
        Algorithm::Unnamed,
        Algorithm::Sha256,
        Algorithm::Both,
    ] {
        let mut options = DeviceOptions::default();
        options.login.algorithm = algorithm;
        options.login.offer_basic = true;
        let device = Device::start(options, None).unwrap();
        let heard = get(&device, INFO).await;
        let serial = "<serialNumber>HIK0000001</serialNumber>";
        assert!(heard.text.contains(serial), "{algorithm:?}: {}", heard.text);
        assert!(heard.text.contains("HTTP/1.1 401 Unauthorized\r\n"));
        assert!(heard.text.contains("\r\nConnection: close\r\n"));
        let wrong = curl("satellite:guess", &["-i", &url(&device, INFO)]).await;
        assert!(!wrong.text.contains("serialNumber"), "{}", wrong.text);
        let counted = device.counters();
        assert_eq!((counted.logins, counted.logins_wrong), (1, 1));
    }
}

#[tokio::test]
async fn wrong_logins_lock_and_another_login_begins_the_time_anew() {
    if no_curl() {
        return;
    }
    let device = device(|options| options.login.lock_s = 4);
    for _ in 0..5 {
        curl("satellite:guess", &[&url(&device, INFO)]).await;
    }
    assert_eq!(device.counters().lockouts, 1);
    let heard = get(&device, INFO).await;
    assert!(heard.text.contains("<lockStatus>lock</lockStatus>"));
    assert!(!heard.text.contains("WWW-Authenticate"), "{}", heard.text);
    // A login sent without waiting for a challenge, just before the time is over.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let blind = "Authorization: Digest username=\"satellite\"";
    let plain = ["-s", "-H", blind, &url(&device, INFO)];
    Command::new("curl").args(plain).output().await.unwrap();
    assert_eq!(device.counters().locked_logins, 1);
    tokio::time::sleep(Duration::from_millis(2_000)).await;
    assert!(!get(&device, INFO).await.text.contains("serialNumber"));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(get(&device, INFO).await.text.contains("serialNumber"));
    assert_eq!(device.counters().lockouts, 1);
}

/// Logs in by curl and gives the `Authorization` header that curl made of it.
#[cfg(test)]
async fn authorization(device: &Device) -> String {
    let words = ["-v", "--stderr", "-", &url(device, INFO)];
    let heard = curl(&login(device), &words).await;
    let sent = heard
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("> "));
    let mut logins = sent.filter(|line| line.starts_with("Authorization: Digest"));
    logins.next_back().unwrap().trim().to_owned()
}

/// Asks with a header made before, so many times on one connection.
#[cfg(test)]
async fn with_header(device: &Device, header: &str, times: usize) -> String {
    let mut command = Command::new("curl");
    command.args(["-s", "-i", "-H", header]);
    command.args(vec![url(device, INFO); times]);
    let output = command.output().await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_nonce_for_one_use_is_answered_401_without_a_challenge_the_second_time() {
    if no_curl() {
        return;
    }
    for once in [true, false] {
        let mut options = DeviceOptions::default();
        options.login.nonce_once = once;
        let device = Device::start(options, None).unwrap();
        let header = authorization(&device).await;
        let again = with_header(&device, &header, 1).await;
        assert_eq!(again.contains("<serialNumber>"), !once, "{again}");
        assert_eq!(again.contains("HTTP/1.1 401"), once, "{again}");
        assert!(!again.contains("WWW-Authenticate") && !again.contains("stale"));
        assert_eq!(device.counters().spent, u64::from(once));
        device.forget_nonces();
        let stale = with_header(&device, &header, 1).await;
        assert!(stale.contains("stale=true"), "{stale}");
    }
}

#[tokio::test]
async fn pages_are_clamped_to_thirty_and_bring_everything_once() {
    if no_curl() {
        return;
    }
    let device = device(|options| {
        options.log.history = 95;
        options.log.first_serial = 501;
        options.search.shuffle = true;
    });
    let cond = "\"searchResultPosition\":0,\"maxResults\":100,\"major\":0,\"minor\":0";
    let page = ask(&device, cond).await;
    let found = &page["AcsEvent"];
    assert_eq!(
        (&found["responseStatusStrg"], &found["totalMatches"]),
        (&"MORE".into(), &95.into())
    );
    let numbers: Vec<u64> = found["InfoList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["serialNo"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers.len(), 30);
    assert!(!numbers.is_sorted(), "{numbers:?}");
    assert_eq!(
        BTreeSet::from_iter(numbers),
        (501..=530).collect::<BTreeSet<u64>>()
    );

    let rows = everything(&device, 500).await;
    let all: BTreeSet<u64> = rows.iter().filter_map(|r| r["serialNo"].as_u64()).collect();
    assert_eq!((rows.len(), all), (95, (501..=595).collect()));
    let newest = format!("{},\"timeReverseOrder\":true", cond.replace("100", "1"));
    let newest = ask(&device, &newest).await;
    assert_eq!(newest["AcsEvent"]["InfoList"][0]["serialNo"], 595);
    assert_eq!(device.unserved(), 0);
}

#[tokio::test]
async fn what_a_question_lacks_is_refused_by_name_and_total_wants_its_own_root() {
    if no_curl() {
        return;
    }
    let device = device(|options| options.log.history = 12);
    let refused = ask(&device, "\"searchResultPosition\":0,\"maxResults\":5").await;
    assert_eq!(
        (&refused["subStatusCode"], &refused["errorMsg"]),
        (&"MessageParametersLack".into(), &"major".into())
    );
    let path = url(&device, "/ISAPI/AccessControl/AcsEventTotalNum?format=json");
    let right = "{\"AcsEventTotalNumCond\":{\"major\":0,\"minor\":0}}";
    let total = curl(&login(&device), &["-d", right, &path]).await.text;
    assert!(total.contains("\"totalNum\":\t12"), "{total}");
    let wrong = right.replace("TotalNumCond", "Cond");
    let total = curl(&login(&device), &["-d", &wrong, &path]).await.text;
    assert!(total.contains("MessageParametersLack"), "{total}");
}

#[tokio::test]
async fn a_device_without_serials_is_searched_by_time_up_to_its_position_cap() {
    if no_curl() {
        return;
    }
    let device = device(|options| {
        options.log.history = 1_200;
        options.log.history_spacing_s = 60;
        options.search.serials = false;
        options.search.plain_times = true;
    });
    let path = "/ISAPI/AccessControl/AcsEvent/capabilities?format=json";
    let capabilities = get(&device, path).await.text;
    assert!(!capabilities.contains("beginSerialNo"), "{capabilities}");
    let all = "\"maxResults\":30,\"major\":0,\"minor\":0";
    let page = ask(&device, &format!("\"searchResultPosition\":1000,{all}")).await;
    let row = &page["AcsEvent"]["InfoList"][0];
    assert!(row.get("serialNo").is_none());
    assert_eq!(row["time"].as_str().unwrap().len(), 19);
    let beyond = ask(&device, &format!("\"searchResultPosition\":1001,{all}")).await;
    assert_eq!(beyond["AcsEvent"]["responseStatusStrg"], "NO MATCH");
    let hour = (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(60)).to_string();
    let recent = format!("\"searchResultPosition\":0,{all},\"startTime\":\"{hour}\"");
    let total = ask(&device, &recent).await["AcsEvent"]["totalMatches"].clone();
    assert!((58..=60).contains(&total.as_u64().unwrap()), "{total}");
}

#[tokio::test]
async fn stored_history_is_streamed_slowly_before_what_is_live_and_goes_on_where_it_was() {
    if no_curl() {
        return;
    }
    let device = device(|options| {
        options.log.history = 10;
        options.stream.replay_per_s = 20.0;
        options.stream.redeliver = 2;
    });
    let first = tokio::spawn({
        let (login, url) = (login(&device), url(&device, STREAM));
        async move { curl(&login, &["--max-time", "1.5", &url]).await }
    });
    until("the stream", || device.counters().streams == 1).await;
    // Made while the history is still on its way: it waits behind it.
    assert_eq!(device.punch("0042").await.unwrap(), 11);
    until("the history", || device.uploaded() == 11).await;
    assert_eq!(device.punch("0043").await.unwrap(), 12);
    let heard = first.await.unwrap();
    assert_eq!(heard.exit, 28, "the stream ended by itself: {}", heard.text);
    assert_eq!(serials_in(&heard.text), (1..=12).collect::<Vec<u64>>());
    assert_eq!(heard.text.matches("\"currentEvent\":\tfalse").count(), 11);
    assert_eq!(heard.text.matches("\"currentEvent\":\ttrue").count(), 1);
    assert!(heard.text.contains("\"eventType\":\t\"videoloss\""));

    device.punch("0044").await.unwrap();
    let heard = curl(&login(&device), &["--max-time", "1", &url(&device, STREAM)]).await;
    assert_eq!(serials_in(&heard.text), [11, 12, 13]);
}

#[tokio::test]
async fn a_second_stream_gets_deploy_exceed_max_until_the_slot_is_free() {
    if no_curl() {
        return;
    }
    let device = device(|options| {
        options.log.arming = true;
        options.stream.slot_lingers_ms = 300;
    });
    let stream = url(&device, STREAM);
    let mut first = Command::new("curl");
    first.args(["-s", "-N", "--digest", "-u", &login(&device), &stream]);
    let mut first = first
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until("the stream", || device.counters().streams == 1).await;
    let refused = get(&device, STREAM).await.text;
    assert!(refused.contains("<subStatusCode>deployExceedMax</subStatusCode>"));
    assert!(
        refused.contains("<errorCode>1610637336</errorCode>"),
        "{refused}"
    );
    let armed = get(&device, "/ISAPI/AccessControl/DeployInfo").await.text;
    assert_eq!(armed.matches("<ipAddr>127.0.0.1</ipAddr>").count(), 1);
    first.kill().await.unwrap();
    until("disarmed", || device.newest() == 2).await;
    let lingering = get(&device, STREAM).await.text;
    assert!(lingering.contains("deployExceedMax"), "{lingering}");
    tokio::time::sleep(Duration::from_millis(350)).await;
    let words = ["-i", "--max-time", "1", &stream];
    let open = curl(&login(&device), &words).await.text;
    assert!(open.contains("multipart/mixed; boundary=MIME_boundary"));
    assert_eq!(device.counters().arming_refused, 2);
}

#[tokio::test]
async fn a_lying_length_makes_a_client_that_believes_it_stop_after_the_first_part() {
    if no_curl() {
        return;
    }
    let device = device(|options| {
        options.log.history = 3;
        options.stream.replay_per_s = 1_000.0;
        options.stream.head = StreamHead::LyingLength;
        options.stream.redeliver = 3;
        options.login.close_on_challenge = false;
    });
    let heard = curl(&login(&device), &["--max-time", "5", &url(&device, STREAM)]).await;
    assert_eq!(heard.exit, 0);
    assert_eq!(heard.text.matches("--MIME_boundary").count(), 1);
    assert!(heard.text.ends_with("}\r\n"), "{}", heard.text);
    let stream = url(&device, STREAM);
    let words = ["--ignore-content-length", "--max-time", "1", &stream];
    let heard = curl(&login(&device), &words).await;
    assert_eq!(
        (heard.exit, heard.text.matches("--MIME_boundary").count()),
        (28, 4)
    );
}

#[tokio::test]
async fn chunks_are_chunks_and_their_parts_are_whole() {
    if no_curl() {
        return;
    }
    let device = device(|options| {
        options.log.history = 5;
        options.stream.replay_per_s = 1_000.0;
        options.stream.head = StreamHead::Chunked;
        options.stream.picture_bytes = 1_000;
    });
    let words = ["-i", "--max-time", "1", &url(&device, STREAM)];
    let heard = curl(&login(&device), &words).await;
    assert!(heard.text.contains("Transfer-Encoding: chunked\r\n"));
    assert_eq!(serials_in(&heard.text), [1, 2, 3, 4, 5]);
    assert_eq!(heard.text.matches("Content-Type:image/jpeg").count(), 5);
}

#[tokio::test]
async fn wrong_part_lengths_are_really_wrong_and_the_boundary_really_differs() {
    if no_curl() {
        return;
    }
    let device = device(|options| {
        options.log.history = 4;
        options.stream.replay_per_s = 1_000.0;
        options.stream.part_length = PartLength::Wrong;
        options.stream.boundary = Boundary::OtherCase;
    });
    let words = ["-i", "--max-time", "1", &url(&device, STREAM)];
    let text = curl(&login(&device), &words).await.text;
    let (_, stream) = text.split_once("boundary=mime_boundary\r\n\r\n").unwrap();
    let parts: Vec<&str> = stream.split("--MIME_boundary\r\n").skip(1).collect();
    assert_eq!(parts.len(), 5);
    let mut sizes = BTreeSet::new();
    for part in parts {
        let (head, body) = part.split_once("\r\n\r\n").unwrap();
        let told: i64 = head
            .split("Content-Length: ")
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let real = i64::try_from(body.strip_suffix("\r\n").unwrap().len()).unwrap();
        sizes.insert(told - real);
    }
    assert_eq!(sizes, BTreeSet::from([-5, 7]));
}

#[tokio::test]
async fn a_killed_stream_says_nothing_more_and_does_not_end() {
    if no_curl() {
        return;
    }
    let device = device(|options| options.stream.heartbeat_ms = 100);
    let first = tokio::spawn({
        let (login, url) = (login(&device), url(&device, STREAM));
        async move { curl(&login, &["--max-time", "2", &url]).await }
    });
    until("heartbeats", || device.counters().heartbeats >= 3).await;
    device.kill_stream();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let beats = device.counters().heartbeats;
    device.punch("1").await.unwrap();
    let heard = first.await.unwrap();
    assert_eq!((heard.exit, serials_in(&heard.text).len()), (28, 0));
    assert_eq!(device.counters().heartbeats, beats);
    let heard = curl(&login(&device), &["--max-time", "1", &url(&device, STREAM)]).await;
    assert_eq!(serials_in(&heard.text), [1]);
}

#[tokio::test]
async fn a_stalled_stream_stops_in_the_middle_of_a_part_and_goes_on() {
    if no_curl() {
        return;
    }
    let device = device(|_| {});
    let halves = tokio::spawn({
        let (login, url) = (login(&device), url(&device, STREAM));
        async move {
            let long = curl(&login, &["--max-time", "2", &url]).await;
            long.text
        }
    });
    until("the stream", || device.counters().streams == 1).await;
    device.stall(Duration::from_millis(800));
    let began = Instant::now();
    device.punch("1").await.unwrap();
    until("the part", || device.uploaded() == 1).await;
    assert!(began.elapsed() >= Duration::from_millis(700));
    assert_eq!(serials_in(&halves.await.unwrap()), [1]);
}

#[tokio::test]
async fn a_reset_begins_at_one_and_a_reboot_keeps_the_serials_and_breaks_connections() {
    if no_curl() {
        return;
    }
    let device = device(|options| options.log.history = 40);
    device.reset_ring();
    assert_eq!((device.newest(), device.held(), device.epoch()), (0, 0, 1));
    assert_eq!(device.punch("9").await.unwrap(), 1);
    let rows = everything(&device, 0).await;
    assert_eq!((rows.len(), &rows[0]["serialNo"]), (1, &1.into()));

    let stream = tokio::spawn({
        let (login, url) = (login(&device), url(&device, STREAM));
        async move { curl(&login, &["--max-time", "9", &url]).await.exit }
    });
    until("the stream", || device.counters().streams == 1).await;
    device.reboot(Duration::from_secs(3));
    assert_ne!(stream.await.unwrap(), 28, "the reboot left the stream open");
    assert!(get(&device, INFO).await.text.is_empty());
    until("up again", || device.newest() == 3).await;
    assert!(get(&device, INFO).await.text.contains("serialNumber"));
    let rows = everything(&device, 0).await;
    let codes: Vec<(u64, u64)> = rows
        .iter()
        .map(|r| (r["major"].as_u64().unwrap(), r["minor"].as_u64().unwrap()))
        .collect();
    assert_eq!(codes, [(5, 75), (3, 123), (2, 1024)]);
}

#[tokio::test]
async fn our_own_logins_stand_in_the_ring_and_a_kept_nonce_makes_one() {
    if no_curl() {
        return;
    }
    let device = device(|options| options.log.logins = true);
    for _ in 0..3 {
        get(&device, INFO).await;
    }
    until("logged out", || device.newest() == 6).await;
    let header = authorization(&device).await;
    until("logged out", || device.newest() == 8).await;
    let told = with_header(&device, &header, 3).await;
    assert_eq!(told.matches("<serialNumber>").count(), 3);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let counted = device.counters();
    assert_eq!((device.newest(), counted.logins), (8, 4));
    // A challenge closes its connection, so each login took two; the three requests took one.
    assert_eq!(counted.connections, 9);
}

#[tokio::test]
async fn a_full_ring_loses_a_block_and_the_ledger_remembers_what_was_owed() {
    if no_curl() {
        return;
    }
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("ledger");
    let ledger = Ledger::create(&path).unwrap();
    let options = DeviceOptions {
        log: LogOptions {
            ring: 100,
            history: 60,
            first_serial: 30_001,
            ..LogOptions::default()
        },
        ..DeviceOptions::default()
    };
    let device = Device::start(options, Some(ledger)).unwrap();
    device.crowd(14).await.unwrap();
    assert_eq!((device.oldest(), device.newest()), (30_021, 30_102));
    let rows = everything(&device, 30_020).await;
    let owed = Ledger::read_hikvision(&path).unwrap();
    assert_eq!(owed.len(), 42, "three rows for each of fourteen people");
    let as_searched = |row: &serde_json::Value| {
        format!(
            "{} {} {} {} {}",
            row["serialNo"], row["major"], row["minor"], row["employeeNoString"], row["time"]
        )
    };
    let as_owed = |r: &HikvisionRecord| {
        format!(
            "{} {} {} \"{}\" \"{}\"",
            r.serial_no, r.major, r.minor, r.pin, r.stamp
        )
    };
    let searched: BTreeSet<String> = rows.iter().map(as_searched).collect();
    assert_eq!(searched.len(), 82);
    assert!(owed.iter().all(|r| searched.contains(&as_owed(r))));
}

#[tokio::test]
async fn listening_hosts_are_written_and_read_back_over_the_wire() {
    if no_curl() {
        return;
    }
    let device = device(|options| options.hosts.url_persisted = false);
    let path = url(&device, "/ISAPI/Event/notification/httpHosts");
    let body = "<HttpHostNotificationList><HttpHostNotification><id>1</id><url>/hikvision/t</url>\
        <protocolType>HTTP</protocolType><parameterFormatType>JSON</parameterFormatType>\
        <addressingFormatType>ipaddress</addressingFormatType><ipAddress>192.0.2.7</ipAddress>\
        <portNo>8081</portNo></HttpHostNotification></HttpHostNotificationList>";
    let put = curl(&login(&device), &["-X", "PUT", "-d", body, &path]).await;
    assert!(
        put.text.contains("<statusCode>1</statusCode>"),
        "{}",
        put.text
    );
    let back = curl(&login(&device), &[&path]).await.text;
    assert!(back.contains("<portNo>8081</portNo>") && back.contains("<url></url>"));
    let post = curl(&login(&device), &["-d", body, &path]).await.text;
    assert!(post.contains("methodNotAllowed"), "{post}");
}

#[tokio::test]
async fn connections_are_counted_and_one_too_many_is_refused() {
    let device = device(|options| options.connections = 2);
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut socket = tokio::net::TcpStream::connect(device.address())
            .await
            .unwrap();
        let request = format!("GET {INFO} HTTP/1.1\r\nHost: x\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 512];
        let read = socket.read(&mut answer).await.unwrap();
        held.push((
            String::from_utf8_lossy(&answer[..read]).into_owned(),
            socket,
        ));
        // A challenge closes its connection; a second one is opened and left silent.
        held.push((
            String::new(),
            tokio::net::TcpStream::connect(device.address())
                .await
                .unwrap(),
        ));
        let want = u64::try_from(held.len()).unwrap();
        until("accepted", || device.counters().connections == want).await;
    }
    assert!(held[0].0.contains(" 401 "), "{}", held[0].0);
    assert!(held[4].0.contains("invalidOperation"), "{}", held[4].0);
    drop(held);
    until("closed", || device.counters().open == 0).await;
    assert!(device.counters().peak >= 3);
}

#[tokio::test]
async fn three_hundred_devices_with_full_rings_take_little_memory() {
    let resident = || -> u64 {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
    };
    let before = resident();
    let devices: Vec<Device> = (0..300)
        .map(|n| {
            let options = DeviceOptions {
                serial: format!("HIK{n:07}"),
                log: LogOptions {
                    history: 150_000,
                    ..LogOptions::default()
                },
                ..DeviceOptions::default()
            };
            Device::start(options, None).unwrap()
        })
        .collect();
    for device in &devices {
        device.crowd(10).await.unwrap();
    }
    let each = resident().saturating_sub(before) / 300;
    assert!(each < 64, "{each} KiB for each device");
}
