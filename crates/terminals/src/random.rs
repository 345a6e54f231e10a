//! Numbers that look random and are not: every one is a pure function of a seed and of what
//! it is drawn for.
//!
//! A run can thus be repeated from its seed, and the record number 70,000 of a terminal can be
//! computed without the 69,999 before it. Nothing here keeps state, and nothing here may ever
//! ask the machine for randomness or for the time.

/// One number for a seed, a purpose and a position.
pub(crate) fn draw(seed: u64, purpose: u64, position: u64) -> u64 {
    mix(mix(mix(seed) ^ purpose) ^ position)
}

/// True in about `share` of all draws: never for 0.0, always for 1.0.
pub(crate) fn hits(share: f64, drawn: u64) -> bool {
    unit(drawn) < share
}

/// The draw as a number from 0.0 up to, never reaching, 1.0.
pub(crate) fn unit(drawn: u64) -> f64 {
    let top = u32::try_from(drawn >> 32).unwrap_or(u32::MAX);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

/// The finishing step of the public SplitMix64 generator: every input bit reaches every
/// output bit.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_third_hits_about_a_third_of_the_draws() {
        let hit = (0..30_000)
            .filter(|&n| hits(1.0 / 3.0, draw(7, 1, n)))
            .count();
        assert!((9_500..10_500).contains(&hit), "{hit}");
    }

    #[test]
    fn the_shares_nought_and_one_are_exact() {
        assert!((0..10_000).all(|n| !hits(0.0, draw(3, 0, n)) && hits(1.0, draw(3, 0, n))));
    }

    #[test]
    fn another_seed_purpose_or_position_gives_another_number() {
        let first = draw(1, 2, 3);
        assert_eq!(first, draw(1, 2, 3));
        for other in [draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4)] {
            assert_ne!(first, other);
        }
    }
}
