//! A packet without what it holds: for a recording that may leave the house.
//!
//! Of every packet its code, its ids, its length and whether its checksum is right; of its data only
//! small numbers that count something (sizes, windows, capacities), and only in the short answers where
//! the protocol has them. Four letters are never a small number, so that no text gets through in the
//! place of counts either. Tables, events, people and keys are a length.

use bytes::Bytes;

use crate::Transport;
use crate::commands;
use crate::framing::TcpDecoder;
use crate::packet::{Packet, Sum};

/// Largest number that is told; four letters are a larger one.
const LARGEST: u32 = 0x00ff_ffff;
/// Longest data of an answer with counts, in bytes: a terminal tells 28 sizes.
const SHORT: usize = 112;

/// A packet without people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The command, or the reply code: [`commands::name`].
    pub code: u16,
    /// The session field.
    pub session: u16,
    /// The reply id.
    pub reply: u16,
    /// Whether the checksum is right.
    pub sum: Sum,
    /// Bytes of its data.
    pub length: usize,
    /// The counts in it, where it has any.
    pub numbers: Vec<u32>,
}

/// What is told of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlined {
    /// A packet.
    Packet(Outline),
    /// So many bytes that hold no packet. Nothing after them in their direction is read.
    Unreadable(usize),
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Side {
    frames: TcpDecoder,
    broken: bool,
}

/// Both directions of one connection.
#[derive(Debug)]
pub struct Outliner {
    transport: Transport,
    ours: Side,
    theirs: Side,
    /// The last question: its reply id and its command.
    asked: Option<(u16, u16)>,
}

impl Outliner {
    /// A connection that has just been opened.
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            ours: Side::default(),
            theirs: Side::default(),
            asked: None,
        }
    }

    /// Bytes that went out.
    pub fn sent(&mut self, bytes: &[u8]) -> Vec<Outlined> {
        let found = packets(self.transport, &mut self.ours, bytes);
        let told = found.into_iter().map(|found| match found {
            Ok((packet, sum)) => {
                self.asked = Some((packet.reply, packet.command));
                let numbers = match packet.command {
                    commands::PREPARE_BUFFER => inner_command(&packet.data),
                    commands::READ_BUFFER => counts(&packet.data),
                    _ => Vec::new(),
                };
                outline(&packet, sum, numbers)
            }
            Err(bytes) => Outlined::Unreadable(bytes),
        });
        told.collect()
    }

    /// Bytes that came in.
    pub fn heard(&mut self, bytes: &[u8]) -> Vec<Outlined> {
        let found = packets(self.transport, &mut self.theirs, bytes);
        let told = found.into_iter().map(|found| match found {
            Ok((packet, sum)) => {
                let numbers = self.numbers(&packet);
                outline(&packet, sum, numbers)
            }
            Err(bytes) => Outlined::Unreadable(bytes),
        });
        told.collect()
    }

    /// The counts in what the terminal says.
    fn numbers(&self, packet: &Packet) -> Vec<u32> {
        let asked = self.asked.filter(|(reply, _)| *reply == packet.reply);
        match (packet.command, asked.map(|(_, command)| command)) {
            (commands::PREPARE_DATA, _) => counts(&packet.data),
            (commands::ACK_OK, Some(commands::FREE_SIZES)) => counts(&packet.data),
            // A flag, then two sizes and a sum.
            (commands::ACK_OK, Some(commands::PREPARE_BUFFER)) => {
                counts(packet.data.get(1..).unwrap_or_default())
            }
            _ => Vec::new(),
        }
    }
}

fn outline(packet: &Packet, sum: Sum, numbers: Vec<u32>) -> Outlined {
    Outlined::Packet(Outline {
        code: packet.command,
        session: packet.session,
        reply: packet.reply,
        sum,
        length: packet.data.len(),
        numbers,
    })
}

