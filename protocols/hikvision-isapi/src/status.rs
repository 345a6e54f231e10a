//! `ResponseStatus`: how a device says that it did something, or why not, in XML or JSON.
//!
//! The same answer also carries the lock-out after wrong passwords, in this document or in the
//! `userCheck` of the login page. The words are the device's own and go to logs and lists, so
//! they are short and printable here. An unreadable answer is no answer: never a success.

use event::Text;
use serde_json::Value;

use crate::xml::{self, Element};

/// Longest word or message kept, in characters.
const WORD_LIMIT: usize = 128;
/// Longest body looked at.
const BODY_LIMIT: usize = 64 * 1024;

/// What a device answered to a request, other than by data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseStatus {
    /// `statusCode`: 1 fine, 2 busy, 3 device error, 4 invalid operation, 5 and 6 bad message,
    /// 7 reboot needed.
    pub code: Option<u32>,
    /// `statusString`, in the device's words.
    pub text: Text,
    /// `subStatusCode`, the part that can be acted on: `deployExceedMax`, `notSupport`, ...
    pub sub: Text,
    /// `errorMsg`: what the device did not like; often the name of a field.
    pub message: Text,
    /// What it says about locked logins.
    pub lock: Option<LockInfo>,
}

/// What a device says about the lock-out of our address or user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LockInfo {
    /// Logins are refused until the lock time is over, right password or not.
    pub locked: bool,
    /// Seconds until then (`unlockTime`); `None` when not said or zero.
    pub unlock_seconds: Option<u64>,
    /// Tries left before the lock (`retryLoginTime`).
    pub tries_left: Option<u32>,
}

impl ResponseStatus {
    /// Reads the body of an answer, whichever of the two forms it has. `None` when it is
    /// neither.
    pub fn read(body: &[u8]) -> Option<Self> {
        if body.len() > BODY_LIMIT {
            return None;
        }
        let first = body.iter().find(|b| b.is_ascii_graphic())?;
        let fields = match first {
            b'{' => Fields::Json(serde_json::from_slice(body).ok()?),
            _ => Fields::Xml(xml::parse(body).ok()?),
        };
        fields.status()
    }

    /// The device did what was asked.
    pub fn is_ok(&self) -> bool {
        self.code == Some(1)
    }

    /// Every place for a stream on the device is taken (`deployExceedMax`).
    pub fn is_deploy_exceeded(&self) -> bool {
        let names = ["deployExceedMax", "deployExceedMaxNum"];
        names.iter().any(|name| self.sub.eq_ignore_ascii_case(name))
    }

    /// The device does not have this function, now or ever.
    pub fn is_not_supported(&self) -> bool {
        let names = ["notSupport", "methodNotAllowed", "theFunctionNotSupported"];
        names.iter().any(|name| self.sub.eq_ignore_ascii_case(name))
    }
}

enum Fields {
    Xml(Element),
    Json(Value),
}

impl Fields {
    fn status(&self) -> Option<ResponseStatus> {
        let any = [
            "statusCode",
            "statusValue",
            "statusString",
            "subStatusCode",
            "lockStatus",
        ];
        if !any.iter().any(|name| self.get(name).is_some()) {
            return None;
        }
        let text = |name: &str| self.get(name).map(|text| short(&text)).unwrap_or_default();
        Some(ResponseStatus {
            code: self
                .number("statusCode")
                .and_then(|n| u32::try_from(n).ok()),
            text: text("statusString"),
            sub: text("subStatusCode"),
            message: text("errorMsg"),
            lock: self.lock(),
        })
    }

    fn lock(&self) -> Option<LockInfo> {
        let status = self.get("lockStatus");
        let seconds = self.number("unlockTime");
        let tries = self.number("retryLoginTime");
        if status.is_none() && seconds.is_none() && tries.is_none() {
            return None;
        }
        let said = |word: &str| {
            status
                .as_deref()
                .is_some_and(|s| s.eq_ignore_ascii_case(word))
        };
        Some(LockInfo {
            locked: said("lock") || said("locked"),
            unlock_seconds: seconds.filter(|seconds| *seconds > 0),
            tries_left: tries.and_then(|n| u32::try_from(n).ok()),
        })
    }

