//! Digest against the figures of the standards, and against headers no standard foresaw.

use super::*;
use proptest::prelude::*;

fn choose(headers: &[&str]) -> Option<Challenge> {
    Challenge::choose(headers.iter().copied())
}

fn session(header: &str, user: &str, password: &str) -> Session {
    let challenge = choose(&[header]).unwrap();
    Session::new(challenge, Credentials::new(user, password).unwrap())
}

const RFC7616: &str = r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=ALGO, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
const RFC7616_CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

#[test]
fn the_examples_of_rfc_7616_come_out_to_the_letter() {
    let cases = [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        (
            "SHA-256",
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
    ];
    for (algorithm, response) in cases {
        let header = RFC7616.replace("ALGO", algorithm);
        let mut session = session(&header, "Mufasa", "Circle of Life");
        assert_eq!(
            session.authorization("GET", "/dir/index.html", RFC7616_CNONCE),
            format!(
                "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", uri=\"/dir/index.html\", \
                 algorithm={algorithm}, response=\"{response}\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\", qop=auth, nc=00000001, \
                 cnonce=\"{RFC7616_CNONCE}\""
            )
        );
    }
}

#[test]
fn the_example_of_rfc_2617_comes_out_and_the_count_rises_with_each_use() {
    let header = r#"Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let mut session = session(header, "Mufasa", "Circle Of Life");
    let first = session.authorization("GET", "/dir/index.html", "0a4f113b");
    assert!(
        first.contains("response=\"6629fae49393a05397450978507c4ef1\""),
        "{first}"
    );
    assert!(!first.contains("algorithm"), "{first}");
    let second = session.authorization("GET", "/dir/index.html", "0a4f113b");
    assert!(second.contains("nc=00000002"), "{second}");
    assert!(!second.contains("6629fae4"), "{second}");
    assert_eq!(session.uses(), 2);
}

#[test]
fn without_qop_the_answer_has_the_old_form() {
    // Computed apart: md5(md5("u:r:p") ":" "n" ":" md5("GET:/")).
    let mut session = session("Digest realm=\"r\", nonce=\"n\"", "u", "p");
    assert_eq!(
        session.authorization("GET", "/", "unused"),
        "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"/\", response=\"f23121ca97143c6b358da620220c83b4\""
    );
}

#[test]
fn a_session_algorithm_keeps_its_first_client_nonce() {
    let header = "Digest realm=\"r\", nonce=\"n\", qop=auth, algorithm=MD5-sess";
    let mut session = session(header, "u", "p");
    // Computed apart: a1 = md5(md5("u:r:p") ":n:c1").
    let first = session.authorization("GET", "/", "c1");
    assert!(
        first.contains("response=\"71da3a5a366624854f16789e340492ac\""),
        "{first}"
    );
    let second = session.authorization("GET", "/", "c2");
    assert!(
        second.contains("cnonce=\"c1\"") && second.contains("nc=00000002"),
        "{second}"
    );
}

#[test]
fn basic_is_taken_only_where_nothing_better_is_offered() {
    let basic = "Basic realm=\"IP Camera\"";
    let md5 = "Digest qop=\"auth\", realm=\"d\", nonce=\"m\"";
    let sha = "Digest qop=\"auth\", realm=\"d\", nonce=\"s\", algorithm=\"sha-256\"";
    let only = choose(&[basic]).unwrap();
    let mut plain = Session::new(only, Credentials::new("admin", "a:b").unwrap());
    assert_eq!(plain.authorization("GET", "/", ""), "Basic YWRtaW46YTpi");
    assert!(choose(&[basic, md5]).unwrap().0 != Scheme::Basic);
    let joined = format!("{basic}, {md5}, {sha}, Negotiate abc==");
    for headers in [vec![md5, basic, sha], vec![sha, md5], vec![joined.as_str()]] {
        let mut session = Session::new(
            choose(&headers).unwrap(),
            Credentials::new("u", "p").unwrap(),
        );
        let out = session.authorization("GET", "/", "c");
        assert!(
            out.contains("algorithm=sha-256") && out.contains("nonce=\"s\""),
            "{out}"
        );
    }
}

#[test]
fn odd_spacing_bare_values_and_forgotten_commas_are_read() {
    for header in [
        "Digest realm = \"r\" ,nonce= \"n\",qop = auth , stale = TRUE",
        "digest  realm=r nonce=n qop=auth stale=true",
        "DIGEST\trealm=\"r\",,nonce=\"n\",\tqop=\"auth-int, auth\",stale=\"true\",",
        "Digest userhash=false, nonce=n, realm=r, qop=\"auth\", stale=true, nonce=second",
    ] {
        let challenge = choose(&[header]).unwrap();
        assert!(challenge.is_stale(), "{header}");
        let out = Session::new(challenge, Credentials::new("u", "p").unwrap())
            .authorization("GET", "/", "c");
        assert!(
            out.contains(
                "realm=\"r\", nonce=\"n\", uri=\"/\", response=\"490ab2d682267b3630d3509d981b982d\""
            ),
            "{header}: {out}"
        );
    }
}

#[test]
fn what_we_cannot_answer_is_not_chosen() {
    for header in [
        "",
        "Digest",
        "Digest realm=\"r\"",
        "Digest realm=\"r\", nonce=\"\"",
        "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
        "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256",
        "Digest realm=\"r\", nonce=\"a\r\nX-Evil: 1\"",
        "Digest realm=\"r\0\", nonce=\"n\"",
        "Negotiate abcd==",
    ] {
        assert_eq!(choose(&[header]), None, "{header:?}");
    }
    let long = format!(
        "Digest realm=\"r\", nonce=\"{}\"",
        "n".repeat(VALUE_LIMIT + 1)
    );
    assert_eq!(choose(&[&long]), None);
}

#[test]
fn quotes_and_backslashes_travel_escaped_and_count_unescaped() {
    let mut session = session(r#"Digest realm="a\"b\\c", nonce="n""#, "we\"ird", "p");
    let out = session.authorization("GET", "/", "c");
    assert!(
        out.contains(r#"username="we\"ird", realm="a\"b\\c""#),
        "{out}"
    );
    assert!(
        out.contains("response=\"17dfd979377cd3a7c1e10a17394bc769\""),
        "{out}"
    );
}

#[test]
fn a_password_is_in_nothing_that_is_printed() {
    let session = session("Digest realm=\"r\", nonce=\"n\"", "u", "hunter2");
    let shown = format!("{session:?} {:?}", session.credentials);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(Credentials::new("a\nb", "p"), Err(BadUser));
    assert_eq!(Credentials::new("", "p"), Err(BadUser));
}

proptest! {
    #[test]
    fn no_header_of_a_device_panics_or_breaks_out_of_ours(
        header in "(Digest|Basic|digest)?[ -~\\n\\r\\x00\\t\"\\\\,= é]{0,120}",
        scheme in "Digest (realm|nonce|qop|opaque|algorithm|stale|[a-z]{1,4}) ?= ?\"?[ -~\\r\\n]{0,20}\"?, nonce=x",
    ) {
        for text in [header, scheme] {
            if let Some(challenge) = choose(&[&text]) {
                let mut session = Session::new(challenge, Credentials::new("u", "p").unwrap());
                let out = session.authorization("GET", "/", "c");
                prop_assert!(!out.chars().any(char::is_control), "{out:?}");
            }
        }
    }
}
