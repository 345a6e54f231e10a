//! Request lines: who asks, for what, and what is refused.

use super::*;
use event::NameError;

fn ask_of(method: &str, path: &str, query: &str) -> Result<Ask, RouteError> {
    let request = route(&Head {
        method,
        path,
        query,
    })?;
    assert_eq!(request.serial.as_str(), "ABC1234560001");
    Ok(request.ask)
}

#[test]
fn every_spelling_of_a_path_leads_to_the_same_room() {
    for path in [
        "/iclock/ping",
        "/iclock/iclock/ping",
        "/ICLOCK/iclock/iclock/Ping",
        "//iclock//ping/",
        "/iclock/ping.aspx",
        "/iclock/Ping.ASP",
        "/iclock/ping.php",
    ] {
        assert_eq!(
            ask_of("GET", path, "sn=ABC1234560001"),
            Ok(Ask::Ping),
            "{path}"
        );
    }
}

#[test]
fn paths_of_other_people_and_path_tricks_are_not_found() {
    for path in [
        "/",
        "",
        "/cdata",
        "/favicon.ico",
        "/iclockx/cdata",
        "/iclock%2Fcdata",
        "*",
    ] {
        assert_eq!(
            ask_of("GET", path, "SN=ABC1234560001"),
            Err(RouteError::NotOurs),
            "{path}"
        );
    }
    for path in [
        "/iclock/../etc/passwd",
        "/iclock/",
        "/iclock",
        "/iclock/cdata/x",
        "/iclock/a\nb",
    ] {
        let error = ask_of("GET", path, "SN=ABC1234560001").unwrap_err();
        assert!(matches!(error, RouteError::UnknownPath(_)), "{path}");
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn a_request_without_a_usable_serial_is_refused() {
    let refused = |query| ask_of("GET", "/iclock/ping", query).unwrap_err();
    assert_eq!(refused(""), RouteError::MissingSerial);
    assert_eq!(refused("SN="), RouteError::MissingSerial);
    assert_eq!(
        refused("SN=a/b"),
        RouteError::BadSerial(NameError::Character)
    );
    assert_eq!(
        refused("SN=a%0Ab"),
        RouteError::BadSerial(NameError::Character)
    );
    let long = format!("SN={}", "x".repeat(33));
    assert_eq!(
        refused(&long),
        RouteError::BadSerial(NameError::TooLong(32))
    );
}

#[test]
fn a_wrong_method_is_named() {
    let error = |method, path: &str| ask_of(method, path, "SN=ABC1234560001").unwrap_err();
    for name in [
        "cdata",
        "fdata",
        "getrequest",
        "devicecmd",
        "ping",
        "registry",
        "file",
    ] {
        assert_eq!(
            error("DELETE", &format!("/iclock/{name}")),
            RouteError::Method(name)
        );
    }
    assert_eq!(
        error("GET", "/iclock/devicecmd"),
        RouteError::Method("devicecmd")
    );
    assert_eq!(
        error("POST", "/iclock/getrequest"),
        RouteError::Method("getrequest")
    );
    assert_eq!(error("get", "/iclock/cdata"), RouteError::Method("cdata"));
}

#[test]
fn an_upload_names_its_table_its_stamp_and_the_command_it_answers() {
    let upload = |query: &str| match ask_of("POST", "/iclock/cdata", query) {
        Ok(Ask::Upload(upload)) => upload,
        other => panic!("{other:?}"),
    };
    let live = upload("SN=ABC1234560001&table=ATTLOG&Stamp=9999");
    assert_eq!(live.table, Table::AttLog);
    assert_eq!(live.stamp.unwrap().as_str(), "9999");
    assert_eq!(live.answers_command, None);
    let query =
        upload("SN=ABC1234560001&table=ATTLOG&Stamp=9999&Count=1&PackCnt=1&PackIdx=1&CmdId=239");
    assert_eq!(query.answers_command.unwrap(), "239");
    let old = upload("SN=ABC1234560001&OpStamp=77");
    assert_eq!(
        (old.table, old.stamp.unwrap().as_str()),
        (Table::OperLog, "77")
    );
    let us = upload("SN=ABC1234560001&table=attlog&Stamp=2026-11-21T10:15:30");
    assert_eq!(us.stamp.unwrap().as_str(), "2026-11-21T10:15:30");
    assert_eq!(
        upload("SN=ABC1234560001&table=ATTLOG&Stamp=%0d%0aX").stamp,
        None
    );
    assert_eq!(upload("SN=ABC1234560001").table.name(), "none");
    let packed = upload("SN=ABC1234560001&table=OPERLOG&contenttype=tgz");
    assert_eq!(packed.table.name(), "OPERLOG.tgz");
}

#[test]
fn a_photo_comes_through_either_door() {
    for (path, query) in [
        (
            "/iclock/fdata",
            "SN=ABC1234560001&table=ATTPHOTO&PhotoStamp=5",
        ),
        ("/iclock/fdata.aspx", "SN=ABC1234560001&PhotoStamp=5"),
        ("/iclock/cdata", "SN=ABC1234560001&table=ATTPHOTO&Stamp=5"),
    ] {
        let Ok(Ask::Upload(upload)) = ask_of("POST", path, query) else {
            panic!("{path}");
        };
        assert_eq!(upload.table, Table::AttPhoto);
        assert_eq!(upload.stamp.unwrap().as_str(), "5");
    }
}

#[test]
fn what_is_not_served_is_known_by_name() {
    let get = |path: &str, query: &str| ask_of("GET", path, &format!("SN=ABC1234560001{query}"));
    let post = |path: &str, query: &str| ask_of("POST", path, &format!("SN=ABC1234560001{query}"));
    for name in ["exchange", "event", "rtdata", "edata"] {
        assert_eq!(
            post(&format!("/iclock/{name}"), ""),
            Ok(Ask::Unserved(name))
        );
    }
    assert_eq!(
        post("/iclock/cdata", "&AuthType=device"),
        Ok(Ask::Unserved("AuthType"))
    );
    assert_eq!(
        post("/iclock/cdata", "&type=PostVerifyData"),
        Ok(Ask::Unserved("PostVerifyData"))
    );
    assert_eq!(get("/iclock/cdata", "&type=time"), Ok(Ask::Time));
    assert_eq!(
        get("/iclock/cdata", "&type=LastPunch&PIN=1"),
        Ok(Ask::Unserved("LastPunch"))
    );
    assert_eq!(
        get("/iclock/cdata", "&table=RemoteAtt&PIN=1"),
        Ok(Ask::Unserved("RemoteAtt"))
    );
    assert_eq!(
        get("/iclock/cdata", "&PIN=1"),
        Ok(Ask::Unserved("RemoteAtt"))
    );
    assert_eq!(get("/iclock/file", "&url=x"), Ok(Ask::Unserved("file")));
}

fn uploaded(path: &str, query: &str) -> Upload {
    match ask_of("POST", path, &format!("SN=ABC1234560001&{query}")) {
        Ok(Ask::Upload(upload)) => upload,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_upload_of_the_access_dialect_knows_the_words_it_waits_for() {
    for table in ["rtlog", "RTLOG", "rtstate"] {
        let upload = uploaded("/iclock/cdata", &format!("table={table}"));
        assert_eq!(upload.acknowledge, Acknowledge::Plain);
    }
    let user = uploaded("/iclock/cdata", "table=tabledata&tablename=user&count=3");
    let named = |name: &str, announced| Acknowledge::Named {
        name: Text::new(name),
        announced,
    };
    assert_eq!(
        (user.table, user.acknowledge),
        (Table::User, named("user", Some(3)))
    );
    let answer = "Type=TableData&CmdId=77&TableName=transaction&Count=2&PackCnt=3&PackIdx=2";
    let rows = uploaded("/iclock/querydata", answer);
    assert_eq!(rows.table, Table::Transaction);
    assert_eq!(rows.acknowledge, named("transaction", Some(2)));
    assert_eq!(
        (rows.answers_command.as_deref(), rows.part),
        (Some("77"), Some((2, 3)))
    );
    for kind in ["count", "options"] {
        let query = format!("type={kind}&cmdid=78&tablename=transaction&count=1");
        let list = uploaded("/iclock/querydata", &query);
        assert_eq!(
            (list.table, list.acknowledge),
            (Table::Options, Acknowledge::Plain)
        );
        assert_eq!(list.answers_command.as_deref(), Some("78"));
    }
}

#[test]
fn a_table_name_that_goes_into_a_reply_is_plain_and_a_part_is_one_of_its_whole() {
    let odd = uploaded(
        "/iclock/cdata",
        "table=tabledata&tablename=a%0D%0Ab%3D&count=x",
    );
    let Acknowledge::Named { name, announced } = odd.acknowledge else {
        panic!("not named");
    };
    assert_eq!((name.as_str(), announced), ("a__b_", None));
    for wrong in [
        "PackCnt=2&PackIdx=3",
        "PackCnt=2&PackIdx=0",
        "PackCnt=2",
        "PackCnt=x&PackIdx=1",
    ] {
        let query = format!("type=tabledata&tablename=transaction&{wrong}");
        assert_eq!(uploaded("/iclock/querydata", &query).part, None, "{wrong}");
    }
}

#[test]
fn an_access_terminal_registers_asks_its_configuration_and_the_time() {
    let ask =
        |method, path: &str, query: &str| ask_of(method, path, &format!("SN=ABC1234560001{query}"));
    assert_eq!(ask("POST", "/iclock/registry", ""), Ok(Ask::Registry));
    assert_eq!(ask("POST", "/iclock/push", ""), Ok(Ask::Configuration));
    assert_eq!(ask("GET", "/iclock/push", ""), Ok(Ask::Configuration));
    assert_eq!(
        ask("GET", "/iclock/rtdata", "&type=time"),
        Ok(Ask::PackedTime)
    );
}
