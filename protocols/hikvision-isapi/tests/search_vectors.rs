//! Every vector of `vectors/search`: a body as a device may send it, and what comes of it.
//!
//! `NAME.body` is read by the reader that the first word of its name says; `NAME.expect` holds
//! what is made of it, one line each.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::fmt::Write as _;
use std::path::PathBuf;

use hikvision_isapi::{
    Challenge, Credentials, DeviceInfo, HostProtocol, HostSetting, IsupHello, ResponseStatus,
    SearchError, Session, choose_slot, compare, read_capabilities, read_hosts, read_page,
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/search")
}

fn page(body: &[u8]) -> String {
    match read_page(body) {
        Ok(page) => {
            let mut out = format!(
                "{:?} total={} serials={:?} whole={}\n",
                page.status,
                page.total,
                page.serials,
                page.is_whole()
            );
            for record in page.records {
                let record = record.unwrap();
                let person = record.person.unwrap_or_default();
                writeln!(
                    out,
                    "{:?}/{:?} person={person:?}",
                    record.major, record.minor
                )
                .unwrap();
            }
            out
        }
        Err(SearchError::Refused(status)) => format!("refused: {} {}\n", status.text, status.sub),
        Err(other) => format!("{other}\n"),
    }
}

fn hosts(body: &[u8]) -> String {
    let wanted = HostSetting::new(
        1,
        "192.0.2.7",
        8081,
        "/hikvision/vector",
        HostProtocol::Http,
    )
    .unwrap();
    let read = read_hosts(body).unwrap();
    let mut out = format!(
        "slots={} use={:?}\n",
        read.len(),
        choose_slot(&read, "/hikvision/")
    );
    for difference in compare(&wanted, &read) {
        writeln!(out, "{difference}").unwrap();
    }
    out
}

fn challenge(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    let chosen = Challenge::choose(text.lines()).unwrap();
    let stale = chosen.is_stale();
    let mut session = Session::new(chosen, Credentials::new("evt", "secret").unwrap());
    let answer = session.authorization("GET", "/ISAPI/System/deviceInfo", "c");
    format!("stale={stale}\n{answer}\n")
}

fn outcome(name: &str, body: &[u8]) -> String {
    match name.split('-').next().unwrap() {
        "capabilities" => format!("{:?}\n", read_capabilities(body).unwrap()),
        "page" => page(body),
        "status" => {
            let status = ResponseStatus::read(body).unwrap();
            format!(
                "{status:?}\ndeploy exceeded: {}\n",
                status.is_deploy_exceeded()
            )
        }
        "hosts" => hosts(body),
        "challenge" => challenge(body),
        "device" => format!("{:?}\n", DeviceInfo::read(body).unwrap()),
        "hello" => format!("{:?}\n", IsupHello::recognise(body).unwrap()),
        other => panic!("no reader for {other}"),
    }
}

#[test]
fn every_vector_comes_out_as_expected() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "body") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let outcome = outcome(&name, &std::fs::read(&path).unwrap());
        let expected = std::fs::read_to_string(path.with_extension("expect")).unwrap_or_default();
        assert_eq!(outcome, expected, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 20, "a vector without its place in the count");
}
