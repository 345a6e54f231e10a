//! Promise: what a terminal says and hears can be recorded without the people in it, and played
//! against another satellite.
//!
//! Names, cards, passwords, pictures, tokens and keys are planted wherever a terminal can put them;
//! the bytes of the file are searched for each. The recording is then played against a second
//! daemon, and the rows of both are compared.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use event::{DeviceId, Millis, Serial};
use satellite::record::{FOLDER, RECORD, Recorded, Request};
use store::feed::FeedRow;
use store::jobs::{self, JobState, NewJob};
use store::registry;
use terminals::pull::{PullOptions, Terminal};
use terminals::replay::{Play, Recording, play};

mod house;
use house::{House, KNOWN, enrolment};

/// What must not stand in the file, in any of its forms.
const PLANTED: [&str; 14] = [
    KNOWN,
    "Guadalupe",
    "Hinojosa",
    "Pe\u{f1}a",
    "77001234",
    "0A1B2C3D4E",
    "4012888888881881",
    "hunter2secret",
    "UzNDUjNUVEVNUExBVEU",
    "JFIFphotobytes",
    "commkey99887766",
    "bearer-1f2e3d4c",
    "root:x:0",
    "curp:HEGG560427MVZRRL04",
];

/// Requests of a terminal with people in every corner.
fn said() -> Vec<(&'static str, String, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let post = |query: &str, body: Vec<u8>| ("POST", format!("cdata?{query}&Stamp=9999"), body);
    let punches = "77001234\t2026-11-21 10:15:30\t0\t1\t\t0\t0\n0077\t2026-11-21 10:15:31\t1\t15\t0\t4012888888881881\n";
    let mut photo = text("PIN=20261121101530-77001234.jpg\nSN=x\nsize=20\nCMD=uploadphoto\0");
    photo.extend_from_slice(b"\xff\xd8\xff\xe0JFIFphotobytes\xff\xd9");
    vec![
        ("GET", "cdata?options=all&pushver=2.4.1&language=69&pushcommkey=commkey99887766&token=bearer-1f2e3d4c&note=Guadalupe".into(), vec![]),
        ("GET", "getrequest?INFO=Ver%208.0.4.3-20211015,12,-1,16,10.1.2.3,10,Guadalupe".into(), vec![]),
        post("table=ATTLOG", text(punches)),
        post("table=OPERLOG", text("OPLOG 4\t77001234\t2026-11-21 10:14:00\t77001234\t0\t0\t0\nUSER PIN=77001234\tName=Guadalupe Hinojosa Pe\u{f1}a\tPri=0\tPasswd=hunter2secret\tCard=[0A1B2C3D4E]\tGrp=1\nFP PIN=77001234\tFID=6\tSize=8\tValid=1\tTMP=UzNDUjNUVEVNUExBVEU\n")),
        post("table=OPERLOG", b"USER PIN=77001234\tName=Guadalupe Pe\xf1a\tCard=4012888888881881\r\n".to_vec()),
        post("table=BIODATA", text("BIODATA Pin=77001234\tNo=0\tTmp=UzNDUjNUVEVNUExBVEU\n")),
        post("table=ATTPHOTO", photo),
        post("table=options", text("~DeviceName=F22,FirmVer=Ver 8.0,IPAddress=10.1.2.3,authKey=commkey99887766,ComKey=commkey99887766,Owner=Guadalupe Hinojosa")),
        post("table=IDKRAM", text("curp:HEGG560427MVZRRL04 Guadalupe,Hinojosa\t4012888888881881\n")),
        post("table=rtlog", text("time=2026-11-21 10:15:33\tpin=77001234\tcardno=0A1B2C3D4E\teventaddr=1\tevent=0\tinoutstatus=0\tverifytype=4\tindex=21\tname=Guadalupe\r\n")),
        post("table=tabledata&tablename=user&count=1", text("user uid=1\tcardno=0A1B2C3D4E\tpin=77001234\tpassword=hunter2secret\tname=Guadalupe\n")),
        ("POST", "devicecmd".into(), text("ID=a1&Return=0&CMD=Shell\nContent=root:x:0:0\nGuadalupe")),
        ("POST", "devicecmd".into(), text("ID=a2&Return=0&CMD=DATA UPDATE USERINFO PIN=77001234\tName=Guadalupe\tPasswd=hunter2secret")),
        ("POST", "registry".into(), text("DeviceType=acc,~DeviceName=F20/M,authKey=hunter2secret,UserName=Guadalupe")),
        ("POST", "cdata?AuthType=device&pin=77001234&cardno=0A1B2C3D4E&name=Guadalupe".into(), vec![]),
    ]
}

