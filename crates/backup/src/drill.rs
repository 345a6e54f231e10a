//! The result of a drill: the newest copies restored and compared, and how long that takes, beside
//! what was promised. Kept as evidence with its hash.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Problem;
use crate::copies::moment;
use crate::verify::keep_evidence;

/// A drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    /// When it began.
    pub at: Timestamp,
    /// True when every database was restored and equal, within what was promised.
    pub passed: bool,
    /// What would have been lost: the age of the oldest of the copies used, or of the end of the
    /// binary log that follows it, in seconds; -1 without a copy.
    pub rpo_seconds: i64,
    /// At most so much was promised.
    pub promised_rpo_seconds: i64,
    /// How long restoring and comparing all of them took, in seconds.
    pub rto_seconds: i64,
    /// At most so much was promised.
    pub promised_rto_seconds: i64,
    /// The databases.
    pub stores: Vec<DrillStore>,
}

/// One database of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillStore {
    /// The store's label.
    pub store: String,
    /// The moment of the copy; none without one.
    pub copy: Option<Timestamp>,
    /// Up to when the binary log was replayed behind it.
    #[serde(default)]
    pub log_until: Option<Timestamp>,
    /// Rows compared.
    pub rows: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Why it failed, if it did.
    pub problem: Option<String>,
}

impl Drill {
    /// Judges: everything equal, nothing older and nothing slower than promised.
    pub fn judge(&mut self) {
        self.passed = !self.stores.is_empty()
            && self.stores.iter().all(|it| it.problem.is_none())
            && self.rpo_seconds <= self.promised_rpo_seconds
            && self.rto_seconds <= self.promised_rto_seconds;
    }

    /// Writes it, and its hash beside it; the file and the hash.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, state_dir: &Path) -> Result<(PathBuf, String), Problem> {
        let name = format!("drill-{}", moment(self.at));
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        keep_evidence(state_dir, &name, &(text + "\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_passes_only_when_all_is_equal_and_within_what_was_promised() {
        let good = Drill {
            at: Timestamp::UNIX_EPOCH,
            passed: false,
            rpo_seconds: 9_000,
            promised_rpo_seconds: 10_800,
            rto_seconds: 60,
            promised_rto_seconds: 10_800,
            stores: vec![DrillStore {
                store: "store".to_owned(),
                copy: Some(Timestamp::UNIX_EPOCH),
                log_until: None,
                rows: 5,
                seconds: 1.0,
                problem: None,
            }],
        };
        let passes = |change: fn(&mut Drill)| {
            let mut drill = good.clone();
            change(&mut drill);
            drill.judge();
            drill.passed
        };
        assert!(passes(|_| ()));
        assert!(!passes(|it| it.rpo_seconds = 10_801));
        assert!(!passes(|it| it.rto_seconds = 10_801));
        assert!(!passes(|it| it.stores.clear()));
        let broken = |it: &mut Drill| it.stores[0].problem = Some("is damaged".to_owned());
        assert!(!passes(broken));
    }
}
