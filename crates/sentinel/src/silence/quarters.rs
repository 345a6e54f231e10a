//! One local day of a terminal: how many events came in each quarter hour.
//!
//! A day is kept in few bytes, because thousands of terminals keep twelve weeks of them. It
//! holds numbers only, never who came.

/// Quarter hours of a day by the wall clock.
pub const QUARTERS: usize = 96;

/// Bytes of one count when written: the quarter, then the number.
const PAIR: usize = 3;
/// Bytes of the set of spoiled quarters when written.
const SPOILED: usize = 12;

/// Events by quarter hour of one local day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarters {
    counts: [u16; QUARTERS],
    /// One bit for each quarter from which nothing is learned.
    spoiled: u128,
}

impl Default for Quarters {
    fn default() -> Self {
        Self {
            counts: [0; QUARTERS],
            spoiled: 0,
        }
    }
}

impl Quarters {
    /// Counts `events` more in that quarter hour, 0 to 95; others are ignored.
    pub fn add(&mut self, quarter: usize, events: u32) {
        if let Some(count) = self.counts.get_mut(quarter) {
            let events = u16::try_from(events).unwrap_or(u16::MAX);
            *count = count.saturating_add(events);
        }
    }

    /// Nothing is to be learned from these quarters, `from..until`: an incident lay over them.
    pub fn spoil(&mut self, from: usize, until: usize) {
        for quarter in from..until.min(QUARTERS) {
            self.spoiled |= 1 << quarter;
        }
    }

    /// Whether nothing is to be learned from that quarter.
    pub fn is_spoiled(&self, quarter: usize) -> bool {
        quarter < QUARTERS && self.spoiled & (1 << quarter) != 0
    }

    /// How many events came in that quarter.
    pub fn count(&self, quarter: usize) -> u16 {
        self.counts.get(quarter).copied().unwrap_or_default()
    }

    /// All events of the day.
    pub fn total(&self) -> u32 {
        self.counts.iter().map(|count| u32::from(*count)).sum()
    }

    /// The day in as few bytes as it needs: the spoiled quarters, then each count that is not
    /// zero.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.spoiled.to_le_bytes().into_iter().take(SPOILED));
        for (quarter, count) in (0u8..).zip(self.counts) {
            if count > 0 {
                bytes.push(quarter);
                bytes.extend(count.to_le_bytes());
            }
        }
        bytes
    }

    /// Reads what [`Quarters::to_bytes`] wrote; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (spoiled, pairs) = bytes.split_at_checked(SPOILED)?;
        let mut mask = [0; 16];
        mask.get_mut(..SPOILED)?.copy_from_slice(spoiled);
        let mut day = Self {
            spoiled: u128::from_le_bytes(mask),
            ..Self::default()
        };
        let pairs = pairs.chunks(PAIR);
        for pair in pairs {
            let [quarter, low, high] = *<&[u8; PAIR]>::try_from(pair).ok()?;
            *day.counts.get_mut(usize::from(quarter))? = u16::from_le_bytes([low, high]);
        }
        Some(day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_in_few_bytes_and_read_back() {
        let mut day = Quarters::default();
        assert_eq!(Quarters::from_bytes(&day.to_bytes()), Some(day.clone()));
        day.add(0, 1);
        day.add(95, 70_000);
        day.add(36, 40);
        day.add(36, 2);
        day.add(96, 7);
        day.spoil(40, 200);
        assert_eq!(
            (day.count(36), day.count(95), day.count(96)),
            (42, u16::MAX, 0)
        );
        assert!(day.is_spoiled(40) && day.is_spoiled(95) && !day.is_spoiled(39));
        assert!(!day.is_spoiled(96));
        let bytes = day.to_bytes();
        assert_eq!(bytes.len(), SPOILED + 3 * PAIR);
        assert_eq!(Quarters::from_bytes(&bytes), Some(day));
    }

    #[test]
    fn bytes_that_are_no_day_are_refused() {
        for bytes in [&[][..], &[0; 11], &[0; 13], &[0; 14]] {
            assert_eq!(Quarters::from_bytes(bytes), None);
        }
        let mut bytes = [0; 15];
        bytes[12] = 96;
        assert_eq!(Quarters::from_bytes(&bytes), None);
    }
}
