//! What may be sent to a terminal, and everything that may not.

use proptest::prelude::*;

use super::*;

fn wall(text: &str) -> WallTime {
    WallTime::parse(text.as_bytes()).unwrap()
}

fn day() -> Window {
    Window::new(wall("2026-11-20 00:00:00"), wall("2026-11-20 23:59:59")).unwrap()
}

fn judged(text: &str, dialect: Dialect) -> Result<Order, Denied> {
    Order::parse(text, dialect, Policy::READ_ONLY)
}

/// Forms that wipe a terminal, or part of what it holds: from the manuals, and one from a
/// SenseFace on which the deletion of one user by `uid` deleted everybody.
const WIPES: [&str; 14] = [
    "CLEAR DATA",
    "CLEAR LOG",
    "CLEAR PHOTO",
    "CLEAR BIODATA",
    "CLEAR ALL USERINFO",
    "DATA DELETE user uid=1",
    "DATA DELETE user Pin=*",
    "DATA DELETE USERINFO PIN=1001",
    "DATA DELETE transaction *",
    "DATA DELETE templatev10 *",
    "DATA UPDATE user uid=1\tpin=1001",
    "SHELL rm -rf /mnt/mtdblock/data",
    "SET OPTION ResLogDay=1",
    "UPGRADE checksum=0,url=http://192.0.2.1/fw,size=1",
];

/// Others that are never sent: they open doors, move the terminal to another server, run
/// programs, or fetch people.
const NEVER: [&str; 16] = [
    "AC_UNLOCK",
    "AC_UNALARM",
    "CONTROL DEVICE 01010105",
    "CONTROL DEVICE 04010100",
    "CONTROL DEVICE 07000000",
    "SET OPTION ICLOCKSVRURL=http://192.0.2.1",
    "SET OPTIONS WebServerIP=192.0.2.1,WebServerPort=80",
    "SET OPTIONS DateTime=864209730",
    "SHELL reboot",
    "GetFile /etc/passwd",
    "PutFile http://192.0.2.1/x\t/mnt/x",
    "DATA QUERY USERINFO PIN=1001",
    "DATA QUERY tablename=user,fielddesc=*,filter=*",
    "DATA QUERY tablename=biophoto,fielddesc=*,filter=*",
    "ENROLL_FP PIN=1\tFID=1\tRETRY=3\tOVERWRITE=1",
    "USER ADD PIN=1",
];

#[test]
fn no_form_that_is_known_to_wipe_a_terminal_is_ever_sent() {
    for text in WIPES {
        for dialect in Dialect::ALL {
            assert!(
                matches!(judged(text, dialect), Err(Denied::Closed(_))),
                "{text}"
            );
            let lower = text.to_lowercase();
            assert!(judged(&lower, dialect).is_err(), "{lower}");
        }
    }
}

#[test]
fn nothing_that_changes_people_doors_settings_or_programs_is_ever_sent() {
    for text in NEVER {
        for dialect in Dialect::ALL {
            assert!(
                matches!(judged(text, dialect), Err(Denied::Closed(_))),
                "{text}"
            );
        }
    }
}

#[test]
fn a_forbidden_form_cannot_ride_on_an_allowed_one() {
    let window = Order::Records(Some(day()))
        .text(Dialect::Attendance)
        .unwrap();
    for text in [
        "INFO\nC:9:CLEAR DATA".to_owned(),
        "INFO ".to_owned(),
        " INFO".to_owned(),
        "info".to_owned(),
        format!("{window}\tTable=USERINFO"),
        format!("{window}\nC:1:REBOOT"),
        window.replace('\t', " "),
        window.replace("StartTime", "PIN"),
        window.replace("11-20 00", "02-30 00"),
        window.replacen("2026", "2027", 1),
    ] {
        assert!(judged(&text, Dialect::Attendance).is_err(), "{text:?}");
    }
    for text in [
        "GET OPTIONS a,b\nC:1:CLEAR DATA",
        "GET OPTIONS a\tb",
        "GET OPTIONS ",
        "GET OPTIONS ComKey",
        "GET OPTIONS ~Password",
        "CONTROL DEVICE 0300000001",
        "DATA QUERY tablename=transaction,fielddesc=*,filter=*;",
        "DATA COUNT user,filter=*",
    ] {
        assert!(judged(text, Dialect::Access).is_err(), "{text:?}");
    }
}

