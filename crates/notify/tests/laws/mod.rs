//! What holds of every message that leaves, whatever strangers wrote into it. The judge is a reader of
//! mails that shares nothing with what writes them. Tests and the fuzzers in `tests/fuzz` hold
//! messages to the same laws.

#![allow(clippy::unwrap_used, reason = "a law that is broken ends the test")]

use std::collections::BTreeSet;

use notify::Wire;

/// No line can be started, hidden or turned around from inside.
pub(crate) fn is_harmless(text: &str) -> bool {
    let bad = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    !text.chars().any(bad)
}

/// Every tag of a page is one of ours.
pub(crate) fn has_only_our_tags(page: &str) -> bool {
    let ours = [
        "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "h1", "h3", "p", "b", "ul",
        "li", "pre", "a", "form", "button",
    ];
    page.split('<').skip(1).all(|rest| {
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        let name = rest.split([' ', '>', '\n']).next().unwrap_or_default();
        ours.contains(&name)
    })
}

/// The message is one, to one reader, with one text and one page; its subject.
pub(crate) fn is_one_message(wire: &Wire) -> String {
    let text = std::str::from_utf8(&wire.bytes).unwrap();
    assert!(text.is_ascii());
    let bare = text.replace("\r\n", "");
    assert!(!bare.contains(['\r', '\n', '\0']), "a bare line break");
    assert!(text.lines().all(|line| line.len() <= 998));
    let mail = mail_parser::MessageParser::default()
        .parse(&wire.bytes)
        .unwrap();
    let names: Vec<String> = mail
        .headers()
        .iter()
        .map(|it| it.name.as_str().to_lowercase())
        .collect();
    let once: BTreeSet<&String> = names.iter().collect();
    assert_eq!(once.len(), names.len(), "{names:?}");
    assert!(!names.contains(&"bcc".to_owned()), "{names:?}");
    let to = mail.to().unwrap().first().unwrap().address().unwrap();
    assert_eq!(to, wire.to.to_string());
    let subject = mail.subject().unwrap_or_default();
    assert!(is_harmless(subject), "{subject:?}");
    assert_eq!((mail.text_body_count(), mail.html_body_count()), (1, 1));
    assert_eq!(mail.attachment_count(), 0);
    let body = mail.body_text(0).unwrap().replace("\r\n", "\n");
    assert!(is_harmless(&body), "{body:?}");
    let page = mail.body_html(0).unwrap();
    assert!(has_only_our_tags(&page), "{page}");
    subject.to_owned()
}