/// The packets that are complete now, and how many bytes hold none.
fn packets(
    transport: Transport,
    side: &mut Side,
    bytes: &[u8],
) -> Vec<Result<(Packet, Sum), usize>> {
    let read = |packet: &Bytes| Packet::decode(packet).ok_or(packet.len());
    if transport == Transport::Udp {
        return vec![read(&Bytes::copy_from_slice(bytes))];
    }
    if side.broken {
        return vec![Err(bytes.len())];
    }
    side.frames.feed(bytes);
    let mut found = Vec::new();
    loop {
        match side.frames.packet() {
            Ok(Some(packet)) => found.push(read(&packet)),
            Ok(None) => return found,
            Err(_) => {
                side.broken = true;
                found.push(Err(side.frames.pending()));
                return found;
            }
        }
    }
}

/// The command inside a question for a buffer.
fn inner_command(data: &[u8]) -> Vec<u32> {
    let two = data.get(1..).and_then(|data| data.first_chunk::<2>());
    two.map(|two| u32::from(u16::from_le_bytes(*two)))
        .into_iter()
        .collect()
}

/// The whole numbers in it that are small enough to be counts; 0 in place of others.
fn counts(data: &[u8]) -> Vec<u32> {
    if data.len() > SHORT {
        return Vec::new();
    }
    let (words, _) = data.as_chunks::<4>();
    let small = |word: u32| if word <= LARGEST { word } else { 0 };
    let words = words.iter().map(|word| u32::from_le_bytes(*word));
    words.map(small).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::tcp_frame;
    use proptest::prelude::*;

    fn packet(command: u16, reply: u16, data: &[u8]) -> Packet {
        Packet {
            command,
            session: 7,
            reply,
            data: Bytes::copy_from_slice(data),
        }
    }

    fn framed(command: u16, reply: u16, data: &[u8]) -> Bytes {
        tcp_frame(&packet(command, reply, data).encode())
    }

    fn only(mut told: Vec<Outlined>) -> Outline {
        match (told.pop(), told.pop()) {
            (Some(Outlined::Packet(one)), None) => one,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sizes_and_windows_are_told_and_tables_and_keys_are_a_length() {
        let mut both = Outliner::new(Transport::Tcp);
        let asked = only(both.sent(&framed(50, 4, &[])));
        assert_eq!((asked.code, asked.reply, asked.length), (50, 4, 0));
        let sizes = [30_u32, 0, 100_000].map(u32::to_le_bytes).concat();
        assert_eq!(
            only(both.heard(&framed(2000, 4, &sizes))).numbers,
            [30, 0, 100_000]
        );
        let key = only(both.sent(&framed(1102, 5, b"\x26\x7f\x32\x92")));
        assert_eq!((key.length, key.numbers.len()), (4, 0));
        let log = only(both.sent(&framed(1503, 6, &[1, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0])));
        assert_eq!(log.numbers, [13]);
        let table = only(both.heard(&framed(1501, 6, b"Guadalupe")));
        assert_eq!((table.length, table.numbers.len()), (9, 0));
        let stray = only(both.heard(&framed(2000, 99, &sizes)));
        assert!(stray.numbers.is_empty());
    }

    #[test]
    fn pieces_are_put_together_and_what_is_no_frame_is_said_once_with_its_length() {
        let mut both = Outliner::new(Transport::Tcp);
        let frame = framed(2000, 1, &[]);
        let (first, second) = frame.split_at(5);
        assert!(both.heard(first).is_empty());
        assert_eq!(only(both.heard(second)).code, 2000);
        assert_eq!(both.heard(b"HTTP/1.1 400"), [Outlined::Unreadable(12)]);
        assert_eq!(both.heard(b"more"), [Outlined::Unreadable(4)]);
    }

    proptest! {
        #[test]
        fn no_four_letters_are_a_count(text in "[ -~]{4,40}", code in any::<u16>(), asked in any::<u16>()) {
            let mut both = Outliner::new(Transport::Udp);
            both.sent(&packet(asked, 3, text.as_bytes()).encode());
            for told in both.heard(&packet(code, 3, text.as_bytes()).encode()) {
                let Outlined::Packet(told) = told else { continue };
                prop_assert!(told.numbers.iter().all(|n| *n == 0), "{told:?}");
            }
        }

        #[test]
        fn any_bytes_are_outlined_without_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for transport in [Transport::Tcp, Transport::Udp] {
                let mut both = Outliner::new(transport);
                both.sent(&bytes);
                both.heard(&bytes);
            }
        }
    }
}
