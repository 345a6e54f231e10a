//! The devices' ledger held against the feed: what is missing, doubled or strange.
//!
//! A dialled device owes every row that it made, a posting one every row that was answered 200.
//! A comparison of nothing with nothing is an error.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use terminals::{HikvisionRecord, Ledger};

use super::feed::{Fed, Name};

/// What differs.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Rows in the ledger, each once.
    pub(super) owed: usize,
    /// Rows in the feed.
    pub(super) fed: usize,
    /// Owed and not there.
    pub(super) missing: Vec<Name>,
    /// There more than once.
    pub(super) doubled: usize,
    /// There and owed by nobody.
    pub(super) strange: Vec<Name>,
}

impl Verdict {
    /// Nothing is missing, doubled or strange.
    pub(super) fn is_clean(&self) -> bool {
        self.missing.is_empty() && self.doubled == 0 && self.strange.is_empty()
    }

    /// # Errors
    /// The numbers, with an example of each list that should be empty.
    pub(super) fn clean(&self) -> Result<()> {
        ensure!(
            self.is_clean(),
            "{} owed, {} fed: {} missing {:?}, {} doubled, {} strange {:?}",
            self.owed,
            self.fed,
            self.missing.len(),
            self.missing.first(),
            self.doubled,
            self.strange.len(),
            self.strange.first()
        );
        Ok(())
    }
}

/// Compares; only devices whose serial begins with `prefix` count.
pub(super) fn judge(ledger: &Path, rows: &[Fed], prefix: &str) -> Result<Verdict> {
    let records = Ledger::read_hikvision(ledger).context("the ledger cannot be read")?;
    let mut owed: HashMap<Name, usize> = records
        .into_iter()
        .filter(|record| record.serial.starts_with(prefix))
        .map(|record| (name(record), 0))
        .collect();
    ensure!(
        !owed.is_empty(),
        "the ledger is empty: nothing was compared"
    );
    let mut verdict = Verdict {
        owed: owed.len(),
        ..Verdict::default()
    };
    for row in rows
        .iter()
        .filter(|row| row.name.serial.starts_with(prefix))
    {
        verdict.fed += 1;
        match owed.get_mut(&row.name) {
            Some(times) => {
                *times += 1;
                verdict.doubled += usize::from(*times > 1);
            }
            None => verdict.strange.push(row.name.clone()),
        }
    }
    let missing = owed.into_iter().filter(|(_, times)| *times == 0);
    verdict.missing = missing.map(|(name, _)| name).collect();
    Ok(verdict)
}

fn name(record: HikvisionRecord) -> Name {
    Name {
        code: format!("{}/{}", record.major, record.minor),
        serial: record.serial,
        serial_no: record.serial_no,
        person: record.pin,
        time: record.time,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Instant;

    use super::*;

    fn fed(serial_no: u64) -> Fed {
        Fed {
            name: Name {
                serial: "HIK1".to_owned(),
                serial_no,
                code: "5/75".to_owned(),
                person: "7".to_owned(),
                time: "2026-11-21 09:00:00".to_owned(),
            },
            seen: Instant::now(),
        }
    }

    #[test]
    fn a_missing_a_doubled_and_a_strange_row_are_each_found_and_other_devices_are_not_looked_at() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for (serial, number) in [("HIK1", 1), ("HIK1", 2), ("OTHER", 3)] {
            writeln!(
                file,
                "{{\"vendor\":\"hikvision\",\"serial\":\"{serial}\",\"pin\":\"7\",\
                 \"time\":\"2026-11-21 09:00:00\",\"status\":0,\"verify\":0,\"line\":\"\",\
                 \"epoch\":0,\"serial_no\":{number},\"major\":5,\"minor\":75,\"stamp\":\"\"}}"
            )
            .unwrap();
        }
        let verdict = judge(file.path(), &[fed(1), fed(1), fed(9)], "HIK").unwrap();
        assert_eq!((verdict.owed, verdict.fed, verdict.doubled), (2, 3, 1));
        assert_eq!(verdict.missing, [fed(2).name]);
        assert_eq!(verdict.strange, [fed(9).name]);
        assert!(verdict.clean().is_err());
        let clean = judge(file.path(), &[fed(1), fed(2)], "HIK").unwrap();
        assert!(clean.is_clean());
        assert!(judge(file.path(), &[], "NOBODY").is_err());
    }
}
