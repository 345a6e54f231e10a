//! Packets: eight bytes of header, then data; the same over TCP and UDP.
//!
//! | offset | field |
//! |---|---|
//! | 0 | command or reply code |
//! | 2 | checksum |
//! | 4 | session id; in a terminal's packets also an event flag, a state, a chunk number, a byte count |
//! | 6 | reply id: the client's counter, echoed |
//!
//! All numbers have their low byte first. Nothing here rejects a packet for its session field.

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::number::complete::le_u16;

/// Bytes of a packet's header.
pub const HEADER: usize = 8;

/// One packet, either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The command or reply code; see [`crate::commands`].
    pub command: u16,
    /// The session field; overloaded in what terminals send.
    pub session: u16,
    /// The reply id.
    pub reply: u16,
    /// What follows the header.
    pub data: Bytes,
}

/// What a received packet's checksum was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sum {
    /// As computed.
    Right,
    /// One below it: half of a well-known client's formula, copied by simulators. A peer does
    /// this always or never.
    OneBelow,
    /// Anything else.
    Wrong,
}

impl Packet {
    /// The packet's bytes with the checksum in place.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER + self.data.len());
        out.put_u16_le(self.command);
        out.put_u16_le(0);
        out.put_u16_le(self.session);
        out.put_u16_le(self.reply);
        out.extend_from_slice(&self.data);
        let sum = checksum(&out);
        if let Some(field) = out.get_mut(2..4) {
            field.copy_from_slice(&sum.to_le_bytes());
        }
        out.freeze()
    }

    /// Reads a packet; `None` when there is no whole header.
    pub fn decode(bytes: &Bytes) -> Option<(Self, Sum)> {
        let header: nom::IResult<&[u8], (u16, u16, u16, u16)> =
            (le_u16, le_u16, le_u16, le_u16).parse(bytes);
        let (_, (command, stated, session, reply)) = header.ok()?;
        let computed = checksum(bytes);
        let sum = if stated == computed {
            Sum::Right
        } else if (u32::from(stated) + 1) % 0xffff == u32::from(computed) % 0xffff {
            Sum::OneBelow
        } else {
            Sum::Wrong
        };
        let packet = Self {
            command,
            session,
            reply,
            data: bytes.slice(HEADER..),
        };
        Some((packet, sum))
    }
}

/// The checksum of a whole packet: one's complement of the one's complement sum of its 16-bit
/// words, low byte first, the checksum's own field counted as zero, an odd last byte as itself.
pub fn checksum(packet: &[u8]) -> u16 {
    let mut sum = 0u64;
    for (at, word) in packet.chunks(2).enumerate() {
        if at != 1 {
            let (low, high) = (word.first(), word.get(1));
            let value = |byte: Option<&u8>| u64::from(byte.copied().unwrap_or_default());
            sum += value(low) + (value(high) << 8);
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_odd_last_byte_counts_as_itself() {
        // 01F4 + 0100 + 0000 + 0064 = 0358, complement FCA7.
        let packet = [0xf4, 0x01, 0, 0, 0x00, 0x01, 0, 0, 0x64];
        assert_eq!(checksum(&packet), 0xfca7);
    }

    #[test]
    fn carries_are_folded() {
        // 000B + 6BA0 + 0001 + 537E 7265 6169 4E6C 6D75 6562 0072 = 2B4AD, folded B4AF.
        let packet = Packet {
            command: 11,
            session: 0x6ba0,
            reply: 1,
            data: Bytes::from_static(b"~SerialNumber\0"),
        };
        assert_eq!(packet.encode().get(2..4), Some(&[0x50, 0x4b][..]));
    }

    #[test]
    fn a_sum_that_is_one_below_is_told_from_a_wrong_one() {
        let good = [0xe8, 0x03, 0x17, 0xfc, 0, 0, 0, 0];
        let sum = |low: u8| {
            let mut bytes = good;
            bytes[2] = low;
            Packet::decode(&Bytes::copy_from_slice(&bytes)).unwrap().1
        };
        assert_eq!(
            [0x15, 0x16, 0x17, 0x18].map(sum),
            [Sum::Wrong, Sum::OneBelow, Sum::Right, Sum::Wrong]
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_with_a_right_sum(
            command: u16, session: u16, reply: u16,
            data in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let packet = Packet { command, session, reply, data: data.into() };
            prop_assert_eq!(Packet::decode(&packet.encode()), Some((packet, Sum::Right)));
        }

        #[test]
        fn fewer_than_eight_bytes_are_no_packet(bytes in prop::collection::vec(any::<u8>(), 0..8)) {
            prop_assert_eq!(Packet::decode(&bytes.into()), None);
        }
    }
}
