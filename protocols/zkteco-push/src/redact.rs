//! Secrets out of what is kept: passwords, cards, templates, pictures, keys.
//!
//! A line that cannot be read is committed raw, and it may be a user or template line in a
//! spelling that nobody has seen. Before anything becomes a quarantine record or an event's
//! raw bytes, the values of the keys below are blanked here. Bytes without such keys are never
//! copied.

use bytes::Bytes;

/// Keys that hold a card. In a record of who passed with which card they are what it is about;
/// anywhere else they are a person's data, and never kept.
const CARD: [&str; 4] = ["card", "cardno", "maincard", "vicecard"];

/// Other keys whose values are never kept, in lower case.
const SECRET: [&str; 18] = [
    "passwd",
    "password",
    "pwd",
    "tmp",
    "template",
    "content",
    "photo",
    "userpic",
    "image",
    "bmp",
    "additional",
    "comkey",
    "commkey",
    "pushcomkey",
    "pushcommkey",
    "commpwd",
    "token",
    "authkey",
];

/// True when the value of a key must not be kept.
pub(crate) fn is_secret(key: &[u8]) -> bool {
    let starts = |prefix: &[u8]| {
        let head = key.get(..prefix.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    let is = |list: &[&str]| {
        let same = |name: &&str| key.eq_ignore_ascii_case(name.as_bytes());
        list.iter().any(same)
    };
    starts(b"fptemplate") || is(&CARD) || is(&SECRET)
}

/// True for the keys that hold a card.
pub(crate) fn is_card(key: &[u8]) -> bool {
    let same = |name: &&str| key.eq_ignore_ascii_case(name.as_bytes());
    CARD.iter().any(same)
}

/// The bytes with each secret value, up to the end of its field, replaced by `*`; `None` when
/// there is none.
///
/// A field ends at TAB or at a line end. With blanks or commas between fields the rest of the
/// line goes with the secret, which is the safe side.
pub(crate) fn redact(raw: &[u8]) -> Option<Bytes> {
    redact_keys(raw, is_secret)
}

/// The same, with cards left in: for access events.
pub(crate) fn redact_but_cards(raw: &[u8]) -> Option<Bytes> {
    redact_keys(raw, |key| is_secret(key) && !is_card(key))
}

fn redact_keys(raw: &[u8], is_secret: impl Fn(&[u8]) -> bool) -> Option<Bytes> {
    let mut out: Option<Vec<u8>> = None;
    let mut copied = 0;
    for equals in memchr::memchr_iter(b'=', raw) {
        let (before, after) = (raw.get(..equals)?, raw.get(equals + 1..)?);
        if equals < copied || !is_secret(last_word(before)) {
            continue;
        }
        let length = memchr::memchr3(b'\t', b'\n', b'\r', after).unwrap_or(after.len());
        if length > 0 {
            let out = out.get_or_insert_with(|| Vec::with_capacity(raw.len()));
            out.extend_from_slice(raw.get(copied..=equals)?);
            out.push(b'*');
            copied = equals + 1 + length;
        }
    }
    let mut out = out?;
    out.extend_from_slice(raw.get(copied..)?);
    Some(out.into())
}

/// The letters and digits that end the text.
fn last_word(text: &[u8]) -> &[u8] {
    let start = text.iter().rposition(|b| !b.is_ascii_alphanumeric());
    start.map_or(text, |at| text.get(at + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redacted(raw: &str) -> Option<String> {
        redact(raw.as_bytes()).map(|b| String::from_utf8(b.to_vec()).unwrap())
    }

    #[test]
    fn secret_values_are_blanked_and_the_rest_is_left_alone() {
        assert_eq!(
            redacted("USERX PIN=7\tName=A=b\tPasswd=1=2\tCard=[0A]\tGrp=1").unwrap(),
            "USERX PIN=7\tName=A=b\tPasswd=*\tCard=*\tGrp=1"
        );
        assert_eq!(
            redacted("X Tmp=QUJD=\r\nY FPTemplate1=QQ==\tz=1").unwrap(),
            "X Tmp=*\r\nY FPTemplate1=*\tz=1"
        );
        assert_eq!(redacted("PIN=7 Passwd=1 Grp=2").unwrap(), "PIN=7 Passwd=*");
        assert_eq!(redacted("a,~authKey=x").unwrap(), "a,~authKey=*");
        assert_eq!(redacted("PIN=7\tPasswd=\tDiscard=1"), None);
        assert_eq!(redacted("1001\t2026-11-21 10:15:30"), None);
    }

    #[test]
    fn an_access_event_keeps_its_card_and_nothing_else_that_is_secret() {
        let kept = |raw: &str| redact_but_cards(raw.as_bytes());
        assert_eq!(kept("pin=7\tcardno=0A1B\tevent=0"), None);
        assert_eq!(
            kept("pin=7\tcardno=0A1B\tpassword=1234\tevent=0").unwrap(),
            "pin=7\tcardno=0A1B\tpassword=*\tevent=0"
        );
    }

    proptest! {
        #[test]
        fn no_secret_survives_in_any_surrounding(
            before in "[ -~\t\n]{0,20}", sep in "[\t\n ,;&~]", key in prop::sample::select([&SECRET[..], &CARD].concat()), after in "[ -~\t\n]{0,20}",
        ) {
            let raw = format!("{before}{sep}{key}=S3CR3T\t{after}");
            let out = redacted(&raw).unwrap();
            prop_assert!(!out.contains("S3CR3T"));
            prop_assert!(out.len() <= raw.len());
            prop_assert_eq!(redacted(&out).map(|again| again == out).unwrap_or(true), true);
        }
    }
}
