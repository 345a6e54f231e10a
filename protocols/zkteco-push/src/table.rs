//! The tables a terminal uploads, by name.
//!
//! A name comes from the network and goes into quarantine, metrics and logs, so an unknown one
//! is reduced here to plain characters. This module never looks into a body.

use event::Text;

/// What an upload holds, after the `table` key of its URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Table {
    /// Attendance records.
    AttLog,
    /// Operation log, mixed with user and template lines.
    OperLog,
    /// The terminal's own settings.
    Options,
    /// Errors of the terminal while it carried out something.
    ErrorLog,
    /// One attendance picture.
    AttPhoto,
    /// Biometric templates of any type.
    BioData,
    /// Comparison pictures.
    BioPhoto,
    /// People.
    User,
    /// Fingerprint templates.
    Finger,
    /// Face templates.
    Face,
    /// Finger-vein templates.
    FingerVein,
    /// Pictures of people.
    UserPic,
    /// Definitions of work codes.
    WorkCode,
    /// Data of identity cards.
    IdCard,
    /// Access events as they happen.
    RtLog,
    /// The state of doors, which is no event.
    RtState,
    /// Access events as the terminal keeps them.
    Transaction,
    /// Rules of access control: time zones, holidays, doors, panels.
    AccessRule,
    /// Any other: at most 32 letters, digits, `-`, `_` and `.`; `none` where there was no name.
    Unknown(Text),
}

/// Every known table with the names it is seen under; the first one is its own.
const NAMES: &[(Table, &[&str])] = &[
    (Table::AttLog, &["ATTLOG"]),
    (Table::OperLog, &["OPERLOG", "OPLOG"]),
    (Table::Options, &["options"]),
    (Table::ErrorLog, &["ERRORLOG"]),
    (Table::AttPhoto, &["ATTPHOTO"]),
    (Table::BioData, &["BIODATA"]),
    (Table::BioPhoto, &["BIOPHOTO"]),
    (
        Table::User,
        &[
            "USER",
            "USERINFO",
            "extuser",
            "mulcarduser",
            "userauthorize",
        ],
    ),
    (Table::Finger, &["FP", "FINGERTMP", "templatev10"]),
    (Table::Face, &["FACE"]),
    (Table::FingerVein, &["FVEIN"]),
    (Table::UserPic, &["USERPIC"]),
    (Table::WorkCode, &["WORKCODE"]),
    (Table::IdCard, &["IDCARD", "identitycard"]),
    (Table::RtLog, &["rtlog"]),
    (Table::RtState, &["rtstate"]),
    (Table::Transaction, &["transaction"]),
    (
        Table::AccessRule,
        &[
            "accessrule",
            "holiday",
            "timezone",
            "firstcard",
            "multimcard",
            "inoutfun",
            "outrelaysetting",
            "DeviceAuthorize",
            "APList",
        ],
    ),
];

/// Longest name kept of an unknown table, in characters.
const NAME_LIMIT: usize = 32;

impl Table {
    /// The table of that name; upper and lower case are the same.
    pub fn from_name(name: &str) -> Self {
        let known = NAMES
            .iter()
            .find(|(_, names)| names.iter().any(|n| n.eq_ignore_ascii_case(name)));
        known.map_or_else(|| Self::Unknown(plain(name)), |(table, _)| table.clone())
    }

    /// The name: what stands in quarantine and metrics, and what [`Table::from_name`] reads.
    pub fn name(&self) -> &str {
        if let Self::Unknown(name) = self {
            return name;
        }
        let known = NAMES.iter().find(|(table, _)| table == self);
        known
            .and_then(|(_, names)| names.first())
            .copied()
            .unwrap_or("none")
    }

    /// True when the body holds records to keep (events, settings, or things to quarantine).
    ///
    /// False for people, templates, pictures and rules: they are acknowledged, counted and
    /// dropped, so that their body may be streamed away through a [`crate::LineCounter`].
    pub fn holds_records(&self) -> bool {
        matches!(
            self,
            Self::AttLog
                | Self::OperLog
                | Self::Options
                | Self::ErrorLog
                | Self::RtLog
                | Self::RtState
                | Self::Transaction
                | Self::Unknown(_)
        )
    }

    /// True when the whole body is one record, whatever bytes it holds.
    pub(crate) fn is_one_record(&self) -> bool {
        matches!(self, Self::AttPhoto | Self::Options)
    }

    /// The same upload packed (`ContentType=tgz`): its records cannot be read here, so that it
    /// becomes an unknown table whose name says both.
    pub(crate) fn packed(&self) -> Self {
        Self::Unknown(plain(&format!("{}.tgz", self.name())))
    }
}

/// A name reduced to plain characters, so that it can stand anywhere, also in a reply.
pub(crate) fn plain(name: &str) -> Text {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain: Text = name
        .chars()
        .take(NAME_LIMIT)
        .map(|c| if allowed(c) { c } else { '_' })
        .collect();
    if plain.is_empty() {
        Text::const_new("none")
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_reads_back_in_any_case() {
        for (table, names) in NAMES {
            assert_eq!(table.name(), names[0]);
            for name in *names {
                assert_eq!(Table::from_name(&name.to_lowercase()), *table);
                assert_eq!(Table::from_name(&name.to_uppercase()), *table);
            }
        }
    }

    #[test]
    fn an_unknown_name_is_reduced_to_plain_characters_and_reads_back() {
        for (sent, kept) in [
            ("UPDATES", "UPDATES"),
            ("", "none"),
            ("a b\n'; --", "a_b____--"),
            (&"x".repeat(100), &"x".repeat(32)),
        ] {
            let table = Table::from_name(sent);
            assert_eq!(table, Table::Unknown(Text::new(kept)));
            assert_eq!(Table::from_name(table.name()), table);
            assert!(table.holds_records());
        }
        assert_eq!(Table::AttLog.packed().name(), "ATTLOG.tgz");
    }

    #[test]
    fn people_templates_and_pictures_are_not_kept() {
        for name in [
            "ATTPHOTO", "BIODATA", "BIOPHOTO", "USERINFO", "FP", "FACE", "FVEIN",
        ] {
            assert!(!Table::from_name(name).holds_records(), "{name}");
        }
        for name in ["USERPIC", "WORKCODE", "IDCARD", "templatev10", "timezone"] {
            assert!(!Table::from_name(name).holds_records(), "{name}");
        }
        for name in [
            "ATTLOG",
            "OPERLOG",
            "options",
            "ERRORLOG",
            "SOMETHING",
            "rtlog",
            "transaction",
        ] {
            assert!(Table::from_name(name).holds_records(), "{name}");
        }
    }
}
