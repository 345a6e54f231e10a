//! The communication key: a number of up to six digits that a terminal may ask for.
//!
//! It is scrambled with the session id and one freely chosen byte, which travels in clear. This
//! keeps honest programs apart and stops nobody who listens; a terminal belongs into a network
//! of its own. The key never appears in any text of this crate.

use std::fmt;

/// The byte that other software sends too, so that no terminal can object to it.
pub(crate) const USUAL_TICK: u8 = 50;

/// A terminal's communication key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CommKey(u32);

impl CommKey {
    /// A key; 0 is what a terminal has where no key was set.
    pub fn new(key: u32) -> Self {
        Self(key)
    }

    /// Reads digits, as people type them; `None` for anything else, also for numbers above 32 bits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok().map(Self)).flatten()
    }

    /// The four bytes of an authentication.
    ///
    /// The key's bits are reversed and the session id added; the bytes, low one first, are
    /// combined with `ZKSO`, the halves change places, and three bytes are combined with the
    /// tick, which takes the place of the third.
    pub fn scramble(self, session: u16, tick: u8) -> [u8; 4] {
        let mixed = self.0.reverse_bits().wrapping_add(u32::from(session));
        let [b0, b1, b2, b3] = mixed.to_le_bytes();
        // The low byte is lost under the tick.
        let (_, b1, b2, b3) = (b0, b1 ^ b'K', b2 ^ b'S', b3 ^ b'O');
        [b2 ^ tick, b3 ^ tick, tick, b1 ^ tick]
    }
}

impl fmt::Debug for CommKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommKey(*)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scrambled_key_is_the_one_that_terminals_compute() {
        for (key, session, expected) in [
            (0, 0, [0x61, 0x7d, 0x32, 0x79]),
            (0, 0x6ba0, [0x61, 0x7d, 0x32, 0x12]),
            (1234, 0x6ba0, [0x41, 0x36, 0x32, 0x12]),
            (1234, 0x6b11, [0x41, 0x36, 0x32, 0x12]),
            (123_456, 0x6ba0, [0x26, 0x7f, 0x32, 0x92]),
            (123_456, 1, [0x26, 0x7f, 0x32, 0xf9]),
            (999_999, 0xfffe, [0x22, 0x81, 0x32, 0x96]),
            (12_345, 0x03e8, [0x6d, 0xe1, 0x32, 0x7a]),
        ] {
            let got = CommKey::new(key).scramble(session, USUAL_TICK);
            assert_eq!(got, expected, "{key} {session:x}");
        }
    }

    #[test]
    fn a_key_is_digits_and_never_shown() {
        assert_eq!(CommKey::parse("123456"), Some(CommKey::new(123_456)));
        for bad in ["", "+1", "12a", "4294967296", " 1"] {
            assert_eq!(CommKey::parse(bad), None, "{bad}");
        }
        assert_eq!(format!("{:?}", CommKey::new(123_456)), "CommKey(*)");
    }
}
