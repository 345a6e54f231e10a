//! Counts and capacities: how many people and records a terminal holds.
//!
//! They are a hint. Some firmware leaves them at zero while it holds thousands of records, some
//! counts late; nothing is ever taken for empty because of them alone.

/// The answer to the question for free sizes; `None` where the terminal did not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// People enrolled.
    pub users: Option<u32>,
    /// Fingerprints enrolled.
    pub fingers: Option<u32>,
    /// Faces enrolled.
    pub faces: Option<u32>,
    /// Attendance records held.
    pub records: Option<u32>,
    /// People that fit.
    pub user_capacity: Option<u32>,
    /// Attendance records that fit.
    pub record_capacity: Option<u32>,
    /// Attendance records for which there is room.
    pub records_free: Option<u32>,
}

/// Shortest answer of the usual form, in bytes; 92 and 112 are known too.
const USUAL: usize = 80;
/// Shortest answer of the older form, in bytes.
const OLDER: usize = 28;

impl Sizes {
    /// Reads an answer; `None` when it is shorter than any known form.
    ///
    /// An answer whose capacities are all zero was not filled in by its firmware: then nothing
    /// is known.
    pub fn read(data: &[u8]) -> Option<Self> {
        let at = |offset: usize| -> Option<u32> {
            let word = data.get(offset..offset + 4)?.first_chunk::<4>()?;
            u32::try_from(i32::from_le_bytes(*word)).ok()
        };
        let sizes = if data.len() >= USUAL {
            Self {
                users: at(16),
                fingers: at(24),
                records: at(32),
                user_capacity: at(60),
                record_capacity: at(64),
                records_free: at(76),
                faces: at(80),
            }
        } else if data.len() >= OLDER {
            Self {
                users: at(0),
                fingers: at(4),
                records: at(8),
                user_capacity: at(12),
                record_capacity: at(20),
                ..Self::default()
            }
        } else {
            return None;
        };
        let unfilled =
            sizes.user_capacity.unwrap_or(0) == 0 && sizes.record_capacity.unwrap_or(0) == 0;
        Some(if unfilled { Self::default() } else { sizes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(length: usize, values: &[(usize, i32)]) -> Vec<u8> {
        let mut data = vec![0; length];
        for &(at, value) in values {
            data[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        data
    }

    #[test]
    fn each_length_is_read_at_its_places() {
        let filled = [
            (16, 12),
            (24, 20),
            (32, 345),
            (60, 3000),
            (64, 100_000),
            (76, 99_655),
        ];
        for length in [80, 92, 112] {
            let sizes = Sizes::read(&answer(length, &filled)).unwrap();
            assert_eq!((sizes.users, sizes.records), (Some(12), Some(345)));
            assert_eq!(
                (sizes.record_capacity, sizes.records_free),
                (Some(100_000), Some(99_655))
            );
        }
        let older = Sizes::read(&answer(28, &[(0, 7), (8, 99), (12, 500), (20, 30_000)])).unwrap();
        assert_eq!((older.users, older.records), (Some(7), Some(99)));
        assert_eq!(Sizes::read(&[0; 27]), None);
    }

    #[test]
    fn an_answer_that_was_not_filled_in_says_nothing() {
        assert_eq!(Sizes::read(&[0; 112]), Some(Sizes::default()));
    }

    #[test]
    fn a_negative_count_is_no_count() {
        let sizes = Sizes::read(&answer(80, &[(32, -1), (64, 5)])).unwrap();
        assert_eq!(sizes.records, None);
    }
}
