//! Access-control terminals at the door: raw bytes over TCP against a whole daemon on SQLite.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::time::{Duration, Instant};

use event::{Millis, Serial, Vendor};
use store::command::{self, Command, CommandState, NewCommand};
use store::registry;

mod house;
use house::{House, KNOWN, PUNCH};

const LIVE: &str = "time=2026-11-21 10:15:30\tpin=1001\tcardno=0\teventaddr=1\tevent=0\tinoutstatus=0\tverifytype=4\tindex=21\r\n";
const ROW: &str = "transaction cardno=0\tpin=1001\tverified=4\tdoorid=1\teventtype=0\tinoutstate=0\ttime_second=864209730\tindex=21\r\n";

/// A request without a body, or a POST with one, of the known terminal.
fn request(method: &str, word_and_query: &str, body: &str) -> String {
    let join = if word_and_query.contains('?') {
        '&'
    } else {
        '?'
    };
    let length = body.len();
    format!(
        "{method} /iclock/{word_and_query}{join}SN={KNOWN} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_terminal_hears_the_words_that_it_waits_for_and_its_event_is_one_row() {
    let house = House::new().await;
    let say = async |method, path: &str, body| {
        let (head, body) = house.ask(request(method, path, body).as_bytes()).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}{body}");
        body
    };
    let hello = "cdata?options=all&pushver=3.1.2&DeviceType=acc";
    assert_eq!(say("GET", hello, "").await, "OK\n");
    let code = say("POST", "registry", "DeviceType=acc,~DeviceName=F20/X").await;
    assert!(
        code.starts_with("RegistryCode=") && !code.ends_with('\n'),
        "{code}"
    );
    assert!(
        say("POST", "push", "")
            .await
            .contains("\nTransTables=Transaction\n")
    );
    assert!(
        say("GET", "rtdata?type=time", "")
            .await
            .starts_with("DateTime=")
    );
    assert_eq!(say("POST", "cdata?table=rtlog", LIVE).await, "OK\n");
    assert_eq!(
        say("POST", "cdata?table=rtstate", "sensor=01\trelay=00\r\n").await,
        "OK\n"
    );
    let table = "cdata?table=tabledata&tablename=transaction&count=1";
    assert_eq!(say("POST", table, ROW).await, "transaction=1");
    let user = "cdata?table=tabledata&tablename=User&count=1";
    assert_eq!(
        say("POST", user, "user pin=1\tpassword=1\r\n").await,
        "User=1"
    );
    let rows = house.rows().await;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].kind.as_str(), rows[0].direction.as_deref()),
        ("access", Some("in"))
    );
    // From now on it is known as what it is.
    let greeting = say("GET", "cdata?options=all", "").await;
    assert!(
        greeting.starts_with("registry=ok\n") && greeting.contains(&code),
        "{greeting}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_is_switched_to_attendance_is_heard_as_such() {
    let house = House::new().await;
    let ask = async |method, path: &str, body: &str| {
        house.ask(request(method, path, body).as_bytes()).await.1
    };
    ask("POST", "cdata?table=rtlog", LIVE).await;
    let mut greetings = Vec::new();
    for _ in 0..3 {
        greetings.push(ask("GET", "cdata?options=all&pushver=2.4.1", "").await);
    }
    assert!(greetings[1].starts_with("registry=ok\n"));
    assert!(
        greetings[2].starts_with("GET OPTION FROM: "),
        "{}",
        greetings[2]
    );
    assert_eq!(
        ask("POST", "cdata?table=ATTLOG&Stamp=1", PUNCH).await,
        "OK: 1\n"
    );
    let again = ask("GET", "cdata?options=all&pushver=2.4.1", "").await;
    assert!(again.starts_with("GET OPTION FROM: "), "{again}");
    assert_eq!(house.rows().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trace_says_what_keeps_an_access_terminal_from_bringing_events() {
    let house = House::new().await;
    let after = async |path: &str| {
        house.ask(request("POST", path, "").as_bytes()).await;
        house.admin(&format!("/trace/{KNOWN}")).await
    };
    let asks = after("cdata?AuthType=device").await;
    assert!(asks.contains("remote verification off"), "{asks}");
    let encrypts = after("exchange?type=publickey").await;
    assert!(encrypts.contains("switch encryption off"), "{encrypts}");
    for _ in 0..2 {
        after("registry").await;
    }
    let loops = after("registry").await;
    assert!(loops.contains("registers again and again"), "{loops}");
    let status = house.admin("/status").await;
    for condition in ["registry_loop", "remote_verification", "encryption_wanted"] {
        assert!(status.contains(condition), "{condition} in {status}");
    }
    house
        .ask(request("POST", "cdata?table=rtlog", LIVE).as_bytes())
        .await;
    let status = house.admin("/status").await;
    assert!(!status.contains("registry_loop") && !status.contains("encryption_wanted"));
}

/// Writes a command into the table, as `satellite devices command` does.
async fn tell(house: &House, form: &str, text: &str) -> Command {
    let mut engine = house.config.store.connect().await.unwrap();
    let serial = Serial::new(KNOWN).unwrap();
    let found = registry::find(&mut engine, Some(Vendor::Zkteco), &serial).await;
    let now = Millis(jiff::Timestamp::now().as_millisecond());
    let new = NewCommand {
        device: found.unwrap().unwrap().id,
        serial: &serial,
        form,
        text,
        actor: "test",
        expires_at: Millis(now.0 + 600_000),
    };
    command::enqueue(&mut engine, &new, now).await.unwrap()
}

/// Polls until a command is handed out.
async fn polled(house: &House) -> String {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        let (_, body) = house.ask(request("GET", "getrequest", "").as_bytes()).await;
        if body != "OK\n" {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no command was handed out");
}

/// Waits until the table says how a command ended.
async fn ended(house: &House, id: &str) -> Command {
    let mut engine = house.config.store.connect().await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        let found = command::get(&mut engine, id).await.unwrap().unwrap();
        if !found.state.is_open() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the command has not ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_goes_out_with_a_poll_and_its_result_into_the_table_though_rows_come_later() {
    let house = House::new().await;
    let ask =
        async |path: &str, body: &str| house.ask(request("POST", path, body).as_bytes()).await.1;
    ask("cdata?table=rtlog", LIVE).await;
    let text = "DATA QUERY tablename=transaction,fielddesc=*,filter=starttime=2026-11-21 00:00:00\tendtime=2026-11-21 23:59:59";
    let told = tell(&house, "records", text).await;
    assert_eq!(polled(&house).await, format!("C:{}:{text}\n", told.id));
    let id = &told.id;
    // The result comes first, and an answer that nobody asked for is an upload like any other.
    ask(
        "devicecmd",
        &format!("ID={id}&Return=2&CMD=DATA QUERY\r\nID=zz&Return=0&CMD=X\r\n"),
    )
    .await;
    let query =
        format!("querydata?type=tabledata&cmdid={id}&tablename=transaction&count=1&packcnt=2");
    let second = ROW
        .replace("index=21", "index=22")
        .replace("=864209730", "=864209731");
    assert_eq!(
        ask(&format!("{query}&packidx=1"), ROW).await,
        "transaction=1"
    );
    assert_eq!(
        ask(&format!("{query}&packidx=2"), &second).await,
        "transaction=1"
    );
    let done = ended(&house, id).await;
    assert_eq!(
        (done.state, done.records, done.return_code),
        (CommandState::Done, 2, Some(2))
    );
    let rows = house.rows().await;
    let routes: Vec<_> = rows.iter().map(|row| row.route.as_str()).collect();
    assert_eq!(routes, ["push", "backfill"], "the first was there already");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_text_in_the_table_never_reaches_a_terminal() {
    let house = House::new().await;
    let told = tell(&house, "info", "CLEAR DATA").await;
    let fine = tell(&house, "info", "INFO").await;
    let heard = polled(&house).await;
    assert_eq!(heard, format!("C:{}:INFO\n", fine.id));
    let refused = ended(&house, &told.id).await;
    assert_eq!(
        (refused.state, refused.attempts),
        (CommandState::Refused, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_access_terminal_holds_is_proven_only_by_its_own_count() {
    let house = House::new().await;
    let ask =
        async |path: &str, body: &str| house.ask(request("POST", path, body).as_bytes()).await.1;
    let row = |index: u64| {
        ROW.replace("index=21", &format!("index={index}"))
            .replace("=864209730", &format!("={}", 864_209_709 + index))
    };
    let table = "cdata?table=tabledata&tablename=transaction&count=2";
    ask(table, &format!("{}{}", row(21), row(24))).await;
    let told = tell(
        &house,
        "records",
        "DATA QUERY tablename=transaction,fielddesc=*,filter=*",
    )
    .await;
    assert!(polled(&house).await.contains(&told.id));
    let id = &told.id;
    let all: String = [21, 22, 24].map(row).concat();
    let query = format!(
        "querydata?type=tabledata&cmdid={id}&tablename=transaction&count=3&packcnt=1&packidx=1"
    );
    assert_eq!(ask(&query, &all).await, "transaction=3");
    ask("devicecmd", &format!("ID={id}&Return=3&CMD=DATA QUERY")).await;
    assert_eq!(ended(&house, id).await.state, CommandState::Done);
    let begun = Instant::now();
    let mut chain = String::new();
    while begun.elapsed() < Duration::from_secs(10) {
        let mut engine = house.config.store.connect().await.unwrap();
        let cursors = store::cursors(&mut engine, None).await.unwrap();
        let found = cursors.into_iter().find(|(_, name, _)| name == "acc:chain");
        chain = found.unwrap().2.to_string();
        let read = zkteco_push::IndexChain::parse(&chain).unwrap();
        if read.completeness().as_str() == "proven" {
            assert_eq!((read.gone(), read.newest()), (1, Some(24)), "23 is gone");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not proven: {chain}");
}
