//! A small set of serials as ranges: what a [`super::Chain`] still misses.
//!
//! Ascending, disjoint and never touching, so that two equal sets are written alike. The set
//! may be made coarser ([`Ranges::squeeze`]): it then holds more than it has to, never less,
//! because what falls out of it is never asked for again.

/// Inclusive ranges in ascending order with at least one serial between two of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// The ranges, lowest first.
    pub(super) fn all(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Number of serials.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|(begin, end)| end - begin + 1).sum()
    }

    /// Whether the serial is in one of the ranges.
    pub(super) fn contains(&self, serial: u64) -> bool {
        self.0.iter().any(|&(b, e)| b <= serial && serial <= e)
    }

    /// Adds a range; nothing when it ends before it begins.
    pub(super) fn insert(&mut self, begin: u64, end: u64) {
        if begin > end {
            return;
        }
        let (mut low, mut high) = (begin, end);
        self.0.retain(|&(b, e)| {
            let apart = e.saturating_add(1) < begin || end.saturating_add(1) < b;
            if !apart {
                low = low.min(b);
                high = high.max(e);
            }
            apart
        });
        let at = self.0.partition_point(|&(b, _)| b < low);
        self.0.insert(at, (low, high));
    }

    /// Takes a range out and returns the pieces of it that were there.
    pub(super) fn take(&mut self, begin: u64, end: u64) -> Vec<(u64, u64)> {
        let mut taken = Vec::new();
        if begin > end {
            return taken;
        }
        let mut left = Vec::with_capacity(self.0.len() + 1);
        for &(b, e) in &self.0 {
            let (low, high) = (b.max(begin), e.min(end));
            if low > high {
                left.push((b, e));
                continue;
            }
            taken.push((low, high));
            if b < low {
                left.push((b, low - 1));
            }
            if high < e {
                left.push((high + 1, e));
            }
        }
        self.0 = left;
        taken
    }

    /// Joins the two closest ranges until at most `most` are left. The serials between them
    /// come in too and will be asked for once more, which costs a question and loses nothing.
    pub(super) fn squeeze(&mut self, most: usize) {
        while self.0.len() > most.max(1) {
            let between = |pair: &[(u64, u64)]| match pair {
                [(_, end), (begin, _)] => begin - end,
                _ => u64::MAX,
            };
            let closest = self.0.windows(2).map(between).enumerate();
            let Some((at, _)) = closest.min_by_key(|&(_, gap)| gap) else {
                return;
            };
            let (_, end) = self.0.remove(at + 1);
            if let Some(range) = self.0.get_mut(at) {
                range.1 = end;
            }
        }
    }

    /// Takes the lowest range out.
    pub(super) fn pop_lowest(&mut self) -> Option<(u64, u64)> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_hold_what_a_plain_set_holds(
            steps in prop::collection::vec((any::<bool>(), 1u64..60, 0u64..12), 1..60),
        ) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (add, begin, width) in steps {
                let end = begin + width;
                if add {
                    ranges.insert(begin, end);
                    set.extend(begin..=end);
                } else {
                    let taken = ranges.take(begin, end);
                    let was: Vec<u64> = set.range(begin..=end).copied().collect();
                    prop_assert_eq!(taken.iter().flat_map(|&(b, e)| b..=e).collect::<Vec<_>>(), was);
                    set.retain(|s| *s < begin || *s > end);
                }
                let held: Vec<u64> = ranges.all().iter().flat_map(|&(b, e)| b..=e).collect();
                prop_assert_eq!(&held, &set.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(ranges.count(), held.len() as u64);
                prop_assert!(ranges.all().windows(2).all(|w| w[0].1 + 1 < w[1].0));
                let mut coarse = ranges.clone();
                coarse.squeeze(3);
                prop_assert!(coarse.all().len() <= 3);
                prop_assert!(held.iter().all(|s| coarse.contains(*s)));
            }
        }
    }

    #[test]
    fn the_two_closest_ranges_are_joined_first() {
        let mut ranges = Ranges::default();
        for (begin, end) in [(1, 2), (10, 11), (13, 14), (100, 100)] {
            ranges.insert(begin, end);
        }
        ranges.squeeze(3);
        assert_eq!(ranges.all(), [(1, 2), (10, 14), (100, 100)]);
    }
}
