//! Nobody gets through the disguise, and what remains is of use.

use super::*;
use proptest::prelude::*;

fn disguise() -> Disguise {
    Disguise::new([7; 32], &Serial::new("ABC1234560001").unwrap())
}

#[test]
fn a_punch_keeps_its_time_and_its_codes_and_its_person_is_somebody_else_each_time_the_same() {
    let body = b"0012\t2026-11-21 10:15:30\t0\t15\t\t0\t36.5\r\n0012\t2026-11-21 10:15:31\t1\t15\n";
    let out = disguise().body(Some(&Table::AttLog), body);
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        lines[0][1..],
        ["2026-11-21 10:15:30", "0", "15", "", "0", "36.5"]
    );
    let person = lines[0][0];
    assert!(
        person.starts_with("00") && person.len() == 4 && person != "0012",
        "{person}"
    );
    assert_eq!(lines[1][0], person);
    assert!(out.contains("\r\n") && out.ends_with('\n'));
}

#[test]
fn lists_keep_what_a_terminal_is_and_lose_addresses_and_keys() {
    let body = b"~DeviceName=F20/M,FirmVer=Ver 8.0.1.3-20151229,IPAddress=192.168.213.221,MaxUserCount=50,IclockSvrFun=1,authKey=S3CR3T,WebServerIP=10.1.2.3";
    let out = disguise().body(None, body);
    for kept in [
        "~DeviceName=F20/M,",
        "FirmVer=Ver 8.0.1.3-20151229,",
        "MaxUserCount=50,",
        "authKey=*,",
    ] {
        assert!(out.contains(kept), "{kept} in {out}");
    }
    for gone in ["192.168.213.221", "S3CR3T", "10.1.2.3"] {
        assert!(!out.contains(gone), "{gone} in {out}");
    }
}

#[test]
fn a_file_in_a_result_ends_the_body() {
    let out = disguise().body(
        None,
        b"ID=abc1&Return=5&CMD=Shell\nContent=root:x\nroot:S3CR3T\n",
    );
    assert_eq!(out, "ID=abc1&Return=5&CMD=Shell\nContent=*");
}

#[test]
fn the_serial_is_nowhere_and_a_target_reads_as_before() {
    let mut disguise = disguise();
    let query = "SN=ABC1234560001&table=ATTLOG&Stamp=9999&pushcommkey=S3CR3T&INFO=Ver%208.0.4-2021,12,-1,16,192.0.2.55,10";
    let out = disguise.target("/iclock/cdata.aspx", query);
    let head = crate::Head {
        method: "POST",
        path: "/iclock/cdata",
        query: out.split_once('?').unwrap().1,
    };
    let read = crate::route(&head).unwrap();
    assert_eq!(read.serial.as_str(), disguise.serial());
    assert!(
        out.contains("table=ATTLOG&Stamp=9999&pushcommkey=*&INFO=Ver%208.0.4-2021,12,-1,16,"),
        "{out}"
    );
    assert!(
        !out.contains("192.0.2.55") && !out.contains("ABC1234560001"),
        "{out}"
    );
    let reply = disguise.reply(b"GET OPTION FROM: ABC1234560001\nSessionID=abcdef\nDelay=10\n");
    assert_eq!(
        reply,
        format!(
            "GET OPTION FROM: {}\nSessionID=*\nDelay=10\n",
            disguise.serial()
        )
    );
}

proptest! {
    /// Whatever stands around it, in whatever table: what was planted is not in what comes out.
    #[test]
    fn nothing_that_names_a_person_gets_through(
        key in "[A-Za-z_~]{0,12}",
        planted in prop::sample::select(vec!["Guadalupe", "Pe\u{f1}a Nieto", "4012888888881881", "c0ffee99aa", "S3CR3Tpw"]),
        before in "[ -~\t\n]{0,20}", after in "[ -~\t\n]{0,20}",
        separator in "[\t\n ,;&=]",
        table in prop::sample::select(vec!["ATTLOG", "OPERLOG", "rtlog", "options", "transaction", "SOMETHING"]),
    ) {
        // Where firmware itself has a word, a time or its name, what looks like one stays.
        let lower = key.trim_start_matches('~').to_ascii_lowercase();
        let known = COUNTERS.iter().chain(&TOKENS).chain(&FACTS).chain(&["id"]);
        prop_assume!(!known.into_iter().any(|word| lower.ends_with(word)));
        prop_assume!(!before.contains('=') && !after.contains('='));
        let body = format!("{before}{separator}{key}={planted}{separator}{after}");
        for table in [None, Some(Table::from_name(table))] {
            let out = disguise().body(table.as_ref(), body.as_bytes());
            prop_assert!(!out.contains(planted), "{out}");
            prop_assert!(out.is_ascii());
        }
        let out = disguise().target("/iclock/cdata", &format!("{key}={}", encode(planted)));
        prop_assert!(!out.contains(&encode(planted)) && !out.contains(planted), "{out}");
    }

    #[test]
    fn any_bytes_become_ascii_without_a_fault(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for table in [None, Some(Table::AttLog), Some(Table::OperLog)] {
            prop_assert!(disguise().body(table.as_ref(), &body).is_ascii());
        }
    }
}
