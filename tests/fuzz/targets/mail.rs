//! A letter whose subject and body are a stranger's: exactly one well-formed message comes out.

#![no_main]

#[path = "../../../crates/notify/tests/laws/mod.rs"]
mod laws;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use notify::{Body, Language, Letter, Recipient, Sender};

static SENDER: LazyLock<Sender> = LazyLock::new(|| Sender::new("s@x.mx", "Sentinela").unwrap());

/// Each line of the text is a part of the body; its first character chooses which.
fn body(text: &str) -> Body {
    text.split('\n').fold(Body::new(), |body, line| {
        let mut rest = line.chars();
        let choice = rest.next();
        let words = rest.as_str();
        match choice {
            Some('h') => body.heading(words),
            Some('p') => body.pair(words, line),
            Some('i') => body.item(words),
            Some('c') => body.command(words),
            Some('l') => body.link(words, line),
            _ => body.line(line),
        }
    })
}

fuzz_target!(|text: &str| {
    let (subject, rest) = text.split_at(text.find('\n').unwrap_or(text.len()));
    let letter = Letter {
        incident: "INC-2026-000001".to_owned(),
        step: "level-1".to_owned(),
        kind: "store_down".to_owned(),
        critical: true,
        to: Recipient::mail("uno@x.mx").unwrap(),
        language: Language::Spanish,
        subject: subject.to_owned(),
        body: body(rest),
    };
    let written_at = jiff::Timestamp::UNIX_EPOCH;
    laws::is_one_message(&letter.wire(&SENDER, written_at).unwrap());
});