#[test]
fn each_order_has_its_exact_text_in_the_dialects_where_it_was_measured() {
    let all = |order: &Order| Dialect::ALL.map(|dialect| order.text(dialect));
    let text = |text: &str| Some(text.to_owned());
    let window = "2026-11-20 00:00:00\tEndTime=2026-11-20 23:59:59";
    for (order, attendance, access) in [
        (Order::Check, text("CHECK"), None),
        (Order::Log, text("LOG"), None),
        (
            Order::Reboot,
            text("REBOOT"),
            text("CONTROL DEVICE 03000000"),
        ),
        (Order::Time, None, text("GET OPTIONS DateTime")),
        (
            Order::Records(Some(day())),
            Some(format!("DATA QUERY ATTLOG StartTime={window}")),
            text(
                "DATA QUERY tablename=transaction,fielddesc=*,filter=starttime=2026-11-20 00:00:00\tendtime=2026-11-20 23:59:59",
            ),
        ),
        (
            Order::Records(None),
            None,
            text("DATA QUERY tablename=transaction,fielddesc=*,filter=*"),
        ),
        (
            Order::Count(Some(day())),
            Some(format!("VERIFY SUM ATTLOG StartTime={window}")),
            None,
        ),
        (
            Order::Count(None),
            None,
            text("DATA COUNT transaction,filter=*"),
        ),
    ] {
        assert_eq!(all(&order), [attendance, access]);
    }
    assert_eq!(
        judged("CHECK", Dialect::Access),
        Err(Denied::NotMeasured(Dialect::Access))
    );
}

#[test]
fn a_result_says_whether_the_order_was_carried_out() {
    let query = Order::Records(Some(day()));
    assert_eq!(query.outcome(Some(0)), Outcome::Done);
    assert_eq!(query.outcome(Some(17)), Outcome::Done);
    assert_eq!(query.outcome(Some(-1)), Outcome::Empty);
    assert_eq!(query.outcome(Some(-1002)), Outcome::Unsupported);
    assert_eq!(query.outcome(Some(-708)), Outcome::Unsupported);
    assert_eq!(query.outcome(Some(-3)), Outcome::Failed);
    assert_eq!(query.outcome(None), Outcome::Failed);
    assert_eq!(Order::Info.outcome(Some(-1)), Outcome::Failed);
}

#[test]
fn a_count_is_found_under_each_of_its_names_and_in_answers_to_a_count_alone() {
    let result = |key: &str| CommandResult {
        extra: vec![(Text::new(key), Text::new("327"))],
        ..CommandResult::default()
    };
    for key in ["AttlogSum", "ATTLOGCOUNT", "transaction"] {
        assert_eq!(Order::Count(None).count_in(&result(key)), Some(327));
        assert_eq!(Order::Info.count_in(&result(key)), None);
    }
    assert_eq!(Order::Count(None).count_in(&result("UserCount")), None);
}

fn orders() -> impl Strategy<Value = Order> {
    let second = (2000u16..2100, 1u8..=12, 1u8..=28, 0u8..24, 0u8..60)
        .prop_map(|(y, mo, d, h, mi)| WallTime::new(y, mo, d, h, mi, 0).unwrap());
    let window = (second.clone(), second).prop_map(|(a, b)| Window::new(a.min(b), a.max(b)));
    let names = prop::collection::vec("~?[A-Za-z_]{1,20}", 1..9);
    prop_oneof![
        Just(Order::Info),
        Just(Order::Check),
        Just(Order::Log),
        Just(Order::Reboot),
        Just(Order::Time),
        window.clone().prop_map(Order::Records),
        window.prop_map(Order::Count),
        names.prop_filter_map("a secret", |names| Order::options(
            names.iter().map(String::as_str)
        )),
    ]
}

proptest! {
    #[test]
    fn every_order_reads_back_from_its_text_and_is_one_line(order in orders()) {
        for dialect in Dialect::ALL {
            if let Some(text) = order.text(dialect) {
                prop_assert!(!text.contains(['\n', '\r', '\0']) && text.len() < 1_200);
                let read = judged(&text, dialect).unwrap();
                // Options may be asked for under the words of another order.
                prop_assert_eq!(read.text(dialect), Some(text));
            }
        }
    }

    #[test]
    fn whatever_is_taken_is_the_text_of_an_order(text in "(INFO|DATA QUERY ATTLOG |GET OPTIONS |CLEAR |StartTime=|2026-11-20 00:00:00|\t|,|[a-zA-Z]{0,5}|\\PC{0,4}){0,6}") {
        for dialect in Dialect::ALL {
            if let Ok(order) = judged(&text, dialect) {
                prop_assert_eq!(order.text(dialect), Some(text.clone()));
                prop_assert!(Policy::READ_ONLY.allows(order.class()));
            }
        }
    }
}
