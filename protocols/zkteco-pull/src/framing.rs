//! Frames: where one packet ends and the next begins.
//!
//! Over TCP a packet has eight bytes before it: a magic and its length. Reads cut frames
//! anywhere and join several, so that the decoder keeps what is incomplete. Over UDP a datagram
//! is a packet. After an error nothing more is decoded: a stream that has lost its frames is
//! closed, never searched for the next magic, which could stand inside a record.

use bytes::{Bytes, BytesMut};
use nom::Parser;
use nom::bytes::streaming::take;
use nom::number::streaming::le_u32;

use crate::packet::HEADER;
use crate::recognise::{self, Foreign};

/// The four bytes that start every TCP frame.
pub const MAGIC: [u8; 4] = [0x50, 0x50, 0x82, 0x7d];

/// Longest packet accepted in a frame, in bytes. Terminals stay below 64 KiB, because their
/// answers are never longer than the window that was asked for.
pub const PACKET_LIMIT: u32 = 1024 * 1024;

/// Bytes before a packet in a TCP frame.
const PREFIX: usize = 8;

/// Why a stream or a datagram holds no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes belong to another protocol of the same port.
    #[error(transparent)]
    Foreign(Foreign),
    /// The first four bytes are no magic that is known.
    #[error("the frame does not begin with the magic 50 50 82 7D")]
    Magic,
    /// The announced length is below the eight bytes of a packet's header.
    #[error("a packet of {0} bytes is announced, the header alone has 8")]
    Short(u32),
    /// The announced length is above [`PACKET_LIMIT`].
    #[error("a packet of {0} bytes is announced, at most {PACKET_LIMIT} are accepted")]
    Long(u32),
}

/// The frames of a TCP connection, one direction.
///
/// It holds at most one incomplete frame plus what was fed last, and nothing while it is empty,
/// so that a connection that only waits costs no buffer.
#[derive(Debug, Default)]
pub struct TcpDecoder {
    buffer: BytesMut,
}

impl TcpDecoder {
    /// Takes what was read, in pieces of any length.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole packet (header and data); `None` when more must be read first.
    ///
    /// # Errors
    /// When the stream holds no frames of this protocol. The connection must be closed.
    pub fn packet(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = announced(&self.buffer)? else {
            return Ok(None);
        };
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        let frame = self.buffer.split_to(PREFIX + length).freeze();
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Ok(Some(frame.slice(PREFIX..)))
    }

    /// Bytes kept because their frame is not complete.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

/// The length in the prefix; `None` when the prefix is not complete.
fn announced(buffer: &[u8]) -> Result<Option<usize>, FrameError> {
    if let Some(foreign) = recognise::stream(buffer) {
        return Err(FrameError::Foreign(foreign));
    }
    // A wrong magic is told from its first wrong byte on, however short the first read is.
    if buffer.iter().zip(MAGIC).any(|(&got, magic)| got != magic) {
        return Err(FrameError::Magic);
    }
    let prefix: nom::IResult<&[u8], (&[u8], u32)> = (take(MAGIC.len()), le_u32).parse(buffer);
    let Ok((_, (_, length))) = prefix else {
        return Ok(None);
    };
    if length > PACKET_LIMIT {
        return Err(FrameError::Long(length));
    }
    match usize::try_from(length) {
        Ok(size) if size >= HEADER => Ok(Some(size)),
        _ => Err(FrameError::Short(length)),
    }
}

/// A packet with its TCP prefix.
pub fn tcp_frame(packet: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + packet.len());
    frame.extend_from_slice(&MAGIC);
    // Our own requests are far below the limit; a length that saturates would be refused.
    let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(packet);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(decoder: &mut TcpDecoder) -> Vec<Bytes> {
        std::iter::from_fn(|| decoder.packet().unwrap()).collect()
    }

    #[test]
    fn a_length_below_the_header_or_above_the_limit_is_a_named_error() {
        let with_length = |length: u32| {
            let mut decoder = TcpDecoder::default();
            decoder.feed(&MAGIC);
            decoder.feed(&length.to_le_bytes());
            decoder.packet()
        };
        assert_eq!(with_length(7), Err(FrameError::Short(7)));
        assert_eq!(with_length(0), Err(FrameError::Short(0)));
        assert_eq!(with_length(8), Ok(None));
        assert_eq!(with_length(PACKET_LIMIT), Ok(None));
        let over = PACKET_LIMIT + 1;
        assert_eq!(with_length(over), Err(FrameError::Long(over)));
        assert_eq!(with_length(u32::MAX), Err(FrameError::Long(u32::MAX)));
    }

    #[test]
    fn a_wrong_magic_is_told_from_its_first_wrong_byte() {
        for bytes in [&b"H"[..], b"PPx", b"\x50\x50\x7d\x82", b"\x50\x50\x82\x7e"] {
            let mut decoder = TcpDecoder::default();
            decoder.feed(bytes);
            assert_eq!(decoder.packet(), Err(FrameError::Magic), "{bytes:x?}");
        }
    }

    #[test]
    fn an_empty_decoder_keeps_no_buffer() {
        let mut decoder = TcpDecoder::default();
        decoder.feed(&tcp_frame(&[7; 60_000]));
        assert_eq!(all(&mut decoder).len(), 1);
        assert_eq!((decoder.pending(), decoder.buffer.capacity()), (0, 0));
    }

    proptest! {
        #[test]
        fn frames_split_and_joined_anywhere_decode_the_same(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 8..300), 1..8),
            cuts in prop::collection::vec(1usize..40, 1..60),
        ) {
            let stream: Vec<u8> = packets.iter().flat_map(|p| tcp_frame(p)).collect();
            let mut decoder = TcpDecoder::default();
            let mut found = Vec::new();
            let (mut rest, mut cuts) = (stream.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, tail) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                rest = tail;
                decoder.feed(piece);
                found.extend(all(&mut decoder));
            }
            prop_assert_eq!(found, packets);
            prop_assert_eq!(decoder.pending(), 0);
        }

        #[test]
        fn random_bytes_never_make_the_decoder_keep_more_than_it_was_fed(
            reads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
        ) {
            let mut decoder = TcpDecoder::default();
            let mut fed = 0;
            for read in &reads {
                decoder.feed(read);
                fed += read.len();
                while let Ok(Some(_)) = decoder.packet() {}
                prop_assert!(decoder.pending() <= fed);
            }
        }
    }
}
