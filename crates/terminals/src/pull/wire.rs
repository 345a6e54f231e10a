//! Packets as a terminal makes and reads them: header, checksum, the prefix of TCP, the
//! scrambled key.
//!
//! Written from the description of the protocol and used by no server, so that a mistake on one
//! side cannot agree with itself.

/// The four bytes before each packet on TCP.
pub(super) const MAGIC: [u8; 4] = [0x50, 0x50, 0x82, 0x7d];
/// Longest packet that a terminal takes.
const LONGEST: usize = 64 * 1024;

/// A packet from a client.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) command: u16,
    pub(super) session: u16,
    pub(super) reply: u16,
    pub(super) data: Vec<u8>,
    pub(super) good_sum: bool,
}

/// A packet for a client: code, session field, reply id, data.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) session: u16,
    pub(super) reply: u16,
    pub(super) data: Vec<u8>,
}

impl Reply {
    /// Header and data.
    pub(super) fn packet(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.data.len());
        for field in [self.code, 0, self.session, self.reply] {
            out.extend(field.to_le_bytes());
        }
        out.extend(&self.data);
        let sum = sum(&out).to_le_bytes();
        out.splice(2..4, sum);
        out
    }
}

/// A packet with its prefix.
pub(super) fn framed(packet: &[u8]) -> Vec<u8> {
    let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    [&MAGIC[..], &length.to_le_bytes(), packet].concat()
}

/// Reads a packet; `None` when it is too short.
pub(super) fn request(packet: &[u8]) -> Option<Request> {
    let word = |at: usize| Some(u16::from_le_bytes(*packet.get(at..)?.first_chunk::<2>()?));
    Some(Request {
        command: word(0)?,
        session: word(4)?,
        reply: word(6)?,
        data: packet.get(8..)?.to_vec(),
        good_sum: word(2)? == sum(packet),
    })
}

/// Takes the first whole packet out of what was read over TCP; `Err` when it is no frame.
pub(super) fn unframed(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, ()> {
    let Some(prefix) = buffer.first_chunk::<8>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if prefix[..4] != MAGIC || !(8..=LONGEST).contains(&length) {
        return Err(());
    }
    if buffer.len() < 8 + length {
        return Ok(None);
    }
    let packet = buffer[8..8 + length].to_vec();
    buffer.drain(..8 + length);
    Ok(Some(packet))
}

/// The complement of the ones' complement sum, the field of the sum left out.
fn sum(packet: &[u8]) -> u16 {
    let mut total = 0_u32;
    for (place, pair) in packet
        .chunks(2)
        .enumerate()
        .filter(|(place, _)| *place != 1)
    {
        let high = pair.get(1).copied().unwrap_or(0);
        total += u32::from(pair[0]) + u32::from(high) * 256;
        if place % 4_096 == 0 {
            total = (total & 0xffff) + (total >> 16);
        }
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !u16::try_from(total).unwrap_or(0)
}

/// What a client with this key must send in this session, whatever tick it chose.
pub(super) fn accepts(key: u32, session: u16, said: &[u8]) -> bool {
    let [a, b, tick, c] = *said else { return false };
    let mixed = key.reverse_bits().wrapping_add(u32::from(session));
    let bytes = mixed.to_le_bytes();
    let (second, third, fourth) = (bytes[1] ^ b'K', bytes[2] ^ b'S', bytes[3] ^ b'O');
    [a, b, c] == [third ^ tick, fourth ^ tick, second ^ tick]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_of_a_connect_and_the_key_are_those_of_the_description() {
        let connect = Reply {
            code: 1000,
            session: 0,
            reply: 0,
            data: Vec::new(),
        };
        let frame = framed(&connect.packet());
        assert_eq!(frame, b"PP\x82\x7d\x08\0\0\0\xe8\x03\x17\xfc\0\0\0\0");
        let mut buffer = [&frame[..], b"PP"].concat();
        let packet = unframed(&mut buffer).unwrap().unwrap();
        assert!(request(&packet).unwrap().good_sum);
        assert_eq!((unframed(&mut buffer), buffer.len()), (Ok(None), 2));
        assert!(accepts(123_456, 0x6ba0, &[0x26, 0x7f, 0x32, 0x92]));
        assert!(!accepts(123_457, 0x6ba0, &[0x26, 0x7f, 0x32, 0x92]));
    }

    #[test]
    fn a_long_packet_keeps_a_right_sum() {
        let reply = Reply {
            code: 1501,
            session: 3,
            reply: 9,
            data: vec![0xff; 60_001],
        };
        assert!(request(&reply.packet()).unwrap().good_sum);
    }
}