async fn say(house: &House, method: &str, path: &str, body: &[u8]) -> String {
    let join = if path.contains('?') { '&' } else { '?' };
    let head = format!(
        "{method} /iclock/{path}{join}SN={KNOWN} HTTP/1.1\r\nHost: Guadalupe.example\r\nAuthorization: bearer-1f2e3d4c\r\nCookie: token=bearer-1f2e3d4c\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    house.ask(&[head.as_bytes(), body].concat()).await.0
}

/// The enrolment of the known terminal.
async fn device(house: &House) -> DeviceId {
    let mut engine = house.config.store.connect().await.unwrap();
    let serial = Serial::new(KNOWN).unwrap();
    let found = registry::find(&mut engine, None, &serial).await.unwrap();
    found.unwrap().id
}

/// Asks for a recording; answers the number of its job.
async fn begin(house: &House, device: DeviceId, seconds: u64) -> i64 {
    let mut engine = house.config.store.connect().await.unwrap();
    let request = serde_json::json!(Request { seconds }).to_string();
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(7_200);
    let job = NewJob {
        device,
        kind: RECORD,
        request: &request,
        expires_at: Millis(i64::try_from(soon.as_millis()).unwrap()),
    };
    jobs::enqueue(&mut engine, &job, Millis(0)).await.unwrap()
}

async fn until(house: &House, job: i64, state: JobState) -> jobs::Job {
    let mut engine = house.config.store.connect().await.unwrap();
    let began = Instant::now();
    loop {
        let read = jobs::get(&mut engine, job).await.unwrap().unwrap();
        if read.state == state {
            return read;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{read:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Rows without who it was: what two satellites must agree on.
fn seen(rows: &[FeedRow]) -> Vec<(String, Option<String>, Option<String>)> {
    let one = |row: &FeedRow| {
        let code = row.vendor_code.clone().or_else(|| row.status_code.clone());
        (row.kind.clone(), row.local_time.clone(), code)
    };
    let mut seen: Vec<_> = rows.iter().map(one).collect();
    seen.sort();
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_holds_nobody_and_plays_against_another_satellite() {
    let house = House::new().await;
    say(&house, "GET", "ping", b"").await;
    let job = begin(&house, device(&house).await, 8).await;
    until(&house, job, JobState::Running).await;
    // The file is laid on within the same moment; a request that comes earlier is only not in it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut statuses = Vec::new();
    for (method, path, body) in said() {
        statuses.push(say(&house, method, &path, &body).await[9..12].to_owned());
    }
    let done = until(&house, job, JobState::Done).await;
    let recorded: Recorded = serde_json::from_str(done.result.as_deref().unwrap()).unwrap();
    assert_eq!(
        (recorded.requests, recorded.missed, recorded.cut),
        (15, 0, false)
    );
    assert!(
        recorded
            .file
            .starts_with(house.config.state_dir.join(FOLDER))
    );

    let bytes = std::fs::read(&recorded.file).unwrap();
    assert!(bytes.is_ascii(), "a byte that is no ASCII");
    let text = String::from_utf8(bytes).unwrap();
    for planted in PLANTED {
        let lower = text.to_lowercase();
        assert!(
            !lower.contains(&planted.to_lowercase()),
            "{planted} in\n{text}"
        );
    }
    // It is still of use: what happened, when, and how it was answered.
    for kept in [
        "2026-11-21 10:15:30\\t0\\t1",
        "table=ATTLOG",
        "event=0\\t",
        "Ver%208.0.4.3-20211015",
        "OPLOG 4\\t",
    ] {
        assert!(text.contains(kept), "{kept} not in\n{text}");
    }

    let other = House::new().await;
    let recording = Recording::read(&recorded.file).unwrap();
    let mut engine = other.config.store.connect().await.unwrap();
    registry::enrol(
        &mut engine,
        enrolment(recording.serial()),
        Millis(0),
        "test",
    )
    .await
    .unwrap();
    let how = Play {
        target: format!("http://{}", other.running.devices).parse().unwrap(),
        serial: None,
        paced: false,
    };
    // A running satellite hears of an enrolment within ten seconds; until then it answers 503,
    // and is asked again.
    let played = play(&recording, &how).await;
    assert_eq!((played.sent, played.left_out), (15, 0));
    assert_eq!(played.otherwise, []);
    let (first, second) = (house.rows().await, other.rows().await);
    assert!(first.len() >= 4, "{}", first.len());
    assert_eq!(seen(&first), seen(&second));
    house.running.stop().await;
    other.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_the_end_of_satellite_cuts_short_is_whole_lines_and_says_so() {
    let house = House::new().await;
    say(&house, "GET", "ping", b"").await;
    let job = begin(&house, device(&house).await, 3_600).await;
    until(&house, job, JobState::Running).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    say(&house, "GET", "ping", b"").await;
    let folder: PathBuf = house.config.state_dir.join(FOLDER);
    house.running.stop().await;
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    let text = std::fs::read_to_string(file.path()).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[1]["status"], 200);
    assert_eq!(lines[2]["requests"], 1);
}

/// A terminal on port 4370, enrolled with that daemon.
async fn dialled(house: &House) -> (Terminal, DeviceId) {
    let options = PullOptions {
        serial: "PULREC1".to_owned(),
        comm_key: 99_887_766,
        history: 200,
        ..PullOptions::default()
    };
    let terminal = Terminal::start(options, None).unwrap();
    let key: &Path = &house.config.state_dir.join("key");
    std::fs::write(key, "99887766\n").unwrap();
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut new = enrolment("PULREC1");
    new.access.address = Some(terminal.address().to_string().into());
    new.access.secret_file = Some(key.to_str().unwrap().into());
    let mut engine = house.config.store.connect().await.unwrap();
    let done = registry::enrol(&mut engine, new, Millis(0), "test").await;
    (terminal, done.unwrap().enrolment().id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_dialled_terminal_packets_are_recorded_without_what_they_hold() {
    let house = House::new().await;
    let (terminal, device) = dialled(&house).await;
    let job = begin(&house, device, 10).await;
    until(&house, job, JobState::Running).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    // The next session is seen from its first packet on.
    terminal.cut();
    tokio::time::sleep(Duration::from_secs(5)).await;
    terminal.crowd(3).await.unwrap();
    let done = until(&house, job, JobState::Done).await;
    let recorded: Recorded = serde_json::from_str(done.result.as_deref().unwrap()).unwrap();
    assert_eq!((recorded.missed, recorded.cut), (0, false));
    let text = std::fs::read_to_string(&recorded.file).unwrap();
    assert!(text.is_ascii());
    for planted in ["PULREC1", "Somebody", "SECRT", "000007", "E14", "99887766"] {
        assert!(!text.contains(planted), "{planted} in\n{text}");
    }
    for kept in [
        "connected over TCP",
        "authenticate",
        "read sizes",
        "prepare buffer",
        "\"event\"",
        "200",
    ] {
        assert!(text.contains(kept), "{kept} not in\n{text}");
    }
    let error = Recording::read(&recorded.file).unwrap_err().to_string();
    assert!(error.contains("another kind"), "{error}");
    house.running.stop().await;
}
