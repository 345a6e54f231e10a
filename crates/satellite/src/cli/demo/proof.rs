//! The end of the demo: what the terminals were told, against what stands in the feed.
//!
//! The ledger is the terminals' own account and the feed is read over another connection, so
//! that nothing here asks satellite about itself. One punch is a person at a terminal at a
//! second; equal records count as one.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context as _;
use event::Kind;
use store::AnyEngine;
use store::feed::{self, FeedFilter};
use terminals::Ledger;

use super::super::words::{Lang, Speaks as _, Word};

/// Rows read at once.
const PAGE: u32 = 1_000;

/// How the two accounts compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    /// Records that terminals were told are safe.
    pub(crate) acked: usize,
    /// Different punches among them.
    pub(crate) punches: usize,
    /// Punches that are not in the feed.
    pub(crate) missing: usize,
    /// Punches that are there more than once.
    pub(crate) doubled: usize,
}

impl Proof {
    /// True when every acknowledged punch is in the feed exactly once, and there was one.
    pub(crate) fn holds(&self) -> bool {
        self.missing == 0 && self.doubled == 0 && self.punches > 0
    }

    /// The result in words.
    pub(crate) fn text(&self, lang: Lang) -> String {
        let word = if self.holds() {
            Word::ProofHolds
        } else {
            Word::ProofFails
        };
        let once = self.punches - self.missing - self.doubled;
        lang.say(
            word,
            &[
                &self.acked,
                &self.punches,
                &once,
                &self.missing,
                &self.doubled,
            ],
        )
    }
}

/// A person at a terminal at a second.
type Punch = (String, String, String);

/// Compares the ledger with the feed.
pub(crate) async fn compare(ledger: &Path, reader: &mut AnyEngine) -> anyhow::Result<Proof> {
    let records = Ledger::read(ledger).context("the ledger cannot be read")?;
    let stored = stored(reader).await?;
    Ok(judge(&records, &stored))
}

fn judge(records: &[terminals::LedgerRecord], stored: &HashMap<Punch, u64>) -> Proof {
    let punches = Ledger::distinct(records);
    let times = |(serial, pin, time): &(&str, &str, &str)| {
        let punch = ((*serial).to_owned(), (*pin).to_owned(), (*time).to_owned());
        stored.get(&punch).copied().unwrap_or_default()
    };
    Proof {
        acked: records.len(),
        punches: punches.len(),
        missing: punches.iter().filter(|punch| times(punch) == 0).count(),
        doubled: punches.iter().filter(|punch| times(punch) > 1).count(),
    }
}

/// How often each punch stands in the feed.
async fn stored(reader: &mut AnyEngine) -> anyhow::Result<HashMap<Punch, u64>> {
    let mut filter = FeedFilter {
        kind: Some(Kind::Punch),
        limit: PAGE,
        ..FeedFilter::default()
    };
    let mut stored = HashMap::new();
    loop {
        let page = feed::read(reader, &filter).await?;
        let Some(last) = page.last() else {
            return Ok(stored);
        };
        filter.after_seq = last.seq;
        for row in page {
            let punch = (
                row.serial,
                row.person.unwrap_or_default(),
                row.local_time.unwrap_or_default(),
            );
            *stored.entry(punch).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use terminals::LedgerRecord;

    fn record(pin: &str) -> LedgerRecord {
        LedgerRecord {
            vendor: "zkteco".to_owned(),
            serial: "A1".to_owned(),
            pin: pin.to_owned(),
            time: "2026-11-21 09:00:03".to_owned(),
            status: 0,
            verify: 1,
            line: String::new(),
        }
    }

    #[test]
    fn a_missing_punch_and_a_doubled_one_are_both_found() {
        let stored = |times: &[(&str, u64)]| -> HashMap<Punch, u64> {
            let punch = |pin: &str| {
                (
                    "A1".to_owned(),
                    pin.to_owned(),
                    "2026-11-21 09:00:03".to_owned(),
                )
            };
            times
                .iter()
                .map(|(pin, times)| (punch(pin), *times))
                .collect()
        };
        let records = [record("1"), record("1"), record("2")];
        let good = judge(&records, &stored(&[("1", 1), ("2", 1), ("9", 1)]));
        assert!(good.holds());
        assert_eq!((good.acked, good.punches), (3, 2));
        let lost = judge(&records, &stored(&[("1", 1)]));
        assert_eq!((lost.holds(), lost.missing), (false, 1));
        let doubled = judge(&records, &stored(&[("1", 1), ("2", 2)]));
        assert_eq!((doubled.holds(), doubled.doubled), (false, 1));
    }

    #[test]
    fn nothing_acknowledged_proves_nothing() {
        assert!(!judge(&[], &HashMap::new()).holds());
    }
}
