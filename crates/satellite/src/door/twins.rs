//! Does one serial speak from two places at once? Pure: addresses and times come in.
//!
//! A new address alone means nothing: terminals move, and their lines change address. Two
//! terminals with one serial show by coming back to an earlier address again and again within
//! two minutes. Both are served all the same, because refusing either would lose its punches;
//! their records keep the terminal's identity, and people are told.

use std::net::IpAddr;

use event::Millis;

/// Returns to an earlier address within [`WINDOW`] that make twins.
const RETURNS: u8 = 4;
/// Milliseconds.
const WINDOW: i64 = 120_000;
/// Without a return for so long it is one again; milliseconds.
const APART: i64 = 600_000;

/// What was seen of a serial's addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Twins {
    now: Option<IpAddr>,
    before: Option<IpAddr>,
    returns: u8,
    first: i64,
    last: i64,
}

/// What a contact makes known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing new.
    Nothing,
    /// It speaks from these two addresses at once.
    Two(IpAddr, IpAddr),
    /// It has spoken from one for long enough.
    One,
}

impl Twins {
    /// Takes a contact from that address.
    pub(crate) fn contact(&mut self, address: IpAddr, at: Millis) -> Seen {
        let Some(now) = self.now.filter(|now| *now != address) else {
            self.now = Some(address);
            return self.quiet(at);
        };
        let returned = self.before == Some(address);
        (self.now, self.before) = (Some(address), Some(now));
        if !returned {
            return self.quiet(at);
        }
        if self.returns == 0 || at.0.saturating_sub(self.first) > WINDOW {
            (self.returns, self.first) = (0, at.0);
        }
        self.returns = self.returns.saturating_add(1);
        self.last = at.0;
        if self.returns >= RETURNS {
            Seen::Two(now, address)
        } else {
            Seen::Nothing
        }
    }

    fn quiet(&mut self, at: Millis) -> Seen {
        if self.returns > 0 && at.0.saturating_sub(self.last) > APART {
            self.returns = 0;
            return Seen::One;
        }
        Seen::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    const C: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3));

    fn play(contacts: impl IntoIterator<Item = (IpAddr, i64)>) -> Vec<Seen> {
        let mut twins = Twins::default();
        let seen = contacts.into_iter();
        seen.map(|(address, second)| twins.contact(address, Millis(second * 1000)))
            .collect()
    }

    #[test]
    fn one_serial_from_two_places_at_once_is_seen_within_two_minutes_and_over_when_one_stays() {
        let both = (0..8).map(|n| (if n % 2 == 0 { A } else { B }, 10 * n));
        let alone = (0..9).map(|n| (A, 100 + 100 * n));
        let seen = play(both.chain(alone));
        assert_eq!(seen.iter().position(|it| *it == Seen::Two(A, B)), Some(5));
        assert_eq!(seen.iter().filter(|it| **it == Seen::One).count(), 1);
    }

    #[test]
    fn a_terminal_that_moves_or_whose_line_changes_is_one() {
        let moves = [(A, 0), (A, 10), (B, 20), (B, 30), (C, 40), (C, 50)];
        assert!(play(moves).iter().all(|it| *it == Seen::Nothing));
        // Back and forth between two lines, an hour each.
        let lines = (0..20).map(|n| (if n % 2 == 0 { A } else { B }, 3600 * n));
        assert!(!play(lines).iter().any(|it| matches!(it, Seen::Two(..))));
    }
}
