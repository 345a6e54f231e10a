//! Access-control terminals at the door: raw bytes over TCP against a whole daemon on SQLite.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

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
}
