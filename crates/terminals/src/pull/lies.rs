//! Answers that make no sense, as broken firmware, a bad line or somebody else on the port gives
//! them: one kind for each terminal, from the moment its log is asked for.
//!
//! Before that the terminal is what it seems, so that a client has let it in. It goes on lying for
//! ever; its log is never handed out.

use serde::{Deserialize, Serialize};

use super::answers::Answer;
use super::wire::{MAGIC, Reply};

const PREPARE: u16 = 1500;
const OK: u16 = 2000;
/// Answers to questions that nobody asked, in one go.
const BABBLE: u16 = 150;
/// Announcements in one go.
const ANNOUNCED: usize = 30;

/// What a terminal lies about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lie {
    /// Nothing.
    #[default]
    None,
    /// A frame announces fewer bytes than a header has.
    FrameBelowHeader,
    /// A frame announces more bytes than any packet has.
    FrameAboveLimit,
    /// The log announces more bytes than any terminal holds.
    LogAboveLimit,
    /// The log counts one record more than it holds.
    LyingCount,
    /// The newest record is of the 30th of February.
    February30,
    /// Answers to questions never asked, and none to the one that was.
    Babble,
    /// Data is announced again and again, and never comes.
    EndlessPrepare,
    /// The checksum is another one.
    WrongSum,
}

impl Lie {
    /// Whether the terminal goes wrong in how it answers, and not in what it holds.
    pub(super) fn is_in_the_answer(self) -> bool {
        !matches!(self, Self::None | Self::LyingCount | Self::February30)
    }

    /// The answer to the question for the log, in place of the true one.
    pub(super) fn instead(self, honest: &Reply) -> Answer {
        let with = |code, reply, data| Reply {
            code,
            reply,
            data,
            session: honest.session,
        };
        let mut answer = Answer::default();
        match self {
            Self::FrameBelowHeader => answer.raw = framed(4),
            Self::FrameAboveLimit => answer.raw = framed(0x7fff_ffff),
            Self::LogAboveLimit => {
                let told = [&[0][..], &[0xff; 12]].concat();
                answer.replies.push(with(OK, honest.reply, told));
            }
            Self::Babble => {
                let strays = 1..=BABBLE;
                let stray = |n: u16| with(OK, honest.reply.wrapping_add(n), vec![7; 4]);
                answer.replies.extend(strays.map(stray));
            }
            Self::EndlessPrepare => {
                let told = [4_000_u32.to_le_bytes(), 0xfff8_u32.to_le_bytes()].concat();
                let again = with(PREPARE, honest.reply, told);
                answer.replies.extend(vec![again; ANNOUNCED]);
            }
            Self::WrongSum => {
                let mut packet = honest.packet();
                for byte in packet.iter_mut().skip(2).take(2) {
                    *byte ^= 0x55;
                }
                answer.raw = super::wire::framed(&packet);
            }
            Self::None | Self::LyingCount | Self::February30 => {
                answer.replies.push(honest.clone());
            }
        }
        answer
    }

    /// The log as it is handed out: its length, then records of so many bytes, the newest last.
    pub(super) fn spoil(self, table: &mut [u8], record: usize) {
        match self {
            Self::LyingCount => {
                let bytes = table.len().saturating_sub(4).saturating_add(record);
                let told = u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
                for (to, from) in table.iter_mut().zip(told) {
                    *to = from;
                }
            }
            Self::February30 if record == 40 && table.len() >= 44 => {
                // Years of 372 days have one: the time stands at byte 27 of a record of 40.
                let days = 26 * 372 + 31 + 29;
                let at = table.len() - 40 + 27;
                let time = u32::to_le_bytes(days * 86_400 + 36_000);
                for (to, from) in table.iter_mut().skip(at).zip(time) {
                    *to = from;
                }
            }
            _ => {}
        }
    }
}

/// A frame that announces so many bytes, and four.
fn framed(length: u32) -> Vec<u8> {
    [&MAGIC[..], &length.to_le_bytes(), &[0; 4]].concat()
}