    fn get(&self, name: &str) -> Option<String> {
        match self {
            Self::Xml(root) => root.text_of(name).map(str::to_owned),
            Self::Json(value) => json_text(value, name),
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.trim().parse().ok()
    }
}

/// The field, at the top or inside the one object there is (`{"ResponseStatus":{...}}`).
fn json_text(value: &Value, name: &str) -> Option<String> {
    let object = value.as_object()?;
    let inner = object.values().find_map(Value::as_object);
    let found = find(object, name).or_else(|| find(inner?, name))?;
    match found {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn find<'a>(object: &'a serde_json::Map<String, Value>, name: &str) -> Option<&'a Value> {
    let mut fields = object.iter();
    let found = fields.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

/// At most [`WORD_LIMIT`] printable characters of what a device wrote.
pub(crate) fn short(text: &str) -> Text {
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(WORD_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_refusal_is_read_from_either_form() {
        let xml = br#"<?xml version="1.0"?><ResponseStatus version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">
            <requestURL></requestURL><statusCode>4</statusCode><statusString>Invalid Operation</statusString>
            <subStatusCode>invalidOperation</subStatusCode></ResponseStatus>"#;
        let json = br#"{"requestURL":"/x","statusCode":4,"statusString":"Invalid Operation","subStatusCode":"invalidOperation"}"#;
        let nested = br#"{"ResponseStatus":{"statusCode":"4","statusString":"Invalid Operation","subStatusCode":"invalidOperation"}}"#;
        let read = ResponseStatus::read(xml).unwrap();
        assert_eq!(
            (read.code, read.sub.as_str()),
            (Some(4), "invalidOperation")
        );
        assert!(!read.is_ok() && !read.is_not_supported());
        assert_eq!(ResponseStatus::read(json).unwrap(), read);
        assert_eq!(ResponseStatus::read(nested).unwrap(), read);
    }

    #[test]
    fn a_taken_arming_slot_and_a_missing_function_are_told_apart() {
        let of = |sub: &str| {
            let body =
                format!(r#"{{"statusCode":4,"subStatusCode":"{sub}","errorCode":1610637336}}"#);
            ResponseStatus::read(body.as_bytes()).unwrap()
        };
        assert!(of("deployExceedMax").is_deploy_exceeded());
        assert!(of("notSupport").is_not_supported());
        assert!(of("methodNotAllowed").is_not_supported());
        assert!(!of("deviceBusy").is_not_supported());
        assert!(
            ResponseStatus::read(br#"{"statusCode":1,"statusString":"OK"}"#)
                .unwrap()
                .is_ok()
        );
    }

    #[test]
    fn the_lock_out_is_read_from_a_user_check() {
        let body = b"<userCheck><statusValue>401</statusValue><statusString>Unauthorized</statusString>\
            <lockStatus>locked</lockStatus><unlockTime>1740</unlockTime><retryLoginTime>0</retryLoginTime></userCheck>";
        assert_eq!(
            ResponseStatus::read(body).unwrap().lock,
            Some(LockInfo {
                locked: true,
                unlock_seconds: Some(1740),
                tries_left: Some(0)
            })
        );
        let open = b"<userCheck><statusValue>401</statusValue><lockStatus>unlock</lockStatus>\
            <unlockTime>0</unlockTime><retryLoginTime>4</retryLoginTime></userCheck>";
        assert_eq!(
            ResponseStatus::read(open).unwrap().lock,
            Some(LockInfo {
                locked: false,
                unlock_seconds: None,
                tries_left: Some(4)
            })
        );
    }

    #[test]
    fn what_is_no_status_is_none() {
        for body in [
            &b""[..],
            b"{}",
            b"<html><body>401</body></html>",
            b"[1]",
            b"\0",
            b"{\"statusCode\":",
        ] {
            assert_eq!(ResponseStatus::read(body), None, "{}", body.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            value in "[ -~\\n\u{0}é]{0,200}",
        ) {
            let _ = ResponseStatus::read(&bytes);
            let body = serde_json::json!({"statusString": value, "unlockTime": value}).to_string();
            let read = ResponseStatus::read(body.as_bytes());
            prop_assert!(read.is_none_or(|r| r.text.chars().count() <= WORD_LIMIT && !r.text.contains('\n')));
        }
    }
}
