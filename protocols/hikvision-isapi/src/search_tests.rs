//! Capabilities, questions and pages, in the shapes devices give them.

use super::*;
use proptest::prelude::*;

fn capabilities(cond: &str) -> Capabilities {
    read_capabilities(
        format!(r#"{{"AcsEvent":{{"AcsEventCond":{{{cond}}},"InfoList":{{"maxSize":20}}}}}}"#)
            .as_bytes(),
    )
    .unwrap()
}

#[test]
fn a_terminal_searches_by_serial_and_an_intercom_only_by_time() {
    let terminal = capabilities(
        r#""searchResultPosition":{"@min":0,"@max":300000},"maxResults":{"@min":1,"@max":30},
           "beginSerialNo":{"@min":1,"@max":3000000000},"endSerialNo":{"@min":1,"@max":"3000000000"},"timeReverseOrder":true"#,
    );
    assert_eq!(
        terminal,
        Capabilities {
            by_serial: true,
            serial_limit: 3_000_000_000,
            page: 30,
            position_limit: 300_000,
            newest_first: true
        }
    );
    let intercom = capabilities(r#""searchResultPosition":{"@min":0,"@max":1000},"picEnable":"x""#);
    assert_eq!(
        intercom,
        Capabilities {
            by_serial: false,
            serial_limit: 3_000_000_000,
            page: 20,
            position_limit: 1000,
            newest_first: false
        }
    );
    let refused = read_capabilities(
        br#"{"statusCode":4,"statusString":"Invalid Operation","subStatusCode":"notSupport"}"#,
    );
    let Err(SearchError::Refused(status)) = refused else {
        panic!("{refused:?}")
    };
    assert!(status.is_not_supported());
    assert_eq!(read_capabilities(b"<html/>"), Err(SearchError::NotAPage));
}

#[test]
fn a_question_holds_what_its_range_needs_and_no_pictures() {
    let body = |range| {
        let question = Question {
            range,
            position: 60,
            page: 30,
            search_id: "a\"b".into(),
        };
        let body: Value = serde_json::from_str(&question.body()).unwrap();
        let cond = body["AcsEventCond"].as_object().unwrap().clone();
        assert_eq!(
            (&cond["major"], &cond["minor"], &cond["picEnable"]),
            (&json!(0), &json!(0), &json!(false))
        );
        assert_eq!(
            (
                &cond["searchID"],
                &cond["searchResultPosition"],
                &cond["maxResults"]
            ),
            (&json!("a\"b"), &json!(60), &json!(30))
        );
        cond
    };
    let serials = body(SearchRange::Serials {
        begin: 7,
        end: 3_000_000_000,
    });
    assert_eq!(
        (&serials["beginSerialNo"], &serials["endSerialNo"]),
        (&json!(7), &json!(3_000_000_000_u64))
    );
    let times = body(SearchRange::Times {
        from: "2026-11-01T00:00:00+05:00".into(),
        to: "x".into(),
    });
    assert_eq!(
        (&times["startTime"], &times["endTime"]),
        (&json!("2026-11-01T00:00:00+05:00"), &json!("x"))
    );
    assert!(times.get("beginSerialNo").is_none());
    assert_eq!(body(SearchRange::Newest)["timeReverseOrder"], json!(true));
}

const ITEMS: &str = r#"[{"major":5,"minor":75,"time":"2026-11-02T08:59:31+05:00","employeeNoString":"0042","serialNo":90213},
    {"major":"5","minor":"21","time":"2026-11-02 08:59:31","serialNo":"90212"},
    {"major":5,"minor":22,"time":"2026-11-02T08:59:31+05:00"}]"#;

fn page(status: &str, rest: &str) -> Page {
    let body =
        format!(r#"{{"AcsEvent":{{"searchID":"x","responseStatusStrg":"{status}"{rest}}}}}"#);
    read_page(body.as_bytes()).unwrap()
}

#[test]
fn a_page_is_read_with_numbers_or_texts_and_records_without_serials() {
    let read = page(
        "MORE",
        &format!(r#","numOfMatches":"3","totalMatches":"68","InfoList":{ITEMS}"#),
    );
    assert_eq!(
        (read.status, read.total, read.len()),
        (PageStatus::More, 68, 3)
    );
    assert_eq!(read.serials, [90_213, 90_212]);
    let serials: Vec<Option<u64>> = read
        .records
        .iter()
        .map(|r| r.as_ref().unwrap().serial_no)
        .collect();
    assert_eq!(serials, [Some(90_213), Some(90_212), None]);
    assert_eq!(
        (
            read.is_whole(),
            read.strays(90_213, 90_300),
            read.strays(1, 90_213)
        ),
        (false, 1, 0)
    );
}

#[test]
fn nothing_found_is_said_in_several_ways() {
    for rest in [
        "",
        r#","numOfMatches":0,"totalMatches":0"#,
        r#","InfoList":[]"#,
        r#","InfoList":null"#,
    ] {
        for status in ["NO MATCH", "NO_MATCH", "no match", "NO MATCHES"] {
            let read = page(status, rest);
            assert_eq!(
                (read.status, read.total, read.is_empty()),
                (PageStatus::NoMatch, 0, true)
            );
            assert!(read.is_whole());
        }
    }
}

#[test]
fn an_unknown_status_never_ends_a_search_that_may_go_on() {
    let rest = format!(r#","totalMatches":68,"InfoList":{ITEMS}"#);
    assert_eq!(page("CONTINUE", &rest).status, PageStatus::More);
    let rest = format!(r#","totalMatches":3,"InfoList":{ITEMS}"#);
    assert_eq!(page("", &rest).status, PageStatus::Ok);
    assert_eq!(
        read_page(br#"{"AcsEvent":{"searchID":"x"}}"#),
        Err(SearchError::NotAPage)
    );
}

#[test]
fn one_bad_record_hides_neither_its_neighbours_nor_its_serial() {
    let read = page(
        "OK",
        r#","totalMatches":3,"InfoList":[{"serialNo":5},7,{"major":5,"minor":75,"time":"2026-11-02T08:59:31+05:00","serialNo":6}]"#,
    );
    assert_eq!((read.len(), read.serials.as_slice()), (3, &[5, 6][..]));
    assert!(read.records[1].is_err() && read.records[2].is_ok());
}

#[test]
fn a_page_with_pictures_is_read_without_them() {
    let json = format!(
        r#"{{"AcsEvent":{{"responseStatusStrg":"OK","totalMatches":3,"InfoList":{ITEMS}}}}}"#
    );
    for line in ["\r\n", "\n"] {
        let mut body = format!(
            "--MIME_boundary{line}Content-Disposition: form-data; name=\"Picture\"{line}Content-Type:image/jpeg{line}{line}"
        )
        .into_bytes();
        body.extend_from_slice(b"\xff\xd8{\"AcsEvent\"}\n\n{");
        body.extend_from_slice(format!("{line}--MIME_boundary{line}Content-Type: application/json{line}{line}{json}{line}--MIME_boundary--{line}").as_bytes());
        assert_eq!(read_page(&body).unwrap().len(), 3);
    }
}

#[test]
fn control_characters_and_broken_text_in_a_name_do_not_cost_the_page() {
    let body = b"\xef\xbb\xbf{\"AcsEvent\":{\"responseStatusStrg\":\"OK\",\"totalMatches\":1,\"InfoList\":[{\"major\":5,\
        \"minor\":75,\"time\":\"2026-11-02T08:59:31+05:00\",\"name\":\"A\x00\xffB\",\"serialNo\":9}]}}\0\0";
    let read = read_page(body).unwrap();
    assert_eq!(read.serials, [9]);
    assert!(read.records[0].is_ok());
}

#[test]
fn a_refused_question_keeps_the_words_of_the_device() {
    let Err(SearchError::Refused(status)) = read_page(br#"{"statusCode":6,"statusString":"Invalid Content","subStatusCode":"MessageParametersLack"}"#)
    else { panic!("not refused") };
    assert_eq!(status.sub, "MessageParametersLack");
    let deep = format!(
        "{{\"AcsEvent\":{}{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    assert!(read_page(deep.as_bytes()).is_err());
    assert_eq!(
        read_page(&vec![b' '; PAGE_BYTES + 1]),
        Err(SearchError::TooLong)
    );
}

proptest! {
    #[test]
    fn no_answer_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        at in 0usize..400, byte in any::<u8>(), cut in 0usize..600, multipart in any::<bool>(),
    ) {
        let head = if multipart { "--b\r\nContent-Type: application/json\r\n\r\n" } else { "" };
        let mut body = format!(r#"{head}{{"AcsEvent":{{"responseStatusStrg":"OK","totalMatches":3,"InfoList":{ITEMS}}}}}"#).into_bytes();
        if let Some(b) = body.get_mut(at) { *b = byte; }
        for body in [body.get(..cut).unwrap_or(&body), &body, &bytes] {
            if let Ok(page) = read_page(body) {
                prop_assert!(page.serials.len() <= page.records.len());
            }
            prop_assert!(read_capabilities(body).is_ok_and(|c| c.page > 0) || read_capabilities(body).is_err());
        }
    }
}
