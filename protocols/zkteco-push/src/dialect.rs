//! Which of the two dialects a terminal speaks, told by what it does.
//!
//! `pushver` says nothing: terminals report 3.1.2 in attendance mode. A terminal that was switched
//! over in its menu speaks the other dialect under the same serial, so that each request may
//! correct what is remembered. Whoever remembers it is not here.

use event::Text;

use crate::Table;
use crate::request::{Acknowledge, Ask, Hello};

/// How a terminal in push mode reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// "T&A PUSH": attendance records by position.
    Attendance,
    /// "A&C PUSH", the security push: access events by name, after a registration.
    Access,
}

impl Dialect {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Attendance, Self::Access];

    /// The word that stands in cursors and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attendance => "attendance",
            Self::Access => "access",
        }
    }

    /// The dialect of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == word)
    }

    /// The dialect that only this request can belong to; `None` when it fits both.
    pub fn shown_by(ask: &Ask) -> Option<Self> {
        match ask {
            Ask::Handshake(hello) => Self::named_by(hello),
            Ask::Registry | Ask::Configuration | Ask::PackedTime => Some(Self::Access),
            Ask::Upload(upload) => match (&upload.table, &upload.acknowledge) {
                (Table::AttLog | Table::OperLog, Acknowledge::Counted) => Some(Self::Attendance),
                (Table::RtLog | Table::RtState | Table::Transaction, _)
                | (_, Acknowledge::Named { .. }) => Some(Self::Access),
                _ => None,
            },
            _ => None,
        }
    }

    /// What `DeviceType` says; anything but `acc` and `att` (`middle east` was seen) says nothing.
    fn named_by(hello: &Hello) -> Option<Self> {
        let is = |word: &str| {
            let same = |text: &Text| text.eq_ignore_ascii_case(word);
            hello.device_type.as_ref().is_some_and(same)
        };
        if is("acc") {
            Some(Self::Access)
        } else if is("att") {
            Some(Self::Attendance)
        } else {
            None
        }
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Head, route};

    fn shown(method: &str, target: &str) -> Option<Dialect> {
        let (path, query) = target.split_once('?').unwrap();
        let query = format!("SN=ABC1234560001&{query}");
        let head = Head {
            method,
            path,
            query: &query,
        };
        Dialect::shown_by(&route(&head).unwrap().ask)
    }

    #[test]
    fn what_a_terminal_does_tells_its_dialect_and_its_version_does_not() {
        let access = [
            ("GET", "/iclock/cdata?options=all&DeviceType=acc"),
            ("POST", "/iclock/registry?"),
            ("POST", "/iclock/push?"),
            ("GET", "/iclock/push?"),
            ("GET", "/iclock/rtdata?type=time"),
            ("POST", "/iclock/cdata?table=rtlog"),
            ("POST", "/iclock/cdata?table=RTSTATE"),
            (
                "POST",
                "/iclock/cdata?table=tabledata&tablename=user&count=1",
            ),
            (
                "POST",
                "/iclock/querydata?type=tabledata&tablename=transaction",
            ),
        ];
        for (method, target) in access {
            assert_eq!(shown(method, target), Some(Dialect::Access), "{target}");
        }
        let attendance = [
            ("POST", "/iclock/cdata?table=ATTLOG&Stamp=9999"),
            ("POST", "/iclock/cdata?table=OPERLOG&Stamp=9999"),
            ("GET", "/iclock/cdata?options=all&DeviceType=att"),
        ];
        for (method, target) in attendance {
            assert_eq!(shown(method, target), Some(Dialect::Attendance), "{target}");
        }
        let either = [
            ("GET", "/iclock/cdata?options=all&pushver=3.1.2S"),
            ("GET", "/iclock/cdata?options=all&DeviceType=middle%20east"),
            ("POST", "/iclock/cdata?table=options"),
            ("GET", "/iclock/getrequest?"),
            ("POST", "/iclock/devicecmd?"),
        ];
        for (method, target) in either {
            assert_eq!(shown(method, target), None, "{target}");
        }
    }

    #[test]
    fn both_words_read_back() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::from_word(dialect.as_str()), Some(dialect));
        }
        assert_eq!(Dialect::from_word("us"), None);
    }
}
