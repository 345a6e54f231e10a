//! Requests as bytes, in one buffer, the way firmware spells them.
//!
//! Head and body are laid into the caller's buffer so that an upload is a single write and
//! costs no allocation. Which spelling is used comes from the terminal's habits. Nothing is
//! sent from here, and nothing is escaped: what a terminal says is ASCII by construction,
//! raw blanks in the first poll being a habit of its own.

use std::fmt::Arguments;
use std::io::Write;

use super::habits::{Habits, HeaderCase};
use crate::target::Target;

/// Where a terminal's requests go and how it spells them.
#[derive(Debug)]
pub(crate) struct Spelling {
    pub(crate) habits: Habits,
    authority: Box<str>,
    prefix: Box<str>,
}

impl Spelling {
    pub(crate) fn new(target: &Target, habits: Habits) -> Self {
        Self {
            habits,
            authority: target.authority().into(),
            prefix: target.prefix().into(),
        }
    }

    /// Lays out a GET of `/iclock/<word>?<query>`.
    pub(crate) fn get(&self, out: &mut Vec<u8>, word: &str, query: Arguments<'_>) {
        self.begin(out, "GET", word, query);
        out.extend_from_slice(b"\r\n");
    }

    /// Lays out a POST with its body; returns where the body begins.
    pub(crate) fn post(
        &self,
        out: &mut Vec<u8>,
        word: &str,
        query: Arguments<'_>,
        body: &[u8],
    ) -> usize {
        self.begin(out, "POST", word, query);
        self.header(out, "Content-Type", format_args!("text/plain"));
        self.header(out, "Content-Length", format_args!("{}", body.len()));
        out.extend_from_slice(b"\r\n");
        let begins = out.len();
        out.extend_from_slice(body);
        begins
    }

    fn begin(&self, out: &mut Vec<u8>, method: &str, word: &str, query: Arguments<'_>) {
        let doubled = if self.habits.doubled_path {
            "/iclock"
        } else {
            ""
        };
        let ending = if self.habits.aspx { ".aspx" } else { "" };
        let minor = if self.habits.http10 { '0' } else { '1' };
        let prefix = &self.prefix;
        out.clear();
        let line = format_args!(
            "{method} {prefix}/iclock{doubled}/{word}{ending}?{query} HTTP/1.{minor}\r\n"
        );
        put(out, line);
        self.header(out, "Host", format_args!("{}", self.authority));
        self.header(out, "User-Agent", format_args!("iClock Proxy/1.09"));
        let connection = if self.habits.keep_alive {
            "keep-alive"
        } else {
            "close"
        };
        self.header(out, "Connection", format_args!("{connection}"));
        self.header(out, "Accept", format_args!("*/*"));
    }

    fn header(&self, out: &mut Vec<u8>, name: &str, value: Arguments<'_>) {
        match self.habits.headers {
            HeaderCase::Title => out.extend_from_slice(name.as_bytes()),
            HeaderCase::Lower => out.extend(name.bytes().map(|b| b.to_ascii_lowercase())),
            HeaderCase::Upper => out.extend(name.bytes().map(|b| b.to_ascii_uppercase())),
        }
        put(out, format_args!(": {value}\r\n"));
    }
}

fn put(out: &mut Vec<u8>, text: Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "writing into memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn spelling(change: impl Fn(&mut Habits)) -> Spelling {
        let mut habits = Habits::of(&Scenario::default(), 0);
        change(&mut habits);
        Spelling::new(&"http://192.0.2.10:8081/secret".parse().unwrap(), habits)
    }

    #[test]
    fn a_plain_upload_is_spelt_like_the_usual_client() {
        let mut out = b"left over".to_vec();
        let at = spelling(|_| {}).post(&mut out, "cdata", format_args!("SN={}", "S1"), b"body");
        let want = "POST /secret/iclock/cdata?SN=S1 HTTP/1.1\r\nHost: 192.0.2.10:8081\r\n\
                    User-Agent: iClock Proxy/1.09\r\nConnection: keep-alive\r\nAccept: */*\r\n\
                    Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(String::from_utf8_lossy(&out), want);
        assert_eq!(&out[at..], b"body");
    }

    #[test]
    fn old_habits_change_the_spelling_and_not_the_meaning() {
        let mut out = Vec::new();
        let old = spelling(|habits| {
            habits.http10 = true;
            habits.keep_alive = false;
            habits.aspx = true;
            habits.doubled_path = true;
            habits.headers = HeaderCase::Upper;
        });
        old.get(&mut out, "getrequest", format_args!("SN=S1"));
        let text = String::from_utf8_lossy(&out);
        assert!(text.starts_with("GET /secret/iclock/iclock/getrequest.aspx?SN=S1 HTTP/1.0\r\n"));
        assert!(text.contains("\r\nCONNECTION: close\r\n") && text.ends_with("\r\n\r\n"));

        spelling(|h| h.headers = HeaderCase::Lower).get(&mut out, "ping", format_args!("SN=S1"));
        assert!(String::from_utf8_lossy(&out).contains("\r\nuser-agent: iClock Proxy/1.09\r\n"));
    }
}
