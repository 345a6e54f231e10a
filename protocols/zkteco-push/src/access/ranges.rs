//! A small set of ranges of record numbers, in order and apart from each other.
//!
//! It holds what is missing, so that its errors may only go one way: squeezed into few ranges it
//! counts some numbers as missing that are not, and never the other way round.

/// Ranges (inclusive), lowest first, none touching another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// All ranges.
    pub(super) fn all(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// How many numbers are in it.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|(begin, end)| end - begin + 1).sum()
    }

    /// Adds a range; nothing when it ends before it begins.
    pub(super) fn insert(&mut self, begin: u64, end: u64) {
        if begin > end {
            return;
        }
        let (mut begin, mut end) = (begin, end);
        self.0.retain(|&(b, e)| {
            let touches = b <= end.saturating_add(1) && begin <= e.saturating_add(1);
            if touches {
                begin = begin.min(b);
                end = end.max(e);
            }
            !touches
        });
        let at = self.0.partition_point(|range| range.0 < begin);
        self.0.insert(at, (begin, end));
    }

    /// Removes a range and answers how many of its numbers were in it.
    pub(super) fn take(&mut self, begin: u64, end: u64) -> u64 {
        let mut taken = 0;
        let mut left = Vec::with_capacity(self.0.len() + 1);
        for &(b, e) in &self.0 {
            if e < begin || end < b {
                left.push((b, e));
                continue;
            }
            taken += e.min(end) - b.max(begin) + 1;
            if b < begin {
                left.push((b, begin - 1));
            }
            if end < e {
                left.push((end + 1, e));
            }
        }
        self.0 = left;
        taken
    }

    /// Joins the nearest neighbours until there are at most `most` ranges.
    pub(super) fn squeeze(&mut self, most: usize) {
        while self.0.len() > most.max(1) {
            let gaps = self.0.windows(2).map(|pair| match pair {
                [(_, end), (begin, _)] => begin - end,
                _ => u64::MAX,
            });
            let Some((at, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) else {
                return;
            };
            let (_, end) = self.0.remove(at + 1);
            if let Some(range) = self.0.get_mut(at) {
                range.1 = end;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_the_set_that_it_says_it_is(steps in prop::collection::vec((any::<bool>(), 1u64..60, 0u64..12), 0..40)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (add, begin, length) in steps {
                let end = begin + length;
                if add {
                    ranges.insert(begin, end);
                    set.extend(begin..=end);
                } else {
                    let taken = ranges.take(begin, end);
                    let there: Vec<u64> = set.range(begin..=end).copied().collect();
                    prop_assert_eq!(taken, u64::try_from(there.len()).unwrap());
                    there.iter().for_each(|n| { set.remove(n); });
                }
                let told: BTreeSet<u64> = ranges.all().iter().flat_map(|(b, e)| *b..=*e).collect();
                prop_assert_eq!(&told, &set);
                prop_assert!(ranges.all().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            }
            ranges.squeeze(3);
            let told: BTreeSet<u64> = ranges.all().iter().flat_map(|(b, e)| *b..=*e).collect();
            prop_assert!(ranges.all().len() <= 3 && told.is_superset(&set));
        }
    }
}
