//! How the tests ask a simulated device: through curl, which shares nothing with it.
//!
//! Without curl a test says so on standard error and proves nothing.

use std::time::{Duration, Instant};

use terminals::hikvision::Device;
use tokio::process::Command;

const SEARCH: &str = "/ISAPI/AccessControl/AcsEvent?format=json";

/// What curl said and how it ended.
pub(crate) struct Heard {
    pub(crate) text: String,
    pub(crate) exit: i32,
}

/// True, loudly, when there is no curl and a test can prove nothing.
pub(crate) fn no_curl() -> bool {
    let absent = std::process::Command::new("curl")
        .arg("--version")
        .output()
        .is_err();
    if absent {
        eprintln!("SKIPPED: curl is not on this machine, nothing was proven");
    }
    absent
}

/// Runs curl, logged in as this, and gives what it wrote: heads, then bodies.
pub(crate) async fn curl(login: &str, words: &[&str]) -> Heard {
    let mut command = Command::new("curl");
    command.args(["-s", "-N", "--digest", "-u", login]);
    command.args(words).kill_on_drop(true);
    let output = command.output().await.unwrap();
    Heard {
        text: String::from_utf8_lossy(&output.stdout).into_owned(),
        exit: output.status.code().unwrap_or(-1),
    }
}

pub(crate) fn url(device: &Device, path: &str) -> String {
    format!("http://{}{path}", device.address())
}

pub(crate) fn login(device: &Device) -> String {
    let (user, password) = device.login();
    format!("{user}:{password}")
}

/// Asks for a page and gives the document.
pub(crate) async fn ask(device: &Device, cond: &str) -> serde_json::Value {
    let body = format!("{{\"AcsEventCond\":{{\"searchID\":\"s\",{cond}}}}}");
    let words = ["-d", &body, &url(device, SEARCH)];
    let heard = curl(&login(device), &words).await;
    assert_eq!(heard.exit, 0, "curl could not ask");
    serde_json::from_str(&heard.text).unwrap_or_else(|why| panic!("{why}: {}", heard.text))
}

/// Everything the device holds after this serial, page by page.
pub(crate) async fn everything(device: &Device, after: u64) -> Vec<serde_json::Value> {
    let mut rows: Vec<serde_json::Value> = Vec::new();
    loop {
        let begin = after + 1 + u64::try_from(rows.len()).unwrap();
        let page = ask(
            device,
            &format!(
                "\"searchResultPosition\":0,\"maxResults\":30,\"major\":0,\"minor\":0,\
                 \"beginSerialNo\":{begin},\"endSerialNo\":3000000000"
            ),
        )
        .await;
        rows.extend(
            page["AcsEvent"]["InfoList"]
                .as_array()
                .cloned()
                .unwrap_or_default(),
        );
        if page["AcsEvent"]["responseStatusStrg"] != "MORE" {
            return rows;
        }
    }
}

/// All numbers after `"serialNo":` in their order.
pub(crate) fn serials_in(text: &str) -> Vec<u64> {
    text.split("\"serialNo\":\t")
        .skip(1)
        .map(|rest| {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
            rest[..digits].parse().unwrap()
        })
        .collect()
}

pub(crate) async fn until(what: &str, such: impl Fn() -> bool) {
    let began = Instant::now();
    while !such() {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
