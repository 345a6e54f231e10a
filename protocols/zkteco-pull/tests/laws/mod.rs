//! What holds of every session, whatever the peer sends: it says a bounded number of things before
//! it waits, and a log is the terminal's own or the session ends in an error. Tests and the
//! fuzzers in `tests/fuzz` hold sessions to the same laws.

#![allow(clippy::unwrap_used, reason = "a law that is broken ends the test")]
#![allow(dead_code, reason = "each test and each fuzzer uses some of it")]

use event::Millis;
use zkteco_pull::framing::tcp_frame;
use zkteco_pull::packet::Packet;
use zkteco_pull::{Action, Delivery, Error, Session};

use crate::common::{Dice, START, Terminal, WHOLE, log40, options};

/// Takes what a session has to say until it waits or ends; counts what it said.
pub(crate) fn drain(session: &mut Session, now: Millis) -> usize {
    let mut said = 0;
    while !matches!(session.next(now), Action::Wait(_) | Action::Done) {
        said += 1;
        assert!(said < 50_000, "the session never waits");
    }
    said
}

/// Reads a log while the byte at one place of all that the terminal sends is damaged: it is
/// right, or the session ends in an error. `one_below` is a terminal all of whose checksums are
/// too small by one.
pub(crate) fn read_damaged(dice: &mut Dice, at: u64, flip: u8, records: u32, one_below: bool) {
    let mut terminal = Terminal::new(false, log40(records));
    let mut session = Session::new(options(false, WHOLE), START);
    let (mut now, mut passed, mut got) = (START, 0, Vec::new());
    let end = loop {
        match session.next(now) {
            Action::Send(bytes) => {
                let request = Packet::decode(&bytes.slice(8..)).unwrap().0;
                let mut stream = Vec::new();
                for answer in terminal.answer(&request) {
                    let mut answer = answer.to_vec();
                    let sum = u16::from_le_bytes([answer[2], answer[3]]);
                    let sum = sum.wrapping_sub(u16::from(one_below));
                    answer[2..4].copy_from_slice(&sum.to_le_bytes());
                    stream.extend(tcp_frame(&answer));
                }
                let length = u64::try_from(stream.len()).unwrap();
                if (passed..passed + length).contains(&at) {
                    stream[usize::try_from(at - passed).unwrap()] ^= flip;
                }
                passed += length;
                for piece in stream.chunks(usize::try_from(1 + dice.below(2_000)).unwrap()) {
                    session.heard(piece, now);
                }
            }
            Action::Got(Delivery::Log(log)) => got.push(log),
            Action::Got(_) => {}
            Action::Wait(until) => now = until,
            Action::Done => break None,
            Action::Close(error) => break Some(error),
        }
    };
    match got.as_slice() {
        [log] => assert!(log.data == terminal.log, "at {at}, flipped {flip:#x}"),
        [] => assert!(end.is_some_and(|error: Error| !error.to_string().is_empty())),
        _ => panic!("two logs"),
    }
}
