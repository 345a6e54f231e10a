//! Documents for posting hosts against the devices that keep less than they were given.

use super::*;
use proptest::prelude::*;

const PATH: &str = "/hikvision/3f9c0d5ab1";

fn wanted(host: &str) -> HostSetting {
    HostSetting::new(1, host, 8081, PATH, HostProtocol::Http).unwrap()
}

fn list(items: &str) -> Vec<HostSlot> {
    let body = format!(
        "<HttpHostNotificationList xmlns=\"http://www.hikvision.com/ver20/XMLSchema\">{items}</HttpHostNotificationList>"
    );
    read_hosts(body.as_bytes()).unwrap()
}

fn slot(id: u32, url: &str, ip: &str, port: &str) -> String {
    format!(
        "<HttpHostNotification version=\"2.0\"><id>{id}</id><url>{url}</url><protocolType>HTTP</protocolType>\
         <addressingFormatType>ipaddress</addressingFormatType><ipAddress>{ip}</ipAddress><portNo>{port}</portNo>\
         <userName></userName><httpAuthenticationMethod>none</httpAuthenticationMethod></HttpHostNotification>"
    )
}

#[test]
fn what_is_written_compares_equal_when_it_is_read_back() {
    for host in ["192.0.2.7", "2001:db8::7", "events.example.net"] {
        let wanted = wanted(host);
        let one = read_hosts(wanted.document().as_bytes()).unwrap();
        assert_eq!(compare(&wanted, &one), [], "{host}");
        let all = read_hosts(wanted.list_document(&one).as_bytes()).unwrap();
        assert_eq!((all.len(), compare(&wanted, &all)), (1, vec![]), "{host}");
    }
}

#[test]
fn a_path_that_the_device_did_not_keep_is_said_without_showing_it() {
    let cases = [
        ("", "nothing: the device does not keep it"),
        ("/", "nothing: the device does not keep it"),
        ("/HIKVISION/3F9C0D5AB1", "the path in other letter case"),
        ("/hikvision/3f9c", "the path cut short"),
        ("/api/other", "another path"),
    ];
    for (url, found) in cases {
        let read = list(&slot(1, url, "192.0.2.7", "8081"));
        let differences = compare(&wanted("192.0.2.7"), &read);
        assert_eq!(differences.len(), 1, "{url}");
        assert_eq!(
            (differences[0].key, differences[0].found.as_str()),
            ("url", found)
        );
        assert!(!format!("{differences:?} {read:?} {:?}", wanted("192.0.2.7")).contains("3f9c"));
    }
    let absolute = list(&slot(
        1,
        &format!("http://192.0.2.7:8081{PATH}"),
        "192.0.2.7",
        "8081",
    ));
    assert_eq!(compare(&wanted("192.0.2.7"), &absolute), []);
}

#[test]
fn each_other_difference_is_named() {
    let item = slot(1, PATH, "0.0.0.0", "0")
        .replace("HTTP<", "HTTPS<")
        .replace(">none<", ">MD5digest<")
        .replace("<userName></userName>", "<httpBroken>false</httpBroken>");
    let differences = compare(&wanted("events.example.net"), &list(&item));
    let words: Vec<String> = differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "protocolType: wanted HTTP, found HTTPS",
            "hostName: wanted events.example.net, found nothing",
            "portNo: wanted 8081, found 0",
            "httpAuthenticationMethod: wanted none, found MD5digest",
            "httpBroken: wanted true, found false",
        ]
    );
    let differences = compare(
        &wanted("192.0.2.7"),
        &list(&slot(2, PATH, "192.0.2.7", "8081")),
    );
    assert_eq!(differences[0].found, "no such slot");
}

#[test]
fn the_slot_that_is_ours_comes_before_a_free_one_and_nobody_elses_is_taken() {
    let foreign = slot(1, "/api", "192.0.2.99", "80");
    let free = slot(2, "/", "0.0.0.0", "80");
    let ours = slot(3, PATH, "192.0.2.7", "8081");
    assert_eq!(
        choose_slot(&list(&format!("{foreign}{free}{ours}")), "/hikvision/"),
        Some(3)
    );
    assert_eq!(
        choose_slot(&list(&format!("{foreign}{free}")), "/hikvision/"),
        Some(2)
    );
    assert_eq!(choose_slot(&list(&foreign), "/hikvision/"), None);
}

#[test]
fn a_list_written_back_leaves_the_slots_of_others_as_they_were() {
    let foreign = slot(2, "/a?b=1&amp;c=&lt;2", "192.0.2.99", "80");
    let before = list(&format!("{}{foreign}", slot(1, "", "0.0.0.0", "0")));
    let after = read_hosts(wanted("192.0.2.7").list_document(&before).as_bytes()).unwrap();
    assert_eq!(after.len(), 2);
    assert_eq!(after[1], before[1]);
    assert_eq!(compare(&wanted("192.0.2.7"), &after), []);
}

#[test]
fn a_setting_that_no_device_could_keep_is_refused() {
    let new = |slot, host, port, path| HostSetting::new(slot, host, port, path, HostProtocol::Http);
    assert_eq!(new(0, "a.b", 1, "/"), Err(BadHost::Slot));
    assert_eq!(new(1, "a.b", 0, "/"), Err(BadHost::Port));
    for host in ["", "a b", "<x>", "1.2.3", "a/b"] {
        assert_eq!(new(1, host, 1, "/"), Err(BadHost::Host), "{host}");
    }
    let long = format!("/{}", "x".repeat(PATH_LIMIT));
    for path in ["", "x", "/a b", "/é", long.as_str()] {
        assert_eq!(new(1, "a.b", 1, path), Err(BadHost::Path), "{path}");
    }
}

proptest! {
    #[test]
    fn no_document_of_a_device_panics(
        url in "[ -~é]{0,150}", value in "[ -~]{0,30}", cut in 0usize..400,
    ) {
        let body = format!("<HttpHostNotificationList>{}</HttpHostNotificationList>", slot(1, &escaped(&url), &escaped(&value), &escaped(&value)));
        for bytes in [body.as_bytes(), body.as_bytes().get(..cut).unwrap_or_default(), url.as_bytes()] {
            if let Some(read) = read_hosts(bytes) {
                compare(&wanted("192.0.2.7"), &read);
                let written = wanted("192.0.2.7").list_document(&read);
                prop_assert!(read_hosts(written.as_bytes()).is_some());
            }
        }
    }
}
