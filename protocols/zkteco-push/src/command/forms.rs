//! Every form of command that is known, what it does to a terminal, and in which dialect it was
//! measured.
//!
//! Sources: Attendance PUSH manual 4.0, Security PUSH manual 3.1.2, and reports from terminals. A
//! form that is not measured in a dialect is not sent there: a SpeedFace answers several tables
//! with an error, and one terminal took a deletion of one user for a deletion of all. The table
//! also names what is never sent, so that a refusal can say why.

/// What a form does to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Asks, and changes nothing.
    Reads,
    /// Starts the terminal again; punches are not possible for a minute.
    Restarts,
    /// Reads or writes people, cards, passwords or templates.
    TouchesPeople,
    /// Deletes records, or everything.
    Clears,
    /// Opens doors, or silences alarms.
    OpensDoors,
    /// Changes settings, among them the address of its server.
    ChangesSettings,
    /// Runs programs, reads or writes files, changes the firmware.
    RunsPrograms,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 7] = [
        Self::Reads,
        Self::Restarts,
        Self::TouchesPeople,
        Self::Clears,
        Self::OpensDoors,
        Self::ChangesSettings,
        Self::RunsPrograms,
    ];

    /// The word that stands in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Restarts => "restarts",
            Self::TouchesPeople => "touches_people",
            Self::Clears => "clears",
            Self::OpensDoors => "opens_doors",
            Self::ChangesSettings => "changes_settings",
            Self::RunsPrograms => "runs_programs",
        }
    }
}

/// Which classes may be sent. This release has one policy and no way to make another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    changes: bool,
}

impl Policy {
    /// Reading and restarting, nothing else.
    pub const READ_ONLY: Self = Self { changes: false };

    /// Whether forms of that class may be sent.
    pub fn allows(self, class: Class) -> bool {
        self.changes || matches!(class, Class::Reads | Class::Restarts)
    }
}

/// A known form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Our own word for it.
    pub word: &'static str,
    /// What it does.
    pub class: Class,
    /// How it begins in the attendance dialect, if it was measured there.
    pub attendance: Option<&'static str>,
    /// How it begins in the access dialect, if it was measured there.
    pub access: Option<&'static str>,
}

const fn form(
    word: &'static str,
    class: Class,
    attendance: Option<&'static str>,
    access: Option<&'static str>,
) -> Form {
    Form {
        word,
        class,
        attendance,
        access,
    }
}

/// Every known form. The longest beginning that fits a text names it.
pub const FORMS: &[Form] = {
    use Class::{
        ChangesSettings, Clears, OpensDoors, Reads, Restarts, RunsPrograms, TouchesPeople,
    };
    &[
        form(
            "info",
            Reads,
            Some("INFO"),
            Some("GET OPTIONS ~SerialNumber,"),
        ),
        form("check", Reads, Some("CHECK"), None),
        form("log", Reads, Some("LOG"), None),
        form("time", Reads, None, Some("GET OPTIONS DateTime")),
        form("options", Reads, None, Some("GET OPTIONS ")),
        form(
            "records",
            Reads,
            Some("DATA QUERY ATTLOG "),
            Some("DATA QUERY tablename=transaction,"),
        ),
        form(
            "count",
            Reads,
            Some("VERIFY SUM ATTLOG "),
            Some("DATA COUNT transaction,"),
        ),
        form(
            "reboot",
            Restarts,
            Some("REBOOT"),
            Some("CONTROL DEVICE 03"),
        ),
        form(
            "query",
            TouchesPeople,
            Some("DATA QUERY "),
            Some("DATA QUERY "),
        ),
        form(
            "update",
            TouchesPeople,
            Some("DATA UPDATE "),
            Some("DATA UPDATE "),
        ),
        form("delete", Clears, Some("DATA DELETE "), Some("DATA DELETE ")),
        form("user", TouchesPeople, Some("USER "), None),
        form("enrol", TouchesPeople, Some("ENROLL_"), Some("ENROLL_")),
        form("clear", Clears, Some("CLEAR "), Some("CLEAR ")),
        form("unlock", OpensDoors, Some("AC_UN"), None),
        form("control", OpensDoors, None, Some("CONTROL DEVICE ")),
        form(
            "set",
            ChangesSettings,
            Some("SET OPTION"),
            Some("SET OPTION"),
        ),
        form("reload", ChangesSettings, Some("RELOAD OPTIONS"), None),
        form(
            "account",
            ChangesSettings,
            Some("ACCOUNT "),
            Some("ACCOUNT "),
        ),
        form("shell", RunsPrograms, Some("SHELL "), Some("SHELL ")),
        form("get_file", RunsPrograms, Some("GetFile "), Some("GetFile ")),
        form("put_file", RunsPrograms, Some("PutFile "), Some("PutFile ")),
        form("upgrade", RunsPrograms, Some("UPGRADE"), Some("UPGRADE")),
    ]
};

/// The form that a text belongs to, in whichever dialect; upper and lower case are the same, and
/// so are blanks and TABs.
pub(super) fn form_of(text: &str) -> Option<&'static Form> {
    let plain = |text: &str| {
        let text = text.to_ascii_uppercase();
        text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    };
    let text = plain(text);
    let fits = |start: &Option<&str>| start.is_some_and(|start| text.starts_with(&plain(start)));
    let length = |form: &Form| {
        let starts = [form.attendance, form.access].into_iter();
        let fitting = starts.filter(fits).flatten();
        fitting.map(str::len).max().unwrap_or(0)
    };
    let best = FORMS.iter().max_by_key(|form| length(form))?;
    (length(best) > 0).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_used_once_and_each_form_is_found_by_its_own_beginning() {
        for (at, form) in FORMS.iter().enumerate() {
            assert!(
                FORMS
                    .iter()
                    .skip(at + 1)
                    .all(|other| other.word != form.word)
            );
            for start in [form.attendance, form.access].into_iter().flatten() {
                assert_eq!(
                    form_of(start).map(|found| found.word),
                    Some(form.word),
                    "{start}"
                );
            }
        }
        assert_eq!(form_of("nonsense"), None);
        assert_eq!(form_of(""), None);
    }

    #[test]
    fn the_policy_of_this_release_allows_reading_and_restarting_only() {
        let allowed: Vec<Class> = Class::ALL
            .into_iter()
            .filter(|class| Policy::READ_ONLY.allows(*class))
            .collect();
        assert_eq!(allowed, [Class::Reads, Class::Restarts]);
    }
}
